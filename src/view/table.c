// A table of text for a terminal.
#include "table.h"

#include "ghatrace/view/text.h"

#define GAP 2
#define FLEXIBLE_MIN 18 // columns; narrower, a text tells nothing
#define TAIL_PERCENT 50

struct layout {
    size_t widths[TABLE_COLUMNS_MAX]; // 0: left out
    size_t least[TABLE_COLUMNS_MAX];
};

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

// What a column needs for all of its text; one that is empty throughout is left out.
static void measure(const struct table_column *columns, size_t column_count,
                    const struct table_cell *cells, size_t count, struct layout *layout)
{
    for (size_t i = 0; i < column_count; i++) {
        size_t widest = 0, title = text_width(slice_from_string(columns[i].title));
        for (size_t row = 0; row < count; row++)
            widest = larger(widest, text_width(cells[row * column_count + i].clean));
        layout->widths[i] = widest > 0 ? larger(widest, title) : 0;
        bool is_fixed = columns[i].is_right || layout->widths[i] < FLEXIBLE_MIN;
        layout->least[i] = is_fixed ? layout->widths[i] : FLEXIBLE_MIN;
    }
}

static size_t sum(const size_t *widths, size_t column_count)
{
    size_t total = 0;
    for (size_t i = 0; i < column_count; i++)
        if (widths[i] > 0)
            total += widths[i] + (total > 0 ? GAP : 0);
    return total;
}

static void leave_out(const struct table_column *columns, size_t column_count,
                      struct layout *layout)
{
    size_t gone = column_count;
    for (size_t i = 0; i < column_count; i++)
        if (layout->widths[i] > 0 && columns[i].rank > 0 &&
            (gone == column_count || columns[i].rank > columns[gone].rank))
            gone = i;
    if (gone < column_count)
        layout->widths[gone] = layout->least[gone] = 0;
}

static bool has_any_rank(const struct table_column *columns, size_t column_count,
                         const struct layout *layout)
{
    for (size_t i = 0; i < column_count; i++)
        if (layout->widths[i] > 0 && columns[i].rank > 0)
            return true;
    return false;
}

// Takes columns from the widest until all fit.
static void shrink(size_t column_count, size_t width, struct layout *layout)
{
    for (size_t total = sum(layout->widths, column_count); total > width; total--) {
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

static void paint_row(struct painter *painter, const struct table_column *columns,
                      size_t column_count, const struct layout *layout,
                      const struct table_cell *cells)
{
    size_t start = 0;
    for (size_t i = 0; i < column_count; i++) {
        if (layout->widths[i] == 0)
            continue;
        enum style style = cells[i].style != STYLE_PLAIN ? cells[i].style : columns[i].style;
        painter_advance(painter, start);
        if (columns[i].is_right)
            painter_right(painter, style, cells[i].clean, layout->widths[i]);
        else
            painter_shortened(painter, style, cells[i].clean, layout->widths[i], TAIL_PERCENT);
        start += layout->widths[i] + GAP;
    }
    painter_newline(painter);
}

void table_paint(struct painter *painter, const struct table_column *columns, size_t column_count,
                 const struct table_cell *cells, size_t count, size_t most)
{
    struct table_cell titles[TABLE_COLUMNS_MAX];
    struct layout layout;
    measure(columns, column_count, cells, count, &layout);
    while (sum(layout.least, column_count) > painter->terminal.width &&
           has_any_rank(columns, column_count, &layout))
        leave_out(columns, column_count, &layout);
    shrink(column_count, painter->terminal.width, &layout);
    for (size_t i = 0; i < column_count; i++)
        titles[i] = (struct table_cell){slice_from_string(columns[i].title), STYLE_GREY};
    paint_row(painter, columns, column_count, &layout, titles);
    for (size_t row = 0; row < count && row < most; row++)
        paint_row(painter, columns, column_count, &layout, &cells[row * column_count]);
}
