// The lists of runs, finished and open, and their servers.
#ifndef GHATRACE_STATS_RUNS_H
#define GHATRACE_STATS_RUNS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ghatrace/base/arena.h"
#include "ghatrace/base/error.h"
#include "ghatrace/base/time.h"
#include "ghatrace/stats/stats.h"
#include "ghatrace/store/store.h"
#include "ghatrace/trace/ids.h"
#include "ghatrace/trace/spans.h"

// --- finished runs --------------------------------------------------------------------------------
// Runs whose root was sent, by the time of sending. Each run is listed once: a root that is sent again replaces the
// earlier entry. Tables (trace: of scheme arc):
//
//   recent           be64 at ‖ trace → summary: a struct run_sample (runs.c)
//   recent_by_trace  trace → be64 at
//   ended_runs       be64 ended at ‖ trace → be64 at: the same runs by their ends. Of a run without an end, or whose
//                    summary is damaged, `at` counts as its end
//
// For a store of an older version ended_runs is filled a number of runs per transaction, the newest first (rebuild.h).
// Table tally: "ended" → be64 at ‖ trace, of the run that was added last, until all are.
// A run is dropped after `history`, like its spans, and earlier when the store runs short of space.

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

// --- open runs ------------------------------------------------------------------------------------
// Runs whose root was not sent. Table open_runs: be64 run id ‖ be64 attempt → empty; for a run of another server than
// github.com, if it is stored under a key of its own (trace/ids.h): be64 run id ‖ be64 attempt ‖ trace. GitHub's run
// ids increase, so the newest run of a server has the last key.

// Adding a run that is there already, or removing one that is not, is no error.
enum error_code open_runs_put(struct stats *stats, const struct stored_run *run,
                              struct error *error) MUST_CHECK;
enum error_code open_runs_delete(struct stats *stats, const struct stored_run *run,
                                 struct error *error) MUST_CHECK;
// Deletes a run of which only the id and the trace are known. No error if there is none.
enum error_code open_runs_remove_unreadable(struct stats *stats, const struct stored_run *run,
                                            struct error *error) MUST_CHECK;

uint64_t open_runs_count(struct store_transaction *transaction);
// The newest run that is older than `*run`; sets `*run`. All zero means the newest of all. ERROR_NOT_FOUND at the
// end.
enum error_code open_runs_seek_older(struct store_transaction *transaction, struct stored_run *run,
                                     struct error *error) MUST_CHECK;

// --- servers --------------------------------------------------------------------------------------
// The servers, other than github.com, from which events were received: they are searched for a run of which only the
// id is known. Table tally: "server:" ‖ name → empty. Names are never deleted, up to SERVERS_MAX; runs of further
// servers are only found with the name of the server.

#define SERVERS_MAX 100

// Does nothing for github.com, whose name is empty; O(1) for a known server.
enum error_code servers_note(struct stats *stats, struct slice server,
                             struct error *error) MUST_CHECK;
// Sorted by name, texts in the arena.
enum error_code servers_list(struct store_transaction *transaction, struct arena *arena,
                             struct slice servers[SERVERS_MAX], size_t *count,
                             struct error *error) MUST_CHECK;

#endif
