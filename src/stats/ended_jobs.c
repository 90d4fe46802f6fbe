// Finds running jobs that ended with an unknown result.
#include "ghatrace/stats/ended_jobs.h"

#include <stdlib.h>
#include <string.h>

#include "ghatrace/stats/runners.h"
#include "private.h"

static bool is_due(const struct ended_rule *rule, timestamp_ns reused_at)
{
    return reused_at != TIMESTAMP_UNKNOWN && reused_at <= rule->now - rule->job_grace;
}

// The pools are in the order of their ids. `count`: it is not there.
static size_t place_of_pool(const struct pool *pools, size_t count, const struct pool_id *id)
{
    size_t low = 0, high = count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (memcmp(&pools[middle].id, id, sizeof *id) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low < count && memcmp(&pools[low].id, id, sizeof *id) == 0 ? low : count;
}

static void add_ended_job(const struct pool *pools, size_t pool, timestamp_ns since,
                          struct ended_unknown *jobs, struct ended_jobs *ended)
{
    if (ended->by_pool[pool] == pools[pool].counts[OPEN_JOB_RUNNING])
        return;
    ended->by_pool[pool]++;
    jobs[ended->count++] = (struct ended_unknown){pool, since};
}

// A pool that is not there is folded.
enum error_code ended_jobs_load(const struct ended_reader *reader, const struct pool *pools,
                                size_t count, struct ended_jobs *ended)
{
    struct runner_reuse *reuses;
    size_t reuse_count;
    const size_t one_off = place_of_pool(pools, count, &pool_one_off_id);
    *ended = (struct ended_jobs){.count = 0};
    enum error_code code = runners_list_reuses(reader->transaction, reader->arena, &reuses,
                                               &reuse_count, reader->error);
    if (code != ERROR_NONE)
        return code;
    ended->by_pool = arena_allocate_array(reader->arena, count + 1, sizeof *ended->by_pool);
    struct ended_unknown *jobs = arena_allocate_array(reader->arena, reuse_count + 1, sizeof *jobs);
    if (ended->by_pool == NULL || jobs == NULL)
        return error_set(reader->error, ERROR_MEMORY, "count running jobs: out of memory");
    ended->jobs = jobs;
    for (size_t i = 0; i < reuse_count; i++) {
        struct pool_id id;
        memcpy(id.bytes, reuses[i].pool, sizeof id.bytes);
        size_t pool = place_of_pool(pools, count, &id);
        pool = pool < count ? pool : one_off;
        if (pool < count && is_due(&reader->rule, reuses[i].since))
            add_ended_job(pools, pool, reuses[i].since, jobs, ended);
    }
    return ERROR_NONE;
}

// Jobs of a pool that is not there are in "(one-off)".
static enum error_code is_reuse_in(const struct ended_reader *reader,
                                   const struct runner_reuse *reuse, const struct pool_id *pool,
                                   bool *is_of_it)
{
    struct pool_id id;
    struct pool found;
    memcpy(id.bytes, reuse->pool, sizeof id.bytes);
    *is_of_it = pool_id_equals(&id, pool);
    if (*is_of_it || !pool_is_one_off(pool))
        return ERROR_NONE;
    struct pool_id next = id;
    enum error_code code = pool_seek(reader->transaction, &next, &found, reader->error);
    *is_of_it = code == ERROR_NOT_FOUND || !pool_id_equals(&next, &id);
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}

static int compare_ends(const void *left, const void *right)
{
    const timestamp_ns *a = left, *b = right;
    return *a == *b ? 0 : *a < *b ? -1 : 1;
}

enum error_code ended_jobs_of_pool(const struct ended_reader *reader, const struct pool *pool,
                                   struct pool_ends *ends)
{
    struct runner_reuse *reuses;
    size_t reuse_count, count = 0;
    *ends = (struct pool_ends){.count = 0};
    enum error_code code = runners_list_reuses(reader->transaction, reader->arena, &reuses,
                                               &reuse_count, reader->error);
    if (code != ERROR_NONE || reuse_count == 0)
        return code;
    timestamp_ns *at = arena_allocate_array(reader->arena, reuse_count, sizeof *at);
    if (at == NULL)
        return error_set(reader->error, ERROR_MEMORY, "count running jobs: out of memory");
    for (size_t i = 0; i < reuse_count && code == ERROR_NONE; i++) {
        bool is_of_it = false;
        if (is_due(&reader->rule, reuses[i].since))
            code = is_reuse_in(reader, &reuses[i], &pool->id, &is_of_it);
        if (is_of_it && count < pool->counts[OPEN_JOB_RUNNING])
            at[count++] = reuses[i].since;
    }
    qsort(at, count, sizeof *at, compare_ends);
    *ends = (struct pool_ends){at, count};
    return code;
}

enum error_code ended_jobs_find(const struct ended_reader *reader, const struct store_key *job,
                                bool *has_ended)
{
    timestamp_ns reused_at;
    enum error_code code = runners_find_reuse(reader->transaction, job, &reused_at, reader->error);
    *has_ended = code == ERROR_NONE && is_due(&reader->rule, reused_at);
    return code;
}
