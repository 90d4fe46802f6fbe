// The admin listener: query parameters, access control, responses, streams, in the main loop.
#include <assert.h>
#include <string.h>

#include "ghatrace/admin/admin.h"
#include "ghatrace/base/digest.h"
#include "ghatrace/base/log.h"
#include "ghatrace/base/memory.h"
#include "ghatrace/base/slice.h"
#include "ghatrace/http/accept.h"
#include "ghatrace/http/server.h"
#include "ghatrace/net/address.h"
#include "ghatrace/webhook/health.h"
#include "ghatrace/webhook/secrets.h"
#include "server.h"

// --- parameters of a query: application/x-www-form-urlencoded (WHATWG URL 5.1) --------------------

ptrdiff_t admin_percent_decode(struct slice text, bool is_query, char *out)
{
    size_t len = 0;

    for (size_t i = 0; i < text.len; i++) {
        uint8_t byte = (uint8_t)text.data[i];
        if (byte == '+' && is_query)
            byte = ' ';
        if (byte == '%') {
            if (text.len - i < 3 || !hex_decode(text.data + i + 1, 2, &byte, 1))
                return -1;
            i += 2;
        }
        out[len++] = (char)byte;
    }
    return (ptrdiff_t)len;
}

static struct slice next_query_pair(struct slice *query)
{
    ptrdiff_t end = slice_find(*query, SLICE("&"));
    size_t len = end < 0 ? query->len : (size_t)end;
    size_t taken = end < 0 ? query->len : len + 1;
    struct slice pair = {query->data, len};

    *query = (struct slice){query->data + taken, query->len - taken};
    return pair;
}

bool admin_query_get(struct slice query, const char *name, struct arena *arena, struct slice *value)
{
    *value = SLICE_EMPTY;
    while (query.len > 0) {
        struct slice pair = next_query_pair(&query);
        ptrdiff_t equals = slice_find(pair, SLICE("="));
        struct slice key = {pair.data, equals < 0 ? pair.len : (size_t)equals};
        if (!slice_equals(key, slice_from_string(name)))
            continue;
        if (equals < 0)
            return true;
        struct slice raw = {pair.data + equals + 1, pair.len - (size_t)equals - 1};
        char *text = arena_allocate(arena, raw.len + 1);
        if (text == NULL)
            return false;
        ptrdiff_t len = admin_percent_decode(raw, true, text);
        if (len > 0)
            *value = (struct slice){text, (size_t)len};
        return true;
    }
    return true;
}

// --- access control: pure, except for the tokens in use --------------------------------------------

#define CREDENTIALS_MAX 1024 // name, colon and token, decoded

// Compares digests, so that the response time reveals nothing about the token, not even its length.
static bool is_valid_token(struct ingress_secrets *tokens, struct slice shown)
{
    uint8_t expected[SHA256_SIZE], actual[SHA256_SIZE];
    bool is_one = false;

    digest_sha256(shown, actual);
    struct secret_set *set = secrets_ref(tokens);
    for (size_t i = 0; i < set->count; i++) {
        digest_sha256(set->items[i], expected);
        is_one |= digest_equals_constant_time(expected, actual, SHA256_SIZE);
    }
    secrets_unref(set);
    digest_wipe(actual, sizeof actual);
    return is_one && shown.len > 0;
}

// RFC 7617: base64 of "name:password"; the password is the token, and the name is ignored.
static bool is_basic(struct ingress_secrets *tokens, struct slice encoded)
{
    char text[CREDENTIALS_MAX];
    size_t len;

    if (!base64_decode(encoded, text, sizeof text, &len))
        return false;
    struct slice pair = {text, len};
    ptrdiff_t colon = slice_find(pair, SLICE(":"));
    bool is_one =
        colon >= 0 &&
        is_valid_token(tokens, (struct slice){pair.data + colon + 1, pair.len - (size_t)colon - 1});
    digest_wipe(text, sizeof text);
    return is_one;
}

static bool has_token(struct ingress_secrets *tokens, const struct http_head *head)
{
    struct slice scheme, rest;

    if (!http_head_read_credentials(head, &scheme, &rest))
        return false;
    if (slice_equals_ignoring_case(scheme, SLICE("Bearer")))
        return is_valid_token(tokens, rest);
    return slice_equals_ignoring_case(scheme, SLICE("Basic")) && is_basic(tokens, rest);
}

enum admin_access_result admin_check_access(const struct admin_access *access,
                                            const struct http_head *head)
{
    if (access->tokens != NULL)
        return has_token(access->tokens, head) ? ADMIN_ALLOWED : ADMIN_TOKEN_REQUIRED;
    if (access->has_client_certificates)
        return ADMIN_ALLOWED;
    if (!access->is_loopback)
        return ADMIN_CLOSED;
    return net_host_is_loopback(head->host) ? ADMIN_ALLOWED : ADMIN_WRONG_HOST;
}

// --- the admin listener: routes, responses, streams, in the main loop -----------------------------

#define ADMIN_CONNECTIONS_MAX 128
#define ADMIN_BODY_MAX 4096 // no route accepts a body
// Memory for responses that clients have not read yet. Beyond it routes respond with 503.
#define ADMIN_MEMORY ((size_t)64 << 20)
#define STREAMS_MAX 32
#define LAST_IDLE NS_PER_SECOND // while it winds down
#define STREAM_UNSENT_MAX ((size_t)1024 * 1024)
#define RESPONSE_FIELDS_MAX 6
// Both schemes: browsers ask for a password because of Basic, and programs can use Bearer.
#define CHALLENGE "Basic realm=\"ghatrace\", charset=\"UTF-8\", Bearer realm=\"ghatrace\""
// Only the page's own scripts, styles and pictures, and nothing that could send data elsewhere.
#define CONTENT_SECURITY_POLICY                                                                    \
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "              \
    "connect-src 'self'; worker-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors " \
    "'none'"

struct admin {
    struct http_server host;
    struct admin_options options;
    struct admin_access access;
    struct engine *engine;
    size_t streams;
    struct log_limit log_limit;
};

// What conn->request points to: its first member.
enum admin_pending { ADMIN_PENDING_STREAM, ADMIN_PENDING_DEFERRED };

struct admin_stream {
    enum admin_pending kind;
    struct http_conn *conn;
    void (*on_closed)(void *context);
    void *context;
};

struct admin_deferred {
    enum admin_pending kind;
    struct http_conn *conn; // NULL: the client has disconnected
};

struct admin_response {
    struct http_conn *conn;
    struct http_header fields[RESPONSE_FIELDS_MAX + 4];
    size_t field_count;
    bool has_cache_control;
    bool is_given;
};

// --- responses ------------------------------------------------------------------------------------

static void add_response_field(struct admin_response *reply, const char *name, const char *value)
{
    assert(!reply->is_given && reply->field_count < sizeof reply->fields / sizeof reply->fields[0]);
    reply->fields[reply->field_count++] =
        (struct http_header){.name = slice_from_string(name), .value = slice_from_string(value)};
}

void admin_response_set_field(struct admin_response *reply, const char *name, const char *value)
{
    if (strcmp(name, "Cache-Control") == 0)
        reply->has_cache_control = true;
    add_response_field(reply, name, value);
}

static void add_usual_fields(struct admin_response *reply, struct http_response *answer)
{
    add_response_field(reply, "X-Content-Type-Options", "nosniff");
    add_response_field(reply, "Referrer-Policy", "no-referrer");
    add_response_field(reply, "Cross-Origin-Resource-Policy", "same-origin");
    add_response_field(reply, "Content-Security-Policy", CONTENT_SECURITY_POLICY);
    if (!reply->has_cache_control)
        add_response_field(reply, "Cache-Control", "no-store");
    answer->extra = reply->fields;
    answer->extra_count = reply->field_count;
    reply->is_given = true;
}

void admin_response_send(struct admin_response *reply, int status, const char *content_type,
                         struct buffer *body)
{
    struct http_response answer;
    struct buffer none;

    buffer_init(&none, 0);
    http_response_set(&answer, status, SLICE_EMPTY);
    answer.content_type = content_type;
    add_usual_fields(reply, &answer);
    http_conn_respond_owned(reply->conn, &answer, body != NULL ? body : &none);
}

static void send_error_response(struct admin_response *reply, struct http_response *answer)
{
    add_usual_fields(reply, answer);
    http_conn_respond(reply->conn, answer);
}

void admin_response_error(struct admin_response *reply, int status, const char *message)
{
    struct http_response answer;

    http_response_set_error(&answer, status, message);
    send_error_response(reply, &answer);
}

void admin_response_produce(struct admin_response *reply, const char *content_type,
                            const struct http_producer *producer)
{
    struct http_conn *conn = reply->conn;
    struct http_producer chosen = *producer;
    struct http_response answer;

    chosen.is_gzip = http_head_accepts_gzip(&conn->parser.message);
    if (chosen.is_gzip)
        add_response_field(reply, "Content-Encoding", "gzip");
    http_response_set(&answer, 200, SLICE_EMPTY);
    answer.content_type = content_type;
    add_usual_fields(reply, &answer);
    http_conn_respond_in_pieces(conn, &answer, &chosen);
}

// --- streams --------------------------------------------------------------------------------------

struct admin_stream *admin_response_stream(struct admin_response *reply,
                                           void (*on_closed)(void *context), void *context)
{
    struct http_conn *conn = reply->conn;
    struct admin *admin = conn->host->context;
    struct admin_stream *stream = NULL;
    struct http_response answer;

    if (slice_equals(conn->parser.message.method, SLICE("HEAD"))) {
        admin_response_send(reply, 200, "text/event-stream", NULL);
        return NULL;
    }
    if (admin->streams < STREAMS_MAX)
        stream = memory_allocate_array(1, sizeof *stream);
    if (stream == NULL) {
        admin_response_error(reply, 503, "too many streams, try again later");
        return NULL;
    }
    http_response_set(&answer, 200, SLICE_EMPTY);
    answer.content_type = "text/event-stream";
    add_usual_fields(reply, &answer);
    if (!http_conn_begin_stream(conn, &answer)) {
        memory_free(stream);
        return NULL;
    }
    *stream = (struct admin_stream){ADMIN_PENDING_STREAM, conn, on_closed, context};
    assert(conn->request == NULL && reply->is_given);
    conn->request = stream;
    admin->streams++;
    return stream;
}

bool admin_stream_send(struct admin_stream *stream, struct slice bytes)
{
    return http_conn_stream(stream->conn, bytes, STREAM_UNSENT_MAX);
}

static void end_stream(struct admin *admin, struct admin_stream *stream)
{
    assert(admin->streams > 0);
    admin->streams--;
    stream->on_closed(stream->context);
    memory_free(stream);
}

static void on_admin_free(struct http_conn *conn)
{
    enum admin_pending *kind = conn->request;

    if (kind == NULL)
        return;
    switch (*kind) {
    case ADMIN_PENDING_STREAM:
        end_stream(conn->host->context, conn->request);
        break;
    case ADMIN_PENDING_DEFERRED:
        ((struct admin_deferred *)conn->request)->conn = NULL;
        break;
    }
}

// --- deferred responses ---------------------------------------------------------------------------

struct admin_deferred *admin_response_defer(struct admin_response *reply)
{
    struct admin_deferred *deferred = memory_allocate_array(1, sizeof *deferred);

    if (deferred == NULL) {
        admin_response_error(reply, 503, "out of memory");
        return NULL;
    }
    *deferred = (struct admin_deferred){ADMIN_PENDING_DEFERRED, reply->conn};
    assert(reply->conn->request == NULL && !reply->is_given);
    assert(reply->conn->state == HTTP_CONN_PENDING);
    reply->conn->request = deferred;
    reply->is_given = true;
    return deferred;
}

// False: the client has disconnected. Frees it.
static bool resume_response(struct admin_deferred *deferred, struct admin_response *reply)
{
    *reply = (struct admin_response){.conn = deferred->conn};
    if (deferred->conn != NULL)
        deferred->conn->request = NULL;
    memory_free(deferred);
    return reply->conn != NULL;
}

bool admin_deferred_has_room(const struct admin_deferred *deferred)
{
    return deferred->conn == NULL || !http_conn_memory_is_full(deferred->conn->host);
}

void admin_deferred_send(struct admin_deferred *deferred, int status, const char *content_type,
                         struct buffer *body)
{
    struct admin_response reply;

    if (resume_response(deferred, &reply))
        admin_response_send(&reply, status, content_type, body);
}

void admin_deferred_error(struct admin_deferred *deferred, int status, const char *message)
{
    struct admin_response reply;

    if (resume_response(deferred, &reply))
        admin_response_error(&reply, status, message);
}

// --- requests -------------------------------------------------------------------------------------

static const struct admin_route *find_route(const struct admin *admin, struct slice path)
{
    for (size_t i = 0; i < admin->options.route_count; i++) {
        const struct admin_route *route = &admin->options.routes[i];
        struct slice wanted = slice_from_string(route->path);
        bool is_prefix = wanted.len > 1 && slice_ends_with(wanted, SLICE("/"));
        if (is_prefix ? slice_starts_with(path, wanted) : slice_equals(path, wanted))
            return route;
    }
    return NULL;
}

static void log_wrong_token(struct admin *admin, const struct http_conn *conn)
{
    char peer[NET_ADDRESS_TEXT_SIZE];
    uint64_t suppressed;

    if (log_limit_allows(&admin->log_limit, timestamp_monotonic(), &suppressed))
        log_warn(
            "admin: token missing or wrong",
            LOG_STRING("peer", net_address_format(net_connection_peer(conn->connection), peer)),
            LOG_INT("suppressed", suppressed));
}

// True: the request was refused and answered.
static bool refuse_without_access(struct admin *admin, struct admin_response *reply,
                                  const struct http_head *head)
{
    struct http_response answer;

    switch (admin_check_access(&admin->access, head)) {
    case ADMIN_ALLOWED:
        return false;
    case ADMIN_TOKEN_REQUIRED:
        log_wrong_token(admin, reply->conn);
        http_response_set_error(&answer, 401, "this needs a token, see admin-token-file");
        answer.challenge = CHALLENGE;
        send_error_response(reply, &answer);
        return true;
    case ADMIN_WRONG_HOST:
        admin_response_error(
            reply, 403, "without a token only requests to localhost, by that name, are answered");
        return true;
    case ADMIN_CLOSED:
        break;
    }
    admin_response_error(reply, 403,
                         "beyond loopback this needs admin-token-file or admin-client-ca");
    return true;
}

static void run_route(const struct admin_route *route, const struct http_head *head,
                      struct admin_response *reply)
{
    const struct admin_request request = {.path = head->path, .query = head->query, .head = head};

    route->handle(route->context, &request, reply);
    if (!reply->is_given)
        admin_response_error(reply, 500, "no response");
}

// True: it is not answered yet, since it is of a slow route: these get it when it is complete.
static bool handle_admin_request(struct http_conn *conn, const struct http_head *head,
                                 const struct admin_route *route)
{
    struct admin *admin = conn->host->context;
    struct admin_response reply = {.conn = conn};
    bool is_read =
        slice_equals(head->method, SLICE("GET")) || slice_equals(head->method, SLICE("HEAD"));
    struct http_response answer;

    if (refuse_without_access(admin, &reply, head))
        return false;
    if (route == NULL) {
        admin_response_error(&reply, 404, "not found");
    } else if (!is_read) {
        http_response_set_wrong_method(&answer, "GET, HEAD");
        send_error_response(&reply, &answer);
    } else if (http_conn_memory_is_full(&admin->host)) {
        admin_response_error(&reply, 503, "too many responses are not read yet, try again later");
    } else if (route->is_slow) {
        return true;
    } else {
        run_route(route, head, &reply);
    }
    return false;
}

static bool on_admin_head(struct http_conn *conn, const struct http_head *head)
{
    const struct admin *admin = conn->host->context;
    const struct admin_route *route = find_route(admin, head->path);
    struct http_response answer;

    if (route != NULL || !health_respond(admin->engine, admin->options.ingress, head, &answer))
        return handle_admin_request(conn, head, route);
    http_conn_respond(conn, &answer);
    return false;
}

static void on_admin_request(struct http_conn *conn, const struct http_head *head,
                             struct slice body)
{
    const struct admin_route *route = find_route(conn->host->context, head->path);
    struct admin_response reply = {.conn = conn};

    (void)body;
    assert(route != NULL && route->is_slow); // as when its head was accepted
    run_route(route, head, &reply);
}

static void on_admin_refused(struct http_conn *conn, int status, const char *reason)
{
    (void)conn;
    (void)status;
    (void)reason;
}

static const struct http_service service = {
    .on_head = on_admin_head,
    .on_request = on_admin_request,
    .on_refused = on_admin_refused,
    .on_free = on_admin_free,
};

// --- the listener ---------------------------------------------------------------------------------

static void free_admin(struct admin *admin)
{
    http_server_release(&admin->host);
    memory_free(admin);
}

// Frees the admin after admin_stop(). While it only winds down, the listener is still open.
static void on_admin_empty(void *context)
{
    struct admin *admin = context;

    if (admin->host.listener == NULL)
        free_admin(admin);
}

enum error_code admin_load_tls(const struct admin *admin, struct net_tls **tls, struct error *error)
{
    *tls = NULL;
    if (admin->options.tls.certificate_file == NULL)
        return ERROR_NONE;
    return net_tls_create_servers(&admin->options.tls, tls, 1, error);
}

void admin_use_tls(struct admin *admin, struct net_tls *tls)
{
    if (tls != NULL)
        net_listener_use_tls(admin->host.listener, tls);
    net_tls_unref(tls); // the listener has a reference
}

static enum error_code open_listener(struct admin *admin, struct error *error)
{
    const struct admin_options *options = &admin->options;

    if (options->listen_socket > 0)
        return http_server_adopt(&admin->host, options->listen_socket, ADMIN_CONNECTIONS_MAX,
                                 error);
    return http_server_listen(&admin->host, &options->listen, false, ADMIN_CONNECTIONS_MAX, error);
}

enum error_code admin_start(struct net_loop *loop, const struct admin_options *options,
                            struct engine *engine, struct admin **out, struct error *error)
{
    struct admin *admin = memory_allocate_array(1, sizeof *admin);
    struct net_tls *tls;

    if (admin == NULL)
        return error_set(error, ERROR_MEMORY, "admin listener: out of memory");
    admin->engine = engine;
    admin->options = *options;
    admin->access = (struct admin_access){
        .tokens = options->tokens, .has_client_certificates = options->tls.client_ca_file != NULL};
    admin->host = (struct http_server){.loop = loop,
                                       .service = &service,
                                       .context = admin,
                                       .max_body_bytes = ADMIN_BODY_MAX,
                                       .most_memory = ADMIN_MEMORY,
                                       .on_empty = on_admin_empty};
    http_server_init(&admin->host);
    enum error_code code = open_listener(admin, error);
    if (code == ERROR_NONE)
        code = admin_load_tls(admin, &tls, error);
    if (code != ERROR_NONE) {
        free_admin(admin);
        return code;
    }
    admin_use_tls(admin, tls);
    // Uses the bound address, not the configured one: an inherited socket has its own address.
    admin->access.is_loopback = net_address_is_loopback(net_listener_address(admin->host.listener));
    *out = admin;
    return ERROR_NONE;
}

const struct net_address *admin_address(const struct admin *admin)
{
    return net_listener_address(admin->host.listener);
}

bool admin_is_closed(const struct admin *admin)
{
    const struct admin_access *access = &admin->access;

    return access->tokens == NULL && !access->has_client_certificates && !access->is_loopback;
}

void admin_wind_down(struct admin *admin)
{
    http_server_wind_down(&admin->host, LAST_IDLE);
}

void admin_stop(struct admin *admin)
{
    http_server_abort(&admin->host);
    // Must be last: closing the last connection frees the admin.
    http_server_stop(&admin->host);
}
