// The exporter with the real store and the real engine: from a synced outbox to a collector and back.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../../src/export/exporter_private.h"
#include "fake_collector.h"
#include "ghatrace/base/log.h"
#include "ghatrace/otlp/encode.h"
#include "support/temp_folder.h"

#define MAP_BYTES ((uint64_t)64 << 20)
#define WATCHDOG_TICKS 15000
#define ANOTHER_AFTER_TICKS 500

struct place {
    struct temp_folder folder;
    struct collector collector;
    struct store *store;
    struct engine *engine;
    struct net_loop *loop;
    struct exporter *exporter;
    struct net_timer *ticker;
    unsigned ticks;
    uint64_t dead_expected;
    unsigned next; // number of the next record of add_another()
    struct error error;
};

static struct place place;

static void expect_ok(enum error_code code)
{
    if (code != ERROR_NONE)
        fail_msg("%s", place.error.message);
}

static uint64_t no_jitter(void *context)
{
    (void)context;
    return 0;
}

static void open_place(collector_script script)
{
    place = (struct place){.ticks = 0};
    log_configure(LOG_ERROR, LOG_FORMAT_TEXT);
    if (access("/dev/shm", W_OK) == 0)
        setenv("TMPDIR", "/dev/shm", 0);
    assert_true(temp_folder_create(&place.folder));
    collector_start(&place.collector, script);
    expect_ok(store_open(place.folder.path, STORE_DAEMON, MAP_BYTES, &place.store, &place.error));
    expect_ok(net_loop_create(&place.loop, &place.error));
}

static void open_exporter(void)
{
    struct engine_options engine = {
        .queue_max = 100, .batch_max = 100, .has_exporter = true, .history = NS_PER_HOUR};
    struct export_options options = {.loop = place.loop,
                                     .store = place.store,
                                     .in_flight_max = 3,
                                     .batch_records_max = 32,
                                     .batch_bytes_max = 1 << 20,
                                     .gzip = true,
                                     .timeout = 20 * NS_PER_SECOND,
                                     .backoff_first = 2 * NS_PER_MS,
                                     .backoff_max = 5 * NS_PER_MS};
    char url[64];
    snprintf(url, sizeof url, "http://127.0.0.1:%u", place.collector.port);
    expect_ok(export_endpoint_parse(slice_from_string(url), EXPORT_URL_BASE, &options.endpoint,
                                    &place.error));
    expect_ok(engine_create(place.store, &engine, &place.engine, &place.error));
    options.engine = place.engine;
    expect_ok(exporter_create(&options, &place.exporter, &place.error));
    engine_on_outbox(place.engine, exporter_wake, place.exporter);
    exporter_tune(place.exporter, &(struct exporter_tuning){.coalesce = NS_PER_MS,
                                                            .poll = 2 * NS_PER_MS,
                                                            .settle_retry = 2 * NS_PER_MS,
                                                            .random = no_jitter});
    expect_ok(engine_start(place.engine, &place.error));
    exporter_start(place.exporter);
}

// In the order of the daemon.
static void close_exporter(void)
{
    engine_stop(place.engine);
    exporter_destroy(place.exporter);
    engine_destroy(place.engine);
}

static void close_place(void)
{
    net_timer_destroy(place.ticker);
    store_close(place.store);
    net_loop_destroy(place.loop);
    collector_stop(&place.collector);
    assert_true(temp_folder_remove(&place.folder));
}

static void add_record(struct store_transaction *transaction, unsigned number, unsigned span)
{
    char body[64];
    int len = snprintf(body + 4, sizeof body - 4, "record-%u;", number);
    memcpy(body, "\x0a\x00\x1a\x00", 4);
    body[1] = (char)(len + 2);
    body[3] = (char)len;
    struct store_record record = {
        .finished_at = timestamp_now(),
        .key = {.trace.bytes = {1}, .span.bytes = {(uint8_t)(span >> 8), (uint8_t)span}},
        .body = {body, (size_t)len + 4},
    };
    expect_ok(store_add_record(transaction, &record, true, &place.error));
    assert_int_equal(record.sequence, number);
}

static void add_records(unsigned first, unsigned last)
{
    struct store_transaction *transaction;
    expect_ok(store_begin(place.store, true, &transaction, &place.error));
    for (unsigned i = first; i <= last; i++)
        add_record(transaction, i, i);
    expect_ok(store_commit(transaction, &place.error));
}

// Another record of the same spans.
static void add_version(unsigned span, unsigned number)
{
    struct store_transaction *transaction;
    expect_ok(store_begin(place.store, true, &transaction, &place.error));
    add_record(transaction, number, span);
    expect_ok(store_commit(transaction, &place.error));
}

static struct store_usage read_usage(void)
{
    struct store_transaction *transaction;
    struct store_usage usage;
    expect_ok(store_begin(place.store, false, &transaction, &place.error));
    store_read_usage(transaction, &usage);
    store_abort(transaction);
    return usage;
}

// A record that is refused as the last of all is a dead letter only when another one was accepted after it.
static void add_another(void)
{
    add_records(place.next, place.next);
    place.next++;
}

static void tick(void *context)
{
    struct store_usage usage = read_usage();
    (void)context;
    if (++place.ticks > WATCHDOG_TICKS)
        fail_msg("waited in vain");
    if (place.dead_expected > 0 && place.ticks % ANOTHER_AFTER_TICKS == 0)
        add_another();
    if (usage.outbox_records == 0 && usage.dead_letters == place.dead_expected)
        net_loop_stop(place.loop);
    else
        net_timer_set(place.ticker, 2 * NS_PER_MS);
}

static void run_until_empty(uint64_t dead_expected)
{
    if (place.ticker == NULL)
        expect_ok(net_timer_create(place.loop, tick, NULL, &place.ticker, &place.error));
    place.dead_expected = dead_expected;
    place.ticks = 0;
    net_timer_set(place.ticker, 0);
    net_loop_run(place.loop);
}

static void expect_accepted(unsigned first, unsigned last, unsigned times)
{
    for (unsigned i = first; i <= last; i++)
        assert_int_equal(collector_get(&place.collector, &place.collector.accepted[i]), times);
}

static struct reply reply_ok(struct collector *collector, const struct collector_request *request)
{
    (void)collector;
    (void)request;
    return (struct reply){.bytes = OK_ANSWER};
}

static void waiting_records_are_sent_once_over_restarts(void **state)
{
    (void)state;
    open_place(reply_ok);
    add_records(1, 1000);
    open_exporter();
    run_until_empty(0);
    close_exporter();
    expect_accepted(1, 1000, 1);

    add_records(1001, 1500);
    open_exporter();
    run_until_empty(0);
    expect_accepted(1, 1500, 1);
    add_records(1501, 1600); // found by looking
    run_until_empty(0);
    expect_accepted(1, 1600, 1);
    close_exporter();
    close_place();
}

static bool is_fixed; // guarded by the collector's mutex

static struct reply refuse_77_until_fixed(struct collector *collector,
                                          const struct collector_request *request)
{
    pthread_mutex_lock(&collector->mutex);
    bool is_bad = !is_fixed && (collector_has(request, 77) || collector_has(request, 300));
    pthread_mutex_unlock(&collector->mutex);
    return (struct reply){.bytes = is_bad ? BAD_SPAN_ANSWER : OK_ANSWER};
}

static void expect_dead(uint64_t sequence)
{
    struct store_transaction *transaction;
    struct store_dead_letter letter;
    uint64_t found = sequence;
    expect_ok(store_begin(place.store, false, &transaction, &place.error));
    expect_ok(store_seek_dead_letter(transaction, &found, &letter, &place.error));
    assert_int_equal(found, sequence);
    assert_true(slice_equals(letter.reason, SLICE("400 Bad Request: bad span")));
    store_abort(transaction);
}

static void dead_letters_go_out_when_they_are_put_back(void **state)
{
    struct store_transaction *transaction;
    (void)state;
    is_fixed = false;
    open_place(refuse_77_until_fixed);
    add_records(1, 400);
    place.next = 401;
    open_exporter();
    run_until_empty(2);
    expect_dead(77);
    expect_dead(300);
    expect_accepted(1, 76, 1);
    expect_accepted(77, 77, 0);
    expect_accepted(78, 299, 1);

    pthread_mutex_lock(&place.collector.mutex);
    is_fixed = true;
    pthread_mutex_unlock(&place.collector.mutex);
    expect_ok(store_begin(place.store, true, &transaction, &place.error));
    struct store_requeue requeue = {.max = 10};
    expect_ok(store_requeue_dead_letters(transaction, &requeue, &place.error));
    expect_ok(store_commit(transaction, &place.error));
    assert_int_equal(requeue.count, 2);
    run_until_empty(0);
    expect_accepted(1, 400, 1);
    close_exporter();
    close_place();
}

static struct reply reply_never(struct collector *collector,
                                const struct collector_request *request)
{
    (void)collector;
    (void)request;
    return (struct reply){.bytes = NULL, .hangs = true};
}

static void stop_loop(void *context)
{
    net_loop_stop(context);
}

static void what_was_not_answered_stays_in_the_outbox(void **state)
{
    (void)state;
    open_place(reply_never);
    add_records(1, 200);
    open_exporter();
    exporter_drain(place.exporter, 20 * NS_PER_MS, stop_loop, place.loop);
    net_loop_run(place.loop);
    exporter_wake(place.exporter); // the engine's last words
    close_exporter();
    assert_int_equal(read_usage().outbox_records, 200);
    close_place();
}

// Else it might come after it, where a collector was busy when the first of them came.
static void a_record_that_was_replaced_is_not_sent(void **state)
{
    (void)state;
    open_place(reply_ok);
    add_records(1, 20);
    add_version(5, 21);
    open_exporter();
    run_until_empty(0);
    close_exporter();
    expect_accepted(1, 4, 1);
    expect_accepted(5, 5, 0);
    expect_accepted(6, 21, 1);
    close_place();
}

static void add_spans(const unsigned *ids, const unsigned *numbers, size_t count)
{
    struct store_key key = {.trace.bytes = {1}, .span.bytes = {0xff}};
    struct store_transaction *transaction;
    struct span spans[4];
    char names[4][16];
    struct buffer body;
    memset(spans, 0, sizeof spans);
    for (size_t i = 0; i < count; i++) {
        (void)snprintf(names[i], sizeof names[i], "record-%u;", numbers[i]);
        spans[i] = (struct span){.trace_id.bytes = {1},
                                 .span_id.bytes = {(uint8_t)ids[i]},
                                 .name = slice_from_string(names[i]),
                                 .kind = SPAN_KIND_INTERNAL};
    }
    const struct span_batch batch = {.spans = spans, .span_count = count};
    buffer_init(&body, 4096);
    expect_ok(otlp_encode_batch(&batch, &body, &place.error));
    expect_ok(store_begin(place.store, true, &transaction, &place.error));
    struct store_record record = {
        .finished_at = timestamp_now(), .key = key, .body = buffer_slice(&body)};
    expect_ok(store_add_record(transaction, &record, true, &place.error));
    expect_ok(store_commit(transaction, &place.error));
    buffer_release(&body);
}

// A phase that was sent and taken back is a span of no length in one record only: without it the first one would stay.
static void a_span_that_no_later_record_has_is_sent(void **state)
{
    (void)state;
    open_place(reply_ok);
    add_spans((const unsigned[]){1, 2, 3}, (const unsigned[]){1, 2, 3}, 3);
    add_spans((const unsigned[]){1, 3, 4}, (const unsigned[]){4, 5, 6}, 3);
    open_exporter();
    run_until_empty(0);
    close_exporter();
    expect_accepted(1, 1, 0);
    expect_accepted(2, 2, 1);
    expect_accepted(3, 3, 0);
    expect_accepted(4, 6, 1);
    close_place();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(waiting_records_are_sent_once_over_restarts),
        cmocka_unit_test(dead_letters_go_out_when_they_are_put_back),
        cmocka_unit_test(what_was_not_answered_stays_in_the_outbox),
        cmocka_unit_test(a_record_that_was_replaced_is_not_sent),
        cmocka_unit_test(a_span_that_no_later_record_has_is_sent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
