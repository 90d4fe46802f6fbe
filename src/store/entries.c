// Entries of the store, one at a time: calls of LMDB, entries that cannot be read, states, deadlines, tables.
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "ghatrace/base/heartbeat.h"
#include "ghatrace/base/memory.h"
#include "ghatrace/store/table.h"
#include "ghatrace/trace/ids.h"
#include "lmdb.h"

// --- LMDB wrappers: error mapping, big-endian keys, one call per access ---------------------------

MDB_val lmdb_value(struct slice bytes)
{
    return (MDB_val){.mv_size = bytes.len, .mv_data = (void *)(uintptr_t)bytes.data};
}

struct slice lmdb_slice(MDB_val value)
{
    return (struct slice){.data = value.mv_data, .len = value.mv_size};
}

// Written out, so that a compiler makes one instruction of it.
void lmdb_put_be64(uint8_t *bytes, uint64_t value)
{
    bytes[0] = (uint8_t)(value >> 56);
    bytes[1] = (uint8_t)(value >> 48);
    bytes[2] = (uint8_t)(value >> 40);
    bytes[3] = (uint8_t)(value >> 32);
    bytes[4] = (uint8_t)(value >> 24);
    bytes[5] = (uint8_t)(value >> 16);
    bytes[6] = (uint8_t)(value >> 8);
    bytes[7] = (uint8_t)value;
}

uint64_t lmdb_get_be64(const void *bytes)
{
    const uint8_t *b = bytes;
    return (uint64_t)b[0] << 56 | (uint64_t)b[1] << 48 | (uint64_t)b[2] << 40 |
           (uint64_t)b[3] << 32 | (uint64_t)b[4] << 24 | (uint64_t)b[5] << 16 |
           (uint64_t)b[6] << 8 | (uint64_t)b[7];
}

struct slice lmdb_put_key(uint8_t bytes[KEY_SIZE], const struct store_key *key)
{
    memcpy(bytes, key->trace.bytes, TRACE_ID_SIZE);
    memcpy(bytes + TRACE_ID_SIZE, key->span.bytes, SPAN_ID_SIZE);
    return slice_of_bytes(bytes, KEY_SIZE);
}

struct slice lmdb_put_sequence(uint8_t bytes[SEQUENCE_SIZE], uint64_t sequence)
{
    lmdb_put_be64(bytes, sequence);
    return slice_of_bytes(bytes, SEQUENCE_SIZE);
}

void lmdb_get_key(const void *bytes, struct store_key *key)
{
    memcpy(key->trace.bytes, bytes, TRACE_ID_SIZE);
    memcpy(key->span.bytes, (const uint8_t *)bytes + TRACE_ID_SIZE, SPAN_ID_SIZE);
}

static enum error_code code_of(int code)
{
    switch (code) {
    case MDB_MAP_FULL:
    case MDB_TXN_FULL:
    case MDB_READERS_FULL:
    case ENOSPC:
    case EDQUOT:
        return ERROR_FULL;
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
    case MDB_INVALID:
    case MDB_PANIC:
        return ERROR_CORRUPT;
    case MDB_VERSION_MISMATCH:
    case MDB_INCOMPATIBLE:
        return ERROR_VERSION;
    case ENOMEM:
        return ERROR_MEMORY;
    case ENOENT:
        return ERROR_NOT_FOUND;
    default:
        return ERROR_IO;
    }
}

enum error_code lmdb_error(int code, const char *what, struct error *error)
{
    if (code == MDB_SUCCESS)
        return ERROR_NONE;
    if (code == MDB_NOTFOUND)
        return ERROR_NOT_FOUND;
    if (code == MDB_MAP_FULL)
        return error_set(error, ERROR_FULL, "store: %s: the store is full: raise db-max-size",
                         what);
    if (code == MDB_CORRUPTED || code == MDB_PAGE_NOTFOUND)
        return error_set(error, ERROR_CORRUPT,
                         "store: %s: the store is damaged: restore its folder, or move it away to "
                         "start afresh: %s",
                         what, mdb_strerror(code));
    return error_set(error, code_of(code), "store: %s: %s", what, mdb_strerror(code));
}

static MDB_dbi handle_of(const struct lmdb_op *op)
{
    return op->transaction->store->databases[op->database];
}

int lmdb_move(MDB_cursor *cursor, MDB_val *key, MDB_val *value, MDB_cursor_op where)
{
    heartbeat_beat();
    return mdb_cursor_get(cursor, key, value, where);
}

enum error_code lmdb_get(const struct lmdb_op *op, struct slice key, struct slice *data)
{
    MDB_val k = lmdb_value(key);
    MDB_val v = {0};
    heartbeat_beat();
    int code = mdb_get(op->transaction->txn, handle_of(op), &k, &v);
    *data = lmdb_slice(v);
    return lmdb_error(code, op->what, op->error);
}

enum error_code lmdb_put(const struct lmdb_op *op, struct slice key, struct slice data)
{
    MDB_val k = lmdb_value(key);
    MDB_val v = lmdb_value(data);
    assert(op->transaction->is_write);
    heartbeat_beat();
    int code = mdb_put(op->transaction->txn, handle_of(op), &k, &v, 0);
    return lmdb_error(code, op->what, op->error);
}

enum error_code lmdb_delete(const struct lmdb_op *op, struct slice key)
{
    MDB_val k = lmdb_value(key);
    assert(op->transaction->is_write);
    heartbeat_beat();
    int code = mdb_del(op->transaction->txn, handle_of(op), &k, NULL);
    return code == MDB_NOTFOUND ? ERROR_NONE : lmdb_error(code, op->what, op->error);
}

enum error_code lmdb_open_cursor(const struct lmdb_op *op, MDB_cursor **cursor)
{
    int code = mdb_cursor_open(op->transaction->txn, handle_of(op), cursor);
    return lmdb_error(code, op->what, op->error);
}

// By a cursor of its own.
static int move_once(const struct lmdb_op *op, MDB_val *key, MDB_val *value, MDB_cursor_op where)
{
    MDB_cursor *cursor;
    int code = mdb_cursor_open(op->transaction->txn, handle_of(op), &cursor);
    if (code != MDB_SUCCESS)
        return code;
    code = lmdb_move(cursor, key, value, where);
    mdb_cursor_close(cursor);
    return code;
}

enum error_code lmdb_seek(const struct lmdb_op *op, struct slice key, struct slice *found_key,
                          struct slice *data)
{
    MDB_val k = lmdb_value(key);
    MDB_val v = {0};
    int code = move_once(op, &k, &v, MDB_SET_RANGE);
    *found_key = lmdb_slice(k);
    *data = lmdb_slice(v);
    // A damaged tree may return an earlier entry and cause an endless loop.
    if (code == MDB_SUCCESS && slice_compare(*found_key, key) < 0)
        return error_set(op->error, ERROR_CORRUPT, "store: %s: keys are out of order", op->what);
    return lmdb_error(code, op->what, op->error);
}

enum error_code lmdb_get_sums(const struct lmdb_op *op, struct slice name, uint64_t *sums,
                              size_t count)
{
    return lmdb_get_extended_sums(op, name, sums, count, count);
}

enum error_code lmdb_get_extended_sums(const struct lmdb_op *op, struct slice name, uint64_t *sums,
                                       size_t old_count, size_t count)
{
    struct slice found;
    if (handle_of(op) == 0)
        return ERROR_NONE; // the first transaction, which creates the databases
    enum error_code code = lmdb_get(op, name, &found);
    bool is_sound =
        code == ERROR_NONE && (found.len == count * SUM_SIZE || found.len == old_count * SUM_SIZE);
    for (size_t i = 0; is_sound && i < found.len / SUM_SIZE; i++)
        sums[i] = lmdb_get_be64(found.data + i * SUM_SIZE);
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}

enum error_code lmdb_put_sums(const struct lmdb_op *op, struct slice name, const uint64_t *sums,
                              size_t count)
{
    uint8_t bytes[SUMS_MAX * SUM_SIZE];
    assert(count <= SUMS_MAX);
    for (size_t i = 0; i < count; i++)
        lmdb_put_be64(bytes + i * SUM_SIZE, sums[i]);
    return lmdb_put(op, name, slice_of_bytes(bytes, count * SUM_SIZE));
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
    while (lmdb_count_entries(transaction, DATABASE_SET_ASIDE) > STORE_SET_ASIDE_MAX ||
           (totals->bytes > max_bytes_of_all(transaction->store) &&
            lmdb_count_entries(transaction, DATABASE_SET_ASIDE) > 1)) {
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

static enum database database_of(enum store_table table)
{
    return (enum database)(DATABASE_TABLES + (int)table);
}

enum error_code store_table_set_aside(struct store_transaction *transaction, enum store_table table,
                                      struct slice key, struct slice reason, struct error *error)
{
    return lmdb_set_aside(transaction, database_of(table), key, reason, error);
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
    *read =
        (struct store_set_aside_totals){.kept = lmdb_count_entries(transaction, DATABASE_SET_ASIDE),
                                        .count = totals.count,
                                        .dropped = totals.dropped};
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
        MDB_val k = {0};
        MDB_val v = {0};
        if (!op->transaction->is_write)
            return seek_reading(op, SLICE_EMPTY, true, found_key, data);
        int code = move_once(op, &k, &v, MDB_LAST);
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

// --- states of runs and jobs, and the index of their deadlines -----------------------------------

enum error_code store_get_span(struct store_transaction *transaction, const struct store_key *key,
                               struct slice *state, struct error *error)
{
    uint8_t bytes[KEY_SIZE];
    return lmdb_get(&(struct lmdb_op){transaction, DATABASE_SPANS, "get span", error},
                    lmdb_put_key(bytes, key), state);
}

enum error_code store_put_span(struct store_transaction *transaction, const struct store_key *key,
                               struct slice state, struct error *error)
{
    uint8_t bytes[KEY_SIZE];
    return lmdb_put(&(struct lmdb_op){transaction, DATABASE_SPANS, "put span", error},
                    lmdb_put_key(bytes, key), state);
}

enum error_code store_delete_span(struct store_transaction *transaction,
                                  const struct store_key *key, struct error *error)
{
    uint8_t bytes[KEY_SIZE];
    return lmdb_delete(&(struct lmdb_op){transaction, DATABASE_SPANS, "delete span", error},
                       lmdb_put_key(bytes, key));
}

enum error_code store_seek_span(struct store_transaction *transaction, struct store_key *key,
                                struct slice *state, struct error *error)
{
    uint8_t bytes[KEY_SIZE];
    struct slice found;
    enum error_code code =
        lmdb_seek_sound(&(struct lmdb_op){transaction, DATABASE_SPANS, "seek span", error},
                        lmdb_put_key(bytes, key), &found, state);
    if (code == ERROR_NONE)
        lmdb_get_key(found.data, key);
    return code;
}

enum error_code store_seek_span_of_trace(struct store_transaction *transaction,
                                         struct store_key *key, struct slice *state,
                                         struct error *error)
{
    const struct trace_id trace = key->trace;
    enum error_code code = store_seek_span(transaction, key, state, error);
    return code == ERROR_NONE && !trace_id_equals(&key->trace, &trace) ? ERROR_NOT_FOUND : code;
}

void store_key_increment(struct store_key *key)
{
    uint8_t bytes[KEY_SIZE];
    lmdb_put_key(bytes, key);
    for (int i = KEY_SIZE - 1; i >= 0 && ++bytes[i] == 0; i--)
        ;
    lmdb_get_key(bytes, key);
}

static struct slice put_deadline_key(uint8_t bytes[TIME_SIZE + KEY_SIZE], timestamp_ns at,
                                     const struct store_key *key)
{
    lmdb_put_be64(bytes, (uint64_t)at);
    lmdb_put_key(bytes + TIME_SIZE, key);
    return slice_of_bytes(bytes, TIME_SIZE + KEY_SIZE);
}

enum error_code store_put_deadline(struct store_transaction *transaction, timestamp_ns at,
                                   const struct store_key *key, struct error *error)
{
    uint8_t bytes[TIME_SIZE + KEY_SIZE];
    return lmdb_put(&(struct lmdb_op){transaction, DATABASE_DEADLINES, "put deadline", error},
                    put_deadline_key(bytes, at, key), SLICE_EMPTY);
}

enum error_code store_has_deadline(struct store_transaction *transaction, timestamp_ns at,
                                   const struct store_key *key, bool *is_there, struct error *error)
{
    uint8_t bytes[TIME_SIZE + KEY_SIZE];
    struct slice unused;
    enum error_code code =
        lmdb_get(&(struct lmdb_op){transaction, DATABASE_DEADLINES, "get deadline", error},
                 put_deadline_key(bytes, at, key), &unused);
    *is_there = code == ERROR_NONE;
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}

enum error_code store_delete_deadline(struct store_transaction *transaction, timestamp_ns at,
                                      const struct store_key *key, struct error *error)
{
    uint8_t bytes[TIME_SIZE + KEY_SIZE];
    return lmdb_delete(&(struct lmdb_op){transaction, DATABASE_DEADLINES, "delete deadline", error},
                       put_deadline_key(bytes, at, key));
}

static void read_deadline(struct slice found, timestamp_ns *at, struct store_key *key)
{
    *at = (timestamp_ns)lmdb_get_be64(found.data);
    lmdb_get_key(found.data + TIME_SIZE, key);
}

enum error_code store_first_deadline(struct store_transaction *transaction, timestamp_ns *at,
                                     struct store_key *key, struct error *error)
{
    const uint8_t lowest[1] = {0};
    struct slice found;
    struct slice data;
    enum error_code code =
        lmdb_seek_sound(&(struct lmdb_op){transaction, DATABASE_DEADLINES, "seek deadline", error},
                        slice_of_bytes(lowest, sizeof lowest), &found, &data);
    if (code == ERROR_NONE)
        read_deadline(found, at, key);
    return code;
}

enum error_code store_last_deadline(struct store_transaction *transaction, timestamp_ns *at,
                                    struct store_key *key, struct error *error)
{
    struct slice found;
    struct slice data;
    enum error_code code = lmdb_last_sound(
        &(struct lmdb_op){transaction, DATABASE_DEADLINES, "seek last deadline", error}, &found,
        &data);
    if (code == ERROR_NONE)
        read_deadline(found, at, key);
    return code;
}

// --- tables --------------------------------------------------------------------------------------

struct store_walk {
    MDB_cursor *cursor; // NULL: nothing to iterate over
    MDB_val key;        // where to start
    MDB_cursor_op next;
    uint8_t bytes[STORE_TABLE_KEY_MAX];
};

// A tool may read a store that no daemon has opened since tables were introduced.
static bool is_absent(const struct store_transaction *transaction, enum store_table table)
{
    return !lmdb_has_database(transaction->store, database_of(table));
}

enum error_code store_table_get(struct store_transaction *transaction, enum store_table table,
                                struct slice key, struct slice *value, struct error *error)
{
    if (is_absent(transaction, table))
        return ERROR_NOT_FOUND;
    return lmdb_get(&(struct lmdb_op){transaction, database_of(table), "get from table", error},
                    key, value);
}

enum error_code store_table_put(struct store_transaction *transaction, enum store_table table,
                                struct slice key, struct slice value, struct error *error)
{
    return lmdb_put(&(struct lmdb_op){transaction, database_of(table), "put in table", error}, key,
                    value);
}

enum error_code store_table_append(struct store_transaction *transaction, enum store_table table,
                                   struct slice key, struct slice value, struct error *error)
{
    MDB_val k = lmdb_value(key);
    MDB_val v = lmdb_value(value);
    assert(transaction->is_write);
    MDB_dbi dbi = transaction->store->databases[database_of(table)];
    heartbeat_beat();
    return lmdb_error(mdb_put(transaction->txn, dbi, &k, &v, MDB_APPEND), "append to table", error);
}

enum error_code store_table_delete(struct store_transaction *transaction, enum store_table table,
                                   struct slice key, struct error *error)
{
    MDB_val k = lmdb_value(key);
    assert(transaction->is_write);
    MDB_dbi dbi = transaction->store->databases[database_of(table)];
    heartbeat_beat();
    return lmdb_error(mdb_del(transaction->txn, dbi, &k, NULL), "delete from table", error);
}

// The first entry at or after `key`, or the last before it if `is_before`.
static enum error_code move_cursor(const struct lmdb_op *op, struct slice key, bool is_before,
                                   struct store_entry *entry)
{
    MDB_cursor *cursor;
    MDB_val k = lmdb_value(key);
    MDB_val v = {0};
    if (!lmdb_has_database(op->transaction->store, op->database))
        return ERROR_NOT_FOUND;
    enum error_code opened = lmdb_open_cursor(op, &cursor);
    if (opened != ERROR_NONE)
        return opened;
    int code = lmdb_move(cursor, &k, &v,
                         key.len > 0 ? MDB_SET_RANGE
                         : is_before ? MDB_LAST
                                     : MDB_FIRST);
    if (is_before && key.len > 0)
        code = lmdb_move(cursor, &k, &v, code == MDB_NOTFOUND ? MDB_LAST : MDB_PREV);
    mdb_cursor_close(cursor);
    *entry = (struct store_entry){lmdb_slice(k), lmdb_slice(v)};
    if (code != MDB_SUCCESS)
        return lmdb_error(code, op->what, op->error);
    // A damaged tree may return an earlier entry and cause an endless loop.
    int order = key.len > 0 ? slice_compare(entry->key, key) : 0;
    if ((is_before && key.len > 0 && order >= 0) || (!is_before && order < 0))
        return error_set(op->error, ERROR_CORRUPT, "store: %s: keys are out of order", op->what);
    return ERROR_NONE;
}

enum error_code store_table_seek(struct store_transaction *transaction, enum store_table table,
                                 struct slice key, struct store_entry *entry, struct error *error)
{
    const struct lmdb_op op = {transaction, database_of(table), "seek in table", error};
    return move_cursor(&op, key, false, entry);
}

enum error_code store_table_seek_before(struct store_transaction *transaction,
                                        enum store_table table, struct slice key,
                                        struct store_entry *entry, struct error *error)
{
    const struct lmdb_op op = {transaction, database_of(table), "seek in table", error};
    return move_cursor(&op, key, true, entry);
}

uint64_t store_table_count(struct store_transaction *transaction, enum store_table table)
{
    return lmdb_count_entries(transaction, database_of(table));
}

enum error_code store_table_clear(struct store_transaction *transaction, enum store_table table,
                                  struct error *error)
{
    MDB_dbi dbi = transaction->store->databases[database_of(table)];
    assert(transaction->is_write);
    return lmdb_error(mdb_drop(transaction->txn, dbi, 0), "clear table", error);
}

// --- iteration -------------------------------------------------------------------------------------------

enum error_code store_table_walk(struct store_transaction *transaction, enum store_table table,
                                 struct slice key, struct store_walk **walk, struct error *error)
{
    struct store_walk *made = memory_allocate(sizeof *made);
    if (made == NULL)
        return error_set(error, ERROR_MEMORY, "walk table: out of memory");
    *made = (struct store_walk){.next = key.len > 0 ? MDB_SET_RANGE : MDB_FIRST};
    if (key.len > 0)
        memcpy(made->bytes, key.data, key.len < sizeof made->bytes ? key.len : sizeof made->bytes);
    made->key = (MDB_val){.mv_size = key.len, .mv_data = made->bytes};
    int code = MDB_SUCCESS;
    if (!is_absent(transaction, table))
        code = mdb_cursor_open(transaction->txn, transaction->store->databases[database_of(table)],
                               &made->cursor);
    if (code != MDB_SUCCESS) {
        memory_free(made);
        return lmdb_error(code, "walk table", error);
    }
    *walk = made;
    return ERROR_NONE;
}

enum error_code store_table_next(struct store_walk *walk, struct store_entry *entry,
                                 struct error *error)
{
    MDB_val v = {0};
    if (walk->cursor == NULL)
        return ERROR_NOT_FOUND;
    MDB_val before = walk->key;
    bool is_first = walk->next != MDB_NEXT;
    int code = lmdb_move(walk->cursor, &walk->key, &v, walk->next);
    walk->next = MDB_NEXT;
    // A damaged tree may return an earlier entry and cause an endless loop.
    if (code == MDB_SUCCESS && !is_first &&
        slice_compare(lmdb_slice(walk->key), lmdb_slice(before)) <= 0)
        return error_set(error, ERROR_CORRUPT, "store: walk table: keys are out of order");
    *entry = (struct store_entry){lmdb_slice(walk->key), lmdb_slice(v)};
    return lmdb_error(code, "walk table", error);
}

void store_table_end_walk(struct store_walk *walk)
{
    if (walk->cursor != NULL)
        mdb_cursor_close(walk->cursor);
    memory_free(walk);
}
