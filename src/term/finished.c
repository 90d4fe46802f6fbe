// Finished runs in the terminal.
#include <inttypes.h>

#include "ghatrace/term/runs.h"
#include "painter.h"

enum column {
    COLUMN_ENDED,
    COLUMN_RESULT,
    COLUMN_TOOK,
    COLUMN_RUN, // before what may be cut off at the edge
    COLUMN_REPOSITORY,
    COLUMN_WORKFLOW,
    COLUMN_BRANCH,
    COLUMN_TITLE,
    COLUMN_COUNT
};

static const struct table_column columns[COLUMN_COUNT] = {
    [COLUMN_ENDED] = {"ended", true, 2, STYLE_BOLD},
    [COLUMN_RESULT] = {"result", false, 0, STYLE_PLAIN},
    [COLUMN_TOOK] = {"took", true, 3, STYLE_PLAIN},
    [COLUMN_RUN] = {"run", true, 0, STYLE_GREY},
    [COLUMN_REPOSITORY] = {"repository", false, 0, STYLE_PLAIN},
    [COLUMN_WORKFLOW] = {"workflow", false, 1, STYLE_PLAIN},
    [COLUMN_BRANCH] = {"branch", false, 4, STYLE_GREY},
    [COLUMN_TITLE] = {"title", false, 5, STYLE_GREY},
};

struct page {
    const struct finished_view *view;
    struct painter painter;
    struct arena *scratch;
    timestamp_ns now;
};

static bool clean_finished(struct page *page, struct slice raw, struct slice *text)
{
    *text = SLICE_EMPTY;
    return raw.len == 0 || text_clean(page->scratch, raw, page->painter.terminal.unicode, text);
}

static enum style outcome_style(enum view_outcome outcome)
{
    switch (outcome) {
    case OUTCOME_SUCCESS:
        return STYLE_GREEN;
    case OUTCOME_FAILURE:
        return STYLE_RED;
    case OUTCOME_CANCELLED:
        return STYLE_MAGENTA;
    case OUTCOME_UNKNOWN:
    case OUTCOME_SKIPPED:
    case OUTCOME_CARRIED_OVER:
    case OUTCOME_COUNT:
        break;
    }
    return STYLE_GREY;
}

static bool format_finished(struct page *page, const struct run_view *run,
                            struct table_cell cells[COLUMN_COUNT])
{
    struct slice repository;
    struct slice result = run->conclusion.len > 0 ? run->conclusion : run->result;
    cells[COLUMN_RESULT].style = outcome_style(view_outcome_of(run->conclusion));
    return text_repository(page->scratch, run->server, run->repository, &repository) &&
           text_seconds(page->scratch, page->now - run->end, " ago", &cells[COLUMN_ENDED].clean) &&
           text_seconds(page->scratch, run->end - run->start, "", &cells[COLUMN_TOOK].clean) &&
           clean_finished(page, view_conclusion_words(result), &cells[COLUMN_RESULT].clean) &&
           clean_finished(page, repository, &cells[COLUMN_REPOSITORY].clean) &&
           clean_finished(page, run->workflow, &cells[COLUMN_WORKFLOW].clean) &&
           clean_finished(page, run->branch, &cells[COLUMN_BRANCH].clean) &&
           clean_finished(page, run->title, &cells[COLUMN_TITLE].clean) &&
           arena_format(page->scratch, &cells[COLUMN_RUN].clean, "%" PRId64 "/%" PRId64,
                        run->run_id, run->run_attempt);
}

static void paint_none(struct page *page)
{
    painter_string(&page->painter, STYLE_PLAIN, "No finished run matches.");
    painter_newline(&page->painter);
}

static void paint_more(struct page *page)
{
    const struct painter_piece pieces[] = {
        {STYLE_GREY, SLICE("There are more:"), false},
        {STYLE_GREY, SLICE("see --limit and --since."), false},
    };
    painter_newline(&page->painter);
    painter_paragraph(&page->painter, pieces, sizeof pieces / sizeof pieces[0], " ", 0);
}

static bool paint_finished(struct page *page)
{
    const struct finished_view *view = page->view;
    struct table_cell *cells =
        arena_allocate_array(page->scratch, view->count * COLUMN_COUNT + 1, sizeof *cells);
    if (cells == NULL)
        return false;
    for (size_t i = 0; i < view->count; i++)
        if (!format_finished(page, &view->runs[i], &cells[i * COLUMN_COUNT]))
            return false;
    if (view->count > 0)
        table_paint(&page->painter, &(struct table){columns, COLUMN_COUNT, cells, view->count});
    else
        paint_none(page);
    if (view->has_more)
        paint_more(page);
    return true;
}

enum error_code runs_render_finished(const struct finished_view *view,
                                     const struct runs_options *options, struct arena *scratch,
                                     struct buffer *out, struct error *error)
{
    struct page page = {.view = view, .scratch = scratch, .now = options->now};
    painter_init(&page.painter, &options->terminal, out);
    if (!paint_finished(&page))
        painter_fail(&page.painter, ERROR_MEMORY);
    enum error_code code = painter_finish(&page.painter);
    if (code != ERROR_NONE)
        return error_set(error, code, "list %zu finished runs: %s", view->count,
                         error_code_text(code));
    return ERROR_NONE;
}

enum error_code runs_render_lists(const struct runs_shown *shown,
                                  const struct runs_options *options, struct arena *scratch,
                                  struct buffer *out, struct error *error)
{
    const struct runs_list *open = shown->open;
    const struct finished_view *finished = shown->finished;
    enum error_code code = ERROR_NONE;
    size_t start = out->len;
    // That nothing is open is not said where some of it was not asked for, unless that is all.
    if (open != NULL && (open->count > 0 || !shown->is_filtered || finished == NULL))
        code = runs_render(open, options, scratch, out, error);
    bool is_first = out->len == start;
    if (code != ERROR_NONE || finished == NULL || (finished->count == 0 && !is_first))
        return code;
    if (!is_first && buffer_append_string(out, "\n") != ERROR_NONE)
        return error_set(error, ERROR_MEMORY, "list runs: out of memory");
    return runs_render_finished(finished, options, scratch, out, error);
}
