// Routes of the admin listener: map requests to the functions that render the responses.
#include "ghatrace/admin/admin.h"

#include <assert.h>
#include <string.h>

#include "api.h"
#include "ghatrace/base/memory.h"
#include "ghatrace/http/server.h"
#include "ghatrace/view/failures_view.h"
#include "ghatrace/view/pools_cache.h"
#include "latency_api.h"
#include "live.h"
#include "metrics.h"
#include "page.h"
#include "whatif_api.h"

#define RESPONSE_MAX_BYTES ((size_t)256 * 1024 * 1024)
#define ARENA_BLOCK_BYTES ((size_t)256 * 1024)
#define HISTORY_SUFFIX SLICE("/history")
#define JOBS_SUFFIX SLICE("/jobs")
#define RUN_PREFIX "/api/runs/"
#define COMMIT_PREFIX "/api/commits/"
#define ROUTES_MAX 24

struct view {
    struct view_sources sources;
    struct live live;
    struct whatif_api *whatif;
    struct latency_api *latency;
    struct pools_cache pools;
    struct failures_cache failures;
    struct arena arena; // for one request
    struct admin_route routes[ROUTES_MAX];
    size_t route_count;
};

// --- state of a request --------------------------------------------------------------------------

static int error_status(enum error_code code)
{
    if (code == ERROR_NOT_FOUND)
        return 404;
    return code == ERROR_USAGE ? 400 : 503;
}

// --- parameters -----------------------------------------------------------------------------------

// One request in progress, and its response.
struct exchange {
    struct view *view;
    const struct admin_request *request;
    struct admin_response *reply;
    struct buffer out;
    struct error error;
    struct api_call call; // writes to `out` and `error`
    enum error_code code; // the first error
};

static struct slice get_parameter(struct exchange *exchange, const char *name)
{
    struct slice value = SLICE_EMPTY;
    if (exchange->code == ERROR_NONE &&
        !admin_query_get(exchange->request->query, name, &exchange->view->arena, &value))
        exchange->code = error_set(&exchange->error, ERROR_MEMORY, "out of memory");
    return value;
}

// A number of items.
static size_t get_count(struct exchange *exchange, const char *name, size_t least, size_t usual,
                        size_t most)
{
    struct slice text = get_parameter(exchange, name);
    long long number;
    if (text.len == 0)
        return usual;
    if (exchange->code == ERROR_NONE &&
        (!slice_parse_int64(text, &number) || number < (long long)least))
        exchange->code = error_set(&exchange->error, ERROR_USAGE,
                                   "%s: want a number from %zu to %zu", name, least, most);
    if (exchange->code != ERROR_NONE)
        return 0;
    return (unsigned long long)number < most ? (size_t)number : most;
}

static size_t get_limit(struct exchange *exchange, size_t usual, size_t most)
{
    return get_count(exchange, "limit", 0, usual, most);
}

// True if the parameter is the second of two words; false if it is the first or absent.
static bool get_choice(struct exchange *exchange, const char *name, const char *first,
                       const char *second)
{
    struct slice text = get_parameter(exchange, name);
    if (exchange->code == ERROR_NONE && text.len > 0 &&
        !slice_equals(text, slice_from_string(first)) &&
        !slice_equals(text, slice_from_string(second)))
        exchange->code =
            error_set(&exchange->error, ERROR_USAGE, "%s: want %s or %s", name, first, second);
    return slice_equals(text, slice_from_string(second));
}

static void begin_call(void *context, const struct admin_request *request,
                       struct admin_response *reply, struct exchange *exchange)
{
    struct view *view = context;
    *exchange = (struct exchange){.view = view, .request = request, .reply = reply};
    exchange->call = (struct api_call){.sources = &view->sources,
                                       .now = timestamp_now(),
                                       .arena = &view->arena,
                                       .out = &exchange->out,
                                       .error = &exchange->error};
    arena_clear(&view->arena);
    buffer_init(&exchange->out, RESPONSE_MAX_BYTES);
}

// Sends the rendered text, or the error.
static void end_call(struct exchange *exchange)
{
    if (exchange->code == ERROR_NONE)
        admin_response_send(exchange->reply, 200, "application/json", &exchange->out);
    else
        admin_response_error(exchange->reply, error_status(exchange->code),
                             exchange->error.message);
    buffer_release(&exchange->out);
}

// --- handlers -------------------------------------------------------------------------------------

static enum error_code produce_metrics(void *context, struct buffer *out, bool *is_last,
                                       struct error *error)
{
    return metrics_scrape_next(context, timestamp_now(), out, is_last, error);
}

static void end_metrics(void *context)
{
    metrics_scrape_release(context);
    memory_free(context);
}

static void handle_metrics(void *context, const struct admin_request *request,
                           struct admin_response *reply)
{
    const struct view *view = context;
    enum metrics_format format =
        metrics_format_of(http_head_get(request->head, SLICE("accept"), NULL));
    struct metrics_scrape *scrape = memory_allocate_array(1, sizeof *scrape);
    const struct http_producer producer = {
        .produce = produce_metrics, .on_end = end_metrics, .context = scrape};
    if (scrape == NULL) {
        admin_response_error(reply, 503, "out of memory");
        return;
    }
    metrics_scrape_init(scrape, &view->sources, format);
    admin_response_set_field(reply, "Vary", "Accept, Accept-Encoding");
    admin_response_produce(reply, metrics_content_type(format), &producer);
}

static void handle_queue(void *context, const struct admin_request *request,
                         struct admin_response *reply)
{
    struct exchange exchange;
    begin_call(context, request, reply, &exchange);
    const struct api_queue_query query = {
        .state = get_parameter(&exchange, "state"),
        .runner_labels = get_parameter(&exchange, "runner_labels"),
        .limit = get_limit(&exchange, API_QUEUE_LIMIT, API_QUEUE_LIMIT_MAX),
        .pools = get_count(&exchange, "pools", 1, 0, API_QUEUE_POOLS_MAX)};
    if (exchange.code == ERROR_NONE)
        exchange.code = api_render_queue(&exchange.call, &query);
    end_call(&exchange);
}

static void handle_runs(void *context, const struct admin_request *request,
                        struct admin_response *reply)
{
    struct exchange exchange;
    begin_call(context, request, reply, &exchange);
    const struct api_runs_query query = {
        .open = get_choice(&exchange, "state", "finished", "open"),
        .repository = get_parameter(&exchange, "repository"),
        .workflow = get_parameter(&exchange, "workflow"),
        .branch = get_parameter(&exchange, "branch"),
        .result = get_parameter(&exchange, "result"),
        .server = get_parameter(&exchange, "server"),
        .text = get_parameter(&exchange, "q"),
        .cursor = get_parameter(&exchange, "cursor"),
        .limit = get_limit(&exchange, API_RUNS_LIMIT, API_RUNS_LIMIT_MAX),
        .jobs = get_count(&exchange, "jobs", 1, API_OPEN_RUN_JOBS, API_OPEN_RUN_JOBS)};
    if (exchange.code == ERROR_NONE)
        exchange.code = api_render_runs(&exchange.call, &query);
    end_call(&exchange);
}

// "/api/runs/123/1"; without an attempt, the newest.
static bool read_run_path(struct slice path, struct run_selector *question)
{
    return run_selector_parse(slice_skip(path, sizeof RUN_PREFIX - 1), question);
}

// 0: not given.
static int64_t get_job_id(struct exchange *exchange)
{
    struct slice text = get_parameter(exchange, "job");
    long long number = 0;
    if (exchange->code == ERROR_NONE && text.len > 0 &&
        (!slice_parse_int64(text, &number) || number <= 0))
        exchange->code = error_set(&exchange->error, ERROR_USAGE, "job: want the number of a job");
    return number;
}

static void handle_run(void *context, const struct admin_request *request,
                       struct admin_response *reply)
{
    struct exchange exchange;
    begin_call(context, request, reply, &exchange);
    bool is_otlp = get_choice(&exchange, "format", "json", "otlp");
    struct run_selector question = {.server = get_parameter(&exchange, "server")};
    const struct api_run_part part = {.failed_steps_only =
                                          get_choice(&exchange, "steps", "all", "failed"),
                                      .job_id = get_job_id(&exchange)};
    if (exchange.code == ERROR_NONE && !read_run_path(request->path, &question))
        exchange.code =
            error_set(&exchange.error, ERROR_NOT_FOUND,
                      "want " RUN_PREFIX "RUN or " RUN_PREFIX "RUN/ATTEMPT, in numbers");
    if (exchange.code == ERROR_NONE && is_otlp)
        exchange.code = api_render_spans(&exchange.call, &question);
    else if (exchange.code == ERROR_NONE)
        exchange.code = api_render_run_part(&exchange.call, &question, &part);
    end_call(&exchange);
}

static void handle_commit(void *context, const struct admin_request *request,
                          struct admin_response *reply)
{
    const struct slice text = slice_skip(request->path, sizeof COMMIT_PREFIX - 1);
    struct exchange exchange;
    begin_call(context, request, reply, &exchange);
    exchange.code = api_render_commit(&exchange.call, text);
    end_call(&exchange);
}

static void handle_pools(void *context, const struct admin_request *request,
                         struct admin_response *reply)
{
    struct exchange exchange;
    begin_call(context, request, reply, &exchange);
    exchange.code = api_render_pools(&exchange.call);
    end_call(&exchange);
}

// A time, as RFC 3339 has it or in seconds since 1970. TIMESTAMP_UNKNOWN: it is not given.
static timestamp_ns get_time(struct exchange *exchange, const char *name)
{
    struct slice text = get_parameter(exchange, name);
    timestamp_ns time = TIMESTAMP_UNKNOWN;
    long long seconds;
    if (exchange->code != ERROR_NONE || text.len == 0)
        return TIMESTAMP_UNKNOWN;
    if (slice_parse_int64(text, &seconds) && seconds >= 0 && seconds < INT64_MAX / NS_PER_SECOND)
        time = seconds * NS_PER_SECOND;
    else if (!timestamp_parse_rfc3339(text, &time))
        exchange->code =
            error_set(&exchange->error, ERROR_USAGE,
                      "%s: want a time, as 2026-01-31T09:00:00Z or in seconds since 1970", name);
    return time > 0 ? time : 1; // 1970 is a time, too
}

static duration_ns get_window(struct exchange *exchange)
{
    struct slice text = get_parameter(exchange, "window");
    duration_ns window = 0;
    if (exchange->code == ERROR_NONE && text.len > 0 &&
        (!duration_parse(text, &window) || window <= 0))
        exchange->code =
            error_set(&exchange->error, ERROR_USAGE, "window: want a time, as 90m, 24h or 7d");
    return window;
}

static struct pool_history_span get_span(struct exchange *exchange)
{
    return (struct pool_history_span){.from = get_time(exchange, "from"),
                                      .window = get_window(exchange),
                                      .to = get_time(exchange, "to")};
}

static void handle_latency(void *context, const struct admin_request *request,
                           struct admin_response *reply)
{
    struct view *view = context;
    struct exchange exchange;
    begin_call(view, request, reply, &exchange);
    const struct api_latency_query query = {
        .span = get_span(&exchange),
        .limit = get_limit(&exchange, API_LATENCY_LIMIT, API_LATENCY_LIMIT),
        .is_worst_first = get_choice(&exchange, "order", "count", "p90")};
    if (exchange.code == ERROR_NONE)
        latency_api_answer(view->latency, &query, reply);
    else
        end_call(&exchange);
}

static void handle_failures(void *context, const struct admin_request *request,
                            struct admin_response *reply)
{
    struct exchange exchange;
    begin_call(context, request, reply, &exchange);
    duration_ns window = get_window(&exchange);
    if (exchange.code == ERROR_NONE)
        exchange.code = api_render_failures(&exchange.call, &exchange.view->failures, window);
    end_call(&exchange);
}

static void handle_history(void *context, const struct admin_request *request,
                           struct admin_response *reply)
{
    struct exchange exchange;
    struct slice pool = SLICE_EMPTY;
    begin_call(context, request, reply, &exchange);
    const struct pool_history_span span = get_span(&exchange);
    if (exchange.code == ERROR_NONE)
        exchange.code = pool_path_read(request->path, HISTORY_SUFFIX, exchange.call.arena, &pool,
                                       &exchange.error);
    if (exchange.code == ERROR_NONE)
        exchange.code = api_render_history(&exchange.call, pool, &span);
    end_call(&exchange);
}

static void handle_pool_jobs(void *context, const struct admin_request *request,
                             struct admin_response *reply)
{
    struct exchange exchange;
    struct slice pool = SLICE_EMPTY;
    begin_call(context, request, reply, &exchange);
    const struct api_pool_jobs_query query = {
        .state = get_parameter(&exchange, "state"),
        .cursor = get_parameter(&exchange, "cursor"),
        .limit = get_limit(&exchange, API_QUEUE_LIMIT, API_QUEUE_LIMIT_MAX)};
    if (exchange.code == ERROR_NONE)
        exchange.code =
            pool_path_read(request->path, JOBS_SUFFIX, exchange.call.arena, &pool, &exchange.error);
    if (exchange.code == ERROR_NONE)
        exchange.code = api_render_pool_jobs(&exchange.call, pool, &query);
    end_call(&exchange);
}

static void handle_one_pool(void *context, const struct admin_request *request,
                            struct admin_response *reply)
{
    struct exchange exchange;
    struct slice pool = SLICE_EMPTY;
    begin_call(context, request, reply, &exchange);
    exchange.code =
        pool_path_read(request->path, SLICE_EMPTY, exchange.call.arena, &pool, &exchange.error);
    if (exchange.code == ERROR_NONE)
        exchange.code = api_render_pool(&exchange.call, pool);
    end_call(&exchange);
}

// Requests about one pool. A client that does not encode the slashes in its name gets the pool as well, unless the name
// ends as the other paths do.
static void handle_pool(void *context, const struct admin_request *request,
                        struct admin_response *reply)
{
    struct view *view = context;
    if (slice_ends_with(request->path, HISTORY_SUFFIX))
        handle_history(view, request, reply);
    else if (slice_ends_with(request->path, JOBS_SUFFIX))
        handle_pool_jobs(view, request, reply);
    else if (slice_ends_with(request->path, WHATIF_SUFFIX))
        whatif_api_handle(view->whatif, request, reply);
    else
        handle_one_pool(view, request, reply);
}

static void handle_quarantine(void *context, const struct admin_request *request,
                              struct admin_response *reply)
{
    struct exchange exchange;
    begin_call(context, request, reply, &exchange);
    size_t limit = get_limit(&exchange, API_QUARANTINE_LIMIT, API_QUARANTINE_LIMIT_MAX);
    if (exchange.code == ERROR_NONE)
        exchange.code = api_render_quarantine(&exchange.call, limit);
    end_call(&exchange);
}

static void handle_status(void *context, const struct admin_request *request,
                          struct admin_response *reply)
{
    struct exchange exchange;
    begin_call(context, request, reply, &exchange);
    exchange.code = api_render_status(&exchange.call);
    end_call(&exchange);
}

// --- the table ------------------------------------------------------------------------------------

static void add_route(struct view *view, const char *path,
                      void (*handle)(void *, const struct admin_request *, struct admin_response *),
                      void *context)
{
    assert(view->route_count < sizeof view->routes / sizeof view->routes[0]);
    view->routes[view->route_count++] =
        (struct admin_route){.path = path, .handle = handle, .context = context};
}

enum error_code view_create(struct net_loop *loop, const struct view_sources *sources,
                            struct view **out, struct error *error)
{
    struct view *view = memory_allocate_array(1, sizeof *view);
    if (view == NULL)
        return error_set(error, ERROR_MEMORY, "views: out of memory");
    view->sources = *sources;
    view->sources.pools_cache = &view->pools;
    view->sources.live_streams = &view->live.streams;
    pools_cache_init(&view->pools);
    failures_cache_init(&view->failures);
    arena_init(&view->arena, ARENA_BLOCK_BYTES);
    enum error_code code = live_init(&view->live, loop, &view->sources, error);
    if (code == ERROR_NONE)
        code = whatif_api_create(loop, &view->sources, &view->whatif, error);
    if (code == ERROR_NONE)
        code = latency_api_create(loop, &view->sources, &view->latency, error);
    if (code != ERROR_NONE) {
        view_destroy(view);
        return code;
    }
    add_route(view, "/metrics", handle_metrics, view);
    add_route(view, "/api/queue", handle_queue, view);
    add_route(view, "/api/runs", handle_runs, view);
    add_route(view, RUN_PREFIX, handle_run, view);
    add_route(view, COMMIT_PREFIX, handle_commit, view);
    add_route(view, "/api/latency", handle_latency, view);
    view->routes[view->route_count - 1].is_slow = true;
    add_route(view, "/api/failures", handle_failures, view);
    add_route(view, "/api/pools", handle_pools, view);
    add_route(view, "/api/status", handle_status, view);
    add_route(view, "/api/quarantine", handle_quarantine, view);
    add_route(view, "/api/live", live_handle, &view->live);
    add_route(view, POOLS_PREFIX, handle_pool, view);
    view->routes[view->route_count - 1].is_slow = true;
    add_route(view, "/", page_handle_index, NULL);
    add_route(view, PAGE_FILES_PREFIX, page_handle_file, NULL);
    *out = view;
    return ERROR_NONE;
}

const struct admin_route *view_routes(const struct view *view, size_t *count)
{
    *count = view->route_count;
    return view->routes;
}

void view_stop(struct view *view)
{
    live_stop(&view->live);
    whatif_api_stop(view->whatif);
    latency_api_stop(view->latency);
}

void view_destroy(struct view *view)
{
    if (view == NULL)
        return;
    live_release(&view->live);
    whatif_api_destroy(view->whatif);
    latency_api_destroy(view->latency);
    pools_cache_release(&view->pools);
    failures_cache_release(&view->failures);
    arena_release(&view->arena);
    memory_free(view);
}
