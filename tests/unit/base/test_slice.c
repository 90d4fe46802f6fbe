// Slices: comparing, searching, trimming, numbers.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <limits.h>

#include "ghatrace/base/slice.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static struct slice text(const char *s)
{
    return slice_from_string(s);
}

static void absent_and_empty_are_equal(void **state)
{
    (void)state;
    assert_true(slice_equals(SLICE_EMPTY, SLICE("")));
    assert_true(slice_equals(text(NULL), text("")));
    assert_false(slice_equals(SLICE_EMPTY, SLICE("a")));
    assert_true(slice_equals_ignoring_case(SLICE_EMPTY, SLICE("")));
    assert_int_equal(slice_compare(SLICE_EMPTY, SLICE("")), 0);
    assert_true(slice_starts_with(SLICE_EMPTY, SLICE_EMPTY));
    assert_true(slice_ends_with(SLICE_EMPTY, SLICE_EMPTY));
    assert_int_equal(slice_find(SLICE_EMPTY, SLICE_EMPTY), 0);
    assert_int_equal(slice_trim(SLICE_EMPTY).len, 0);
}

static void bytes_compare_as_unsigned_and_prefixes_sort_first(void **state)
{
    static const char *const sorted[] = {"", "a", "a\x01", "aa", "ab", "b", "\x7f", "\xff"};

    (void)state;
    for (size_t i = 0; i < COUNT(sorted); i++) {
        for (size_t j = 0; j < COUNT(sorted); j++) {
            int order = slice_compare(text(sorted[i]), text(sorted[j]));
            assert_int_equal((order > 0) - (order < 0), (i > j) - (i < j));
        }
    }
}

static void case_is_ignored_for_ascii_letters_only(void **state)
{
    (void)state;
    assert_true(slice_equals_ignoring_case(SLICE("Content-TYPE"), SLICE("content-type")));
    assert_true(slice_equals_ignoring_case(SLICE("AZaz"), SLICE("azAZ")));
    assert_false(slice_equals_ignoring_case(SLICE("a"), SLICE("ab")));
    assert_false(slice_equals_ignoring_case(SLICE("ab"), SLICE("ac")));
    // The neighbours of the letters, and Latin-1 letters.
    assert_false(slice_equals_ignoring_case(SLICE("@"), SLICE("`")));
    assert_false(slice_equals_ignoring_case(SLICE("["), SLICE("{")));
    assert_false(slice_equals_ignoring_case(SLICE("\xc4"), SLICE("\xe4")));
}

static void prefixes_suffixes_and_positions_are_found(void **state)
{
    (void)state;
    assert_true(slice_starts_with(SLICE("sha256=ab"), SLICE("sha256=")));
    assert_false(slice_starts_with(SLICE("sha"), SLICE("sha256=")));
    assert_true(slice_ends_with(SLICE("a.yml"), SLICE(".yml")));
    assert_true(slice_ends_with(SLICE(".yml"), SLICE(".yml")));
    assert_false(slice_ends_with(SLICE("yml"), SLICE(".yml")));
    assert_int_equal(slice_find(SLICE("a/b/c"), SLICE("/")), 1);
    assert_int_equal(slice_find(SLICE("aab"), SLICE("ab")), 1);
    assert_int_equal(slice_find(SLICE("aab"), SLICE("aabb")), -1);
    assert_int_equal(slice_find(SLICE("aab"), SLICE("c")), -1);
    assert_int_equal(slice_find(SLICE("x\0y"), SLICE("\0y")), 1);
}

static void trimming_removes_blanks_and_tabs_at_both_ends(void **state)
{
    (void)state;
    assert_true(slice_equals(slice_trim(SLICE(" \t a b\t ")), SLICE("a b")));
    assert_true(slice_equals(slice_trim(SLICE(" \t ")), SLICE("")));
    assert_true(slice_equals(slice_trim(SLICE("\na\n")), SLICE("\na\n")));
}

static void integers_are_parsed_whole_or_refused(void **state)
{
    static const struct {
        const char *text;
        bool valid;
        long long value;
    } cases[] = {
        {"0", true, 0},
        {"-0", true, 0},
        {"007", true, 7},
        {"33714470481", true, 33714470481},
        {"-12", true, -12},
        {"9223372036854775807", true, LLONG_MAX},
        {"-9223372036854775808", true, LLONG_MIN},
        {"-9223372036854775807", true, -LLONG_MAX},
        {"000000000000000000000000000000009", true, 9},
        {"9223372036854775808", false, 0},
        {"-9223372036854775809", false, 0},
        {"18446744073709551616", false, 0},
        {"99999999999999999999", false, 0},
        {"", false, 0},
        {"-", false, 0},
        {"--1", false, 0},
        {"+1", false, 0},
        {" 1", false, 0},
        {"1 ", false, 0},
        {"1.0", false, 0},
        {"0x1", false, 0},
        {"1e3", false, 0},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        long long value = 4711;
        if (slice_parse_int64(text(cases[i].text), &value) != cases[i].valid)
            fail_msg("\"%s\"", cases[i].text);
        assert_true(value == (cases[i].valid ? cases[i].value : 4711));
    }
}

static void a_part_is_found_in_any_case(void **state)
{
    (void)state;
    assert_true(slice_contains_ignoring_case(text("GPU-A100"), text("a10")));
    assert_true(slice_contains_ignoring_case(text("gpu"), text("GPU")));
    assert_true(slice_contains_ignoring_case(text("gpu"), text("")));
    assert_true(slice_contains_ignoring_case(text(""), text("")));
    assert_true(slice_contains_ignoring_case(SLICE_EMPTY, SLICE_EMPTY));
    assert_false(slice_contains_ignoring_case(SLICE_EMPTY, text("gpu")));
    assert_false(slice_contains_ignoring_case(text("gpu"), text("gpus")));
    assert_false(slice_contains_ignoring_case(text("gpu"), text("pg")));
    assert_true(slice_contains_ignoring_case(text("gpgpgpu"), text("GPGPU")));
    assert_false(slice_contains_ignoring_case(text("gpgpgpu"), text("gpgpup")));
}

// Compared at each place anew these would be 50 thousand million letters.
static void repetitions_are_searched_in_linear_time(void **state)
{
    enum { TEXT = 4 << 20, NEEDLE = 4096, LONGER = 5000 };
    static char s[TEXT + 1], needle[LONGER];
    (void)state;
    memset(s, 'a', TEXT);
    memset(needle, 'A', sizeof needle);
    s[TEXT] = 'b';
    needle[NEEDLE - 1] = 'B';
    assert_true(
        slice_contains_ignoring_case((struct slice){s, sizeof s}, (struct slice){needle, NEEDLE}));
    assert_false(
        slice_contains_ignoring_case((struct slice){s, TEXT}, (struct slice){needle, NEEDLE}));
    needle[NEEDLE - 1] = 'a';
    needle[LONGER - 1] = 'b';
    const struct slice end = {s + TEXT + 1 - 6000, 6000};
    assert_true(slice_contains_ignoring_case(end, (struct slice){needle, LONGER}));
    assert_false(slice_contains_ignoring_case((struct slice){end.data, end.len - 1},
                                              (struct slice){needle, LONGER}));
}

// Compared with the definition, for all texts of few letters.
static void a_text_contains_what_it_has_at_some_place(void **state)
{
    (void)state;
    for (unsigned bits = 0; bits < 1U << 14; bits++) {
        char s[9], needle[5];
        size_t len = 1 + bits % 5;
        for (size_t i = 0; i < sizeof s; i++)
            s[i] = bits >> i & 1 ? 'a' : 'B';
        for (size_t i = 0; i < sizeof needle; i++)
            needle[i] = bits >> (9 + i) & 1 ? 'A' : 'b';
        bool is_there = false;
        for (size_t at = 0; at + len <= sizeof s; at++)
            is_there = is_there || slice_equals_ignoring_case((struct slice){s + at, len},
                                                              (struct slice){needle, len});
        assert_int_equal(is_there, slice_contains_ignoring_case((struct slice){s, sizeof s},
                                                                (struct slice){needle, len}));
    }
}

static void the_distance_is_the_number_of_changed_letters(void **state)
{
    static const struct {
        const char *a, *b;
        size_t distance;
    } cases[] = {
        {"", "", 0},
        {"gpu", "GPU", 0},
        {"gpu", "", 3},
        {"", "gpu", 3},
        {"gpu", "cpu", 1},
        {"gpu", "gpus", 1},
        {"linux", "linxu", 2},
        {"kitten", "sitting", 3},
        {"abc", "xyz", 3},
        {"steps", "steps-", 1},
        {"a", "bcdefghijk", 10},
    };
    char longer[SLICE_COMPARED_MAX + 2];
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        assert_int_equal(slice_edit_distance(text(cases[i].a), text(cases[i].b)),
                         cases[i].distance);
    memset(longer, 'x', sizeof longer);
    assert_int_equal(slice_edit_distance((struct slice){longer, SLICE_COMPARED_MAX}, text("")),
                     SLICE_COMPARED_MAX);
    assert_int_equal(slice_edit_distance((struct slice){longer, SLICE_COMPARED_MAX + 1}, text("")),
                     SIZE_MAX);
    assert_int_equal(slice_edit_distance(text(""), (struct slice){longer, SLICE_COMPARED_MAX + 1}),
                     SIZE_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(absent_and_empty_are_equal),
        cmocka_unit_test(bytes_compare_as_unsigned_and_prefixes_sort_first),
        cmocka_unit_test(case_is_ignored_for_ascii_letters_only),
        cmocka_unit_test(prefixes_suffixes_and_positions_are_found),
        cmocka_unit_test(trimming_removes_blanks_and_tabs_at_both_ends),
        cmocka_unit_test(integers_are_parsed_whole_or_refused),
        cmocka_unit_test(a_part_is_found_in_any_case),
        cmocka_unit_test(repetitions_are_searched_in_linear_time),
        cmocka_unit_test(a_text_contains_what_it_has_at_some_place),
        cmocka_unit_test(the_distance_is_the_number_of_changed_letters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
