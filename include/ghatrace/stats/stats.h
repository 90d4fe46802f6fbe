// What is open and what was measured, as figures that are kept in the store, in the very transaction that
// changes the states. Nothing of it is a copy in memory that must be made again after a crash, and nothing
// is ever counted from the states while the program runs: what is asked for is read as it stands.
//
// struct stats is what the one writer works with inside one transaction. Rows that many events change (a
// pool's, a series') are gathered in memory and written once, by stats_flush(). What is read from the store
// by the functions that take a transaction is as of the last flush or commit.
//
// Within a transaction: stats_begin, changes, stats_flush, expiry, commit. After an error the transaction
// must be aborted; the next stats_begin() forgets what was gathered for it.
#ifndef GHATRACE_STATS_TALLY_H
#define GHATRACE_STATS_TALLY_H

#include <stddef.h>

#include "ghatrace/base/error.h"
#include "ghatrace/base/time.h"
#include "ghatrace/store/store.h"

struct stats;

#define STATS_SERIES_MAX_DEFAULT 1000

// What names an entry whose bounds are full: there labels and names read so.
#define STATS_OTHER SLICE("other")

// `max_series`: pools, and label sets of each kind of series. Beyond it a new label set takes the place of the
// one that was unused for longest, whose sums are added to the set "other"; a new pool is counted under "other" until
// one has been unused for a day. While the store is tight nothing new is made. 0: STATS_SERIES_MAX_DEFAULT. ERROR_MEMORY.
enum error_code stats_create(size_t max_series, struct stats **stats,
                             struct error *error) MUST_CHECK;
void stats_destroy(struct stats *stats);

// Binds it to a write transaction that has just begun. `now`: the time of the batch.
void stats_begin(struct stats *stats, struct store_transaction *transaction, timestamp_ns now);
// What this transaction counted under "other", or moved there, although it was in use within the last day.
struct stats_overflow {
    uint64_t sets;    // of labels; or pools
    const char *kind; // of the last: "job", "run", "step" or "pool"
    char example[200];
};
void stats_read_overflow(const struct stats *stats, struct stats_overflow *overflow);
// Writes what was gathered. ERROR_FULL, ERROR_IO, ERROR_CORRUPT, ERROR_MEMORY.
enum error_code stats_flush(struct stats *stats, struct error *error) MUST_CHECK;

#endif
