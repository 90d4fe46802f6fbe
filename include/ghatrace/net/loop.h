// One thread's event loop (libevent), and tasks that other threads post to it.
//
// All other functions of net/ must be called in the loop's own thread. Objects are never freed inside a callback:
// closing puts them on a list that is reaped at the end of the loop's turn.
#ifndef GHATRACE_NET_LOOP_H
#define GHATRACE_NET_LOOP_H

#include <stdbool.h>
#include <sys/queue.h>

#include "ghatrace/base/error.h"
#include "ghatrace/base/time.h"

struct event_base;
struct net_loop;

typedef void (*net_callback)(void *context);

enum error_code net_loop_create(struct net_loop **loop, struct error *error) MUST_CHECK;
// Runs posted tasks and reaps closed connections first, in this thread. The caller must have destroyed timers,
// listeners and resolvers and closed connections.
void net_loop_destroy(struct net_loop *loop);
// Runs until net_loop_stop().
void net_loop_run(struct net_loop *loop);
// From any thread: net_loop_run() returns after the current turn.
void net_loop_stop(struct net_loop *loop);
struct event_base *net_loop_base(struct net_loop *loop);

// A task that another thread posts to the loop. The caller owns it and must keep it alive until `run` is called;
// posting does not allocate, so it cannot fail. Tasks run in the order posted, each once; a task may be posted again
// as soon as `run` is called.
struct net_task {
    net_callback run;
    void *context;
    STAILQ_ENTRY(net_task) posted; // private
    bool is_posted;                // private
};
// From any thread.
void net_loop_post(struct net_loop *loop, struct net_task *task);

// One-shot timer on the monotonic clock. Setting it again replaces the time.
struct net_timer;
enum error_code net_timer_create(struct net_loop *loop, net_callback callback, void *context,
                                 struct net_timer **timer, struct error *error) MUST_CHECK;
void net_timer_destroy(struct net_timer *timer);
void net_timer_set(struct net_timer *timer, duration_ns after);
void net_timer_cancel(struct net_timer *timer);

// Signals, delivered as callbacks in this loop.
struct net_signal;
struct net_signal_options {
    int number;
    net_callback callback;
    void *context;
};
enum error_code net_signal_create(struct net_loop *loop, const struct net_signal_options *options,
                                  struct net_signal **handle, struct error *error) MUST_CHECK;
void net_signal_destroy(struct net_signal *handle);

#endif
