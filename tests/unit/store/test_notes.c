// Notes of deliveries and of exported runs and jobs: found while they are kept, expired then, and small.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "ghatrace/base/digest.h"
#include "ghatrace/base/log.h"
#include "ghatrace/store/store.h"
#include "support/temp_folder.h"

#define MAP_BYTES ((uint64_t)1 << 30)
#define NOW ((timestamp_ns)1788409017 * NS_PER_SECOND)
#define LINGER (8 * NS_PER_HOUR)

struct fixture {
    struct temp_folder folder;
    struct store *store;
    struct error error;
    uint64_t random;
};

static struct store_transaction *begin(struct fixture *fixture, bool is_write)
{
    struct store_transaction *transaction;
    assert_int_equal(store_begin(fixture->store, is_write, &transaction, &fixture->error),
                     ERROR_NONE);
    return transaction;
}

static void commit(struct fixture *fixture, struct store_transaction *transaction)
{
    if (store_commit(transaction, &fixture->error) != ERROR_NONE)
        fail_msg("commit: %s", fixture->error.message);
}

static void reopen(struct fixture *fixture)
{
    store_close(fixture->store);
    if (store_open(fixture->folder.path, STORE_DAEMON, MAP_BYTES, &fixture->store,
                   &fixture->error) != ERROR_NONE)
        fail_msg("open: %s", fixture->error.message);
}

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    if (access("/dev/shm", W_OK) == 0)
        setenv("TMPDIR", "/dev/shm", 0);
    fixture->random = 88172645463325252u;
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
    free(fixture);
    return 0;
}

static uint64_t next_random(struct fixture *fixture)
{
    fixture->random ^= fixture->random << 13;
    fixture->random ^= fixture->random >> 7;
    fixture->random ^= fixture->random << 17;
    return fixture->random;
}

// The delivery with this number: with a time in its GUID, or without. Its old digest is its number.
static struct store_delivery delivery_of(uint64_t number, timestamp_ns guid_time)
{
    struct store_delivery delivery = {.guid_time = guid_time};
    uint8_t hash[SHA256_SIZE];
    digest_sha256((struct slice){(const char *)&number, sizeof number}, hash);
    memcpy(delivery.guid, hash, sizeof delivery.guid);
    memcpy(delivery.body, hash + 8, sizeof delivery.body);
    memcpy(delivery.old_digest, &number, sizeof number);
    return delivery;
}

static bool remember_in(struct fixture *fixture, struct store_transaction *transaction,
                        const struct store_delivery *delivery, timestamp_ns now)
{
    struct store_delivery received = *delivery;
    bool is_duplicate = false;
    received.received_at = now;
    if (store_remember_delivery(transaction, &received, LINGER, &is_duplicate, &fixture->error) !=
        ERROR_NONE)
        fail_msg("remember: %s", fixture->error.message);
    return is_duplicate;
}

static bool remember(struct fixture *fixture, const struct store_delivery *delivery,
                     timestamp_ns now)
{
    struct store_transaction *transaction = begin(fixture, true);
    bool is_duplicate = remember_in(fixture, transaction, delivery, now);
    commit(fixture, transaction);
    return is_duplicate;
}

static bool knows_guid(struct fixture *fixture, const struct store_delivery *delivery)
{
    bool is_known = false;
    struct store_transaction *transaction = begin(fixture, true);
    assert_int_equal(store_has_guid(transaction, delivery, &is_known, &fixture->error), ERROR_NONE);
    store_abort(transaction);
    return is_known;
}

static const duration_ns keep[STORE_NOTE_KINDS] = {LINGER, LINGER, LINGER, LINGER, LINGER, LINGER};

static bool forget(struct fixture *fixture, timestamp_ns now, size_t max)
{
    size_t left = max;
    size_t old_left = max;
    struct store_transaction *transaction = begin(fixture, true);
    if (store_expire_notes(transaction, now, keep, &left, &fixture->error) != ERROR_NONE)
        fail_msg("forget: %s", fixture->error.message);
    assert_int_equal(
        store_expire_old_deliveries(transaction, now, LINGER, &old_left, &fixture->error),
        ERROR_NONE);
    commit(fixture, transaction);
    return left == 0;
}

static struct store_usage usage_of(struct fixture *fixture)
{
    struct store_usage usage;
    struct store_transaction *transaction = begin(fixture, false);
    store_read_usage(transaction, &usage);
    store_abort(transaction);
    return usage;
}

static timestamp_ns oldest(struct fixture *fixture)
{
    timestamp_ns at;
    struct store_transaction *transaction = begin(fixture, false);
    assert_int_equal(store_oldest_delivery(transaction, &at, &fixture->error), ERROR_NONE);
    store_abort(transaction);
    return at;
}

// --- one by one ------------------------------------------------------------------------------------------

static void a_delivery_is_known_for_linger_and_then_expires(void **state)
{
    struct fixture *fixture = *state;
    for (int timed = 0; timed < 2; timed++) {
        struct store_delivery first = delivery_of(1, timed ? NOW - NS_PER_SECOND : 0);
        assert_false(remember(fixture, &first, NOW));
        assert_true(remember(fixture, &first, NOW));
        for (uint64_t hour = 2; hour < 12; hour++) {
            timestamp_ns at = NOW + (timestamp_ns)hour * NS_PER_HOUR;
            struct store_delivery other = delivery_of(hour, timed ? at : 0);
            assert_false(remember(fixture, &other, at));
        }
        assert_int_equal(oldest(fixture), NOW);
        forget(fixture, NOW + LINGER, 100);
        assert_true(remember(fixture, &first, NOW + LINGER));
        forget(fixture, NOW + 100 * NS_PER_HOUR, 1000);
        assert_false(remember(fixture, &first, NOW + 100 * NS_PER_HOUR));
        forget(fixture, NOW + 200 * NS_PER_HOUR, 1000);
        assert_int_equal(usage_of(fixture).delivery_notes, 0);
        assert_true(oldest(fixture) == TIMESTAMP_UNKNOWN);
    }
}

// Old deliveries are redelivered: they are at the front, and were added last.
static void the_oldest_delivery_is_not_one_that_arrived_late(void **state)
{
    struct fixture *fixture = *state;
    struct store_delivery first = delivery_of(1, NOW);
    assert_false(remember(fixture, &first, NOW));
    for (uint64_t i = 2; i < 1000; i++) {
        struct store_delivery late = delivery_of(i, NOW - NS_PER_DAY + (timestamp_ns)i * NS_PER_MS);
        assert_false(remember(fixture, &late, NOW + NS_PER_HOUR));
    }
    assert_int_equal(oldest(fixture), NOW);
}

static void guid_and_body_both_count_and_a_guid_can_be_looked_up_alone(void **state)
{
    struct fixture *fixture = *state;
    for (int timed = 0; timed < 2; timed++) {
        struct store_delivery one = delivery_of(1, timed ? NOW : 0);
        struct store_delivery other_body = one;
        struct store_delivery other_guid = one;
        other_body.body[7] ^= 1;
        other_guid.guid[7] ^= 1;
        assert_false(knows_guid(fixture, &one));
        assert_false(remember(fixture, &one, NOW));
        assert_true(knows_guid(fixture, &other_body));
        assert_false(knows_guid(fixture, &other_guid));
        assert_false(remember(fixture, &other_body, NOW));
        assert_false(remember(fixture, &other_guid, NOW));
        assert_true(remember(fixture, &one, NOW));
    }
    // The same bytes with another time in the GUID are another GUID.
    struct store_delivery later = delivery_of(1, NOW + NS_PER_MS);
    assert_false(knows_guid(fixture, &later));
}

// More than a block holds: the first may be anywhere in a block, or begin the next.
static void a_guid_with_a_thousand_bodies_is_known(void **state)
{
    struct fixture *fixture = *state;
    struct store_transaction *transaction = begin(fixture, true);
    for (uint64_t i = 0; i < 1000; i++) {
        struct store_delivery delivery = delivery_of(i, NOW);
        memset(delivery.guid, 7, sizeof delivery.guid);
        assert_false(remember_in(fixture, transaction, &delivery, NOW));
    }
    commit(fixture, transaction);
    struct store_delivery any = delivery_of(5000, NOW);
    memset(any.guid, 7, sizeof any.guid);
    assert_true(knows_guid(fixture, &any));
    any.guid[7] = 6;
    assert_false(knows_guid(fixture, &any));
    any.guid[7] = 8;
    assert_false(knows_guid(fixture, &any));
}

static void deliveries_of_an_aborted_transaction_are_not_known(void **state)
{
    struct fixture *fixture = *state;
    for (int timed = 0; timed < 2; timed++) {
        struct store_delivery one = delivery_of(1, timed ? NOW : 0);
        struct store_delivery two = delivery_of(2, timed ? NOW : 0);
        struct store_transaction *transaction = begin(fixture, true);
        assert_false(remember_in(fixture, transaction, &one, NOW));
        assert_true(remember_in(fixture, transaction, &one, NOW));
        store_abort(transaction);
        assert_false(remember(fixture, &two, NOW));
        assert_false(remember(fixture, &one, NOW));
    }
    assert_int_equal(usage_of(fixture).delivery_notes, 4);
    // A slice of time that was given up with its transaction is still there.
    struct store_delivery untimed = delivery_of(1, 0);
    struct store_transaction *transaction = begin(fixture, true);
    size_t left = 100;
    assert_int_equal(
        store_expire_notes(transaction, NOW + 10 * LINGER, keep, &left, &fixture->error),
        ERROR_NONE);
    assert_false(remember_in(fixture, transaction, &untimed, NOW + 10 * LINGER));
    store_abort(transaction);
    assert_true(remember(fixture, &untimed, NOW + 10 * LINGER));
}

static void notes_are_found_after_linger_was_changed(void **state)
{
    struct fixture *fixture = *state;
    static const duration_ns lingers[] = {NS_PER_DAY, NS_PER_SECOND, 1, 36500 * NS_PER_DAY};
    for (uint64_t number = 1; number < 300; number++) {
        struct store_delivery delivery = delivery_of(number, 0);
        assert_false(remember(fixture, &delivery, NOW + (timestamp_ns)number));
    }
    for (size_t i = 0; i < sizeof lingers / sizeof lingers[0]; i++) {
        struct store_delivery delivery = delivery_of(1 + i, 0);
        bool found = false;
        struct store_transaction *transaction = begin(fixture, true);
        delivery.received_at = NOW + NS_PER_MINUTE;
        assert_int_equal(
            store_remember_delivery(transaction, &delivery, lingers[i], &found, &fixture->error),
            ERROR_NONE);
        assert_true(found);
        store_abort(transaction);
    }
}

// --- exported runs and jobs ---------------------------------------------------------------------------------

static struct store_key key_of(uint64_t id, uint8_t trace)
{
    struct store_key key = {.trace = {{trace}}};
    for (int i = 7; i >= 0; i--, id >>= 8)
        key.span.bytes[i] = (uint8_t)id;
    return key;
}

static void notes_of_jobs_and_runs_are_distinct_and_keep_their_payload(void **state)
{
    struct fixture *fixture = *state;
    struct store_key key = key_of(UINT64_C(33714470481), 1);
    struct store_key same_id = key_of(UINT64_C(33714470481), 2);
    uint8_t payload[STORE_NOTE_SIZE_MAX] = {1, 2, 3}, found_payload[STORE_NOTE_SIZE_MAX];
    bool is_found;
    struct store_transaction *transaction = begin(fixture, true);
    assert_int_equal(store_put_note(transaction, &(struct store_note_key){STORE_NOTE_JOB, key},
                                    payload, NOW, &fixture->error),
                     ERROR_NONE);
    for (int kind = STORE_NOTE_WAITED_JOB; kind < STORE_NOTE_KINDS; kind++) {
        assert_int_equal(store_find_note(transaction,
                                         &(struct store_note_key){(enum store_note)kind, key},
                                         &is_found, found_payload, &fixture->error),
                         ERROR_NONE);
        assert_false(is_found);
    }
    assert_int_equal(store_find_note(transaction, &(struct store_note_key){STORE_NOTE_JOB, same_id},
                                     &is_found, found_payload, &fixture->error),
                     ERROR_NONE);
    assert_false(is_found);
    for (int kind = STORE_NOTE_JOB; kind < STORE_NOTE_KINDS; kind++) {
        payload[0] = (uint8_t)(10 + kind);
        assert_int_equal(store_put_note(transaction,
                                        &(struct store_note_key){(enum store_note)kind, key},
                                        payload, NOW, &fixture->error),
                         ERROR_NONE);
    }
    commit(fixture, transaction);
    reopen(fixture);
    transaction = begin(fixture, true);
    for (int kind = STORE_NOTE_JOB; kind < STORE_NOTE_KINDS; kind++) {
        static const size_t sizes[STORE_NOTE_KINDS] = {
            [STORE_NOTE_JOB] = STORE_JOB_NOTE_SIZE,
            [STORE_NOTE_WAITED_JOB] = STORE_WAITED_JOB_NOTE_SIZE,
            [STORE_NOTE_RUN] = STORE_RUN_NOTE_SIZE,
            [STORE_NOTE_OLD_RUN] = STORE_OLD_RUN_NOTE_SIZE,
            [STORE_NOTE_ASSIGNED_JOB] = STORE_ASSIGNED_JOB_NOTE_SIZE,
        };
        payload[0] = (uint8_t)(10 + kind);
        assert_int_equal(store_find_note(transaction,
                                         &(struct store_note_key){(enum store_note)kind, key},
                                         &is_found, found_payload, &fixture->error),
                         ERROR_NONE);
        assert_true(is_found);
        assert_memory_equal(found_payload, payload, sizes[kind]);
    }
    store_abort(transaction);
    transaction = begin(fixture, false); // a reader finds the same
    for (int kind = STORE_NOTE_JOB; kind < STORE_NOTE_KINDS; kind++) {
        assert_int_equal(store_find_note(transaction,
                                         &(struct store_note_key){(enum store_note)kind, key},
                                         &is_found, found_payload, &fixture->error),
                         ERROR_NONE);
        assert_true(is_found && found_payload[0] == 10 + kind);
        assert_int_equal(store_find_note(transaction,
                                         &(struct store_note_key){(enum store_note)kind, same_id},
                                         &is_found, found_payload, &fixture->error),
                         ERROR_NONE);
        assert_false(is_found);
    }
    store_abort(transaction);
    struct store_usage usage = usage_of(fixture);
    assert_true(usage.job_notes == 1 && usage.run_notes == 1 && usage.root_notes == 1);
}

// Each kind is kept for its own time: the note of a run's root is kept longest.
static void each_kind_is_kept_for_its_own_time(void **state)
{
    struct fixture *fixture = *state;
    struct store_key key = key_of(7, 1);
    uint8_t payload[STORE_NOTE_SIZE_MAX] = {1};
    duration_ns times[STORE_NOTE_KINDS];
    for (int kind = 0; kind < STORE_NOTE_KINDS; kind++)
        times[kind] = kind == STORE_NOTE_OLD_RUN ? 10 * LINGER : LINGER;
    struct store_transaction *transaction = begin(fixture, true);
    for (int kind = STORE_NOTE_JOB; kind < STORE_NOTE_KINDS; kind++)
        assert_int_equal(store_put_note(transaction,
                                        &(struct store_note_key){(enum store_note)kind, key},
                                        payload, NOW, &fixture->error),
                         ERROR_NONE);
    commit(fixture, transaction);
    for (int i = 1; i <= 11; i++) {
        size_t left = 1000;
        transaction = begin(fixture, true);
        assert_int_equal(store_expire_notes(transaction, NOW + i * LINGER + 2 * NS_PER_HOUR, times,
                                            &left, &fixture->error),
                         ERROR_NONE);
        commit(fixture, transaction);
        struct store_usage usage = usage_of(fixture);
        assert_int_equal(usage.job_notes + usage.run_notes, 0);
        assert_int_equal(usage.root_notes, i < 10 ? 1 : 0);
    }
}

// --- against a naive model ---------------------------------------------------------------------------------

#define MODEL_MAX 6000

struct known {
    uint64_t number;
    timestamp_ns guid_time;
    timestamp_ns received;
};

static struct known model[MODEL_MAX];
static size_t model_count;

static void try_again(struct fixture *fixture, struct store_transaction *transaction,
                      struct known *known, timestamp_ns now)
{
    struct store_delivery delivery = delivery_of(known->number, known->guid_time);
    bool is_duplicate = remember_in(fixture, transaction, &delivery, now);
    if (!is_duplicate && now - known->received <= LINGER)
        fail_msg("number %llu, %lld s old, was not known", (unsigned long long)known->number,
                 (long long)((now - known->received) / NS_PER_SECOND));
    if (!is_duplicate)
        known->received = now;
}

// Times inside GUIDs: none, just now, late by up to three lingers, or nonsense.
static timestamp_ns make_guid_time(struct fixture *fixture, timestamp_ns now)
{
    switch (next_random(fixture) % 8) {
    case 0:
        return TIMESTAMP_UNKNOWN;
    case 1:
        return now - (timestamp_ns)(next_random(fixture) % (3 * LINGER));
    case 2:
        return (timestamp_ns)(next_random(fixture) >> 1);
    default:
        return now - (timestamp_ns)(next_random(fixture) % (2 * NS_PER_SECOND));
    }
}

static void run_steps(struct fixture *fixture, timestamp_ns *now, int steps)
{
    struct store_transaction *transaction = begin(fixture, true);
    for (int i = 0; i < steps; i++) {
        uint64_t dice = next_random(fixture) % 100;
        if (dice < 60 && model_count < MODEL_MAX) {
            struct known *known = &model[model_count++];
            *known = (struct known){.number = next_random(fixture),
                                    .guid_time = make_guid_time(fixture, *now),
                                    .received = *now};
            struct store_delivery delivery = delivery_of(known->number, known->guid_time);
            assert_false(remember_in(fixture, transaction, &delivery, *now));
        } else if (dice < 90 && model_count > 0) {
            try_again(fixture, transaction, &model[next_random(fixture) % model_count], *now);
        } else {
            *now += (timestamp_ns)(next_random(fixture) % (2 * NS_PER_MINUTE));
        }
    }
    commit(fixture, transaction);
}

static void notes_agree_with_a_naive_model(void **state)
{
    struct fixture *fixture = *state;
    timestamp_ns now = NOW;
    model_count = 0;
    for (int round = 0; round < 200; round++) {
        run_steps(fixture, &now, 50);
        if (next_random(fixture) % 4 == 0)
            forget(fixture, now, 1 + next_random(fixture) % 200);
        if (next_random(fixture) % 16 == 0)
            reopen(fixture);
        if (next_random(fixture) % 32 == 0)
            now += LINGER / 2;
    }
    assert_true(model_count > 5000);
    struct store_transaction *transaction = begin(fixture, true);
    for (size_t i = 0; i < model_count; i++)
        try_again(fixture, transaction, &model[i], now);
    store_abort(transaction);
    // In the end nothing is left, wherever the times in GUIDs had put it.
    now += 2 * LINGER;
    for (int i = 0; i < 400; i++)
        forget(fixture, now, 64);
    struct store_usage usage = usage_of(fixture);
    assert_int_equal(usage.delivery_notes, 0);
    assert_int_equal(usage.note_bytes, 0);
}

// --- clocks ----------------------------------------------------------------------------------------------

static void notes_of_a_clock_that_was_a_year_ahead_expire_in_time(void **state)
{
    struct fixture *fixture = *state;
    for (uint64_t i = 0; i < 1000; i++) {
        struct store_delivery delivery = delivery_of(i, i % 2 == 0 ? NOW + (timestamp_ns)i : 0);
        assert_false(remember(fixture, &delivery, NOW + 365 * NS_PER_DAY));
    }
    for (int i = 0; i < 200; i++)
        forget(fixture, NOW, 64);
    assert_int_equal(usage_of(fixture).delivery_notes, 1000);
    for (int i = 0; i < 200; i++)
        forget(fixture, NOW + LINGER + NS_PER_MINUTE, 64);
    assert_int_equal(usage_of(fixture).delivery_notes, 0);
}

static void no_note_expires_when_the_clock_is_set_back(void **state)
{
    struct fixture *fixture = *state;
    struct store_delivery delivery = delivery_of(1, NOW);
    assert_false(remember(fixture, &delivery, NOW));
    for (int i = 0; i < 50; i++)
        forget(fixture, NOW - 365 * NS_PER_DAY, 64);
    assert_true(remember(fixture, &delivery, NOW - 365 * NS_PER_DAY));
    assert_true(remember(fixture, &delivery, NOW));
}

// The clock of a machine without a battery: a year behind until the time is set from the network.
static void no_note_expires_after_the_clock_was_a_year_back_for_a_while(void **state)
{
    struct fixture *fixture = *state;
    for (uint64_t i = 0; i < 1000; i++) {
        struct store_delivery delivery = delivery_of(i, i % 2 == 0 ? NOW + (timestamp_ns)i : 0);
        assert_false(remember(fixture, &delivery, NOW));
    }
    for (int i = 0; i < 50; i++)
        forget(fixture, NOW - 365 * NS_PER_DAY + i * NS_PER_SECOND, 64);
    for (int i = 0; i < 50; i++)
        forget(fixture, NOW + NS_PER_MINUTE, 64);
    for (uint64_t i = 0; i < 1000; i++) {
        struct store_delivery delivery = delivery_of(i, i % 2 == 0 ? NOW + (timestamp_ns)i : 0);
        assert_true(remember(fixture, &delivery, NOW + NS_PER_MINUTE));
    }
}

// --- room --------------------------------------------------------------------------------------------------

static void fill(struct fixture *fixture, uint64_t first, uint64_t count, bool is_timed,
                 duration_ns disorder)
{
    for (uint64_t i = 0; i < count;) {
        struct store_transaction *transaction = begin(fixture, true);
        for (int batch = 0; batch < 256 && i < count; batch++, i++) {
            timestamp_ns at = NOW + (timestamp_ns)i * 10 * NS_PER_MS;
            duration_ns late =
                disorder > 0 ? (duration_ns)(next_random(fixture) % (uint64_t)disorder) : 0;
            struct store_delivery delivery = delivery_of(first + i, is_timed ? at - late : 0);
            assert_false(remember_in(fixture, transaction, &delivery, at));
        }
        commit(fixture, transaction);
    }
}

static double bytes_of_each(struct fixture *fixture)
{
    struct store_usage usage = usage_of(fixture);
    return (double)usage.note_bytes / (double)usage.delivery_notes;
}

static void a_delivery_takes_about_twenty_bytes(void **state)
{
    struct fixture *fixture = *state;
    static const struct {
        bool is_timed;
        duration_ns disorder;
        double at_first, packed;
    } cases[] = {
        {true, 0, 21.5, 21.5},
        {true, 5 * NS_PER_SECOND, 35, 23},
        {true, NS_PER_MINUTE, 35, 24},
        {false, 0, 28, 19},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        timestamp_ns end = NOW + 40000 * 10 * NS_PER_MS;
        fill(fixture, 0, 40000, cases[i].is_timed, cases[i].disorder);
        double at_first = bytes_of_each(fixture);
        for (int j = 0; j < 20; j++)
            forget(fixture, end + NS_PER_HOUR, 4096);
        double packed = bytes_of_each(fixture);
        print_message("%s, out of order by %lld s: %.1f bytes each, packed %.1f\n",
                      cases[i].is_timed ? "timed" : "untimed",
                      (long long)(cases[i].disorder / NS_PER_SECOND), at_first, packed);
        assert_true(at_first < cases[i].at_first);
        assert_true(packed < cases[i].packed);
        struct store_delivery middle = delivery_of(20000, 0);
        if (!cases[i].is_timed)
            assert_true(remember(fixture, &middle, end));
        for (int j = 0; j < 20; j++)
            forget(fixture, end + 3 * LINGER, 4096);
        assert_int_equal(usage_of(fixture).note_bytes, 0);
    }
}

static uint64_t shed(struct fixture *fixture, size_t max)
{
    uint64_t count = 0;
    struct store_transaction *transaction = begin(fixture, true);
    assert_int_equal(store_shed_notes(transaction, max, &count, &fixture->error), ERROR_NONE);
    store_count_shed(transaction, NOW, count);
    commit(fixture, transaction);
    return count;
}

static void the_oldest_are_shed_first_in_bounded_pieces_and_counted(void **state)
{
    struct fixture *fixture = *state;
    struct store_key job = key_of(1, 1);
    fill(fixture, 0, 20000, true, 0);
    struct store_transaction *transaction = begin(fixture, true);
    uint8_t payload[STORE_NOTE_SIZE_MAX] = {0};
    assert_int_equal(store_put_note(transaction, &(struct store_note_key){STORE_NOTE_JOB, job},
                                    payload, NOW - NS_PER_HOUR, &fixture->error),
                     ERROR_NONE);
    commit(fixture, transaction);
    uint64_t count = shed(fixture, 10);
    assert_true(count > 1000 && count < 3000);
    assert_true(oldest(fixture) > NOW);
    struct store_delivery first = delivery_of(0, NOW);
    struct store_delivery last = delivery_of(19999, NOW + 19999 * 10 * NS_PER_MS);
    assert_false(knows_guid(fixture, &first));
    assert_true(knows_guid(fixture, &last));
    reopen(fixture);
    struct store_usage usage = usage_of(fixture);
    assert_int_equal(usage.delivery_notes, 20000 - count);
    assert_int_equal(usage.sheds.total, count);
    assert_int_equal(usage.sheds.in_hour, count);
    // Exported runs and jobs are known longer than any delivery.
    while (usage_of(fixture).delivery_notes > 0) {
        assert_int_equal(usage_of(fixture).job_notes, 1);
        count += shed(fixture, 1);
    }
    assert_int_equal(count, 20000);
    assert_int_equal(shed(fixture, 10), 1);
    assert_int_equal(shed(fixture, 10), 0);
}

static void sheds_are_counted_by_the_hour(void **state)
{
    struct fixture *fixture = *state;
    struct store_transaction *transaction = begin(fixture, true);
    timestamp_ns hour = NOW - NOW % NS_PER_HOUR;
    store_count_shed(transaction, hour, 5);
    store_count_shed(transaction, hour + NS_PER_HOUR - 1, 6);
    store_count_shed(transaction, hour + NS_PER_HOUR, 7);
    commit(fixture, transaction);
    struct store_sheds sheds = usage_of(fixture).sheds;
    assert_true(sheds.total == 18 && sheds.in_hour == 7 && sheds.in_hour_before == 11);
    transaction = begin(fixture, true);
    store_count_shed(transaction, hour + 5 * NS_PER_HOUR, 1);
    commit(fixture, transaction);
    sheds = usage_of(fixture).sheds;
    assert_true(sheds.total == 19 && sheds.in_hour == 1 && sheds.in_hour_before == 0);
}

// --- what layout 1 of the notes wrote: sums of six kinds ---------------------------------------------------

#define SUMS_OF_SIX_KINDS ((6 + 4) * 8)

// Closes the store, for a change that this version does not make.
static MDB_txn *begin_raw(struct fixture *fixture, MDB_env **env)
{
    MDB_txn *txn;
    store_close(fixture->store);
    assert_int_equal(mdb_env_create(env), 0);
    assert_int_equal(mdb_env_set_maxdbs(*env, 64), 0);
    assert_int_equal(mdb_env_set_mapsize(*env, MAP_BYTES), 0);
    assert_int_equal(mdb_env_open(*env, fixture->folder.path, 0, 0600), 0);
    assert_int_equal(mdb_txn_begin(*env, NULL, 0, &txn), 0);
    return txn;
}

static void cut_sums_of_notes(struct fixture *fixture)
{
    MDB_env *env;
    MDB_txn *txn = begin_raw(fixture, &env);
    MDB_dbi meta;
    MDB_val key = {5, "notes"}, value;
    uint8_t sums[SUMS_OF_SIX_KINDS];
    assert_int_equal(mdb_dbi_open(txn, "meta", 0, &meta), 0);
    assert_int_equal(mdb_get(txn, meta, &key, &value), 0);
    assert_true(value.mv_size > sizeof sums);
    memcpy(sums, value.mv_data, sizeof sums);
    value = (MDB_val){sizeof sums, sums};
    assert_int_equal(mdb_put(txn, meta, &key, &value, 0), 0);
    assert_int_equal(mdb_txn_commit(txn), 0);
    mdb_env_close(env);
}

static void sums_of_an_older_layout_are_kept_and_extended(void **state)
{
    struct fixture *fixture = *state;
    uint8_t payload[STORE_NOTE_SIZE_MAX] = {0};
    for (int i = 0; i < 3; i++) {
        struct store_transaction *transaction = begin(fixture, true);
        const struct store_key key = key_of(UINT64_C(33714470481) + (uint64_t)i, 1);
        for (int kind = STORE_NOTE_JOB;
             kind < (i == 0 ? STORE_NOTE_ASSIGNED_JOB : STORE_NOTE_KINDS); kind++)
            assert_int_equal(store_put_note(transaction,
                                            &(struct store_note_key){(enum store_note)kind, key},
                                            payload, NOW, &fixture->error),
                             ERROR_NONE);
        store_count_shed(transaction, NOW, 1);
        commit(fixture, transaction);
        if (i == 0)
            cut_sums_of_notes(fixture);
        if (i == 0 && store_open(fixture->folder.path, STORE_DAEMON, MAP_BYTES, &fixture->store,
                                 &fixture->error) != ERROR_NONE)
            fail_msg("open: %s", fixture->error.message);
        struct store_usage usage = usage_of(fixture);
        assert_int_equal(usage.job_notes, i + 1);
        assert_int_equal(usage.run_notes, i + 1);
        assert_int_equal(usage.root_notes, i + 1);
        assert_int_equal(usage.sheds.total, i + 1);
    }
}

// --- what format version 1 wrote ---------------------------------------------------------------------------

static void put_old(MDB_txn *txn, MDB_dbi database, timestamp_ns slice, uint64_t number)
{
    uint8_t bytes[24] = {0};
    for (int i = 7, shift = 0; i >= 0; i--, shift += 8)
        bytes[i] = (uint8_t)((uint64_t)slice >> shift);
    memcpy(bytes + 8, &number, sizeof number);
    MDB_val key = {sizeof bytes, bytes}, value = {0, NULL};
    assert_int_equal(mdb_put(txn, database, &key, &value, 0), 0);
}

static void write_old_store(struct fixture *fixture, uint64_t count)
{
    MDB_env *env;
    MDB_txn *txn = begin_raw(fixture, &env);
    MDB_dbi deliveries, meta, notes;
    uint8_t version[4] = {0, 0, 0, 1};
    MDB_val key = {6, "format"}, value = {sizeof version, version};
    assert_int_equal(mdb_dbi_open(txn, "meta", 0, &meta), 0);
    assert_int_equal(mdb_dbi_open(txn, "deliveries", 0, &deliveries), 0);
    assert_int_equal(mdb_dbi_open(txn, "notes", 0, &notes), 0);
    assert_int_equal(mdb_drop(txn, notes, 1), 0);
    assert_int_equal(mdb_put(txn, meta, &key, &value, 0), 0);
    for (uint64_t i = 0; i < count; i++)
        put_old(txn, deliveries, NOW - NOW % NS_PER_HOUR + (timestamp_ns)(i % 3) * NS_PER_HOUR, i);
    assert_int_equal(mdb_txn_commit(txn), 0);
    mdb_env_close(env);
}

static void a_tool_reads_a_store_of_version_1_and_a_daemon_makes_it_version_2(void **state)
{
    struct fixture *fixture = *state;
    write_old_store(fixture, 10);
    assert_int_equal(
        store_open(fixture->folder.path, STORE_TOOL, MAP_BYTES, &fixture->store, &fixture->error),
        ERROR_NONE);
    assert_int_equal(usage_of(fixture).delivery_notes, 10);
    assert_true(oldest(fixture) == NOW - NOW % NS_PER_HOUR);
    for (int i = 0; i < 2; i++) {
        reopen(fixture);
        struct store_delivery known = delivery_of(9, NOW), unknown = delivery_of(10, NOW);
        assert_true(remember(fixture, &known, NOW));
        assert_int_equal(remember(fixture, &unknown, NOW), i == 1);
    }
}

static void deliveries_noted_by_version_1_are_known_until_they_expire(void **state)
{
    struct fixture *fixture = *state;
    write_old_store(fixture, 3000);
    fixture->store = NULL;
    reopen(fixture);
    struct store_transaction *transaction = begin(fixture, true);
    for (uint64_t i = 0; i < 3000; i++) {
        struct store_delivery delivery = delivery_of(i, i % 2 == 0 ? NOW : 0);
        assert_true(remember_in(fixture, transaction, &delivery, NOW));
    }
    store_abort(transaction);
    forget(fixture, NOW + LINGER, 5000);
    assert_int_equal(usage_of(fixture).delivery_notes, 3000);
    forget(fixture, NOW + LINGER + 2 * NS_PER_HOUR, 700);
    assert_int_equal(usage_of(fixture).delivery_notes, 2300);
    size_t count;
    transaction = begin(fixture, true);
    assert_int_equal(store_shed_old_deliveries(transaction, 1000, &count, &fixture->error),
                     ERROR_NONE);
    assert_int_equal(count, 1000);
    commit(fixture, transaction);
    struct store_delivery last = delivery_of(2999, 0);
    assert_true(remember(fixture, &last, NOW + LINGER));
    for (int i = 0; i < 3; i++)
        forget(fixture, NOW + 3 * LINGER, 700);
    assert_int_equal(usage_of(fixture).delivery_notes, 0);
    assert_int_equal(usage_of(fixture).note_bytes, 0);
}

// --- damage ------------------------------------------------------------------------------------------------

// Sets a key in `notes` to a value of a size that no block has.
static void put_raw(struct fixture *fixture, const char *tag, size_t key_len, uint64_t first)
{
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi notes;
    uint8_t bytes[32] = {0};
    uint8_t value[13] = {0};
    MDB_val k = {key_len, bytes}, v = {sizeof value, value};
    bytes[0] = (uint8_t)tag[0];
    for (size_t i = 0; i < 8; i++)
        bytes[1 + i] = (uint8_t)(first >> (56 - 8 * i));
    store_close(fixture->store);
    fixture->store = NULL;
    assert_int_equal(mdb_env_create(&env), 0);
    assert_int_equal(mdb_env_set_maxdbs(env, 64), 0);
    assert_int_equal(mdb_env_set_mapsize(env, MAP_BYTES), 0);
    assert_int_equal(mdb_env_open(env, fixture->folder.path, 0, 0600), 0);
    assert_int_equal(mdb_txn_begin(env, NULL, 0, &txn), 0);
    assert_int_equal(mdb_dbi_open(txn, "notes", 0, &notes), 0);
    assert_int_equal(mdb_put(txn, notes, &k, &v, 0), 0);
    assert_int_equal(mdb_txn_commit(txn), 0);
    mdb_env_close(env);
    reopen(fixture);
}

static void a_damaged_block_is_dropped_and_the_rest_is_used(void **state)
{
    struct fixture *fixture = *state;
    struct store_delivery before = delivery_of(1, NOW), after = delivery_of(2, NOW + NS_PER_SECOND);
    log_configure(LOG_ERROR + 1, LOG_FORMAT_TEXT);
    assert_false(remember(fixture, &before, NOW));
    put_raw(fixture, "g", 25, (uint64_t)(NOW / NS_PER_MS) + 500);
    assert_false(remember(fixture, &after, NOW));
    assert_true(remember(fixture, &before, NOW));
    assert_true(remember(fixture, &after, NOW));
    // Where no lookup reads it, the sweep finds it.
    put_raw(fixture, "u", 25, 17);
    put_raw(fixture, "j", 17, 17);
    put_raw(fixture, "r", 17, UINT64_MAX);
    for (int i = 0; i < 10; i++)
        forget(fixture, NOW, 256);
    assert_true(remember(fixture, &before, NOW));
    for (int i = 0; i < 10; i++)
        forget(fixture, NOW + 2 * LINGER, 256);
    assert_int_equal(usage_of(fixture).note_bytes, 0);
}

// The block before it is in use at that time.
static void a_damaged_block_does_not_affect_its_neighbours(void **state)
{
    struct fixture *fixture = *state;
    log_configure(LOG_ERROR + 1, LOG_FORMAT_TEXT);
    for (int by_sweep = 0; by_sweep < 2; by_sweep++) {
        timestamp_ns start = NOW + by_sweep * NS_PER_DAY;
        struct store_delivery first = delivery_of(1, start);
        assert_false(remember(fixture, &first, start));
        put_raw(fixture, "g", 25, (uint64_t)(start / NS_PER_MS) + 500);
        struct store_transaction *transaction = begin(fixture, true);
        assert_true(remember_in(fixture, transaction, &first, start));
        if (by_sweep == 1) {
            commit(fixture, transaction);
            for (int i = 0; i < 10; i++)
                forget(fixture, start, 256);
            transaction = begin(fixture, true);
        }
        for (uint64_t i = 2; i < 100; i++) {
            struct store_delivery delivery =
                delivery_of(i, start + (timestamp_ns)(i * 13 % 100) * 10 * NS_PER_MS);
            assert_false(remember_in(fixture, transaction, &delivery, start));
        }
        commit(fixture, transaction);
        reopen(fixture);
        for (uint64_t i = 2; i < 100; i++) {
            struct store_delivery delivery =
                delivery_of(i, start + (timestamp_ns)(i * 13 % 100) * 10 * NS_PER_MS);
            if (!remember(fixture, &delivery, start))
                fail_msg("sweep %d: number %d was lost", by_sweep, (int)i);
        }
        assert_int_equal(usage_of(fixture).delivery_notes, 99 * (by_sweep + 1));
    }
}

// A later version may have kinds of its own: they are neither read nor lost.
static void notes_of_an_unknown_kind_are_left_unchanged(void **state)
{
    struct fixture *fixture = *state;
    struct store_delivery delivery = delivery_of(1, NOW);
    assert_false(remember(fixture, &delivery, NOW));
    put_raw(fixture, "a", 9, 1);
    put_raw(fixture, "h", 30, 1);
    put_raw(fixture, "z", 9, 1);
    assert_true(remember(fixture, &delivery, NOW));
    for (int i = 0; i < 10; i++)
        forget(fixture, NOW + 2 * LINGER, 256);
    assert_int_equal(shed(fixture, 10), 0);
    assert_int_equal(usage_of(fixture).delivery_notes, 0);
    assert_true(usage_of(fixture).note_bytes > 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_delivery_is_known_for_linger_and_then_expires),
        TEST(the_oldest_delivery_is_not_one_that_arrived_late),
        TEST(guid_and_body_both_count_and_a_guid_can_be_looked_up_alone),
        TEST(a_guid_with_a_thousand_bodies_is_known),
        TEST(deliveries_of_an_aborted_transaction_are_not_known),
        TEST(notes_are_found_after_linger_was_changed),
        TEST(notes_of_jobs_and_runs_are_distinct_and_keep_their_payload),
        TEST(each_kind_is_kept_for_its_own_time),
        TEST(notes_agree_with_a_naive_model),
        TEST(notes_of_a_clock_that_was_a_year_ahead_expire_in_time),
        TEST(no_note_expires_when_the_clock_is_set_back),
        TEST(no_note_expires_after_the_clock_was_a_year_back_for_a_while),
        TEST(a_delivery_takes_about_twenty_bytes),
        TEST(the_oldest_are_shed_first_in_bounded_pieces_and_counted),
        TEST(sheds_are_counted_by_the_hour),
        TEST(a_tool_reads_a_store_of_version_1_and_a_daemon_makes_it_version_2),
        TEST(sums_of_an_older_layout_are_kept_and_extended),
        TEST(deliveries_noted_by_version_1_are_known_until_they_expire),
        TEST(a_damaged_block_is_dropped_and_the_rest_is_used),
        TEST(a_damaged_block_does_not_affect_its_neighbours),
        TEST(notes_of_an_unknown_kind_are_left_unchanged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
