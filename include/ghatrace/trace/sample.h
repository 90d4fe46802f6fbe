// Measurements of a finished job or run for the statistics. Pure.
//
// All texts are valid UTF-8 of at most SAMPLE_TEXT_MAX bytes, truncated at character boundaries; unknown ones are
// empty. Texts that were not truncated point into what the state points into, the others into the arena.
#ifndef GHATRACE_TRACE_SAMPLE_H
#define GHATRACE_TRACE_SAMPLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ghatrace/base/arena.h"
#include "ghatrace/base/error.h"
#include "ghatrace/base/slice.h"
#include "ghatrace/base/time.h"
#include "ghatrace/trace/policy.h"
#include "ghatrace/trace/span.h"
#include "ghatrace/trace/spans.h"
#include "ghatrace/trace/state.h"

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
    struct slice runner_labels; // labels_join(), as spelled by this job
    struct slice result;        // cicd.pipeline.task.run.result
    struct sample_span waiting;
    struct sample_span queue;
    struct sample_span startup;
    struct sample_span execution;
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
