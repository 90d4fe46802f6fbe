// Series: what is counted is what was measured, to the nanosecond, and never more sets of labels than allowed.
#include "world.h"

#include "ghatrace/tally/series.h"

#define SERIES_MAX 5

static int set_up(void **state)
{
    struct world *world = test_calloc(1, sizeof *world);
    world_open(world, SERIES_MAX);
    *state = world;
    return 0;
}

static int tear_down(void **state)
{
    world_close(*state);
    test_free(*state);
    return 0;
}

static struct job_measure a_job(const char *result, duration_ns execution, double end)
{
    return (struct job_measure){
        .repository = SLICE("octo/Hello_World"),
        .workflow = SLICE("CI"),
        .runner_group = SLICE("Default"),
        .runner_labels = SLICE("linux"),
        .result = slice_from_string(result),
        .queue = {true, 0},
        .execution = {true, execution},
        .end = scenario_at(end),
        .trace = {{1, (uint8_t)end}},
    };
}

static void count_job(struct world *world, struct job_measure measure)
{
    must(world, series_count_job(world->tally, &measure, &world->error));
}

// The one series of its kind, which must be there.
static struct series only(struct world *world, enum series_kind kind)
{
    struct series_id id = {{0}};
    struct series series;
    world_read(world);
    assert_int_equal(series_count(world->transaction, kind), 1);
    must(world, series_seek(world->transaction, kind, &id, &series, &world->error));
    world_end(world);
    return series;
}

static void a_job_is_counted_in_the_bucket_that_includes_its_length(void **state)
{
    struct world *world = *state;
    world_begin(world);
    count_job(world, a_job("success", NS_PER_SECOND, 1));                     // le 1
    count_job(world, a_job("success", NS_PER_SECOND + 1, 2));                 // le 2
    count_job(world, a_job("success", 21600 * NS_PER_SECOND, 3));             // le 21600
    count_job(world, a_job("success", 21600 * NS_PER_SECOND + 999999999, 4)); // the rest
    world_commit(world);
    struct series series = only(world, SERIES_JOB);
    const struct series_histogram *execution = &series.histograms[SERIES_JOB_EXECUTION];
    assert_int_equal(series.count, 4);
    assert_int_equal(execution->count, 4);
    assert_int_equal(execution->buckets[0], 1);
    assert_int_equal(execution->buckets[1], 1);
    assert_int_equal(execution->buckets[SERIES_BOUNDS - 1], 1);
    assert_int_equal(execution->buckets[SERIES_BOUNDS], 1);
    assert_int_equal(execution->sum.seconds, 43203);
    assert_int_equal(execution->sum.nanoseconds, 0); // 1 + 999999999 carried
    assert_int_equal(series.histograms[SERIES_JOB_QUEUE].count, 4);
    assert_int_equal(series.histograms[SERIES_JOB_QUEUE].buckets[0], 4); // zero is a time too
    assert_int_equal(series.histograms[SERIES_JOB_WAITING].count, 0);
}

static void transactions_add_to_each_other(void **state)
{
    struct world *world = *state;
    for (int i = 0; i < 10; i++) {
        world_begin(world);
        for (int k = 0; k < 10; k++)
            count_job(world, a_job("success", (i * 10 + k) * NS_PER_MS, i));
        world_commit(world);
        world_begin(world);
        count_job(world, a_job("success", NS_PER_HOUR, 99));
        world_end(world); // aborted
    }
    struct series series = only(world, SERIES_JOB);
    const struct series_histogram *execution = &series.histograms[SERIES_JOB_EXECUTION];
    assert_int_equal(series.count, 100);
    assert_int_equal(execution->buckets[0], 100);
    assert_int_equal(execution->sum.seconds, 4);
    assert_int_equal(execution->sum.nanoseconds, 950 * NS_PER_MS);
}

static void labels_come_back_and_tell_series_apart(void **state)
{
    struct world *world = *state;
    struct series_id id = {{0}};
    struct series series;
    world_begin(world);
    count_job(world, a_job("success", 0, 1));
    count_job(world, a_job("failure", 0, 1));
    world_commit(world);
    world_read(world);
    assert_int_equal(series_count(world->transaction, SERIES_JOB), 2);
    for (int i = 0; i < 2; i++) {
        must(world, series_seek(world->transaction, SERIES_JOB, &id, &series, &world->error));
        assert_text(series.labels[SERIES_JOB_REPOSITORY], "octo/Hello_World");
        assert_text(series.labels[SERIES_JOB_WORKFLOW], "CI");
        assert_text(series.labels[SERIES_JOB_GROUP], "Default");
        assert_text(series.labels[SERIES_JOB_LABELS], "linux");
        assert_int_equal(series.count, 1);
        assert_false(series_is_other(&series));
        series_id_increment(&id);
    }
    assert_int_equal(series_seek(world->transaction, SERIES_JOB, &id, &series, &world->error),
                     ERROR_NOT_FOUND);
}

static void the_newest_exemplar_stays_whatever_the_order(void **state)
{
    static const int orders[][3] = {{10, 20, 30}, {30, 20, 10}, {20, 30, 10}};
    for (size_t i = 0; i < sizeof orders / sizeof orders[0]; i++) {
        struct world *world = *state;
        world_begin(world);
        for (int k = 0; k < 3; k++) {
            count_job(world, a_job("success", orders[i][k] * NS_PER_MS, orders[i][k]));
            must(world, tally_flush(world->tally, &world->error));
        }
        must(world, tally_flush(world->tally, &world->error));
        world_commit(world);
        struct series series = only(world, SERIES_JOB);
        const struct series_exemplar *exemplar =
            &series.histograms[SERIES_JOB_EXECUTION].exemplars[0];
        assert_int_equal(exemplar->at, scenario_at(30));
        assert_int_equal(exemplar->value, 30 * NS_PER_MS);
        assert_int_equal(exemplar->trace.bytes[1], 30);
        world_begin(world);
        must(world, store_table_clear(world->transaction, STORE_TABLE_JOB_SERIES, &world->error));
        world_commit(world);
    }
}

static void of_two_that_ended_at_once_the_same_stays_whatever_the_order(void **state)
{
    struct world *world = *state;
    struct job_measure one = a_job("success", 1, 10);
    struct job_measure two = a_job("success", 2, 10);
    struct series_exemplar kept[2];
    two.trace.bytes[0] = 9;
    for (int i = 0; i < 2; i++) {
        world_begin(world);
        count_job(world, i == 0 ? one : two);
        count_job(world, i == 0 ? two : one);
        world_commit(world);
        struct series series = only(world, SERIES_JOB);
        kept[i] = series.histograms[SERIES_JOB_EXECUTION].exemplars[0];
        world_begin(world);
        must(world, store_table_clear(world->transaction, STORE_TABLE_JOB_SERIES, &world->error));
        world_commit(world);
    }
    assert_int_equal(kept[0].value, 2);
    assert_memory_equal(&kept[0], &kept[1], sizeof kept[0]);
}

static void steps_are_counted_by_name_and_result(void **state)
{
    struct world *world = *state;
    const struct measure_step steps[] = {
        {SLICE("build"), SLICE("success"), 1500 * NS_PER_MS},
        {SLICE("build"), SLICE("success"), 1500 * NS_PER_MS},
    };
    struct job_measure measure = a_job("success", 0, 1);
    measure.steps = steps;
    measure.step_count = 2;
    world_begin(world);
    count_job(world, measure);
    world_commit(world);
    struct series series = only(world, SERIES_STEP);
    assert_int_equal(series.count, 2);
    assert_int_equal(series.sum.seconds, 3);
    assert_int_equal(series.sum.nanoseconds, 0);
}

static void complete_runs_are_counted_and_incomplete_ones_are_not(void **state)
{
    struct world *world = *state;
    struct run_measure run = {.repository = SLICE("octo/Hello_World"),
                              .workflow = SLICE("CI"),
                              .result = SLICE("success"),
                              .start = scenario_at(0),
                              .end = scenario_at(62)};
    struct run_measure incomplete = run;
    incomplete.is_incomplete = true;
    world_begin(world);
    must(world, series_count_run(world->tally, &incomplete, &world->error));
    must(world, series_count_run(world->tally, &run, &world->error));
    world_commit(world);
    struct series series = only(world, SERIES_RUN);
    assert_int_equal(series.count, 1);
    assert_int_equal(series.histograms[0].buckets[7], 1); // le 120
    assert_int_equal(series.histograms[0].sum.seconds, 62);
}

static void beyond_the_bound_all_is_counted_under_other(void **state)
{
    struct world *world = *state;
    struct series_id id = {{0}};
    struct series series;
    uint64_t other = 0;
    uint64_t all = 0;
    for (int round = 0; round < 3; round++) {
        world_begin(world);
        for (int i = 0; i < 20; i++) {
            char result[16];
            (void)snprintf(result, sizeof result, "r%d", i);
            count_job(world, a_job(result, 0, 1));
        }
        world_commit(world);
    }
    world_read(world);
    assert_int_equal(series_count(world->transaction, SERIES_JOB), SERIES_MAX + 1);
    while (series_seek(world->transaction, SERIES_JOB, &id, &series, &world->error) == ERROR_NONE) {
        other += series_is_other(&series) ? series.count : 0;
        all += series.count;
        series_id_increment(&id);
    }
    assert_int_equal(all, 60);
    assert_int_equal(other, 3 * (20 - SERIES_MAX));
}

static void a_damaged_series_is_told(void **state)
{
    struct world *world = *state;
    struct series_id id = {{0}};
    struct series series;
    world_begin(world);
    must(world, store_table_put(world->transaction, STORE_TABLE_JOB_SERIES,
                                SLICE("1234567812345678"), SLICE("\x7f"), &world->error));
    assert_int_equal(series_seek(world->transaction, SERIES_JOB, &id, &series, &world->error),
                     ERROR_CORRUPT);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_job_is_counted_in_the_bucket_that_includes_its_length),
        TEST(transactions_add_to_each_other),
        TEST(labels_come_back_and_tell_series_apart),
        TEST(the_newest_exemplar_stays_whatever_the_order),
        TEST(of_two_that_ended_at_once_the_same_stays_whatever_the_order),
        TEST(steps_are_counted_by_name_and_result),
        TEST(complete_runs_are_counted_and_incomplete_ones_are_not),
        TEST(beyond_the_bound_all_is_counted_under_other),
        TEST(a_damaged_series_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
