// How many log lines of one kind are written where strangers, or a fault that goes on, can cause any
// number of them. Pure; one thread at a time.
#ifndef GHATRACE_BASE_LOG_LIMIT_H
#define GHATRACE_BASE_LOG_LIMIT_H

#include <stdbool.h>
#include <stdint.h>

#include "ghatrace/base/timestamp.h"

#define LOG_LIMIT_LINES 10 // in each window
#define LOG_LIMIT_WINDOW NS_PER_MINUTE

// All zero: nothing was written yet.
struct log_limit {
    timestamp_ns window_start; // by the steady clock
    unsigned lines;
    uint64_t held_back;
};

// May one more line be written at `now` (timestamp_monotonic)? If so, `*held_back` tells how many were not
// since the last one that was: the line should say so.
bool log_limit_allows(struct log_limit *limit, timestamp_ns now, uint64_t *held_back);

#endif
