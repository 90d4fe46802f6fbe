// Series: sums are exact to the nanosecond, and there are never more sets of labels than allowed.
#include "world.h"

#include "ghatrace/stats/series.h"

#define SERIES_MAX 5

static int set_up(void **state)
{
    struct world *world = test_calloc(1, sizeof *world);
    world_open(world, SERIES_MAX);
    *state = world;
    return 0;
}

static struct job_sample a_job(const char *result, duration_ns execution, double end)
{
    return (struct job_sample){
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

static void count_job(struct world *world, struct job_sample measure)
{
    must(world, series_count_job(world->stats, &measure, &world->error));
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
    assert_int_equal(execution->buckets[15], 1);
    assert_int_equal(execution->buckets[16], 1);
    assert_int_equal(execution->sum.seconds, 43203);
    assert_int_equal(execution->sum.nanoseconds, 0); // 1 + 999999999 carried
    assert_int_equal(series.histograms[SERIES_JOB_QUEUE].count, 4);
    assert_int_equal(series.histograms[SERIES_JOB_QUEUE].buckets[0], 4); // zero is a time too
    assert_int_equal(series.histograms[SERIES_JOB_WAITING].count, 0);
}

// Metrics of earlier versions have them: another bound would begin other series.
static void every_bound_is_as_documented_and_includes_its_value(void **state)
{
    static const int64_t seconds[] = {1,   2,   5,    10,   15,   30,   60,    120,
                                      300, 600, 1200, 1800, 3600, 7200, 14400, 21600};
    const size_t count = sizeof seconds / sizeof seconds[0];
    (void)state;
    assert_int_equal(series_bounds_before.count, count);
    for (size_t i = 0; i < count; i++) {
        duration_ns bound = seconds[i] * NS_PER_SECOND;
        assert_int_equal(series_bounds_before.at[i], bound);
        assert_int_equal(series_bucket_of(&series_bounds_before, bound - 1), i);
        assert_int_equal(series_bucket_of(&series_bounds_before, bound), i);
        assert_int_equal(series_bucket_of(&series_bounds_before, bound + 1), i + 1);
    }
    assert_int_equal(series_bucket_of(&series_bounds_before, 0), 0);
    assert_int_equal(series_bucket_of(&series_bounds_before, INT64_MAX), count);
}

static void transactions_add_up(void **state)
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

static void labels_are_read_back_and_distinguish_series(void **state)
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
        assert_text(series.labels[SERIES_REPOSITORY], "octo/Hello_World");
        assert_text(series.labels[SERIES_WORKFLOW], "CI");
        assert_text(series.labels[SERIES_RUNNER_GROUP], "Default");
        assert_text(series.labels[SERIES_RUNNER_LABELS], "linux");
        assert_int_equal(series.count, 1);
        assert_false(series_is_other(&series));
        series_id_increment(&id);
    }
    assert_int_equal(series_seek(world->transaction, SERIES_JOB, &id, &series, &world->error),
                     ERROR_NOT_FOUND);
}

static void the_newest_exemplar_is_kept_in_any_order(void **state)
{
    static const int orders[][3] = {{10, 20, 30}, {30, 20, 10}, {20, 30, 10}};
    for (size_t i = 0; i < sizeof orders / sizeof orders[0]; i++) {
        struct world *world = *state;
        world_begin(world);
        for (int k = 0; k < 3; k++) {
            count_job(world, a_job("success", orders[i][k] * NS_PER_MS, orders[i][k]));
            must(world, stats_flush(world->stats, &world->error));
        }
        must(world, stats_flush(world->stats, &world->error));
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

static void of_two_that_ended_at_once_the_same_is_kept_in_any_order(void **state)
{
    struct world *world = *state;
    struct job_sample one = a_job("success", 1, 10);
    struct job_sample two = a_job("success", 2, 10);
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
    const struct sample_step steps[] = {
        {SLICE("build"), SLICE("success"), 1500 * NS_PER_MS},
        {SLICE("build"), SLICE("success"), 1500 * NS_PER_MS},
    };
    struct job_sample measure = a_job("success", 0, 1);
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
    struct run_sample run = {.repository = SLICE("octo/Hello_World"),
                             .workflow = SLICE("CI"),
                             .result = SLICE("success"),
                             .start = scenario_at(0),
                             .end = scenario_at(62)};
    struct run_sample incomplete = run;
    incomplete.is_incomplete = true;
    world_begin(world);
    must(world, series_count_run(world->stats, &incomplete, &world->error));
    must(world, series_count_run(world->stats, &run, &world->error));
    world_commit(world);
    struct series series = only(world, SERIES_RUN);
    assert_int_equal(series.count, 1);
    assert_int_equal(series.histograms[0].buckets[7], 1); // le 120
    assert_int_equal(series.histograms[0].sum.seconds, 62);
}

static void beyond_the_bound_everything_is_counted_under_other(void **state)
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

static void count_labels(struct world *world, const char *repository, const char *labels)
{
    struct job_sample measure = a_job("success", NS_PER_SECOND, 1);
    measure.repository = slice_from_string(repository);
    measure.runner_labels = slice_from_string(labels);
    count_job(world, measure);
}

// How many jobs were counted in the set of its own that a repository has; 0: it has none.
static uint64_t count_of(struct world *world, const char *repository)
{
    struct series_id id = {{0}};
    struct series series;
    uint64_t count = 0;
    world_read(world);
    while (series_seek(world->transaction, SERIES_JOB, &id, &series, &world->error) == ERROR_NONE) {
        if (slice_equals(series.labels[SERIES_REPOSITORY], slice_from_string(repository)))
            count += series.count;
        series_id_increment(&id);
    }
    world_end(world);
    return count;
}

static void a_new_set_replaces_the_one_that_was_unused_for_longest(void **state)
{
    struct world *world = *state;
    for (int i = 0; i < 200; i++) {
        char labels[32];
        (void)snprintf(labels, sizeof labels, "run-%d", i);
        world->now += NS_PER_SECOND;
        world_begin(world);
        count_labels(world, "octo/one_set_a_run", labels);
        if (i % 3 == 0)
            count_labels(world, "octo/in_use", "linux");
        world_commit(world);
    }
    assert_int_equal(count_of(world, "octo/in_use"), 67); // it was never removed
    world->now += NS_PER_SECOND;
    world_begin(world);
    count_labels(world, "octo/later", "linux");
    world_commit(world);
    assert_int_equal(count_of(world, "octo/later"), 1);
    assert_int_equal(count_of(world, "other") + count_of(world, "octo/one_set_a_run"), 200);
}

static void a_batch_with_too_many_sets_counts_the_rest_under_other(void **state)
{
    struct world *world = *state;
    for (int round = 0; round < 3; round++) {
        world->now += NS_PER_SECOND;
        world_begin(world);
        for (int i = 0; i < 50; i++) {
            char labels[32];
            (void)snprintf(labels, sizeof labels, "run-%d-%d", round, i);
            count_labels(world, "octo/large", labels);
        }
        world_commit(world);
        world_read(world);
        assert_in_range(series_count(world->transaction, SERIES_JOB), 1, SERIES_MAX + 1);
        world_end(world);
    }
    assert_int_equal(count_of(world, "other") + count_of(world, "octo/large"), 150);
}

struct totals {
    uint64_t jobs, observations, buckets, seconds, nanoseconds;
};

static struct totals add_up(struct world *world, uint64_t *sets, uint64_t *other)
{
    struct series_id id = {{0}};
    struct series series;
    struct totals totals = {0};
    world_read(world);
    *sets = 0;
    *other = 0;
    while (series_seek(world->transaction, SERIES_JOB, &id, &series, &world->error) == ERROR_NONE) {
        for (int h = 0; h < SERIES_HISTOGRAMS_MAX; h++) {
            totals.observations += series.histograms[h].count;
            totals.seconds += series.histograms[h].sum.seconds;
            totals.nanoseconds += series.histograms[h].sum.nanoseconds;
            for (size_t b = 0; b < SERIES_BUCKETS; b++)
                totals.buckets += series.histograms[h].buckets[b];
        }
        totals.jobs += series.count;
        *other += series_is_other(&series) ? series.count : 0;
        (*sets)++;
        series_id_increment(&id);
    }
    world_end(world);
    totals.seconds += totals.nanoseconds / (uint64_t)NS_PER_SECOND;
    totals.nanoseconds %= (uint64_t)NS_PER_SECOND;
    return totals;
}

// For random input, in batches that are committed or aborted, with a clock that is set: the sums equal those of a
// naive count and never decrease, "other" never decreases, and there are no more sets than allowed.
static void the_sum_over_all_sets_equals_a_naive_count_and_never_decreases(void **state)
{
    struct world *world = *state;
    struct totals naive = {0};
    uint64_t other_before = 0;
    uint32_t random = 5;
    for (int batch = 0; batch < 400; batch++) {
        struct totals added = {0};
        uint64_t sets, other;
        random = random * 1664525 + 1013904223;
        bool is_aborted = random >> 29 == 0;
        int jobs = (int)(random >> 8) % 9;
        world->now += (int64_t)(random >> 16) % 100 * NS_PER_SECOND;
        if (batch == 100)
            world->now += 365 * NS_PER_DAY;
        if (batch == 200)
            world->now -= 365 * NS_PER_DAY;
        world_begin(world);
        for (int i = 0; i < jobs; i++) {
            char labels[32];
            random = random * 1664525 + 1013904223;
            (void)snprintf(labels, sizeof labels, "l%u", (unsigned)(random >> 10) % 12);
            struct job_sample measure = a_job("success", (random >> 8) * (int64_t)NS_PER_MS, 1);
            measure.runner_labels = slice_from_string(labels);
            count_job(world, measure);
            added.jobs++;
            added.observations += 2;
            added.seconds += (uint64_t)(measure.execution.length / NS_PER_SECOND);
            added.nanoseconds += (uint64_t)(measure.execution.length % NS_PER_SECOND);
        }
        if (is_aborted) {
            world_end(world);
        } else {
            world_commit(world);
            naive.jobs += added.jobs;
            naive.observations += added.observations;
            naive.seconds += added.seconds;
            naive.nanoseconds += added.nanoseconds;
        }
        naive.seconds += naive.nanoseconds / (uint64_t)NS_PER_SECOND;
        naive.nanoseconds %= (uint64_t)NS_PER_SECOND;
        naive.buckets = naive.observations;
        struct totals totals = add_up(world, &sets, &other);
        assert_memory_equal(&totals, &naive, sizeof naive);
        assert_true(sets <= SERIES_MAX + 1);
        assert_true(other >= other_before);
        other_before = other;
    }
    assert_true(other_before > 0);
}

static void what_is_counted_under_other_is_reported_with_an_example(void **state)
{
    struct world *world = *state;
    struct stats_overflow overflow;
    for (int i = 0; i <= SERIES_MAX; i++) {
        char labels[16];
        (void)snprintf(labels, sizeof labels, "run-%d", i);
        world_begin(world);
        count_labels(world, "octo/many", labels);
        stats_read_overflow(world->stats, &overflow);
        assert_int_equal(overflow.sets, i < SERIES_MAX ? 0 : 1);
        world_commit(world);
    }
    assert_string_equal(overflow.kind, "job");
    assert_non_null(strstr(overflow.example, "octo/many, CI, Default, run-"));
    // The eviction of a set that was unused for a day is not reported.
    world->now += 2 * NS_PER_DAY;
    world_begin(world);
    count_labels(world, "octo/many", "linux");
    stats_read_overflow(world->stats, &overflow);
    assert_int_equal(overflow.sets, 0);
    world_commit(world);
}

static void a_damaged_series_is_left_out_and_counted(void **state)
{
    struct world *world = *state;
    struct series_id id = {{0}};
    struct series series;
    world_begin(world);
    must(world, store_table_put(world->transaction, STORE_TABLE_JOB_SERIES,
                                SLICE("1234567812345678"), SLICE("\x7f"), &world->error));
    assert_int_equal(series_seek(world->transaction, SERIES_JOB, &id, &series, &world->error),
                     ERROR_NOT_FOUND);
    assert_int_equal(store_unreadable(world->transaction), 1);
}

static void damaged_series_make_room_for_new_ones(void **state)
{
    struct world *world = *state;
    for (int round = 0; round < 2; round++) {
        world->now += NS_PER_SECOND;
        world_begin(world);
        for (int i = 0; i < 30; i++) {
            char labels[32];
            (void)snprintf(labels, sizeof labels, "set-%d-%d", round, i);
            count_labels(world, "octo/many", labels);
        }
        world_commit(world);
        world_begin(world);
        // Two keys of the right length, and one that has another.
        must(world, store_table_put(world->transaction, STORE_TABLE_JOB_SERIES,
                                    SLICE("1234567812345678"), SLICE("\x7f"), &world->error));
        must(world, store_table_put(world->transaction, STORE_TABLE_JOB_SERIES,
                                    SLICE("8765432187654321"), SLICE("\x7f"), &world->error));
        must(world, store_table_put(world->transaction, STORE_TABLE_JOB_SERIES, SLICE("short"),
                                    SLICE("\x7f"), &world->error));
        world_commit(world);
    }
    world->now += NS_PER_SECOND;
    world_begin(world);
    count_labels(world, "octo/last", "linux");
    world_commit(world);
    assert_int_equal(count_of(world, "octo/last"), 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, world_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_job_is_counted_in_the_bucket_that_includes_its_length),
        TEST(every_bound_is_as_documented_and_includes_its_value),
        TEST(transactions_add_up),
        TEST(labels_are_read_back_and_distinguish_series),
        TEST(the_newest_exemplar_is_kept_in_any_order),
        TEST(of_two_that_ended_at_once_the_same_is_kept_in_any_order),
        TEST(steps_are_counted_by_name_and_result),
        TEST(complete_runs_are_counted_and_incomplete_ones_are_not),
        TEST(beyond_the_bound_everything_is_counted_under_other),
        TEST(a_new_set_replaces_the_one_that_was_unused_for_longest),
        TEST(a_batch_with_too_many_sets_counts_the_rest_under_other),
        TEST(the_sum_over_all_sets_equals_a_naive_count_and_never_decreases),
        TEST(what_is_counted_under_other_is_reported_with_an_example),
        TEST(a_damaged_series_is_left_out_and_counted),
        TEST(damaged_series_make_room_for_new_ones),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
