// Transactions, and what the environment holds in bytes.
#include <time.h>

#include "ghatrace/base/memory.h"
#include "notes.h"

// Deleting needs pages too (copy on write): what is above this share is kept for it.
#define FULL_PERCENT 90
// Once full, it is so until this is reached: a page that comes and goes is no room.
#define FULL_UNTIL_PERCENT 85
// Above this share, what was delivered makes room before its time.
#define TIGHT_PERCENT 75
// How long a reader waits for an environment that is being replaced.
#define REPLACE_PATIENCE_NS 200000000L
// Above this share, which is reached when there is little history left, notes do.
#define SHED_PERCENT 80
// This share of the map they keep: to forget them all would make no room to speak of.
#define NOTES_KEPT_SHARE 32

// The record "notes" in `meta`: counts by kind, and what was shed.
#define NOTE_SUMS (STORE_NOTE_KINDS + 4)

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

static enum error_code read_note_sums(struct store_transaction *transaction, struct error *error)
{
    struct slice found;
    if (transaction->store->databases[DATABASE_META] == 0)
        return ERROR_NONE;
    enum error_code code =
        lmdb_get(transaction, DATABASE_META, "notes", 5, &found, "read sums of notes", error);
    if (code == ERROR_NOT_FOUND)
        return ERROR_NONE;
    if (code != ERROR_NONE || found.len != NOTE_SUMS * TIME_SIZE)
        return code;
    uint64_t sums[NOTE_SUMS];
    for (size_t i = 0; i < NOTE_SUMS; i++)
        sums[i] = lmdb_get_be64(found.data + i * TIME_SIZE);
    memcpy(transaction->note_counts, sums, sizeof transaction->note_counts);
    const uint64_t *sheds = sums + STORE_NOTE_KINDS;
    transaction->sheds = (struct store_sheds){.total = sheds[0],
                                              .hour = (timestamp_ns)sheds[1],
                                              .in_hour = sheds[2],
                                              .in_hour_before = sheds[3]};
    return ERROR_NONE;
}

static enum error_code write_note_sums(struct store_transaction *transaction, struct error *error)
{
    uint8_t bytes[NOTE_SUMS * TIME_SIZE];
    const struct store_sheds *sheds = &transaction->sheds;
    uint64_t sums[NOTE_SUMS] = {[STORE_NOTE_KINDS] = sheds->total,
                                (uint64_t)sheds->hour,
                                sheds->in_hour,
                                sheds->in_hour_before};
    memcpy(sums, transaction->note_counts, sizeof transaction->note_counts);
    for (size_t i = 0; i < NOTE_SUMS; i++)
        lmdb_put_be64(bytes + i * TIME_SIZE, sums[i]);
    return lmdb_put(transaction, DATABASE_META, "notes", 5, bytes, sizeof bytes,
                    "write sums of notes", error);
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
    if (code == ERROR_NONE)
        code = read_note_sums(made, error);
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
    enum error_code code = is_write ? ERROR_NONE : store_lock_reader(store, error);
    if (code != ERROR_NONE)
        return code;
    if (!is_write && !lock_environment(store))
        return error_set(error, ERROR_BUSY, "store: begin: it is just being opened again");
    code = store_begin_bare(store, is_write, transaction, error);
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
    enum error_code code = notes_flush(transaction, error);
    lmdb_put_be64(bytes, transaction->sequence);
    if (code == ERROR_NONE && transaction->sequence_changed)
        code = lmdb_put(transaction, DATABASE_META, "sequence", 8, bytes, sizeof bytes,
                        "write sequence", error);
    lmdb_put_be64(bytes, transaction->outbox_bytes);
    if (code == ERROR_NONE && transaction->outbox_changed)
        code = lmdb_put(transaction, DATABASE_META, "outbox", 6, bytes, sizeof bytes,
                        "write outbox size", error);
    if (code == ERROR_NONE && transaction->dead_changed)
        code = store_write_dead_sum(transaction, error);
    if (code == ERROR_NONE && transaction->notes_changed)
        code = write_note_sums(transaction, error);
    return code;
}

// After a write transaction that did not come to be: what it listed or forgot is as before.
static void forget_memory(struct store *store)
{
    store->has_slices = false;
    notes_drop_cache(store->notes);
}

enum error_code store_commit(struct store_transaction *transaction, struct error *error)
{
    enum error_code code = transaction->is_write ? write_sums(transaction, error) : ERROR_NONE;
    if (code != ERROR_NONE) {
        store_abort(transaction);
        return code;
    }
    code = lmdb_error(mdb_txn_commit(transaction->txn), "commit", error);
    if (code != ERROR_NONE && transaction->is_write)
        forget_memory(transaction->store);
    end_transaction(transaction);
    return code;
}

void store_abort(struct store_transaction *transaction)
{
    if (transaction->is_write)
        forget_memory(transaction->store);
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

static uint64_t count_bytes(struct store_transaction *transaction, enum database database)
{
    MDB_stat status = {0};
    MDB_dbi dbi = transaction->store->databases[database];
    if (!lmdb_has_database(transaction->store, database))
        return 0;
    (void)mdb_stat(transaction->txn, dbi, &status);
    return count_pages(transaction, dbi) * status.ms_psize;
}

static uint64_t note_bytes(struct store_transaction *transaction)
{
    return count_bytes(transaction, DATABASE_NOTES) + count_bytes(transaction, DATABASE_DELIVERIES);
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
        .note_bytes = note_bytes(transaction),
        .job_notes = transaction->note_counts[STORE_NOTE_JOB],
        .run_notes = transaction->note_counts[STORE_NOTE_RUN],
        .root_notes = transaction->note_counts[STORE_NOTE_OLD_RUN],
        .delivery_notes = transaction->note_counts[STORE_NOTE_TIMED_DELIVERY] +
                          transaction->note_counts[STORE_NOTE_UNTIMED_DELIVERY] +
                          lmdb_count_entries(transaction, DATABASE_DELIVERIES),
        .sheds = transaction->sheds,
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

// What takes the room, and what to do about the largest part. Of the records, those in the outbox are known by their
// bytes; dead letters count as history.
static enum error_code say_full(struct store_transaction *transaction, uint64_t used, uint64_t max,
                                struct error *error)
{
    uint64_t records =
        count_bytes(transaction, DATABASE_RECORDS) + count_bytes(transaction, DATABASE_OUTBOX) +
        count_bytes(transaction, DATABASE_HISTORY) + count_bytes(transaction, DATABASE_DEAD);
    uint64_t outbox = transaction->outbox_bytes < records ? transaction->outbox_bytes : records;
    uint64_t states =
        count_bytes(transaction, DATABASE_SPANS) + count_bytes(transaction, DATABASE_DEADLINES);
    const struct {
        uint64_t bytes;
        const char *advice;
    } parts[] = {
        {outbox, "see why the collector does not take the outbox, or raise db-max-size"},
        {records - outbox, "records make room as they leave the history; requeue dead letters, or "
                           "raise db-max-size"},
        {states, "many runs and jobs are open; raise db-max-size"},
        {note_bytes(transaction), "notes make room by and by; shorten linger or raise db-max-size"},
    };
    size_t largest = 0;
    for (size_t i = 1; i < sizeof parts / sizeof parts[0]; i++)
        largest = parts[i].bytes > parts[largest].bytes ? i : largest;
    return error_set(error, ERROR_FULL,
                     "the store is full: %llu of %llu MiB are used, by outbox %llu, history and "
                     "dead letters %llu, open runs and jobs %llu, notes %llu MiB; %s",
                     in_mebibytes(used), in_mebibytes(max), in_mebibytes(parts[0].bytes),
                     in_mebibytes(parts[1].bytes), in_mebibytes(parts[2].bytes),
                     in_mebibytes(parts[3].bytes), parts[largest].advice);
}

// Each time, since one large batch may fill a small store.
enum error_code store_check_room(struct store_transaction *transaction, struct error *error)
{
    struct store *store = transaction->store;
    uint64_t used, max;
    read_used_bytes(transaction, &used, &max);
    store->is_full = used >= max / 100 * (store->is_full ? FULL_UNTIL_PERCENT : FULL_PERCENT);
    return store->is_full ? say_full(transaction, used, max, error) : ERROR_NONE;
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

bool store_keeps_only_notes(struct store_transaction *transaction)
{
    return has_used(transaction, SHED_PERCENT);
}

bool store_must_shed(struct store_transaction *transaction)
{
    uint64_t used, max;
    read_used_bytes(transaction, &used, &max);
    return used >= max / 100 * SHED_PERCENT && note_bytes(transaction) > max / NOTES_KEPT_SHARE;
}

// --- what was shed ---------------------------------------------------------------------------------------

void store_count_shed(struct store_transaction *transaction, timestamp_ns now, uint64_t count)
{
    struct store_sheds *sheds = &transaction->sheds;
    timestamp_ns hour = now - now % NS_PER_HOUR;
    if (hour != sheds->hour) {
        sheds->in_hour_before = hour == sheds->hour + NS_PER_HOUR ? sheds->in_hour : 0;
        sheds->hour = hour;
        sheds->in_hour = 0;
    }
    sheds->in_hour += count;
    sheds->total += count;
    transaction->notes_changed = true;
}
