// base64, as in passwords.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ghatrace/base/digest.h"

static void texts_are_decoded(void **state)
{
    static const char *const cases[][2] = {// RFC 4648 10
                                           {"", ""},
                                           {"Zg==", "f"},
                                           {"Zm8=", "fo"},
                                           {"Zm9v", "foo"},
                                           {"Zm9vYmFy", "foobar"}};
    char out[16];
    size_t len;
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_true(base64_decode(slice_from_string(cases[i][0]), out, sizeof out, &len));
        assert_true(slice_equals((struct slice){out, len}, slice_from_string(cases[i][1])));
    }
}

static void invalid_or_too_long_base64_is_refused(void **state)
{
    static const char *const cases[] = {"Zg=", "Z", "Zg=*", "\xc3\xa4\xc3\xa4",
                                        "Zm9vYmFyZm9vYmFyZm9vYmFy"};
    char out[16];
    size_t len;
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_false(base64_decode(slice_from_string(cases[i]), out, sizeof out, &len));
}

static void what_is_encoded_can_be_decoded(void **state)
{
    static const char *const cases[][2] = {
        {"", ""}, {"f", "Zg=="}, {"fo", "Zm8="}, {"foo", "Zm9v"}, {"\xff\xfe\xfd\xfc", "//79/A=="},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[BASE64_SIZE(4)];
        size_t len = base64_encode(slice_from_string(cases[i][0]), text);
        assert_int_equal(len, strlen(cases[i][1]));
        assert_string_equal(text, cases[i][1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_are_decoded),
        cmocka_unit_test(what_is_encoded_can_be_decoded),
        cmocka_unit_test(invalid_or_too_long_base64_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
