// Tables rebuilt from the states, a piece at a time, while states change, transactions fail and the program restarts.
#include "world.h"

#include "ghatrace/stats/pool_minutes.h"
#include "ghatrace/stats/rebuild.h"
#include "ghatrace/stats/runs.h"
#include "ghatrace/stats/series.h"
#include "ghatrace/store/codec.h"
#include "ghatrace/trace/ids.h"
#include "support/stats_verify.h"

#define SMALL_MAP_BYTES ((uint64_t)2 << 20)
#define JOBS 60
#define RUNS 20

struct rebuilding {
    struct world world;
    struct job_state jobs[JOBS];
    struct run_state runs[RUNS];
};

static int set_up(void **state)
{
    struct rebuilding *rebuilding = test_calloc(1, sizeof *rebuilding);
    world_open(&rebuilding->world, 0);
    *state = rebuilding;
    return 0;
}

static int tear_down(void **state)
{
    struct rebuilding *rebuilding = *state;
    world_close(&rebuilding->world);
    test_free(rebuilding);
    return 0;
}

static uint32_t next_random(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

static struct store_key run_key(const struct run_state *run)
{
    return (struct store_key){.trace =
                                  trace_id_of_run(ID_SCHEME_ARC, run->run_id, run->run_attempt),
                              .span = span_id_of_run(ID_SCHEME_ARC, run->run_id, run->run_attempt)};
}

static struct store_key job_key(const struct job_state *job)
{
    const struct job_key key = {.job_id = job->job_id};
    return (struct store_key){.trace =
                                  trace_id_of_run(ID_SCHEME_ARC, job->run_id, job->run_attempt),
                              .span = span_id_of_job(ID_SCHEME_ARC, &key)};
}

// --- states, and how they change ---------------------------------------------------------------------------

static void change_job(struct job_state *job, int64_t id, uint32_t *seed)
{
    static const struct slice labels[][2] = {{{"linux", 5}, {"x64", 3}},
                                             {{"windows", 7}, {"gpu", 3}}};
    static const enum job_phase phases[] = {
        JOB_OPEN, JOB_OPEN, JOB_OPEN, JOB_SETTLING, JOB_CLOSED_INCOMPLETE, JOB_CLOSED_LACKING};
    job->run_id = 1 + id / (JOBS / RUNS); // adjacent ids, so that the cursor is exactly at one
    job->run_attempt = 1;
    job->job_id = 1000 + id;
    job->phase = phases[next_random(seed) % 6];
    job->closed_at = job->phase == JOB_OPEN ? TIMESTAMP_UNKNOWN : scenario_at(100);
    job->created_at = scenario_at(next_random(seed) % 100);
    job->last_queued = scenario_at(next_random(seed) % 100);
    job->last_waiting = next_random(seed) % 3 == 0 ? scenario_at(next_random(seed) % 100) : 0;
    job->body_version.rank = (uint8_t)(next_random(seed) % 3);
    job->body.labels = labels[next_random(seed) % 2];
    job->body.label_count = next_random(seed) % 3;
    job->runner_group_name = next_random(seed) % 2 == 0 ? SLICE_EMPTY : SLICE("Default");
}

static void change_run(struct run_state *run, int64_t id, uint32_t *seed)
{
    run->run_id = 1 + id;
    run->run_attempt = 1;
    run->phase = next_random(seed) % 2 == 0 ? RUN_OPEN : RUN_SENT;
}

static void store_job(struct world *world, const struct job_state *job)
{
    struct buffer bytes;
    struct store_key key = job_key(job);
    buffer_init(&bytes, 65536);
    must(world, codec_encode_job(job, &bytes));
    must(world, store_put_span(world->transaction, &key, buffer_slice(&bytes), &world->error));
    buffer_release(&bytes);
}

static void store_run(struct world *world, const struct run_state *run)
{
    struct buffer bytes;
    struct store_key key = run_key(run);
    buffer_init(&bytes, 65536);
    must(world, codec_encode_run(run, &bytes));
    must(world, store_put_span(world->transaction, &key, buffer_slice(&bytes), &world->error));
    buffer_release(&bytes);
}

// States from before there were figures.
static void store_all(struct rebuilding *rebuilding, uint32_t *seed)
{
    struct world *world = &rebuilding->world;
    world_begin(world);
    for (int64_t i = 0; i < JOBS; i++) {
        change_job(&rebuilding->jobs[i], i, seed);
        store_job(world, &rebuilding->jobs[i]);
    }
    for (int64_t i = 0; i < RUNS; i++) {
        change_run(&rebuilding->runs[i], i, seed);
        store_run(world, &rebuilding->runs[i]);
    }
    world_commit(world);
}

// As the engine does it.
static void apply_job(struct world *world, const struct job_state *before,
                      const struct job_state *after)
{
    struct pool_place from;
    struct pool_place to;
    struct job_times was, is;
    struct store_key key = job_key(after);
    must(world, pool_place_job(NULL, before, &world->arena, &from));
    must(world, pool_place_job(NULL, after, &world->arena, &to));
    must(world, pool_move_job(world->stats, &key, &from, &to, &world->error));
    must(world, job_times_of_state(before, &world->arena, &was));
    must(world, job_times_of_state(after, &world->arena, &is));
    must(world, pool_minutes_change(world->stats, &key, &was, &is, &world->error));
    store_job(world, after);
}

static void apply_run(struct world *world, const struct run_state *before,
                      const struct run_state *after)
{
    const struct stored_run run = stored_run_of(after->server, after->run_id, after->run_attempt);
    if (before->phase != RUN_OPEN && after->phase == RUN_OPEN)
        must(world, open_runs_put(world->stats, &run, &world->error));
    if (before->phase == RUN_OPEN && after->phase != RUN_OPEN)
        must(world, open_runs_delete(world->stats, &run, &world->error));
    store_run(world, after);
}

static void change_some(struct rebuilding *rebuilding, struct rebuilding *changed, uint32_t *seed)
{
    memcpy(changed->jobs, rebuilding->jobs, sizeof changed->jobs);
    memcpy(changed->runs, rebuilding->runs, sizeof changed->runs);
    for (int i = 0; i < 3; i++) {
        size_t job = next_random(seed) % JOBS;
        size_t run = next_random(seed) % RUNS;
        struct job_state old_job = changed->jobs[job];
        struct run_state old_run = changed->runs[run];
        change_job(&changed->jobs[job], (int64_t)job, seed);
        change_run(&changed->runs[run], (int64_t)run, seed);
        apply_job(&rebuilding->world, &old_job, &changed->jobs[job]);
        apply_run(&rebuilding->world, &old_run, &changed->runs[run]);
    }
}

// --- tests -------------------------------------------------------------------------------------------------

static void a_rebuild_in_one_transaction_includes_all_states(void **state)
{
    struct rebuilding *rebuilding = *state;
    struct world *world = &rebuilding->world;
    uint32_t seed = 1;
    bool is_done;
    store_all(rebuilding, &seed);
    world_begin(world);
    must(world, rebuild_is_done(world->transaction, &is_done, &world->error));
    assert_false(is_done);
    must(world, rebuild_continue(world->stats, SIZE_MAX, &is_done, &world->error));
    assert_true(is_done);
    world_commit(world);
    stats_verify(world->store);
    world_read(world);
    assert_true(pool_count(world->transaction) > 2 && open_runs_count(world->transaction) > 2);
}

static void restart(struct world *world)
{
    world_restart(world, &(struct stats_options){.max_series = 0, .max_pools = 0});
}

static void changes_aborts_and_restarts_meanwhile_make_no_difference(void **state)
{
    struct rebuilding *rebuilding = *state;
    struct world *world = &rebuilding->world;
    struct rebuilding *changed = test_calloc(1, sizeof *changed);
    for (uint32_t round = 1; round <= 40; round++) {
        uint32_t seed = round;
        bool is_done = false;
        int pieces = 0;
        world_begin(world);
        must(world, store_table_clear(world->transaction, STORE_TABLE_STATS, &world->error));
        world_commit(world);
        store_all(rebuilding, &seed);
        while (!is_done) {
            bool is_aborted = next_random(&seed) % 4 == 0;
            if (next_random(&seed) % 4 == 0)
                restart(world);
            world_begin(world);
            must(world,
                 rebuild_continue(world->stats, next_random(&seed) % 6, &is_done, &world->error));
            change_some(rebuilding, changed, &seed);
            pieces++;
            if (is_aborted) {
                world_end(world);
                is_done = false;
                continue;
            }
            world_commit(world);
            memcpy(rebuilding->jobs, changed->jobs, sizeof changed->jobs);
            memcpy(rebuilding->runs, changed->runs, sizeof changed->runs);
        }
        assert_true(pieces > 10);
        stats_verify(world->store);
        stats_verify_minutes(world->store);
    }
    test_free(changed);
}

static void tables_of_another_version_are_rebuilt(void **state)
{
    struct rebuilding *rebuilding = *state;
    struct world *world = &rebuilding->world;
    const struct job_sample measure = {.result = SLICE("success")};
    uint32_t seed = 1;
    bool is_done;
    store_all(rebuilding, &seed);
    world_begin(world);
    must(world, rebuild_continue(world->stats, SIZE_MAX, &is_done, &world->error));
    must(world, series_count_job(world->stats, &measure, &world->error));
    must(world, stats_flush(world->stats, &world->error));
    must(world, store_table_put(world->transaction, STORE_TABLE_QUARANTINE,
                                SLICE("\0\0\0\0\0\0\0\1"), SLICE("not a figure"), &world->error));
    must(world, store_table_put(world->transaction, STORE_TABLE_STATS, SLICE("version"),
                                SLICE("\0\0\0\x7f"), &world->error));
    world_commit(world);
    world_begin(world);
    must(world, rebuild_is_done(world->transaction, &is_done, &world->error));
    assert_false(is_done);
    must(world, rebuild_continue(world->stats, SIZE_MAX, &is_done, &world->error));
    assert_int_equal(series_count(world->transaction, SERIES_JOB), 0);
    assert_int_equal(store_table_count(world->transaction, STORE_TABLE_QUARANTINE), 1);
    world_commit(world);
    stats_verify(world->store);
}

static timestamp_ns read_since(struct world *world)
{
    timestamp_ns since;
    must(world, series_since(world->transaction, &since, &world->error));
    return since;
}

static void the_start_of_the_counts_is_stored_once(void **state)
{
    struct rebuilding *rebuilding = *state;
    struct world *world = &rebuilding->world;
    bool is_done;
    world_begin(world);
    assert_int_equal(read_since(world), TIMESTAMP_UNKNOWN);
    must(world, rebuild_continue(world->stats, SIZE_MAX, &is_done, &world->error));
    assert_int_equal(read_since(world), SCENARIO_START);
    world_commit(world);
    world->now += NS_PER_HOUR;
    restart(world);
    world_begin(world);
    must(world, rebuild_is_done(world->transaction, &is_done, &world->error));
    assert_true(is_done);
    must(world, rebuild_continue(world->stats, SIZE_MAX, &is_done, &world->error));
    assert_int_equal(read_since(world), SCENARIO_START);
    world_commit(world);
}

static void a_store_that_lacks_it_is_counted_from_its_oldest_observation(void **state)
{
    struct rebuilding *rebuilding = *state;
    struct world *world = &rebuilding->world;
    const struct job_sample job = {.result = SLICE("success"),
                                   .queue = {true, NS_PER_MINUTE},
                                   .end = SCENARIO_START - 2 * NS_PER_HOUR};
    const struct run_sample earlier = {.result = SLICE("success"),
                                       .start = SCENARIO_START - 4 * NS_PER_HOUR,
                                       .end = SCENARIO_START - 3 * NS_PER_HOUR};
    bool is_done;
    world_begin(world);
    must(world, rebuild_continue(world->stats, SIZE_MAX, &is_done, &world->error));
    must(world, series_count_job(world->stats, &job, &world->error));
    must(world, series_count_run(world->stats, &earlier, &world->error));
    must(world, stats_flush(world->stats, &world->error));
    must(world,
         store_table_delete(world->transaction, STORE_TABLE_STATS, SLICE("since"), &world->error));
    world_commit(world);
    world_begin(world);
    must(world, rebuild_is_done(world->transaction, &is_done, &world->error));
    assert_false(is_done);
    must(world, rebuild_continue(world->stats, SIZE_MAX, &is_done, &world->error));
    assert_true(is_done);
    assert_int_equal(read_since(world), earlier.end);
    assert_int_equal(series_count(world->transaction, SERIES_JOB), 1);
    world_commit(world);
}

static void fill_until_tight(struct world *world)
{
    static const char block[3000];
    for (uint64_t i = 0; !store_is_tight(world->transaction); i++)
        must(world, store_table_put(world->transaction, STORE_TABLE_QUARANTINE,
                                    (struct slice){(const char *)&i, sizeof i},
                                    (struct slice){block, sizeof block}, &world->error));
}

static void it_is_not_stored_while_the_store_is_tight(void **state)
{
    struct rebuilding *rebuilding = *state;
    struct world *world = &rebuilding->world;
    bool is_done;
    store_close(world->store);
    must(world, store_open(world->folder.path, STORE_DAEMON, SMALL_MAP_BYTES, &world->store,
                           &world->error));
    world_begin(world);
    must(world, rebuild_continue(world->stats, SIZE_MAX, &is_done, &world->error));
    must(world,
         store_table_delete(world->transaction, STORE_TABLE_STATS, SLICE("since"), &world->error));
    fill_until_tight(world);
    world_commit(world);
    world_begin(world);
    must(world, rebuild_continue(world->stats, SIZE_MAX, &is_done, &world->error));
    assert_true(is_done);
    assert_int_equal(read_since(world), TIMESTAMP_UNKNOWN);
    world_commit(world);
}

static void complete_tables_are_left_unchanged(void **state)
{
    struct rebuilding *rebuilding = *state;
    struct world *world = &rebuilding->world;
    uint32_t seed = 1;
    bool is_done;
    store_all(rebuilding, &seed);
    for (int i = 0; i < 2; i++) {
        world_begin(world);
        must(world, rebuild_continue(world->stats, SIZE_MAX, &is_done, &world->error));
        assert_true(is_done);
        world_commit(world);
    }
    stats_verify(world->store); // nothing is listed twice
}

// --- the list of finished runs by their ends ---------------------------------------------------------------

#define ENDED_RUNS 60

static void finish_run(struct world *world, uint8_t number, uint32_t *seed)
{
    const struct recent_place place = {.at = world->now + (timestamp_ns)(next_random(seed) % 1000),
                                       .trace = {{number}}};
    const struct run_sample measure = {.run_id = number,
                                       .end = scenario_at((double)(next_random(seed) % 500))};
    must(world, recent_put(world->stats, &place, &measure, &world->error));
}

// As a version that does not have it leaves it: empty, or with other runs than are finished.
static void forget_ends(struct world *world, bool is_part)
{
    struct store_entry entry;
    if (!is_part)
        must(world, store_table_clear(world->transaction, STORE_TABLE_ENDED_RUNS, &world->error));
    else if (store_table_seek(world->transaction, STORE_TABLE_ENDED_RUNS, SLICE_EMPTY, &entry,
                              &world->error) == ERROR_NONE)
        must(world, store_table_delete(world->transaction, STORE_TABLE_ENDED_RUNS, entry.key,
                                       &world->error));
}

static void an_older_store_gets_the_ends_of_its_runs_while_runs_end(void **state)
{
    struct rebuilding *rebuilding = *state;
    struct world *world = &rebuilding->world;
    for (uint32_t round = 1; round <= 20; round++) {
        uint32_t seed = round;
        size_t dropped;
        bool is_done = false;
        world_begin(world);
        must(world, rebuild_continue(world->stats, SIZE_MAX, &is_done, &world->error));
        for (uint8_t i = 1; i <= ENDED_RUNS; i++)
            finish_run(world, i, &seed);
        forget_ends(world, round % 2 == 0);
        world_commit(world);
        world_begin(world);
        must(world, rebuild_is_done(world->transaction, &is_done, &world->error));
        assert_false(is_done);
        world_end(world);
        while (!is_done) {
            bool is_aborted = next_random(&seed) % 4 == 0;
            world_begin(world);
            must(world,
                 rebuild_continue(world->stats, next_random(&seed) % 9, &is_done, &world->error));
            finish_run(world, (uint8_t)(1 + next_random(&seed) % (2 * ENDED_RUNS)), &seed);
            must(world,
                 recent_expire(world->transaction, world->now + 100, 1, &dropped, &world->error));
            if (is_aborted)
                world_end(world);
            else
                world_commit(world);
            is_done = is_done && !is_aborted;
        }
        stats_verify(world->store);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_rebuild_in_one_transaction_includes_all_states),
        TEST(changes_aborts_and_restarts_meanwhile_make_no_difference),
        TEST(tables_of_another_version_are_rebuilt),
        TEST(the_start_of_the_counts_is_stored_once),
        TEST(a_store_that_lacks_it_is_counted_from_its_oldest_observation),
        TEST(it_is_not_stored_while_the_store_is_tight),
        TEST(complete_tables_are_left_unchanged),
        TEST(an_older_store_gets_the_ends_of_its_runs_while_runs_end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
