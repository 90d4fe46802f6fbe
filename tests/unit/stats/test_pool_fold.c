// More sets of labels than pools: which are folded, and that no job is lost or counted twice.
#include "world.h"

#include "ghatrace/base/memory.h"
#include "ghatrace/stats/series.h"
#include "support/orders.h"
#include "support/stats_verify.h"

#define POOLS_MAX 8

static const struct slice gpu_globs[] = {{"gpu-*", 5}};
static const struct pool_rule gpu_rule[] = {{{"GPU", 3}, gpu_globs, 1}};
static const struct stats_options options = {.max_pools = POOLS_MAX,
                                             .rules = {gpu_rule, 1, NULL, 0}};

static int set_up(void **state)
{
    struct world *world = test_calloc(1, sizeof *world);
    world_open_with(world, &options);
    world->now = scenario_at(100);
    *state = world;
    return 0;
}

static const struct pool_place nowhere;

static struct pool_place place_of(const struct world *world, const char *labels,
                                  enum open_job_kind open_state)
{
    char room[LABELS_TEXT_MAX];
    struct pool_choice choice;
    pool_rules_choose(stats_pool_rules(world->stats), slice_from_string(labels), room, &choice);
    return (struct pool_place){.open_state = {open_state, scenario_at(2)},
                               .labels = choice.shown,
                               .asked = choice.asked,
                               .is_rule = choice.is_rule,
                               .pool = pool_make_id(choice.shown)};
}

static struct store_key key_of(uint32_t job)
{
    struct store_key key = {.trace = {{1}}};
    memcpy(key.span.bytes, &job, sizeof job);
    return key;
}

static void move(struct world *world, uint32_t job, struct pool_place before,
                 struct pool_place after)
{
    struct store_key key = key_of(job);
    must(world, pool_move_job(world->stats, &key, &before, &after, &world->error));
}

static void queue(struct world *world, uint32_t job, const char *labels)
{
    move(world, job, nowhere, place_of(world, labels, OPEN_JOB_QUEUED));
}

static void start(struct world *world, uint32_t job, const char *labels)
{
    move(world, job, place_of(world, labels, OPEN_JOB_QUEUED),
         place_of(world, labels, OPEN_JOB_RUNNING));
}

static void finish(struct world *world, uint32_t job, const char *labels)
{
    const struct job_sample measure = {.runner_labels = slice_from_string(labels),
                                       .runner_group = SLICE("Default"),
                                       .queue = {true, 3 * NS_PER_SECOND},
                                       .execution = {true, NS_PER_SECOND},
                                       .queue_end = world->now,
                                       .end = world->now};
    move(world, job, place_of(world, labels, OPEN_JOB_RUNNING), nowhere);
    must(world,
         latency_count_job(world->stats, &measure, &(struct latency_wait){0}, &world->error));
}

static void run_whole(struct world *world, uint32_t job, const char *labels)
{
    queue(world, job, labels);
    start(world, job, labels);
    finish(world, job, labels);
}

static void settle(struct world *world, size_t max)
{
    world->now += 2 * NS_PER_SECOND;
    world_begin(world);
    must(world, pool_settle_folded(world->stats, max, &world->error));
    world_commit(world);
}

static void assert_pool(struct world *world, const char *name, int queued, int running)
{
    const struct pool *pool = world_find_pool(world, name);
    if (pool == NULL && queued >= 0)
        fail_msg("there is no pool %s", name);
    if (pool != NULL && queued < 0)
        fail_msg("there is a pool %s", name);
    if (pool == NULL)
        return;
    assert_int_equal(pool->counts[OPEN_JOB_QUEUED], queued);
    assert_int_equal(pool->counts[OPEN_JOB_RUNNING], running);
}

// The counts of all pools equal their open jobs, of which there are so many in all.
static void assert_sound(struct world *world, uint64_t open, uint64_t pools_max)
{
    struct pool *pools;
    size_t count;
    uint64_t counted = 0;
    world_read(world);
    must(world, pool_list(world->transaction, &world->arena, &pools, &count, &world->error));
    assert_true(count <= pools_max);
    for (size_t i = 0; i < count; i++)
        for (int kind = OPEN_JOB_WAITING; kind < OPEN_JOB_STATES; kind++) {
            struct pool_job job = {.since = 0};
            uint64_t found = 0;
            while (pool_seek_job(world->transaction, &pools[i].id, (enum open_job_kind)kind, &job,
                                 &world->error) == ERROR_NONE) {
                found++;
                pool_job_increment(&job);
            }
            assert_int_equal(pools[i].counts[kind], found);
            counted += found;
        }
    assert_int_equal(counted, open);
    assert_int_equal(store_table_count(world->transaction, STORE_TABLE_OPEN_JOBS), open);
    world_end(world);
    arena_clear(&world->arena);
}

static uint64_t waits_of(struct world *world, const char *name)
{
    return world_read_latencies(world, name, 0, INT64_MAX).count;
}

static const char *nth(uint32_t n)
{
    static char labels[8][24];
    static unsigned next;
    char *text = labels[next++ % 8];
    (void)snprintf(text, sizeof labels[0], "set-%u", n);
    return text;
}

// As many sets as there may be pools, each with `jobs` jobs that started and ended.
static void fill(struct world *world, uint32_t jobs)
{
    for (uint32_t set = 0; set < POOLS_MAX; set++) {
        world_begin(world);
        for (uint32_t job = 0; job < jobs; job++)
            run_whole(world, 1000 * set + job, nth(set));
        if (jobs == 0) {
            queue(world, 1000 * set, nth(set));
            move(world, 1000 * set, place_of(world, nth(set), OPEN_JOB_QUEUED), nowhere);
        }
        world_commit(world);
    }
}

// --- who is folded -----------------------------------------------------------------------------------------

static void a_set_that_starts_jobs_takes_the_place_of_one_that_does_not(void **state)
{
    struct world *world = *state;
    struct stats_overflow overflow;
    for (uint32_t set = 0; set < POOLS_MAX; set++) {
        world_begin(world);
        queue(world, set, nth(set));
        world_commit(world);
    }
    world_begin(world);
    queue(world, 100, "new");
    stats_read_overflow(world->stats, &overflow);
    assert_int_equal(overflow.folded, 1);
    assert_string_equal(overflow.folded_example, "new");
    world_commit(world);
    assert_pool(world, "new", -1, -1);
    assert_pool(world, "(one-off)", 1, 0);
    world->now += NS_PER_MINUTE;
    world_begin(world);
    start(world, 100, "new");
    world_commit(world);
    assert_pool(world, "new", 0, 1);
    assert_pool(world, "(one-off)", 1, 0); // the job of the set that was folded
    assert_sound(world, POOLS_MAX + 1, POOLS_MAX + 1);
    world_begin(world); // wherever its jobs are, they are found
    for (uint32_t set = 0; set < POOLS_MAX; set++)
        move(world, set, place_of(world, nth(set), OPEN_JOB_QUEUED), nowhere);
    world_commit(world);
    assert_pool(world, "(one-off)", 0, 0);
    assert_sound(world, 1, POOLS_MAX + 1);
}

static void the_set_with_the_fewest_started_jobs_is_folded_with_its_latencies(void **state)
{
    struct world *world = *state;
    fill(world, 5);
    world_begin(world);
    for (uint32_t set = 1; set < POOLS_MAX; set++)
        run_whole(world, 9000, nth(set)); // set-0 has the fewest
    world_commit(world);
    for (uint32_t job = 1; job <= 9; job++) {
        world->now += NS_PER_MINUTE;
        world_begin(world);
        run_whole(world, 9000 + job, "busy");
        world_commit(world);
    }
    assert_pool(world, "busy", 0, 0);
    assert_pool(world, "set-0", -1, -1);
    for (uint32_t set = 1; set < POOLS_MAX; set++)
        assert_pool(world, nth(set), 0, 0);
    assert_int_equal(waits_of(world, "(one-off)") + waits_of(world, "busy"), 5 + 9);
    assert_true(waits_of(world, "busy") > 0);
    assert_text(world_find_pool(world, "(one-off)")->groups, "Default");
    assert_sound(world, 0, POOLS_MAX + 1);
}

static void started_jobs_count_for_seven_days(void **state)
{
    struct world *world = *state;
    fill(world, 3);
    world_begin(world); // finds none that is used less
    queue(world, 9300, "probe");
    move(world, 9300, place_of(world, "probe", OPEN_JOB_QUEUED), nowhere);
    world_commit(world);
    assert_pool(world, "probe", -1, -1);
    world->now += 8 * NS_PER_DAY;
    world_begin(world);
    for (uint32_t set = 1; set < POOLS_MAX; set++)
        run_whole(world, 9000 + set, nth(set));
    queue(world, 9100, "set-0"); // in use, but nothing started there for eight days
    world_commit(world);
    world->now += NS_PER_MINUTE;
    world_begin(world);
    queue(world, 9200, "new");
    start(world, 9200, "new");
    world_commit(world);
    assert_pool(world, "new", 0, 1);
    assert_pool(world, "set-0", -1, -1);
    assert_sound(world, 2, POOLS_MAX + 1);
}

static void what_a_rule_names_is_never_folded_and_always_there(void **state)
{
    struct world *world = *state;
    world_begin(world);
    queue(world, 1, "gpu-1");
    world_commit(world);
    fill(world, 3);
    world_begin(world);
    queue(world, 2, "gpu-2");
    world_commit(world);
    assert_pool(world, "gpu", 2, 0);
    assert_text(world_find_pool(world, "GPU")->labels, "GPU");
    assert_text(world_find_pool(world, "GPU")->asked, "gpu-1,gpu-2");
    // The same if it comes last.
    world_begin(world);
    move(world, 1, place_of(world, "gpu-1", OPEN_JOB_QUEUED), nowhere);
    move(world, 2, place_of(world, "gpu-2", OPEN_JOB_QUEUED), nowhere);
    must(world, store_table_clear(world->transaction, STORE_TABLE_POOLS, &world->error));
    world_commit(world);
    fill(world, 3);
    world->now += NS_PER_MINUTE;
    world_begin(world);
    queue(world, 3, "gpu-3,linux");
    world_commit(world);
    assert_pool(world, "GPU", 1, 0);
    assert_sound(world, 1, POOLS_MAX + 1);
}

// What does not fit into the text of labels is met again with each job.
static void many_labels_in_a_pool_of_a_rule_cost_little_memory(void **state)
{
    struct world *world = *state;
    world_begin(world);
    memory_fail_after(-1);
    for (uint32_t job = 0; job < 100; job++) {
        char labels[LABELS_TEXT_MAX] = "gpu-1";
        size_t len = strlen(labels);
        for (unsigned i = 0; i < 50; i++)
            len += (size_t)snprintf(labels + len, sizeof labels - len, ",%x", 256 + job * 32 + i);
        queue(world, job, labels);
    }
    assert_in_range(memory_count_allocations(), 0, 100);
    world_commit(world);
    assert_pool(world, "GPU", 100, 0);
}

// --- and comes back ----------------------------------------------------------------------------------------

static void jobs_of_a_set_that_comes_back_come_back_too(void **state)
{
    struct world *world = *state;
    for (uint32_t set = 0; set < POOLS_MAX; set++) {
        world_begin(world);
        queue(world, set, nth(set));
        world_commit(world);
    }
    world_begin(world);
    for (uint32_t job = 100; job < 140; job++)
        queue(world, job, "real");
    queue(world, 140, "junk");
    world_commit(world);
    assert_pool(world, "(one-off)", 41, 0);
    world->now += NS_PER_MINUTE;
    world_begin(world);
    start(world, 100, "real");
    world_commit(world);
    assert_pool(world, "real", 0, 1);
    settle(world, 10);
    assert_sound(world, POOLS_MAX + 41, POOLS_MAX + 1);
    for (int i = 0; i < 10; i++)
        settle(world, 10);
    assert_pool(world, "real", 39, 1);
    assert_pool(world, "(one-off)", 2, 0); // the junk, and the set whose place was taken
    assert_sound(world, POOLS_MAX + 41, POOLS_MAX + 1);
    world_restart(world, &options);
    settle(world, 100);
    assert_pool(world, "real", 39, 1);
    world_begin(world);
    for (uint32_t job = 101; job < 140; job++)
        start(world, job, "real");
    world_commit(world);
    assert_pool(world, "real", 0, 40);
    assert_sound(world, POOLS_MAX + 41, POOLS_MAX + 1);
}

static void a_lower_limit_folds_what_is_beyond_it(void **state)
{
    struct world *world = *state;
    const struct stats_options fewer = {.max_pools = 3, .rules = options.rules};
    fill(world, 2);
    world_begin(world);
    run_whole(world, 9000, "set-5");
    run_whole(world, 9001, "set-6");
    queue(world, 9002, "gpu-1");
    world_commit(world);
    world_restart(world, &fewer);
    for (int i = 0; i < 4; i++)
        settle(world, 100);
    assert_sound(world, 1, 4);
    assert_pool(world, "set-5", 0, 0);
    assert_pool(world, "set-6", 0, 0);
    assert_pool(world, "gpu", 1, 0);
    assert_int_equal(waits_of(world, "(one-off)"), 2 * POOLS_MAX - 4);
}

// --- floods ------------------------------------------------------------------------------------------------

static void pools_are_not_folded_because_of_repositories_or_workflows(void **state)
{
    static const char *const pools[] = {"linux,x64", "windows", "a100,gpu-large"};
    struct world *world = *state;
    const struct stats_options usual = {.max_series = 1000};
    struct stats_overflow overflow;
    uint64_t displaced = 0;
    world_restart(world, &usual);
    for (uint32_t i = 0; i < 1800; i++) {
        char repository[32], workflow[16];
        (void)snprintf(repository, sizeof repository, "acme/r%u", i / 6);
        (void)snprintf(workflow, sizeof workflow, "w%u", i / 3 % 2);
        const struct job_sample measure = {.repository = slice_from_string(repository),
                                           .workflow = slice_from_string(workflow),
                                           .runner_group = SLICE("Default"),
                                           .runner_labels = slice_from_string(pools[i % 3]),
                                           .result = SLICE("success"),
                                           .queue = {true, NS_PER_SECOND},
                                           .execution = {true, NS_PER_SECOND},
                                           .queue_end = world->now,
                                           .end = world->now};
        world_begin(world);
        queue(world, i, pools[i % 3]);
        start(world, i, pools[i % 3]);
        if (i >= 900) { // the others are open in the end
            move(world, i, place_of(world, pools[i % 3], OPEN_JOB_RUNNING), nowhere);
            must(world, latency_count_job(world->stats, &measure, &(struct latency_wait){0},
                                          &world->error));
        }
        must(world, series_count_job(world->stats, &measure, &world->error));
        stats_read_overflow(world->stats, &overflow);
        displaced += overflow.sets;
        assert_int_equal(overflow.folded, 0);
        world_commit(world);
    }
    assert_int_equal(displaced, 800);
    for (size_t i = 0; i < 3; i++) {
        assert_pool(world, pools[i], 0, 300);
        assert_int_equal(waits_of(world, pools[i]), 300);
    }
    assert_sound(world, 900, 3);
}

// Sets of one job each, some of which start, between the jobs of pools that are in use.
static void invented_labels_leave_pools_in_use_alone(void **state)
{
    static const char *const real[] = {"linux", "windows", "macos", "gpu-large"};
    struct world *world = *state;
    uint32_t seed = 7, waiting = 0;
    for (uint32_t i = 0; i < 4000; i++) {
        world->now += NS_PER_SECOND / 4;
        world_begin(world);
        queue(world, 2 * i, nth(i + 1000));
        if (next_random(&seed) % 2 == 0) {
            start(world, 2 * i, nth(i + 1000));
            finish(world, 2 * i, nth(i + 1000));
        } else {
            waiting++;
        }
        run_whole(world, 2 * i + 1, real[i % 4]);
        must(world, pool_settle_folded(world->stats, 64, &world->error));
        world_commit(world);
        if (i % 500 == 0)
            assert_sound(world, waiting, POOLS_MAX + 1);
        if (i % 1000 == 999)
            world_restart(world, &options);
    }
    for (size_t i = 0; i < 3; i++) {
        assert_pool(world, real[i], 0, 0);
        assert_int_equal(waits_of(world, real[i]), 1000);
    }
    assert_int_equal(waits_of(world, "gpu"), 1000);
    assert_sound(world, waiting, POOLS_MAX + 1);
}

// A set that comes late, when all places are taken by sets with one started job each, gets one.
static void a_late_set_that_is_used_gets_its_pool(void **state)
{
    struct world *world = *state;
    for (uint32_t i = 0; i < 300; i++) {
        world_begin(world);
        run_whole(world, i, nth(i));
        world_commit(world);
        world->now += NS_PER_SECOND;
    }
    for (uint32_t i = 1000; i < 1020; i++) {
        world_begin(world);
        run_whole(world, i, "late");
        world_commit(world);
        world->now += NS_PER_SECOND;
    }
    assert_pool(world, "late", 0, 0);
    assert_true(waits_of(world, "late") >= 15);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, world_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_set_that_starts_jobs_takes_the_place_of_one_that_does_not),
        TEST(the_set_with_the_fewest_started_jobs_is_folded_with_its_latencies),
        TEST(started_jobs_count_for_seven_days),
        TEST(what_a_rule_names_is_never_folded_and_always_there),
        TEST(many_labels_in_a_pool_of_a_rule_cost_little_memory),
        TEST(jobs_of_a_set_that_comes_back_come_back_too),
        TEST(a_lower_limit_folds_what_is_beyond_it),
        TEST(pools_are_not_folded_because_of_repositories_or_workflows),
        TEST(invented_labels_leave_pools_in_use_alone),
        TEST(a_late_set_that_is_used_gets_its_pool),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
