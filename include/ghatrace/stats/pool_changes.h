// Changes of the queued and the running jobs of a pool, by second, read from the tables of pool_minutes.h.
#ifndef GHATRACE_STATS_POOL_CHANGES_H
#define GHATRACE_STATS_POOL_CHANGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ghatrace/base/error.h"
#include "ghatrace/base/time.h"
#include "ghatrace/stats/pool.h"
#include "ghatrace/store/store.h"

// Changes of one second.
struct pool_change {
    timestamp_ns at; // when the second begins
    int32_t queued, running;
};

// Changes of one or several pools, appended to each other, the oldest first in each. All zero but for the limits: none
// yet.
struct pool_changes {
    struct pool_change *items; // freed by pool_changes_release()
    size_t count, room;
    size_t most;        // changes that may be in it
    uint64_t rows_left; // minutes that may still be read
};

// What else its minutes say of one pool.
struct pool_activity {
    // not if there were more changes, or minutes, than may be; then there are none of the pool
    bool is_whole;
    timestamp_ns last_start; // the last minute in which a job started; TIMESTAMP_UNKNOWN: none
    // in which one started that had waited for less than a minute; likewise
    timestamp_ns last_short_start;
};

struct pool_changes_reader {
    struct store_transaction *transaction;
    timestamp_ns from, now;
    struct error *error;
};

// The times from which on all is known by second: whole hours, the first 3 to 4 hours before `now`, the other 24 to 25.
timestamp_ns pool_changes_recent(timestamp_ns now);
timestamp_ns pool_changes_day(timestamp_ns now);
// Appends the changes of a pool since `from`. ERROR_MEMORY, or an error of the store.
enum error_code pool_changes_read(const struct pool_changes_reader *reader,
                                  const struct pool_id *pool, struct pool_changes *changes,
                                  struct pool_activity *activity) MUST_CHECK;
// Appends one change. ERROR_TOO_LARGE: there are too many; ERROR_MEMORY. Without messages.
enum error_code pool_changes_add(struct pool_changes *changes,
                                 const struct pool_change *change) MUST_CHECK;
void pool_changes_release(struct pool_changes *changes);

// The end of the last hour, of those that are no longer kept by minute, in which a job of the pool ran. At most seven
// days ago; TIMESTAMP_UNKNOWN: none.
enum error_code pool_hours_read_last_active(const struct pool_changes_reader *reader,
                                            const struct pool_id *pool,
                                            timestamp_ns *ended) MUST_CHECK;

#endif
