// LMDB in our words: errors, big-endian keys, one call per access.
#include "lmdb.h"

#include <errno.h>

void lmdb_put_be64(uint8_t *bytes, uint64_t value)
{
    for (int i = 7; i >= 0; i--) {
        bytes[i] = (uint8_t)value;
        value >>= 8;
    }
}

uint64_t lmdb_get_be64(const void *bytes)
{
    const uint8_t *next = bytes;
    uint64_t value = 0;
    for (int i = 0; i < 8; i++)
        value = value << 8 | next[i];
    return value;
}

void lmdb_put_key(uint8_t bytes[KEY_SIZE], const struct store_key *key)
{
    memcpy(bytes, key->trace.bytes, TRACE_ID_SIZE);
    memcpy(bytes + TRACE_ID_SIZE, key->span.bytes, SPAN_ID_SIZE);
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
    return error_set(error, code_of(code), "store: %s: %s", what, mdb_strerror(code));
}

static MDB_val value_of(const void *data, size_t len)
{
    return (MDB_val){.mv_size = len, .mv_data = (void *)(uintptr_t)data};
}

static struct slice slice_of(MDB_val value)
{
    return (struct slice){.data = value.mv_data, .len = value.mv_size};
}

enum error_code lmdb_get(struct store_transaction *transaction, enum database database,
                         const void *key, size_t key_len, struct slice *data, const char *what,
                         struct error *error)
{
    MDB_val k = value_of(key, key_len);
    MDB_val v = {0};
    int code = mdb_get(transaction->txn, transaction->store->databases[database], &k, &v);
    *data = slice_of(v);
    return lmdb_error(code, what, error);
}

enum error_code lmdb_put(struct store_transaction *transaction, enum database database,
                         const void *key, size_t key_len, const void *data, size_t data_len,
                         const char *what, struct error *error)
{
    MDB_val k = value_of(key, key_len);
    MDB_val v = value_of(data, data_len);
    int code = mdb_put(transaction->txn, transaction->store->databases[database], &k, &v, 0);
    return lmdb_error(code, what, error);
}

enum error_code lmdb_delete(struct store_transaction *transaction, enum database database,
                            const void *key, size_t key_len, const char *what, struct error *error)
{
    MDB_val k = value_of(key, key_len);
    int code = mdb_del(transaction->txn, transaction->store->databases[database], &k, NULL);
    return code == MDB_NOTFOUND ? ERROR_NONE : lmdb_error(code, what, error);
}

enum error_code lmdb_seek(struct store_transaction *transaction, enum database database,
                          const void *key, size_t key_len, struct slice *found_key,
                          struct slice *data, const char *what, struct error *error)
{
    MDB_cursor *cursor;
    MDB_val k = value_of(key, key_len);
    MDB_val v = {0};
    int code = mdb_cursor_open(transaction->txn, transaction->store->databases[database], &cursor);
    if (code == MDB_SUCCESS) {
        code = mdb_cursor_get(cursor, &k, &v, MDB_SET_RANGE);
        mdb_cursor_close(cursor);
    }
    *found_key = slice_of(k);
    *data = slice_of(v);
    // A damaged tree may lead back to where we were, for ever.
    if (code == MDB_SUCCESS &&
        slice_compare(*found_key, (struct slice){.data = key, .len = key_len}) < 0)
        return error_set(error, ERROR_CORRUPT, "store: %s: keys are out of order", what);
    return lmdb_error(code, what, error);
}
