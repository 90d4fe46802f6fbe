// What waits for a runner right now, and for how long.
#include "api_parts.h"
#include "ghatrace/store/codec.h"
#include "ghatrace/tally/open_runs.h"
#include "ghatrace/tally/pool.h"
#include "ghatrace/trace/measure.h"

// In the order of the answer: what people ask first.
static const enum standing_state order[] = {STANDING_QUEUED, STANDING_WAITING, STANDING_RUNNING};
#define STATES (sizeof order / sizeof order[0])

struct queue {
    struct store_transaction *transaction;
    struct arena *arena;
    struct error *error;
    struct json_out json;
    timestamp_ns now;
    struct pool *pools;
    size_t count;
    struct pool_job (*oldest)[STANDING_STATES]; // of each pool; `since` TIMESTAMP_UNKNOWN: none
};

static bool is_idle(const struct pool *pool)
{
    for (size_t i = 0; i < STATES; i++)
        if (pool->counts[order[i]] > 0)
            return false;
    return true;
}

static bool is_wanted(const struct queue *queue, const struct api_queue_query *query,
                      struct slice wanted_labels, size_t pool, enum standing_state state)
{
    if (query->state.len > 0 &&
        !slice_equals(query->state, slice_from_string(api_standing_text(state))))
        return false;
    return (wanted_labels.len == 0 || slice_equals(queue->pools[pool].labels, wanted_labels)) &&
           queue->pools[pool].counts[state] > 0;
}

// The first job of the pool's state at or after `*job`. Where there is none any more, `since` becomes INT64_MAX.
static enum error_code seek_job(struct queue *queue, size_t pool, enum standing_state state,
                                struct pool_job *job)
{
    enum error_code code =
        pool_seek_job(queue->transaction, &queue->pools[pool].id, state, job, queue->error);
    if (code == ERROR_NOT_FOUND) {
        job->since = INT64_MAX;
        return ERROR_NONE;
    }
    return code;
}

static enum error_code load_pools(struct queue *queue)
{
    enum error_code code =
        pool_list(queue->transaction, queue->arena, &queue->pools, &queue->count, queue->error);
    if (code != ERROR_NONE)
        return code;
    queue->oldest = arena_allocate_array(queue->arena, queue->count + 1, sizeof *queue->oldest);
    if (queue->oldest == NULL)
        return error_set(queue->error, ERROR_MEMORY, "list the queue: out of memory");
    for (size_t i = 0; i < queue->count; i++)
        for (size_t j = 0; j < STATES && code == ERROR_NONE; j++)
            if (queue->pools[i].counts[order[j]] > 0)
                code = seek_job(queue, i, order[j], &queue->oldest[i][order[j]]);
    return code;
}

// --- pools ----------------------------------------------------------------------------------------

static void put_totals(struct queue *queue)
{
    struct json_out *json = &queue->json;
    uint64_t totals[STANDING_STATES] = {0};
    for (size_t i = 0; i < queue->count; i++)
        for (size_t j = 0; j < STATES; j++)
            totals[order[j]] += queue->pools[i].counts[order[j]];
    json_out_open_object(json, "totals");
    json_out_count(json, "waiting", totals[STANDING_WAITING]);
    json_out_count(json, "queued", totals[STANDING_QUEUED]);
    json_out_count(json, "running", totals[STANDING_RUNNING]);
    json_out_count(json, "open_runs", open_runs_count(queue->transaction));
    json_out_close_object(json);
}

static void put_pool(struct queue *queue, size_t i)
{
    struct json_out *json = &queue->json;
    const struct pool *pool = &queue->pools[i];
    json_out_open_object(json, NULL);
    json_out_joined(json, "runner_labels", pool->labels);
    json_out_text(json, "runner_group", pool->group);
    json_out_count(json, "waiting", pool->counts[STANDING_WAITING]);
    json_out_count(json, "queued", pool->counts[STANDING_QUEUED]);
    json_out_count(json, "running", pool->counts[STANDING_RUNNING]);
    json_out_time(json, "oldest_waiting_since", queue->oldest[i][STANDING_WAITING].since);
    json_out_time(json, "oldest_queued_since", queue->oldest[i][STANDING_QUEUED].since);
    json_out_time(json, "oldest_running_since", queue->oldest[i][STANDING_RUNNING].since);
    json_out_close_object(json);
}

// The pool whose oldest queued job is older comes first; those without one, last.
static size_t next_pool(const struct queue *queue, const bool *is_put)
{
    size_t next = queue->count;
    timestamp_ns best = INT64_MAX;
    for (size_t i = 0; i < queue->count; i++) {
        if (is_put[i] || is_idle(&queue->pools[i]))
            continue;
        timestamp_ns since = queue->oldest[i][STANDING_QUEUED].since;
        timestamp_ns rank = since == TIMESTAMP_UNKNOWN ? INT64_MAX - 1 : since;
        if (rank < best) {
            best = rank;
            next = i;
        }
    }
    return next;
}

static enum error_code put_pools(struct queue *queue)
{
    bool *is_put = arena_allocate_array(queue->arena, queue->count + 1, sizeof *is_put);
    size_t i;
    if (is_put == NULL)
        return error_set(queue->error, ERROR_MEMORY, "list the queue: out of memory");
    json_out_open_array(&queue->json, "pools");
    while ((i = next_pool(queue, is_put)) < queue->count) {
        put_pool(queue, i);
        is_put[i] = true;
    }
    json_out_close_array(&queue->json);
    return ERROR_NONE;
}

// --- jobs -----------------------------------------------------------------------------------------

static enum error_code put_job(struct queue *queue, const struct pool_job *place,
                               enum standing_state state)
{
    struct json_out *json = &queue->json;
    struct job_state job = {0};
    struct slice bytes;
    enum error_code code = store_get_span(queue->transaction, &place->key, &bytes, queue->error);
    if (code == ERROR_NONE)
        code = codec_decode_job(bytes, queue->arena, &job, queue->error);
    if (code != ERROR_NONE)
        return code == ERROR_NOT_FOUND
                   ? error_set(queue->error, ERROR_CORRUPT, "an open job has no state")
                   : code;
    json_out_open_object(json, NULL);
    json_out_id(json, "job_id", job.job_id);
    json_out_text(json, "name", job.body.name);
    json_out_id(json, "run_id", job.run_id);
    json_out_count(json, "run_attempt", (uint64_t)job.run_attempt);
    json_out_text(json, "repository", job.repository.full_name);
    json_out_text(json, "workflow", job.body.workflow_name);
    json_out_text(json, "branch", job.body.head_branch);
    json_out_text(json, "state", slice_from_string(api_standing_text(state)));
    json_out_time(json, "since", place->since);
    json_out_seconds(json, "age_seconds",
                     queue->now > place->since ? queue->now - place->since : 0);
    json_out_texts(json, "runner_labels", job.body.labels, job.body.label_count);
    json_out_text(json, "runner_group", job.runner_group_name);
    json_out_text(json, "runner_name", job.runner_name);
    json_out_text(json, "url", job.body.html_url);
    json_out_close_object(json);
    return ERROR_NONE;
}

// The jobs of one state over all pools, the oldest first: each pool offers its next one.
static enum error_code put_state(struct queue *queue, const struct api_queue_query *query,
                                 struct slice labels, enum standing_state state, size_t *left,
                                 bool *has_more)
{
    struct pool_job *next = arena_allocate_array(queue->arena, queue->count + 1, sizeof *next);
    enum error_code code = ERROR_NONE;
    if (next == NULL)
        return error_set(queue->error, ERROR_MEMORY, "list the queue: out of memory");
    for (size_t i = 0; i < queue->count; i++) {
        next[i] = queue->oldest[i][state];
        if (!is_wanted(queue, query, labels, i, state))
            next[i].since = INT64_MAX;
    }
    while (code == ERROR_NONE) {
        size_t oldest = 0;
        for (size_t i = 1; i < queue->count; i++)
            if (next[i].since < next[oldest].since)
                oldest = i;
        if (queue->count == 0 || next[oldest].since == INT64_MAX)
            return ERROR_NONE;
        *has_more = *left == 0;
        if (*has_more)
            return ERROR_NONE;
        (*left)--;
        code = put_job(queue, &next[oldest], state);
        pool_job_increment(&next[oldest]);
        if (code == ERROR_NONE)
            code = seek_job(queue, oldest, state, &next[oldest]);
    }
    return code;
}

// As the pools have them: sorted, each once.
static enum error_code read_labels(struct queue *queue, struct slice text, struct slice *joined)
{
    struct slice items[64];
    size_t count = 0;
    while (text.len > 0 && count < sizeof items / sizeof items[0]) {
        ptrdiff_t comma = slice_find(text, SLICE(","));
        size_t len = comma < 0 ? text.len : (size_t)comma;
        size_t taken = comma < 0 ? text.len : len + 1;
        items[count++] = (struct slice){text.data, len};
        text = (struct slice){text.data + taken, text.len - taken};
    }
    if (!measure_join_labels(items, count, queue->arena, joined))
        return error_set(queue->error, ERROR_MEMORY, "list the queue: out of memory");
    return ERROR_NONE;
}

static enum error_code put_jobs(struct queue *queue, const struct api_queue_query *query)
{
    size_t left = query->limit;
    bool has_more = false;
    struct slice labels = SLICE_EMPTY;
    enum error_code code = read_labels(queue, query->runner_labels, &labels);
    json_out_open_array(&queue->json, "jobs");
    for (size_t i = 0; i < STATES && code == ERROR_NONE && !has_more; i++)
        code = put_state(queue, query, labels, order[i], &left, &has_more);
    json_out_close_array(&queue->json);
    json_out_bool(&queue->json, "more", has_more);
    return code;
}

enum error_code api_render_queue(const struct view_sources *sources,
                                 const struct api_queue_query *query, timestamp_ns now,
                                 struct arena *arena, struct buffer *out, struct error *error)
{
    struct queue queue = {.arena = arena, .error = error, .now = now};
    enum error_code code = store_begin(sources->store, false, &queue.transaction, error);
    if (code != ERROR_NONE)
        return code;
    json_out_init(&queue.json, out);
    json_out_open_object(&queue.json, NULL);
    json_out_time(&queue.json, "now", now);
    code = load_pools(&queue);
    if (code == ERROR_NONE) {
        put_totals(&queue);
        code = put_pools(&queue);
    }
    if (code == ERROR_NONE)
        code = put_jobs(&queue, query);
    json_out_close_object(&queue.json);
    store_abort(queue.transaction);
    return code == ERROR_NONE ? api_finish(&queue.json, error) : code;
}
