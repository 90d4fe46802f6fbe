// What is read from a collector's words, and what becomes of words that are not for a terminal.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "../../../src/export/answer.h"
#include "ghatrace/base/memory.h"
#include "ghatrace/base/utf8.h"

static const struct mask_list no_masks = {.count = 0};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define PROTOBUF "application/x-protobuf"

// A literal with NULs in it.
#define BYTES(literal) literal, sizeof(literal) - 1

static struct export_answer make_answer(int status, const char *type, const char *body, size_t len)
{
    return (struct export_answer){.status = status,
                                  .content_type = slice_from_string(type),
                                  .body = {.data = body, .len = len}};
}

static void refusals_are_described_in_one_line(void **state)
{
    static const struct {
        int status;
        const char *type, *body;
        size_t len;
        const char *text;
    } cases[] = {
        {400, PROTOBUF,
         BYTES("\x08\x03\x12\x08"
               "bad span"),
         "400 Bad Request: bad span"},
        {400, "application/json", BYTES("{\"code\":3,\"message\":\"bad span\"}"),
         "400 Bad Request: bad span"},
        {400, "Application/JSON; charset=utf-8", BYTES("{\"message\":\"a\\nb\\u001bc\"}"),
         "400 Bad Request: a\\x0ab\\x1bc"},
        {400, "application/json", BYTES("not json"), "400 Bad Request"},
        {400, PROTOBUF, BYTES("\xff\xff\xff"), "400 Bad Request"},
        {400, PROTOBUF, BYTES(""), "400 Bad Request"},
        {401, "text/plain", BYTES("no token\nreally none"), "401 Unauthorized: no token"},
        {401, "text/plain; charset=utf-8", BYTES("\r\n\n  no token  \r\nx"),
         "401 Unauthorized: no token"},
        {404, "text/html", BYTES("<html>\n<body>"), "404 Not Found: <html>"},
        {413, "TEXT/plain", BYTES("a\x00\x1b[31m\x7f\xc2\x9b\xff"),
         "413 Content Too Large: a\xef\xbf\xbd\\x1b[31m\\x7f\\x9b\xef\xbf\xbd"},
        {500, "text", BYTES("x"), "500 Internal Server Error"},
        {500, "", BYTES("x"), "500 Internal Server Error"},
        {500, "image/png", BYTES("x"), "500 Internal Server Error"},
        {500, "text/plain", BYTES(" \n \n"), "500 Internal Server Error"},
        {599, "text/plain", BYTES("x"), "599 Unknown: x"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        char text[ANSWER_TEXT_SIZE];
        struct export_answer answer =
            make_answer(cases[i].status, cases[i].type, cases[i].body, cases[i].len);
        assert_string_equal(answer_describe(&answer, &no_masks, text), cases[i].text);
    }
}

static void long_messages_are_cut_between_characters(void **state)
{
    static char body[70000];
    (void)state;
    for (size_t shift = 0; shift < 4; shift++) {
        char text[ANSWER_TEXT_SIZE];
        size_t len = shift;
        memset(body, 'x', shift);
        while (len + 4 <= sizeof body) {
            memcpy(body + len, "\xf0\x9f\x9a\x80", 4);
            len += 4;
        }
        struct export_answer answer = make_answer(400, "text/plain", body, len);
        answer_describe(&answer, &no_masks, text);
        size_t text_len = strlen(text);
        assert_in_range(text_len, ANSWER_TEXT_MAX - 3, ANSWER_TEXT_MAX);
        assert_true(utf8_is_valid((struct slice){text, text_len}));
        assert_null(strstr(text, "\xef\xbf\xbd"));
    }
}

static void broken_bytes_never_overflow_the_text(void **state)
{
    static char body[1000];
    char text[ANSWER_TEXT_SIZE];
    (void)state;
    memset(body, 0xff, sizeof body);
    for (size_t len = 0; len < sizeof body; len++) {
        struct export_answer answer = make_answer(400, "text/plain", body, len);
        answer_describe(&answer, &no_masks, text);
        assert_true(strlen(text) <= ANSWER_TEXT_MAX);
    }
}

static void partial_success_is_read_and_garbage_is_not(void **state)
{
    static const struct {
        const char *type, *body;
        size_t len;
        bool is_partial;
        int64_t rejected;
        const char *text;
    } cases[] = {
        {PROTOBUF, BYTES("\x0a\x09\x08\x03\x12\x05too b"), true, 3, "too b"},
        {PROTOBUF, BYTES("\x0a\x02\x08\x03"), true, 3, ""},
        {PROTOBUF, BYTES("\x0a\x07\x12\x05hello"), true, 0, "hello"},
        // "If ... set to 0 [and] error_message is empty: equal to not setting the field"
        {PROTOBUF, BYTES("\x0a\x00"), false, 0, ""},
        {PROTOBUF, BYTES("\x0a\x02\x08\x00"), false, 0, ""},
        {PROTOBUF, BYTES(""), false, 0, ""},
        {PROTOBUF, BYTES("\x0a\x7f\x08"), false, 0, ""},
        {PROTOBUF, BYTES("\x0a\x0b\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), false, 0, ""},
        {"application/json",
         BYTES("{\"partialSuccess\":{\"rejectedSpans\":\"7\",\"errorMessage\":\"no\"}}"), true, 7,
         "no"},
        {"application/json", BYTES("{\"partialSuccess\":{\"rejectedSpans\":7}}"), true, 7, ""},
        {"application/json", BYTES("{\"partialSuccess\":{}}"), false, 0, ""},
        {"application/json", BYTES("{}"), false, 0, ""},
        {"application/json", BYTES("{\"partialSuccess\":"), false, 0, ""},
        {"application/json", BYTES("OK"), false, 0, ""},
        {"text/plain", BYTES("\x0a\x02\x08\x03"), false, 0, ""},
        {"", BYTES("\x0a\x02\x08\x03"), false, 0, ""},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        char text[ANSWER_TEXT_SIZE] = "";
        int64_t rejected = -1;
        struct export_answer answer = make_answer(200, cases[i].type, cases[i].body, cases[i].len);
        if (answer_read_partial(&answer, &no_masks, &rejected, text) != cases[i].is_partial)
            fail_msg("case %zu", i);
        if (cases[i].is_partial) {
            assert_int_equal(rejected, cases[i].rejected);
            assert_string_equal(text, cases[i].text);
        }
    }
}

static void secrets_are_masked_wherever_they_are_repeated(void **state)
{
    const struct http_header headers[] = {
        {SLICE("Authorization"), SLICE("Bearer abcdefghijkl")},
        {SLICE("X-Key"), SLICE("k3y4")},
        {SLICE("X-Short"), SLICE("no")},
    };
    static const struct {
        const char *body, *text;
    } cases[] = {
        {"bad Bearer abcdefghijkl.", "401 Unauthorized: bad *******************."},
        {"abcdefghijkl", "401 Unauthorized: ************"},
        {"abcdefghijklabcdefghijkl k3y4k3y4",
         "401 Unauthorized: ************************ ********"},
        {"cut: abcdefgh", "401 Unauthorized: cut: ********"},
        {"cut: abcdefghi...", "401 Unauthorized: cut: *********..."},
        {"Bearer is what I want, no k3y", "401 Unauthorized: Bearer is what I want, no k3y"},
        {"?key=q%2Fuery&x=1 or q/uery", "401 Unauthorized: ?**************** or ******"},
        {"user:pass%20word, pass%20word, pass word",
         "401 Unauthorized: ****************, ***********, *********"},
    };
    static const struct export_endpoint endpoint = {.path = "/v1/traces?key=q%2Fuery&x=1",
                                                    .userinfo = "user:pass%20word"};
    struct mask_list masks;
    struct arena arena;
    char text[ANSWER_TEXT_SIZE];
    (void)state;
    arena_init(&arena, 256);
    assert_int_equal(mask_init(&masks, headers, 3, &endpoint, &arena), ERROR_NONE);
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct export_answer answer =
            make_answer(401, "text/plain", cases[i].body, strlen(cases[i].body));
        assert_string_equal(answer_describe(&answer, &masks, text), cases[i].text);
    }
    // Also where the words are cut in the middle of it.
    for (size_t before = 150; before < 220; before++) {
        char body[300];
        memset(body, '.', before);
        memcpy(body + before, "abcdefghijkl", 13);
        struct export_answer answer = make_answer(401, "text/plain", body, strlen(body));
        answer_describe(&answer, &masks, text);
        assert_null(strstr(text, "ab"));
        assert_true(strlen(text) <= ANSWER_TEXT_MAX);
    }
    arena_release(&arena);
}

static void credentials_of_basic_authentication_are_masked(void **state)
{
    const struct http_header header = {SLICE("Authorization"), SLICE("Basic Y2Fyb2w6aGVhZGVycw==")};
    static const struct {
        const char *body, *text;
    } cases[] = {
        // user:pass word
        {"Basic dXNlcjpwYXNzIHdvcmQ=", "401 Unauthorized: Basic ********************"},
        {"Basic dXNlcjpwYXNzIHdvcmQ.", "401 Unauthorized: Basic *******************."},
        {"denied dXNlcjpwYX", "401 Unauthorized: denied **********"},
        // ann%zz: (a user alone, whose '%' encodes nothing)
        {"YW5uJXp6Og==", "401 Unauthorized: ************"},
        {"YW5uJXp6Og", "401 Unauthorized: **********"},
        // carol:headers
        {"Basic Y2Fyb2w6aGVhZGVycw==", "401 Unauthorized: **************************"},
        {"Y2Fyb2w6aGVhZGVycw", "401 Unauthorized: ******************"},
        {"no carol with headers", "401 Unauthorized: no carol with *******"},
        {"carol:headers", "401 Unauthorized: *************"},
    };
    static const struct export_endpoint endpoint = {.userinfo = "user:pass%20word",
                                                    .proxy = {.userinfo = "ann%zz"}};
    struct mask_list masks;
    struct arena arena;
    char text[ANSWER_TEXT_SIZE];
    (void)state;
    arena_init(&arena, 256);
    assert_int_equal(mask_init(&masks, &header, 1, &endpoint, &arena), ERROR_NONE);
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct export_answer answer =
            make_answer(401, "text/plain", cases[i].body, strlen(cases[i].body));
        assert_string_equal(answer_describe(&answer, &masks, text), cases[i].text);
    }
    arena_release(&arena);
}

static void a_status_counts_with_a_code_or_a_message(void **state)
{
    static const struct {
        const char *type, *body;
        size_t len;
        bool has_status;
    } cases[] = {
        {PROTOBUF, BYTES("\x08\x03"), true},
        {PROTOBUF, BYTES("\x12\x01x"), true},
        {PROTOBUF, BYTES(""), false},
        {PROTOBUF, BYTES("\x08\x00"), false},
        {PROTOBUF, BYTES("Client sent an HTTP request to an HTTPS server.\n"), false},
        {PROTOBUF "; charset=x", BYTES("\x08\x03"), true},
        {"application/json", BYTES("{\"code\":3}"), true},
        {"application/json", BYTES("{\"message\":\"bad\"}"), true},
        {"application/json", BYTES("{}"), false},
        {"application/json", BYTES("{\"code\":0,\"message\":\"\"}"), false},
        {"application/json", BYTES("{\"error\":\"bad\"}"), false},
        {"application/json", BYTES("[]"), false},
        {"text/plain", BYTES("{\"code\":3}"), false},
        {"text/html", BYTES("\x08\x03"), false},
        {"", BYTES("\x08\x03"), false},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct export_answer answer = make_answer(400, cases[i].type, cases[i].body, cases[i].len);
        if (answer_has_status(&answer) != cases[i].has_status)
            fail_msg("case %zu", i);
    }
}

static void without_memory_only_the_message_is_lost(void **state)
{
    struct export_answer refusal =
        make_answer(400, "application/json", BYTES("{\"message\":\"bad\"}"));
    struct export_answer partial = make_answer(200, PROTOBUF, BYTES("\x0a\x07\x12\x05hello"));
    (void)state;
    for (long skip = 0; skip < 12; skip++) {
        char text[ANSWER_TEXT_SIZE];
        int64_t rejected;
        memory_fail_after(skip);
        answer_describe(&refusal, &no_masks, text);
        memory_fail_after(-1);
        assert_int_equal(strncmp(text, "400 Bad Request", 15), 0);
        memory_fail_after(skip);
        (void)answer_read_partial(&partial, &no_masks, &rejected, text);
        memory_fail_after(-1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refusals_are_described_in_one_line),
        cmocka_unit_test(long_messages_are_cut_between_characters),
        cmocka_unit_test(broken_bytes_never_overflow_the_text),
        cmocka_unit_test(partial_success_is_read_and_garbage_is_not),
        cmocka_unit_test(secrets_are_masked_wherever_they_are_repeated),
        cmocka_unit_test(credentials_of_basic_authentication_are_masked),
        cmocka_unit_test(a_status_counts_with_a_code_or_a_message),
        cmocka_unit_test(without_memory_only_the_message_is_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
