// Waits of a condition variable, by the monotonic clock.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>

#include "ghatrace/base/thread.h"

#define SHORT (50 * NS_PER_MS)
#define LONG (60 * NS_PER_SECOND) // more than any test takes

struct fixture {
    pthread_mutex_t mutex;
    pthread_cond_t condition;
    bool is_due;
};

static int set_up(void **state)
{
    struct fixture *fixture = test_calloc(1, sizeof *fixture);
    pthread_mutex_init(&fixture->mutex, NULL);
    thread_condition_init(&fixture->condition);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = *state;
    pthread_cond_destroy(&fixture->condition);
    pthread_mutex_destroy(&fixture->mutex);
    test_free(fixture);
    return 0;
}

// Until the condition is due. False: the deadline has passed.
static bool wait_until(struct fixture *fixture, timestamp_ns deadline)
{
    bool is_early = true;
    pthread_mutex_lock(&fixture->mutex);
    while (!fixture->is_due && is_early)
        is_early = thread_condition_wait(&fixture->condition, &fixture->mutex, deadline);
    pthread_mutex_unlock(&fixture->mutex);
    return is_early;
}

static void a_wait_without_a_signal_ends_at_its_deadline(void **state)
{
    timestamp_ns deadline = timestamp_monotonic() + SHORT;
    assert_false(wait_until(*state, deadline));
    assert_true(timestamp_monotonic() >= deadline);
}

static void a_wait_whose_deadline_has_passed_ends_at_once(void **state)
{
    timestamp_ns now = timestamp_monotonic();
    assert_false(wait_until(*state, now - 1));
    assert_false(wait_until(*state, 0));
    assert_true(timestamp_monotonic() < now + LONG);
}

static void *signal_it(void *context)
{
    struct fixture *fixture = context;
    pthread_mutex_lock(&fixture->mutex);
    fixture->is_due = true;
    pthread_cond_signal(&fixture->condition);
    pthread_mutex_unlock(&fixture->mutex);
    return NULL;
}

static void a_signal_ends_a_wait_before_its_deadline(void **state)
{
    pthread_t thread;
    timestamp_ns deadline = timestamp_monotonic() + LONG;
    assert_int_equal(thread_start(&thread, signal_it, *state), 0);
    assert_true(wait_until(*state, deadline));
    assert_true(timestamp_monotonic() < deadline);
    assert_int_equal(pthread_join(thread, NULL), 0);
}

static void *read_signal_mask(void *context)
{
    pthread_sigmask(SIG_SETMASK, NULL, context);
    return NULL;
}

static void a_thread_has_all_signals_blocked_and_its_creator_keeps_its_own(void **state)
{
    pthread_t thread;
    sigset_t before, after, in_thread;
    (void)state;
    sigemptyset(&in_thread);
    pthread_sigmask(SIG_SETMASK, NULL, &before);
    assert_int_equal(thread_start(&thread, read_signal_mask, &in_thread), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    pthread_sigmask(SIG_SETMASK, NULL, &after);
    assert_true(sigismember(&in_thread, SIGTERM) && sigismember(&in_thread, SIGHUP));
    assert_int_equal(sigismember(&after, SIGTERM), sigismember(&before, SIGTERM));
    assert_int_equal(sigismember(&after, SIGHUP), sigismember(&before, SIGHUP));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_wait_without_a_signal_ends_at_its_deadline, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_wait_whose_deadline_has_passed_ends_at_once, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(a_signal_ends_a_wait_before_its_deadline, set_up,
                                        tear_down),
        cmocka_unit_test(a_thread_has_all_signals_blocked_and_its_creator_keeps_its_own),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
