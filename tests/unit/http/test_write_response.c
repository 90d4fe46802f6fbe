// Responses as they are sent.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ghatrace/http/write.h"

#define NOW (INT64_C(1788409017569) * NS_PER_MS) // 2026-09-03T04:16:57.569Z

static const char *written(const struct http_response *answer, bool keep_alive, bool is_head)
{
    static char text[4096];
    struct buffer out;

    buffer_init(&out, sizeof text - 1);
    assert_int_equal(http_response_write(answer, NOW, keep_alive, is_head, &out), ERROR_NONE);
    memcpy(text, out.data, out.len);
    text[out.len] = '\0';
    buffer_release(&out);
    return text;
}

static void a_response_has_a_date_a_type_and_a_length(void **state)
{
    struct http_response answer;

    (void)state;
    http_response_set(&answer, 202, SLICE("{\"status\":\"accepted\"}\n"));
    const char *text = written(&answer, true, false);
    assert_memory_equal(text, "HTTP/1.1 202 Accepted\r\n", 23);
    assert_non_null(strstr(text, "\r\nDate: Thu, 03 Sep 2026 04:16:57 GMT\r\n"));
    assert_non_null(strstr(text, "\r\nContent-Type: application/json\r\n"));
    assert_non_null(strstr(text, "\r\nContent-Length: 22\r\n"));
    assert_non_null(strstr(text, "\r\n\r\n{\"status\":\"accepted\"}\n"));
    assert_null(strstr(text, "Connection: close"));
    assert_null(strstr(text, "Retry-After"));
    assert_non_null(strstr(written(&answer, false, false), "\r\nConnection: close\r\n"));
}

static void a_response_to_head_has_the_length_and_no_body(void **state)
{
    struct http_response answer;

    (void)state;
    http_response_set(&answer, 200, SLICE("{}\n"));
    const char *text = written(&answer, true, true);
    assert_non_null(strstr(text, "\r\nContent-Length: 3\r\n"));
    assert_string_equal(text + strlen(text) - 4, "\r\n\r\n");
}

static void each_status_has_the_fields_that_it_requires(void **state)
{
    struct http_response answer;

    (void)state;
    http_response_set_wrong_method(&answer, "GET, HEAD");
    assert_non_null(strstr(written(&answer, true, false), "\r\nAllow: GET, HEAD\r\n"));
    http_response_set_error(&answer, 401, "no");
    assert_non_null(strstr(written(&answer, true, false), "\r\nWWW-Authenticate: "));
    assert_null(strstr(written(&answer, true, false), "\r\nAllow: "));
    http_response_set_error(&answer, 503, "later");
    assert_non_null(strstr(written(&answer, true, false), "\r\nRetry-After: 5\r\n"));
    http_response_set_unavailable(&answer, "store full");
    assert_int_equal(answer.status, 503);
    assert_true(slice_equals(answer.body,
                             SLICE("{\"status\":\"unavailable\",\"reason\":\"store full\"}\n")));
}

static void messages_become_json_strings_whatever_they_contain(void **state)
{
    static const struct {
        const char *message, *body;
    } cases[] = {
        {"", "{\"error\":\"\"}\n"},
        {"plain", "{\"error\":\"plain\"}\n"},
        {"a \"b\" \\c", "{\"error\":\"a \\\"b\\\" \\\\c\"}\n"},
        {"x\ny\tz\x01", "{\"error\":\"x\\u000ay\\u0009z\\u0001\"}\n"},
        {"gr\xc3\xbc\xc3\x9f \xf0\x9f\x9a\x80",
         "{\"error\":\"gr\xc3\xbc\xc3\x9f \xf0\x9f\x9a\x80\"}\n"},
        {"cut \xf0\x9f", "{\"error\":\"cut \xef\xbf\xbd\xef\xbf\xbd\"}\n"},
    };
    struct http_response answer;

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        http_response_set_error(&answer, 400, cases[i].message);
        assert_true(slice_equals(answer.body, slice_from_string(cases[i].body)));
    }
}

static void the_longest_message_at_its_worst_fits(void **state)
{
    char message[sizeof(((struct error *)0)->message) + 100];
    struct http_response answer;

    (void)state;
    memset(message, '\x01', sizeof message);
    message[sizeof message - 1] = '\0';
    http_response_set_unavailable(&answer, message);
    assert_true(slice_ends_with(answer.body, SLICE("\\u0001\"}\n")));
    assert_true(answer.body.len <= HTTP_RESPONSE_TEXT_SIZE);
    memset(message, '\xff', sizeof message - 1);
    http_response_set_unavailable(&answer, message);
    assert_true(slice_ends_with(answer.body, SLICE("\xef\xbf\xbd\"}\n")));
}

static void a_response_that_does_not_fit_does_not_change_the_buffer(void **state)
{
    struct http_response answer;
    struct buffer out;

    (void)state;
    buffer_init(&out, 40);
    http_response_set(&answer, 200, SLICE("{}\n"));
    assert_int_equal(http_response_write(&answer, NOW, true, true, &out), ERROR_TOO_LARGE);
    assert_int_equal(out.len, 0);
    buffer_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_response_has_a_date_a_type_and_a_length),
        cmocka_unit_test(a_response_to_head_has_the_length_and_no_body),
        cmocka_unit_test(each_status_has_the_fields_that_it_requires),
        cmocka_unit_test(messages_become_json_strings_whatever_they_contain),
        cmocka_unit_test(the_longest_message_at_its_worst_fits),
        cmocka_unit_test(a_response_that_does_not_fit_does_not_change_the_buffer),
    };
    return cmocka_run_group_tests_name("ingress/answer", tests, NULL, NULL);
}
