// Pools that are kept for a while, where reading them takes long.
#include "../stats/world.h"

#include "ghatrace/view/pools_cache.h"

static void add_queued(struct world *world, uint8_t number, const char *labels)
{
    static const struct pool_place nowhere;
    const struct store_key key = world_key(number);
    struct pool_place place = {.labels = slice_from_string(labels),
                               .open_state = {OPEN_JOB_QUEUED, world->now}};
    place.pool = pool_make_id(place.labels);
    world_begin(world);
    must(world, pool_move_job(world->stats, &key, &nowhere, &place, &world->error));
    world_commit(world);
}

static size_t count_pools(struct world *world, struct pools_cache *cache)
{
    const struct pools_view_settings settings = {.dead_after = 15 * NS_PER_MINUTE};
    struct pools_view view;
    world_read(world);
    const struct view_reader reader = {world->transaction, &world->arena, &world->error};
    must(world, pools_cache_read(cache, &reader, &settings, world->now, &view));
    world_end(world);
    for (size_t i = 0; i < view.count; i++)
        assert_true(view.pools[i].name.len > 0); // after the transaction, too
    return view.count;
}

static void few_pools_are_read_each_time(void **state)
{
    struct world *world = *state;
    struct pools_cache cache;
    pools_cache_init(&cache);
    add_queued(world, 1, "linux");
    assert_int_equal(count_pools(world, &cache), 1);
    add_queued(world, 2, "windows");
    assert_int_equal(count_pools(world, &cache), 2);
    add_queued(world, 3, "mac");
    assert_int_equal(count_pools(world, NULL), 3);
    pools_cache_release(&cache);
}

static void pools_that_are_kept_are_not_read_again_until_their_time_is_over(void **state)
{
    struct world *world = *state;
    struct pools_cache cache;
    pools_cache_init(&cache);
    add_queued(world, 1, "linux");
    assert_int_equal(count_pools(world, &cache), 1);
    cache.kept_until = timestamp_monotonic() + NS_PER_HOUR;
    add_queued(world, 2, "windows");
    assert_int_equal(count_pools(world, &cache), 1);
    cache.kept_until = timestamp_monotonic();
    assert_int_equal(count_pools(world, &cache), 2);
    pools_cache_release(&cache);
}

static void reading_takes_a_tenth_of_the_time_at_most(void **state)
{
    (void)state;
    assert_int_equal(pools_cache_kept(0), 0);
    assert_int_equal(pools_cache_kept(POOLS_CACHE_LEAST - 1), 0);
    assert_int_equal(pools_cache_kept(POOLS_CACHE_LEAST), 9 * POOLS_CACHE_LEAST);
    assert_int_equal(pools_cache_kept(300 * NS_PER_MS), 2700 * NS_PER_MS);
    assert_int_equal(pools_cache_kept(NS_PER_HOUR), POOLS_CACHE_KEPT_MAX);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, world_set_up, world_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(few_pools_are_read_each_time),
        TEST(pools_that_are_kept_are_not_read_again_until_their_time_is_over),
        cmocka_unit_test(reading_takes_a_tenth_of_the_time_at_most),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
