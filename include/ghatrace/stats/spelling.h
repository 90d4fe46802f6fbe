// How sets of labels are shown: as they were spelled first, and the same in every pool and every series, for as long as
// one of these holds the set. Table spellings: first half of SHA-256 of labels_identity() → labels, as labels_join() has
// them.
#ifndef GHATRACE_STATS_SPELLING_H
#define GHATRACE_STATS_SPELLING_H

#include "ghatrace/base/error.h"
#include "ghatrace/base/slice.h"
#include "ghatrace/stats/stats.h"

// The spelling of a set; if there is none yet, this one, from now on. `*shown` is valid until stats_flush(). ERROR_MEMORY,
// or as the store says.
enum error_code spelling_choose(struct stats *stats, struct slice labels, struct slice *shown,
                                struct error *error) MUST_CHECK;
// Of spellings from before there was a choice, whichever comes first by bytes stays, in whatever order they are offered.
enum error_code spelling_offer(struct stats *stats, struct slice labels,
                               struct error *error) MUST_CHECK;
// Drops those of sets that no pool and no series holds, once there are far more than these can hold: until then
// at no cost. After stats_flush().
enum error_code spelling_expire(struct stats *stats, struct error *error) MUST_CHECK;

#endif
