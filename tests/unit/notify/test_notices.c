// When the pools are looked at again.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../../src/notify/private.h"

static void a_look_that_takes_long_is_repeated_less_often(void **state)
{
    (void)state;
    assert_int_equal(notices_look_again(NS_PER_SECOND, 0), NS_PER_SECOND);
    assert_int_equal(notices_look_again(NS_PER_SECOND, 100 * NS_PER_MS), NS_PER_SECOND);
    assert_int_equal(notices_look_again(NS_PER_SECOND, 300 * NS_PER_MS), 2700 * NS_PER_MS);
    assert_int_equal(notices_look_again(15 * NS_PER_SECOND, 300 * NS_PER_MS), 15 * NS_PER_SECOND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_look_that_takes_long_is_repeated_less_often),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
