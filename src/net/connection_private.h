// Internals of a connection, for connection.c, tls_io.c and the listener.
#ifndef GHATRACE_NET_CONNECTION_PRIVATE_H
#define GHATRACE_NET_CONNECTION_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/queue.h>
#include <sys/uio.h>

#include "ghatrace/base/buffer.h"
#include "ghatrace/base/error.h"
#include "ghatrace/net/connection.h"
#include "loop_private.h"
#include "tls_private.h"

// --- transport of a connection: plain TCP or TLS --------------------------------------------------

enum net_io {
    NET_IO_DONE,  // some bytes were transferred; fewer than requested: more would block
    NET_IO_AGAIN, // none now: wait for the socket
    NET_IO_END,   // the peer finished sending
    NET_IO_FAILED // reason() says why, else errno
};

struct net_transport {
    // Negotiation before the first byte of the owner. NULL: none.
    enum net_io (*handshake)(int fd, void *state);
    enum net_io (*receive)(int fd, void *state, char *data, size_t room, size_t *received);
    // With no parts: sends only what the transport itself has buffered.
    enum net_io (*send)(int fd, void *state, const struct iovec *parts, size_t count, size_t *sent);
    // Signals the end of output to the peer. AGAIN: call it again when the socket is writable.
    enum net_io (*finish)(int fd, void *state);
    // True if receive() has input even if the socket is not readable. NULL: never.
    bool (*holds_input)(const void *state);
    // True if bytes from send(), or messages of the transport itself, are not yet written to the socket. NULL: never.
    bool (*holds_output)(const void *state);
    // Why the last call failed; NULL: see errno. The function may be NULL.
    const char *(*reason)(const void *state);
    void (*release)(void *state);
};

extern const struct net_transport net_transport_plain;

// --- unsent output of a connection: a list of owned blocks ----------------------------------------

struct net_block;

struct net_output {
    STAILQ_HEAD(, net_block) blocks; // owned
    size_t len;                      // bytes not yet sent
    size_t held;                     // bytes of memory: a block is freed when all of it is sent
    size_t *total;                   // the sum that `held` is part of; NULL: none
};

// --- connection -----------------------------------------------------------------------------------

struct event;

// Input received and not yet consumed by the owner; beyond this the socket is not read.
#define INPUT_MAX NET_SCRATCH_SIZE
// Reads from one connection before the loop's other connections get their turn.
#define READS_PER_TURN 8
// Blocks per system call.
#define SEND_PARTS_MAX 16
// After the last byte is sent: how long, and how much, input is read and dropped. Closing with unread input makes the
// kernel send a reset, which can destroy the response before the peer has read it (RFC 9112 9.6). The limit in bytes is
// the largest webhook payload, 25 MiB, and some more.
#define DRAIN_TIME (2 * NS_PER_SECOND)
#define DRAIN_BYTES_MAX ((size_t)32 << 20)
// For sending the last bytes, if the owner has set no deadline: without progress, and in total.
#define FINISH_TIME (30 * NS_PER_SECOND)
#define FINISH_TIME_MAX (300 * NS_PER_SECOND)
// Limit of unsent output in the kernel. More would only move unsent output from our memory to the kernel's.
#define KERNEL_UNSENT_MAX 65536
// For the TLS handshake, regardless of the owner's deadline.
#define HANDSHAKE_TIME (10 * NS_PER_SECOND)

// The table in connection.c defines the transitions.
enum connection_state {
    CONNECTION_NEW,         // a socket, and no event
    CONNECTION_HANDSHAKING, // TLS handshake is in progress; output is queued
    CONNECTION_OPEN,        // the owner's bytes are sent and received
    CONNECTION_FINISHING,   // the last output is being sent; input is dropped
    CONNECTION_DRAINING, // all sent and shut down for writing; input is dropped until the peer closes
    CONNECTION_CLOSED    // no socket, no events; waits for the reaper
};

struct net_connection {
    struct net_dying dying; // first: the reaper gets a pointer to it
    struct net_loop *loop;
    struct net_listener *listener; // counts this connection; NULL for adopted ones
    const struct net_transport *transport;
    void *transport_state; // owned, freed by transport->release
    int fd;                // owned; -1 once closed
    enum connection_state state;
    const struct net_handler *handler; // NULL: no callbacks
    void *context;
    struct net_address peer;

    struct event *readable;
    struct event *writable;
    struct event *deadline;
    struct event *handshake_deadline; // NULL: plain; armed while HANDSHAKING
    // In the listener's list while HANDSHAKING, if it has a listener.
    TAILQ_ENTRY(net_connection) handshaking;
    timestamp_ns began_at;   // of the handshake, monotonic
    bool is_paused;          // by the owner
    bool finishes_when_open; // net_connection_finish() was called before
    bool has_deadline;
    bool yields;       // net_connection_yield(), in this turn
    bool offer_is_due; // resumed with input waiting: offer that first
    bool peer_ended;   // the peer finished sending

    struct buffer input;  // not consumed by the owner; mostly empty
    size_t counted_input; // bytes of `input` in output.total
    struct net_output output;
    timestamp_ns output_at; // monotonic: last progress, or when it was last empty
    int in_kernel;          // bytes sent and not yet acknowledged, at the last check
    // monotonic: net_connection_finish() with no deadline of the owner's; else 0
    timestamp_ns finished_at;
    bool notifies_sent; // call on_sent when all is sent
    size_t dropped;     // bytes since FINISHING

    enum net_close_reason close_reason;
    struct error close_error;
};

// Creates a connection that owns `fd`, also on failure. No event is armed yet.
enum error_code connection_create(struct net_loop *loop, int fd, const struct net_address *peer,
                                  struct net_connection **out, struct error *error) MUST_CHECK;
// Starts reading. On failure the connection is closed.
enum error_code connection_open(struct net_connection *connection, struct error *error) MUST_CHECK;
// Closes it and passes it to the reaper. Does nothing if it is already closed.
void connection_close(struct net_connection *connection, enum net_close_reason reason,
                      enum error_code code, const char *message);

// TLS on a connection just created.
enum error_code connection_secure(struct net_connection *connection, struct net_tls *tls,
                                  struct error *error) MUST_CHECK;
// Closes the connection on failure.
void connection_start_handshake(struct net_connection *connection, duration_ns time);

// listener.c: called when the reaper has freed one of the listener's connections.
void listener_forget_connection(struct net_listener *listener);
// Called when a handshake begins, and when it ends or fails. Only for connections with a listener.
void listener_add_handshake(struct net_connection *connection);
void listener_remove_handshake(struct net_connection *connection, bool is_agreed);

#endif
