// Threads that leave signals to the main thread, and waits until a point in time.
#include "ghatrace/base/thread.h"

#include <signal.h>
#include <time.h>

int thread_start(pthread_t *thread, void *(*run)(void *context), void *context)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int result = pthread_create(thread, NULL, run, context);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return result;
}

void thread_condition_init(pthread_cond_t *condition)
{
    pthread_condattr_t attributes;
    pthread_condattr_init(&attributes);
    pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    pthread_cond_init(condition, &attributes);
    pthread_condattr_destroy(&attributes);
}

bool thread_condition_wait(pthread_cond_t *condition, pthread_mutex_t *mutex, timestamp_ns deadline)
{
    struct timespec until = {.tv_sec = (time_t)(deadline / NS_PER_SECOND),
                             .tv_nsec = (long)(deadline % NS_PER_SECOND)};
    return pthread_cond_timedwait(condition, mutex, &until) == 0;
}
