// The runs of a commit: all attempts, of all servers and repositories, as long as they are open or in the list of
// finished runs (runs.h). Table commits:
//
//   size ‖ commit ‖ be64 run id ‖ be64 attempt ‖ trace → empty
//
// `size` is a byte, that of the commit's id: 20 or 32. `trace` only for a run of another server than github.com that is
// stored under a key of its own (trace/ids.h). So the runs of a commit are adjacent, by their ids, which GitHub increases.
// A run whose events name no commit, or something else than 40 or 64 hexadecimal digits, is not in the table.
//
// An entry is written when an open run is first stored with its commit, or with another one, and if it is not there when
// the run's root is sent; it is deleted with the run in the list of finished ones. A run whose state cannot be read may
// leave its entry behind: readers skip entries without a run.
//
// In a store of an older version it is filled from that list and from the states, a number of them per transaction.
// Table tally: "commits" → 01 when all are in it; before that 01 ‖ 01 ‖ key in `recent` up to which finished runs are in
// it, or 01 ‖ 02 ‖ trace ‖ span of the state that is next.
#ifndef GHATRACE_STATS_COMMITS_H
#define GHATRACE_STATS_COMMITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ghatrace/base/error.h"
#include "ghatrace/stats/runs.h"
#include "ghatrace/stats/stats.h"
#include "ghatrace/store/store.h"
#include "ghatrace/trace/ids.h"

// Adding a run that is there already, or removing one that is not, is no error. Nothing is done for no commit.
enum error_code commits_put(struct store_transaction *transaction, const struct commit_id *commit,
                            const struct stored_run *run, struct error *error) MUST_CHECK;
enum error_code commits_delete(struct store_transaction *transaction,
                               const struct commit_id *commit, const struct stored_run *run,
                               struct error *error) MUST_CHECK;

// For the list of finished runs: before a run is put there, and before it is dropped.
enum error_code commits_finish_run(struct store_transaction *transaction,
                                   const struct trace_id *trace, const struct run_sample *measure,
                                   struct error *error) MUST_CHECK;
enum error_code commits_forget_run(struct store_transaction *transaction,
                                   const struct trace_id *trace, struct error *error) MUST_CHECK;

uint64_t commits_count(struct store_transaction *transaction); // of runs
// The newest run of the commit that is older than `*run`; sets `*run`. All zero means the newest of all.
// ERROR_NOT_FOUND at the end.
enum error_code commits_seek_older(struct store_transaction *transaction,
                                   const struct commit_id *commit, struct stored_run *run,
                                   struct error *error) MUST_CHECK;
// The next commit with these first digits; sets `*commit`. None means the first. ERROR_NOT_FOUND at the end.
enum error_code commits_seek(struct store_transaction *transaction,
                             const struct commit_prefix *prefix, struct commit_id *commit,
                             struct error *error) MUST_CHECK;

// Adds up to `max` runs that an older version stored. `*is_done`: all have been added.
enum error_code commits_continue(struct stats *stats, size_t max, bool *is_done,
                                 struct error *error) MUST_CHECK;
enum error_code commits_are_complete(struct store_transaction *transaction, bool *are_complete,
                                     struct error *error) MUST_CHECK;

#endif
