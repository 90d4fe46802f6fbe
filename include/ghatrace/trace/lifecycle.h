// The life cycle: (state, event or deadline) → (state', finished spans). Pure: the time is an argument, memory comes
// from an arena, and the caller stores the result.
//
// A job's spans are sent in one batch as soon as its `completed` event is received: job, job.waiting, runner.queue,
// runner.startup, runner.execution, steps. Exception: if the payloads received so far lack data that the spans need,
// and an event with that data may still arrive, the job settles for at most `root_grace`:
//   - no created_at (payloads before 2023) and no `queued` seen: the start of the queue is in that event;
//   - no workflow_name (payloads before 2023) and no event of the run seen: the resource needs it;
//   - the job deploys to an environment, or waited for approval, and its release was not seen, whether or not it ran.
// If the event arrives after that, within `linger`, the job's spans are sent again under the same IDs, provided that
// it changes them. So the last version of each span does not depend on the order of the events or the delays between
// them, with one exception: a phase that was exported and later turns out not to have existed (a queue before an
// approval that was never given) is exported again with zero length. Each job is measured once: when it is sent for
// the first time.
// A completed job of the policy's `arc_runners` that ran: job, job.waiting and steps are sent like those of others; its
// runner.* spans wait until ARC has reported when it was assigned to a scale set, at most `arc_grace` from the receipt
// of its `completed`, and then are sent without it. Within that time an earlier assignment sends them again. The root
// does not wait for them. An assignment that is reported later, or of a job of other runners that is closed, is late.
// An open job is given up after `job_timeout` without an event, one that waits for approval after `approval_timeout`;
// its run is kept open as long, so that the root is sent after its jobs.
// A run's root is sent when its `completed` was received and none of its known jobs is open, at the latest
// `root_grace` after. A run without an event for `job_timeout` is sent as it is, after its jobs, with
// github.incomplete; so is a run without events of its own, `run_idle` after the last of its jobs ended.
//
// Spans that were sent are sent again, under the same IDs, where an event changes them:
//   - a run or a job that ends twice under one attempt: the later end wins (merge.h), in whatever order they arrive;
//   - a root whose late jobs extend beyond it: it is extended, never shortened;
//   - an incomplete one: the next event reopens it and sends it again as it is then, and its end replaces it.
// A complete span is never replaced by an incomplete one, and nothing is sent again unchanged.
#ifndef GHATRACE_TRACE_LIFECYCLE_H
#define GHATRACE_TRACE_LIFECYCLE_H

#include <stdbool.h>
#include <stddef.h>

#include "ghatrace/base/arena.h"
#include "ghatrace/base/error.h"
#include "ghatrace/github/event.h"
#include "ghatrace/trace/policy.h"
#include "ghatrace/trace/span.h"
#include "ghatrace/trace/spans.h"
#include "ghatrace/trace/state.h"

struct lifecycle_finished {
    struct span_id span_id; // the key of the job or run in the store (ids.h)
    timestamp_ns end;
    struct span_batch batch;
    struct job_rest *rest; // remaining steps of a job with very many (spans.h); else NULL
    bool is_runner_phases; // the runner.* spans of a job alone, which may be none
    // The measurements for the statistics, in the arena. Of a job: NULL if it was given up or carried over, or is
    // sent again, so that each job is measured once. Of a run: never NULL.
    const struct job_sample *job_sample;
    const struct run_sample *run_sample;
    struct job_occupancy occupancy; // of a completed job, each time that it is sent
    // a run that has been measured before: it has its place in lists, and is not counted again
    bool is_correction;
};

// A root of which only the times are still known: the caller finds it among the stored finished spans and sends it
// again with these times.
struct lifecycle_extension {
    bool is_wanted;
    struct span_id span_id; // as in lifecycle_finished
    timestamp_ns start;     // at the latest
    timestamp_ns end;       // at the earliest
};

struct lifecycle_output {
    struct lifecycle_finished finished[3]; // a job, its runner.* spans if they are separate, a root
    size_t finished_count;
    struct lifecycle_extension extension;
    bool is_late;      // the span was sent before, and the event changed nothing
    bool is_missing;   // the wait for ARC's report ended without any
    bool run_changed;  // store the run
    bool job_changed;  // store the job
    bool delete_state; // the state that was due is no longer needed
    bool sweep_jobs;   // give the run's open jobs to lifecycle_expire_job, one by one
    // Pass those of the run's jobs that have states to lifecycle_resend_unnamed_job, one by one.
    bool resend_jobs;
};

// What every call works with. The output is overwritten by each call; the memory that it points to is in the arena.
struct lifecycle {
    const struct trace_policy *policy;
    struct arena *arena;
    struct lifecycle_output *output;
};

// When the event happened. `guid_time` (the time inside the delivery's version-1 GUID, or TIMESTAMP_UNKNOWN) is used
// if it lies between the creation of the event's subject, less a second, and the receipt; otherwise the time of receipt
// is used. `created_at` may be TIMESTAMP_UNKNOWN.
timestamp_ns lifecycle_occurred_at(timestamp_ns created_at, timestamp_ns guid_time,
                                   timestamp_ns received_at);
// The creation time of an event's job. TIMESTAMP_UNKNOWN if the event does not have it.
timestamp_ns lifecycle_creation_of_job(const struct github_job *job);

// An event as it was received.
struct lifecycle_event {
    const struct github_event *event;
    timestamp_ns occurred_at; // lifecycle_occurred_at()
    timestamp_ns received_at;
    uint64_t digest; // merge_digest_of_job(), merge_digest_of_run()
};

// Apply an event of a job, or of a run. States may be new (all zero). Afterwards slices in the states point into what
// the event or the old state point into. ERROR_MEMORY.
enum error_code lifecycle_apply_job_event(const struct lifecycle *life,
                                          const struct lifecycle_event *received,
                                          struct run_state *run, struct job_state *job) MUST_CHECK;
enum error_code lifecycle_apply_run_event(const struct lifecycle *life,
                                          const struct lifecycle_event *received,
                                          struct run_state *run) MUST_CHECK;

// Merges when ARC assigned a job. `run` and `job` may be new, as above. ERROR_MEMORY.
enum error_code lifecycle_apply_assignment(const struct lifecycle *life,
                                           const struct job_assignment *assignment,
                                           timestamp_ns now, struct run_state *run,
                                           struct job_state *job) MUST_CHECK;

// For the first event of the run itself: sends a job again if it was sent without data that only such an event has,
// the name of its workflow (payloads before 2023). Does nothing for other jobs. ERROR_MEMORY.
enum error_code lifecycle_resend_unnamed_job(const struct lifecycle *life, timestamp_ns now,
                                             struct run_state *run,
                                             struct job_state *job) MUST_CHECK;

// The next deadline of a state; TIMESTAMP_UNKNOWN: none.
timestamp_ns lifecycle_job_deadline(const struct trace_policy *policy, const struct run_state *run,
                                    const struct job_state *job);
timestamp_ns lifecycle_run_deadline(const struct trace_policy *policy, const struct run_state *run);

// Human-readable description (a static text) of what a stored state waits for and what happens at its deadline.
// `run`: the job's run; all zero if it is not known.
const char *lifecycle_job_waits_for(const struct run_state *run, const struct job_state *job);
const char *lifecycle_run_waits_for(const struct run_state *run);

// Called when a deadline may have passed: does what is due at `now`, if anything. ERROR_MEMORY.
enum error_code lifecycle_expire_job(const struct lifecycle *life, timestamp_ns now,
                                     struct run_state *run, struct job_state *job) MUST_CHECK;
enum error_code lifecycle_expire_run(const struct lifecycle *life, timestamp_ns now,
                                     struct run_state *run) MUST_CHECK;

#endif
