// What the operator may choose about spans and their life cycle.
#ifndef GHATRACE_TRACE_POLICY_H
#define GHATRACE_TRACE_POLICY_H

#include "ghatrace/base/timestamp.h"
#include "ghatrace/trace/ids.h"
#include "ghatrace/trace/span.h"

struct trace_policy {
    enum id_scheme scheme;
    bool runner_spans; // runner.queue, runner.startup, runner.execution, job.waiting
    bool steps;
    struct slice service_name;              // empty: from the repository
    const struct attribute *resource_extra; // OTEL_RESOURCE_ATTRIBUTES; ours win over equal keys
    size_t resource_extra_count;

    duration_ns root_grace;  // how long a completed run waits for its open jobs
    duration_ns job_grace;   // how long an open job of a completed run is waited for
    duration_ns job_timeout; // how long a silent job is waited for
    // How long one that waits for the approval of its environment is; where that is longer. GitHub allows 30 days
    // (GitHub Docs, "Reviewing deployments").
    duration_ns approval_timeout;
    duration_ns run_idle; // when a run that only jobs speak of counts as over
    duration_ns linger;   // how long it is remembered that something went out
};

// root_grace 10 s, job_grace 10 min, job_timeout 6 d, approval_timeout 35 d, run_idle 1 h, linger 3 d; scheme arc; all spans.
void trace_policy_init(struct trace_policy *policy);

#endif
