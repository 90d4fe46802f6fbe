// Minutes of pools become hours, which keep the most, the means and the waits.
#include "world.h"

#include "ghatrace/stats/pool_history.h"
#include "ghatrace/stats/pool_minutes.h"

static timestamp_ns minutes_from(timestamp_ns start, int minutes)
{
    return start + minutes * NS_PER_MINUTE;
}

// Three jobs run at once for ten minutes, each after five minutes in the queue.
static timestamp_ns play(struct world *world)
{
    static const struct job_times none;
    static const struct store_key key;
    timestamp_ns start = world->now - world->now % NS_PER_HOUR;
    world->now = start + NS_PER_HOUR;
    world_begin(world);
    for (int i = 0; i < 3; i++) {
        struct job_times times = {minutes_from(start, 10 + i),
                                  minutes_from(start, 15 + i),
                                  minutes_from(start, 25 + i),
                                  SLICE("linux"),
                                  SLICE(""),
                                  false};
        must(world, pool_minutes_change(world->stats, &key, &none, &times, &world->error));
    }
    world_commit(world);
    return start;
}

static uint64_t expire(struct world *world, duration_ns later)
{
    bool has_more;
    world->now += later;
    world_begin(world);
    must(world, pool_minutes_expire(world->stats, 64, 1000, &has_more, &world->error));
    world_commit(world);
    assert_false(has_more);
    return world_count_rows(world, STORE_TABLE_POOL_MINUTES);
}

static struct pool_reader reader_of(struct world *world, struct pool *pool)
{
    struct pool_id id = pool_make_id(SLICE("linux"));
    must(world, pool_seek(world->transaction, &id, pool, &world->error));
    return (struct pool_reader){
        .transaction = world->transaction, .pool = pool, .now = world->now, .error = &world->error};
}

static struct pool_recent recent(struct world *world)
{
    struct pool pool;
    struct pool_recent found;
    uint64_t budget = 10000;
    world_read(world);
    const struct pool_reader reader = reader_of(world, &pool);
    must(world, pool_recent_read(&reader, &budget, &found));
    world_end(world);
    assert_true(found.is_known);
    return found;
}

static uint64_t busiest(struct world *world)
{
    return recent(world).busy_max_week;
}

static void an_hour_is_made_of_its_minutes_when_they_expire(void **state)
{
    struct world *world = *state;
    static const uint8_t figures[] = {
        3, 3, 3, 3, 900 % 128 + 128, 900 / 128, 1800 % 128 + 128, 1800 / 128};
    timestamp_ns start = play(world);
    assert_int_equal(expire(world, 24 * NS_PER_HOUR), 9);
    assert_int_equal(busiest(world), 3);
    assert_int_equal(expire(world, NS_PER_HOUR), 0);
    assert_int_equal(busiest(world), 3);
    struct store_entry entry;
    world_read(world);
    must(world, store_table_seek(world->transaction, STORE_TABLE_POOL_HOURS, SLICE_EMPTY, &entry,
                                 &world->error));
    assert_int_equal(entry.key.len, POOL_ID_SIZE + 8);
    assert_memory_equal(entry.value.data, figures, sizeof figures);
    uint64_t hour = 0;
    for (int i = 0; i < 8; i++)
        hour = hour << 8 | (uint8_t)entry.key.data[POOL_ID_SIZE + i];
    assert_int_equal(hour, start);
    world_end(world);
    world->now += 7 * NS_PER_DAY;
    assert_int_equal(busiest(world), 0);
}

// Two jobs run into the next hour, in which another waits and runs.
static void an_hour_ends_with_the_jobs_of_the_next(void **state)
{
    struct world *world = *state;
    static const struct job_times none;
    static const struct store_key key;
    static const uint8_t figures[] = {2, 2, 0, 2, 0, 3600 % 128 + 128, 3600 / 128};
    timestamp_ns start = world->now - world->now % NS_PER_HOUR;
    struct store_entry entry;
    world->now = start + 2 * NS_PER_HOUR;
    world_begin(world);
    for (int i = 0; i < 3; i++) {
        struct job_times times = {minutes_from(start, i < 2 ? 30 : 70),
                                  minutes_from(start, i < 2 ? 30 : 80),
                                  minutes_from(start, 90),
                                  SLICE("linux"),
                                  SLICE(""),
                                  false};
        must(world, pool_minutes_change(world->stats, &key, &none, &times, &world->error));
    }
    world_commit(world);
    assert_int_equal(expire(world, 24 * NS_PER_HOUR), 3);
    world_read(world);
    must(world, store_table_seek(world->transaction, STORE_TABLE_POOL_HOURS, SLICE_EMPTY, &entry,
                                 &world->error));
    assert_memory_equal(entry.value.data, figures, sizeof figures);
    world_end(world);
}

static void the_busiest_of_the_week_includes_minutes_that_are_older_than_a_day(void **state)
{
    struct world *world = *state;
    play(world);
    assert_int_equal(recent(world).busy_max_day, 3);
    for (int i = 0; i < 30; i++) {
        expire(world, NS_PER_HOUR);
        assert_int_equal(recent(world).busy_max_week, 3);
    }
    assert_int_equal(recent(world).busy_max_day, 0);
    assert_int_equal(recent(world).last_start, TIMESTAMP_UNKNOWN);
}

// As by a clock of ours that is slow.
static void what_has_yet_to_happen_is_in_no_minute_up_to_now(void **state)
{
    struct world *world = *state;
    static const struct job_times none;
    static const struct store_key key;
    timestamp_ns now = world->now - world->now % NS_PER_MINUTE + NS_PER_SECOND;
    struct job_times times = {
        now, minutes_from(now, 10), minutes_from(now, 20), SLICE("linux"), SLICE(""), false};
    const struct pool_history_slots slots = {minutes_from(now - NS_PER_SECOND, -2), NS_PER_MINUTE,
                                             3};
    struct pool pool;
    struct pool_history history;
    world->now = now;
    world_begin(world);
    must(world, pool_minutes_change(world->stats, &key, &none, &times, &world->error));
    world_commit(world);
    world_read(world);
    const struct pool_reader reader = reader_of(world, &pool);
    must(world, pool_history_read(&reader, &slots, &world->arena, &history));
    assert_int_equal(history.slots[2].queued_max, 1);
    assert_int_equal(history.slots[2].running_max, 0);
    assert_int_equal(history.slots[1].queued_max, 0);
    world_end(world);
}

static void changes_far_in_the_future_are_left_out(void **state)
{
    struct world *world = *state;
    static const struct job_times none;
    static const struct store_key key;
    struct job_times times = {world->now,
                              world->now + NS_PER_MINUTE,
                              world->now + 26 * NS_PER_HOUR,
                              SLICE("linux"),
                              SLICE(""),
                              false};
    world_begin(world);
    must(world, pool_minutes_change(world->stats, &key, &none, &times, &world->error));
    world_commit(world);
    assert_int_equal(world_count_rows(world, STORE_TABLE_POOL_MINUTES), 2);
}

static void hours_are_dropped_after_35_days(void **state)
{
    struct world *world = *state;
    play(world);
    assert_int_equal(expire(world, 26 * NS_PER_HOUR), 0);
    world->now += 36 * NS_PER_DAY;
    play(world);
    assert_int_equal(expire(world, 26 * NS_PER_HOUR), 0);
    assert_int_equal(world_count_rows(world, STORE_TABLE_POOL_HOURS), 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, world_set_up, world_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_hour_is_made_of_its_minutes_when_they_expire),
        TEST(an_hour_ends_with_the_jobs_of_the_next),
        TEST(the_busiest_of_the_week_includes_minutes_that_are_older_than_a_day),
        TEST(what_has_yet_to_happen_is_in_no_minute_up_to_now),
        TEST(changes_far_in_the_future_are_left_out),
        TEST(hours_are_dropped_after_35_days),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
