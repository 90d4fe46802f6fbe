// The states of runs and jobs, and the index of their deadlines.
#include "lmdb.h"

enum error_code store_get_span(struct store_transaction *transaction, const struct store_key *key,
                               struct slice *state, struct error *error)
{
    uint8_t bytes[KEY_SIZE];
    lmdb_put_key(bytes, key);
    return lmdb_get(transaction, DATABASE_SPANS, bytes, sizeof bytes, state, "get span", error);
}

enum error_code store_put_span(struct store_transaction *transaction, const struct store_key *key,
                               struct slice state, struct error *error)
{
    uint8_t bytes[KEY_SIZE];
    lmdb_put_key(bytes, key);
    return lmdb_put(transaction, DATABASE_SPANS, bytes, sizeof bytes, state.data, state.len,
                    "put span", error);
}

enum error_code store_delete_span(struct store_transaction *transaction,
                                  const struct store_key *key, struct error *error)
{
    uint8_t bytes[KEY_SIZE];
    lmdb_put_key(bytes, key);
    return lmdb_delete(transaction, DATABASE_SPANS, bytes, sizeof bytes, "delete span", error);
}

enum error_code store_seek_span(struct store_transaction *transaction, struct store_key *key,
                                struct slice *state, struct error *error)
{
    uint8_t bytes[KEY_SIZE];
    struct slice found;
    lmdb_put_key(bytes, key);
    enum error_code code = lmdb_seek(transaction, DATABASE_SPANS, bytes, sizeof bytes, &found,
                                     state, "seek span", error);
    if (code == ERROR_NONE && found.len != KEY_SIZE)
        return error_set(error, ERROR_CORRUPT, "store: a span's key has %zu bytes", found.len);
    if (code == ERROR_NONE)
        lmdb_get_key(found.data, key);
    return code;
}

void store_key_increment(struct store_key *key)
{
    uint8_t bytes[KEY_SIZE];
    lmdb_put_key(bytes, key);
    for (int i = KEY_SIZE - 1; i >= 0 && ++bytes[i] == 0; i--)
        ;
    lmdb_get_key(bytes, key);
}

static void put_deadline_key(uint8_t bytes[TIME_SIZE + KEY_SIZE], timestamp_ns at,
                             const struct store_key *key)
{
    lmdb_put_be64(bytes, (uint64_t)at);
    lmdb_put_key(bytes + TIME_SIZE, key);
}

enum error_code store_put_deadline(struct store_transaction *transaction, timestamp_ns at,
                                   const struct store_key *key, struct error *error)
{
    uint8_t bytes[TIME_SIZE + KEY_SIZE];
    put_deadline_key(bytes, at, key);
    return lmdb_put(transaction, DATABASE_DEADLINES, bytes, sizeof bytes, NULL, 0, "put deadline",
                    error);
}

enum error_code store_delete_deadline(struct store_transaction *transaction, timestamp_ns at,
                                      const struct store_key *key, struct error *error)
{
    uint8_t bytes[TIME_SIZE + KEY_SIZE];
    put_deadline_key(bytes, at, key);
    return lmdb_delete(transaction, DATABASE_DEADLINES, bytes, sizeof bytes, "delete deadline",
                       error);
}

static enum error_code read_deadline(struct slice found, timestamp_ns *at, struct store_key *key,
                                     struct error *error)
{
    if (found.len != TIME_SIZE + KEY_SIZE)
        return error_set(error, ERROR_CORRUPT, "store: a deadline's key has %zu bytes", found.len);
    *at = (timestamp_ns)lmdb_get_be64(found.data);
    lmdb_get_key(found.data + TIME_SIZE, key);
    return ERROR_NONE;
}

enum error_code store_first_deadline(struct store_transaction *transaction, timestamp_ns *at,
                                     struct store_key *key, struct error *error)
{
    const uint8_t lowest[1] = {0};
    struct slice found;
    struct slice data;
    enum error_code code = lmdb_seek(transaction, DATABASE_DEADLINES, lowest, sizeof lowest, &found,
                                     &data, "seek deadline", error);
    return code == ERROR_NONE ? read_deadline(found, at, key, error) : code;
}

enum error_code store_last_deadline(struct store_transaction *transaction, timestamp_ns *at,
                                    struct store_key *key, struct error *error)
{
    MDB_cursor *cursor;
    MDB_val k = {0};
    MDB_val v;
    int code = mdb_cursor_open(transaction->txn, transaction->store->databases[DATABASE_DEADLINES],
                               &cursor);
    if (code == MDB_SUCCESS) {
        code = mdb_cursor_get(cursor, &k, &v, MDB_LAST);
        mdb_cursor_close(cursor);
    }
    if (code != MDB_SUCCESS)
        return lmdb_error(code, "seek last deadline", error);
    return read_deadline((struct slice){.data = k.mv_data, .len = k.mv_size}, at, key, error);
}
