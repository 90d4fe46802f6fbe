// Responses: status lines, interim ones, and every way a body can end.
#include "driver.h"

static const struct setup response = {.role = HTTP_RESPONSE, .body_max = BODY_MAX};
static const struct setup closing = {.role = HTTP_RESPONSE, .body_max = BODY_MAX, .closes = true};

static void status_lines_are_read(void **state)
{
    const struct http_case cases[] = {
        {SLICE("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"), "200 [hi]"},
        {SLICE("HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n"), "200 []"},
        {SLICE("HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n"), "200 []"},
        {SLICE("HTTP/1.1 503 Try  again\tlater \xe9\r\nContent-Length: 0\r\n\r\n"), "503 []"},
        {SLICE("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi"), "200 close [hi]"},
        {SLICE("HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 2\r\n\r\nhi"),
         "200 [hi]"},
        {SLICE("HTTP/1.1 999 Odd\r\nContent-Length: 0\r\n\r\n"), "999 []"},
        // In responses, Host is not required and Expect is ignored.
        {SLICE("HTTP/1.1 200 OK\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\nx"), "200 [x]"},
    };

    (void)state;
    check_cases(&response, cases, COUNT(cases));
}

static void malformed_status_lines_are_refused(void **state)
{
    const struct http_case cases[] = {
        {SLICE("HTTP/1.1\r\n\r\n"), "!400"},
        {SLICE("HTTP/1.1 \r\n\r\n"), "!400"},
        {SLICE("HTTP/1.1  200 OK\r\n\r\n"), "!400"},
        {SLICE("HTTP/1.1 20 OK\r\n\r\n"), "!400"},
        {SLICE("HTTP/1.1 2000 OK\r\n\r\n"), "!400"},
        {SLICE("HTTP/1.1 099 Low\r\n\r\n"), "!400"},
        {SLICE("HTTP/1.1 -20 OK\r\n\r\n"), "!400"},
        {SLICE("HTTP/1.1 2x0 OK\r\n\r\n"), "!400"},
        {SLICE("HTTP/1.1\t200 OK\r\n\r\n"), "!400"},
        {SLICE("ICY 200 OK\r\n\r\n"), "!400"},
        {SLICE("HTTP/2.0 200 OK\r\n\r\n"), "!505"},
        {SLICE("\r\nHTTP/1.1 200 OK\r\n\r\n"), "!400"},
        {SLICE("\x15\x03\x01\x00\x02\x02"), "!400"}, // a TLS alert
        {SLICE("SSH-2.0-OpenSSH_9.2\r\n"), "?"},     // no end of a head yet
        {SLICE("HTTP/1.1 200 OK\nContent-Length: 0\n\n"), "!400"},
        {SLICE("HTTP/1.1 200 OK\r\nX : y\r\n\r\n"), "!400"},
        {SLICE("HTTP/1.1 200 OK\r\nX: y\r\n z\r\n\r\n"), "!400"},
        {SLICE("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx"), "!400"},
        {SLICE("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"),
         "!400"},
        {SLICE("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n"), "!501"},
        {SLICE("HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n"), "!413"},
    };

    (void)state;
    check_cases(&response, cases, COUNT(cases));
}

static void interim_responses_are_skipped(void **state)
{
    const struct http_case cases[] = {
        {SLICE("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"),
         "200 [hi]"},
        {SLICE("HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\nHTTP/1.1 102 \r\n\r\n"
               "HTTP/1.1 204 No Content\r\n\r\n"),
         "204 []"},
        // Even one that claims a body has none.
        {SLICE("HTTP/1.1 100 Continue\r\nContent-Length: 5000\r\n\r\n"
               "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"),
         "200 [hi]"},
        {SLICE("HTTP/1.1 100 Continue\r\n\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"), "!400"},
        {SLICE("HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n"), "!400"},
        {SLICE("HTTP/1.1 100 Continue\r\nbroken\r\n\r\n"), "!400"},
        {SLICE("HTTP/1.1 100 Continue\r\n\r\n"), ""},
    };
    const struct http_case closed[] = {
        {SLICE("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200"), "!400"},
    };

    (void)state;
    check_cases(&response, cases, COUNT(cases));
    check_cases(&closing, closed, COUNT(closed));
}

static void the_number_of_interim_responses_is_limited(void **state)
{
    static const char interim[] = "HTTP/1.1 100 Continue\r\n\r\n";
    static const char last[] = "HTTP/1.1 204 No Content\r\n\r\n";

    (void)state;
    for (size_t count = 15; count <= 18; count++) {
        struct buffer text;
        buffer_init(&text, 1000);
        for (size_t i = 0; i < count; i++)
            assert_int_equal(buffer_append_string(&text, interim), ERROR_NONE);
        assert_int_equal(buffer_append_string(&text, last), ERROR_NONE);
        const struct http_case c = {buffer_slice(&text), count <= 16 ? "204 []" : "!400"};
        check_case(&response, &c);
        buffer_release(&text);
    }
}

static void some_responses_have_no_body_whatever_their_fields(void **state)
{
    const struct http_case cases[] = {
        {SLICE("HTTP/1.1 204 No Content\r\n\r\n"), "204 []"},
        {SLICE("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n"), "204 []"},
        {SLICE("HTTP/1.1 304 Not Modified\r\nContent-Length: 99999999\r\n\r\n"), "304 []"},
        {SLICE("HTTP/1.1 304 Not Modified\r\nTransfer-Encoding: chunked\r\n\r\n"), "304 []"},
        {SLICE("HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
         "204 []; 200 []"},
    };
    const struct setup head = {.role = HTTP_RESPONSE, .body_max = BODY_MAX, .head_only = true};
    const struct http_case to_head[] = {
        {SLICE("HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n"), "200 []"},
        {SLICE("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), "200 []"},
        {SLICE("HTTP/1.1 200 OK\r\n\r\nHTTP/1.1 200 OK\r\n\r\n"), "200 []; 200 []"},
    };

    (void)state;
    check_cases(&response, cases, COUNT(cases));
    check_cases(&head, to_head, COUNT(to_head));
}

static void a_body_without_length_ends_with_the_connection(void **state)
{
    const struct http_case cases[] = {
        {SLICE("HTTP/1.1 200 OK\r\n\r\nhello"), "200 close [hello]"},
        {SLICE("HTTP/1.1 200 OK\r\nConnection: keep-alive\r\n\r\n"), "200 close []"},
        {SLICE("HTTP/1.0 502 Bad Gateway\r\n\r\n<html>\r\n\r\n"), "502 close [<html>\r\n\r\n]"},
        {SLICE("HTTP/1.1 204 No Content\r\n\r\n"), "204 []"},
    };
    const struct http_case open[] = {
        {SLICE("HTTP/1.1 200 OK\r\n\r\nhello"), "?"},
    };

    (void)state;
    check_cases(&closing, cases, COUNT(cases));
    check_cases(&response, open, COUNT(open));
}

static void a_body_without_length_is_capped_as_well(void **state)
{
    const struct setup small = {.role = HTTP_RESPONSE, .body_max = 5, .closes = true};
    const struct http_case cases[] = {
        {SLICE("HTTP/1.1 200 OK\r\n\r\nhello"), "200 close [hello]"},
        {SLICE("HTTP/1.1 200 OK\r\n\r\nhello!"), "!413"},
    };

    (void)state;
    check_cases(&small, cases, COUNT(cases));
}

static void a_close_within_a_message_is_an_error(void **state)
{
    const struct http_case cases[] = {
        {SLICE("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhello"), "!400"},
        {SLICE("HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n"), "!400"},
        {SLICE("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n"), "!400"},
        {SLICE("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n"), "!400"},
        {SLICE("HTTP/1.1 200 OK\r\nX: y\r\n"), "!400"},
        {SLICE("HTTP/1.1 200 OK"), "!400"},
        {SLICE("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello"), "200 [hello]"},
        {SLICE("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"),
         "200 [hello]"},
    };

    (void)state;
    check_cases(&closing, cases, COUNT(cases));
}

// Between head and body, before the parser has determined the framing of the body.
static void after_a_close_behind_the_head_the_framing_decides(void **state)
{
    static const struct {
        const char *head;
        enum http_progress expected;
    } cases[] = {
        {"HTTP/1.1 200 OK\r\n\r\n", HTTP_MESSAGE_DONE},
        {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", HTTP_MESSAGE_DONE},
        {"HTTP/1.1 204 No Content\r\n\r\n", HTTP_MESSAGE_DONE},
        {"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n", HTTP_REFUSED},
        {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", HTTP_REFUSED},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct http_parser parser;
        size_t consumed;
        http_parser_init(&parser, HTTP_RESPONSE, 10);
        assert_int_equal(http_parser_feed(&parser, cases[i].head, strlen(cases[i].head), &consumed),
                         HTTP_HEAD_DONE);
        assert_int_equal(http_parser_finish(&parser), cases[i].expected);
        assert_int_equal(http_parser_finish(&parser), cases[i].expected);
        http_parser_release(&parser);
    }
}

static void a_close_does_not_lift_a_lowered_limit(void **state)
{
    static const char head[] = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
    struct http_parser parser;
    size_t consumed;

    (void)state;
    http_parser_init(&parser, HTTP_RESPONSE, 10);
    assert_int_equal(http_parser_feed(&parser, head, strlen(head), &consumed), HTTP_HEAD_DONE);
    parser.body_max = 4;
    assert_int_equal(http_parser_finish(&parser), HTTP_REFUSED);
    assert_int_equal(parser.refusal_status, 413);
    http_parser_release(&parser);
}

static void a_close_before_the_first_byte_has_its_own_reason(void **state)
{
    struct http_parser parser;

    (void)state;
    http_parser_init(&parser, HTTP_RESPONSE, 10);
    assert_true(http_parser_is_idle(&parser));
    assert_int_equal(http_parser_finish(&parser), HTTP_REFUSED);
    assert_string_equal(parser.refusal, "the connection closed before a message");
    http_parser_release(&parser);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(status_lines_are_read),
        cmocka_unit_test(malformed_status_lines_are_refused),
        cmocka_unit_test(interim_responses_are_skipped),
        cmocka_unit_test(the_number_of_interim_responses_is_limited),
        cmocka_unit_test(some_responses_have_no_body_whatever_their_fields),
        cmocka_unit_test(a_body_without_length_ends_with_the_connection),
        cmocka_unit_test(a_body_without_length_is_capped_as_well),
        cmocka_unit_test(a_close_within_a_message_is_an_error),
        cmocka_unit_test(after_a_close_behind_the_head_the_framing_decides),
        cmocka_unit_test(a_close_does_not_lift_a_lowered_limit),
        cmocka_unit_test(a_close_before_the_first_byte_has_its_own_reason),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
