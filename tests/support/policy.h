// A policy for tests and tools. A test of room app compares it with the defaults of the settings.
#ifndef TESTS_SUPPORT_POLICY_H
#define TESTS_SUPPORT_POLICY_H

#include "ghatrace/trace/policy.h"

static inline void trace_policy_init(struct trace_policy *policy)
{
    *policy = (struct trace_policy){
        .scheme = ID_SCHEME_ARC,
        .runner_spans = true,
        .steps = true,
        .root_grace = 10 * NS_PER_SECOND,
        .job_grace = 10 * NS_PER_MINUTE,
        .job_timeout = 6 * NS_PER_DAY,
        .approval_timeout = TRACE_APPROVAL_TIMEOUT,
        .run_idle = NS_PER_HOUR,
        .linger = 3 * NS_PER_DAY,
        .arc_grace = NS_PER_MINUTE,
    };
}

#endif
