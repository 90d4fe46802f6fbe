// Globs for names, as fnmatch(3) has them (POSIX, Shell Command Language 2.13): `*` matches any run of characters, `?`
// one, all else itself. `[af]` matches one of these, `[a-f]` one of a range, `[!a-f]` and `[^a-f]` one that is not among
// them; in a set `]` stands for itself where it comes first, `-` at either end, and `[:alpha:]` for a class: alnum,
// alpha, digit, lower, punct, upper, xdigit. A backslash takes the meaning from the character behind it. A slash is a
// character like others. The case of ASCII letters is ignored, as GitHub does for names. Pure.
#ifndef GHATRACE_BASE_GLOB_H
#define GHATRACE_BASE_GLOB_H

#include <stdbool.h>
#include <stddef.h>

#include "ghatrace/base/slice.h"

// Does it match all of `s`? A faulty glob matches nothing. The work is at most s.len * glob.len.
bool glob_matches(struct slice glob, struct slice s);
// What is wrong with it, in words; NULL: nothing.
const char *glob_fault(struct slice glob);
// How long the element is that begins at `at`, of a glob without fault: a character, one with its backslash, or a set.
size_t glob_element_length(struct slice glob, size_t at);

#endif
