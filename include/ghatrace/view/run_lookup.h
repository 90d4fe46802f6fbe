// From the number of a run to where it is stored: several servers may each have a run of that number.
#ifndef GHATRACE_VIEW_RUN_LOOKUP_H
#define GHATRACE_VIEW_RUN_LOOKUP_H

#include <stddef.h>
#include <stdint.h>

#include "ghatrace/base/arena.h"
#include "ghatrace/base/error.h"
#include "ghatrace/store/store.h"
#include "ghatrace/tally/open_runs.h"
#include "ghatrace/trace/ids.h"

// "You can re-run a workflow or jobs in a workflow ... up to 50 times" (GitHub Docs, Re-running workflows and jobs);
// twice that, should the limit move.
#define RUN_ATTEMPTS_MAX 100

struct run_question {
    struct slice server; // a name or an address, as somebody typed it; empty: any
    int64_t run_id;
    int64_t run_attempt;
};

struct found_run {
    struct stored_run run;
    struct slice server; // empty: github.com
};
#define FOUND_RUNS_MAX (SERVERS_MAX + 2)

// All that are meant: that of github.com first, then by the servers' names. Texts in the arena, or valid as long as the
// transaction. Older versions stored all servers' runs where those of github.com are: what is found there is asked
// whose it is. `*count` may be 0. ERROR_MEMORY, or as the store says.
enum error_code run_lookup(struct store_transaction *transaction,
                           const struct run_question *question, struct arena *arena,
                           struct found_run runs[FOUND_RUNS_MAX], size_t *count,
                           struct error *error) MUST_CHECK;

#endif
