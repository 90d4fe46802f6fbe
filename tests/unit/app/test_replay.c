// What is inferred from recorded payloads, and how they are prepared for sending.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "../../../src/app/replay.h"
#include "../../../src/webhook/delivery.h"
#include "ghatrace/base/memory.h"
#include "support/temp_folder.h"

static struct json_document parse(const char *text, struct arena *arena)
{
    struct json_document document;
    struct error error;
    if (json_parse(slice_from_string(text), arena, &document, &error) != ERROR_NONE)
        fail_msg("%s: %s", text, error.message);
    return document;
}

static void the_event_is_inferred_from_the_keys_of_the_payload(void **state)
{
    (void)state;
    static const struct {
        const char *payload, *event;
    } cases[] = {
        {"{\"zen\":\"x\",\"hook_id\":1,\"hook\":{}}", "ping"},
        {"{\"action\":\"queued\",\"workflow_job\":{}}", "workflow_job"},
        {"{\"action\":\"queued\",\"workflow_job\":{},\"deployment\":{}}", "workflow_job"},
        {"{\"action\":\"completed\",\"workflow_job\":null}", "workflow_job"},
        {"{\"action\":\"completed\",\"workflow_run\":{},\"workflow\":{}}", "workflow_run"},
        {"{\"workflow_run\":{},\"reviewers\":[],\"requestor\":{}}", "deployment_review"},
        {"{\"workflow_run\":{},\"approver\":{}}", "deployment_review"},
        {"{\"deployment\":{},\"workflow\":{},\"workflow_run\":{}}", "deployment"},
        {"{\"deployment_status\":{},\"deployment\":{},\"check_run\":{},\"workflow_run\":{}}",
         "deployment_status"},
        {"{\"deployment_callback_url\":\"x\",\"deployment\":{}}", "deployment_protection_rule"},
        {"{\"action\":\"completed\",\"check_run\":{}}", "check_run"},
        {"{\"check_suite\":{}}", "check_suite"},
        {"{\"workflow\":\"x\",\"inputs\":null}", "workflow_dispatch"},
        {"{\"pull_request\":{},\"review\":{}}", "pull_request_review"},
        {"{\"pull_request\":{}}", "pull_request"},
        {"{\"issue\":{},\"comment\":{}}", "issue_comment"},
        {"{\"ref\":\"x\",\"pusher\":{}}", "push"},
        {"{\"nothing\":{\"workflow_job\":{}}}", ""},
        {"{}", ""},
        {"[]", ""},
        {"\"workflow_job\"", ""},
    };
    struct arena arena;
    arena_init(&arena, 4096);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct json_document document = parse(cases[i].payload, &arena);
        struct slice event = replay_infer_event(&document);
        if (!slice_equals(event, slice_from_string(cases[i].event)))
            fail_msg("%s: inferred as \"%.*s\"", cases[i].payload, SLICE_ARGS(event));
    }
    arena_release(&arena);
}

#define T(seconds) "2026-09-03T04:16:" seconds "Z"

static void the_time_of_an_event_depends_on_its_action(void **state)
{
    (void)state;
#define JOB_TIMES                                                                                  \
    "\"workflow_job\":{\"created_at\":\"" T("10") "\",\"started_at\":\"" T(                        \
        "20") "\",\"completed_at\":\"" T("30") "\"}"
#define RUN_TIMES                                                                                  \
    "\"workflow_run\":{\"created_at\":\"" T("10") "\",\"run_started_at\":\"" T(                    \
        "20") "\",\"updated_at\":\"" T("30") "\"}"
    static const struct {
        const char *event, *payload;
        const char *seconds; // NULL: not known
    } cases[] = {
        {"workflow_job", "{\"action\":\"queued\"," JOB_TIMES "}", "10"},
        {"workflow_job", "{\"action\":\"waiting\"," JOB_TIMES "}", "10"},
        {"workflow_job", "{\"action\":\"in_progress\"," JOB_TIMES "}", "20"},
        {"workflow_job", "{\"action\":\"completed\"," JOB_TIMES "}", "30"},
        {"workflow_job",
         "{\"action\":\"waiting\"," JOB_TIMES ",\"deployment\":{\"updated_at\":\"" T("12") "\"}}",
         "12"},
        {"workflow_job",
         "{\"action\":\"queued\"," JOB_TIMES ",\"deployment\":{\"updated_at\":\"" T("05") "\"}}",
         "10"},
        {"workflow_job",
         "{\"action\":\"queued\",\"workflow_job\":{\"started_at\":\"" T("20") "\"}}", "20"},
        {"workflow_job",
         "{\"action\":\"completed\",\"workflow_job\":{\"completed_at\":null,\"started_at\":"
         "\"" T("20") "\",\"steps\":[{\"completed_at\":\"" T("25") "\"},{\"completed_at\":\"" T(
             "24") "\"},{\"completed_at\":null}]}}",
         "25"},
        {"workflow_job",
         "{\"action\":\"completed\",\"workflow_job\":{\"started_at\":\"" T("20") "\"}}", "20"},
        {"workflow_job", "{\"action\":\"queued\",\"workflow_job\":{}}", NULL},
        {"workflow_job", "{\"action\":\"queued\",\"workflow_job\":null}", NULL},
        {"workflow_job", "{\"action\":1,\"workflow_job\":{\"created_at\":7}}", NULL},
        {"workflow_run", "{\"action\":\"requested\"," RUN_TIMES "}", "20"},
        {"workflow_run", "{\"action\":\"in_progress\"," RUN_TIMES "}", "30"},
        {"workflow_run", "{\"action\":\"completed\"," RUN_TIMES "}", "30"},
        {"check_run",
         "{\"check_run\":{\"started_at\":\"" T("20") "\",\"completed_at\":\"" T("30") "\"}}", "30"},
        {"ping", "{\"zen\":\"x\",\"hook\":{\"created_at\":\"" T("10") "\"}}", "10"},
        {"push", "{\"ref\":\"x\"}", NULL},
    };
    struct arena arena;
    arena_init(&arena, 4096);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct json_document document = parse(cases[i].payload, &arena);
        char text[TIMESTAMP_TEXT_SIZE] = "", wanted[TIMESTAMP_TEXT_SIZE] = "";
        timestamp_ns time = replay_event_time(&document, slice_from_string(cases[i].event), &arena);
        if (time != TIMESTAMP_UNKNOWN)
            timestamp_format_rfc3339(time, false, text);
        if (cases[i].seconds != NULL)
            (void)snprintf(wanted, sizeof wanted, "2026-09-03T04:16:%sZ", cases[i].seconds);
        if (strcmp(text, wanted) != 0)
            fail_msg("%s: \"%s\" instead of \"%s\"", cases[i].payload, text, wanted);
    }
    arena_release(&arena);
}

static void a_guid_contains_its_time_like_those_of_github(void **state)
{
    (void)state;
    static const timestamp_ns times[] = {
        1788409017569000000, // 4d8ed510-a74e-11f1, runs-on/runs-on issue 539
        1, 100, 1000000000, 4102444800000000000};
    uint8_t digest[SHA256_SIZE];
    memset(digest, 0xff, sizeof digest);
    for (size_t i = 0; i < sizeof times / sizeof times[0]; i++) {
        char guid[REPLAY_GUID_SIZE];
        timestamp_ns time;
        replay_make_guid(times[i], digest, guid);
        assert_int_equal(strlen(guid), 36);
        if (times[i] < 100)
            continue; // less than a UUID's tick of 100 ns: 1970 itself
        assert_true(delivery_guid_time(slice_from_string(guid), &time));
        assert_int_equal(time, times[i] / 100 * 100);
    }
    char guid[REPLAY_GUID_SIZE];
    replay_make_guid(times[0], digest, guid);
    assert_memory_equal(guid, "4d8ed510-a74e-11f1-bfff-ffffffffffff", 36);
}

static void a_guid_without_a_time_contains_none(void **state)
{
    (void)state;
    uint8_t digest[SHA256_SIZE] = {0};
    char guid[REPLAY_GUID_SIZE];
    timestamp_ns time;
    replay_make_guid(TIMESTAMP_UNKNOWN, digest, guid);
    assert_string_equal(guid, "00000000-0000-8000-8000-000000000000");
    assert_false(delivery_guid_time(slice_from_string(guid), &time));
}

// --- loading -----------------------------------------------------------------------------------

#define JOB "{\"action\":\"queued\",\"workflow_job\":{\"created_at\":\"" T("10") "\"}}"
#define PING "{\"zen\":\"Keep it logically awesome.\"}"

struct loading {
    struct temp_folder folder;
    struct arena arena;
    struct replay_load_options options;
    struct replay_deliveries deliveries;
    struct error error;
};

static int set_up(void **state)
{
    static struct loading loading;
    loading = (struct loading){.error = {.code = ERROR_NONE}};
    arena_init(&loading.arena, 4096);
    *state = &loading;
    return temp_folder_create(&loading.folder) ? 0 : -1;
}

static int tear_down(void **state)
{
    struct loading *loading = *state;
    memory_fail_after(-1);
    arena_release(&loading->arena);
    return temp_folder_remove(&loading->folder) ? 0 : -1;
}

static void write_file(struct loading *loading, const char *name, const char *text)
{
    assert_true(temp_folder_write(&loading->folder, name, text, strlen(text)));
}

static enum error_code load(struct loading *loading, const char *name)
{
    char path[TEMP_FOLDER_PATH_SIZE];
    assert_true(temp_folder_path(&loading->folder, name, path));
    const char *paths[] = {name[0] == '\0' ? loading->folder.path : path};
    struct replay_load_options options = loading->options;
    options.paths = paths;
    options.path_count = 1;
    return replay_load(&options, &loading->arena, &loading->deliveries, &loading->error);
}

static void a_file_makes_the_same_delivery_each_time(void **state)
{
    struct loading *loading = *state;
    write_file(loading, "a.json", JOB);
    write_file(loading, "b.json", JOB "\n");
    assert_int_equal(load(loading, "a.json"), ERROR_NONE);
    struct replay_delivery first = loading->deliveries.items[0];
    assert_int_equal(load(loading, "a.json"), ERROR_NONE);
    struct replay_delivery second = loading->deliveries.items[0];
    assert_int_equal(load(loading, "b.json"), ERROR_NONE);
    struct replay_delivery other = loading->deliveries.items[0];
    assert_string_equal(first.guid, second.guid);
    assert_string_not_equal(first.guid, other.guid);
    assert_int_equal(strncmp(first.guid, other.guid, 18), 0); // the same time
    assert_true(slice_equals(first.body, SLICE(JOB)));
    assert_true(slice_equals(first.event, SLICE("workflow_job")));
    assert_string_equal(first.signature, "");
}

static void the_signature_is_github_s_over_what_is_sent(void **state)
{
    struct loading *loading = *state;
    // From "Validating webhook deliveries" in GitHub's documentation.
    loading->options.secret = SLICE("It's a Secret to Everybody");
    loading->options.event = "workflow_job";
    write_file(loading, "a", "Hello, World!");
    assert_int_equal(load(loading, "a"), ERROR_NONE);
    assert_string_equal(loading->deliveries.items[0].signature,
                        "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17");
    assert_true(slice_equals(loading->deliveries.items[0].body, SLICE("Hello, World!")));
}

static void a_form_is_encoded_and_signed_encoded(void **state)
{
    struct loading *loading = *state;
    const struct replay_delivery *delivery;
    char decoded[256];
    uint8_t digest[SHA256_SIZE];
    loading->options.secret = SLICE("secret");
    loading->options.is_form = true;
    write_file(loading, "a.json", "{\"zen\":\"a b+c&d=e%\xc3\xa9\"}");
    assert_int_equal(load(loading, "a.json"), ERROR_NONE);
    delivery = &loading->deliveries.items[0];
    assert_true(slice_equals(delivery->body,
                             SLICE("payload=%7B%22zen%22%3A%22a+b%2Bc%26d%3De%25%C3%A9%22%7D")));
    ptrdiff_t len = delivery_form_payload(delivery->body, decoded);
    assert_int_equal(len, strlen("{\"zen\":\"a b+c&d=e%\xc3\xa9\"}"));
    assert_memory_equal(decoded, "{\"zen\":\"a b+c&d=e%\xc3\xa9\"}", (size_t)len);
    assert_true(delivery_signature_is_valid(slice_from_string(delivery->signature), delivery->body,
                                            &loading->options.secret, 1, digest));
}

static void a_folder_is_read_as_its_json_files_by_name(void **state)
{
    struct loading *loading = *state;
    write_file(loading, "10.json", JOB);
    write_file(loading, "02.json", PING);
    write_file(loading, "11.jsonl", PING "\n\n" JOB "\r\n");
    write_file(loading, "README", "not a payload");
    assert_int_equal(load(loading, ""), ERROR_NONE);
    assert_int_equal(loading->deliveries.count, 4);
    static const char *const ends[] = {"/02.json", "/10.json", "/11.jsonl:1", "/11.jsonl:3"};
    for (size_t i = 0; i < 4; i++)
        assert_true(slice_ends_with(slice_from_string(loading->deliveries.items[i].name),
                                    slice_from_string(ends[i])));
    assert_true(slice_equals(loading->deliveries.items[3].body, SLICE(JOB)));
}

static void each_line_is_a_delivery(void **state)
{
    struct loading *loading = *state;
    static char text[1000 * sizeof PING];
    for (size_t i = 0; i < 1000; i++)
        memcpy(text + i * sizeof PING, PING "\n", sizeof PING);
    assert_true(temp_folder_write(&loading->folder, "many", text, sizeof text));
    loading->options.has_lines = true;
    assert_int_equal(load(loading, "many"), ERROR_NONE);
    assert_int_equal(loading->deliveries.count, 1000);
    for (size_t i = 0; i < 1000; i++)
        assert_true(slice_equals(loading->deliveries.items[i].body, SLICE(PING)));
}

static void a_delivery_of_the_api_has_its_own_event_and_guid(void **state)
{
    struct loading *loading = *state;
    write_file(
        loading, "a.json",
        "{\"id\":1,\"guid\":\"0b989ba4-242f-11e5-81e1-c7b6966d2516\",\"event\":\"workflow_run\","
        "\"request\":{\"headers\":{},\"payload\":" JOB "},\"response\":{}}");
    assert_int_equal(load(loading, "a.json"), ERROR_NONE);
    const struct replay_delivery *delivery = &loading->deliveries.items[0];
    assert_string_equal(delivery->guid, "0b989ba4-242f-11e5-81e1-c7b6966d2516");
    assert_true(slice_equals(delivery->event, SLICE("workflow_run")));
    assert_true(slice_equals(delivery->body, SLICE(JOB)));
    loading->options.event = "workflow_job";
    loading->options.guid = "mine";
    assert_int_equal(load(loading, "a.json"), ERROR_NONE);
    assert_string_equal(loading->deliveries.items[0].guid, "mine");
    assert_true(slice_equals(loading->deliveries.items[0].event, SLICE("workflow_job")));
}

static void payloads_that_cannot_be_sent_are_reported_with_their_file(void **state)
{
    struct loading *loading = *state;
    static const struct {
        const char *text, *message;
        bool has_event; // --event is given
        enum error_code code;
    } cases[] = {
        {"{}", ": its event cannot be derived from its keys: name the event with --event", false,
         ERROR_USAGE},
        {"{}", NULL, true, ERROR_NONE},
        {"{", ": name the event with --event", false, ERROR_USAGE},
        {"{", NULL, true, ERROR_NONE},
        {"", ": name the event with --event", false, ERROR_USAGE},
        {"{\"guid\":\"x\",\"event\":\"ping\"}", ": a delivery without request.payload", false,
         ERROR_USAGE},
        {"{\"guid\":\"x\",\"event\":\"ping\"}", ": a delivery without request.payload", true,
         ERROR_USAGE},
        {"{\"guid\":\"01234567890123456789012345678901234567\",\"event\":\"ping\","
         "\"request\":{\"payload\":{}}}",
         ": its guid is no UUID", false, ERROR_USAGE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        loading->options.event = cases[i].has_event ? "ping" : NULL;
        write_file(loading, "some.json", cases[i].text);
        assert_int_equal(load(loading, "some.json"), cases[i].code);
        if (cases[i].message == NULL)
            continue;
        assert_non_null(strstr(loading->error.message, "some.json"));
        if (strstr(loading->error.message, cases[i].message) == NULL)
            assert_string_equal(loading->error.message, cases[i].message);
    }
    assert_int_equal(load(loading, "absent.json"), ERROR_NOT_FOUND);
    assert_non_null(strstr(loading->error.message, "absent.json: No such file or directory"));
}

static void an_empty_folder_is_an_error(void **state)
{
    struct loading *loading = *state;
    assert_int_equal(load(loading, ""), ERROR_USAGE);
    assert_non_null(strstr(loading->error.message, "no *.json file in it"));
}

static void every_refused_allocation_is_an_error(void **state)
{
    struct loading *loading = *state;
    write_file(loading, "a.json", PING);
    write_file(loading, "b.jsonl", JOB "\n" JOB "\n");
    loading->options.secret = SLICE("secret");
    loading->options.is_form = true;
    memory_fail_after(-1);
    assert_int_equal(load(loading, ""), ERROR_NONE);
    long count = memory_count_allocations();
    for (long i = 0; i < count; i++) {
        arena_clear(&loading->arena);
        memory_fail_after(i);
        enum error_code code = load(loading, "");
        assert_true(code == ERROR_MEMORY || code == ERROR_NONE);
        if (code == ERROR_NONE)
            assert_int_equal(loading->deliveries.count, 3);
    }
}

// --- order and report --------------------------------------------------------------------------

static void check_order(const uint32_t *order, size_t count, const char *wanted)
{
    char text[64] = "";
    for (size_t i = 0; i < count; i++)
        text[i] = (char)('0' + order[i]);
    assert_string_equal(text, wanted);
}

static void the_order_is_given_reversed_or_shuffled_by_a_seed(void **state)
{
    (void)state;
    struct arena arena;
    arena_init(&arena, 4096);
    check_order(replay_make_order(&arena, 4, 2, REPLAY_GIVEN, 1), 8, "01230123");
    check_order(replay_make_order(&arena, 4, 2, REPLAY_REVERSE, 1), 8, "32103210");
    uint32_t *one = replay_make_order(&arena, 9, 3, REPLAY_SHUFFLE, 1);
    uint32_t *again = replay_make_order(&arena, 9, 3, REPLAY_SHUFFLE, 1);
    uint32_t *other = replay_make_order(&arena, 9, 3, REPLAY_SHUFFLE, 2);
    assert_memory_equal(one, again, 27 * sizeof *one);
    assert_memory_not_equal(one, other, 27 * sizeof *one);
    size_t seen[9] = {0};
    for (size_t i = 0; i < 27; i++)
        seen[one[i]]++;
    for (size_t i = 0; i < 9; i++)
        assert_int_equal(seen[i], 3);
    assert_null(replay_make_order(&arena, SIZE_MAX, 2, REPLAY_GIVEN, 1));
    arena_release(&arena);
}

static void responses_are_summarized_without_control_characters(void **state)
{
    (void)state;
    static const struct {
        const char *body, *text;
    } cases[] = {
        {"{\"status\":\"accepted\"}", "accepted"},
        {"{\"status\":\"unavailable\",\"reason\":\"the store is full\"}",
         "unavailable: the store is full"},
        {"{\"error\":\"workflow_job.run_id: missing\"}", "workflow_job.run_id: missing"},
        {"Not Found\nmore", "Not Found"},
        {"", ""},
        {"a\x1b[31mb\x7f", "a?[31mb?"},
        {"{\"status\":\"cut", "{\"status\":\"cut"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[64];
        assert_string_equal(replay_answer_text(slice_from_string(cases[i].body), text, sizeof text),
                            cases[i].text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_event_is_inferred_from_the_keys_of_the_payload),
        cmocka_unit_test(the_time_of_an_event_depends_on_its_action),
        cmocka_unit_test(a_guid_contains_its_time_like_those_of_github),
        cmocka_unit_test(a_guid_without_a_time_contains_none),
        cmocka_unit_test_setup_teardown(a_file_makes_the_same_delivery_each_time, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(the_signature_is_github_s_over_what_is_sent, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_form_is_encoded_and_signed_encoded, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_folder_is_read_as_its_json_files_by_name, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(each_line_is_a_delivery, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_delivery_of_the_api_has_its_own_event_and_guid, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(payloads_that_cannot_be_sent_are_reported_with_their_file,
                                        set_up, tear_down),
        cmocka_unit_test_setup_teardown(an_empty_folder_is_an_error, set_up, tear_down),
        cmocka_unit_test_setup_teardown(every_refused_allocation_is_an_error, set_up, tear_down),
        cmocka_unit_test(the_order_is_given_reversed_or_shuffled_by_a_seed),
        cmocka_unit_test(responses_are_summarized_without_control_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
