// Pools, open jobs and open runs made from the states: for a store from before there were tables, or
// with tables of another version. Series and latencies cannot be made again: they begin empty, but those of version 1
// are taken over (upgrade.c), with sets of labels that differ in case, order or number only added up.
//
// The states are walked in the order of their keys, a piece a transaction. What is before the cursor is in the
// tables, what is behind it is not, and every change to a state keeps to that, so that the walk may go on
// while events come in, and goes on after a crash. Table tally: "version" → be32 · "cursor" → trace ‖ span, while walking;
// and what servers.h says. The version is that of the figures in store/versions.h.
#ifndef GHATRACE_STATS_REBUILD_H
#define GHATRACE_STATS_REBUILD_H

#include <stdbool.h>
#include <stddef.h>

#include "ghatrace/base/error.h"
#include "ghatrace/stats/stats.h"
#include "ghatrace/store/store.h"

// Are the tables of this program's version, and whole? What is read from them is else too little.
enum error_code rebuild_is_done(struct store_transaction *transaction, bool *is_done,
                                struct error *error) MUST_CHECK;
// Begins if need be, and takes up to `max` states in. Call it after stats_begin(), and before the first change of the
// program's life with `max` 0, so that the writer knows where the cursor stands. `*is_done`: nothing is left.
enum error_code rebuild_continue(struct stats *stats, size_t max, bool *is_done,
                                 struct error *error) MUST_CHECK;

#endif
