// Shared by the files of this room.
#ifndef GHATRACE_VIEW_PRIVATE_H
#define GHATRACE_VIEW_PRIVATE_H

#include "ghatrace/trace/state.h"
#include "ghatrace/view/run_view.h"

// Sets `job->body.workflow_name` from the state of its run, if it is empty and the run is known. `key` is the job's.
// The name is in the arena or the transaction. An unreadable run is ignored. ERROR_MEMORY, or as the store reports.
enum error_code workflow_name_job(const struct view_reader *reader, const struct store_key *key,
                                  struct job_state *job) MUST_CHECK;

// Orders its jobs as struct run_view promises.
void run_view_sort(struct run_view *view);

#endif
