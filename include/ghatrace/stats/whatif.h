// How long the jobs of a pool would have waited with another number of runners: a replay of recorded jobs. Pure.
//
// The model: `runners` equal runners, which serve the jobs in the order in which these became ready. A job holds a
// runner for as long as it did when it was recorded: from its start to its end, with the runner's own preparation.
// Not in the model, and what whatif_check() looks for: runners that come and go, runners that other pools use as well,
// and the time that it takes to make a runner for a job.
//
// At the borders of the window:
//   - a job that ran when the window began holds a runner for the rest of its time, before all others;
//   - a job that was queued then is replayed, but its wait is not counted: only those of jobs that became ready in the
//     window are;
//   - a job that still waits when the window ends counts with its wait so far, as recorded and as replayed;
//   - how long such a job, or one that runs then, will hold a runner is not known: the median of the jobs that ended is
//     taken, or the time so far if that is longer.
//
// Memory: WHATIF_BYTES_PER_JOB for each job, whatever the number of runners; while it sorts, the C library takes
// half of that again.
#ifndef GHATRACE_STATS_WHATIF_H
#define GHATRACE_STATS_WHATIF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ghatrace/base/error.h"
#include "ghatrace/base/time.h"

#define WHATIF_BYTES_PER_JOB 56

struct whatif_job {
    timestamp_ns ready;   // TIMESTAMP_UNKNOWN: it holds a runner, and has no wait
    timestamp_ns started; // TIMESTAMP_UNKNOWN: it waits
    timestamp_ns ended;   // TIMESTAMP_UNKNOWN: it runs, or waits
};

struct whatif_window {
    timestamp_ns from;
    timestamp_ns until; // later times are not known yet
};

// Of the jobs that became ready in the window. Percentiles are exact, by nearest rank.
struct whatif_waits {
    duration_ns p50, p90, p99;
    duration_ns mean;
    uint64_t waiting; // of these jobs, those that still wait at the end of the window
};

struct whatif;

// Reads the jobs, in any order. Times that contradict each other are corrected: a start before the job was ready is
// taken as that time, an end before the start as the start. A job without any known time, or whose times are negative,
// is left out, as is one that ended before the window or became ready after it. ERROR_MEMORY; ERROR_INVALID: the
// window does not begin after 1970 and before its end.
enum error_code whatif_create(const struct whatif_job *jobs, size_t count,
                              const struct whatif_window *window, struct whatif **whatif,
                              struct error *error) MUST_CHECK;
void whatif_destroy(struct whatif *whatif);

// How many waits are counted. If 0, all waits below are 0.
uint64_t whatif_count(const struct whatif *whatif);
// As it was.
void whatif_recorded(const struct whatif *whatif, struct whatif_waits *waits);
// As it would have been. O(n log n). Never longer with more runners, for each job and so for each percentile. With 0
// runners no job starts.
void whatif_replay(struct whatif *whatif, uint64_t runners, struct whatif_waits *waits);
// The fewest runners with which 90 of 100 waits do not exceed `target`, which is not negative; 0 if there are no waits.
uint64_t whatif_fewest(struct whatif *whatif, duration_ns target);

// --- does the model explain what was recorded? ------------------------------------------------------

// The model explains the 90th percentile if it differs from the recorded one by at most this many per cent, or by no
// more than GitHub's timestamps, which have whole seconds, allow.
#define WHATIF_ERROR_MAX 20
#define WHATIF_ERROR_MAX_NS (2 * NS_PER_SECOND)
// Of fewer jobs the 90th percentile is decided by one or two.
#define WHATIF_JOBS_LEAST 30
// A wait that jobs have even while runners are free is a sign of runners that are made for each job, if it is at least
// that long, and had by that many jobs.
#define WHATIF_FLOOR_LEAST (5 * NS_PER_SECOND)
#define WHATIF_FLOOR_JOBS 10
// The share of the time of waiting in which fewer than the observed number were busy, above which this number does not
// describe the window.
#define WHATIF_IDLE_MAX 10

struct whatif_fit {
    uint64_t observed;            // the most that were ever busy at once in the window
    struct whatif_waits replayed; // with this number of runners
    unsigned error_percent;       // of the replayed 90th percentile, rounded up; at most 999
    bool is_explained;
    // Why it may not be:
    bool has_few_jobs;
    duration_ns floor; // 9 of 10 jobs waited at least that long
    bool has_floor;    // it is WHATIF_FLOOR_LEAST or more, so not due to a lack of runners
    // Of the time in which jobs waited longer than `floor`: fewer than `observed` were busy.
    unsigned idle_percent;
    bool has_idle; // it is more than WHATIF_IDLE_MAX
};

void whatif_check(struct whatif *whatif, struct whatif_fit *fit);

#endif
