// GET /metrics.
#include "metrics.h"

#include <stdlib.h>
#include <string.h>

#include "ghatrace/base/memory.h"
#include "ghatrace/base/slice.h"
#include "ghatrace/http/accept.h"
#include "ghatrace/http/server.h"
#include "ghatrace/stats/latency.h"
#include "ghatrace/stats/pool.h"
#include "ghatrace/stats/pool_minutes.h"
#include "ghatrace/stats/runs.h"
#include "ghatrace/view/pools_cache.h"
#include "health.h"

// --- one piece of an answer ------------------------------------------------------------------------

// The stored bounds, in seconds.
struct bounds {
    double at[SERIES_BOUNDS_MAX];
    size_t count;
};

struct piece {
    struct metrics_scrape *scrape;
    struct metrics_text *text;
    struct store_transaction *transaction; // NULL: none is open
    struct bounds bounds;                  // as in the transaction
    timestamp_ns now;
    timestamp_ns begun_at; // monotonic
    struct error *error;
};

// A family, or some that are written together, in as many pieces as they need.
struct section {
    const char *name; // NULL: `write` names its families itself
    enum metrics_type type;
    const char *help;
    // One of these. The rows of one pool:
    enum error_code (*write_pool)(struct piece *piece, const struct section *section,
                                  const struct pool *pool);
    enum open_job_kind state; // that write_pool counts
    // Those of one set of labels:
    void (*write_series)(struct piece *piece, const struct section *section,
                         const struct series *series);
    enum series_kind kind;
    size_t position; // of the histogram in the series
    // All of it in one piece:
    enum error_code (*write)(struct piece *piece);
};

static bool is_piece_complete(const struct piece *piece)
{
    const struct metrics_scrape *scrape = piece->scrape;
    return piece->text->out->len >= scrape->piece_bytes ||
           timestamp_monotonic() - piece->begun_at >= scrape->piece_time;
}

static enum error_code read_bounds(struct piece *piece)
{
    struct series_bounds stored;
    enum error_code code = series_read_bounds(piece->transaction, &stored, piece->error);
    piece->bounds.count = code == ERROR_NONE ? stored.count : 0;
    for (size_t i = 0; i < piece->bounds.count; i++)
        piece->bounds.at[i] = metrics_seconds(stored.at[i]);
    return code;
}

static enum error_code enter_store(struct piece *piece)
{
    if (piece->transaction != NULL)
        return ERROR_NONE;
    enum error_code code =
        store_begin(piece->scrape->sources->store, false, &piece->transaction, piece->error);
    return code == ERROR_NONE ? read_bounds(piece) : code;
}

static void leave_store(struct piece *piece)
{
    if (piece->transaction != NULL)
        store_abort(piece->transaction);
    piece->transaction = NULL;
}

// --- figures of a pool for which all pools are read ----------------------------------------------
// Which running jobs have ended, and ceilings, are found by looking at all pools. Read once for an answer, when the
// first family needs it, and kept in a short form.

#define ARENA_BLOCK_BYTES ((size_t)64 * 1024)
#define KEPT_BLOCK_BYTES ((size_t)4 * 1024)

struct pool_figures {
    struct pool_id id;
    uint64_t running, busy_max;
    bool is_busy_known;
    size_t ceiling; // the place of the one that it belongs to; POOLS_VIEW_NO_CEILING: none
    bool is_at_ceiling;
};

enum ceiling_figure { CEILING_RUNNING, CEILING_QUEUED, CEILING_LIMIT, CEILING_FIGURES };

struct ceiling_figures {
    struct slice name;
    uint64_t counts[CEILING_FIGURES];
};

struct metrics_pools {
    struct arena arena;
    struct pool_figures *pools; // by id
    size_t count;
    struct ceiling_figures *ceilings;
    size_t ceiling_count;
};

static int compare_figures(const void *left, const void *right)
{
    return memcmp(left, right, sizeof(struct pool_id));
}

static bool keep_pools(struct metrics_pools *kept, const struct pools_view *view)
{
    kept->pools = arena_allocate_array(&kept->arena, view->count + 1, sizeof *kept->pools);
    kept->ceilings =
        arena_allocate_array(&kept->arena, view->ceiling_count + 1, sizeof *kept->ceilings);
    if (kept->pools == NULL || kept->ceilings == NULL)
        return false;
    for (size_t i = 0; i < view->count; i++) {
        const struct pools_view_pool *from = &view->pools[i];
        kept->pools[i] = (struct pool_figures){
            from->pool.id,         from->running,        from->recent.busy_max_week,
            from->recent.is_known, from->ceiling_number, from->state == POOL_CEILING};
    }
    kept->count = view->count;
    if (kept->count > 1)
        qsort(kept->pools, kept->count, sizeof *kept->pools, compare_figures);
    for (size_t i = 0; i < view->ceiling_count; i++) {
        const struct pools_view_ceiling *from = &view->ceilings[i];
        kept->ceilings[i] =
            (struct ceiling_figures){from->name, {from->running, from->queued, from->limit}};
        if (!arena_copy_slice(&kept->arena, from->name, &kept->ceilings[i].name))
            return false;
    }
    kept->ceiling_count = view->ceiling_count;
    return true;
}

static enum error_code read_pools(struct piece *piece, struct metrics_pools *kept)
{
    struct arena arena;
    const struct view_reader reader = {piece->transaction, &arena, piece->error};
    struct pools_view view;
    arena_init(&arena, ARENA_BLOCK_BYTES);
    const struct view_sources *sources = piece->scrape->sources;
    enum error_code code =
        pools_cache_read(sources->pools_cache, &reader, &sources->pools, piece->now, &view);
    if (code == ERROR_NONE && !keep_pools(kept, &view))
        code = error_set(piece->error, ERROR_MEMORY, "read pools: out of memory");
    arena_release(&arena);
    return code;
}

static enum error_code need_pools(struct piece *piece)
{
    struct metrics_scrape *scrape = piece->scrape;
    if (scrape->pools != NULL)
        return ERROR_NONE;
    scrape->pools = memory_allocate_array(1, sizeof *scrape->pools);
    if (scrape->pools == NULL)
        return error_set(piece->error, ERROR_MEMORY, "read pools: out of memory");
    arena_init(&scrape->pools->arena, KEPT_BLOCK_BYTES);
    return read_pools(piece, scrape->pools);
}

void metrics_scrape_release(struct metrics_scrape *scrape)
{
    if (scrape->pools != NULL)
        arena_release(&scrape->pools->arena);
    memory_free(scrape->pools);
    scrape->pools = NULL;
}

// NULL: the pool was created after they were read.
static const struct pool_figures *find_figures(const struct piece *piece, const struct pool *pool)
{
    const struct metrics_pools *pools = piece->scrape->pools;
    return bsearch(&pool->id, pools->pools, pools->count, sizeof *pools->pools, compare_figures);
}

// Without running jobs that have ended.
static double count_of_state(const struct piece *piece, const struct pool *pool,
                             enum open_job_kind state)
{
    const struct pool_figures *figures = find_figures(piece, pool);
    return (double)(state == OPEN_JOB_RUNNING && figures != NULL ? figures->running
                                                                 : pool->counts[state]);
}

// --- open jobs by runner labels and group, and the age of the oldest ------------------------------

static const struct {
    enum open_job_kind state;
    const char *name;
} states[] = {
    {OPEN_JOB_WAITING, "waiting"}, {OPEN_JOB_QUEUED, "queued"}, {OPEN_JOB_RUNNING, "running"}};
#define STATES (sizeof states / sizeof states[0])

static void put_job_sample(struct piece *piece, const struct section *section,
                           const struct pool *pool, size_t state, double value)
{
    const struct metrics_label labels[] = {
        {"state", slice_from_string(states[state].name)},
        {"runner_labels", pool->labels},
        {"runner_group", pool->groups},
    };
    metrics_sample(piece->text, section->name, "",
                   (struct metrics_labels){labels, sizeof labels / sizeof labels[0]}, value);
}

static enum error_code put_job_counts(struct piece *piece, const struct section *section,
                                      const struct pool *pool)
{
    enum error_code code = need_pools(piece);
    for (size_t i = 0; i < STATES && code == ERROR_NONE; i++)
        put_job_sample(piece, section, pool, i, count_of_state(piece, pool, states[i].state));
    return code;
}

static enum error_code age_of_oldest(const struct piece *piece, const struct pool *pool,
                                     size_t state, double *seconds)
{
    struct pool_job oldest = {0};
    *seconds = 0;
    if (pool->counts[states[state].state] == 0)
        return ERROR_NONE;
    enum error_code code =
        pool_seek_job(piece->transaction, &pool->id, states[state].state, &oldest, piece->error);
    if (code == ERROR_NONE && oldest.since < piece->now)
        *seconds = metrics_seconds(piece->now - oldest.since);
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}

static enum error_code put_job_ages(struct piece *piece, const struct section *section,
                                    const struct pool *pool)
{
    for (size_t i = 0; i < STATES; i++) {
        double seconds;
        enum error_code code = age_of_oldest(piece, pool, i, &seconds);
        if (code != ERROR_NONE)
            return code;
        put_job_sample(piece, section, pool, i, seconds);
    }
    return ERROR_NONE;
}

// --- pools by name --------------------------------------------------------------------------------

static double sum_in_seconds(const struct series_sum *sum)
{
    return (double)sum->seconds + metrics_seconds(sum->nanoseconds);
}

static void put_pool_sample(struct piece *piece, const struct section *section,
                            const struct pool *pool, double value)
{
    char room[LABELS_TEXT_MAX];
    const struct metrics_label label = {"pool", pool_name(pool, room)};
    metrics_sample(piece->text, section->name, "", metrics_one_label(&label), value);
}

static enum error_code put_pool_count(struct piece *piece, const struct section *section,
                                      const struct pool *pool)
{
    enum error_code code = need_pools(piece);
    if (code == ERROR_NONE)
        put_pool_sample(piece, section, pool, count_of_state(piece, pool, section->state));
    return code;
}

static double open_wait_seconds(const struct piece *piece, timestamp_ns since)
{
    return metrics_seconds(pools_view_wait(since, piece->now));
}

static enum error_code put_oldest_wait(struct piece *piece, const struct section *section,
                                       const struct pool *pool)
{
    struct pool_open_waits waits;
    uint64_t budget = 0; // the oldest alone
    enum error_code code =
        pool_read_open_waits(piece->transaction, pool, &budget, &waits, piece->error);
    if (code == ERROR_NONE)
        put_pool_sample(piece, section, pool, open_wait_seconds(piece, waits.oldest));
    return code;
}

// The sample of a wait that is not known is left out; without queued jobs it is 0.
static enum error_code put_wait_quantiles(struct piece *piece, const struct section *section,
                                          const struct pool *pool)
{
    static const char *const quantiles[POOL_WAIT_PERCENTS] = {"0.5", "0.9", "0.99"};
    char room[LABELS_TEXT_MAX];
    struct slice name = pool_name(pool, room);
    struct pool_open_waits waits;
    uint64_t budget = POOLS_VIEW_LOOKED_AT_EACH;
    enum error_code code =
        pool_read_open_waits(piece->transaction, pool, &budget, &waits, piece->error);
    for (size_t i = 0; i < POOL_WAIT_PERCENTS && code == ERROR_NONE; i++) {
        const struct metrics_label labels[] = {{"pool", name},
                                               {"quantile", slice_from_string(quantiles[i])}};
        if (waits.since[i] != TIMESTAMP_UNKNOWN || pool->counts[OPEN_JOB_QUEUED] == 0)
            metrics_sample(piece->text, section->name, "",
                           (struct metrics_labels){labels, sizeof labels / sizeof labels[0]},
                           open_wait_seconds(piece, waits.since[i]));
    }
    return code;
}

// The sample of a pool is left out if there is too much to look at.
static enum error_code put_busy_max(struct piece *piece, const struct section *section,
                                    const struct pool *pool)
{
    enum error_code code = need_pools(piece);
    if (code != ERROR_NONE)
        return code;
    const struct pool_figures *figures = find_figures(piece, pool);
    if (figures != NULL && figures->is_busy_known)
        put_pool_sample(piece, section, pool, (double)figures->busy_max);
    return ERROR_NONE;
}

// The state of the API: 0 also while jobs wait for a moment only. A pool that belongs to no ceiling has no sample.
static enum error_code put_at_ceiling(struct piece *piece, const struct section *section,
                                      const struct pool *pool)
{
    enum error_code code = need_pools(piece);
    if (code != ERROR_NONE)
        return code;
    const struct pool_figures *figures = find_figures(piece, pool);
    if (figures == NULL || figures->ceiling == POOLS_VIEW_NO_CEILING)
        return ERROR_NONE;
    char room[LABELS_TEXT_MAX];
    const struct metrics_label labels[] = {
        {"pool", pool_name(pool, room)},
        {"ceiling", piece->scrape->pools->ceilings[figures->ceiling].name}};
    metrics_sample(piece->text, section->name, "",
                   (struct metrics_labels){labels, sizeof labels / sizeof labels[0]},
                   figures->is_at_ceiling ? 1 : 0);
    return ERROR_NONE;
}

// Of rules always, of inferred ceilings while they are reached.
static void put_ceilings_gauge(struct piece *piece, const char *name, const char *help,
                               enum ceiling_figure figure)
{
    const struct metrics_pools *pools = piece->scrape->pools;
    metrics_family(piece->text, name, METRICS_GAUGE, help);
    for (size_t i = 0; i < pools->ceiling_count; i++) {
        const struct ceiling_figures *ceiling = &pools->ceilings[i];
        const struct metrics_label label = {"ceiling", ceiling->name};
        metrics_sample(piece->text, name, "", metrics_one_label(&label),
                       (double)ceiling->counts[figure]);
    }
}

static enum error_code put_ceiling_gauges(struct piece *piece)
{
    enum error_code code = need_pools(piece);
    if (code != ERROR_NONE)
        return code;
    put_ceilings_gauge(piece, "ghatrace_ceiling_running",
                       "Running jobs of all pools that share a limit (runner-ceiling, or an "
                       "inferred one while it is reached).",
                       CEILING_RUNNING);
    put_ceilings_gauge(piece, "ghatrace_ceiling_queued",
                       "Jobs of these pools that are ready and have not started.", CEILING_QUEUED);
    put_ceilings_gauge(piece, "ghatrace_ceiling_limit",
                       "The limit of running jobs that these pools share.", CEILING_LIMIT);
    return ERROR_NONE;
}

static enum error_code put_ended_waits(struct piece *piece, const struct section *section,
                                       const struct pool *pool)
{
    char room[LABELS_TEXT_MAX];
    const struct metrics_label label = {"pool", pool_name(pool, room)};
    struct pool_waits waits;
    enum error_code code = latency_read_waits(piece->transaction, &pool->id, &waits, piece->error);
    const struct metrics_histogram histogram = {.bounds = piece->bounds.at,
                                                .bound_count = piece->bounds.count,
                                                .buckets = waits.buckets,
                                                .count = waits.count,
                                                .sum = sum_in_seconds(&waits.sum)};
    if (code == ERROR_NONE)
        metrics_put_histogram(piece->text, section->name, metrics_one_label(&label), &histogram);
    return code;
}

// --- how many runs, series and pools there are -----------------------------------------------------

static enum error_code put_set_counts(struct piece *piece)
{
    static const char *const kinds[] = {[SERIES_JOB] = "job",
                                        [SERIES_RUN] = "run",
                                        [SERIES_STEP] = "step",
                                        [SERIES_KINDS] = "pool"};
    metrics_single(piece->text, "ghatrace_runs_open", METRICS_GAUGE, "Runs that are not over.",
                   (double)open_runs_count(piece->transaction));
    metrics_family(piece->text, "ghatrace_series", METRICS_GAUGE,
                   "Sets of labels in use of each kind, and pools of runners; beyond "
                   "metrics-max-series they count as other, beyond metrics-max-pools as "
                   "(one-off).");
    for (size_t kind = 0; kind <= SERIES_KINDS; kind++) {
        const struct metrics_label label = {"kind", slice_from_string(kinds[kind])};
        uint64_t count = kind == SERIES_KINDS
                             ? pool_count(piece->transaction)
                             : series_count(piece->transaction, (enum series_kind)kind);
        metrics_sample(piece->text, "ghatrace_series", "", metrics_one_label(&label),
                       (double)count);
    }
    return ERROR_NONE;
}

// --- series ----------------------------------------------------------------------------------------
// Latencies of jobs, runs and steps, by labels; see series.h for since when.

static size_t fill_labels(const struct series *series, struct metrics_label *labels)
{
    size_t count = 0;
    for (size_t i = 0; i < SERIES_LABELS; i++)
        if ((series->has & SERIES_HAS(i)) != 0)
            labels[count++] = (struct metrics_label){series_label_names[i], series->labels[i]};
    return count;
}

static void put_histogram(struct piece *piece, const struct section *section,
                          const struct series *series)
{
    const struct series_histogram *from = &series->histograms[section->position];
    struct metrics_label labels[SERIES_LABELS];
    const struct metrics_histogram histogram = {.bounds = piece->bounds.at,
                                                .bound_count = piece->bounds.count,
                                                .buckets = from->buckets,
                                                .count = from->count,
                                                .sum = sum_in_seconds(&from->sum),
                                                .exemplars = from->exemplars};
    if (from->count > 0) // few jobs wait for approvals
        metrics_put_histogram(piece->text, section->name,
                              (struct metrics_labels){labels, fill_labels(series, labels)},
                              &histogram);
}

static void put_step(struct piece *piece, const struct section *section,
                     const struct series *series)
{
    struct metrics_label labels[SERIES_LABELS];
    size_t count = fill_labels(series, labels);
    metrics_sample(piece->text, section->name, "_sum", (struct metrics_labels){labels, count},
                   sum_in_seconds(&series->sum));
    metrics_sample(piece->text, section->name, "_count", (struct metrics_labels){labels, count},
                   (double)series->count);
}

// "other", if the families of the kind have read it. ERROR_NOT_FOUND: they have not.
static enum error_code find_other(const struct piece *piece, enum series_kind kind,
                                  struct series *series)
{
    const struct metrics_other *other = &piece->scrape->others[kind];
    struct series_id id = other->id;
    if (!other->exists)
        return ERROR_NOT_FOUND;
    enum error_code code = series_seek(piece->transaction, kind, &id, series, piece->error);
    return code == ERROR_NONE && !series_is_other(series) ? ERROR_NOT_FOUND : code;
}

static enum error_code put_overflow(struct piece *piece)
{
    static const char *const kinds[SERIES_KINDS] = {
        [SERIES_JOB] = "job", [SERIES_RUN] = "run", [SERIES_STEP] = "step"};
    metrics_family(piece->text, "ghatrace_series_overflow", METRICS_COUNTER,
                   "Jobs, runs and steps that other counts, because metrics-max-series sets of "
                   "labels were in use. Survives restarts.");
    for (size_t kind = 0; kind < SERIES_KINDS; kind++) {
        const struct metrics_label label = {"kind", slice_from_string(kinds[kind])};
        struct series other;
        enum error_code code = find_other(piece, (enum series_kind)kind, &other);
        if (code != ERROR_NONE && code != ERROR_NOT_FOUND)
            return code;
        metrics_sample(piece->text, "ghatrace_series_overflow", "_total", metrics_one_label(&label),
                       code == ERROR_NONE ? (double)other.count : 0);
    }
    return ERROR_NONE;
}

static enum error_code put_health(struct piece *piece)
{
    struct health_figures figures;
    leave_store(piece); // health_figures_read() begins a transaction of its own
    enum error_code code =
        health_figures_read(piece->scrape->sources, piece->now, &figures, piece->error);
    if (code == ERROR_NONE)
        health_put_families(piece->text, &figures);
    return code;
}

static enum error_code put_process(struct piece *piece)
{
    health_put_process(piece->text);
    metrics_finish(piece->text);
    return ERROR_NONE;
}

// --- GET /metrics: selects the format -------------------------------------------------------------

static bool is_openmetrics(struct slice type)
{
    return slice_equals_ignoring_case(type, SLICE("application/openmetrics-text"));
}

static bool is_text(struct slice type)
{
    return slice_equals_ignoring_case(type, SLICE("text/plain")) ||
           slice_equals_ignoring_case(type, SLICE("text/*")) || slice_equals(type, SLICE("*/*"));
}

enum metrics_format metrics_format_of(struct slice accept)
{
    int openmetrics = 0, text = 0;
    while (accept.len > 0) {
        struct slice element = http_list_next(&accept);
        struct slice type = http_parameter_next(&element);
        int weight = 1000;
        bool is_ours = true;
        while (element.len > 0) {
            struct slice parameter = http_parameter_next(&element);
            if (!http_weight_read(parameter, &weight) &&
                slice_starts_with(parameter, SLICE("version=")) && is_openmetrics(type))
                is_ours = slice_equals(parameter, SLICE("version=1.0.0")) ||
                          slice_equals(parameter, SLICE("version=0.0.1"));
        }
        if (is_openmetrics(type) && is_ours && weight > openmetrics)
            openmetrics = weight;
        else if (is_text(type) && weight > text)
            text = weight;
    }
    return openmetrics > 0 && openmetrics >= text ? METRICS_OPENMETRICS : METRICS_PROMETHEUS;
}

const char *metrics_content_type(enum metrics_format format)
{
    return format == METRICS_OPENMETRICS
               ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
               : "text/plain; version=0.0.4; charset=utf-8";
}

// --- GET /metrics: all families, piece by piece ---------------------------------------------------

#define PIECE_TIME (4 * NS_PER_MS)
#define POOL_GAUGE(suffix) "ghatrace_pool_" suffix, METRICS_GAUGE

// clang-format off
static const struct section sections[] = {
    {"ghatrace_jobs", METRICS_GAUGE,
     "Open jobs by state: waiting for an approval, queued for a runner, running on one. "
     "Runner groups: all that jobs of the pool have run in.", .write_pool = put_job_counts},
    {"ghatrace_jobs_oldest_age_seconds", METRICS_GAUGE,
     "For how long the oldest open job has been in this state; 0 where there is none.",
     .write_pool = put_job_ages},
    {POOL_GAUGE("queued"), "Jobs of the pool that are ready and have not started.",
     .write_pool = put_pool_count, .state = OPEN_JOB_QUEUED},
    {POOL_GAUGE("running"), "Jobs of the pool that run: its busy runners.",
     .write_pool = put_pool_count, .state = OPEN_JOB_RUNNING},
    {POOL_GAUGE("waiting"), "Jobs of the pool that wait for an approval, and not for a runner.",
     .write_pool = put_pool_count, .state = OPEN_JOB_WAITING},
    {POOL_GAUGE("oldest_wait_seconds"),
     "For how long the oldest queued job of the pool has waited for a runner; 0 where none is queued.",
     .write_pool = put_oldest_wait},
    // OpenMetrics keeps the label "quantile" for summaries.
    {"ghatrace_pool_open_wait_seconds", METRICS_SUMMARY,
     "How long the queued jobs of the pool have waited for a runner up to now, by "
     "quantile; 0 where none is queued.", .write_pool = put_wait_quantiles},
    {POOL_GAUGE("busy_max"), "The most jobs of the pool that ran at once in the last 7 days.",
     .write_pool = put_busy_max},
    {POOL_GAUGE("at_ceiling"),
     "1 while jobs of the pool wait and the limit that it shares with others is reached, so that more "
     "runners do not help, else 0; of pools that share one.", .write_pool = put_at_ceiling},
    {.write = put_ceiling_gauges},
    {"ghatrace_pool_queue_wait_seconds", METRICS_HISTOGRAM,
     "How long jobs of the pool that were ready to run waited for a runner, counted once "
     "each, when the job starts: those that still wait are not in it. Survives restarts; starts over "
     "when the rules for pools or metrics-bounds change.", .write_pool = put_ended_waits},
    {.write = put_set_counts},
    {"ghatrace_job_waiting_seconds", METRICS_HISTOGRAM,
     "How long jobs waited for the approval of their environment. Survives restarts.",
     .write_series = put_histogram, .kind = SERIES_JOB, .position = SERIES_JOB_WAITING},
    {"ghatrace_job_queue_seconds", METRICS_HISTOGRAM,
     "How long jobs that were ready to run waited for a runner. Survives restarts.",
     .write_series = put_histogram, .kind = SERIES_JOB, .position = SERIES_JOB_QUEUE},
    {"ghatrace_job_startup_seconds", METRICS_HISTOGRAM,
     "How long runners prepared themselves on taking a job, up to the workflow's first step. "
     "Survives restarts. "
     "gha_job_startup_duration_seconds of actions-runner-controller is another measure: from the "
     "assignment of a job to its start, hence a section of ghatrace_job_queue_seconds.",
     .write_series = put_histogram, .kind = SERIES_JOB, .position = SERIES_JOB_STARTUP},
    {"ghatrace_job_execution_seconds", METRICS_HISTOGRAM,
     "How long jobs ran, from the workflow's first step to their end. Survives restarts. "
     "gha_job_execution_duration_seconds of actions-runner-controller is the same and the start-up "
     "together.",
     .write_series = put_histogram, .kind = SERIES_JOB, .position = SERIES_JOB_EXECUTION},
    {"ghatrace_job_assign_seconds", METRICS_HISTOGRAM,
     "How long jobs that were ready to run waited until they were assigned to a scale set, where "
     "ARC reported it. Survives restarts. A section of ghatrace_job_queue_seconds.",
     .write_series = put_histogram, .kind = SERIES_JOB, .position = SERIES_JOB_ASSIGN},
    {"ghatrace_job_provision_seconds", METRICS_HISTOGRAM,
     "How long jobs that were assigned to a scale set waited until a runner started them, where "
     "ARC reported it. Survives restarts. The other section.",
     .write_series = put_histogram, .kind = SERIES_JOB, .position = SERIES_JOB_PROVISION},
    {"ghatrace_job_duration_seconds", METRICS_HISTOGRAM,
     "How long jobs took from when they were ready for a runner to their end: queue, start-up and "
     "execution together. Survives restarts.",
     .write_series = put_histogram, .kind = SERIES_JOB, .position = SERIES_JOB_DURATION},
    {"ghatrace_run_duration_seconds", METRICS_HISTOGRAM,
     "How long runs took, from start to end. Survives restarts.",
     .write_series = put_histogram, .kind = SERIES_RUN, .position = 0},
    {"ghatrace_step_duration_seconds", METRICS_SUMMARY, "How long steps took. Survives restarts.",
     .write_series = put_step, .kind = SERIES_STEP},
    {.write = put_overflow},
    {.write = put_health},
    {.write = put_process},
};
// clang-format on
#define SECTIONS (sizeof sections / sizeof sections[0])

// ERROR_NOT_FOUND: the section is complete.
static enum error_code put_named_pools(struct piece *piece, const struct section *section)
{
    struct pool_id *next = &piece->scrape->next_pool;
    struct pool pool;
    do {
        enum error_code code = pool_seek(piece->transaction, next, &pool, piece->error);
        if (code == ERROR_NONE)
            code = section->write_pool(piece, section, &pool);
        if (code != ERROR_NONE)
            return code;
        pool_id_increment(next);
    } while (!is_piece_complete(piece));
    return ERROR_NONE;
}

// "other" follows all others: in the place of its id, a set that is added to it later would be in neither.
static enum error_code put_other(struct piece *piece, const struct section *section)
{
    struct series other;
    enum error_code code = find_other(piece, section->kind, &other);
    if (code != ERROR_NONE)
        return code;
    section->write_series(piece, section, &other);
    return ERROR_NOT_FOUND;
}

// ERROR_NOT_FOUND: the section is complete.
static enum error_code put_family(struct piece *piece, const struct section *section)
{
    struct series_id *next = &piece->scrape->next_series;
    struct series series;
    do {
        enum error_code code =
            series_seek(piece->transaction, section->kind, next, &series, piece->error);
        if (code == ERROR_NOT_FOUND)
            return put_other(piece, section);
        if (code != ERROR_NONE)
            return code;
        if (series_is_other(&series))
            piece->scrape->others[section->kind] = (struct metrics_other){true, series.id};
        else
            section->write_series(piece, section, &series);
        series_id_increment(next);
    } while (!is_piece_complete(piece));
    return ERROR_NONE;
}

// ERROR_NOT_FOUND: the section is complete.
static enum error_code put_section(struct piece *piece, const struct section *section)
{
    struct metrics_scrape *scrape = piece->scrape;
    if (!scrape->is_begun && section->name != NULL)
        metrics_family(piece->text, section->name, section->type, section->help);
    scrape->is_begun = true;
    if (section->write_pool != NULL)
        return put_named_pools(piece, section);
    if (section->write_series != NULL)
        return put_family(piece, section);
    enum error_code code = section->write(piece);
    return code == ERROR_NONE ? ERROR_NOT_FOUND : code;
}

static void go_to_next_section(struct metrics_scrape *scrape)
{
    scrape->section++;
    scrape->is_begun = false;
    memset(&scrape->next_pool, 0, sizeof scrape->next_pool);
    memset(&scrape->next_series, 0, sizeof scrape->next_series);
}

static enum error_code fill_piece(struct piece *piece)
{
    struct metrics_scrape *scrape = piece->scrape;
    do {
        enum error_code code = enter_store(piece);
        if (code == ERROR_NONE)
            code = put_section(piece, &sections[scrape->section]);
        if (code == ERROR_NOT_FOUND)
            go_to_next_section(scrape);
        else if (code != ERROR_NONE)
            return code;
    } while (scrape->section < SECTIONS && !is_piece_complete(piece));
    return ERROR_NONE;
}

void metrics_scrape_init(struct metrics_scrape *scrape, const struct view_sources *sources,
                         enum metrics_format format)
{
    *scrape = (struct metrics_scrape){.sources = sources,
                                      .format = format,
                                      .piece_bytes = HTTP_PIECE_BYTES,
                                      .piece_time = PIECE_TIME};
}

enum error_code metrics_scrape_next(struct metrics_scrape *scrape, timestamp_ns now,
                                    struct buffer *out, bool *is_last, struct error *error)
{
    struct metrics_text text = {.out = out, .format = scrape->format};
    struct piece piece = {.scrape = scrape,
                          .text = &text,
                          .now = now,
                          .begun_at = timestamp_monotonic(),
                          .error = error};
    enum error_code code = fill_piece(&piece);
    leave_store(&piece);
    *is_last = scrape->section == SECTIONS;
    if (code == ERROR_NONE && text.code != ERROR_NONE)
        code = error_set(error, text.code, "write metrics: %s", error_code_text(text.code));
    return code;
}
