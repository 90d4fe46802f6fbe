// ghatrace: GitHub Actions webhooks in, OpenTelemetry traces out. Which command, and off it goes.
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "ghatrace/app/command.h"

static const struct command *const commands[] = {
    &command_serve,   // the daemon
    &command_replay,  // recorded payloads, sent as GitHub would
    &command_trace,   // a run as a waterfall
    &command_runs,    // what is open
    &command_top,     // the same, refreshing
    &command_ids,     // IDs and traceparent
    &command_requeue, // dead letters, once more
    &command_check,   // what the configuration says
};
#define COMMAND_COUNT (sizeof commands / sizeof commands[0])

static const char *command_name(void *context, size_t i)
{
    (void)context;
    return commands[i]->name;
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
        option_nearest(slice_from_string(name), command_name, COMMAND_COUNT, NULL);
    if (nearest != NULL)
        error_set(&error, ERROR_USAGE, "unknown command \"%.60s\": did you mean \"%s\"?", name,
                  nearest);
    else
        error_set(&error, ERROR_USAGE, "unknown command \"%.60s\": see ghatrace --help", name);
    return command_fail(&error);
}

// What was printed counts only if it arrived: a full disk must not look like success.
static int finish_output(int status)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return status;
    (void)fprintf(stderr, "ghatrace: standard output cannot be written\n");
    return status == EXIT_OK ? EXIT_FAILED : status;
}

static int run_command(const struct command *command, char *const *arguments, size_t count)
{
    struct arena arena;
    arena_init(&arena, 65536);
    struct invocation invocation;
    struct error error;
    int status = EXIT_OK;
    if (invocation_parse(&invocation, command, &arena, arguments, count, environ, &error) !=
        ERROR_NONE)
        status = command_fail(&error);
    else if (invocation.wants_help)
        help_print_command(command);
    else
        status = command->run(&invocation);
    arena_release(&arena);
    return finish_output(status);
}

// A descriptor of these that is closed would be the next file's: log lines would end up in the store.
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
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
        help_print_program(commands, COMMAND_COUNT);
        return finish_output(EXIT_OK);
    }
    if (strcmp(name, "--version") == 0) {
        printf("ghatrace %s\n", GHATRACE_VERSION);
        return finish_output(EXIT_OK);
    }
    const struct command *command = find_command(name);
    if (command == NULL)
        return refuse_command(name);
    return run_command(command, argv + 2, (size_t)argc - 2);
}
