// Parses JSON text to a token tree: jsmn finds the tokens, and a walk over the text verifies that they are JSON.
#include "ghatrace/json/read.h"

#include <stdint.h>
#include <string.h>

#include "ghatrace/base/slice.h"
#include "ghatrace/base/utf8.h"

// --- json scan ------------------------------------------------------------------------------------
// The pass over the text before jsmn: checks depth and forbidden bytes, and counts the tokens.

// "ws" of RFC 8259 section 2.
static bool json_is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

#define NOTHING_YET '\0'

struct scan {
    struct slice text;
    size_t position;
    size_t depth;
    size_t separators; // commas and colons
    size_t filled;     // objects and arrays that are not empty
    char previous;     // the last character that is not whitespace
};

#define EACH_BYTE(byte) (UINT64_C(0x0101010101010101) * (byte))

// Nonzero if one of the eight bytes is zero (Hacker's Delight 6-1).
static uint64_t has_zero(uint64_t bytes)
{
    return (bytes - EACH_BYTE(0x01)) & ~bytes & EACH_BYTE(0x80);
}

// True if one of the eight bytes is a control character, a quote or a backslash.
static bool has_special(uint64_t bytes)
{
    uint64_t control = (bytes - EACH_BYTE(0x20)) & ~bytes & EACH_BYTE(0x80);
    return (control | has_zero(bytes ^ EACH_BYTE('"')) | has_zero(bytes ^ EACH_BYTE('\\'))) != 0;
}

// Nine tenths of a payload are inside URLs, so strings are scanned eight bytes at a time.
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

// `position` is after an opening quote; moves it after the closing one. Does not validate escapes: jsmn checks them
// anyway.
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
        if (c > ' ' && c < 0x7f) // of a number or a literal; checked when the tokens are known
            return ERROR_NONE;
        // This includes a byte order mark: RFC 8259 section 8.1 forbids senders to add one.
        return error_set(error, ERROR_INVALID, "not JSON: byte 0x%02x outside a string at byte %zu",
                         (unsigned)(unsigned char)c, scan->position - 1);
    }
}

// One pass over the whole text before jsmn. Verifies what jsmn does not check or handle well: no NUL (jsmn stops there
// and reports success), no stray bytes between tokens, no control characters inside strings, no depth beyond
// JSON_DEPTH_MAX (jsmn's time is quadratic in it) and no more than JSON_TOKENS_MAX tokens. `token_count` is exact for
// every text that is valid JSON.
static enum error_code json_scan(struct slice text, size_t *token_count, struct error *error)
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

    // Values = the root + the first of each non-empty container + one per comma; keys = colons.
    *token_count = 1 + scan.filled + scan.separators;
    if (*token_count > JSON_TOKENS_MAX)
        return error_set(error, ERROR_TOO_LARGE, "JSON has more than %d tokens", JSON_TOKENS_MAX);
    return ERROR_NONE;
}

// --- the text of one JSON string, number or literal -----------------------------------------------

#define REPLACEMENT_CHARACTER 0xFFFDu
#define ESCAPE_SIZE 6 // \uXXXX

// Consumes digits at the front; false if there are none.
static bool consume_digits(struct slice *text)
{
    size_t count = 0;
    while (count < text->len && ascii_is_digit(text->data[count]))
        count++;
    text->data += count;
    text->len -= count;
    return count > 0;
}

static bool consume_either(struct slice *text, char a, char b)
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
    consume_either(&text, '-', '-');
    // "Leading zeros are not allowed."
    if (!consume_either(&text, '0', '0') && !consume_digits(&text))
        return false;
    if (consume_either(&text, '.', '.') && !consume_digits(&text))
        return false;
    if (consume_either(&text, 'e', 'E')) {
        consume_either(&text, '+', '-');
        if (!consume_digits(&text))
            return false;
    }
    return text.len == 0;
}

// RFC 8259 sections 3 and 6: exactly true, false, null, or a number according to the grammar.
static bool json_text_is_primitive(struct slice text)
{
    return slice_equals(text, SLICE("null")) || slice_equals(text, SLICE("true")) ||
           slice_equals(text, SLICE("false")) || is_number(text);
}

// The number after 'e' or 'E'; not exact beyond the range that the digits of any text could offset.
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

// Multiplies `value` by ten and adds a digit with the sign of the number. False: beyond 64 bits.
static bool push_digit(int64_t *value, int digit, bool is_negative)
{
    if (is_negative ? *value < (INT64_MIN + digit) / 10 : *value > (INT64_MAX - digit) / 10)
        return false;
    *value = 10 * *value + (is_negative ? -digit : digit);
    return true;
}

// The value of an integer in any notation (12, 12.0, 120e-1), computed without floating point. False: a fraction, or
// beyond 64 bits.
static bool json_text_to_int64(struct slice number, int64_t *out)
{
    bool is_negative = number.data[0] == '-';
    int64_t value = 0;
    int64_t zeros = 0;    // read, and not yet part of `value`
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

// True if the raw text of a string can be used unchanged: no escapes, valid UTF-8.
static bool json_text_is_plain(struct slice raw)
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

// The UTF-16 code unit of a \uXXXX at the front of `raw`; false if there is none.
static bool read_escaped_unit(struct slice raw, uint32_t *unit)
{
    uint8_t bytes[2];
    if (raw.len < ESCAPE_SIZE || raw.data[0] != '\\' || raw.data[1] != 'u' ||
        !hex_decode(raw.data + 2, 4, bytes, sizeof(bytes)))
        return false;
    *unit = (uint32_t)bytes[0] << 8 | bytes[1];
    return true;
}

static void skip_raw(struct slice *raw, size_t count)
{
    raw->data += count;
    raw->len -= count;
}

// RFC 8259 section 7: characters outside the Basic Multilingual Plane are surrogate pairs. Section 8.2 leaves lone
// surrogates to the implementation; they are replaced, and so is NUL, which many back ends refuse.
static uint32_t decode_unicode_escape(struct slice *raw)
{
    uint32_t unit = 0;
    uint32_t low = 0;

    if (!read_escaped_unit(*raw, &unit)) {
        skip_raw(raw, 1);
        return REPLACEMENT_CHARACTER;
    }
    skip_raw(raw, ESCAPE_SIZE);
    if (is_high_surrogate(unit) && read_escaped_unit(*raw, &low) && is_low_surrogate(low)) {
        skip_raw(raw, ESCAPE_SIZE);
        return 0x10000 + ((unit - 0xD800) << 10) + (low - 0xDC00);
    }
    if (unit == 0 || is_high_surrogate(unit) || is_low_surrogate(unit))
        return REPLACEMENT_CHARACTER;
    return unit;
}

static uint32_t decode_escape(struct slice *raw)
{
    static const char names[] = "\"\\/bfnrt";
    static const char characters[] = "\"\\/\b\f\n\r\t";

    const char *name = raw->len < 2 ? NULL : memchr(names, raw->data[1], sizeof(names) - 1);
    if (name == NULL)
        return decode_unicode_escape(raw);
    skip_raw(raw, 2);
    return (uint32_t)characters[name - names];
}

// Consumes one character at the front of `raw` and writes it as UTF-8; returns its length in UTF-8.
static size_t decode_character(struct slice *raw, char out[4])
{
    if (raw->data[0] == '\\')
        return utf8_encode(decode_escape(raw), out);

    size_t length = utf8_sequence_length(*raw);
    if (length == 0) { // replaced, so that one bad byte does not lose the event
        skip_raw(raw, 1);
        return utf8_encode(REPLACEMENT_CHARACTER, out);
    }
    memcpy(out, raw->data, length);
    skip_raw(raw, length);
    return length;
}

// Decodes a string whose escapes jsmn has checked, truncated to at most `max` bytes between characters. With `out` NULL
// it only measures.
static size_t json_text_decode(struct slice raw, size_t max, char *out)
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

// True if `raw` decodes to `name`.
static bool json_text_equals(struct slice raw, struct slice name)
{
    if (json_text_is_plain(raw))
        return slice_equals(raw, name);
    while (raw.len > 0) {
        char character[4];
        size_t size = decode_character(&raw, character);
        if (size > name.len || memcmp(character, name.data, size) != 0)
            return false;
        skip_raw(&name, size);
    }
    return name.len == 0;
}

// --- token tree -----------------------------------------------------------------------------------
// jsmn finds the tokens; the walk over the text verifies that they are JSON.

// The defines change what jsmn accepts and the layout of its tokens: no other file includes it.
#define JSMN_STATIC
#define JSMN_STRICT
#define JSMN_PARENT_LINKS
#include <jsmn.h>

// The walk changes the meaning of two members of a token:
// `size`: the index after the token's whole subtree, so that iterating over siblings skips it in one step;
// `parent`: of a key its object, of a value in an object its key, of an element its array, or -1.
typedef jsmntok_t token;

// What the grammar allows next (RFC 8259 sections 2, 4 and 5).
enum expected {
    EXPECT_VALUE,     // at the start, after a colon, after a comma in an array
    EXPECT_FIRST,     // after an opening bracket: the first key or element, or the closing bracket
    EXPECT_KEY,       // after a comma in an object
    EXPECT_COLON,     // after a key
    EXPECT_SEPARATOR, // after a value: a comma or the closing bracket; at depth 0 the end
};

struct walk {
    struct slice text;
    token *tokens;
    int index;    // of the next token
    int position; // the text before it is verified
    enum expected expected;
    int depth;
    int open[JSON_DEPTH_MAX]; // the objects and arrays around `position`, outermost first
};

static bool is_in_object(const struct walk *walk)
{
    return walk->depth > 0 && walk->tokens[walk->open[walk->depth - 1]].type == JSMN_OBJECT;
}

static bool walk_comma(struct walk *walk)
{
    if (walk->expected != EXPECT_SEPARATOR || walk->depth == 0)
        return false;
    walk->expected = is_in_object(walk) ? EXPECT_KEY : EXPECT_VALUE;
    return true;
}

static bool walk_colon(struct walk *walk)
{
    if (walk->expected != EXPECT_COLON)
        return false;
    walk->expected = EXPECT_VALUE;
    return true;
}

static bool walk_closer(struct walk *walk, char closer)
{
    if (walk->depth == 0 || closer != (is_in_object(walk) ? '}' : ']') ||
        (walk->expected != EXPECT_SEPARATOR && walk->expected != EXPECT_FIRST))
        return false;
    token *closed = &walk->tokens[walk->open[--walk->depth]];
    closed->end = walk->position + 1;
    closed->size = walk->index;
    walk->expected = EXPECT_SEPARATOR;
    return true;
}

// Checks whitespace, commas, colons and closing brackets up to `end`, the start of the next token or the end of the
// text.
static bool walk_gap(struct walk *walk, int end)
{
    for (; walk->position < end; walk->position++) {
        char c = walk->text.data[walk->position];
        bool good = json_is_blank(c);
        if (c == ',')
            good = walk_comma(walk);
        else if (c == ':')
            good = walk_colon(walk);
        else if (c == '}' || c == ']')
            good = walk_closer(walk, c);
        if (!good)
            return false;
    }
    return walk->position == end;
}

static bool walk_key(struct walk *walk, token *key)
{
    if (key->type != JSMN_STRING)
        return false;
    key->parent = walk->open[walk->depth - 1];
    key->size = walk->index;
    walk->position = key->end + 1;
    walk->expected = EXPECT_COLON;
    return true;
}

static bool walk_container(struct walk *walk, token *container)
{
    if (walk->depth == JSON_DEPTH_MAX)
        return false;
    walk->open[walk->depth++] = walk->index - 1;
    walk->position = container->start + 1;
    walk->expected = EXPECT_FIRST;
    return true;
}

static struct slice token_text(struct slice text, const token *t)
{
    return (struct slice){.data = text.data + t->start, .len = (size_t)(t->end - t->start)};
}

static bool walk_value(struct walk *walk, token *value)
{
    value->parent = -1;
    if (walk->depth > 0)
        value->parent = is_in_object(walk) ? walk->index - 2 : walk->open[walk->depth - 1];
    if (value->type == JSMN_OBJECT || value->type == JSMN_ARRAY)
        return walk_container(walk, value);
    if (value->type == JSMN_PRIMITIVE && !json_text_is_primitive(token_text(walk->text, value)))
        return false;
    value->size = walk->index;
    walk->position = value->type == JSMN_STRING ? value->end + 1 : value->end;
    walk->expected = EXPECT_SEPARATOR;
    return true;
}

static bool walk_token(struct walk *walk)
{
    token *next = &walk->tokens[walk->index];
    int begin = next->type == JSMN_STRING ? next->start - 1 : next->start;

    if (!walk_gap(walk, begin))
        return false;
    walk->index++;
    switch (walk->expected) {
    case EXPECT_KEY:
        return walk_key(walk, next);
    case EXPECT_FIRST:
        return is_in_object(walk) ? walk_key(walk, next) : walk_value(walk, next);
    case EXPECT_VALUE:
        return walk_value(walk, next);
    case EXPECT_COLON:
    case EXPECT_SEPARATOR:
        break;
    }
    return false;
}

// Checks every byte of the text once, in a token or between two, so everything invalid that jsmn accepts is refused
// (repeated commas, keys without values, second roots, `01`, `nulx`).
static enum error_code check_tokens(struct slice text, token *tokens, int count,
                                    struct error *error)
{
    struct walk walk = {.text = text, .tokens = tokens, .expected = EXPECT_VALUE};
    bool good = true;

    while (good && walk.index < count)
        good = walk_token(&walk);
    if (good)
        good = walk_gap(&walk, (int)text.len);
    if (good && walk.depth == 0 && walk.expected == EXPECT_SEPARATOR)
        return ERROR_NONE;
    return error_set(error, ERROR_INVALID, "not JSON: unexpected text at byte %d", walk.position);
}

// In strict mode jsmn requires a character after a number or literal, so it does not accept a lone one.
static int tokenize_lone_primitive(struct slice text, token *t)
{
    int start = 0;
    int end = (int)text.len;
    while (json_is_blank(text.data[start]))
        start++;
    while (json_is_blank(text.data[end - 1]))
        end--;
    *t = (token){.type = JSMN_PRIMITIVE, .start = start, .end = end};
    return 1;
}

static bool is_lone_primitive(struct slice text, size_t token_count)
{
    size_t start = 0;
    while (json_is_blank(text.data[start]))
        start++;
    char c = text.data[start];
    return token_count == 1 && c != '{' && c != '[' && c != '"';
}

// `tokens` has room for all tokens of valid JSON, so JSMN_ERROR_NOMEM means that commas between values are missing.
static enum error_code tokenize(struct slice text, token *tokens, size_t capacity, int *count,
                                struct error *error)
{
    if (is_lone_primitive(text, capacity)) {
        *count = tokenize_lone_primitive(text, tokens);
        return ERROR_NONE;
    }
    jsmn_parser parser;
    jsmn_init(&parser);
    *count = jsmn_parse(&parser, text.data, text.len, tokens, (unsigned)capacity);
    if (*count < 1)
        return error_set(error, ERROR_INVALID, "not JSON: unexpected text at byte %u", parser.pos);
    return ERROR_NONE;
}

enum error_code json_parse(struct slice text, struct arena *arena, struct json_document *document,
                           struct error *error)
{
    size_t capacity = 0;
    int count = 0;

    *document = (struct json_document){.text = text};
    if (text.len > INT32_MAX) // jsmn's offsets are int
        return error_set(error, ERROR_TOO_LARGE, "JSON text of %zu bytes", text.len);
    enum error_code code = json_scan(text, &capacity, error);
    if (code != ERROR_NONE)
        return code;
    token *tokens = arena_allocate(arena, capacity * sizeof(*tokens));
    if (tokens == NULL)
        return error_set(error, ERROR_MEMORY, "no memory for %zu JSON tokens", capacity);
    code = tokenize(text, tokens, capacity, &count, error);
    if (code == ERROR_NONE)
        code = check_tokens(text, tokens, count, error);
    if (code != ERROR_NONE)
        return code;
    document->tokens = (const struct json_token *)tokens;
    document->token_count = (size_t)count;
    return ERROR_NONE;
}

static const token *token_at(const struct json_document *document, json_value value)
{
    if (value < 0 || (size_t)value >= document->token_count)
        return NULL;
    return (const token *)document->tokens + value;
}

enum json_type json_type_of(const struct json_document *document, json_value value)
{
    const token *t = token_at(document, value);
    if (t == NULL)
        return JSON_NULL;
    if (t->type == JSMN_OBJECT)
        return JSON_OBJECT;
    if (t->type == JSMN_ARRAY)
        return JSON_ARRAY;
    if (t->type == JSMN_STRING)
        return JSON_STRING;
    switch (document->text.data[t->start]) {
    case 'n':
        return JSON_NULL;
    case 't':
        return JSON_TRUE;
    case 'f':
        return JSON_FALSE;
    default:
        return JSON_NUMBER;
    }
}

static json_value first_child(const struct json_document *document, json_value container,
                              jsmntype_t type)
{
    const token *t = token_at(document, container);
    if (t == NULL || t->type != type || t->size == container + 1)
        return JSON_NONE;
    return container + 1;
}

// The token at `next`, if it is inside the container.
static json_value sibling(const struct json_document *document, json_value next,
                          json_value container, jsmntype_t type)
{
    const token *t = token_at(document, container);
    if (t == NULL || t->type != type || next >= t->size)
        return JSON_NONE;
    return next;
}

json_value json_first_key(const struct json_document *document, json_value object)
{
    return first_child(document, object, JSMN_OBJECT);
}

json_value json_next_key(const struct json_document *document, json_value key)
{
    const token *t = token_at(document, key);
    const token *value = token_at(document, json_key_value(document, key));
    return value == NULL ? JSON_NONE : sibling(document, value->size, t->parent, JSMN_OBJECT);
}

json_value json_key_value(const struct json_document *document, json_value key)
{
    const token *t = token_at(document, key);
    return t == NULL ? JSON_NONE : sibling(document, key + 1, t->parent, JSMN_OBJECT);
}

bool json_key_equals(const struct json_document *document, json_value key, struct slice name)
{
    const token *t = token_at(document, key);
    return t != NULL && t->type == JSMN_STRING &&
           json_text_equals(token_text(document->text, t), name);
}

struct slice json_key_text(const struct json_document *document, json_value key,
                           char scratch[JSON_KEY_MAX])
{
    const token *t = token_at(document, key);
    if (t == NULL || t->type != JSMN_STRING)
        return SLICE_EMPTY;
    struct slice raw = token_text(document->text, t);
    if (json_text_is_plain(raw))
        return raw;
    return (struct slice){scratch, json_text_decode(raw, JSON_KEY_MAX, scratch)};
}

json_value json_get(const struct json_document *document, json_value object, struct slice name)
{
    json_value key = json_first_key(document, object);
    while (key != JSON_NONE && !json_key_equals(document, key, name))
        key = json_next_key(document, key);
    return json_key_value(document, key);
}

json_value json_first_element(const struct json_document *document, json_value array)
{
    return first_child(document, array, JSMN_ARRAY);
}

json_value json_next_element(const struct json_document *document, json_value element)
{
    const token *t = token_at(document, element);
    return t == NULL ? JSON_NONE : sibling(document, t->size, t->parent, JSMN_ARRAY);
}

size_t json_count(const struct json_document *document, json_value array)
{
    size_t count = 0;
    json_value element = json_first_element(document, array);
    for (; element != JSON_NONE; element = json_next_element(document, element))
        count++;
    return count;
}

struct slice json_raw(const struct json_document *document, json_value value)
{
    const token *t = token_at(document, value);
    if (t == NULL || (t->type != JSMN_OBJECT && t->type != JSMN_ARRAY))
        return SLICE_EMPTY;
    return token_text(document->text, t);
}

bool json_string(const struct json_document *document, json_value value, struct arena *arena,
                 struct slice *out)
{
    return json_string_start(document, value, SIZE_MAX, arena, out);
}

bool json_string_start(const struct json_document *document, json_value value, size_t max,
                       struct arena *arena, struct slice *out)
{
    const token *t = token_at(document, value);
    if (t == NULL || t->type != JSMN_STRING)
        return false;
    struct slice raw = token_text(document->text, t);
    if (json_text_is_plain(raw)) {
        *out = utf8_cut(raw, max);
        return true;
    }
    size_t length = json_text_decode(raw, max, NULL);
    char *decoded = arena_allocate(arena, length);
    if (decoded == NULL)
        return false;
    json_text_decode(raw, max, decoded);
    *out = (struct slice){.data = decoded, .len = length};
    return true;
}

struct slice json_number_text(const struct json_document *document, json_value value)
{
    if (json_type_of(document, value) != JSON_NUMBER)
        return SLICE_EMPTY;
    return token_text(document->text, token_at(document, value));
}

bool json_int64(const struct json_document *document, json_value value, int64_t *out)
{
    return json_type_of(document, value) == JSON_NUMBER &&
           json_text_to_int64(token_text(document->text, token_at(document, value)), out);
}
