// Rules for pools of runners: runner-pool, runner-label-ignore and runner-ceiling.
#include "config.h"
#include "ghatrace/stats/pool_rules.h"

// What the values of runner-pool, "NAME: GLOB GLOB; ...", are read into.
struct rule_reader {
    const char *where; // the setting and its source, for messages
    struct arena *arena;
    struct pool_rules *rules;
};

static enum error_code check_label_glob(struct slice glob, const char *where, struct error *error)
{
    if (slice_starts_with(glob, SLICE("!")))
        return error_set(error, ERROR_USAGE,
                         "%s: \"%.*s\" begins with !, but nothing can be excluded here", where,
                         SLICE_ARGS(glob));
    return config_check_glob(glob, where, error);
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
    rule->name = config_next_word(&name);
    const char *fault = config_next_word(&name).len > 0
                            ? "the name of a pool has a blank or a comma"
                            : pool_rule_name_fault(rule->name);
    if (fault != NULL)
        return error_set(error, ERROR_USAGE, "%s: \"%.*s\": %s", where, SLICE_ARGS(text), fault);
    struct slice rest = slice_skip(text, (size_t)colon + 1);
    struct text_list globs = {.items = &rest, .count = 1};
    enum error_code code =
        config_split_globs(&globs, where, check_label_glob, reader->arena, error);
    if (code != ERROR_NONE)
        return code;
    rule->globs = globs.items;
    rule->glob_count = globs.count;
    if (globs.count == 0)
        return error_set(error, ERROR_USAGE,
                         "%s: \"%.*s\" has no glob: write which labels the pool has", where,
                         SLICE_ARGS(text));
    return ERROR_NONE;
}

static size_t count_rules(const struct text_list *list)
{
    size_t count = 0;
    for (size_t i = 0; i < list->count; i++)
        for (struct slice rest = list->items[i]; rest.len > 0; count++)
            (void)config_next_rule(&rest);
    return count;
}

static enum error_code read_pool_rules(const struct rule_reader *reader,
                                       const struct text_list *list, struct error *error)
{
    struct pool_rules *rules = reader->rules;
    struct pool_rule *found =
        arena_allocate_array(reader->arena, count_rules(list) + 1, sizeof *found);
    if (found == NULL)
        return error_set(error, ERROR_MEMORY, "%s: out of memory", reader->where);
    rules->rules = found;
    for (size_t i = 0; i < list->count; i++)
        for (struct slice rest = list->items[i]; rest.len > 0;) {
            struct slice text = config_next_rule(&rest);
            struct slice words = text;
            if (config_next_word(&words).len == 0)
                continue;
            enum error_code code = read_pool_rule(reader, text, &found[rules->count], error);
            if (code != ERROR_NONE)
                return code;
            rules->count++;
        }
    return ERROR_NONE;
}

// --- ceilings -------------------------------------------------------------------------------------

#define CEILINGS_MAX 16

static enum error_code refuse_ceiling(const char *where, struct slice text, const char *fault,
                                      struct error *error)
{
    return error_set(error, ERROR_USAGE, "%s: \"%.*s\": %s", where, SLICE_ARGS(text), fault);
}

static struct slice take_until_colon(struct slice *rest)
{
    ptrdiff_t colon = slice_find(*rest, SLICE(":"));
    struct slice part = {rest->data, colon >= 0 ? (size_t)colon : 0};
    *rest = slice_skip(*rest, colon >= 0 ? part.len + 1 : rest->len);
    return part;
}

static const char *read_ceiling_head(struct slice *rest, struct ceiling_rule *rule)
{
    struct slice name = take_until_colon(rest), limit = take_until_colon(rest);
    long long most;
    rule->name = config_next_word(&name);
    struct slice number = config_next_word(&limit);
    if (config_next_word(&name).len > 0 || pool_rule_name_fault(rule->name) != NULL)
        return "write NAME: LIMIT: GLOB, with a name of letters, digits, '-', '_' and '.'";
    if (config_next_word(&limit).len > 0 || !slice_parse_int64(number, &most) || most < 1 ||
        most > 1000000)
        return "write NAME: LIMIT: GLOB, with a limit from 1 to 1000000";
    rule->limit = (uint64_t)most;
    return NULL;
}

static enum error_code read_ceiling(struct slice text, const char *where, struct arena *arena,
                                    struct ceiling_rule *rule, struct error *error)
{
    struct slice rest = text;
    const char *fault = read_ceiling_head(&rest, rule);
    if (fault != NULL)
        return refuse_ceiling(where, text, fault, error);
    struct text_list globs = {.items = &rest, .count = 1};
    enum error_code code = config_split_globs(&globs, where, config_check_glob, arena, error);
    if (code != ERROR_NONE)
        return code;
    if (!config_globs_select_any(&globs))
        return refuse_ceiling(where, text, "it has no glob: write which labels share the limit",
                              error);
    rule->globs = (struct runner_globs){globs.items, globs.count};
    return ERROR_NONE;
}

static bool has_ceiling(const struct ceiling_rule *rules, size_t count, struct slice name)
{
    for (size_t i = 0; i < count; i++)
        if (slice_equals_ignoring_case(rules[i].name, name))
            return true;
    return false;
}

static enum error_code read_ceilings(const struct text_list *list, const char *where,
                                     struct arena *arena, struct ceiling_rules *rules,
                                     struct error *error)
{
    struct ceiling_rule *found = arena_allocate_array(arena, CEILINGS_MAX, sizeof *found);
    if (found == NULL)
        return error_set(error, ERROR_MEMORY, "%s: out of memory", where);
    rules->rules = found;
    for (size_t i = 0; i < list->count; i++)
        for (struct slice rest = list->items[i]; rest.len > 0;) {
            struct slice text = config_next_rule(&rest), words = text;
            if (config_next_word(&words).len == 0)
                continue;
            if (rules->count == CEILINGS_MAX)
                return refuse_ceiling(where, text, "there are more than 16 ceilings", error);
            struct ceiling_rule *rule = &found[rules->count];
            enum error_code code = read_ceiling(text, where, arena, rule, error);
            if (code != ERROR_NONE)
                return code;
            if (has_ceiling(found, rules->count, rule->name))
                return refuse_ceiling(where, text, "another ceiling has this name", error);
            rules->count++;
        }
    return ERROR_NONE;
}

enum error_code config_read_pools(struct config *config, const struct config_pool_sources *sources,
                                  struct arena *arena, struct error *error)
{
    struct pool_rules *rules = &config->engine.pool_rules;
    const struct rule_reader reader = {sources->pools, arena, rules};
    struct text_list ignored = config->ignored_labels;
    enum error_code code = ERROR_NONE;
    if (config->runner_pools.count > 0)
        code = read_pool_rules(&reader, &config->runner_pools, error);
    if (code == ERROR_NONE && config->runner_ceilings.count > 0)
        code = read_ceilings(&config->runner_ceilings, sources->ceilings, arena,
                             &config->pools.ceilings, error);
    if (code == ERROR_NONE)
        code = config_split_globs(&ignored, sources->ignored, check_label_glob, arena, error);
    if (code != ERROR_NONE)
        return code;
    rules->ignored = ignored.items;
    rules->ignored_count = ignored.count;
    if (rules->count > config->engine.max_pools)
        return error_set(error, ERROR_USAGE,
                         "%s: more pools are named than metrics-max-pools allows", sources->pools);
    return ERROR_NONE;
}
