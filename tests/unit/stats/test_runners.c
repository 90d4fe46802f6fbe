// Running jobs by runner: which of them lost theirs to another job.
#include "world.h"

#include "ghatrace/stats/runners.h"

static const struct pool_place nowhere;

static struct pool_place place_on(uint8_t runner, enum open_job_kind open_state, double start)
{
    struct pool_place place = {.open_state = {open_state, scenario_at(start)},
                               .labels = SLICE("linux"),
                               .use = {.runner = {runner}, .start = scenario_at(start)}};
    place.pool = pool_make_id(place.labels);
    return place;
}

static struct pool_place running_on(uint8_t runner, double start)
{
    return place_on(runner, OPEN_JOB_RUNNING, start);
}

static struct pool_place done_on(uint8_t runner, double start)
{
    return place_on(runner, OPEN_JOB_NONE, start);
}

static void move(struct world *world, uint8_t job, struct pool_place before,
                 struct pool_place after)
{
    struct store_key key = world_key(job);
    world_begin(world);
    must(world, pool_move_job(world->stats, &key, &before, &after, &world->error));
    world_commit(world);
}

// -1: it has not.
static void expect_reuse(struct world *world, uint8_t job, double since)
{
    struct store_key key = world_key(job);
    struct runner_reuse *reuses;
    timestamp_ns found;
    size_t count, listed = 0;
    world_read(world);
    must(world, runners_find_reuse(world->transaction, &key, &found, &world->error));
    must(world,
         runners_list_reuses(world->transaction, &world->arena, &reuses, &count, &world->error));
    for (size_t i = 0; i < count; i++)
        if (memcmp(&reuses[i].job, &key, sizeof key) == 0) {
            struct pool_id pool = pool_make_id(SLICE("linux"));
            listed++;
            assert_int_equal(reuses[i].since, found);
            assert_memory_equal(reuses[i].pool, pool.bytes, POOL_ID_SIZE);
        }
    assert_int_equal(found, since < 0 ? TIMESTAMP_UNKNOWN : scenario_at(since));
    assert_int_equal(listed, since < 0 ? 0 : 1);
    world_end(world);
}

static uint64_t entries(struct world *world)
{
    return world_count_rows(world, STORE_TABLE_RUNNERS);
}

static void the_earlier_of_two_jobs_on_a_runner_is_not_there_any_more(void **state)
{
    struct world *world = *state;
    move(world, 1, nowhere, running_on(7, 10));
    move(world, 2, nowhere, running_on(8, 12));
    expect_reuse(world, 1, -1);
    move(world, 3, nowhere, running_on(7, 20));
    expect_reuse(world, 1, 20);
    expect_reuse(world, 2, -1);
    expect_reuse(world, 3, -1);
    move(world, 3, running_on(7, 20), done_on(7, 20));
    expect_reuse(world, 1, 20);
    move(world, 4, nowhere, running_on(7, 30));
    expect_reuse(world, 1, 20);
    move(world, 1, running_on(7, 10), done_on(7, 10));
    expect_reuse(world, 1, -1);
    move(world, 2, running_on(8, 12), nowhere);
    move(world, 4, running_on(7, 30), done_on(7, 30));
    assert_int_equal(entries(world), 0);
}

static void a_job_that_is_known_by_its_end_alone_took_the_runner_too(void **state)
{
    struct world *world = *state;
    move(world, 1, nowhere, running_on(7, 10));
    move(world, 2, nowhere, done_on(7, 20));
    expect_reuse(world, 1, 20);
    move(world, 3, nowhere, done_on(7, 5));
    expect_reuse(world, 1, 20);
    assert_int_equal(entries(world), 2);
}

static void the_time_follows_the_start_of_the_other_job(void **state)
{
    struct world *world = *state;
    move(world, 1, nowhere, running_on(7, 10));
    move(world, 2, nowhere, running_on(7, 20));
    expect_reuse(world, 1, 20);
    move(world, 2, running_on(7, 20), running_on(7, 25));
    expect_reuse(world, 1, 25);
    move(world, 2, running_on(7, 25), done_on(7, 5)); // it was the earlier one
    expect_reuse(world, 1, -1);
    move(world, 3, nowhere, running_on(7, 30));
    move(world, 3, running_on(7, 30), running_on(8, 30)); // elsewhere
    expect_reuse(world, 1, -1);
    assert_int_equal(entries(world), 2);
}

static void the_order_of_events_does_not_matter(void **state)
{
    struct world *world = *state;
    move(world, 3, nowhere, running_on(7, 30));
    move(world, 2, nowhere, running_on(7, 20));
    move(world, 1, nowhere, running_on(7, 10));
    expect_reuse(world, 1, 20);
    expect_reuse(world, 2, 30);
    expect_reuse(world, 3, -1);
}

static void a_job_that_is_known_to_run_elsewhere_keeps_its_runner(void **state)
{
    struct world *world = *state;
    struct pool_place none = running_on(0, 10);
    none.use = (struct runner_use){.start = TIMESTAMP_UNKNOWN};
    move(world, 1, nowhere, none);
    move(world, 2, nowhere, running_on(7, 20));
    expect_reuse(world, 1, -1);
    move(world, 1, none, running_on(9, 10));
    expect_reuse(world, 1, -1);
    move(world, 1, running_on(9, 10), running_on(7, 10));
    expect_reuse(world, 1, 20);
    move(world, 1, running_on(7, 10), running_on(9, 10));
    expect_reuse(world, 1, -1);
}

// --- which runner ---------------------------------------------------------------------------------

static struct job_state job_on(int64_t id, const char *name, const char *group)
{
    return (struct job_state){
        .phase = JOB_OPEN,
        .body_version = {.rank = GITHUB_JOB_IN_PROGRESS},
        .runner_id = id,
        .runner_name = slice_from_string(name),
        .runner_group_name = slice_from_string(group),
        .repository = {.full_name = SLICE("acme/shop")},
        .body = {.started_at = scenario_at(10)},
    };
}

static bool is_same_runner(const struct job_state *a, const struct job_state *b)
{
    struct runner_use x = runner_use_of(a), y = runner_use_of(b);
    assert_true(x.start == scenario_at(10) && y.start == scenario_at(10));
    return memcmp(x.runner, y.runner, sizeof x.runner) == 0;
}

static void a_runner_is_its_id_and_name_on_one_server_and_of_one_owner(void **state)
{
    struct job_state a = job_on(12, "build-1", "Default"), b = a;
    (void)state;
    b.repository.full_name = SLICE("acme/site");
    assert_true(is_same_runner(&a, &b));
    b.repository.full_name = SLICE("other/shop");
    assert_false(is_same_runner(&a, &b));
    b = a;
    b.runner_id = 13;
    assert_false(is_same_runner(&a, &b));
    b = a;
    b.runner_name = SLICE("build-2");
    assert_false(is_same_runner(&a, &b));
    b = a;
    b.server = SLICE("https://ghe.example.com");
    assert_false(is_same_runner(&a, &b));
}

static void hosted_and_unknown_runners_are_left_out(void **state)
{
    const struct job_state jobs[] = {job_on(12, "GitHub Actions 12", "GitHub Actions"),
                                     job_on(12, "GitHub Actions 12", ""),
                                     job_on(12, "x", "GitHub Actions"),
                                     job_on(0, "build-1", "Default"), job_on(12, "", "Default")};
    (void)state;
    for (size_t i = 0; i < sizeof jobs / sizeof jobs[0]; i++)
        assert_int_equal(runner_use_of(&jobs[i]).start, TIMESTAMP_UNKNOWN);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, world_set_up, world_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_earlier_of_two_jobs_on_a_runner_is_not_there_any_more),
        TEST(a_job_that_is_known_by_its_end_alone_took_the_runner_too),
        TEST(the_time_follows_the_start_of_the_other_job),
        TEST(the_order_of_events_does_not_matter),
        TEST(a_job_that_is_known_to_run_elsewhere_keeps_its_runner),
        cmocka_unit_test(a_runner_is_its_id_and_name_on_one_server_and_of_one_owner),
        cmocka_unit_test(hosted_and_unknown_runners_are_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
