// The life cycle: (state, event or deadline) → (state', finished spans). Pure: the time comes in as
// an argument, memory from an arena, and the caller stores what comes out.
//
// A job's spans leave as soon as its `completed` is in, in one batch: job, job.waiting, runner.queue,
// runner.startup, runner.execution, steps. One exception: when the payloads known so far lack what the
// spans are made of, and an event that would tell is still to be expected, the job settles for at
// most `root_grace`:
//   - no created_at (payloads before 2023) and no `queued` seen: the start of the queue is in that event;
//   - no workflow_name (payloads before 2023) and no event of the run seen: the resource needs it;
//   - the job deploys to an environment, or waited for approval, and its release was not seen, whether or not it ran.
// If it comes later still, within `linger`, the job's spans leave again, under the same IDs, where that changes them. So
// whatever the order of the events and the pauses between them, the last version of each span is the same, but for one
// thing: a phase that was told and then turned out not to have been (a queue before an approval that never came) is told
// again without length. Each job is measured once: when it leaves for the first time.
// An open job is given up after a silence of `job_timeout`, one that waits for approval after `approval_timeout`; its
// run is waited for as long, so that the root leaves after its jobs.
// A run's root leaves when its `completed` is in and no job known to it is open, at the latest
// `root_grace` after. A run that falls silent for `job_timeout` is sent as it stands, after its jobs, with
// github.incomplete; so is one of which only jobs tell, `run_idle` after the last of them ended.
//
// What went out is sent again, under the same IDs, where a delivery changes it:
//   - a run or a job that ends twice under one attempt: the later end holds (merge.h), in whatever order they come;
//   - a root that its jobs stick out of, since they came after it: it is extended, never shortened;
//   - what was incomplete: it goes on with the next event, which sends it again as it stands then, and its end replaces it.
// It is never made less complete, and nothing is sent again that would be the same.
#ifndef GHATRACE_TRACE_LIFECYCLE_H
#define GHATRACE_TRACE_LIFECYCLE_H

#include <stdbool.h>
#include <stddef.h>

#include "ghatrace/base/arena.h"
#include "ghatrace/base/error.h"
#include "ghatrace/github/event.h"
#include "ghatrace/trace/policy.h"
#include "ghatrace/trace/sample.h"
#include "ghatrace/trace/span.h"
#include "ghatrace/trace/state.h"

struct lifecycle_finished {
    struct span_id span_id; // what the job or run is stored under (ids.h)
    timestamp_ns end;
    struct span_batch batch;
    struct job_rest *rest; // of a job with very many steps: the others (build.h); else NULL
    // What it adds to the figures, in the arena. Of a job: NULL where it was given up or carried over, or leaves again, so
    // that each job is measured once. Of a run: always there.
    const struct job_sample *job_sample;
    const struct run_sample *run_sample;
    bool
        is_correction; // a run that has been measured before: it has its place in lists, and is not counted again
};

// A root of which nothing is known any more but its times: it has to be found where finished spans are kept, and sent
// again with these.
struct lifecycle_extension {
    bool is_wanted;
    struct span_id span_id; // as in lifecycle_finished
    timestamp_ns start;     // not after
    timestamp_ns end;       // not before
};

struct lifecycle_output {
    struct lifecycle_finished finished[2]; // a job, a root
    size_t finished_count;
    struct lifecycle_extension extension;
    bool is_late;     // came after what it speaks of had been sent, and changed nothing
    bool run_changed; // store it
    bool job_changed; // store it
    bool forget;      // the state that was due has served: delete it
    bool sweep_jobs;  // give the run's open jobs to lifecycle_expire_job, one by one
    bool
        resend_jobs; // give those of the run's jobs that there are states of to lifecycle_name_job, one by one
};

// When did this happen? `guid_time` (the time inside the delivery's version-1 GUID, or
// TIMESTAMP_UNKNOWN) is believed between the job's creation, less a second, and the receipt; else the receipt stands in.
timestamp_ns lifecycle_occurred_at(const struct github_event *event, timestamp_ns guid_time,
                                   timestamp_ns received_at);

// Takes an event in. `job` is NULL for events of runs. States may be new (all zero). Slices in the
// states afterwards point into what the event or the old state point into. ERROR_MEMORY; ERROR_INVALID: the event is
// neither a job's nor a run's, and nothing was changed.
enum error_code lifecycle_apply_event(const struct trace_policy *policy,
                                      const struct github_event *event, timestamp_ns occurred_at,
                                      timestamp_ns received_at, uint64_t digest,
                                      struct run_state *run, struct job_state *job,
                                      struct arena *arena,
                                      struct lifecycle_output *output) MUST_CHECK;

// The first event of the run itself has come: sends a job again that left without what only such an event tells, the name
// of its workflow (payloads before 2023). Does nothing to others. ERROR_MEMORY.
enum error_code lifecycle_name_job(const struct trace_policy *policy, timestamp_ns now,
                                   struct run_state *run, struct job_state *job,
                                   struct arena *arena, struct lifecycle_output *output) MUST_CHECK;

// When a state wants to be looked at next; TIMESTAMP_UNKNOWN: never.
timestamp_ns lifecycle_job_deadline(const struct trace_policy *policy, const struct run_state *run,
                                    const struct job_state *job);
timestamp_ns lifecycle_run_deadline(const struct trace_policy *policy, const struct run_state *run);

// What a stored state waits for, and what happens at its deadline, in fixed words for people. `run`: of the job; all zero
// where it is not known.
const char *lifecycle_job_waits_for(const struct run_state *run, const struct job_state *job);
const char *lifecycle_run_waits_for(const struct run_state *run);

// A deadline may have passed: does what is due at `now`, or nothing. ERROR_MEMORY.
enum error_code lifecycle_expire_job(const struct trace_policy *policy, timestamp_ns now,
                                     struct run_state *run, struct job_state *job,
                                     struct arena *arena,
                                     struct lifecycle_output *output) MUST_CHECK;
enum error_code lifecycle_expire_run(const struct trace_policy *policy, timestamp_ns now,
                                     struct run_state *run, struct arena *arena,
                                     struct lifecycle_output *output) MUST_CHECK;

#endif
