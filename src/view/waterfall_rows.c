// The rows of a waterfall: the run, its jobs, their steps.
#include "ghatrace/view/text.h"
#include "ghatrace/view/waterfall_paint.h"

// What tells jobs of a matrix apart stands at the end of their names, what a step does at the
// beginning.
#define JOB_TAIL_PERCENT 60
#define STEP_TAIL_PERCENT 25
#define NOTE_WIDTH_MIN 14 // a shorter beginning of a longer note says nothing

// One cell of a bar: a character and its colour. NULL: empty.
struct cell {
    const char *glyph;
    enum style style;
};

struct bar {
    struct cell cells[TERMINAL_WIDTH_MAX];
    size_t width;
    size_t first; // cells in use: [first, end)
    size_t end;
    bool is_thin; // shorter than a cell: a mark of its own
};

enum style waterfall_outcome_style(enum waterfall_outcome outcome)
{
    static const enum style styles[OUTCOME_COUNT] = {
        [OUTCOME_UNKNOWN] = STYLE_BLUE, [OUTCOME_SUCCESS] = STYLE_GREEN,
        [OUTCOME_FAILURE] = STYLE_RED,  [OUTCOME_CANCELLED] = STYLE_MAGENTA,
        [OUTCOME_SKIPPED] = STYLE_GREY, [OUTCOME_CARRIED_OVER] = STYLE_GREY,
    };
    return styles[outcome];
}

const char *waterfall_outcome_mark(const struct waterfall_row *row, bool unicode)
{
    static const char *const marks[OUTCOME_COUNT][2] = {
        [OUTCOME_UNKNOWN] = {"?", "?"},         [OUTCOME_SUCCESS] = {"ok", "\u2713"},
        [OUTCOME_FAILURE] = {"FAIL", "\u2717"}, [OUTCOME_CANCELLED] = {"stop", "\u2296"},
        [OUTCOME_SKIPPED] = {"skip", "\u2298"}, [OUTCOME_CARRIED_OVER] = {"prev", "\u21ba"},
    };
    return marks[row->outcome][unicode];
}

const char *waterfall_phase_glyph(enum waterfall_phase phase, bool unicode)
{
    static const char *const glyphs[PHASE_COUNT][2] = {
        [PHASE_WAITING] = {".", "\u00b7"},
        [PHASE_QUEUE] = {"-", "\u2591"},
        [PHASE_STARTUP] = {"+", "\u2592"},
        [PHASE_EXECUTION] = {"#", "\u2588"},
    };
    return glyphs[phase][unicode];
}

enum style waterfall_phase_style(enum waterfall_phase phase)
{
    static const enum style styles[PHASE_COUNT] = {
        [PHASE_WAITING] = STYLE_GREY,
        [PHASE_QUEUE] = STYLE_YELLOW,
        [PHASE_STARTUP] = STYLE_CYAN,
        [PHASE_EXECUTION] = STYLE_GREEN,
    };
    return styles[phase];
}

// An empty bar with the marks of the axis drawn through it.
static void init_bar(const struct waterfall_picture *picture, struct bar *bar)
{
    const char *line = picture->painter.terminal.unicode ? "\u250a" : NULL;
    *bar = (struct bar){.width = picture->layout.bar_width};
    for (size_t i = 0; i < bar->width; i++)
        if (i > 0 && waterfall_axis_has_tick(picture, i))
            bar->cells[i] = (struct cell){line, STYLE_GREY};
}

static void fill(const struct waterfall_picture *picture, struct bar *bar,
                 struct waterfall_interval time, const char *glyph, enum style style)
{
    if (time.start == TIMESTAMP_UNKNOWN)
        return;
    size_t end = waterfall_axis_cell(picture, time.end);
    for (size_t i = waterfall_axis_cell(picture, time.start); i < end; i++)
        bar->cells[i] = (struct cell){glyph, style};
}

// Says which cells are in use; what is too short for one gets a thin mark.
static void bound(const struct waterfall_picture *picture, struct bar *bar,
                  struct waterfall_interval time, enum style style)
{
    if (time.start == TIMESTAMP_UNKNOWN)
        return;
    bar->first = waterfall_axis_cell(picture, time.start);
    bar->end = waterfall_axis_cell(picture, time.end);
    if (bar->first < bar->end)
        return;
    if (bar->first == bar->width)
        bar->first--;
    bar->end = bar->first + 1;
    bar->is_thin = true;
    bar->cells[bar->first] =
        (struct cell){picture->painter.terminal.unicode ? "\u258f" : "|", style};
}

static void paint_cells(struct painter *painter, const struct bar *bar, size_t first, size_t end)
{
    for (size_t i = first; i < end; i++) {
        if (bar->cells[i].glyph == NULL)
            painter_blanks(painter, 1);
        else
            painter_string(painter, bar->cells[i].style, bar->cells[i].glyph);
    }
}

// The note goes where the bar leaves room, behind it or else before it, with a blank at both ends.
static void paint_bar(struct painter *painter, const struct bar *bar, struct slice note)
{
    size_t origin = painter->column;
    size_t width = text_width(note) + 2;
    size_t after = bar->width - bar->end;
    bool is_after = width <= after || after >= bar->first;
    size_t room = is_after ? after : bar->first;
    size_t shown = width < room ? width : room;

    if (note.len == 0 || (shown < width && shown < NOTE_WIDTH_MIN)) {
        paint_cells(painter, bar, 0, bar->width);
        return;
    }
    size_t start = is_after ? bar->end : bar->first - shown;
    paint_cells(painter, bar, 0, start);
    painter_blanks(painter, 1);
    painter_shortened(painter, STYLE_GREY, note, shown - 2, 0);
    painter_advance(painter, origin + start + shown);
    paint_cells(painter, bar, start + shown, bar->width);
}

// `queue` below 0: none is known.
static void paint_row(struct waterfall_picture *picture, const struct waterfall_row *row,
                      const struct bar *bar, size_t indent, duration_ns queue)
{
    struct painter *painter = &picture->painter;
    const struct waterfall_layout *layout = &picture->layout;
    const char *mark = waterfall_outcome_mark(row, painter->terminal.unicode);
    enum style name_style = row == &picture->waterfall->root ? STYLE_BOLD : STYLE_PLAIN;
    char text[TIMESTAMP_TEXT_SIZE];

    painter_advance(painter, indent);
    painter_string(painter, waterfall_outcome_style(row->outcome), mark);
    painter_advance(painter, layout->name_column + indent);
    painter_shortened(painter, name_style, row->name, layout->name_width - indent,
                      indent > 0 ? STEP_TAIL_PERCENT : JOB_TAIL_PERCENT);
    painter_advance(painter, layout->bar_column);
    paint_bar(painter, bar, row->note);
    if (queue >= 0) {
        painter_advance(painter, layout->queue_column);
        painter_right(painter, queue > 0 ? STYLE_YELLOW : STYLE_GREY,
                      slice_from_string(duration_format_short(queue, text)), layout->queue_width);
    }
    if (row->time.start != TIMESTAMP_UNKNOWN) {
        painter_advance(painter, layout->total_column);
        painter_right(painter, name_style,
                      slice_from_string(duration_format_short(waterfall_length(row->time), text)),
                      layout->total_width);
    }
    painter_newline(painter);
}

static void paint_root(struct waterfall_picture *picture)
{
    const struct waterfall_row *root = &picture->waterfall->root;
    enum style style = waterfall_outcome_style(root->outcome);
    struct bar bar;

    init_bar(picture, &bar);
    fill(picture, &bar, root->time, picture->painter.terminal.unicode ? "\u2501" : "=", style);
    bound(picture, &bar, root->time, style);
    paint_row(picture, root, &bar, 0, -1);
}

// Execution is what an outcome belongs to; the phases before it look the same however a job ends.
static enum style phase_style(const struct waterfall_job *job, enum waterfall_phase phase)
{
    return phase == PHASE_EXECUTION ? waterfall_outcome_style(job->row.outcome)
                                    : waterfall_phase_style(phase);
}

static duration_ns overlap(struct waterfall_interval a, struct waterfall_interval b)
{
    timestamp_ns start = a.start > b.start ? a.start : b.start;
    timestamp_ns end = a.end < b.end ? a.end : b.end;
    return end > start ? end - start : 0;
}

// A cell shows the phase that takes the most of it. What no known phase covers stays a line.
static struct cell job_cell(const struct waterfall_picture *picture,
                            const struct waterfall_job *job, size_t index)
{
    bool unicode = picture->painter.terminal.unicode;
    struct waterfall_interval span = waterfall_axis_interval(picture, index);
    struct cell cell = {unicode ? "\u2500" : "=", waterfall_outcome_style(job->row.outcome)};
    duration_ns most = 0;

    for (enum waterfall_phase phase = 0; phase < PHASE_COUNT; phase++) {
        duration_ns share = overlap(span, job->phases[phase]);
        if (share == 0 || share < most)
            continue;
        most = share;
        cell = (struct cell){waterfall_phase_glyph(phase, unicode), phase_style(job, phase)};
    }
    return cell;
}

static void paint_job(struct waterfall_picture *picture, const struct waterfall_job *job)
{
    struct bar bar;

    init_bar(picture, &bar);
    bound(picture, &bar, job->row.time, waterfall_outcome_style(job->row.outcome));
    if (!bar.is_thin)
        for (size_t i = bar.first; i < bar.end; i++)
            bar.cells[i] = job_cell(picture, job, i);
    paint_row(picture, &job->row, &bar, 0,
              job->has_queue && waterfall_job_ran(job) ? job->queue : -1);
}

static void paint_step(struct waterfall_picture *picture, const struct waterfall_job *job,
                       const struct waterfall_row *step)
{
    bool unicode = picture->painter.terminal.unicode;
    bool is_startup =
        step->outcome == OUTCOME_SUCCESS && step->time.start < job->phases[PHASE_STARTUP].end;
    enum style style =
        is_startup ? waterfall_phase_style(PHASE_STARTUP) : waterfall_outcome_style(step->outcome);
    struct bar bar;

    init_bar(picture, &bar);
    fill(picture, &bar, step->time, unicode ? "\u2501" : "=", style);
    bound(picture, &bar, step->time, style);
    struct waterfall_row row = *step;
    // A skipped step is nothing to remark on: most jobs have some.
    if (step->outcome == OUTCOME_SKIPPED)
        row.note = SLICE_EMPTY;
    paint_row(picture, &row, &bar, WATERFALL_STEP_INDENT, -1);
}

void waterfall_paint_rows(struct waterfall_picture *picture)
{
    const struct waterfall *waterfall = picture->waterfall;
    if (waterfall->is_over)
        paint_root(picture);
    for (size_t i = 0; i < waterfall->job_count; i++) {
        const struct waterfall_job *job = &waterfall->jobs[i];
        paint_job(picture, job);
        for (size_t j = 0; picture->steps && j < job->step_count; j++)
            paint_step(picture, job, &job->steps[j]);
    }
}
