// What the files of this room share: how the entries of one trace are walked, and what a job's workflow is called.
#ifndef GHATRACE_VIEW_PRIVATE_H
#define GHATRACE_VIEW_PRIVATE_H

#include <stdint.h>

#include "ghatrace/base/arena.h"
#include "ghatrace/base/error.h"
#include "ghatrace/store/store.h"
#include "ghatrace/trace/ids.h"
#include "ghatrace/trace/state.h"

// The records of a trace stand side by side in the store's history. Finds the next at or after `*key`, whose trace the
// caller has set, and moves `*key` behind it. ERROR_NOT_FOUND at the end of the trace; otherwise as the store says.
enum error_code trace_seek_record(struct store_transaction *transaction, struct store_key *key,
                                  uint64_t *sequence, struct error *error) MUST_CHECK;
// The same, and reads it. A record that cannot be read is passed over, and counted as unreadable.
enum error_code trace_next_record(struct store_transaction *transaction, struct store_key *key,
                                  struct store_record *record, struct error *error) MUST_CHECK;
// The next state of a trace, likewise; `*found` is its key.
enum error_code trace_next_state(struct store_transaction *transaction, struct store_key *key,
                                 struct store_key *found, struct slice *bytes,
                                 struct error *error) MUST_CHECK;

// The state of a run. ERROR_NOT_FOUND, ERROR_CORRUPT, ERROR_MEMORY, or as the store says.
enum error_code run_state_read(struct store_transaction *transaction, const struct stored_run *run,
                               struct arena *arena, struct run_state *state,
                               struct error *error) MUST_CHECK;

// Fills `job->body.workflow_name` from the state of its run, if it is empty and the run is known. `key` is the job's.
// The name is in the arena or the transaction. A run that cannot be read tells nothing. ERROR_MEMORY, or what the store
// says.
enum error_code workflow_name_job(struct store_transaction *transaction,
                                  const struct store_key *key, struct arena *arena,
                                  struct job_state *job, struct error *error) MUST_CHECK;

struct run_view;
// Puts its jobs in order.
void run_view_sort(struct run_view *view);

// Whose run a finished one was. Summaries of older versions do not name the server; the address does. ERROR_MEMORY.
struct recent_run;
enum error_code recent_run_server(const struct recent_run *recent, struct arena *arena,
                                  struct slice *server) MUST_CHECK;

#endif
