// Requests that take their time, and more clients than there are places.
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_that_trickles_is_ended_with_408),
        cmocka_unit_test(a_head_that_trickles_has_less_time_than_a_body),
        cmocka_unit_test(the_heads_time_is_part_of_the_whole_requests),
        cmocka_unit_test(the_longest_without_a_head_makes_room),
        cmocka_unit_test(slow_clients_do_not_keep_others_out),
        cmocka_unit_test(who_is_owed_an_answer_keeps_the_place_until_it_is_given),
        cmocka_unit_test(an_address_has_its_share_of_places),
        cmocka_unit_test(an_idle_connection_is_closed_in_silence),
        cmocka_unit_test(the_engines_time_is_not_the_clients),
    };
    log_configure(LOG_ERROR, LOG_FORMAT_TEXT);
    alarm(120);
    return cmocka_run_group_tests_name("ingress/conversation_deadlines", tests, NULL, NULL);
}
