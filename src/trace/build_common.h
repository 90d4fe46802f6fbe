// Pieces that the spans of jobs and of runs share.
#ifndef GHATRACE_TRACE_BUILD_COMMON_H
#define GHATRACE_TRACE_BUILD_COMMON_H

#include "ghatrace/trace/policy.h"
#include "ghatrace/trace/span.h"
#include "ghatrace/trace/spans.h"
#include "ghatrace/trace/state.h"

// What the resource is made of: only what every payload of the run carries, so that it is the same
// on each of its spans.
struct resource_facts {
    int64_t run_id;
    int64_t run_attempt;
    const struct github_repository *repository;
    struct slice workflow_name;
    struct slice head_branch;
    struct slice head_sha;
    struct slice server; // empty: github.com
};

void build_resource(const struct trace_policy *policy, const struct resource_facts *facts,
                    struct attribute_writer *writer);

// Status and error.type: ERROR with the conclusion as its message, or unset for an empty `error_type`, because OK is
// for people to set.
void build_status(struct span *span, struct slice conclusion, struct slice error_type,
                  struct attribute_writer *writer);
// The same where the conclusion is all there is to tell: an error for failure, timed_out and startup_failure.
void build_status_of_conclusion(struct span *span, struct slice conclusion,
                                struct attribute_writer *writer);
// "{repository url}/actions/runs/{id}", from attempt 2 on with "/attempts/{n}". Empty without an URL.
struct slice build_run_url(const struct github_repository *repository, int64_t run_id,
                           int64_t run_attempt, struct attribute_writer *writer);

#endif
