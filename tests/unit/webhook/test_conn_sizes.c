// Requests of every size, and 100 Continue.
#include "fixture.h"

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

static void bodies_up_to_the_cap_are_accepted_and_larger_ones_refused(void **state)
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

static void chunked_bodies_are_assembled(void **state)
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

static void a_body_that_is_announced_but_not_sent_uses_no_memory(void **state)
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

static void large_bodies_share_limited_memory_and_small_ones_need_none(void **state)
{
    struct ingress_options options = server_options();
    char *body = large_job(options.max_payload_bytes);
    char *request = signed_request("workflow_job", JSON_TYPE, body);
    size_t len = strlen(request);
    struct fixture f;
    int fds[2];

    (void)state;
    set_up(&f);
    for (int i = 0; i < 2; i++) { // two large ones stop before their last byte
        fds[i] = connect_client(&f.server);
        send_bytes(fds[i], request, len - 1);
    }
    usleep(20000);
    send_text(f.fd, request);
    expect_answer(f.fd, 503, NULL);
    expect_closed(f.fd);
    close(f.fd);
    f.fd = connect_client(&f.server);
    send_chunked_head(f.fd, body,
                      options.max_payload_bytes); // shows its size only while it is received
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
    send_text(f.fd, request); // their shares are free again, though their connections are open
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

static void a_100_continue_is_sent(void **state)
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

static void no_100_continue_is_sent_if_the_request_will_be_refused(void **state)
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bodies_up_to_the_cap_are_accepted_and_larger_ones_refused),
        cmocka_unit_test(chunked_bodies_are_assembled),
        cmocka_unit_test(chunked_bodies_beyond_the_cap_are_refused),
        cmocka_unit_test(a_body_that_is_announced_but_not_sent_uses_no_memory),
        cmocka_unit_test(large_bodies_share_limited_memory_and_small_ones_need_none),
        cmocka_unit_test(a_100_continue_is_sent),
        cmocka_unit_test(no_100_continue_is_sent_if_the_request_will_be_refused),
    };
    log_configure(LOG_ERROR, LOG_FORMAT_TEXT);
    alarm(120);
    return cmocka_run_group_tests_name("ingress/conversation_sizes", tests, NULL, NULL);
}
