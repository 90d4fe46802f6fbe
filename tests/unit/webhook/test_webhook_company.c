// Which clients may send webhooks, and which ones get delayed responses.
#include "fixture.h"

#include "ghatrace/http/limits.h"

// --- client addresses ----------------------------------------------------------------------------

static struct net_network network_of(const char *text)
{
    struct net_network network;
    struct error error;

    assert_int_equal(net_network_parse(slice_from_string(text), &network, &error), ERROR_NONE);
    return network;
}

static void connections_from_other_networks_are_closed_without_a_response(void **state)
{
    struct net_network other = network_of("192.0.2.0/24"), here = network_of("127.0.0.0/8");
    struct ingress_options options = server_options();
    struct fixture f;

    (void)state;
    options.allow_from = (struct net_network_list){.items = &other, .count = 1};
    set_up_with(&f, options);
    expect_closed(f.fd);
    assert_int_equal(counters_of(&f).rejected_network, 1);
    assert_int_equal(counters_of(&f).requests, 0);
    tear_down(&f);
    options.allow_from.items = &here;
    set_up_with(&f, options);
    send_job(f.fd);
    expect_answer(f.fd, 202, ACCEPTED);
    assert_int_equal(counters_of(&f).rejected_network, 0);
    tear_down(&f);
}

static void send_job_forwarded(int fd, const char *forwarded)
{
    char *request = signed_request("workflow_job", JSON_TYPE, JOB);
    size_t line = (size_t)(strstr(request, "\r\n") + 2 - request);

    send_bytes(fd, request, line);
    send_text(fd, forwarded);
    send_text(fd, request + line);
    free(request);
}

static void behind_a_trusted_proxy_the_client_address_counts(void **state)
{
    static const struct {
        const char *field;
        int status;
    } cases[] = {
        {"X-Forwarded-For: 192.0.2.7\r\n", 202},
        {"X-Forwarded-For: 198.51.100.1\r\n", 403},
        {"X-Forwarded-For: 192.0.2.7, 198.51.100.1\r\n", 403},
        {"X-Forwarded-For: 198.51.100.1, 192.0.2.7, 127.0.0.9\r\n", 202},
        {"X-Forwarded-For: 192.0.2.7\r\nX-Forwarded-For: 198.51.100.1\r\n", 403},
        {"X-Forwarded-For: 192.0.2.7, nobody\r\n", 403},
        {"X-Forwarded-For: ::ffff:192.0.2.7\r\n", 202},
        {"", 403}, // the proxy itself is not allowed to send webhooks
    };
    struct net_network allowed = network_of("192.0.2.0/24"), proxies = network_of("127.0.0.0/8");
    struct ingress_options options = server_options();

    (void)state;
    options.allow_from = (struct net_network_list){.items = &allowed, .count = 1};
    options.trusted_proxies = (struct net_network_list){.items = &proxies, .count = 1};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct fixture f;
        set_up_with(&f, options);
        send_text(f.fd, "GET /health HTTP/1.1\r\nHost: x\r\n\r\n"); // the proxy's own request
        expect_answer(f.fd, 200, NULL);
        send_job_forwarded(f.fd, cases[i].field);
        struct response response = receive_response(f.fd, true);
        if (response.status != cases[i].status)
            fail_msg("%s: %d", cases[i].field, response.status);
        assert_int_equal(counters_of(&f).rejected_network, 0);
        tear_down(&f);
    }
}

static void forwarded_fields_from_other_peers_than_trusted_proxies_are_ignored(void **state)
{
    struct net_network here = network_of("127.0.0.0/8"), elsewhere = network_of("10.0.0.0/8");
    struct ingress_options options = server_options();
    struct fixture f;

    (void)state;
    options.allow_from = (struct net_network_list){.items = &here, .count = 1};
    options.trusted_proxies = (struct net_network_list){.items = &elsewhere, .count = 1};
    set_up_with(&f, options);
    send_job_forwarded(f.fd, "X-Forwarded-For: 198.51.100.1\r\n");
    expect_answer(f.fd, 202, ACCEPTED);
    tear_down(&f);
    options.allow_from.items = &elsewhere;
    set_up_with(&f, options);
    expect_closed(f.fd); // whatever it would have responded
    tear_down(&f);
}

static void fail_until_delayed(struct fixture *f)
{
    server_set_secrets(&f->server, "another", NULL);
    for (int i = 0; i < FAILURES_FREE; i++) {
        send_job(f->fd);
        assert_int_equal(receive_response(f->fd, true).status, 401);
    }
    send_job(f->fd);
    while (counters_of(f).delayed_401 == 0)
        usleep(1000);
}

static void repeated_failures_are_delayed_and_valid_signatures_are_not(void **state)
{
    struct fixture f;
    char byte;

    (void)state;
    set_up(&f);
    fail_until_delayed(&f);
    server_set_secrets(&f.server, SECRET, NULL);
    int other = connect_client(&f.server); // from the same address
    send_job(other);
    assert_int_equal(receive_response(other, true).status, 202);
    assert_int_equal(recv(f.fd, &byte, 1, MSG_DONTWAIT), -1);
    ingress_stop(f.server.ingress, NS_PER_SECOND); // sends the delayed response
    struct response response = receive_response(f.fd, true);
    assert_int_equal(response.status, 401);
    assert_false(response.keep_alive);
    assert_int_equal(counters_of(&f).refusals[HTTP_BAD_CREDENTIALS], FAILURES_FREE + 1);
    close(other);
    tear_down(&f);
}

static void a_delayed_response_is_sent_in_the_end(void **state)
{
    struct fixture f;

    (void)state;
    set_up(&f);
    fail_until_delayed(&f);
    send_job(f.fd); // is not processed
    struct response response = receive_response(f.fd, true);
    assert_int_equal(response.status, 401);
    assert_non_null(strstr(response.body, "not for the first time"));
    expect_closed(f.fd);
    assert_int_equal(counters_of(&f).requests, FAILURES_FREE + 1);
    tear_down(&f);
}

static void connections_with_a_delayed_response_are_evicted_first(void **state)
{
    struct ingress_options options = server_options();
    struct fixture f;
    int others[2];

    (void)state;
    options.max_connections = 2;
    set_up_with(&f, options);
    fail_until_delayed(&f);
    server_set_secrets(&f.server, SECRET, NULL);
    for (int i = 0; i < 2; i++) {
        others[i] = connect_client(&f.server);
        send_job(others[i]);
        assert_int_equal(receive_response(others[i], true).status, 202);
    }
    expect_closed(f.fd);
    close(others[0]);
    close(others[1]);
    tear_down(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(connections_from_other_networks_are_closed_without_a_response),
        cmocka_unit_test(behind_a_trusted_proxy_the_client_address_counts),
        cmocka_unit_test(forwarded_fields_from_other_peers_than_trusted_proxies_are_ignored),
        cmocka_unit_test(repeated_failures_are_delayed_and_valid_signatures_are_not),
        cmocka_unit_test(a_delayed_response_is_sent_in_the_end),
        cmocka_unit_test(connections_with_a_delayed_response_are_evicted_first),
    };
    log_configure(LOG_ERROR, LOG_FORMAT_TEXT);
    alarm(60);
    return cmocka_run_group_tests_name("ingress/webhook_company", tests, NULL, NULL);
}
