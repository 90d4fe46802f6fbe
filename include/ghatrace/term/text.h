// Text for a terminal: what it can show, how wide it is, what must not reach it.
#ifndef GHATRACE_TERM_TEXT_H
#define GHATRACE_TERM_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ghatrace/base/arena.h"
#include "ghatrace/base/error.h"
#include "ghatrace/base/slice.h"

// --- terminal -------------------------------------------------------------------------------------
// What can be shown where the text goes: columns, colours, characters beyond ASCII.

#define TERMINAL_WIDTH_MIN 40
#define TERMINAL_WIDTH_MAX 1000
#define TERMINAL_WIDTH_DEFAULT 80 // where nobody says
#define TERMINAL_WIDTH_PIPE 120   // into a file or a pipe, where no screen sets the measure

struct terminal {
    size_t width; // columns; renderers take a width outside MIN..MAX as the nearer bound
    bool colour;  // SGR escape sequences
    bool unicode; // UTF-8; otherwise plain ASCII
};

// What the environment says; NULL where a variable is not set.
struct terminal_environment {
    bool is_terminal;             // the output is one
    size_t columns;               // as the kernel knows it (TIOCGWINSZ); 0: not known
    const char *columns_variable; // COLUMNS: wins over the kernel, as in ls
    const char *term;             // TERM: `dumb` has no colours
    const char *no_color;         // NO_COLOR, not empty: no colours (https://no-color.org)
    const char *clicolor_force;   // CLICOLOR_FORCE, neither empty nor 0: colours into a pipe, too
    const char *lc_all;           // the first of these three that is not empty names the
    const char *lc_ctype;         // character set (POSIX.1-2017, 8.2)
    const char *lang;
};

// Pure.
struct terminal terminal_from_environment(const struct terminal_environment *environment);
// Asks the environment and the kernel about the file descriptor `fd`.
struct terminal terminal_detect(int fd);

// --- text -----------------------------------------------------------------------------------------
// Text of strangers on a terminal: made harmless, measured in columns, cut between characters. Pure.

// Columns that a scalar value takes: 0 (combining), 1, or 2 (East Asian Width W and F, UAX #11). It
// does not depend on the locale. Only for what text_clean() lets through.
unsigned text_code_point_width(uint32_t code_point);

// A copy of `raw` that can do nothing to a terminal but take the columns it is measured at:
// control characters, bytes that are not UTF-8, and what turns the direction of writing are U+FFFD;
// what is invisible (joiners, variation selectors, tags) is left out, because terminals disagree
// about its width; blanks of any kind are U+0020; at most 3 combining marks follow a character.
// With `unicode` false it is printable ASCII, `?` for the rest. At most the first 4096 bytes are
// taken. False when memory is refused.
bool text_clean(struct arena *arena, struct slice raw, bool unicode,
                struct slice *clean) MUST_CHECK;

// "owner/name"; of another server than github.com (which is empty) "server/owner/name". False when memory is refused.
bool text_repository(struct arena *arena, struct slice server, struct slice full_name,
                     struct slice *out);

// The functions below want what text_clean() made.

size_t text_width(struct slice clean);
// The longest beginning, or end, that takes at most `columns`. A combining mark stays with its base.
struct slice text_prefix(struct slice clean, size_t columns);
struct slice text_suffix(struct slice clean, size_t columns);

// What is left of a text that has to take at most `columns`: all of it in `head`, or a beginning and
// an end with an ellipsis of `ellipsis_width` to be put between (no room for one: a beginning).
struct text_ends {
    struct slice head;
    struct slice tail;
    bool has_gap; // for the ellipsis
};
// `tail_percent`: the end's share.
struct text_ends text_shorten(struct slice clean, size_t columns, size_t ellipsis_width,
                              size_t tail_percent);

#endif
