// Text for a terminal: its capabilities, the width of text, and removal of unsafe characters.
#ifndef GHATRACE_TERM_TEXT_H
#define GHATRACE_TERM_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ghatrace/base/arena.h"
#include "ghatrace/base/error.h"
#include "ghatrace/base/slice.h"
#include "ghatrace/base/time.h"

// --- terminal -------------------------------------------------------------------------------------
// The capabilities of the output: columns, colours, characters beyond ASCII.

#define TERMINAL_WIDTH_MIN 40
#define TERMINAL_WIDTH_MAX 1000
#define TERMINAL_WIDTH_DEFAULT 80 // if nothing specifies it
#define TERMINAL_WIDTH_PIPE 120   // into a file or a pipe, where no screen limits the width
// of lists in a file or a pipe: no line is shortened
#define TERMINAL_WIDTH_UNLIMITED ((size_t)1 << 30)

struct terminal {
    size_t width; // columns; renderers clamp it to MIN..MAX, unless it is UNLIMITED
    bool colour;  // SGR escape sequences
    bool unicode; // UTF-8; otherwise plain ASCII
};

// Values from the environment; NULL if a variable is not set.
struct terminal_environment {
    bool is_terminal;             // the output is a terminal
    size_t columns;               // from the kernel (TIOCGWINSZ); 0: unknown
    const char *columns_variable; // COLUMNS: takes precedence over the kernel, as in ls
    const char *term;             // TERM: `dumb` has no colours
    const char *no_color;         // NO_COLOR, not empty: no colours (https://no-color.org)
    const char *clicolor_force;   // CLICOLOR_FORCE, neither empty nor 0: colours even in a pipe
    const char *lc_all;           // the first of these three that is not empty names the
    const char *lc_ctype;         // character set (POSIX.1-2017, 8.2)
    const char *lang;
};

// Pure.
struct terminal terminal_from_environment(const struct terminal_environment *environment);
// The same for a list, which other programs may read: into a file or a pipe the width is UNLIMITED, unless COLUMNS is
// set.
struct terminal terminal_of_list(const struct terminal_environment *environment);
// Reads the environment, and queries the kernel about the file descriptor `fd`.
struct terminal terminal_detect(int fd);
struct terminal terminal_detect_list(int fd);
// Its lines; 0: it is not a terminal, or not known.
size_t terminal_detect_height(int fd);

// The state of a job that waits for an approval: "waiting for approval", on a narrow terminal "approval".
struct slice text_state_of_approval(const struct terminal *terminal);

// --- names ----------------------------------------------------------------------------------------

// The name without what a matrix adds: "test" of "test (3.12)".
struct slice text_without_matrix(struct slice name);

// --- text -----------------------------------------------------------------------------------------
// Untrusted text on a terminal: cleaned, measured in columns, cut between characters. Pure.

// Columns of a Unicode scalar value: 0 (combining), 1, or 2 (East Asian Width W and F, UAX #11). Independent of the
// locale. Only for characters that text_clean() keeps.
unsigned text_code_point_width(uint32_t code_point);

// A copy of `raw` that has no effect on a terminal except to occupy its measured columns: control characters, bytes
// that are not UTF-8, and characters that change the text direction become U+FFFD; invisible characters (joiners,
// variation selectors, tags) are removed, because terminals disagree about their width; blanks of any kind become
// U+0020; at most 3 combining marks follow a character. With `unicode` false the result is printable ASCII, with `?`
// for the rest. At most the first 4096 bytes are used. False if out of memory.
bool text_clean(struct arena *arena, struct slice raw, bool unicode,
                struct slice *clean) MUST_CHECK;

// "owner/name"; for servers other than github.com (for which `server` is empty) "server/owner/name". False if out of
// memory.
bool text_repository(struct arena *arena, struct slice server, struct slice full_name,
                     struct slice *out);

// "46m", followed by `suffix`: without fractions of a second, because the times are no more precise and these would
// change constantly. A length below 0 is shown as 0: the clock is behind GitHub's. False if out of memory.
bool text_seconds(struct arena *arena, duration_ns length, const char *suffix,
                  struct slice *text) MUST_CHECK;

// The functions below require text from text_clean().

size_t text_width(struct slice clean);
// The longest prefix, or suffix, of at most `columns`. A combining mark stays with its base.
struct slice text_prefix(struct slice clean, size_t columns);
struct slice text_suffix(struct slice clean, size_t columns);

// A text shortened to at most `columns`: all of it in `head`, or a prefix and a suffix with an ellipsis of
// `ellipsis_width` between them (if that has no room: a prefix).
struct text_ends {
    struct slice head;
    struct slice tail;
    bool has_gap; // for the ellipsis
};
// `tail_percent`: the share of the suffix.
struct text_ends text_shorten(struct slice clean, size_t columns, size_t ellipsis_width,
                              size_t tail_percent);

#endif
