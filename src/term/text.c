// Text for a terminal: its capabilities, the width of text, and removal of unsafe characters.
#include "ghatrace/term/text.h"

#include <stddef.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <utf8proc.h>

#include "ghatrace/base/slice.h"
#include "ghatrace/base/utf8.h"

// --- capabilities of the output, from the environment and the kernel ------------------------------

static bool is_nonempty(const char *variable)
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
    if (is_nonempty(environment->no_color))
        return false;
    if (is_nonempty(environment->clicolor_force) &&
        !slice_equals(slice_from_string(environment->clicolor_force), SLICE("0")))
        return true;
    return environment->is_terminal && is_nonempty(environment->term) &&
           !slice_equals(slice_from_string(environment->term), SLICE("dumb"));
}

// "en_US.UTF-8", "C.utf8", "de_DE.UTF-8@euro": the codeset follows the dot.
static bool choose_unicode(const struct terminal_environment *environment)
{
    const char *locale = is_nonempty(environment->lc_all)     ? environment->lc_all
                         : is_nonempty(environment->lc_ctype) ? environment->lc_ctype
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

// --- columns per character ------------------------------------------------------------------------

static const utf8proc_property_t *property_of(uint32_t code_point)
{
    return utf8proc_get_property((utf8proc_int32_t)code_point);
}

// utf8proc gives no columns to what a font may lack (unassigned code points), to visible formatting characters such as
// the Arabic number sign, and to spacing marks. Terminals show them: a column too many leaves a gap, one too few
// overflows. Unassigned ideographs are wide (UAX #11, 5.1). Hangul vowels and finals join the syllable before them.
unsigned text_code_point_width(uint32_t code_point)
{
    const utf8proc_property_t *property = property_of(code_point);
    if (property->boundclass == UTF8PROC_BOUNDCLASS_V ||
        property->boundclass == UTF8PROC_BOUNDCLASS_T)
        return 0;
    switch (property->category) {
    case UTF8PROC_CATEGORY_CN:
        return code_point >= 0x20000 && code_point < 0x40000 ? 2 : 1;
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_MC:
        return 1;
    default:
        return (unsigned)utf8proc_charwidth((utf8proc_int32_t)code_point);
    }
}

// --- cleaning, measuring and cutting text for the terminal ----------------------------------------

#define MAX_RAW_BYTES 4096 // no attribute is longer, no line shows more
#define MAX_MARKS 3 // combining marks on one character; more of them would overlap other lines

enum treatment { KEEP, DROP, BLANK, REPLACE };

// Controls could steer the terminal (ECMA-48, 5.2 and 5.3), directional formatting can make a name look like another
// one (Unicode Technical Report #36, 2.6). The width of private planes is unknown.
static enum treatment treatment_of(uint32_t code_point)
{
    const utf8proc_property_t *property = property_of(code_point);
    bool is_noncharacter =
        (code_point & 0xfffe) == 0xfffe || (code_point >= 0xfdd0 && code_point <= 0xfdef);
    bool is_annotation =
        code_point >= 0xfff9 && code_point <= 0xfffb; // hides text from some readers
    if (is_noncharacter || is_annotation || code_point >= 0xf0000)
        return REPLACE;
    switch (property->category) {
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
        return REPLACE;
    case UTF8PROC_CATEGORY_ZS:
        return BLANK;
    case UTF8PROC_CATEGORY_CF:
        if (property->ignorable)
            return property->bidi_class == UTF8PROC_BIDI_CLASS_BN ? DROP : REPLACE;
        return KEEP;
    default:
        return property->ignorable ? DROP : KEEP;
    }
}

// Removes the next character from `rest`; a byte that starts no valid sequence counts as U+FFFD.
static uint32_t next_code_point(struct slice *rest)
{
    utf8proc_int32_t code_point;
    utf8proc_ssize_t len = utf8proc_iterate((const utf8proc_uint8_t *)rest->data,
                                            (utf8proc_ssize_t)rest->len, &code_point);
    if (len <= 0) {
        len = 1;
        code_point = 0xfffd;
    }
    rest->data += len;
    rest->len -= (size_t)len;
    return (uint32_t)code_point;
}

struct cleaner {
    char *out;
    size_t len;
    size_t marks;  // since the last character that takes columns
    bool has_base; // there is such a character
    bool unicode;
};

static void put_visible(struct cleaner *cleaner, uint32_t code_point)
{
    if (!cleaner->unicode && code_point > 0x7e)
        code_point = '?';
    cleaner->len += utf8_encode(code_point, cleaner->out + cleaner->len);
    cleaner->marks = 0;
    cleaner->has_base = true;
}

// No blanks at the beginning: a mark on a trimmed blank would combine with whatever precedes the text.
static void put_blank(struct cleaner *cleaner)
{
    if (cleaner->has_base)
        put_visible(cleaner, ' ');
}

static void put_mark(struct cleaner *cleaner, uint32_t code_point)
{
    if (!cleaner->unicode || !cleaner->has_base || cleaner->marks >= MAX_MARKS)
        return;
    cleaner->len += utf8_encode(code_point, cleaner->out + cleaner->len);
    cleaner->marks++;
}

static void put_clean(struct cleaner *cleaner, uint32_t code_point)
{
    switch (treatment_of(code_point)) {
    case DROP:
        break;
    case BLANK:
        put_blank(cleaner);
        break;
    case REPLACE:
        put_visible(cleaner, 0xfffd);
        break;
    case KEEP:
        if (text_code_point_width(code_point) == 0)
            put_mark(cleaner, code_point);
        else
            put_visible(cleaner, code_point);
        break;
    }
}

bool text_clean(struct arena *arena, struct slice raw, bool unicode, struct slice *clean)
{
    if (raw.len > MAX_RAW_BYTES)
        raw.len = MAX_RAW_BYTES;
    // A single invalid byte becomes the three bytes of U+FFFD.
    char *out = arena_allocate_array(arena, raw.len + 1, 3);
    if (out == NULL)
        return false;
    struct cleaner cleaner = {.out = out, .unicode = unicode};
    while (raw.len > 0)
        put_clean(&cleaner, next_code_point(&raw));
    *clean = slice_trim((struct slice){out, cleaner.len});
    return true;
}

size_t text_width(struct slice clean)
{
    size_t width = 0;
    while (clean.len > 0)
        width += text_code_point_width(next_code_point(&clean));
    return width;
}

struct slice text_prefix(struct slice clean, size_t columns)
{
    struct slice rest = clean;
    size_t width = 0;
    size_t taken = 0;
    while (rest.len > 0) {
        width += text_code_point_width(next_code_point(&rest));
        if (width > columns)
            break;
        taken = clean.len - rest.len;
    }
    return (struct slice){clean.data, taken};
}

struct slice text_suffix(struct slice clean, size_t columns)
{
    size_t width = text_width(clean);
    while (clean.len > 0 && width > columns)
        width -= text_code_point_width(next_code_point(&clean));
    // The rest may begin with the marks of a character that did not fit.
    while (clean.len > 0) {
        struct slice rest = clean;
        if (text_code_point_width(next_code_point(&rest)) > 0)
            break;
        clean = rest;
    }
    return clean;
}

struct text_ends text_shorten(struct slice clean, size_t columns, size_t ellipsis_width,
                              size_t tail_percent)
{
    if (text_width(clean) <= columns)
        return (struct text_ends){.head = clean};
    if (columns <= ellipsis_width)
        return (struct text_ends){.head = text_prefix(clean, columns)};
    size_t room = columns - ellipsis_width;
    struct slice tail = slice_trim(text_suffix(clean, room * tail_percent / 100));
    return (struct text_ends){
        .head = slice_trim(text_prefix(clean, room - text_width(tail))),
        .tail = tail,
        .has_gap = true,
    };
}

bool text_repository(struct arena *arena, struct slice server, struct slice full_name,
                     struct slice *out)
{
    if (server.len == 0)
        return arena_copy_slice(arena, full_name, out);
    return arena_format(arena, out, "%.*s/%.*s", SLICE_ARGS(server), SLICE_ARGS(full_name));
}
