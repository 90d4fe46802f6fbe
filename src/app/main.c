// ghatrace: turns GitHub Actions webhooks into OpenTelemetry traces. The small commands, and dispatching to all.
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "ghatrace/base/log.h"
#include "ghatrace/base/memory.h"
#include "ghatrace/base/slice.h"
#include "ghatrace/term/inspect.h"
#include "ghatrace/term/text.h"
#include "ghatrace/trace/ids.h"
#include "server.h"

// --- ghatrace ids: the IDs of a run's spans, sent or not ------------------------------------------

enum { FLAG_JOB_NAME };

static const struct flag ids_flags[] = {
    [FLAG_JOB_NAME] = {"job-name", "NAME", "the job's name: scheme runner makes IDs from it"},
};

static const char *trace_id_text(struct trace_id id, char text[2 * TRACE_ID_SIZE + 1])
{
    hex_encode(id.bytes, TRACE_ID_SIZE, text);
    return text;
}

static const char *span_id_text(struct span_id id, char text[2 * SPAN_ID_SIZE + 1])
{
    hex_encode(id.bytes, SPAN_ID_SIZE, text);
    return text;
}

static enum error_code read_positive_number(const char *text, const char *what, int64_t *number,
                                            struct error *error)
{
    long long value;
    if (!slice_parse_int64(slice_from_string(text), &value) || value <= 0)
        return error_set(error, ERROR_USAGE, "ids: \"%.60s\" is no %s", text, what);
    *number = value;
    return ERROR_NONE;
}

static enum error_code read_operands(const struct cli_args *cli_args, struct job_key *key,
                                     struct error *error)
{
    struct run_reference named;
    if (!run_reference_parse(slice_from_string(cli_args->operands[0]), &named))
        return error_set(error, ERROR_USAGE, "ids: \"%.60s\" is no run: write its number",
                         cli_args->operands[0]);
    enum error_code code = ERROR_NONE;
    if (cli_args->operand_count > 1)
        code = read_positive_number(cli_args->operands[1], "attempt", &named.attempt, error);
    if (code == ERROR_NONE && cli_args->operand_count > 2)
        code = read_positive_number(cli_args->operands[2], "job id", &named.job_id, error);
    *key = (struct job_key){.run_id = named.run_id,
                            .run_attempt = named.attempt == 0 ? 1 : named.attempt,
                            .job_id = named.job_id,
                            .job_name = slice_from_string(cli_args->flags[FLAG_JOB_NAME])};
    return code;
}

static void print_job(enum id_scheme scheme, const struct job_key *key)
{
    static const char *const phases[] = {"job.waiting", "runner.queue", "runner.startup",
                                         "runner.execution"};
    char text[2 * SPAN_ID_SIZE + 1];
    printf("%-17s %s\n", "job", span_id_text(span_id_of_job(scheme, key), text));
    for (size_t i = 0; i < sizeof phases / sizeof phases[0]; i++) {
        struct span_id id = span_id_of_phase(scheme, key, slice_from_string(phases[i]));
        printf("%-17s %s\n", phases[i], span_id_text(id, text));
    }
}

static void print_ids(enum id_scheme scheme, const struct job_key *key, bool has_job)
{
    struct trace_id trace = trace_id_of_run(scheme, key->run_id, key->run_attempt);
    struct span_id root = span_id_of_run(scheme, key->run_id, key->run_attempt);
    struct span_id parent = has_job ? span_id_of_job(scheme, key) : root;
    char trace_hex[2 * TRACE_ID_SIZE + 1], span_hex[2 * SPAN_ID_SIZE + 1];
    printf("%-17s %s\n", "trace", trace_id_text(trace, trace_hex));
    printf("%-17s %s\n", "root", span_id_text(root, span_hex));
    if (has_job)
        print_job(scheme, key);
    // W3C Trace Context: version 00, the sampled flag set, because the spans will exist.
    printf("traceparent: 00-%s-%s-01\n", trace_hex, span_id_text(parent, span_hex));
}

static int run_ids(struct cli_args *cli_args)
{
    struct config config;
    struct job_key key;
    struct error error;
    int status = cli_args_configure(cli_args, &config);
    if (status != EXIT_OK)
        return status;
    if (read_operands(cli_args, &key, &error) != ERROR_NONE)
        return command_fail(&error);
    enum id_scheme scheme = config.engine.policy.scheme;
    // In scheme runner the name identifies a job; in the other schemes the number does.
    bool has_job = scheme == ID_SCHEME_RUNNER ? key.job_name.len > 0 : key.job_id != 0;
    if (scheme == ID_SCHEME_RUNNER && key.job_id != 0 && !has_job) {
        error_set(&error, ERROR_USAGE,
                  "ids: scheme runner makes a job's IDs from its name: add --job-name NAME");
        return command_fail(&error);
    }
    print_ids(scheme, &key, has_job);
    return EXIT_OK;
}

static const struct command command_ids = {
    .name = "ids",
    .operands = "RUN [ATTEMPT [JOB]]",
    .operands_min = 1,
    .operands_max = 3,
    .summary = "the IDs of a run's spans, and the traceparent to hand to tools",
    .details =
        "RUN is a run's number, RUN/ATTEMPT, or the address of its page; JOB is a job's "
        "number.\n"
        "Tools inside a job that are given the traceparent put their spans into its trace.\n",
    .settings = OPTION_SET([OPTION_ID_ID_SCHEME] = true, [OPTION_ID_CONFIG] = true),
    .flags = ids_flags,
    .flag_count = sizeof ids_flags / sizeof ids_flags[0],
    .run = run_ids,
};

// --- ghatrace inspect: what is stored for a run ---------------------------------------------------

enum { FLAG_INSPECT_SERVER };

static const struct flag inspect_flags[] = {
    [FLAG_INSPECT_SERVER] = {"server", "HOST", "only the run of this server"},
};

static enum error_code show_stored(const struct store_tool *tool, struct buffer *text,
                                   struct error *error)
{
    const struct run_reference *reference = tool->question;
    const char *server = tool->cli_args->flags[FLAG_INSPECT_SERVER];
    const struct inspect_options inspect = {.now = timestamp_now(),
                                            .unicode = terminal_detect(STDOUT_FILENO).unicode};
    struct run_selector question = {reference->server, reference->run_id, reference->attempt};
    if (server != NULL)
        question.server = slice_from_string(server);
    return inspect_run(tool->store, &question, &inspect, text, error);
}

static int run_inspect(struct cli_args *cli_args)
{
    struct run_reference reference;
    struct error error;
    if (!run_reference_parse(slice_from_string(cli_args->operands[0]), &reference)) {
        error_set(&error, ERROR_USAGE,
                  "inspect: \"%.80s\" is no run: write its number, or the address of its page",
                  cli_args->operands[0]);
        return command_fail(&error);
    }
    return store_tool_run(cli_args, INSPECT_MAX_TEXT, show_stored, &reference);
}

static const struct command command_inspect = {
    .name = "inspect",
    .operands = "RUN[/ATTEMPT]",
    .operands_min = 1,
    .operands_max = 1,
    .summary = "what is stored of a run: states, deadlines, notes, records",
    .details =
        "Shows why a span was not sent yet. RUN is a run's number, or the address of its\n"
        "page on GitHub. Without an attempt, the newest one is shown of which anything is stored.\n"
        "Of each run and job: its state, field by field, with the deadline and what it waits for;\n"
        "notes of what was sent; records, with those that wait, are quarantined or dead letters.\n",
    .settings = OPTION_SET(STORE_TOOL_SETTINGS),
    .flags = inspect_flags,
    .flag_count = sizeof inspect_flags / sizeof inspect_flags[0],
    .run = run_inspect,
};

// --- command requeue ------------------------------------------------------------------------------
// ghatrace requeue: moves permanently refused records (dead letters) back into the outbox.

// Records in one transaction, for which a running daemon has to wait.
#define REQUEUE_SLICE 1000
// The share of outbox-max-size that may be refilled: the rest is for new deliveries, which would otherwise be refused
// in favour of old records.
#define REQUEUE_SHARE 2

struct requeue {
    struct store *store;
    struct store_requeue letters;
    size_t total; // committed, also when a later slice fails
};

static enum error_code requeue_slice(struct requeue *requeue, struct error *error)
{
    struct store_transaction *transaction;
    enum error_code code = store_begin(requeue->store, true, &transaction, error);
    if (code != ERROR_NONE)
        return code;
    code = store_requeue_dead_letters(transaction, &requeue->letters, error);
    if (code != ERROR_NONE) {
        store_abort(transaction);
        return code;
    }
    return store_commit(transaction, error);
}

static enum error_code requeue_all(struct requeue *requeue, struct error *error)
{
    do {
        enum error_code code = requeue_slice(requeue, error);
        if (code != ERROR_NONE)
            return code;
        requeue->total += requeue->letters.count;
    } while (requeue->letters.count > 0 && !requeue->letters.is_full);
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

static int run_requeue(struct cli_args *cli_args)
{
    struct config config;
    struct requeue requeue = {.letters.max = REQUEUE_SLICE};
    struct error error;
    uint64_t left = 0;
    int status = store_tool_open_for_writing(cli_args, &config, &requeue.store);
    if (status != EXIT_OK)
        return status;
    requeue.letters.outbox_max = config.engine.outbox_max / REQUEUE_SHARE;
    enum error_code code = requeue_all(&requeue, &error);
    if (code == ERROR_NONE && requeue.letters.is_full)
        code = count_letters(requeue.store, &left, &error);
    printf("%zu dead letter%s put back into the outbox\n", requeue.total,
           requeue.total == 1 ? "" : "s");
    if (code == ERROR_NONE && requeue.letters.is_full)
        code = error_set(&error, ERROR_FULL,
                         "%llu more remain: half of outbox-max-size is in use; run this again when "
                         "the collector has accepted the waiting records",
                         (unsigned long long)left);
    if (code != ERROR_NONE)
        status = command_fail(&error);
    store_close(requeue.store);
    return status;
}

static const struct command command_requeue = {
    .name = "requeue",
    .operands = "",
    .summary = "put what the collector refused back into the outbox",
    .details = "Do this when the cause is gone: a limit was raised, a wrong token replaced. At "
               "most half of\n"
               "outbox-max-size is filled; with more dead letters than that, run it again (exit "
               "code 1 says so).\n",
    .settings = OPTION_SET(STORE_TOOL_SETTINGS, [OPTION_ID_OUTBOX_MAX_SIZE] = true),
    .run = run_requeue,
};

// --- ghatrace serve: the daemon -------------------------------------------------------------------

#define LAST_WORDS_MS 1000 // time limit for writing the last message if standard error is not read

// Like command_fail(), but after all log lines, and with a time limit.
static int fail_after_log(const struct error *error)
{
    char text[sizeof error->message + 32];
    int len = snprintf(text, sizeof text, "ghatrace: %s\n", error->message);
    log_final_message(text, (size_t)len, LAST_WORDS_MS);
    return error->code == ERROR_USAGE ? EXIT_USAGE : EXIT_FAILED;
}

static int run_serve(struct cli_args *cli_args)
{
    struct config config;
    struct error error;
    int status = cli_args_configure(cli_args, &config);
    if (status != EXIT_OK)
        return status;
    activation_claim(&config.activation);
    memory_return_large_blocks();
    log_configure(config.log_level, config.log_format);
    if (log_start(&error) != ERROR_NONE)
        return command_fail(&error);
    if (config.config != NULL && config.config[0] != '\0')
        log_info("configuration", LOG_STRING("file", config.config),
                 LOG_STRING("named_by", setting_source_text(
                                            cli_args->settings.items[OPTION_ID_CONFIG].source)));
    for (size_t i = 0; i < config.warnings.count; i++)
        log_warn("configuration", LOG_STRING("warning", config.warnings.items[i]));
    if (server_run(&config, &error) != ERROR_NONE)
        return fail_after_log(&error);
    log_flush(LAST_WORDS_MS);
    return EXIT_OK;
}

static const struct command command_serve = {
    .name = "serve",
    .operands = "",
    .summary = "the daemon: webhooks in, traces out",
    .details =
        "SIGTERM and SIGINT stop it in good order, another one a second or more later at once;\n"
        "SIGHUP makes it read the webhook secrets, all certificates and otlp-header-file again.\n"
        "Listening sockets that systemd passes (LISTEN_FDS), named webhook and admin, are used\n"
        "instead of listen and admin-listen. OpenTelemetry's variables\n"
        "OTEL_EXPORTER_OTLP_* (ENDPOINT, TRACES_ENDPOINT, PROTOCOL, HEADERS, TIMEOUT, "
        "COMPRESSION,\n"
        "CERTIFICATE, CLIENT_CERTIFICATE, CLIENT_KEY), OTEL_SERVICE_NAME and\n"
        "OTEL_RESOURCE_ATTRIBUTES work as their specification says; settings of our own\n"
        "beat them.\n",
    .settings = &options_all,
    .run = run_serve,
};

// --- dispatching to the commands -----------------------------------------------------------------

static const struct command *const commands[] = {
    &command_serve,   // the daemon
    &command_replay,  // sends recorded payloads as GitHub would
    &command_trace,   // a run, or those of a commit, as a waterfall
    &command_runs,    // open runs and jobs, finished runs
    &command_top,     // what is open, refreshing
    &command_pools,   // pools of runners and their states
    &command_whatif,  // a pool with other runners
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
