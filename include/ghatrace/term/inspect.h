// What the store holds of one run attempt, as plain text: `ghatrace inspect`. For whoever asks why a span has not left.
#ifndef GHATRACE_TERM_INSPECT_H
#define GHATRACE_TERM_INSPECT_H

#include "ghatrace/base/buffer.h"
#include "ghatrace/base/error.h"
#include "ghatrace/base/time.h"
#include "ghatrace/store/store.h"
#include "ghatrace/view/run_lookup.h"

struct inspect_options {
    timestamp_ns now; // that times are told from: "(2m ago)"
    bool unicode;     // else names are shown in ASCII
};

#define INSPECT_MAX_TEXT ((size_t)1 << 30) // a cap for the text's buffer: a hundred thousand jobs

// In one read transaction: the states of the run and of its jobs, field by field, with the deadline that each has in the
// index and what it waits for; notes of what went out; records, and which of them wait, are quarantined or are dead
// letters. Of each server that has such a run, one after the other. An attempt of 0 asks for the newest of which anything is
// stored. Names come from strangers and are made harmless (text_clean). What cannot be read is said to be so. Notes of
// jobs are found by the states and records of the run: of a job that has neither, the note is not shown.
// ERROR_NOT_FOUND, with a message for people. ERROR_MEMORY, ERROR_TOO_LARGE, or as the store says.
enum error_code inspect_run(struct store *store, const struct run_question *question,
                            const struct inspect_options *options, struct buffer *out,
                            struct error *error) MUST_CHECK;

#endif
