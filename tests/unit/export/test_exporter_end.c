// How the exporter ends: drained in time, or destroyed with requests and settlements under way.
#include "world.h"

#include <event2/event.h>

static void draining_empties_the_outbox_and_calls_back(void **state)
{
    static struct world world;
    (void)state;
    world_init(&world, reply_ok);
    fake_add_many(200);
    world_create(&world);
    exporter_start(world.exporter);
    exporter_drain(world.exporter, NS_PER_HOUR, on_drained_world, &world);
    world_run_until(&world, world_is_drained);
    expect_each_accepted_once(&world);
    // Nothing new is read after that.
    fake_add();
    exporter_wake(world.exporter);
    world.drains = 0;
    for (int i = 0; i < 20; i++)
        event_base_loop(net_loop_base(world.loop), EVLOOP_ONCE | EVLOOP_NONBLOCK);
    assert_int_equal(fake_count(fake_is_in_outbox), 1);
    assert_int_equal(world.drains, 0);
    world_release(&world);
}

static void draining_calls_back_when_there_is_nothing_to_do(void **state)
{
    (void)state;
    for (int is_started = 0; is_started < 2; is_started++) {
        static struct world world;
        world_init(&world, reply_ok);
        world_create(&world);
        if (is_started)
            exporter_start(world.exporter);
        else
            fake_add();
        exporter_drain(world.exporter, NS_PER_HOUR, on_drained_world, &world);
        assert_int_equal(world.drains, 0); // not from inside
        world_run_until(&world, world_is_drained);
        assert_int_equal(collector_get(&world.collector, &world.collector.connections), 0);
        world_release(&world);
    }
}

static bool has_failed_once(struct world *world)
{
    return world_counters(world).consecutive_failures >= 1;
}

static void draining_tries_a_dead_collector_once_more(void **state)
{
    static struct world world;
    (void)state;
    world_init(&world, reply_retry);
    world.options.backoff_first = world.options.backoff_max = NS_PER_HOUR;
    world.options.in_flight_max = 1;
    fake_add_many(100);
    world_create(&world);
    exporter_start(world.exporter);
    world_run_until(&world, has_failed_once);
    exporter_drain(world.exporter, NS_PER_HOUR, on_drained_world, &world);
    world_run_until(&world, world_is_drained);
    assert_int_equal(collector_get(&world.collector, &world.collector.requests), 2);
    assert_int_equal(fake_count(fake_is_in_outbox), 100);
    world_release(&world);
}

static struct reply reply_never(struct collector *collector,
                                const struct collector_request *request)
{
    (void)collector;
    (void)request;
    return (struct reply){.bytes = NULL, .hangs = true};
}

static bool has_four_busy(struct world *world)
{
    return collector_get(&world->collector, &world->collector.busy_max) == 4 ||
           collector_get(&world->collector, &world->collector.requests) == 4;
}

static void draining_ends_with_its_time(void **state)
{
    static struct world world;
    (void)state;
    world_init(&world, reply_never);
    fake_add_many(100);
    world_create(&world);
    exporter_start(world.exporter);
    exporter_drain(world.exporter, 30 * NS_PER_MS, on_drained_world, &world);
    world_run_until(&world, world_is_drained);
    assert_int_equal(world.drains, 1);
    assert_int_equal(fake_count(fake_is_in_outbox), 100);
    world_release(&world);
}

static void draining_tries_again_what_failed_in_between(void **state)
{
    static struct world world;
    (void)state;
    world_init(&world, reply_once_per_connection);
    fake_add_many(100);
    world_create(&world);
    exporter_start(world.exporter);
    world_run_until(&world, world_is_settled);
    fake_add_many(100);
    exporter_drain(world.exporter, NS_PER_HOUR, on_drained_world, &world);
    world_run_until(&world, world_is_drained);
    expect_each_accepted_once(&world);
    world_release(&world);
}

// The first request is answered only when the drain has begun.
static bool has_begun; // guarded by the collector's mutex

static struct reply reply_retry_when_begun(struct collector *collector,
                                           const struct collector_request *request)
{
    if (request->number > 0)
        return (struct reply){.bytes = OK_ANSWER};
    pthread_mutex_lock(&collector->mutex);
    while (!has_begun)
        pthread_cond_wait(&collector->changed, &collector->mutex);
    pthread_mutex_unlock(&collector->mutex);
    return (struct reply){.bytes = RETRY_ANSWER};
}

static bool has_one_request(struct world *world)
{
    return collector_get(&world->collector, &world->collector.requests) == 1;
}

static void what_was_under_way_when_draining_began_gets_its_last_try(void **state)
{
    static struct world world;
    (void)state;
    has_begun = false;
    world_init(&world, reply_retry_when_begun);
    world.options.backoff_first = world.options.backoff_max = NS_PER_HOUR;
    world.options.in_flight_max = 1;
    fake_add_many(30);
    world_create(&world);
    exporter_start(world.exporter);
    world_run_until(&world, has_one_request);
    exporter_drain(world.exporter, NS_PER_HOUR, on_drained_world, &world);
    pthread_mutex_lock(&world.collector.mutex);
    has_begun = true;
    pthread_cond_broadcast(&world.collector.changed);
    pthread_mutex_unlock(&world.collector.mutex);
    world_run_until(&world, world_is_drained);
    expect_each_accepted_once(&world);
    world_release(&world);
}

static void destroy_on_drained(void *context)
{
    struct world *world = context;
    exporter_destroy(world->exporter);
    world->exporter = NULL;
    world->drains++;
}

static void the_exporter_may_be_destroyed_when_drained(void **state)
{
    static struct world world;
    (void)state;
    world_init(&world, reply_never);
    fake_add_many(100);
    world_create(&world);
    exporter_start(world.exporter);
    exporter_drain(world.exporter, 10 * NS_PER_MS, destroy_on_drained, &world);
    world_run_until(&world, world_is_drained);
    world_release(&world);
}

static void destroying_with_requests_in_flight_frees_everything(void **state)
{
    static struct world world;
    (void)state;
    world_init(&world, reply_never);
    fake_add_many(100);
    world_create(&world);
    exporter_start(world.exporter);
    world_run_until(&world, has_four_busy);
    world_release(&world);
}

static bool is_settling(struct world *world)
{
    return world->exporter->settles == 4;
}

static void destroying_while_the_engine_settles_waits_for_it(void **state)
{
    (void)state;
    for (int wakes = 0; wakes < 2; wakes++) {
        static struct world world;
        world_init(&world, reply_ok);
        fake.is_paused = true;
        fake_add_many(40);
        world_create(&world);
        exporter_start(world.exporter);
        world_run_until(&world, is_settling);
        if (wakes)
            exporter_wake(world.exporter);
        world_release(&world); // the engine ends after the exporter, the loop after the engine
        assert_int_equal(fake_count(fake_is_in_outbox), 0);
    }
}

static void destroying_at_once_is_fine(void **state)
{
    static struct world world;
    (void)state;
    world_init(&world, reply_ok);
    fake_add_many(1);
    world_create(&world);
    exporter_wake(world.exporter);
    exporter_start(world.exporter);
    world_release(&world);
    exporter_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        world_test(draining_empties_the_outbox_and_calls_back),
        world_test(draining_calls_back_when_there_is_nothing_to_do),
        world_test(draining_tries_a_dead_collector_once_more),
        world_test(draining_ends_with_its_time),
        world_test(draining_tries_again_what_failed_in_between),
        world_test(what_was_under_way_when_draining_began_gets_its_last_try),
        world_test(the_exporter_may_be_destroyed_when_drained),
        world_test(destroying_with_requests_in_flight_frees_everything),
        world_test(destroying_while_the_engine_settles_waits_for_it),
        world_test(destroying_at_once_is_fine),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
