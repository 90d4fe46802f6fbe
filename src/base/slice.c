// Views of bytes: comparing, searching, trimming.
#include "ghatrace/base/slice.h"

#include <limits.h>

static char to_lower_ascii(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

int slice_compare(struct slice a, struct slice b)
{
    size_t common = a.len < b.len ? a.len : b.len;
    int order = common != 0 ? memcmp(a.data, b.data, common) : 0;

    if (order != 0)
        return order;
    return (a.len > b.len) - (a.len < b.len);
}

bool slice_equals_ignoring_case(struct slice a, struct slice b)
{
    if (a.len != b.len)
        return false;
    for (size_t i = 0; i < a.len; i++) {
        if (to_lower_ascii(a.data[i]) != to_lower_ascii(b.data[i]))
            return false;
    }
    return true;
}

bool slice_starts_with(struct slice s, struct slice prefix)
{
    return s.len >= prefix.len && (prefix.len == 0 || memcmp(s.data, prefix.data, prefix.len) == 0);
}

bool slice_ends_with(struct slice s, struct slice suffix)
{
    if (suffix.len == 0)
        return true;
    return s.len >= suffix.len &&
           memcmp(s.data + (s.len - suffix.len), suffix.data, suffix.len) == 0;
}

ptrdiff_t slice_find(struct slice s, struct slice needle)
{
    if (needle.len == 0)
        return 0;
    if (s.len < needle.len)
        return -1;
    const char *found = memmem(s.data, s.len, needle.data, needle.len);
    return found != NULL ? found - s.data : -1;
}

// What is compared letter by letter; the rest of a longer needle is compared at once where this is found.
#define NEEDLE_MAX 4096

// How much of the needle's begin ends at `c`, if `matched` letters of it ended before.
static size_t extend_match(struct slice needle, const uint16_t *borders, size_t matched, char c)
{
    while (matched > 0 && to_lower_ascii(needle.data[matched]) != to_lower_ascii(c))
        matched = borders[matched - 1];
    return to_lower_ascii(needle.data[matched]) == to_lower_ascii(c) ? matched + 1 : matched;
}

// Knuth, Morris, Pratt: each letter is compared twice at most, whatever repeats. `borders`: of each begin of the needle how
// much of it is its end, too.
bool slice_contains_ignoring_case(struct slice s, struct slice needle)
{
    uint16_t borders[NEEDLE_MAX];
    const struct slice begin = {needle.data, needle.len < NEEDLE_MAX ? needle.len : NEEDLE_MAX};
    size_t matched = 0;
    if (needle.len == 0 || needle.len > s.len)
        return needle.len == 0;
    borders[0] = 0;
    for (size_t i = 1; i < begin.len; i++) {
        matched = extend_match(begin, borders, matched, begin.data[i]);
        borders[i] = (uint16_t)matched;
    }
    matched = 0;
    for (size_t i = 0; i < s.len; i++) {
        matched = extend_match(begin, borders, matched, s.data[i]);
        if (matched < begin.len)
            continue;
        const struct slice found = slice_skip(s, i + 1 - begin.len);
        if (found.len >= needle.len &&
            slice_equals_ignoring_case((struct slice){found.data, needle.len}, needle))
            return true;
        matched = borders[matched - 1];
    }
    return false;
}

static size_t smallest(size_t a, size_t b, size_t c)
{
    size_t least = a < b ? a : b;
    return least < c ? least : c;
}

// Row by row.
size_t slice_edit_distance(struct slice a, struct slice b)
{
    size_t row[SLICE_COMPARED_MAX + 1];
    if (a.len > SLICE_COMPARED_MAX || b.len > SLICE_COMPARED_MAX)
        return SIZE_MAX;
    for (size_t j = 0; j <= b.len; j++)
        row[j] = j;
    for (size_t i = 1; i <= a.len; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b.len; j++) {
            size_t above = row[j];
            bool is_same = to_lower_ascii(a.data[i - 1]) == to_lower_ascii(b.data[j - 1]);
            row[j] = smallest(above + 1, row[j - 1] + 1, diagonal + (is_same ? 0 : 1));
            diagonal = above;
        }
    }
    return row[b.len];
}

static bool is_space_or_tab(char c)
{
    return c == ' ' || c == '\t';
}

struct slice slice_trim(struct slice s)
{
    while (s.len != 0 && is_space_or_tab(s.data[s.len - 1]))
        s.len--;
    while (s.len != 0 && is_space_or_tab(s.data[0])) {
        s.data++;
        s.len--;
    }
    return s;
}

bool slice_parse_int64(struct slice s, long long *value)
{
    bool negative = s.len != 0 && s.data[0] == '-';
    unsigned long long limit = (unsigned long long)LLONG_MAX + (negative ? 1 : 0);
    unsigned long long sum = 0;

    if (s.len == (negative ? 1 : 0))
        return false;
    for (size_t i = negative ? 1 : 0; i < s.len; i++) {
        if (s.data[i] < '0' || s.data[i] > '9')
            return false;
        unsigned digit = (unsigned)(s.data[i] - '0');
        if (sum > (limit - digit) / 10)
            return false;
        sum = sum * 10 + digit;
    }
    if (!negative)
        *value = (long long)sum;
    else if (sum == limit)
        *value = LLONG_MIN;
    else
        *value = -(long long)sum;
    return true;
}

// --- lower-case hexadecimal -----------------------------------------------------------------------

void hex_encode(const uint8_t *bytes, size_t len, char *text)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < len; i++) {
        text[2 * i] = digits[bytes[i] >> 4];
        text[2 * i + 1] = digits[bytes[i] & 0x0f];
    }
    text[2 * len] = '\0';
}

int hex_digit_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

bool hex_decode(const char *text, size_t text_len, uint8_t *bytes, size_t len)
{
    if (text_len % 2 != 0 || text_len / 2 != len)
        return false;
    for (size_t i = 0; i < len; i++) {
        int high = hex_digit_value(text[2 * i]);
        int low = hex_digit_value(text[2 * i + 1]);
        if (high < 0 || low < 0)
            return false;
        bytes[i] = (uint8_t)(high << 4 | low);
    }
    return true;
}
