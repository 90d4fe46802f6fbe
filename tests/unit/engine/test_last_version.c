// What a backend has in the end: the last version of each span is the same whatever the order of the deliveries and
// the pauses between them; and no version is less complete than an earlier one.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "support/engine_bench.h"
#include "support/orders.h"
#include "support/stats_verify.h"

#define QUEUED GITHUB_JOB_QUEUED
#define IN_PROGRESS GITHUB_JOB_IN_PROGRESS
#define COMPLETED GITHUB_JOB_COMPLETED

#define EVENTS_MAX 16

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

// Longer than root-grace, job-grace, run-idle.
static const duration_ns pauses[] = {10 * NS_PER_MS, 11 * NS_PER_SECOND, 11 * NS_PER_MINUTE,
                                     2 * NS_PER_HOUR};
#define PAUSES (sizeof pauses / sizeof pauses[0])

struct way {
    const size_t *order;
    duration_ns pause;  // between deliveries; 0: one at random each time
    duration_ns linger; // 0: the usual one
    uint32_t seed;      // 0: no repeats and no restarts
};

static void repeat_some(struct engine_bench *bench, const struct sequence *sequence,
                        const struct way *way, size_t i, uint32_t *seed)
{
    if (next_random(seed) % 4 == 0) {
        size_t again = way->order[next_random(seed) % (i + 1)];
        assert_int_equal(engine_bench_deliver(bench, &sequence->events[again]), ENGINE_DUPLICATE);
    }
    if (next_random(seed) % 3 == 0) {
        // The same event under another GUID, as a second hook sends it.
        struct scenario_delivery other = sequence->events[way->order[next_random(seed) % (i + 1)]];
        other.digest[14] = (uint8_t)(1 + i);
        engine_bench_accept(bench, &other);
    }
    if (next_random(seed) % 4 == 0)
        engine_bench_restart(bench);
}

static void play(const struct sequence *sequence, const struct way *way, struct buffer *versions)
{
    struct engine_bench bench;
    uint32_t seed = way->seed;
    engine_bench_open(&bench);
    bench.now = scenario_at(100000); // after everything, so that GUID times are used
    bench.options.history = 60 * NS_PER_DAY;
    if (way->linger != 0)
        bench.options.policy.linger = way->linger;
    engine_bench_restart(&bench);
    for (size_t i = 0; i < sequence->count; i++) {
        engine_bench_accept(&bench, &sequence->events[way->order[i]]);
        if (seed != 0)
            repeat_some(&bench, sequence, way, i, &seed);
        stats_verify(bench.store);
        engine_bench_advance(&bench,
                             way->pause != 0 ? way->pause : pauses[next_random(&seed) % PAUSES]);
    }
    engine_bench_advance(&bench, 3 * NS_PER_HOUR);
    stats_verify(bench.store);
    engine_bench_last_versions(&bench, versions);
    engine_bench_close(&bench);
}

static void assert_same(const struct sequence *sequence, const struct way *way,
                        struct buffer *expected, struct buffer *actual)
{
    if (slice_equals(buffer_slice(expected), buffer_slice(actual)))
        return;
    print_message("%s: other spans with pauses of %lld ms, seed %u, in the order", sequence->name,
                  (long long)(way->pause / NS_PER_MS), way->seed);
    for (size_t i = 0; i < sequence->count; i++)
        print_message(" %zu", way->order[i]);
    fail_msg("\n%zu bytes, not %zu", actual->len, expected->len);
}

// All orders, with each of the pauses, sometimes with repeats and restarts.
static void play_all(const struct sequence *sequence, const duration_ns *lengths, size_t count,
                     duration_ns linger)
{
    struct buffer expected, actual;
    uint32_t seed = 1;
    buffer_init(&expected, 1 << 24);
    buffer_init(&actual, 1 << 24);
    size_t natural[EVENTS_MAX];
    for (size_t i = 0; i < sequence->count; i++)
        natural[i] = i;
    struct way first = {.order = natural, .pause = pauses[0], .linger = linger};
    play(sequence, &first, &expected);
    assert_true(expected.len > 0);
    for (size_t pause = 0; pause < count; pause++) {
        size_t order[EVENTS_MAX];
        memcpy(order, natural, sizeof order);
        do {
            struct way way = {order, lengths[pause], linger, next_random(&seed) % 2};
            way.seed *= seed;
            play(sequence, &way, &actual);
            assert_same(sequence, &way, &expected, &actual);
        } while (next_permutation(order, sequence->count));
    }
    buffer_release(&expected);
    buffer_release(&actual);
}

// --- sequences -----------------------------------------------------------------------------------------------

static void a_run_that_ends_twice(void **state)
{
    struct sequence sequence = {.name = "run ends twice"};
    (void)state;
    add(&sequence, scenario_run(GITHUB_RUN_COMPLETED, 32, "failure"));
    add(&sequence, scenario_job(1, QUEUED, 640, 640, 640, -1));
    add(&sequence, scenario_job(1, COMPLETED, 700, 640, 645, 700));
    add(&sequence, scenario_run(GITHUB_RUN_COMPLETED, 702, "success"));
    play_all(&sequence, pauses, PAUSES, 0);
}

static void a_run_that_ends_twice_at_one_time_has_the_worse_result(void **state)
{
    struct sequence sequence = {.name = "run ends twice at one time"};
    (void)state;
    add(&sequence, scenario_run(GITHUB_RUN_COMPLETED, 60, "success"));
    add(&sequence, scenario_run(GITHUB_RUN_COMPLETED, 60, "failure"));
    sequence.events[1].digest[15] = 1;
    add(&sequence, scenario_run(GITHUB_RUN_COMPLETED, 60, "cancelled"));
    sequence.events[2].digest[15] = 2;
    add(&sequence, scenario_job(1, COMPLETED, 58, 2, 6, 58));
    play_all(&sequence, pauses, PAUSES, 0);
}

static struct scenario_delivery ended(int64_t id, double at, const char *conclusion)
{
    struct scenario_delivery delivery = scenario_job(id, COMPLETED, at, 2, 6, at);
    scenario_set_conclusion(&delivery, conclusion);
    return delivery;
}

static void a_job_that_completes_twice(void **state)
{
    struct sequence sequence = {.name = "job completes twice"};
    (void)state;
    add(&sequence, scenario_job(1, QUEUED, 2, 2, 2, -1));
    add(&sequence, ended(1, 60, "failure"));
    add(&sequence, ended(1, 120, "success"));
    add(&sequence, scenario_run(GITHUB_RUN_COMPLETED, 90, "failure"));
    play_all(&sequence, pauses, PAUSES, 0);
}

static void a_gated_job_that_completes_twice(void **state)
{
    struct sequence sequence = {.name = "gated job completes twice"};
    (void)state;
    add(&sequence, scenario_job(1, GITHUB_JOB_WAITING, 3.25, 2, 2, -1));
    add(&sequence, scenario_job(1, QUEUED, 30.125, 2, 2, -1));
    add(&sequence, scenario_job(1, COMPLETED, 60, 2, 45, 60));
    add(&sequence, scenario_job(1, COMPLETED, 90, 2, 45, 90));
    scenario_set_conclusion(&sequence.events[2], "failure");
    for (size_t i = 0; i < sequence.count; i++)
        scenario_set_deployment(&sequence.events[i], 3192898954, "production");
    add(&sequence, scenario_run(GITHUB_RUN_COMPLETED, 62, "success"));
    play_all(&sequence, pauses, PAUSES - 1, 0);
}

static void jobs_that_complete_twice_without_events_of_their_run(void **state)
{
    struct sequence sequence = {.name = "made-up root"};
    (void)state;
    add(&sequence, ended(1, 60, "failure"));
    add(&sequence, ended(1, 120, "success"));
    add(&sequence, ended(2, 100, "success"));
    add(&sequence, ended(3, 40, "cancelled"));
    play_all(&sequence, pauses, PAUSES, 0);
}

// They may have waited for approval, so their states are kept after they were sent.
static void deployments_that_complete_twice_without_events_of_their_run(void **state)
{
    struct sequence sequence = {.name = "made-up root of deployments"};
    (void)state;
    add(&sequence, ended(1, 60, "failure"));
    add(&sequence, ended(1, 120, "success"));
    add(&sequence, ended(2, 100, "success"));
    add(&sequence, ended(3, 40, "cancelled"));
    for (size_t i = 0; i < sequence.count; i++)
        scenario_set_deployment(&sequence.events[i], 3192898954, "production");
    play_all(&sequence, pauses, PAUSES, 0);
}

static void jobs_that_extend_beyond_their_run(void **state)
{
    struct sequence sequence = {.name = "jobs stick out"};
    (void)state;
    add(&sequence, scenario_job(1, COMPLETED, 60, 1, 6, 60));
    add(&sequence, scenario_job(2, COMPLETED, 75, 20, 26, 75));
    add(&sequence, scenario_run(GITHUB_RUN_REQUESTED, 2, ""));
    add(&sequence, scenario_run(GITHUB_RUN_COMPLETED, 62, "success"));
    for (size_t i = 2; i < 4; i++)
        sequence.events[i].event.run.run_started_at = scenario_at(2);
    play_all(&sequence, pauses, PAUSES, 0);
}

static void a_re_run_whose_other_jobs_are_carried_over(void **state)
{
    struct sequence sequence = {.name = "re-run"};
    (void)state;
    struct scenario_delivery skipped = scenario_job(12, COMPLETED, 1002, 1001, 12, 12);
    scenario_set_conclusion(&skipped, "skipped");
    scenario_set_runner(&skipped, 0, "");
    add(&sequence, scenario_job(11, COMPLETED, 1001, 1000, 10, 60));
    add(&sequence, skipped);
    add(&sequence, scenario_job(13, COMPLETED, 1060, 1000, 1009, 1060));
    add(&sequence, scenario_run(GITHUB_RUN_COMPLETED, 1058, "success"));
    for (size_t i = 0; i < sequence.count; i++)
        scenario_set_attempt(&sequence.events[i], 2);
    sequence.events[3].event.run.run_started_at = scenario_at(1001);
    play_all(&sequence, pauses, PAUSES, 0);
}

// Longer than job-timeout, and no longer than an approval may take.
static const duration_ns long_pauses[] = {7 * NS_PER_DAY};

static void a_run_that_is_approved_late(void **state)
{
    struct sequence sequence = {.name = "approved late"};
    (void)state;
    add(&sequence, scenario_run(GITHUB_RUN_REQUESTED, 1, "action_required"));
    add(&sequence, scenario_run(GITHUB_RUN_COMPLETED, 2, "action_required"));
    add(&sequence, scenario_run(GITHUB_RUN_COMPLETED, 5000, "success"));
    add(&sequence, scenario_job(1, COMPLETED, 4990, 4000, 4006, 4990));
    play_all(&sequence, pauses, PAUSES, 0);
    play_all(&sequence, long_pauses, 1, 60 * NS_PER_DAY);
}

static void a_run_without_events_that_ends_after_all(void **state)
{
    struct sequence sequence = {.name = "silent"};
    (void)state;
    add(&sequence, scenario_run(GITHUB_RUN_REQUESTED, 1, ""));
    add(&sequence, scenario_job(1, QUEUED, 2, 2, 2, -1));
    add(&sequence, scenario_job(1, COMPLETED, 60, 2, 6, 60));
    add(&sequence, scenario_run(GITHUB_RUN_COMPLETED, 62, "success"));
    play_all(&sequence, pauses, PAUSES, 0);
    play_all(&sequence, long_pauses, 1, 60 * NS_PER_DAY);
}

static void a_job_that_never_ends(void **state)
{
    struct sequence sequence = {.name = "never ends"};
    (void)state;
    add(&sequence, scenario_run(GITHUB_RUN_COMPLETED, 62, "cancelled"));
    add(&sequence, scenario_job(1, QUEUED, 2, 2, 2, -1));
    add(&sequence, scenario_job(1, IN_PROGRESS, 6, 2, 6, -1));
    play_all(&sequence, pauses, PAUSES, 0);
}

static void a_job_whose_end_names_no_runner(void **state)
{
    struct sequence sequence = {.name = "no runner in the end"};
    struct scenario_delivery completed = scenario_job(1, COMPLETED, 60, 2, 6, 60);
    (void)state;
    scenario_set_runner(&completed, 0, "");
    add(&sequence, scenario_job(1, QUEUED, 2, 2, 2, -1));
    add(&sequence, scenario_job(1, IN_PROGRESS, 6, 2, 6, -1));
    add(&sequence, completed);
    add(&sequence, scenario_run(GITHUB_RUN_COMPLETED, 62, "success"));
    play_all(&sequence, pauses, PAUSES, 0);
}

// --- random life cycles ----------------------------------------------------------------------------------------

static const char *const results[] = {"success", "failure", "cancelled", "timed_out"};

static void add_random_job(struct sequence *sequence, int64_t id, uint32_t *seed)
{
    double created = 1 + next_random(seed) % 300;
    double started = created + next_random(seed) % 60;
    double end = started + 1 + next_random(seed) % 300;
    if (next_random(seed) % 2 == 0)
        add(sequence, scenario_job(id, QUEUED, created, created, created, -1));
    if (next_random(seed) % 2 == 0)
        add(sequence, scenario_job(id, IN_PROGRESS, started, created, started, -1));
    for (int i = next_random(seed) % 3 == 0 ? 0 : 1; i < 2; i++, end += next_random(seed) % 100) {
        struct scenario_delivery completed =
            scenario_job(id, COMPLETED, end, created, started, end);
        scenario_set_conclusion(&completed, results[next_random(seed) % 4]);
        completed.digest[13] = (uint8_t)(2 + i);
        add(sequence, completed);
    }
}

static void add_random_run(struct sequence *sequence, uint32_t *seed)
{
    double end = 5 + next_random(seed) % 700;
    if (next_random(seed) % 2 == 0)
        add(sequence, scenario_run(GITHUB_RUN_REQUESTED, 1, ""));
    if (next_random(seed) % 4 == 0)
        add(sequence, scenario_run(GITHUB_RUN_COMPLETED, 2, "action_required"));
    for (int i = next_random(seed) % 2 == 0 ? 0 : 1; i < 2; i++, end += next_random(seed) % 400) {
        struct scenario_delivery completed =
            scenario_run(GITHUB_RUN_COMPLETED, end, results[next_random(seed) % 4]);
        completed.digest[13] = (uint8_t)(2 + i);
        add(sequence, completed);
    }
}

static void random_life_cycles(void **state)
{
    struct buffer expected, actual;
    uint32_t seed = 20260903;
    (void)state;
    buffer_init(&expected, 1 << 24);
    buffer_init(&actual, 1 << 24);
    for (int i = 0; i < 60; i++) {
        struct sequence sequence = {.name = "random"};
        size_t order[EVENTS_MAX];
        size_t jobs = next_random(&seed) % 3;
        for (size_t job = 0; job < jobs; job++)
            add_random_job(&sequence, (int64_t)job + 1, &seed);
        if (jobs == 0 || next_random(&seed) % 5 != 0)
            add_random_run(&sequence, &seed);
        for (size_t k = 0; k < sequence.count; k++)
            order[k] = k;
        play(&sequence, &(struct way){.order = order, .pause = pauses[0]}, &expected);
        for (int k = 0; k < 6; k++) {
            shuffle(order, sequence.count, &seed);
            struct way way = {.order = order, .seed = seed | 1};
            play(&sequence, &way, &actual);
            assert_same(&sequence, &way, &expected, &actual);
        }
    }
    buffer_release(&expected);
    buffer_release(&actual);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_run_that_ends_twice),
        cmocka_unit_test(a_run_that_ends_twice_at_one_time_has_the_worse_result),
        cmocka_unit_test(a_job_that_completes_twice),
        cmocka_unit_test(a_gated_job_that_completes_twice),
        cmocka_unit_test(jobs_that_complete_twice_without_events_of_their_run),
        cmocka_unit_test(deployments_that_complete_twice_without_events_of_their_run),
        cmocka_unit_test(jobs_that_extend_beyond_their_run),
        cmocka_unit_test(a_re_run_whose_other_jobs_are_carried_over),
        cmocka_unit_test(a_run_that_is_approved_late),
        cmocka_unit_test(a_run_without_events_that_ends_after_all),
        cmocka_unit_test(a_job_that_never_ends),
        cmocka_unit_test(a_job_whose_end_names_no_runner),
        cmocka_unit_test(random_life_cycles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
