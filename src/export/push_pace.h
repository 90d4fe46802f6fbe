// When the next snapshot of metrics is sent. Private to this room. Pure: the time and random numbers are arguments.
#ifndef GHATRACE_SRC_EXPORT_PUSH_PACE_H
#define GHATRACE_SRC_EXPORT_PUSH_PACE_H

#include <stdint.h>

#include "ghatrace/base/time.h"
#include "pace.h"

// The first wait after a failure, and the longest, where the interval is not shorter, or longer.
#define PUSH_BACKOFF_FIRST (5 * NS_PER_SECOND)
#define PUSH_BACKOFF_MAX (5 * NS_PER_MINUTE)

enum push_failure {
    PUSH_LATER,   // it may be accepted soon: no answer, 429, 503
    PUSH_REFUSED, // it was refused for what it is: the next one may differ
    PUSH_ABSENT,  // there are no metrics at this endpoint
};

struct push_pace {
    duration_ns interval, absent_interval;
    struct backoff backoff;
    timestamp_ns due_at; // monotonic: the next snapshot
    uint64_t failures;   // in a row
};

// The first snapshot is due after an interval.
void push_pace_init(struct push_pace *pace, duration_ns interval, duration_ns absent_interval,
                    timestamp_ns now);
// A snapshot was accepted. Due times keep their distance: those that were missed are left out.
void push_pace_sent(struct push_pace *pace, timestamp_ns now);
// `retry_after`: 0 if the endpoint did not ask for one; it counts for PUSH_LATER only.
void push_pace_failed(struct push_pace *pace, enum push_failure failure, duration_ns retry_after,
                      timestamp_ns now, uint64_t random);
// The next snapshot is due, unless none has failed.
void push_pace_try_now(struct push_pace *pace, timestamp_ns now);

#endif
