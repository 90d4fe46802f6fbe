// Threads that leave signals to the main thread.
#ifndef GHATRACE_BASE_THREAD_H
#define GHATRACE_BASE_THREAD_H

#include <pthread.h>

// pthread_create() with all signals blocked in the new thread: they must reach the thread whose loop has the handlers.
// Returns 0 or an errno value.
int thread_start(pthread_t *thread, void *(*run)(void *context), void *context);

#endif
