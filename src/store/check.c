// Integrity checks of a store's file before it is used, and entries that were set aside.
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "ghatrace/base/memory.h"
#include "lmdb.h"

// --- verify ---------------------------------------------------------------------------------------
// Checks of a store's file before it is used, cheap whatever its size and limited to LMDB's structures: the program's
// own format is not checked here. Other damage is found by LMDB when it reads the page, or by the handlers of faults in store.c.

// LMDB numbers its own databases first: the free list, whose entries are lists of page numbers prefixed with their
// length (mdb_stat -f reads them so), and the main one, which names the others.
#define FREE_PAGES 0

static enum error_code refuse_file(const char *path, const char *how, struct error *error)
{
    return error_set(error, ERROR_CORRUPT,
                     "%s %s: restore it, or move the folder away to start afresh", path, how);
}

enum error_code verify_is_file(const char *path, struct error *error)
{
    struct stat status;
    if (stat(path, &status) != 0)
        return errno == ENOENT ? ERROR_NONE
                               : error_set(error, ERROR_IO, "check %s: %s", path, strerror(errno));
    if (!S_ISREG(status.st_mode))
        return error_set(error, ERROR_IO, "%s is not a file: choose another --db", path);
    return ERROR_NONE;
}

enum error_code verify_explain(int code, const char *path, struct error *error)
{
    switch (code) {
    case MDB_INVALID:
        return error_set(error, ERROR_CORRUPT,
                         "%s is not an LMDB file (or its beginning is damaged): choose another "
                         "--db, or move it away to start afresh",
                         path);
    case MDB_VERSION_MISMATCH:
        return error_set(error, ERROR_VERSION,
                         "%s has an LMDB format that this ghatrace does not read", path);
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
        return refuse_file(path, "is damaged", error);
    default:
        return lmdb_error(code, path, error);
    }
}

// --- truncated? ------------------------------------------------------------------------------------------

struct length_check {
    MDB_txn *txn;
    MDB_cursor *cursor;
    size_t from;       // the first missing page
    size_t free_pages; // at or after it
    int code;
};

static void count_free_pages(void *context)
{
    struct length_check *check = context;
    MDB_val key, value;
    while ((check->code = lmdb_move(check->cursor, &key, &value, MDB_NEXT)) == MDB_SUCCESS) {
        size_t listed = value.mv_size / sizeof(size_t);
        for (size_t i = 1; i < listed; i++) {
            size_t page;
            memcpy(&page, (const char *)value.mv_data + i * sizeof page, sizeof page);
            check->free_pages += page >= check->from ? 1 : 0;
        }
    }
}

static enum error_code check_free_pages(struct length_check *check, size_t missing,
                                        const char *path, struct error *error)
{
    if (!sigbus_try(count_free_pages, check))
        return refuse_file(path, "is cut off", error);
    if (check->code != MDB_NOTFOUND)
        return verify_explain(check->code, path, error);
    return check->free_pages >= missing ? ERROR_NONE : refuse_file(path, "is cut off", error);
}

// A file may be shorter than its meta page says: pages at its end that were allocated and freed within one
// transaction are never written. Then all missing pages are in the free list.
enum error_code verify_length(MDB_env *env, const char *path, struct error *error)
{
    struct length_check check = {.txn = NULL};
    MDB_envinfo info;
    MDB_stat pages;
    struct stat status;
    (void)mdb_env_info(env, &info);
    (void)mdb_env_stat(env, &pages);
    if (stat(path, &status) != 0)
        return error_set(error, ERROR_IO, "check %s: %s", path, strerror(errno));
    check.from = (size_t)status.st_size / pages.ms_psize;
    if (check.from > info.me_last_pgno)
        return ERROR_NONE;
    int begun = mdb_txn_begin(env, NULL, MDB_RDONLY, &check.txn);
    if (begun != MDB_SUCCESS)
        return verify_explain(begun, path, error);
    int opened = mdb_cursor_open(check.txn, FREE_PAGES, &check.cursor);
    enum error_code code =
        opened == MDB_SUCCESS
            ? check_free_pages(&check, info.me_last_pgno + 1 - check.from, path, error)
            : verify_explain(opened, path, error);
    if (opened == MDB_SUCCESS)
        mdb_cursor_close(check.cursor);
    mdb_txn_abort(check.txn);
    return code;
}

// --- both ends of each database ------------------------------------------------------------------------

static int read_ends(MDB_txn *txn, MDB_dbi database)
{
    MDB_cursor *cursor;
    MDB_val first, last, value;
    int code = mdb_cursor_open(txn, database, &cursor);
    if (code != MDB_SUCCESS)
        return code;
    code = lmdb_move(cursor, &first, &value, MDB_FIRST);
    if (code == MDB_SUCCESS)
        code = lmdb_move(cursor, &last, &value, MDB_LAST);
    if (code == MDB_SUCCESS && mdb_cmp(txn, database, &first, &last) > 0)
        code = MDB_CORRUPTED;
    mdb_cursor_close(cursor);
    return code == MDB_NOTFOUND ? MDB_SUCCESS : code;
}

enum error_code verify_ends(struct store_transaction *transaction, const char *path,
                            struct error *error)
{
    int code = MDB_SUCCESS;
    for (int i = 0; i < DATABASE_COUNT && code == MDB_SUCCESS; i++) {
        if (lmdb_has_database(transaction->store, (enum database)i))
            code = read_ends(transaction->txn, transaction->store->databases[i]);
    }
    return code == MDB_SUCCESS ? ERROR_NONE : verify_explain(code, path, error);
}

// --- unreadable entries, moved aside so that they do not block the rest ----------------------------

#define BYTES_MAX ((uint64_t)64 << 20)
#define SHARE_OF_STORE 32     // of the whole store, for all entries together
#define SHARE_OF_ALL 4        // of all entries, for a single one
#define BYTES_WHEN_TIGHT 4096 // for one entry
#define HEADER_SIZE (8 + 8 + 1 + 2 + 2)
#define TOTALS 4
#define NAME_MAX_BYTES 255
#define REASON_MAX 500

// --- totals ----------------------------------------------------------------------------------------------

struct totals {
    uint64_t last_number;
    uint64_t bytes; // of the entries that are kept, including keys and headers
    uint64_t count; // ever set aside
    uint64_t dropped;
};

static uint64_t count_entries(struct store_transaction *transaction)
{
    return lmdb_has_database(transaction->store, DATABASE_SET_ASIDE)
               ? lmdb_count_entries(transaction, DATABASE_SET_ASIDE)
               : 0;
}

// The totals may be damaged themselves: then they are recomputed from the entries.
static enum error_code count_again(struct store_transaction *transaction, struct totals *totals,
                                   struct error *error)
{
    uint8_t key[SEQUENCE_SIZE] = {0};
    struct slice found;
    struct slice data;
    const struct lmdb_op op = {transaction, DATABASE_SET_ASIDE, "count what was set aside", error};
    enum error_code code;
    *totals = (struct totals){0};
    while ((code = lmdb_seek(&op, slice_of_bytes(key, sizeof key), &found, &data)) == ERROR_NONE) {
        if (found.len == SEQUENCE_SIZE)
            totals->last_number = lmdb_get_be64(found.data);
        totals->bytes += data.len;
        totals->count++;
        if (found.len != SEQUENCE_SIZE || totals->last_number == UINT64_MAX)
            return ERROR_NONE;
        lmdb_put_be64(key, totals->last_number + 1);
    }
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}

static enum error_code read_totals(struct store_transaction *transaction, struct totals *totals,
                                   struct error *error)
{
    struct slice found;
    *totals = (struct totals){0};
    enum error_code code =
        lmdb_get(&(struct lmdb_op){transaction, DATABASE_META, "read totals", error},
                 SLICE("set_aside"), &found);
    if (code == ERROR_NOT_FOUND)
        return ERROR_NONE;
    if (code != ERROR_NONE)
        return code;
    if (found.len != TOTALS * SUM_SIZE)
        return count_again(transaction, totals, error);
    *totals = (struct totals){.last_number = lmdb_get_be64(found.data),
                              .bytes = lmdb_get_be64(found.data + 8),
                              .count = lmdb_get_be64(found.data + 16),
                              .dropped = lmdb_get_be64(found.data + 24)};
    return ERROR_NONE;
}

static enum error_code write_totals(struct store_transaction *transaction,
                                    const struct totals *totals, struct error *error)
{
    const struct lmdb_op op = {transaction, DATABASE_META, "write totals", error};
    const uint64_t sums[TOTALS] = {totals->last_number, totals->bytes, totals->count,
                                   totals->dropped};
    return lmdb_put_sums(&op, SLICE("set_aside"), sums, TOTALS);
}

// --- writing ---------------------------------------------------------------------------------------------

static uint64_t max_bytes_of_all(const struct store *store)
{
    uint64_t share = store->max_bytes / SHARE_OF_STORE;
    return share < BYTES_MAX ? share : BYTES_MAX;
}

static uint64_t max_bytes_of_one(struct store_transaction *transaction)
{
    return store_is_tight(transaction) ? BYTES_WHEN_TIGHT
                                       : max_bytes_of_all(transaction->store) / SHARE_OF_ALL;
}

// Deletes the oldest until the limits are met.
static enum error_code trim(struct store_transaction *transaction, struct totals *totals,
                            struct error *error)
{
    const struct lmdb_op op = {transaction, DATABASE_SET_ASIDE, "drop what was set aside", error};
    while (
        count_entries(transaction) > STORE_SET_ASIDE_MAX ||
        (totals->bytes > max_bytes_of_all(transaction->store) && count_entries(transaction) > 1)) {
        const uint8_t lowest[1] = {0};
        uint8_t key[STORE_TABLE_KEY_MAX];
        struct slice found;
        struct slice data;
        enum error_code code = lmdb_seek(&op, slice_of_bytes(lowest, sizeof lowest), &found, &data);
        if (code != ERROR_NONE)
            return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
        const struct slice oldest = slice_of_bytes(key, found.len);
        memcpy(key, found.data, found.len); // it points into the map
        totals->bytes -= data.len < totals->bytes ? data.len : totals->bytes;
        totals->dropped++;
        code = lmdb_delete(&op, oldest);
        if (code != ERROR_NONE)
            return code;
    }
    return ERROR_NONE;
}

static struct slice slice_at_most(struct slice text, size_t max)
{
    return (struct slice){text.data, text.len < max ? text.len : max};
}

static size_t put_piece(uint8_t *bytes, size_t length_size, const void *data, size_t len)
{
    for (size_t i = 0; i < length_size; i++)
        bytes[i] = (uint8_t)(len >> (8 * (length_size - 1 - i)));
    if (len > 0)
        memcpy(bytes + length_size, data, len);
    return length_size + len;
}

// Nothing in `entry` may point into the map. Adds its size to the totals.
static enum error_code write_set_aside(struct store_transaction *transaction,
                                       const struct store_set_aside *entry, struct totals *totals,
                                       struct error *error)
{
    const struct lmdb_op op = {transaction, DATABASE_SET_ASIDE, "set aside", error};
    const struct slice database = slice_at_most(entry->database, NAME_MAX_BYTES);
    const struct slice reason = slice_at_most(entry->reason, REASON_MAX);
    uint8_t number[SEQUENCE_SIZE];
    size_t size = HEADER_SIZE + database.len + entry->key.len + reason.len + entry->bytes.len;
    uint8_t *bytes = memory_allocate(size);
    if (bytes == NULL)
        return error_set(error, ERROR_MEMORY, "set an entry aside: out of memory");
    size_t at = 16;
    lmdb_put_be64(bytes, (uint64_t)entry->at);
    lmdb_put_be64(bytes + 8, entry->size);
    at += put_piece(bytes + at, 1, database.data, database.len);
    at += put_piece(bytes + at, 2, entry->key.data, entry->key.len);
    at += put_piece(bytes + at, 2, reason.data, reason.len);
    if (entry->bytes.len > 0)
        memcpy(bytes + at, entry->bytes.data, entry->bytes.len);
    totals->bytes += size;
    enum error_code code =
        lmdb_put(&op, lmdb_put_sequence(number, entry->number), slice_of_bytes(bytes, size));
    memory_free(bytes);
    return code;
}

static void note(struct store_transaction *transaction, struct slice database, struct slice reason)
{
    struct store_set_aside_note *noted = &transaction->set_aside;
    noted->count++;
    noted->database = database;
    size_t len = reason.len < sizeof noted->reason - 1 ? reason.len : sizeof noted->reason - 1;
    memcpy(noted->reason, reason.data, len);
    noted->reason[len] = '\0';
}

// Sets the number and the time of the entry.
static enum error_code keep(struct store_transaction *transaction, struct store_set_aside *entry,
                            struct error *error)
{
    struct totals totals;
    enum error_code code = read_totals(transaction, &totals, error);
    if (code != ERROR_NONE)
        return code;
    totals.count++;
    entry->number = ++totals.last_number;
    entry->at = timestamp_now();
    code = write_set_aside(transaction, entry, &totals, error);
    if (code == ERROR_NONE)
        code = trim(transaction, &totals, error);
    if (code == ERROR_NONE)
        code = write_totals(transaction, &totals, error);
    if (code == ERROR_NONE)
        note(transaction, entry->database, entry->reason);
    return code;
}

enum error_code lmdb_set_aside(struct store_transaction *transaction, enum database database,
                               struct slice key, struct slice reason, struct error *error)
{
    const struct lmdb_op read = {transaction, database, "read what is set aside", error};
    const struct lmdb_op delete = {transaction, database, "set aside", error};
    uint8_t key_bytes[STORE_TABLE_KEY_MAX];
    const struct slice own_key =
        slice_of_bytes(key_bytes, key.len < sizeof key_bytes ? key.len : sizeof key_bytes);
    struct slice found;
    memcpy(key_bytes, key.data, own_key.len);                       // it may point into the map
    if (!lmdb_has_database(transaction->store, DATABASE_SET_ASIDE)) // a tool with an older store
        return error_set(error, ERROR_CORRUPT, "store: an entry of %s is damaged: %.*s",
                         lmdb_database_name(database), SLICE_ARGS(reason));
    enum error_code code = lmdb_get(&read, own_key, &found);
    // It was found just before: the tree is damaged, and would return it again and again.
    if (code == ERROR_NOT_FOUND)
        return error_set(error, ERROR_CORRUPT, "store: set aside: keys are out of order");
    if (code != ERROR_NONE)
        return code;
    uint64_t most = max_bytes_of_one(transaction);
    size_t len = found.len < most ? found.len : (size_t)most;
    char *copy = memory_allocate(len + 1);
    if (copy == NULL)
        return error_set(error, ERROR_MEMORY, "set an entry aside: out of memory");
    if (len > 0)
        memcpy(copy, found.data, len);
    struct store_set_aside entry = {.database = slice_from_string(lmdb_database_name(database)),
                                    .key = own_key,
                                    .reason = reason,
                                    .bytes = {copy, len},
                                    .size = found.len};
    code = keep(transaction, &entry, error);
    memory_free(copy);
    return code == ERROR_NONE ? lmdb_delete(&delete, own_key) : code;
}

enum error_code store_set_span_aside(struct store_transaction *transaction,
                                     const struct store_key *key, struct slice reason,
                                     struct error *error)
{
    uint8_t bytes[KEY_SIZE];
    return lmdb_set_aside(transaction, DATABASE_SPANS, lmdb_put_key(bytes, key), reason, error);
}

enum error_code store_set_record_aside(struct store_transaction *transaction,
                                       const struct store_key *key, struct slice reason,
                                       struct error *error)
{
    uint8_t bytes[KEY_SIZE];
    struct store_set_aside entry = {.database =
                                        slice_from_string(lmdb_database_name(DATABASE_RECORDS)),
                                    .key = lmdb_put_key(bytes, key),
                                    .reason = reason};
    return keep(transaction, &entry, error);
}

enum error_code store_table_set_aside(struct store_transaction *transaction, enum store_table table,
                                      struct slice key, struct slice reason, struct error *error)
{
    return lmdb_set_aside(transaction, (enum database)(DATABASE_TABLES + (int)table), key, reason,
                          error);
}

// --- reading ---------------------------------------------------------------------------------------------

static bool parse_piece(struct slice *rest, size_t length_size, struct slice *piece)
{
    size_t len = 0;
    if (rest->len < length_size)
        return false;
    for (size_t i = 0; i < length_size; i++)
        len = len << 8 | (uint8_t)rest->data[i];
    if (rest->len - length_size < len)
        return false;
    *piece = (struct slice){rest->data + length_size, len};
    *rest = (struct slice){rest->data + length_size + len, rest->len - length_size - len};
    return true;
}

// Damaged entries are shown as far as they can be read.
static void read_entry(struct slice found, struct slice data, struct store_set_aside *entry)
{
    *entry = (struct store_set_aside){.reason = SLICE("this entry is damaged itself")};
    entry->number = found.len == SEQUENCE_SIZE ? lmdb_get_be64(found.data) : 0;
    if (data.len < 16)
        return;
    struct slice rest = {data.data + 16, data.len - 16};
    entry->at = (timestamp_ns)lmdb_get_be64(data.data);
    entry->size = lmdb_get_be64(data.data + 8);
    struct slice reason;
    if (parse_piece(&rest, 1, &entry->database) && parse_piece(&rest, 2, &entry->key) &&
        parse_piece(&rest, 2, &reason)) {
        entry->reason = reason;
        entry->bytes = rest;
    }
}

enum error_code store_seek_set_aside(struct store_transaction *transaction, uint64_t *number,
                                     struct store_set_aside *entry, struct error *error)
{
    uint8_t key[SEQUENCE_SIZE];
    struct slice found;
    struct slice data;
    if (!lmdb_has_database(transaction->store, DATABASE_SET_ASIDE))
        return ERROR_NOT_FOUND;
    lmdb_put_be64(key, *number);
    enum error_code code = lmdb_seek(
        &(struct lmdb_op){transaction, DATABASE_SET_ASIDE, "seek what was set aside", error},
        slice_of_bytes(key, sizeof key), &found, &data);
    if (code != ERROR_NONE)
        return code;
    read_entry(found, data, entry);
    if (found.len == SEQUENCE_SIZE)
        *number = entry->number;
    return ERROR_NONE;
}

enum error_code store_read_set_aside_totals(struct store_transaction *transaction,
                                            struct store_set_aside_totals *read,
                                            struct error *error)
{
    struct totals totals;
    enum error_code code = read_totals(transaction, &totals, error);
    *read = (struct store_set_aside_totals){
        .kept = count_entries(transaction), .count = totals.count, .dropped = totals.dropped};
    return code;
}

const struct store_set_aside_note *
store_noted_set_aside(const struct store_transaction *transaction)
{
    return &transaction->set_aside;
}

// --- skipping entries of the wrong shape ----------------------------------------------------------------------

struct shape {
    size_t key_len;
    size_t least; // minimum size of the value in bytes
    size_t most;
};

static const struct shape shapes[DATABASE_TABLES] = {
    [DATABASE_SPANS] = {KEY_SIZE, 0, SIZE_MAX},
    [DATABASE_DEADLINES] = {TIME_SIZE + KEY_SIZE, 0, SIZE_MAX},
    [DATABASE_RECORDS] = {SEQUENCE_SIZE, TIME_SIZE + KEY_SIZE, SIZE_MAX},
    [DATABASE_OUTBOX] = {SEQUENCE_SIZE, 4, 4},
    [DATABASE_DEAD] = {SEQUENCE_SIZE, TIME_SIZE, SIZE_MAX},
    [DATABASE_HISTORY] = {KEY_SIZE, SEQUENCE_SIZE, SEQUENCE_SIZE},
};

static bool has_shape(enum database database, size_t key_len, size_t data_len)
{
    const struct shape *shape = &shapes[database];
    return key_len == shape->key_len && data_len >= shape->least && data_len <= shape->most;
}

bool lmdb_value_has_shape(enum database database, size_t data_len)
{
    return has_shape(database, shapes[database].key_len, data_len);
}

static enum error_code set_misshapen_aside(const struct lmdb_op *op, struct slice key,
                                           size_t data_len)
{
    char reason[96];
    int len =
        snprintf(reason, sizeof reason, "key of %zu bytes, value of %zu bytes", key.len, data_len);
    return lmdb_set_aside(op->transaction, op->database, key, (struct slice){reason, (size_t)len},
                          op->error);
}

// Readers do not write: they skip to the next entry with a valid shape, or to the one before if `is_last`.
static enum error_code seek_reading(const struct lmdb_op *op, struct slice key, bool is_last,
                                    struct slice *found_key, struct slice *data)
{
    const MDB_dbi database = op->transaction->store->databases[op->database];
    MDB_cursor *cursor;
    MDB_val k = lmdb_value(key);
    MDB_val v = {0};
    enum error_code opened = lmdb_open_cursor(op, &cursor);
    if (opened != ERROR_NONE)
        return opened;
    int code = lmdb_move(cursor, &k, &v, is_last ? MDB_LAST : MDB_SET_RANGE);
    while (code == MDB_SUCCESS && !has_shape(op->database, k.mv_size, v.mv_size)) {
        MDB_val passed = k;
        store_note_unreadable(op->transaction);
        code = lmdb_move(cursor, &k, &v, is_last ? MDB_PREV : MDB_NEXT);
        // A damaged tree may return an earlier entry and cause an endless loop.
        int order = mdb_cmp(op->transaction->txn, database, &passed, &k);
        if (code == MDB_SUCCESS && (is_last ? order <= 0 : order >= 0))
            code = MDB_CORRUPTED;
    }
    mdb_cursor_close(cursor);
    *found_key = lmdb_slice(k);
    *data = lmdb_slice(v);
    return lmdb_error(code, op->what, op->error);
}

enum error_code lmdb_seek_sound(const struct lmdb_op *op, struct slice key, struct slice *found_key,
                                struct slice *data)
{
    enum error_code code;
    while ((code = lmdb_seek(op, key, found_key, data)) == ERROR_NONE &&
           !has_shape(op->database, found_key->len, data->len)) {
        if (!op->transaction->is_write)
            return seek_reading(op, key, false, found_key, data);
        code = set_misshapen_aside(op, *found_key, data->len);
        if (code != ERROR_NONE)
            return code;
    }
    return code;
}

enum error_code lmdb_last_sound(const struct lmdb_op *op, struct slice *found_key,
                                struct slice *data)
{
    for (;;) {
        MDB_cursor *cursor;
        MDB_val k = {0};
        MDB_val v = {0};
        if (!op->transaction->is_write)
            return seek_reading(op, SLICE_EMPTY, true, found_key, data);
        enum error_code opened = lmdb_open_cursor(op, &cursor);
        if (opened != ERROR_NONE)
            return opened;
        int code = lmdb_move(cursor, &k, &v, MDB_LAST);
        mdb_cursor_close(cursor);
        *found_key = lmdb_slice(k);
        *data = lmdb_slice(v);
        if (code != MDB_SUCCESS)
            return lmdb_error(code, op->what, op->error);
        if (has_shape(op->database, found_key->len, data->len))
            return ERROR_NONE;
        enum error_code set_aside = set_misshapen_aside(op, *found_key, data->len);
        if (set_aside != ERROR_NONE)
            return set_aside;
    }
}

// --- entries that readers skipped ----------------------------------------------------------------------------

void store_note_unreadable(struct store_transaction *transaction)
{
    transaction->unreadable++;
    atomic_fetch_add_explicit(&transaction->store->unreadable, 1, memory_order_relaxed);
}

uint64_t store_unreadable(const struct store_transaction *transaction)
{
    return transaction->unreadable;
}

uint64_t store_unreadable_ever(struct store *store)
{
    return atomic_load_explicit(&store->unreadable, memory_order_relaxed);
}
