// workflow_run, ping and other payloads, from the fixtures and with one thing changed in them.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "decoding.h"

struct run_test {
    struct slice body;
    struct decoding decoding;
};

static int set_up(void **state)
{
    *state = calloc(1, sizeof(struct run_test));
    return *state == NULL ? -1 : 0;
}

static void clear(struct run_test *test)
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

static const struct github_event *decode(struct run_test *test, const char *type, struct slice body)
{
    clear(test);
    test->body = body;
    decode_text(&test->decoding, type, body);
    if (test->decoding.code != ERROR_NONE)
        fail_msg("%s", test->decoding.error.message);
    return &test->decoding.event;
}

static const struct github_run *run_of(void **state, const char *path)
{
    const struct github_event *event = decode(*state, "workflow_run", fixture_read(path));
    assert_int_equal(event->kind, GITHUB_EVENT_RUN);
    return &event->run;
}

static const struct github_run *changed(void **state, const char *path, const char *find,
                                        const char *replacement)
{
    struct slice whole = fixture_read(path);
    struct slice body = fixture_replace(whole, find, replacement);
    fixture_free(whole);
    const struct github_event *event = decode(*state, "workflow_run", body);
    assert_int_equal(event->kind, GITHUB_EVENT_RUN);
    return &event->run;
}

static void a_requested_run_names_what_started_it(void **state)
{
    const struct github_run *run = run_of(state, FIXTURES "workflow_run.requested.json");
    assert_int_equal(run->action, GITHUB_RUN_REQUESTED);
    assert_int_equal(run->run_id, 33714470481);
    assert_int_equal(run->run_attempt, 1);
    assert_int_equal(run->run_number, 812);
    assert_text(run->workflow_name, "Build and test");
    assert_text(run->display_title, "Keep the lamp lit");
    assert_text(run->event_name, "push");
    assert_text(run->workflow_path, ".github/workflows/build.yml");
    assert_text(run->status, "queued");
    assert_text(run->conclusion, "");
    assert_text(run->head_branch, "main");
    assert_text(run->head_sha, "6f1c0d9b7e2a4c53918d0e7f6ab5c4d3e2f1a0b9");
    assert_text(run->actor, "mona-example");
    assert_text(run->triggering_actor, "hubot-example");
    assert_time(run->created_at, "2026-09-03T04:16:55Z");
    assert_time(run->updated_at, "2026-09-03T04:16:55Z");
    assert_time(run->run_started_at, "2026-09-03T04:16:55Z");
    assert_int_equal(run->referenced_workflow_count, 0);
    assert_int_equal(run->pull_request_number, 0);
    assert_text(run->pull_request_base, "");
}

static void the_repository_is_read_with_the_run(void **state)
{
    run_of(state, FIXTURES "workflow_run.requested.json");
    struct run_test *test = *state;
    const struct github_repository *repository = &test->decoding.event.repository;
    assert_text(repository->full_name, "octo-example/lighthouse");
    assert_text(repository->service_name, "lighthouse-api");
    assert_text(repository->default_branch, "main");
}

static void a_run_in_progress_has_a_later_update_time(void **state)
{
    const struct github_run *run = run_of(state, FIXTURES "workflow_run.in_progress.json");
    assert_int_equal(run->action, GITHUB_RUN_IN_PROGRESS);
    assert_time(run->updated_at, "2026-09-03T04:17:33Z");
}

static void a_completed_rerun_of_a_pull_request_is_read_in_full(void **state)
{
    const struct github_run *run = run_of(state, FIXTURES "workflow_run.completed.json");
    assert_int_equal(run->action, GITHUB_RUN_COMPLETED);
    assert_text(run->conclusion, "failure");
    assert_int_equal(run->run_attempt, 2);
    assert_time(run->created_at, "2026-09-03T04:16:55Z");
    assert_time(run->run_started_at, "2026-09-03T05:02:10Z");
    assert_time(run->updated_at, "2026-09-03T05:09:44Z");
    assert_int_equal(run->pull_request_number, 2741);
    assert_text(run->pull_request_base, "release-2");
}

static void the_workflows_own_name_is_preferred_to_the_name_of_the_run(void **state)
{
    const struct github_run *run = run_of(state, FIXTURES "workflow_run.completed.json");
    assert_text(run->workflow_name, "Build and test");
    assert_text(run->display_title, "Check PR #2741 by mona");
}

#define WORKFLOW_NAME "\"name\": \"Build and test\",\n    \"path\""

static void the_path_replaces_a_missing_workflow_name(void **state)
{
    static const char *const names[] = {
        "\"name\": null,\n    \"path\"", "\"name\": 7,\n    \"path\"",
        "\"name\": \" \\t\\n\",\n    \"path\"", "\"name\": \"\",\n    \"path\"", "\"path\""};
    for (size_t i = 0; i < COUNT(names); i++) {
        const struct github_run *run =
            changed(state, FIXTURES "workflow_run.completed.json", WORKFLOW_NAME, names[i]);
        assert_text(run->workflow_name, ".github/workflows/build.yml");
    }
}

// The run's name was made for this one run, as display_title shows.
static void the_name_of_the_run_is_not_the_workflows(void **state)
{
    const struct github_run *run =
        changed(state, FIXTURES "workflow_run.completed.json", "\"workflow\":", "\"other\":");
    assert_text(run->workflow_name, ".github/workflows/build.yml");
    // Not made for this one: it is the workflow's.
    run = changed(state, FIXTURES "workflow_run.requested.json", "\"workflow\":", "\"other\":");
    assert_text(run->workflow_name, "Build and test");
}

static const char *named_by_path(struct decoding *decoding, const char *run_path,
                                 const char *workflow)
{
    static char body[1000];
    static char name[200];
    (void)snprintf(
        body, sizeof body,
        "{\"action\":\"completed\",\"workflow_run\":{\"id\":1,\"name\":\"\",\"path\":%s},"
        "\"workflow\":%s}",
        run_path, workflow);
    decode_text(decoding, "workflow_run", slice_from_string(body));
    assert_int_equal(decoding->code, ERROR_NONE);
    (void)snprintf(name, sizeof name, "%.*s", SLICE_ARGS(decoding->event.run.workflow_name));
    decoding_release(decoding);
    return name;
}

static void a_path_that_replaces_a_name_is_used_without_its_ref(void **state)
{
    static const struct {
        const char *run_path;
        const char *workflow;
        const char *name;
    } cases[] = {
        {"\".github/workflows/x.yml\"", "null", ".github/workflows/x.yml"},
        {"\".github/workflows/x.yml@refs/heads/main\"", "{}", ".github/workflows/x.yml"},
        {"\".github/workflows/x.yaml@v1@2\"", "{}", ".github/workflows/x.yaml"},
        {"\".github/workflows/a@b.yml\"", "{}", ".github/workflows/a@b.yml"},
        {"\"acme/rules/.github/workflows/audit.yml@refs/heads/main\"", "null",
         "acme/rules/.github/workflows/audit.yml"},
        {"\"dynamic/pages/pages-build-deployment\"", "{\"name\":\"\"}",
         "dynamic/pages/pages-build-deployment"},
        {"null", "{\"name\":null,\"path\":\".github/workflows/y.yml@main\"}",
         ".github/workflows/y.yml"},
        {"\"\"", "{\"path\":7}", ""},
        {"\" \"", "7", ""},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct decoding decoding;
        assert_string_equal(named_by_path(&decoding, cases[i].run_path, cases[i].workflow),
                            cases[i].name);
    }
}

static void called_workflows_are_named_by_path_and_commit(void **state)
{
    const struct github_run *run = run_of(state, FIXTURES "workflow_run.completed.json");
    assert_int_equal(run->referenced_workflow_count, 2);
    assert_text(run->referenced_workflows[0],
                "octo-example/workflows/.github/workflows/"
                "package.yml@aa11bb22cc33dd44ee55ff660718293a4b5c6d7e");
    assert_text(run->referenced_workflows[1], "octo-example/lighthouse/.github/workflows/"
                                              "lint.yml@6f1c0d9b7e2a4c53918d0e7f6ab5c4d3e2f1a0b9");
}

static void called_workflows_without_path_or_commit_are_left_out(void **state)
{
    const struct github_run *run =
        changed(state, FIXTURES "workflow_run.requested.json", "\"referenced_workflows\": []",
                "\"referenced_workflows\": [{\"path\": \"a.yml\"}, {\"sha\": \"1\"}, {}, null,"
                "{\"path\": \"b.yml@v1\", \"sha\": \"2\"}, {\"path\": \"\", \"sha\": \"3\"},"
                "{\"path\": \"c.yml\", \"sha\": null}, {\"path\": \"@v1\", \"sha\": \"4\"}]");
    assert_int_equal(run->referenced_workflow_count, 2);
    assert_text(run->referenced_workflows[0], "b.yml@2");
    assert_text(run->referenced_workflows[1], "@4");
}

static void a_run_of_a_fork_that_awaits_approval_is_a_run(void **state)
{
    const struct github_run *run =
        run_of(state, FIXTURES "workflow_run.requested.action_required.json");
    assert_int_equal(run->action, GITHUB_RUN_REQUESTED);
    assert_text(run->status, "completed");
    assert_text(run->conclusion, "action_required");
    assert_int_equal(run->pull_request_number, 0);
    assert_text(run->actor, "newcomer-example");
}

static void a_run_that_could_not_start_is_named_by_its_path(void **state)
{
    const struct github_run *run =
        run_of(state, FIXTURES "workflow_run.completed.startup_failure.json");
    assert_text(run->conclusion, "startup_failure");
    assert_text(run->workflow_name, ".github/workflows/broken.yml");
    assert_text(run->workflow_path, ".github/workflows/broken.yml");
}

static void missing_fields_of_a_run_are_unknown(void **state)
{
    (void)state;
    struct decoding decoding;
    decode_text(&decoding, "workflow_run",
                SLICE("{\"action\":\"completed\",\"workflow_run\":{\"id\":1,\"conclusion\":\"\","
                      "\"run_attempt\":0,\"actor\":null,\"pull_requests\":[{\"number\":null,"
                      "\"base\":null}],\"updated_at\":\"\"},\"repository\":{\"full_name\":\"o/n\","
                      "\"name\":\"n\",\"owner\":{\"login\":\"o\"},\"html_url\":\"u\"}}"));
    assert_int_equal(decoding.code, ERROR_NONE);
    const struct github_run *run = &decoding.event.run;
    assert_int_equal(run->run_attempt, 1);
    assert_int_equal(run->run_number, 0);
    assert_int_equal(run->pull_request_number, 0);
    assert_int_equal(run->referenced_workflow_count, 0);
    const struct slice texts[] = {run->workflow_name,
                                  run->display_title,
                                  run->event_name,
                                  run->workflow_path,
                                  run->status,
                                  run->conclusion,
                                  run->head_branch,
                                  run->head_sha,
                                  run->actor,
                                  run->triggering_actor,
                                  run->pull_request_base,
                                  decoding.event.repository.default_branch,
                                  decoding.event.repository.service_name};
    for (size_t i = 0; i < COUNT(texts); i++)
        assert_int_equal(texts[i].len, 0);
    assert_time(run->created_at, "");
    assert_time(run->updated_at, "");
    assert_time(run->run_started_at, "");
    decoding_release(&decoding);
}

static void of_several_pull_requests_the_first_is_read(void **state)
{
    static const struct {
        const char *list;
        int64_t number;
    } cases[] = {
        {"\"pull_requests\": null", 0},
        {"\"pull_requests\": [null, {\"number\": 3}]", 3},
        {"\"pull_requests\": [{\"number\": 4, \"base\": {\"ref\": \"b\"}}, {\"number\": \"x\"}]",
         4},
        {"\"other\": 1", 0},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        const struct github_run *run = changed(state, FIXTURES "workflow_run.requested.json",
                                               "\"pull_requests\": []", cases[i].list);
        assert_int_equal(run->pull_request_number, cases[i].number);
        assert_text(run->pull_request_base, cases[i].number == 4 ? "b" : "");
    }
}

static void pings_of_repositories_and_organizations_are_pings(void **state)
{
    struct run_test *test = *state;
    assert_int_equal(decode(test, "ping", fixture_read(FIXTURES "ping.repository.json"))->kind,
                     GITHUB_EVENT_PING);
    assert_int_equal(decode(test, "ping", fixture_read(FIXTURES "ping.organization.json"))->kind,
                     GITHUB_EVENT_PING);
}

static void each_type_is_found_by_its_name(void **state)
{
    (void)state;
    for (int i = 0; i < GITHUB_EVENT_KINDS; i++) {
        enum github_event_kind type = (enum github_event_kind)i;
        assert_int_equal(github_event_type_of(slice_from_string(github_event_name(type))), type);
    }
}

static void other_event_types_are_ignored_whatever_they_contain(void **state)
{
    static const char *const types[] = {
        "check_run", "push", "", "workflow_jobs", "Ping", "workflow", "workflow_dispatch"};
    for (size_t i = 0; i < COUNT(types); i++) {
        const struct github_event *event =
            decode(*state, types[i], fixture_read(FIXTURES "workflow_job.queued.json"));
        assert_int_equal(event->kind, GITHUB_EVENT_IGNORED);
        assert_string_equal(event->ignored_because, "event type not used");
    }
}

static void unsupported_run_actions_are_ignored(void **state)
{
    static const char *const bodies[] = {"{\"action\":\"queued\"}", "{\"action\":\"waiting\"}",
                                         "{\"action\":\"\",\"workflow_run\":3}"};
    (void)state;
    for (size_t i = 0; i < COUNT(bodies); i++) {
        struct decoding decoding;
        decode_text(&decoding, "workflow_run", slice_from_string(bodies[i]));
        assert_int_equal(decoding.code, ERROR_NONE);
        assert_int_equal(decoding.event.kind, GITHUB_EVENT_IGNORED);
        assert_string_equal(decoding.event.ignored_because, "action of workflow_run not used");
        decoding_release(&decoding);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_requested_run_names_what_started_it),
        TEST(the_repository_is_read_with_the_run),
        TEST(a_run_in_progress_has_a_later_update_time),
        TEST(a_completed_rerun_of_a_pull_request_is_read_in_full),
        TEST(the_workflows_own_name_is_preferred_to_the_name_of_the_run),
        TEST(the_path_replaces_a_missing_workflow_name),
        TEST(the_name_of_the_run_is_not_the_workflows),
        cmocka_unit_test(a_path_that_replaces_a_name_is_used_without_its_ref),
        TEST(called_workflows_are_named_by_path_and_commit),
        TEST(called_workflows_without_path_or_commit_are_left_out),
        TEST(a_run_of_a_fork_that_awaits_approval_is_a_run),
        TEST(a_run_that_could_not_start_is_named_by_its_path),
        cmocka_unit_test(missing_fields_of_a_run_are_unknown),
        TEST(of_several_pull_requests_the_first_is_read),
        TEST(pings_of_repositories_and_organizations_are_pings),
        TEST(each_type_is_found_by_its_name),
        TEST(other_event_types_are_ignored_whatever_they_contain),
        cmocka_unit_test(unsupported_run_actions_are_ignored),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
