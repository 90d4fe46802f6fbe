// Internals of the loop, for the rest of net/.
#ifndef GHATRACE_NET_LOOP_PRIVATE_H
#define GHATRACE_NET_LOOP_PRIVATE_H

#include <stddef.h>
#include <sys/queue.h>
#include <sys/time.h>

#include "ghatrace/base/time.h"
#include "ghatrace/net/loop.h"

// For libevent; rounded up to the microsecond, so that a timer never fires early; negative becomes 0.
struct timeval timeval_from_duration(duration_ns duration);

// --- loop private ---------------------------------------------------------------------------------
// The loop's reaper and its receive buffer.

// A closed object that is freed at the end of the loop's turn; embedded in the object.
struct net_dying {
    void (*reap)(struct net_dying *dying); // calls the owner a last time, then frees the object
    STAILQ_ENTRY(net_dying) dying;
};

// Objects are reaped in this order, when no callback is on the stack. In the loop's thread.
void net_loop_reap_later(struct net_loop *loop, struct net_dying *dying);

// One receive buffer for all connections of the loop, so that idle connections need none. Its content is valid until
// the next connection is read.
#define NET_SCRATCH_SIZE ((size_t)65536)
char *net_loop_scratch(struct net_loop *loop);

#endif
