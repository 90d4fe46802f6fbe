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
#include "ghatrace/view/run_view.h"

struct waterfall_options {
    struct terminal terminal; // from terminal_detect_list()
    bool steps;               // a row for each step below its job
    timestamp_ns now;         // the end of bars that are still open
    // for the trace ID of an open run; this and the next for waterfall_show()
    enum id_scheme id_scheme;
    duration_ns job_grace; // setting job-grace, for jobs that ended with an unknown result
};

// Limit for the text's buffer: 256 jobs of 1000 steps at 1000 columns stay far below it.
#define WATERFALL_MAX_TEXT ((size_t)1 << 30)

// Writes the waterfall, every line at most options->terminal.width columns, without trailing blanks; where that is not
// limited, no text is shortened. An open run ends
// at the end of its last job, or now. Names are untrusted text: characters that could control a terminal are shown as
// U+FFFD (`?` in ASCII). Pure; `scratch` is for temporary data. ERROR_MEMORY, ERROR_TOO_LARGE (the buffer's limit).
enum error_code waterfall_render(const struct run_view *view,
                                 const struct waterfall_options *options, struct arena *scratch,
                                 struct buffer *out, struct error *error) MUST_CHECK;

// Additional information about the run shown; texts are in the arena.
struct waterfall_shown {
    int64_t run_attempt;
    struct slice server; // its name
    struct slice also;   // names of other servers that have such a run, joined by ", "
    uint64_t unreadable; // stored entries that were left out because they are unreadable
};

// Reads the run in question, open or finished, and writes its waterfall. If runs of several servers match, the first of
// run_lookup(). `unreadable` is set also on failure. ERROR_NOT_FOUND (with a message): see run_not_found(). Otherwise
// as the store reports, ERROR_MEMORY, ERROR_TOO_LARGE.
enum error_code waterfall_show(const struct view_reader *reader,
                               const struct run_selector *question,
                               const struct waterfall_options *options, struct buffer *out,
                               struct waterfall_shown *shown) MUST_CHECK;

#endif
