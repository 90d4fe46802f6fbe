// Starting, sharing a port among threads, stopping.
#include "client.h"

#include <netinet/in.h>

#include "ghatrace/base/log.h"
#include "ghatrace/base/memory.h"

static void several_threads_share_one_port(void **state)
{
    struct ingress_options options = server_options();
    struct ingress_counters counters;
    struct server server;
    int fds[16];

    (void)state;
    fake_engine_reset(ENGINE_ACCEPTED, false);
    options.threads = 3;
    options.max_connections = 60;
    server_start(&server, options);
    for (int i = 0; i < 16; i++)
        fds[i] = connect_client(&server);
    for (int i = 0; i < 16; i++)
        send_job(fds[i]);
    for (int i = 0; i < 16; i++) {
        expect_answer(fds[i], 202, NULL);
        close(fds[i]);
    }
    ingress_read_counters(server.ingress, &counters);
    assert_int_equal(counters.requests, 16);
    assert_int_equal(counters.deliveries[GITHUB_EVENT_JOB][INGRESS_ACCEPTED], 16);
    server_end(&server);
}

static void a_port_in_use_is_refused(void **state)
{
    struct ingress_options options = server_options();
    struct ingress *second = NULL;
    struct server server;
    struct error error = {.code = ERROR_NONE};

    (void)state;
    server_start(&server, options);
    options.listen = *ingress_address(server.ingress);
    options.secrets = server.secrets;
    for (options.threads = 1; options.threads < 4; options.threads++) {
        assert_int_equal(ingress_start(NULL, &options, &second, &error), ERROR_BUSY);
        assert_non_null(strstr(error.message, "127.0.0.1:"));
    }
    server_end(&server);
}

static void any_refused_allocation_at_the_start_is_an_error(void **state)
{
    struct ingress_options options = server_options();
    int failures = 0;

    (void)state;
    options.threads = 2;
    assert_int_equal(ingress_secrets_create(&options.secrets, &(struct error){0}), ERROR_NONE);
    for (long skip = 0;; skip++) {
        struct ingress *ingress = NULL;
        struct error error = {.code = ERROR_NONE};
        memory_fail_after(skip);
        enum error_code code = ingress_start(NULL, &options, &ingress, &error);
        bool is_past_the_last = memory_count_allocations() <= skip;
        memory_fail_after(-1);
        if (code == ERROR_NONE)
            ingress_destroy(ingress); // stops it as well
        else
            assert_int_equal(code, ERROR_MEMORY);
        failures += code != ERROR_NONE;
        if (is_past_the_last)
            break;
    }
    assert_true(failures > 10);
    ingress_secrets_destroy(options.secrets);
}

struct stopping {
    struct server server;
    pthread_t thread;
    duration_ns grace;
};

static void *stop_server(void *context)
{
    struct stopping *stopping = context;

    ingress_stop(stopping->server.ingress, stopping->grace);
    return NULL;
}

static void begin_stop(struct stopping *stopping, duration_ns grace)
{
    stopping->grace = grace;
    assert_int_equal(pthread_create(&stopping->thread, NULL, stop_server, stopping), 0);
}

static void end_stop(struct stopping *stopping)
{
    assert_int_equal(pthread_join(stopping->thread, NULL), 0);
    ingress_destroy(stopping->server.ingress);
    ingress_secrets_destroy(stopping->server.secrets);
}

static void stopping_closes_idle_connections_and_completes_the_others(void **state)
{
    struct stopping stopping;

    (void)state;
    fake_engine_reset(ENGINE_ACCEPTED, true);
    server_start(&stopping.server, server_options());
    int idle = connect_client(&stopping.server);
    int half = connect_client(&stopping.server);
    int pending = connect_client(&stopping.server);
    char *request = signed_request("ping", JSON_TYPE, "{}");
    send_bytes(half, request, strlen(request) - 1);
    send_job(pending);
    fake_engine_wait_for(1);

    begin_stop(&stopping, 30 * NS_PER_SECOND);
    expect_closed(idle); // within a second or so
    send_text(half, request + strlen(request) - 1);
    struct response response = receive_response(half, true);
    assert_int_equal(response.status, 200);
    assert_false(response.keep_alive);
    expect_closed(half);
    close(half);
    fake_engine_finish(ENGINE_ACCEPTED);
    response = receive_response(pending, true);
    assert_int_equal(response.status, 202);
    assert_false(response.keep_alive);
    expect_closed(pending);
    close(pending);
    end_stop(&stopping);
    close(idle);
    free(request);
}

static void while_winding_down_requests_are_served_with_connection_close(void **state)
{
    struct stopping stopping;

    (void)state;
    fake_engine_reset(ENGINE_ACCEPTED, false);
    server_start(&stopping.server, server_options());
    int kept = connect_client(&stopping.server);
    send_job(kept);
    assert_true(receive_response(kept, true).keep_alive);
    ingress_wind_down(stopping.server.ingress);
    usleep(20000);  // it arrives
    send_job(kept); // in transit when the stop began
    struct response response = receive_response(kept, true);
    assert_int_equal(response.status, 202);
    assert_false(response.keep_alive);
    expect_closed(kept);
    int late = connect_client(&stopping.server);
    send_job(late);
    response = receive_response(late, true);
    assert_int_equal(response.status, 202);
    assert_false(response.keep_alive);
    begin_stop(&stopping, 30 * NS_PER_SECOND);
    end_stop(&stopping);
    close(kept);
    close(late);
}

// The one place is taken by a request that is not done, so that the others wait in the queue.
static void queued_connections_are_served_before_the_listener_closes(void **state)
{
    struct ingress_options options = server_options();
    struct stopping stopping;
    int queued[8];

    (void)state;
    fake_engine_reset(ENGINE_ACCEPTED, true);
    options.max_connections = 1;
    server_start(&stopping.server, options);
    int first = connect_client(&stopping.server);
    send_job(first);
    fake_engine_wait_for(1);
    for (int i = 0; i < 8; i++) {
        queued[i] = connect_client(&stopping.server);
        send_delivery(queued[i], "ping", JSON_TYPE, "{}");
    }
    begin_stop(&stopping, 30 * NS_PER_SECOND);
    for (int i = 0; i < 8; i++) {
        struct response response = receive_response(queued[i], true);
        assert_int_equal(response.status, 200);
        assert_false(response.keep_alive);
        close(queued[i]);
    }
    fake_engine_finish(ENGINE_ACCEPTED);
    assert_int_equal(receive_response(first, true).status, 202);
    close(first);
    end_stop(&stopping);
}

static void connections_queued_on_an_adopted_socket_are_served_by_the_next_server(void **state)
{
    struct ingress_options options = server_options();
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    struct server server;
    int fds[8];

    (void)state;
    fake_engine_reset(ENGINE_ACCEPTED, false);
    options.listen_socket = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    options.threads = 3;
    options.max_connections = 60;
    assert_int_equal(bind(options.listen_socket, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(options.listen_socket, 50), 0);
    server_start(&server, options);
    const struct net_address bound = *ingress_address(server.ingress);
    assert_int_not_equal(((const struct sockaddr_in *)&bound.storage)->sin_port, 0);
    int first = connect_to(&bound);
    send_job(first);
    expect_answer(first, 202, NULL);
    close(first);
    server_end(&server);
    for (int i = 0; i < 8; i++) {
        fds[i] = connect_to(&bound);
        send_job(fds[i]);
    }
    server_start(&server, options);
    for (int i = 0; i < 8; i++) {
        expect_answer(fds[i], 202, NULL);
        close(fds[i]);
    }
    server_end(&server);
    close(options.listen_socket);
}

static void requests_pipelined_behind_the_last_response_are_not_processed(void **state)
{
    struct stopping stopping;

    (void)state;
    fake_engine_reset(ENGINE_ACCEPTED, true);
    server_start(&stopping.server, server_options());
    int fd = connect_client(&stopping.server);
    send_job(fd);
    send_job(fd);
    fake_engine_wait_for(1);
    begin_stop(&stopping, 30 * NS_PER_SECOND);
    usleep(20000); // the stop arrives
    fake_engine_finish(ENGINE_ACCEPTED);
    assert_false(receive_response(fd, true).keep_alive);
    expect_closed(fd);
    close(fd);
    end_stop(&stopping);
    assert_int_equal(fake.submitted, 1);
}

static void after_the_grace_connections_are_closed_but_the_engine_finishes_first(void **state)
{
    struct stopping stopping;

    (void)state;
    fake_engine_reset(ENGINE_ACCEPTED, true);
    server_start(&stopping.server, server_options());
    int slow = connect_client(&stopping.server);
    int pending = connect_client(&stopping.server);
    send_text(slow, "GET /health HTT");
    send_job(pending);
    fake_engine_wait_for(1);
    usleep(10000); // the half request arrives
    begin_stop(&stopping, 50 * NS_PER_MS);
    char byte;
    assert_true(recv(slow, &byte, 1, 0) <= 0);
    assert_true(recv(pending, &byte, 1, 0) <= 0);
    fake_engine_finish(ENGINE_ACCEPTED); // reads the event: it must still be there
    end_stop(&stopping);
    close(slow);
    close(pending);
}

static void a_stopped_server_does_not_listen(void **state)
{
    struct server server;

    (void)state;
    server_start(&server, server_options());
    ingress_stop(server.ingress, 0);
    ingress_stop(server.ingress, 0);
    const struct net_address *address = ingress_address(server.ingress);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&address->storage, address->len), -1);
    assert_int_equal(errno, ECONNREFUSED);
    close(fd);
    server_end(&server);
}

static void while_a_thread_hangs_the_server_is_not_ready(void **state)
{
    struct ingress_options options = server_options();
    struct server server;
    struct error error = {.code = ERROR_NONE};

    (void)state;
    fake_engine_reset(ENGINE_ACCEPTED, false);
    options.stall_limit = 50 * NS_PER_MS;
    server_start(&server, options);
    ingress_watch(server.ingress);
    usleep(100000);
    assert_int_equal(ingress_ready(server.ingress, &error), ERROR_NONE);
    pthread_mutex_lock(&fake.mutex); // what submits now hangs
    int fd = connect_client(&server);
    send_job(fd);
    for (int i = 0; i < 5000 && ingress_ready(server.ingress, &error) == ERROR_NONE; i++) {
        ingress_watch(server.ingress);
        usleep(2000);
    }
    assert_int_equal(ingress_ready(server.ingress, &error), ERROR_BUSY);
    assert_non_null(strstr(error.message, "hangs"));
    pthread_mutex_unlock(&fake.mutex);
    expect_answer(fd, 202, NULL);
    for (int i = 0; i < 5000 && ingress_ready(server.ingress, &error) != ERROR_NONE; i++)
        usleep(2000);
    assert_int_equal(ingress_ready(server.ingress, &error), ERROR_NONE);
    close(fd);
    server_end(&server);
}

static void every_thread_beats_when_it_is_watched(void **state)
{
    struct ingress_options options = server_options();
    struct server server;
    struct heartbeat before[4], after[4];

    (void)state;
    fake_engine_reset(ENGINE_ACCEPTED, false);
    options.threads = 2;
    server_start(&server, options);
    assert_int_equal(ingress_heartbeats(server.ingress, before, 1), 2);
    assert_int_equal(ingress_heartbeats(server.ingress, before, 4), 2);
    assert_string_equal(before[0].thread, "ingress-0");
    assert_string_equal(before[1].thread, "ingress-1");
    for (size_t thread = 0; thread < 2; thread++) {
        after[thread] = before[thread];
        ingress_watch(server.ingress);
        for (int i = 0; i < 5000 && after[thread].beats == before[thread].beats; i++) {
            usleep(2000);
            (void)ingress_heartbeats(server.ingress, after, 4);
        }
        assert_true(after[thread].beats > before[thread].beats);
        assert_false(after[thread].is_committing);
    }
    server_end(&server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_thread_beats_when_it_is_watched),
        cmocka_unit_test(several_threads_share_one_port),
        cmocka_unit_test(a_port_in_use_is_refused),
        cmocka_unit_test(any_refused_allocation_at_the_start_is_an_error),
        cmocka_unit_test(stopping_closes_idle_connections_and_completes_the_others),
        cmocka_unit_test(while_winding_down_requests_are_served_with_connection_close),
        cmocka_unit_test(queued_connections_are_served_before_the_listener_closes),
        cmocka_unit_test(connections_queued_on_an_adopted_socket_are_served_by_the_next_server),
        cmocka_unit_test(requests_pipelined_behind_the_last_response_are_not_processed),
        cmocka_unit_test(after_the_grace_connections_are_closed_but_the_engine_finishes_first),
        cmocka_unit_test(a_stopped_server_does_not_listen),
        cmocka_unit_test(while_a_thread_hangs_the_server_is_not_ready),
    };
    log_configure(LOG_ERROR, LOG_FORMAT_TEXT);
    alarm(60);
    return cmocka_run_group_tests_name("ingress/server", tests, NULL, NULL);
}
