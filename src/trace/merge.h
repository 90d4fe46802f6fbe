// Taking one event's statements into what is known: commutative, associative, idempotent. Pure.
#ifndef GHATRACE_TRACE_MERGE_H
#define GHATRACE_TRACE_MERGE_H

#include "ghatrace/github/event.h"
#include "ghatrace/trace/state.h"

// Of all that an event says (what is not decoded has no part in it): equal for the same event under another GUID, or in
// another body. Decides between statements that are equal in rank, time and result. Not for security.
uint64_t merge_digest_of_event(const struct github_event *event);

// `digest`: that of the event.
struct state_version merge_version_of_job(const struct github_job *job, uint64_t digest);
struct state_version merge_version_of_run(const struct github_run *run, uint64_t digest);
// Does `a` replace `b`? Not if they are the same.
bool merge_is_newer(const struct state_version *a, const struct state_version *b);

void merge_job_event(struct job_state *state, const struct github_event *event,
                     timestamp_ns occurred_at, uint64_t digest);
void merge_run_event(struct run_state *state, const struct github_event *event, uint64_t digest);

// What a job's event says about its run.
void merge_run_from_job(struct run_state *state, const struct github_event *event);

// Does this event end the run's attempt? `completed`, but not with action_required: after approval
// the same attempt goes on (github/docs "Approving workflow runs from forks").
bool merge_is_final(const struct github_run *run);

#endif
