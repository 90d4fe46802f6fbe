// The pass over a text before jsmn: depth, bytes that may not be there, and how many tokens to expect.
#include "json_text.h"

#include <stdint.h>
#include <string.h>

#include "ghatrace/github/json.h"

#define NOTHING_YET '\0'

struct scan {
    struct slice text;
    size_t position;
    size_t depth;
    size_t separators; // commas and colons
    size_t filled;     // objects and arrays that are not empty
    char previous;     // the last character that is not a blank
};

#define EACH_BYTE(byte) (UINT64_C(0x0101010101010101) * (byte))

// Is one of the eight bytes zero? (Hacker's Delight 6-1.)
static uint64_t has_zero(uint64_t bytes)
{
    return (bytes - EACH_BYTE(0x01)) & ~bytes & EACH_BYTE(0x80);
}

// Is one of the eight bytes a control character, a quote or a backslash?
static bool has_special(uint64_t bytes)
{
    uint64_t control = (bytes - EACH_BYTE(0x20)) & ~bytes & EACH_BYTE(0x80);
    return (control | has_zero(bytes ^ EACH_BYTE('"')) | has_zero(bytes ^ EACH_BYTE('\\'))) != 0;
}

// Nine tenths of a payload are the insides of URLs: those are taken eight bytes at a time.
static size_t skip_ordinary(struct slice text, size_t position)
{
    uint64_t bytes;
    while (text.len - position >= sizeof(bytes)) {
        memcpy(&bytes, text.data + position, sizeof(bytes));
        if (has_special(bytes))
            break;
        position += sizeof(bytes);
    }
    return position;
}

// `position` stands behind an opening quote; moves it behind the closing one. Whether the escapes
// are good ones is left to jsmn, which looks at each of them anyway.
static enum error_code scan_string(struct scan *scan, struct error *error)
{
    const char *data = scan->text.data;
    size_t position = skip_ordinary(scan->text, scan->position);

    while (position < scan->text.len && data[position] != '"') {
        if ((unsigned char)data[position] < 0x20)
            return error_set(error, ERROR_INVALID,
                             "not JSON: unescaped control character in a string at byte %zu",
                             position);
        position += data[position] == '\\' ? 2 : 1;
    }
    if (position >= scan->text.len)
        return error_set(error, ERROR_INVALID, "not JSON: the text ends inside a string");
    scan->position = position + 1;
    return ERROR_NONE;
}

static enum error_code scan_opener(struct scan *scan, struct error *error)
{
    if (scan->depth == JSON_DEPTH_MAX)
        return error_set(error, ERROR_TOO_LARGE, "JSON is nested deeper than %d at byte %zu",
                         JSON_DEPTH_MAX, scan->position - 1);
    scan->depth++;
    scan->filled++;
    return ERROR_NONE;
}

static enum error_code scan_closer(struct scan *scan, struct error *error)
{
    if (scan->depth == 0)
        return error_set(error, ERROR_INVALID, "not JSON: nothing to close at byte %zu",
                         scan->position - 1);
    scan->depth--;
    if (scan->previous == '{' || scan->previous == '[')
        scan->filled--;
    return ERROR_NONE;
}

static enum error_code scan_character(struct scan *scan, char c, struct error *error)
{
    switch (c) {
    case '"':
        return scan_string(scan, error);
    case '{':
    case '[':
        return scan_opener(scan, error);
    case '}':
    case ']':
        return scan_closer(scan, error);
    case ',':
    case ':':
        scan->separators++;
        return ERROR_NONE;
    default:
        if (c > ' ' && c < 0x7f) // of a number or a literal; looked at when the tokens are known
            return ERROR_NONE;
        // A byte order mark lands here too: RFC 8259 section 8.1 forbids senders to add one.
        return error_set(error, ERROR_INVALID, "not JSON: byte 0x%02x outside a string at byte %zu",
                         (unsigned)(unsigned char)c, scan->position - 1);
    }
}

enum error_code json_scan(struct slice text, size_t *token_count, struct error *error)
{
    struct scan scan = {.text = text, .previous = NOTHING_YET};

    while (scan.position < text.len) {
        char c = text.data[scan.position++];
        if (json_is_blank(c))
            continue;
        enum error_code code = scan_character(&scan, c, error);
        if (code != ERROR_NONE)
            return code;
        scan.previous = c;
    }
    if (scan.previous == NOTHING_YET)
        return error_set(error, ERROR_INVALID, "not JSON: the text is empty");
    if (scan.depth > 0)
        return error_set(error, ERROR_INVALID, "not JSON: the text ends inside an object or array");

    // Values = the root + the first of each filled container + one for each comma; keys = colons.
    *token_count = 1 + scan.filled + scan.separators;
    if (*token_count > JSON_TOKENS_MAX)
        return error_set(error, ERROR_TOO_LARGE, "JSON has more than %d tokens", JSON_TOKENS_MAX);
    return ERROR_NONE;
}
