// Lists runs from answers of a daemon.
#include "remote_runs.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "ghatrace/json/write.h"
#include "ghatrace/term/answers.h"
#include "ghatrace/term/runs.h"

#define PAGE_RUNS 200 // the most that the API lists
#define PAGES_MOST 100
#define PAGES_BYTES_MOST ((size_t)256 << 20) // all are kept until the list is written
#define PATH_MOST 4096

struct listed_run {
    struct run_view view;
    struct slice raw;
};

struct list {
    const struct remote_runs *runs;
    struct arena *arena;
    struct error *error;
    timestamp_ns now;
    struct listed_run *found; // in `arena`
    size_t count, room;
    size_t bytes; // of all pages
    bool has_more;
    uint64_t unreadable;
};

static enum error_code fail_list_memory(const struct list *list)
{
    return error_set(list->error, ERROR_MEMORY, "list runs: out of memory");
}

// --- paths ----------------------------------------------------------------------------------------

#define VALUE_MOST 200

// "&name=value" in RFC 3986's encoding; nothing if there is no value, or a long one.
static void append_parameter(char path[PATH_MOST], const char *name, struct slice value)
{
    size_t len = strlen(path);
    if (value.len == 0 || value.len > VALUE_MOST)
        return;
    len += (size_t)snprintf(path + len, PATH_MOST - len, "&%s=", name);
    for (size_t i = 0; i < value.len; i++)
        len += (size_t)snprintf(path + len, PATH_MOST - len, "%%%02x",
                                (unsigned)(unsigned char)value.data[i]);
}

// The filters only make the answers shorter: what is listed is chosen here.
static void write_page_path(const struct list *list, const char *state, struct slice cursor,
                            char path[PATH_MOST])
{
    const struct finished_filter *filter = &list->runs->selection->filter;
    (void)snprintf(path, PATH_MOST, "api/runs?state=%s&limit=%d", state, PAGE_RUNS);
    append_parameter(path, "cursor", cursor);
    append_parameter(path, "repository", filter->repository);
    append_parameter(path, "workflow", filter->workflow);
}

// --- pages ----------------------------------------------------------------------------------------

static bool keep_run(struct list *list, const struct run_view *view, struct slice raw)
{
    if (list->count == list->room) {
        size_t room = list->room > 0 ? 2 * list->room : PAGE_RUNS;
        struct listed_run *found = arena_allocate_array(list->arena, room, sizeof *found);
        if (found == NULL)
            return false;
        if (list->count > 0)
            memcpy(found, list->found, list->count * sizeof *found);
        list->found = found;
        list->room = room;
    }
    list->found[list->count++] = (struct listed_run){*view, raw};
    return true;
}

static bool is_chosen(const struct list *list, const struct run_view *run)
{
    const struct finished_filter *filter = &list->runs->selection->filter;
    if (!finished_filter_has(filter, run->repository, run->workflow))
        return false;
    return run->is_open ||
           ((filter->since == TIMESTAMP_UNKNOWN || run->end >= filter->since) &&
            (!filter->is_failed || view_outcome_of(run->conclusion) == OUTCOME_FAILURE));
}

// Continues at a page's `next`. One that is long or the same again leads nowhere.
static enum error_code follow_page(const struct list *list, struct slice next, struct slice *cursor)
{
    if (next.len > VALUE_MOST || (next.len > 0 && slice_equals(next, *cursor)))
        return error_set(list->error, ERROR_INVALID,
                         "its answer to /api/runs has no usable `next`: it is another version of "
                         "ghatrace, or something else");
    *cursor = next;
    return ERROR_NONE;
}

// `*is_old`: all runs of the page ended before those that are asked for.
static enum error_code add_page(struct list *list, const char *state, struct slice *cursor,
                                bool *is_old)
{
    const struct finished_filter *filter = &list->runs->selection->filter;
    struct remote_answer reply;
    struct runs_answer page;
    const struct answer answer = {&reply.document, list->arena, list->error};
    char path[PATH_MOST];
    write_page_path(list, state, *cursor, path);
    enum error_code code =
        remote_get(list->runs->call->remote, path, list->arena, &reply, list->error);
    if (code == ERROR_NONE)
        code = answer_read_runs(&answer, &page);
    if (code != ERROR_NONE)
        return code;
    list->now = list->now == TIMESTAMP_UNKNOWN ? page.now : list->now;
    list->unreadable += page.unreadable;
    *is_old = page.count > 0;
    for (size_t i = 0; i < page.count; i++) {
        *is_old = *is_old && page.runs[i].end < filter->since;
        if (is_chosen(list, &page.runs[i]) && !keep_run(list, &page.runs[i], page.raw[i]))
            return fail_list_memory(list);
    }
    list->bytes += reply.text.len;
    return follow_page(list, page.next, cursor);
}

// Pages until `most` runs are found, or there are no more.
static enum error_code add_pages(struct list *list, const char *state, size_t most)
{
    struct slice cursor = SLICE_EMPTY;
    bool is_old = false;
    size_t pages = 0, first = list->count;
    enum error_code code = ERROR_NONE;
    do
        code = add_page(list, state, &cursor, &is_old);
    while (code == ERROR_NONE && cursor.len > 0 && !is_old && list->count - first <= most &&
           list->bytes < PAGES_BYTES_MOST && ++pages < PAGES_MOST);
    if (code == ERROR_NONE && cursor.len > 0 && !is_old)
        list->has_more = true;
    return code;
}

// The newest end first, as finished_view_load() has them.
static int compare_listed(const void *left, const void *right)
{
    const struct run_view *a = &((const struct listed_run *)left)->view;
    const struct run_view *b = &((const struct listed_run *)right)->view;
    if (a->end != b->end)
        return a->end > b->end ? -1 : 1;
    if (a->run_id != b->run_id)
        return a->run_id > b->run_id ? -1 : 1;
    return a->run_attempt > b->run_attempt ? -1 : a->run_attempt < b->run_attempt;
}

static enum error_code add_finished_pages(struct list *list)
{
    size_t first = list->count, limit = list->runs->selection->filter.limit;
    bool had_more = list->has_more;
    list->has_more = false;
    enum error_code code = add_pages(list, "finished", limit);
    if (list->count - first > 1)
        qsort(list->found + first, list->count - first, sizeof *list->found, compare_listed);
    if (list->count - first > limit) {
        list->count = first + limit;
        list->has_more = true;
    }
    // What is asked for may be complete though the API has more pages, which are older.
    list->has_more = list->has_more || had_more;
    return code;
}

// --- JSON -----------------------------------------------------------------------------------------

static enum error_code write_json_list(struct list *list, struct buffer *text)
{
    const struct api_print_selection *selection = list->runs->selection;
    struct json_out json;
    enum error_code code = ERROR_NONE;
    if (selection->open)
        code = add_pages(list, "open", SIZE_MAX);
    if (code == ERROR_NONE && selection->finished)
        code = add_finished_pages(list);
    if (code != ERROR_NONE)
        return code;
    json_out_init(&json, text);
    json_out_open_object(&json, NULL);
    json_out_time(&json, "now", list->now);
    json_out_open_array(&json, "runs");
    for (size_t i = 0; i < list->count; i++)
        json_out_raw(&json, NULL, list->found[i].raw);
    json_out_close_array(&json);
    json_out_bool(&json, "more", list->has_more);
    json_out_count(&json, "unreadable", list->unreadable);
    json_out_close_object(&json);
    json_write_raw(&json.writer, SLICE("\n"));
    code = json_out_finish(&json);
    return code == ERROR_NONE
               ? code
               : error_set(list->error, code, "list runs: %s", error_code_text(code));
}

// --- text -----------------------------------------------------------------------------------------

static void report_left_out(const struct runs_list *open, bool has_more)
{
    if (has_more)
        (void)fprintf(stderr,
                      "ghatrace: of open jobs the daemon lists %zu, the longest waiting first; "
                      "others are left out\n",
                      open->count);
}

// Jobs as /api/queue lists them, and a row for each open run.
static enum error_code read_open(struct list *list, struct runs_list *open)
{
    const struct finished_filter *filter = &list->runs->selection->filter;
    struct remote_answer reply;
    const struct answer answer = {&reply.document, list->arena, list->error};
    bool has_more;
    enum error_code code = remote_get(list->runs->call->remote, "api/queue?limit=1000", list->arena,
                                      &reply, list->error);
    if (code == ERROR_NONE)
        code = answer_read_open_jobs(&answer, open, &has_more);
    if (code == ERROR_NONE)
        code = add_pages(list, "open", SIZE_MAX);
    if (code != ERROR_NONE)
        return code;
    report_left_out(open, has_more);
    struct runs_entry *all =
        arena_allocate_array(list->arena, open->count + list->count + 1, sizeof *all);
    if (all == NULL)
        return fail_list_memory(list);
    size_t count = 0;
    for (size_t i = 0; i < list->count && code == ERROR_NONE; i++)
        code = answer_make_entry(&answer, &list->found[i].view, &all[count++]);
    for (size_t i = 0; i < open->count; i++)
        if (finished_filter_has(filter, open->entries[i].repository, open->entries[i].workflow))
            all[count++] = open->entries[i];
    *open = (struct runs_list){all, count, open->unreadable};
    return code;
}

static enum error_code read_finished(struct list *list, struct finished_view *view)
{
    list->count = 0;
    list->has_more = false;
    enum error_code code = add_finished_pages(list);
    if (code != ERROR_NONE)
        return code;
    *view = (struct finished_view){.has_more = list->has_more, .count = list->count};
    view->runs = arena_allocate_array(list->arena, list->count + 1, sizeof *view->runs);
    if (view->runs == NULL)
        return fail_list_memory(list);
    for (size_t i = 0; i < list->count; i++)
        view->runs[i] = list->found[i].view;
    return ERROR_NONE;
}

static enum error_code write_lists(struct list *list, struct buffer *text)
{
    const struct api_print_selection *selection = list->runs->selection;
    struct runs_list open;
    struct finished_view finished;
    const struct runs_shown shown = {
        .open = selection->open ? &open : NULL,
        .finished = selection->finished ? &finished : NULL,
        .is_filtered = selection->filter.repository.len + selection->filter.workflow.len > 0};
    enum error_code code = selection->open ? read_open(list, &open) : ERROR_NONE;
    if (code == ERROR_NONE && selection->open)
        list->unreadable += open.unreadable;
    if (code == ERROR_NONE && selection->finished)
        code = read_finished(list, &finished);
    if (code != ERROR_NONE)
        return code;
    const struct runs_options page = {list->runs->terminal, list->now};
    store_tool_report_unreadable(list->unreadable);
    return runs_render_lists(&shown, &page, list->arena, text, list->error);
}

enum error_code remote_runs_write(const struct remote_runs *runs, struct buffer *text,
                                  struct error *error)
{
    struct list list = {.runs = runs, .arena = runs->call->cli_args->arena, .error = error};
    return runs->is_json ? write_json_list(&list, text) : write_lists(&list, text);
}
