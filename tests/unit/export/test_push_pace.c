// When the next snapshot of metrics is due.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../../src/export/push_pace.h"

#define MINUTE NS_PER_MINUTE
#define NO_JITTER (UINT64_MAX / 2) // the middle of the range

static void the_first_is_due_after_an_interval_and_each_next_one_after_another(void **state)
{
    struct push_pace pace;
    (void)state;
    push_pace_init(&pace, MINUTE, NS_PER_HOUR, 1000);
    assert_int_equal(pace.due_at, 1000 + MINUTE);
    push_pace_sent(&pace, 1000 + MINUTE + NS_PER_SECOND); // it took a second
    assert_int_equal(pace.due_at, 1000 + 2 * MINUTE);
}

static void those_that_were_missed_are_left_out(void **state)
{
    struct push_pace pace;
    (void)state;
    push_pace_init(&pace, MINUTE, NS_PER_HOUR, 0);
    push_pace_sent(&pace, 4 * MINUTE + 5);
    assert_int_equal(pace.due_at, 5 * MINUTE);
    push_pace_sent(&pace, 5 * MINUTE);
    assert_int_equal(pace.due_at, 6 * MINUTE);
}

static void waits_after_failures_grow_up_to_the_limit(void **state)
{
    struct push_pace pace;
    timestamp_ns now = 0;
    duration_ns longest = 0;
    (void)state;
    push_pace_init(&pace, MINUTE, NS_PER_HOUR, 0);
    for (int i = 0; i < 40; i++) {
        push_pace_failed(&pace, PUSH_LATER, 0, now, NO_JITTER);
        duration_ns wait = pace.due_at - now;
        assert_true(wait > 0 && wait <= PUSH_BACKOFF_MAX);
        if (i == 0)
            assert_true(wait <= 2 * PUSH_BACKOFF_FIRST);
        longest = wait > longest ? wait : longest;
        now = pace.due_at;
    }
    assert_true(longest > PUSH_BACKOFF_MAX / 2);
    assert_int_equal(pace.failures, 40);
    push_pace_sent(&pace, now);
    assert_int_equal(pace.failures, 0);
    push_pace_failed(&pace, PUSH_LATER, 0, now, NO_JITTER);
    assert_true(pace.due_at - now <= 2 * PUSH_BACKOFF_FIRST);
}

static void what_the_endpoint_asks_for_is_honoured_within_limits(void **state)
{
    struct push_pace pace;
    (void)state;
    push_pace_init(&pace, MINUTE, NS_PER_HOUR, 0);
    push_pace_failed(&pace, PUSH_LATER, 90 * NS_PER_SECOND, 0, NO_JITTER);
    assert_int_equal(pace.due_at, 90 * NS_PER_SECOND);
    push_pace_failed(&pace, PUSH_LATER, NS_PER_DAY, 0, NO_JITTER);
    assert_int_equal(pace.due_at, BACKOFF_RETRY_AFTER_MAX);
}

static void a_refused_one_is_followed_by_another_after_an_interval_at_least(void **state)
{
    struct push_pace pace;
    (void)state;
    push_pace_init(&pace, MINUTE, NS_PER_HOUR, 0);
    push_pace_failed(&pace, PUSH_REFUSED, NS_PER_SECOND, 0, NO_JITTER);
    assert_int_equal(pace.due_at, MINUTE);
}

static void an_endpoint_without_metrics_is_asked_at_long_intervals(void **state)
{
    struct push_pace pace;
    (void)state;
    push_pace_init(&pace, MINUTE, NS_PER_HOUR, 0);
    push_pace_failed(&pace, PUSH_ABSENT, NS_PER_SECOND, 7, NO_JITTER);
    assert_int_equal(pace.due_at, 7 + NS_PER_HOUR);
    push_pace_init(&pace, NS_PER_DAY, NS_PER_HOUR, 0); // never more often than otherwise
    push_pace_failed(&pace, PUSH_ABSENT, 0, 0, NO_JITTER);
    assert_int_equal(pace.due_at, NS_PER_DAY);
}

static void only_a_wait_after_a_failure_can_be_ended(void **state)
{
    struct push_pace pace;
    (void)state;
    push_pace_init(&pace, MINUTE, NS_PER_HOUR, 0);
    push_pace_try_now(&pace, 5);
    assert_int_equal(pace.due_at, MINUTE);
    push_pace_failed(&pace, PUSH_ABSENT, 0, 10, NO_JITTER);
    push_pace_try_now(&pace, 20);
    assert_int_equal(pace.due_at, 20);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_is_due_after_an_interval_and_each_next_one_after_another),
        cmocka_unit_test(those_that_were_missed_are_left_out),
        cmocka_unit_test(waits_after_failures_grow_up_to_the_limit),
        cmocka_unit_test(what_the_endpoint_asks_for_is_honoured_within_limits),
        cmocka_unit_test(a_refused_one_is_followed_by_another_after_an_interval_at_least),
        cmocka_unit_test(an_endpoint_without_metrics_is_asked_at_long_intervals),
        cmocka_unit_test(only_a_wait_after_a_failure_can_be_ended),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
