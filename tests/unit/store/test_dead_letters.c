// Dead letters: their total size is exact, whichever version wrote them, and stays within the limits.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <lmdb.h>
#include <stdlib.h>
#include <unistd.h>

#include "ghatrace/store/store.h"
#include "ghatrace/store/table.h"
#include "support/temp_folder.h"

#define MAP_BYTES ((uint64_t)64 << 20)
#define NOW ((timestamp_ns)1788409017 * NS_PER_SECOND)
#define ALL 100000

struct fixture {
    struct temp_folder folder;
    struct store *store;
    struct store_transaction *transaction;
    struct error error;
};

static struct fixture *place; // of the test that runs

static void expect_ok(enum error_code code)
{
    if (code != ERROR_NONE)
        fail_msg("%s: %s", error_code_text(code), place->error.message);
}

static void open_store(void)
{
    expect_ok(
        store_open(place->folder.path, STORE_DAEMON, MAP_BYTES, &place->store, &place->error));
}

static int set_up(void **state)
{
    (void)state;
    place = test_calloc(1, sizeof *place);
    if (access("/dev/shm", W_OK) == 0)
        setenv("TMPDIR", "/dev/shm", 0);
    assert_true(temp_folder_create(&place->folder));
    open_store();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    store_close(place->store);
    assert_true(temp_folder_remove(&place->folder));
    test_free(place);
    return 0;
}

static void begin(void)
{
    expect_ok(store_begin(place->store, true, &place->transaction, &place->error));
}

static void commit(void)
{
    expect_ok(store_commit(place->transaction, &place->error));
}

// A record of this many bytes, in the outbox, then buried.
static uint64_t bury(size_t size, timestamp_ns finished_at, timestamp_ns buried_at)
{
    static char body[4096];
    struct store_record record = {.finished_at = finished_at, .body = {body, size}};
    assert_true(size <= sizeof body);
    record.key.span.bytes[0] = (uint8_t)rand();
    record.key.span.bytes[1] = (uint8_t)rand();
    expect_ok(store_add_record(place->transaction, &record, true, &place->error));
    expect_ok(store_bury_record(place->transaction, record.sequence, buried_at, SLICE("no"),
                                &place->error));
    return record.sequence;
}

// The same of another program's spans.
static uint64_t bury_forwarded(size_t size, timestamp_ns buried_at)
{
    static char body[4096];
    struct store_record record = {.finished_at = NOW, .body = {body, size}};
    assert_true(size <= sizeof body);
    expect_ok(store_add_forwarded(place->transaction, &record, 3, &place->error));
    expect_ok(store_bury_record(place->transaction, record.sequence, buried_at, SLICE("no"),
                                &place->error));
    return record.sequence;
}

static uint64_t count_letters(uint64_t *bytes)
{
    uint64_t sequence = 0, count = 0;
    struct store_dead_letter letter;
    struct store_record record;
    uint64_t forwarded = 0;
    *bytes = 0;
    while (store_seek_dead_letter(place->transaction, &sequence, &letter, &place->error) ==
           ERROR_NONE) {
        if (store_get_record(place->transaction, sequence, &record, &place->error) == ERROR_NONE) {
            *bytes += record.body.len;
            forwarded += store_is_forwarded(&record) ? record.body.len : 0;
        }
        count++;
        sequence++;
    }
    assert_int_equal(store_forwarded_dead_bytes(place->transaction), forwarded);
    return count;
}

static void expect_letters(uint64_t count)
{
    uint64_t bytes;
    assert_int_equal(count_letters(&bytes), count);
    assert_int_equal(store_dead_letter_bytes(place->transaction), bytes);
}

static bool is_dead(uint64_t sequence)
{
    struct store_dead_letter letter;
    uint64_t found = sequence;
    return store_seek_dead_letter(place->transaction, &found, &letter, &place->error) ==
               ERROR_NONE &&
           found == sequence;
}

static bool has_record(uint64_t sequence)
{
    struct store_record record;
    return store_get_record(place->transaction, sequence, &record, &place->error) == ERROR_NONE;
}

struct shed {
    uint64_t dropped[STORE_SHED_REASONS];
    bool has_more;
};

static struct shed shed(struct store_shed_limits limits, timestamp_ns now)
{
    struct shed shed;
    limits.now = now;
    expect_ok(store_shed_dead_letters(place->transaction, &limits, shed.dropped, &shed.has_more,
                                      &place->error));
    return shed;
}

static size_t requeue(size_t max, uint64_t outbox_max, bool *is_full)
{
    struct store_requeue requeue = {.max = max, .outbox_max = outbox_max};
    expect_ok(store_requeue_dead_letters(place->transaction, &requeue, &place->error));
    *is_full = requeue.is_full;
    return requeue.count;
}

// --- the sum -----------------------------------------------------------------------------------------------

static void the_total_size_is_exact_after_all_operations(void **state)
{
    (void)state;
    srand(4711);
    for (int round = 0; round < 400; round++) {
        bool is_full;
        begin();
        for (int i = rand() % 5; i > 0; i--)
            if (rand() % 3 == 0)
                bury_forwarded((size_t)rand() % 3000, NOW + round);
            else
                bury((size_t)rand() % 3000, NOW, NOW + round);
        if (rand() % 4 == 0)
            requeue((size_t)rand() % 4, 0, &is_full);
        if (rand() % 4 == 0)
            shed((struct store_shed_limits){.bytes_max = 20000, .max = (size_t)rand() % 6}, NOW);
        if (rand() % 8 == 0) {
            uint64_t sequence = 0;
            struct store_dead_letter letter;
            // Buried twice, as after a response that was lost.
            if (store_seek_dead_letter(place->transaction, &sequence, &letter, &place->error) ==
                ERROR_NONE)
                expect_ok(store_bury_record(place->transaction, sequence, NOW, SLICE("again"),
                                            &place->error));
        }
        if (rand() % 5 == 0)
            store_abort(place->transaction);
        else
            commit();
        if (rand() % 40 == 0) {
            store_close(place->store);
            open_store();
        }
        begin();
        uint64_t bytes;
        expect_letters(count_letters(&bytes));
        store_abort(place->transaction);
    }
}

// Without ghatrace, as an older version would have left it, or changed it.
static void edit_raw(const char *database, const void *key, size_t key_len)
{
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi dbi;
    MDB_val name = {.mv_size = key_len, .mv_data = (void *)(uintptr_t)key};
    store_close(place->store);
    assert_int_equal(mdb_env_create(&env), 0);
    assert_int_equal(mdb_env_set_maxdbs(env, 64), 0);
    assert_int_equal(mdb_env_set_mapsize(env, MAP_BYTES), 0);
    assert_int_equal(mdb_env_open(env, place->folder.path, 0, 0600), 0);
    assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
    assert_int_equal(mdb_dbi_open(txn, database, 0, &dbi), 0);
    assert_int_equal(mdb_del(txn, dbi, &name, NULL), 0);
    assert_int_equal(mdb_txn_commit(txn), 0);
    mdb_env_close(env);
    open_store();
}

static void an_older_store_is_counted_in_pieces_while_letters_change(void **state)
{
    bool is_full;
    size_t pieces = 0;
    struct shed result;
    (void)state;
    begin();
    for (int i = 0; i < 100; i++)
        bury(100, NOW, NOW);
    commit();
    edit_raw("meta", "dead", 4);
    do {
        begin();
        result = shed((struct store_shed_limits){.bytes_max = 1 << 20, .max = 10}, NOW);
        bury(7, NOW, NOW);
        requeue(2, 0, &is_full);
        commit();
        pieces++;
        assert_true(pieces < 100);
    } while (result.has_more);
    assert_true(pieces > 5);
    begin();
    expect_letters(100 - pieces);
    store_abort(place->transaction);
}

static void the_letter_that_would_be_counted_next_may_be_removed(void **state)
{
    uint64_t sequences[20];
    (void)state;
    begin();
    for (int i = 0; i < 20; i++)
        sequences[i] = bury(100, NOW, NOW);
    commit();
    edit_raw("meta", "dead", 4);
    begin();
    const struct store_shed_limits limits = {.bytes_max = 1 << 20, .max = 10};
    assert_true(shed(limits, NOW).has_more);
    struct store_requeue next = {.max = 1, .sequence = sequences[10]};
    expect_ok(store_requeue_dead_letters(place->transaction, &next, &place->error));
    assert_int_equal(next.count, 1);
    assert_false(is_dead(sequences[10]));
    assert_true(is_dead(sequences[9]));
    while (shed(limits, NOW).has_more)
        ;
    expect_letters(19);
    store_abort(place->transaction);
}

static void letters_that_an_older_version_removed_are_detected(void **state)
{
    uint8_t key[8] = {0};
    (void)state;
    begin();
    uint64_t first = bury(1000, NOW, NOW);
    bury(500, NOW, NOW);
    bury(20, NOW, NOW);
    commit();
    key[7] = (uint8_t)first;
    edit_raw("dead", key, sizeof key);
    begin();
    struct shed result = shed((struct store_shed_limits){.bytes_max = 600, .max = ALL}, NOW);
    assert_int_equal(result.dropped[STORE_SHED_SIZE], 0);
    expect_letters(2);
    commit();
}

// --- limits ------------------------------------------------------------------------------------------------

static void beyond_the_size_the_oldest_are_dropped_and_within_it_all_are_kept(void **state)
{
    uint64_t sequences[10];
    (void)state;
    begin();
    for (int i = 0; i < 10; i++)
        sequences[i] = bury(100, NOW, NOW - i);
    struct shed result = shed((struct store_shed_limits){.bytes_max = 1000, .max = ALL}, NOW);
    assert_int_equal(result.dropped[STORE_SHED_SIZE], 0);
    expect_letters(10);
    result = shed((struct store_shed_limits){.bytes_max = 350, .max = 4}, NOW);
    assert_int_equal(result.dropped[STORE_SHED_SIZE], 4);
    assert_true(result.has_more);
    result = shed((struct store_shed_limits){.bytes_max = 350, .max = 100}, NOW);
    assert_int_equal(result.dropped[STORE_SHED_SIZE], 3);
    assert_false(result.has_more);
    expect_letters(3);
    assert_false(is_dead(sequences[6]));
    assert_true(is_dead(sequences[7]));
    commit();
}

static void letters_that_are_too_old_are_dropped_whatever_their_position(void **state)
{
    const struct store_shed_limits limits = {
        .age_max = NS_PER_DAY, .may_check_age = true, .max = ALL};
    (void)state;
    begin();
    uint64_t fresh = bury(1, NOW, NOW - NS_PER_HOUR);
    uint64_t old = bury(1, NOW, NOW - NS_PER_DAY);
    uint64_t nearly = bury(1, NOW, NOW - NS_PER_DAY + 1);
    struct store_shed_limits unsure = limits;
    unsure.may_check_age = false;
    assert_int_equal(shed(unsure, NOW).dropped[STORE_SHED_AGE], 0);
    assert_int_equal(shed(limits, NOW).dropped[STORE_SHED_AGE], 1);
    assert_true(is_dead(fresh) && !is_dead(old) && is_dead(nearly));
    // They are checked again after a while, in pieces.
    struct store_shed_limits pieces = limits;
    pieces.max = 1;
    assert_int_equal(shed(pieces, NOW + NS_PER_MINUTE).dropped[STORE_SHED_AGE], 0);
    assert_int_equal(shed(pieces, NOW + NS_PER_HOUR).dropped[STORE_SHED_AGE], 0);
    struct shed result = shed(pieces, NOW + NS_PER_HOUR);
    assert_int_equal(result.dropped[STORE_SHED_AGE], 1);
    assert_true(result.has_more);
    expect_letters(1);
    commit();
}

static void the_age_of_a_letter_from_the_future_counts_from_its_detection(void **state)
{
    const struct store_shed_limits limits = {
        .age_max = NS_PER_DAY, .may_check_age = true, .max = ALL};
    struct store_dead_letter letter;
    (void)state;
    begin();
    uint64_t sequence = bury(1, NOW, NOW + 365 * NS_PER_DAY);
    assert_int_equal(shed(limits, NOW).dropped[STORE_SHED_AGE], 0);
    uint64_t found = sequence;
    expect_ok(store_seek_dead_letter(place->transaction, &found, &letter, &place->error));
    assert_true(letter.buried_at == NOW);
    assert_true(slice_equals(letter.reason, SLICE("no")));
    assert_int_equal(shed(limits, NOW + 23 * NS_PER_HOUR).dropped[STORE_SHED_AGE], 0);
    assert_int_equal(shed(limits, NOW + 25 * NS_PER_HOUR).dropped[STORE_SHED_AGE], 1);
    expect_letters(0);
    // A clock that was set back does not delay the next check.
    bury(1, NOW, NOW - 10 * NS_PER_DAY);
    assert_int_equal(shed(limits, NOW).dropped[STORE_SHED_AGE], 1);
    commit();
}

static void the_record_is_deleted_with_its_letter_unless_it_is_in_the_history(void **state)
{
    const struct store_shed_limits limits = {.bytes_max = 1, .before = NOW, .max = ALL};
    size_t dropped;
    (void)state;
    begin();
    uint64_t old = bury(100, NOW - 1, NOW);
    uint64_t shown = bury(100, NOW, NOW);
    shed(limits, NOW);
    expect_letters(0);
    assert_false(has_record(old));
    assert_true(has_record(shown));
    expect_ok(store_expire_records(place->transaction, NOW + 1, 10, &dropped, &place->error));
    assert_int_equal(dropped, 1);
    assert_false(has_record(shown));
    commit();
}

// --- other programs' spans -----------------------------------------------------------------------------------

static void letters_of_other_programs_use_a_quarter_and_are_dropped_first(void **state)
{
    const struct store_shed_limits limits = {.bytes_max = 1000, .max = ALL};
    (void)state;
    begin();
    uint64_t ours = bury(300, NOW, NOW);
    for (int i = 0; i < 50; i++)
        bury_forwarded(100, NOW);
    uint64_t newest = bury_forwarded(100, NOW);
    struct shed after = shed(limits, NOW);
    assert_int_equal(after.dropped[STORE_SHED_SIZE], 49);
    assert_int_equal(store_forwarded_dead_bytes(place->transaction), 200);
    assert_true(is_dead(ours) && is_dead(newest));
    // Where ours need the rest, they give way.
    for (int i = 0; i < 6; i++)
        bury(100, NOW, NOW);
    shed(limits, NOW);
    expect_letters(8);
    assert_true(is_dead(ours) && is_dead(newest));
    bury(100, NOW, NOW);
    shed(limits, NOW);
    expect_letters(8);
    assert_true(is_dead(ours));
    assert_false(is_dead(newest) || has_record(newest));
    commit();
}

static void a_reader_passes_over_a_damaged_entry_once(void **state)
{
    const struct slice cut_short = SLICE("\0\0\0\0\0\0\1");
    uint64_t sequence = 0;
    uint32_t size;
    (void)state;
    begin();
    expect_ok(store_table_put(place->transaction, STORE_TABLE_FORWARDED, cut_short, SLICE_EMPTY,
                              &place->error));
    commit();
    expect_ok(store_begin(place->store, false, &place->transaction, &place->error));
    assert_int_equal(store_seek_forwarded(place->transaction, &sequence, &size, &place->error),
                     ERROR_NOT_FOUND);
    assert_int_equal(store_unreadable(place->transaction), 1);
    store_abort(place->transaction);
}

static void requeued_letters_of_other_programs_are_what_they_were(void **state)
{
    uint64_t sequence = 0, spans;
    uint32_t size;
    size_t dropped;
    bool is_full;
    (void)state;
    begin();
    uint64_t foreign = bury_forwarded(400, NOW);
    uint64_t ours = bury(100, NOW, NOW);
    // What waits of other programs does not keep ours from being moved.
    assert_int_equal(requeue(ALL, 450, &is_full), 2);
    assert_false(is_full);
    assert_int_equal(store_outbox_bytes(place->transaction), 500);
    assert_int_equal(store_forwarded_bytes(place->transaction), 400);
    expect_ok(store_seek_own(place->transaction, &sequence, &size, &place->error));
    assert_int_equal(sequence, ours);
    sequence = 0;
    expect_ok(store_seek_forwarded(place->transaction, &sequence, &size, &place->error));
    assert_int_equal(sequence, foreign);
    assert_int_equal(size, 400);
    sequence = 0;
    expect_ok(store_seek_outbox(place->transaction, &sequence, &size, &place->error));
    assert_int_equal(sequence, foreign);
    sequence++;
    expect_ok(store_seek_outbox(place->transaction, &sequence, &size, &place->error));
    assert_int_equal(sequence, ours);
    // The record of one that waits is not expired.
    expect_ok(store_expire_records(place->transaction, NOW + 1, 10, &dropped, &place->error));
    assert_int_equal(dropped, 0);
    expect_ok(store_drop_forwarded(place->transaction, 10, &dropped, &spans, &place->error));
    assert_int_equal(dropped, 1);
    assert_int_equal(spans, 3);
    assert_int_equal(store_outbox_bytes(place->transaction), 100);
    commit();
}

// --- requeue -----------------------------------------------------------------------------------------------

static void no_more_is_requeued_than_fits_into_the_outbox(void **state)
{
    bool is_full;
    (void)state;
    begin();
    for (int i = 0; i < 10; i++)
        bury(100, NOW, NOW);
    assert_int_equal(requeue(ALL, 350, &is_full), 3);
    assert_true(is_full);
    assert_int_equal(store_outbox_bytes(place->transaction), 300);
    expect_letters(7);
    assert_int_equal(requeue(ALL, 350, &is_full), 0);
    assert_true(is_full);
    assert_int_equal(requeue(2, 1000, &is_full), 2);
    assert_false(is_full);
    assert_int_equal(requeue(ALL, 0, &is_full), 5);
    assert_false(is_full);
    expect_letters(0);
    commit();
}

static void a_letter_larger_than_the_limit_of_the_outbox_is_requeued_alone(void **state)
{
    bool is_full;
    (void)state;
    begin();
    bury(1000, NOW, NOW);
    bury(10, NOW, NOW);
    assert_int_equal(requeue(ALL, 500, &is_full), 1);
    assert_true(is_full);
    expect_letters(1);
    commit();
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_total_size_is_exact_after_all_operations),
        TEST(an_older_store_is_counted_in_pieces_while_letters_change),
        TEST(the_letter_that_would_be_counted_next_may_be_removed),
        TEST(letters_that_an_older_version_removed_are_detected),
        TEST(beyond_the_size_the_oldest_are_dropped_and_within_it_all_are_kept),
        TEST(letters_that_are_too_old_are_dropped_whatever_their_position),
        TEST(the_age_of_a_letter_from_the_future_counts_from_its_detection),
        TEST(the_record_is_deleted_with_its_letter_unless_it_is_in_the_history),
        TEST(letters_of_other_programs_use_a_quarter_and_are_dropped_first),
        TEST(requeued_letters_of_other_programs_are_what_they_were),
        TEST(a_reader_passes_over_a_damaged_entry_once),
        TEST(no_more_is_requeued_than_fits_into_the_outbox),
        TEST(a_letter_larger_than_the_limit_of_the_outbox_is_requeued_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
