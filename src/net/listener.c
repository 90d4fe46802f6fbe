// Accepting connections: within the limit, and without spinning when descriptors run out.
#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <string.h>
#include <unistd.h>

#include "connection_private.h"
#include "ghatrace/base/log.h"
#include "ghatrace/base/memory.h"
#include "loop_private.h"

// If the queue is full, clients retry after 1 s, then 3 s, then 7 s. The kernel's own limit, net.core.somaxconn, is
// 4096 by default.
#define BACKLOG 4096
// Connections accepted before the loop's other events get their turn.
#define ACCEPTS_PER_TURN 64
// The same if several loops accept from one socket. Every loop wakes for a connection, idle ones first, so that a busy
// loop gets fewer; accepting few at a time leaves the rest of a burst to the others. libevent has no EPOLLEXCLUSIVE,
// which would wake only one loop, usually the same one. The cost is one failed accept4() per other loop: with 2 and 4
// threads this uses no more CPU time than one socket per thread.
#define ACCEPTS_PER_TURN_SHARED 4
#define PAUSE_TIME NS_PER_SECOND
// Failed handshakes are logged at most once per interval, because unauthenticated clients can cause any number.
#define HANDSHAKE_REPORT_INTERVAL (10 * NS_PER_SECOND)

struct net_listener {
    struct net_loop *loop;
    int fd;         // owned
    bool is_shared; // the socket is another process's: `fd` is a copy
    struct net_address address;
    struct event *readable;
    struct event *pause; // fires when the pause ends
    bool is_paused;
    bool is_destroyed; // freed when its last connection is
    bool is_accepting; // inside on_readable: not to be freed
    bool is_stuck;     // make_room() closed none
    size_t connections;
    size_t max_connections;
    const struct net_accept_handler *handler;
    void *context;

    struct net_tls *tls; // held; NULL: plain TCP
    // Connections whose handshake is in progress, oldest first.
    TAILQ_HEAD(, net_connection) handshaking;
    size_t handshakes;
    struct net_handshake_limits limits;
    struct event *patience;           // armed while there are too many
    struct log_limit refusals, rests; // lines about them
    timestamp_ns reported_at;
    size_t unreported; // handshakes that failed since then
};

static void free_listener(struct net_listener *listener)
{
    assert(listener->connections == 0 && listener->handshakes == 0);
    if (listener->readable != NULL)
        event_free(listener->readable);
    if (listener->pause != NULL)
        event_free(listener->pause);
    if (listener->patience != NULL)
        event_free(listener->patience);
    net_tls_unref(listener->tls);
    if (listener->fd >= 0)
        close(listener->fd);
    memory_free(listener);
}

static bool has_free_place(const struct net_listener *listener)
{
    return listener->connections < listener->max_connections &&
           listener->handshakes < listener->limits.at_a_time;
}

static void pause_accepting(struct net_listener *listener)
{
    struct timeval wait = timeval_from_duration(PAUSE_TIME);

    listener->is_paused = true;
    event_del(listener->readable);
    if (event_add(listener->pause, &wait) != 0)
        event_active(listener->pause, EV_TIMEOUT, 1);
}

static void accept_again(struct net_listener *listener)
{
    if (listener->is_destroyed || listener->is_paused || !has_free_place(listener) ||
        event_pending(listener->readable, EV_READ, NULL))
        return;
    if (event_add(listener->readable, NULL) != 0)
        pause_accepting(listener);
}

static void on_pause_end(evutil_socket_t fd, short what, void *context)
{
    struct net_listener *listener = context;

    (void)fd;
    (void)what;
    listener->is_paused = false;
    accept_again(listener);
}

void listener_forget_connection(struct net_listener *listener)
{
    assert(listener->connections > 0);
    listener->connections--;
    listener->is_stuck = false;
    if (listener->is_destroyed && listener->connections == 0 && !listener->is_accepting)
        free_listener(listener);
    else
        accept_again(listener);
}

// --- handshakes ----------------------------------------------------------------------------------

void listener_add_handshake(struct net_connection *connection)
{
    struct net_listener *listener = connection->listener;

    connection->began_at = timestamp_monotonic();
    TAILQ_INSERT_TAIL(&listener->handshaking, connection, handshaking);
    listener->handshakes++;
}

static void report_failure(struct net_listener *listener, const struct net_connection *connection)
{
    char peer[NET_ADDRESS_TEXT_SIZE];
    timestamp_ns now = timestamp_monotonic();

    listener->unreported++;
    if (listener->reported_at != 0 && now - listener->reported_at < HANDSHAKE_REPORT_INTERVAL)
        return;
    log_info("tls handshake failed",
             LOG_STRING("peer", net_address_format(&connection->peer, peer)),
             LOG_REASON(&connection->close_error), LOG_INT("count", listener->unreported));
    listener->reported_at = now;
    listener->unreported = 0;
}

void listener_remove_handshake(struct net_connection *connection, bool is_agreed)
{
    struct net_listener *listener = connection->listener;

    assert(listener->handshakes > 0);
    TAILQ_REMOVE(&listener->handshaking, connection, handshaking);
    listener->handshakes--;
    if (!is_agreed && connection->close_reason != NET_CLOSED_BY_US)
        report_failure(listener, connection);
    accept_again(listener);
}

static void wait_for_handshakes(struct net_listener *listener)
{
    const struct net_connection *oldest = TAILQ_FIRST(&listener->handshaking);
    timestamp_ns until = oldest->began_at + listener->limits.patience;
    timestamp_ns now = timestamp_monotonic();
    struct timeval wait = timeval_from_duration(until > now ? until - now : 0);

    if (event_add(listener->patience, &wait) != 0)
        event_active(listener->patience, EV_TIMEOUT, 1);
}

static void on_impatient(evutil_socket_t fd, short what, void *context)
{
    struct net_listener *listener = context;
    struct net_connection *oldest;
    timestamp_ns now = timestamp_monotonic();

    (void)fd;
    (void)what;
    if (listener->is_destroyed || listener->handshakes < listener->limits.at_a_time)
        return;
    while ((oldest = TAILQ_FIRST(&listener->handshaking)) != NULL &&
           now - oldest->began_at >= listener->limits.patience)
        connection_close(oldest, NET_CLOSED_BY_TIMEOUT, ERROR_TIMEOUT,
                         "tls handshake: too slow while many wait");
    if (listener->handshakes >= listener->limits.at_a_time)
        wait_for_handshakes(listener);
}

static enum error_code open_accepted(struct net_connection *connection, struct error *error)
{
    struct net_listener *listener = connection->listener;

    if (listener->tls == NULL)
        return connection_open(connection, error);
    enum error_code code = connection_secure(connection, listener->tls, error);
    if (code != ERROR_NONE) {
        connection_close(connection, NET_CLOSED_BY_ERROR, code, error->message);
        return code;
    }
    connection_start_handshake(connection, listener->limits.time);
    if (connection->state != CONNECTION_CLOSED)
        return ERROR_NONE;
    *error = connection->close_error;
    return error->code;
}

void net_listener_limit_handshakes(struct net_listener *listener,
                                   const struct net_handshake_limits *limits)
{
    listener->limits = *limits;
}

void net_listener_use_tls(struct net_listener *listener, struct net_tls *tls)
{
    if (tls != NULL)
        net_tls_ref(tls);
    net_tls_unref(listener->tls);
    listener->tls = tls;
}

// --- accepting -----------------------------------------------------------------------------------

static void log_refusal(struct net_listener *listener, const struct error *error)
{
    uint64_t suppressed;

    if (log_limit_allows(&listener->refusals, timestamp_monotonic(), &suppressed))
        log_warn("connection refused", LOG_REASON(error), LOG_INT("suppressed", suppressed));
}

static void log_pause(struct net_listener *listener, int number)
{
    uint64_t suppressed;

    if (log_limit_allows(&listener->rests, timestamp_monotonic(), &suppressed))
        log_warn("connections cannot be accepted", LOG_STRING("error", strerror(number)),
                 LOG_INT("connections", listener->connections), LOG_INT("suppressed", suppressed));
}

static void accept_connection(struct net_listener *listener, int fd, const struct net_address *peer)
{
    const struct net_handler *handler = NULL;
    struct net_connection *connection;
    void *context = NULL;
    struct error error;

    if (listener->handler->may_connect != NULL &&
        !listener->handler->may_connect(listener->context, peer)) {
        close(fd);
        return;
    }
    enum error_code code = connection_create(listener->loop, fd, peer, &connection, &error);
    if (code != ERROR_NONE) {
        log_refusal(listener, &error);
        return;
    }
    connection->listener = listener;
    listener->connections++;
    code = open_accepted(connection, &error);
    if (code != ERROR_NONE) {
        log_refusal(listener, &error);
        return;
    }
    if (!listener->handler->on_accept(listener->context, connection, &handler, &context)) {
        net_connection_close(connection);
        return;
    }
    connection->handler = handler;
    connection->context = context;
}

// accept() also returns pending errors of the new connection, which do not concern the listener: see "Error handling"
// in accept(2).
static bool is_of_one_connection(int number)
{
    switch (number) {
    case EINTR:
    case ECONNABORTED:
    case EPROTO:
    case EPERM: // a firewall rule
    case ENETDOWN:
    case ENOPROTOOPT:
    case EHOSTDOWN:
    case ENONET:
    case EHOSTUNREACH:
    case EOPNOTSUPP:
    case ENETUNREACH:
        return true;
    default:
        return false;
    }
}

// Out of descriptors or memory: the connection stays in the backlog. As at the connection limit, make_room() may close
// one before the loop's next turn. If it cannot, accepting pauses, because retrying at once would only spin.
static void run_short(struct net_listener *listener, int number)
{
    bool is_short_of_descriptors = number == EMFILE || number == ENFILE;

    log_pause(listener, number);
    if (!is_short_of_descriptors || listener->handler->make_room == NULL ||
        !listener->handler->make_room(listener->context))
        pause_accepting(listener);
}

// False: accept no more in this turn.
static bool accept_one(struct net_listener *listener)
{
    struct net_address peer = {.len = sizeof peer.storage};
    int fd = accept4(listener->fd, (struct sockaddr *)&peer.storage, &peer.len,
                     SOCK_NONBLOCK | SOCK_CLOEXEC);

    if (fd >= 0) {
        accept_connection(listener, fd, &peer);
        return true;
    }
    if (is_of_one_connection(errno))
        return true;
    if (errno != EAGAIN && errno != EWOULDBLOCK) {
        run_short(listener, errno);
    }
    return false;
}

// Closes one at a time: it is freed before the loop's next turn, and the other connections are read in each turn.
static void wait_for_free_place(struct net_listener *listener)
{
    event_del(listener->readable); // until one closes or completes its handshake
    if (listener->handshakes >= listener->limits.at_a_time)
        wait_for_handshakes(listener);
    else if (listener->handler->make_room != NULL)
        listener->is_stuck = !listener->handler->make_room(listener->context);
}

void net_listener_look_again(struct net_listener *listener)
{
    if (!listener->is_stuck || listener->is_destroyed)
        return;
    listener->is_stuck = false;
    if (event_add(listener->readable, NULL) != 0)
        pause_accepting(listener);
}

static void on_connection(evutil_socket_t fd, short what, void *context)
{
    struct net_listener *listener = context;

    (void)fd;
    (void)what;
    listener->is_accepting = true;
    int most = listener->is_shared ? ACCEPTS_PER_TURN_SHARED : ACCEPTS_PER_TURN;
    for (int i = 0; i < most && !listener->is_destroyed; i++) {
        if (!has_free_place(listener)) {
            // Only at the start of a turn is it known that another connection waits.
            if (i == 0)
                wait_for_free_place(listener);
            break;
        }
        if (!accept_one(listener))
            break;
    }
    listener->is_accepting = false;
    if (listener->is_destroyed && listener->connections == 0)
        free_listener(listener);
}

static bool set_option(int fd, int level, int option, int value)
{
    return setsockopt(fd, level, option, &value, sizeof value) == 0;
}

static enum error_code bind_socket(struct net_listener *listener, const struct net_address *address,
                                   bool share_port, struct error *error)
{
    char text[NET_ADDRESS_TEXT_SIZE];
    int family = address->storage.ss_family;

    net_address_format(address, text);
    listener->fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (listener->fd < 0)
        return error_set(error, ERROR_IO, "listen on %s: socket: %s", text, strerror(errno));
    if (!set_option(listener->fd, SOL_SOCKET, SO_REUSEADDR, 1) ||
        (share_port && !set_option(listener->fd, SOL_SOCKET, SO_REUSEPORT, 1)) ||
        // `::` accepts IPv4 as well, regardless of the system's default.
        (family == AF_INET6 && !set_option(listener->fd, IPPROTO_IPV6, IPV6_V6ONLY, 0)))
        return error_set(error, ERROR_IO, "listen on %s: socket option: %s", text, strerror(errno));
    if (bind(listener->fd, (const struct sockaddr *)&address->storage, address->len) != 0 ||
        listen(listener->fd, BACKLOG) != 0)
        return error_set(error, errno == EADDRINUSE ? ERROR_BUSY : ERROR_IO, "listen on %s: %s",
                         text, strerror(errno));
    listener->address.len = sizeof listener->address.storage;
    if (getsockname(listener->fd, (struct sockaddr *)&listener->address.storage,
                    &listener->address.len) != 0)
        return error_set(error, ERROR_IO, "listen on %s: %s", text, strerror(errno));
    return ERROR_NONE;
}

static int option_of(int fd, int option)
{
    int value = 0;
    socklen_t len = sizeof value;

    return getsockopt(fd, SOL_SOCKET, option, &value, &len) == 0 ? value : -1;
}

enum error_code net_listener_inspect(int fd, struct net_address *address, struct error *error)
{
    if (fcntl(fd, F_GETFD) < 0)
        return error_set(error, ERROR_USAGE, "descriptor %d is not open", fd);
    int type = option_of(fd, SO_TYPE), family = option_of(fd, SO_DOMAIN);
    if (type < 0)
        return error_set(error, ERROR_USAGE, "descriptor %d is not a socket", fd);
    if (family == AF_UNIX)
        return error_set(
            error, ERROR_USAGE,
            "descriptor %d is a unix socket: only TCP is supported, write an address and "
            "port to ListenStream=",
            fd);
    if ((family != AF_INET && family != AF_INET6) || type != SOCK_STREAM)
        return error_set(error, ERROR_USAGE,
                         "descriptor %d is not a TCP socket: want ListenStream= with an address "
                         "and port",
                         fd);
    if (option_of(fd, SO_ACCEPTCONN) != 1)
        return error_set(error, ERROR_USAGE,
                         "descriptor %d is a socket that does not listen: want ListenStream= and "
                         "Accept=no",
                         fd);
    address->len = sizeof address->storage;
    if (getsockname(fd, (struct sockaddr *)&address->storage, &address->len) != 0)
        return error_set(error, ERROR_USAGE, "descriptor %d: %s", fd, strerror(errno));
    return ERROR_NONE;
}

static enum error_code copy_socket(struct net_listener *listener, int fd, struct error *error)
{
    enum error_code code = net_listener_inspect(fd, &listener->address, error);
    if (code != ERROR_NONE)
        return code;
    int flags = fcntl(fd, F_GETFL);
    listener->is_shared = true;
    listener->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (listener->fd < 0 || flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) != 0)
        return error_set(error, ERROR_IO, "descriptor %d: %s", fd, strerror(errno));
    return ERROR_NONE;
}

static enum error_code arm(struct net_listener *listener, struct error *error)
{
    struct event_base *base = net_loop_base(listener->loop);

    listener->readable =
        event_new(base, listener->fd, EV_READ | EV_PERSIST, on_connection, listener);
    listener->pause = evtimer_new(base, on_pause_end, listener);
    listener->patience = evtimer_new(base, on_impatient, listener);
    if (listener->readable == NULL || listener->pause == NULL || listener->patience == NULL ||
        event_add(listener->readable, NULL) != 0)
        return error_set(error, ERROR_MEMORY, "listener: out of memory");
    return ERROR_NONE;
}

static struct net_listener *make(struct net_loop *loop, const struct net_listener_options *options)
{
    struct net_listener *listener = memory_allocate_array(1, sizeof *listener);

    if (listener == NULL)
        return NULL;
    *listener = (struct net_listener){
        .loop = loop,
        .fd = -1,
        .max_connections = options->max_connections,
        .handler = options->handler,
        .context = options->context,
        .limits = {.time = HANDSHAKE_TIME, .at_a_time = 512, .patience = NS_PER_SECOND}};
    TAILQ_INIT(&listener->handshaking);
    return listener;
}

// Completes the listener with its socket, or destroys it and returns the error.
static enum error_code finish_listener(struct net_listener *listener, enum error_code code,
                                       struct net_listener **out, struct error *error)
{
    if (code == ERROR_NONE)
        code = arm(listener, error);
    if (code != ERROR_NONE) {
        free_listener(listener);
        return code;
    }
    *out = listener;
    return ERROR_NONE;
}

enum error_code net_listener_create(struct net_loop *loop, const struct net_address *address,
                                    const struct net_listener_options *options,
                                    struct net_listener **out, struct error *error)
{
    struct net_listener *listener = make(loop, options);

    if (listener == NULL)
        return error_set(error, ERROR_MEMORY, "listener: out of memory");
    return finish_listener(listener, bind_socket(listener, address, options->share_port, error),
                           out, error);
}

enum error_code net_listener_adopt(struct net_loop *loop, int fd,
                                   const struct net_listener_options *options,
                                   struct net_listener **out, struct error *error)
{
    struct net_listener *listener = make(loop, options);

    if (listener == NULL)
        return error_set(error, ERROR_MEMORY, "listener: out of memory");
    return finish_listener(listener, copy_socket(listener, fd, error), out, error);
}

const struct net_address *net_listener_address(const struct net_listener *listener)
{
    return &listener->address;
}

size_t net_listener_connections(const struct net_listener *listener)
{
    return listener->connections;
}

// Byte 13 of the TCP header has the flags. A segment with SYN and without ACK opens a connection; all others belong to
// handshakes in progress. The filter needs no privilege. Accepted connections inherit it, which is harmless, because
// they receive no such segments.
void net_listener_turn_away(struct net_listener *listener)
{
    struct sock_filter drop_first_segments[] = {
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS, 13),          BPF_STMT(BPF_ALU | BPF_AND | BPF_K, 0x12),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 0x02, 0, 1), BPF_STMT(BPF_RET | BPF_K, 0),
        BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
    };
    const struct sock_fprog program = {.len = sizeof drop_first_segments /
                                              sizeof drop_first_segments[0],
                                       .filter = drop_first_segments};

    // If the system forbids it, some connections are lost, but the shutdown continues.
    if (!listener->is_shared)
        (void)setsockopt(listener->fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program);
}

void net_listener_accept_queued(struct net_listener *listener)
{
    if (listener->is_shared)
        return;
    listener->is_accepting = true;
    // The queue holds one more than BACKLOG; the bound ends the loop if they arrive faster than they are accepted.
    for (int i = 0; i < 2 * (BACKLOG + 1) && !listener->is_destroyed; i++)
        if (!accept_one(listener))
            break;
    listener->is_accepting = false;
    if (listener->is_destroyed && listener->connections == 0)
        free_listener(listener);
}

void net_listener_destroy(struct net_listener *listener)
{
    if (listener == NULL)
        return;
    listener->is_destroyed = true;
    event_del(listener->readable);
    event_del(listener->pause);
    event_del(listener->patience);
    close(listener->fd);
    listener->fd = -1;
    if (listener->connections == 0 && !listener->is_accepting)
        free_listener(listener);
}
