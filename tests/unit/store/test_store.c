// The contract of the store: order, expiry, refusal of other databases, and errors when full.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ghatrace/store/store.h"
#include "support/temp_folder.h"

#define MAP_BYTES ((uint64_t)64 << 20)
#define NOW ((timestamp_ns)1788409017 * NS_PER_SECOND)

struct fixture {
    struct temp_folder folder;
    struct store *store;
    struct error error;
};

static int set_up(void **state)
{
    struct fixture *fixture = test_calloc(1, sizeof *fixture);
    if (access("/dev/shm", W_OK) == 0)
        setenv("TMPDIR", "/dev/shm", 0);
    assert_true(temp_folder_create(&fixture->folder));
    assert_int_equal(
        store_open(fixture->folder.path, STORE_DAEMON, MAP_BYTES, &fixture->store, &fixture->error),
        ERROR_NONE);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    store_close(fixture->store);
    assert_true(temp_folder_remove(&fixture->folder));
    test_free(fixture);
    return 0;
}

static struct store_transaction *begin(struct fixture *fixture, bool is_write)
{
    struct store_transaction *transaction;
    assert_int_equal(store_begin(fixture->store, is_write, &transaction, &fixture->error),
                     ERROR_NONE);
    return transaction;
}

static void commit(struct fixture *fixture, struct store_transaction *transaction)
{
    assert_int_equal(store_commit(transaction, &fixture->error), ERROR_NONE);
}

static struct store_key key_of(uint8_t trace, uint8_t span)
{
    struct store_key key = {0};
    key.trace.bytes[0] = trace;
    key.span.bytes[SPAN_ID_SIZE - 1] = span;
    return key;
}

static uint64_t add_record(struct fixture *fixture, struct store_transaction *transaction,
                           const struct store_key *key, timestamp_ns at, const char *body)
{
    struct store_record record = {.finished_at = at, .key = *key, .body = slice_from_string(body)};
    assert_int_equal(store_add_record(transaction, &record, true, &fixture->error), ERROR_NONE);
    return record.sequence;
}

static void a_committed_state_is_found_after_reopening(void **state)
{
    struct fixture *fixture = *state;
    struct store_key key = key_of(1, 1);
    struct slice found;
    struct store_transaction *transaction = begin(fixture, true);
    assert_int_equal(store_put_span(transaction, &key, SLICE("state"), &fixture->error),
                     ERROR_NONE);
    commit(fixture, transaction);
    store_close(fixture->store);
    assert_int_equal(
        store_open(fixture->folder.path, STORE_DAEMON, MAP_BYTES, &fixture->store, &fixture->error),
        ERROR_NONE);
    transaction = begin(fixture, false);
    assert_int_equal(store_get_span(transaction, &key, &found, &fixture->error), ERROR_NONE);
    assert_true(slice_equals(found, SLICE("state")));
    store_abort(transaction);
}

static void the_size_of_the_outbox_is_kept_after_reopening(void **state)
{
    struct fixture *fixture = *state;
    struct store_key first = key_of(1, 1), second = key_of(1, 2);
    struct store_transaction *transaction = begin(fixture, true);
    (void)add_record(fixture, transaction, &first, 1, "twelve bytes");
    (void)add_record(fixture, transaction, &second, 2, "and ten");
    uint64_t size = store_outbox_bytes(transaction);
    assert_int_equal(size, strlen("twelve bytes") + strlen("and ten"));
    commit(fixture, transaction);
    store_close(fixture->store);
    assert_int_equal(
        store_open(fixture->folder.path, STORE_DAEMON, MAP_BYTES, &fixture->store, &fixture->error),
        ERROR_NONE);
    transaction = begin(fixture, false);
    assert_int_equal(store_outbox_bytes(transaction), size);
    store_abort(transaction);
}

static void an_aborted_transaction_stores_nothing(void **state)
{
    struct fixture *fixture = *state;
    struct store_key key = key_of(1, 1);
    struct slice found;
    struct store_transaction *transaction = begin(fixture, true);
    assert_int_equal(store_put_span(transaction, &key, SLICE("state"), &fixture->error),
                     ERROR_NONE);
    uint64_t first = add_record(fixture, transaction, &key, NOW, "record");
    store_abort(transaction);
    transaction = begin(fixture, true);
    assert_int_equal(store_get_span(transaction, &key, &found, &fixture->error), ERROR_NOT_FOUND);
    assert_int_equal(add_record(fixture, transaction, &key, NOW, "record"), first);
    commit(fixture, transaction);
}

static void spans_of_a_trace_are_adjacent(void **state)
{
    struct fixture *fixture = *state;
    struct store_transaction *transaction = begin(fixture, true);
    struct slice found;
    for (uint8_t span = 3; span > 0; span--) {
        for (uint8_t trace = 1; trace < 3; trace++) {
            struct store_key key = key_of(trace, span);
            assert_int_equal(store_put_span(transaction, &key, SLICE("x"), &fixture->error),
                             ERROR_NONE);
        }
    }
    struct store_key key = key_of(2, 0);
    for (uint8_t span = 1; span <= 3; span++) {
        assert_int_equal(store_seek_span(transaction, &key, &found, &fixture->error), ERROR_NONE);
        assert_int_equal(key.trace.bytes[0], 2);
        assert_int_equal(key.span.bytes[SPAN_ID_SIZE - 1], span);
        store_key_increment(&key);
    }
    assert_int_equal(store_seek_span(transaction, &key, &found, &fixture->error), ERROR_NOT_FOUND);
    store_abort(transaction);
}

static void deadlines_are_in_order_of_time(void **state)
{
    struct fixture *fixture = *state;
    struct store_transaction *transaction = begin(fixture, true);
    struct store_key early = key_of(9, 1);
    struct store_key late = key_of(1, 1);
    struct store_key found;
    timestamp_ns at;
    assert_int_equal(store_first_deadline(transaction, &at, &found, &fixture->error),
                     ERROR_NOT_FOUND);
    assert_int_equal(store_put_deadline(transaction, NOW + 300, &late, &fixture->error),
                     ERROR_NONE);
    assert_int_equal(store_put_deadline(transaction, NOW + 2, &early, &fixture->error), ERROR_NONE);
    assert_int_equal(store_first_deadline(transaction, &at, &found, &fixture->error), ERROR_NONE);
    assert_true(at == NOW + 2);
    assert_memory_equal(&found, &early, sizeof found);
    assert_int_equal(store_delete_deadline(transaction, at, &found, &fixture->error), ERROR_NONE);
    assert_int_equal(store_first_deadline(transaction, &at, &found, &fixture->error), ERROR_NONE);
    assert_true(at == NOW + 300);
    store_abort(transaction);
}

static void records_are_removed_from_the_outbox_only_when_settled_or_buried(void **state)
{
    struct fixture *fixture = *state;
    struct store_key key = key_of(1, 1);
    struct store_record record;
    uint64_t sequence = 0;
    uint32_t size;
    struct store_transaction *transaction = begin(fixture, true);
    uint64_t first = add_record(fixture, transaction, &key, NOW, "one");
    uint64_t second = add_record(fixture, transaction, &key, NOW, "three");
    assert_int_equal(store_seek_outbox(transaction, &sequence, &size, &fixture->error), ERROR_NONE);
    assert_true(sequence == first && size == 3);
    assert_int_equal(store_settle_record(transaction, first, &fixture->error), ERROR_NONE);
    assert_int_equal(store_settle_record(transaction, first, &fixture->error), ERROR_NONE);
    sequence = 0;
    assert_int_equal(store_seek_outbox(transaction, &sequence, &size, &fixture->error), ERROR_NONE);
    assert_true(sequence == second && size == 5);
    assert_int_equal(store_get_record(transaction, second, &record, &fixture->error), ERROR_NONE);
    assert_true(slice_equals(record.body, SLICE("three")));
    assert_true(record.finished_at == NOW);
    assert_memory_equal(&record.key, &key, sizeof key);
    commit(fixture, transaction);
}

static void dead_letters_are_kept_with_their_reason_and_can_be_requeued(void **state)
{
    struct fixture *fixture = *state;
    struct store_key key = key_of(1, 1);
    struct store_dead_letter letter;
    uint64_t sequence = 0;
    uint32_t size;
    struct store_transaction *transaction = begin(fixture, true);
    uint64_t first = add_record(fixture, transaction, &key, NOW, "bad");
    assert_int_equal(
        store_bury_record(transaction, first, NOW + 1, SLICE("400 Bad Request"), &fixture->error),
        ERROR_NONE);
    assert_int_equal(store_seek_outbox(transaction, &sequence, &size, &fixture->error),
                     ERROR_NOT_FOUND);
    assert_int_equal(store_seek_dead_letter(transaction, &sequence, &letter, &fixture->error),
                     ERROR_NONE);
    assert_true(letter.sequence == first && letter.buried_at == NOW + 1);
    assert_true(slice_equals(letter.reason, SLICE("400 Bad Request")));
    size_t dropped;
    assert_int_equal(
        store_expire_records(transaction, NOW + NS_PER_DAY, 10, &dropped, &fixture->error),
        ERROR_NONE);
    assert_int_equal(dropped, 0);
    struct store_requeue requeue = {.max = 10};
    assert_int_equal(store_requeue_dead_letters(transaction, &requeue, &fixture->error),
                     ERROR_NONE);
    assert_true(requeue.count == 1 && !requeue.is_full);
    sequence = 0;
    assert_int_equal(store_seek_outbox(transaction, &sequence, &size, &fixture->error), ERROR_NONE);
    assert_true(sequence == first && size == 3);
    commit(fixture, transaction);
}

static void a_mark_of_the_quarantine_is_removed_with_its_record(void **state)
{
    struct fixture *fixture = *state;
    struct store_key key = key_of(1, 1);
    struct store_quarantined note;
    struct store_transaction *transaction = begin(fixture, true);
    uint64_t sequences[3];
    for (int i = 0; i < 3; i++) {
        sequences[i] = add_record(fixture, transaction, &key, NOW, "body");
        assert_int_equal(store_quarantine_record(transaction, sequences[i], NOW + i,
                                                 SLICE("503 Busy"), &fixture->error),
                         ERROR_NONE);
    }
    // Again: the time stays. Records that are not in the outbox get no mark.
    assert_int_equal(store_quarantine_record(transaction, sequences[1], NOW + 9, SLICE("403 No"),
                                             &fixture->error),
                     ERROR_NONE);
    assert_int_equal(
        store_quarantine_record(transaction, 77, NOW, SLICE("403 No"), &fixture->error),
        ERROR_NONE);
    commit(fixture, transaction);

    transaction = begin(fixture, true);
    assert_int_equal(store_settle_record(transaction, sequences[0], &fixture->error), ERROR_NONE);
    uint64_t sequence = 0;
    assert_int_equal(store_seek_quarantined(transaction, &sequence, &note, &fixture->error),
                     ERROR_NONE);
    assert_true(sequence == sequences[1] && note.sequence == sequence && note.size == 4);
    assert_int_equal(note.since, NOW + 1);
    assert_true(slice_equals(note.reason, SLICE("403 No")));
    assert_int_equal(store_bury_record(transaction, sequences[1], NOW, SLICE("x"), &fixture->error),
                     ERROR_NONE);
    sequence = 0;
    assert_int_equal(store_seek_quarantined(transaction, &sequence, &note, &fixture->error),
                     ERROR_NONE);
    assert_int_equal(sequence, sequences[2]);
    sequence++;
    assert_int_equal(store_seek_quarantined(transaction, &sequence, &note, &fixture->error),
                     ERROR_NOT_FOUND);
    commit(fixture, transaction);
}

static void history_has_the_newest_record_of_each_span(void **state)
{
    struct fixture *fixture = *state;
    struct store_key key = key_of(1, 1);
    struct store_key found = {0};
    uint64_t sequence;
    size_t dropped;
    struct store_transaction *transaction = begin(fixture, true);
    uint64_t first = add_record(fixture, transaction, &key, NOW, "incomplete");
    uint64_t second = add_record(fixture, transaction, &key, NOW + 10, "complete");
    assert_int_equal(store_seek_history(transaction, &found, &sequence, &fixture->error),
                     ERROR_NONE);
    assert_true(sequence == second);
    assert_memory_equal(&found, &key, sizeof key);
    // The older one expires; the newer one's entry stays.
    assert_int_equal(store_settle_record(transaction, first, &fixture->error), ERROR_NONE);
    assert_int_equal(store_expire_records(transaction, NOW + 5, 10, &dropped, &fixture->error),
                     ERROR_NONE);
    assert_int_equal(dropped, 1);
    assert_int_equal(store_seek_history(transaction, &found, &sequence, &fixture->error),
                     ERROR_NONE);
    assert_true(sequence == second);
    commit(fixture, transaction);
}

static void expiry_skips_records_that_are_needed_and_returns_to_them(void **state)
{
    struct fixture *fixture = *state;
    struct store_key key = key_of(1, 1);
    size_t dropped;
    size_t total = 0;
    struct store_transaction *transaction = begin(fixture, true);
    for (int i = 0; i < 10; i++) {
        uint64_t sequence = add_record(fixture, transaction, &key, NOW, "x");
        if (i >= 5)
            assert_int_equal(store_settle_record(transaction, sequence, &fixture->error),
                             ERROR_NONE);
    }
    for (int i = 0; i < 6; i++) {
        assert_int_equal(store_expire_records(transaction, NOW + 1, 2, &dropped, &fixture->error),
                         ERROR_NONE);
        total += dropped;
    }
    assert_int_equal(total, 5);
    for (uint64_t sequence = 1; sequence <= 5; sequence++)
        assert_int_equal(store_settle_record(transaction, sequence, &fixture->error), ERROR_NONE);
    assert_int_equal(store_expire_records(transaction, NOW + 1, 100, &dropped, &fixture->error),
                     ERROR_NONE);
    assert_int_equal(dropped, 5);
    struct store_usage usage;
    store_read_usage(transaction, &usage);
    assert_int_equal(usage.records, 0);
    commit(fixture, transaction);
}

static void a_second_daemon_is_refused_with_the_process_that_holds_the_store(void **state)
{
    struct fixture *fixture = *state;
    char holder[32];
    // LMDB must not be opened twice in one process, so the second daemon is a process of its own.
    pid_t child = fork();
    if (child == 0) {
        struct store *second;
        struct error error = {0};
        (void)snprintf(holder, sizeof holder, "process %ld", (long)getppid());
        enum error_code code =
            store_open(fixture->folder.path, STORE_DAEMON, MAP_BYTES, &second, &error);
        _exit(code == ERROR_BUSY && strstr(error.message, holder) != NULL ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void a_tool_finds_no_store_where_there_is_none(void **state)
{
    struct fixture *fixture = *state;
    struct store *store;
    (void)state;
    assert_int_equal(store_open("/nonexistent/store", STORE_TOOL, 0, &store, &fixture->error),
                     ERROR_NOT_FOUND);
    assert_non_null(strstr(fixture->error.message, "--db"));
}

static void assert_finds_no_store(struct fixture *fixture, const char *folder, enum store_mode mode)
{
    struct store *store;
    assert_int_equal(store_open(folder, mode, MAP_BYTES, &store, &fixture->error), ERROR_NOT_FOUND);
    assert_non_null(strstr(fixture->error.message, folder));
}

static void a_tool_that_finds_no_store_creates_no_file(void **state)
{
    struct fixture *fixture = *state;
    struct temp_folder folder;
    char path[600];
    assert_true(temp_folder_create(&folder));
    assert_finds_no_store(fixture, folder.path, STORE_TOOL);
    assert_finds_no_store(fixture, folder.path, STORE_READER);
    assert_int_equal(rmdir(folder.path), 0); // nothing is in it
    assert_true(temp_folder_create(&folder));
    (void)snprintf(path, sizeof path, "%s/data.mdb", folder.path);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fclose(file), 0);
    assert_finds_no_store(fixture, folder.path, STORE_TOOL);
    assert_finds_no_store(fixture, folder.path, STORE_READER);
    assert_finds_no_store(fixture, path, STORE_TOOL); // a file, not a folder
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(folder.path), 0);
}

static const char *lock_path(const struct fixture *fixture, char path[600])
{
    (void)snprintf(path, 600, "%s/lock.mdb", fixture->folder.path);
    return path;
}

static void a_reader_creates_no_table_of_readers_and_joins_one_that_is_created_later(void **state)
{
    struct fixture *fixture = *state;
    struct store *reader;
    struct store_transaction *transaction;
    struct slice found;
    char path[600];
    struct store_key key = key_of(1, 1);
    store_close(fixture->store);
    assert_int_equal(unlink(lock_path(fixture, path)), 0);
    assert_int_equal(
        store_open(fixture->folder.path, STORE_READER, MAP_BYTES, &reader, &fixture->error),
        ERROR_NONE);
    assert_int_equal(store_begin(reader, false, &transaction, &fixture->error), ERROR_NONE);
    store_abort(transaction);
    assert_int_not_equal(access(path, F_OK), 0);

    assert_int_equal(
        store_open(fixture->folder.path, STORE_DAEMON, MAP_BYTES, &fixture->store, &fixture->error),
        ERROR_NONE);
    transaction = begin(fixture, true);
    assert_int_equal(store_put_span(transaction, &key, SLICE("state"), &fixture->error),
                     ERROR_NONE);
    commit(fixture, transaction);
    struct store_transaction *reading;
    assert_int_equal(store_begin(reader, false, &reading, &fixture->error), ERROR_NONE);
    // The pages of a reader that has a place stay, whatever is written meanwhile.
    for (int i = 0; i < 50; i++) {
        transaction = begin(fixture, true);
        assert_int_equal(store_put_span(transaction, &key, SLICE("later"), &fixture->error),
                         ERROR_NONE);
        commit(fixture, transaction);
    }
    assert_int_equal(store_get_span(reading, &key, &found, &fixture->error), ERROR_NONE);
    assert_true(slice_equals(found, SLICE("state")));
    store_abort(reading);
    store_close(reader);
}

static void a_full_store_is_reported_and_has_room_again_after_expiry(void **state)
{
    struct fixture *fixture = *state;
    static char body[65536];
    struct store_record record = {
        .finished_at = NOW, .key = key_of(1, 1), .body = {body, sizeof body}};
    enum error_code code = ERROR_NONE;
    size_t dropped;
    for (int i = 0; code == ERROR_NONE && i < 2000; i++) {
        struct store_transaction *transaction = begin(fixture, true);
        code = store_check_room(transaction, &fixture->error);
        if (code == ERROR_NONE)
            assert_int_equal(store_add_record(transaction, &record, false, &fixture->error),
                             ERROR_NONE);
        commit(fixture, transaction);
    }
    assert_int_equal(code, ERROR_FULL);
    assert_non_null(strstr(fixture->error.message, "db-max-size"));
    for (int i = 0; i < 3; i++) {
        struct store_transaction *transaction = begin(fixture, true);
        assert_int_equal(store_expire_records(transaction, NOW + 1, 300, &dropped, &fixture->error),
                         ERROR_NONE);
        commit(fixture, transaction);
    }
    struct store_transaction *transaction = begin(fixture, true);
    assert_int_equal(store_check_room(transaction, &fixture->error), ERROR_NONE);
    store_abort(transaction);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_committed_state_is_found_after_reopening),
        TEST(the_size_of_the_outbox_is_kept_after_reopening),
        TEST(an_aborted_transaction_stores_nothing),
        TEST(spans_of_a_trace_are_adjacent),
        TEST(deadlines_are_in_order_of_time),
        TEST(records_are_removed_from_the_outbox_only_when_settled_or_buried),
        TEST(dead_letters_are_kept_with_their_reason_and_can_be_requeued),
        TEST(a_mark_of_the_quarantine_is_removed_with_its_record),
        TEST(history_has_the_newest_record_of_each_span),
        TEST(expiry_skips_records_that_are_needed_and_returns_to_them),
        TEST(a_second_daemon_is_refused_with_the_process_that_holds_the_store),
        TEST(a_tool_finds_no_store_where_there_is_none),
        TEST(a_tool_that_finds_no_store_creates_no_file),
        TEST(a_reader_creates_no_table_of_readers_and_joins_one_that_is_created_later),
        TEST(a_full_store_is_reported_and_has_room_again_after_expiry),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
