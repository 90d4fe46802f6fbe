// The webhook's settings in a ping, which is accepted whatever it contains.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "decoding.h"

static void expect_hook(const char *hook, bool has_events, bool has_jobs, bool has_runs)
{
    char body[512];
    struct decoding d;
    (void)snprintf(body, sizeof body, "{\"zen\":\"x\",\"hook\":%s}", hook);
    decode_text(&d, "ping", slice_from_string(body));
    assert_int_equal(d.code, ERROR_NONE);
    assert_int_equal(d.event.kind, GITHUB_EVENT_PING);
    if (d.event.hook.has_events != has_events || d.event.hook.has_jobs != has_jobs ||
        d.event.hook.has_runs != has_runs)
        fail_msg("%s", hook);
    decoding_release(&d);
}

static void the_events_that_are_ticked_are_found(void **state)
{
    (void)state;
    expect_hook("{\"events\":[\"workflow_job\",\"workflow_run\"]}", true, true, true);
    expect_hook("{\"events\":[\"*\"]}", true, true, true);
    expect_hook("{\"events\":[\"push\",\"workflow_run\"]}", true, false, true);
    expect_hook("{\"events\":[\"workflow_job\",\"check_run\"]}", true, true, false);
    expect_hook("{\"events\":[\"workflow\\u005fjob\"]}", true, true, false);
    expect_hook("{\"events\":[]}", true, false, false);
    expect_hook("{\"events\":[null,1,{},[\"*\"],\"workflow_jobs\"]}", true, false, false);
    expect_hook("{\"events\":null}", false, false, false);
    expect_hook("{\"events\":\"*\"}", false, false, false);
    expect_hook("{}", false, false, false);
    expect_hook("null", false, false, false);
    expect_hook("[{\"events\":[\"*\"]}]", false, false, false);
    expect_hook("7", false, false, false);
}

static void the_other_fields_of_a_ping_are_read(void **state)
{
    struct decoding d;
    (void)state;
    decode_text(&d, "ping",
                SLICE("{\"hook_id\":7,\"hook\":{\"type\":\"Organization\",\"active\":false,"
                      "\"config\":{\"url\":\"https://u:p@host/webhook?key=1#x\",\"insecure_ssl\":"
                      "\"1\",\"content_type\":\"form\"}},\"organization\":{\"login\":\"acme\"}}"));
    assert_int_equal(d.code, ERROR_NONE);
    assert_int_equal(d.event.hook.hook_id, 7);
    assert_text(d.event.hook.type, "Organization");
    assert_text(d.event.hook.owner, "acme");
    assert_text(d.event.hook.url, "https://host/webhook");
    assert_text(d.event.hook.content_type, "form");
    assert_true(d.event.hook.is_inactive);
    assert_true(d.event.hook.is_insecure);
    decoding_release(&d);
}

static void expect_url(const char *url, const char *shown)
{
    char body[512];
    struct decoding d;
    (void)snprintf(body, sizeof body, "{\"hook\":{\"config\":{\"url\":\"%s\"}}}", url);
    decode_text(&d, "ping", slice_from_string(body));
    assert_text(d.event.hook.url, shown);
    decoding_release(&d);
}

static void secrets_in_the_url_are_left_out(void **state)
{
    (void)state;
    expect_url("https://host/webhook", "https://host/webhook");
    expect_url("https://host?token=hidden", "https://host");
    expect_url("https://host/a@b?x", "https://host/a@b");
    expect_url("https://hidden@host/a", "https://host/a");
    expect_url("https://a:hid@den@host", "https://host");
    expect_url("https://hidden@", "https://");
    expect_url("host/path?hidden", "host/path");
    expect_url("", "");
}

static void insecure_is_a_one_as_text_or_number(void **state)
{
    static const struct {
        const char *value;
        bool is_insecure;
    } cases[] = {{"\"0\"", false}, {"\"1\"", true}, {"0", false},   {"1", true},   {"null", false},
                 {"true", false},  {"\"\"", false}, {"[1]", false}, {"1.5", false}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char body[128];
        struct decoding d;
        (void)snprintf(body, sizeof body, "{\"hook\":{\"config\":{\"insecure_ssl\":%s}}}",
                       cases[i].value);
        decode_text(&d, "ping", slice_from_string(body));
        assert_int_equal(d.code, ERROR_NONE);
        assert_int_equal(d.event.hook.is_insecure, cases[i].is_insecure);
        decoding_release(&d);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_events_that_are_ticked_are_found),
        cmocka_unit_test(the_other_fields_of_a_ping_are_read),
        cmocka_unit_test(secrets_in_the_url_are_left_out),
        cmocka_unit_test(insecure_is_a_one_as_text_or_number),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
