// Reads a run and draws its waterfall: texts, axis, bars of the rows (waterfall_rows.h).
#include "ghatrace/term/waterfall.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>

#include "ghatrace/base/slice.h"
#include "ghatrace/github/server.h"
#include "ghatrace/term/text.h"
#include "painter.h"
#include "waterfall_rows.h"

#define WATERFALL_STEP_INDENT 2

// --- the drawing context --------------------------------------------------------------------------

// Columns of a row: mark, name, bar, queue time, total time, separated by one or two blanks.
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
    size_t job_indent; // below a row of their run
    duration_ns tick;  // between two ticks of the axis; 0: the axis has no length
};

// --- texts of a waterfall -------------------------------------------------------------------------
// The text above and below the rows of a waterfall: the run, how the time was spent, the legend.

#define MAX_PIECES 16
#define SHORT_REVISION 7     // as in git and on GitHub
#define NAME_TAIL_PERCENT 60 // as in the rows

struct paragraph {
    struct waterfall_picture *picture;
    struct painter_piece pieces[MAX_PIECES];
    size_t count;
};

static void add_piece(struct paragraph *paragraph, enum style style, struct slice clean)
{
    if (paragraph->count < MAX_PIECES && clean.len > 0)
        paragraph->pieces[paragraph->count++] = (struct painter_piece){style, clean, false};
}

// Cleans untrusted text; if memory runs out, the drawing fails.
static struct slice clean_text(struct waterfall_picture *picture, struct slice raw)
{
    struct slice text = SLICE_EMPTY;
    if (raw.len > 0 && !text_clean(picture->scratch, raw, picture->painter.terminal.unicode, &text))
        painter_fail(&picture->painter, ERROR_MEMORY);
    return text;
}

// `format` joins text that is already clean. If memory runs out, the drawing fails.
#define add_format(paragraph, style, ...)                                                          \
    do {                                                                                           \
        struct slice formatted = SLICE_EMPTY;                                                      \
        if (!arena_format((paragraph)->picture->scratch, &formatted, __VA_ARGS__))                 \
            painter_fail(&(paragraph)->picture->painter, ERROR_MEMORY);                            \
        add_piece(paragraph, style, formatted);                                                    \
    } while (0)

static void end_paragraph(struct paragraph *paragraph, const char *between)
{
    if (paragraph->count > 0)
        painter_paragraph(&paragraph->picture->painter, paragraph->pieces, paragraph->count,
                          between, 0);
    paragraph->count = 0;
}

static const char *format_length(const struct view_interval *interval, char *text)
{
    return duration_format_short(waterfall_length(*interval), text);
}

static enum style mark_style(enum waterfall_mark mark);

static const char *mark_text(enum waterfall_mark mark, bool unicode);

// octo-org/shop · CI #1482 · attempt 2 · failure · 12m31s
static void paint_run_line(struct waterfall_picture *picture)
{
    const struct waterfall *waterfall = picture->waterfall;
    const struct run_view *view = waterfall->view;
    const struct waterfall_row *root = &waterfall->root;
    struct slice workflow = clean_text(picture, view->workflow);
    struct slice conclusion = clean_text(picture, view_conclusion_words(view->conclusion));
    struct paragraph paragraph = {.picture = picture};
    char text[TIMESTAMP_TEXT_SIZE];

    add_piece(&paragraph, STYLE_BOLD, clean_text(picture, view->repository));
    if (view->run_number > 0)
        add_format(&paragraph, STYLE_BOLD, "%.*s%s#%lld", SLICE_ARGS(workflow),
                   workflow.len > 0 ? " " : "", (long long)view->run_number);
    else
        add_piece(&paragraph, STYLE_BOLD, workflow);
    if (view->run_attempt > 0)
        add_format(&paragraph, STYLE_PLAIN, "attempt %lld", (long long)view->run_attempt);
    const char *mark = mark_text(root->mark, picture->painter.terminal.unicode);
    if (!waterfall->is_over)
        add_piece(&paragraph, STYLE_BLUE, SLICE("still open"));
    else if (conclusion.len == 0)
        add_format(&paragraph, mark_style(root->mark), "%s no result", mark);
    else
        add_format(&paragraph, mark_style(root->mark), "%s %.*s", mark, SLICE_ARGS(conclusion));
    if (root->time.start != TIMESTAMP_UNKNOWN)
        add_format(&paragraph, STYLE_BOLD, "%s%s", format_length(&root->time, text),
                   waterfall->is_over ? "" : " so far");
    end_paragraph(&paragraph, painter_separator(&picture->painter));
}

// Add a price to the list · push on main @ 4f2c1a9 by octocat · 2026-09-03T04:16:57Z
static void paint_commit_line(struct waterfall_picture *picture)
{
    const struct run_view *view = picture->waterfall->view;
    struct slice branch = clean_text(picture, view->branch);
    struct slice revision = clean_text(picture, view->revision);
    struct slice actor = clean_text(picture, view->actor);
    struct paragraph paragraph = {.picture = picture};
    char text[TIMESTAMP_TEXT_SIZE];

    add_piece(&paragraph, STYLE_PLAIN, clean_text(picture, view->title));
    add_piece(&paragraph, STYLE_GREY, clean_text(picture, view->event_name));
    add_format(&paragraph, STYLE_GREY, "%.*s%s%.*s", SLICE_ARGS(branch),
               branch.len > 0 && revision.len > 0 ? " @ " : "",
               SLICE_ARGS(text_prefix(revision, SHORT_REVISION)));
    if (actor.len > 0)
        add_format(&paragraph, STYLE_GREY, "by %.*s", SLICE_ARGS(actor));
    if (picture->waterfall->axis.start != TIMESTAMP_UNKNOWN)
        add_format(&paragraph, STYLE_GREY, "%s",
                   timestamp_format_rfc3339(picture->waterfall->axis.start, false, text));
    end_paragraph(&paragraph, painter_separator(&picture->painter));
}

static void paint_link_line(struct waterfall_picture *picture)
{
    const struct run_view *view = picture->waterfall->view;
    struct paragraph paragraph = {.picture = picture};
    char id[2 * TRACE_ID_SIZE + 1];

    hex_encode(view->trace.bytes, TRACE_ID_SIZE, id);
    add_format(&paragraph, STYLE_GREY, "trace %s", id);
    add_piece(&paragraph, STYLE_GREY, clean_text(picture, view->url));
    // A link must stay complete, even over several lines: a shortened one does not work.
    for (size_t i = 0; i < paragraph.count; i++)
        paragraph.pieces[i].may_break = true;
    end_paragraph(&paragraph, painter_separator(&picture->painter));
}

static void paint_head(struct waterfall_picture *picture)
{
    paint_run_line(picture);
    paint_commit_line(picture);
    paint_link_line(picture);
    painter_newline(&picture->painter);
}

struct totals {
    duration_ns queue;
    size_t queue_jobs;
    const struct waterfall_job *longest_queue;
    const struct waterfall_job *longest_waiting;
};

static duration_ns waiting_time_of(const struct waterfall_job *job)
{
    return job != NULL ? waterfall_length(job->phases[PHASE_WAITING]) : 0;
}

static struct totals sum_up_jobs(const struct waterfall *waterfall)
{
    struct totals totals = {0};

    for (size_t i = 0; i < waterfall->job_count; i++) {
        const struct waterfall_job *job = &waterfall->jobs[i];
        if (!run_view_job_ran(job->job))
            continue;
        if (waiting_time_of(job) > waiting_time_of(totals.longest_waiting))
            totals.longest_waiting = job;
        duration_ns queue = job->job->queue;
        if (!job->job->has_queue)
            continue;
        totals.queue_jobs++;
        totals.queue = totals.queue > INT64_MAX - queue ? INT64_MAX : totals.queue + queue;
        if (queue > (totals.longest_queue != NULL ? totals.longest_queue->job->queue : 0))
            totals.longest_queue = job;
    }
    return totals;
}

// "what job time after", with the job's name shortened so that all of it fits in one line.
static void add_job_piece(struct paragraph *paragraph, const char *what,
                          const struct waterfall_job *job, duration_ns duration, const char *after)
{
    const struct painter *painter = &paragraph->picture->painter;
    struct slice ellipsis = painter_ellipsis(painter);
    char text[TIMESTAMP_TEXT_SIZE];

    if (job == NULL)
        return;
    (void)duration_format_short(duration, text);
    size_t taken = strlen(what) + sizeof(" ") - 1 + strlen(text) + strlen(after);
    struct text_ends name = text_shorten(job->row.name, painter->terminal.width - taken,
                                         text_width(ellipsis), NAME_TAIL_PERCENT);
    add_format(paragraph, STYLE_PLAIN, "%s%.*s%.*s%.*s %s%s", what, SLICE_ARGS(name.head),
               name.has_gap ? (int)ellipsis.len : 0, ellipsis.data, SLICE_ARGS(name.tail), text,
               after);
}

#define CRITICAL_JOBS_MOST 12 // that are named

// " (93% of the run)": how much of the run its critical path takes.
static void format_share(const struct waterfall *waterfall, duration_ns length, char share[32])
{
    duration_ns whole = waterfall_length(waterfall->root.time);
    share[0] = '\0';
    if (waterfall->is_over && whole > 0)
        (void)snprintf(share, 32, " (%.0f%% of the run)", (double)length / (double)whole * 100);
}

// "critical path: build 4m → test (3.12) 9m (93% of the run)": the jobs that determined how long the run took.
static void paint_critical_path(struct waterfall_picture *picture)
{
    struct paragraph paragraph = {.picture = picture};
    const struct waterfall_job *path[CRITICAL_JOBS_MOST];
    bool is_narrow = picture->painter.terminal.width < 60;
    const char *arrow = picture->painter.terminal.unicode ? "\u2192 " : "-> ";
    const char *what = "critical path: ";
    duration_ns length = 0;
    size_t count = waterfall_critical_path(picture->waterfall, path, CRITICAL_JOBS_MOST, &length);
    size_t shown = count < CRITICAL_JOBS_MOST ? count : CRITICAL_JOBS_MOST;
    char share[32];

    format_share(picture->waterfall, length, share);
    if (count > shown) {
        add_format(&paragraph, STYLE_PLAIN, "%s%zu jobs", what, count - shown);
        what = arrow;
    }
    for (size_t i = shown; i-- > 0; what = arrow)
        add_job_piece(&paragraph, what, path[i], waterfall_length(path[i]->row.time),
                      i == 0 && !is_narrow ? share : "");
    end_paragraph(&paragraph, " ");
}

// The first of the failed jobs to end: the rows have no room for a note next to a long bar.
static const struct waterfall_job *first_failure(const struct waterfall *waterfall)
{
    const struct waterfall_job *first = NULL;
    for (size_t i = 0; i < waterfall->job_count; i++) {
        const struct waterfall_job *job = &waterfall->jobs[i];
        if (job->is_explained && (first == NULL || job->row.time.end < first->row.time.end))
            first = job;
    }
    return first;
}

// "first failure: build / linux: failed in make"
static void add_failure(struct paragraph *paragraph)
{
    const struct waterfall_job *job = first_failure(paragraph->picture->waterfall);
    const struct painter *painter = &paragraph->picture->painter;
    struct slice ellipsis = painter_ellipsis(painter);
    struct slice text;

    if (job == NULL)
        return;
    if (!arena_format(paragraph->picture->scratch, &text, "first failure: %.*s: %.*s",
                      SLICE_ARGS(job->row.name), SLICE_ARGS(job->row.note))) {
        painter_fail(&paragraph->picture->painter, ERROR_MEMORY);
        return;
    }
    struct text_ends ends =
        text_shorten(text, painter->terminal.width, text_width(ellipsis), NAME_TAIL_PERCENT);
    add_format(paragraph, mark_style(MARK_FAILURE), "%.*s%.*s%.*s", SLICE_ARGS(ends.head),
               ends.has_gap ? (int)ellipsis.len : 0, ellipsis.data, SLICE_ARGS(ends.tail));
}

// queued 1m12s of job time over 6 jobs; longest wait: build / linux 48s
// critical path: build 4m → test (3.12) 9m
static void waterfall_paint_summary(struct waterfall_picture *picture)
{
    struct totals totals = sum_up_jobs(picture->waterfall);
    struct paragraph paragraph = {.picture = picture};
    char text[TIMESTAMP_TEXT_SIZE];

    add_failure(&paragraph);
    end_paragraph(&paragraph, "; ");
    if (totals.queue_jobs > 0)
        add_format(&paragraph, STYLE_PLAIN, "queued %s of job time over %zu job%s",
                   duration_format_short(totals.queue, text), totals.queue_jobs,
                   totals.queue_jobs == 1 ? "" : "s");
    if (totals.longest_queue != NULL)
        add_job_piece(&paragraph, "longest wait: ", totals.longest_queue,
                      totals.longest_queue->job->queue, "");
    add_job_piece(&paragraph, "held by environment rules: ", totals.longest_waiting,
                  waiting_time_of(totals.longest_waiting), "");
    end_paragraph(&paragraph, "; ");
    paint_critical_path(picture);
}

static const char *waterfall_phase_glyph(enum view_phase phase, bool unicode);

static enum style waterfall_phase_style(enum view_phase phase);

static void add_phases(struct paragraph *paragraph)
{
    static const char *const names[PHASE_COUNT] = {"waiting", "queue", "start-up", "execution"};
    const struct waterfall *waterfall = paragraph->picture->waterfall;
    bool unicode = paragraph->picture->painter.terminal.unicode;

    for (enum view_phase phase = 0; phase < PHASE_COUNT; phase++) {
        bool is_present = false;
        for (size_t i = 0; i < waterfall->job_count && !is_present; i++)
            is_present = waterfall_length(waterfall->jobs[i].phases[phase]) > 0;
        if (is_present)
            add_format(paragraph, waterfall_phase_style(phase), "%s %s",
                       waterfall_phase_glyph(phase, unicode), names[phase]);
    }
}

static void note_marks(bool seen[MARK_COUNT], const struct waterfall_picture *picture)
{
    const struct waterfall *waterfall = picture->waterfall;
    if (waterfall->is_over)
        seen[waterfall->root.mark] = true;
    for (size_t i = 0; i < waterfall->job_count; i++) {
        const struct waterfall_job *job = &waterfall->jobs[i];
        seen[job->row.mark] = true;
        for (size_t j = 0; picture->steps && j < job->step_count; j++)
            seen[job->steps[j].mark] = true;
    }
}

static void add_marks(struct paragraph *paragraph)
{
    static const char *const names[MARK_COUNT] = {[MARK_UNKNOWN] = "other or no result",
                                                  [MARK_SUCCESS] = "success",
                                                  [MARK_FAILURE] = "failure",
                                                  [MARK_CANCELLED] = "cancelled",
                                                  [MARK_SKIPPED] = "skipped",
                                                  [MARK_CARRIED_OVER] = "carried over",
                                                  [MARK_RUNNING] = "running",
                                                  [MARK_YET_TO_START] = "yet to start",
                                                  [MARK_ENDED_UNKNOWN] = "ended, result unknown"};
    bool seen[MARK_COUNT] = {false};

    note_marks(seen, paragraph->picture);
    for (size_t i = 1; i <= MARK_COUNT; i++) {
        enum waterfall_mark mark = (enum waterfall_mark)(i % MARK_COUNT); // mark 0 comes last
        if (seen[mark])
            add_format(paragraph, mark_style(mark), "%s %s",
                       mark_text(mark, paragraph->picture->painter.terminal.unicode), names[mark]);
    }
}

// Explains only the marks that the waterfall contains.
static void waterfall_paint_legend(struct waterfall_picture *picture)
{
    struct paragraph paragraph = {.picture = picture};
    add_phases(&paragraph);
    add_marks(&paragraph);
    end_paragraph(&paragraph, "  ");
}

// --- waterfall axis -------------------------------------------------------------------------------
// The time axis of a waterfall: linear, from the earliest start, with ticks at round times.

#define MIN_CELLS_PER_TICK 9 // the longest label and two blanks
#define MIN_TICKS 2          // in addition to the one at zero, even on a narrow axis

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
    // In floating point, because a product of two int64 may overflow; cells are coarse.
    double cells = (double)offset / (double)length * (double)picture->layout.bar_width;
    return (size_t)(cells + 0.5);
}

// The cell of the bar that contains `time`, rounded; 0..bar_width.
static size_t waterfall_axis_cell(const struct waterfall_picture *picture, timestamp_ns time)
{
    return cell_of_offset(picture, time - picture->waterfall->axis.start);
}

// The interval covered by a cell.
static struct view_interval waterfall_axis_interval(const struct waterfall_picture *picture,
                                                    size_t cell)
{
    struct view_interval axis = picture->waterfall->axis;
    double per_cell = (double)waterfall_length(axis) / (double)picture->layout.bar_width;
    duration_ns start = (duration_ns)((double)cell * per_cell);
    // The last cell ends with the axis: rounding must not exceed the range of an int64.
    if (cell + 1 >= picture->layout.bar_width)
        return (struct view_interval){axis.start + start, axis.end};
    return (struct view_interval){axis.start + start,
                                  axis.start + (duration_ns)((double)(cell + 1) * per_cell)};
}

static void waterfall_choose_tick(struct waterfall_picture *picture)
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

// True if there is a tick of the axis at the left edge of this cell.
static bool waterfall_axis_has_tick(const struct waterfall_picture *picture, size_t cell)
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
        struct slice label = slice_from_string(duration_format_tick(at, text));
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

// Paints the axis and the titles of the columns.
static void waterfall_paint_axis(struct waterfall_picture *picture)
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

// --- the rows of a waterfall: the run, its jobs, their steps --------------------------------------

// Names of matrix jobs differ at their ends, those of steps at the beginning.
#define JOB_TAIL_PERCENT 60
#define STEP_TAIL_PERCENT 25
#define NOTE_WIDTH_MIN 14 // a shorter part of a longer note is not readable

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
    bool is_thin; // shorter than a cell: has its own character
};

static enum style mark_style(enum waterfall_mark mark)
{
    static const enum style styles[MARK_COUNT] = {
        [MARK_UNKNOWN] = STYLE_BLUE,       [MARK_SUCCESS] = STYLE_GREEN,
        [MARK_FAILURE] = STYLE_RED,        [MARK_CANCELLED] = STYLE_MAGENTA,
        [MARK_SKIPPED] = STYLE_GREY,       [MARK_CARRIED_OVER] = STYLE_GREY,
        [MARK_RUNNING] = STYLE_BLUE,       [MARK_YET_TO_START] = STYLE_YELLOW,
        [MARK_ENDED_UNKNOWN] = STYLE_GREY,
    };
    return styles[mark];
}

static const char *mark_text(enum waterfall_mark mark, bool unicode)
{
    static const char *const marks[MARK_COUNT][2] = {
        [MARK_UNKNOWN] = {"?", "?"},
        [MARK_SUCCESS] = {"ok", "\u2713"},
        [MARK_FAILURE] = {"FAIL", "\u2717"},
        [MARK_CANCELLED] = {"stop", "\u2296"},
        [MARK_SKIPPED] = {"skip", "\u2298"},
        [MARK_CARRIED_OVER] = {"prev", "\u21ba"},
        [MARK_RUNNING] = {"run", "\u25b8"},
        [MARK_YET_TO_START] = {"wait", "\u25e6"},
        [MARK_ENDED_UNKNOWN] = {"end?", "\u25cc"},
    };
    return marks[mark][unicode];
}

static const char *waterfall_phase_glyph(enum view_phase phase, bool unicode)
{
    static const char *const glyphs[PHASE_COUNT][2] = {
        [PHASE_WAITING] = {".", "\u00b7"},
        [PHASE_QUEUE] = {"-", "\u2591"},
        [PHASE_STARTUP] = {"+", "\u2592"},
        [PHASE_EXECUTION] = {"#", "\u2588"},
    };
    return glyphs[phase][unicode];
}

static enum style waterfall_phase_style(enum view_phase phase)
{
    static const enum style styles[PHASE_COUNT] = {
        [PHASE_WAITING] = STYLE_GREY,
        [PHASE_QUEUE] = STYLE_YELLOW,
        [PHASE_STARTUP] = STYLE_CYAN,
        [PHASE_EXECUTION] = STYLE_GREEN,
    };
    return styles[phase];
}

// Initializes an empty bar with the ticks of the axis.
static void init_bar(const struct waterfall_picture *picture, struct bar *bar)
{
    const char *line = picture->painter.terminal.unicode ? "\u250a" : NULL;
    *bar = (struct bar){.width = picture->layout.bar_width};
    assert(bar->width <= TERMINAL_WIDTH_MAX);
    for (size_t i = 0; i < bar->width; i++)
        if (i > 0 && waterfall_axis_has_tick(picture, i))
            bar->cells[i] = (struct cell){line, STYLE_GREY};
}

static void fill_cells(const struct waterfall_picture *picture, struct bar *bar,
                       struct view_interval time, const char *glyph, enum style style)
{
    if (time.start == TIMESTAMP_UNKNOWN)
        return;
    size_t end = waterfall_axis_cell(picture, time.end);
    assert(end <= bar->width);
    for (size_t i = waterfall_axis_cell(picture, time.start); i < end; i++)
        bar->cells[i] = (struct cell){glyph, style};
}

// Determines the cells in use; an interval shorter than one cell gets a thin mark.
static void set_bar_bounds(const struct waterfall_picture *picture, struct bar *bar,
                           struct view_interval time, enum style style)
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

// The note is placed where the bar leaves room, after it or else before it, with a blank at both ends.
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

// `queue` below 0: unknown.
static void paint_bar_row(struct waterfall_picture *picture, const struct waterfall_row *row,
                          const struct bar *bar, size_t indent, duration_ns queue)
{
    struct painter *painter = &picture->painter;
    const struct waterfall_layout *layout = &picture->layout;
    const char *mark = mark_text(row->mark, painter->terminal.unicode);
    enum style name_style = row == &picture->waterfall->root ? STYLE_BOLD : STYLE_PLAIN;
    char text[TIMESTAMP_TEXT_SIZE];

    painter_advance(painter, indent);
    painter_string(painter, mark_style(row->mark), mark);
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
    enum style style = mark_style(root->mark);
    struct bar bar;

    init_bar(picture, &bar);
    fill_cells(picture, &bar, root->time, picture->painter.terminal.unicode ? "\u2501" : "=",
               style);
    set_bar_bounds(picture, &bar, root->time, style);
    paint_bar_row(picture, root, &bar, 0, -1);
}

// The outcome applies to the execution; earlier phases look the same however a job ends.
static enum style phase_style(const struct waterfall_job *job, enum view_phase phase)
{
    return phase == PHASE_EXECUTION ? mark_style(job->row.mark) : waterfall_phase_style(phase);
}

static duration_ns overlap(struct view_interval a, struct view_interval b)
{
    timestamp_ns start = a.start > b.start ? a.start : b.start;
    timestamp_ns end = a.end < b.end ? a.end : b.end;
    return end > start ? end - start : 0;
}

// A cell shows the phase that takes most of it. Time outside all known phases is drawn as a line.
static struct cell job_cell(const struct waterfall_picture *picture,
                            const struct waterfall_job *job, size_t index)
{
    bool unicode = picture->painter.terminal.unicode;
    struct view_interval span = waterfall_axis_interval(picture, index);
    struct cell cell = {unicode ? "\u2500" : "=", mark_style(job->row.mark)};
    duration_ns most = 0;

    for (enum view_phase phase = 0; phase < PHASE_COUNT; phase++) {
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
    set_bar_bounds(picture, &bar, job->row.time, mark_style(job->row.mark));
    if (!bar.is_thin)
        for (size_t i = bar.first; i < bar.end; i++)
            bar.cells[i] = job_cell(picture, job, i);
    paint_bar_row(picture, &job->row, &bar, picture->job_indent,
                  job->job->has_queue && run_view_job_ran(job->job) ? job->job->queue : -1);
}

static void paint_step(struct waterfall_picture *picture, const struct waterfall_job *job,
                       const struct waterfall_row *step)
{
    bool unicode = picture->painter.terminal.unicode;
    bool is_startup =
        step->mark == MARK_SUCCESS && step->time.start < job->phases[PHASE_STARTUP].end;
    enum style style = is_startup ? waterfall_phase_style(PHASE_STARTUP) : mark_style(step->mark);
    struct bar bar;

    init_bar(picture, &bar);
    fill_cells(picture, &bar, step->time, unicode ? "\u2501" : "=", style);
    set_bar_bounds(picture, &bar, step->time, style);
    struct waterfall_row row = *step;
    // A skipped step needs no note: most jobs have some.
    if (step->mark == MARK_SKIPPED)
        row.note = SLICE_EMPTY;
    paint_bar_row(picture, &row, &bar, WATERFALL_STEP_INDENT, -1);
}

static void waterfall_paint_rows(struct waterfall_picture *picture)
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

// --- drawing the complete waterfall ---------------------------------------------------------------

#define NAME_WIDTH_MIN 8

static size_t max_width(size_t a, size_t b)
{
    return a > b ? a : b;
}

static size_t duration_width(duration_ns duration)
{
    char text[TIMESTAMP_TEXT_SIZE];
    return text_width(slice_from_string(duration_format_short(duration, text)));
}

// The width that the columns need without a limit.
static void sample_row(struct waterfall_layout *layout, const struct waterfall_row *row,
                       size_t indent)
{
    layout->name_width = max_width(layout->name_width, text_width(row->name) + indent);
    layout->total_width =
        max_width(layout->total_width, duration_width(waterfall_length(row->time)));
}

static void sample_rows(struct waterfall_picture *picture)
{
    const struct waterfall *waterfall = picture->waterfall;
    struct waterfall_layout *layout = &picture->layout;

    layout->name_width = NAME_WIDTH_MIN;
    layout->queue_width = sizeof("queue") - 1;
    layout->total_width = sizeof("total") - 1;
    if (waterfall->is_over)
        sample_row(layout, &waterfall->root, 0);
    for (size_t i = 0; i < waterfall->job_count; i++) {
        const struct waterfall_job *job = &waterfall->jobs[i];
        sample_row(layout, &job->row, picture->job_indent);
        if (job->job->has_queue)
            layout->queue_width = max_width(layout->queue_width, duration_width(job->job->queue));
        for (size_t j = 0; picture->steps && j < job->step_count; j++)
            sample_row(layout, &job->steps[j], WATERFALL_STEP_INDENT);
    }
}

#define PIPE_BAR_MIN 40 // columns, where no screen limits the width

// The columns that rows take. Into a file or a pipe names are whole, and the bars as wide as the usual width leaves.
static size_t choose_row_width(const struct waterfall_picture *picture, size_t gap)
{
    const struct waterfall_layout *layout = &picture->layout;
    size_t width = picture->painter.terminal.width;
    if (width != TERMINAL_WIDTH_UNLIMITED)
        return width;
    width = layout->name_column + layout->name_width + PIPE_BAR_MIN + 3 * gap +
            layout->queue_width + layout->total_width;
    return max_width(width, TERMINAL_WIDTH_PIPE);
}

// Names get the width they need, but at most two fifths of what the numbers leave; the bars, the most important part,
// get the rest.
static void waterfall_layout_rows(struct waterfall_picture *picture)
{
    struct waterfall_layout *layout = &picture->layout;
    const struct terminal *terminal = &picture->painter.terminal;
    size_t gap = terminal->width < 60 ? 1 : 2;

    sample_rows(picture);
    layout->mark_width = terminal->unicode ? 1 : 4;
    layout->name_column = layout->mark_width + 1;
    layout->total_column = choose_row_width(picture, gap) - layout->total_width;
    layout->queue_column = layout->total_column - gap - layout->queue_width;
    size_t room = layout->queue_column - gap - layout->name_column - gap;
    size_t most = max_width(room * 2 / 5, NAME_WIDTH_MIN);
    if (layout->name_width > most && terminal->width != TERMINAL_WIDTH_UNLIMITED)
        layout->name_width = most;
    layout->bar_column = layout->name_column + layout->name_width + gap;
    layout->bar_width = layout->queue_column - gap - layout->bar_column;
}

static void paint_picture(struct waterfall_picture *picture)
{
    paint_head(picture);
    if (!picture->waterfall->is_over && picture->waterfall->job_count == 0) {
        painter_string(&picture->painter, STYLE_PLAIN, "no job of it is known yet");
        painter_newline(&picture->painter);
        return;
    }
    waterfall_layout_rows(picture);
    waterfall_choose_tick(picture);
    waterfall_paint_axis(picture);
    waterfall_paint_rows(picture);
    painter_newline(&picture->painter);
    waterfall_paint_summary(picture);
    waterfall_paint_legend(picture);
}

enum error_code waterfall_render(const struct run_view *view,
                                 const struct waterfall_options *options, struct arena *scratch,
                                 struct buffer *out, struct error *error)
{
    struct waterfall waterfall;
    struct waterfall_picture picture = {
        .waterfall = &waterfall, .scratch = scratch, .steps = options->steps};
    enum error_code code =
        waterfall_build(view, options->now, options->terminal.unicode, scratch, &waterfall);
    if (code == ERROR_NONE) {
        painter_init(&picture.painter, &options->terminal, out);
        paint_picture(&picture);
        code = painter_finish(&picture.painter);
    }
    if (code != ERROR_NONE)
        return error_set(error, code, "draw a waterfall of %zu jobs: %s", view->count,
                         error_code_text(code));
    return ERROR_NONE;
}

// --- several runs under one axis ------------------------------------------------------------------

// All rows of the runs, as jobs of one waterfall: for the columns, the axis and the legend.
static bool join_runs(const struct waterfall *runs, size_t count, struct arena *scratch,
                      struct waterfall *all)
{
    static const struct run_view_job no_job;
    size_t rows = count;
    for (size_t i = 0; i < count; i++)
        rows += runs[i].job_count;
    *all = (struct waterfall){.jobs = arena_allocate_array(scratch, rows, sizeof *all->jobs)};
    if (all->jobs == NULL)
        return false;
    for (size_t i = 0; i < count; i++) {
        const struct view_interval axis = runs[i].axis;
        all->jobs[all->job_count++] = (struct waterfall_job){.row = runs[i].root, .job = &no_job};
        for (size_t j = 0; j < runs[i].job_count; j++)
            all->jobs[all->job_count++] = runs[i].jobs[j];
        all->axis.start = timestamp_earliest_known(all->axis.start, axis.start);
        all->axis.end = timestamp_later(all->axis.end, axis.end);
    }
    return true;
}

void waterfall_paint_runs(struct painter *painter, struct waterfall *runs, size_t count,
                          struct arena *scratch)
{
    struct waterfall all;
    struct waterfall_picture picture = {.painter = *painter,
                                        .waterfall = &all,
                                        .scratch = scratch,
                                        .job_indent = WATERFALL_STEP_INDENT};
    if (!join_runs(runs, count, scratch, &all)) {
        painter_fail(painter, ERROR_MEMORY);
        return;
    }
    waterfall_layout_rows(&picture);
    waterfall_choose_tick(&picture);
    waterfall_paint_axis(&picture);
    for (size_t i = 0; i < count; i++) {
        runs[i].axis = all.axis;
        picture.waterfall = &runs[i];
        paint_root(&picture);
        for (size_t j = 0; j < runs[i].job_count; j++)
            paint_job(&picture, &runs[i].jobs[j]);
    }
    picture.waterfall = &all;
    painter_newline(&picture.painter);
    waterfall_paint_legend(&picture);
    *painter = picture.painter;
}

// --- reading and drawing a run --------------------------------------------------------------------

#define MAX_JOBS 100000 // a run has 256 jobs in a matrix, and few matrices

static bool name_servers(const struct found_run *runs, size_t count, struct arena *arena,
                         struct waterfall_shown *shown)
{
    bool is_kept = arena_copy_slice(arena, github_server_name(runs[0].server), &shown->server);
    for (size_t i = 1; i < count && is_kept; i++)
        is_kept = arena_format(arena, &shown->also, "%.*s%s%.*s", SLICE_ARGS(shown->also),
                               shown->also.len > 0 ? ", " : "",
                               SLICE_ARGS(github_server_name(runs[i].server)));
    return is_kept;
}

static enum error_code show_run(const struct view_reader *reader,
                                const struct run_selector *question,
                                const struct waterfall_options *options, struct buffer *out,
                                struct waterfall_shown *shown)
{
    const struct run_view_limits limits = {.jobs = MAX_JOBS,
                                           .steps = true,
                                           .now = options->now,
                                           .job_grace = options->job_grace,
                                           .id_scheme = options->id_scheme};
    struct found_run runs[FOUND_RUNS_MAX];
    struct run_view view;
    size_t count;
    enum error_code code = run_lookup(reader, question, runs, &count);
    if (code != ERROR_NONE)
        return code;
    if (count == 0)
        return run_not_found(reader, question);
    code = run_view_load(reader, &runs[0].run, &limits, &view);
    if (code == ERROR_NOT_FOUND) // its data is unreadable
        return run_not_found(reader, question);
    if (code != ERROR_NONE)
        return code;
    shown->run_attempt = view.run_attempt;
    if (!name_servers(runs, count, reader->arena, shown))
        return error_set(reader->error, ERROR_MEMORY, "read a run: out of memory");
    return waterfall_render(&view, options, reader->arena, out, reader->error);
}

enum error_code waterfall_show(const struct view_reader *reader,
                               const struct run_selector *question,
                               const struct waterfall_options *options, struct buffer *out,
                               struct waterfall_shown *shown)
{
    *shown = (struct waterfall_shown){.run_attempt = 0};
    enum error_code code = show_run(reader, question, options, out, shown);
    shown->unreadable = store_unreadable(reader->transaction);
    return code;
}
