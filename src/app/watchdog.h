// Feeds systemd's watchdog (WatchdogSec=) while all threads make progress: from a thread of its own, so that neither a
// long answer of the main thread nor a hang of it goes unnoticed.
#ifndef GHATRACE_APP_WATCHDOG_H
#define GHATRACE_APP_WATCHDOG_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "ghatrace/base/error.h"
#include "ghatrace/base/heartbeat.h"
#include "ghatrace/base/time.h"
#include "ghatrace/engine/engine.h"
#include "ghatrace/net/loop.h"
#include "ghatrace/webhook/webhook.h"
#include "systemd.h"

#define WATCHDOG_THREADS_MAX                                                                       \
    258 // the engine's, the main one, and the most that ingress-threads allows

// The heartbeats at the last feed. All zero: none yet.
struct watchdog {
    uint64_t beats[WATCHDOG_THREADS_MAX];
};

// NULL if all threads have made progress since the last feed, or are committing: then the watchdog is to be fed now,
// and their beats are kept. Otherwise the name of the first thread that has not, and nothing is kept. Pure.
const char *watchdog_find_stuck(struct watchdog *watchdog, const struct heartbeat *threads,
                                size_t count);

// What the thread uses, and feeds through. They must outlive it.
struct watchdog_parts {
    struct notifier *notifier;
    struct engine *engine;
    struct ingress *ingress;
    struct net_loop *loop; // the main thread's
};

// All zero: not started.
struct watchdog_thread {
    struct watchdog_parts parts;
    bool is_running;
    pthread_t thread;
    pthread_mutex_t mutex; // guards the next two
    pthread_cond_t wake;
    bool is_stopping;

    // Of the main thread, which beats when it runs the task, and at each access to the store.
    _Atomic uint64_t main_beats;
    struct net_task react;
    atomic_bool is_posted;

    // The thread's own.
    struct watchdog watchdog;
    const char *stuck;       // the thread that is stuck, and it was logged; NULL: none
    timestamp_ns checked_at; // monotonic: when all of them had last made progress
    timestamp_ns fed_at;     // monotonic
    bool is_unsent;          // the notification for checked_at could not be sent
};

// Does nothing if systemd wants no watchdog. Called in the main thread, which beats from then on. The struct must
// outlive the loop.
enum error_code watchdog_start(struct watchdog_thread *watch, const struct watchdog_parts *parts,
                               struct error *error) MUST_CHECK;
// In the main thread. Does nothing if it was not started.
void watchdog_stop(struct watchdog_thread *watch);

#endif
