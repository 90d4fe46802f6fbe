// Metrics in Prometheus' text format and in OpenMetrics.
#include "metrics.h"

#include <dirent.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "api.h"
#include "ghatrace/base/log.h"
#include "ghatrace/base/memory.h"
#include "ghatrace/base/slice.h"
#include "ghatrace/http/accept.h"
#include "ghatrace/http/server.h"
#include "ghatrace/stats/latency.h"
#include "ghatrace/stats/open_runs.h"
#include "ghatrace/stats/pool.h"
#include "ghatrace/stats/pool_minutes.h"
#include "ghatrace/stats/recent.h"
#include "ghatrace/view/pools_view.h"

// --- the text of metrics --------------------------------------------------------------------------

#define NUMBER_SIZE 40

static void put_metrics(struct metrics_text *text, struct slice piece)
{
    if (text->code == ERROR_NONE)
        text->code = buffer_append_slice(text->out, piece);
}

static void put_chars(struct metrics_text *text, const char *piece)
{
    put_metrics(text, slice_from_string(piece));
}

// Label values: backslash, quotation mark and line feed are escaped, everything else is unchanged, in both formats.
static void put_label_value(struct metrics_text *text, struct slice value)
{
    size_t start = 0;
    if (value.len == 0)
        return;
    for (size_t i = 0; i < value.len; i++) {
        const char *escape = value.data[i] == '\\'   ? "\\\\"
                             : value.data[i] == '"'  ? "\\\""
                             : value.data[i] == '\n' ? "\\n"
                                                     : NULL;
        if (escape == NULL)
            continue;
        put_metrics(text, (struct slice){value.data + start, i - start});
        put_chars(text, escape);
        start = i + 1;
    }
    put_metrics(text, (struct slice){value.data + start, value.len - start});
}

static const struct metrics_labels no_labels;

static struct metrics_labels one_label(const struct metrics_label *label)
{
    return (struct metrics_labels){label, 1};
}

static void put_labels(struct metrics_text *text, struct metrics_labels labels)
{
    for (size_t i = 0; i < labels.count; i++) {
        put_chars(text, i > 0 ? "," : "");
        put_chars(text, labels.items[i].name);
        put_chars(text, "=\"");
        put_label_value(text, labels.items[i].value);
        put_chars(text, "\"");
    }
}

static void put_uint(struct metrics_text *text, uint64_t value)
{
    char digits[20];
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + value % 10);
        value /= 10;
    } while (value > 0);
    put_metrics(text, (struct slice){digits + at, sizeof digits - at});
}

// Integers without a decimal point; other numbers so that parsing them gives the same value.
static void put_number(struct metrics_text *text, double value)
{
    char number[NUMBER_SIZE];
    if (value >= 0 && value < 1e15 && floor(value) == value) {
        put_uint(text, (uint64_t)value);
        return;
    }
    for (int digits = 6; digits <= 17; digits++) {
        (void)snprintf(number, sizeof number, "%.*g", digits, value);
        double back;
        if (sscanf(number, "%lf", &back) == 1 && !(back < value) && !(back > value))
            break;
    }
    put_chars(text, number);
}

// `name` is without "_total".
static void metrics_family(struct metrics_text *text, const char *name, enum metrics_type type,
                           const char *help)
{
    static const char *const types[] = {[METRICS_GAUGE] = "gauge",
                                        [METRICS_COUNTER] = "counter",
                                        [METRICS_HISTOGRAM] = "histogram",
                                        [METRICS_SUMMARY] = "summary"};
    // OpenMetrics names the family without the suffix of its samples, Prometheus with it.
    bool has_suffix = type == METRICS_COUNTER && text->format == METRICS_PROMETHEUS;
    const char *suffix = has_suffix ? "_total" : "";
    const char *const pieces[] = {"# HELP ", name,   suffix, " ",         help, "\n# TYPE ",
                                  name,      suffix, " ",    types[type], "\n"};
    for (size_t i = 0; i < sizeof pieces / sizeof pieces[0]; i++)
        put_chars(text, pieces[i]);
}

void metrics_sample(struct metrics_text *text, const char *name, const char *suffix,
                    struct metrics_labels labels, double value)
{
    put_chars(text, name);
    put_chars(text, suffix);
    if (labels.count > 0) {
        put_chars(text, "{");
        put_labels(text, labels);
        put_chars(text, "}");
    }
    put_chars(text, " ");
    put_number(text, value);
    put_chars(text, "\n");
}

void metrics_single(struct metrics_text *text, const char *name, enum metrics_type type,
                    const char *help, double value)
{
    metrics_family(text, name, type, help);
    metrics_sample(text, name, type == METRICS_COUNTER ? "_total" : "", no_labels, value);
}

// --- histograms -----------------------------------------------------------------------------------

// OpenMetrics requires floats for bounds; Prometheus stores bounds as they are written.
static void put_bound(struct metrics_text *text, double bound)
{
    char number[NUMBER_SIZE];
    bool is_whole = floor(bound) == bound;
    (void)snprintf(number, sizeof number, is_whole ? "%.1f" : "%.10g", bound);
    put_chars(text, number);
}

static void put_exemplar(struct metrics_text *text, const struct series_exemplar *exemplar)
{
    char hex[2 * TRACE_ID_SIZE + 1];
    char rest[NUMBER_SIZE * 2];
    if (exemplar->at == TIMESTAMP_UNKNOWN || text->format != METRICS_OPENMETRICS)
        return;
    hex_encode(exemplar->trace.bytes, TRACE_ID_SIZE, hex);
    (void)snprintf(rest, sizeof rest, "\"} %.3f %.3f",
                   (double)exemplar->value / (double)NS_PER_SECOND,
                   (double)exemplar->at / (double)NS_PER_SECOND);
    put_chars(text, " # {trace_id=\"");
    put_chars(text, hex);
    put_chars(text, rest);
}

// The labels are the same on each line of a histogram: they are escaped once and copied.
struct histogram_lines {
    struct metrics_text *text;
    const char *name;
    size_t labels_at, labels_len; // in the output
};

// `is_open`: the bound follows.
static void put_line_start(const struct histogram_lines *lines, const char *suffix, bool is_open)
{
    struct metrics_text *text = lines->text;
    put_chars(text, lines->name);
    put_chars(text, suffix);
    put_chars(text, lines->labels_len > 0 || is_open ? "{" : "");
    if (text->code == ERROR_NONE)
        text->code = buffer_reserve(text->out, lines->labels_len);
    if (text->code == ERROR_NONE)
        put_metrics(text, (struct slice){text->out->data + lines->labels_at, lines->labels_len});
}

static void put_first_line_start(struct histogram_lines *lines, struct metrics_labels labels)
{
    struct metrics_text *text = lines->text;
    put_chars(text, lines->name);
    put_chars(text, "_bucket{");
    lines->labels_at = text->out->len;
    put_labels(text, labels);
    lines->labels_len = text->out->len - lines->labels_at;
}

void metrics_put_histogram(struct metrics_text *text, const char *name,
                           struct metrics_labels labels, const struct metrics_histogram *histogram)
{
    struct histogram_lines lines = {.text = text, .name = name};
    uint64_t sum = 0;
    for (size_t i = 0; i <= histogram->bound_count && text->code == ERROR_NONE; i++) {
        if (i == 0)
            put_first_line_start(&lines, labels);
        else
            put_line_start(&lines, "_bucket", true);
        put_chars(text, lines.labels_len > 0 ? ",le=\"" : "le=\"");
        if (i < histogram->bound_count)
            put_bound(text, histogram->bounds[i]);
        else
            put_chars(text, "+Inf");
        put_chars(text, "\"} ");
        sum += histogram->buckets[i];
        put_uint(text, sum);
        if (histogram->exemplars != NULL)
            put_exemplar(text, &histogram->exemplars[i]);
        put_chars(text, "\n");
    }
    put_line_start(&lines, "_sum", false);
    put_chars(text, lines.labels_len > 0 ? "} " : " ");
    put_number(text, histogram->sum);
    put_chars(text, "\n");
    put_line_start(&lines, "_count", false);
    put_chars(text, lines.labels_len > 0 ? "} " : " ");
    put_uint(text, histogram->count);
    put_chars(text, "\n");
}

// --- metrics process ------------------------------------------------------------------------------
// Metrics of the process from the operating system, with the names used by Prometheus' client libraries.

static double processor_seconds(void)
{
    struct rusage usage;
    if (getrusage(RUSAGE_SELF, &usage) != 0)
        return 0;
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

// The second number of /proc/self/statm: resident pages, including those of the mapped store. -1: no such file.
static double resident_bytes(void)
{
    long long pages = -1;
    FILE *file = fopen("/proc/self/statm", "re");
    if (file == NULL)
        return -1;
    if (fscanf(file, "%*d %lld", &pages) != 1)
        pages = -1;
    (void)fclose(file);
    return pages < 0 ? -1 : (double)pages * (double)sysconf(_SC_PAGESIZE);
}

// -1: not available.
static double open_descriptors(void)
{
    double count = -1; // excludes the descriptor of the folder itself
    DIR *folder = opendir("/proc/self/fd");
    if (folder == NULL)
        return -1;
    for (const struct dirent *entry = readdir(folder); entry != NULL; entry = readdir(folder))
        count += entry->d_name[0] != '.' ? 1 : 0;
    (void)closedir(folder);
    return count;
}

static void put_gauge_if_known(struct metrics_text *text, const char *name, const char *help,
                               double value)
{
    if (value >= 0)
        metrics_single(text, name, METRICS_GAUGE, help, value);
}

static void metrics_put_process(struct metrics_text *text)
{
    struct rlimit limit;
    metrics_single(text, "ghatrace_log_lines_dropped", METRICS_COUNTER,
                   "Log lines dropped because standard error did not accept them, since the start.",
                   (double)log_dropped_lines());
    metrics_single(text, "process_cpu_seconds", METRICS_COUNTER, "Processor time used, in seconds.",
                   processor_seconds());
    put_gauge_if_known(text, "process_resident_memory_bytes",
                       "Memory in use, with the pages of the store that are in memory.",
                       resident_bytes());
    put_gauge_if_known(text, "process_open_fds", "Descriptors in use.", open_descriptors());
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
        metrics_single(text, "process_max_fds", METRICS_GAUGE, "How many descriptors there may be.",
                       (double)limit.rlim_cur);
}

// --- one slice of an answer ------------------------------------------------------------------------

// The stored bounds, in seconds.
struct bounds {
    double at[SERIES_BOUNDS_MAX];
    size_t count;
};

struct turn {
    struct metrics_scrape *scrape;
    struct metrics_text *text;
    struct store_transaction *transaction; // NULL: none is open
    struct bounds bounds;                  // as in the transaction
    timestamp_ns now;
    timestamp_ns begun_at; // monotonic
    struct error *error;
};

// Some families that are written one after the other, in as many slices as they need.
struct part {
    const char *name; // NULL: `write` names its families itself
    enum metrics_type type;
    const char *help;
    // One of these. The rows of one pool:
    enum error_code (*write_pool)(struct turn *turn, const struct part *part,
                                  const struct pool *pool);
    enum open_job_kind state; // that write_pool counts
    // Those of one set of labels:
    void (*write_series)(struct turn *turn, const struct part *part, const struct series *series);
    enum series_kind kind;
    size_t position; // of the histogram in the series
    // All of it in one slice:
    enum error_code (*write)(struct turn *turn);
};

static bool is_slice_over(const struct turn *turn)
{
    const struct metrics_scrape *scrape = turn->scrape;
    return turn->text->out->len >= scrape->slice_bytes ||
           timestamp_monotonic() - turn->begun_at >= scrape->slice_time;
}

static enum error_code read_bounds(struct turn *turn)
{
    struct series_bounds stored;
    enum error_code code = series_read_bounds(turn->transaction, &stored, turn->error);
    turn->bounds.count = code == ERROR_NONE ? stored.count : 0;
    for (size_t i = 0; i < turn->bounds.count; i++)
        turn->bounds.at[i] = (double)stored.at[i] / (double)NS_PER_SECOND;
    return code;
}

static enum error_code enter_store(struct turn *turn)
{
    if (turn->transaction != NULL)
        return ERROR_NONE;
    enum error_code code =
        store_begin(turn->scrape->sources->store, false, &turn->transaction, turn->error);
    return code == ERROR_NONE ? read_bounds(turn) : code;
}

static void leave_store(struct turn *turn)
{
    if (turn->transaction != NULL)
        store_abort(turn->transaction);
    turn->transaction = NULL;
}

// --- what pools have only together ---------------------------------------------------------------
// Which running jobs have ended, and ceilings, are found by looking at all pools. Read once for an answer, when the
// first family needs it, and kept in a short form.

#define ARENA_BLOCK_BYTES ((size_t)64 * 1024)
#define KEPT_BLOCK_BYTES ((size_t)4 * 1024)

struct pool_figures {
    struct pool_id id;
    uint64_t running, busy_max;
    bool is_busy_known;
};

struct ceiling_figures {
    struct slice name;
    uint64_t running, limit;
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
    for (size_t i = 0; i < view->count; i++)
        kept->pools[i] = (struct pool_figures){view->pools[i].pool.id, view->pools[i].running,
                                               view->pools[i].recent.busy_max_week,
                                               view->pools[i].recent.is_known};
    kept->count = view->count;
    if (kept->count > 1)
        qsort(kept->pools, kept->count, sizeof *kept->pools, compare_figures);
    for (size_t i = 0; i < view->ceiling_count; i++) {
        const struct pools_view_ceiling *from = &view->ceilings[i];
        kept->ceilings[i] = (struct ceiling_figures){from->name, from->running, from->limit};
        if (!arena_copy_slice(&kept->arena, from->name, &kept->ceilings[i].name))
            return false;
    }
    kept->ceiling_count = view->ceiling_count;
    return true;
}

static enum error_code read_pools(struct turn *turn, struct metrics_pools *kept)
{
    struct arena arena;
    const struct view_reader reader = {turn->transaction, &arena, turn->error};
    struct pools_view view;
    arena_init(&arena, ARENA_BLOCK_BYTES);
    enum error_code code =
        pools_view_load(&reader, &turn->scrape->sources->pools, turn->now, &view);
    if (code == ERROR_NONE && !keep_pools(kept, &view))
        code = error_set(turn->error, ERROR_MEMORY, "read pools: out of memory");
    arena_release(&arena);
    return code;
}

static enum error_code need_pools(struct turn *turn)
{
    struct metrics_scrape *scrape = turn->scrape;
    if (scrape->pools != NULL)
        return ERROR_NONE;
    scrape->pools = memory_allocate_array(1, sizeof *scrape->pools);
    if (scrape->pools == NULL)
        return error_set(turn->error, ERROR_MEMORY, "read pools: out of memory");
    arena_init(&scrape->pools->arena, KEPT_BLOCK_BYTES);
    return read_pools(turn, scrape->pools);
}

void metrics_scrape_release(struct metrics_scrape *scrape)
{
    if (scrape->pools != NULL)
        arena_release(&scrape->pools->arena);
    memory_free(scrape->pools);
    scrape->pools = NULL;
}

// NULL: the pool came to be since.
static const struct pool_figures *find_figures(const struct turn *turn, const struct pool *pool)
{
    const struct metrics_pools *pools = turn->scrape->pools;
    return bsearch(&pool->id, pools->pools, pools->count, sizeof *pools->pools, compare_figures);
}

// Without running jobs that have ended.
static double count_of_state(const struct turn *turn, const struct pool *pool,
                             enum open_job_kind state)
{
    const struct pool_figures *figures = find_figures(turn, pool);
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

static void put_job_sample(struct turn *turn, const struct part *part, const struct pool *pool,
                           size_t state, double value)
{
    const struct metrics_label labels[] = {
        {"state", slice_from_string(states[state].name)},
        {"runner_labels", pool->labels},
        {"runner_group", pool->groups},
    };
    metrics_sample(turn->text, part->name, "",
                   (struct metrics_labels){labels, sizeof labels / sizeof labels[0]}, value);
}

static enum error_code put_job_counts(struct turn *turn, const struct part *part,
                                      const struct pool *pool)
{
    enum error_code code = need_pools(turn);
    for (size_t i = 0; i < STATES && code == ERROR_NONE; i++)
        put_job_sample(turn, part, pool, i, count_of_state(turn, pool, states[i].state));
    return code;
}

static enum error_code age_of_oldest(const struct turn *turn, const struct pool *pool, size_t state,
                                     double *seconds)
{
    struct pool_job oldest = {0};
    *seconds = 0;
    if (pool->counts[states[state].state] == 0)
        return ERROR_NONE;
    enum error_code code =
        pool_seek_job(turn->transaction, &pool->id, states[state].state, &oldest, turn->error);
    if (code == ERROR_NONE && oldest.since < turn->now)
        *seconds = (double)(turn->now - oldest.since) / (double)NS_PER_SECOND;
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}

static enum error_code put_job_ages(struct turn *turn, const struct part *part,
                                    const struct pool *pool)
{
    for (size_t i = 0; i < STATES; i++) {
        double seconds;
        enum error_code code = age_of_oldest(turn, pool, i, &seconds);
        if (code != ERROR_NONE)
            return code;
        put_job_sample(turn, part, pool, i, seconds);
    }
    return ERROR_NONE;
}

// --- pools by name --------------------------------------------------------------------------------

static double sum_in_seconds(const struct series_sum *sum)
{
    return (double)sum->seconds + (double)sum->nanoseconds / (double)NS_PER_SECOND;
}

static void put_pool_sample(struct turn *turn, const struct part *part, const struct pool *pool,
                            double value)
{
    char room[LABELS_TEXT_MAX];
    const struct metrics_label label = {"pool", pool_name(pool, room)};
    metrics_sample(turn->text, part->name, "", one_label(&label), value);
}

static enum error_code put_pool_count(struct turn *turn, const struct part *part,
                                      const struct pool *pool)
{
    enum error_code code = need_pools(turn);
    if (code == ERROR_NONE)
        put_pool_sample(turn, part, pool, count_of_state(turn, pool, part->state));
    return code;
}

static double open_wait_seconds(const struct turn *turn, timestamp_ns since)
{
    return (double)pools_view_wait(since, turn->now) / (double)NS_PER_SECOND;
}

static enum error_code put_oldest_wait(struct turn *turn, const struct part *part,
                                       const struct pool *pool)
{
    struct pool_open_waits waits;
    uint64_t budget = 0; // the oldest alone
    enum error_code code =
        pool_read_open_waits(turn->transaction, pool, &budget, &waits, turn->error);
    if (code == ERROR_NONE)
        put_pool_sample(turn, part, pool, open_wait_seconds(turn, waits.oldest));
    return code;
}

// The sample of a wait that is not known is left out; without queued jobs it is 0.
static enum error_code put_wait_quantiles(struct turn *turn, const struct part *part,
                                          const struct pool *pool)
{
    static const char *const quantiles[POOL_WAIT_PERCENTS] = {"0.5", "0.9", "0.99"};
    char room[LABELS_TEXT_MAX];
    struct slice name = pool_name(pool, room);
    struct pool_open_waits waits;
    uint64_t budget = POOLS_VIEW_LOOKED_AT_EACH;
    enum error_code code =
        pool_read_open_waits(turn->transaction, pool, &budget, &waits, turn->error);
    for (size_t i = 0; i < POOL_WAIT_PERCENTS && code == ERROR_NONE; i++) {
        const struct metrics_label labels[] = {{"pool", name},
                                               {"quantile", slice_from_string(quantiles[i])}};
        if (waits.since[i] != TIMESTAMP_UNKNOWN || pool->counts[OPEN_JOB_QUEUED] == 0)
            metrics_sample(turn->text, part->name, "",
                           (struct metrics_labels){labels, sizeof labels / sizeof labels[0]},
                           open_wait_seconds(turn, waits.since[i]));
    }
    return code;
}

// The sample of a pool is left out if there is too much to look at.
static enum error_code put_busy_max(struct turn *turn, const struct part *part,
                                    const struct pool *pool)
{
    enum error_code code = need_pools(turn);
    if (code != ERROR_NONE)
        return code;
    const struct pool_figures *figures = find_figures(turn, pool);
    if (figures != NULL && figures->is_busy_known)
        put_pool_sample(turn, part, pool, (double)figures->busy_max);
    return ERROR_NONE;
}

// Of rules always, of inferred ceilings while they are reached.
static void put_ceilings_gauge(struct turn *turn, const char *name, const char *help, bool is_limit)
{
    const struct metrics_pools *pools = turn->scrape->pools;
    metrics_family(turn->text, name, METRICS_GAUGE, help);
    for (size_t i = 0; i < pools->ceiling_count; i++) {
        const struct ceiling_figures *ceiling = &pools->ceilings[i];
        const struct metrics_label label = {"ceiling", ceiling->name};
        metrics_sample(turn->text, name, "", one_label(&label),
                       (double)(is_limit ? ceiling->limit : ceiling->running));
    }
}

static enum error_code put_ceiling_gauges(struct turn *turn)
{
    enum error_code code = need_pools(turn);
    if (code != ERROR_NONE)
        return code;
    put_ceilings_gauge(turn, "ghatrace_ceiling_running",
                       "Running jobs of all pools that share a limit (runner-ceiling, or an "
                       "inferred one while it is reached).",
                       false);
    put_ceilings_gauge(turn, "ghatrace_ceiling_limit",
                       "The limit of running jobs that these pools share.", true);
    return ERROR_NONE;
}

static enum error_code put_ended_waits(struct turn *turn, const struct part *part,
                                       const struct pool *pool)
{
    char room[LABELS_TEXT_MAX];
    const struct metrics_label label = {"pool", pool_name(pool, room)};
    struct pool_waits waits;
    enum error_code code = latency_read_waits(turn->transaction, &pool->id, &waits, turn->error);
    const struct metrics_histogram histogram = {.bounds = turn->bounds.at,
                                                .bound_count = turn->bounds.count,
                                                .buckets = waits.buckets,
                                                .count = waits.count,
                                                .sum = sum_in_seconds(&waits.sum)};
    if (code == ERROR_NONE)
        metrics_put_histogram(turn->text, part->name, one_label(&label), &histogram);
    return code;
}

// --- how many there are ---------------------------------------------------------------------------

static enum error_code put_set_counts(struct turn *turn)
{
    static const char *const kinds[] = {[SERIES_JOB] = "job",
                                        [SERIES_RUN] = "run",
                                        [SERIES_STEP] = "step",
                                        [SERIES_KINDS] = "pool"};
    metrics_single(turn->text, "ghatrace_runs_open", METRICS_GAUGE, "Runs that are not over.",
                   (double)open_runs_count(turn->transaction));
    metrics_family(turn->text, "ghatrace_series", METRICS_GAUGE,
                   "Sets of labels in use of each kind, and pools of runners; beyond "
                   "metrics-max-series they count as other, beyond metrics-max-pools as "
                   "(one-off).");
    for (size_t kind = 0; kind <= SERIES_KINDS; kind++) {
        const struct metrics_label label = {"kind", slice_from_string(kinds[kind])};
        uint64_t count = kind == SERIES_KINDS
                             ? pool_count(turn->transaction)
                             : series_count(turn->transaction, (enum series_kind)kind);
        metrics_sample(turn->text, "ghatrace_series", "", one_label(&label), (double)count);
    }
    return ERROR_NONE;
}

// --- metrics series -------------------------------------------------------------------------------
// Latencies of jobs, runs and steps, counted since the store was created.

static size_t fill_labels(const struct series *series, struct metrics_label *labels)
{
    size_t count = 0;
    for (size_t i = 0; i < SERIES_LABELS; i++)
        if ((series->has & SERIES_HAS(i)) != 0)
            labels[count++] = (struct metrics_label){series_label_names[i], series->labels[i]};
    return count;
}

static void put_histogram(struct turn *turn, const struct part *part, const struct series *series)
{
    const struct series_histogram *from = &series->histograms[part->position];
    struct metrics_label labels[SERIES_LABELS];
    const struct metrics_histogram histogram = {.bounds = turn->bounds.at,
                                                .bound_count = turn->bounds.count,
                                                .buckets = from->buckets,
                                                .count = from->count,
                                                .sum = sum_in_seconds(&from->sum),
                                                .exemplars = from->exemplars};
    if (from->count > 0) // few jobs wait for approvals
        metrics_put_histogram(turn->text, part->name,
                              (struct metrics_labels){labels, fill_labels(series, labels)},
                              &histogram);
}

static void put_step(struct turn *turn, const struct part *part, const struct series *series)
{
    struct metrics_label labels[SERIES_LABELS];
    size_t count = fill_labels(series, labels);
    metrics_sample(turn->text, part->name, "_sum", (struct metrics_labels){labels, count},
                   sum_in_seconds(&series->sum));
    metrics_sample(turn->text, part->name, "_count", (struct metrics_labels){labels, count},
                   (double)series->count);
}

// "other", where the families of the kind have met it. ERROR_NOT_FOUND: they have not.
static enum error_code find_other(const struct turn *turn, enum series_kind kind,
                                  struct series *series)
{
    const struct metrics_other *other = &turn->scrape->others[kind];
    struct series_id id = other->id;
    if (!other->exists)
        return ERROR_NOT_FOUND;
    enum error_code code = series_seek(turn->transaction, kind, &id, series, turn->error);
    return code == ERROR_NONE && !series_is_other(series) ? ERROR_NOT_FOUND : code;
}

static enum error_code put_overflow(struct turn *turn)
{
    static const char *const kinds[SERIES_KINDS] = {
        [SERIES_JOB] = "job", [SERIES_RUN] = "run", [SERIES_STEP] = "step"};
    metrics_family(turn->text, "ghatrace_series_overflow", METRICS_COUNTER,
                   "Jobs, runs and steps that other counts, because metrics-max-series sets of "
                   "labels were in use. Survives restarts.");
    for (size_t kind = 0; kind < SERIES_KINDS; kind++) {
        const struct metrics_label label = {"kind", slice_from_string(kinds[kind])};
        struct series other;
        enum error_code code = find_other(turn, (enum series_kind)kind, &other);
        if (code != ERROR_NONE && code != ERROR_NOT_FOUND)
            return code;
        metrics_sample(turn->text, "ghatrace_series_overflow", "_total", one_label(&label),
                       code == ERROR_NONE ? (double)other.count : 0);
    }
    return ERROR_NONE;
}

// --- the daemon's own figures ---------------------------------------------------------------------

static enum error_code read_outbox(struct store_transaction *transaction,
                                   struct health_figures *figures, struct error *error)
{
    struct store_record record;
    uint64_t sequence = 0;
    uint32_t size;
    enum error_code code = store_seek_own(transaction, &sequence, &size, error);
    if (code == ERROR_NONE)
        code = store_get_record(transaction, sequence, &record, error);
    if (code == ERROR_NONE)
        figures->outbox_oldest = record.finished_at;
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}

const char *health_category(enum export_trouble trouble, char text[HEALTH_CATEGORY_SIZE])
{
    size_t len = 0;
    for (const char *c = export_trouble_text(trouble); *c != '\0' && len + 1 < HEALTH_CATEGORY_SIZE;
         c++)
        text[len++] = *c == ' ' ? '_' : *c;
    text[len] = '\0';
    return text;
}

struct setup_facts health_setup_facts(const struct view_sources *sources,
                                      const struct health_figures *figures, timestamp_ns now)
{
    return (struct setup_facts){.ingress = &figures->setup,
                                .last_event_at = figures->engine.last_event_at,
                                .webhook_path = sources->webhook_path,
                                .export_url = sources->export_url,
                                .exporting = &figures->exporting,
                                .exported_records = figures->exporter.sent_records,
                                .arc = figures->arc,
                                .now = now};
}

static bool has_usable_headers(const struct export_header_file *file)
{
    struct export_header_file_status status = {.is_usable = true};
    if (file != NULL)
        export_header_file_read_status(file, &status);
    return status.is_usable;
}

enum error_code health_figures_read(const struct view_sources *sources, timestamp_ns now,
                                    struct health_figures *figures, struct error *error)
{
    struct store_transaction *transaction;
    *figures =
        (struct health_figures){.is_ready = true,
                                .now = now,
                                .started_at = sources->started_at,
                                .has_usable_headers = has_usable_headers(sources->header_file)};
    if (sources->engine != NULL) {
        figures->is_ready = engine_ready(sources->engine, &figures->trouble) == ERROR_NONE;
        engine_read_counters(sources->engine, &figures->engine);
        engine_read_overflow(sources->engine, &figures->overflow);
    }
    if (sources->ingress != NULL) {
        if (figures->is_ready)
            figures->is_ready = ingress_ready(sources->ingress, &figures->trouble) == ERROR_NONE;
        ingress_read_counters(sources->ingress, &figures->ingress);
        ingress_read_setup(sources->ingress, &figures->setup);
    }
    if (sources->receiver != NULL)
        receiver_read_counters(sources->receiver, &figures->receiver);
    figures->arc =
        setup_arc_facts(&figures->engine, sources->receiver != NULL ? &figures->receiver : NULL,
                        sources->has_arc_runners);
    if (sources->exporter != NULL) {
        exporter_read_counters(sources->exporter, &figures->exporter);
        exporter_read_status(sources->exporter, &figures->exporting);
    }
    if (sources->metrics_push != NULL) {
        metrics_push_read_counters(sources->metrics_push, &figures->pushed);
        metrics_push_read_status(sources->metrics_push, &figures->pushing);
    }
    if (sources->notices != NULL)
        notices_read_counters(sources->notices, &figures->notices);
    enum error_code code = store_begin(sources->store, false, &transaction, error);
    if (code != ERROR_NONE)
        return code;
    store_read_usage(transaction, &figures->usage);
    figures->own_records = figures->usage.outbox_records - figures->usage.forwarded_records;
    figures->own_bytes = figures->usage.outbox_bytes - figures->usage.forwarded_bytes;
    figures->open_runs = open_runs_count(transaction);
    figures->finished_runs = recent_count(transaction);
    figures->unreadable = store_unreadable_ever(sources->store);
    code = store_oldest_delivery(transaction, &figures->oldest_delivery, error);
    if (code == ERROR_NONE)
        code = read_outbox(transaction, figures, error);
    if (code == ERROR_NONE)
        code = store_read_set_aside_totals(transaction, &figures->set_aside, error);
    store_abort(transaction);
    return code;
}

// --- the daemon's own health ----------------------------------------------------------------------

static double to_seconds(int64_t ns)
{
    return (double)ns / (double)NS_PER_SECOND;
}

static void put_deliveries(struct metrics_text *text, const struct health_figures *figures)
{
    metrics_family(text, "ghatrace_deliveries", METRICS_COUNTER,
                   "Deliveries with a valid signature, since the start.");
    for (size_t i = 0; i < GITHUB_EVENT_KINDS; i++)
        for (size_t k = 0; k < INGRESS_OUTCOMES; k++) {
            enum github_event_kind event = (enum github_event_kind)i;
            enum ingress_outcome outcome = (enum ingress_outcome)k;
            const struct metrics_label labels[] = {
                {"event", slice_from_string(github_event_name(event))},
                {"outcome", slice_from_string(ingress_outcome_names[outcome])}};
            if (ingress_outcome_is_possible(event, outcome))
                metrics_sample(text, "ghatrace_deliveries", "_total",
                               (struct metrics_labels){labels, 2},
                               (double)figures->ingress.deliveries[event][outcome]);
        }
}

static void put_closed_connections(struct metrics_text *text, const struct health_figures *figures)
{
    metrics_single(
        text, "ghatrace_connections_refused", METRICS_COUNTER,
        "Connections closed because of allow-from or max-connections-per-address, since the start.",
        (double)(figures->ingress.rejected_network + figures->ingress.rejected_per_address));
}

static void put_last_delivery(struct metrics_text *text, const struct health_figures *figures)
{
    metrics_single(text, "ghatrace_last_delivery_timestamp_seconds", METRICS_GAUGE,
                   "When the last event was accepted; 0: none since the start.",
                   to_seconds(figures->engine.last_event_at));
}

static void put_commits(struct metrics_text *text, const struct health_figures *figures)
{
    const struct engine_counters *counters = &figures->engine;
    double times[ENGINE_COMMIT_BOUNDS], sizes[ENGINE_BATCH_BOUNDS];
    uint64_t batches = 0;
    for (size_t i = 0; i < ENGINE_COMMIT_BOUNDS; i++)
        times[i] = to_seconds(engine_commit_bounds[i]);
    for (size_t i = 0; i < ENGINE_BATCH_BOUNDS; i++)
        sizes[i] = (double)engine_batch_bounds[i];
    for (size_t i = 0; i <= ENGINE_BATCH_BOUNDS; i++)
        batches += counters->batch_buckets[i];
    const struct metrics_histogram time = {.bounds = times,
                                           .bound_count = ENGINE_COMMIT_BOUNDS,
                                           .buckets = counters->commit_buckets,
                                           .count = counters->commits,
                                           .sum = to_seconds((int64_t)counters->commit_ns)};
    const struct metrics_histogram size = {.bounds = sizes,
                                           .bound_count = ENGINE_BATCH_BOUNDS,
                                           .buckets = counters->batch_buckets,
                                           .count = batches,
                                           .sum = (double)counters->batch_tasks};
    metrics_family(text, "ghatrace_commit_seconds", METRICS_HISTOGRAM,
                   "How long commits to the store took, sync to disk included, since the start.");
    metrics_put_histogram(text, "ghatrace_commit_seconds", no_labels, &time);
    metrics_family(text, "ghatrace_commit_tasks", METRICS_HISTOGRAM,
                   "How many deliveries and results of exports one commit held, since the start.");
    metrics_put_histogram(text, "ghatrace_commit_tasks", no_labels, &size);
}

static void put_commit_queue(struct metrics_text *text, const struct health_figures *figures)
{
    const struct engine_counters *counters = &figures->engine;
    metrics_single(text, "ghatrace_commit_age_seconds", METRICS_GAUGE,
                   "For how long the present commit has been in progress; 0: none is.",
                   to_seconds(counters->batch_age));
    metrics_single(text, "ghatrace_commit_queue_tasks", METRICS_GAUGE,
                   "Deliveries and results of exports that wait to be stored.",
                   (double)counters->queue_tasks);
    metrics_single(text, "ghatrace_commit_queue_oldest_age_seconds", METRICS_GAUGE,
                   "For how long the oldest delivery or result has waited to be stored.",
                   to_seconds(counters->queue_age));
}

static void put_outbox_age(struct metrics_text *text, const struct health_figures *figures)
{
    bool is_empty =
        figures->outbox_oldest == TIMESTAMP_UNKNOWN || figures->outbox_oldest > figures->now;
    metrics_single(text, "ghatrace_outbox_oldest_age_seconds", METRICS_GAUGE,
                   "For how long the oldest of them has waited; 0 where there is none.",
                   is_empty ? 0 : to_seconds(figures->now - figures->outbox_oldest));
}

static void put_export_records(struct metrics_text *text, const struct health_figures *figures)
{
    metrics_family(text, "ghatrace_export_records", METRICS_COUNTER,
                   "Records that the collector accepted, or refused for good, since the start.");
    const struct metrics_label delivered = {"outcome", SLICE("delivered")};
    const struct metrics_label refused = {"outcome", SLICE("refused")};
    metrics_sample(text, "ghatrace_export_records", "_total", one_label(&delivered),
                   (double)figures->exporter.sent_records);
    metrics_sample(text, "ghatrace_export_records", "_total", one_label(&refused),
                   (double)figures->exporter.dead_letters);
}

static void put_trouble(struct metrics_text *text, const struct health_figures *figures)
{
    const struct export_status *status = &figures->exporting;
    metrics_family(
        text, "ghatrace_export_trouble", METRICS_GAUGE,
        "1 where records are not accepted for this reason at present; GET /api/status has "
        "the words of the collector.");
    for (int i = EXPORT_NO_TROUBLE + 1; i <= EXPORT_OTHER_TROUBLE; i++) {
        char words[HEALTH_CATEGORY_SIZE];
        enum export_trouble trouble = (enum export_trouble)i;
        const struct metrics_label category = {"category",
                                               slice_from_string(health_category(trouble, words))};
        metrics_sample(text, "ghatrace_export_trouble", "", one_label(&category),
                       status->is_troubled && status->category == trouble ? 1 : 0);
    }
    metrics_single(text, "ghatrace_export_trouble_since_timestamp_seconds", METRICS_GAUGE,
                   "Since when records are not accepted; 0: they are.",
                   status->is_troubled ? to_seconds(status->since) : 0);
}

static void put_header_file(struct metrics_text *text, const struct health_figures *figures)
{
    metrics_single(
        text, "ghatrace_export_header_file_usable", METRICS_GAUGE,
        "0 while otlp-header-file cannot be used and the last valid headers stay in use, else 1.",
        figures->has_usable_headers ? 1 : 0);
}

static void put_push_times(struct metrics_text *text, const struct health_figures *figures)
{
    const struct metrics_push_status *status = &figures->pushing;
    metrics_single(text, "ghatrace_metrics_push_accepted_timestamp_seconds", METRICS_GAUGE,
                   "When a snapshot of metrics was last accepted; 0: none since the start.",
                   to_seconds(status->accepted_at));
    metrics_single(text, "ghatrace_metrics_push_trouble_since_timestamp_seconds", METRICS_GAUGE,
                   "Since when snapshots of metrics are not accepted; 0: they are, or none is "
                   "pushed.",
                   status->is_troubled ? to_seconds(status->since) : 0);
}

static void put_free_bytes(struct metrics_text *text, const struct health_figures *figures)
{
    const struct store_usage *usage = &figures->usage;
    metrics_single(text, "ghatrace_store_free_bytes", METRICS_GAUGE,
                   "Space left in the store; deliveries are refused while it is less than a tenth.",
                   (double)(usage->max_bytes - usage->used_bytes));
}

static void put_notes(struct metrics_text *text, const struct health_figures *figures)
{
    const struct store_usage *usage = &figures->usage;
    const struct metrics_label deliveries = {"of", SLICE("deliveries")};
    const struct metrics_label jobs = {"of", SLICE("jobs")};
    const struct metrics_label runs = {"of", SLICE("runs")};
    const struct metrics_label roots = {"of", SLICE("roots")};
    metrics_family(text, "ghatrace_notes", METRICS_GAUGE,
                   "Notes kept for linger: of deliveries, and of jobs and runs whose spans were "
                   "sent; and for 35 days, of runs that had a root.");
    metrics_sample(text, "ghatrace_notes", "", one_label(&deliveries),
                   (double)usage->delivery_notes);
    metrics_sample(text, "ghatrace_notes", "", one_label(&jobs), (double)usage->job_notes);
    metrics_sample(text, "ghatrace_notes", "", one_label(&runs), (double)usage->run_notes);
    metrics_sample(text, "ghatrace_notes", "", one_label(&roots), (double)usage->root_notes);
}

static void put_oldest_delivery(struct metrics_text *text, const struct health_figures *figures)
{
    metrics_single(text, "ghatrace_oldest_remembered_delivery_timestamp_seconds", METRICS_GAUGE,
                   "When the oldest recorded delivery was received; 0: there is none.",
                   to_seconds(figures->oldest_delivery));
}

static void put_build(struct metrics_text *text, const struct health_figures *figures)
{
    const struct metrics_label version = {"version", SLICE(GHATRACE_VERSION)};
    metrics_single(text, "ghatrace_ready", METRICS_GAUGE,
                   "1 when deliveries can be stored, else 0; GET /ready says why not.",
                   figures->is_ready ? 1 : 0);
    metrics_family(text, "ghatrace_build_info", METRICS_GAUGE,
                   "Always 1; the version is its label.");
    metrics_sample(text, "ghatrace_build_info", "", one_label(&version), 1);
    metrics_single(text, "process_start_time_seconds", METRICS_GAUGE,
                   "When the process was started, in seconds since 1970.",
                   to_seconds(figures->started_at));
}

// --- the list of figures, for /metrics and /api/status --------------------------------------------

// A figure whose C type is not uint64_t does not compile.
#define FIGURE(member)                                                                             \
    .field = _Generic(((struct health_figures *)0)->member, uint64_t                               \
                      : offsetof(struct health_figures, member))
#define FIGURES(member, label_name, label_values)                                                  \
    .field = _Generic(((struct health_figures *)0)->member[0], uint64_t                            \
                      : offsetof(struct health_figures, member)),                                  \
    .label = (label_name), .names = (label_values),                                                \
    .count = sizeof(((struct health_figures *)0)->member) / sizeof(uint64_t)
#define IN_API(object_name, member_name) .object = (object_name), .name = (member_name)

// clang-format off
const struct health_family health_families[] = {
    {.write = put_deliveries},
    {"ghatrace_requests_refused", METRICS_COUNTER,
     "Requests to the webhook listener that were refused, since the start.",
     FIGURES(ingress.refusals, "reason", ingress_refusal_names), IN_API("deliveries", "requests_refused")},
    {"ghatrace_signature_failures", METRICS_COUNTER,
     "Requests whose signature was missing or wrong, since the start.",
     FIGURE(ingress.refusals[HTTP_BAD_CREDENTIALS])},
    {"ghatrace_deliveries_to_other_paths", METRICS_COUNTER,
     "Requests with GitHub's fields to another path than the webhook's, since the start.",
     FIGURE(setup.wrong_path.count), IN_API("deliveries", "other_path")},
    {"ghatrace_signature_failures_slowed", METRICS_COUNTER,
     "Requests with a missing or wrong signature whose response was delayed, because of many failures of one client, since the start.",
     FIGURE(ingress.delayed_401)},
    {.write = put_closed_connections},
    {"ghatrace_connections", METRICS_GAUGE,
     "Connections to the webhook listener.", FIGURE(ingress.connections)},
    {"ghatrace_events_late", METRICS_COUNTER,
     "Events about spans that had been sent already; they changed nothing. Since the start.",
     FIGURE(engine.late), IN_API("deliveries", "late")},
    {"ghatrace_pool_wait_disagreements", METRICS_COUNTER,
     "Waits for a runner that were counted in ghatrace_pool_queue_wait_seconds when the job started, and "
     "of which a later event had other times, since the start.",
     FIGURE(engine.wait_disagreements)},
    {"ghatrace_arc_assignments", METRICS_COUNTER,
     "Assignments of jobs that ARC reported and that were taken, since the start.",
     FIGURE(engine.assignments), IN_API("arc", "assignments")},
    {"ghatrace_arc_assignments_late", METRICS_COUNTER,
     "Assignments that were reported after the job's spans had been sent, and later than arc-grace "
     "if it waited for them; they changed nothing. Since the start.",
     FIGURE(engine.assignments_late), IN_API("arc", "late")},
    {"ghatrace_arc_assignments_missing", METRICS_COUNTER,
     "Jobs that arc-runners selects and of which ARC reported no assignment within arc-grace, since the start.",
     FIGURE(engine.assignments_missing), IN_API("arc", "missing")},
    {"ghatrace_arc_reports", METRICS_COUNTER,
     "What ARC reported of jobs, by what became of it; expired and shed ones were counted as held before. Since the start.",
     FIGURES(arc.reports, "outcome", arc_outcome_names), IN_API("arc", "reports")},
    {"ghatrace_forwarded_spans", METRICS_COUNTER,
     "Spans of programs inside jobs, by what became of them; held ones are counted again when they are released or dropped. "
     "Since the start.",
     FIGURES(engine.forwarded, "outcome", forward_outcome_names), IN_API("otlp", "forwarded")},
    {"ghatrace_forwarded_spans_foreseen", METRICS_COUNTER,
     "Spans of programs inside jobs that were passed on with an ID that a span of ours was given later, since the start.",
     FIGURE(engine.forwarded_foreseen), IN_API("otlp", "foreseen")},
    {"ghatrace_otlp_requests", METRICS_COUNTER,
     "Requests to otlp-listen, since the start.", FIGURE(receiver.requests), IN_API("otlp", "requests")},
    {"ghatrace_otlp_requests_refused", METRICS_COUNTER,
     "Requests to otlp-listen that were refused, since the start.",
     FIGURES(receiver.refusals, "reason", receiver_refusal_names), IN_API("otlp", "requests_refused")},
    {"ghatrace_otlp_spans", METRICS_COUNTER,
     "Spans in requests to otlp-listen, by the role of the token, since the start.",
     FIGURES(receiver.spans, "role", receiver_role_names), IN_API("otlp", "spans")},
    {"ghatrace_otlp_spans_not_arc", METRICS_COUNTER,
     "Spans that were refused because an arc token may send ARC's spans only, since the start.",
     FIGURE(receiver.not_arc), IN_API("otlp", "not_arc")},
    {"ghatrace_otlp_spans_arc_named", METRICS_COUNTER,
     "Spans with the names of ARC's that came with a job token, which cannot report anything, since the start.",
     FIGURE(receiver.arc_named), IN_API("otlp", "arc_named")},
    {"ghatrace_otlp_connections", METRICS_GAUGE,
     "Connections to otlp-listen.", FIGURE(receiver.connections)},
    {"ghatrace_otlp_connections_refused", METRICS_COUNTER,
     "Connections to otlp-listen that were closed because one address had too many, since the start.",
     FIGURE(receiver.rejected_per_address)},
    {"ghatrace_series_displaced", METRICS_COUNTER,
     "Sets of labels that were in use within a day and are counted as other, because metrics-max-series were in use; since the start.",
     FIGURE(overflow.sets)},
    {"ghatrace_pools_folded", METRICS_COUNTER,
     "Jobs that were counted in the pool (one-off), each time they were, because metrics-max-pools were in use; since the start.",
     FIGURE(overflow.folded)},
    {.write = put_last_delivery},
    {.write = put_commits},
    {.write = put_commit_queue},
    {"ghatrace_outbox_records", METRICS_GAUGE,
     "Finished jobs and runs that wait for the collector.",
     FIGURE(own_records), IN_API("outbox", "records")},
    {"ghatrace_outbox_bytes", METRICS_GAUGE, "Their size.",
     FIGURE(own_bytes), IN_API("outbox", "bytes")},
    {"ghatrace_outbox_forwarded_records", METRICS_GAUGE,
     "Records with spans that were sent with a job token and wait for the collector.",
     FIGURE(usage.forwarded_records), IN_API("outbox", "forwarded_records")},
    {"ghatrace_outbox_forwarded_bytes", METRICS_GAUGE, "Their size.",
     FIGURE(usage.forwarded_bytes), IN_API("outbox", "forwarded_bytes")},
    {.write = put_outbox_age},
    {"ghatrace_dead_letters", METRICS_GAUGE,
     "Records that the collector refused for good; see ghatrace requeue.",
     FIGURE(usage.dead_letters), IN_API("", "dead_letters")},
    {"ghatrace_dead_letter_bytes", METRICS_GAUGE, "Their size.",
     FIGURE(usage.dead_letter_bytes), IN_API("", "dead_letter_bytes")},
    {"ghatrace_dead_letters_forwarded", METRICS_GAUGE,
     "Of the dead letters, those with spans that were sent with a job token.",
     FIGURE(usage.forwarded_dead_letters), IN_API("", "forwarded_dead_letters")},
    {"ghatrace_dead_letter_forwarded_bytes", METRICS_GAUGE, "Their size.",
     FIGURE(usage.forwarded_dead_bytes), IN_API("", "forwarded_dead_letter_bytes")},
    {"ghatrace_dead_letters_dropped", METRICS_COUNTER,
     "Dead letters that were dropped, since the start: older than dead-letters-max-age, beyond "
     "dead-letters-max-size, to make room for deliveries.",
     FIGURES(engine.dead_letters_dropped, "reason", store_shed_names), IN_API("", "dead_letters_dropped")},
    {"ghatrace_export_requests", METRICS_COUNTER,
     "Requests to the collector, since the start.", FIGURE(exporter.requests)},
    {"ghatrace_export_retries", METRICS_COUNTER,
     "Requests to the collector that failed and were tried again, since the start.", FIGURE(exporter.retries)},
    {.write = put_export_records},
    {"ghatrace_export_rejected_spans", METRICS_COUNTER,
     "Spans that the collector rejected from requests that it accepted, since the start.",
     FIGURE(exporter.rejected_spans)},
    {"ghatrace_export_failures_in_a_row", METRICS_GAUGE,
     "Requests that failed since the last one that succeeded.",
     FIGURE(exporter.consecutive_failures), IN_API("export", "failures_in_a_row")},
    {"ghatrace_export_forwarded_failures_in_a_row", METRICS_GAUGE,
     "Requests with spans that were sent with a job token that failed since the last one that succeeded.",
     FIGURE(exporting.forwarded_failures), IN_API("export", "forwarded_failures_in_a_row")},
    {.write = put_trouble},
    {"ghatrace_export_quarantined_records", METRICS_GAUGE,
     "Records that were refused while others were accepted. They are kept, and tried again at intervals.",
     FIGURE(exporting.quarantined_records)},
    {"ghatrace_export_quarantined_bytes", METRICS_GAUGE, "Their size.",
     FIGURE(exporting.quarantined_bytes)},
    {.write = put_header_file},
    {"ghatrace_metrics_push_requests", METRICS_COUNTER,
     "Requests with metrics to the collector, since the start.", FIGURE(pushed.requests), IN_API("metrics_push", "requests")},
    {"ghatrace_metrics_push_snapshots", METRICS_COUNTER,
     "Snapshots of metrics that the collector accepted, since the start.",
     FIGURE(pushed.snapshots), IN_API("metrics_push", "snapshots")},
    {"ghatrace_metrics_push_failures", METRICS_COUNTER,
     "Snapshots of metrics that were not accepted, since the start. A later one has what they had.",
     FIGURE(pushed.failures), IN_API("metrics_push", "failures")},
    {"ghatrace_metrics_push_rejected_points", METRICS_COUNTER,
     "Data points that the collector rejected from requests that it accepted, since the start.",
     FIGURE(pushed.rejected_points), IN_API("metrics_push", "rejected_points")},
    {"ghatrace_metrics_push_failures_in_a_row", METRICS_GAUGE,
     "Snapshots of metrics that were not accepted since the last one that was.",
     FIGURE(pushed.failures_in_a_row), IN_API("metrics_push", "failures_in_a_row")},
    {.write = put_push_times},
    {"ghatrace_notices_sent", METRICS_COUNTER,
     "Notices of pools in trouble, and of its end, that receivers accepted, since the start.",
     FIGURE(notices.sent), IN_API("notices", "sent")},
    {"ghatrace_notices_folded", METRICS_COUNTER,
     "Notices that were not sent because the trouble was over, or back, before they were, since the start.",
     FIGURE(notices.folded), IN_API("notices", "folded")},
    {"ghatrace_notices_failures", METRICS_COUNTER,
     "Requests with notices that a receiver did not accept, since the start.",
     FIGURE(notices.failures), IN_API("notices", "failures")},
    {"ghatrace_notices_dropped", METRICS_COUNTER,
     "Notices that were dropped, since the start: not accepted within 24 h, refused five times, beyond the 1,000 "
     "troubles that are kept for a receiver, or of a receiver that is no longer in notify-url-file.",
     FIGURES(notices.dropped, "reason", notice_drop_names), IN_API("notices", "dropped")},
    {"ghatrace_notices_pending", METRICS_GAUGE,
     "Notices that wait to be sent.", FIGURE(notices.pending), IN_API("notices", "pending")},
    {"ghatrace_notices_receivers", METRICS_GAUGE,
     "Receivers in notify-url-file.", FIGURE(notices.receivers)},
    {"ghatrace_notices_receivers_troubled", METRICS_GAUGE,
     "Receivers whose last request was not accepted.", FIGURE(notices.troubled)},
    {"ghatrace_store_set_aside", METRICS_COUNTER,
     "Stored entries that could not be read or written and were set aside, since the store was made; "
     "ghatrace check lists them.",
     FIGURE(set_aside.count)},
    {"ghatrace_store_unreadable", METRICS_COUNTER,
     "Stored entries that a response or a list omitted because they could not be read, each time. "
     "Since the start.",
     FIGURE(unreadable)},
    {"ghatrace_store_used_bytes", METRICS_GAUGE, "Space in use in the store.",
     FIGURE(usage.used_bytes), IN_API("store", "used_bytes")},
    {.write = put_free_bytes},
    {"ghatrace_store_max_bytes", METRICS_GAUGE, "The setting db-max-size.",
     FIGURE(usage.max_bytes), IN_API("store", "max_bytes")},
    {.write = put_notes},
    {"ghatrace_notes_bytes", METRICS_GAUGE, "Space that they use.", FIGURE(usage.note_bytes)},
    {"ghatrace_notes_shed", METRICS_COUNTER,
     "Notes dropped early because the store had no room. Survives restarts.",
     FIGURE(usage.sheds.total)},
    {.write = put_oldest_delivery},
    {"ghatrace_finished_runs", METRICS_GAUGE, "Finished runs in the history.", FIGURE(finished_runs)},
    {.write = put_build},
};
// clang-format on
const size_t health_family_count = sizeof health_families / sizeof health_families[0];

uint64_t health_number(const struct health_figures *figures, const struct health_family *family,
                       size_t place)
{
    uint64_t number;
    memcpy(&number, (const char *)figures + family->field + place * sizeof number, sizeof number);
    return number;
}

static void put_health_family(struct metrics_text *text, const struct health_figures *figures,
                              const struct health_family *family)
{
    const char *suffix = family->type == METRICS_COUNTER ? "_total" : "";
    metrics_family(text, family->metric, family->type, family->help);
    if (family->label == NULL)
        metrics_sample(text, family->metric, suffix, no_labels,
                       (double)health_number(figures, family, 0));
    for (size_t i = 0; i < family->count; i++) {
        const struct metrics_label label = {family->label, slice_from_string(family->names[i])};
        metrics_sample(text, family->metric, suffix, one_label(&label),
                       (double)health_number(figures, family, i));
    }
}

static enum error_code put_health(struct turn *turn)
{
    struct health_figures figures;
    leave_store(turn); // the figures are read in one of their own
    enum error_code code =
        health_figures_read(turn->scrape->sources, turn->now, &figures, turn->error);
    for (size_t i = 0; code == ERROR_NONE && i < health_family_count; i++) {
        if (health_families[i].write != NULL)
            health_families[i].write(turn->text, &figures);
        else
            put_health_family(turn->text, &figures, &health_families[i]);
    }
    return code;
}

static enum error_code put_process(struct turn *turn)
{
    metrics_put_process(turn->text);
    if (turn->text->format == METRICS_OPENMETRICS)
        put_chars(turn->text, "# EOF\n");
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

// --- GET /metrics: all families, slice by slice ---------------------------------------------------

#define SLICE_TIME (4 * NS_PER_MS)
#define POOL_GAUGE(suffix) "ghatrace_pool_" suffix, METRICS_GAUGE

// clang-format off
static const struct part parts[] = {
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
    {.write = put_ceiling_gauges},
    {"ghatrace_pool_queue_wait_seconds", METRICS_HISTOGRAM,
     "How long jobs of the pool that were ready to run waited for a runner, counted once "
     "each, when the job starts. Survives restarts.", .write_pool = put_ended_waits},
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
     "assignment of a job to its start, hence a part of ghatrace_job_queue_seconds.",
     .write_series = put_histogram, .kind = SERIES_JOB, .position = SERIES_JOB_STARTUP},
    {"ghatrace_job_execution_seconds", METRICS_HISTOGRAM,
     "How long jobs ran, from the workflow's first step to their end. Survives restarts. "
     "gha_job_execution_duration_seconds of actions-runner-controller is the same and the start-up "
     "together.",
     .write_series = put_histogram, .kind = SERIES_JOB, .position = SERIES_JOB_EXECUTION},
    {"ghatrace_job_assign_seconds", METRICS_HISTOGRAM,
     "How long jobs that were ready to run waited until they were assigned to a scale set, where "
     "ARC reported it. Survives restarts. A part of ghatrace_job_queue_seconds.",
     .write_series = put_histogram, .kind = SERIES_JOB, .position = SERIES_JOB_ASSIGN},
    {"ghatrace_job_provision_seconds", METRICS_HISTOGRAM,
     "How long jobs that were assigned to a scale set waited until a runner started them, where "
     "ARC reported it. Survives restarts. The other part.",
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
#define PARTS (sizeof parts / sizeof parts[0])

// ERROR_NOT_FOUND: the part is complete.
static enum error_code put_named_pools(struct turn *turn, const struct part *part)
{
    struct pool_id *next = &turn->scrape->next_pool;
    struct pool pool;
    do {
        enum error_code code = pool_seek(turn->transaction, next, &pool, turn->error);
        if (code == ERROR_NONE)
            code = part->write_pool(turn, part, &pool);
        if (code != ERROR_NONE)
            return code;
        pool_id_increment(next);
    } while (!is_slice_over(turn));
    return ERROR_NONE;
}

// "other" follows all others: in the place of its id, a set that is added to it later would be in neither.
static enum error_code put_other(struct turn *turn, const struct part *part)
{
    struct series other;
    enum error_code code = find_other(turn, part->kind, &other);
    if (code != ERROR_NONE)
        return code;
    part->write_series(turn, part, &other);
    return ERROR_NOT_FOUND;
}

// ERROR_NOT_FOUND: the part is complete.
static enum error_code put_family(struct turn *turn, const struct part *part)
{
    struct series_id *next = &turn->scrape->next_series;
    struct series series;
    do {
        enum error_code code =
            series_seek(turn->transaction, part->kind, next, &series, turn->error);
        if (code == ERROR_NOT_FOUND)
            return put_other(turn, part);
        if (code != ERROR_NONE)
            return code;
        if (series_is_other(&series))
            turn->scrape->others[part->kind] = (struct metrics_other){true, series.id};
        else
            part->write_series(turn, part, &series);
        series_id_increment(next);
    } while (!is_slice_over(turn));
    return ERROR_NONE;
}

// ERROR_NOT_FOUND: the part is complete.
static enum error_code put_part(struct turn *turn, const struct part *part)
{
    struct metrics_scrape *scrape = turn->scrape;
    if (!scrape->is_begun && part->name != NULL)
        metrics_family(turn->text, part->name, part->type, part->help);
    scrape->is_begun = true;
    if (part->write_pool != NULL)
        return put_named_pools(turn, part);
    if (part->write_series != NULL)
        return put_family(turn, part);
    enum error_code code = part->write(turn);
    return code == ERROR_NONE ? ERROR_NOT_FOUND : code;
}

static void go_to_next_part(struct metrics_scrape *scrape)
{
    scrape->part++;
    scrape->is_begun = false;
    memset(&scrape->next_pool, 0, sizeof scrape->next_pool);
    memset(&scrape->next_series, 0, sizeof scrape->next_series);
}

static enum error_code put_slice(struct turn *turn)
{
    struct metrics_scrape *scrape = turn->scrape;
    do {
        enum error_code code = enter_store(turn);
        if (code == ERROR_NONE)
            code = put_part(turn, &parts[scrape->part]);
        if (code == ERROR_NOT_FOUND)
            go_to_next_part(scrape);
        else if (code != ERROR_NONE)
            return code;
    } while (scrape->part < PARTS && !is_slice_over(turn));
    return ERROR_NONE;
}

void metrics_scrape_init(struct metrics_scrape *scrape, const struct view_sources *sources,
                         enum metrics_format format)
{
    *scrape = (struct metrics_scrape){.sources = sources,
                                      .format = format,
                                      .slice_bytes = HTTP_PIECE_BYTES,
                                      .slice_time = SLICE_TIME};
}

enum error_code metrics_scrape_next(struct metrics_scrape *scrape, timestamp_ns now,
                                    struct buffer *out, bool *is_last, struct error *error)
{
    struct metrics_text text = {.out = out, .format = scrape->format};
    struct turn turn = {.scrape = scrape,
                        .text = &text,
                        .now = now,
                        .begun_at = timestamp_monotonic(),
                        .error = error};
    enum error_code code = put_slice(&turn);
    leave_store(&turn);
    *is_last = scrape->part == PARTS;
    if (code == ERROR_NONE && text.code != ERROR_NONE)
        code = error_set(error, text.code, "write metrics: %s", error_code_text(text.code));
    return code;
}
