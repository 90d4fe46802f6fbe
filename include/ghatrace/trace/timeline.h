// When a job waited, queued, started up and executed; where an open one stands. Pure arithmetic on times.
#ifndef GHATRACE_TRACE_TIMELINE_H
#define GHATRACE_TRACE_TIMELINE_H

#include <stdbool.h>

#include "ghatrace/base/time.h"
#include "ghatrace/trace/state.h"

// --- timeline -------------------------------------------------------------------------------------
// When a job waited, queued, started up and executed. Pure arithmetic on times.

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

// Phases that were told in an earlier timeline of the job and that there were not, as is known now: what left cannot be
// taken back, so they are told again, without length, where they would be. The phases still follow each other without
// gap. `is_queue_void`: so it is with the queue, and no time in it is to be told.
void timeline_take_back(const struct job_timeline *told, struct job_timeline *timeline);

// Was it started, and its end never heard of?
bool timeline_is_step_open(const struct github_step *step);

// --- where an open job stands, told from its state alone. Pure ------------------------------------

enum open_job_kind {
    OPEN_JOB_NONE,    // not open: new, settling or closed
    OPEN_JOB_WAITING, // for the approval of its environment
    OPEN_JOB_QUEUED,  // ready for a runner
    OPEN_JOB_RUNNING, // on a runner
};
#define OPEN_JOB_STATES 4

struct open_job_state {
    enum open_job_kind state;
    timestamp_ns since; // TIMESTAMP_UNKNOWN for OPEN_JOB_NONE, and where nothing at all is known
};

// Waiting since it was created; queued since it was created or, if it had to wait, since its release;
// running since it was started. What is not known gives way to the next best time, at last to the
// receipt of its last event. A job that is completed or given up stands nowhere.
void open_job_state_of(const struct job_state *job, struct open_job_state *open_state);

// The same whatever the phase of the job: where it stood last.
void open_job_state_of_any(const struct job_state *job, struct open_job_state *open_state);

// Since when a run is open: its own start; else, where only its jobs speak of it, the start of the first that ended
// (open ones may have been created earlier). TIMESTAMP_UNKNOWN where nothing tells: never the time of a receipt.
timestamp_ns standing_of_run(const struct run_state *run);

#endif
