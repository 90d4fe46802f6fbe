// Opening and closing the environment.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ghatrace/base/memory.h"
#include "notes.h"

#define PATH_BYTES_MAX 4096
#define READERS_MAX 126
#define FORMAT_SIZE 4

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
    [DATABASE_TABLES + (int) STORE_TABLE_TALLY] = "tally",
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

// The folder's entry in its parent must be on disk before anything in it is promised.
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

// An exclusive lock of our own: LMDB would let a second daemon in.
static enum error_code take_lock(struct store *store, const char *folder, struct error *error)
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
    // Only for the message above: a disk that is full must not keep the daemon from starting.
    if (ftruncate(store->lock_file, 0) == 0)
        (void)!pwrite(store->lock_file, holder, (size_t)len, 0);
    return ERROR_NONE;
}

// --- the environment -------------------------------------------------------------------------------------

static enum error_code write_format(struct store_transaction *transaction, struct error *error)
{
    const uint8_t ours[FORMAT_SIZE] = {0, 0, 0, STORE_FORMAT_VERSION};
    return lmdb_put(transaction, DATABASE_META, "format", 6, ours, sizeof ours, "write format",
                    error);
}

// Of a store that is just being made.
static enum error_code write_new(struct store_transaction *transaction, struct error *error)
{
    enum error_code code = write_format(transaction, error);
    return code == ERROR_NONE
               ? lmdb_put(transaction, DATABASE_META, "servers", 7, NULL, 0, "write format", error)
               : code;
}

static enum error_code look_for_old_keys(struct store_transaction *transaction, struct error *error)
{
    struct slice found;
    enum error_code code =
        lmdb_get(transaction, DATABASE_META, "servers", 7, &found, "read format", error);
    transaction->store->has_old_keys = code == ERROR_NOT_FOUND;
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}

bool store_has_old_keys(const struct store *store)
{
    return store->has_old_keys;
}

// An older format is read as it is, and is ours from the first start of a daemon on: from then on there are notes that
// the older version would not look for.
static enum error_code check_format(struct store_transaction *transaction, bool is_daemon,
                                    struct error *error)
{
    struct slice found;
    enum error_code code =
        lmdb_get(transaction, DATABASE_META, "format", 6, &found, "read format", error);
    if (code == ERROR_NOT_FOUND && is_daemon)
        return write_new(transaction, error);
    if (code == ERROR_NOT_FOUND)
        return error_set(error, ERROR_VERSION, "this is not a store of ghatrace");
    if (code != ERROR_NONE)
        return code;
    uint32_t version = 0;
    for (size_t i = 0; i < found.len && found.len == FORMAT_SIZE; i++)
        version = version << 8 | (uint8_t)found.data[i];
    if (version < STORE_FORMAT_OLDEST || version > STORE_FORMAT_VERSION)
        return error_set(error, ERROR_VERSION,
                         "the store has format version %u, this ghatrace reads versions %d to %d: "
                         "use the version that made it, or move the folder away to start afresh",
                         (unsigned)version, STORE_FORMAT_OLDEST, STORE_FORMAT_VERSION);
    return is_daemon && version < STORE_FORMAT_VERSION ? write_format(transaction, error)
                                                       : ERROR_NONE;
}

// Making our databases in somebody else's environment would be no help to anybody.
static enum error_code refuse_foreign(struct store_transaction *transaction, struct error *error)
{
    MDB_dbi main_database, meta;
    MDB_stat status = {0};
    int code = mdb_dbi_open(transaction->txn, NULL, 0, &main_database);
    if (code == MDB_SUCCESS)
        code = mdb_stat(transaction->txn, main_database, &status);
    if (code != MDB_SUCCESS)
        return lmdb_error(code, "look around", error);
    if (status.ms_entries == 0)
        return ERROR_NONE;
    code = mdb_dbi_open(transaction->txn, database_names[DATABASE_META], 0, &meta);
    if (code == MDB_NOTFOUND || code == MDB_INCOMPATIBLE)
        return error_set(error, ERROR_VERSION,
                         "store %s is an LMDB database of another program: choose another --db",
                         transaction->store->folder);
    return lmdb_error(code, "look around", error);
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
            store->databases[i] = 0; // older than they are
            continue;
        }
        if (code == MDB_NOTFOUND)
            return error_set(error, ERROR_VERSION,
                             "this is not a store of ghatrace: it has no \"%s\"",
                             database_names[i]);
        if (code != MDB_SUCCESS)
            return verify_explain(code, store->data_file, error);
    }
    return check_format(transaction, may_create, error);
}

// Can so many entries have so many bytes? A sum that is damaged would fill the outbox for good.
static bool is_likely_sum(struct store_transaction *transaction, uint64_t bytes)
{
    MDB_stat status = {0};
    (void)mdb_stat(transaction->txn, transaction->store->databases[DATABASE_OUTBOX], &status);
    return (status.ms_entries == 0) == (bytes == 0) &&
           bytes / STORE_RECORD_MAX <= status.ms_entries;
}

// Every transaction keeps the sum; only a store that is older than the sum, or whose sum cannot be right, is counted,
// as a walk over a million records takes its time.
static enum error_code count_outbox(struct store_transaction *transaction, struct error *error)
{
    uint64_t sequence = 0;
    uint32_t size;
    struct slice found;
    enum error_code code =
        lmdb_get(transaction, DATABASE_META, "outbox", 6, &found, "read outbox size", error);
    if (code == ERROR_NONE && found.len == SEQUENCE_SIZE)
        transaction->outbox_bytes = lmdb_get_be64(found.data);
    bool is_counted = code == ERROR_NONE && found.len == SEQUENCE_SIZE &&
                      is_likely_sum(transaction, transaction->outbox_bytes);
    if (is_counted || (code != ERROR_NONE && code != ERROR_NOT_FOUND))
        return code;
    transaction->outbox_bytes = 0;
    while ((code = store_seek_outbox(transaction, &sequence, &size, error)) == ERROR_NONE) {
        transaction->outbox_bytes += size;
        sequence++;
    }
    transaction->outbox_changed = true;
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}

// The first transaction: handles, format, and what is kept in memory.
static enum error_code prepare(struct store *store, struct error *error)
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
    if (code == ERROR_NONE)
        code = deliveries_load(transaction, error);
    if (code == ERROR_NONE && mode == STORE_DAEMON)
        code = count_outbox(transaction, error);
    if (code == ERROR_NONE)
        return store_commit(transaction, error);
    store_abort(transaction);
    return code;
}

static bool has_reader_table(const struct store *store)
{
    char path[PATH_BYTES_MAX];
    struct stat status;
    int len = snprintf(path, sizeof path, "%s/lock.mdb", store->folder);
    return len > 0 && (size_t)len < sizeof path && stat(path, &status) == 0;
}

// A reader makes no file. Where there is no table of readers, nothing has the environment open that writes.
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
    // The lock file is mapped for writing, which a full disk may refuse.
    guard_catch_faults(store->env);
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

static enum error_code open_environment(struct store *store, struct error *error)
{
    enum error_code code = verify_is_file(store->data_file, error);
    if (code == ERROR_NONE)
        code = map_environment(store, error);
    if (code != ERROR_NONE)
        return code;
    guard_find_map();
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
        code = prepare(store, error);
    if (code != ERROR_NONE)
        close_environment(store);
    store->is_broken = code != ERROR_NONE;
    return code;
}

// After a failure to write its meta page LMDB refuses all work (MDB_PANIC) until it is opened anew.
enum error_code store_reopen(struct store *store, struct error *error)
{
    pthread_rwlock_wrlock(&store->env_lock);
    enum error_code code = reopen_environment(store, error);
    pthread_rwlock_unlock(&store->env_lock);
    return code;
}

// A daemon that was started since would write over the pages of a reader that it does not know. Between two
// transactions only: within one the lock is held.
enum error_code store_lock_reader(struct store *store, struct error *error)
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

// LMDB would make its files, or fill an empty one, for whoever may write. So a tool looks first, as a reader, whether
// this is a store of ours.
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
        code = take_lock(store, store->folder, error);
    if (code == ERROR_NONE && is_daemon && (store->notes = notes_make_cache()) == NULL)
        code = error_set(error, ERROR_MEMORY, "open store: out of memory");
    if (code == ERROR_NONE)
        code = open_environment(store, error);
    if (code == ERROR_NONE)
        code = prepare(store, error);
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
    (void)pthread_rwlock_init(&made->env_lock, NULL); // fails only where attributes ask for much
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
    notes_free_cache(store->notes);
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
