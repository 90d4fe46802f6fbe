// The command line: files, operands, opening the store.
#include "cli.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "ghatrace/view/run_view.h"

// --- reading files --------------------------------------------------------------------------------

#define READ_SIZE ((size_t)65536)

static enum error_code read_to_end(FILE *file, const char *path, struct buffer *out,
                                   struct error *error)
{
    char chunk[READ_SIZE];
    for (;;) {
        errno = 0;
        size_t len = fread(chunk, 1, sizeof chunk, file);
        if (len == 0) {
            if (ferror(file)) // a directory can be opened, but reading it fails here
                return error_set(error, ERROR_IO, "%s: %s", path, strerror(errno));
            return ERROR_NONE;
        }
        enum error_code code = buffer_append(out, chunk, len);
        if (code == ERROR_TOO_LARGE)
            return error_set(error, code, "%s: larger than %zu bytes", path, out->max);
        if (code != ERROR_NONE)
            return error_set(error, code, "%s: %s", path, error_code_text(code));
    }
}

enum error_code file_read(const char *path, struct buffer *out, struct error *error)
{
    FILE *file = fopen(path, "rbe");
    if (file == NULL)
        return error_set(error, errno == ENOENT ? ERROR_NOT_FOUND : ERROR_IO, "%s: %s", path,
                         strerror(errno));
    enum error_code code = read_to_end(file, path, out, error);
    (void)fclose(file); // nothing to flush: the file was only read
    return code;
}

enum error_code file_read_secrets(const char *path, struct buffer *out, struct error *error)
{
    struct error reason;
    // Reserves room for all of it at once: a buffer that grows leaves copies of secrets in freed memory.
    enum error_code code = buffer_reserve(out, out->max);
    if (code != ERROR_NONE)
        return error_set(error, code, "%s: %s", path, error_code_text(code));
    code = file_read(path, out, &reason);
    return code == ERROR_NONE
               ? code
               : error_set(error, code == ERROR_MEMORY ? code : ERROR_USAGE, "%s", reason.message);
}

// --- the command line of a subcommand -------------------------------------------------------------

// "--name", "--name=value", or "--name" with the value in the next argument.
struct argument {
    struct slice name;
    const char *value; // NULL: none after '='
    char shown[80];    // "--name", for messages
};

struct reader {
    struct cli_args *cli_args;
    char *const *arguments;
    size_t count, next;
    const char **operands;
    struct error *error;
};

static struct argument split_argument(const char *text)
{
    const char *name = text + strlen("--");
    const char *equals = strchr(name, '=');
    struct argument argument = {
        .name = {.data = name, .len = equals != NULL ? (size_t)(equals - name) : strlen(name)},
        .value = equals != NULL ? equals + 1 : NULL,
    };
    (void)snprintf(argument.shown, sizeof argument.shown, "--%.*s", SLICE_ARGS(argument.name));
    return argument;
}

// The argument's value, here or in the next argument; NULL with the error set when there is none.
static const char *read_flag_value(struct reader *reader, const struct argument *argument,
                                   const char *values)
{
    if (argument->value != NULL)
        return argument->value;
    if (reader->next < reader->count)
        return reader->arguments[reader->next++];
    error_set(reader->error, ERROR_USAGE, "%s: needs a value: %s", argument->shown, values);
    return NULL;
}

static enum error_code parse_flag(struct reader *reader, const struct argument *argument, size_t i)
{
    const struct flag *flag = &reader->cli_args->command->flags[i];
    if (flag->values != NULL && flag->values[0] == '[') {
        reader->cli_args->flags[i] = argument->value != NULL ? argument->value : "";
        return ERROR_NONE;
    }
    if (flag->values != NULL) {
        const char *value = read_flag_value(reader, argument, flag->values);
        if (value == NULL)
            return ERROR_USAGE;
        if (value[0] == '\0')
            return error_set(reader->error, ERROR_USAGE, "%s: has no value", argument->shown);
        reader->cli_args->flags[i] = value;
        return ERROR_NONE;
    }
    if (argument->value != NULL)
        return error_set(reader->error, ERROR_USAGE, "%s: takes no value", argument->shown);
    reader->cli_args->flags[i] = "";
    return ERROR_NONE;
}

// A switch without a value means on. It takes the next argument only if that is "on" or "off": otherwise `--steps
// serve` would be ambiguous.
static const char *read_switch_value(struct reader *reader, const struct argument *argument)
{
    if (argument->value != NULL)
        return argument->value;
    const char *next = reader->next < reader->count ? reader->arguments[reader->next] : "";
    if (strcmp(next, "on") != 0 && strcmp(next, "off") != 0)
        return "on";
    reader->next++;
    return next;
}

static enum error_code parse_setting_flag(struct reader *reader, const struct argument *argument,
                                          enum option_id id)
{
    const char *value = options[id].type == OPTION_SWITCH
                            ? read_switch_value(reader, argument)
                            : read_flag_value(reader, argument, options[id].values);
    if (value == NULL)
        return ERROR_USAGE;
    const struct setting_given given = {SOURCE_FLAG, argument->shown, slice_from_string(value)};
    return settings_put(&reader->cli_args->settings, id, &given, reader->error);
}

static bool has_setting(const struct command *command, int id)
{
    return id >= 0 && option_set_has(command->settings, (size_t)id);
}

// Candidates for "did you mean": the command's flags, then its settings.
static const char *candidate_name(void *context, size_t i)
{
    const struct command *command = context;
    if (i < command->flag_count)
        return command->flags[i].name;
    i -= command->flag_count;
    return has_setting(command, (int)i) ? options[i].name : NULL;
}

static enum error_code refuse_flag(struct reader *reader, const struct argument *argument)
{
    const struct command *command = reader->cli_args->command;
    if (option_find(argument->name) >= 0)
        return error_set(reader->error, ERROR_USAGE, "%s: `ghatrace %s` does not use it",
                         argument->shown, command->name);
    struct command copy = *command; // the callback's context is not const
    const char *nearest =
        option_nearest(argument->name, candidate_name, command->flag_count + OPTIONS_COUNT, &copy);
    if (nearest == NULL)
        return error_set(reader->error, ERROR_USAGE,
                         "%s: unknown setting \"%.60s\": see ghatrace %s --help", argument->shown,
                         argument->shown + 2, command->name);
    return error_set(reader->error, ERROR_USAGE,
                     "%s: unknown setting \"%.60s\": did you mean \"%s\"?", argument->shown,
                     argument->shown + 2, nearest);
}

// "--no-steps"; "--no-config" is `--config=`.
static enum error_code parse_negation(struct reader *reader, const struct argument *argument,
                                      bool *is_taken)
{
    struct slice prefix = SLICE("no-");
    if (!slice_starts_with(argument->name, prefix))
        return ERROR_NONE;
    int id = option_find((struct slice){.data = argument->name.data + prefix.len,
                                        .len = argument->name.len - prefix.len});
    if (!has_setting(reader->cli_args->command, id) ||
        (options[id].type != OPTION_SWITCH && id != OPTION_ID_CONFIG))
        return ERROR_NONE;
    *is_taken = true;
    if (argument->value != NULL)
        return error_set(reader->error, ERROR_USAGE, "%s: takes no value", argument->shown);
    const struct setting_given given = {SOURCE_FLAG, argument->shown,
                                        id == OPTION_ID_CONFIG ? SLICE_EMPTY : SLICE("off")};
    return settings_put(&reader->cli_args->settings, (enum option_id)id, &given, reader->error);
}

static enum error_code parse_argument(struct reader *reader, const char *text)
{
    const struct command *command = reader->cli_args->command;
    struct argument argument = split_argument(text);
    for (size_t i = 0; i < command->flag_count; i++) {
        if (slice_equals(argument.name, slice_from_string(command->flags[i].name)))
            return parse_flag(reader, &argument, i);
    }
    int id = option_find(argument.name);
    if (has_setting(command, id))
        return parse_setting_flag(reader, &argument, (enum option_id)id);
    bool is_taken = false;
    enum error_code code = parse_negation(reader, &argument, &is_taken);
    return is_taken ? code : refuse_flag(reader, &argument);
}

static bool is_help(const char *text)
{
    return strcmp(text, "--help") == 0 || strcmp(text, "-h") == 0;
}

static enum error_code read_arguments(struct reader *reader)
{
    struct cli_args *cli_args = reader->cli_args;
    bool are_flags_over = false;
    while (reader->next < reader->count) {
        const char *text = reader->arguments[reader->next++];
        if (are_flags_over || text[0] != '-' || text[1] == '\0') {
            reader->operands[cli_args->operand_count++] = text;
        } else if (strcmp(text, "--") == 0) {
            are_flags_over = true;
        } else if (is_help(text)) {
            cli_args->wants_help = true;
            return ERROR_NONE;
        } else if (text[1] != '-') {
            return error_set(reader->error, ERROR_USAGE,
                             "%.60s: unknown flag: see ghatrace %s --help", text,
                             cli_args->command->name);
        } else {
            enum error_code code = parse_argument(reader, text);
            if (code != ERROR_NONE)
                return code;
        }
    }
    return ERROR_NONE;
}

const char *cli_shown_operand(const char *operand)
{
    return strchr(operand, '@') != NULL || strstr(operand, "://") != NULL ? "..." : operand;
}

static enum error_code check_operands(const struct cli_args *cli_args, struct error *error)
{
    const struct command *command = cli_args->command;
    if (cli_args->operand_count < command->operands_min)
        return error_set(error, ERROR_USAGE, "%s: too few arguments: ghatrace %s %s", command->name,
                         command->name, command->operands);
    if (cli_args->operand_count > command->operands_max)
        return error_set(error, ERROR_USAGE, "%s: unexpected argument \"%.60s\"", command->name,
                         cli_shown_operand(cli_args->operands[command->operands_max]));
    return ERROR_NONE;
}

enum error_code cli_args_parse(struct cli_args *cli_args, const struct command *command,
                               const struct command_line *line, struct arena *arena,
                               struct error *error)
{
    assert(command->flag_count <= FLAGS_MAX);
    *cli_args =
        (struct cli_args){.command = command, .arena = arena, .environment = line->environment};
    settings_init(&cli_args->settings, arena);
    cli_args->settings.system_file = SETTINGS_SYSTEM_FILE;
    const char **operands = arena_allocate_array(arena, line->count + 1, sizeof *operands);
    if (operands == NULL)
        return error_set(error, ERROR_MEMORY, "command line: out of memory");
    cli_args->operands = operands;
    struct reader reader = {.cli_args = cli_args,
                            .arguments = line->arguments,
                            .count = line->count,
                            .operands = operands,
                            .error = error};
    enum error_code code = read_arguments(&reader);
    if (code != ERROR_NONE || cli_args->wants_help)
        return code;
    return check_operands(cli_args, error);
}

const char *cli_args_flag(const struct cli_args *cli_args, const char *name)
{
    for (size_t i = 0; i < cli_args->command->flag_count; i++)
        if (strcmp(cli_args->command->flags[i].name, name) == 0)
            return cli_args->flags[i];
    return NULL;
}

bool cli_args_has_setting(const struct cli_args *cli_args, enum option_id id)
{
    return cli_args->settings.items[id].source == SOURCE_FLAG;
}

bool cli_args_want_daemon(const struct cli_args *cli_args)
{
    if (cli_args_flag(cli_args, "url") != NULL)
        return true;
    return environment_get(cli_args->environment, "GHATRACE_URL") != NULL &&
           !cli_args_has_setting(cli_args, OPTION_ID_DB) &&
           !cli_args_has_setting(cli_args, OPTION_ID_CONFIG);
}

int command_fail(const struct error *error)
{
    (void)fprintf(stderr, "ghatrace: %s\n", error->message);
    return error->code == ERROR_USAGE ? EXIT_USAGE : EXIT_FAILED;
}

int cli_args_configure(struct cli_args *cli_args, struct config *config)
{
    struct error error;
    enum error_code code = settings_complete(&cli_args->settings, cli_args->environment, &error);
    if (code == ERROR_NONE)
        code = config_build(config, &cli_args->settings, cli_args->command->settings,
                            cli_args->environment, &error);
    if (code == ERROR_NONE)
        return EXIT_OK;
    (void)command_fail(&error);
    return code == ERROR_MEMORY ? EXIT_FAILED
                                : EXIT_USAGE; // an unreadable file is bad configuration
}

// --- reading the name of a run --------------------------------------------------------------------

#define RUNS_PATH "/actions/runs/"

static struct slice text_after(struct slice s, size_t len)
{
    return (struct slice){.data = s.data + len, .len = s.len - len};
}

// Up to the next '/', which is consumed, too.
static struct slice next_segment(struct slice *rest)
{
    ptrdiff_t slash = slice_find(*rest, SLICE("/"));
    size_t len = slash < 0 ? rest->len : (size_t)slash;
    struct slice segment = {.data = rest->data, .len = len};
    *rest = text_after(*rest, slash < 0 ? len : len + 1);
    return segment;
}

static bool parse_id_segment(struct slice *rest, int64_t *id)
{
    long long number;
    if (!slice_parse_int64(next_segment(rest), &number) || number <= 0)
        return false;
    *id = number;
    return true;
}

static struct slice cut_before(struct slice s, struct slice mark)
{
    ptrdiff_t position = slice_find(s, mark);
    return position < 0 ? s : (struct slice){.data = s.data, .len = (size_t)position};
}

// "123/attempts/2/job/456": what follows "/actions/runs/" in GitHub's URLs.
static bool parse_page(struct slice rest, struct run_reference *reference)
{
    if (!parse_id_segment(&rest, &reference->run_id))
        return false;
    while (rest.len > 0) {
        struct slice word = next_segment(&rest);
        bool is_known = slice_equals(word, SLICE("attempts")) || slice_equals(word, SLICE("job"));
        if (!is_known)
            return true; // another tab of the same page: "workflow", "usage"
        if (!parse_id_segment(&rest, slice_equals(word, SLICE("job")) ? &reference->job_id
                                                                      : &reference->attempt))
            return false;
    }
    return true;
}

bool run_reference_parse(struct slice text, struct run_reference *reference)
{
    *reference = (struct run_reference){.run_id = 0};
    ptrdiff_t path = slice_find(text, SLICE(RUNS_PATH));
    if (path >= 0) {
        if (path > 0 && text.data[0] != '/')
            reference->server = (struct slice){text.data, (size_t)path};
        struct slice page = text_after(text, (size_t)path + sizeof RUNS_PATH - 1);
        return parse_page(cut_before(cut_before(page, SLICE("#")), SLICE("?")), reference);
    }
    struct run_selector question;
    if (!run_selector_parse(text, &question))
        return false;
    reference->run_id = question.run_id;
    reference->attempt = question.run_attempt;
    return true;
}

// --- opening the store for a tool -----------------------------------------------------------------

static bool can_ask_daemon(const struct command *command)
{
    for (size_t i = 0; i < command->flag_count; i++)
        if (strcmp(command->flags[i].name, "url") == 0)
            return true;
    return false;
}

static int open_configured(struct cli_args *cli_args, enum store_mode mode, struct config *config,
                           struct store **store)
{
    struct error error;
    *store = NULL;
    int status = cli_args_configure(cli_args, config);
    if (status != EXIT_OK)
        return status;
    if (store_open(config->db, mode, config->db_max_size, store, &error) == ERROR_NONE)
        return EXIT_OK;
    if (error.code == ERROR_NOT_FOUND && can_ask_daemon(cli_args->command)) {
        const struct error without = error;
        (void)error_set(&error, ERROR_NOT_FOUND, "%s, or ask a running daemon with --url URL",
                        without.message);
    }
    return command_fail(&error);
}

int store_tool_open(struct cli_args *cli_args, struct config *config, struct store **store)
{
    return open_configured(cli_args, STORE_READER, config, store);
}

int store_tool_open_for_writing(struct cli_args *cli_args, struct config *config,
                                struct store **store)
{
    return open_configured(cli_args, STORE_TOOL, config, store);
}

int store_tool_run(struct cli_args *cli_args, size_t most, store_tool_writer *write_text,
                   const void *question)
{
    struct store_tool tool = {.cli_args = cli_args, .question = question};
    struct buffer text;
    struct error error;
    int status = store_tool_open(cli_args, &tool.config, &tool.store);
    if (status != EXIT_OK)
        return status;
    buffer_init(&text, most);
    if (write_text(&tool, &text, &error) == ERROR_NONE)
        store_tool_print(&text);
    else
        status = command_fail(&error);
    buffer_release(&text);
    store_close(tool.store);
    return status;
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
