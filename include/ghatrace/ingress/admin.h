// The operator's side: a listener in a loop of the caller's that serves GET /health, GET /ready and routes of others.
//
// Who may come: /health and /ready are for everybody. All else is
//   - for whoever shows a token, if there are tokens (Authorization: Bearer TOKEN, or Basic with the token as
//     password, so that browsers ask for it);
//   - else for whoever has come in by a client certificate, where the listener asks for them;
//   - else, on a loopback address, for requests whose Host names loopback: a page from elsewhere that a browser was
//     made to think of as local (DNS rebinding) names another;
//   - and beyond loopback, else, for nobody.
#ifndef GHATRACE_INGRESS_ADMIN_H
#define GHATRACE_INGRESS_ADMIN_H

#include <stdbool.h>
#include <stddef.h>

#include "ghatrace/base/arena.h"
#include "ghatrace/base/buffer.h"
#include "ghatrace/base/error.h"
#include "ghatrace/base/slice.h"
#include "ghatrace/engine/engine.h"
#include "ghatrace/http/parser.h"
#include "ghatrace/ingress/ingress.h"
#include "ghatrace/net/address.h"
#include "ghatrace/net/loop.h"
#include "ghatrace/net/tls.h"

struct admin;

// --- routes ---

struct admin_request {
    struct slice path;  // as it came, without the query
    struct slice query; // what stands behind '?'
    const struct http_head *head;
};

// One answer in the making. The handler must give it, by exactly one of the three functions, before it returns.
struct admin_reply;

// A field of the answer, before it is given. `name` and `value` must live until then.
void admin_reply_set_field(struct admin_reply *reply, const char *name, const char *value);
// Takes the body over: `body` is empty afterwards. NULL: no body, as for 304.
void admin_reply_send(struct admin_reply *reply, int status, const char *content_type,
                      struct buffer *body);
// {"error":"<message>"}
void admin_reply_error(struct admin_reply *reply, int status, const char *message);

// The answer becomes a stream of server-sent events. `on_closed` is called once, when the client is gone or the
// stream was closed, also from inside admin_stop(); the stream must not be used any more then. NULL: there are too many
// streams, or no memory, or only the head was asked for; that is answered.
struct admin_stream;
struct admin_stream *admin_reply_stream(struct admin_reply *reply, void (*on_closed)(void *context),
                                        void *context);
// False: the client reads too slowly, or is gone; on_closed follows.
bool admin_stream_send(struct admin_stream *stream, struct slice bytes);

// A parameter of the query, decoded into the arena; the first of that name. An absent one is empty, and so is one
// that is encoded badly. False when memory is refused.
bool admin_query_get(struct slice query, const char *name, struct arena *arena,
                     struct slice *value) MUST_CHECK;

struct admin_route {
    const char *path; // exact; or, with a '/' at its end and longer than that, what begins with it
    // GET or HEAD, by somebody who may. In the loop's thread.
    void (*handle)(void *context, const struct admin_request *request, struct admin_reply *reply);
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

#endif
