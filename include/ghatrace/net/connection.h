// Connections: non-blocking sockets on a loop, with deadlines and bounded memory. Bytes only; what
// they mean is for the layer above. Plain TCP, or TLS over it.
#ifndef GHATRACE_NET_CONNECTION_H
#define GHATRACE_NET_CONNECTION_H

#include <stdbool.h>
#include <stddef.h>

#include "ghatrace/base/error.h"
#include "ghatrace/base/slice.h"
#include "ghatrace/base/time.h"
#include "ghatrace/net/address.h"
#include "ghatrace/net/loop.h"
#include "ghatrace/net/tls.h"

struct net_connection;
struct net_listener;

enum net_close_reason {
    NET_CLOSED_BY_US, // net_connection_close() or everything was sent after net_connection_finish()
    NET_CLOSED_BY_PEER,    // end of stream
    NET_CLOSED_BY_TIMEOUT, // the deadline passed and on_timeout did not set a new one
    NET_CLOSED_BY_ERROR,   // the system said so: reset, unreachable, refused; errno in the message
};

// What a connection reports to its owner. All are called from the loop; on_timeout, on_connected and
// on_drained may be NULL.
struct net_handler {
    // An outgoing connection is established, TLS handshake included.
    void (*on_connected)(void *context);
    // Bytes have come. Returns how many were taken; the rest is offered again with what follows, or
    // when net_connection_resume() is called. Never called while reading is paused.
    size_t (*on_data)(void *context, const char *data, size_t len);
    // The peer finished sending (half-close); answers may still be sent. Return false to close.
    bool (*on_end)(void *context);
    // As net_connection_tell_drained() asked for.
    void (*on_drained)(void *context);
    // The deadline passed. The handler may answer and finish, or set a new deadline; else closed.
    void (*on_timeout)(void *context);
    // Last call for this connection; it is freed after the loop's turn.
    void (*on_closed)(void *context, enum net_close_reason reason, const struct error *error);
};

// Outgoing. `handler` must outlive the connection. TCP_NODELAY is set.
enum error_code net_connection_connect(struct net_loop *loop, const struct net_address *address,
                                       const struct net_handler *handler, void *context,
                                       struct net_connection **connection,
                                       struct error *error) MUST_CHECK;
// The same with TLS; `tls` is held as long as it needs it (NULL: plain, and `host` means nothing). The
// server's certificate must be for `host`.
enum error_code net_connection_connect_tls(struct net_loop *loop, const struct net_address *address,
                                           struct net_tls *tls, const char *host,
                                           const struct net_handler *handler, void *context,
                                           struct net_connection **connection,
                                           struct error *error) MUST_CHECK;
// Adopts an accepted socket (used by listeners). Takes `fd` over, also on failure.
enum error_code net_connection_adopt(struct net_loop *loop, int fd,
                                     const struct net_handler *handler, void *context,
                                     struct net_connection **connection,
                                     struct error *error) MUST_CHECK;
void net_connection_set_context(struct net_connection *connection, void *context);

// Queues bytes (copied) and sends what the socket takes at once. ERROR_MEMORY, ERROR_CLOSED.
enum error_code net_connection_write(struct net_connection *connection, const void *data,
                                     size_t len) MUST_CHECK;
// Same, but takes over a block that memory_allocate made, also on failure, and frees it when sent;
// no copy.
enum error_code net_connection_write_owned(struct net_connection *connection, void *block,
                                           size_t len) MUST_CHECK;
// Bytes queued and not yet taken by the socket.
size_t net_connection_unsent(const struct net_connection *connection);
// How long no output has gone out, while some is queued, neither to the socket nor, as far as that was looked at here
// before, from the socket to the peer. 0: nothing is queued.
duration_ns net_connection_stalled(struct net_connection *connection, timestamp_ns now);
// Calls on_drained, once, from the loop, when the socket has taken all that is queued; something must be.
void net_connection_tell_drained(struct net_connection *connection);
// The peer may be one that does not read: the kernel queues little (TCP_NOTSENT_LOWAT, 64 KiB), and `*total` follows
// the memory of all connections that share it: unsent output and input not taken. It outlives the connection.
void net_connection_count_memory(struct net_connection *connection, size_t *total);
// This connection's part of that, in bytes.
size_t net_connection_memory(const struct net_connection *connection);
// No more writes will come: close once all is sent (reading and dropping for a moment what still
// arrives, so that the peer gets the answer rather than a reset). Where the owner has set no deadline, closes
// when nothing could be sent for 30 s, and after 5 min in any case.
void net_connection_finish(struct net_connection *connection);
// Close now; on_closed is called (from the reaper, not from inside this call).
void net_connection_close(struct net_connection *connection);
// Inside on_data: enough for this turn. What is not taken is offered again in one of the loop's next turns.
void net_connection_yield(struct net_connection *connection);
void net_connection_pause(struct net_connection *connection);
void net_connection_resume(struct net_connection *connection);
// The one deadline of a connection, counted from now, whatever trickles in. 0 takes it away.
void net_connection_set_deadline(struct net_connection *connection, duration_ns after);
const struct net_address *net_connection_peer(const struct net_connection *connection);

struct net_accept_handler {
    // Asked before anything is spent on a new connection; false: it is closed. May be NULL.
    bool (*may_come)(void *context, const struct net_address *peer);
    // A new connection: return its handler and context through the pointers, or false to refuse it.
    bool (*on_accept)(void *context, struct net_connection *connection,
                      const struct net_handler **handler, void **connection_context);
    // There are as many as may be, and another one waits: closes one of them, by the owner's choice.
    // False: none can be spared. May be NULL.
    bool (*make_room)(void *context);
};

struct net_listener_options {
    bool share_port; // several loops on one port; an own lock must keep a second daemon away
    size_t max_connections;
    const struct net_accept_handler *handler; // outlives the listener
    void *context;                            // the handler's
};

// Listens with SO_REUSEADDR, and SO_REUSEPORT when `share_port`. When descriptors run out, accepting rests for a second
// instead of spinning. At most `max_connections` at a time; further ones wait in the backlog,
// unless make_room() finds room for them.
enum error_code net_listener_create(struct net_loop *loop, const struct net_address *address,
                                    const struct net_listener_options *options,
                                    struct net_listener **listener, struct error *error) MUST_CHECK;
// Accepts from a listening socket that another process made (socket activation), which several loops
// may share. `fd` stays the caller's: the listener works on a copy. With the first listener the socket becomes
// non-blocking for every process that has it. ERROR_USAGE as net_listener_inspect().
enum error_code net_listener_adopt(struct net_loop *loop, int fd,
                                   const struct net_listener_options *options,
                                   struct net_listener **listener, struct error *error) MUST_CHECK;
// Is `fd` a socket that net_listener_adopt() takes: TCP over IPv4 or IPv6, and listening? Its address, or
// ERROR_USAGE with a sentence. Changes nothing.
enum error_code net_listener_inspect(int fd, struct net_address *address,
                                     struct error *error) MUST_CHECK;
// New connections speak TLS from now on, by this context, which is held; NULL: plain again. Those that
// exist go on as they are. When too many handshakes are under way, accepting waits, and those that
// take long make room. The owner hears nothing of a handshake but, if it fails, on_closed.
void net_listener_use_tls(struct net_listener *listener, struct net_tls *tls);
struct net_handshake_limits {
    duration_ns time;     // 10 s
    size_t at_a_time;     // 512: each costs 40 KiB and, if it goes on, a core some 5 ms
    duration_ns patience; // 1 s: what takes longer makes room when there are so many
};
void net_listener_limit_handshakes(struct net_listener *listener,
                                   const struct net_handshake_limits *limits);
// There is one now that make_room() could close, where before it may have found none.
void net_listener_look_again(struct net_listener *listener);
// The bound address, with the real port.
const struct net_address *net_listener_address(const struct net_listener *listener);
// Connections accepted and not yet closed.
size_t net_listener_connections(const struct net_listener *listener);
// Before the end: clients that begin to connect from now on get no answer, and try again a second later, while
// those whose handshake is under way still come in. Closing a listening socket resets what is in its queue, so
// without this some would be lost in any case. Does nothing to an adopted socket, whose queue outlives us.
void net_listener_turn_away(struct net_listener *listener);
// Accepts all that are in the queue, more than max_connections if need be. Does nothing to an adopted socket.
void net_listener_drain(struct net_listener *listener);
// Stops accepting; existing connections live on.
void net_listener_destroy(struct net_listener *listener);

#endif
