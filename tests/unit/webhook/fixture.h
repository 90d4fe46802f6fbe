// A server with a scripted engine, and one client of it.
#ifndef TEST_INGRESS_FIXTURE_H
#define TEST_INGRESS_FIXTURE_H

#include "client.h"

#include "ghatrace/base/log.h"

#define PING "{\"zen\":\"Design for failure.\",\"hook_id\":1,\"hook\":{}}"
#define ACCEPTED "{\"status\":\"accepted\"}\n"
#define DUPLICATE "{\"status\":\"duplicate\"}\n"
#define IGNORED "{\"status\":\"ignored\"}\n"
#define PONG "{\"status\":\"pong\"}\n"

struct fixture {
    struct server server;
    int fd;
};

static inline void set_up_with(struct fixture *f, struct ingress_options options)
{
    fake_engine_reset(ENGINE_ACCEPTED, false);
    server_start(&f->server, options);
    f->fd = connect_client(&f->server);
}

static inline void set_up(struct fixture *f)
{
    set_up_with(f, server_options());
}

static inline void tear_down(struct fixture *f)
{
    close(f->fd);
    server_end(&f->server);
}

static inline struct ingress_counters counters_of(const struct fixture *f)
{
    struct ingress_counters counters;

    ingress_read_counters(f->server.ingress, &counters);
    return counters;
}

// Checks that nothing can be read. Not a proof, but an unexpected response has usually arrived by then.
static inline void expect_silence(int fd)
{
    char byte;

    usleep(20000);
    assert_int_equal(recv(fd, &byte, 1, MSG_DONTWAIT), -1);
    assert_int_equal(errno, EAGAIN);
}

#endif
