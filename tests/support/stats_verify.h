// Compares the figures with the states that they are computed from. A difference fails the test.
#ifndef GHATRACE_TESTS_SUPPORT_STATS_VERIFY_H
#define GHATRACE_TESTS_SUPPORT_STATS_VERIFY_H

#include "ghatrace/base/buffer.h"
#include "ghatrace/stats/pool_rules.h"
#include "ghatrace/store/store.h"

// The rules for pools by which the figures were counted; NULL, as it begins: none.
extern const struct pool_rules *stats_verify_rules;

// Walks all states: each open job is in its pool (or in "(one-off)") with the right time, once, and no other job is; each
// pool counts its jobs; the open runs are those that are listed; the finished runs are listed
// once each.
void stats_verify(struct store *store);

// Sums up the changes of queued and running jobs of each pool over all minutes: they are the jobs that it has now. While
// every change is as new as minutes are kept.
void stats_verify_minutes(struct store *store);

// Appends all that was counted, as text: series, latencies, pools with jobs, open and finished runs. Times of
// processing are left out, so that runs of the program can be compared.
void stats_write(struct store *store, struct buffer *text);

#endif
