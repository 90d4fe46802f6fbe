// How long jobs waited for a runner, pool by pool, over a time of at most 35 days. Percentiles are those of histograms
// that are added up, never means of percentiles.
//
// A window of at most 24 hours that ends now is read from slots of five minutes (stats/latency.h), which outlive a change
// of the rules for pools; any other time from minutes and hours of pools (stats/pool_waits.h). With 2,000 pools and 35
// days that takes a second, so it is for a thread of its own; no transaction is kept open for longer than
// LATENCY_VIEW_HELD and the reading of one slot or one pool.
#ifndef GHATRACE_VIEW_LATENCY_VIEW_H
#define GHATRACE_VIEW_LATENCY_VIEW_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ghatrace/base/arena.h"
#include "ghatrace/base/error.h"
#include "ghatrace/base/time.h"
#include "ghatrace/stats/pool.h"
#include "ghatrace/stats/pool_history.h"
#include "ghatrace/store/store.h"

#define LATENCY_VIEW_HELD (10 * NS_PER_MS)

struct latency_question {
    struct pool_history_span span; // nothing given: the last hour
    timestamp_ns now;
    bool is_worst_first;             // else those with most jobs first
    const atomic_bool *is_cancelled; // NULL: it cannot be cancelled
};

// Of waits that ended; if `count` is 0, all is 0.
struct latency_figures {
    uint64_t count;
    duration_ns p50, p90, p99, max;
};

struct latency_pool {
    const struct pool *pool;
    struct latency_figures whole;
    struct latency_figures *slots; // slot_count
};

struct latency_view {
    timestamp_ns first, end;
    duration_ns slot_length; // the last slot ends at `end`, and may be shorter
    size_t slot_count;
    struct latency_pool
        *pools; // those in which a wait ended; the worst: with the longest 90th percentile
    size_t count;
    uint64_t unreadable; // entries
};

// In the arena. ERROR_USAGE: a time that cannot be shown; ERROR_CLOSED: cancelled; ERROR_MEMORY, or an error of the store.
enum error_code latency_view_load(struct store *store, const struct latency_question *question,
                                  struct arena *arena, struct latency_view *view,
                                  struct error *error) MUST_CHECK;

#endif
