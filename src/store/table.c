// Plain tables: thin wrappers over LMDB.
#include "ghatrace/store/table.h"

#include <assert.h>

#include "ghatrace/base/heartbeat.h"
#include "ghatrace/base/memory.h"
#include "lmdb.h"

struct store_walk {
    MDB_cursor *cursor; // NULL: nothing to iterate over
    MDB_val key;        // where to start
    MDB_cursor_op next;
    uint8_t bytes[STORE_TABLE_KEY_MAX];
};

static enum database database_of(enum store_table table)
{
    return (enum database)(DATABASE_TABLES + (int)table);
}

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
    MDB_stat status = {0};
    if (!is_absent(transaction, table))
        (void)mdb_stat(transaction->txn, transaction->store->databases[database_of(table)],
                       &status);
    return status.ms_entries;
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
