// An HTTP server on one event loop: one request at a time per connection, and eviction when there are too many
// connections.
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
#include "ghatrace/http/write.h"
#include "ghatrace/net/connection.h"
#include "ghatrace/net/loop.h"

// --- eviction -------------------------------------------------------------------------------------
// Which connection to close when a new one needs its place, and how long a body may take. Pure.

// What a connection waits for. A connection with a pending response is in no group and is never evicted.
enum eviction_group {
    EVICTION_NONE,
    EVICTION_HEAD,   // a TLS handshake, the head of a request, or (idle) the next request
    EVICTION_BODY,   // the rest of a body; its signature cannot be checked before the end
    EVICTION_OUTPUT, // the client has to read responses, or to close after the last one
    EVICTION_LATE,   // a delayed 401
    EVICTION_GROUPS
};

// A younger connection is closed only if there is no other candidate, and never while it receives a body: well-behaved
// clients have nearly always sent their bodies by this age.
#define EVICTION_AGE NS_PER_SECOND

struct eviction_facts {
    enum eviction_group group;
    duration_ns waited;  // since it joined the group; BODY: since the head
    duration_ns stalled; // OUTPUT: since the client last read something
    uint64_t bytes;      // BODY: received so far
};

// How many connections are in each group.
struct eviction_counts {
    size_t members[EVICTION_GROUPS];
};

enum eviction_choice {
    EVICTION_NOT_NOW,
    EVICTION_IF_NO_OTHER, // too young
    EVICTION_READY
};

enum eviction_choice eviction_may_close(const struct eviction_facts *facts,
                                        const struct eviction_counts *counts);
// True if `a` is to be closed before `b`; both may be closed. Delayed 401s come first; then EVICTION_READY before
// EVICTION_IF_NO_OTHER; then the largest group, because a client that exhausts the connections has most of them; within
// a group
//   - of heads: the longest wait,
//   - of bodies: the fewest bytes per second since the head, then the longest wait,
//   - of output: the longest stall.
bool eviction_is_before(const struct eviction_facts *a, const struct eviction_facts *b,
                        const struct eviction_counts *counts);

// --- slow bodies ---

// The minimum mean rate of a body since its head, enforced after BODY_GRACE.
#define BODY_BYTES_PER_SECOND 4096
#define BODY_GRACE (5 * NS_PER_SECOND)

// The time since the head after which a body with `bytes` received is too slow: at least `grace`.
duration_ns eviction_body_time(uint64_t bytes, duration_ns grace);

// --- connection ---------------------------------------------------------------------------------
// HTTP on one client connection: requests are processed in sequence, and each response is given before the next request
// is read. The service interprets the requests.

// From the first byte of a request to the end of its head, which well-behaved clients send at once.
#define HEAD_DEADLINE (10 * NS_PER_SECOND)
// From the first byte of a request to its last, regardless of progress: GitHub itself gives up after 10 s.
#define REQUEST_DEADLINE (30 * NS_PER_SECOND)
// Idle time between requests.
#define IDLE_DEADLINE (75 * NS_PER_SECOND)
// Time for a client to read its responses: without progress, and in total for what was queued at once.
#define OUTPUT_DEADLINE (30 * NS_PER_SECOND)
#define OUTPUT_DEADLINE_MAX (300 * NS_PER_SECOND)
// Requests served from one connection before the loop's other connections get their turn.
#define REQUESTS_PER_TURN 16
// While more response bytes of a connection are unsent, its next request is not read.
#define UNSENT_MAX ((size_t)64 * 1024)
// Memory for unsent responses and the requests queued behind them, over all connections of one server. Beyond this,
// a connection keeps only its next response: a connection that needs more is closed.
#define HTTP_SERVER_MEMORY ((size_t)16 << 20)
// A body above this size is large. Nearly all deliveries are smaller (a job of 200 steps has 55 KB), so
// unauthenticated clients that send large bodies compete only with one another.
#define LARGE_BODY ((uint64_t)64 * 1024)

// A piece of a response ends about here. While a client has not read it, the next one is not made.
#define HTTP_PIECE_BYTES ((size_t)64 * 1024)
#define HTTP_PIECE_MAX ((size_t)1024 * 1024)

struct http_conn;
struct http_pieces;

struct http_service {
    // Whether to accept a connection from this peer; `context` is the server's. May be NULL.
    bool (*may_connect)(void *context, const struct net_address *peer);
    // The head is complete, the body is not. False: the service has responded, and the rest of this request is
    // discarded.
    bool (*on_head)(struct http_conn *conn, const struct http_head *head);
    // The request is complete. The service calls http_conn_respond(), now or later; until then head and body stay
    // valid.
    void (*on_request)(struct http_conn *conn, const struct http_head *head, struct slice body);
    // A response is sent to a request that the service has not seen: malformed, or too slow.
    void (*on_refused)(struct http_conn *conn, int status, const char *reason);
    // Fills in an error response that the server itself sends: one that the service has not seen, or a delayed one.
    // NULL: http_response_set_error().
    void (*set_error)(struct http_conn *conn, int status, const char *message,
                      struct http_response *response);
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
    size_t most_memory;               // for unsent responses: HTTP_SERVER_MEMORY
    struct address_counts *addresses; // outlives the server; NULL: no limit
    struct body_memory *body_memory;  // likewise, for large bodies
    // Called when the server is winding down or stopped and the last connection is closed. While the listener is open,
    // new connections may be accepted, and it is called again.
    void (*on_empty)(void *context);

    struct net_listener *listener;
    _Atomic(struct net_tls *) fresh_tls; // to be taken; NULL: taken, and the task is idle
    struct net_task take_tls;
    LIST_HEAD(, http_conn) conns; // all of them
    atomic_size_t connections;    // number of these that are not closed; other threads may read it
    // Candidates for eviction when a new connection needs a place; each list is ordered by `since`.
    TAILQ_HEAD(http_conn_list, http_conn) waiting[EVICTION_GROUPS];
    struct eviction_counts counts;       // the lengths of these lists
    struct net_timer *look_again;        // fires when the next one may be closed
    size_t memory;                       // of unsent responses and the requests queued behind them
    struct buffer out;                   // responses are built here before they are sent
    TAILQ_HEAD(, http_conn) due;         // responses in pieces whose next piece can be sent
    struct net_timer *next_piece;        // fires while there are any
    size_t producing;                    // connections in HTTP_CONN_PRODUCING
    struct buffer piece, packed, framed; // of one piece; empty if there are none
    bool is_stopping;
    duration_ns last_idle; // while stopping: how long a connection may be idle
};

// The table in src/http/conn.c defines the transitions, the eviction list of each state, and whether reading is
// paused in it.
enum http_conn_state {
    HTTP_CONN_NEW,       // allocated, not accepted yet
    HTTP_CONN_IDLE,      // no byte of a request received
    HTTP_CONN_HEAD,      // a part of a head received
    HTTP_CONN_HEAD_DONE, // the service checks the head; only inside the connection's on_data
    HTTP_CONN_BODY,      // the head is accepted, the body is incomplete
    HTTP_CONN_PENDING,   // the request is complete, the response is pending
    HTTP_CONN_SENDING,   // response given, but too much is unsent to read another request
    HTTP_CONN_PRODUCING, // response begun, its body is made in pieces
    HTTP_CONN_LATE,      // the response is delayed; it is the last one
    HTTP_CONN_STREAM,    // an endless response
    HTTP_CONN_FINISHING, // the last response is queued; the client still has to read it
    HTTP_CONN_CLOSED,    // the connection is closed, or will be before the loop's next turn
};

struct http_conn {
    struct http_server *host;
    struct net_connection *connection; // NULL: closed
    LIST_ENTRY(http_conn) all;
    struct address_place *place; // NULL: not counted, or given back
    enum http_conn_state state;
    TAILQ_ENTRY(http_conn) waiting;  // in the list of the state's eviction group, if it has one
    timestamp_ns since;              // monotonic: when it joined that list
    timestamp_ns begun_at;           // monotonic: first byte of the incomplete request; 0: none
    bool is_in_feed;                 // inside on_data(), which pauses reading at its end if needed
    struct body_memory *body_memory; // the server's, unless the service sets another in on_head
    uint64_t large_bytes;            // taken from it for this connection's body
    int late_status;                 // the delayed response
    const char *late_message;
    struct http_pieces *pieces; // of the response; NULL unless PRODUCING
    TAILQ_ENTRY(http_conn) due; // in the server's list
    bool is_due;
    size_t refs; // the connection, and other users of this memory
    struct http_parser parser;
    void *request; // owned by the service, kept between requests
};

// Sets the fields that http_server_listen() does not take. The server must not be moved afterwards.
void http_server_init(struct http_server *host);
enum error_code http_server_listen(struct http_server *host, const struct net_address *address,
                                   bool share_port, size_t max_connections,
                                   struct error *error) MUST_CHECK;
// The same on a listening socket of another process; see net_listener_adopt().
enum error_code http_server_adopt(struct http_server *host, int fd, size_t max_connections,
                                  struct error *error) MUST_CHECK;
// New connections use this context, whose reference is taken over; not NULL. From the one thread that owns the server,
// which need not be the loop's. `is_running`: whether the loop is; until then it is used at once, so that no connection
// is plaintext.
void http_server_hand_over_tls(struct http_server *host, struct net_tls *tls, bool is_running);
// From now on connections close after their next response. Connections without a request, including new ones, have
// `last_idle` to begin one: a request may be in transit, and closing at once would lose it.
void http_server_wind_down(struct http_server *host, duration_ns last_idle);
// Accepts no new connections; existing ones continue as when winding down. on_empty follows, from inside this call if
// there are none.
void http_server_stop(struct http_server *host);
// True: every connection has its last response, and the kernel has all bytes; only the clients have yet to close.
bool http_server_is_done(const struct http_server *host);
// Closes the remaining connections.
void http_server_abort(struct http_server *host);
void http_server_release(struct http_server *host);

// Does nothing if the client has disconnected.
void http_conn_respond(struct http_conn *conn, const struct http_response *response);
// The same, but takes ownership of the content of `body`, which is empty afterwards.
void http_conn_respond_owned(struct http_conn *conn, const struct http_response *response,
                             struct buffer *body);

// The body of a response, made in pieces.
struct http_producer {
    // Appends the next piece to `out`, which is empty: about HTTP_PIECE_BYTES, or fewer, even none, where that takes
    // more than some milliseconds. HTTP_PIECE_MAX is the limit. `*is_last` is false before. An error ends the response:
    // before its first byte with 503 and the error's message, later by a reset, so that it cannot pass for the whole.
    enum error_code (*produce)(void *context, struct buffer *out, bool *is_last,
                               struct error *error);
    // Called once, when the response is over, whole or not; also from inside the function below.
    void (*on_end)(void *context);
    void *context;
    bool is_gzip; // compressed; the response has Content-Encoding: gzip
};

// A response whose body is made while the client reads it. It costs the memory of one piece and, compressed, 100 KB
// more, however long it is. The first piece is made at once, the next one when the socket has accepted the one before:
// of all responses of the server, one piece in each turn of the loop. In chunks; in HTTP/1.0 the body ends with the
// connection. A client that reads nothing for OUTPUT_DEADLINE, or not all of it in OUTPUT_DEADLINE_MAX, is
// disconnected, or for a new connection, as one that does not read any other response. Nothing is produced for HEAD.
void http_conn_respond_in_pieces(struct http_conn *conn, const struct http_response *response,
                                 const struct http_producer *producer);

// Begins a response that continues until the connection is closed. False: it failed, and the connection is closed.
bool http_conn_begin_stream(struct http_conn *conn, const struct http_response *response);
// Sends more of it. False, and the connection is closed: the client has disconnected, or more than `most_unsent` bytes
// are unsent, or the client has read nothing for OUTPUT_DEADLINE.
bool http_conn_stream(struct http_conn *conn, struct slice bytes, size_t most_unsent);
// Checks the server's memory for unsent responses. If it is exceeded, closes connections whose clients have read
// nothing for a second until it no longer is. True: still exceeded; no large response should be sent now.
bool http_conn_memory_is_full(struct http_server *host);
// Sends an error response after a delay, then closes; head, body and further input are discarded at once. Such a
// connection is evicted first when there are too many. `message` is static.
void http_conn_respond_late(struct http_conn *conn, int status, const char *message,
                            duration_ns after);
// Keeps head, body and `request` valid after the connection is closed. Call in the loop's thread.
void http_conn_ref(struct http_conn *conn);
void http_conn_unref(struct http_conn *conn);
// The address that failures are counted for: the client behind trusted proxies, if known, else the peer. False: the
// connection is closed, or its peer has no IP address.
bool http_conn_find_client(const struct http_conn *conn, const struct http_head *head,
                           const struct net_network_list *trusted,
                           struct net_ip *client) MUST_CHECK;
// The peer's address for a log line, written to `text`; "gone" if the connection is closed.
const char *http_conn_format_peer(const struct http_conn *conn, char text[NET_ADDRESS_TEXT_SIZE]);

#endif
