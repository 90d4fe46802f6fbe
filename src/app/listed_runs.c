// Lists runs from answers of the API.
#include "listed_runs.h"

#include <stdio.h>
#include <string.h>

#include "ghatrace/json/write.h"
#include "ghatrace/term/answers.h"
#include "ghatrace/term/runs.h"

#define PAGE_RUNS 200 // the most that the API lists
#define PAGES_MOST 100
#define PAGES_BYTES_MOST ((size_t)256 << 20) // all are kept until the list is written
#define CURSOR_MOST 200
#define QUEUE_JOBS 1000 // likewise
#define PATH_MOST 800   // bytes, of which a URL has at least so many besides its prefix

struct listed_run {
    struct run_view view;
    struct slice raw;
};

struct runs_page {
    bool open;
    struct slice cursor; // empty: the first
};

struct list {
    const struct listed_runs *runs;
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

// "&name=value" in RFC 3986's encoding; nothing if there is no value. False, and nothing, if there is no room for it.
static bool append_parameter(char path[PATH_MOST], const char *name, struct slice value)
{
    size_t before = strlen(path);
    if (value.len == 0)
        return true;
    int len = snprintf(path + before, PATH_MOST - before, "&%s=", name);
    if (len > 0 && (size_t)len < PATH_MOST - before &&
        remote_append_encoded(path, PATH_MOST, value))
        return true;
    path[before] = '\0';
    return false;
}

// The filters only make the answers shorter: what is listed is chosen here. The search is the API's.
static enum error_code write_page_path(const struct list *list, const struct runs_page *page,
                                       char path[PATH_MOST])
{
    const struct finished_filter *filter = &list->runs->selection->filter;
    (void)snprintf(path, PATH_MOST, "api/runs?state=%s&limit=%d", page->open ? "open" : "finished",
                   PAGE_RUNS);
    if (!append_parameter(path, "cursor", page->cursor))
        return error_set(list->error, ERROR_INVALID,
                         "its answer to /api/runs has no usable `next`: it is another version of "
                         "ghatrace, or something else");
    if (!append_parameter(path, "q", list->runs->search))
        return error_set(list->error, ERROR_USAGE,
                         "--search: a text of %zu bytes is too long to ask a daemon for it",
                         list->runs->search.len);
    (void)append_parameter(path, "repository", filter->repository);
    (void)append_parameter(path, "workflow", filter->workflow);
    return ERROR_NONE;
}

// --- answers --------------------------------------------------------------------------------------

// `page` NULL: the queue.
static enum error_code make_listed_answer(const struct list *list, const struct runs_page *page,
                                          struct remote_answer *answer)
{
    const struct finished_filter *filter = &list->runs->selection->filter;
    struct api_print print = *list->runs->print;
    struct buffer json;
    buffer_init(&json, REMOTE_ANSWER_MAX);
    print.out = &json;
    enum error_code code;
    if (page != NULL) {
        const struct api_print_page query = {.open = page->open,
                                             .repository = filter->repository,
                                             .workflow = filter->workflow,
                                             .search = list->runs->search,
                                             .cursor = page->cursor,
                                             .limit = PAGE_RUNS};
        code = api_print_runs_page(&print, &query, list->error);
    } else {
        code = api_print_queue(&print, QUEUE_JOBS, list->error);
    }
    if (code == ERROR_NONE)
        code = remote_answer_of(buffer_slice(&json), list->arena, answer, list->error);
    buffer_release(&json);
    return code;
}

static enum error_code get_page(const struct list *list, const struct runs_page *page,
                                struct remote_answer *answer)
{
    char path[PATH_MOST];
    if (list->runs->call == NULL)
        return make_listed_answer(list, page, answer);
    enum error_code code = write_page_path(list, page, path);
    return code == ERROR_NONE
               ? remote_get(list->runs->call->remote, path, list->arena, answer, list->error)
               : code;
}

static enum error_code get_queue(const struct list *list, struct remote_answer *answer)
{
    char path[64];
    if (list->runs->call == NULL)
        return make_listed_answer(list, NULL, answer);
    (void)snprintf(path, sizeof path, "api/queue?limit=%d", QUEUE_JOBS);
    return remote_get(list->runs->call->remote, path, list->arena, answer, list->error);
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

static bool is_same_run(const struct run_view *a, const struct run_view *b)
{
    return a->run_id == b->run_id && a->run_attempt == b->run_attempt &&
           slice_equals(a->server, b->server);
}

// Each page has those that the search names, which may be open or finished, before its own runs.
static bool is_repeated(const struct runs_page *page, const struct runs_answer *answer, size_t i)
{
    const struct run_view *run = &answer->runs[i];
    if (i < answer->direct_count)
        return page->cursor.len > 0 || run->is_open != page->open;
    for (size_t direct = 0; direct < answer->direct_count; direct++)
        if (is_same_run(run, &answer->runs[direct]))
            return true;
    return false;
}

static enum error_code keep_page(struct list *list, const struct runs_page *page,
                                 const struct runs_answer *answer)
{
    list->now = list->now == TIMESTAMP_UNKNOWN ? answer->now : list->now;
    list->unreadable += answer->unreadable;
    for (size_t i = 0; i < answer->count; i++)
        if (!is_repeated(page, answer, i) && is_chosen(list, &answer->runs[i]) &&
            !keep_run(list, &answer->runs[i], answer->raw[i]))
            return fail_list_memory(list);
    return ERROR_NONE;
}

// Continues at a page's `next`. One that is long or the same again leads nowhere.
static enum error_code follow_page(const struct list *list, struct slice next,
                                   struct runs_page *page)
{
    if (next.len > CURSOR_MOST || (next.len > 0 && slice_equals(next, page->cursor)))
        return error_set(list->error, ERROR_INVALID,
                         "its answer to /api/runs has no usable `next`: it is another version of "
                         "ghatrace, or something else");
    page->cursor = next;
    return ERROR_NONE;
}

// Moves `*page` to the next one. `*is_old`: all runs after this page ended before those that are asked for.
static enum error_code add_page(struct list *list, struct runs_page *page, bool *is_old)
{
    struct remote_answer reply;
    struct runs_answer found;
    const struct answer answer = {&reply.document, list->arena, list->error};
    enum error_code code = get_page(list, page, &reply);
    if (code == ERROR_NONE)
        code = answer_read_runs(&answer, &found);
    if (code == ERROR_NONE)
        code = keep_page(list, page, &found);
    if (code != ERROR_NONE)
        return code;
    *is_old = !page->open && found.count > found.direct_count &&
              found.runs[found.count - 1].end < list->runs->selection->filter.since;
    list->bytes += reply.text.len;
    return follow_page(list, found.next, page);
}

// Pages until more than `most` runs are found, or there are no more.
static enum error_code add_pages(struct list *list, bool open, size_t most)
{
    struct runs_page page = {.open = open};
    bool is_old = false;
    size_t pages = 0, first = list->count;
    enum error_code code = ERROR_NONE;
    do
        code = add_page(list, &page, &is_old);
    while (code == ERROR_NONE && page.cursor.len > 0 && !is_old && list->count - first <= most &&
           list->bytes < PAGES_BYTES_MOST && ++pages < PAGES_MOST);
    if (code == ERROR_NONE && page.cursor.len > 0 && !is_old)
        list->has_more = true;
    return code;
}

static enum error_code add_finished_pages(struct list *list)
{
    size_t first = list->count, limit = list->runs->selection->filter.limit;
    enum error_code code = add_pages(list, false, limit);
    if (list->count - first > limit) {
        list->count = first + limit;
        list->has_more = true;
    }
    return code;
}

// --- JSON -----------------------------------------------------------------------------------------

static enum error_code write_json_list(struct list *list, struct buffer *text)
{
    const struct api_print_selection *selection = list->runs->selection;
    struct json_out json;
    enum error_code code = ERROR_NONE;
    if (selection->open)
        code = add_pages(list, true, SIZE_MAX);
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
                      "ghatrace: of open jobs %zu were read, the longest waiting first; others are "
                      "left out\n",
                      open->count);
}

// A job, if it is of one of the open runs that are listed; without a search, of any.
static bool is_job_chosen(const struct list *list, const struct runs_entry *runs, size_t count,
                          const struct runs_entry *job)
{
    if (!finished_filter_has(&list->runs->selection->filter, job->repository, job->workflow))
        return false;
    for (size_t i = 0; i < count && list->runs->search.len > 0; i++)
        if (runs[i].run_id == job->run_id && runs[i].run_attempt == job->run_attempt &&
            slice_equals(runs[i].repository, job->repository))
            return true;
    return list->runs->search.len == 0;
}

// A row for each open run, and for the jobs of the queue.
static enum error_code join_open(const struct list *list, const struct answer *answer,
                                 struct runs_list *open)
{
    struct runs_entry *all =
        arena_allocate_array(list->arena, open->count + list->count + 1, sizeof *all);
    if (all == NULL)
        return fail_list_memory(list);
    for (size_t i = 0; i < list->count; i++) {
        enum error_code code = answer_make_entry(answer, &list->found[i].view, &all[i]);
        if (code != ERROR_NONE)
            return code;
    }
    size_t count = list->count;
    for (size_t i = 0; i < open->count; i++)
        if (is_job_chosen(list, all, list->count, &open->entries[i]))
            all[count++] = open->entries[i];
    *open = (struct runs_list){all, count, open->unreadable};
    return ERROR_NONE;
}

static enum error_code read_open(struct list *list, struct runs_list *open)
{
    struct remote_answer reply;
    const struct answer answer = {&reply.document, list->arena, list->error};
    bool has_more;
    enum error_code code = get_queue(list, &reply);
    if (code == ERROR_NONE)
        code = answer_read_open_jobs(&answer, open, &has_more);
    if (code == ERROR_NONE)
        code = add_pages(list, true, SIZE_MAX);
    if (code != ERROR_NONE)
        return code;
    report_left_out(open, has_more);
    return join_open(list, &answer, open);
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
    const struct runs_shown shown = {.open = selection->open ? &open : NULL,
                                     .finished = selection->finished ? &finished : NULL,
                                     .is_filtered = selection->filter.repository.len +
                                                        selection->filter.workflow.len +
                                                        list->runs->search.len >
                                                    0};
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

enum error_code listed_runs_write(const struct listed_runs *runs, struct buffer *text,
                                  struct error *error)
{
    struct list list = {.runs = runs, .arena = runs->arena, .error = error};
    return runs->is_json ? write_json_list(&list, text) : write_lists(&list, text);
}
