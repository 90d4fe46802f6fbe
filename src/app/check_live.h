// What a running daemon says of its setup, for `ghatrace check --live` and for the log.
#ifndef GHATRACE_APP_CHECK_LIVE_H
#define GHATRACE_APP_CHECK_LIVE_H

#include "cli.h"
#include "ghatrace/admin/setup.h"
#include "ghatrace/base/buffer.h"
#include "ghatrace/base/error.h"
#include "ghatrace/base/slice.h"
#include "ghatrace/base/time.h"

// --- `ghatrace check --live`: what a running daemon reports about its setup -----------------------

// Queries the daemon at `url`, or at admin-listen if that is NULL, and prints its list. Returns EXIT_OK; EXIT_FAILED
// if something is wrong or no daemon responds; EXIT_USAGE.
int check_live(struct cli_args *cli_args, const char *url);

// --- setup watch ----------------------------------------------------------------------------------
// Logs problems in the setup of the webhook, and when they are resolved.

#define SETUP_WATCH_LEAST                                                                          \
    NS_PER_MINUTE                     // between two lines about one subject, whatever clients send
#define SETUP_WATCH_AGAIN NS_PER_HOUR // then it is logged again, if more was refused

// All zero: nothing was logged yet.
struct setup_watch {
    struct {
        enum setup_state state; // that was logged last; SETUP_OK at first
        timestamp_ns logged_at; // monotonic; 0: never
        uint64_t refused;       // at that time
    } items[SETUP_SUBJECTS];
};

// True if this item is to be logged at `now` (timestamp_monotonic). It then counts as logged. Pure.
bool setup_watch_is_due(struct setup_watch *watch, enum setup_subject subject,
                        const struct setup_item *item, timestamp_ns now);
// Logs the items that are due.
void setup_watch_log(struct setup_watch *watch, const struct setup_facts *facts, timestamp_ns now);

#endif
