// Remembered deliveries, in slices of an eighth of `linger`: looking one up is a get for each slice,
// and forgetting deletes a slice in key order.
#include "lmdb.h"

#define SLICES_PER_LINGER 8

static duration_ns slice_width(duration_ns linger)
{
    duration_ns width = linger / SLICES_PER_LINGER;
    return width > 0 ? width : 1;
}

static void put_delivery_key(uint8_t bytes[TIME_SIZE + STORE_DIGEST_SIZE], timestamp_ns bucket,
                             const uint8_t digest[STORE_DIGEST_SIZE])
{
    lmdb_put_be64(bytes, (uint64_t)bucket);
    memcpy(bytes + TIME_SIZE, digest, STORE_DIGEST_SIZE);
}

// The slice that `now` falls into, listed if it is new. When the list is full (linger was changed
// hundreds of times within one linger), the newest slice takes it.
static timestamp_ns bucket_for(struct store *store, timestamp_ns now, duration_ns width)
{
    timestamp_ns start = now - now % width;
    size_t at = store->bucket_count;
    while (at > 0 && store->buckets[at - 1] >= start)
        at--;
    if (at < store->bucket_count && store->buckets[at] == start)
        return start;
    if (store->bucket_count == BUCKETS_MAX)
        return store->buckets[BUCKETS_MAX - 1];
    memmove(&store->buckets[at + 1], &store->buckets[at],
            (store->bucket_count - at) * sizeof store->buckets[0]);
    store->buckets[at] = start;
    store->bucket_count++;
    return start;
}

enum error_code store_remember_delivery(struct store_transaction *transaction,
                                        const uint8_t digest[STORE_DIGEST_SIZE], timestamp_ns now,
                                        duration_ns linger, bool *is_duplicate, struct error *error)
{
    struct store *store = transaction->store;
    uint8_t key[TIME_SIZE + STORE_DIGEST_SIZE];
    for (size_t i = store->bucket_count; i > 0; i--) {
        struct slice found;
        put_delivery_key(key, store->buckets[i - 1], digest);
        enum error_code code = lmdb_get(transaction, DATABASE_DELIVERIES, key, sizeof key, &found,
                                        "get delivery", error);
        *is_duplicate = code == ERROR_NONE;
        if (code != ERROR_NOT_FOUND)
            return code;
    }
    *is_duplicate = false;
    put_delivery_key(key, bucket_for(store, now, slice_width(linger)), digest);
    return lmdb_put(transaction, DATABASE_DELIVERIES, key, sizeof key, NULL, 0, "put delivery",
                    error);
}

// Deletes up to `max` entries at the front of the database that lie in the slice `bucket`.
static enum error_code delete_from_bucket(struct store_transaction *transaction,
                                          timestamp_ns bucket, size_t max, size_t *deleted,
                                          bool *is_empty, struct error *error)
{
    MDB_cursor *cursor;
    uint8_t start[TIME_SIZE];
    lmdb_put_be64(start, (uint64_t)bucket);
    MDB_val key = {.mv_size = sizeof start, .mv_data = start};
    MDB_val value;
    int code = mdb_cursor_open(transaction->txn, transaction->store->databases[DATABASE_DELIVERIES],
                               &cursor);
    if (code != MDB_SUCCESS)
        return lmdb_error(code, "forget deliveries", error);
    *is_empty = false;
    code = mdb_cursor_get(cursor, &key, &value, MDB_SET_RANGE);
    while (code == MDB_SUCCESS && *deleted < max) {
        if (lmdb_get_be64(key.mv_data) != (uint64_t)bucket)
            break;
        code = mdb_cursor_del(cursor, 0);
        if (code != MDB_SUCCESS)
            break;
        (*deleted)++;
        // After a deletion the cursor stands on the next entry, and NEXT knows.
        code = mdb_cursor_get(cursor, &key, &value, MDB_NEXT);
    }
    *is_empty = *deleted < max && (code == MDB_SUCCESS || code == MDB_NOTFOUND);
    mdb_cursor_close(cursor);
    return code == MDB_NOTFOUND ? ERROR_NONE : lmdb_error(code, "forget deliveries", error);
}

enum error_code store_forget_deliveries(struct store_transaction *transaction, timestamp_ns now,
                                        duration_ns linger, size_t max, size_t *forgotten,
                                        struct error *error)
{
    struct store *store = transaction->store;
    *forgotten = 0;
    while (store->bucket_count > 0 && *forgotten < max &&
           store->buckets[0] <= now - linger - slice_width(linger)) {
        bool is_empty = false;
        enum error_code code =
            delete_from_bucket(transaction, store->buckets[0], max, forgotten, &is_empty, error);
        if (code != ERROR_NONE)
            return code;
        if (is_empty) {
            store->bucket_count--;
            memmove(&store->buckets[0], &store->buckets[1],
                    store->bucket_count * sizeof store->buckets[0]);
        }
    }
    return ERROR_NONE;
}
