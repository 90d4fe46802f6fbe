// ghatrace pools: pools of runners and their states, the worst first.
#include <unistd.h>

#include "cli.h"
#include "ghatrace/admin/api_print.h"
#include "ghatrace/term/answers.h"
#include "ghatrace/term/pools.h"
#include "ghatrace/view/pools_cache.h"
#include "remote.h"

enum { FLAG_JSON, FLAG_REMOTE };

static const struct flag flags[] = {
    [FLAG_JSON] = {"json", NULL, "print JSON, as /api/pools"},
    [FLAG_REMOTE] = REMOTE_FLAGS,
};

static enum error_code draw_pools(const struct view_reader *reader,
                                  const struct pools_view_settings *settings, struct buffer *text)
{
    const struct pools_options page = {terminal_detect_list(STDOUT_FILENO), timestamp_now()};
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
    const struct pools_options page = {terminal_detect_list(STDOUT_FILENO), pools.now};
    const struct pools_shown shown = {&pools.view, pools.shares, pools.summary};
    store_tool_report_unreadable(pools.unreadable);
    return pools_render(&shown, &page, arena, text, error);
}

static int run_pools(struct cli_args *cli_args)
{
    if (cli_args_want_daemon(cli_args))
        return remote_run(cli_args, POOLS_MAX_TEXT, ask_pools, NULL);
    return store_tool_run(cli_args, POOLS_MAX_TEXT, show_pools, NULL);
}

const struct command command_pools = {
    .name = "pools",
    .operands = "",
    .summary = "the pools of runners and their states, the worst first",
    .details =
        "What is wrong, in one sentence, and one row for each pool: its state, for how long it has "
        "been in\n"
        "it and since when, how many jobs are queued and for how long the oldest has been, how "
        "many run of\n"
        "the most that ran at once in the last week, when one started last, and the ceiling that "
        "holds it\n"
        "back. Above the rows: ceilings that are reached, with the repositories that fill them. "
        "Into a file\n"
        "or a pipe nothing is shortened, unless COLUMNS is set. What counts as dead or as a "
        "ceiling "
        "is set for\n"
        "the daemon: name its file with --config if it is not in its usual place.\n" REMOTE_DETAILS,
    .settings = OPTION_SET(STORE_TOOL_SETTINGS, [OPTION_ID_JOB_GRACE] = true,
                           [OPTION_ID_POOL_DEAD_AFTER] = true, [OPTION_ID_RUNNER_CEILING] = true),
    .flags = flags,
    .flag_count = sizeof flags / sizeof flags[0],
    .run = run_pools,
};
