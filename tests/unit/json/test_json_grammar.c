// RFC 8259, accepted and refused: in the manner of the JSONTestSuite (y_: JSON, n_: not JSON).
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ghatrace/base/arena.h"
#include "ghatrace/json/read.h"

#define TEXT(literal)                                                                              \
    {                                                                                              \
        .data = (literal), .len = sizeof(literal) - 1                                              \
    } // a constant, unlike SLICE
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static enum error_code parse(struct slice text, struct error *error)
{
    struct arena arena;
    struct json_document document;
    // On the heap and of the exact size, so that ASan sees a read beyond the end.
    char *copy = malloc(text.len > 0 ? text.len : 1);
    assert_non_null(copy);
    if (text.len > 0)
        memcpy(copy, text.data, text.len);
    arena_init(&arena, 4096);
    enum error_code code =
        json_parse((struct slice){.data = copy, .len = text.len}, &arena, &document, error);
    arena_release(&arena);
    free(copy);
    return code;
}

static void what_the_grammar_allows_is_accepted(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "{}",
        "[]",
        "[[]]",
        "[{}]",
        "[[],[],{}]",
        " \t\r\n{ \t\r\n} \t\r\n",
        "[ ]",
        "[\"\"]",
        "[null]",
        "[true,false,null]",
        "[1, 2 ,3]",
        "[1\n]",
        "[null,null,null,\"1\",{}]",
        "{\"a\":1}",
        "{\"a\":1,\"b\":2}",
        "{\"a\" : 1 , \"b\" : [ ] }",
        "{\"a\":\"b\",\"a\":\"c\"}",
        "{\"a\":\"b\",\"a\":\"b\"}",
        "{\"\":0}",
        "{\"a\":[]}",
        "{\"a\":{\"b\":{\"c\":[]}}}",
        "{\"foo\\u0000bar\":42}",
        "{\"\\u0061\":1}",
        "{\"min\":-1.0e+28,\"max\":1.0e+28}",
        "{\n\"a\": \"b\"\n}",
        "[0]",
        "[-0]",
        "[-1]",
        "[0e1]",
        "[0e+1]",
        "[0E-1]",
        "[123e65]",
        "[1E22]",
        "[1E-2]",
        "[1E+2]",
        "[123.456e78]",
        "[123.456789]",
        "[-0.0]",
        "[0.1]",
        "[20e1]",
        "[ 4]",
        "[-237462374673276894279832749832423479823246327846]",
        "[1e999999]",
        "[\"\\u0060\\u012a\\u12AB\"]",
        "[\"\\uD801\\udc37\"]",
        "[\"\\uD800\"]",
        "[\"\\uDC00\\uD800\"]",
        "[\"\\u0000\"]",
        "[\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"]",
        "[\"\\\\u0000\"]",
        "[\"\\\\\"]",
        "[\"\\\"\"]",
        "[\"a/*b*/c/*d//e\"]",
        "[\"{[,:]}\"]",
        "[\"\x7f\"]",
        "[\"\xc3\xa9\xe2\x9b\xb5\xf0\x9f\x9a\xa2\"]",
        "[\"\xff\"]",         // one bad byte must not cost an event
        "[\"\xed\xa0\x80\"]", // nor a surrogate written as UTF-8
        "[\"\xe2\x80\xa8\"]",
        "\"alone\"",
        "\"\"",
        "42",
        " 42 ",
        "-0.1e1",
        "0",
        "true",
        "false\n",
        "null",
        "[1]\n\n",
    };
    for (size_t i = 0; i < COUNT(texts); i++) {
        struct error error = {.code = ERROR_NONE};
        if (parse(slice_from_string(texts[i]), &error) != ERROR_NONE)
            fail_msg("refused: %s (%s)", texts[i], error.message);
    }
}

static const struct slice forbidden[] = {
    TEXT(""),
    TEXT(" "),
    TEXT("\n\t\r "),
    TEXT("\xef\xbb\xbf{}"), // a byte order mark
    TEXT("\xef\xbb\xbf"),
    TEXT("\0"),
    TEXT("{}\0"),
    TEXT("[1]\0[2]"),
    TEXT("[\0]"),
    TEXT("[\"a\0b\"]"),
    TEXT("[\"a\\\0b\"]"),
    // roots
    TEXT("{}{}"),
    TEXT("[][]"),
    TEXT("[] []"),
    TEXT("{},{}"),
    TEXT("1 2"),
    TEXT("\"a\" \"b\""),
    TEXT("\"a\"\"b\""),
    TEXT("{\"a\":1}x"),
    TEXT("{\"a\":1}#"),
    TEXT("{\"a\":1}1"),
    TEXT("{\"a\":1}\"b\""),
    TEXT("[1],"),
    TEXT(",[1]"),
    TEXT("[1]:"),
    TEXT(":[1]"),
    TEXT("\"a\":1"),
    TEXT("\"a\","),
    TEXT(","),
    TEXT(":"),
    // brackets
    TEXT("["),
    TEXT("{"),
    TEXT("]"),
    TEXT("}"),
    TEXT("[}"),
    TEXT("{]"),
    TEXT("[[]"),
    TEXT("[]]"),
    TEXT("{}}"),
    TEXT("[{]}"),
    TEXT("{\"a\":[}]"),
    TEXT("{\"a\":{]}"),
    TEXT("][}{"),
    TEXT("[1,2}"),
    TEXT("{\"a\":1]"),
    TEXT("(1)"),
    // commas
    TEXT("[1,]"),
    TEXT("[,1]"),
    TEXT("[,]"),
    TEXT("[1,,2]"),
    TEXT("[1,\n]"),
    TEXT("[1 2]"),
    TEXT("[\"a\" \"b\"]"),
    TEXT("[\"a\"\"b\"]"),
    TEXT("[[] []]"),
    TEXT("[{}{}]"),
    TEXT("[\"a\" 1]"),
    TEXT("[1\"a\"]"),
    TEXT("[1[2]]"),
    TEXT("[\"a\"[2]]"),
    TEXT("{,}"),
    TEXT("{\"a\":1,}"),
    TEXT("{,\"a\":1}"),
    TEXT("{\"a\":1,,\"b\":2}"),
    TEXT("{\"a\":1 \"b\":2}"),
    TEXT("{\"a\":\"b\" \"c\":\"d\"}"),
    TEXT("{\"a\":\"b\" \"c\"}"),
    TEXT("{\"a\":{}\"b\":1}"),
    // keys and colons
    TEXT("{\"a\"}"),
    TEXT("{\"a\":}"),
    TEXT("{\"a\",\"b\"}"),
    TEXT("{\"a\" 1}"),
    TEXT("{\"a\"::1}"),
    TEXT("{\"a\":1:2}"),
    TEXT("{\"a\":\"b\":1}"),
    TEXT("{\"a\":\"b\":\"c\"}"),
    TEXT("{\"a\":[]:1}"),
    TEXT("{\"a\":1,\"b\"}"),
    TEXT("{\"a\":1,\"b\":}"),
    TEXT("{\"a\":,\"b\":1}"),
    TEXT("{:1}"),
    TEXT("{:}"),
    TEXT("{1:2}"),
    TEXT("{1}"),
    TEXT("{null:1}"),
    TEXT("{[]:1}"),
    TEXT("{{}:1}"),
    TEXT("{a:1}"),
    TEXT("{'a':1}"),
    TEXT("{\"a\"=1}"),
    TEXT("{\"a\":1;}"),
    TEXT("[\"a\":1]"),
    TEXT("[:1]"),
    TEXT("[1:2]"),
    TEXT("[\"a\":]"),
    TEXT("[\"a\",:]"),
    TEXT("[]:[]"),
    TEXT("{\"a\":\"b\",1}"),
    TEXT("{\"a\":1,[]}"),
    TEXT("{[1]}"),
    // literals
    TEXT("[nul]"),
    TEXT("[nulx]"),
    TEXT("[nulll]"),
    TEXT("[tru]"),
    TEXT("[True]"),
    TEXT("[NULL]"),
    TEXT("[fals]"),
    TEXT("[truefalse]"),
    TEXT("[undefined]"),
    TEXT("[NaN]"),
    TEXT("[-NaN]"),
    TEXT("[Infinity]"),
    TEXT("[-Infinity]"),
    TEXT("nul"),
    TEXT("x"),
    TEXT("*"),
    // numbers
    TEXT("[01]"),
    TEXT("[-01]"),
    TEXT("[00]"),
    TEXT("[-]"),
    TEXT("[--1]"),
    TEXT("[+1]"),
    TEXT("[1+2]"),
    TEXT("[.5]"),
    TEXT("[-.5]"),
    TEXT("[1.]"),
    TEXT("[1.e1]"),
    TEXT("[1..2]"),
    TEXT("[1.2.3]"),
    TEXT("[1e]"),
    TEXT("[1e+]"),
    TEXT("[1eE2]"),
    TEXT("[1e1.5]"),
    TEXT("[0x1f]"),
    TEXT("[1a]"),
    TEXT("[1_000]"),
    TEXT("[1 000]"),
    TEXT("[1/2]"),
    TEXT("[1/*c*/]"),
    TEXT("[1//c\n]"),
    TEXT("[- 1]"),
    TEXT("[\xef\xbc\x91]"), // a full-width 1
    TEXT("1 000"),
    TEXT("-"),
    TEXT("01"),
    // strings
    TEXT("\""),
    TEXT("\"a"),
    TEXT("[\"a]"),
    TEXT("[\"a\\\"]"),
    TEXT("[\"\\"),
    TEXT("\"\\"),
    TEXT("[\"\\x00\"]"),
    TEXT("[\"\\a\"]"),
    TEXT("[\"\\'\"]"),
    TEXT("[\"\\ \"]"),
    TEXT("[\"\\U0041\"]"),
    TEXT("[\"\\u\"]"),
    TEXT("[\"\\u1\"]"),
    TEXT("[\"\\u12\"]"),
    TEXT("[\"\\u123\"]"),
    TEXT("[\"\\u123g\"]"),
    TEXT("[\"\\u+123\"]"),
    TEXT("[\"\\uD834\\u\"]"),
    TEXT("[\"\\u00e\xc3\xa9\"]"),
    TEXT("[\"\\\xc3\xa9\"]"),
    TEXT("[\"\\u12"),
    TEXT("[\"a\nb\"]"),
    TEXT("[\"a\tb\"]"),
    TEXT("[\"a\\\nb\"]"),
    TEXT("[\"\x1f\"]"),
    TEXT("[\"\x01\"]"),
    TEXT("['a']"),
    TEXT("[\\\"a\"]"),
    TEXT("[\"a\"\\n]"),
    // between tokens
    TEXT("[\f]"),
    TEXT("[\v]"),
    TEXT("[\xc2\xa0]"),
    TEXT("[\xe2\x81\xa0]"),
    TEXT("\xc2\xa0[]"),
    TEXT("[]\x1b"),
    TEXT("[]\x7f"),
    TEXT("/**/[]"),
    TEXT("[]//"),
    TEXT("{\"a\":/*c*/1}"),
    TEXT("<a>"),
    TEXT("[<null>]"),
    TEXT("[a]"),
    TEXT("[&]"),
    TEXT("payload=%7B%7D"),
};

static void what_the_grammar_forbids_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(forbidden); i++) {
        struct error error = {.code = ERROR_NONE};
        if (parse(forbidden[i], &error) != ERROR_INVALID)
            fail_msg("not refused: [%zu] %.*s", i, SLICE_ARGS(forbidden[i]));
        assert_int_equal(error.code, ERROR_INVALID);
        assert_int_equal(strncmp(error.message, "not JSON: ", 10), 0);
    }
}

static void every_proper_prefix_of_a_text_is_refused(void **state)
{
    (void)state;
    struct slice whole = SLICE("{\"a\":[1,-2.5e3,{\"b\":\"c\\u00e9\\n\"},[],{}],\"d\":null}");
    assert_int_equal(parse(whole, NULL), ERROR_NONE);
    for (size_t len = 0; len < whole.len; len++)
        assert_int_equal(parse((struct slice){whole.data, len}, NULL), ERROR_INVALID);
}

static void an_error_names_the_position(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        const char *message;
    } cases[] = {
        {"", "not JSON: the text is empty"},
        {"{\"a\":1", "not JSON: the text ends inside an object or array"},
        {"{\"a", "not JSON: the text ends inside a string"},
        {"[\"a\nb\"]", "not JSON: unescaped control character in a string at byte 3"},
        {"[]]", "not JSON: nothing to close at byte 2"},
        {"\xef\xbb\xbf{}", "not JSON: byte 0xef outside a string at byte 0"},
        {"[1,,2]", "not JSON: unexpected text at byte 3"},
        {"{\"a\":01}", "not JSON: unexpected text at byte 5"},
        {"[1,\"\\q\"]", "not JSON: unexpected text at byte 3"},
        {"[x]", "not JSON: unexpected text at byte 1"},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct error error;
        assert_int_equal(parse(slice_from_string(cases[i].text), &error), ERROR_INVALID);
        assert_string_equal(error.message, cases[i].message);
    }
}

static void a_control_character_is_found_at_any_place_in_a_string(void **state)
{
    (void)state;
    for (size_t at = 1; at < 40; at++) {
        for (int c = 0; c < 0x20; c++) {
            char text[41];
            char message[100];
            struct error error;
            memset(text, 0xc3, sizeof(text)); // high bits around it, which must not hide it
            text[0] = text[40] = '"';
            text[at] = (char)c;
            assert_int_equal(parse((struct slice){text, sizeof(text)}, &error), ERROR_INVALID);
            snprintf(message, sizeof(message),
                     "not JSON: unescaped control character in a string at byte %zu", at);
            assert_string_equal(error.message, message);
        }
    }
}

static void a_string_ends_at_its_first_unescaped_quote(void **state)
{
    (void)state;
    for (size_t at = 1; at < 40; at++) {
        char text[43];
        memset(text, 'x', sizeof(text));
        text[0] = text[42] = '"';
        text[at] = '"';
        assert_int_equal(parse((struct slice){text, sizeof(text)}, NULL), ERROR_INVALID);
        assert_int_equal(parse((struct slice){text, at + 1}, NULL), ERROR_NONE);
        text[at] = '\\';
        text[at + 1] = '"';
        assert_int_equal(parse((struct slice){text, sizeof(text)}, NULL), ERROR_NONE);
        text[at + 1] = '\\';
        assert_int_equal(parse((struct slice){text, sizeof(text)}, NULL), ERROR_NONE);
    }
}

// `depth` times `open`, then `middle`, then as many closers.
static enum error_code parse_nested(const char *open, const char *middle, char close, size_t depth,
                                    struct error *error)
{
    size_t open_len = strlen(open);
    size_t middle_len = strlen(middle);
    char *text = malloc(depth * (open_len + 1) + middle_len + 1);
    assert_non_null(text);
    for (size_t i = 0; i < depth; i++)
        memcpy(text + i * open_len, open, open_len);
    memcpy(text + depth * open_len, middle, middle_len);
    memset(text + depth * open_len + middle_len, close, depth);
    enum error_code code = parse((struct slice){text, depth * (open_len + 1) + middle_len}, error);
    free(text);
    return code;
}

static void nesting_is_allowed_to_the_limit_and_no_further(void **state)
{
    (void)state;
    struct error error;
    assert_int_equal(parse_nested("[", "", ']', JSON_DEPTH_MAX, &error), ERROR_NONE);
    assert_int_equal(parse_nested("{\"a\":", "1", '}', JSON_DEPTH_MAX, &error), ERROR_NONE);
    assert_int_equal(parse_nested("[", "", ']', JSON_DEPTH_MAX + 1, &error), ERROR_TOO_LARGE);
    assert_string_equal(error.message, "JSON is nested deeper than 64 at byte 64");
    assert_int_equal(parse_nested("{\"a\":", "1", '}', JSON_DEPTH_MAX + 1, &error),
                     ERROR_TOO_LARGE);
}

static void a_hundred_thousand_brackets_are_refused_at_once(void **state)
{
    (void)state;
    assert_int_equal(parse_nested("[", "", ']', 100000, NULL), ERROR_TOO_LARGE);
    assert_int_equal(parse_nested("{\"a\":", "1", '}', 100000, NULL), ERROR_TOO_LARGE);
}

static void brackets_inside_strings_do_not_count_as_nesting(void **state)
{
    (void)state;
    char text[1000];
    memset(text, '[', sizeof(text));
    text[0] = text[sizeof(text) - 1] = '"';
    assert_int_equal(parse((struct slice){text, sizeof(text)}, NULL), ERROR_NONE);
}

// "[0,0,...,0]" with `count` zeros.
static enum error_code parse_zeros(size_t count, struct error *error)
{
    char *text = malloc(2 * count + 1);
    assert_non_null(text);
    for (size_t i = 0; i < count; i++) {
        text[2 * i] = i == 0 ? '[' : ',';
        text[2 * i + 1] = '0';
    }
    text[2 * count] = ']';
    enum error_code code = parse((struct slice){text, 2 * count + 1}, error);
    free(text);
    return code;
}

static void tokens_are_allowed_to_the_limit_and_no_further(void **state)
{
    (void)state;
    struct error error;
    assert_int_equal(parse_zeros(JSON_TOKENS_MAX - 1, &error), ERROR_NONE); // and the array
    assert_int_equal(parse_zeros(JSON_TOKENS_MAX, &error), ERROR_TOO_LARGE);
    assert_string_equal(error.message, "JSON has more than 2000000 tokens");
}

static void empty_objects_and_arrays_count_as_one_token_each(void **state)
{
    (void)state;
    const size_t count = JSON_TOKENS_MAX - 1; // and the array around them
    char *text = malloc(3 * count + 1);
    assert_non_null(text);
    for (size_t i = 0; i < count; i++)
        memcpy(text + 3 * i, i % 2 == 0 ? ",[]" : ",{}", 3);
    text[0] = '[';
    text[3 * count] = ']';
    assert_int_equal(parse((struct slice){text, 3 * count + 1}, NULL), ERROR_NONE);
    free(text);
}

// jsmn makes a chain of parents as long as the text of these; each closer would walk it.
static void chains_of_colons_are_refused(void **state)
{
    (void)state;
    const size_t count = 200000;
    char *text = malloc(4 * count + 2);
    assert_non_null(text);
    text[0] = '{';
    for (size_t i = 0; i < count; i++)
        memcpy(text + 1 + 4 * i, "\"a\":", 4);
    text[4 * count] = '1';
    text[4 * count + 1] = '}';
    assert_int_equal(parse((struct slice){text, 4 * count + 2}, NULL), ERROR_INVALID);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_the_grammar_allows_is_accepted),
        cmocka_unit_test(what_the_grammar_forbids_is_refused),
        cmocka_unit_test(every_proper_prefix_of_a_text_is_refused),
        cmocka_unit_test(an_error_names_the_position),
        cmocka_unit_test(a_control_character_is_found_at_any_place_in_a_string),
        cmocka_unit_test(a_string_ends_at_its_first_unescaped_quote),
        cmocka_unit_test(nesting_is_allowed_to_the_limit_and_no_further),
        cmocka_unit_test(a_hundred_thousand_brackets_are_refused_at_once),
        cmocka_unit_test(brackets_inside_strings_do_not_count_as_nesting),
        cmocka_unit_test(tokens_are_allowed_to_the_limit_and_no_further),
        cmocka_unit_test(empty_objects_and_arrays_count_as_one_token_each),
        cmocka_unit_test(chains_of_colons_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
