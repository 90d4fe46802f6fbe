// Events merged in any order.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ghatrace/trace/lifecycle.h"
#include "ghatrace/trace/merge.h"
#include "support/policy.h"
#include "support/scenario.h"

#define EVENTS 5

static void assert_slice(struct slice actual, struct slice expected)
{
    assert_int_equal(actual.len, expected.len);
    assert_memory_equal(actual.data, expected.data, expected.len);
}

// The data on a run differ between a job's events if its repository is renamed in between, and a payload may lack
// data that another has.
static void a_jobs_data_on_its_run_are_the_same_in_every_order(void **state)
{
    struct scenario_delivery deliveries[EVENTS] = {
        scenario_job(5, GITHUB_JOB_QUEUED, 1, 0, 0, -1),
        scenario_job(5, GITHUB_JOB_IN_PROGRESS, 2, 0, 2, -1),
        scenario_job(5, GITHUB_JOB_COMPLETED, 3, 0, 2, 3),
        scenario_job(6, GITHUB_JOB_QUEUED, 1, 0, 0, -1),
        scenario_job(4, GITHUB_JOB_QUEUED, 1, 0, 0, -1),
    };
    (void)state;
    deliveries[0].event.job.workflow_name = SLICE_EMPTY;
    deliveries[1].event.repository.full_name = SLICE("octo/renamed");
    deliveries[2].event.job.head_branch = SLICE_EMPTY;
    deliveries[3].event.job.workflow_name = SLICE("of another job");
    deliveries[4].event.job.workflow_name =
        SLICE_EMPTY; // the first of them, but it knows no workflow
    for (size_t first = 0; first < EVENTS; first++) {
        for (int step = 1; step < EVENTS; step++) {
            struct run_state run = {0};
            for (size_t i = 0; i < EVENTS; i++)
                merge_run_from_job(&run, &deliveries[(first + i * (size_t)step) % EVENTS].event);
            assert_int_equal(run.source_job_id, 5);
            assert_slice(run.job_workflow_name, SLICE("CI"));
            assert_slice(run.job_head_branch, SLICE("main"));
            assert_slice(run.job_repository.full_name, SLICE("octo/renamed"));
        }
    }
}

// A ping's fields share memory with a run's: merged as a run it would create one.
static void an_event_of_neither_job_nor_run_changes_nothing(void **state)
{
    static const enum github_event_kind kinds[] = {GITHUB_EVENT_PING, GITHUB_EVENT_IGNORED};
    struct trace_policy policy;
    struct arena arena;
    (void)state;
    trace_policy_init(&policy);
    arena_init(&arena, 4096);
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        const struct run_state untouched = {0};
        struct run_state run = {0};
        struct lifecycle_output output;
        const struct lifecycle life = {&policy, &arena, &output};
        struct scenario_delivery delivery = scenario_run(GITHUB_RUN_COMPLETED, 1, "success");
        delivery.event.kind = kinds[i];
        const struct lifecycle_event received = scenario_received(&delivery);
        assert_int_equal(lifecycle_apply_event(&life, &received, &run, NULL), ERROR_INVALID);
        assert_memory_equal(&run, &untouched, sizeof run);
        assert_int_equal(output.finished_count, 0);
        assert_false(output.run_changed);
    }
    arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_jobs_data_on_its_run_are_the_same_in_every_order),
        cmocka_unit_test(an_event_of_neither_job_nor_run_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
