// The command line: commands, their operands, opening the store.
#ifndef GHATRACE_APP_CLI_H
#define GHATRACE_APP_CLI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config.h"
#include "ghatrace/base/arena.h"
#include "ghatrace/base/buffer.h"
#include "ghatrace/base/error.h"
#include "ghatrace/base/slice.h"
#include "ghatrace/store/store.h"
#include "settings.h"

// --- subcommands and their invocation -------------------------------------------------------------

#define EXIT_OK 0
#define EXIT_FAILED 1 // at run time
#define EXIT_USAGE 2  // bad usage or configuration

#define FLAGS_MAX 16

// A flag of a single command: not a setting, so neither in the file nor in the environment.
struct flag {
    const char *name; // "rate"
    // "N"; "[N]": the value is optional, and only after '='; NULL: it takes none
    const char *values;
    const char *help; // one line
};

struct cli_args;

struct command {
    const char *name;
    const char *operands; // "RUN[/ATTEMPT]", for the help
    size_t operands_min, operands_max;
    const char *summary;               // one line
    const char *details;               // more lines, for `--help`; may be NULL
    const struct option_set *settings; // that it uses; NULL: none
    const struct flag *flags;
    size_t flag_count; // at most FLAGS_MAX
    int (*run)(struct cli_args *cli_args);
};

// One invocation of a command.
struct cli_args {
    const struct command *command;
    struct arena *arena;      // for everything that lives as long as the invocation
    char *const *environment; // "NAME=value", NULL at the end
    struct settings settings; // those given as flags
    // by position in command->flags; NULL: not given; "" without value
    const char *flags[FLAGS_MAX];
    const char *const *operands; // in `arena`
    size_t operand_count;
    bool wants_help; // --help was given; everything else is ignored
};

// What the process was started with.
struct command_line {
    char *const *arguments; // those after the command's name
    size_t count;
    char *const *environment; // "NAME=value", NULL at the end
};

// The operand as a message shows it: "..." if it may be a URL with a password.
const char *cli_shown_operand(const char *operand);

// Sorts the arguments into settings, flags and operands. Flags may follow operands; "--"
// ends the flags. ERROR_USAGE, ERROR_MEMORY.
enum error_code cli_args_parse(struct cli_args *cli_args, const struct command *command,
                               const struct command_line *line, struct arena *arena,
                               struct error *error) MUST_CHECK;

// Builds the configuration from environment, file and flags. Prints errors in it; returns EXIT_OK, EXIT_USAGE or
// EXIT_FAILED (out of memory).
int cli_args_configure(struct cli_args *cli_args, struct config *config);

// A flag of the command by its name; NULL: not given, or the command has none of that name.
const char *cli_args_flag(const struct cli_args *cli_args, const char *name);
// True if the setting is given as a flag.
bool cli_args_has_setting(const struct cli_args *cli_args, enum option_id id);
// True if a daemon is to be asked instead of reading the store (remote.h): --url is given, or GHATRACE_URL is set and
// none of --db and --config is given.
bool cli_args_want_daemon(const struct cli_args *cli_args);

// Prints "ghatrace: ..." to standard error. Returns the exit status.
int command_fail(const struct error *error);

extern const struct command command_replay, command_top, command_check, command_whatif,
    command_pools, command_runs, command_trace; // the small ones: main.c

// --- help (settings.c), on standard output ---
void help_print_program(const struct command *const *commands, size_t count);
void help_print_command(const struct command *command);

// --- references to a run: its number, or the URL of its page --------------------------------------

struct run_reference {
    int64_t run_id;
    int64_t attempt; // 0: not given
    int64_t job_id;  // 0: not given
    // the text before "/actions/runs/", for github_server_of_name(); empty: not given
    struct slice server;
};

// Parses "123", "123/2", "https://HOST/OWNER/NAME/actions/runs/123", the same with "/attempts/2" and with "/job/456",
// followed by any query or fragment. False for anything else. All numbers are above 0.
bool run_reference_parse(struct slice text, struct run_reference *reference);

// --- how commands open the local store ------------------------------------------------------------

// The settings used to open the store, for OPTION_SET().
#define STORE_TOOL_SETTINGS                                                                        \
    [OPTION_ID_DB] = true, [OPTION_ID_DB_MAX_SIZE] = true, [OPTION_ID_CONFIG] = true

// Builds the configuration and opens the store, also while a daemon is running. Prints errors; returns EXIT_OK, or
// the exit status and no store. The configuration is left in `*config`. Read-only: nothing in the folder is created
// or changed.
int store_tool_open(struct cli_args *cli_args, struct config *config, struct store **store);
// The same for writing.
int store_tool_open_for_writing(struct cli_args *cli_args, struct config *config,
                                struct store **store);

// What a command reads when it makes a text from the store.
struct store_tool {
    const struct cli_args *cli_args;
    struct config config;
    struct store *store;
    const void *question; // what the command has read from its flags and operands
};
// Appends the text. What it writes to standard error comes before the text.
typedef enum error_code store_tool_writer(const struct store_tool *tool, struct buffer *text,
                                          struct error *error);
// Opens the store as store_tool_open() does, and prints what the writer makes, of at most `most` bytes, or its error.
// Returns the exit status.
int store_tool_run(struct cli_args *cli_args, size_t most, store_tool_writer *write_text,
                   const void *question);

// Reports on standard error that entries were left out, if any were.
void store_tool_report_unreadable(uint64_t count);
// Writes the text to standard output. main() checks that it was written.
void store_tool_print(const struct buffer *text);

// --- whole files into memory ----------------------------------------------------------------------

// Appends the file's bytes to `out`, whose size limit also applies to the file. ERROR_NOT_FOUND, ERROR_IO,
// ERROR_TOO_LARGE, ERROR_MEMORY; the message names the file.
enum error_code file_read(const char *path, struct buffer *out, struct error *error) MUST_CHECK;
// The same for a file with secrets that the configuration names, into an empty buffer, which the caller wipes.
// ERROR_USAGE if it cannot be read; ERROR_MEMORY.
enum error_code file_read_secrets(const char *path, struct buffer *out,
                                  struct error *error) MUST_CHECK;

#endif
