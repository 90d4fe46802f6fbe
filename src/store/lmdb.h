// The store's internal view of LMDB: the databases, the transaction, and the mapping of its errors.
#ifndef GHATRACE_STORE_LMDB_H
#define GHATRACE_STORE_LMDB_H

#include <lmdb.h>
#include <pthread.h>
#include <stdatomic.h>

#include "ghatrace/store/store.h"
#include "ghatrace/store/table.h"
#include "ghatrace/store/versions.h"

enum database {
    DATABASE_META,
    DATABASE_SPANS,
    DATABASE_DEADLINES,
    DATABASE_DELIVERIES,
    DATABASE_RECORDS,
    DATABASE_OUTBOX,
    DATABASE_DEAD,
    DATABASE_HISTORY,
    DATABASE_NOTES,
    DATABASE_TABLES, // the first of them, in the order of enum store_table
    DATABASE_SET_ASIDE = DATABASE_TABLES + STORE_TABLE_COUNT,
    DATABASE_COUNT,
};

#define KEY_SIZE (TRACE_ID_SIZE + SPAN_ID_SIZE)
#define SEQUENCE_SIZE 8
#define TIME_SIZE 8
// Larger than any record; a larger size in the outbox is damaged.
#define STORE_RECORD_MAX ((uint32_t)64 << 20)
#define NOTE_ORDER_MAX 24

// Slices of time, an eighth of `linger` long, in which deliveries without a time in their GUID are recorded. About
// nine are in use; more exist for a while after `linger` was changed.
#define SLICES_MAX 256
struct store_slices {
    timestamp_ns starts[SLICES_MAX]; // ascending
    size_t count;
};

struct note_cache; // notes.h

// Stored in `meta` as "dead": the totals of the dead letters below a sequence. The count shows whether a version
// without this sum has written to the store since.
struct dead_sum {
    uint64_t bytes;   // bodies of the records
    uint64_t letters; // that were counted
    uint64_t below;   // letters with lower sequences were counted; UINT64_MAX: all of them
};

struct store_transaction {
    struct store *store;
    MDB_txn *txn;
    bool is_write;
    bool has_env_lock;
    bool sequence_changed;
    uint64_t sequence; // last one used, in write transactions
    bool outbox_changed;
    uint64_t outbox_bytes; // including this transaction's changes, likewise
    bool forwarded_changed;
    uint64_t forwarded_bytes;              // of these: of other programs' spans, likewise
    uint64_t forwarded_dead_bytes;         // of their dead letters, likewise
    struct store_set_aside_note set_aside; // by this transaction
    uint64_t unreadable;                   // entries that it skipped
    bool dead_changed;
    struct dead_sum dead; // likewise
    bool notes_changed;
    uint64_t note_counts[STORE_NOTE_KINDS]; // likewise
    struct store_sheds sheds;               // likewise
};

struct store {
    MDB_env *env; // NULL after a failure, until it is opened again
    MDB_dbi databases[DATABASE_COUNT];
    int lock_file; // -1 for tools
    uint64_t max_bytes;
    char *folder;
    char *data_file; // in the folder
    enum store_mode mode;
    bool was_opened;           // at least once: `found` is valid
    struct store_found found;  // at the first opening
    bool has_old_keys;         // see store_has_old_keys()
    bool is_unlocked;          // a reader without a slot, since there is no reader table
    bool is_full;              // as of the last check; of the writing thread
    bool is_broken;            // LMDB must be opened again; of the writing thread
    pthread_rwlock_t env_lock; // held for reading by readers, for writing while `env` is replaced
    struct store_transaction writer;            // the only write transaction
    bool has_slices;                            // what follows matches the database
    struct store_slices old_slices;             // of `deliveries`
    struct store_slices slices;                 // of the notes
    struct note_cache *notes;                   // of the writing thread; NULL for tools
    timestamp_ns notes_due[STORE_NOTE_KINDS];   // next check of the front of each kind
    timestamp_ns sweep_begun;                   // start of the last sweep over all notes
    uint8_t sweep_key[STORE_TABLE_KEY_MAX + 1]; // where it continues
    size_t sweep_len;                           // 0: it is finished
    uint64_t expire_from;                       // where the next search for old records begins
    atomic_uint_fast64_t unreadable;            // entries that readers skipped, each time
    uint64_t dead_from;                         // where the next search for old dead letters begins
    bool dead_was_looked;                       // all were checked, at `dead_looked_at`
    timestamp_ns dead_looked_at;
};

// The tables and the notes may be missing if a tool reads a store that is older. LMDB's own databases are the first
// two, so 0 is never one of the store's.
bool lmdb_has_database(const struct store *store, enum database database);

void lmdb_put_be64(uint8_t *bytes, uint64_t value);
uint64_t lmdb_get_be64(const void *bytes);
// Both write `bytes` and return them, as a key.
struct slice lmdb_put_key(uint8_t bytes[KEY_SIZE], const struct store_key *key);
struct slice lmdb_put_sequence(uint8_t bytes[SEQUENCE_SIZE], uint64_t sequence);
void lmdb_get_key(const void *bytes, struct store_key *key);

// Maps LMDB's code, with LMDB's message after `what`. MDB_NOTFOUND becomes ERROR_NOT_FOUND without a message.
enum error_code lmdb_error(int code, const char *what, struct error *error);

MDB_val lmdb_value(struct slice bytes);
struct slice lmdb_slice(MDB_val value);

// --- entries.c: access to one database ---

// What the functions below have in common.
struct lmdb_op {
    struct store_transaction *transaction;
    enum database database;
    const char *what; // begins the message of an error
    struct error *error;
};

enum error_code lmdb_get(const struct lmdb_op *op, struct slice key, struct slice *data) MUST_CHECK;
enum error_code lmdb_put(const struct lmdb_op *op, struct slice key, struct slice data) MUST_CHECK;
// An absent key is no error.
enum error_code lmdb_delete(const struct lmdb_op *op, struct slice key) MUST_CHECK;
// The first entry whose key is not below the given one.
enum error_code lmdb_seek(const struct lmdb_op *op, struct slice key, struct slice *found_key,
                          struct slice *data) MUST_CHECK;
// As mdb_cursor_get(); the thread beats (base/heartbeat.h). All reads by cursors in this room go through it.
int lmdb_move(MDB_cursor *cursor, MDB_val *key, MDB_val *value, MDB_cursor_op where);
enum error_code lmdb_open_cursor(const struct lmdb_op *op, MDB_cursor **cursor) MUST_CHECK;

// Counters of be64 each in one entry of `meta`; unchanged if it is absent or has another length.
#define SUM_SIZE 8
#define SUMS_MAX 16
enum error_code lmdb_get_sums(const struct lmdb_op *op, struct slice name, uint64_t *sums,
                              size_t count) MUST_CHECK;
// The same of an entry that earlier versions wrote with the first `old_count` only.
enum error_code lmdb_get_extended_sums(const struct lmdb_op *op, struct slice name, uint64_t *sums,
                                       size_t old_count, size_t count) MUST_CHECK;
enum error_code lmdb_put_sums(const struct lmdb_op *op, struct slice name, const uint64_t *sums,
                              size_t count) MUST_CHECK;
// 0 where the database is missing.
uint64_t lmdb_count_entries(struct store_transaction *transaction, enum database database);
const char *lmdb_database_name(enum database database);

// --- records.c ---

// At the start: counts the bytes of other programs' spans in the outbox again if the sum is impossible.
enum error_code store_check_forwarded_sum(struct store_transaction *transaction,
                                          struct error *error) MUST_CHECK;

// --- records.c: dead letters ---

// The sum as stored at the start of a transaction, and as it has to be stored at its end.
enum error_code store_read_dead_sum(struct store_transaction *transaction,
                                    struct error *error) MUST_CHECK;
enum error_code store_write_dead_sum(struct store_transaction *transaction,
                                     struct error *error) MUST_CHECK;

// --- entries.c: entries that were set aside ---

// Moves an existing entry out of its database, with `reason`; in write transactions.
enum error_code lmdb_set_aside(struct store_transaction *transaction, enum database database,
                               struct slice key, struct slice reason,
                               struct error *error) MUST_CHECK;
// Like lmdb_seek(), and the last entry, for spans, deadlines, records, outbox, dead or history. Entries whose lengths
// do not fit the database are set aside in write transactions, and skipped by readers.
enum error_code lmdb_seek_sound(const struct lmdb_op *op, struct slice key, struct slice *found_key,
                                struct slice *data) MUST_CHECK;
enum error_code lmdb_last_sound(const struct lmdb_op *op, struct slice *found_key,
                                struct slice *data) MUST_CHECK;
bool lmdb_value_has_shape(enum database database, size_t data_len);

// --- deliveries.c ---

// Reads the list of slices. Once at the start, and after an aborted transaction.
enum error_code deliveries_load(struct store_transaction *transaction,
                                struct error *error) MUST_CHECK;
// The start of the first slice of format version 1; TIMESTAMP_UNKNOWN: there is none.
enum error_code deliveries_oldest_old(struct store_transaction *transaction, timestamp_ns *oldest,
                                      struct error *error) MUST_CHECK;

// --- check.c: integrity of the file. `path`: of data.mdb, for messages ---

// Before it is opened: ERROR_IO if it is not a file. A missing one is no error.
enum error_code verify_is_file(const char *path, struct error *error) MUST_CHECK;
// After it was opened: ERROR_CORRUPT if pages in use are missing at its end. There must be no concurrent writer.
enum error_code verify_length(MDB_env *env, const char *path, struct error *error) MUST_CHECK;
// Reads the first and the last entry of each database.
enum error_code verify_ends(struct store_transaction *transaction, const char *path,
                            struct error *error) MUST_CHECK;
// A message for LMDB's code: what is wrong with the file and what to do about it.
enum error_code verify_explain(int code, const char *path, struct error *error);

// --- check.c: versions ---

// Refuses, with a message, what this version cannot read; a daemon upgrades the rest. Call when the databases are
// open.
enum error_code versions_check(struct store_transaction *transaction, bool is_daemon,
                               struct error *error) MUST_CHECK;

// --- store.c: fatal faults, which end the process with a message and status 1 ---

// False: a page that `run` needed cannot be read; it was aborted halfway. Only for code that reads.
bool sigbus_try(void (*run)(void *context), void *context) MUST_CHECK;

#endif
