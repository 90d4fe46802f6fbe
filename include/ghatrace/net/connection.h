// Connections: non-blocking sockets on a loop, with deadlines and bounded memory. They transport bytes, over plain TCP
// or TLS; the layer above interprets them.
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
    NET_CLOSED_BY_US, // net_connection_close(), or everything was sent after net_connection_finish()
    NET_CLOSED_BY_PEER,    // end of stream
    NET_CLOSED_BY_TIMEOUT, // the deadline passed and on_timeout did not set a new one
    NET_CLOSED_BY_ERROR,   // a system error: reset, unreachable, refused; errno in the message
};

// Callbacks to the owner of a connection. All are called from the loop; on_timeout and on_sent may be NULL.
struct net_handler {
    // Bytes were received. Returns how many were consumed; the rest is offered again with the next bytes, or when
    // net_connection_resume() is called. Never called while reading is paused.
    size_t (*on_data)(void *context, const char *data, size_t len);
    // The peer finished sending (half-close); output may still be sent. Return false to close.
    bool (*on_end)(void *context);
    // Requested by net_connection_notify_sent().
    void (*on_sent)(void *context);
    // The deadline passed. The handler may write and finish, or set a new deadline; else the connection is closed.
    void (*on_timeout)(void *context);
    // The last callback of this connection; it is freed after the loop's turn.
    void (*on_closed)(void *context, enum net_close_reason reason, const struct error *error);
};

// A connection on a connected socket. Takes ownership of `fd`, also on failure. The handler's context is NULL until
// net_connection_set_context(); no callback comes before the loop's next turn.
enum error_code net_connection_adopt(struct net_loop *loop, int fd,
                                     const struct net_handler *handler,
                                     struct net_connection **connection,
                                     struct error *error) MUST_CHECK;
void net_connection_set_context(struct net_connection *connection, void *context);

// Sends what the socket accepts at once and queues a copy of the rest. ERROR_MEMORY, ERROR_CLOSED.
enum error_code net_connection_write(struct net_connection *connection, const void *data,
                                     size_t len) MUST_CHECK;
// The same without a copy: takes ownership of a block from memory_allocate, also on failure, and frees it when sent.
enum error_code net_connection_write_owned(struct net_connection *connection, void *block,
                                           size_t len) MUST_CHECK;
// Bytes queued and not yet accepted by the socket.
size_t net_connection_unsent(const struct net_connection *connection);
// How long output has made no progress, neither to the socket nor from the socket to the peer; the latter is only
// measured between calls of this function. 0: nothing is queued, and on_sent is not due.
duration_ns net_connection_stalled(struct net_connection *connection, timestamp_ns now);
// Calls on_sent once, from the loop, when the socket has accepted all queued output and would accept more.
void net_connection_notify_sent(struct net_connection *connection);
// Bounds the memory for peers that do not read: the kernel queues little (TCP_NOTSENT_LOWAT, 64 KiB), and `*total` is
// the memory of all connections that share it: unsent output and unconsumed input. It must outlive the connection.
void net_connection_count_memory(struct net_connection *connection, size_t *total);
// This connection's share of `*total`, in bytes.
size_t net_connection_memory(const struct net_connection *connection);
// The owner writes no more. When all is sent, reads and discards input until the peer closes, for at most two seconds,
// so that the peer receives the output rather than a reset; then closes. If the owner has set no deadline, closes after
// 30 s without progress, and after 5 min in any case.
void net_connection_finish(struct net_connection *connection);
// Closes at once; on_closed is called from the reaper, not from inside this call.
void net_connection_close(struct net_connection *connection);
// The same, but the peer gets a reset, also after everything that was sent: it cannot take what it has for the whole.
void net_connection_reset(struct net_connection *connection);
// Inside on_data: ends this connection's turn. Unconsumed input is offered again in one of the loop's next turns.
void net_connection_yield(struct net_connection *connection);
void net_connection_pause(struct net_connection *connection);
void net_connection_resume(struct net_connection *connection);
// The only deadline of a connection, counted from now; received bytes do not extend it. 0 removes it.
void net_connection_set_deadline(struct net_connection *connection, duration_ns after);
const struct net_address *net_connection_peer(const struct net_connection *connection);

struct net_accept_handler {
    // Called before anything is allocated for a new connection; false: it is closed. May be NULL.
    bool (*may_connect)(void *context, const struct net_address *peer);
    // A new connection: sets its handler and context through the pointers, or returns false to refuse it.
    bool (*on_accept)(void *context, struct net_connection *connection,
                      const struct net_handler **handler, void **connection_context);
    // The limit is reached, and another connection waits: closes one of the owner's choice. False: none can be closed.
    // May be NULL.
    bool (*make_room)(void *context);
};

struct net_listener_options {
    bool share_port; // several loops on one port; a lock must keep out a second daemon
    size_t max_connections;
    const struct net_accept_handler *handler; // outlives the listener
    void *context;                            // the handler's
};

// Listens with SO_REUSEADDR, and with SO_REUSEPORT if `share_port`. When descriptors run out, accepting pauses for a
// second instead of spinning. At most `max_connections` at a time; further ones wait in the backlog unless make_room()
// closes one.
enum error_code net_listener_create(struct net_loop *loop, const struct net_address *address,
                                    const struct net_listener_options *options,
                                    struct net_listener **listener, struct error *error) MUST_CHECK;
// Accepts from a listening socket that another process created (socket activation); several loops may share it. The
// caller keeps ownership of `fd`: the listener uses a duplicate. The first listener makes the socket non-blocking for
// every process that has it. ERROR_USAGE as net_listener_inspect().
enum error_code net_listener_adopt(struct net_loop *loop, int fd,
                                   const struct net_listener_options *options,
                                   struct net_listener **listener, struct error *error) MUST_CHECK;
// Checks that net_listener_adopt() accepts `fd`: TCP over IPv4 or IPv6, and listening. Sets its address, or gives
// ERROR_USAGE with the reason. Does not change the socket.
enum error_code net_listener_inspect(int fd, struct net_address *address,
                                     struct error *error) MUST_CHECK;
// New connections use TLS from now on, with this context, to which the listener keeps a reference; NULL: plain TCP.
// Existing connections are unchanged. When too many handshakes are in progress, accepting waits, and slow ones are
// closed. The owner gets no callback for a handshake except on_closed if it fails.
void net_listener_use_tls(struct net_listener *listener, struct net_tls *tls);
struct net_handshake_limits {
    duration_ns time;     // 10 s
    size_t at_a_time;     // 512: each costs 40 KiB and, when it proceeds, some 5 ms of CPU
    duration_ns patience; // 1 s: at the limit, slower ones are closed
};
void net_listener_limit_handshakes(struct net_listener *listener,
                                   const struct net_handshake_limits *limits);
// Reports that make_room() may now find a connection to close, where before it may have found none.
void net_listener_look_again(struct net_listener *listener);
// The bound address, with the real port.
const struct net_address *net_listener_address(const struct net_listener *listener);
// Connections accepted and not yet closed.
size_t net_listener_connections(const struct net_listener *listener);
// Before closing: SYNs are dropped from now on, so new clients retry a second later, while TCP handshakes in progress
// still complete. Closing a listening socket resets the connections in its queue, so without this some would always be
// lost. Does nothing to an adopted socket, whose queue outlives this process.
void net_listener_turn_away(struct net_listener *listener);
// Accepts all connections in the queue, even above max_connections. Does nothing to an adopted socket.
void net_listener_accept_queued(struct net_listener *listener);
// Stops accepting; existing connections continue.
void net_listener_destroy(struct net_listener *listener);

#endif
