// Latencies of jobs, runs and steps, as they were counted ever since the store was made.
#include "metrics_text.h"

static const double bounds[SERIES_BOUNDS] = {1,   2,   5,    10,   15,   30,   60,    120,
                                             300, 600, 1200, 1800, 3600, 7200, 14400, 21600};

// What /metrics may grow to by series: it is made in memory, by the loop that answers all else, within some 2 s. Five
// thousand sets with names of usual length and exemplars fit (100 MB); with names of 256 bytes 500 do.
#define SERIES_BYTES_MAX ((size_t)128 * 1024 * 1024)

// One family of histograms: of a kind of series, the histogram at a position.
struct family {
    const char *name;
    const char *help;
    enum series_kind kind;
    size_t position;
};

static const struct family families[] = {
    {"ghatrace_job_waiting_seconds",
     "How long jobs waited for the approval of their environment. Survives restarts.", SERIES_JOB,
     SERIES_JOB_WAITING},
    {"ghatrace_job_queue_seconds",
     "How long jobs that were ready to run waited for a runner. Survives restarts.", SERIES_JOB,
     SERIES_JOB_QUEUE},
    {"ghatrace_job_startup_seconds",
     "How long runners prepared themselves on taking a job, up to the workflow's first step. "
     "Survives restarts. "
     "gha_job_startup_duration_seconds of actions-runner-controller is another measure: from the "
     "assignment of a job to its start, hence a part of ghatrace_job_queue_seconds.",
     SERIES_JOB, SERIES_JOB_STARTUP},
    {"ghatrace_job_execution_seconds",
     "How long jobs ran, from the workflow's first step to their end. Survives restarts. "
     "gha_job_execution_duration_seconds of actions-runner-controller is the same and the start-up "
     "together.",
     SERIES_JOB, SERIES_JOB_EXECUTION},
    {"ghatrace_run_duration_seconds", "How long runs took, from start to end. Survives restarts.",
     SERIES_RUN, 0},
};

// By kind and position.
static const char *const label_names[SERIES_KINDS][SERIES_LABELS_MAX] = {
    [SERIES_JOB] = {"repository", "workflow", "runner_group", "runner_labels", "result"},
    [SERIES_RUN] = {"repository", "workflow", "result"},
    [SERIES_STEP] = {"repository", "workflow", "step", "result"},
};

static size_t fill_labels(const struct series *series, struct metrics_label *labels)
{
    size_t count = series_label_count(series->kind);
    for (size_t i = 0; i < count; i++)
        labels[i] = (struct metrics_label){label_names[series->kind][i], series->labels[i]};
    return count;
}

static double seconds_of(const struct series_sum *sum)
{
    return (double)sum->seconds + (double)sum->nanoseconds / (double)NS_PER_SECOND;
}

static void put_histogram(struct metrics_text *text, const struct family *family,
                          const struct series *series)
{
    const struct series_histogram *from = &series->histograms[family->position];
    struct metrics_label labels[SERIES_LABELS_MAX];
    const struct metrics_histogram histogram = {.bounds = bounds,
                                                .bound_count = SERIES_BOUNDS,
                                                .buckets = from->buckets,
                                                .count = from->count,
                                                .sum = seconds_of(&from->sum),
                                                .exemplars = from->exemplars};
    if (from->count > 0) // few jobs wait for approvals
        metrics_put_histogram(text, family->name, labels, fill_labels(series, labels), &histogram);
}

static void put_step(struct metrics_text *text, const char *name, const struct series *series)
{
    struct metrics_label labels[SERIES_LABELS_MAX];
    size_t count = fill_labels(series, labels);
    metrics_sample(text, name, "_sum", labels, count, seconds_of(&series->sum));
    metrics_sample(text, name, "_count", labels, count, (double)series->count);
}

struct series_sums {
    uint64_t overflow[SERIES_KINDS]; // what was counted beyond the bound
    uint64_t left_out;               // sets for which there was no room
};

static enum error_code put_family(struct metrics_text *text, struct store_transaction *transaction,
                                  const struct family *family, struct series_sums *sums,
                                  struct error *error)
{
    struct series_id id = {{0}};
    struct series series;
    enum error_code code;
    metrics_family(text, family->name,
                   family->kind == SERIES_STEP ? METRICS_SUMMARY : METRICS_HISTOGRAM, family->help);
    while ((code = series_seek(transaction, family->kind, &id, &series, error)) == ERROR_NONE) {
        if (text->out->len > SERIES_BYTES_MAX)
            sums->left_out++;
        else if (family->kind == SERIES_STEP)
            put_step(text, family->name, &series);
        else
            put_histogram(text, family, &series);
        if (series_is_other(&series))
            sums->overflow[family->kind] = series.count;
        series_id_increment(&id);
    }
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}

static void put_overflow(struct metrics_text *text, const struct series_sums *sums)
{
    static const char *const kinds[SERIES_KINDS] = {
        [SERIES_JOB] = "job", [SERIES_RUN] = "run", [SERIES_STEP] = "step"};
    metrics_family(text, "ghatrace_series_overflow", METRICS_COUNTER,
                   "Jobs, runs and steps that other counts, because metrics-max-series sets of "
                   "labels were in use. Survives restarts.");
    for (size_t kind = 0; kind < SERIES_KINDS; kind++) {
        const struct metrics_label label = {"kind", slice_from_string(kinds[kind])};
        metrics_sample(text, "ghatrace_series_overflow", "_total", &label, 1,
                       (double)sums->overflow[kind]);
    }
    metrics_single(text, "ghatrace_series_left_out", METRICS_GAUGE,
                   "Sets of labels that /metrics leaves out, family by family, because it would "
                   "become too large; lower metrics-max-series.",
                   (double)sums->left_out);
}

enum error_code metrics_put_series(struct metrics_text *text, const struct view_sources *sources,
                                   struct error *error)
{
    static const struct family steps = {"ghatrace_step_duration_seconds",
                                        "How long steps took. Survives restarts.", SERIES_STEP, 0};
    struct series_sums sums = {0};
    struct store_transaction *transaction;
    enum error_code code = store_begin(sources->store, false, &transaction, error);
    if (code != ERROR_NONE)
        return code;
    for (size_t i = 0; i < sizeof families / sizeof families[0] && code == ERROR_NONE; i++)
        code = put_family(text, transaction, &families[i], &sums, error);
    if (code == ERROR_NONE)
        code = put_family(text, transaction, &steps, &sums, error);
    store_abort(transaction);
    if (code == ERROR_NONE)
        put_overflow(text, &sums);
    return code;
}
