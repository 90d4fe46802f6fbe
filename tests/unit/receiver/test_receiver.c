// The receiver over real sockets, with a scripted engine: when it answers, what it says, how much the engine has.
#include "../webhook/client.h"

#include <poll.h>

#include "ghatrace/base/log.h"
#include "ghatrace/receiver/receiver.h"

#define TOKENS_ARC "arc-token-0123456789"
#define TOKENS_JOB "job-token-0123456789"
#define AS_JOB "Authorization: Bearer " TOKENS_JOB "\r\n"
#define AS_ARC "Authorization: Bearer " TOKENS_ARC "\r\n"
#define SPAN                                                                                       \
    "{\"traceId\":\"0af7651916cd43dd8448eb211c80319c\",\"spanId\":\"b7ad6b7169203331\","           \
    "\"parentSpanId\":\"b7ad6b7169203332\",\"name\":\"test\"}"
#define BODY(spans) "{\"resourceSpans\":[{\"scopeSpans\":[{\"spans\":[" spans "]}]}]}"
#define ONE BODY(SPAN)
#define REPORT                                                                                     \
    BODY("{\"traceId\":\"0af7651916cd43dd8448eb211c80319c\",\"spanId\":\"b7ad6b7169203331\","      \
         "\"name\":\"runner.queue\",\"startTimeUnixNano\":\"1700000000000000000\","                \
         "\"endTimeUnixNano\":\"1700000001000000000\",\"attributes\":[{\"key\":"                   \
         "\"github.job_id\",\"value\":{\"stringValue\":\"77\"}}]}")

struct bench {
    struct ingress_secrets *tokens;
    struct receiver *receiver;
    int fd;
};

static void begin(struct bench *b, bool holds, duration_ns answer_time)
{
    const struct slice lines[] = {SLICE("arc " TOKENS_ARC), SLICE("job " TOKENS_JOB)};
    struct receiver_options options = {.answer_time = answer_time};
    struct error error;

    fake_engine_reset(ENGINE_ACCEPTED, holds);
    fake.forward_outcome = FORWARD_ACCEPTED;
    assert_int_equal(ingress_secrets_create(&b->tokens, &error), ERROR_NONE);
    assert_int_equal(ingress_secrets_replace(b->tokens, lines, 2, &error), ERROR_NONE);
    assert_int_equal(net_address_parse(SLICE("127.0.0.1:0"), &options.listen, &error), ERROR_NONE);
    options.tokens = b->tokens;
    assert_int_equal(receiver_start(NULL, &options, &b->receiver, &error), ERROR_NONE);
    b->fd = connect_to(receiver_address(b->receiver));
}

static void finish(struct bench *b)
{
    close(b->fd);
    receiver_destroy(b->receiver);
    ingress_secrets_destroy(b->tokens);
}

static void send_request(int fd, const char *fields, const char *body)
{
    char head[600];

    (void)snprintf(head, sizeof head,
                   "POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n%s"
                   "Content-Length: %zu\r\n\r\n",
                   fields, strlen(body));
    send_text(fd, head);
    send_text(fd, body);
}

// More clients, each of which has sent a request with a span.
static void connect_clients(struct bench *b, int *fds, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        fds[i] = connect_to(receiver_address(b->receiver));
        send_request(fds[i], AS_JOB, ONE);
    }
}

static void expect_answers(int *fds, size_t count, int status)
{
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(receive_response(fds[i], true).status, status);
        close(fds[i]);
    }
}

static struct response ask(struct bench *b, const char *fields, const char *body)
{
    send_request(b->fd, fields, body);
    return receive_response(b->fd, true);
}

static void it_answers_200_when_the_engine_has_committed(void **state)
{
    struct bench b;

    (void)state;
    begin(&b, true, 20 * NS_PER_SECOND);
    send_request(b.fd, AS_JOB, ONE);
    fake_engine_wait_for(1);
    char byte;
    usleep(20000);
    assert_int_equal(recv(b.fd, &byte, 1, MSG_DONTWAIT), -1);
    fake_engine_finish(ENGINE_ACCEPTED);
    struct response response = receive_response(b.fd, true);
    assert_int_equal(response.status, 200);
    assert_string_equal(response.body, "{}");
    assert_true(response.keep_alive);
    assert_int_equal(fake.span_count, 1);
    finish(&b);
}

static void what_the_engine_does_not_store_in_time_is_answered_503_and_goes_on(void **state)
{
    struct bench b;

    (void)state;
    begin(&b, true, 50 * NS_PER_MS);
    struct response response = ask(&b, AS_JOB, ONE);
    assert_int_equal(response.status, 503);
    assert_non_null(strstr(response.head, "Retry-After: "));
    assert_non_null(strstr(response.body, "\"code\":14"));
    // The same connection goes on while the engine still has the first request.
    response = ask(&b, AS_JOB, ONE);
    assert_int_equal(response.status, 503);
    fake_engine_finish(ENGINE_ACCEPTED); // reads the request's memory
    fake_engine_finish(ENGINE_ACCEPTED);
    fake_engine_reset(ENGINE_ACCEPTED, false);
    assert_int_equal(ask(&b, AS_JOB, ONE).status, 200);
    finish(&b);
}

static void a_client_that_left_loses_nothing(void **state)
{
    struct bench b;

    (void)state;
    begin(&b, true, 20 * NS_PER_SECOND);
    send_request(b.fd, AS_JOB, ONE);
    fake_engine_wait_for(1);
    close(b.fd);
    usleep(20000);
    fake_engine_finish(ENGINE_ACCEPTED);
    b.fd = connect_to(receiver_address(b.receiver));
    finish(&b);
}

static void a_full_engine_and_a_failing_one_are_503(void **state)
{
    static const enum engine_outcome outcomes[] = {ENGINE_FULL, ENGINE_FAILED};
    struct bench b;

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        begin(&b, false, 0);
        fake_engine_reset(outcomes[i], false);
        struct response response = ask(&b, AS_JOB, ONE);
        assert_int_equal(response.status, 503);
        assert_non_null(strstr(response.head, "Retry-After: "));
        finish(&b);
    }
}

static void refused_spans_are_counted_by_reason_in_the_answer(void **state)
{
    struct bench b;

    (void)state;
    begin(&b, false, 0);
    fake.forward_outcome = FORWARD_OUR_ID;
    struct response response = ask(&b, AS_JOB, BODY(SPAN "," SPAN));
    assert_int_equal(response.status, 200);
    assert_non_null(strstr(response.body, "2 spans refused: 2 our_id"));
    assert_non_null(strstr(response.body, "\"rejectedSpans\":\"2\""));
    fake.forward_outcome = FORWARD_HELD;
    assert_string_equal(ask(&b, AS_JOB, ONE).body, "{}");
    // Nothing was taken, and later there may be room.
    fake.forward_outcome = FORWARD_NO_ROOM;
    assert_int_equal(ask(&b, AS_JOB, ONE).status, 503);
    finish(&b);
}

static void an_arc_token_sends_no_other_spans_and_a_job_token_states_nothing(void **state)
{
    static const char as_arc[] =
        BODY("{\"traceId\":\"0af7651916cd43dd8448eb211c80319c\",\"spanId\":\"b7ad6b7169203331\","
             "\"name\":\"runner.queue\"}");
    struct receiver_counters counters;
    struct bench b;

    (void)state;
    begin(&b, false, 0);
    struct response response = ask(&b, AS_ARC, ONE);
    assert_int_equal(response.status, 200);
    assert_non_null(strstr(response.body, "1 span refused: 1 not_arc"));
    assert_int_equal(fake.submitted, 0);
    assert_int_equal(ask(&b, AS_JOB, as_arc).status, 200);
    assert_int_equal(fake.span_count, 1);
    assert_int_equal(fake.report_count, 0);
    receiver_read_counters(b.receiver, &counters);
    assert_int_equal(counters.not_arc, 1);
    assert_int_equal(counters.spans[RECEIVER_ARC], 1);
    assert_int_equal(counters.spans[RECEIVER_JOB], 1);
    assert_int_equal(counters.requests, 2);
    finish(&b);
}

static void an_empty_request_is_200_without_the_engine(void **state)
{
    struct bench b;

    (void)state;
    begin(&b, false, 0);
    assert_string_equal(ask(&b, AS_JOB, "{}").body, "{}");
    assert_string_equal(ask(&b, AS_ARC, "{\"resourceSpans\":[]}").body, "{}");
    assert_int_equal(fake.submitted, 0);
    finish(&b);
}

static void the_engine_has_few_requests_at_a_time_and_the_rest_follows(void **state)
{
    enum { CLIENTS = 40 };
    struct bench b;
    int fds[CLIENTS];

    (void)state;
    begin(&b, true, 20 * NS_PER_SECOND);
    connect_clients(&b, fds, CLIENTS);
    fake_engine_wait_for(16);
    usleep(50000);
    assert_int_equal(fake.submitted, 16);
    for (size_t i = 0; i < CLIENTS; i++) {
        fake_engine_wait_for(i + 1);
        fake_engine_finish(ENGINE_ACCEPTED);
    }
    expect_answers(fds, CLIENTS, 200);
    finish(&b);
}

static void reports_of_arc_do_not_wait_for_spans_of_jobs(void **state)
{
    enum { CLIENTS = 20 };
    struct bench b;
    int fds[CLIENTS];

    (void)state;
    begin(&b, true, 20 * NS_PER_SECOND);
    connect_clients(&b, fds, CLIENTS);
    fake_engine_wait_for(16);
    usleep(20000);
    send_request(b.fd, AS_ARC, REPORT);
    usleep(20000);
    fake_engine_finish(ENGINE_ACCEPTED);
    fake_engine_wait_for(17);
    assert_int_equal(fake.report_count, 1);
    for (size_t i = 1; i <= CLIENTS; i++) {
        fake_engine_wait_for(i + 1);
        fake_engine_finish(ENGINE_ACCEPTED);
    }
    assert_int_equal(receive_response(b.fd, true).status, 200);
    expect_answers(fds, CLIENTS, 200);
    finish(&b);
}

// A body that takes long to decode, below the limit for bodies.
static const char *make_slow_body(void)
{
    enum { OBJECTS = 1300000 };
    static char body[3 * OBJECTS + 64];
    size_t len = (size_t)snprintf(body, sizeof body, "{\"resourceSpans\":[{}");

    for (size_t i = 0; i < OBJECTS; i++, len += 3)
        memcpy(body + len, ",{}", 3);
    memcpy(body + len, "]}", 3);
    return body;
}

static void arc_does_not_wait_while_requests_of_jobs_are_decoded_without_a_pause(void **state)
{
    const char *slow = make_slow_body();
    struct bench b;
    int decoded = 0;

    (void)state;
    begin(&b, false, 0);
    struct response response = ask(&b, AS_JOB, slow);
    for (; response.status == 200; response = ask(&b, AS_JOB, slow))
        assert_true(++decoded < 1000);
    assert_true(decoded > 0);
    assert_int_equal(response.status, 503);
    assert_non_null(strstr(response.head, "Retry-After: "));
    assert_int_equal(ask(&b, AS_ARC, REPORT).status, 200);
    for (int i = 0; ask(&b, AS_JOB, ONE).status != 200; i++) {
        assert_true(i < 500);
        usleep(10000);
    }
    finish(&b);
}

static void bodies_of_jobs_that_stall_leave_room_for_large_ones_of_arc(void **state)
{
    enum { CLIENTS = 10, PADDING = 200000 };
    static char large[PADDING + sizeof REPORT];
    const char *slow = make_slow_body();
    const size_t len = strlen(slow);
    struct bench b;
    int fds[CLIENTS];
    char head[300];

    (void)state;
    memset(large, ' ', PADDING);
    memcpy(large + PADDING, REPORT, sizeof REPORT);
    begin(&b, false, 0);
    (void)snprintf(
        head, sizeof head,
        "POST /v1/traces HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n" AS_JOB
        "Content-Length: %zu\r\n\r\n",
        len + 1);
    for (size_t i = 0; i < CLIENTS; i++) {
        fds[i] = connect_to(receiver_address(b.receiver));
        send_text(fds[i], head);
        // Those that there is no room for are refused meanwhile.
        for (size_t sent = 0; sent < len;) {
            ssize_t more = send(fds[i], slow + sent, len - sent, MSG_NOSIGNAL);
            if (more <= 0)
                break;
            sent += (size_t)more;
        }
    }
    usleep(100000);
    assert_int_equal(ask(&b, AS_ARC, large).status, 200);
    for (size_t i = 0; i < CLIENTS; i++)
        close(fds[i]);
    finish(&b);
}

static void what_waits_for_the_engine_is_dropped_when_it_is_answered_503(void **state)
{
    enum { CLIENTS = 20 };
    struct bench b;
    int fds[CLIENTS];

    (void)state;
    begin(&b, true, 200 * NS_PER_MS);
    connect_clients(&b, fds, CLIENTS);
    expect_answers(fds, CLIENTS, 503);
    for (size_t i = 0; i < 16; i++)
        fake_engine_finish(ENGINE_ACCEPTED);
    usleep(20000);
    assert_int_equal(fake.submitted, 16);
    finish(&b);
}

static void a_stop_answers_what_is_in_flight(void **state)
{
    struct bench b;

    (void)state;
    begin(&b, true, 100 * NS_PER_MS);
    send_request(b.fd, AS_JOB, ONE);
    fake_engine_wait_for(1);
    receiver_wind_down(b.receiver);
    usleep(20000);
    fake_engine_finish(ENGINE_ACCEPTED);
    struct response response = receive_response(b.fd, true);
    assert_int_equal(response.status, 200);
    assert_false(response.keep_alive);
    close(b.fd);
    receiver_stop(b.receiver);
    b.fd = -1;
    receiver_destroy(b.receiver);
    ingress_secrets_destroy(b.tokens);
}

static void wrong_tokens_are_delayed_after_a_while_and_valid_ones_never(void **state)
{
    struct bench b;

    (void)state;
    begin(&b, false, 0);
    for (int i = 0; i < 20; i++) {
        assert_int_equal(ask(&b, "", "{}").status, 401);
        close(b.fd); // the body was not read
        b.fd = connect_to(receiver_address(b.receiver));
    }
    int other = connect_to(receiver_address(b.receiver));
    send_request(b.fd, "", "{}");
    send_request(other, AS_JOB, "{}");
    assert_int_equal(receive_response(other, true).status, 200);
    struct pollfd waiting = {.fd = b.fd, .events = POLLIN};
    assert_int_equal(poll(&waiting, 1, 500), 0);
    struct response response = receive_response(b.fd, true);
    assert_int_equal(response.status, 401);
    assert_non_null(strstr(response.head, "WWW-Authenticate: Bearer"));
    assert_non_null(strstr(response.body, "\"code\":16"));
    close(other);
    finish(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_answers_200_when_the_engine_has_committed),
        cmocka_unit_test(what_the_engine_does_not_store_in_time_is_answered_503_and_goes_on),
        cmocka_unit_test(a_client_that_left_loses_nothing),
        cmocka_unit_test(a_full_engine_and_a_failing_one_are_503),
        cmocka_unit_test(refused_spans_are_counted_by_reason_in_the_answer),
        cmocka_unit_test(an_arc_token_sends_no_other_spans_and_a_job_token_states_nothing),
        cmocka_unit_test(an_empty_request_is_200_without_the_engine),
        cmocka_unit_test(the_engine_has_few_requests_at_a_time_and_the_rest_follows),
        cmocka_unit_test(reports_of_arc_do_not_wait_for_spans_of_jobs),
        cmocka_unit_test(arc_does_not_wait_while_requests_of_jobs_are_decoded_without_a_pause),
        cmocka_unit_test(bodies_of_jobs_that_stall_leave_room_for_large_ones_of_arc),
        cmocka_unit_test(what_waits_for_the_engine_is_dropped_when_it_is_answered_503),
        cmocka_unit_test(a_stop_answers_what_is_in_flight),
        cmocka_unit_test(wrong_tokens_are_delayed_after_a_while_and_valid_ones_never),
    };
    log_configure(LOG_ERROR, LOG_FORMAT_TEXT);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
