// Signs of life of a thread, for a watchdog.
#ifndef GHATRACE_BASE_HEARTBEAT_H
#define GHATRACE_BASE_HEARTBEAT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct heartbeat {
    const char *thread; // its name, for messages
    uint64_t beats;     // grows while the thread makes progress
    bool is_committing; // it waits for the disk or for the store's lock, which may take any time
};

// From now on heartbeat_beat() in this thread counts in `beats`, which only this thread may change; NULL: nowhere, as
// before the first call.
void heartbeat_use(_Atomic uint64_t *beats);
// Progress of this thread: the store calls it before each access to its pages, so that long work on a slow disk
// does not look like a thread that is stuck. Costs a few instructions.
void heartbeat_beat(void);

#endif
