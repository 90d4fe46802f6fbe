// Requests in every shape of arrival: split, joined, slow, too large, abandoned.
#include "client.h"

#include "ghatrace/base/log.h"
#include "ghatrace/base/memory.h"

struct fixture {
    struct server server;
    int fd;
};

static void set_up_with(struct fixture *f, struct ingress_options options)
{
    fake_engine_reset(ENGINE_ACCEPTED, false);
    server_start(&f->server, options);
    f->fd = connect_client(&f->server);
}

static void set_up(struct fixture *f)
{
    set_up_with(f, server_options());
}

static void tear_down(struct fixture *f)
{
    close(f->fd);
    server_end(&f->server);
}

// Is nothing there to be read? Not proof, but what should not come has usually come by then.
static void expect_silence(int fd)
{
    char byte;

    usleep(20000);
    assert_int_equal(recv(fd, &byte, 1, MSG_DONTWAIT), -1);
    assert_int_equal(errno, EAGAIN);
}

static void a_request_may_come_byte_by_byte(void **state)
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
    shutdown(f.fd, SHUT_WR); // no more requests, but all answers
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

static void a_client_that_leaves_does_not_take_the_engines_memory_along(void **state)
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
    send_job(f.fd); // the server is none the worse
    expect_answer(f.fd, 202, NULL);
    tear_down(&f);
}

static void a_request_that_is_cut_off_is_not_handed_on(void **state)
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

static void a_refusal_without_a_body_to_come_keeps_the_connection(void **state)
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

static void a_refusal_with_a_body_to_come_ends_it(void **state)
{
    struct fixture f;

    (void)state;
    set_up(&f);
    // What looks like a request in the body must never be taken for one.
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

// --- sizes ----------------------------------------------------------------------------------------

static char *large_job(size_t len)
{
    char *body = malloc(len + 1);

    assert_non_null(body);
    memset(body, ' ', len);
    memcpy(body, JOB, strlen(JOB));
    body[len] = '\0';
    return body;
}

static void bodies_up_to_the_cap_are_taken_and_beyond_are_refused(void **state)
{
    struct ingress_options options = server_options();
    struct fixture f;

    (void)state;
    set_up(&f);
    for (size_t over = 0; over < 2; over++) {
        char *body = large_job(options.max_payload_bytes + over);
        send_delivery(f.fd, "workflow_job", JSON_TYPE, body);
        struct response response = receive_response(f.fd, true);
        assert_int_equal(response.status, over == 0 ? 202 : 413);
        assert_int_equal(response.keep_alive, over == 0);
        free(body);
    }
    expect_closed(f.fd);
    tear_down(&f);
}

static void send_chunked_head(int fd, const char *body, size_t len)
{
    char signature[72], head[512];

    sign(SECRET, body, len, signature);
    snprintf(head, sizeof head,
             "POST /webhook HTTP/1.1\r\nHost: x\r\nX-GitHub-Event: workflow_job\r\n"
             "X-GitHub-Delivery: " GUID "\r\nContent-Type: " JSON_TYPE "\r\n"
             "X-Hub-Signature-256: %s\r\nTransfer-Encoding: chunked\r\n\r\n",
             signature);
    send_text(fd, head);
}

static void send_chunks(int fd, const char *body, size_t len, size_t chunk)
{
    for (size_t at = 0; at < len; at += chunk) {
        size_t size = len - at < chunk ? len - at : chunk;
        char line[32];
        snprintf(line, sizeof line, "%zx;x=y\r\n", size);
        send_text(fd, line);
        send_bytes(fd, body + at, size);
        send_text(fd, "\r\n");
    }
    send_text(fd, "0\r\nTrailer: x\r\n\r\n");
}

static void chunked_bodies_are_put_together(void **state)
{
    struct ingress_options options = server_options();
    char *body = large_job(options.max_payload_bytes);
    struct fixture f;

    (void)state;
    set_up(&f);
    send_chunked_head(f.fd, JOB, strlen(JOB));
    send_chunks(f.fd, JOB, strlen(JOB), 7);
    expect_answer(f.fd, 202, NULL);
    send_chunked_head(f.fd, body, options.max_payload_bytes);
    send_chunks(f.fd, body, options.max_payload_bytes, 50000);
    expect_answer(f.fd, 202, NULL);
    free(body);
    tear_down(&f);
}

static void chunked_bodies_beyond_the_cap_are_refused(void **state)
{
    struct ingress_options options = server_options();
    struct fixture f;

    (void)state;
    set_up(&f);
    send_chunked_head(f.fd, JOB, strlen(JOB));
    char line[32];
    snprintf(line, sizeof line, "%zx\r\n", (size_t)options.max_payload_bytes + 1);
    send_text(f.fd, line);
    expect_answer(f.fd, 413, NULL);
    expect_closed(f.fd);
    tear_down(&f);
}

static void a_body_that_is_announced_and_not_sent_takes_no_memory(void **state)
{
    struct ingress_options options = server_options();
    char *body = large_job(options.max_payload_bytes);
    char *request = signed_request("workflow_job", JSON_TYPE, body);
    size_t head = strlen(request) - options.max_payload_bytes;
    struct fixture f;
    int fds[8];

    (void)state;
    set_up(&f);
    for (int i = 0; i < 8; i++) {
        fds[i] = connect_client(&f.server);
        send_bytes(fds[i], request, head + 1000);
    }
    usleep(20000);
    send_text(f.fd, request);
    expect_answer(f.fd, 202, NULL);
    for (int i = 0; i < 8; i++)
        close(fds[i]);
    free(body);
    free(request);
    tear_down(&f);
}

static void large_bodies_have_a_share_of_memory_and_small_ones_need_none(void **state)
{
    struct ingress_options options = server_options();
    char *body = large_job(options.max_payload_bytes);
    char *request = signed_request("workflow_job", JSON_TYPE, body);
    size_t len = strlen(request);
    struct fixture f;
    int fds[2];

    (void)state;
    set_up(&f);
    for (int i = 0; i < 2; i++) { // two large ones stop short of their last byte
        fds[i] = connect_client(&f.server);
        send_bytes(fds[i], request, len - 1);
    }
    usleep(20000);
    send_text(f.fd, request);
    expect_answer(f.fd, 503, NULL);
    expect_closed(f.fd);
    close(f.fd);
    f.fd = connect_client(&f.server);
    send_chunked_head(f.fd, body, options.max_payload_bytes); // shows its size on the way only
    send_bytes(f.fd, "20000\r\n", 7);
    send_bytes(f.fd, body, 0x20000);
    expect_answer(f.fd, 503, NULL);
    close(f.fd);
    f.fd = connect_client(&f.server);
    send_job(f.fd);
    expect_answer(f.fd, 202, NULL);
    for (int i = 0; i < 2; i++) {
        send_bytes(fds[i], request + len - 1, 1);
        expect_answer(fds[i], 202, NULL);
    }
    send_text(f.fd, request); // their shares are free again, though their connections stand
    expect_answer(f.fd, 202, NULL);
    for (int i = 0; i < 2; i++)
        close(fds[i]);
    free(body);
    free(request);
    tear_down(&f);
}

// --- 100-continue ---------------------------------------------------------------------------------

static void send_expectation(int fd, const char *target, size_t len)
{
    char head[512], signature[72];

    sign(SECRET, JOB, strlen(JOB), signature);
    snprintf(head, sizeof head,
             "POST %s HTTP/1.1\r\nHost: x\r\nX-GitHub-Event: workflow_job\r\nX-GitHub-Delivery: "
             "" GUID "\r\nContent-Type: " JSON_TYPE "\r\nX-Hub-Signature-256: %s\r\n"
             "Expect: 100-continue\r\nContent-Length: %zu\r\n\r\n",
             target, signature, len);
    send_text(fd, head);
}

static void leave_to_send_the_body_is_given(void **state)
{
    struct fixture f;

    (void)state;
    set_up(&f);
    send_expectation(f.fd, "/webhook", strlen(JOB));
    assert_int_equal(receive_response(f.fd, false).status, 100);
    send_text(f.fd, JOB);
    expect_answer(f.fd, 202, NULL);
    tear_down(&f);
}

static void leave_is_not_given_to_what_would_be_refused(void **state)
{
    static const struct {
        const char *target;
        size_t len;
        int status;
    } cases[] = {{"/nothing", 10, 404}, {"/health", 10, 405}, {"/webhook", (size_t)1 << 40, 413}};

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fixture f;
        set_up(&f);
        send_expectation(f.fd, cases[i].target, cases[i].len);
        expect_answer(f.fd, cases[i].status, NULL);
        expect_closed(f.fd);
        tear_down(&f);
    }
}

// --- deadlines ------------------------------------------------------------------------------------

static void a_request_that_trickles_is_ended_with_408(void **state)
{
    struct ingress_options options = server_options();
    char *request = signed_request("workflow_job", JSON_TYPE, JOB);
    struct fixture f;

    (void)state;
    options.request_deadline = 100 * NS_PER_MS;
    set_up_with(&f, options);
    char byte;
    for (size_t i = 0; i < 300; i++) { // never silent, and far from done
        if (recv(f.fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK) == 1)
            break;
        (void)send(f.fd, request + i, 1, MSG_NOSIGNAL);
        usleep(2000);
    }
    struct response response = receive_response(f.fd, true);
    assert_int_equal(response.status, 408);
    assert_false(response.keep_alive);
    expect_closed(f.fd);
    free(request);
    tear_down(&f);
}

static void a_head_that_trickles_has_less_time_than_a_body(void **state)
{
    struct ingress_options options = server_options();
    char *request = signed_request("workflow_job", JSON_TYPE, JOB);
    size_t head_len = (size_t)(strstr(request, "\r\n\r\n") + 4 - request);
    struct fixture f;

    (void)state;
    options.head_deadline = 50 * NS_PER_MS;
    set_up_with(&f, options);
    send_bytes(f.fd, request, 10);
    expect_answer(f.fd, 408, NULL);
    expect_closed(f.fd);
    close(f.fd);
    f.fd = connect_client(&f.server);
    send_bytes(f.fd, request, 10);
    usleep(1000);
    send_bytes(f.fd, request + 10, head_len - 10);
    usleep(150000); // the head's time is over, and so is the head
    send_text(f.fd, request + head_len);
    expect_answer(f.fd, 202, NULL);
    free(request);
    tear_down(&f);
}

static void the_heads_time_is_part_of_the_whole_requests(void **state)
{
    struct ingress_options options = server_options();
    char *request = signed_request("workflow_job", JSON_TYPE, JOB);
    struct fixture f;

    (void)state;
    options.request_deadline = 60 * NS_PER_MS;
    set_up_with(&f, options);
    send_bytes(f.fd, request, 10); // the head is not whole in the shorter time
    expect_answer(f.fd, 408, NULL);
    close(f.fd);
    f.fd = connect_client(&f.server);
    send_bytes(f.fd, request, 10);
    usleep(1000);
    send_bytes(f.fd, request + 10, strlen(request) - 11); // all but the body's last byte
    expect_answer(f.fd, 408, NULL);
    free(request);
    tear_down(&f);
}

// --- more clients than places -----------------------------------------------------------------------

#define PLACES 4

static void fill_places(struct fixture *f, int fds[PLACES])
{
    struct ingress_options options = server_options();

    options.max_connections = PLACES;
    fake_engine_reset(ENGINE_ACCEPTED, false);
    server_start(&f->server, options);
    for (size_t i = 0; i < PLACES; i++)
        fds[i] = connect_client(&f->server);
    f->fd = fds[0];
}

static void the_longest_without_a_head_makes_room(void **state)
{
    struct fixture f;
    int fds[PLACES];

    (void)state;
    fill_places(&f, fds);
    send_text(fds[0], "POST /webhook HTTP/1.1\r\nHost: x\r\n");
    for (size_t i = 1; i < PLACES; i++) { // these have been heard since
        send_job(fds[i]);
        expect_answer(fds[i], 202, NULL);
    }
    int late = connect_client(&f.server);
    send_job(late);
    expect_answer(late, 202, NULL);
    expect_closed(fds[0]);
    for (size_t i = 1; i < PLACES; i++) {
        send_job(fds[i]);
        expect_answer(fds[i], 202, NULL);
    }
    close(late);
    for (size_t i = 1; i < PLACES; i++)
        close(fds[i]);
    tear_down(&f);
}

static void slow_clients_do_not_keep_others_out(void **state)
{
    struct fixture f;
    int fds[PLACES], slow[50];

    (void)state;
    fill_places(&f, fds);
    for (size_t i = 0; i < 50; i++) {
        slow[i] = connect_client(&f.server);
        send_text(slow[i], "POST /webhook HT");
        int fd = connect_client(&f.server);
        send_job(fd);
        expect_answer(fd, 202, NULL);
        close(fd);
    }
    for (size_t i = 0; i < 50; i++)
        close(slow[i]);
    for (size_t i = 1; i < PLACES; i++)
        close(fds[i]);
    tear_down(&f);
}

static void who_is_owed_an_answer_keeps_the_place_until_it_is_given(void **state)
{
    struct fixture f;
    int fds[PLACES];

    (void)state;
    fill_places(&f, fds);
    fake_engine_reset(ENGINE_ACCEPTED, true);
    for (size_t i = 0; i < PLACES; i++)
        send_job(fds[i]);
    fake_engine_wait_for(PLACES);
    int late = connect_client(&f.server); // in the backlog
    send_text(late, "GET /health HTTP/1.1\r\nHost: x\r\n\r\n");
    expect_silence(late);
    fake_engine_finish(ENGINE_ACCEPTED);
    expect_answer(late, 200, NULL); // it gets the place of the one that is idle now
    for (size_t i = 1; i < PLACES; i++)
        fake_engine_finish(ENGINE_ACCEPTED);
    for (size_t i = 0; i < PLACES; i++)
        expect_answer(fds[i], 202, NULL);
    for (size_t i = 1; i < PLACES; i++)
        close(fds[i]);
    close(late);
    tear_down(&f);
}

static void an_address_has_its_share_of_places(void **state)
{
    struct ingress_options options = server_options();
    struct ingress_counters counters;
    struct fixture f;

    (void)state;
    options.max_connections_per_address = 2;
    set_up_with(&f, options);
    int second = connect_client(&f.server);
    send_job(second);
    expect_answer(second, 202, NULL);
    int third = connect_client(&f.server); // f.fd, which has asked for nothing, makes room
    send_job(third);
    expect_answer(third, 202, NULL);
    expect_closed(f.fd);
    fake_engine_reset(ENGINE_ACCEPTED, true);
    send_job(second);
    send_job(third);
    fake_engine_wait_for(2);
    int fourth = connect_client(&f.server); // both are at work: there is no room
    expect_closed(fourth);
    ingress_read_counters(f.server.ingress, &counters);
    assert_int_equal(counters.crowded, 1);
    fake_engine_finish(ENGINE_ACCEPTED);
    fake_engine_finish(ENGINE_ACCEPTED);
    expect_answer(second, 202, NULL);
    expect_answer(third, 202, NULL);
    close(fourth);
    close(third);
    close(second);
    tear_down(&f);
}

static void an_idle_connection_is_closed_in_silence(void **state)
{
    struct ingress_options options = server_options();
    struct fixture f;

    (void)state;
    options.idle_deadline = 30 * NS_PER_MS;
    set_up_with(&f, options);
    expect_closed(f.fd); // before a first request
    close(f.fd);
    f.fd = connect_client(&f.server);
    send_text(f.fd, "\r\n"); // an empty line begins none
    expect_closed(f.fd);
    close(f.fd);
    f.fd = connect_client(&f.server);
    send_job(f.fd);
    expect_answer(f.fd, 202, NULL);
    expect_closed(f.fd); // after one
    tear_down(&f);
}

static void the_engines_time_is_not_the_clients(void **state)
{
    struct ingress_options options = server_options();
    struct fixture f;

    (void)state;
    options.request_deadline = 10 * NS_PER_MS;
    options.idle_deadline = 10 * NS_PER_MS;
    set_up_with(&f, options);
    fake_engine_reset(ENGINE_ACCEPTED, true);
    send_job(f.fd);
    fake_engine_wait_for(1);
    expect_silence(f.fd);
    fake_engine_finish(ENGINE_ACCEPTED);
    expect_answer(f.fd, 202, NULL);
    tear_down(&f);
}

// --- memory ---------------------------------------------------------------------------------------

static void refused_memory_costs_one_answer_and_not_the_server(void **state)
{
    struct fixture f;
    int outcomes[600] = {0};

    (void)state;
    set_up(&f);
    send_job(f.fd); // this one has all that it needs
    expect_answer(f.fd, 202, NULL);
    for (long round = 0; round < 60; round++) {
        char *request = signed_request("workflow_job", JSON_TYPE, JOB);
        int fd = connect_to(ingress_address(f.server.ingress));
        if (round % 2 == 0)
            usleep(2000); // is accepted: the fault strikes the request
        memory_fail_after(round / 2);
        send_text(fd, request);
        char head[16] = "";
        ssize_t len = recv(fd, head, sizeof head - 1, MSG_WAITALL);
        memory_fail_after(-1);
        int status = len == sizeof head - 1 ? (int)strtol(head + 9, NULL, 10) : 0;
        // Refused, closed without a word, or not hit.
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
        cmocka_unit_test(a_request_may_come_byte_by_byte),
        cmocka_unit_test(many_requests_use_one_connection),
        cmocka_unit_test(pipelined_requests_are_answered_in_order),
        cmocka_unit_test(the_next_request_waits_for_the_engine),
        cmocka_unit_test(a_client_that_leaves_does_not_take_the_engines_memory_along),
        cmocka_unit_test(a_request_that_is_cut_off_is_not_handed_on),
        cmocka_unit_test(connection_close_and_http_1_0_end_the_connection),
        cmocka_unit_test(a_refusal_without_a_body_to_come_keeps_the_connection),
        cmocka_unit_test(a_refusal_with_a_body_to_come_ends_it),
        cmocka_unit_test(malformed_requests_are_answered_and_end_the_connection),
        cmocka_unit_test(bodies_up_to_the_cap_are_taken_and_beyond_are_refused),
        cmocka_unit_test(chunked_bodies_are_put_together),
        cmocka_unit_test(chunked_bodies_beyond_the_cap_are_refused),
        cmocka_unit_test(a_body_that_is_announced_and_not_sent_takes_no_memory),
        cmocka_unit_test(large_bodies_have_a_share_of_memory_and_small_ones_need_none),
        cmocka_unit_test(leave_to_send_the_body_is_given),
        cmocka_unit_test(leave_is_not_given_to_what_would_be_refused),
        cmocka_unit_test(a_request_that_trickles_is_ended_with_408),
        cmocka_unit_test(a_head_that_trickles_has_less_time_than_a_body),
        cmocka_unit_test(the_heads_time_is_part_of_the_whole_requests),
        cmocka_unit_test(the_longest_without_a_head_makes_room),
        cmocka_unit_test(slow_clients_do_not_keep_others_out),
        cmocka_unit_test(who_is_owed_an_answer_keeps_the_place_until_it_is_given),
        cmocka_unit_test(an_address_has_its_share_of_places),
        cmocka_unit_test(an_idle_connection_is_closed_in_silence),
        cmocka_unit_test(the_engines_time_is_not_the_clients),
        cmocka_unit_test(refused_memory_costs_one_answer_and_not_the_server),
    };
    log_configure(LOG_ERROR, LOG_FORMAT_TEXT);
    alarm(120);
    return cmocka_run_group_tests_name("ingress/conversation", tests, NULL, NULL);
}
