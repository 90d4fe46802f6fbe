// How large requests to a collector are: the limit on sizes, and the records that are retried alone. Private to this
// room. Pure.
#ifndef GHATRACE_SRC_EXPORT_PACE_H
#define GHATRACE_SRC_EXPORT_PACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ghatrace/base/backoff.h"
#include "ghatrace/base/time.h"

static inline size_t size_min(size_t a, size_t b)
{
    return a < b ? a : b;
}

// At least 1.
static inline size_t size_half(size_t n)
{
    return n > 1 ? n / 2 : 1;
}

// --- how large ------------------------------------------------------------------------------------

// The current limit on the size of requests: halved when requests fail that may be too large, doubled when requests
// that reached it are accepted, up to the configured size. The last failed size is stored: growth approaches it by
// halving the distance, and exceeds it only after a while.

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

// --- quarantine ----------------------------------------------------------------------------------
// Records that were refused alone while the endpoint accepted others. They stay in the outbox; each is retried alone
// at increasing intervals. Only numbers of records.

// Each interval is twice the one before, up to this many times the first.
#define QUARANTINE_INTERVAL_GROWTH 128

struct quarantine_entry {
    uint64_t sequence;
    uint32_t size;       // bytes
    uint32_t tries;      // number of times refused alone
    int status;          // of the last response; 0: there was none
    bool is_in_flight;   // a retry is in progress
    timestamp_ns since;  // monotonic
    timestamp_ns due_at; // next try
    duration_ns interval;
    uint64_t refused_at; // tick of the last refusal (plan.h)
    // The first refusal that was about the data: its tick (0: there was none) and its connection.
    uint64_t about_data_at, about_data_connection;
};

struct quarantine {
    struct quarantine_entry *entries; // by sequence; owned
    size_t count, capacity;
    uint64_t bytes;
    timestamp_ns earliest; // no entry is due before; may be too early
};

void quarantine_release(struct quarantine *quarantine);
struct quarantine_entry *quarantine_find(const struct quarantine *quarantine, uint64_t sequence);
// NULL: out of memory. The entry must not exist yet.
struct quarantine_entry *quarantine_add(struct quarantine *quarantine, uint64_t sequence,
                                        uint32_t size, timestamp_ns now, duration_ns interval);
// Does nothing if there is no such entry.
void quarantine_remove(struct quarantine *quarantine, uint64_t sequence);
// Increases the interval and schedules the next try after it, plus or minus a quarter, from `now`.
void quarantine_postpone(struct quarantine *quarantine, struct quarantine_entry *entry,
                         timestamp_ns now, duration_ns first_interval, uint64_t random);
// Marks the entry as no longer in flight.
void quarantine_put_back(struct quarantine *quarantine, struct quarantine_entry *entry);
// Makes all entries due at `now`, or only those that were refused once and before `tick`.
void quarantine_retry_now(struct quarantine *quarantine, timestamp_ns now);
void quarantine_retry_new_now(struct quarantine *quarantine, timestamp_ns now, uint64_t tick);
// The entry that has been due for longest, of those not in flight; NULL if none is due.
struct quarantine_entry *quarantine_due(struct quarantine *quarantine, timestamp_ns now);
// The entry that has been here for longest, of those not in flight.
struct quarantine_entry *quarantine_oldest(const struct quarantine *quarantine);

#endif
