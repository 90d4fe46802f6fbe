// Caps: how long lines, heads, chunk lines and trailers may be, and what memory a peer can claim.
#include "driver.h"

#include <stdio.h>

static const struct setup request = {.body_max = BODY_MAX};

#define START "GET / HTTP/1.1\r\nHost: a\r\n"
#define CHUNKED "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"

// `before`, `count` letters, `after`.
static struct slice make_long(struct buffer *text, const char *before, size_t count,
                              const char *after)
{
    buffer_clear(text);
    note(text, buffer_append_string(text, before));
    for (size_t i = 0; i < count; i++)
        note(text, buffer_append_string(text, "x"));
    note(text, buffer_append_string(text, after));
    return buffer_slice(text);
}

static const char *outcome(const struct setup *setup, struct slice input)
{
    static char shorthand[100];
    struct transcript t;

    transcript_init(&t);
    drive(setup, input, input.len, 0, &t);
    check_splits(setup, input, &t);
    // Only records that there is a message; its target may have thousands of letters.
    struct slice s = buffer_slice(&t.shorthand);
    if (s.len != 0 && s.data[0] != '!' && s.data[0] != '?')
        s = SLICE("read");
    (void)snprintf(shorthand, sizeof(shorthand), "%.*s", SLICE_ARGS(s));
    transcript_release(&t);
    return shorthand;
}

static void a_request_line_has_8192_bytes(void **state)
{
    // "GET /", " HTTP/1.1" and CR LF are 16 of them.
    static const struct {
        size_t letters;
        const char *expected;
    } cases[] = {{8000, "read"}, {8176, "read"}, {8177, "!414"}, {20000, "!414"}};
    struct buffer text;

    (void)state;
    buffer_init(&text, 1 << 20);
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct slice input =
            make_long(&text, "GET /", cases[i].letters, " HTTP/1.1\r\nHost: a\r\n\r\n");
        assert_string_equal(outcome(&request, input), cases[i].expected);
    }
    // It is known to be too long before it ends.
    assert_string_equal(outcome(&request, make_long(&text, "GET /", 8187, "")), "?");
    assert_string_equal(outcome(&request, make_long(&text, "GET /", 8188, "")), "!414");
    buffer_release(&text);
}

static void a_head_has_16_kib(void **state)
{
    const size_t fixed = sizeof(START) - 1 + 5; // and "A: " with the field's CRLF
    const size_t most = HTTP_HEAD_BYTES_MAX - fixed;
    struct buffer text;

    (void)state;
    buffer_init(&text, 1 << 20);
    assert_string_equal(outcome(&request, make_long(&text, START "A: ", most, "\r\n\r\n")), "read");
    assert_string_equal(outcome(&request, make_long(&text, START "A: ", most + 1, "\r\n\r\n")),
                        "!431");
    assert_string_equal(outcome(&request, make_long(&text, START "A: ", 100000, "")), "!431");
    assert_string_equal(outcome(&request, make_long(&text, START, 20000, ": b\r\n\r\n")), "!431");
    buffer_release(&text);
}

static void a_head_has_100_fields(void **state)
{
    struct buffer text;

    (void)state;
    buffer_init(&text, 1 << 20);
    for (size_t count = 98; count <= 102; count++) {
        buffer_clear(&text);
        note(&text, buffer_append_string(&text, START));
        for (size_t i = 1; i < count; i++)
            note(&text, buffer_append_format(&text, "X-%zu: y\r\n", i));
        note(&text, buffer_append_string(&text, "\r\n"));
        assert_string_equal(outcome(&request, buffer_slice(&text)),
                            count <= HTTP_HEADERS_MAX ? "read" : "!431");
    }
    buffer_release(&text);
}

static void a_chunk_line_has_256_bytes(void **state)
{
    struct buffer text;

    (void)state;
    buffer_init(&text, 1 << 20);
    assert_string_equal(
        outcome(&request, make_long(&text, CHUNKED "1;", 252, "\r\nx\r\n0\r\n\r\n")), "read");
    assert_string_equal(
        outcome(&request, make_long(&text, CHUNKED "1;", 253, "\r\nx\r\n0\r\n\r\n")), "!400");
    assert_string_equal(outcome(&request, make_long(&text, CHUNKED "1;", 100000, "")), "!400");
    // Each chunk has a line of its own.
    assert_string_equal(
        outcome(&request, make_long(&text, CHUNKED "1;aaaaaaaaaa\r\nx\r\n1;", 252, "\r\nx\r\n")),
        "?");
    buffer_release(&text);
}

static void zeros_before_a_chunk_size_are_capped(void **state)
{
    struct buffer text;

    (void)state;
    buffer_init(&text, 1 << 20);
    buffer_clear(&text);
    note(&text, buffer_append_string(&text, CHUNKED));
    for (int i = 0; i < 300; i++)
        note(&text, buffer_append_string(&text, "0"));
    assert_string_equal(outcome(&request, buffer_slice(&text)), "!400");
    buffer_release(&text);
}

static void trailers_have_4_kib(void **state)
{
    struct buffer text;
    const size_t most = HTTP_TRAILER_BYTES_MAX - 7; // "A: ", CRLF and the last CRLF

    (void)state;
    buffer_init(&text, 1 << 20);
    assert_string_equal(outcome(&request, make_long(&text, CHUNKED "0\r\nA: ", most, "\r\n\r\n")),
                        "read");
    assert_string_equal(
        outcome(&request, make_long(&text, CHUNKED "0\r\nA: ", most + 1, "\r\n\r\n")), "!431");
    assert_string_equal(outcome(&request, make_long(&text, CHUNKED "0\r\nA: ", 100000, "")),
                        "!431");
    buffer_release(&text);
}

static void an_announced_length_costs_no_memory(void **state)
{
    static const char *const heads[] = {
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 26214400\r\n\r\n",
        CHUNKED "1900000\r\n",
    };

    (void)state;
    for (size_t i = 0; i < COUNT(heads); i++) {
        struct http_parser parser;
        size_t consumed, len = strlen(heads[i]), at = 0;
        http_parser_init(&parser, 26214400);
        assert_int_equal(http_parser_feed(&parser, heads[i], len, &consumed), HTTP_HEAD_DONE);
        at = consumed;
        assert_int_equal(http_parser_feed(&parser, heads[i] + at, len - at, &consumed),
                         HTTP_NEED_MORE);
        assert_int_equal(parser.body.capacity, 0);
        assert_int_equal(http_parser_feed(&parser, "x", 1, &consumed), HTTP_NEED_MORE);
        assert_true(parser.body.capacity <= 16384);
        assert_true(parser.head_bytes.capacity <= 1024);
        http_parser_release(&parser);
    }
}

static void the_memory_of_a_body_is_bounded_by_its_length(void **state)
{
    struct http_parser parser;
    char head[100], block[1000] = {0};
    size_t consumed, length = 100 * sizeof(block);
    enum http_progress progress = HTTP_NEED_MORE;

    (void)state;
    int len = snprintf(head, sizeof(head),
                       "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %zu\r\n\r\n", length);
    http_parser_init(&parser, 26214400);
    assert_int_equal(http_parser_feed(&parser, head, (size_t)len, &consumed), HTTP_HEAD_DONE);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(progress, HTTP_NEED_MORE);
        progress = http_parser_feed(&parser, block, sizeof(block), &consumed);
        assert_int_equal(consumed, sizeof(block));
        assert_true(parser.body.capacity <= length);
        assert_true(parser.body.capacity <= 16384 || parser.body.capacity <= 2 * parser.body.len);
    }
    assert_int_equal(progress, HTTP_MESSAGE_DONE);
    http_parser_release(&parser);
}

// Feeds one message with a body of `length` bytes.
static void feed_message(struct http_parser *parser, size_t length)
{
    struct buffer text;
    size_t at = 0, consumed;
    enum http_progress progress;

    buffer_init(&text, 1 << 20);
    note(&text, buffer_append_format(
                    &text, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %zu\r\n\r\n", length));
    for (size_t i = 0; i < length; i++)
        note(&text, buffer_append_string(&text, "x"));
    do {
        progress = http_parser_feed(parser, text.data + at, text.len - at, &consumed);
        at += consumed;
    } while (progress == HTTP_HEAD_DONE);
    assert_int_equal(progress, HTTP_MESSAGE_DONE);
    assert_int_equal(parser->body.len, length);
    buffer_release(&text);
}

static void ordinary_buffers_are_kept_and_large_ones_freed(void **state)
{
    struct http_parser parser;

    (void)state;
    http_parser_init(&parser, 1000000);
    feed_message(&parser, 20000);
    const char *head = parser.head_bytes.data, *body = parser.body.data;
    http_parser_reset(&parser);
    feed_message(&parser, 15000);
    assert_ptr_equal(parser.head_bytes.data, head);
    assert_ptr_equal(parser.body.data, body);
    http_parser_reset(&parser);
    feed_message(&parser, 500000);
    http_parser_reset(&parser);
    assert_int_equal(parser.body.capacity, 0);
    http_parser_release(&parser);
}

static void reset_drops_a_refused_or_half_read_request(void **state)
{
    static const char *const first[] = {
        "nonsense\r\n\r\n",
        "GET / HTTP/1.1\r\nHost: a\r",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 100\r\n\r\nhalf",
        CHUNKED "5;a",
        "\r\n\r\n\r\n\r\n",
    };

    (void)state;
    for (size_t i = 0; i < COUNT(first); i++) {
        struct http_parser parser;
        size_t consumed, at = 0, len = strlen(first[i]);
        enum http_progress progress;
        http_parser_init(&parser, 1000);
        do {
            progress = http_parser_feed(&parser, first[i] + at, len - at, &consumed);
            at += consumed;
        } while (progress == HTTP_HEAD_DONE);
        http_parser_reset(&parser);
        assert_true(http_parser_is_idle(&parser));
        assert_null(parser.refusal);
        assert_int_equal(http_parser_feed(&parser, "\r\n\r\n\r\n\r\n", 8, &consumed),
                         HTTP_NEED_MORE);
        assert_true(http_parser_is_idle(&parser));
        feed_message(&parser, 7);
        http_parser_release(&parser);
    }
}

static void the_parser_is_idle_only_between_messages(void **state)
{
    static const char text[] = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";
    struct http_parser parser;
    size_t consumed;

    (void)state;
    http_parser_init(&parser, 0);
    assert_true(http_parser_is_idle(&parser));
    assert_int_equal(http_parser_feed(&parser, NULL, 0, &consumed), HTTP_NEED_MORE);
    assert_int_equal(consumed, 0);
    for (size_t i = 0; i + 1 < sizeof(text) - 1; i++) {
        assert_int_equal(http_parser_feed(&parser, text + i, 1, &consumed), HTTP_NEED_MORE);
        assert_false(http_parser_is_idle(&parser));
    }
    assert_int_equal(http_parser_feed(&parser, "\n", 1, &consumed), HTTP_HEAD_DONE);
    assert_false(http_parser_is_idle(&parser));
    assert_int_equal(http_parser_feed(&parser, NULL, 0, &consumed), HTTP_MESSAGE_DONE);
    assert_int_equal(http_parser_feed(&parser, "GET", 3, &consumed), HTTP_MESSAGE_DONE);
    assert_int_equal(consumed, 0);
    http_parser_reset(&parser);
    assert_true(http_parser_is_idle(&parser));
    http_parser_release(&parser);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_line_has_8192_bytes),
        cmocka_unit_test(a_head_has_16_kib),
        cmocka_unit_test(a_head_has_100_fields),
        cmocka_unit_test(a_chunk_line_has_256_bytes),
        cmocka_unit_test(zeros_before_a_chunk_size_are_capped),
        cmocka_unit_test(trailers_have_4_kib),
        cmocka_unit_test(an_announced_length_costs_no_memory),
        cmocka_unit_test(the_memory_of_a_body_is_bounded_by_its_length),
        cmocka_unit_test(ordinary_buffers_are_kept_and_large_ones_freed),
        cmocka_unit_test(reset_drops_a_refused_or_half_read_request),
        cmocka_unit_test(the_parser_is_idle_only_between_messages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
