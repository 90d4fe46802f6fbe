// When a job waited, queued, started up and executed; the current state of an open job. Pure arithmetic on times.
#ifndef GHATRACE_TRACE_TIMELINE_H
#define GHATRACE_TRACE_TIMELINE_H

#include <stdbool.h>

#include "ghatrace/base/arena.h"
#include "ghatrace/base/error.h"
#include "ghatrace/base/slice.h"
#include "ghatrace/base/time.h"
#include "ghatrace/trace/state.h"

// --- timeline -------------------------------------------------------------------------------------
// When a job waited, queued, started up and executed. Pure arithmetic on times.

struct timeline_phase {
    bool exists;
    timestamp_ns start;
    timestamp_ns end;
};

// A runner failure that explains an error by itself. GitHub's conclusion does not show it: it is `failure` as for any
// other error. build_outcome_of_job() maps it to a result.
enum job_fault {
    JOB_FAULT_NONE,
    JOB_FAULT_NOT_STARTED, // it never got a runner, and any approval it needed was given
    JOB_FAULT_RUNNER_LOST, // one or more of its steps were open when it ended
};

// The phases follow each other without gaps or overlaps and cover the job, as far as they exist: created <= released
// <= assigned <= started <= first workflow step <= completed, clamped in that order. If it is known when ARC assigned
// the job to a scale set, the queue ends and the start-up begins then; else at the start. A phase may have zero length
// (GitHub's timestamps have whole seconds), never a negative one.
struct job_timeline {
    timestamp_ns start;
    timestamp_ns end;
    bool is_skipped;
    // a job that a re-run did not run again, sent with a new id and the old times
    bool is_carried_over;
    bool has_run;                  // it got a runner
    enum job_fault fault;          // of a completed job, carried over or not, that was not skipped
    struct timeline_phase waiting; // for approval of its environment
    struct timeline_phase queue;   // for a runner
    struct timeline_phase startup; // the runner's own preparation; with `assigned`, its making, too
    struct timeline_phase execution;
    timestamp_ns assigned; // TIMESTAMP_UNKNOWN: not known, or of a job without a queue
    // What figures count, so that jobs with and without ARC compare: from ready to started, and from there to the first
    // step of the workflow.
    struct timeline_phase wait;
    struct timeline_phase preparation;
    bool is_queue_void; // see timeline_keep_sent_phases()
};

// `end_by`: TIMESTAMP_UNKNOWN for a completed job; for one that is given up, the end of its run, or TIMESTAMP_UNKNOWN
// if that is not known either: then the job ends at the latest time known from its payloads.
void timeline_of_job(const struct job_state *job, bool is_completed, timestamp_ns end_by,
                     struct job_timeline *timeline);

// Keeps phases that an earlier timeline of the job had exported and that, as is known now, did not exist: exported
// spans cannot be deleted, so these are exported again with zero length at their place. The phases still follow each
// other without gaps. `is_queue_void`: the queue is such a phase, and its duration must not be reported.
void timeline_keep_sent_phases(const struct job_timeline *sent, struct job_timeline *timeline);

// The time of a step, limited to the job's: payloads name steps that reach beyond their job.
timestamp_ns timeline_clamp(const struct job_timeline *timeline, timestamp_ns time);

// True if the step was started and its end is not known.
bool timeline_is_step_open(const struct github_step *step);

// --- when a job had a runner ------------------------------------------------------------------------

// `ready` is TIMESTAMP_UNKNOWN if it is not known when it began to wait for one.
struct job_occupancy {
    bool exists;         // it had one
    struct slice labels; // labels_join(), as spelled by this job
    timestamp_ns ready;
    timestamp_ns started;
    timestamp_ns ended;
    uint32_t runner; // a hash of its id and name; 0: not known, or one of GitHub's own
};

// Of a completed job. A job that was carried over or skipped had no runner. ERROR_MEMORY.
enum error_code occupancy_of_job(const struct job_state *job, const struct job_timeline *timeline,
                                 struct arena *arena, struct job_occupancy *occupancy) MUST_CHECK;

// --- state of an open job, from its stored state alone. Pure --------------------------------------

enum open_job_kind {
    OPEN_JOB_NONE,    // not open: new, settling or closed
    OPEN_JOB_WAITING, // for the approval of its environment
    OPEN_JOB_QUEUED,  // ready for a runner
    OPEN_JOB_RUNNING, // on a runner
};
#define OPEN_JOB_STATES 4

struct open_job_state {
    enum open_job_kind state;
    timestamp_ns since; // TIMESTAMP_UNKNOWN for OPEN_JOB_NONE, and if nothing is known
};

// Waiting since it was created; queued since it was created or, if it had to wait, since its release; running since
// it was started. If a time is not known, the next best is used, finally the receipt of its last event. OPEN_JOB_NONE
// for a job that is completed or given up.
void open_job_state_of(const struct job_state *job, struct open_job_state *open_state);

// The same regardless of the job's phase: its last state while it was open.
void open_job_state_of_any(const struct job_state *job, struct open_job_state *open_state);

// Since when a run has been open: its own start; if it has no events of its own, the start of its first job that
// ended (open ones may have been created earlier). TIMESTAMP_UNKNOWN if neither is known: never the time of a
// receipt.
timestamp_ns run_open_since(const struct run_state *run);

#endif
