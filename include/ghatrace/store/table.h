// Plain tables beside the states: bytes to bytes, in the order of their keys' bytes. What is in them is
// their users' business (stats/). A store that was made before there were tables has them, empty, from the
// first start of a daemon on; a tool that reads it earlier finds them empty.
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
    STORE_TABLE_OPEN_RUNS,       // stats/open_runs.h
    STORE_TABLE_RECENT,          // stats/recent.h
    STORE_TABLE_RECENT_BY_TRACE, // stats/recent.h
    STORE_TABLE_JOB_SERIES,      // stats/series.h
    STORE_TABLE_RUN_SERIES,      // stats/series.h
    STORE_TABLE_STEP_SERIES,     // stats/series.h
    STORE_TABLE_LATENCY,         // stats/latency.h
    STORE_TABLE_QUARANTINE,      // store/store.h
    STORE_TABLE_SPELLINGS,       // stats/spelling.h
    STORE_TABLE_COUNT,
};

#define STORE_TABLE_KEY_MAX 511 // bytes; a key has at least one

// What comes out is valid until the next write in, or the end of, the transaction. ERROR_NOT_FOUND is an
// answer, without a message; after any other error the transaction must be aborted.
enum error_code store_table_get(struct store_transaction *transaction, enum store_table table,
                                struct slice key, struct slice *value,
                                struct error *error) MUST_CHECK;
enum error_code store_table_put(struct store_transaction *transaction, enum store_table table,
                                struct slice key, struct slice value,
                                struct error *error) MUST_CHECK;
// ERROR_NOT_FOUND: there was none.
enum error_code store_table_delete(struct store_transaction *transaction, enum store_table table,
                                   struct slice key, struct error *error) MUST_CHECK;
// The first entry whose key is at or after `key`; an empty `key` gives the first of all.
enum error_code store_table_seek(struct store_transaction *transaction, enum store_table table,
                                 struct slice key, struct slice *found_key, struct slice *value,
                                 struct error *error) MUST_CHECK;
// The last entry whose key is before `key`; an empty `key` gives the last of all.
enum error_code store_table_seek_before(struct store_transaction *transaction,
                                        enum store_table table, struct slice key,
                                        struct slice *found_key, struct slice *value,
                                        struct error *error) MUST_CHECK;
// Moves an entry that cannot be read to the database `set_aside` (store.h).
enum error_code store_table_set_aside(struct store_transaction *transaction, enum store_table table,
                                      struct slice key, struct slice reason,
                                      struct error *error) MUST_CHECK;
// Entries, with what the transaction did so far. At no cost.
uint64_t store_table_count(struct store_transaction *transaction, enum store_table table);
// Empties it.
enum error_code store_table_clear(struct store_transaction *transaction, enum store_table table,
                                  struct error *error) MUST_CHECK;

// Walking many entries from `key` (as in store_table_seek) on, without looking each up: store_table_next()
// gives one after the other, then ERROR_NOT_FOUND. Nothing may be written meanwhile. End it before the transaction.
struct store_walk;
enum error_code store_table_walk(struct store_transaction *transaction, enum store_table table,
                                 struct slice key, struct store_walk **walk,
                                 struct error *error) MUST_CHECK;
enum error_code store_table_next(struct store_walk *walk, struct slice *found_key,
                                 struct slice *value, struct error *error) MUST_CHECK;
void store_table_end_walk(struct store_walk *walk);

#endif
