// Keeps the list of incidents of pools (view/pools_past.h): a timer reads the pools, and the engine stores what has changed.
#ifndef GHATRACE_NOTIFY_PAST_H
#define GHATRACE_NOTIFY_PAST_H

#include "ghatrace/base/error.h"
#include "ghatrace/engine/engine.h"
#include "ghatrace/net/loop.h"
#include "ghatrace/store/store.h"
#include "ghatrace/view/pools_view.h"

struct past_options {
    struct net_loop *loop;
    struct store *store;
    struct engine *engine;
    struct pools_view_settings pools;
};

struct past_watch;

// Reads what is kept, and starts the timer. Everything that the options point to outlives it. All functions run in the
// loop's thread.
enum error_code past_watch_create(const struct past_options *options, struct past_watch **watch,
                                  struct error *error) MUST_CHECK;
// Stores when the trouble was seen last; no more looks. Before the engine is stopped. NULL does nothing.
void past_watch_stop(struct past_watch *watch);
// After the loop was destroyed. NULL does nothing.
void past_watch_destroy(struct past_watch *watch);

#endif
