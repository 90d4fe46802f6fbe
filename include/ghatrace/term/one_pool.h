// One pool of runners in the terminal: `ghatrace pools NAME`.
#ifndef GHATRACE_TERM_ONE_POOL_H
#define GHATRACE_TERM_ONE_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ghatrace/base/arena.h"
#include "ghatrace/base/buffer.h"
#include "ghatrace/base/error.h"
#include "ghatrace/term/pools.h"
#include "ghatrace/term/top.h"
#include "ghatrace/view/pool_jobs.h"
#include "ghatrace/view/pools_view.h"

struct one_pool {
    struct pools_view_pool pool;
    struct pools_view ceilings;             // its ceiling, if it has one; without pools
    const struct pools_view_shares *shares; // one for each ceiling
    struct pool_users users;
    struct top_job *jobs; // the first of its open ones
    size_t job_count;
    uint64_t total; // of its open jobs
};

// Writes whether the pool keeps up and since when, and what to do; its figures; its ceiling, if that is reached; which
// repositories and workflows have its jobs; and its jobs. Otherwise as pools_render().
enum error_code one_pool_render(const struct one_pool *shown, const struct pools_options *options,
                                struct arena *scratch, struct buffer *out,
                                struct error *error) MUST_CHECK;

#endif
