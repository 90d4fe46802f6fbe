// Completed jobs in the job history, through the engine: as they ended last, in whatever order their events arrive.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ghatrace/stats/job_history.h"
#include "ghatrace/store/table.h"
#include "support/engine_bench.h"

static void deliver(struct engine_bench *bench, struct scenario_delivery delivery)
{
    engine_bench_accept(bench, &delivery);
}

// The last record of each job, in the order of these. `*added`: how many there are in all.
static size_t read_last(struct engine_bench *bench, struct job_record *last, size_t *added)
{
    struct store_transaction *transaction;
    struct error error = {0};
    struct job_record some[JOB_HISTORY_TOGETHER];
    uint64_t number = 0;
    size_t jobs = 0, count;
    *added = 0;
    assert_int_equal(store_begin(bench->store, false, &transaction, &error), ERROR_NONE);
    do {
        assert_int_equal(job_history_read(transaction, &number, some, &count, &error), ERROR_NONE);
        *added += count;
        for (size_t i = 0; i < count; i++) {
            size_t at = 0;
            while (at < jobs && last[at].job != some[i].job)
                at++;
            jobs += at == jobs ? 1 : 0;
            last[at] = some[i];
        }
    } while (count > 0);
    store_abort(transaction);
    return jobs;
}

static void assert_only(struct engine_bench *bench, size_t added, double ready, double started,
                        double ended)
{
    struct job_record last[10];
    size_t all;
    assert_int_equal(read_last(bench, last, &all), 1);
    assert_int_equal(all, added);
    assert_int_equal(last[0].ready, scenario_at(ready));
    assert_int_equal(last[0].started, scenario_at(started));
    assert_int_equal(last[0].ended, scenario_at(ended));
}

static void assert_none(struct engine_bench *bench)
{
    struct job_record last[10];
    size_t all;
    assert_int_equal(read_last(bench, last, &all), 0);
}

static void a_job_is_recorded_when_it_completes(void **state)
{
    struct engine_bench *bench = *state;
    deliver(bench, scenario_job(1, GITHUB_JOB_QUEUED, 2, 2, 2, -1));
    deliver(bench, scenario_job(1, GITHUB_JOB_IN_PROGRESS, 6, 2, 6, -1));
    assert_none(bench);
    deliver(bench, scenario_job(1, GITHUB_JOB_COMPLETED, 60, 2, 6, 60));
    assert_only(bench, 1, 2, 6, 60);
    // Repeated, and followed by an earlier event.
    deliver(bench, scenario_job(1, GITHUB_JOB_COMPLETED, 61, 2, 6, 60));
    deliver(bench, scenario_job(1, GITHUB_JOB_QUEUED, 62, 2, 2, -1));
    assert_only(bench, 1, 2, 6, 60);
}

static void a_job_that_waited_for_approval_is_ready_from_its_release_on(void **state)
{
    struct engine_bench *bench = *state;
    deliver(bench, scenario_job(1, GITHUB_JOB_WAITING, 2, 2, 2, -1));
    deliver(bench, scenario_job(1, GITHUB_JOB_QUEUED, 40, 2, 2, -1));
    deliver(bench, scenario_job(1, GITHUB_JOB_COMPLETED, 60, 2, 45, 60));
    assert_only(bench, 1, 40, 45, 60);
}

static void a_later_end_replaces_the_first(void **state)
{
    struct engine_bench *bench = *state;
    deliver(bench, scenario_job(1, GITHUB_JOB_QUEUED, 2, 2, 2, -1));
    deliver(bench, scenario_job(1, GITHUB_JOB_COMPLETED, 60, 2, 6, 60));
    deliver(bench, scenario_job(1, GITHUB_JOB_COMPLETED, 90, 2, 6, 90));
    assert_only(bench, 2, 2, 6, 90);
    // An earlier end that arrives later changes nothing.
    deliver(bench, scenario_job(1, GITHUB_JOB_COMPLETED, 95, 2, 6, 70));
    assert_only(bench, 2, 2, 6, 90);
}

static void a_release_that_arrives_after_the_end_corrects_the_wait(void **state)
{
    struct engine_bench *bench = *state;
    struct scenario_delivery completed = scenario_job(1, GITHUB_JOB_COMPLETED, 60, 2, 45, 60);
    scenario_set_deployment(&completed, 5, "production");
    deliver(bench, completed);
    engine_bench_advance_to(bench, 80); // the release is no longer waited for
    assert_only(bench, 1, 2, 45, 60);
    struct scenario_delivery waiting = scenario_job(1, GITHUB_JOB_WAITING, 3, 2, 2, -1);
    struct scenario_delivery queued = scenario_job(1, GITHUB_JOB_QUEUED, 40, 2, 2, -1);
    deliver(bench, queued);
    deliver(bench, waiting);
    assert_only(bench, 2, 40, 45, 60);
}

static void jobs_without_a_runner_are_not_recorded(void **state)
{
    struct engine_bench *bench = *state;
    struct scenario_delivery skipped = scenario_job(1, GITHUB_JOB_COMPLETED, 3, 2, 2, 2);
    struct scenario_delivery cancelled = scenario_job(2, GITHUB_JOB_COMPLETED, 60, 2, 50, 60);
    struct scenario_delivery carried = scenario_job(3, GITHUB_JOB_COMPLETED, 100, 90, 6, 60);
    scenario_set_conclusion(&skipped, "skipped");
    scenario_set_conclusion(&cancelled, "cancelled");
    scenario_set_runner(&cancelled, 0, "");
    scenario_set_steps(&cancelled, NULL, 0);
    scenario_set_attempt(&carried, 2);
    deliver(bench, skipped);
    deliver(bench, cancelled);
    deliver(bench, carried);
    assert_none(bench);
}

static void a_job_that_is_given_up_is_recorded_when_it_completes_after_all(void **state)
{
    struct engine_bench *bench = *state;
    deliver(bench, scenario_job(1, GITHUB_JOB_IN_PROGRESS, 6, 2, 6, -1));
    deliver(bench, scenario_run(GITHUB_RUN_COMPLETED, 20, "failure"));
    engine_bench_advance(bench, bench->options.policy.job_grace + NS_PER_MINUTE);
    assert_none(bench);
    deliver(bench, scenario_job(1, GITHUB_JOB_COMPLETED, 2000, 2, 6, 1990));
    assert_only(bench, 1, 2, 6, 1990);
}

static void runners_are_distinguished_but_for_those_of_github(void **state)
{
    struct engine_bench *bench = *state;
    static const struct {
        int64_t id;
        const char *name;
        const char *group;
    } runners[] = {
        {1, "a", "Default"}, {1, "a", "Default"}, {2, "b", "Default"}, {1, "a", "GitHub Actions"}};
    struct job_record last[10];
    size_t all;
    for (int64_t i = 0; i < 4; i++) {
        struct scenario_delivery job = scenario_job(i + 1, GITHUB_JOB_COMPLETED, 60, 2, 6, 60);
        scenario_set_runner(&job, runners[i].id, runners[i].name);
        job.event.job.runner_group_name = slice_from_string(runners[i].group);
        deliver(bench, job);
    }
    assert_int_equal(read_last(bench, last, &all), 4);
    assert_int_not_equal(last[0].runner, 0);
    assert_int_equal(last[0].runner, last[1].runner);
    assert_int_not_equal(last[0].runner, last[2].runner);
    assert_int_equal(last[3].runner, 0);
}

// The records of all jobs are the same for every order of their events, and after restarts.
static void the_last_records_do_not_depend_on_the_order_of_events(void **state)
{
    struct engine_bench *bench = *state;
    struct job_record first[10], other[10];
    size_t added;
    uint32_t seed = 3;
    for (int round = 0; round < 20; round++) {
        struct scenario_delivery events[5] = {
            scenario_job(1, GITHUB_JOB_QUEUED, 2, 2, 2, -1),
            scenario_job(1, GITHUB_JOB_WAITING, 3, 2, 2, -1),
            scenario_job(1, GITHUB_JOB_QUEUED, 20, 2, 2, -1),
            scenario_job(1, GITHUB_JOB_COMPLETED, 60, 2, 25, 60),
            scenario_job(1, GITHUB_JOB_COMPLETED, 70, 2, 25, 70),
        };
        // Only its deployment shows that it may have waited.
        scenario_set_deployment(&events[3], 5, "production");
        scenario_set_deployment(&events[4], 5, "production");
        for (uint32_t i = 4; i > 0 && round > 0; i--) {
            uint32_t at = scenario_random(&seed, i + 1);
            struct scenario_delivery moved = events[i];
            events[i] = events[at];
            events[at] = moved;
        }
        for (size_t i = 0; i < 5; i++) {
            deliver(bench, events[i]);
            if (scenario_random(&seed, 4) == 0)
                engine_bench_restart(bench);
        }
        engine_bench_advance_to(bench, 200);
        assert_int_equal(read_last(bench, round == 0 ? first : other, &added), 1);
        const struct job_record *last = round == 0 ? first : other;
        assert_int_equal(last->ready, scenario_at(20));
        assert_int_equal(last->started, scenario_at(25));
        assert_int_equal(last->ended, scenario_at(70));
        assert_int_equal(last->job, first->job);
        assert_in_range(added, 1, 4);
        engine_bench_close(bench);
        engine_bench_open(bench);
    }
}

static uint64_t count_jobs(struct engine_bench *bench)
{
    struct store_transaction *transaction;
    struct error error = {0};
    uint64_t count;
    assert_int_equal(store_begin(bench->store, false, &transaction, &error), ERROR_NONE);
    assert_int_equal(job_history_count(transaction, &count, &error), ERROR_NONE);
    store_abort(transaction);
    return count;
}

static void there_are_at_most_as_many_as_asked_for(void **state)
{
    struct engine_bench *bench = *state;
    uint64_t most = 0;
    bench->options.history_jobs = 500;
    engine_bench_restart(bench);
    for (int64_t i = 1; i <= 3000; i++) {
        deliver(bench, scenario_job(i, GITHUB_JOB_COMPLETED, 60, 2, 6, 60));
        uint64_t count = count_jobs(bench);
        most = count > most ? count : most;
    }
    assert_in_range(most, 501, 500 + JOB_HISTORY_SLACK + 1);
    bench->options.history_jobs = 0;
    engine_bench_restart(bench);
    for (int64_t i = 3001; i < 3020; i++)
        deliver(bench, scenario_job(i, GITHUB_JOB_COMPLETED, 60, 2, 6, 60));
    assert_none(bench);
}

static void a_store_of_an_older_version_begins_an_empty_history(void **state)
{
    struct engine_bench *bench = *state;
    deliver(bench, scenario_job(1, GITHUB_JOB_COMPLETED, 60, 2, 6, 60));
    assert_int_equal(count_jobs(bench), 1);
    // Figures that are recounted leave it alone.
    struct store_transaction *transaction;
    struct error error = {0};
    assert_int_equal(store_begin(bench->store, true, &transaction, &error), ERROR_NONE);
    assert_int_equal(store_table_clear(transaction, STORE_TABLE_STATS, &error), ERROR_NONE);
    assert_int_equal(store_commit(transaction, &error), ERROR_NONE);
    engine_bench_restart(bench);
    assert_only(bench, 1, 2, 6, 60);
}

int main(void)
{
#define TEST(name)                                                                                 \
    cmocka_unit_test_setup_teardown(name, engine_bench_set_up, engine_bench_tear_down)
    const struct CMUnitTest tests[] = {
        TEST(a_job_is_recorded_when_it_completes),
        TEST(a_job_that_waited_for_approval_is_ready_from_its_release_on),
        TEST(a_later_end_replaces_the_first),
        TEST(a_release_that_arrives_after_the_end_corrects_the_wait),
        TEST(jobs_without_a_runner_are_not_recorded),
        TEST(a_job_that_is_given_up_is_recorded_when_it_completes_after_all),
        TEST(runners_are_distinguished_but_for_those_of_github),
        TEST(the_last_records_do_not_depend_on_the_order_of_events),
        TEST(there_are_at_most_as_many_as_asked_for),
        TEST(a_store_of_an_older_version_begins_an_empty_history),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
