// When the next snapshot of metrics is sent.
#include "push_pace.h"

static duration_ns shorter(duration_ns a, duration_ns b)
{
    return a < b ? a : b;
}

static duration_ns longer(duration_ns a, duration_ns b)
{
    return a > b ? a : b;
}

void push_pace_init(struct push_pace *pace, duration_ns interval, duration_ns absent_interval,
                    timestamp_ns now)
{
    *pace = (struct push_pace){.interval = interval,
                               .absent_interval = longer(absent_interval, interval),
                               .due_at = now + interval};
    backoff_init(&pace->backoff, shorter(interval, PUSH_BACKOFF_FIRST),
                 longer(interval, PUSH_BACKOFF_MAX));
}

void push_pace_sent(struct push_pace *pace, timestamp_ns now)
{
    pace->failures = 0;
    backoff_reset(&pace->backoff);
    if (pace->due_at <= now)
        pace->due_at += ((now - pace->due_at) / pace->interval + 1) * pace->interval;
}

void push_pace_failed(struct push_pace *pace, enum push_failure failure, duration_ns retry_after,
                      timestamp_ns now, uint64_t random)
{
    duration_ns wait = backoff_step(&pace->backoff, random);
    pace->failures++;
    switch (failure) {
    case PUSH_LATER:
        wait = backoff_honour(retry_after, wait);
        break;
    case PUSH_REFUSED:
        wait = longer(wait, pace->interval);
        break;
    case PUSH_ABSENT:
        wait = pace->absent_interval;
        break;
    }
    pace->due_at = now + wait;
}

void push_pace_try_now(struct push_pace *pace, timestamp_ns now)
{
    if (pace->failures > 0 && pace->due_at > now)
        pace->due_at = now;
}
