// What a job's workflow is called, where its own events do not say.
#ifndef GHATRACE_VIEW_WORKFLOW_H
#define GHATRACE_VIEW_WORKFLOW_H

#include "ghatrace/base/arena.h"
#include "ghatrace/base/error.h"
#include "ghatrace/store/store.h"
#include "ghatrace/trace/state.h"

// Fills `job->body.workflow_name` from the state of its run, if it is empty and the run is known. `key` is the job's.
// The name is in the arena or the transaction. A run that cannot be read tells nothing. ERROR_MEMORY, or what the store
// says.
enum error_code workflow_name_job(struct store_transaction *transaction,
                                  const struct store_key *key, struct arena *arena,
                                  struct job_state *job, struct error *error) MUST_CHECK;

#endif
