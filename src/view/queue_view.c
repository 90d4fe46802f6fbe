// Reads the queue from the tables of open jobs.
#include "ghatrace/view/queue_view.h"

#include <stdlib.h>
#include <string.h>

#include "ghatrace/stats/runs.h"
#include "ghatrace/store/codec.h"
#include "ghatrace/trace/labels.h"
#include "ghatrace/view/run_view.h"

const enum open_job_kind queue_view_order[QUEUE_VIEW_STATES] = {OPEN_JOB_QUEUED, OPEN_JOB_WAITING,
                                                                OPEN_JOB_RUNNING};

static struct ended_reader ended_reader_of(const struct view_reader *reader,
                                           const struct ended_rule *rule)
{
    return (struct ended_reader){reader->transaction, reader->arena, *rule, reader->error};
}

static enum error_code fail_queue_memory(const struct view_reader *reader)
{
    return error_set(reader->error, ERROR_MEMORY, "read the queue: out of memory");
}

// The first job of the pool in this state at or after `*job`. If there are no more, `since` becomes INT64_MAX.
static enum error_code seek_job(const struct view_reader *reader, const struct pool *pool,
                                enum open_job_kind state, struct pool_job *job)
{
    enum error_code code = pool_seek_job(reader->transaction, &pool->id, state, job, reader->error);
    if (code == ERROR_NOT_FOUND) {
        job->since = INT64_MAX;
        return ERROR_NONE;
    }
    return code;
}

static enum error_code add_pool(const struct view_reader *reader, const struct pool *pool,
                                uint64_t ended, struct queue_view *view)
{
    struct queue_view_pool *added = &view->pools[view->count];
    bool is_idle = true;
    *added = (struct queue_view_pool){
        .pool = *pool, .running = pool->counts[OPEN_JOB_RUNNING] - ended, .ended_unknown = ended};
    for (size_t i = 0; i < QUEUE_VIEW_STATES; i++) {
        struct pool_job oldest = {0};
        if (pool->counts[queue_view_order[i]] == 0)
            continue;
        is_idle = false;
        view->totals[queue_view_order[i]] += pool->counts[queue_view_order[i]];
        enum error_code code = seek_job(reader, pool, queue_view_order[i], &oldest);
        if (code != ERROR_NONE)
            return code;
        added->oldest[queue_view_order[i]] = oldest.since;
    }
    view->totals[OPEN_JOB_RUNNING] -= ended;
    view->ended_unknown += ended;
    view->count += is_idle ? 0 : 1;
    return ERROR_NONE;
}

// Pools without a queue come last; then by name, so that the order of rows is stable.
static int compare_queue_pools(const void *left, const void *right)
{
    const struct queue_view_pool *a = left, *b = right;
    timestamp_ns x = a->oldest[OPEN_JOB_QUEUED], y = b->oldest[OPEN_JOB_QUEUED];
    if (x != y)
        return x == TIMESTAMP_UNKNOWN ? 1 : y == TIMESTAMP_UNKNOWN ? -1 : x < y ? -1 : 1;
    int labels = slice_compare(a->pool.labels, b->pool.labels);
    return labels != 0 ? labels : memcmp(&a->pool.id, &b->pool.id, sizeof a->pool.id);
}

enum error_code queue_view_load(const struct view_reader *reader, const struct ended_rule *rule,
                                struct queue_view *view)
{
    struct pool *pools;
    struct ended_jobs ended;
    const struct ended_reader of_ended = ended_reader_of(reader, rule);
    size_t count;
    *view =
        (struct queue_view){.open_runs = open_runs_count(reader->transaction), .ended_rule = *rule};
    enum error_code code =
        pool_list(reader->transaction, reader->arena, &pools, &count, reader->error);
    if (code == ERROR_NONE)
        code = ended_jobs_load(&of_ended, pools, count, &ended);
    if (code != ERROR_NONE)
        return code;
    view->pools = arena_allocate_array(reader->arena, count + 1, sizeof *view->pools);
    if (view->pools == NULL)
        return fail_queue_memory(reader);
    for (size_t i = 0; i < count && code == ERROR_NONE; i++)
        code = add_pool(reader, &pools[i], ended.by_pool[i], view);
    if (view->count > 1)
        qsort(view->pools, view->count, sizeof *view->pools, compare_queue_pools);
    return code;
}

enum error_code queue_view_of_pools(const struct view_reader *reader,
                                    const struct pools_view *pools, const struct ended_rule *rule,
                                    struct queue_view *view)
{
    *view =
        (struct queue_view){.open_runs = open_runs_count(reader->transaction), .ended_rule = *rule};
    view->pools = arena_allocate_array(reader->arena, pools->count + 1, sizeof *view->pools);
    if (view->pools == NULL)
        return fail_queue_memory(reader);
    for (size_t i = 0; i < pools->count; i++) {
        const struct pools_view_pool *from = &pools->pools[i];
        uint64_t queued = from->pool.counts[OPEN_JOB_QUEUED];
        uint64_t waiting = from->pool.counts[OPEN_JOB_WAITING];
        view->totals[OPEN_JOB_QUEUED] += queued;
        view->totals[OPEN_JOB_WAITING] += waiting;
        view->totals[OPEN_JOB_RUNNING] += from->running;
        view->ended_unknown += from->ended_unknown;
        if (queued + waiting + from->pool.counts[OPEN_JOB_RUNNING] == 0)
            continue;
        view->pools[view->count++] =
            (struct queue_view_pool){.pool = from->pool,
                                     .running = from->running,
                                     .ended_unknown = from->ended_unknown,
                                     .oldest[OPEN_JOB_QUEUED] = from->waits.oldest};
    }
    if (view->count > 1)
        qsort(view->pools, view->count, sizeof *view->pools, compare_queue_pools);
    return ERROR_NONE;
}

// --- jobs -----------------------------------------------------------------------------------------

struct walk {
    const struct queue_view *view;
    const struct queue_view_filter *filter;
    const struct queue_view_visitor *visitor;
    struct view_reader reader; // its arena is for the current job
    struct pool_job *next;     // one per pool
    size_t left;
    bool has_more;
};

static bool passes_filter(const struct walk *walk, size_t pool, enum open_job_kind state)
{
    const struct queue_view_filter *filter = walk->filter;
    const struct queue_view_pool *candidate = &walk->view->pools[pool];
    return candidate->pool.counts[state] > 0 &&
           (filter->state == OPEN_JOB_NONE || filter->state == state) &&
           (filter->labels.len == 0 || labels_are_same(candidate->pool.labels, filter->labels));
}

enum error_code queue_view_visit(const struct view_reader *reader,
                                 const struct queue_view_job_query *query,
                                 const struct pool_job *place,
                                 const struct queue_view_visitor *visitor, bool *is_read)
{
    const struct open_job_state open_state = {.state = query->state, .since = place->since};
    struct job_state job = {0};
    struct slice bytes;
    bool has_ended = false;
    const struct ended_reader of_ended = ended_reader_of(reader, &query->ended_rule);
    arena_clear(reader->arena);
    *is_read = false;
    enum error_code code = store_get_span(reader->transaction, &place->key, &bytes, reader->error);
    bool is_there = code == ERROR_NONE;
    if (is_there)
        code = codec_decode_job(bytes, reader->arena, &job, reader->error);
    if (code == ERROR_NOT_FOUND || (is_there && code == ERROR_CORRUPT)) {
        store_note_unreadable(reader->transaction);
        return ERROR_NONE;
    }
    if (code == ERROR_NONE)
        code = workflow_name_job(reader, &place->key, &job);
    if (code == ERROR_NONE && query->state == OPEN_JOB_RUNNING)
        code = ended_jobs_find(&of_ended, &place->key, &has_ended);
    *is_read = code == ERROR_NONE;
    return code == ERROR_NONE
               ? visitor->visit(visitor->context, &job, &open_state, query->pool, has_ended)
               : code;
}

static size_t find_oldest(const struct walk *walk)
{
    size_t oldest = 0;
    for (size_t i = 1; i < walk->view->count; i++)
        if (walk->next[i].since < walk->next[oldest].since)
            oldest = i;
    return oldest;
}

static enum error_code seek_first(struct walk *walk, enum open_job_kind state)
{
    enum error_code code = ERROR_NONE;
    for (size_t i = 0; i < walk->view->count && code == ERROR_NONE; i++) {
        walk->next[i] = (struct pool_job){.since = INT64_MAX};
        if (!passes_filter(walk, i, state))
            continue;
        walk->next[i] = (struct pool_job){0};
        code = seek_job(&walk->reader, &walk->view->pools[i].pool, state, &walk->next[i]);
    }
    return code;
}

// Merges the jobs of one state of all pools, oldest first: each pool supplies its next one.
static enum error_code walk_state(struct walk *walk, enum open_job_kind state)
{
    struct queue_view_job_query query = {.state = state, .ended_rule = walk->view->ended_rule};
    enum error_code code = seek_first(walk, state);
    while (code == ERROR_NONE && walk->view->count > 0) {
        size_t oldest = find_oldest(walk);
        struct pool_job *job = &walk->next[oldest];
        if (job->since == INT64_MAX)
            break;
        walk->has_more = walk->left == 0;
        if (walk->has_more)
            break;
        bool is_read;
        query.pool = &walk->view->pools[oldest].pool;
        code = queue_view_visit(&walk->reader, &query, job, walk->visitor, &is_read);
        walk->left -= is_read ? 1 : 0;
        pool_job_increment(job);
        if (code == ERROR_NONE)
            code = seek_job(&walk->reader, query.pool, state, job);
    }
    return code;
}

enum error_code queue_view_walk(const struct view_reader *reader, const struct queue_view *view,
                                const struct queue_view_filter *filter,
                                const struct queue_view_visitor *visitor, bool *has_more)
{
    struct arena job_arena;
    struct walk walk = {.view = view,
                        .filter = filter,
                        .visitor = visitor,
                        .reader = {reader->transaction, &job_arena, reader->error},
                        .left = filter->limit};
    enum error_code code = ERROR_NONE;
    walk.next = arena_allocate_array(reader->arena, view->count + 1, sizeof *walk.next);
    if (walk.next == NULL)
        return fail_queue_memory(reader);
    arena_init(&job_arena, QUEUE_VIEW_JOB_BYTES);
    for (size_t i = 0; i < QUEUE_VIEW_STATES && code == ERROR_NONE && !walk.has_more; i++)
        code = walk_state(&walk, queue_view_order[i]);
    arena_release(&job_arena);
    *has_more = walk.has_more;
    return code;
}
