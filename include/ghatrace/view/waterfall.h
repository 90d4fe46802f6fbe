// One run attempt as a waterfall for the terminal: `ghatrace trace`.
//
//     struct waterfall_found found;
//     code = waterfall_load(store, &question, &arena, &found, &error);
//     code = waterfall_render(found.batches, found.count, &options, &arena, &text, &error);
//     → write the text to standard output
#ifndef GHATRACE_VIEW_WATERFALL_H
#define GHATRACE_VIEW_WATERFALL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ghatrace/base/arena.h"
#include "ghatrace/base/buffer.h"
#include "ghatrace/base/error.h"
#include "ghatrace/store/store.h"
#include "ghatrace/trace/span.h"
#include "ghatrace/view/run_lookup.h"
#include "ghatrace/view/terminal.h"

struct waterfall_options {
    struct terminal terminal; // of terminal_detect()
    bool steps;               // a row for each step beneath its job
};

// A cap for the text's buffer: 256 jobs of 1000 steps at 1000 columns stay far below it.
#define WATERFALL_MAX_TEXT ((size_t)1 << 30)

// Writes the picture, every line at most options->terminal.width columns, none with trailing
// blanks. `batches` are the finished spans of one run attempt in any order: the root's, if the run
// is over, and one batch per finished job. No span at all gives a line that says so. Names come from
// strangers: what could steer a terminal is shown as U+FFFD (`?` in ASCII). Pure; `scratch` holds
// what is needed on the way. ERROR_MEMORY, ERROR_TOO_LARGE (the buffer's cap).
enum error_code waterfall_render(const struct span_batch *batches, size_t count,
                                 const struct waterfall_options *options, struct arena *scratch,
                                 struct buffer *out, struct error *error) MUST_CHECK;

// Of one run attempt, what is finished; everything lives in the arena.
struct waterfall_found {
    struct span_batch *batches;
    size_t count;
    int64_t run_attempt;
    struct slice server; // its name
    struct slice also;   // names of the other servers that have such a run, joined by ", "
    size_t unreadable;   // records that are left out, as they cannot be read
};

// Reads it from the store in one short read transaction. An attempt of 0 asks for the newest one of which something is
// finished; no server, for the first that run_lookup() finds. ERROR_NOT_FOUND (with a message for people): nothing of
// it is finished, or it is older than the history kept. Otherwise as the store says, ERROR_CORRUPT, ERROR_MEMORY.
enum error_code waterfall_load(struct store *store, const struct run_question *question,
                               struct arena *arena, struct waterfall_found *found,
                               struct error *error) MUST_CHECK;

#endif
