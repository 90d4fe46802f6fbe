// Feeds a parser with cases, in one piece and in many, and records the results.
//
// A case describes the expected result in a shorthand, one message after the other, joined by "; ":
//     POST /webhook continue [hello]     request; `continue` and `close` where they apply; body
//     !413                               refused, with the status of the response
//     ?                                  the input ended within a message
#ifndef GHATRACE_TESTS_HTTP_DRIVER_H
#define GHATRACE_TESTS_HTTP_DRIVER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "ghatrace/base/buffer.h"
#include "ghatrace/base/memory.h"
#include "ghatrace/http/parse.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define BODY_MAX 1000

struct http_case {
    struct slice input;
    const char *expected;
};

struct setup {
    uint64_t body_max;
};

struct transcript {
    struct buffer shorthand;
    struct buffer details; // all fields of the head, to compare different ways of feeding
};

static inline void note(struct buffer *text, enum error_code code)
{
    if (code != ERROR_NONE)
        fail_msg("a transcript of %zu bytes is too long", text->len);
}
#define NOTE(text, ...) note(text, buffer_append_format(text, __VA_ARGS__))

static inline void note_head(struct transcript *t, const struct http_head *head)
{
    NOTE(&t->details, "%.*s|%.*s|%.*s|%.*s|1.%d|%d%d%d%d|%llu\n", SLICE_ARGS(head->method),
         SLICE_ARGS(head->target), SLICE_ARGS(head->path), SLICE_ARGS(head->query),
         head->minor_version, head->keep_alive, head->expects_continue, head->has_body_length,
         head->is_chunked, (unsigned long long)head->body_length);
    for (size_t i = 0; i < head->header_count; i++)
        NOTE(&t->details, "<%.*s><%.*s>\n", SLICE_ARGS(head->headers[i].name),
             SLICE_ARGS(head->headers[i].value));
}

static inline void note_message(struct transcript *t, const struct http_parser *parser)
{
    const struct http_head *head = &parser->message;
    struct buffer *out = &t->shorthand;

    NOTE(out, "%s", out->len != 0 ? "; " : "");
    NOTE(out, "%.*s %.*s", SLICE_ARGS(head->method), SLICE_ARGS(head->target));
    NOTE(out, "%s%s", head->expects_continue ? " continue" : "", head->keep_alive ? "" : " close");
    if (parser->body.len > 100)
        NOTE(out, " [#%zu]", parser->body.len);
    else
        NOTE(out, " [%.*s]", SLICE_ARGS(buffer_slice(&parser->body)));
    // The slices of the head must have outlived the body.
    note_head(t, head);
    NOTE(&t->details, "%.*s\n", SLICE_ARGS(buffer_slice(&parser->body)));
}

static inline void note_refusal(struct transcript *t, const struct http_parser *parser)
{
    assert_non_null(parser->refusal);
    NOTE(&t->shorthand, "%s!%d", t->shorthand.len != 0 ? "; " : "", parser->refusal_status);
    NOTE(&t->details, "!%d %s\n", parser->refusal_status, parser->refusal);
}

// Feeds one piece from a block of its exact size, which is freed afterwards, so that a sanitizer detects reads past
// its end and pointers that were kept. False once refused.
static inline bool feed_piece(struct http_parser *parser, struct slice piece, struct transcript *t)
{
    char *copy = malloc(piece.len != 0 ? piece.len : 1);
    size_t at = 0, consumed = 0;
    enum http_progress progress;

    assert_non_null(copy);
    if (piece.len != 0)
        memcpy(copy, piece.data, piece.len);
    do {
        progress = http_parser_feed(parser, copy + at, piece.len - at, &consumed);
        assert_true(consumed <= piece.len - at);
        at += consumed;
        assert_true(progress != HTTP_NEED_MORE || at == piece.len);
        if (progress == HTTP_HEAD_DONE)
            note_head(t, &parser->message);
        if (progress == HTTP_MESSAGE_DONE) {
            note_message(t, parser);
            http_parser_reset(parser);
        }
    } while (progress == HTTP_HEAD_DONE || (progress == HTTP_MESSAGE_DONE && at < piece.len));
    if (progress == HTTP_REFUSED) {
        // Once refused, always refused.
        assert_int_equal(http_parser_feed(parser, copy, piece.len, &consumed), HTTP_REFUSED);
        assert_int_equal(consumed, 0);
    }
    free(copy);
    return progress != HTTP_REFUSED;
}

static inline void end_input(struct http_parser *parser, struct transcript *t, bool refused)
{
    if (refused)
        note_refusal(t, parser);
    else if (!http_parser_is_idle(parser))
        NOTE(&t->shorthand, "%s?", t->shorthand.len != 0 ? "; " : "");
}

// Feeds `first` bytes, then pieces of `step` bytes.
static inline void drive(const struct setup *setup, struct slice input, size_t first, size_t step,
                         struct transcript *t)
{
    struct http_parser parser;
    size_t at = 0, size = first;
    bool refused = false;

    buffer_clear(&t->shorthand);
    buffer_clear(&t->details);
    http_parser_init(&parser, setup->body_max);
    while (at < input.len && !refused) {
        if (size > input.len - at)
            size = input.len - at;
        struct slice piece = {.data = input.data + at, .len = size};
        refused = !feed_piece(&parser, piece, t);
        at += size;
        size = step;
    }
    end_input(&parser, t, refused);
    http_parser_release(&parser);
}

static inline bool is_same(const struct transcript *a, const struct transcript *b)
{
    return slice_equals(buffer_slice(&a->shorthand), buffer_slice(&b->shorthand)) &&
           slice_equals(buffer_slice(&a->details), buffer_slice(&b->details));
}

static inline void transcript_init(struct transcript *t)
{
    buffer_init(&t->shorthand, 1 << 20);
    buffer_init(&t->details, 1 << 20);
}

static inline void transcript_release(struct transcript *t)
{
    buffer_release(&t->shorthand);
    buffer_release(&t->details);
}

// Long inputs are not split everywhere, which would take quadratic time, but in a few hundred places.
static inline void check_splits(const struct setup *setup, struct slice input,
                                const struct transcript *whole)
{
    size_t stride = input.len / 300 + 1;
    struct transcript t;

    transcript_init(&t);
    for (size_t first = 1; first < input.len; first += stride) {
        drive(setup, input, first, input.len, &t);
        if (!is_same(whole, &t))
            fail_msg("split after %zu bytes: %.*s", first, SLICE_ARGS(buffer_slice(&t.shorthand)));
    }
    for (size_t step = 1; step <= 7; step += 2) {
        drive(setup, input, step, step, &t);
        if (!is_same(whole, &t))
            fail_msg("in pieces of %zu: %.*s", step, SLICE_ARGS(buffer_slice(&t.shorthand)));
    }
    transcript_release(&t);
}

static inline void check_case(const struct setup *setup, const struct http_case *c)
{
    struct transcript whole;

    transcript_init(&whole);
    drive(setup, c->input, c->input.len, 0, &whole);
    if (!slice_equals(buffer_slice(&whole.shorthand), slice_from_string(c->expected)))
        fail_msg("\n%.*s\nexpected %s\n     got %.*s", SLICE_ARGS(c->input), c->expected,
                 SLICE_ARGS(buffer_slice(&whole.shorthand)));
    check_splits(setup, c->input, &whole);
    transcript_release(&whole);
}

static inline void check_cases(const struct setup *setup, const struct http_case *cases,
                               size_t count)
{
    for (size_t i = 0; i < count; i++)
        check_case(setup, &cases[i]);
}

#endif
