// Counts failures, run by run, those that ended last first. Pure.
#ifndef GHATRACE_VIEW_FAILURES_TALLY_H
#define GHATRACE_VIEW_FAILURES_TALLY_H

#include "ghatrace/view/failures_view.h"

struct failures_tally;

// In the arena, with all that it keeps. NULL: out of memory.
struct failures_tally *failures_tally_create(struct arena *arena);
// `detail`: the same run with its jobs and steps; NULL: it was not looked up. Copies what it keeps. Runs that neither
// succeeded nor failed only count as looked at. ERROR_MEMORY.
enum error_code failures_tally_add(struct failures_tally *tally, const struct run_view *run,
                                   const struct run_view *detail) MUST_CHECK;
// Sets the groups, the worst first, and the infrastructure. ERROR_MEMORY.
enum error_code failures_tally_finish(const struct failures_tally *tally,
                                      struct failures_view *view) MUST_CHECK;

#endif
