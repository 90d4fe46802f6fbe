// The store's own view of LMDB: the databases, the transaction, and the translation of its errors.
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
// Above any record that is made; a size in the outbox that says more is damaged.
#define STORE_RECORD_MAX ((uint32_t)64 << 20)
#define NOTE_ORDER_MAX 24

// Slices of time, an eighth of `linger` long, that deliveries are remembered in where their GUID has no time. Some nine
// are in use; more exist for a while after `linger` was changed.
#define SLICES_MAX 256
struct store_slices {
    timestamp_ns starts[SLICES_MAX]; // rising
    size_t count;
};

struct note_cache; // notes.h

// Kept in `meta` as "dead": what the dead letters below a sequence hold. Their count shows whether a version that
// does not know of the sum has written to the store meanwhile.
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
    uint64_t sequence; // last one given out, in write transactions
    bool outbox_changed;
    uint64_t outbox_bytes;                 // with what this transaction did, likewise
    struct store_set_aside_note set_aside; // by this transaction
    uint64_t unreadable;                   // entries that it left out
    bool dead_changed;
    struct dead_sum dead; // likewise
    bool notes_changed;
    uint64_t note_counts[STORE_NOTE_KINDS]; // likewise
    struct store_sheds sheds;               // likewise
};

struct store {
    MDB_env *env; // NULL after a failure, until it could be opened again
    MDB_dbi databases[DATABASE_COUNT];
    int lock_file; // -1 for tools
    uint64_t max_bytes;
    char *folder;
    char *data_file; // in it
    enum store_mode mode;
    bool was_opened;           // once at least: `found` holds
    struct store_found found;  // of the first time
    bool has_old_keys;         // see store_has_old_keys()
    bool is_unlocked;          // a reader without a place in a table of readers: there was none
    bool is_full;              // as the last look found; of the writing thread
    bool is_broken;            // LMDB wants to be opened anew; of the writing thread
    pthread_rwlock_t env_lock; // held for reading by readers, for writing while `env` is replaced
    struct store_transaction writer;            // the one write transaction
    bool has_slices;                            // what follows is what the database holds
    struct store_slices old_slices;             // of `deliveries`
    struct store_slices slices;                 // of the notes
    struct note_cache *notes;                   // of the writing thread; NULL for tools
    timestamp_ns notes_due[STORE_NOTE_KINDS];   // when to look at the front of each kind again
    timestamp_ns sweep_begun;                   // the last look at all notes
    uint8_t sweep_key[STORE_TABLE_KEY_MAX + 1]; // where it goes on
    size_t sweep_len;                           // 0: it is over
    uint64_t expire_from;                       // where the next look for old records begins
    atomic_uint_fast64_t unreadable;            // entries that readers left out, each time
    uint64_t dead_from;                         // where the next look for old dead letters begins
    bool dead_was_looked;                       // at all of them, at `dead_looked_at`
    timestamp_ns dead_looked_at;
};

// The tables and the notes may be missing where a tool reads a store that is older than they are. LMDB's own databases are
// the first two, so that 0 is none of ours.
static inline bool lmdb_has_database(const struct store *store, enum database database)
{
    return store->databases[database] != 0;
}

void lmdb_put_be64(uint8_t *bytes, uint64_t value);
uint64_t lmdb_get_be64(const void *bytes);
void lmdb_put_key(uint8_t bytes[KEY_SIZE], const struct store_key *key);
void lmdb_get_key(const void *bytes, struct store_key *key);

// LMDB's code as ours, with its words behind `what`. MDB_NOTFOUND becomes ERROR_NOT_FOUND without words.
enum error_code lmdb_error(int code, const char *what, struct error *error);

// --- store.c ---

uint64_t lmdb_count_entries(struct store_transaction *transaction, enum database database);

// --- records.c ---

// --- records.c: dead letters ---

// The sum as it is stored, at the start of a transaction, and as it is to be stored at its end.
enum error_code store_read_dead_sum(struct store_transaction *transaction,
                                    struct error *error) MUST_CHECK;
enum error_code store_write_dead_sum(struct store_transaction *transaction,
                                     struct error *error) MUST_CHECK;

// --- check.c: entries that were set aside ---

// Moves an entry that is there out of its database, with `reason`; in write transactions.
enum error_code lmdb_set_aside(struct store_transaction *transaction, enum database database,
                               struct slice key, struct slice reason,
                               struct error *error) MUST_CHECK;
// lmdb_seek(), and the last entry, of spans, deadlines, records, outbox, dead or history. What has not the lengths that
// entries of the database have is set aside in write transactions, and left out by readers.
enum error_code lmdb_seek_sound(struct store_transaction *transaction, enum database database,
                                const void *key, size_t key_len, struct slice *found_key,
                                struct slice *data, const char *what,
                                struct error *error) MUST_CHECK;
enum error_code lmdb_last_sound(struct store_transaction *transaction, enum database database,
                                struct slice *found_key, struct slice *data, const char *what,
                                struct error *error) MUST_CHECK;
bool lmdb_value_has_shape(enum database database, size_t data_len);
const char *lmdb_database_name(enum database database);
// --- deliveries.c ---

// Lists the slices of time. Once at the start, and after an aborted transaction.
enum error_code deliveries_load(struct store_transaction *transaction,
                                struct error *error) MUST_CHECK;
// The start of the first slice that format version 1 wrote; TIMESTAMP_UNKNOWN: there is none.
enum error_code deliveries_oldest_old(struct store_transaction *transaction, timestamp_ns *oldest,
                                      struct error *error) MUST_CHECK;

// --- check.c: is the file what it should be? `path`: of data.mdb, for the words ---

// Before it is opened: ERROR_IO for what is no file. A missing one is fine.
enum error_code verify_is_file(const char *path, struct error *error) MUST_CHECK;
// After it was opened: ERROR_CORRUPT if pages in use are missing at its end. Nobody may be writing to it.
enum error_code verify_length(MDB_env *env, const char *path, struct error *error) MUST_CHECK;
// Reads the first and the last entry of each database.
enum error_code verify_ends(struct store_transaction *transaction, const char *path,
                            struct error *error) MUST_CHECK;
// LMDB's code in words about the file and what to do about it.
enum error_code verify_explain(int code, const char *path, struct error *error);

// --- versions.c ---

// Refuses what this version cannot read, with a sentence; a daemon makes the rest its own. When the databases are open.
enum error_code versions_check(struct store_transaction *transaction, bool is_daemon,
                               struct error *error) MUST_CHECK;

// --- store.c: what ends the process with a message and status 1 ---

// False: a page that `run` wanted cannot be read; it was left in the middle. For what only reads.
bool sigbus_try(void (*run)(void *context), void *context) MUST_CHECK;

// Shorthands over one database. A `data` of NULL stands for an empty value.
enum error_code lmdb_get(struct store_transaction *transaction, enum database database,
                         const void *key, size_t key_len, struct slice *data, const char *what,
                         struct error *error) MUST_CHECK;
enum error_code lmdb_put(struct store_transaction *transaction, enum database database,
                         const void *key, size_t key_len, const void *data, size_t data_len,
                         const char *what, struct error *error) MUST_CHECK;
// An absent key is no error.
enum error_code lmdb_delete(struct store_transaction *transaction, enum database database,
                            const void *key, size_t key_len, const char *what,
                            struct error *error) MUST_CHECK;
// The first entry whose key is not below the given one.
enum error_code lmdb_seek(struct store_transaction *transaction, enum database database,
                          const void *key, size_t key_len, struct slice *found_key,
                          struct slice *data, const char *what, struct error *error) MUST_CHECK;

#endif
