// TLS on a connection: from the connected socket to the owner's first byte.
#include <errno.h>
#include <event2/event.h>

#include "connection_private.h"
#include "timeval.h"

static void on_handshake_deadline(evutil_socket_t fd, short what, void *context)
{
    (void)fd;
    (void)what;
    connection_close(context, NET_CLOSED_BY_TIMEOUT, ERROR_TIMEOUT, "tls handshake: timed out");
}

enum error_code connection_secure(struct net_connection *connection, struct net_tls *tls,
                                  const char *host, struct error *error)
{
    struct tls_session *session = NULL;

    connection->handshake_deadline =
        evtimer_new(net_loop_base(connection->loop), on_handshake_deadline, connection);
    if (connection->handshake_deadline == NULL)
        return error_set(error, ERROR_MEMORY, "connection: out of memory");
    enum error_code code = tls_session_create(tls, host, &session, error);
    if (code != ERROR_NONE)
        return code;
    session->fd = connection->fd;
    connection->transport = &net_transport_tls;
    connection->transport_state = session;
    return ERROR_NONE;
}

bool connection_is_secure(const struct net_connection *connection)
{
    return connection->transport->handshake != NULL;
}

void connection_start_handshake(struct net_connection *connection, duration_ns time)
{
    struct timeval wait = timeval_from_duration(time);

    connection->state = CONNECTION_HANDSHAKING;
    event_del(connection->writable);
    if (event_add(connection->handshake_deadline, &wait) != 0)
        connection_close(connection, NET_CLOSED_BY_ERROR, ERROR_MEMORY, "out of memory");
    else
        connection_start_reading(connection);
    // A client speaks first.
    if (connection->state == CONNECTION_HANDSHAKING && connection->listener == NULL)
        connection_continue_handshake(connection);
}

static void wait_for_peer(struct net_connection *connection)
{
    if (!connection->transport->holds_output(connection->transport_state))
        event_del(connection->writable);
    else if (event_add(connection->writable, NULL) != 0)
        connection_close(connection, NET_CLOSED_BY_ERROR, ERROR_MEMORY, "out of memory");
}

void connection_continue_handshake(struct net_connection *connection)
{
    switch (connection->transport->handshake(connection->fd, connection->transport_state)) {
    case NET_IO_AGAIN:
        wait_for_peer(connection);
        return;
    case NET_IO_DONE:
        event_del(connection->handshake_deadline);
        listener_forget_handshake(connection, true);
        connection_become_open(connection);
        return;
    case NET_IO_END:
    case NET_IO_FAILED:
        connection_fail(connection, "tls handshake with", errno);
        return;
    }
}
