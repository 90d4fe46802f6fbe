// Rules that name pools and leave labels out of them. Pure.
//
// A pool is the set of labels that jobs request. Two settings change which jobs share one:
//
//   runner-label-ignore   labels that one of these globs matches are left out of the set: those that hold an id
//   runner-pool           a name, and globs: a job is in the pool of the first rule of which a glob matches one of
//                         its labels, whatever other labels it has
//
// The one name of a pool, in every list, URL and metric, is that of its rule; else its labels, lower case, sorted and
// joined by commas, where a comma or backslash inside a label is escaped (trace/labels.h). Pools with the same name in
// any case are one pool: the label "gpu" alone is in the pool of the rule "gpu".
#ifndef GHATRACE_STATS_POOL_RULES_H
#define GHATRACE_STATS_POOL_RULES_H

#include <stdbool.h>
#include <stddef.h>

#include "ghatrace/base/slice.h"
#include "ghatrace/trace/labels.h"

#define POOL_RULE_NAME_MAX 64 // bytes

struct pool_rule {
    struct slice name; // letters, digits, '-', '_' and '.'
    const struct slice *globs;
    size_t glob_count;
};

// The texts are the caller's. All zero: no rules.
struct pool_rules {
    const struct pool_rule *rules; // several may have the same name
    size_t count;
    const struct slice *ignored; // globs on labels
    size_t ignored_count;
};

// Which pool a set of labels is in.
struct pool_choice {
    struct slice shown; // the rule's name; else the labels
    struct slice asked; // the labels that are not ignored, as returned by labels_join()
    bool is_rule;
};

// `labels`: as returned by labels_join(); rules see no more of them than this text has. `rules` may be NULL. The texts
// point into `labels`, `room` or the rules.
void pool_rules_choose(const struct pool_rules *rules, struct slice labels,
                       char room[LABELS_TEXT_MAX], struct pool_choice *choice);
// True if a rule has this name, in any case.
bool pool_rules_have(const struct pool_rules *rules, struct slice name);
// Describes what is wrong with the name of a rule; NULL: nothing.
const char *pool_rule_name_fault(struct slice name);

#endif
