// ghatrace pools: pools of runners and their states, the worst first.
#include <unistd.h>

#include "cli.h"
#include "ghatrace/admin/api_print.h"
#include "ghatrace/term/pools.h"

enum { FLAG_JSON };

static const struct flag flags[] = {
    [FLAG_JSON] = {"json", NULL, "print JSON, as /api/pools"},
};

static enum error_code draw_pools(const struct view_reader *reader,
                                  const struct pools_view_settings *settings, struct buffer *text)
{
    const struct pools_options page = {terminal_detect_list(STDOUT_FILENO), timestamp_now()};
    struct pools_view view;
    struct pools_view_shares *shares;
    enum error_code code = pools_view_load(reader, settings, page.now, &view);
    if (code == ERROR_NONE)
        code = pools_view_count_shares(reader, &view, &shares);
    if (code != ERROR_NONE)
        return code;
    const struct pools_shown shown = {&view, shares};
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

static int run_pools(struct cli_args *cli_args)
{
    return store_tool_run(cli_args, POOLS_MAX_TEXT, show_pools, NULL);
}

const struct command command_pools = {
    .name = "pools",
    .operands = "",
    .summary = "the pools of runners and their states, the worst first",
    .details =
        "One row for each pool: its state, for how long it has been in it and since when, how many "
        "jobs\n"
        "are queued and for how long the oldest has been, how many run of the most that ran at "
        "once in the\n"
        "last week, when one started last, and the ceiling that holds it back. Above the rows: "
        "ceilings\n"
        "that are reached, with the repositories that fill them. Into a file or a pipe nothing is "
        "shortened,\n"
        "unless COLUMNS is set. What counts as dead or as a ceiling is set for the daemon: name "
        "its "
        "file with\n"
        "--config if it is not in its usual place.\n",
    .settings = OPTION_SET(STORE_TOOL_SETTINGS, [OPTION_ID_JOB_GRACE] = true,
                           [OPTION_ID_POOL_DEAD_AFTER] = true, [OPTION_ID_RUNNER_CEILING] = true),
    .flags = flags,
    .flag_count = sizeof flags / sizeof flags[0],
    .run = run_pools,
};
