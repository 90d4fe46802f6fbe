// Hexadecimal: reads either case, writes lower case.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "ghatrace/base/slice.h"

static void every_byte_round_trips(void **state)
{
    uint8_t bytes[256], back[256];
    char text[513];

    (void)state;
    for (size_t i = 0; i < 256; i++)
        bytes[i] = (uint8_t)i;
    hex_encode(bytes, sizeof(bytes), text);
    assert_int_equal(strlen(text), 512);
    assert_int_equal(strncmp(text, "000102030405060708090a0b0c0d0e0f10", 34), 0);
    assert_string_equal(text + 508, "feff");
    assert_true(hex_decode(text, 512, back, sizeof(back)));
    assert_memory_equal(bytes, back, sizeof(bytes));
}

static void no_bytes_give_an_empty_text(void **state)
{
    char text[1] = "x";

    (void)state;
    hex_encode(NULL, 0, text);
    assert_string_equal(text, "");
    assert_true(hex_decode("", 0, NULL, 0));
}

static void upper_case_is_read(void **state)
{
    uint8_t bytes[2];

    (void)state;
    assert_true(hex_decode("AbfF", 4, bytes, 2));
    assert_int_equal(bytes[0], 0xab);
    assert_int_equal(bytes[1], 0xff);
}

static void exactly_the_requested_digits_are_read(void **state)
{
    static const char *const bad[] = {"abc",  "ab",   "abcdef", "abcg", "abc:", "abc/", "abc@",
                                      "abc`", "abcG", " abc",   "+abc", "0xab", "ab c"};
    uint8_t bytes[4];

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        if (hex_decode(bad[i], strlen(bad[i]), bytes, 2))
            fail_msg("\"%s\"", bad[i]);
    }
    assert_false(hex_decode("", 0, bytes, 2));
    assert_false(hex_decode("abcd", 4, bytes, SIZE_MAX / 2 + 3));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_byte_round_trips),
        cmocka_unit_test(no_bytes_give_an_empty_text),
        cmocka_unit_test(upper_case_is_read),
        cmocka_unit_test(exactly_the_requested_digits_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
