// Durations: parsing, the exact form, and the short form for display.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ghatrace/base/time.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define UNTOUCHED ((duration_ns)-4711)

static void durations_are_a_number_and_a_unit(void **state)
{
    static const struct {
        const char *text;
        duration_ns duration; // UNTOUCHED: refused
    } cases[] = {
        {"0", 0},
        {"00", 0},
        {"0s", 0},
        {"10s", 10 * NS_PER_SECOND},
        {"010s", 10 * NS_PER_SECOND},
        {"1500ms", 1500 * NS_PER_MS},
        {"10m", 10 * NS_PER_MINUTE},
        {"1h", NS_PER_HOUR},
        {"6d", 6 * NS_PER_DAY},
        {"7us", 7000},
        {"7ns", 7},
        {"106751d", 106751 * NS_PER_DAY},
        {"9223372036854775807ns", INT64_MAX},
        {"106752d", UNTOUCHED},
        {"9223372036854775808ns", UNTOUCHED},
        {"9223372036854775807ms", UNTOUCHED},
        {"99999999999999999999s", UNTOUCHED},
        {"10", UNTOUCHED},
        {"", UNTOUCHED},
        {"s", UNTOUCHED},
        {"-10s", UNTOUCHED},
        {"+10s", UNTOUCHED},
        {"-0", UNTOUCHED},
        {"1.5s", UNTOUCHED},
        {"1h30m", UNTOUCHED},
        {"10 s", UNTOUCHED},
        {" 10s", UNTOUCHED},
        {"10s ", UNTOUCHED},
        {"10S", UNTOUCHED},
        {"10sec", UNTOUCHED},
        {"10w", UNTOUCHED},
        {"10M", UNTOUCHED},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        duration_ns duration = UNTOUCHED;
        bool valid = duration_parse(slice_from_string(cases[i].text), &duration);
        if (valid != (cases[i].duration != UNTOUCHED) || duration != cases[i].duration)
            fail_msg("\"%s\": %d, %lld", cases[i].text, valid, (long long)duration);
    }
}

static void the_exact_form_is_the_shortest(void **state)
{
    static const struct {
        duration_ns duration;
        const char *text;
    } cases[] = {
        {0, "0"},
        {NS_PER_SECOND, "1s"},
        {90 * NS_PER_SECOND, "90s"},
        {600 * NS_PER_SECOND, "10m"},
        {3600 * NS_PER_SECOND, "1h"},
        {24 * NS_PER_HOUR, "1d"},
        {25 * NS_PER_HOUR, "25h"},
        {1500 * NS_PER_MS, "1500ms"},
        {1500, "1500ns"},
        {2000, "2us"},
        {INT64_MAX, "9223372036854775807ns"},
        {-10 * NS_PER_SECOND, "-10s"},
        {INT64_MIN, "-9223372036854775808ns"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        char text[TIMESTAMP_TEXT_SIZE];
        duration_ns back;
        assert_string_equal(duration_format(cases[i].duration, text), cases[i].text);
        if (cases[i].duration < 0)
            continue;
        assert_true(duration_parse(slice_from_string(text), &back));
        assert_true(back == cases[i].duration);
    }
}

static void the_short_form_has_two_units_at_most(void **state)
{
    static const struct {
        duration_ns duration;
        const char *text;
    } cases[] = {
        {0, "0s"},
        {1, "0s"},
        {499999, "0s"},
        {500000, "1ms"},
        {850 * NS_PER_MS, "850ms"},
        {999499999, "999ms"},
        {999500000, "1s"},
        {1049 * NS_PER_MS, "1s"},
        {1050 * NS_PER_MS, "1.1s"},
        {2400 * NS_PER_MS, "2.4s"},
        {12 * NS_PER_SECOND, "12s"},
        {9949 * NS_PER_MS, "9.9s"},
        {9950 * NS_PER_MS, "10s"},
        {45400 * NS_PER_MS, "45s"},
        {59500 * NS_PER_MS, "1m 0s"},
        {60 * NS_PER_SECOND, "1m 0s"},
        {65 * NS_PER_SECOND, "1m 5s"},
        {360 * NS_PER_SECOND, "6m 0s"},
        {72 * NS_PER_SECOND, "1m 12s"},
        {605 * NS_PER_SECOND, "10m 5s"},
        {3599 * NS_PER_SECOND, "59m 59s"},
        {3599500 * NS_PER_MS, "1h 0m"},
        {3 * NS_PER_HOUR + 5 * NS_PER_MINUTE, "3h 5m"},
        {24 * NS_PER_HOUR - NS_PER_MINUTE, "23h 59m"},
        {24 * NS_PER_HOUR - NS_PER_SECOND, "1d 0h"},
        {6 * NS_PER_DAY + 2 * NS_PER_HOUR, "6d 2h"},
        {INT64_MAX, "106752d 0h"},
        {-72 * NS_PER_SECOND, "-1m 12s"},
        {-1, "0s"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        char text[TIMESTAMP_TEXT_SIZE];
        assert_string_equal(duration_format_short(cases[i].duration, text), cases[i].text);
    }
}

static void the_most_negative_duration_has_a_short_form(void **state)
{
    char text[TIMESTAMP_TEXT_SIZE];

    (void)state;
    assert_string_equal(duration_format_short(INT64_MIN, text), "-106752d 0h");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(durations_are_a_number_and_a_unit),
        cmocka_unit_test(the_exact_form_is_the_shortest),
        cmocka_unit_test(the_short_form_has_two_units_at_most),
        cmocka_unit_test(the_most_negative_duration_has_a_short_form),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
