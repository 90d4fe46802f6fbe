// Series by chosen labels and bounds: sums go on when other labels are chosen, sets that are not used are dropped, and each
// keeps the time at which it began.
#include "world.h"

#include "ghatrace/stats/rebuild.h"
#include "ghatrace/stats/series.h"

#define HAS(label) SERIES_HAS(SERIES_##label)
#define OLD_JOB_LABELS                                                                             \
    (HAS(REPOSITORY) | HAS(WORKFLOW) | HAS(RUNNER_GROUP) | HAS(RUNNER_LABELS) | HAS(RESULT))
#define POOL_AND_RESULT (HAS(POOL) | HAS(RESULT))

static struct job_sample a_job(const char *repository, const char *labels, duration_ns execution)
{
    return (struct job_sample){.repository = slice_from_string(repository),
                               .workflow = SLICE("CI"),
                               .runner_group = SLICE("Default"),
                               .runner_labels = slice_from_string(labels),
                               .result = SLICE("success"),
                               .default_branch = SLICE("true"),
                               .queue = {true, NS_PER_SECOND},
                               .execution = {true, execution},
                               .duration = {true, execution + NS_PER_SECOND},
                               .end = SCENARIO_START};
}

static struct run_sample a_run(const char *event, const char *default_branch)
{
    return (struct run_sample){.repository = SLICE("octo/a"),
                               .workflow = SLICE("CI"),
                               .event_name = slice_from_string(event),
                               .default_branch = slice_from_string(default_branch),
                               .result = SLICE("success"),
                               .start = SCENARIO_START,
                               .end = SCENARIO_START + NS_PER_MINUTE};
}

// A daemon begins with these options, as it does at each start.
static struct stats_series_change start(struct world *world, const struct stats_options *options)
{
    struct stats_series_change change;
    bool is_done;
    world_restart(world, options);
    world_begin(world);
    must(world, rebuild_continue(world->stats, 1000, &is_done, &world->error));
    assert_true(is_done);
    stats_read_series_change(world->stats, &change);
    world_commit(world);
    world_read(world);
    must(world,
         rebuild_is_done_by_options(world->stats, world->transaction, &is_done, &world->error));
    assert_true(is_done);
    world_end(world);
    return change;
}

static void start_with_job_labels(struct world *world, unsigned labels)
{
    (void)start(world, &(struct stats_options){.series = {.labels = {[SERIES_JOB] = labels}}});
}

static void count_job(struct world *world, struct job_sample measure)
{
    world_begin(world);
    must(world, series_count_job(world->stats, &measure, &world->error));
    world_commit(world);
}

static void count_run(struct world *world, struct run_sample measure)
{
    world_begin(world);
    must(world, series_count_run(world->stats, &measure, &world->error));
    world_commit(world);
}

struct sets {
    size_t count;
    struct series list[64]; // texts in the arena
};

static struct sets *read_sets(struct world *world, enum series_kind kind)
{
    struct sets *sets = arena_allocate_array(&world->arena, 1, sizeof *sets);
    struct series_id id = {{0}};
    struct series *series = sets->list;
    world_read(world);
    while (series_seek(world->transaction, kind, &id, series, &world->error) == ERROR_NONE) {
        for (size_t i = 0; i < SERIES_LABELS; i++)
            assert_true(arena_copy_slice(&world->arena, series->labels[i], &series->labels[i]));
        assert_true(++sets->count < 64);
        series++;
        series_id_increment(&id);
    }
    assert_int_equal(store_unreadable(world->transaction), 0);
    world_end(world);
    return sets;
}

// The one whose label has this value; there must be one.
static const struct series *set_with(const struct sets *sets, enum series_label label,
                                     const char *value)
{
    const struct series *found = NULL;
    for (size_t i = 0; i < sets->count; i++)
        if (slice_equals(sets->list[i].labels[label], slice_from_string(value))) {
            assert_null(found);
            found = &sets->list[i];
        }
    assert_non_null(found);
    return found;
}

// --- labels ---------------------------------------------------------------------------------------

static void jobs_are_counted_by_the_chosen_labels_alone(void **state)
{
    struct world *world = *state;
    start_with_job_labels(world, POOL_AND_RESULT);
    count_job(world, a_job("octo/a", "X64,linux", NS_PER_SECOND));
    count_job(world, a_job("octo/b", "Linux,x64", NS_PER_SECOND));
    count_job(world, a_job("octo/c", "", NS_PER_SECOND));
    const struct sets *sets = read_sets(world, SERIES_JOB);
    assert_int_equal(sets->count, 2);
    const struct series *set = set_with(sets, SERIES_POOL, "linux,x64");
    assert_int_equal(set->count, 2);
    assert_int_equal(set->has, POOL_AND_RESULT);
    assert_text(set->labels[SERIES_RESULT], "success");
    assert_text(set->labels[SERIES_REPOSITORY], "");
    assert_int_equal(set_with(sets, SERIES_POOL, "(none)")->count, 1);
}

static void the_pool_of_a_rule_has_its_name(void **state)
{
    static const struct slice globs[] = {{"gpu-*", 5}};
    static const struct pool_rule rule = {{"GPU", 3}, globs, 1};
    struct world *world = *state;
    (void)start(world, &(struct stats_options){.rules = {&rule, 1, NULL, 0},
                                               .series.labels[SERIES_JOB] = POOL_AND_RESULT});
    count_job(world, a_job("octo/a", "gpu-1", NS_PER_SECOND));
    count_job(world, a_job("octo/a", "gpu-2,linux", NS_PER_SECOND));
    assert_int_equal(set_with(read_sets(world, SERIES_JOB), SERIES_POOL, "GPU")->count, 2);
}

static void runs_are_counted_by_event_and_default_branch(void **state)
{
    struct world *world = *state;
    (void)start(world, &(struct stats_options){.series.labels[SERIES_RUN] =
                                                   HAS(EVENT) | HAS(DEFAULT_BRANCH)});
    count_run(world, a_run("push", "true"));
    count_run(world, a_run("push", "true"));
    count_run(world, a_run("schedule", "false"));
    const struct sets *sets = read_sets(world, SERIES_RUN);
    assert_int_equal(sets->count, 2);
    assert_int_equal(set_with(sets, SERIES_EVENT, "push")->count, 2);
    assert_text(set_with(sets, SERIES_EVENT, "schedule")->labels[SERIES_DEFAULT_BRANCH], "false");
}

static void jobs_have_their_whole_duration_beside_the_phases(void **state)
{
    struct world *world = *state;
    start_with_job_labels(world, POOL_AND_RESULT);
    count_job(world, a_job("octo/a", "linux", NS_PER_MINUTE));
    const struct series *set = &read_sets(world, SERIES_JOB)->list[0];
    assert_int_equal(set->histograms[SERIES_JOB_DURATION].count, 1);
    assert_int_equal(set->histograms[SERIES_JOB_DURATION].sum.seconds, 61);
    assert_int_equal(set->histograms[SERIES_JOB_EXECUTION].sum.seconds, 60);
}

static void nothing_is_counted_of_a_kind_that_is_off(void **state)
{
    static const struct sample_step step = {{"build", 5}, {"success", 7}, NS_PER_SECOND};
    struct world *world = *state;
    struct job_sample job = a_job("octo/a", "linux", NS_PER_SECOND);
    job.steps = &step;
    job.step_count = 1;
    start_with_job_labels(world, OLD_JOB_LABELS);
    count_job(world, job);
    count_run(world, a_run("push", "true"));
    assert_int_equal(read_sets(world, SERIES_STEP)->count, 1);
    struct stats_series_change change =
        start(world, &(struct stats_options){.series.labels = {SERIES_LABELS_OFF, SERIES_LABELS_OFF,
                                                               SERIES_LABELS_OFF}});
    assert_true(change.has_other_labels);
    count_job(world, job);
    count_run(world, a_run("push", "true"));
    for (int kind = 0; kind < SERIES_KINDS; kind++)
        assert_int_equal(read_sets(world, (enum series_kind)kind)->count, 0);
}

static void jobs_of_folded_pools_have_one_set(void **state)
{
    struct world *world = *state;
    const struct latency_wait none = {.exists = false};
    (void)start(world,
                &(struct stats_options){
                    .max_pools = 3, .series.labels[SERIES_JOB] = HAS(POOL) | HAS(RUNNER_LABELS)});
    for (int i = 0; i < 30; i++) {
        char labels[16];
        (void)snprintf(labels, sizeof labels, "made-up-%d", i);
        struct job_sample job = a_job("octo/a", i % 2 == 0 ? "linux" : labels, NS_PER_SECOND);
        job.queue_end = job.end = world->now;
        world_begin(world);
        must(world, latency_count_job(world->stats, &job, &none, &world->error));
        must(world, series_count_job(world->stats, &job, &world->error));
        world_commit(world);
    }
    const struct sets *sets = read_sets(world, SERIES_JOB);
    assert_in_range(sets->count, 2, 8); // some were counted before their pool was folded
    assert_int_equal(set_with(sets, SERIES_POOL, "linux")->count, 15);
    assert_in_range(set_with(sets, SERIES_POOL, "(one-off)")->count, 8, 15);
    assert_text(set_with(sets, SERIES_POOL, "(one-off)")->labels[SERIES_RUNNER_LABELS],
                "(one-off)");
}

static void complete_job(struct world *world, const char *labels)
{
    const struct latency_wait none = {.exists = false};
    struct job_sample job = a_job("octo/a", labels, NS_PER_SECOND);
    job.queue_end = job.end = world->now;
    world_begin(world);
    must(world, latency_count_job(world->stats, &job, &none, &world->error));
    must(world, series_count_job(world->stats, &job, &world->error));
    world_commit(world);
}

// There may be more pools than sets.
static void labels_that_are_invented_do_not_displace_pools_in_use(void **state)
{
    struct world *world = *state;
    (void)start(world,
                &(struct stats_options){.max_series = 16, .series.labels[SERIES_JOB] = HAS(POOL)});
    for (int i = 0; i < 6; i++)
        complete_job(world, i % 2 == 0 ? "linux" : "gpu");
    for (int i = 0; i < 100; i++) {
        char labels[16];
        (void)snprintf(labels, sizeof labels, "made-up-%d", i);
        world->now += NS_PER_SECOND;
        complete_job(world, labels);
    }
    const struct sets *sets = read_sets(world, SERIES_JOB);
    assert_in_range(sets->count, 3, 16);
    assert_int_equal(set_with(sets, SERIES_POOL, "linux")->count, 3);
    assert_int_equal(set_with(sets, SERIES_POOL, "gpu")->count, 3);
    assert_in_range(set_with(sets, SERIES_POOL, "(one-off)")->count, 84, 100);
}

// --- what was counted by other labels -------------------------------------------------------------

static void sets_are_added_up_by_the_labels_that_remain(void **state)
{
    struct world *world = *state;
    start_with_job_labels(world, OLD_JOB_LABELS);
    timestamp_ns begun = world->now;
    count_job(world, a_job("octo/a", "linux", NS_PER_SECOND));
    world->now += NS_PER_HOUR;
    count_job(world, a_job("octo/b", "LINUX", NS_PER_MINUTE));
    count_job(world, a_job("octo/b", "gpu", NS_PER_MINUTE));
    start_with_job_labels(world, POOL_AND_RESULT);
    const struct sets *sets = read_sets(world, SERIES_JOB);
    assert_int_equal(sets->count, 2);
    const struct series *set = set_with(sets, SERIES_POOL, "linux");
    assert_int_equal(set->count, 2);
    assert_int_equal(set->histograms[SERIES_JOB_EXECUTION].sum.seconds, 61);
    assert_int_equal(set->started_at, begun);
    count_job(world, a_job("octo/c", "linux", NS_PER_SECOND)); // the same set
    assert_int_equal(set_with(read_sets(world, SERIES_JOB), SERIES_POOL, "linux")->count, 3);
}

static void labels_that_were_not_counted_by_are_empty(void **state)
{
    struct world *world = *state;
    start_with_job_labels(world, POOL_AND_RESULT);
    count_job(world, a_job("octo/a", "linux", NS_PER_SECOND));
    start_with_job_labels(world, POOL_AND_RESULT | HAS(REPOSITORY));
    count_job(world, a_job("octo/a", "linux", NS_PER_SECOND));
    const struct sets *sets = read_sets(world, SERIES_JOB);
    assert_int_equal(sets->count, 2);
    assert_int_equal(set_with(sets, SERIES_REPOSITORY, "")->count, 1);
    assert_int_equal(set_with(sets, SERIES_REPOSITORY, "octo/a")->count, 1);
}

static uint64_t jobs_in(const struct sets *sets, duration_ns *executions)
{
    uint64_t jobs = 0;
    *executions = 0;
    for (size_t i = 0; i < sets->count; i++) {
        const struct series_histogram *histogram = &sets->list[i].histograms[SERIES_JOB_EXECUTION];
        uint64_t in_buckets = 0;
        for (size_t k = 0; k < SERIES_BUCKETS; k++)
            in_buckets += histogram->buckets[k];
        assert_int_equal(in_buckets, histogram->count);
        jobs += sets->list[i].count;
        *executions += (duration_ns)histogram->sum.seconds * NS_PER_SECOND +
                       (duration_ns)histogram->sum.nanoseconds;
    }
    return jobs;
}

static uint32_t next_random(uint32_t *random)
{
    *random = *random * 1664525 + 1013904223;
    return *random >> 8;
}

// Whatever is chosen, in whatever order, with more sets than are allowed.
static void sums_over_all_sets_equal_a_naive_count_whatever_is_chosen(void **state)
{
    struct world *world = *state;
    uint32_t random = 7;
    uint64_t jobs = 0;
    duration_ns executions = 0, found;
    for (int round = 0; round < 60; round++) {
        unsigned labels = next_random(&random) & series_labels_allowed(SERIES_JOB);
        const struct stats_options options = {.max_series = 5 + next_random(&random) % 20,
                                              .series.labels[SERIES_JOB] = labels};
        (void)start(world, &options);
        assert_int_equal(jobs_in(read_sets(world, SERIES_JOB), &found), jobs);
        assert_int_equal(found, executions);
        for (int i = 0; i < 8; i++) {
            char repository[16], labels_text[16];
            (void)snprintf(repository, sizeof repository, "octo/%u", next_random(&random) % 6);
            (void)snprintf(labels_text, sizeof labels_text, "l%u", next_random(&random) % 4);
            struct job_sample job =
                a_job(repository, labels_text, (duration_ns)next_random(&random) * NS_PER_MS);
            world->now += NS_PER_SECOND;
            count_job(world, job);
            jobs++;
            executions += job.execution.length;
        }
        assert_int_equal(jobs_in(read_sets(world, SERIES_JOB), &found), jobs);
        assert_int_equal(found, executions);
    }
}

static void other_stays_other(void **state)
{
    struct world *world = *state;
    const struct stats_options many = {.max_series = 2};
    (void)start(world, &many);
    for (int i = 0; i < 5; i++) {
        char repository[16];
        (void)snprintf(repository, sizeof repository, "octo/%d", i);
        world->now += NS_PER_SECOND;
        count_job(world, a_job(repository, "linux", NS_PER_SECOND));
    }
    start_with_job_labels(world, HAS(POOL) | HAS(DEFAULT_BRANCH));
    const struct sets *sets = read_sets(world, SERIES_JOB);
    assert_int_equal(sets->count, 2);
    assert_true(series_is_other(set_with(sets, SERIES_POOL, "other")));
    assert_int_equal(set_with(sets, SERIES_POOL, "other")->count, 3);
}

// --- older versions -------------------------------------------------------------------------------

struct old_row {
    uint8_t bytes[1024];
    size_t len;
};

static void add_byte(struct old_row *row, uint8_t byte)
{
    row->bytes[row->len++] = byte;
}

static void add_histogram(struct old_row *row, uint8_t bucket, uint8_t count)
{
    const uint8_t numbers[] = {count, count, 0, 1, bucket, count, 9, 1}; // count of a second each
    memcpy(row->bytes + row->len, numbers, sizeof numbers);
    row->len += sizeof numbers;
    memset(row->bytes + row->len, 7, TRACE_ID_SIZE);
    row->len += TRACE_ID_SIZE;
}

// What an older version stored of `count` jobs. `versions`: 0 without the time of last use, 1 with it, 2 with
// assignments, too.
static void put_old_job_set(struct world *world, const char *repository, uint8_t count,
                            int versions)
{
    struct old_row row = {.len = 0};
    const char *const labels[] = {repository, "CI", "Default", "linux", "success"};
    for (size_t i = 0; i < 5; i++) {
        add_byte(&row, (uint8_t)strlen(labels[i]));
        memcpy(row.bytes + row.len, labels[i], strlen(labels[i]));
        row.len += strlen(labels[i]);
    }
    add_byte(&row, count);
    for (int i = 0; i < 2; i++)
        add_byte(&row, 0);
    for (uint8_t i = 0; i < 4; i++)
        add_histogram(&row, i, count);
    for (int shift = 56; shift >= 0 && versions > 0; shift -= 8)
        add_byte(&row, (uint8_t)((uint64_t)world->now >> shift));
    for (int i = 0; i < 8 && versions > 1; i++)
        add_byte(&row, 0);
    char key[17];
    (void)snprintf(key, sizeof key, "old-%-12.12s", repository);
    world_begin(world);
    must(world, store_table_put(world->transaction, STORE_TABLE_JOB_SERIES, (struct slice){key, 16},
                                (struct slice){(const char *)row.bytes, row.len}, &world->error));
    world_commit(world);
}

static void sets_of_older_versions_are_read_and_go_on(void **state)
{
    struct world *world = *state;
    start_with_job_labels(world, OLD_JOB_LABELS);
    world_begin(world); // as an older version leaves it
    must(world, store_table_put(world->transaction, STORE_TABLE_STATS, SLICE("version"),
                                SLICE("\0\0\0\3"), &world->error));
    must(world,
         store_table_delete(world->transaction, STORE_TABLE_STATS, SLICE("series"), &world->error));
    world_commit(world);
    for (int versions = 0; versions < 3; versions++) {
        const char *const repositories[] = {"octo/a", "octo/b", "octo/c"};
        put_old_job_set(world, repositories[versions], (uint8_t)(10 + versions), versions);
    }
    const struct sets *sets = read_sets(world, SERIES_JOB); // before a daemon converts them
    assert_int_equal(sets->count, 3);
    assert_int_equal(set_with(sets, SERIES_REPOSITORY, "octo/c")->count, 12);
    assert_int_equal(sets->list[0].started_at, TIMESTAMP_UNKNOWN);
    start_with_job_labels(world, OLD_JOB_LABELS);
    count_job(world, a_job("octo/a", "linux", NS_PER_SECOND));
    sets = read_sets(world, SERIES_JOB);
    assert_int_equal(sets->count, 3);
    const struct series *set = set_with(sets, SERIES_REPOSITORY, "octo/a");
    assert_int_equal(set->count, 11);
    assert_int_equal(set->started_at, SCENARIO_START); // since when this store counts
    assert_int_equal(set->histograms[SERIES_JOB_EXECUTION].count, 11);
    assert_int_equal(set->histograms[SERIES_JOB_EXECUTION].buckets[3], 10);
    start_with_job_labels(world, POOL_AND_RESULT);
    sets = read_sets(world, SERIES_JOB);
    assert_int_equal(sets->count, 1);
    assert_int_equal(set_with(sets, SERIES_POOL, "linux")->count, 34);
}

static void the_pools_of_the_version_before_remain(void **state)
{
    struct world *world = *state;
    const struct latency_wait none = {.exists = false};
    struct job_sample job = a_job("octo/a", "linux", NS_PER_SECOND);
    start_with_job_labels(world, OLD_JOB_LABELS);
    job.queue_end = job.end = world->now;
    world_begin(world);
    must(world, latency_count_job(world->stats, &job, &none, &world->error));
    world_commit(world);
    world_begin(world);
    must(world, store_table_put(world->transaction, STORE_TABLE_STATS, SLICE("version"),
                                SLICE("\0\0\0\3"), &world->error));
    world_commit(world);
    start_with_job_labels(world, POOL_AND_RESULT);
    assert_non_null(world_find_pool(world, "linux"));
}

// --- bounds ---------------------------------------------------------------------------------------

static const struct stats_options two_bounds = {
    .series.bounds = {.count = 2, .at = {500 * NS_PER_MS, 90 * NS_PER_SECOND}}};

static void buckets_have_the_chosen_bounds(void **state)
{
    struct world *world = *state;
    struct series_bounds bounds;
    (void)start(world, &two_bounds);
    count_job(world, a_job("octo/a", "linux", 500 * NS_PER_MS));
    count_job(world, a_job("octo/a", "linux", 500 * NS_PER_MS + 1));
    count_job(world, a_job("octo/a", "linux", NS_PER_HOUR));
    const struct series *set = &read_sets(world, SERIES_JOB)->list[0];
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(set->histograms[SERIES_JOB_EXECUTION].buckets[i], 1);
    world_read(world);
    must(world, series_read_bounds(world->transaction, &bounds, &world->error));
    world_end(world);
    assert_int_equal(bounds.count, 2);
    assert_int_equal(bounds.at[1], 90 * NS_PER_SECOND);
}

static void with_other_bounds_histograms_begin_anew_and_steps_go_on(void **state)
{
    static const struct sample_step step = {{"build", 5}, {"success", 7}, NS_PER_SECOND};
    struct world *world = *state;
    struct job_sample job = a_job("octo/a", "linux", NS_PER_SECOND);
    const struct latency_wait none = {.exists = false};
    struct pool_waits waits;
    struct pool_id id = pool_make_id(SLICE("linux"));
    job.steps = &step;
    job.step_count = 1;
    job.queue_end = job.end = world->now;
    start_with_job_labels(world, 0);
    world_begin(world);
    must(world, latency_count_job(world->stats, &job, &none, &world->error));
    world_commit(world);
    count_job(world, job);
    count_run(world, a_run("push", "true"));
    world->now += NS_PER_HOUR;
    struct stats_series_change change = start(world, &two_bounds);
    assert_true(change.has_other_bounds);
    assert_false(change.has_other_labels);
    assert_int_equal(read_sets(world, SERIES_RUN)->count, 0);
    world_read(world);
    must(world, latency_read_waits(world->transaction, &id, &waits, &world->error));
    world_end(world);
    assert_int_equal(waits.count, 0);
    count_job(world, job);
    const struct series *set = &read_sets(world, SERIES_JOB)->list[0];
    assert_int_equal(set->count, 1);
    assert_int_equal(set->started_at, world->now);
    assert_int_equal(read_sets(world, SERIES_STEP)->list[0].count, 2);
    change = start(world, &two_bounds);
    assert_false(change.has_other_bounds);
    assert_int_equal(read_sets(world, SERIES_JOB)->list[0].count, 1);
}

// --- sets that are not used -----------------------------------------------------------------------

static const struct stats_options a_week = {.series.idle = 7 * NS_PER_DAY};

static void expire(struct world *world, size_t max)
{
    struct series_place place = {.kind = SERIES_JOB};
    bool is_end = false;
    for (int i = 0; i < 1000 && !is_end; i++) {
        world_begin(world);
        must(world, series_expire(world->stats, &place, max, &is_end, &world->error));
        world_commit(world);
    }
    assert_true(is_end);
}

static void a_set_that_is_not_used_is_dropped_and_begins_at_0_if_it_comes_back(void **state)
{
    struct world *world = *state;
    (void)start(world, &a_week);
    count_job(world, a_job("octo/idle", "linux", NS_PER_SECOND));
    count_job(world, a_job("octo/used", "linux", NS_PER_SECOND));
    count_run(world, a_run("push", "true"));
    world->now += 5 * NS_PER_DAY;
    count_job(world, a_job("octo/used", "linux", NS_PER_SECOND));
    expire(world, 64);
    assert_int_equal(read_sets(world, SERIES_JOB)->count, 2);
    world->now += 2 * NS_PER_DAY + 1;
    expire(world, 1);
    const struct sets *sets = read_sets(world, SERIES_JOB);
    assert_int_equal(sets->count, 1);
    assert_int_equal(set_with(sets, SERIES_REPOSITORY, "octo/used")->count, 2);
    assert_int_equal(read_sets(world, SERIES_RUN)->count, 0);
    count_job(world, a_job("octo/idle", "linux", NS_PER_SECOND));
    sets = read_sets(world, SERIES_JOB);
    assert_int_equal(set_with(sets, SERIES_REPOSITORY, "octo/idle")->count, 1);
    assert_int_equal(set_with(sets, SERIES_REPOSITORY, "octo/idle")->started_at, world->now);
    assert_int_equal(set_with(sets, SERIES_REPOSITORY, "octo/used")->started_at, SCENARIO_START);
}

static void other_is_not_dropped(void **state)
{
    struct world *world = *state;
    (void)start(world, &(struct stats_options){.max_series = 1, .series.idle = NS_PER_DAY});
    count_job(world, a_job("octo/a", "linux", NS_PER_SECOND));
    count_job(world, a_job("octo/b", "linux", NS_PER_SECOND));
    for (int i = 0; i < 2; i++) {
        world->now += 100 * NS_PER_DAY;
        expire(world, 64);
    }
    const struct sets *sets = read_sets(world, SERIES_JOB);
    assert_int_equal(sets->count, 1);
    assert_true(series_is_other(&sets->list[0]));
    assert_int_equal(sets->list[0].count, 1);
}

static void a_set_of_a_clock_that_was_ahead_is_dropped_a_while_after_it_is_right(void **state)
{
    struct world *world = *state;
    (void)start(world, &a_week);
    world->now += 3650 * NS_PER_DAY;
    count_job(world, a_job("octo/a", "linux", NS_PER_SECOND));
    world->now -= 3650 * NS_PER_DAY;
    expire(world, 64);
    world->now += 6 * NS_PER_DAY;
    expire(world, 64);
    assert_int_equal(read_sets(world, SERIES_JOB)->count, 1);
    world->now += 2 * NS_PER_DAY;
    expire(world, 64);
    assert_int_equal(read_sets(world, SERIES_JOB)->count, 0);
}

static void without_a_limit_sets_are_kept(void **state)
{
    struct world *world = *state;
    (void)start(world, &(struct stats_options){.max_series = 0});
    count_job(world, a_job("octo/a", "linux", NS_PER_SECOND));
    world->now += 3650 * NS_PER_DAY;
    expire(world, 64);
    assert_int_equal(read_sets(world, SERIES_JOB)->count, 1);
}

static void the_start_of_a_set_outlives_a_restart(void **state)
{
    struct world *world = *state;
    (void)start(world, &a_week);
    world->now += NS_PER_MINUTE;
    timestamp_ns begun = world->now;
    count_job(world, a_job("octo/a", "linux", NS_PER_SECOND));
    world->now += NS_PER_DAY;
    (void)start(world, &a_week);
    count_job(world, a_job("octo/a", "linux", NS_PER_SECOND));
    const struct series *set = &read_sets(world, SERIES_JOB)->list[0];
    assert_int_equal(set->count, 2);
    assert_int_equal(set->started_at, begun);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, world_set_up, world_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(jobs_are_counted_by_the_chosen_labels_alone),
        TEST(the_pool_of_a_rule_has_its_name),
        TEST(runs_are_counted_by_event_and_default_branch),
        TEST(jobs_have_their_whole_duration_beside_the_phases),
        TEST(nothing_is_counted_of_a_kind_that_is_off),
        TEST(jobs_of_folded_pools_have_one_set),
        TEST(labels_that_are_invented_do_not_displace_pools_in_use),
        TEST(sets_are_added_up_by_the_labels_that_remain),
        TEST(labels_that_were_not_counted_by_are_empty),
        TEST(sums_over_all_sets_equal_a_naive_count_whatever_is_chosen),
        TEST(other_stays_other),
        TEST(sets_of_older_versions_are_read_and_go_on),
        TEST(the_pools_of_the_version_before_remain),
        TEST(buckets_have_the_chosen_bounds),
        TEST(with_other_bounds_histograms_begin_anew_and_steps_go_on),
        TEST(a_set_that_is_not_used_is_dropped_and_begins_at_0_if_it_comes_back),
        TEST(other_is_not_dropped),
        TEST(a_set_of_a_clock_that_was_ahead_is_dropped_a_while_after_it_is_right),
        TEST(without_a_limit_sets_are_kept),
        TEST(the_start_of_a_set_outlives_a_restart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
