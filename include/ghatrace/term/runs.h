// What is open, oldest first: `ghatrace runs`.
#ifndef GHATRACE_TERM_RUNS_H
#define GHATRACE_TERM_RUNS_H

#include <stddef.h>
#include <stdint.h>

#include "ghatrace/base/arena.h"
#include "ghatrace/base/buffer.h"
#include "ghatrace/base/error.h"
#include "ghatrace/base/slice.h"
#include "ghatrace/base/time.h"
#include "ghatrace/store/store.h"
#include "ghatrace/term/text.h"

enum runs_state {
    RUNS_JOB_WAITING, // for its environment's rules
    RUNS_JOB_QUEUED,  // for a runner
    RUNS_JOB_RUNNING,
    RUNS_RUN_OPEN, // a run; its jobs have entries of their own
};

// A slice of length 0 and an id of 0 mean: not known.
struct runs_entry {
    int64_t run_id;
    int64_t run_attempt;
    int64_t job_id; // 0: the entry is a run
    enum runs_state state;
    timestamp_ns since; // when this state began, by GitHub's clock; TIMESTAMP_UNKNOWN: not known
    struct slice repository; // text_repository()
    struct slice workflow;
    struct slice job_name;
    const struct slice *labels; // the runner's
    size_t label_count;
};

#define RUNS_MAX_TEXT ((size_t)1 << 30) // a cap for the text's buffer: a million entries

// Writes the list, every line at most terminal->width columns, none with trailing blanks. `entries` in
// any order. An empty list says so, and what to do next. `now` is the time that ages are counted
// from: the column "for" tells how long a job has waited, queued or run, and a run been open. Pure; `scratch` holds what is needed on the way. ERROR_MEMORY, ERROR_TOO_LARGE.
enum error_code runs_render(const struct runs_entry *entries, size_t count, timestamp_ns now,
                            const struct terminal *terminal, struct arena *scratch,
                            struct buffer *out, struct error *error) MUST_CHECK;

// Reads what is open from the store, in short read transactions; everything lands in `arena`.
enum error_code runs_load(struct store *store, struct arena *arena, struct runs_entry **entries,
                          size_t *count, uint64_t *unreadable, struct error *error) MUST_CHECK;

#endif
