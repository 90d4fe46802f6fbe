// What the operator may choose, as it is when nothing is chosen.
#include "ghatrace/trace/policy.h"

void trace_policy_init(struct trace_policy *policy)
{
    *policy = (struct trace_policy){
        .scheme = ID_SCHEME_ARC,
        .runner_spans = true,
        .steps = true,
        .root_grace = 10 * NS_PER_SECOND,
        .job_grace = 10 * NS_PER_MINUTE,
        .job_timeout = 6 * NS_PER_DAY,
        .approval_timeout = 35 * NS_PER_DAY,
        .run_idle = NS_PER_HOUR,
        .linger = 3 * NS_PER_DAY,
    };
}
