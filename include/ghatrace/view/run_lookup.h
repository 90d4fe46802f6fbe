// From the number of a run to where it is stored: several servers may each have a run of that number.
#ifndef GHATRACE_VIEW_RUN_LOOKUP_H
#define GHATRACE_VIEW_RUN_LOOKUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ghatrace/base/arena.h"
#include "ghatrace/base/error.h"
#include "ghatrace/stats/open_runs.h"
#include "ghatrace/store/store.h"
#include "ghatrace/trace/ids.h"

// "You can re-run a workflow or jobs in a workflow ... up to 50 times" (GitHub Docs, Re-running workflows and jobs);
// twice that, should the limit move.
#define RUN_ATTEMPTS_MAX 100

struct run_question {
    struct slice server; // a name or an address, as somebody typed it; empty: any
    int64_t run_id;
    int64_t run_attempt; // 0: the newest that is stored
};

// "123" or "123/2": sets the run and the attempt, which is 0 where the text has none. False on anything else.
bool run_question_parse(struct slice text, struct run_question *question);

struct found_run {
    struct stored_run run;
    struct slice server; // empty: github.com
};
#define FOUND_RUNS_MAX (SERVERS_MAX + 2)

// All that are meant, at most one of each server: that of github.com first, then by the servers' names. Texts in the
// arena, or valid as long as the transaction. Older versions stored all servers' runs where those of github.com are: the
// server of what is found there is read from its entries. `*count` may be 0. ERROR_MEMORY, or as the store says.
enum error_code run_lookup(struct store_transaction *transaction,
                           const struct run_question *question, struct arena *arena,
                           struct found_run runs[FOUND_RUNS_MAX], size_t *count,
                           struct error *error) MUST_CHECK;

// The attempts of the question's run that are stored, of any server that it may mean, in order. ERROR_MEMORY, or as the
// store says.
enum error_code run_list_attempts(struct store_transaction *transaction,
                                  const struct run_question *question, struct arena *arena,
                                  int64_t attempts[RUN_ATTEMPTS_MAX], size_t *count,
                                  struct error *error) MUST_CHECK;

// Says why there is nothing to show: which attempts there are instead or, where there is none, where else to look; or that
// what there is cannot be read.
// ERROR_NOT_FOUND, ERROR_MEMORY, or as the store says.
enum error_code run_not_found(struct store_transaction *transaction,
                              const struct run_question *question, struct arena *arena,
                              struct error *error) MUST_CHECK;

#endif
