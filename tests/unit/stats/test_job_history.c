// Completed jobs in the store: in order, corrected, the oldest dropped first.
#include "world.h"

#include "ghatrace/stats/job_history.h"

static struct job_occupancy occupancy(double ready, double started, double ended)
{
    return (struct job_occupancy){.exists = true,
                                  .labels = SLICE("linux,x64"),
                                  .ready = scenario_at(ready),
                                  .started = scenario_at(started),
                                  .ended = scenario_at(ended),
                                  .runner = 7};
}

static void add(struct world *world, uint8_t job, const struct job_occupancy *times)
{
    struct store_key key = world_key(job);
    must(world, job_history_add(world->stats, &key, times, &world->error));
}

// Adds `count` jobs that became ready a second after each other, in one transaction.
static void add_many(struct world *world, int first, int count)
{
    world_begin(world);
    for (int i = 0; i < count; i++) {
        struct job_occupancy times = occupancy(first + i, first + i + 2, first + i + 5);
        add(world, (uint8_t)i, &times);
    }
    world_commit(world);
}

static uint64_t kept(struct world *world)
{
    uint64_t count;
    must(world, job_history_count(world->transaction, &count, &world->error));
    return count;
}

// Reads all; `*records` has room for `max`.
static size_t read_all(struct world *world, struct job_record *records, size_t max)
{
    struct job_record some[JOB_HISTORY_TOGETHER];
    uint64_t number = 0;
    size_t all = 0, count;
    world_read(world);
    do {
        must(world, job_history_read(world->transaction, &number, some, &count, &world->error));
        assert_true(all + count <= max);
        memcpy(records + all, some, count * sizeof some[0]);
        all += count;
    } while (count > 0);
    world_end(world);
    return all;
}

static uint64_t pool_of(struct slice name)
{
    struct pool_id id = pool_make_id(name);
    return job_history_pool(&id);
}

static void a_job_is_read_as_it_was_added(void **state)
{
    struct world *world = *state;
    struct job_record records[2];
    struct job_occupancy times = occupancy(10, 12.5, 70.25);
    world_begin(world);
    add(world, 1, &times);
    times.ready = TIMESTAMP_UNKNOWN;
    times.runner = UINT32_MAX;
    times.labels = SLICE("GPU");
    add(world, 2, &times);
    world_commit(world);
    assert_int_equal(read_all(world, records, 2), 2);
    assert_int_equal(records[0].pool, pool_of(SLICE("X64,Linux")));
    assert_int_equal(records[0].ready, scenario_at(10));
    assert_int_equal(records[0].started, scenario_at(12.5));
    assert_int_equal(records[0].ended, scenario_at(70.25));
    assert_int_equal(records[0].runner, 7);
    assert_int_equal(records[1].pool, pool_of(SLICE("gpu")));
    assert_int_equal(records[1].ready, TIMESTAMP_UNKNOWN);
    assert_int_equal(records[1].started, scenario_at(12.5));
    assert_int_equal(records[1].ended, scenario_at(70.25));
    assert_int_equal(records[1].runner, UINT32_MAX);
    assert_true(records[0].job != records[1].job);
}

static void a_job_is_in_the_pool_that_the_rules_of_its_time_name(void **state)
{
    static const struct slice globs[] = {{.data = "arc-gpu-*", .len = 9}};
    static const struct slice ignored[] = {{.data = "run-*", .len = 5}};
    static const struct pool_rule rule = {{.data = "GPU", .len = 3}, globs, 1};
    struct world *world = *state;
    struct job_record records[5];
    struct job_occupancy times = occupancy(0, 1, 2);
    world_begin(world);
    times.labels = SLICE("arc-gpu-1,run-7");
    add(world, 1, &times);
    world_commit(world);
    world_restart(world, &(struct stats_options){.rules = {&rule, 1, ignored, 1}});
    world_begin(world);
    add(world, 2, &times);
    times.labels = SLICE("Linux,run-7");
    add(world, 3, &times);
    times.labels = SLICE("run-7");
    add(world, 4, &times);
    times.labels = SLICE_EMPTY;
    add(world, 5, &times);
    world_commit(world);
    assert_int_equal(read_all(world, records, 5), 5);
    assert_int_equal(records[0].pool, pool_of(SLICE("arc-gpu-1,run-7"))); // before the rules
    assert_int_equal(records[1].pool, pool_of(SLICE("gpu")));
    assert_int_equal(records[2].pool, pool_of(SLICE("linux")));
    assert_int_equal(records[3].pool, pool_of(SLICE("(none)")));
    assert_int_equal(records[4].pool, records[3].pool);
}

static void times_that_do_not_fit_are_cut(void **state)
{
    struct world *world = *state;
    struct job_record records[2];
    const double year = 365 * 86400.0;
    struct job_occupancy ages = occupancy(0, year, 2 * year);
    struct job_occupancy turned = occupancy(10, 5, 1);
    world_begin(world);
    add(world, 1, &ages);
    add(world, 2, &turned);
    world_commit(world);
    assert_int_equal(read_all(world, records, 2), 2);
    assert_int_equal(records[0].started - records[0].ready, (UINT32_MAX - 1) * NS_PER_MS);
    assert_int_equal(records[0].ended - records[0].started, (UINT32_MAX - 1) * NS_PER_MS);
    assert_int_equal(records[1].ready, scenario_at(10));
    assert_int_equal(records[1].started, scenario_at(10));
    assert_int_equal(records[1].ended, scenario_at(10));
}

static void jobs_keep_their_order_over_transactions(void **state)
{
    struct world *world = *state;
    struct job_record records[250];
    add_many(world, 0, 1);
    add_many(world, 1, 200); // more than an entry holds
    add_many(world, 201, 0);
    add_many(world, 201, 9);
    world_read(world);
    assert_int_equal(kept(world), 210);
    assert_int_equal(store_table_count(world->transaction, STORE_TABLE_JOB_HISTORY), 1 + 4 + 1);
    world_end(world);
    assert_int_equal(read_all(world, records, 250), 210);
    for (int i = 0; i < 210; i++)
        assert_int_equal(records[i].ready, scenario_at(i));
}

static void an_aborted_transaction_leaves_nothing(void **state)
{
    struct world *world = *state;
    struct job_record records[80];
    add_many(world, 0, 3);
    world_begin(world);
    for (uint8_t i = 0; i < 70; i++) {
        struct job_occupancy times = occupancy(100, 100, 100);
        add(world, i, &times);
    }
    world_end(world);
    add_many(world, 3, 2);
    assert_int_equal(read_all(world, records, 80), 5);
    assert_int_equal(records[4].ready, scenario_at(4));
}

static bool expire(struct world *world, uint64_t keep, size_t max)
{
    bool has_more;
    world_begin(world);
    must(world, stats_flush(world->stats, &world->error));
    must(world, job_history_expire(world->stats, keep, max, &has_more, &world->error));
    world_commit(world);
    return has_more;
}

static void the_oldest_are_dropped_a_few_at_a_time(void **state)
{
    struct world *world = *state;
    static struct job_record records[4000];
    add_many(world, 0, 3000);
    assert_false(expire(world, 2000, 100)); // not beyond the slack
    assert_int_equal(read_all(world, records, 4000), 3000);
    add_many(world, 3000, 100);
    assert_false(expire(world, 2000, 100));
    assert_int_equal(read_all(world, records, 4000), 3100 - 126);
    assert_int_equal(records[0].ready, scenario_at(126));
    add_many(world, 3100, 1); // below the limit nothing is looked for until then
    assert_true(expire(world, 1000, 100));
    while (expire(world, 1000, 100))
        ;
    size_t left = read_all(world, records, 4000);
    assert_in_range(left, 1000, 1000 + JOB_HISTORY_SLACK);
    assert_int_equal(records[left - 1].ready, scenario_at(3100));
    add_many(world, 3101, 1);
    while (expire(world, 0, 100))
        ;
    assert_int_equal(read_all(world, records, 4000), 0);
    // Numbers start again, and nothing is in the way.
    add_many(world, 0, 2);
    assert_int_equal(read_all(world, records, 4000), 2);
}

static void a_damaged_entry_is_left_out_and_is_dropped_in_its_turn(void **state)
{
    static const struct {
        struct slice key, value;
    } damaged[] = {
        {{"\0\0\0\0\0\0\0\2", 8}, {"short", 5}},
        {{"\0\0\0", 3}, {"12345678901234567890123456789012", 32}},
        {{"\0\0\0\0\0\0\0\3", 8},
         {"12345678901234\xff\xff\xff\xff\xff\xff"
          "789012345678",
          32}},
        {{"\xff\xff\xff\xff\xff\xff\xff\xff", 8}, {"12345678901234567890123456789012", 32}},
        {{"\xff\xff\xff\xff\xff\xff\xff\xff\xff", 9}, {"", 0}},
    };
    struct world *world = *state;
    static struct job_record records[10];
    add_many(world, 0, 1);
    world_begin(world);
    for (size_t i = 0; i < sizeof damaged / sizeof damaged[0]; i++)
        must(world, store_table_put(world->transaction, STORE_TABLE_JOB_HISTORY, damaged[i].key,
                                    damaged[i].value, &world->error));
    world_commit(world);
    size_t read = read_all(world, records, 10);
    assert_in_range(read, 1, 2); // the one with the last number of all is as any other
    add_many(world, 1, 5);
    read = read_all(world, records, 10);
    assert_int_equal(read, 6);
    assert_int_equal(records[5].ready, scenario_at(5));
    while (expire(world, 0, 3))
        ;
    assert_int_equal(read_all(world, records, 10), 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, world_set_up, world_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_job_is_read_as_it_was_added),
        TEST(a_job_is_in_the_pool_that_the_rules_of_its_time_name),
        TEST(times_that_do_not_fit_are_cut),
        TEST(jobs_keep_their_order_over_transactions),
        TEST(an_aborted_transaction_leaves_nothing),
        TEST(the_oldest_are_dropped_a_few_at_a_time),
        TEST(a_damaged_entry_is_left_out_and_is_dropped_in_its_turn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
