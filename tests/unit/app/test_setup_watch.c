// When something about the setup is logged.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../../src/app/check_live.h"

#define START (NS_PER_HOUR)

static bool is_due(struct setup_watch *watch, enum setup_state state, uint64_t refused,
                   timestamp_ns now)
{
    const struct ingress_refused of = {.count = refused};
    const struct setup_item item = {.state = state, .refused = refused > 0 ? &of : NULL};
    return setup_watch_is_due(watch, SETUP_SECRET, &item, now);
}

static void a_problem_is_logged_once_and_again_when_it_is_resolved(void **state)
{
    struct setup_watch watch = {0};
    (void)state;
    assert_false(is_due(&watch, SETUP_UNKNOWN, 0, START));
    assert_false(is_due(&watch, SETUP_OK, 0, START));
    assert_true(is_due(&watch, SETUP_WRONG, 1, START + 1));
    assert_false(is_due(&watch, SETUP_WRONG, 1, START + NS_PER_DAY));
    assert_true(is_due(&watch, SETUP_OK, 1, START + NS_PER_DAY));
    assert_false(is_due(&watch, SETUP_OK, 1, START + 2 * NS_PER_DAY));
    assert_true(is_due(&watch, SETUP_WARNING, 2, START + 2 * NS_PER_DAY));
    assert_true(is_due(&watch, SETUP_WRONG, 3, START + 3 * NS_PER_DAY));
}

static void untrusted_clients_cause_one_line_a_minute_at_most(void **state)
{
    struct setup_watch watch = {0};
    unsigned lines = 0;
    (void)state;
    for (unsigned second = 0; second < 3600; second++)
        lines += is_due(&watch, second % 2 == 0 ? SETUP_WRONG : SETUP_OK, second + 1,
                        START + second * NS_PER_SECOND)
                     ? 1
                     : 0;
    assert_in_range(lines, 1, 60);
    assert_true(is_due(&watch, watch.items[SETUP_SECRET].state == SETUP_OK ? SETUP_WRONG : SETUP_OK,
                       4000, START + 2 * NS_PER_HOUR));
}

static void a_lasting_problem_is_logged_each_hour_if_more_was_refused(void **state)
{
    struct setup_watch watch = {0};
    (void)state;
    assert_true(is_due(&watch, SETUP_WRONG, 1, START));
    assert_false(is_due(&watch, SETUP_WRONG, 100, START + NS_PER_HOUR - 1));
    assert_true(is_due(&watch, SETUP_WRONG, 100, START + NS_PER_HOUR));
    assert_false(is_due(&watch, SETUP_WRONG, 100, START + 5 * NS_PER_HOUR));
}

static void problems_logged_elsewhere_are_not_logged(void **state)
{
    struct setup_watch watch = {0};
    const struct setup_item item = {.state = SETUP_WRONG, .is_logged_elsewhere = true};
    (void)state;
    assert_false(setup_watch_is_due(&watch, SETUP_EXPORT, &item, START));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_problem_is_logged_once_and_again_when_it_is_resolved),
        cmocka_unit_test(untrusted_clients_cause_one_line_a_minute_at_most),
        cmocka_unit_test(a_lasting_problem_is_logged_each_hour_if_more_was_refused),
        cmocka_unit_test(problems_logged_elsewhere_are_not_logged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
