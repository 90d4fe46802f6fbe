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

#endif
