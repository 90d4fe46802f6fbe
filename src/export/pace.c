// How soon and how large requests are: exponential backoff with jitter, and the window.
#include "pace.h"

// --- how soon -------------------------------------------------------------------------------------

#define WAIT_MAX (24 * NS_PER_HOUR) // longer waits are not useful, and this one cannot overflow

static duration_ns within(duration_ns wait, duration_ns low, duration_ns high)
{
    if (wait < low)
        return low;
    return wait < high ? wait : high;
}

void backoff_init(struct export_backoff *backoff, duration_ns first, duration_ns max)
{
    backoff->first = within(first > 0 ? first : NS_PER_MS, 1, WAIT_MAX);
    backoff->max = within(max, backoff->first, WAIT_MAX);
    backoff_reset(backoff);
}

void backoff_reset(struct export_backoff *backoff)
{
    backoff->next = backoff->first;
}

// "the client SHOULD implement an exponential backoff strategy between retries", and by the
// exporter's specification "This retry strategy MUST implement ... jitter".
duration_ns backoff_step(struct export_backoff *backoff, uint64_t random)
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
    return wait < EXPORT_RETRY_AFTER_MAX ? wait : EXPORT_RETRY_AFTER_MAX;
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

// --- how large ------------------------------------------------------------------------------------

void window_init(struct export_window *window, size_t records_max, size_t bytes_max)
{
    struct window_size max = {
        .records = records_max > 0 ? records_max : 1,
        .bytes = bytes_max > 0 ? bytes_max : 1,
    };
    *window = (struct export_window){.now = max, .max = max, .hold = WINDOW_HOLD_FIRST};
}

static void check_hold(struct export_window *window, timestamp_ns now)
{
    if (window->failed.records == 0 || now < window->hold_end)
        return;
    window->failed = (struct window_size){.records = 0};
    window->hold = window->hold < WINDOW_HOLD_MAX / 2 ? 2 * window->hold : WINDOW_HOLD_MAX;
}

void window_shrink(struct export_window *window, struct window_size refused, timestamp_ns now)
{
    check_hold(window, now);
    if (window->failed.records == 0)
        window->hold_end = now + window->hold;
    window->failed = window->failed_last = refused;
    window->now.records = size_min(window->now.records, size_half(refused.records));
    window->now.bytes = size_min(window->now.bytes, size_half(refused.bytes));
}

static size_t grown(size_t now, size_t failed, size_t max)
{
    size_t target = now < max / 2 ? 2 * now : max;
    if (failed == 0 || target < failed)
        return target;
    if (now >= failed || failed - now <= failed / 8)
        return now;
    return now + (failed - now) / 2;
}

void window_grow(struct export_window *window, struct window_size accepted, bool is_limited,
                 timestamp_ns now)
{
    check_hold(window, now);
    // The failure was not due to size, or the endpoint accepts more than before.
    if (accepted.records >= window->failed_last.records &&
        accepted.bytes >= window->failed_last.bytes) {
        window->failed = window->failed_last = (struct window_size){.records = 0};
        window->hold = WINDOW_HOLD_FIRST;
    }
    if (!is_limited)
        return;
    window->now.records = grown(window->now.records, window->failed.records, window->max.records);
    window->now.bytes = grown(window->now.bytes, window->failed.bytes, window->max.bytes);
}

void window_halve(struct export_window *window)
{
    window->now.records = size_half(window->now.records);
    window->now.bytes = size_half(window->now.bytes);
}

void window_forget(struct export_window *window)
{
    window->failed = window->failed_last = (struct window_size){.records = 0};
}
