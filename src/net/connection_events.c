// What happens on a connection's socket: bytes in, bytes out, the deadline.
#include <errno.h>
#include <event2/event.h>
#include <linux/sockios.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "connection_private.h"
#include "timeval.h"

void connection_start_reading(struct net_connection *connection)
{
    if (connection->peer_ended || event_pending(connection->readable, EV_READ, NULL))
        return;
    if (event_add(connection->readable, NULL) != 0)
        connection_close(connection, NET_CLOSED_BY_ERROR, ERROR_MEMORY, "out of memory");
}

void connection_arm_deadline(struct net_connection *connection, duration_ns after)
{
    struct timeval wait = timeval_from_duration(after);

    connection->has_deadline = true;
    // Refused memory: too early is better than never.
    if (event_add(connection->deadline, &wait) != 0)
        event_active(connection->deadline, EV_TIMEOUT, 1);
}

// --- out ------------------------------------------------------------------------------------------

bool connection_has_output(const struct net_connection *connection)
{
    const struct net_transport *transport = connection->transport;

    return connection->output.len > 0 || (transport->holds_output != NULL &&
                                          transport->holds_output(connection->transport_state));
}

int connection_kernel_output(const struct net_connection *connection)
{
    int bytes;

    return ioctl(connection->fd, SIOCOUTQ, &bytes) == 0 ? bytes : 0;
}

void connection_note_progress(struct net_connection *connection)
{
    connection->output_at = timestamp_monotonic();
    connection->in_kernel = connection_kernel_output(connection);
}

static void wait_for_room(struct net_connection *connection)
{
    if (!event_pending(connection->writable, EV_WRITE, NULL) &&
        event_add(connection->writable, NULL) != 0)
        connection_close(connection, NET_CLOSED_BY_ERROR, ERROR_MEMORY, "out of memory");
}

static void linger(struct net_connection *connection)
{
    enum net_io result = connection->transport->finish(connection->fd, connection->transport_state);

    if (result == NET_IO_AGAIN) {
        wait_for_room(connection);
        return;
    }
    event_del(connection->writable);
    if (connection->peer_ended || result != NET_IO_DONE) {
        connection_close(connection, NET_CLOSED_BY_US, ERROR_NONE, "");
        return;
    }
    connection->state = CONNECTION_LINGERING;
    connection_arm_deadline(connection, LINGER_TIME);
}

// True: the socket took everything.
static bool send_output(struct net_connection *connection)
{
    struct net_output *output = &connection->output;
    struct iovec parts[SEND_PARTS_MAX];

    while (connection_has_output(connection)) {
        size_t count = net_output_peek(output, parts, SEND_PARTS_MAX);
        size_t wanted = 0, sent = 0;
        for (size_t i = 0; i < count; i++)
            wanted += parts[i].iov_len;
        enum net_io result = connection->transport->send(
            connection->fd, connection->transport_state, parts, count, &sent);
        if (result == NET_IO_FAILED)
            connection_fail(connection, "send to", errno);
        if (result != NET_IO_DONE)
            return false;
        net_output_consume(output, sent);
        if (sent > 0)
            connection_note_progress(connection);
        if (sent < wanted)
            return false;
    }
    return true;
}

static void tell_drained(struct net_connection *connection)
{
    if (!connection->tells_drained || connection->output.len > 0 ||
        connection->state != CONNECTION_OPEN || connection->is_finishing)
        return;
    connection->tells_drained = false;
    connection->handler->on_drained(connection->context);
}

void connection_flush(struct net_connection *connection)
{
    if (send_output(connection)) {
        event_del(connection->writable);
        if (connection->is_finishing)
            linger(connection);
    } else if (connection->state == CONNECTION_OPEN) {
        wait_for_room(connection);
    }
}

static void complete_connect(struct net_connection *connection)
{
    int number = connection->connect_errno;
    socklen_t len = sizeof number;

    if (number == 0 && getsockopt(connection->fd, SOL_SOCKET, SO_ERROR, &number, &len) != 0)
        number = errno;
    if (number != 0) {
        connection_fail(connection, "connect to", number);
        return;
    }
    if (connection_is_secure(connection))
        connection_start_handshake(connection, HANDSHAKE_TIME);
    else
        connection_become_open(connection);
}

void connection_become_open(struct net_connection *connection)
{
    connection->state = CONNECTION_OPEN;
    connection_start_reading(connection);
    if (connection->state == CONNECTION_OPEN && !connection->is_finishing &&
        connection->listener == NULL && connection->handler->on_connected != NULL)
        connection->handler->on_connected(connection->context);
    if (connection->state == CONNECTION_OPEN)
        connection_flush(connection);
}

void connection_on_writable(int fd, short what, void *context)
{
    struct net_connection *connection = context;

    (void)fd;
    (void)what;
    if (connection->state == CONNECTION_CONNECTING)
        complete_connect(connection);
    else if (connection->state == CONNECTION_HANDSHAKING)
        connection_continue_handshake(connection);
    else if (connection->state == CONNECTION_OPEN)
        connection_flush(connection);
    tell_drained(connection);
}

// --- in -------------------------------------------------------------------------------------------

static bool is_listening(const struct net_connection *connection)
{
    return connection->state == CONNECTION_OPEN && !connection->is_finishing &&
           !connection->is_paused && !connection->yields;
}

static void offer_input(struct net_connection *connection)
{
    size_t taken = connection->handler->on_data(connection->context, connection->input.data,
                                                connection->input.len);

    // finish() and close() give the input away.
    if (connection->state != CONNECTION_OPEN || connection->is_finishing)
        return;
    buffer_consume(&connection->input, taken);
    if (connection->input.len == 0)
        buffer_release(&connection->input);
    connection_count_input(connection);
}

// Offers new bytes behind those that the owner left the last time. True: read on.
static bool take_input(struct net_connection *connection, const char *data, size_t len)
{
    if (connection->input.len == 0) {
        size_t taken = connection->handler->on_data(connection->context, data, len);
        data += taken;
        len -= taken;
        if (connection->state != CONNECTION_OPEN || connection->is_finishing)
            return false;
        if (len == 0)
            return is_listening(connection);
    }
    bool had_input = connection->input.len > 0;
    enum error_code code = buffer_append(&connection->input, data, len);
    if (code != ERROR_NONE) {
        connection_close(connection, NET_CLOSED_BY_ERROR, code, error_code_text(code));
        return false;
    }
    connection_count_input(connection);
    if (had_input)
        offer_input(connection);
    return is_listening(connection);
}

static void end_input(struct net_connection *connection)
{
    connection->peer_ended = true;
    event_del(connection->readable);
    if (!connection->handler->on_end(connection->context) && connection->state == CONNECTION_OPEN &&
        !connection->is_finishing)
        connection_close(connection, NET_CLOSED_BY_PEER, ERROR_CLOSED, "closed by the peer");
}

static bool holds_input(const struct net_connection *connection)
{
    const struct net_transport *transport = connection->transport;

    return transport->holds_input != NULL && transport->holds_input(connection->transport_state);
}

void connection_read_on(struct net_connection *connection)
{
    if (!connection->peer_ended && holds_input(connection))
        event_active(connection->readable, EV_READ, 1);
}

static enum net_io receive(struct net_connection *connection, size_t room, size_t *received)
{
    enum net_io result =
        connection->transport->receive(connection->fd, connection->transport_state,
                                       net_loop_scratch(connection->loop), room, received);

    // The transport may have answered by itself.
    if (result != NET_IO_FAILED && connection->state == CONNECTION_OPEN &&
        connection->output.len == 0 && connection_has_output(connection))
        wait_for_room(connection);
    return connection->state == CONNECTION_CLOSED ? NET_IO_AGAIN : result;
}

static void read_input(struct net_connection *connection)
{
    for (int turn = 0; turn < READS_PER_TURN; turn++) {
        size_t room = INPUT_MAX - connection->input.len;
        size_t received = 0;

        if (room == 0) { // until the owner resumes
            event_del(connection->readable);
            return;
        }
        switch (receive(connection, room, &received)) {
        case NET_IO_AGAIN:
            return;
        case NET_IO_FAILED:
            connection_fail(connection, "receive from", errno);
            return;
        case NET_IO_END:
            end_input(connection);
            return;
        case NET_IO_DONE:
            if (!take_input(connection, net_loop_scratch(connection->loop), received) ||
                (received < room && !holds_input(connection)))
                return;
        }
    }
    connection_read_on(connection);
}

// The owner has finished: what still comes is read and forgotten, within bounds.
static void drop_input(struct net_connection *connection)
{
    size_t received = 0;

    switch (receive(connection, NET_SCRATCH_SIZE, &received)) {
    case NET_IO_AGAIN:
        return;
    case NET_IO_DONE:
        connection->dropped += received;
        if (connection->dropped <= LINGER_BYTES_MAX) {
            connection_read_on(connection);
            return;
        }
        break;
    case NET_IO_FAILED:
        if (connection->state != CONNECTION_LINGERING) {
            connection_fail(connection, "receive from", errno);
            return;
        }
        break;
    case NET_IO_END:
        connection->peer_ended = true;
        event_del(connection->readable);
        if (connection->state != CONNECTION_LINGERING)
            return; // the answer is still on its way
        break;
    }
    connection_close(connection, NET_CLOSED_BY_US, ERROR_NONE, "");
}

static void offer_input_and_read_on(struct net_connection *connection)
{
    offer_input(connection);
    if (is_listening(connection))
        connection_read_on(connection);
}

void connection_on_readable(int fd, short what, void *context)
{
    struct net_connection *connection = context;
    bool offer_is_due = connection->offer_is_due;

    (void)fd;
    (void)what;
    connection->offer_is_due = false;
    connection->yields = false;
    if (connection->state == CONNECTION_HANDSHAKING)
        connection_continue_handshake(connection);
    else if (connection->is_finishing)
        drop_input(connection);
    else if (connection->is_paused)
        event_del(connection->readable);
    else if (offer_is_due)
        offer_input_and_read_on(connection);
    else
        read_input(connection);
    if (connection->yields && connection->state == CONNECTION_OPEN && !connection->is_finishing &&
        !connection->is_paused) {
        connection->offer_is_due = connection->input.len > 0;
        event_active(connection->readable, EV_READ, 1);
    }
}

// --- the deadline ---------------------------------------------------------------------------------

// Sending the last bytes: 0, or how much longer it may take.
static duration_ns finish_time_left(struct net_connection *connection)
{
    timestamp_ns now = timestamp_monotonic();
    duration_ns left = FINISH_TIME - net_connection_stalled(connection, now);
    duration_ns left_in_all = FINISH_TIME_MAX - (now - connection->finished_at);

    if (connection->finished_at == 0 || connection->output.len == 0 || left <= 0 ||
        left_in_all <= 0)
        return 0;
    return left < left_in_all ? left : left_in_all;
}

void connection_on_deadline(int fd, short what, void *context)
{
    struct net_connection *connection = context;

    (void)fd;
    (void)what;
    connection->has_deadline = false;
    if (connection->state == CONNECTION_HANDSHAKING) { // nothing can be said yet
        connection_close(connection, NET_CLOSED_BY_TIMEOUT, ERROR_TIMEOUT,
                         "tls handshake: timed out");
        return;
    }
    if (connection->state == CONNECTION_LINGERING) {
        connection_close(connection, NET_CLOSED_BY_US, ERROR_NONE, "");
        return;
    }
    duration_ns left = finish_time_left(connection);
    if (left > 0)
        connection_arm_deadline(connection, left);
    else if (!connection->is_finishing && connection->handler->on_timeout != NULL)
        connection->handler->on_timeout(connection->context);
    if (!connection->has_deadline)
        connection_close(connection, NET_CLOSED_BY_TIMEOUT, ERROR_TIMEOUT, "timed out");
}
