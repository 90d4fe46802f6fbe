// The current limit on the size of requests: halved when requests fail that may be too large, doubled when requests
// that reached it are accepted, up to the configured size. The last failed size is stored: growth approaches it by
// halving the distance, and exceeds it only after a while. Private to this room. Pure.
#ifndef GHATRACE_SRC_EXPORT_WINDOW_H
#define GHATRACE_SRC_EXPORT_WINDOW_H

#include <stdbool.h>
#include <stddef.h>

#include "ghatrace/base/time.h"

// How long growth stays below a size that failed: the first time, and at most. Doubles each time that size fails
// again.
#define WINDOW_HOLD_FIRST NS_PER_MINUTE
#define WINDOW_HOLD_MAX (2 * NS_PER_HOUR)

struct window_size {
    size_t records, bytes;
};

struct export_window {
    struct window_size now;    // current limits, at least 1
    struct window_size max;    // configured
    struct window_size failed; // growth stays below; 0: unknown, or expired
    struct window_size failed_last;
    timestamp_ns hold_end; // when `failed` expires
    duration_ns hold;
};

void window_init(struct export_window *window, size_t records_max, size_t bytes_max);
// A request of this size, of two records or more, was refused while others were accepted.
void window_shrink(struct export_window *window, struct window_size refused, timestamp_ns now);
// Requests fail, but the cause is not known to be size.
void window_halve(struct export_window *window);
// A request of this size was accepted. `is_limited`: it would have been larger without the window.
void window_grow(struct export_window *window, struct window_size accepted, bool is_limited,
                 timestamp_ns now);
// The failures were due to a single record and are no evidence about sizes.
void window_forget(struct export_window *window);

#endif
