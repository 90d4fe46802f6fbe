// Pools of runners with their states, the worst first: `ghatrace pools`.
#ifndef GHATRACE_TERM_POOLS_H
#define GHATRACE_TERM_POOLS_H

#include "ghatrace/base/arena.h"
#include "ghatrace/base/buffer.h"
#include "ghatrace/base/error.h"
#include "ghatrace/base/time.h"
#include "ghatrace/term/text.h"
#include "ghatrace/view/pools_past.h"
#include "ghatrace/view/pools_summary.h"
#include "ghatrace/view/pools_view.h"

#define POOLS_MAX_TEXT ((size_t)1 << 28) // limit for the text's buffer: a hundred thousand pools

struct pools_options {
    struct terminal terminal; // from terminal_detect_list()
    timestamp_ns now;
    size_t
        height; // lines of the terminal: pools that are ok are one line if not all fit; 0: unlimited
};

// Writes how many pools are in which state, each ceiling that is reached with the repositories that fill it (`shares`,
// one for each ceiling), one row for each pool in the order of the view, and for each state what to do. Lines have at
// most options->terminal.width columns, without trailing blanks; columns that do not fit are omitted, the least
// important first. Names are untrusted text and are cleaned (text_clean). Pure; `scratch` is for temporary data.
// ERROR_MEMORY, ERROR_TOO_LARGE.
struct pools_shown {
    const struct pools_view *view;
    const struct pools_view_shares *shares; // one for each ceiling
    struct pools_summary summary;
    const struct past_list *past; // NULL: not known
};
enum error_code pools_render(const struct pools_shown *shown, const struct pools_options *options,
                             struct arena *scratch, struct buffer *out,
                             struct error *error) MUST_CHECK;

#endif
