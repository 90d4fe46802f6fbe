// Pools of older figures, and of other rules: latencies and open jobs are where this version looks for them.
#include "world.h"

#include "ghatrace/base/digest.h"
#include "ghatrace/stats/latency.h"
#include "ghatrace/stats/rebuild.h"
#include "ghatrace/store/codec.h"
#include "ghatrace/trace/ids.h"
#include "support/stats_verify.h"

static const struct slice gpu_globs[] = {{"gpu-*", 5}};
static const struct pool_rule gpu_rule[] = {{{"gpu", 3}, gpu_globs, 1}};
static const struct slice run_globs[] = {{"run-*", 5}};
static const struct stats_options no_rules;
static const struct stats_options with_rules = {.rules = {gpu_rule, 1, run_globs, 1}};

static int set_up(void **state)
{
    struct world *world = test_calloc(1, sizeof *world);
    world_open(world, 0);
    world->now = scenario_at(1000);
    *state = world;
    return 0;
}

static void put(struct world *world, enum store_table table, struct slice key, struct slice value)
{
    must(world, store_table_put(world->transaction, table, key, value, &world->error));
}

// --- figures 2 ---------------------------------------------------------------------------------------------

static void put_be(uint8_t *bytes, uint64_t value, size_t size)
{
    for (size_t i = size; i-- > 0; value >>= 8)
        bytes[i] = (uint8_t)value;
}

// A pool as figures 2 had it, with a histogram of `waits` jobs in the slot of now.
static void put_old_pool(struct world *world, const char *labels, const char *group, uint64_t waits)
{
    uint8_t digest[SHA256_SIZE], row[512] = {0}, slot_key[8 + POOL_ID_SIZE];
    char names[512];
    size_t labels_len = strlen(labels), group_len = strlen(group);
    timestamp_ns slot = world->now - world->now % LATENCY_SLOT;
    struct histogram histogram = {0};
    struct buffer bytes;
    memcpy(names, labels, labels_len + 1);
    memcpy(names + labels_len + 1, group, group_len);
    digest_sha256((struct slice){names, labels_len + 1 + group_len}, digest);
    put_be(row + 8, 7, 8); // jobs queued: counted again, as 1 or 0
    put_be(row + 24, (uint64_t)world->now, 8);
    put_be(row + 32, waits > 0 ? (uint64_t)slot : 0, 8);
    put_be(row + 40, labels_len, 2);
    memcpy(row + 42, labels, labels_len);
    memcpy(row + 42 + labels_len, group, group_len);
    put(world, STORE_TABLE_POOLS, slice_of_bytes(digest, POOL_ID_SIZE),
        slice_of_bytes(row, 42 + labels_len + group_len));
    if (waits == 0)
        return;
    for (uint64_t i = 0; i < waits; i++)
        histogram_add(&histogram, (duration_ns)(i + 1) * NS_PER_SECOND);
    put_be(slot_key, (uint64_t)slot, 8);
    memcpy(slot_key + 8, digest, POOL_ID_SIZE);
    buffer_init(&bytes, 65536);
    must(world, histogram_encode(&histogram, &bytes));
    put(world, STORE_TABLE_LATENCY, slice_of_bytes(slot_key, sizeof slot_key),
        buffer_slice(&bytes));
    buffer_release(&bytes);
}

static void put_open_job(struct world *world, int64_t id, const char *label, bool is_running)
{
    const struct slice labels[] = {slice_from_string(label)};
    struct job_state job = {.phase = JOB_OPEN,
                            .run_id = id,
                            .run_attempt = 1,
                            .job_id = 1000 + id,
                            .created_at = scenario_at(1),
                            .runner_group_name = is_running ? SLICE("Default") : SLICE_EMPTY,
                            .body = {.labels = labels, .label_count = 1}};
    const struct job_key job_key = {.job_id = job.job_id};
    const struct store_key key = {.trace = trace_id_of_run(ID_SCHEME_ARC, id, 1),
                                  .span = span_id_of_job(ID_SCHEME_ARC, &job_key)};
    struct buffer bytes;
    if (is_running)
        job.body_version.rank = GITHUB_JOB_IN_PROGRESS;
    buffer_init(&bytes, 65536);
    must(world, codec_encode_job(&job, &bytes));
    must(world, store_put_span(world->transaction, &key, buffer_slice(&bytes), &world->error));
    buffer_release(&bytes);
}

static void upgrade(struct world *world, const struct stats_options *options, size_t piece)
{
    bool is_done = false;
    while (!is_done) {
        world_restart(world, options);
        world_begin(world);
        must(world, rebuild_continue(world->stats, piece, &is_done, &world->error));
        world_commit(world);
    }
}

struct expected {
    const char *labels, *groups;
    uint64_t open, waits;
};

static void assert_pools(struct world *world, const struct expected *expected,
                         size_t expected_count)
{
    for (size_t i = 0; i < expected_count; i++) {
        const char *labels = expected[i].labels;
        const struct pool *pool = world_find_pool(world, labels);
        if (pool == NULL)
            fail_msg("no pool %s", labels);
        assert_text(pool->labels, labels);
        assert_text(pool->groups, expected[i].groups);
        assert_int_equal(pool->counts[OPEN_JOB_QUEUED] + pool->counts[OPEN_JOB_RUNNING],
                         expected[i].open);
        assert_int_equal(world_read_latencies(world, labels, 0, INT64_MAX).count,
                         expected[i].waits);
    }
    world_read(world);
    assert_int_equal(pool_count(world->transaction), expected_count);
    world_end(world);
}

static void make_figures_2(struct world *world)
{
    world_begin(world);
    put_old_pool(world, "linux", "", 0);
    put_old_pool(world, "linux", "Default", 5);
    put_old_pool(world, "linux", "team, A", 2);
    put_old_pool(world, "gpu-1,run-8", "Default", 3);
    put_old_pool(world, "gpu-2", "farm", 4);
    put_old_pool(world, "gpu-3", "", 0);
    put_old_pool(world, "run-7,windows", "", 1);
    put_old_pool(world, "windows", "", 0);
    put_old_pool(world, "other", "", 6);
    put_open_job(world, 1, "linux", false);
    put_open_job(world, 2, "linux", true);
    put_open_job(world, 3, "gpu-2", false);
    put(world, STORE_TABLE_STATS, SLICE("version"), SLICE("\0\0\0\2"));
    world_commit(world);
}

static const struct expected plain[] = {
    {"linux", "Default,team\\, A", 2, 7},
    {"gpu-1,run-8", "Default", 0, 3},
    {"gpu-2", "farm", 1, 4},
    {"run-7,windows", "", 0, 1},
    {"gpu-3", "", 0, 0},
    {"windows", "", 0, 0},
    {"(one-off)", "", 0, 6},
};
static const struct expected ruled[] = {
    {"linux", "Default,team\\, A", 2, 7},
    {"gpu", "Default,farm", 1, 7},
    {"windows", "", 0, 1},
    {"(one-off)", "", 0, 6},
};

static void the_groups_of_figures_2_become_one_pool_with_all_latencies(void **state)
{
    struct world *world = *state;
    for (size_t piece = 1; piece < 4; piece++) {
        world_begin(world);
        for (int table = 0; table < STORE_TABLE_COUNT; table++)
            must(world,
                 store_table_clear(world->transaction, (enum store_table)table, &world->error));
        world_commit(world);
        make_figures_2(world);
        upgrade(world, &no_rules, piece);
        assert_pools(world, plain, sizeof plain / sizeof plain[0]);
        stats_verify(world->store);
        upgrade(world, &no_rules, piece); // a second time there is nothing to do
        assert_pools(world, plain, sizeof plain / sizeof plain[0]);
    }
}

// Before a daemon of this version has started, commands show what is there.
static void pools_of_figures_2_can_be_read_before_the_upgrade(void **state)
{
    struct world *world = *state;
    struct pool *pools;
    size_t count;
    make_figures_2(world);
    world_read(world);
    must(world, pool_list(world->transaction, &world->arena, &pools, &count, &world->error));
    assert_int_equal(count, 9);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(pools[i].counts[OPEN_JOB_QUEUED], 7);
}

// --- rules -------------------------------------------------------------------------------------------------

static void figures_2_are_converted_under_rules_at_once(void **state)
{
    struct world *world = *state;
    make_figures_2(world);
    upgrade(world, &with_rules, 1);
    assert_pools(world, ruled, sizeof ruled / sizeof ruled[0]);
}

static void assert_done(struct world *world, bool expected)
{
    bool is_done, is_done_by_rules;
    world_read(world);
    must(world, rebuild_is_done(world->transaction, &is_done, &world->error));
    must(world, rebuild_is_done_by_options(world->stats, world->transaction, &is_done_by_rules,
                                           &world->error));
    world_end(world);
    assert_true(is_done);
    assert_int_equal(is_done_by_rules, expected);
}

static void jobs_and_latencies_move_when_rules_change(void **state)
{
    struct world *world = *state;
    make_figures_2(world);
    upgrade(world, &no_rules, SIZE_MAX);
    assert_int_equal(world_find_pool(world, "gpu-2")->counts[OPEN_JOB_QUEUED], 1);
    assert_done(world, true);
    world_restart(world, &with_rules);
    assert_done(world, false);
    upgrade(world, &with_rules, 1);
    assert_done(world, true);
    assert_null(world_find_pool(world, "gpu-2"));
    assert_null(world_find_pool(world, "run-7,windows"));
    assert_true(world_find_pool(world, "gpu")->is_rule);
    assert_text(world_find_pool(world, "gpu")->groups, "Default,farm");
    assert_text(world_find_pool(world, "gpu")->asked, "gpu-1,gpu-2,gpu-3");
    assert_int_equal(world_find_pool(world, "gpu")->counts[OPEN_JOB_QUEUED], 1);
    assert_int_equal(world_count_rows(world, STORE_TABLE_OPEN_JOBS), 3);
    assert_int_equal(world_count_rows(world, STORE_TABLE_LATENCY), 4);
    // And back: open jobs return, what the rule has gathered stays under its name.
    upgrade(world, &no_rules, 1);
    assert_int_equal(world_find_pool(world, "gpu-2")->counts[OPEN_JOB_QUEUED], 1);
    assert_false(world_find_pool(world, "gpu")->is_rule);
    assert_int_equal(world_find_pool(world, "gpu")->counts[OPEN_JOB_QUEUED], 0);
    assert_int_equal(world_count_rows(world, STORE_TABLE_OPEN_JOBS), 3);
    stats_verify(world->store);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, world_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_groups_of_figures_2_become_one_pool_with_all_latencies),
        TEST(pools_of_figures_2_can_be_read_before_the_upgrade),
        TEST(figures_2_are_converted_under_rules_at_once),
        TEST(jobs_and_latencies_move_when_rules_change),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
