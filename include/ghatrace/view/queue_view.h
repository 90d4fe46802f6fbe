// The queue for display: pools with open jobs, the most urgent first, and the jobs that have been in their state for
// longest. Read inside the caller's transaction, and valid until it ends; never reads all open jobs.
#ifndef GHATRACE_VIEW_QUEUE_VIEW_H
#define GHATRACE_VIEW_QUEUE_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ghatrace/base/arena.h"
#include "ghatrace/base/error.h"
#include "ghatrace/stats/ended_jobs.h"
#include "ghatrace/stats/pool.h"
#include "ghatrace/store/store.h"
#include "ghatrace/trace/state.h"
#include "ghatrace/view/pools_view.h"
#include "ghatrace/view/run_view.h"

struct queue_view_pool {
    struct pool pool;
    uint64_t running;                     // without those that ended
    uint64_t ended_unknown;               // those (ended_jobs.h)
    timestamp_ns oldest[OPEN_JOB_STATES]; // since when; TIMESTAMP_UNKNOWN: no job has this state
};

struct queue_view {
    struct queue_view_pool *pools; // those with open jobs, longest queue first
    size_t count;
    uint64_t totals[OPEN_JOB_STATES]; // the running ones without those that ended
    uint64_t ended_unknown;
    uint64_t open_runs;
    struct ended_rule ended_rule;
};

enum error_code queue_view_load(const struct view_reader *reader, const struct ended_rule *rule,
                                struct queue_view *view) MUST_CHECK;

// The same of pools that are read already, which may be a while old; of `oldest` only that of queued jobs is known.
enum error_code queue_view_of_pools(const struct view_reader *reader,
                                    const struct pools_view *pools, const struct ended_rule *rule,
                                    struct queue_view *view) MUST_CHECK;

struct queue_view_filter {
    enum open_job_kind state; // OPEN_JOB_NONE: all
    struct slice labels;      // a text from labels_join(), in any case; empty: all
    size_t limit;             // jobs
};

// `visit` is called for each job, with `context` and its pool. What it is given is valid during the call. `has_ended`: it
// runs as far as is known, but ended with an unknown result.
struct queue_view_visitor {
    enum error_code (*visit)(void *context, const struct job_state *job,
                             const struct open_job_state *open_state, const struct pool *pool,
                             bool has_ended);
    void *context;
};

// Visits queued jobs, then waiting, then running ones, each oldest first. `*has_more`: the limit cut the list short.
// Stops at the first error of `visit`.
enum error_code queue_view_walk(const struct view_reader *reader, const struct queue_view *view,
                                const struct queue_view_filter *filter,
                                const struct queue_view_visitor *visitor,
                                bool *has_more) MUST_CHECK;

// --- for lists of other jobs ---

#define QUEUE_VIEW_STATES 3
#define QUEUE_VIEW_JOB_BYTES ((size_t)16 * 1024) // of an arena for one job
// The states of open jobs, the most important first.
extern const enum open_job_kind queue_view_order[QUEUE_VIEW_STATES];

struct queue_view_job_query {
    const struct pool *pool;
    enum open_job_kind state;
    struct ended_rule ended_rule;
};

// Reads the job at `place`, into the arena, which is cleared first, and visits it. One that cannot be read is not visited,
// but counted as unreadable; `*is_read` is false then.
enum error_code queue_view_visit(const struct view_reader *reader,
                                 const struct queue_view_job_query *query,
                                 const struct pool_job *place,
                                 const struct queue_view_visitor *visitor,
                                 bool *is_read) MUST_CHECK;

#endif
