// Requests that arrive split, joined, cut off or abandoned.
#include "fixture.h"

#include "ghatrace/base/memory.h"

static void a_request_may_arrive_byte_by_byte(void **state)
{
    char *request = signed_request("workflow_job", JSON_TYPE, JOB);
    struct fixture f;

    (void)state;
    set_up(&f);
    for (size_t i = 0; request[i] != '\0'; i++)
        send_bytes(f.fd, request + i, 1);
    expect_answer(f.fd, 202, NULL);
    free(request);
    tear_down(&f);
}

static void many_requests_use_one_connection(void **state)
{
    struct fixture f;

    (void)state;
    set_up(&f);
    for (int i = 0; i < 50; i++) {
        send_job(f.fd);
        struct response response = receive_response(f.fd, true);
        assert_int_equal(response.status, 202);
        assert_true(response.keep_alive);
    }
    tear_down(&f);
}

static void send_pipeline(int fd)
{
    char *job = signed_request("workflow_job", JSON_TYPE, JOB);
    char *ping = signed_request("ping", JSON_TYPE, "{}");
    char text[8192];

    snprintf(text, sizeof text, "%s%s\r\nGET /health HTTP/1.1\r\nHost: x\r\n\r\n%s", job, ping,
             job);
    send_text(fd, text);
    free(job);
    free(ping);
}

static void pipelined_requests_are_answered_in_order(void **state)
{
    struct fixture f;

    (void)state;
    set_up(&f);
    send_pipeline(f.fd);
    expect_answer(f.fd, 202, NULL);
    expect_answer(f.fd, 200, "{\"status\":\"pong\"}\n");
    expect_answer(f.fd, 200, "{\"status\":\"healthy\"}\n");
    expect_answer(f.fd, 202, NULL);
    tear_down(&f);
}

static void the_next_request_waits_for_the_engine(void **state)
{
    struct fixture f;

    (void)state;
    set_up(&f);
    fake_engine_reset(ENGINE_ACCEPTED, true);
    send_pipeline(f.fd);
    shutdown(f.fd, SHUT_WR); // no more requests, but all responses
    fake_engine_wait_for(1);
    expect_silence(f.fd);
    assert_int_equal(fake.submitted, 1);
    fake_engine_finish(ENGINE_DUPLICATE);
    expect_answer(f.fd, 200, "{\"status\":\"duplicate\"}\n");
    expect_answer(f.fd, 200, "{\"status\":\"pong\"}\n");
    expect_answer(f.fd, 200, "{\"status\":\"healthy\"}\n");
    fake_engine_wait_for(2);
    fake_engine_finish(ENGINE_ACCEPTED);
    expect_answer(f.fd, 202, NULL);
    expect_closed(f.fd);
    tear_down(&f);
}

static void memory_stays_valid_for_the_engine_after_the_client_disconnects(void **state)
{
    struct fixture f;
    struct linger abort = {.l_onoff = 1, .l_linger = 0};

    (void)state;
    set_up(&f);
    fake_engine_reset(ENGINE_ACCEPTED, true);
    for (int is_reset = 0; is_reset < 2; is_reset++) {
        send_job(f.fd);
        fake_engine_wait_for((size_t)is_reset + 1);
        if (is_reset)
            setsockopt(f.fd, SOL_SOCKET, SO_LINGER, &abort, sizeof abort);
        close(f.fd);
        usleep(20000);
        fake_engine_finish(ENGINE_ACCEPTED);
        f.fd = connect_client(&f.server);
    }
    fake_engine_reset(ENGINE_ACCEPTED, false);
    send_job(f.fd); // the server still works
    expect_answer(f.fd, 202, NULL);
    tear_down(&f);
}

static void a_request_that_is_cut_off_is_not_processed(void **state)
{
    struct fixture f;
    char *request = signed_request("workflow_job", JSON_TYPE, JOB);

    (void)state;
    set_up(&f);
    send_bytes(f.fd, request, strlen(request) - 1);
    shutdown(f.fd, SHUT_WR);
    expect_closed(f.fd);
    assert_int_equal(fake.submitted, 0);
    free(request);
    tear_down(&f);
}

static void connection_close_and_http_1_0_end_the_connection(void **state)
{
    static const char *const requests[] = {
        "GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
        "GET /health HTTP/1.0\r\n\r\n",
        "GET /nothing HTTP/1.0\r\n\r\n",
    };

    (void)state;
    for (size_t i = 0; i < sizeof requests / sizeof *requests; i++) {
        struct fixture f;
        set_up(&f);
        send_text(f.fd, requests[i]);
        assert_false(receive_response(f.fd, true).keep_alive);
        expect_closed(f.fd);
        tear_down(&f);
    }
}

static void a_refused_request_without_an_unread_body_keeps_the_connection(void **state)
{
    struct fixture f;

    (void)state;
    set_up(&f);
    send_text(f.fd, "GET /nothing HTTP/1.1\r\nHost: x\r\n\r\nDELETE /webhook HTTP/1.1\r\nHost: "
                    "x\r\nContent-Length: 0\r\n\r\n");
    struct response response = receive_response(f.fd, true);
    assert_int_equal(response.status, 404);
    assert_true(response.keep_alive);
    expect_answer(f.fd, 405, NULL);
    send_job(f.fd);
    expect_answer(f.fd, 202, NULL);
    tear_down(&f);
}

static void a_refused_request_with_an_unread_body_ends_the_connection(void **state)
{
    struct fixture f;

    (void)state;
    set_up(&f);
    // Text in the body that looks like a request must never be parsed as one.
    send_text(f.fd, "POST /nothing HTTP/1.1\r\nHost: x\r\nContent-Length: 37\r\n\r\n"
                    "GET /health HTTP/1.1\r\nHost: x\r\n\r\n....");
    struct response response = receive_response(f.fd, true);
    assert_int_equal(response.status, 404);
    assert_false(response.keep_alive);
    expect_closed(f.fd);
    tear_down(&f);
}

static void malformed_requests_are_answered_and_end_the_connection(void **state)
{
    static const struct {
        const char *text;
        int status;
    } cases[] = {
        {"nonsense\r\n\r\n", 400},
        {"GET /health HTTP/1.1\r\n\r\n", 400},
        {"GET /health HTTP/2.0\r\nHost: x\r\n\r\n", 505},
        {"GET /health HTTP/1.1\r\nHost: x\r\nbad field: 1\r\n\r\n", 400},
        {"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
        {"\x16\x03\x01\x02", 400}, // a TLS greeting on the plain port
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fixture f;
        set_up(&f);
        send_text(f.fd, cases[i].text);
        struct response response = receive_response(f.fd, true);
        if (response.status != cases[i].status)
            fail_msg("case %zu: status %d", i, response.status);
        assert_false(response.keep_alive);
        expect_closed(f.fd);
        tear_down(&f);
    }
}
// --- memory ---------------------------------------------------------------------------------------

static void refused_memory_affects_one_response_and_not_the_server(void **state)
{
    struct fixture f;
    int outcomes[600] = {0};

    (void)state;
    set_up(&f);
    send_job(f.fd); // this one has all the memory that it needs
    expect_answer(f.fd, 202, NULL);
    for (long round = 0; round < 60; round++) {
        char *request = signed_request("workflow_job", JSON_TYPE, JOB);
        int fd = connect_to(ingress_address(f.server.ingress));
        if (round % 2 == 0)
            usleep(2000); // is accepted: the fault affects the request
        memory_fail_after(round / 2);
        send_text(fd, request);
        char head[16] = "";
        ssize_t len = recv(fd, head, sizeof head - 1, MSG_WAITALL);
        memory_fail_after(-1);
        int status = len == sizeof head - 1 ? (int)strtol(head + 9, NULL, 10) : 0;
        // Refused, closed without a response, or not affected.
        if (status != 0 && status != 202 && status != 503 && status != 401)
            fail_msg("round %ld: status %d", round, status);
        outcomes[status]++;
        close(fd);
        free(request);
        send_job(f.fd);
        expect_answer(f.fd, 202, NULL);
    }
    assert_true(outcomes[503] > 0);
    assert_true(outcomes[202] > 0);
    tear_down(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_may_arrive_byte_by_byte),
        cmocka_unit_test(many_requests_use_one_connection),
        cmocka_unit_test(pipelined_requests_are_answered_in_order),
        cmocka_unit_test(the_next_request_waits_for_the_engine),
        cmocka_unit_test(memory_stays_valid_for_the_engine_after_the_client_disconnects),
        cmocka_unit_test(a_request_that_is_cut_off_is_not_processed),
        cmocka_unit_test(connection_close_and_http_1_0_end_the_connection),
        cmocka_unit_test(a_refused_request_without_an_unread_body_keeps_the_connection),
        cmocka_unit_test(a_refused_request_with_an_unread_body_ends_the_connection),
        cmocka_unit_test(malformed_requests_are_answered_and_end_the_connection),
        cmocka_unit_test(refused_memory_affects_one_response_and_not_the_server),
    };
    log_configure(LOG_ERROR, LOG_FORMAT_TEXT);
    alarm(120);
    return cmocka_run_group_tests_name("ingress/conversation", tests, NULL, NULL);
}
