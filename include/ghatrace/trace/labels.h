// The labels that a job asks for, as one text. Pure.
//
// GitHub compares labels without regard to case (ASCII), order and repetition: jobs that ask for `linux` and `x64` wait
// for the same runners as those that ask for `X64` and `Linux`. So a set of labels has two texts: the one that is shown
// keeps the spelling, the other is the identity.
//
// Both are the labels joined by ','. Inside a label a comma and a backslash have a backslash in front of them: the one
// label "a,b" is `a\,b`, the labels "a" and "b" are `a,b`.
#ifndef GHATRACE_TRACE_LABELS_H
#define GHATRACE_TRACE_LABELS_H

#include <stdbool.h>
#include <stddef.h>

#include "ghatrace/base/arena.h"
#include "ghatrace/base/slice.h"

#define LABELS_TEXT_MAX 256 // bytes of either text

// The text to show, whatever the order: sorted by bytes, each label once, of spellings that differ in case the first by
// bytes. Empty labels are left out; empty for none. What has no room is cut off, in the order of identity, the last label
// between characters. May point into a single label; else into the arena. False when memory is refused.
bool labels_join(const struct slice *labels, size_t count, struct arena *arena,
                 struct slice *joined) MUST_CHECK;

// The identity of a set, from any of its texts to show: equal for what GitHub takes for the same. Points into `room`, or
// is `joined` itself.
struct slice labels_identity(struct slice joined, char room[LABELS_TEXT_MAX]);
bool labels_are_same(struct slice joined, struct slice other_joined);

// The next label of a text: takes it off `rest`, writes it without backslashes into `room`, which has as many bytes as
// `rest`. A backslash in front of any other character is one itself. False at the end.
bool labels_next(struct slice *rest, char *room, struct slice *label);
// All labels of a text, in the arena. For questions, and for texts of versions that did not write backslashes. False when
// memory is refused.
bool labels_split(struct slice joined, struct arena *arena, struct slice **labels,
                  size_t *count) MUST_CHECK;

#endif
