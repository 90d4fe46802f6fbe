// Records of other programs beside ours: whatever the collector does with theirs, ours arrive as if they were alone.
#include "world.h"

static bool is_theirs(unsigned number)
{
    return fake.records[number].is_forwarded;
}

static unsigned requests_of_ours, requests_of_theirs;
static struct reply reply_to_theirs;

// A request never has both.
static struct reply reply_apart(struct collector *collector,
                                const struct collector_request *request)
{
    size_t theirs = 0;
    pthread_mutex_lock(&fake.mutex);
    for (unsigned i = 1; i <= fake.last; i++)
        theirs += is_theirs(i) && collector_has(request, i) ? 1 : 0;
    pthread_mutex_unlock(&fake.mutex);
    if (theirs > 0 && theirs != request->record_count)
        abort();
    pthread_mutex_lock(&collector->mutex);
    requests_of_theirs += theirs > 0 ? 1 : 0;
    requests_of_ours += theirs > 0 ? 0 : 1;
    pthread_mutex_unlock(&collector->mutex);
    return theirs > 0 ? reply_to_theirs : (struct reply){.bytes = OK_ANSWER};
}

static bool is_all_of_ours_settled(struct world *world)
{
    (void)world;
    return fake_count(fake_is_in_outbox) == fake_count(fake_is_forwarded);
}

static bool has_tried_theirs(struct world *world)
{
    return is_all_of_ours_settled(world) &&
           collector_get(&world->collector, &requests_of_theirs) > 0;
}

static void expect_ours_untouched(struct world *world)
{
    struct export_status status;
    for (unsigned i = 1; i <= fake.last; i++) {
        if (is_theirs(i))
            continue;
        assert_int_equal(collector_get(&world->collector, &world->collector.arrived[i]), 1);
        assert_int_equal(fake.records[i].settles, 1);
        assert_false(fake.records[i].is_dead || fake.records[i].is_quarantined);
    }
    exporter_read_status(world->exporter, &status);
    assert_false(status.is_troubled);
    assert_int_equal(status.quarantined_records, 0);
    assert_int_equal(status.failures, 0);
}

static const struct reply manners[] = {
    {.bytes = BAD_SPAN_ANSWER},
    {.bytes = "HTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\n"},
    {.bytes = "HTTP/1.1 503 X\r\nRetry-After: 3600\r\nContent-Length: 0\r\n\r\n"},
    {.bytes = "HTTP/1.1 413 X\r\nContent-Length: 0\r\n\r\n"},
    {.bytes = "HTTP/1.1 401 X\r\nContent-Length: 0\r\n\r\n"},
    {.bytes = NULL, .closes = true},
    {.bytes = NULL, .hangs = true},
};
#define MANNERS (sizeof manners / sizeof manners[0])

static void ours_need_as_many_requests_as_without_them(void **state)
{
    static struct world world;
    (void)state;
    for (size_t i = 0; i < MANNERS; i++) {
        world_init(&world, reply_apart);
        requests_of_ours = requests_of_theirs = 0;
        reply_to_theirs = manners[i];
        world.options.in_flight_max = 1;
        for (unsigned k = 0; k < 50; k++) {
            fake_add();
            fake_add_forwarded();
        }
        world_create(&world);
        exporter_start(world.exporter);
        world_run_until(&world, has_tried_theirs);
        for (unsigned k = 0; k < 10; k++) {
            fake_add();
            exporter_wake(world.exporter);
            world_run_until(&world, is_all_of_ours_settled);
        }
        expect_ours_untouched(&world);
        assert_int_equal(collector_get(&world.collector, &requests_of_ours), 5 + 10);
        world_release(&world);
    }
}

// The one request that ours may have is in use, and more wait: theirs are not sent before.
static void ours_are_sent_first_where_both_wait(void **state)
{
    static struct world world;
    (void)state;
    world_init(&world, reply_ok);
    world.options.in_flight_max = 1;
    fake_add_forwarded();
    fake_add_many(35);
    world_create(&world);
    world_deliver(&world);
    assert_int_equal(collector_get(&world.collector, &world.collector.busy_max), 1);
    assert_int_equal(world.collector.accepted[1], 1);
    expect_each_accepted_once(&world);
    world_release(&world);
}

static bool are_theirs_dead(struct world *world)
{
    // Ours are the evidence that the endpoint works.
    if (world->ticks % 8 == 0 && fake.last < FAKE_RECORDS_MAX - 1) {
        fake_add();
        exporter_wake(world->exporter);
    }
    return fake_count(fake_is_dead) == 20 && world_is_settled(world);
}

static void what_is_refused_of_theirs_becomes_dead_letters_and_nothing_of_ours(void **state)
{
    static struct world world;
    (void)state;
    world_init(&world, reply_apart);
    reply_to_theirs = manners[0];
    for (unsigned k = 0; k < 20; k++)
        fake_add_forwarded();
    world_create(&world);
    exporter_start(world.exporter);
    world_run_until(&world, are_theirs_dead);
    expect_ours_untouched(&world);
    for (unsigned i = 1; i <= fake.last; i++)
        assert_int_equal(fake.records[i].is_dead, is_theirs(i));
    world_release(&world);
}

static bool has_failed(struct world *world)
{
    return world->exporter->plan.breaker.failures == 1;
}

// Where the endpoint refuses ours, theirs wait, and their arrival sends no probe.
static void theirs_wait_while_the_endpoint_accepts_nothing(void **state)
{
    static struct world world;
    (void)state;
    world_init(&world, reply_retry);
    world.options.backoff_first = world.options.backoff_max = NS_PER_HOUR;
    fake_add();
    world_create(&world);
    exporter_start(world.exporter);
    world_run_until(&world, has_failed);
    for (unsigned k = 0; k < 5; k++) {
        fake_add_forwarded();
        exporter_wake(world.exporter);
        world_run_until(&world, world_has_rested);
    }
    assert_true(collector_get(&world.collector, &world.collector.requests) <= 2);
    for (unsigned i = 2; i <= fake.last; i++)
        assert_int_equal(world.collector.arrived[i], 0);
    world_release(&world);
}

static bool has_asked(struct world *world)
{
    return collector_get(&world->collector, &requests_of_theirs) > 0;
}

static void a_drain_does_not_wait_for_theirs(void **state)
{
    static struct world world;
    (void)state;
    world_init(&world, reply_apart);
    requests_of_theirs = 0;
    reply_to_theirs = (struct reply){.bytes = NULL, .hangs = true};
    fake_add_forwarded();
    world_create(&world);
    exporter_start(world.exporter);
    world_run_until(&world, has_asked);
    fake_add_many(5);
    exporter_drain(world.exporter, NS_PER_HOUR, on_drained_world, &world);
    world_run_until(&world, world_is_drained);
    assert_int_equal(fake_count(fake_is_in_outbox), 1);
    expect_ours_untouched(&world);
    world_release(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        world_test(ours_need_as_many_requests_as_without_them),
        world_test(ours_are_sent_first_where_both_wait),
        world_test(what_is_refused_of_theirs_becomes_dead_letters_and_nothing_of_ours),
        world_test(theirs_wait_while_the_endpoint_accepts_nothing),
        world_test(a_drain_does_not_wait_for_theirs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
