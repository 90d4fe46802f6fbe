// What can be said of a store's file before it is used, at little cost however large it is and in LMDB's own terms:
// its format is not looked into here. Damage that this does not meet is met by LMDB when it reads the page, or by guard.c.
#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>

#include "lmdb.h"

// LMDB numbers its own databases first: the free pages, whose entries are lists of page numbers with their length in
// front (mdb_stat -f reads them so), and the main one, which names the others.
#define FREE_PAGES 0

static enum error_code refuse(const char *path, const char *how, struct error *error)
{
    return error_set(error, ERROR_CORRUPT,
                     "%s %s: restore it, or move the folder away to start afresh", path, how);
}

enum error_code verify_is_file(const char *path, struct error *error)
{
    struct stat status;
    if (stat(path, &status) != 0)
        return errno == ENOENT
                   ? ERROR_NONE
                   : error_set(error, ERROR_IO, "look at %s: %s", path, strerror(errno));
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
        return error_set(error, ERROR_VERSION, "%s has an LMDB format that is not ours", path);
    case MDB_CORRUPTED:
    case MDB_PAGE_NOTFOUND:
        return refuse(path, "is damaged", error);
    default:
        return lmdb_error(code, path, error);
    }
}

// --- cut short? ------------------------------------------------------------------------------------------

struct length_check {
    MDB_txn *txn;
    MDB_cursor *cursor;
    size_t from;       // the first page that is not there
    size_t free_pages; // at or behind it
    int code;
};

static void count_free_pages(void *context)
{
    struct length_check *check = context;
    MDB_val key, value;
    while ((check->code = mdb_cursor_get(check->cursor, &key, &value, MDB_NEXT)) == MDB_SUCCESS) {
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
    if (!guard_try(count_free_pages, check))
        return refuse(path, "is cut off", error);
    if (check->code != MDB_NOTFOUND)
        return verify_explain(check->code, path, error);
    return check->free_pages >= missing ? ERROR_NONE : refuse(path, "is cut off", error);
}

// A file may be shorter than its meta page says: pages at its end that were taken and given back within one
// transaction are never written. Then all that it lacks are among the free pages.
enum error_code verify_length(MDB_env *env, const char *path, struct error *error)
{
    struct length_check check = {.txn = NULL};
    MDB_envinfo info;
    MDB_stat pages;
    struct stat status;
    (void)mdb_env_info(env, &info);
    (void)mdb_env_stat(env, &pages);
    if (stat(path, &status) != 0)
        return error_set(error, ERROR_IO, "look at %s: %s", path, strerror(errno));
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
    code = mdb_cursor_get(cursor, &first, &value, MDB_FIRST);
    if (code == MDB_SUCCESS)
        code = mdb_cursor_get(cursor, &last, &value, MDB_LAST);
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
