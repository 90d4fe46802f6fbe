// A table of text for a terminal: columns that shrink, or go, where there is no room for all.
#ifndef GHATRACE_VIEW_TABLE_H
#define GHATRACE_VIEW_TABLE_H

#include "ghatrace/view/painter.h"

#define TABLE_COLUMNS_MAX 8

struct table_column {
    const char *title;
    bool is_right; // aligned to the right, never shortened
    unsigned rank; // the column with the highest goes first
    enum style style;
};

struct table_cell {
    struct slice clean;
    enum style style; // STYLE_PLAIN: the column's
};

// Paints the titles and `count` rows of `column_count` cells each; of the rows, at most `most`.
void table_paint(struct painter *painter, const struct table_column *columns, size_t column_count,
                 const struct table_cell *cells, size_t count, size_t most);

#endif
