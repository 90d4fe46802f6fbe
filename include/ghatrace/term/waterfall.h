// A run as a waterfall in the terminal: `ghatrace trace`.
#ifndef GHATRACE_TERM_WATERFALL_H
#define GHATRACE_TERM_WATERFALL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ghatrace/base/arena.h"
#include "ghatrace/base/buffer.h"
#include "ghatrace/base/error.h"
#include "ghatrace/base/slice.h"
#include "ghatrace/base/time.h"
#include "ghatrace/store/store.h"
#include "ghatrace/term/text.h"
#include "ghatrace/trace/ids.h"
#include "ghatrace/view/run_lookup.h"
#include "ghatrace/view/run_view.h"

struct waterfall_options {
    struct terminal terminal; // of terminal_detect()
    bool steps;               // a row for each step beneath its job
    timestamp_ns now;         // until when what is open is drawn
    enum id_scheme id_scheme; // of the trace that an open run will have; for waterfall_show()
};

// A cap for the text's buffer: 256 jobs of 1000 steps at 1000 columns stay far below it.
#define WATERFALL_MAX_TEXT ((size_t)1 << 30)

// Writes the picture, every line at most options->terminal.width columns, none with trailing blanks. A run that is
// open ends where its last job does, or now. Names come from strangers: what could steer a terminal is shown as U+FFFD
// (`?` in ASCII). Pure; `scratch` holds what is needed on the way. ERROR_MEMORY, ERROR_TOO_LARGE (the buffer's cap).
enum error_code waterfall_render(const struct run_view *view,
                                 const struct waterfall_options *options, struct arena *scratch,
                                 struct buffer *out, struct error *error) MUST_CHECK;

// What else there is to say of what was drawn; texts in the arena.
struct waterfall_shown {
    int64_t run_attempt;
    struct slice server; // its name
    struct slice also;   // names of the other servers that have such a run, joined by ", "
    uint64_t unreadable; // stored entries that are left out, as they cannot be read
};

// Reads the run that is meant, in one short read transaction, and writes its picture: an open one's, too. Of several
// servers' runs, the first of run_lookup(). `unreadable` is set whatever comes of it. ERROR_NOT_FOUND (with a message for
// people): see run_not_found(). Otherwise as the store says, ERROR_MEMORY, ERROR_TOO_LARGE.
enum error_code waterfall_show(struct store *store, const struct run_question *question,
                               const struct waterfall_options *options, struct arena *arena,
                               struct buffer *out, struct waterfall_shown *shown,
                               struct error *error) MUST_CHECK;

#endif
