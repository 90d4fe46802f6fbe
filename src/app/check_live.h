// One question to the admin listener of a daemon, for tools.
#ifndef GHATRACE_APP_CHECK_LIVE_H
#define GHATRACE_APP_CHECK_LIVE_H

#include "cli.h"
#include "ghatrace/admin/setup.h"
#include "ghatrace/base/buffer.h"
#include "ghatrace/base/error.h"
#include "ghatrace/base/slice.h"
#include "ghatrace/base/time.h"
#include "ghatrace/export/endpoint.h"

// --- `ghatrace check --live`: what a running daemon says of how it is set up ----------------------

// Asks the daemon at `url`, or at admin-listen where that is NULL, and prints its list. Returns EXIT_OK; EXIT_FAILED
// when something is wrong or no daemon answers; EXIT_USAGE.
int check_live(struct cli_args *cli_args, const char *url);

// --- setup watch ----------------------------------------------------------------------------------
// Logs what is wrong with how the webhook is set up, and when it is right again.

#define SETUP_WATCH_LEAST                                                                          \
    NS_PER_MINUTE                     // between two lines about one subject, whatever strangers do
#define SETUP_WATCH_AGAIN NS_PER_HOUR // then it is said again, if more was refused

// All zero: nothing was said yet.
struct setup_watch {
    struct {
        enum setup_state state; // that was said last; SETUP_OK at first
        timestamp_ns said_at;   // by the steady clock; 0: never
        uint64_t refused;       // at that time
    } items[SETUP_SUBJECTS];
};

// Should this item be said at `now` (timestamp_monotonic)? Then it counts as said. Pure.
bool setup_watch_wants(struct setup_watch *watch, enum setup_subject subject,
                       const struct setup_item *item, timestamp_ns now);
// Says what is to be said.
void setup_watch_look(struct setup_watch *watch, const struct setup_facts *facts, timestamp_ns now);

#endif
