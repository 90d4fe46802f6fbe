// ghatrace runs: what is open, oldest first.
#include <unistd.h>

#include "ghatrace/app/command.h"
#include "ghatrace/app/store_tool.h"
#include "ghatrace/view/runs.h"

static enum error_code show(const struct invocation *invocation, struct store *store,
                            struct error *error)
{
    struct terminal terminal = terminal_detect(STDOUT_FILENO);
    struct runs_entry *entries;
    size_t count;
    uint64_t unreadable;
    struct buffer text;
    buffer_init(&text, RUNS_MAX_TEXT);
    enum error_code code =
        runs_load(store, invocation->arena, &entries, &count, &unreadable, error);
    if (code == ERROR_NONE)
        code = runs_render(entries, count, timestamp_now(), &terminal, invocation->arena, &text,
                           error);
    if (code == ERROR_NONE)
        store_tool_print(&text);
    if (code == ERROR_NONE)
        store_tool_report_unreadable(unreadable);
    buffer_release(&text);
    return code;
}

static int run(struct invocation *invocation)
{
    struct store *store;
    struct error error;
    int status = store_tool_open(invocation, &store);
    if (status != EXIT_OK)
        return status;
    if (show(invocation, store, &error) != ERROR_NONE)
        status = command_fail(&error);
    store_close(store);
    return status;
}

const struct command command_runs = {
    .name = "runs",
    .operands = "",
    .summary = "what is open, oldest first",
    .details = "The column \"for\" tells by GitHub's clock how long a job has waited for its "
               "approval, been\n"
               "queued or run, and how long a run has been open.\n",
    .settings = STORE_TOOL_SETTINGS,
    .run = run,
};
