// A collector's responses, valid and invalid, in both encodings.
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "ghatrace/base/memory.h"
#include "ghatrace/otlp/decode.h"
#include "support/otlp_sample.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define REPLACEMENT "\xef\xbf\xbd"

struct answer_case {
    const char *body;
    enum error_code code;
    int64_t rejected;
    const char *message;
};

static const struct answer_case protobuf_responses[] = {
    {"", ERROR_NONE, 0, ""},
    {"0a 00", ERROR_NONE, 0, ""},
    {"0a 02 08 05", ERROR_NONE, 5, ""},
    {"0a 04 12 02 6869", ERROR_NONE, 0, "hi"}, // a warning
    {"0a 06 08 05 12 02 6869", ERROR_NONE, 5, "hi"},
    {"0a 06 12 02 6869 08 05", ERROR_NONE, 5, "hi"},
    {"0a 0a 08 ffffffffffffffff7f", ERROR_NONE, INT64_MAX, ""},
    {"0a 06 08 01 12 02 ff00", ERROR_NONE, 1, REPLACEMENT REPLACEMENT},
    {"0a 08 98 06 01 08 05 18 01 1a 00 08 05", ERROR_CORRUPT, 0, ""}, // a length that is too short
    {"98 06 01 12 01 61 0a 05 98 06 01 08 05", ERROR_NONE, 5, ""},    // unknown fields
    {"0a 0b 08 ffffffffffffffffff01", ERROR_CORRUPT, 0, ""},          // minus one span
    {"0a", ERROR_CORRUPT, 0, ""},
    {"0a 05 08", ERROR_CORRUPT, 0, ""},
    {"0a 01 08", ERROR_CORRUPT, 0, ""},
    {"0a 04 08 05 12 09", ERROR_CORRUPT, 0, ""},
    {"3c 68 74 6d 6c 3e", ERROR_CORRUPT, 0, ""}, // "<html>"
};

static const struct answer_case json_responses[] = {
    {"{}", ERROR_NONE, 0, ""},
    {" { } ", ERROR_NONE, 0, ""},
    {"{\"partialSuccess\":{}}", ERROR_NONE, 0, ""},
    {"{\"partialSuccess\":null}", ERROR_NONE, 0, ""},
    {"{\"partialSuccess\":{\"rejectedSpans\":\"5\"}}", ERROR_NONE, 5, ""},
    {"{\"partialSuccess\":{\"rejectedSpans\":5}}", ERROR_NONE, 5, ""},
    {"{\"partialSuccess\":{\"rejectedDataPoints\":\"7\",\"errorMessage\":\"old\"}}", ERROR_NONE, 7,
     "old"},
    {"{\"partialSuccess\":{\"rejectedDataPoints\":-7}}", ERROR_CORRUPT, 0, ""},
    {"{\"partialSuccess\":{\"rejectedSpans\":null,\"errorMessage\":null}}", ERROR_NONE, 0, ""},
    {"{\"partialSuccess\":{\"errorMessage\":\"h\\u00e4\"}}", ERROR_NONE, 0, "h\xc3\xa4"},
    {"{\"partialSuccess\":{\"errorMessage\":\"\\ud800\"}}", ERROR_NONE, 0, REPLACEMENT},
    {"{\"partialSuccess\":{\"rejectedSpans\":\"9223372036854775807\",\"errorMessage\":\"x\"}}",
     ERROR_NONE, INT64_MAX, "x"},
    {"{\"x\":[1,{}],\"partialSuccess\":{\"y\":1,\"rejectedSpans\":2}}", ERROR_NONE, 2, ""},
    {"{\"partialSuccess\":{\"rejectedSpans\":-1}}", ERROR_CORRUPT, 0, ""},
    {"{\"partialSuccess\":{\"rejectedSpans\":\"-1\"}}", ERROR_CORRUPT, 0, ""},
    {"{\"partialSuccess\":{\"rejectedSpans\":\"9223372036854775808\"}}", ERROR_CORRUPT, 0, ""},
    {"{\"partialSuccess\":{\"rejectedSpans\":1.5}}", ERROR_CORRUPT, 0, ""},
    {"{\"partialSuccess\":{\"rejectedSpans\":\"\"}}", ERROR_CORRUPT, 0, ""},
    {"{\"partialSuccess\":{\"rejectedSpans\":\" 5\"}}", ERROR_CORRUPT, 0, ""},
    {"{\"partialSuccess\":{\"rejectedSpans\":true}}", ERROR_CORRUPT, 0, ""},
    {"{\"partialSuccess\":{\"rejectedSpans\":[5]}}", ERROR_CORRUPT, 0, ""},
    {"{\"partialSuccess\":{\"errorMessage\":5}}", ERROR_CORRUPT, 0, ""},
    {"{\"partialSuccess\":[]}", ERROR_CORRUPT, 0, ""},
    {"{\"partialSuccess\":\"no\"}", ERROR_CORRUPT, 0, ""},
    {"[]", ERROR_CORRUPT, 0, ""},
    {"null", ERROR_CORRUPT, 0, ""},
    {"", ERROR_CORRUPT, 0, ""},
    {"{", ERROR_CORRUPT, 0, ""},
    {"<html>", ERROR_CORRUPT, 0, ""},
};

// `rejected` is the code.
static const struct answer_case protobuf_statuses[] = {
    {"", ERROR_NONE, 0, ""},
    {"08 03 12 02 6e6f", ERROR_NONE, 3, "no"},
    {"12 02 6e6f 1a 03 0a 01 61", ERROR_NONE, 0, "no"}, // with details
    {"08 03", ERROR_NONE, 3, ""},
    {"12 03 61ff62", ERROR_NONE, 0, "a" REPLACEMENT "b"},
    {"12 05 6e", ERROR_CORRUPT, 0, ""},
    {"74 6f 6f 20 62 69 67", ERROR_CORRUPT, 0, ""}, // "too big"
};

static const struct answer_case json_statuses[] = {
    {"{\"code\":3,\"message\":\"no \\\"data\\\"\",\"details\":[]}", ERROR_NONE, 3, "no \"data\""},
    {"{\"code\":3}", ERROR_NONE, 3, ""},
    {"{\"code\":\"13\"}", ERROR_NONE, 13, ""},
    {"{\"code\":\"INTERNAL\",\"message\":\"no\"}", ERROR_NONE, 0, "no"},
    {"{\"error\":\"bad key\"}", ERROR_NONE, 0, ""},
    {"{}", ERROR_NONE, 0, ""},
    {"{\"message\":null}", ERROR_NONE, 0, ""},
    {"{\"message\":5}", ERROR_CORRUPT, 0, ""},
    {"\"no\"", ERROR_CORRUPT, 0, ""},
    {"Bad Gateway", ERROR_CORRUPT, 0, ""},
};

// The body from memory of exactly its size, in `bytes`: hex or JSON.
static struct slice exact_body(const char *text, bool is_json)
{
    struct buffer bytes;
    buffer_init(&bytes, 4096);
    if (is_json)
        assert_int_equal(buffer_append_string(&bytes, text), ERROR_NONE);
    else
        append_hex(&bytes, text);
    char *exact = malloc(bytes.len > 0 ? bytes.len : 1);
    assert_non_null(exact);
    if (bytes.len > 0)
        memcpy(exact, bytes.data, bytes.len);
    struct slice body = {exact, bytes.len};
    buffer_release(&bytes);
    return body;
}

static void check_responses(const struct answer_case *cases, size_t count, bool is_json)
{
    for (size_t i = 0; i < count; i++) {
        struct arena arena;
        struct otlp_response response = {.rejected_spans = 77, .error_message = SLICE("stale")};
        struct slice body = exact_body(cases[i].body, is_json);
        arena_init(&arena, 1024);
        enum error_code code = otlp_decode_response(body, is_json, &arena, &response);
        if (code != cases[i].code || response.rejected_spans != cases[i].rejected ||
            !slice_equals(response.error_message, slice_from_string(cases[i].message)))
            fail_msg("%s: %d, %lld, %.*s", cases[i].body, code, (long long)response.rejected_spans,
                     SLICE_ARGS(response.error_message));
        arena_release(&arena);
        free((void *)body.data);
    }
}

static void check_statuses(const struct answer_case *cases, size_t count, bool is_json)
{
    for (size_t i = 0; i < count; i++) {
        struct arena arena;
        struct otlp_status status = {.code = 77, .message = SLICE("stale")};
        struct slice body = exact_body(cases[i].body, is_json);
        arena_init(&arena, 1024);
        enum error_code code = otlp_decode_status(body, is_json, &arena, &status);
        int64_t expected = cases[i].code == ERROR_NONE ? cases[i].rejected : 0;
        if (code != cases[i].code || status.code != expected ||
            !slice_equals(status.message, slice_from_string(cases[i].message)))
            fail_msg("%s: %d, %lld, %.*s", cases[i].body, code, (long long)status.code,
                     SLICE_ARGS(status.message));
        arena_release(&arena);
        free((void *)body.data);
    }
}

static void protobuf_responses_are_read(void **state)
{
    (void)state;
    check_responses(protobuf_responses, COUNT(protobuf_responses), false);
}

static void json_responses_are_read(void **state)
{
    (void)state;
    check_responses(json_responses, COUNT(json_responses), true);
}

static void protobuf_statuses_are_read(void **state)
{
    (void)state;
    check_statuses(protobuf_statuses, COUNT(protobuf_statuses), false);
}

static void json_statuses_are_read(void **state)
{
    (void)state;
    check_statuses(json_statuses, COUNT(json_statuses), true);
}

static void any_refused_allocation_is_reported(void **state)
{
    static const struct {
        const char *body;
        bool is_json;
    } cases[] = {
        {"0a 06 08 05 12 02 6869", false},
        {"{\"partialSuccess\":{\"rejectedSpans\":\"\\u0035\",\"errorMessage\":\"h\\u00e4\"}}",
         true},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct slice body = exact_body(cases[i].body, cases[i].is_json);
        enum error_code code = ERROR_MEMORY;
        long allocations = 0;
        for (; code == ERROR_MEMORY; allocations++) {
            struct arena arena;
            struct otlp_response response;
            arena_init(&arena, 1); // a block for each allocation
            memory_fail_after(allocations);
            code = otlp_decode_response(body, cases[i].is_json, &arena, &response);
            memory_fail_after(-1);
            assert_int_equal(response.rejected_spans, code == ERROR_NONE ? 5 : 0);
            arena_release(&arena);
        }
        assert_int_equal(code, ERROR_NONE);
        assert_true(allocations > 1);
        free((void *)body.data);
    }
}

#define RETRY_INFO "\x0a\x28type.googleapis.com/google.rpc.RetryInfo"
#define DEBUG_INFO "\x0a\x28type.googleapis.com/google.rpc.DebugInfo"

#define BYTES(text) text, sizeof(text) - 1

static void the_delay_is_that_of_the_first_retry_info(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
        bool is_found;
        duration_ns delay;
    } cases[] = {
        {"", 0, false, 0},
        {BYTES("\x08\x0e"), false, 0},
        {BYTES("\x1a\x32" RETRY_INFO "\x12\x06\x0a\x04\x08\x05\x10\x07"), true,
         5 * NS_PER_SECOND + 7},
        {BYTES("\x1a\x32" DEBUG_INFO "\x12\x06\x0a\x04\x08\x05\x10\x07"), false, 0},
        {BYTES("\x1a\x32" DEBUG_INFO "\x12\x06\x0a\x04\x08\x05\x10\x07"
               "\x1a\x30" RETRY_INFO "\x12\x04\x0a\x02\x08\x03"
               "\x1a\x30" RETRY_INFO "\x12\x04\x0a\x02\x08\x09"),
         true, 3 * NS_PER_SECOND},
        {BYTES("\x1a\x2a" RETRY_INFO), true, 0},
        {BYTES("\x1a\x32" RETRY_INFO "\x12\x06\x0a\x04\x08\x05"), false, 0}, // cut short
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        duration_ns delay = -1;
        assert_int_equal(
            otlp_decode_retry_info((struct slice){cases[i].bytes, cases[i].len}, &delay),
            cases[i].is_found);
        assert_int_equal(delay, cases[i].delay);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(protobuf_responses_are_read),
        cmocka_unit_test(json_responses_are_read),
        cmocka_unit_test(protobuf_statuses_are_read),
        cmocka_unit_test(json_statuses_are_read),
        cmocka_unit_test(the_delay_is_that_of_the_first_retry_info),
        cmocka_unit_test(any_refused_allocation_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
