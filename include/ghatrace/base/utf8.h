// UTF-8 as defined by the Unicode standard: no overlong forms, no surrogates, nothing above U+10FFFF.
#ifndef GHATRACE_BASE_UTF8_H
#define GHATRACE_BASE_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ghatrace/base/slice.h"

// Length in bytes of the valid sequence at the start of `s`, or 0.
size_t utf8_sequence_length(struct slice s);
bool utf8_is_valid(struct slice s);
// Writes `code_point` (a scalar value) to `out`, which has room for 4 bytes; returns the length.
size_t utf8_encode(uint32_t code_point, char *out);
// The scalar value of one valid sequence.
uint32_t utf8_decode(struct slice sequence);
// The longest prefix of valid `s` that is at most `max` bytes and ends between characters.
struct slice utf8_cut(struct slice s, size_t max_bytes);
// Copies `s` to `out` (room for 3 * s.len bytes) and replaces with U+FFFD each byte that is not part of a valid
// sequence, and NUL, which many back ends refuse. Returns the number of bytes written.
size_t utf8_sanitize(struct slice s, char *out);
// Skips the byte order mark (U+FEFF) that some editors prepend.
struct slice utf8_skip_mark(struct slice s);
// True if it begins with the byte order mark of UTF-16 or UTF-32, like files that Windows calls "Unicode".
bool utf8_is_other_unicode(struct slice s);

#endif
