// The stream that the live page follows: what is open, and how the daemon fares, whenever something was committed.
#ifndef GHATRACE_VIEW_LIVE_H
#define GHATRACE_VIEW_LIVE_H

#include "ghatrace/ingress/admin.h"
#include "ghatrace/view/sources.h"

struct live_subscriber;

struct live {
    const struct view_sources *sources;
    struct net_timer *timer; // runs while there are subscribers
    struct live_subscriber *first;
    struct arena arena;
    struct buffer events; // rendered once for all
    uint64_t commits;     // as of the last events
    unsigned quiet_ticks;
};

enum error_code live_init(struct live *live, struct net_loop *loop,
                          const struct view_sources *sources, struct error *error) MUST_CHECK;
void live_stop(struct live *live);
void live_release(struct live *live);
// A route's handler; `context` is the live.
void live_handle(void *context, const struct admin_request *request, struct admin_reply *reply);

#endif
