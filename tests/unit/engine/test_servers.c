// Runs and jobs of several servers that have the same ids: those of one server never overwrite, hide or delay those
// of another.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "ghatrace/stats/runs.h"
#include "ghatrace/store/table.h"
#include "support/engine_bench.h"
#include "support/stats_verify.h"

static const char *const addresses[] = {
    "https://github.com/octo/Hello_World",
    "https://ghe-one.example/octo/Hello_World",
    "https://second.example/octo/Hello_World",
};
#define SERVERS 3
#define EVENTS 5
#define EVENTS_IN_ALL (SERVERS * EVENTS)

// One life cycle on each server, the same except for the conclusion.
static void make_life_cycle(size_t server, struct scenario_delivery events[EVENTS])
{
    static const char *const conclusions[] = {"success", "failure", "cancelled"};
    events[0] = scenario_job(9, GITHUB_JOB_QUEUED, 0, 0, 0, -1);
    events[1] = scenario_job(9, GITHUB_JOB_IN_PROGRESS, 5, 0, 5, -1);
    events[2] = scenario_job(9, GITHUB_JOB_COMPLETED, 60, 0, 5, 60);
    events[3] = scenario_run(GITHUB_RUN_REQUESTED, 0, "");
    events[4] = scenario_run(GITHUB_RUN_COMPLETED, 62, conclusions[server]);
    scenario_set_conclusion(&events[2], conclusions[server]);
    for (size_t i = 0; i < EVENTS; i++)
        scenario_set_server(&events[i], addresses[server]);
}

static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

static void get_ready(struct engine_bench *bench)
{
    engine_bench_open(bench);
    bench->now = scenario_at(1000); // after everything, as with a backlog
}

// The exported records, sorted, so that orders can be compared.
static void finish(struct engine_bench *bench, struct buffer *records)
{
    engine_bench_advance(bench, NS_PER_MINUTE);
    stats_verify(bench->store);
    engine_bench_records(bench, records);
}

static int compare_texts(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

// The spans as lines, sorted.
static void sort_lines(struct buffer *text)
{
    char *lines[64];
    size_t count = 0;
    struct buffer sorted;
    buffer_init(&sorted, 1 << 20);
    for (char *line = (char *)text->data; *line != '\0'; line += strlen(line) + 1) {
        assert_true(count < 64);
        lines[count++] = line;
        *strchr(line, '\n') = '\0';
    }
    qsort(lines, count, sizeof lines[0], compare_texts);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(buffer_append_format(&sorted, "%s\n", lines[i]), ERROR_NONE);
    assert_int_equal(buffer_append(&sorted, "", 1), ERROR_NONE);
    buffer_release(text);
    *text = sorted;
}

// The records of `servers` servers whose events are delivered to a daemon of their own each.
static void expect_alone(size_t servers, struct buffer *lines)
{
    buffer_init(lines, 1 << 20);
    for (size_t server = 0; server < servers; server++) {
        struct scenario_delivery events[EVENTS];
        struct engine_bench bench;
        struct buffer text;
        buffer_init(&text, 1 << 20);
        make_life_cycle(server, events);
        get_ready(&bench);
        for (size_t i = 0; i < EVENTS; i++)
            engine_bench_accept(&bench, &events[i]);
        engine_bench_advance(&bench, NS_PER_MINUTE);
        engine_bench_spans(&bench, &text);
        assert_int_equal(buffer_append_string(lines, (const char *)text.data), ERROR_NONE);
        buffer_release(&text);
        engine_bench_close(&bench);
    }
    assert_int_equal(buffer_append(lines, "", 1), ERROR_NONE);
    sort_lines(lines);
}

static void play(const struct scenario_delivery *const *events, size_t count, uint32_t seed,
                 struct buffer *records, struct buffer *lines)
{
    struct engine_bench bench;
    get_ready(&bench);
    for (size_t i = 0; i < count; i++) {
        engine_bench_accept(&bench, events[i]);
        if (seed != 0 && next_random(&seed) % 3 == 0)
            assert_int_equal(engine_bench_deliver(&bench, events[next_random(&seed) % (i + 1)]),
                             ENGINE_DUPLICATE);
        if (seed != 0 && next_random(&seed) % 3 == 0) { // the same again under another GUID
            struct scenario_delivery other = *events[i];
            other.digest[14] = (uint8_t)(1 + i);
            engine_bench_accept(&bench, &other);
        }
        if (seed != 0 && next_random(&seed) % 4 == 0)
            engine_bench_restart(&bench);
        stats_verify(bench.store);
    }
    finish(&bench, records);
    engine_bench_spans(&bench, lines);
    sort_lines(lines);
    engine_bench_close(&bench);
}

static void compare(const struct buffer *actual, const struct buffer *expected)
{
    if (!slice_equals(buffer_slice(actual), buffer_slice(expected)))
        fail_msg("\n%s\ninstead of\n%s", (const char *)actual->data, (const char *)expected->data);
}

struct orders {
    const struct scenario_delivery *events[6];
    struct buffer *expected;
    struct buffer *first; // records of the first order
    size_t count;
};

static void permute(struct orders *orders, size_t fixed)
{
    if (fixed < 6) {
        for (size_t i = fixed; i < 6; i++) {
            const struct scenario_delivery *kept = orders->events[fixed];
            orders->events[fixed] = orders->events[i];
            orders->events[i] = kept;
            permute(orders, fixed + 1);
            orders->events[i] = orders->events[fixed];
            orders->events[fixed] = kept;
        }
        return;
    }
    struct buffer records;
    struct buffer lines;
    buffer_init(&records, 1 << 20);
    buffer_init(&lines, 1 << 20);
    play(orders->events, 6, 0, &records, &lines);
    compare(&lines, orders->expected);
    if (orders->count++ == 0) {
        *orders->first = records;
    } else {
        assert_true(slice_equals(buffer_slice(&records), buffer_slice(orders->first)));
        buffer_release(&records);
    }
    buffer_release(&lines);
}

// Completed job and completed run of each of three servers, in all 720 orders.
static void ends_on_three_servers_in_all_orders(void **state)
{
    struct scenario_delivery events[SERVERS][EVENTS];
    struct buffer expected;
    struct buffer first;
    struct orders orders = {.expected = &expected, .first = &first};
    (void)state;
    expect_alone(SERVERS, &expected);
    for (size_t server = 0; server < SERVERS; server++) {
        make_life_cycle(server, events[server]);
        orders.events[2 * server] = &events[server][2];
        orders.events[2 * server + 1] = &events[server][4];
    }
    permute(&orders, 0);
    assert_int_equal(orders.count, 720);
    buffer_release(&expected);
    buffer_release(&first);
}

// All events of all servers, with repeats, redeliveries and restarts.
static void life_cycles_on_three_servers_in_any_order(void **state)
{
    struct scenario_delivery events[SERVERS][EVENTS];
    const struct scenario_delivery *order[EVENTS_IN_ALL];
    struct buffer expected;
    uint32_t seed = 4711;
    (void)state;
    expect_alone(SERVERS, &expected);
    for (size_t server = 0; server < SERVERS; server++)
        make_life_cycle(server, events[server]);
    for (int round = 0; round < 60; round++) {
        struct buffer records;
        struct buffer lines;
        for (size_t i = 0; i < EVENTS_IN_ALL; i++)
            order[i] = &events[i / EVENTS][i % EVENTS];
        for (size_t i = EVENTS_IN_ALL - 1; i > 0; i--) {
            size_t other = next_random(&seed) % (i + 1);
            const struct scenario_delivery *kept = order[i];
            order[i] = order[other];
            order[other] = kept;
        }
        buffer_init(&records, 1 << 20);
        buffer_init(&lines, 1 << 20);
        play(order, EVENTS_IN_ALL, seed | 1, &records, &lines);
        compare(&lines, &expected);
        buffer_release(&records);
        buffer_release(&lines);
    }
    buffer_release(&expected);
}

// The run is over on one server and in progress on the other: late and repeated events are attributed to the right
// one.
static void an_event_that_is_late_on_one_server_is_not_late_on_the_other(void **state)
{
    struct scenario_delivery first[EVENTS];
    struct scenario_delivery second[EVENTS];
    struct engine_bench bench;
    struct engine_counters counters;
    struct buffer text;
    (void)state;
    make_life_cycle(0, first);
    make_life_cycle(1, second);
    get_ready(&bench);
    for (size_t i = 0; i < EVENTS; i++)
        engine_bench_accept(&bench, &first[i]);
    engine_bench_advance(&bench, NS_PER_HOUR);
    engine_bench_restart(&bench);
    for (size_t i = 0; i < EVENTS; i++) {
        struct scenario_delivery again = first[i];
        again.digest[14] = 1;
        engine_bench_accept(&bench, &again);
        engine_bench_accept(&bench, &second[i]);
    }
    engine_read_counters(bench.engine, &counters);
    assert_int_equal(counters.late, EVENTS);
    buffer_init(&text, 1 << 20);
    engine_bench_spans(&bench, &text);
    const char *found = (const char *)text.data;
    size_t roots = 0;
    for (; (found = strstr(found, "RUN CI")) != NULL; found++)
        roots++;
    assert_int_equal(roots, 2);
    buffer_release(&text);
    engine_bench_close(&bench);
}

// Jobs that wait on two servers: each job is in the queue, each run is listed; giving up one does not affect the
// other.
static void runs_open_on_two_servers_are_listed_twice(void **state)
{
    struct scenario_delivery first[EVENTS];
    struct scenario_delivery second[EVENTS];
    struct engine_bench bench;
    struct error error = {0};
    struct store_transaction *transaction;
    (void)state;
    make_life_cycle(0, first);
    make_life_cycle(1, second);
    get_ready(&bench);
    engine_bench_accept(&bench, &first[0]);
    engine_bench_accept(&bench, &second[0]);
    stats_verify(bench.store);
    assert_int_equal(store_begin(bench.store, false, &transaction, &error), ERROR_NONE);
    assert_int_equal(open_runs_count(transaction), 2);
    assert_int_equal(store_table_count(transaction, STORE_TABLE_OPEN_JOBS), 2);
    store_abort(transaction);
    engine_bench_accept(&bench, &first[2]);
    engine_bench_accept(&bench, &first[4]);
    stats_verify(bench.store);
    assert_int_equal(store_begin(bench.store, false, &transaction, &error), ERROR_NONE);
    assert_int_equal(open_runs_count(transaction), 1);
    assert_int_equal(store_table_count(transaction, STORE_TABLE_OPEN_JOBS), 1);
    assert_int_equal(recent_count(transaction), 1);
    store_abort(transaction);
    // Job grace and job timeout are applied to each separately.
    engine_bench_advance(&bench, 7 * NS_PER_DAY);
    stats_verify(bench.store);
    assert_int_equal(store_begin(bench.store, false, &transaction, &error), ERROR_NONE);
    assert_int_equal(open_runs_count(transaction), 0);
    assert_int_equal(store_table_count(transaction, STORE_TABLE_OPEN_JOBS), 0);
    store_abort(transaction);
    engine_bench_close(&bench);
}

// Servers are stored for look-ups of a number alone, up to the maximum.
static void servers_are_remembered_up_to_a_bound(void **state)
{
    struct engine_bench bench;
    struct arena arena;
    struct error error = {0};
    struct slice servers[SERVERS_MAX];
    size_t count;
    struct store_transaction *transaction;
    (void)state;
    get_ready(&bench);
    for (int i = 0; i < SERVERS_MAX + 20; i++) {
        char address[64];
        struct scenario_delivery delivery = scenario_job(9, GITHUB_JOB_QUEUED, 0, 0, 0, -1);
        (void)snprintf(address, sizeof address, "https://ghe%d.example/o/r",
                       i % (SERVERS_MAX + 10));
        scenario_set_server(&delivery, address);
        memcpy(delivery.digest, &i, sizeof i);
        engine_bench_accept(&bench, &delivery);
    }
    arena_init(&arena, 4096);
    assert_int_equal(store_begin(bench.store, false, &transaction, &error), ERROR_NONE);
    assert_int_equal(servers_list(transaction, &arena, servers, &count, &error), ERROR_NONE);
    assert_int_equal(count, SERVERS_MAX);
    assert_int_equal(open_runs_count(transaction), SERVERS_MAX + 10);
    store_abort(transaction);
    arena_release(&arena);
    stats_verify(bench.store);
    engine_bench_close(&bench);
}

// A state under the key of another server is damaged and is set aside, and so are its entries in the lists.
static void a_state_under_the_key_of_another_server_is_set_aside(void **state)
{
    struct scenario_delivery second[EVENTS];
    struct engine_bench bench;
    struct error error = {0};
    struct store_transaction *transaction;
    struct store_key key = {.trace = {{0}}};
    struct slice bytes;
    (void)state;
    make_life_cycle(1, second);
    get_ready(&bench);
    engine_bench_accept(&bench, &second[3]);
    assert_int_equal(store_begin(bench.store, true, &transaction, &error), ERROR_NONE);
    assert_int_equal(store_seek_span(transaction, &key, &bytes, &error), ERROR_NONE);
    char copy[4096];
    assert_true(bytes.len < sizeof copy);
    memcpy(copy, bytes.data, bytes.len);
    struct slice state_bytes = {copy, bytes.len};
    ptrdiff_t at = slice_find(state_bytes, SLICE("ghe-one.example"));
    assert_true(at > 0);
    copy[at] = 'x'; // the server; its URL follows
    assert_int_equal(store_put_span(transaction, &key, state_bytes, &error), ERROR_NONE);
    assert_int_equal(store_commit(transaction, &error), ERROR_NONE);
    engine_bench_accept(&bench, &second[0]);
    stats_verify(bench.store);
    assert_int_equal(store_begin(bench.store, false, &transaction, &error), ERROR_NONE);
    struct store_set_aside_totals totals;
    assert_int_equal(store_read_set_aside_totals(transaction, &totals, &error), ERROR_NONE);
    assert_int_equal(totals.kept, 1);
    assert_int_equal(open_runs_count(transaction), 1);
    store_abort(transaction);
    engine_bench_close(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ends_on_three_servers_in_all_orders),
        cmocka_unit_test(life_cycles_on_three_servers_in_any_order),
        cmocka_unit_test(an_event_that_is_late_on_one_server_is_not_late_on_the_other),
        cmocka_unit_test(runs_open_on_two_servers_are_listed_twice),
        cmocka_unit_test(servers_are_remembered_up_to_a_bound),
        cmocka_unit_test(a_state_under_the_key_of_another_server_is_set_aside),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
