// The measurements of a finished job or run: each once, and only known data.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "ghatrace/trace/lifecycle.h"
#include "support/policy.h"
#include "support/scenario.h"

struct world {
    struct trace_policy policy;
    struct arena arena;
    struct run_state run;
    struct job_state job;
    struct lifecycle_output output;
};

static int set_up(void **state)
{
    struct world *world = test_calloc(1, sizeof *world);
    arena_init(&world->arena, 65536);
    trace_policy_init(&world->policy);
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    struct world *world = *state;
    arena_release(&world->arena);
    test_free(world);
    return 0;
}

static struct lifecycle lifecycle_of(struct world *world)
{
    return (struct lifecycle){&world->policy, &world->arena, &world->output};
}

static void receive(struct world *world, const struct scenario_delivery *delivery)
{
    const struct lifecycle life = lifecycle_of(world);
    const struct lifecycle_event received = scenario_received(delivery);
    assert_int_equal(scenario_apply(&life, &received, &world->run, &world->job), ERROR_NONE);
}

static const struct job_sample *job_sample(const struct world *world)
{
    assert_true(world->output.finished_count > 0);
    return world->output.finished[0].job_sample;
}

static void assert_text(struct slice actual, const char *expected)
{
    assert_int_equal(actual.len, strlen(expected));
    assert_memory_equal(actual.data, expected, actual.len);
}

static void assert_span(const struct sample_span *span, double seconds)
{
    assert_int_equal(span->exists, seconds >= 0);
    assert_int_equal(span->length, seconds >= 0 ? (duration_ns)(seconds * 1000) * NS_PER_MS : 0);
}

// --- jobs --------------------------------------------------------------------------------------------

static void a_completed_job_is_measured_with_its_phases_and_steps(void **state)
{
    struct world *world = *state;
    struct github_step steps[3] = {
        scenario_step(1, "Set up job", 45, 46, "success"),
        scenario_step(2, "deploy", 46, 58, "failure"),
        scenario_step(3, "never started", -1, -1, "skipped"),
    };
    struct scenario_delivery deliveries[] = {
        scenario_job(1, GITHUB_JOB_QUEUED, 2, 2, 2, -1),
        scenario_job(1, GITHUB_JOB_WAITING, 3, 2, 2, -1),
        scenario_job(1, GITHUB_JOB_QUEUED, 30, 2, 2, -1),
        scenario_job(1, GITHUB_JOB_COMPLETED, 60, 2, 45, 60),
    };
    scenario_set_steps(&deliveries[3], steps, 3);
    scenario_set_conclusion(&deliveries[3], "failure");
    deliveries[3].event.job.runner_group_name = SLICE("Default");
    for (size_t i = 0; i < 4; i++)
        receive(world, &deliveries[i]);
    const struct job_sample *measure = job_sample(world);
    assert_non_null(measure);
    assert_text(measure->repository, "octo/Hello_World");
    assert_text(measure->workflow, "CI");
    assert_text(measure->runner_group, "Default");
    assert_text(measure->runner_labels, "linux,self-hosted");
    assert_text(measure->result, "failure");
    assert_span(&measure->waiting, 28);
    assert_span(&measure->queue, 15);
    assert_span(&measure->startup, 1);
    assert_span(&measure->execution, 14);
    assert_int_equal(measure->queue_end, scenario_at(45));
    assert_int_equal(measure->end, scenario_at(60));
    assert_int_equal(measure->step_count, 2);
    assert_text(measure->steps[1].name, "deploy");
    assert_text(measure->steps[1].result, "failure");
    assert_int_equal(measure->steps[1].length, 12 * NS_PER_SECOND);
    struct trace_id trace = world->output.finished[0].batch.spans[0].trace_id;
    assert_memory_equal(measure->trace.bytes, trace.bytes, TRACE_ID_SIZE);
}

static void the_trace_of_a_sample_is_that_of_the_exported_scheme(void **state)
{
    struct world *world = *state;
    struct scenario_delivery delivery = scenario_job(1, GITHUB_JOB_COMPLETED, 60, 2, 6, 60);
    world->policy.scheme = ID_SCHEME_COLLECTOR;
    receive(world, &delivery);
    struct trace_id trace = world->output.finished[0].batch.spans[0].trace_id;
    assert_memory_equal(job_sample(world)->trace.bytes, trace.bytes, TRACE_ID_SIZE);
}

static void a_job_that_was_carried_over_is_not_measured(void **state)
{
    struct world *world = *state;
    struct scenario_delivery delivery = scenario_job(11, GITHUB_JOB_COMPLETED, 1001, 1000, 10, 60);
    scenario_set_attempt(&delivery, 2);
    receive(world, &delivery);
    assert_null(job_sample(world));
}

static void a_skipped_job_counts_without_phases(void **state)
{
    struct world *world = *state;
    struct github_step step = scenario_step(1, "Set up job", 14, 14, "skipped");
    struct scenario_delivery delivery = scenario_job(2, GITHUB_JOB_COMPLETED, 15, 15, 14, 14);
    scenario_set_conclusion(&delivery, "skipped");
    scenario_set_steps(&delivery, &step, 1);
    receive(world, &delivery);
    const struct job_sample *measure = job_sample(world);
    assert_non_null(measure);
    assert_text(measure->result, "skip");
    assert_span(&measure->waiting, -1);
    assert_span(&measure->queue, -1);
    assert_span(&measure->startup, -1);
    assert_span(&measure->execution, -1);
    assert_int_equal(measure->step_count, 0);
}

static void a_job_that_was_refused_counts_as_queued(void **state)
{
    struct world *world = *state;
    struct scenario_delivery delivery = scenario_job(1, GITHUB_JOB_COMPLETED, 6, 2, 3, 6);
    scenario_set_conclusion(&delivery, "failure");
    scenario_set_runner(&delivery, 0, "");
    receive(world, &delivery);
    const struct job_sample *measure = job_sample(world);
    assert_text(measure->result, "error");
    assert_span(&measure->waiting, -1);
    assert_span(&measure->queue, 4);
    assert_span(&measure->startup, -1);
    assert_span(&measure->execution, -1);
    assert_int_equal(measure->queue_end, scenario_at(6));
}

static void a_runner_lost_in_its_preparation_counts_as_start_up(void **state)
{
    struct world *world = *state;
    struct github_step step = scenario_step(1, "Set up job", 6, -1, "");
    struct scenario_delivery delivery = scenario_job(1, GITHUB_JOB_COMPLETED, 700, 2, 6, 700);
    scenario_set_conclusion(&delivery, "failure");
    scenario_set_steps(&delivery, &step, 1);
    receive(world, &delivery);
    const struct job_sample *measure = job_sample(world);
    assert_text(measure->result, "error");
    assert_span(&measure->queue, 4);
    assert_span(&measure->startup, 694);
    assert_span(&measure->execution, 0);
    assert_int_equal(measure->step_count, 1);
    assert_int_equal(measure->steps[0].length, 694 * NS_PER_SECOND);
}

static void a_job_that_is_given_up_counts_when_it_completes_after_all(void **state)
{
    struct world *world = *state;
    const struct lifecycle life = lifecycle_of(world);
    struct scenario_delivery started = scenario_job(1, GITHUB_JOB_IN_PROGRESS, 6, 2, 6, -1);
    struct scenario_delivery completed = scenario_job(1, GITHUB_JOB_COMPLETED, 60, 2, 6, 60);
    receive(world, &started);
    assert_int_equal(
        lifecycle_expire_job(&life, scenario_at(6) + 7 * NS_PER_DAY, &world->run, &world->job),
        ERROR_NONE);
    assert_null(job_sample(world));
    receive(world, &completed);
    assert_non_null(job_sample(world));
    receive(world, &completed);
    assert_int_equal(world->output.finished_count, 0);
}

static void a_job_that_was_given_up_is_sent_again_only_if_it_changed(void **state)
{
    struct world *world = *state;
    const struct lifecycle life = lifecycle_of(world);
    struct scenario_delivery started = scenario_job(1, GITHUB_JOB_IN_PROGRESS, 6, 2, 6, -1);
    struct scenario_delivery queued = scenario_job(1, GITHUB_JOB_QUEUED, 2, 2, 2, -1);
    struct scenario_delivery restarted = scenario_job(1, GITHUB_JOB_IN_PROGRESS, 9, 2, 9, -1);
    receive(world, &started);
    assert_int_equal(
        lifecycle_expire_job(&life, scenario_at(6) + 7 * NS_PER_DAY, &world->run, &world->job),
        ERROR_NONE);
    assert_int_equal(world->output.finished_count, 1);
    receive(world, &queued);
    assert_int_equal(world->output.finished_count, 0);
    receive(world, &restarted);
    assert_int_equal(world->output.finished_count, 1);
}

static void an_assignment_that_comes_later_is_measured_alone(void **state)
{
    struct world *world = *state;
    const struct lifecycle life = lifecycle_of(world);
    const struct job_assignment assignment = {.run_id = SCENARIO_RUN_ID,
                                              .run_attempt = 1,
                                              .job_id = 1,
                                              .assigned_at = scenario_at(4),
                                              .reported_at = scenario_at(61)};
    static const struct slice any = {"*", 1};
    struct scenario_delivery completed = scenario_job(1, GITHUB_JOB_COMPLETED, 60, 2, 6, 60);
    world->policy.arc_runners = (struct runner_globs){&any, 1};
    world->policy.arc_grace = NS_PER_MINUTE;
    receive(world, &completed);
    assert_non_null(job_sample(world));
    assert_false(job_sample(world)->is_assignment_only);
    assert_int_equal(
        lifecycle_apply_assignment(&life, &assignment, scenario_at(61), &world->run, &world->job),
        ERROR_NONE);
    const struct job_sample *measure = job_sample(world);
    assert_non_null(measure);
    assert_true(measure->is_assignment_only);
    assert_span(&measure->assign, 2);
    assert_span(&measure->provision, 2);
}

static void a_long_text_is_cut(void **state)
{
    struct world *world = *state;
    char long_name[1000];
    memset(long_name, 'x', sizeof long_name);
    struct scenario_delivery delivery = scenario_job(1, GITHUB_JOB_COMPLETED, 60, 2, 6, 60);
    delivery.event.job.workflow_name = (struct slice){long_name, sizeof long_name};
    receive(world, &delivery);
    assert_int_equal(job_sample(world)->workflow.len, SAMPLE_TEXT_MAX);
}

static void a_job_of_an_old_payload_has_the_workflow_of_its_run(void **state)
{
    struct world *world = *state;
    struct scenario_delivery run = scenario_run(GITHUB_RUN_REQUESTED, 1, "");
    struct scenario_delivery queued = scenario_job(1, GITHUB_JOB_QUEUED, 10, -1, 10, -1);
    struct scenario_delivery completed = scenario_job(1, GITHUB_JOB_COMPLETED, 59, -1, 56, 59);
    scenario_make_old(&queued);
    scenario_make_old(&completed);
    receive(world, &run);
    receive(world, &queued);
    receive(world, &completed);
    assert_text(job_sample(world)->workflow, "CI");
    assert_span(&job_sample(world)->queue, 46);
}

// --- runs --------------------------------------------------------------------------------------------

static void a_run_is_measured_when_its_root_is_sent(void **state)
{
    struct world *world = *state;
    struct scenario_delivery job = scenario_job(1, GITHUB_JOB_COMPLETED, 60, 2, 6, 60);
    struct scenario_delivery run = scenario_run(GITHUB_RUN_COMPLETED, 62, "cancelled");
    receive(world, &job);
    assert_null(world->output.finished[0].run_sample);
    receive(world, &run);
    assert_int_equal(world->output.finished_count, 1);
    const struct run_sample *measure = world->output.finished[0].run_sample;
    assert_non_null(measure);
    assert_text(measure->repository, "octo/Hello_World");
    assert_text(measure->workflow, "CI");
    assert_text(measure->branch, "main");
    assert_text(measure->event_name, "push");
    assert_text(measure->display_title, "fix the build");
    assert_text(measure->actor, "mona");
    assert_text(measure->conclusion, "cancelled");
    assert_text(measure->result, "cancellation");
    assert_int_equal(measure->run_id, SCENARIO_RUN_ID);
    assert_int_equal(measure->run_attempt, 1);
    assert_int_equal(measure->run_number, 75);
    assert_int_equal(measure->job_count, 1);
    assert_int_equal(measure->start, scenario_at(0));
    assert_int_equal(measure->end, scenario_at(62));
    assert_false(measure->is_incomplete);
}

static void a_run_known_only_from_its_jobs_is_incomplete_until_it_completes(void **state)
{
    struct world *world = *state;
    const struct lifecycle life = lifecycle_of(world);
    struct scenario_delivery job = scenario_job(1, GITHUB_JOB_COMPLETED, 60, 2, 6, 60);
    struct scenario_delivery run = scenario_run(GITHUB_RUN_COMPLETED, 62, "success");
    receive(world, &job);
    assert_int_equal(lifecycle_expire_run(&life, scenario_at(60) + 2 * NS_PER_HOUR, &world->run),
                     ERROR_NONE);
    const struct run_sample *measure = world->output.finished[0].run_sample;
    assert_true(measure->is_incomplete);
    assert_text(measure->workflow, "CI");
    assert_text(measure->result, "success");
    assert_int_equal(measure->start, scenario_at(2));
    receive(world, &run);
    assert_false(world->output.finished[0].run_sample->is_incomplete);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_completed_job_is_measured_with_its_phases_and_steps),
        TEST(the_trace_of_a_sample_is_that_of_the_exported_scheme),
        TEST(a_job_that_was_carried_over_is_not_measured),
        TEST(a_skipped_job_counts_without_phases),
        TEST(a_job_that_was_refused_counts_as_queued),
        TEST(a_runner_lost_in_its_preparation_counts_as_start_up),
        TEST(a_job_that_is_given_up_counts_when_it_completes_after_all),
        TEST(a_job_that_was_given_up_is_sent_again_only_if_it_changed),
        TEST(an_assignment_that_comes_later_is_measured_alone),
        TEST(a_long_text_is_cut),
        TEST(a_job_of_an_old_payload_has_the_workflow_of_its_run),
        TEST(a_run_is_measured_when_its_root_is_sent),
        TEST(a_run_known_only_from_its_jobs_is_incomplete_until_it_completes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
