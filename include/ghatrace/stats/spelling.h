// The display text of sets of labels: the spelling that was seen first, the same in every pool and every series, as
// long as one of them has the set. Table spellings: first half of SHA-256 of labels_identity() → labels, as returned
// by labels_join().
#ifndef GHATRACE_STATS_SPELLING_H
#define GHATRACE_STATS_SPELLING_H

#include "ghatrace/base/error.h"
#include "ghatrace/base/slice.h"
#include "ghatrace/stats/stats.h"

// The spelling of a set; if there is none yet, `labels` becomes it. `*shown` is valid until stats_flush().
// ERROR_MEMORY, or an error of the store.
enum error_code spelling_choose(struct stats *stats, struct slice labels, struct slice *shown,
                                struct error *error) MUST_CHECK;
// For spellings from older versions: the first by bytes is kept, in whatever order they are offered.
enum error_code spelling_keep_first(struct stats *stats, struct slice labels,
                                    struct error *error) MUST_CHECK;
// Drops the spellings of sets that no pool and no series has, once there are far more than these can have; does
// nothing until then. After stats_flush().
enum error_code spelling_expire(struct stats *stats, struct error *error) MUST_CHECK;

#endif
