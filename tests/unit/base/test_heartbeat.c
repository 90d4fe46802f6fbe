// Signs of life: counted where the thread says, and only for that thread.
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "ghatrace/base/heartbeat.h"

static void beats_are_counted_where_the_thread_says(void **state)
{
    _Atomic uint64_t first = 0, second = 0;
    (void)state;
    heartbeat_beat(); // nowhere
    heartbeat_use(&first);
    heartbeat_beat();
    heartbeat_beat();
    heartbeat_use(&second);
    heartbeat_beat();
    heartbeat_use(NULL);
    heartbeat_beat();
    assert_int_equal(first, 2);
    assert_int_equal(second, 1);
}

static void *beat_elsewhere(void *context)
{
    (void)context;
    heartbeat_beat();
    return NULL;
}

static void another_thread_does_not_count(void **state)
{
    _Atomic uint64_t beats = 0;
    pthread_t thread;
    (void)state;
    heartbeat_use(&beats);
    assert_int_equal(pthread_create(&thread, NULL, beat_elsewhere, NULL), 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    heartbeat_use(NULL);
    assert_int_equal(beats, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(beats_are_counted_where_the_thread_says),
        cmocka_unit_test(another_thread_does_not_count),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
