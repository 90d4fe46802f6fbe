// Every allocation of the parser and the writers fails once. Under a leak checker, nothing is lost.
#include "driver.h"

#include <stdio.h>

#include "writer.h"

// Feeds in pieces until the message is done or refused; takes every allocation that a message needs.
static enum http_progress feed_all(struct http_parser *parser, struct slice input)
{
    enum http_progress progress = HTTP_NEED_MORE;
    size_t at = 0;

    while (progress != HTTP_MESSAGE_DONE && progress != HTTP_REFUSED) {
        size_t consumed, len = input.len - at < 500 ? input.len - at : 500;
        assert_true(len != 0 || progress == HTTP_HEAD_DONE);
        progress = http_parser_feed(parser, input.data + at, len, &consumed);
        at += consumed;
    }
    return progress;
}

static void fail_each_allocation(struct slice input)
{
    struct http_parser parser;

    memory_fail_after(-1);
    http_parser_init(&parser, 1000000);
    assert_int_equal(feed_all(&parser, input), HTTP_MESSAGE_DONE);
    http_parser_release(&parser);
    long count = memory_count_allocations();
    assert_true(count > 1);
    for (long skip = 0; skip < count; skip++) {
        http_parser_init(&parser, 1000000);
        memory_fail_after(skip);
        assert_int_equal(feed_all(&parser, input), HTTP_REFUSED);
        assert_int_equal(parser.refusal_status, 503);
        // With memory available, the parser works again after a reset.
        memory_fail_after(-1);
        http_parser_reset(&parser);
        assert_int_equal(feed_all(&parser, input), HTTP_MESSAGE_DONE);
        http_parser_release(&parser);
    }
}

// `head`, with some fields more, then 50,000 bytes of body.
static void check_long_message(const char *head, const char *body_start, const char *body_end)
{
    struct buffer text;

    buffer_init(&text, 1 << 20);
    note(&text, buffer_append_string(&text, head));
    for (int i = 0; i < 50; i++)
        note(&text, buffer_append_format(&text, "X-%d: 0123456789012345678901234567890\r\n", i));
    note(&text, buffer_append_format(&text, "\r\n%s", body_start));
    for (int i = 0; i < 5000; i++)
        note(&text, buffer_append_string(&text, "0123456789"));
    note(&text, buffer_append_string(&text, body_end));
    fail_each_allocation(buffer_slice(&text));
    buffer_release(&text);
}

static void a_message_that_exhausts_memory_is_refused_and_leaks_nothing(void **state)
{
    (void)state;
    check_long_message("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 50000\r\n", "", "");
    check_long_message("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n", "C350\r\n",
                       "\r\n0\r\n\r\n");
}

static enum error_code write_both(struct buffer *out)
{
    static const char letters[600] = "letters";
    const struct http_header extra[] = {{SLICE("X-Long"), SLICE_EMPTY},
                                        {SLICE("X-Other"), SLICE("b")}};
    struct slice body = {letters, sizeof(letters)};
    enum error_code code = write_response(out, 200, "text/plain", body, false, extra, 2);

    if (code == ERROR_NONE)
        code = write_response(out, 503, "text/plain", SLICE("wait"), false, extra, 2);
    return code;
}

static void writers_that_run_out_of_memory_write_nothing(void **state)
{
    struct buffer out;

    (void)state;
    memory_fail_after(-1);
    buffer_init(&out, 10000);
    assert_int_equal(write_both(&out), ERROR_NONE);
    size_t whole = out.len;
    buffer_release(&out);
    long count = memory_count_allocations();
    assert_true(count > 1);
    for (long skip = 0; skip < count; skip++) {
        buffer_init(&out, 10000);
        memory_fail_after(skip);
        assert_int_equal(write_both(&out), ERROR_MEMORY);
        memory_fail_after(-1);
        // Nothing, or the first message whole.
        assert_true(out.len == 0 || (out.len < whole && out.data[out.len - 1] == '\0'));
        buffer_release(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_that_exhausts_memory_is_refused_and_leaks_nothing),
        cmocka_unit_test(writers_that_run_out_of_memory_write_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
