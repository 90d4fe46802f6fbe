// `ghatrace trace SHA`: all runs of a commit as one waterfall.
#ifndef GHATRACE_APP_TRACE_COMMIT_H
#define GHATRACE_APP_TRACE_COMMIT_H

#include <stdbool.h>

#include "cli.h"
#include "ghatrace/base/error.h"
#include "ghatrace/store/store.h"
#include "ghatrace/trace/policy.h"

// True for the digits of a commit's SHA with a letter among them, for the address of a commit's page, and, if a commit is
// asked for, for anything.
bool trace_commit_is_named(const char *operand, bool is_asked_for);
// Opens the store and shows the commit that the operand names. Prints errors; returns the exit status.
int trace_commit_run(struct cli_args *cli_args);
// After there was no run with the operand's number, and `error` says so: shows the commit whose SHA begins with these
// digits. ERROR_NOT_FOUND: there is none, either, and `error` is unchanged.
enum error_code trace_commit_instead(const struct cli_args *cli_args, struct store *store,
                                     const struct trace_policy *policy,
                                     struct error *error) MUST_CHECK;

#endif
