// Files that are damaged, cut short, foreign or no database at all: refused with words, never with a signal.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ghatrace/base/log.h"
#include "ghatrace/store/store.h"
#include "support/temp_folder.h"

#define MAP_BYTES ((uint64_t)64 << 20)
#define PAGE_BYTES 4096
#define NOW ((timestamp_ns)1788409017 * NS_PER_SECOND)

struct fixture {
    struct temp_folder folder;
    char file[512];
};

static enum error_code try_open(struct fixture *fixture, struct error *error)
{
    struct store *store;
    *error = (struct error){0};
    enum error_code code = store_open(fixture->folder.path, STORE_DAEMON, MAP_BYTES, &store, error);
    if (code == ERROR_NONE)
        store_close(store);
    return code;
}

static struct store_key key_of(uint32_t number)
{
    struct store_key key = {0};
    for (int i = 0; i < 4; i++)
        key.trace.bytes[i] = (uint8_t)(number * 2654435761u >> (24 - 8 * i));
    return key;
}

static void fill(struct fixture *fixture)
{
    static char bytes[20000];
    struct store *store;
    struct store_transaction *transaction;
    struct error error = {0};
    assert_int_equal(store_open(fixture->folder.path, STORE_DAEMON, MAP_BYTES, &store, &error),
                     ERROR_NONE);
    memset(bytes, 'x', sizeof bytes);
    for (uint32_t round = 0; round < 10; round++) {
        assert_int_equal(store_begin(store, true, &transaction, &error), ERROR_NONE);
        for (uint32_t i = 0; i < 100; i++) {
            struct store_key key = key_of(round * 100 + i);
            struct slice body = {bytes, i % 10 == 0 ? sizeof bytes : 300};
            uint64_t sequence;
            assert_int_equal(store_put_span(transaction, &key, body, &error), ERROR_NONE);
            assert_int_equal(
                store_add_record(transaction, &key, NOW, body, true, &sequence, &error),
                ERROR_NONE);
        }
        assert_int_equal(store_commit(transaction, &error), ERROR_NONE);
    }
    store_close(store);
}

static int set_up(void **state)
{
    struct fixture *fixture = test_calloc(1, sizeof *fixture);
    if (access("/dev/shm", W_OK) == 0)
        setenv("TMPDIR", "/dev/shm", 0);
    log_configure(LOG_ERROR + 1, LOG_FORMAT_TEXT);
    assert_true(temp_folder_create(&fixture->folder));
    (void)snprintf(fixture->file, sizeof fixture->file, "%s/data.mdb", fixture->folder.path);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    assert_true(temp_folder_remove(&fixture->folder));
    test_free(fixture);
    return 0;
}

static void overwrite(const char *path, const void *bytes, size_t size, off_t at)
{
    int fd = open(path, O_WRONLY | O_CREAT, 0600);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, bytes, size, at), size);
    close(fd);
}

static void a_whole_file_is_opened(void **state)
{
    struct error error;
    fill(*state);
    assert_int_equal(try_open(*state, &error), ERROR_NONE);
    assert_int_equal(try_open(*state, &error), ERROR_NONE);
}

static void a_file_cut_short_anywhere_is_refused_or_whole(void **state)
{
    struct fixture *fixture = *state;
    struct stat status;
    struct error error;
    int refused = 0;
    fill(fixture);
    assert_int_equal(stat(fixture->file, &status), 0);
    for (off_t size = status.st_size - PAGE_BYTES / 2; size > 0; size -= status.st_size / 23) {
        assert_int_equal(truncate(fixture->file, size), 0);
        enum error_code code = try_open(fixture, &error);
        refused += code != ERROR_NONE;
        if (code != ERROR_NONE) {
            assert_int_equal(code, ERROR_CORRUPT);
            assert_non_null(strstr(error.message, "data.mdb"));
        }
    }
    assert_true(refused > 15);
}

// In a process of its own, so that a signal fails one test and not all.
static void open_and_read(struct fixture *fixture)
{
    struct error error = {0};
    struct store *store;
    struct store_transaction *transaction;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        alarm(60); // and no endless loop
        if (store_open(fixture->folder.path, STORE_DAEMON, MAP_BYTES, &store, &error) != ERROR_NONE)
            _exit(error.message[0] != '\0' ? 1 : 2);
        struct store_key key = {0};
        struct slice found;
        if (store_begin(store, true, &transaction, &error) != ERROR_NONE)
            _exit(1);
        while (store_seek_span(transaction, &key, &found, &error) == ERROR_NONE)
            store_key_increment(&key);
        // Not committed: the file stays as the test damaged it.
        (void)!store_put_span(transaction, &key, SLICE("x"), &error);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    if (WIFSIGNALED(status))
        fail_msg("signal %d", WTERMSIG(status));
    assert_int_not_equal(WEXITSTATUS(status), 2);
}

static void pages_of_garbage_are_refused_with_words(void **state)
{
    struct fixture *fixture = *state;
    struct stat status;
    uint8_t garbage[PAGE_BYTES];
    uint8_t before[PAGE_BYTES];
    uint32_t random = 1;
    fill(fixture);
    assert_int_equal(stat(fixture->file, &status), 0);
    int fd = open(fixture->file, O_RDONLY);
    for (off_t at = 0; at < status.st_size; at += 37 * PAGE_BYTES) {
        for (size_t i = 0; i < sizeof garbage; i++)
            garbage[i] = (uint8_t)((random = random * 1664525 + 1013904223) >> 24);
        assert_int_equal(pread(fd, before, sizeof before, at), sizeof before);
        overwrite(fixture->file, garbage, sizeof garbage, at);
        open_and_read(fixture);
        overwrite(fixture->file, before, sizeof before, at);
    }
    close(fd);
}

static void bytes_that_changed_never_end_in_a_signal(void **state)
{
    struct fixture *fixture = *state;
    uint32_t random = 7;
    fill(fixture);
    for (int i = 0; i < 200; i++) {
        struct stat status;
        uint8_t byte;
        assert_int_equal(stat(fixture->file, &status), 0);
        random = random * 1664525 + 1013904223;
        off_t page = (off_t)(random >> 8) % (status.st_size / PAGE_BYTES);
        random = random * 1664525 + 1013904223;
        // In headers, lists of entries and nodes: what else there is, is data.
        off_t at = page * PAGE_BYTES + (off_t)(random >> 8) % 64;
        byte = (uint8_t)(random >> 3);
        uint8_t before;
        int fd = open(fixture->file, O_RDONLY);
        assert_int_equal(pread(fd, &before, 1, at), 1);
        close(fd);
        overwrite(fixture->file, &byte, 1, at);
        open_and_read(fixture);
        overwrite(fixture->file, &before, 1, at);
    }
}

static void what_is_no_database_is_refused(void **state)
{
    struct fixture *fixture = *state;
    struct error error;
    char text[PAGE_BYTES * 3];
    memset(text, 'a', sizeof text);
    overwrite(fixture->file, text, sizeof text, 0);
    assert_int_equal(try_open(fixture, &error), ERROR_CORRUPT);
    assert_non_null(strstr(error.message, "not an LMDB file"));
    assert_int_equal(truncate(fixture->file, 10), 0);
    assert_int_equal(try_open(fixture, &error), ERROR_CORRUPT);
    assert_int_equal(truncate(fixture->file, 0), 0);
    assert_int_equal(try_open(fixture, &error), ERROR_NONE);
}

static void the_database_of_another_program_is_left_alone(void **state)
{
    struct fixture *fixture = *state;
    struct error error;
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi database;
    MDB_stat before, after;
    assert_int_equal(mdb_env_create(&env), 0);
    assert_int_equal(mdb_env_open(env, fixture->folder.path, MDB_NOTLS, 0600), 0);
    assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
    assert_int_equal(mdb_dbi_open(txn, NULL, 0, &database), 0);
    MDB_val key = {5, (void *)(uintptr_t) "hello"};
    MDB_val value = {5, (void *)(uintptr_t) "world"};
    assert_int_equal(mdb_put(txn, database, &key, &value, 0), 0);
    assert_int_equal(mdb_stat(txn, database, &before), 0);
    assert_int_equal(mdb_txn_commit(txn), 0);
    mdb_env_close(env);

    assert_int_equal(try_open(fixture, &error), ERROR_VERSION);
    assert_non_null(strstr(error.message, "another program"));

    assert_int_equal(mdb_env_create(&env), 0);
    assert_int_equal(mdb_env_open(env, fixture->folder.path, MDB_NOTLS, 0600), 0);
    assert_int_equal(mdb_txn_begin(env, NULL, MDB_RDONLY, &txn), 0);
    assert_int_equal(mdb_dbi_open(txn, NULL, 0, &database), 0);
    assert_int_equal(mdb_stat(txn, database, &after), 0);
    assert_int_equal(after.ms_entries, before.ms_entries);
    mdb_txn_abort(txn);
    mdb_env_close(env);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_whole_file_is_opened, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_file_cut_short_anywhere_is_refused_or_whole, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(pages_of_garbage_are_refused_with_words, set_up, tear_down),
        cmocka_unit_test_setup_teardown(bytes_that_changed_never_end_in_a_signal, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(what_is_no_database_is_refused, set_up, tear_down),
        cmocka_unit_test_setup_teardown(the_database_of_another_program_is_left_alone, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
