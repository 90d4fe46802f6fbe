// The metrics of a store: split into requests, and what is counted without being read.
#include "../stats/world.h"

#include "../../../src/export/snapshot.h"
#include "ghatrace/base/memory.h"
#include "ghatrace/otlp/json.h"
#include "ghatrace/stats/runs.h"
#include "ghatrace/stats/series.h"

#define SERIES 40

static int set_up(void **state)
{
    struct world *world = test_calloc(1, sizeof *world);
    world_open(world, 5000);
    *state = world;
    return 0;
}

static void count_jobs(struct world *world)
{
    world_begin(world);
    for (int i = 0; i < SERIES; i++) {
        char workflow[16];
        (void)snprintf(workflow, sizeof workflow, "workflow %d", i);
        const struct job_sample job = {.repository = SLICE("octo/app"),
                                       .workflow = slice_from_string(workflow),
                                       .runner_labels = SLICE("linux"),
                                       .result = SLICE("success"),
                                       .queue = {true, NS_PER_SECOND},
                                       .end = SCENARIO_START};
        must(world, series_count_job(world->stats, &job, &world->error));
    }
    world_commit(world);
}

static enum error_code take(struct world *world, size_t part_bytes, struct snapshot *snapshot)
{
    static const struct attributes resource;
    const struct snapshot_options options = {.store = world->store,
                                             .resource = &resource,
                                             .part_bytes = part_bytes,
                                             .now = SCENARIO_START + NS_PER_HOUR};
    return snapshot_take(&options, snapshot, &world->error);
}

static size_t occurrences(struct slice text, const char *wanted)
{
    size_t count = 0;
    for (;;) {
        ptrdiff_t at = slice_find(text, slice_from_string(wanted));
        if (at < 0)
            return count;
        count++;
        text.data += at + 1;
        text.len -= (size_t)at + 1;
    }
}

// In all parts, each of which must be a request.
static size_t count_in(struct world *world, const struct snapshot *snapshot, const char *wanted)
{
    size_t count = 0;
    for (size_t i = 0; i < snapshot->count; i++) {
        struct buffer json;
        buffer_init(&json, (size_t)1 << 20);
        must(world,
             otlp_json_from_metrics(buffer_slice(&snapshot->parts[i]), &json, &world->error));
        assert_int_equal(occurrences(buffer_slice(&json), "\"resourceMetrics\""), 1);
        count += occurrences(buffer_slice(&json), wanted);
        buffer_release(&json);
    }
    return count;
}

static void a_large_snapshot_is_several_requests_with_each_point_once(void **state)
{
    struct world *world = *state;
    struct snapshot whole, split;
    count_jobs(world);
    must(world, take(world, (size_t)1 << 20, &whole));
    assert_int_equal(whole.count, 1);
    assert_int_equal(count_in(world, &whole, "\"bucketCounts\""), SERIES);
    must(world, take(world, 1000, &split));
    assert_true(split.count > 5);
    assert_int_equal(count_in(world, &split, "\"bucketCounts\""), SERIES);
    assert_int_equal(count_in(world, &split, "\"asInt\""), count_in(world, &whole, "\"asInt\""));
    assert_int_equal(count_in(world, &split, "workflow 7\""), 1);
    assert_true(count_in(world, &split, "ghatrace.job.queue.duration") > 5);
    for (size_t i = 0; i < split.count; i++)
        assert_true(split.parts[i].len < 3000);
    snapshot_release(&split);
    snapshot_release(&whole);
}

static void each_series_has_the_time_at_which_it_began(void **state)
{
    struct world *world = *state;
    struct snapshot snapshot;
    char since[64];
    for (int i = 1; i <= 3; i++) {
        const struct job_sample job = {.repository = i == 3 ? SLICE("octo/1") : SLICE("octo/2"),
                                       .workflow = i == 1 ? SLICE("a") : SLICE("b"),
                                       .result = SLICE("success"),
                                       .queue = {true, NS_PER_SECOND},
                                       .end = SCENARIO_START};
        world->now = SCENARIO_START + i * NS_PER_MINUTE;
        world_begin(world);
        must(world, series_count_job(world->stats, &job, &world->error));
        must(world, series_count_job(world->stats, &job, &world->error));
        world_commit(world);
    }
    must(world, take(world, (size_t)1 << 20, &snapshot));
    for (int i = 1; i <= 3; i++) {
        (void)snprintf(since, sizeof since, "\"startTimeUnixNano\":\"%lld\"",
                       (long long)(SCENARIO_START + i * NS_PER_MINUTE));
        assert_int_equal(count_in(world, &snapshot, since), 1);
    }
    snapshot_release(&snapshot);
}

static void labels_are_attributes_if_a_series_has_them(void **state)
{
    static const struct stats_options options = {
        .series.labels = {[SERIES_JOB] = SERIES_HAS(SERIES_POOL) | SERIES_HAS(SERIES_RUNNER_LABELS),
                          [SERIES_RUN] =
                              SERIES_HAS(SERIES_EVENT) | SERIES_HAS(SERIES_DEFAULT_BRANCH)}};
    struct world *world = *state;
    struct snapshot snapshot;
    const struct run_sample run = {.event_name = SLICE("push"), .default_branch = SLICE("true")};
    world_restart(world, &options);
    count_jobs(world);
    world_begin(world);
    must(world, series_count_run(world->stats, &run, &world->error));
    world_commit(world);
    must(world, take(world, (size_t)1 << 20, &snapshot));
    assert_int_equal(count_in(world, &snapshot, "\"bucketCounts\""), 2);
    assert_int_equal(count_in(world, &snapshot, "\"ghatrace.pool\""), 1);
    assert_int_equal(count_in(world, &snapshot, "\"ghatrace.runner_labels\""), 1);
    assert_int_equal(count_in(world, &snapshot, "\"github.event_name\""), 1);
    assert_int_equal(count_in(world, &snapshot, "\"ghatrace.default_branch\""), 1);
    assert_int_equal(count_in(world, &snapshot, "\"cicd.pipeline.name\""), 0);
    snapshot_release(&snapshot);
}

static void more_parts_than_allowed_are_refused_in_a_sentence(void **state)
{
    struct world *world = *state;
    struct snapshot snapshot;
    count_jobs(world);
    world_begin(world);
    for (int i = 0; i < SNAPSHOT_PARTS_MAX; i++) {
        char repository[16];
        (void)snprintf(repository, sizeof repository, "octo/app%d", i);
        const struct job_sample job = {.repository = slice_from_string(repository),
                                       .result = SLICE("success"),
                                       .queue = {true, NS_PER_SECOND},
                                       .end = SCENARIO_START};
        must(world, series_count_job(world->stats, &job, &world->error));
    }
    world_commit(world);
    assert_int_equal(take(world, 1, &snapshot), ERROR_TOO_LARGE);
    assert_int_equal(snapshot.count, 0);
    assert_non_null(strstr(world->error.message, "metrics-max-series"));
}

static void open_runs_that_are_not_read_are_counted_as_other(void **state)
{
    struct world *world = *state;
    struct snapshot snapshot;
    world_begin(world);
    for (int i = 1; i <= 3; i++) {
        const struct stored_run run = {.run_id = i, .run_attempt = 1}; // without a state
        must(world, open_runs_put(world->stats, &run, &world->error));
    }
    world_commit(world);
    must(world, take(world, (size_t)1 << 20, &snapshot));
    assert_int_equal(count_in(world, &snapshot, "\"asInt\":\"3\""), 1);
    assert_int_equal(count_in(world, &snapshot, "\"unknown\""), 1);
    snapshot_release(&snapshot);
}

static void each_failed_allocation_is_an_error_and_leaves_nothing(void **state)
{
    struct world *world = *state;
    struct snapshot snapshot;
    size_t failures = 0;
    count_jobs(world);
    for (long n = 0;; n++) {
        memory_fail_after(n);
        enum error_code code = take(world, 1000, &snapshot);
        memory_fail_after(-1);
        if (code == ERROR_NONE)
            break;
        assert_int_equal(code, ERROR_MEMORY);
        assert_int_equal(snapshot.count, 0);
        failures++;
    }
    assert_true(failures > 20);
    snapshot_release(&snapshot);
}

static void an_empty_store_has_no_series_and_no_busy_runner(void **state)
{
    struct world *world = *state;
    struct snapshot snapshot;
    must(world, take(world, (size_t)1 << 20, &snapshot));
    assert_int_equal(snapshot.count, 1);
    assert_int_equal(count_in(world, &snapshot, "\"dataPoints\""), 1);
    assert_int_equal(count_in(world, &snapshot, "cicd.worker.count"), 1);
    snapshot_release(&snapshot);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, world_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_large_snapshot_is_several_requests_with_each_point_once),
        TEST(each_series_has_the_time_at_which_it_began),
        TEST(labels_are_attributes_if_a_series_has_them),
        TEST(more_parts_than_allowed_are_refused_in_a_sentence),
        TEST(open_runs_that_are_not_read_are_counted_as_other),
        TEST(each_failed_allocation_is_an_error_and_leaves_nothing),
        TEST(an_empty_store_has_no_series_and_no_busy_runner),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
