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

void waterfall_layout_rows(struct waterfall_picture *picture);

// --- axis ---
// The cell of the bar in which `time` falls, rounded; 0..bar_width.
size_t waterfall_axis_cell(const struct waterfall_picture *picture, timestamp_ns time);
// The time that a cell covers.
struct waterfall_interval waterfall_axis_interval(const struct waterfall_picture *picture,
                                                  size_t cell);
// Does a mark of the axis stand at the left edge of this cell?
bool waterfall_axis_has_tick(const struct waterfall_picture *picture, size_t cell);
void waterfall_choose_tick(struct waterfall_picture *picture);
void waterfall_paint_axis(struct waterfall_picture *picture);

// --- rows ---
enum style waterfall_outcome_style(enum waterfall_outcome outcome);
const char *waterfall_outcome_mark(const struct waterfall_row *row, bool unicode);
const char *waterfall_phase_glyph(enum waterfall_phase phase, bool unicode);
enum style waterfall_phase_style(enum waterfall_phase phase);
void waterfall_paint_rows(struct waterfall_picture *picture);

// --- words above and below ---
void waterfall_paint_head(struct waterfall_picture *picture);
void waterfall_paint_summary(struct waterfall_picture *picture);
void waterfall_paint_legend(struct waterfall_picture *picture);

#endif
