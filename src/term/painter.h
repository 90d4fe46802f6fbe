// Lines of styled text, and tables of them (text.c).
#ifndef GHATRACE_TERM_PAINTER_H
#define GHATRACE_TERM_PAINTER_H

#include <stdbool.h>
#include <stddef.h>

#include "ghatrace/base/buffer.h"
#include "ghatrace/base/error.h"
#include "ghatrace/base/slice.h"
#include "ghatrace/term/text.h"

// --- painter --------------------------------------------------------------------------------------
// Writes lines to a buffer: tracks columns, switches colours, and never exceeds the width.
//
// Guaranteed for every line: no more columns than the terminal has, no trailing blanks, colours switched off at its
// end. The first error is kept, later calls do nothing, and painter_finish() returns it: painting code does not need
// to check each call.

enum style {
    STYLE_PLAIN,
    STYLE_BOLD,
    STYLE_GREY,
    STYLE_RED,
    STYLE_GREEN,
    STYLE_YELLOW,
    STYLE_BLUE,
    STYLE_MAGENTA,
    STYLE_CYAN,
};

struct painter {
    struct buffer *out; // not owned
    struct terminal terminal;
    size_t column;        // where the next character goes
    size_t pending;       // blanks before it that are not yet written
    enum style current;   // the terminal's current style
    enum error_code code; // the first error
    bool shows_breaks; // a paragraph's separator is shown where a line ends, too, if there is room
};

// Clamps the terminal's width to TERMINAL_WIDTH_MIN..MAX.
void painter_init(struct painter *painter, const struct terminal *terminal, struct buffer *out);
// ERROR_MEMORY or ERROR_TOO_LARGE if anything could not be written.
enum error_code painter_finish(const struct painter *painter) MUST_CHECK;

// Records an error of the caller, like the painter's own errors.
void painter_fail(struct painter *painter, enum error_code code);

// Columns left in this line.
size_t painter_room(const struct painter *painter);
struct slice painter_ellipsis(const struct painter *painter);
// Separates the pieces of a paragraph: a dot with blanks around it.
const char *painter_separator(const struct painter *painter);
void painter_newline(struct painter *painter);
void painter_blanks(struct painter *painter, size_t count);
// Writes blanks up to `column`, counted from 0; nothing if the line is already past it.
void painter_advance(struct painter *painter, size_t column);
// `clean`: from text_clean(). Text beyond the edge is cut off.
void painter_text(struct painter *painter, enum style style, struct slice clean);
void painter_string(struct painter *painter, enum style style, const char *text);
// Writes at most `columns`; longer text is shortened with an ellipsis, and its end gets `tail_percent` of the
// remaining columns: names of matrix jobs differ there ("test (ubuntu-latest, 3.12)").
void painter_shortened(struct painter *painter, enum style style, struct slice clean,
                       size_t columns, size_t tail_percent);
// Right-aligned within `columns`.
void painter_right(struct painter *painter, enum style style, struct slice clean, size_t columns);

// Pieces of one paragraph: as many per line as fit, with `separator` between, each line indented by `indent`. A piece
// longer than a line is broken at the end of the line if `may_break`, else shortened. Ends the last line.
struct painter_piece {
    enum style style;
    struct slice clean;
    bool may_break;
};
void painter_paragraph(struct painter *painter, const struct painter_piece *pieces, size_t count,
                       const char *separator, size_t indent);

// --- table ----------------------------------------------------------------------------------------
// A table of text for a terminal: columns are narrowed or omitted if there is no room for all.

#define TABLE_COLUMNS_MAX 10

struct table_column {
    const char *title;
    bool is_right; // right-aligned, never shortened
    unsigned rank; // the column with the highest rank is omitted first
    enum style style;
};

struct table_cell {
    struct slice clean;
    enum style style; // STYLE_PLAIN: the column's
};

struct table {
    const struct table_column *columns;
    size_t column_count;
    const struct table_cell *cells; // `column_count` for each row
    size_t row_count;
};

// Paints the titles and the rows.
void table_paint(struct painter *painter, const struct table *table);

#endif
