// The open runs, and the servers that runs were of.
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
// Runs whose root has not gone out. Table open_runs: be64 run id ‖ be64 attempt → empty; where the run is not stored
// where those of github.com are, since it is another server's (trace/ids.h): be64 run id ‖ be64 attempt ‖ trace. GitHub's
// run ids grow with time, so the newest run of a server has the last key.

// Both are no error when it is, or is not, there already.
enum error_code open_runs_put(struct stats *stats, const struct stored_run *run,
                              struct error *error) MUST_CHECK;
enum error_code open_runs_delete(struct stats *stats, const struct stored_run *run,
                                 struct error *error) MUST_CHECK;
// Deletes a run of which only the id and the trace are known. No error where there is none.
enum error_code open_runs_forget(struct stats *stats, const struct stored_run *run,
                                 struct error *error) MUST_CHECK;

uint64_t open_runs_count(struct store_transaction *transaction);
// The newest run that is older than `*run`; sets `*run`. All zero gives the newest. ERROR_NOT_FOUND at the end.
enum error_code open_runs_seek_older(struct store_transaction *transaction, struct stored_run *run,
                                     struct error *error) MUST_CHECK;

// --- servers --------------------------------------------------------------------------------------
// The servers, other than github.com, of which events came: where else a run is looked for of which only the number is
// known. Table tally: "server:" ‖ name → empty. Names stay, SERVERS_MAX of them; a server beyond that is found by its
// name only.

#define SERVERS_MAX 100

// Does nothing for github.com, which is empty, and costs nothing for one that is known.
enum error_code servers_note(struct stats *stats, struct slice server,
                             struct error *error) MUST_CHECK;
// By name, texts in the arena.
enum error_code servers_list(struct store_transaction *transaction, struct arena *arena,
                             struct slice servers[SERVERS_MAX], size_t *count,
                             struct error *error) MUST_CHECK;

#endif
