// When a job waited, queued, started up and executed. Pure arithmetic on times.
#ifndef GHATRACE_TRACE_TIMELINE_H
#define GHATRACE_TRACE_TIMELINE_H

#include <stdbool.h>

#include "ghatrace/base/timestamp.h"
#include "ghatrace/trace/state.h"

struct timeline_phase {
    bool exists;
    timestamp_ns start;
    timestamp_ns end;
};

// What became of the runner, where that alone can explain an error. GitHub's conclusion does not tell: it is `failure` as
// for any other. What it means for the result says build_outcome_of_job().
enum job_fault {
    JOB_FAULT_NONE,
    JOB_FAULT_NOT_STARTED, // it never got a runner, though nobody had to approve it, or somebody did
    JOB_FAULT_RUNNER_LOST, // one or more of its steps were open when it ended
};

// The phases follow each other without gap or overlap and fill the job, as far as they exist:
// created <= released <= started <= first workflow step <= completed, clamped in that order. Any may
// be of zero length (GitHub's clock ticks in seconds), none is negative.
struct job_timeline {
    timestamp_ns start;
    timestamp_ns end;
    bool is_skipped;
    bool
        is_carried_over; // a job that a re-run did not run again, sent with a new id and the old times
    bool has_run;        // it got a runner
    enum job_fault fault;          // of a completed job, carried over or not, that was not skipped
    struct timeline_phase waiting; // for approval of its environment
    struct timeline_phase queue;   // for a runner
    struct timeline_phase startup; // the runner's own preparation
    struct timeline_phase execution;
    bool is_queue_void; // see timeline_take_back()
};

// `end_by`: TIMESTAMP_UNKNOWN for a completed job; for one that is given up, the end of its run, or
// TIMESTAMP_UNKNOWN if that is not known either: then the job ends with the last time it spoke of.
void timeline_of_job(const struct job_state *job, bool is_completed, timestamp_ns end_by,
                     struct job_timeline *timeline);

// Did a runner take this job, completed or not?
bool timeline_has_run(const struct job_state *job, bool is_completed);

// Phases that were told in an earlier timeline of the job and that there were not, as is known now: what left cannot be
// taken back, so they are told again, without length, where they would be. The phases still follow each other without
// gap. `is_queue_void`: so it is with the queue, and no time in it is to be told.
void timeline_take_back(const struct job_timeline *told, struct job_timeline *timeline);

// Is this one of the runner's own steps that prepare a job?
bool timeline_is_preparation(struct slice step_name);
// Was it started, and its end never heard of?
bool timeline_is_step_open(const struct github_step *step);

#endif
