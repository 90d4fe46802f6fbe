// Queue times of each pool by the slot in which their jobs started.
#include "world.h"

static int set_up(void **state)
{
    struct world *world = test_calloc(1, sizeof *world);
    world_open(world, 0);
    world->now -= world->now % LATENCY_SLOT; // a slot begins
    world->now += 100 * NS_PER_HOUR;
    *state = world;
    return 0;
}

static void count(struct world *world, const char *labels, duration_ns queue, timestamp_ns start)
{
    const struct job_sample measure = {.runner_labels = slice_from_string(labels),
                                       .queue = {true, queue},
                                       .execution = {true, NS_PER_SECOND},
                                       .queue_end = start};
    world_begin(world);
    must(world,
         latency_count_job(world->stats, &measure, &(struct latency_wait){0}, &world->error));
    world_commit(world);
}

static uint64_t rows(struct world *world)
{
    return world_count_rows(world, STORE_TABLE_LATENCY);
}

static void slots_of_an_interval_are_added_up_per_pool(void **state)
{
    struct world *world = *state;
    timestamp_ns now = world->now;
    count(world, "linux", 3 * NS_PER_SECOND, now - 10 * NS_PER_MINUTE);
    count(world, "linux", 5 * NS_PER_SECOND, now - 10 * NS_PER_MINUTE + 1);
    count(world, "linux", 9 * NS_PER_SECOND, now - 4 * NS_PER_MINUTE);
    count(world, "windows", 600 * NS_PER_SECOND, now - 4 * NS_PER_MINUTE);
    assert_int_equal(rows(world), 3);
    struct histogram linux_hour = world_read_latencies(world, "linux", now - NS_PER_HOUR, now);
    assert_int_equal(linux_hour.count, 3);
    assert_int_equal(linux_hour.max, 9 * NS_PER_SECOND);
    assert_int_equal(histogram_percentile(&linux_hour, 50), 5 * NS_PER_SECOND);
    assert_int_equal(world_read_latencies(world, "linux", now - 5 * NS_PER_MINUTE, now).count, 1);
    assert_int_equal(
        world_read_latencies(world, "linux", now - 10 * NS_PER_MINUTE, now - 5 * NS_PER_MINUTE)
            .count,
        2);
    assert_int_equal(
        world_read_latencies(world, "linux", now - NS_PER_HOUR, now - 10 * NS_PER_MINUTE).count, 0);
    assert_int_equal(world_read_latencies(world, "windows", now - NS_PER_HOUR, now).max,
                     600 * NS_PER_SECOND);
}

static void jobs_without_a_start_or_a_queue_are_not_counted(void **state)
{
    struct world *world = *state;
    struct job_sample never_ran = {.queue = {true, NS_PER_SECOND}, .queue_end = world->now};
    struct job_sample unknown = {.execution = {true, NS_PER_SECOND}};
    world_begin(world);
    must(world,
         latency_count_job(world->stats, &never_ran, &(struct latency_wait){0}, &world->error));
    must(world,
         latency_count_job(world->stats, &unknown, &(struct latency_wait){0}, &world->error));
    world_commit(world);
    assert_int_equal(rows(world), 0);
}

static void a_start_in_the_future_counts_as_now_and_an_expired_one_is_not_counted(void **state)
{
    struct world *world = *state;
    count(world, "linux", NS_PER_SECOND, world->now + 365 * NS_PER_DAY);
    count(world, "linux", NS_PER_SECOND, world->now - LATENCY_KEPT - LATENCY_SLOT);
    assert_int_equal(rows(world), 1);
    assert_int_equal(
        world_read_latencies(world, "linux", world->now, world->now + LATENCY_SLOT).count, 1);
}

static void expired_slots_are_dropped_a_piece_at_a_time(void **state)
{
    struct world *world = *state;
    size_t dropped;
    for (int i = 0; i < 6; i++) {
        count(world, "linux", NS_PER_SECOND, world->now);
        world->now += LATENCY_SLOT;
    }
    assert_int_equal(rows(world), 6);
    world->now += LATENCY_KEPT - 2 * LATENCY_SLOT; // the fifth began just as long ago as is kept
    world_begin(world);
    must(world, latency_expire(world->transaction, world->now, 1, &dropped, &world->error));
    assert_int_equal(dropped, 1);
    must(world, latency_expire(world->transaction, world->now, 10, &dropped, &world->error));
    assert_int_equal(dropped, 3);
    world_commit(world);
    assert_int_equal(rows(world), 2);
}

static void slots_of_a_clock_that_was_ahead_are_dropped_too(void **state)
{
    struct world *world = *state;
    size_t dropped;
    count(world, "linux", NS_PER_SECOND, world->now);
    world->now += 365 * NS_PER_DAY;
    count(world, "linux", NS_PER_SECOND, world->now);
    world->now -= 365 * NS_PER_DAY;
    world_begin(world);
    must(world, latency_expire(world->transaction, world->now, 10, &dropped, &world->error));
    assert_int_equal(dropped, 1);
    world_commit(world);
    assert_int_equal(world_read_latencies(world, "linux", 0, INT64_MAX).count, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, world_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(slots_of_an_interval_are_added_up_per_pool),
        TEST(jobs_without_a_start_or_a_queue_are_not_counted),
        TEST(a_start_in_the_future_counts_as_now_and_an_expired_one_is_not_counted),
        TEST(expired_slots_are_dropped_a_piece_at_a_time),
        TEST(slots_of_a_clock_that_was_ahead_are_dropped_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
