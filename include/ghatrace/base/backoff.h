// The wait after a failure: exponential, with jitter. Pure.
#ifndef GHATRACE_BASE_BACKOFF_H
#define GHATRACE_BASE_BACKOFF_H

#include <stdint.h>

#include "ghatrace/base/time.h"

#define BACKOFF_RETRY_AFTER_MAX (10 * NS_PER_MINUTE)

struct backoff {
    duration_ns first, max;
    duration_ns next; // before jitter
};

void backoff_init(struct backoff *backoff, duration_ns first, duration_ns max);
// Resets the wait to the first step, after a success.
void backoff_reset(struct backoff *backoff);
// The wait after one more failure: the current step plus or minus half of it, never over `max` and never 0; then
// makes the step longer. `random` is any uniformly distributed number.
duration_ns backoff_step(struct backoff *backoff, uint64_t random);
// The wait if the server asked for `wait`: that, but at most 10 minutes; if `wait` is 0 or less, `otherwise`.
duration_ns backoff_honour(duration_ns wait, duration_ns otherwise);

// xorshift64*: enough to keep the requests of a fleet from synchronizing. The state must not be 0.
uint64_t backoff_random(uint64_t *state);
// A first state, from what differs between processes.
uint64_t backoff_seed(timestamp_ns now, timestamp_ns monotonic, int64_t process_id);

#endif
