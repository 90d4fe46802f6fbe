// Which workflows fail, since when, and on how many branches: finished runs of a time until now, grouped by workflow and
// by what failed first in each run, as far as that was looked up.
#ifndef GHATRACE_VIEW_FAILURES_VIEW_H
#define GHATRACE_VIEW_FAILURES_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ghatrace/base/arena.h"
#include "ghatrace/base/error.h"
#include "ghatrace/base/time.h"
#include "ghatrace/view/run_view.h"

// What is read for one view: the runs that ended last; of those that failed last also their jobs.
#define FAILURES_LOOKED_AT 20000
#define FAILURES_DETAILS_MAX 1000
#define FAILURES_JOBS_MAX 4000                // in all
#define FAILURES_BYTES_MAX ((size_t)64 << 20) // of what is stored of them
#define FAILURES_JOBS_EACH 200                // of one run
#define FAILURES_WORKFLOWS_MAX 2000           // the runs of others are left out
#define FAILURES_GROUPS_MAX 1000 // of the failures; beyond that they are in the group without a job
#define FAILURES_RUNS_SHOWN 5    // of one group
#define FAILURES_WINDOW_LEAST NS_PER_MINUTE
#define FAILURES_WINDOW_MOST (35 * NS_PER_DAY)

// A failed run, as an example.
struct failures_run {
    int64_t run_id, run_attempt, run_number;
    struct slice server; // empty: github.com
    struct slice branch, title;
    timestamp_ns end;
};

// Runs of one workflow that failed at the same step of the same job. The legs of a matrix count as one job.
struct failures_group {
    struct slice server; // empty: github.com
    struct slice repository, workflow;
    bool is_looked_up; // what failed; else `job`, `step` and `error_type` are empty
    struct slice job;  // as GitHub names it; "test (…)" for several legs; empty: none failed
    struct slice step; // empty: none failed
    struct slice error_type; // `runner_lost`, `not_started`; else empty
    uint64_t failed;         // runs
    uint64_t runs;           // of the workflow that succeeded or failed
    uint64_t workflow_failed;
    timestamp_ns last_failure;
    // Branches whose last run, of those that succeeded or failed, failed in this group; in any group of the workflow; and
    // all.
    size_t branches_failing, workflow_branches_failing, branches;
    // It fails on all branches, of which there are several: the cause is hardly one change.
    bool is_everywhere;
    // Since when runs have failed here, without a success: on any branch if it is everywhere, else on the branches that
    // fail. TIMESTAMP_UNKNOWN: no branch fails now.
    timestamp_ns failing_since;
    uint64_t failed_since;     // runs
    timestamp_ns last_success; // before that; TIMESTAMP_UNKNOWN: none was looked at
    struct failures_run shown[FAILURES_RUNS_SHOWN]; // that ended last
    size_t shown_count;
};

enum failures_fault { FAILURES_RUNNER_LOST, FAILURES_NOT_STARTED, FAILURES_FAULTS };

// Jobs that failed because of their runner, whatever their workflow.
struct failures_infrastructure {
    uint64_t jobs, runs;
    size_t workflows; // of these runs
    timestamp_ns first, last;
    struct failures_run shown[FAILURES_RUNS_SHOWN];
    size_t shown_count;
};

struct failures_view {
    timestamp_ns
        from; // the begin of the window, or the end of the first run that was looked at if there are more
    uint64_t runs;                 // looked at
    uint64_t failed;               // of these
    uint64_t detailed;             // of the failed ones whose jobs were looked at
    bool has_more;                 // runs that were not looked at
    struct failures_group *groups; // the worst first
    size_t count;
    struct failures_infrastructure infrastructure[FAILURES_FAULTS];
};

// A view that took long to read is kept for a while (view/pools_cache.h).
struct failures_cache {
    struct arena arena; // of the view
    struct failures_view view;
    duration_ns window;
    timestamp_ns kept_until; // monotonic
};

void failures_cache_init(struct failures_cache *cache);
void failures_cache_release(struct failures_cache *cache);
// Valid until the next call. ERROR_MEMORY, or as the store reports.
enum error_code failures_cache_read(struct failures_cache *cache, const struct view_reader *reader,
                                    duration_ns window, timestamp_ns now,
                                    struct failures_view *view) MUST_CHECK;

#endif
