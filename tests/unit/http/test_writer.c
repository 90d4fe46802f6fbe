// Responses written: their exact bytes, and what is refused; and which requests are valid.
#include "driver.h"

#include <stdio.h>

#include "writer.h"

#define HEADER(n, v) ((struct http_header){SLICE(n), SLICE(v)})

static void a_response_is_written_whole(void **state)
{
    const struct http_header extra[] = {HEADER("Retry-After", "5"), HEADER("Allow", "GET, POST")};
    struct buffer out;

    (void)state;
    buffer_init(&out, 10000);
    assert_int_equal(
        write_response(&out, 202, "application/json", SLICE("{\"a\":1}"), true, NULL, 0),
        ERROR_NONE);
    assert_true(slice_equals(buffer_slice(&out), SLICE("HTTP/1.1 202 Accepted\r\n"
                                                       "Content-Type: application/json\r\n"
                                                       "Content-Length: 7\r\n"
                                                       "\r\n"
                                                       "{\"a\":1}")));
    // After it, like pipelined responses.
    size_t first = out.len;
    assert_int_equal(write_response(&out, 503, NULL, SLICE_EMPTY, false, extra, 2), ERROR_NONE);
    buffer_consume(&out, first);
    assert_true(slice_equals(buffer_slice(&out), SLICE("HTTP/1.1 503 Service Unavailable\r\n"
                                                       "Content-Length: 0\r\n"
                                                       "Connection: close\r\n"
                                                       "Retry-After: 5\r\n"
                                                       "Allow: GET, POST\r\n"
                                                       "\r\n")));
    buffer_clear(&out);
    assert_int_equal(write_response(&out, 200, NULL, SLICE_EMPTY, false, NULL, 0), ERROR_NONE);
    assert_true(
        slice_equals(buffer_slice(&out),
                     SLICE("HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")));
    buffer_release(&out);
}

// RFC 9110 8.6.
static void responses_without_body_have_no_length(void **state)
{
    static const struct {
        int status;
        const char *expected;
    } cases[] = {
        {100, "HTTP/1.1 100 Continue\r\n\r\n"},
        {199, "HTTP/1.1 199 Unknown\r\n\r\n"},
        {204, "HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n"},
        {304, "HTTP/1.1 304 Not Modified\r\nConnection: close\r\n\r\n"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct buffer out;
        buffer_init(&out, 1000);
        assert_int_equal(write_response(&out, cases[i].status, NULL, SLICE_EMPTY, false, NULL, 0),
                         ERROR_NONE);
        assert_true(slice_equals(buffer_slice(&out), slice_from_string(cases[i].expected)));
        assert_int_equal(write_response(&out, cases[i].status, NULL, SLICE("x"), false, NULL, 0),
                         ERROR_INVALID);
        buffer_release(&out);
    }
}

static void a_chunked_body_has_no_length_and_an_end(void **state)
{
    const struct http_response_head head = {
        .status = 200, .body_len = HTTP_LENGTH_CHUNKED, .keep_alive = true};
    struct buffer out;

    (void)state;
    buffer_init(&out, 1000);
    assert_int_equal(http_write_response_head(&out, &head), ERROR_NONE);
    assert_int_equal(http_write_chunk(&out, SLICE("twelve bytes")), ERROR_NONE);
    assert_int_equal(http_write_chunk(&out, SLICE_EMPTY), ERROR_NONE); // not the end
    assert_int_equal(http_write_last_chunk(&out), ERROR_NONE);
    assert_true(slice_equals(buffer_slice(&out),
                             SLICE("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
                                   "c\r\ntwelve bytes\r\n0\r\n\r\n")));
    buffer_release(&out);
}

static void fields_that_break_the_framing_are_refused(void **state)
{
    const struct http_header bad[] = {
        HEADER("X", "a\r\nInjected: b"),
        HEADER("X", "a\nb"),
        HEADER("X", "a\rb"),
        HEADER("X", "a\0b"),
        HEADER("X", "\x1b[m"),
        HEADER("X\r\nY", "a"),
        HEADER("", "a"),
        HEADER("X Y", "a"),
        HEADER("X:", "a"),
        HEADER("content-length", "5"),
        HEADER("Host", "b"),
        HEADER("TRANSFER-ENCODING", "x"),
    };

    (void)state;
    for (size_t i = 0; i < COUNT(bad); i++) {
        const struct http_header extra[] = {HEADER("Fine", "yes"), bad[i]};
        struct buffer out;
        buffer_init(&out, 10000);
        assert_int_equal(buffer_append_string(&out, "before"), ERROR_NONE);
        assert_int_equal(write_response(&out, 200, NULL, SLICE_EMPTY, true, extra, 2),
                         ERROR_INVALID);
        assert_true(is_valid_request(SLICE("/"), SLICE("a"), extra, 1));
        assert_false(is_valid_request(SLICE("/"), SLICE("a"), extra, 2));
        assert_true(slice_equals(buffer_slice(&out), SLICE("before")));
        buffer_release(&out);
    }
}

static void malformed_status_lines_are_refused(void **state)
{
    struct buffer out;

    (void)state;
    buffer_init(&out, 1000);
    assert_int_equal(write_response(&out, 99, NULL, SLICE_EMPTY, true, NULL, 0), ERROR_INVALID);
    assert_int_equal(write_response(&out, 1000, NULL, SLICE_EMPTY, true, NULL, 0), ERROR_INVALID);
    assert_int_equal(write_response(&out, 200, "a\r\nb", SLICE_EMPTY, true, NULL, 0),
                     ERROR_INVALID);
    assert_int_equal(out.len, 0);
    buffer_release(&out);
}

static void requests_with_a_malformed_target_or_host_are_not_valid(void **state)
{
    const struct {
        struct slice target, host;
        bool is_valid;
    } cases[] = {
        {SLICE("/v1/traces"), SLICE("[::1]:4318"), true},
        {SLICE("/?a=b"), SLICE("a"), true},
        {SLICE(""), SLICE("a"), false},
        {SLICE("x"), SLICE("a"), false},
        {SLICE("/ HTTP/1.1\r\nX: y"), SLICE("a"), false},
        {SLICE("/%"), SLICE("a"), false},
        {SLICE("http://a/"), SLICE("a"), false},
        {SLICE("/"), SLICE("a\r\nX: y"), false},
        {SLICE("/"), SLICE("a b"), false},
        {SLICE("/"), SLICE("::1"), false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        assert_int_equal(is_valid_request(cases[i].target, cases[i].host, NULL, 0),
                         cases[i].is_valid);
}

static enum error_code write_one(struct buffer *out)
{
    const struct http_header extra[] = {HEADER("Retry-After", "5")};

    return write_response(out, 503, "text/plain", SLICE("wait"), false, extra, 1);
}

static void a_full_buffer_is_left_unchanged(void **state)
{
    struct buffer out;

    (void)state;
    buffer_init(&out, 1000);
    assert_int_equal(write_one(&out), ERROR_NONE);
    size_t needed = out.len;
    buffer_release(&out);
    for (size_t max = 0; max < needed; max++) {
        buffer_init(&out, max);
        assert_int_equal(write_one(&out), ERROR_TOO_LARGE);
        assert_int_equal(out.len, 0);
        buffer_release(&out);
    }
    buffer_init(&out, needed);
    assert_int_equal(write_one(&out), ERROR_NONE);
    buffer_release(&out);
}

static void statuses_have_reasons(void **state)
{
    (void)state;
    assert_string_equal(http_status_reason(200), "OK");
    assert_string_equal(http_status_reason(431), "Request Header Fields Too Large");
    assert_string_equal(http_status_reason(299), "Unknown");
    assert_string_equal(http_status_reason(-1), "Unknown");
}

static void retry_after_is_seconds_or_a_date(void **state)
{
    const timestamp_ns now = INT64_C(784111777) * NS_PER_SECOND; // Sun, 06 Nov 1994 08:49:37 GMT
    static const struct {
        const char *value;
        bool valid;
        duration_ns wait;
    } cases[] = {
        {"0", true, 0},
        {"120", true, 120 * NS_PER_SECOND},
        {" 5\t", true, 5 * NS_PER_SECOND},
        {"-5", true, 0},
        {"9223372036", true, 9223372036 * NS_PER_SECOND},
        {"9223372037", true, INT64_MAX},
        {"99999999999999999999999999", true, INT64_MAX},
        {"Sun, 06 Nov 1994 08:49:47 GMT", true, 10 * NS_PER_SECOND},
        {"Sunday, 06-Nov-94 08:49:47 GMT", true, 10 * NS_PER_SECOND},
        {"Sun Nov  6 08:49:47 1994", true, 10 * NS_PER_SECOND},
        {"Sun, 06 Nov 1994 08:49:37 GMT", true, 0},
        {"Sun, 06 Nov 1994 08:49:36 GMT", true, 0},
        {"Thu, 01 Jan 1970 00:00:00 GMT", true, 0},
        {"", false, 0},
        {"soon", false, 0},
        {"+5", false, 0},
        {"1.5", false, 0},
        {"5s", false, 0},
        {"5, 6", false, 0},
        {"Sun, 06 Nov 1994 08:49:47", false, 0},
        {"1994-11-06T08:49:47Z", false, 0},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        duration_ns wait = -4711;
        bool valid = http_parse_retry_after(slice_from_string(cases[i].value), now, &wait);
        if (valid != cases[i].valid || wait != (valid ? cases[i].wait : -4711))
            fail_msg("\"%s\": %d, %lld", cases[i].value, valid, (long long)wait);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_response_is_written_whole),
        cmocka_unit_test(responses_without_body_have_no_length),
        cmocka_unit_test(a_chunked_body_has_no_length_and_an_end),
        cmocka_unit_test(fields_that_break_the_framing_are_refused),
        cmocka_unit_test(malformed_status_lines_are_refused),
        cmocka_unit_test(requests_with_a_malformed_target_or_host_are_not_valid),
        cmocka_unit_test(a_full_buffer_is_left_unchanged),
        cmocka_unit_test(statuses_have_reasons),
        cmocka_unit_test(retry_after_is_seconds_or_a_date),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
