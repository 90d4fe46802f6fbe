// UTF-8: every scalar value, and every kind of invalid sequence.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "ghatrace/base/utf8.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void every_scalar_value_is_one_valid_sequence(void **state)
{
    (void)state;
    for (uint32_t c = 0; c <= 0x10ffff; c++) {
        char bytes[4];
        if (c == 0xd800)
            c = 0xe000;
        size_t len = utf8_encode(c, bytes);
        assert_int_equal(len, c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4);
        if (utf8_sequence_length((struct slice){bytes, len}) != len ||
            utf8_decode((struct slice){bytes, len}) != c)
            fail_msg("U+%04X", (unsigned)c);
        // Truncated, it is invalid.
        for (size_t cut = 0; cut < len; cut++)
            assert_int_equal(utf8_sequence_length((struct slice){bytes, cut}), 0);
    }
}

// The definition, implemented differently from the code: decode the bits, encode again, compare.
static size_t slow_sequence_length(const unsigned char *s, size_t len)
{
    static const uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t wanted = s[0] < 0x80             ? 1
                    : (s[0] & 0xe0) == 0xc0 ? 2
                    : (s[0] & 0xf0) == 0xe0 ? 3
                    : (s[0] & 0xf8) == 0xf0 ? 4
                                            : 0;
    if (wanted == 0 || wanted > len)
        return 0;
    uint32_t c = wanted == 1 ? s[0] : s[0] & (0xffu >> (wanted + 1));
    for (size_t i = 1; i < wanted; i++) {
        if ((s[i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (s[i] & 0x3fu);
    }
    return c < smallest[wanted] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000) ? 0 : wanted;
}

static void sequences_agree_with_the_definition(void **state)
{
    static const unsigned char edges[] = {0x00, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0,
                                          0xbf, 0xc0, 0xc2, 0xe0, 0xf0, 0xff};

    (void)state;
    for (unsigned first = 0; first < 256; first++) {
        for (unsigned second = 0; second < 256; second++) {
            for (size_t i = 0; i < COUNT(edges) * COUNT(edges); i++) {
                unsigned char s[4] = {(unsigned char)first, (unsigned char)second,
                                      edges[i / COUNT(edges)], edges[i % COUNT(edges)]};
                for (size_t len = 1; len <= 4; len++) {
                    struct slice slice = {(const char *)s, len};
                    if (utf8_sequence_length(slice) != slow_sequence_length(s, len))
                        fail_msg("%02x %02x %02x %02x, %zu bytes", s[0], s[1], s[2], s[3], len);
                }
            }
        }
    }
}

static void texts_are_valid_or_invalid_as_a_whole(void **state)
{
    const struct {
        struct slice text;
        bool valid;
    } cases[] = {
        {SLICE(""), true},
        {SLICE("build / linux (22.04)"), true},
        {SLICE("gr\xc3\xbc\xc3\x9f \xf0\x9f\x9a\x80"), true},
        {SLICE("a\0b"), true},
        {SLICE("\xef\xbb\xbf"), true},  // byte order mark
        {SLICE("\xef\xbf\xbf"), true},  // U+FFFF, a noncharacter, is still a scalar value
        {SLICE("\xc0\xaf"), false},     // '/' overlong
        {SLICE("\xe0\x80\xaf"), false}, // longer
        {SLICE("\xf0\x80\x80\xaf"), false},
        {SLICE("\xc0\x80"), false},                 // "modified UTF-8" NUL
        {SLICE("\xed\xa0\x80"), false},             // U+D800
        {SLICE("\xed\xa0\xbd\xed\xb8\x80"), false}, // CESU-8 pair
        {SLICE("\xf4\x90\x80\x80"), false},         // U+110000
        {SLICE("\xf8\x88\x80\x80\x80"), false},     // five bytes
        {SLICE("\xfe"), false},
        {SLICE("\xff"), false},
        {SLICE("\x80"), false},
        {SLICE("ok\xe2\x82"), false}, // cut
        {SLICE("\xe2\x82\x20"), false},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        if (utf8_is_valid(cases[i].text) != cases[i].valid)
            fail_msg("case %zu", i);
    }
}

static void cutting_ends_between_characters(void **state)
{
    struct slice text = SLICE("a\xc3\xa9\xe2\x82\xac\xf0\x9f\x9a\x80z");
    static const size_t expected[] = {0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 11, 11};

    (void)state;
    for (size_t max = 0; max < COUNT(expected); max++) {
        struct slice cut = utf8_cut(text, max);
        assert_ptr_equal(cut.data, text.data);
        assert_int_equal(cut.len, expected[max]);
        assert_true(utf8_is_valid(cut));
    }
    assert_int_equal(utf8_cut(SLICE_EMPTY, 5).len, 0);
    assert_int_equal(utf8_cut(SLICE("\x80\x80\x80"), 2).len, 0);
}

static void each_bad_byte_becomes_a_replacement_character(void **state)
{
    const struct {
        struct slice in, out;
    } cases[] = {
        {SLICE(""), SLICE("")},
        {SLICE("plain \xe2\x82\xac"), SLICE("plain \xe2\x82\xac")},
        {SLICE("a\0b"), SLICE("a\xef\xbf\xbd"
                              "b")},
        {SLICE("\xff"), SLICE("\xef\xbf\xbd")},
        {SLICE("\xe2\x82"), SLICE("\xef\xbf\xbd\xef\xbf\xbd")},
        {SLICE("\xe2\x82(\xac"), SLICE("\xef\xbf\xbd\xef\xbf\xbd(\xef\xbf\xbd")},
        {SLICE("\xed\xa0\x80x"), SLICE("\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbdx")},
        {SLICE("\xc3\xc3\xa9"), SLICE("\xef\xbf\xbd\xc3\xa9")},
        {SLICE("\xef\xbf\xbd"), SLICE("\xef\xbf\xbd")},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        char out[64];
        size_t len = utf8_sanitize(cases[i].in, out);
        if (!slice_equals((struct slice){out, len}, cases[i].out))
            fail_msg("case %zu", i);
    }
}

static void sanitized_text_is_always_valid(void **state)
{
    uint32_t random = 1;

    (void)state;
    for (int round = 0; round < 20000; round++) {
        // Exactly as much room as documented, so that a sanitizer detects one byte more.
        size_t len = (size_t)(round % 24);
        char *in = malloc(len + 1), *out = malloc(3 * len + 1);
        assert_non_null(in);
        assert_non_null(out);
        for (size_t i = 0; i < len; i++) {
            random = random * 1664525u + 1013904223u;
            in[i] = (char)(random >> 24);
        }
        size_t written = utf8_sanitize((struct slice){in, len}, out);
        assert_true(written <= 3 * len);
        assert_true(utf8_is_valid((struct slice){out, written}));
        assert_true(written == 0 || memchr(out, '\0', written) == NULL);
        free(in);
        free(out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_scalar_value_is_one_valid_sequence),
        cmocka_unit_test(sequences_agree_with_the_definition),
        cmocka_unit_test(texts_are_valid_or_invalid_as_a_whole),
        cmocka_unit_test(cutting_ends_between_characters),
        cmocka_unit_test(each_bad_byte_becomes_a_replacement_character),
        cmocka_unit_test(sanitized_text_is_always_valid),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
