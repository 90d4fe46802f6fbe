// Configurable behaviour of spans and their life cycle. The settings define the defaults.
#ifndef GHATRACE_TRACE_POLICY_H
#define GHATRACE_TRACE_POLICY_H

#include "ghatrace/base/time.h"
#include "ghatrace/trace/ids.h"
#include "ghatrace/trace/labels.h"
#include "ghatrace/trace/span.h"

struct trace_policy {
    enum id_scheme scheme;
    bool runner_spans; // runner.queue, runner.startup, runner.execution, job.waiting
    bool steps;
    // Jobs whose phases, job spans or steps are left out because their runners send them. Figures are not affected.
    struct runner_globs runner_spans_off;
    struct runner_globs job_spans_off;
    struct runner_globs steps_off;
    struct slice service_name;              // empty: from the repository
    const struct attribute *resource_extra; // OTEL_RESOURCE_ATTRIBUTES; existing keys are kept
    size_t resource_extra_count;

    duration_ns root_grace;  // how long a completed run waits for its open jobs
    duration_ns job_grace;   // how long an open job of a completed run is waited for
    duration_ns job_timeout; // how long a job without events is waited for
    // How long a job that waits for the approval of its environment is waited for, if that is longer.
    duration_ns approval_timeout;
    duration_ns run_idle; // when a run without events of its own counts as over
    duration_ns linger;   // how long notes of sent spans are kept

    // Completed jobs whose runner.* spans wait until ARC reported when they were assigned, at most `arc_grace`.
    struct runner_globs arc_runners;
    duration_ns arc_grace;
};

// How long the note that a run had a root is kept, and how long an unfinished run is kept whose root was sent
// incomplete. A run may wait for approval, and may be run again, for 30 days ("Workflow run history retention",
// GitHub Docs "Actions limits": a run lasts at most 35 days, waiting included).
#define TRACE_RUN_KEPT (35 * NS_PER_DAY)

// The daemon's approval_timeout. GitHub allows 30 days (GitHub Docs, "Reviewing deployments").
#define TRACE_APPROVAL_TIMEOUT (35 * NS_PER_DAY)

#endif
