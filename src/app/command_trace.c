// ghatrace trace: one run attempt from the local store, as a waterfall.
#include <stdio.h>
#include <unistd.h>

#include "ghatrace/app/command.h"
#include "ghatrace/app/run_reference.h"
#include "ghatrace/app/store_tool.h"
#include "ghatrace/view/waterfall.h"

enum { FLAG_STEPS, FLAG_SERVER };

static const struct flag flags[] = {
    [FLAG_STEPS] = {"steps", NULL, "unfold the steps of the jobs"},
    [FLAG_SERVER] = {"server", "HOST", "whose run it is, where several servers have its number"},
};

static void tell_others(const struct waterfall_found *found, int64_t run_id)
{
    if (found->also.len > 0)
        (void)fprintf(stderr,
                      "ghatrace: this is run %lld of %.*s; there is one of %.*s, too: --server "
                      "names it\n",
                      (long long)run_id, SLICE_ARGS(found->server), SLICE_ARGS(found->also));
}

static enum error_code show(const struct invocation *invocation, struct store *store,
                            const struct run_reference *run, struct error *error)
{
    struct waterfall_options waterfall = {.terminal = terminal_detect(STDOUT_FILENO),
                                          .steps = invocation->flags[FLAG_STEPS] != NULL};
    struct run_question question = {run->server, run->run_id, run->attempt};
    if (invocation->flags[FLAG_SERVER] != NULL)
        question.server = slice_from_string(invocation->flags[FLAG_SERVER]);
    struct waterfall_found found = {.count = 0};
    struct buffer text;
    buffer_init(&text, WATERFALL_MAX_TEXT);
    enum error_code code = waterfall_load(store, &question, invocation->arena, &found, error);
    if (code == ERROR_NONE)
        code = waterfall_render(found.batches, found.count, &waterfall, invocation->arena, &text,
                                error);
    if (code == ERROR_NONE) {
        store_tool_print(&text);
        store_tool_report_unreadable(found.unreadable);
        tell_others(&found, run->run_id);
    }
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
        "newest one is shown of which something is finished. Servers count their runs each for\n"
        "itself: a number without --server means github.com's run, if there is one.\n",
    .settings = STORE_TOOL_SETTINGS,
    .flags = flags,
    .flag_count = sizeof flags / sizeof flags[0],
    .run = run,
};
