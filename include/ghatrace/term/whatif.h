// How long a pool's jobs would have waited with other runners, in sentences: `ghatrace whatif`.
#ifndef GHATRACE_TERM_WHATIF_H
#define GHATRACE_TERM_WHATIF_H

#include "ghatrace/base/arena.h"
#include "ghatrace/base/buffer.h"
#include "ghatrace/base/error.h"
#include "ghatrace/term/text.h"
#include "ghatrace/view/whatif_view.h"

#define WHATIF_MAX_TEXT ((size_t)1 << 16) // limit for the text's buffer

// One sentence or two a line. Of a known pool. Pure; `scratch` is for temporary data. ERROR_MEMORY, ERROR_TOO_LARGE.
enum error_code whatif_render(const struct whatif_answer *answer, const struct terminal *terminal,
                              struct arena *scratch, struct buffer *out,
                              struct error *error) MUST_CHECK;
// What to say of a pool that is not known: sets the error, with names near it. ERROR_NOT_FOUND.
enum error_code whatif_refuse(const struct whatif_answer *answer, const struct terminal *terminal,
                              struct arena *scratch, struct error *error) MUST_CHECK;

#endif
