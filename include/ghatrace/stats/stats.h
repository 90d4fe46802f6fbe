// Statistics of open and measured runs and jobs, kept in the store and updated in the same transaction as the states.
// They are not cached in memory, so nothing has to be rebuilt after a crash, and nothing is counted from the states
// while the program runs: reads return what is stored.
//
// struct stats is the writer's context within one transaction. Rows that many events change (a pool's, a series') are
// collected in memory and written once, by stats_flush(). Functions that take a transaction read the state as of the
// last flush or commit.
//
// Within a transaction: stats_begin, changes, stats_flush, expiry, commit. After an error the transaction must be
// aborted; the next stats_begin() discards the collected rows.
#ifndef GHATRACE_STATS_STATS_H
#define GHATRACE_STATS_STATS_H

#include <stddef.h>

#include "ghatrace/base/error.h"
#include "ghatrace/base/time.h"
#include "ghatrace/store/store.h"

struct stats;

#define STATS_SERIES_MAX_DEFAULT 1000

// The name of the entry for what exceeds the limits: used for its labels and names.
#define STATS_OTHER SLICE("other")

// `max_series`: limit of the pools, and of the label sets of each kind of series. Beyond it a new label set replaces
// the one that was unused for longest, whose sums are added to the set "other"; a new pool is counted under "other"
// until one has been unused for a day. While the store is tight nothing new is created. 0: STATS_SERIES_MAX_DEFAULT.
// ERROR_MEMORY.
enum error_code stats_create(size_t max_series, struct stats **stats,
                             struct error *error) MUST_CHECK;
void stats_destroy(struct stats *stats);

// Attaches it to a write transaction that has just begun. `now`: the time of the batch.
void stats_begin(struct stats *stats, struct store_transaction *transaction, timestamp_ns now);
// What this transaction counted under "other", or moved there, although it was used within the last day.
struct stats_overflow {
    uint64_t sets;    // sets of labels, or pools
    const char *kind; // of the last: "job", "run", "step" or "pool"
    char example[200];
};
void stats_read_overflow(const struct stats *stats, struct stats_overflow *overflow);
// Writes the collected rows. ERROR_FULL, ERROR_IO, ERROR_CORRUPT, ERROR_MEMORY.
enum error_code stats_flush(struct stats *stats, struct error *error) MUST_CHECK;

#endif
