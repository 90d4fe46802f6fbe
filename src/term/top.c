// The queue in the terminal.
#include "ghatrace/term/top.h"

#include <inttypes.h>

#include "ghatrace/term/text.h"
#include "ghatrace/trace/labels.h"
#include "ghatrace/view/queue_view.h"
#include "pools_rows.h"

// --- the screen of `ghatrace top`: a line of totals, pools, jobs ----------------------------------

#define OLD (10 * NS_PER_MINUTE) // queue time after which a job is highlighted
#define HANGS NS_PER_MINUTE      // time in the outbox after which this is shown

enum job_column {
    JOB_AGE,
    JOB_COUNT,
    JOB_STATE,
    JOB_REPOSITORY,
    JOB_NAME,
    JOB_WORKFLOW,
    JOB_LABELS,
    JOB_RUNNER,
    JOB_RUN,
    JOB_COLUMNS
};

static const struct table_column job_columns[JOB_COLUMNS] = {
    [JOB_AGE] = {"FOR", true, 0, STYLE_BOLD},
    [JOB_COUNT] = {"JOBS", true, 0, STYLE_PLAIN},
    [JOB_STATE] = {"STATE", false, 0, STYLE_PLAIN},
    [JOB_REPOSITORY] = {"REPOSITORY", false, 0, STYLE_PLAIN},
    [JOB_NAME] = {"JOB", false, 0, STYLE_PLAIN},
    [JOB_WORKFLOW] = {"WORKFLOW", false, 3, STYLE_PLAIN},
    [JOB_LABELS] = {"LABELS", false, 1, STYLE_GREY},
    [JOB_RUNNER] = {"RUNNER", false, 4, STYLE_GREY},
    [JOB_RUN] = {"RUN", false, 2, STYLE_GREY},
};

struct screen {
    const struct top *top;
    struct pools_page page;
    size_t height; // 0: unlimited
    size_t start;  // of its text in the buffer
};

static bool format_time_since(struct screen *screen, timestamp_ns since, struct slice *text)
{
    *text = SLICE_EMPTY;
    return since == TIMESTAMP_UNKNOWN ||
           text_seconds(screen->page.scratch, screen->top->now - since, "", text);
}

static bool clean(struct screen *screen, struct slice raw, struct slice *text)
{
    *text = SLICE_EMPTY;
    return raw.len == 0 ||
           text_clean(screen->page.scratch, raw, screen->page.painter.terminal.unicode, text);
}

static enum style age_style(const struct screen *screen, timestamp_ns since)
{
    bool is_old = since != TIMESTAMP_UNKNOWN && screen->top->now - since > OLD;
    return is_old ? STYLE_RED : STYLE_PLAIN;
}

// --- totals ---------------------------------------------------------------------------------------

static timestamp_ns oldest_queued(const struct top *top)
{
    timestamp_ns oldest = TIMESTAMP_UNKNOWN;
    for (size_t i = 0; i < top->pools.count; i++) {
        timestamp_ns since = top->pools.pools[i].waits.oldest;
        if (since != TIMESTAMP_UNKNOWN && (oldest == TIMESTAMP_UNKNOWN || since < oldest))
            oldest = since;
    }
    return oldest;
}

// Jobs without a result whose runner has taken another one: only if there are any.
static bool paint_ended(struct screen *screen)
{
    uint64_t count = screen->top->ended_unknown;
    struct painter_piece piece = {.style = STYLE_GREY};
    if (count == 0)
        return true;
    if (!arena_format(screen->page.scratch, &piece.clean,
                      "%" PRIu64 " job%s ended, result unknown: the runner has taken another one",
                      count, count == 1 ? "" : "s"))
        return false;
    painter_paragraph(&screen->page.painter, &piece, 1, painter_separator(&screen->page.painter),
                      0);
    return true;
}

// 2026-11-21T08:24:11Z · 5 queued (the oldest for 4m09s) · 261 running · 1 waiting for approval · 40 runs open
static bool paint_totals(struct screen *screen)
{
    const struct top *top = screen->top;
    struct painter_piece pieces[6] = {{.style = STYLE_GREY},  {.style = STYLE_BOLD},
                                      {.style = STYLE_PLAIN}, {.style = STYLE_PLAIN},
                                      {.style = STYLE_PLAIN}, {.style = STYLE_BOLD}};
    struct slice age = SLICE_EMPTY;
    char time[TIMESTAMP_TEXT_SIZE];
    if (!format_time_since(screen, oldest_queued(top), &age) ||
        !arena_format(screen->page.scratch, &pieces[0].clean, "%s",
                      timestamp_format_rfc3339(top->now, false, time)) ||
        !arena_format(screen->page.scratch, &pieces[1].clean, "%" PRIu64 " queued%s%.*s%s",
                      top->totals[OPEN_JOB_QUEUED], age.len > 0 ? " (the oldest for " : "",
                      SLICE_ARGS(age), age.len > 0 ? ")" : "") ||
        !arena_format(screen->page.scratch, &pieces[2].clean, "%" PRIu64 " running",
                      top->totals[OPEN_JOB_RUNNING]) ||
        !arena_format(screen->page.scratch, &pieces[3].clean, "%" PRIu64 " waiting for approval",
                      top->totals[OPEN_JOB_WAITING]) ||
        !arena_format(screen->page.scratch, &pieces[4].clean, "%" PRIu64 " run%s open",
                      top->open_runs, top->open_runs == 1 ? "" : "s") ||
        !arena_format(screen->page.scratch, &pieces[5].clean, "%" PRIu64 " unreadable",
                      top->unreadable))
        return false;
    painter_paragraph(&screen->page.painter, pieces, top->unreadable > 0 ? 6 : 5,
                      painter_separator(&screen->page.painter), 0);
    return paint_ended(screen);
}

// Problems of the export: shown only if records have waited for a while, or were refused.
// 1,234 records wait for the collector (the oldest for 4m09s) · 3 dead letters: see ghatrace requeue
static bool paint_export(struct screen *screen)
{
    const struct top *top = screen->top;
    struct painter_piece pieces[2];
    size_t count = 0;
    struct slice age;
    bool waits = top->outbox_oldest != TIMESTAMP_UNKNOWN && top->now - top->outbox_oldest > HANGS;
    if (!format_time_since(screen, top->outbox_oldest, &age))
        return false;
    if (waits) {
        pieces[count] = (struct painter_piece){.style = STYLE_YELLOW};
        if (!arena_format(screen->page.scratch, &pieces[count++].clean,
                          "%" PRIu64 " record%s wait%s for the collector (the oldest for %.*s)",
                          top->outbox_records, top->outbox_records == 1 ? "" : "s",
                          top->outbox_records == 1 ? "s" : "", SLICE_ARGS(age)))
            return false;
    }
    if (top->dead_letters > 0) {
        pieces[count] = (struct painter_piece){.style = STYLE_RED};
        if (!arena_format(screen->page.scratch, &pieces[count++].clean,
                          "%" PRIu64 " dead letter%s: see ghatrace requeue", top->dead_letters,
                          top->dead_letters == 1 ? "" : "s"))
            return false;
    }
    if (count > 0)
        painter_paragraph(&screen->page.painter, pieces, count,
                          painter_separator(&screen->page.painter), 0);
    return true;
}

// --- whether GitHub is still sending --------------------------------------------------------------

// A long job alone causes no deliveries; a queue should.
#define SILENCE (5 * NS_PER_MINUTE)
#define SILENCE_RUNNING (30 * NS_PER_MINUTE)

// Only if nothing was received for longer than what is open explains.
static bool paint_silence(struct screen *screen)
{
    const struct top *top = screen->top;
    struct slice age, text;
    if (top->last_delivery == TIMESTAMP_UNKNOWN)
        return true;
    duration_ns silence = top->now - top->last_delivery;
    bool is_long = top->totals[OPEN_JOB_QUEUED] > 0    ? silence > SILENCE
                   : top->totals[OPEN_JOB_RUNNING] > 0 ? silence > SILENCE_RUNNING
                                                       : false;
    if (!is_long)
        return true;
    return format_time_since(screen, top->last_delivery, &age) &&
           arena_format(screen->page.scratch, &text,
                        "GitHub has sent nothing for %.*s, though jobs are open: what is shown may "
                        "be out of date.",
                        SLICE_ARGS(age)) &&
           pools_paint_words(&screen->page, STYLE_RED, text);
}

// Why this is not newer.
static bool paint_trouble(struct screen *screen)
{
    struct slice text;
    return clean(screen, screen->top->trouble, &text) &&
           (text.len == 0 || pools_paint_words(&screen->page, STYLE_RED, text));
}

// --- pools ----------------------------------------------------------------------------------------

static bool is_open_pool(const struct pools_view_pool *pool)
{
    return pool->pool.counts[OPEN_JOB_QUEUED] + pool->pool.counts[OPEN_JOB_WAITING] +
               pool->running >
           0;
}

// Those with open jobs: the ones in trouble, then the others, each in the order of the view. NULL: out of memory.
static const struct pools_view_pool **choose_pools(struct screen *screen, size_t *count)
{
    const struct pools_view *view = &screen->top->pools;
    const struct pools_view_pool **chosen =
        arena_allocate_array(screen->page.scratch, view->count + 1, sizeof *chosen);
    *count = 0;
    for (int pass = 0; chosen != NULL && pass < 2; pass++)
        for (size_t i = 0; i < view->count; i++)
            if (is_open_pool(&view->pools[i]) &&
                pools_view_is_in_trouble(&view->pools[i], screen->page.now) == (pass == 0))
                chosen[(*count)++] = &view->pools[i];
    return chosen;
}

// --- jobs -----------------------------------------------------------------------------------------

static void set_state_cell(const struct screen *screen, const struct top_job *job,
                           struct table_cell *cell)
{
    switch (job->state) {
    case OPEN_JOB_QUEUED:
        *cell = (struct table_cell){SLICE("queued"), STYLE_YELLOW};
        break;
    case OPEN_JOB_WAITING:
        *cell = (struct table_cell){text_state_of_approval(&screen->page.painter.terminal),
                                    STYLE_MAGENTA};
        break;
    case OPEN_JOB_RUNNING:
        *cell = job->is_ended_unknown
                    ? (struct table_cell){SLICE("ended, result unknown"), STYLE_GREY}
                    : (struct table_cell){SLICE("running"), STYLE_BLUE};
        break;
    case OPEN_JOB_NONE:
        break;
    }
}

// Jobs that wait and say the same are one row, that of the oldest. Its run leads on: `ghatrace trace RUN`.
struct job_row {
    const struct top_job *job;
    uint64_t count;
    bool is_matrix; // their names differ in what is in parentheses at the end
};

static bool say_the_same(const struct top_job *a, const struct top_job *b)
{
    return a->state == b->state && a->state != OPEN_JOB_RUNNING &&
           slice_equals(text_without_matrix(a->name), text_without_matrix(b->name)) &&
           slice_equals(a->repository, b->repository) && slice_equals(a->workflow, b->workflow) &&
           slice_equals(a->labels, b->labels);
}

// On a screen: into a file or a pipe each job is a row. Returns how many rows there are.
static size_t group_jobs(const struct screen *screen, struct job_row *rows)
{
    const struct top *top = screen->top;
    size_t count = 0;
    for (size_t i = 0; i < top->job_count; i++) {
        const struct top_job *job = &top->jobs[i];
        size_t row = screen->height == 0 ? count : 0;
        while (row < count && !say_the_same(rows[row].job, job))
            row++;
        if (row == count)
            rows[count++] = (struct job_row){.job = job};
        rows[row].count++;
        rows[row].is_matrix |= !slice_equals(rows[row].job->name, job->name);
    }
    return count;
}

// Whether there are jobs of this state that were not read: then there may be more of each kind.
static bool is_list_cut(const struct top *top, enum open_job_kind state)
{
    uint64_t read = 0;
    for (size_t i = 0; i < top->job_count; i++)
        read += top->jobs[i].state == state ? 1 : 0;
    return read < top->totals[state];
}

static bool format_name(struct screen *screen, const struct job_row *row, struct slice *text)
{
    struct slice name = row->job->name;
    if (!row->is_matrix)
        return clean(screen, name, text);
    return clean(screen, text_without_matrix(name), text) &&
           arena_format(screen->page.scratch, text, "%.*s (%.*s)", SLICE_ARGS(*text),
                        SLICE_ARGS(painter_ellipsis(&screen->page.painter)));
}

static bool format_job(struct screen *screen, const struct job_row *row,
                       struct table_cell cells[JOB_COLUMNS])
{
    const struct top_job *job = row->job;
    set_state_cell(screen, job, &cells[JOB_STATE]);
    if (job->state == OPEN_JOB_QUEUED)
        cells[JOB_AGE].style = age_style(screen, job->since);
    return format_time_since(screen, job->since, &cells[JOB_AGE].clean) &&
           (row->count == 1 ||
            arena_format(screen->page.scratch, &cells[JOB_COUNT].clean, "%" PRIu64 "%s", row->count,
                         is_list_cut(screen->top, job->state) ? "+" : "")) &&
           clean(screen, job->repository, &cells[JOB_REPOSITORY].clean) &&
           format_name(screen, row, &cells[JOB_NAME].clean) &&
           clean(screen, job->workflow, &cells[JOB_WORKFLOW].clean) &&
           clean(screen, job->labels, &cells[JOB_LABELS].clean) &&
           clean(screen, job->runner, &cells[JOB_RUNNER].clean) &&
           (job->run_id == 0 ||
            arena_format(screen->page.scratch, &cells[JOB_RUN].clean, "%" PRId64 "/%" PRId64,
                         job->run_id, job->run_attempt));
}

static bool paint_jobs(struct screen *screen, size_t most)
{
    struct arena *scratch = screen->page.scratch;
    struct job_row *rows = arena_allocate_array(scratch, screen->top->job_count + 1, sizeof *rows);
    size_t count = rows != NULL ? group_jobs(screen, rows) : 0;
    count = count < most ? count : most;
    struct table_cell *cells =
        arena_allocate_array(scratch, count * JOB_COLUMNS + 1, sizeof *cells);
    if (rows == NULL || cells == NULL)
        return false;
    for (size_t i = 0; i < count; i++)
        if (!format_job(screen, &rows[i], &cells[i * JOB_COLUMNS]))
            return false;
    table_paint(&screen->page.painter, &(struct table){job_columns, JOB_COLUMNS, cells, count});
    return true;
}

// --- the complete screen --------------------------------------------------------------------------

static void paint_empty_screen(struct painter *painter)
{
    const struct painter_piece pieces[] = {
        {STYLE_BOLD, SLICE("Nothing is open."), false},
        {STYLE_PLAIN, SLICE("A job shows up here with its first webhook;"), false},
        {STYLE_PLAIN, SLICE("for a run that is finished,"), false},
        {STYLE_PLAIN, SLICE("see `ghatrace trace RUN`."), false},
    };
    painter_newline(painter);
    painter_paragraph(painter, pieces, sizeof pieces / sizeof pieces[0], " ", 0);
}

static size_t lines_left(const struct screen *screen)
{
    const struct buffer *out = screen->page.painter.out;
    size_t lines = 0;
    for (size_t i = screen->start; i < out->len; i++)
        lines += out->data[i] == '\n' ? 1 : 0;
    return screen->height == 0 ? SIZE_MAX : lines < screen->height ? screen->height - lines : 0;
}

// What to do about the worst pool in trouble; where one repository fills the queue, about the worst that it fills.
static bool paint_worst_advice(struct screen *screen)
{
    const struct pools_view *view = &screen->top->pools;
    const struct pools_view_pool *chosen = NULL;
    bool is_flood = screen->top->summary.scope == POOLS_SCOPE_REPOSITORY;
    for (size_t i = 0; i < view->count; i++) {
        const struct pools_view_pool *pool = &view->pools[i];
        if (pools_view_is_in_trouble(pool, screen->page.now) &&
            (chosen == NULL || (is_flood && chosen->filler.of == 0 && pool->filler.of > 0)))
            chosen = pool;
    }
    return chosen == NULL || pools_paint_advice(&screen->page, chosen, &screen->top->summary);
}

#define LOW_SCREEN 16    // lines; with fewer, pools are more important than what explains them
#define MIDDLE_SCREEN 30 // with fewer, more important than what to do after the first action

// What is wrong comes first, then what to do.
static bool paint_lines(struct screen *screen)
{
    const struct top *top = screen->top;
    if (!paint_trouble(screen) || !pools_paint_summary(&screen->page, &top->summary) ||
        !paint_silence(screen))
        return false;
    if (screen->height != 0 && screen->height < LOW_SCREEN)
        return true;
    return paint_totals(screen) && paint_export(screen) &&
           pools_paint_ceilings(&screen->page, &top->pools, top->shares) &&
           ((screen->height != 0 && screen->height < MIDDLE_SCREEN) || paint_worst_advice(screen));
}

#define JOBS_LEAST                                                                                 \
    6 // lines that are left for a few jobs: two blank ones, titles of both lists, two jobs

// Half of the lines, without a blank one and titles; more if pools in trouble and the line for the others need them.
static size_t lines_for_pools(const struct screen *screen,
                              const struct pools_view_pool *const *pools, size_t count, size_t left)
{
    size_t half = left / 2 > 3 ? left / 2 - 2 : 1, most = left - JOBS_LEAST, needed = 1;
    if (left == SIZE_MAX)
        return SIZE_MAX;
    for (size_t i = 0; i < count && pools_view_is_in_trouble(pools[i], screen->page.now); i++)
        needed++;
    if (needed <= half || left < JOBS_LEAST + half)
        return half;
    return needed < most ? needed : most;
}

// Pools get up to half of the lines that are left, or what those in trouble need; jobs get the rest. Each has a blank line
// and its titles.
static bool paint_screen(struct screen *screen)
{
    const struct top *top = screen->top;
    size_t count;
    if (!paint_lines(screen))
        return false;
    const struct pools_view_pool **pools = choose_pools(screen, &count);
    size_t left = lines_left(screen);
    if (pools == NULL)
        return false;
    if (count == 0) {
        paint_empty_screen(&screen->page.painter);
        return true;
    }
    if (left < 3)
        return true;
    size_t most = lines_for_pools(screen, pools, count, left);
    painter_newline(&screen->page.painter);
    size_t rows = pools_count_rows(pools, count, most);
    if (!pools_paint_rows(&screen->page, pools, rows) ||
        !pools_paint_rest(&screen->page, pools + rows, count - rows))
        return false;
    left = lines_left(screen);
    if (top->job_count == 0 || left < 3)
        return true;
    painter_newline(&screen->page.painter);
    return paint_jobs(screen, left == SIZE_MAX ? SIZE_MAX : left - 2);
}

// Of a screen with fewer lines than what comes first has, the rest is cut off.
static void cut_lines(struct buffer *out, size_t start, size_t height)
{
    size_t lines = 0;
    for (size_t i = start; height > 0 && i < out->len; i++) {
        lines += out->data[i] == '\n' ? 1 : 0;
        if (lines == height) {
            out->len = i + 1;
            return;
        }
    }
}

enum error_code top_render(const struct top *top, const struct top_options *options,
                           struct arena *scratch, struct buffer *out, struct error *error)
{
    struct screen screen = {.top = top,
                            .page = {.scratch = scratch, .now = top->now},
                            .height = options->height,
                            .start = out->len};
    painter_init(&screen.page.painter, &options->terminal, out);
    screen.page.painter.shows_breaks = true;
    if (!paint_screen(&screen))
        painter_fail(&screen.page.painter, ERROR_MEMORY);
    enum error_code code = painter_finish(&screen.page.painter);
    cut_lines(out, screen.start, options->height);
    if (code != ERROR_NONE)
        return error_set(error, code, "show the open jobs: %s", error_code_text(code));
    return ERROR_NONE;
}

// --- copying open jobs from the store for a screen ------------------------------------------------

struct loader {
    struct view_reader reader; // the arena is that of the result
    struct top *top;
};

static bool copy(struct loader *loader, struct slice text, struct slice *out)
{
    return arena_copy_slice(loader->reader.arena, text, out);
}

static enum error_code fail_top_memory(struct error *error)
{
    return error_set(error, ERROR_MEMORY, "read the queue: out of memory");
}

static enum error_code add_top_job(void *context, const struct job_state *state,
                                   const struct open_job_state *open_state, const struct pool *pool,
                                   bool has_ended)
{
    struct loader *loader = context;
    struct top_job *job = &loader->top->jobs[loader->top->job_count++];
    struct slice labels;
    (void)pool;
    *job = (struct top_job){.state = open_state->state,
                            .is_ended_unknown = has_ended,
                            .since = open_state->since,
                            .run_id = state->run_id,
                            .run_attempt = state->run_attempt};
    if (!text_repository(loader->reader.arena, state->server, state->repository.full_name,
                         &job->repository) ||
        !copy(loader, state->body.name, &job->name) ||
        !copy(loader, state->body.workflow_name, &job->workflow) ||
        !copy(loader, state->runner_name, &job->runner) ||
        !labels_join(state->body.labels, state->body.label_count, loader->reader.arena, &labels) ||
        !copy(loader, labels, &job->labels))
        return fail_top_memory(loader->reader.error);
    return ERROR_NONE;
}

static enum error_code load_export(struct loader *loader)
{
    struct store_transaction *transaction = loader->reader.transaction;
    struct error *error = loader->reader.error;
    struct top *top = loader->top;
    struct store_usage usage;
    struct store_record record;
    uint64_t sequence = 0;
    uint32_t size;
    store_read_usage(transaction, &usage);
    top->outbox_records = usage.outbox_records;
    top->dead_letters = usage.dead_letters;
    enum error_code code = store_seek_outbox(transaction, &sequence, &size, error);
    if (code == ERROR_NONE)
        code = store_get_record(transaction, sequence, &record, error);
    if (code == ERROR_NONE)
        top->outbox_oldest = record.finished_at;
    if (code == ERROR_NONE || code == ERROR_NOT_FOUND)
        code = store_last_delivery(transaction, &top->last_delivery, error);
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}

static enum error_code load_jobs(struct loader *loader, const struct top_source *source)
{
    const struct queue_view_filter filter = {.limit = source->jobs};
    const struct ended_rule rule = {source->now, source->settings.job_grace};
    const struct queue_view_visitor visitor = {add_top_job, loader};
    struct top *top = loader->top;
    struct queue_view view;
    bool has_more;
    enum error_code code = queue_view_of_pools(&loader->reader, &top->pools, &rule, &view);
    if (code != ERROR_NONE)
        return code;
    memcpy(top->totals, view.totals, sizeof top->totals);
    top->ended_unknown = view.ended_unknown;
    top->open_runs = view.open_runs;
    return queue_view_walk(&loader->reader, &view, &filter, &visitor, &has_more);
}

// All that is read of pools is read once.
static enum error_code load_screen(struct loader *loader, const struct top_source *source)
{
    struct top *top = loader->top;
    struct pools_view_shares *shares;
    enum error_code code = pools_cache_read(source->pools, &loader->reader, &source->settings,
                                            source->now, &top->pools);
    if (code == ERROR_NONE)
        code = pools_view_count_shares(&loader->reader, &top->pools, &shares);
    if (code != ERROR_NONE)
        return code;
    top->shares = shares;
    if (!pools_summary_make(&top->pools, source->now, loader->reader.arena, &top->summary))
        return fail_top_memory(loader->reader.error);
    code = load_jobs(loader, source);
    if (code == ERROR_NONE)
        code = load_export(loader);
    return code;
}

enum error_code top_load(const struct top_source *source, struct arena *arena, struct top *top,
                         struct error *error)
{
    struct loader loader = {.reader = {.arena = arena, .error = error}, .top = top};
    *top = (struct top){.now = source->now};
    top->jobs = arena_allocate_array(arena, source->jobs + 1, sizeof *top->jobs);
    if (top->jobs == NULL)
        return fail_top_memory(error);
    enum error_code code = store_begin(source->store, false, &loader.reader.transaction, error);
    if (code != ERROR_NONE)
        return code;
    code = load_screen(&loader, source);
    top->unreadable = store_unreadable(loader.reader.transaction);
    store_abort(loader.reader.transaction);
    return code;
}
