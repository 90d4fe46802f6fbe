// The event stream of the live page: open runs and jobs, and the state of the daemon, sent whenever something was
// committed or the daemon's state has changed, once a second or, if they are large, less often.
#ifndef GHATRACE_ADMIN_LIVE_H
#define GHATRACE_ADMIN_LIVE_H

#include <sys/queue.h>

#include "ghatrace/admin/admin.h"

struct live_subscriber;

// Changes of these values cause new events.
struct live_seen {
    uint64_t commits;
    bool is_ready;
    bool has_usable_headers;
    uint64_t setup_version; // struct ingress_setup
    struct export_status exporting;
};

struct live {
    const struct view_sources *sources;
    struct net_timer *timer; // runs while there are subscribers
    LIST_HEAD(, live_subscriber) subscribers;
    size_t streams; // their number
    struct arena arena;
    struct buffer events;  // rendered once for all subscribers
    struct live_seen seen; // at the last events
    unsigned quiet_ticks;
    unsigned pause; // ticks until changes are sent: large events come less often
};

enum error_code live_init(struct live *live, struct net_loop *loop,
                          const struct view_sources *sources, struct error *error) MUST_CHECK;
void live_stop(struct live *live);
void live_release(struct live *live);
// A route's handler; `context` is the live.
void live_handle(void *context, const struct admin_request *request, struct admin_response *reply);

#endif
