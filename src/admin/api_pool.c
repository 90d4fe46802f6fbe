// The JSON API: one pool, who has its jobs, and all of them page by page.
#include <string.h>

#include "api_pools.h"
#include "ghatrace/github/server.h"
#include "ghatrace/view/pool_jobs.h"
#include "ghatrace/view/pools_cache.h"

static struct ended_rule ended_rule_of(const struct api_call *call)
{
    return (struct ended_rule){call->now, call->sources->pools.job_grace};
}

// --- one pool -------------------------------------------------------------------------------------

static void put_user(struct json_out *json, const struct pool_user *user, bool has_workflow)
{
    json_out_open_object(json, NULL);
    json_out_text(json, "server", github_server_name(user->server));
    json_out_text(json, "repository", user->repository);
    if (has_workflow)
        json_out_text(json, "workflow", user->workflow);
    json_out_count(json, "queued", user->queued);
    json_out_count(json, "running", user->running);
    json_out_close_object(json);
}

static void put_users(struct json_out *json, const struct pool_users *users)
{
    json_out_open_object(json, "counted");
    json_out_count(json, "queued", users->queued);
    json_out_count(json, "running", users->running);
    json_out_close_object(json);
    json_out_open_array(json, "by_repository");
    for (size_t i = 0; i < users->repository_count; i++)
        put_user(json, &users->repositories[i], false);
    json_out_close_array(json);
    json_out_open_array(json, "by_workflow");
    for (size_t i = 0; i < users->workflow_count; i++)
        put_user(json, &users->workflows[i], true);
    json_out_close_array(json);
}

// Pools that were read a short while ago do not have one that has come up since.
static enum error_code find_row(const struct view_reader *reader, const struct pools_view *view,
                                const struct pool *pool, const struct pools_view_pool **row)
{
    for (size_t i = 0; i < view->count; i++) {
        *row = &view->pools[i];
        if (memcmp(&(*row)->pool.id, &pool->id, sizeof pool->id) == 0)
            return ERROR_NONE;
    }
    return error_set(reader->error, ERROR_BUSY, "the pool is new, try again in some seconds");
}

static enum error_code put_one_pool(struct api_object *object, struct slice name)
{
    const struct api_call *call = object->call;
    const struct view_reader *reader = &object->reader;
    const struct ended_rule rule = ended_rule_of(call);
    const struct pools_view_pool *row = NULL;
    struct pools_view view;
    struct pool_users users;
    struct pool pool;
    enum error_code code = api_find_pool(reader, name, &pool);
    if (code == ERROR_NONE)
        code = pools_cache_read(call->sources->pools_cache, reader, &call->sources->pools,
                                call->now, &view);
    if (code == ERROR_NONE)
        code = find_row(reader, &view, &pool, &row);
    if (code == ERROR_NONE)
        code = pool_users_count(reader, &pool, &rule, &users);
    if (code != ERROR_NONE)
        return code;
    json_out_time(&object->json, "now", call->now);
    code = api_put_pool(object, row);
    if (code == ERROR_NONE)
        code = api_put_ceilings(object, &view, &row->ceiling_number);
    if (code == ERROR_NONE)
        code = api_put_past(object, row->name);
    put_users(&object->json, &users);
    api_put_unreadable(object);
    return code;
}

enum error_code api_render_pool(const struct api_call *call, struct slice name)
{
    struct api_object object;
    enum error_code code = api_begin(call, &object);
    return code == ERROR_NONE ? api_end(&object, put_one_pool(&object, name)) : code;
}

// --- its jobs -------------------------------------------------------------------------------------

static enum error_code read_page(const struct api_pool_jobs_query *query, enum open_job_kind *state,
                                 struct pool_jobs_place *place, struct error *error)
{
    enum error_code code = api_read_state(query->state, state, error);
    *place = (struct pool_jobs_place){.state = OPEN_JOB_NONE};
    if (code != ERROR_NONE || query->cursor.len == 0)
        return code;
    if (!pool_jobs_read_place(query->cursor, place) ||
        (*state != OPEN_JOB_NONE && place->state != *state))
        return error_set(error, ERROR_USAGE, "cursor: not valid");
    return ERROR_NONE;
}

static uint64_t count_open_jobs(const struct pool *pool, enum open_job_kind state)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < OPEN_JOB_STATES; i++)
        if (state == OPEN_JOB_NONE || i == (size_t)state)
            sum += pool->counts[i];
    return sum;
}

static enum error_code put_page(struct api_open_jobs *jobs, const struct pool_jobs_query *query,
                                struct pool_jobs_place *place)
{
    const struct queue_view_visitor visitor = {api_put_open_job, jobs};
    struct json_out *json = &jobs->object.json;
    char next[POOL_JOBS_PLACE_TEXT + 1] = "", room[LABELS_TEXT_MAX];
    bool has_more;
    json_out_time(json, "now", jobs->object.call->now);
    json_out_text(json, "pool", pool_name(query->pool, room));
    json_out_count(json, "total", count_open_jobs(query->pool, query->state));
    json_out_open_array(json, "jobs");
    enum error_code code = pool_jobs_walk(&jobs->object.reader, query, &visitor, place, &has_more);
    json_out_close_array(json);
    if (code == ERROR_FULL) { // returned by api_put_open_job()
        has_more = true;
        code = ERROR_NONE;
    }
    if (code == ERROR_NONE && has_more)
        pool_jobs_write_place(place, next);
    json_out_text(json, "next", slice_from_string(next));
    api_put_unreadable(&jobs->object);
    return code;
}

enum error_code api_render_pool_jobs(const struct api_call *call, struct slice name,
                                     const struct api_pool_jobs_query *query)
{
    struct api_open_jobs jobs = {.end = api_list_end(call->out)};
    struct pool pool;
    struct pool_jobs_query walk = {
        .pool = &pool, .limit = query->limit, .ended_rule = ended_rule_of(call)};
    struct pool_jobs_place place;
    enum error_code code = read_page(query, &walk.state, &place, call->error);
    if (code == ERROR_NONE)
        code = api_begin(call, &jobs.object);
    if (code != ERROR_NONE)
        return code;
    code = api_find_pool(&jobs.object.reader, name, &pool);
    return api_end(&jobs.object, code == ERROR_NONE ? put_page(&jobs, &walk, &place) : code);
}
