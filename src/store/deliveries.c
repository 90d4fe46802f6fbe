// Records which deliveries were received, and which runs and jobs were sent.
#include <assert.h>

#include "ghatrace/base/heartbeat.h"
#include "notes.h"

// --- deliveries -----------------------------------------------------------------------------------
// Remembered deliveries: notes (notes.h), and the table of format version 1, which is only read and emptied.

#define SLICES_PER_LINGER 8

static duration_ns slice_width(duration_ns linger)
{
    duration_ns width = linger / SLICES_PER_LINGER;
    return width > 0 ? width : 1;
}

// --- slices of time ----------------------------------------------------------------------------------------

// The slice that contains `now`, added to the list if it is new. When the list is full (linger was changed hundreds
// of times within one linger), the newest slice is used.
static timestamp_ns slice_for(struct store_slices *slices, timestamp_ns now, duration_ns width)
{
    timestamp_ns start = now - now % width;
    size_t at = slices->count;
    while (at > 0 && slices->starts[at - 1] >= start)
        at--;
    if (at < slices->count && slices->starts[at] == start)
        return start;
    if (slices->count == SLICES_MAX)
        return slices->starts[SLICES_MAX - 1];
    assert(slices->count < SLICES_MAX);
    memmove(&slices->starts[at + 1], &slices->starts[at],
            (slices->count - at) * sizeof slices->starts[0]);
    slices->starts[at] = start;
    slices->count++;
    return start;
}

// Lists the slices of time in a database, whose keys are `prefix_len` bytes followed by a time. Seeks from one slice
// to the next.
static enum error_code load_slices(struct store_transaction *transaction, enum database database,
                                   const char *prefix, struct store_slices *slices,
                                   struct error *error)
{
    uint8_t key[1 + TIME_SIZE] = {0};
    size_t prefix_len = strlen(prefix);
    memcpy(key, prefix, prefix_len);
    slices->count = 0;
    while (slices->count < SLICES_MAX) {
        struct slice found;
        struct slice data;
        enum error_code code =
            lmdb_seek(&(struct lmdb_op){transaction, database, "read deliveries", error},
                      slice_of_bytes(key, prefix_len + TIME_SIZE), &found, &data);
        if (code == ERROR_NOT_FOUND ||
            (code == ERROR_NONE && memcmp(found.data, prefix, prefix_len) != 0))
            break;
        if (code == ERROR_NONE && found.len < prefix_len + TIME_SIZE)
            return error_set(error, ERROR_CORRUPT, "store: a delivery's key has %zu bytes",
                             found.len);
        if (code != ERROR_NONE)
            return code;
        uint64_t start = lmdb_get_be64(found.data + prefix_len);
        slices->starts[slices->count++] = (timestamp_ns)start;
        if (start == UINT64_MAX)
            break;
        lmdb_put_be64(key + prefix_len, start + 1);
    }
    return ERROR_NONE;
}

enum error_code deliveries_load(struct store_transaction *transaction, struct error *error)
{
    struct store *store = transaction->store;
    enum error_code code =
        load_slices(transaction, DATABASE_DELIVERIES, "", &store->old_slices, error);
    if (code == ERROR_NONE && lmdb_has_database(store, DATABASE_NOTES))
        code = load_slices(transaction, DATABASE_NOTES, "u", &store->slices, error);
    store->has_slices = code == ERROR_NONE;
    return code;
}

// --- looking up and remembering ------------------------------------------------------------------------------

static bool is_timed(const struct store_delivery *delivery)
{
    return delivery->guid_time > 0; // TIMESTAMP_UNKNOWN is not
}

// `slice`: the start of the slice of time, used if the GUID has no time.
static struct note_key delivery_key(const struct store_delivery *delivery, timestamp_ns slice)
{
    struct note_key key = {.kind = is_timed(delivery) ? STORE_NOTE_TIMED_DELIVERY
                                                      : STORE_NOTE_UNTIMED_DELIVERY};
    timestamp_ns place = is_timed(delivery) ? delivery->guid_time / NS_PER_MS : slice;
    lmdb_put_be64(key.order, (uint64_t)place);
    memcpy(key.order + TIME_SIZE, delivery->guid, sizeof delivery->guid);
    memcpy(key.order + TIME_SIZE + sizeof delivery->guid, delivery->body, sizeof delivery->body);
    return key;
}

// Looks up a delivery in the table of format version 1, in each of its slices of time.
static enum error_code find_in_old_table(struct store_transaction *transaction,
                                         const struct store_delivery *delivery, struct error *error)
{
    const struct lmdb_op op = {transaction, DATABASE_DELIVERIES, "get delivery", error};
    const struct store_slices *slices = &transaction->store->old_slices;
    enum error_code code = ERROR_NOT_FOUND;
    for (size_t i = slices->count; i > 0 && code == ERROR_NOT_FOUND; i--) {
        uint8_t key[TIME_SIZE + STORE_OLD_DIGEST_SIZE];
        struct slice found;
        lmdb_put_be64(key, (uint64_t)slices->starts[i - 1]);
        memcpy(key + TIME_SIZE, delivery->old_digest, STORE_OLD_DIGEST_SIZE);
        code = lmdb_get(&op, slice_of_bytes(key, sizeof key), &found);
    }
    return code;
}

// A GUID with a time has one place; one without may be in any of the slices. ERROR_NOT_FOUND: no note agrees in the
// first `len` bytes of its order.
static enum error_code find_note(struct store_transaction *transaction,
                                 const struct store_delivery *delivery, size_t len,
                                 struct error *error)
{
    const struct store_slices *slices = &transaction->store->slices;
    size_t tries = is_timed(delivery) ? 1 : slices->count;
    enum error_code code = ERROR_NOT_FOUND;
    for (size_t i = tries; i > 0 && code == ERROR_NOT_FOUND; i--) {
        const struct note_key key = delivery_key(delivery, slices->starts[i - 1]);
        code = notes_find_prefix(transaction, &key, len, error);
    }
    return code;
}

static enum error_code have_slices(struct store_transaction *transaction, struct error *error)
{
    return transaction->store->has_slices ? ERROR_NONE : deliveries_load(transaction, error);
}

enum error_code store_has_guid(struct store_transaction *transaction,
                               const struct store_delivery *delivery, bool *is_known,
                               struct error *error)
{
    enum error_code code = have_slices(transaction, error);
    if (code == ERROR_NONE)
        code = find_note(transaction, delivery, TIME_SIZE + sizeof delivery->guid, error);
    *is_known = code == ERROR_NONE;
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}

enum error_code store_remember_delivery(struct store_transaction *transaction,
                                        const struct store_delivery *delivery, duration_ns linger,
                                        bool *is_duplicate, struct error *error)
{
    enum error_code code = have_slices(transaction, error);
    if (code == ERROR_NONE)
        code = find_note(transaction, delivery, NOTE_ORDER_MAX, error);
    if (code == ERROR_NOT_FOUND)
        code = find_in_old_table(transaction, delivery, error);
    *is_duplicate = code == ERROR_NONE;
    if (code != ERROR_NOT_FOUND)
        return code;
    timestamp_ns slice = TIMESTAMP_UNKNOWN;
    if (!is_timed(delivery))
        slice = slice_for(&transaction->store->slices, delivery->received_at, slice_width(linger));
    const struct note_key key = delivery_key(delivery, slice);
    return notes_put(transaction, &key, NULL, delivery->received_at, error);
}

// --- the old table -------------------------------------------------------------------------------------------

// Deletes up to `*left` entries at the front of the database that belong to the slice `start_of`, and counts `*left`
// down.
static enum error_code delete_from_slice(struct store_transaction *transaction,
                                         timestamp_ns start_of, size_t *left, bool *is_empty,
                                         struct error *error)
{
    const struct lmdb_op op = {transaction, DATABASE_DELIVERIES, "forget deliveries", error};
    MDB_cursor *cursor;
    uint8_t start[TIME_SIZE];
    lmdb_put_be64(start, (uint64_t)start_of);
    MDB_val key = {.mv_size = sizeof start, .mv_data = start};
    MDB_val value;
    enum error_code opened = lmdb_open_cursor(&op, &cursor);
    if (opened != ERROR_NONE)
        return opened;
    int code = lmdb_move(cursor, &key, &value, MDB_SET_RANGE);
    while (code == MDB_SUCCESS && *left > 0) {
        if (lmdb_get_be64(key.mv_data) != (uint64_t)start_of)
            break;
        heartbeat_beat();
        code = mdb_cursor_del(cursor, 0);
        if (code != MDB_SUCCESS)
            break;
        (*left)--;
        // After a deletion the cursor is at the next entry, and MDB_NEXT accounts for that.
        code = lmdb_move(cursor, &key, &value, MDB_NEXT);
    }
    *is_empty = *left > 0 && (code == MDB_SUCCESS || code == MDB_NOTFOUND);
    mdb_cursor_close(cursor);
    return code == MDB_NOTFOUND ? ERROR_NONE : lmdb_error(code, op.what, error);
}

static enum error_code drop_slices(struct store_transaction *transaction, timestamp_ns before,
                                   size_t *left, struct error *error)
{
    struct store_slices *slices = &transaction->store->old_slices;
    while (slices->count > 0 && *left > 0 && slices->starts[0] <= before) {
        bool is_empty = false;
        enum error_code code =
            delete_from_slice(transaction, slices->starts[0], left, &is_empty, error);
        if (code != ERROR_NONE)
            return code;
        if (is_empty) {
            slices->count--;
            memmove(&slices->starts[0], &slices->starts[1],
                    slices->count * sizeof slices->starts[0]);
        }
    }
    return ERROR_NONE;
}

enum error_code store_expire_old_deliveries(struct store_transaction *transaction, timestamp_ns now,
                                            duration_ns linger, size_t *left, struct error *error)
{
    enum error_code code = have_slices(transaction, error);
    if (code != ERROR_NONE)
        return code;
    return drop_slices(transaction, now - linger - slice_width(linger), left, error);
}

enum error_code store_shed_old_deliveries(struct store_transaction *transaction, size_t max,
                                          size_t *shed, struct error *error)
{
    size_t left = max;
    enum error_code code = have_slices(transaction, error);
    if (code == ERROR_NONE)
        code = drop_slices(transaction, INT64_MAX, &left, error);
    *shed = max - left;
    return code;
}

enum error_code deliveries_oldest_old(struct store_transaction *transaction, timestamp_ns *oldest,
                                      struct error *error)
{
    const uint8_t lowest[1] = {0};
    struct slice found;
    struct slice data;
    enum error_code code =
        lmdb_seek(&(struct lmdb_op){transaction, DATABASE_DELIVERIES, "read deliveries", error},
                  slice_of_bytes(lowest, sizeof lowest), &found, &data);
    *oldest = TIMESTAMP_UNKNOWN;
    if (code == ERROR_NONE && found.len >= TIME_SIZE)
        *oldest = (timestamp_ns)lmdb_get_be64(found.data);
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}

// --- notes of runs and jobs whose spans were sent, beside the states in `spans` -------------------

#define TRACE_BYTES 8 // of the trace ID; bytes that do not fit into a kind are ignored

// The span ID is be64 of the run's or the job's id, and GitHub's ids increase: so notes arrive nearly in order.
static struct note_key closed_key(const struct store_note_key *key)
{
    struct note_key closed = {.kind = key->kind};
    assert(key->kind >= STORE_NOTE_JOB && key->kind < STORE_NOTE_KINDS);
    memcpy(closed.order, key->of.span.bytes, SPAN_ID_SIZE);
    memcpy(closed.order + SPAN_ID_SIZE, key->of.trace.bytes, TRACE_BYTES);
    return closed;
}

enum error_code store_put_note(struct store_transaction *transaction,
                               const struct store_note_key *key, const uint8_t *payload,
                               timestamp_ns now, struct error *error)
{
    const struct note_key closed = closed_key(key);
    return notes_put(transaction, &closed, payload, now, error);
}

enum error_code store_find_note(struct store_transaction *transaction,
                                const struct store_note_key *key, bool *is_found, uint8_t *payload,
                                struct error *error)
{
    const struct note_key closed = closed_key(key);
    enum error_code code = notes_find(transaction, &closed, payload, error);
    *is_found = code == ERROR_NONE;
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}
