// Errors: texts, wrapping, cutting, one line.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "ghatrace/base/error.h"

static void every_code_has_a_text_of_its_own(void **state)
{
    (void)state;
    assert_string_equal(error_code_text(ERROR_NONE), "success");
    assert_string_equal(error_code_text(ERROR_MEMORY), "out of memory");
    assert_string_equal(error_code_text(ERROR_CLOSED), "closed");
    assert_string_equal(error_code_text((enum error_code)(-99)), "unknown error");
    for (int a = 0; a >= -13; a--) {
        for (int b = a - 1; b >= -13; b--)
            assert_string_not_equal(error_code_text((enum error_code)a),
                                    error_code_text((enum error_code)b));
    }
}

static void setting_an_error_returns_its_code(void **state)
{
    struct error error = {0};

    (void)state;
    assert_int_equal(error_set(&error, ERROR_IO, "write %s: %d", "file", 5), ERROR_IO);
    assert_int_equal(error.code, ERROR_IO);
    assert_string_equal(error.message, "write file: 5");
}

static void the_error_may_be_null(void **state)
{
    (void)state;
    assert_int_equal(error_set(NULL, ERROR_FULL, "full"), ERROR_FULL);
    assert_int_equal(error_wrap(NULL, "store"), ERROR_NONE);
}

static void wrapping_prepends_context_and_keeps_the_code(void **state)
{
    struct error error = {0};

    (void)state;
    (void)error_set(&error, ERROR_FULL, "map full");
    assert_int_equal(error_wrap(&error, "put span %d", 7), ERROR_FULL);
    assert_int_equal(error_wrap(&error, "store"), ERROR_FULL);
    assert_string_equal(error.message, "store: put span 7: map full");
}

static void wrapping_an_error_without_message_uses_the_text_of_its_code(void **state)
{
    struct error error = {.code = ERROR_TIMEOUT};

    (void)state;
    assert_int_equal(error_wrap(&error, "connect"), ERROR_TIMEOUT);
    assert_string_equal(error.message, "connect: timed out");
}

static void a_message_may_be_an_argument_of_the_new_one(void **state)
{
    struct error error = {0};

    (void)state;
    (void)error_set(&error, ERROR_IO, "disk gone");
    (void)error_set(&error, ERROR_BUSY, "again: %s", error.message);
    assert_string_equal(error.message, "again: disk gone");
    (void)error_wrap(&error, "[%s]", error.message);
    assert_string_equal(error.message, "[again: disk gone]: again: disk gone");
}

static void a_message_too_long_is_cut_at_its_end(void **state)
{
    struct error error = {0};
    char words[400];

    (void)state;
    memset(words, 'w', sizeof(words) - 1);
    words[sizeof(words) - 1] = '\0';
    (void)error_set(&error, ERROR_IO, "%s", words);
    assert_int_equal(strlen(error.message), sizeof(error.message) - 1);
    (void)error_set(&error, ERROR_IO, "inner");
    (void)error_wrap(&error, "%s", words);
    assert_int_equal(strlen(error.message), sizeof(error.message) - 1);
    words[253] = '\0';
    (void)error_set(&error, ERROR_IO, "inner");
    (void)error_wrap(&error, "%s", words);
    assert_string_equal(error.message + 253, ": ");
}

static void a_message_stays_one_line(void **state)
{
    struct error error = {0};

    (void)state;
    (void)error_set(&error, ERROR_IO, "open %s", "a\nb\x1b[31m\x7f");
    assert_string_equal(error.message, "open a?b?[31m?");
    (void)error_wrap(&error, "x\ry");
    assert_string_equal(error.message, "x?y: open a?b?[31m?");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_has_a_text_of_its_own),
        cmocka_unit_test(setting_an_error_returns_its_code),
        cmocka_unit_test(the_error_may_be_null),
        cmocka_unit_test(wrapping_prepends_context_and_keeps_the_code),
        cmocka_unit_test(wrapping_an_error_without_message_uses_the_text_of_its_code),
        cmocka_unit_test(a_message_may_be_an_argument_of_the_new_one),
        cmocka_unit_test(a_message_too_long_is_cut_at_its_end),
        cmocka_unit_test(a_message_stays_one_line),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
