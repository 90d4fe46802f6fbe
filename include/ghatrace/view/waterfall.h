// One run attempt as a waterfall for the terminal: `ghatrace trace`.
//
//     struct span_batch *batches;
//     size_t count;
//     code = waterfall_load(store, run_id, &attempt, &arena, &batches, &count, &unreadable, &error);
//     code = waterfall_render(batches, count, &options, &arena, &text, &error);
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

// Reads what is finished of a run attempt from the store in one short read transaction; everything
// lands in `arena`. `*attempt` 0 asks for the newest attempt of which something is finished, and is set
// to it. Records that cannot be read are left out; `*unreadable` tells how many. ERROR_NOT_FOUND (with a message for people): nothing of it is finished, or it is older than the history kept.
// Otherwise as the store says, ERROR_CORRUPT, ERROR_MEMORY.
enum error_code waterfall_load(struct store *store, int64_t run_id, int64_t *attempt,
                               struct arena *arena, struct span_batch **batches, size_t *count,
                               size_t *unreadable, struct error *error) MUST_CHECK;

#endif
