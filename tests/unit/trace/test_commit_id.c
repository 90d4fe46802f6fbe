// Ids of commits, and their first digits.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "ghatrace/trace/ids.h"

#define SHA1 "4f2c1a9b7e2a4c53918d0e7f6ab5c4d3e2f1a0b9"
#define SHA256 "4f2c1a9b7e2a4c53918d0e7f6ab5c4d3e2f1a0b94f2c1a9b7e2a4c53918d0e7f"

static struct commit_id id_of(const char *text)
{
    return commit_id_of(slice_from_string(text));
}

static void an_id_has_40_or_64_digits_of_either_case(void **state)
{
    (void)state;
    char text[COMMIT_ID_TEXT_SIZE];
    struct commit_id lower = id_of(SHA1), upper = id_of("4F2C1A9B7E2A4C53918D0E7F6AB5C4D3E2F1A0B9");
    assert_int_equal(lower.size, COMMIT_ID_SHA1_SIZE);
    assert_true(commit_id_equals(&lower, &upper));
    assert_string_equal(commit_id_text(&upper, text), SHA1);
    struct commit_id longer = id_of(SHA256);
    assert_int_equal(longer.size, COMMIT_ID_SHA256_SIZE);
    assert_string_equal(commit_id_text(&longer, text), SHA256);
    assert_false(commit_id_equals(&lower, &longer));
}

static void anything_else_is_none(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "", "main", "4f2c1a9", SHA1 "0", SHA256 "0", "4f2c1a9b7e2a4c53918d0e7f6ab5c4d3e2f1a0bg"};
    char text[COMMIT_ID_TEXT_SIZE];
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        const struct commit_id id = id_of(texts[i]);
        assert_int_equal(id.size, 0);
        assert_string_equal(commit_id_text(&id, text), "");
    }
}

static void a_prefix_has_seven_digits_at_least(void **state)
{
    (void)state;
    static const char *const refused[] = {"", "4f2c1a", "4f2c1ax", " 4f2c1a9", SHA256 "0"};
    struct commit_prefix prefix;
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++)
        assert_false(commit_prefix_parse(slice_from_string(refused[i]), &prefix));
    for (size_t digits = COMMIT_PREFIX_MIN; digits <= 64; digits++)
        assert_true(commit_prefix_parse((struct slice){SHA256, digits}, &prefix));
}

static void an_id_has_its_first_digits_and_no_others(void **state)
{
    (void)state;
    const struct commit_id id = id_of(SHA1);
    struct commit_prefix prefix;
    char text[sizeof SHA1];
    for (size_t digits = COMMIT_PREFIX_MIN; digits < sizeof SHA1; digits++) {
        memcpy(text, SHA1, sizeof SHA1);
        assert_true(commit_prefix_parse((struct slice){text, digits}, &prefix));
        assert_true(commit_prefix_has(&prefix, &id));
        text[digits - 1] = text[digits - 1] == '0' ? '1' : '0';
        assert_true(commit_prefix_parse((struct slice){text, digits}, &prefix));
        assert_false(commit_prefix_has(&prefix, &id));
    }
    assert_true(commit_prefix_parse(SLICE(SHA1 "4"), &prefix)); // of a longer id
    assert_false(commit_prefix_has(&prefix, &id));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_id_has_40_or_64_digits_of_either_case),
        cmocka_unit_test(anything_else_is_none),
        cmocka_unit_test(a_prefix_has_seven_digits_at_least),
        cmocka_unit_test(an_id_has_its_first_digits_and_no_others),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
