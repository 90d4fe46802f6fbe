// What can be shown where the text goes: columns, colours, characters beyond ASCII.
#ifndef GHATRACE_VIEW_TERMINAL_H
#define GHATRACE_VIEW_TERMINAL_H

#include <stdbool.h>
#include <stddef.h>

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

#endif
