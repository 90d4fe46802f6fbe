// Raw settings: which source wins, which names there are.
#include "ghatrace/app/settings.h"

#include <ctype.h>
#include <string.h>

#include "ghatrace/app/config.h"
#include "ghatrace/app/injected.h"

void settings_init(struct settings *settings, struct arena *arena)
{
    *settings = (struct settings){.arena = arena};
}

const char *setting_source_text(enum setting_source source)
{
    static const char *const texts[] = {"default", "file", "environment", "flag"};
    return texts[source];
}

static char *copy_text(struct arena *arena, struct slice text)
{
    char *copy = arena_allocate(arena, text.len + 1);
    if (copy == NULL)
        return NULL;
    if (text.len > 0)
        memcpy(copy, text.data, text.len);
    copy[text.len] = '\0';
    return copy;
}

static enum error_code refuse_memory(const char *where, struct error *error)
{
    return error_set(error, ERROR_MEMORY, "%s: out of memory", where);
}

// A value of the same source as the one that is there.
static enum error_code meet_equal(struct setting *setting, enum option_id id, const char *where,
                                  struct error *error)
{
    if (options[id].type == OPTION_LIST)
        return ERROR_NONE;
    // Among flags the last one wins, as everywhere; in a file a second line is a slip.
    if (setting->source == SOURCE_FILE)
        return error_set(error, ERROR_USAGE, "%s: set before, at %s", where, setting->last->where);
    setting->first = setting->last = NULL;
    return ERROR_NONE;
}

enum error_code settings_put(struct settings *settings, enum option_id id,
                             enum setting_source source, const char *where, struct slice text,
                             struct error *error)
{
    struct setting *setting = &settings->items[id];
    if (source < setting->source)
        return ERROR_NONE;
    if (source > setting->source)
        setting->first = setting->last = NULL;
    else if (meet_equal(setting, id, where, error) != ERROR_NONE)
        return ERROR_USAGE;

    struct setting_value *value = arena_allocate(settings->arena, sizeof *value);
    if (value == NULL)
        return refuse_memory(where, error);
    *value = (struct setting_value){
        .text = copy_text(settings->arena, text),
        .where = copy_text(settings->arena, slice_from_string(where)),
    };
    if (value->text == NULL || value->where == NULL)
        return refuse_memory(where, error);
    if (setting->last != NULL)
        setting->last->next = value;
    else
        setting->first = value;
    setting->last = value;
    setting->source = source;
    return ERROR_NONE;
}

enum error_code settings_put_named(struct settings *settings, struct slice name,
                                   enum setting_source source, const char *where, struct slice text,
                                   struct error *error)
{
    int id = option_find(name);
    if (id >= 0)
        return settings_put(settings, (enum option_id)id, source, where, text, error);
    const char *nearest = option_nearest_setting(name);
    if (nearest == NULL)
        return error_set(error, ERROR_USAGE, "%s: unknown setting \"%.*s\"", where,
                         SLICE_ARGS(name));
    return error_set(error, ERROR_USAGE, "%s: unknown setting \"%.*s\": did you mean \"%s\"?",
                     where, SLICE_ARGS(name), nearest);
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
    return settings_put_named(settings, setting_of_variable(variable, name), SOURCE_ENVIRONMENT,
                              variable, slice_from_string(equals + 1), error);
}

enum error_code settings_read_environment(struct settings *settings, char *const *environment,
                                          struct error *error)
{
    char *const *all = environment;
    for (; *environment != NULL; environment++) {
        if (strncmp(*environment, VARIABLE_PREFIX, strlen(VARIABLE_PREFIX)) != 0 ||
            variable_is_injected(*environment, all))
            continue;
        enum error_code code = read_variable(settings, *environment, error);
        if (code != ERROR_NONE)
            return code;
    }
    return ERROR_NONE;
}

enum error_code settings_complete(struct settings *settings, char *const *environment,
                                  struct error *error)
{
    enum error_code code = settings_read_environment(settings, environment, error);
    if (code != ERROR_NONE)
        return code;
    const struct setting_value *config = settings->items[OPTION_ID_CONFIG].last;
    return config == NULL ? ERROR_NONE : settings_read_file(settings, config->text, error);
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
