// Shared by the files of this room: iterating over the entries of one trace, and looking up a job's workflow name.
#ifndef GHATRACE_VIEW_PRIVATE_H
#define GHATRACE_VIEW_PRIVATE_H

#include <stdint.h>

#include "ghatrace/base/arena.h"
#include "ghatrace/base/error.h"
#include "ghatrace/store/store.h"
#include "ghatrace/trace/ids.h"
#include "ghatrace/trace/state.h"

// The records of a trace are adjacent in the store's history. Finds the next one at or after `*key`, whose trace the
// caller has set, and advances `*key` past it. ERROR_NOT_FOUND at the end of the trace; otherwise as the store
// reports.
enum error_code trace_seek_record(struct store_transaction *transaction, struct store_key *key,
                                  uint64_t *sequence, struct error *error) MUST_CHECK;
// Also reads the record. An unreadable record is skipped, and counted as unreadable.
enum error_code trace_next_record(struct store_transaction *transaction, struct store_key *key,
                                  struct store_record *record, struct error *error) MUST_CHECK;
// The next state of a trace, likewise; `*found` is set to its key.
enum error_code trace_next_state(struct store_transaction *transaction, struct store_key *key,
                                 struct store_key *found, struct slice *bytes,
                                 struct error *error) MUST_CHECK;

// Reads the state of a run. ERROR_NOT_FOUND, ERROR_CORRUPT, ERROR_MEMORY, or as the store reports.
enum error_code run_state_read(struct store_transaction *transaction, const struct stored_run *run,
                               struct arena *arena, struct run_state *state,
                               struct error *error) MUST_CHECK;

// Sets `job->body.workflow_name` from the state of its run, if it is empty and the run is known. `key` is the job's.
// The name is in the arena or the transaction. An unreadable run is ignored. ERROR_MEMORY, or as the store reports.
enum error_code workflow_name_job(struct store_transaction *transaction,
                                  const struct store_key *key, struct arena *arena,
                                  struct job_state *job, struct error *error) MUST_CHECK;

struct run_view;
// Sorts its jobs.
void run_view_sort(struct run_view *view);

// Determines the server of a finished run. Summaries of older versions do not name it; the URL does. ERROR_MEMORY.
struct recent_run;
enum error_code recent_run_server(const struct recent_run *recent, struct arena *arena,
                                  struct slice *server) MUST_CHECK;

#endif
