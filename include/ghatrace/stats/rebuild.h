// Rebuilds pools, open jobs and open runs from the states: for a store that is older than these tables, has tables of
// another version, or was written under other rules for pools (pool_rules.h). Series and latencies cannot be rebuilt:
// they start empty, but those of older versions are converted (rebuild.c): what are several pools there and one here is
// added up.
//
// The states are processed in the order of their keys, a number of them per transaction. States before the cursor are
// in the tables, those behind it are not, and every change to a state respects that; so the rebuild continues while
// events are received, and after a crash. Table tally: "version" → be32 · "rules" → a hash of the rules for pools ·
// "cursor" → trace ‖ span ‖ 1 if it also counts waits of running jobs, else 0, during the rebuild · "since" → be64, since
// when series are counted (series.h), which is missing in older stores · "series" → the labels and bounds of series
// (series_options.c) · "ended" → runs.h, while finished runs are listed by their ends, after the rest · "commits" → the
// same for the runs of commits, after these (commits.h); and the servers (runs.h). The version is that of the figures
// in store/versions.h.
#ifndef GHATRACE_STATS_REBUILD_H
#define GHATRACE_STATS_REBUILD_H

#include <stdbool.h>
#include <stddef.h>

#include "ghatrace/base/error.h"
#include "ghatrace/stats/stats.h"
#include "ghatrace/store/store.h"

// True if the tables are complete and of this program's version. Otherwise reads return too little.
enum error_code rebuild_is_done(struct store_transaction *transaction, bool *is_done,
                                struct error *error) MUST_CHECK;
// The same, and by these rules for pools, and series by these options.
enum error_code rebuild_is_done_by_options(const struct stats *stats,
                                           struct store_transaction *transaction, bool *is_done,
                                           struct error *error) MUST_CHECK;
// Starts the rebuild if needed, and processes up to `max` states. Call it after stats_begin(); the first call, with
// `max` 0, must precede the program's first change, so that the writer knows the cursor. `*is_done`: nothing is left.
enum error_code rebuild_continue(struct stats *stats, size_t max, bool *is_done,
                                 struct error *error) MUST_CHECK;

#endif
