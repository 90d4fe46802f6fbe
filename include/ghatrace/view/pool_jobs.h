// The open jobs of one pool, page by page, and who has them. Read inside the caller's transaction. What is read depends on
// what is asked for, not on how many jobs the pool has.
#ifndef GHATRACE_VIEW_POOL_JOBS_H
#define GHATRACE_VIEW_POOL_JOBS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ghatrace/base/error.h"
#include "ghatrace/base/slice.h"
#include "ghatrace/stats/ended_jobs.h"
#include "ghatrace/stats/pool.h"
#include "ghatrace/trace/timeline.h"
#include "ghatrace/view/queue_view.h"
#include "ghatrace/view/run_view.h"

// --- pages ----------------------------------------------------------------------------------------

// Where a page begins: a place in the index of open jobs, and not a number of jobs, so that jobs before it may come and
// go. All zero: with the first job.
struct pool_jobs_place {
    enum open_job_kind state;
    struct pool_job next; // the first one is at or after it
};

#define POOL_JOBS_PLACE_TEXT (1 + 2 * (8 + TRACE_ID_SIZE + SPAN_ID_SIZE))

void pool_jobs_write_place(const struct pool_jobs_place *place,
                           char text[POOL_JOBS_PLACE_TEXT + 1]);
// False: pool_jobs_write_place() does not write such a text.
bool pool_jobs_read_place(struct slice text, struct pool_jobs_place *place) MUST_CHECK;

struct pool_jobs_query {
    const struct pool *pool;
    enum open_job_kind state; // OPEN_JOB_NONE: queued ones, then waiting, then running
    size_t limit;             // of jobs that are looked at
    struct ended_rule ended_rule;
};

// Visits the jobs from `*place` on, those of each state from the oldest on, and sets `*place` to that after the last one.
// `*has_more`: there are jobs from there on. A job that cannot be read is left out and counted; it is one of the limit, too.
// Stops at the first error of `visit`; then `*place` is that of its job. A `*place` of another state than that of the query
// is before or after all of its jobs.
enum error_code pool_jobs_walk(const struct view_reader *reader,
                               const struct pool_jobs_query *query,
                               const struct queue_view_visitor *visitor,
                               struct pool_jobs_place *place, bool *has_more) MUST_CHECK;

// --- who has them ---------------------------------------------------------------------------------

// Jobs looked at, of each of the states: the oldest.
#define POOL_USERS_JOBS_MAX 1000
#define POOL_USERS_MAX 20 // repositories, and workflows, that are named

struct pool_user {
    struct slice server, repository;
    struct slice workflow; // empty: of all
    uint64_t queued, running;
};

struct pool_users {                             // in the arena
    struct pool_user *repositories, *workflows; // those with most queued jobs first
    size_t repository_count, workflow_count;
    // jobs that were looked at and are in the sums; those of running jobs that ended are not (ended_jobs.h)
    uint64_t queued, running;
};

// Of the queued and the running jobs of the pool. ERROR_MEMORY, or an error of the store.
enum error_code pool_users_count(const struct view_reader *reader, const struct pool *pool,
                                 const struct ended_rule *rule,
                                 struct pool_users *users) MUST_CHECK;

#endif
