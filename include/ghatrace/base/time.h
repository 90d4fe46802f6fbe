// Points in time: nanoseconds since 1970-01-01T00:00:00Z. Only timestamp_now(), timestamp_monotonic()
// and duration_of_thread() read a clock.
#ifndef GHATRACE_BASE_TIME_H
#define GHATRACE_BASE_TIME_H

#include <stdbool.h>
#include <stdint.h>

#include "ghatrace/base/slice.h"

typedef int64_t timestamp_ns; // 0: unknown. Never a real time: no input is from 1970
typedef int64_t duration_ns;

#define TIMESTAMP_UNKNOWN ((timestamp_ns)0)
#define NS_PER_US ((int64_t)1000)
#define NS_PER_MS ((int64_t)1000000)
#define NS_PER_SECOND ((int64_t)1000000000)
#define NS_PER_MINUTE (60 * NS_PER_SECOND)
#define NS_PER_HOUR (60 * NS_PER_MINUTE)
#define NS_PER_DAY (24 * NS_PER_HOUR)

// Of two times. TIMESTAMP_UNKNOWN sorts before all known times: for the minimum of known times use
// timestamp_earliest_known().
static inline timestamp_ns timestamp_earlier(timestamp_ns a, timestamp_ns b)
{
    return a < b ? a : b;
}
static inline timestamp_ns timestamp_later(timestamp_ns a, timestamp_ns b)
{
    return a > b ? a : b;
}
static inline timestamp_ns timestamp_first_known(timestamp_ns a, timestamp_ns b)
{
    return a != TIMESTAMP_UNKNOWN ? a : b;
}
static inline timestamp_ns timestamp_earliest_known(timestamp_ns a, timestamp_ns b)
{
    if (a == TIMESTAMP_UNKNOWN || b == TIMESTAMP_UNKNOWN)
        return timestamp_first_known(a, b);
    return timestamp_earlier(a, b);
}

// CLOCK_REALTIME.
timestamp_ns timestamp_now(void);
// CLOCK_MONOTONIC; for deadlines of connections, never stored.
timestamp_ns timestamp_monotonic(void);
// CLOCK_THREAD_CPUTIME_ID: the processor time that the calling thread has used.
duration_ns duration_of_thread(void);

// RFC 3339 date-time: `T`, `t` or a space between date and time, any number of fraction digits (truncated to
// nanoseconds), `Z`, `z` or an offset; a missing offset means UTC (all of these occur in GitHub's payloads). A leap
// second :60 is read as the following second. False on anything else, and for years after 2261. A valid time at or
// before 1970-01-01T00:00:00Z gives TIMESTAMP_UNKNOWN: it is a zero value, such as Go's 0001-01-01T00:00:00Z.
bool timestamp_parse_rfc3339(struct slice text, timestamp_ns *time);

#define TIMESTAMP_TEXT_SIZE 32
// "2026-09-03T04:16:57.569Z": milliseconds when `with_ms`, else whole seconds. Returns `text`.
char *timestamp_format_rfc3339(timestamp_ns time, bool with_ms, char text[TIMESTAMP_TEXT_SIZE]);
// "14:02" of UTC; on another day than `now` "11-29 14:02". Returns `text`.
char *timestamp_format_clock(timestamp_ns time, timestamp_ns now, char text[TIMESTAMP_TEXT_SIZE]);

// HTTP-date in any of its three forms (RFC 9110 5.6.7). False on anything else.
bool timestamp_parse_http_date(struct slice text, timestamp_ns *time);

// "10s", "1500ms", "10m", "1h", "6d", "0" (also "us" and "ns"): digits and one unit. A number without a unit is refused
// unless it is 0.
bool duration_parse(struct slice text, duration_ns *duration);
// The shortest exact form that duration_parse() reads: "10m". Returns `text`.
char *duration_format(duration_ns duration, char text[TIMESTAMP_TEXT_SIZE]);
// Human-readable and rounded, as GitHub has durations, at most two units: "850ms", "2.4s", "45s", "1m 5s", "6m 0s", "2h 5m",
// "3d 4h". duration() in admin/page/dom.js gives the same texts. Returns `text`.
char *duration_format_short(duration_ns duration, char text[TIMESTAMP_TEXT_SIZE]);
// For the marks of an axis: the same without a second unit of 0, "6m". Returns `text`.
char *duration_format_tick(duration_ns duration, char text[TIMESTAMP_TEXT_SIZE]);

#endif
