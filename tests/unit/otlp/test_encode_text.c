// How text is encoded, whatever bytes it contains.
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "ghatrace/base/utf8.h"
#include "record.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define REPLACEMENT "\xef\xbf\xbd"

// SLICE() is no constant expression.
#define TEXT(literal)                                                                              \
    {                                                                                              \
        literal, sizeof(literal) - 1                                                               \
    }

static void text_is_encoded_as_valid_utf8_without_nul(void **state)
{
    static const struct {
        struct slice text, expected;
    } cases[] = {
        {TEXT("plain"), TEXT("plain")},
        {TEXT("\"quoted\\"), TEXT("\"quoted\\")},
        {TEXT("b\xc3\xa4u \xf0\x9f\x9a\x80"), TEXT("b\xc3\xa4u \xf0\x9f\x9a\x80")},
        {TEXT("nul\0inside"), TEXT("nul" REPLACEMENT "inside")},
        {TEXT("\0"), TEXT(REPLACEMENT)},
        {TEXT("\xff"), TEXT(REPLACEMENT)},
        {TEXT("cut \xc3"), TEXT("cut " REPLACEMENT)},
        // a lone surrogate, as lenient decoders of "\ud800" write it
        {TEXT("\xed\xa0\x80"), TEXT(REPLACEMENT REPLACEMENT REPLACEMENT)},
        {TEXT("\xc0\xaf"), TEXT(REPLACEMENT REPLACEMENT)}, // an overlong slash
        {TEXT("\t\n\x1b[31m"), TEXT("\t\n\x1b[31m")},      // valid, although unusual
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct span span = plain_span;
        struct buffer out;
        span.name = cases[i].text;
        encode_span(span, &out);
        assert_true(slice_equals(inside(first_span(&out), SPAN_NAME), cases[i].expected));
        buffer_release(&out);
    }
}

static void an_invalid_byte_is_detected_at_any_position(void **state)
{
    static const char bad[] = {0, '\x80', '\xff', '\xc3'};
    (void)state;
    for (size_t len = 1; len <= 24; len++) {
        for (size_t i = 0; i < len * sizeof(bad); i++) {
            char text[24], expected[26];
            struct span span = plain_span;
            struct buffer out;
            size_t place = i / sizeof(bad);
            memset(text, '\x01', len);
            memset(expected, '\x01', len + 2);
            text[place] = bad[i % sizeof(bad)];
            memcpy(expected + place, REPLACEMENT, 3);
            span.name = (struct slice){text, len};
            encode_span(span, &out);
            assert_true(slice_equals(inside(first_span(&out), SPAN_NAME),
                                     (struct slice){expected, len + 2}));
            buffer_release(&out);
        }
    }
}

// A text of 100 KB: `prefix`, then `unit` again and again.
static void fill(char *text, size_t len, size_t prefix, const char *unit)
{
    size_t unit_len = strlen(unit);
    for (size_t i = 0; i < len; i++)
        text[i] = i < prefix ? '.' : unit[(i - prefix) % unit_len];
}

static void long_text_is_cut_between_characters(void **state)
{
    static const struct {
        size_t prefix;
        const char *unit;
        size_t expected_len;
    } cases[] = {
        {0, "x", 4096},
        {0, "\xc3\xa4", 4096},
        {1, "\xc3\xa4", 4095},
        {0, "\xe2\x82\xac", 4095}, // 3 * 1365
        {1, "\xe2\x82\xac", 4096},
        {2, "\xe2\x82\xac", 4094},
        {0, "\xf0\x9f\x9a\x80", 4096},
        {1, "\xf0\x9f\x9a\x80", 4093},
        {2, "\xf0\x9f\x9a\x80", 4094},
        {3, "\xf0\x9f\x9a\x80", 4095},
        {0, "\xff", 4095}, // replacements of three bytes each
        {1, "\xff", 4096},
        {4095, "\xc3\xa4", 4095},
    };
    static char text[100000];
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct span span = plain_span;
        struct buffer out;
        fill(text, sizeof(text), cases[i].prefix, cases[i].unit);
        span.name = (struct slice){text, sizeof(text)};
        encode_span(span, &out);
        struct slice name = inside(first_span(&out), SPAN_NAME);
        assert_int_equal(name.len, cases[i].expected_len);
        assert_true(utf8_is_valid(name));
        buffer_release(&out);
    }
}

// The encoder's shortcut must give the same result as sanitizing all of the text and truncating it then.
static void cutting_early_does_not_change_the_result(void **state)
{
    static const char alphabet[][5] = {"x",    "\xc3\xa4", "\xe2\x82\xac", "\xf0\x9f\x9a\x80",
                                       "\xff", "\xf0\x9f", "\xe2",         ""};
    static char text[OTLP_STRING_MAX + 64], sanitized[3 * sizeof(text)];
    uint32_t random = 1;
    (void)state;
    for (int round = 0; round < 300; round++) {
        size_t len = OTLP_STRING_MAX - 16;
        memset(text, 'x', len);
        while (len < sizeof(text) - 4) {
            random = random * 1664525u + 1013904223u;
            const char *unit = alphabet[random >> 29];
            size_t unit_len = unit[0] == '\0' ? 1 : strlen(unit);
            memcpy(text + len, unit, unit_len);
            len += unit_len;
        }
        struct slice all = {sanitized, utf8_sanitize((struct slice){text, len}, sanitized)};
        struct span span = plain_span;
        struct buffer out;
        span.name = (struct slice){text, len};
        encode_span(span, &out);
        assert_true(
            slice_equals(inside(first_span(&out), SPAN_NAME), utf8_cut(all, OTLP_STRING_MAX)));
        buffer_release(&out);
    }
}

static void only_the_part_that_is_exported_is_read(void **state)
{
    // Memory of exactly the text's size, so that AddressSanitizer detects a read past its end.
    (void)state;
    for (size_t len = OTLP_STRING_MAX - 1; len <= OTLP_STRING_MAX + 6; len++) {
        struct span span = plain_span;
        struct buffer out;
        char *text = malloc(len);
        assert_non_null(text);
        memset(text, 0xf0, len);
        span.name = (struct slice){text, len};
        encode_span(span, &out);
        assert_int_equal(inside(first_span(&out), SPAN_NAME).len, 4095);
        buffer_release(&out);
        free(text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_is_encoded_as_valid_utf8_without_nul),
        cmocka_unit_test(an_invalid_byte_is_detected_at_any_position),
        cmocka_unit_test(long_text_is_cut_between_characters),
        cmocka_unit_test(cutting_early_does_not_change_the_result),
        cmocka_unit_test(only_the_part_that_is_exported_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
