// Finds where a run is stored, given its number: several servers may each have a run with that number.
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
// twice that, in case the limit changes.
#define RUN_ATTEMPTS_MAX 100

struct run_question {
    struct slice server; // a name or a URL, as entered by the user; empty: any
    int64_t run_id;
    int64_t run_attempt; // 0: the newest stored one
};

// Parses "123" or "123/2": the run and the attempt, which is 0 if the text has none. False for anything else.
bool run_question_parse(struct slice text, struct run_question *question);

struct found_run {
    struct stored_run run;
    struct slice server; // empty: github.com
};
#define FOUND_RUNS_MAX (SERVERS_MAX + 2)

// All matching runs, at most one of each server: github.com's first, then by the servers' names. Texts are in the
// arena, or valid as long as the transaction. Older versions stored all servers' runs under the keys of github.com:
// the server of such a run is read from its entries. `*count` may be 0. ERROR_MEMORY, or as the store reports.
enum error_code run_lookup(struct store_transaction *transaction,
                           const struct run_question *question, struct arena *arena,
                           struct found_run runs[FOUND_RUNS_MAX], size_t *count,
                           struct error *error) MUST_CHECK;

// The stored attempts of the run in question, of any matching server, in order. ERROR_MEMORY, or as the store
// reports.
enum error_code run_list_attempts(struct store_transaction *transaction,
                                  const struct run_question *question, struct arena *arena,
                                  int64_t attempts[RUN_ATTEMPTS_MAX], size_t *count,
                                  struct error *error) MUST_CHECK;

// Sets the message for a run that cannot be shown: which attempts exist instead or, if there are none, where else to
// look; or that the stored data cannot be read. ERROR_NOT_FOUND, ERROR_MEMORY, or as the store reports.
enum error_code run_not_found(struct store_transaction *transaction,
                              const struct run_question *question, struct arena *arena,
                              struct error *error) MUST_CHECK;

#endif
