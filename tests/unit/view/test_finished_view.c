// Finished runs by their ends, whenever they were sent.
#include "../stats/world.h"

#include "ghatrace/stats/runs.h"
#include "ghatrace/view/finished_view.h"

#define RUNS 300

struct sent {
    int number;
    double sent, ended; // seconds of the scenario
    const char *repository;
    const char *workflow;
    const char *conclusion;
};

static void put(struct world *world, const struct sent *run)
{
    struct recent_place place = {.at = scenario_at(run->sent),
                                 .trace = {{(uint8_t)(run->number >> 8), (uint8_t)run->number}}};
    struct run_sample measure = {.run_id = run->number,
                                 .run_attempt = 1,
                                 .start = scenario_at(run->ended - 60),
                                 .end = scenario_at(run->ended),
                                 .repository = slice_from_string(run->repository),
                                 .workflow = slice_from_string(run->workflow),
                                 .conclusion = slice_from_string(run->conclusion)};
    must(world, recent_put(world->stats, &place, &measure, &world->error));
}

static void put_all(struct world *world, const struct sent *runs, size_t count)
{
    world_begin(world);
    for (size_t i = 0; i < count; i++)
        put(world, &runs[i]);
    world_commit(world);
}

static void assert_finished(struct world *world, struct finished_filter filter,
                            const char *expected)
{
    char listed[256] = "";
    struct finished_view view;
    world_read(world);
    const struct view_reader reader = {world->transaction, &world->arena, &world->error};
    must(world, finished_view_load(&reader, &filter, &view));
    for (size_t i = 0; i < view.count; i++) {
        size_t len = strlen(listed);
        (void)snprintf(listed + len, sizeof listed - len, "%d ", (int)view.runs[i].run_id);
    }
    if (view.has_more)
        (void)snprintf(listed + strlen(listed), sizeof listed - strlen(listed), "...");
    assert_string_equal(listed, expected);
    world_end(world);
}

static const struct sent some[] = {
    {1, 1000, 990, "octo/shop", "CI", "success"},
    {2, 2000, 1990, "octo/shop", "Deploy", "failure"},
    {3, 90000, 500, "octo/site", "CI", "timed_out"}, // delivered late
    {4, 80000, 1500, "Octo/Site", "ci nightly", "cancelled"},
    {5, 70000, 69990, "octo/shop", "CI", "startup_failure"},
};
#define SOME (sizeof some / sizeof some[0])

static void runs_are_listed_by_their_ends_whenever_they_were_sent(void **state)
{
    struct world *world = *state;
    put_all(world, some, SOME);
    assert_finished(world, (struct finished_filter){.limit = 10}, "5 2 4 1 3 ");
    assert_finished(world, (struct finished_filter){.limit = 5}, "5 2 4 1 3 ");
    assert_finished(world, (struct finished_filter){.limit = 2}, "5 2 ...");
}

static void filters_select_runs(void **state)
{
    struct world *world = *state;
    put_all(world, some, SOME);
    assert_finished(world, (struct finished_filter){.limit = 10, .is_failed = true}, "5 2 3 ");
    assert_finished(world, (struct finished_filter){.limit = 10, .repository = SLICE("SITE")},
                    "4 3 ");
    assert_finished(world, (struct finished_filter){.limit = 10, .workflow = SLICE("CI")},
                    "5 4 1 3 ");
    assert_finished(world, (struct finished_filter){.limit = 10, .since = scenario_at(1500)},
                    "5 2 4 ");
    assert_finished(world, (struct finished_filter){.limit = 10, .workflow = SLICE("no")}, "");
}

static int compare_numbers(const void *a, const void *b)
{
    double x = ((const struct sent *)a)->ended, y = ((const struct sent *)b)->ended;
    return x < y ? 1 : x > y ? -1 : 0;
}

static void any_number_of_the_last_ends_is_found_among_many(void **state)
{
    struct world *world = *state;
    struct sent runs[RUNS];
    unsigned random = 7;
    for (int i = 0; i < RUNS; i++) {
        random = random * 1103515245 + 12345;
        double ended = 100.0 * i, late = random >> 16 & 1 ? 5 : (random >> 17) % 40000;
        runs[i] = (struct sent){i + 1, ended + late, ended, "octo/shop", "CI", "success"};
    }
    put_all(world, runs, RUNS);
    qsort(runs, RUNS, sizeof runs[0], compare_numbers);
    for (size_t limit = 1; limit <= 40; limit += 13) {
        char expected[256] = "";
        for (size_t i = 0; i < limit; i++)
            (void)snprintf(expected + strlen(expected), sizeof expected - strlen(expected), "%d ",
                           runs[i].number);
        (void)snprintf(expected + strlen(expected), sizeof expected - strlen(expected), "...");
        assert_finished(world, (struct finished_filter){.limit = limit}, expected);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, world_set_up, world_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(runs_are_listed_by_their_ends_whenever_they_were_sent),
        TEST(filters_select_runs),
        TEST(any_number_of_the_last_ends_is_found_among_many),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
