// Lines that are suppressed, and how their number is reported.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ghatrace/base/log.h"

#define START (1000 * NS_PER_SECOND)

static unsigned count_allowed(struct log_limit *limit, timestamp_ns now, unsigned tries)
{
    uint64_t suppressed;
    unsigned allowed = 0;
    for (unsigned i = 0; i < tries; i++)
        allowed += log_limit_allows(limit, now, &suppressed) ? 1 : 0;
    return allowed;
}

static void ten_lines_of_a_kind_are_written_in_a_minute(void **state)
{
    struct log_limit limit = {0};
    (void)state;
    assert_int_equal(count_allowed(&limit, START, 5), 5);
    assert_int_equal(count_allowed(&limit, START + LOG_LIMIT_WINDOW - 1, 1000),
                     LOG_LIMIT_LINES - 5);
    assert_int_equal(count_allowed(&limit, START + LOG_LIMIT_WINDOW, 1000), LOG_LIMIT_LINES);
}

static void the_next_line_has_the_number_of_suppressed_ones(void **state)
{
    struct log_limit limit = {0};
    uint64_t suppressed;
    (void)state;
    assert_true(log_limit_allows(&limit, START, &suppressed));
    assert_int_equal(suppressed, 0);
    count_allowed(&limit, START, LOG_LIMIT_LINES - 1 + 33);
    assert_true(log_limit_allows(&limit, START + LOG_LIMIT_WINDOW, &suppressed));
    assert_int_equal(suppressed, 33);
    assert_true(log_limit_allows(&limit, START + LOG_LIMIT_WINDOW, &suppressed));
    assert_int_equal(suppressed, 0);
}

static void a_window_begins_with_a_line_whatever_the_time(void **state)
{
    struct log_limit limit = {0};
    (void)state;
    assert_int_equal(count_allowed(&limit, 0, 3), 3); // a monotonic clock may start at any value
    assert_int_equal(count_allowed(&limit, LOG_LIMIT_WINDOW * 3 / 2, 20), LOG_LIMIT_LINES);
    assert_int_equal(count_allowed(&limit, LOG_LIMIT_WINDOW * 2, 20), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ten_lines_of_a_kind_are_written_in_a_minute),
        cmocka_unit_test(the_next_line_has_the_number_of_suppressed_ones),
        cmocka_unit_test(a_window_begins_with_a_line_whatever_the_time),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
