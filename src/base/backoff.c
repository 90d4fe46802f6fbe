// The wait after a failure.
#include "ghatrace/base/backoff.h"

#define WAIT_MAX (24 * NS_PER_HOUR) // longer waits are not useful, and this one cannot overflow

static duration_ns within(duration_ns wait, duration_ns low, duration_ns high)
{
    if (wait < low)
        return low;
    return wait < high ? wait : high;
}

void backoff_init(struct backoff *backoff, duration_ns first, duration_ns max)
{
    backoff->first = within(first > 0 ? first : NS_PER_MS, 1, WAIT_MAX);
    backoff->max = within(max, backoff->first, WAIT_MAX);
    backoff_reset(backoff);
}

void backoff_reset(struct backoff *backoff)
{
    backoff->next = backoff->first;
}

// "the client SHOULD implement an exponential backoff strategy between retries", and by the
// exporter's specification "This retry strategy MUST implement ... jitter".
duration_ns backoff_step(struct backoff *backoff, uint64_t random)
{
    duration_ns base = backoff->next;
    duration_ns wait = base / 2 + (duration_ns)(random % ((uint64_t)base + 1));

    backoff->next = within(base + base / 2, backoff->first, backoff->max);
    return within(wait, 1, backoff->max);
}

// "the client SHOULD honor the waiting period specified in the Retry-After header". With a wait of 0, a broken proxy
// would cause a flood of requests.
duration_ns backoff_honour(duration_ns wait, duration_ns otherwise)
{
    if (wait <= 0)
        return otherwise;
    return wait < BACKOFF_RETRY_AFTER_MAX ? wait : BACKOFF_RETRY_AFTER_MAX;
}

uint64_t backoff_random(uint64_t *state)
{
    uint64_t x = *state;
    x ^= x >> 12;
    x ^= x << 25;
    x ^= x >> 27;
    *state = x;
    return (x * UINT64_C(2685821657736338717)) >> 16; // the low bits are weak
}

uint64_t backoff_seed(timestamp_ns now, timestamp_ns monotonic, int64_t process_id)
{
    return ((uint64_t)now ^ (uint64_t)process_id << 32 ^ (uint64_t)monotonic) | 1;
}
