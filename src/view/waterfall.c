// Puts the picture of a run together.
#include "ghatrace/view/waterfall.h"

#include "ghatrace/view/text.h"
#include "ghatrace/view/waterfall_paint.h"

#define NAME_WIDTH_MIN 8

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

static size_t duration_width(duration_ns duration)
{
    char text[TIMESTAMP_TEXT_SIZE];
    return text_width(slice_from_string(duration_format_short(duration, text)));
}

// What the columns would need, were there room.
static void measure_row(struct waterfall_layout *layout, const struct waterfall_row *row,
                        size_t indent)
{
    layout->name_width = larger(layout->name_width, text_width(row->name) + indent);
    layout->total_width = larger(layout->total_width, duration_width(waterfall_length(row->time)));
}

static void measure_rows(struct waterfall_picture *picture)
{
    const struct waterfall *waterfall = picture->waterfall;
    struct waterfall_layout *layout = &picture->layout;

    layout->name_width = NAME_WIDTH_MIN;
    layout->queue_width = sizeof("queue") - 1;
    layout->total_width = sizeof("total") - 1;
    if (waterfall->is_over)
        measure_row(layout, &waterfall->root, 0);
    for (size_t i = 0; i < waterfall->job_count; i++) {
        const struct waterfall_job *job = &waterfall->jobs[i];
        measure_row(layout, &job->row, 0);
        if (job->has_queue)
            layout->queue_width = larger(layout->queue_width, duration_width(job->queue));
        for (size_t j = 0; picture->steps && j < job->step_count; j++)
            measure_row(layout, &job->steps[j], WATERFALL_STEP_INDENT);
    }
}

// Names get what they need, but no more than two fifths of what the figures leave; the bars get the
// rest: they are what one looks at.
void waterfall_layout_rows(struct waterfall_picture *picture)
{
    struct waterfall_layout *layout = &picture->layout;
    const struct terminal *terminal = &picture->painter.terminal;
    size_t gap = terminal->width < 60 ? 1 : 2;

    measure_rows(picture);
    layout->mark_width = terminal->unicode ? 1 : 4;
    layout->name_column = layout->mark_width + 1;
    layout->total_column = terminal->width - layout->total_width;
    layout->queue_column = layout->total_column - gap - layout->queue_width;
    size_t room = layout->queue_column - gap - layout->name_column - gap;
    size_t most = larger(room * 2 / 5, NAME_WIDTH_MIN);
    if (layout->name_width > most)
        layout->name_width = most;
    layout->bar_column = layout->name_column + layout->name_width + gap;
    layout->bar_width = layout->queue_column - gap - layout->bar_column;
}

enum error_code waterfall_render(const struct span_batch *batches, size_t count,
                                 const struct waterfall_options *options, struct arena *scratch,
                                 struct buffer *out, struct error *error)
{
    struct waterfall waterfall;
    struct waterfall_picture picture = {
        .waterfall = &waterfall, .scratch = scratch, .steps = options->steps};

    enum error_code code =
        waterfall_build(batches, count, options->terminal.unicode, scratch, &waterfall);
    if (code != ERROR_NONE)
        return error_set(error, code, "draw a waterfall of %zu records: %s", count,
                         error_code_text(code));
    painter_init(&picture.painter, &options->terminal, out);
    waterfall_paint_head(&picture);
    if (!waterfall.is_empty) {
        waterfall_layout_rows(&picture);
        waterfall_choose_tick(&picture);
        waterfall_paint_axis(&picture);
        waterfall_paint_rows(&picture);
        painter_newline(&picture.painter);
        waterfall_paint_summary(&picture);
        waterfall_paint_legend(&picture);
    }
    code = painter_finish(&picture.painter);
    if (code != ERROR_NONE)
        return error_set(error, code, "draw a waterfall of %zu jobs: %s", waterfall.job_count,
                         error_code_text(code));
    return ERROR_NONE;
}
