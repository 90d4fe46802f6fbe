// How long to wait before the next request to a collector that failed. Private to this room. Pure.
#ifndef GHATRACE_SRC_EXPORT_BACKOFF_H
#define GHATRACE_SRC_EXPORT_BACKOFF_H

#include <stdint.h>

#include "ghatrace/base/time.h"

#define EXPORT_RETRY_AFTER_MAX (10 * NS_PER_MINUTE)

struct export_backoff {
    duration_ns first, max;
    duration_ns next; // before jitter
};

void backoff_init(struct export_backoff *backoff, duration_ns first, duration_ns max);
// Resets the wait to the first step, after a success.
void backoff_reset(struct export_backoff *backoff);
// The wait after one more failure: the current step plus or minus half of it, never over `max` and never 0; then
// makes the step longer. `random` is any uniformly distributed number.
duration_ns backoff_step(struct export_backoff *backoff, uint64_t random);
// The wait if the collector asked for `wait`: that, but at most 10 minutes; if `wait` is 0 or less, `otherwise`.
duration_ns backoff_honour(duration_ns wait, duration_ns otherwise);

// xorshift64*: enough to keep the requests of a fleet from synchronizing. The state must not be 0.
uint64_t backoff_random(uint64_t *state);

#endif
