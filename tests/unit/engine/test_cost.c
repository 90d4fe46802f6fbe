// The cost of an event, in calls into LMDB: the same for the last job of a run as for the first.
/* wrap: mdb_put mdb_get mdb_del mdb_cursor_get */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "ghatrace/stats/pool.h"
#include "lmdb_calls.h"
#include "support/engine_bench.h"

#define JOBS 100000

static const char *address; // of the repository, where it is not github.com's
static bool has_own_labels; // each job has a label that no other has
static struct engine_task tasks[1000];
static struct scenario_delivery deliveries[1000];

// Delivers one event of each job from `first` on, as one batch. Returns calls into LMDB for each event.
static double deliver_jobs(struct engine_bench *bench, int64_t first, size_t count,
                           enum github_job_action action, bool has_guid_time)
{
    for (size_t i = 0; i < count; i++) {
        int64_t id = first + (int64_t)i;
        deliveries[i] = scenario_job(id, action, 60, 2, action == GITHUB_JOB_QUEUED ? 2 : 6,
                                     action == GITHUB_JOB_COMPLETED ? 60 : -1);
        if (address != NULL)
            scenario_set_server(&deliveries[i], address);
        if (has_own_labels) {
            static char texts[1000][24];
            static struct slice labels[1000];
            (void)snprintf(texts[i], sizeof texts[i], "id-%lld", (long long)id);
            labels[i] = slice_from_string(texts[i]);
            deliveries[i].event.job.labels = &labels[i];
            deliveries[i].event.job.label_count = 1;
        }
        memcpy(deliveries[i].digest, &id, sizeof id);
        tasks[i] = (struct engine_task){.type = ENGINE_APPLY_EVENT,
                                        .on_done = engine_bench_must_accept,
                                        .event = &deliveries[i].event,
                                        .received_at = bench->now,
                                        .occurred_at = TIMESTAMP_UNKNOWN};
        memcpy(tasks[i].delivery_digest, deliveries[i].digest, sizeof tasks[i].delivery_digest);
        tasks[i].delivery_digest[8] = (uint8_t)action;
        if (has_guid_time) // a delivery in each millisecond
            tasks[i].occurred_at =
                scenario_at(action == GITHUB_JOB_QUEUED ? 0 : 1000) + id * NS_PER_MS;
    }
    calls = 0;
    engine_run_batch(bench->engine, tasks, count, bench->now);
    return (double)calls / (double)count;
}

// The cost of a page of open jobs depends on its size, not on the number of open jobs.
static void read_open_jobs(struct engine_bench *bench, int64_t jobs)
{
    struct error error = {0};
    struct store_transaction *transaction;
    struct pool_id id = {{0}};
    struct pool pool;
    struct pool_job job = {.since = 0};
    assert_int_equal(store_begin(bench->store, false, &transaction, &error), ERROR_NONE);
    calls = 0;
    assert_int_equal(pool_seek(transaction, &id, &pool, &error), ERROR_NONE);
    assert_int_equal(pool.counts[OPEN_JOB_QUEUED], jobs);
    for (int i = 0; i < 50; i++) {
        assert_int_equal(pool_seek_job(transaction, &id, OPEN_JOB_QUEUED, &job, &error),
                         ERROR_NONE);
        pool_job_increment(&job);
    }
    assert_int_equal(calls, 51);
    store_abort(transaction);
}

// `growth`: how many more calls the last may cost than the first.
static void compare_first_and_last(int64_t jobs, bool has_guid_time, double growth)
{
    struct engine_bench bench;
    double first_queued = 0;
    double first_completed = 0;
    double last = 0;
    engine_bench_open(&bench);
    bench.now = scenario_at(100);
    for (int64_t id = 1; id <= jobs; id += 1000) {
        last = deliver_jobs(&bench, id, 1000, GITHUB_JOB_QUEUED, has_guid_time);
        first_queued = id == 1 ? last : first_queued;
    }
    print_message("queued: %.2f calls for each of the first thousand, %.2f of the last\n",
                  first_queued, last);
    assert_true(last <= first_queued + growth);
    // Five for the event itself; one for its entry in a pool, whose counts are written once for all of them. Notes of
    // deliveries are read and written in blocks.
    assert_true(last < 6.2 + growth);
    read_open_jobs(&bench, jobs);
    for (int64_t id = 1; id <= jobs; id += 1000) {
        last = deliver_jobs(&bench, id, 1000, GITHUB_JOB_COMPLETED, has_guid_time);
        first_completed = id == 1 ? last : first_completed;
    }
    print_message("completed: %.2f calls for each of the first thousand, %.2f of the last\n",
                  first_completed, last);
    assert_true(last <= first_completed + growth);
    assert_true(last < 9.2 + growth);
    // The end of the run reads no job.
    struct scenario_delivery end = scenario_run(GITHUB_RUN_COMPLETED, 90, "success");
    if (address != NULL)
        scenario_set_server(&end, address);
    calls = 0;
    engine_bench_accept(&bench, &end);
    print_message("the run's end: %ld calls\n", calls);
    assert_true(
        calls <
        40); // blocks of notes, of which two are about the run, may have to be halved for it
    engine_bench_close(&bench);
}

static void the_last_of_100000_jobs_costs_the_same_as_the_first(void **state)
{
    (void)state;
    compare_first_and_last(JOBS, true, 0.1);
}

static void jobs_of_another_server_cost_the_same_as_those_of_github(void **state)
{
    (void)state;
    address = "https://ghe.example/octo/Hello_World";
    compare_first_and_last(JOBS / 10, true, 0.1);
    address = NULL;
}

// Their notes are in no order, so that a batch touches more blocks. Two calls read one, one writes it.
static void without_times_in_guids_each_costs_three_calls_more_at_most(void **state)
{
    (void)state;
    compare_first_and_last(JOBS / 4, false, 3);
}

// --- reports of ARC -------------------------------------------------------------------------------------------

#define HELD_MAX 65536 // src/engine/arc_reports.c

// Reports about jobs `first` and following, as one batch. Returns calls into LMDB for each.
static double report_jobs(struct engine_bench *bench, int64_t first, size_t count,
                          const char *runner, enum arc_outcome expected)
{
    static struct arc_report reports[1000];
    static enum arc_outcome outcomes[1000];
    static char runners[1000][32];
    struct engine_task task = {.type = ENGINE_APPLY_ARC_REPORTS,
                               .on_done = engine_bench_must_accept,
                               .arc_reports = reports,
                               .arc_report_count = count,
                               .arc_outcomes = outcomes,
                               .received_at = bench->now};
    for (size_t i = 0; i < count; i++) {
        int64_t id = first + (int64_t)i;
        snprintf(runners[i], sizeof runners[i], "runner-%lld", (long long)id);
        reports[i] = engine_bench_assignment(0, 5);
        reports[i].run_id = id;
        reports[i].runner_name = slice_from_string(runner != NULL ? runner : runners[i]);
    }
    calls = 0;
    engine_run_batch(bench->engine, &task, 1, bench->now);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(outcomes[i], expected);
    return (double)calls / (double)count;
}

static void open_with_receiver(struct engine_bench *bench)
{
    engine_bench_open(bench);
    bench->now = scenario_at(100);
    bench->options.has_receiver = true;
    engine_bench_restart(bench);
}

static void a_flood_of_reports_costs_few_calls_each_and_events_little_more(void **state)
{
    struct engine_bench bench;
    double first = 0, last = 0;
    (void)state;
    open_with_receiver(&bench);
    double before = deliver_jobs(&bench, 1, 1000, GITHUB_JOB_IN_PROGRESS, true);
    for (int64_t id = 1000000; id < 1000000 + 2 * HELD_MAX; id += 1000) {
        bench.now += NS_PER_MS;
        last = report_jobs(&bench, id, 1000, NULL, ARC_HELD);
        first = id == 1000000 ? last : first;
    }
    double after = deliver_jobs(&bench, 5001, 1000, GITHUB_JOB_IN_PROGRESS, true);
    print_message("report: %.2f calls for each of the first thousand, %.2f of the last; "
                  "in_progress: %.2f calls before, %.2f after\n",
                  first, last, before, after);
    assert_true(first < 6.5);
    assert_true(last < 10); // and the oldest is dropped
    assert_true(after < before + 1.5);
    engine_bench_close(&bench);
}

// All for the runner of the jobs that are delivered.
static void a_flood_for_one_runner_is_bounded_likewise(void **state)
{
    struct engine_bench bench;
    double last = 0;
    (void)state;
    open_with_receiver(&bench);
    double before = deliver_jobs(&bench, 1, 1000, GITHUB_JOB_IN_PROGRESS, true);
    for (int64_t id = 1000000; id < 1050000; id += 1000)
        last = report_jobs(&bench, id, 1000, "runner-7", ARC_HELD);
    double after = deliver_jobs(&bench, 5001, 1000, GITHUB_JOB_IN_PROGRESS, true);
    print_message("report: %.2f calls; in_progress: %.2f calls before, %.2f after\n", last, before,
                  after);
    assert_true(last < 60);
    assert_true(after < before + 40); // each of the sixteen that are held is read
    engine_bench_close(&bench);
}

static void a_receiver_costs_each_job_few_calls(void **state)
{
    struct engine_bench without, with;
    (void)state;
    engine_bench_open(&without);
    without.now = scenario_at(100);
    open_with_receiver(&with);
    for (int action = GITHUB_JOB_QUEUED; action <= GITHUB_JOB_COMPLETED; action++) {
        if (action == GITHUB_JOB_WAITING)
            continue;
        double usual = deliver_jobs(&without, 1, 1000, (enum github_job_action)action, true);
        double more = deliver_jobs(&with, 1, 1000, (enum github_job_action)action, true) - usual;
        print_message("action %d: %.2f calls, with a receiver %.2f more\n", action, usual, more);
        assert_true(more < 3.3); // an entry of IDs is read and written, one of the list written
    }
    engine_bench_close(&without);
    engine_bench_close(&with);
}

// Beyond the limit an event costs a look for its pool, and one for the pool of folded sets; now and then all pools are
// looked at.
static void labels_invented_by_the_thousand_cost_little_more_than_others(void **state)
{
    struct engine_bench bench;
    double queued = 0, completed = 0;
    (void)state;
    has_own_labels = true;
    engine_bench_open(&bench);
    bench.options.max_pools = 500;
    bench.options.max_series = 500;
    engine_bench_restart(&bench);
    bench.now = scenario_at(100);
    for (int64_t id = 1; id <= 20000; id += 1000, bench.now += NS_PER_SECOND)
        queued = deliver_jobs(&bench, id, 1000, GITHUB_JOB_QUEUED, true);
    for (int64_t id = 1; id <= 20000; id += 1000, bench.now += NS_PER_SECOND)
        completed = deliver_jobs(&bench, id, 1000, GITHUB_JOB_COMPLETED, true);
    print_message("own labels: %.2f calls for each queued, %.2f for each completed\n", queued,
                  completed);
    assert_true(queued < 6.2 + 3);
    // For each a set of the series is replaced, too, with its spelling: about 9 calls, whatever the pools are;
    // and the minutes of a folded pool move with it.
    assert_true(completed < 9.2 + 18);
    engine_bench_close(&bench);
    has_own_labels = false;
}

// Minutes of pools become old once an hour, so that transactions in between do not look for them.
static void a_transaction_with_one_event_costs_the_same_with_many_pools(void **state)
{
    struct engine_bench bench;
    double few = 0, many = 0;
    (void)state;
    has_own_labels = true;
    engine_bench_open(&bench);
    bench.now = scenario_at(100);
    for (int64_t id = 1; id <= 4; id++, bench.now += NS_PER_SECOND)
        few = deliver_jobs(&bench, id, 1, GITHUB_JOB_IN_PROGRESS, true);
    deliver_jobs(&bench, 5, 500, GITHUB_JOB_IN_PROGRESS, true);
    for (int64_t id = 1001; id <= 1020; id++, bench.now += NS_PER_SECOND)
        many = deliver_jobs(&bench, id, 1, GITHUB_JOB_IN_PROGRESS, true);
    print_message("a transaction of one event: %.0f calls with few pools, %.0f with 500\n", few,
                  many);
    assert_true(many < few + 5);
    engine_bench_close(&bench);
    has_own_labels = false;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_last_of_100000_jobs_costs_the_same_as_the_first),
        cmocka_unit_test(jobs_of_another_server_cost_the_same_as_those_of_github),
        cmocka_unit_test(without_times_in_guids_each_costs_three_calls_more_at_most),
        cmocka_unit_test(a_flood_of_reports_costs_few_calls_each_and_events_little_more),
        cmocka_unit_test(a_flood_for_one_runner_is_bounded_likewise),
        cmocka_unit_test(a_receiver_costs_each_job_few_calls),
        cmocka_unit_test(labels_invented_by_the_thousand_cost_little_more_than_others),
        cmocka_unit_test(a_transaction_with_one_event_costs_the_same_with_many_pools),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
