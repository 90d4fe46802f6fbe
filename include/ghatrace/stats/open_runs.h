// The open runs, and the servers of all runs.
#ifndef GHATRACE_STATS_OPEN_RUNS_H
#define GHATRACE_STATS_OPEN_RUNS_H

#include <stddef.h>
#include <stdint.h>

#include "ghatrace/base/arena.h"
#include "ghatrace/base/error.h"
#include "ghatrace/stats/stats.h"
#include "ghatrace/store/store.h"
#include "ghatrace/trace/ids.h"

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
