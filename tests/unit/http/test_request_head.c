// Request heads: what is accepted, and what is refused because two implementations might interpret it differently.
#include "driver.h"

#include <stdio.h>

static const struct setup request = {.body_max = BODY_MAX};

#define HOST "Host: ghatrace.example\r\n"

static void ordinary_requests_are_read(void **state)
{
    const struct http_case cases[] = {
        {SLICE("GET / HTTP/1.1\r\n" HOST "\r\n"), "GET / []"},
        {SLICE("GET /metrics?a=1&b=%20 HTTP/1.1\r\n" HOST "\r\n"), "GET /metrics?a=1&b=%20 []"},
        {SLICE("GET /%aA%fF%09%90 HTTP/1.1\r\n" HOST "\r\n"), "GET /%aA%fF%09%90 []"},
        {SLICE("GET / HTTP/1.1\r\nHost:\r\n\r\n"), "GET / []"},
        {SLICE("GET / HTTP/1.1\r\nhOsT:\t[::1]:8080 \t \r\n\r\n"), "GET / []"},
        {SLICE("OPTIONS * HTTP/1.1\r\n" HOST "\r\n"), "OPTIONS * []"},
        {SLICE("GET //x/../y HTTP/1.1\r\n" HOST "\r\n"), "GET //x/../y []"},
        {SLICE("GET /a:b@c;d=e,f!$&'()*+~_-.?/?x HTTP/1.1\r\n" HOST "\r\n"),
         "GET /a:b@c;d=e,f!$&'()*+~_-.?/?x []"},
        // The parser does not interpret the method, but it must be a token.
        {SLICE("BREW /pot HTTP/1.1\r\n" HOST "\r\n"), "BREW /pot []"},
        {SLICE("get / HTTP/1.1\r\n" HOST "\r\n"), "get / []"},
        {SLICE("!#$%&'*+-.^_`|~09azAZ / HTTP/1.1\r\n" HOST "\r\n"), "!#$%&'*+-.^_`|~09azAZ / []"},
        // RFC 9110 2.5: a higher minor version is read as the highest known.
        {SLICE("GET / HTTP/1.9\r\n" HOST "\r\n"), "GET / []"},
        {SLICE("GET / HTTP/1.0\r\n\r\n"), "GET / close []"},
        {SLICE("GET / HTTP/1.0\r\n" HOST "\r\n"), "GET / close []"},
    };

    (void)state;
    check_cases(&request, cases, COUNT(cases));
}

static void a_github_delivery_is_read(void **state)
{
    const struct http_case cases[] = {
        {SLICE("POST /webhook HTTP/1.1\r\n"
               "Host: ghatrace.example\r\n"
               "Accept: */*\r\n"
               "Content-Type: application/json\r\n"
               "User-Agent: GitHub-Hookshot/760256b\r\n"
               "X-GitHub-Delivery: 4d8ed510-a74e-11f1-8f5b-0242ac120002\r\n"
               "X-GitHub-Event: workflow_job\r\n"
               "X-GitHub-Hook-ID: 451245123\r\n"
               "X-GitHub-Hook-Installation-Target-ID: 1\r\n"
               "X-GitHub-Hook-Installation-Target-Type: organization\r\n"
               "X-Hub-Signature: sha1=0123456789012345678901234567890123456789\r\n"
               "X-Hub-Signature-256: sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379"
               "c8b043e17\r\n"
               "Content-Length: 13\r\n"
               "Connection: keep-alive\r\n"
               "\r\n"
               "Hello, World!"),
         "POST /webhook [Hello, World!]"},
    };

    (void)state;
    check_cases(&request, cases, COUNT(cases));
}

static void a_malformed_request_line_is_refused(void **state)
{
    const struct http_case cases[] = {
        {SLICE("GET /\r\n\r\n"), "!400"}, // HTTP/0.9
        {SLICE("GET\r\n\r\n"), "!400"},
        {SLICE(" GET / HTTP/1.1\r\n" HOST "\r\n"), "!400"},
        {SLICE("GET  / HTTP/1.1\r\n" HOST "\r\n"), "!400"},
        {SLICE("GET /  HTTP/1.1\r\n" HOST "\r\n"), "!400"},
        {SLICE("GET / HTTP/1.1 \r\n" HOST "\r\n"), "!400"},
        {SLICE("GET\t/\tHTTP/1.1\r\n" HOST "\r\n"), "!400"},
        {SLICE("GET / x HTTP/1.1\r\n" HOST "\r\n"), "!400"},
        {SLICE("GET / HTTP/1.1 x\r\n" HOST "\r\n"), "!400"},
        {SLICE("G@T / HTTP/1.1\r\n" HOST "\r\n"), "!400"},
        {SLICE("G\xc3\xa9T / HTTP/1.1\r\n" HOST "\r\n"), "!400"},
        {SLICE("GET / http/1.1\r\n" HOST "\r\n"), "!400"},
        {SLICE("GET / HTTP/11.1\r\n" HOST "\r\n"), "!400"},
        {SLICE("GET / HTTP/1.10\r\n" HOST "\r\n"), "!400"},
        {SLICE("GET / HTTP/1.\r\n" HOST "\r\n"), "!400"},
        {SLICE("GET / HTTP/1,1\r\n" HOST "\r\n"), "!400"},
        {SLICE("GET / HTTP/a.1\r\n" HOST "\r\n"), "!400"},
        {SLICE("GET / HTTP/ 1.1\r\n" HOST "\r\n"), "!400"},
        {SLICE("GET / HTCPCP/1.0\r\n" HOST "\r\n"), "!400"},
        {SLICE("HTTP/1.1 200 OK\r\n\r\n"), "!400"},
    };

    (void)state;
    check_cases(&request, cases, COUNT(cases));
}

static void other_versions_are_refused(void **state)
{
    const struct http_case cases[] = {
        {SLICE("GET / HTTP/2.0\r\n" HOST "\r\n"), "!505"},
        {SLICE("GET / HTTP/0.9\r\n" HOST "\r\n"), "!505"},
        {SLICE("GET / HTTP/3.0\r\n" HOST "\r\n"), "!505"},
        // The connection preface of HTTP/2 (RFC 9113 3.4).
        {SLICE("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), "!505"},
    };

    (void)state;
    check_cases(&request, cases, COUNT(cases));
}

static void a_target_is_a_path_or_an_http_url(void **state)
{
    static const char *const bad[] = {
        "ghatrace.example:443",
        "http:/ghatrace.example/",
        "http://",
        "http:///webhook",
        "http://?x",
        "http://user@ghatrace.example/",
        "http://user:password@ghatrace.example/",
        "http://ghatrace.example:x/",
        "http://ghatrace.example:123456/",
        "http://[::1/",
        "http://a b/",
        "http://ghatrace.example/#x",
        "http://ghatrace.example/\xc3\xa9",
        "http://ghatrace.example?a#b",
        "ftp://ghatrace.example/",
        "httpx://ghatrace.example/",
        "http://ghatrace.example/%",
        "webhook",
        "?x",
        "*",
        "/a#b",
        "/a\\b",
        "/a\"b",
        "/<a>",
        "/a|b",
        "/{a}",
        "/a^b",
        "/a`b",
        "/[a]",
        "/%",
        "/%2",
        "/%2g",
        "/%zz",
        "/a%",
        "/\xc3\xa9",
        "/a\tb",
        "/?a#b",
    };

    (void)state;
    for (size_t i = 0; i < COUNT(bad); i++) {
        char text[200];
        int len = snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\n" HOST "\r\n", bad[i]);
        const struct http_case c = {{text, (size_t)len}, "!400"};
        check_case(&request, &c);
    }
}

static void a_target_is_split_into_its_parts(void **state)
{
    static const struct {
        const char *target, *path, *query, *host;
    } cases[] = {
        {"/", "/", "", "ghatrace.example"},
        {"/a/b", "/a/b", "", "ghatrace.example"},
        {"/a?", "/a", "", "ghatrace.example"},
        {"/a?b=c", "/a", "b=c", "ghatrace.example"},
        {"/?b?c", "/", "b?c", "ghatrace.example"},
        {"/a%3Fb?c", "/a%3Fb", "c", "ghatrace.example"},
        {"/http://x/", "/http://x/", "", "ghatrace.example"},
        // The absolute form (RFC 9112 3.2.2), whose host is used.
        {"http://x/webhook", "/webhook", "", "x"},
        {"HTTPS://x.example:8443/a?b=c", "/a", "b=c", "x.example:8443"},
        {"http://[::1]:80/a", "/a", "", "[::1]:80"},
        {"http://127.0.0.1", "/", "", "127.0.0.1"},
        {"http://x?b/c", "/", "b/c", "x"},
        {"http://x:/?", "/", "", "x:"},
        {"http://x//y", "//y", "", "x"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct http_parser parser;
        char text[100];
        size_t consumed;
        int len = snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\n" HOST "\r\n", cases[i].target);
        http_parser_init(&parser, 0);
        assert_int_equal(http_parser_feed(&parser, text, (size_t)len, &consumed), HTTP_HEAD_DONE);
        assert_true(slice_equals(parser.message.path, slice_from_string(cases[i].path)));
        assert_true(slice_equals(parser.message.query, slice_from_string(cases[i].query)));
        assert_true(slice_equals(parser.message.host, slice_from_string(cases[i].host)));
        http_parser_release(&parser);
    }
}

static void a_malformed_field_is_refused(void **state)
{
    static const char *const bad[] = {
        "Content-Length : 5\r\n", // RFC 9112 5.1
        "Content-Length\t: 5\r\n",
        " X: y\r\n", // folded, RFC 9112 5.2
        "X: y\r\n z\r\n",
        "X: y\r\n\tz\r\n",
        "X: y\r\n \r\n",
        "no colon\r\n",
        "nocolon\r\n",
        ": no name\r\n",
        "a b: c\r\n",
        "a\"b: c\r\n",
        "a(b): c\r\n",
        "\xc3\xa9: c\r\n",
        "X: a\x01 b\r\n",
        "X: a\x7f b\r\n",
        "X: a\x1b b\r\n",
        "X: bare\nLF: y\r\n",
        "X: y\n",
        "X: bare\rCR: y\r\n",
        "X: y\r\r\n",
        "\n",
        "\r\r\n",
    };

    (void)state;
    for (size_t i = 0; i < COUNT(bad); i++) {
        char text[200];
        int len = snprintf(text, sizeof(text), "POST / HTTP/1.1\r\n" HOST "%s\r\nhello", bad[i]);
        const struct http_case c = {{text, (size_t)len}, "!400"};
        check_case(&request, &c);
    }
    const struct http_case nul[] = {
        {SLICE("GET / HTTP/1.1\r\n" HOST "X: a\0b\r\n\r\n"), "!400"},
        {SLICE("GET / HTTP/1.1\r\n" HOST "X\0: b\r\n\r\n"), "!400"},
        {SLICE("GET /\0 HTTP/1.1\r\n" HOST "\r\n"), "!400"},
    };
    check_cases(&request, nul, COUNT(nul));
}

static void values_are_trimmed_and_otherwise_unchanged(void **state)
{
    struct http_parser parser;
    size_t consumed, count;
    struct slice text = SLICE("GET / HTTP/1.1\r\n" HOST "A:b\r\nC:\t  d e \t\r\nEmpty:\r\n"
                              "Blank:  \r\nLatin: \xe9\x80\xff\r\na: second: colon\r\n\r\n");

    (void)state;
    http_parser_init(&parser, 0);
    assert_int_equal(http_parser_feed(&parser, text.data, text.len, &consumed), HTTP_HEAD_DONE);
    const struct http_head *head = &parser.message;
    assert_int_equal(head->header_count, 7);
    assert_true(slice_equals(http_head_get(head, SLICE("a"), &count), SLICE("b")));
    assert_int_equal(count, 2);
    assert_true(slice_equals(head->headers[6].value, SLICE("second: colon")));
    assert_true(slice_equals(head->headers[1].name, SLICE("A")));
    assert_true(slice_equals(http_head_get(head, SLICE("c"), NULL), SLICE("d e")));
    assert_true(slice_equals(http_head_get(head, SLICE("latin"), NULL), SLICE("\xe9\x80\xff")));
    assert_int_equal(http_head_get(head, SLICE("empty"), &count).len, 0);
    assert_int_equal(count, 1);
    assert_int_equal(http_head_get(head, SLICE("BLANK"), &count).len, 0);
    assert_int_equal(count, 1);
    assert_int_equal(http_head_get(head, SLICE("absent"), &count).len, 0);
    assert_int_equal(count, 0);
    http_parser_release(&parser);
}

static void host_is_required_once_and_well_formed(void **state)
{
    static const struct {
        const char *fields, *expected;
    } cases[] = {
        {"Host: a\r\n", "GET / []"},
        {"Host: a.example:8080\r\n", "GET / []"},
        {"Host: 127.0.0.1:65535\r\n", "GET / []"},
        {"Host: a:\r\n", "GET / []"},
        {"Host: [2001:db8::1]\r\n", "GET / []"},
        {"Host: a%41\r\n", "GET / []"},
        {"X: y\r\n", "!400"},
        {"Host: a\r\nHost: b\r\n", "!400"},
        {"Host: a\r\nhost: a\r\n", "!400"},
        {"Host: a\r\nHost:\r\n", "!400"},
        {"Host: a b\r\n", "!400"},
        {"Host: a/b\r\n", "!400"},
        {"Host: user@a\r\n", "!400"},
        {"Host: a:b\r\n", "!400"},
        {"Host: a:80:80\r\n", "!400"},
        {"Host: a:123456\r\n", "!400"},
        {"Host: a:+1\r\n", "!400"},
        {"Host: ::1\r\n", "!400"},
        {"Host: [::1\r\n", "!400"},
        {"Host: []\r\n", "!400"},
        {"Host: [::1]x\r\n", "!400"},
        {"Host: [::1]:x\r\n", "!400"},
        {"Host: a]\r\n", "!400"},
        {"Host: http://a\r\n", "!400"},
        {"Host: a?b\r\n", "!400"},
        {"Host: a\"b\r\n", "!400"},
        {"Host: a%4\r\n", "!400"},
        {"Host: \xc3\xa9\r\n", "!400"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        char text[200];
        int len = snprintf(text, sizeof(text), "GET / HTTP/1.1\r\n%s\r\n", cases[i].fields);
        const struct http_case c = {{text, (size_t)len}, cases[i].expected};
        check_case(&request, &c);
    }
    const struct http_case old[] = {
        {SLICE("GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n"), "!400"},
        {SLICE("GET / HTTP/1.0\r\nHost: a b\r\n\r\n"), "!400"},
    };
    check_cases(&request, old, COUNT(old));
}

static void persistence_depends_on_version_and_connection_field(void **state)
{
    static const struct {
        const char *version, *fields, *expected;
    } cases[] = {
        {"1.1", "", "GET / []"},
        {"1.1", "Connection: close\r\n", "GET / close []"},
        {"1.1", "Connection: CLOSE\r\n", "GET / close []"},
        {"1.1", "Connection: foo , Close ,bar\r\n", "GET / close []"},
        {"1.1", "Connection: foo\r\nConnection: close\r\n", "GET / close []"},
        {"1.1", "Connection: keep-alive, close\r\n", "GET / close []"},
        {"1.1", "Connection: closed\r\n", "GET / []"},
        {"1.1", "Connection: ,\r\n", "GET / []"},
        {"1.1", "Connection: upgrade\r\nUpgrade: h2c\r\n", "GET / []"},
        {"1.0", "", "GET / close []"},
        {"1.0", "Connection: keep-alive\r\n", "GET / []"},
        {"1.0", "Connection: Keep-Alive, close\r\n", "GET / close []"},
        {"1.0", "Connection: foo\r\n", "GET / close []"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        char text[200];
        int len = snprintf(text, sizeof(text), "GET / HTTP/%s\r\n" HOST "%s\r\n", cases[i].version,
                           cases[i].fields);
        const struct http_case c = {{text, (size_t)len}, cases[i].expected};
        check_case(&request, &c);
    }
}

static void a_continue_is_expected_only_where_it_makes_sense(void **state)
{
    const struct http_case cases[] = {
        {SLICE("POST / HTTP/1.1\r\n" HOST "Expect: 100-Continue\r\nContent-Length: 2\r\n\r\nab"),
         "POST / continue [ab]"},
        {SLICE("POST / HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n"
               "\r\n1\r\na\r\n0\r\n\r\n"),
         "POST / continue [a]"},
        {SLICE("POST / HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: 0\r\n\r\n"),
         "POST / []"},
        {SLICE("GET / HTTP/1.1\r\n" HOST "Expect: 100-continue\r\n\r\n"), "GET / []"},
        {SLICE("POST / HTTP/1.0\r\n" HOST "Expect: 100-continue\r\nContent-Length: 2\r\n\r\nab"),
         "POST / close [ab]"},
        {SLICE("POST / HTTP/1.1\r\n" HOST "Expect: tea\r\nContent-Length: 2\r\n\r\nab"),
         "POST / [ab]"},
    };

    (void)state;
    check_cases(&request, cases, COUNT(cases));
}

static void a_few_empty_lines_may_precede_a_request(void **state)
{
    const struct http_case cases[] = {
        {SLICE("\r\nGET / HTTP/1.1\r\n" HOST "\r\n"), "GET / []"},
        {SLICE("\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\n" HOST "\r\n"), "GET / []"},
        {SLICE("\r\n\r\n\r\n\r\n\r\nGET / HTTP/1.1\r\n" HOST "\r\n"), "!400"},
        {SLICE("\nGET / HTTP/1.1\r\n" HOST "\r\n"), "!400"},
        {SLICE("\r\rGET / HTTP/1.1\r\n" HOST "\r\n"), "!400"},
        {SLICE("\r\n \r\nGET / HTTP/1.1\r\n" HOST "\r\n"), "!400"},
        {SLICE("\r\n"), ""},
    };

    (void)state;
    check_cases(&request, cases, COUNT(cases));
}

static void other_protocols_are_refused_at_once(void **state)
{
    const struct http_case cases[] = {
        {SLICE("\x16\x03\x01\x02\x00\x01"), "!400"}, // a TLS greeting
        {SLICE("GET / HTTP/1.1\n"), "!400"},
        {SLICE("\0"), "!400"},
        {SLICE("GET / HT"), "?"},
        {SLICE("GET / HTTP/1.1\r\n" HOST), "?"},
        {SLICE("GET / HTTP/1.1\r\n" HOST "\r"), "?"},
        {SLICE(""), ""},
    };

    (void)state;
    check_cases(&request, cases, COUNT(cases));
}

static void pipelined_requests_are_parsed_one_by_one(void **state)
{
    const struct http_case cases[] = {
        {SLICE("GET /1 HTTP/1.1\r\n" HOST "\r\n"
               "POST /2 HTTP/1.1\r\n" HOST "Content-Length: 3\r\n\r\nabc"
               "\r\nPOST /3 HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n"
               "2\r\nde\r\n0\r\n\r\n"
               "GET /4 HTTP/1.1\r\n" HOST "Connection: close\r\n\r\nGET"),
         "GET /1 []; POST /2 [abc]; POST /3 [de]; GET /4 close []; ?"},
        {SLICE("GET /1 HTTP/1.1\r\n" HOST "\r\nGET /2 HTTP/1.1\r\n\r\n"), "GET /1 []; !400"},
    };

    (void)state;
    check_cases(&request, cases, COUNT(cases));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ordinary_requests_are_read),
        cmocka_unit_test(a_github_delivery_is_read),
        cmocka_unit_test(a_malformed_request_line_is_refused),
        cmocka_unit_test(other_versions_are_refused),
        cmocka_unit_test(a_target_is_a_path_or_an_http_url),
        cmocka_unit_test(a_target_is_split_into_its_parts),
        cmocka_unit_test(a_malformed_field_is_refused),
        cmocka_unit_test(values_are_trimmed_and_otherwise_unchanged),
        cmocka_unit_test(host_is_required_once_and_well_formed),
        cmocka_unit_test(persistence_depends_on_version_and_connection_field),
        cmocka_unit_test(a_continue_is_expected_only_where_it_makes_sense),
        cmocka_unit_test(a_few_empty_lines_may_precede_a_request),
        cmocka_unit_test(other_protocols_are_refused_at_once),
        cmocka_unit_test(pipelined_requests_are_parsed_one_by_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
