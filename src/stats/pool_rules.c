// Rules that name pools and leave labels out of them.
#include "ghatrace/stats/pool_rules.h"

#include <string.h>

#include "ghatrace/base/glob.h"

static bool matches_one(const struct slice *globs, size_t count, struct slice label)
{
    for (size_t i = 0; i < count; i++)
        if (glob_matches(globs[i], label))
            return true;
    return false;
}

// The first rule that matches is the one with the lowest index, over all labels. `best`: the lowest so far.
static size_t first_rule_of(const struct pool_rules *rules, struct slice label, size_t best)
{
    for (size_t i = 0; i < best; i++)
        if (matches_one(rules->rules[i].globs, rules->rules[i].glob_count, label))
            return i;
    return best;
}

// `rules->count`: none.
static size_t rule_named(const struct pool_rules *rules, struct slice name)
{
    size_t i = 0;
    while (i < rules->count && !slice_equals_ignoring_case(rules->rules[i].name, name))
        i++;
    return i;
}

void pool_rules_choose(const struct pool_rules *rules, struct slice labels,
                       char room[LABELS_TEXT_MAX], struct pool_choice *choice)
{
    char text[LABELS_TEXT_MAX];
    struct slice rest = labels, label;
    size_t len = 0, best = rules != NULL ? rules->count : 0;
    bool has_ignored = false;
    *choice = (struct pool_choice){.shown = labels, .asked = labels};
    if (rules == NULL || (rules->count == 0 && rules->ignored_count == 0) ||
        labels.len > LABELS_TEXT_MAX)
        return;
    for (struct slice before = rest; labels_next(&rest, text, &label); before = rest) {
        size_t escaped = before.len - rest.len - (rest.len > 0 ? 1 : 0); // without its comma
        best = first_rule_of(rules, label, best);
        if (matches_one(rules->ignored, rules->ignored_count, label)) {
            has_ignored = true;
            continue;
        }
        if (len > 0)
            room[len++] = ',';
        memcpy(room + len, before.data, escaped);
        len += escaped;
    }
    if (has_ignored)
        choice->shown = choice->asked = (struct slice){room, len};
    if (best == rules->count)
        best = rule_named(rules, choice->shown);
    choice->is_rule = best < rules->count;
    if (choice->is_rule)
        choice->shown = rules->rules[best].name;
}

bool pool_rules_have(const struct pool_rules *rules, struct slice name)
{
    return rules != NULL && rule_named(rules, name) < rules->count;
}

static bool is_pool_name_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '.';
}

const char *pool_rule_name_fault(struct slice name)
{
    if (name.len == 0)
        return "the name of the pool is missing";
    if (name.len > POOL_RULE_NAME_MAX)
        return "the name of the pool is longer than 64 characters";
    for (size_t i = 0; i < name.len; i++)
        if (!is_pool_name_char(name.data[i]))
            return "the name of a pool has letters, digits, '-', '_' and '.' only";
    return NULL;
}
