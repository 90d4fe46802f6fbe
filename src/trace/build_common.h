// Shared by the spans of jobs and of runs.
#ifndef GHATRACE_TRACE_BUILD_COMMON_H
#define GHATRACE_TRACE_BUILD_COMMON_H

#include "ghatrace/trace/policy.h"
#include "ghatrace/trace/span.h"
#include "ghatrace/trace/spans.h"
#include "ghatrace/trace/state.h"

// The data of the resource: only what every payload of the run carries, so that the resource is the same for all of
// its spans.
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
