// A client with a plain blocking socket, and its server.
#ifndef TEST_INGRESS_CLIENT_H
#define TEST_INGRESS_CLIENT_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fake_engine.h"
#include "ghatrace/base/digest.h"
#include "ghatrace/base/slice.h"
#include "ghatrace/webhook/webhook.h"

#define SECRET "It's a Secret to Everybody"
#define GUID "4d8ed510-a74e-11f1-8000-000000000000"
#define GUID_TIME INT64_C(1788409017569) // in ms: 2026-09-03T04:16:57.569Z

#define REPOSITORY                                                                                 \
    "\"repository\":{\"full_name\":\"acme/rocket\",\"name\":\"rocket\",\"owner\":{\"login\":"      \
    "\"acme\"},\"html_url\":\"https://github.com/acme/rocket\"}"
#define JOB                                                                                        \
    "{\"action\":\"queued\",\"workflow_job\":{\"id\":100520616165,\"run_id\":33714470481,"         \
    "\"name\":\"build\",\"labels\":[\"ubuntu-latest\"]}," REPOSITORY "}"
#define JSON_TYPE "application/json"
#define FORM_TYPE "application/x-www-form-urlencoded"

struct server {
    struct ingress_secrets *secrets;
    struct ingress *ingress;
};

static inline void server_set_secrets(struct server *server, const char *first, const char *second)
{
    struct slice items[2] = {slice_from_string(first), slice_from_string(second)};
    struct error error;

    assert_int_equal(
        ingress_secrets_replace(server->secrets, items, second != NULL ? 2 : 1, &error),
        ERROR_NONE);
}

static inline struct ingress_options server_options(void)
{
    struct ingress_options options = {.webhook_path = "/webhook",
                                      .threads = 1,
                                      .max_payload_bytes = 256 * 1024,
                                      .payload_memory_bytes = 512 * 1024,
                                      .max_connections = 20};
    struct error error;

    assert_int_equal(net_address_parse(SLICE("127.0.0.1:0"), &options.listen, &error), ERROR_NONE);
    return options;
}

static inline void server_start(struct server *server, struct ingress_options options)
{
    struct error error;

    assert_int_equal(ingress_secrets_create(&server->secrets, &error), ERROR_NONE);
    server_set_secrets(server, SECRET, NULL);
    options.secrets = server->secrets;
    assert_int_equal(ingress_start(NULL, &options, &server->ingress, &error), ERROR_NONE);
}

static inline void server_end(struct server *server)
{
    ingress_stop(server->ingress, 0);
    ingress_destroy(server->ingress);
    ingress_secrets_destroy(server->secrets);
}

// --- the client -----------------------------------------------------------------------------------

static inline int connect_to(const struct net_address *address)
{
    struct timeval patience = {.tv_sec = 20}; // a test that waits in vain fails
    int fd = socket(address->storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience), 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&address->storage, address->len), 0);
    return fd;
}

static inline int connect_client(const struct server *server)
{
    return connect_to(ingress_address(server->ingress));
}

static inline void send_bytes(int fd, const char *data, size_t len)
{
    while (len > 0) {
        ssize_t sent = send(fd, data, len, MSG_NOSIGNAL);
        assert_true(sent > 0);
        data += sent;
        len -= (size_t)sent;
    }
}

static inline void send_text(int fd, const char *text)
{
    send_bytes(fd, text, strlen(text));
}

struct response {
    int status;
    char head[2048];
    char body[4096];
    bool keep_alive;
};

// Reads one response; status 0 when the server closed instead.
static inline struct response receive_response(int fd, bool has_body)
{
    struct response response = {0};
    size_t len = 0;

    while (len < sizeof response.head - 1 && strstr(response.head, "\r\n\r\n") == NULL) {
        ssize_t got = recv(fd, response.head + len, 1, 0);
        if (got <= 0) {
            assert_int_equal(got, 0);
            assert_int_equal(len, 0);
            return response;
        }
        len += (size_t)got;
    }
    assert_int_equal(sscanf(response.head, "HTTP/1.1 %d ", &response.status), 1);
    response.keep_alive = strstr(response.head, "Connection: close") == NULL;
    const char *length = strstr(response.head, "Content-Length: ");
    size_t body_len = length != NULL ? strtoul(length + 16, NULL, 10) : 0;
    assert_true(body_len < sizeof response.body);
    if (has_body && body_len > 0)
        assert_int_equal(recv(fd, response.body, body_len, MSG_WAITALL), (int)body_len);
    return response;
}

static inline void expect_answer(int fd, int status, const char *body)
{
    struct response response = receive_response(fd, true);

    assert_int_equal(response.status, status);
    if (body != NULL)
        assert_string_equal(response.body, body);
}

static inline void expect_closed(int fd)
{
    char byte;

    assert_int_equal(recv(fd, &byte, 1, 0), 0);
}

static inline void sign(const char *secret, const char *body, size_t len, char text[72])
{
    uint8_t digest[SHA256_SIZE];
    struct slice data = {.data = body, .len = len};

    memcpy(text, "sha256=", 7);
    assert_true(digest_hmac_sha256(slice_from_string(secret), data, digest));
    hex_encode(digest, sizeof digest, text + 7);
}

// A whole signed request, as GitHub makes it. Free it.
static inline char *signed_request(const char *event, const char *type, const char *body)
{
    size_t room = strlen(body) + 1024;
    char *text = malloc(room);
    char signature[72];

    assert_non_null(text);
    sign(SECRET, body, strlen(body), signature);
    snprintf(
        text, room,
        "POST /webhook HTTP/1.1\r\nHost: example.org\r\nUser-Agent: GitHub-Hookshot/1234567\r\n"
        "X-GitHub-Event: %s\r\nX-GitHub-Delivery: " GUID "\r\nContent-Type: %s\r\n"
        "X-Hub-Signature-256: %s\r\nContent-Length: %zu\r\n\r\n%s",
        event, type, signature, strlen(body), body);
    return text;
}

static inline void send_delivery(int fd, const char *event, const char *type, const char *body)
{
    char *request = signed_request(event, type, body);

    send_text(fd, request);
    free(request);
}

static inline void send_job(int fd)
{
    send_delivery(fd, "workflow_job", JSON_TYPE, JOB);
}

#endif
