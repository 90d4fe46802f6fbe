// How many log lines of one kind are written.
#include "ghatrace/base/log_limit.h"

bool log_limit_allows(struct log_limit *limit, timestamp_ns now, uint64_t *held_back)
{
    *held_back = 0;
    if (limit->lines == 0 || now - limit->window_start >= LOG_LIMIT_WINDOW) {
        limit->window_start = now;
        limit->lines = 0;
    }
    if (limit->lines == LOG_LIMIT_LINES) {
        limit->held_back++;
        return false;
    }
    limit->lines++;
    *held_back = limit->held_back;
    limit->held_back = 0;
    return true;
}
