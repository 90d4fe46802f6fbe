// Holds the figures to the states that they are figures of. What does not agree fails the test.
#ifndef GHATRACE_TESTS_SUPPORT_STATS_VERIFY_H
#define GHATRACE_TESTS_SUPPORT_STATS_VERIFY_H

#include "ghatrace/base/buffer.h"
#include "ghatrace/store/store.h"

// Walks all states: each open job stands in its pool (or in "other"), as long as it should, once, and no other
// does; each pool counts its jobs; the open runs are those that are listed; the finished runs are listed
// once each.
void stats_verify(struct store *store);

// Appends all that was counted, as text: series, latencies, pools with jobs, open and finished runs. Without the times at
// which things were done here, so that runs of the program can be compared.
void stats_write(struct store *store, struct buffer *text);

#endif
