// The webhook: health and readiness, heads and bodies of deliveries, and the responses.
#include <assert.h>

#include "delivery.h"
#include "ghatrace/base/log.h"
#include "ghatrace/base/memory.h"
#include "ghatrace/http/limits.h"
#include "ghatrace/webhook/health.h"
#include "webhook_private.h"

// --- GET /health (liveness) and GET /ready (readiness) --------------------------------------------

static void set_ready_response(struct engine *engine, struct ingress *ingress,
                               struct http_response *response)
{
    struct error error = {.code = ERROR_NONE};
    enum error_code code = engine_ready(engine, &error);
    if (code == ERROR_NONE && ingress != NULL)
        code = ingress_ready(ingress, &error);

    const char *export_note = engine_export_note(engine);

    if (code == ERROR_NONE && export_note != NULL)
        http_response_set_ready(response, export_note);
    else if (code == ERROR_NONE)
        http_response_set(response, 200, SLICE("{\"status\":\"ready\"}\n"));
    else
        http_response_set_unavailable(response,
                                      error.code == code ? error.message : error_code_text(code));
}

bool health_respond(struct engine *engine, struct ingress *ingress, const struct http_head *head,
                    struct http_response *response)
{
    bool is_health = slice_equals(head->path, SLICE("/health"));

    if (!is_health && !slice_equals(head->path, SLICE("/ready")))
        return false;
    if (!slice_equals(head->method, SLICE("GET")) && !slice_equals(head->method, SLICE("HEAD")))
        http_response_set_wrong_method(response, "GET, HEAD");
    else if (is_health)
        http_response_set(response, 200, SLICE("{\"status\":\"healthy\"}\n"));
    else
        set_ready_response(engine, ingress, response);
    return true;
}

// --- webhook --------------------------------------------------------------------------------------
// The webhook endpoint: from the head of a request, through the engine, to the response.

// Enough for ordinary payloads: a workflow_job has some 500 tokens.
#define ARENA_BLOCK_BYTES ((size_t)16 * 1024)
// Decoded payloads of this size and above count against the memory for large bodies.
#define LARGE_EVENT ((size_t)1024 * 1024)
// Bytes of an untrusted header field in a log line.
#define LOGGED_MAX 128

// A connection's memory for deliveries, reused for each request.
struct request {
    struct http_conn *conn;
    struct arena arena;
    struct delivery delivery;
    struct engine_task task;
    struct net_task outcome_task; // posted by the engine's thread to the loop
    uint64_t large_bytes;         // taken from body_memory for the decoded delivery
};

static struct webhook *webhook_of(const struct http_conn *conn)
{
    return conn->host->context;
}

// --- counting and logging -------------------------------------------------------------------------

static void increment_counter(_Atomic uint64_t *counter)
{
    atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

static void count_status(struct webhook_counters *counters, int status)
{
    increment_counter(&counters->sums.requests);
    if (status >= 400)
        increment_counter(&counters->sums.refusals[http_refusal_of_status(status)]);
}

static void count_delivery(const struct http_conn *conn, const struct github_event *event,
                           enum ingress_outcome outcome)
{
    struct webhook_counters *counters = &webhook_of(conn)->counters;

    increment_counter(&counters->sums.deliveries[event->type][outcome]);
    atomic_store_explicit(&counters->event_at[event->type], timestamp_now(), memory_order_relaxed);
}

bool ingress_outcome_is_possible(enum github_event_kind type, enum ingress_outcome outcome)
{
    switch (github_event_use_of(type)) {
    case GITHUB_EVENT_USE_STORE:
        return outcome != INGRESS_PONG;
    case GITHUB_EVENT_USE_ANSWER:
        return outcome == INGRESS_PONG;
    case GITHUB_EVENT_USE_NONE:
        break;
    }
    return outcome == INGRESS_IGNORED;
}

static struct slice header_for_log(const struct http_head *head, struct slice name)
{
    struct slice value = http_head_get(head, name, NULL);

    if (value.len > LOGGED_MAX)
        value.len = LOGGED_MAX;
    return value;
}

// Never logs the body or the signature.
static void log_response(const struct http_conn *conn, int status, const char *reason)
{
    const struct http_head *head = &conn->parser.message;
    bool is_suspect = status == 400 || status == 401;
    char peer[NET_ADDRESS_TEXT_SIZE];
    uint64_t suppressed = 0;

    if (!log_is_enabled(is_suspect ? LOG_WARN : LOG_DEBUG))
        return;
    struct webhook *webhook = webhook_of(conn);
    struct log_limit *limit = status == 401 ? &webhook->signature_lines : &webhook->malformed_lines;
    if (is_suspect && !log_limit_allows(limit, timestamp_monotonic(), &suppressed))
        return;
    const struct log_field fields[] = {
        LOG_INT("status", status),
        LOG_STRING("reason", reason),
        LOG_SLICE("delivery", header_for_log(head, SLICE("x-github-delivery"))),
        LOG_SLICE("event", header_for_log(head, SLICE("x-github-event"))),
        LOG_STRING("peer", http_conn_format_peer(conn, peer)),
        // LOG_END omits the field if no lines were suppressed.
        suppressed > 0 ? LOG_INT("suppressed", suppressed) : LOG_END,
        LOG_END,
    };
    log_write(is_suspect ? LOG_WARN : LOG_DEBUG, "request", fields);
}

static void send_logged_response(struct http_conn *conn, const struct http_response *response,
                                 const char *reason)
{
    count_status(&webhook_of(conn)->counters, response->status);
    log_response(conn, response->status, reason);
    http_conn_respond(conn, response);
}

static void respond_with_error(struct http_conn *conn, int status, const char *message)
{
    struct http_response response;

    http_response_set_error(&response, status, message);
    send_logged_response(conn, &response, message);
}

// --- client addresses -----------------------------------------------------------------------------

static bool is_address_allowed(const struct ingress_options *options, const struct net_ip *ip)
{
    return options->allow_from.count == 0 || net_network_list_holds(&options->allow_from, ip);
}

static bool client_may_connect(void *context, const struct net_address *peer)
{
    struct webhook *webhook = context;
    const struct ingress_options *options = webhook->options;
    char text[NET_ADDRESS_TEXT_SIZE];
    struct net_ip ip;

    // Behind a trusted proxy, the client's address is not known before the head.
    if (options->allow_from.count == 0 ||
        (net_ip_from_address(peer, &ip) &&
         (net_network_list_holds(&options->trusted_proxies, &ip) ||
          is_address_allowed(options, &ip))))
        return true;
    increment_counter(&webhook->counters.sums.rejected_network);
    log_debug("connection closed: not in allow-from",
              LOG_STRING("peer", net_address_format(peer, text)));
    return false;
}

// client_may_connect() has checked all clients except those behind a trusted proxy.
static bool client_is_allowed(const struct http_conn *conn, const struct http_head *head)
{
    const struct ingress_options *options = webhook_of(conn)->options;
    struct net_ip peer, client;

    if (options->allow_from.count == 0 || options->trusted_proxies.count == 0)
        return true;
    if (!net_ip_from_address(net_connection_peer(conn->connection), &peer))
        return false;
    if (!net_network_list_holds(&options->trusted_proxies, &peer))
        return true;
    return forwarded_find_client(head, &options->trusted_proxies, &peer, &client) &&
           is_address_allowed(options, &client);
}

// Records the refusal for the diagnosis of the webhook's configuration (webhook/setup.h).
static void note_refusal(struct http_conn *conn, const struct http_head *head,
                         enum setup_refusal refusal)
{
    struct webhook *webhook = webhook_of(conn);
    struct net_ip client;
    bool is_known = http_conn_find_client(conn, head, &webhook->options->trusted_proxies, &client);
    const struct setup_refused delivery = {.why = refusal,
                                           .client = is_known ? &client : NULL,
                                           .path = head->path,
                                           .at = timestamp_now(),
                                           .signed_at = ingress_signed_at(webhook->ingress)};

    setup_note_refusal(webhook->setup, &delivery);
}

static void note_signature(struct http_conn *conn, const struct http_head *head)
{
    if (http_head_get(head, SLICE("x-hub-signature-256"), NULL).len > 0)
        note_refusal(conn, head, SETUP_WRONG_SIGNATURE);
    else if (setup_is_from_github(head))
        note_refusal(conn, head, SETUP_WITHOUT_SIGNATURE);
}

static void log_lost_delivery(const struct http_conn *conn, const struct http_head *head)
{
    struct webhook *webhook = webhook_of(conn);
    char peer[NET_ADDRESS_TEXT_SIZE];
    uint64_t suppressed;
    struct slice path = head->path;

    if (!log_is_enabled(LOG_WARN) ||
        !log_limit_allows(&webhook->path_lines, timestamp_monotonic(), &suppressed))
        return;
    if (path.len > LOGGED_MAX)
        path.len = LOGGED_MAX;
    log_warn("delivery to another path than webhook-path: it is lost", LOG_SLICE("path", path),
             LOG_STRING("webhook_path", webhook->options->webhook_path),
             LOG_SLICE("delivery", header_for_log(head, SLICE("x-github-delivery"))),
             LOG_SLICE("event", header_for_log(head, SLICE("x-github-event"))),
             LOG_STRING("peer", http_conn_format_peer(conn, peer)),
             suppressed > 0 ? LOG_INT("suppressed", suppressed) : LOG_END);
}

static void refuse_path(struct http_conn *conn, const struct http_head *head)
{
    if (slice_equals(head->method, SLICE("POST")) && setup_is_from_github(head)) {
        note_refusal(conn, head, SETUP_WRONG_PATH);
        log_lost_delivery(conn, head);
    }
    respond_with_error(conn, 404, "not found");
}

// Repeated failures from a client are delayed progressively. Valid signatures are never delayed.
static void refuse_signature(struct http_conn *conn, const struct http_head *head,
                             const char *message)
{
    struct webhook *webhook = webhook_of(conn);
    struct net_ip client;
    duration_ns delay = 0;

    note_signature(conn, head);
    if (http_conn_find_client(conn, head, &webhook->options->trusted_proxies, &client))
        delay = auth_failures_note(webhook->failures, &client, timestamp_monotonic());
    if (delay == 0) {
        respond_with_error(conn, 401, message);
        return;
    }
    count_status(&webhook->counters, 401);
    log_response(conn, 401, message);
    http_conn_respond_late(conn, 401, "signature missing or wrong, and not for the first time",
                           delay);
}

static void refuse_delivery(struct http_conn *conn, const struct http_head *head,
                            const struct refusal *refusal)
{
    if (refusal->status == 401)
        refuse_signature(conn, head, refusal->error.message);
    else
        respond_with_error(conn, refusal->status, refusal->error.message);
}

// --- the head -------------------------------------------------------------------------------------

static bool on_webhook_head(struct http_conn *conn, const struct http_head *head)
{
    const struct webhook *webhook = webhook_of(conn);
    struct refusal refusal;
    struct http_response response;

    if (health_respond(webhook->engine, webhook->ingress, head, &response)) {
        send_logged_response(conn, &response,
                             "health"); // regardless of allow_from: proxies request it
    } else if (!client_is_allowed(conn, head)) {
        respond_with_error(conn, 403, "client address is not in allow-from");
    } else if (!slice_equals(head->path, slice_from_string(webhook->options->webhook_path))) {
        refuse_path(conn, head);
    } else if (!slice_equals(head->method, SLICE("POST"))) {
        http_response_set_wrong_method(&response, "POST");
        send_logged_response(conn, &response, "method");
    } else if (!delivery_head_is_acceptable(head, webhook->options, &refusal)) {
        refuse_delivery(conn, head, &refusal);
    } else {
        return true;
    }
    return false;
}

// --- the engine -----------------------------------------------------------------------------------

static void send_outcome(struct request *request)
{
    struct http_conn *conn = request->conn;
    enum ingress_outcome outcome = INGRESS_REFUSED;
    struct http_response response;

    switch (request->task.outcome) {
    case ENGINE_ACCEPTED:
        outcome = INGRESS_ACCEPTED;
        http_response_set(&response, 202, SLICE("{\"status\":\"accepted\"}\n"));
        break;
    case ENGINE_DUPLICATE:
        outcome = INGRESS_DUPLICATE;
        http_response_set(&response, 200, SLICE("{\"status\":\"duplicate\"}\n"));
        break;
    case ENGINE_FULL:
        http_response_set_error(&response, 503, "no room at present, try again later");
        break;
    case ENGINE_FAILED:
        http_response_set_error(&response, 503, "could not be stored, try again later");
        break;
    }
    count_delivery(conn, &request->delivery.event, outcome);
    send_logged_response(conn, &response,
                         response.status == 503 ? request->task.error.message : "engine");
}

static void clear_request(struct request *request)
{
    arena_clear(&request->arena);
    if (request->large_bytes > 0)
        body_memory_give_back(request->conn->host->body_memory, request->large_bytes);
    request->large_bytes = 0;
}

// A small body may decode to ten times its size, and it stays decoded until the engine is done. One is always accepted
// when there is no other, however low the limit is.
static bool reserve_event_memory(struct request *request)
{
    struct body_memory *memory = request->conn->host->body_memory;
    size_t held = request->arena.held;

    if (memory == NULL || held <= LARGE_EVENT)
        return true;
    if (held > memory->most / 2)
        held = (size_t)(memory->most / 2);
    if (!body_memory_take(memory, held))
        return false;
    request->large_bytes = held;
    return true;
}

// In the loop's thread. The client may have disconnected meanwhile.
static void respond_outcome(void *context)
{
    struct request *request = context;
    struct http_conn *conn = request->conn;

    send_outcome(request);
    clear_request(request);
    http_conn_unref(conn);
}

// In the engine's thread.
static void on_done(struct engine_task *task)
{
    struct request *request = task->context;

    net_loop_post(request->conn->host->loop, &request->outcome_task);
}

static void submit_event(struct request *request)
{
    const struct delivery *delivery = &request->delivery;
    timestamp_ns occurred_at;

    if (!delivery_guid_time(delivery->guid, &occurred_at))
        occurred_at = TIMESTAMP_UNKNOWN;
    // One request per connection at a time: the outcome of the previous one has been received.
    assert(request->task.state == ENGINE_TASK_IDLE && !request->outcome_task.is_posted);
    request->outcome_task = (struct net_task){.run = respond_outcome, .context = request};
    request->task = (struct engine_task){.type = ENGINE_APPLY_EVENT,
                                         .on_done = on_done,
                                         .context = request,
                                         .event = &delivery->event,
                                         .received_at = timestamp_now(),
                                         .occurred_at = occurred_at};
    delivery_digest(delivery, request->task.delivery_digest);
    delivery_old_digest(delivery, request->task.old_digest);
    // The engine reads the event until on_done, even if the client disconnects before.
    http_conn_ref(request->conn);
    engine_submit(webhook_of(request->conn)->engine, &request->task);
}

// --- the request ----------------------------------------------------------------------------------

static struct request *delivery_request_of(struct http_conn *conn)
{
    if (conn->request == NULL) {
        struct request *request = memory_allocate_array(1, sizeof *request);
        if (request == NULL)
            return NULL;
        request->conn = conn;
        arena_init(&request->arena, ARENA_BLOCK_BYTES);
        conn->request = request;
    }
    return conn->request;
}

static void on_webhook_free(struct http_conn *conn)
{
    struct request *request = conn->request;

    if (request == NULL)
        return;
    arena_release(&request->arena);
    memory_free(request);
}

static void respond_ignored(struct http_conn *conn, const struct github_event *event,
                            const char *why)
{
    struct http_response response;

    count_delivery(conn, event, event->is_malformed ? INGRESS_NULL : INGRESS_IGNORED);
    http_response_set(&response, 200, SLICE("{\"status\":\"ignored\"}\n"));
    send_logged_response(conn, &response, why);
}

// Logs for each ping whether the webhook is configured correctly.
static void log_ping(struct webhook *webhook, const struct github_hook *hook)
{
    uint64_t suppressed;
    char missing[SETUP_MISSING_SIZE];
    bool is_right = setup_describe_missing(hook, missing);

    if (!log_limit_allows(&webhook->ping_lines, timestamp_monotonic(), &suppressed))
        return;
    const struct log_field held = suppressed > 0 ? LOG_INT("suppressed", suppressed) : LOG_END;
    const struct log_field fields[] = {
        LOG_SLICE("of", hook->owner),
        LOG_SLICE("type", hook->type),
        LOG_INT("hook_id", hook->hook_id),
        LOG_SLICE("url", hook->url),
        LOG_SLICE("content_type", hook->content_type),
        is_right ? held : LOG_STRING("change", missing),
        is_right ? LOG_END : held,
        LOG_END,
    };
    log_write(is_right ? LOG_INFO : LOG_WARN,
              !hook->has_events ? "ping: it does not say which events are ticked"
              : is_right        ? "ping: the webhook is set up right"
                                : "ping: the webhook is not set up right",
              fields);
}

static void respond_ping(struct http_conn *conn, const struct github_event *event)
{
    struct webhook *webhook = webhook_of(conn);
    struct http_response response;

    setup_note_ping(webhook->setup, &event->hook, timestamp_now());
    log_ping(webhook, &event->hook);
    count_delivery(conn, event, INGRESS_PONG);
    http_response_set(&response, 200, SLICE("{\"status\":\"pong\"}\n"));
    send_logged_response(conn, &response, "ping");
}

// True: the event was handed to the engine.
static bool process_event(struct request *request)
{
    const struct github_event *event = &request->delivery.event;
    const struct ingress_options *options = webhook_of(request->conn)->options;

    switch (github_event_use_of(event->kind)) {
    case GITHUB_EVENT_USE_STORE:
        break;
    case GITHUB_EVENT_USE_ANSWER:
        respond_ping(request->conn, event);
        return false;
    case GITHUB_EVENT_USE_NONE:
        respond_ignored(request->conn, event, event->ignored_because);
        return false;
    }
    if (!ingress_repository_is_wanted(options->repos, options->repo_count,
                                      event->repository.full_name)) {
        respond_ignored(request->conn, event, "repository not wanted");
    } else if (!reserve_event_memory(request)) {
        respond_with_error(request->conn, 503, "too many large bodies at a time, try again later");
    } else {
        submit_event(request);
        return true;
    }
    return false;
}

static void on_webhook_request(struct http_conn *conn, const struct http_head *head,
                               struct slice body)
{
    struct request *request = delivery_request_of(conn);
    struct refusal refusal;

    if (request == NULL) {
        respond_with_error(conn, 503, "out of memory");
        return;
    }
    const struct delivery_source source = {
        .head = head, .body = body, .options = webhook_of(conn)->options, .arena = &request->arena};
    bool is_good = delivery_read(&source, &request->delivery, &refusal);
    if (is_good || refusal.status != 401)
        atomic_store_explicit(&webhook_of(conn)->counters.signed_at, timestamp_now(),
                              memory_order_relaxed);
    if (!is_good)
        refuse_delivery(conn, head, &refusal);
    else if (process_event(request))
        return;
    clear_request(request);
}

static void on_webhook_refused(struct http_conn *conn, int status, const char *reason)
{
    count_status(&webhook_of(conn)->counters, status);
    log_response(conn, status, reason);
}

const struct http_service webhook_service = {
    .may_connect = client_may_connect,
    .on_head = on_webhook_head,
    .on_request = on_webhook_request,
    .on_refused = on_webhook_refused,
    .on_free = on_webhook_free,
};
