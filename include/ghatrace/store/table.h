// Plain key-value tables beside the states, ordered by the bytes of the keys. Their content is defined by their users
// (stats/, engine/). In a store that is older than these tables they are created, empty, when a daemon first opens it; a
// tool that reads it earlier sees them empty.
#ifndef GHATRACE_STORE_TABLE_H
#define GHATRACE_STORE_TABLE_H

#include <stddef.h>
#include <stdint.h>

#include "ghatrace/base/error.h"
#include "ghatrace/base/slice.h"
#include "ghatrace/store/store.h"

enum store_table {
    STORE_TABLE_STATS,           // stats/rebuild.h
    STORE_TABLE_POOLS,           // stats/pool.h
    STORE_TABLE_OPEN_JOBS,       // stats/pool.h
    STORE_TABLE_OPEN_RUNS,       // stats/runs.h
    STORE_TABLE_RECENT,          // stats/runs.h
    STORE_TABLE_RECENT_BY_TRACE, // stats/runs.h
    STORE_TABLE_JOB_SERIES,      // stats/series.h
    STORE_TABLE_RUN_SERIES,      // stats/series.h
    STORE_TABLE_STEP_SERIES,     // stats/series.h
    STORE_TABLE_LATENCY,         // stats/latency.h
    STORE_TABLE_QUARANTINE,      // store/store.h
    STORE_TABLE_SPELLINGS,       // stats/pool.h
    STORE_TABLE_LAST_OF_STATS = STORE_TABLE_SPELLINGS,
    STORE_TABLE_ARC_JOBS, // store/store.h, as are those below
    STORE_TABLE_ARC_CLOSED,
    STORE_TABLE_ARC_HELD,
    STORE_TABLE_ARC_HELD_BY_AGE,
    STORE_TABLE_FORWARDED,      // store/store.h
    STORE_TABLE_FORWARDED_DEAD, // store/store.h
    STORE_TABLE_OUR_SPANS,      // engine/our_spans.c
    STORE_TABLE_HELD,           // engine/forward.c
    STORE_TABLE_HELD_BY_TRACE,  // engine/forward.c
    STORE_TABLE_JOB_HISTORY,    // stats/job_history.h
    STORE_TABLE_POOL_WAITS,     // stats/latency.h
    STORE_TABLE_POOL_MINUTES,   // stats/pool_minutes.h
    STORE_TABLE_POOL_HOURS,     // stats/pool_minutes.h
    STORE_TABLE_RUNNERS,        // stats/runners.h
    STORE_TABLE_NOTICES,        // src/notify/list.h
    STORE_TABLE_COMMITS,        // stats/commits.h
    STORE_TABLE_ENDED_RUNS,     // stats/runs.h
    STORE_TABLE_PAST,           // view/pools_past.h
    STORE_TABLE_COUNT,
};

#define STORE_TABLE_KEY_MAX 511 // bytes; a key has at least one

struct store_entry {
    struct slice key;
    struct slice value;
};

// Results are valid until the next write in the transaction, or its end. ERROR_NOT_FOUND is a result, without a
// message; after any other error the transaction must be aborted.
enum error_code store_table_get(struct store_transaction *transaction, enum store_table table,
                                struct slice key, struct slice *value,
                                struct error *error) MUST_CHECK;
enum error_code store_table_put(struct store_transaction *transaction, enum store_table table,
                                struct slice key, struct slice value,
                                struct error *error) MUST_CHECK;
// Of a key that is after all others: entries that are only ever added like this fill their pages.
enum error_code store_table_append(struct store_transaction *transaction, enum store_table table,
                                   struct slice key, struct slice value,
                                   struct error *error) MUST_CHECK;
// ERROR_NOT_FOUND: there was none.
enum error_code store_table_delete(struct store_transaction *transaction, enum store_table table,
                                   struct slice key, struct error *error) MUST_CHECK;
// The first entry whose key is at or after `key`; an empty `key` gives the first of all.
enum error_code store_table_seek(struct store_transaction *transaction, enum store_table table,
                                 struct slice key, struct store_entry *entry,
                                 struct error *error) MUST_CHECK;
// The last entry whose key is before `key`; an empty `key` gives the last of all.
enum error_code store_table_seek_before(struct store_transaction *transaction,
                                        enum store_table table, struct slice key,
                                        struct store_entry *entry, struct error *error) MUST_CHECK;
// Moves an entry that cannot be read to the database `set_aside` (store.h).
enum error_code store_table_set_aside(struct store_transaction *transaction, enum store_table table,
                                      struct slice key, struct slice reason,
                                      struct error *error) MUST_CHECK;
// Number of entries, including changes of this transaction. O(1).
uint64_t store_table_count(struct store_transaction *transaction, enum store_table table);
// Deletes all entries.
enum error_code store_table_clear(struct store_transaction *transaction, enum store_table table,
                                  struct error *error) MUST_CHECK;

// Iterates over entries from `key` (as in store_table_seek) without looking each up: store_table_next() returns one
// after the other, then ERROR_NOT_FOUND. Do not write during the iteration. End it before the transaction.
struct store_walk;
enum error_code store_table_walk(struct store_transaction *transaction, enum store_table table,
                                 struct slice key, struct store_walk **walk,
                                 struct error *error) MUST_CHECK;
enum error_code store_table_next(struct store_walk *walk, struct store_entry *entry,
                                 struct error *error) MUST_CHECK;
void store_table_end_walk(struct store_walk *walk);

#endif
