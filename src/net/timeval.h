// Durations as libevent wants them.
#ifndef GHATRACE_NET_TIMEVAL_H
#define GHATRACE_NET_TIMEVAL_H

#include <sys/time.h>

#include "ghatrace/base/timestamp.h"

// Rounded up to the microsecond, so that a timer never fires before its time; negative counts as 0.
static inline struct timeval timeval_from_duration(duration_ns duration)
{
    duration_ns us = duration <= 0 ? 0 : (duration - 1) / 1000 + 1;

    return (struct timeval){.tv_sec = (time_t)(us / 1000000),
                            .tv_usec = (suseconds_t)(us % 1000000)};
}

#endif
