// Counts what fills pools and ceilings: the jobs of one repository, or of one workflow in many repositories.
#include <stdlib.h>
#include <string.h>

#include "ghatrace/view/pool_jobs.h"
#include "ghatrace/view/pools_view.h"

// --- the repository that fills a pool -------------------------------------------------------------

static void set_exact_share(const struct pool_users *users, uint64_t queued_in_pool,
                            struct pools_view_filler *filler)
{
    const struct pool_user *user = NULL;
    for (size_t i = 0; i < users->repository_count && user == NULL; i++)
        if (slice_equals(users->repositories[i].server, filler->server) &&
            slice_equals_ignoring_case(users->repositories[i].repository, filler->repository))
            user = &users->repositories[i];
    if (user == NULL || user->queued == 0)
        return;
    filler->server = user->server;
    filler->queued = user->queued;
    filler->of = users->queued;
    filler->running = user->running;
    filler->of_running = users->running;
    filler->has_more = users->queued < queued_in_pool;
    for (size_t i = 0; i < users->workflow_count; i++) {
        const struct pool_user *workflow = &users->workflows[i];
        if (workflow->workflow.len == 0 || !slice_equals(workflow->server, user->server) ||
            !slice_equals(workflow->repository, user->repository))
            continue;
        filler->workflow = workflow->workflow;
        filler->workflow_queued = workflow->queued;
        break;
    }
}

static enum error_code count_pool_fillers(const struct view_reader *reader,
                                          const struct ended_rule *rule, struct pools_view *view)
{
    enum error_code code = ERROR_NONE;
    uint64_t looked_at = 0;
    for (size_t i = 0, counted = 0;
         code == ERROR_NONE && i < view->count && counted < POOLS_VIEW_COUNTED_POOLS &&
         looked_at < POOLS_VIEW_COUNTED_JOBS;
         i++) {
        struct pools_view_pool *pool = &view->pools[i];
        struct pool_users users;
        if (pool->filler.of == 0)
            continue;
        code = pool_users_count(reader, &pool->pool, rule, &users);
        if (code != ERROR_NONE)
            break;
        set_exact_share(&users, pool->pool.counts[OPEN_JOB_QUEUED], &pool->filler);
        looked_at += users.queued + users.running;
        counted++;
    }
    return code;
}

// --- the workflow that fills a ceiling ------------------------------------------------------------

struct held_job {
    struct slice workflow, server, repository;
};

struct held_jobs {
    const struct view_reader *reader;
    struct held_job *jobs; // room for POOLS_VIEW_CEILING_JOBS
    size_t count;
};

static enum error_code add_held_job(void *context, const struct job_state *job,
                                    const struct open_job_state *open_state,
                                    const struct pool *pool, bool has_ended)
{
    struct held_jobs *held = context;
    struct held_job *added = &held->jobs[held->count];
    struct arena *arena = held->reader->arena;
    (void)open_state;
    (void)pool;
    (void)has_ended;
    *added = (struct held_job){.workflow = SLICE_EMPTY};
    if (!arena_copy_slice(arena, job->body.workflow_name, &added->workflow) ||
        !arena_copy_slice(arena, job->server, &added->server) ||
        !arena_copy_slice(arena, job->repository.full_name, &added->repository))
        return error_set(held->reader->error, ERROR_MEMORY, "count jobs: out of memory");
    held->count++;
    return ERROR_NONE;
}

static int order_by_repository(const void *left, const void *right)
{
    const struct held_job *a = left, *b = right;
    int order = slice_compare(a->server, b->server);
    return order != 0 ? order : slice_compare(a->repository, b->repository);
}

static int order_held_jobs(const void *left, const void *right)
{
    const struct held_job *a = left, *b = right;
    int order = slice_compare(a->workflow, b->workflow);
    return order != 0 ? order : order_by_repository(a, b);
}

// Of jobs in the order above.
static void find_common_workflow(const struct held_jobs *held, struct pools_view_common *common)
{
    for (size_t i = 0, end = 0; i < held->count; i = end) {
        uint64_t repositories = 1;
        const struct held_job *first = &held->jobs[i];
        for (end = i + 1;
             end < held->count && slice_equals(held->jobs[end].workflow, first->workflow); end++)
            repositories += order_held_jobs(&held->jobs[end - 1], &held->jobs[end]) != 0 ? 1 : 0;
        if (first->workflow.len > 0 && end - i >= POOLS_VIEW_FILLED_LEAST &&
            (end - i) * 2 >= held->count && end - i > common->queued)
            *common = (struct pools_view_common){.workflow = first->workflow,
                                                 .queued = end - i,
                                                 .of = held->count,
                                                 .repositories = repositories};
    }
}

static void find_most_queued(struct held_jobs *held, struct pools_view_ceiling *ceiling)
{
    if (held->count > 1)
        qsort(held->jobs, held->count, sizeof *held->jobs, order_by_repository);
    for (size_t i = 0, end = 0; i < held->count; i = end) {
        const struct held_job *first = &held->jobs[i];
        for (end = i + 1; end < held->count && order_by_repository(&held->jobs[end], first) == 0;)
            end++;
        if (first->repository.len > 0 && end - i > ceiling->most.queued)
            ceiling->most = (struct pools_view_filler){.server = first->server,
                                                       .repository = first->repository,
                                                       .queued = end - i,
                                                       .of = held->count};
    }
}

// The oldest queued jobs of each of its pools: as many of each, so that one does not hide the others.
static enum error_code find_common(const struct view_reader *reader, const struct ended_rule *rule,
                                   const struct pools_view *view, size_t number)
{
    struct pools_view_ceiling *ceiling = &view->ceilings[number];
    struct held_jobs held = {.reader = reader};
    const struct queue_view_visitor visitor = {add_held_job, &held};
    size_t each = POOLS_VIEW_CEILING_JOBS / (ceiling->pool_count + 1) + 1;
    bool has_more = false, is_cut = false;
    enum error_code code = ERROR_NONE;
    held.jobs = arena_allocate_array(reader->arena, POOLS_VIEW_CEILING_JOBS, sizeof *held.jobs);
    if (held.jobs == NULL)
        return error_set(reader->error, ERROR_MEMORY, "count jobs: out of memory");
    for (size_t i = 0; i < view->count && code == ERROR_NONE; i++) {
        const struct pools_view_pool *pool = &view->pools[i];
        size_t room = POOLS_VIEW_CEILING_JOBS - held.count;
        if (pool->ceiling_number != number || pool->pool.counts[OPEN_JOB_QUEUED] == 0)
            continue;
        is_cut |= room == 0 || has_more;
        if (room == 0)
            break;
        const struct pool_jobs_query query = {.pool = &pool->pool,
                                              .state = OPEN_JOB_QUEUED,
                                              .limit = each < room ? each : room,
                                              .ended_rule = *rule};
        struct pool_jobs_place place = {.state = OPEN_JOB_NONE};
        code = pool_jobs_walk(reader, &query, &visitor, &place, &has_more);
        is_cut |= has_more;
    }
    if (held.count > 1)
        qsort(held.jobs, held.count, sizeof *held.jobs, order_held_jobs);
    find_common_workflow(&held, &ceiling->common);
    find_most_queued(&held, ceiling);
    ceiling->common.has_more = is_cut;
    return code;
}

enum error_code pools_view_count_fillers(const struct view_reader *reader,
                                         const struct ended_rule *rule, struct pools_view *view)
{
    enum error_code code = count_pool_fillers(reader, rule, view);
    for (size_t i = 0, counted = 0;
         code == ERROR_NONE && i < view->ceiling_count && counted < POOLS_VIEW_COUNTED_CEILINGS;
         i++)
        if (view->ceilings[i].since != TIMESTAMP_UNKNOWN) {
            code = find_common(reader, rule, view, i);
            counted++;
        }
    return code;
}
