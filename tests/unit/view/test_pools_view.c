// States of pools as they are read from a store, which began a short or a long while ago.
#include "../stats/world.h"

#include "../../../src/stats/private.h"
#include "ghatrace/stats/pool_minutes.h"
#include "ghatrace/view/pools_view.h"

static const struct slice hosted_globs[] = {{"win*", 4}, {"linux", 5}};
static const struct ceiling_rule hosted = {{"hosted", 6}, 3, {hosted_globs, 2}};

// A job of a pool, with times in minutes before now; below 0: it has not.
struct job {
    uint8_t number;
    const char *labels;
    double ready, started, ended;
};

static timestamp_ns before_now(const struct world *world, double minutes)
{
    return minutes < 0 ? TIMESTAMP_UNKNOWN
                       : world->now - (duration_ns)(minutes * (double)NS_PER_MINUTE);
}

static void add(struct world *world, const struct job *job)
{
    static const struct job_times none;
    static const struct pool_place nowhere;
    struct job_times times = {.ready = before_now(world, job->ready),
                              .started = before_now(world, job->started),
                              .ended = before_now(world, job->ended),
                              .labels = slice_from_string(job->labels)};
    struct pool_place place = {.labels = times.labels,
                               .use = {.runner = {job->number == 1 ? 7 : 0},
                                       .start = job->number == 1 ? times.started : 0}};
    struct store_key key = world_key(job->number);
    place.pool = pool_make_id(place.labels);
    if (job->ended < 0)
        place.open_state = job->started < 0
                               ? (struct open_job_state){OPEN_JOB_QUEUED, times.ready}
                               : (struct open_job_state){OPEN_JOB_RUNNING, times.started};
    world_begin(world);
    must(world, pool_minutes_change(world->stats, &key, &none, &times, &world->error));
    if (job->ended < 0)
        must(world, pool_move_job(world->stats, &key, &nowhere, &place, &world->error));
    world_commit(world);
}

static void add_all(struct world *world, const struct job *jobs, size_t count)
{
    for (size_t i = 0; i < count; i++)
        add(world, &jobs[i]);
}

static void load(struct world *world, const struct ceiling_rule *rule, struct pools_view *view)
{
    const struct pools_view_settings settings = {.dead_after = 15 * NS_PER_MINUTE,
                                                 .ceilings = {rule, rule != NULL ? 1 : 0}};
    world_read(world);
    const struct view_reader reader = {world->transaction, &world->arena, &world->error};
    must(world, pools_view_load(&reader, &settings, world->now, view));
    world_end(world);
}

// The one pool of the store.
static void expect(struct world *world, enum pool_state state, double minutes)
{
    struct pools_view view;
    load(world, NULL, &view);
    assert_int_equal(view.count, 1);
    assert_string_equal(pool_state_names[view.pools[0].state], pool_state_names[state]);
    assert_int_equal(view.pools[0].since, before_now(world, minutes));
}

static void pass(struct world *world, duration_ns time)
{
    bool has_more;
    world->now += time;
    world_begin(world);
    must(world, pool_minutes_expire(world->stats, 64, 1000, &has_more, &world->error));
    world_commit(world);
}

static void a_pool_is_dead_for_minutes_hours_or_days_since_the_same_time(void **state)
{
    struct world *world = *state;
    const struct job jobs[] = {{1, "linux", 70, 60, 20}, {2, "linux", 30, -1, -1}};
    const duration_ns later[] = {0, 3 * NS_PER_HOUR, 10 * NS_PER_HOUR, NS_PER_HOUR};
    double minutes = 20;
    add_all(world, jobs, 2);
    for (size_t i = 0; i < sizeof later / sizeof later[0]; i++) {
        pass(world, later[i]);
        minutes += (double)later[i] / NS_PER_MINUTE;
        expect(world, POOL_DEAD, minutes);
    }
    // Once it is known by hours alone, since the end of the last one with a job.
    pass(world, 20 * NS_PER_HOUR);
    timestamp_ns ended = before_now(world, minutes + 20 * 60);
    struct pools_view view;
    load(world, NULL, &view);
    assert_int_equal(view.pools[0].state, POOL_DEAD);
    assert_true(view.pools[0].since >= ended && view.pools[0].since - ended <= NS_PER_HOUR);
    assert_int_equal(view.pools[0].since % NS_PER_HOUR, 0);
}

static void a_pool_is_busy_for_minutes_or_hours_since_the_same_time(void **state)
{
    struct world *world = *state;
    const struct job jobs[] = {{1, "linux", 70, 50, -1},
                               {2, "linux", 70, 45, -1},
                               {3, "linux", 60, -1, -1},
                               {4, "linux", 800, 790, 785}};
    const duration_ns later[] = {0, 3 * NS_PER_HOUR, 10 * NS_PER_HOUR};
    double minutes = 45;
    add_all(world, jobs, 4);
    for (size_t i = 0; i < sizeof later / sizeof later[0]; i++) {
        pass(world, later[i]);
        minutes += (double)later[i] / NS_PER_MINUTE;
        expect(world, POOL_BUSY, minutes);
    }
}

static void what_ran_before_the_last_hours_counts_for_the_most(void **state)
{
    struct world *world = *state;
    const struct job jobs[] = {{1, "linux", 70, 50, -1},
                               {2, "linux", 60, -1, -1},
                               {3, "linux", 800, 790, 780},
                               {4, "linux", 800, 790, 780}};
    add_all(world, jobs, 4);
    expect(world, POOL_WAITING, 70);
    pass(world, 16 * NS_PER_HOUR); // now known by hours
    expect(world, POOL_WAITING, 70 + 16 * 60);
}

static void a_ceiling_is_reached_for_minutes_or_hours_since_the_same_time(void **state)
{
    struct world *world = *state;
    const struct job jobs[] = {{1, "linux", 70, 50, -1},   {2, "linux", 70, 45, -1},
                               {3, "windows", 60, 40, -1}, {4, "windows", 60, -1, -1},
                               {5, "linux", 55, -1, -1},   {6, "gpu", 55, -1, -1}};
    const duration_ns later[] = {0, 3 * NS_PER_HOUR, 10 * NS_PER_HOUR};
    double minutes = 40;
    add_all(world, jobs, 6);
    for (size_t i = 0; i < sizeof later / sizeof later[0]; i++) {
        struct pools_view view;
        pass(world, later[i]);
        minutes += (double)later[i] / NS_PER_MINUTE;
        load(world, &hosted, &view);
        assert_int_equal(view.ceiling_count, 1);
        assert_int_equal(view.ceilings[0].since, before_now(world, minutes));
        assert_int_equal(view.ceilings[0].running, 3);
        assert_int_equal(view.ceilings[0].queued, 2);
        assert_int_equal(view.ceilings[0].pool_count, 2);
        assert_int_equal(view.count, 3);
        assert_int_equal(view.pools[0].state, POOL_DEAD); // the worst first
        for (size_t pool = 1; pool < 3; pool++) {
            assert_int_equal(view.pools[pool].state, POOL_CEILING);
            assert_true(slice_equals(view.pools[pool].ceiling, SLICE("hosted")));
            assert_int_equal(view.pools[pool].since, before_now(world, minutes));
        }
    }
}

// The first job's end is lost, and its runner took the second one.
static void a_job_that_ended_at_an_unknown_time_does_not_keep_a_pool_from_being_dead(void **state)
{
    struct world *world = *state;
    const struct job jobs[] = {{1, "linux", 410, 400, -1},
                               {2, "linux", 395, 390, 380},
                               {3, "linux", 385, -1, -1},
                               {4, "linux", 100, -1, -1}};
    const duration_ns later[] = {0, 10 * NS_PER_HOUR};
    const struct store_key second = world_key(2);
    static const struct pool_place nowhere;
    double minutes = 380;
    struct pool_place place = {.use = {.runner = {7}, .start = before_now(world, 390)}};
    add_all(world, jobs, 4);
    world_begin(world);
    must(world, pool_move_job(world->stats, &second, &nowhere, &place, &world->error));
    world_commit(world);
    for (size_t i = 0; i < sizeof later / sizeof later[0]; i++) {
        pass(world, later[i]);
        minutes += (double)later[i] / NS_PER_MINUTE;
        expect(world, POOL_DEAD, minutes);
    }
    pass(world, 24 * NS_PER_HOUR);
    struct pools_view view;
    load(world, NULL, &view);
    assert_int_equal(view.pools[0].ended_unknown, 1);
    assert_int_equal(view.pools[0].running, 0);
    assert_int_equal(view.pools[0].state, POOL_DEAD);
    timestamp_ns before = view.pools[0].since, ended = before_now(world, minutes + 24 * 60);
    assert_true(before >= ended && before - ended <= NS_PER_HOUR);
    pass(world, 5 * NS_PER_HOUR);
    load(world, NULL, &view);
    assert_int_equal(view.pools[0].since, before);
}

// --- more pools than can be read ------------------------------------------------------------------

#define INVENTED 160
// Waits of the oldest jobs change from minute to minute.
static void pools_of_one_state_are_ordered_by_since_then_by_their_queues_then_by_name(void **state)
{
    static const struct job jobs[] = {
        {1, "late", 40, -1, -1},                           // dead 15 minutes after that
        {2, "early", 50, -1, -1},                          // before `late`
        {3, "one", 0.4, -1, -1},  {4, "two", 0.2, -1, -1}, // ok
        {5, "two", 0.1, -1, -1},  {6, "also", 0.1, -1, -1},
    };
    static const char *const order[] = {"early", "late", "two", "also", "one"};
    struct world *world = *state;
    struct pools_view view;
    add_all(world, jobs, sizeof jobs / sizeof jobs[0]);
    load(world, NULL, &view);
    assert_int_equal(view.count, 5);
    for (size_t i = 0; i < view.count; i++)
        if (!slice_equals(view.pools[i].name, slice_from_string(order[i])))
            fail_msg("%zu: %.*s", i, SLICE_ARGS(view.pools[i].name));
}

#define REAL 8 // some of them are behind invented ones in the order of ids

// A pool whose jobs started in each minute of the day, a part of them within the last week.
static void put_pool(struct world *world, const char *name, uint32_t started, struct buffer *bytes)
{
    static const uint8_t minute[] = {1, 1, 1, 0, 0, 2, 0}; // pool_rows.h: one job starts
    struct pool pool = {.labels = slice_from_string(name),
                        .changed_at = world->now,
                        .day = (uint64_t)(world->now / NS_PER_DAY),
                        .started = {started}};
    uint8_t key[POOL_ID_SIZE + 8];
    pool.id = pool_make_id(pool.labels);
    buffer_clear(bytes);
    must(world, pool_encode(&pool, bytes));
    must(world, store_table_put(world->transaction, STORE_TABLE_POOLS, pool_id_key(&pool.id),
                                buffer_slice(bytes), &world->error));
    memcpy(key, pool.id.bytes, POOL_ID_SIZE);
    for (timestamp_ns i = 0; i < POOL_MINUTES_DAY; i++) {
        bytes_put_be64(key + POOL_ID_SIZE,
                       (uint64_t)(world->now - world->now % NS_PER_MINUTE - i * NS_PER_MINUTE));
        must(world, store_table_put(world->transaction, STORE_TABLE_POOL_MINUTES,
                                    slice_of_bytes(key, sizeof key),
                                    slice_of_bytes(minute, sizeof minute), &world->error));
    }
}

static void put_pools(struct world *world, const char *form, int count, uint32_t started)
{
    struct buffer bytes;
    buffer_init(&bytes, 4096);
    world_begin(world);
    for (int i = 0; i < count; i++) {
        char name[32];
        (void)snprintf(name, sizeof name, form, i);
        put_pool(world, name, started, &bytes);
    }
    world_commit(world);
    buffer_release(&bytes);
}

static void what_is_known_of_real_pools_does_not_depend_on_invented_ones(void **state)
{
    struct world *world = *state;
    size_t known = 0, real = 0;
    put_pools(world, "invented-%d", INVENTED, 1);
    put_pools(world, "real-%d", REAL, 1440);
    struct pools_view view;
    load(world, NULL, &view);
    assert_int_equal(view.count, INVENTED + REAL);
    for (size_t i = 0; i < view.count; i++) {
        known += view.pools[i].recent.is_known ? 1 : 0;
        if (!slice_starts_with(view.pools[i].name, SLICE("real-")))
            continue;
        assert_true(view.pools[i].recent.is_known);
        real++;
    }
    assert_int_equal(real, REAL);
    assert_in_range(known, REAL, INVENTED - 1); // too many minutes for all
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, world_set_up, world_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(pools_of_one_state_are_ordered_by_since_then_by_their_queues_then_by_name),
        TEST(a_pool_is_dead_for_minutes_hours_or_days_since_the_same_time),
        TEST(a_pool_is_busy_for_minutes_or_hours_since_the_same_time),
        TEST(what_ran_before_the_last_hours_counts_for_the_most),
        TEST(a_job_that_ended_at_an_unknown_time_does_not_keep_a_pool_from_being_dead),
        TEST(a_ceiling_is_reached_for_minutes_or_hours_since_the_same_time),
        TEST(what_is_known_of_real_pools_does_not_depend_on_invented_ones),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
