// Iterating over a document, and the values of its strings and numbers.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ghatrace/base/arena.h"
#include "ghatrace/base/memory.h"
#include "ghatrace/json/read.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

struct fixture {
    struct arena arena;
    struct json_document document;
};

static int set_up(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    assert_non_null(fixture);
    arena_init(&fixture->arena, 4096);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    arena_release(&fixture->arena);
    free(fixture);
    return 0;
}

static const struct json_document *parse(void **state, struct slice text)
{
    struct fixture *fixture = *state;
    struct error error;
    if (json_parse(text, &fixture->arena, &fixture->document, &error) != ERROR_NONE)
        fail_msg("%s", error.message);
    return &fixture->document;
}

static struct slice string_of(void **state, json_value value)
{
    struct fixture *fixture = *state;
    struct slice out = SLICE_EMPTY;
    assert_true(json_string(&fixture->document, value, &fixture->arena, &out));
    return out;
}

static void assert_slice(struct slice actual, const char *expected, size_t len)
{
    if (!slice_equals(actual, (struct slice){expected, len}))
        fail_msg("'%.*s' is not '%.*s'", SLICE_ARGS(actual), (int)len, expected);
}

static void types_are_distinguished(void **state)
{
    static const enum json_type types[] = {JSON_NULL,   JSON_TRUE,   JSON_FALSE,  JSON_NUMBER,
                                           JSON_NUMBER, JSON_STRING, JSON_OBJECT, JSON_ARRAY};
    const struct json_document *d =
        parse(state, SLICE("[null,true,false,-1,0.5e1,\"null\",{},[]]"));
    json_value element = json_first_element(d, JSON_ROOT);
    assert_int_equal(json_type_of(d, JSON_ROOT), JSON_ARRAY);
    for (size_t i = 0; i < COUNT(types); i++) {
        assert_int_equal(json_type_of(d, element), types[i]);
        element = json_next_element(d, element);
    }
    assert_int_equal(element, JSON_NONE);
}

static void an_object_is_walked_over_its_own_keys_only(void **state)
{
    const struct json_document *d = parse(
        state,
        SLICE(" {\"a\":{\"x\":1,\"y\":{\"z\":[1,{}]}},\"b\":[{\"q\":1},2],\"c\":null,\"d\":{}} "));
    const char *names[] = {"a", "b", "c", "d"};
    json_value key = json_first_key(d, JSON_ROOT);
    for (size_t i = 0; i < COUNT(names); i++) {
        assert_true(json_key_equals(d, key, slice_from_string(names[i])));
        assert_int_equal(json_key_value(d, key),
                         json_get(d, JSON_ROOT, slice_from_string(names[i])));
        key = json_next_key(d, key);
    }
    assert_int_equal(key, JSON_NONE);
    assert_int_equal(json_first_key(d, json_get(d, JSON_ROOT, SLICE("d"))), JSON_NONE);

    json_value inner = json_get(d, JSON_ROOT, SLICE("a"));
    json_value last = json_next_key(d, json_first_key(d, inner));
    assert_true(json_key_equals(d, last, SLICE("y")));
    assert_int_equal(json_next_key(d, last), JSON_NONE); // and not "b", which follows in the text
}

static void an_array_is_walked_over_its_own_elements_only(void **state)
{
    const struct json_document *d = parse(state, SLICE("[[1,[2]],{\"a\":[3]},[],4]"));
    assert_int_equal(json_count(d, JSON_ROOT), 4);
    json_value first = json_first_element(d, JSON_ROOT);
    assert_int_equal(json_count(d, first), 2);
    json_value inner = json_next_element(d, json_first_element(d, first));
    assert_int_equal(json_type_of(d, inner), JSON_ARRAY);
    assert_int_equal(json_next_element(d, inner), JSON_NONE);
    json_value empty = json_next_element(d, json_next_element(d, first));
    assert_int_equal(json_count(d, empty), 0);
    assert_int_equal(json_first_element(d, empty), JSON_NONE);
}

static void all_functions_accept_absent_values(void **state)
{
    const struct json_document *d = parse(state, SLICE("{\"a\":[\"x\"],\"s\":\"t\",\"n\":1}"));
    struct fixture *fixture = *state;
    struct slice text = SLICE("kept");
    int64_t number = 7;
    const json_value nowhere[] = {JSON_NONE, -5, (json_value)d->token_count, INT32_MAX};
    for (size_t i = 0; i < COUNT(nowhere); i++) {
        json_value v = nowhere[i];
        assert_int_equal(json_type_of(d, v), JSON_NULL);
        assert_int_equal(json_first_key(d, v), JSON_NONE);
        assert_int_equal(json_next_key(d, v), JSON_NONE);
        assert_int_equal(json_key_value(d, v), JSON_NONE);
        assert_false(json_key_equals(d, v, SLICE("a")));
        assert_int_equal(json_get(d, v, SLICE("a")), JSON_NONE);
        assert_int_equal(json_first_element(d, v), JSON_NONE);
        assert_int_equal(json_next_element(d, v), JSON_NONE);
        assert_int_equal(json_count(d, v), 0);
        assert_false(json_string(d, v, &fixture->arena, &text));
        assert_false(json_int64(d, v, &number));
    }
    assert_slice(text, "kept", 4);
    assert_int_equal(number, 7);
}

static void iterating_over_the_wrong_type_finds_nothing(void **state)
{
    const struct json_document *d = parse(state, SLICE("{\"a\":[\"x\",\"y\"],\"s\":\"t\"}"));
    json_value array = json_get(d, JSON_ROOT, SLICE("a"));
    json_value string = json_get(d, JSON_ROOT, SLICE("s"));
    assert_int_equal(json_first_element(d, JSON_ROOT), JSON_NONE);
    assert_int_equal(json_first_key(d, array), JSON_NONE);
    assert_int_equal(json_first_key(d, string), JSON_NONE);
    assert_int_equal(json_next_key(d, json_first_element(d, array)), JSON_NONE);
    assert_int_equal(json_next_element(d, json_first_key(d, JSON_ROOT)), JSON_NONE);
    assert_int_equal(json_next_element(d, array), JSON_NONE); // the value of a key has no next
    assert_int_equal(json_next_key(d, array), JSON_NONE);
    assert_int_equal(json_key_value(d, string), JSON_NONE);
    assert_int_equal(json_next_element(d, JSON_ROOT), JSON_NONE);
    assert_int_equal(json_get(d, array, SLICE("x")), JSON_NONE);
}

static void the_first_of_double_keys_wins(void **state)
{
    const struct json_document *d = parse(state, SLICE("{\"a\":1,\"\\u0061\":2,\"a\":3}"));
    int64_t number = 0;
    assert_true(json_int64(d, json_get(d, JSON_ROOT, SLICE("a")), &number));
    assert_int_equal(number, 1);
}

static void keys_are_compared_after_unescaping(void **state)
{
    const struct json_document *d = parse(
        state, SLICE("{\"\\u0061ction\":1,\"b\\nc\":2,\"\":3,\"\\ud83d\\udea2\":4,\"x\xff\":5}"));
    assert_int_not_equal(json_get(d, JSON_ROOT, SLICE("action")), JSON_NONE);
    assert_int_not_equal(json_get(d, JSON_ROOT, SLICE("b\nc")), JSON_NONE);
    assert_int_not_equal(json_get(d, JSON_ROOT, SLICE("\xf0\x9f\x9a\xa2")), JSON_NONE);
    assert_int_not_equal(json_get(d, JSON_ROOT, SLICE("x\xef\xbf\xbd")), JSON_NONE);
    assert_int_equal(json_get(d, JSON_ROOT, SLICE("b\\nc")), JSON_NONE);
    assert_int_equal(json_get(d, JSON_ROOT, SLICE("b\nc ")), JSON_NONE);
    assert_int_equal(json_get(d, JSON_ROOT, SLICE("b\n")), JSON_NONE);
    assert_int_equal(json_get(d, JSON_ROOT, SLICE("x\xff")), JSON_NONE);
    int64_t number = 0;
    assert_true(json_int64(d, json_get(d, JSON_ROOT, SLICE_EMPTY), &number));
    assert_int_equal(number, 3);
}

#define TEXT(literal)                                                                              \
    {                                                                                              \
        .data = (literal), .len = sizeof(literal) - 1                                              \
    } // a constant, unlike SLICE
#define REPLACED "\xef\xbf\xbd"

static void strings_are_unescaped_and_made_valid(void **state)
{
    static const struct {
        struct slice raw;
        struct slice decoded;
    } cases[] = {
        {TEXT(""), TEXT("")},
        {TEXT("plain"), TEXT("plain")},
        {TEXT("\\\"\\\\\\/\\b\\f\\n\\r\\t"), TEXT("\"\\/\b\f\n\r\t")},
        {TEXT("a\\u0041\\u00e9\\u20AC"), TEXT("aA\xc3\xa9\xe2\x82\xac")},
        {TEXT("\\ud83d\\udea2!"), TEXT("\xf0\x9f\x9a\xa2!")},
        {TEXT("\\uD800\\uDC00"), TEXT("\xf0\x90\x80\x80")},
        {TEXT("\\uDBFF\\uDFFF"), TEXT("\xf4\x8f\xbf\xbf")},
        {TEXT("\\uFFFF"), TEXT("\xef\xbf\xbf")},
        {TEXT("\\u0000"), TEXT(REPLACED)},
        {TEXT("a\\u0000b"), TEXT("a" REPLACED "b")},
        {TEXT("\\u001f\\u007f"), TEXT("\x1f\x7f")},
        {TEXT("\\ud83d"), TEXT(REPLACED)},
        {TEXT("\\ud83dx"), TEXT(REPLACED "x")},
        {TEXT("\\ud83d\\n"), TEXT(REPLACED "\n")},
        {TEXT("\\ud83d\\u0041"), TEXT(REPLACED "A")},
        {TEXT("\\udea2\\ud83d"), TEXT(REPLACED REPLACED)},
        {TEXT("\\ud83d\\ud83d\\udea2"), TEXT(REPLACED "\xf0\x9f\x9a\xa2")},
        {TEXT("\\ud83d\xf0\x9f\x9a\xa2"), TEXT(REPLACED "\xf0\x9f\x9a\xa2")},
        {TEXT("\\\\u0041"), TEXT("\\u0041")},
        {TEXT("\xc3\xa9\xe2\x9b\xb5\xf0\x9f\x9a\xa2"),
         TEXT("\xc3\xa9\xe2\x9b\xb5\xf0\x9f\x9a\xa2")},
        {TEXT("\xff"), TEXT(REPLACED)},
        {TEXT("a\x80z"), TEXT("a" REPLACED "z")},
        {TEXT("\xc3"), TEXT(REPLACED)},
        {TEXT("\xc0\xaf"), TEXT(REPLACED REPLACED)},
        {TEXT("\xed\xa0\x80"), TEXT(REPLACED REPLACED REPLACED)},
        {TEXT("\xf4\x90\x80\x80"), TEXT(REPLACED REPLACED REPLACED REPLACED)},
        {TEXT("\xc3\\u00a9"), TEXT(REPLACED "\xc2\xa9")},
        {TEXT("0123456789abcdef\xff"), TEXT("0123456789abcdef" REPLACED)},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        char text[128];
        int len = snprintf(text, sizeof(text), "[\"%.*s\"]", SLICE_ARGS(cases[i].raw));
        const struct json_document *d = parse(state, (struct slice){text, (size_t)len});
        assert_slice(string_of(state, json_first_element(d, JSON_ROOT)), cases[i].decoded.data,
                     cases[i].decoded.len);
    }
}

static void strings_without_escapes_are_not_copied(void **state)
{
    struct slice text = SLICE("[\"plain\",\"\xc3\xa9\xe2\x9b\xb5 valid UTF-8\",\"\"]");
    struct fixture *fixture = *state;
    const struct json_document *d = parse(state, text);
    size_t used = fixture->arena.used;
    json_value element = json_first_element(d, JSON_ROOT);
    for (; element != JSON_NONE; element = json_next_element(d, element)) {
        struct slice out = string_of(state, element);
        assert_true(out.data >= text.data && out.data + out.len <= text.data + text.len);
    }
    assert_int_equal(fixture->arena.used, used);
}

static void integers_of_64_bits_are_read(void **state)
{
    static const struct {
        const char *text;
        int64_t value;
    } cases[] = {
        {"0", 0},
        {"-0", 0},
        {"42", 42},
        {"4294967296", 4294967296},
        {"33714470481", 33714470481},
        {"9007199254740993", 9007199254740993}, // a double would make it even
        {"9223372036854775807", INT64_MAX},
        {"-9223372036854775808", INT64_MIN},
        {" 7 ", 7},
        {"1.0", 1},
        {"1e3", 1000},
        {"1E+3", 1000},
        {"-0.0", 0},
        {"0e400", 0},
        {"-1.50e1", -15},
        {"1000.50e2", 100050},
        {"120e-1", 12},
        {"9223372036854775807.000", INT64_MAX},
        {"9.223372036854775807e18", INT64_MAX},
        {"-922337203685477580800e-2", INT64_MIN},
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        int64_t value = -1;
        const struct json_document *d = parse(state, slice_from_string(cases[i].text));
        assert_true(json_int64(d, JSON_ROOT, &value));
        assert_int_equal(value, cases[i].value);
    }
}

static void other_values_are_not_read_as_64_bit_integers(void **state)
{
    static const char *const texts[] = {
        "0.5",
        "1.05",
        "15e-1",
        "1e-400",
        "1e19",
        "1e99999999999999999999",
        "-1e19",
        "9223372036854775807.5",
        "9.223372036854775808e18",
        "9223372036854775808",
        "-9223372036854775809",
        "99999999999999999999999",
        "\"1\"",
        "true",
        "null",
        "[1]",
        "{}",
    };
    for (size_t i = 0; i < COUNT(texts); i++) {
        int64_t value = 11;
        const struct json_document *d = parse(state, slice_from_string(texts[i]));
        assert_false(json_int64(d, JSON_ROOT, &value));
        assert_int_equal(value, 11);
    }
}

static void a_string_is_only_read_from_a_string(void **state)
{
    static const char *const texts[] = {"1", "true", "null", "[\"a\"]", "{\"a\":\"b\"}"};
    struct fixture *fixture = *state;
    for (size_t i = 0; i < COUNT(texts); i++) {
        struct slice out;
        const struct json_document *d = parse(state, slice_from_string(texts[i]));
        assert_false(json_string(d, JSON_ROOT, &fixture->arena, &out));
    }
}

// With a look at the whole rest at each step, or with jsmn's own walks over unlinked parents, this
// would not end within the time of a test run.
static void a_hundred_thousand_keys_are_walked_in_linear_time(void **state)
{
    const int count = 100000;
    size_t size = (size_t)count * 24 + 2;
    char *text = malloc(size);
    assert_non_null(text);
    size_t len = 0;
    for (int i = 0; i < count; i++)
        len +=
            (size_t)snprintf(text + len, size - len, "%s\"key%d\":[%d]", i == 0 ? "{" : ",", i, i);
    text[len++] = '}';

    const struct json_document *d = parse(state, (struct slice){text, len});
    assert_int_equal(d->token_count, 1 + 3 * count);
    int seen = 0;
    json_value key = json_first_key(d, JSON_ROOT);
    for (; key != JSON_NONE; key = json_next_key(d, key)) {
        int64_t number = -1;
        assert_true(json_int64(d, json_first_element(d, json_key_value(d, key)), &number));
        assert_int_equal(number, seen++);
    }
    assert_int_equal(seen, count);
    free(text);
}

static void a_body_of_25_mib_is_parsed(void **state)
{
    const size_t size = 25 << 20;
    char *text = malloc(size);
    assert_non_null(text);
    memset(text, 'x', size);
    // Objects of 30 bytes each, as dense in tokens as pretty-printed payloads are.
    static const char object[] = "{\"abcdefghijkl\":\"mnopqrstuvw\"},";
    size_t len = 1;
    text[0] = '[';
    while (len + sizeof(object) < size) {
        memcpy(text + len, object, sizeof(object) - 1);
        len += sizeof(object) - 1;
        if (len > size / 3)
            break;
    }
    text[len++] = '"'; // the rest is one long string
    text[size - 2] = '"';
    text[size - 1] = ']';
    const struct json_document *d = parse(state, (struct slice){text, size});
    assert_true(d->token_count > 800000);
    assert_int_equal(json_count(d, JSON_ROOT), (d->token_count - 2) / 3 + 1);
    free(text);
}

static void refused_memory_is_an_error_and_not_a_crash(void **state)
{
    struct arena arena;
    struct json_document d;
    struct error error;
    struct slice out = SLICE("kept");
    (void)state;

    arena_init(&arena, 64);
    memory_fail_after(0);
    assert_int_equal(json_parse(SLICE("[1]"), &arena, &d, &error), ERROR_MEMORY);
    memory_fail_after(-1);
    assert_int_equal(json_parse(SLICE("[\"\\n..............................................."
                                      "............................\"]"),
                                &arena, &d, &error),
                     ERROR_NONE);
    memory_fail_after(0);
    assert_false(json_string(&d, json_first_element(&d, JSON_ROOT), &arena, &out));
    memory_fail_after(-1);
    assert_slice(out, "kept", 4);
    arena_release(&arena);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(types_are_distinguished),
        TEST(an_object_is_walked_over_its_own_keys_only),
        TEST(an_array_is_walked_over_its_own_elements_only),
        TEST(all_functions_accept_absent_values),
        TEST(iterating_over_the_wrong_type_finds_nothing),
        TEST(the_first_of_double_keys_wins),
        TEST(keys_are_compared_after_unescaping),
        TEST(strings_are_unescaped_and_made_valid),
        TEST(strings_without_escapes_are_not_copied),
        TEST(integers_of_64_bits_are_read),
        TEST(other_values_are_not_read_as_64_bit_integers),
        TEST(a_string_is_only_read_from_a_string),
        TEST(a_hundred_thousand_keys_are_walked_in_linear_time),
        TEST(a_body_of_25_mib_is_parsed),
        cmocka_unit_test(refused_memory_is_an_error_and_not_a_crash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
