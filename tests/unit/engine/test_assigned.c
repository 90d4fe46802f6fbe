// Jobs whose assignment to a scale set ARC reports: when their phases are sent, and with which times.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "ghatrace/stats/series.h"
#include "support/engine_bench.h"
#include "support/orders.h"
#include "support/stats_verify.h"

#define QUEUED GITHUB_JOB_QUEUED
#define IN_PROGRESS GITHUB_JOB_IN_PROGRESS
#define COMPLETED GITHUB_JOB_COMPLETED

static const struct slice every_runner[] = {{"*", 1}};
static const struct slice scale_sets[] = {{"arc-*", 5}};
static const struct slice arc_labels[] = {{"arc-linux", 9}};

static struct github_step steps[2];

static void open_bench(struct engine_bench *bench, const struct slice *glob)
{
    engine_bench_open(bench);
    bench->now = scenario_at(0);
    bench->options.history = 60 * NS_PER_DAY;
    bench->options.has_receiver = true;
    bench->options.policy.arc_runners = (struct runner_globs){glob, 1};
    engine_bench_restart(bench);
}

// Created at 2, started at 20, its first step of the workflow at 25.
static struct scenario_delivery arc_job(int64_t id, enum github_job_action action, double at)
{
    steps[0] = scenario_step(1, "Set up job", 20, 25, "success");
    steps[1] = scenario_step(2, "make", 25, 58, "success");
    struct scenario_delivery made =
        scenario_job(id, action, at, 2, action == QUEUED ? 2 : 20, action == COMPLETED ? at : -1);
    made.event.job.labels = arc_labels;
    made.event.job.label_count = 1;
    if (action == COMPLETED)
        scenario_set_steps(&made, steps, 2);
    return made;
}

static void expect_spans(struct engine_bench *bench, const char *expected)
{
    struct buffer text;
    buffer_init(&text, 1 << 20);
    engine_bench_spans(bench, &text);
    assert_string_equal((const char *)text.data, expected);
    buffer_release(&text);
}

static void deliver(struct engine_bench *bench, struct scenario_delivery delivery)
{
    engine_bench_accept(bench, &delivery);
}

// Of the only set of labels of jobs.
static uint64_t series_count_of(struct engine_bench *bench, size_t histogram, uint64_t *jobs)
{
    struct error error = {0};
    struct store_transaction *transaction;
    struct series_id id = {{0}};
    struct series series;
    assert_int_equal(store_begin(bench->store, false, &transaction, &error), ERROR_NONE);
    assert_int_equal(series_seek(transaction, SERIES_JOB, &id, &series, &error), ERROR_NONE);
    store_abort(transaction);
    *jobs = series.count;
    return series.histograms[histogram].count;
}

#define JOB "job build 2..58 success queue_time_ms=18000\n"
#define STEPS "step Set up job 20..25 success\nstep make 25..58 success\n"

static void a_known_assignment_ends_the_queue(void **state)
{
    struct engine_bench bench;
    (void)state;
    open_bench(&bench, scale_sets);
    deliver(&bench, arc_job(1, QUEUED, 2));
    engine_bench_assign(&bench, 1, 5);
    deliver(&bench, arc_job(1, COMPLETED, 58));
    expect_spans(&bench, JOB STEPS "runner.queue 2..5 arc\nrunner.startup 5..25 arc\n"
                                   "runner.execution 25..58 success arc\n");
    engine_bench_close(&bench);
}

static void phases_wait_for_the_assignment_but_nothing_else_does(void **state)
{
    struct engine_bench bench;
    uint64_t jobs;
    (void)state;
    open_bench(&bench, scale_sets);
    deliver(&bench, arc_job(1, QUEUED, 2));
    deliver(&bench, scenario_run(GITHUB_RUN_COMPLETED, 59, "success"));
    deliver(&bench, arc_job(1, COMPLETED, 58));
    const char root[] = "workflow RUN CI 0..59 success\n";
    char text[1000];
    snprintf(text, sizeof text, "%s%s%s", JOB, STEPS, root);
    expect_spans(&bench, text);
    assert_int_equal(series_count_of(&bench, SERIES_JOB_QUEUE, &jobs), 1);
    assert_int_equal(series_count_of(&bench, SERIES_JOB_ASSIGN, &jobs), 0);
    engine_bench_advance(&bench, 30 * NS_PER_SECOND);
    engine_bench_restart(&bench);
    expect_spans(&bench, text);
    engine_bench_assign(&bench, 1, 5);
    snprintf(text, sizeof text, "%s%s%s%s", JOB, STEPS, root,
             "runner.queue 2..5 arc\nrunner.startup 5..25 arc\n"
             "runner.execution 25..58 success arc\n");
    expect_spans(&bench, text);
    assert_int_equal(series_count_of(&bench, SERIES_JOB_QUEUE, &jobs), 1);
    assert_int_equal(series_count_of(&bench, SERIES_JOB_ASSIGN, &jobs), 1);
    assert_int_equal(series_count_of(&bench, SERIES_JOB_PROVISION, &jobs), 1);
    assert_int_equal(jobs, 1);
    engine_bench_advance(&bench, NS_PER_HOUR);
    expect_spans(&bench, text);
    engine_bench_close(&bench);
}

static void without_an_assignment_phases_are_sent_after_arc_grace(void **state)
{
    struct engine_bench bench;
    const char expected[] = JOB STEPS "runner.queue 2..20\nrunner.startup 20..25\n"
                                      "runner.execution 25..58 success\n";
    (void)state;
    open_bench(&bench, scale_sets);
    deliver(&bench, arc_job(1, COMPLETED, 58));
    engine_bench_advance(&bench, 59 * NS_PER_SECOND);
    expect_spans(&bench, JOB STEPS);
    engine_bench_restart(&bench);
    engine_bench_advance(&bench, NS_PER_SECOND);
    expect_spans(&bench, expected);
    assert_int_equal(engine_bench_counters(&bench).assignments_missing, 1);
    assert_true(engine_bench_counters(&bench).last_missing_at > 0);
    assert_int_equal(engine_bench_counters(&bench).last_assignment_at, TIMESTAMP_UNKNOWN);
    engine_bench_assign(&bench, 1, 5);
    expect_spans(&bench, expected);
    assert_int_equal(engine_bench_counters(&bench).assignments_late, 1);
    assert_int_equal(engine_bench_counters(&bench).assignments_missing, 1);
    engine_bench_close(&bench);
}

static void an_earlier_assignment_sends_the_phases_again(void **state)
{
    struct engine_bench bench;
    uint64_t jobs;
    (void)state;
    open_bench(&bench, scale_sets);
    deliver(&bench, arc_job(1, COMPLETED, 58));
    engine_bench_assign(&bench, 1, 9);
    engine_bench_assign(&bench, 1, 12);
    engine_bench_advance(&bench, 50 * NS_PER_SECOND);
    engine_bench_assign(&bench, 1, 5);
    engine_bench_assign(&bench, 1, 5);
    const char expected[] = JOB STEPS
        "runner.queue 2..9 arc\nrunner.startup 9..25 arc\nrunner.execution 25..58 success arc\n"
        "runner.queue 2..5 arc\nrunner.startup 5..25 arc\nrunner.execution 25..58 success arc\n";
    expect_spans(&bench, expected);
    engine_bench_advance(&bench, 10 * NS_PER_SECOND);
    engine_bench_assign(&bench, 1, 3);
    expect_spans(&bench, expected);
    assert_int_equal(engine_bench_counters(&bench).assignments, 4);
    assert_int_equal(engine_bench_counters(&bench).assignments_missing, 0);
    assert_true(engine_bench_counters(&bench).last_assignment_at > 0);
    assert_int_equal(engine_bench_counters(&bench).assignments_late, 1);
    assert_int_equal(series_count_of(&bench, SERIES_JOB_ASSIGN, &jobs), 1);
    engine_bench_close(&bench);
}

// Waiting bytes after `count` reports of one job, each with an earlier time than the one before.
static uint64_t report_ever_earlier(struct engine_bench *bench, int count)
{
    struct error error = {0};
    struct store_transaction *transaction;
    static int reported;
    for (int i = 0; i < count; i++)
        engine_bench_assign(bench, 1, 19 - ++reported / 1000.0);
    assert_int_equal(store_begin(bench->store, false, &transaction, &error), ERROR_NONE);
    uint64_t bytes = store_outbox_bytes(transaction);
    store_abort(transaction);
    return bytes;
}

static void ever_earlier_assignments_do_not_fill_the_outbox(void **state)
{
    struct engine_bench bench;
    (void)state;
    open_bench(&bench, scale_sets);
    deliver(&bench, arc_job(1, COMPLETED, 58));
    assert_in_range(report_ever_earlier(&bench, 2000), 900 << 10, 1100 << 10);
    assert_true(engine_bench_counters(&bench).assignments_late > 1000);
    engine_bench_advance(&bench, NS_PER_SECOND);
    uint64_t before = report_ever_earlier(&bench, 0);
    assert_in_range(report_ever_earlier(&bench, 200) - before, 50 << 10, 70 << 10);
    engine_bench_close(&bench);
}

static void ever_earlier_assignments_of_a_job_that_was_given_up_do_not_either(void **state)
{
    struct engine_bench bench;
    (void)state;
    open_bench(&bench, scale_sets);
    deliver(&bench, arc_job(1, IN_PROGRESS, 20));
    deliver(&bench, scenario_run(GITHUB_RUN_COMPLETED, 59, "success"));
    engine_bench_advance(&bench, NS_PER_HOUR);
    assert_true(report_ever_earlier(&bench, 2000) < (uint64_t)1100 << 10);
    engine_bench_close(&bench);
}

static void an_assignment_stays_between_ready_and_started(void **state)
{
    struct engine_bench bench;
    (void)state;
    open_bench(&bench, scale_sets);
    engine_bench_assign(&bench, 1, 1);
    engine_bench_assign(&bench, 2, 40);
    deliver(&bench, arc_job(1, COMPLETED, 58));
    deliver(&bench, arc_job(2, COMPLETED, 58));
    expect_spans(&bench, JOB STEPS "runner.queue 2..2 arc\nrunner.startup 2..25 arc\n"
                                   "runner.execution 25..58 success arc\n" JOB STEPS
                                   "runner.queue 2..20 arc\nrunner.startup 20..25 arc\n"
                                   "runner.execution 25..58 success arc\n");
    engine_bench_close(&bench);
}

static void jobs_of_other_runners_and_those_that_did_not_run_do_not_wait(void **state)
{
    struct engine_bench bench;
    struct scenario_delivery hosted = arc_job(1, COMPLETED, 58);
    struct scenario_delivery skipped = arc_job(2, COMPLETED, 58);
    struct scenario_delivery cancelled = arc_job(3, COMPLETED, 58);
    (void)state;
    open_bench(&bench, scale_sets);
    hosted.event.job.label_count = 0;
    scenario_set_conclusion(&skipped, "skipped");
    scenario_set_conclusion(&cancelled, "cancelled");
    scenario_set_runner(&cancelled, 0, "");
    skipped.event.job.step_count = cancelled.event.job.step_count = 0;
    deliver(&bench, hosted);
    deliver(&bench, skipped);
    deliver(&bench, cancelled);
    expect_spans(&bench, "job build 2..58 success queue_time_ms=18000\nrunner.queue 2..20\n"
                         "runner.startup 20..25\nrunner.execution 25..58 success\n" STEPS
                         "job build 2..58 skip\n"
                         "job build 2..58 cancellation queue_time_ms=56000\nrunner.queue 2..58\n");
    const uint64_t kept = engine_bench_count_spans(&bench);
    assert_int_equal(engine_bench_assign(&bench, 1, 5), ARC_HELD);
    assert_int_equal(engine_bench_assign(&bench, 2, 5), ARC_HELD);
    assert_int_equal(engine_bench_count_spans(&bench), kept);
    engine_bench_close(&bench);
}

static void a_later_end_keeps_the_assignment(void **state)
{
    struct engine_bench bench;
    struct scenario_delivery again = arc_job(1, COMPLETED, 90);
    (void)state;
    open_bench(&bench, scale_sets);
    deliver(&bench, arc_job(1, COMPLETED, 58));
    engine_bench_assign(&bench, 1, 5);
    engine_bench_advance(&bench, 50 * NS_PER_MINUTE);
    deliver(&bench, again);
    expect_spans(&bench, JOB STEPS "runner.queue 2..5 arc\nrunner.startup 5..25 arc\n"
                                   "runner.execution 25..58 success arc\n"
                                   "job build 2..90 success queue_time_ms=18000\n" STEPS
                                   "runner.queue 2..5 arc\nrunner.startup 5..25 arc\n"
                                   "runner.execution 25..90 success arc\n");
    engine_bench_close(&bench);
}

static void an_assignment_of_a_job_that_never_comes_is_forgotten(void **state)
{
    struct engine_bench bench;
    (void)state;
    open_bench(&bench, scale_sets);
    assert_int_equal(engine_bench_assign(&bench, 1, 5), ARC_HELD);
    engine_bench_advance(&bench, 4 * NS_PER_DAY);
    assert_int_equal(engine_bench_counters(&bench).arc_reports[ARC_EXPIRED], 1);
    deliver(&bench, arc_job(1, COMPLETED, 58));
    expect_spans(&bench, JOB STEPS);
    engine_bench_close(&bench);
}

static void without_room_an_assignment_is_refused_and_changes_nothing(void **state)
{
    struct engine_bench bench;
    const struct arc_report report = engine_bench_assignment(1, 5);
    enum arc_outcome outcome;
    (void)state;
    open_bench(&bench, scale_sets);
    bench.options.outbox_max = 1;
    engine_bench_restart(&bench);
    deliver(&bench, arc_job(1, COMPLETED, 58));
    assert_int_equal(engine_bench_report(&bench, &report, &outcome), ENGINE_FULL);
    expect_spans(&bench, JOB STEPS);
    assert_int_equal(engine_bench_counters(&bench).assignments, 0);
    bench.options.outbox_max = 0;
    engine_bench_restart(&bench);
    assert_int_equal(engine_bench_report(&bench, &report, &outcome), ENGINE_ACCEPTED);
    assert_int_equal(outcome, ARC_MATCHED);
    expect_spans(&bench, JOB STEPS "runner.queue 2..5 arc\nrunner.startup 5..25 arc\n"
                                   "runner.execution 25..58 success arc\n");
    engine_bench_close(&bench);
}

// --- any order --------------------------------------------------------------------------------------

#define ITEMS_MAX 14
#define JOBS_MAX 3

// A delivery, or an assignment.
struct item {
    bool is_assignment;
    struct scenario_delivery delivery;
    int64_t job_id;
    double assigned;
};

struct sequence {
    const char *name;
    bool has_equal_figures; // numbers of jobs, too
    bool never_ends;        // so that reports find the job by its number only
    bool has_one_runner;    // of all jobs, which run one after the other
    struct item items[ITEMS_MAX];
    size_t count;
};

static void add(struct sequence *sequence, struct scenario_delivery delivery)
{
    assert_true(sequence->count < ITEMS_MAX);
    bool is_job = delivery.event.kind == GITHUB_EVENT_JOB;
    sequence->items[sequence->count++] =
        (struct item){.delivery = delivery, .job_id = is_job ? delivery.event.job.job_id : 0};
}

static void add_assignment(struct sequence *sequence, int64_t job_id, double assigned)
{
    assert_true(sequence->count < ITEMS_MAX);
    sequence->items[sequence->count++] =
        (struct item){.is_assignment = true, .job_id = job_id, .assigned = assigned};
}

static const duration_ns pauses[] = {10 * NS_PER_MS, 11 * NS_PER_SECOND, 11 * NS_PER_MINUTE,
                                     2 * NS_PER_HOUR};
#define PAUSES (sizeof pauses / sizeof pauses[0])

static const char *const runners[JOBS_MAX] = {"arc-linux-1", "arc-linux-2", "arc-linux-3"};

struct way {
    const size_t *order;
    enum report_naming naming;
    duration_ns pause; // 0: one at random each time
    uint32_t seed;     // 0: no repeats and no restarts
};

struct player {
    struct engine_bench bench;
    const struct sequence *sequence;
    const struct way *way;
    uint32_t seed;
    timestamp_ns completed[JOBS_MAX + 1]; // by job id: receipt of its first `completed`
};

static const char *runner_of(const struct player *player, const struct item *item)
{
    return runners[player->sequence->has_one_runner ? 0 : item->job_id - 1];
}

// Where jobs run one after the other: from one to the next.
#define SHIFT 100

static double shift_of(const struct player *player, const struct item *item)
{
    return player->sequence->has_one_runner ? SHIFT * (double)(item->job_id - 1) : 0;
}

// Of a job that runs from 20 to 58 at least.
static void play_assignment(struct player *player, const struct item *item)
{
    double shift = shift_of(player, item);
    struct arc_report report = engine_bench_named(
        player->way->naming, engine_bench_assignment(item->job_id, item->assigned));
    enum arc_outcome outcome;
    report.runner_name = slice_from_string(runner_of(player, item));
    report.start = scenario_at(shift + 19.5);
    report.end = scenario_at(shift + 58.25);
    assert_int_equal(engine_bench_report(&player->bench, &report, &outcome), ENGINE_ACCEPTED);
    // A repeated one may be late.
    assert_true(outcome == ARC_MATCHED || outcome == ARC_HELD || outcome == ARC_LATE);
}

static void play_item(struct player *player, const struct item *item, uint8_t other_guid)
{
    struct scenario_delivery delivery = item->delivery;
    if (item->is_assignment) {
        play_assignment(player, item);
        return;
    }
    if (delivery.event.kind == GITHUB_EVENT_JOB && delivery.event.job.runner_name.len > 0)
        scenario_set_runner(&delivery, player->sequence->has_one_runner ? 7 : item->job_id,
                            runner_of(player, item));
    if (other_guid != 0)
        delivery.digest[14] = other_guid;
    engine_bench_accept(&player->bench, &delivery);
    bool is_end = delivery.event.kind == GITHUB_EVENT_JOB && delivery.event.job.action == COMPLETED;
    if (is_end && player->completed[item->job_id] == TIMESTAMP_UNKNOWN)
        player->completed[item->job_id] = player->bench.now;
}

static void repeat_some(struct player *player, size_t i)
{
    const struct item *again =
        &player->sequence->items[player->way->order[next_random(&player->seed) % (i + 1)]];
    if (next_random(&player->seed) % 3 == 0)
        play_item(player, again, (uint8_t)(1 + i));
    if (next_random(&player->seed) % 4 == 0)
        engine_bench_restart(&player->bench);
}

static void add_counts(struct engine_bench *bench, struct buffer *text)
{
    struct error error = {0};
    struct store_transaction *transaction;
    struct series_id id = {{0}};
    struct series series;
    assert_int_equal(store_begin(bench->store, false, &transaction, &error), ERROR_NONE);
    for (; series_seek(transaction, SERIES_JOB, &id, &series, &error) == ERROR_NONE;
         series_id_increment(&id))
        assert_int_equal(
            buffer_append_format(text, "%llu %llu %llu %llu\n", (unsigned long long)series.count,
                                 (unsigned long long)series.histograms[SERIES_JOB_QUEUE].count,
                                 (unsigned long long)series.histograms[SERIES_JOB_ASSIGN].count,
                                 (unsigned long long)series.histograms[SERIES_JOB_PROVISION].count),
            ERROR_NONE);
    store_abort(transaction);
}

// Shortened so that no assignment still to come is late.
static duration_ns allowed_pause(const struct player *player, size_t next, duration_ns wanted)
{
    const struct sequence *sequence = player->sequence;
    duration_ns left = (duration_ns)(sequence->count - next + 1);
    for (size_t i = next; i < sequence->count; i++) {
        const struct item *item = &sequence->items[player->way->order[i]];
        timestamp_ns completed = player->completed[item->job_id];
        if (!item->is_assignment || completed == TIMESTAMP_UNKNOWN)
            continue;
        duration_ns rest = completed + player->bench.options.policy.arc_grace - player->bench.now;
        if (wanted > rest / left)
            wanted = rest / left;
    }
    return wanted;
}

static void play(const struct sequence *sequence, const struct way *way, struct buffer *versions)
{
    static struct player player;
    player = (struct player){.sequence = sequence, .way = way, .seed = way->seed};
    open_bench(&player.bench, every_runner);
    player.bench.now = scenario_at(100000); // after everything, so that GUID times are used
    for (size_t i = 0; i < sequence->count; i++) {
        play_item(&player, &sequence->items[way->order[i]], 0);
        if (way->seed != 0)
            repeat_some(&player, i);
        stats_verify(player.bench.store);
        duration_ns pause =
            way->pause != 0 ? way->pause : pauses[next_random(&player.seed) % PAUSES];
        engine_bench_advance(&player.bench, allowed_pause(&player, i + 1, pause));
    }
    engine_bench_advance(&player.bench, 3 * NS_PER_HOUR);
    stats_verify(player.bench.store);
    engine_bench_last_versions(&player.bench, versions);
    if (sequence->has_equal_figures)
        add_counts(&player.bench, versions);
    engine_bench_close(&player.bench);
}

static void assert_same(const struct sequence *sequence, const struct way *way,
                        struct buffer *expected, struct buffer *actual)
{
    if (slice_equals(buffer_slice(expected), buffer_slice(actual)))
        return;
    print_message("%s: other spans with naming %d, pauses of %lld ms, seed %u, in the order",
                  sequence->name, (int)way->naming, (long long)(way->pause / NS_PER_MS), way->seed);
    for (size_t i = 0; i < sequence->count; i++)
        print_message(" %zu", way->order[i]);
    fail_msg("\n%zu bytes, not %zu", actual->len, expected->len);
}

// All orders, with each of the pauses, sometimes with repeats and restarts.
static void play_all_by(const struct sequence *sequence, enum report_naming naming)
{
    struct buffer expected, actual;
    uint32_t seed = 1;
    size_t natural[ITEMS_MAX];
    buffer_init(&expected, 1 << 24);
    buffer_init(&actual, 1 << 24);
    for (size_t i = 0; i < sequence->count; i++)
        natural[i] = i;
    const enum report_naming usual = sequence->never_ends ? naming : BY_NUMBER;
    play(sequence, &(struct way){natural, usual, pauses[0], 0}, &expected);
    assert_true(expected.len > 0);
    for (size_t pause = 0; pause < PAUSES; pause++) {
        size_t order[ITEMS_MAX];
        memcpy(order, natural, sizeof order);
        do {
            struct way way = {order, naming, pauses[pause], next_random(&seed) % 2};
            way.seed *= seed;
            play(sequence, &way, &actual);
            assert_same(sequence, &way, &expected, &actual);
        } while (next_permutation(order, sequence->count));
    }
    buffer_release(&expected);
    buffer_release(&actual);
}

static void play_all(const struct sequence *sequence)
{
    for (int naming = BY_NUMBER; naming < REPORT_NAMINGS; naming++)
        play_all_by(sequence, (enum report_naming)naming);
}

static void in_any_order_the_last_versions_are_the_same(void **state)
{
    struct sequence sequence = {.name = "one job", .has_equal_figures = true};
    (void)state;
    add(&sequence, arc_job(1, QUEUED, 2));
    add(&sequence, arc_job(1, COMPLETED, 58));
    add_assignment(&sequence, 1, 9);
    add_assignment(&sequence, 1, 5);
    add(&sequence, scenario_run(GITHUB_RUN_COMPLETED, 59, "success"));
    play_all(&sequence);
}

static void also_of_a_job_that_completes_twice(void **state)
{
    struct sequence sequence = {.name = "completes twice"};
    struct scenario_delivery failed = arc_job(1, COMPLETED, 58);
    (void)state;
    scenario_set_conclusion(&failed, "failure");
    add(&sequence, failed);
    add(&sequence, arc_job(1, COMPLETED, 90));
    add_assignment(&sequence, 1, 5);
    add(&sequence, arc_job(1, IN_PROGRESS, 20));
    play_all(&sequence);
}

static void also_of_a_job_that_waited_for_approval(void **state)
{
    struct sequence sequence = {.name = "gated"};
    (void)state;
    add(&sequence, arc_job(1, GITHUB_JOB_WAITING, 3.25));
    add(&sequence, arc_job(1, QUEUED, 10.125));
    add(&sequence, arc_job(1, COMPLETED, 58));
    for (size_t i = 0; i < sequence.count; i++)
        scenario_set_deployment(&sequence.items[i].delivery, 3192898954, "production");
    sequence.items[0].delivery.event.job.started_at = scenario_at(2);
    add_assignment(&sequence, 1, 12);
    add(&sequence, scenario_run(GITHUB_RUN_COMPLETED, 59, "success"));
    play_all(&sequence);
}

static struct scenario_delivery shifted(struct scenario_delivery delivery)
{
    struct github_job *job = &delivery.event.job;
    job->created_at += SHIFT * NS_PER_SECOND;
    job->started_at += SHIFT * NS_PER_SECOND;
    job->completed_at += SHIFT * NS_PER_SECOND;
    job->step_count = 0;
    return delivery;
}

static void also_of_two_jobs_of_one_runner(void **state)
{
    struct sequence sequence = {
        .name = "one runner", .has_equal_figures = true, .has_one_runner = true};
    (void)state;
    add(&sequence, arc_job(1, IN_PROGRESS, 20));
    add(&sequence, arc_job(1, COMPLETED, 58));
    add(&sequence, shifted(arc_job(2, COMPLETED, 58)));
    add_assignment(&sequence, 1, 5);
    add_assignment(&sequence, 2, SHIFT + 9);
    play_all(&sequence);
}

static void also_of_a_job_whose_end_names_no_runner(void **state)
{
    struct sequence sequence = {.name = "no runner in the end"};
    struct scenario_delivery completed = arc_job(1, COMPLETED, 58);
    (void)state;
    scenario_set_runner(&completed, 0, "");
    completed.event.job.step_count = 0;
    add(&sequence, arc_job(1, QUEUED, 2));
    add(&sequence, arc_job(1, IN_PROGRESS, 20));
    add(&sequence, completed);
    add_assignment(&sequence, 1, 5);
    play_all(&sequence);
}

static void also_of_jobs_of_the_form_before_2023(void **state)
{
    struct sequence sequence = {.name = "old payloads"};
    (void)state;
    add(&sequence, arc_job(1, QUEUED, 2));
    add(&sequence, arc_job(1, COMPLETED, 58));
    for (size_t i = 0; i < sequence.count; i++)
        scenario_make_old(&sequence.items[i].delivery);
    add_assignment(&sequence, 1, 5);
    add(&sequence, scenario_run(GITHUB_RUN_COMPLETED, 59, "success"));
    play_all(&sequence);
}

static void also_of_a_job_that_never_ends(void **state)
{
    struct sequence sequence = {.name = "never ends", .never_ends = true};
    (void)state;
    add(&sequence, arc_job(1, QUEUED, 2));
    add(&sequence, arc_job(1, IN_PROGRESS, 20));
    add_assignment(&sequence, 1, 9);
    add_assignment(&sequence, 1, 5);
    add(&sequence, scenario_run(GITHUB_RUN_COMPLETED, 59, "cancelled"));
    play_all(&sequence);
}

// One that ran, or that was cancelled in the queue.
static struct scenario_delivery random_end(int64_t id, double at, bool has_run, uint32_t *seed)
{
    static const char *const results[] = {"success", "failure", "timed_out"};
    struct scenario_delivery made = arc_job(id, COMPLETED, at);
    scenario_set_conclusion(&made, has_run ? results[next_random(seed) % 3] : "cancelled");
    if (!has_run) {
        scenario_set_runner(&made, 0, "");
        made.event.job.step_count = 0;
    }
    return made;
}

static void add_random_job(struct sequence *sequence, int64_t id, uint32_t *seed)
{
    bool has_run = next_random(seed) % 5 != 0;
    double end = 58 + next_random(seed) % 3;
    if (next_random(seed) % 2 == 0)
        add(sequence, arc_job(id, QUEUED, 2));
    if (has_run && next_random(seed) % 2 == 0)
        add(sequence, arc_job(id, IN_PROGRESS, 20));
    add(sequence, random_end(id, end, has_run, seed));
    if (next_random(seed) % 4 == 0)
        add(sequence, random_end(id, end + 1 + next_random(seed) % 60, has_run, seed));
    for (uint32_t i = next_random(seed) % 3; i > 0; i--)
        add_assignment(sequence, id, next_random(seed) % 30);
}

static void random_life_cycles(void **state)
{
    struct buffer expected, actual;
    uint32_t seed = 20261130;
    (void)state;
    buffer_init(&expected, 1 << 24);
    buffer_init(&actual, 1 << 24);
    for (int i = 0; i < 150; i++) {
        struct sequence sequence = {.name = "random"};
        size_t order[ITEMS_MAX];
        add_random_job(&sequence, 1, &seed);
        if (next_random(&seed) % 2 == 0)
            add_random_job(&sequence, 2, &seed);
        if (sequence.count < ITEMS_MAX && next_random(&seed) % 4 != 0)
            add(&sequence, scenario_run(GITHUB_RUN_COMPLETED, 59, "success"));
        for (size_t k = 0; k < sequence.count; k++)
            order[k] = k;
        play(&sequence, &(struct way){order, BY_NUMBER, pauses[0], 0}, &expected);
        for (int k = 0; k < 8; k++) {
            shuffle(order, sequence.count, &seed);
            struct way way = {order, (enum report_naming)(k % REPORT_NAMINGS), 0, seed | 1};
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
        cmocka_unit_test(a_known_assignment_ends_the_queue),
        cmocka_unit_test(phases_wait_for_the_assignment_but_nothing_else_does),
        cmocka_unit_test(without_an_assignment_phases_are_sent_after_arc_grace),
        cmocka_unit_test(an_earlier_assignment_sends_the_phases_again),
        cmocka_unit_test(ever_earlier_assignments_do_not_fill_the_outbox),
        cmocka_unit_test(ever_earlier_assignments_of_a_job_that_was_given_up_do_not_either),
        cmocka_unit_test(an_assignment_stays_between_ready_and_started),
        cmocka_unit_test(jobs_of_other_runners_and_those_that_did_not_run_do_not_wait),
        cmocka_unit_test(a_later_end_keeps_the_assignment),
        cmocka_unit_test(an_assignment_of_a_job_that_never_comes_is_forgotten),
        cmocka_unit_test(without_room_an_assignment_is_refused_and_changes_nothing),
        cmocka_unit_test(in_any_order_the_last_versions_are_the_same),
        cmocka_unit_test(also_of_a_job_that_completes_twice),
        cmocka_unit_test(also_of_a_job_that_waited_for_approval),
        cmocka_unit_test(also_of_two_jobs_of_one_runner),
        cmocka_unit_test(also_of_a_job_whose_end_names_no_runner),
        cmocka_unit_test(also_of_jobs_of_the_form_before_2023),
        cmocka_unit_test(also_of_a_job_that_never_ends),
        cmocka_unit_test(random_life_cycles),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
