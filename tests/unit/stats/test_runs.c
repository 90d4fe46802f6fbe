// Finished and open runs: newest first, each once.
#include "world.h"

#include "ghatrace/stats/runs.h"

static struct recent_place place_of(uint8_t run, double at)
{
    return (struct recent_place){.at = scenario_at(at), .trace = {{run}}};
}

static void put(struct world *world, uint8_t run, double at)
{
    struct recent_place place = place_of(run, at);
    struct run_sample measure = {.run_id = run, .end = scenario_at(at), .workflow = SLICE("CI")};
    must(world, recent_put(world->stats, &place, &measure, &world->error));
}

// The runs' numbers, newest first.
static void assert_listed(struct world *world, const char *expected)
{
    char listed[64] = "";
    struct recent_place place = {.at = 0};
    struct recent_run run;
    world_read(world);
    while (recent_seek_older(world->transaction, &place, &run, &world->error) == ERROR_NONE) {
        size_t len = strlen(listed);
        (void)snprintf(listed + len, sizeof listed - len, "%d ", (int)run.measure.run_id);
        assert_int_equal(run.place.trace.bytes[0], run.measure.run_id);
        place = run.place;
    }
    assert_string_equal(listed, expected);
    assert_int_equal(recent_count(world->transaction),
                     store_table_count(world->transaction, STORE_TABLE_RECENT_BY_TRACE));
    world_end(world);
}

static void finished_runs_are_listed_newest_first(void **state)
{
    struct world *world = *state;
    world_begin(world);
    put(world, 2, 20);
    put(world, 1, 10);
    put(world, 4, 20); // at the same time
    put(world, 3, 30);
    world_commit(world);
    assert_listed(world, "3 4 2 1 ");
}

static void a_root_that_is_sent_again_replaces_the_earlier_entry(void **state)
{
    struct world *world = *state;
    world_begin(world);
    put(world, 1, 10);
    put(world, 2, 20);
    world_commit(world);
    world_begin(world);
    put(world, 1, 30);
    world_commit(world);
    assert_listed(world, "1 2 ");
    world_begin(world);
    put(world, 1, 30); // at the very same time
    world_commit(world);
    assert_listed(world, "1 2 ");
}

static void old_runs_are_dropped_a_piece_at_a_time(void **state)
{
    struct world *world = *state;
    size_t dropped;
    world_begin(world);
    for (uint8_t run = 1; run <= 5; run++)
        put(world, run, run * 10);
    world_commit(world);
    world_begin(world);
    must(world, recent_expire(world->transaction, scenario_at(30), 1, &dropped, &world->error));
    assert_int_equal(dropped, 1);
    must(world, recent_expire(world->transaction, scenario_at(30), 10, &dropped, &world->error));
    assert_int_equal(dropped, 1);
    must(world, recent_expire(world->transaction, scenario_at(30), 10, &dropped, &world->error));
    assert_int_equal(dropped, 0);
    world_commit(world);
    assert_listed(world, "5 4 3 ");
    world_begin(world);
    must(world, recent_expire(world->transaction, INT64_MAX, 10, &dropped, &world->error));
    world_commit(world);
    assert_listed(world, "");
}

// --- by ends ---

static void put_ended(struct world *world, uint8_t run, double sent, double ended)
{
    struct recent_place place = place_of(run, sent);
    struct run_sample measure = {.run_id = run,
                                 .end = ended > 0 ? scenario_at(ended) : TIMESTAMP_UNKNOWN};
    must(world, recent_put(world->stats, &place, &measure, &world->error));
}

static void assert_ended(struct world *world, const char *expected)
{
    char listed[64] = "";
    struct recent_place place = {.at = 0};
    struct recent_run run;
    world_read(world);
    while (recent_seek_ended_before(world->transaction, &place, &run, &world->error) ==
           ERROR_NONE) {
        size_t len = strlen(listed);
        (void)snprintf(listed + len, sizeof listed - len, "%d ", (int)run.measure.run_id);
        place = recent_end_place(&run);
    }
    assert_string_equal(listed, expected);
    assert_int_equal(recent_count(world->transaction),
                     store_table_count(world->transaction, STORE_TABLE_ENDED_RUNS));
    world_end(world);
}

static void runs_are_listed_by_ends_whenever_they_were_sent(void **state)
{
    struct world *world = *state;
    world_begin(world);
    put_ended(world, 1, 1000, 10);
    put_ended(world, 2, 500, 20);
    put_ended(world, 3, 700, 20); // at the same time
    put_ended(world, 4, 600, 0);  // without an end: by when it was sent
    world_commit(world);
    assert_ended(world, "4 3 2 1 ");
}

static void an_end_in_the_future_counts_as_when_the_run_was_sent(void **state)
{
    struct world *world = *state;
    world_begin(world);
    put_ended(world, 1, 100, 90);
    put_ended(world, 2, 100, 1e9);
    put_ended(world, 3, 120, 110);
    world_commit(world);
    assert_ended(world, "3 2 1 ");
}

static void a_corrected_end_moves_the_run_in_the_list_by_ends(void **state)
{
    struct world *world = *state;
    world_begin(world);
    put_ended(world, 1, 100, 10);
    put_ended(world, 2, 100, 20);
    world_commit(world);
    world_begin(world);
    put_ended(world, 1, 200, 30);
    world_commit(world);
    assert_ended(world, "1 2 ");
    world_begin(world);
    put_ended(world, 1, 200, 15); // sent at the very same time
    world_commit(world);
    assert_ended(world, "2 1 ");
}

static void a_dropped_or_moved_run_is_dropped_or_moved_in_the_list_by_ends(void **state)
{
    struct world *world = *state;
    struct trace_id from = {{1}}, to = {{9}};
    struct recent_place place = {.at = 0};
    struct recent_run run;
    size_t dropped;
    world_begin(world);
    put_ended(world, 1, 300, 10);
    put_ended(world, 2, 100, 20);
    put_ended(world, 3, 200, 30);
    world_commit(world);
    world_begin(world);
    must(world, recent_expire(world->transaction, scenario_at(200), 10, &dropped, &world->error));
    must(world, recent_move(world->stats, &from, &to, &world->error));
    world_commit(world);
    assert_ended(world, "3 1 ");
    world_read(world);
    must(world, recent_seek_ended_before(world->transaction, &place, &run, &world->error));
    place = recent_end_place(&run);
    must(world, recent_seek_ended_before(world->transaction, &place, &run, &world->error));
    assert_int_equal(run.place.trace.bytes[0], 9);
    world_end(world);
}

static void a_summary_is_read_back_unchanged(void **state)
{
    struct world *world = *state;
    struct recent_place place = place_of(7, 62);
    struct recent_run run;
    struct run_sample measure = {
        .repository = SLICE("octo/Hello_World"),
        .workflow = SLICE("CI"),
        .branch = SLICE("main"),
        .event_name = SLICE("push"),
        .display_title = SLICE("fix the \xc3\xa9"),
        .actor = SLICE("mona"),
        .result = SLICE("failure"),
        .conclusion = SLICE("timed_out"),
        .run_id = INT64_MAX,
        .run_attempt = 3,
        .run_number = 75,
        .job_count = 12,
        .start = scenario_at(0),
        .end = scenario_at(62),
        .is_incomplete = true,
        .trace = {{1, 2, 3}},
    };
    world_begin(world);
    must(world, recent_put(world->stats, &place, &measure, &world->error));
    world_commit(world);
    world_read(world);
    must(world, recent_find(world->transaction, &place.trace, &run, &world->error));
    assert_int_equal(run.place.at, place.at);
    const struct run_sample *found = &run.measure;
    assert_text(found->repository, "octo/Hello_World");
    assert_text(found->workflow, "CI");
    assert_text(found->branch, "main");
    assert_text(found->event_name, "push");
    assert_text(found->display_title, "fix the \xc3\xa9");
    assert_text(found->actor, "mona");
    assert_text(found->result, "failure");
    assert_text(found->conclusion, "timed_out");
    assert_int_equal(found->run_id, INT64_MAX);
    assert_int_equal(found->run_attempt, 3);
    assert_int_equal(found->run_number, 75);
    assert_int_equal(found->job_count, 12);
    assert_int_equal(found->start, measure.start);
    assert_int_equal(found->end, measure.end);
    assert_true(found->is_incomplete);
    assert_memory_equal(found->trace.bytes, measure.trace.bytes, TRACE_ID_SIZE);
    place.trace.bytes[0] = 8;
    assert_int_equal(recent_find(world->transaction, &place.trace, &run, &world->error),
                     ERROR_NOT_FOUND);
}

static void a_damaged_summary_is_left_out_and_counted(void **state)
{
    struct world *world = *state;
    struct recent_place none = {.at = 0};
    struct recent_run run;
    world_begin(world);
    must(world, store_table_put(world->transaction, STORE_TABLE_RECENT,
                                SLICE("123456781234567812345678"), SLICE("short"), &world->error));
    assert_int_equal(recent_seek_older(world->transaction, &none, &run, &world->error),
                     ERROR_NOT_FOUND);
    assert_int_equal(store_unreadable(world->transaction), 1);
}

// The same number on several servers, too: each is listed, and removed separately.
static void open_runs_are_listed_newest_first(void **state)
{
    static const int64_t names[][2] = {{5, 1}, {300, 2}, {300, 1}, {INT64_C(5000000000), 1}};
    static const size_t expected[] = {3, 1, 2, 0};
    static const struct slice servers[] = {{"", 0}, {"a.example", 9}, {"b.example", 9}};
    struct world *world = *state;
    struct stored_run run = {.run_id = 0};
    world_begin(world);
    for (size_t i = 0; i < 12; i++) {
        const int64_t *name = names[i % 4];
        run = stored_run_of(servers[i / 4], name[0], name[1]);
        must(world, open_runs_put(world->stats, &run, &world->error));
        must(world, open_runs_put(world->stats, &run, &world->error)); // once is enough
    }
    world_commit(world);
    world_read(world);
    assert_int_equal(open_runs_count(world->transaction), 12);
    run = (struct stored_run){.run_id = 0};
    for (size_t i = 0; i < 12; i++) {
        const int64_t *name = names[expected[i / 3]];
        must(world, open_runs_seek_older(world->transaction, &run, &world->error));
        assert_int_equal(run.run_id, name[0]);
        assert_int_equal(run.run_attempt, name[1]);
        // Where it is stored: among those of one name, that of github.com has the first key.
        assert_int_equal(stored_run_is_usual(&run), i % 3 == 2);
    }
    assert_int_equal(open_runs_seek_older(world->transaction, &run, &world->error),
                     ERROR_NOT_FOUND);
    world_end(world);
    world_begin(world);
    for (size_t i = 0; i < 2; i++) {
        run = stored_run_of(servers[1], 300, 2);
        must(world, open_runs_delete(world->stats, &run, &world->error));
        run = stored_run_of(servers[2], 300, 1);
        run.run_attempt = 0; // only its position is known
        must(world, open_runs_remove_unreadable(world->stats, &run, &world->error));
        run = stored_run_of(servers[0], 5, 1);
        must(world, open_runs_remove_unreadable(world->stats, &run, &world->error));
    }
    world_commit(world);
    world_read(world);
    assert_int_equal(open_runs_count(world->transaction), 9);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, world_set_up, world_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(finished_runs_are_listed_newest_first),
        TEST(a_root_that_is_sent_again_replaces_the_earlier_entry),
        TEST(old_runs_are_dropped_a_piece_at_a_time),
        TEST(runs_are_listed_by_ends_whenever_they_were_sent),
        TEST(an_end_in_the_future_counts_as_when_the_run_was_sent),
        TEST(a_corrected_end_moves_the_run_in_the_list_by_ends),
        TEST(a_dropped_or_moved_run_is_dropped_or_moved_in_the_list_by_ends),
        TEST(a_summary_is_read_back_unchanged),
        TEST(a_damaged_summary_is_left_out_and_counted),
        TEST(open_runs_are_listed_newest_first),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
