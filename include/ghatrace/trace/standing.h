// Where an open job stands, told from its state alone. Pure.
#ifndef GHATRACE_TRACE_STANDING_H
#define GHATRACE_TRACE_STANDING_H

#include "ghatrace/base/timestamp.h"
#include "ghatrace/trace/state.h"

enum standing_state {
    STANDING_NONE,    // not open: new, settling or closed
    STANDING_WAITING, // for the approval of its environment
    STANDING_QUEUED,  // ready for a runner
    STANDING_RUNNING, // on a runner
};
#define STANDING_STATES 4

struct job_standing {
    enum standing_state state;
    timestamp_ns since; // TIMESTAMP_UNKNOWN for STANDING_NONE, and where nothing at all is known
};

// Waiting since it was created; queued since it was created or, if it had to wait, since its release;
// running since it was started. What is not known gives way to the next best time, at last to the
// receipt of its last event. A job that is completed or given up stands nowhere.
void standing_of_job(const struct job_state *job, struct job_standing *standing);

// The same whatever the phase of the job: where it stood last.
void standing_of_any_job(const struct job_state *job, struct job_standing *standing);

// Since when a run is open: its own start; else, where only its jobs speak of it, the start of the first that ended
// (open ones may have been created earlier). TIMESTAMP_UNKNOWN where nothing tells: never the time of a receipt.
timestamp_ns standing_of_run(const struct run_state *run);

#endif
