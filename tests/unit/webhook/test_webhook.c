// Every response of the webhook endpoint, over real sockets, with a scripted engine.
#include "fixture.h"

static void the_response_depends_on_the_engines_outcome(void **state)
{
    static const struct {
        enum engine_outcome outcome;
        int status;
        const char *body, *field;
    } cases[] = {
        {ENGINE_ACCEPTED, 202, ACCEPTED, "Content-Type: application/json"},
        {ENGINE_DUPLICATE, 200, DUPLICATE, "Content-Type: application/json"},
        {ENGINE_FULL, 503, "{\"error\":\"no room at present, try again later\"}\n",
         "Retry-After: 5"},
        {ENGINE_FAILED, 503, "{\"error\":\"could not be stored, try again later\"}\n",
         "Retry-After: 5"},
    };
    struct fixture f;

    (void)state;
    set_up(&f);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        fake_engine_reset(cases[i].outcome, false);
        send_job(f.fd);
        struct response response = receive_response(f.fd, true);
        assert_int_equal(response.status, cases[i].status);
        assert_string_equal(response.body, cases[i].body);
        assert_non_null(strstr(response.head, cases[i].field));
        assert_true(response.keep_alive);
    }
    struct ingress_counters counters = counters_of(&f);
    assert_int_equal(counters.requests, 4);
    assert_int_equal(counters.deliveries[GITHUB_EVENT_JOB][INGRESS_ACCEPTED], 1);
    assert_int_equal(counters.deliveries[GITHUB_EVENT_JOB][INGRESS_DUPLICATE], 1);
    assert_int_equal(counters.refusals[HTTP_UNAVAILABLE], 2);
    tear_down(&f);
}

static void the_engine_gets_the_event_and_the_digest_of_the_delivery(void **state)
{
    struct fixture f;
    uint8_t guid[SHA256_SIZE], body[MD5_SIZE];
    timestamp_ns before = timestamp_now();

    (void)state;
    set_up(&f);
    send_job(f.fd);
    expect_answer(f.fd, 202, ACCEPTED);
    assert_int_equal(fake.job_id, INT64_C(100520616165));
    assert_string_equal(fake.job_name, "build");
    assert_int_equal(fake.occurred_at, GUID_TIME * NS_PER_MS);
    assert_true(fake.received_at >= before && fake.received_at <= timestamp_now());
    digest_sha256(SLICE(GUID), guid);
    digest_md5(SLICE(JOB), body);
    assert_memory_equal(fake.digest, guid, 8);
    assert_memory_equal(fake.digest + 8, body, 8);
    // As stores of format version 1 have it: sha256(GUID, 0, HMAC of the body)
    char bytes[sizeof GUID + SHA256_SIZE];
    uint8_t expected[SHA256_SIZE];
    memcpy(bytes, GUID, sizeof GUID);
    assert_true(digest_hmac_sha256(SLICE(SECRET), SLICE(JOB), (uint8_t *)bytes + sizeof GUID));
    digest_sha256((struct slice){.data = bytes, .len = sizeof bytes}, expected);
    assert_memory_equal(fake.old_digest, expected, DELIVERY_DIGEST_SIZE);
    tear_down(&f);
}

static void deliveries_that_are_not_for_the_engine_are_answered_without_it(void **state)
{
    static const struct {
        const char *event, *body;
        int status;
        const char *answer;
    } cases[] = {
        {"ping", PING, 200, PONG},
        {"check_run", "{\"action\":\"created\"}", 200, IGNORED},
        {"push", "{}", 200, IGNORED},
        {"workflow_job", "{\"action\":\"started\",\"workflow_job\":{}}", 200, IGNORED},
        {"workflow_job", "{\"action\":\"queued\",\"workflow_job\":null}", 200, IGNORED},
        {"workflow_run", "{\"action\":\"completed\",\"workflow_run\":null}", 200, IGNORED},
        {"workflow_job", "not json", 400, NULL},
        {"workflow_job", "", 400, NULL},
        {"workflow_job", "{", 400, NULL},
        {"check_run", "{", 400, NULL},
        {"ping", "[", 400, NULL},
        {"workflow_job", "{\"action\":\"queued\"}", 400, NULL},
    };
    struct fixture f;

    (void)state;
    set_up(&f);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        send_delivery(f.fd, cases[i].event, JSON_TYPE, cases[i].body);
        expect_answer(f.fd, cases[i].status, cases[i].answer);
    }
    assert_int_equal(fake.submitted, 0);
    struct ingress_counters counters = counters_of(&f);
    assert_int_equal(counters.deliveries[GITHUB_EVENT_PING][INGRESS_PONG], 1);
    assert_int_equal(counters.deliveries[GITHUB_EVENT_IGNORED][INGRESS_IGNORED], 2);
    assert_int_equal(counters.deliveries[GITHUB_EVENT_JOB][INGRESS_IGNORED], 1);
    assert_int_equal(counters.deliveries[GITHUB_EVENT_JOB][INGRESS_NULL], 1);
    assert_int_equal(counters.deliveries[GITHUB_EVENT_RUN][INGRESS_NULL], 1);
    assert_int_equal(counters.refusals[HTTP_MALFORMED], 6);
    tear_down(&f);
}

static void a_bad_field_is_named(void **state)
{
    struct fixture f;

    (void)state;
    set_up(&f);
    send_delivery(f.fd, "workflow_job", JSON_TYPE,
                  "{\"action\":\"queued\",\"workflow_job\":{\"id\":1,\"name\":\"x\"}," REPOSITORY
                  "}");
    expect_answer(f.fd, 400, "{\"error\":\"workflow_job.run_id: missing\"}\n");
    tear_down(&f);
}

static void json_that_is_nested_too_deeply_is_too_large(void **state)
{
    struct fixture f;

    (void)state;
    set_up(&f);
    send_delivery(
        f.fd, "workflow_job", JSON_TYPE,
        "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[");
    expect_answer(f.fd, 413, NULL);
    send_job(f.fd); // it was read in full: the connection stays open
    expect_answer(f.fd, 202, ACCEPTED);
    tear_down(&f);
}

static void events_that_wait_for_the_engine_count_as_decoded(void **state)
{
    static char body[200 * 1024];
    struct fixture f;

    (void)state;
    set_up(&f);
    // 70,000 tokens of 20 bytes each.
    size_t len = (size_t)snprintf(body, sizeof body,
                                  "{\"action\":\"queued\",\"workflow_job\":{\"id\":1,"
                                  "\"run_id\":2,\"name\":\"x\",\"y\":[0");
    for (int i = 0; i < 70000; i++, len += 2)
        memcpy(body + len, ",0", 2);
    memcpy(body + len, "]}," REPOSITORY "}", sizeof "]}," REPOSITORY "}");
    fake_engine_reset(ENGINE_ACCEPTED, true);
    send_delivery(f.fd, "workflow_job", JSON_TYPE, body);
    fake_engine_wait_for(1);
    int other = connect_client(&f.server);
    send_delivery(other, "workflow_job", JSON_TYPE, body);
    expect_answer(other, 503, "{\"error\":\"too many large bodies at a time, try again later\"}\n");
    close(other);
    fake_engine_finish(ENGINE_ACCEPTED);
    expect_answer(f.fd, 202, ACCEPTED);
    send_delivery(f.fd, "workflow_job", JSON_TYPE, body);
    fake_engine_wait_for(2);
    fake_engine_finish(ENGINE_ACCEPTED);
    expect_answer(f.fd, 202, ACCEPTED);
    tear_down(&f);
}

static void a_form_is_decoded_after_its_signature_was_checked(void **state)
{
    struct fixture f;

    (void)state;
    set_up(&f);
    // "name":"build 🚀+&"
    send_delivery(
        f.fd, "workflow_job", FORM_TYPE,
        "x=1&payload=%7B%22action%22%3A%22queued%22%2C%22workflow_job%22%3A%7B%22id%22%3A5"
        "%2C%22run_id%22%3A6%2C%22name%22%3A%22build+%F0%9F%9A%80%2B%26%22%2C%22labels%22"
        "%3A%5B%22a%22%5D%7D%2C%22repository%22%3A%7B%22full_name%22%3A%22a%2Fb%22%2C"
        "%22name%22%3A%22b%22%2C%22owner%22%3A%7B%22login%22%3A%22a%22%7D%2C%22html_url"
        "%22%3A%22https%3A%2F%2Fgithub.com%2Fa%2Fb%22%7D%7D");
    expect_answer(f.fd, 202, ACCEPTED);
    assert_string_equal(fake.job_name, "build \xf0\x9f\x9a\x80+&");
    send_delivery(f.fd, "workflow_job", FORM_TYPE, "other=1");
    expect_answer(f.fd, 400, NULL);
    send_delivery(f.fd, "workflow_job", FORM_TYPE, "payload=%7");
    expect_answer(f.fd, 400, NULL);
    send_delivery(f.fd, "workflow_job", FORM_TYPE, JOB);
    expect_answer(f.fd, 400, NULL);
    send_delivery(f.fd, "ping", FORM_TYPE, "payload=%7B%7D");
    expect_answer(f.fd, 200, PONG);
    tear_down(&f);
}

static void repositories_that_are_not_wanted_are_ignored(void **state)
{
    static const struct slice globs[] = {
        {.data = "acme/*", .len = 6},
        {.data = "!acme/rocket", .len = 12},
    };
    struct ingress_options options = server_options();
    struct fixture f;

    (void)state;
    options.repos = globs;
    options.repo_count = 2;
    set_up_with(&f, options);
    send_job(f.fd);
    expect_answer(f.fd, 200, IGNORED);
    assert_int_equal(fake.submitted, 0);
    tear_down(&f);
    options.repo_count = 1;
    set_up_with(&f, options);
    send_job(f.fd);
    expect_answer(f.fd, 202, ACCEPTED);
    tear_down(&f);
}

// --- heads ----------------------------------------------------------------------------------------

// A signed ping whose head fields are replaced: NULL leaves one out.
struct head_case {
    const char *line;
    const char *event, *guid, *type, *extra;
    int status;
    const char *answer; // or part of the head, from "\r\n" on
};

static void send_head_case(int fd, const struct head_case *each)
{
    char text[4096], signature[72];
    size_t len = 0;
    const char *fields[][2] = {{"X-GitHub-Event", each->event},
                               {"X-GitHub-Delivery", each->guid},
                               {"Content-Type", each->type}};

    sign(SECRET, PING, strlen(PING), signature);
    len += (size_t)snprintf(text, sizeof text, "%s HTTP/1.1\r\nHost: x\r\n", each->line);
    for (size_t i = 0; i < 3; i++)
        if (fields[i][1] != NULL)
            len += (size_t)snprintf(text + len, sizeof text - len, "%s: %s\r\n", fields[i][0],
                                    fields[i][1]);
    snprintf(text + len, sizeof text - len,
             "%sX-Hub-Signature-256: %s\r\nContent-Length: %zu\r\n\r\n%s", each->extra, signature,
             strlen(PING), PING);
    send_text(fd, text);
}

#define LONG_GUID_16 "0123456789abcdef"
#define LONG_GUID_128                                                                              \
    LONG_GUID_16 LONG_GUID_16 LONG_GUID_16 LONG_GUID_16 LONG_GUID_16 LONG_GUID_16 LONG_GUID_16     \
        LONG_GUID_16

static const struct head_case head_cases[] = {
    {"POST /webhook", "ping", GUID, JSON_TYPE, "", 200, PONG},
    {"POST /webhook?a=b&c", "ping", GUID, JSON_TYPE, "", 200, PONG},
    {"POST /webhook", "ping", "any text", JSON_TYPE, "", 200, PONG},
    {"POST /webhook", "ping", LONG_GUID_128, JSON_TYPE, "", 200, PONG},
    {"POST /webhook", "ping", LONG_GUID_128 "x", JSON_TYPE, "", 400,
     "{\"error\":\"x-github-delivery: longer than 128 bytes\"}\n"},
    {"POST /webhook", NULL, GUID, JSON_TYPE, "", 400, "{\"error\":\"x-github-event: missing\"}\n"},
    {"POST /webhook", "", GUID, JSON_TYPE, "", 400, "{\"error\":\"x-github-event: missing\"}\n"},
    {"POST /webhook", "ping", NULL, JSON_TYPE, "", 400,
     "{\"error\":\"x-github-delivery: missing\"}\n"},
    {"POST /webhook", "ping", GUID, JSON_TYPE, "X-GitHub-Delivery: again\r\n", 400,
     "{\"error\":\"x-github-delivery: given twice\"}\n"},
    {"POST /webhook", "ping", GUID, "Application/JSON; charset=utf-8", "", 200, PONG},
    {"POST /webhook", "ping", GUID, "application/json ;x", "", 200, PONG},
    {"POST /webhook", "ping", GUID, JSON_TYPE, "Content-Encoding: identity\r\n", 200, PONG},
    {"POST /webhook", "ping", GUID, JSON_TYPE, "Content-Encoding: gzip\r\n", 415, NULL},
    {"POST /webhook", "ping", GUID, NULL, "", 415, NULL},
    {"POST /webhook", "ping", GUID, "text/plain", "", 415, NULL},
    {"POST /webhook", "ping", GUID, "application/jsonx", "", 415, NULL},
    {"PUT /webhook", "ping", GUID, JSON_TYPE, "", 405, "\r\nAllow: POST\r\n"},
    {"GET /webhook", "ping", GUID, JSON_TYPE, "", 405, "\r\nAllow: POST\r\n"},
    {"POST /health", "ping", GUID, JSON_TYPE, "", 405, "\r\nAllow: GET, HEAD\r\n"},
    {"POST /ready", "ping", GUID, JSON_TYPE, "", 405, "\r\nAllow: GET, HEAD\r\n"},
    {"POST /", "ping", GUID, JSON_TYPE, "", 404, "{\"error\":\"not found\"}\n"},
    {"POST /webhook/", "ping", GUID, JSON_TYPE, "", 404, NULL},
    {"POST /Webhook", "ping", GUID, JSON_TYPE, "", 404, NULL},
    {"POST //webhook", "ping", GUID, JSON_TYPE, "", 404, NULL},
    {"POST http://x/webhook", "ping", GUID, JSON_TYPE, "", 200, PONG},
    {"POST http://x/elsewhere", "ping", GUID, JSON_TYPE, "", 404, NULL},
    {"POST http://a@x/webhook", "ping", GUID, JSON_TYPE, "", 400, NULL},
    {"POST /webhook", "ping", GUID, JSON_TYPE, "Content-Length: 1\r\n", 400, NULL},
    {"POST /webhook", "ping", GUID, JSON_TYPE, "Transfer-Encoding: chunked\r\n", 400, NULL},
};

static void invalid_heads_are_refused_field_by_field(void **state)
{
    struct fixture f;

    (void)state;
    set_up(&f);
    for (size_t i = 0; i < sizeof head_cases / sizeof *head_cases; i++) {
        const struct head_case *each = &head_cases[i];
        int fd = connect_client(&f.server);
        send_head_case(fd, each);
        struct response response = receive_response(fd, true);
        if (response.status != each->status)
            fail_msg("case %zu: %s: status %d", i, each->line, response.status);
        if (each->answer != NULL && each->answer[0] == '\r')
            assert_non_null(strstr(response.head, each->answer));
        else if (each->answer != NULL)
            assert_string_equal(response.body, each->answer);
        else
            assert_memory_equal(response.body, "{\"error\":\"", 10);
        close(fd);
    }
    tear_down(&f);
}

// --- signatures -----------------------------------------------------------------------------------

static void send_signed_by(int fd, const char *signature_line)
{
    char text[1024];

    snprintf(text, sizeof text,
             "POST /webhook HTTP/1.1\r\nHost: x\r\nX-GitHub-Event: workflow_job\r\n"
             "X-GitHub-Delivery: " GUID "\r\nContent-Type: " JSON_TYPE "\r\n%sContent-Length: %zu"
             "\r\n\r\n%s",
             signature_line, strlen(JOB), JOB);
    send_text(fd, text);
}

static void expect_status_for_secret(const struct fixture *f, const char *secret, int status)
{
    char signature[72], line[128];
    int fd = connect_client(&f->server);

    sign(secret, JOB, strlen(JOB), signature);
    snprintf(line, sizeof line, "X-Hub-Signature-256: %s\r\n", signature);
    send_signed_by(fd, line);
    expect_answer(fd, status, NULL);
    close(fd);
}

static void wrong_signatures_are_refused_before_anything_is_parsed(void **state)
{
    static const char *const lines[] = {
        "",
        "X-Hub-Signature-256: \r\n",
        "X-Hub-Signature-256: sha256=\r\n",
        "X-Hub-Signature-256: sha256=00\r\n",
        "X-Hub-Signature-256: sha256="
        "0000000000000000000000000000000000000000000000000000000000000000\r\n",
        "X-Hub-Signature-256: sha256="
        "000000000000000000000000000000000000000000000000000000000000000g\r\n",
        "X-Hub-Signature: sha1=0000000000000000000000000000000000000000\r\n",
    };
    struct fixture f;

    (void)state;
    set_up(&f);
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        int fd = connect_client(&f.server);
        send_signed_by(fd, lines[i]);
        struct response response = receive_response(fd, true);
        if (response.status != 401)
            fail_msg("%s: status %d", lines[i], response.status);
        close(fd);
    }
    expect_status_for_secret(&f, "another secret", 401);
    expect_status_for_secret(&f, "", 401);
    expect_status_for_secret(&f, SECRET, 202);
    assert_int_equal(fake.submitted, 1);
    assert_int_equal(counters_of(&f).refusals[HTTP_BAD_CREDENTIALS], 9);
    tear_down(&f);
}

static void two_signature_headers_are_one_too_many(void **state)
{
    char signature[72], lines[256];
    struct fixture f;

    (void)state;
    set_up(&f);
    sign(SECRET, JOB, strlen(JOB), signature);
    snprintf(lines, sizeof lines, "X-Hub-Signature-256: %s\r\nX-Hub-Signature-256: %s\r\n",
             signature, signature);
    send_signed_by(f.fd, lines);
    expect_answer(f.fd, 401, NULL);
    tear_down(&f);
}

static void a_wrong_signature_is_refused_even_if_the_body_is_invalid(void **state)
{
    struct fixture f;
    char *request = signed_request("workflow_job", JSON_TYPE, "not json");

    (void)state;
    set_up(&f);
    request[strlen(request) - 1] = '!';
    send_text(f.fd, request);
    expect_answer(f.fd, 401, NULL); // not 400: nothing was parsed
    free(request);
    tear_down(&f);
}

static void secrets_can_be_replaced_while_serving(void **state)
{
    struct fixture f;

    (void)state;
    set_up(&f);
    expect_status_for_secret(&f, SECRET, 202);
    expect_status_for_secret(&f, "next", 401);
    server_set_secrets(&f.server, "next", SECRET); // both for a while
    expect_status_for_secret(&f, SECRET, 202);
    expect_status_for_secret(&f, "next", 202);
    server_set_secrets(&f.server, "next", NULL);
    expect_status_for_secret(&f, SECRET, 401);
    expect_status_for_secret(&f, "next", 202);
    tear_down(&f);
}

static void without_signatures_every_delivery_counts(void **state)
{
    struct ingress_options options = server_options();
    char bytes[sizeof GUID + SHA256_SIZE];
    uint8_t expected[SHA256_SIZE];
    uint8_t body[MD5_SIZE];
    struct fixture f;

    (void)state;
    options.insecure_no_signature = true;
    set_up_with(&f, options);
    send_signed_by(f.fd, "");
    expect_answer(f.fd, 202, ACCEPTED);
    send_signed_by(f.fd, "X-Hub-Signature-256: nonsense\r\n");
    expect_answer(f.fd, 202, ACCEPTED);
    digest_md5(SLICE(JOB), body);
    assert_memory_equal(fake.digest + 8, body, 8);
    // For stores of format version 1 the body's own hash replaces its HMAC.
    memcpy(bytes, GUID, sizeof GUID);
    digest_sha256(SLICE(JOB), (uint8_t *)bytes + sizeof GUID);
    digest_sha256((struct slice){.data = bytes, .len = sizeof bytes}, expected);
    assert_memory_equal(fake.old_digest, expected, DELIVERY_DIGEST_SIZE);
    tear_down(&f);
}

static void a_guid_without_a_time_gives_no_time(void **state)
{
    struct ingress_options options = server_options();
    struct fixture f;

    (void)state;
    options.insecure_no_signature = true;
    set_up_with(&f, options);
    send_text(f.fd, "POST /webhook HTTP/1.1\r\nHost: x\r\nX-GitHub-Event: workflow_job\r\n"
                    "X-GitHub-Delivery: 1\r\nContent-Type: " JSON_TYPE "\r\n"
                    "Transfer-Encoding: chunked\r\n\r\n");
    char size[16];
    snprintf(size, sizeof size, "%zx\r\n", strlen(JOB));
    send_text(f.fd, size);
    send_text(f.fd, JOB "\r\n0\r\n\r\n");
    expect_answer(f.fd, 202, ACCEPTED);
    assert_int_equal(fake.occurred_at, TIMESTAMP_UNKNOWN);
    tear_down(&f);
}

// --- health ---------------------------------------------------------------------------------------

static void health_and_readiness_are_served_on_the_public_listener(void **state)
{
    struct fixture f;

    (void)state;
    set_up(&f);
    send_text(f.fd, "GET /health HTTP/1.1\r\nHost: x\r\n\r\n");
    expect_answer(f.fd, 200, "{\"status\":\"healthy\"}\n");
    send_text(f.fd, "GET /ready HTTP/1.1\r\nHost: x\r\n\r\n");
    expect_answer(f.fd, 200, "{\"status\":\"ready\"}\n");
    fake.export_note = "refuses credentials"; // it can accept deliveries nevertheless
    send_text(f.fd, "GET /ready HTTP/1.1\r\nHost: x\r\n\r\n");
    expect_answer(f.fd, 200, "{\"status\":\"ready\",\"export\":\"refuses credentials\"}\n");
    send_text(f.fd, "HEAD /health HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_int_equal(receive_response(f.fd, false).status, 200);
    fake.is_unready = true;
    send_text(f.fd, "GET /ready?verbose HTTP/1.1\r\nHost: x\r\n\r\n");
    struct response response = receive_response(f.fd, true);
    assert_int_equal(response.status, 503);
    assert_string_equal(response.body, "{\"status\":\"unavailable\",\"reason\":\"store: 95% of "
                                       "\\\"db\\\" used\"}\n");
    assert_non_null(strstr(response.head, "Retry-After: 5"));
    send_text(f.fd, "GET /health HTTP/1.1\r\nHost: x\r\n\r\n"); // healthy nevertheless
    expect_answer(f.fd, 200, "{\"status\":\"healthy\"}\n");
    tear_down(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_response_depends_on_the_engines_outcome),
        cmocka_unit_test(the_engine_gets_the_event_and_the_digest_of_the_delivery),
        cmocka_unit_test(deliveries_that_are_not_for_the_engine_are_answered_without_it),
        cmocka_unit_test(a_bad_field_is_named),
        cmocka_unit_test(json_that_is_nested_too_deeply_is_too_large),
        cmocka_unit_test(a_form_is_decoded_after_its_signature_was_checked),
        cmocka_unit_test(repositories_that_are_not_wanted_are_ignored),
        cmocka_unit_test(invalid_heads_are_refused_field_by_field),
        cmocka_unit_test(wrong_signatures_are_refused_before_anything_is_parsed),
        cmocka_unit_test(two_signature_headers_are_one_too_many),
        cmocka_unit_test(a_wrong_signature_is_refused_even_if_the_body_is_invalid),
        cmocka_unit_test(events_that_wait_for_the_engine_count_as_decoded),
        cmocka_unit_test(secrets_can_be_replaced_while_serving),
        cmocka_unit_test(without_signatures_every_delivery_counts),
        cmocka_unit_test(a_guid_without_a_time_gives_no_time),
        cmocka_unit_test(health_and_readiness_are_served_on_the_public_listener),
    };
    log_configure(LOG_ERROR, LOG_FORMAT_TEXT);
    alarm(60);
    return cmocka_run_group_tests_name("ingress/webhook", tests, NULL, NULL);
}
