// Transactions, and what the environment holds in bytes.
#include <time.h>

#include "ghatrace/base/memory.h"
#include "lmdb.h"

// Deleting needs pages too (copy on write): what is above this share is kept for it.
#define FULL_PERCENT 90
// Once full, it is so until this is reached: a page that comes and goes is no room.
#define FULL_UNTIL_PERCENT 85
// Above this share, what was delivered makes room before its time.
#define TIGHT_PERCENT 75
// How long a reader waits for an environment that is being replaced.
#define REPLACE_PATIENCE_NS 200000000L

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
    if (code == ERROR_NONE)
        code = store_read_dead_sum(made, error);
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

// While it is replaced, on a disk that failed and may hang, readers must not hang with it.
static bool lock_environment(struct store *store)
{
    struct timespec until;
    if (pthread_rwlock_tryrdlock(&store->env_lock) == 0)
        return true;
    (void)clock_gettime(CLOCK_REALTIME, &until);
    until.tv_nsec += REPLACE_PATIENCE_NS;
    until.tv_sec += until.tv_nsec / NS_PER_SECOND;
    until.tv_nsec %= NS_PER_SECOND;
    return pthread_rwlock_timedrdlock(&store->env_lock, &until) == 0;
}

enum error_code store_begin(struct store *store, bool is_write,
                            struct store_transaction **transaction, struct error *error)
{
    if (!is_write && !lock_environment(store))
        return error_set(error, ERROR_BUSY, "store: begin: it is just being opened again");
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
    if (code == ERROR_NONE && transaction->dead_changed)
        code = store_write_dead_sum(transaction, error);
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

// LMDB's own two trees: the free pages, and the roots of the databases.
#define OWN_TREES 2
#define META_PAGES 2

static uint64_t count_pages(struct store_transaction *transaction, MDB_dbi dbi)
{
    MDB_stat status = {0};
    (void)mdb_stat(transaction->txn, dbi, &status);
    return status.ms_branch_pages + status.ms_leaf_pages + status.ms_overflow_pages;
}

// Pages in use, with what the transaction did so far.
static uint64_t count_used_pages(struct store_transaction *transaction)
{
    uint64_t pages = META_PAGES;
    for (MDB_dbi dbi = 0; dbi < OWN_TREES; dbi++)
        pages += count_pages(transaction, dbi);
    for (int i = 0; i < DATABASE_COUNT; i++) {
        if (lmdb_has_database(transaction->store, (enum database)i))
            pages += count_pages(transaction, transaction->store->databases[i]);
    }
    return pages;
}

static void read_used_bytes(struct store_transaction *transaction, uint64_t *used, uint64_t *max)
{
    MDB_envinfo info = {0};
    MDB_stat status = {0};
    (void)mdb_env_info(transaction->store->env, &info);
    (void)mdb_env_stat(transaction->store->env, &status);
    *used = count_used_pages(transaction) * status.ms_psize;
    *max = info.me_mapsize;
}

uint64_t lmdb_count_entries(struct store_transaction *transaction, enum database database)
{
    MDB_stat status = {0};
    (void)mdb_stat(transaction->txn, transaction->store->databases[database], &status);
    return status.ms_entries;
}

void store_read_usage(struct store_transaction *transaction, struct store_usage *usage)
{
    *usage = (struct store_usage){
        .outbox_records = lmdb_count_entries(transaction, DATABASE_OUTBOX),
        .dead_letters = lmdb_count_entries(transaction, DATABASE_DEAD),
        .records = lmdb_count_entries(transaction, DATABASE_RECORDS),
        .spans = lmdb_count_entries(transaction, DATABASE_SPANS),
        .outbox_bytes = transaction->outbox_bytes,
        .dead_letter_bytes = store_dead_letter_bytes(transaction),
    };
    read_used_bytes(transaction, &usage->used_bytes, &usage->max_bytes);
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

static unsigned long long in_mebibytes(uint64_t bytes)
{
    return (unsigned long long)((bytes + (1 << 20) - 1) >> 20);
}

// Looked up anew each time: one large batch may fill a small store.
enum error_code store_check_room(struct store_transaction *transaction, struct error *error)
{
    struct store *store = transaction->store;
    uint64_t used, max;
    read_used_bytes(transaction, &used, &max);
    store->is_full = used >= max / 100 * (store->is_full ? FULL_UNTIL_PERCENT : FULL_PERCENT);
    if (!store->is_full)
        return ERROR_NONE;
    return error_set(error, ERROR_FULL,
                     "the store is full: %llu of %llu MiB are used; raise db-max-size, or see why "
                     "spans do not leave",
                     in_mebibytes(used), in_mebibytes(max));
}

static bool has_used(struct store_transaction *transaction, unsigned percent)
{
    uint64_t used, max;
    read_used_bytes(transaction, &used, &max);
    return used >= max / 100 * percent;
}

bool store_is_tight(struct store_transaction *transaction)
{
    return has_used(transaction, TIGHT_PERCENT);
}

bool store_is_short(struct store_transaction *transaction)
{
    return has_used(transaction, FULL_UNTIL_PERCENT);
}
