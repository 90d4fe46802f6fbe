// The parts of the picture that waterfall_render() puts together.
#ifndef GHATRACE_VIEW_WATERFALL_PAINT_H
#define GHATRACE_VIEW_WATERFALL_PAINT_H

#include <stddef.h>
#include <stdint.h>

#include "ghatrace/base/arena.h"
#include "ghatrace/view/painter.h"
#include "ghatrace/view/waterfall.h"

#define WATERFALL_STEP_INDENT 2

// Columns of a row: mark, name, bar, queue time, total time, one blank or two between.
struct waterfall_layout {
    size_t mark_width;
    size_t name_column;
    size_t name_width;
    size_t bar_column;
    size_t bar_width;
    size_t queue_column;
    size_t queue_width;
    size_t total_column;
    size_t total_width;
};

struct waterfall_picture {
    struct painter painter;
    const struct waterfall *waterfall;
    struct waterfall_layout layout;
    struct arena *scratch;
    bool steps;
    duration_ns tick; // between two marks of the axis; 0: the axis has no length
};

#endif
