// Untrusted text: cleaning for a terminal, width, truncation.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ghatrace/base/memory.h"
#include "ghatrace/base/utf8.h"
#include "ghatrace/term/text.h"

static struct arena arena;

static int set_up(void **state)
{
    (void)state;
    arena_init(&arena, 4096);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    arena_release(&arena);
    return 0;
}

static struct slice clean(struct slice raw, bool unicode)
{
    struct slice out;
    assert_true(text_clean(&arena, raw, unicode, &out));
    return out;
}

static void assert_text(struct slice actual, const char *expected)
{
    assert_int_equal(actual.len, strlen(expected));
    assert_memory_equal(actual.data, expected, actual.len);
}

static const struct {
    const char *raw;
    const char *unicode;
    const char *ascii;
    size_t width;
} cases[] = {
    {"build / linux", "build / linux", "build / linux", 13},
    {"  padded\t", "padded\uFFFD", "padded?", 7},
    {"", "", "", 0},
    {"   ", "", "", 0},
    // controls
    {"a\x1b[31mb", "a\uFFFD[31mb", "a?[31mb", 7},
    {"\x1b]0;title\x07", "\uFFFD]0;title\uFFFD", "?]0;title?", 10},
    {"a\nb\rc\x7f", "a\uFFFDb\uFFFDc\uFFFD", "a?b?c?", 6},
    {"c1 \xc2\x9b"
     "31m",
     "c1 \uFFFD31m", "c1 ?31m", 7}, // CSI in one character
    {"raw c1 \x9b", "raw c1 \uFFFD", "raw c1 ?", 8},
    {"line\u2028sep", "line\uFFFDsep", "line?sep", 8},
    // what turns the direction of writing
    {"a\u202egpj.exe", "a\uFFFDgpj.exe", "a?gpj.exe", 9},
    {"\u2066x\u2069\u200f\u061c", "\uFFFDx\uFFFD\uFFFD\uFFFD", "?x???", 5},
    // not UTF-8
    {"\xff\xfe", "\uFFFD\uFFFD", "??", 2},
    {"\xc0\xaf", "\uFFFD\uFFFD", "??", 2},            // overlong
    {"\xed\xa0\x80", "\uFFFD\uFFFD\uFFFD", "???", 3}, // surrogate
    {"cut \xe6\x97", "cut \uFFFD\uFFFD", "cut ??", 6},
    // wide
    {"日本語", "日本語", "???", 6},
    {"한국어", "한국어", "???", 6},
    {"🚀 go", "🚀 go", "? go", 5},
    {"ｆｕｌｌ", "ｆｕｌｌ", "????", 8},
    {"\u3000x\u00a0y\u2003z", "x y z", "x y z", 5}, // blanks of all sizes
    // invisible
    {"\u26a0\ufe0f hot", "\u26a0 hot", "? hot", 5},         // selector
    {"a\u200bb\u200cc\u200dd\ufeffe", "abcde", "abcde", 5}, // zero-width
    {"soft\u00adhyphen", "softhyphen", "softhyphen", 10},
    {"\U000e0041\U000e007ftag", "tag", "tag", 3},
    {"\U000f0000", "\uFFFD", "?", 1}, // private
    // marks
    {"e\u0301te\u0301", "e\u0301te\u0301", "ete", 3},
    {"\u0301\u0302x", "x", "x", 1}, // on nothing
    {" \u0301x", "x", "x", 1},      // on a blank that is removed
    {"\u2003\u0301 x y ", "x y", "x y", 3},
    {"z\u0300\u0301\u0302\u0303\u0304\u0305", "z\u0300\u0301\u0302", "z", 1},
    {"a\u0300\u0300\u0300\u0300b\u0300", "a\u0300\u0300\u0300b\u0300", "ab", 2},
    {"\u0e17\u0e35\u0e48", "\u0e17\u0e35\u0e48", "?", 1}, // Thai vowel and tone
};

static void text_of_untrusted_clients_is_made_harmless_and_measured(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct slice raw = slice_from_string(cases[i].raw);
        assert_text(clean(raw, true), cases[i].unicode);
        assert_text(clean(raw, false), cases[i].ascii);
        assert_int_equal(text_width(clean(raw, true)), cases[i].width);
    }
}

static void a_nul_in_a_name_is_replaced(void **state)
{
    (void)state;
    assert_text(clean((struct slice){"a\0b", 3}, true), "a\uFFFDb");
}

static void no_code_point_becomes_a_control_character(void **state)
{
    (void)state;
    for (uint32_t code_point = 0; code_point <= 0x10ffff; code_point++) {
        if (code_point >= 0xd800 && code_point <= 0xdfff)
            continue;
        char raw[4];
        struct slice out = clean((struct slice){raw, utf8_encode(code_point, raw)}, true);
        assert_true(utf8_is_valid(out));
        for (size_t i = 0; i < out.len; i++) {
            assert_true((uint8_t)out.data[i] >= 0x20 && out.data[i] != 0x7f);
            // C1 as UTF-8 is C2 80 .. C2 9F.
            if (i > 0 && (uint8_t)out.data[i - 1] == 0xc2)
                assert_true((uint8_t)out.data[i] >= 0xa0);
        }
        assert_true(text_width(out) <= 2);
        arena_clear(&arena);
    }
}

static void ascii_text_has_nothing_but_printable_ascii(void **state)
{
    (void)state;
    for (uint32_t code_point = 0; code_point <= 0xffff; code_point++) {
        if (code_point >= 0xd800 && code_point <= 0xdfff)
            continue;
        char raw[4];
        struct slice out = clean((struct slice){raw, utf8_encode(code_point, raw)}, false);
        assert_true(out.len <= 1);
        if (out.len == 1)
            assert_in_range(out.data[0], 0x20, 0x7e);
        arena_clear(&arena);
    }
}

static void a_name_of_megabytes_is_cut(void **state)
{
    (void)state;
    static char raw[1 << 20];
    memset(raw, 'x', sizeof(raw));
    assert_int_equal(clean((struct slice){raw, sizeof(raw)}, true).len, 4096);
}

static void beginnings_and_ends_are_cut_between_characters(void **state)
{
    (void)state;
    struct slice text = clean(slice_from_string("a日e\u0301本z"), true);

    assert_int_equal(text_width(text), 7);
    static const char *const prefixes[] = {
        "", "a", "a", "a日", "a日e\u0301", "a日e\u0301", "a日e\u0301本", "a日e\u0301本z"};
    static const char *const suffixes[] = {
        "", "z", "z", "本z", "e\u0301本z", "e\u0301本z", "日e\u0301本z", "a日e\u0301本z"};
    for (size_t columns = 0; columns <= 7; columns++) {
        assert_text(text_prefix(text, columns), prefixes[columns]);
        assert_text(text_suffix(text, columns), suffixes[columns]);
    }
    assert_text(text_prefix(text, 1000), "a日e\u0301本z");
    assert_text(text_suffix(text, 1000), "a日e\u0301本z");
}

static void refused_memory_is_reported(void **state)
{
    (void)state;
    struct arena empty;
    struct slice out;

    arena_init(&empty, 64);
    memory_fail_after(0);
    assert_false(text_clean(&empty, SLICE("x"), true, &out));
    memory_fail_after(-1);
    arena_release(&empty);
}

static void widths_follow_the_unicode_tables(void **state)
{
    (void)state;
    static const struct {
        uint32_t code_point;
        unsigned width;
    } samples[] = {
        {'a', 1},     {0xe9, 1},    {0x2ff, 1},   {0x300, 0},   {0x36f, 0},   {0x370, 1},
        {0x1100, 2},  {0x115f, 2},  {0x1160, 0},  {0x11ff, 0},  {0x1200, 1},  {0x2588, 1},
        {0x25fc, 1},  {0x25fd, 2},  {0x3042, 2},  {0x4e00, 2},  {0xa960, 2},  {0xac00, 2},
        {0xd7a3, 2},  {0xff5e, 2},  {0xff61, 1},  {0xfffd, 1},  {0x1f1e6, 1}, {0x1f5fa, 1},
        {0x1f600, 2}, {0x1f680, 2}, {0x20000, 2}, {0x3fffd, 2}, {0x40000, 1}, {0x903, 1},
        {0x600, 1},   {0xd7b0, 0},  {0x378, 1},   {0xe000, 1},
    };
    for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++)
        assert_int_equal(text_code_point_width(samples[i].code_point), samples[i].width);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(text_of_untrusted_clients_is_made_harmless_and_measured),
        cmocka_unit_test(a_nul_in_a_name_is_replaced),
        cmocka_unit_test(no_code_point_becomes_a_control_character),
        cmocka_unit_test(ascii_text_has_nothing_but_printable_ascii),
        cmocka_unit_test(a_name_of_megabytes_is_cut),
        cmocka_unit_test(beginnings_and_ends_are_cut_between_characters),
        cmocka_unit_test(refused_memory_is_reported),
        cmocka_unit_test(widths_follow_the_unicode_tables),
    };
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
