// Which connection is closed when another one needs its place, and how long a body may take. Pure.
#ifndef GHATRACE_INGRESS_EVICTION_H
#define GHATRACE_INGRESS_EVICTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ghatrace/base/timestamp.h"

// What a connection waits for. One that is owed an answer is in no group, and is never closed for another.
enum eviction_group {
    EVICTION_NONE,
    EVICTION_HEAD,   // a TLS handshake, a request's head, or, idle, the next request
    EVICTION_BODY,   // the rest of a body, whose signature cannot be checked before its end
    EVICTION_OUTPUT, // the client has to read answers, or to close after the last one
    EVICTION_LATE,   // a 401 that is held back
    EVICTION_GROUPS
};

// Before this age a connection is closed only where no other can be, and never while it reads a body: honest ones
// have sent theirs by then, nearly always.
#define EVICTION_AGE NS_PER_SECOND

struct eviction_facts {
    enum eviction_group group;
    duration_ns waited;  // since it joined the group; a body's: since its head
    duration_ns stalled; // OUTPUT: since the client last took something
    uint64_t bytes;      // BODY: of it so far
};

// How many connections are in each group.
struct eviction_counts {
    size_t members[EVICTION_GROUPS];
};

enum eviction_choice {
    EVICTION_NOT_NOW,
    EVICTION_IF_NO_OTHER, // it has hardly had time
    EVICTION_READY
};

enum eviction_choice eviction_may_close(const struct eviction_facts *facts,
                                        const struct eviction_counts *counts);
// Is `a` to be closed before `b`? Both may be closed. Those whose 401 is held back come first; then what is ready
// before what has hardly had time; then the largest group, since whoever fills the places has most of them; in a
// group
//   - of heads: the longest wait,
//   - of bodies: the fewest bytes per second since the head, then the longest wait,
//   - of output: the longest stall.
bool eviction_is_before(const struct eviction_facts *a, const struct eviction_facts *b,
                        const struct eviction_counts *counts);

// --- slow bodies ---

// A body has to come at this rate, as the mean since its head, from BODY_GRACE on.
#define BODY_BYTES_PER_SECOND 4096
#define BODY_GRACE (5 * NS_PER_SECOND)

// How long after its head a body of which `bytes` have come is too slow: at least `grace`.
duration_ns eviction_body_time(uint64_t bytes, duration_ns grace);

#endif
