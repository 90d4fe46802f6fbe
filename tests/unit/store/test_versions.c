// The versions of a store and of its records: newer ones are refused, older ones are reported.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <lmdb.h>
#include <stdio.h>

#include "ghatrace/store/store.h"
#include "ghatrace/store/versions.h"
#include "support/temp_folder.h"

#define MAP_BYTES ((uint64_t)16 << 20)

struct fixture {
    struct temp_folder folder;
    struct store *store;
    struct error error;
};

static int set_up(void **state)
{
    static struct fixture fixture;
    fixture = (struct fixture){.store = NULL};
    *state = &fixture;
    if (!temp_folder_create(&fixture.folder))
        return -1;
    return store_open(fixture.folder.path, STORE_DAEMON, MAP_BYTES, &fixture.store, &fixture.error);
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    store_close(fixture->store);
    return temp_folder_remove(&fixture->folder) ? 0 : -1;
}

// Sets an entry in `meta` of a closed store.
static void put_meta(struct fixture *fixture, const char *name, const void *bytes, size_t len)
{
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi database;
    MDB_val key = {strlen(name), (void *)(uintptr_t)name};
    MDB_val value = {len, (void *)(uintptr_t)bytes};
    store_close(fixture->store);
    fixture->store = NULL;
    assert_int_equal(mdb_env_create(&env), 0);
    assert_int_equal(mdb_env_set_maxdbs(env, 32), 0);
    assert_int_equal(mdb_env_open(env, fixture->folder.path, 0, 0600), 0);
    assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
    assert_int_equal(mdb_dbi_open(txn, "meta", 0, &database), 0);
    if (bytes != NULL)
        assert_int_equal(mdb_put(txn, database, &key, &value, 0), 0);
    else
        assert_int_equal(mdb_del(txn, database, &key, NULL), 0);
    assert_int_equal(mdb_txn_commit(txn), 0);
    mdb_env_close(env);
}

// By daemons and by tools. The files stay as they are.
static void assert_refused_as(struct fixture *fixture, enum error_code code, const char *words,
                              const char *advice)
{
    const enum store_mode modes[] = {STORE_READER, STORE_TOOL, STORE_DAEMON, STORE_READER};
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
        struct store *store;
        assert_int_equal(
            store_open(fixture->folder.path, modes[i], MAP_BYTES, &store, &fixture->error), code);
        assert_non_null(strstr(fixture->error.message, words));
        assert_non_null(strstr(fixture->error.message, advice));
    }
}

static void assert_refused(struct fixture *fixture, const char *words)
{
    assert_refused_as(fixture, ERROR_VERSION, words,
                      "use the version that made it, or move the folder away");
}

static void open_daemon(struct fixture *fixture)
{
    assert_int_equal(
        store_open(fixture->folder.path, STORE_DAEMON, MAP_BYTES, &fixture->store, &fixture->error),
        ERROR_NONE);
}

static void another_format_version_is_refused_with_advice(void **state)
{
    struct fixture *fixture = *state;
    const uint8_t future[4] = {0, 0, 0, STORE_FORMAT_VERSION + 1};
    put_meta(fixture, "format", future, sizeof future);
    assert_refused(fixture, "the store has format version 3, this ghatrace reads versions 1 to 2");
}

static void a_format_version_that_no_version_wrote_is_damage(void **state)
{
    struct fixture *fixture = *state;
    static const struct {
        uint8_t bytes[5];
        size_t len;
    } damaged[] = {
        {{0}, 4}, {{0, 0, 2}, 3}, {{0, 0, 0, 2, 0}, 5}, {{'x', 'y', 'z', 2}, 4}, {{0}, 0}};
    for (size_t i = 0; i < sizeof damaged / sizeof damaged[0]; i++) {
        put_meta(fixture, "format", damaged[i].bytes, damaged[i].len);
        assert_refused_as(fixture, ERROR_CORRUPT, "the store is damaged: its format version",
                          "restore its folder, or move it away");
    }
}

// The format alone would not suffice: a newer version may add a field to one kind of record only.
// As a version with these rows would write them. Three bytes a row.
static void put_layouts(struct fixture *fixture, const void *rows, size_t len)
{
    uint8_t bytes[64];
    uint32_t sum = UINT32_C(2166136261); // FNV-1a
    assert_in_range(len, 1, sizeof bytes - 4);
    memcpy(bytes + 4, rows, len);
    for (size_t i = 4; i < len + 4; i++)
        sum = (sum ^ bytes[i]) * UINT32_C(16777619);
    for (size_t i = 0; i < 4; i++)
        bytes[i] = (uint8_t)(sum >> (24 - 8 * i));
    put_meta(fixture, "layouts", bytes, len + 4);
}

static void a_store_with_records_of_a_newer_layout_is_refused_with_advice(void **state)
{
    struct fixture *fixture = *state;
#define ROW(name, letter, word, oldest, newest) {{letter, newest, newest + 1}, word},
    static const struct {
        uint8_t row[3];
        const char *word;
    } rows[] = {STORE_KINDS(ROW)};
#undef ROW
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char words[80];
        put_layouts(fixture, rows[i].row, sizeof rows[i].row);
        assert_true(snprintf(words, sizeof words, "the store has %s of layout %d, this ghatrace",
                             rows[i].word, rows[i].row[2]) > 0);
        assert_refused(fixture, words);
    }
    put_layouts(fixture, "J\002\002D\001\001", 6);
    assert_refused(fixture, "records of a kind that this ghatrace does not know (0x44)");
    put_layouts(fixture, "J\000\002", 3); // such states were read by versions before this
    assert_refused(fixture, "the store has jobs of layout 0");
}

// As left by a version before the record of layouts existed: three jobs and two runs, of the newest layouts except where
// `old` has a '1', which is layout 1.
static void put_states(struct fixture *fixture, const char *old)
{
    struct store_transaction *transaction;
    assert_int_equal(store_begin(fixture->store, true, &transaction, &fixture->error), ERROR_NONE);
    for (uint8_t i = 0; old[i] != '\0'; i++) {
        const struct store_key key = {.span = {{i}}};
        char newest = i % 2 == 0 ? STORE_JOB_LAYOUT : STORE_RUN_LAYOUT;
        const char bytes[3] = {i % 2 == 0 ? 'J' : 'R', old[i] == '1' ? 1 : newest, 'x'};
        assert_int_equal(
            store_put_span(transaction, &key, (struct slice){bytes, sizeof bytes}, &fixture->error),
            ERROR_NONE);
    }
    assert_int_equal(store_commit(transaction, &fixture->error), ERROR_NONE);
}

static void a_start_reports_data_of_older_versions(void **state)
{
    struct fixture *fixture = *state;
    char text[STORE_FOUND_TEXT_SIZE];
    store_found_text(store_found(fixture->store), text);
    assert_int_equal(store_found(fixture->store)->format, 0);
    assert_string_equal(text, "nothing");
    put_states(fixture, "11-1-");
    put_meta(fixture, "layouts", NULL, 0);
    open_daemon(fixture);
    store_found_text(store_found(fixture->store), text);
    assert_string_equal(text, "1 jobs, 2 runs, figures");
    assert_int_equal(store_found(fixture->store)->format, STORE_FORMAT_VERSION);
    put_states(fixture, "-----"); // each was touched
    store_close(fixture->store);
    open_daemon(fixture);
    store_found_text(store_found(fixture->store), text);
    assert_string_equal(text, "nothing");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(another_format_version_is_refused_with_advice),
        TEST(a_format_version_that_no_version_wrote_is_damage),
        TEST(a_store_with_records_of_a_newer_layout_is_refused_with_advice),
        TEST(a_start_reports_data_of_older_versions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
