// The exporter with a collector that works: what goes out, once, and what comes of the answers.
#include <unistd.h>

#include "world.h"

// --- what goes out ----------------------------------------------------------------------------

static void every_record_is_sent_once(void **state)
{
    static struct world world;
    (void)state;
    world_init(&world, reply_ok);
    fake_add_many(95);
    world_create(&world);
    world_deliver(&world);
    expect_each_accepted_once(&world);
    struct export_counters counters = world_counters(&world);
    assert_int_equal(counters.sent_records, 95);
    assert_int_equal(counters.requests, 10); // of at most 10 records
    assert_int_equal(counters.retries + counters.dead_letters + counters.rejected_spans, 0);
    assert_int_equal(counters.consecutive_failures, 0);
    assert_true(world.collector.connections <= 4);
    world_release(&world);
}

static void the_request_has_the_fields_of_its_protocol(void **state)
{
    const struct http_header headers[] = {
        {SLICE("Authorization"), SLICE("Bearer abc")}, {SLICE("x-tenant"), SLICE("")},
        {SLICE("content-length"), SLICE("3")},         {SLICE("Content-Type"), SLICE("text/plain")},
        {SLICE("host"), SLICE("elsewhere")},
    };
    static struct world world;
    char host[64];
    (void)state;
    world_init(&world, reply_ok);
    world.options.headers = headers;
    world.options.header_count = sizeof headers / sizeof headers[0];
    fake_add_many(1);
    world_create(&world);
    world_deliver(&world);

    const char *head = world.collector.last_head;
    snprintf(host, sizeof host, "\r\nHost: 127.0.0.1:%u\r\n", world.collector.port);
    assert_int_equal(strncmp(head, "POST /v1/traces HTTP/1.1\r\n", 26), 0);
    assert_non_null(strstr(head, host));
    assert_non_null(strstr(head, "\r\nUser-Agent: ghatrace/" GHATRACE_VERSION "\r\n"));
    assert_non_null(strstr(head, "\r\nContent-Type: application/x-protobuf\r\n"));
    assert_non_null(strstr(head, "\r\nContent-Length: 13\r\n"));
    assert_non_null(strstr(head, "\r\nAuthorization: Bearer abc\r\n"));
    assert_non_null(strstr(head, "\r\nx-tenant:\r\n"));
    assert_null(strstr(head, "text/plain"));
    assert_null(strstr(head, "elsewhere"));
    assert_null(strstr(head, "Content-Encoding"));
    assert_null(strstr(head, "close"));
    world_release(&world);
}

static void a_configured_user_agent_replaces_ours(void **state)
{
    const struct http_header headers[] = {{SLICE("user-agent"), SLICE("mine/1")}};
    static struct world world;
    (void)state;
    world_init(&world, reply_ok);
    world.options.headers = headers;
    world.options.header_count = 1;
    fake_add_many(1);
    world_create(&world);
    world_deliver(&world);
    assert_non_null(strstr(world.collector.last_head, "\r\nuser-agent: mine/1\r\n"));
    assert_null(strstr(world.collector.last_head, "ghatrace/"));
    world_release(&world);
}

static struct reply reply_by_encoding(struct collector *collector,
                                      const struct collector_request *request)
{
    (void)collector;
    bool is_json = strstr(request->head, "Content-Type: application/json\r\n") != NULL;
    bool looks_like_json = strncmp(request->body, "{\"resourceSpans\":[", 18) == 0;
    return (struct reply){.bytes = is_json == looks_like_json
                                       ? OK_ANSWER
                                       : "HTTP/1.1 415 X\r\nContent-Length: 0\r\n\r\n"};
}

static void all_encodings_carry_the_same_records(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        static struct world world;
        world_init(&world, reply_by_encoding);
        world.options.protocol = i & 1 ? EXPORT_JSON : EXPORT_PROTOBUF;
        world.options.gzip = (i & 2) != 0;
        fake_add_many(25);
        world_create(&world);
        world_deliver(&world);
        expect_each_accepted_once(&world);
        assert_int_equal(world_counters(&world).dead_letters, 0);
        assert_int_equal(strstr(world.collector.last_head, "\r\nContent-Encoding: gzip\r\n") !=
                             NULL,
                         world.options.gzip);
        world_release(&world);
    }
}

static struct reply reply_if_small(struct collector *collector,
                                   const struct collector_request *request)
{
    (void)collector;
    return (struct reply){.bytes = request->body_len <= 30 || request->record_count == 1
                                       ? OK_ANSWER
                                       : "HTTP/1.1 413 X\r\nContent-Length: 0\r\n\r\n"};
}

static void batches_keep_to_their_bytes_but_hold_one_record(void **state)
{
    static const size_t limits[] = {0, 1, 15, 30};
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        static struct world world;
        world_init(&world, reply_if_small);
        world.options.batch_bytes_max = limits[i];
        fake_add_many(20);
        world_create(&world);
        world_deliver(&world);
        expect_each_accepted_once(&world);
        // Of 13 or 14 bytes each, two fit into 30. Nothing had to be halved.
        assert_int_equal(world_counters(&world).requests, limits[i] == 30 ? 10 : 20);
        world_release(&world);
    }
}

static void a_kept_connection_serves_all_requests(void **state)
{
    static struct world world;
    (void)state;
    world_init(&world, reply_ok);
    world.options.in_flight_max = 1;
    fake_add_many(100);
    world_create(&world);
    world_deliver(&world);
    expect_each_accepted_once(&world);
    assert_int_equal(world.collector.connections, 1);
    assert_int_equal(world.collector.busy_max, 1);
    world_release(&world);
}

static void zeros_in_the_options_mean_one(void **state)
{
    static struct world world;
    (void)state;
    world_init(&world, reply_ok);
    world.options.in_flight_max = world.options.batch_records_max = 0;
    world.options.timeout = 0;
    fake_add_many(3);
    world_create(&world);
    world_deliver(&world);
    expect_each_accepted_once(&world);
    assert_int_equal(world_counters(&world).requests, 3);
    world_release(&world);
}

static void names_are_looked_up(void **state)
{
    static struct world world;
    (void)state;
    world_init(&world, reply_ok);
    // Where localhost is ::1 first, nothing listens there, and the next address is tried.
    world_use_port(&world, "localhost", world.collector.port);
    fake_add_many(3);
    world_create(&world);
    world_deliver(&world);
    expect_each_accepted_once(&world);
    assert_int_equal(world_counters(&world).retries, 0);
    world_release(&world);
}

static void nothing_is_sent_before_the_start(void **state)
{
    static struct world world;
    (void)state;
    world_init(&world, reply_ok);
    fake_add_many(3);
    world_create(&world);
    exporter_wake(world.exporter);
    world_run_until(&world, world_has_rested);
    assert_int_equal(collector_get(&world.collector, &world.collector.connections), 0);
    world_deliver(&world);
    expect_each_accepted_once(&world);
    world_release(&world);
}

static void an_empty_outbox_makes_no_requests(void **state)
{
    static struct world world;
    (void)state;
    world_init(&world, reply_ok);
    world_create(&world);
    world_tune(&world, NS_PER_MS);
    exporter_start(world.exporter);
    world_run_until(&world, world_has_rested);
    assert_int_equal(collector_get(&world.collector, &world.collector.connections), 0);
    world_release(&world);
}

static void https_without_a_context_is_refused(void **state)
{
    static struct world world;
    struct error error;
    (void)state;
    world_init(&world, reply_ok);
    world.options.endpoint.is_tls = true;
    assert_int_equal(exporter_create(&world.options, &world.exporter, &error), ERROR_USAGE);
    assert_string_equal(error.message, "exporter: https without certificates to trust");
    world.exporter = NULL;
    world_release(&world);
}

static void a_request_that_cannot_be_written_is_reported_at_the_start(void **state)
{
    const struct http_header headers[] = {{SLICE("a b"), SLICE("c")}};
    static struct world world;
    struct error error;
    (void)state;
    world_init(&world, reply_ok);
    world.options.headers = headers;
    world.options.header_count = 1;
    assert_int_equal(exporter_create(&world.options, &world.exporter, &error), ERROR_USAGE);
    world.exporter = NULL;
    world_release(&world);
}

// --- news -------------------------------------------------------------------------------------

static void *add_and_wake(void *context)
{
    struct world *world = context;
    for (int i = 0; i < 50; i++) {
        fake_add();
        exporter_wake(world->exporter);
    }
    return NULL;
}

static bool has_all_of_150(struct world *world)
{
    pthread_mutex_lock(&fake.mutex);
    bool is_complete = fake.last == 150;
    pthread_mutex_unlock(&fake.mutex);
    return is_complete && world_is_settled(world);
}

static void wakes_from_several_threads_lose_nothing(void **state)
{
    static struct world world;
    pthread_t threads[3];
    (void)state;
    world_init(&world, reply_ok);
    world_create(&world);
    exporter_start(world.exporter);
    for (size_t i = 0; i < 3; i++)
        pthread_create(&threads[i], NULL, add_and_wake, &world);
    world_run_until(&world, has_all_of_150);
    for (size_t i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    expect_each_accepted_once(&world);
    world_release(&world);
}

static void records_put_back_by_a_tool_are_sent_without_a_wake(void **state)
{
    static struct world world;
    (void)state;
    world_init(&world, reply_ok);
    fake_add_many(30);
    world_create(&world);
    world_tune(&world, 2 * NS_PER_MS);
    world_deliver(&world);
    // Lower than all that was sent since.
    pthread_mutex_lock(&fake.mutex);
    fake.records[2].in_outbox = fake.records[29].in_outbox = true;
    pthread_mutex_unlock(&fake.mutex);
    world_run_until(&world, world_is_settled);
    assert_int_equal(collector_get(&world.collector, &world.collector.accepted[2]), 2);
    assert_int_equal(collector_get(&world.collector, &world.collector.accepted[29]), 2);
    assert_int_equal(collector_get(&world.collector, &world.collector.accepted[28]), 1);
    world_release(&world);
}

// Deliveries come in all the time, and each commit wakes the exporter.
static bool has_sent_while_more_come(struct world *world)
{
    if (fake.last < FAKE_RECORDS_MAX - 1)
        fake_add();
    exporter_wake(world->exporter);
    return world_counters(world).sent_records > 0;
}

static void what_keeps_coming_does_not_put_off_the_first_request(void **state)
{
    static struct world world;
    (void)state;
    world_init(&world, reply_ok);
    world_create(&world);
    exporter_tune(world.exporter, &(struct exporter_tuning){.coalesce = 50 * NS_PER_MS,
                                                            .poll = NS_PER_HOUR,
                                                            .settle_retry = 2 * NS_PER_MS,
                                                            .random = no_jitter});
    exporter_start(world.exporter);
    world_run_until(&world, has_sent_while_more_come);
    assert_true(world.ticks < 1000); // of 2 ms and more
    world_run_until(&world, world_is_settled);
    expect_each_accepted_once(&world);
    world_release(&world);
}

// --- several at a time ------------------------------------------------------------------------

// The request with record 1 is answered when all others were.
static struct reply reply_to_first_last(struct collector *collector,
                                        const struct collector_request *request)
{
    if (collector_has(request, 1)) {
        pthread_mutex_lock(&collector->mutex);
        while (collector->requests < 10 || collector->busy > 1)
            pthread_cond_wait(&collector->changed, &collector->mutex);
        pthread_mutex_unlock(&collector->mutex);
    }
    return (struct reply){.bytes = OK_ANSWER};
}

static void one_slow_answer_does_not_stop_the_rest(void **state)
{
    static struct world world;
    (void)state;
    world_init(&world, reply_to_first_last);
    world.options.in_flight_max = 2;
    fake_add_many(100);
    world_create(&world);
    world_tune(&world, NS_PER_MS); // starts reading over and over: what is in flight is left alone
    world_deliver(&world);
    expect_each_accepted_once(&world);
    world_release(&world);
}

static struct reply reply_when_four_wait(struct collector *collector,
                                         const struct collector_request *request)
{
    (void)request;
    pthread_mutex_lock(&collector->mutex);
    while (collector->busy_max < 4)
        pthread_cond_wait(&collector->changed, &collector->mutex);
    pthread_mutex_unlock(&collector->mutex);
    return (struct reply){.bytes = OK_ANSWER};
}

static void as_many_requests_as_allowed_are_in_flight(void **state)
{
    static struct world world;
    (void)state;
    world_init(&world, reply_when_four_wait);
    fake_add_many(200);
    world_create(&world);
    world_deliver(&world);
    expect_each_accepted_once(&world);
    assert_int_equal(world.collector.busy_max, 4);
    assert_int_equal(world.collector.connections, 4);
    world_release(&world);
}

// --- refusals ---------------------------------------------------------------------------------

static struct reply refuse_17_and_42(struct collector *collector,
                                     const struct collector_request *request)
{
    (void)collector;
    bool is_bad = collector_has(request, 17) || collector_has(request, 42);
    return (struct reply){.bytes = is_bad ? BAD_SPAN_ANSWER : OK_ANSWER};
}

static void halving_finds_exactly_the_records_at_fault(void **state)
{
    (void)state;
    for (size_t in_flight = 1; in_flight <= 4; in_flight += 3) {
        static struct world world;
        world_init(&world, refuse_17_and_42);
        world.options.batch_records_max = 64;
        world.options.in_flight_max = in_flight;
        fake_add_many(100);
        world_create(&world);
        world_deliver_until_dead(&world, 2);
        expect_each_accepted_once(&world);
        for (uint64_t i = 1; i <= 100; i++)
            assert_int_equal(fake.records[i].is_dead, i == 17 || i == 42);
        assert_string_equal(fake.records[17].reason, "400 Bad Request: bad span");
        struct export_counters counters = world_counters(&world);
        assert_int_equal(counters.dead_letters, 2);
        assert_int_equal(counters.sent_records, fake.last - 2);
        assert_int_equal(counters.retries, 0);
        assert_int_equal(counters.consecutive_failures, 0);
        // Halving down to each and up again, each twice alone.
        assert_true(counters.requests <= 2 * 2 * 7 + 2 + 12 + (fake.last - 100));
        world_release(&world);
    }
}

static struct reply refuse_all(struct collector *collector, const struct collector_request *request)
{
    static const char *const answers[] = {
        "HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 301 Moved\r\nLocation: http://localhost:1/\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 413 Too large\r\nContent-Length: 0\r\n\r\n",
        BAD_SPAN_ANSWER,
        "HTTP/1.1 599 What\r\nContent-Length: 0\r\n\r\n",
    };
    (void)collector;
    if (request->number >= 120)
        return (struct reply){.bytes = OK_ANSWER};
    return (struct reply){.bytes = answers[request->number / 20]};
}

static void an_endpoint_that_refuses_everything_makes_no_dead_letters(void **state)
{
    static struct world world;
    (void)state;
    world_init(&world, refuse_all);
    fake_add_many(23);
    world_create(&world);
    world_deliver(&world);
    assert_int_equal(fake_count(fake_is_dead), 0);
    expect_each_accepted_once(&world);
    assert_int_equal(world_counters(&world).dead_letters, 0);
    assert_int_equal(world_counters(&world).sent_records, 23);
    assert_true(world_counters(&world).retries > 70);
    world_release(&world);
}

static bool status_is_troubled(struct world *world)
{
    struct export_status status;
    exporter_read_status(world->exporter, &status);
    return status.is_troubled;
}

static struct reply echo_the_key(struct collector *collector,
                                 const struct collector_request *request)
{
    (void)collector;
    (void)request;
    return (struct reply){.bytes = "HTTP/1.1 401 Unauthorized\r\nContent-Type: text/plain\r\n"
                                   "Content-Length: 47\r\n\r\n"
                                   "\x1b[31mno key s3cret-k3y, nor in Bearer s3cret-k3"};
}

static unsigned unauthorized;

static void count_unauthorized(void *context)
{
    (void)context;
    unauthorized++;
}

static void the_status_shows_the_reason_without_secrets(void **state)
{
    static struct world world;
    const struct http_header headers[] = {{SLICE("Authorization"), SLICE("Bearer s3cret-k3y")}};
    struct export_status status;
    (void)state;
    unauthorized = 0;
    world_init(&world, echo_the_key);
    world.options.headers = headers;
    world.options.header_count = 1;
    world.options.on_unauthorized = count_unauthorized;
    world.options.backoff_max = NS_PER_HOUR;
    fake_add_many(3);
    world_create(&world);
    exporter_read_status(world.exporter, &status);
    assert_false(status.is_troubled);
    assert_int_equal(status.category, EXPORT_NO_TROUBLE);
    exporter_start(world.exporter);
    world_run_until(&world, status_is_troubled);
    exporter_read_status(world.exporter, &status);
    assert_int_equal(status.category, EXPORT_REFUSES_CREDENTIALS);
    assert_int_equal(status.http_status, 401);
    assert_true(status.since > 0 && status.failures > 0);
    assert_string_equal(status.message, "401 Unauthorized: \\x1b[31mno key **********, nor in "
                                        "****************");
    assert_true(unauthorized > 0);
    assert_string_equal(fake_export_note, "refuses credentials");
    // An answer that is under way while the key changes still repeats the old one.
    const struct http_header new[] = {{SLICE("Authorization"), SLICE("Bearer n3w-k3y")}};
    struct error error;
    uint64_t failures = status.failures;
    assert_int_equal(exporter_use_headers(world.exporter, new, 1, &error), ERROR_NONE);
    do {
        world_run_until(&world, world_has_rested);
        exporter_read_status(world.exporter, &status);
    } while (status.failures == failures);
    assert_string_equal(status.message, "401 Unauthorized: \\x1b[31mno key **********, nor in "
                                        "****************");
    world_release(&world);
}

static struct reply reply_to_new_key(struct collector *collector,
                                     const struct collector_request *request)
{
    (void)collector;
    return (struct reply){.bytes = strstr(request->head, "key: new") != NULL
                                       ? OK_ANSWER
                                       : "HTTP/1.1 401 X\r\nContent-Length: 0\r\n\r\n"};
}

// As on a 401: the wait, which would be an hour, ends; with the same headers it does not.
static void new_headers_are_tried_at_once(void **state)
{
    static struct world world;
    const struct http_header old[] = {{SLICE("key"), SLICE("old")}};
    const struct http_header new[] = {{SLICE("key"), SLICE("new")}};
    struct error error;
    (void)state;
    world_init(&world, reply_to_new_key);
    world.options.headers = old;
    world.options.header_count = 1;
    world.options.backoff_first = world.options.backoff_max = NS_PER_HOUR;
    fake_add_many(30);
    world_create(&world);
    exporter_start(world.exporter);
    world_run_until(&world, status_is_troubled);
    world_run_until(&world, world_has_rested);
    uint64_t requests = world_counters(&world).requests;
    assert_int_equal(exporter_use_headers(world.exporter, old, 1, &error), ERROR_NONE);
    world_run_until(&world, world_has_rested);
    assert_int_equal(world_counters(&world).requests, requests);
    assert_int_equal(exporter_use_headers(world.exporter, new, 1, &error), ERROR_NONE);
    world_run_until(&world, world_is_settled);
    expect_each_accepted_once(&world);
    assert_null(fake_export_note);
    world_release(&world);
}

static struct reply reply_late_to_old_key(struct collector *collector,
                                          const struct collector_request *request)
{
    (void)collector;
    if (strstr(request->head, "key: new") != NULL)
        return (struct reply){.bytes = OK_ANSWER};
    usleep(300 * 1000);
    return (struct reply){.bytes =
                              "HTTP/1.1 503 X\r\nRetry-After: 300\r\nContent-Length: 0\r\n\r\n"};
}

static bool first_request_is_under_way(struct world *world)
{
    return world_counters(world).requests > 0;
}

// The answer to the old ones comes after the new ones, and asks for a wait of minutes.
static void new_headers_do_not_wait_for_what_was_refused_with_the_old_ones(void **state)
{
    static struct world world;
    const struct http_header old[] = {{SLICE("key"), SLICE("old")}};
    const struct http_header new[] = {{SLICE("key"), SLICE("new")}};
    struct error error;
    (void)state;
    world_init(&world, reply_late_to_old_key);
    world.options.headers = old;
    world.options.header_count = 1;
    fake_add_many(3);
    world_create(&world);
    exporter_start(world.exporter);
    world_run_until(&world, first_request_is_under_way);
    assert_int_equal(exporter_use_headers(world.exporter, new, 1, &error), ERROR_NONE);
    world_run_until(&world, world_is_settled);
    expect_each_accepted_once(&world);
    world_release(&world);
}

static void a_record_that_cannot_be_written_as_json_becomes_a_dead_letter_unsent(void **state)
{
    static struct world world;
    (void)state;
    world_init(&world, reply_by_encoding);
    world.options.protocol = EXPORT_JSON;
    fake_add_many(20);
    fake.records[5].body[1] = 0x7f; // a length past its end
    world_create(&world);
    world_deliver(&world);
    expect_each_accepted_once(&world);
    assert_int_equal(fake_count(fake_is_dead), 1);
    assert_true(fake.records[5].is_dead);
    assert_string_equal(fake.records[5].reason, "not sent: record cannot be written as JSON");
    assert_int_equal(collector_get(&world.collector, &world.collector.arrived[5]), 0);
    world_release(&world);
}

// --- odd answers ------------------------------------------------------------------------------

static struct reply reply_oddly(struct collector *collector,
                                const struct collector_request *request)
{
    static const char long_head[] = "HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\nabc";
    static const char chunked[] = "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
                                  "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
                                  "Content-Type: application/json\r\n\r\n"
                                  "1\r\n{\r\n1\r\n}\r\n0\r\nTrailer: x\r\n\r\n";
    static char endless[200000];
    (void)collector;
    switch (request->number) {
    case 0: // no protobuf at all
        return (struct reply){.bytes = "HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\n"
                                       "Content-Length: 5\r\n\r\n\xff\xff\xff\xff\xff"};
    case 1:
        return (struct reply){.bytes = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                                       "Content-Length: 4\r\n\r\n<ok>"};
    case 2:
        return (struct reply){.bytes = chunked, .byte_by_byte = true};
    case 3:
        return (struct reply){.bytes = "HTTP/1.1 204 No Content\r\n\r\n"};
    case 4: // until the connection closes
        return (struct reply){.bytes = "HTTP/1.0 200 OK\r\n\r\nfine", .closes = true};
    case 5:
        return (struct reply){.bytes = "HTTP/1.1 202 Accepted\r\nConnection: close\r\n"
                                       "Content-Length: 2\r\n\r\nok",
                              .closes = true};
    case 6: // longer than what is read: the status decides
        return (struct reply){.bytes = long_head, .hangs = true};
    case 7:
        memset(endless, 'x', sizeof endless - 1);
        memcpy(endless, "HTTP/1.1 200 OK\r\n\r\n", 19);
        return (struct reply){.bytes = endless, .len = sizeof endless - 1, .hangs = true};
    case 8: // more bytes than an answer: this connection is not used again
        return (struct reply){.bytes = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
                                       "HTTP/1.1 503 X\r\n",
                              .hangs = true};
    default:
        return (struct reply){.bytes = OK_ANSWER};
    }
}

static void any_complete_200_is_a_success(void **state)
{
    static struct world world;
    (void)state;
    world_init(&world, reply_oddly);
    world.options.in_flight_max = 1;
    world.options.batch_records_max = 1;
    fake_add_many(12);
    world_create(&world);
    world_deliver(&world);
    expect_each_accepted_once(&world);
    assert_int_equal(world_counters(&world).retries, 0);
    assert_int_equal(world_counters(&world).requests, 12);
    assert_int_equal(world_counters(&world).rejected_spans, 0);
    world_release(&world);
}

static struct reply reply_partially(struct collector *collector,
                                    const struct collector_request *request)
{
    (void)collector;
    (void)request;
    return (struct reply){.bytes = "HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\n"
                                   "Content-Length: 11\r\n\r\n\x0a\x09\x08\x03\x12\x05too b"};
}

static void rejected_spans_are_counted_and_not_sent_again(void **state)
{
    static struct world world;
    (void)state;
    world_init(&world, reply_partially);
    fake_add_many(20);
    world_create(&world);
    world_deliver(&world);
    expect_each_accepted_once(&world);
    assert_int_equal(world_counters(&world).requests, 2);
    assert_int_equal(world_counters(&world).rejected_spans, 6);
    assert_int_equal(world_counters(&world).sent_records, 20);
    world_release(&world);
}

static struct reply reply_with_six_rejected(struct collector *collector,
                                            const struct collector_request *request)
{
    (void)collector;
    (void)request;
    return (struct reply){.bytes = "HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\n"
                                   "Content-Length: 11\r\n\r\n\x0a\x09\x08\x06\x12\x05too b"};
}

static struct reply reply_with_a_remark(struct collector *collector,
                                        const struct collector_request *request)
{
    (void)collector;
    (void)request;
    return (struct reply){.bytes = "HTTP/1.1 200 OK\r\nContent-Type: application/x-protobuf\r\n"
                                   "Content-Length: 9\r\n\r\n\x0a\x07\x12\x05hello"};
}

// The lines of the log of an export to a collector that replies so.
static void log_of(struct reply (*reply)(struct collector *, const struct collector_request *),
                   char *lines, size_t size)
{
    static struct world world;
    char path[] = "/tmp/ghatrace-log-XXXXXX";
    int file = mkstemp(path);
    assert_true(file >= 0);
    assert_int_equal(unlink(path), 0);
    world_init(&world, reply);
    log_configure(LOG_WARN, LOG_FORMAT_TEXT);
    int real = dup(STDERR_FILENO);
    (void)dup2(file, STDERR_FILENO);
    fake_add_many(5);
    world_create(&world);
    world_deliver(&world);
    world_release(&world);
    (void)dup2(real, STDERR_FILENO);
    ssize_t len = pread(file, lines, size - 1, 0);
    lines[len > 0 ? len : 0] = '\0';
    close(real);
    close(file);
}

static void the_log_distinguishes_rejected_spans_from_a_remark(void **state)
{
    char lines[4096];
    (void)state;
    log_of(reply_with_six_rejected, lines, sizeof lines);
    assert_non_null(strstr(lines, "collector rejected spans"));
    assert_non_null(strstr(lines, "rejected_spans=6 message=\"too b\""));
    assert_null(strstr(lines, "remark"));
    log_of(reply_with_a_remark, lines, sizeof lines);
    assert_non_null(strstr(lines, "collector has a remark"));
    assert_non_null(strstr(lines, "rejected_spans=0 message=hello"));
    assert_null(strstr(lines, "collector rejected"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        world_test(every_record_is_sent_once),
        world_test(the_request_has_the_fields_of_its_protocol),
        world_test(a_configured_user_agent_replaces_ours),
        world_test(all_encodings_carry_the_same_records),
        world_test(batches_keep_to_their_bytes_but_hold_one_record),
        world_test(a_kept_connection_serves_all_requests),
        world_test(zeros_in_the_options_mean_one),
        world_test(names_are_looked_up),
        world_test(nothing_is_sent_before_the_start),
        world_test(an_empty_outbox_makes_no_requests),
        world_test(https_without_a_context_is_refused),
        world_test(a_request_that_cannot_be_written_is_reported_at_the_start),
        world_test(wakes_from_several_threads_lose_nothing),
        world_test(records_put_back_by_a_tool_are_sent_without_a_wake),
        world_test(what_keeps_coming_does_not_put_off_the_first_request),
        world_test(one_slow_answer_does_not_stop_the_rest),
        world_test(as_many_requests_as_allowed_are_in_flight),
        world_test(halving_finds_exactly_the_records_at_fault),
        world_test(an_endpoint_that_refuses_everything_makes_no_dead_letters),
        world_test(the_status_shows_the_reason_without_secrets),
        world_test(new_headers_are_tried_at_once),
        world_test(new_headers_do_not_wait_for_what_was_refused_with_the_old_ones),
        world_test(a_record_that_cannot_be_written_as_json_becomes_a_dead_letter_unsent),
        world_test(any_complete_200_is_a_success),
        world_test(rejected_spans_are_counted_and_not_sent_again),
        world_test(the_log_distinguishes_rejected_spans_from_a_remark),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
