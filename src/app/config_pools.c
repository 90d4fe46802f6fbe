// Rules for pools of runners: runner-pool and runner-label-ignore.
#include "config.h"
#include "ghatrace/base/glob.h"
#include "ghatrace/stats/pool_rules.h"

// A value "NAME: GLOB GLOB", or several separated by ';': the environment has one value for a setting.
#define RULE_SEPARATOR ";"

// What the values of one of the two settings are read into.
struct rule_reader {
    const char *where; // the setting and its source, for messages
    struct arena *arena;
    struct pool_rules *rules;
};

static enum error_code refuse_memory_for_pools(const struct rule_reader *reader,
                                               struct error *error)
{
    return error_set(error, ERROR_MEMORY, "%s: out of memory", reader->where);
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == ',';
}

// The next word of a list that is separated by commas and blanks; empty at the end.
static struct slice take_word(struct slice *rest)
{
    size_t len = 0;
    while (rest->len > 0 && is_blank(rest->data[0]))
        *rest = slice_skip(*rest, 1);
    while (len < rest->len && !is_blank(rest->data[len]))
        len++;
    struct slice word = {rest->data, len};
    *rest = slice_skip(*rest, len);
    return word;
}

static struct slice take_rule(struct slice *rest)
{
    ptrdiff_t end = slice_find(*rest, SLICE(RULE_SEPARATOR));
    struct slice rule = {rest->data, end >= 0 ? (size_t)end : rest->len};
    *rest = slice_skip(*rest, end >= 0 ? rule.len + 1 : rule.len);
    return rule;
}

static enum error_code check_label_glob(struct slice glob, const char *where, struct error *error)
{
    const char *fault = glob_fault(glob);
    if (slice_starts_with(glob, SLICE("!")))
        return error_set(error, ERROR_USAGE,
                         "%s: \"%.*s\" begins with !, but nothing can be excluded here", where,
                         SLICE_ARGS(glob));
    if (fault != NULL)
        return error_set(error, ERROR_USAGE, "%s: \"%.*s\" has %s; a comma or a blank ends a glob",
                         where, SLICE_ARGS(glob), fault);
    return ERROR_NONE;
}

// The globs of a text, in the arena.
static enum error_code read_label_globs(const struct rule_reader *reader, struct slice text,
                                        const struct slice **globs, size_t *count,
                                        struct error *error)
{
    struct slice *list = arena_allocate_array(reader->arena, text.len + 1, sizeof *list);
    *count = 0;
    *globs = list;
    if (list == NULL)
        return refuse_memory_for_pools(reader, error);
    for (struct slice glob; (glob = take_word(&text)).len > 0;) {
        enum error_code code = check_label_glob(glob, reader->where, error);
        if (code != ERROR_NONE)
            return code;
        list[(*count)++] = glob;
    }
    return ERROR_NONE;
}

static enum error_code read_pool_rule(const struct rule_reader *reader, struct slice text,
                                      struct pool_rule *rule, struct error *error)
{
    const char *where = reader->where;
    ptrdiff_t colon = slice_find(text, SLICE(":"));
    if (colon < 0)
        return error_set(error, ERROR_USAGE, "%s: \"%.*s\" has no colon: write NAME: GLOB", where,
                         SLICE_ARGS(text));
    struct slice name = {text.data, (size_t)colon};
    rule->name = take_word(&name);
    const char *fault = take_word(&name).len > 0 ? "the name of a pool has a blank or a comma"
                                                 : pool_rule_name_fault(rule->name);
    if (fault != NULL)
        return error_set(error, ERROR_USAGE, "%s: \"%.*s\": %s", where, SLICE_ARGS(text), fault);
    enum error_code code = read_label_globs(reader, slice_skip(text, (size_t)colon + 1),
                                            &rule->globs, &rule->glob_count, error);
    if (code == ERROR_NONE && rule->glob_count == 0)
        return error_set(error, ERROR_USAGE,
                         "%s: \"%.*s\" has no glob: write which labels the pool has", where,
                         SLICE_ARGS(text));
    return code;
}

static size_t count_rules(const struct text_list *list)
{
    size_t count = 0;
    for (size_t i = 0; i < list->count; i++)
        for (struct slice rest = list->items[i]; rest.len > 0; count++)
            (void)take_rule(&rest);
    return count;
}

static enum error_code read_pool_rules(const struct rule_reader *reader,
                                       const struct text_list *list, struct error *error)
{
    struct pool_rules *rules = reader->rules;
    struct pool_rule *found =
        arena_allocate_array(reader->arena, count_rules(list) + 1, sizeof *found);
    if (found == NULL)
        return refuse_memory_for_pools(reader, error);
    rules->rules = found;
    for (size_t i = 0; i < list->count; i++)
        for (struct slice rest = list->items[i]; rest.len > 0;) {
            struct slice text = take_rule(&rest);
            struct slice words = text;
            if (take_word(&words).len == 0)
                continue;
            enum error_code code = read_pool_rule(reader, text, &found[rules->count], error);
            if (code != ERROR_NONE)
                return code;
            rules->count++;
        }
    return ERROR_NONE;
}

static enum error_code read_ignored(const struct rule_reader *reader, const struct text_list *list,
                                    struct error *error)
{
    size_t len = 1, at = 0;
    for (size_t i = 0; i < list->count; i++)
        len += list->items[i].len + 1;
    char *all = arena_allocate(reader->arena, len);
    if (all == NULL)
        return refuse_memory_for_pools(reader, error);
    for (size_t i = 0; i < list->count; i++) {
        memcpy(all + at, list->items[i].data, list->items[i].len);
        at += list->items[i].len;
        all[at++] = ' ';
    }
    return read_label_globs(reader, (struct slice){all, at}, &reader->rules->ignored,
                            &reader->rules->ignored_count, error);
}

enum error_code config_read_pools(struct config *config, const struct config_pool_sources *sources,
                                  struct arena *arena, struct error *error)
{
    struct pool_rules *rules = &config->engine.pool_rules;
    const struct rule_reader pools = {sources->pools, arena, rules};
    const struct rule_reader ignored = {sources->ignored, arena, rules};
    enum error_code code = ERROR_NONE;
    if (config->runner_pools.count > 0)
        code = read_pool_rules(&pools, &config->runner_pools, error);
    if (code == ERROR_NONE && config->ignored_labels.count > 0)
        code = read_ignored(&ignored, &config->ignored_labels, error);
    if (code == ERROR_NONE && rules->count > config->engine.max_pools)
        return error_set(error, ERROR_USAGE,
                         "%s: more pools are named than metrics-max-pools allows", sources->pools);
    return code;
}
