// Who may send what to the receiver: tokens and their roles, requests of this machine, encodings.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "../../../src/receiver/access.h"

#define ARC_TOKEN "arc-token-0123456789"
#define JOB_TOKEN "job-token-0123456789"
#define PROTOBUF "Content-Type: application/x-protobuf\r\nContent-Length: 0\r\n"

struct world {
    struct http_parser parser;
    struct receiver_access access;
    struct receiver_head head;
    struct receiver_refused refused;
};

static void set_up(struct world *w)
{
    *w = (struct world){.refused = {0, NULL}};
    http_parser_init(&w->parser, 1000);
}

static void tear_down(struct world *w)
{
    http_parser_release(&w->parser);
    ingress_secrets_destroy(w->access.tokens);
}

static void set_tokens(struct world *w)
{
    const struct slice lines[] = {SLICE("arc " ARC_TOKEN), SLICE("job " JOB_TOKEN)};
    struct error error;

    assert_int_equal(ingress_secrets_create(&w->access.tokens, &error), ERROR_NONE);
    assert_int_equal(ingress_secrets_replace(w->access.tokens, lines, 2, &error), ERROR_NONE);
}

// Returns 200 or the refusal's status. `line` is method and target; `fields` end with CRLF each.
static int check_version(struct world *w, const char *version, const char *peer, const char *line,
                         const char *fields)
{
    char text[2000];
    size_t consumed;
    struct net_ip ip;
    int len = snprintf(text, sizeof text, "%s %s\r\n%s\r\n", line, version, fields);

    http_parser_reset(&w->parser);
    assert_int_equal(http_parser_feed(&w->parser, text, (size_t)len, &consumed), HTTP_HEAD_DONE);
    assert_true(net_ip_parse(slice_from_string(peer), &ip));
    bool is_good = receiver_check_head(&w->parser.message, &w->access, &ip, &w->head, &w->refused);
    return is_good ? 200 : w->refused.status;
}

static int check(struct world *w, const char *peer, const char *line, const char *fields)
{
    return check_version(w, "HTTP/1.1", peer, line, fields);
}

static int post(struct world *w, const char *peer, const char *fields)
{
    return check(w, peer, "POST /v1/traces", fields);
}

static void
without_tokens_only_requests_of_this_machine_to_localhost_are_accepted_as_arc(void **state)
{
    struct world w;

    (void)state;
    set_up(&w);
    assert_int_equal(post(&w, "127.0.0.1", "Host: localhost:4318\r\n" PROTOBUF), 200);
    assert_int_equal(w.head.role, RECEIVER_ARC);
    assert_int_equal(post(&w, "::1", "Host: [::1]:4318\r\n" PROTOBUF), 200);
    assert_int_equal(post(&w, "127.0.0.1", "Host: 127.0.0.1\r\n" PROTOBUF), 200);
    assert_int_equal(post(&w, "192.0.2.1", "Host: localhost:4318\r\n" PROTOBUF), 403);
    assert_int_equal(post(&w, "127.0.0.1", "Host: ghatrace.example.org\r\n" PROTOBUF), 403);
    assert_int_equal(post(&w, "127.0.0.1", "Host: localhost.example.org\r\n" PROTOBUF), 403);
    // A token that cannot be checked changes nothing.
    assert_int_equal(post(&w, "192.0.2.1",
                          "Host: localhost\r\nAuthorization: Bearer " ARC_TOKEN "\r\n" PROTOBUF),
                     403);
    tear_down(&w);
}

static void without_tokens_what_a_proxy_passed_on_is_refused(void **state)
{
    static const char *const fields[] = {"Forwarded: for=192.0.2.1", "X-Forwarded-For: 192.0.2.1",
                                         "x-forwarded-proto: https", "X-FORWARDED-ANYTHING: x",
                                         "Via: 1.1 proxy",           "X-Real-IP: 192.0.2.1"};
    struct world w;
    char text[400];

    (void)state;
    set_up(&w);
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        (void)snprintf(text, sizeof text, "Host: localhost\r\n%s\r\n" PROTOBUF, fields[i]);
        assert_int_equal(post(&w, "127.0.0.1", text), 403);
    }
    assert_non_null(strstr(w.refused.message, "proxy"));
    // As nginx forwards by default, in HTTP/1.0 and without a field that says so.
    assert_int_equal(check_version(&w, "HTTP/1.0", "127.0.0.1", "POST /v1/traces",
                                   "Host: localhost:4318\r\n" PROTOBUF),
                     403);
    tear_down(&w);
}

static void a_token_decides_the_role_of_any_client(void **state)
{
    struct world w;

    (void)state;
    set_up(&w);
    set_tokens(&w);
    assert_int_equal(
        post(&w, "192.0.2.1", "Host: x\r\nAuthorization: Bearer " ARC_TOKEN "\r\n" PROTOBUF), 200);
    assert_int_equal(w.head.role, RECEIVER_ARC);
    assert_int_equal(post(&w, "127.0.0.1",
                          "Host: localhost\r\nVia: x\r\nauthorization: bearer  " JOB_TOKEN
                          "\r\n" PROTOBUF),
                     200);
    assert_int_equal(w.head.role, RECEIVER_JOB);
    tear_down(&w);
}

static void with_tokens_everything_else_is_401(void **state)
{
    static const char *const fields[] = {"",
                                         "Authorization: Bearer\r\n",
                                         "Authorization: Bearer \r\n",
                                         "Authorization: Bearer arc " ARC_TOKEN "\r\n",
                                         "Authorization: Basic " ARC_TOKEN "\r\n",
                                         "Authorization: " ARC_TOKEN "\r\n",
                                         "Authorization: Bearer " ARC_TOKEN "0\r\n",
                                         "Authorization: Bearer arc-token-012345678\r\n",
                                         "Authorization: Bearer " ARC_TOKEN
                                         "\r\nAuthorization: Bearer " ARC_TOKEN "\r\n"};
    struct world w;
    char text[400];

    (void)state;
    set_up(&w);
    set_tokens(&w);
    w.access.has_client_certificates = true; // in addition
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        (void)snprintf(text, sizeof text, "Host: localhost\r\n%s" PROTOBUF, fields[i]);
        assert_int_equal(post(&w, "127.0.0.1", text), 401);
    }
    tear_down(&w);
}

static void a_client_certificate_alone_is_role_arc(void **state)
{
    struct world w;

    (void)state;
    set_up(&w);
    w.access.has_client_certificates = true;
    assert_int_equal(post(&w, "192.0.2.1", "Host: x\r\nVia: x\r\n" PROTOBUF), 200);
    assert_int_equal(w.head.role, RECEIVER_ARC);
    tear_down(&w);
}

static void paths_methods_lengths_and_encodings_are_checked(void **state)
{
    static const struct {
        const char *line, *fields;
        int status;
    } cases[] = {
        {"POST /v1/traces?x=1", PROTOBUF, 200},
        {"POST /v1/traces",
         "Content-Type: application/json; charset=utf-8\r\nContent-Length: 2\r\n", 200},
        {"POST /v1/traces",
         "Content-Type: APPLICATION/X-PROTOBUF ;a=b\r\nTransfer-Encoding: chunked\r\n", 200},
        {"POST /v1/traces/", PROTOBUF, 404},
        {"POST /v1/metrics", PROTOBUF, 404},
        {"GET /v1/traces", "", 405},
        {"PUT /v1/traces", PROTOBUF, 405},
        {"POST /v1/traces", "Content-Type: application/x-protobuf\r\n", 411},
        {"POST /v1/traces", "Content-Length: 2\r\n", 415},
        {"POST /v1/traces", "Content-Length: 2\r\nContent-Type: text/plain\r\n", 415},
        {"POST /v1/traces", "Content-Type: application/grpc\r\nContent-Length: 2\r\n", 415},
        {"POST /v1/traces", "Content-Type: application/json\r\n" PROTOBUF, 415},
        {"POST /v1/traces", "Content-Encoding: gzip\r\n" PROTOBUF, 200},
        {"POST /v1/traces", "Content-Encoding: identity\r\n" PROTOBUF, 200},
        {"POST /v1/traces", "Content-Encoding: deflate\r\n" PROTOBUF, 415},
        {"POST /v1/traces", "Content-Encoding: gzip, gzip\r\n" PROTOBUF, 415},
        {"POST /v1/traces", "Content-Encoding: gzip\r\nContent-Encoding: gzip\r\n" PROTOBUF, 415},
    };
    struct world w;
    char text[400];

    (void)state;
    set_up(&w);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        (void)snprintf(text, sizeof text, "Host: localhost\r\n%s", cases[i].fields);
        int status = check(&w, "127.0.0.1", cases[i].line, text);
        if (status != cases[i].status)
            fail_msg("%s, %s: %d", cases[i].line, cases[i].fields, status);
        if (status == 200) {
            assert_int_equal(w.head.is_json, strstr(cases[i].fields, "json") != NULL);
            assert_int_equal(w.head.is_gzip, strstr(cases[i].fields, "gzip") != NULL);
        }
    }
    tear_down(&w);
}

static void a_line_of_the_token_file_has_a_role_one_blank_and_a_long_token(void **state)
{
    static const char *const bad[] = {"",
                                      "arc",
                                      "arc ",
                                      "arc short",
                                      "job 012345678901234",
                                      "arc  " ARC_TOKEN,
                                      "arc " ARC_TOKEN " ",
                                      "arc\t" ARC_TOKEN,
                                      "ARC " ARC_TOKEN,
                                      "admin " ARC_TOKEN,
                                      ARC_TOKEN,
                                      "# a comment of some length",
                                      " arc " ARC_TOKEN,
                                      "arc token \"in quotes\" 123"};
    enum receiver_role role;
    struct slice token;
    struct error error;

    (void)state;
    assert_int_equal(receiver_read_token(SLICE("job " JOB_TOKEN), &role, &token, &error),
                     ERROR_NONE);
    assert_int_equal(role, RECEIVER_JOB);
    assert_true(slice_equals(token, SLICE(JOB_TOKEN)));
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        assert_int_equal(receiver_read_token(slice_from_string(bad[i]), &role, &token, &error),
                         ERROR_USAGE);
        assert_null(strstr(error.message, "0123456789")); // never the token
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            without_tokens_only_requests_of_this_machine_to_localhost_are_accepted_as_arc),
        cmocka_unit_test(without_tokens_what_a_proxy_passed_on_is_refused),
        cmocka_unit_test(a_token_decides_the_role_of_any_client),
        cmocka_unit_test(with_tokens_everything_else_is_401),
        cmocka_unit_test(a_client_certificate_alone_is_role_arc),
        cmocka_unit_test(paths_methods_lengths_and_encodings_are_checked),
        cmocka_unit_test(a_line_of_the_token_file_has_a_role_one_blank_and_a_long_token),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
