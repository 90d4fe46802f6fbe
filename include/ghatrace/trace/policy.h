// What the operator may choose about spans and their life cycle. The defaults are those of the settings.
#ifndef GHATRACE_TRACE_POLICY_H
#define GHATRACE_TRACE_POLICY_H

#include "ghatrace/base/time.h"
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
    // How long one that waits for the approval of its environment is; where that is longer.
    duration_ns approval_timeout;
    duration_ns run_idle; // when a run that only jobs speak of counts as over
    duration_ns linger;   // how long it is remembered that something went out
};

// How long it is remembered that a run had a root, and how long an unfinished run is kept whose root was sent as it
// stands. A run may wait for approval, and may be run again, for 30 days ("Workflow run history retention", GitHub Docs
// "Actions limits": a run lasts at most 35 days, waiting included).
#define TRACE_RUN_KEPT (35 * NS_PER_DAY)

// The approval_timeout of the daemon. GitHub allows 30 days (GitHub Docs, "Reviewing deployments").
#define TRACE_APPROVAL_TIMEOUT (35 * NS_PER_DAY)

#endif
