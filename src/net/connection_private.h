// A connection from the inside, for connection.c, tls_io.c and the listener.
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

// --- how bytes get in and out of a connection's socket: plain TCP, or TLS -------------------------

enum net_io {
    NET_IO_DONE,  // some bytes went through; fewer than asked for: more would have blocked
    NET_IO_AGAIN, // none now: wait for the socket
    NET_IO_END,   // the peer finished sending
    NET_IO_FAILED // reason() says why, else errno
};

struct net_transport {
    // What both sides agree on before the first byte of the owner's. NULL: nothing.
    enum net_io (*handshake)(int fd, void *state);
    enum net_io (*receive)(int fd, void *state, char *data, size_t room, size_t *received);
    // With no parts: only what the transport itself still holds.
    enum net_io (*send)(int fd, void *state, const struct iovec *parts, size_t count, size_t *sent);
    // No more will be sent: tells the peer. AGAIN: call it again when the socket takes more.
    enum net_io (*finish)(int fd, void *state);
    // Something is to be had from receive() though the socket may be quiet. NULL: never.
    bool (*holds_input)(const void *state);
    // What send() took, or the transport has to say for itself, is not with the socket yet. NULL: never.
    bool (*holds_output)(const void *state);
    // Why the last call failed; NULL: errno says. The function may be NULL.
    const char *(*reason)(const void *state);
    void (*release)(void *state);
};

extern const struct net_transport net_transport_plain;

// --- what a connection still has to send: a list of owned blocks ----------------------------------

struct net_block;

struct net_output {
    STAILQ_HEAD(, net_block) blocks; // owned
    size_t len;                      // bytes not yet sent
    size_t held;                     // bytes of memory: a block goes when all of it is sent
    size_t *total;                   // `held` of this one is part of it; NULL: no such sum
};

// --- a connection from the inside -----------------------------------------------------------------

struct event;

// Received and not yet taken by the owner; beyond it the socket is not read.
#define INPUT_MAX NET_SCRATCH_SIZE
// Reads of one connection before the others of the loop have their turn.
#define READS_PER_TURN 8
// Blocks handed to one system call.
#define SEND_PARTS_MAX 16
// Once the last byte is sent: how long, and how much, the peer may still send unheard. Closing with
// unread input makes the kernel send a reset, which can destroy the answer before it is read (RFC 9112
// 9.6). The bytes are those of the largest webhook payload, 25 MiB, and some.
#define LINGER_TIME (2 * NS_PER_SECOND)
#define LINGER_BYTES_MAX ((size_t)32 << 20)
// For sending the last bytes, where the owner left no deadline: without progress, and in all.
#define FINISH_TIME (30 * NS_PER_SECOND)
#define FINISH_TIME_MAX (300 * NS_PER_SECOND)
// Of output in the kernel that is not sent yet. More would only move unsent output from our memory to the kernel's.
#define KERNEL_UNSENT_MAX 65536
// For agreeing on TLS, whatever the owner's deadline says.
#define HANDSHAKE_TIME (10 * NS_PER_SECOND)

// connection.c says which state may follow which.
enum connection_state {
    CONNECTION_NEW,         // a socket, and no event
    CONNECTION_CONNECTING,  // connect() is under way; output is kept
    CONNECTION_HANDSHAKING, // TLS is being agreed on; output is kept
    CONNECTION_OPEN,        // the owner's bytes go both ways
    CONNECTION_FINISHING,   // the last output is on its way; what arrives is dropped
    CONNECTION_LINGERING,   // all sent and the peer told so; what arrives is dropped
    CONNECTION_CLOSED       // no socket, no events; waits for the reaper
};

struct net_connection {
    struct net_dying dying; // first: the reaper gets a pointer to it
    struct net_loop *loop;
    struct net_listener *listener; // counts this connection; NULL for outgoing ones
    const struct net_transport *transport;
    void *transport_state; // owned, freed by transport->release
    int fd;                // owned; -1 once closed
    enum connection_state state;
    const struct net_handler *handler; // NULL: nobody is told anything
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
    int connect_errno; // connect() failed at once; told from the loop

    struct buffer input;  // what the owner left untaken; mostly empty
    size_t counted_input; // bytes of `input` in output.total
    struct net_output output;
    timestamp_ns output_at; // monotonic: when some of it last went on, or it was empty
    int in_kernel;          // bytes sent and not yet acknowledged, when last looked at
    timestamp_ns
        finished_at; // monotonic: net_connection_finish() with no deadline of the owner's; else 0
    bool tells_drained; // all is sent: on_drained
    size_t dropped;     // bytes since FINISHING

    enum net_close_reason close_reason;
    struct error close_error;
};

// Makes a connection around `fd`, which it takes over, also on failure. No event is armed yet.
enum error_code connection_create(struct net_loop *loop, int fd, const struct net_address *peer,
                                  struct net_connection **out, struct error *error) MUST_CHECK;
// Starts reading. On failure the connection is closed.
enum error_code connection_open(struct net_connection *connection, struct error *error) MUST_CHECK;
// Ends it and hands it to the reaper. Does nothing when it is closed already.
void connection_close(struct net_connection *connection, enum net_close_reason reason,
                      enum error_code code, const char *message);

// TLS on a connection just created; `host` as for tls_session_create().
enum error_code connection_secure(struct net_connection *connection, struct net_tls *tls,
                                  const char *host, struct error *error) MUST_CHECK;
// Closes the connection if it cannot.
void connection_start_handshake(struct net_connection *connection, duration_ns time);

// listener.c: the reaper freed one of the listener's connections.
void listener_forget_connection(struct net_listener *listener);
// A connection's handshake begins, and is over, well or not. Only for connections with a listener.
void listener_add_handshake(struct net_connection *connection);
void listener_remove_handshake(struct net_connection *connection, bool is_agreed);

#endif
