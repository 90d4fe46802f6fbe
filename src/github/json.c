// JSON text to token tree: jsmn finds the tokens, the walk over the text proves that they are JSON.
#include "ghatrace/github/json.h"

#include <string.h>

#include "ghatrace/base/utf8.h"
#include "json_text.h"

// The defines change what jsmn accepts and the layout of its tokens: nobody else includes it.
#define JSMN_STATIC
#define JSMN_STRICT
#define JSMN_PARENT_LINKS
#include <jsmn.h>

// After the walk a token means more than jsmn says:
// `size`: the index after the token's whole subtree, so that a walk over siblings skips in one step;
// `parent`: of a key its object, of a value in an object its key, of an element its array, or -1.
typedef jsmntok_t token;

// What the grammar allows next (RFC 8259 sections 2, 4 and 5).
enum expected {
    EXPECT_VALUE,     // at the start, after a colon, after a comma in an array
    EXPECT_FIRST,     // after an opener: the first key or element, or the closer
    EXPECT_KEY,       // after a comma in an object
    EXPECT_COLON,     // after a key
    EXPECT_SEPARATOR, // after a value: a comma or the closer; at depth 0 the end
};

struct walk {
    struct slice text;
    token *tokens;
    int index;    // of the next token
    int position; // the text before it is accounted for
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

// Blanks, commas, colons and closers up to `end`, where the next token or the end of the text is.
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

static struct slice text_of(struct slice text, const token *t)
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
    if (value->type == JSMN_PRIMITIVE && !json_text_is_primitive(text_of(walk->text, value)))
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

// Every byte of the text is looked at once, in a token or between two, so nothing that jsmn lets
// pass (doubled commas, keys without values, second roots, `01`, `nulx`) gets through.
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

// In strict mode jsmn wants something behind a number or literal, which a lone one does not have.
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

// `tokens` has room for as many as the text has if it is JSON: JSMN_ERROR_NOMEM then means values
// without the commas between them.
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

// The token at `next` if it is still inside the container.
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
           json_text_equals(text_of(document->text, t), name);
}

struct slice json_key_text(const struct json_document *document, json_value key,
                           char scratch[JSON_KEY_MAX])
{
    const token *t = token_at(document, key);
    if (t == NULL || t->type != JSMN_STRING)
        return SLICE_EMPTY;
    struct slice raw = text_of(document->text, t);
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
    return text_of(document->text, t);
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
    struct slice raw = text_of(document->text, t);
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

bool json_int64(const struct json_document *document, json_value value, int64_t *out)
{
    return json_type_of(document, value) == JSON_NUMBER &&
           json_text_to_int64(text_of(document->text, token_at(document, value)), out);
}
