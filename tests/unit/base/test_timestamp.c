// Points in time: RFC 3339 and HTTP-date, read and written.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <time.h>

#include "ghatrace/base/time.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define UNTOUCHED ((timestamp_ns)-4711)
#define S NS_PER_SECOND
#define T_2023 (INT64_C(1697191887) * S) // 2023-10-13T10:11:27Z

struct parse_case {
    const char *text;
    timestamp_ns time; // UNTOUCHED: refused
};

static void check_cases(const struct parse_case *cases, size_t count,
                        bool (*parse)(struct slice, timestamp_ns *))
{
    for (size_t i = 0; i < count; i++) {
        timestamp_ns time = UNTOUCHED;
        bool valid = parse(slice_from_string(cases[i].text), &time);
        if (valid != (cases[i].time != UNTOUCHED) || time != cases[i].time)
            fail_msg("\"%s\": %d, %lld", cases[i].text, valid, (long long)time);
    }
}

static void the_forms_in_payloads_are_read(void **state)
{
    static const struct parse_case cases[] = {
        {"2023-10-13T10:11:27Z", T_2023},
        {"2022-08-09T10:40:59.000Z", INT64_C(1660041659) * S},
        {"2023-10-13T02:11:27.000-08:00", T_2023},
        {"2023-10-13T06:11:27-04:00", T_2023},
        {"2023-10-13T10:11:27+00:00", T_2023},
        {"2023-10-13T10:11:27-00:00", T_2023},
        {"2023-10-13T15:56:27+05:45", T_2023},
        {"2018-04-25 20:42:10", INT64_C(1524688930) * S},
        {"2018-04-25T20:42:10", INT64_C(1524688930) * S},
        {"2023-10-13t10:11:27z", T_2023},
        {"2026-09-03T04:16:57.569Z", INT64_C(1788409017569) * NS_PER_MS},
    };

    (void)state;
    check_cases(cases, COUNT(cases), timestamp_parse_rfc3339);
}

static void fractions_of_any_length_are_cut_to_nanoseconds(void **state)
{
    static const struct parse_case cases[] = {
        {"2023-10-13T10:11:27.1Z", T_2023 + 100000000},
        {"2023-10-13T10:11:27.123456789Z", T_2023 + 123456789},
        {"2023-10-13T10:11:27.1234567899999Z", T_2023 + 123456789},
        {"2023-10-13T10:11:27.0000000009Z", T_2023},
        {"2023-10-13T10:11:27.5", T_2023 + 500000000},
        {"2023-10-13T10:11:27.5+01:00", T_2023 - 3600 * S + 500000000},
        {"2023-10-13T10:11:27.Z", UNTOUCHED},
        {"2023-10-13T10:11:27.", UNTOUCHED},
        {"2023-10-13T10:11:27,5Z", UNTOUCHED},
        {"2023-10-13T10:11:27.5.5Z", UNTOUCHED},
    };

    (void)state;
    check_cases(cases, COUNT(cases), timestamp_parse_rfc3339);
}

static void invalid_dates_are_refused(void **state)
{
    static const struct parse_case cases[] = {
        {"2024-02-29T00:00:00Z", INT64_C(1709164800) * S},
        {"2000-02-29T00:00:00Z", INT64_C(951782400) * S},
        {"2023-02-29T00:00:00Z", UNTOUCHED},
        {"2100-02-29T00:00:00Z", UNTOUCHED},
        {"2100-02-28T00:00:00Z", INT64_C(4107456000) * S},
        {"2100-03-01T00:00:00Z", INT64_C(4107542400) * S},
        {"2023-04-31T00:00:00Z", UNTOUCHED},
        {"2023-01-31T00:00:00Z", INT64_C(1675123200) * S},
        {"2023-01-32T00:00:00Z", UNTOUCHED},
        {"2023-00-01T00:00:00Z", UNTOUCHED},
        {"2023-13-01T00:00:00Z", UNTOUCHED},
        {"2023-01-00T00:00:00Z", UNTOUCHED},
        {"2023-01-01T24:00:00Z", UNTOUCHED},
        {"2023-01-01T23:60:00Z", UNTOUCHED},
        {"2023-01-01T23:59:61Z", UNTOUCHED},
        {"2023-01-01T23:59:59+24:00", UNTOUCHED},
        {"2023-01-01T23:59:59+23:60", UNTOUCHED},
        {"2023-01-01T00:00:00+23:59", (INT64_C(1672531200) - 86340) * S},
        {"2023-01-01T00:00:00-23:59", (INT64_C(1672531200) + 86340) * S},
    };

    (void)state;
    check_cases(cases, COUNT(cases), timestamp_parse_rfc3339);
}

static void a_leap_second_is_the_second_after(void **state)
{
    static const struct parse_case cases[] = {
        {"2016-12-31T23:59:60Z", INT64_C(1483228800) * S},
        {"2016-12-31T15:59:60-08:00", INT64_C(1483228800) * S},
        {"2016-12-31T23:59:60.5Z", INT64_C(1483228800) * S + 500000000},
    };

    (void)state;
    check_cases(cases, COUNT(cases), timestamp_parse_rfc3339);
}

static void zero_values_in_any_form_are_unknown(void **state)
{
    static const struct parse_case cases[] = {
        {"0001-01-01T00:00:00Z", TIMESTAMP_UNKNOWN},
        {"0000-01-01T00:00:00Z", TIMESTAMP_UNKNOWN},
        {"1601-01-01T00:00:00Z", TIMESTAMP_UNKNOWN},
        {"1899-12-31T00:00:00Z", TIMESTAMP_UNKNOWN},
        {"1969-12-31T23:59:59.999Z", TIMESTAMP_UNKNOWN},
        {"1970-01-01T00:00:00Z", TIMESTAMP_UNKNOWN},
        {"1970-01-01T00:30:00+01:00", TIMESTAMP_UNKNOWN},
        {"1970-01-01T00:00:01Z", S},
        // Even a zero value must be a valid date.
        {"0000-00-00T00:00:00Z", UNTOUCHED},
        {"0001-02-29T00:00:00Z", UNTOUCHED},
    };

    (void)state;
    check_cases(cases, COUNT(cases), timestamp_parse_rfc3339);
}

static void times_beyond_64_bits_are_refused(void **state)
{
    static const struct parse_case cases[] = {
        {"2261-12-31T23:59:60.999999999-23:59", INT64_C(9214646400) * S + 86340 * S + 999999999},
        {"2262-01-01T00:00:00Z", UNTOUCHED},
        {"9999-12-31T23:59:59Z", UNTOUCHED},
        {"10000-01-01T00:00:00Z", UNTOUCHED},
    };

    (void)state;
    check_cases(cases, COUNT(cases), timestamp_parse_rfc3339);
}

static void anything_else_is_refused(void **state)
{
    static const struct parse_case cases[] = {
        {"", UNTOUCHED},
        {"now", UNTOUCHED},
        {"1697191887", UNTOUCHED},
        {"2023-10-13", UNTOUCHED},
        {"2023-10-13T10:11Z", UNTOUCHED},
        {"2023-10-13T10:11:27Zx", UNTOUCHED},
        {"2023-10-13T10:11:27 Z", UNTOUCHED},
        {" 2023-10-13T10:11:27Z", UNTOUCHED},
        {"2023-10-13T10:11:27Z ", UNTOUCHED},
        {"2023-10-13  10:11:27Z", UNTOUCHED},
        {"2023-10-13_10:11:27Z", UNTOUCHED},
        {"2023/10/13T10:11:27Z", UNTOUCHED},
        {"2023-1-13T10:11:27Z", UNTOUCHED},
        {"23-10-13T10:11:27Z", UNTOUCHED},
        {"-023-10-13T10:11:27Z", UNTOUCHED},
        {"+023-10-13T10:11:27Z", UNTOUCHED},
        {"2023-10-13T1:11:27Z", UNTOUCHED},
        {"2023-10-13T10:11:27+0100", UNTOUCHED},
        {"2023-10-13T10:11:27+01", UNTOUCHED},
        {"2023-10-13T10:11:27+1:00", UNTOUCHED},
        {"2023-10-13T10:11:27+01:00Z", UNTOUCHED},
        {"2023-10-13T10:11:27 UTC", UNTOUCHED},
        {"2023-10-13T10:11:27+", UNTOUCHED},
        {"20231013T101127Z", UNTOUCHED},
    };

    (void)state;
    check_cases(cases, COUNT(cases), timestamp_parse_rfc3339);
}

static void no_prefix_of_a_time_is_read_past_its_end(void **state)
{
    static const char text[] = "2023-10-13T10:11:27.123+05:45";

    (void)state;
    for (size_t len = 0; len < sizeof(text) - 1; len++) {
        timestamp_ns time;
        // Without an offset, and with any number of fraction digits, a time is complete.
        bool complete = len == 19 || (len >= 21 && len <= 23);
        assert_true(timestamp_parse_rfc3339((struct slice){text, len}, &time) == complete);
    }
    timestamp_ns time;
    assert_false(timestamp_parse_rfc3339(SLICE("2023-10-13T10:11:27\0"), &time));
    assert_false(timestamp_parse_rfc3339(SLICE("2023\0-10-13T10:11:27Z"), &time));
}

static void every_day_agrees_with_the_c_library(void **state)
{
    char text[TIMESTAMP_TEXT_SIZE], expected[40];

    (void)state;
    for (int64_t day = 1; day < 106600; day++) {
        time_t seconds = (time_t)(day * 86400 + day % 86400);
        struct tm civil;
        timestamp_ns time;
        assert_non_null(gmtime_r(&seconds, &civil));
        assert_true(strftime(expected, sizeof(expected), "%Y-%m-%dT%H:%M:%SZ", &civil) != 0);
        timestamp_format_rfc3339(seconds * S, false, text);
        assert_string_equal(text, expected);
        assert_true(timestamp_parse_rfc3339(slice_from_string(text), &time));
        assert_true(time == seconds * S);
    }
}

static void milliseconds_are_written_on_request(void **state)
{
    char text[TIMESTAMP_TEXT_SIZE];

    (void)state;
    timestamp_format_rfc3339(INT64_C(1788409017569) * NS_PER_MS, true, text);
    assert_string_equal(text, "2026-09-03T04:16:57.569Z");
    assert_ptr_equal(timestamp_format_rfc3339(T_2023 + 999999999, false, text), text);
    assert_string_equal(text, "2023-10-13T10:11:27Z");
    assert_string_equal(timestamp_format_rfc3339(T_2023 + 999999, true, text),
                        "2023-10-13T10:11:27.000Z");
    assert_string_equal(timestamp_format_rfc3339(0, true, text), "1970-01-01T00:00:00.000Z");
    assert_string_equal(timestamp_format_rfc3339(-1, true, text), "1969-12-31T23:59:59.999Z");
    assert_string_equal(timestamp_format_rfc3339(-NS_PER_DAY, false, text), "1969-12-31T00:00:00Z");
    assert_string_equal(timestamp_format_rfc3339(INT64_MIN, true, text),
                        "1677-09-21T00:12:43.145Z");
    assert_string_equal(timestamp_format_rfc3339(INT64_MAX, true, text),
                        "2262-04-11T23:47:16.854Z");
}

static void http_dates_are_read_in_three_forms(void **state)
{
    static const struct parse_case cases[] = {
        {"Sun, 06 Nov 1994 08:49:37 GMT", INT64_C(784111777) * S},
        {"Sunday, 06-Nov-94 08:49:37 GMT", INT64_C(784111777) * S},
        {"Sun Nov  6 08:49:37 1994", INT64_C(784111777) * S},
        {"Sun Nov 16 08:49:37 1994", INT64_C(784975777) * S},
        {"Fri, 13 Oct 2023 10:11:27 GMT", T_2023},
        {"Friday, 13-Oct-23 10:11:27 GMT", T_2023},
        {"Thursday, 01-Jan-70 00:00:01 GMT", S},
        {"Thursday, 01-Jan-69 00:00:00 GMT", INT64_C(3124224000) * S},
        {"Thu, 01 Jan 1970 00:00:00 GMT", TIMESTAMP_UNKNOWN},
        {"Sat, 31 Dec 2016 23:59:60 GMT", INT64_C(1483228800) * S},
        {"Thu, 29 Feb 2024 00:00:00 GMT", INT64_C(1709164800) * S},
        {"Wed, 29 Feb 2023 00:00:00 GMT", UNTOUCHED},
        {"Sun, 6 Nov 1994 08:49:37 GMT", UNTOUCHED},
        {"Sun, 06 Nov 1994 08:49:37 UTC", UNTOUCHED},
        {"Sun, 06 Nov 1994 08:49:37 +0000", UNTOUCHED},
        {"Sun, 06 Nov 1994 08:49:37", UNTOUCHED},
        {"sun, 06 Nov 1994 08:49:37 GMT", UNTOUCHED},
        {"Sun, 06 nov 1994 08:49:37 GMT", UNTOUCHED},
        {"Xxx, 06 Nov 1994 08:49:37 GMT", UNTOUCHED},
        {"Sun, 06 Nov 1994 24:49:37 GMT", UNTOUCHED},
        {"Sun, 06 Nov 94 08:49:37 GMT", UNTOUCHED},
        {"Sunday, 06-Nov-1994 08:49:37 GMT", UNTOUCHED},
        {"Sun Nov 6 08:49:37 1994", UNTOUCHED},
        {"Sun Nov  6 08:49:37 1994 GMT", UNTOUCHED},
        {"Sun Nov  0 08:49:37 1994", UNTOUCHED},
        {"Sun, 06 Nov 1994 08:49:37 GMT ", UNTOUCHED},
        {"1994-11-06T08:49:37Z", UNTOUCHED},
        {"", UNTOUCHED},
    };

    (void)state;
    check_cases(cases, COUNT(cases), timestamp_parse_http_date);
}

static void the_clocks_do_not_go_back(void **state)
{
    timestamp_ns before = timestamp_monotonic();

    (void)state;
    assert_true(before > 0);
    assert_true(timestamp_monotonic() >= before);
    assert_true(timestamp_now() > T_2023);
}

static void known_times_are_preferred_to_unknown_ones(void **state)
{
    (void)state;
    assert_int_equal(timestamp_earlier(3, 5), 3);
    assert_int_equal(timestamp_later(3, 5), 5);
    assert_int_equal(timestamp_later(TIMESTAMP_UNKNOWN, 5), 5);
    assert_int_equal(timestamp_first_known(TIMESTAMP_UNKNOWN, 5), 5);
    assert_int_equal(timestamp_first_known(7, 5), 7);
    assert_int_equal(timestamp_earliest_known(TIMESTAMP_UNKNOWN, 5), 5);
    assert_int_equal(timestamp_earliest_known(5, TIMESTAMP_UNKNOWN), 5);
    assert_int_equal(timestamp_earliest_known(5, 3), 3);
    assert_int_equal(timestamp_earliest_known(TIMESTAMP_UNKNOWN, TIMESTAMP_UNKNOWN),
                     TIMESTAMP_UNKNOWN);
}

static void a_clock_has_its_day_unless_it_is_the_present_one(void **state)
{
    const timestamp_ns now = (timestamp_ns)1788409017 * NS_PER_SECOND; // 2026-09-03T04:16:57Z
    char text[TIMESTAMP_TEXT_SIZE];
    (void)state;
    assert_string_equal(timestamp_format_clock(now, now, text), "04:16");
    assert_string_equal(timestamp_format_clock(now - 4 * NS_PER_HOUR, now, text), "00:16");
    assert_string_equal(timestamp_format_clock(now - 5 * NS_PER_HOUR, now, text), "09-02 23:16");
    assert_string_equal(timestamp_format_clock(now + NS_PER_DAY, now, text), "09-04 04:16");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_forms_in_payloads_are_read),
        cmocka_unit_test(fractions_of_any_length_are_cut_to_nanoseconds),
        cmocka_unit_test(invalid_dates_are_refused),
        cmocka_unit_test(a_leap_second_is_the_second_after),
        cmocka_unit_test(zero_values_in_any_form_are_unknown),
        cmocka_unit_test(times_beyond_64_bits_are_refused),
        cmocka_unit_test(anything_else_is_refused),
        cmocka_unit_test(no_prefix_of_a_time_is_read_past_its_end),
        cmocka_unit_test(every_day_agrees_with_the_c_library),
        cmocka_unit_test(milliseconds_are_written_on_request),
        cmocka_unit_test(http_dates_are_read_in_three_forms),
        cmocka_unit_test(the_clocks_do_not_go_back),
        cmocka_unit_test(known_times_are_preferred_to_unknown_ones),
        cmocka_unit_test(a_clock_has_its_day_unless_it_is_the_present_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
