// Settings: their names, their help, the sources of their values.
#include "settings.h"

#include <assert.h>
#include <ctype.h>
#include <ini.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "cli.h"
#include "config.h"
#include "ghatrace/base/utf8.h"

// --- the table of settings, and lookup by name ----------------------------------------------------

// The type of a setting and the offset of its field. A field with a different C type does not compile.
#define FIELD(member, c_type)                                                                      \
    .field = _Generic(((struct config *)0)->member, c_type : offsetof(struct config, member))
#define TEXT(member) .type = OPTION_TEXT, FIELD(member, const char *)
#define SWITCH(member) .type = OPTION_SWITCH, FIELD(member, bool)
#define COUNT(member) .type = OPTION_COUNT, FIELD(member, uint64_t)
#define SIZE(member) .type = OPTION_SIZE, FIELD(member, uint64_t)
#define DURATION(member) .type = OPTION_DURATION, FIELD(member, duration_ns)
#define CHOICE(member) .type = OPTION_CHOICE, FIELD(member, unsigned)
#define LIST(member) .type = OPTION_LIST, FIELD(member, struct text_list)

// Effectively no upper bound; added to a current time it does not overflow.
#define NEVER (100 * 365 * NS_PER_DAY)
#define MIB ((int64_t)1 << 20)
#define GIB ((int64_t)1 << 30)

const struct option options[OPTIONS_COUNT] = {
#define SETTING(id, setting_name, where, ...)                                                      \
    [OPTION_ID_##id] = {.name = (setting_name), where, __VA_ARGS__},
#include "settings_list.h"
#undef SETTING
};

const struct option_set options_all = {{
#define SETTING(...) true,
#include "settings_list.h"
#undef SETTING
}};
// clang-format off
_Static_assert(sizeof options_all.has / sizeof options_all.has[0] == 0
#define SETTING(...) + 1
#include "settings_list.h"
#include "ghatrace/base/slice.h"
#include "ghatrace/net/address.h"
#undef SETTING
               , "a set has an element for each setting");
// clang-format on

bool option_set_has(const struct option_set *set, size_t id)
{
    return set != NULL && set->has[id];
}

int option_find(struct slice name)
{
    for (int i = 0; i < OPTIONS_COUNT; i++) {
        if (slice_equals(slice_from_string(options[i].name), name))
            return i;
    }
    return -1;
}

const char *option_nearest(struct slice name, const char *(*candidate)(void *context, size_t i),
                           size_t count, void *context)
{
    const char *nearest = NULL;
    // If more than a third of the letters differ, it is another word, not a typing error.
    size_t best = name.len / 3 + 2;
    for (size_t i = 0; i < count; i++) {
        const char *text = candidate(context, i);
        size_t distance = text == NULL ? best : slice_edit_distance(name, slice_from_string(text));
        if (distance < best) {
            best = distance;
            nearest = text;
        }
    }
    return nearest;
}

static const char *setting_name(void *context, size_t i)
{
    (void)context;
    return options[i].name;
}

const char *option_nearest_setting(struct slice name)
{
    return option_nearest(name, setting_name, OPTIONS_COUNT, NULL);
}

struct slice option_choice_word(const char *values, size_t position)
{
    struct slice rest = slice_from_string(values);
    for (;; position--) {
        ptrdiff_t bar = slice_find(rest, SLICE("|"));
        size_t len = bar < 0 ? rest.len : (size_t)bar;
        if (position == 0)
            return (struct slice){.data = rest.data, .len = len};
        if (bar < 0)
            return SLICE_EMPTY;
        rest = (struct slice){.data = rest.data + len + 1, .len = rest.len - len - 1};
    }
}

int option_choice_find(const char *values, struct slice text)
{
    for (int i = 0;; i++) {
        struct slice word = option_choice_word(values, (size_t)i);
        if (word.len == 0)
            return -1;
        if (slice_equals_ignoring_case(word, text))
            return i;
    }
}

// --- help texts, generated from the tables that the program uses ----------------------------------

static void print_flag(const char *name, const char *values, const char *help, const char *preset)
{
    printf("  --%s%s%s\n        %s", name, values != NULL ? " " : "", values != NULL ? values : "",
           help);
    if (preset != NULL)
        printf(" [%s]", preset);
    printf("\n");
}

static void print_setting_help(const struct option *option)
{
    char name[64];
    bool is_switch = option->type == OPTION_SWITCH;
    (void)snprintf(name, sizeof name, "%s%s", is_switch ? "[no-]" : "", option->name);
    print_flag(name, is_switch ? NULL : option->values, option->help,
               option->preset != NULL ? option->preset : option->unpreset);
}

void help_print_command(const struct command *command)
{
    printf("usage: ghatrace %s%s%s%s\n\n%s\n", command->name,
           command->flag_count > 0 || command->settings != NULL ? " [FLAG...]" : "",
           command->operands[0] != '\0' ? " " : "", command->operands, command->summary);
    if (command->details != NULL)
        printf("\n%s", command->details);
    if (command->flag_count > 0)
        printf("\nFlags:\n");
    for (size_t i = 0; i < command->flag_count; i++)
        print_flag(command->flags[i].name, command->flags[i].values, command->flags[i].help, NULL);
    if (command->settings == NULL)
        return;
    printf(
        "\nSettings, each a flag, a line `some-thing = value` in the --config file, or a variable\n"
        "GHATRACE_SOME_THING; a flag beats the environment, which beats the file:\n");
    for (size_t i = 0; i < OPTIONS_COUNT; i++) {
        if (option_set_has(command->settings, i))
            print_setting_help(&options[i]);
    }
}

void help_print_program(const struct command *const *commands, size_t count)
{
    printf("usage: ghatrace COMMAND [FLAG...] [ARGUMENT...]\n\n"
           "Turns GitHub Actions webhooks into OpenTelemetry traces.\n\nCommands:\n");
    for (size_t i = 0; i < count; i++) {
        char call[64];
        (void)snprintf(call, sizeof call, "%s %s", commands[i]->name, commands[i]->operands);
        printf("  %-32s %s\n", call, commands[i]->summary);
    }
    printf("\nghatrace help COMMAND shows more; ghatrace version shows the version.\n");
}

// --- settings file --------------------------------------------------------------------------------
// The settings file, read line by line by inih.
//
// inih gets its lines from our own reader, which counts them (inih's handler does not get the line number), rejects
// what inih would truncate or guess, and removes leading blanks, which inih treats as the continuation of the
// previous line.

#define FILE_SIZE_MAX ((size_t)1 << 20)
#define FILE_LINE_MAX 16384 // an export header may contain a token of some kilobytes

// Only Debian's inih has a configurable line length; elsewhere it is 200 bytes.
extern int ini_max_line __attribute__((weak));

struct file_reader {
    struct settings *settings;
    const char *path;
    struct slice rest; // not read yet
    unsigned line;     // number of the last line read
    enum error_code code;
    struct error *error;
};

static void refuse_line(struct file_reader *reader, const char *what)
{
    reader->code =
        error_set(reader->error, ERROR_USAGE, "%s:%u: %s", reader->path, reader->line, what);
}

static struct slice next_file_line(struct file_reader *reader)
{
    ptrdiff_t newline = slice_find(reader->rest, SLICE("\n"));
    size_t len = newline < 0 ? reader->rest.len : (size_t)newline + 1;
    struct slice line = {.data = reader->rest.data, .len = len};
    reader->rest = (struct slice){.data = line.data + len, .len = reader->rest.len - len};
    reader->line++;
    return line;
}

static struct slice without_leading_blanks(struct slice line)
{
    while (line.len > 0 && (line.data[0] == ' ' || line.data[0] == '\t'))
        line = (struct slice){.data = line.data + 1, .len = line.len - 1};
    return line;
}

// Like fgets: reads one line with its newline into `out`; NULL at the end.
static char *read_ini_line(char *out, int size, void *context)
{
    struct file_reader *reader = context;
    if (reader->code != ERROR_NONE || reader->rest.len == 0)
        return NULL;
    struct slice line = without_leading_blanks(next_file_line(reader));
    if (line.len >= (size_t)size) {
        refuse_line(reader, "the line is too long: put its value into the environment");
        return NULL;
    }
    if (line.len > 0 && line.data[0] == '[') {
        refuse_line(reader, "sections are not supported: write name = value lines only");
        return NULL;
    }
    if (line.len > 0)
        memcpy(out, line.data, line.len);
    out[line.len] = '\0';
    return out;
}

// Returns 1 to continue, 0 for an error, as inih requires.
static int handle_ini_pair(void *context, const char *section, const char *name, const char *value)
{
    (void)section;
    struct file_reader *reader = context;
    char where[512];
    int id = option_find(slice_from_string(name));
    // The message for unknown names already quotes them.
    if (id >= 0)
        (void)snprintf(where, sizeof where, "%s:%u: %s", reader->path, reader->line, name);
    else
        (void)snprintf(where, sizeof where, "%s:%u", reader->path, reader->line);
    if (id == OPTION_ID_CONFIG) {
        refuse_line(reader, "config: a file cannot name another");
        return 0;
    }
    const struct setting_given given = {SOURCE_FILE, where, slice_from_string(value)};
    reader->code =
        settings_put_named(reader->settings, slice_from_string(name), &given, reader->error);
    return reader->code == ERROR_NONE;
}

enum error_code settings_read_text(struct settings *settings, const char *path, struct slice text,
                                   struct error *error)
{
    if (utf8_is_other_unicode(text))
        return error_set(error, ERROR_USAGE, "%s: is in UTF-16: save it as UTF-8", path);
    text = utf8_skip_mark(text);
    if (memchr(text.data != NULL ? text.data : "", '\0', text.len) != NULL)
        return error_set(error, ERROR_USAGE, "%s: not a text file: it has a NUL byte", path);
    struct file_reader reader = {.settings = settings, .path = path, .rest = text, .error = error};
    if (&ini_max_line != NULL)
        ini_max_line = FILE_LINE_MAX;
    int first_bad_line = ini_parse_stream(read_ini_line, &reader, handle_ini_pair, &reader);
    if (reader.code != ERROR_NONE)
        return reader.code;
    if (first_bad_line < 0)
        return error_set(error, ERROR_MEMORY, "%s: out of memory", path);
    if (first_bad_line > 0)
        return error_set(error, ERROR_USAGE, "%s:%d: not a \"name = value\" line", path,
                         first_bad_line);
    return ERROR_NONE;
}

enum error_code settings_read_file(struct settings *settings, const char *path, struct error *error)
{
    struct buffer text;
    buffer_init(&text, FILE_SIZE_MAX);
    enum error_code code = file_read(path, &text, error);
    if (code == ERROR_NONE)
        code = settings_read_text(settings, path, buffer_slice(&text), error);
    buffer_release(&text);
    return code;
}

// --- raw settings: precedence of sources, known names ---------------------------------------------

void settings_init(struct settings *settings, struct arena *arena)
{
    *settings = (struct settings){.arena = arena};
}

const char *setting_source_text(enum setting_source source)
{
    static const char *const texts[] = {"default", "default path", "file", "environment", "flag"};
    return texts[source];
}

static char *copy_setting_text(struct arena *arena, struct slice text)
{
    char *copy = arena_allocate(arena, text.len + 1);
    if (copy == NULL)
        return NULL;
    if (text.len > 0)
        memcpy(copy, text.data, text.len);
    copy[text.len] = '\0';
    return copy;
}

static enum error_code refuse_setting_memory(const char *where, struct error *error)
{
    return error_set(error, ERROR_MEMORY, "%s: out of memory", where);
}

// Handles a second value from the same source.
static enum error_code handle_second_value(struct setting *setting, enum option_id id,
                                           const char *where, struct error *error)
{
    if (options[id].type == OPTION_LIST)
        return ERROR_NONE;
    // Among flags the last one wins, as usual; in a file a second line is an error.
    if (setting->source == SOURCE_FILE)
        return error_set(error, ERROR_USAGE, "%s: set before, at %s", where, setting->last->where);
    setting->first = setting->last = NULL;
    return ERROR_NONE;
}

enum error_code settings_put(struct settings *settings, enum option_id id,
                             const struct setting_given *given, struct error *error)
{
    struct setting *setting = &settings->items[id];
    assert(given->source != SOURCE_DEFAULT);
    if (given->source < setting->source)
        return ERROR_NONE;
    if (given->source > setting->source)
        setting->first = setting->last = NULL;
    else if (handle_second_value(setting, id, given->where, error) != ERROR_NONE)
        return ERROR_USAGE;

    struct setting_value *value = arena_allocate(settings->arena, sizeof *value);
    if (value == NULL)
        return refuse_setting_memory(given->where, error);
    *value = (struct setting_value){
        .text = copy_setting_text(settings->arena, given->text),
        .where = copy_setting_text(settings->arena, slice_from_string(given->where)),
    };
    if (value->text == NULL || value->where == NULL)
        return refuse_setting_memory(given->where, error);
    if (setting->last != NULL)
        setting->last->next = value;
    else
        setting->first = value;
    setting->last = value;
    setting->source = given->source;
    return ERROR_NONE;
}

enum error_code settings_put_named(struct settings *settings, struct slice name,
                                   const struct setting_given *given, struct error *error)
{
    int id = option_find(name);
    if (id >= 0)
        return settings_put(settings, (enum option_id)id, given, error);
    const char *nearest = option_nearest_setting(name);
    if (nearest == NULL)
        return error_set(error, ERROR_USAGE, "%s: unknown setting \"%.*s\"", given->where,
                         SLICE_ARGS(name));
    return error_set(error, ERROR_USAGE, "%s: unknown setting \"%.*s\": did you mean \"%s\"?",
                     given->where, SLICE_ARGS(name), nearest);
}

#define VARIABLE_PREFIX "GHATRACE_"
#define VARIABLE_NAME_MAX 128

// "GHATRACE_WEBHOOK_PATH" → "webhook-path".
static struct slice setting_of_variable(const char *variable, char name[VARIABLE_NAME_MAX])
{
    const char *rest = variable + strlen(VARIABLE_PREFIX);
    size_t len = 0;
    for (; rest[len] != '\0' && len < VARIABLE_NAME_MAX; len++)
        name[len] = rest[len] == '_' ? '-' : (char)tolower((unsigned char)rest[len]);
    return (struct slice){.data = name, .len = len};
}

static enum error_code read_variable(struct settings *settings, const char *entry,
                                     struct error *error)
{
    const char *equals = strchr(entry, '=');
    if (equals == NULL || equals[1] == '\0')
        return ERROR_NONE;
    char variable[VARIABLE_NAME_MAX];
    size_t len = (size_t)(equals - entry);
    if (len >= sizeof variable)
        return error_set(error, ERROR_USAGE, "%.40s...: unknown setting", entry);
    memcpy(variable, entry, len);
    variable[len] = '\0';
    char name[VARIABLE_NAME_MAX];
    const struct setting_given given = {SOURCE_ENVIRONMENT, variable,
                                        slice_from_string(equals + 1)};
    return settings_put_named(settings, setting_of_variable(variable, name), &given, error);
}

// Those of commands that ask a daemon (remote.h).
static bool is_command_variable(const char *entry)
{
    static const char *const names[] = {
        "GHATRACE_URL=", "GHATRACE_TOKEN_FILE=", "GHATRACE_CA_FILE="};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (strncmp(entry, names[i], strlen(names[i])) == 0)
            return true;
    return false;
}

enum error_code settings_read_environment(struct settings *settings, char *const *environment,
                                          struct error *error)
{
    char *const *all = environment;
    for (; *environment != NULL; environment++) {
        if (strncmp(*environment, VARIABLE_PREFIX, strlen(VARIABLE_PREFIX)) != 0 ||
            is_command_variable(*environment) || variable_is_injected(*environment, all))
            continue;
        enum error_code code = read_variable(settings, *environment, error);
        if (code != ERROR_NONE)
            return code;
    }
    return ERROR_NONE;
}

// Not one in a folder that may not be searched: it cannot be known whether it is there.
static bool is_there(const char *path)
{
    struct stat status;
    return stat(path, &status) == 0;
}

// NULL: none is there, or there is no memory. Relative paths are invalid (XDG Base Directory Specification, "Basics").
static const char *find_user_file(struct arena *arena, char *const *environment)
{
    const char *folder = environment_get(environment, "XDG_CONFIG_HOME");
    const char *below = "";
    struct slice path;
    if (folder == NULL || folder[0] != '/') {
        folder = environment_get(environment, "HOME");
        below = "/.config";
    }
    if (folder == NULL || folder[0] != '/' ||
        !arena_format(arena, &path, "%s%s/ghatrace/ghatrace.conf%c", folder, below, '\0'))
        return NULL;
    return is_there(path.data) ? path.data : NULL;
}

static enum error_code read_usual_file(struct settings *settings, char *const *environment,
                                       struct error *error)
{
    const char *path = find_user_file(settings->arena, environment);
    if (path == NULL && settings->system_file != NULL && is_there(settings->system_file))
        path = settings->system_file;
    if (path == NULL)
        return ERROR_NONE;
    const struct setting_given given = {SOURCE_SEARCH, path, slice_from_string(path)};
    enum error_code code = settings_put(settings, OPTION_ID_CONFIG, &given, error);
    if (code == ERROR_NONE)
        code = settings_read_file(settings, path, error);
    return code == ERROR_NONE ? code
                              : error_wrap(error, "the default file (--no-config reads none)");
}

enum error_code settings_complete(struct settings *settings, char *const *environment,
                                  struct error *error)
{
    enum error_code code = settings_read_environment(settings, environment, error);
    if (code != ERROR_NONE)
        return code;
    const struct setting_value *config = settings->items[OPTION_ID_CONFIG].last;
    if (config == NULL)
        return read_usual_file(settings, environment, error);
    return config->text[0] == '\0' ? ERROR_NONE : settings_read_file(settings, config->text, error);
}

const char *environment_get(char *const *environment, const char *name)
{
    size_t len = strlen(name);
    for (; *environment != NULL; environment++) {
        const char *entry = *environment;
        if (strncmp(entry, name, len) == 0 && entry[len] == '=')
            return entry[len + 1] == '\0' ? NULL : entry + len + 1;
    }
    return NULL;
}

// --- variables that an orchestrator adds ---------------------------------------------------------

#define OWN_NAME SLICE("GHATRACE")

static struct slice first_bytes(struct slice s, size_t len)
{
    return (struct slice){.data = s.data, .len = len};
}

static struct slice bytes_after(struct slice s, size_t len)
{
    return (struct slice){.data = s.data + len, .len = s.len - len};
}

// --- variables that an orchestrator adds: values -------------------------------------------------

static bool is_ip(struct slice text)
{
    struct net_ip ip;
    return net_ip_parse(text, &ip);
}

static bool is_port_value(struct slice text)
{
    long long number;
    return slice_parse_int64(text, &number) && number > 0 && number <= 65535;
}

static bool is_protocol(struct slice text)
{
    return slice_equals_ignoring_case(text, SLICE("tcp")) ||
           slice_equals_ignoring_case(text, SLICE("udp")) ||
           slice_equals_ignoring_case(text, SLICE("sctp"));
}

// "10.0.0.1:80"; IPv6 with brackets, or, from Docker, without.
static bool is_ip_and_port(struct slice text)
{
    const char *colon = text.len > 0 ? memrchr(text.data, ':', text.len) : NULL;
    if (colon == NULL)
        return false;
    struct slice host = first_bytes(text, (size_t)(colon - text.data));
    if (!is_port_value(bytes_after(text, host.len + 1)))
        return false;
    if (slice_starts_with(host, SLICE("[")) && slice_ends_with(host, SLICE("]")))
        host = (struct slice){.data = host.data + 1, .len = host.len - 2};
    return is_ip(host);
}

static bool is_url(struct slice text)
{
    ptrdiff_t colon = slice_find(text, SLICE("://"));
    return colon > 0 && is_protocol(first_bytes(text, (size_t)colon)) &&
           is_ip_and_port(bytes_after(text, (size_t)colon + 3));
}

// --- variables that an orchestrator adds: names --------------------------------------------------

static bool is_service(struct slice name)
{
    return slice_equals(name, OWN_NAME) || slice_starts_with(name, SLICE("GHATRACE_"));
}

// "GHATRACE_SERVICE_HOST" with suffix "_SERVICE_HOST" → the service "GHATRACE".
static bool ends_in(struct slice name, struct slice suffix, struct slice *rest)
{
    if (!slice_ends_with(name, suffix))
        return false;
    *rest = first_bytes(name, name.len - suffix.len);
    return true;
}

// "X_PORT_8080_TCP", where X is a service.
static bool is_port_of_service(struct slice name)
{
    const char *low = memrchr(name.data, '_', name.len);
    if (low == NULL || !is_protocol(bytes_after(name, (size_t)(low - name.data) + 1)))
        return false;
    name = first_bytes(name, (size_t)(low - name.data));
    low = memrchr(name.data, '_', name.len);
    if (low == NULL || !is_port_value(bytes_after(name, (size_t)(low - name.data) + 1)))
        return false;
    name = first_bytes(name, (size_t)(low - name.data));
    return ends_in(name, SLICE("_PORT"), &name) && is_service(name);
}

// "X_SERVICE_PORT_HTTP": the port may have any name, even one that contains these words.
static bool is_named_port(struct slice name)
{
    static const struct slice middle = {.data = "_SERVICE_PORT_", .len = 14};
    for (size_t at = 0; at + middle.len < name.len; at++) {
        if (slice_starts_with(bytes_after(name, at), middle) && is_service(first_bytes(name, at)))
            return true;
    }
    return false;
}

static bool is_port_variable(struct slice name, struct slice value)
{
    static const struct {
        struct slice suffix;
        bool (*is_value)(struct slice);
    } forms[] = {
        {{"_PORT_START", 11}, is_port_value},
        {{"_PORT_END", 9}, is_port_value},
        {{"_START", 6}, is_url},
        {{"_END", 4}, is_url},
        {{"_PROTO", 6}, is_protocol},
        {{"_PORT", 5}, is_port_value},
        {{"_ADDR", 5}, is_ip},
        {{"", 0}, is_url},
    };
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        struct slice rest;
        if (ends_in(name, forms[i].suffix, &rest) && is_port_of_service(rest))
            return forms[i].is_value(value);
    }
    return false;
}

// --- variables that an orchestrator adds: Docker's links -----------------------------------------

// Compares with the prefix that Docker derives from a container's alias.
static bool is_alias_of(struct slice service, struct slice alias)
{
    if (service.len != alias.len)
        return false;
    for (size_t i = 0; i < alias.len; i++) {
        char c = alias.data[i];
        char upper = c == '-' ? '_' : c >= 'a' && c <= 'z' ? (char)(c - 'a' + 'A') : c;
        if (upper != service.data[i])
            return false;
    }
    return true;
}

// "X_NAME=/web/x": our own setting service-name is GHATRACE_SERVICE_NAME, so the value decides.
static bool is_link_name(struct slice name, struct slice value)
{
    struct slice service;
    if (!ends_in(name, SLICE("_NAME"), &service) || !is_service(service) ||
        !slice_starts_with(value, SLICE("/")))
        return false;
    const char *slash = memrchr(value.data, '/', value.len);
    return slash != value.data &&
           is_alias_of(service, bytes_after(value, (size_t)(slash - value.data) + 1));
}

static bool split_entry(const char *entry, struct slice *name, struct slice *value)
{
    const char *equals = strchr(entry, '=');
    if (equals == NULL)
        return false;
    *name = (struct slice){.data = entry, .len = (size_t)(equals - entry)};
    *value = slice_from_string(equals + 1);
    return true;
}

static bool is_linked(struct slice service, char *const *environment)
{
    for (; *environment != NULL; environment++) {
        struct slice name, value;
        if (split_entry(*environment, &name, &value) && is_link_name(name, value) &&
            name.len == service.len + SLICE("_NAME").len && slice_starts_with(name, service))
            return true;
    }
    return false;
}

// "X_ENV_PATH=...": a variable of the linked container.
static bool is_of_linked(struct slice name, char *const *environment)
{
    for (size_t at = OWN_NAME.len; at < name.len; at++) {
        if (slice_starts_with(bytes_after(name, at), SLICE("_ENV_")) &&
            is_linked(first_bytes(name, at), environment))
            return true;
    }
    return false;
}

bool variable_is_injected(const char *entry, char *const *environment)
{
    struct slice name, value, rest;
    if (!split_entry(entry, &name, &value))
        return false;
    if (ends_in(name, SLICE("_SERVICE_HOST"), &rest) && is_service(rest) && is_ip(value))
        return true;
    if (ends_in(name, SLICE("_SERVICE_PORT"), &rest) && is_service(rest) && is_port_value(value))
        return true;
    if (ends_in(name, SLICE("_PORT"), &rest) && is_service(rest) && is_url(value))
        return true;
    if (is_named_port(name) && is_port_value(value))
        return true;
    return is_port_variable(name, value) || is_link_name(name, value) ||
           is_of_linked(name, environment);
}
