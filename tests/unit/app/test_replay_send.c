// Sending, against a server on loopback that keeps to a script.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../../src/app/replay.h"
#include "ghatrace/base/memory.h"
#include "ghatrace/http/parse.h"

#define OK "HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\nok"
#define OK_CLOSE "HTTP/1.1 202 Accepted\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok"
#define REQUESTS_MAX 32

// What the server does, one letter for each request: 'a' answers, 'c' answers and closes, 'x' closes
// without an answer, 's' answers, then closes without saying so, 'g' sends garbage, 'e' answers 413
// when it has seen the head and closes, 'u' answers until the end of the connection.
struct server {
    int listener;
    const char *script;
    size_t served;      // letters used up
    size_t connections; // accepted
    char guids[REQUESTS_MAX][64];
    pthread_t thread;
};

static void send_text(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

// Reads one request, up to its head's end if `head_only`. False: the client closed.
static bool read_request(struct server *server, int fd, struct http_parser *parser, bool head_only)
{
    char byte;
    while (recv(fd, &byte, 1, 0) == 1) {
        size_t consumed;
        enum http_progress progress = http_parser_feed(parser, &byte, 1, &consumed);
        if (progress == HTTP_HEAD_DONE) {
            struct slice guid = http_head_get(&parser->message, SLICE("X-GitHub-Delivery"), NULL);
            (void)snprintf(server->guids[server->served], sizeof server->guids[0], "%.*s",
                           SLICE_ARGS(guid));
            if (head_only)
                return true;
            progress = http_parser_feed(parser, &byte, 0, &consumed);
        }
        if (progress == HTTP_MESSAGE_DONE)
            return true;
        if (progress == HTTP_REFUSED)
            return false;
    }
    return false;
}

// Serves one letter; false when the connection is over.
static bool serve_request(struct server *server, int fd)
{
    struct http_parser parser;
    char letter = server->script[server->served];
    http_parser_init(&parser, 8 << 20);
    bool is_read = letter != '\0' && read_request(server, fd, &parser, letter == 'e');
    http_parser_release(&parser);
    if (!is_read)
        return false;
    server->served++;
    if (letter == 'a' || letter == 's')
        send_text(fd, OK);
    if (letter == 'c')
        send_text(fd, OK_CLOSE);
    if (letter == 'g')
        send_text(fd, "SSH-2.0-OpenSSH_9.2\r\n\r\n");
    if (letter == 'u')
        send_text(fd, "HTTP/1.1 200 OK\r\n\r\nuntil the end");
    if (letter == 'e') {
        send_text(fd, "HTTP/1.1 413 Content Too Large\r\nConnection: close\r\n"
                      "Content-Length: 0\r\n\r\n");
        (void)shutdown(fd, SHUT_WR);
        char rest[4096];
        while (recv(fd, rest, sizeof rest, 0) > 0) // else a reset could overtake the answer
            ;
    }
    return letter == 'a';
}

// Takes one connection after the other until the script is over.
static void *serve(void *context)
{
    struct server *server = context;
    while (server->script[server->served] != '\0') {
        int fd = accept(server->listener, NULL, NULL);
        if (fd < 0)
            break;
        server->connections++;
        while (serve_request(server, fd))
            ;
        close(fd);
    }
    return NULL;
}

struct scene {
    struct server server;
    struct replay_plan plan;
    struct replay_delivery deliveries[2];
    uint32_t order[REQUESTS_MAX];
    struct error error;
    size_t answers;
    int statuses[REQUESTS_MAX];
    char bodies[REQUESTS_MAX][32];
};

static void take_answer(void *context, const struct replay_answer *answer)
{
    struct scene *scene = context;
    assert_true(answer->took >= 0);
    (void)snprintf(scene->bodies[scene->answers], sizeof scene->bodies[0], "%.*s",
                   SLICE_ARGS(answer->body));
    scene->statuses[scene->answers++] = answer->status;
}

static void listen_on_loopback(struct scene *scene)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    socklen_t len = sizeof address;
    scene->server.listener = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(scene->server.listener, (struct sockaddr *)&address, len), 0);
    assert_int_equal(listen(scene->server.listener, 16), 0);
    assert_int_equal(getsockname(scene->server.listener, (struct sockaddr *)&address, &len), 0);
    char url[64];
    (void)snprintf(url, sizeof url, "http://127.0.0.1:%u/webhook",
                   (unsigned)ntohs(address.sin_port));
    assert_int_equal(export_endpoint_parse(slice_from_string(url), EXPORT_URL_WHOLE,
                                           &scene->plan.target, &scene->error),
                     ERROR_NONE);
}

static void prepare(struct scene *scene, const char *script, size_t count)
{
    *scene = (struct scene){.server = {.script = script}};
    for (size_t i = 0; i < 2; i++) {
        scene->deliveries[i] = (struct replay_delivery){.name = i == 0 ? "first" : "second",
                                                        .event = SLICE("ping"),
                                                        .occurred_at = 1788409017569000000,
                                                        .body = SLICE("{\"zen\":\"x\"}")};
        replay_make_guid(1788409017569000000 + (timestamp_ns)i * 1000, scene->deliveries[i].digest,
                         scene->deliveries[i].guid);
    }
    for (size_t i = 0; i < REQUESTS_MAX; i++)
        scene->order[i] = i % 2;
    scene->plan = (struct replay_plan){
        .deliveries = scene->deliveries, .order = scene->order, .count = count, .connections = 1};
    listen_on_loopback(scene);
    assert_int_equal(pthread_create(&scene->server.thread, NULL, serve, &scene->server), 0);
}

static enum error_code run(struct scene *scene)
{
    enum error_code code = replay_send(&scene->plan, take_answer, scene, &scene->error);
    (void)shutdown(scene->server.listener, SHUT_RDWR); // wakes accept()
    assert_int_equal(pthread_join(scene->server.thread, NULL), 0);
    close(scene->server.listener);
    return code;
}

static void requests_go_over_one_connection_in_their_order(void **state)
{
    (void)state;
    struct scene scene;
    prepare(&scene, "aaaa", 4);
    if (run(&scene) != ERROR_NONE)
        fail_msg("%s", scene.error.message);
    assert_int_equal(scene.answers, 4);
    assert_int_equal(scene.server.connections, 1);
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(scene.statuses[i], 202);
        assert_string_equal(scene.bodies[i], "ok");
        assert_string_equal(scene.server.guids[i], scene.deliveries[i % 2].guid);
    }
}

static void a_connection_that_closes_is_followed_by_another(void **state)
{
    (void)state;
    static const struct {
        const char *script;
        size_t answers, connections;
    } cases[] = {
        {"ccc", 3, 3},  // said so
        {"sss", 3, 3},  // did not say so: found closed, sent again
        {"axa", 2, 2},  // an old connection closes on a request: sent again
        {"xxxa", 1, 4}, // new ones do, too: a few times
        {"uuu", 3, 3},  // the end of the connection ends the answer
        {"acasa", 5, 3},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct scene scene;
        prepare(&scene, cases[i].script, cases[i].answers);
        if (run(&scene) != ERROR_NONE)
            fail_msg("%s: %s", cases[i].script, scene.error.message);
        assert_int_equal(scene.answers, cases[i].answers);
        assert_int_equal(scene.server.connections, cases[i].connections);
    }
}

static void a_request_that_was_sent_again_has_the_same_guid(void **state)
{
    (void)state;
    struct scene scene;
    prepare(&scene, "axa", 2);
    scene.plan.fresh_guids = true;
    assert_int_equal(run(&scene), ERROR_NONE);
    assert_string_not_equal(scene.server.guids[0], scene.server.guids[1]);
    assert_string_equal(scene.server.guids[1], scene.server.guids[2]);
}

static void fresh_guids_differ_for_the_same_delivery(void **state)
{
    (void)state;
    struct scene scene;
    prepare(&scene, "aaaa", 4);
    scene.plan.fresh_guids = true;
    assert_int_equal(run(&scene), ERROR_NONE);
    assert_string_not_equal(scene.server.guids[0], scene.server.guids[2]);
    // The time is the event's all the same.
    assert_int_equal(strncmp(scene.server.guids[0], scene.server.guids[2], 18), 0);
}

static void an_early_refusal_is_heard(void **state)
{
    (void)state;
    static char body[4 << 20];
    struct scene scene;
    memset(body, ' ', sizeof body);
    prepare(&scene, "e", 1);
    scene.deliveries[0].body = (struct slice){.data = body, .len = sizeof body};
    if (run(&scene) != ERROR_NONE)
        fail_msg("%s", scene.error.message);
    assert_int_equal(scene.statuses[0], 413);
}

static void a_server_that_does_not_answer_properly_is_an_error(void **state)
{
    (void)state;
    static const struct {
        const char *script, *message;
    } cases[] = {
        {"xxxxxx", "closed the connection without an answer"}, // again and again
        {"axxxxxxx", "second: "},
        {"g", "first: "},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct scene scene;
        prepare(&scene, cases[i].script, 3);
        assert_int_equal(run(&scene), ERROR_NETWORK);
        if (strstr(scene.error.message, cases[i].message) == NULL)
            assert_string_equal(scene.error.message, cases[i].message);
    }
}

static void nobody_there_is_an_error(void **state)
{
    (void)state;
    struct scene scene;
    prepare(&scene, "", 1);
    (void)shutdown(scene.server.listener, SHUT_RDWR);
    assert_int_equal(pthread_join(scene.server.thread, NULL), 0);
    close(scene.server.listener);
    assert_int_equal(replay_send(&scene.plan, take_answer, &scene, &scene.error), ERROR_NETWORK);
    assert_non_null(strstr(scene.error.message, "Connection refused"));
    assert_non_null(strstr(scene.error.message, scene.plan.target.host_header));
}

static void every_refused_allocation_ends_the_sending(void **state)
{
    (void)state;
    // Of the client alone: the server's thread allocates, too, so a fault may hit either.
    for (long i = 0; i < 3; i++) {
        struct scene scene;
        prepare(&scene, "", 1);
        memory_fail_after(i);
        enum error_code code = replay_send(&scene.plan, take_answer, &scene, &scene.error);
        memory_fail_after(-1);
        assert_int_equal(code, ERROR_MEMORY);
        (void)shutdown(scene.server.listener, SHUT_RDWR);
        assert_int_equal(pthread_join(scene.server.thread, NULL), 0);
        close(scene.server.listener);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_go_over_one_connection_in_their_order),
        cmocka_unit_test(a_connection_that_closes_is_followed_by_another),
        cmocka_unit_test(a_request_that_was_sent_again_has_the_same_guid),
        cmocka_unit_test(fresh_guids_differ_for_the_same_delivery),
        cmocka_unit_test(an_early_refusal_is_heard),
        cmocka_unit_test(a_server_that_does_not_answer_properly_is_an_error),
        cmocka_unit_test(nobody_there_is_an_error),
        cmocka_unit_test(every_refused_allocation_ends_the_sending),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
