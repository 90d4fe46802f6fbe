// The current limit on the size of requests.
#include "window.h"

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

static size_t half_of(size_t n)
{
    return n > 1 ? n / 2 : 1;
}

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
    window->now.records = least(window->now.records, half_of(refused.records));
    window->now.bytes = least(window->now.bytes, half_of(refused.bytes));
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
    window->now.records = half_of(window->now.records);
    window->now.bytes = half_of(window->now.bytes);
}

void window_forget(struct export_window *window)
{
    window->failed = window->failed_last = (struct window_size){.records = 0};
}
