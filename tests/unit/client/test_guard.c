// When the guard of libcurl's calls looks at them.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdatomic.h>
#include <unistd.h>

#include "../../../src/client/guard.h"
#include "ghatrace/base/thread.h"

/* wrap: thread_condition_wait */

#define PAUSE (300 * NS_PER_MS) // longer than the guard's interval

static _Atomic timestamp_ns deadline_of_wait; // of the first wait; 0: none began

bool __real_thread_condition_wait(pthread_cond_t *condition, pthread_mutex_t *mutex,
                                  timestamp_ns deadline);
bool __wrap_thread_condition_wait(pthread_cond_t *condition, pthread_mutex_t *mutex,
                                  timestamp_ns deadline);
bool __wrap_thread_condition_wait(pthread_cond_t *condition, pthread_mutex_t *mutex,
                                  timestamp_ns deadline)
{
    timestamp_ns none = 0;
    (void)atomic_compare_exchange_strong(&deadline_of_wait, &none, deadline);
    return __real_thread_condition_wait(condition, mutex, deadline);
}

static timestamp_ns wait_for_deadline(void)
{
    for (int i = 0; i < 10000 && atomic_load(&deadline_of_wait) == 0; i++)
        usleep(1000);
    return atomic_load(&deadline_of_wait);
}

static void a_call_after_a_pause_is_not_looked_at_when_it_begins(void **state)
{
    struct guard *guard;
    struct error error = {0};
    (void)state;
    assert_int_equal(guard_create(&guard, &error), ERROR_NONE);
    usleep((useconds_t)(PAUSE / NS_PER_US));
    assert_int_equal(atomic_load(&deadline_of_wait), 0); // it sleeps while no call runs
    timestamp_ns began_at = timestamp_monotonic();
    guard_enter(guard, &error);
    timestamp_ns deadline = wait_for_deadline();
    assert_false(guard_leave(guard));
    guard_destroy(guard);
    assert_true(deadline > began_at);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_call_after_a_pause_is_not_looked_at_when_it_begins),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
