// Plain tables: order, seeking in both directions, and stores that are older than these tables.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <lmdb.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ghatrace/store/table.h"
#include "support/temp_folder.h"

#define MAP_BYTES ((uint64_t)64 << 20)
#define TABLE STORE_TABLE_POOLS

struct fixture {
    struct temp_folder folder;
    struct store *store;
    struct store_transaction *transaction;
    struct error error;
};

static void open_store(struct fixture *fixture, enum store_mode mode)
{
    if (store_open(fixture->folder.path, mode, MAP_BYTES, &fixture->store, &fixture->error) !=
        ERROR_NONE)
        fail_msg("%s", fixture->error.message);
}

static void begin(struct fixture *fixture, bool is_write)
{
    assert_int_equal(store_begin(fixture->store, is_write, &fixture->transaction, &fixture->error),
                     ERROR_NONE);
}

static int set_up(void **state)
{
    struct fixture *fixture = test_calloc(1, sizeof *fixture);
    if (access("/dev/shm", W_OK) == 0)
        setenv("TMPDIR", "/dev/shm", 0);
    assert_true(temp_folder_create(&fixture->folder));
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    if (fixture->transaction != NULL)
        store_abort(fixture->transaction);
    store_close(fixture->store);
    assert_true(temp_folder_remove(&fixture->folder));
    test_free(fixture);
    return 0;
}

static void put(struct fixture *fixture, const char *key, const char *value)
{
    assert_int_equal(store_table_put(fixture->transaction, TABLE, slice_from_string(key),
                                     slice_from_string(value), &fixture->error),
                     ERROR_NONE);
}

static void fill(struct fixture *fixture)
{
    open_store(fixture, STORE_DAEMON);
    begin(fixture, true);
    put(fixture, "b", "2");
    put(fixture, "a", "1");
    put(fixture, "bb", "");
    put(fixture, "d", "4");
}

static void assert_slice(struct slice actual, const char *expected)
{
    assert_int_equal(actual.len, strlen(expected));
    if (actual.len > 0)
        assert_memory_equal(actual.data, expected, actual.len);
}

// NULL: there is none.
static void assert_seek(struct fixture *fixture, const char *from, const char *at_or_after,
                        const char *before)
{
    struct store_entry entry;
    enum error_code code = store_table_seek(fixture->transaction, TABLE, slice_from_string(from),
                                            &entry, &fixture->error);
    assert_int_equal(code, at_or_after != NULL ? ERROR_NONE : ERROR_NOT_FOUND);
    if (at_or_after != NULL)
        assert_slice(entry.key, at_or_after);
    code = store_table_seek_before(fixture->transaction, TABLE, slice_from_string(from), &entry,
                                   &fixture->error);
    assert_int_equal(code, before != NULL ? ERROR_NONE : ERROR_NOT_FOUND);
    if (before != NULL)
        assert_slice(entry.key, before);
}

static void entries_are_found_replaced_and_deleted(void **state)
{
    struct fixture *fixture = *state;
    struct slice value;
    fill(fixture);
    put(fixture, "b", "two");
    assert_int_equal(
        store_table_get(fixture->transaction, TABLE, SLICE("b"), &value, &fixture->error),
        ERROR_NONE);
    assert_slice(value, "two");
    assert_int_equal(store_table_count(fixture->transaction, TABLE), 4);
    assert_int_equal(store_table_count(fixture->transaction, STORE_TABLE_RECENT), 0);
    assert_int_equal(store_table_delete(fixture->transaction, TABLE, SLICE("b"), &fixture->error),
                     ERROR_NONE);
    assert_int_equal(store_table_delete(fixture->transaction, TABLE, SLICE("b"), &fixture->error),
                     ERROR_NOT_FOUND);
    assert_int_equal(
        store_table_get(fixture->transaction, TABLE, SLICE("b"), &value, &fixture->error),
        ERROR_NOT_FOUND);
    assert_int_equal(store_table_count(fixture->transaction, TABLE), 3);
}

static void seeking_works_in_both_directions(void **state)
{
    struct fixture *fixture = *state;
    fill(fixture);
    assert_seek(fixture, "", "a", "d");
    assert_seek(fixture, "a", "a", NULL);
    assert_seek(fixture, "b", "b", "a");
    assert_seek(fixture, "ba", "bb", "b");
    assert_seek(fixture, "c", "d", "bb");
    assert_seek(fixture, "d", "d", "bb");
    assert_seek(fixture, "e", NULL, "d");
}

static void seeking_in_an_empty_table_finds_nothing(void **state)
{
    struct fixture *fixture = *state;
    open_store(fixture, STORE_DAEMON);
    begin(fixture, false);
    assert_seek(fixture, "", NULL, NULL);
    assert_seek(fixture, "a", NULL, NULL);
}

static void walk(struct fixture *fixture, const char *from, const char *expected)
{
    struct store_walk *walk;
    struct store_entry entry;
    char seen[16] = "";
    size_t len = 0;
    assert_int_equal(store_table_walk(fixture->transaction, TABLE, slice_from_string(from), &walk,
                                      &fixture->error),
                     ERROR_NONE);
    while (store_table_next(walk, &entry, &fixture->error) == ERROR_NONE) {
        memcpy(seen + len, entry.key.data, entry.key.len);
        len += entry.key.len;
        seen[len++] = ' ';
    }
    store_table_end_walk(walk);
    seen[len] = '\0';
    assert_string_equal(seen, expected);
}

static void a_walk_visits_all_entries_in_order(void **state)
{
    struct fixture *fixture = *state;
    fill(fixture);
    walk(fixture, "", "a b bb d ");
    walk(fixture, "b", "b bb d ");
    walk(fixture, "c", "d ");
    walk(fixture, "e", "");
}

static void clearing_empties_one_table(void **state)
{
    struct fixture *fixture = *state;
    fill(fixture);
    assert_int_equal(store_table_put(fixture->transaction, STORE_TABLE_RECENT, SLICE("x"),
                                     SLICE("y"), &fixture->error),
                     ERROR_NONE);
    assert_int_equal(store_table_clear(fixture->transaction, TABLE, &fixture->error), ERROR_NONE);
    assert_int_equal(store_table_count(fixture->transaction, TABLE), 0);
    assert_int_equal(store_table_count(fixture->transaction, STORE_TABLE_RECENT), 1);
    put(fixture, "z", "");
    assert_seek(fixture, "", "z", "z");
}

// As created by the first versions of this program.
static void make_old_store(const struct fixture *fixture)
{
    static const char *const names[] = {"meta",    "spans",  "deadlines", "deliveries",
                                        "records", "outbox", "dead",      "history"};
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi dbi;
    MDB_val key = {6, (void *)(uintptr_t) "format"};
    MDB_val value = {4, (void *)(uintptr_t) "\0\0\0\1"};
    assert_int_equal(mdb_env_create(&env), 0);
    assert_int_equal(mdb_env_set_maxdbs(env, 8), 0);
    assert_int_equal(mdb_env_open(env, fixture->folder.path, 0, 0600), 0);
    assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        assert_int_equal(mdb_dbi_open(txn, names[i], MDB_CREATE, &dbi), 0);
        if (i == 0)
            assert_int_equal(mdb_put(txn, dbi, &key, &value, 0), 0);
    }
    assert_int_equal(mdb_txn_commit(txn), 0);
    mdb_env_close(env);
}

static void a_tool_finds_the_tables_of_an_older_store_empty(void **state)
{
    struct fixture *fixture = *state;
    struct store_usage usage;
    struct slice value;
    make_old_store(fixture);
    open_store(fixture, STORE_TOOL);
    begin(fixture, false);
    assert_int_equal(
        store_table_get(fixture->transaction, TABLE, SLICE("a"), &value, &fixture->error),
        ERROR_NOT_FOUND);
    assert_seek(fixture, "", NULL, NULL);
    walk(fixture, "", "");
    assert_int_equal(store_table_count(fixture->transaction, TABLE), 0);
    store_read_usage(fixture->transaction, &usage);
    assert_int_equal(usage.spans, 0);
    assert_true(usage.used_bytes < usage.max_bytes);
}

static void a_daemon_gives_an_older_store_its_tables(void **state)
{
    struct fixture *fixture = *state;
    make_old_store(fixture);
    fill(fixture);
    assert_int_equal(store_commit(fixture->transaction, &fixture->error), ERROR_NONE);
    store_close(fixture->store);
    open_store(fixture, STORE_TOOL);
    begin(fixture, false);
    walk(fixture, "", "a b bb d ");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(entries_are_found_replaced_and_deleted),
        TEST(seeking_works_in_both_directions),
        TEST(seeking_in_an_empty_table_finds_nothing),
        TEST(a_walk_visits_all_entries_in_order),
        TEST(clearing_empties_one_table),
        TEST(a_tool_finds_the_tables_of_an_older_store_empty),
        TEST(a_daemon_gives_an_older_store_its_tables),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
