// Figures through the engine: correct after every kind of end, and deleted when they expire.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "ghatrace/base/log.h"
#include "ghatrace/stats/latency.h"
#include "ghatrace/stats/pool.h"
#include "ghatrace/stats/pool_changes.h"
#include "ghatrace/stats/runs.h"
#include "ghatrace/stats/series.h"
#include "ghatrace/store/table.h"
#include "ghatrace/trace/ids.h"
#include "support/engine_bench.h"
#include "support/orders.h"
#include "support/stats_verify.h"

static void deliver(struct engine_bench *bench, struct scenario_delivery delivery)
{
    engine_bench_accept(bench, &delivery);
    stats_verify(bench->store);
}

static struct store_transaction *begin(struct engine_bench *bench, bool is_write)
{
    struct store_transaction *transaction;
    struct error error = {0};
    assert_int_equal(store_begin(bench->store, is_write, &transaction, &error), ERROR_NONE);
    return transaction;
}

// Open jobs of all pools in one state.
static uint64_t open_state(struct engine_bench *bench, enum open_job_kind state)
{
    struct store_transaction *transaction = begin(bench, false);
    struct pool_id id = {{0}};
    struct pool pool;
    struct error error = {0};
    uint64_t sum = 0;
    while (pool_seek(transaction, &id, &pool, &error) == ERROR_NONE) {
        sum += pool.counts[state];
        pool_id_increment(&id);
    }
    store_abort(transaction);
    return sum;
}

// Jobs, runs or steps in all series of a kind.
static uint64_t counted(struct engine_bench *bench, enum series_kind kind)
{
    struct store_transaction *transaction = begin(bench, false);
    struct series_id id = {{0}};
    struct series series;
    struct error error = {0};
    uint64_t sum = 0;
    while (series_seek(transaction, kind, &id, &series, &error) == ERROR_NONE) {
        sum += series.count;
        series_id_increment(&id);
    }
    store_abort(transaction);
    return sum;
}

// --- as things happen ----------------------------------------------------------------------------------------

static void each_event_moves_its_job_immediately(void **state)
{
    struct engine_bench *bench = *state;
    deliver(bench, scenario_run(GITHUB_RUN_REQUESTED, 1, ""));
    assert_int_equal(engine_bench_count_entries(bench, STORE_TABLE_OPEN_RUNS), 1);
    deliver(bench, scenario_job(1, GITHUB_JOB_QUEUED, 2, 2, 2, -1));
    deliver(bench, scenario_job(2, GITHUB_JOB_QUEUED, 2, 2, 2, -1));
    assert_int_equal(open_state(bench, OPEN_JOB_QUEUED), 2);
    deliver(bench, scenario_job(2, GITHUB_JOB_WAITING, 3, 2, 2, -1));
    assert_int_equal(open_state(bench, OPEN_JOB_WAITING), 1);
    deliver(bench, scenario_job(1, GITHUB_JOB_IN_PROGRESS, 6, 2, 6, -1));
    assert_int_equal(open_state(bench, OPEN_JOB_QUEUED), 0);
    assert_int_equal(open_state(bench, OPEN_JOB_RUNNING), 1);
    deliver(bench, scenario_job(1, GITHUB_JOB_COMPLETED, 60, 2, 6, 60));
    assert_int_equal(open_state(bench, OPEN_JOB_RUNNING), 0);
    assert_int_equal(counted(bench, SERIES_JOB), 1);
    assert_int_equal(engine_bench_count_entries(bench, STORE_TABLE_LATENCY), 1);
    deliver(bench, scenario_job(2, GITHUB_JOB_QUEUED, 61, 2, 2, -1));
    deliver(bench, scenario_job(2, GITHUB_JOB_COMPLETED, 70, 2, 65, 70));
    deliver(bench, scenario_run(GITHUB_RUN_COMPLETED, 72, "success"));
    assert_int_equal(engine_bench_count_entries(bench, STORE_TABLE_OPEN_JOBS), 0);
    assert_int_equal(engine_bench_count_entries(bench, STORE_TABLE_OPEN_RUNS), 0);
    assert_int_equal(engine_bench_count_entries(bench, STORE_TABLE_RECENT), 1);
    assert_int_equal(counted(bench, SERIES_JOB), 2);
    assert_int_equal(counted(bench, SERIES_RUN), 1);
    stats_verify_minutes(bench->store);
}

static void a_job_that_is_given_up_is_removed_and_counts_when_it_completes(void **state)
{
    struct engine_bench *bench = *state;
    deliver(bench, scenario_job(1, GITHUB_JOB_IN_PROGRESS, 6, 2, 6, -1));
    engine_bench_advance(bench, 6 * NS_PER_DAY + NS_PER_HOUR);
    stats_verify(bench->store);
    assert_int_equal(engine_bench_count_entries(bench, STORE_TABLE_OPEN_JOBS), 0);
    assert_int_equal(counted(bench, SERIES_JOB), 0);
    deliver(bench, scenario_job(1, GITHUB_JOB_COMPLETED, 60, 2, 6, 60));
    assert_int_equal(counted(bench, SERIES_JOB), 1);
}

// Waits of the pool of all jobs, by the slots in the store and as counted for good.
static void assert_waits(struct engine_bench *bench, uint64_t stored, unsigned longest,
                         uint64_t counted_for_good, uint64_t seconds)
{
    struct store_transaction *transaction = begin(bench, false);
    struct pool_id id = {{0}};
    struct pool pool;
    struct histogram histogram = {0};
    struct pool_waits waits;
    struct error error = {0};
    assert_int_equal(pool_seek(transaction, &id, &pool, &error), ERROR_NONE);
    const struct latency_query query = {0, INT64_MAX, &pool, 1};
    assert_int_equal(latency_read(transaction, &query, &histogram, &error), ERROR_NONE);
    assert_int_equal(latency_read_waits(transaction, &pool.id, &waits, &error), ERROR_NONE);
    store_abort(transaction);
    assert_int_equal(histogram.count, stored);
    assert_int_equal(histogram_percentile(&histogram, 100) / NS_PER_SECOND, longest);
    assert_int_equal(waits.count, counted_for_good);
    assert_int_equal(waits.sum.seconds, seconds);
}

static uint64_t disagreements(struct engine_bench *bench)
{
    struct engine_counters counters;
    engine_read_counters(bench->engine, &counters);
    return counters.wait_disagreements;
}

static void a_wait_is_counted_when_the_job_starts_and_corrected_when_it_completes(void **state)
{
    struct engine_bench *bench = *state;
    deliver(bench, scenario_job(1, GITHUB_JOB_QUEUED, 2, 2, 2, -1));
    assert_waits(bench, 0, 0, 0, 0);
    deliver(bench, scenario_job(1, GITHUB_JOB_IN_PROGRESS, 6, 2, 6, -1));
    assert_waits(bench, 1, 4, 1, 4);
    deliver(bench, scenario_job(1, GITHUB_JOB_IN_PROGRESS, 7, 2, 6, -1));
    deliver(bench, scenario_job(1, GITHUB_JOB_COMPLETED, 60, 2, 6, 60));
    deliver(bench, scenario_job(1, GITHUB_JOB_IN_PROGRESS, 8, 2, 6, -1));
    deliver(bench, scenario_job(1, GITHUB_JOB_COMPLETED, 70, 2, 6, 70));
    assert_waits(bench, 1, 4, 1, 4);
    deliver(bench, scenario_job(2, GITHUB_JOB_IN_PROGRESS, 6, 2, 5, -1));
    assert_waits(bench, 2, 4, 2, 7);
    assert_int_equal(disagreements(bench), 0);
    deliver(bench, scenario_job(2, GITHUB_JOB_COMPLETED, 60, 2, 14, 60));
    assert_waits(bench, 2, 12, 2, 7);
    assert_int_equal(disagreements(bench), 1);
}

static void a_start_that_is_not_later_than_ready_counts_when_the_job_completes(void **state)
{
    struct engine_bench *bench = *state;
    deliver(bench, scenario_job(1, GITHUB_JOB_IN_PROGRESS, 6, 2, 2, -1));
    assert_waits(bench, 0, 0, 0, 0);
    deliver(bench, scenario_job(1, GITHUB_JOB_COMPLETED, 60, 2, 9, 60));
    assert_waits(bench, 1, 7, 1, 7);
    deliver(bench, scenario_job(2, GITHUB_JOB_COMPLETED, 60, 2, 2, 60));
    assert_waits(bench, 2, 7, 2, 7);
    assert_int_equal(disagreements(bench), 0);
}

static void jobs_swept_with_their_run_are_removed_too(void **state)
{
    struct engine_bench *bench = *state;
    for (int64_t id = 1; id <= 600; id++) { // more than one slice of the sweep
        struct scenario_delivery job = scenario_job(id, GITHUB_JOB_QUEUED, 2, 2, 2, -1);
        memcpy(job.digest, &id, sizeof id);
        engine_bench_accept(bench, &job);
    }
    deliver(bench, scenario_run(GITHUB_RUN_COMPLETED, 62, "cancelled"));
    assert_int_equal(open_state(bench, OPEN_JOB_QUEUED), 600);
    engine_bench_advance(bench, NS_PER_HOUR);
    stats_verify(bench->store);
    stats_verify_minutes(bench->store);
    assert_int_equal(open_state(bench, OPEN_JOB_QUEUED), 0);
    assert_int_equal(counted(bench, SERIES_JOB), 0);
}

// Jobs that ran in the pool of all jobs at the end of this second after the scenario's start, by its minutes.
static int64_t running_at(struct engine_bench *bench, double seconds)
{
    struct store_transaction *transaction = begin(bench, false);
    struct pool_id id = {{0}};
    struct pool pool;
    struct pool_activity activity;
    struct pool_changes changes = {.most = 1000, .rows_left = 1000};
    struct error error = {0};
    const struct pool_changes_reader reader = {transaction, SCENARIO_START - NS_PER_HOUR,
                                               bench->now, &error};
    int64_t running = 0;
    assert_int_equal(pool_seek(transaction, &id, &pool, &error), ERROR_NONE);
    assert_int_equal(pool_changes_read(&reader, &pool.id, &changes, &activity), ERROR_NONE);
    for (size_t i = 0; i < changes.count; i++)
        running += changes.items[i].at <= scenario_at(seconds) ? changes.items[i].running : 0;
    pool_changes_release(&changes);
    store_abort(transaction);
    return running;
}

static struct scenario_delivery on_runner(int64_t runner, struct scenario_delivery job)
{
    scenario_set_runner(&job, runner, runner == 7 ? "runner-7" : "runner-8");
    return job;
}

static struct scenario_delivery of_attempt(int64_t attempt, struct scenario_delivery delivery)
{
    scenario_set_attempt(&delivery, attempt);
    return delivery;
}

static void a_job_that_is_given_up_ran_until_its_run_was_over(void **state)
{
    struct engine_bench *bench = *state;
    deliver(bench, scenario_job(1, GITHUB_JOB_QUEUED, 2, 2, 2, -1));
    deliver(bench, scenario_job(2, GITHUB_JOB_IN_PROGRESS, 6, 2, 6, -1));
    deliver(bench, scenario_run(GITHUB_RUN_COMPLETED, 62, "cancelled"));
    engine_bench_advance(bench, NS_PER_HOUR);
    stats_verify_minutes(bench->store);
    assert_int_equal(running_at(bench, 61), 1);
    assert_int_equal(running_at(bench, 62), 0);
    engine_bench_restart(bench);
    deliver(bench, scenario_job(2, GITHUB_JOB_COMPLETED, 4000, 2, 6, 30));
    stats_verify_minutes(bench->store);
    assert_int_equal(running_at(bench, 29), 1);
    assert_int_equal(running_at(bench, 30), 0);
}

static void a_job_that_is_given_up_ran_until_its_runner_took_another_one(void **state)
{
    struct engine_bench *bench = *state;
    deliver(bench, scenario_job(1, GITHUB_JOB_IN_PROGRESS, 6, 2, 6, -1));
    deliver(bench,
            of_attempt(2, on_runner(7, scenario_job(2, GITHUB_JOB_IN_PROGRESS, 40, 30, 40, -1))));
    deliver(bench, scenario_run(GITHUB_RUN_COMPLETED, 62, "cancelled"));
    engine_bench_advance(bench, NS_PER_HOUR);
    assert_int_equal(running_at(bench, 39), 1);
    assert_int_equal(running_at(bench, 40), 1); // the other one
    deliver(bench, of_attempt(2, scenario_job(2, GITHUB_JOB_COMPLETED, 5000, 30, 40, 50)));
    stats_verify_minutes(bench->store);
    assert_int_equal(running_at(bench, 49), 1);
    assert_int_equal(running_at(bench, 50), 0);
    deliver(bench, scenario_job(1, GITHUB_JOB_COMPLETED, 5001, 2, 6, 30));
    stats_verify_minutes(bench->store);
    assert_int_equal(running_at(bench, 29), 1);
    assert_int_equal(running_at(bench, 30), 0);
}

// The runner was idle between: its next job shows no more than the end of the run does.
static void a_job_that_is_given_up_did_not_run_beyond_its_run(void **state)
{
    struct engine_bench *bench = *state;
    deliver(bench, scenario_job(1, GITHUB_JOB_IN_PROGRESS, 6, 2, 6, -1));
    deliver(bench, scenario_run(GITHUB_RUN_COMPLETED, 62, "cancelled"));
    deliver(bench, of_attempt(2, scenario_job(2, GITHUB_JOB_IN_PROGRESS, 100, 90, 100, -1)));
    engine_bench_advance(bench, NS_PER_HOUR);
    stats_verify_minutes(bench->store);
    assert_int_equal(running_at(bench, 61), 1);
    assert_int_equal(running_at(bench, 62), 0);
    assert_int_equal(running_at(bench, 100), 1);
}

// Whatever is received after it was given up, but for its own end, leaves the time at which it ended.
static void the_end_of_a_job_that_is_given_up_remains_as_it_was_known_then(void **state)
{
    struct engine_bench *bench = *state;
    deliver(bench, scenario_job(1, GITHUB_JOB_QUEUED, 2, 2, 2, -1));
    deliver(bench, scenario_run(GITHUB_RUN_COMPLETED, 62, "cancelled"));
    engine_bench_advance(bench, NS_PER_HOUR);
    deliver(bench, scenario_job(1, GITHUB_JOB_IN_PROGRESS, 4000, 2, 6, -1));
    stats_verify_minutes(bench->store);
    assert_int_equal(running_at(bench, 61), 1);
    assert_int_equal(running_at(bench, 62), 0);
    deliver(bench, scenario_job(1, GITHUB_JOB_IN_PROGRESS, 4001, 2, 6, -1));
    stats_verify_minutes(bench->store);
    assert_int_equal(running_at(bench, 62), 0);
}

static void damage_job(struct engine_bench *bench, int64_t job_id)
{
    const struct job_key name = {.job_id = job_id};
    const struct store_key key = {trace_id_of_run(ID_SCHEME_ARC, SCENARIO_RUN_ID, 1),
                                  span_id_of_job(ID_SCHEME_ARC, &name)};
    struct store_transaction *transaction = begin(bench, true);
    struct error error = {0};
    assert_int_equal(store_put_span(transaction, &key, SLICE("J damaged"), &error), ERROR_NONE);
    assert_int_equal(store_commit(transaction, &error), ERROR_NONE);
}

static void a_job_whose_state_is_lost_leaves_its_pool_and_the_minutes(void **state)
{
    struct engine_bench *bench = *state;
    struct scenario_delivery begun = scenario_job(1, GITHUB_JOB_IN_PROGRESS, 9, 2, 9, -1);
    struct scenario_delivery ended = scenario_job(3, GITHUB_JOB_COMPLETED, 60, 2, 6, 60);
    struct scenario_delivery over = scenario_run(GITHUB_RUN_COMPLETED, 62, "cancelled");
    deliver(bench, scenario_job(1, GITHUB_JOB_QUEUED, 2, 2, 2, -1));
    deliver(bench, scenario_job(2, GITHUB_JOB_IN_PROGRESS, 6, 2, 6, -1));
    deliver(bench, scenario_job(3, GITHUB_JOB_IN_PROGRESS, 6, 2, 6, -1));
    for (int64_t id = 1; id <= 3; id++)
        damage_job(bench, id);
    log_configure(LOG_ERROR + 1, LOG_FORMAT_TEXT);
    engine_bench_accept(bench, &begun);
    engine_bench_accept(bench, &ended);
    engine_bench_advance(bench, NS_PER_MINUTE);
    stats_verify_minutes(bench->store);
    assert_int_equal(open_state(bench, OPEN_JOB_RUNNING), 2); // the second has had no event since
    engine_bench_accept(bench, &over);
    engine_bench_advance(bench, 2 * NS_PER_HOUR);
    stats_verify(bench->store);
    stats_verify_minutes(bench->store);
    assert_int_equal(open_state(bench, OPEN_JOB_RUNNING), 0);
}

// More sets of labels than there may be pools: they are folded, and some get their pool back.
static void minutes_agree_with_the_open_jobs_while_pools_are_folded(void **state)
{
    struct engine_bench *bench = *state;
    static char names[12][8];
    static struct slice labels[12];
    uint32_t seed = 5;
    unsigned next[40] = {0};
    bench->options.max_pools = 4;
    engine_bench_restart(bench);
    for (int i = 0; i < 400; i++) {
        static const enum github_job_action actions[] = {GITHUB_JOB_QUEUED, GITHUB_JOB_IN_PROGRESS,
                                                         GITHUB_JOB_COMPLETED};
        uint32_t job = next_random(&seed) % 40;
        size_t set = job % 12;
        if (next[job] == 3)
            continue;
        struct scenario_delivery delivery =
            scenario_job(1 + job, actions[next[job]], 2 + 10 * next[job], 2,
                         next[job] == 0 ? 2 : 12, next[job] == 2 ? 22 : -1);
        next[job]++;
        (void)snprintf(names[set], sizeof names[set], "set%zu", set);
        labels[set] = slice_from_string(names[set]);
        delivery.event.job.labels = &labels[set];
        delivery.event.job.label_count = 1;
        deliver(bench, delivery);
        stats_verify_minutes(bench->store);
        engine_bench_advance(bench, next_random(&seed) % 3 * NS_PER_SECOND);
        if (next_random(&seed) % 20 == 0)
            engine_bench_restart(bench);
        stats_verify_minutes(bench->store);
    }
}

// A job with a set of labels that no other has: an id, 100 long labels, other scripts, commas, other cases. One in ten
// gets a runner, the others are cancelled.
static void deliver_invented(struct engine_bench *bench, int number)
{
    static char texts[100][260];
    static struct slice labels[100];
    struct scenario_delivery events[] = {
        scenario_job(1000 + number, GITHUB_JOB_QUEUED, 2, 2, 2, -1),
        scenario_job(1000 + number, GITHUB_JOB_IN_PROGRESS, 6, 2, 6, -1),
        scenario_job(1000 + number, GITHUB_JOB_COMPLETED, 60, 2, number % 10 == 0 ? 6 : 60, 60)};
    size_t count = number % 4 == 1 ? 100 : 1;
    for (size_t i = 0; i < count; i++) {
        if (number % 4 == 1)
            (void)snprintf(texts[i], sizeof texts[i], "%0250d", number * 100 + (int)i);
        else
            (void)snprintf(texts[i], sizeof texts[i],
                           number % 4 == 0   ? "l\303\244ufer-%d"
                           : number % 4 == 2 ? "self-hosted,linux,%d"
                                             : "LiNuX-%d",
                           number);
        labels[i] = slice_from_string(texts[i]);
    }
    for (size_t i = 0; i < 3; i++) {
        events[i].event.job.labels = labels;
        events[i].event.job.label_count = count;
        if (number % 10 != 0 && i == 2) {
            scenario_set_conclusion(&events[i], "cancelled");
            scenario_set_runner(&events[i], 0, "");
        }
        if (i != 1 || number % 10 == 0)
            engine_bench_accept(bench, &events[i]);
    }
}

// Of the usual pool, with the times of now.
static void deliver_real(struct engine_bench *bench, int64_t job_id)
{
    double at = (double)((bench->now - scenario_at(0)) / NS_PER_SECOND);
    const struct scenario_delivery events[] = {
        scenario_job(job_id, GITHUB_JOB_QUEUED, at + 2, at + 2, at + 2, -1),
        scenario_job(job_id, GITHUB_JOB_IN_PROGRESS, at + 6, at + 2, at + 6, -1),
        scenario_job(job_id, GITHUB_JOB_COMPLETED, at + 60, at + 2, at + 6, at + 60)};
    for (size_t i = 0; i < 3; i++)
        engine_bench_accept(bench, &events[i]);
}

// Jobs in the series of a set of labels.
static uint64_t counted_with(struct engine_bench *bench, const char *labels)
{
    struct store_transaction *transaction = begin(bench, false);
    struct series_id id = {{0}};
    struct series series;
    struct error error = {0};
    uint64_t sum = 0;
    while (series_seek(transaction, SERIES_JOB, &id, &series, &error) == ERROR_NONE) {
        if (slice_equals(series.labels[SERIES_RUNNER_LABELS], slice_from_string(labels)))
            sum += series.count;
        series_id_increment(&id);
    }
    store_abort(transaction);
    return sum;
}

static void labels_that_are_invented_by_the_hundred_leave_nothing_behind(void **state)
{
    struct engine_bench *bench = *state;
    bench->options.max_pools = 20;
    bench->options.max_series = 16;
    engine_bench_restart(bench);
    deliver_real(bench, 1);
    deliver_real(bench, 2);
    for (int number = 0; number < 300; number++) {
        deliver_invented(bench, number);
        assert_true(engine_bench_count_entries(bench, STORE_TABLE_POOLS) <= 21);
    }
    assert_int_equal(engine_bench_count_entries(bench, STORE_TABLE_POOLS), 21);
    assert_int_equal(counted_with(bench, "linux,self-hosted"), 2);
    stats_verify(bench->store);
    stats_verify_minutes(bench->store);
    for (int day = 1; day <= 9; day++) {
        engine_bench_advance(bench, NS_PER_DAY);
        deliver_real(bench, 2 + day);
    }
    engine_bench_advance(bench, NS_PER_HOUR);
    assert_int_equal(engine_bench_count_entries(bench, STORE_TABLE_POOLS), 1);
    assert_int_equal(engine_bench_count_entries(bench, STORE_TABLE_POOL_WAITS), 1);
    assert_int_equal(engine_bench_count_entries(bench, STORE_TABLE_OPEN_JOBS), 0);
    // Each of the real jobs changes at most three minutes; those of two days are kept, the hours of the others.
    assert_true(engine_bench_count_entries(bench, STORE_TABLE_POOL_MINUTES) <= 6);
    assert_true(engine_bench_count_entries(bench, STORE_TABLE_POOL_HOURS) <= 10);
    assert_waits(bench, 1, 4, 11, 44);
}

static void a_root_that_is_sent_again_is_counted_once(void **state)
{
    struct engine_bench *bench = *state;
    deliver(bench, scenario_job(1, GITHUB_JOB_COMPLETED, 60, 2, 6, 60));
    engine_bench_advance(bench, 2 * NS_PER_HOUR);
    assert_int_equal(engine_bench_count_entries(bench, STORE_TABLE_RECENT), 1); // made from its job
    assert_int_equal(counted(bench, SERIES_RUN), 0);
    deliver(bench, scenario_run(GITHUB_RUN_COMPLETED, 62, "success"));
    assert_int_equal(engine_bench_count_entries(bench, STORE_TABLE_RECENT), 1);
    assert_int_equal(counted(bench, SERIES_RUN), 1);
}

static void the_run_in_the_list(struct engine_bench *bench, struct recent_run *run)
{
    static const struct recent_place newest;
    static char result[64];
    struct error error = {0};
    struct store_transaction *transaction = begin(bench, false);
    assert_int_equal(engine_bench_count_entries(bench, STORE_TABLE_RECENT), 1);
    assert_int_equal(recent_seek_older(transaction, &newest, run, &error), ERROR_NONE);
    assert_true(run->measure.result.len < sizeof result);
    memcpy(result, run->measure.result.data, run->measure.result.len);
    run->measure.result.data = result;
    store_abort(transaction);
}

// The list has the final data; the figures have the data received first, since they cannot be subtracted.
static void a_run_that_ends_twice_is_counted_once_and_listed_with_its_last_end(void **state)
{
    struct engine_bench *bench = *state;
    struct recent_run run;
    struct scenario_delivery first = scenario_job(1, GITHUB_JOB_COMPLETED, 30, 2, 6, 30);
    scenario_set_conclusion(&first, "failure");
    deliver(bench, first);
    deliver(bench, scenario_run(GITHUB_RUN_COMPLETED, 32, "failure"));
    deliver(bench, scenario_job(1, GITHUB_JOB_COMPLETED, 700, 2, 6, 700));
    the_run_in_the_list(bench, &run);
    assert_int_equal(run.measure.end, scenario_at(700));
    assert_true(slice_equals(run.measure.result, SLICE("failure")));
    deliver(bench, scenario_run(GITHUB_RUN_COMPLETED, 702, "success"));
    the_run_in_the_list(bench, &run);
    assert_int_equal(run.measure.start, scenario_at(0));
    assert_int_equal(run.measure.end, scenario_at(702));
    assert_true(slice_equals(run.measure.result, SLICE("success")));
    assert_int_equal(run.measure.job_count, 1);
    assert_int_equal(counted(bench, SERIES_RUN), 1);
    assert_int_equal(counted(bench, SERIES_JOB), 1);
}

static void events_repeated_after_linger_are_not_counted_again(void **state)
{
    struct engine_bench *bench = *state;
    deliver(bench, scenario_job(1, GITHUB_JOB_COMPLETED, 60, 2, 6, 60));
    deliver(bench, scenario_run(GITHUB_RUN_COMPLETED, 62, "success"));
    for (int hour = 0; hour < 4 * 24; hour++) {
        bench->now += NS_PER_HOUR;
        engine_run_batch(bench->engine, NULL, 0, bench->now);
    }
    deliver(bench, scenario_job(1, GITHUB_JOB_COMPLETED, 60, 2, 6, 60));
    deliver(bench, scenario_run(GITHUB_RUN_COMPLETED, 62, "success"));
    assert_int_equal(counted(bench, SERIES_RUN), 1);
    assert_int_equal(counted(bench, SERIES_JOB), 1);
    assert_int_equal(engine_bench_count_entries(bench, STORE_TABLE_OPEN_RUNS), 0);
    assert_int_equal(engine_bench_count_entries(bench, STORE_TABLE_OPEN_JOBS), 0);
}

static void after_a_clock_that_was_ahead_no_job_remains(void **state)
{
    struct engine_bench *bench = *state;
    bench->now += 30 * NS_PER_DAY;
    // Only the time of receipt indicates since when it runs.
    deliver(bench, scenario_job(1, GITHUB_JOB_IN_PROGRESS, 6, -1, -1, -1));
    deliver(bench, scenario_job(2, GITHUB_JOB_QUEUED, 6, 2, 2, -1));
    bench->now -= 30 * NS_PER_DAY;
    struct scenario_delivery again = scenario_job(1, GITHUB_JOB_IN_PROGRESS, 7, -1, -1, -1);
    deliver(bench, again);
    assert_int_equal(open_state(bench, OPEN_JOB_RUNNING), 1);
    deliver(bench, scenario_job(1, GITHUB_JOB_COMPLETED, 60, 2, 6, 60));
    deliver(bench, scenario_job(2, GITHUB_JOB_COMPLETED, 60, 2, 6, 60));
    assert_int_equal(engine_bench_count_entries(bench, STORE_TABLE_OPEN_JOBS), 0);
}

static void the_limits_of_series_and_pools_are_those_of_the_options(void **state)
{
    struct engine_bench *bench = *state;
    bench->options.max_series = bench->options.max_pools = 2;
    engine_bench_restart(bench);
    for (int64_t id = 1; id <= 5; id++) {
        static char labels[5][2] = {"a", "b", "c", "d", "e"};
        struct slice label = {labels[id - 1], 1};
        struct scenario_delivery queued = scenario_job(id, GITHUB_JOB_QUEUED, 2, 2, 2, -1);
        struct scenario_delivery completed = scenario_job(id, GITHUB_JOB_COMPLETED, 60, 2, 6, 60);
        queued.event.job.labels = completed.event.job.labels = &label;
        queued.event.job.label_count = completed.event.job.label_count = 1;
        deliver(bench, queued);
        assert_int_equal(open_state(bench, OPEN_JOB_QUEUED), 1);
        deliver(bench, completed);
        assert_int_equal(open_state(bench, OPEN_JOB_QUEUED), 0);
    }
    assert_int_equal(engine_bench_count_entries(bench, STORE_TABLE_POOLS), 3);
    assert_int_equal(engine_bench_count_entries(bench, STORE_TABLE_JOB_SERIES), 3);
    assert_int_equal(counted(bench, SERIES_JOB), 5);
}

// --- as time passes ------------------------------------------------------------------------------------------

static void entries_expire_and_counts_are_kept(void **state)
{
    struct engine_bench *bench = *state;
    deliver(bench, scenario_job(1, GITHUB_JOB_QUEUED, 2, 2, 2, -1));
    deliver(bench, scenario_job(1, GITHUB_JOB_COMPLETED, 60, 2, 6, 60));
    deliver(bench, scenario_run(GITHUB_RUN_COMPLETED, 62, "success"));
    assert_int_equal(engine_bench_count_entries(bench, STORE_TABLE_POOLS), 1);
    assert_int_equal(engine_bench_count_entries(bench, STORE_TABLE_LATENCY), 1);
    for (int hour = 0; hour < 27; hour++) {
        bench->now += NS_PER_HOUR;
        engine_run_batch(bench->engine, NULL, 0, bench->now);
    }
    assert_int_equal(engine_bench_count_entries(bench, STORE_TABLE_RECENT), 0);
    assert_int_equal(engine_bench_count_entries(bench, STORE_TABLE_RECENT_BY_TRACE), 0);
    assert_int_equal(engine_bench_count_entries(bench, STORE_TABLE_ENDED_RUNS), 0);
    assert_int_equal(engine_bench_count_entries(bench, STORE_TABLE_LATENCY), 0);
    assert_int_equal(engine_bench_count_entries(bench, STORE_TABLE_POOLS),
                     1); // a job started there within seven days
    for (int day = 0; day < 7; day++) {
        bench->now += NS_PER_DAY;
        engine_run_batch(bench->engine, NULL, 0, bench->now);
    }
    assert_int_equal(engine_bench_count_entries(bench, STORE_TABLE_POOLS), 0);
    assert_int_equal(counted(bench, SERIES_JOB), 1);
    assert_int_equal(counted(bench, SERIES_RUN), 1);
}

static void finished_runs_make_room_before_a_delivery_is_refused(void **state)
{
    struct engine_bench *bench = *state;
    const int64_t runs = 6000;
    bench->map_bytes = (uint64_t)4 << 20;
    bench->options.has_exporter = false;
    bench->options.policy.linger = NS_PER_SECOND; // notes and deliveries take space, too
    engine_bench_restart(bench);
    for (int64_t id = 1; id <= runs; id++) {
        struct scenario_delivery run = scenario_run(GITHUB_RUN_COMPLETED, 62, "success");
        run.event.run.run_id = id;
        memcpy(run.digest, &id, sizeof id);
        bench->now += NS_PER_SECOND;
        engine_bench_accept(bench, &run);
    }
    uint64_t listed = engine_bench_count_entries(bench, STORE_TABLE_RECENT);
    assert_true(listed > 100 && listed < (uint64_t)runs);
    assert_int_equal(counted(bench, SERIES_RUN), runs);
    stats_verify(bench->store);
}

// --- a store without figures ---------------------------------------------------------------------------------

static void fill_runs(struct engine_bench *bench, int64_t runs)
{
    for (int64_t id = 1; id <= runs; id++) {
        struct scenario_delivery run = scenario_run(GITHUB_RUN_REQUESTED, 1, "");
        run.event.run.run_id = id;
        memcpy(run.digest, &id, sizeof id);
        engine_bench_accept(bench, &run);
        for (int64_t job = 1; job <= 5; job++) {
            struct scenario_delivery queued =
                scenario_job(10 * id + job, GITHUB_JOB_QUEUED, 2, 2, 2, -1);
            queued.event.job.run_id = id;
            engine_bench_accept(bench, &queued);
            struct scenario_delivery next = scenario_job(
                10 * id + job, job % 2 == 0 ? GITHUB_JOB_IN_PROGRESS : GITHUB_JOB_COMPLETED, 60, 2,
                6, job % 2 == 0 ? -1 : 60);
            next.event.job.run_id = id;
            if (job != 5)
                engine_bench_accept(bench, &next);
        }
    }
}

static void fill(struct engine_bench *bench)
{
    fill_runs(bench, 30);
}

static void clear_figures(struct engine_bench *bench)
{
    struct store_transaction *transaction = begin(bench, true);
    struct error error = {0};
    for (int table = 0; table < STORE_TABLE_COUNT; table++)
        assert_int_equal(store_table_clear(transaction, (enum store_table)table, &error),
                         ERROR_NONE);
    assert_int_equal(store_commit(transaction, &error), ERROR_NONE);
}

static timestamp_ns clock_of_the_start(void)
{
    return scenario_at(70);
}

static void an_older_store_gets_its_figures_at_the_next_start(void **state)
{
    struct engine_bench *bench = *state;
    bench->options.now = clock_of_the_start;
    fill(bench);
    stats_verify(bench->store);
    assert_int_equal(open_state(bench, OPEN_JOB_QUEUED), 30);
    assert_int_equal(open_state(bench, OPEN_JOB_RUNNING), 60);
    clear_figures(bench);
    engine_bench_restart(bench);
    stats_verify(bench->store);
    assert_int_equal(open_state(bench, OPEN_JOB_QUEUED), 30);
    assert_int_equal(open_state(bench, OPEN_JOB_RUNNING), 60);
    assert_int_equal(engine_bench_count_entries(bench, STORE_TABLE_OPEN_RUNS), 30);
    assert_int_equal(counted(bench, SERIES_JOB), 0); // cannot be rebuilt
    assert_waits(bench, 60, 4, 60, 240);             // of the running ones
    stats_verify_minutes(bench->store);
}

static void a_large_older_store_gets_its_figures_while_deliveries_are_accepted(void **state)
{
    struct engine_bench *bench = *state;
    fill(bench);
    clear_figures(bench);
    bench->options.figures_limit = -1;
    engine_bench_restart(bench);
    assert_int_equal(open_state(bench, OPEN_JOB_QUEUED), 0);
    deliver(bench, scenario_job(1, GITHUB_JOB_QUEUED, 2, 2, 2, -1));
    engine_bench_advance(bench, NS_PER_SECOND);
    stats_verify(bench->store);
    stats_verify_minutes(bench->store);
    assert_int_equal(open_state(bench, OPEN_JOB_QUEUED), 31);
    assert_int_equal(open_state(bench, OPEN_JOB_RUNNING), 60);
}

#define MANY_RUNS 120 // four states each: more than a batch reads

static int64_t run_whose_states_are_last(void)
{
    struct trace_id greatest = {{0}};
    int64_t last = 0;
    for (int64_t id = 1; id <= MANY_RUNS; id++) {
        struct trace_id trace = trace_id_of_run(ID_SCHEME_ARC, id, 1);
        if (memcmp(&trace, &greatest, sizeof trace) > 0) {
            greatest = trace;
            last = id;
        }
    }
    return last;
}

static void restart_without_figures(struct engine_bench *bench, struct scenario_delivery first)
{
    clear_figures(bench);
    engine_bench_restart(bench);
    first.event.job.run_id = run_whose_states_are_last();
    engine_bench_accept(bench, &first);
    assert_int_not_equal(open_state(bench, OPEN_JOB_RUNNING), 2 * MANY_RUNS);
    for (int64_t i = 0; i < 3; i++) { // each reads some more
        struct scenario_delivery next =
            scenario_job(10 * first.event.job.job_id + i, GITHUB_JOB_QUEUED, 2, 2, 2, -1);
        engine_bench_accept(bench, &next);
    }
    stats_verify(bench->store);
}

static void a_wait_that_changes_before_its_state_is_read_is_counted_once(void **state)
{
    struct engine_bench *bench = *state;
    int64_t jobs = 10 * run_whose_states_are_last();
    fill_runs(bench, MANY_RUNS);
    bench->options.figures_limit = -1;
    restart_without_figures(bench, scenario_job(jobs + 2, GITHUB_JOB_COMPLETED, 60, 2, 7, 60));
    assert_waits(bench, 240, 5, 240, 239 * 4 + 5);
    restart_without_figures(bench, scenario_job(jobs + 4, GITHUB_JOB_IN_PROGRESS, 61, 2, 8, -1));
    assert_waits(bench, 239, 6, 239, 238 * 4 + 6);
    restart_without_figures(bench, scenario_job(jobs + 5, GITHUB_JOB_IN_PROGRESS, 60, 2, 9, -1));
    assert_waits(bench, 240, 7, 240, 238 * 4 + 6 + 7);
}

static void a_wait_that_was_counted_is_not_counted_again_under_other_rules(void **state)
{
    struct engine_bench *bench = *state;
    struct error error = {0};
    fill(bench);
    struct store_transaction *transaction = begin(bench, true);
    assert_int_equal(
        store_table_put(transaction, STORE_TABLE_STATS, SLICE("rules"), SLICE("other"), &error),
        ERROR_NONE);
    assert_int_equal(store_commit(transaction, &error), ERROR_NONE);
    engine_bench_restart(bench);
    engine_bench_advance(bench, NS_PER_SECOND);
    stats_verify(bench->store);
    assert_waits(bench, 120, 4, 0, 0);
}

// --- counters ------------------------------------------------------------------------------------------------

static uint64_t sum_of(const uint64_t *buckets, size_t count)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += buckets[i];
    return sum;
}

static void events_are_counted_and_commits_by_size(void **state)
{
    struct engine_bench *bench = *state;
    struct engine_counters counters;
    deliver(bench, scenario_run(GITHUB_RUN_REQUESTED, 1, ""));
    deliver(bench, scenario_job(1, GITHUB_JOB_QUEUED, 2, 2, 2, -1));
    deliver(bench, scenario_job(2, GITHUB_JOB_QUEUED, 2, 2, 2, -1));
    deliver(bench, scenario_job(1, GITHUB_JOB_COMPLETED, 60, 2, 6, 60));
    struct scenario_delivery again = scenario_job(1, GITHUB_JOB_COMPLETED, 60, 2, 6, 60);
    assert_int_equal(engine_bench_deliver(bench, &again), ENGINE_DUPLICATE);
    bench->now += NS_PER_SECOND;
    engine_run_batch(bench->engine, NULL, 0, bench->now);
    engine_read_counters(bench->engine, &counters);
    assert_int_equal(counters.events, 4);
    assert_int_equal(counters.duplicates, 1);
    assert_int_equal(counters.last_event_at, scenario_at(60));
    assert_int_equal(counters.commits, 6);
    assert_int_equal(sum_of(counters.commit_buckets, ENGINE_COMMIT_BOUNDS + 1), 6);
    assert_true(counters.commit_ns > 0);
    assert_int_equal(counters.batch_tasks, 5);
    assert_int_equal(counters.batch_buckets[0], 5); // of one task each; none is empty
    assert_int_equal(sum_of(counters.batch_buckets, ENGINE_BATCH_BOUNDS + 1), 5);
}

#define TEST(name)                                                                                 \
    cmocka_unit_test_setup_teardown(name, engine_bench_set_up, engine_bench_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(each_event_moves_its_job_immediately),
        TEST(a_job_that_is_given_up_is_removed_and_counts_when_it_completes),
        TEST(a_wait_is_counted_when_the_job_starts_and_corrected_when_it_completes),
        TEST(a_start_that_is_not_later_than_ready_counts_when_the_job_completes),
        TEST(jobs_swept_with_their_run_are_removed_too),
        TEST(a_job_that_is_given_up_ran_until_its_run_was_over),
        TEST(a_job_that_is_given_up_ran_until_its_runner_took_another_one),
        TEST(a_job_that_is_given_up_did_not_run_beyond_its_run),
        TEST(the_end_of_a_job_that_is_given_up_remains_as_it_was_known_then),
        TEST(a_job_whose_state_is_lost_leaves_its_pool_and_the_minutes),
        TEST(minutes_agree_with_the_open_jobs_while_pools_are_folded),
        TEST(labels_that_are_invented_by_the_hundred_leave_nothing_behind),
        TEST(a_root_that_is_sent_again_is_counted_once),
        TEST(a_run_that_ends_twice_is_counted_once_and_listed_with_its_last_end),
        TEST(events_repeated_after_linger_are_not_counted_again),
        TEST(after_a_clock_that_was_ahead_no_job_remains),
        TEST(the_limits_of_series_and_pools_are_those_of_the_options),
        TEST(entries_expire_and_counts_are_kept),
        TEST(finished_runs_make_room_before_a_delivery_is_refused),
        TEST(an_older_store_gets_its_figures_at_the_next_start),
        TEST(a_large_older_store_gets_its_figures_while_deliveries_are_accepted),
        TEST(a_wait_that_changes_before_its_state_is_read_is_counted_once),
        TEST(a_wait_that_was_counted_is_not_counted_again_under_other_rules),
        TEST(events_are_counted_and_commits_by_size),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
