// JSON's text rules below the token tree: what stands inside one string, number or literal.
//
// "Raw" is what stands between the quotes of a string in the source, escapes as they were written.
#ifndef GHATRACE_JSON_TEXT_H
#define GHATRACE_JSON_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ghatrace/base/error.h"
#include "ghatrace/base/slice.h"

// "ws" of RFC 8259 section 2.
static inline bool json_is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

// RFC 8259 section 3 and 6: exactly true, false, null, or a number by the grammar.
bool json_text_is_primitive(struct slice text);

// The value of a number that is whole, however it is written (12, 12.0, 120e-1), without detour through floating
// point. False: a fraction, or beyond 64 bits.
bool json_text_to_int64(struct slice number, int64_t *out);

// Can the raw text of a string be used as it stands: no escapes, valid UTF-8?
bool json_text_is_plain(struct slice raw);
// The decoded text of a string whose escapes jsmn has checked, or its beginning: `max` bytes at most, cut between
// characters. With `out` NULL it only measures.
size_t json_text_decode(struct slice raw, size_t max, char *out);
// Is `name` what `raw` decodes to?
bool json_text_equals(struct slice raw, struct slice name);

#endif
