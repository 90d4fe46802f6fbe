// The list of incidents of pools that are over.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "ghatrace/view/pools_past.h"

#define BEGIN ((timestamp_ns)1788409017 * NS_PER_SECOND)
#define AT(seconds) (BEGIN + (timestamp_ns)(seconds)*NS_PER_SECOND)
#define CONFIRM NS_PER_MINUTE

static struct past_list list;
#define MANY 130
static struct pools_view_pool pools[MANY];

static int start(void **state)
{
    (void)state;
    memset(&list, 0, sizeof list);
    memset(pools, 0, sizeof pools);
    return 0;
}

// A pool with jobs queued since `since`, in which jobs have run.
static struct pools_view_pool make_past_pool(const char *name, enum pool_state state, int since,
                                             unsigned queued)
{
    return (struct pools_view_pool){.name = slice_from_string(name),
                                    .state = state,
                                    .since = state == POOL_OK ? TIMESTAMP_UNKNOWN : AT(since),
                                    .waits.oldest =
                                        state == POOL_OK ? TIMESTAMP_UNKNOWN : AT(since),
                                    .pool.counts[OPEN_JOB_QUEUED] = queued,
                                    .recent.busy_max_week = 3};
}

static void look_at(const struct pools_view_pool *items, size_t count, int seconds)
{
    struct pools_view view = {.count = count};
    static struct pools_view_pool copies[MANY];
    memcpy(copies, items, count * sizeof *items);
    view.pools = copies;
    past_update(&list, &view, CONFIRM, AT(seconds));
}

// One pool in a state, looked at four times a minute from one second to another.
static void live_through(const char *name, enum pool_state state, int from, int until)
{
    for (int second = from; second < until; second += 15) {
        pools[0] = make_past_pool(name, state, from, state == POOL_OK ? 0 : 7);
        look_at(pools, 1, second);
    }
}

static size_t ended(const struct past_incident *sorted[PAST_MAX], int seconds)
{
    return past_sort(&list, SLICE_EMPTY, AT(seconds), sorted);
}

static void an_incident_has_its_begin_end_most_jobs_and_longest_wait(void **state)
{
    const struct past_incident *sorted[PAST_MAX];
    (void)state;
    live_through("gpu", POOL_DEAD, 0, 3600);
    assert_int_equal(ended(sorted, 3600), 0);
    pools[0] = make_past_pool("gpu", POOL_DEAD, 0, 16);
    look_at(pools, 1, 3600);
    pools[0] = make_past_pool("gpu", POOL_OK, 0, 0);
    look_at(pools, 1, 3615);
    assert_int_equal(ended(sorted, 3615), 1);
    assert_true(slice_equals(past_name(sorted[0]), SLICE("gpu")));
    assert_int_equal(sorted[0]->state, POOL_DEAD);
    assert_int_equal(sorted[0]->from, AT(0));
    assert_int_equal(sorted[0]->until, AT(3615));
    assert_int_equal(sorted[0]->queued, 16);
    assert_int_equal(sorted[0]->wait, 3600 * NS_PER_SECOND);
    assert_int_equal(sorted[0]->times, 1);
}

static void a_busy_pool_whose_jobs_wait_for_minutes_has_no_incident(void **state)
{
    const struct past_incident *sorted[PAST_MAX];
    (void)state;
    live_through("gpu", POOL_BUSY, 0, 590);
    live_through("gpu", POOL_OK, 600, 630);
    assert_int_equal(ended(sorted, 630), 0);
    live_through("gpu", POOL_BUSY, 1000, 1000 + 700);
    live_through("gpu", POOL_OK, 1700, 1730);
    assert_int_equal(ended(sorted, 1730), 1);
    assert_int_equal(sorted[0]->from, AT(1000));
}

// As of deliveries in bulk: a job is queued for hours, until its end arrives some seconds later.
static void what_is_seen_for_less_than_the_time_of_confirmation_is_none(void **state)
{
    const struct past_incident *sorted[PAST_MAX];
    (void)state;
    pools[0] = make_past_pool("gpu", POOL_DEAD, -7200, 500);
    for (int second = 0; second <= 45; second += 15)
        look_at(pools, 1, second);
    live_through("gpu", POOL_OK, 60, 75);
    assert_int_equal(ended(sorted, 75), 0);
    assert_int_equal(list.count, 0);
}

static void trouble_soon_after_the_end_goes_on_with_the_same_incident(void **state)
{
    const struct past_incident *sorted[PAST_MAX];
    (void)state;
    for (int round = 0; round < 100; round++) {
        live_through("flaps", POOL_DEAD, round * 600, round * 600 + 300);
        live_through("flaps", POOL_OK, round * 600 + 300, round * 600 + 600);
    }
    assert_int_equal(ended(sorted, 60000), 1);
    assert_int_equal(sorted[0]->times, 100);
    assert_int_equal(sorted[0]->from, AT(0));
    assert_int_equal(sorted[0]->until, AT(99 * 600 + 300));
}

static void a_pool_does_not_push_out_those_of_others(void **state)
{
    const struct past_incident *sorted[PAST_MAX];
    (void)state;
    live_through("other", POOL_DEAD, 0, 300);
    live_through("other", POOL_OK, 300, 315);
    for (int round = 1; round < 200; round++) {
        live_through("often", POOL_DEAD, round * 1200, round * 1200 + 300);
        live_through("often", POOL_OK, round * 1200 + 300, round * 1200 + 315);
    }
    size_t count = ended(sorted, 200 * 1200);
    assert_int_equal(count, PAST_POOL_MAX + 1);
    assert_int_equal(sorted[0]->from, AT(199 * 1200));
    assert_true(slice_equals(past_name(sorted[count - 1]), SLICE("other")));
}

static void invented_names_take_a_small_part_of_the_list(void **state)
{
    const struct past_incident *sorted[PAST_MAX];
    static struct pools_view_pool many[2000];
    static char names[2000][16];
    (void)state;
    live_through("real", POOL_DEAD, 0, 300);
    live_through("real", POOL_OK, 300, 315);
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < 2000; i++) {
            (void)snprintf(names[i], sizeof names[i], "made-%d-%zu", round, i);
            many[i] = make_past_pool(names[i], POOL_DEAD, 1000, 1);
            many[i].recent.busy_max_week = 0;
        }
        for (int second = 0; second < 120; second += 15)
            past_update(&list, &(struct pools_view){.pools = many, .count = 2000}, CONFIRM,
                        AT(2000 + 200 * round + second));
        past_update(&list, &(struct pools_view){.count = 0}, CONFIRM, AT(2150 + 200 * round));
    }
    size_t count = ended(sorted, 3000);
    assert_int_equal(count, PAST_UNPROVEN_MAX + 1);
    assert_true(slice_equals(past_name(sorted[count - 1]), SLICE("real")));
}

static void store_and_read(void)
{
    static struct past_list read;
    struct buffer stored;
    buffer_init(&stored, PAST_TEXT_MAX);
    assert_int_equal(past_write(&list, &stored), ERROR_NONE);
    past_read(buffer_slice(&stored), &read);
    assert_int_equal(read.count, list.count);
    for (size_t i = 0; i < list.count; i++)
        assert_memory_equal(&read.items[i], &list.items[i], sizeof list.items[i]);
    for (size_t len = 0; len < stored.len; len++) // cut anywhere
        past_read((struct slice){(const char *)stored.data, len}, &list);
    list = read;
    buffer_release(&stored);
}

static void an_incident_goes_on_after_a_restart_or_ends_when_it_was_seen_last(void **state)
{
    const struct past_incident *sorted[PAST_MAX];
    (void)state;
    live_through("goes on", POOL_DEAD, 0, 300);
    store_and_read();
    live_through("goes on", POOL_DEAD, 20000, 20100);
    live_through("goes on", POOL_OK, 20100, 20115);
    assert_int_equal(ended(sorted, 20115), 1);
    assert_int_equal(sorted[0]->from, AT(0));
    assert_int_equal(sorted[0]->until, AT(20100));
    assert_int_equal(sorted[0]->times, 1);
    live_through("over", POOL_DEAD, 30000, 30300); // the last look is at 30285
    store_and_read();
    live_through("over", POOL_OK, 50000, 50015);
    assert_int_equal(ended(sorted, 50015), 2);
    assert_int_equal(sorted[0]->until, AT(30285));
}

static void incidents_are_forgotten_after_35_days(void **state)
{
    const struct past_incident *sorted[PAST_MAX];
    (void)state;
    live_through("gpu", POOL_DEAD, 0, 300);
    live_through("gpu", POOL_OK, 300, 315);
    assert_int_equal(ended(sorted, 300 + 35 * 86400), 1);
    assert_int_equal(ended(sorted, 301 + 35 * 86400), 0);
    live_through("gpu", POOL_OK, 301 + 35 * 86400, 302 + 35 * 86400);
    assert_int_equal(list.count, 0);
}

// It is a write to the disk.
static void the_list_is_stored_when_it_changes_and_each_five_minutes_of_an_incident(void **state)
{
    unsigned writes = 0;
    (void)state;
    list.stored_at = AT(0);
    for (int second = 0; second < 3600; second += 15) {
        pools[0] = make_past_pool("gpu", second < 1800 ? POOL_DEAD : POOL_OK, 0, 7);
        look_at(pools, 1, second);
        if (list.stored_at == 0) {
            list.stored_at = AT(second);
            writes++;
        }
    }
    assert_in_range(writes, 2, 8);
}

static void expect_law(int seconds)
{
    assert_in_range(list.count, 0, PAST_MAX);
    for (size_t i = 0; i < list.count; i++) {
        const struct past_incident *a = &list.items[i];
        timestamp_ns a_end = a->until == TIMESTAMP_UNKNOWN ? AT(seconds) : a->until;
        assert_true(a->from <= a_end || a->until == TIMESTAMP_UNKNOWN);
        for (size_t k = i + 1; k < list.count; k++) {
            const struct past_incident *b = &list.items[k];
            if (!slice_equals(past_name(a), past_name(b)))
                continue;
            timestamp_ns b_end = b->until == TIMESTAMP_UNKNOWN ? AT(seconds) : b->until;
            assert_true(a->until != TIMESTAMP_UNKNOWN || b->until != TIMESTAMP_UNKNOWN);
            assert_true(a->from < b->from ? a_end <= b->from : b_end <= a->from);
        }
    }
}

// Also with begins in the past and in the future, gaps, and a clock that goes back.
static void incidents_of_one_pool_never_overlap_whatever_is_seen(void **state)
{
    static const char *const names[] = {"a", "b", "c", "d"};
    int second = 0;
    (void)state;
    srand(16);
    for (int step = 0; step < 40000; step++) {
        int leap = rand() % 100;
        second += leap == 0 ? rand() % 20000 : leap == 1 ? -(rand() % 3000) : rand() % 200;
        for (size_t i = 0; i < 4; i++)
            if (step == 0 || rand() % 8 == 0)
                pools[i] = make_past_pool(names[i], (enum pool_state)(rand() % POOL_STATES),
                                          second - 4000 + rand() % 4500, 1);
        look_at(pools, (size_t)(rand() % 10 == 0 ? rand() % 5 : 4), second);
        expect_law(second);
    }
}

static void many_pools_in_trouble_for_one_look_leave_the_list_as_it_is(void **state)
{
    const struct past_incident *sorted[PAST_MAX];
    static char names[MANY][8];
    (void)state;
    live_through("gpu", POOL_DEAD, 0, 3600);
    look_at(pools, 0, 3600);
    for (int i = 0; i < MANY; i++) {
        (void)snprintf(names[i], sizeof names[i], "p%d", i);
        pools[i] = make_past_pool(names[i], POOL_DEAD, 5000, 1);
    }
    look_at(pools, MANY, 8000);
    look_at(pools, 0, 8015);
    assert_int_equal(ended(sorted, 8015), 1);
    assert_true(slice_equals(past_name(sorted[0]), SLICE("gpu")));
}

static void trouble_that_began_before_an_incident_ended_long_ago_is_another_one(void **state)
{
    const struct past_incident *sorted[PAST_MAX];
    const int later = 20 * 86400;
    (void)state;
    live_through("gpu", POOL_DEAD, 0, 3600);
    look_at(pools, 0, 3600);
    pools[0] = make_past_pool("gpu", POOL_DEAD, 1800, 1);
    for (int second = later; second <= later + 120; second += 15)
        look_at(pools, 1, second);
    look_at(pools, 0, later + 135);
    assert_int_equal(ended(sorted, later + 135), 2);
    assert_int_equal(sorted[0]->from, AT(later));
    assert_int_equal(sorted[1]->until, AT(3600));
}

static struct past_incident *put_incident(const char *name, bool is_proven, int from, int until)
{
    struct past_incident *incident = &list.items[list.count++];
    *incident = (struct past_incident){.name_len = strlen(name),
                                       .state = POOL_DEAD,
                                       .is_proven = is_proven,
                                       .is_confirmed = true,
                                       .times = 1,
                                       .from = AT(from),
                                       .until = AT(until)};
    memcpy(incident->name, name, strlen(name));
    return incident;
}

// Its pool's share is full, and that of pools in which no job has run.
static void an_incident_that_takes_the_room_of_two_takes_no_other(void **state)
{
    struct past_incident *fresh;
    (void)state;
    for (int i = 0; i < PAST_UNPROVEN_MAX; i++)
        put_incident("other", false, 1000 * i, 1000 * i + 500);
    for (int i = 0; i < PAST_POOL_MAX; i++)
        put_incident("gpu", true, 1000 * i, 1000 * i + 500);
    fresh = put_incident("brief", true, 30000, 0);
    fresh->until =
        TIMESTAMP_UNKNOWN; // the last in the list: its place is left when others take theirs
    fresh->is_confirmed = false;
    fresh->seen_at = AT(30000);
    fresh = put_incident("gpu", false, 40000, 0);
    fresh->until = TIMESTAMP_UNKNOWN;
    fresh->is_confirmed = false;
    fresh->first_seen = AT(40000);
    pools[0] = make_past_pool("gpu", POOL_DEAD, 40000, 7);
    pools[0].recent.busy_max_week = 0;
    look_at(pools, 1, 40100);
    // Without the two that ended first, and the brief one.
    assert_int_equal(list.count, PAST_UNPROVEN_MAX + PAST_POOL_MAX - 1);
}

#define TEST(name) cmocka_unit_test_setup(name, start)
int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_incident_has_its_begin_end_most_jobs_and_longest_wait),
        TEST(a_busy_pool_whose_jobs_wait_for_minutes_has_no_incident),
        TEST(what_is_seen_for_less_than_the_time_of_confirmation_is_none),
        TEST(trouble_soon_after_the_end_goes_on_with_the_same_incident),
        TEST(a_pool_does_not_push_out_those_of_others),
        TEST(invented_names_take_a_small_part_of_the_list),
        TEST(an_incident_goes_on_after_a_restart_or_ends_when_it_was_seen_last),
        TEST(incidents_are_forgotten_after_35_days),
        TEST(the_list_is_stored_when_it_changes_and_each_five_minutes_of_an_incident),
        TEST(incidents_of_one_pool_never_overlap_whatever_is_seen),
        TEST(many_pools_in_trouble_for_one_look_leave_the_list_as_it_is),
        TEST(trouble_that_began_before_an_incident_ended_long_ago_is_another_one),
        TEST(an_incident_that_takes_the_room_of_two_takes_no_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
