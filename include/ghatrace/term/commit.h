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

// Reads the commit with these first digits, and writes its waterfall. `text`: the digits. ERROR_USAGE, with a message: they
// are no commit, or several commits begin with them, which are then listed in `out`. ERROR_NOT_FOUND, with a message.
// Otherwise as the store reports, ERROR_MEMORY, ERROR_TOO_LARGE.
enum error_code commit_show(const struct view_reader *reader, struct slice text,
                            const struct waterfall_options *options, struct buffer *out) MUST_CHECK;

#endif
