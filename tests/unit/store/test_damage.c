// Files that are damaged, truncated, of another program or not a database: refused with a message, never with a
// signal.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <lmdb.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
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
    struct store_transaction *transaction = NULL;
    struct error error = {0};
    assert_int_equal(store_open(fixture->folder.path, STORE_DAEMON, MAP_BYTES, &store, &error),
                     ERROR_NONE);
    memset(bytes, 'x', sizeof bytes);
    for (uint32_t round = 0; round < 10; round++) {
        assert_int_equal(store_begin(store, true, &transaction, &error), ERROR_NONE);
        for (uint32_t i = 0; i < 100; i++) {
            struct store_key key = key_of(round * 100 + i);
            struct slice body = {bytes, i % 10 == 0 ? sizeof bytes : 300};
            struct store_record record = {.finished_at = NOW, .key = key, .body = body};
            assert_int_equal(store_put_span(transaction, &key, body, &error), ERROR_NONE);
            assert_int_equal(store_add_record(transaction, &record, true, &error), ERROR_NONE);
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

// Bytes read by calls, and pages met in the map.
static unsigned long long count_reads(void)
{
    unsigned long long bytes = 0;
    struct rusage usage;
    FILE *file = fopen("/proc/self/io", "r");
    if (file == NULL || fscanf(file, "rchar: %llu", &bytes) != 1)
        skip();
    (void)fclose(file);
    assert_int_equal(getrusage(RUSAGE_SELF, &usage), 0);
    return bytes + (unsigned long long)(usage.ru_minflt + usage.ru_majflt) * PAGE_BYTES;
}

static unsigned long long reads_to_open(struct fixture *fixture, unsigned long long *file_bytes)
{
    struct stat status;
    struct error error;
    assert_int_equal(try_open(fixture, &error), ERROR_NONE);
    unsigned long long before = count_reads();
    assert_int_equal(try_open(fixture, &error), ERROR_NONE);
    unsigned long long after = count_reads();
    assert_int_equal(stat(fixture->file, &status), 0);
    *file_bytes = (unsigned long long)status.st_size;
    return after - before;
}

// What opening costs whatever the store holds, memory that a sanitizer touches included, is in both.
static void opening_a_larger_store_reads_hardly_more(void **state)
{
    struct fixture *fixture = *state;
    unsigned long long small_bytes, large_bytes;
    fill(fixture);
    unsigned long long small = reads_to_open(fixture, &small_bytes);
    for (int i = 0; i < 6; i++)
        fill(fixture);
    unsigned long long large = reads_to_open(fixture, &large_bytes);
    assert_true(large_bytes > 3 * small_bytes);
    assert_in_range(large, 0, small + (large_bytes - small_bytes) / 12);
}

// --- in a separate process, since the handler of faults may end it -------------------------------------------

struct ending {
    int status; // 0: all was read and written, 1: refused or given up
    char words[2048];
};

static void give_up(enum error_code code, const struct error *error)
{
    const char *words =
        code == ERROR_NOT_FOUND ? "what was just stored is not there" : error->message;
    dprintf(STDERR_FILENO, "%s\n", words);
    _exit(1);
}

static struct store_transaction *open_or_give_up(struct fixture *fixture, bool is_write)
{
    struct error error = {0};
    struct store *store;
    struct store_transaction *transaction = NULL;
    enum error_code code =
        store_open(fixture->folder.path, STORE_DAEMON, MAP_BYTES, &store, &error);
    if (code == ERROR_NONE)
        code = store_begin(store, is_write, &transaction, &error);
    if (code != ERROR_NONE)
        give_up(code, &error);
    return transaction;
}

// Roughly what a daemon does with its store, but nothing is committed: the file stays as the test damaged it.
static void use_store(struct fixture *fixture)
{
    static const char bytes[20000];
    struct error error = {0};
    struct store_transaction *transaction = open_or_give_up(fixture, true);
    struct store_record record;
    struct store_key key = {0};
    struct slice found;
    uint64_t sequence = 0;
    uint32_t size;
    unsigned sum = 0;
    for (; store_seek_span(transaction, &key, &found, &error) == ERROR_NONE;
         store_key_increment(&key))
        sum += found.len > 0 ? (unsigned char)found.data[found.len - 1] : 0;
    for (; store_seek_outbox(transaction, &sequence, &size, &error) == ERROR_NONE; sequence++) {
        if (store_get_record(transaction, sequence, &record, &error) == ERROR_NONE)
            for (size_t i = 0; i < record.body.len; i++)
                sum += (unsigned char)record.body.data[i];
    }
    for (uint32_t i = 0; i < 1500; i++) {
        struct slice body = {bytes, i % 10 == 0 ? sizeof bytes : 500};
        key = key_of(i * 7 % 1100);
        record = (struct store_record){.finished_at = NOW, .key = key, .body = body};
        enum error_code code = store_put_span(transaction, &key, body, &error);
        if (code == ERROR_NONE)
            code = store_add_record(transaction, &record, true, &error);
        if (code == ERROR_NONE && i % 3 == 0)
            code = store_delete_span(transaction, &key, &error);
        if (code != ERROR_NONE)
            give_up(code, &error);
    }
    _exit(sum == 1 ? 3 : 0); // what was read was needed
}

// What LMDB does when a damaged page makes it take a page of the map for a copy of its own.
static void write_into_the_map(struct fixture *fixture)
{
    struct error error = {0};
    struct store_transaction *transaction = open_or_give_up(fixture, false);
    struct store_key key = {0};
    struct slice found;
    enum error_code code = store_seek_span(transaction, &key, &found, &error);
    if (code != ERROR_NONE)
        give_up(code, &error);
    *(volatile char *)(uintptr_t)found.data = 'x';
    _exit(3);
}

// As LMDB does where a damaged page makes it follow an address that was never set.
static void write_near_null(struct fixture *fixture)
{
    static volatile uintptr_t address = 0x190;
    (void)open_or_give_up(fixture, true);
    *(volatile char *)address = 'x';
    _exit(3);
}

static void begin_and_abort(struct fixture *fixture)
{
    (void)open_or_give_up(fixture, true);
    abort(); // as the allocator does when LMDB has written beyond a block
}

static void end_and_abort(struct fixture *fixture)
{
    store_abort(open_or_give_up(fixture, false));
    abort();
}

// Its status is as waitpid() reports it.
static struct ending end_in_a_process(struct fixture *fixture, void (*run)(struct fixture *))
{
    static const int signals[] = {SIGSEGV, SIGBUS, SIGABRT, SIGFPE, SIGILL};
    struct ending ending = {0};
    int pipe_ends[2];
    assert_int_equal(pipe(pipe_ends), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        // cmocka's handlers would make a test that failed, in the child, of a signal.
        for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++)
            (void)signal(signals[i], SIG_DFL);
        (void)dup2(pipe_ends[1], STDERR_FILENO);
        log_configure(LOG_ERROR, LOG_FORMAT_TEXT);
        alarm(60); // and no endless loop
        run(fixture);
    }
    close(pipe_ends[1]);
    for (ssize_t len = 0, room = 1; room > 0; len += room)
        room = read(pipe_ends[0], ending.words + len, sizeof ending.words - 1 - (size_t)len);
    close(pipe_ends[0]);
    assert_int_equal(waitpid(child, &ending.status, 0), child);
    return ending;
}

static struct ending run_in_a_process(struct fixture *fixture, void (*run)(struct fixture *))
{
    struct ending ending = end_in_a_process(fixture, run);
    if (WIFSIGNALED(ending.status))
        fail_msg("signal %d: %s", WTERMSIG(ending.status), ending.words);
    ending.status = WEXITSTATUS(ending.status);
    assert_in_range(ending.status, 0, 1);
    if (ending.status == 1 && strlen(ending.words) < 20)
        fail_msg("it ended with \"%s\"", ending.words);
    return ending;
}

static struct ending use_in_a_process(struct fixture *fixture)
{
    return run_in_a_process(fixture, use_store);
}

static void a_fault_in_the_map_from_a_damaged_page_ends_with_a_message(void **state)
{
    fill(*state);
    struct ending ending = run_in_a_process(*state, write_into_the_map);
    assert_int_equal(ending.status, 1);
    assert_non_null(strstr(ending.words, "the store is damaged"));
}

static void a_fault_elsewhere_ends_with_a_message_that_says_what_to_do(void **state)
{
    fill(*state);
    struct ending ending = run_in_a_process(*state, write_near_null);
    assert_int_equal(ending.status, 1);
    assert_non_null(strstr(ending.words, "invalid memory access"));
    assert_non_null(strstr(ending.words, "move it away to start afresh"));
}

static void an_abort_in_a_transaction_says_that_the_store_may_be_damaged(void **state)
{
    fill(*state);
    struct ending ending = end_in_a_process(*state, begin_and_abort);
    assert_true(WIFSIGNALED(ending.status));
    assert_int_equal(WTERMSIG(ending.status), SIGABRT);
    assert_non_null(strstr(ending.words, "the store may be damaged"));
    ending = end_in_a_process(*state, end_and_abort);
    assert_true(WIFSIGNALED(ending.status));
    assert_int_equal(WTERMSIG(ending.status), SIGABRT);
    assert_string_equal(ending.words, "");
}

static void a_file_cut_short_anywhere_is_refused_with_a_message(void **state)
{
    struct fixture *fixture = *state;
    struct stat status;
    fill(fixture);
    assert_int_equal(stat(fixture->file, &status), 0);
    for (off_t size = status.st_size - PAGE_BYTES / 2; size > 0; size -= status.st_size / 23) {
        assert_int_equal(truncate(fixture->file, size), 0);
        struct ending ending = use_in_a_process(fixture);
        assert_int_equal(ending.status, 1);
        assert_non_null(strstr(ending.words, "data.mdb is"));
    }
}

// A page at the end that was allocated and freed within one transaction is never written.
static void a_file_without_its_last_free_pages_is_opened(void **state)
{
    struct fixture *fixture = *state;
    static char bytes[PAGE_BYTES * 100];
    struct store *store;
    struct store_transaction *transaction = NULL;
    struct error error = {0};
    struct stat status;
    MDB_envinfo info;
    MDB_env *env;
    for (size_t round = 1; round <= 10; round++) { // each time in more pages than are free
        struct store_key key = key_of(1);
        struct slice body = {bytes, round * PAGE_BYTES * 10 - PAGE_BYTES};
        assert_int_equal(store_open(fixture->folder.path, STORE_DAEMON, MAP_BYTES, &store, &error),
                         ERROR_NONE);
        assert_int_equal(store_begin(store, true, &transaction, &error), ERROR_NONE);
        assert_int_equal(store_put_span(transaction, &key, body, &error), ERROR_NONE);
        assert_int_equal(store_delete_span(transaction, &key, &error), ERROR_NONE);
        assert_int_equal(store_commit(transaction, &error), ERROR_NONE);
        store_close(store);
    }
    assert_int_equal(mdb_env_create(&env), 0);
    assert_int_equal(mdb_env_open(env, fixture->folder.path, MDB_RDONLY, 0600), 0);
    assert_int_equal(mdb_env_info(env, &info), 0);
    mdb_env_close(env);
    assert_int_equal(stat(fixture->file, &status), 0);
    assert_true((size_t)status.st_size / PAGE_BYTES <= info.me_last_pgno);
    assert_int_equal(use_in_a_process(fixture).status, 0);
}

static void pages_of_garbage_are_refused_with_a_message(void **state)
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
        (void)use_in_a_process(fixture);
        overwrite(fixture->file, before, sizeof before, at);
    }
    close(fd);
}

static void changed_bytes_never_cause_a_signal(void **state)
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
        // In headers, lists of entries and nodes; everything else is data.
        off_t at = page * PAGE_BYTES + (off_t)(random >> 8) % 64;
        byte = (uint8_t)(random >> 3);
        uint8_t before;
        int fd = open(fixture->file, O_RDONLY);
        assert_int_equal(pread(fd, &before, 1, at), 1);
        close(fd);
        overwrite(fixture->file, &byte, 1, at);
        (void)use_in_a_process(fixture);
        overwrite(fixture->file, &before, 1, at);
    }
}

static void a_file_that_is_not_a_database_is_refused(void **state)
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

static void the_database_of_another_program_is_left_unchanged(void **state)
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
        cmocka_unit_test_setup_teardown(a_fault_in_the_map_from_a_damaged_page_ends_with_a_message,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_fault_elsewhere_ends_with_a_message_that_says_what_to_do,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(
            an_abort_in_a_transaction_says_that_the_store_may_be_damaged, set_up, tear_down),
        cmocka_unit_test_setup_teardown(opening_a_larger_store_reads_hardly_more, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_file_cut_short_anywhere_is_refused_with_a_message, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_file_without_its_last_free_pages_is_opened, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(pages_of_garbage_are_refused_with_a_message, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(changed_bytes_never_cause_a_signal, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_file_that_is_not_a_database_is_refused, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(the_database_of_another_program_is_left_unchanged, set_up,
                                        tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
