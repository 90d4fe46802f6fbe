// Globs for names, as in fnmatch(3) (POSIX, Shell Command Language 2.13): `*` matches any sequence of characters, `?`
// one character, every other character itself. `[af]` matches one of these characters, `[a-f]` one of a range,
// `[!a-f]` and
// `[^a-f]` one that is not among them; in a set `]` is literal if it comes first, `-` at either end, and `[:alpha:]` is
// a class: alnum, alpha, digit, lower, punct, upper, xdigit. A backslash makes the next character literal. A slash is
// an ordinary character. Matching ignores the case of ASCII letters, like GitHub for names. Pure.
#ifndef GHATRACE_BASE_GLOB_H
#define GHATRACE_BASE_GLOB_H

#include <stdbool.h>
#include <stddef.h>

#include "ghatrace/base/slice.h"

// True if it matches all of `s`. A malformed glob matches nothing. Takes at most s.len * glob.len steps.
bool glob_matches(struct slice glob, struct slice s);
// Describes what is wrong with the glob; NULL: it is well-formed.
const char *glob_fault(struct slice glob);
// Length of the element at `at` in a well-formed glob: a character, one with its backslash, or a set.
size_t glob_element_length(struct slice glob, size_t at);

#endif
