// Events merged in any order.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ghatrace/trace/merge.h"
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

// What is stored of a version has room for these bits only.
static void the_digest_of_a_version_has_no_bits_beyond_the_mask(void **state)
{
    struct scenario_delivery end = scenario_job(5, GITHUB_JOB_COMPLETED, 3, 0, 2, 3);
    struct job_state job = {0};
    (void)state;
    merge_job_event(&job, &end.event, end.guid_time, UINT64_MAX);
    assert_int_equal(job.body_version.digest & ~STATE_DIGEST_MASK, 0);
    assert_int_not_equal(job.body_version.digest & STATE_DIGEST_MASK, 0);
}

// An event that is received late says which runner the job had before.
static void the_runner_is_that_of_the_newest_event_in_every_order(void **state)
{
    struct scenario_delivery deliveries[] = {
        scenario_job(5, GITHUB_JOB_IN_PROGRESS, 2, 0, 2, -1),
        scenario_job(5, GITHUB_JOB_IN_PROGRESS, 9, 0, 9, -1),
        scenario_job(5, GITHUB_JOB_IN_PROGRESS, 5, 0, 5, -1),
    };
    (void)state;
    for (int i = 0; i < 3; i++)
        scenario_set_runner(&deliveries[i], 10 + i, "");
    for (size_t first = 0; first < 3; first++) {
        for (size_t step = 1; step < 3; step++) {
            struct job_state job = {0};
            for (size_t i = 0; i < 3; i++) {
                const struct scenario_delivery *next = &deliveries[(first + i * step) % 3];
                merge_job_event(&job, &next->event, next->guid_time, 1);
            }
            assert_int_equal(job.runner_id, 11);
        }
    }
}

static const struct slice words[] = {{"linux", 5}, {"self-hosted", 11}};
static const struct github_step steps[] = {
    {{"build", 5}, 3, {"completed", 9}, {"success", 7}, 1000, 2000},
    {{"", 0}, 4, {"queued", 6}, {"", 0}, 0, 0},
};
static const struct github_repository repository = {
    .full_name = {"octo/hello", 10},
    .owner = {"octo", 4},
    .name = {"hello", 5},
    .html_url = {"https://github.com/octo/hello", 29},
    .default_branch = {"main", 4},
    .service_name = {"greeter", 7},
};

// Digests are stored, and break ties between events: the winner must not depend on the version that received it. One
// more member changes them.
static void the_digest_of_a_jobs_event_is_that_of_earlier_versions(void **state)
{
    const struct github_event event = {
        .kind = GITHUB_EVENT_JOB,
        .repository = repository,
        .job = {.job_id = 11,
                .run_id = 12,
                .run_attempt = 13,
                .action = GITHUB_JOB_COMPLETED,
                .name = {"test", 4},
                .workflow_name = {"CI", 2},
                .head_branch = {"topic", 5},
                .head_sha = {"0123456789abcdef", 16},
                .html_url = {"https://github.com/octo/hello/actions/runs/12/job/11", 52},
                .status = {"completed", 9},
                .conclusion = {"failure", 7},
                .created_at = 14,
                .started_at = 15,
                .completed_at = 16,
                .runner_id = 17,
                .runner_name = {"runner-1", 8},
                .runner_group_name = {"Default", 7},
                .labels = words,
                .label_count = 2,
                .steps = steps,
                .step_count = 2,
                .deployment_id = 18,
                .deployment_environment = {"production", 10}},
    };
    (void)state;
    assert_int_equal(merge_digest_of_job(&event), UINT64_C(0x8cf68e4e0cacd231));
}

static void the_digest_of_a_runs_event_is_that_of_earlier_versions(void **state)
{
    const struct github_event event = {
        .kind = GITHUB_EVENT_RUN,
        .repository = repository,
        .run = {.run_id = 11,
                .run_attempt = 12,
                .run_number = 13,
                .action = GITHUB_RUN_COMPLETED,
                .workflow_name = {"CI", 2},
                .display_title = {"Fix it", 6},
                .event_name = {"push", 4},
                .workflow_path = {".github/workflows/ci.yml", 24},
                .status = {"completed", 9},
                .conclusion = {"success", 7},
                .head_branch = {"topic", 5},
                .head_sha = {"0123456789abcdef", 16},
                .actor = {"octocat", 7},
                .triggering_actor = {"hubot", 5},
                .created_at = 14,
                .updated_at = 15,
                .run_started_at = 16,
                .referenced_workflows = words,
                .referenced_workflow_count = 2,
                .pull_request_number = 17,
                .pull_request_base = {"main", 4}},
    };
    (void)state;
    assert_int_equal(merge_digest_of_run(&event), UINT64_C(0x15a5c3b5b10be73c));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_jobs_data_on_its_run_are_the_same_in_every_order),
        cmocka_unit_test(the_digest_of_a_version_has_no_bits_beyond_the_mask),
        cmocka_unit_test(the_runner_is_that_of_the_newest_event_in_every_order),
        cmocka_unit_test(the_digest_of_a_jobs_event_is_that_of_earlier_versions),
        cmocka_unit_test(the_digest_of_a_runs_event_is_that_of_earlier_versions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
