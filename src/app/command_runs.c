// ghatrace runs: open runs and jobs, oldest first, those that wait for an approval last; then finished runs, the newest end first.
#include <unistd.h>

#include "cli.h"
#include "ghatrace/admin/api_print.h"
#include "ghatrace/term/runs.h"
#include "listed_runs.h"

#define LIMIT_DEFAULT 50

enum {
    FLAG_OPEN,
    FLAG_FAILED,
    FLAG_REPO,
    FLAG_WORKFLOW,
    FLAG_SEARCH,
    FLAG_SINCE,
    FLAG_LIMIT,
    FLAG_JSON,
    FLAG_REMOTE
};

static const struct flag flags[] = {
    [FLAG_OPEN] = {"open", NULL, "only what is open"},
    [FLAG_FAILED] = {"failed", NULL, "only finished runs that failed"},
    [FLAG_REPO] = {"repo", "TEXT", "only of repositories with this in their name, in any case"},
    [FLAG_WORKFLOW] = {"workflow", "TEXT",
                       "only of workflows with this in their name, in any case"},
    [FLAG_SEARCH] = {"search", "TEXT",
                     "only what the page's search finds: a URL, an id, a trace ID, #n, words"},
    [FLAG_SINCE] = {"since", "TIME", "only finished runs that ended since, as 2h or 7d"},
    [FLAG_LIMIT] = {"limit", "N", "how many finished runs at most, 50 if not given"},
    [FLAG_JSON] = {"json", NULL, "print JSON, each run as in /api/runs"},
    [FLAG_REMOTE] = REMOTE_FLAGS,
};

static enum error_code read_limit(const char *text, size_t *limit, struct error *error)
{
    long long number = LIMIT_DEFAULT;
    if (text != NULL && (!slice_parse_int64(slice_from_string(text), &number) || number < 1 ||
                         number > FINISHED_VIEW_MOST))
        return error_set(error, ERROR_USAGE, "--limit: \"%.40s\": want a number from 1 to %d", text,
                         FINISHED_VIEW_MOST);
    *limit = (size_t)number;
    return ERROR_NONE;
}

static enum error_code read_since(const char *text, timestamp_ns now, timestamp_ns *since,
                                  struct error *error)
{
    duration_ns age;
    *since = TIMESTAMP_UNKNOWN;
    if (text == NULL)
        return ERROR_NONE;
    if (!duration_parse(slice_from_string(text), &age) || age < NS_PER_SECOND)
        return error_set(error, ERROR_USAGE, "--since: \"%.40s\": want a time, as 2h or 7d", text);
    if (age >= now)
        return error_set(error, ERROR_USAGE, "--since: that is before 1970");
    *since = now - age;
    return ERROR_NONE;
}

static enum error_code read_selection(const struct cli_args *cli_args, timestamp_ns now,
                                      struct api_print_selection *selection, struct error *error)
{
    const char *const *given = cli_args->flags;
    const char *finished_only = given[FLAG_FAILED] != NULL  ? "failed"
                                : given[FLAG_SINCE] != NULL ? "since"
                                                            : NULL;
    *selection = (struct api_print_selection){
        .open = finished_only == NULL,
        .finished = given[FLAG_OPEN] == NULL,
        .filter = {.repository = slice_from_string(given[FLAG_REPO]),
                   .workflow = slice_from_string(given[FLAG_WORKFLOW]),
                   .is_failed = given[FLAG_FAILED] != NULL},
    };
    if (!selection->finished && finished_only != NULL)
        return error_set(error, ERROR_USAGE, "--%s: is about finished runs, --open leaves them out",
                         finished_only);
    enum error_code code = read_limit(given[FLAG_LIMIT], &selection->filter.limit, error);
    return code == ERROR_NONE ? read_since(given[FLAG_SINCE], now, &selection->filter.since, error)
                              : code;
}

// Finished runs are valid until their transaction ends.
static enum error_code draw_finished(const struct api_print *print,
                                     const struct api_print_selection *selection,
                                     struct runs_shown *shown, struct error *error)
{
    const struct runs_options page = {terminal_detect_list(STDOUT_FILENO), print->now};
    struct view_reader reader = {.arena = print->arena, .error = error};
    struct finished_view view;
    uint64_t unreadable = shown->open != NULL ? shown->open->unreadable : 0;
    enum error_code code = store_begin(print->store, false, &reader.transaction, error);
    if (code != ERROR_NONE)
        return code;
    if (selection->finished) {
        code = finished_view_load(&reader, &selection->filter, &view);
        shown->finished = &view;
    }
    if (code == ERROR_NONE)
        code = runs_render_lists(shown, &page, print->arena, print->out, error);
    unreadable += store_unreadable(reader.transaction);
    store_abort(reader.transaction);
    if (code == ERROR_NONE)
        store_tool_report_unreadable(unreadable);
    return code;
}

static enum error_code show_runs(const struct api_print *print,
                                 const struct api_print_selection *selection, struct error *error)
{
    const struct runs_source source = {print->store, &selection->filter};
    struct runs_list open;
    struct runs_shown shown = {.is_filtered =
                                   source.filter->repository.len + source.filter->workflow.len > 0};
    enum error_code code = ERROR_NONE;
    if (selection->open) {
        code = runs_load(&source, print->arena, &open, error);
        shown.open = &open;
    }
    return code == ERROR_NONE ? draw_finished(print, selection, &shown, error) : code;
}

struct runs_question {
    struct api_print_selection selection;
    struct slice search;
    timestamp_ns now;
};

static enum error_code write_runs(const struct store_tool *tool, struct buffer *text,
                                  struct error *error)
{
    const struct runs_question *question = tool->question;
    const struct api_print print = {.store = tool->store,
                                    .pools = tool->config.pools,
                                    .id_scheme = tool->config.engine.policy.scheme,
                                    .trace_url = tool->config.trace_url,
                                    .now = question->now,
                                    .arena = tool->cli_args->arena,
                                    .out = text};
    const struct listed_runs runs = {.print = &print,
                                     .arena = print.arena,
                                     .selection = &question->selection,
                                     .search = question->search,
                                     .is_json = tool->cli_args->flags[FLAG_JSON] != NULL,
                                     .terminal = terminal_detect_list(STDOUT_FILENO)};
    if (question->search.len > 0)
        return listed_runs_write(&runs, text, error);
    return runs.is_json ? api_print_runs(&print, &question->selection, error)
                        : show_runs(&print, &question->selection, error);
}

static enum error_code write_runs_of(const struct remote_call *call, struct buffer *text,
                                     struct error *error)
{
    const struct runs_question *question = call->question;
    const struct listed_runs runs = {.call = call,
                                     .arena = call->cli_args->arena,
                                     .selection = &question->selection,
                                     .search = question->search,
                                     .is_json = call->cli_args->flags[FLAG_JSON] != NULL,
                                     .terminal = terminal_detect_list(STDOUT_FILENO)};
    return listed_runs_write(&runs, text, error);
}

static int run_runs(struct cli_args *cli_args)
{
    struct runs_question question = {
        .now = timestamp_now(),
        .search = slice_trim(slice_from_string(cli_args->flags[FLAG_SEARCH]))};
    struct error error;
    if (read_selection(cli_args, question.now, &question.selection, &error) != ERROR_NONE)
        return command_fail(&error);
    return cli_args_want_daemon(cli_args)
               ? remote_run(cli_args, RUNS_MAX_TEXT, write_runs_of, &question)
               : store_tool_run(cli_args, RUNS_MAX_TEXT, write_runs, &question);
}

const struct command command_runs = {
    .name = "runs",
    .operands = "",
    .summary = "the open runs, oldest first, and the finished ones, newest end first",
    .details =
        "The column \"for\" shows, by GitHub's clock, how long a job has waited for its approval, "
        "been\n"
        "queued or run, and how long a run has been open. Jobs that wait for an approval come "
        "last, "
        "and on a\n"
        "screen jobs of a run that differ only in their matrix are one row.\n"
        "--failed and --since show only finished runs.\n"
        "--search takes what the search field of the page takes, such as a URL that is pasted.\n"
        "Into a file or a pipe nothing is shortened, unless COLUMNS is set.\n" REMOTE_DETAILS,
    .settings = OPTION_SET(STORE_TOOL_SETTINGS, [OPTION_ID_JOB_GRACE] = true,
                           [OPTION_ID_ID_SCHEME] = true, [OPTION_ID_TRACE_URL] = true),
    .flags = flags,
    .flag_count = sizeof flags / sizeof flags[0],
    .run = run_runs,
};
