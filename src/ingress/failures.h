// Who signs wrongly, and how long such a client waits for its answer. A table of fixed size; the client that
// was quiet for longest makes room for another, so a flood from everywhere forgets some and holds nobody.
#ifndef GHATRACE_INGRESS_FAILURES_H
#define GHATRACE_INGRESS_FAILURES_H

#include <stdint.h>

#include "ghatrace/base/error.h"
#include "ghatrace/base/timestamp.h"
#include "ghatrace/net/network.h"

#define FAILURES_FREE 20                     // answered at once, for a start
#define FAILURES_DRAIN (3 * NS_PER_SECOND)   // one failure is forgiven in this time
#define FAILURES_SLOWEST (5 * NS_PER_SECOND) // GitHub itself waits for 10 s

struct failures;

enum error_code failures_create(struct failures **failures, struct error *error) MUST_CHECK;
void failures_destroy(struct failures *failures);

// One more failed signature, at `now` by the steady clock; of IPv6 the /64 counts. Returns how long its answer is
// to be held back: 0, then 1 s, 2 s and FAILURES_SLOWEST as they go on. From any thread.
duration_ns failures_note(struct failures *failures, const struct net_ip *ip, timestamp_ns now);
// How many were held back.
uint64_t failures_slowed(struct failures *failures);

#endif
