// ghatrace pools: pools of runners and their states, the worst first; one pool.
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "ghatrace/admin/api_print.h"
#include "ghatrace/term/answers.h"
#include "ghatrace/term/one_pool.h"
#include "ghatrace/term/pools.h"
#include "ghatrace/view/pools_cache.h"
#include "remote.h"

#define JOBS_DEFAULT 20
#define JOBS_MOST 1000 // that the API lists
#define NAME_PATH_MOST 900

enum { FLAG_LIMIT, FLAG_JSON, FLAG_REMOTE };

static const struct flag flags[] = {
    [FLAG_LIMIT] = {"limit", "N", "of a pool NAME, how many jobs at most, 20 if not given"},
    [FLAG_JSON] = {"json", NULL, "print JSON, as /api/pools, or /api/pools/NAME"},
    [FLAG_REMOTE] = REMOTE_FLAGS,
};

static enum error_code draw_pools(const struct view_reader *reader,
                                  const struct pools_view_settings *settings, struct buffer *text)
{
    const struct pools_options page = {terminal_detect_list(STDOUT_FILENO), timestamp_now(),
                                       terminal_detect_height(STDOUT_FILENO)};
    struct pools_view view;
    struct pools_view_shares *shares;
    struct pools_shown shown = {.view = &view};
    enum error_code code = pools_cache_read(NULL, reader, settings, page.now, &view);
    if (code == ERROR_NONE)
        code = pools_view_count_shares(reader, &view, &shares);
    if (code != ERROR_NONE)
        return code;
    if (!pools_summary_make(&view, page.now, reader->arena, &shown.summary))
        return error_set(reader->error, ERROR_MEMORY, "show pools: out of memory");
    shown.shares = shares;
    struct past_list *past = arena_allocate(reader->arena, sizeof *past);
    if (past == NULL)
        return error_set(reader->error, ERROR_MEMORY, "show pools: out of memory");
    code = past_load(reader->transaction, past, reader->error);
    if (code != ERROR_NONE)
        return code;
    shown.past = past;
    return pools_render(&shown, &page, reader->arena, text, reader->error);
}

static enum error_code show_pools(const struct store_tool *tool, struct buffer *text,
                                  struct error *error)
{
    struct view_reader reader = {.arena = tool->cli_args->arena, .error = error};
    if (tool->cli_args->flags[FLAG_JSON] != NULL) {
        const struct api_print print = {.store = tool->store,
                                        .pools = tool->config.pools,
                                        .now = timestamp_now(),
                                        .arena = reader.arena,
                                        .out = text};
        return api_print_pools(&print, error);
    }
    enum error_code code = store_begin(tool->store, false, &reader.transaction, error);
    if (code != ERROR_NONE)
        return code;
    code = draw_pools(&reader, &tool->config.pools, text);
    if (code == ERROR_NONE)
        store_tool_report_unreadable(store_unreadable(reader.transaction));
    store_abort(reader.transaction);
    return code;
}

static enum error_code ask_pools(const struct remote_call *call, struct buffer *text,
                                 struct error *error)
{
    struct arena *arena = call->cli_args->arena;
    struct remote_answer reply;
    struct pools_answer pools;
    enum error_code code = remote_get(call->remote, "api/pools", arena, &reply, error);
    if (code != ERROR_NONE)
        return code;
    const struct answer answer = {&reply.document, arena, error};
    code = answer_read_pools(&answer, &pools);
    if (code != ERROR_NONE)
        return code;
    if (call->cli_args->flags[FLAG_JSON] != NULL)
        return remote_pass_on(&reply, text, error);
    const struct pools_options page = {terminal_detect_list(STDOUT_FILENO), pools.now,
                                       terminal_detect_height(STDOUT_FILENO)};
    const struct pools_shown shown = {&pools.view, pools.shares, pools.summary, pools.past};
    store_tool_report_unreadable(pools.unreadable);
    return pools_render(&shown, &page, arena, text, error);
}

// --- one pool -------------------------------------------------------------------------------------

struct pool_question {
    struct slice name;
    size_t limit; // jobs
};

static enum error_code read_pool_question(const struct cli_args *cli_args,
                                          struct pool_question *question, struct error *error)
{
    const char *limit = cli_args->flags[FLAG_LIMIT];
    long long number = JOBS_DEFAULT;
    if (limit != NULL && cli_args->operand_count == 0)
        return error_set(error, ERROR_USAGE, "--limit: only with the name of a pool");
    if (limit != NULL &&
        (!slice_parse_int64(slice_from_string(limit), &number) || number < 1 || number > JOBS_MOST))
        return error_set(error, ERROR_USAGE, "--limit: \"%.40s\": want a number from 1 to %d",
                         limit, JOBS_MOST);
    question->name = slice_from_string(cli_args->operand_count > 0 ? cli_args->operands[0] : NULL);
    question->limit = (size_t)number;
    return ERROR_NONE;
}

// Draws the answers about the pool and about its jobs.
static enum error_code draw_one_pool(const struct remote_answer *about,
                                     const struct remote_answer *jobs, struct arena *arena,
                                     struct buffer *text, struct error *error)
{
    const struct answer of_pool = {&about->document, arena, error};
    const struct answer of_jobs = {&jobs->document, arena, error};
    struct pool_answer pool;
    enum error_code code = answer_read_pool(&of_pool, &pool);
    if (code == ERROR_NONE)
        code = answer_read_pool_jobs(&of_jobs, &pool);
    if (code != ERROR_NONE)
        return code;
    const struct pools_options page = {terminal_detect_list(STDOUT_FILENO), pool.now, 0};
    store_tool_report_unreadable(pool.unreadable);
    return one_pool_render(&pool.shown, &page, arena, text, error);
}

// Both answers are made from the store as the daemon makes them.
static enum error_code make_answers(const struct api_print *print,
                                    const struct pool_question *question,
                                    struct remote_answer answers[2], struct error *error)
{
    enum error_code code = api_print_pool(print, question->name, error);
    if (code == ERROR_NONE)
        code = remote_answer_of(buffer_slice(print->out), print->arena, &answers[0], error);
    if (code != ERROR_NONE)
        return code;
    buffer_clear(print->out);
    code = api_print_pool_jobs(print, question->name, question->limit, error);
    return code == ERROR_NONE
               ? remote_answer_of(buffer_slice(print->out), print->arena, &answers[1], error)
               : code;
}

static enum error_code show_one_pool(const struct store_tool *tool, struct buffer *text,
                                     struct error *error)
{
    const struct pool_question *question = tool->question;
    struct remote_answer answers[2];
    const struct api_print print = {.store = tool->store,
                                    .pools = tool->config.pools,
                                    .now = timestamp_now(),
                                    .arena = tool->cli_args->arena,
                                    .out = text};
    if (tool->cli_args->flags[FLAG_JSON] != NULL)
        return api_print_pool(&print, question->name, error);
    enum error_code code = make_answers(&print, question, answers, error);
    buffer_clear(text);
    return code == ERROR_NONE ? draw_one_pool(&answers[0], &answers[1], print.arena, text, error)
                              : code;
}

static enum error_code ask_one_pool(const struct remote_call *call, struct buffer *text,
                                    struct error *error)
{
    const struct pool_question *question = call->question;
    struct arena *arena = call->cli_args->arena;
    struct remote_answer about, jobs;
    char path[NAME_PATH_MOST + 32] = "api/pools/";
    if (!remote_append_encoded(path, NAME_PATH_MOST, question->name))
        return error_set(error, ERROR_USAGE, "pools: the name is too long to ask a daemon for it");
    enum error_code code = remote_get(call->remote, path, arena, &about, error);
    if (code == ERROR_NONE && call->cli_args->flags[FLAG_JSON] != NULL)
        return remote_pass_on(&about, text, error);
    size_t len = strlen(path);
    (void)snprintf(path + len, sizeof path - len, "/jobs?limit=%zu", question->limit);
    if (code == ERROR_NONE)
        code = remote_get(call->remote, path, arena, &jobs, error);
    return code == ERROR_NONE ? draw_one_pool(&about, &jobs, arena, text, error) : code;
}

static int run_pools(struct cli_args *cli_args)
{
    struct pool_question question;
    struct error error;
    bool is_one = cli_args->operand_count > 0;
    if (read_pool_question(cli_args, &question, &error) != ERROR_NONE)
        return command_fail(&error);
    if (cli_args_want_daemon(cli_args))
        return remote_run(cli_args, POOLS_MAX_TEXT, is_one ? ask_one_pool : ask_pools, &question);
    return store_tool_run(cli_args, POOLS_MAX_TEXT, is_one ? show_one_pool : show_pools, &question);
}

const struct command command_pools = {
    .name = "pools",
    .operands = "[NAME]",
    .operands_max = 1,
    .summary = "what is wrong with the runners, in one sentence, and each pool; one pool",
    .details =
        "What is wrong, in one sentence, and one row for each pool: its state, for how long it has "
        "been in\n"
        "it and since when, how many jobs are queued and for how long the oldest has been, how "
        "many run, the\n"
        "most that ran at once in the last 7 days (MOST: what was used, which need not be all "
        "runners), when\n"
        "one started last, and the ceiling that holds it back. Above the rows: what to do, and "
        "ceilings that\n"
        "are reached, with the repositories that fill them. Into a file\n"
        "or a pipe nothing is shortened, unless COLUMNS is set. What counts as dead or as a "
        "ceiling "
        "is set for\n"
        "the daemon: name its file with --config if it is not in its usual place.\n"
        "Of a pool NAME: whether it keeps up, since when and what to do, its figures, which "
        "repositories and\n"
        "workflows have its jobs, and the jobs, those that are queued first.\n" REMOTE_DETAILS,
    .settings = OPTION_SET(STORE_TOOL_SETTINGS, [OPTION_ID_JOB_GRACE] = true,
                           [OPTION_ID_POOL_DEAD_AFTER] = true, [OPTION_ID_RUNNER_CEILING] = true),
    .flags = flags,
    .flag_count = sizeof flags / sizeof flags[0],
    .run = run_pools,
};
