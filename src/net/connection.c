// The life of a connection, and what its owner may ask of it.
#include "ghatrace/net/connection.h"

#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <unistd.h>

#include "connection_private.h"
#include "ghatrace/base/memory.h"

// What `output.total` points to may go with the last on_closed.
static void release_memory(struct net_connection *connection)
{
    buffer_release(&connection->input);
    connection_count_input(connection);
    net_output_release(&connection->output);
    connection->output.total = NULL;
}

static void free_connection(struct net_connection *connection)
{
    if (connection->readable != NULL)
        event_free(connection->readable);
    if (connection->writable != NULL)
        event_free(connection->writable);
    if (connection->deadline != NULL)
        event_free(connection->deadline);
    if (connection->handshake_deadline != NULL)
        event_free(connection->handshake_deadline);
    if (connection->fd >= 0)
        close(connection->fd);
    connection->transport->release(connection->transport_state);
    release_memory(connection);
    memory_free(connection);
}

static void reap(struct net_dying *dying)
{
    struct net_connection *connection = (struct net_connection *)dying;
    struct net_listener *listener = connection->listener;

    release_memory(connection);
    if (connection->handler != NULL)
        connection->handler->on_closed(connection->context, connection->close_reason,
                                       &connection->close_error);
    free_connection(connection);
    if (listener != NULL)
        listener_forget_connection(listener);
}

static bool make_events(struct net_connection *connection)
{
    struct event_base *base = net_loop_base(connection->loop);

    connection->readable =
        event_new(base, connection->fd, EV_READ | EV_PERSIST, connection_on_readable, connection);
    connection->writable =
        event_new(base, connection->fd, EV_WRITE | EV_PERSIST, connection_on_writable, connection);
    connection->deadline = evtimer_new(base, connection_on_deadline, connection);
    return connection->readable != NULL && connection->writable != NULL &&
           connection->deadline != NULL;
}

enum error_code connection_create(struct net_loop *loop, int fd, const struct net_address *peer,
                                  struct net_connection **out, struct error *error)
{
    struct net_connection *connection = memory_allocate_array(1, sizeof *connection);
    int on = 1;

    if (connection == NULL) {
        close(fd);
        return error_set(error, ERROR_MEMORY, "connection: out of memory");
    }
    connection->dying.reap = reap;
    connection->loop = loop;
    connection->fd = fd;
    connection->peer = *peer;
    connection->transport = &net_transport_plain;
    buffer_init(&connection->input, INPUT_MAX);
    net_output_init(&connection->output);
    if (!make_events(connection)) {
        free_connection(connection);
        return error_set(error, ERROR_MEMORY, "connection: out of memory");
    }
    // Answers are small and sent whole: waiting to fill a segment would only delay them. Sockets
    // that are not TCP refuse, which is no matter.
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    *out = connection;
    return ERROR_NONE;
}

enum error_code connection_open(struct net_connection *connection, struct error *error)
{
    connection->state = CONNECTION_OPEN;
    connection_start_reading(connection);
    if (connection->state != CONNECTION_CLOSED)
        return ERROR_NONE;
    return error_set(error, ERROR_MEMORY, "connection: the event library refused the socket");
}

enum error_code net_connection_adopt(struct net_loop *loop, int fd,
                                     const struct net_handler *handler, void *context,
                                     struct net_connection **out, struct error *error)
{
    struct net_address peer = {.len = sizeof peer.storage};
    struct net_connection *connection;

    if (getpeername(fd, (struct sockaddr *)&peer.storage, &peer.len) != 0)
        peer.len = 0;
    enum error_code code = connection_create(loop, fd, &peer, &connection, error);
    if (code != ERROR_NONE)
        return code;
    code = connection_open(connection, error);
    if (code != ERROR_NONE)
        return code;
    connection->handler = handler;
    connection->context = context;
    *out = connection;
    return ERROR_NONE;
}

enum error_code net_connection_connect(struct net_loop *loop, const struct net_address *address,
                                       const struct net_handler *handler, void *context,
                                       struct net_connection **out, struct error *error)
{
    return net_connection_connect_tls(loop, address, NULL, NULL, handler, context, out, error);
}

enum error_code net_connection_connect_tls(struct net_loop *loop, const struct net_address *address,
                                           struct net_tls *tls, const char *host,
                                           const struct net_handler *handler, void *context,
                                           struct net_connection **out, struct error *error)
{
    struct net_connection *connection;
    int fd = socket(address->storage.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return error_set(error, ERROR_NETWORK, "socket: %s", strerror(errno));
    enum error_code code = connection_create(loop, fd, address, &connection, error);
    if (code != ERROR_NONE)
        return code;
    connection->state = CONNECTION_CONNECTING;
    if (tls != NULL)
        code = connection_secure(connection, tls, host, error);
    if (code == ERROR_NONE && event_add(connection->writable, NULL) != 0)
        code = error_set(error, ERROR_MEMORY, "connection: the event library refused the socket");
    if (code != ERROR_NONE) {
        free_connection(connection);
        return code;
    }
    connection->handler = handler;
    connection->context = context;
    // Success and failure are both told from the loop, whether or not the kernel knows at once.
    int number =
        connect(fd, (const struct sockaddr *)&address->storage, address->len) == 0 ? 0 : errno;
    if (number != EINPROGRESS) {
        connection->connect_errno = number;
        event_active(connection->writable, EV_WRITE, 1);
    }
    *out = connection;
    return ERROR_NONE;
}

void connection_close(struct net_connection *connection, enum net_close_reason reason,
                      enum error_code code, const char *message)
{
    if (connection->state == CONNECTION_CLOSED)
        return;
    // Without it the peer could not tell our end from somebody's cut. Not in the middle of something.
    if (connection->state == CONNECTION_OPEN && connection_is_secure(connection) &&
        reason != NET_CLOSED_BY_ERROR && !connection_has_output(connection))
        (void)connection->transport->finish(connection->fd, connection->transport_state);
    connection->state = CONNECTION_CLOSED;
    connection->close_reason = reason;
    error_set(&connection->close_error, code, "%s", message);
    listener_forget_handshake(connection, false);
    event_del(connection->readable);
    event_del(connection->writable);
    event_del(connection->deadline);
    if (connection->handshake_deadline != NULL)
        event_del(connection->handshake_deadline);
    close(connection->fd);
    connection->fd = -1;
    net_output_release(&connection->output); // the memory may be wanted before the reaper's turn
    net_loop_reap_later(connection->loop, &connection->dying);
}

void connection_fail(struct net_connection *connection, const char *doing, int number)
{
    const struct net_transport *transport = connection->transport;
    const char *reason =
        transport->reason != NULL ? transport->reason(connection->transport_state) : NULL;
    char peer[NET_ADDRESS_TEXT_SIZE];
    struct error error;

    error_set(&error, ERROR_NETWORK, "%s %s: %s", doing,
              net_address_format(&connection->peer, peer),
              reason != NULL ? reason : strerror(number));
    connection_close(connection, NET_CLOSED_BY_ERROR, error.code, error.message);
}

void net_connection_set_context(struct net_connection *connection, void *context)
{
    connection->context = context;
}

static bool takes_writes(const struct net_connection *connection)
{
    return !connection->is_finishing &&
           (connection->state == CONNECTION_OPEN || connection->state == CONNECTION_CONNECTING ||
            connection->state == CONNECTION_HANDSHAKING);
}

// Tries the socket first: most answers go out whole and are never copied.
static size_t send_at_once(struct net_connection *connection, const void *data, size_t len)
{
    struct iovec part = {.iov_base = (void *)data, .iov_len = len};
    size_t sent = 0;

    if (connection->state != CONNECTION_OPEN || connection->output.len > 0 || len == 0)
        return 0;
    if (connection->transport->send(connection->fd, connection->transport_state, &part, 1, &sent) ==
        NET_IO_FAILED)
        connection_fail(connection, "send to", errno);
    return sent;
}

// The middle of a stream cannot be left out: once part of a write is gone, the rest must follow.
static enum error_code refuse_write(struct net_connection *connection, size_t sent)
{
    if (sent > 0)
        connection_close(connection, NET_CLOSED_BY_ERROR, ERROR_MEMORY, "out of memory");
    return ERROR_MEMORY;
}

static enum error_code wait_for_socket(struct net_connection *connection)
{
    if (connection->state != CONNECTION_OPEN || !connection_has_output(connection))
        return ERROR_NONE;
    if (event_add(connection->writable, NULL) == 0)
        return ERROR_NONE;
    connection_close(connection, NET_CLOSED_BY_ERROR, ERROR_MEMORY, "out of memory");
    return ERROR_MEMORY;
}

// Progress counts from here.
static void begin_output(struct net_connection *connection)
{
    if (connection->output.len == 0)
        connection_note_progress(connection);
}

enum error_code net_connection_write(struct net_connection *connection, const void *data,
                                     size_t len)
{
    if (!takes_writes(connection))
        return ERROR_CLOSED;
    size_t sent = send_at_once(connection, data, len);
    if (connection->state == CONNECTION_CLOSED)
        return ERROR_CLOSED;
    if (sent == len)
        return wait_for_socket(connection); // no system call when all is gone
    begin_output(connection);
    if (!net_output_append_copy(&connection->output, (const char *)data + sent, len - sent))
        return refuse_write(connection, sent);
    return wait_for_socket(connection);
}

enum error_code net_connection_write_owned(struct net_connection *connection, void *block,
                                           size_t len)
{
    if (!takes_writes(connection)) {
        memory_free(block);
        return ERROR_CLOSED;
    }
    size_t sent = send_at_once(connection, block, len);
    if (connection->state == CONNECTION_CLOSED) {
        memory_free(block);
        return ERROR_CLOSED;
    }
    begin_output(connection);
    if (!net_output_append_owned(&connection->output, block, len, sent)) {
        memory_free(block);
        return refuse_write(connection, sent);
    }
    return wait_for_socket(connection);
}

size_t net_connection_unsent(const struct net_connection *connection)
{
    return connection->output.len;
}

duration_ns net_connection_stalled(struct net_connection *connection, timestamp_ns now)
{
    if (connection->output.len == 0)
        return 0;
    // The socket takes more only when much of what it has is gone, which on a slow link can take a while.
    int in_kernel = connection_kernel_output(connection);
    if (in_kernel < connection->in_kernel) {
        connection->in_kernel = in_kernel;
        connection->output_at = now;
    }
    return now - connection->output_at;
}

void net_connection_tell_drained(struct net_connection *connection)
{
    assert(connection->output.len > 0);
    connection->tells_drained = true;
}

void net_connection_count_memory(struct net_connection *connection, size_t *total)
{
    int most = KERNEL_UNSENT_MAX;

    assert(connection->output.total == NULL);
    connection->output.total = total;
    *total += net_connection_memory(connection);
    // Sockets that are not TCP refuse.
    (void)setsockopt(connection->fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &most, sizeof most);
}

size_t net_connection_memory(const struct net_connection *connection)
{
    return connection->output.held + connection->counted_input;
}

void connection_count_input(struct net_connection *connection)
{
    if (connection->output.total != NULL)
        *connection->output.total += connection->input.capacity - connection->counted_input;
    connection->counted_input = connection->input.capacity;
}

void net_connection_finish(struct net_connection *connection)
{
    if (connection->state == CONNECTION_CLOSED || connection->is_finishing)
        return;
    connection->is_finishing = true;
    if (!connection->has_deadline) {
        connection->finished_at = timestamp_monotonic();
        connection_arm_deadline(connection, FINISH_TIME);
    }
    if (connection->state != CONNECTION_OPEN)
        return;
    // From here on input is read only to be dropped: a peer that still sends may otherwise never
    // come to read the answer.
    connection_start_reading(connection);
    if (connection->state == CONNECTION_OPEN)
        connection_flush(connection);
}

void net_connection_close(struct net_connection *connection)
{
    connection_close(connection, NET_CLOSED_BY_US, ERROR_NONE, "");
}

void net_connection_yield(struct net_connection *connection)
{
    connection->yields = true;
}

void net_connection_pause(struct net_connection *connection)
{
    // The event stays armed until something arrives: a pause between two requests costs no system
    // call.
    connection->is_paused = true;
}

void net_connection_resume(struct net_connection *connection)
{
    connection->is_paused = false;
    if (connection->state != CONNECTION_OPEN || connection->is_finishing)
        return;
    connection_start_reading(connection);
    // Offered from the loop, not from here: the owner may be in the middle of something.
    if (connection->state == CONNECTION_OPEN && connection->input.len > 0) {
        connection->offer_is_due = true;
        event_active(connection->readable, EV_READ, 1);
    } else if (connection->state == CONNECTION_OPEN) {
        connection_read_on(connection);
    }
}

void net_connection_set_deadline(struct net_connection *connection, duration_ns after)
{
    if (connection->state == CONNECTION_CLOSED || connection->state == CONNECTION_LINGERING)
        return;
    if (after > 0) {
        connection_arm_deadline(connection, after);
    } else {
        connection->has_deadline = false;
        event_del(connection->deadline);
    }
}

const struct net_address *net_connection_peer(const struct net_connection *connection)
{
    return &connection->peer;
}
