// workflow_job payloads, from the fixtures and with one thing changed in them.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decoding.h"

struct job_test {
    struct slice body;
    struct decoding decoding;
};

static int set_up(void **state)
{
    *state = calloc(1, sizeof(struct job_test));
    return *state == NULL ? -1 : 0;
}

static void clear(struct job_test *test)
{
    decoding_release(&test->decoding);
    fixture_free(test->body);
    test->body = SLICE_EMPTY;
}

static int tear_down(void **state)
{
    clear(*state);
    free(*state);
    return 0;
}

static const struct github_event *decode(struct job_test *test, struct slice body)
{
    clear(test);
    test->body = body;
    decode_text(&test->decoding, "workflow_job", body);
    if (test->decoding.code != ERROR_NONE)
        fail_msg("%s", test->decoding.error.message);
    return &test->decoding.event;
}

// The job of a fixture.
static const struct github_job *job_of(void **state, const char *path)
{
    const struct github_event *event = decode(*state, fixture_read(path));
    assert_int_equal(event->kind, GITHUB_EVENT_JOB);
    return &event->job;
}

// The event of a fixture in which `find` was replaced.
static const struct github_event *changed(void **state, const char *path, const char *find,
                                          const char *replacement)
{
    struct slice whole = fixture_read(path);
    struct slice body = fixture_replace(whole, find, replacement);
    fixture_free(whole);
    return decode(*state, body);
}

static void a_queued_job_has_no_runner_and_was_started_when_it_was_created(void **state)
{
    const struct github_job *job = job_of(state, FIXTURES "workflow_job.queued.json");
    assert_int_equal(job->action, GITHUB_JOB_QUEUED);
    assert_int_equal(job->job_id, 100520616165);
    assert_int_equal(job->run_id, 33714470481);
    assert_int_equal(job->run_attempt, 1);
    assert_text(job->name, "build / linux (22.04)");
    assert_text(job->workflow_name, "Build and test");
    assert_text(job->head_branch, "main");
    assert_text(job->head_sha, "6f1c0d9b7e2a4c53918d0e7f6ab5c4d3e2f1a0b9");
    assert_text(job->html_url, "https://github.com/octo-example/lighthouse/actions/runs/"
                               "33714470481/job/100520616165");
    assert_text(job->status, "queued");
    assert_text(job->conclusion, "");
    assert_time(job->created_at, "2026-09-03T04:16:57Z");
    assert_int_equal(job->started_at, job->created_at);
    assert_time(job->completed_at, "");
    assert_int_equal(job->runner_id, 0);
    assert_text(job->runner_name, "");
    assert_text(job->runner_group_name, "");
    assert_int_equal(job->label_count, 3);
    assert_text(job->labels[0], "self-hosted");
    assert_text(job->labels[2], "x64");
    assert_int_equal(job->step_count, 0);
    assert_int_equal(job->deployment_id, 0);
    assert_text(job->deployment_environment, "");
}

static void the_repository_is_read_with_the_job(void **state)
{
    const struct github_event *event =
        decode(*state, fixture_read(FIXTURES "workflow_job.queued.json"));
    assert_text(event->repository.full_name, "octo-example/lighthouse");
    assert_text(event->repository.owner, "octo-example");
    assert_text(event->repository.name, "lighthouse");
    assert_text(event->repository.html_url, "https://github.com/octo-example/lighthouse");
    assert_text(event->repository.default_branch, "main");
    assert_text(event->repository.service_name, "lighthouse-api");
}

static void the_service_name_property_may_be_anything_but_only_text_counts(void **state)
{
    static const char *const properties[] = {"null", "[\"a\", \"b\"]", "17", "true", "{}", "\"\""};
    for (size_t i = 0; i < COUNT(properties); i++) {
        const struct github_event *event = changed(state, FIXTURES "workflow_job.queued.json",
                                                   "\"lighthouse-api\"", properties[i]);
        assert_int_equal(event->kind, GITHUB_EVENT_JOB);
        assert_text(event->repository.service_name, "");
    }
}

static void a_job_that_waits_for_approval_names_its_deployment(void **state)
{
    const struct github_job *job = job_of(state, FIXTURES "workflow_job.waiting.json");
    assert_int_equal(job->action, GITHUB_JOB_WAITING);
    assert_int_equal(job->deployment_id, 3192898954); // over 2^31
    assert_text(job->deployment_environment, "production");
    assert_int_equal(job->started_at, job->created_at);
}

static void the_action_is_kept_where_the_status_says_otherwise(void **state)
{
    const struct github_job *job =
        job_of(state, FIXTURES "workflow_job.queued.status_waiting.json");
    assert_int_equal(job->action, GITHUB_JOB_QUEUED);
    assert_text(job->status, "waiting");
    assert_int_equal(job->deployment_id, 3192898954);
}

static void deployment_may_be_null(void **state)
{
    const struct github_event *event = changed(state, FIXTURES "workflow_job.queued.json",
                                               "\"action\":", "\"deployment\": null, \"action\":");
    assert_int_equal(event->job.deployment_id, 0);
}

static void a_running_job_lists_steps_that_have_not_begun(void **state)
{
    const struct github_job *job = job_of(state, FIXTURES "workflow_job.in_progress.json");
    assert_int_equal(job->action, GITHUB_JOB_IN_PROGRESS);
    assert_time(job->started_at, "2026-09-03T04:17:31Z");
    assert_int_equal(job->runner_id, 1000009221);
    assert_text(job->runner_name, "tug-1000009221");
    assert_text(job->runner_group_name, "Default");
    assert_int_equal(job->step_count, 4);
    assert_time(job->steps[0].completed_at, "2026-09-03T04:17:33Z");
    assert_text(job->steps[1].status, "in_progress");
    assert_text(job->steps[1].conclusion, "");
    assert_time(job->steps[1].started_at, "2026-09-03T04:17:33Z");
    assert_time(job->steps[1].completed_at, "");
    assert_time(job->steps[3].started_at, "");
    assert_text(job->steps[3].name, "Run make check || bash -c \\");
}

static void a_completed_job_has_its_steps_with_their_numbers_and_gaps(void **state)
{
    static const int64_t numbers[] = {1, 2, 3, 4, 5, 6, 7, 12, 13, 14};
    const struct github_job *job = job_of(state, FIXTURES "workflow_job.completed.json");
    assert_int_equal(job->action, GITHUB_JOB_COMPLETED);
    assert_text(job->conclusion, "failure");
    assert_time(job->completed_at, "2026-09-03T04:20:54Z");
    assert_int_equal(job->step_count, COUNT(numbers));
    for (size_t i = 0; i < COUNT(numbers); i++)
        assert_int_equal(job->steps[i].number, numbers[i]);
    assert_text(job->steps[2].name, "Run actions/checkout@v4");
    assert_text(job->steps[6].name, "Run actions/checkout@v4");
    assert_text(job->steps[3].name, "Build \u201crelease\u201d \u26f5");
    assert_text(job->steps[4].conclusion, "failure");
    assert_text(job->steps[5].conclusion, "skipped");
    assert_time(job->steps[9].started_at, "2026-09-03T04:20:50Z");
}

static void a_skipped_job_is_a_job(void **state)
{
    const struct github_job *job = job_of(state, FIXTURES "workflow_job.completed.skipped.json");
    assert_text(job->conclusion, "skipped");
    assert_text(job->name, "native (${{ matrix.os }})");
    assert_int_equal(job->label_count, 0);
    assert_int_equal(job->step_count, 0);
    assert_true(job->started_at < job->created_at);
}

static void a_job_cancelled_before_a_runner_took_it_has_none(void **state)
{
    const struct github_job *job =
        job_of(state, FIXTURES "workflow_job.completed.cancelled_before_runner.json");
    assert_text(job->conclusion, "cancelled");
    assert_int_equal(job->runner_id, 0);
    assert_text(job->runner_name, "");
    assert_int_equal(job->started_at, job->completed_at);
}

static void a_job_carried_over_into_a_rerun_keeps_its_old_times(void **state)
{
    const struct github_job *job =
        job_of(state, FIXTURES "workflow_job.completed.carried_over.json");
    assert_int_equal(job->run_attempt, 2);
    assert_time(job->created_at, "2026-09-03T05:02:11Z");
    assert_time(job->started_at, "2026-09-03T04:17:05Z");
    assert_int_equal(job->step_count, 3);
}

static void a_step_of_a_lost_runner_has_no_end(void **state)
{
    const struct github_job *job =
        job_of(state, FIXTURES "workflow_job.completed.lost_runner.json");
    assert_int_equal(job->step_count, 1);
    assert_text(job->steps[0].status, "in_progress");
    assert_text(job->steps[0].conclusion, "");
    assert_time(job->steps[0].completed_at, "");
}

static void the_oldest_form_lacks_creation_workflow_branch_attempt_and_runner(void **state)
{
    const struct github_job *job = job_of(state, FIXTURES "workflow_job.queued.2021.json");
    assert_time(job->created_at, "");
    assert_time(job->started_at, "2021-08-05T10:33:58Z");
    assert_text(job->workflow_name, "");
    assert_text(job->head_branch, "");
    assert_int_equal(job->run_attempt, 1);
    assert_int_equal(job->runner_id, 0);
}

static void real_jobs_of_2022_have_the_url_of_a_check_run_and_are_jobs(void **state)
{
    const struct github_job *job = job_of(state, FIXTURES "workflow_job.completed.2022.json");
    assert_text(
        job->html_url,
        "https://github.com/octo-example/lighthouse/runs/3121212121?check_suite_focus=true");
    assert_int_equal(job->step_count, 3);
    assert_time(job->steps[0].started_at, "2022-08-09T10:40:56Z");
}

#define CHECK_RUN FIXTURES "workflow_job.completed.check_run.json"

static void a_check_run_delivered_as_a_job_is_ignored(void **state)
{
    const struct github_event *event = decode(*state, fixture_read(CHECK_RUN));
    assert_int_equal(event->kind, GITHUB_EVENT_IGNORED);
    assert_string_equal(event->ignored_because, "check run that is not a job");
}

static void a_check_run_is_recognized_by_all_of_its_signs_together(void **state)
{
    static const struct {
        const char *find;
        const char *replacement;
        enum github_event_kind kind;
    } cases[] = {
        {"\"conclusion\": \"failure\"", "\"conclusion\": \"success\"", GITHUB_EVENT_IGNORED},
        {"\"runner_id\": null", "\"runner_id\": 0", GITHUB_EVENT_IGNORED},
        {"\"runner_name\": null", "\"runner_name\": \"\"", GITHUB_EVENT_IGNORED},
        {"\"labels\": []", "\"labels\": null", GITHUB_EVENT_IGNORED},
        {"\"labels\": []", "\"labels\": [null]", GITHUB_EVENT_IGNORED},
        {"\"steps\": [],", "", GITHUB_EVENT_IGNORED},
        {"/runs/100520616600\",\n", "/runs/100520616600?check_suite_focus=true\",\n",
         GITHUB_EVENT_IGNORED},
        {"\"labels\": []", "\"labels\": [\"ubuntu-latest\"]", GITHUB_EVENT_JOB},
        {"\"steps\": []", "\"steps\": [{\"name\": \"Set up job\"}]", GITHUB_EVENT_JOB},
        {"\"runner_id\": null", "\"runner_id\": 7", GITHUB_EVENT_JOB},
        {"\"runner_name\": null", "\"runner_name\": \"tug\"", GITHUB_EVENT_JOB},
        {"\"action\": \"completed\"", "\"action\": \"queued\"", GITHUB_EVENT_JOB},
        {"\"action\": \"completed\"", "\"action\": \"in_progress\"", GITHUB_EVENT_JOB},
        {"https://github.com/octo-example/lighthouse/runs/100520616600", "", GITHUB_EVENT_JOB},
        {"lighthouse/runs/100520616600", "lighthouse/actions/runs/1/job/2", GITHUB_EVENT_JOB},
        {"lighthouse/runs/100520616600", "lighthouse/actions/runs/1/jobs/2", GITHUB_EVENT_JOB},
        {"\"html_url\"", "\"other_url\"", GITHUB_EVENT_JOB},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        const struct github_event *event =
            changed(state, CHECK_RUN, cases[i].find, cases[i].replacement);
        if (event->kind != cases[i].kind)
            fail_msg("case %zu: %s", i, cases[i].replacement);
    }
}

static void a_repository_named_job_does_not_make_a_check_run_a_job(void **state)
{
    struct slice whole = fixture_read(CHECK_RUN);
    struct slice one = fixture_replace(whole, "https://github.com/octo-example/lighthouse/runs/",
                                       "https://github.com/octo-example/job/runs/");
    struct slice two =
        fixture_replace(one, "\"html_url\": \"https://github.com/octo-example/lighthouse\"",
                        "\"html_url\": \"https://github.com/octo-example/job\"");
    fixture_free(whole);
    fixture_free(one);
    assert_int_equal(decode(*state, two)->kind, GITHUB_EVENT_IGNORED);
}

static void a_null_job_is_ignored(void **state)
{
    const struct github_event *event =
        decode(*state, fixture_read(FIXTURES "workflow_job.null.json"));
    assert_int_equal(event->kind, GITHUB_EVENT_IGNORED);
    assert_string_equal(event->ignored_because, "workflow_job is null");
}

static void null_empty_zero_and_absent_are_equal(void **state)
{
    static const char *const attempts[] = {"\"run_attempt\": null", "\"run_attempt\": 0",
                                           "\"other\": 0"};
    for (size_t i = 0; i < COUNT(attempts); i++) {
        const struct github_event *event =
            changed(state, FIXTURES "workflow_job.queued.json", "\"run_attempt\": 1", attempts[i]);
        assert_int_equal(event->job.run_attempt, 1);
    }
    static const char *const times[] = {"null", "\"\"", "\"0001-01-01T00:00:00Z\""};
    for (size_t i = 0; i < COUNT(times); i++) {
        const struct github_event *event = changed(state, FIXTURES "workflow_job.queued.json",
                                                   "\"2026-09-03T04:16:57Z\"", times[i]);
        assert_time(event->job.created_at, "");
        assert_time(event->job.started_at, "2026-09-03T04:16:57Z");
    }
}

static void times_may_have_fractions_and_offsets(void **state)
{
    const struct github_event *event =
        changed(state, FIXTURES "workflow_job.queued.json", "\"2026-09-03T04:16:57Z\"",
                "\"2026-09-03T06:16:57.250+02:00\"");
    assert_int_equal(event->job.created_at, event->job.started_at + 250 * NS_PER_MS);
}

static void the_first_of_double_keys_wins(void **state)
{
    const struct github_event *event =
        changed(state, FIXTURES "workflow_job.queued.json", "\"run_id\": 33714470481",
                "\"run_id\": 5, \"run_id\": 6, \"run_id\": \"x\"");
    assert_int_equal(event->job.run_id, 5);
    event = changed(state, FIXTURES "workflow_job.queued.json", "\"run_attempt\": 1",
                    "\"run_attempt\": null, \"run_attempt\": 6");
    assert_int_equal(event->job.run_attempt, 1);
}

static void escapes_are_resolved_in_values_and_keys(void **state)
{
    const struct github_event *event =
        changed(state, FIXTURES "workflow_job.queued.json", "\"name\": \"build / linux (22.04)\"",
                "\"na\\u006de\": \"\\ud83d\\udea2 \\\"x\\\"\\n\\u0000\\udc00\xff\"");
    assert_text(event->job.name, "\xf0\x9f\x9a\xa2 \"x\"\n\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
}

static void ids_beyond_32_bits_keep_every_bit(void **state)
{
    const struct github_event *event =
        changed(state, FIXTURES "workflow_job.queued.json", "\"run_id\": 33714470481",
                "\"run_id\": 9223372036854775807");
    assert_int_equal(event->job.run_id, INT64_MAX);
}

static void a_job_name_may_be_empty(void **state)
{
    const struct github_event *event =
        changed(state, FIXTURES "workflow_job.queued.json", "\"build / linux (22.04)\"", "\"\"");
    assert_int_equal(event->kind, GITHUB_EVENT_JOB);
    assert_text(event->job.name, "");
}

static void null_labels_and_steps_are_skipped(void **state)
{
    const struct github_event *event = changed(state, FIXTURES "workflow_job.queued.json",
                                               "\"self-hosted\"", "null, \"self-hosted\"");
    assert_int_equal(event->job.label_count, 3);
    assert_text(event->job.labels[0], "self-hosted");
    event = changed(state, FIXTURES "workflow_job.queued.json", "\"steps\": []",
                    "\"steps\": [null, {\"name\": \"b\"}, null]");
    assert_int_equal(event->job.step_count, 1);
    assert_int_equal(event->job.steps[0].number, 2);
}

static void steps_are_sorted_by_number_and_otherwise_keep_their_order(void **state)
{
    const struct github_event *event =
        changed(state, FIXTURES "workflow_job.queued.json", "\"steps\": []",
                "\"steps\": [{\"name\":\"e\",\"number\":9},{\"name\":\"b\",\"number\":2},"
                "{\"name\":\"c\",\"number\":2},{\"name\":\"a\",\"number\":1},"
                "{\"name\":\"d\",\"number\":null},{\"name\":\"f\",\"number\":9},"
                "{\"name\":\"d2\",\"number\":5}]");
    static const char *const order[] = {"a", "b", "c", "d", "d2", "e", "f"};
    assert_int_equal(event->job.step_count, COUNT(order));
    for (size_t i = 0; i < COUNT(order); i++)
        assert_text(event->job.steps[i].name, order[i]);
    assert_int_equal(event->job.steps[3].number, 5); // its place, where there is no number
}

// `count` steps, numbered downwards.
static char *steps_downwards(int count)
{
    size_t size = (size_t)count * 120 + 16;
    char *text = malloc(size);
    assert_non_null(text);
    size_t len = (size_t)snprintf(text, size, "\"steps\": [");
    for (int i = count; i > 0; i--)
        len += (size_t)snprintf(text + len, size - len,
                                "%s{\"name\":\"Step %d\",\"number\":%d,\"status\":\"completed\","
                                "\"conclusion\":\"success\",\"started_at\":null}",
                                i == count ? "" : ",", i, i);
    snprintf(text + len, size - len, "]");
    return text;
}

static void jobs_of_any_length_have_all_their_steps_in_order(void **state)
{
    static const int counts[] = {1, 2, 3, 200, 1023, 50000};
    for (size_t c = 0; c < COUNT(counts); c++) {
        char *steps = steps_downwards(counts[c]);
        const struct github_event *event =
            changed(state, FIXTURES "workflow_job.queued.json", "\"steps\": []", steps);
        free(steps);
        assert_int_equal(event->job.step_count, counts[c]);
        for (int i = 0; i < counts[c]; i++)
            assert_int_equal(event->job.steps[i].number, i + 1);
    }
}

static void unsupported_actions_are_ignored_before_anything_else_is_read(void **state)
{
    static const char *const bodies[] = {
        "{\"action\": \"started\"}",
        "{\"action\": \"\", \"workflow_job\": 17}",
        "{\"action\": \"Completed\", \"repository\": []}",
        "{\"action\": \"requested\", \"workflow_job\": {\"id\": \"x\"}}",
    };
    (void)state;
    for (size_t i = 0; i < COUNT(bodies); i++) {
        struct decoding decoding;
        decode_text(&decoding, "workflow_job", slice_from_string(bodies[i]));
        assert_int_equal(decoding.code, ERROR_NONE);
        assert_int_equal(decoding.event.kind, GITHUB_EVENT_IGNORED);
        assert_string_equal(decoding.event.ignored_because, "action of workflow_job not used");
        decoding_release(&decoding);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_queued_job_has_no_runner_and_was_started_when_it_was_created),
        TEST(the_repository_is_read_with_the_job),
        TEST(the_service_name_property_may_be_anything_but_only_text_counts),
        TEST(a_job_that_waits_for_approval_names_its_deployment),
        TEST(the_action_is_kept_where_the_status_says_otherwise),
        TEST(deployment_may_be_null),
        TEST(a_running_job_lists_steps_that_have_not_begun),
        TEST(a_completed_job_has_its_steps_with_their_numbers_and_gaps),
        TEST(a_skipped_job_is_a_job),
        TEST(a_job_cancelled_before_a_runner_took_it_has_none),
        TEST(a_job_carried_over_into_a_rerun_keeps_its_old_times),
        TEST(a_step_of_a_lost_runner_has_no_end),
        TEST(the_oldest_form_lacks_creation_workflow_branch_attempt_and_runner),
        TEST(real_jobs_of_2022_have_the_url_of_a_check_run_and_are_jobs),
        TEST(a_check_run_delivered_as_a_job_is_ignored),
        TEST(a_check_run_is_recognized_by_all_of_its_signs_together),
        TEST(a_repository_named_job_does_not_make_a_check_run_a_job),
        TEST(a_null_job_is_ignored),
        TEST(null_empty_zero_and_absent_are_equal),
        TEST(times_may_have_fractions_and_offsets),
        TEST(the_first_of_double_keys_wins),
        TEST(escapes_are_resolved_in_values_and_keys),
        TEST(ids_beyond_32_bits_keep_every_bit),
        TEST(a_job_name_may_be_empty),
        TEST(null_labels_and_steps_are_skipped),
        TEST(steps_are_sorted_by_number_and_otherwise_keep_their_order),
        TEST(jobs_of_any_length_have_all_their_steps_in_order),
        cmocka_unit_test(unsupported_actions_are_ignored_before_anything_else_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
