// The event loop: libevent's base, tasks from other threads, and the reaper.
#include "ghatrace/net/loop.h"

#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <event2/thread.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "ghatrace/base/log.h"
#include "ghatrace/base/memory.h"
#include "loop_private.h"

struct net_loop {
    struct event_base *base;
    int wake_fd; // eventfd, readable while tasks or a stop wait
    struct event *wake;
    atomic_bool is_stopping;
    char *scratch;

    pthread_mutex_t mutex; // guards `tasks`; held only briefly
    STAILQ_HEAD(net_tasks, net_task) tasks;

    STAILQ_HEAD(, net_dying) dying; // the loop's own thread only
};

struct timeval timeval_from_duration(duration_ns duration)
{
    duration_ns us = duration <= 0 ? 0 : (duration - 1) / 1000 + 1;

    return (struct timeval){.tv_sec = (time_t)(us / 1000000),
                            .tv_usec = (suseconds_t)(us % 1000000)};
}

static void log_libevent(int severity, const char *message)
{
    if (severity >= EVENT_LOG_ERR)
        log_error("event library", LOG_STRING("text", message));
    else if (severity == EVENT_LOG_WARN)
        log_warn("event library", LOG_STRING("text", message));
}

static pthread_once_t library_once = PTHREAD_ONCE_INIT;
static bool library_is_ready;

// libevent requires its allocator to be set before all else, and its locks before the first base. Each base is used by
// one thread; the locks are for libevent's global list of signals.
static void prepare_libevent(void)
{
    event_set_mem_functions(memory_allocate, memory_resize, memory_free);
    event_set_log_callback(log_libevent);
    library_is_ready = evthread_use_pthreads() == 0;
}

#define CALLBACKS_PER_TURN 256

static struct event_base *create_base(void)
{
    struct event_config *config = event_config_new();
    struct event_base *base = NULL;

    if (config == NULL)
        return NULL;
    // Other threads use only the eventfd, so the base needs no lock. Callbacks may activate events again, which must
    // not keep the loop from polling its sockets.
    if (event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK) == 0 &&
        event_config_set_max_dispatch_interval(config, NULL, CALLBACKS_PER_TURN, 0) == 0)
        base = event_base_new_with_config(config);
    event_config_free(config);
    return base;
}

// Tasks posted by these tasks run in the next turn: a task that posts itself does not starve the sockets.
static bool run_tasks(struct net_loop *loop)
{
    struct net_tasks tasks = STAILQ_HEAD_INITIALIZER(tasks);

    pthread_mutex_lock(&loop->mutex);
    STAILQ_CONCAT(&tasks, &loop->tasks);
    pthread_mutex_unlock(&loop->mutex);
    bool ran_any = !STAILQ_EMPTY(&tasks);
    while (!STAILQ_EMPTY(&tasks)) {
        struct net_task *task = STAILQ_FIRST(&tasks);
        STAILQ_REMOVE_HEAD(&tasks, posted);
        task->is_posted = false;
        task->run(task->context); // may free the task
    }
    return ran_any;
}

static bool reap_dying(struct net_loop *loop)
{
    bool reaped_any = false;

    while (!STAILQ_EMPTY(&loop->dying)) {
        struct net_dying *dying = STAILQ_FIRST(&loop->dying);
        STAILQ_REMOVE_HEAD(&loop->dying, dying);
        dying->reap(dying);
        reaped_any = true;
    }
    return reaped_any;
}

static void on_loop_wake(evutil_socket_t fd, short what, void *context)
{
    struct net_loop *loop = context;
    eventfd_t count;

    (void)what;
    // Read before the list is taken: a task posted in between then causes an extra wake-up rather than a missed one.
    (void)eventfd_read(fd, &count);
    run_tasks(loop);
}

static void wake(struct net_loop *loop)
{
    // Failure is harmless: if the counter is full, the loop is already awake.
    while (eventfd_write(loop->wake_fd, 1) != 0 && errno == EINTR)
        ;
}

static void free_loop(struct net_loop *loop)
{
    if (loop->wake != NULL)
        event_free(loop->wake);
    if (loop->base != NULL)
        event_base_free(loop->base);
    if (loop->wake_fd >= 0)
        close(loop->wake_fd);
    pthread_mutex_destroy(&loop->mutex);
    memory_free(loop->scratch);
    memory_free(loop);
}

static enum error_code set_up_loop(struct net_loop *loop, struct error *error)
{
    loop->scratch = memory_allocate(NET_SCRATCH_SIZE);
    if (loop->scratch == NULL)
        return error_set(error, ERROR_MEMORY, "event loop: out of memory");
    loop->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (loop->wake_fd < 0)
        return error_set(error, ERROR_IO, "event loop: eventfd: %s", strerror(errno));
    loop->base = create_base();
    if (loop->base == NULL)
        return error_set(error, ERROR_MEMORY, "event loop: the event library refused to start");
    loop->wake = event_new(loop->base, loop->wake_fd, EV_READ | EV_PERSIST, on_loop_wake, loop);
    if (loop->wake == NULL || event_add(loop->wake, NULL) != 0)
        return error_set(error, ERROR_MEMORY, "event loop: out of memory");
    return ERROR_NONE;
}

enum error_code net_loop_create(struct net_loop **out, struct error *error)
{
    pthread_once(&library_once, prepare_libevent);
    if (!library_is_ready)
        return error_set(error, ERROR_MEMORY, "event loop: no locks for the event library");

    struct net_loop *loop = memory_allocate_array(1, sizeof *loop);
    if (loop == NULL)
        return error_set(error, ERROR_MEMORY, "event loop: out of memory");
    loop->wake_fd = -1;
    STAILQ_INIT(&loop->tasks);
    STAILQ_INIT(&loop->dying);
    atomic_init(&loop->is_stopping, false);
    pthread_mutex_init(&loop->mutex, NULL); // default attributes: cannot fail on Linux

    enum error_code code = set_up_loop(loop, error);
    if (code != ERROR_NONE) {
        free_loop(loop);
        return code;
    }
    *out = loop;
    return ERROR_NONE;
}

void net_loop_destroy(struct net_loop *loop)
{
    if (loop == NULL)
        return;
    // Completes all posted tasks and closed objects: their owners may be waiting to free them.
    while (run_tasks(loop) || reap_dying(loop))
        ;
    free_loop(loop);
}

void net_loop_run(struct net_loop *loop)
{
    for (;;) {
        reap_dying(loop);
        if (atomic_exchange(&loop->is_stopping, false))
            return;
        event_base_loop(loop->base, EVLOOP_ONCE);
    }
}

void net_loop_stop(struct net_loop *loop)
{
    atomic_store(&loop->is_stopping, true);
    wake(loop);
}

struct event_base *net_loop_base(struct net_loop *loop)
{
    return loop->base;
}

void net_loop_post(struct net_loop *loop, struct net_task *task)
{
    pthread_mutex_lock(&loop->mutex);
    assert(!task->is_posted);
    task->is_posted = true;
    bool was_empty = STAILQ_EMPTY(&loop->tasks);
    STAILQ_INSERT_TAIL(&loop->tasks, task, posted);
    // Inside the lock: otherwise the task could already have run, and its owner could have destroyed the loop.
    if (was_empty)
        wake(loop);
    pthread_mutex_unlock(&loop->mutex);
}

void net_loop_reap_later(struct net_loop *loop, struct net_dying *dying)
{
    STAILQ_INSERT_TAIL(&loop->dying, dying, dying);
}

char *net_loop_scratch(struct net_loop *loop)
{
    return loop->scratch;
}

// --- timers and signals of a loop -----------------------------------------------------------------

// Common to both: a libevent event and its callback.
struct source {
    struct event *event;
    net_callback callback;
    void *context;
};

struct net_timer {
    struct source source;
};

struct net_signal {
    struct source source;
};

static void on_event(evutil_socket_t fd, short what, void *context)
{
    struct source *source = context;

    (void)fd;
    (void)what;
    source->callback(source->context);
}

enum error_code net_timer_create(struct net_loop *loop, net_callback callback, void *context,
                                 struct net_timer **out, struct error *error)
{
    struct net_timer *timer = memory_allocate_array(1, sizeof *timer);

    if (timer == NULL)
        return error_set(error, ERROR_MEMORY, "timer: out of memory");
    timer->source = (struct source){.callback = callback, .context = context};
    timer->source.event = evtimer_new(net_loop_base(loop), on_event, &timer->source);
    if (timer->source.event == NULL) {
        memory_free(timer);
        return error_set(error, ERROR_MEMORY, "timer: out of memory");
    }
    *out = timer;
    return ERROR_NONE;
}

void net_timer_destroy(struct net_timer *timer)
{
    if (timer == NULL)
        return;
    event_free(timer->source.event);
    memory_free(timer);
}

void net_timer_set(struct net_timer *timer, duration_ns after)
{
    struct timeval wait = timeval_from_duration(after);

    // If libevent has no memory for its heap, fires at once: too early is better than never.
    if (event_add(timer->source.event, &wait) != 0)
        event_active(timer->source.event, EV_TIMEOUT, 1);
}

void net_timer_cancel(struct net_timer *timer)
{
    event_del(timer->source.event);
}

enum error_code net_signal_create(struct net_loop *loop, const struct net_signal_options *options,
                                  struct net_signal **out, struct error *error)
{
    struct net_signal *handle = memory_allocate_array(1, sizeof *handle);

    if (handle == NULL)
        return error_set(error, ERROR_MEMORY, "signal handler: out of memory");
    handle->source = (struct source){.callback = options->callback, .context = options->context};
    handle->source.event =
        evsignal_new(net_loop_base(loop), options->number, on_event, &handle->source);
    if (handle->source.event == NULL || event_add(handle->source.event, NULL) != 0) {
        net_signal_destroy(handle);
        return error_set(error, ERROR_MEMORY, "signal handler for %s: refused",
                         strsignal(options->number));
    }
    *out = handle;
    return ERROR_NONE;
}

void net_signal_destroy(struct net_signal *handle)
{
    if (handle == NULL)
        return;
    if (handle->source.event != NULL)
        event_free(handle->source.event);
    memory_free(handle);
}
