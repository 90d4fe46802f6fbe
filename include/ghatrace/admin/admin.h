// The admin listener: who may ask, and the page, the API and the metrics that it serves.
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
#include "ghatrace/http/parse.h"
#include "ghatrace/net/address.h"
#include "ghatrace/net/loop.h"
#include "ghatrace/net/tls.h"
#include "ghatrace/store/store.h"
#include "ghatrace/trace/ids.h"
#include "ghatrace/webhook/webhook.h"

// --- admin ----------------------------------------------------------------------------------------
// The operator's side: a listener in a loop of the caller's that serves GET /health, GET /ready and routes of others.
//
// Who may come: /health and /ready are for everybody. All else is
//   - for whoever shows a token, if there are tokens (Authorization: Bearer TOKEN, or Basic with the token as
//     password, so that browsers ask for it);
//   - else for whoever has come in by a client certificate, where the listener asks for them;
//   - else, on a loopback address, for requests whose Host names loopback: a page from elsewhere that a browser was
//     made to think of as local (DNS rebinding) names another;
//   - and beyond loopback, else, for nobody.

struct admin;

// --- routes ---

struct admin_request {
    struct slice path;  // as it came, without the query
    struct slice query; // what stands behind '?'
    const struct http_head *head;
};

// One answer in the making. The handler must give it, by exactly one of the three functions, before it returns.
struct admin_response;

// A field of the answer, before it is given. `name` and `value` must live until then.
void admin_response_set_field(struct admin_response *reply, const char *name, const char *value);
// Takes the body over: `body` is empty afterwards. NULL: no body, as for 304.
void admin_response_send(struct admin_response *reply, int status, const char *content_type,
                         struct buffer *body);
// {"error":"<message>"}
void admin_response_error(struct admin_response *reply, int status, const char *message);

// The answer becomes a stream of server-sent events. `on_closed` is called once, when the client is gone or the
// stream was closed, also from inside admin_stop(); the stream must not be used any more then. NULL: there are too many
// streams, or no memory, or only the head was asked for; that is answered.
struct admin_stream;
struct admin_stream *admin_response_stream(struct admin_response *reply,
                                           void (*on_closed)(void *context), void *context);
// False: the client reads too slowly, or is gone; on_closed follows.
bool admin_stream_send(struct admin_stream *stream, struct slice bytes);

// A parameter of the query, decoded into the arena; the first of that name. An absent one is empty, and so is one
// that is encoded badly. False when memory is refused.
bool admin_query_get(struct slice query, const char *name, struct arena *arena,
                     struct slice *value) MUST_CHECK;

struct admin_route {
    const char *path; // exact; or, with a '/' at its end and longer than that, what begins with it
    // GET or HEAD, by somebody who may. In the loop's thread.
    void (*handle)(void *context, const struct admin_request *request,
                   struct admin_response *reply);
    void *context;
};

// --- the listener ---

struct admin_options {
    struct net_address listen;
    int listen_socket; // that another process made, used instead of `listen`; stays the caller's. 0: none
    const struct admin_route *routes; // outlive the admin
    size_t route_count;
    struct ingress_secrets *tokens;    // outlive it; NULL: none
    struct ingress *ingress;           // for /ready; outlives it; NULL: not looked at
    struct net_tls_server_options tls; // without a certificate: plain. The names outlive it
};

enum error_code admin_start(struct net_loop *loop, const struct admin_options *options,
                            struct engine *engine, struct admin **admin,
                            struct error *error) MUST_CHECK;
const struct net_address *admin_address(const struct admin *admin);
// Is there anything but health to see for those who come without a token? For the operator's information.
bool admin_is_closed(const struct admin *admin);
// As ingress_load_tls() and ingress_use_tls(); what is not used is let go.
enum error_code admin_load_tls(const struct admin *admin, struct net_tls **tls,
                               struct error *error) MUST_CHECK;
void admin_use_tls(struct admin *admin, struct net_tls *tls);
// Connections end with their next answer from now on, idle ones within a second.
void admin_wind_down(struct admin *admin);
// In the loop's thread, or when the loop no longer runs. Its last memory goes with the loop's next turn
// or with the loop itself.
void admin_stop(struct admin *admin);

// --- what the admin side tells of, and where it reads it ------------------------------------------

// Everything outlives the views.
struct view_sources {
    struct store *store;
    struct engine *engine;     // NULL: not running, as in tools and tests; its counts are 0
    struct exporter *exporter; // NULL: nothing is exported
    struct ingress *ingress;   // NULL: as engine
    const struct export_header_file *header_file; // NULL: no header comes from a file
    enum id_scheme id_scheme; // of the trace IDs that are shown: those that are exported
    const char *trace_url;    // where the backend shows a trace, with {trace_id} in it; NULL: none
    const char *export_url;   // NULL: nothing is exported
    const char *listen;       // of the webhooks, as the operator wrote it, with the real port
    const char *webhook_path;
    duration_ns history;
    timestamp_ns started_at;
};

// --- routes ---------------------------------------------------------------------------------------
// All that the admin listener serves beside health: metrics, the API, the live stream, the page.

struct view;

enum error_code view_create(struct net_loop *loop, const struct view_sources *sources,
                            struct view **view, struct error *error) MUST_CHECK;
// Live as long as the view.
const struct admin_route *view_routes(const struct view *view, size_t *count);
// When the admin listener is stopped and the loop is gone: until then streams may end.
void view_destroy(struct view *view);
// The timer belongs to the loop: before the loop goes.
void view_stop(struct view *view);

#endif
