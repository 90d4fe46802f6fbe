// A server all of whose places are taken by clients that send their bodies slowly.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ghatrace/http/server.h"

#define PLACES 4

static struct net_loop *loop;
static struct net_timer *stop;
static struct http_server host;

static bool on_head(struct http_conn *conn, const struct http_head *head)
{
    (void)conn;
    (void)head;
    return true;
}

static void on_request(struct http_conn *conn, const struct http_head *head, struct slice body)
{
    struct http_response answer;

    (void)head;
    (void)body;
    http_response_set(&answer, 200, SLICE("done"));
    http_conn_respond(conn, &answer);
}

static void on_refused(struct http_conn *conn, int status, const char *reason)
{
    (void)conn;
    (void)status;
    (void)reason;
}

static void on_empty(void *context)
{
    (void)context;
}

static const struct http_service service = {
    .on_head = on_head, .on_request = on_request, .on_refused = on_refused};

static void stop_loop(void *context)
{
    net_loop_stop(context);
}

static void run_for(duration_ns time)
{
    net_timer_set(stop, time);
    net_loop_run(loop);
}

static int send_request(const char *request)
{
    const struct net_address *address = net_listener_address(host.listener);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&address->storage, address->len), 0);
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    assert_int_equal(send(fd, request, strlen(request), MSG_NOSIGNAL), (int)strlen(request));
    run_for(5 * NS_PER_MS);
    return fd;
}

static void a_slow_body_is_closed_for_a_new_client_when_all_places_are_taken(void **state)
{
    struct net_address any;
    struct error error;
    int slow[PLACES];
    char answer[1000] = "";

    (void)state;
    assert_int_equal(net_loop_create(&loop, &error), ERROR_NONE);
    assert_int_equal(net_timer_create(loop, stop_loop, loop, &stop, &error), ERROR_NONE);
    host = (struct http_server){.loop = loop,
                                .service = &service,
                                .max_body_bytes = 1000,
                                .request_deadline = NS_PER_HOUR, // which would close them, too
                                .body_grace = NS_PER_HOUR,
                                .on_empty = on_empty};
    http_server_init(&host);
    assert_int_equal(net_address_parse(SLICE("127.0.0.1:0"), &any, &error), ERROR_NONE);
    assert_int_equal(http_server_listen(&host, &any, false, PLACES, &error), ERROR_NONE);
    for (int i = 0; i < PLACES; i++)
        slow[i] = send_request("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 900\r\n\r\nx");
    run_for(EVICTION_AGE);
    int fd = send_request("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    for (int i = 0; i < 2000 && recv(fd, answer, sizeof answer - 1, MSG_PEEK) <= 0; i++)
        run_for(10 * NS_PER_MS);
    assert_int_equal(strncmp(answer, "HTTP/1.1 200 ", 13), 0);
    close(fd);
    for (int i = 0; i < PLACES; i++)
        close(slow[i]);
    http_server_stop(&host);
    http_server_abort(&host);
    run_for(NS_PER_MS);
    assert_true(LIST_EMPTY(&host.conns));
    http_server_release(&host);
    net_timer_destroy(stop);
    net_loop_destroy(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_slow_body_is_closed_for_a_new_client_when_all_places_are_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
