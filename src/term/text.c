// Text on a terminal: its capabilities; text cleaned, measured and cut; lines of styled text, and tables of them.
#include "ghatrace/term/text.h"

#include <assert.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <utf8proc.h>

#include "ghatrace/base/slice.h"
#include "ghatrace/base/utf8.h"
#include "painter.h"

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

// From COLUMNS.
static bool read_columns(const struct terminal_environment *environment, long long *columns)
{
    return slice_parse_int64(slice_from_string(environment->columns_variable), columns) &&
           *columns > 0;
}

static size_t choose_width(const struct terminal_environment *environment)
{
    long long columns;
    if (read_columns(environment, &columns))
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

struct terminal terminal_of_list(const struct terminal_environment *environment)
{
    struct terminal terminal = terminal_from_environment(environment);
    long long columns;
    if (!environment->is_terminal && !read_columns(environment, &columns))
        terminal.width = TERMINAL_WIDTH_UNLIMITED;
    return terminal;
}

static struct terminal_environment read_environment(int fd)
{
    struct winsize size = {0};
    bool has_size = ioctl(fd, TIOCGWINSZ, &size) == 0;
    return (struct terminal_environment){
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
}

struct terminal terminal_detect(int fd)
{
    const struct terminal_environment environment = read_environment(fd);
    return terminal_from_environment(&environment);
}

struct terminal terminal_detect_list(int fd)
{
    const struct terminal_environment environment = read_environment(fd);
    return terminal_of_list(&environment);
}

size_t terminal_detect_height(int fd)
{
    struct winsize size = {0};
    return isatty(fd) == 1 && ioctl(fd, TIOCGWINSZ, &size) == 0 ? size.ws_row : 0;
}

#define ROOM_FOR_WORDS 100 // columns

struct slice text_state_of_approval(const struct terminal *terminal)
{
    return terminal->width < ROOM_FOR_WORDS ? SLICE("approval") : SLICE("waiting for approval");
}

struct slice text_without_matrix(struct slice name)
{
    ptrdiff_t at = slice_ends_with(name, SLICE(")")) ? slice_find(name, SLICE(" (")) : -1;
    return at > 0 ? (struct slice){name.data, (size_t)at} : name;
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

bool text_seconds(struct arena *arena, duration_ns length, const char *suffix, struct slice *text)
{
    char room[TIMESTAMP_TEXT_SIZE];
    length = length > 0 ? length - length % NS_PER_SECOND : 0;
    return arena_format(arena, text, "%s%s", duration_format_short(length, room), suffix);
}

// --- lines of bounded width, with colours where the terminal has them -----------------------------

#define PIECE_TAIL_PERCENT 40

void painter_init(struct painter *painter, const struct terminal *terminal, struct buffer *out)
{
    *painter = (struct painter){.out = out, .terminal = *terminal};
    if (painter->terminal.width < TERMINAL_WIDTH_MIN)
        painter->terminal.width = TERMINAL_WIDTH_MIN;
    if (painter->terminal.width > TERMINAL_WIDTH_MAX &&
        painter->terminal.width != TERMINAL_WIDTH_UNLIMITED)
        painter->terminal.width = TERMINAL_WIDTH_MAX;
}

enum error_code painter_finish(const struct painter *painter)
{
    return painter->code;
}

void painter_fail(struct painter *painter, enum error_code code)
{
    if (painter->code == ERROR_NONE)
        painter->code = code;
}

size_t painter_room(const struct painter *painter)
{
    assert(painter->column <= painter->terminal.width);
    return painter->terminal.width - painter->column;
}

static void put_painted(struct painter *painter, struct slice bytes)
{
    if (painter->code == ERROR_NONE)
        painter->code = buffer_append_slice(painter->out, bytes);
}

static void switch_style(struct painter *painter, enum style style)
{
    // SGR parameters of ECMA-48, 8.3.117; 90 is the bright black of aixterm that all have.
    static const char *const sequences[] = {
        [STYLE_PLAIN] = "\x1b[0m",   [STYLE_BOLD] = "\x1b[0;1m",     [STYLE_GREY] = "\x1b[0;90m",
        [STYLE_RED] = "\x1b[0;31m",  [STYLE_GREEN] = "\x1b[0;32m",   [STYLE_YELLOW] = "\x1b[0;33m",
        [STYLE_BLUE] = "\x1b[0;34m", [STYLE_MAGENTA] = "\x1b[0;35m", [STYLE_CYAN] = "\x1b[0;36m",
    };
    if (!painter->terminal.colour || painter->current == style)
        return;
    put_painted(painter, slice_from_string(sequences[style]));
    painter->current = style;
}

struct slice painter_ellipsis(const struct painter *painter)
{
    return painter->terminal.unicode ? SLICE("\u2026") : SLICE("..");
}

const char *painter_separator(const struct painter *painter)
{
    return painter->terminal.unicode ? " \u00b7 " : " - ";
}

void painter_newline(struct painter *painter)
{
    switch_style(painter, STYLE_PLAIN);
    put_painted(painter, SLICE("\n"));
    painter->column = 0;
    painter->pending = 0;
}

void painter_blanks(struct painter *painter, size_t count)
{
    size_t room = painter_room(painter);
    if (count > room)
        count = room;
    painter->pending += count;
    painter->column += count;
}

void painter_advance(struct painter *painter, size_t column)
{
    if (column > painter->column)
        painter_blanks(painter, column - painter->column);
}

static void flush_blanks(struct painter *painter)
{
    static const char blanks[] = "                                ";
    while (painter->pending > 0) {
        size_t len = painter->pending < sizeof(blanks) - 1 ? painter->pending : sizeof(blanks) - 1;
        put_painted(painter, (struct slice){blanks, len});
        painter->pending -= len;
    }
}

// Blanks within the text are deferred, too: they may be the last of the line.
void painter_text(struct painter *painter, enum style style, struct slice clean)
{
    clean = text_prefix(clean, painter_room(painter));
    while (clean.len > 0) {
        size_t word = 0;
        while (word < clean.len && clean.data[word] != ' ')
            word++;
        if (word == 0) {
            painter_blanks(painter, 1);
            word = 1;
        } else {
            struct slice visible = {clean.data, word};
            flush_blanks(painter);
            switch_style(painter, style);
            put_painted(painter, visible);
            painter->column += text_width(visible);
        }
        clean.data += word;
        clean.len -= word;
    }
}

void painter_string(struct painter *painter, enum style style, const char *text)
{
    painter_text(painter, style, slice_from_string(text));
}

void painter_shortened(struct painter *painter, enum style style, struct slice clean,
                       size_t columns, size_t tail_percent)
{
    struct slice ellipsis = painter_ellipsis(painter);
    struct text_ends ends = text_shorten(clean, columns, text_width(ellipsis), tail_percent);

    painter_text(painter, style, ends.head);
    if (ends.has_gap)
        painter_text(painter, style, ellipsis);
    painter_text(painter, style, ends.tail);
}

void painter_right(struct painter *painter, enum style style, struct slice clean, size_t columns)
{
    size_t width = text_width(clean);
    if (width < columns)
        painter_blanks(painter, columns - width);
    painter_text(painter, style, text_prefix(clean, columns));
}

// Breaks a piece at the edge of each line.
static void paint_broken(struct painter *painter, const struct painter_piece *piece, size_t indent)
{
    struct slice rest = piece->clean;
    while (rest.len > 0) {
        painter_advance(painter, indent);
        struct slice part = text_prefix(rest, painter_room(painter));
        painter_text(painter, piece->style, part);
        rest.data += part.len;
        rest.len -= part.len;
        if (rest.len > 0)
            painter_newline(painter);
    }
}

static void paint_piece(struct painter *painter, const struct painter_piece *piece, size_t indent)
{
    if (piece->may_break)
        paint_broken(painter, piece, indent);
    else
        painter_shortened(painter, piece->style, piece->clean, painter_room(painter),
                          PIECE_TAIL_PERCENT);
}

void painter_paragraph(struct painter *painter, const struct painter_piece *pieces, size_t count,
                       const char *separator, size_t indent)
{
    size_t gap = text_width(slice_from_string(separator));
    // of a visible separator at the end of a line, before the blank
    size_t end = painter->shows_breaks && gap > 1 ? gap - 1 : 0;

    painter_advance(painter, indent);
    for (size_t i = 0; i < count; i++) {
        size_t width = text_width(pieces[i].clean) + (i + 1 < count ? end : 0);
        if (painter->column > indent && gap + width > painter_room(painter)) {
            if (end > 0 && end <= painter_room(painter))
                painter_string(painter, STYLE_GREY, separator);
            painter_newline(painter);
            painter_advance(painter, indent);
        }
        if (painter->column > indent)
            painter_string(painter, STYLE_GREY, separator);
        paint_piece(painter, &pieces[i], indent);
    }
    painter_newline(painter);
}

// --- tables for a terminal ------------------------------------------------------------------------

#define GAP 2
#define FLEXIBLE_MIN 18 // columns; narrower text is hardly readable
#define LEAST_OF_ALL 8  // but it is better than columns that are not on the screen
#define TAIL_PERCENT 50

struct layout {
    size_t widths[TABLE_COLUMNS_MAX]; // 0: omitted
    size_t least[TABLE_COLUMNS_MAX];
};

static size_t larger_width(size_t a, size_t b)
{
    return a > b ? a : b;
}

// The width that a column needs for all of its text; a column that is always empty is omitted.
static void measure_table(const struct table *table, struct layout *layout)
{
    for (size_t i = 0; i < table->column_count; i++) {
        const struct table_column *column = &table->columns[i];
        size_t widest = 0, title = text_width(slice_from_string(column->title));
        for (size_t row = 0; row < table->row_count; row++)
            widest =
                larger_width(widest, text_width(table->cells[row * table->column_count + i].clean));
        layout->widths[i] = widest > 0 ? larger_width(widest, title) : 0;
        bool is_fixed = column->is_right || layout->widths[i] < FLEXIBLE_MIN;
        layout->least[i] = is_fixed ? layout->widths[i] : FLEXIBLE_MIN;
    }
}

static size_t sum_of_widths(const size_t *widths, size_t column_count)
{
    size_t total = 0;
    for (size_t i = 0; i < column_count; i++)
        if (widths[i] > 0)
            total += widths[i] + (total > 0 ? GAP : 0);
    return total;
}

// Omits the column of the highest rank. False if all that are left must stay.
static bool omit_column(const struct table *table, struct layout *layout)
{
    const struct table_column *columns = table->columns;
    size_t gone = table->column_count;
    for (size_t i = 0; i < table->column_count; i++)
        if (layout->widths[i] > 0 && columns[i].rank > 0 &&
            (gone == table->column_count || columns[i].rank > columns[gone].rank))
            gone = i;
    if (gone == table->column_count)
        return false;
    layout->widths[gone] = layout->least[gone] = 0;
    return true;
}

// Where no column may be omitted, and those that are left do not fit.
static void allow_narrow_columns(const struct table *table, struct layout *layout)
{
    for (size_t i = 0; i < table->column_count; i++)
        if (!table->columns[i].is_right && layout->least[i] > LEAST_OF_ALL)
            layout->least[i] = LEAST_OF_ALL;
}

// Narrows the widest columns until all fit.
static void shrink_table(size_t column_count, size_t width, struct layout *layout)
{
    for (size_t total = sum_of_widths(layout->widths, column_count); total > width; total--) {
        size_t widest = column_count;
        for (size_t i = 0; i < column_count; i++)
            if (layout->widths[i] > layout->least[i] &&
                (widest == column_count || layout->widths[i] > layout->widths[widest]))
                widest = i;
        if (widest == column_count)
            return;
        layout->widths[widest]--;
    }
}

static void paint_row(struct painter *painter, const struct table *table,
                      const struct layout *layout, const struct table_cell *cells)
{
    size_t start = 0;
    for (size_t i = 0; i < table->column_count; i++) {
        const struct table_column *column = &table->columns[i];
        if (layout->widths[i] == 0)
            continue;
        enum style style = cells[i].style != STYLE_PLAIN ? cells[i].style : column->style;
        painter_advance(painter, start);
        if (column->is_right)
            painter_right(painter, style, cells[i].clean, layout->widths[i]);
        else
            painter_shortened(painter, style, cells[i].clean, layout->widths[i], TAIL_PERCENT);
        start += layout->widths[i] + GAP;
    }
    painter_newline(painter);
}

void table_paint(struct painter *painter, const struct table *table)
{
    size_t columns = table->column_count, width = painter->terminal.width;
    struct table_cell titles[TABLE_COLUMNS_MAX];
    struct layout layout;
    assert(columns <= TABLE_COLUMNS_MAX);
    measure_table(table, &layout);
    while (sum_of_widths(layout.least, columns) > width && omit_column(table, &layout))
        continue;
    if (sum_of_widths(layout.least, columns) > width)
        allow_narrow_columns(table, &layout);
    shrink_table(columns, width, &layout);
    for (size_t i = 0; i < columns; i++)
        titles[i] = (struct table_cell){slice_from_string(table->columns[i].title), STYLE_GREY};
    paint_row(painter, table, &layout, titles);
    for (size_t row = 0; row < table->row_count; row++)
        paint_row(painter, table, &layout, &table->cells[row * columns]);
}
