// An admin listener with one route, in a loop of its own thread; and its clients.
#ifndef TEST_ADMIN_ADMIN_LOOP_H
#define TEST_ADMIN_ADMIN_LOOP_H

#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "ghatrace/admin/admin.h"
#include "ghatrace/net/loop.h"

struct admin_loop {
    struct net_loop *loop; // made by the test, and destroyed by it after admin_loop_stop()
    struct admin *admin;
    struct admin_route route;
    pthread_t thread;
};

static inline void *admin_loop_run(void *context)
{
    net_loop_run(context);
    return NULL;
}

static inline void admin_loop_continue(struct admin_loop *of)
{
    assert_int_equal(pthread_create(&of->thread, NULL, admin_loop_run, of->loop), 0);
}

static inline void admin_loop_pause(struct admin_loop *of)
{
    net_loop_stop(of->loop);
    assert_int_equal(pthread_join(of->thread, NULL), 0);
}

static inline void admin_loop_start(struct admin_loop *of, struct admin_route route)
{
    struct admin_options options = {.routes = &of->route, .route_count = 1};
    struct error error;
    of->route = route;
    assert_int_equal(net_address_parse(SLICE("127.0.0.1:0"), &options.listen, &error), ERROR_NONE);
    assert_int_equal(admin_start(of->loop, &options, NULL, &of->admin, &error), ERROR_NONE);
    admin_loop_continue(of);
}

static inline void admin_loop_stop(struct admin_loop *of)
{
    admin_loop_pause(of);
    admin_stop(of->admin);
}

// Returns the socket of a client that has sent this.
static inline int admin_loop_send(const struct admin_loop *of, const char *request)
{
    const struct net_address *address = admin_address(of->admin);
    size_t len = strlen(request);
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_true(fd >= 0);
    assert_int_equal(
        connect(fd, (const struct sockaddr *)&address->storage, (socklen_t)address->len), 0);
    assert_int_equal(write(fd, request, len), len);
    return fd;
}

static inline int admin_loop_ask(const struct admin_loop *of, const char *method,
                                 const char *target)
{
    char request[500];
    (void)snprintf(request, sizeof request,
                   "%s %s HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", method,
                   target);
    return admin_loop_send(of, request);
}

// Reads until the server closes the connection.
static inline void admin_loop_expect(int fd, int status, const char *part)
{
    char text[4096];
    size_t len = 0;
    ssize_t count;
    while (len < sizeof text - 1 && (count = read(fd, text + len, sizeof text - 1 - len)) > 0)
        len += (size_t)count;
    text[len] = '\0';
    close(fd);
    assert_true(len > 12);
    assert_int_equal(strtol(text + 9, NULL, 10), status);
    if (strstr(text, part) == NULL)
        fail_msg("no %s in: %s", part, text);
}

#endif
