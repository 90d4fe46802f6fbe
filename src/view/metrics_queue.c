// Open jobs by runner labels and group, and the age of the oldest.
#include "ghatrace/tally/open_runs.h"
#include "ghatrace/tally/pool.h"
#include "metrics_text.h"

#define ARENA_BLOCK_BYTES ((size_t)64 * 1024)

static const struct {
    enum standing_state state;
    const char *name;
} states[] = {
    {STANDING_WAITING, "waiting"}, {STANDING_QUEUED, "queued"}, {STANDING_RUNNING, "running"}};
#define STATES (sizeof states / sizeof states[0])

struct queue {
    struct metrics_text *text;
    struct store_transaction *transaction;
    struct pool *pools;
    size_t count;
    struct error *error;
};

static void put_pool(struct queue *queue, const char *name, size_t pool, size_t state, double value)
{
    const struct metrics_label labels[] = {
        {"state", slice_from_string(states[state].name)},
        {"runner_labels", queue->pools[pool].labels},
        {"runner_group", queue->pools[pool].group},
    };
    metrics_sample(queue->text, name, "", labels, sizeof labels / sizeof labels[0], value);
}

static void put_counts(struct queue *queue)
{
    metrics_family(
        queue->text, "ghatrace_jobs", METRICS_GAUGE,
        "Open jobs by state: waiting for an approval, queued for a runner, running on one. "
        "The runner group is known from the start of a job on.");
    for (size_t pool = 0; pool < queue->count; pool++)
        for (size_t i = 0; i < STATES; i++)
            put_pool(queue, "ghatrace_jobs", pool, i,
                     (double)queue->pools[pool].counts[states[i].state]);
}

static enum error_code age_of_oldest(struct queue *queue, size_t pool, size_t state,
                                     timestamp_ns now, double *seconds)
{
    struct pool_job oldest = {0};
    *seconds = 0;
    if (queue->pools[pool].counts[states[state].state] == 0)
        return ERROR_NONE;
    enum error_code code = pool_seek_job(queue->transaction, &queue->pools[pool].id,
                                         states[state].state, &oldest, queue->error);
    if (code == ERROR_NONE && oldest.since < now)
        *seconds = (double)(now - oldest.since) / (double)NS_PER_SECOND;
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}

static enum error_code put_ages(struct queue *queue, timestamp_ns now)
{
    metrics_family(
        queue->text, "ghatrace_jobs_oldest_age_seconds", METRICS_GAUGE,
        "For how long the oldest open job has been in this state; 0 where there is none.");
    for (size_t pool = 0; pool < queue->count; pool++)
        for (size_t i = 0; i < STATES; i++) {
            double seconds;
            enum error_code code = age_of_oldest(queue, pool, i, now, &seconds);
            if (code != ERROR_NONE)
                return code;
            put_pool(queue, "ghatrace_jobs_oldest_age_seconds", pool, i, seconds);
        }
    return ERROR_NONE;
}

enum error_code metrics_put_queue(struct metrics_text *text, const struct view_sources *sources,
                                  timestamp_ns now, struct error *error)
{
    struct queue queue = {.text = text, .error = error};
    struct arena arena;
    enum error_code code = store_begin(sources->store, false, &queue.transaction, error);
    if (code != ERROR_NONE)
        return code;
    arena_init(&arena, ARENA_BLOCK_BYTES);
    code = pool_list(queue.transaction, &arena, &queue.pools, &queue.count, error);
    if (code == ERROR_NONE) {
        put_counts(&queue);
        code = put_ages(&queue, now);
        metrics_single(text, "ghatrace_runs_open", METRICS_GAUGE, "Runs that are not over.",
                       (double)open_runs_count(queue.transaction));
        metrics_family(text, "ghatrace_series", METRICS_GAUGE,
                       "Sets of labels in use of each kind; beyond metrics-max-series, new ones "
                       "count as other.");
        for (size_t kind = 0; kind <= SERIES_KINDS; kind++) {
            static const char *const kinds[] = {[SERIES_JOB] = "job",
                                                [SERIES_RUN] = "run",
                                                [SERIES_STEP] = "step",
                                                [SERIES_KINDS] = "pool"};
            const struct metrics_label label = {"kind", slice_from_string(kinds[kind])};
            uint64_t count = kind == SERIES_KINDS
                                 ? queue.count
                                 : series_count(queue.transaction, (enum series_kind)kind);
            metrics_sample(text, "ghatrace_series", "", &label, 1, (double)count);
        }
    }
    arena_release(&arena);
    store_abort(queue.transaction);
    return code;
}
