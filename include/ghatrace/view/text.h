// Text of strangers on a terminal: made harmless, measured in columns, cut between characters. Pure.
#ifndef GHATRACE_VIEW_TEXT_H
#define GHATRACE_VIEW_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ghatrace/base/arena.h"
#include "ghatrace/base/error.h"
#include "ghatrace/base/slice.h"

// Columns that a scalar value takes: 0 (combining), 1, or 2 (East Asian Width W and F, UAX #11). It
// does not depend on the locale. Only for what text_clean() lets through.
unsigned text_code_point_width(uint32_t code_point);

// A copy of `raw` that can do nothing to a terminal but take the columns it is measured at:
// control characters, bytes that are not UTF-8, and what turns the direction of writing are U+FFFD;
// what is invisible (joiners, variation selectors, tags) is left out, because terminals disagree
// about its width; blanks of any kind are U+0020; at most 3 combining marks follow a character.
// With `unicode` false it is printable ASCII, `?` for the rest. At most the first 4096 bytes are
// taken. False when memory is refused.
bool text_clean(struct arena *arena, struct slice raw, bool unicode,
                struct slice *clean) MUST_CHECK;

// "owner/name"; of another server than github.com (which is empty) "server/owner/name". False when memory is refused.
bool text_repository(struct arena *arena, struct slice server, struct slice full_name,
                     struct slice *out);

// The functions below want what text_clean() made.

size_t text_width(struct slice clean);
// The longest beginning, or end, that takes at most `columns`. A combining mark stays with its base.
struct slice text_prefix(struct slice clean, size_t columns);
struct slice text_suffix(struct slice clean, size_t columns);

// What is left of a text that has to take at most `columns`: all of it in `head`, or a beginning and
// an end with an ellipsis of `ellipsis_width` to be put between (no room for one: a beginning).
struct text_ends {
    struct slice head;
    struct slice tail;
    bool has_gap; // for the ellipsis
};
// `tail_percent`: the end's share.
struct text_ends text_shorten(struct slice clean, size_t columns, size_t ellipsis_width,
                              size_t tail_percent);

#endif
