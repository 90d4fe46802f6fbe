// What stands above and below the rows of a waterfall: the run, where the time went, the legend.
#include <stdio.h>

#include "ghatrace/base/hex.h"
#include "ghatrace/view/text.h"
#include "ghatrace/view/waterfall_paint.h"

#define MAX_PIECES 16
#define SHORT_REVISION 7     // as git and GitHub show it
#define NAME_TAIL_PERCENT 60 // as in the rows

struct paragraph {
    struct waterfall_picture *picture;
    struct painter_piece pieces[MAX_PIECES];
    size_t count;
};

static void add(struct paragraph *paragraph, enum style style, struct slice clean)
{
    if (paragraph->count < MAX_PIECES && clean.len > 0)
        paragraph->pieces[paragraph->count++] = (struct painter_piece){style, clean, false};
}

// `format` joins what is clean already. On refusal the picture fails.
#define add_format(paragraph, style, ...)                                                          \
    do {                                                                                           \
        struct slice formatted = SLICE_EMPTY;                                                      \
        if (!arena_format((paragraph)->picture->scratch, &formatted, __VA_ARGS__))                 \
            painter_fail(&(paragraph)->picture->painter, ERROR_MEMORY);                            \
        add(paragraph, style, formatted);                                                          \
    } while (0)

static const char *separator(const struct waterfall_picture *picture)
{
    return picture->painter.terminal.unicode ? " \u00b7 " : " - ";
}

static void end_paragraph(struct paragraph *paragraph, const char *between)
{
    if (paragraph->count > 0)
        painter_paragraph(&paragraph->picture->painter, paragraph->pieces, paragraph->count,
                          between, 0);
    paragraph->count = 0;
}

static const char *format_length(const struct waterfall_interval *interval, char *text)
{
    return duration_format_short(waterfall_length(*interval), text);
}

// octo-org/shop · CI #1482 · attempt 2 · failure · 12m31s
static void paint_what(struct waterfall_picture *picture)
{
    const struct waterfall *waterfall = picture->waterfall;
    const struct waterfall_title *title = &waterfall->title;
    enum style style = waterfall_outcome_style(waterfall->root.outcome);
    struct paragraph paragraph = {.picture = picture};
    char text[TIMESTAMP_TEXT_SIZE];

    add(&paragraph, STYLE_BOLD, title->repository);
    if (title->run_number > 0)
        add_format(&paragraph, STYLE_BOLD, "%.*s%s#%lld", SLICE_ARGS(title->workflow),
                   title->workflow.len > 0 ? " " : "", (long long)title->run_number);
    else
        add(&paragraph, STYLE_BOLD, title->workflow);
    if (title->attempt > 0)
        add_format(&paragraph, STYLE_PLAIN, "attempt %lld", (long long)title->attempt);
    const char *mark = waterfall_outcome_mark(&waterfall->root, picture->painter.terminal.unicode);
    if (!waterfall->is_over)
        add(&paragraph, STYLE_BLUE, SLICE("still open"));
    else if (title->conclusion.len == 0)
        add_format(&paragraph, style, "%s no result", mark);
    else
        add_format(&paragraph, style, "%s %.*s", mark, SLICE_ARGS(title->conclusion));
    if (waterfall->root.time.start != TIMESTAMP_UNKNOWN)
        add_format(&paragraph, STYLE_BOLD, "%s%s", format_length(&waterfall->root.time, text),
                   waterfall->is_over ? "" : " so far");
    end_paragraph(&paragraph, separator(picture));
}

// Add a price to the list · push on main @ 4f2c1a9 by octocat · 2026-09-03T04:16:57Z
static void paint_why(struct waterfall_picture *picture)
{
    const struct waterfall_title *title = &picture->waterfall->title;
    struct paragraph paragraph = {.picture = picture};
    char text[TIMESTAMP_TEXT_SIZE];

    add(&paragraph, STYLE_PLAIN, title->display_title);
    add(&paragraph, STYLE_GREY, title->event);
    add_format(&paragraph, STYLE_GREY, "%.*s%s%.*s", SLICE_ARGS(title->branch),
               title->branch.len > 0 && title->revision.len > 0 ? " @ " : "",
               SLICE_ARGS(text_prefix(title->revision, SHORT_REVISION)));
    if (title->actor.len > 0)
        add_format(&paragraph, STYLE_GREY, "by %.*s", SLICE_ARGS(title->actor));
    if (picture->waterfall->axis.start != TIMESTAMP_UNKNOWN)
        add_format(&paragraph, STYLE_GREY, "%s",
                   timestamp_format_rfc3339(picture->waterfall->axis.start, false, text));
    end_paragraph(&paragraph, separator(picture));
}

static void paint_where(struct waterfall_picture *picture)
{
    const struct waterfall_title *title = &picture->waterfall->title;
    struct paragraph paragraph = {.picture = picture};
    char id[2 * TRACE_ID_SIZE + 1];

    hex_encode(title->trace.bytes, TRACE_ID_SIZE, id);
    add_format(&paragraph, STYLE_GREY, "trace %s", id);
    add(&paragraph, STYLE_GREY, title->url);
    // A link must stay whole, be it over several lines: a shortened one leads nowhere.
    for (size_t i = 0; i < paragraph.count; i++)
        paragraph.pieces[i].may_break = true;
    end_paragraph(&paragraph, separator(picture));
}

void waterfall_paint_head(struct waterfall_picture *picture)
{
    if (picture->waterfall->is_empty) {
        struct paragraph paragraph = {.picture = picture};
        add(&paragraph, STYLE_PLAIN, SLICE("nothing of this run is finished yet:"));
        add(&paragraph, STYLE_PLAIN, SLICE("`ghatrace runs` shows what is open"));
        end_paragraph(&paragraph, " ");
        return;
    }
    paint_what(picture);
    paint_why(picture);
    paint_where(picture);
    painter_newline(&picture->painter);
}

struct totals {
    duration_ns queue;
    size_t queue_jobs;
    const struct waterfall_job *longest_queue;
    const struct waterfall_job *longest_waiting;
};

static duration_ns waiting_of(const struct waterfall_job *job)
{
    return job != NULL ? waterfall_length(job->phases[PHASE_WAITING]) : 0;
}

static struct totals sum_up(const struct waterfall *waterfall)
{
    struct totals totals = {0};

    for (size_t i = 0; i < waterfall->job_count; i++) {
        const struct waterfall_job *job = &waterfall->jobs[i];
        if (!waterfall_job_ran(job))
            continue;
        if (waiting_of(job) > waiting_of(totals.longest_waiting))
            totals.longest_waiting = job;
        if (!job->has_queue)
            continue;
        totals.queue_jobs++;
        totals.queue =
            totals.queue > INT64_MAX - job->queue ? INT64_MAX : totals.queue + job->queue;
        if (job->queue > (totals.longest_queue != NULL ? totals.longest_queue->queue : 0))
            totals.longest_queue = job;
    }
    return totals;
}

// "what: job time after", the job's name cut so that all stands in one line.
static void add_job(struct paragraph *paragraph, const char *what, const struct waterfall_job *job,
                    duration_ns duration, const char *after)
{
    const struct painter *painter = &paragraph->picture->painter;
    struct slice ellipsis = painter_ellipsis(painter);
    char text[TIMESTAMP_TEXT_SIZE];

    if (job == NULL)
        return;
    (void)duration_format_short(duration, text);
    size_t taken = strlen(what) + sizeof(":  ") - 1 + strlen(text) + strlen(after);
    struct text_ends name = text_shorten(job->row.name, painter->terminal.width - taken,
                                         text_width(ellipsis), NAME_TAIL_PERCENT);
    add_format(paragraph, STYLE_PLAIN, "%s: %.*s%.*s%.*s %s%s", what, SLICE_ARGS(name.head),
               name.has_gap ? (int)ellipsis.len : 0, ellipsis.data, SLICE_ARGS(name.tail), text,
               after);
}

static void add_critical_job(struct paragraph *paragraph)
{
    const struct waterfall *waterfall = paragraph->picture->waterfall;
    const struct waterfall_job *job = waterfall_critical_job(waterfall);
    char share[32] = "";

    if (job == NULL)
        return;
    duration_ns length = waterfall_length(job->row.time);
    duration_ns whole = waterfall_length(waterfall->root.time);
    if (waterfall->is_over && whole > 0)
        (void)snprintf(share, sizeof(share), " (%.0f%% of the run)",
                       (double)length / (double)whole * 100);
    bool is_narrow = paragraph->picture->painter.terminal.width < 60;
    add_job(paragraph, "critical job", job, length, is_narrow ? "" : share);
}

// Of the jobs that failed, the first to end, for the rows have no room for a note beside a long bar.
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
    add_format(paragraph, waterfall_outcome_style(OUTCOME_FAILURE), "%.*s%.*s%.*s",
               SLICE_ARGS(ends.head), ends.has_gap ? (int)ellipsis.len : 0, ellipsis.data,
               SLICE_ARGS(ends.tail));
}

// queued 1m12s of job time over 6 jobs; longest wait: build / linux 48s; critical job: test (3.12) 9m
void waterfall_paint_summary(struct waterfall_picture *picture)
{
    struct totals totals = sum_up(picture->waterfall);
    struct paragraph paragraph = {.picture = picture};
    char text[TIMESTAMP_TEXT_SIZE];

    add_failure(&paragraph);
    end_paragraph(&paragraph, "; ");
    if (totals.queue_jobs > 0)
        add_format(&paragraph, STYLE_PLAIN, "queued %s of job time over %zu job%s",
                   duration_format_short(totals.queue, text), totals.queue_jobs,
                   totals.queue_jobs == 1 ? "" : "s");
    if (totals.longest_queue != NULL)
        add_job(&paragraph, "longest wait", totals.longest_queue, totals.longest_queue->queue, "");
    add_job(&paragraph, "held by environment rules", totals.longest_waiting,
            waiting_of(totals.longest_waiting), "");
    add_critical_job(&paragraph);
    end_paragraph(&paragraph, "; ");
}

static void add_phases(struct paragraph *paragraph)
{
    static const char *const names[PHASE_COUNT] = {"waiting", "queue", "start-up", "execution"};
    const struct waterfall *waterfall = paragraph->picture->waterfall;
    bool unicode = paragraph->picture->painter.terminal.unicode;

    for (enum waterfall_phase phase = 0; phase < PHASE_COUNT; phase++) {
        bool is_present = false;
        for (size_t i = 0; i < waterfall->job_count && !is_present; i++)
            is_present = waterfall_length(waterfall->jobs[i].phases[phase]) > 0;
        if (is_present)
            add_format(paragraph, waterfall_phase_style(phase), "%s %s",
                       waterfall_phase_glyph(phase, unicode), names[phase]);
    }
}

static void note_outcomes(bool seen[OUTCOME_COUNT], const struct waterfall_picture *picture)
{
    const struct waterfall *waterfall = picture->waterfall;
    if (waterfall->is_over)
        seen[waterfall->root.outcome] = true;
    for (size_t i = 0; i < waterfall->job_count; i++) {
        const struct waterfall_job *job = &waterfall->jobs[i];
        seen[job->row.outcome] = true;
        for (size_t j = 0; picture->steps && j < job->step_count; j++)
            seen[job->steps[j].outcome] = true;
    }
}

static void add_outcomes(struct paragraph *paragraph)
{
    static const char *const names[OUTCOME_COUNT] = {
        "other or no result", "success", "failure", "cancelled", "skipped", "carried over"};
    bool seen[OUTCOME_COUNT] = {false};

    note_outcomes(seen, paragraph->picture);
    for (size_t outcome = 1; outcome <= OUTCOME_COUNT; outcome++) {
        // The odd one comes last.
        struct waterfall_row row = {.outcome = (enum waterfall_outcome)(outcome % OUTCOME_COUNT)};
        if (seen[row.outcome])
            add_format(paragraph, waterfall_outcome_style(row.outcome), "%s %s",
                       waterfall_outcome_mark(&row, paragraph->picture->painter.terminal.unicode),
                       names[row.outcome]);
    }
}

// Explains what the picture shows, and nothing else.
void waterfall_paint_legend(struct waterfall_picture *picture)
{
    struct paragraph paragraph = {.picture = picture};
    add_phases(&paragraph);
    add_outcomes(&paragraph);
    end_paragraph(&paragraph, "  ");
}
