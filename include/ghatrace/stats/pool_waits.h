// Waits that ended in a pool, over any time of the last 35 days, from its minutes and hours (pool_minutes.h). Histograms
// are added up, so that percentiles of many hours are as exact as those of one.
#ifndef GHATRACE_STATS_POOL_WAITS_H
#define GHATRACE_STATS_POOL_WAITS_H

#include <stddef.h>

#include "ghatrace/base/error.h"
#include "ghatrace/base/time.h"
#include "ghatrace/stats/latency.h"
#include "ghatrace/stats/pool.h"
#include "ghatrace/stats/pool_history.h"
#include "ghatrace/store/store.h"

#define POOL_WAIT_SLOTS_MAX 96

struct pool_wait_slots {
    timestamp_ns first, end;
    duration_ns length; // of a slot; the last one ends at `end`, and may be shorter
    size_t count;       // 1 to POOL_WAIT_SLOTS_MAX
};

// The same time in fewer slots, of whole minutes or hours: at most POOL_WAIT_SLOTS_MAX.
void pool_wait_slots_of(const struct pool_history_slots *slots, struct pool_wait_slots *fewer);

// Adds the waits that ended in each slot to `waits[slot]`. Reads at most as many rows as the pool has minutes and hours.
enum error_code pool_waits_read(struct store_transaction *transaction, const struct pool_id *pool,
                                const struct pool_wait_slots *slots, struct histogram *waits,
                                struct error *error) MUST_CHECK;

#endif
