// The list of runs in the terminal.
#include "ghatrace/term/runs.h"

#include <stdlib.h>

#include "ghatrace/term/text.h"
#include "ghatrace/trace/labels.h"
#include "ghatrace/trace/timeline.h"
#include "ghatrace/view/run_view.h"
#include "painter.h"

// --- the list of open runs and jobs: one line per entry if it fits, else two ----------------------

#define GAP 2
#define FLEXIBLE_MIN 14 // columns; shorter text is not readable
#define NARROW_INDENT 2
#define TAIL_PERCENT 60 // names of jobs and runners differ at their ends
#define STATE_WIDTH 8

enum column {
    COLUMN_AGE,
    COLUMN_STATE,
    COLUMN_REPOSITORY,
    COLUMN_WORKFLOW,
    COLUMN_JOB,
    COLUMN_LABELS,
    COLUMN_RUN,
    COLUMN_COUNT,
};

static const char *const titles[COLUMN_COUNT] = {"for", "state",  "repository", "workflow",
                                                 "job", "labels", "run"};

struct row {
    const struct runs_entry *entry;
    size_t count;                     // entries that it is for
    bool is_matrix;                   // their names differ in what is in parentheses at the end
    struct slice cells[COLUMN_COUNT]; // clean
};

struct stats {
    size_t states[RUNS_RUN_OPEN + 1];
    struct slice oldest_queued; // its age
};

struct list {
    struct painter painter;
    struct stats stats; // of all entries
    struct row *rows;
    size_t count;
    size_t widths[COLUMN_COUNT];
    timestamp_ns now;
    struct arena *scratch;
};

static const char *name_of_state(enum runs_state state)
{
    switch (state) {
    case RUNS_JOB_QUEUED:
        return "queued";
    case RUNS_JOB_RUNNING:
        return "running";
    case RUNS_RUN_OPEN:
        return "open";
    case RUNS_JOB_WAITING:
        break;
    }
    return "?";
}

static enum style state_style(enum runs_state state)
{
    switch (state) {
    case RUNS_JOB_QUEUED:
        return STYLE_YELLOW;
    case RUNS_JOB_RUNNING:
        return STYLE_GREEN;
    case RUNS_RUN_OPEN:
        return STYLE_BLUE;
    case RUNS_JOB_WAITING:
        break;
    }
    return STYLE_MAGENTA;
}

// Oldest first; entries of unknown age come after them. A run comes before its jobs. Jobs that wait for an approval are last: as
// long as they may wait, no runner is missing.
static int compare_entries(const void *a, const void *b)
{
    const struct runs_entry *x = ((const struct row *)a)->entry;
    const struct runs_entry *y = ((const struct row *)b)->entry;
    bool is_x_held = x->state == RUNS_JOB_WAITING, is_y_held = y->state == RUNS_JOB_WAITING;
    if (is_x_held != is_y_held)
        return is_x_held ? 1 : -1;
    bool is_x_known = x->since > TIMESTAMP_UNKNOWN;
    bool is_y_known = y->since > TIMESTAMP_UNKNOWN;

    if (is_x_known != is_y_known)
        return is_x_known ? -1 : 1;
    if (is_x_known && x->since != y->since)
        return x->since < y->since ? -1 : 1;
    if (x->run_id != y->run_id)
        return x->run_id < y->run_id ? -1 : 1;
    if (x->run_attempt != y->run_attempt)
        return x->run_attempt < y->run_attempt ? -1 : 1;
    return x->job_id < y->job_id ? -1 : x->job_id > y->job_id;
}

static bool format_entry_age(struct list *list, struct row *row)
{
    timestamp_ns since = row->entry->since;

    if (since <= TIMESTAMP_UNKNOWN) {
        row->cells[COLUMN_AGE] = SLICE("?");
        return true;
    }
    return text_seconds(list->scratch, list->now - since, "", &row->cells[COLUMN_AGE]);
}

static bool format_labels(struct list *list, struct row *row)
{
    const struct runs_entry *entry = row->entry;
    struct slice joined;

    return labels_join(entry->labels, entry->label_count, list->scratch, &joined) &&
           text_clean(list->scratch, joined, list->painter.terminal.unicode,
                      &row->cells[COLUMN_LABELS]);
}

static bool format_row(struct list *list, struct row *row)
{
    const struct runs_entry *entry = row->entry;
    bool unicode = list->painter.terminal.unicode;

    row->cells[COLUMN_STATE] = entry->state == RUNS_JOB_WAITING
                                   ? text_state_of_approval(&list->painter.terminal)
                                   : slice_from_string(name_of_state(entry->state));
    return format_entry_age(list, row) && format_labels(list, row) &&
           text_clean(list->scratch, entry->repository, unicode, &row->cells[COLUMN_REPOSITORY]) &&
           text_clean(list->scratch, entry->workflow, unicode, &row->cells[COLUMN_WORKFLOW]) &&
           text_clean(list->scratch, entry->job_name, unicode, &row->cells[COLUMN_JOB]) &&
           arena_format(list->scratch, &row->cells[COLUMN_RUN], "%lld/%lld",
                        (long long)entry->run_id, (long long)entry->run_attempt);
}

static struct stats count_states(const struct list *list)
{
    struct stats stats = {0};
    for (size_t i = 0; i < list->count; i++) {
        enum runs_state state = list->rows[i].entry->state;
        stats.states[state]++;
        if (state == RUNS_JOB_QUEUED && stats.oldest_queued.len == 0)
            stats.oldest_queued = list->rows[i].cells[COLUMN_AGE];
    }
    return stats;
}

// Jobs of a run that wait and say the same are one row on a screen, that of the oldest.
static bool say_the_same_of_a_run(const struct runs_entry *a, const struct runs_entry *b,
                                  struct slice labels_of_a, struct slice labels_of_b)
{
    return a->job_id != 0 && b->job_id != 0 && a->state == b->state &&
           a->state != RUNS_JOB_RUNNING && a->run_id == b->run_id &&
           a->run_attempt == b->run_attempt &&
           slice_equals(text_without_matrix(a->job_name), text_without_matrix(b->job_name)) &&
           slice_equals(labels_of_a, labels_of_b);
}

#define LOOKED_BACK 64 // rows, to find one that says the same

static bool name_folded(struct list *list, struct row *row)
{
    bool unicode = list->painter.terminal.unicode;
    struct slice name;
    return row->count == 1 ||
           (text_clean(list->scratch,
                       row->is_matrix ? text_without_matrix(row->entry->job_name)
                                      : row->entry->job_name,
                       unicode, &name) &&
            arena_format(
                list->scratch, &row->cells[COLUMN_JOB], "%.*s%s%.*s%s %s %zu", SLICE_ARGS(name),
                row->is_matrix ? " (" : "",
                SLICE_ARGS(row->is_matrix ? painter_ellipsis(&list->painter) : SLICE_EMPTY),
                row->is_matrix ? ")" : "", unicode ? "\u00d7" : "x", row->count));
}

static bool fold_rows(struct list *list)
{
    size_t kept = 0;
    for (size_t i = 0; i < list->count; i++) {
        struct row *row = &list->rows[i];
        size_t at = kept > LOOKED_BACK ? kept - LOOKED_BACK : 0;
        while (at < kept && !say_the_same_of_a_run(list->rows[at].entry, row->entry,
                                                   list->rows[at].cells[COLUMN_LABELS],
                                                   row->cells[COLUMN_LABELS]))
            at++;
        if (at == kept) {
            list->rows[kept++] = *row;
            continue;
        }
        list->rows[at].count++;
        list->rows[at].is_matrix |=
            !slice_equals(list->rows[at].entry->job_name, row->entry->job_name);
    }
    list->count = kept;
    bool is_named = true;
    for (size_t i = 0; i < kept && is_named; i++)
        is_named = name_folded(list, &list->rows[i]);
    return is_named;
}

static bool format_rows(struct list *list, const struct runs_entry *entries)
{
    list->rows = arena_allocate_array(list->scratch, list->count, sizeof(*list->rows));
    if (list->rows == NULL)
        return false;
    for (size_t i = 0; i < list->count; i++) {
        list->rows[i] = (struct row){.entry = &entries[i], .count = 1};
        if (!format_row(list, &list->rows[i]))
            return false;
    }
    if (list->count > 1)
        qsort(list->rows, list->count, sizeof(*list->rows), compare_entries);
    list->stats = count_states(list);
    return list->painter.terminal.width == TERMINAL_WIDTH_UNLIMITED || fold_rows(list);
}

// The width that each column needs: that of its title or its widest cell. A column that is always empty is omitted.
static void measure_list(struct list *list)
{
    for (size_t column = 0; column < COLUMN_COUNT; column++) {
        size_t widest = 0;
        for (size_t i = 0; i < list->count; i++) {
            size_t width = text_width(list->rows[i].cells[column]);
            widest = width > widest ? width : widest;
        }
        size_t title = text_width(slice_from_string(titles[column]));
        list->widths[column] = widest > 0 && widest < title ? title : widest;
    }
}

static size_t needed_width(const struct list *list)
{
    size_t needed = 0;
    for (size_t column = 0; column < COLUMN_COUNT; column++)
        if (list->widths[column] > 0)
            needed += list->widths[column] + (needed > 0 ? GAP : 0);
    return needed;
}

// Narrows the widest columns until all fit. False if they would become too narrow.
static bool shrink_list(struct list *list)
{
    for (size_t needed = needed_width(list); needed > list->painter.terminal.width; needed--) {
        size_t widest = COLUMN_REPOSITORY;
        for (size_t column = COLUMN_REPOSITORY; column <= COLUMN_LABELS; column++)
            if (list->widths[column] > list->widths[widest])
                widest = column;
        if (list->widths[widest] <= FLEXIBLE_MIN)
            return false;
        list->widths[widest]--;
    }
    return true;
}

static enum style cell_style(const struct row *row, size_t column)
{
    if (column == COLUMN_STATE)
        return state_style(row->entry->state);
    return column == COLUMN_LABELS || column == COLUMN_RUN ? STYLE_GREY : STYLE_PLAIN;
}

static void paint_titles(struct list *list)
{
    size_t start = 0;
    for (size_t column = 0; column < COLUMN_COUNT; column++) {
        if (list->widths[column] == 0)
            continue;
        painter_advance(&list->painter, start);
        if (column == COLUMN_AGE)
            painter_right(&list->painter, STYLE_GREY, slice_from_string(titles[column]),
                          list->widths[column]);
        else
            painter_string(&list->painter, STYLE_GREY, titles[column]);
        start += list->widths[column] + GAP;
    }
    painter_newline(&list->painter);
}

static void paint_wide_row(struct list *list, const struct row *row)
{
    size_t start = 0;
    for (size_t column = 0; column < COLUMN_COUNT; column++) {
        size_t width = list->widths[column];
        if (width == 0)
            continue;
        painter_advance(&list->painter, start);
        if (column == COLUMN_AGE)
            painter_right(&list->painter, STYLE_BOLD, row->cells[column], width);
        else
            painter_shortened(&list->painter, cell_style(row, column), row->cells[column], width,
                              TAIL_PERCENT);
        start += width + GAP;
    }
    painter_newline(&list->painter);
}

// 2m05s  queued   octo-org/shop
//   CI · build / linux · ubuntu-latest
//   33714470481/1
static void paint_narrow_row(struct list *list, const struct row *row)
{
    struct painter *painter = &list->painter;
    static const size_t order[] = {COLUMN_WORKFLOW, COLUMN_JOB, COLUMN_LABELS, COLUMN_RUN};
    struct painter_piece pieces[sizeof(order) / sizeof(order[0])];
    size_t count = 0;

    painter_right(painter, STYLE_BOLD, row->cells[COLUMN_AGE], list->widths[COLUMN_AGE]);
    painter_blanks(painter, GAP);
    painter_text(painter, cell_style(row, COLUMN_STATE), row->cells[COLUMN_STATE]);
    painter_advance(painter, list->widths[COLUMN_AGE] + GAP + STATE_WIDTH);
    painter_blanks(painter, 1);
    painter_shortened(painter, STYLE_PLAIN, row->cells[COLUMN_REPOSITORY], painter_room(painter),
                      TAIL_PERCENT);
    painter_newline(painter);
    for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++)
        if (row->cells[order[i]].len > 0)
            pieces[count++] = (struct painter_piece){.style = cell_style(row, order[i]),
                                                     .clean = row->cells[order[i]]};
    painter_paragraph(painter, pieces, count, painter_separator(&list->painter), NARROW_INDENT);
}

// 3 runs open · 2 jobs waiting for approval · 4 queued (the oldest for 48m) · 3 running
static bool paint_summary(struct list *list)
{
    struct stats stats = list->stats;
    struct slice oldest = SLICE_EMPTY;
    struct painter_piece pieces[4] = {{.style = STYLE_PLAIN}};
    size_t runs = stats.states[RUNS_RUN_OPEN];
    size_t waiting = stats.states[RUNS_JOB_WAITING];

    if (stats.oldest_queued.len > 0 &&
        !arena_format(list->scratch, &oldest, " (the oldest for %.*s)",
                      SLICE_ARGS(stats.oldest_queued)))
        return false;
    if (!arena_format(list->scratch, &pieces[0].clean, "%zu run%s open", runs,
                      runs == 1 ? "" : "s") ||
        !arena_format(list->scratch, &pieces[1].clean, "%zu job%s waiting for approval", waiting,
                      waiting == 1 ? "" : "s") ||
        !arena_format(list->scratch, &pieces[2].clean, "%zu queued%.*s",
                      stats.states[RUNS_JOB_QUEUED], SLICE_ARGS(oldest)) ||
        !arena_format(list->scratch, &pieces[3].clean, "%zu running",
                      stats.states[RUNS_JOB_RUNNING]))
        return false;
    painter_newline(&list->painter);
    painter_paragraph(&list->painter, pieces, 4, painter_separator(&list->painter), 0);
    return true;
}

static void paint_empty_list(struct painter *painter)
{
    const struct painter_piece pieces[] = {
        {STYLE_BOLD, SLICE("Nothing is open."), false},
        {STYLE_PLAIN, SLICE("A run shows up here with its"), false},
        {STYLE_PLAIN, SLICE("first webhook; for one that is finished,"), false},
        {STYLE_PLAIN, SLICE("see `ghatrace trace RUN`."), false},
    };
    painter_paragraph(painter, pieces, sizeof(pieces) / sizeof(pieces[0]), " ", 0);
}

static bool paint_list(struct list *list, const struct runs_entry *entries)
{
    if (list->count == 0) {
        paint_empty_list(&list->painter);
        return true;
    }
    if (!format_rows(list, entries))
        return false;
    measure_list(list);
    bool is_wide = shrink_list(list);
    if (is_wide)
        paint_titles(list);
    for (size_t i = 0; i < list->count; i++) {
        if (is_wide)
            paint_wide_row(list, &list->rows[i]);
        else
            paint_narrow_row(list, &list->rows[i]);
    }
    return paint_summary(list);
}

enum error_code runs_render(const struct runs_list *runs, const struct runs_options *options,
                            struct arena *scratch, struct buffer *out, struct error *error)
{
    struct list list = {.count = runs->count, .now = options->now, .scratch = scratch};

    painter_init(&list.painter, &options->terminal, out);
    if (!paint_list(&list, runs->entries))
        painter_fail(&list.painter, ERROR_MEMORY);
    enum error_code code = painter_finish(&list.painter);
    if (code != ERROR_NONE)
        return error_set(error, code, "list %zu open runs and jobs: %s", runs->count,
                         error_code_text(code));
    return ERROR_NONE;
}

// --- reading open runs and jobs from the store's states -------------------------------------------

// States read in one read transaction: an open reader prevents reuse of pages.
#define SLICE_STATES 10000
#define FIRST_CAPACITY 64
#define RUN_ARENA_BLOCK_BYTES ((size_t)64 * 1024)

struct entry_loader {
    const struct runs_source *source;
    struct arena *arena;
    struct runs_list *list;
    size_t capacity;
    struct arena run_arena; // for the current run
    struct error *error;
};

// Copies texts, which are only valid during the transaction.
static bool keep_entry_texts(struct arena *arena, const struct run_view *view,
                             struct runs_entry *entry)
{
    struct slice *labels = arena_allocate_array(arena, entry->label_count + 1, sizeof *labels);
    bool is_kept = labels != NULL &&
                   text_repository(arena, view->server, view->repository, &entry->repository) &&
                   arena_copy_slice(arena, entry->workflow, &entry->workflow) &&
                   arena_copy_slice(arena, entry->job_name, &entry->job_name);
    for (size_t i = 0; is_kept && i < entry->label_count; i++)
        is_kept = arena_copy_slice(arena, entry->labels[i], &labels[i]);
    entry->labels = labels;
    return is_kept;
}

static bool keep_entry(struct entry_loader *loader, const struct run_view *view,
                       struct runs_entry entry)
{
    struct runs_list *list = loader->list;
    if (!finished_filter_has(loader->source->filter, view->repository, entry.workflow))
        return true;
    if (list->count == loader->capacity) {
        size_t capacity = loader->capacity > 0 ? 2 * loader->capacity : FIRST_CAPACITY;
        struct runs_entry *entries = arena_allocate_array(loader->arena, capacity, sizeof *entries);
        if (entries == NULL)
            return false;
        if (list->count > 0)
            memcpy(entries, list->entries, list->count * sizeof *entries);
        list->entries = entries;
        loader->capacity = capacity;
    }
    entry.run_id = view->run_id;
    entry.run_attempt = view->run_attempt;
    if (!keep_entry_texts(loader->arena, view, &entry))
        return false;
    list->entries[list->count++] = entry;
    return true;
}

static bool list_job(struct entry_loader *loader, const struct run_view *view,
                     const struct run_view_job *job)
{
    static const enum runs_state states[OPEN_JOB_STATES] = {
        [OPEN_JOB_WAITING] = RUNS_JOB_WAITING,
        [OPEN_JOB_QUEUED] = RUNS_JOB_QUEUED,
        [OPEN_JOB_RUNNING] = RUNS_JOB_RUNNING,
    };
    if (job->open_state == OPEN_JOB_NONE) // over, but its spans are not made yet
        return true;
    return keep_entry(
        loader, view,
        (struct runs_entry){.job_id = job->job_id,
                            .state = states[job->open_state],
                            .since = job->last_open.since,
                            .workflow = job->workflow.len > 0 ? job->workflow : view->workflow,
                            .job_name = job->name,
                            .labels = job->labels,
                            .label_count = job->label_count});
}

static bool list_open_run(struct entry_loader *loader, const struct run_view *view)
{
    bool is_added =
        !view->is_open || !view->has_state ||
        keep_entry(loader, view,
                   (struct runs_entry){
                       .state = RUNS_RUN_OPEN, .since = view->start, .workflow = view->workflow});
    for (size_t i = 0; is_added && i < view->count; i++)
        is_added = list_job(loader, view, &view->jobs[i]);
    return is_added;
}

static enum error_code load_slice(struct entry_loader *loader, struct store_key *key, bool *is_end)
{
    const struct run_view_limits limits = {.jobs = SIZE_MAX};
    struct view_reader reader = {.arena = &loader->run_arena, .error = loader->error};
    size_t states = 0;
    enum error_code code =
        store_begin(loader->source->store, false, &reader.transaction, reader.error);
    if (code != ERROR_NONE)
        return code;
    while (states < SLICE_STATES && code == ERROR_NONE) {
        struct run_view view;
        arena_clear(reader.arena);
        code = run_view_next(&reader, key, &limits, &view, &states);
        if (code == ERROR_NONE && !list_open_run(loader, &view))
            code = error_set(reader.error, ERROR_MEMORY, "list the open runs: out of memory");
    }
    loader->list->unreadable += store_unreadable(reader.transaction);
    store_abort(reader.transaction);
    *is_end = code == ERROR_NOT_FOUND;
    return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
}

enum error_code runs_load(const struct runs_source *source, struct arena *arena,
                          struct runs_list *list, struct error *error)
{
    struct entry_loader loader = {.source = source, .arena = arena, .list = list, .error = error};
    struct store_key key = {0};
    bool is_end = false;
    enum error_code code = ERROR_NONE;
    *list = (struct runs_list){.count = 0};
    arena_init(&loader.run_arena, RUN_ARENA_BLOCK_BYTES);
    while (!is_end && code == ERROR_NONE)
        code = load_slice(&loader, &key, &is_end);
    arena_release(&loader.run_arena);
    return code;
}
