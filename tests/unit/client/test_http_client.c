// The HTTP client against servers by script: responses, limits, ends of every kind, renewed connections.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../export/fake_collector.h"
#include "ghatrace/base/memory.h"
#include "ghatrace/client/http_client.h"

#define CALLS_MAX 64
#define NO_ANSWER "never"

// A client in a loop, a server, and what the callbacks reported.
struct world {
    struct net_loop *loop;
    struct http_client *client;
    struct collector server;
    char url[128];
    size_t calls, wanted;
    struct call {
        int status, version;
        char body[256], type[64], trailer[64];
        bool is_body_omitted, has_connected, speaks_http2;
        uint64_t connection, age;
        int proxy_status;
        struct error error;
    } call[CALLS_MAX];
    bool destroys, renews;
    struct net_timer *watchdog;
};

static void on_watchdog(void *context)
{
    const struct world *world = context;
    fail_msg("only %zu of %zu calls within 20 s", world->calls, world->wanted);
}

static void set_up_with(struct world *world, collector_script script,
                        const struct http_client_options *options)
{
    struct error error;
    *world = (struct world){.calls = 0};
    collector_start(&world->server, script);
    snprintf(world->url, sizeof world->url, "http://127.0.0.1:%u/a?b=c", world->server.port);
    assert_int_equal(net_loop_create(&world->loop, &error), ERROR_NONE);
    assert_int_equal(net_timer_create(world->loop, on_watchdog, world, &world->watchdog, &error),
                     ERROR_NONE);
    assert_int_equal(http_client_create(world->loop, options, &world->client, &error), ERROR_NONE);
}

static void set_up(struct world *world, collector_script script)
{
    const struct http_client_options options = {.connections_max = 4};
    set_up_with(world, script, &options);
}

static void release(struct world *world)
{
    http_client_destroy(world->client);
    net_timer_destroy(world->watchdog);
    net_loop_destroy(world->loop);
    collector_stop(&world->server);
}

static void copy_text(char *to, size_t size, struct slice text)
{
    snprintf(to, size, "%.*s", SLICE_ARGS(text));
}

static void on_done(void *context, const struct http_client_response *response)
{
    struct world *world = context;
    assert_true(world->calls < CALLS_MAX);
    struct call *call = &world->call[world->calls++];
    call->status = response->status;
    call->version = response->version;
    call->is_body_omitted = response->is_body_omitted;
    call->has_connected = response->has_connected;
    call->connection = response->connection;
    call->age = response->age;
    call->speaks_http2 = response->speaks_http2;
    call->proxy_status = response->proxy_status;
    call->error = response->error;
    copy_text(call->body, sizeof call->body, response->body);
    copy_text(call->type, sizeof call->type, http_client_header(response, "content-type"));
    copy_text(call->trailer, sizeof call->trailer, http_client_trailer(response, "grpc-status"));
    if (world->renews)
        http_client_renew(world->client, response->age);
    if (world->destroys) {
        http_client_destroy(world->client);
        world->client = NULL;
    }
    if (world->calls >= world->wanted)
        net_loop_stop(world->loop);
}

static struct http_client_transfer *send_request(struct world *world,
                                                 const struct http_client_request *request)
{
    struct http_client_transfer *transfer = NULL;
    assert_int_equal(http_client_send(world->client, request, on_done, world, &transfer),
                     ERROR_NONE);
    return transfer;
}

static struct http_client_transfer *post(struct world *world, duration_ns timeout)
{
    const struct http_client_request request = {
        .url = world->url, .body = SLICE("hello"), .timeout = timeout};
    return send_request(world, &request);
}

static void run_until_calls(struct world *world, size_t wanted)
{
    world->wanted = wanted;
    net_timer_set(world->watchdog, 20 * NS_PER_SECOND);
    if (world->calls < wanted)
        net_loop_run(world->loop);
    net_timer_cancel(world->watchdog);
}

static void stop_loop(void *context)
{
    net_loop_stop(context);
}

static void run_for(struct world *world, duration_ns time)
{
    struct net_timer *timer;
    struct error error;
    assert_int_equal(net_timer_create(world->loop, stop_loop, world->loop, &timer, &error),
                     ERROR_NONE);
    net_timer_set(timer, time);
    net_loop_run(world->loop);
    net_timer_destroy(timer);
}

// --- responses --------------------------------------------------------------------------------

static struct reply reply_with_trailer(struct collector *server,
                                       const struct collector_request *request)
{
    (void)server;
    bool is_right = strncmp(request->head, "POST /a?b=c HTTP/1.1\r\n", 22) == 0 &&
                    strstr(request->head, "\r\nContent-Length: 5\r\n") != NULL &&
                    strcmp(request->body, "hello") == 0 && strstr(request->head, "Expect") == NULL;
    return (struct reply){.bytes = is_right
                                       ? "HTTP/1.1 103 Early Hints\r\nContent-Type: none\r\n\r\n"
                                         "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
                                         "Content-Type: text/plain\r\n\r\n"
                                         "2\r\nhi\r\n0\r\ngrpc-status: 7\r\n\r\n"
                                       : "HTTP/1.1 400 Bad\r\nContent-Length: 0\r\n\r\n",
                          .byte_by_byte = true};
}

static void a_response_has_status_fields_body_and_trailers(void **state)
{
    static struct world world;
    (void)state;
    set_up(&world, reply_with_trailer);
    post(&world, 0);
    run_until_calls(&world, 1);
    assert_int_equal(world.call[0].status, 200);
    assert_int_equal(world.call[0].version, 11);
    assert_string_equal(world.call[0].body, "hi");
    assert_string_equal(world.call[0].type, "text/plain");
    assert_string_equal(world.call[0].trailer, "7");
    assert_true(world.call[0].has_connected);
    assert_int_equal(world.call[0].connection, 1);
    release(&world);
}

static struct reply echo_head(struct collector *server, const struct collector_request *request)
{
    static _Thread_local char text[1024];
    const char *field = strstr(request->head, "Authorization: ");
    const char *value = field != NULL ? field + 15 : "none";
    (void)server;
    snprintf(text, sizeof text,
             "HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Type: %.*s\r\n"
             "Content-Length: 0\r\n\r\n",
             (int)strcspn(value, "\r"), value);
    return (struct reply){.bytes = text};
}

static void userinfo_becomes_basic_authentication_and_redirects_are_answers(void **state)
{
    static struct world world;
    (void)state;
    set_up(&world, echo_head);
    const struct http_client_request request = {.url = world.url, .userinfo = "me:p%3Ass"};
    const struct http_client_request without_password = {.url = world.url, .userinfo = "me"};
    const struct http_header own = {SLICE("authorization"), SLICE("Bearer x")};
    const struct http_client_request with_own = {
        .url = world.url, .userinfo = "me", .headers = &own, .header_count = 1};
    send_request(&world, &request);
    run_until_calls(&world, 1);
    send_request(&world, &without_password);
    run_until_calls(&world, 2);
    send_request(&world, &with_own);
    run_until_calls(&world, 3);
    assert_int_equal(world.call[0].status, 302);
    assert_string_equal(world.call[2].type, "none");               // of this spelling
    assert_string_equal(world.call[0].type, "Basic bWU6cDpzcw=="); // me:p:ss
    assert_string_equal(world.call[1].type, "Basic bWU6");         // me:
    release(&world);
}

static struct reply echo_target(struct collector *server, const struct collector_request *request)
{
    static _Thread_local char text[1024];
    int len = (int)strcspn(request->head, "\r");
    (void)server;
    snprintf(text, sizeof text, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%.*s", len, len,
             request->head);
    return (struct reply){.bytes = text};
}

static void a_proxy_is_used_only_if_the_request_names_it(void **state)
{
    static struct world world;
    char proxy[64];
    (void)state;
    setenv("http_proxy", "http://127.0.0.1:1", 1);
    setenv("all_proxy", "http://127.0.0.1:1", 1);
    setenv("no_proxy", "*", 1);
    set_up(&world, echo_target);
    snprintf(proxy, sizeof proxy, "http://127.0.0.1:%u", world.server.port);
    const struct http_client_request direct = {.url = world.url};
    const struct http_client_request through = {.url = "http://unknown.invalid:99/x",
                                                .proxy = proxy};
    send_request(&world, &direct);
    run_until_calls(&world, 1);
    send_request(&world, &through);
    run_until_calls(&world, 2);
    unsetenv("http_proxy");
    unsetenv("all_proxy");
    unsetenv("no_proxy");
    assert_string_equal(world.call[0].body, "GET /a?b=c HTTP/1.1");
    assert_string_equal(world.call[1].body, "GET http://unknown.invalid:99/x HTTP/1.1");
    release(&world);
}

// --- limits -----------------------------------------------------------------------------------

static _Thread_local char long_answer[40000];

static struct reply reply_long(struct collector *server, const struct collector_request *request)
{
    (void)server;
    size_t len = 0;
    if (request->number == 0) { // a body by its length
        len = (size_t)snprintf(long_answer, sizeof long_answer,
                               "HTTP/1.1 429 X\r\nContent-Length: 30000\r\n"
                               "Content-Type: a/b\r\n\r\n");
    } else if (request->number == 1) { // one until the end
        len = (size_t)snprintf(long_answer, sizeof long_answer, "HTTP/1.1 200 OK\r\n\r\n");
    } else {
        len = (size_t)snprintf(long_answer, sizeof long_answer, "HTTP/1.1 200 OK\r\n");
        for (int i = 0; i < 300; i++)
            len += (size_t)snprintf(long_answer + len, sizeof long_answer - len, "X-%d: %050d\r\n",
                                    i, 0);
        len += (size_t)snprintf(long_answer + len, sizeof long_answer - len,
                                "Content-Length: 0\r\n\r\n");
        return (struct reply){.bytes = long_answer, .len = len, .hangs = true};
    }
    memset(long_answer + len, 'x', sizeof long_answer - 1 - len);
    return (struct reply){.bytes = long_answer, .hangs = true};
}

static void what_is_too_long_is_not_read(void **state)
{
    static struct world world;
    (void)state;
    set_up(&world, reply_long);
    const struct http_client_request request = {.url = world.url, .body_max = 1000};
    for (size_t i = 1; i <= 3; i++) {
        send_request(&world, &request);
        run_until_calls(&world, i);
    }
    assert_int_equal(world.call[0].status, 429);
    assert_string_equal(world.call[0].type, "a/b");
    assert_int_equal(world.call[1].status, 200);
    for (size_t i = 0; i < 2; i++) {
        assert_true(world.call[i].is_body_omitted);
        assert_string_equal(world.call[i].body, "");
    }
    assert_int_equal(world.call[2].status, 0);
    assert_int_equal(world.call[2].error.code, ERROR_INVALID);
    assert_non_null(strstr(world.call[2].error.message, "its head is too long"));
    release(&world);
}

// "HTTP/1.1 STATUS", a body of 5000 bytes in chunks and a trailer.
static const char *write_chunked(const char *status, const char *end)
{
    size_t len = (size_t)snprintf(long_answer, sizeof long_answer,
                                  "HTTP/1.1 %s\r\nTransfer-Encoding: chunked\r\n\r\n", status);
    for (int i = 0; i < 5; i++)
        len +=
            (size_t)snprintf(long_answer + len, sizeof long_answer - len, "3e8\r\n%01000d\r\n", 0);
    snprintf(long_answer + len, sizeof long_answer - len, "%s", end);
    return long_answer;
}

static struct reply reply_with_late_status(struct collector *server,
                                           const struct collector_request *request)
{
    static const char trailer[] = "0\r\ngrpc-status: 7\r\n\r\n";
    static _Thread_local char long_trailer[20000];
    size_t len;
    (void)server;
    switch (request->number) {
    case 2:
        return (struct reply){.bytes = write_chunked("500 No", "7\r\nstopped"), .hangs = true};
    case 3:
        return (struct reply){.bytes = write_chunked("200 OK", "7\r\nstopped"), .closes = true};
    case 4:
        len = (size_t)snprintf(long_trailer, sizeof long_trailer, "0\r\ngrpc-status: 7\r\n");
        for (int i = 0; i < 18; i++)
            len += (size_t)snprintf(long_trailer + len, sizeof long_trailer - len, "x: %01000d\r\n",
                                    0);
        return (struct reply){.bytes = write_chunked("200 OK", long_trailer), .hangs = true};
    default:
        return (struct reply){.bytes = write_chunked("200 OK", trailer)};
    }
}

static void trailers_after_a_long_body_are_reached_within_a_limit(void **state)
{
    static struct world world;
    static const struct {
        size_t skip_max;
        int status;
        const char *trailer;
    } cases[] = {
        {10000, 200, "7"}, {2000, 200, ""}, {10000, 500, ""}, {10000, 0, ""}, {10000, 200, "7"},
    };
    (void)state;
    set_up(&world, reply_with_late_status);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct http_client_request request = {
            .url = world.url, .body_max = 1000, .body_skip_max = cases[i].skip_max};
        send_request(&world, &request);
        run_until_calls(&world, i + 1);
        const struct call *call = &world.call[i];
        if (call->status != cases[i].status || strcmp(call->trailer, cases[i].trailer) != 0)
            fail_msg("case %zu: status %d, trailer %s, %s", i, call->status, call->trailer,
                     call->error.message);
        assert_int_equal(call->is_body_omitted, cases[i].status != 0);
        assert_string_equal(call->body, "");
    }
    release(&world);
}

static struct reply reply_one_line(struct collector *server,
                                   const struct collector_request *request)
{
    static char line[300000];
    (void)server;
    (void)request;
    memset(line, 'x', sizeof line);
    memcpy(line, "HTTP/1.1 200 OK\r\nX: ", 20);
    return (struct reply){.bytes = line, .len = sizeof line, .hangs = true};
}

static void a_line_without_end_is_a_head_that_is_too_long(void **state)
{
    static struct world world;
    (void)state;
    set_up(&world, reply_one_line);
    post(&world, 0);
    run_until_calls(&world, 1);
    assert_int_equal(world.call[0].error.code, ERROR_INVALID);
    assert_non_null(strstr(world.call[0].error.message, "its head is too long"));
    release(&world);
}

// --- failures ---------------------------------------------------------------------------------

static struct reply reply_badly(struct collector *server, const struct collector_request *request)
{
    static const struct reply replies[] = {
        {.bytes = NULL, .closes = true},
        {.bytes = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf", .closes = true},
        {.bytes = "HTTP/1.1 200 OK\r\nContent-Le", .closes = true},
        {.bytes = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n", .closes = true},
        {.bytes = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n",
         .closes = true},
        {.bytes = "SSH-2.0-OpenSSH_9.2\r\n", .closes = true},
        {.bytes = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n", .hangs = true},
        {.bytes = NULL, .hangs = true},
    };
    (void)server;
    return replies[request->number];
}

static void what_is_no_whole_response_is_an_error_of_its_kind(void **state)
{
    static struct world world;
    static const enum error_code codes[] = {ERROR_CLOSED,  ERROR_CLOSED, ERROR_CLOSED,
                                            ERROR_CLOSED,  ERROR_CLOSED, ERROR_INVALID,
                                            ERROR_INVALID, ERROR_TIMEOUT};
    static const size_t count = sizeof codes / sizeof codes[0];
    (void)state;
    set_up(&world, reply_badly);
    for (size_t i = 0; i < count; i++) {
        post(&world, i == count - 1 ? 50 * NS_PER_MS : 0);
        run_until_calls(&world, i + 1);
        if (world.call[i].status != 0 || world.call[i].error.code != codes[i])
            fail_msg("reply %zu: status %d, error %d: %s", i, world.call[i].status,
                     world.call[i].error.code, world.call[i].error.message);
        assert_true(world.call[i].has_connected);
    }
    assert_non_null(strstr(world.call[0].error.message, "without an answer"));
    assert_non_null(strstr(world.call[1].error.message, "in the middle of its answer"));
    assert_non_null(strstr(world.call[7].error.message, "no answer from 127.0.0.1:"));
    release(&world);
}

static void what_cannot_be_reached_has_not_connected(void **state)
{
    static struct world world;
    (void)state;
    set_up(&world, reply_badly);
    const struct http_client_request dead = {.url = "http://127.0.0.1:1/"};
    // A label of 64 bytes is refused before anyone is asked.
    const struct http_client_request unknown = {
        .url = "http://aaaaaaaaaaaaaaaabbbbbbbbbbbbbbbbccccccccccccccccdddddddddddddddd/"};
    send_request(&world, &dead);
    run_until_calls(&world, 1);
    const struct http_client_request through = {.url = "http://collector.invalid/",
                                                .proxy = "http://u:hidden@127.0.0.1:1"};
    send_request(&world, &unknown);
    run_until_calls(&world, 2);
    send_request(&world, &through);
    run_until_calls(&world, 3);
    const struct http_client_request with_http2 = {.url = "http://127.0.0.1:1/",
                                                   .version = HTTP_CLIENT_VERSION_2};
    send_request(&world, &with_http2);
    run_until_calls(&world, 4);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(world.call[i].error.code, ERROR_NETWORK);
        assert_false(world.call[i].has_connected);
    }
    assert_string_equal(world.call[0].error.message, "connect to 127.0.0.1:1: Connection refused");
    assert_string_equal(world.call[3].error.message, "connect to 127.0.0.1:1: Connection refused");
    assert_non_null(strstr(world.call[2].error.message, "127.0.0.1 port 1"));
    assert_non_null(strstr(world.call[2].error.message,
                           "collector.invalid through proxy http://127.0.0.1:1: "));
    assert_null(strstr(world.call[2].error.message, "hidden"));
    release(&world);
}

static struct reply reply_in_another_protocol(struct collector *server,
                                              const struct collector_request *request)
{
    static const struct reply replies[] = {
        {.bytes = "\0\0\6\4\0\0\0\0\0\0\4\0\1\0\0", .len = 15, .closes = true}, // SETTINGS
        {.bytes = "\x15\3\1\0\2\2\x46", .len = 7, .closes = true},              // an alert of TLS
        {.bytes = "\x15\3\1\0\2\2\x46", .len = 7, .closes = true},
        {.bytes = NULL, .closes = true},
    };
    (void)server;
    return replies[request->number];
}

static void another_protocol_is_named(void **state)
{
    static struct world world;
    static const char *const ends[] = {
        " uses HTTP/2", " uses TLS: https:// instead of http://?",
        " uses TLS: https:// instead of http://?",
        " closed the connection without an answer: https:// instead of http://?"};
    (void)state;
    set_up(&world, reply_in_another_protocol);
    const struct http_client_request with_http1 = {.url = world.url};
    const struct http_client_request with_http2 = {.url = world.url,
                                                   .version = HTTP_CLIENT_VERSION_2};
    for (size_t i = 0; i < 4; i++) {
        char text[128];
        send_request(&world, i < 2 ? &with_http1 : &with_http2);
        run_until_calls(&world, i + 1);
        snprintf(text, sizeof text, "127.0.0.1:%u%s", world.server.port, ends[i]);
        assert_string_equal(world.call[i].error.message, text);
        assert_int_equal(world.call[i].speaks_http2, i == 0);
    }
    release(&world);
}

static struct reply refuse_tunnel(struct collector *server, const struct collector_request *request)
{
    (void)server;
    (void)request;
    return (struct reply){.bytes = "HTTP/1.1 407 no\r\nContent-Length: 0\r\n\r\n"};
}

static void a_tunnel_that_a_proxy_refuses_is_reported_with_its_status(void **state)
{
    static struct world world;
    char proxy[64], text[128];
    (void)state;
    set_up(&world, refuse_tunnel);
    snprintf(proxy, sizeof proxy, "http://u:hidden@127.0.0.1:%u/", world.server.port);
    snprintf(text, sizeof text,
             "proxy http://127.0.0.1:%u refuses the tunnel: 407 Proxy Authentication Required",
             world.server.port);
    const struct http_client_request request = {
        .url = "http://collector.invalid/", .proxy = proxy, .uses_tunnel = true};
    send_request(&world, &request);
    run_until_calls(&world, 1);
    assert_int_equal(world.call[0].proxy_status, 407);
    assert_string_equal(world.call[0].error.message, text);
    assert_false(world.call[0].has_connected);
    release(&world);
}

static void a_request_that_cannot_be_sent_is_refused(void **state)
{
    static struct world world;
    const struct http_header bad[] = {{SLICE("a"), SLICE("b\r\nc: d")}};
    struct http_client_transfer *transfer;
    (void)state;
    set_up(&world, reply_badly);
    const struct http_client_request requests[] = {
        {.url = world.url, .headers = bad, .header_count = 1},
        {.url = "https://127.0.0.1/"}, // the client has no authorities
        {.url = "127.0.0.1"},
    };
    for (size_t i = 0; i < sizeof requests / sizeof requests[0]; i++)
        assert_int_equal(http_client_send(world.client, &requests[i], on_done, &world, &transfer),
                         ERROR_USAGE);
    release(&world);
}

// --- connections ------------------------------------------------------------------------------

static struct reply reply_once_then_close(struct collector *server,
                                          const struct collector_request *request)
{
    (void)server;
    if (request->number_on_connection > 0)
        return (struct reply){.bytes = NULL, .closes = true};
    return (struct reply){.bytes = OK_ANSWER};
}

static void a_kept_connection_that_was_closed_is_no_failure(void **state)
{
    static struct world world;
    (void)state;
    set_up(&world, reply_once_then_close);
    for (size_t i = 1; i <= 4; i++) {
        post(&world, 0);
        run_until_calls(&world, i);
        assert_int_equal(world.call[i - 1].status, 200);
        assert_int_equal(world.call[i - 1].connection, i);
    }
    release(&world);
}

// The first connection leads to a sick replica, all others to healthy ones.
static struct reply reply_by_connection(struct collector *server,
                                        const struct collector_request *request)
{
    (void)request;
    pthread_mutex_lock(&server->mutex);
    bool is_first = server->connections == 1;
    pthread_mutex_unlock(&server->mutex);
    return (struct reply){.bytes =
                              is_first ? "HTTP/1.1 503 X\r\nContent-Length: 0\r\n\r\n" : OK_ANSWER};
}

static void renewing_leads_to_another_connection(void **state)
{
    static struct world world;
    (void)state;
    set_up(&world, reply_by_connection);
    post(&world, 0);
    run_until_calls(&world, 1);
    post(&world, 0); // without it
    run_until_calls(&world, 2);
    assert_int_equal(world.call[1].status, 503);
    assert_int_equal(world.call[1].connection, world.call[0].connection);
    http_client_renew(world.client, world.call[1].age);
    post(&world, 0);
    run_until_calls(&world, 3);
    assert_int_equal(world.call[2].status, 200);
    assert_int_not_equal(world.call[2].connection, world.call[0].connection);
    // What an older response asks for was done.
    http_client_renew(world.client, world.call[0].age);
    post(&world, 0);
    run_until_calls(&world, 4);
    assert_int_equal(world.call[3].connection, world.call[2].connection);
    release(&world);
}

static struct reply reply_when_two_wait(struct collector *server,
                                        const struct collector_request *request)
{
    if (request->number == 0) {
        pthread_mutex_lock(&server->mutex);
        while (server->requests < 2 || server->busy > 1)
            pthread_cond_wait(&server->changed, &server->mutex);
        pthread_mutex_unlock(&server->mutex);
    }
    return (struct reply){.bytes = OK_ANSWER};
}

static void a_request_in_progress_ends_on_its_connection_when_the_client_is_renewed(void **state)
{
    static struct world world;
    (void)state;
    set_up(&world, reply_when_two_wait);
    post(&world, 0);
    while (collector_get(&world.server, &world.server.requests) == 0)
        run_for(&world, NS_PER_MS);
    http_client_renew(world.client, HTTP_CLIENT_RENEW_ALWAYS);
    post(&world, 0);
    run_until_calls(&world, 2);
    assert_int_equal(world.call[0].status, 200);
    assert_int_equal(world.call[1].status, 200);
    assert_int_equal(world.server.connections, 2);
    assert_int_equal(world.call[0].age + world.call[1].age, 1);
    release(&world);
}

static struct reply reply_and_watch(struct collector *server,
                                    const struct collector_request *request)
{
    (void)server;
    (void)request;
    return (struct reply){.bytes = OK_ANSWER};
}

static void idle_connections_are_closed(void **state)
{
    static struct world world;
    const struct http_client_options options = {.idle_time = 20 * NS_PER_MS};
    char byte;
    (void)state;
    set_up_with(&world, reply_and_watch, &options);
    post(&world, 0);
    run_until_calls(&world, 1);
    assert_int_equal(recv(world.server.fds[0], &byte, 1, MSG_PEEK | MSG_DONTWAIT), -1);
    run_for(&world, 100 * NS_PER_MS);
    assert_int_equal(recv(world.server.fds[0], &byte, 1, MSG_PEEK | MSG_DONTWAIT), 0);
    release(&world);
}

// --- ends at any time -------------------------------------------------------------------------

static struct reply reply_by_number(struct collector *server,
                                    const struct collector_request *request)
{
    (void)server;
    return (struct reply){.bytes = request->number % 2 == 0 ? NULL : OK_ANSWER,
                          .hangs = request->number % 2 == 0};
}

static void a_request_may_be_cancelled_at_any_time(void **state)
{
    static struct world world;
    (void)state;
    set_up(&world, reply_by_number);
    for (int ms = 0; ms < 6; ms++) {
        struct http_client_transfer *transfer = post(&world, NS_PER_SECOND);
        if (ms > 0)
            run_for(&world, (ms - 1) * NS_PER_MS);
        if (world.calls == 0)
            http_client_cancel(transfer);
        world.calls = 0;
    }
    http_client_cancel(NULL);
    post(&world, 0);
    post(&world, 0);
    run_until_calls(&world, 1); // the other one waits for an answer when the client ends
    release(&world);
}

static void the_client_may_be_destroyed_by_a_callback(void **state)
{
    static struct world world;
    (void)state;
    set_up(&world, reply_and_watch);
    world.destroys = true;
    for (int i = 0; i < 6; i++)
        post(&world, NS_PER_SECOND);
    run_until_calls(&world, 1);
    run_for(&world, 10 * NS_PER_MS);
    assert_int_equal(world.calls, 1);
    release(&world);
}

static void many_requests_at_a_time_are_answered_once_each(void **state)
{
    static struct world world;
    (void)state;
    set_up(&world, reply_and_watch);
    for (int i = 0; i < 40; i++)
        post(&world, 0);
    run_until_calls(&world, 40);
    run_for(&world, 10 * NS_PER_MS);
    assert_int_equal(world.calls, 40);
    for (int i = 0; i < 40; i++)
        assert_int_equal(world.call[i].status, 200);
    release(&world);
}

// --- memory -----------------------------------------------------------------------------------

// False when the fault was never reached.
static bool survives_fault(long skip)
{
    static struct world world;
    struct http_client_transfer *transfer;
    const struct http_header headers[] = {{SLICE("a"), SLICE("b")}};
    set_up(&world, reply_once_then_close);
    memory_fail_after(skip);
    for (int i = 0; i < 3; i++) {
        const struct http_client_request request = {.url = world.url,
                                                    .headers = headers,
                                                    .header_count = 1,
                                                    .body = SLICE("hello"),
                                                    .timeout = 5 * NS_PER_SECOND};
        if (http_client_send(world.client, &request, on_done, &world, &transfer) == ERROR_NONE)
            run_until_calls(&world, world.calls + 1);
        if (i == 0)
            http_client_renew(world.client, HTTP_CLIENT_RENEW_ALWAYS);
    }
    bool was_reached = memory_count_allocations() > skip;
    memory_fail_after(-1);
    post(&world, 0);
    run_until_calls(&world, world.calls + 1);
    assert_true(world.calls >= 3);
    if (world.call[world.calls - 1].status != 200)
        fail_msg("allocation %ld: %s", skip, world.call[world.calls - 1].error.message);
    release(&world);
    return was_reached;
}

static void any_allocation_may_fail_and_later_requests_succeed(void **state)
{
    long skip = 0;
    (void)state;
    while (survives_fault(skip))
        skip++;
    assert_true(skip > 50);
}

// --- servers that send without end ----------------------------------------------------------------

// The flood's own end: without it a blocked loop would be a test that hangs.
#define FLOOD_TIME (10 * NS_PER_SECOND)

static _Atomic bool flood_lasted;

static int last_connection(struct collector *server)
{
    pthread_mutex_lock(&server->mutex);
    int fd = server->fds[server->connections - 1];
    pthread_mutex_unlock(&server->mutex);
    return fd;
}

// Sends `bytes` again and again, until the client closes.
static struct reply flood(struct collector *server, const char *bytes, size_t len)
{
    static const struct reply end = {.bytes = NULL, .closes = true};
    timestamp_ns stop = timestamp_monotonic() + FLOOD_TIME;
    int fd = last_connection(server);
    while (timestamp_monotonic() < stop)
        if (send(fd, bytes, len, MSG_NOSIGNAL) <= 0)
            return end;
    flood_lasted = true;
    return end;
}

static struct reply flood_as_proxy(struct collector *server,
                                   const struct collector_request *request)
{
    static const char head[] = "HTTP/1.1 407 no\r\nContent-Length: 99999999999\r\n\r\n";
    static char bytes[65536];
    (void)request;
    int fd = last_connection(server);
    (void)send(fd, head, sizeof head - 1, MSG_NOSIGNAL);
    return flood(server, bytes, sizeof bytes);
}

// RFC 9113 6.3: PRIORITY frames, which belong to no response. Before them SETTINGS and its acknowledgement.
static struct reply flood_with_frames(struct collector *server,
                                      const struct collector_request *request)
{
    static const char settings[] = "\0\0\0\4\0\0\0\0\0\0\0\0\4\1\0\0\0";
    static const char priority[] = "\0\0\5\2\0\0\0\0\3\0\0\0\0\x10";
    static const size_t len = sizeof priority - 1;
    static char bytes[4000 * (sizeof priority - 1)];
    (void)request;
    for (size_t i = 0; i + len <= sizeof bytes; i += len)
        memcpy(bytes + i, priority, len);
    int fd = last_connection(server);
    (void)send(fd, settings, sizeof settings, MSG_NOSIGNAL);
    return flood(server, bytes, sizeof bytes);
}

// A request to a server of the script ends with an error that says so, and the loop runs on.
static void check_flood(struct world *world, const struct http_client_request *request,
                        const char *who)
{
    char text[128];
    snprintf(text, sizeof text, "%s sends without end", who);
    flood_lasted = false;
    send_request(world, request);
    run_until_calls(world, 1);
    assert_false(flood_lasted);
    assert_int_equal(world->call[0].error.code, ERROR_NETWORK);
    assert_string_equal(world->call[0].error.message, text);
    run_for(world, 50 * NS_PER_MS);
}

static void a_proxy_that_answers_connect_without_end_does_not_block_the_loop(void **state)
{
    static struct world world;
    char proxy[64];
    (void)state;
    set_up(&world, flood_as_proxy);
    snprintf(proxy, sizeof proxy, "http://127.0.0.1:%u", world.server.port);
    const struct http_client_request request = {
        .url = "http://collector.invalid/", .proxy = proxy, .uses_tunnel = true};
    char who[80];
    snprintf(who, sizeof who, "proxy %s", proxy);
    check_flood(&world, &request, who);
    assert_false(world.call[0].has_connected);
    release(&world);
}

static void frames_without_end_do_not_block_the_loop(void **state)
{
    static struct world world;
    (void)state;
    set_up(&world, flood_with_frames);
    const struct http_client_request request = {.url = world.url, .version = HTTP_CLIENT_VERSION_2};
    char peer[64];
    snprintf(peer, sizeof peer, "127.0.0.1:%u", world.server.port);
    check_flood(&world, &request, peer);
    release(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_response_has_status_fields_body_and_trailers),
        cmocka_unit_test(userinfo_becomes_basic_authentication_and_redirects_are_answers),
        cmocka_unit_test(a_proxy_is_used_only_if_the_request_names_it),
        cmocka_unit_test(what_is_too_long_is_not_read),
        cmocka_unit_test(trailers_after_a_long_body_are_reached_within_a_limit),
        cmocka_unit_test(a_line_without_end_is_a_head_that_is_too_long),
        cmocka_unit_test(what_is_no_whole_response_is_an_error_of_its_kind),
        cmocka_unit_test(what_cannot_be_reached_has_not_connected),
        cmocka_unit_test(another_protocol_is_named),
        cmocka_unit_test(a_tunnel_that_a_proxy_refuses_is_reported_with_its_status),
        cmocka_unit_test(a_request_that_cannot_be_sent_is_refused),
        cmocka_unit_test(a_kept_connection_that_was_closed_is_no_failure),
        cmocka_unit_test(renewing_leads_to_another_connection),
        cmocka_unit_test(a_request_in_progress_ends_on_its_connection_when_the_client_is_renewed),
        cmocka_unit_test(idle_connections_are_closed),
        cmocka_unit_test(a_request_may_be_cancelled_at_any_time),
        cmocka_unit_test(the_client_may_be_destroyed_by_a_callback),
        cmocka_unit_test(many_requests_at_a_time_are_answered_once_each),
        cmocka_unit_test(a_proxy_that_answers_connect_without_end_does_not_block_the_loop),
        cmocka_unit_test(frames_without_end_do_not_block_the_loop),
        cmocka_unit_test(any_allocation_may_fail_and_later_requests_succeed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
