// An HTTP server on one loop: clients, one request at a time each, and who is closed when there are too many.
#ifndef GHATRACE_HTTP_SERVER_H
#define GHATRACE_HTTP_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "ghatrace/base/buffer.h"
#include "ghatrace/base/time.h"
#include "ghatrace/http/limits.h"
#include "ghatrace/http/parse.h"
#include "ghatrace/http/response.h"
#include "ghatrace/net/connection.h"
#include "ghatrace/net/loop.h"

// --- eviction -------------------------------------------------------------------------------------
// Which connection is closed when another one needs its place, and how long a body may take. Pure.

// What a connection waits for. One that is owed an answer is in no group, and is never closed for another.
enum eviction_group {
    EVICTION_NONE,
    EVICTION_HEAD,   // a TLS handshake, a request's head, or, idle, the next request
    EVICTION_BODY,   // the rest of a body, whose signature cannot be checked before its end
    EVICTION_OUTPUT, // the client has to read answers, or to close after the last one
    EVICTION_LATE,   // a 401 that is held back
    EVICTION_GROUPS
};

// Before this age a connection is closed only where no other can be, and never while it reads a body: honest ones
// have sent theirs by then, nearly always.
#define EVICTION_AGE NS_PER_SECOND

struct eviction_facts {
    enum eviction_group group;
    duration_ns waited;  // since it joined the group; a body's: since its head
    duration_ns stalled; // OUTPUT: since the client last took something
    uint64_t bytes;      // BODY: of it so far
};

// How many connections are in each group.
struct eviction_counts {
    size_t members[EVICTION_GROUPS];
};

enum eviction_choice {
    EVICTION_NOT_NOW,
    EVICTION_IF_NO_OTHER, // it has hardly had time
    EVICTION_READY
};

enum eviction_choice eviction_may_close(const struct eviction_facts *facts,
                                        const struct eviction_counts *counts);
// Is `a` to be closed before `b`? Both may be closed. Those whose 401 is held back come first; then what is ready
// before what has hardly had time; then the largest group, since whoever fills the places has most of them; in a
// group
//   - of heads: the longest wait,
//   - of bodies: the fewest bytes per second since the head, then the longest wait,
//   - of output: the longest stall.
bool eviction_is_before(const struct eviction_facts *a, const struct eviction_facts *b,
                        const struct eviction_counts *counts);

// --- slow bodies ---

// A body has to come at this rate, as the mean since its head, from BODY_GRACE on.
#define BODY_BYTES_PER_SECOND 4096
#define BODY_GRACE (5 * NS_PER_SECOND)

// How long after its head a body of which `bytes` have come is too slow: at least `grace`.
duration_ns eviction_body_time(uint64_t bytes, duration_ns grace);

// --- connection ---------------------------------------------------------------------------------
// One client's HTTP over one connection: requests one after the other, each answered
// before the next is read. What requests mean is the service's business.

// From the first byte of a request to the end of its head, which honest clients send at once.
#define HEAD_DEADLINE (10 * NS_PER_SECOND)
// From the first byte of a request to its last, however they come: GitHub itself gives up after 10 s.
#define REQUEST_DEADLINE (30 * NS_PER_SECOND)
// Between requests.
#define IDLE_DEADLINE (75 * NS_PER_SECOND)
// A client has to take its answers: without progress, and in all for what was queued at a time.
#define OUTPUT_DEADLINE (30 * NS_PER_SECOND)
#define OUTPUT_DEADLINE_MAX (300 * NS_PER_SECOND)
// Requests of one connection before the others of the loop have their turn.
#define REQUESTS_PER_TURN 16
// While more of a connection's answers is unsent, its next request is not read.
#define UNSENT_MAX ((size_t)64 * 1024)
// Memory for unsent answers, and for requests behind them, of all connections of one host. Of what comes on top of
// that, only the next answer is kept: a connection that would need more is closed.
#define HTTP_SERVER_MEMORY ((size_t)16 << 20)
// A body beyond this is large. Nearly all deliveries are under it (a job of 200 steps has 55 KB), so
// that strangers who send large bodies unsigned compete with one another only.
#define LARGE_BODY ((uint64_t)64 * 1024)

struct http_conn;

struct http_service {
    // Whether to talk with this one at all; `context` is the host's. May be NULL.
    bool (*may_come)(void *context, const struct net_address *peer);
    // The head is there, the body is not. False: it has answered, nothing more of this request
    // is wanted.
    bool (*on_head)(struct http_conn *conn, const struct http_head *head);
    // The request is complete. It is answered with http_conn_respond(), now or later; until then
    // head and body stay where they are.
    void (*on_request)(struct http_conn *conn, const struct http_head *head, struct slice body);
    // An answer goes out to a request that the service has not seen: malformed, or too slow.
    void (*on_refused)(struct http_conn *conn, int status, const char *reason);
    // Before a connection is freed. May be NULL.
    void (*on_free)(struct http_conn *conn);
};

// All connections of one loop and one listener.
struct http_server {
    struct net_loop *loop;
    const struct http_service *service;
    void *context; // the service's
    uint64_t max_body_bytes;
    duration_ns head_deadline;
    duration_ns request_deadline;
    duration_ns idle_deadline;
    duration_ns body_grace;
    duration_ns output_deadline;
    size_t most_memory;               // for unsent answers: HTTP_SERVER_MEMORY
    struct address_counts *addresses; // outlives the host; NULL: nobody counts
    struct body_memory *body_memory;  // likewise, for large bodies
    // Winding down or stopped, and the last connection is gone. While the listener is open, new ones may come, and it
    // is called again.
    void (*on_empty)(void *context);

    struct net_listener *listener;
    LIST_HEAD(, http_conn) conns; // all of them
    atomic_size_t connections;    // of these, those that are not closed; other threads may read it
    // Those that may be closed when a new connection needs a place; each list in the order of `since`.
    TAILQ_HEAD(http_conn_list, http_conn) waiting[EVICTION_GROUPS];
    struct eviction_counts counts; // the lengths of these lists
    struct net_timer *look_again;  // when the next one may be closed
    size_t memory;                 // what unsent answers take, and requests behind them
    struct buffer out;             // where answers are written before they are sent
    bool is_stopping;
    duration_ns last_idle; // while it stops: how long a connection may have no request
};

// src/http/conn.c says which state may follow which, in which list a connection waits meanwhile, and when its
// connection is read.
enum http_conn_state {
    HTTP_CONN_NEW,       // allocated, not accepted yet
    HTTP_CONN_IDLE,      // nothing of a request is there
    HTTP_CONN_HEAD,      // a part of a head is there
    HTTP_CONN_HEAD_DONE, // the service judges the head; only inside the connection's on_data
    HTTP_CONN_BODY,      // the head is accepted, a part of the body is to come
    HTTP_CONN_PENDING,   // the request is complete, and the service owes an answer
    HTTP_CONN_SENDING,   // answered, but too much of the answers is unsent for another request
    HTTP_CONN_LATE,      // the answer is delayed; it is the last one
    HTTP_CONN_STREAM,    // the answer goes on without end
    HTTP_CONN_FINISHING, // the last answer is given; the client still has to take it
    HTTP_CONN_CLOSED,    // the connection is closed, or will be before the loop's next turn
};

struct http_conn {
    struct http_server *host;
    struct net_connection *connection; // NULL: closed
    LIST_ENTRY(http_conn) all;
    struct address_place *place; // NULL: not counted, or passed on
    enum http_conn_state state;
    TAILQ_ENTRY(http_conn) waiting; // in the list of the state's eviction group, if it has one
    timestamp_ns since;             // monotonic: in that list
    timestamp_ns begun_at;          // monotonic: since when a request is incomplete; 0: none is
    bool is_in_feed;                // inside on_data(), which pauses reading at its end if need be
    uint64_t large_bytes;           // what this one's body takes of the memory for large ones
    int late_status;                // the answer that is delayed
    const char *late_message;
    size_t holds; // the connection, and whoever else needs the memory
    struct http_parser parser;
    void *request; // the service's, kept from request to request
};

// Fills in what http_server_listen() does not ask for. The host stays where it is from here on.
void http_server_init(struct http_server *host);
enum error_code http_server_listen(struct http_server *host, const struct net_address *address,
                                   bool share_port, size_t max_connections,
                                   struct error *error) MUST_CHECK;
// The same on a listening socket of another process; see net_listener_adopt().
enum error_code http_server_adopt(struct http_server *host, int fd, size_t max_connections,
                                  struct error *error) MUST_CHECK;
// From now on connections end with their next answer. Those without a request, also those yet to come, have `last_idle`
// to begin one: a request may be on its way, and closing at once would lose it.
void http_server_wind_down(struct http_server *host, duration_ns last_idle);
// No new connections; those that there are go on as when winding down. on_empty follows, from inside this call if there
// are none.
void http_server_stop(struct http_server *host);
// True: all connections have their last answer, and the system has its bytes; what is left is that clients close.
bool http_server_is_done(const struct http_server *host);
// Closes what is left.
void http_server_abort(struct http_server *host);
void http_server_release(struct http_server *host);

// Does nothing when the client is gone.
void http_conn_respond(struct http_conn *conn, const struct http_response *answer);
// The same with a body that is taken over: `body` is empty afterwards.
void http_conn_respond_owned(struct http_conn *conn, const struct http_response *answer,
                             struct buffer *body);
// Begins an answer that goes on until the connection is closed. False: it could not, and is closed.
bool http_conn_begin_stream(struct http_conn *conn, const struct http_response *answer);
// Sends more of it. False: the client is gone, or takes it so slowly that more than `most_unsent` bytes wait, or has
// taken nothing for OUTPUT_DEADLINE; then it is closed.
bool http_conn_stream(struct http_conn *conn, struct slice bytes, size_t most_unsent);
// Is there more unsent than the host's memory for it? Closes those whose clients have taken nothing for a second, as
// far as it helps. True: a large answer would now be one too many.
bool http_conn_memory_is_full(struct http_server *host);
// Answers with an error after a while, and closes; head, body and what follows are given up at once. The place is the
// first to be taken by a new connection when there are too many. `message` is static.
void http_conn_respond_late(struct http_conn *conn, int status, const char *message,
                            duration_ns after);
// Keeps head, body and `request` alive beyond the connection, in the loop's thread.
void http_conn_ref(struct http_conn *conn);
void http_conn_unref(struct http_conn *conn);

#endif
