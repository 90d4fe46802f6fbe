// The exporter when things go wrong: collectors that are down, slow or rude, a store and an engine
// that refuse, and memory that runs out. Nothing is lost.
#include "world.h"

static void expect_each_accepted(struct world *world)
{
    for (uint64_t i = 1; i <= fake.last; i++) {
        assert_true(collector_get(&world->collector, &world->collector.accepted[i]) > 0);
        assert_int_equal(fake.records[i].settles, 1);
        assert_false(fake.records[i].is_dead);
    }
}

// --- a collector that is down -----------------------------------------------------------------

static struct reply reply_late(struct collector *collector, const struct collector_request *request)
{
    static const struct reply failures[] = {
        {.bytes = RETRY_ANSWER},
        {.bytes = "HTTP/1.1 429 Slow down\r\nRetry-After: 0\r\nContent-Length: 0\r\n\r\n"},
        {.bytes = "HTTP/1.1 502 X\r\nRetry-After: soon\r\nContent-Length: 2\r\n\r\nno"},
        {.bytes = "HTTP/1.1 504 X\r\nRetry-After: -7\r\nContent-Length: 0\r\n\r\n"},
        {.bytes = "HTTP/1.1 503 X\r\nRetry-After: Thu, 01 Jan 1970 00:00:01 GMT\r\n"
                  "Content-Length: 0\r\n\r\n"},
        {.bytes = NULL, .closes = true},
        {.bytes = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", .closes = true},
        {.bytes = "HTTP/1.1 200 OK\r\nContent-Le", .closes = true},
        {.bytes = "SSH-2.0-OpenSSH_9.2\r\n", .closes = true},
        {.bytes = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n"},
    };
    (void)collector;
    return request->number < sizeof failures / sizeof failures[0]
               ? failures[request->number]
               : (struct reply){.bytes = OK_ANSWER};
}

static void what_may_pass_is_tried_until_it_does(void **state)
{
    static struct world world;
    (void)state;
    world_init(&world, reply_late);
    world.options.in_flight_max = 1;
    fake_add_many(10);
    world_create(&world);
    world_deliver(&world);
    expect_each_accepted(&world);
    struct export_counters counters = world_counters(&world);
    assert_int_equal(counters.sent_records, 10);
    assert_int_equal(counters.dead_letters, 0);
    assert_int_equal(counters.consecutive_failures, 0);
    assert_int_equal(counters.retries, 10);
    assert_in_range(counters.requests, 11, 18); // the last ones with fewer records
    world_release(&world);
}

static struct reply reply_retry_after_one(struct collector *collector,
                                          const struct collector_request *request)
{
    (void)collector;
    return (struct reply){
        .bytes = request->number == 0
                     ? "HTTP/1.1 503 Busy\r\nRetry-After: 1\r\nContent-Length: 0\r\n\r\n"
                     : OK_ANSWER};
}

static void retry_after_replaces_the_backoff(void **state)
{
    static struct world world;
    (void)state;
    world_init(&world, reply_retry_after_one);
    world.options.backoff_first = world.options.backoff_max = NS_PER_HOUR;
    fake_add_many(1);
    world_create(&world);
    world_deliver(&world);
    expect_each_accepted(&world);
    assert_int_equal(world_counters(&world).requests, 2);
    world_release(&world);
}

// The first four wait for each other and fail, then four more do; a fifth at the same time would be seen.
static unsigned probes_alone;

static struct reply reply_after_outage(struct collector *collector,
                                       const struct collector_request *request)
{
    if (request->number >= 8)
        return (struct reply){.bytes = OK_ANSWER};
    pthread_mutex_lock(&collector->mutex);
    while (request->number < 4 && collector->busy_max < 4)
        pthread_cond_wait(&collector->changed, &collector->mutex);
    pthread_mutex_unlock(&collector->mutex);
    if (request->number >= 4) {
        usleep(20000); // time for others to come, if they did
        pthread_mutex_lock(&collector->mutex);
        probes_alone += collector->busy == 1;
        pthread_mutex_unlock(&collector->mutex);
    }
    return (struct reply){.bytes = RETRY_ANSWER};
}

static void an_outage_is_probed_by_one_request_at_a_time(void **state)
{
    static struct world world;
    (void)state;
    probes_alone = 0;
    world_init(&world, reply_after_outage);
    // Longer than the stragglers of the first four can take.
    world.options.backoff_first = world.options.backoff_max = 200 * NS_PER_MS;
    fake_add_many(100);
    world_create(&world);
    world_deliver(&world);
    expect_each_accepted_once(&world);
    assert_int_equal(probes_alone, 4);
    assert_int_equal(world_counters(&world).retries, 8);
    world_release(&world);
}

static bool has_failed_often(struct world *world)
{
    return world_counters(world).consecutive_failures >= 5;
}

static void a_dead_port_is_tried_without_end(void **state)
{
    static struct world world;
    (void)state;
    world_init(&world, reply_ok);
    fake_add_many(30);
    unsigned port = world.collector.port;
    // A port that was bound and is closed again: nothing listens there.
    static struct collector gone;
    collector_start(&gone, reply_ok);
    world_use_port(&world, "127.0.0.1", gone.port);
    collector_stop(&gone);
    world_create(&world);
    exporter_start(world.exporter);
    world_run_until(&world, has_failed_often);
    assert_int_equal(fake_count(fake_is_in_outbox), 30);
    assert_int_equal(world_counters(&world).sent_records, 0);
    // It comes back elsewhere: names are looked up for each connection.
    world.exporter->endpoint.port = (uint16_t)port;
    export_endpoint_url(&world.exporter->endpoint, world.exporter->made.form.url);
    world_run_until(&world, world_is_settled);
    expect_each_accepted_once(&world);
    assert_int_equal(world_counters(&world).consecutive_failures, 0);
    world_release(&world);
}

static void an_unknown_name_is_retried(void **state)
{
    static struct world world;
    (void)state;
    world_init(&world, reply_ok);
    fake_add_many(3);
    // A label of 64 bytes is refused before anybody is asked.
    world_use_port(&world, "aaaaaaaaaaaaaaaabbbbbbbbbbbbbbbbccccccccccccccccdddddddddddddddd", 80);
    world_create(&world);
    exporter_start(world.exporter);
    world_run_until(&world, has_failed_often);
    assert_int_equal(fake_count(fake_is_in_outbox), 3);
    world_release(&world);
}

// Whatever the answer to one record is, it must not keep the others from going out.
static const char *poison_answer;

static struct reply reply_never_to_7(struct collector *collector,
                                     const struct collector_request *request)
{
    (void)collector;
    if (!collector_has(request, 7))
        return (struct reply){.bytes = OK_ANSWER};
    return (struct reply){.bytes = poison_answer, .closes = poison_answer == NULL};
}

static bool only_one_is_left(struct world *world)
{
    struct export_status status;
    exporter_read_status(world->exporter, &status);
    return world_counters(world).sent_records == 99 && status.quarantined_records == 1 &&
           fake.records[7].is_quarantined;
}

static void one_record_that_never_passes_does_not_block_the_rest(void **state)
{
    static const char *const answers[] = {
        RETRY_ANSWER,
        NULL,
        "HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 400 Bad\r\nContent-Type: text/plain\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n",
    };
    (void)state;
    for (size_t i = 0; i < sizeof answers / sizeof answers[0]; i++) {
        static struct world world;
        poison_answer = answers[i];
        world_init(&world, reply_never_to_7);
        world.options.in_flight_max = 2;
        fake_add_many(100);
        world_create(&world);
        exporter_start(world.exporter);
        world_run_until(&world, only_one_is_left);
        assert_int_equal(fake_count(fake_is_in_outbox), 1);
        assert_int_equal(fake_count(fake_is_dead), 0);
        world_release(&world);
    }
}

// It was quarantined before a restart: it is tried alone, and not found again in a batch.
static void what_was_quarantined_stays_so_over_a_restart(void **state)
{
    static struct world world;
    (void)state;
    poison_answer = RETRY_ANSWER;
    world_init(&world, reply_never_to_7);
    fake_add_many(100);
    fake.records[7].is_quarantined = true;
    world_create(&world);
    exporter_start(world.exporter);
    world_run_until(&world, only_one_is_left);
    for (uint64_t i = 1; i <= 100; i++) {
        if (i != 7)
            assert_int_equal(collector_get(&world.collector, &world.collector.arrived[i]), 1);
    }
    world_release(&world);
}

// The first response asks for a long wait, then the other one arrives.
static struct reply reply_wait_then_ok(struct collector *collector,
                                       const struct collector_request *request)
{
    if (collector_has(request, 1))
        return (struct reply){
            .bytes = "HTTP/1.1 429 X\r\nRetry-After: 500\r\nContent-Length: 0\r\n\r\n"};
    pthread_mutex_lock(&collector->mutex);
    while (collector->requests < 2 || collector->busy > 1)
        pthread_cond_wait(&collector->changed, &collector->mutex);
    pthread_mutex_unlock(&collector->mutex);
    usleep(20000); // the other answer is on its way before this one
    return (struct reply){.bytes = OK_ANSWER};
}

static bool has_sent_ten(struct world *world)
{
    return world_counters(world).sent_records == 10;
}

static void a_success_does_not_cut_short_what_the_collector_asked_for(void **state)
{
    static struct world world;
    (void)state;
    world_init(&world, reply_wait_then_ok);
    world.options.in_flight_max = 2;
    fake_add_many(40);
    world_create(&world);
    world_tune(&world, NS_PER_MS);
    exporter_start(world.exporter);
    world_run_until(&world, has_sent_ten);
    world_run_until(&world, world_has_rested);
    assert_int_equal(world_counters(&world).consecutive_failures, 1);
    assert_int_equal(world_counters(&world).requests, 2);
    world_release(&world);
}

// --- connections ------------------------------------------------------------------------------

static void a_kept_connection_that_closes_is_no_failure(void **state)
{
    static struct world world;
    (void)state;
    world_init(&world, reply_once_per_connection);
    world.options.backoff_first = world.options.backoff_max = NS_PER_HOUR;
    world.options.in_flight_max = 1;
    fake_add_many(50);
    world_create(&world);
    world_deliver(&world);
    expect_each_accepted_once(&world);
    assert_int_equal(world_counters(&world).retries, 0);
    assert_int_equal(world.collector.connections, 5);
    world_release(&world);
}

// A balancer with a sick replica, which the first connection leads to.
static struct reply reply_by_replica(struct collector *collector,
                                     const struct collector_request *request)
{
    (void)request;
    pthread_mutex_lock(&collector->mutex);
    bool is_sick = collector->connections == 1;
    pthread_mutex_unlock(&collector->mutex);
    return (struct reply){.bytes = is_sick ? RETRY_ANSWER : OK_ANSWER};
}

static void a_sick_replica_is_left_with_its_first_answer(void **state)
{
    static struct world world;
    (void)state;
    world_init(&world, reply_by_replica);
    world.options.in_flight_max = 1;
    fake_add_many(30);
    world_create(&world);
    world_deliver(&world);
    expect_each_accepted_once(&world);
    assert_int_equal(world_counters(&world).retries, 1);
    assert_int_equal(world.collector.connections, 2);
    world_release(&world);
}

static struct reply reply_408_when_idle(struct collector *collector,
                                        const struct collector_request *request)
{
    (void)collector;
    if (request->number_on_connection > 0)
        return (struct reply){.bytes = "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n"
                                       "Content-Length: 0\r\n\r\n",
                              .closes = true};
    return (struct reply){.bytes = OK_ANSWER};
}

static void a_408_that_crossed_the_request_makes_no_dead_letters(void **state)
{
    static struct world world;
    (void)state;
    world_init(&world, reply_408_when_idle);
    world.options.in_flight_max = 1;
    world.options.batch_records_max = 1;
    fake_add_many(5);
    world_create(&world);
    world_deliver(&world);
    expect_each_accepted_once(&world);
    assert_int_equal(world_counters(&world).dead_letters, 0);
    assert_int_equal(world_counters(&world).retries, 0);
    world_release(&world);
}

static struct reply reply_408_always(struct collector *collector,
                                     const struct collector_request *request)
{
    (void)collector;
    (void)request;
    return (struct reply){.bytes =
                              "HTTP/1.1 408 X\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
                          .closes = true};
}

static bool has_failed_three_times(struct world *world)
{
    return world_counters(world).consecutive_failures >= 3;
}

static void a_408_on_a_fresh_connection_is_a_failure(void **state)
{
    static struct world world;
    (void)state;
    world_init(&world, reply_408_always);
    fake_add_many(2);
    world_create(&world);
    exporter_start(world.exporter);
    world_run_until(&world, has_failed_three_times);
    assert_int_equal(fake_count(fake_is_in_outbox), 2);
    world_release(&world);
}

static struct reply reply_from_the_third_on(struct collector *collector,
                                            const struct collector_request *request)
{
    (void)collector;
    switch (request->number) {
    case 0:
        return (struct reply){.bytes = NULL, .hangs = true};
    case 1: // starts to answer, and never ends
        return (struct reply){.bytes = "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nha",
                              .hangs = true};
    default:
        return (struct reply){.bytes = OK_ANSWER};
    }
}

static void a_response_that_never_ends_times_out(void **state)
{
    static struct world world;
    (void)state;
    world_init(&world, reply_from_the_third_on);
    world.options.in_flight_max = 1;
    world.options.timeout = 60 * NS_PER_MS;
    fake_add_many(5);
    world_create(&world);
    world_deliver(&world);
    expect_each_accepted(&world);
    // A loaded machine may need longer than the time-out for a good answer, too.
    assert_true(world_counters(&world).retries >= 2);
    assert_int_equal(world_counters(&world).dead_letters, 0);
    world_release(&world);
}

// --- store and engine -------------------------------------------------------------------------

static void what_was_sent_is_not_sent_again_when_settling_fails(void **state)
{
    (void)state;
    for (int at_once = 0; at_once < 2; at_once++) {
        static struct world world;
        world_init(&world, reply_ok);
        fake.settle_failures = 7;
        fake.refuses_at_once = at_once == 1;
        fake_add_many(40);
        world_create(&world);
        world_tune(&world, 2 * NS_PER_MS); // reading the outbox meanwhile
        world_deliver(&world);
        expect_each_accepted_once(&world);
        assert_int_equal(world_counters(&world).requests, 4);
        assert_int_equal(world_counters(&world).retries, 0);
        world_release(&world);
    }
}

static struct reply refuse_3(struct collector *collector, const struct collector_request *request)
{
    (void)collector;
    return (struct reply){.bytes = collector_has(request, 3)
                                       ? "HTTP/1.1 413 X\r\nContent-Length: 0\r\n\r\n"
                                       : OK_ANSWER};
}

static void a_dead_letter_survives_that_settling_fails(void **state)
{
    static struct world world;
    (void)state;
    world_init(&world, refuse_3);
    fake.settle_failures = 9;
    fake_add_many(8);
    world_create(&world);
    world_deliver_until_dead(&world, 1);
    expect_each_accepted_once(&world);
    assert_int_equal(fake_count(fake_is_dead), 1);
    assert_true(fake.records[3].is_dead);
    assert_string_equal(fake.records[3].reason, "413 Content Too Large");
    assert_int_equal(world_counters(&world).dead_letters, 1);
    world_release(&world);
}

static void a_store_that_cannot_be_read_is_tried_again(void **state)
{
    (void)state;
    for (unsigned failures = 1; failures < 30; failures++) {
        static struct world world;
        world_init(&world, reply_ok);
        fake.begin_failures = failures % 3;
        fake.read_failures = failures;
        fake_add_many(15);
        world_create(&world);
        world_deliver(&world);
        expect_each_accepted_once(&world);
        assert_int_equal(world_counters(&world).consecutive_failures, 0);
        world_release(&world);
    }
}

static void an_entry_without_a_record_is_removed_unsent(void **state)
{
    static struct world world;
    (void)state;
    world_init(&world, reply_ok);
    fake_add_many(25);
    for (uint64_t i = 1; i <= 25; i++)
        fake.records[i].has_no_body = i <= 10 || i == 15;
    world_create(&world);
    world_deliver(&world);
    for (uint64_t i = 1; i <= 25; i++)
        assert_int_equal(collector_get(&world.collector, &world.collector.arrived[i]),
                         i > 10 && i != 15);
    assert_int_equal(world_counters(&world).requests, 2);
    world_release(&world);
}

static struct reply reply_503_and_settle_2(struct collector *collector,
                                           const struct collector_request *request)
{
    (void)collector;
    if (request->number > 0)
        return (struct reply){.bytes = OK_ANSWER};
    pthread_mutex_lock(&fake.mutex);
    fake.records[2].in_outbox = false;
    pthread_mutex_unlock(&fake.mutex);
    return (struct reply){.bytes = RETRY_ANSWER};
}

static void what_somebody_else_settled_meanwhile_is_left_out(void **state)
{
    static struct world world;
    (void)state;
    world_init(&world, reply_503_and_settle_2);
    fake_add_many(3);
    world_create(&world);
    world_deliver(&world);
    assert_int_equal(collector_get(&world.collector, &world.collector.arrived[1]), 2);
    assert_int_equal(collector_get(&world.collector, &world.collector.arrived[2]), 1);
    assert_int_equal(collector_get(&world.collector, &world.collector.arrived[3]), 2);
    world_release(&world);
}

// --- memory -----------------------------------------------------------------------------------

static struct reply reply_with_a_refusal(struct collector *collector,
                                         const struct collector_request *request)
{
    (void)collector;
    if (collector_has(request, 3))
        return (struct reply){.bytes = "HTTP/1.1 400 X\r\nContent-Type: application/json\r\n"
                                       "Content-Length: 15\r\n\r\n{\"message\":\"x\"}"};
    return (struct reply){.bytes = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                                   "Content-Length: 37\r\n\r\n"
                                   "{\"partialSuccess\":{\"errorMessage\":\"\"}}",
                          .closes = request->number == 1};
}

// False when the fault was never reached.
static bool deliver_with_fault(long skip)
{
    static struct world world;
    struct error error;
    world_init(&world, reply_with_a_refusal);
    world.options.protocol = EXPORT_JSON;
    world.options.gzip = true;
    world.options.in_flight_max = 2;
    fake_add_many(4);
    fake.begin_failures = 1;
    memory_fail_after(skip);
    world.exporter = NULL;
    if (exporter_create(&world.options, &world.exporter, &error) != ERROR_NONE) {
        assert_int_equal(error.code, ERROR_MEMORY);
        assert_null(world.exporter);
        world_create(&world);
    }
    world_tune(&world, 2 * NS_PER_MS);
    world_deliver_until_dead(&world, 1);
    bool was_reached = memory_count_allocations() > skip;
    memory_fail_after(-1);
    for (uint64_t i = 1; i <= fake.last; i++) {
        assert_int_equal(fake.records[i].settles, 1);
        assert_int_equal(fake.records[i].is_dead, i == 3);
        if (i != 3)
            assert_true(collector_get(&world.collector, &world.collector.accepted[i]) > 0);
    }
    assert_int_equal(world_counters(&world).dead_letters, 1);
    world_release(&world);
    return was_reached;
}

static void any_allocation_may_fail_and_nothing_is_lost(void **state)
{
    long skip = 0;
    (void)state;
    while (deliver_with_fault(skip))
        skip++;
    assert_true(skip > 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        world_test(what_may_pass_is_tried_until_it_does),
        world_test(retry_after_replaces_the_backoff),
        world_test(an_outage_is_probed_by_one_request_at_a_time),
        world_test(a_dead_port_is_tried_without_end),
        world_test(an_unknown_name_is_retried),
        world_test(one_record_that_never_passes_does_not_block_the_rest),
        world_test(what_was_quarantined_stays_so_over_a_restart),
        world_test(a_success_does_not_cut_short_what_the_collector_asked_for),
        world_test(a_kept_connection_that_closes_is_no_failure),
        world_test(a_sick_replica_is_left_with_its_first_answer),
        world_test(a_408_that_crossed_the_request_makes_no_dead_letters),
        world_test(a_408_on_a_fresh_connection_is_a_failure),
        world_test(a_response_that_never_ends_times_out),
        world_test(what_was_sent_is_not_sent_again_when_settling_fails),
        world_test(a_dead_letter_survives_that_settling_fails),
        world_test(a_store_that_cannot_be_read_is_tried_again),
        world_test(an_entry_without_a_record_is_removed_unsent),
        world_test(what_somebody_else_settled_meanwhile_is_left_out),
        world_test(any_allocation_may_fail_and_nothing_is_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
