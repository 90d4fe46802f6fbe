// What was queued and what ran in a pool, by minute or by hour, in the last 35 days: of the last 25 hours from
// pool_minutes, of the time before from pool_hours (pool_minutes.h).
#ifndef GHATRACE_STATS_POOL_HISTORY_H
#define GHATRACE_STATS_POOL_HISTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ghatrace/base/arena.h"
#include "ghatrace/base/error.h"
#include "ghatrace/base/time.h"
#include "ghatrace/stats/latency.h"
#include "ghatrace/stats/pool_minutes.h"

// What is asked for. TIMESTAMP_UNKNOWN: not given.
struct pool_history_span {
    timestamp_ns from;  // or
    duration_ns window; // that ends at `to`, if it is above 0
    timestamp_ns to;    // now, if it is not given or later than now
};

// Slots of one length, from the one with the first time that is asked for to the one with the last.
struct pool_history_slots {
    timestamp_ns first;
    duration_ns length; // a minute, if all is within 24 hours and kept by minute; else an hour
    size_t count;
};

// Of a minute to 35 days. ERROR_USAGE, with a message.
enum error_code pool_history_slots_of(const struct pool_history_span *span, timestamp_ns now,
                                      struct pool_history_slots *slots,
                                      struct error *error) MUST_CHECK;

struct pool_slot {
    // not if it ended before the first change of the pool that is known; then all is 0
    bool is_known;
    uint64_t arrivals; // jobs that became ready
    uint64_t starts;
    uint64_t queued_max, running_max; // of those at the end of each second
    double queued_mean,
        running_mean; // weighted by time; of a slot that has not ended, of the time up to now
    struct histogram *waits; // of the starts; NULL if there are none
};

struct pool_history {
    timestamp_ns known_since; // TIMESTAMP_UNKNOWN: nothing is known
    struct pool_slot *slots;
};

// In the arena. ERROR_MEMORY, or an error of the store.
enum error_code pool_history_read(const struct pool_reader *reader,
                                  const struct pool_history_slots *slots, struct arena *arena,
                                  struct pool_history *history) MUST_CHECK;

#endif
