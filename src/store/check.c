// Whether a store can be used: checks of its file, and of the versions of the store and of its kinds of records.
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "ghatrace/store/versions.h"
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

// --- versions -------------------------------------------------------------------------------------

#define FORMAT_SIZE 4
#define CHECKSUM_SIZE 4
#define LAYOUT_SIZE 3 // letter, first, newest
// Number of states that are checked at startup: about 50 ms if they are in memory.
#define STATES_MAX 100000
// A greater format version is damage, not one that a newer program wrote.
#define FORMAT_POSSIBLE 1000
#define ADVICE "use the version that made it, or move the folder away to start afresh"

struct kind {
    char letter;
    const char *word;
    uint8_t oldest; // oldest layout that can be read
    uint8_t newest; // layout that is written
};

#define KIND_ROW(name, letter, word, oldest, newest) {letter, word, oldest, newest},
static const struct kind kinds[STORE_KIND_COUNT] = {STORE_KINDS(KIND_ROW)};

struct layouts {
    uint8_t first[STORE_KIND_COUNT];  // layouts at the creation of the store
    uint8_t newest[STORE_KIND_COUNT]; // newest layouts ever written
};

// --- the format of the store ----------------------------------------------------------------------

static enum error_code write_format(struct store_transaction *transaction, struct error *error)
{
    const uint8_t ours[FORMAT_SIZE] = {0, 0, 0, STORE_FORMAT_VERSION};
    return lmdb_put(&(struct lmdb_op){transaction, DATABASE_META, "write format", error},
                    SLICE("format"), slice_of_bytes(ours, sizeof ours));
}

static enum error_code refuse_format(uint32_t version, struct error *error)
{
    if (version == 0 || version > FORMAT_POSSIBLE)
        return error_set(error, ERROR_CORRUPT,
                         "the store is damaged: its format version cannot be read: restore its "
                         "folder, or move it away to start afresh");
    return error_set(error, ERROR_VERSION,
                     "the store has format version %" PRIu32 ", this ghatrace reads versions "
                     "%d to %d: " ADVICE,
                     version, STORE_FORMAT_OLDEST, STORE_FORMAT_VERSION);
}

// `*version` is 0 if there is none.
static enum error_code read_format(struct store_transaction *transaction, uint32_t *version,
                                   struct error *error)
{
    struct slice found;
    *version = 0;
    enum error_code code =
        lmdb_get(&(struct lmdb_op){transaction, DATABASE_META, "read format", error},
                 SLICE("format"), &found);
    if (code != ERROR_NONE)
        return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
    for (size_t i = 0; i < found.len && found.len == FORMAT_SIZE; i++)
        *version = *version << 8 | (uint8_t)found.data[i];
    bool is_known = *version >= STORE_FORMAT_OLDEST && *version <= STORE_FORMAT_VERSION;
    return is_known ? ERROR_NONE : refuse_format(*version, error);
}

// --- the layouts of its records -------------------------------------------------------------------

static int find_kind(char letter)
{
    for (int kind = 0; kind < STORE_KIND_COUNT; kind++)
        if (kinds[kind].letter == letter)
            return kind;
    return -1;
}

static enum error_code parse_layout(const uint8_t bytes[LAYOUT_SIZE], struct layouts *layouts,
                                    struct error *error)
{
    int i = find_kind((char)bytes[0]);
    if (i < 0)
        return error_set(error, ERROR_VERSION,
                         "the store has records of a kind that this ghatrace does not know "
                         "(0x%02x): " ADVICE,
                         (unsigned)bytes[0]);
    const struct kind *kind = &kinds[i];
    bool is_newer = bytes[2] > kind->newest;
    if (is_newer || bytes[1] < kind->oldest)
        return error_set(error, ERROR_VERSION,
                         "the store has %s of layout %u, this ghatrace reads layouts %u to "
                         "%u: " ADVICE,
                         kind->word, (unsigned)(is_newer ? bytes[2] : bytes[1]),
                         (unsigned)kind->oldest, (unsigned)kind->newest);
    layouts->first[i] = bytes[1];
    layouts->newest[i] = bytes[2];
    return ERROR_NONE;
}

// FNV-1a. Distinguishes a damaged entry, which must not prevent a start, from one of a newer version, which must.
static uint32_t sum_of(const uint8_t *bytes, size_t len)
{
    uint32_t sum = UINT32_C(2166136261);
    for (size_t i = 0; i < len; i++)
        sum = (sum ^ bytes[i]) * UINT32_C(16777619);
    return sum;
}

static bool is_sound(struct slice record)
{
    const uint8_t *bytes = (const uint8_t *)record.data;
    uint32_t sum = 0;
    if (record.len < CHECKSUM_SIZE)
        return false;
    for (int i = 0; i < CHECKSUM_SIZE; i++)
        sum = sum << 8 | bytes[i];
    return sum == sum_of(bytes + CHECKSUM_SIZE, record.len - CHECKSUM_SIZE);
}

static enum error_code read_layouts(struct store_transaction *transaction, struct layouts *layouts,
                                    struct error *error)
{
    struct slice found;
    for (int i = 0; i < STORE_KIND_COUNT; i++)
        layouts->first[i] = layouts->newest[i] = kinds[i].oldest;
    enum error_code code =
        lmdb_get(&(struct lmdb_op){transaction, DATABASE_META, "read layouts", error},
                 SLICE("layouts"), &found);
    if (code == ERROR_NOT_FOUND || (code == ERROR_NONE && !is_sound(found)))
        return ERROR_NONE;
    for (size_t at = CHECKSUM_SIZE; code == ERROR_NONE && at + LAYOUT_SIZE <= found.len;
         at += LAYOUT_SIZE)
        code = parse_layout((const uint8_t *)found.data + at, layouts, error);
    return code;
}

static bool are_newest_layouts(const struct layouts *layouts)
{
    bool are_same = true;
    for (int i = 0; i < STORE_KIND_COUNT; i++)
        are_same = are_same && layouts->newest[i] == kinds[i].newest;
    return are_same;
}

static enum error_code write_layouts(struct store_transaction *transaction,
                                     const struct layouts *layouts, struct error *error)
{
    uint8_t bytes[CHECKSUM_SIZE + STORE_KIND_COUNT * LAYOUT_SIZE];
    uint8_t *next = bytes + CHECKSUM_SIZE;
    for (int i = 0; i < STORE_KIND_COUNT; i++) {
        *next++ = (uint8_t)kinds[i].letter;
        *next++ = layouts->first[i];
        *next++ = kinds[i].newest;
    }
    uint32_t sum = sum_of(bytes + CHECKSUM_SIZE, sizeof bytes - CHECKSUM_SIZE);
    for (int i = CHECKSUM_SIZE - 1; i >= 0; i--, sum >>= 8)
        bytes[i] = (uint8_t)sum;
    return lmdb_put(&(struct lmdb_op){transaction, DATABASE_META, "write layouts", error},
                    SLICE("layouts"), slice_of_bytes(bytes, sizeof bytes));
}

// --- what is found at startup ---------------------------------------------------------------------

static void count_state(struct slice bytes, struct store_found *found)
{
    int kind = bytes.len >= 2 ? find_kind(bytes.data[0]) : -1;
    if (kind >= 0 && (uint8_t)bytes.data[1] < kinds[kind].newest)
        found->older[kind]++;
}

static enum error_code count_older_states(struct store_transaction *transaction,
                                          struct store_found *found, struct error *error)
{
    MDB_cursor *cursor;
    MDB_val key, value;
    int code =
        mdb_cursor_open(transaction->txn, transaction->store->databases[DATABASE_SPANS], &cursor);
    if (code != MDB_SUCCESS)
        return lmdb_error(code, "count states", error);
    code = lmdb_move(cursor, &key, &value, MDB_FIRST);
    for (int i = 0; i < STATES_MAX && code == MDB_SUCCESS; i++) {
        count_state((struct slice){value.mv_data, value.mv_size}, found);
        code = lmdb_move(cursor, &key, &value, MDB_NEXT);
    }
    mdb_cursor_close(cursor);
    found->has_more = code == MDB_SUCCESS;
    return code == MDB_NOTFOUND ? ERROR_NONE : lmdb_error(code, "count states", error);
}

// Only if the store was created by a version that wrote older layouts.
static enum error_code look_for_older(struct store_transaction *transaction,
                                      const struct layouts *layouts, struct store_found *found,
                                      struct error *error)
{
    found->has_older_figures = layouts->newest[STORE_KIND_FIGURES] < STORE_FIGURES_LAYOUT;
    found->older_deliveries = lmdb_count_entries(transaction, DATABASE_DELIVERIES);
    if (layouts->first[STORE_KIND_JOB] == STORE_JOB_LAYOUT &&
        layouts->first[STORE_KIND_RUN] == STORE_RUN_LAYOUT)
        return ERROR_NONE;
    return count_older_states(transaction, found, error);
}

static enum error_code write_new(struct store_transaction *transaction, struct error *error)
{
    struct layouts layouts;
    for (int i = 0; i < STORE_KIND_COUNT; i++)
        layouts.first[i] = kinds[i].newest;
    enum error_code code = write_format(transaction, error);
    if (code == ERROR_NONE)
        code = lmdb_put(&(struct lmdb_op){transaction, DATABASE_META, "write format", error},
                        SLICE("servers"), SLICE_EMPTY);
    return code == ERROR_NONE ? write_layouts(transaction, &layouts, error) : code;
}

// From then on there are notes and states that an older version would ignore or could not read.
static enum error_code upgrade_versions(struct store_transaction *transaction, uint32_t format,
                                        const struct layouts *layouts, struct error *error)
{
    enum error_code code = ERROR_NONE;
    if (format < STORE_FORMAT_VERSION)
        code = write_format(transaction, error);
    return code == ERROR_NONE && !are_newest_layouts(layouts)
               ? write_layouts(transaction, layouts, error)
               : code;
}

enum error_code versions_check(struct store_transaction *transaction, bool is_daemon,
                               struct error *error)
{
    struct store *store = transaction->store;
    struct store_found found = {0};
    struct layouts layouts;
    enum error_code code = read_format(transaction, &found.format, error);
    if (code == ERROR_NONE && found.format == 0)
        return is_daemon ? write_new(transaction, error)
                         : error_set(error, ERROR_VERSION, "this is not a store of ghatrace");
    if (code == ERROR_NONE)
        code = read_layouts(transaction, &layouts, error);
    if (code != ERROR_NONE || !is_daemon)
        return code;
    code = look_for_older(transaction, &layouts, &found, error);
    if (code == ERROR_NONE)
        code = upgrade_versions(transaction, found.format, &layouts, error);
    if (!store->was_opened) // not when it is opened again after a failure
        store->found = found;
    return code;
}

// --- description ----------------------------------------------------------------------------------

const struct store_found *store_found(const struct store *store)
{
    return &store->found;
}

static void add_words(char text[STORE_FOUND_TEXT_SIZE], const char *format, ...)
    __attribute__((format(printf, 2, 3)));

static void add_words(char text[STORE_FOUND_TEXT_SIZE], const char *format, ...)
{
    size_t len = strlen(text);
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text + len, STORE_FOUND_TEXT_SIZE - len, format, arguments);
    va_end(arguments);
}

static void add_count(char text[STORE_FOUND_TEXT_SIZE], uint64_t count, const char *word)
{
    if (count > 0)
        add_words(text, "%s%" PRIu64 " %s", text[0] != '\0' ? ", " : "", count, word);
}

void store_found_text(const struct store_found *found, char text[STORE_FOUND_TEXT_SIZE])
{
    text[0] = '\0';
    for (int i = 0; i < STORE_KIND_COUNT; i++)
        add_count(text, found->older[i], kinds[i].word);
    add_count(text, found->older_deliveries, "deliveries");
    if (found->has_older_figures)
        add_words(text, "%sfigures", text[0] != '\0' ? ", " : "");
    if (found->has_more)
        add_words(text, "%sperhaps more: only %d states were checked", text[0] != '\0' ? ", " : "",
                  STATES_MAX);
    if (text[0] == '\0')
        add_words(text, "nothing");
}
