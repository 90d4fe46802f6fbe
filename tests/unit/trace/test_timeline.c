// The phases of jobs: recorded or reported ones, and properties of all.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "ghatrace/trace/lifecycle.h"
#include "ghatrace/trace/merge.h"
#include "ghatrace/trace/timeline.h"
#include "support/fixture.h"
#include "support/policy.h"
#include "support/scenario.h"

#define FIXTURES "tests/fixtures/github/workflow_job."
#define COMPLETED GITHUB_JOB_COMPLETED
#define SAMPLES 20000
#define SPANS_MAX (SCENARIO_STEPS_MAX + 8)

// --- one by one ------------------------------------------------------------------------------------

static void assert_phase(const struct timeline_phase *phase, double start, double end)
{
    assert_true(phase->exists);
    assert_int_equal(phase->start, scenario_at(start));
    assert_int_equal(phase->end, scenario_at(end));
}

static struct job_timeline timeline_after(const struct scenario_delivery *delivery)
{
    struct job_state job = {.phase = JOB_OPEN};
    struct job_timeline timeline;
    bool is_completed = delivery->event.job.action == COMPLETED;
    merge_job_event(&job, &delivery->event, delivery->guid_time, 1);
    timeline_of_job(&job, is_completed, TIMESTAMP_UNKNOWN, &timeline);
    return timeline;
}

// Created 2, started 6, completed 700.
static struct job_timeline timeline_with_steps(const struct github_step *steps, size_t count)
{
    struct scenario_delivery completed = scenario_job(1, COMPLETED, 700, 2, 6, 700);
    scenario_set_steps(&completed, steps, count);
    scenario_set_conclusion(&completed, "failure");
    return timeline_after(&completed);
}

static void a_runner_lost_in_its_preparation_starts_up_until_the_end(void **state)
{
    (void)state;
    const struct github_step lost[][3] = {
        {scenario_step(1, "Set up job", 6, -1, "")},
        {scenario_step(1, "Set up job", 6, 9, "success"),
         scenario_step(2, "Initialize containers", 9, -1, "")},
        {scenario_step(1, "Set up runner", 6, -1, ""), scenario_step(2, "Set up job", 6, -1, "")},
        // Steps that have not begun are listed without times (as in in_progress bodies).
        {scenario_step(1, "Set up job", 6, -1, ""), scenario_step(2, "make", -1, -1, ""),
         scenario_step(3, "test", -1, -1, "")},
        {scenario_step(1, "Set up job", 6, 9, "success"),
         scenario_step(2, "Initialize containers", -1, -1, ""),
         scenario_step(3, "make", -1, -1, "")},
    };
    const size_t counts[] = {1, 2, 2, 3, 3};
    for (size_t i = 0; i < 5; i++) {
        struct job_timeline timeline = timeline_with_steps(lost[i], counts[i]);
        assert_phase(&timeline.queue, 2, 6);
        assert_phase(&timeline.startup, 6, 700);
        assert_phase(&timeline.execution, 700, 700);
        assert_int_equal(timeline.fault, i < 4 ? JOB_FAULT_RUNNER_LOST : JOB_FAULT_NONE);
    }
}

static void a_step_of_the_workflow_ends_start_up_even_if_the_preparation_is_still_open(void **state)
{
    (void)state;
    const struct github_step steps[] = {scenario_step(1, "Set up job", 6, -1, ""),
                                        scenario_step(2, "make", 30, -1, "")};
    struct job_timeline timeline = timeline_with_steps(steps, 2);
    assert_phase(&timeline.startup, 6, 30);
    assert_phase(&timeline.execution, 30, 700);
}

static void start_up_ends_when_the_first_of_overlapping_steps_begins(void **state)
{
    (void)state;
    const struct github_step steps[] = {
        scenario_step(1, "Set up job", 6, 9, "success"),
        scenario_step(2, "database", 40, 90, "cancelled"), // had to wait for its turn
        scenario_step(3, "unit", 12, 60, "failure"),
        scenario_step(4, "Set up job", 20, 30,
                      "success"), // the workflow's, named like the runner's
    };
    struct job_timeline timeline = timeline_with_steps(steps, 4);
    assert_phase(&timeline.startup, 6, 12);
    assert_phase(&timeline.execution, 12, 700);
    assert_int_equal(timeline.fault, JOB_FAULT_NONE);
}

static void steps_without_numbers_are_distinguished_by_their_start(void **state)
{
    (void)state;
    const struct github_step steps[] = {scenario_step(0, "make", 12, 60, "failure"),
                                        scenario_step(0, "Set up job", 6, 9, "success")};
    struct job_timeline timeline = timeline_with_steps(steps, 2);
    assert_phase(&timeline.startup, 6, 12);
}

// GitHub sends in_progress once, often while `Set up job` runs: it shows nothing about later.
static void an_old_snapshot_of_the_preparation_does_not_prove_a_start_up(void **state)
{
    (void)state;
    const struct github_step steps[] = {scenario_step(1, "Set up job", 6, -1, ""),
                                        scenario_step(2, "make", -1, -1, "")};
    struct scenario_delivery running = scenario_job(1, GITHUB_JOB_IN_PROGRESS, 7, 2, 6, -1);
    scenario_set_steps(&running, steps, 2);
    struct job_timeline timeline = timeline_after(&running);
    assert_phase(&timeline.queue, 2, 6);
    assert_false(timeline.startup.exists);
    assert_phase(&timeline.execution, 6, 6);
    assert_int_equal(timeline.fault, JOB_FAULT_NONE);
}

static void a_job_that_never_got_a_runner_was_queued_to_its_end(void **state)
{
    static const char *const conclusions[] = {"failure", "cancelled", "startup_failure",
                                              "timed_out", "stale"};
    static const double starts[] = {-1, 1, 2, 3, 6};
    (void)state;
    for (size_t i = 0; i < 5; i++) {
        for (size_t k = 0; k < 5; k++) {
            struct scenario_delivery refused = scenario_job(1, COMPLETED, 6, 2, starts[k], 6);
            scenario_set_runner(&refused, 0, "");
            scenario_set_conclusion(&refused, conclusions[i]);
            struct job_timeline timeline = timeline_after(&refused);
            assert_phase(&timeline.queue, 2, 6);
            assert_false(timeline.startup.exists);
            assert_false(timeline.execution.exists);
            assert_false(timeline.has_run);
            assert_int_equal(timeline.fault, JOB_FAULT_NOT_STARTED);
        }
    }
}

static void a_runner_steps_or_success_prove_that_a_job_ran(void **state)
{
    const struct github_step step = scenario_step(1, "Set up job", 6, 9, "success");
    (void)state;
    for (int i = 0; i < 5; i++) {
        struct scenario_delivery ran = scenario_job(1, COMPLETED, 60, 2, 6, 60);
        scenario_set_conclusion(&ran, i == 3 ? "success" : i == 4 ? "neutral" : "failure");
        scenario_set_runner(&ran, i == 0 ? 7 : 0, i == 1 ? "runner-7" : "");
        scenario_set_steps(&ran, &step, i == 2 ? 1 : 0);
        struct job_timeline timeline = timeline_after(&ran);
        assert_phase(&timeline.queue, 2, 6);
        assert_true(timeline.execution.exists);
        assert_int_equal(timeline.fault, JOB_FAULT_NONE);
    }
}

static void a_job_of_which_only_the_end_is_known_begins_at_its_end(void **state)
{
    (void)state;
    struct scenario_delivery ended = scenario_job(1, COMPLETED, 700, -1, -1, 700);
    struct job_timeline timeline = timeline_after(&ended);
    assert_int_equal(timeline.start, scenario_at(700));
    assert_int_equal(timeline.end, scenario_at(700));
    assert_phase(&timeline.execution, 700, 700);
    assert_false(timeline.queue.exists);
}

static void a_preparation_that_ends_outside_its_job_is_cut_to_it(void **state)
{
    (void)state;
    const struct github_step early[] = {scenario_step(1, "Set up job", 1, 3, "success")};
    const struct github_step late[] = {scenario_step(1, "Set up job", 6, 900, "success")};
    const struct github_step early_next[] = {scenario_step(1, "Set up job", 6, 9, "success"),
                                             scenario_step(2, "make", 4, 60, "success")};
    const struct github_step late_next[] = {scenario_step(1, "Set up job", 6, 9, "success"),
                                            scenario_step(2, "make", 800, 900, "success")};
    const struct github_step *steps[] = {early, early_next, late, late_next};
    for (size_t i = 0; i < 4; i++) {
        struct job_timeline timeline = timeline_with_steps(steps[i], 1 + i % 2);
        double end = i < 2 ? 6 : 700;
        assert_phase(&timeline.queue, 2, 6);
        assert_phase(&timeline.startup, 6, end);
        assert_phase(&timeline.execution, end, 700);
    }
}

static void a_job_that_ends_before_it_starts_has_no_length(void **state)
{
    (void)state;
    struct scenario_delivery ended = scenario_job(1, COMPLETED, 60, 50, 55, 40);
    struct job_timeline timeline = timeline_after(&ended);
    assert_int_equal(timeline.start, scenario_at(50));
    assert_phase(&timeline.queue, 50, 50);
    assert_phase(&timeline.execution, 50, 50);
}

static void a_job_that_was_rejected_at_its_gate_was_not_refused_by_github(void **state)
{
    struct job_state job = {.phase = JOB_OPEN};
    struct job_timeline timeline;
    struct scenario_delivery reported[] = {
        scenario_job(1, GITHUB_JOB_WAITING, 3, 2, 2, -1), scenario_job(1, COMPLETED, 90, 2, 90, 90),
        scenario_job(1, GITHUB_JOB_QUEUED, 50, 2, 2, -1), // released after all
    };
    (void)state;
    scenario_set_runner(&reported[1], 0, "");
    scenario_set_conclusion(&reported[1], "failure");
    for (size_t i = 0; i < 3; i++) {
        merge_job_event(&job, &reported[i].event, reported[i].guid_time, 1);
        timeline_of_job(&job, i > 0, TIMESTAMP_UNKNOWN, &timeline);
        assert_int_equal(timeline.fault, i < 2 ? JOB_FAULT_NONE : JOB_FAULT_NOT_STARTED);
    }
    assert_phase(&timeline.waiting, 2, 50);
    assert_phase(&timeline.queue, 50, 90);
}

static void skipped_jobs_and_those_that_are_not_over_have_no_fault(void **state)
{
    (void)state;
    struct scenario_delivery skipped = scenario_job(1, COMPLETED, 15, 15, 14, 14);
    struct scenario_delivery queued = scenario_job(1, GITHUB_JOB_QUEUED, 2, 2, 2, -1);
    scenario_set_conclusion(&skipped, "skipped");
    scenario_set_runner(&skipped, 0, "");
    assert_int_equal(timeline_after(&skipped).fault, JOB_FAULT_NONE);
    assert_int_equal(timeline_after(&queued).fault, JOB_FAULT_NONE);
}

// --- as recorded -----------------------------------------------------------------------------------

struct recorded {
    const char *file;
    enum job_fault fault;
    int queue, startup, execution; // seconds; -1: there is none
};

static void assert_length(const char *file, const struct timeline_phase *phase, int seconds)
{
    int found = phase->exists ? (int)((phase->end - phase->start) / NS_PER_SECOND) : -1;
    if (found != seconds)
        fail_msg("%s: a phase of %d s instead of %d s", file, found, seconds);
}

static void check_recorded(const struct recorded *recorded)
{
    struct arena arena;
    struct error error = {0};
    struct scenario_delivery delivery = {.guid_time = SCENARIO_START};
    char path[128];
    (void)snprintf(path, sizeof path, FIXTURES "%s.json", recorded->file);
    struct slice body = fixture_read(path);
    arena_init(&arena, 65536);
    assert_int_equal(
        github_event_decode(SLICE("workflow_job"), body, &arena, &delivery.event, &error),
        ERROR_NONE);
    struct job_timeline timeline = timeline_after(&delivery);
    assert_length(recorded->file, &timeline.queue, recorded->queue);
    assert_length(recorded->file, &timeline.startup, recorded->startup);
    assert_length(recorded->file, &timeline.execution, recorded->execution);
    assert_int_equal(timeline.fault, recorded->fault);
    arena_release(&arena);
    fixture_free(body);
}

static void recorded_jobs_are_split_as_expected(void **state)
{
    static const struct recorded all[] = {
        {"completed.lost_runner", JOB_FAULT_RUNNER_LOST, 5, 692, 0},
        {"completed.lost_runner_parallel", JOB_FAULT_RUNNER_LOST, 9, 3, 688},
        {"completed.parallel_steps", JOB_FAULT_NONE, 9, 3, 79},
        {"completed.not_started", JOB_FAULT_NOT_STARTED, 4, -1, -1},
        {"completed.cancelled_before_runner", JOB_FAULT_NOT_STARTED, 30, -1, -1},
        {"completed.2022", JOB_FAULT_NONE, -1, 1, 2},
        {"completed.skipped", JOB_FAULT_NONE, -1, -1, -1},
        {"completed.carried_over", JOB_FAULT_NONE, -1, -1, -1},
    };
    (void)state;
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        check_recorded(&all[i]);
}

// --- properties --------------------------------------------------------------------------------------

static void assert_phases_fill_the_job(const struct job_timeline *timeline, bool is_start_known)
{
    const struct timeline_phase *phases[] = {&timeline->waiting, &timeline->queue,
                                             &timeline->startup, &timeline->execution};
    timestamp_ns at = TIMESTAMP_UNKNOWN;
    for (size_t i = 0; i < 4; i++) {
        if (!phases[i]->exists)
            continue;
        assert_true(phases[i]->start <= phases[i]->end);
        assert_in_range(phases[i]->start, timeline->start, timeline->end);
        if (at == TIMESTAMP_UNKNOWN && is_start_known)
            assert_int_equal(phases[i]->start, timeline->start);
        if (at != TIMESTAMP_UNKNOWN)
            assert_int_equal(phases[i]->start, at);
        at = phases[i]->end;
    }
    assert_true(at == TIMESTAMP_UNKNOWN || at == timeline->end);
    assert_true(timeline->start <= timeline->end);
    assert_int_equal(timeline->execution.exists, timeline->has_run);
    assert_true(timeline->has_run || !timeline->startup.exists);
}

static void phases_are_never_negative_and_fill_their_job_without_gap(void **state)
{
    struct github_step steps[SCENARIO_STEPS_MAX];
    uint32_t seed = 1;
    (void)state;
    for (int i = 0; i < SAMPLES; i++) {
        struct scenario_delivery job = scenario_any_job(1, &seed, steps);
        struct job_timeline timeline = timeline_after(&job);
        assert_phases_fill_the_job(&timeline, job.event.job.created_at != TIMESTAMP_UNKNOWN);
    }
}

static bool is_same_phase(const struct timeline_phase *a, const struct timeline_phase *b)
{
    return a->exists == b->exists && a->start == b->start && a->end == b->end;
}

// Only the border between queue and start-up moves, within what was queue; what figures count does not.
static void assert_only_the_border_moved(const struct job_timeline *before,
                                         const struct job_timeline *after)
{
    assert_true(is_same_phase(&after->wait, &before->queue));
    assert_true(is_same_phase(&after->preparation, &before->startup));
    assert_true(is_same_phase(&after->waiting, &before->waiting));
    assert_true(is_same_phase(&after->execution, &before->execution));
    if (after->assigned == TIMESTAMP_UNKNOWN) {
        assert_true(is_same_phase(&after->queue, &before->queue));
        assert_true(is_same_phase(&after->startup, &before->startup));
        return;
    }
    assert_true(after->has_run);
    assert_in_range(after->assigned, before->queue.start, before->queue.end);
    assert_int_equal(after->queue.start, before->queue.start);
    assert_int_equal(after->queue.end, after->assigned);
    assert_int_equal(after->startup.start, after->assigned);
}

static void an_assignment_moves_only_the_border_between_queue_and_start_up(void **state)
{
    struct github_step steps[SCENARIO_STEPS_MAX];
    uint32_t seed = 3;
    int moved = 0;
    (void)state;
    for (int i = 0; i < SAMPLES; i++) {
        struct scenario_delivery delivery = scenario_any_job(1, &seed, steps);
        struct job_state job = {.phase = JOB_OPEN};
        struct job_timeline before, after;
        merge_job_event(&job, &delivery.event, delivery.guid_time, 1);
        timeline_of_job(&job, true, TIMESTAMP_UNKNOWN, &before);
        assert_true(merge_job_assignment(&job, scenario_at(scenario_random(&seed, 400))));
        timeline_of_job(&job, true, TIMESTAMP_UNKNOWN, &after);
        assert_phases_fill_the_job(&after, delivery.event.job.created_at != TIMESTAMP_UNKNOWN);
        assert_only_the_border_moved(&before, &after);
        moved += after.assigned != TIMESTAMP_UNKNOWN;
    }
    assert_true(moved > SAMPLES / 10);
}

struct collected {
    struct arena arena;
    struct lifecycle_output output;
    struct span spans[SPANS_MAX];
    size_t count;
};

static int compare_spans(const void *a, const void *b)
{
    const struct span *left = a;
    const struct span *right = b;
    return memcmp(left->span_id.bytes, right->span_id.bytes, SPAN_ID_SIZE);
}

static void collect(const struct scenario_delivery *job, struct collected *collected)
{
    struct trace_policy policy;
    struct run_state run = {0};
    struct job_state state = {0};
    trace_policy_init(&policy);
    policy.root_grace = 0;
    arena_init(&collected->arena, 65536);
    const struct lifecycle life = {&policy, &collected->arena, &collected->output};
    const struct lifecycle_event received = scenario_received(job);
    assert_int_equal(lifecycle_apply_job_event(&life, &received, &run, &state), ERROR_NONE);
    const struct span_batch *batch = &collected->output.finished[0].batch;
    collected->count = batch->span_count;
    assert_true(collected->count <= SPANS_MAX);
    memcpy(collected->spans, batch->spans, batch->span_count * sizeof *batch->spans);
    qsort(collected->spans, collected->count, sizeof *collected->spans, compare_spans);
}

static void assert_same_spans(const struct collected *a, const struct collected *b)
{
    assert_int_equal(a->count, b->count);
    for (size_t i = 0; i < a->count; i++) {
        const struct span *left = &a->spans[i];
        const struct span *right = &b->spans[i];
        assert_memory_equal(left->span_id.bytes, right->span_id.bytes, SPAN_ID_SIZE);
        assert_true(slice_equals(left->name, right->name));
        assert_int_equal(left->start, right->start);
        assert_int_equal(left->end, right->end);
        assert_int_equal(left->status, right->status);
        assert_int_equal(left->attributes.count, right->attributes.count);
    }
}

static void the_result_does_not_depend_on_the_order_of_the_list_of_steps(void **state)
{
    struct github_step steps[SCENARIO_STEPS_MAX];
    uint32_t seed = 7;
    (void)state;
    for (int i = 0; i < SAMPLES / 4; i++) {
        struct collected listed;
        struct collected shuffled;
        struct scenario_delivery job = scenario_any_job(1, &seed, steps);
        collect(&job, &listed);
        scenario_shuffle_steps(steps, job.event.job.step_count, &seed);
        collect(&job, &shuffled);
        assert_same_spans(&listed, &shuffled);
        arena_release(&listed.arena);
        arena_release(&shuffled.arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_runner_lost_in_its_preparation_starts_up_until_the_end),
        cmocka_unit_test(
            a_step_of_the_workflow_ends_start_up_even_if_the_preparation_is_still_open),
        cmocka_unit_test(start_up_ends_when_the_first_of_overlapping_steps_begins),
        cmocka_unit_test(steps_without_numbers_are_distinguished_by_their_start),
        cmocka_unit_test(an_old_snapshot_of_the_preparation_does_not_prove_a_start_up),
        cmocka_unit_test(a_job_that_never_got_a_runner_was_queued_to_its_end),
        cmocka_unit_test(a_runner_steps_or_success_prove_that_a_job_ran),
        cmocka_unit_test(a_job_of_which_only_the_end_is_known_begins_at_its_end),
        cmocka_unit_test(a_preparation_that_ends_outside_its_job_is_cut_to_it),
        cmocka_unit_test(a_job_that_ends_before_it_starts_has_no_length),
        cmocka_unit_test(a_job_that_was_rejected_at_its_gate_was_not_refused_by_github),
        cmocka_unit_test(skipped_jobs_and_those_that_are_not_over_have_no_fault),
        cmocka_unit_test(recorded_jobs_are_split_as_expected),
        cmocka_unit_test(phases_are_never_negative_and_fill_their_job_without_gap),
        cmocka_unit_test(an_assignment_moves_only_the_border_between_queue_and_start_up),
        cmocka_unit_test(the_result_does_not_depend_on_the_order_of_the_list_of_steps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
