// What the environment and the kernel say about where the text goes.
#include "ghatrace/view/terminal.h"

#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "ghatrace/base/slice.h"

static bool is_set(const char *variable)
{
    return variable != NULL && variable[0] != '\0';
}

static size_t bounded_width(long long width)
{
    if (width < TERMINAL_WIDTH_MIN)
        return TERMINAL_WIDTH_MIN;
    return width > TERMINAL_WIDTH_MAX ? TERMINAL_WIDTH_MAX : (size_t)width;
}

static size_t choose_width(const struct terminal_environment *environment)
{
    long long columns;
    if (slice_parse_int64(slice_from_string(environment->columns_variable), &columns) &&
        columns > 0)
        return bounded_width(columns);
    if (!environment->is_terminal)
        return TERMINAL_WIDTH_PIPE;
    if (environment->columns > TERMINAL_WIDTH_MAX)
        return TERMINAL_WIDTH_MAX;
    return environment->columns > 0 ? bounded_width((long long)environment->columns)
                                    : TERMINAL_WIDTH_DEFAULT;
}

static bool choose_colour(const struct terminal_environment *environment)
{
    if (is_set(environment->no_color))
        return false;
    if (is_set(environment->clicolor_force) &&
        !slice_equals(slice_from_string(environment->clicolor_force), SLICE("0")))
        return true;
    return environment->is_terminal && is_set(environment->term) &&
           !slice_equals(slice_from_string(environment->term), SLICE("dumb"));
}

// "en_US.UTF-8", "C.utf8", "de_DE.UTF-8@euro": the codeset follows the dot.
static bool choose_unicode(const struct terminal_environment *environment)
{
    const char *locale = is_set(environment->lc_all)     ? environment->lc_all
                         : is_set(environment->lc_ctype) ? environment->lc_ctype
                                                         : environment->lang;
    struct slice name = slice_from_string(locale);
    ptrdiff_t dot = slice_find(name, SLICE("."));
    if (dot < 0)
        return false;
    struct slice codeset = {name.data + dot + 1, name.len - (size_t)dot - 1};
    ptrdiff_t modifier = slice_find(codeset, SLICE("@"));
    if (modifier >= 0)
        codeset.len = (size_t)modifier;
    return slice_equals_ignoring_case(codeset, SLICE("utf-8")) ||
           slice_equals_ignoring_case(codeset, SLICE("utf8"));
}

struct terminal terminal_from_environment(const struct terminal_environment *environment)
{
    return (struct terminal){
        .width = choose_width(environment),
        .colour = choose_colour(environment),
        .unicode = choose_unicode(environment),
    };
}

struct terminal terminal_detect(int fd)
{
    struct winsize size = {0};
    bool has_size = ioctl(fd, TIOCGWINSZ, &size) == 0;
    struct terminal_environment environment = {
        .is_terminal = isatty(fd) == 1,
        .columns = has_size ? size.ws_col : 0,
        .columns_variable = getenv("COLUMNS"),
        .term = getenv("TERM"),
        .no_color = getenv("NO_COLOR"),
        .clicolor_force = getenv("CLICOLOR_FORCE"),
        .lc_all = getenv("LC_ALL"),
        .lc_ctype = getenv("LC_CTYPE"),
        .lang = getenv("LANG"),
    };
    return terminal_from_environment(&environment);
}
