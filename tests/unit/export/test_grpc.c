// A gRPC call: what is sent, and what is read from an answer.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "../../../src/export/grpc.h"
#include "../../../src/export/request.h"
#include "ghatrace/base/digest.h"
#include "ghatrace/base/memory.h"
#include "ghatrace/http/gzip.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
// A literal with NULs in it.
#define BYTES(literal)                                                                             \
    {                                                                                              \
        literal, sizeof(literal) - 1                                                               \
    }

static const struct mask_list no_masks = {.count = 0};

// --- the call ---------------------------------------------------------------------------------

static void a_message_has_a_flag_and_its_length_in_front(void **state)
{
    char head[GRPC_FRAME_HEAD];
    (void)state;
    grpc_write_frame_head(head, 0, false);
    assert_memory_equal(head, "\0\0\0\0\0", 5);
    grpc_write_frame_head(head, 0x01020304, true);
    assert_memory_equal(head, "\1\1\2\3\4", 5);
    grpc_write_frame_head(head, 0xfffefdfc, false);
    assert_memory_equal(head, "\0\xff\xfe\xfd\xfc", 5);
}

static void a_time_out_is_written_in_at_most_eight_digits_and_never_shorter(void **state)
{
    static const struct {
        duration_ns timeout;
        const char *text;
    } cases[] = {
        {1, "1m"},
        {NS_PER_MS, "1m"},
        {NS_PER_MS + 1, "2m"},
        {10 * NS_PER_SECOND, "10000m"},
        {99999999 * NS_PER_MS, "99999999m"},
        {99999999 * NS_PER_MS + 1, "100000S"},
        {99999999 * NS_PER_SECOND + 1, "1666667M"},
        {INT64_MAX, "2562048H"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        char text[GRPC_TIMEOUT_SIZE];
        assert_string_equal(grpc_format_timeout(cases[i].timeout, text), cases[i].text);
    }
}

static void headers_become_metadata_in_lower_case_and_binary_ones_base64(void **state)
{
    static const struct {
        struct slice name, value;
        const char *wire_name, *wire_value; // NULL: refused
    } cases[] = {
        {BYTES("Authorization"), BYTES("Bearer x y"), "authorization", "Bearer x y"},
        {BYTES("x-Key_1.2"), BYTES(""), "x-key_1.2", ""},
        {BYTES("trace-bin"), BYTES("\x00\xff\x10"), "trace-bin", "AP8Q"},
        {BYTES("Trace-BIN"), BYTES("a"), "trace-bin", "YQ"},
        {BYTES("Trace-BIN"), BYTES(""), "trace-bin", ""},
        {BYTES("-bin"), BYTES("ab"), "-bin", "YWI"},
        {BYTES("x!y"), BYTES("v"), NULL, NULL},
        {BYTES(""), BYTES("v"), NULL, NULL},
        {BYTES("x"), BYTES("k\xc3\xb6"), NULL, NULL},
        {BYTES("x"), BYTES("a\tb"), NULL, NULL},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct http_header header = {cases[i].name, cases[i].value}, metadata;
        struct arena arena;
        struct error error;
        arena_init(&arena, 256);
        enum error_code code = grpc_make_metadata(&header, &arena, &metadata, &error);
        assert_int_equal(code, cases[i].wire_name != NULL ? ERROR_NONE : ERROR_USAGE);
        if (code == ERROR_NONE) {
            assert_true(slice_equals(metadata.name, slice_from_string(cases[i].wire_name)));
            assert_true(slice_equals(metadata.value, slice_from_string(cases[i].wire_value)));
        }
        arena_release(&arena);
    }
}

static void a_refused_value_is_not_in_the_message(void **state)
{
    struct http_header header = {SLICE("x-key"), SLICE("secr\xe9t")}, metadata;
    struct arena arena;
    struct error error;
    (void)state;
    arena_init(&arena, 256);
    assert_int_equal(grpc_make_metadata(&header, &arena, &metadata, &error), ERROR_USAGE);
    assert_non_null(strstr(error.message, "x-key"));
    assert_null(strstr(error.message, "secr"));
    arena_release(&arena);
}

static void names_of_grpc_itself_are_reserved(void **state)
{
    (void)state;
    assert_true(grpc_is_reserved(SLICE("grpc-timeout")));
    assert_true(grpc_is_reserved(SLICE("GRPC-x")));
    assert_false(grpc_is_reserved(SLICE("grpc")));
    assert_false(grpc_is_reserved(SLICE("x-grpc-timeout")));
    assert_false(grpc_is_reserved(SLICE_EMPTY));
}

static enum error_code make_form(struct request_form *form, struct arena *arena,
                                 struct error *error)
{
    static const struct export_endpoint endpoint = {.host_header = "c:4317", .path = "/s/Export"};
    const struct http_header headers[] = {{SLICE("X-Tenant"), SLICE("acme")},
                                          {SLICE("key-bin"), SLICE("s3cr3t!")},
                                          {SLICE("Grpc-Timeout"), SLICE("9S")},
                                          {SLICE("TE"), SLICE("gzip")},
                                          {SLICE("Content-Type"), SLICE("x/y")}};
    const struct export_options options = {
        .protocol = EXPORT_GRPC,
        .gzip = true,
        .headers = headers,
        .header_count = COUNT(headers),
        .timeout = 1500 * NS_PER_MS,
    };
    return request_form_init(form, &options, &endpoint, arena, error);
}

static void a_call_has_the_fields_that_grpc_wants_and_the_configured_ones(void **state)
{
    static const char *const wanted[][2] = {
        {"x-tenant", "acme"},      {"key-bin", "czNjcjN0IQ"},
        {"User-Agent", NULL},      {"content-type", "application/grpc"},
        {"te", "trailers"},        {"grpc-accept-encoding", "gzip"},
        {"grpc-encoding", "gzip"}, {"grpc-timeout", "1500m"},
    };
    struct request_form form;
    struct arena arena;
    struct error error;
    (void)state;
    arena_init(&arena, 256);
    assert_int_equal(make_form(&form, &arena, &error), ERROR_NONE);
    assert_int_equal(form.field_count, COUNT(wanted));
    for (size_t i = 0; i < COUNT(wanted); i++) {
        assert_true(slice_equals(form.fields[i].name, slice_from_string(wanted[i][0])));
        assert_true(wanted[i][1] == NULL ||
                    slice_equals(form.fields[i].value, slice_from_string(wanted[i][1])));
    }
    // Binary metadata is masked as it is sent and as it was configured.
    assert_int_equal(form.secret_count, 3);
    assert_true(slice_equals(form.secrets[1].value, SLICE("czNjcjN0IQ")));
    assert_true(slice_equals(form.secrets[2].value, SLICE("s3cr3t!")));
    arena_release(&arena);
}

static void refused_memory_makes_no_call(void **state)
{
    bool is_made = false;
    (void)state;
    for (long skip = 0; !is_made; skip++) {
        struct request_form form;
        struct arena arena;
        struct error error;
        arena_init(&arena, 16);
        memory_fail_after(skip);
        enum error_code code = make_form(&form, &arena, &error);
        memory_fail_after(-1);
        is_made = code == ERROR_NONE;
        assert_true(is_made || code == ERROR_MEMORY);
        assert_true(skip < 100);
        arena_release(&arena);
    }
}

// --- the answer -------------------------------------------------------------------------------

static struct slice find_field(const char *const *pairs, const char *name)
{
    for (size_t i = 0; pairs != NULL && pairs[i] != NULL; i += 2)
        if (strcmp(pairs[i], name) == 0)
            return slice_from_string(pairs[i + 1]);
    return SLICE_EMPTY;
}

static struct grpc_status_fields find_status(const char *const *pairs)
{
    return (struct grpc_status_fields){
        .code = find_field(pairs, "grpc-status"),
        .message = find_field(pairs, "grpc-message"),
        .details = find_field(pairs, "grpc-status-details-bin"),
    };
}

static void read_answer(const char *const *headers, const char *const *trailers, struct slice body,
                        struct arena *arena, struct export_answer *answer)
{
    const struct grpc_response response = {
        .headers = find_status(headers),
        .trailers = find_status(trailers),
        .encoding = find_field(headers, "grpc-encoding"),
        .body = body,
    };
    *answer = (struct export_answer){.status = 200, .content_type = SLICE("application/grpc")};
    grpc_read_answer(&response, arena, answer);
}

#define FIELDS(...)                                                                                \
    (const char *const[])                                                                          \
    {                                                                                              \
        __VA_ARGS__, NULL                                                                          \
    }

static void the_code_is_read_from_trailers_or_else_from_headers(void **state)
{
    const struct {
        const char *const *headers, *const *trailers;
        int code;
    } cases[] = {
        {NULL, FIELDS("grpc-status", "0"), GRPC_OK},
        {NULL, FIELDS("x", "1", "grpc-status", " 14 "), GRPC_UNAVAILABLE},
        {FIELDS("grpc-status", "8"), NULL, GRPC_RESOURCE_EXHAUSTED},
        {FIELDS("grpc-status", "0"), FIELDS("grpc-status", "13"), GRPC_INTERNAL},
        {FIELDS("grpc-status", "3"), FIELDS("x", "y"), GRPC_INVALID_ARGUMENT},
        {FIELDS("a", "b"), FIELDS("x", "y"), EXPORT_NO_GRPC_CODE},
        {NULL, NULL, EXPORT_NO_GRPC_CODE},
        {NULL, FIELDS("grpc-status", ""), EXPORT_NO_GRPC_CODE},
        {NULL, FIELDS("grpc-status", "16"), GRPC_UNAUTHENTICATED},
        {NULL, FIELDS("grpc-status", "17"), GRPC_UNKNOWN},
        {NULL, FIELDS("grpc-status", "-1"), GRPC_UNKNOWN},
        {NULL, FIELDS("grpc-status", "OK"), GRPC_UNKNOWN},
        {NULL, FIELDS("grpc-status", "0, 0"), GRPC_UNKNOWN},
        {NULL, FIELDS("grpc-status", "99999999999999999999999"), GRPC_UNKNOWN},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct arena arena;
        struct export_answer answer;
        arena_init(&arena, 256);
        read_answer(cases[i].headers, cases[i].trailers, SLICE_EMPTY, &arena, &answer);
        assert_true(answer.is_grpc);
        if (answer.grpc_code != cases[i].code)
            fail_msg("case %zu: %d", i, answer.grpc_code);
        arena_release(&arena);
    }
}

static void a_message_in_full_without_a_code_is_success(void **state)
{
    const struct {
        struct slice body;
        int code;
    } cases[] = {
        {BYTES("\0\0\0\0\0"), GRPC_OK},
        {BYTES("\0\0\0\0\2\x0a\0"), GRPC_OK},
        {BYTES("\0\0\0\0\2\x0a"), EXPORT_NO_GRPC_CODE},
        {BYTES("\0\0\0\0\1\x0a\0"), EXPORT_NO_GRPC_CODE},
        {BYTES("\0\0\0\0"), EXPORT_NO_GRPC_CODE},
        {BYTES("\2\0\0\0\0"), EXPORT_NO_GRPC_CODE},
        {BYTES("<html>"), EXPORT_NO_GRPC_CODE},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct arena arena;
        struct export_answer answer;
        arena_init(&arena, 256);
        read_answer(NULL, NULL, cases[i].body, &arena, &answer);
        if (answer.grpc_code != cases[i].code)
            fail_msg("case %zu: %d", i, answer.grpc_code);
        read_answer(NULL, FIELDS("grpc-status", "13"), cases[i].body, &arena, &answer);
        assert_int_equal(answer.grpc_code, GRPC_INTERNAL);
        arena_release(&arena);
    }
}

static void refusals_are_described_in_one_line(void **state)
{
    const struct {
        const char *const *trailers;
        int status;
        bool is_http1;
        const char *type, *body, *text;
    } cases[] = {
        {FIELDS("grpc-status", "8", "grpc-message",
                "grpc: received message larger than max (5 vs. 4)"),
         200, false, "application/grpc", "",
         "gRPC 8 RESOURCE_EXHAUSTED: grpc: received message larger than max (5 vs. 4)"},
        {FIELDS("grpc-status", "16"), 200, false, "application/grpc", "",
         "gRPC 16 UNAUTHENTICATED"},
        {FIELDS("grpc-status", "77"), 200, false, "application/grpc", "", "gRPC 2 UNKNOWN"},
        {FIELDS("grpc-status", "13", "grpc-message", "a%0Ab%1b%5B31m 100%25 %C3%A4 %zz %e"), 200,
         false, "application/grpc", "", "gRPC 13 INTERNAL: a\\x0ab\\x1b[31m 100% \xc3\xa4 %zz %e"},
        {FIELDS("grpc-status", "13", "grpc-message", "%ff%00"), 200, false, "application/grpc", "",
         "gRPC 13 INTERNAL: \xef\xbf\xbd\xef\xbf\xbd"},
        {FIELDS("x", "y"), 200, false, "application/grpc", "", "200 OK without grpc-status"},
        {FIELDS("x", "y"), 502, false, "text/html", "<html>\n<b>",
         "502 Bad Gateway as text or HTML, not gRPC: is this OTLP/gRPC's port?: <html>"},
        {FIELDS("x", "y"), 404, true, "text/plain", "404 page not found",
         "404 Not Found over HTTP/1.1, not gRPC: is this the port of OTLP/HTTP?: "
         "404 page not found"},
        {FIELDS("grpc-status", "0"), 503, false, "", "",
         "503 Service Unavailable without grpc-status"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct arena arena;
        struct export_answer answer;
        char text[ANSWER_TEXT_SIZE];
        arena_init(&arena, 256);
        read_answer(NULL, cases[i].trailers, slice_from_string(cases[i].body), &arena, &answer);
        answer.status = cases[i].status;
        answer.is_http1 = cases[i].is_http1;
        answer.content_type = slice_from_string(cases[i].type);
        assert_string_equal(answer_describe(&answer, &no_masks, text), cases[i].text);
        arena_release(&arena);
    }
}

static void secrets_in_a_message_are_masked_after_it_is_decoded(void **state)
{
    const struct http_header headers[] = {{SLICE("authorization"), SLICE("Bearer s3cr3t%x")}};
    static const struct export_endpoint endpoint = {.path = "/"};
    struct mask_list masks;
    struct arena arena;
    struct export_answer answer;
    char text[ANSWER_TEXT_SIZE];
    (void)state;
    arena_init(&arena, 256);
    assert_int_equal(mask_init(&masks, headers, 1, &endpoint, &arena), ERROR_NONE);
    read_answer(NULL, FIELDS("grpc-status", "16", "grpc-message", "bad token s3cr3t%25x"),
                SLICE_EMPTY, &arena, &answer);
    assert_string_equal(answer_describe(&answer, &masks, text),
                        "gRPC 16 UNAUTHENTICATED: bad token ********");
    arena_release(&arena);
}

// google.rpc.Status{code: 8, message: "x", details: [DebugInfo, RetryInfo{retry_delay}]}, as gRPC's own Python
// library writes it.
#define STATUS(delay_len, any_len, delay)                                                          \
    "\x08\x08\x12\x01x\x1a\x2a\x0a\x28type.googleapis.com/google.rpc.DebugInfo\x1a" any_len        \
    "\x0a\x28type.googleapis.com/google.rpc.RetryInfo\x12" delay_len delay

static void expect_retry_info(struct slice status, bool has_retry_info, duration_ns delay)
{
    for (int padding = 0; padding < 2; padding++) {
        char text[1024];
        struct arena arena;
        struct export_answer answer;
        arena_init(&arena, 256);
        size_t len = base64_encode(status, text);
        while (padding == 0 && len > 0 && text[len - 1] == '=')
            text[--len] = '\0';
        read_answer(NULL, FIELDS("grpc-status", "8", "grpc-status-details-bin", text), SLICE_EMPTY,
                    &arena, &answer);
        assert_int_equal(answer.has_retry_info, has_retry_info);
        assert_int_equal(answer.retry_after, delay);
        assert_int_equal(answer.grpc_code, GRPC_RESOURCE_EXHAUSTED);
        arena_release(&arena);
    }
}

static void retry_info_is_found_among_the_details(void **state)
{
    (void)state;
    expect_retry_info(SLICE(STATUS("\x04", "\x30", "\x0a\x02\x08\x07")), true, 7 * NS_PER_SECOND);
    expect_retry_info(SLICE(STATUS("\x09", "\x35", "\x0a\x07\x08\x02\x10\x80\xca\xb5\xee")), false,
                      0); // cut in the middle of a number
    expect_retry_info(SLICE(STATUS("\x0a", "\x36", "\x0a\x08\x08\x02\x10\x80\xca\xb5\xee\x01")),
                      true, 2 * NS_PER_SECOND + 500 * NS_PER_MS);
    expect_retry_info(SLICE(STATUS("\x00", "\x2c", "")), true, 0);
    expect_retry_info(
        SLICE(STATUS("\x0d", "\x39", "\x0a\x0b\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01")), true,
        0); // -1 s
    expect_retry_info(SLICE("\x08\x08\x12\x01x"), false, 0);
    expect_retry_info(SLICE_EMPTY, false, 0);
    expect_retry_info(SLICE("\xff\xff\xff"), false, 0);
}

static void details_that_are_not_base64_are_ignored(void **state)
{
    static const char *const texts[] = {"", "=", "====", "a", "!!!!", "YQ==YQ=="};
    (void)state;
    for (size_t i = 0; i < COUNT(texts); i++) {
        struct arena arena;
        struct export_answer answer;
        arena_init(&arena, 256);
        read_answer(NULL, FIELDS("grpc-status", "8", "grpc-status-details-bin", texts[i]),
                    SLICE_EMPTY, &arena, &answer);
        assert_false(answer.has_retry_info);
        arena_release(&arena);
    }
}

static void a_message_is_read_when_it_is_there_in_full(void **state)
{
    static const struct {
        struct slice body, message;
    } cases[] = {
        {BYTES("\0\0\0\0\0"), BYTES("")},
        {BYTES("\0\0\0\0\3abc"), BYTES("abc")},
        {BYTES("\0\0\0\0\3ab"), BYTES("")},   // cut
        {BYTES("\0\0\0\0\3abcd"), BYTES("")}, // more than one message
        {BYTES("\1\0\0\0\3abc"), BYTES("")},  // not gzip
        {BYTES("\2\0\0\0\3abc"), BYTES("")},  // no flag that is known
        {BYTES("\0\xff\xff\xff\xff"), BYTES("")},
        {BYTES("\0\0\0\0"), BYTES("")},
        {BYTES(""), BYTES("")},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct arena arena;
        struct export_answer answer;
        arena_init(&arena, 256);
        read_answer(FIELDS("grpc-encoding", "gzip"), FIELDS("grpc-status", "0"), cases[i].body,
                    &arena, &answer);
        assert_true(slice_equals(answer.body, cases[i].message));
        arena_release(&arena);
    }
}

static void expect_expanded(struct slice message, bool is_announced, struct slice expected)
{
    struct buffer body;
    struct arena arena;
    struct error error;
    struct export_answer answer;
    char head[GRPC_FRAME_HEAD] = {0};
    buffer_init(&body, 2 << 20);
    arena_init(&arena, 256);
    assert_int_equal(buffer_append(&body, head, sizeof head), ERROR_NONE);
    assert_int_equal(gzip_compress(message, &body, &error), ERROR_NONE);
    grpc_write_frame_head(body.data, body.len - GRPC_FRAME_HEAD, true);
    read_answer(is_announced ? FIELDS("grpc-encoding", "gzip") : NULL, FIELDS("grpc-status", "0"),
                buffer_slice(&body), &arena, &answer);
    assert_true(slice_equals(answer.body, expected));
    arena_release(&arena);
    buffer_release(&body);
}

static void a_compressed_message_is_expanded_up_to_a_limit(void **state)
{
    static char zeros[1 << 20];
    const struct slice message = SLICE("\x0a\x09\x08\x03\x12\x05too b");
    (void)state;
    expect_expanded(message, true, message);
    expect_expanded(SLICE(""), true, SLICE_EMPTY);
    expect_expanded(message, false, SLICE_EMPTY);
    expect_expanded((struct slice){zeros, sizeof zeros}, true, SLICE_EMPTY);
}

static void partial_success_is_read_from_the_message(void **state)
{
    struct arena arena;
    struct export_answer answer;
    int64_t rejected = 0;
    char text[ANSWER_TEXT_SIZE];
    (void)state;
    arena_init(&arena, 256);
    read_answer(NULL, FIELDS("grpc-status", "0"),
                SLICE("\0\0\0\0\x0b\x0a\x09\x08\x03\x12\x05too b"), &arena, &answer);
    assert_true(answer_read_partial(&answer, &no_masks, &rejected, text));
    assert_int_equal(rejected, 3);
    assert_string_equal(text, "too b");
    assert_false(answer_is_unexpected(&answer, false));
    arena_release(&arena);
}

static void without_memory_the_message_is_lost_but_not_the_code(void **state)
{
    char details[256];
    (void)state;
    (void)base64_encode(SLICE(STATUS("\x04", "\x30", "\x0a\x02\x08\x07")), details);
    for (long skip = 0; skip < 6; skip++) {
        struct arena arena;
        struct export_answer answer;
        struct slice packed = SLICE("\1\0\0\0\3abc");
        arena_init(&arena, 16);
        memory_fail_after(skip);
        read_answer(FIELDS("grpc-encoding", "gzip"),
                    FIELDS("grpc-status", "14", "grpc-message", "gone%20away",
                           "grpc-status-details-bin", details),
                    packed, &arena, &answer);
        memory_fail_after(-1);
        assert_int_equal(answer.grpc_code, GRPC_UNAVAILABLE);
        arena_release(&arena);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_has_a_flag_and_its_length_in_front),
        cmocka_unit_test(a_time_out_is_written_in_at_most_eight_digits_and_never_shorter),
        cmocka_unit_test(headers_become_metadata_in_lower_case_and_binary_ones_base64),
        cmocka_unit_test(a_refused_value_is_not_in_the_message),
        cmocka_unit_test(names_of_grpc_itself_are_reserved),
        cmocka_unit_test(a_call_has_the_fields_that_grpc_wants_and_the_configured_ones),
        cmocka_unit_test(refused_memory_makes_no_call),
        cmocka_unit_test(the_code_is_read_from_trailers_or_else_from_headers),
        cmocka_unit_test(a_message_in_full_without_a_code_is_success),
        cmocka_unit_test(refusals_are_described_in_one_line),
        cmocka_unit_test(secrets_in_a_message_are_masked_after_it_is_decoded),
        cmocka_unit_test(retry_info_is_found_among_the_details),
        cmocka_unit_test(details_that_are_not_base64_are_ignored),
        cmocka_unit_test(a_message_is_read_when_it_is_there_in_full),
        cmocka_unit_test(a_compressed_message_is_expanded_up_to_a_limit),
        cmocka_unit_test(partial_success_is_read_from_the_message),
        cmocka_unit_test(without_memory_the_message_is_lost_but_not_the_code),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
