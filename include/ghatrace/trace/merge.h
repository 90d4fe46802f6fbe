// Merges an event into a state: commutative, associative, idempotent. Pure.
#ifndef GHATRACE_TRACE_MERGE_H
#define GHATRACE_TRACE_MERGE_H

#include <stdint.h>

#include "ghatrace/base/slice.h"
#include "ghatrace/github/event.h"
#include "ghatrace/trace/span.h"
#include "ghatrace/trace/state.h"

// Digest of an event's decoded content: equal for the same event under another GUID, or in another body. Breaks ties
// between statements with equal rank, time and result. Not for security.
uint64_t merge_digest_of_job(const struct github_event *event);
uint64_t merge_digest_of_run(const struct github_event *event);

// `digest`: the event's.
struct state_version merge_version_of_job(const struct github_job *job, uint64_t digest);
struct state_version merge_version_of_run(const struct github_run *run, uint64_t digest);
// True if `a` replaces `b`; false if they are equal.
bool merge_is_newer(const struct state_version *a, const struct state_version *b);

void merge_job_event(struct job_state *state, const struct github_event *event,
                     timestamp_ns occurred_at, uint64_t digest);
// Keeps the earliest time. True if this changed the state.
bool merge_job_assignment(struct job_state *state, timestamp_ns assigned_at);
void merge_run_event(struct run_state *state, const struct github_event *event, uint64_t digest);

// Merges what a job's event contains about its run.
void merge_run_from_job(struct run_state *state, const struct github_event *event);

// True if this event ends the run's attempt: `completed`, but not with action_required, since after approval the same
// attempt continues (github/docs "Approving workflow runs from forks").
bool merge_is_final(const struct github_run *run);

// --- fingerprints --------------------------------------------------------------------------------
// Fast non-cryptographic hash for comparing data in memory. Not for security: collisions can be constructed. Pure.

// Start with FINGERPRINT_START and pass the result of each call to the next. The result is the same on every machine,
// since digests are stored.
#define FINGERPRINT_START UINT64_C(0xcbf29ce484222325)
uint64_t fingerprint_add_text(uint64_t fingerprint, struct slice text); // with its length

// Covers everything in the batch.
uint64_t fingerprint_of_batch(const struct span_batch *batch);

#endif
