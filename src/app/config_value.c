// One setting's text as the type that its option asks for.
#include "ghatrace/app/config.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define SHOWN_MAX 60 // bytes of a wrong value that a message repeats

#define QUOTED "\"%.*s\""
#define QUOTED_ARGS(text) (int)((text).len < SHOWN_MAX ? (text).len : SHOWN_MAX), (text).data

// The digits and the unit of "25MiB".
static bool split_unit(struct slice text, struct slice *digits, struct slice *unit)
{
    size_t len = 0;
    while (len < text.len && text.data[len] >= '0' && text.data[len] <= '9')
        len++;
    *digits = (struct slice){.data = text.data, .len = len};
    *unit = slice_trim((struct slice){.data = text.data + len, .len = text.len - len});
    return len > 0;
}

bool size_parse(struct slice text, uint64_t *bytes)
{
    static const struct {
        const char *unit;
        int shift;
    } units[] = {{"", 0}, {"B", 0}, {"KiB", 10}, {"MiB", 20}, {"GiB", 30}};
    struct slice digits, unit;
    long long number;
    if (!split_unit(text, &digits, &unit) || !slice_parse_int64(digits, &number))
        return false;
    for (size_t i = 0; i < sizeof units / sizeof units[0]; i++) {
        if (!slice_equals(unit, slice_from_string(units[i].unit)))
            continue;
        if (number > (INT64_MAX >> units[i].shift))
            return false;
        *bytes = (uint64_t)number << units[i].shift;
        return true;
    }
    return false;
}

static bool parse_switch(struct slice text, bool *value)
{
    static const struct {
        const char *word;
        bool value;
    } words[] = {{"on", true},   {"true", true},   {"yes", true}, {"1", true},
                 {"off", false}, {"false", false}, {"no", false}, {"0", false}};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        if (slice_equals_ignoring_case(text, slice_from_string(words[i].word))) {
            *value = words[i].value;
            return true;
        }
    }
    return false;
}

char *size_format(uint64_t bytes, char text[TIMESTAMP_TEXT_SIZE])
{
    static const char *const units[] = {"B", "KiB", "MiB", "GiB"};
    size_t unit = 0;
    while (unit < 3 && bytes > 0 && bytes % 1024 == 0) {
        bytes /= 1024;
        unit++;
    }
    (void)snprintf(text, TIMESTAMP_TEXT_SIZE, "%" PRIu64 "%s", bytes, units[unit]);
    return text;
}

// A bound as its option would have it written.
static const char *format_bound(const struct option *option, int64_t bound,
                                char text[TIMESTAMP_TEXT_SIZE])
{
    if (option->type == OPTION_DURATION)
        return duration_format(bound, text);
    if (option->type == OPTION_SIZE)
        return size_format((uint64_t)bound, text);
    (void)snprintf(text, TIMESTAMP_TEXT_SIZE, "%" PRId64, bound);
    return text;
}

static enum error_code check_bounds(const struct option *option, const struct setting_value *value,
                                    int64_t number, struct error *error)
{
    char bound[TIMESTAMP_TEXT_SIZE];
    if (number < option->least)
        return error_set(error, ERROR_USAGE, "%s: %.60s is too small: the least is %s",
                         value->where, value->text, format_bound(option, option->least, bound));
    if (number > option->most)
        return error_set(error, ERROR_USAGE, "%s: %.60s is too large: the most is %s%s%s",
                         value->where, value->text, format_bound(option, option->most, bound),
                         option->why_most != NULL ? ", beyond which " : "",
                         option->why_most != NULL ? option->why_most : "");
    return ERROR_NONE;
}

static enum error_code convert_number(const struct option *option,
                                      const struct setting_value *value, void *field,
                                      struct error *error)
{
    struct slice text = slice_trim(slice_from_string(value->text));
    uint64_t size = 0;
    duration_ns duration = 0;
    long long count = 0;
    const char *hint;
    switch (option->type) {
    case OPTION_SIZE:
        hint = size_parse(text, &size) ? NULL : "a size: write a number and B, KiB, MiB or GiB";
        break;
    case OPTION_DURATION:
        hint =
            duration_parse(text, &duration) ? NULL : "a time: write a number and ms, s, m, h or d";
        break;
    default:
        hint = slice_parse_int64(text, &count) && count >= 0 ? NULL : "a whole number";
        size = (uint64_t)count;
        break;
    }
    if (hint != NULL)
        return error_set(error, ERROR_USAGE, "%s: " QUOTED " is not %s", value->where,
                         QUOTED_ARGS(text), hint);
    if (option->type == OPTION_DURATION)
        *(duration_ns *)field = duration;
    else
        *(uint64_t *)field = size;
    return check_bounds(option, value, option->type == OPTION_DURATION ? duration : (int64_t)size,
                        error);
}

static enum error_code convert_choice(const struct option *option,
                                      const struct setting_value *value, void *field,
                                      struct error *error)
{
    struct slice text = slice_trim(slice_from_string(value->text));
    int position = option_choice_find(option->values, text);
    if (position < 0)
        return error_set(error, ERROR_USAGE, "%s: " QUOTED " is not one of %s", value->where,
                         QUOTED_ARGS(text), option->values);
    *(unsigned *)field = (unsigned)position;
    return ERROR_NONE;
}

static enum error_code convert_list(const struct setting *setting, struct arena *arena, void *field,
                                    struct error *error)
{
    size_t count = 0;
    for (const struct setting_value *v = setting->first; v != NULL; v = v->next)
        count++;
    struct slice *items = arena_allocate_array(arena, count, sizeof *items);
    if (items == NULL)
        return error_set(error, ERROR_MEMORY, "%s: out of memory", setting->first->where);
    size_t i = 0;
    for (const struct setting_value *v = setting->first; v != NULL; v = v->next)
        items[i++] = slice_from_string(v->text);
    *(struct text_list *)field = (struct text_list){.items = items, .count = count};
    return ERROR_NONE;
}

enum error_code config_convert(const struct option *option, const struct setting *setting,
                               struct arena *arena, void *field, struct error *error)
{
    for (const struct setting_value *v = setting->first; v != NULL; v = v->next) {
        if (v->text[0] == '\0' && !option->may_be_empty)
            return error_set(error, ERROR_USAGE, "%s: has no value", v->where);
    }
    const struct setting_value *value = setting->last;
    switch (option->type) {
    case OPTION_TEXT:
        *(const char **)field = value->text;
        return ERROR_NONE;
    case OPTION_SWITCH:
        if (!parse_switch(slice_trim(slice_from_string(value->text)), field))
            return error_set(error, ERROR_USAGE, "%s: \"%.60s\" is neither on nor off",
                             value->where, value->text);
        return ERROR_NONE;
    case OPTION_CHOICE:
        return convert_choice(option, value, field, error);
    case OPTION_LIST:
        return convert_list(setting, arena, field, error);
    case OPTION_COUNT:
    case OPTION_SIZE:
    case OPTION_DURATION:
        return convert_number(option, value, field, error);
    }
    return error_set(error, ERROR_USAGE, "%s: has no type", value->where);
}
