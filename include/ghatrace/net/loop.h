// One thread's event loop (libevent), with a way for other threads to have something done in it.
//
// All other functions of net/ belong to the loop's own thread. Objects are never freed inside a
// callback that the caller still needs: closing puts them on a list that is reaped at the end of the
// loop's turn.
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
// Tasks still posted and connections still to be reaped are served first, in this thread. Timers,
// listeners and resolvers were destroyed and connections closed before.
void net_loop_destroy(struct net_loop *loop);
// Runs until net_loop_stop().
void net_loop_run(struct net_loop *loop);
// From any thread: the loop returns after its present turn.
void net_loop_stop(struct net_loop *loop);
struct event_base *net_loop_base(struct net_loop *loop);

// A task that another thread hands to the loop. The caller owns it and it must stay alive until
// `run` was called; posting never allocates, hence never fails. Tasks run in the order posted, each once: it may be
// posted again from `run` on.
struct net_task {
    net_callback run;
    void *context;
    STAILQ_ENTRY(net_task) posted; // private
    bool is_posted;                // private
};
// From any thread.
void net_loop_post(struct net_loop *loop, struct net_task *task);

// One-shot timer on the monotonic clock. Setting it again moves it.
struct net_timer;
enum error_code net_timer_create(struct net_loop *loop, net_callback callback, void *context,
                                 struct net_timer **timer, struct error *error) MUST_CHECK;
void net_timer_destroy(struct net_timer *timer);
void net_timer_set(struct net_timer *timer, duration_ns after);
void net_timer_cancel(struct net_timer *timer);

// Signals, delivered as callbacks in this loop.
struct net_signal;
enum error_code net_signal_create(struct net_loop *loop, int number, net_callback callback,
                                  void *context, struct net_signal **handle,
                                  struct error *error) MUST_CHECK;
void net_signal_destroy(struct net_signal *handle);

#endif
