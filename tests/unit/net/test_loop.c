// The loop: tasks from other threads, timers, signals, and memory that is refused.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include "ghatrace/base/memory.h"
#include "ghatrace/net/loop.h"

#define THREADS 3
#define TASKS_PER_THREAD 2000

struct poster;

struct numbered_task {
    struct net_task task;
    struct poster *poster;
    int number;
};

struct poster {
    struct net_loop *loop;
    struct numbered_task tasks[TASKS_PER_THREAD];
    int next; // number expected
    bool is_out_of_order;
    int *left; // tasks still to run, over all posters; the loop's thread only
};

static struct net_loop *create_loop(void)
{
    struct net_loop *loop = NULL;
    struct error error;

    assert_int_equal(net_loop_create(&loop, &error), ERROR_NONE);
    return loop;
}

static void run_numbered(void *context)
{
    struct numbered_task *task = context;
    struct poster *poster = task->poster;

    if (task->number != poster->next++)
        poster->is_out_of_order = true;
    if (--*poster->left == 0)
        net_loop_stop(poster->loop);
}

static void *post_all(void *context)
{
    struct poster *poster = context;

    for (int i = 0; i < TASKS_PER_THREAD; i++) {
        poster->tasks[i] =
            (struct numbered_task){.task = {.run = run_numbered, .context = &poster->tasks[i]},
                                   .poster = poster,
                                   .number = i};
        net_loop_post(poster->loop, &poster->tasks[i].task);
    }
    return NULL;
}

static void tasks_of_several_threads_run_once_and_in_the_order_of_each(void **state)
{
    static struct poster posters[THREADS];
    struct net_loop *loop = create_loop();
    pthread_t threads[THREADS];
    int left = THREADS * TASKS_PER_THREAD;

    (void)state;
    for (int i = 0; i < THREADS; i++) {
        posters[i] = (struct poster){.loop = loop, .left = &left};
        assert_int_equal(pthread_create(&threads[i], NULL, post_all, &posters[i]), 0);
    }
    net_loop_run(loop);
    assert_int_equal(left, 0);
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
        assert_int_equal(posters[i].next, TASKS_PER_THREAD);
        assert_false(posters[i].is_out_of_order);
    }
    net_loop_destroy(loop);
}

static void *run_loop(void *context)
{
    net_loop_run(context);
    return NULL;
}

static void another_thread_can_stop_a_waiting_loop(void **state)
{
    struct net_loop *loop = create_loop();
    pthread_t thread;

    (void)state;
    for (int i = 0; i < 50; i++) {
        assert_int_equal(pthread_create(&thread, NULL, run_loop, loop), 0);
        net_loop_stop(loop);
        assert_int_equal(pthread_join(thread, NULL), 0);
    }
    net_loop_destroy(loop);
}

static void a_stop_before_the_run_ends_it_at_once(void **state)
{
    struct net_loop *loop = create_loop();

    (void)state;
    net_loop_stop(loop);
    net_loop_run(loop);
    net_loop_destroy(loop);
}

struct counter {
    struct net_loop *loop;
    struct net_timer *timer;
    struct net_task task;
    int count;
    int stop_at;
};

static void count(void *context)
{
    struct counter *counter = context;

    if (++counter->count == counter->stop_at)
        net_loop_stop(counter->loop);
}

static void tasks_left_when_a_loop_is_destroyed_are_run(void **state)
{
    struct counter counter = {.loop = create_loop()};
    struct net_task task = {.run = count, .context = &counter};

    (void)state;
    net_loop_post(counter.loop, &task);
    assert_int_equal(counter.count, 0);
    net_loop_destroy(counter.loop);
    assert_int_equal(counter.count, 1);
}

static void post_again(void *context)
{
    struct counter *counter = context;

    counter->count++;
    net_loop_post(counter->loop, &counter->task);
}

static void a_task_that_posts_itself_does_not_block_timers(void **state)
{
    struct counter endless = {.loop = create_loop()};
    struct counter timed = {.loop = endless.loop, .stop_at = 1};
    struct error error;

    (void)state;
    endless.task = (struct net_task){.run = post_again, .context = &endless};
    assert_int_equal(net_timer_create(timed.loop, count, &timed, &timed.timer, &error), ERROR_NONE);
    net_timer_set(timed.timer, 5 * NS_PER_MS);
    net_loop_post(endless.loop, &endless.task);
    net_loop_run(endless.loop);
    assert_int_equal(timed.count, 1);
    assert_true(endless.count > 1);
    endless.task.run = count; // lets the destruction come to an end
    net_timer_destroy(timed.timer);
    net_loop_destroy(endless.loop);
}

static void a_timer_fires_once_for_each_time_it_is_set(void **state)
{
    struct counter counter = {.loop = create_loop(), .stop_at = 1};
    struct counter end = {.loop = counter.loop, .stop_at = 1};
    struct error error;

    (void)state;
    assert_int_equal(net_timer_create(counter.loop, count, &counter, &counter.timer, &error),
                     ERROR_NONE);
    assert_int_equal(net_timer_create(counter.loop, count, &end, &end.timer, &error), ERROR_NONE);
    net_timer_set(counter.timer, NS_PER_HOUR);
    net_timer_set(counter.timer, NS_PER_MS); // moved
    net_loop_run(counter.loop);
    assert_int_equal(counter.count, 1);

    net_timer_set(counter.timer, NS_PER_MS);
    net_timer_cancel(counter.timer);
    net_timer_set(end.timer, 10 * NS_PER_MS);
    net_loop_run(counter.loop);
    assert_int_equal(counter.count, 1);

    counter.stop_at = 2;
    net_timer_set(counter.timer, -1); // in the past: at once
    net_loop_run(counter.loop);
    assert_int_equal(counter.count, 2);
    net_timer_destroy(counter.timer);
    net_timer_destroy(end.timer);
    net_timer_destroy(NULL);
    net_loop_destroy(counter.loop);
}

static void timers_fire_in_the_order_of_their_times(void **state)
{
    struct counter late = {.loop = create_loop(), .stop_at = 1};
    struct counter early = {.loop = late.loop};
    struct error error;

    (void)state;
    assert_int_equal(net_timer_create(late.loop, count, &late, &late.timer, &error), ERROR_NONE);
    assert_int_equal(net_timer_create(late.loop, count, &early, &early.timer, &error), ERROR_NONE);
    net_timer_set(late.timer, 20 * NS_PER_MS);
    net_timer_set(early.timer, NS_PER_MS);
    net_loop_run(late.loop);
    assert_int_equal(early.count, 1);
    assert_int_equal(late.count, 1);
    net_timer_destroy(late.timer);
    net_timer_destroy(early.timer);
    net_loop_destroy(late.loop);
}

static void a_signal_arrives_as_a_callback(void **state)
{
    struct counter counter = {.loop = create_loop(), .stop_at = 1};
    const struct net_signal_options options = {
        .number = SIGUSR1, .callback = count, .context = &counter};
    struct net_signal *handle;
    struct error error;

    (void)state;
    assert_int_equal(net_signal_create(counter.loop, &options, &handle, &error), ERROR_NONE);
    assert_int_equal(kill(getpid(), SIGUSR1), 0);
    net_loop_run(counter.loop);
    assert_int_equal(counter.count, 1);
    net_signal_destroy(handle);
    net_signal_destroy(NULL);
    net_loop_destroy(counter.loop);
}

static enum error_code create_and_destroy_everything(void)
{
    const struct net_signal_options options = {.number = SIGUSR2, .callback = count};
    struct net_loop *loop = NULL;
    struct net_timer *timer = NULL;
    struct net_signal *handle = NULL;
    struct error error = {.code = ERROR_NONE};
    enum error_code code = net_loop_create(&loop, &error);

    if (code == ERROR_NONE)
        code = net_timer_create(loop, count, NULL, &timer, &error);
    if (code == ERROR_NONE)
        code = net_signal_create(loop, &options, &handle, &error);
    assert_int_equal(code, error.code);
    net_signal_destroy(handle);
    net_timer_destroy(timer);
    net_loop_destroy(loop);
    return code;
}

static void any_refused_allocation_is_an_error_and_leaks_nothing(void **state)
{
    int failures = 0;

    (void)state;
    assert_int_equal(create_and_destroy_everything(), ERROR_NONE);
    for (long skip = 0; skip < 1000; skip++) {
        memory_fail_after(skip);
        enum error_code code = create_and_destroy_everything();
        bool is_past_the_last = memory_count_allocations() <= skip;
        memory_fail_after(-1);
        if (is_past_the_last) {
            assert_int_equal(code, ERROR_NONE);
            break;
        }
        // libevent tolerates some failed allocations.
        assert_true(code == ERROR_NONE || code == ERROR_MEMORY);
        failures += code != ERROR_NONE;
    }
    assert_true(failures > 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tasks_of_several_threads_run_once_and_in_the_order_of_each),
        cmocka_unit_test(another_thread_can_stop_a_waiting_loop),
        cmocka_unit_test(a_stop_before_the_run_ends_it_at_once),
        cmocka_unit_test(tasks_left_when_a_loop_is_destroyed_are_run),
        cmocka_unit_test(a_task_that_posts_itself_does_not_block_timers),
        cmocka_unit_test(a_timer_fires_once_for_each_time_it_is_set),
        cmocka_unit_test(timers_fire_in_the_order_of_their_times),
        cmocka_unit_test(a_signal_arrives_as_a_callback),
        cmocka_unit_test(any_refused_allocation_is_an_error_and_leaks_nothing),
    };
    alarm(60); // a loop that hangs fails the test
    return cmocka_run_group_tests_name("net/loop", tests, NULL, NULL);
}
