// What is kept of all troubles for all receivers, and its stored form.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "../../../src/notify/list.h"
#include "ghatrace/base/memory.h"

#define MINUTE NS_PER_MINUTE
#define NOW (1000 * NS_PER_HOUR)
#define POOLS_MAX 1200

static const struct notice_settings settings = {.after = {[NOTICE_DEAD] = 15 * MINUTE,
                                                          [NOTICE_QUEUED] = 15 * MINUTE,
                                                          [NOTICE_CEILING] = 15 * MINUTE},
                                                .hold = 5 * MINUTE};

struct fixture {
    struct notice_list list;
    struct notice_receivers receivers;
    struct arena arena;
    struct pools_view_pool pools[POOLS_MAX];
    struct pools_view_ceiling ceilings[1];
    struct pools_view view;
    struct notice_subjects subjects;
    char names[POOLS_MAX][32];
};

static struct fixture fixture;

static int set_up(void **state)
{
    (void)state;
    memset(&fixture, 0, sizeof fixture);
    arena_init(&fixture.arena, 65536);
    fixture.list.times = (struct notice_times){settings.hold, NOTICE_AGE_MAX};
    fixture.receivers.count = 2;
    fixture.receivers.items[0].id = 7;
    fixture.receivers.items[1].id = UINT64_MAX;
    fixture.view = (struct pools_view){.pools = fixture.pools, .ceilings = fixture.ceilings};
    fixture.subjects.now = NOW;
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    notice_list_release(&fixture.list);
    arena_release(&fixture.arena);
    return 0;
}

// `count` pools whose jobs have waited for so long.
static void set_pools(size_t count, enum pool_state pool_state, duration_ns wait)
{
    fixture.view.count = count;
    for (size_t i = 0; i < count; i++) {
        (void)snprintf(fixture.names[i], sizeof fixture.names[i], "pool-%zu", i);
        fixture.pools[i] = (struct pools_view_pool){.name = slice_from_string(fixture.names[i]),
                                                    .pool.started = {1},
                                                    .state = pool_state,
                                                    .since = fixture.subjects.now - wait,
                                                    .waits.oldest = fixture.subjects.now - wait};
    }
}

static void make_subjects(void)
{
    assert_true(notice_subjects_make(&fixture.view, &settings, TIMESTAMP_UNKNOWN, &fixture.arena,
                                     &fixture.subjects));
}

static void update(void)
{
    make_subjects();
    assert_int_equal(notice_list_update(&fixture.list, &fixture.subjects, &fixture.receivers),
                     ERROR_NONE);
}

static size_t take(uint64_t receiver, size_t max)
{
    return notice_list_take(&fixture.list, receiver, max);
}

static enum notice_presence presence_of(const char *name, enum notice_condition condition)
{
    struct notice_subject_id id = notice_subject_id_of(slice_from_string(name));
    const struct notice_subject *subject = notice_subjects_find(&fixture.subjects, condition, &id);
    return subject != NULL ? subject->presence[condition] : NOTICE_ABSENT;
}

static void a_pool_is_in_trouble_when_its_state_lasts(void **state)
{
    (void)state;
    static const struct {
        enum pool_state state;
        int minutes;
        enum notice_presence dead, queued;
    } cases[] = {
        {POOL_WAITING, 14, NOTICE_ABSENT, NOTICE_ABSENT},
        {POOL_WAITING, 15, NOTICE_ABSENT, NOTICE_PRESENT},
        {POOL_BUSY, 15, NOTICE_ABSENT, NOTICE_PRESENT},
        {POOL_DEAD, 14, NOTICE_ABSENT, NOTICE_ABSENT},
        {POOL_DEAD, 15, NOTICE_PRESENT, NOTICE_LASTING},
        {POOL_CEILING, 60, NOTICE_ABSENT, NOTICE_LASTING}, // never called short of runners
        {POOL_OK, 0, NOTICE_ABSENT, NOTICE_ABSENT},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        set_pools(1, cases[i].state, cases[i].minutes * MINUTE);
        make_subjects();
        assert_int_equal(presence_of("pool-0", NOTICE_DEAD), cases[i].dead);
        assert_int_equal(presence_of("pool-0", NOTICE_QUEUED), cases[i].queued);
    }
}

static void jobs_of_a_pool_wait_long_before_it_is_dead_for_long_enough(void **state)
{
    struct notice_settings patient = settings;
    (void)state;
    patient.after[NOTICE_DEAD] = NS_PER_HOUR;
    for (int minutes = 15; minutes <= 60; minutes += 15) {
        set_pools(1, POOL_DEAD, minutes * MINUTE);
        assert_true(notice_subjects_make(&fixture.view, &patient, TIMESTAMP_UNKNOWN, &fixture.arena,
                                         &fixture.subjects));
        bool is_dead = minutes == 60;
        assert_int_equal(presence_of("pool-0", NOTICE_DEAD),
                         is_dead ? NOTICE_PRESENT : NOTICE_ABSENT);
        assert_int_equal(presence_of("pool-0", NOTICE_QUEUED),
                         is_dead ? NOTICE_LASTING : NOTICE_PRESENT);
    }
}

static void a_ceiling_is_a_trouble_of_its_own_even_with_the_name_of_a_pool(void **state)
{
    (void)state;
    set_pools(1, POOL_OK, 0);
    fixture.ceilings[0] = (struct pools_view_ceiling){
        .name = SLICE("pool-0"), .limit = 60, .running = 60, .since = NOW - 15 * MINUTE};
    fixture.view.ceiling_count = 1;
    make_subjects();
    assert_int_equal(presence_of("pool-0", NOTICE_CEILING), NOTICE_PRESENT);
    assert_int_equal(presence_of("pool-0", NOTICE_QUEUED), NOTICE_ABSENT);
    fixture.ceilings[0].since = TIMESTAMP_UNKNOWN;
    make_subjects();
    assert_int_equal(presence_of("pool-0", NOTICE_CEILING), NOTICE_ABSENT);
}

static void each_receiver_has_one_pending_notice_of_each_trouble(void **state)
{
    (void)state;
    set_pools(3, POOL_DEAD, 20 * MINUTE);
    for (int i = 0; i < 3; i++)
        update();
    assert_int_equal(notice_list_pending(&fixture.list, 7), 3);
    assert_int_equal(notice_list_pending(&fixture.list, UINT64_MAX), 3);
    assert_int_equal(take(7, 2), 2);
    notice_list_settle(&fixture.list, 7, NOTICE_SENT);
    assert_int_equal(fixture.list.sent, 2);
    assert_int_equal(notice_list_pending(&fixture.list, 7), 1);
    assert_int_equal(notice_list_pending(&fixture.list, UINT64_MAX), 3); // has not answered yet
    set_pools(0, POOL_OK, 0); // the pools are no longer known
    update();
    assert_int_equal(fixture.list.cancelled, 4);
    fixture.subjects.now += 6 * MINUTE;
    update();
    assert_int_equal(notice_list_pending(&fixture.list, 7), 2); // the ends
    assert_int_equal(notice_list_pending(&fixture.list, UINT64_MAX), 0);
}

static void long_waits_of_a_pool_that_was_dead_are_reported_with_its_end(void **state)
{
    (void)state;
    fixture.receivers.count = 1;
    set_pools(1, POOL_DEAD, 20 * MINUTE);
    update();
    (void)take(7, 10);
    notice_list_settle(&fixture.list, 7, NOTICE_SENT);
    for (int i = 0; i < 5; i++, fixture.subjects.now += MINUTE) { // within the hold
        set_pools(1, POOL_BUSY, 20 * MINUTE);
        update();
        assert_int_equal(notice_list_pending(&fixture.list, 7), 0);
    }
    update();
    assert_int_equal(notice_list_pending(&fixture.list, 7), 2);
    assert_int_equal(fixture.list.cancelled, 0);
}

static void troubles_beyond_the_limit_are_left_out_and_counted_once(void **state)
{
    (void)state;
    set_pools(POOLS_MAX, POOL_DEAD, 20 * MINUTE);
    fixture.receivers.count = 1;
    update();
    update();
    assert_int_equal(fixture.list.count, NOTICE_LIST_MAX);
    assert_int_equal(fixture.list.dropped[NOTICE_DROP_LIMIT], POOLS_MAX - NOTICE_LIST_MAX);
}

// Anyone who writes a workflow can invent labels for which there is no runner.
static void invented_labels_keep_no_trouble_of_a_real_pool_from_being_sent(void **state)
{
    (void)state;
    fixture.receivers.count = 1;
    set_pools(POOLS_MAX, POOL_DEAD, 20 * MINUTE);
    for (size_t i = 0; i < POOLS_MAX; i++)
        fixture.pools[i].pool.started[0] = 0;
    update();
    assert_int_equal(fixture.list.count, NOTICE_UNPROVEN_MAX);
    for (size_t i = 0; i < 600; i++)
        fixture.pools[i].pool.started[i % POOL_DAYS] = 1;
    fixture.pools[600].running = fixture.pools[601].recent.busy_max_week = 1;
    fixture.pools[602].pool.is_rule = true;
    update();
    for (size_t i = 0; i < 603; i++) {
        bool is_found = false;
        struct notice_subject_id id = notice_subject_id_of(fixture.pools[i].name);
        for (size_t k = 0; k < fixture.list.count && !is_found; k++)
            is_found = memcmp(&fixture.list.notices[k].key.subject, &id, sizeof id) == 0;
        assert_true(is_found);
    }
    assert_in_range(fixture.list.count, 603, 603 + NOTICE_UNPROVEN_MAX);
}

// --- the stored form ------------------------------------------------------------------------------

static void copy_to(struct notice_list *other, bool is_stored)
{
    struct store_entry entries[64];
    size_t count;
    assert_true(notice_list_changes(&fixture.list, &fixture.arena, entries, 64, &count));
    for (size_t i = 0; i < count; i++)
        if (entries[i].value.len > 0)
            assert_int_equal(notice_list_load(other, entries[i]), ERROR_NONE);
    notice_list_stored(&fixture.list, is_stored);
}

static void assert_same_list(const struct notice_list *a, const struct notice_list *b)
{
    assert_int_equal(a->count, b->count);
    for (size_t i = 0; i < a->count; i++) {
        const struct notice *x = &a->notices[i], *y = &b->notices[i];
        assert_memory_equal(&x->key.subject, &y->key.subject, sizeof x->key.subject);
        assert_true(x->key.receiver == y->key.receiver && x->key.condition == y->key.condition);
        assert_int_equal(x->state.phase, y->state.phase);
        assert_int_equal(x->state.refusals, y->state.refusals);
        assert_int_equal(x->state.began_at, y->state.began_at);
        assert_int_equal(x->state.ended_at, y->state.ended_at);
        assert_int_equal(x->state.due_at, y->state.due_at);
        assert_int_equal(x->name_len, y->name_len);
        assert_memory_equal(x->name, y->name, x->name_len);
    }
}

static void what_is_stored_is_read_back_in_every_phase(void **state)
{
    (void)state;
    static const duration_ns waits[] = {20 * MINUTE, 20 * MINUTE, 0, 0, 0};
    for (size_t i = 0; i < sizeof waits / sizeof waits[0];
         i++, fixture.subjects.now += 6 * MINUTE) {
        struct notice_list other = {.count = 0};
        set_pools(3, waits[i] > 0 ? POOL_DEAD : POOL_OK, waits[i]);
        update();
        for (size_t k = 0; k < fixture.list.count; k++)
            fixture.list.notices[k].changes++; // so that all are stored again
        copy_to(&other, true);
        assert_same_list(&fixture.list, &other);
        if (i == 0) {
            (void)take(7, 10);
            notice_list_settle(&fixture.list, 7, NOTICE_SENT);
            (void)take(UINT64_MAX, 1);
            notice_list_settle(&fixture.list, UINT64_MAX, NOTICE_NOT_TAKEN);
        }
        notice_list_release(&other);
    }
    assert_int_equal(notice_list_pending(&fixture.list, 7), 3);
}

static void what_was_in_flight_is_known_after_a_crash(void **state)
{
    struct notice_list other = {.count = 0};
    struct store_entry entries[4];
    const struct notice *taken[NOTICE_LIST_MAX];
    size_t count;
    (void)state;
    set_pools(1, POOL_DEAD, 20 * MINUTE);
    fixture.receivers.count = 1;
    update();
    assert_int_equal(take(7, 1), 1);
    assert_false(notice_list_may_send(&fixture.list, 7)); // before that is stored
    assert_true(notice_list_changes(&fixture.list, &fixture.arena, entries, 4, &count));
    notice_list_stored(&fixture.list, true);
    assert_true(notice_list_may_send(&fixture.list, 7));
    assert_int_equal(notice_list_in_flight(&fixture.list, 7, taken), 1);
    assert_int_equal(notice_list_load(&other, entries[0]), ERROR_NONE);
    assert_true(other.notices[0].state.is_unsure && !other.notices[0].state.is_in_flight);
    notice_list_release(&other);
    // The same where the receivers are replaced.
    notice_list_keep(&fixture.list, &fixture.receivers);
    assert_true(fixture.list.notices[0].state.is_unsure);
    assert_int_equal(take(7, 1), 1);
}

static void changes_are_given_until_they_are_stored(void **state)
{
    struct store_entry entries[8];
    size_t count;
    (void)state;
    set_pools(1, POOL_DEAD, 20 * MINUTE);
    fixture.receivers.count = 1;
    update();
    assert_true(notice_list_changes(&fixture.list, &fixture.arena, entries, 8, &count));
    assert_int_equal(count, 1);
    notice_list_stored(&fixture.list, false);
    assert_true(notice_list_changes(&fixture.list, &fixture.arena, entries, 8, &count));
    assert_int_equal(count, 1);
    // It changes while it is being stored.
    assert_int_equal(take(7, 1), 1);
    notice_list_settle(&fixture.list, 7, NOTICE_SENT);
    notice_list_stored(&fixture.list, true);
    assert_true(notice_list_changes(&fixture.list, &fixture.arena, entries, 8, &count));
    assert_int_equal(count, 1);
    notice_list_stored(&fixture.list, true);
    assert_true(notice_list_changes(&fixture.list, &fixture.arena, entries, 8, &count));
    assert_int_equal(count, 0);
    // One that is over stays until its entry is deleted.
    fixture.receivers.items[0].id = 8;
    notice_list_keep(&fixture.list, &fixture.receivers);
    assert_int_equal(fixture.list.count, 1);
    assert_true(notice_list_changes(&fixture.list, &fixture.arena, entries, 8, &count));
    assert_int_equal(count, 1);
    assert_int_equal(entries[0].value.len, 0);
    notice_list_stored(&fixture.list, true);
    assert_int_equal(fixture.list.count, 0);
}

static void entries_that_cannot_be_read_are_ignored(void **state)
{
    struct store_entry entries[8];
    size_t count;
    char value[64];
    struct notice_list other = {.count = 0};
    (void)state;
    set_pools(1, POOL_DEAD, 20 * MINUTE);
    fixture.receivers.count = 1;
    update();
    assert_true(notice_list_changes(&fixture.list, &fixture.arena, entries, 8, &count));
    const struct store_entry good = entries[0];
    memcpy(value, good.value.data, good.value.len);
    for (size_t len = 0; len < good.value.len - strlen("pool-0"); len++) {
        const struct store_entry cut = {good.key, {value, len}};
        assert_int_equal(notice_list_load(&other, cut), ERROR_NONE);
    }
    for (size_t at = 0; at < 2; at++) {
        value[at] ^= 0x55;
        assert_int_equal(
            notice_list_load(&other, (struct store_entry){good.key, {value, good.value.len}}),
            ERROR_NONE);
        value[at] ^= 0x55;
    }
    for (size_t len = 0; len < good.key.len; len++)
        assert_int_equal(
            notice_list_load(&other, (struct store_entry){{good.key.data, len}, good.value}),
            ERROR_NONE);
    assert_int_equal(other.count, 0);
    assert_int_equal(notice_list_load(&other, good), ERROR_NONE);
    assert_int_equal(other.count, 1);
    notice_list_release(&other);
}

static void a_lack_of_memory_is_reported_and_changes_nothing_that_is_there(void **state)
{
    (void)state;
    set_pools(40, POOL_DEAD, 20 * MINUTE);
    make_subjects();
    for (long skip = 0; skip < 100; skip++) {
        memory_fail_after(skip);
        enum error_code code =
            notice_list_update(&fixture.list, &fixture.subjects, &fixture.receivers);
        memory_fail_after(-1);
        if (code == ERROR_NONE)
            break;
        assert_int_equal(code, ERROR_MEMORY);
    }
    assert_int_equal(fixture.list.count, 80);
    assert_int_equal(notice_list_pending(&fixture.list, 7), 40);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_pool_is_in_trouble_when_its_state_lasts),
        TEST(jobs_of_a_pool_wait_long_before_it_is_dead_for_long_enough),
        TEST(a_ceiling_is_a_trouble_of_its_own_even_with_the_name_of_a_pool),
        TEST(each_receiver_has_one_pending_notice_of_each_trouble),
        TEST(long_waits_of_a_pool_that_was_dead_are_reported_with_its_end),
        TEST(troubles_beyond_the_limit_are_left_out_and_counted_once),
        TEST(invented_labels_keep_no_trouble_of_a_real_pool_from_being_sent),
        TEST(what_is_stored_is_read_back_in_every_phase),
        TEST(what_was_in_flight_is_known_after_a_crash),
        TEST(changes_are_given_until_they_are_stored),
        TEST(entries_that_cannot_be_read_are_ignored),
        TEST(a_lack_of_memory_is_reported_and_changes_nothing_that_is_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
