// ghatrace: turns GitHub Actions webhooks into OpenTelemetry traces. Dispatches to the commands.
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"

static const struct command *const commands[] = {
    &command_serve,   // the daemon
    &command_replay,  // sends recorded payloads as GitHub would
    &command_trace,   // a run as a waterfall
    &command_runs,    // open runs and jobs
    &command_top,     // the same, refreshing
    &command_ids,     // IDs and traceparent
    &command_inspect, // what is stored for a run
    &command_requeue, // puts dead letters back into the outbox
    &command_check,   // the configuration
};
#define COMMAND_COUNT (sizeof commands / sizeof commands[0])

// These have no settings, so they are not in the table of commands.
static const char *const words[] = {"help", "version"};
#define WORD_COUNT (sizeof words / sizeof words[0])

static const char *command_name(void *context, size_t i)
{
    (void)context;
    return i < COMMAND_COUNT ? commands[i]->name : words[i - COMMAND_COUNT];
}

static const struct command *find_command(const char *name)
{
    for (size_t i = 0; i < COMMAND_COUNT; i++) {
        if (strcmp(commands[i]->name, name) == 0)
            return commands[i];
    }
    return NULL;
}

static int refuse_command(const char *name)
{
    struct error error;
    const char *nearest =
        option_nearest(slice_from_string(name), command_name, COMMAND_COUNT + WORD_COUNT, NULL);
    if (nearest != NULL)
        error_set(&error, ERROR_USAGE, "unknown command \"%.60s\": did you mean \"%s\"?", name,
                  nearest);
    else
        error_set(&error, ERROR_USAGE, "unknown command \"%.60s\": see ghatrace --help", name);
    return command_fail(&error);
}

// Reports failure if the output could not be written, for example because of a full disk.
static int finish_output(int status)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return status;
    (void)fprintf(stderr, "ghatrace: standard output cannot be written\n");
    return status == EXIT_OK ? EXIT_FAILED : status;
}

static int run_command(const struct command *command, const struct command_line *line)
{
    struct arena arena;
    arena_init(&arena, 65536);
    struct cli_args cli_args;
    struct error error;
    int status = EXIT_OK;
    if (cli_args_parse(&cli_args, command, line, &arena, &error) != ERROR_NONE)
        status = command_fail(&error);
    else if (cli_args.wants_help)
        help_print_command(command);
    else
        status = command->run(&cli_args);
    arena_release(&arena);
    return finish_output(status);
}

// "ghatrace help", "ghatrace help serve", and the same with "--help".
static int print_help(char *const *topics, size_t count)
{
    struct error error;
    bool is_command =
        count > 0 && strcmp(topics[0], "help") != 0 && strcmp(topics[0], "version") != 0;
    const struct command *command = is_command ? find_command(topics[0]) : NULL;
    if (is_command && command == NULL)
        return refuse_command(topics[0]);
    if (count > 1) {
        error_set(&error, ERROR_USAGE, "help: unexpected argument \"%.60s\"", topics[1]);
        return command_fail(&error);
    }
    if (command != NULL)
        help_print_command(command);
    else
        help_print_program(commands, COMMAND_COUNT);
    return finish_output(EXIT_OK);
}

static int print_version(char *const *arguments, size_t count)
{
    struct error error;
    if (count > 0) {
        error_set(&error, ERROR_USAGE, "version: unexpected argument \"%.60s\"", arguments[0]);
        return command_fail(&error);
    }
    printf("ghatrace %s\n", GHATRACE_VERSION);
    return finish_output(EXIT_OK);
}

static bool is_one_of(const char *name, const char *word, const char *flag, const char *letter)
{
    return strcmp(name, word) == 0 || strcmp(name, flag) == 0 || strcmp(name, letter) == 0;
}

// If one of these descriptors were closed, the next opened file would get its number: log lines would be written to
// the store.
static void open_standard_files(void)
{
    int fd;
    do
        fd = open("/dev/null", O_RDWR);
    while (fd >= 0 && fd <= STDERR_FILENO);
    if (fd > STDERR_FILENO)
        (void)close(fd);
}

int main(int argc, char **argv)
{
    open_standard_files();
    if (argc < 2) {
        (void)fprintf(stderr, "ghatrace: no command: see ghatrace --help\n");
        return EXIT_USAGE;
    }
    const char *name = argv[1];
    size_t count = (size_t)argc - 2; // number of arguments that follow
    if (is_one_of(name, "help", "--help", "-h"))
        return print_help(argv + 2, count);
    if (is_one_of(name, "version", "--version", "-V"))
        return print_version(argv + 2, count);
    const struct command *command = find_command(name);
    if (command == NULL)
        return refuse_command(name);
    const struct command_line line = {
        .arguments = argv + 2, .count = count, .environment = environ};
    return run_command(command, &line);
}
