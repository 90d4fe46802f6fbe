// States to spans with their attributes (OpenTelemetry semantic conventions 1.44 for CI/CD and VCS, then the github.*
// names and the `type` key that ARC's recorder and otel-explorer use). Pure.
#ifndef GHATRACE_TRACE_SPANS_H
#define GHATRACE_TRACE_SPANS_H

#include <stdbool.h>
#include <stdint.h>

#include "ghatrace/base/arena.h"
#include "ghatrace/base/error.h"
#include "ghatrace/trace/policy.h"
#include "ghatrace/trace/span.h"
#include "ghatrace/trace/state.h"
#include "ghatrace/trace/timeline.h"

// --- build ----------------------------------------------------------------------------------------
// States → spans with their attributes (OpenTelemetry semantic conventions 1.44 for CI/CD and VCS,
// then the github.* names and the `type` key that ARC's recorder and otel-explorer use). Pure.

// Steps whose spans are built at once. GitHub has no more in a job (Workflow syntax); a body may list a hundred
// thousand, and their spans take some ten times the memory of the body.
#define BUILD_STEPS_MAX 1000
// A URL that is longer is not made part of others: no page of GitHub has one.
#define BUILD_URL_MAX 1024

// The steps of a job for which no spans have been built yet; in the arena that it was made in.
struct job_rest;

// The spans of one job: job first, then phases, then steps. `run` fills in what payloads before
// 2023 lack. `is_incomplete`: given up without a result. `*rest` becomes NULL, or what is left after BUILD_STEPS_MAX
// steps; it does not need `run`, `job` and `timeline` any more, but the texts that they point to. ERROR_MEMORY.
enum error_code build_job_spans(const struct trace_policy *policy, const struct run_state *run,
                                const struct job_state *job, const struct job_timeline *timeline,
                                bool is_incomplete, struct arena *arena, struct span_batch *batch,
                                struct job_rest **rest) MUST_CHECK;
// The spans of the next steps, up to BUILD_STEPS_MAX of them, with the resource of the first ones. None: that was all.
// ERROR_MEMORY.
enum error_code build_more_steps(struct job_rest *rest, struct arena *arena,
                                 struct span_batch *batch) MUST_CHECK;

// From when to when the root span is: from the run's start, or its earliest job's if that is before, to the run's end, or
// its last job's if that is later. Of a run of which only jobs tell: from its first job's creation to its last job's end.
void build_root_times(const struct run_state *run, timestamp_ns *start, timestamp_ns *end);
// The root span, from the run's own events or, where there are none, from its jobs. ERROR_MEMORY.
enum error_code build_root_span(const struct trace_policy *policy, const struct run_state *run,
                                bool is_incomplete, struct arena *arena,
                                struct span_batch *batch) MUST_CHECK;

struct build_outcome {
    struct slice result;     // cicd.pipeline.task.run.result
    struct slice error_type; // error.type; empty where the job's status is not an error
};

// How a completed job ended. The conventions' `error` is a fault of the system, "e.g. due to the worker being killed"
// (registry "CICD"): so a job whose conclusion is an error has that result, and the error type `runner_lost` or
// `not_started`, where its timeline has such a fault. What was cancelled, succeeded or was skipped stays what it is.
struct build_outcome build_outcome_of_job(struct slice conclusion, enum job_fault fault);

// GitHub's conclusion as cicd.pipeline.result and cicd.pipeline.task.run.result have it.
struct slice build_result_text(struct slice conclusion);
// The worst result that any of the jobs has of which the run knows.
enum run_result build_worst_result(const struct run_state *run);
// The words of a result, as GitHub's conclusion.
struct slice build_conclusion_of_result(enum run_result result);
enum run_result build_result_of_conclusion(struct slice conclusion);

// What a run is called: in its own events or, where none came, in those of its jobs.
struct run_names {
    bool has_own_events;
    const struct github_repository *repository;
    struct slice workflow;
    struct slice branch;
    struct slice revision;
    struct slice conclusion; // of the worst of its jobs, where no event of its own came
};
// Points into the state.
struct run_names run_names_of(const struct run_state *run);

// "{repository_url}/actions/runs/{id}", from attempt 2 on with "/attempts/{n}"; empty where `repository_url` is. False
// when memory is refused.
bool run_url_of(struct slice repository_url, int64_t run_id, int64_t run_attempt,
                struct arena *arena, struct slice *url) MUST_CHECK;

// --- attribute ------------------------------------------------------------------------------------
// Filling attribute lists without a check at every line: after a refused allocation the rest is
// skipped, and the caller looks at `failed` once. Absent data makes no attribute: never an empty
// string, never a zero.

struct attribute_writer {
    struct arena *arena;
    struct attributes *list; // whose items live in the arena
    bool failed;
};

// Reading: empty, 0, false or none where it is absent or of another type.
struct slice attributes_get_string(const struct attributes *attributes, const char *key);
int64_t attributes_get_int(const struct attributes *attributes, const char *key);
bool attributes_get_bool(const struct attributes *attributes, const char *key);
void attributes_get_strings(const struct attributes *attributes, const char *key,
                            const struct slice **items, size_t *count);
const struct attribute *attributes_find(const struct attributes *attributes, const char *key);

#endif
