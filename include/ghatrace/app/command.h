// What a subcommand is, and how one is called.
#ifndef GHATRACE_APP_COMMAND_H
#define GHATRACE_APP_COMMAND_H

#include <stddef.h>

#include "ghatrace/app/config.h"
#include "ghatrace/app/options.h"
#include "ghatrace/app/settings.h"
#include "ghatrace/base/arena.h"
#include "ghatrace/base/error.h"

#define EXIT_OK 0
#define EXIT_FAILED 1 // at run time
#define EXIT_USAGE 2  // bad usage or configuration

#define FLAGS_MAX 16

// A flag of one command alone: not a setting, so neither in the file nor in the environment.
struct flag {
    const char *name; // "rate"
    const char *
        values; // "N"; "[N]": it may stand alone, and takes a value only after '='; NULL: it takes none
    const char *help; // one line
};

struct invocation;

struct command {
    const char *name;
    const char *operands; // "RUN[/ATTEMPT]", for the help
    size_t operands_min, operands_max;
    const char *summary; // one line
    const char *details; // more lines, for `--help`; may be NULL
    option_set settings; // those it uses
    const struct flag *flags;
    size_t flag_count; // at most FLAGS_MAX
    int (*run)(struct invocation *invocation);
};

// One call of a command.
struct invocation {
    const struct command *command;
    struct arena *arena;      // for all that lives as long as the call
    char *const *environment; // "NAME=value", NULL at the end
    struct settings settings; // those given as flags
    const char
        *flags[FLAGS_MAX];       // by position in command->flags; NULL: not given; "" without value
    const char *const *operands; // in `arena`
    size_t operand_count;
    bool wants_help; // --help was there; nothing else counts then
};

// Sorts the arguments behind the command's name into settings, flags and operands. Flags may stand
// behind operands; "--" ends them. ERROR_USAGE, ERROR_MEMORY.
enum error_code invocation_parse(struct invocation *invocation, const struct command *command,
                                 struct arena *arena, char *const *arguments, size_t count,
                                 char *const *environment, struct error *error) MUST_CHECK;

// Environment, file and flags → configuration. Prints what is wrong with it; returns EXIT_OK,
// EXIT_USAGE or EXIT_FAILED (memory).
int invocation_configure(struct invocation *invocation, struct config *config);

// "ghatrace: ..." on standard error. Returns the status to exit with.
int command_fail(const struct error *error);

extern const struct command command_serve, command_replay, command_trace, command_runs, command_top,
    command_ids, command_requeue, command_check;

// --- help (help.c), on standard output ---
void help_print_program(const struct command *const *commands, size_t count);
void help_print_command(const struct command *command);

#endif
