// One pool of runners: its state, its figures, who has its jobs, and the jobs.
#include "ghatrace/term/one_pool.h"

#include <inttypes.h>

#include "ghatrace/term/text.h"
#include "pools_rows.h"

static bool clean_pool_text(const struct pools_page *page, struct slice raw, struct slice *text)
{
    *text = SLICE("(none)");
    return raw.len == 0 || text_clean(page->scratch, raw, page->painter.terminal.unicode, text);
}

// "46m"; "?" if the time is not known.
static bool format_pool_age(const struct pools_page *page, timestamp_ns since, struct slice *text)
{
    *text = SLICE("?");
    return since == TIMESTAMP_UNKNOWN ||
           text_seconds(page->scratch, pools_view_wait(since, page->now), "", text);
}

// --- what is wrong --------------------------------------------------------------------------------

static bool paint_verdict(struct pools_page *page, const struct pools_view_pool *pool)
{
    struct pools_words words;
    struct slice text;
    return pools_verdict_make(pool, page->now, page->scratch, &words) &&
           pools_words_join(&words, page->scratch, &text) && clean_pool_text(page, text, &text) &&
           pools_paint_words(page, pools_state_style(pool->state), text) &&
           pools_paint_advice(page, pool, NULL);
}

// --- figures --------------------------------------------------------------------------------------

static bool format_queue(const struct pools_page *page, const struct pools_view_pool *pool,
                         struct slice *queue, struct slice *waits)
{
    struct slice oldest, parts[POOL_WAIT_PERCENTS];
    uint64_t queued = pool->pool.counts[OPEN_JOB_QUEUED];
    *waits = SLICE_EMPTY;
    if (queued == 0)
        return arena_format(page->scratch, queue, "none queued");
    if (!format_pool_age(page, pool->waits.oldest, &oldest) ||
        !arena_format(page->scratch, queue, "%" PRIu64 " queued, the oldest for %.*s", queued,
                      SLICE_ARGS(oldest)))
        return false;
    for (size_t i = 0; i < POOL_WAIT_PERCENTS; i++)
        if (!format_pool_age(page, pool->waits.since[i], &parts[i]))
            return false;
    return arena_format(page->scratch, waits,
                        "half for at most %.*s, 90 %% for %.*s, 99 %% for %.*s",
                        SLICE_ARGS(parts[0]), SLICE_ARGS(parts[1]), SLICE_ARGS(parts[2]));
}

static bool format_runners(const struct pools_page *page, const struct pools_view_pool *pool,
                           struct slice *running, struct slice *start)
{
    const struct pool_recent *recent = &pool->recent;
    struct slice age;
    bool is_formatted =
        recent->is_known
            ? arena_format(page->scratch, running,
                           "%" PRIu64 " running, the most in 7 days %" PRIu64, pool->running,
                           recent->busy_max_week)
            : arena_format(page->scratch, running, "%" PRIu64 " running", pool->running);
    *start = SLICE_EMPTY;
    if (!is_formatted || recent->last_start == TIMESTAMP_UNKNOWN)
        return is_formatted;
    return format_pool_age(page, recent->last_start, &age) &&
           arena_format(page->scratch, start, "last start %.*s ago", SLICE_ARGS(age));
}

// 12 queued, the oldest for 46m · half for at most 20m, 90 % for 40m, 99 % for 46m · 3 running, the most in 7 days 20
static bool paint_figures(struct pools_page *page, const struct pools_view_pool *pool)
{
    struct slice texts[6] = {SLICE_EMPTY};
    struct painter_piece pieces[6];
    size_t count = 0;
    uint64_t waiting = pool->pool.counts[OPEN_JOB_WAITING];
    bool is_formatted =
        format_queue(page, pool, &texts[0], &texts[1]) &&
        format_runners(page, pool, &texts[2], &texts[3]) &&
        (pool->ended_unknown == 0 ||
         arena_format(page->scratch, &texts[4], "%" PRIu64 " ended with an unknown result",
                      pool->ended_unknown)) &&
        (waiting == 0 ||
         arena_format(page->scratch, &texts[5], "%" PRIu64 " waiting for approval", waiting));
    for (size_t i = 0; i < 6; i++)
        if (texts[i].len > 0)
            pieces[count++] = (struct painter_piece){STYLE_PLAIN, texts[i], true};
    if (is_formatted)
        painter_paragraph(&page->painter, pieces, count, painter_separator(&page->painter), 0);
    return is_formatted;
}

// --- who has its jobs -----------------------------------------------------------------------------

#define USERS_ON_SCREEN 7 // the rest are added up

enum { USER_QUEUED, USER_RUNNING, USER_NAME, USER_REPOSITORY, USER_COLUMNS };

static bool format_user(const struct pools_page *page, const struct pool_user *user,
                        struct table_cell *cells, bool has_workflow)
{
    struct slice repository;
    size_t place = has_workflow ? USER_REPOSITORY : USER_NAME;
    return text_repository(page->scratch, user->server, user->repository, &repository) &&
           clean_pool_text(page, repository, &cells[place].clean) &&
           (!has_workflow || clean_pool_text(page, user->workflow, &cells[USER_NAME].clean)) &&
           arena_format(page->scratch, &cells[USER_QUEUED].clean, "%" PRIu64, user->queued) &&
           arena_format(page->scratch, &cells[USER_RUNNING].clean, "%" PRIu64, user->running);
}

// What of the counted jobs those that are named do not have.
static struct pool_user rest_of_users(const struct pool_users *of, const struct pool_user *users,
                                      size_t count)
{
    struct pool_user rest = {.queued = of->queued, .running = of->running};
    for (size_t i = 0; i < count; i++) {
        rest.queued -= users[i].queued < rest.queued ? users[i].queued : rest.queued;
        rest.running -= users[i].running < rest.running ? users[i].running : rest.running;
    }
    return rest;
}

// On a screen the jobs have to be seen, too.
static size_t count_users(const struct pools_page *page, size_t known)
{
    bool is_screen = page->painter.terminal.width != TERMINAL_WIDTH_UNLIMITED;
    return is_screen && known > USERS_ON_SCREEN ? USERS_ON_SCREEN : known;
}

static bool paint_users(struct pools_page *page, const struct pool_users *of, bool by_workflow)
{
    const struct table_column columns[USER_COLUMNS] = {
        [USER_QUEUED] = {"QUEUED", true, 0, STYLE_BOLD},
        [USER_RUNNING] = {"RUNNING", true, 1, STYLE_PLAIN},
        [USER_NAME] = {by_workflow ? "WORKFLOW" : "REPOSITORY", false, 0, STYLE_PLAIN},
        [USER_REPOSITORY] = {"REPOSITORY", false, 2, STYLE_GREY}};
    const struct pool_user *users = by_workflow ? of->workflows : of->repositories;
    size_t count = count_users(page, by_workflow ? of->workflow_count : of->repository_count);
    size_t width = by_workflow ? USER_COLUMNS : USER_REPOSITORY;
    const struct pool_user rest = rest_of_users(of, users, count);
    struct table_cell *cells =
        arena_allocate_array(page->scratch, (count + 1) * width, sizeof *cells);
    if (cells == NULL)
        return false;
    for (size_t i = 0; i < count; i++)
        if (!format_user(page, &users[i], &cells[i * width], by_workflow))
            return false;
    if (rest.queued + rest.running > 0) {
        if (!format_user(page, &rest, &cells[count * width], false))
            return false;
        cells[count * width + USER_NAME].clean = SLICE("others");
        count++;
    }
    if (count == 0)
        return true;
    painter_newline(&page->painter);
    table_paint(&page->painter, &(struct table){columns, width, cells, count});
    return true;
}

static bool paint_what_was_counted(struct pools_page *page, const struct one_pool *shown)
{
    struct slice text;
    const struct pool_users *of = &shown->users;
    if (of->queued >= shown->pool.pool.counts[OPEN_JOB_QUEUED] &&
        of->running >= shown->pool.running)
        return true;
    return arena_format(page->scratch, &text,
                        "Counted are the oldest %" PRIu64 " queued and %" PRIu64 " running jobs.",
                        of->queued, of->running) &&
           pools_paint_words(page, STYLE_GREY, text);
}

// --- its jobs -------------------------------------------------------------------------------------

enum {
    JOB_AGE,
    JOB_STATE,
    JOB_NAME,
    JOB_WORKFLOW,
    JOB_REPOSITORY,
    JOB_RUNNER,
    JOB_RUN,
    JOB_COLUMNS
};

static const struct table_column pool_job_columns[JOB_COLUMNS] = {
    [JOB_AGE] = {"FOR", true, 0, STYLE_BOLD},
    [JOB_STATE] = {"STATE", false, 0, STYLE_PLAIN},
    [JOB_NAME] = {"JOB", false, 0, STYLE_PLAIN},
    [JOB_WORKFLOW] = {"WORKFLOW", false, 3, STYLE_PLAIN},
    [JOB_REPOSITORY] = {"REPOSITORY", false, 2, STYLE_PLAIN},
    [JOB_RUNNER] = {"RUNNER", false, 4, STYLE_GREY},
    [JOB_RUN] = {"RUN", true, 1, STYLE_GREY}};

static struct table_cell cell_of_state(const struct pools_page *page, const struct top_job *job)
{
    switch (job->state) {
    case OPEN_JOB_WAITING:
        return (struct table_cell){text_state_of_approval(&page->painter.terminal), STYLE_GREY};
    case OPEN_JOB_QUEUED:
        return (struct table_cell){SLICE("queued"), STYLE_YELLOW};
    case OPEN_JOB_RUNNING:
    case OPEN_JOB_NONE:
        break;
    }
    return job->is_ended_unknown ? (struct table_cell){SLICE("ended, result unknown"), STYLE_GREY}
                                 : (struct table_cell){SLICE("running"), STYLE_GREEN};
}

static bool format_job_of_pool(const struct pools_page *page, const struct top_job *job,
                               struct table_cell cells[JOB_COLUMNS])
{
    cells[JOB_STATE] = cell_of_state(page, job);
    cells[JOB_RUNNER].clean = SLICE_EMPTY;
    return format_pool_age(page, job->since, &cells[JOB_AGE].clean) &&
           clean_pool_text(page, job->name, &cells[JOB_NAME].clean) &&
           clean_pool_text(page, job->workflow, &cells[JOB_WORKFLOW].clean) &&
           clean_pool_text(page, job->repository, &cells[JOB_REPOSITORY].clean) &&
           (job->runner.len == 0 || clean_pool_text(page, job->runner, &cells[JOB_RUNNER].clean)) &&
           arena_format(page->scratch, &cells[JOB_RUN].clean, "%" PRId64 "/%" PRId64, job->run_id,
                        job->run_attempt);
}

static bool paint_jobs_of_pool(struct pools_page *page, const struct one_pool *shown)
{
    struct slice text;
    struct table_cell *cells =
        arena_allocate_array(page->scratch, shown->job_count * JOB_COLUMNS + 1, sizeof *cells);
    if (cells == NULL)
        return false;
    for (size_t i = 0; i < shown->job_count; i++)
        if (!format_job_of_pool(page, &shown->jobs[i], &cells[i * JOB_COLUMNS]))
            return false;
    if (shown->job_count == 0)
        return true;
    painter_newline(&page->painter);
    table_paint(&page->painter,
                &(struct table){pool_job_columns, JOB_COLUMNS, cells, shown->job_count});
    if (shown->total <= shown->job_count)
        return true;
    painter_newline(&page->painter);
    return arena_format(page->scratch, &text,
                        "These are %zu of %" PRIu64 " open jobs: see --limit.", shown->job_count,
                        shown->total) &&
           pools_paint_words(page, STYLE_GREY, text);
}

static bool paint_one_pool(struct pools_page *page, const struct one_pool *shown)
{
    return paint_verdict(page, &shown->pool) && paint_figures(page, &shown->pool) &&
           pools_paint_ceilings(page, &shown->ceilings, shown->shares) &&
           paint_users(page, &shown->users, false) && paint_users(page, &shown->users, true) &&
           paint_what_was_counted(page, shown) && paint_jobs_of_pool(page, shown);
}

enum error_code one_pool_render(const struct one_pool *shown, const struct pools_options *options,
                                struct arena *scratch, struct buffer *out, struct error *error)
{
    struct pools_page page = {.scratch = scratch, .now = options->now};
    painter_init(&page.painter, &options->terminal, out);
    page.painter.shows_breaks = true;
    if (!paint_one_pool(&page, shown))
        painter_fail(&page.painter, ERROR_MEMORY);
    enum error_code code = painter_finish(&page.painter);
    return code == ERROR_NONE ? code
                              : error_set(error, code, "show a pool: %s", error_code_text(code));
}
