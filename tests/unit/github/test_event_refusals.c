// Payloads that are refused, and the words in which: the sender reads them in his delivery log.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "decoding.h"

struct refusal {
    const char *find;
    const char *replacement;
    const char *message;
};

static void assert_refused(const char *type, struct slice body, const char *message)
{
    struct decoding decoding;
    decode_text(&decoding, type, body);
    if (decoding.code != ERROR_INVALID)
        fail_msg("not refused (%d): expected %s", decoding.code, message);
    assert_int_equal(decoding.error.code, ERROR_INVALID);
    assert_string_equal(decoding.error.message, message);
    decoding_release(&decoding);
}

static void assert_refusals(const char *type, const char *path, const struct refusal *refusals,
                            size_t count)
{
    struct slice whole = fixture_read(path);
    for (size_t i = 0; i < count; i++) {
        struct slice body = fixture_replace(whole, refusals[i].find, refusals[i].replacement);
        assert_refused(type, body, refusals[i].message);
        fixture_free(body);
    }
    fixture_free(whole);
}

static void every_field_of_a_job_is_named_when_it_is_wrong(void **state)
{
    static const struct refusal refusals[] = {
        {"\"id\": 100520616165", "\"x\": 1", "workflow_job.id: missing"},
        {"100520616165", "null", "workflow_job.id: missing"},
        {"100520616165", "0", "workflow_job.id: not positive"},
        {"100520616165", "-7", "workflow_job.id: not positive"},
        {"100520616165", "100520616165.0", "workflow_job.id: not a 64-bit integer"},
        {"100520616165", "1e11", "workflow_job.id: not a 64-bit integer"},
        {"100520616165", "\"100520616165\"", "workflow_job.id: not a 64-bit integer"},
        {"100520616165", "9223372036854775808", "workflow_job.id: not a 64-bit integer"},
        {"100520616165", "true", "workflow_job.id: not a 64-bit integer"},
        {"100520616165", "{}", "workflow_job.id: not a 64-bit integer"},
        {"100520616165", "[100520616165]", "workflow_job.id: not a 64-bit integer"},
        {"\"run_id\"", "\"Run_id\"", "workflow_job.run_id: missing"},
        {"33714470481", "0", "workflow_job.run_id: not positive"},
        {"33714470481", "\"33714470481\"", "workflow_job.run_id: not a 64-bit integer"},
        {"\"name\": \"build / linux (22.04)\"", "\"x\": 1", "workflow_job.name: missing"},
        {"\"build / linux (22.04)\"", "null", "workflow_job.name: missing"},
        {"\"build / linux (22.04)\"", "22.04", "workflow_job.name: not a string"},
        {"\"build / linux (22.04)\"", "{}", "workflow_job.name: not a string"},
        {"\"run_attempt\": 1", "\"run_attempt\": -1", "workflow_job.run_attempt: negative"},
        {"\"run_attempt\": 1", "\"run_attempt\": \"1\"",
         "workflow_job.run_attempt: not a 64-bit integer"},
        {"\"Build and test\"", "[]", "workflow_job.workflow_name: not a string"},
        {"\"head_branch\": \"main\"", "\"head_branch\": false",
         "workflow_job.head_branch: not a string"},
        {"\"6f1c0d9b7e2a4c53918d0e7f6ab5c4d3e2f1a0b9\"", "6",
         "workflow_job.head_sha: not a string"},
        {"\"status\": \"queued\"", "\"status\": 1", "workflow_job.status: not a string"},
        {"\"conclusion\": null", "\"conclusion\": 1", "workflow_job.conclusion: not a string"},
        {"\"2026-09-03T04:16:57Z\"", "\"yesterday\"", "workflow_job.created_at: not a time"},
        {"\"2026-09-03T04:16:57Z\"", "1788409017", "workflow_job.created_at: not a time"},
        {"\"2026-09-03T04:16:57Z\"", "\"2026-09-03T24:16:57Z\"",
         "workflow_job.created_at: not a time"},
        {"\"2026-09-03T04:16:57Z\"", "\"2026-02-30T04:16:57Z\"",
         "workflow_job.created_at: not a time"},
        {"\"started_at\": \"2026-09-03T04:16:57Z\"", "\"started_at\": \"2026-09-03\"",
         "workflow_job.started_at: not a time"},
        {"\"completed_at\": null", "\"completed_at\": []", "workflow_job.completed_at: not a time"},
        {"\"runner_id\": null", "\"runner_id\": \"7\"",
         "workflow_job.runner_id: not a 64-bit integer"},
        {"\"runner_name\": null", "\"runner_name\": 7", "workflow_job.runner_name: not a string"},
        {"\"runner_group_name\": null", "\"runner_group_name\": {}",
         "workflow_job.runner_group_name: not a string"},
        {"\"self-hosted\"", "17", "workflow_job.labels[0]: not a string"},
        {"\"x64\"", "{\"name\": \"x64\"}", "workflow_job.labels[2]: not a string"},
        {"\"steps\": []", "\"steps\": {}", "workflow_job.steps: not an array"},
        {"\"steps\": []", "\"steps\": \"\"", "workflow_job.steps: not an array"},
        {"\"steps\": []", "\"steps\": [3]", "workflow_job.steps[0]: not an object"},
        {"\"workflow_job\": {", "\"other\": {", "workflow_job: missing"},
        {"\"workflow_job\": {", "\"workflow_job\": [], \"other\": {",
         "workflow_job: not an object"},
        {"\"action\": \"queued\"", "\"x\": 1", "action: missing"},
        {"\"action\": \"queued\"", "\"action\": null", "action: missing"},
        {"\"action\": \"queued\"", "\"action\": 3", "action: not a string"},
        {"\"action\"", "\"deployment\": 3, \"action\"", "deployment: not an object"},
        {"\"action\"", "\"deployment\": {\"id\": \"x\"}, \"action\"",
         "deployment.id: not a 64-bit integer"},
        {"\"action\"", "\"deployment\": {\"environment\": 1}, \"action\"",
         "deployment.environment: not a string"},
    };
    (void)state;
    assert_refusals("workflow_job", FIXTURES "workflow_job.queued.json", refusals, COUNT(refusals));
}

static void every_field_of_a_step_is_named_with_its_place(void **state)
{
    static const struct refusal refusals[] = {
        {"\"Set up job\"", "null", "workflow_job.steps[0].name: missing"},
        {"\"Set up job\"", "7", "workflow_job.steps[0].name: not a string"},
        {"\"name\": \"Run make check\"", "\"x\": 1", "workflow_job.steps[4].name: missing"},
        {"\"number\": 2", "\"number\": 2.5", "workflow_job.steps[1].number: not a 64-bit integer"},
        {"\"number\": 14", "\"number\": -14", "workflow_job.steps[9].number: negative"},
        {"\"conclusion\": \"skipped\"", "\"conclusion\": 0",
         "workflow_job.steps[5].conclusion: not a string"},
        {"\"started_at\": \"2026-09-03T04:17:43Z\"", "\"started_at\": \"04:17:43\"",
         "workflow_job.steps[3].started_at: not a time"},
        {"\"completed_at\": \"2026-09-03T04:17:33Z\"", "\"completed_at\": 0",
         "workflow_job.steps[0].completed_at: not a time"},
    };
    (void)state;
    assert_refusals("workflow_job", FIXTURES "workflow_job.completed.json", refusals,
                    COUNT(refusals));
}

static void every_field_of_a_repository_is_named_when_it_is_wrong(void **state)
{
    static const struct refusal refusals[] = {
        {"\"repository\": {", "\"other\": {", "repository: missing"},
        {"\"repository\": {", "\"repository\": null, \"other\": {", "repository: missing"},
        {"\"repository\": {", "\"repository\": \"octo\", \"other\": {",
         "repository: not an object"},
        {"\"full_name\"", "\"x\"", "repository.full_name: missing"},
        {"\"octo-example/lighthouse\"", "1", "repository.full_name: not a string"},
        {"\"name\": \"lighthouse\"", "\"name\": null", "repository.name: missing"},
        {"\"owner\": {", "\"x\": {", "repository.owner: missing"},
        {"\"owner\": {", "\"owner\": \"octo\", \"x\": {", "repository.owner: not an object"},
        {"\"login\": \"octo-example\"", "\"login\": null", "repository.owner.login: missing"},
        {"\"login\": \"octo-example\"", "\"login\": 1", "repository.owner.login: not a string"},
        {"\"html_url\": \"https://github.com/octo-example/lighthouse\"", "\"html_url\": null",
         "repository.html_url: missing"},
        {"\"default_branch\": \"main\"", "\"default_branch\": []",
         "repository.default_branch: not a string"},
        {"\"custom_properties\": {", "\"custom_properties\": 3, \"x\": {",
         "repository.custom_properties: not an object"},
    };
    (void)state;
    assert_refusals("workflow_job", FIXTURES "workflow_job.queued.json", refusals, COUNT(refusals));
}

static void every_field_of_a_run_is_named_when_it_is_wrong(void **state)
{
    static const struct refusal refusals[] = {
        {"\"id\": 33714470481", "\"x\": 1", "workflow_run.id: missing"},
        {"\"id\": 33714470481", "\"id\": -1", "workflow_run.id: not positive"},
        {"\"id\": 33714470481", "\"id\": 0.5", "workflow_run.id: not a 64-bit integer"},
        {"\"id\": 33714470481", "\"id\": \"33714470481\"", "workflow_run.id: not a 64-bit integer"},
        {"\"name\": \"Check PR #2741 by mona\"", "\"name\": 1", "workflow_run.name: not a string"},
        {"\"run_number\": 812", "\"run_number\": 8.12",
         "workflow_run.run_number: not a 64-bit integer"},
        {"\"run_attempt\": 2", "\"run_attempt\": -2", "workflow_run.run_attempt: negative"},
        {"\"display_title\": ", "\"display_title\": 1, \"x\": ",
         "workflow_run.display_title: not a string"},
        {"\"event\": \"pull_request\"", "\"event\": {}", "workflow_run.event: not a string"},
        {"\"created_at\": \"2026-09-03T04:16:55Z\"", "\"created_at\": \"x\"",
         "workflow_run.created_at: not a time"},
        {"\"2026-09-03T05:09:44Z\"", "12", "workflow_run.updated_at: not a time"},
        {"\"2026-09-03T05:02:10Z\"", "\"2026-09-03T05:02Z\"",
         "workflow_run.run_started_at: not a time"},
        {"\"actor\": {", "\"actor\": \"mona\", \"x\": {", "workflow_run.actor: not an object"},
        {"\"mona-example\"", "3", "workflow_run.actor.login: not a string"},
        {"\"hubot-example\"", "3", "workflow_run.triggering_actor.login: not a string"},
        {"\"number\": 2741", "\"number\": \"2741\"",
         "workflow_run.pull_requests[0].number: not a 64-bit integer"},
        {"\"release-2\"", "2", "workflow_run.pull_requests[0].base.ref: not a string"},
        {"\"base\": {", "\"base\": [], \"x\": {",
         "workflow_run.pull_requests[0].base: not an object"},
        {"\"pull_requests\": [", "\"pull_requests\": {}, \"x\": [",
         "workflow_run.pull_requests: not an array"},
        {"\"pull_requests\": [", "\"pull_requests\": [3, ",
         "workflow_run.pull_requests[0]: not an object"},
        {"\"referenced_workflows\": [", "\"referenced_workflows\": {}, \"x\": [",
         "workflow_run.referenced_workflows: not an array"},
        {"\"referenced_workflows\": [", "\"referenced_workflows\": [\"a@b\", ",
         "workflow_run.referenced_workflows[0]: not an object"},
        {"\"aa11bb22cc33dd44ee55ff660718293a4b5c6d7e\"", "11",
         "workflow_run.referenced_workflows[0].sha: not a string"},
        {"\"octo-example/lighthouse/.github/workflows/lint.yml\"", "11",
         "workflow_run.referenced_workflows[1].path: not a string"},
        {"\"workflow_run\": {", "\"other\": {", "workflow_run: missing"},
        {"\"workflow_run\": {", "\"workflow_run\": null, \"x\": {", "workflow_run: missing"},
        {"\"workflow_run\": {", "\"workflow_run\": 1, \"x\": {", "workflow_run: not an object"},
        {"\"workflow\": {", "\"workflow\": \"w\", \"x\": {", "workflow: not an object"},
        {"\"workflow\": {", "\"workflow\": {\"name\": 1, ", "workflow.name: not a string"},
        {"\"action\": \"completed\"", "\"action\": true", "action: not a string"},
    };
    (void)state;
    assert_refusals("workflow_run", FIXTURES "workflow_run.completed.json", refusals,
                    COUNT(refusals));
}

static void a_body_that_is_no_json_object_is_refused_for_every_event_type(void **state)
{
    static const char *const types[] = {"workflow_job", "workflow_run", "ping", "push", ""};
    static const struct {
        const char *body;
        const char *message;
    } cases[] = {
        {"", "not JSON: the text is empty"},
        {"payload=%7B%7D", "not JSON: unexpected text at byte 0"},
        {"{\"action\":\"queued\"", "not JSON: the text ends inside an object or array"},
        {"{\"action\" \"queued\"}", "not JSON: unexpected text at byte 10"},
        {"[]", "payload: not a JSON object"},
        {"\"{}\"", "payload: not a JSON object"},
        {"null", "payload: not a JSON object"},
        {"7", "payload: not a JSON object"},
    };
    (void)state;
    for (size_t t = 0; t < COUNT(types); t++)
        for (size_t i = 0; i < COUNT(cases); i++)
            assert_refused(types[t], slice_from_string(cases[i].body), cases[i].message);
}

static void an_element_far_down_a_list_is_named_in_full(void **state)
{
    const size_t before = 400000;
    static const char head[] = "{\"action\":\"completed\",\"repository\":{\"full_name\":\"o/n\","
                               "\"name\":\"n\",\"owner\":{\"login\":\"o\"},\"html_url\":\"u\"},"
                               "\"workflow_run\":{\"id\":1,\"referenced_workflows\":[";
    static const char tail[] = "{\"path\":1}]}}";
    size_t len = strlen(head) + 3 * before + strlen(tail);
    char *body = malloc(len + 1);
    assert_non_null(body);
    char *at = stpcpy(body, head);
    for (size_t i = 0; i < before; i++)
        at = stpcpy(at, "{},");
    stpcpy(at, tail);
    (void)state;
    assert_refused("workflow_run", (struct slice){body, len},
                   "workflow_run.referenced_workflows[400000].path: not a string");
    free(body);
}

static void too_deep_and_too_many_are_told_from_wrong(void **state)
{
    static const char head[] = "{\"action\":\"queued\",\"x\":";
    char body[256];
    memset(body, '[', sizeof(body));
    memcpy(body, head, strlen(head));
    struct decoding decoding;
    (void)state;
    decode_text(&decoding, "workflow_job", (struct slice){body, sizeof(body)});
    assert_int_equal(decoding.code, ERROR_TOO_LARGE);
    decoding_release(&decoding);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_field_of_a_job_is_named_when_it_is_wrong),
        cmocka_unit_test(every_field_of_a_step_is_named_with_its_place),
        cmocka_unit_test(every_field_of_a_repository_is_named_when_it_is_wrong),
        cmocka_unit_test(every_field_of_a_run_is_named_when_it_is_wrong),
        cmocka_unit_test(a_body_that_is_no_json_object_is_refused_for_every_event_type),
        cmocka_unit_test(an_element_far_down_a_list_is_named_in_full),
        cmocka_unit_test(too_deep_and_too_many_are_told_from_wrong),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
