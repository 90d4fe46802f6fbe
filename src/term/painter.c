// Lines of styled text, and tables of them.
#include "painter.h"

#include <assert.h>

#include "ghatrace/term/text.h"

// --- lines of bounded width, with colours where the terminal has them -----------------------------

#define PIECE_TAIL_PERCENT 40

void painter_init(struct painter *painter, const struct terminal *terminal, struct buffer *out)
{
    *painter = (struct painter){.out = out, .terminal = *terminal};
    if (painter->terminal.width < TERMINAL_WIDTH_MIN)
        painter->terminal.width = TERMINAL_WIDTH_MIN;
    if (painter->terminal.width > TERMINAL_WIDTH_MAX)
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

    painter_advance(painter, indent);
    for (size_t i = 0; i < count; i++) {
        size_t width = text_width(pieces[i].clean);
        if (painter->column > indent && gap + width > painter_room(painter)) {
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
#define FLEXIBLE_MIN 18 // columns; narrower text is not readable
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
    shrink_table(columns, width, &layout);
    for (size_t i = 0; i < columns; i++)
        titles[i] = (struct table_cell){slice_from_string(table->columns[i].title), STYLE_GREY};
    paint_row(painter, table, &layout, titles);
    for (size_t row = 0; row < table->row_count; row++)
        paint_row(painter, table, &layout, &table->cells[row * columns]);
}
