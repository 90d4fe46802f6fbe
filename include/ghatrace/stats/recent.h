// Runs whose root was sent, by the time of sending. Each run is listed once: a root that is sent again replaces the
// earlier entry. Tables (trace: of scheme arc):
//
//   recent           be64 at ‖ trace → summary: a struct run_sample (recent.c)
//   recent_by_trace  trace → be64 at
//   ended_runs       be64 ended at ‖ trace → be64 at: the same runs by their ends. Of a run without an end, or whose
//                    summary is damaged, `at` counts as its end
//
// For a store of an older version ended_runs is filled a number of runs per transaction, the newest first (rebuild.h).
// Table tally: "ended" → be64 at ‖ trace, of the run that was added last, until all are.
// A run is dropped after `history`, like its spans, and earlier when the store runs short of space.
#ifndef GHATRACE_STATS_RECENT_H
#define GHATRACE_STATS_RECENT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ghatrace/base/error.h"
#include "ghatrace/base/time.h"
#include "ghatrace/stats/stats.h"
#include "ghatrace/store/store.h"
#include "ghatrace/trace/spans.h"

// A position in the list.
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
// Moves the entry of one trace, if there is one, to another trace.
enum error_code recent_move(struct stats *stats, const struct trace_id *from,
                            const struct trace_id *to, struct error *error) MUST_CHECK;
// Drops up to `max` runs from before `before`; `*dropped` is their number.
enum error_code recent_expire(struct store_transaction *transaction, timestamp_ns before,
                              size_t max, size_t *dropped, struct error *error) MUST_CHECK;

// The key of the run's state and records.
struct stored_run recent_stored_run(const struct recent_run *run);
// The newest root span of a run, with its resource; memory from the arena, texts as long as the transaction.
// ERROR_NOT_FOUND, ERROR_CORRUPT.
enum error_code recent_read_root(struct store_transaction *transaction,
                                 const struct stored_run *run, struct arena *arena,
                                 struct span_batch *batch, struct error *error) MUST_CHECK;

uint64_t recent_count(struct store_transaction *transaction);
// The newest run before `place` in time; all zero means the newest of all. To continue, pass the place of the run
// found. ERROR_NOT_FOUND at the end.
enum error_code recent_seek_older(struct store_transaction *transaction,
                                  const struct recent_place *place, struct recent_run *run,
                                  struct error *error) MUST_CHECK;
// A position in the list by ends: `at` is the end. An end after the run was sent is wrong, and would keep the run at the top of
// the list: then, and if it is not known, `at` is when it was sent.
struct recent_place recent_end_place(const struct recent_run *run);
// As recent_seek_older(), but by ends: the place is that of recent_end_place(), and `run->place` still that of sending.
// While runs end later than `place`, what follows it stays the same.
enum error_code recent_seek_ended_before(struct store_transaction *transaction,
                                         const struct recent_place *place, struct recent_run *run,
                                         struct error *error) MUST_CHECK;
// False: an older version wrote the store, and not all runs are in the list by ends yet.
enum error_code recent_has_ends(struct store_transaction *transaction, bool *has_ends,
                                struct error *error) MUST_CHECK;
// The summary of one run. ERROR_NOT_FOUND.
enum error_code recent_find(struct store_transaction *transaction, const struct trace_id *trace,
                            struct recent_run *run, struct error *error) MUST_CHECK;

#endif
