// The rules of the life cycle, as timelines: deliveries, and a clock that the test sets.

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/engine_bench.h"

#define QUEUED GITHUB_JOB_QUEUED
#define WAITING GITHUB_JOB_WAITING
#define IN_PROGRESS GITHUB_JOB_IN_PROGRESS
#define COMPLETED GITHUB_JOB_COMPLETED

struct timeline {
    struct engine_bench bench;
    struct buffer text;
};

static int set_up(void **state)
{
    struct timeline *timeline = test_calloc(1, sizeof *timeline);
    engine_bench_open(&timeline->bench);
    buffer_init(&timeline->text, 1 << 20);
    *state = timeline;
    return 0;
}

static int tear_down(void **state)
{
    struct timeline *timeline = *state;
    engine_bench_close(&timeline->bench);
    buffer_release(&timeline->text);
    test_free(timeline);
    return 0;
}

static void deliver(struct timeline *timeline, struct scenario_delivery delivery)
{
    engine_bench_accept(&timeline->bench, &delivery);
}

static void assert_spans(struct timeline *timeline, const char *expected)
{
    engine_bench_spans(&timeline->bench, &timeline->text);
    assert_string_equal(timeline->text.data, expected);
}

// An ordinary job: created 2, started 6, completed 60.
static void deliver_ordinary_job(struct timeline *timeline, int64_t id)
{
    deliver(timeline, scenario_job(id, QUEUED, 2, 2, 2, -1));
    deliver(timeline, scenario_job(id, IN_PROGRESS, 6, 2, 6, -1));
    deliver(timeline, scenario_job(id, COMPLETED, 60, 2, 6, 60));
}

static struct scenario_delivery ended_job(int64_t id, double at, const char *conclusion)
{
    struct scenario_delivery delivery = scenario_job(id, COMPLETED, at, 2, 6, at);
    scenario_set_conclusion(&delivery, conclusion);
    return delivery;
}

#define ORDINARY_JOB                                                                               \
    "job build 2..60 success queue_time_ms=4000\n"                                                 \
    "runner.queue 2..6\n"                                                                          \
    "runner.execution 6..60 success\n"

static void spans_of_a_job_are_sent_when_it_completes(void **state)
{
    struct timeline *timeline = *state;
    deliver(timeline, scenario_run(GITHUB_RUN_REQUESTED, 1, ""));
    deliver(timeline, scenario_job(1, QUEUED, 2, 2, 2, -1));
    deliver(timeline, scenario_job(1, IN_PROGRESS, 6, 2, 6, -1));
    assert_spans(timeline, "");
    deliver(timeline, scenario_job(1, COMPLETED, 60, 2, 6, 60));
    assert_spans(timeline, ORDINARY_JOB);
    deliver(timeline, scenario_run(GITHUB_RUN_COMPLETED, 62, "success"));
    assert_spans(timeline, ORDINARY_JOB "workflow RUN CI 0..62 success\n");
}

static void steps_split_start_up_from_execution(void **state)
{
    struct timeline *timeline = *state;
    const struct github_step steps[] = {
        scenario_step(1, "Set up job", 6, 9, "success"),
        scenario_step(2, "Initialize containers", 9, 15, "success"),
        scenario_step(3, "make", 16, 50, "failure"),
        scenario_step(9, "Post make", 50, 50, "skipped"),
        scenario_step(10, "Complete job", 59, 64, "success"),
        scenario_step(11, "pending", -1, -1, ""),
    };
    struct scenario_delivery completed = scenario_job(1, COMPLETED, 60, 2, 6, 60);
    scenario_set_steps(&completed, steps, 6);
    scenario_set_conclusion(&completed, "failure");
    deliver(timeline, completed);
    assert_spans(timeline, "job build 2..60 failure error queue_time_ms=4000\n"
                           "runner.queue 2..6\n"
                           "runner.startup 6..16\n"
                           "runner.execution 16..60 failure\n"
                           "step Set up job 6..9 success\n"
                           "step Initialize containers 9..15 success\n"
                           "step make 16..50 failure error\n"
                           "step Post make 50..50 skip\n"
                           "step Complete job 59..60 success\n");
}

static void a_job_of_preparation_only_ends_start_up_with_it(void **state)
{
    struct timeline *timeline = *state;
    const struct github_step steps[] = {scenario_step(1, "Set up runner", 6, 8, "success"),
                                        scenario_step(2, "Set up job", 8, 20, "failure")};
    struct scenario_delivery completed = scenario_job(1, COMPLETED, 60, 2, 6, 60);
    scenario_set_steps(&completed, steps, 2);
    deliver(timeline, completed);
    assert_spans(timeline, "job build 2..60 success queue_time_ms=4000\n"
                           "runner.queue 2..6\n"
                           "runner.startup 6..20\n"
                           "runner.execution 20..60 success\n"
                           "step Set up runner 6..8 success\n"
                           "step Set up job 8..20 failure error\n");
}

static void a_step_that_is_open_when_the_runner_is_lost_ends_with_the_job(void **state)
{
    struct timeline *timeline = *state;
    const struct github_step steps[] = {scenario_step(1, "checkout", 6, -1, "")};
    struct scenario_delivery completed = scenario_job(1, COMPLETED, 60, 2, 6, 60);
    scenario_set_steps(&completed, steps, 1);
    scenario_set_conclusion(&completed, "failure");
    deliver(timeline, completed);
    assert_spans(timeline, "job build 2..60 error error queue_time_ms=4000\n"
                           "runner.queue 2..6\n"
                           "runner.execution 6..60 error\n"
                           "step checkout 6..60 github.incomplete\n");
}

static void a_runner_lost_while_several_steps_ran_is_one_lost_runner(void **state)
{
    struct timeline *timeline = *state;
    const struct github_step steps[] = {
        scenario_step(1, "Set up job", 6, 9, "success"),
        scenario_step(2, "database", 9, -1, ""),
        scenario_step(3, "unit", 9, -1, ""),
        scenario_step(4, "Wait for all background steps", -1, -1, ""),
    };
    struct scenario_delivery completed = scenario_job(1, COMPLETED, 60, 2, 6, 60);
    scenario_set_steps(&completed, steps, 4);
    scenario_set_conclusion(&completed, "failure");
    deliver(timeline, completed);
    assert_spans(timeline, "job build 2..60 error error queue_time_ms=4000\n"
                           "runner.queue 2..6\n"
                           "runner.startup 6..9\n"
                           "runner.execution 9..60 error\n"
                           "step Set up job 6..9 success\n"
                           "step database 9..60 github.incomplete\n"
                           "step unit 9..60 github.incomplete\n");
}

static void a_runner_lost_in_its_preparation_spent_all_its_time_there(void **state)
{
    struct timeline *timeline = *state;
    const struct github_step steps[] = {scenario_step(1, "Set up job", 6, -1, "")};
    struct scenario_delivery completed = scenario_job(1, COMPLETED, 60, 2, 6, 60);
    scenario_set_steps(&completed, steps, 1);
    scenario_set_conclusion(&completed, "failure");
    deliver(timeline, completed);
    assert_spans(timeline, "job build 2..60 error error queue_time_ms=4000\n"
                           "runner.queue 2..6\n"
                           "runner.startup 6..60\n"
                           "runner.execution 60..60 error\n"
                           "step Set up job 6..60 github.incomplete\n");
}

static void a_job_that_github_refused_to_start_was_all_queue(void **state)
{
    struct timeline *timeline = *state;
    struct scenario_delivery refused = scenario_job(1, COMPLETED, 60, 2, 6, 60);
    scenario_set_runner(&refused, 0, "");
    scenario_set_conclusion(&refused, "failure");
    deliver(timeline, refused);
    assert_spans(timeline, "job build 2..60 error error queue_time_ms=58000\n"
                           "runner.queue 2..60\n");
}

static void overlapping_steps_keep_their_own_times(void **state)
{
    struct timeline *timeline = *state;
    const struct github_step steps[] = {
        scenario_step(1, "Set up job", 6, 9, "success"),
        scenario_step(2, "database", 9, 59, "cancelled"),
        scenario_step(3, "unit", 9, 40, "failure"),
        scenario_step(4, "Wait for all background steps", 12, 40, "failure"),
    };
    struct scenario_delivery completed = scenario_job(1, COMPLETED, 60, 2, 6, 60);
    scenario_set_steps(&completed, steps, 4);
    scenario_set_conclusion(&completed, "failure");
    deliver(timeline, completed);
    assert_spans(timeline, "job build 2..60 failure error queue_time_ms=4000\n"
                           "runner.queue 2..6\n"
                           "runner.startup 6..9\n"
                           "runner.execution 9..60 failure\n"
                           "step Set up job 6..9 success\n"
                           "step database 9..59 cancellation\n"
                           "step unit 9..40 failure error\n"
                           "step Wait for all background steps 12..40 failure error\n");
}

static void a_completed_event_alone_is_complete_in_itself(void **state)
{
    struct timeline *timeline = *state;
    deliver(timeline, scenario_job(1, COMPLETED, 60, 2, 6, 60));
    assert_spans(timeline, ORDINARY_JOB);
}

static void a_completed_job_is_never_reopened(void **state)
{
    struct timeline *timeline = *state;
    struct engine_counters counters;
    deliver(timeline, scenario_job(1, COMPLETED, 60, 2, 6, 60));
    deliver(timeline, scenario_job(1, QUEUED, 2, 2, 2, -1));
    deliver(timeline, scenario_job(1, IN_PROGRESS, 6, 2, 6, -1));
    deliver(timeline, scenario_job(1, COMPLETED, 50, 2, 6, 50)); // an earlier end, delivered later
    assert_spans(timeline, ORDINARY_JOB);
    engine_read_counters(timeline->bench.engine, &counters);
    assert_int_equal(counters.late, 3);
}

// --- what ends twice -------------------------------------------------------------------------------------------

static void a_job_that_completes_twice_is_sent_again_with_its_later_end(void **state)
{
    struct timeline *timeline = *state;
    struct scenario_delivery second = scenario_job(1, COMPLETED, 90, 2, 6, 90);
    struct scenario_delivery again = second;
    scenario_set_conclusion(&second, "failure");
    again.event = second.event;
    again.digest[14] = 1; // under another GUID
    deliver_ordinary_job(timeline, 1);
    deliver(timeline, second);
    deliver(timeline, again);
    assert_spans(timeline, ORDINARY_JOB "job build 2..90 failure error queue_time_ms=4000\n"
                                        "runner.queue 2..6\n"
                                        "runner.execution 6..90 failure\n");
}

static void a_gated_job_that_completes_twice_keeps_what_it_waited_for(void **state)
{
    struct timeline *timeline = *state;
    timeline->bench.now = scenario_at(40);
    deliver(timeline, scenario_job(1, QUEUED, 2.5, 2, 2, -1));
    deliver(timeline, scenario_job(1, WAITING, 3.5, 2, 2, -1));
    deliver(timeline, scenario_job(1, QUEUED, 30.25, 2, 2, -1));
    deliver(timeline, scenario_job(1, COMPLETED, 60, 2, 45, 60));
    engine_bench_restart(&timeline->bench);
    deliver(timeline, scenario_job(1, COMPLETED, 90, 2, 45, 90));
    assert_spans(timeline, "job build 2..60 success queue_time_ms=14750\n"
                           "job.waiting 2..30.25\n"
                           "runner.queue 30.25..45\n"
                           "runner.execution 45..60 success\n"
                           "job build 2..90 success queue_time_ms=14750\n"
                           "job.waiting 2..30.25\n"
                           "runner.queue 30.25..45\n"
                           "runner.execution 45..90 success\n");
}

static void an_old_job_that_completes_twice_keeps_its_queue(void **state)
{
    struct timeline *timeline = *state;
    struct scenario_delivery old_events[] = {scenario_job(1, QUEUED, 10, -1, 10, -1),
                                             scenario_job(1, COMPLETED, 59, -1, 56, 59),
                                             scenario_job(1, COMPLETED, 70, -1, 56, 70)};
    deliver(timeline, scenario_run(GITHUB_RUN_REQUESTED, 1, ""));
    for (size_t i = 0; i < 3; i++) {
        scenario_make_old(&old_events[i]);
        deliver(timeline, old_events[i]);
    }
    assert_spans(timeline, "job build 10..59 success queue_time_ms=46000\n"
                           "runner.queue 10..56\n"
                           "runner.execution 56..59 success\n"
                           "job build 10..70 success queue_time_ms=46000\n"
                           "runner.queue 10..56\n"
                           "runner.execution 56..70 success\n");
}

static void a_run_that_ends_twice_has_its_later_end(void **state)
{
    struct timeline *timeline = *state;
    struct engine_counters counters;
    deliver(timeline, scenario_run(GITHUB_RUN_COMPLETED, 32, "failure"));
    engine_bench_advance(&timeline->bench, NS_PER_HOUR);
    deliver(timeline, scenario_run(GITHUB_RUN_COMPLETED, 702, "success"));
    deliver(timeline, scenario_run(GITHUB_RUN_COMPLETED, 31, "failure"));
    assert_spans(timeline, "workflow RUN CI 0..32 failure error\n"
                           "workflow RUN CI 0..702 success\n");
    engine_read_counters(timeline->bench.engine, &counters);
    assert_int_equal(counters.late, 1);
}

static void of_two_ends_at_one_time_the_worse_result_is_used(void **state)
{
    struct timeline *timeline = *state;
    struct scenario_delivery worse = scenario_run(GITHUB_RUN_COMPLETED, 32, "failure");
    worse.digest[15] = 1;
    deliver(timeline, scenario_run(GITHUB_RUN_COMPLETED, 32, "success"));
    deliver(timeline, worse);
    assert_spans(timeline, "workflow RUN CI 0..32 success\n"
                           "workflow RUN CI 0..32 failure error\n");
}

// --- how long the root is --------------------------------------------------------------------------------------

static void the_root_begins_with_its_earliest_job(void **state)
{
    struct timeline *timeline = *state;
    struct scenario_delivery completed = scenario_run(GITHUB_RUN_COMPLETED, 62, "success");
    completed.event.run.run_started_at = scenario_at(3);
    deliver_ordinary_job(timeline, 1);
    deliver(timeline, completed);
    assert_spans(timeline, ORDINARY_JOB "workflow RUN CI 2..62 success\n");
}

static void a_job_that_arrives_after_the_root_extends_it_and_never_shortens_it(void **state)
{
    struct timeline *timeline = *state;
    deliver(timeline, scenario_run(GITHUB_RUN_COMPLETED, 62, "success"));
    engine_bench_advance(&timeline->bench, NS_PER_HOUR);
    deliver(timeline, scenario_job(1, COMPLETED, 60, 2, 6, 60)); // inside
    engine_bench_restart(&timeline->bench);
    deliver(timeline, scenario_job(2, COMPLETED, 70, 2, 6, 70));
    assert_spans(timeline, "workflow RUN CI 0..62 success\n" ORDINARY_JOB
                           "job build 2..70 success queue_time_ms=4000\n"
                           "runner.queue 2..6\n"
                           "runner.execution 6..70 success\n"
                           "workflow RUN CI 0..70 success\n");
}

static void a_root_that_is_no_longer_in_the_history_is_not_extended(void **state)
{
    struct timeline *timeline = *state;
    timeline->bench.options.has_exporter =
        false; // records that are not exported are deleted with the history
    timeline->bench.options.history = NS_PER_MINUTE;
    engine_bench_restart(&timeline->bench);
    deliver(timeline, scenario_run(GITHUB_RUN_COMPLETED, 62, "success"));
    engine_bench_advance(&timeline->bench, NS_PER_HOUR);
    timeline->bench.options.has_exporter = true;
    engine_bench_restart(&timeline->bench);
    deliver(timeline, scenario_job(1, COMPLETED, 70, 2, 6, 70));
    assert_spans(timeline, "job build 2..70 success queue_time_ms=4000\n"
                           "runner.queue 2..6\n"
                           "runner.execution 6..70 success\n");
}

// Payloads from before 2023 do not show whether a re-run ran the job again.
static void old_times_of_jobs_that_a_re_run_carried_over_do_not_lengthen_it(void **state)
{
    struct timeline *timeline = *state;
    struct scenario_delivery old = scenario_job(5, COMPLETED, 1000, -1, 10, 60);
    struct scenario_delivery skipped = scenario_job(6, COMPLETED, 1000, 1000, 12, 12);
    struct scenario_delivery run = scenario_run(GITHUB_RUN_COMPLETED, 1100, "success");
    scenario_make_old(&old);
    scenario_set_conclusion(&skipped, "skipped");
    scenario_set_runner(&skipped, 0, "");
    scenario_set_attempt(&old, 2);
    scenario_set_attempt(&skipped, 2);
    scenario_set_attempt(&run, 2);
    run.event.run.run_started_at = scenario_at(999);
    deliver(timeline, old);
    deliver(timeline, skipped);
    engine_bench_advance(&timeline->bench, NS_PER_MINUTE);
    deliver(timeline, run);
    engine_bench_spans(&timeline->bench, &timeline->text);
    assert_non_null(strstr(timeline->text.data, "workflow RUN CI 999..1100 success linked\n"));
}

// --- the rest --------------------------------------------------------------------------------------------------

static void the_same_delivery_again_is_a_duplicate(void **state)
{
    struct timeline *timeline = *state;
    struct scenario_delivery completed = scenario_job(1, COMPLETED, 60, 2, 6, 60);
    deliver(timeline, completed);
    engine_bench_restart(&timeline->bench);
    assert_int_equal(engine_bench_deliver(&timeline->bench, &completed), ENGINE_DUPLICATE);
    engine_bench_advance(&timeline->bench, 2 * NS_PER_DAY);
    assert_int_equal(engine_bench_deliver(&timeline->bench, &completed), ENGINE_DUPLICATE);
    assert_spans(timeline, ORDINARY_JOB "workflow RUN CI 2..60 success github.incomplete\n");
}

static void a_skipped_job_has_no_phases(void **state)
{
    struct timeline *timeline = *state;
    struct scenario_delivery skipped = scenario_job(1, COMPLETED, 15, 15, 14, 14);
    scenario_set_conclusion(&skipped, "skipped");
    scenario_set_runner(&skipped, 0, "");
    deliver(timeline, skipped);
    assert_spans(timeline, "job build 15..15 skip\n");
}

static void a_job_cancelled_while_queued_was_all_queue(void **state)
{
    struct timeline *timeline = *state;
    struct scenario_delivery cancelled = scenario_job(1, COMPLETED, 42, 12, 42, 42);
    scenario_set_conclusion(&cancelled, "cancelled");
    scenario_set_runner(&cancelled, 0, "");
    deliver(timeline, scenario_job(1, QUEUED, 12, 12, 12, -1));
    deliver(timeline, cancelled);
    assert_spans(timeline, "job build 12..42 cancellation queue_time_ms=30000\n"
                           "runner.queue 12..42\n");
}

static void an_end_before_the_start_makes_a_span_of_zero_length(void **state)
{
    struct timeline *timeline = *state;
    struct scenario_delivery cancelled = scenario_job(1, COMPLETED, 42, 1000, 1000, 42);
    scenario_set_conclusion(&cancelled, "cancelled");
    scenario_set_runner(&cancelled, 0, "");
    deliver(timeline, cancelled);
    assert_spans(timeline, "job build 1000..1000 cancellation queue_time_ms=0\n"
                           "runner.queue 1000..1000\n");
}

static void a_null_completed_at_is_the_last_steps_end(void **state)
{
    struct timeline *timeline = *state;
    const struct github_step steps[] = {scenario_step(1, "a", 6, 30, "success"),
                                        scenario_step(2, "b", 30, 44, "success")};
    struct scenario_delivery completed = scenario_job(1, COMPLETED, 60, 2, 6, -1);
    scenario_set_steps(&completed, steps, 2);
    deliver(timeline, completed);
    assert_spans(timeline, "job build 2..44 success queue_time_ms=4000\n"
                           "runner.queue 2..6\n"
                           "runner.execution 6..44 success\n"
                           "step a 6..30 success\n"
                           "step b 30..44 success\n");
}

// queued, waiting, queued: the three bodies have the same times; only the GUIDs show when it was released.
static void approval_is_distinguished_from_the_queue_in_any_order(void **state)
{
    static const int orders[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2},
                                     {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    (void)state;
    for (int i = 0; i < 6; i++) {
        struct timeline timeline;
        const struct scenario_delivery gated[3] = {
            scenario_job(1, QUEUED, 2.5, 2, 2, -1),
            scenario_job(1, WAITING, 3.5, 2, 2, -1),
            scenario_job(1, QUEUED, 30.25, 2, 2, -1),
        };
        engine_bench_open(&timeline.bench);
        timeline.bench.now = scenario_at(40);
        buffer_init(&timeline.text, 1 << 20);
        for (int k = 0; k < 3; k++)
            deliver(&timeline, gated[orders[i][k]]);
        deliver(&timeline, scenario_job(1, IN_PROGRESS, 45, 2, 45, -1));
        deliver(&timeline, scenario_job(1, COMPLETED, 60, 2, 45, 60));
        assert_spans(&timeline, "job build 2..60 success queue_time_ms=14750\n"
                                "job.waiting 2..30.25\n"
                                "runner.queue 30.25..45\n"
                                "runner.execution 45..60 success\n");
        engine_bench_close(&timeline.bench);
        buffer_release(&timeline.text);
    }
}

static void a_guid_time_before_the_job_or_after_the_receipt_is_not_used(void **state)
{
    struct timeline *timeline = *state;
    struct scenario_delivery first = scenario_job(1, QUEUED, 2, 2, 2, -1);
    struct scenario_delivery waiting = scenario_job(1, WAITING, 3, 2, 2, -1);
    struct scenario_delivery released = scenario_job(1, QUEUED, 20, 2, 2, -1);
    waiting.guid_time = scenario_at(0.999); // more than a second before it was created
    deliver(timeline, first);
    timeline->bench.now = scenario_at(10);
    deliver(timeline, waiting);
    timeline->bench.now = scenario_at(25);
    released.guid_time = TIMESTAMP_UNKNOWN; // not a version-1 UUID
    deliver(timeline, released);
    deliver(timeline, scenario_job(1, COMPLETED, 60, 2, 45, 60));
    assert_spans(timeline, "job build 2..60 success queue_time_ms=20000\n"
                           "job.waiting 2..25\n"
                           "runner.queue 25..45\n"
                           "runner.execution 45..60 success\n");
}

static void a_guid_time_up_to_a_second_before_the_job_is_used(void **state)
{
    struct timeline *timeline = *state;
    struct scenario_delivery waiting = scenario_job(1, WAITING, 3, 2, 2, -1);
    waiting.guid_time = scenario_at(1);
    timeline->bench.now = scenario_at(25);
    deliver(timeline, waiting);
    deliver(timeline, scenario_job(1, QUEUED, 20, 2, 2, -1));
    deliver(timeline, scenario_job(1, COMPLETED, 60, 2, 45, 60));
    assert_spans(timeline, "job build 2..60 success queue_time_ms=25000\n"
                           "job.waiting 2..20\n"
                           "runner.queue 20..45\n"
                           "runner.execution 45..60 success\n");
}

static void a_job_rejected_at_its_gate_was_all_waiting(void **state)
{
    struct timeline *timeline = *state;
    struct scenario_delivery cancelled = scenario_job(1, COMPLETED, 90, 2, 90, 90);
    scenario_set_conclusion(&cancelled, "failure");
    scenario_set_runner(&cancelled, 0, "");
    deliver(timeline, scenario_job(1, QUEUED, 2.5, 2, 2, -1));
    deliver(timeline, scenario_job(1, WAITING, 3.5, 2, 2, -1));
    deliver(timeline, cancelled);
    assert_spans(timeline, ""); // it may have been released, and refused after that
    engine_bench_advance(&timeline->bench, 10 * NS_PER_SECOND);
    assert_spans(timeline, "job build 2..90 failure error\n"
                           "job.waiting 2..90\n");
}

static void a_job_whose_release_was_not_received_settles_and_is_then_sent(void **state)
{
    struct timeline *timeline = *state;
    deliver(timeline, scenario_job(1, WAITING, 3.5, 2, 2, -1));
    deliver(timeline, scenario_job(1, COMPLETED, 60, 2, 45, 60));
    assert_spans(timeline, "");
    engine_bench_advance(&timeline->bench, 11 * NS_PER_SECOND);
    assert_spans(timeline, "job build 2..60 success\n"
                           "job.waiting 2..45\n"
                           "runner.execution 45..60 success\n");
}

static void a_job_of_an_old_payload_starts_at_the_queued_event(void **state)
{
    struct timeline *timeline = *state;
    struct scenario_delivery queued = scenario_job(1, QUEUED, 10, -1, 10, -1);
    struct scenario_delivery completed = scenario_job(1, COMPLETED, 59, -1, 56, 59);
    scenario_make_old(&queued);
    scenario_make_old(&completed);
    deliver(timeline, completed);
    deliver(timeline, scenario_run(GITHUB_RUN_COMPLETED, 61, "success"));
    assert_spans(timeline, "");
    deliver(timeline, queued);
    assert_spans(timeline, "job build 10..59 success queue_time_ms=46000\n"
                           "runner.queue 10..56\n"
                           "runner.execution 56..59 success\n"
                           "workflow RUN CI 0..61 success\n");
}

static void an_old_payload_alone_starts_when_it_started(void **state)
{
    struct timeline *timeline = *state;
    struct scenario_delivery completed = scenario_job(1, COMPLETED, 59, -1, 56, 59);
    scenario_make_old(&completed);
    deliver(timeline, completed);
    engine_bench_advance(&timeline->bench, 10 * NS_PER_SECOND);
    assert_spans(timeline, "job build 56..59 success\n"
                           "runner.execution 56..59 success\n");
}

static void the_root_waits_for_open_jobs_but_not_longer_than_root_grace(void **state)
{
    struct timeline *timeline = *state;
    deliver(timeline, scenario_job(1, QUEUED, 2, 2, 2, -1));
    deliver(timeline, scenario_run(GITHUB_RUN_COMPLETED, 58, "success"));
    engine_bench_advance_to(&timeline->bench, 67.9);
    assert_spans(timeline, "");
    engine_bench_advance_to(&timeline->bench, 68);
    assert_spans(timeline, "workflow RUN CI 0..58 success\n");
    deliver(timeline, scenario_job(1, COMPLETED, 69, 2, 6, 57));
    assert_spans(timeline, "workflow RUN CI 0..58 success\n"
                           "job build 2..57 success queue_time_ms=4000\n"
                           "runner.queue 2..6\n"
                           "runner.execution 6..57 success\n");
}

static void the_root_is_sent_with_the_last_job_and_covers_it(void **state)
{
    struct timeline *timeline = *state;
    deliver(timeline, scenario_job(1, QUEUED, 2, 2, 2, -1));
    deliver(timeline, scenario_run(GITHUB_RUN_COMPLETED, 58, "success"));
    deliver(timeline, scenario_job(1, COMPLETED, 60, 2, 6, 60));
    assert_spans(timeline, ORDINARY_JOB "workflow RUN CI 0..60 success\n");
}

static void a_run_without_jobs_is_a_root_alone(void **state)
{
    struct timeline *timeline = *state;
    deliver(timeline, scenario_run(GITHUB_RUN_REQUESTED, 0, ""));
    deliver(timeline, scenario_run(GITHUB_RUN_COMPLETED, 3, "startup_failure"));
    assert_spans(timeline, "workflow RUN CI 0..3 error error\n");
}

static void no_open_job_does_not_mean_that_the_run_is_over(void **state)
{
    struct timeline *timeline = *state;
    deliver(timeline, scenario_run(GITHUB_RUN_REQUESTED, 1, ""));
    deliver_ordinary_job(timeline, 1);
    engine_bench_advance(&timeline->bench, 5 * NS_PER_DAY);
    assert_spans(timeline, ORDINARY_JOB);
}

static void a_run_that_awaits_approval_continues_after_it(void **state)
{
    struct timeline *timeline = *state;
    deliver(timeline, scenario_run(GITHUB_RUN_COMPLETED, 1, "action_required"));
    engine_bench_advance(&timeline->bench, NS_PER_HOUR);
    assert_spans(timeline, "");
    deliver(timeline, scenario_run(GITHUB_RUN_COMPLETED, 5000, "success"));
    assert_spans(timeline, "workflow RUN CI 0..5000 success\n");
}

static void a_run_that_is_never_approved_is_closed_incomplete(void **state)
{
    struct timeline *timeline = *state;
    deliver(timeline, scenario_run(GITHUB_RUN_REQUESTED, 1, "action_required"));
    deliver(timeline, scenario_run(GITHUB_RUN_COMPLETED, 2, "action_required"));
    engine_bench_advance(&timeline->bench, 6 * NS_PER_DAY);
    assert_spans(timeline, "workflow RUN CI 0..2 action_required github.incomplete\n");
    engine_bench_advance(&timeline->bench, 60 * NS_PER_DAY);
    assert_spans(timeline, "workflow RUN CI 0..2 action_required github.incomplete\n");
    assert_int_equal(engine_next_deadline(timeline->bench.engine), TIMESTAMP_UNKNOWN);
}

// GitHub gives 30 days for it.
static void a_run_that_is_approved_after_weeks_has_its_end(void **state)
{
    struct timeline *timeline = *state;
    deliver(timeline, scenario_run(GITHUB_RUN_COMPLETED, 2, "action_required"));
    engine_bench_advance(&timeline->bench, 29 * NS_PER_DAY);
    deliver(timeline, scenario_run(GITHUB_RUN_IN_PROGRESS, 2505610, ""));
    engine_bench_advance(&timeline->bench, NS_PER_DAY);
    deliver(timeline, scenario_run(GITHUB_RUN_COMPLETED, 2592000, "success"));
    deliver(timeline, scenario_run(GITHUB_RUN_COMPLETED, 3, "action_required"));
    engine_bench_advance(&timeline->bench, 40 * NS_PER_DAY);
    assert_spans(timeline, "workflow RUN CI 0..2 action_required github.incomplete\n"
                           "workflow RUN CI 0..2.592e+06 success\n");
}

static void a_job_that_github_never_closes_is_given_up_after_job_grace(void **state)
{
    struct timeline *timeline = *state;
    deliver(timeline, scenario_job(1, QUEUED, 2, 2, 2, -1));
    deliver(timeline, scenario_run(GITHUB_RUN_COMPLETED, 58, "startup_failure"));
    engine_bench_advance(&timeline->bench, 10 * NS_PER_MINUTE + 2 * NS_PER_SECOND);
    assert_spans(timeline, "workflow RUN CI 0..58 error error\n"
                           "job build 2..58 queue_time_ms=56000 github.incomplete\n"
                           "runner.queue 2..58\n");
}

static void a_completed_after_giving_up_is_sent_under_the_same_ids(void **state)
{
    struct timeline *timeline = *state;
    deliver(timeline, scenario_job(1, IN_PROGRESS, 6, 2, 6, -1));
    deliver(timeline, scenario_run(GITHUB_RUN_COMPLETED, 58, "success"));
    engine_bench_advance(&timeline->bench, NS_PER_HOUR);
    deliver(timeline, scenario_job(1, COMPLETED, 5000, 2, 6, 60));
    assert_spans(timeline,
                 "workflow RUN CI 0..58 success\n"
                 "job build 2..58 queue_time_ms=4000 github.incomplete\n"
                 "runner.queue 2..6\n"
                 "runner.execution 6..58\n" ORDINARY_JOB "workflow RUN CI 0..60 success\n");
}

static void a_job_without_events_is_given_up_after_job_timeout(void **state)
{
    struct timeline *timeline = *state;
    deliver(timeline, scenario_job(1, QUEUED, 2, 2, 2, -1));
    engine_bench_advance(&timeline->bench, 5 * NS_PER_DAY);
    deliver(timeline, scenario_job(1, IN_PROGRESS, 6, 2, 6, -1));
    engine_bench_advance(&timeline->bench, 5 * NS_PER_DAY);
    assert_spans(timeline, "");
    engine_bench_advance(&timeline->bench, NS_PER_DAY + NS_PER_HOUR);
    assert_spans(timeline, "job build 2..6 queue_time_ms=4000 github.incomplete\n"
                           "runner.queue 2..6\n"
                           "runner.execution 6..6\n"
                           "workflow RUN CI 2..6 github.incomplete\n");
}

static void jobs_without_events_are_given_up_before_their_root(void **state)
{
    struct timeline *timeline = *state;
    deliver(timeline, scenario_run(GITHUB_RUN_REQUESTED, 1, ""));
    // Ids below and above the run's: deadlines at the same time are in the order of ids.
    deliver(timeline, scenario_job(1, IN_PROGRESS, 8, 2, 8, -1));
    deliver(timeline, scenario_job(INT64_C(100520616165), QUEUED, 9, 9, 9, -1));
    timeline->bench.now = scenario_at(9);
    engine_bench_advance(&timeline->bench, 6 * NS_PER_DAY);
    assert_spans(timeline, "job build 2..8 queue_time_ms=6000 github.incomplete\n"
                           "runner.queue 2..8\n"
                           "runner.execution 8..8\n"
                           "job build 9..9 queue_time_ms=0 github.incomplete\n"
                           "runner.queue 9..9\n"
                           "workflow RUN CI 0..9 github.incomplete\n");
}

static void many_jobs_without_events_are_given_up_before_their_root(void **state)
{
    struct timeline *timeline = *state;
    deliver(timeline, scenario_run(GITHUB_RUN_REQUESTED, 1, ""));
    for (int64_t id = 1; id <= 700; id++) {
        int64_t far = id % 2 == 0 ? id : INT64_C(100520616165) + id;
        deliver(timeline, scenario_job(far, QUEUED, 2, 2, 2, -1));
    }
    engine_bench_advance(&timeline->bench, 7 * NS_PER_DAY);
    engine_bench_spans(&timeline->bench, &timeline->text);
    const char *root = strstr(timeline->text.data, "workflow RUN CI 0..2 github.incomplete\n");
    assert_non_null(root);
    assert_null(strstr(root, "job build"));
}

static void a_run_closed_without_events_continues_with_the_next_event(void **state)
{
    struct timeline *timeline = *state;
    deliver(timeline, scenario_run(GITHUB_RUN_REQUESTED, 1, ""));
    deliver(timeline, scenario_job(1, IN_PROGRESS, 6, 2, 6, -1));
    engine_bench_advance(&timeline->bench, 20 * NS_PER_DAY);
    deliver(timeline, scenario_job(1, COMPLETED, 60, 2, 6, 60));
    deliver(timeline, scenario_run(GITHUB_RUN_COMPLETED, 62, "success"));
    engine_bench_advance(&timeline->bench, 20 * NS_PER_DAY);
    assert_spans(timeline, "job build 2..6 queue_time_ms=4000 github.incomplete\n"
                           "runner.queue 2..6\n"
                           "runner.execution 6..6\n"
                           "workflow RUN CI 0..6 github.incomplete\n" ORDINARY_JOB
                           "workflow RUN CI 0..62 success\n");
}

// GitHub Enterprise Server redelivers for longer than `linger`.
static void events_repeated_after_linger_create_no_root(void **state)
{
    struct timeline *timeline = *state;
    struct engine_counters counters;
    deliver_ordinary_job(timeline, 1);
    deliver(timeline, scenario_run(GITHUB_RUN_COMPLETED, 62, "success"));
    for (int day = 0; day < 3; day++) {
        engine_bench_advance(&timeline->bench, 9 * NS_PER_DAY);
        deliver_ordinary_job(timeline, 1);
        deliver(timeline, scenario_run(GITHUB_RUN_COMPLETED, 62, "success"));
    }
    engine_bench_advance(&timeline->bench, 9 * NS_PER_DAY);
    engine_read_counters(timeline->bench.engine, &counters);
    assert_int_equal(counters.late, 9); // queued, in_progress and the run, thrice
    assert_spans(timeline, ORDINARY_JOB
                 "workflow RUN CI 0..62 success\n" ORDINARY_JOB ORDINARY_JOB ORDINARY_JOB);
}

static void events_repeated_after_linger_do_not_make_a_root_less_complete(void **state)
{
    struct timeline *timeline = *state;
    deliver_ordinary_job(timeline, 1);
    deliver(timeline, scenario_job(2, COMPLETED, 80, 10, 12, 80));
    engine_bench_advance(&timeline->bench, 9 * NS_PER_DAY);
    deliver(timeline, scenario_job(1, COMPLETED, 60, 2, 6, 60));
    engine_bench_advance(&timeline->bench, 9 * NS_PER_DAY);
    engine_bench_spans(&timeline->bench, &timeline->text);
    const char *root =
        strstr(timeline->text.data, "workflow RUN CI 2..80 success github.incomplete");
    assert_non_null(root);
    assert_null(strstr(root + 1, "workflow"));
    // The run's own event is preferred to the data of its jobs.
    deliver(timeline, scenario_run(GITHUB_RUN_COMPLETED, 82, "success"));
    deliver(timeline, scenario_run(GITHUB_RUN_REQUESTED, 0, ""));
    engine_bench_advance(&timeline->bench, 9 * NS_PER_DAY);
    engine_bench_spans(&timeline->bench, &timeline->text);
    root = strstr(root + 1, "workflow RUN CI 0..82 success\n");
    assert_non_null(root);
    assert_null(strstr(root + 1, "workflow"));
}

static void a_root_made_from_jobs_is_corrected_by_jobs_that_change_it(void **state)
{
    struct timeline *timeline = *state;
    struct scenario_delivery failed = ended_job(2, 80, "failure");
    deliver_ordinary_job(timeline, 1);
    engine_bench_advance(&timeline->bench, 2 * NS_PER_HOUR);
    deliver(timeline, failed);
    engine_bench_advance(&timeline->bench, 2 * NS_PER_HOUR);
    deliver(timeline, ended_job(2, 90, "success"));
    engine_bench_advance(&timeline->bench, 2 * NS_PER_HOUR);
    assert_spans(timeline, ORDINARY_JOB "workflow RUN CI 2..60 success github.incomplete\n"
                                        "job build 2..80 failure error queue_time_ms=4000\n"
                                        "runner.queue 2..6\n"
                                        "runner.execution 6..80 failure\n"
                                        "workflow RUN CI 2..80 failure error github.incomplete\n"
                                        "job build 2..90 success queue_time_ms=4000\n"
                                        "runner.queue 2..6\n"
                                        "runner.execution 6..90 success\n"
                                        "workflow RUN CI 2..90 success github.incomplete\n");
}

static void a_run_known_only_from_its_jobs_is_closed_after_run_idle(void **state)
{
    struct timeline *timeline = *state;
    struct scenario_delivery failed = scenario_job(2, COMPLETED, 80, 10, 12, 80);
    scenario_set_conclusion(&failed, "timed_out");
    deliver_ordinary_job(timeline, 1);
    deliver(timeline, failed);
    engine_bench_advance(&timeline->bench, NS_PER_HOUR - NS_PER_SECOND);
    assert_spans(timeline, ORDINARY_JOB "job build 10..80 timeout error queue_time_ms=2000\n"
                                        "runner.queue 10..12\n"
                                        "runner.execution 12..80 timeout\n");
    engine_bench_advance(&timeline->bench, NS_PER_SECOND);
    assert_spans(timeline, ORDINARY_JOB "job build 10..80 timeout error queue_time_ms=2000\n"
                                        "runner.queue 10..12\n"
                                        "runner.execution 12..80 timeout\n"
                                        "workflow RUN CI 2..80 timeout error github.incomplete\n");
    // Later jobs become part of the trace; no second root is created.
    deliver(timeline, scenario_job(3, COMPLETED, 5000, 2, 6, 60));
    engine_bench_advance(&timeline->bench, 2 * NS_PER_HOUR);
    engine_bench_spans(&timeline->bench, &timeline->text);
    assert_null(strstr(strstr(timeline->text.data, "workflow") + 1, "workflow"));
}

static void run_idle_does_not_count_while_a_job_waits(void **state)
{
    struct timeline *timeline = *state;
    deliver_ordinary_job(timeline, 1);
    deliver(timeline, scenario_job(2, WAITING, 61, 61, 61, -1));
    engine_bench_advance(&timeline->bench, 2 * NS_PER_HOUR);
    assert_spans(timeline, ORDINARY_JOB);
}

static void jobs_carried_over_by_a_re_run_are_marked_and_have_no_length(void **state)
{
    struct timeline *timeline = *state;
    const struct github_step steps[] = {scenario_step(1, "make", 10, 20, "success")};
    struct scenario_delivery carried = scenario_job(5, COMPLETED, 1000, 1000, 10, 60);
    struct scenario_delivery run = scenario_run(GITHUB_RUN_COMPLETED, 1100, "success");
    scenario_set_steps(&carried, steps, 1);
    scenario_set_attempt(&carried, 2);
    scenario_set_attempt(&run, 2);
    run.event.run.run_started_at = scenario_at(999);
    deliver(timeline, carried);
    deliver(timeline, run);
    assert_spans(timeline, "job build 1000..1000 success github.carried_over\n"
                           "workflow RUN CI 999..1100 success linked\n");
}

static void a_job_one_second_early_in_a_re_run_is_not_carried_over(void **state)
{
    struct timeline *timeline = *state;
    struct scenario_delivery job = scenario_job(5, COMPLETED, 60, 10, 9, 60);
    scenario_set_attempt(&job, 2);
    deliver(timeline, job);
    assert_spans(timeline, "job build 10..60 success queue_time_ms=0\n"
                           "runner.queue 10..10\n"
                           "runner.execution 10..60 success\n");
}

static void notes_expire_after_linger(void **state)
{
    struct timeline *timeline = *state;
    deliver_ordinary_job(timeline, 1);
    deliver(timeline, scenario_run(GITHUB_RUN_COMPLETED, 62, "success"));
    assert_int_equal(engine_bench_count_spans(&timeline->bench), 2);
    engine_bench_advance(&timeline->bench, 3 * NS_PER_DAY - NS_PER_MINUTE);
    assert_int_equal(engine_bench_count_spans(&timeline->bench), 2);
    engine_bench_advance(&timeline->bench, NS_PER_HOUR);
    assert_int_equal(engine_bench_count_spans(&timeline->bench), 0);
    assert_int_equal(engine_next_deadline(timeline->bench.engine), TIMESTAMP_UNKNOWN);
    // The note that it had a root is kept longer.
    assert_int_equal(engine_bench_count_roots(&timeline->bench), 1);
    engine_bench_advance(&timeline->bench, 31 * NS_PER_DAY);
    assert_int_equal(engine_bench_count_roots(&timeline->bench), 1);
    engine_bench_advance(&timeline->bench, 2 * NS_PER_DAY);
    assert_int_equal(engine_bench_count_roots(&timeline->bench), 0);
}

static void deadlines_survive_a_restart(void **state)
{
    struct timeline *timeline = *state;
    deliver(timeline, scenario_job(1, QUEUED, 2, 2, 2, -1));
    deliver(timeline, scenario_run(GITHUB_RUN_COMPLETED, 58, "cancelled"));
    engine_bench_restart(&timeline->bench);
    timeline->bench.now += NS_PER_DAY; // the daemon was down for a day
    engine_bench_advance(&timeline->bench, NS_PER_SECOND);
    assert_spans(timeline, "workflow RUN CI 0..58 cancellation\n"
                           "job build 2..58 queue_time_ms=56000 github.incomplete\n"
                           "runner.queue 2..58\n");
}

static void runner_spans_and_steps_can_be_turned_off(void **state)
{
    struct timeline *timeline = *state;
    const struct github_step steps[] = {scenario_step(1, "make", 10, 20, "success")};
    struct scenario_delivery completed = scenario_job(1, COMPLETED, 60, 2, 6, 60);
    scenario_set_steps(&completed, steps, 1);
    timeline->bench.options.policy.runner_spans = false;
    timeline->bench.options.policy.steps = false;
    engine_bench_restart(&timeline->bench);
    deliver(timeline, completed);
    assert_spans(timeline, "job build 2..60 success queue_time_ms=4000\n");
}

// Leaves spans to the runners that a glob names; the jobs of these tests run on self-hosted, linux.
static void leave_out(struct timeline *timeline, struct runner_globs *rule,
                      const struct slice *glob)
{
    *rule = (struct runner_globs){glob, 1};
    engine_bench_restart(&timeline->bench);
}

static const struct slice all_runners = {"*", 1};

static struct scenario_delivery job_with_a_step(int64_t id, const struct github_step *step)
{
    struct scenario_delivery completed = scenario_job(id, COMPLETED, 60, 2, 6, 60);
    scenario_set_steps(&completed, step, 1);
    return completed;
}

static void phases_are_left_out_for_the_runners_that_send_them(void **state)
{
    static const struct slice own = {"self-*", 6}, hosted[] = {{"ubuntu-24.04", 12}};
    struct timeline *timeline = *state;
    const struct github_step step = scenario_step(1, "make", 10, 20, "success");
    struct scenario_delivery other = scenario_job(2, COMPLETED, 61, 2, 6, 60);
    other.event.job.labels = hosted;
    other.event.job.label_count = 1;
    leave_out(timeline, &timeline->bench.options.policy.runner_spans_off, &own);
    deliver(timeline, job_with_a_step(1, &step));
    deliver(timeline, other);
    assert_spans(timeline, "job build 2..60 success queue_time_ms=4000\n"
                           "step make 10..20 success\n" ORDINARY_JOB);
}

static void the_jobs_and_steps_that_runners_send_are_left_out(void **state)
{
    static const struct slice label = {"linux", 5};
    struct timeline *timeline = *state;
    struct trace_policy *policy = &timeline->bench.options.policy;
    const struct github_step step = scenario_step(1, "make", 10, 20, "success");
    leave_out(timeline, &policy->job_spans_off, &label);
    leave_out(timeline, &policy->steps_off, &label);
    deliver(timeline, job_with_a_step(1, &step));
    deliver(timeline, scenario_run(GITHUB_RUN_COMPLETED, 62, "success"));
    assert_spans(timeline, "runner.queue 2..6\n"
                           "runner.execution 6..60 success\n"
                           "workflow RUN CI 0..62 success\n");
}

// A job all of whose spans its runner sends makes no record, and its run ends as ever.
static void a_job_without_spans_of_ours_closes_like_any_other(void **state)
{
    struct timeline *timeline = *state;
    struct trace_policy *policy = &timeline->bench.options.policy;
    leave_out(timeline, &policy->job_spans_off, &all_runners);
    leave_out(timeline, &policy->steps_off, &all_runners);
    leave_out(timeline, &policy->runner_spans_off, &all_runners);
    deliver(timeline, scenario_job(1, QUEUED, 2, 2, 2, -1));
    deliver(timeline, scenario_job(1, COMPLETED, 60, 2, 6, 60));
    engine_bench_records(&timeline->bench, &timeline->text);
    assert_int_equal(timeline->text.len, 0);
    deliver(timeline, scenario_run(GITHUB_RUN_COMPLETED, 62, "success"));
    assert_spans(timeline, "workflow RUN CI 0..62 success\n");
}

// Its runner is the one that would send them.
static void a_job_that_no_runner_ended_keeps_its_spans(void **state)
{
    struct timeline *timeline = *state;
    struct trace_policy *policy = &timeline->bench.options.policy;
    const struct github_step open = scenario_step(1, "make", 10, -1, "");
    struct scenario_delivery lost = job_with_a_step(1, &open);
    struct scenario_delivery refused = scenario_job(2, COMPLETED, 60, 2, 6, 60);
    struct scenario_delivery skipped = scenario_job(3, COMPLETED, 61, 60, 60, 60);
    scenario_set_conclusion(&lost, "failure");
    scenario_set_runner(&refused, 0, "");
    scenario_set_conclusion(&refused, "failure");
    scenario_set_runner(&skipped, 0, "");
    scenario_set_conclusion(&skipped, "skipped");
    leave_out(timeline, &policy->job_spans_off, &all_runners);
    leave_out(timeline, &policy->steps_off, &all_runners);
    deliver(timeline, lost);
    deliver(timeline, refused);
    deliver(timeline, skipped);
    deliver(timeline, scenario_job(4, QUEUED, 2, 2, 2, -1));
    deliver(timeline, scenario_job(4, IN_PROGRESS, 6, 2, 6, -1));
    deliver(timeline, scenario_run(GITHUB_RUN_COMPLETED, 62, "failure"));
    engine_bench_advance(&timeline->bench, NS_PER_HOUR);
    engine_bench_spans(&timeline->bench, &timeline->text);
    size_t jobs = 0;
    for (const char *at = timeline->text.data; (at = strstr(at, "job build")) != NULL; at++)
        jobs++;
    assert_int_equal(jobs, 4);
    assert_non_null(strstr(timeline->text.data, "step make 10..60"));
}

static void a_hundred_jobs_that_never_end_are_given_up_together(void **state)
{
    struct timeline *timeline = *state;
    for (int64_t id = 1; id <= 700; id++)
        deliver(timeline, scenario_job(id, QUEUED, 2, 2, 2, -1));
    deliver(timeline, scenario_run(GITHUB_RUN_COMPLETED, 58, "cancelled"));
    engine_bench_advance(&timeline->bench, NS_PER_HOUR);
    engine_bench_spans(&timeline->bench, &timeline->text);
    size_t given_up = 0;
    for (const char *at = timeline->text.data; (at = strstr(at, "github.incomplete")) != NULL; at++)
        given_up++;
    assert_int_equal(given_up, 700);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(spans_of_a_job_are_sent_when_it_completes),
        TEST(steps_split_start_up_from_execution),
        TEST(a_job_of_preparation_only_ends_start_up_with_it),
        TEST(a_step_that_is_open_when_the_runner_is_lost_ends_with_the_job),
        TEST(a_runner_lost_while_several_steps_ran_is_one_lost_runner),
        TEST(a_runner_lost_in_its_preparation_spent_all_its_time_there),
        TEST(a_job_that_github_refused_to_start_was_all_queue),
        TEST(overlapping_steps_keep_their_own_times),
        TEST(a_completed_event_alone_is_complete_in_itself),
        TEST(a_completed_job_is_never_reopened),
        TEST(the_same_delivery_again_is_a_duplicate),
        TEST(a_skipped_job_has_no_phases),
        TEST(a_job_cancelled_while_queued_was_all_queue),
        TEST(an_end_before_the_start_makes_a_span_of_zero_length),
        TEST(a_null_completed_at_is_the_last_steps_end),
        cmocka_unit_test(approval_is_distinguished_from_the_queue_in_any_order),
        TEST(a_guid_time_before_the_job_or_after_the_receipt_is_not_used),
        TEST(a_job_rejected_at_its_gate_was_all_waiting),
        TEST(a_job_whose_release_was_not_received_settles_and_is_then_sent),
        TEST(a_job_of_an_old_payload_starts_at_the_queued_event),
        TEST(an_old_payload_alone_starts_when_it_started),
        TEST(the_root_waits_for_open_jobs_but_not_longer_than_root_grace),
        TEST(the_root_is_sent_with_the_last_job_and_covers_it),
        TEST(a_run_without_jobs_is_a_root_alone),
        TEST(no_open_job_does_not_mean_that_the_run_is_over),
        TEST(a_run_that_awaits_approval_continues_after_it),
        TEST(a_run_that_is_never_approved_is_closed_incomplete),
        TEST(a_job_that_github_never_closes_is_given_up_after_job_grace),
        TEST(a_completed_after_giving_up_is_sent_under_the_same_ids),
        TEST(a_job_without_events_is_given_up_after_job_timeout),
        TEST(a_run_known_only_from_its_jobs_is_closed_after_run_idle),
        TEST(run_idle_does_not_count_while_a_job_waits),
        TEST(jobs_carried_over_by_a_re_run_are_marked_and_have_no_length),
        TEST(a_job_one_second_early_in_a_re_run_is_not_carried_over),
        TEST(notes_expire_after_linger),
        TEST(deadlines_survive_a_restart),
        TEST(runner_spans_and_steps_can_be_turned_off),
        TEST(phases_are_left_out_for_the_runners_that_send_them),
        TEST(the_jobs_and_steps_that_runners_send_are_left_out),
        TEST(a_job_without_spans_of_ours_closes_like_any_other),
        TEST(a_job_that_no_runner_ended_keeps_its_spans),
        TEST(a_hundred_jobs_that_never_end_are_given_up_together),
        TEST(a_job_that_completes_twice_is_sent_again_with_its_later_end),
        TEST(a_gated_job_that_completes_twice_keeps_what_it_waited_for),
        TEST(an_old_job_that_completes_twice_keeps_its_queue),
        TEST(a_run_that_ends_twice_has_its_later_end),
        TEST(of_two_ends_at_one_time_the_worse_result_is_used),
        TEST(the_root_begins_with_its_earliest_job),
        TEST(a_job_that_arrives_after_the_root_extends_it_and_never_shortens_it),
        TEST(a_root_that_is_no_longer_in_the_history_is_not_extended),
        TEST(old_times_of_jobs_that_a_re_run_carried_over_do_not_lengthen_it),
        TEST(a_run_that_is_approved_after_weeks_has_its_end),
        TEST(jobs_without_events_are_given_up_before_their_root),
        TEST(many_jobs_without_events_are_given_up_before_their_root),
        TEST(a_run_closed_without_events_continues_with_the_next_event),
        TEST(events_repeated_after_linger_create_no_root),
        TEST(events_repeated_after_linger_do_not_make_a_root_less_complete),
        TEST(a_root_made_from_jobs_is_corrected_by_jobs_that_change_it),
        TEST(a_guid_time_up_to_a_second_before_the_job_is_used),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
