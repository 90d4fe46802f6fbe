// Slow requests, and more clients than places.
#include "fixture.h"

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
    usleep(150000); // the head's time is over, and the head is complete
    send_text(f.fd, request + head_len);
    expect_answer(f.fd, 202, NULL);
    free(request);
    tear_down(&f);
}

static void the_time_for_the_head_is_part_of_that_for_the_request(void **state)
{
    struct ingress_options options = server_options();
    char *request = signed_request("workflow_job", JSON_TYPE, JOB);
    struct fixture f;

    (void)state;
    options.request_deadline = 60 * NS_PER_MS;
    set_up_with(&f, options);
    send_bytes(f.fd, request, 10); // the head is not complete in the shorter time
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

static void send_head(int fd, size_t length)
{
    char head[512];

    (void)snprintf(head, sizeof head,
                   "POST /webhook HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                   "X-GitHub-Event: ping\r\nX-GitHub-Delivery: " GUID "\r\n"
                   "X-Hub-Signature-256: sha256=%064d\r\nContent-Length: %zu\r\n\r\n",
                   0, length);
    send_text(fd, head);
}

static void a_body_that_arrives_too_slowly_is_ended_with_408(void **state)
{
    struct ingress_options options = server_options();
    static const char kept[8192];
    struct fixture f;

    (void)state;
    options.body_grace = 50 * NS_PER_MS;
    set_up_with(&f, options);
    send_head(f.fd, 100000); // and no body
    timestamp_ns begun = timestamp_monotonic();
    expect_answer(f.fd, 408, "{\"error\":\"the body arrived too slowly\"}\n");
    expect_closed(f.fd);
    assert_true(timestamp_monotonic() - begun < 20 * NS_PER_SECOND);
    close(f.fd);
    f.fd = connect_client(&f.server);
    send_head(f.fd, 100000);
    begun = timestamp_monotonic();
    send_bytes(f.fd, kept, sizeof kept); // at once, and then no more: enough for two seconds
    expect_answer(f.fd, 408, NULL);
    assert_true(timestamp_monotonic() - begun > 1900 * NS_PER_MS);
    tear_down(&f);
}

static void the_rate_of_a_chunked_body_counts_only_its_data(void **state)
{
    struct ingress_options options = server_options();
    struct fixture f;

    (void)state;
    options.body_grace = 100 * NS_PER_MS;
    set_up_with(&f, options);
    send_text(f.fd,
              "POST /webhook HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
              "X-Hub-Signature-256: sha256=0000000000000000000000000000000000000000000000000000"
              "000000000000\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < 5000; i++) { // some 40 bytes of framing for each byte of the body
        char byte;
        if (recv(f.fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK) == 1)
            break;
        (void)send(f.fd, "1;a=bcdefghijklmnopqrstuvwxyz0123456\r\n[\r\n", 41, MSG_NOSIGNAL);
        usleep(1000);
    }
    expect_answer(f.fd, 408, NULL);
    tear_down(&f);
}

static void a_body_at_a_sufficient_rate_has_the_time_of_the_whole_request(void **state)
{
    struct ingress_options options = server_options();
    char *request = signed_request("workflow_job", JSON_TYPE, JOB);
    size_t head_len = (size_t)(strstr(request, "\r\n\r\n") + 4 - request);
    struct fixture f;

    (void)state;
    options.body_grace = 10 * NS_PER_MS; // its 290 bytes are worth 70 ms
    set_up_with(&f, options);
    send_bytes(f.fd, request, head_len + 200);
    usleep(25000);
    send_text(f.fd, request + head_len + 200);
    expect_answer(f.fd, 202, NULL);
    free(request);
    tear_down(&f);
}

// --- clients that do not read ---------------------------------------------------------------------

#define HEALTH "GET /health HTTP/1.1\r\nHost: x\r\n\r\n"
#define HEALTHS 60000 // 2 MB, answered with some 10 MB

// Sends until the server takes no more for a while. Returns how many bytes it has taken.
static size_t send_until_stuck(int fd, size_t requests)
{
    size_t len = requests * strlen(HEALTH), sent = 0;
    char *data = malloc(len);

    assert_non_null(data);
    for (size_t i = 0; i < requests; i++)
        memcpy(data + i * strlen(HEALTH), HEALTH, strlen(HEALTH));
    for (int patience = 0; sent < len && patience < 300; patience++) {
        ssize_t now = send(fd, data + sent, len - sent, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (now < 0 && errno != EAGAIN)
            break;
        if (now > 0) {
            sent += (size_t)now;
            patience = 0;
        }
        usleep(1000);
    }
    free(data);
    return sent;
}

// In place of the fixture's, a client whose socket holds little.
static void connect_with_small_buffers(struct fixture *f)
{
    const struct net_address *address = ingress_address(f->server.ingress);
    struct timeval patience = {.tv_sec = 20};
    // Less than two of loopback's large segments would make the kernel wait for its timers.
    int receive = 131072, size = 8192;

    close(f->fd);
    f->fd = socket(address->storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(setsockopt(f->fd, SOL_SOCKET, SO_RCVBUF, &receive, sizeof receive), 0);
    assert_int_equal(setsockopt(f->fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof size), 0);
    assert_int_equal(setsockopt(f->fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience), 0);
    assert_int_equal(connect(f->fd, (const struct sockaddr *)&address->storage, address->len), 0);
}

// Counts the responses that begin in the received data until there are `most`, or the end; more if they arrive in one
// piece. `matched`
// is kept from call to call.
static size_t count_answers(int fd, size_t most, size_t *matched)
{
    static const char mark[] = "HTTP/1.1 200 ";
    size_t count = 0;
    char data[16384];
    ssize_t len;

    while (count < most && (len = recv(fd, data, sizeof data, 0)) > 0)
        for (ssize_t i = 0; i < len; i++) {
            *matched = data[i] == mark[*matched] ? *matched + 1 : data[i] == mark[0];
            if (mark[*matched] == '\0') {
                count++;
                *matched = 0;
            }
        }
    return count;
}

static void expect_answers(int fd, size_t count)
{
    size_t matched = 0;

    assert_int_equal(count_answers(fd, count, &matched), count);
}

static void requests_behind_unread_responses_wait_and_are_all_answered(void **state)
{
    struct fixture f;

    (void)state;
    set_up(&f);
    connect_with_small_buffers(&f);
    size_t sent = send_until_stuck(f.fd, HEALTHS);
    assert_true(sent < HEALTHS * strlen(HEALTH));
    size_t handled = counters_of(&f).requests;
    usleep(20000);
    assert_int_equal(counters_of(&f).requests, handled); // there is no progress
    assert_true(handled < sent / strlen(HEALTH));
    size_t whole = sent / strlen(HEALTH);
    expect_answers(f.fd, whole);
    tear_down(&f);
}

static void a_client_that_reads_nothing_is_eventually_closed(void **state)
{
    struct ingress_options options = server_options();
    struct fixture f;

    (void)state;
    options.output_deadline = 50 * NS_PER_MS;
    set_up_with(&f, options);
    connect_with_small_buffers(&f);
    (void)send_until_stuck(f.fd, HEALTHS);
    for (int i = 0; i < 10000 && counters_of(&f).connections > 0; i++)
        usleep(1000);
    assert_int_equal(counters_of(&f).connections, 0);
    tear_down(&f);
}

static void a_client_that_reads_slowly_is_not_closed(void **state)
{
    struct ingress_options options = server_options();
    struct fixture f;

    (void)state;
    options.output_deadline = 3 * NS_PER_SECOND; // a busy machine may pause the reader for a second
    set_up_with(&f, options);
    connect_with_small_buffers(&f);
    size_t whole = send_until_stuck(f.fd, HEALTHS) / strlen(HEALTH);
    size_t count = 0, matched = 0, more = 1;
    while (count < whole && more > 0) { // a hundred pieces: for longer than the deadline
        more = count_answers(f.fd, 1, &matched);
        count += more;
        usleep(50000);
    }
    assert_int_equal(count, whole);
    tear_down(&f);
}

static void a_client_that_shuts_down_its_side_gets_all_its_responses(void **state)
{
    struct fixture f;

    (void)state;
    set_up(&f);
    connect_with_small_buffers(&f);
    size_t whole = send_until_stuck(f.fd, HEALTHS) / strlen(HEALTH);
    shutdown(f.fd, SHUT_WR);
    expect_answers(f.fd, whole);
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

static void the_connection_that_waited_longest_for_a_head_is_evicted(void **state)
{
    struct fixture f;
    int fds[PLACES];

    (void)state;
    fill_places(&f, fds);
    send_text(fds[0], "POST /webhook HTTP/1.1\r\nHost: x\r\n");
    for (size_t i = 1; i < PLACES; i++) { // these have sent something since
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

static void slow_clients_do_not_block_others(void **state)
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

static void a_connection_is_not_evicted_until_its_response_is_sent(void **state)
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

static void a_client_that_reads_nothing_is_evicted(void **state)
{
    struct ingress_options options = server_options();
    struct fixture f;
    int others[2];

    (void)state;
    options.max_connections = 2;
    set_up_with(&f, options);
    connect_with_small_buffers(&f);
    (void)send_until_stuck(f.fd, HEALTHS);
    fake_engine_reset(ENGINE_ACCEPTED, true);
    for (int i = 0; i < 2; i++) {
        others[i] = connect_client(&f.server); // the second one is in the backlog for a while
        send_job(others[i]);
    }
    fake_engine_wait_for(2);
    fake_engine_finish(ENGINE_ACCEPTED);
    fake_engine_finish(ENGINE_ACCEPTED);
    for (int i = 0; i < 2; i++) {
        expect_answer(others[i], 202, NULL);
        close(others[i]);
    }
    tear_down(&f);
}

// All wait for bodies: no new connection is accepted before they are a second old.
static void connections_with_stalled_bodies_are_evicted_after_a_second(void **state)
{
    struct fixture f;
    int fds[PLACES];

    (void)state;
    fill_places(&f, fds);
    for (size_t i = 0; i < PLACES; i++)
        send_head(fds[i], 1000);
    send_text(fds[2], "[");
    for (int round = 0; round < 2; round++) {
        int late = connect_client(&f.server);
        send_job(late);
        expect_answer(late, 202, NULL);
        close(late);
    }
    char byte;
    assert_int_equal(recv(fds[2], &byte, 1, MSG_DONTWAIT), -1); // not the slowest
    for (size_t i = 0; i < PLACES; i++)
        close(fds[i]);
    tear_down(&f);
}

static void the_connections_of_an_address_are_limited(void **state)
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
    int third = connect_client(&f.server); // f.fd, which has sent no request, is closed
    send_job(third);
    expect_answer(third, 202, NULL);
    expect_closed(f.fd);
    fake_engine_reset(ENGINE_ACCEPTED, true);
    send_job(second);
    send_job(third);
    fake_engine_wait_for(2);
    int fourth = connect_client(&f.server); // both have pending requests: there is no room
    expect_closed(fourth);
    ingress_read_counters(f.server.ingress, &counters);
    assert_int_equal(counters.rejected_per_address, 1);
    fake_engine_finish(ENGINE_ACCEPTED);
    fake_engine_finish(ENGINE_ACCEPTED);
    expect_answer(second, 202, NULL);
    expect_answer(third, 202, NULL);
    close(fourth);
    close(third);
    close(second);
    tear_down(&f);
}

static void an_idle_connection_is_closed_without_a_response(void **state)
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

static void the_engines_time_does_not_count_against_the_client(void **state)
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_that_trickles_is_ended_with_408),
        cmocka_unit_test(a_head_that_trickles_has_less_time_than_a_body),
        cmocka_unit_test(the_time_for_the_head_is_part_of_that_for_the_request),
        cmocka_unit_test(a_body_that_arrives_too_slowly_is_ended_with_408),
        cmocka_unit_test(the_rate_of_a_chunked_body_counts_only_its_data),
        cmocka_unit_test(a_body_at_a_sufficient_rate_has_the_time_of_the_whole_request),
        cmocka_unit_test(requests_behind_unread_responses_wait_and_are_all_answered),
        cmocka_unit_test(a_client_that_reads_nothing_is_eventually_closed),
        cmocka_unit_test(a_client_that_reads_slowly_is_not_closed),
        cmocka_unit_test(a_client_that_shuts_down_its_side_gets_all_its_responses),
        cmocka_unit_test(the_connection_that_waited_longest_for_a_head_is_evicted),
        cmocka_unit_test(slow_clients_do_not_block_others),
        cmocka_unit_test(a_connection_is_not_evicted_until_its_response_is_sent),
        cmocka_unit_test(a_client_that_reads_nothing_is_evicted),
        cmocka_unit_test(connections_with_stalled_bodies_are_evicted_after_a_second),
        cmocka_unit_test(the_connections_of_an_address_are_limited),
        cmocka_unit_test(an_idle_connection_is_closed_without_a_response),
        cmocka_unit_test(the_engines_time_does_not_count_against_the_client),
    };
    log_configure(LOG_ERROR, LOG_FORMAT_TEXT);
    alarm(120);
    return cmocka_run_group_tests_name("ingress/conversation_deadlines", tests, NULL, NULL);
}
