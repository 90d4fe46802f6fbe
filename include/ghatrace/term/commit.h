// The runs of a commit as one waterfall in the terminal: `ghatrace trace SHA`.
#ifndef GHATRACE_TERM_COMMIT_H
#define GHATRACE_TERM_COMMIT_H

#include "ghatrace/base/arena.h"
#include "ghatrace/base/buffer.h"
#include "ghatrace/base/error.h"
#include "ghatrace/term/waterfall.h"
#include "ghatrace/view/commit_view.h"

// Writes for each repository a head, a row for each run with the rows of its jobs below it, all under one axis from the
// first start to the last end or now, and in the last line how the time from the first to the last divides. As
// waterfall_render(), without steps. Pure. ERROR_MEMORY, ERROR_TOO_LARGE.
enum error_code commit_render(const struct commit_view *view,
                              const struct waterfall_options *options, struct arena *scratch,
                              struct buffer *out, struct error *error) MUST_CHECK;
// A line for each commit that begins with the same digits.
enum error_code commit_render_choices(const struct commit_choices *choices,
                                      const struct waterfall_options *options,
                                      struct arena *scratch, struct buffer *out,
                                      struct error *error) MUST_CHECK;

// What is known of commits that begin with certain digits.
struct commit_found {
    struct slice text;             // the digits
    struct commit_choices choices; // with more than one, the next has no groups
    struct commit_view view;
};

// Writes the waterfall of the commit. ERROR_USAGE, with a message: several commits begin with the digits, which are then
// listed in `out`. ERROR_NOT_FOUND, with a message. Otherwise ERROR_MEMORY, ERROR_TOO_LARGE.
enum error_code commit_render_found(const struct commit_found *found,
                                    const struct waterfall_options *options, struct arena *scratch,
                                    struct buffer *out, struct error *error) MUST_CHECK;

// Reads the commit with these first digits from the store, and writes its waterfall. ERROR_USAGE also if `text` is no digits
// of a commit. Otherwise as the function above, or as the store reports.
enum error_code commit_show(const struct view_reader *reader, struct slice text,
                            const struct waterfall_options *options, struct buffer *out) MUST_CHECK;

#endif
