// Reads the figures of the store and writes them as OTLP metrics.
#include "snapshot.h"

#include <stdlib.h>
#include <string.h>

#include "ghatrace/base/arena.h"
#include "ghatrace/otlp/metrics.h"
#include "ghatrace/stats/ended_jobs.h"
#include "ghatrace/stats/latency.h"
#include "ghatrace/stats/pool.h"
#include "ghatrace/stats/pool_minutes.h"
#include "ghatrace/stats/runs.h"
#include "ghatrace/stats/series.h"
#include "ghatrace/store/codec.h"
#include "ghatrace/trace/spans.h"

#define PART_MAX ((size_t)16 << 20) // one point is far smaller than the difference to part_bytes
#define ARENA_BLOCK ((size_t)64 << 10)
// The states of so many open runs are read, and as many running jobs are looked at; a million would take seconds.
#define OPEN_RUNS_READ_MAX 5000
// Queued jobs that are looked at for percentiles, of one pool and in all, and minutes of all pools. As for /metrics.
#define QUEUED_READ_MAX_EACH 100000
#define QUEUED_READ_MAX 400000
#define MINUTES_READ_MAX 200000

// --- parts ----------------------------------------------------------------------------------------

struct collection {
    const struct snapshot_options *options;
    struct snapshot *snapshot;
    struct store_transaction *transaction;
    struct arena arena;
    struct otlp_interval counted;     // since the figures are counted; of a series, since it is
    double bounds[SERIES_BOUNDS_MAX]; // of the buckets of histograms, in seconds
    size_t bound_count;
    struct otlp_metrics *part; // NULL: none is begun
    const struct otlp_metric *metric;
    enum error_code code; // the first error
    struct error *error;
};

static void fail(struct collection *collection, enum error_code code, const char *reason)
{
    if (collection->code == ERROR_NONE)
        collection->code = error_set(collection->error, code, "metrics: %s", reason);
}

static bool begin_part(struct collection *collection)
{
    if (collection->part == NULL && collection->code == ERROR_NONE) {
        collection->part = otlp_metrics_begin(collection->options->resource, PART_MAX);
        if (collection->part == NULL)
            fail(collection, ERROR_MEMORY, "out of memory");
    }
    return collection->code == ERROR_NONE;
}

static void end_part(struct collection *collection)
{
    struct snapshot *snapshot = collection->snapshot;
    struct otlp_metrics *part = collection->part;
    if (part == NULL || collection->code != ERROR_NONE)
        return;
    if (snapshot->count == SNAPSHOT_PARTS_MAX) {
        fail(collection, ERROR_TOO_LARGE, "too many sets of labels; lower metrics-max-series");
        return;
    }
    struct buffer *out = &snapshot->parts[snapshot->count];
    collection->part = NULL;
    buffer_init(out, PART_MAX);
    collection->code = otlp_metrics_end(part, out, collection->error);
    if (collection->code == ERROR_NONE && out->len > 0)
        snapshot->count++;
    else
        buffer_release(out);
}

static void begin_metric(struct collection *collection, const struct otlp_metric *metric)
{
    if (!begin_part(collection))
        return;
    collection->metric = metric;
    otlp_metric_begin(collection->part, metric);
}

static void end_metric(struct collection *collection)
{
    if (collection->code == ERROR_NONE)
        otlp_metric_end(collection->part);
}

// Before each point. False after an error.
static bool make_part_room(struct collection *collection)
{
    if (collection->code == ERROR_NONE &&
        otlp_metrics_size(collection->part) > collection->options->part_bytes) {
        end_metric(collection);
        end_part(collection);
        begin_metric(collection, collection->metric);
    }
    return collection->code == ERROR_NONE;
}

static void put_count(struct collection *collection, const struct attributes *attributes,
                      uint64_t count)
{
    if (make_part_room(collection))
        otlp_metric_put_integer(collection->part, attributes, &collection->counted, (int64_t)count);
}

// --- attributes -----------------------------------------------------------------------------------

#define POINT_ATTRIBUTES_MAX 12

struct point_attributes {
    struct attribute items[POINT_ATTRIBUTES_MAX];
    struct attributes list;
};

static void begin_attributes(struct point_attributes *point)
{
    point->list = (struct attributes){.items = point->items, .capacity = POINT_ATTRIBUTES_MAX};
}

static void add(struct point_attributes *point, const char *key, struct slice value)
{
    if (value.len > 0 && point->list.count < point->list.capacity)
        point->items[point->list.count++] =
            (struct attribute){.key = key, .type = ATTRIBUTE_STRING, .string = value};
}

static void add_pipeline(struct point_attributes *point, struct slice repository,
                         struct slice workflow)
{
    ptrdiff_t slash = slice_find(repository, SLICE("/"));
    size_t name = slash < 0 ? 0 : (size_t)slash + 1;
    if (slash > 0)
        add(point, "vcs.owner.name", (struct slice){repository.data, (size_t)slash});
    add(point, "vcs.repository.name", slice_skip(repository, name));
    add(point, "cicd.pipeline.name", workflow);
}

static void add_pool_name(struct point_attributes *point, struct slice name)
{
    add(point, "ghatrace.pool", name);
}

// `room` is used as long as the attributes.
static void begin_pool(struct point_attributes *point, const struct pool *pool,
                       char room[LABELS_TEXT_MAX])
{
    begin_attributes(point);
    add_pool_name(point, pool_name(pool, room));
}

// error.type of a run's span with this result, which is its conclusion (trace/spans.c); empty: no failure.
static struct slice error_type_of(struct slice result)
{
    static const struct {
        struct slice result, type;
    } types[] = {
        {{"failure", 7}, {"failure", 7}},
        {{"timeout", 7}, {"timed_out", 9}},
        {{"error", 5}, {"startup_failure", 15}},
    };
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (slice_equals(result, types[i].result))
            return types[i].type;
    return SLICE_EMPTY;
}

// --- series ---------------------------------------------------------------------------------------

static double in_seconds(int64_t ns)
{
    return (double)ns / (double)NS_PER_SECOND;
}

static double seconds_of_sum(const struct series_sum *sum)
{
    return (double)sum->seconds + in_seconds(sum->nanoseconds);
}

static enum error_code read_bounds_in_seconds(struct collection *collection)
{
    struct series_bounds chosen;
    enum error_code code = series_read_bounds(collection->transaction, &chosen, collection->error);
    if (code != ERROR_NONE)
        return code;
    collection->bound_count = chosen.count;
    for (size_t i = 0; i < chosen.count; i++)
        collection->bounds[i] = in_seconds(chosen.at[i]);
    return ERROR_NONE;
}

static void put_series_histogram(struct collection *collection, const struct attributes *attributes,
                                 const struct series_histogram *from)
{
    struct otlp_exemplar exemplars[SERIES_BUCKETS];
    for (size_t i = 0; i <= collection->bound_count; i++)
        exemplars[i] = (struct otlp_exemplar){.at = from->exemplars[i].at,
                                              .value = in_seconds(from->exemplars[i].value),
                                              .trace = from->exemplars[i].trace};
    const struct otlp_histogram histogram = {.count = from->count,
                                             .sum = seconds_of_sum(&from->sum),
                                             .bounds = collection->bounds,
                                             .bound_count = collection->bound_count,
                                             .buckets = from->buckets,
                                             .exemplars = exemplars};
    if (from->count > 0 && make_part_room(collection))
        otlp_metric_put_histogram(collection->part, attributes, &collection->counted, &histogram);
}

// Writes the points of one series.
typedef void (*put_series)(struct collection *collection, const struct series *series,
                           size_t position);

static void put_series_metric(struct collection *collection, const struct otlp_metric *metric,
                              enum series_kind kind, put_series put, size_t position)
{
    struct series_id id = {{0}};
    struct series series;
    enum error_code code = ERROR_NONE;
    const timestamp_ns since = collection->counted.start;
    begin_metric(collection, metric);
    while (collection->code == ERROR_NONE &&
           (code = series_seek(collection->transaction, kind, &id, &series, collection->error)) ==
               ERROR_NONE) {
        collection->counted.start = timestamp_first_known(series.started_at, since);
        put(collection, &series, position);
        series_id_increment(&id);
    }
    collection->counted.start = since;
    if (collection->code == ERROR_NONE && code != ERROR_NOT_FOUND)
        collection->code = code;
    end_metric(collection);
}

// Its labels but the result; what it does not have is left out.
static void begin_series(struct point_attributes *point, const struct series *series)
{
    const struct slice *labels = series->labels;
    begin_attributes(point);
    add_pipeline(point, labels[SERIES_REPOSITORY], labels[SERIES_WORKFLOW]);
    add(point, "github.event_name", labels[SERIES_EVENT]);
    add(point, "ghatrace.default_branch", labels[SERIES_DEFAULT_BRANCH]);
    add_pool_name(point, labels[SERIES_POOL]);
    add(point, "ghatrace.runner_labels", labels[SERIES_RUNNER_LABELS]);
    add(point, "github.runner_group_name", labels[SERIES_RUNNER_GROUP]);
}

// GitHub reports no end of a run's pending state: the duration is that from its start to its end.
static void put_run_series(struct collection *collection, const struct series *series,
                           size_t position)
{
    struct point_attributes point;
    struct slice result = series->labels[SERIES_RESULT];
    begin_series(&point, series);
    add(&point, "cicd.pipeline.run.state", SLICE("executing"));
    add(&point, "cicd.pipeline.result", result);
    add(&point, "error.type", error_type_of(result));
    put_series_histogram(collection, &point.list, &series->histograms[position]);
}

static void put_job_series(struct collection *collection, const struct series *series,
                           size_t position)
{
    struct point_attributes point;
    begin_series(&point, series);
    add(&point, "cicd.pipeline.task.run.result", series->labels[SERIES_RESULT]);
    put_series_histogram(collection, &point.list, &series->histograms[position]);
}

// Jobs that are an error of the CI/CD system have the result `error` (trace/spans.h).
static void put_job_errors(struct collection *collection, const struct series *series,
                           size_t position)
{
    struct point_attributes point;
    struct slice result = series->labels[SERIES_RESULT];
    struct slice type = error_type_of(result);
    (void)position;
    if (type.len == 0 || slice_equals(result, SLICE("error")) || series->count == 0)
        return;
    begin_series(&point, series);
    add(&point, "error.type", type);
    put_count(collection, &point.list, series->count);
}

static void put_system_error(struct collection *collection, const struct series *series,
                             struct slice component, struct slice type, uint64_t count)
{
    struct point_attributes point;
    if (count == 0)
        return;
    begin_series(&point, series);
    add(&point, "cicd.system.component", component);
    add(&point, "error.type", type);
    put_count(collection, &point.list, count);
}

// A job whose runner was lost had one, so it was prepared or executed; one that was not started was neither.
static void put_system_errors(struct collection *collection, const struct series *series,
                              size_t position)
{
    uint64_t startups = series->histograms[SERIES_JOB_STARTUP].count;
    uint64_t executions = series->histograms[SERIES_JOB_EXECUTION].count;
    uint64_t lost = startups > executions ? startups : executions;
    (void)position;
    if (!slice_equals(series->labels[SERIES_RESULT], SLICE("error")))
        return;
    if (lost > series->count)
        lost = series->count;
    put_system_error(collection, series, SLICE("agent"), SLICE("runner_lost"), lost);
    put_system_error(collection, series, SLICE("scheduler"), SLICE("not_started"),
                     series->count - lost);
}

static void put_all_series(struct collection *collection)
{
    static const struct otlp_metric phases[SERIES_HISTOGRAMS_MAX] = {
        [SERIES_JOB_WAITING] = {"ghatrace.job.waiting.duration", "s",
                                "How long jobs waited for the approval of their environment.",
                                OTLP_HISTOGRAM},
        [SERIES_JOB_QUEUE] = {"ghatrace.job.queue.duration", "s",
                              "How long jobs that were ready to run waited for a runner.",
                              OTLP_HISTOGRAM},
        [SERIES_JOB_STARTUP] = {"ghatrace.job.startup.duration", "s",
                                "How long runners prepared themselves on taking a job, up to the "
                                "workflow's first step.",
                                OTLP_HISTOGRAM},
        [SERIES_JOB_EXECUTION] = {"ghatrace.job.execution.duration", "s",
                                  "How long jobs ran, from the workflow's first step to their end.",
                                  OTLP_HISTOGRAM},
        [SERIES_JOB_ASSIGN] = {"ghatrace.job.assign.duration", "s",
                               "How long jobs that were ready to run waited until ARC assigned "
                               "them to a scale set.",
                               OTLP_HISTOGRAM},
        [SERIES_JOB_PROVISION] = {"ghatrace.job.provision.duration", "s",
                                  "How long jobs that ARC assigned waited until a runner started "
                                  "them.",
                                  OTLP_HISTOGRAM},
        [SERIES_JOB_DURATION] =
            {"ghatrace.job.duration", "s",
             "How long jobs took from when they were ready to run to their end.", OTLP_HISTOGRAM},
    };
    static const struct otlp_metric run = {
        "cicd.pipeline.run.duration", "s",
        "Duration of a pipeline run grouped by pipeline, state and result.", OTLP_HISTOGRAM};
    static const struct otlp_metric errors = {"cicd.pipeline.run.errors", "{error}",
                                              "The number of errors encountered in pipeline runs: "
                                              "jobs that failed or timed out.",
                                              OTLP_COUNTER};
    static const struct otlp_metric system = {
        "cicd.system.errors", "{error}",
        "The number of errors in a component of the CI/CD system: jobs whose runner was lost, and "
        "jobs that never got one.",
        OTLP_COUNTER};
    put_series_metric(collection, &run, SERIES_RUN, put_run_series, 0);
    put_series_metric(collection, &errors, SERIES_JOB, put_job_errors, 0);
    put_series_metric(collection, &system, SERIES_JOB, put_system_errors, 0);
    for (size_t i = 0; i < SERIES_HISTOGRAMS_MAX; i++)
        put_series_metric(collection, &phases[i], SERIES_JOB, put_job_series, i);
}

// --- pools ----------------------------------------------------------------------------------------

struct pools {
    struct pool *items;
    struct pool_open_waits *waits; // of each
    size_t count;
};

static enum error_code read_pools_and_waits(struct collection *collection, struct pools *pools)
{
    uint64_t left = QUEUED_READ_MAX;
    enum error_code code = pool_list(collection->transaction, &collection->arena, &pools->items,
                                     &pools->count, collection->error);
    if (code != ERROR_NONE)
        return code;
    pools->waits = arena_allocate_array(&collection->arena, pools->count + 1, sizeof *pools->waits);
    if (pools->waits == NULL)
        return error_set(collection->error, ERROR_MEMORY, "metrics: out of memory");
    for (size_t i = 0; i < pools->count && code == ERROR_NONE; i++) {
        uint64_t most = left < QUEUED_READ_MAX_EACH ? left : QUEUED_READ_MAX_EACH;
        uint64_t budget = most;
        code = pool_read_open_waits(collection->transaction, &pools->items[i], &budget,
                                    &pools->waits[i], collection->error);
        left -= most - budget;
    }
    return code;
}

static void put_pool_counts(struct collection *collection, const struct pools *pools,
                            const struct otlp_metric *metric, enum open_job_kind state)
{
    begin_metric(collection, metric);
    for (size_t i = 0; i < pools->count; i++) {
        struct point_attributes point;
        char room[LABELS_TEXT_MAX];
        begin_pool(&point, &pools->items[i], room);
        put_count(collection, &point.list, pools->items[i].counts[state]);
    }
    end_metric(collection);
}

// How long a job has waited that waits since then; 0 where none does.
static double wait_since(const struct collection *collection, timestamp_ns since)
{
    timestamp_ns now = collection->options->now;
    return since != TIMESTAMP_UNKNOWN && since < now ? in_seconds(now - since) : 0;
}

static void put_seconds(struct collection *collection, const struct attributes *attributes,
                        double seconds)
{
    const struct otlp_interval now = {.end = collection->options->now};
    if (make_part_room(collection))
        otlp_metric_put_double(collection->part, attributes, &now, seconds);
}

static void put_oldest_waits(struct collection *collection, const struct pools *pools)
{
    static const struct otlp_metric metric = {
        "ghatrace.pool.oldest_wait", "s",
        "For how long the oldest queued job has waited for a runner; 0 where there is none.",
        OTLP_GAUGE};
    begin_metric(collection, &metric);
    for (size_t i = 0; i < pools->count && collection->code == ERROR_NONE; i++) {
        struct point_attributes point;
        char room[LABELS_TEXT_MAX];
        begin_pool(&point, &pools->items[i], room);
        put_seconds(collection, &point.list, wait_since(collection, pools->waits[i].oldest));
    }
    end_metric(collection);
}

// A wait that is not known has no point.
static void put_wait_percentiles(struct collection *collection, const struct pools *pools)
{
    static const struct slice quantiles[POOL_WAIT_PERCENTS] = {{"0.5", 3}, {"0.9", 3}, {"0.99", 4}};
    static const struct otlp_metric metric = {"ghatrace.pool.open_wait", "s",
                                              "How long queued jobs have waited for a runner up to "
                                              "now, by quantile; 0 where there are none.",
                                              OTLP_GAUGE};
    begin_metric(collection, &metric);
    for (size_t i = 0; i < pools->count * POOL_WAIT_PERCENTS && collection->code == ERROR_NONE;
         i++) {
        const struct pool *pool = &pools->items[i / POOL_WAIT_PERCENTS];
        size_t quantile = i % POOL_WAIT_PERCENTS;
        timestamp_ns since = pools->waits[i / POOL_WAIT_PERCENTS].since[quantile];
        struct point_attributes point;
        char room[LABELS_TEXT_MAX];
        if (since == TIMESTAMP_UNKNOWN && pool->counts[OPEN_JOB_QUEUED] > 0)
            continue;
        begin_pool(&point, pool, room);
        add(&point, "ghatrace.quantile", quantiles[quantile]);
        put_seconds(collection, &point.list, wait_since(collection, since));
    }
    end_metric(collection);
}

// The point of a pool is left out if there is too much to look at, or if jobs of it ended with an unknown result: how
// many ran while these seemed to is found out for /metrics only.
static void put_most_running(struct collection *collection, const struct pools *pools,
                             const uint64_t *running)
{
    static const struct otlp_metric metric = {"ghatrace.pool.busy_max", "{job}",
                                              "The most jobs that ran at once in the last 7 days.",
                                              OTLP_GAUGE};
    const struct otlp_interval now = {.end = collection->options->now};
    uint64_t budget = MINUTES_READ_MAX;
    begin_metric(collection, &metric);
    for (size_t i = 0; i < pools->count && collection->code == ERROR_NONE; i++) {
        const struct pool_reader reader = {.transaction = collection->transaction,
                                           .pool = &pools->items[i],
                                           .now = collection->options->now,
                                           .error = collection->error};
        struct point_attributes point;
        char room[LABELS_TEXT_MAX];
        struct pool_recent recent;
        collection->code = pool_recent_read(&reader, &budget, &recent);
        begin_pool(&point, &pools->items[i], room);
        if (collection->code == ERROR_NONE && recent.is_known &&
            running[i] == pools->items[i].counts[OPEN_JOB_RUNNING] && make_part_room(collection))
            otlp_metric_put_integer(collection->part, &point.list, &now,
                                    (int64_t)recent.busy_max_week);
    }
    end_metric(collection);
}

// A pool that was dropped and is there again counts from the start, and so since then.
static void put_wait_histograms(struct collection *collection, const struct pools *pools)
{
    static const struct otlp_metric metric = {
        "ghatrace.pool.queue_wait", "s",
        "How long jobs that were ready to run waited for a runner, counted once each, when the job "
        "starts.",
        OTLP_HISTOGRAM};
    begin_metric(collection, &metric);
    for (size_t i = 0; i < pools->count && collection->code == ERROR_NONE; i++) {
        struct point_attributes point;
        char room[LABELS_TEXT_MAX];
        struct pool_waits waits;
        begin_pool(&point, &pools->items[i], room);
        collection->code = latency_read_waits(collection->transaction, &pools->items[i].id, &waits,
                                              collection->error);
        const struct otlp_interval counted = {waits.since, collection->options->now};
        const struct otlp_histogram histogram = {.count = waits.count,
                                                 .sum = seconds_of_sum(&waits.sum),
                                                 .bounds = collection->bounds,
                                                 .bound_count = collection->bound_count,
                                                 .buckets = waits.buckets};
        if (waits.count > 0 && make_part_room(collection))
            otlp_metric_put_histogram(collection->part, &point.list, &counted, &histogram);
    }
    end_metric(collection);
}

// Of each pool, without jobs that ended with an unknown result. NULL: it failed.
static const uint64_t *count_running(struct collection *collection, const struct pools *pools)
{
    const struct ended_reader reader = {collection->transaction,
                                        &collection->arena,
                                        {collection->options->now, collection->options->job_grace},
                                        collection->error};
    struct ended_jobs ended;
    enum error_code code = ended_jobs_load(&reader, pools->items, pools->count, &ended);
    if (code != ERROR_NONE) {
        collection->code = code;
        return NULL;
    }
    for (size_t i = 0; i < pools->count; i++)
        ended.by_pool[i] = pools->items[i].counts[OPEN_JOB_RUNNING] - ended.by_pool[i];
    return ended.by_pool;
}

// Webhooks report runners only while they run a job.
static void put_workers(struct collection *collection, const struct pools *pools,
                        const uint64_t *running)
{
    static const struct otlp_metric metric = {"cicd.worker.count", "{worker}",
                                              "The number of workers on the CI/CD system by state.",
                                              OTLP_UP_DOWN_COUNTER};
    struct point_attributes point;
    uint64_t busy = 0;
    for (size_t i = 0; i < pools->count; i++)
        busy += running[i];
    begin_metric(collection, &metric);
    begin_attributes(&point);
    add(&point, "cicd.worker.state", SLICE("busy"));
    put_count(collection, &point.list, busy);
    end_metric(collection);
}

static void put_running(struct collection *collection, const struct pools *pools,
                        const uint64_t *running)
{
    static const struct otlp_metric metric = {"ghatrace.pool.running", "{job}",
                                              "Jobs that run on a runner.", OTLP_UP_DOWN_COUNTER};
    begin_metric(collection, &metric);
    for (size_t i = 0; i < pools->count; i++) {
        struct point_attributes point;
        char room[LABELS_TEXT_MAX];
        begin_pool(&point, &pools->items[i], room);
        put_count(collection, &point.list, running[i]);
    }
    end_metric(collection);
}

static void put_pool_metrics(struct collection *collection, const struct pools *pools)
{
    static const struct otlp_metric queued = {"ghatrace.pool.queued", "{job}",
                                              "Jobs that are ready to run and wait for a runner.",
                                              OTLP_UP_DOWN_COUNTER};
    static const struct otlp_metric waiting = {
        "ghatrace.pool.waiting", "{job}", "Jobs that wait for the approval of their environment.",
        OTLP_UP_DOWN_COUNTER};
    const uint64_t *running =
        collection->code == ERROR_NONE ? count_running(collection, pools) : NULL;
    if (running == NULL)
        return;
    put_workers(collection, pools, running);
    put_pool_counts(collection, pools, &queued, OPEN_JOB_QUEUED);
    put_running(collection, pools, running);
    put_pool_counts(collection, pools, &waiting, OPEN_JOB_WAITING);
    put_oldest_waits(collection, pools);
    put_wait_percentiles(collection, pools);
    put_most_running(collection, pools, running);
    put_wait_histograms(collection, pools);
}

// --- open runs ------------------------------------------------------------------------------------

// What one open run adds to; in the order of the fields.
struct active {
    struct slice repository, workflow, state;
};

static int compare_active(const void *left, const void *right)
{
    const struct active *a = left, *b = right;
    int order = slice_compare(a->repository, b->repository);
    if (order == 0)
        order = slice_compare(a->workflow, b->workflow);
    return order != 0 ? order : slice_compare(a->state, b->state);
}

// The keys of runs that have a running job, sorted.
struct begun_runs {
    struct trace_id *traces;
    size_t count;
};

static int compare_traces(const void *left, const void *right)
{
    return memcmp(left, right, sizeof(struct trace_id));
}

static void read_begun_runs_of(struct collection *collection, const struct pool *pool,
                               struct begun_runs *begun)
{
    struct pool_job job = {0};
    while (begun->count < OPEN_RUNS_READ_MAX && collection->code == ERROR_NONE) {
        enum error_code code = pool_seek_job(collection->transaction, &pool->id, OPEN_JOB_RUNNING,
                                             &job, collection->error);
        if (code == ERROR_NOT_FOUND)
            break;
        if (code == ERROR_NONE)
            begun->traces[begun->count++] = job.key.trace;
        else
            collection->code = code;
        pool_job_increment(&job);
    }
}

static void read_begun_runs(struct collection *collection, const struct pools *pools,
                            struct begun_runs *begun)
{
    begun->count = 0;
    begun->traces =
        arena_allocate_array(&collection->arena, OPEN_RUNS_READ_MAX, sizeof *begun->traces);
    if (begun->traces == NULL) {
        fail(collection, ERROR_MEMORY, "out of memory");
        return;
    }
    for (size_t i = 0; i < pools->count; i++)
        if (pools->items[i].counts[OPEN_JOB_RUNNING] > 0)
            read_begun_runs_of(collection, &pools->items[i], begun);
    qsort(begun->traces, begun->count, sizeof *begun->traces, compare_traces);
}

// The run's own event may be late, or not be sent at all: a job that runs, or has run, shows it, too.
static struct slice state_of(const struct run_state *run, const struct trace_id *trace,
                             const struct begun_runs *begun)
{
    if (run->is_completed)
        return SLICE("finalizing");
    bool is_begun = (run->seen & 1U << GITHUB_RUN_IN_PROGRESS) != 0 || run->closed_jobs > 0 ||
                    (begun->count > 0 && bsearch(trace, begun->traces, begun->count,
                                                 sizeof *begun->traces, compare_traces) != NULL);
    return is_begun ? SLICE("executing") : SLICE("pending");
}

// ERROR_NOT_FOUND: it cannot be read.
static enum error_code read_active(struct collection *collection, struct arena *scratch,
                                   const struct begun_runs *begun, const struct stored_run *place,
                                   struct active *active)
{
    const struct store_key key = {
        .trace = place->trace,
        .span = span_id_of_run(ID_SCHEME_ARC, place->run_id, place->run_attempt)};
    struct run_state run;
    struct slice bytes;
    arena_clear(scratch);
    enum error_code code = store_get_span(collection->transaction, &key, &bytes, collection->error);
    if (code == ERROR_NONE)
        code = codec_decode_run(bytes, scratch, &run, collection->error);
    if (code != ERROR_NONE)
        return code == ERROR_CORRUPT ? ERROR_NOT_FOUND : code;
    const struct run_names names = run_names_of(&run);
    active->state = state_of(&run, &place->trace, begun);
    if (arena_copy_slice(&collection->arena, names.repository->full_name, &active->repository) &&
        arena_copy_slice(&collection->arena,
                         names.workflow.len > 0 ? names.workflow : SLICE("unknown"),
                         &active->workflow))
        return ERROR_NONE;
    return error_set(collection->error, ERROR_MEMORY, "metrics: out of memory");
}

// The newest open runs, up to the limit.
static size_t read_open_runs(struct collection *collection, const struct begun_runs *begun,
                             struct active *found)
{
    struct stored_run place = {0};
    struct arena scratch;
    size_t count = 0;
    arena_init(&scratch, ARENA_BLOCK);
    while (count < OPEN_RUNS_READ_MAX && collection->code == ERROR_NONE) {
        enum error_code code =
            open_runs_seek_older(collection->transaction, &place, collection->error);
        if (code == ERROR_NOT_FOUND)
            break;
        if (code == ERROR_NONE)
            code = read_active(collection, &scratch, begun, &place, &found[count]);
        if (code == ERROR_NONE)
            count++;
        else if (code != ERROR_NOT_FOUND)
            collection->code = code;
    }
    arena_release(&scratch);
    return count;
}

static void put_active(struct collection *collection, const struct active *active, uint64_t count)
{
    struct point_attributes point;
    begin_attributes(&point);
    add_pipeline(&point, active->repository, active->workflow);
    add(&point, "cicd.pipeline.run.state", active->state);
    put_count(collection, &point.list, count);
}

// Runs whose state is not read are counted under "other", so that the sum is right.
static void put_open_runs(struct collection *collection, const struct pools *pools)
{
    static const struct otlp_metric metric = {
        "cicd.pipeline.run.active", "{run}",
        "The number of pipeline runs currently active in the system by state.",
        OTLP_UP_DOWN_COUNTER};
    static const struct active other = {
        .repository = {"other", 5}, .workflow = {"other", 5}, .state = {"unknown", 7}};
    struct active *found =
        arena_allocate_array(&collection->arena, OPEN_RUNS_READ_MAX, sizeof *found);
    if (found == NULL) {
        fail(collection, ERROR_MEMORY, "out of memory");
        return;
    }
    struct begun_runs begun;
    read_begun_runs(collection, pools, &begun);
    size_t count = read_open_runs(collection, &begun, found);
    uint64_t all = open_runs_count(collection->transaction);
    qsort(found, count, sizeof *found, compare_active);
    begin_metric(collection, &metric);
    for (size_t from = 0, to; from < count; from = to) {
        for (to = from + 1; to < count && compare_active(&found[from], &found[to]) == 0;)
            to++;
        put_active(collection, &found[from], to - from);
    }
    if (all > count)
        put_active(collection, &other, all - count);
    end_metric(collection);
}

// --- the snapshot ---------------------------------------------------------------------------------

enum error_code snapshot_take(const struct snapshot_options *options, struct snapshot *snapshot,
                              struct error *error)
{
    struct collection collection = {
        .options = options, .snapshot = snapshot, .counted = {.end = options->now}, .error = error};
    struct pools pools = {.count = 0};
    *snapshot = (struct snapshot){.count = 0};
    collection.code = store_begin(options->store, false, &collection.transaction, error);
    if (collection.code != ERROR_NONE)
        return collection.code;
    arena_init(&collection.arena, ARENA_BLOCK);
    collection.code = series_since(collection.transaction, &collection.counted.start, error);
    if (collection.code == ERROR_NONE)
        collection.code = read_bounds_in_seconds(&collection);
    if (collection.code == ERROR_NONE)
        collection.code = read_pools_and_waits(&collection, &pools);
    put_all_series(&collection);
    put_pool_metrics(&collection, &pools);
    put_open_runs(&collection, &pools);
    end_part(&collection);
    otlp_metrics_discard(collection.part);
    arena_release(&collection.arena);
    store_abort(collection.transaction);
    if (collection.code != ERROR_NONE)
        snapshot_release(snapshot);
    return collection.code;
}

void snapshot_release(struct snapshot *snapshot)
{
    for (size_t i = 0; i < snapshot->count; i++)
        buffer_release(&snapshot->parts[i]);
    snapshot->count = 0;
}
