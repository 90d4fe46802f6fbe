// Parses JSON text to a validated token tree. jsmn finds the tokens; this module verifies that they are JSON
// (RFC 8259), because jsmn alone accepts much that is not. Pure.
#ifndef GHATRACE_JSON_READ_H
#define GHATRACE_JSON_READ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ghatrace/base/arena.h"
#include "ghatrace/base/error.h"
#include "ghatrace/base/slice.h"

#define JSON_DEPTH_MAX 64       // GitHub's published examples go to 7
#define JSON_TOKENS_MAX 2000000 // a job of 100,000 steps has 1,300,000

enum json_type {
    JSON_NULL,
    JSON_TRUE,
    JSON_FALSE,
    JSON_NUMBER,
    JSON_STRING,
    JSON_OBJECT,
    JSON_ARRAY
};

struct json_token; // jsmn's, defined in src/json/read.c

struct json_document {
    struct slice text;
    const struct json_token *tokens; // in the arena
    size_t token_count;
};

// A value inside a document: an index into its tokens. JSON_NONE is an absent value; all functions below accept it.
typedef int32_t json_value;
#define JSON_NONE ((json_value)-1)
#define JSON_ROOT ((json_value)0)

// Parses a whole text: one value, possibly with whitespace around it. The text must outlive the document.
// ERROR_INVALID with the byte offset of the fault, ERROR_TOO_LARGE, ERROR_MEMORY.
enum error_code json_parse(struct slice text, struct arena *arena, struct json_document *document,
                           struct error *error) MUST_CHECK;

// JSON_NONE has type JSON_NULL: absent and null mean the same in GitHub's payloads.
enum json_type json_type_of(const struct json_document *document, json_value value);
// Iterates over an object: the first key, then the next ones; json_key_value gives the value of a key.
json_value json_first_key(const struct json_document *document, json_value object);
json_value json_next_key(const struct json_document *document, json_value key);
json_value json_key_value(const struct json_document *document, json_value key);
// True if this key, after unescaping, equals `name`.
bool json_key_equals(const struct json_document *document, json_value key, struct slice name);
// The text of a key, in the document or in `scratch`; truncated if it is longer than any name in use.
#define JSON_KEY_MAX 64
struct slice json_key_text(const struct json_document *document, json_value key,
                           char scratch[JSON_KEY_MAX]);
// Looks up a key by linear search; the first of duplicate keys is used. JSON_NONE if absent or not an object.
json_value json_get(const struct json_document *document, json_value object, struct slice name);
// Iterates over an array.
json_value json_first_element(const struct json_document *document, json_value array);
json_value json_next_element(const struct json_document *document, json_value element);
size_t json_count(const struct json_document *document, json_value array);
// The source text of an object or array, brackets included; empty for anything else.
struct slice json_raw(const struct json_document *document, json_value value);
// The text of a string: unescaped, with U+FFFD for lone surrogates, invalid UTF-8 and NUL. A string without any of
// these is not copied. False: not a string, or out of memory.
bool json_string(const struct json_document *document, json_value value, struct arena *arena,
                 struct slice *out) MUST_CHECK;
// The same, truncated to at most `max` bytes between characters; the rest is not decoded.
bool json_string_start(const struct json_document *document, json_value value, size_t max,
                       struct arena *arena, struct slice *out) MUST_CHECK;
// The source text of a number; empty for anything else.
struct slice json_number_text(const struct json_document *document, json_value value);
// An integer in any notation: 12, 12.0 and 1.2e1 are the same in JSON Schema. False, and `out` is unchanged: not a
// number, a fraction, or outside int64.
bool json_int64(const struct json_document *document, json_value value, int64_t *out) MUST_CHECK;

#endif
