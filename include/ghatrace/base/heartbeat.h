// Signs of life of a thread, for a watchdog.
#ifndef GHATRACE_BASE_HEARTBEAT_H
#define GHATRACE_BASE_HEARTBEAT_H

#include <stdbool.h>
#include <stdint.h>

struct heartbeat {
    const char *thread; // its name, for messages
    uint64_t beats;     // grows while the thread makes progress
    bool is_committing; // it waits for the disk or for the store's lock, which may take any time
};

#endif
