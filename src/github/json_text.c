// What stands inside one JSON string, number or literal.
#include "json_text.h"

#include <stdint.h>
#include <string.h>

#include "ghatrace/base/hex.h"
#include "ghatrace/base/utf8.h"

#define REPLACEMENT_CHARACTER 0xFFFDu
#define ESCAPE_SIZE 6 // \uXXXX

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

// Takes digits off the front; false when there is none.
static bool take_digits(struct slice *text)
{
    size_t count = 0;
    while (count < text->len && is_digit(text->data[count]))
        count++;
    text->data += count;
    text->len -= count;
    return count > 0;
}

static bool take_either(struct slice *text, char a, char b)
{
    if (text->len == 0 || (text->data[0] != a && text->data[0] != b))
        return false;
    text->data++;
    text->len--;
    return true;
}

// RFC 8259 section 6: [ minus ] int [ frac ] [ exp ]
static bool is_number(struct slice text)
{
    take_either(&text, '-', '-');
    // "Leading zeros are not allowed."
    if (!take_either(&text, '0', '0') && !take_digits(&text))
        return false;
    if (take_either(&text, '.', '.') && !take_digits(&text))
        return false;
    if (take_either(&text, 'e', 'E')) {
        take_either(&text, '+', '-');
        if (!take_digits(&text))
            return false;
    }
    return text.len == 0;
}

bool json_text_is_primitive(struct slice text)
{
    return slice_equals(text, SLICE("null")) || slice_equals(text, SLICE("true")) ||
           slice_equals(text, SLICE("false")) || is_number(text);
}

// What stands behind 'e' or 'E'; beyond what any text can make up for, it is not told exactly.
static int64_t read_exponent(struct slice text)
{
    const int64_t most = INT64_C(1) << 40;
    bool is_negative = text.data[0] == '-';
    int64_t exponent = 0;
    for (size_t i = text.data[0] == '-' || text.data[0] == '+'; i < text.len; i++)
        if (exponent < most)
            exponent = 10 * exponent + (text.data[i] - '0');
    return is_negative ? -exponent : exponent;
}

// `value` times ten, plus a digit, of the sign of the number. False: beyond 64 bits.
static bool push_digit(int64_t *value, int digit, bool is_negative)
{
    if (is_negative ? *value < (INT64_MIN + digit) / 10 : *value > (INT64_MAX - digit) / 10)
        return false;
    *value = 10 * *value + (is_negative ? -digit : digit);
    return true;
}

bool json_text_to_int64(struct slice number, int64_t *out)
{
    bool is_negative = number.data[0] == '-';
    int64_t value = 0;
    int64_t zeros = 0;    // seen, and not yet part of `value`
    int64_t exponent = 0; // of ten
    bool is_behind_point = false;

    for (size_t i = is_negative; i < number.len; i++) {
        char c = number.data[i];
        if (c == 'e' || c == 'E') {
            exponent += read_exponent((struct slice){number.data + i + 1, number.len - i - 1});
            break;
        }
        is_behind_point |= c == '.';
        if (c == '.')
            continue;
        exponent -= is_behind_point;
        if (c == '0') {
            zeros += value != 0;
            continue;
        }
        for (; zeros > 0; zeros--)
            if (!push_digit(&value, 0, is_negative))
                return false;
        if (!push_digit(&value, c - '0', is_negative))
            return false;
    }
    for (exponent += zeros; exponent > 0 && value != 0; exponent--)
        if (!push_digit(&value, 0, is_negative))
            return false;
    if (value != 0 && exponent != 0)
        return false;
    *out = value;
    return true;
}

static bool is_ascii(struct slice text)
{
    size_t at = 0;
    uint64_t word;

    for (; at + sizeof(word) <= text.len; at += sizeof(word)) {
        memcpy(&word, text.data + at, sizeof(word));
        if ((word & UINT64_C(0x8080808080808080)) != 0)
            return false;
    }
    for (; at < text.len; at++)
        if ((unsigned char)text.data[at] >= 0x80)
            return false;
    return true;
}

bool json_text_is_plain(struct slice raw)
{
    if (raw.len == 0)
        return true;
    return memchr(raw.data, '\\', raw.len) == NULL && (is_ascii(raw) || utf8_is_valid(raw));
}

static bool is_high_surrogate(uint32_t unit)
{
    return unit >= 0xD800 && unit <= 0xDBFF;
}

static bool is_low_surrogate(uint32_t unit)
{
    return unit >= 0xDC00 && unit <= 0xDFFF;
}

// The UTF-16 code unit of a \uXXXX at the front of `raw`; false when none stands there.
static bool read_escaped_unit(struct slice raw, uint32_t *unit)
{
    uint8_t bytes[2];
    if (raw.len < ESCAPE_SIZE || raw.data[0] != '\\' || raw.data[1] != 'u' ||
        !hex_decode(raw.data + 2, 4, bytes, sizeof(bytes)))
        return false;
    *unit = (uint32_t)bytes[0] << 8 | bytes[1];
    return true;
}

static void skip(struct slice *raw, size_t count)
{
    raw->data += count;
    raw->len -= count;
}

// RFC 8259 section 7: characters beyond the basic plane come as a surrogate pair. Section 8.2 leaves
// lone surrogates to the implementation; they and NUL, which many back ends refuse, are replaced.
static uint32_t take_escaped_character(struct slice *raw)
{
    uint32_t unit = 0;
    uint32_t low = 0;

    if (!read_escaped_unit(*raw, &unit)) {
        skip(raw, 1);
        return REPLACEMENT_CHARACTER;
    }
    skip(raw, ESCAPE_SIZE);
    if (is_high_surrogate(unit) && read_escaped_unit(*raw, &low) && is_low_surrogate(low)) {
        skip(raw, ESCAPE_SIZE);
        return 0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00);
    }
    if (unit == 0 || is_high_surrogate(unit) || is_low_surrogate(unit))
        return REPLACEMENT_CHARACTER;
    return unit;
}

static uint32_t take_escape(struct slice *raw)
{
    static const char names[] = "\"\\/bfnrt";
    static const char characters[] = "\"\\/\b\f\n\r\t";

    const char *name = raw->len < 2 ? NULL : memchr(names, raw->data[1], sizeof(names) - 1);
    if (name == NULL)
        return take_escaped_character(raw);
    skip(raw, 2);
    return (uint32_t)characters[name - names];
}

// Takes one character off the front of `raw` and writes it as UTF-8; returns its length there.
static size_t decode_character(struct slice *raw, char out[4])
{
    if (raw->data[0] == '\\')
        return utf8_encode(take_escape(raw), out);

    size_t length = utf8_sequence_length(*raw);
    if (length == 0) { // one bad byte must not cost an event: it is replaced, not refused
        skip(raw, 1);
        return utf8_encode(REPLACEMENT_CHARACTER, out);
    }
    memcpy(out, raw->data, length);
    skip(raw, length);
    return length;
}

size_t json_text_decode(struct slice raw, size_t max, char *out)
{
    size_t length = 0;
    while (raw.len > 0) {
        char character[4];
        size_t size = decode_character(&raw, character);
        if (size > max - length)
            break;
        if (out != NULL)
            memcpy(out + length, character, size);
        length += size;
    }
    return length;
}

bool json_text_equals(struct slice raw, struct slice name)
{
    if (json_text_is_plain(raw))
        return slice_equals(raw, name);
    while (raw.len > 0) {
        char character[4];
        size_t size = decode_character(&raw, character);
        if (size > name.len || memcmp(character, name.data, size) != 0)
            return false;
        skip(&name, size);
    }
    return name.len == 0;
}
