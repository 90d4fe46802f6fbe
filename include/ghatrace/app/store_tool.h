// How the tools among the commands open the local store.
#ifndef GHATRACE_APP_STORE_TOOL_H
#define GHATRACE_APP_STORE_TOOL_H

#include "ghatrace/app/command.h"
#include "ghatrace/base/buffer.h"
#include "ghatrace/store/store.h"

// The settings that it takes.
#define STORE_TOOL_SETTINGS                                                                        \
    (OPTION_BIT(OPTION_ID_DB) | OPTION_BIT(OPTION_ID_DB_MAX_SIZE) | OPTION_BIT(OPTION_ID_CONFIG))

// Configures and opens beside a daemon that may be running. Prints what is wrong; returns EXIT_OK, or
// the status to exit with and no store. Only to read: nothing in the folder is made or changed.
int store_tool_open(struct invocation *invocation, struct store **store);
// The same, to write to it, for a command that takes more settings: the configuration is left in `*config`.
int store_tool_open_for_writing(struct invocation *invocation, struct config *config,
                                struct store **store);

// Writes the text to standard output. main() sees to it that it arrived.
// Says on stderr that entries were left out, if any were.
void store_tool_report_unreadable(uint64_t count);
void store_tool_print(const struct buffer *text);

#endif
