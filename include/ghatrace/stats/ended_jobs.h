// Running jobs that ended with an unknown result: their runner has taken another job more than `job_grace` ago
// (runners.h). They count among the open jobs of their pool, and not among the running ones.
#ifndef GHATRACE_STATS_ENDED_JOBS_H
#define GHATRACE_STATS_ENDED_JOBS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ghatrace/base/arena.h"
#include "ghatrace/base/error.h"
#include "ghatrace/base/time.h"
#include "ghatrace/stats/pool.h"
#include "ghatrace/stats/pool_minutes.h"
#include "ghatrace/store/store.h"

struct ended_rule {
    timestamp_ns now;
    duration_ns job_grace; // setting job-grace
};

struct ended_reader {
    struct store_transaction *transaction;
    struct arena *arena;
    struct ended_rule rule;
    struct error *error;
};

struct ended_unknown {
    size_t pool;        // its place in the list of pools
    timestamp_ns since; // when its runner took another job
};

struct ended_jobs {
    uint64_t *by_pool; // how many, of each pool
    const struct ended_unknown *jobs;
    size_t count;
};

// `pools`: those of pool_list(). At most RUNNER_REUSES_MAX jobs; in the arena. ERROR_MEMORY, or as the store reports.
enum error_code ended_jobs_load(const struct ended_reader *reader, const struct pool *pools,
                                size_t count, struct ended_jobs *ended) MUST_CHECK;
// Those of one pool, in the arena; ERROR_MEMORY, or as the store reports.
enum error_code ended_jobs_of_pool(const struct ended_reader *reader, const struct pool *pool,
                                   struct pool_ends *ends) MUST_CHECK;
// Of one running job.
enum error_code ended_jobs_find(const struct ended_reader *reader, const struct store_key *job,
                                bool *has_ended) MUST_CHECK;

#endif
