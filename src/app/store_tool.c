// Opening the store for a tool.
#include "ghatrace/app/store_tool.h"

#include <stdio.h>

static int open_configured(struct invocation *invocation, enum store_mode mode,
                           struct config *config, struct store **store)
{
    struct error error;
    *store = NULL;
    int status = invocation_configure(invocation, config);
    if (status != EXIT_OK)
        return status;
    if (store_open(config->db, mode, config->db_max_size, store, &error) != ERROR_NONE)
        return command_fail(&error);
    return EXIT_OK;
}

int store_tool_open(struct invocation *invocation, struct store **store)
{
    struct config config;
    return open_configured(invocation, STORE_READER, &config, store);
}

int store_tool_open_for_writing(struct invocation *invocation, struct config *config,
                                struct store **store)
{
    return open_configured(invocation, STORE_TOOL, config, store);
}

void store_tool_report_unreadable(uint64_t count)
{
    if (count > 0)
        (void)fprintf(stderr,
                      "ghatrace: %llu stored entr%s could not be read and %s left out; `ghatrace "
                      "check` lists what the daemon has set aside\n",
                      (unsigned long long)count, count == 1 ? "y" : "ies",
                      count == 1 ? "is" : "are");
}

void store_tool_print(const struct buffer *text)
{
    (void)fwrite(text->data, 1, text->len, stdout);
}
