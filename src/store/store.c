// The store: LMDB, transactions, opening and closing, handling of a damaged map.
#include "ghatrace/store/store.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "ghatrace/base/heartbeat.h"
#include "ghatrace/base/log.h"
#include "ghatrace/base/memory.h"
#include "lmdb.h"
#include "notes.h"

// --- faults ---------------------------------------------------------------------------------------
// Faults that LMDB cannot report. An unreadable page of its map raises SIGBUS; a damaged page leads to accesses
// beyond the map or to writes into it, which raise SIGSEGV, or to a failed assertion. All of them end the process
// with a message and status 1, without a core dump that contains payloads. A damaged page can also make LMDB write
// beyond a block of the heap: the allocator notices that at some later call and raises SIGABRT, which gets a message
// and then ends the process as usual.

#define LAST_WORDS_MS 1000 // timeout for writing to a blocked standard error
// A damaged entry may claim to be up to 4 GiB long.
#define REACH ((uintptr_t)4 << 30)

// The map of the store opened last; both 0: not known.
static _Atomic uintptr_t map_start, map_end;
// The previous SIGSEGV handler: a sanitizer's, a test's.
static struct sigaction earlier;

// The previous SIGABRT handler.
static struct sigaction earlier_abort;

// Transactions of the calling thread.
static _Thread_local volatile sig_atomic_t open_transactions;

// Used by sigbus_try(), in the calling thread.
static _Thread_local sigjmp_buf *escape;

// The first thread to get here writes the message; others wait for the process to end.
static void end_process(const char *message, size_t len)
{
    static atomic_flag is_ending = ATOMIC_FLAG_INIT;
    while (atomic_flag_test_and_set(&is_ending))
        (void)pause();
    log_final_message(message, len, LAST_WORDS_MS);
    _exit(1);
}

// True if another process sent the signal, so that it is not a fault.
static bool raise_if_sent(int number, const siginfo_t *info)
{
    if (info->si_code != SI_USER && info->si_code != SI_TKILL && info->si_code != SI_QUEUE)
        return false;
    (void)signal(number, SIG_DFL);
    (void)raise(number);
    return true;
}

// The store's files are the only ones that this program maps.
static void on_bus_error(int number, siginfo_t *info, void *context)
{
    static const char message[] =
        "ghatrace: the store's files cannot be used: their disk is full or has failed, or one of "
        "them is cut off; no acknowledged delivery is lost by this; check the disk, or restore the "
        "store's folder, then start again\n";
    (void)context;
    if (raise_if_sent(number, info))
        return;
    if (escape != NULL)
        siglongjmp(*escape, 1);
    end_process(message, sizeof message - 1);
}

bool sigbus_try(void (*run)(void *context), void *context)
{
    sigjmp_buf place;
    bool is_whole = sigsetjmp(place, 1) == 0;
    escape = is_whole ? &place : NULL;
    if (is_whole)
        run(context);
    escape = NULL;
    return is_whole;
}

static void on_segment_fault(int number, siginfo_t *info, void *context)
{
    static const char damaged[] =
        "ghatrace: the store is damaged: restore its folder, or move it away to start afresh\n";
    static const char unclear[] =
        "ghatrace: invalid memory access: a bug in ghatrace, or its store is damaged; no "
        "acknowledged delivery is lost by this; if it happens again after a restart, restore the "
        "store's folder, or move it away to start afresh\n";
    uintptr_t at = (uintptr_t)info->si_addr;
    uintptr_t start = atomic_load(&map_start), end = atomic_load(&map_end);
    (void)context;
    if (raise_if_sent(number, info))
        return;
    if (start != 0 && at >= start && at < end + REACH)
        end_process(damaged, sizeof damaged - 1);
    if (earlier.sa_handler == SIG_DFL)
        end_process(unclear, sizeof unclear - 1);
    (void)sigaction(number, &earlier, NULL); // the fault happens again, for the earlier handler
}

// An abort in the middle of a transaction is probably due to a damaged page; of others nothing is known here.
static void on_abort(int number, siginfo_t *info, void *context)
{
    static const char message[] =
        "ghatrace: aborted while it used its store: the store may be damaged, else this is a bug "
        "in "
        "ghatrace; no acknowledged delivery is lost by this; if it happens again after a restart, "
        "restore the store's folder, or move it away to start afresh\n";
    (void)info;
    (void)context;
    if (open_transactions > 0)
        log_final_message(message, sizeof message - 1, LAST_WORDS_MS);
    (void)sigaction(number, &earlier_abort, NULL);
    (void)raise(number); // pending until this handler returns
}

static void on_assertion(MDB_env *env, const char *message)
{
    (void)env;
    log_error("the store is damaged: restore its folder, or move it away to start afresh",
              LOG_STRING("error", message));
    end_process("", 0);
}

static void catch (int number, void (*handle)(int, siginfo_t *, void *), struct sigaction *before)
{
    struct sigaction action = {.sa_sigaction = handle, .sa_flags = SA_SIGINFO};
    struct sigaction found;
    sigemptyset(&action.sa_mask);
    if (sigaction(number, &action, &found) == 0 && found.sa_sigaction != handle && before != NULL)
        *before = found;
}

// From here on, handles pages of the map that cannot be read or are damaged.
static void sigbus_catch_faults(MDB_env *env)
{
    catch (SIGBUS, on_bus_error, NULL);
    catch (SIGSEGV, on_segment_fault, &earlier);
    catch (SIGABRT, on_abort, &earlier_abort);
    (void)mdb_env_set_assert(env, on_assertion);
}

// LMDB does not report the address of its map.
static void sigbus_find_map(void)
{
    static const char name[] = "/data.mdb\n";
    char line[4096 + 128];
    FILE *maps = fopen("/proc/self/maps", "re");
    if (maps == NULL)
        return;
    while (fgets(line, sizeof line, maps) != NULL) {
        uintptr_t start, end;
        size_t len = strlen(line);
        if (len >= sizeof name && strcmp(line + len + 1 - sizeof name, name) == 0 &&
            sscanf(line, "%" SCNxPTR "-%" SCNxPTR, &start, &end) == 2) {
            atomic_store(&map_start, start);
            atomic_store(&map_end, end);
        }
    }
    (void)fclose(maps); // it was only read
}

// --- transactions, and the size of the environment ------------------------------------------------

bool lmdb_has_database(const struct store *store, enum database database)
{
    return store->databases[database] != 0;
}

// Deletions need pages, too (copy on write): the space above this share is reserved for them.
#define FULL_PERCENT 90
// At least this is reserved: a transaction that deletes writes a page or two of each table, however small the store is,
// and those that the one before it freed cannot be used yet. So all shares of a small map are of less than the map.
#define RESERVED_LEAST ((uint64_t)192 << 10)
// Once full, the store stays full until this share is reached, so that a single freed page does not count as room.
#define FULL_UNTIL_PERCENT 85
// Above this share, exported traces are deleted before their time.
#define TIGHT_PERCENT 75
// How long a reader waits for an environment that is being replaced.
#define REPLACE_PATIENCE_NS 200000000L
// Above this share, which is reached when there is little history left, notes are dropped, too.
#define SHED_PERCENT 80
// Notes may keep this share of the map: dropping all of them would free too little to matter.
#define NOTES_KEPT_SHARE 32

// The entry "notes" in `meta`: counts of the first kinds, dropped notes, counts of kinds that were added later, which
// older stores lack.
#define FIRST_NOTE_KINDS STORE_NOTE_ASSIGNED_JOB
#define OLD_NOTE_SUMS (FIRST_NOTE_KINDS + 4)
#define NOTE_SUMS (STORE_NOTE_KINDS + 4)
static_assert(NOTE_SUMS <= SUMS_MAX, "lmdb_put_sums() has room for them");

static size_t place_of_note_sum(int kind)
{
    return (size_t)(kind < FIRST_NOTE_KINDS ? kind : kind + OLD_NOTE_SUMS - FIRST_NOTE_KINDS);
}

// The contents of `meta` after the last transaction.
static enum error_code read_sums(struct store_transaction *transaction, struct error *error)
{
    const struct lmdb_op sequence = {transaction, DATABASE_META, "read sequence", error};
    const struct lmdb_op outbox = {transaction, DATABASE_META, "read outbox size", error};
    const struct lmdb_op forwarded = {transaction, DATABASE_META, "read size of forwarded", error};
    const struct lmdb_op notes = {transaction, DATABASE_META, "read sums of notes", error};
    uint64_t sums[NOTE_SUMS] = {0};
    uint64_t forwarded_sums[2] = {0};
    enum error_code code = ERROR_NONE;
    if (transaction->is_write)
        code = lmdb_get_sums(&sequence, SLICE("sequence"), &transaction->sequence, 1);
    if (code == ERROR_NONE)
        code = lmdb_get_sums(&outbox, SLICE("outbox"), &transaction->outbox_bytes, 1);
    if (code == ERROR_NONE)
        code = lmdb_get_sums(&forwarded, SLICE("forwarded"), forwarded_sums, 2);
    transaction->forwarded_bytes = forwarded_sums[0];
    transaction->forwarded_dead_bytes = forwarded_sums[1];
    if (code == ERROR_NONE)
        code = store_read_dead_sum(transaction, error);
    if (code == ERROR_NONE)
        code = lmdb_get_extended_sums(&notes, SLICE("notes"), sums, OLD_NOTE_SUMS, NOTE_SUMS);
    for (int i = 0; i < STORE_NOTE_KINDS; i++)
        transaction->note_counts[i] = sums[place_of_note_sum(i)];
    const uint64_t *sheds = sums + FIRST_NOTE_KINDS;
    transaction->sheds = (struct store_sheds){.total = sheds[0],
                                              .hour = (timestamp_ns)sheds[1],
                                              .in_hour = sheds[2],
                                              .in_hour_before = sheds[3]};
    return code;
}

static enum error_code write_note_sums(struct store_transaction *transaction, struct error *error)
{
    const struct lmdb_op op = {transaction, DATABASE_META, "write sums of notes", error};
    const struct store_sheds *sheds = &transaction->sheds;
    uint64_t sums[NOTE_SUMS] = {[FIRST_NOTE_KINDS] = sheds->total,
                                (uint64_t)sheds->hour,
                                sheds->in_hour,
                                sheds->in_hour_before};
    for (int i = 0; i < STORE_NOTE_KINDS; i++)
        sums[place_of_note_sum(i)] = transaction->note_counts[i];
    return lmdb_put_sums(&op, SLICE("notes"), sums, NOTE_SUMS);
}

// store_begin() without the check whether the environment is being replaced.
static enum error_code store_begin_bare(struct store *store, bool is_write,
                                        struct store_transaction **transaction, struct error *error)
{
    struct store_transaction *made = &store->writer;
    if (store->env == NULL)
        return error_set(error, ERROR_IO, "store: begin: it could not be opened again");
    if (!is_write)
        made = memory_allocate(sizeof *made);
    if (made == NULL)
        return error_set(error, ERROR_MEMORY, "store: begin: out of memory");
    assert(!is_write || made->txn == NULL); // one at a time
    *made = (struct store_transaction){.store = store, .is_write = is_write};
    open_transactions++;
    int begun = mdb_txn_begin(store->env, NULL, is_write ? 0 : MDB_RDONLY, &made->txn);
    if (is_write && begun == MDB_PANIC)
        store->is_broken = true;
    enum error_code code = lmdb_error(begun, "begin", error);
    if (code == ERROR_NONE)
        code = read_sums(made, error);
    if (code != ERROR_NONE) {
        if (begun == MDB_SUCCESS)
            mdb_txn_abort(made->txn);
        open_transactions--;
        made->txn = NULL;
        if (!is_write)
            memory_free(made);
        return code;
    }
    *transaction = made;
    return ERROR_NONE;
}

// While the environment is replaced, on a failed disk that may hang, readers must not hang, too.
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

static enum error_code store_reopen(struct store *store, struct error *error);

static enum error_code store_lock_reader(struct store *store, struct error *error);

enum error_code store_begin(struct store *store, bool is_write,
                            struct store_transaction **transaction, struct error *error)
{
    enum error_code code = is_write ? ERROR_NONE : store_lock_reader(store, error);
    if (code != ERROR_NONE)
        return code;
    if (!is_write && !lock_environment(store))
        return error_set(error, ERROR_BUSY, "store: begin: it is being opened again");
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
    assert(transaction->txn != NULL);
    transaction->txn = NULL;
    open_transactions--;
    if (transaction->has_env_lock)
        pthread_rwlock_unlock(&transaction->store->env_lock);
    if (!transaction->is_write)
        memory_free(transaction);
}

static enum error_code write_sums(struct store_transaction *transaction, struct error *error)
{
    const struct lmdb_op sequence = {transaction, DATABASE_META, "write sequence", error};
    const struct lmdb_op outbox = {transaction, DATABASE_META, "write outbox size", error};
    const struct lmdb_op forwarded = {transaction, DATABASE_META, "write size of forwarded", error};
    const uint64_t forwarded_sums[2] = {transaction->forwarded_bytes,
                                        transaction->forwarded_dead_bytes};
    enum error_code code = notes_flush(transaction, error);
    if (code == ERROR_NONE && transaction->sequence_changed)
        code = lmdb_put_sums(&sequence, SLICE("sequence"), &transaction->sequence, 1);
    if (code == ERROR_NONE && transaction->outbox_changed)
        code = lmdb_put_sums(&outbox, SLICE("outbox"), &transaction->outbox_bytes, 1);
    if (code == ERROR_NONE && transaction->forwarded_changed)
        code = lmdb_put_sums(&forwarded, SLICE("forwarded"), forwarded_sums, 2);
    if (code == ERROR_NONE && transaction->dead_changed)
        code = store_write_dead_sum(transaction, error);
    if (code == ERROR_NONE && transaction->notes_changed)
        code = write_note_sums(transaction, error);
    return code;
}

// After a write transaction that failed: discards what it cached.
static void drop_caches(struct store *store)
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
        drop_caches(transaction->store);
    end_transaction(transaction);
    return code;
}

void store_abort(struct store_transaction *transaction)
{
    if (transaction->is_write)
        drop_caches(transaction->store);
    mdb_txn_abort(transaction->txn);
    end_transaction(transaction);
}

// --- size ------------------------------------------------------------------------------------------------

// LMDB's own two trees: the free list, and the roots of the databases.
#define OWN_TREES 2
#define META_PAGES 2

static uint64_t count_pages(struct store_transaction *transaction, MDB_dbi dbi)
{
    MDB_stat status = {0};
    (void)mdb_stat(transaction->txn, dbi, &status);
    return status.ms_branch_pages + status.ms_leaf_pages + status.ms_overflow_pages;
}

// Pages in use, including changes of this transaction.
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
    if (lmdb_has_database(transaction->store, database))
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
        .outbox_records = lmdb_count_entries(transaction, DATABASE_OUTBOX) +
                          store_table_count(transaction, STORE_TABLE_FORWARDED),
        .dead_letters = lmdb_count_entries(transaction, DATABASE_DEAD),
        .records = lmdb_count_entries(transaction, DATABASE_RECORDS),
        .spans = lmdb_count_entries(transaction, DATABASE_SPANS),
        .outbox_bytes = transaction->outbox_bytes,
        .forwarded_records = store_table_count(transaction, STORE_TABLE_FORWARDED),
        .forwarded_bytes = store_forwarded_bytes(transaction),
        .forwarded_dead_letters = store_table_count(transaction, STORE_TABLE_FORWARDED_DEAD),
        .forwarded_dead_bytes = store_forwarded_dead_bytes(transaction),
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
    return lmdb_put(&(struct lmdb_op){transaction, DATABASE_META, "probe", error}, SLICE("probe"),
                    slice_of_bytes(bytes, sizeof bytes));
}

static unsigned long long in_mebibytes(uint64_t bytes)
{
    return (unsigned long long)((bytes + (1 << 20) - 1) >> 20);
}

// Reports what takes the space, and what to do about the largest part. Of the records, those in the outbox are known
// by their bytes; dead letters count as history.
static enum error_code report_full(struct store_transaction *transaction, uint64_t used,
                                   uint64_t max, struct error *error)
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
        {outbox, "find out why the collector does not accept the outbox, or raise db-max-size"},
        {records - outbox, "records are deleted when history is over; requeue dead letters, or "
                           "raise db-max-size"},
        {states, "many runs and jobs are open; raise db-max-size"},
        {note_bytes(transaction),
         "notes are deleted when linger is over; shorten linger or raise db-max-size"},
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

static uint64_t share_of_map(uint64_t max, unsigned percent)
{
    uint64_t reserved = RESERVED_LEAST < max / 2 ? RESERVED_LEAST : max / 2;
    uint64_t least = (max - reserved) / FULL_PERCENT * 100;
    return (least < max ? least : max) / 100 * percent;
}

// Checked every time, since one large batch may fill a small store.
enum error_code store_check_room(struct store_transaction *transaction, struct error *error)
{
    struct store *store = transaction->store;
    uint64_t used, max;
    read_used_bytes(transaction, &used, &max);
    store->is_full = used >= share_of_map(max, store->is_full ? FULL_UNTIL_PERCENT : FULL_PERCENT);
    return store->is_full ? report_full(transaction, used, max, error) : ERROR_NONE;
}

static bool has_used_percent(struct store_transaction *transaction, unsigned percent)
{
    uint64_t used, max;
    read_used_bytes(transaction, &used, &max);
    return used >= share_of_map(max, percent);
}

bool store_is_tight(struct store_transaction *transaction)
{
    return has_used_percent(transaction, TIGHT_PERCENT);
}

bool store_is_short(struct store_transaction *transaction)
{
    return has_used_percent(transaction, FULL_UNTIL_PERCENT);
}

bool store_keeps_only_notes(struct store_transaction *transaction)
{
    return has_used_percent(transaction, SHED_PERCENT);
}

bool store_must_shed(struct store_transaction *transaction)
{
    uint64_t used, max;
    read_used_bytes(transaction, &used, &max);
    return used >= share_of_map(max, SHED_PERCENT) &&
           note_bytes(transaction) > max / NOTES_KEPT_SHARE;
}

// --- dropped notes ---------------------------------------------------------------------------------------

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

// --- opening and closing the environment ----------------------------------------------------------

#define PATH_BYTES_MAX 4096
#define READERS_MAX 126

static const char *const database_names[DATABASE_COUNT] = {
    [DATABASE_META] = "meta",
    [DATABASE_SPANS] = "spans",
    [DATABASE_DEADLINES] = "deadlines",
    [DATABASE_DELIVERIES] = "deliveries",
    [DATABASE_RECORDS] = "records",
    [DATABASE_OUTBOX] = "outbox",
    [DATABASE_DEAD] = "dead",
    [DATABASE_HISTORY] = "history",
    [DATABASE_NOTES] = "notes",
    [DATABASE_TABLES + (int) STORE_TABLE_STATS] = "tally",
    [DATABASE_TABLES + (int) STORE_TABLE_POOLS] = "pools",
    [DATABASE_TABLES + (int) STORE_TABLE_OPEN_JOBS] = "open_jobs",
    [DATABASE_TABLES + (int) STORE_TABLE_OPEN_RUNS] = "open_runs",
    [DATABASE_TABLES + (int) STORE_TABLE_RECENT] = "recent",
    [DATABASE_TABLES + (int) STORE_TABLE_RECENT_BY_TRACE] = "recent_by_trace",
    [DATABASE_TABLES + (int) STORE_TABLE_JOB_SERIES] = "job_series",
    [DATABASE_TABLES + (int) STORE_TABLE_RUN_SERIES] = "run_series",
    [DATABASE_TABLES + (int) STORE_TABLE_STEP_SERIES] = "step_series",
    [DATABASE_TABLES + (int) STORE_TABLE_LATENCY] = "latency",
    [DATABASE_TABLES + (int) STORE_TABLE_QUARANTINE] = "quarantine",
    [DATABASE_TABLES + (int) STORE_TABLE_SPELLINGS] = "spellings",
    [DATABASE_TABLES + (int) STORE_TABLE_ARC_JOBS] = "arc_jobs",
    [DATABASE_TABLES + (int) STORE_TABLE_ARC_CLOSED] = "arc_closed",
    [DATABASE_TABLES + (int) STORE_TABLE_ARC_HELD] = "arc_held",
    [DATABASE_TABLES + (int) STORE_TABLE_ARC_HELD_BY_AGE] = "arc_held_by_age",
    [DATABASE_TABLES + (int) STORE_TABLE_FORWARDED] = "forwarded",
    [DATABASE_TABLES + (int) STORE_TABLE_FORWARDED_DEAD] = "forwarded_dead",
    [DATABASE_TABLES + (int) STORE_TABLE_OUR_SPANS] = "our_spans",
    [DATABASE_TABLES + (int) STORE_TABLE_HELD] = "held",
    [DATABASE_TABLES + (int) STORE_TABLE_HELD_BY_TRACE] = "held_by_trace",
    [DATABASE_TABLES + (int) STORE_TABLE_JOB_HISTORY] = "job_history",
    [DATABASE_TABLES + (int) STORE_TABLE_POOL_WAITS] = "pool_waits",
    [DATABASE_TABLES + (int) STORE_TABLE_POOL_MINUTES] = "pool_minutes",
    [DATABASE_TABLES + (int) STORE_TABLE_POOL_HOURS] = "pool_hours",
    [DATABASE_TABLES + (int) STORE_TABLE_RUNNERS] = "runners",
    [DATABASE_TABLES + (int) STORE_TABLE_NOTICES] = "notices",
    [DATABASE_TABLES + (int) STORE_TABLE_COMMITS] = "commits",
    [DATABASE_TABLES + (int) STORE_TABLE_ENDED_RUNS] = "ended_runs",
    [DATABASE_TABLES + (int) STORE_TABLE_PAST] = "past",
    [DATABASE_SET_ASIDE] = "set_aside",
};

const char *lmdb_database_name(enum database database)
{
    return database_names[database];
}

// --- the folder ----------------------------------------------------------------------------------------

static enum error_code sync_folder(const char *path, struct error *error)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int failed = fd < 0 || fsync(fd) != 0;
    int reason = errno;
    if (fd >= 0)
        (void)close(fd);
    return failed ? error_set(error, ERROR_IO, "sync folder %s: %s", path, strerror(reason))
                  : ERROR_NONE;
}

// The folder's entry in its parent must be on disk before any write into the folder is acknowledged.
static enum error_code sync_parent(const char *folder, struct error *error)
{
    char path[PATH_BYTES_MAX];
    int len = snprintf(path, sizeof path, "%s/..", folder);
    if (len < 0 || (size_t)len >= sizeof path)
        return error_set(error, ERROR_TOO_LARGE, "the path of the store is too long");
    return sync_folder(path, error);
}

static enum error_code make_folder(const char *folder, struct error *error)
{
    struct stat status;
    if (mkdir(folder, 0700) == 0)
        return sync_parent(folder, error);
    if (errno != EEXIST)
        return error_set(error, ERROR_IO, "create store folder %s: %s", folder, strerror(errno));
    if (stat(folder, &status) != 0 || !S_ISDIR(status.st_mode))
        return error_set(error, ERROR_IO,
                         "store %s is not a folder: remove it or choose another --db", folder);
    return ERROR_NONE;
}

static enum error_code refuse_lock(int fd, const char *folder, struct error *error)
{
    char holder[32] = "";
    ssize_t len = pread(fd, holder, sizeof holder - 1, 0);
    holder[len > 0 ? len : 0] = '\0';
    holder[strcspn(holder, "\n")] = '\0';
    return error_set(error, ERROR_BUSY,
                     "store %s is held by another ghatrace (process %s): stop it or choose another "
                     "--db",
                     folder, holder[0] != '\0' ? holder : "unknown");
}

// An exclusive lock of our own, because LMDB would allow a second daemon.
static enum error_code acquire_lock(struct store *store, const char *folder, struct error *error)
{
    char path[PATH_BYTES_MAX];
    char holder[32];
    int len = snprintf(path, sizeof path, "%s/lock", folder);
    if (len < 0 || (size_t)len >= sizeof path)
        return error_set(error, ERROR_TOO_LARGE, "the path of the store is too long");
    store->lock_file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (store->lock_file < 0)
        return error_set(error, ERROR_IO, "open %s: %s", path, strerror(errno));
    if (flock(store->lock_file, LOCK_EX | LOCK_NB) != 0)
        return refuse_lock(store->lock_file, folder, error);
    len = snprintf(holder, sizeof holder, "%ld\n", (long)getpid());
    // Only for the message above: a full disk must not keep the daemon from starting.
    if (ftruncate(store->lock_file, 0) == 0)
        (void)!pwrite(store->lock_file, holder, (size_t)len, 0);
    return ERROR_NONE;
}

// --- the environment -------------------------------------------------------------------------------------

static enum error_code look_for_old_keys(struct store_transaction *transaction, struct error *error)
{
    struct slice found;
    enum error_code code =
        lmdb_get(&(struct lmdb_op){transaction, DATABASE_META, "read format", error},
                 SLICE("servers"), &found);
    transaction->store->has_old_keys = code == ERROR_NOT_FOUND;
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}

uint64_t store_max_size(const struct store *store)
{
    return store->max_bytes;
}

bool store_has_old_keys(const struct store *store)
{
    return store->has_old_keys;
}

// Refuses an LMDB environment of another program, instead of creating databases in it.
static enum error_code refuse_foreign(struct store_transaction *transaction, struct error *error)
{
    MDB_dbi main_database, meta;
    MDB_stat status = {0};
    int code = mdb_dbi_open(transaction->txn, NULL, 0, &main_database);
    if (code == MDB_SUCCESS)
        code = mdb_stat(transaction->txn, main_database, &status);
    if (code != MDB_SUCCESS)
        return lmdb_error(code, "check databases", error);
    if (status.ms_entries == 0)
        return ERROR_NONE;
    code = mdb_dbi_open(transaction->txn, database_names[DATABASE_META], 0, &meta);
    if (code == MDB_NOTFOUND || code == MDB_INCOMPATIBLE)
        return error_set(error, ERROR_VERSION,
                         "store %s is an LMDB database of another program: choose another --db",
                         transaction->store->folder);
    return lmdb_error(code, "check databases", error);
}

static enum error_code open_databases(struct store_transaction *transaction, bool may_create,
                                      struct error *error)
{
    struct store *store = transaction->store;
    enum error_code foreign = may_create ? refuse_foreign(transaction, error) : ERROR_NONE;
    if (foreign != ERROR_NONE)
        return foreign;
    for (int i = 0; i < DATABASE_COUNT; i++) {
        int code = mdb_dbi_open(transaction->txn, database_names[i], may_create ? MDB_CREATE : 0,
                                &store->databases[i]);
        if (code == MDB_NOTFOUND && i >= DATABASE_NOTES) {
            store->databases[i] = 0; // the store is older than these
            continue;
        }
        if (code == MDB_NOTFOUND)
            return error_set(error, ERROR_VERSION,
                             "this is not a store of ghatrace: it has no \"%s\"",
                             database_names[i]);
        if (code != MDB_SUCCESS)
            return verify_explain(code, store->data_file, error);
    }
    return versions_check(transaction, may_create, error);
}

// Whether this many entries can have this many bytes. A damaged sum would make the outbox look full permanently.
static bool is_likely_sum(struct store_transaction *transaction, uint64_t bytes)
{
    uint64_t entries = lmdb_count_entries(transaction, DATABASE_OUTBOX) +
                       store_table_count(transaction, STORE_TABLE_FORWARDED);
    return (entries == 0) == (bytes == 0) && bytes / STORE_RECORD_MAX <= entries;
}

// Every transaction maintains the sum; it is only recounted if the store is older than the sum, or if the sum is
// impossible, because iterating over a million records takes long.
static enum error_code count_outbox(struct store_transaction *transaction, struct error *error)
{
    const struct lmdb_op op = {transaction, DATABASE_META, "read outbox size", error};
    uint64_t sequence = 0, bytes = UINT64_MAX;
    uint32_t size;
    enum error_code code = lmdb_get_sums(&op, SLICE("outbox"), &bytes, 1);
    transaction->outbox_bytes = bytes;
    if (code != ERROR_NONE || is_likely_sum(transaction, bytes))
        return code;
    transaction->outbox_bytes = 0;
    while ((code = store_seek_outbox(transaction, &sequence, &size, error)) == ERROR_NONE) {
        transaction->outbox_bytes += size;
        sequence++;
    }
    transaction->outbox_changed = true;
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}

// The first transaction: opens the handles, checks the format, and loads the cached values.
static enum error_code prepare_databases(struct store *store, struct error *error)
{
    enum store_mode mode = store->mode;
    struct store_transaction *transaction;
    enum error_code code = store_begin_bare(store, mode == STORE_DAEMON, &transaction, error);
    if (code != ERROR_NONE)
        return code;
    code = open_databases(transaction, mode == STORE_DAEMON, error);
    if (code == ERROR_NONE)
        code = look_for_old_keys(transaction, error);
    if (code == ERROR_NONE)
        code = verify_ends(transaction, store->data_file, error);
    if (code == ERROR_NONE && mode == STORE_DAEMON)
        code = deliveries_load(transaction, error);
    if (code == ERROR_NONE && mode == STORE_DAEMON)
        code = count_outbox(transaction, error);
    if (code == ERROR_NONE && mode == STORE_DAEMON)
        code = store_check_forwarded_sum(transaction, error);
    if (code == ERROR_NONE)
        code = store_commit(transaction, error);
    else
        store_abort(transaction);
    store->was_opened |= code == ERROR_NONE;
    return code;
}

static bool has_reader_table(const struct store *store)
{
    char path[PATH_BYTES_MAX];
    struct stat status;
    int len = snprintf(path, sizeof path, "%s/lock.mdb", store->folder);
    return len > 0 && (size_t)len < sizeof path && stat(path, &status) == 0;
}

// A reader creates no file. If there is no reader table, no writer has the environment open.
static unsigned environment_flags(struct store *store)
{
    if (store->mode != STORE_READER)
        return MDB_NOTLS;
    store->is_unlocked = !has_reader_table(store);
    return MDB_NOTLS | MDB_RDONLY | (store->is_unlocked ? (unsigned)MDB_NOLOCK : 0u);
}

static enum error_code map_environment(struct store *store, struct error *error)
{
    enum store_mode mode = store->mode;
    int code = mdb_env_create(&store->env);
    if (code != MDB_SUCCESS)
        return lmdb_error(code, "create environment", error);
    // The lock file is mapped for writing, which fails on a full disk.
    sigbus_catch_faults(store->env);
    code = mdb_env_set_maxdbs(store->env, DATABASE_COUNT);
    if (code == MDB_SUCCESS)
        code = mdb_env_set_maxreaders(store->env, READERS_MAX);
    if (code == MDB_SUCCESS && mode == STORE_DAEMON)
        code = mdb_env_set_mapsize(store->env, store->max_bytes);
    if (code == MDB_SUCCESS)
        code = mdb_env_open(store->env, store->folder, environment_flags(store), 0600);
    if (code == ENOENT && mode != STORE_DAEMON)
        return error_set(error, ERROR_NOT_FOUND, "there is no store in %s: name it with --db",
                         store->folder);
    return code == MDB_SUCCESS ? ERROR_NONE : verify_explain(code, store->data_file, error);
}

static int make_complete_file(struct store *store, const char *path)
{
    MDB_env *env = NULL;
    int code = mdb_env_create(&env);
    if (code == MDB_SUCCESS)
        code = mdb_env_set_mapsize(env, store->max_bytes);
    if (code == MDB_SUCCESS)
        code = mdb_env_open(env, path, MDB_NOSUBDIR | MDB_NOLOCK | MDB_NOTLS, 0600);
    if (code == MDB_SUCCESS)
        code = mdb_env_sync(env, 1);
    if (env != NULL)
        mdb_env_close(env);
    return code == MDB_SUCCESS && rename(path, store->data_file) != 0 ? errno : code;
}

// LMDB writes the first pages of a new file, or of an empty one, without a sync: a power cut could leave a part of them,
// which no later start accepts. So data.mdb is made under another name, and is complete when it has its own.
static enum error_code make_data_file(struct store *store, struct error *error)
{
    struct stat status;
    char path[PATH_BYTES_MAX];
    bool is_there = lstat(store->data_file, &status) == 0; // a link is not replaced
    if (is_there ? !S_ISREG(status.st_mode) || status.st_size > 0 ||
                       access(store->data_file, R_OK | W_OK) != 0
                 : errno != ENOENT)
        return ERROR_NONE; // open_environment() says what is wrong with it
    int len = snprintf(path, sizeof path, "%s.new", store->data_file);
    if (len < 0 || (size_t)len >= sizeof path)
        return error_set(error, ERROR_TOO_LARGE, "the path of the store is too long");
    if (unlink(path) != 0 && errno != ENOENT)
        return error_set(error, ERROR_IO, "remove %s: %s", path, strerror(errno));
    int code = make_complete_file(store, path);
    if (code != MDB_SUCCESS) {
        (void)unlink(path);
        return lmdb_error(code, store->data_file, error);
    }
    return sync_folder(store->folder, error);
}

static enum error_code open_environment(struct store *store, struct error *error)
{
    enum error_code code = verify_is_file(store->data_file, error);
    if (code == ERROR_NONE)
        code = map_environment(store, error);
    if (code != ERROR_NONE)
        return code;
    sigbus_find_map();
    if (store->mode == STORE_DAEMON) // no other process writes to it
        code = verify_length(store->env, store->data_file, error);
    if (code != ERROR_NONE || store->mode == STORE_READER)
        return code;
    return store_release_dead_readers(store, error);
}

static void close_environment(struct store *store)
{
    if (store->env != NULL)
        mdb_env_close(store->env);
    store->env = NULL;
}

static enum error_code reopen_environment(struct store *store, struct error *error)
{
    close_environment(store);
    memset(store->databases, 0, sizeof store->databases);
    notes_drop_cache(store->notes);
    enum error_code code = open_environment(store, error);
    if (code == ERROR_NONE)
        code = prepare_databases(store, error);
    if (code != ERROR_NONE)
        close_environment(store);
    store->is_broken = code != ERROR_NONE;
    return code;
}

// After a failure to write its meta page LMDB refuses all work (MDB_PANIC) until it is opened again.
static enum error_code store_reopen(struct store *store, struct error *error)
{
    pthread_rwlock_wrlock(&store->env_lock);
    enum error_code code = reopen_environment(store, error);
    pthread_rwlock_unlock(&store->env_lock);
    return code;
}

// A daemon that was started in the meantime would overwrite the pages of a reader that is not in its table. Only
// between
// two transactions: during one the lock is held.
static enum error_code store_lock_reader(struct store *store, struct error *error)
{
    enum error_code code = ERROR_NONE;
    if (!store->is_unlocked || !has_reader_table(store) ||
        pthread_rwlock_trywrlock(&store->env_lock) != 0)
        return ERROR_NONE;
    if (store->is_unlocked)
        code = reopen_environment(store, error);
    pthread_rwlock_unlock(&store->env_lock);
    return code;
}

// LMDB would create its files, or initialize an empty one, with any write access. So a tool first checks, as a
// reader, that this is a ghatrace store.
static enum error_code find_store(const struct store *store, struct error *error)
{
    struct stat status;
    struct store *reader;
    bool is_there = stat(store->data_file, &status) == 0;
    if (is_there ? status.st_size == 0 : errno == ENOENT || errno == ENOTDIR)
        return error_set(error, ERROR_NOT_FOUND, "there is no store in %s: name it with --db",
                         store->folder);
    if (store->mode == STORE_READER)
        return ERROR_NONE;
    enum error_code code = store_open(store->folder, STORE_READER, 0, &reader, error);
    if (code == ERROR_NONE)
        store_close(reader);
    return code;
}

static enum error_code open_parts(struct store *store, struct error *error)
{
    bool is_daemon = store->mode == STORE_DAEMON;
    enum error_code code = is_daemon ? make_folder(store->folder, error) : find_store(store, error);
    if (code == ERROR_NONE && is_daemon)
        code = acquire_lock(store, store->folder, error);
    if (code == ERROR_NONE && is_daemon && (store->notes = notes_make_cache()) == NULL)
        code = error_set(error, ERROR_MEMORY, "open store: out of memory");
    if (code == ERROR_NONE && is_daemon)
        code = make_data_file(store, error);
    if (code == ERROR_NONE)
        code = open_environment(store, error);
    if (code == ERROR_NONE)
        code = prepare_databases(store, error);
    if (code == ERROR_NONE && is_daemon)
        code = sync_folder(store->folder, error);
    return code;
}

enum error_code store_open(const char *folder, enum store_mode mode, uint64_t max_size_bytes,
                           struct store **store, struct error *error)
{
    struct store *made = memory_allocate_array(1, sizeof *made);
    size_t len = strlen(folder);
    char *path = memory_copy_string(folder, len);
    char *data_file = memory_allocate(len + sizeof "/data.mdb");
    if (made == NULL || path == NULL || data_file == NULL) {
        memory_free(made);
        memory_free(path);
        memory_free(data_file);
        return error_set(error, ERROR_MEMORY, "open store: out of memory");
    }
    made->lock_file = -1;
    made->max_bytes = max_size_bytes;
    made->folder = path;
    (void)snprintf(data_file, len + sizeof "/data.mdb", "%s/data.mdb", folder);
    made->data_file = data_file;
    made->mode = mode;
    (void)pthread_rwlock_init(&made->env_lock, NULL); // fails only with unusual attributes
    enum error_code code = open_parts(made, error);
    if (code != ERROR_NONE) {
        store_close(made);
        return code;
    }
    *store = made;
    return ERROR_NONE;
}

void store_close(struct store *store)
{
    if (store == NULL)
        return;
    close_environment(store);
    if (store->lock_file >= 0)
        (void)close(store->lock_file);
    memory_free(store->notes);
    (void)pthread_rwlock_destroy(&store->env_lock);
    memory_free(store->folder);
    memory_free(store->data_file);
    memory_free(store);
}

enum error_code store_release_dead_readers(struct store *store, struct error *error)
{
    int dead_readers;
    if (store->env == NULL)
        return ERROR_NONE;
    return lmdb_error(mdb_reader_check(store->env, &dead_readers), "check readers", error);
}

// --- can there be a store in this folder? Checked before anything is created ----------------------

// Like access(), for the effective user.
static bool has_access(const char *path, int mode)
{
    return faccessat(AT_FDCWD, path, mode, AT_EACCESS) == 0;
}

static enum error_code refuse_folder(const char *folder, const char *path, struct error *error)
{
    return error_set(error, ERROR_IO, "store %s cannot be used: %s: %s", folder, path,
                     strerror(errno));
}

static enum error_code check_file(const char *folder, const char *name, struct error *error)
{
    char path[PATH_BYTES_MAX];
    struct stat status;
    int len = snprintf(path, sizeof path, "%s/%s", folder, name);
    if (len < 0 || (size_t)len >= sizeof path)
        return error_set(error, ERROR_TOO_LARGE, "the path of the store is too long");
    if (stat(path, &status) != 0)
        return errno == ENOENT ? ERROR_NONE : refuse_folder(folder, path, error);
    if (!S_ISREG(status.st_mode))
        return error_set(error, ERROR_IO, "%s is not a file: choose another --db", path);
    return has_access(path, R_OK | W_OK) ? ERROR_NONE : refuse_folder(folder, path, error);
}

static enum error_code check_existing(const char *folder, struct error *error)
{
    static const char *const names[] = {"lock", "lock.mdb", "data.mdb"};
    enum error_code code = ERROR_NONE;
    if (!has_access(folder, R_OK | W_OK | X_OK))
        return refuse_folder(folder, folder, error);
    for (size_t i = 0; i < sizeof names / sizeof names[0] && code == ERROR_NONE; i++)
        code = check_file(folder, names[i], error);
    return code;
}

// The parent of "a/b" and "a/b/" is "a", of "b" ".", of "/b" "/".
static bool find_parent(const char *folder, char parent[PATH_BYTES_MAX])
{
    size_t len = strlen(folder);
    if (len >= PATH_BYTES_MAX)
        return false;
    while (len > 1 && folder[len - 1] == '/')
        len--;
    while (len > 0 && folder[len - 1] != '/')
        len--;
    while (len > 1 && folder[len - 1] == '/')
        len--;
    memcpy(parent, len > 0 ? folder : ".", len > 0 ? len : 1);
    parent[len > 0 ? len : 1] = '\0';
    return true;
}

static enum error_code check_parent(const char *folder, struct error *error)
{
    char parent[PATH_BYTES_MAX];
    struct stat status;
    if (!find_parent(folder, parent))
        return error_set(error, ERROR_TOO_LARGE, "the path of the store is too long");
    if (stat(parent, &status) != 0)
        return error_set(
            error, ERROR_IO,
            "store folder %s cannot be made: %s: %s; only the last folder of a path is "
            "made",
            folder, parent, strerror(errno));
    if (!S_ISDIR(status.st_mode))
        errno = ENOTDIR;
    else if (has_access(parent, W_OK | X_OK))
        return ERROR_NONE;
    return error_set(error, ERROR_IO, "store folder %s cannot be made: %s: %s", folder, parent,
                     strerror(errno));
}

enum error_code store_check_folder(const char *folder, struct error *error)
{
    struct stat status;
    if (folder[0] == '\0')
        return error_set(error, ERROR_IO, "the store has no folder: name one with --db");
    if (stat(folder, &status) == 0 && S_ISDIR(status.st_mode))
        return check_existing(folder, error);
    // A dangling symbolic link is in the way, too.
    if (lstat(folder, &status) == 0)
        return error_set(error, ERROR_IO,
                         "store %s is not a folder: remove it or choose another --db", folder);
    return check_parent(folder, error);
}
