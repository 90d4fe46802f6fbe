// A connection: plain TCP or TLS, queued output, the handshake, and the socket's events.
#include "ghatrace/net/connection.h"

#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <linux/sockios.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "connection_private.h"
#include "ghatrace/base/memory.h"
#include "loop_private.h"

// --- plain TCP ------------------------------------------------------------------------------------

static enum net_io failed(void)
{
    return errno == EAGAIN || errno == EWOULDBLOCK ? NET_IO_AGAIN : NET_IO_FAILED;
}

static enum net_io plain_receive(int fd, void *state, char *data, size_t room, size_t *received)
{
    ssize_t result;

    (void)state;
    do
        result = recv(fd, data, room, 0);
    while (result < 0 && errno == EINTR);
    if (result < 0)
        return failed();
    *received = (size_t)result;
    return result == 0 ? NET_IO_END : NET_IO_DONE;
}

static enum net_io plain_send(int fd, void *state, const struct iovec *parts, size_t count,
                              size_t *sent)
{
    // sendmsg does not modify the parts, although its type is not const.
    struct msghdr message = {.msg_iov = (struct iovec *)parts, .msg_iovlen = count};
    ssize_t result;

    (void)state;
    do
        result = sendmsg(fd, &message, MSG_NOSIGNAL);
    while (result < 0 && errno == EINTR);
    if (result < 0)
        return failed();
    *sent = (size_t)result;
    return NET_IO_DONE;
}

static enum net_io plain_finish(int fd, void *state)
{
    (void)state;
    return shutdown(fd, SHUT_WR) == 0 ? NET_IO_DONE : NET_IO_FAILED;
}

static void plain_release(void *state)
{
    (void)state;
}

const struct net_transport net_transport_plain = {
    .receive = plain_receive,
    .send = plain_send,
    .finish = plain_finish,
    .release = plain_release,
};

// --- unsent output --------------------------------------------------------------------------------

struct net_block {
    STAILQ_ENTRY(net_block) next;
    char *data;
    size_t len;
    size_t offset;  // bytes sent
    bool owns_data; // `data` is a separate block, else it is in `bytes`
    char bytes[];
};

static void net_output_init(struct net_output *output)
{
    *output = (struct net_output){0};
    STAILQ_INIT(&output->blocks);
}

static size_t held_by(const struct net_block *block)
{
    return sizeof *block + block->len;
}

static void add_held(struct net_output *output, size_t bytes)
{
    output->held += bytes;
    if (output->total != NULL)
        *output->total += bytes;
}

static void subtract_held(struct net_output *output, size_t bytes)
{
    assert(bytes <= output->held);
    output->held -= bytes;
    if (output->total != NULL)
        *output->total -= bytes;
}

static void drop_first(struct net_output *output)
{
    struct net_block *block = STAILQ_FIRST(&output->blocks);

    STAILQ_REMOVE_HEAD(&output->blocks, next);
    subtract_held(output, held_by(block));
    if (block->owns_data)
        memory_free(block->data);
    memory_free(block);
}

static void net_output_release(struct net_output *output)
{
    while (!STAILQ_EMPTY(&output->blocks))
        drop_first(output);
    assert(output->held == 0);
    output->len = 0;
}

static void append(struct net_output *output, struct net_block *block)
{
    assert(block->offset < block->len);
    STAILQ_INSERT_TAIL(&output->blocks, block, next);
    output->len += block->len - block->offset;
    add_held(output, held_by(block));
}

// False when out of memory: nothing was changed.
static bool net_output_append_copy(struct net_output *output, const void *data, size_t len)
{
    if (len == 0)
        return true;
    struct net_block *block =
        len <= SIZE_MAX - sizeof *block ? memory_allocate(sizeof *block + len) : NULL;
    if (block == NULL)
        return false;
    *block = (struct net_block){.data = block->bytes, .len = len};
    memcpy(block->bytes, data, len);
    append(output, block);
    return true;
}

// Takes ownership of `data`, of which `offset` bytes are already sent. False when out of memory: then the caller still
// owns `data`.
static bool net_output_append_owned(struct net_output *output, void *data, size_t len,
                                    size_t offset)
{
    if (offset == len) {
        memory_free(data);
        return true;
    }
    struct net_block *block = memory_allocate(sizeof *block);
    if (block == NULL)
        return false;
    *block = (struct net_block){.data = data, .len = len, .offset = offset, .owns_data = true};
    append(output, block);
    return true;
}

// Fills `parts` from the front; returns how many.
static size_t net_output_peek(const struct net_output *output, struct iovec *parts, size_t max)
{
    const struct net_block *block;
    size_t count = 0;

    STAILQ_FOREACH (block, &output->blocks, next) {
        if (count == max)
            break;
        parts[count].iov_base = block->data + block->offset;
        parts[count].iov_len = block->len - block->offset;
        count++;
    }
    return count;
}

// `len` bytes at the front were sent.
static void net_output_consume(struct net_output *output, size_t len)
{
    assert(len <= output->len);
    output->len -= len;
    while (len > 0) {
        struct net_block *block = STAILQ_FIRST(&output->blocks);
        size_t left = block->len - block->offset;
        if (len < left) {
            block->offset += len;
            return;
        }
        len -= left;
        drop_first(output);
    }
}

// --- states ---------------------------------------------------------------------------------------

#define TO(state) (1U << CONNECTION_##state)

// The states that may follow each state.
static const unsigned next_states[] = {
    [CONNECTION_NEW] = TO(HANDSHAKING) | TO(OPEN) | TO(CLOSED),
    [CONNECTION_HANDSHAKING] = TO(OPEN) | TO(FINISHING) | TO(CLOSED),
    [CONNECTION_OPEN] = TO(FINISHING) | TO(CLOSED),
    [CONNECTION_FINISHING] = TO(DRAINING) | TO(CLOSED),
    [CONNECTION_DRAINING] = TO(CLOSED),
    [CONNECTION_CLOSED] = 0,
};

// All state changes go through this function. It also maintains the listener's list of handshakes and their deadlines.
static void move_connection(struct net_connection *connection, enum connection_state to)
{
    enum connection_state from = connection->state;
    bool has_listener = connection->listener != NULL;

    assert((next_states[from] & 1U << to) != 0);
    assert(connection->fd >= 0);
    assert(to != CONNECTION_HANDSHAKING || connection->handshake_deadline != NULL);
    assert(to != CONNECTION_DRAINING || connection->output.len == 0);
    connection->state = to;
    if (to == CONNECTION_HANDSHAKING && has_listener)
        listener_add_handshake(connection);
    if (from == CONNECTION_HANDSHAKING) {
        event_del(connection->handshake_deadline);
        if (has_listener)
            listener_remove_handshake(connection, to != CONNECTION_CLOSED);
    }
}

// True if bytes may be sent and received.
static bool is_established(const struct net_connection *connection)
{
    return connection->state == CONNECTION_OPEN || connection->state == CONNECTION_FINISHING;
}

// net_connection_finish() was called.
static bool is_finishing(const struct net_connection *connection)
{
    return connection->finishes_when_open || connection->state == CONNECTION_FINISHING ||
           connection->state == CONNECTION_DRAINING;
}

// --- lifetime of a connection, and the calls of its owner -----------------------------------------

static void connection_count_input(struct net_connection *connection);

// The target of `output.total` may be freed by the last on_closed.
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

static void reap_connection(struct net_dying *dying)
{
    struct net_connection *connection = (struct net_connection *)dying;
    struct net_listener *listener = connection->listener;

    assert(connection->state == CONNECTION_CLOSED);
    release_memory(connection);
    if (connection->handler != NULL)
        connection->handler->on_closed(connection->context, connection->close_reason,
                                       &connection->close_error);
    free_connection(connection);
    if (listener != NULL)
        listener_forget_connection(listener);
}

static void connection_on_writable(int fd, short what, void *context);

static void connection_on_readable(int fd, short what, void *context);

static void connection_on_deadline(int fd, short what, void *context);

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
    connection->dying.reap = reap_connection;
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
    // Messages are small and sent whole: waiting to fill a segment would only delay them. Fails on sockets that are not
    // TCP, which is harmless.
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    *out = connection;
    return ERROR_NONE;
}

static void connection_start_reading(struct net_connection *connection);

enum error_code connection_open(struct net_connection *connection, struct error *error)
{
    move_connection(connection, CONNECTION_OPEN);
    connection_start_reading(connection);
    if (connection->state != CONNECTION_CLOSED)
        return ERROR_NONE;
    return error_set(error, ERROR_MEMORY, "connection: the event library refused the socket");
}

enum error_code net_connection_adopt(struct net_loop *loop, int fd,
                                     const struct net_handler *handler, struct net_connection **out,
                                     struct error *error)
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
    *out = connection;
    return ERROR_NONE;
}

static bool connection_is_secure(const struct net_connection *connection);

static bool connection_has_output(const struct net_connection *connection);

void connection_close(struct net_connection *connection, enum net_close_reason reason,
                      enum error_code code, const char *message)
{
    if (connection->state == CONNECTION_CLOSED)
        return;
    // Without it the peer could not distinguish our close from a truncation. Not sent in the middle of a message.
    if (is_established(connection) && connection_is_secure(connection) &&
        reason != NET_CLOSED_BY_ERROR && !connection_has_output(connection))
        (void)connection->transport->finish(connection->fd, connection->transport_state);
    connection->close_reason = reason;
    error_set(&connection->close_error, code, "%s", message);
    move_connection(connection, CONNECTION_CLOSED);
    event_del(connection->readable);
    event_del(connection->writable);
    event_del(connection->deadline);
    close(connection->fd);
    connection->fd = -1;
    net_output_release(&connection->output); // the memory may be needed before the reaper runs
    net_loop_reap_later(connection->loop, &connection->dying);
}

// Closes with the system's message for `number`.
static void connection_fail(struct net_connection *connection, const char *doing, int number)
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
    return !connection->finishes_when_open &&
           (connection->state == CONNECTION_OPEN || connection->state == CONNECTION_HANDSHAKING);
}

// Tries the socket first: most messages are sent whole and never copied.
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

// Out of memory: if a part of the write is already sent, the rest cannot be dropped, so the connection is closed.
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

static void connection_note_progress(struct net_connection *connection);

// Progress is measured from here.
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
        return wait_for_socket(connection); // no system call when all is sent
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

static int connection_kernel_output(const struct net_connection *connection);

duration_ns net_connection_stalled(struct net_connection *connection, timestamp_ns now)
{
    if (connection->output.len == 0 && !connection->notifies_sent)
        return 0;
    // The socket accepts more only when much of its buffer is sent, which can take a while on a slow link.
    int in_kernel = connection_kernel_output(connection);
    if (in_kernel < connection->in_kernel) {
        connection->in_kernel = in_kernel;
        connection->output_at = now;
    }
    return now - connection->output_at;
}

static void wait_for_writable(struct net_connection *connection);

void net_connection_notify_sent(struct net_connection *connection)
{
    if (!is_established(connection))
        return;
    connection->notifies_sent = true;
    if (connection->output.len > 0)
        return;
    connection_note_progress(connection);
    wait_for_writable(connection);
}

void net_connection_count_memory(struct net_connection *connection, size_t *total)
{
    int most = KERNEL_UNSENT_MAX;

    assert(connection->output.total == NULL);
    connection->output.total = total;
    *total += net_connection_memory(connection);
    // Fails on sockets that are not TCP.
    (void)setsockopt(connection->fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &most, sizeof most);
}

size_t net_connection_memory(const struct net_connection *connection)
{
    return connection->output.held + connection->counted_input;
}

// Call when the size of `input` has changed.
static void connection_count_input(struct net_connection *connection)
{
    if (connection->output.total != NULL)
        *connection->output.total += connection->input.capacity - connection->counted_input;
    connection->counted_input = connection->input.capacity;
}

static void connection_arm_deadline(struct net_connection *connection, duration_ns after);

static void connection_flush(struct net_connection *connection);

void net_connection_finish(struct net_connection *connection)
{
    if (connection->state == CONNECTION_CLOSED || is_finishing(connection))
        return;
    if (!connection->has_deadline) {
        connection->finished_at = timestamp_monotonic();
        connection_arm_deadline(connection, FINISH_TIME);
    }
    if (connection->state != CONNECTION_OPEN) {
        connection->finishes_when_open = true;
        return;
    }
    move_connection(connection, CONNECTION_FINISHING);
    // From here on input is read only to be dropped: otherwise a peer that is still sending may never read the
    // response.
    connection_start_reading(connection);
    if (connection->state == CONNECTION_FINISHING)
        connection_flush(connection);
}

void net_connection_close(struct net_connection *connection)
{
    connection_close(connection, NET_CLOSED_BY_US, ERROR_NONE, "");
}

void net_connection_reset(struct net_connection *connection)
{
    const struct linger at_once = {.l_onoff = 1, .l_linger = 0};

    if (connection->state == CONNECTION_CLOSED)
        return;
    // Fails on sockets that are not TCP, which is harmless.
    (void)setsockopt(connection->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    connection_close(connection, NET_CLOSED_BY_ERROR, ERROR_CLOSED, "reset");
}

void net_connection_yield(struct net_connection *connection)
{
    connection->yields = true;
}

void net_connection_pause(struct net_connection *connection)
{
    // The event stays armed until bytes arrive, so that a pause between two requests costs no system call.
    connection->is_paused = true;
}

static void connection_read_on(struct net_connection *connection);

void net_connection_resume(struct net_connection *connection)
{
    connection->is_paused = false;
    if (connection->state != CONNECTION_OPEN)
        return;
    connection_start_reading(connection);
    // Offered from the loop, not from here, because the owner may be inside another call.
    if (connection->state == CONNECTION_OPEN && connection->input.len > 0) {
        connection->offer_is_due = true;
        event_active(connection->readable, EV_READ, 1);
    } else if (connection->state == CONNECTION_OPEN) {
        connection_read_on(connection);
    }
}

void net_connection_set_deadline(struct net_connection *connection, duration_ns after)
{
    if (connection->state == CONNECTION_CLOSED || connection->state == CONNECTION_DRAINING)
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

// --- TLS handshake of a connection ----------------------------------------------------------------

static void on_handshake_deadline(evutil_socket_t fd, short what, void *context)
{
    (void)fd;
    (void)what;
    connection_close(context, NET_CLOSED_BY_TIMEOUT, ERROR_TIMEOUT, "tls handshake: timed out");
}

enum error_code connection_secure(struct net_connection *connection, struct net_tls *tls,
                                  struct error *error)
{
    struct tls_session *session = NULL;

    connection->handshake_deadline =
        evtimer_new(net_loop_base(connection->loop), on_handshake_deadline, connection);
    if (connection->handshake_deadline == NULL)
        return error_set(error, ERROR_MEMORY, "connection: out of memory");
    enum error_code code = tls_session_create(tls, &session, error);
    if (code != ERROR_NONE)
        return code;
    session->fd = connection->fd;
    connection->transport = &net_transport_tls;
    connection->transport_state = session;
    return ERROR_NONE;
}

static bool connection_is_secure(const struct net_connection *connection)
{
    return connection->transport->handshake != NULL;
}

void connection_start_handshake(struct net_connection *connection, duration_ns time)
{
    struct timeval wait = timeval_from_duration(time);

    move_connection(connection, CONNECTION_HANDSHAKING);
    event_del(connection->writable);
    if (event_add(connection->handshake_deadline, &wait) != 0)
        connection_close(connection, NET_CLOSED_BY_ERROR, ERROR_MEMORY, "out of memory");
    else
        connection_start_reading(connection);
}

static void wait_for_peer(struct net_connection *connection)
{
    if (!connection->transport->holds_output(connection->transport_state))
        event_del(connection->writable);
    else if (event_add(connection->writable, NULL) != 0)
        connection_close(connection, NET_CLOSED_BY_ERROR, ERROR_MEMORY, "out of memory");
}

static void connection_become_open(struct net_connection *connection);

// The socket is readable or writable.
static void connection_continue_handshake(struct net_connection *connection)
{
    switch (connection->transport->handshake(connection->fd, connection->transport_state)) {
    case NET_IO_AGAIN:
        wait_for_peer(connection);
        return;
    case NET_IO_DONE:
        connection_become_open(connection);
        return;
    case NET_IO_END:
    case NET_IO_FAILED:
        connection_fail(connection, "tls handshake with", errno);
        return;
    }
}

// --- events of a connection: input, output, the deadline ------------------------------------------

static void connection_start_reading(struct net_connection *connection)
{
    if (connection->peer_ended || event_pending(connection->readable, EV_READ, NULL))
        return;
    if (event_add(connection->readable, NULL) != 0)
        connection_close(connection, NET_CLOSED_BY_ERROR, ERROR_MEMORY, "out of memory");
}

static void connection_arm_deadline(struct net_connection *connection, duration_ns after)
{
    struct timeval wait = timeval_from_duration(after);

    connection->has_deadline = true;
    // Out of memory: too early is better than never.
    if (event_add(connection->deadline, &wait) != 0)
        event_active(connection->deadline, EV_TIMEOUT, 1);
}

// --- output ---------------------------------------------------------------------------------------

// True if bytes of the owner or of the transport are not yet accepted by the socket.
static bool connection_has_output(const struct net_connection *connection)
{
    const struct net_transport *transport = connection->transport;

    return connection->output.len > 0 || (transport->holds_output != NULL &&
                                          transport->holds_output(connection->transport_state));
}

// Bytes that the socket has accepted and the peer has not acknowledged.
static int connection_kernel_output(const struct net_connection *connection)
{
    int bytes;

    return ioctl(connection->fd, SIOCOUTQ, &bytes) == 0 ? bytes : 0;
}

// The socket has accepted some output, or the first output is queued.
static void connection_note_progress(struct net_connection *connection)
{
    connection->output_at = timestamp_monotonic();
    connection->in_kernel = connection_kernel_output(connection);
}

static void wait_for_writable(struct net_connection *connection)
{
    if (!event_pending(connection->writable, EV_WRITE, NULL) &&
        event_add(connection->writable, NULL) != 0)
        connection_close(connection, NET_CLOSED_BY_ERROR, ERROR_MEMORY, "out of memory");
}

static void start_draining(struct net_connection *connection)
{
    enum net_io result = connection->transport->finish(connection->fd, connection->transport_state);

    if (result == NET_IO_AGAIN) {
        wait_for_writable(connection);
        return;
    }
    event_del(connection->writable);
    if (connection->peer_ended || result != NET_IO_DONE) {
        connection_close(connection, NET_CLOSED_BY_US, ERROR_NONE, "");
        return;
    }
    move_connection(connection, CONNECTION_DRAINING);
    connection_arm_deadline(connection, DRAIN_TIME);
}

// True: the socket accepted everything.
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

static void notify_sent(struct net_connection *connection)
{
    if (!connection->notifies_sent || connection->output.len > 0 ||
        connection->state != CONNECTION_OPEN)
        return;
    connection->notifies_sent = false;
    connection->handler->on_sent(connection->context);
}

// Sends what the socket accepts; afterwards the connection may be draining or closed.
static void connection_flush(struct net_connection *connection)
{
    if (send_output(connection)) {
        event_del(connection->writable);
        if (connection->state == CONNECTION_FINISHING)
            start_draining(connection);
    } else if (is_established(connection)) {
        wait_for_writable(connection);
    }
}

// Enters OPEN, or FINISHING if that was asked for during the handshake.
static void connection_become_open(struct net_connection *connection)
{
    move_connection(connection,
                    connection->finishes_when_open ? CONNECTION_FINISHING : CONNECTION_OPEN);
    connection->finishes_when_open = false;
    connection_start_reading(connection);
    if (is_established(connection))
        connection_flush(connection);
}

static void connection_on_writable(int fd, short what, void *context)
{
    struct net_connection *connection = context;

    (void)fd;
    (void)what;
    if (connection->state == CONNECTION_HANDSHAKING)
        connection_continue_handshake(connection);
    else if (is_established(connection))
        connection_flush(connection);
    notify_sent(connection);
}

// --- input ----------------------------------------------------------------------------------------

static bool is_listening(const struct net_connection *connection)
{
    return connection->state == CONNECTION_OPEN && !connection->is_paused && !connection->yields;
}

static void offer_input(struct net_connection *connection)
{
    size_t consumed = connection->handler->on_data(connection->context, connection->input.data,
                                                   connection->input.len);

    // finish() and close() discard the input.
    if (connection->state != CONNECTION_OPEN)
        return;
    buffer_consume(&connection->input, consumed);
    if (connection->input.len == 0)
        buffer_release(&connection->input);
    connection_count_input(connection);
}

// Offers new bytes after those that the owner has not consumed. True: continue reading.
static bool offer_received(struct net_connection *connection, const char *data, size_t len)
{
    if (connection->input.len == 0) {
        size_t consumed = connection->handler->on_data(connection->context, data, len);
        data += consumed;
        len -= consumed;
        if (connection->state != CONNECTION_OPEN)
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
    if (!connection->handler->on_end(connection->context) && connection->state == CONNECTION_OPEN)
        connection_close(connection, NET_CLOSED_BY_PEER, ERROR_CLOSED, "closed by the peer");
}

static bool holds_input(const struct net_connection *connection)
{
    const struct net_transport *transport = connection->transport;

    return transport->holds_input != NULL && transport->holds_input(connection->transport_state);
}

// The transport may have input even if the socket is not readable: reads again in the loop's next turn.
static void connection_read_on(struct net_connection *connection)
{
    if (!connection->peer_ended && holds_input(connection))
        event_active(connection->readable, EV_READ, 1);
}

static enum net_io receive_input(struct net_connection *connection, size_t room, size_t *received)
{
    enum net_io result =
        connection->transport->receive(connection->fd, connection->transport_state,
                                       net_loop_scratch(connection->loop), room, received);

    // The transport may have written a response itself.
    if (result != NET_IO_FAILED && is_established(connection) && connection->output.len == 0 &&
        connection_has_output(connection))
        wait_for_writable(connection);
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
        switch (receive_input(connection, room, &received)) {
        case NET_IO_AGAIN:
            return;
        case NET_IO_FAILED:
            connection_fail(connection, "receive from", errno);
            return;
        case NET_IO_END:
            end_input(connection);
            return;
        case NET_IO_DONE:
            if (!offer_received(connection, net_loop_scratch(connection->loop), received) ||
                (received < room && !holds_input(connection)))
                return;
        }
    }
    connection_read_on(connection);
}

// The owner has finished: further input is read and dropped, within the DRAIN limits.
static void drop_input(struct net_connection *connection)
{
    size_t received = 0;

    switch (receive_input(connection, NET_SCRATCH_SIZE, &received)) {
    case NET_IO_AGAIN:
        return;
    case NET_IO_DONE:
        connection->dropped += received;
        if (connection->dropped <= DRAIN_BYTES_MAX) {
            connection_read_on(connection);
            return;
        }
        break;
    case NET_IO_FAILED:
        if (connection->state != CONNECTION_DRAINING) {
            connection_fail(connection, "receive from", errno);
            return;
        }
        break;
    case NET_IO_END:
        connection->peer_ended = true;
        event_del(connection->readable);
        if (connection->state != CONNECTION_DRAINING)
            return; // output is still being sent
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

// Called by libevent.
static void connection_on_readable(int fd, short what, void *context)
{
    struct net_connection *connection = context;
    bool offer_is_due = connection->offer_is_due;

    (void)fd;
    (void)what;
    connection->offer_is_due = false;
    connection->yields = false;
    if (connection->state == CONNECTION_HANDSHAKING)
        connection_continue_handshake(connection);
    else if (is_finishing(connection))
        drop_input(connection);
    else if (connection->is_paused)
        event_del(connection->readable);
    else if (offer_is_due)
        offer_input_and_read_on(connection);
    else
        read_input(connection);
    if (connection->yields && connection->state == CONNECTION_OPEN && !connection->is_paused) {
        connection->offer_is_due = connection->input.len > 0;
        event_active(connection->readable, EV_READ, 1);
    }
}

// --- the deadline ---------------------------------------------------------------------------------

// Time left for sending the last bytes; 0: expired.
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

// Called by libevent.
static void connection_on_deadline(int fd, short what, void *context)
{
    struct net_connection *connection = context;

    (void)fd;
    (void)what;
    connection->has_deadline = false;
    if (connection->state == CONNECTION_HANDSHAKING) { // nothing can be sent yet
        connection_close(connection, NET_CLOSED_BY_TIMEOUT, ERROR_TIMEOUT,
                         "tls handshake: timed out");
        return;
    }
    if (connection->state == CONNECTION_DRAINING) {
        connection_close(connection, NET_CLOSED_BY_US, ERROR_NONE, "");
        return;
    }
    duration_ns left = finish_time_left(connection);
    if (left > 0)
        connection_arm_deadline(connection, left);
    else if (!is_finishing(connection) && connection->handler->on_timeout != NULL)
        connection->handler->on_timeout(connection->context);
    if (!connection->has_deadline)
        connection_close(connection, NET_CLOSED_BY_TIMEOUT, ERROR_TIMEOUT, "timed out");
}
