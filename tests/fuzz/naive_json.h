// The grammar of JSON (RFC 8259), one function per rule, each of which returns what follows, or NULL. To compare with
// the program's parser.
#ifndef GHATRACE_TESTS_FUZZ_NAIVE_JSON_H
#define GHATRACE_TESTS_FUZZ_NAIVE_JSON_H

#include "fuzz.h"
#include "ghatrace/json/read.h"

static inline const char *naive_blanks(const char *at, const char *end)
{
    while (at < end && memchr(" \t\n\r", *at, 4) != NULL)
        at++;
    return at;
}

static inline const char *naive_literal(const char *at, const char *end, struct slice word)
{
    bool is_it = (size_t)(end - at) >= word.len && memcmp(at, word.data, word.len) == 0;
    return is_it ? at + word.len : NULL;
}

static inline const char *naive_digits(const char *at, const char *end)
{
    const char *start = at;
    while (at < end && *at >= '0' && *at <= '9')
        at++;
    return at > start ? at : NULL;
}

static inline const char *naive_number(const char *at, const char *end)
{
    at += *at == '-';
    at = at < end && *at == '0' ? at + 1 : naive_digits(at, end);
    if (at != NULL && at < end && *at == '.')
        at = naive_digits(at + 1, end);
    if (at != NULL && at < end && (*at == 'e' || *at == 'E')) {
        at++;
        at += at < end && (*at == '+' || *at == '-');
        at = naive_digits(at, end);
    }
    return at;
}

static inline const char *naive_string(const char *at, const char *end)
{
    for (at++; at < end && *at != '"'; at++) {
        if ((unsigned char)*at < 0x20)
            return NULL;
        if (*at != '\\')
            continue;
        if (++at == end || memchr("\"\\/bfnrtu", *at, 9) == NULL)
            return NULL;
        for (int i = 0; *at == 'u' && i < 4; i++)
            if (end - at <= i + 1 || memchr("0123456789abcdefABCDEF", at[i + 1], 22) == NULL)
                return NULL;
    }
    return at < end ? at + 1 : NULL;
}

static inline const char *naive_value(const char *at, const char *end, int depth);

// Members or elements, from the opening bracket to the closing one.
static inline const char *naive_container(const char *at, const char *end, int depth)
{
    bool is_object = *at == '{';
    char closing = is_object ? '}' : ']';
    if (depth >= JSON_DEPTH_MAX)
        return NULL;
    at = naive_blanks(at + 1, end);
    if (at < end && *at == closing)
        return at + 1;
    while (true) {
        if (is_object) {
            at = at < end && *at == '"' ? naive_string(at, end) : NULL;
            at = at != NULL ? naive_literal(naive_blanks(at, end), end, SLICE(":")) : NULL;
        }
        at = at != NULL ? naive_value(at, end, depth + 1) : NULL;
        if (at == NULL || at == end || *at == closing)
            return at != NULL && at < end ? at + 1 : NULL;
        if (*at++ != ',')
            return NULL;
        at = naive_blanks(at, end);
    }
}

// With the blanks on both sides.
static inline const char *naive_value(const char *at, const char *end, int depth)
{
    at = naive_blanks(at, end);
    if (at == end)
        return NULL;
    if (*at == '{' || *at == '[')
        at = naive_container(at, end, depth);
    else if (*at == '"')
        at = naive_string(at, end);
    else if (*at == 't')
        at = naive_literal(at, end, SLICE("true"));
    else if (*at == 'f')
        at = naive_literal(at, end, SLICE("false"));
    else if (*at == 'n')
        at = naive_literal(at, end, SLICE("null"));
    else
        at = naive_number(at, end);
    return at != NULL ? naive_blanks(at, end) : NULL;
}

static inline bool naive_is_json(struct slice text)
{
    const char *end = text.data + text.len;
    return naive_value(text.data, end, 0) == end;
}

#endif
