// Pools of runners with what is known of each now: open jobs, and the waits that have not ended. Read inside the
// caller's transaction, and valid until it ends.
#ifndef GHATRACE_VIEW_POOLS_VIEW_H
#define GHATRACE_VIEW_POOLS_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ghatrace/base/error.h"
#include "ghatrace/base/time.h"
#include "ghatrace/stats/pool.h"
#include "ghatrace/trace/labels.h"
#include "ghatrace/view/run_view.h"

// Queued jobs looked at for percentiles: of one pool, and in all. Only the older half of a queue is.
#define POOLS_VIEW_LOOKED_AT_EACH 100000
#define POOLS_VIEW_LOOKED_AT 400000

struct pools_view_pool {
    struct pool pool;
    struct slice name; // pool_name()
    struct pool_open_waits waits;
};

struct pools_view {
    struct pools_view_pool *pools; // the longest wait first, then most open jobs, then by name
    size_t count;
};

// ERROR_MEMORY, or an error of the store.
enum error_code pools_view_load(const struct view_reader *reader,
                                struct pools_view *view) MUST_CHECK;

// How long a job has waited that waits since then; 0 if it begins later, as by another clock.
duration_ns pools_view_wait(timestamp_ns since, timestamp_ns now);

#endif
