// The admin listener: access control, and the page, the API and the metrics that it serves.
#ifndef GHATRACE_ADMIN_ADMIN_H
#define GHATRACE_ADMIN_ADMIN_H

#include <stdbool.h>
#include <stddef.h>

#include "ghatrace/base/arena.h"
#include "ghatrace/base/buffer.h"
#include "ghatrace/base/error.h"
#include "ghatrace/base/slice.h"
#include "ghatrace/base/time.h"
#include "ghatrace/engine/engine.h"
#include "ghatrace/export/exporter.h"
#include "ghatrace/export/header_file.h"
#include "ghatrace/export/metrics.h"
#include "ghatrace/http/parse.h"
#include "ghatrace/net/address.h"
#include "ghatrace/net/loop.h"
#include "ghatrace/net/tls.h"
#include "ghatrace/notify/notices.h"
#include "ghatrace/receiver/receiver.h"
#include "ghatrace/store/store.h"
#include "ghatrace/trace/ids.h"
#include "ghatrace/view/pools_view.h"
#include "ghatrace/webhook/webhook.h"

// --- admin ----------------------------------------------------------------------------------------
// The admin listener runs in a loop of the caller's and serves GET /health, GET /ready and the routes of other parts.
//
// Access: /health and /ready are public. Everything else is available
//   - with a token, if tokens are configured (Authorization: Bearer TOKEN, or Basic with the token as password, so that
//     browsers ask for it);
//   - else over connections with a client certificate, if the listener requests them;
//   - else, on a loopback address, to requests whose Host names loopback: a page of another site that resolves to a
//     loopback address (DNS rebinding) sends another Host;
//   - else, on other addresses, to no client.

struct admin;

// --- routes ---

struct admin_request {
    struct slice path;  // as received, without the query
    struct slice query; // the part after '?'
    const struct http_head *head;
};

// A response in progress. The handler must complete it, with exactly one of the functions, before it returns.
struct admin_response;

// Adds a header field to a response that is not complete. `name` and `value` must be valid until then.
void admin_response_set_field(struct admin_response *reply, const char *name, const char *value);
// Takes ownership of the body: `body` is empty afterwards. NULL: no body, as for 304.
void admin_response_send(struct admin_response *reply, int status, const char *content_type,
                         struct buffer *body);
// {"error":"<message>"}
void admin_response_error(struct admin_response *reply, int status, const char *message);
// A response whose body is made in pieces (http/server.h), compressed if the client prefers that, and then with
// Content-Encoding; the handler sets Vary. Ignores the producer's `is_gzip`. There are as many at a time as
// connections: each costs less than 200 KB.
struct http_producer;
void admin_response_produce(struct admin_response *reply, const char *content_type,
                            const struct http_producer *producer);

// Turns the response into a stream of server-sent events. `on_closed` is called once, when the client has
// disconnected or the stream was closed, also from inside admin_stop(); the stream must not be used afterwards. NULL:
// there are too many streams, or no memory, or it was a HEAD request; the response is already complete then.
struct admin_stream;
struct admin_stream *admin_response_stream(struct admin_response *reply,
                                           void (*on_closed)(void *context), void *context);
// False: the client reads too slowly or has disconnected; on_closed follows.
bool admin_stream_send(struct admin_stream *stream, struct slice bytes);

// Defers the response. It must be completed later, with exactly one of the two functions, in the loop's thread or when
// the loop no longer runs; they do nothing but free their memory if the client has disconnected, or the listener was
// stopped. Only in routes that are slow. NULL: out of memory, and the response is complete.
struct admin_deferred;
struct admin_deferred *admin_response_defer(struct admin_response *reply);
// False: clients have too much to read already, as in http_conn_memory_is_full(); no large response should be sent now.
bool admin_deferred_has_room(const struct admin_deferred *deferred);
void admin_deferred_send(struct admin_deferred *deferred, int status, const char *content_type,
                         struct buffer *body);
void admin_deferred_error(struct admin_deferred *deferred, int status, const char *message);

// Decodes "%2C" in a part of a path, and in a query also '+', into `out`, which has room for `text`. Returns the length,
// or -1 for a '%' that is not followed by two hexadecimal digits.
ptrdiff_t admin_percent_decode(struct slice text, bool is_query, char *out);
// The first parameter of that name in the query, decoded into the arena. Absent and badly encoded ones are empty.
// False if out of memory.
bool admin_query_get(struct slice query, const char *name, struct arena *arena,
                     struct slice *value) MUST_CHECK;

struct admin_route {
    const char *path; // exact; or a prefix, if it ends in '/' and is longer than that
    // GET or HEAD from an authorized client. In the loop's thread.
    void (*handle)(void *context, const struct admin_request *request,
                   struct admin_response *reply);
    void *context;
    bool is_slow; // its responses may be deferred
};

// --- the listener ---

struct admin_options {
    struct net_address listen;
    int listen_socket; // created by another process, used instead of `listen`; owned by the caller. 0: none
    const struct admin_route *routes; // outlive the admin
    size_t route_count;
    struct ingress_secrets *tokens;    // outlive it; NULL: none
    struct ingress *ingress;           // for /ready; outlives it; NULL: not checked
    struct net_tls_server_options tls; // without a certificate: plain. The names outlive it
};

enum error_code admin_start(struct net_loop *loop, const struct admin_options *options,
                            struct engine *engine, struct admin **admin,
                            struct error *error) MUST_CHECK;
const struct net_address *admin_address(const struct admin *admin);
// True if the address is not loopback and no access control is configured: only /health and /ready are served. For the
// operator's information.
bool admin_is_closed(const struct admin *admin);
// Like ingress_load_tls() and ingress_use_tls(); unused contexts are released.
enum error_code admin_load_tls(const struct admin *admin, struct net_tls **tls,
                               struct error *error) MUST_CHECK;
void admin_use_tls(struct admin *admin, struct net_tls *tls);
// From now on connections end with their next response, idle ones within a second.
void admin_wind_down(struct admin *admin);
// In the loop's thread, or when the loop no longer runs. The last memory is freed in the loop's next iteration or
// with the loop itself.
void admin_stop(struct admin *admin);

// --- the sources of the data that the admin listener shows ----------------------------------------

// Everything outlives the views.
struct view_sources {
    struct store *store;
    struct engine *engine;     // NULL: not running, as in tools and tests; its counts are 0
    struct exporter *exporter; // NULL: nothing is exported
    struct ingress *ingress;   // NULL: as engine
    struct receiver *receiver; // NULL: as engine, or otlp-listen is off
    const struct export_header_file *header_file; // NULL: no header comes from a file
    bool has_arc_runners;                         // arc-runners is set
    const struct metrics_push *metrics_push;      // NULL: no metrics are pushed
    const char *metrics_url;                      // likewise
    const struct notices *notices;                // NULL: none are sent
    enum id_scheme id_scheme; // scheme of the trace IDs that are shown: the exported one
    const char *trace_url;    // URL of a trace in the backend, with {trace_id} in it; NULL: none
    const char *export_url;   // NULL: nothing is exported
    const char *listen;       // of the webhooks, as configured, with the actual port
    const char *webhook_path;
    duration_ns history;
    struct pools_view_settings pools;
    struct pools_cache *pools_cache; // set by view_create(); NULL: pools are read each time
    const size_t *live_streams;      // set by view_create(): clients of /api/live; NULL: none
    timestamp_ns started_at;
};

// --- routes ---------------------------------------------------------------------------------------
// Everything the admin listener serves besides health: metrics, the API, the live stream, the page.

struct view;

enum error_code view_create(struct net_loop *loop, const struct view_sources *sources,
                            struct view **view, struct error *error) MUST_CHECK;
// Valid as long as the view.
const struct admin_route *view_routes(const struct view *view, size_t *count);
// Call when the admin listener is stopped and the loop is destroyed: until then streams may close.
void view_destroy(struct view *view);
// Call before the loop is destroyed, as the timer belongs to it.
void view_stop(struct view *view);

#endif
