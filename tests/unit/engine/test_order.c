// Whatever the order, the repetition and the restarts: the same deliveries give the same spans, byte by byte, and
// each span once; and the same figures, which agree with the states at every step.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "ghatrace/store/table.h"
#include "support/engine_bench.h"
#include "support/orders.h"
#include "support/stats_verify.h"

#define QUEUED GITHUB_JOB_QUEUED
#define WAITING GITHUB_JOB_WAITING
#define IN_PROGRESS GITHUB_JOB_IN_PROGRESS
#define COMPLETED GITHUB_JOB_COMPLETED

#define EVENTS_MAX 40

struct sequence {
    const char *name;
    struct scenario_delivery events[EVENTS_MAX];
    size_t count;
};

static void add(struct sequence *sequence, struct scenario_delivery delivery)
{
    assert_true(sequence->count < EVENTS_MAX);
    sequence->events[sequence->count++] = delivery;
}

// Delivers a sequence in the given order to a new store. `seed` 0: no repeats and no restarts.
static void play(const struct sequence *sequence, const size_t *order, uint32_t seed,
                 struct buffer *records)
{
    struct engine_bench bench;
    engine_bench_open(&bench);
    if (stats_verify_rules != NULL)
        bench.options.pool_rules = *stats_verify_rules;
    for (int kind = 0; kind < SERIES_KINDS; kind++) // with every label that there may be
        bench.options.series.labels[kind] = series_labels_allowed((enum series_kind)kind);
    engine_bench_restart(&bench);
    bench.now = scenario_at(
        80000); // after everything, as with a backlog, so that GUID times are used; latencies are kept
    for (size_t i = 0; i < sequence->count; i++) {
        engine_bench_accept(&bench, &sequence->events[order[i]]);
        if (seed != 0 && next_random(&seed) % 4 == 0) {
            size_t again = order[next_random(&seed) % (i + 1)];
            assert_int_equal(engine_bench_deliver(&bench, &sequence->events[again]),
                             ENGINE_DUPLICATE);
        }
        if (seed != 0 && next_random(&seed) % 4 == 0) {
            // The same event under another GUID, as a second hook sends it.
            struct scenario_delivery other = sequence->events[order[i]];
            other.digest[14] = (uint8_t)(1 + i);
            engine_bench_accept(&bench, &other);
        }
        if (seed != 0 && next_random(&seed) % 4 == 0)
            engine_bench_restart(&bench);
        stats_verify(bench.store);
        stats_verify_minutes(bench.store);
        bench.now += 10 * NS_PER_MS;
    }
    engine_bench_advance(&bench, NS_PER_MINUTE);
    stats_verify(bench.store);
    stats_verify_minutes(bench.store);
    engine_bench_records(&bench, records);
    stats_write(bench.store, records);
    engine_bench_advance(&bench, 5 * NS_PER_HOUR); // the minutes become hours
    assert_int_equal(engine_bench_count_entries(&bench, STORE_TABLE_POOL_MINUTES), 0);
    stats_write(bench.store, records);
    engine_bench_close(&bench);
}

static void assert_same(const struct sequence *sequence, const size_t *order,
                        struct buffer *expected, struct buffer *actual)
{
    if (slice_equals(buffer_slice(expected), buffer_slice(actual)))
        return;
    print_message("%s: other spans or figures in the order", sequence->name);
    for (size_t i = 0; i < sequence->count; i++)
        print_message(" %zu", order[i]);
    fail_msg("\n%zu bytes, not %zu", actual->len, expected->len);
}

static void play_all_permutations(const struct sequence *sequence)
{
    struct buffer expected;
    struct buffer actual;
    size_t order[EVENTS_MAX];
    uint32_t seed = 1;
    buffer_init(&expected, 1 << 24);
    buffer_init(&actual, 1 << 24);
    for (size_t i = 0; i < sequence->count; i++)
        order[i] = i;
    play(sequence, order, 0, &expected);
    assert_true(expected.len > 0);
    while (next_permutation(order, sequence->count)) {
        play(sequence, order, next_random(&seed) % 2 == 0 ? 0 : seed, &actual);
        assert_same(sequence, order, &expected, &actual);
    }
    buffer_release(&expected);
    buffer_release(&actual);
}

static void play_samples(const struct sequence *sequence, int samples)
{
    struct buffer expected;
    struct buffer actual;
    size_t order[EVENTS_MAX];
    uint32_t seed = 7;
    buffer_init(&expected, 1 << 24);
    buffer_init(&actual, 1 << 24);
    for (size_t i = 0; i < sequence->count; i++)
        order[i] = i;
    play(sequence, order, 0, &expected);
    for (int i = 0; i < samples; i++) {
        shuffle(order, sequence->count, &seed);
        play(sequence, order, seed | 1, &actual);
        assert_same(sequence, order, &expected, &actual);
    }
    buffer_release(&expected);
    buffer_release(&actual);
}

static void an_ordinary_run_in_every_order(void **state)
{
    struct sequence sequence = {.name = "ordinary"};
    (void)state;
    add(&sequence, scenario_run(GITHUB_RUN_REQUESTED, 1, ""));
    add(&sequence, scenario_job(1, QUEUED, 2, 2, 2, -1));
    add(&sequence, scenario_run(GITHUB_RUN_IN_PROGRESS, 6, ""));
    add(&sequence, scenario_job(1, IN_PROGRESS, 6, 2, 6, -1));
    add(&sequence, scenario_job(1, COMPLETED, 60, 2, 6, 60));
    add(&sequence, scenario_run(GITHUB_RUN_COMPLETED, 62, "success"));
    play_all_permutations(&sequence);
}

static void a_gated_deployment_in_every_order(void **state)
{
    struct sequence sequence = {.name = "gated"};
    (void)state;
    add(&sequence, scenario_job(1, QUEUED, 2.5, 2, 2, -1));
    add(&sequence, scenario_job(1, WAITING, 3.25, 2, 2, -1));
    add(&sequence, scenario_job(1, QUEUED, 30.125, 2, 2, -1));
    add(&sequence, scenario_job(1, IN_PROGRESS, 45, 2, 45, -1));
    add(&sequence, scenario_job(1, COMPLETED, 60, 2, 45, 60));
    for (size_t i = 0; i < sequence.count; i++)
        scenario_set_deployment(&sequence.events[i], 3192898954, "production");
    add(&sequence, scenario_run(GITHUB_RUN_REQUESTED, 1, ""));
    add(&sequence, scenario_run(GITHUB_RUN_COMPLETED, 62, "success"));
    play_all_permutations(&sequence);
}

static void payloads_from_before_2023_in_every_order(void **state)
{
    struct sequence sequence = {.name = "old"};
    (void)state;
    add(&sequence, scenario_run(GITHUB_RUN_REQUESTED, 1, ""));
    add(&sequence, scenario_job(1, QUEUED, 10, -1, 10, -1));
    add(&sequence, scenario_job(1, IN_PROGRESS, 56, -1, 56, -1));
    add(&sequence, scenario_job(1, COMPLETED, 59, -1, 56, 59));
    add(&sequence, scenario_run(GITHUB_RUN_COMPLETED, 101, "success"));
    for (size_t i = 0; i < sequence.count; i++)
        scenario_make_old(&sequence.events[i]);
    play_all_permutations(&sequence);
}

static void jobs_that_never_ran_in_every_order(void **state)
{
    struct sequence sequence = {.name = "never ran"};
    (void)state;
    struct scenario_delivery skipped = scenario_job(2, COMPLETED, 15, 15, 14, 14);
    struct scenario_delivery cancelled = scenario_job(3, COMPLETED, 42, 12, 42, 42);
    scenario_set_conclusion(&skipped, "skipped");
    scenario_set_runner(&skipped, 0, "");
    scenario_set_conclusion(&cancelled, "cancelled");
    scenario_set_runner(&cancelled, 0, "");
    add(&sequence, skipped);
    add(&sequence, scenario_job(3, QUEUED, 12, 12, 12, -1));
    add(&sequence, cancelled);
    add(&sequence, scenario_run(GITHUB_RUN_REQUESTED, 1, ""));
    add(&sequence, scenario_run(GITHUB_RUN_COMPLETED, 50, "cancelled"));
    play_all_permutations(&sequence);
}

// One was refused, one lost its runner while several steps ran, and one in its preparation.
static void jobs_without_a_runner_at_their_end_in_every_order(void **state)
{
    struct sequence sequence = {.name = "runners lost"};
    const struct github_step running[] = {scenario_step(1, "Set up job", 6, 9, "success"),
                                          scenario_step(2, "database", 9, -1, ""),
                                          scenario_step(3, "unit", 9, -1, "")};
    const struct github_step preparing = scenario_step(1, "Set up job", 6, -1, "");
    struct scenario_delivery refused = scenario_job(1, COMPLETED, 6, 2, 3, 6);
    struct scenario_delivery lost = scenario_job(2, COMPLETED, 60, 2, 6, 60);
    struct scenario_delivery hung = scenario_job(3, COMPLETED, 60, 2, 6, 60);
    struct scenario_delivery begun = scenario_job(3, IN_PROGRESS, 6, 2, 6, -1);
    (void)state;
    scenario_set_runner(&refused, 0, "");
    scenario_set_steps(&lost, running, 3);
    scenario_set_steps(&begun, &preparing, 1);
    scenario_set_steps(&hung, &preparing, 1);
    scenario_set_conclusion(&refused, "failure");
    scenario_set_conclusion(&lost, "failure");
    scenario_set_conclusion(&hung, "failure");
    add(&sequence, scenario_job(1, QUEUED, 2, 2, 2, -1));
    add(&sequence, refused);
    add(&sequence, lost);
    add(&sequence, begun);
    add(&sequence, hung);
    add(&sequence, scenario_run(GITHUB_RUN_COMPLETED, 62, "failure"));
    play_all_permutations(&sequence);
}

static void a_re_run_of_failed_jobs_in_every_order(void **state)
{
    struct sequence sequence = {.name = "re-run"};
    (void)state;
    add(&sequence, scenario_job(11, COMPLETED, 1001, 1000, 10, 60));
    add(&sequence, scenario_job(12, COMPLETED, 1001, 1000, 12, 61));
    add(&sequence, scenario_job(13, QUEUED, 1001, 1000, 1000, -1));
    add(&sequence, scenario_job(13, IN_PROGRESS, 1009, 1000, 1009, -1));
    add(&sequence, scenario_job(13, COMPLETED, 1060, 1000, 1009, 1060));
    add(&sequence, scenario_run(GITHUB_RUN_COMPLETED, 1062, "success"));
    for (size_t i = 0; i < sequence.count; i++)
        scenario_set_attempt(&sequence.events[i], 2);
    sequence.events[5].event.run.run_started_at = scenario_at(999);
    play_all_permutations(&sequence);
}

static void a_wait_that_is_corrected_in_every_order(void **state)
{
    struct sequence sequence = {.name = "corrected"};
    (void)state;
    add(&sequence, scenario_job(1, QUEUED, 2, 2, 2, -1));
    add(&sequence, scenario_job(1, IN_PROGRESS, 16, 2, 15, -1));
    add(&sequence, scenario_job(1, COMPLETED, 60, 2, 6, 60));
    add(&sequence, scenario_job(2, IN_PROGRESS, 9, 2, 9, -1));
    add(&sequence, scenario_job(3, IN_PROGRESS, 9, 2, 2, -1));
    add(&sequence, scenario_job(3, COMPLETED, 50, 2, 3, 50));
    play_all_permutations(&sequence);
}

// One is given up while it runs, one while it is queued.
static void jobs_without_an_end_in_every_order(void **state)
{
    struct sequence sequence = {.name = "without an end"};
    struct scenario_delivery elsewhere = scenario_job(2, IN_PROGRESS, 9, 2, 9, -1);
    (void)state;
    scenario_set_runner(&elsewhere, 8, "runner-8");
    add(&sequence, scenario_job(1, QUEUED, 2, 2, 2, -1));
    add(&sequence, scenario_job(1, IN_PROGRESS, 6, 2, 6, -1));
    add(&sequence, elsewhere);
    add(&sequence, scenario_job(3, QUEUED, 2, 2, 2, -1));
    add(&sequence, scenario_job(4, COMPLETED, 50, 2, 30, 50)); // on the runner of the first
    add(&sequence, scenario_run(GITHUB_RUN_COMPLETED, 62, "failure"));
    play_all_permutations(&sequence);
}

// A matrix with a gated job behind it: too many orders for all of them.
static void a_large_run_in_many_orders(void **state)
{
    struct sequence sequence = {.name = "large"};
    static char names[6][32];
    (void)state;
    add(&sequence, scenario_run(GITHUB_RUN_REQUESTED, 1, ""));
    for (int64_t id = 1; id <= 6; id++) {
        size_t from = sequence.count;
        double start = 3 + (double)id;
        (void)snprintf(names[id - 1], sizeof names[0], "test (3.%d)", (int)id);
        add(&sequence, scenario_job(id, QUEUED, 2, 2, 2, -1));
        add(&sequence, scenario_job(id, IN_PROGRESS, start, 2, start, -1));
        add(&sequence, scenario_job(id, COMPLETED, 60 + start, 2, start, 60 + start));
        add(&sequence, scenario_run(GITHUB_RUN_IN_PROGRESS, start, ""));
        for (size_t i = from; i < sequence.count - 1; i++)
            sequence.events[i].event.job.name = slice_from_string(names[id - 1]);
    }
    size_t gated = sequence.count;
    add(&sequence, scenario_job(9, QUEUED, 71.5, 71, 71, -1));
    add(&sequence, scenario_job(9, WAITING, 72.5, 71, 71, -1));
    add(&sequence, scenario_job(9, QUEUED, 300.5, 71, 71, -1));
    add(&sequence, scenario_job(9, IN_PROGRESS, 310, 71, 310, -1));
    add(&sequence, scenario_job(9, COMPLETED, 400, 71, 310, 400));
    for (size_t i = gated; i < sequence.count; i++)
        scenario_set_deployment(&sequence.events[i], 42, "production");
    add(&sequence, scenario_run(GITHUB_RUN_COMPLETED, 402, "success"));
    play_samples(&sequence, 400);
}

static void pools_that_rules_name_in_many_orders(void **state)
{
    static const struct slice labels[][3] = {{{"run-17", 6}, {"GPU-a", 5}, {"linux", 5}},
                                             {{"linux", 5}, {"run-18", 6}, {"x64", 3}}};
    static const struct slice globs[] = {{"gpu-*", 5}}, ignored[] = {{"run-*", 5}};
    static const struct pool_rule rule[] = {{{"gpu", 3}, globs, 1}};
    static const struct pool_rules rules = {rule, 1, ignored, 1};
    struct sequence sequence = {.name = "rules for pools"};
    (void)state;
    add(&sequence, scenario_run(GITHUB_RUN_REQUESTED, 1, ""));
    for (int64_t id = 1; id <= 4; id++) {
        size_t from = sequence.count;
        add(&sequence, scenario_job(id, QUEUED, 2, 2, 2, -1));
        add(&sequence, scenario_job(id, IN_PROGRESS, 6, 2, 6, -1));
        if (id > 2)
            add(&sequence, scenario_job(id, COMPLETED, 60, 2, 6, 60));
        for (size_t i = from; i < sequence.count; i++) {
            sequence.events[i].event.job.labels = labels[id % 2];
            sequence.events[i].event.job.label_count = 3;
        }
    }
    stats_verify_rules = &rules;
    play_samples(&sequence, 200);
    stats_verify_rules = NULL;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_ordinary_run_in_every_order),
        cmocka_unit_test(a_gated_deployment_in_every_order),
        cmocka_unit_test(payloads_from_before_2023_in_every_order),
        cmocka_unit_test(jobs_that_never_ran_in_every_order),
        cmocka_unit_test(jobs_without_a_runner_at_their_end_in_every_order),
        cmocka_unit_test(a_re_run_of_failed_jobs_in_every_order),
        cmocka_unit_test(a_wait_that_is_corrected_in_every_order),
        cmocka_unit_test(jobs_without_an_end_in_every_order),
        cmocka_unit_test(a_large_run_in_many_orders),
        cmocka_unit_test(pools_that_rules_name_in_many_orders),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
