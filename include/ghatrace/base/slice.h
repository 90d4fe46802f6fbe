// A non-owning view of bytes. Absent and empty are the same: `len` 0.
#ifndef GHATRACE_BASE_SLICE_H
#define GHATRACE_BASE_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct slice {
    const char *data; // not NUL-terminated; may be NULL when len is 0
    size_t len;
};

// The slice of a string literal.
#define SLICE(literal) ((struct slice){.data = (literal), .len = sizeof(literal) - 1})
#define SLICE_EMPTY ((struct slice){.data = NULL, .len = 0})
// For printf: "%.*s" with SLICE_ARGS(s).
#define SLICE_ARGS(s) (int)(s).len, ((s).data != NULL ? (s).data : "")

static inline struct slice slice_from_string(const char *text)
{
    return (struct slice){.data = text, .len = text != NULL ? strlen(text) : 0};
}

static inline struct slice slice_of_bytes(const void *bytes, size_t len)
{
    return (struct slice){.data = bytes, .len = len};
}

static inline bool slice_equals(struct slice a, struct slice b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

// Without its first `count` bytes, which it has.
static inline struct slice slice_skip(struct slice s, size_t count)
{
    // An empty slice may have a NULL pointer.
    return count > 0 ? (struct slice){.data = s.data + count, .len = s.len - count} : s;
}

// Whatever the locale is.
static inline bool ascii_is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static inline bool ascii_is_letter(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

// Like memcmp; a prefix sorts first.
int slice_compare(struct slice a, struct slice b);
// Ignores the case of ASCII letters (HTTP field names, enum values in the environment).
bool slice_equals_ignoring_case(struct slice a, struct slice b);
bool slice_starts_with(struct slice s, struct slice prefix);
bool slice_ends_with(struct slice s, struct slice suffix);
// In linear time for needles of up to 4,096 bytes.
bool slice_contains_ignoring_case(struct slice s, struct slice needle);
// How many letters have to be added, removed or replaced to make one of the other (Levenshtein), ignoring case. For
// names: SIZE_MAX if one is longer than SLICE_COMPARED_MAX.
#define SLICE_COMPARED_MAX 64
size_t slice_edit_distance(struct slice a, struct slice b);
// Position of `needle` in `s`, or -1.
ptrdiff_t slice_find(struct slice s, struct slice needle);
// Without spaces and tabs at both ends.
struct slice slice_trim(struct slice s);
// Parses the whole slice as a decimal integer: optional '-', digits, no spaces. False on anything else and on overflow.
bool slice_parse_int64(struct slice s, long long *value);

// --- lower-case hexadecimal -----------------------------------------------------------------------

// Writes 2 * len digits and a NUL to `text`, which has room for them.
void hex_encode(const uint8_t *bytes, size_t len, char *text);
// 0 to 15 for a digit of either case, -1 for anything else.
int hex_digit_value(char c);
// Reads exactly 2 * len digits, either case. False on anything else.
bool hex_decode(const char *text, size_t text_len, uint8_t *bytes, size_t len);

#endif
