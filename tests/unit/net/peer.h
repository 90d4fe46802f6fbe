// A scripted owner of a connection, for the tests of connections and listeners.
#ifndef TEST_NET_PEER_H
#define TEST_NET_PEER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sys/socket.h>
#include <unistd.h>

#include "ghatrace/base/buffer.h"
#include "ghatrace/net/connection.h"

struct peer {
    struct net_loop *loop;
    struct net_connection *connection; // NULL once closed
    struct buffer taken;               // what on_data took
    size_t take_max;                   // bytes per on_data
    size_t largest_offer;
    size_t pause_at; // pauses when so many bytes were taken; 0: never
    size_t stop_at;  // stops the loop when so many bytes were taken; 0: never
    bool echoes;
    bool closes_on_data, finishes_on_data;
    const char *answer; // written before finishing
    bool keeps_open_at_end;
    bool stops_at_end;
    duration_ns timeout_renewal; // set again by on_timeout; 0: not
    bool answers_timeout;
    int ends, timeouts, sends, closes;
    enum net_close_reason reason;
    struct error error;
};

static void peer_answer(struct peer *peer)
{
    assert_int_equal(net_connection_write(peer->connection, peer->answer, strlen(peer->answer)),
                     ERROR_NONE);
    net_connection_finish(peer->connection);
}

static size_t peer_on_data(void *context, const char *data, size_t len)
{
    struct peer *peer = context;
    size_t taken = len < peer->take_max ? len : peer->take_max;

    assert_int_equal(peer->closes, 0);
    if (len > peer->largest_offer)
        peer->largest_offer = len;
    assert_int_equal(buffer_append(&peer->taken, data, taken), ERROR_NONE);
    if (peer->echoes)
        assert_int_equal(net_connection_write(peer->connection, data, taken), ERROR_NONE);
    if (peer->closes_on_data)
        net_connection_close(peer->connection);
    if (peer->finishes_on_data)
        peer_answer(peer);
    if (peer->pause_at > 0 && peer->taken.len >= peer->pause_at)
        net_connection_pause(peer->connection);
    if (peer->stop_at > 0 && peer->taken.len >= peer->stop_at)
        net_loop_stop(peer->loop);
    return taken;
}

static bool peer_on_end(void *context)
{
    struct peer *peer = context;

    peer->ends++;
    if (peer->stops_at_end)
        net_loop_stop(peer->loop);
    return peer->keeps_open_at_end;
}

static void peer_on_sent(void *context)
{
    struct peer *peer = context;

    assert_int_equal(net_connection_unsent(peer->connection), 0);
    peer->sends++;
    net_loop_stop(peer->loop);
}

static void peer_on_timeout(void *context)
{
    struct peer *peer = context;

    peer->timeouts++;
    if (peer->answers_timeout)
        peer_answer(peer);
    else if (peer->timeout_renewal > 0)
        net_connection_set_deadline(peer->connection, peer->timeout_renewal);
    peer->timeout_renewal = 0;
}

static void peer_on_closed(void *context, enum net_close_reason reason, const struct error *error)
{
    struct peer *peer = context;

    peer->closes++;
    peer->connection = NULL;
    peer->reason = reason;
    peer->error = *error;
    net_loop_stop(peer->loop);
}

static const struct net_handler peer_handler = {
    .on_data = peer_on_data,
    .on_end = peer_on_end,
    .on_sent = peer_on_sent,
    .on_timeout = peer_on_timeout,
    .on_closed = peer_on_closed,
};

static inline void peer_init(struct peer *peer, struct net_loop *loop)
{
    *peer = (struct peer){.loop = loop, .take_max = SIZE_MAX};
    buffer_init(&peer->taken, (size_t)64 << 20);
}

// Runs the loop until the peer's connection is closed.
static inline void peer_run_until_closed(struct peer *peer)
{
    while (peer->closes == 0)
        net_loop_run(peer->loop);
    assert_int_equal(peer->closes, 1);
}

static inline void peer_release(struct peer *peer)
{
    if (peer->connection != NULL) {
        net_connection_close(peer->connection);
        peer_run_until_closed(peer);
    }
    buffer_release(&peer->taken);
}

static inline void stop_loop(void *loop)
{
    net_loop_stop(loop);
}

// Runs the loop for a while: for things that must not happen.
static inline void run_for(struct net_loop *loop, duration_ns time)
{
    struct net_timer *timer;
    struct error error;

    assert_int_equal(net_timer_create(loop, stop_loop, loop, &timer, &error), ERROR_NONE);
    net_timer_set(timer, time);
    net_loop_run(loop);
    net_timer_destroy(timer);
}

// 1 MiB repeated without a short period, so that lost, doubled and swapped pieces show.
static inline char pattern_at(size_t i)
{
    return (char)((i * 2654435761u) >> 13);
}

#endif
