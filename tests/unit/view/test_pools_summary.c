// The sentence that says what is wrong with the pools.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "ghatrace/stats/ended_jobs.h"
#include "ghatrace/view/pools_summary.h"
#include "support/engine_bench.h"

#define NOW ((timestamp_ns)1788409017 * NS_PER_SECOND) // 2026-09-03T04:16:57Z
#define AGO(seconds) (NOW - (seconds)*NS_PER_SECOND)

static struct pools_view_pool pools[5];
static struct pools_view_ceiling ceilings[3];
static const struct pools_view_oldest few = {.jobs = 9, .repositories = 2};

// A pool with one queued job, in a state since so long ago.
static struct pools_view_pool make_pool(const char *name, enum pool_state state, int seconds)
{
    return (struct pools_view_pool){.name = slice_from_string(name),
                                    .state = state,
                                    .since = state == POOL_OK ? TIMESTAMP_UNKNOWN : AGO(seconds),
                                    .waits.oldest = AGO(seconds),
                                    .pool.counts[OPEN_JOB_QUEUED] = 1,
                                    .recent.is_known = true,
                                    .ceiling_number = POOLS_VIEW_NO_CEILING};
}

static void expect_of(size_t pool_count, size_t ceiling_count,
                      const struct pools_view_oldest *oldest, enum pools_scope scope,
                      const char *text)
{
    const struct pools_view view = {pools, pool_count, ceilings, ceiling_count, *oldest};
    struct pools_summary summary;
    struct arena arena;
    arena_init(&arena, 1024);
    assert_true(pools_summary_make(&view, NOW, &arena, &summary));
    assert_int_equal(summary.scope, scope);
    if (!slice_equals(summary.text, slice_from_string(text)))
        fail_msg("\"%.*s\"", SLICE_ARGS(summary.text));
    arena_release(&arena);
}

static void expect(size_t pool_count, enum pools_scope scope, const char *text)
{
    expect_of(pool_count, 0, &few, scope, text);
}

static void no_pool_is_in_trouble_while_waits_are_short(void **state)
{
    (void)state;
    expect(0, POOLS_SCOPE_NONE, "No pool is in trouble.");
    pools[0] = make_pool("a", POOL_OK, 30);
    pools[1] = make_pool("b", POOL_WAITING, 599);
    expect(2, POOLS_SCOPE_NONE, "No pool is in trouble.");
    pools[1] = make_pool("b", POOL_WAITING, 600);
    expect(2, POOLS_SCOPE_POOL, "b is waiting since 04:06 UTC: 1 job waits, 0 run.");
}

static void one_pool_in_trouble_is_named_with_its_state_and_since_when(void **state)
{
    (void)state;
    pools[1] = make_pool("b", POOL_OK, 10);
    pools[0] = make_pool("gpu,linux", POOL_DEAD, 3600);
    pools[0].recent.last_start = AGO(4200);
    pools[0].pool.counts[OPEN_JOB_QUEUED] = 13;
    expect(2, POOLS_SCOPE_POOL,
           "gpu,linux is dead: 13 jobs wait, nothing has started since 03:06 UTC.");
    pools[0].recent.last_start = AGO(3600) - POOLS_IDLE - 1; // it was idle before
    expect(2, POOLS_SCOPE_POOL,
           "gpu,linux is dead: 13 jobs wait, nothing has started since 03:16 UTC.");
    pools[0].recent.last_start = TIMESTAMP_UNKNOWN;
    expect(2, POOLS_SCOPE_POOL, "gpu,linux is dead: 13 jobs wait, none has started in 7 days.");
    pools[0].recent.is_known = false;
    expect(2, POOLS_SCOPE_POOL, "gpu,linux is dead: 13 jobs wait, since 03:16 UTC.");
    pools[0] = make_pool("gpu", POOL_BUSY, 5 * 3600); // yesterday
    pools[0].running = 20;
    expect(2, POOLS_SCOPE_POOL, "gpu is busy since 09-02 23:16 UTC: 1 job waits, 20 run.");
    pools[0].since = TIMESTAMP_UNKNOWN;
    expect(2, POOLS_SCOPE_POOL, "gpu is busy: 1 job waits, 20 run.");
}

static void a_ceiling_is_the_cause_if_all_pools_in_trouble_are_at_one(void **state)
{
    (void)state;
    pools[0] = make_pool("a", POOL_CEILING, 700);
    pools[1] = make_pool("b", POOL_CEILING, 800);
    pools[0].ceiling = pools[1].ceiling = SLICE("hosted");
    pools[2] = make_pool("c", POOL_OK, 5);
    ceilings[0].since = AGO(900);
    ceilings[1].since = TIMESTAMP_UNKNOWN; // not reached
    ceilings[0].name = SLICE("hosted");
    ceilings[0].limit = 40;
    expect_of(
        3, 2, &few, POOLS_SCOPE_CEILING,
        "The ceiling \"hosted\" (40 jobs at once) is reached since 04:01 UTC: 2 jobs of 2 pools "
        "wait.");
    ceilings[0].is_inferred = true;
    expect_of(
        1, 2, &few, POOLS_SCOPE_CEILING,
        "The ceiling \"hosted\" (about 40 jobs at once, inferred) is reached since 04:01 UTC: 1 "
        "job waits in a.");
    ceilings[0].is_inferred = false;
    ceilings[1].since = AGO(10);
    expect_of(3, 2, &few, POOLS_SCOPE_CEILING,
              "2 ceilings are reached, the first, \"hosted\" (40 jobs at once), since 04:01 UTC: 2 "
              "jobs of 2 pools wait.");
    pools[2] = make_pool("c", POOL_DEAD, 500);
    expect_of(3, 1, &few, POOLS_SCOPE_EVERYTHING,
              "Everything waits: all 3 pools with jobs are in trouble: 1 dead, 2 held back by a "
              "ceiling; the worst is a, held back since 04:05 UTC.");
}

static void several_pools_are_counted_by_their_states(void **state)
{
    (void)state;
    pools[0] = make_pool("a", POOL_DEAD, 700);
    pools[0].recent.last_start = AGO(1200);
    pools[1] = make_pool("b", POOL_BUSY, 3600);
    pools[2] = make_pool("c", POOL_OK, 10);
    pools[3] = make_pool("d", POOL_WAITING, 650);
    pools[4] = make_pool("idle", POOL_OK, 0);
    pools[4].pool.counts[OPEN_JOB_QUEUED] = 0;
    expect(
        5, POOLS_SCOPE_POOLS,
        "3 of 4 pools with jobs are in trouble: 1 dead, 1 busy, 1 waiting; the worst is a, where "
        "nothing has started since 03:56 UTC.");
    // Of two pools "everything" says nothing.
    expect(
        2, POOLS_SCOPE_POOLS,
        "2 of 2 pools with jobs are in trouble: 1 dead, 1 busy; the worst is a, where nothing has "
        "started since 03:56 UTC.");
}

static void one_repository_with_two_thirds_of_the_oldest_jobs_fills_the_queue(void **state)
{
    struct pools_view_oldest oldest = {{SLICE_EMPTY, SLICE("acme/shop"), 8}, 12, 3, false};
    (void)state;
    pools[0] = make_pool("a", POOL_BUSY, 700);
    pools[1] = make_pool("b", POOL_BUSY, 700);
    expect_of(
        2, 0, &oldest, POOLS_SCOPE_REPOSITORY,
        "acme/shop fills 2 pools, the first since 04:05 UTC: it has 8 of the 12 queued jobs.");
    oldest.most.running = 90;
    oldest.jobs = 100;
    oldest.has_more = true;
    expect_of(
        2, 0, &oldest, POOLS_SCOPE_REPOSITORY,
        "acme/shop fills 2 pools, the first since 04:05 UTC: it has 90 of the 100 jobs that have "
        "waited longest.");
    expect_of(1, 0, &oldest, POOLS_SCOPE_REPOSITORY,
              "acme/shop fills a since 04:05 UTC: it has 90 of the 100 jobs that have waited "
              "longest.");
    pools[1].filler = (struct pools_view_filler){.repository = SLICE("Acme/Shop"),
                                                 .queued = 174,
                                                 .of = 258,
                                                 .running = 23,
                                                 .of_running = 24};
    expect_of(2, 0, &oldest, POOLS_SCOPE_REPOSITORY,
              "acme/shop fills b since 04:05 UTC: 23 of 24 running and 174 of 258 queued jobs are "
              "its.");
    pools[1].filler.of_running = 0; // not counted
    pools[1].filler.has_more = true;
    expect_of(2, 0, &oldest, POOLS_SCOPE_REPOSITORY,
              "acme/shop fills b since 04:05 UTC: 174 of the oldest 258 queued jobs are its.");
    const struct pools_view_oldest others[] = {
        {{SLICE_EMPTY, SLICE("acme/shop"), 7}, 12, 3, false},  // less than two thirds
        {{SLICE_EMPTY, SLICE("acme/shop"), 12}, 12, 1, false}, // there is no other
        {{SLICE_EMPTY, SLICE("acme/shop"), 9}, 9, 2, false}};  // few
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        expect_of(2, 0, &others[i], POOLS_SCOPE_POOLS,
                  "2 of 2 pools with jobs are in trouble: 2 busy; the worst is a, busy since 04:05 "
                  "UTC.");
    pools[1] = make_pool("b", POOL_DEAD, 700); // whoever fills it, no runner takes its jobs
    expect_of(
        2, 0, &oldest, POOLS_SCOPE_POOLS,
        "2 of 2 pools with jobs are in trouble: 1 dead, 1 busy; the worst is a, busy since 04:05 "
        "UTC.");
}

static void expect_part(const struct pools_words *words, size_t i, enum pools_part_kind kind,
                        const char *text)
{
    assert_true(i < words->count);
    assert_int_equal(words->parts[i].kind, kind);
    if (!slice_equals(words->parts[i].text, slice_from_string(text)))
        fail_msg("\"%.*s\"", SLICE_ARGS(words->parts[i].text));
}

static void names_and_times_of_the_sentence_are_parts_of_their_own(void **state)
{
    const struct pools_view view = {.pools = pools, .count = 1};
    struct pools_summary summary;
    struct arena arena;
    (void)state;
    arena_init(&arena, 1024);
    pools[0] = make_pool("a.b since 14:02", POOL_CEILING, 60);
    pools[0].ceiling = SLICE("hosted");
    assert_true(pools_summary_make(&view, NOW, &arena, &summary));
    assert_int_equal(summary.words.count, 6);
    expect_part(&summary.words, 0, POOLS_PART_POOL, "a.b since 14:02");
    expect_part(&summary.words, 1, POOLS_PART_TEXT, " is held back by the ceiling \"");
    expect_part(&summary.words, 2, POOLS_PART_CEILING, "hosted");
    expect_part(&summary.words, 3, POOLS_PART_TEXT, "\" since ");
    expect_part(&summary.words, 4, POOLS_PART_TIME, "04:15 UTC");
    assert_true(summary.words.parts[4].time == AGO(60));
    assert_true(
        slice_equals(summary.text, SLICE("a.b since 14:02 is held back by the ceiling \"hosted\" "
                                         "since 04:15 UTC: 1 job waits, 0 run.")));
    arena_release(&arena);
}

static void expect_action(const struct pools_view *view, const char *text)
{
    struct pools_summary summary;
    struct arena arena;
    arena_init(&arena, 1024);
    assert_true(pools_summary_make(view, NOW, &arena, &summary));
    if (!slice_equals(summary.action_text, slice_from_string(text)))
        fail_msg("\"%.*s\"", SLICE_ARGS(summary.action_text));
    arena_release(&arena);
}

static void expect_advice(const struct pools_view_pool *pool, const char *action, const char *more)
{
    struct pools_advice advice;
    struct slice text;
    struct arena arena;
    arena_init(&arena, 1024);
    assert_true(pools_advice_make(pool, &arena, &advice));
    assert_true(pools_words_join(&advice.action, &arena, &text));
    if (!slice_equals(text, slice_from_string(action)))
        fail_msg("\"%.*s\"", SLICE_ARGS(text));
    assert_true(pools_words_join(&advice.more, &arena, &text));
    assert_true((advice.more.count == 0) == (more[0] == '\0'));
    if (!slice_starts_with(text, slice_from_string(more)))
        fail_msg("\"%.*s\"", SLICE_ARGS(text));
    arena_release(&arena);
}

static const struct pools_view_filler monorepo = {.repository = {"acme/monorepo", 13},
                                                  .workflow = {"Rebuild", 7},
                                                  .workflow_queued = 158,
                                                  .queued = 174,
                                                  .of = 258};

static void what_to_do_first_depends_on_what_is_wrong(void **state)
{
    struct pools_view view = {
        .pools = pools, .count = 1, .ceilings = ceilings, .oldest = {.jobs = 0}};
    (void)state;
    pools[0] = make_pool("a", POOL_OK, 700);
    expect_action(&view, "");
    pools[0] = make_pool("a", POOL_DEAD, 700);
    expect_action(&view,
                  "See whether its runners are online (GitHub: Settings, Actions, Runners).");
    pools[1] = make_pool("b", POOL_BUSY, 700);
    view.count = 2;
    expect_action(&view,
                  "a: See whether its runners are online (GitHub: Settings, Actions, Runners).");
    pools[0] = make_pool("a", POOL_CEILING, 700);
    ceilings[0] = (struct pools_view_ceiling){
        .name = SLICE("hosted"), .limit = 40, .since = AGO(900), .pool_count = 1};
    view.count = view.ceiling_count = 1;
    expect_action(&view, "Cancel unneeded runs, or raise the limit at GitHub.");
    ceilings[0].most =
        (struct pools_view_filler){.repository = SLICE("acme/shop"), .queued = 31, .of = 221};
    expect_action(&view,
                  "Cancel unneeded runs (most, 31 of 221: acme/shop), or raise GitHub's limit.");
    ceilings[0].common = (struct pools_view_common){SLICE("Rebuild"), 150, 221, 38, false};
    expect_action(
        &view, "Cancel unneeded runs (150 of 221: workflow \"Rebuild\"), or raise GitHub's limit.");
    pools[0] = make_pool("a", POOL_BUSY, 700);
    pools[0].filler = monorepo;
    view.oldest = (struct pools_view_oldest){{SLICE_EMPTY, monorepo.repository, 94}, 100, 2, true};
    expect_action(&view,
                  "Cancel unneeded runs of acme/monorepo, workflow \"Rebuild\" (158 queued jobs): "
                  "https://github.com/acme/monorepo/actions");
    pools[0].filler.server = SLICE("git.example.com");
    pools[0].filler.workflow = SLICE_EMPTY;
    expect_action(&view, "Cancel unneeded runs of acme/monorepo: "
                         "https://git.example.com/acme/monorepo/actions");
}

static void no_address_is_made_of_names_that_github_does_not_allow(void **state)
{
    static const char *const servers[] = {"a/b", "a@b", "[::1]"};
    static const char *const repositories[] = {"acme/x?y", "acme", "/x", "acme/x#y", "acme/x y"};
    (void)state;
    pools[0] = make_pool("a", POOL_BUSY, 700);
    pools[0].filler = (struct pools_view_filler){.queued = 9, .of = 10};
    for (size_t i = 0; i < sizeof repositories / sizeof repositories[0]; i++) {
        char action[64];
        pools[0].filler.repository = slice_from_string(repositories[i]);
        (void)snprintf(action, sizeof action, "Cancel unneeded runs of %s.", repositories[i]);
        expect_advice(&pools[0], action, "To let fewer of its jobs");
    }
    pools[0].filler.repository = SLICE("acme/x");
    for (size_t i = 0; i < sizeof servers / sizeof servers[0]; i++) {
        pools[0].filler.server = slice_from_string(servers[i]);
        expect_advice(&pools[0], "Cancel unneeded runs of acme/x.", "To let fewer of its jobs");
    }
}

static void the_advice_names_the_repository_that_fills_a_pool_unless_it_is_dead(void **state)
{
    (void)state;
    pools[0] = make_pool("a", POOL_BUSY, 700);
    expect_advice(&pools[0], "Add runners, or cancel runs that are not needed.", "As many run as");
    pools[0].filler = monorepo;
    pools[0].filler.workflow_queued = 1;
    const char *cancel = "Cancel unneeded runs of acme/monorepo, workflow \"Rebuild\" (1 queued "
                         "job): https://github.com/acme/monorepo/actions";
    expect_advice(&pools[0], cancel, "To let fewer of its jobs run at once: concurrency groups");
    pools[0].state = POOL_CEILING;
    expect_advice(&pools[0], cancel, "To let fewer of its jobs");
    pools[0].state = POOL_DEAD;
    expect_advice(&pools[0],
                  "See whether its runners are online (GitHub: Settings, Actions, Runners).",
                  "If they are, see whether ARC's listener");
    pools[0].state = POOL_OK;
    expect_advice(&pools[0], "", "");
}

static void oldest_jobs_are_needed_only_in_trouble_without_a_dead_pool(void **state)
{
    const struct pools_view view = {.pools = pools, .count = 2};
    (void)state;
    pools[0] = make_pool("a", POOL_OK, 5);
    pools[1] = make_pool("b", POOL_OK, 5);
    assert_false(pools_summary_needs_oldest(&view, NOW));
    pools[0] = make_pool("a", POOL_BUSY, 700);
    assert_true(pools_summary_needs_oldest(&view, NOW));
    pools[1] = make_pool("b", POOL_DEAD, 700);
    assert_false(pools_summary_needs_oldest(&view, NOW));
}

// Of three pools, the one after the other; every tenth job is of another repository.
static void queue_jobs(struct engine_bench *bench, int first, int end)
{
    static const struct slice labels[][1] = {{{"a", 1}}, {{"b", 1}}, {{"c", 1}}};
    for (int i = first; i < end; i++) {
        struct scenario_delivery queued =
            scenario_job(1000 + i, GITHUB_JOB_QUEUED, i + 1, i, i, -1);
        queued.event.job.labels = labels[i % 3];
        queued.event.job.label_count = 1;
        if (i % 10 == 0)
            queued.event.repository.full_name = SLICE("octo/other");
        engine_bench_accept(bench, &queued);
    }
}

static void count_oldest(struct engine_bench *bench, struct arena *arena,
                         struct pools_view_oldest *oldest)
{
    const struct pools_view_settings settings = {.dead_after = NS_PER_HOUR};
    struct error error;
    struct view_reader reader = {.arena = arena, .error = &error};
    struct pools_view view;
    assert_int_equal(store_begin(bench->store, false, &reader.transaction, &error), ERROR_NONE);
    assert_int_equal(pools_view_load(&reader, &settings, scenario_at(900), &view), ERROR_NONE);
    assert_int_equal(view.oldest.jobs, 0);
    assert_int_equal(pools_view_count_oldest(&reader, &view), ERROR_NONE);
    *oldest = view.oldest;
    store_abort(reader.transaction);
}

static void the_oldest_queued_jobs_of_all_pools_are_counted_by_repository(void **state)
{
    struct engine_bench bench;
    struct pools_view_oldest oldest;
    struct arena arena;
    (void)state;
    engine_bench_open(&bench);
    arena_init(&arena, 4096);
    count_oldest(&bench, &arena, &oldest);
    assert_true(oldest.jobs == 0 && oldest.repositories == 0 && !oldest.has_more);
    queue_jobs(&bench, 0, POOLS_VIEW_OLDEST);
    count_oldest(&bench, &arena, &oldest);
    assert_true(oldest.jobs == POOLS_VIEW_OLDEST && !oldest.has_more);
    queue_jobs(&bench, POOLS_VIEW_OLDEST, POOLS_VIEW_OLDEST + 30); // newer ones
    count_oldest(&bench, &arena, &oldest);
    assert_true(oldest.jobs == POOLS_VIEW_OLDEST && oldest.has_more);
    assert_int_equal(oldest.repositories, 2);
    assert_int_equal(oldest.most.running, POOLS_VIEW_OLDEST * 9 / 10);
    assert_false(slice_equals(oldest.most.repository, SLICE("octo/other")));
    arena_release(&arena);
    engine_bench_close(&bench);
}

// In the pool of label "a" and in that of "b" every third job.
static void find_fillers(struct engine_bench *bench, struct arena *arena, uint64_t filler_of[2])
{
    const struct pools_view_settings settings = {.dead_after = NS_PER_HOUR};
    struct error error;
    struct view_reader reader = {.arena = arena, .error = &error};
    struct pools_view view;
    assert_int_equal(store_begin(bench->store, false, &reader.transaction, &error), ERROR_NONE);
    assert_int_equal(pools_view_load(&reader, &settings, scenario_at(900), &view), ERROR_NONE);
    assert_int_equal(view.count, 3);
    for (size_t i = 0; i < view.count; i++) {
        view.pools[i].state = slice_equals(view.pools[i].name, SLICE("c")) ? POOL_DEAD : POOL_BUSY;
        assert_int_equal(view.pools[i].filler.of, 0);
    }
    assert_int_equal(pools_view_find_fillers(&reader, &view), ERROR_NONE);
    for (size_t i = 0; i < view.count; i++) {
        const struct pools_view_pool *pool = &view.pools[i];
        if (pool->state == POOL_DEAD)
            assert_int_equal(pool->filler.of, 0);
        else
            filler_of[pool->name.data[0] - 'a'] = pool->filler.of;
    }
    store_abort(reader.transaction);
}

// Two pools at a ceiling: `jobs` of each, every fourth of a workflow of its own, the others of two repositories.
static void count_fillers(size_t jobs, struct pools_view_ceiling *ceiling,
                          struct pools_view_filler fillers[2])
{
    static const struct slice labels[][1] = {{{"a", 1}}, {{"b", 1}}};
    const struct pools_view_settings settings = {.dead_after = NS_PER_HOUR};
    const struct ended_rule rule = {scenario_at(900), NS_PER_HOUR};
    struct engine_bench bench;
    struct error error;
    struct arena arena;
    struct view_reader reader = {.arena = &arena, .error = &error};
    struct pools_view view;
    engine_bench_open(&bench);
    arena_init(&arena, 4096);
    for (int i = 0; i < (int)(2 * jobs); i++) {
        struct scenario_delivery queued =
            scenario_job(1000 + i, GITHUB_JOB_QUEUED, i + 1, i, i, -1);
        queued.event.job.labels = labels[i % 2];
        queued.event.job.label_count = 1;
        queued.event.repository.full_name = i % 8 < 6 ? SLICE("octo/shop") : SLICE("octo/site");
        queued.event.job.workflow_name = i % 4 == 0 ? SLICE("Own") : SLICE("Rebuild");
        engine_bench_accept(&bench, &queued);
    }
    assert_int_equal(store_begin(bench.store, false, &reader.transaction, &error), ERROR_NONE);
    assert_int_equal(pools_view_load(&reader, &settings, scenario_at(900), &view), ERROR_NONE);
    *ceiling = (struct pools_view_ceiling){.since = scenario_at(1), .pool_count = 2};
    view.ceilings = ceiling;
    view.ceiling_count = 1;
    for (size_t i = 0; i < view.count; i++) {
        view.pools[i].state = POOL_CEILING;
        view.pools[i].ceiling_number = 0;
    }
    assert_int_equal(pools_view_find_fillers(&reader, &view), ERROR_NONE);
    assert_int_equal(pools_view_count_fillers(&reader, &rule, &view), ERROR_NONE);
    for (size_t i = 0; i < view.count; i++)
        fillers[view.pools[i].name.data[0] - 'a'] = view.pools[i].filler;
    assert_true(slice_equals(ceiling->common.workflow, SLICE("Rebuild")));
    assert_true(slice_equals(fillers[0].repository, SLICE("octo/shop")));
    assert_true(slice_equals(fillers[0].workflow, SLICE("Own")) ||
                slice_equals(fillers[0].workflow, SLICE("Rebuild")));
    assert_true(slice_equals(ceiling->most.repository, SLICE("octo/shop")));
    ceiling->common.workflow = ceiling->most.repository = SLICE_EMPTY; // they end with the arena
    store_abort(reader.transaction);
    arena_release(&arena);
    engine_bench_close(&bench);
}

static void shares_are_of_all_queued_jobs_unless_there_are_too_many(void **state)
{
    struct pools_view_ceiling ceiling;
    struct pools_view_filler fillers[2];
    (void)state;
    count_fillers(40, &ceiling, fillers);
    assert_true(fillers[0].of == 40 && fillers[0].queued == 30 && !fillers[0].has_more);
    assert_true(fillers[1].of == 40 && fillers[1].queued == 30);
    assert_int_equal(fillers[0].workflow_queued,
                     20); // of 30 jobs of the repository 10 are of "Rebuild"
    assert_true(ceiling.common.of == 80 && ceiling.common.queued == 60);
    assert_true(ceiling.most.of == 80 && ceiling.most.queued == 60);
    assert_true(ceiling.common.repositories == 2 && !ceiling.common.has_more);
    count_fillers(POOLS_VIEW_CEILING_JOBS / 2, &ceiling, fillers);
    assert_true(ceiling.common.has_more && ceiling.common.of < POOLS_VIEW_CEILING_JOBS);
    assert_int_equal(fillers[0].of, POOLS_VIEW_CEILING_JOBS / 2);
}

static void a_repository_with_two_thirds_of_a_pools_oldest_jobs_fills_it(void **state)
{
    struct engine_bench bench;
    uint64_t filler_of[2];
    struct arena arena;
    (void)state;
    engine_bench_open(&bench);
    arena_init(&arena, 4096);
    queue_jobs(&bench, 0, 3 * (POOLS_VIEW_FILLED_LEAST - 1));
    find_fillers(&bench, &arena, filler_of);
    assert_true(filler_of[0] == 0 && filler_of[1] == 0); // too few
    queue_jobs(&bench, 3 * (POOLS_VIEW_FILLED_LEAST - 1), 3 * POOLS_VIEW_FILLED_LEAST);
    find_fillers(&bench, &arena, filler_of);
    assert_true(filler_of[0] == POOLS_VIEW_FILLED_LEAST && filler_of[1] == POOLS_VIEW_FILLED_LEAST);
    queue_jobs(&bench, 3 * POOLS_VIEW_FILLED_LEAST, 3 * POOLS_VIEW_FILLED_JOBS + 30);
    find_fillers(&bench, &arena, filler_of);
    assert_true(filler_of[0] == POOLS_VIEW_FILLED_JOBS); // the older ones
    arena_release(&arena);
    engine_bench_close(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_pool_is_in_trouble_while_waits_are_short),
        cmocka_unit_test(one_pool_in_trouble_is_named_with_its_state_and_since_when),
        cmocka_unit_test(a_ceiling_is_the_cause_if_all_pools_in_trouble_are_at_one),
        cmocka_unit_test(several_pools_are_counted_by_their_states),
        cmocka_unit_test(one_repository_with_two_thirds_of_the_oldest_jobs_fills_the_queue),
        cmocka_unit_test(the_oldest_queued_jobs_of_all_pools_are_counted_by_repository),
        cmocka_unit_test(names_and_times_of_the_sentence_are_parts_of_their_own),
        cmocka_unit_test(what_to_do_first_depends_on_what_is_wrong),
        cmocka_unit_test(no_address_is_made_of_names_that_github_does_not_allow),
        cmocka_unit_test(the_advice_names_the_repository_that_fills_a_pool_unless_it_is_dead),
        cmocka_unit_test(a_repository_with_two_thirds_of_a_pools_oldest_jobs_fills_it),
        cmocka_unit_test(shares_are_of_all_queued_jobs_unless_there_are_too_many),
        cmocka_unit_test(oldest_jobs_are_needed_only_in_trouble_without_a_dead_pool),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
