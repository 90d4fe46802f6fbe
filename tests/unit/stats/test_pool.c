// Pools of runners: their counts equal the numbers of jobs in them after all changes.
#include "world.h"

#include "ghatrace/stats/latency.h"

static int set_up(void **state)
{
    struct world *world = test_calloc(1, sizeof *world);
    world_open(world, 4);
    *state = world;
    return 0;
}

static const struct pool_place nowhere;

static struct pool_place place_in(const char *labels, const char *group,
                                  enum open_job_kind open_state, double since)
{
    struct pool_place place = {.open_state = {open_state, scenario_at(since)},
                               .labels = slice_from_string(labels),
                               .group = slice_from_string(group)};
    place.pool = pool_make_id(place.labels);
    return place;
}

static void move(struct world *world, uint8_t job, struct pool_place before,
                 struct pool_place after)
{
    struct store_key key = world_key(job);
    must(world, pool_move_job(world->stats, &key, &before, &after, &world->error));
}

// Counts of a pool as it is stored: -1 for all if there is none.
static void assert_counts(struct world *world, const char *labels, const char *groups, int waiting,
                          int queued, int running)
{
    struct pool_id wanted = pool_make_id(slice_from_string(labels));
    struct pool_id id = wanted;
    struct pool pool = {.labels = SLICE_EMPTY};
    world_read(world);
    enum error_code code = pool_seek(world->transaction, &id, &pool, &world->error);
    bool is_there = code == ERROR_NONE && memcmp(id.bytes, wanted.bytes, POOL_ID_SIZE) == 0;
    assert_int_equal(is_there, queued >= 0);
    if (is_there) {
        assert_text(pool.labels, labels);
        assert_text(pool.groups, groups);
        assert_int_equal(pool.counts[OPEN_JOB_WAITING], waiting);
        assert_int_equal(pool.counts[OPEN_JOB_QUEUED], queued);
        assert_int_equal(pool.counts[OPEN_JOB_RUNNING], running);
    }
    world_end(world);
}

static void a_queued_and_a_running_job_are_in_one_pool(void **state)
{
    struct world *world = *state;
    struct pool_place queued = place_in("linux", "", OPEN_JOB_QUEUED, 2);
    struct pool_place running = place_in("linux", "Default", OPEN_JOB_RUNNING, 6);
    world_begin(world);
    move(world, 1, nowhere, queued);
    move(world, 2, nowhere, queued);
    world_commit(world);
    assert_counts(world, "linux", "", 0, 2, 0);
    world_begin(world);
    move(world, 1, queued, running);
    world_commit(world);
    assert_counts(world, "linux", "Default", 0, 1, 1);
    world_begin(world);
    move(world, 1, running, nowhere);
    world_commit(world);
    assert_counts(world, "linux", "Default", 0, 1, 0);
    world_read(world);
    assert_int_equal(pool_count(world->transaction), 1);
    world_end(world);
}

static void the_groups_of_a_pool_are_listed_in_any_order_of_events(void **state)
{
    static const char *const groups[] = {"team, A", "Default", "b\\", "default", ""};
    struct world *world = *state;
    for (uint8_t first = 0; first < 5; first++) {
        world_begin(world);
        must(world, store_table_clear(world->transaction, STORE_TABLE_POOLS, &world->error));
        for (uint8_t i = 0; i < 5; i++)
            if (strcmp(groups[(first + i) % 5], "default") != 0)
                move(world, (uint8_t)(10 * first + i + 1), nowhere,
                     place_in("linux", groups[(first + i) % 5], OPEN_JOB_RUNNING, first));
        world_commit(world);
        assert_counts(world, "linux", "Default,b\\\\,team\\, A", 0, 0, 4 * (first + 1));
    }
    world_begin(world);
    for (int i = 0; i < 200; i++) {
        static char name[200][64];
        (void)snprintf(name[i], sizeof name[i], "group %d", i);
        move(world, 200, nowhere, place_in("windows", name[i], OPEN_JOB_RUNNING, i));
    }
    world_commit(world);
    struct pool pool;
    struct pool_id id = pool_make_id(SLICE("windows"));
    world_read(world);
    must(world, pool_seek(world->transaction, &id, &pool, &world->error));
    assert_in_range(pool.groups.len, 200, LABELS_TEXT_MAX);
    world_end(world);
}

static void many_moves_in_one_transaction_add_up(void **state)
{
    struct world *world = *state;
    struct pool_place waiting = place_in("linux", "", OPEN_JOB_WAITING, 1);
    struct pool_place queued = place_in("linux", "", OPEN_JOB_QUEUED, 2);
    world_begin(world);
    for (uint8_t job = 1; job <= 200; job++) {
        move(world, job, nowhere, waiting);
        move(world, job, waiting, queued);
        if (job % 2 == 0)
            move(world, job, queued, nowhere);
    }
    world_commit(world);
    assert_counts(world, "linux", "", 0, 100, 0);
}

static void an_aborted_transaction_changes_nothing(void **state)
{
    struct world *world = *state;
    struct pool_place queued = place_in("linux", "", OPEN_JOB_QUEUED, 2);
    world_begin(world);
    move(world, 1, nowhere, queued);
    must(world, stats_flush(world->stats, &world->error));
    move(world, 2, nowhere, queued);
    world_end(world);
    assert_counts(world, "linux", "", -1, -1, -1);
    world_begin(world);
    move(world, 1, nowhere, queued);
    world_commit(world);
    assert_counts(world, "linux", "", 0, 1, 0);
}

static void jobs_are_found_oldest_first(void **state)
{
    static const uint8_t expected[] = {3, 1, 4, 2};
    struct world *world = *state;
    struct pool_place old = place_in("linux", "", OPEN_JOB_QUEUED, 1);
    struct pool_place middle = place_in("linux", "", OPEN_JOB_QUEUED, 2);
    struct pool_place young = place_in("linux", "", OPEN_JOB_QUEUED, 3);
    struct pool_job job = {.since = 0};
    world_begin(world);
    move(world, 2, nowhere, young);
    move(world, 1, nowhere, middle);
    move(world, 4, nowhere, middle);
    move(world, 3, nowhere, old);
    move(world, 5, nowhere, place_in("linux", "", OPEN_JOB_RUNNING, 0));
    move(world, 6, nowhere, place_in("windows", "", OPEN_JOB_QUEUED, 0));
    world_commit(world);
    world_read(world);
    for (size_t i = 0; i < sizeof expected; i++) {
        must(world,
             pool_seek_job(world->transaction, &old.pool, OPEN_JOB_QUEUED, &job, &world->error));
        assert_int_equal(job.key.trace.bytes[0], expected[i]);
        pool_job_increment(&job);
    }
    assert_int_equal(
        pool_seek_job(world->transaction, &old.pool, OPEN_JOB_QUEUED, &job, &world->error),
        ERROR_NOT_FOUND);
}

// --- waits that have not ended -----------------------------------------------------------------------------

static struct pool_open_waits read_waits(struct world *world, uint64_t *budget)
{
    struct pool_open_waits waits;
    struct pool pool;
    struct pool_id id = pool_make_id(SLICE("linux"));
    world_read(world);
    must(world, pool_seek(world->transaction, &id, &pool, &world->error));
    must(world, pool_read_open_waits(world->transaction, &pool, budget, &waits, &world->error));
    world_end(world);
    return waits;
}

// Nearest rank: of waits of 1 to `count` seconds it is that of ceil(count * percent / 100) seconds.
static void assert_percentiles(struct world *world, int count)
{
    uint64_t budget = 1000;
    struct pool_open_waits waits = read_waits(world, &budget);
    assert_int_equal(waits.oldest, scenario_at(1000 - count));
    for (size_t i = 0; i < POOL_WAIT_PERCENTS; i++) {
        int rank = (count * (int)pool_wait_percents[i] + 99) / 100;
        assert_int_equal(waits.since[i], scenario_at(1000 - rank));
    }
    assert_int_equal(budget, 1000 - (count / 2 + 1));
}

static void the_percentiles_of_open_waits_are_those_of_the_queued_jobs(void **state)
{
    struct world *world = *state;
    for (int count = 1; count <= 250; count++) {
        world_begin(world);
        move(world, (uint8_t)count, nowhere, place_in("linux", "", OPEN_JOB_QUEUED, 1000 - count));
        move(world, (uint8_t)count, nowhere, place_in("linux", "", OPEN_JOB_RUNNING, 1));
        move(world, (uint8_t)count, nowhere, place_in("linux", "", OPEN_JOB_WAITING, 1));
        world_commit(world);
        assert_percentiles(world, count);
    }
}

static void where_too_many_jobs_are_queued_the_longest_waits_are_still_known(void **state)
{
    struct world *world = *state;
    uint64_t budget = 50;
    world_begin(world);
    for (int job = 1; job <= 200; job++)
        move(world, (uint8_t)job, nowhere, place_in("linux", "", OPEN_JOB_QUEUED, job));
    world_commit(world);
    struct pool_open_waits waits = read_waits(world, &budget);
    assert_int_equal(budget, 0);
    assert_int_equal(waits.oldest, scenario_at(1));
    assert_int_equal(waits.since[2], scenario_at(3));
    assert_int_equal(waits.since[1], scenario_at(21));
    assert_int_equal(waits.since[0], TIMESTAMP_UNKNOWN);
    waits = read_waits(world, &budget);
    assert_int_equal(waits.oldest, scenario_at(1));
}

static void a_pool_without_queued_jobs_has_no_open_wait(void **state)
{
    static const struct pool_open_waits none;
    struct world *world = *state;
    uint64_t budget = 50;
    world_begin(world);
    move(world, 1, nowhere, place_in("linux", "", OPEN_JOB_RUNNING, 1));
    world_commit(world);
    struct pool_open_waits waits = read_waits(world, &budget);
    assert_memory_equal(&waits, &none, sizeof none);
    assert_int_equal(budget, 50);
}

// --- too many pools ------------------------------------------------------------------------------------------

static struct pool_place nth_pool(int n)
{
    static char labels[16][8];
    (void)snprintf(labels[n], sizeof labels[n], "l%d", n);
    return place_in(labels[n], "", OPEN_JOB_QUEUED, 2);
}

static void beyond_the_bound_jobs_of_new_sets_are_folded(void **state)
{
    struct world *world = *state;
    world_begin(world);
    for (int i = 0; i < 10; i++)
        move(world, (uint8_t)(i + 1), nowhere, nth_pool(i));
    world_commit(world);
    assert_counts(world, "l3", "", 0, 1, 0);
    assert_counts(world, "l4", "", -1, -1, -1);
    assert_counts(world, "(one-off)", "", 0, 6, 0);
    world_read(world);
    assert_int_equal(pool_count(world->transaction), 5);
    struct pool_id id = pool_make_id(POOL_ONE_OFF);
    assert_true(pool_is_one_off(&id));
    id = pool_make_id(SLICE("l1"));
    assert_false(pool_is_one_off(&id));
    world_end(world);
}

static void a_folded_job_is_removed_even_if_its_pool_exists_by_now(void **state)
{
    struct world *world = *state;
    world_begin(world);
    for (int i = 0; i < 5; i++)
        move(world, (uint8_t)(i + 1), nowhere, nth_pool(i));
    for (int i = 0; i < 4; i++)
        move(world, (uint8_t)(i + 1), nth_pool(i), nowhere);
    world_commit(world);
    assert_counts(world, "(one-off)", "", 0, 1, 0);
    // The empty ones are dropped after a day, and there is room again.
    world->now += 2 * NS_PER_DAY;
    struct pool_id from = {{0}};
    bool is_end;
    world_begin(world);
    must(world, pool_expire(world->stats, &from, 100, &is_end, &world->error));
    assert_true(is_end);
    world_commit(world);
    assert_counts(world, "l0", "", -1, -1, -1);
    assert_counts(world, "(one-off)", "", 0, 1, 0);
    world_begin(world);
    move(world, 9, nowhere, nth_pool(4));
    move(world, 5, nth_pool(4), nowhere);
    world_commit(world);
    assert_counts(world, "l4", "", 0, 1, 0);
    assert_counts(world, "(one-off)", "", 0, 0, 0);
}

static void a_job_in_no_pool_cannot_be_removed(void **state)
{
    struct world *world = *state;
    struct pool_place queued = place_in("linux", "", OPEN_JOB_QUEUED, 2);
    world_begin(world);
    move(world, 1, nowhere, queued);
    move(world, 2, queued, nowhere);
    move(world, 1, place_in("linux", "", OPEN_JOB_QUEUED, 3), nowhere); // not since then
    world_commit(world);
    assert_counts(world, "linux", "", 0, 1, 0);
}

// --- expiry --------------------------------------------------------------------------------------------------

static void expire(struct world *world)
{
    struct pool_id from = {{0}};
    bool is_end = false;
    world_begin(world);
    while (!is_end) // one at a time
        must(world, pool_expire(world->stats, &from, 1, &is_end, &world->error));
    world_commit(world);
}

static void an_unused_pool_is_dropped_after_a_day_and_one_in_use_is_kept(void **state)
{
    struct world *world = *state;
    struct pool_place unused = place_in("linux", "", OPEN_JOB_QUEUED, 2);
    struct pool_place used = place_in("windows", "", OPEN_JOB_QUEUED, 2);
    world_begin(world);
    move(world, 1, nowhere, unused);
    move(world, 1, unused, nowhere);
    move(world, 2, nowhere, used);
    world_commit(world);
    world->now += NS_PER_DAY;
    expire(world);
    assert_counts(world, "linux", "", 0, 0, 0);
    world->now += NS_PER_SECOND;
    expire(world);
    assert_counts(world, "linux", "", -1, -1, -1);
    assert_counts(world, "windows", "", 0, 1, 0);
}

static void a_pool_is_kept_as_long_as_its_latencies(void **state)
{
    struct world *world = *state;
    struct job_sample measure = {.runner_labels = SLICE("linux"),
                                 .queue = {true, NS_PER_SECOND},
                                 .execution = {true, NS_PER_SECOND},
                                 .queue_end = world->now};
    world_begin(world);
    must(world,
         latency_count_job(world->stats, &measure, &(struct latency_wait){0}, &world->error));
    world_commit(world);
    world->now += LATENCY_KEPT;
    expire(world);
    assert_counts(world, "linux", "", 0, 0, 0);
    world->now += LATENCY_SLOT + NS_PER_SECOND;
    expire(world);
    assert_counts(world, "linux", "", -1, -1, -1);
}

static void pools_of_a_clock_that_was_ahead_are_dropped_too(void **state)
{
    struct world *world = *state;
    struct pool_place unused = place_in("linux", "", OPEN_JOB_QUEUED, 2);
    world->now += 365 * NS_PER_DAY;
    world_begin(world);
    move(world, 1, nowhere, unused);
    move(world, 1, unused, nowhere);
    world_commit(world);
    world->now -= 365 * NS_PER_DAY;
    expire(world);
    assert_counts(world, "linux", "", 0, 0, 0);
    world->now += NS_PER_DAY + NS_PER_SECOND;
    expire(world);
    assert_counts(world, "linux", "", -1, -1, -1);
}

static void the_list_of_pools_is_in_the_order_of_ids(void **state)
{
    struct world *world = *state;
    struct pool *pools;
    size_t count;
    world_begin(world);
    for (int i = 0; i < 4; i++)
        move(world, (uint8_t)(i + 1), nowhere, nth_pool(i));
    world_commit(world);
    world_read(world);
    must(world, pool_list(world->transaction, &world->arena, &pools, &count, &world->error));
    world_end(world); // the list outlives it
    assert_int_equal(count, 4);
    for (size_t i = 0; i < count; i++) {
        struct pool_id id = pool_make_id(pools[i].labels);
        assert_memory_equal(id.bytes, pools[i].id.bytes, POOL_ID_SIZE);
        assert_true(i == 0 || memcmp(pools[i - 1].id.bytes, id.bytes, POOL_ID_SIZE) < 0);
    }
}

static void a_pool_with_texts_that_are_too_long_is_damaged(void **state)
{
    struct world *world = *state;
    struct pool_id id = pool_make_id(SLICE("linux"));
    uint8_t row[1024] = {3};
    const size_t labels_at = 2 + 40 + 4 + 28;
    struct pool *pools;
    size_t count;
    row[labels_at + 1] = 5;
    memcpy(row + labels_at + 2, "linux", 5);
    row[labels_at + 7] = 600 >> 8;
    row[labels_at + 8] = 600 & 0xff;
    memset(row + labels_at + 9, ',', 600);
    world_begin(world);
    must(world, store_table_put(world->transaction, STORE_TABLE_POOLS,
                                slice_of_bytes(id.bytes, sizeof id.bytes),
                                slice_of_bytes(row, labels_at + 9 + 600 + 2), &world->error));
    world_commit(world);
    world_begin(world);
    move(world, 1, nowhere, place_in("linux", "Default", OPEN_JOB_RUNNING, 2));
    world_commit(world);
    assert_counts(world, "linux", "Default", 0, 0, 1);
    world_read(world);
    must(world, pool_list(world->transaction, &world->arena, &pools, &count, &world->error));
    assert_int_equal(count, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, world_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_queued_and_a_running_job_are_in_one_pool),
        TEST(the_groups_of_a_pool_are_listed_in_any_order_of_events),
        TEST(many_moves_in_one_transaction_add_up),
        TEST(an_aborted_transaction_changes_nothing),
        TEST(jobs_are_found_oldest_first),
        TEST(the_percentiles_of_open_waits_are_those_of_the_queued_jobs),
        TEST(where_too_many_jobs_are_queued_the_longest_waits_are_still_known),
        TEST(a_pool_without_queued_jobs_has_no_open_wait),
        TEST(beyond_the_bound_jobs_of_new_sets_are_folded),
        TEST(a_folded_job_is_removed_even_if_its_pool_exists_by_now),
        TEST(a_job_in_no_pool_cannot_be_removed),
        TEST(an_unused_pool_is_dropped_after_a_day_and_one_in_use_is_kept),
        TEST(a_pool_is_kept_as_long_as_its_latencies),
        TEST(pools_of_a_clock_that_was_ahead_are_dropped_too),
        TEST(the_list_of_pools_is_in_the_order_of_ids),
        TEST(a_pool_with_texts_that_are_too_long_is_damaged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
