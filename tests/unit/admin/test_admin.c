// The admin listener: access, routes, streams.
#include "../webhook/client.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#include "ghatrace/admin/admin.h"
#include "ghatrace/base/log.h"
#include "ghatrace/net/loop.h"

#define TOKEN "0123456789abcdef"
#define HOST "Host: localhost:1\r\n"

static struct {
    atomic_int streams_closed;
    struct admin_stream *stream;
} seen;

static void respond_hello(void *context, const struct admin_request *request,
                          struct admin_response *reply)
{
    struct buffer body;

    (void)context;
    buffer_init(&body, 100000);
    assert_int_equal(buffer_append_format(&body, "hello %.*s?%.*s", SLICE_ARGS(request->path),
                                          SLICE_ARGS(request->query)),
                     ERROR_NONE);
    admin_response_set_field(reply, "ETag", "\"1\"");
    admin_response_send(reply, 200, "text/plain", &body);
    buffer_release(&body);
}

static void respond_with_much(void *context, const struct admin_request *request,
                              struct admin_response *reply)
{
    struct buffer body;

    (void)context;
    (void)request;
    buffer_init(&body, 8 << 20);
    assert_int_equal(buffer_reserve(&body, 8 << 20), ERROR_NONE);
    memset(body.data, 'x', 8 << 20);
    body.len = 8 << 20;
    admin_response_send(reply, 200, "text/plain", &body);
    assert_null(body.data);
}

static void do_not_respond(void *context, const struct admin_request *request,
                           struct admin_response *reply)
{
    (void)context;
    (void)request;
    (void)reply;
}

static void on_closed(void *context)
{
    (void)context;
    atomic_fetch_add(&seen.streams_closed, 1);
}

static void stream(void *context, const struct admin_request *request, struct admin_response *reply)
{
    (void)context;
    (void)request;
    seen.stream = admin_response_stream(reply, on_closed, NULL);
    if (seen.stream != NULL)
        assert_true(admin_stream_send(seen.stream, SLICE("data: 1\n\n")));
}

static const struct admin_route routes[] = {
    {"/hello", respond_hello, NULL, false},    {"/", respond_hello, NULL, false},
    {"/below/", respond_hello, NULL, false},   {"/much", respond_with_much, NULL, false},
    {"/nothing", do_not_respond, NULL, false}, {"/stream", stream, NULL, false},
};

struct fixture {
    struct net_loop *loop;
    struct admin *admin;
    struct ingress_secrets *tokens;
    struct net_address address;
    pthread_t thread;
};

static void *run_loop(void *context)
{
    net_loop_run(context);
    return NULL;
}

static void set_up(struct fixture *f, const char *listen, const char *token)
{
    struct admin_options options = {.routes = routes,
                                    .route_count = sizeof routes / sizeof routes[0]};
    struct slice item = slice_from_string(token);
    struct error error;

    *f = (struct fixture){.tokens = NULL};
    atomic_store(&seen.streams_closed, 0);
    fake_engine_reset(ENGINE_ACCEPTED, false);
    if (token != NULL) {
        assert_int_equal(ingress_secrets_create(&f->tokens, &error), ERROR_NONE);
        assert_int_equal(ingress_secrets_replace(f->tokens, &item, 1, &error), ERROR_NONE);
        options.tokens = f->tokens;
    }
    assert_int_equal(net_address_parse(slice_from_string(listen), &options.listen, &error),
                     ERROR_NONE);
    assert_int_equal(net_loop_create(&f->loop, &error), ERROR_NONE);
    assert_int_equal(admin_start(f->loop, &options, NULL, &f->admin, &error), ERROR_NONE);
    f->address = *admin_address(f->admin);
    assert_int_equal(pthread_create(&f->thread, NULL, run_loop, f->loop), 0);
}

static void tear_down(struct fixture *f)
{
    net_loop_stop(f->loop);
    assert_int_equal(pthread_join(f->thread, NULL), 0);
    admin_stop(f->admin);
    net_loop_destroy(f->loop);
    if (f->tokens != NULL)
        ingress_secrets_destroy(f->tokens);
}

static struct response ask(const struct fixture *f, const char *request)
{
    int fd = connect_to(&f->address);

    send_text(fd, request);
    struct response response = receive_response(fd, strncmp(request, "HEAD", 4) != 0);
    close(fd);
    return response;
}

static void health_and_readiness_need_no_access_rights(void **state)
{
    static const struct {
        const char *request;
        int status;
        const char *body;
    } cases[] = {
        {"GET /health HTTP/1.1\r\nHost: x\r\n\r\n", 200, "{\"status\":\"healthy\"}\n"},
        {"GET /ready HTTP/1.1\r\nHost: x\r\n\r\n", 200, "{\"status\":\"ready\"}\n"},
        {"POST /ready HTTP/1.1\r\nHost: x\r\n\r\n", 405, NULL},
        {"POST /webhook HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}", 404, NULL},
    };
    struct fixture f;

    (void)state;
    set_up(&f, "127.0.0.1:0", NULL);
    int fd = connect_to(&f.address);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        send_text(fd, cases[i].request);
        expect_answer(fd, cases[i].status, cases[i].body);
    }
    expect_closed(fd); // behind the unread body
    int idle = connect_to(&f.address);
    send_text(idle, cases[0].request);
    expect_answer(idle, 200, NULL);
    tear_down(&f);
    expect_closed(idle);
    close(idle);
    close(fd);
}

static void routes_are_exact_or_prefixes(void **state)
{
    static const struct {
        const char *target;
        int status;
        const char *body;
    } cases[] = {
        {"/hello", 200, "hello /hello?"}, {"/hello?a=b&c", 200, "hello /hello?a=b&c"},
        {"/", 200, "hello /?"},           {"/below/1/2", 200, "hello /below/1/2?"},
        {"/hello/", 404, NULL},           {"/below", 404, NULL},
        {"/nothing", 500, NULL},
    };
    struct fixture f;

    (void)state;
    set_up(&f, "127.0.0.1:0", NULL);
    int fd = connect_to(&f.address);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char request[200];
        snprintf(request, sizeof request, "GET %s HTTP/1.1\r\n" HOST "\r\n", cases[i].target);
        send_text(fd, request);
        expect_answer(fd, cases[i].status, cases[i].body);
    }
    close(fd);
    tear_down(&f);
}

// All of them, whole: each keeps a browser from something else.
static void assert_security_fields(const struct response *response)
{
    static const char *const fields[] = {
        "X-Content-Type-Options: nosniff",
        "Referrer-Policy: no-referrer",
        "Cross-Origin-Resource-Policy: same-origin",
        "Content-Security-Policy: default-src 'none'; script-src 'self'; style-src 'self'; "
        "img-src 'self' data:; connect-src 'self'; worker-src 'self'; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'",
        "Cache-Control: no-store",
    };
    for (size_t i = 0; i < sizeof fields / sizeof fields[0]; i++) {
        char line[512];
        snprintf(line, sizeof line, "\r\n%s\r\n", fields[i]);
        const char *found = strstr(response->head, line);
        assert_non_null(found);
        assert_null(strstr(found + strlen(line) - 2, line));
    }
}

static void responses_have_the_security_fields_for_browsers(void **state)
{
    struct fixture f;

    (void)state;
    set_up(&f, "127.0.0.1:0", NULL);
    struct response response = ask(&f, "GET /hello HTTP/1.1\r\n" HOST "\r\n");
    assert_security_fields(&response);
    assert_non_null(strstr(response.head, "ETag: \"1\""));
    assert_non_null(strstr(response.head, "Content-Type: text/plain"));
    assert_int_equal(ask(&f, "POST /hello HTTP/1.1\r\n" HOST "\r\n").status, 405);
    response = ask(&f, "HEAD /hello HTTP/1.1\r\n" HOST "\r\n");
    assert_int_equal(response.status, 200);
    assert_non_null(strstr(response.head, "Content-Length: 13"));
    tear_down(&f);
}

static void without_a_token_only_requests_for_loopback_are_served(void **state)
{
    static const struct {
        const char *host;
        bool is_answered;
    } cases[] = {
        {"localhost", true},     {"LOCALHOST:8081", true},  {"127.0.0.1:8081", true},
        {"127.1.2.3", true},     {"[::1]:8081", true},      {"[::1]", true},
        {"evil.example", false}, {"127.0.0.1.evil", false}, {"localhost.evil:80", false},
        {"192.0.2.1", false},    {"[2001:db8::1]", false},  {"[::ffff:192.0.2.1]", false},
    };
    struct fixture f;

    (void)state;
    set_up(&f, "127.0.0.1:0", NULL);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char request[200];
        snprintf(request, sizeof request, "GET /hello HTTP/1.1\r\nHost: %s\r\n\r\n", cases[i].host);
        assert_int_equal(ask(&f, request).status, cases[i].is_answered ? 200 : 403);
        // A host in the target is used instead of the one in the field.
        snprintf(request, sizeof request, "GET http://%s/hello HTTP/1.1\r\nHost: %s\r\n\r\n",
                 cases[i].host, cases[i].is_answered ? "evil.example" : "localhost");
        assert_int_equal(ask(&f, request).status, cases[i].is_answered ? 200 : 403);
    }
    tear_down(&f);
}

static void on_other_addresses_only_health_is_served_without_access_control(void **state)
{
    struct fixture f;

    (void)state;
    set_up(&f, "0.0.0.0:0", NULL);
    assert_true(admin_is_closed(f.admin));
    assert_int_equal(ask(&f, "GET /hello HTTP/1.1\r\n" HOST "\r\n").status, 403);
    assert_int_equal(ask(&f, "GET /health HTTP/1.1\r\nHost: x\r\n\r\n").status, 200);
    tear_down(&f);
}

static void a_valid_token_grants_access(void **state)
{
    // "me:0123456789abcdef", ":0123456789abcdef", "0123456789abcdef", and the first with one letter changed
    static const struct {
        const char *authorization;
        bool is_answered;
    } cases[] = {
        {"Bearer " TOKEN, true},
        {"bearer   " TOKEN, true},
        {"Basic bWU6MDEyMzQ1Njc4OWFiY2RlZg==", true},
        {"Basic OjAxMjM0NTY3ODlhYmNkZWY=", true},
        {"Basic MDEyMzQ1Njc4OWFiY2RlZg==", false},
        {"Basic bWU6MDEyMzQ1Njc4OWFiY2RlZ", false},
        {"Basic !", false},
        {"Bearer " TOKEN "x", false},
        {"Bearer 0123456789abcde", false},
        {"Bearer", false},
        {"Bearer ", false},
        {TOKEN, false},
        {"Digest " TOKEN, false},
    };
    struct fixture f;

    (void)state;
    set_up(&f, "0.0.0.0:0", TOKEN);
    assert_false(admin_is_closed(f.admin));
    struct response response = ask(&f, "GET /hello HTTP/1.1\r\nHost: x\r\n\r\n");
    assert_int_equal(response.status, 401);
    assert_non_null(strstr(response.head, "WWW-Authenticate: Basic realm=\"ghatrace\""));
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char request[300];
        snprintf(request, sizeof request,
                 "GET /hello HTTP/1.1\r\nHost: any.example\r\nAuthorization: %s\r\n\r\n",
                 cases[i].authorization);
        assert_int_equal(ask(&f, request).status, cases[i].is_answered ? 200 : 401);
    }
    tear_down(&f);
}

static void a_long_response_is_sent_completely(void **state)
{
    static char bytes[65536];
    size_t total = 0;
    struct fixture f;

    (void)state;
    set_up(&f, "127.0.0.1:0", NULL);
    int fd = connect_to(&f.address);
    send_text(fd, "GET /much HTTP/1.1\r\nConnection: close\r\n" HOST "\r\n");
    for (;;) {
        ssize_t got = recv(fd, bytes, sizeof bytes, 0);
        assert_true(got >= 0);
        if (got == 0)
            break;
        total += (size_t)got;
    }
    assert_true(total > (8 << 20) && total < (8 << 20) + 2000);
    close(fd);
    tear_down(&f);
}

static int ask_for_much(const struct fixture *f)
{
    int fd = connect_to(&f->address), size = 8192;

    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &size, sizeof size), 0);
    send_text(fd, "GET /much HTTP/1.1\r\n" HOST "\r\n");
    return fd;
}

// 8 MiB each, of which no client reads anything.
static void unread_long_responses_are_limited(void **state)
{
    enum { CLIENTS = 12, MOST = 9 }; // of 64 MiB, and one that goes beyond
    struct fixture f;
    int fds[CLIENTS], refused = 0, taken = 0;

    (void)state;
    set_up(&f, "127.0.0.1:0", NULL);
    for (int i = 0; i < CLIENTS; i++) {
        fds[i] = ask_for_much(&f);
        char status[13] = "";
        assert_int_equal(recv(fds[i], status, 12, MSG_PEEK | MSG_WAITALL), 12);
        taken += strcmp(status, "HTTP/1.1 200") == 0;
        refused += strcmp(status, "HTTP/1.1 503") == 0;
    }
    assert_int_equal(taken + refused, CLIENTS);
    assert_true(refused > 0 && taken <= MOST);
    struct response response = ask(&f, "GET /hello HTTP/1.1\r\n" HOST "\r\n");
    assert_int_equal(response.status, 503);
    assert_non_null(strstr(response.head, "Retry-After: "));
    assert_int_equal(ask(&f, "GET /health HTTP/1.1\r\nHost: x\r\n\r\n").status, 200);
    usleep(1100000); // then clients that have read nothing are closed
    assert_int_equal(ask(&f, "GET /hello HTTP/1.1\r\n" HOST "\r\n").status, 200);
    for (int i = 0; i < CLIENTS; i++)
        close(fds[i]);
    tear_down(&f);
}

static void a_stream_continues_until_the_client_disconnects(void **state)
{
    char text[2048];
    size_t len = 0;
    struct fixture f;

    (void)state;
    set_up(&f, "127.0.0.1:0", NULL);
    int fd = connect_to(&f.address);
    send_text(fd, "GET /stream HTTP/1.1\r\n" HOST "\r\n");
    do {
        ssize_t got = recv(fd, text + len, sizeof text - 1 - len, 0);
        assert_true(got > 0);
        len += (size_t)got;
        text[len] = '\0';
    } while (strstr(text, "data: 1\n\n") == NULL);
    assert_non_null(strstr(text, "Content-Type: text/event-stream"));
    assert_null(strstr(text, "Content-Length"));
    assert_int_equal(atomic_load(&seen.streams_closed), 0);
    tear_down(&f);
    assert_int_equal(atomic_load(&seen.streams_closed), 1);
    close(fd);
}

// Nothing is sent meanwhile: the end of the client is noticed by itself. What it sends is ignored.
static void a_stream_ends_when_the_client_closes_the_connection(void **state)
{
    char text[13] = {0};
    struct fixture f;

    (void)state;
    set_up(&f, "127.0.0.1:0", NULL);
    int fd = connect_to(&f.address);
    send_text(fd, "GET /stream HTTP/1.1\r\n" HOST "\r\nGET /hello HTTP/1.1\r\n");
    assert_int_equal(recv(fd, text, 12, MSG_WAITALL), 12);
    send_text(fd, HOST "\r\nGET /hello HTTP/1.1\r\n" HOST "\r\n");
    assert_int_equal(ask(&f, "HEAD /stream HTTP/1.1\r\n" HOST "\r\n").status, 200);
    assert_int_equal(atomic_load(&seen.streams_closed), 0);
    close(fd);
    while (atomic_load(&seen.streams_closed) == 0)
        sched_yield();
    tear_down(&f);
    assert_int_equal(atomic_load(&seen.streams_closed), 1);
}

static void streams_beyond_the_cap_are_refused(void **state)
{
    struct fixture f;
    int fds[33];

    (void)state;
    set_up(&f, "127.0.0.1:0", NULL);
    for (int i = 0; i < 33; i++) {
        char text[13] = {0};
        fds[i] = connect_to(&f.address);
        send_text(fds[i], "GET /stream HTTP/1.1\r\n" HOST "\r\n");
        assert_int_equal(recv(fds[i], text, 12, MSG_WAITALL), 12);
        assert_string_equal(text, i < 32 ? "HTTP/1.1 200" : "HTTP/1.1 503");
    }
    assert_int_equal(ask(&f, "HEAD /stream HTTP/1.1\r\n" HOST "\r\n").status, 200);
    for (int i = 0; i < 33; i++)
        close(fds[i]);
    tear_down(&f);
    assert_int_equal(atomic_load(&seen.streams_closed), 32);
}

static void parameters_are_decoded(void **state)
{
    static const struct {
        const char *query, *name, *value;
    } cases[] = {
        {"a=1&b=2", "b", "2"},
        {"a=1&a=2", "a", "1"},
        {"ab=1", "a", ""},
        {"a", "a", ""},
        {"a=", "a", ""},
        {"", "a", ""},
        {"q=x%20y+z%2B", "q", "x y z+"},
        {"q=%zz", "q", ""},
        {"q=%4", "q", ""},
        {"&&q=%C3%A4", "q", "\u00e4"},
    };
    struct arena arena;

    (void)state;
    arena_init(&arena, 1024);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct slice value;
        assert_true(
            admin_query_get(slice_from_string(cases[i].query), cases[i].name, &arena, &value));
        assert_true(slice_equals(value, slice_from_string(cases[i].value)));
    }
    arena_release(&arena);
}

static void an_admin_without_clients_stops_at_once(void **state)
{
    struct admin_options options = {.route_count = 0};
    struct net_loop *loop;
    struct admin *admin, *second;
    struct error error;

    (void)state;
    assert_int_equal(net_address_parse(SLICE("127.0.0.1:0"), &options.listen, &error), ERROR_NONE);
    assert_int_equal(net_loop_create(&loop, &error), ERROR_NONE);
    assert_int_equal(admin_start(loop, &options, NULL, &admin, &error), ERROR_NONE);
    options.listen = *admin_address(admin);
    assert_int_equal(admin_start(loop, &options, NULL, &second, &error), ERROR_BUSY);
    admin_stop(admin);
    net_loop_destroy(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(health_and_readiness_need_no_access_rights),
        cmocka_unit_test(routes_are_exact_or_prefixes),
        cmocka_unit_test(responses_have_the_security_fields_for_browsers),
        cmocka_unit_test(without_a_token_only_requests_for_loopback_are_served),
        cmocka_unit_test(on_other_addresses_only_health_is_served_without_access_control),
        cmocka_unit_test(a_valid_token_grants_access),
        cmocka_unit_test(a_long_response_is_sent_completely),
        cmocka_unit_test(unread_long_responses_are_limited),
        cmocka_unit_test(a_stream_continues_until_the_client_disconnects),
        cmocka_unit_test(a_stream_ends_when_the_client_closes_the_connection),
        cmocka_unit_test(streams_beyond_the_cap_are_refused),
        cmocka_unit_test(parameters_are_decoded),
        cmocka_unit_test(an_admin_without_clients_stops_at_once),
    };
    log_configure(LOG_ERROR, LOG_FORMAT_TEXT);
    alarm(60);
    return cmocka_run_group_tests_name("ingress/admin", tests, NULL, NULL);
}
