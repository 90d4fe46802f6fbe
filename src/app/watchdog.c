// Feeds systemd's watchdog: checks the heartbeats, reports a thread that is stuck.
#include "watchdog.h"

#include <assert.h>
#include <string.h>

#include "ghatrace/base/log.h"
#include "ghatrace/base/thread.h"

// The watchdog's time is divided by this for the interval between two looks.
#define SHARE_USUAL 2
#define SHARE_URGENT 20 // while a thread is stuck, or a notification could not be sent

const char *watchdog_find_stuck(struct watchdog *watchdog, const struct heartbeat *threads,
                                size_t count)
{
    assert(count <= WATCHDOG_THREADS_MAX);
    for (size_t i = 0; i < count; i++)
        if (threads[i].beats == watchdog->beats[i] && !threads[i].is_committing)
            return threads[i].thread;
    for (size_t i = 0; i < count; i++)
        watchdog->beats[i] = threads[i].beats;
    return NULL;
}

// --- in the main thread ---------------------------------------------------------------------------

static void react(void *context)
{
    struct watchdog_thread *watch = context;
    heartbeat_beat();
    atomic_store(&watch->is_posted, false);
}

// --- in the thread --------------------------------------------------------------------------------

static void request_heartbeats(struct watchdog_thread *watch)
{
    engine_wake(watch->parts.engine);
    ingress_watch(watch->parts.ingress);
    if (!atomic_exchange(&watch->is_posted, true))
        net_loop_post(watch->parts.loop, &watch->react);
}

static duration_ns watchdog_time(const struct watchdog_thread *watch)
{
    return watch->parts.notifier->notify->watchdog;
}

static void report_stuck(struct watchdog_thread *watch, const char *thread, timestamp_ns now)
{
    char text[TIMESTAMP_TEXT_SIZE];
    duration_ns left = watch->fed_at + watchdog_time(watch) - now;
    if (watch->stuck == NULL)
        log_error("a thread is stuck: systemd's watchdog is not fed, and restarts the daemon",
                  LOG_STRING("thread", thread),
                  LOG_STRING("restart_in", duration_format_short(left > 0 ? left : 0, text)));
    watch->stuck = thread;
}

static void report_moving(struct watchdog_thread *watch)
{
    if (watch->stuck != NULL)
        log_info("the thread moves again: the watchdog is fed", LOG_STRING("thread", watch->stuck));
    watch->stuck = NULL;
}

static void check(struct watchdog_thread *watch, timestamp_ns now)
{
    struct heartbeat threads[WATCHDOG_THREADS_MAX];
    threads[0] = engine_heartbeat(watch->parts.engine);
    threads[1] = (struct heartbeat){.thread = "main", .beats = atomic_load(&watch->main_beats)};
    size_t count =
        2 + ingress_heartbeats(watch->parts.ingress, threads + 2, WATCHDOG_THREADS_MAX - 2);
    const char *stuck = watchdog_find_stuck(&watch->watchdog, threads, count);
    watch->is_unsent = stuck == NULL;
    if (stuck != NULL) {
        report_stuck(watch, stuck, now);
    } else {
        report_moving(watch);
        watch->checked_at = now;
    }
    request_heartbeats(watch);
}

// Returns how long to wait for the next look.
static duration_ns look(struct watchdog_thread *watch)
{
    duration_ns time = watchdog_time(watch);
    timestamp_ns now = timestamp_monotonic();
    // A notification that could not be sent is sent again, without another check for the usual time.
    if (!watch->is_unsent || now - watch->checked_at >= time / SHARE_USUAL)
        check(watch, now);
    if (watch->is_unsent && notifier_send(watch->parts.notifier, NOTIFY_WATCHDOG, false)) {
        watch->is_unsent = false;
        watch->fed_at = now;
    }
    return time / (watch->stuck != NULL || watch->is_unsent ? SHARE_URGENT : SHARE_USUAL);
}

// False: it is to stop. The mutex is held.
static bool wait_for(struct watchdog_thread *watch, duration_ns wait)
{
    timestamp_ns wake = timestamp_monotonic() + (wait > NS_PER_MS ? wait : NS_PER_MS);
    bool is_early = true;
    while (!watch->is_stopping && is_early)
        is_early = thread_condition_wait(&watch->wake, &watch->mutex, wake);
    return !watch->is_stopping;
}

static void *watch_threads(void *context)
{
    struct watchdog_thread *watch = context;
    duration_ns wait = watchdog_time(watch) / SHARE_USUAL;
    pthread_mutex_lock(&watch->mutex);
    while (wait_for(watch, wait)) {
        pthread_mutex_unlock(&watch->mutex);
        wait = look(watch);
        pthread_mutex_lock(&watch->mutex);
    }
    pthread_mutex_unlock(&watch->mutex);
    return NULL;
}

// --- start and stop -------------------------------------------------------------------------------

static void set_up_wake(struct watchdog_thread *watch)
{
    pthread_mutex_init(&watch->mutex, NULL);
    thread_condition_init(&watch->wake);
}

static void release_wake(struct watchdog_thread *watch)
{
    pthread_cond_destroy(&watch->wake);
    pthread_mutex_destroy(&watch->mutex);
}

enum error_code watchdog_start(struct watchdog_thread *watch, const struct watchdog_parts *parts,
                               struct error *error)
{
    assert(!watch->is_running);
    watch->parts = *parts;
    if (watchdog_time(watch) == 0)
        return ERROR_NONE;
    watch->react = (struct net_task){.run = react, .context = watch};
    watch->fed_at = timestamp_monotonic(); // systemd counts from READY=1
    set_up_wake(watch);
    request_heartbeats(watch);
    int result = thread_start(&watch->thread, watch_threads, watch);
    if (result != 0) {
        release_wake(watch);
        return error_set(error, ERROR_IO, "start the watchdog's thread: %s", strerror(result));
    }
    heartbeat_use(&watch->main_beats);
    watch->is_running = true;
    return ERROR_NONE;
}

void watchdog_stop(struct watchdog_thread *watch)
{
    if (!watch->is_running)
        return;
    pthread_mutex_lock(&watch->mutex);
    watch->is_stopping = true;
    pthread_cond_signal(&watch->wake);
    pthread_mutex_unlock(&watch->mutex);
    pthread_join(watch->thread, NULL);
    release_wake(watch);
    heartbeat_use(NULL);
    watch->is_running = false;
}
