// Counts who has the open jobs of a pool.
#include <stdlib.h>
#include <string.h>

#include "ghatrace/view/pool_jobs.h"

#define JOBS_MAX ((size_t)2 * POOL_USERS_JOBS_MAX)

struct counting {
    const struct view_reader *reader;
    struct pool_user *jobs; // of each job that was looked at, then summed up
    size_t count;
    struct pool_users *users;
};

// Most jobs of a pool come from few repositories: the text of the job before is used again.
static bool keep_user_text(const struct counting *counting, struct slice text, struct slice before,
                           struct slice *kept)
{
    if (!slice_equals(text, before))
        return arena_copy_slice(counting->reader->arena, text, kept);
    *kept = before;
    return true;
}

static enum error_code add_user_of_job(void *context, const struct job_state *job,
                                       const struct open_job_state *open_state,
                                       const struct pool *pool, bool has_ended)
{
    static const struct pool_user none;
    struct counting *counting = context;
    struct pool_user *added = &counting->jobs[counting->count];
    const struct pool_user *before = counting->count > 0 ? added - 1 : &none;
    (void)pool;
    if (has_ended)
        return ERROR_NONE;
    bool is_queued = open_state->state == OPEN_JOB_QUEUED;
    *added = (struct pool_user){.queued = is_queued ? 1 : 0, .running = is_queued ? 0 : 1};
    if (!keep_user_text(counting, job->server, before->server, &added->server) ||
        !keep_user_text(counting, job->repository.full_name, before->repository,
                        &added->repository) ||
        !keep_user_text(counting, job->body.workflow_name, before->workflow, &added->workflow))
        return error_set(counting->reader->error, ERROR_MEMORY, "count jobs: out of memory");
    counting->users->queued += added->queued;
    counting->users->running += added->running;
    counting->count++;
    return ERROR_NONE;
}

static enum error_code add_users_of_state(struct counting *counting, const struct pool *pool,
                                          const struct ended_rule *rule, enum open_job_kind state)
{
    const struct queue_view_visitor visitor = {add_user_of_job, counting};
    const struct pool_jobs_query query = {
        .pool = pool, .state = state, .limit = POOL_USERS_JOBS_MAX, .ended_rule = *rule};
    struct pool_jobs_place place = {.state = OPEN_JOB_NONE};
    bool has_more;
    return pool_jobs_walk(counting->reader, &query, &visitor, &place, &has_more);
}

static int compare_users(const struct pool_user *a, const struct pool_user *b)
{
    int order = slice_compare(a->server, b->server);
    if (order == 0)
        order = slice_compare(a->repository, b->repository);
    return order != 0 ? order : slice_compare(a->workflow, b->workflow);
}

static int order_by_name(const void *left, const void *right)
{
    return compare_users(left, right);
}

static int order_by_jobs(const void *left, const void *right)
{
    const struct pool_user *a = left, *b = right;
    if (a->queued != b->queued)
        return a->queued > b->queued ? -1 : 1;
    if (a->running != b->running)
        return a->running > b->running ? -1 : 1;
    return compare_users(a, b);
}

// Of neighbours with the same names one is left, with the sums. Returns how many there are.
static size_t add_up(struct pool_user *list, size_t count)
{
    size_t kept = 0;
    for (size_t i = 0; i < count; i++) {
        if (kept > 0 && compare_users(&list[kept - 1], &list[i]) == 0) {
            list[kept - 1].queued += list[i].queued;
            list[kept - 1].running += list[i].running;
        } else
            list[kept++] = list[i];
    }
    return kept;
}

static size_t put_most_first(struct pool_user *list, size_t count)
{
    if (count > 1)
        qsort(list, count, sizeof *list, order_by_jobs);
    return count < POOL_USERS_MAX ? count : POOL_USERS_MAX;
}

static enum error_code sum_up(struct counting *counting)
{
    struct pool_users *users = counting->users;
    size_t count = counting->count;
    if (count > 1)
        qsort(counting->jobs, count, sizeof *counting->jobs, order_by_name);
    count = add_up(counting->jobs, count);
    users->workflows = counting->jobs;
    users->repositories =
        arena_allocate_array(counting->reader->arena, count + 1, sizeof *users->repositories);
    if (users->repositories == NULL)
        return error_set(counting->reader->error, ERROR_MEMORY, "count jobs: out of memory");
    for (size_t i = 0; i < count; i++) {
        users->repositories[i] = users->workflows[i];
        users->repositories[i].workflow = SLICE_EMPTY;
    }
    users->repository_count =
        put_most_first(users->repositories, add_up(users->repositories, count));
    users->workflow_count = put_most_first(users->workflows, count);
    return ERROR_NONE;
}

enum error_code pool_users_count(const struct view_reader *reader, const struct pool *pool,
                                 const struct ended_rule *rule, struct pool_users *users)
{
    struct counting counting = {.reader = reader, .users = users};
    *users = (struct pool_users){.queued = 0};
    counting.jobs = arena_allocate_array(reader->arena, JOBS_MAX + 1, sizeof *counting.jobs);
    if (counting.jobs == NULL)
        return error_set(reader->error, ERROR_MEMORY, "count jobs: out of memory");
    enum error_code code = add_users_of_state(&counting, pool, rule, OPEN_JOB_QUEUED);
    if (code == ERROR_NONE)
        code = add_users_of_state(&counting, pool, rule, OPEN_JOB_RUNNING);
    return code == ERROR_NONE ? sum_up(&counting) : code;
}
