// An exporter between a fake store and a fake collector.
#ifndef TEST_EXPORT_WORLD_H
#define TEST_EXPORT_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../../src/export/exporter_private.h"
#include "fake_collector.h"
#include "fake_store.h"
#include "ghatrace/base/log.h"
#include "ghatrace/base/memory.h"

#define RETRY_ANSWER "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n"
#define WATCHDOG_TICKS 5000 // of 2 ms and more: far beyond any test, for what would hang forever

struct world {
    struct net_loop *loop;
    struct exporter *exporter;
    struct export_options options;
    struct collector collector;
    struct net_timer *ticker;
    bool (*is_done)(struct world *world);
    unsigned ticks;
    unsigned drains; // times that the drain called back
    unsigned dead_expected;
};

// What a failed test left behind; its memory is static.
static struct world *world_alive;

#define world_test(function) cmocka_unit_test_teardown(function, world_clean_up)

static inline uint64_t no_jitter(void *context)
{
    (void)context;
    return 0;
}

static inline void world_use_port(struct world *world, const char *host, unsigned port)
{
    char url[128];
    struct error error;
    snprintf(url, sizeof url, "http://%s:%u", host, port);
    assert_int_equal(export_endpoint_parse(slice_from_string(url), EXPORT_URL_BASE,
                                           &world->options.endpoint, &error),
                     ERROR_NONE);
}

static inline void world_tick(void *context)
{
    struct world *world = context;
    if (++world->ticks > WATCHDOG_TICKS)
        fail_msg("waited in vain: %s at %llu failures, %zu parts, %zu quarantined, %llu requests",
                 world->exporter != NULL && world->exporter->plan.breaker.state != BREAKER_CLOSED
                     ? "outage"
                     : "works",
                 (unsigned long long)world->exporter->plan.breaker.failures,
                 world->exporter->plan.part_count, world->exporter->plan.quarantine.count,
                 (unsigned long long)world->exporter->counters.requests);
    if (world->is_done(world))
        net_loop_stop(world->loop);
    else
        net_timer_set(world->ticker, 2 * NS_PER_MS);
}

// The options may be changed before world_create().
static inline void world_init(struct world *world, collector_script script)
{
    *world = (struct world){.options = {.in_flight_max = 4,
                                        .batch_records_max = 10,
                                        .batch_bytes_max = 1 << 20,
                                        .timeout = 20 * NS_PER_SECOND,
                                        .backoff_first = 2 * NS_PER_MS,
                                        .backoff_max = 10 * NS_PER_MS}};
    log_configure(LOG_ERROR, LOG_FORMAT_TEXT);
    world_alive = world;
    fake_start();
    collector_start(&world->collector, script);
    world_use_port(world, "127.0.0.1", world->collector.port);
    struct error error;
    assert_int_equal(net_loop_create(&world->loop, &error), ERROR_NONE);
    world->options.loop = world->loop;
    assert_int_equal(net_timer_create(world->loop, world_tick, world, &world->ticker, &error),
                     ERROR_NONE);
}

static inline void world_tune(struct world *world, duration_ns poll)
{
    exporter_tune(world->exporter, &(struct exporter_tuning){.coalesce = NS_PER_MS,
                                                             .poll = poll,
                                                             .settle_retry = 2 * NS_PER_MS,
                                                             .random = no_jitter});
}

static inline void world_create(struct world *world)
{
    struct error error;
    assert_int_equal(exporter_create(&world->options, &world->exporter, &error), ERROR_NONE);
    world_tune(world, NS_PER_HOUR);
}

static inline void world_run_until(struct world *world, bool (*is_done)(struct world *world))
{
    world->is_done = is_done;
    world->ticks = 0;
    net_timer_set(world->ticker, 0);
    net_loop_run(world->loop);
}

// Settled in the store, and the exporter knows.
static inline bool world_is_settled(struct world *world)
{
    for (size_t i = 0; i < world->exporter->inflight_count; i++) {
        if (world->exporter->inflight[i].state != INFLIGHT_IDLE)
            return false;
    }
    return fake_count(fake_is_in_outbox) == 0;
}

static inline void world_deliver(struct world *world)
{
    exporter_start(world->exporter);
    world_run_until(world, world_is_settled);
}

static inline bool world_has_dead(struct world *world)
{
    bool has_all = fake_count(fake_is_dead) == world->dead_expected;
    if (!has_all && fake_count(fake_is_in_outbox) <= world->dead_expected &&
        world->ticks % 8 == 0 && fake.last < FAKE_RECORDS_MAX - 1) {
        fake_add();
        exporter_wake(world->exporter);
    }
    return has_all && world_is_settled(world);
}

// A refused record becomes a dead letter when another was accepted since: more are added until there is one.
static inline void world_deliver_until_dead(struct world *world, unsigned dead)
{
    world->dead_expected = dead;
    exporter_start(world->exporter);
    world_run_until(world, world_has_dead);
}

static inline void on_drained_world(void *context)
{
    struct world *world = context;
    world->drains++;
}

static inline bool world_is_drained(struct world *world)
{
    return world->drains > 0;
}

static inline struct export_counters world_counters(const struct world *world)
{
    struct export_counters counters;
    exporter_read_counters(world->exporter, &counters);
    return counters;
}

static inline void world_release(struct world *world)
{
    world_alive = NULL;
    exporter_destroy(world->exporter);
    fake_stop();
    net_timer_destroy(world->ticker);
    net_loop_destroy(world->loop);
    collector_stop(&world->collector);
    assert_int_equal(fake.open_transactions, 0);
}

static inline int world_clean_up(void **state)
{
    (void)state;
    if (world_alive != NULL)
        world_release(world_alive);
    return 0;
}

// Every record was accepted exactly once, but for those that are dead: never.
static inline void expect_each_accepted_once(struct world *world)
{
    for (uint64_t i = 1; i <= fake.last; i++) {
        unsigned accepted = collector_get(&world->collector, &world->collector.accepted[i]);
        if (accepted != (fake.records[i].is_dead ? 0 : 1))
            fail_msg("record %llu was accepted %u times", (unsigned long long)i, accepted);
        assert_int_equal(fake.records[i].settles, 1);
    }
}

// Long enough for what should not happen to happen.
static inline bool world_has_rested(struct world *world)
{
    return world->ticks > 20;
}

static inline struct reply reply_once_per_connection(struct collector *collector,
                                                     const struct collector_request *request)
{
    (void)collector;
    if (request->number_on_connection > 0)
        return (struct reply){.bytes = NULL, .closes = true};
    return (struct reply){.bytes = OK_ANSWER};
}

static inline struct reply reply_ok(struct collector *collector,
                                    const struct collector_request *request)
{
    (void)collector;
    (void)request;
    return (struct reply){.bytes = OK_ANSWER};
}

static inline struct reply reply_retry(struct collector *collector,
                                       const struct collector_request *request)
{
    (void)collector;
    (void)request;
    return (struct reply){.bytes = RETRY_ANSWER};
}

#endif
