// The JSON API: the queue, pools and their history.
#include "api.h"

#include <stdlib.h>
#include <string.h>

#include "api_pools.h"
#include "ghatrace/github/server.h"
#include "ghatrace/stats/ended_jobs.h"
#include "ghatrace/stats/latency.h"
#include "ghatrace/stats/pool.h"
#include "ghatrace/stats/pool_history.h"
#include "ghatrace/stats/pool_minutes.h"
#include "ghatrace/trace/labels.h"
#include "ghatrace/view/pools_cache.h"
#include "ghatrace/view/pools_summary.h"
#include "ghatrace/view/queue_view.h"

// --- jobs that currently wait for a runner, and for how long --------------------------------------

static timestamp_ns oldest_of_queued(const struct queue_view *view)
{
    timestamp_ns oldest = TIMESTAMP_UNKNOWN;
    for (size_t i = 0; i < view->count; i++)
        oldest = timestamp_earliest_known(oldest, view->pools[i].oldest[OPEN_JOB_QUEUED]);
    return oldest;
}

static void put_totals(struct json_out *json, const struct queue_view *view)
{
    json_out_open_object(json, "totals");
    json_out_count(json, "waiting", view->totals[OPEN_JOB_WAITING]);
    json_out_count(json, "queued", view->totals[OPEN_JOB_QUEUED]);
    json_out_count(json, "running", view->totals[OPEN_JOB_RUNNING]);
    json_out_count(json, "open_runs", view->open_runs);
    json_out_close_object(json);
    json_out_time(json, "oldest_queued_since", oldest_of_queued(view));
}

void api_put_pool_names(struct json_out *json, const struct pool *pool)
{
    char room[LABELS_TEXT_MAX];
    json_out_text(json, "pool", pool_name(pool, room));
    api_put_labels(json, "labels", pool->is_rule ? pool->asked : pool->labels);
    api_put_labels(json, "groups", pool->groups);
    api_put_labels(json, "runner_labels", pool->labels);
    json_out_text(json, "runner_group", pool->groups);
}

static void put_pools(struct json_out *json, const struct queue_view *view, size_t most)
{
    json_out_open_array(json, "pools");
    for (size_t i = 0; i < view->count && i < most; i++) {
        const struct queue_view_pool *row = &view->pools[i];
        json_out_open_object(json, NULL);
        api_put_pool_names(json, &row->pool);
        json_out_count(json, "waiting", row->pool.counts[OPEN_JOB_WAITING]);
        json_out_count(json, "queued", row->pool.counts[OPEN_JOB_QUEUED]);
        json_out_count(json, "running", row->running);
        json_out_time(json, "oldest_waiting_since", row->oldest[OPEN_JOB_WAITING]);
        json_out_time(json, "oldest_queued_since", row->oldest[OPEN_JOB_QUEUED]);
        json_out_time(json, "oldest_running_since", row->oldest[OPEN_JOB_RUNNING]);
        json_out_count(json, "ended_unknown", row->ended_unknown);
        json_out_close_object(json);
    }
    json_out_close_array(json);
}

enum error_code api_put_open_job(void *context, const struct job_state *job,
                                 const struct open_job_state *open_state, const struct pool *pool,
                                 bool has_ended)
{
    char room[LABELS_TEXT_MAX];
    struct api_open_jobs *queue = context;
    struct json_out *json = &queue->object.json;
    timestamp_ns now = queue->object.call->now;
    if (json->writer.out->len > queue->end)
        return ERROR_FULL;
    duration_ns age = now > open_state->since ? now - open_state->since : 0;
    json_out_open_object(json, NULL);
    json_out_id(json, "job_id", job->job_id);
    json_out_text(json, "name", job->body.name);
    json_out_id(json, "run_id", job->run_id);
    json_out_count(json, "run_attempt", (uint64_t)job->run_attempt);
    json_out_text(json, "server", github_server_name(job->server));
    json_out_text(json, "repository", job->repository.full_name);
    json_out_text(json, "workflow", job->body.workflow_name);
    json_out_text(json, "branch", job->body.head_branch);
    json_out_text(json, "pool", pool_name(pool, room));
    json_out_text(json, "state", slice_from_string(api_open_job_text(open_state->state)));
    json_out_bool(json, "ended_unknown", has_ended);
    json_out_time(json, "since", open_state->since);
    json_out_seconds(json, "age_seconds", age);
    json_out_texts(json, "runner_labels", job->body.labels, job->body.label_count);
    json_out_text(json, "runner_group", job->runner_group_name);
    json_out_text(json, "runner_name", job->runner_name);
    json_out_text(json, "url", job->body.html_url);
    json_out_close_object(json);
    return json_out_finish(json);
}

// Labels that a client separated by commas, in any order, as labels_join() has them. False if out of memory.
static bool sort_labels(struct slice text, struct arena *arena, struct slice *joined)
{
    struct slice *labels;
    size_t count;
    return labels_split(text, arena, &labels, &count) && labels_join(labels, count, arena, joined);
}

enum error_code api_read_state(struct slice text, enum open_job_kind *state, struct error *error)
{
    const enum open_job_kind states[] = {OPEN_JOB_WAITING, OPEN_JOB_QUEUED, OPEN_JOB_RUNNING};
    *state = OPEN_JOB_NONE;
    for (size_t i = 0; i < sizeof states / sizeof states[0]; i++)
        if (slice_equals(text, slice_from_string(api_open_job_text(states[i]))))
            *state = states[i];
    if (text.len > 0 && *state == OPEN_JOB_NONE)
        return error_set(error, ERROR_USAGE, "state: want waiting, queued or running");
    return ERROR_NONE;
}

static enum error_code put_queue(struct api_open_jobs *queue,
                                 const struct queue_view_filter *filter)
{
    const struct queue_view_visitor visitor = {api_put_open_job, queue};
    const struct view_reader *reader = &queue->object.reader;
    struct json_out *json = &queue->object.json;
    const struct api_call *call = queue->object.call;
    const struct ended_rule rule = {call->now, call->sources->pools.job_grace};
    struct queue_view view;
    bool has_more = false;
    enum error_code code = queue_view_load(reader, &rule, &view);
    if (code != ERROR_NONE)
        return code;
    put_totals(json, &view);
    put_pools(json, &view, queue->pools);
    json_out_open_array(json, "jobs");
    code = queue_view_walk(reader, &view, filter, &visitor, &has_more);
    if (code == ERROR_FULL) { // returned by api_put_open_job()
        has_more = true;
        code = ERROR_NONE;
    }
    json_out_close_array(json);
    json_out_bool(json, "more", has_more);
    api_put_unreadable(&queue->object);
    return code;
}

enum error_code api_render_queue(const struct api_call *call, const struct api_queue_query *query)
{
    struct queue_view_filter filter = {.limit = query->limit};
    struct api_open_jobs queue = {.end = api_list_end(call->out),
                                  .pools = query->pools > 0 ? query->pools : SIZE_MAX};
    enum error_code code = api_read_state(query->state, &filter.state, call->error);
    if (code == ERROR_NONE && !sort_labels(query->runner_labels, call->arena, &filter.labels))
        code = error_set(call->error, ERROR_MEMORY, "list the queue: out of memory");
    if (code == ERROR_NONE)
        code = api_begin(call, &queue.object);
    if (code != ERROR_NONE)
        return code;
    json_out_time(&queue.object.json, "now", call->now);
    return api_end(&queue.object, put_queue(&queue, &filter));
}

// --- pools ----------------------------------------------------------------------------------------

static void put_open_wait(struct json_out *json, const char *name, timestamp_ns since,
                          timestamp_ns now)
{
    if (since != TIMESTAMP_UNKNOWN)
        json_out_seconds(json, name, pools_view_wait(since, now));
    else
        json_out_null(json, name);
}

static void put_waits_of_queued(struct json_out *json, const struct pool_open_waits *waits,
                                timestamp_ns now)
{
    static const char *const names[POOL_WAIT_PERCENTS] = {"p50", "p90", "p99"};
    put_open_wait(json, "oldest_wait_seconds", waits->oldest, now);
    json_out_open_object(json, "open_wait_seconds");
    for (size_t i = 0; i < POOL_WAIT_PERCENTS; i++)
        put_open_wait(json, names[i], waits->since[i], now);
    json_out_close_object(json);
}

static void put_recent_of_pool(struct json_out *json, const struct pools_view_pool *row)
{
    const struct pool_recent *recent = &row->recent;
    api_put_known_count(json, "busy_max_day", recent->is_known, recent->busy_max_day);
    api_put_known_count(json, "busy_max_week", recent->is_known, recent->busy_max_week);
    json_out_time(json, "last_start_at", recent->last_start);
}

// [{"pool": "gpu,linux"}, {"text": " is dead: 13 jobs wait, nothing has started since "}, {"time": "..."}, ...]
static void put_pool_words(struct json_out *json, const char *name, const struct pools_words *words)
{
    json_out_open_array(json, name);
    for (size_t i = 0; i < words->count; i++) {
        const struct pools_part *part = &words->parts[i];
        json_out_open_object(json, NULL);
        if (part->kind == POOLS_PART_TIME)
            json_out_time(json, pools_part_names[part->kind], part->time);
        else
            json_out_text(json, pools_part_names[part->kind], part->text);
        json_out_close_object(json);
    }
    json_out_close_array(json);
}

static void put_filled_by(struct json_out *json, const struct pools_view_pool *row)
{
    const struct pools_view_filler *filler = &row->filler;
    if (filler->of == 0) {
        json_out_null(json, "filled_by");
        return;
    }
    json_out_open_object(json, "filled_by");
    json_out_text(json, "server", github_server_name(filler->server));
    json_out_text(json, "repository", filler->repository);
    json_out_count(json, "queued", filler->queued);
    json_out_count(json, "of", filler->of);
    json_out_count(json, "running", filler->running);
    json_out_count(json, "of_running", filler->of_running);
    json_out_bool(json, "more", filler->has_more);
    json_out_text(json, "workflow", filler->workflow);
    json_out_count(json, "workflow_queued", filler->workflow_queued);
    json_out_close_object(json);
}

static enum error_code put_advice(struct api_object *object, const struct pools_view_pool *row)
{
    struct pools_advice advice;
    if (!pools_advice_make(row, object->call->arena, &advice))
        return error_set(object->call->error, ERROR_MEMORY, "list pools: out of memory");
    put_pool_words(&object->json, "action", &advice.action);
    put_pool_words(&object->json, "advice", &advice.more);
    return ERROR_NONE;
}

enum error_code api_put_pool(struct api_object *object, const struct pools_view_pool *row)
{
    struct json_out *json = &object->json;
    timestamp_ns now = object->call->now;
    const struct pool *pool = &row->pool;
    json_out_text(json, "pool", row->name);
    api_put_labels(json, "labels", pool->is_rule ? pool->asked : pool->labels);
    api_put_labels(json, "groups", pool->groups);
    json_out_count(json, "waiting", pool->counts[OPEN_JOB_WAITING]);
    json_out_count(json, "queued", pool->counts[OPEN_JOB_QUEUED]);
    json_out_count(json, "running", row->running);
    json_out_time(json, "oldest_queued_since", row->waits.oldest);
    put_waits_of_queued(json, &row->waits, now);
    put_recent_of_pool(json, row);
    json_out_text(json, "state", slice_from_string(pool_state_names[row->state]));
    json_out_time(json, "since", row->since);
    json_out_time(json, "trouble_since", pools_view_trouble_since(row));
    json_out_text(json, "ceiling", row->ceiling);
    json_out_count(json, "ended_unknown", row->ended_unknown);
    json_out_bool(json, "in_trouble", pools_view_is_in_trouble(row, now));
    put_filled_by(json, row);
    return put_advice(object, row);
}

static void put_shares(struct json_out *json, const struct pools_view_shares *shares)
{
    json_out_open_array(json, "by_repository");
    for (size_t i = 0; i < shares->count; i++) {
        json_out_open_object(json, NULL);
        json_out_text(json, "server", github_server_name(shares->items[i].server));
        json_out_text(json, "repository", shares->items[i].repository);
        json_out_count(json, "running", shares->items[i].running);
        json_out_close_object(json);
    }
    json_out_close_array(json);
}

static void put_common_workflow(struct json_out *json, const struct pools_view_common *common)
{
    if (common->of == 0) {
        json_out_null(json, "filled_by");
        return;
    }
    json_out_open_object(json, "filled_by");
    json_out_text(json, "workflow", common->workflow);
    json_out_count(json, "queued", common->queued);
    json_out_count(json, "of", common->of);
    json_out_count(json, "repositories", common->repositories);
    json_out_bool(json, "more", common->has_more);
    json_out_close_object(json);
}

static void put_ceiling(struct json_out *json, const struct pools_view_ceiling *ceiling,
                        const struct pools_view_shares *shares)
{
    json_out_open_object(json, NULL);
    json_out_text(json, "ceiling", ceiling->name);
    json_out_count(json, "limit", ceiling->limit);
    json_out_count(json, "running", ceiling->running);
    json_out_texts(json, "pools", ceiling->pools, ceiling->pool_count);
    json_out_count(json, "queued", ceiling->queued);
    json_out_time(json, "since", ceiling->since);
    json_out_bool(json, "inferred", ceiling->is_inferred);
    put_common_workflow(json, &ceiling->common);
    put_shares(json, shares);
    json_out_close_object(json);
}

enum error_code api_put_ceilings(struct api_object *object, const struct pools_view *view,
                                 const size_t *only)
{
    struct pools_view_shares *shares;
    enum error_code code = pools_view_count_shares(&object->reader, view, &shares);
    if (code != ERROR_NONE)
        return code;
    json_out_open_array(&object->json, "ceilings");
    for (size_t i = 0; i < view->ceiling_count; i++)
        if (only == NULL || *only == i)
            put_ceiling(&object->json, &view->ceilings[i], &shares[i]);
    json_out_close_array(&object->json);
    return ERROR_NONE;
}

static enum error_code put_summary(struct api_object *object, const struct pools_view *view)
{
    struct json_out *json = &object->json;
    struct pools_summary summary;
    if (!pools_summary_make(view, object->call->now, object->call->arena, &summary))
        return error_set(object->call->error, ERROR_MEMORY, "list pools: out of memory");
    json_out_open_object(json, "summary");
    json_out_text(json, "kind", slice_from_string(pools_scope_names[summary.scope]));
    json_out_text(json, "text", summary.text);
    put_pool_words(json, "parts", &summary.words);
    json_out_text(json, "action_text", summary.action_text);
    put_pool_words(json, "action", &summary.action);
    json_out_close_object(json);
    return ERROR_NONE;
}

enum error_code api_render_pools(const struct api_call *call)
{
    struct api_object object;
    struct pools_view view;
    enum error_code code = api_begin(call, &object);
    if (code != ERROR_NONE)
        return code;
    code = pools_cache_read(call->sources->pools_cache, &object.reader, &call->sources->pools,
                            call->now, &view);
    json_out_time(&object.json, "now", call->now);
    json_out_open_array(&object.json, "pools");
    for (size_t i = 0; code == ERROR_NONE && i < view.count; i++) {
        json_out_open_object(&object.json, NULL);
        code = api_put_pool(&object, &view.pools[i]);
        json_out_close_object(&object.json);
    }
    json_out_close_array(&object.json);
    if (code == ERROR_NONE)
        code = api_put_ceilings(&object, &view, NULL);
    if (code == ERROR_NONE)
        code = put_summary(&object, &view);
    if (code == ERROR_NONE)
        code = api_put_past(&object, SLICE_EMPTY);
    api_put_unreadable(&object);
    return api_end(&object, code);
}

static void put_mean(struct json_out *json, const char *name, double value)
{
    json_out_seconds(json, name, (duration_ns)(value * (double)NS_PER_SECOND + 0.5)); // 3 decimals
}

static void put_wait_percentile(struct json_out *json, const char *name,
                                const struct histogram *waits, unsigned percent)
{
    if (waits != NULL)
        json_out_seconds(json, name, histogram_percentile(waits, percent));
    else
        json_out_null(json, name);
}

static void put_slot_mean(struct json_out *json, const char *name, const struct pool_slot *slot,
                          double value)
{
    if (slot->is_known)
        put_mean(json, name, value);
    else
        json_out_null(json, name);
}

static void put_history_slot(struct json_out *json, timestamp_ns start,
                             const struct pool_slot *slot)
{
    json_out_open_object(json, NULL);
    json_out_time(json, "start", start);
    api_put_known_count(json, "arrivals", slot->is_known, slot->arrivals);
    api_put_known_count(json, "starts", slot->is_known, slot->starts);
    api_put_known_count(json, "queued_max", slot->is_known, slot->queued_max);
    put_slot_mean(json, "queued_mean", slot, slot->queued_mean);
    api_put_known_count(json, "running_max", slot->is_known, slot->running_max);
    put_slot_mean(json, "running_mean", slot, slot->running_mean);
    json_out_open_object(json, "wait_seconds");
    api_put_known_count(json, "count", slot->is_known,
                        slot->waits != NULL ? slot->waits->count : 0);
    put_wait_percentile(json, "p50", slot->waits, 50);
    put_wait_percentile(json, "p90", slot->waits, 90);
    put_wait_percentile(json, "p99", slot->waits, 99);
    json_out_close_object(json);
    json_out_close_object(json);
}

enum error_code api_find_pool(const struct view_reader *reader, struct slice name,
                              struct pool *pool)
{
    struct slice joined;
    if (name.len > LABELS_TEXT_MAX)
        return error_set(reader->error, ERROR_NOT_FOUND, "there is no such pool");
    if (!sort_labels(name, reader->arena, &joined))
        return error_set(reader->error, ERROR_MEMORY, "find a pool: out of memory");
    const struct pool_id wanted[] = {pool_make_id(name), pool_make_id(joined)};
    for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
        struct pool_id id = wanted[i];
        enum error_code code = pool_seek(reader->transaction, &id, pool, reader->error);
        if (code != ERROR_NONE && code != ERROR_NOT_FOUND)
            return code;
        if (code == ERROR_NONE && memcmp(&id, &wanted[i], sizeof id) == 0)
            return ERROR_NONE;
    }
    return error_set(reader->error, ERROR_NOT_FOUND, "there is no such pool");
}

static enum error_code put_history(struct api_object *object, const struct pool *pool,
                                   const struct pool_history_slots *slots)
{
    struct json_out *json = &object->json;
    const struct view_reader *reader = &object->reader;
    const struct ended_reader of_ended = {
        reader->transaction,
        reader->arena,
        {object->call->now, object->call->sources->pools.job_grace},
        reader->error};
    struct pool_reader of_pool = {.transaction = reader->transaction,
                                  .pool = pool,
                                  .now = object->call->now,
                                  .error = reader->error};
    struct pool_history history;
    char room[LABELS_TEXT_MAX];
    enum error_code code = ended_jobs_of_pool(&of_ended, pool, &of_pool.ends);
    if (code == ERROR_NONE)
        code = pool_history_read(&of_pool, slots, reader->arena, &history);
    if (code != ERROR_NONE)
        return code;
    json_out_text(json, "pool", pool_name(pool, room));
    json_out_count(json, "slot_seconds", (uint64_t)(slots->length / NS_PER_SECOND));
    json_out_time(json, "known_since", history.known_since);
    json_out_open_array(json, "slots");
    for (size_t i = 0; i < slots->count; i++)
        put_history_slot(json, slots->first + (duration_ns)i * slots->length, &history.slots[i]);
    json_out_close_array(json);
    api_put_unreadable(object);
    return ERROR_NONE;
}

enum error_code api_render_history(const struct api_call *call, struct slice name,
                                   const struct pool_history_span *span)
{
    struct api_object object;
    struct pool_history_slots slots;
    struct pool pool;
    enum error_code code = pool_history_slots_of(span, call->now, &slots, call->error);
    if (code != ERROR_NONE)
        return code;
    code = api_begin(call, &object);
    if (code != ERROR_NONE)
        return code;
    code = api_find_pool(&object.reader, name, &pool);
    return api_end(&object, code == ERROR_NONE ? put_history(&object, &pool, &slots) : code);
}
