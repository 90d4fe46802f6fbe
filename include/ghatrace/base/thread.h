// Threads that leave signals to the main thread, and waits until a point in time.
#ifndef GHATRACE_BASE_THREAD_H
#define GHATRACE_BASE_THREAD_H

#include <pthread.h>
#include <stdbool.h>

#include "ghatrace/base/error.h"
#include "ghatrace/base/time.h"

// pthread_create() with all signals blocked in the new thread: they must reach the thread whose loop has the handlers.
// Returns 0 or an errno value.
int thread_start(pthread_t *thread, void *(*run)(void *context), void *context);

// A condition variable for thread_condition_wait(). The owner releases it with pthread_cond_destroy().
void thread_condition_init(pthread_cond_t *condition);
// Waits until `deadline`, by timestamp_monotonic(): a change of the wall clock neither ends nor prolongs the wait. The
// caller holds the mutex, as for pthread_cond_wait(). True: woken before the deadline, perhaps without a signal; the
// caller checks again what it waits for. False: the deadline has passed.
bool thread_condition_wait(pthread_cond_t *condition, pthread_mutex_t *mutex,
                           timestamp_ns deadline) MUST_CHECK;

#endif
