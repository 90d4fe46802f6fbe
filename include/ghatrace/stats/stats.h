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

#include <stdbool.h>
#include <stddef.h>

#include "ghatrace/base/error.h"
#include "ghatrace/base/slice.h"
#include "ghatrace/base/time.h"
#include "ghatrace/stats/pool_rules.h"
#include "ghatrace/stats/series_options.h"
#include "ghatrace/store/store.h"

struct stats;

#define STATS_SERIES_MAX_DEFAULT 1000
#define STATS_POOLS_MAX_DEFAULT 2000

// The name of the entry for the series that exceed the limit: used for its labels and names.
#define STATS_OTHER SLICE("other")

struct stats_options {
    // Limit of the label sets of each kind of series. Beyond it a new label set replaces the one that was unused for
    // longest, whose sums are added to the set "other". 0: STATS_SERIES_MAX_DEFAULT.
    size_t max_series;
    // Limit of the pools (pool.h). 0: STATS_POOLS_MAX_DEFAULT.
    size_t max_pools;
    struct pool_rules rules; // the texts must outlive it
    struct series_options series;
};

// While the store is tight no pool and no series is created. ERROR_MEMORY.
enum error_code stats_create(const struct stats_options *options, struct stats **stats,
                             struct error *error) MUST_CHECK;
const struct pool_rules *stats_pool_rules(const struct stats *stats);
void stats_destroy(struct stats *stats);

// Attaches it to a write transaction that has just begun. `now`: the time of the batch.
void stats_begin(struct stats *stats, struct store_transaction *transaction, timestamp_ns now);
// What exceeded the limits in this transaction.
struct stats_overflow {
    // Sets of labels of series that were counted under "other", or moved there although used within the last day.
    uint64_t sets;
    const char *kind; // of the last: "job", "run" or "step"
    char example[200];
    uint64_t folded; // jobs that were counted in the pool "(one-off)", each time they were
    char folded_example[200];
};
void stats_read_overflow(const struct stats *stats, struct stats_overflow *overflow);
// What this transaction has changed about the stored figures, because other options are set than before.
struct stats_series_change {
    bool has_other_labels; // some were counted before, by other labels, and were added up
    bool has_other_bounds; // some were counted before, with other bounds, and were dropped
    bool has_other_pools;  // by other rules: what was known of pools over time was dropped
};
void stats_read_series_change(const struct stats *stats, struct stats_series_change *change);
// Writes the collected rows. ERROR_FULL, ERROR_IO, ERROR_CORRUPT, ERROR_MEMORY.
enum error_code stats_flush(struct stats *stats, struct error *error) MUST_CHECK;

// --- spelling of sets of labels --------------------------------------------------------------------
// The display text of sets of labels: the spelling that was seen first, the same in every pool and every series, as
// long as one of them has the set. Table spellings: first half of SHA-256 of labels_identity() → labels, as returned
// by labels_join().

// The spelling of a set; if there is none yet, `labels` becomes it. `*shown` is valid until stats_flush().
// ERROR_MEMORY, or an error of the store.
enum error_code spelling_choose(struct stats *stats, struct slice labels, struct slice *shown,
                                struct error *error) MUST_CHECK;
// For spellings from older versions: the first by bytes is kept, in whatever order they are offered.
enum error_code spelling_keep_first(struct stats *stats, struct slice labels,
                                    struct error *error) MUST_CHECK;
// Drops the spellings of sets that no pool and no series has, once there are far more than these can have; does
// nothing until then. After stats_flush().
enum error_code spelling_expire(struct stats *stats, struct error *error) MUST_CHECK;

#endif
