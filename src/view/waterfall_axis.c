// The time axis of a waterfall: linear, from the earliest start, with marks at round times.
#include "ghatrace/view/text.h"
#include "ghatrace/view/waterfall_paint.h"

#define MIN_CELLS_PER_TICK 9 // the longest label, two blanks
#define MIN_TICKS 2          // after the one at zero, be it narrow

static const duration_ns round_ticks[] = {
    NS_PER_MS,          2 * NS_PER_MS,      5 * NS_PER_MS,      10 * NS_PER_MS,
    20 * NS_PER_MS,     50 * NS_PER_MS,     100 * NS_PER_MS,    200 * NS_PER_MS,
    500 * NS_PER_MS,    NS_PER_SECOND,      2 * NS_PER_SECOND,  5 * NS_PER_SECOND,
    10 * NS_PER_SECOND, 15 * NS_PER_SECOND, 30 * NS_PER_SECOND, NS_PER_MINUTE,
    2 * NS_PER_MINUTE,  5 * NS_PER_MINUTE,  10 * NS_PER_MINUTE, 15 * NS_PER_MINUTE,
    30 * NS_PER_MINUTE, NS_PER_HOUR,        2 * NS_PER_HOUR,    3 * NS_PER_HOUR,
    6 * NS_PER_HOUR,    12 * NS_PER_HOUR,   NS_PER_DAY,         2 * NS_PER_DAY,
    5 * NS_PER_DAY,     10 * NS_PER_DAY,    20 * NS_PER_DAY,    50 * NS_PER_DAY,
    100 * NS_PER_DAY,   1000 * NS_PER_DAY,  10000 * NS_PER_DAY,
};

static size_t cell_of_offset(const struct waterfall_picture *picture, duration_ns offset)
{
    duration_ns length = waterfall_length(picture->waterfall->axis);
    if (offset <= 0 || length <= 0)
        return 0;
    if (offset >= length)
        return picture->layout.bar_width;
    // In floating point, because a product of two int64 may not fit; cells are coarse.
    double cells = (double)offset / (double)length * (double)picture->layout.bar_width;
    return (size_t)(cells + 0.5);
}

size_t waterfall_axis_cell(const struct waterfall_picture *picture, timestamp_ns time)
{
    return cell_of_offset(picture, time - picture->waterfall->axis.start);
}

struct waterfall_interval waterfall_axis_interval(const struct waterfall_picture *picture,
                                                  size_t cell)
{
    struct waterfall_interval axis = picture->waterfall->axis;
    double per_cell = (double)waterfall_length(axis) / (double)picture->layout.bar_width;
    duration_ns start = (duration_ns)((double)cell * per_cell);
    // The last cell ends with the axis: rounding must not carry it beyond what an int64 holds.
    if (cell + 1 >= picture->layout.bar_width)
        return (struct waterfall_interval){axis.start + start, axis.end};
    return (struct waterfall_interval){axis.start + start,
                                       axis.start + (duration_ns)((double)(cell + 1) * per_cell)};
}

void waterfall_choose_tick(struct waterfall_picture *picture)
{
    size_t count = sizeof(round_ticks) / sizeof(round_ticks[0]);
    duration_ns length = waterfall_length(picture->waterfall->axis);
    size_t most = picture->layout.bar_width / MIN_CELLS_PER_TICK;

    picture->tick = 0;
    if (length <= 0)
        return;
    if (most < MIN_TICKS)
        most = MIN_TICKS;
    size_t i = 0;
    while (i + 1 < count && length / round_ticks[i] > (duration_ns)most)
        i++;
    picture->tick = round_ticks[i];
}

bool waterfall_axis_has_tick(const struct waterfall_picture *picture, size_t cell)
{
    if (picture->tick == 0)
        return cell == 0;
    duration_ns length = waterfall_length(picture->waterfall->axis);
    duration_ns near = (duration_ns)((double)cell / (double)picture->layout.bar_width *
                                         (double)length / (double)picture->tick +
                                     0.5);
    return near <= length / picture->tick && cell_of_offset(picture, near * picture->tick) == cell;
}

static void paint_labels(struct waterfall_picture *picture)
{
    struct painter *painter = &picture->painter;
    const struct waterfall_layout *layout = &picture->layout;
    duration_ns length = waterfall_length(picture->waterfall->axis);
    size_t end = layout->bar_column + layout->bar_width;
    char text[TIMESTAMP_TEXT_SIZE];

    for (duration_ns at = 0; at <= length; at += picture->tick) {
        struct slice label = slice_from_string(duration_format_short(at, text));
        size_t column = layout->bar_column + cell_of_offset(picture, at);
        if (column + text_width(label) > end)
            break;
        if (at == 0 || column > painter->column) {
            painter_advance(painter, column);
            painter_text(painter, STYLE_GREY, label);
        }
        if (picture->tick == 0 || at > length - picture->tick)
            break;
    }
}

void waterfall_paint_axis(struct waterfall_picture *picture)
{
    struct painter *painter = &picture->painter;
    const struct waterfall_layout *layout = &picture->layout;
    bool unicode = painter->terminal.unicode;

    paint_labels(picture);
    painter_advance(painter, layout->queue_column);
    painter_right(painter, STYLE_GREY, SLICE("queue"), layout->queue_width);
    painter_advance(painter, layout->total_column);
    painter_right(painter, STYLE_GREY, SLICE("total"), layout->total_width);
    painter_newline(painter);
    painter_advance(painter, layout->bar_column);
    for (size_t cell = 0; cell < layout->bar_width; cell++) {
        bool tick = waterfall_axis_has_tick(picture, cell);
        painter_string(painter, STYLE_GREY,
                       unicode ? (tick ? "\u252c" : "\u2500") : (tick ? "+" : "-"));
    }
    painter_newline(painter);
}
