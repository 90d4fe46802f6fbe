// Pools of runners and their states in the terminal.
#include "ghatrace/term/pools.h"

#include <inttypes.h>
#include <stdio.h>

#include "ghatrace/term/text.h"
#include "past.h"
#include "pools_rows.h"

enum column {
    COLUMN_POOL,
    COLUMN_STATE,
    COLUMN_AGE,
    COLUMN_SINCE,
    COLUMN_QUEUED,
    COLUMN_OLDEST,
    COLUMN_RUNNING,
    COLUMN_MOST,
    COLUMN_START,
    COLUMN_CEILING,
    COLUMN_COUNT
};

static const struct table_column columns[COLUMN_COUNT] = {
    [COLUMN_POOL] = {"POOL", false, 0, STYLE_PLAIN},
    [COLUMN_STATE] = {"STATE", false, 0, STYLE_PLAIN},
    [COLUMN_AGE] = {"FOR", true, 2, STYLE_BOLD},
    [COLUMN_SINCE] = {"SINCE (UTC)", true, 6, STYLE_GREY},
    [COLUMN_QUEUED] = {"QUEUED", true, 0, STYLE_BOLD},
    [COLUMN_OLDEST] = {"OLDEST", true, 4, STYLE_PLAIN},
    [COLUMN_RUNNING] = {"RUNNING", true, 1, STYLE_PLAIN},
    [COLUMN_MOST] = {"MOST", true, 3, STYLE_GREY},
    [COLUMN_START] = {"LAST START", true, 7, STYLE_PLAIN},
    [COLUMN_CEILING] = {"CEILING", false, 5, STYLE_PLAIN},
};

enum style pools_state_style(enum pool_state state)
{
    switch (state) {
    case POOL_DEAD:
        return STYLE_RED;
    case POOL_BUSY:
    case POOL_WAITING:
        return STYLE_YELLOW;
    case POOL_CEILING:
        return STYLE_MAGENTA;
    case POOL_OK:
    case POOL_STATES:
        break;
    }
    return STYLE_GREEN;
}

static bool clean_cell(struct pools_page *page, struct slice raw, struct slice *text)
{
    *text = SLICE_EMPTY;
    return raw.len == 0 || text_clean(page->scratch, raw, page->painter.terminal.unicode, text);
}

// "46m", followed by `suffix`; empty if the time is not known.
static bool format_age(struct pools_page *page, timestamp_ns since, const char *suffix,
                       struct slice *text)
{
    *text = SLICE_EMPTY;
    return since == TIMESTAMP_UNKNOWN ||
           text_seconds(page->scratch, page->now - since, suffix, text);
}

// "11-30 02:14"
static bool format_since(struct pools_page *page, timestamp_ns since, struct slice *text)
{
    char time[TIMESTAMP_TEXT_SIZE];
    *text = SLICE_EMPTY;
    if (since == TIMESTAMP_UNKNOWN)
        return true;
    timestamp_format_rfc3339(since, false, time);
    return arena_format(page->scratch, text, "%.5s %.5s", time + strlen("2026-"),
                        time + strlen("2026-11-30T"));
}

// What runs, and the most that ran at once in the last week. In one cell, as "12 of 20", it is taken for a capacity; of a pool
// at a ceiling the most says nothing.
static bool format_running(struct pools_page *page, const struct pools_view_pool *pool,
                           struct table_cell cells[COLUMN_COUNT])
{
    return arena_format(page->scratch, &cells[COLUMN_RUNNING].clean, "%" PRIu64, pool->running) &&
           (!pool->recent.is_known || pool->state == POOL_CEILING ||
            arena_format(page->scratch, &cells[COLUMN_MOST].clean, "%" PRIu64,
                         pool->recent.busy_max_week));
}

static bool format_pool_row(struct pools_page *page, const struct pools_view_pool *pool,
                            struct table_cell cells[COLUMN_COUNT])
{
    timestamp_ns since = pools_view_trouble_since(pool);
    cells[COLUMN_STATE] = (struct table_cell){slice_from_string(pool_state_names[pool->state]),
                                              pools_state_style(pool->state)};
    return clean_cell(page, pool->name.len > 0 ? pool->name : SLICE("(none)"),
                      &cells[COLUMN_POOL].clean) &&
           format_age(page, since, "", &cells[COLUMN_AGE].clean) &&
           format_since(page, since, &cells[COLUMN_SINCE].clean) &&
           arena_format(page->scratch, &cells[COLUMN_QUEUED].clean, "%" PRIu64,
                        pool->pool.counts[OPEN_JOB_QUEUED]) &&
           format_age(page, pool->waits.oldest, "", &cells[COLUMN_OLDEST].clean) &&
           format_running(page, pool, cells) &&
           format_age(page, pool->recent.last_start, " ago", &cells[COLUMN_START].clean) &&
           clean_cell(page, pool->ceiling, &cells[COLUMN_CEILING].clean);
}

bool pools_paint_rows(struct pools_page *page, const struct pools_view_pool *const *pools,
                      size_t count)
{
    struct table_cell *cells =
        arena_allocate_array(page->scratch, count * COLUMN_COUNT + 1, sizeof *cells);
    if (cells == NULL)
        return false;
    for (size_t i = 0; i < count; i++)
        if (!format_pool_row(page, pools[i], &cells[i * COLUMN_COUNT]))
            return false;
    table_paint(&page->painter, &(struct table){columns, COLUMN_COUNT, cells, count});
    return true;
}

// --- above and below the rows ---------------------------------------------------------------------

size_t pools_count_rows(const struct pools_view_pool *const *pools, size_t count, size_t most)
{
    size_t not_ok = 0;
    while (not_ok < count && pools[not_ok]->state != POOL_OK)
        not_ok++;
    if (count <= most)
        return count;
    if (not_ok == 0)
        return most;
    return not_ok < most ? not_ok : most > 1 ? most - 1 : 1;
}

bool pools_paint_rest(struct pools_page *page, const struct pools_view_pool *const *pools,
                      size_t count)
{
    uint64_t queued = 0, running = 0;
    size_t ok = 0;
    char waiting[48] = "";
    struct slice text;
    for (size_t i = 0; i < count; i++) {
        queued += pools[i]->pool.counts[OPEN_JOB_QUEUED];
        running += pools[i]->running;
        ok += pools[i]->state == POOL_OK ? 1 : 0;
    }
    if (queued > 0)
        (void)snprintf(waiting, sizeof waiting, ", %" PRIu64 " queued", queued);
    return count == 0 ||
           (arena_format(page->scratch, &text, "%zu %spool%s%s%s, %" PRIu64 " running", count,
                         ok == count ? "" : "more ", count == 1 ? "" : "s",
                         ok == count ? " ok" : "", waiting, running) &&
            pools_paint_words(page, STYLE_GREY, text));
}

#define WIDTH_OF_TEXT 100 // into a pipe or a file

// Text is broken there, too. Returns the width to be set afterwards.
static size_t limit_width(struct pools_page *page)
{
    size_t width = page->painter.terminal.width;
    if (width == TERMINAL_WIDTH_UNLIMITED)
        page->painter.terminal.width = WIDTH_OF_TEXT;
    return width;
}

struct totals {
    size_t states[POOL_STATES];
    uint64_t queued, running;
};

static struct totals count_all(const struct pools_view *view)
{
    struct totals totals = {{0}, 0, 0};
    for (size_t i = 0; i < view->count; i++) {
        totals.states[view->pools[i].state]++;
        totals.queued += view->pools[i].pool.counts[OPEN_JOB_QUEUED];
        totals.running += view->pools[i].running;
    }
    return totals;
}

// 2026-11-30T02:47:11Z · 1 pool dead · 1 waiting · 9 ok · 312 jobs queued · 40 running
static bool paint_pool_totals(struct pools_page *page, const struct totals *totals)
{
    struct painter_piece pieces[POOL_STATES + 3] = {{.style = STYLE_GREY}};
    size_t count = 1;
    char time[TIMESTAMP_TEXT_SIZE];
    bool is_formatted = arena_format(page->scratch, &pieces[0].clean, "%s",
                                     timestamp_format_rfc3339(page->now, false, time));
    for (size_t i = POOL_STATES; i-- > 0 && is_formatted;) {
        if (totals->states[i] == 0)
            continue;
        const char *noun = count > 1 ? "" : totals->states[i] == 1 ? " pool" : " pools";
        pieces[count].style = pools_state_style((enum pool_state)i);
        is_formatted = arena_format(page->scratch, &pieces[count++].clean, "%zu%s %s",
                                    totals->states[i], noun, pool_state_names[i]);
    }
    is_formatted =
        is_formatted &&
        arena_format(page->scratch, &pieces[count++].clean, "%" PRIu64 " job%s queued",
                     totals->queued, totals->queued == 1 ? "" : "s") &&
        arena_format(page->scratch, &pieces[count++].clean, "%" PRIu64 " running", totals->running);
    if (is_formatted)
        painter_paragraph(&page->painter, pieces, count, painter_separator(&page->painter), 0);
    return is_formatted;
}

// A repository is named if it has so large a part of the running jobs, or if there are not more.
#define SHARES_ALWAYS_NAMED 3
#define SHARE_OF_NOTE 4 // a quarter

// Which repositories run jobs of a ceiling: octo/shop runs 12, octo/site runs 8; where none has a large part of them only that.
static bool list_shares(struct pools_page *page, uint64_t running,
                        const struct pools_view_shares *shares, struct painter_piece *pieces)
{
    struct slice name;
    if (shares->count > SHARES_ALWAYS_NAMED && shares->items[0].running * SHARE_OF_NOTE < running)
        return arena_format(page->scratch, &pieces[0].clean,
                            "no repository runs more than %" PRIu64, shares->items[0].running);
    for (size_t i = 0; i < shares->count; i++) {
        pieces[i].may_break = true;
        if (!clean_cell(page, shares->items[i].repository, &name) ||
            !arena_format(page->scratch, &pieces[i].clean, "%.*s runs %" PRIu64, SLICE_ARGS(name),
                          shares->items[i].running))
            return false;
    }
    return true;
}

// workflow "Rebuild" of 38 repositories has 150 of the 221 queued jobs
static bool format_common(struct pools_page *page, const struct pools_view_common *common,
                          struct painter_piece *piece)
{
    struct slice name;
    piece->may_break = true;
    return clean_cell(page, common->workflow, &name) &&
           arena_format(page->scratch, &piece->clean,
                        "workflow \"%.*s\" of %" PRIu64 " repositor%s has %" PRIu64
                        " of the %s%" PRIu64 " queued jobs",
                        SLICE_ARGS(name), common->repositories,
                        common->repositories == 1 ? "y" : "ies", common->queued,
                        common->has_more ? "oldest " : "", common->of);
}

// ceiling "hosted" (configured): 20 of 20 run, 312 queued · octo/shop runs 12 · octo/site runs 8
static bool paint_ceiling(struct pools_page *page, const struct pools_view_ceiling *ceiling,
                          const struct pools_view_shares *shares)
{
    struct painter_piece pieces[POOLS_VIEW_REPOSITORIES + 2] = {{STYLE_MAGENTA, SLICE_EMPTY, true}};
    struct slice name;
    size_t count = 1;
    if (!clean_cell(page, ceiling->name, &name) ||
        !arena_format(page->scratch, &pieces[0].clean,
                      "ceiling \"%.*s\" (%s): %" PRIu64 " of %" PRIu64 " run, %" PRIu64 " queued",
                      SLICE_ARGS(name), ceiling->is_inferred ? "inferred" : "configured",
                      ceiling->running, ceiling->limit, ceiling->queued))
        return false;
    if (ceiling->common.of > 0 && !format_common(page, &ceiling->common, &pieces[count++]))
        return false;
    if (!list_shares(page, ceiling->running, shares, pieces + count))
        return false;
    while (count <= POOLS_VIEW_REPOSITORIES + 1 && pieces[count].clean.len > 0)
        count++;
    size_t width = limit_width(page);
    painter_paragraph(&page->painter, pieces, count, painter_separator(&page->painter), 0);
    page->painter.terminal.width = width;
    return true;
}

bool pools_paint_ceilings(struct pools_page *page, const struct pools_view *view,
                          const struct pools_view_shares *shares)
{
    for (size_t i = 0; i < view->ceiling_count; i++)
        if (view->ceilings[i].since != TIMESTAMP_UNKNOWN &&
            !paint_ceiling(page, &view->ceilings[i], &shares[i]))
            return false;
    return true;
}

bool pools_paint_text(struct pools_page *page, enum style style, struct slice clean)
{
    size_t width = limit_width(page);
    bool is_painted = pools_paint_words(page, style, clean);
    page->painter.terminal.width = width;
    return is_painted;
}

bool pools_paint_words(struct pools_page *page, enum style style, struct slice clean)
{
    struct slice rest = clean;
    size_t count = 0;
    struct painter_piece *pieces =
        arena_allocate_array(page->scratch, clean.len / 2 + 1, sizeof *pieces);
    if (pieces == NULL)
        return false;
    while (rest.len > 0) {
        ptrdiff_t end = slice_find(rest, SLICE(" "));
        size_t len = end < 0 ? rest.len : (size_t)end, taken = end < 0 ? len : len + 1;
        if (len > 0)
            pieces[count++] = (struct painter_piece){style, {rest.data, len}, false};
        rest = (struct slice){rest.data + taken, rest.len - taken};
    }
    painter_paragraph(&page->painter, pieces, count, " ", 0);
    return true;
}

bool pools_paint_summary(struct pools_page *page, const struct pools_summary *summary)
{
    struct slice text, action;
    return clean_cell(page, summary->text, &text) &&
           clean_cell(page, summary->action_text, &action) &&
           pools_paint_words(page, summary->scope == POOLS_SCOPE_NONE ? STYLE_GREEN : STYLE_RED,
                             text) &&
           (action.len == 0 || pools_paint_words(page, STYLE_BOLD, action));
}

// Whether the summary has said what to do about the pool first.
static bool is_action_said(const struct pools_view_pool *pool, const struct pools_summary *said,
                           struct slice action)
{
    if (said == NULL || said->action_text.len == 0)
        return false;
    return slice_ends_with(said->action_text, action) ||
           (said->scope == POOLS_SCOPE_CEILING && pool->state == POOL_CEILING);
}

// "busy: Add runners ..."; where a repository fills the pool: "busy (gpu,linux): Cancel unneeded runs of acme/shop ...".
bool pools_paint_advice(struct pools_page *page, const struct pools_view_pool *pool,
                        const struct pools_summary *said)
{
    bool is_filled = pool->filler.of > 0;
    struct pools_advice advice;
    struct slice action, more, name, whole;
    if (!pools_advice_make(pool, page->scratch, &advice) ||
        !pools_words_join(&advice.action, page->scratch, &action) ||
        !pools_words_join(&advice.more, page->scratch, &more))
        return false;
    if (action.len == 0)
        return true;
    if (is_action_said(pool, said, action))
        action = SLICE_EMPTY;
    return clean_cell(page, action, &action) && clean_cell(page, more, &more) &&
           clean_cell(page, is_filled ? pool->name : SLICE_EMPTY, &name) &&
           arena_format(page->scratch, &whole, "%s%s%.*s%s: %.*s%s%.*s",
                        pool_state_names[pool->state], is_filled ? " (" : "", SLICE_ARGS(name),
                        is_filled ? ")" : "", SLICE_ARGS(action), action.len > 0 ? " " : "",
                        SLICE_ARGS(more)) &&
           pools_paint_text(page, STYLE_GREY, whole);
}

// Of this state the first that a repository fills; else the first. NULL: there is none.
static const struct pools_view_pool *choose_pool_of_state(const struct pools_view *view,
                                                          enum pool_state state)
{
    const struct pools_view_pool *chosen = NULL;
    for (size_t i = 0; i < view->count; i++) {
        const struct pools_view_pool *pool = &view->pools[i];
        if (pool->state == state &&
            (chosen == NULL || (chosen->filler.of == 0 && pool->filler.of > 0)))
            chosen = pool;
    }
    return chosen;
}

// Once for each state.
static bool paint_advice(struct pools_page *page, const struct pools_shown *shown)
{
    const struct pools_view *view = shown->view;
    for (size_t state = POOL_STATES; state-- > 0;) {
        const struct pools_view_pool *pool = choose_pool_of_state(view, (enum pool_state)state);
        if (pool != NULL && state != POOL_OK && !pools_paint_advice(page, pool, &shown->summary))
            return false;
    }
    return true;
}

// Lines of the screen that are left for rows: without a blank line, titles, and the next prompt.
static size_t room_for_rows(const struct pools_page *page, size_t height)
{
    const struct buffer *out = page->painter.out;
    size_t lines = 3;
    for (size_t i = 0; i < out->len; i++)
        lines += out->data[i] == '\n' ? 1 : 0;
    return height == 0 ? SIZE_MAX : height > lines ? height - lines : 1;
}

// On a screen that is too low those that are not ok have a row each nevertheless: one can scroll.
static bool paint_all_rows(struct pools_page *page, const struct pools_view *view, size_t height)
{
    size_t room = room_for_rows(page, height), count = view->count;
    const struct pools_view_pool **rows =
        arena_allocate_array(page->scratch, view->count + 1, sizeof *rows);
    if (rows == NULL)
        return false;
    for (size_t i = 0; i < view->count; i++)
        rows[i] = &view->pools[i];
    if (count > room && rows[0]->state != POOL_OK)
        while (count > 0 && rows[count - 1]->state == POOL_OK)
            count--;
    painter_newline(&page->painter);
    return pools_paint_rows(page, rows, count) &&
           pools_paint_rest(page, rows + count, view->count - count);
}

static bool paint_page(struct pools_page *page, const struct pools_shown *shown, size_t height)
{
    struct totals totals = count_all(shown->view);
    if (shown->view->count == 0)
        return pools_paint_words(page, STYLE_PLAIN,
                                 SLICE("No pool is known: one shows up here with its first job."));
    return pools_paint_summary(page, &shown->summary) && paint_pool_totals(page, &totals) &&
           pools_paint_ceilings(page, shown->view, shown->shares) && paint_advice(page, shown) &&
           paint_all_rows(page, shown->view, height) && past_paint(page, shown->past);
}

enum error_code pools_render(const struct pools_shown *shown, const struct pools_options *options,
                             struct arena *scratch, struct buffer *out, struct error *error)
{
    struct pools_page page = {.scratch = scratch, .now = options->now};
    painter_init(&page.painter, &options->terminal, out);
    page.painter.shows_breaks = true;
    if (!paint_page(&page, shown, options->height))
        painter_fail(&page.painter, ERROR_MEMORY);
    enum error_code code = painter_finish(&page.painter);
    if (code != ERROR_NONE)
        return error_set(error, code, "show %zu pools: %s", shown->view->count,
                         error_code_text(code));
    return ERROR_NONE;
}
