// Request bodies: lengths, chunks, and the framing that request smuggling exploits.
#include "driver.h"

#include <stdio.h>

static const struct setup request = {.body_max = BODY_MAX};

#define POST "POST / HTTP/1.1\r\nHost: a\r\n"
#define CHUNKED POST "Transfer-Encoding: chunked\r\n\r\n"
#define END "0\r\n\r\n"

static void a_length_is_given_once_and_in_digits(void **state)
{
    const struct http_case cases[] = {
        {SLICE(POST "Content-Length: 5\r\n\r\nhello"), "POST / [hello]"},
        {SLICE(POST "Content-Length:  5\t\r\n\r\nhello"), "POST / [hello]"},
        {SLICE(POST "Content-Length: 0005\r\n\r\nhello"), "POST / [hello]"},
        {SLICE(POST "Content-Length: 0\r\n\r\n"), "POST / []"},
        {SLICE(POST "\r\n"), "POST / []"},
        {SLICE("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi"), "GET / [hi]"},
        {SLICE("POST / HTTP/1.0\r\nContent-Length: 2\r\n\r\nhi"), "POST / close [hi]"},
        {SLICE(POST "Content-Length: 5\r\n\r\nhell"), "?"},
        {SLICE(POST "Content-Length: +5\r\n\r\nhello"), "!400"},
        {SLICE(POST "Content-Length: -0\r\n\r\nhello"), "!400"},
        {SLICE(POST "Content-Length: -1\r\n\r\nhello"), "!400"},
        {SLICE(POST "Content-Length: 0x5\r\n\r\nhello"), "!400"},
        {SLICE(POST "Content-Length: 5a\r\n\r\nhello"), "!400"},
        {SLICE(POST "Content-Length: 5 5\r\n\r\nhello"), "!400"},
        {SLICE(POST "Content-Length: 5.0\r\n\r\nhello"), "!400"},
        {SLICE(POST "Content-Length: five\r\n\r\nhello"), "!400"},
        {SLICE(POST "Content-Length:\r\n\r\nhello"), "!400"},
        {SLICE(POST "Content-Length: 5,5\r\n\r\nhello"), "!400"},
        {SLICE(POST "Content-Length: 5, 6\r\n\r\nhello"), "!400"},
        {SLICE(POST "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello"), "!400"},
        {SLICE(POST "Content-Length: 5\r\ncontent-length: 5\r\n\r\nhello"), "!400"},
        {SLICE(POST "Content-Length: 5\r\nContent-Length:\r\n\r\nhello"), "!400"},
        {SLICE(POST "Content-Length: \xb2\r\n\r\nhello"), "!400"},
    };

    (void)state;
    check_cases(&request, cases, COUNT(cases));
}

static void a_body_may_hold_any_bytes(void **state)
{
    struct http_parser parser;
    char text[400];
    size_t consumed, head_len;

    (void)state;
    head_len = (size_t)snprintf(text, sizeof(text), POST "Content-Length: 256\r\n\r\n");
    for (size_t i = 0; i < 256; i++)
        text[head_len + i] = (char)i;
    http_parser_init(&parser, 256);
    assert_int_equal(http_parser_feed(&parser, text, head_len, &consumed), HTTP_HEAD_DONE);
    assert_int_equal(consumed, head_len);
    assert_int_equal(http_parser_feed(&parser, text + head_len, 256, &consumed), HTTP_MESSAGE_DONE);
    assert_true(slice_equals(buffer_slice(&parser.body), (struct slice){text + head_len, 256}));
    http_parser_release(&parser);
}

static void a_body_over_the_limit_is_refused_before_it_is_received(void **state)
{
    const struct http_case cases[] = {
        {SLICE(POST "Content-Length: 1001\r\n\r\n"), "!413"},
        {SLICE(POST "Content-Length: 18446744073709551615\r\n\r\n"), "!413"},
        {SLICE(POST "Content-Length: 18446744073709551616\r\n\r\n"), "!413"},
        {SLICE(POST "Content-Length: 18446744073709551621\r\n\r\nhello"), "!413"},
        {SLICE(POST "Content-Length: 99999999999999999999999999999999999\r\n\r\n"), "!413"},
        {SLICE(POST "Content-Length: 99999999999999999999999x\r\n\r\n"), "!400"},
        {SLICE(CHUNKED "3e9\r\n"), "!413"},
        {SLICE(CHUNKED "3e8\r\n"), "?"},
        {SLICE(CHUNKED "ffffffffffffffff\r\n"), "!413"},
        {SLICE(CHUNKED "10000000000000005\r\nhello\r\n" END), "!413"},
        {SLICE(CHUNKED "5\r\nhello\r\n3e4\r\n"), "!413"},
        {SLICE(CHUNKED "5\r\nhello\r\nfffffffffffffffb\r\n"), "!413"},
    };

    (void)state;
    check_cases(&request, cases, COUNT(cases));
}

static void a_body_may_just_reach_the_limit(void **state)
{
    const struct setup exact = {.body_max = 5};
    const struct setup none = {.body_max = 0};
    const struct http_case cases[] = {
        {SLICE(POST "Content-Length: 5\r\n\r\nhello"), "POST / [hello]"},
        {SLICE(CHUNKED "2\r\nhe\r\n3\r\nllo\r\n" END), "POST / [hello]"},
        {SLICE(CHUNKED "2\r\nhe\r\n4\r\n"), "!413"},
    };
    const struct http_case empty[] = {
        {SLICE(POST "Content-Length: 0\r\n\r\n"), "POST / []"},
        {SLICE(CHUNKED END), "POST / []"},
        {SLICE(POST "\r\n"), "POST / []"},
        {SLICE(POST "Content-Length: 1\r\n\r\n"), "!413"},
        {SLICE(CHUNKED "1\r\n"), "!413"},
    };

    (void)state;
    check_cases(&exact, cases, COUNT(cases));
    check_cases(&none, empty, COUNT(empty));
}

static void the_limit_may_be_lowered_when_the_head_is_parsed(void **state)
{
    static const char *const heads[] = {POST "Content-Length: 5\r\n\r\n", CHUNKED};
    static const char *const bodies[] = {"hello", "5\r\nhello\r\n" END};

    (void)state;
    for (size_t i = 0; i < COUNT(heads); i++) {
        struct http_parser parser;
        size_t consumed;
        http_parser_init(&parser, 100);
        assert_int_equal(http_parser_feed(&parser, heads[i], strlen(heads[i]), &consumed),
                         HTTP_HEAD_DONE);
        parser.body_max = 4;
        assert_int_equal(http_parser_feed(&parser, bodies[i], strlen(bodies[i]), &consumed),
                         HTTP_REFUSED);
        assert_int_equal(parser.refusal_status, 413);
        http_parser_release(&parser);
    }
}

static void chunks_are_put_together(void **state)
{
    const struct http_case cases[] = {
        {SLICE(CHUNKED END), "POST / []"},
        {SLICE(CHUNKED "5\r\nhello\r\n" END), "POST / [hello]"},
        {SLICE(CHUNKED "1\r\nh\r\n4\r\nello\r\n0000\r\n\r\n"), "POST / [hello]"},
        {SLICE(CHUNKED "A\r\n0123456789\r\na\r\nabcdefghij\r\n" END),
         "POST / [0123456789abcdefghij]"},
        {SLICE(CHUNKED "0000000000000000000000005\r\nhello\r\n" END), "POST / [hello]"},
        {SLICE(CHUNKED "f\r\n0123456789abcde\r\nF\r\n0123456789abcde\r\n" END),
         "POST / [0123456789abcde0123456789abcde]"},
        {SLICE(CHUNKED "2\r\n\r\n\r\n" END), "POST / [\r\n]"},
        {SLICE(CHUNKED "5\r\n0\r\n\r\n\r\n" END), "POST / [0\r\n\r\n]"},
        {SLICE(POST "tRANSFER-eNCODING: CHUNKED \r\n\r\n1\r\nx\r\n" END), "POST / [x]"},
        {SLICE(CHUNKED "5\r\nhel"), "?"},
        {SLICE(CHUNKED "5\r\nhello"), "?"},
        {SLICE(CHUNKED "5\r\nhello\r\n0\r\n"), "?"},
        {SLICE(CHUNKED "5\r\nhello\r\n0\r\n\r"), "?"},
    };

    (void)state;
    check_cases(&request, cases, COUNT(cases));
}

static void chunk_extensions_are_skipped(void **state)
{
    const struct http_case cases[] = {
        {SLICE(CHUNKED "5;a\r\nhello\r\n0;b=c\r\n\r\n"), "POST / [hello]"},
        {SLICE(CHUNKED "5;a=\"x;y\";b\r\nhello\r\n" END), "POST / [hello]"},
        {SLICE(CHUNKED "5 \t; a = b\r\nhello\r\n" END), "POST / [hello]"},
        {SLICE(CHUNKED "5;\xe9\r\nhello\r\n" END), "POST / [hello]"},
        {SLICE(CHUNKED "5 \r\nhello\r\n" END), "!400"},
        {SLICE(CHUNKED "5 5\r\nhello\r\n" END), "!400"},
        {SLICE(CHUNKED "5;a\nhello\r\n" END), "!400"},
        {SLICE(CHUNKED "5;a\rb\r\nhello\r\n" END), "!400"},
        {SLICE(CHUNKED "5;\x01\r\nhello\r\n" END), "!400"},
        {SLICE(CHUNKED ";a\r\nhello\r\n" END), "!400"},
    };

    (void)state;
    check_cases(&request, cases, COUNT(cases));
}

static void malformed_chunks_are_refused(void **state)
{
    const struct http_case cases[] = {
        {SLICE(CHUNKED "0x5\r\nhello\r\n" END), "!400"},
        {SLICE(CHUNKED "+5\r\nhello\r\n" END), "!400"},
        {SLICE(CHUNKED "-5\r\nhello\r\n" END), "!400"},
        {SLICE(CHUNKED " 5\r\nhello\r\n" END), "!400"},
        {SLICE(CHUNKED "5h\r\nhello\r\n" END), "!400"},
        {SLICE(CHUNKED "g\r\nhello\r\n" END), "!400"},
        {SLICE(CHUNKED "5,\r\nhello\r\n" END), "!400"},
        {SLICE(CHUNKED "\r\n"), "!400"},
        {SLICE(CHUNKED "\r\n5\r\nhello\r\n" END), "!400"}, // blank lines before a size
        {SLICE(CHUNKED "5\nhello\r\n" END), "!400"},
        {SLICE(CHUNKED "5\r\r\nhello\r\n" END), "!400"},
        {SLICE(CHUNKED "5\rhello\r\n" END), "!400"},
        {SLICE(CHUNKED "5\r\nhello" END), "!400"},
        {SLICE(CHUNKED "5\r\nhello!\r\n" END), "!400"},
        {SLICE(CHUNKED "5\r\nhello\n" END), "!400"},
        {SLICE(CHUNKED "5\r\nhello\r\r\n" END), "!400"},
        {SLICE(CHUNKED "5\r\nhello\r\n\r\n" END), "!400"},
        {SLICE(CHUNKED "5\r\nhello\r\nPOST / HTTP/1.1\r\n"), "!400"},
        {SLICE(CHUNKED "0\n\n"), "!400"},
        {SLICE(CHUNKED "0\r\n\n"), "!400"},
        {SLICE(CHUNKED "0\r\n\rx"), "!400"},
    };

    (void)state;
    check_cases(&request, cases, COUNT(cases));
}

static void trailers_are_read_and_dropped(void **state)
{
    const struct http_case cases[] = {
        {SLICE(CHUNKED "1\r\nx\r\n0\r\nExpires: never\r\nX:\r\n\r\n"), "POST / [x]"},
        // They are not header fields: neither length nor connection changes.
        {SLICE(CHUNKED "0\r\nContent-Length: 5\r\nConnection: close\r\n\r\n"), "POST / []"},
        {SLICE(CHUNKED "0\r\n folded: x\r\n\r\n"), "!400"},
        {SLICE(CHUNKED "0\r\nX: y\r\n z\r\n\r\n"), "!400"},
        {SLICE(CHUNKED "0\r\nX : y\r\n\r\n"), "!400"},
        {SLICE(CHUNKED "0\r\n: y\r\n\r\n"), "!400"},
        {SLICE(CHUNKED "0\r\nGET / HTTP/1.1\r\n\r\n"), "!400"},
        {SLICE(CHUNKED "0\r\nX: y\n\r\n"), "!400"},
        {SLICE(CHUNKED "0\r\nX: \x01\r\n\r\n"), "!400"},
        {SLICE(CHUNKED "0\r\nX: y\rz\r\n\r\n"), "!400"},
        {SLICE(CHUNKED "0\r\nX"), "?"},
    };

    (void)state;
    check_cases(&request, cases, COUNT(cases));
}

// Framing that proxies and servers have interpreted differently (RFC 9112 11.2).
static void ambiguous_framing_is_refused(void **state)
{
    const struct http_case cases[] = {
        {SLICE(POST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n" END), "!400"},
        {SLICE(POST "Transfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n" END), "!400"},
        {SLICE(POST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n" END),
         "!400"},
        {SLICE(POST "Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n" END),
         "!400"},
        {SLICE(POST "Transfer-Encoding:\r\n\r\n" END), "!400"},
        {SLICE(POST "Transfer-Encoding : chunked\r\n\r\n" END), "!400"},
        {SLICE(POST "Transfer-Encoding\r\n: chunked\r\n\r\n" END), "!400"},
        {SLICE(POST "Transfer-Encoding:\r\n chunked\r\n\r\n" END), "!400"},
        {SLICE(POST "Transfer-Encoding:\vchunked\r\n\r\n" END), "!400"},
        {SLICE(POST "Transfer-Encoding: xchunked\r\n\r\n" END), "!501"},
        {SLICE(POST "Transfer-Encoding: chunked, chunked\r\n\r\n" END), "!501"},
        {SLICE(POST "Transfer-Encoding: gzip, chunked\r\n\r\n" END), "!501"},
        {SLICE(POST "Transfer-Encoding: chunked, identity\r\n\r\n" END), "!501"},
        {SLICE(POST "Transfer-Encoding: identity\r\n\r\n" END), "!501"},
        {SLICE(POST "Transfer-Encoding: \"chunked\"\r\n\r\n" END), "!501"},
        {SLICE(POST "Transfer-Encoding: chunked;q=1\r\n\r\n" END), "!501"},
        {SLICE(POST "Transfer-Encoding: chunked,\r\n\r\n" END), "!501"},
        {SLICE(POST "Transfer-Encoding: ch\xc3\xbcnked\r\n\r\n" END), "!501"},
        {SLICE("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n" END), "!400"},
        {SLICE(
             "POST / HTTP/1.0\r\nConnection: keep-alive\r\nTransfer-Encoding: chunked\r\n\r\n" END),
         "!400"},
    };

    (void)state;
    check_cases(&request, cases, COUNT(cases));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_length_is_given_once_and_in_digits),
        cmocka_unit_test(a_body_may_hold_any_bytes),
        cmocka_unit_test(a_body_over_the_limit_is_refused_before_it_is_received),
        cmocka_unit_test(a_body_may_just_reach_the_limit),
        cmocka_unit_test(the_limit_may_be_lowered_when_the_head_is_parsed),
        cmocka_unit_test(chunks_are_put_together),
        cmocka_unit_test(chunk_extensions_are_skipped),
        cmocka_unit_test(malformed_chunks_are_refused),
        cmocka_unit_test(trailers_are_read_and_dropped),
        cmocka_unit_test(ambiguous_framing_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
