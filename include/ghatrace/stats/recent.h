// Runs whose root went out, by the time at which it did. Each run is listed once: a root that is sent again
// takes the place of the one before. Tables (trace: of scheme arc):
//
//   recent           be64 at ‖ trace → summary: a struct run_sample (summary.c)
//   recent_by_trace  trace → be64 at
//
// A run leaves after `history`, as its spans do, and earlier when room in the store runs short.
#ifndef GHATRACE_STATS_RECENT_H
#define GHATRACE_STATS_RECENT_H

#include <stddef.h>
#include <stdint.h>

#include "ghatrace/base/error.h"
#include "ghatrace/base/time.h"
#include "ghatrace/stats/stats.h"
#include "ghatrace/store/store.h"
#include "ghatrace/trace/sample.h"

// A place in the list.
struct recent_place {
    timestamp_ns at;
    struct trace_id trace; // of scheme arc
};

struct recent_run {
    struct recent_place place;
    struct run_sample measure; // texts are valid until the transaction writes or ends
};

enum error_code recent_put(struct stats *stats, const struct recent_place *place,
                           const struct run_sample *measure, struct error *error) MUST_CHECK;
// Gives the entry of one trace, if there is one, to another.
enum error_code recent_move(struct stats *stats, const struct trace_id *from,
                            const struct trace_id *to, struct error *error) MUST_CHECK;
// Drops up to `max` runs that are from before `before`; `*dropped` tells how many.
enum error_code recent_expire(struct store_transaction *transaction, timestamp_ns before,
                              size_t max, size_t *dropped, struct error *error) MUST_CHECK;

uint64_t recent_count(struct store_transaction *transaction);
// The newest run before `place` in time; all zero gives the newest of all. To go on, pass the place of what was
// found. ERROR_NOT_FOUND at the end.
enum error_code recent_seek_older(struct store_transaction *transaction,
                                  const struct recent_place *place, struct recent_run *run,
                                  struct error *error) MUST_CHECK;
// The summary of one run. ERROR_NOT_FOUND.
enum error_code recent_find(struct store_transaction *transaction, const struct trace_id *trace,
                            struct recent_run *run, struct error *error) MUST_CHECK;

#endif
