// Pushes snapshots of the figures: timer, requests, answers, log and status.
#include "ghatrace/export/metrics.h"

#include <stdio.h>
#include <unistd.h>

#include "ghatrace/base/log.h"
#include "ghatrace/base/memory.h"
#include "ghatrace/client/http_client.h"
#include "push_pace.h"
#include "request.h"
#include "snapshot.h"

#define ARENA_BLOCK 1024
#define STATUS_TOO_LARGE 413
#define STATUS_NOT_IMPLEMENTED 501
// Bytes of a request before it is encoded further. gRPC receivers take 4 MiB by default.
#define PART_BYTES ((size_t)2 << 20)
#define PART_BYTES_LEAST ((size_t)64 << 10)
#define REPEAT_INTERVAL (10 * NS_PER_MINUTE)

struct metrics_push {
    struct metrics_push_options options;
    struct export_endpoint endpoint;
    char url[EXPORT_URL_SIZE]; // for logs
    struct attributes resource;
    struct arena arena; // memory of `resource`
    struct made_form made;
    struct http_client *client;
    struct net_timer *timer; // of the next snapshot; not set while one is sent
    struct push_pace pace;
    size_t part_bytes; // halved by each refusal of a request as too large
    uint64_t random_state;
    bool is_started;

    // the snapshot that is being sent
    bool is_busy;
    struct snapshot snapshot;
    size_t next_part;
    timestamp_ns deadline;                 // monotonic
    struct http_client_transfer *transfer; // NULL: none
    struct buffer body;                    // of the request

    struct metrics_push_counters counters;
    struct metrics_push_status status;
    bool is_absent;           // and that was logged
    timestamp_ns logged_at;   // monotonic; 0: nothing was logged of the present trouble
    timestamp_ns remarked_at; // when a partial success was last logged; 0: never
};

// --- log and status -------------------------------------------------------------------------------

static void log_trouble(struct metrics_push *push, const char *message, timestamp_ns now)
{
    char next_try[TIMESTAMP_TEXT_SIZE];
    duration_ns wait = push->pace.due_at > now ? push->pace.due_at - now : 0;
    push->logged_at = now;
    log_warn(message, LOG_STRING("endpoint", push->url),
             LOG_STRING("trouble", export_trouble_text(push->status.category)),
             LOG_STRING("error", push->status.message), LOG_INT("failures", push->pace.failures),
             LOG_STRING("next_try", duration_format_short(wait, next_try)));
}

// One line when the trouble begins, and one from time to time while it lasts; only one about an endpoint without
// metrics.
static void report_trouble(struct metrics_push *push, enum push_failure failure,
                           enum export_trouble trouble, int http_status)
{
    timestamp_ns now = timestamp_monotonic();
    bool was_absent = push->is_absent;
    if (!push->status.is_troubled)
        push->status.since = timestamp_now();
    push->status.is_troubled = true;
    push->status.category = trouble;
    push->status.http_status = http_status;
    push->is_absent = was_absent || failure == PUSH_ABSENT;
    if (push->is_absent && !was_absent)
        log_trouble(push, "endpoint has no OTLP metrics, will retry at long intervals", now);
    else if (!push->is_absent && (push->logged_at == 0 || now - push->logged_at >= REPEAT_INTERVAL))
        log_trouble(push, "metrics are not accepted, will retry", now);
}

static void report_end(struct metrics_push *push)
{
    push->status.accepted_at = timestamp_now();
    if (!push->status.is_troubled)
        return;
    push->status.is_troubled = false;
    push->status.category = EXPORT_NO_TROUBLE;
    push->status.message[0] = '\0';
    push->is_absent = false;
    push->logged_at = 0;
    log_info("metrics are accepted again", LOG_STRING("endpoint", push->url));
}

static void report_partial(struct metrics_push *push, int64_t rejected, const char *message)
{
    timestamp_ns now = timestamp_monotonic();
    if (push->remarked_at != 0 && now - push->remarked_at < REPEAT_INTERVAL)
        return;
    push->remarked_at = now;
    log_warn(rejected > 0 ? "collector rejected data points" : "collector has a remark",
             LOG_INT("rejected_points", rejected), LOG_STRING("message", message),
             LOG_STRING("endpoint", push->url));
}

// --- the end of a snapshot ------------------------------------------------------------------------

static void wait_for_next(struct metrics_push *push)
{
    duration_ns wait = push->pace.due_at - timestamp_monotonic();
    push->is_busy = false;
    snapshot_release(&push->snapshot);
    net_timer_set(push->timer, wait > NS_PER_MS ? wait : NS_PER_MS);
}

static void end_sent(struct metrics_push *push)
{
    push->counters.snapshots++;
    push_pace_sent(&push->pace, timestamp_monotonic());
    report_end(push);
    wait_for_next(push);
}

struct failure {
    enum push_failure kind;
    enum export_trouble trouble;
    int http_status; // 0: no response, or a code of gRPC
    duration_ns retry_after;
};

// The reason is in the status.
static void end_failed(struct metrics_push *push, const struct failure *failure)
{
    push->counters.failures++;
    push_pace_failed(&push->pace, failure->kind, failure->retry_after, timestamp_monotonic(),
                     backoff_random(&push->random_state));
    report_trouble(push, failure->kind, failure->trouble, failure->http_status);
    wait_for_next(push);
}

static void fail_push_locally(struct metrics_push *push, const struct error *error)
{
    const struct failure failure = {.kind = PUSH_LATER, .trouble = EXPORT_LOCAL_TROUBLE};
    (void)snprintf(push->status.message, sizeof push->status.message, "%s", error->message);
    end_failed(push, &failure);
}

// --- requests and their answers -------------------------------------------------------------------

static void send_part(struct metrics_push *push);

static void go_on(struct metrics_push *push)
{
    if (push->next_part < push->snapshot.count)
        send_part(push);
    else
        end_sent(push);
}

static void read_push_success(struct metrics_push *push, const struct export_answer *answer)
{
    char message[ANSWER_TEXT_SIZE];
    int64_t rejected;
    // "The client MUST NOT retry the request when it receives a partial success response".
    if (answer_read_partial(answer, &push->made.masks, &rejected, message)) {
        push->counters.rejected_points += (uint64_t)rejected;
        report_partial(push, rejected, message);
    }
}

static enum push_failure failure_of(const struct export_class *class, int status)
{
    if (class->trouble == EXPORT_WRONG_PATH || status == STATUS_NOT_IMPLEMENTED)
        return PUSH_ABSENT;
    return class->outcome == EXPORT_ABOUT_DATA ? PUSH_REFUSED : PUSH_LATER;
}

static void read_failure(struct metrics_push *push, const struct http_client_response *response,
                         const struct export_answer *answer, const struct export_class *class)
{
    int status = answer_status(answer);
    const struct failure failure = {
        .kind = failure_of(class, status),
        .trouble = response_trouble(class->trouble, &response->error),
        .http_status = answer_http_status(answer),
        .retry_after = answer->retry_after,
    };
    response_describe(response, answer, &push->made.masks, push->status.message);
    if ((class->is_likely_size || status == STATUS_TOO_LARGE) &&
        push->part_bytes > PART_BYTES_LEAST)
        push->part_bytes /= 2;
    // Behind a load balancer, another connection may reach another endpoint.
    http_client_renew(push->client, response->age);
    end_failed(push, &failure);
}

static void on_push_response(void *context, const struct http_client_response *response)
{
    struct metrics_push *push = context;
    struct arena arena;
    arena_init(&arena, ARENA_BLOCK);
    const struct export_answer answer = response_read(response, push->made.form.protocol, &arena);
    const struct export_class class = response_classify(response, &answer);
    bool is_unauthorized = class.trouble == EXPORT_REFUSES_CREDENTIALS;
    push->transfer = NULL;
    buffer_release(&push->body);
    if (class.outcome == EXPORT_SENT) {
        read_push_success(push, &answer);
        go_on(push);
    } else {
        read_failure(push, response, &answer, &class);
    }
    arena_release(&arena);
    if (is_unauthorized && push->options.export.on_unauthorized != NULL)
        push->options.export.on_unauthorized(push->options.export.on_unauthorized_context);
}

// The timeout of a request, within that of the snapshot.
static duration_ns time_left(const struct metrics_push *push)
{
    duration_ns left = push->deadline - timestamp_monotonic();
    duration_ns one = push->options.export.timeout;
    if (left < NS_PER_MS)
        left = NS_PER_MS;
    return one > 0 && one < left ? one : left;
}

static enum error_code send_body(struct metrics_push *push)
{
    const struct http_client_request request =
        request_with_body(&push->made.form, buffer_slice(&push->body), time_left(push));
    return http_client_send(push->client, &request, on_push_response, push, &push->transfer);
}

static void send_part(struct metrics_push *push)
{
    struct error error;
    struct slice part = buffer_slice(&push->snapshot.parts[push->next_part++]);
    enum error_code code = request_build_metrics(&push->made.form, part, &push->body, &error);
    if (code == ERROR_NONE) {
        code = send_body(push);
        if (code != ERROR_NONE)
            error_set(&error, code, "request: %s", error_code_text(code));
    }
    if (code == ERROR_NONE) {
        push->counters.requests++;
        return;
    }
    push->transfer = NULL;
    buffer_release(&push->body);
    fail_push_locally(push, &error);
}

static void on_push_due(void *context)
{
    struct metrics_push *push = context;
    struct error error;
    push->is_busy = true;
    if (push->options.export.before_request != NULL)
        push->options.export.before_request(push->options.export.before_request_context);
    const struct snapshot_options options = {.store = push->options.export.store,
                                             .resource = &push->resource,
                                             .part_bytes = push->part_bytes,
                                             .now = timestamp_now(),
                                             .job_grace = push->options.job_grace};
    push->next_part = 0;
    push->deadline = timestamp_monotonic() + push->options.timeout;
    if (snapshot_take(&options, &push->snapshot, &error) == ERROR_NONE)
        go_on(push);
    else
        fail_push_locally(push, &error);
}

// --- life -----------------------------------------------------------------------------------------

static void add_text(struct metrics_push *push, const char *key, struct slice value)
{
    push->resource.items[push->resource.count++] =
        (struct attribute){.key = key, .type = ATTRIBUTE_STRING, .string = value};
}

// Of equal keys the first counts. The spans' resource names a repository, which here belongs to each point.
static enum error_code make_resource(struct metrics_push *push, struct error *error)
{
    const struct metrics_push_options *options = &push->options;
    size_t capacity = options->resource_extra_count + 2;
    push->resource.items =
        arena_allocate_array(&push->arena, capacity, sizeof *push->resource.items);
    if (push->resource.items == NULL)
        return error_set(error, ERROR_MEMORY, "out of memory");
    push->resource.capacity = capacity;
    add_text(push, "service.name",
             options->service_name.len > 0 ? options->service_name : SLICE("ghatrace"));
    add_text(push, "vcs.provider.name", SLICE("github"));
    for (size_t i = 0; i < options->resource_extra_count; i++)
        push->resource.items[push->resource.count++] = options->resource_extra[i];
    return ERROR_NONE;
}

static enum error_code set_up_push(struct metrics_push *push, struct error *error)
{
    const struct export_options *export = &push->options.export;
    const struct http_client_options client = {
        .connections_max = 1,
        .tls = push->endpoint.is_tls ? export->tls : NULL,
    };
    enum error_code code = make_resource(push, error);
    if (code == ERROR_NONE)
        code = made_form_init(export, &push->endpoint, &push->made, error);
    if (code == ERROR_NONE)
        code = net_timer_create(export->loop, on_push_due, push, &push->timer, error);
    if (code == ERROR_NONE)
        code = http_client_create(export->loop, &client, &push->client, error);
    return code;
}

enum error_code metrics_push_create(const struct metrics_push_options *options,
                                    struct metrics_push **out, struct error *error)
{
    if (options->export.endpoint.is_tls && options->export.tls == NULL)
        return error_set(error, ERROR_USAGE, "metrics: https without certificates to trust");
    struct metrics_push *push = memory_allocate_array(1, sizeof *push);
    if (push == NULL)
        return error_set(error, ERROR_MEMORY, "metrics: out of memory");
    push->options = *options;
    push->endpoint = options->export.endpoint;
    push->part_bytes = PART_BYTES;
    push->random_state = backoff_seed(timestamp_now(), timestamp_monotonic(), getpid());
    buffer_init(&push->body, 0);
    arena_init(&push->arena, ARENA_BLOCK);
    export_endpoint_format(&push->endpoint, push->url, sizeof push->url);
    enum error_code code = set_up_push(push, error);
    if (code != ERROR_NONE) {
        error_wrap(error, "metrics");
        metrics_push_destroy(push);
        return code;
    }
    *out = push;
    return ERROR_NONE;
}

void metrics_push_start(struct metrics_push *push)
{
    char interval[TIMESTAMP_TEXT_SIZE];
    const char *proxy = push->endpoint.proxy.shown;
    push->is_started = true;
    push_pace_init(&push->pace, push->options.interval, METRICS_ABSENT_INTERVAL,
                   timestamp_monotonic());
    log_info("pushing metrics", LOG_STRING("endpoint", push->url),
             LOG_STRING("proxy", proxy[0] != '\0' ? proxy : "none"),
             LOG_STRING("protocol", export_protocol_text(push->made.form.protocol)),
             LOG_STRING("compression", push->made.form.gzip ? "gzip" : "none"),
             LOG_STRING("interval", duration_format_short(push->options.interval, interval)));
    net_timer_set(push->timer, push->options.interval);
}

// Ends the wait after a failure.
static void try_now(struct metrics_push *push)
{
    if (!push->is_started || push->is_busy)
        return;
    push_pace_try_now(&push->pace, timestamp_monotonic());
    wait_for_next(push);
}

void metrics_push_renew_connections(struct metrics_push *push, struct net_tls_client *tls)
{
    if (push->endpoint.is_tls && tls != NULL)
        http_client_use_tls(push->client, tls);
    else
        http_client_renew(push->client, HTTP_CLIENT_RENEW_ALWAYS);
    try_now(push);
}

enum error_code metrics_push_use_headers(struct metrics_push *push,
                                         const struct http_header *headers, size_t count,
                                         struct error *error)
{
    struct export_options options = push->options.export;
    bool is_changed;
    options.headers = headers;
    options.header_count = count;
    enum error_code code = made_form_change(&push->made, &options, &is_changed, error);
    if (is_changed)
        try_now(push);
    return code;
}

void metrics_push_destroy(struct metrics_push *push)
{
    if (push == NULL)
        return;
    http_client_cancel(push->transfer);
    http_client_destroy(push->client);
    net_timer_destroy(push->timer);
    snapshot_release(&push->snapshot);
    buffer_release(&push->body);
    arena_release(&push->arena);
    made_form_release(&push->made);
    memory_free(push);
}

void metrics_push_read_counters(const struct metrics_push *push,
                                struct metrics_push_counters *counters)
{
    *counters = push->counters;
    counters->failures_in_a_row = push->pace.failures;
}

void metrics_push_read_status(const struct metrics_push *push, struct metrics_push_status *status)
{
    *status = push->status;
    if (!status->is_troubled)
        status->since = TIMESTAMP_UNKNOWN;
}
