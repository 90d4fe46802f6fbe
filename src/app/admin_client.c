// One question to an admin listener, over a blocking socket.
#include "ghatrace/app/admin_client.h"

#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include "ghatrace/base/digest.h"
#include "ghatrace/http/parser.h"

#define PATIENCE_SECONDS 10
#define HEAD_MAX ((size_t)8192)
#define ANSWER_MAX ((uint64_t)16 << 20)

static int try_address(const struct addrinfo *address)
{
    struct timeval limit = {.tv_sec = PATIENCE_SECONDS};
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    // On Linux the time to send bounds connect(), too.
    (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    if (connect(fd, address->ai_addr, address->ai_addrlen) == 0)
        return fd;
    int kept = errno;
    (void)close(fd);
    errno = kept;
    return -1;
}

static enum error_code open_connection(const struct export_endpoint *endpoint, int *fd,
                                       struct error *error)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *addresses = NULL;
    char port[8];
    (void)snprintf(port, sizeof port, "%u", (unsigned)endpoint->port);
    int failed = getaddrinfo(endpoint->host, port, &hints, &addresses);
    if (failed != 0)
        return error_set(error, ERROR_NETWORK, "%s: %s", endpoint->host_header,
                         gai_strerror(failed));
    *fd = -1;
    for (const struct addrinfo *each = addresses; each != NULL && *fd < 0; each = each->ai_next)
        *fd = try_address(each);
    int reason = errno;
    freeaddrinfo(addresses);
    return *fd >= 0 ? ERROR_NONE
                    : error_set(error, ERROR_NETWORK, "connect to %s: %s", endpoint->host_header,
                                reason == EINPROGRESS ? strerror(ETIMEDOUT) : strerror(reason));
}

static enum error_code send_all(int fd, const char *data, size_t len, struct error *error)
{
    while (len > 0) {
        ssize_t sent = send(fd, data, len, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR)
            continue;
        if (sent < 0)
            return error_set(error, ERROR_NETWORK, "send the question: %s", strerror(errno));
        data += sent;
        len -= (size_t)sent;
    }
    return ERROR_NONE;
}

static enum error_code ask(int fd, const struct export_endpoint *endpoint, const char *path,
                           struct slice token, struct error *error)
{
    char head[HEAD_MAX];
    int len = snprintf(head, sizeof head,
                       "GET %s HTTP/1.1\r\nHost: %s\r\nAccept: application/json\r\n"
                       "Connection: close\r\n%s%.*s%s\r\n",
                       path, endpoint->host_header, token.len > 0 ? "Authorization: Bearer " : "",
                       SLICE_ARGS(token), token.len > 0 ? "\r\n" : "");
    enum error_code code = len > 0 && (size_t)len < sizeof head
                               ? send_all(fd, head, (size_t)len, error)
                               : error_set(error, ERROR_USAGE, "the token is too long");
    digest_wipe(head, sizeof head);
    return code;
}

static enum http_progress receive(int fd, struct http_parser *parser)
{
    char chunk[16384];
    enum http_progress progress = HTTP_NEED_MORE;
    while (progress == HTTP_NEED_MORE) {
        ssize_t got = recv(fd, chunk, sizeof chunk, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return HTTP_NEED_MORE;
        if (got == 0)
            return http_parser_finish(parser);
        size_t at = 0;
        do {
            size_t consumed;
            progress = http_parser_feed(parser, chunk + at, (size_t)got - at, &consumed);
            at += consumed;
        } while (progress == HTTP_HEAD_DONE);
    }
    return progress;
}

static enum error_code judge(enum http_progress progress, const struct http_parser *parser,
                             struct error *error)
{
    if (progress == HTTP_NEED_MORE)
        return error_set(error, ERROR_NETWORK, "no answer: %s", strerror(errno));
    if (progress != HTTP_MESSAGE_DONE)
        return error_set(error, ERROR_INVALID, "what answers there does not speak HTTP");
    switch (parser->message.status) {
    case 200:
        return ERROR_NONE;
    case 401:
        return error_set(error, ERROR_INVALID,
                         "it wants a token: name its file by admin-token-file");
    case 403:
        return error_set(error, ERROR_INVALID, "it lets nobody see this from there (403)");
    case 404:
        return error_set(error, ERROR_INVALID,
                         "it does not know /api/status (404): is it ghatrace's admin-listen?");
    default:
        return error_set(error, ERROR_INVALID, "it was answered %d", parser->message.status);
    }
}

enum error_code admin_client_get(const struct export_endpoint *endpoint, const char *path,
                                 struct slice token, struct buffer *body, struct error *error)
{
    struct http_parser parser;
    int fd;
    enum error_code code = open_connection(endpoint, &fd, error);
    if (code != ERROR_NONE)
        return code;
    http_parser_init(&parser, HTTP_RESPONSE, ANSWER_MAX);
    code = ask(fd, endpoint, path, token, error);
    if (code == ERROR_NONE)
        code = judge(receive(fd, &parser), &parser, error);
    if (code == ERROR_NONE && buffer_append_slice(body, buffer_slice(&parser.body)) != ERROR_NONE)
        code = error_set(error, ERROR_MEMORY, "out of memory");
    http_parser_release(&parser);
    (void)close(fd);
    return code;
}
