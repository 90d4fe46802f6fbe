// Payloads that are refused, and the messages, which are shown in GitHub's delivery log.
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

static void an_invalid_field_of_a_jobs_identity_is_named(void **state)
{
    static const struct refusal refusals[] = {
        {"\"id\": 100520616165", "\"x\": 1", "workflow_job.id: missing"},
        {"100520616165", "null", "workflow_job.id: missing"},
        {"100520616165", "0", "workflow_job.id: not positive"},
        {"100520616165", "-7", "workflow_job.id: not positive"},
        {"100520616165", "-7e3", "workflow_job.id: not positive"},
        {"100520616165", "0.0", "workflow_job.id: not positive"},
        {"100520616165", "100520616165.5", "workflow_job.id: not a 64-bit integer"},
        {"100520616165", "1e-11", "workflow_job.id: not a 64-bit integer"},
        {"100520616165", "1e19", "workflow_job.id: not a 64-bit integer"},
        {"100520616165", "1e999999999999999999999", "workflow_job.id: not a 64-bit integer"},
        {"100520616165", "\"100520616165\"", "workflow_job.id: not a 64-bit integer"},
        {"100520616165", "9223372036854775808", "workflow_job.id: not a 64-bit integer"},
        {"100520616165", "true", "workflow_job.id: not a 64-bit integer"},
        {"100520616165", "{}", "workflow_job.id: not a 64-bit integer"},
        {"100520616165", "[100520616165]", "workflow_job.id: not a 64-bit integer"},
        {"\"run_id\"", "\"Run_id\"", "workflow_job.run_id: missing"},
        {"33714470481", "null", "workflow_job.run_id: missing"},
        {"33714470481", "0", "workflow_job.run_id: not positive"},
        {"33714470481", "\"33714470481\"", "workflow_job.run_id: not a 64-bit integer"},
        {"\"workflow_job\": {", "\"other\": {", "workflow_job: missing"},
        {"\"workflow_job\": {", "\"workflow_job\": [], \"other\": {",
         "workflow_job: not an object"},
        {"\"workflow_job\": {", "\"workflow_job\": \"\", \"other\": {",
         "workflow_job: not an object"},
        {"\"workflow_job\": {", "\"workflow_job\": {}, \"other\": {", "workflow_job.id: missing"},
        {"\"action\": \"queued\"", "\"x\": 1", "action: missing"},
        {"\"action\": \"queued\"", "\"action\": null", "action: missing"},
        {"\"action\": \"queued\"", "\"action\": 3", "action: not a string"},
    };
    (void)state;
    assert_refusals("workflow_job", FIXTURES "workflow_job.queued.json", refusals, COUNT(refusals));
}

static void an_invalid_field_of_a_runs_identity_is_named(void **state)
{
    static const struct refusal refusals[] = {
        {"\"id\": 33714470481", "\"x\": 1", "workflow_run.id: missing"},
        {"\"id\": 33714470481", "\"id\": -1", "workflow_run.id: not positive"},
        {"\"id\": 33714470481", "\"id\": 0.5", "workflow_run.id: not a 64-bit integer"},
        {"\"id\": 33714470481", "\"id\": \"33714470481\"", "workflow_run.id: not a 64-bit integer"},
        {"\"workflow_run\": {", "\"other\": {", "workflow_run: missing"},
        {"\"workflow_run\": {", "\"workflow_run\": 1, \"x\": {", "workflow_run: not an object"},
        {"\"action\": \"completed\"", "\"action\": true", "action: not a string"},
    };
    (void)state;
    assert_refusals("workflow_run", FIXTURES "workflow_run.completed.json", refusals,
                    COUNT(refusals));
}

static void ids_are_whole_numbers_however_they_are_written(void **state)
{
    static const char *const forms[] = {"100520616165.0", "100520616165.000e0", "1005206161650e-1",
                                        "1.00520616165e11", "0.100520616165E+12"};
    struct slice whole = fixture_read(FIXTURES "workflow_job.queued.json");
    (void)state;
    for (size_t i = 0; i < COUNT(forms); i++) {
        struct decoding decoding;
        struct slice body = fixture_replace(whole, "100520616165", forms[i]);
        decode_text(&decoding, "workflow_job", body);
        assert_int_equal(decoding.code, ERROR_NONE);
        assert_int_equal(decoding.event.job.job_id, 100520616165);
        decoding_release(&decoding);
        fixture_free(body);
    }
    fixture_free(whole);
}

static void a_body_that_is_not_a_json_object_is_refused_for_every_event_type(void **state)
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

static void too_deep_and_too_large_differ_from_malformed(void **state)
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
        cmocka_unit_test(an_invalid_field_of_a_jobs_identity_is_named),
        cmocka_unit_test(an_invalid_field_of_a_runs_identity_is_named),
        cmocka_unit_test(ids_are_whole_numbers_however_they_are_written),
        cmocka_unit_test(a_body_that_is_not_a_json_object_is_refused_for_every_event_type),
        cmocka_unit_test(too_deep_and_too_large_differ_from_malformed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
