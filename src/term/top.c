// The queue in the terminal.
#include "ghatrace/term/top.h"

#include <inttypes.h>

#include "ghatrace/term/text.h"
#include "ghatrace/trace/labels.h"
#include "ghatrace/view/queue_view.h"
#include "painter.h"

// --- the screen of `ghatrace top`: a line of totals, pools, jobs ----------------------------------

#define OLD (10 * NS_PER_MINUTE) // queue time after which a job is highlighted
#define HANGS NS_PER_MINUTE      // time in the outbox after which this is shown

enum pool_column {
    POOL_LABELS,
    POOL_GROUP,
    POOL_QUEUED,
    POOL_OLDEST,
    POOL_RUNNING,
    POOL_FOR_APPROVAL,
    POOL_STATE,
    POOL_COLUMNS
};
enum job_column {
    JOB_AGE,
    JOB_STATE,
    JOB_REPOSITORY,
    JOB_NAME,
    JOB_WORKFLOW,
    JOB_LABELS,
    JOB_RUNNER,
    JOB_COLUMNS
};

static const struct table_column pool_columns[POOL_COLUMNS] = {
    [POOL_LABELS] = {"LABELS", false, 0, STYLE_PLAIN},
    [POOL_GROUP] = {"GROUP", false, 2, STYLE_GREY},
    [POOL_QUEUED] = {"QUEUED", true, 0, STYLE_BOLD},
    [POOL_OLDEST] = {"OLDEST", true, 0, STYLE_PLAIN},
    [POOL_RUNNING] = {"RUNNING", true, 0, STYLE_PLAIN},
    [POOL_FOR_APPROVAL] = {"WAITING", true, 1, STYLE_PLAIN},
    [POOL_STATE] = {"STATE", false, 0, STYLE_PLAIN},
};
static const struct table_column job_columns[JOB_COLUMNS] = {
    [JOB_AGE] = {"FOR", true, 0, STYLE_BOLD},
    [JOB_STATE] = {"STATE", false, 0, STYLE_PLAIN},
    [JOB_REPOSITORY] = {"REPOSITORY", false, 0, STYLE_PLAIN},
    [JOB_NAME] = {"JOB", false, 0, STYLE_PLAIN},
    [JOB_WORKFLOW] = {"WORKFLOW", false, 3, STYLE_PLAIN},
    [JOB_LABELS] = {"LABELS", false, 1, STYLE_GREY},
    [JOB_RUNNER] = {"RUNNER", false, 2, STYLE_GREY},
};

struct screen {
    const struct top *top;
    struct painter painter;
    struct arena *scratch;
};

static bool format_time_since(struct screen *screen, timestamp_ns since, struct slice *text)
{
    *text = SLICE_EMPTY;
    return since == TIMESTAMP_UNKNOWN ||
           text_seconds(screen->scratch, screen->top->now - since, "", text);
}

static bool format_count(struct screen *screen, uint64_t count, struct slice *text)
{
    return arena_format(screen->scratch, text, "%" PRIu64, count);
}

static bool clean(struct screen *screen, struct slice raw, struct slice *text)
{
    *text = SLICE_EMPTY;
    return raw.len == 0 || text_clean(screen->scratch, raw, screen->painter.terminal.unicode, text);
}

static enum style age_style(const struct screen *screen, timestamp_ns since)
{
    bool is_old = since != TIMESTAMP_UNKNOWN && screen->top->now - since > OLD;
    return is_old ? STYLE_RED : STYLE_PLAIN;
}

// --- totals ---------------------------------------------------------------------------------------

static timestamp_ns oldest_queued(const struct top *top)
{
    return top->pool_count > 0 ? top->pools[0].oldest_queued : TIMESTAMP_UNKNOWN;
}

// Jobs without a result whose runner has taken another one: only if there are any.
static bool paint_ended(struct screen *screen)
{
    uint64_t count = screen->top->ended_unknown;
    struct painter_piece piece = {.style = STYLE_GREY};
    if (count == 0)
        return true;
    if (!arena_format(screen->scratch, &piece.clean,
                      "%" PRIu64 " job%s ended, result unknown: the runner has taken another one",
                      count, count == 1 ? "" : "s"))
        return false;
    painter_paragraph(&screen->painter, &piece, 1, painter_separator(&screen->painter), 0);
    return true;
}

// 2026-11-21T08:24:11Z · 5 queued (the oldest for 4m09s) · 261 running · 1 waiting · 40 runs open
static bool paint_totals(struct screen *screen)
{
    const struct top *top = screen->top;
    struct painter_piece pieces[6] = {{.style = STYLE_GREY},  {.style = STYLE_BOLD},
                                      {.style = STYLE_PLAIN}, {.style = STYLE_PLAIN},
                                      {.style = STYLE_PLAIN}, {.style = STYLE_BOLD}};
    struct slice age = SLICE_EMPTY;
    char time[TIMESTAMP_TEXT_SIZE];
    if (!format_time_since(screen, oldest_queued(top), &age) ||
        !arena_format(screen->scratch, &pieces[0].clean, "%s",
                      timestamp_format_rfc3339(top->now, false, time)) ||
        !arena_format(screen->scratch, &pieces[1].clean, "%" PRIu64 " queued%s%.*s%s",
                      top->totals[OPEN_JOB_QUEUED], age.len > 0 ? " (the oldest for " : "",
                      SLICE_ARGS(age), age.len > 0 ? ")" : "") ||
        !arena_format(screen->scratch, &pieces[2].clean, "%" PRIu64 " running",
                      top->totals[OPEN_JOB_RUNNING]) ||
        !arena_format(screen->scratch, &pieces[3].clean, "%" PRIu64 " waiting",
                      top->totals[OPEN_JOB_WAITING]) ||
        !arena_format(screen->scratch, &pieces[4].clean, "%" PRIu64 " run%s open", top->open_runs,
                      top->open_runs == 1 ? "" : "s") ||
        !arena_format(screen->scratch, &pieces[5].clean, "%" PRIu64 " unreadable", top->unreadable))
        return false;
    painter_paragraph(&screen->painter, pieces, top->unreadable > 0 ? 6 : 5,
                      painter_separator(&screen->painter), 0);
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
        if (!arena_format(screen->scratch, &pieces[count++].clean,
                          "%" PRIu64 " record%s wait%s for the collector (the oldest for %.*s)",
                          top->outbox_records, top->outbox_records == 1 ? "" : "s",
                          top->outbox_records == 1 ? "s" : "", SLICE_ARGS(age)))
            return false;
    }
    if (top->dead_letters > 0) {
        pieces[count] = (struct painter_piece){.style = STYLE_RED};
        if (!arena_format(screen->scratch, &pieces[count++].clean,
                          "%" PRIu64 " dead letter%s: see ghatrace requeue", top->dead_letters,
                          top->dead_letters == 1 ? "" : "s"))
            return false;
    }
    if (count > 0)
        painter_paragraph(&screen->painter, pieces, count, painter_separator(&screen->painter), 0);
    return true;
}

// --- pools ----------------------------------------------------------------------------------------

// "ceiling hosted for 20m"; empty: it keeps up with its queue.
static bool format_pool_state(struct screen *screen, const struct top_pool *pool,
                              struct table_cell *cell)
{
    static const enum style styles[POOL_STATES] = {[POOL_WAITING] = STYLE_PLAIN,
                                                   [POOL_CEILING] = STYLE_YELLOW,
                                                   [POOL_BUSY] = STYLE_YELLOW,
                                                   [POOL_DEAD] = STYLE_RED};
    struct slice age, ceiling;
    *cell = (struct table_cell){SLICE_EMPTY, styles[pool->state]};
    if (pool->state == POOL_OK)
        return true;
    return format_time_since(screen, pool->state_since, &age) &&
           clean(screen, pool->ceiling, &ceiling) &&
           arena_format(screen->scratch, &cell->clean, "%s%s%.*s for %.*s",
                        pool_state_names[pool->state], ceiling.len > 0 ? " " : "",
                        SLICE_ARGS(ceiling), SLICE_ARGS(age));
}

static bool format_pool(struct screen *screen, const struct top_pool *pool,
                        struct table_cell cells[POOL_COLUMNS])
{
    cells[POOL_OLDEST].style = age_style(screen, pool->oldest_queued);
    return clean(screen, pool->labels.len > 0 ? pool->labels : SLICE("(none)"),
                 &cells[POOL_LABELS].clean) &&
           clean(screen, pool->group, &cells[POOL_GROUP].clean) &&
           format_count(screen, pool->counts[OPEN_JOB_QUEUED], &cells[POOL_QUEUED].clean) &&
           format_time_since(screen, pool->oldest_queued, &cells[POOL_OLDEST].clean) &&
           format_count(screen, pool->counts[OPEN_JOB_RUNNING], &cells[POOL_RUNNING].clean) &&
           format_count(screen, pool->counts[OPEN_JOB_WAITING], &cells[POOL_FOR_APPROVAL].clean) &&
           format_pool_state(screen, pool, &cells[POOL_STATE]);
}

static bool paint_pools(struct screen *screen, size_t most)
{
    size_t count = screen->top->pool_count < most ? screen->top->pool_count : most;
    struct table_cell *cells =
        arena_allocate_array(screen->scratch, count * POOL_COLUMNS + 1, sizeof *cells);
    if (cells == NULL)
        return false;
    for (size_t i = 0; i < count; i++)
        if (!format_pool(screen, &screen->top->pools[i], &cells[i * POOL_COLUMNS]))
            return false;
    table_paint(&screen->painter, &(struct table){pool_columns, POOL_COLUMNS, cells, count});
    return true;
}

// --- jobs -----------------------------------------------------------------------------------------

static void set_state_cell(const struct top_job *job, struct table_cell *cell)
{
    switch (job->state) {
    case OPEN_JOB_QUEUED:
        *cell = (struct table_cell){SLICE("queued"), STYLE_YELLOW};
        break;
    case OPEN_JOB_WAITING:
        *cell = (struct table_cell){SLICE("waiting"), STYLE_MAGENTA};
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

static bool format_job(struct screen *screen, const struct top_job *job,
                       struct table_cell cells[JOB_COLUMNS])
{
    set_state_cell(job, &cells[JOB_STATE]);
    if (job->state == OPEN_JOB_QUEUED)
        cells[JOB_AGE].style = age_style(screen, job->since);
    return format_time_since(screen, job->since, &cells[JOB_AGE].clean) &&
           clean(screen, job->repository, &cells[JOB_REPOSITORY].clean) &&
           clean(screen, job->name, &cells[JOB_NAME].clean) &&
           clean(screen, job->workflow, &cells[JOB_WORKFLOW].clean) &&
           clean(screen, job->labels, &cells[JOB_LABELS].clean) &&
           clean(screen, job->runner, &cells[JOB_RUNNER].clean);
}

static bool paint_jobs(struct screen *screen, size_t most)
{
    size_t count = screen->top->job_count < most ? screen->top->job_count : most;
    struct table_cell *cells =
        arena_allocate_array(screen->scratch, count * JOB_COLUMNS + 1, sizeof *cells);
    if (cells == NULL)
        return false;
    for (size_t i = 0; i < count; i++)
        if (!format_job(screen, &screen->top->jobs[i], &cells[i * JOB_COLUMNS]))
            return false;
    table_paint(&screen->painter, &(struct table){job_columns, JOB_COLUMNS, cells, count});
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

static size_t lines_in(const struct buffer *out, size_t from)
{
    size_t lines = 0;
    for (size_t i = from; i < out->len; i++)
        lines += out->data[i] == '\n' ? 1 : 0;
    return lines;
}

// Pools get up to a third of the remaining lines; jobs get the rest.
static bool paint_screen(struct screen *screen, size_t height)
{
    const struct top *top = screen->top;
    const struct buffer *out = screen->painter.out;
    size_t start = out->len;
    if (!paint_totals(screen) || !paint_export(screen))
        return false;
    if (top->pool_count == 0) {
        paint_empty_screen(&screen->painter);
        return true;
    }
    size_t used = lines_in(out, start) + 4; // two titles, and a blank line before each
    size_t left = height == 0 ? SIZE_MAX : height > used ? height - used : 0;
    size_t pools = height == 0 ? top->pool_count : left / 3 + 1;
    pools = pools < top->pool_count ? pools : top->pool_count;
    painter_newline(&screen->painter);
    if (!paint_pools(screen, pools))
        return false;
    left -= left == SIZE_MAX ? 0 : pools < left ? pools : left;
    if (top->job_count == 0 || left == 0)
        return true;
    painter_newline(&screen->painter);
    return paint_jobs(screen, left);
}

enum error_code top_render(const struct top *top, const struct top_options *options,
                           struct arena *scratch, struct buffer *out, struct error *error)
{
    struct screen screen = {.top = top, .scratch = scratch};
    painter_init(&screen.painter, &options->terminal, out);
    if (!paint_screen(&screen, options->height))
        painter_fail(&screen.painter, ERROR_MEMORY);
    enum error_code code = painter_finish(&screen.painter);
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
    *job = (struct top_job){
        .state = open_state->state, .is_ended_unknown = has_ended, .since = open_state->since};
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

static enum error_code add_pools(struct loader *loader, const struct queue_view *view)
{
    struct top *top = loader->top;
    top->pools = arena_allocate_array(loader->reader.arena, view->count + 1, sizeof *top->pools);
    if (top->pools == NULL)
        return fail_top_memory(loader->reader.error);
    for (size_t i = 0; i < view->count; i++) {
        const struct queue_view_pool *from = &view->pools[i];
        struct top_pool *to = &top->pools[top->pool_count++];
        *to = (struct top_pool){.labels = from->pool.labels, // already copied by pool_list()
                                .group = from->pool.groups,
                                .oldest_queued = from->oldest[OPEN_JOB_QUEUED]};
        memcpy(to->counts, from->pool.counts, sizeof to->counts);
        to->counts[OPEN_JOB_RUNNING] = from->running;
    }
    return ERROR_NONE;
}

// Those in trouble are first in the list of states.
static enum error_code add_pool_states(struct loader *loader, const struct queue_view *queue,
                                       const struct top_options *options)
{
    struct pools_view view;
    enum error_code code = pools_view_load(&loader->reader, &options->pools, options->now, &view);
    for (size_t i = 0; code == ERROR_NONE && i < view.count; i++) {
        const struct pools_view_pool *from = &view.pools[i];
        if (from->state == POOL_OK)
            break;
        size_t at = 0;
        while (at < queue->count &&
               memcmp(&queue->pools[at].pool.id, &from->pool.id, sizeof from->pool.id) != 0)
            at++;
        if (at == queue->count)
            continue;
        struct top_pool *to = &loader->top->pools[at];
        to->state = from->state;
        to->state_since = from->since;
        if (!copy(loader, from->ceiling, &to->ceiling))
            code = fail_top_memory(loader->reader.error);
    }
    return code;
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
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}

static enum error_code load_queue(struct loader *loader, const struct top_options *options)
{
    const struct queue_view_filter filter = {.limit = options->jobs};
    const struct ended_rule rule = {options->now, options->pools.job_grace};
    const struct queue_view_visitor visitor = {add_top_job, loader};
    struct top *top = loader->top;
    struct queue_view view;
    bool has_more;
    enum error_code code = queue_view_load(&loader->reader, &rule, &view);
    if (code != ERROR_NONE)
        return code;
    memcpy(top->totals, view.totals, sizeof top->totals);
    top->ended_unknown = view.ended_unknown;
    top->open_runs = view.open_runs;
    code = add_pools(loader, &view);
    if (code == ERROR_NONE)
        code = add_pool_states(loader, &view, options);
    if (code == ERROR_NONE)
        code = queue_view_walk(&loader->reader, &view, &filter, &visitor, &has_more);
    return code;
}

enum error_code top_load(struct store *store, const struct top_options *options,
                         struct arena *arena, struct top *top, struct error *error)
{
    struct loader loader = {.reader = {.arena = arena, .error = error}, .top = top};
    *top = (struct top){.now = options->now};
    top->jobs = arena_allocate_array(arena, options->jobs + 1, sizeof *top->jobs);
    if (top->jobs == NULL)
        return fail_top_memory(error);
    enum error_code code = store_begin(store, false, &loader.reader.transaction, error);
    if (code != ERROR_NONE)
        return code;
    code = load_queue(&loader, options);
    if (code == ERROR_NONE)
        code = load_export(&loader);
    top->unreadable = store_unreadable(loader.reader.transaction);
    store_abort(loader.reader.transaction);
    return code;
}
