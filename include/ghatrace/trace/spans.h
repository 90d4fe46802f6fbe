// Builds spans with their attributes from states (OpenTelemetry semantic conventions 1.44 for CI/CD and VCS, then the
// github.* names and the `type` key that ARC's recorder and otel-explorer use). Pure.
#ifndef GHATRACE_TRACE_SPANS_H
#define GHATRACE_TRACE_SPANS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ghatrace/base/arena.h"
#include "ghatrace/base/error.h"
#include "ghatrace/base/slice.h"
#include "ghatrace/base/time.h"
#include "ghatrace/trace/ids.h"
#include "ghatrace/trace/policy.h"
#include "ghatrace/trace/span.h"
#include "ghatrace/trace/state.h"
#include "ghatrace/trace/timeline.h"

// --- build ----------------------------------------------------------------------------------------

// Maximum number of steps whose spans are built at once. GitHub allows no more in a job (Workflow syntax); but a body
// may list a hundred thousand, and their spans take about ten times the memory of the body.
#define BUILD_STEPS_MAX 1000
// Longer URLs are not used to build others: no GitHub page has one that long.
#define BUILD_URL_MAX 1024

// The steps of a job for which no spans have been built yet; allocated in the arena passed to build_job_spans().
struct job_rest;

// A job that has ended or is given up: what its spans and its measurements are made of.
struct ended_job {
    const struct run_state *run; // for what payloads before 2023 lack
    const struct job_state *job;
    const struct job_timeline *timeline;
    bool is_incomplete; // given up without a result
};

// The spans of one job: job first, then phases, then steps, without those that the policy leaves to the runner, which
// may be all of them. `*rest` becomes NULL, or the steps after the first
// BUILD_STEPS_MAX; it no longer refers to the states and the timeline of `ended`, but to the texts that they point
// to. ERROR_MEMORY.
enum error_code build_job_spans(const struct trace_policy *policy, const struct ended_job *ended,
                                struct arena *arena, struct span_batch *batch,
                                struct job_rest **rest) MUST_CHECK;
// The same without runner.queue, runner.startup and runner.execution.
enum error_code build_job_without_runner_phases(const struct trace_policy *policy,
                                                const struct ended_job *ended, struct arena *arena,
                                                struct span_batch *batch,
                                                struct job_rest **rest) MUST_CHECK;
// These alone, which may be none. ERROR_MEMORY.
enum error_code build_runner_phases(const struct trace_policy *policy,
                                    const struct ended_job *ended, struct arena *arena,
                                    struct span_batch *batch) MUST_CHECK;
// The spans of the next steps, up to BUILD_STEPS_MAX, with the same resource as the first ones. An empty batch means
// that there are no more. ERROR_MEMORY.
enum error_code build_more_steps(struct job_rest *rest, struct arena *arena,
                                 struct span_batch *batch) MUST_CHECK;

// The IDs of the spans that the policy has for this job, as far as they are known now: of the job, of the phases that
// it may have, and of the steps that it lists. Those of build_job_spans() are among them. In the arena. ERROR_MEMORY.
enum error_code build_job_ids(const struct trace_policy *policy, const struct job_state *job,
                              struct arena *arena, struct span_id **ids, size_t *count) MUST_CHECK;

// True if the globs select this job, by its labels and the group of its runner.
bool job_is_selected(const struct runner_globs *globs, const struct job_state *job);

// Start and end of the root span: from the run's start, or its earliest job's if that is earlier, to the run's end,
// or its last job's if that is later. For a run without events of its own: from its first job's creation to its last
// job's end.
void build_root_times(const struct run_state *run, timestamp_ns *start, timestamp_ns *end);
// The root span, built from the run's own events or, if there are none, from its jobs. ERROR_MEMORY.
enum error_code build_root_span(const struct trace_policy *policy, const struct run_state *run,
                                bool is_incomplete, struct arena *arena,
                                struct span_batch *batch) MUST_CHECK;

struct build_outcome {
    struct slice result;     // cicd.pipeline.task.run.result
    struct slice error_type; // error.type; empty if the job's status is not an error
};

// The result of a completed job. In the conventions `error` is a fault of the system, "e.g. due to the worker being
// killed" (registry "CICD"): a job whose conclusion is an error gets that result, and the error type `runner_lost` or
// `not_started`, if its timeline has such a fault. Results of cancelled, successful and skipped jobs are unchanged.
struct build_outcome build_outcome_of_job(struct slice conclusion, enum job_fault fault);

// The value of cicd.pipeline.result and cicd.pipeline.task.run.result for GitHub's conclusion.
struct slice build_result_text(struct slice conclusion);
// The worst result of the jobs that the run knows of.
enum run_result build_worst_result(const struct run_state *run);
// GitHub's conclusion for a result.
struct slice build_conclusion_of_result(enum run_result result);
enum run_result build_result_of_conclusion(struct slice conclusion);

// Names of a run: from its own events or, if it has none, from those of its jobs.
struct run_names {
    bool has_own_events;
    const struct github_repository *repository;
    struct slice workflow;
    struct slice branch;
    struct slice revision;
    struct slice conclusion; // of the worst of its jobs, if it has no event of its own
};
// Points into the state.
struct run_names run_names_of(const struct run_state *run);

// "{repository_url}/actions/runs/{id}", from attempt 2 on with "/attempts/{n}"; empty if `repository_url` is. False
// if out of memory.
bool run_url_of(struct slice repository_url, int64_t run_id, int64_t run_attempt,
                struct arena *arena, struct slice *url) MUST_CHECK;

// --- attribute ------------------------------------------------------------------------------------
// Fills attribute lists without a check after every call: once an allocation fails, further calls do nothing, and the
// caller checks `failed` once. Absent data produces no attribute: never an empty string, never a zero.

struct attribute_writer {
    struct arena *arena;
    struct attributes *list; // its items are in the arena
    bool failed;
};

// Getters: empty, 0, false or none if the attribute is absent or has another type.
struct slice attributes_get_string(const struct attributes *attributes, const char *key);
int64_t attributes_get_int(const struct attributes *attributes, const char *key);
bool attributes_get_bool(const struct attributes *attributes, const char *key);
void attributes_get_strings(const struct attributes *attributes, const char *key,
                            const struct slice **items, size_t *count);
const struct attribute *attributes_find(const struct attributes *attributes, const char *key);

// --- samples -------------------------------------------------------------------------------------
// Measurements of a finished job or run for the statistics. Pure.
//
// All texts are valid UTF-8 of at most SAMPLE_TEXT_MAX bytes, truncated at character boundaries; unknown ones are
// empty. Texts that were not truncated point into what the state points into, the others into the arena.

#define SAMPLE_TEXT_MAX 256

struct sample_span {
    bool exists;
    duration_ns length; // never negative
};

struct sample_step {
    struct slice name;
    struct slice result; // cicd.pipeline.task.run.result
    duration_ns length;
};

struct job_sample {
    struct slice repository; // "owner/name"
    struct slice workflow;
    struct slice runner_group;
    struct slice runner_labels;  // labels_join(), as spelled by this job
    struct slice result;         // cicd.pipeline.task.run.result
    struct slice default_branch; // as in struct run_sample, of the job's own branch
    struct sample_span waiting;
    struct sample_span queue;
    struct sample_span startup;
    struct sample_span execution;
    struct sample_span duration; // of a job with a queue: from its begin to the job's end
    struct sample_span assign; // the two parts of `queue`, if it is known when ARC assigned the job
    struct sample_span provision;
    bool is_assignment_only; // of a job that was measured before: only these two exist
    timestamp_ns queue_end;  // if there is a queue
    timestamp_ns end;
    const struct sample_step *steps; // steps that were started
    size_t step_count;
    struct trace_id trace; // of the exported scheme
};

struct run_sample {
    struct slice server; // empty: github.com
    struct slice repository;
    struct slice workflow;
    struct slice branch;
    // "true" if the branch has the default branch's name, else "false"; empty: not known
    struct slice default_branch;
    struct slice event_name;
    struct slice display_title;
    struct slice url;        // on GitHub; empty if no payload had the repository's
    struct slice actor;      // who triggered this attempt
    struct slice result;     // cicd.pipeline.result
    struct slice conclusion; // GitHub's; of the jobs if the run had no event of its own
    int64_t run_id;
    int64_t run_attempt;
    int64_t run_number;
    int64_t job_count; // jobs known when the root was sent
    timestamp_ns start;
    timestamp_ns end;
    bool is_incomplete; // made from its jobs, or of a run that never ended
    struct trace_id trace;
    struct commit_id commit;
};

// Of a completed job. `*measure` becomes NULL for a job that is not counted because it was carried over from an
// earlier attempt. A skipped job has no phases and no steps. ERROR_MEMORY.
enum error_code sample_of_job(const struct trace_policy *policy, const struct ended_job *ended,
                              struct arena *arena, const struct job_sample **measure) MUST_CHECK;

// Of a completed job that was measured before its assignment was known; NULL if the assignment does not count.
enum error_code sample_of_assignment(const struct trace_policy *policy,
                                     const struct ended_job *ended, struct arena *arena,
                                     const struct job_sample **measure) MUST_CHECK;

// Of a run whose root span is `root`. ERROR_MEMORY.
enum error_code sample_of_run(const struct run_state *run, const struct span *root,
                              bool is_incomplete, struct arena *arena,
                              const struct run_sample **measure) MUST_CHECK;

#endif
