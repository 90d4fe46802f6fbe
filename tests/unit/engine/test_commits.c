// The list of runs by their commit, as events of a run come.
/* wrap: mdb_put mdb_get mdb_del mdb_cursor_get */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "ghatrace/stats/commits.h"
#include "lmdb_calls.h"
#include "support/engine_bench.h"
#include "support/orders.h"

#define COMMIT_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define COMMIT_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

static struct scenario_delivery of_commit(struct scenario_delivery delivery, const char *commit)
{
    if (delivery.event.kind == GITHUB_EVENT_JOB)
        delivery.event.job.head_sha = slice_from_string(commit);
    else
        delivery.event.run.head_sha = slice_from_string(commit);
    return delivery;
}

static void deliver_of(struct engine_bench *bench, struct scenario_delivery delivery,
                       const char *commit)
{
    delivery = of_commit(delivery, commit);
    engine_bench_accept(bench, &delivery);
}

static uint64_t count_entries(struct engine_bench *bench)
{
    return engine_bench_count_entries(bench, STORE_TABLE_COMMITS);
}

// Number of runs of the commit; each is the scenario's.
static size_t count_runs(struct engine_bench *bench, const char *text)
{
    struct error error = {0};
    struct store_transaction *transaction;
    struct stored_run run = {.run_id = 0};
    const struct commit_id commit = commit_id_of(slice_from_string(text));
    size_t count = 0;
    assert_int_equal(store_begin(bench->store, false, &transaction, &error), ERROR_NONE);
    for (; commits_seek_older(transaction, &commit, &run, &error) == ERROR_NONE; count++)
        assert_int_equal(run.run_id, SCENARIO_RUN_ID);
    store_abort(transaction);
    return count;
}

static void let_history_pass(struct engine_bench *bench)
{
    for (int hour = 0; hour < 27; hour++) {
        bench->now += NS_PER_HOUR;
        engine_run_batch(bench->engine, NULL, 0, bench->now);
    }
}

static void a_run_is_listed_from_its_first_event_until_the_history_is_over(void **state)
{
    struct engine_bench *bench = *state;
    deliver_of(bench, scenario_job(1, GITHUB_JOB_QUEUED, 2, 2, 2, -1), COMMIT_A);
    assert_int_equal(count_runs(bench, COMMIT_A), 1);
    engine_bench_restart(bench);
    deliver_of(bench, scenario_job(1, GITHUB_JOB_COMPLETED, 60, 2, 6, 60), COMMIT_A);
    deliver_of(bench, scenario_run(GITHUB_RUN_COMPLETED, 62, "success"), COMMIT_A);
    assert_int_equal(count_runs(bench, COMMIT_A), 1);
    assert_int_equal(count_entries(bench), 1);
    let_history_pass(bench);
    assert_int_equal(engine_bench_count_entries(bench, STORE_TABLE_RECENT), 0);
    assert_int_equal(count_entries(bench), 0);
}

static void the_commit_of_the_runs_own_events_replaces_that_of_its_jobs(void **state)
{
    struct engine_bench *bench = *state;
    deliver_of(bench, scenario_job(1, GITHUB_JOB_QUEUED, 2, 2, 2, -1), COMMIT_A);
    deliver_of(bench, scenario_run(GITHUB_RUN_IN_PROGRESS, 3, ""), COMMIT_B);
    assert_int_equal(count_runs(bench, COMMIT_A), 0);
    assert_int_equal(count_runs(bench, COMMIT_B), 1);
    assert_int_equal(count_entries(bench), 1);
}

static void attempts_are_listed_each(void **state)
{
    struct engine_bench *bench = *state;
    struct scenario_delivery again = scenario_run(GITHUB_RUN_COMPLETED, 70, "success");
    scenario_set_attempt(&again, 2);
    deliver_of(bench, scenario_run(GITHUB_RUN_COMPLETED, 62, "failure"), COMMIT_A);
    deliver_of(bench, again, COMMIT_A);
    assert_int_equal(count_runs(bench, COMMIT_A), 2);
}

static void a_run_of_no_commit_is_not_listed(void **state)
{
    struct engine_bench *bench = *state;
    static const char *const texts[] = {"", "main", "aaaaaaa", COMMIT_A "a"};
    for (int i = 0; i < 4; i++) {
        struct scenario_delivery run = scenario_run(GITHUB_RUN_IN_PROGRESS, 60 + i, "");
        scenario_set_attempt(&run, i + 1);
        deliver_of(bench, run, texts[i]);
    }
    assert_int_equal(count_entries(bench), 0);
}

// Jobs and run name two commits, in whatever order they come: the run is of one, and in the end of none.
static void in_any_order_of_events_one_entry_is_left_and_then_none(void **state)
{
    size_t order[5] = {0, 1, 2, 3, 4};
    (void)state;
    do {
        struct engine_bench bench;
        engine_bench_open(&bench);
        bench.now = scenario_at(100);
        struct scenario_delivery all[5] = {
            of_commit(scenario_job(1, GITHUB_JOB_QUEUED, 2, 2, 2, -1), COMMIT_A),
            of_commit(scenario_run(GITHUB_RUN_IN_PROGRESS, 3, ""), COMMIT_B),
            of_commit(scenario_job(1, GITHUB_JOB_IN_PROGRESS, 6, 2, 6, -1), COMMIT_A),
            of_commit(scenario_job(1, GITHUB_JOB_COMPLETED, 60, 2, 6, 60), COMMIT_A),
            of_commit(scenario_run(GITHUB_RUN_COMPLETED, 62, "success"), COMMIT_A),
        };
        for (size_t i = 0; i < 5; i++)
            engine_bench_accept(&bench, &all[order[i]]);
        engine_bench_advance(&bench, NS_PER_HOUR);
        assert_int_equal(count_runs(&bench, COMMIT_A), 1);
        assert_int_equal(count_entries(&bench), 1);
        let_history_pass(&bench);
        assert_int_equal(count_entries(&bench), 0);
        engine_bench_close(&bench);
    } while (next_permutation(order, 5));
}

// Calls for one event of each of 1,000 runs, the first or the last.
static double cost_of_runs(struct engine_bench *bench, enum github_run_action action,
                           bool has_commit)
{
    calls = 0;
    for (int i = 0; i < 1000; i++) {
        char text[2 * COMMIT_ID_SHA1_SIZE + 1];
        struct scenario_delivery run =
            scenario_run(action, action == GITHUB_RUN_COMPLETED ? 60 : 1,
                         action == GITHUB_RUN_COMPLETED ? "success" : "");
        (void)snprintf(text, sizeof text, "%08x%032x", (unsigned)i * 2654435761u, 0);
        run.event.run.run_id += i;
        memcpy(run.digest, &i, sizeof i);
        run.digest[8] = (uint8_t)action;
        deliver_of(bench, run, has_commit ? text : "");
    }
    return (double)calls / 1000;
}

static void a_commit_costs_a_run_few_calls(void **state)
{
    struct engine_bench without, with;
    (void)state;
    engine_bench_open(&without);
    engine_bench_open(&with);
    without.now = with.now = scenario_at(100);
    double first = cost_of_runs(&with, GITHUB_RUN_IN_PROGRESS, true) -
                   cost_of_runs(&without, GITHUB_RUN_IN_PROGRESS, false);
    double last = cost_of_runs(&with, GITHUB_RUN_COMPLETED, true) -
                  cost_of_runs(&without, GITHUB_RUN_COMPLETED, false);
    print_message("for its commit: %.2f calls at a run's first event, %.2f at its last\n", first,
                  last);
    assert_true(first < 2.1); // looked for, written
    assert_true(last < 1.1);  // looked for
    engine_bench_close(&without);
    engine_bench_close(&with);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            a_run_is_listed_from_its_first_event_until_the_history_is_over, engine_bench_set_up,
            engine_bench_tear_down),
        cmocka_unit_test_setup_teardown(the_commit_of_the_runs_own_events_replaces_that_of_its_jobs,
                                        engine_bench_set_up, engine_bench_tear_down),
        cmocka_unit_test_setup_teardown(attempts_are_listed_each, engine_bench_set_up,
                                        engine_bench_tear_down),
        cmocka_unit_test_setup_teardown(a_run_of_no_commit_is_not_listed, engine_bench_set_up,
                                        engine_bench_tear_down),
        cmocka_unit_test(in_any_order_of_events_one_entry_is_left_and_then_none),
        cmocka_unit_test(a_commit_costs_a_run_few_calls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
