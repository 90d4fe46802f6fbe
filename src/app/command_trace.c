// ghatrace trace: one run attempt from the local store, as a waterfall.
#include <unistd.h>

#include "ghatrace/app/command.h"
#include "ghatrace/app/run_reference.h"
#include "ghatrace/app/store_tool.h"
#include "ghatrace/view/waterfall.h"

enum { FLAG_STEPS };

static const struct flag flags[] = {
    [FLAG_STEPS] = {"steps", NULL, "unfold the steps of the jobs"},
};

static enum error_code show(const struct invocation *invocation, struct store *store,
                            const struct run_reference *run, struct error *error)
{
    struct waterfall_options waterfall = {.terminal = terminal_detect(STDOUT_FILENO),
                                          .steps = invocation->flags[FLAG_STEPS] != NULL};
    struct span_batch *batches;
    size_t count;
    size_t unreadable;
    int64_t attempt = run->attempt;
    struct buffer text;
    buffer_init(&text, WATERFALL_MAX_TEXT);
    enum error_code code = waterfall_load(store, run->run_id, &attempt, invocation->arena, &batches,
                                          &count, &unreadable, error);
    if (code == ERROR_NONE)
        code = waterfall_render(batches, count, &waterfall, invocation->arena, &text, error);
    if (code == ERROR_NONE)
        store_tool_print(&text);
    if (code == ERROR_NONE)
        store_tool_report_unreadable(unreadable);
    buffer_release(&text);
    return code;
}

static int run(struct invocation *invocation)
{
    struct run_reference reference;
    struct error error;
    if (!run_reference_parse(slice_from_string(invocation->operands[0]), &reference)) {
        error_set(&error, ERROR_USAGE,
                  "trace: \"%.80s\" is no run: write its number, or the address of its page",
                  invocation->operands[0]);
        return command_fail(&error);
    }
    struct store *store;
    int status = store_tool_open(invocation, &store);
    if (status != EXIT_OK)
        return status;
    if (show(invocation, store, &reference, &error) != ERROR_NONE)
        status = command_fail(&error);
    store_close(store);
    return status;
}

const struct command command_trace = {
    .name = "trace",
    .operands = "RUN[/ATTEMPT]",
    .operands_min = 1,
    .operands_max = 1,
    .summary = "a run's trace from the local store, as a waterfall",
    .details =
        "RUN is a run's number, or the address of its page on GitHub. Without an attempt, the\n"
        "newest one is shown of which something is finished.\n",
    .settings = STORE_TOOL_SETTINGS,
    .flags = flags,
    .flag_count = sizeof flags / sizeof flags[0],
    .run = run,
};
