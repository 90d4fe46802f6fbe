// UTF-8 as defined in Table 3-7 of the Unicode standard ("Well-Formed UTF-8 Byte Sequences").
#include "ghatrace/base/utf8.h"

static const char replacement[] = "\xef\xbf\xbd"; // U+FFFD

// What may follow a first byte: the number of bytes, and the range of the second one, which excludes overlong forms
// (E0, F0), surrogates (ED) and values that are too large (F4).
struct lead {
    uint8_t len, second_min, second_max;
};

static struct lead classify(uint8_t first)
{
    if (first < 0x80)
        return (struct lead){1, 0, 0};
    if (first < 0xc2)
        return (struct lead){0, 0, 0};
    if (first < 0xe0)
        return (struct lead){2, 0x80, 0xbf};
    if (first < 0xf0)
        return (struct lead){3, first == 0xe0 ? 0xa0 : 0x80, first == 0xed ? 0x9f : 0xbf};
    if (first < 0xf5)
        return (struct lead){4, first == 0xf0 ? 0x90 : 0x80, first == 0xf4 ? 0x8f : 0xbf};
    return (struct lead){0, 0, 0};
}

static bool is_continuation(char c)
{
    return ((uint8_t)c & 0xc0) == 0x80;
}

size_t utf8_sequence_length(struct slice s)
{
    if (s.len == 0)
        return 0;
    struct lead lead = classify((uint8_t)s.data[0]);
    if (lead.len <= 1 || s.len < lead.len)
        return s.len < lead.len ? 0 : lead.len;
    if ((uint8_t)s.data[1] < lead.second_min || (uint8_t)s.data[1] > lead.second_max)
        return 0;
    for (size_t i = 2; i < lead.len; i++) {
        if (!is_continuation(s.data[i]))
            return 0;
    }
    return lead.len;
}

bool utf8_is_valid(struct slice s)
{
    while (s.len != 0) {
        size_t len = utf8_sequence_length(s);
        if (len == 0)
            return false;
        s = slice_skip(s, len);
    }
    return true;
}

size_t utf8_encode(uint32_t code_point, char *out)
{
    if (code_point < 0x80) {
        out[0] = (char)code_point;
        return 1;
    }
    if (code_point < 0x800) {
        out[0] = (char)(0xc0 | code_point >> 6);
        out[1] = (char)(0x80 | (code_point & 0x3f));
        return 2;
    }
    if (code_point < 0x10000) {
        out[0] = (char)(0xe0 | code_point >> 12);
        out[1] = (char)(0x80 | (code_point >> 6 & 0x3f));
        out[2] = (char)(0x80 | (code_point & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | code_point >> 18);
    out[1] = (char)(0x80 | (code_point >> 12 & 0x3f));
    out[2] = (char)(0x80 | (code_point >> 6 & 0x3f));
    out[3] = (char)(0x80 | (code_point & 0x3f));
    return 4;
}

uint32_t utf8_decode(struct slice sequence)
{
    static const uint8_t masks[] = {0, 0x7f, 0x1f, 0x0f, 0x07}; // of the first byte, by length
    uint32_t value = (uint8_t)sequence.data[0] & masks[sequence.len];
    for (size_t i = 1; i < sequence.len; i++)
        value = value << 6 | ((uint8_t)sequence.data[i] & 0x3f);
    return value;
}

struct slice utf8_cut(struct slice s, size_t max_bytes)
{
    if (s.len <= max_bytes)
        return s;
    while (max_bytes != 0 && is_continuation(s.data[max_bytes]))
        max_bytes--;
    return (struct slice){.data = s.data, .len = max_bytes};
}

size_t utf8_sanitize(struct slice s, char *out)
{
    size_t written = 0;

    while (s.len != 0) {
        size_t len = s.data[0] != '\0' ? utf8_sequence_length(s) : 0;
        const char *from = len != 0 ? s.data : replacement;
        size_t from_len = len != 0 ? len : sizeof(replacement) - 1;
        memcpy(out + written, from, from_len);
        written += from_len;
        s = slice_skip(s, len != 0 ? len : 1);
    }
    return written;
}

struct slice utf8_skip_mark(struct slice s)
{
    struct slice mark = SLICE("\xef\xbb\xbf");

    return slice_starts_with(s, mark) ? slice_skip(s, mark.len) : s;
}

bool utf8_is_other_unicode(struct slice s)
{
    // The little-endian mark of UTF-32 begins with that of UTF-16.
    return slice_starts_with(s, SLICE("\xff\xfe")) || slice_starts_with(s, SLICE("\xfe\xff")) ||
           slice_starts_with(s, SLICE("\0\0\xfe\xff"));
}
