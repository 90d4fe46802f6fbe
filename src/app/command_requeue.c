// ghatrace requeue: what the collector refused for good goes back into the outbox.
#include <stdio.h>

#include "ghatrace/app/command.h"
#include "ghatrace/app/store_tool.h"

// In one transaction: a running daemon waits for it.
#define REQUEUE_SLICE 1000

static enum error_code requeue_slice(struct store *store, size_t *count, struct error *error)
{
    struct store_transaction *transaction;
    enum error_code code = store_begin(store, true, &transaction, error);
    if (code != ERROR_NONE)
        return code;
    code = store_requeue_dead_letters(transaction, REQUEUE_SLICE, count, error);
    if (code != ERROR_NONE) {
        store_abort(transaction);
        return code;
    }
    return store_commit(transaction, error);
}

// `*total` counts what was committed, also when a later slice fails.
static enum error_code requeue_all(struct store *store, size_t *total, struct error *error)
{
    for (;;) {
        size_t count = 0;
        enum error_code code = requeue_slice(store, &count, error);
        if (code != ERROR_NONE)
            return code;
        if (count == 0)
            return ERROR_NONE;
        *total += count;
    }
}

static int run(struct invocation *invocation)
{
    struct store *store;
    struct error error;
    size_t total = 0;
    int status = store_tool_open(invocation, &store);
    if (status != EXIT_OK)
        return status;
    if (requeue_all(store, &total, &error) != ERROR_NONE)
        status = command_fail(&error);
    printf("%zu dead letter%s put back into the outbox\n", total, total == 1 ? "" : "s");
    store_close(store);
    return status;
}

const struct command command_requeue = {
    .name = "requeue",
    .operands = "",
    .summary = "put what the collector refused back into the outbox",
    .details = "Do this when the cause is gone: a limit was raised, a wrong token replaced.\n",
    .settings = STORE_TOOL_SETTINGS,
    .run = run,
};
