// Timers and signals of a loop.
#include <event2/event.h>
#include <string.h>

#include "ghatrace/base/log.h"
#include "ghatrace/base/memory.h"
#include "ghatrace/net/loop.h"
#include "timeval.h"

// One shape serves both: a libevent event and whom it calls.
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

    // Where libevent is refused memory for its heap, too early is better than never.
    if (event_add(timer->source.event, &wait) != 0)
        event_active(timer->source.event, EV_TIMEOUT, 1);
}

void net_timer_cancel(struct net_timer *timer)
{
    event_del(timer->source.event);
}

enum error_code net_signal_create(struct net_loop *loop, int number, net_callback callback,
                                  void *context, struct net_signal **out, struct error *error)
{
    struct net_signal *handle = memory_allocate_array(1, sizeof *handle);

    if (handle == NULL)
        return error_set(error, ERROR_MEMORY, "signal handler: out of memory");
    handle->source = (struct source){.callback = callback, .context = context};
    handle->source.event = evsignal_new(net_loop_base(loop), number, on_event, &handle->source);
    if (handle->source.event == NULL || event_add(handle->source.event, NULL) != 0) {
        net_signal_destroy(handle);
        return error_set(error, ERROR_MEMORY, "signal handler for %s: refused", strsignal(number));
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
