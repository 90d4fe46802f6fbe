// Remembers deliveries, and runs and jobs that were sent.
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

static void make_order(uint8_t order[NOTE_ORDER_MAX], timestamp_ns place,
                       const struct store_delivery *delivery)
{
    lmdb_put_be64(order, (uint64_t)place);
    memcpy(order + TIME_SIZE, delivery->guid, sizeof delivery->guid);
    memcpy(order + TIME_SIZE + sizeof delivery->guid, delivery->body, sizeof delivery->body);
}

// Looks up a delivery in the table of format version 1, in each of its slices of time.
static enum error_code find_in_old_table(struct store_transaction *transaction,
                                         const struct store_delivery *delivery, bool *is_found,
                                         struct error *error)
{
    const struct store_slices *slices = &transaction->store->old_slices;
    for (size_t i = slices->count; i > 0; i--) {
        uint8_t key[TIME_SIZE + STORE_OLD_DIGEST_SIZE];
        struct slice found;
        lmdb_put_be64(key, (uint64_t)slices->starts[i - 1]);
        memcpy(key + TIME_SIZE, delivery->old_digest, STORE_OLD_DIGEST_SIZE);
        enum error_code code =
            lmdb_get(&(struct lmdb_op){transaction, DATABASE_DELIVERIES, "get delivery", error},
                     slice_of_bytes(key, sizeof key), &found);
        *is_found = code == ERROR_NONE;
        if (code != ERROR_NOT_FOUND)
            return code;
    }
    return ERROR_NONE;
}

static bool is_timed(const struct store_delivery *delivery)
{
    return delivery->guid_time > 0; // TIMESTAMP_UNKNOWN is not
}

// `len` bytes of the order must match.
static enum error_code find_note(struct store_transaction *transaction,
                                 const struct store_delivery *delivery, size_t len, bool *is_found,
                                 struct error *error)
{
    struct store_slices *slices = &transaction->store->slices;
    uint8_t order[NOTE_ORDER_MAX];
    *is_found = false;
    if (is_timed(delivery)) {
        make_order(order, delivery->guid_time / NS_PER_MS, delivery);
        return notes_has_prefix(transaction, STORE_NOTE_TIMED_DELIVERY, order, len, is_found,
                                error);
    }
    enum error_code code = ERROR_NONE;
    for (size_t i = slices->count; i > 0 && code == ERROR_NONE && !*is_found; i--) {
        make_order(order, slices->starts[i - 1], delivery);
        code =
            notes_has_prefix(transaction, STORE_NOTE_UNTIMED_DELIVERY, order, len, is_found, error);
    }
    return code;
}

static enum error_code have_slices(struct store_transaction *transaction, struct error *error)
{
    return transaction->store->has_slices ? ERROR_NONE : deliveries_load(transaction, error);
}

enum error_code store_knows_guid(struct store_transaction *transaction,
                                 const struct store_delivery *delivery, bool *is_known,
                                 struct error *error)
{
    enum error_code code = have_slices(transaction, error);
    if (code != ERROR_NONE)
        return code;
    return find_note(transaction, delivery, TIME_SIZE + sizeof delivery->guid, is_known, error);
}

enum error_code store_remember_delivery(struct store_transaction *transaction,
                                        const struct store_delivery *delivery, timestamp_ns now,
                                        duration_ns linger, bool *is_duplicate, struct error *error)
{
    struct store *store = transaction->store;
    uint8_t order[NOTE_ORDER_MAX];
    enum error_code code = have_slices(transaction, error);
    if (code == ERROR_NONE)
        code = find_note(transaction, delivery, sizeof order, is_duplicate, error);
    if (code == ERROR_NONE && !*is_duplicate)
        code = find_in_old_table(transaction, delivery, is_duplicate, error);
    if (code != ERROR_NONE || *is_duplicate)
        return code;
    if (is_timed(delivery)) {
        make_order(order, delivery->guid_time / NS_PER_MS, delivery);
        return notes_put(transaction, STORE_NOTE_TIMED_DELIVERY, order, NULL, now, error);
    }
    make_order(order, slice_for(&store->slices, now, slice_width(linger)), delivery);
    return notes_put(transaction, STORE_NOTE_UNTIMED_DELIVERY, order, NULL, now, error);
}

// --- the old table -------------------------------------------------------------------------------------------

// Deletes up to `max` entries at the front of the database that belong to the slice `start_of`.
static enum error_code delete_from_slice(struct store_transaction *transaction,
                                         timestamp_ns start_of, size_t max, size_t *deleted,
                                         bool *is_empty, struct error *error)
{
    MDB_cursor *cursor;
    uint8_t start[TIME_SIZE];
    lmdb_put_be64(start, (uint64_t)start_of);
    MDB_val key = {.mv_size = sizeof start, .mv_data = start};
    MDB_val value;
    int code = mdb_cursor_open(transaction->txn, transaction->store->databases[DATABASE_DELIVERIES],
                               &cursor);
    if (code != MDB_SUCCESS)
        return lmdb_error(code, "forget deliveries", error);
    *is_empty = false;
    code = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
    while (code == MDB_SUCCESS && *deleted < max) {
        if (lmdb_get_be64(key.mv_data) != (uint64_t)start_of)
            break;
        code = mdb_cursor_del(cursor, 0);
        if (code != MDB_SUCCESS)
            break;
        (*deleted)++;
        // After a deletion the cursor is at the next entry, and MDB_NEXT accounts for that.
        code = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
    }
    *is_empty = *deleted < max && (code == MDB_SUCCESS || code == MDB_NOTFOUND);
    mdb_cursor_close(cursor);
    return code == MDB_NOTFOUND ? ERROR_NONE : lmdb_error(code, "forget deliveries", error);
}

static enum error_code drop_slices(struct store_transaction *transaction, timestamp_ns before,
                                   size_t max, size_t *forgotten, struct error *error)
{
    struct store_slices *slices = &transaction->store->old_slices;
    *forgotten = 0;
    while (slices->count > 0 && *forgotten < max && slices->starts[0] <= before) {
        bool is_empty = false;
        enum error_code code =
            delete_from_slice(transaction, slices->starts[0], max, forgotten, &is_empty, error);
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

enum error_code store_forget_old_deliveries(struct store_transaction *transaction, timestamp_ns now,
                                            duration_ns linger, size_t max, size_t *forgotten,
                                            struct error *error)
{
    enum error_code code = have_slices(transaction, error);
    *forgotten = 0;
    if (code != ERROR_NONE)
        return code;
    return drop_slices(transaction, now - linger - slice_width(linger), max, forgotten, error);
}

enum error_code store_shed_old_deliveries(struct store_transaction *transaction, size_t max,
                                          size_t *shed, struct error *error)
{
    enum error_code code = have_slices(transaction, error);
    *shed = 0;
    return code == ERROR_NONE ? drop_slices(transaction, INT64_MAX, max, shed, error) : code;
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
static void make_closed_order(uint8_t order[NOTE_ORDER_MAX], const struct store_key *key)
{
    memcpy(order, key->span.bytes, SPAN_ID_SIZE);
    memcpy(order + SPAN_ID_SIZE, key->trace.bytes, TRACE_BYTES);
}

enum error_code store_put_note(struct store_transaction *transaction, enum store_note kind,
                               const struct store_key *key, const uint8_t *payload,
                               timestamp_ns now, struct error *error)
{
    uint8_t order[NOTE_ORDER_MAX];
    make_closed_order(order, key);
    return notes_put(transaction, kind, order, payload, now, error);
}

enum error_code store_find_note(struct store_transaction *transaction, enum store_note kind,
                                const struct store_key *key, bool *is_found, uint8_t *payload,
                                struct error *error)
{
    uint8_t order[NOTE_ORDER_MAX];
    make_closed_order(order, key);
    return notes_find(transaction, kind, order, is_found, payload, error);
}
