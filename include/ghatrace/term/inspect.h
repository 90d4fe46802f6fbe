// Everything the store holds for one run attempt, as plain text: `ghatrace inspect`. Shows why a span was not sent.
#ifndef GHATRACE_TERM_INSPECT_H
#define GHATRACE_TERM_INSPECT_H

#include "ghatrace/base/buffer.h"
#include "ghatrace/base/error.h"
#include "ghatrace/base/time.h"
#include "ghatrace/store/store.h"
#include "ghatrace/view/run_view.h"

struct inspect_options {
    timestamp_ns now; // the reference for ages: "(2m ago)"
    bool unicode;     // false: names are shown in ASCII
};

#define INSPECT_MAX_TEXT ((size_t)1 << 30) // limit for the text's buffer: a hundred thousand jobs

// In one read transaction: the states of the run and of its jobs, field by field, with the deadline of each in the
// index and what it waits for; notes of exported runs and jobs; records, and which of them are waiting, quarantined
// or dead letters. For each server that has such a run, one after the other. An attempt of 0 selects the newest of
// which anything is stored. Names are untrusted text and are cleaned (text_clean). Unreadable entries are marked as
// such. Notes of jobs are found through the states and records of the run: the note of a job that has neither is not
// shown. ERROR_NOT_FOUND, with a message. ERROR_MEMORY, ERROR_TOO_LARGE, or as the store reports.
enum error_code inspect_run(struct store *store, const struct run_selector *question,
                            const struct inspect_options *options, struct buffer *out,
                            struct error *error) MUST_CHECK;

#endif
