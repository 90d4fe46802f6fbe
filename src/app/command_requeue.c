// ghatrace requeue: what the collector refused for good goes back into the outbox.
#include <stdio.h>

#include "ghatrace/app/command.h"
#include "ghatrace/app/store_tool.h"

// In one transaction: a running daemon waits for it.
#define REQUEUE_SLICE 1000
// Of outbox-max-size: the rest is for new deliveries, which would otherwise be refused in favour of old records.
#define REQUEUE_SHARE 2

struct requeue {
    struct store *store;
    uint64_t outbox_max; // bytes that may wait, with what is put back
    uint64_t sequence;   // where to go on
    size_t total;        // committed, also when a later slice fails
    bool is_full;
};

static enum error_code requeue_slice(struct requeue *requeue, size_t *count, struct error *error)
{
    struct store_transaction *transaction;
    enum error_code code = store_begin(requeue->store, true, &transaction, error);
    if (code != ERROR_NONE)
        return code;
    code = store_requeue_dead_letters(transaction, &requeue->sequence, REQUEUE_SLICE,
                                      requeue->outbox_max, count, &requeue->is_full, error);
    if (code != ERROR_NONE) {
        store_abort(transaction);
        return code;
    }
    return store_commit(transaction, error);
}

static enum error_code requeue_all(struct requeue *requeue, struct error *error)
{
    size_t count = 0;
    do {
        enum error_code code = requeue_slice(requeue, &count, error);
        if (code != ERROR_NONE)
            return code;
        requeue->total += count;
    } while (count > 0 && !requeue->is_full);
    return ERROR_NONE;
}

static enum error_code count_letters(struct store *store, uint64_t *letters, struct error *error)
{
    struct store_transaction *transaction;
    struct store_usage usage;
    enum error_code code = store_begin(store, false, &transaction, error);
    if (code != ERROR_NONE)
        return code;
    store_read_usage(transaction, &usage);
    store_abort(transaction);
    *letters = usage.dead_letters;
    return ERROR_NONE;
}

static int run(struct invocation *invocation)
{
    struct config config;
    struct requeue requeue = {0};
    struct error error;
    uint64_t left = 0;
    int status = store_tool_open_for_writing(invocation, &config, &requeue.store);
    if (status != EXIT_OK)
        return status;
    requeue.outbox_max = config.outbox_max_size / REQUEUE_SHARE;
    enum error_code code = requeue_all(&requeue, &error);
    if (code == ERROR_NONE && requeue.is_full)
        code = count_letters(requeue.store, &left, &error);
    printf("%zu dead letter%s put back into the outbox\n", requeue.total,
           requeue.total == 1 ? "" : "s");
    if (code == ERROR_NONE && requeue.is_full)
        code = error_set(&error, ERROR_FULL,
                         "%llu more stay: half of outbox-max-size is in use; run this again when "
                         "the collector has taken what waits",
                         (unsigned long long)left);
    if (code != ERROR_NONE)
        status = command_fail(&error);
    store_close(requeue.store);
    return status;
}

const struct command command_requeue = {
    .name = "requeue",
    .operands = "",
    .summary = "put what the collector refused back into the outbox",
    .details = "Do this when the cause is gone: a limit was raised, a wrong token replaced. At "
               "most half of\n"
               "outbox-max-size is filled; with more dead letters than that, run it again (exit "
               "code 1 says so).\n",
    .settings = STORE_TOOL_SETTINGS | OPTION_BIT(OPTION_ID_OUTBOX_MAX_SIZE),
    .run = run,
};
