// What spans of other programs cost, in calls into LMDB: little, however large the run is that they belong to.
/* wrap: mdb_put mdb_get mdb_del mdb_cursor_get */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "lmdb_calls.h"
#include "support/foreign_spans.h"

#define JOBS 1000
#define STEPS 16
#define TASKS 100

static struct foreign_request request;
static struct github_step steps[STEPS];
static char names[STEPS][24];
static enum forward_outcome outcomes[TASKS]; // of the first span of each task
static enum forward_outcome last_outcome;    // of the last span of the first task

static void deliver_job(struct engine_bench *bench, int64_t id, enum github_job_action action)
{
    bool is_end = action == GITHUB_JOB_COMPLETED;
    struct scenario_delivery job =
        scenario_job(id, action, 60, 2, action == GITHUB_JOB_QUEUED ? 2 : 6, is_end ? 60 : -1);
    for (int i = 0; i < STEPS; i++) {
        snprintf(names[i], sizeof names[i], "step %d", i);
        steps[i] = scenario_step(i + 1, names[i], 6 + i, 7 + i, "success");
    }
    memcpy(job.digest, &id, sizeof id);
    job.digest[8] = (uint8_t)action;
    if (is_end)
        scenario_set_steps(&job, steps, STEPS);
    engine_bench_accept(bench, &job);
}

static void open_bench(struct engine_bench *bench, bool has_receiver)
{
    engine_bench_open(bench);
    bench->now = scenario_at(100);
    bench->options.has_receiver = has_receiver;
    engine_bench_restart(bench);
}

static void open_large_run(struct engine_bench *bench)
{
    open_bench(bench, true);
    for (int64_t id = 1; id <= JOBS; id++) {
        deliver_job(bench, id, GITHUB_JOB_QUEUED);
        if (id % 2 == 0)
            deliver_job(bench, id, GITHUB_JOB_COMPLETED);
    }
}

// Sends the request as `TASKS` tasks in one batch. Calls for each task.
static double send_tasks(struct engine_bench *bench)
{
    static struct engine_task tasks[TASKS];
    static enum forward_outcome all[TASKS][1000];
    for (size_t i = 0; i < TASKS; i++)
        tasks[i] = (struct engine_task){.type = ENGINE_FORWARD_SPANS,
                                        .on_done = engine_bench_must_accept,
                                        .received_at = bench->now,
                                        .scopes = request.scopes,
                                        .scope_count = request.scope_count,
                                        .forward_outcomes = all[i]};
    calls = 0;
    timestamp_ns begun = timestamp_monotonic();
    engine_run_batch(bench->engine, tasks, TASKS, bench->now);
    print_message(
        "%zu spans a task: %.1f us for a span, %.2f calls for a task\n", request.span_count,
        (double)(timestamp_monotonic() - begun) / 1000 / TASKS / (double)request.span_count,
        (double)calls / TASKS);
    for (size_t i = 0; i < TASKS; i++)
        outcomes[i] = all[i][0];
    last_outcome = all[0][request.span_count - 1];
    return (double)calls / TASKS;
}

// Of the large run.
static void make_request(size_t spans)
{
    const struct trace_id trace = trace_id_of_run(ID_SCHEME_ARC, SCENARIO_RUN_ID, 1);
    foreign_start_scope(&request);
    for (size_t i = 0; i < spans; i++)
        foreign_add_span(&request, &trace, foreign_id(100000 + i), 100);
}

static void a_span_costs_the_same_in_a_large_run_as_in_a_small_one(void **state)
{
    struct engine_bench bench;
    (void)state;
    open_large_run(&bench);
    // The first one reads the entries of the run's jobs.
    make_request(1);
    double first = send_tasks(&bench);
    assert_true(first * TASKS < JOBS + 1 + 6 * TASKS);
    // Three writes for its record, and what a commit costs.
    assert_true(send_tasks(&bench) < 5);
    assert_int_equal(outcomes[0], FORWARD_ACCEPTED);
    make_request(1000);
    assert_true(send_tasks(&bench) < 5);
    engine_bench_close(&bench);
}

enum { RUNS = 256, JOBS_OF_EACH = 40 };

static void complete_jobs_of_run(struct engine_bench *bench, int64_t run)
{
    static struct scenario_delivery made[JOBS_OF_EACH];
    static struct engine_task tasks[JOBS_OF_EACH];
    for (int64_t i = 0; i < JOBS_OF_EACH; i++) {
        const int64_t id = run * 1000 + i;
        made[i] = scenario_job(id, GITHUB_JOB_COMPLETED, 60, 2, 6, 60);
        made[i].event.job.run_id = run;
        tasks[i] = (struct engine_task){.type = ENGINE_APPLY_EVENT,
                                        .on_done = engine_bench_must_accept,
                                        .event = &made[i].event,
                                        .received_at = bench->now,
                                        .occurred_at = bench->now};
        memcpy(tasks[i].delivery_digest, &id, sizeof id);
    }
    engine_run_batch(bench->engine, tasks, JOBS_OF_EACH, bench->now);
}

// Of 256 runs with 40 jobs each; a batch reads 8,192 jobs.
static void a_batch_reads_a_bounded_number_of_jobs_for_spans_of_many_runs(void **state)
{
    struct engine_bench bench;
    (void)state;
    open_bench(&bench, true);
    bench.map_bytes = (size_t)1 << 29;
    engine_bench_restart(&bench);
    foreign_start_scope(&request);
    for (int64_t run = 1; run <= RUNS; run++) {
        const struct trace_id trace = trace_id_of_run(ID_SCHEME_ARC, run, 1);
        complete_jobs_of_run(&bench, run);
        foreign_add_span(&request, &trace, foreign_id(10000000 + (uint64_t)run), 10);
    }
    engine_bench_restart(&bench);
    const double written = 3 * RUNS + 10; // by each task, and upkeep
    assert_true(send_tasks(&bench) < (8192 + RUNS) / (double)TASKS + written);
    assert_int_equal(outcomes[0], FORWARD_ACCEPTED);
    assert_int_equal(last_outcome, FORWARD_NO_ROOM);
    assert_true(send_tasks(&bench) < (8192 + RUNS) / (double)TASKS + written);
    assert_int_equal(last_outcome, FORWARD_ACCEPTED);
    assert_true(send_tasks(&bench) < written);
    assert_int_equal(last_outcome, FORWARD_ACCEPTED);
    engine_bench_close(&bench);
}

static void what_is_refused_costs_nothing_in_the_store(void **state)
{
    struct engine_bench bench;
    (void)state;
    open_large_run(&bench);
    make_request(1);
    (void)send_tasks(&bench);
    request.scopes[0].spans[0].span_id = foreign_id(1);
    assert_true(send_tasks(&bench) < 1);
    assert_int_equal(outcomes[0], FORWARD_OUR_ID);
    engine_bench_close(&bench);
}

static void the_run_goes_on_without_its_ids_being_read_again(void **state)
{
    struct engine_bench bench;
    (void)state;
    open_large_run(&bench);
    make_request(1);
    (void)send_tasks(&bench);
    deliver_job(&bench, JOBS - 1, GITHUB_JOB_COMPLETED);
    deliver_job(&bench, JOBS + 1, GITHUB_JOB_QUEUED);
    assert_true(send_tasks(&bench) < 5);
    request.scopes[0].spans[0].span_id = foreign_id(JOBS + 1);
    (void)send_tasks(&bench);
    assert_int_equal(outcomes[0], FORWARD_OUR_ID);
    engine_bench_close(&bench);
}

static void an_event_costs_two_calls_more(void **state)
{
    (void)state;
    long without[2] = {0, 0};
    for (int has_receiver = 0; has_receiver < 2; has_receiver++) {
        struct engine_bench bench;
        open_bench(&bench, has_receiver == 1);
        deliver_job(&bench, 1, GITHUB_JOB_QUEUED);
        for (int i = 0; i < 2; i++) {
            calls = 0;
            deliver_job(&bench, 2, i == 0 ? GITHUB_JOB_QUEUED : GITHUB_JOB_COMPLETED);
            print_message("%ld calls, %s a receiver\n", calls,
                          has_receiver == 1 ? "with" : "without");
            if (has_receiver == 0)
                without[i] = calls;
            else
                assert_true(calls <= without[i] + 2);
        }
        engine_bench_close(&bench);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_span_costs_the_same_in_a_large_run_as_in_a_small_one),
        cmocka_unit_test(a_batch_reads_a_bounded_number_of_jobs_for_spans_of_many_runs),
        cmocka_unit_test(what_is_refused_costs_nothing_in_the_store),
        cmocka_unit_test(the_run_goes_on_without_its_ids_being_read_again),
        cmocka_unit_test(an_event_costs_two_calls_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
