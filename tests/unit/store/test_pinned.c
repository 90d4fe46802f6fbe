// What LMDB reports is passed on: keys out of order, as in a damaged tree, and refused deletions; and bytes that every
// version must find where they are.
/* wrap: mdb_cursor_get mdb_del */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ghatrace/store/table.h"
#include "support/temp_folder.h"

#define MAP_BYTES ((uint64_t)64 << 20)
#define TABLE STORE_TABLE_POOLS
#define NOW ((timestamp_ns)1788409017 * NS_PER_SECOND)

// --- LMDB --------------------------------------------------------------------------------------------------------

static struct slice false_keys[2]; // the keys that the next calls return; empty: the true one
static size_t false_at, false_count;
static int refusal; // of deletions

int __real_mdb_cursor_get(MDB_cursor *cursor, MDB_val *key, MDB_val *data, MDB_cursor_op op);
int __real_mdb_del(MDB_txn *txn, MDB_dbi dbi, MDB_val *key, MDB_val *data);
int __wrap_mdb_cursor_get(MDB_cursor *cursor, MDB_val *key, MDB_val *data, MDB_cursor_op op);
int __wrap_mdb_del(MDB_txn *txn, MDB_dbi dbi, MDB_val *key, MDB_val *data);

int __wrap_mdb_cursor_get(MDB_cursor *cursor, MDB_val *key, MDB_val *data, MDB_cursor_op op)
{
    int code = __real_mdb_cursor_get(cursor, key, data, op);
    if (code == MDB_SUCCESS && false_at < false_count) {
        struct slice shown = false_keys[false_at++];
        if (shown.len > 0)
            *key = (MDB_val){shown.len, (void *)(uintptr_t)shown.data};
    }
    return code;
}

int __wrap_mdb_del(MDB_txn *txn, MDB_dbi dbi, MDB_val *key, MDB_val *data)
{
    return refusal != 0 ? refusal : __real_mdb_del(txn, dbi, key, data);
}

static void show_keys(struct slice first, struct slice second)
{
    false_keys[0] = first;
    false_keys[1] = second;
    false_at = 0;
    false_count = 2;
}

// --- a store -----------------------------------------------------------------------------------------------------

struct fixture {
    struct temp_folder folder;
    struct store *store;
    struct store_transaction *transaction;
    struct error error;
};

static int set_up(void **state)
{
    struct fixture *fixture = test_calloc(1, sizeof *fixture);
    if (access("/dev/shm", W_OK) == 0)
        setenv("TMPDIR", "/dev/shm", 0);
    false_count = 0;
    refusal = 0;
    assert_true(temp_folder_create(&fixture->folder));
    assert_int_equal(
        store_open(fixture->folder.path, STORE_DAEMON, MAP_BYTES, &fixture->store, &fixture->error),
        ERROR_NONE);
    assert_int_equal(store_begin(fixture->store, true, &fixture->transaction, &fixture->error),
                     ERROR_NONE);
    *state = fixture;
    return 0;
}

static void close_store(struct fixture *fixture)
{
    if (fixture->transaction != NULL)
        store_abort(fixture->transaction);
    fixture->transaction = NULL;
    store_close(fixture->store);
    fixture->store = NULL;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    false_count = 0;
    close_store(fixture);
    assert_true(temp_folder_remove(&fixture->folder));
    test_free(fixture);
    return 0;
}

static void put_letters(struct fixture *fixture)
{
    static const char *const keys[] = {"b", "d", "f"};
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(store_table_put(fixture->transaction, TABLE, slice_from_string(keys[i]),
                                         SLICE("x"), &fixture->error),
                         ERROR_NONE);
}

static struct store_key key_of(uint8_t number)
{
    return (struct store_key){.trace = {{number}}, .span = {{1}}};
}

static void put_spans(struct fixture *fixture)
{
    for (uint8_t i = 1; i <= 3; i++) {
        struct store_key key = key_of(i);
        assert_int_equal(
            store_put_span(fixture->transaction, &key, SLICE("state"), &fixture->error),
            ERROR_NONE);
    }
}

static void assert_out_of_order(struct fixture *fixture, enum error_code code)
{
    assert_int_equal(code, ERROR_CORRUPT);
    assert_non_null(strstr(fixture->error.message, "keys are out of order"));
}

// --- keys out of order -------------------------------------------------------------------------------------------

static void an_entry_before_the_wanted_one_is_damage(void **state)
{
    struct fixture *fixture = *state;
    struct store_entry entry;
    put_letters(fixture);
    show_keys(SLICE("c"), SLICE_EMPTY);
    assert_out_of_order(fixture, store_table_seek(fixture->transaction, TABLE, SLICE("d"), &entry,
                                                  &fixture->error));
    show_keys(SLICE("d"), SLICE_EMPTY);
    assert_int_equal(
        store_table_seek(fixture->transaction, TABLE, SLICE("d"), &entry, &fixture->error),
        ERROR_NONE);
}

static void an_entry_that_is_not_before_the_wanted_one_is_damage(void **state)
{
    static const char *const wrong[] = {"d", "e"};
    struct fixture *fixture = *state;
    struct store_entry entry;
    put_letters(fixture);
    for (size_t i = 0; i < 2; i++) {
        show_keys(SLICE_EMPTY, slice_from_string(wrong[i]));
        assert_out_of_order(fixture, store_table_seek_before(fixture->transaction, TABLE,
                                                             SLICE("d"), &entry, &fixture->error));
    }
    show_keys(SLICE_EMPTY, SLICE("c"));
    assert_int_equal(
        store_table_seek_before(fixture->transaction, TABLE, SLICE("d"), &entry, &fixture->error),
        ERROR_NONE);
}

// Otherwise a walk over a damaged tree would not end.
static void a_walk_that_does_not_go_on_is_damage(void **state)
{
    static const char *const wrong[] = {"a", "b"};
    struct fixture *fixture = *state;
    struct store_walk *walk;
    struct store_entry entry;
    put_letters(fixture);
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(
            store_table_walk(fixture->transaction, TABLE, SLICE_EMPTY, &walk, &fixture->error),
            ERROR_NONE);
        assert_int_equal(store_table_next(walk, &entry, &fixture->error), ERROR_NONE);
        show_keys(slice_from_string(wrong[i]), SLICE_EMPTY);
        assert_out_of_order(fixture, store_table_next(walk, &entry, &fixture->error));
        store_table_end_walk(walk);
    }
}

static void a_state_before_the_wanted_one_is_damage(void **state)
{
    struct fixture *fixture = *state;
    struct store_key wanted = key_of(2);
    struct slice found;
    char earlier[24] = {1};
    put_spans(fixture);
    show_keys((struct slice){earlier, sizeof earlier}, SLICE_EMPTY);
    assert_out_of_order(fixture,
                        store_seek_span(fixture->transaction, &wanted, &found, &fixture->error));
}

// --- deletions ---------------------------------------------------------------------------------------------------

static void a_refused_deletion_is_an_error_and_a_missing_entry_is_none(void **state)
{
    struct fixture *fixture = *state;
    const struct store_key there = key_of(2), missing = key_of(9);
    put_spans(fixture);
    put_letters(fixture);
    assert_int_equal(store_delete_span(fixture->transaction, &missing, &fixture->error),
                     ERROR_NONE);
    assert_int_equal(store_table_delete(fixture->transaction, TABLE, SLICE("z"), &fixture->error),
                     ERROR_NOT_FOUND);
    refusal = EIO;
    assert_int_equal(store_delete_span(fixture->transaction, &there, &fixture->error), ERROR_IO);
    assert_non_null(strstr(fixture->error.message, "delete span"));
    assert_int_equal(store_table_delete(fixture->transaction, TABLE, SLICE("b"), &fixture->error),
                     ERROR_IO);
    refusal = MDB_MAP_FULL;
    assert_int_equal(store_delete_span(fixture->transaction, &there, &fixture->error), ERROR_FULL);
}

// --- bytes -------------------------------------------------------------------------------------------------------

static MDB_val read_entry(MDB_txn *txn, const char *database, uint8_t *key, size_t key_size)
{
    MDB_dbi dbi;
    MDB_val found = {0}, wanted = {key_size, key};
    assert_int_equal(mdb_dbi_open(txn, database, 0, &dbi), 0);
    assert_int_equal(mdb_get(txn, dbi, &wanted, &found), 0);
    return found;
}

// be64 sequence → be32 size in the outbox; → be64 time, trace, span, body in the records; trace, span → be64 sequence.
static void the_bytes_of_a_record_are_what_every_version_reads(void **state)
{
    static char body[0x010203];
    uint8_t sequence[8] = {0, 0, 0, 0, 0, 0, 0, 1}, history[24] = {7, [16] = 1};
    const uint8_t header[32] = {0x18, 0xd1, 0xb8, 0x65, 0x7a, 0xc6, 0x4a, 0x00, 7, [24] = 1};
    const uint8_t size[4] = {0, 1, 2, 3};
    struct fixture *fixture = *state;
    struct store_record record = {
        .finished_at = INT64_C(0x18d1b8657ac64a00), .key = key_of(7), .body = {body, sizeof body}};
    MDB_env *env;
    MDB_txn *txn;
    memset(body, 'b', sizeof body);
    assert_int_equal(store_add_record(fixture->transaction, &record, true, &fixture->error),
                     ERROR_NONE);
    assert_int_equal(record.sequence, 1);
    assert_int_equal(store_commit(fixture->transaction, &fixture->error), ERROR_NONE);
    fixture->transaction = NULL;
    close_store(fixture);
    assert_int_equal(mdb_env_create(&env), 0);
    assert_int_equal(mdb_env_set_maxdbs(env, 64), 0);
    assert_int_equal(mdb_env_open(env, fixture->folder.path, MDB_RDONLY, 0600), 0);
    assert_int_equal(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn), 0);
    MDB_val found = read_entry(txn, "outbox", sequence, sizeof sequence);
    assert_int_equal(found.mv_size, sizeof size);
    assert_memory_equal(found.mv_data, size, sizeof size);
    found = read_entry(txn, "records", sequence, sizeof sequence);
    assert_int_equal(found.mv_size, sizeof header + sizeof body);
    assert_memory_equal(found.mv_data, header, sizeof header);
    assert_memory_equal((char *)found.mv_data + sizeof header, body, sizeof body);
    found = read_entry(txn, "history", history, sizeof history);
    assert_int_equal(found.mv_size, sizeof sequence);
    assert_memory_equal(found.mv_data, sequence, sizeof sequence);
    mdb_txn_abort(txn);
    mdb_env_close(env);
    assert_int_equal(
        store_open(fixture->folder.path, STORE_DAEMON, MAP_BYTES, &fixture->store, &fixture->error),
        ERROR_NONE);
}

// What is shown of who holds a store is as much as a process number needs, whatever else is in the file.
static void a_lock_file_longer_than_a_number_is_shown_in_part(void **state)
{
    struct fixture *fixture = *state;
    char path[TEMP_FOLDER_PATH_SIZE + 8], digits[32];
    memset(digits, '7', sizeof digits);
    (void)snprintf(path, sizeof path, "%s/lock", fixture->folder.path);
    int file = open(path, O_WRONLY);
    assert_int_equal(pwrite(file, digits, sizeof digits, 0), sizeof digits);
    close(file);
    // LMDB must not be opened twice in one process, so the second daemon is a process of its own.
    pid_t child = fork();
    if (child == 0) {
        struct store *second;
        struct error error = {0};
        enum error_code code =
            store_open(fixture->folder.path, STORE_DAEMON, MAP_BYTES, &second, &error);
        const char *shown = strstr(error.message, "(process ");
        size_t len = shown != NULL ? strspn(shown + strlen("(process "), "7") : 0;
        _exit(code == ERROR_BUSY && len == sizeof digits - 1 ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_entry_before_the_wanted_one_is_damage),
        TEST(an_entry_that_is_not_before_the_wanted_one_is_damage),
        TEST(a_walk_that_does_not_go_on_is_damage),
        TEST(a_state_before_the_wanted_one_is_damage),
        TEST(a_refused_deletion_is_an_error_and_a_missing_entry_is_none),
        TEST(the_bytes_of_a_record_are_what_every_version_reads),
        TEST(a_lock_file_longer_than_a_number_is_shown_in_part),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
