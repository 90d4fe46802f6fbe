// A collector for tests: blocking sockets, a thread for each connection, answers by script.
#ifndef TEST_EXPORT_FAKE_COLLECTOR_H
#define TEST_EXPORT_FAKE_COLLECTOR_H

#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include <zlib.h>

#define COLLECTOR_RECORDS_MAX 4096
#define COLLECTOR_CONNECTIONS_MAX 256
#define COLLECTOR_REQUEST_MAX (1 << 20)

#define OK_ANSWER                                                                                  \
    "HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\nContent-Length: 0\r\n\r\n"

// A google.rpc.Status: INVALID_ARGUMENT, "bad span".
#define BAD_SPAN_ANSWER                                                                            \
    "HTTP/1.1 400 Bad Request\r\nContent-Type: application/x-protobuf\r\n"                         \
    "Content-Length: 12\r\n\r\n\x08\x03\x12\x08"                                                   \
    "bad span"

struct reply {
    const char *bytes; // NULL: none
    size_t len;        // 0: up to the NUL
    bool byte_by_byte;
    bool closes; // afterwards
    bool hangs;  // until the collector is stopped
};

struct collector_request {
    unsigned number;               // of all, from 0
    unsigned number_on_connection; // from 0
    const char *head;              // with its empty line
    const char *body;              // NUL-terminated, not compressed
    size_t body_len;
    size_t record_count;
};

struct collector;
typedef struct reply (*collector_script)(struct collector *collector,
                                         const struct collector_request *request);

struct collector {
    int listener;
    unsigned port;
    collector_script script;
    pthread_t acceptor;
    pthread_t threads[COLLECTOR_CONNECTIONS_MAX];
    int fds[COLLECTOR_CONNECTIONS_MAX];
    pthread_mutex_t mutex; // guards all below; `changed` is signalled then
    pthread_cond_t changed;
    bool is_stopping;
    unsigned connections, requests, busy, busy_max;
    unsigned arrived[COLLECTOR_RECORDS_MAX];  // times that a record came in a request
    unsigned accepted[COLLECTOR_RECORDS_MAX]; // of those, answered with 2xx
    char last_head[4096];
};

struct collector_connection {
    struct collector *collector;
    int fd;
};

// Which records are in there? They carry "record-N;".
static inline size_t collector_count(const char *body, unsigned *counts)
{
    size_t found = 0;
    for (const char *at = strstr(body, "record-"); at != NULL; at = strstr(at + 1, "record-")) {
        unsigned long number = strtoul(at + 7, NULL, 10);
        if (number < COLLECTOR_RECORDS_MAX && counts != NULL)
            counts[number]++;
        found++;
    }
    return found;
}

static inline bool collector_has(const struct collector_request *request, unsigned number)
{
    char text[32];
    snprintf(text, sizeof text, "record-%u;", number);
    return strstr(request->body, text) != NULL;
}

// Text up to any NUL would be lost to strstr.
static inline void collector_make_text(char *body, size_t len)
{
    for (size_t i = 0; i < len; i++) {
        if (body[i] == '\0')
            body[i] = ' ';
    }
    body[len] = '\0';
}

static inline size_t collector_unpack(const char *packed, size_t len, char *plain)
{
    z_stream stream = {.next_in = (Bytef *)(uintptr_t)packed, .avail_in = (uInt)len};
    stream.next_out = (Bytef *)plain;
    stream.avail_out = COLLECTOR_REQUEST_MAX - 1;
    if (inflateInit2(&stream, 15 + 16) != Z_OK)
        return 0;
    int result = inflate(&stream, Z_FINISH);
    inflateEnd(&stream);
    return result == Z_STREAM_END ? stream.total_out : 0;
}

static inline void collector_send(struct collector *collector, int fd, const struct reply *reply)
{
    size_t len = reply->len != 0 ? reply->len : strlen(reply->bytes);
    size_t step = reply->byte_by_byte ? 1 : len;
    for (size_t sent = 0; sent < len;) {
        ssize_t n =
            send(fd, reply->bytes + sent, step < len - sent ? step : len - sent, MSG_NOSIGNAL);
        if (n <= 0)
            return;
        sent += (size_t)n;
        if (reply->byte_by_byte)
            usleep(200);
    }
    (void)collector;
}

static inline void collector_wait_for_stop(struct collector *collector)
{
    pthread_mutex_lock(&collector->mutex);
    while (!collector->is_stopping)
        pthread_cond_wait(&collector->changed, &collector->mutex);
    pthread_mutex_unlock(&collector->mutex);
}

static inline bool collector_answer(struct collector *collector, int fd,
                                    struct collector_request *request)
{
    pthread_mutex_lock(&collector->mutex);
    request->number = collector->requests++;
    request->record_count = collector_count(request->body, collector->arrived);
    snprintf(collector->last_head, sizeof collector->last_head, "%s", request->head);
    if (++collector->busy > collector->busy_max)
        collector->busy_max = collector->busy;
    pthread_cond_broadcast(&collector->changed);
    pthread_mutex_unlock(&collector->mutex);

    struct reply reply = collector->script(collector, request);

    pthread_mutex_lock(&collector->mutex);
    collector->busy--;
    if (reply.bytes != NULL &&
        (strstr(reply.bytes, "HTTP/1.1 2") != NULL || strstr(reply.bytes, "HTTP/1.0 2") != NULL))
        collector_count(request->body, collector->accepted);
    pthread_cond_broadcast(&collector->changed);
    pthread_mutex_unlock(&collector->mutex);

    if (reply.bytes != NULL)
        collector_send(collector, fd, &reply);
    if (reply.hangs)
        collector_wait_for_stop(collector);
    return !reply.closes && !reply.hangs;
}

// One request into `data`; false when the connection ended.
static inline bool collector_read(int fd, char *data, size_t *len, char **body, size_t *body_len)
{
    *len = 0;
    char *end = NULL;
    size_t wanted = 0;
    while (end == NULL || *len < (size_t)(end - data) + wanted) {
        ssize_t n = recv(fd, data + *len, COLLECTOR_REQUEST_MAX - 1 - *len, 0);
        if (n <= 0)
            return false;
        *len += (size_t)n;
        data[*len] = '\0';
        if (end == NULL && (end = strstr(data, "\r\n\r\n")) != NULL) {
            end += 4;
            char *length = strstr(data, "Content-Length: ");
            wanted = length != NULL ? strtoul(length + 16, NULL, 10) : 0;
        }
    }
    *body = end;
    *body_len = wanted;
    return true;
}

static inline void *collector_serve(void *context)
{
    struct collector_connection connection = *(struct collector_connection *)context;
    char *data = malloc(COLLECTOR_REQUEST_MAX), *plain = malloc(COLLECTOR_REQUEST_MAX);
    char head[4096];
    struct collector_request request = {0};
    size_t len, body_len;
    char *body;
    free(context);
    for (; collector_read(connection.fd, data, &len, &body, &body_len);
         request.number_on_connection++) {
        snprintf(head, sizeof head, "%.*s", (int)(body - data), data);
        if (strstr(head, "Content-Encoding: gzip") != NULL)
            body_len = collector_unpack(body, body_len, plain);
        else
            memcpy(plain, body, body_len);
        collector_make_text(plain, body_len);
        request.head = head;
        request.body = plain;
        request.body_len = body_len;
        if (!collector_answer(connection.collector, connection.fd, &request))
            break;
    }
    // The descriptor is closed by collector_stop(), so that its number is not used twice.
    shutdown(connection.fd, SHUT_RDWR);
    free(data);
    free(plain);
    return NULL;
}

static inline void *collector_accept(void *context)
{
    struct collector *collector = context;
    for (;;) {
        int fd = accept(collector->listener, NULL, NULL);
        pthread_mutex_lock(&collector->mutex);
        if (fd < 0 || collector->is_stopping ||
            collector->connections == COLLECTOR_CONNECTIONS_MAX) {
            if (fd >= 0)
                close(fd);
            pthread_mutex_unlock(&collector->mutex);
            return NULL;
        }
        struct collector_connection *connection = malloc(sizeof *connection);
        *connection = (struct collector_connection){.collector = collector, .fd = fd};
        unsigned index = collector->connections++;
        collector->fds[index] = fd;
        pthread_create(&collector->threads[index], NULL, collector_serve, connection);
        pthread_mutex_unlock(&collector->mutex);
    }
}

static inline void collector_start_at(struct collector *collector, collector_script script,
                                      in_addr_t host)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(host)};
    socklen_t len = sizeof address;
    memset(collector, 0, sizeof *collector);
    collector->script = script;
    pthread_mutex_init(&collector->mutex, NULL);
    pthread_cond_init(&collector->changed, NULL);
    collector->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(collector->listener, (struct sockaddr *)&address, sizeof address) != 0 ||
        listen(collector->listener, 64) != 0 ||
        getsockname(collector->listener, (struct sockaddr *)&address, &len) != 0)
        abort();
    collector->port = ntohs(address.sin_port);
    pthread_create(&collector->acceptor, NULL, collector_accept, collector);
}

static inline void collector_start(struct collector *collector, collector_script script)
{
    collector_start_at(collector, script, INADDR_LOOPBACK);
}

static inline void collector_stop(struct collector *collector)
{
    pthread_mutex_lock(&collector->mutex);
    collector->is_stopping = true;
    pthread_cond_broadcast(&collector->changed);
    pthread_mutex_unlock(&collector->mutex);
    shutdown(collector->listener, SHUT_RDWR);
    pthread_join(collector->acceptor, NULL);
    close(collector->listener);
    for (unsigned i = 0; i < collector->connections; i++) {
        shutdown(collector->fds[i], SHUT_RDWR);
        pthread_join(collector->threads[i], NULL);
        close(collector->fds[i]);
    }
    pthread_mutex_destroy(&collector->mutex);
    pthread_cond_destroy(&collector->changed);
}

// Any number of the collector, read while its threads run.
static inline unsigned collector_get(struct collector *collector, const unsigned *number)
{
    pthread_mutex_lock(&collector->mutex);
    unsigned value = *number;
    pthread_mutex_unlock(&collector->mutex);
    return value;
}

#endif
