// The runs of commits: found by id and by its first digits, as long as the list of finished runs has them.
#include "world.h"

#include "ghatrace/stats/commits.h"
#include "ghatrace/stats/runs.h"
#include "support/orders.h"

#define A "aaaaaaa111111111111111111111111111111111"
#define B "aaaaaaa222222222222222222222222222222222"
#define C "bbbbbbb333333333333333333333333333333333"
#define LONG "aaaaaaa222222222222222222222222222222222aaaaaaaaaaaaaaaaaaaaaaaa" // begins with B

static struct commit_id id_of(const char *text)
{
    return commit_id_of(slice_from_string(text));
}

static void put_run(struct world *world, const char *commit, const char *server, int64_t run_id)
{
    const struct commit_id id = id_of(commit);
    const struct stored_run run = stored_run_of(slice_from_string(server), run_id, 1);
    must(world, commits_put(world->transaction, &id, &run, &world->error));
}

// The ids of its runs, as they are listed.
static const char *list_runs(struct world *world, const char *commit)
{
    static char text[128];
    const struct commit_id id = id_of(commit);
    struct stored_run run = {.run_id = 0};
    size_t len = 0;
    text[0] = '\0';
    while (commits_seek_older(world->transaction, &id, &run, &world->error) == ERROR_NONE)
        len += (size_t)snprintf(text + len, sizeof text - len, "%lld ", (long long)run.run_id);
    return text;
}

static void runs_are_listed_by_their_commit_newest_first(void **state)
{
    struct world *world = *state;
    world_begin(world);
    put_run(world, B, "", 3);
    put_run(world, A, "", 1);
    put_run(world, A, "", 12);
    put_run(world, A, "", 5);
    put_run(world, A, "", 5); // again
    put_run(world, A, "ghe.example", 5);
    put_run(world, LONG, "", 7);
    assert_string_equal(list_runs(world, A), "12 5 5 1 ");
    assert_string_equal(list_runs(world, B), "3 ");
    assert_string_equal(list_runs(world, LONG), "7 ");
    assert_string_equal(list_runs(world, C), "");
    assert_int_equal(commits_count(world->transaction), 6);
    const struct commit_id id = id_of(A), none = id_of("");
    const struct stored_run run = stored_run_of(SLICE("ghe.example"), 5, 1);
    struct stored_run found = stored_run_of(SLICE_EMPTY, 12, 1);
    must(world, commits_seek_older(world->transaction, &id, &found, &world->error));
    assert_true(trace_id_equals(&found.trace, &run.trace));
    must(world, commits_delete(world->transaction, &id, &run, &world->error));
    must(world, commits_delete(world->transaction, &id, &run, &world->error));
    must(world, commits_put(world->transaction, &none, &run, &world->error));
    assert_string_equal(list_runs(world, A), "12 5 1 ");
    assert_int_equal(commits_count(world->transaction), 5);
}

// The first digits that differ, of the commits that are found.
static const char *find_commits(struct world *world, const char *digits)
{
    static char text[128];
    struct commit_prefix prefix;
    struct commit_id id = {.size = 0};
    size_t len = 0;
    text[0] = '\0';
    assert_true(commit_prefix_parse(slice_from_string(digits), &prefix));
    while (commits_seek(world->transaction, &prefix, &id, &world->error) == ERROR_NONE) {
        char hex[COMMIT_ID_TEXT_SIZE];
        len += (size_t)snprintf(text + len, sizeof text - len, "%.8s/%d ", commit_id_text(&id, hex),
                                id.size);
    }
    return text;
}

static void commits_are_found_by_their_first_digits(void **state)
{
    struct world *world = *state;
    static const char *const commits[] = {C, LONG, A, B,
                                          "ffffffffffffffffffffffffffffffffffffffff"};
    world_begin(world);
    assert_string_equal(find_commits(world, "aaaaaaa"), "");
    for (size_t i = 0; i < 5; i++)
        for (int64_t run = 1; run <= 3; run++)
            put_run(world, commits[i], "", run);
    assert_string_equal(find_commits(world, "aaaaaaa"), "aaaaaaa1/20 aaaaaaa2/20 aaaaaaa2/32 ");
    assert_string_equal(find_commits(world, "AAAAAAA1"), "aaaaaaa1/20 ");
    assert_string_equal(find_commits(world, B), "aaaaaaa2/20 aaaaaaa2/32 ");
    assert_string_equal(find_commits(world, LONG), "aaaaaaa2/32 ");
    assert_string_equal(find_commits(world, "bbbbbbb3"), "bbbbbbb3/20 ");
    assert_string_equal(find_commits(world, "fffffff"), "ffffffff/20 ");
    assert_string_equal(find_commits(world, "aaaaaaa3"), "");
    assert_string_equal(find_commits(world, "0000000"), "");
}

static void finish_run(struct world *world, const char *commit, int64_t run_id, double at)
{
    const struct stored_run run = stored_run_of(SLICE_EMPTY, run_id, 1);
    const struct recent_place place = {.at = scenario_at(at), .trace = run.trace};
    const struct run_sample measure = {
        .run_id = run_id, .run_attempt = 1, .workflow = SLICE("CI"), .commit = id_of(commit)};
    must(world, recent_put(world->stats, &place, &measure, &world->error));
}

static void a_finished_run_is_listed_as_long_as_the_list_of_these_has_it(void **state)
{
    struct world *world = *state;
    size_t dropped;
    world_begin(world);
    finish_run(world, A, 1, 10);
    finish_run(world, A, 2, 20);
    finish_run(world, "", 3, 30);
    finish_run(world, B, 1, 40); // sent again, of another commit
    world_commit(world);
    world_begin(world);
    assert_string_equal(list_runs(world, A), "2 ");
    assert_string_equal(list_runs(world, B), "1 ");
    must(world, recent_expire(world->transaction, scenario_at(25), 10, &dropped, &world->error));
    assert_string_equal(list_runs(world, A), "");
    const struct trace_id from = stored_run_of(SLICE_EMPTY, 1, 1).trace,
                          to = stored_run_of(SLICE("ghe.example"), 1, 1).trace;
    must(world, recent_move(world->stats, &from, &to, &world->error));
    assert_string_equal(list_runs(world, B), "1 ");
    assert_int_equal(commits_count(world->transaction), 1);
    must(world, recent_expire(world->transaction, scenario_at(99), 10, &dropped, &world->error));
    assert_int_equal(commits_count(world->transaction), 0);
}

// As a store of an older version has none, but for what is finished meanwhile.
static void runs_of_an_older_store_are_added_in_pieces_and_after_restarts(void **state)
{
    struct world *world = *state;
    for (uint32_t round = 1; round <= 20; round++) {
        uint32_t seed = round;
        bool is_done = false;
        world_begin(world);
        for (int64_t run = 1; run <= 12; run++)
            finish_run(world, A, run, (double)run);
        must(world, store_table_clear(world->transaction, STORE_TABLE_COMMITS, &world->error));
        must(world, store_table_clear(world->transaction, STORE_TABLE_STATS, &world->error));
        world_commit(world);
        for (int64_t run = 13; !is_done; run++) {
            bool is_aborted = next_random(&seed) % 4 == 0;
            if (next_random(&seed) % 4 == 0)
                world_restart(world, &(struct stats_options){.max_pools = 0});
            world_begin(world);
            must(world,
                 commits_continue(world->stats, next_random(&seed) % 4, &is_done, &world->error));
            finish_run(world, A, run % 15 + 1, 20 + (double)run);
            is_done = is_done && !is_aborted;
            if (is_aborted)
                world_end(world);
            else
                world_commit(world);
        }
        world_begin(world);
        bool are_complete;
        must(world, commits_are_complete(world->transaction, &are_complete, &world->error));
        assert_true(are_complete);
        assert_int_equal(commits_count(world->transaction), recent_count(world->transaction));
        assert_int_equal(strlen(list_runs(world, A)),
                         2 * 9 + 3 * (commits_count(world->transaction) - 9));
        world_end(world);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(runs_are_listed_by_their_commit_newest_first, world_set_up,
                                        world_tear_down),
        cmocka_unit_test_setup_teardown(commits_are_found_by_their_first_digits, world_set_up,
                                        world_tear_down),
        cmocka_unit_test_setup_teardown(
            a_finished_run_is_listed_as_long_as_the_list_of_these_has_it, world_set_up,
            world_tear_down),
        cmocka_unit_test_setup_teardown(
            runs_of_an_older_store_are_added_in_pieces_and_after_restarts, world_set_up,
            world_tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
