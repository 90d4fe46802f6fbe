// Transactions, and what the environment holds in bytes.
#include "ghatrace/base/memory.h"
#include "lmdb.h"

// Deleting needs pages too (copy on write): what is above this share is kept for it.
#define FULL_PERCENT 90
// Above this share, what was delivered makes room before its time.
#define TIGHT_PERCENT 75

static enum error_code read_sequence(struct store_transaction *transaction, struct error *error)
{
    struct slice found;
    if (transaction->store->databases[DATABASE_META] == 0)
        return ERROR_NONE; // the first transaction, which makes the databases
    enum error_code code =
        lmdb_get(transaction, DATABASE_META, "sequence", 8, &found, "read sequence", error);
    if (code == ERROR_NOT_FOUND)
        return ERROR_NONE;
    if (code == ERROR_NONE && found.len == SEQUENCE_SIZE)
        transaction->sequence = lmdb_get_be64(found.data);
    return code;
}

static enum error_code read_outbox_bytes(struct store_transaction *transaction, struct error *error)
{
    struct slice found;
    if (transaction->store->databases[DATABASE_META] == 0)
        return ERROR_NONE;
    enum error_code code =
        lmdb_get(transaction, DATABASE_META, "outbox", 6, &found, "read outbox size", error);
    if (code == ERROR_NOT_FOUND)
        return ERROR_NONE;
    if (code == ERROR_NONE && found.len == SEQUENCE_SIZE)
        transaction->outbox_bytes = lmdb_get_be64(found.data);
    return code;
}

enum error_code store_begin_bare(struct store *store, bool is_write,
                                 struct store_transaction **transaction, struct error *error)
{
    struct store_transaction *made = &store->writer;
    if (store->env == NULL)
        return error_set(error, ERROR_IO, "store: begin: it could not be opened again yet");
    if (!is_write)
        made = memory_allocate(sizeof *made);
    if (made == NULL)
        return error_set(error, ERROR_MEMORY, "store: begin: out of memory");
    *made = (struct store_transaction){.store = store, .is_write = is_write};
    int begun = mdb_txn_begin(store->env, NULL, is_write ? 0 : MDB_RDONLY, &made->txn);
    if (is_write && begun == MDB_PANIC)
        store->is_broken = true;
    enum error_code code = lmdb_error(begun, "begin", error);
    if (code == ERROR_NONE && is_write)
        code = read_sequence(made, error);
    if (code == ERROR_NONE)
        code = read_outbox_bytes(made, error);
    if (code != ERROR_NONE) {
        if (begun == MDB_SUCCESS)
            mdb_txn_abort(made->txn);
        if (!is_write)
            memory_free(made);
        return code;
    }
    *transaction = made;
    return ERROR_NONE;
}

enum error_code store_begin(struct store *store, bool is_write,
                            struct store_transaction **transaction, struct error *error)
{
    if (!is_write)
        pthread_rwlock_rdlock(&store->env_lock);
    enum error_code code = store_begin_bare(store, is_write, transaction, error);
    if (is_write && store->is_broken && store_reopen(store, error) == ERROR_NONE)
        code = store_begin_bare(store, is_write, transaction, error);
    if (is_write)
        return code;
    if (code == ERROR_NONE)
        (*transaction)->has_env_lock = true;
    else
        pthread_rwlock_unlock(&store->env_lock);
    return code;
}

static void end_transaction(struct store_transaction *transaction)
{
    transaction->txn = NULL;
    if (transaction->has_env_lock)
        pthread_rwlock_unlock(&transaction->store->env_lock);
    if (!transaction->is_write)
        memory_free(transaction);
}

static enum error_code write_sums(struct store_transaction *transaction, struct error *error)
{
    uint8_t bytes[SEQUENCE_SIZE];
    enum error_code code = ERROR_NONE;
    lmdb_put_be64(bytes, transaction->sequence);
    if (transaction->sequence_changed)
        code = lmdb_put(transaction, DATABASE_META, "sequence", 8, bytes, sizeof bytes,
                        "write sequence", error);
    lmdb_put_be64(bytes, transaction->outbox_bytes);
    if (code == ERROR_NONE && transaction->outbox_changed)
        code = lmdb_put(transaction, DATABASE_META, "outbox", 6, bytes, sizeof bytes,
                        "write outbox size", error);
    return code;
}

enum error_code store_commit(struct store_transaction *transaction, struct error *error)
{
    enum error_code code = write_sums(transaction, error);
    if (code != ERROR_NONE) {
        store_abort(transaction);
        return code;
    }
    code = lmdb_error(mdb_txn_commit(transaction->txn), "commit", error);
    end_transaction(transaction);
    return code;
}

void store_abort(struct store_transaction *transaction)
{
    mdb_txn_abort(transaction->txn);
    end_transaction(transaction);
}

// --- size ------------------------------------------------------------------------------------------------

// Pages that LMDB may use again. They can be read in a read transaction only, so this begins its own.
static enum error_code count_free_pages(struct store *store, uint64_t *pages, struct error *error)
{
    const MDB_dbi free_database = 0;
    MDB_txn *txn;
    MDB_cursor *cursor;
    MDB_val key;
    MDB_val value;
    *pages = 0;
    int code = mdb_txn_begin(store->env, NULL, MDB_RDONLY, &txn);
    if (code != MDB_SUCCESS)
        return lmdb_error(code, "read free pages", error);
    code = mdb_cursor_open(txn, free_database, &cursor);
    if (code == MDB_SUCCESS) {
        while ((code = mdb_cursor_get(cursor, &key, &value, MDB_NEXT)) == MDB_SUCCESS) {
            size_t count; // each value is a list of page numbers with its length in front
            memcpy(&count, value.mv_data, sizeof count);
            *pages += count;
        }
        mdb_cursor_close(cursor);
    }
    mdb_txn_abort(txn);
    return code == MDB_NOTFOUND ? ERROR_NONE : lmdb_error(code, "read free pages", error);
}

static enum error_code read_used_bytes(struct store *store, uint64_t *used, uint64_t *max,
                                       struct error *error)
{
    MDB_envinfo info = {0};
    MDB_stat status = {0};
    uint64_t free_pages;
    (void)mdb_env_info(store->env, &info);
    (void)mdb_env_stat(store->env, &status);
    enum error_code code = count_free_pages(store, &free_pages, error);
    uint64_t pages = info.me_last_pgno + 1;
    *used = (pages > free_pages ? pages - free_pages : 0) * status.ms_psize;
    *max = info.me_mapsize;
    return code;
}

static uint64_t count_entries(struct store_transaction *transaction, enum database database)
{
    MDB_stat status = {0};
    (void)mdb_stat(transaction->txn, transaction->store->databases[database], &status);
    return status.ms_entries;
}

enum error_code store_read_usage(struct store_transaction *transaction, struct store_usage *usage,
                                 struct error *error)
{
    *usage = (struct store_usage){
        .outbox_records = count_entries(transaction, DATABASE_OUTBOX),
        .dead_letters = count_entries(transaction, DATABASE_DEAD),
        .records = count_entries(transaction, DATABASE_RECORDS),
        .spans = count_entries(transaction, DATABASE_SPANS),
        .outbox_bytes = transaction->outbox_bytes,
    };
    return read_used_bytes(transaction->store, &usage->used_bytes, &usage->max_bytes, error);
}

uint64_t store_outbox_bytes(const struct store_transaction *transaction)
{
    return transaction->outbox_bytes;
}

enum error_code store_probe(struct store_transaction *transaction, timestamp_ns now,
                            struct error *error)
{
    uint8_t bytes[TIME_SIZE];
    lmdb_put_be64(bytes, (uint64_t)now);
    return lmdb_put(transaction, DATABASE_META, "probe", 5, bytes, sizeof bytes, "probe", error);
}

// The file never shrinks, so a look at its length is enough until it has grown that far once.
static bool is_file_small(struct store *store)
{
    MDB_envinfo info = {0};
    MDB_stat status = {0};
    (void)mdb_env_info(store->env, &info);
    (void)mdb_env_stat(store->env, &status);
    return (info.me_last_pgno + 1) * status.ms_psize < info.me_mapsize / 100 * TIGHT_PERCENT;
}

// How much room there is, looked up once a transaction.
static enum error_code look_for_room(struct store_transaction *transaction, struct error *error)
{
    if (transaction->room != ROOM_UNKNOWN)
        return ERROR_NONE;
    if (is_file_small(transaction->store)) {
        transaction->room = ROOM_ENOUGH;
        return ERROR_NONE;
    }
    enum error_code code = read_used_bytes(transaction->store, &transaction->used_bytes,
                                           &transaction->max_bytes, error);
    if (code != ERROR_NONE)
        return code;
    uint64_t percent = transaction->max_bytes / 100;
    if (transaction->used_bytes >= percent * FULL_PERCENT)
        transaction->room = ROOM_NONE;
    else
        transaction->room =
            transaction->used_bytes >= percent * TIGHT_PERCENT ? ROOM_TIGHT : ROOM_ENOUGH;
    return ERROR_NONE;
}

static unsigned long long in_mebibytes(uint64_t bytes)
{
    return (unsigned long long)((bytes + (1 << 20) - 1) >> 20);
}

enum error_code store_check_room(struct store_transaction *transaction, struct error *error)
{
    enum error_code code = look_for_room(transaction, error);
    if (code != ERROR_NONE || transaction->room != ROOM_NONE)
        return code;
    return error_set(error, ERROR_FULL,
                     "the store is full: %llu of %llu MiB are used; raise db-max-size, or see why "
                     "spans do not leave",
                     in_mebibytes(transaction->used_bytes), in_mebibytes(transaction->max_bytes));
}

enum error_code store_is_tight(struct store_transaction *transaction, bool *is_tight,
                               struct error *error)
{
    enum error_code code = look_for_room(transaction, error);
    *is_tight = transaction->room == ROOM_TIGHT || transaction->room == ROOM_NONE;
    return code;
}
