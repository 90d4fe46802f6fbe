// The labels that a job requests (`runs-on`), as one text. Pure.
//
// GitHub ignores case (ASCII), order and repetition when it compares labels: jobs with `linux` and `x64` wait for the
// same runners as jobs with `X64` and `Linux`. So a set of labels has two texts: the display text keeps the spelling,
// the identity does not.
//
// Both are the labels joined by ','. A comma or a backslash inside a label is escaped with a backslash: the one label
// "a,b" is `a\,b`, the labels "a" and "b" are `a,b`.
#ifndef GHATRACE_TRACE_LABELS_H
#define GHATRACE_TRACE_LABELS_H

#include <stdbool.h>
#include <stddef.h>

#include "ghatrace/base/arena.h"
#include "ghatrace/base/slice.h"

#define LABELS_TEXT_MAX 256 // of either text, in bytes

// The display text, independent of the order of `labels`: sorted by bytes, without duplicates; of spellings that
// differ only in case, the first by bytes is used. Empty labels are left out; the result is empty if there are none.
// Labels that do not fit are dropped in the order of identity; the last one may be truncated at a character boundary.
// Points into a single label or into the arena. False if out of memory.
bool labels_join(const struct slice *labels, size_t count, struct arena *arena,
                 struct slice *joined) MUST_CHECK;

// The identity of a set, from any of its display texts: equal for sets that GitHub considers the same. Points into
// `room`, or is `joined` itself.
struct slice labels_identity(struct slice joined, char room[LABELS_TEXT_MAX]);
bool labels_are_same(struct slice joined, struct slice other_joined);

// Removes the next label from `rest` and writes it, unescaped, into `room`, which has as many bytes as `rest`. A
// backslash before any other character is literal. False at the end.
bool labels_next(struct slice *rest, char *room, struct slice *label);
// All labels of a text, in the arena. For queries, and for texts of older versions, which did not escape. False if
// out of memory.
bool labels_split(struct slice joined, struct arena *arena, struct slice **labels,
                  size_t *count) MUST_CHECK;

// Globs (base/glob.h) that select jobs by their runners: one that matches a label of the job, or its runner group,
// selects it; with a `!` in front, it excludes it. The last glob that matches decides; without one a job is not
// selected. The globs are well-formed.
struct runner_globs {
    const struct slice *items;
    size_t count;
};
bool runner_globs_select(const struct runner_globs *globs, const struct slice *labels,
                         size_t label_count, struct slice group);

#endif
