// Jobs at the gate of an environment: waits, states that are kept, and approvals that take weeks.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <time.h>

#include "ghatrace/base/log.h"
#include "ghatrace/stats/series.h"
#include "support/engine_bench.h"
#include "support/stats_verify.h"

#define QUEUED GITHUB_JOB_QUEUED
#define WAITING GITHUB_JOB_WAITING
#define IN_PROGRESS GITHUB_JOB_IN_PROGRESS
#define COMPLETED GITHUB_JOB_COMPLETED

// Longer than root-grace, shorter than all other waits.
#define PAUSE (11 * NS_PER_SECOND)

// --- jobs --------------------------------------------------------------------------------------------

static struct scenario_delivery gated(enum github_job_action action, double at)
{
    struct scenario_delivery delivery = scenario_job(1, action, at, 2, 2, -1);
    scenario_set_deployment(&delivery, 3192898954, "production");
    return delivery;
}

static struct scenario_delivery gated_start(double at)
{
    struct scenario_delivery delivery = scenario_job(1, IN_PROGRESS, at, 2, at, -1);
    scenario_set_deployment(&delivery, 3192898954, "production");
    return delivery;
}

static struct scenario_delivery gated_end(double started, double at)
{
    struct scenario_delivery delivery = scenario_job(1, COMPLETED, at, 2, started, at);
    scenario_set_deployment(&delivery, 3192898954, "production");
    return delivery;
}

// No runner ever took it.
static struct scenario_delivery cancelled_at(double at)
{
    struct scenario_delivery delivery = gated_end(at, at);
    scenario_set_conclusion(&delivery, "cancelled");
    scenario_set_runner(&delivery, 0, "");
    return delivery;
}

static uint64_t measured_jobs(struct engine_bench *bench)
{
    struct store_transaction *transaction;
    struct series_id id = {{0}};
    struct series series;
    struct error error = {0};
    uint64_t sum = 0;
    assert_int_equal(store_begin(bench->store, false, &transaction, &error), ERROR_NONE);
    while (series_seek(transaction, SERIES_JOB, &id, &series, &error) == ERROR_NONE) {
        sum += series.count;
        series_id_increment(&id);
    }
    store_abort(transaction);
    return sum;
}

// --- what is waited for, and what is kept ------------------------------------------------------------

struct gate {
    struct engine_bench bench;
    struct buffer text;
};

static int set_up(void **state)
{
    struct gate *gate = test_calloc(1, sizeof *gate);
    log_configure(LOG_ERROR + 1, LOG_FORMAT_TEXT);
    engine_bench_open(&gate->bench);
    buffer_init(&gate->text, 1 << 20);
    *state = gate;
    return 0;
}

static int tear_down(void **state)
{
    struct gate *gate = *state;
    engine_bench_close(&gate->bench);
    buffer_release(&gate->text);
    test_free(gate);
    return 0;
}

static void deliver(struct gate *gate, struct scenario_delivery delivery)
{
    engine_bench_accept(&gate->bench, &delivery);
}

static void assert_spans(struct gate *gate, const char *expected)
{
    engine_bench_spans(&gate->bench, &gate->text);
    assert_string_equal(gate->text.data, expected);
}

static struct store_usage usage_of(struct gate *gate)
{
    struct store_usage usage;
    struct store_transaction *transaction;
    struct error error = {0};
    assert_int_equal(store_begin(gate->bench.store, false, &transaction, &error), ERROR_NONE);
    store_read_usage(transaction, &usage);
    store_abort(transaction);
    return usage;
}

static uint64_t late(struct gate *gate)
{
    struct engine_counters counters;
    engine_read_counters(gate->bench.engine, &counters);
    return counters.late;
}

static void a_job_without_a_runner_settles_if_its_release_was_not_received(void **state)
{
    struct gate *gate = *state;
    deliver(gate, gated(QUEUED, 2.5));
    deliver(gate, cancelled_at(90));
    engine_bench_advance(&gate->bench, 9 * NS_PER_SECOND);
    assert_spans(gate, "");
    engine_bench_advance(&gate->bench, NS_PER_SECOND);
    assert_spans(gate, "job build 2..90 cancellation queue_time_ms=88000\n"
                       "runner.queue 2..90\n");
}

static void a_deployment_known_by_its_environment_alone_settles_too(void **state)
{
    struct gate *gate = *state;
    struct scenario_delivery cancelled = cancelled_at(90);
    scenario_set_deployment(&cancelled, 0, "production");
    deliver(gate, cancelled);
    assert_spans(gate, "");
    deliver(gate, gated(WAITING, 3.25));
    engine_bench_advance(&gate->bench, 10 * NS_PER_SECOND);
    assert_spans(gate, "job build 2..90 cancellation\n"
                       "job.waiting 2..90\n");
}

static void a_job_whose_release_is_known_does_not_settle(void **state)
{
    struct gate *gate = *state;
    deliver(gate, gated(WAITING, 3.25));
    deliver(gate, gated(QUEUED, 30.25));
    deliver(gate, cancelled_at(90));
    assert_spans(gate, "job build 2..90 cancellation queue_time_ms=59750\n"
                       "job.waiting 2..30.25\n"
                       "runner.queue 30.25..90\n");
    assert_int_equal(usage_of(gate).job_notes, 1);
}

static void a_skipped_deployment_does_not_settle(void **state)
{
    struct gate *gate = *state;
    struct scenario_delivery skipped = cancelled_at(4);
    scenario_set_conclusion(&skipped, "skipped");
    deliver(gate, gated(QUEUED, 2.5));
    deliver(gate, skipped);
    assert_spans(gate, "job build 2..4 skip\n");
    assert_int_equal(usage_of(gate).job_notes, 1);
}

static void events_after_the_grace_send_a_job_again(void **state)
{
    struct gate *gate = *state;
    deliver(gate, gated_end(45, 60));
    engine_bench_advance(&gate->bench, PAUSE);
    assert_spans(gate, "job build 2..60 success queue_time_ms=43000\n"
                       "runner.queue 2..45\n"
                       "runner.execution 45..60 success\n");
    deliver(gate, gated(QUEUED, 2.5)); // changes nothing
    deliver(gate, gated_start(45));
    assert_int_equal(late(gate), 2);
    deliver(gate, gated(QUEUED, 30.25));
    assert_int_equal(late(gate), 3);
    engine_bench_restart(&gate->bench);
    deliver(gate, gated(WAITING, 3.25)); // now all is known
    assert_spans(gate, "job build 2..60 success queue_time_ms=43000\n"
                       "runner.queue 2..45\n"
                       "runner.execution 45..60 success\n"
                       "job build 2..60 success queue_time_ms=14750\n"
                       "job.waiting 2..30.25\n"
                       "runner.queue 30.25..45\n"
                       "runner.execution 45..60 success\n");
    assert_int_equal(measured_jobs(&gate->bench), 1);
    // Only a note of it is left.
    assert_int_equal(usage_of(gate).job_notes, 1);
    deliver(gate, gated(WAITING, 50));
    assert_int_equal(late(gate), 1); // since the restart
}

// It was exported as a queue: that span was sent, so it is sent again with zero length.
static void a_queue_that_did_not_exist_is_sent_again_with_zero_length(void **state)
{
    struct gate *gate = *state;
    deliver(gate, cancelled_at(90));
    engine_bench_advance(&gate->bench, PAUSE);
    deliver(gate, gated(WAITING, 3.25));
    assert_spans(gate, "job build 2..90 cancellation queue_time_ms=88000\n"
                       "runner.queue 2..90\n"
                       "job build 2..90 cancellation\n"
                       "job.waiting 2..90\n"
                       "runner.queue 90..90\n");
    deliver(gate, gated(QUEUED, 30.25));
    engine_bench_spans(&gate->bench, &gate->text);
    assert_non_null(strstr(gate->text.data, "job.waiting 2..30.25\n"
                                            "runner.queue 30.25..90\n"));
    assert_int_equal(measured_jobs(&gate->bench), 1);
}

static void a_given_up_job_may_lack_data_when_it_ends(void **state)
{
    struct gate *gate = *state;
    deliver(gate, gated(QUEUED, 2.5));
    deliver(gate, scenario_run(GITHUB_RUN_COMPLETED, 92, "cancelled"));
    engine_bench_advance(&gate->bench, NS_PER_HOUR);
    deliver(gate, cancelled_at(90));
    deliver(gate, gated(WAITING, 3.25));
    assert_spans(gate, "workflow RUN CI 0..92 cancellation\n"
                       "job build 2..92 queue_time_ms=90000 github.incomplete\n"
                       "runner.queue 2..92\n"
                       "job build 2..90 cancellation queue_time_ms=88000\n"
                       "runner.queue 2..90\n"
                       "job build 2..90 cancellation\n"
                       "job.waiting 2..90\n"
                       "runner.queue 90..90\n");
    assert_int_equal(measured_jobs(&gate->bench), 1);
    stats_verify(gate->bench.store);
}

static void the_queue_of_a_given_up_job_is_sent_again_with_zero_length(void **state)
{
    struct gate *gate = *state;
    deliver(gate, gated(QUEUED, 2.5));
    deliver(gate, scenario_run(GITHUB_RUN_COMPLETED, 92, "cancelled"));
    engine_bench_advance(&gate->bench, NS_PER_HOUR);
    deliver(gate, gated(WAITING, 3.25));
    deliver(gate, gated(WAITING, 3)); // changes nothing
    deliver(gate, cancelled_at(90));
    engine_bench_advance(&gate->bench, PAUSE);
    assert_spans(gate, "workflow RUN CI 0..92 cancellation\n"
                       "job build 2..92 queue_time_ms=90000 github.incomplete\n"
                       "runner.queue 2..92\n"
                       "job build 2..92 github.incomplete\n"
                       "job.waiting 2..92\n"
                       "runner.queue 2..2\n"
                       "job build 2..90 cancellation\n"
                       "job.waiting 2..90\n");
    assert_int_equal(measured_jobs(&gate->bench), 1);
    stats_verify(gate->bench.store);
}

// The end alone does not show the gate.
static void an_end_repeated_after_linger_does_not_undo_what_was_sent(void **state)
{
    struct gate *gate = *state;
    struct scenario_delivery refused = scenario_job(2, COMPLETED, 80, 2, 80, 80);
    scenario_set_runner(&refused, 0, "");
    scenario_set_conclusion(&refused, "failure");
    deliver(gate, gated(QUEUED, 2.5));
    deliver(gate, gated(WAITING, 3.25));
    deliver(gate, gated(QUEUED, 30.25));
    deliver(gate, gated_end(45, 60));
    deliver(gate, refused);
    deliver(gate, scenario_run(GITHUB_RUN_COMPLETED, 92, "success"));
    struct buffer exported;
    buffer_init(&exported, 1 << 20);
    engine_bench_spans(&gate->bench, &exported);
    assert_non_null(strstr(exported.data, "job.waiting 2..30.25\n"));
    engine_bench_advance(&gate->bench, 9 * NS_PER_DAY);
    deliver(gate, gated_end(45, 60));
    deliver(gate, refused);
    deliver(gate, gated(QUEUED, 30.25));
    engine_bench_advance(&gate->bench, 9 * NS_PER_DAY);
    assert_spans(gate, exported.data);
    assert_int_equal(late(gate), 3);
    buffer_release(&exported);
}

static void jobs_sent_without_a_workflow_name_are_sent_again_with_it(void **state)
{
    struct gate *gate = *state;
    for (int64_t id = 1; id <= 20; id++) {
        struct scenario_delivery queued = scenario_job(id, QUEUED, 10, -1, 10, -1);
        struct scenario_delivery completed = scenario_job(id, COMPLETED, 59, -1, 56, 59);
        scenario_make_old(&queued);
        scenario_make_old(&completed);
        deliver(gate, queued);
        deliver(gate, completed);
    }
    engine_bench_advance(&gate->bench, PAUSE);
    assert_int_equal(usage_of(gate).spans, 21);
    assert_int_equal(measured_jobs(&gate->bench), 20);
    deliver(gate, scenario_run(GITHUB_RUN_COMPLETED, 101, "success"));
    engine_bench_spans(&gate->bench, &gate->text);
    size_t sent = 0;
    for (const char *at = gate->text.data; (at = strstr(at, "job build")) != NULL; at++)
        sent++;
    assert_int_equal(sent, 40);
    assert_int_equal(measured_jobs(&gate->bench), 20);
    assert_int_equal(usage_of(gate).job_notes, 20);
    deliver(gate, scenario_run(GITHUB_RUN_IN_PROGRESS, 12, ""));
    struct buffer again;
    buffer_init(&again, 1 << 20);
    engine_bench_spans(&gate->bench, &again);
    assert_string_equal(again.data, gate->text.data);
    buffer_release(&again);
}

static void a_kept_state_is_deleted_after_linger(void **state)
{
    struct gate *gate = *state;
    deliver(gate, cancelled_at(90));
    deliver(gate, scenario_run(GITHUB_RUN_COMPLETED, 92, "cancelled"));
    engine_bench_advance(&gate->bench, PAUSE);
    assert_int_equal(usage_of(gate).job_notes, 0);
    assert_int_equal(usage_of(gate).spans, 1);
    for (int i = 0; i < 4; i++) { // events that change nothing do not prolong it
        struct scenario_delivery again = gated(QUEUED, 2.5);
        again.digest[13] = (uint8_t)(1 + i);
        deliver(gate, again);
        engine_bench_advance(&gate->bench, 17 * NS_PER_HOUR);
    }
    assert_int_equal(usage_of(gate).spans, 1);
    engine_bench_advance(&gate->bench, 5 * NS_PER_HOUR);
    assert_int_equal(usage_of(gate).spans, 0);
}

static void a_job_with_complete_data_keeps_only_a_note(void **state)
{
    struct gate *gate = *state;
    deliver(gate, scenario_job(1, QUEUED, 2, 2, 2, -1));
    deliver(gate, scenario_job(1, COMPLETED, 60, 2, 6, 60));
    assert_int_equal(usage_of(gate).job_notes, 1);
    deliver(gate, scenario_job(1, WAITING, 70, 2, 2, -1));
    assert_spans(gate, "job build 2..60 success queue_time_ms=4000\n"
                       "runner.queue 2..6\n"
                       "runner.execution 6..60 success\n");
    assert_int_equal(late(gate), 1);
}

// --- approvals that take weeks -----------------------------------------------------------------------

#define DAY 86400.0

static void approval_after(struct gate *gate, double days)
{
    char expected[512];
    double released = days * DAY;
    deliver(gate, scenario_run(GITHUB_RUN_REQUESTED, 1, ""));
    deliver(gate, gated(QUEUED, 2.5));
    deliver(gate, gated(WAITING, 3.25));
    engine_bench_advance_to(&gate->bench, released);
    assert_spans(gate, "");
    deliver(gate, gated(QUEUED, released));
    deliver(gate, gated_start(released + 15));
    deliver(gate, gated_end(released + 15, released + 30));
    deliver(gate, scenario_run(GITHUB_RUN_COMPLETED, released + 32, "success"));
    (void)snprintf(expected, sizeof expected,
                   "job build 2..%g success queue_time_ms=15000\n"
                   "job.waiting 2..%g\n"
                   "runner.queue %g..%g\n"
                   "runner.execution %g..%g success\n"
                   "workflow RUN CI 0..%g success\n",
                   released + 30, released, released, released + 15, released + 15, released + 30,
                   released + 32);
    assert_spans(gate, expected);
    stats_verify(gate->bench.store);
}

static void an_approval_after_nine_days_ends_the_waiting(void **state)
{
    approval_after(*state, 9);
}

static void an_approval_after_thirty_days_ends_the_waiting(void **state)
{
    approval_after(*state, 30);
}

static void a_job_that_waits_is_given_up_after_35_days_and_its_run_after_it(void **state)
{
    struct gate *gate = *state;
    deliver(gate, scenario_run(GITHUB_RUN_REQUESTED, 1, ""));
    deliver(gate, gated(WAITING, 3.25));
    engine_bench_advance_to(&gate->bench, 3 + 35 * DAY);
    assert_spans(gate, "");
    engine_bench_advance_to(&gate->bench, 4 + 35 * DAY);
    assert_spans(gate, "job build 2..3.25 github.incomplete\n"
                       "job.waiting 2..3.25\n"
                       "workflow RUN CI 0..3.25 github.incomplete\n");
    engine_bench_advance(&gate->bench,
                         TRACE_RUN_KEPT + NS_PER_DAY); // its run could still end until then
    assert_int_equal(engine_bench_count_spans(&gate->bench), 0);
}

static void a_released_job_is_given_up_after_job_timeout_again(void **state)
{
    struct gate *gate = *state;
    deliver(gate, gated(WAITING, 3.25));
    engine_bench_advance_to(&gate->bench, 10 * DAY);
    deliver(gate, gated(QUEUED, 10 * DAY));
    engine_bench_advance_to(&gate->bench, 16 * DAY + 1);
    engine_bench_spans(&gate->bench, &gate->text);
    assert_non_null(strstr(gate->text.data, "job.waiting 2..864000\n"));
    assert_non_null(strstr(gate->text.data, "github.incomplete"));
}

static void a_job_that_waits_is_given_up_job_grace_after_its_run(void **state)
{
    struct gate *gate = *state;
    deliver(gate, gated(WAITING, 3.25));
    deliver(gate, scenario_run(GITHUB_RUN_COMPLETED, 92, "cancelled"));
    engine_bench_advance_to(&gate->bench, 92 + 600);
    assert_spans(gate, "workflow RUN CI 0..92 cancellation\n"
                       "job build 2..92 github.incomplete\n"
                       "job.waiting 2..92\n");
}

static void a_run_with_action_required_is_kept_as_long(void **state)
{
    struct gate *gate = *state;
    struct scenario_delivery waiting = scenario_run(GITHUB_RUN_REQUESTED, 1, "");
    waiting.event.run.status = SLICE("waiting");
    deliver(gate, waiting);
    engine_bench_advance_to(&gate->bench, 30 * DAY);
    assert_spans(gate, "");
    engine_bench_advance_to(&gate->bench, 36 * DAY);
    assert_spans(gate, "workflow RUN CI 0..1 github.incomplete\n");
}

static void silent_jobs_are_given_up_before_the_root_of_their_run(void **state)
{
    struct gate *gate = *state;
    deliver(gate, scenario_run(GITHUB_RUN_REQUESTED, 1, ""));
    deliver(gate, scenario_job(1, QUEUED, 2, 2, 2, -1));
    engine_bench_advance_to(&gate->bench, 7 * DAY);
    assert_spans(gate, "job build 2..2 queue_time_ms=0 github.incomplete\n"
                       "runner.queue 2..2\n"
                       "workflow RUN CI 0..2 github.incomplete\n");
}

static timestamp_ns twenty_days_in(void)
{
    return scenario_at(20 * DAY);
}

// A deadline so far ahead must not be mistaken for one set by a wrong clock and be computed again and again: it is
// checked as rarely as others are.
static void waiting_states_do_not_keep_the_engine_busy(void **state)
{
    struct gate *gate = *state;
    struct error error = {0};
    struct engine_counters counters;
    const struct timespec moment = {.tv_nsec = 300000000};
    deliver(gate, scenario_run(GITHUB_RUN_REQUESTED, 1, ""));
    deliver(gate, gated(WAITING, 3.25));
    engine_bench_advance_to(&gate->bench, 20 * DAY);
    assert_true(engine_next_deadline(gate->bench.engine) > gate->bench.now + 3 * NS_PER_DAY);
    gate->bench.options.now = twenty_days_in;
    engine_bench_restart(&gate->bench);
    assert_int_equal(engine_start(gate->bench.engine, &error), ERROR_NONE);
    nanosleep(&moment, NULL);
    engine_read_counters(gate->bench.engine, &counters);
    engine_stop(gate->bench.engine);
    assert_true(counters.commits <= 4);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_job_without_a_runner_settles_if_its_release_was_not_received),
        TEST(a_deployment_known_by_its_environment_alone_settles_too),
        TEST(a_job_whose_release_is_known_does_not_settle),
        TEST(a_skipped_deployment_does_not_settle),
        TEST(events_after_the_grace_send_a_job_again),
        TEST(a_queue_that_did_not_exist_is_sent_again_with_zero_length),
        TEST(a_given_up_job_may_lack_data_when_it_ends),
        TEST(the_queue_of_a_given_up_job_is_sent_again_with_zero_length),
        TEST(an_end_repeated_after_linger_does_not_undo_what_was_sent),
        TEST(jobs_sent_without_a_workflow_name_are_sent_again_with_it),
        TEST(a_kept_state_is_deleted_after_linger),
        TEST(a_job_with_complete_data_keeps_only_a_note),
        TEST(an_approval_after_nine_days_ends_the_waiting),
        TEST(an_approval_after_thirty_days_ends_the_waiting),
        TEST(a_job_that_waits_is_given_up_after_35_days_and_its_run_after_it),
        TEST(a_released_job_is_given_up_after_job_timeout_again),
        TEST(a_job_that_waits_is_given_up_job_grace_after_its_run),
        TEST(a_run_with_action_required_is_kept_as_long),
        TEST(silent_jobs_are_given_up_before_the_root_of_their_run),
        TEST(waiting_states_do_not_keep_the_engine_busy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
