// What commands read from answers of the API gives the same text as the store; answers that are no answers are refused.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../../src/admin/api.h"
#include "ghatrace/term/answers.h"
#include "ghatrace/term/waterfall.h"
#include "support/engine_bench.h"

#define RUNS 12
#define JOBS 7 // of each
#define AT 400 // seconds after the scenario's start

struct fixture {
    struct engine_bench bench;
    struct view_sources sources;
    struct arena arena;
    struct buffer json;     // the last answer
    struct buffer of_store; // texts
    struct buffer of_answer;
    struct error error;
    timestamp_ns now;
};

static int set_up(void **state)
{
    static struct fixture fixture;
    fixture = (struct fixture){.now = scenario_at(AT)};
    engine_bench_open(&fixture.bench);
    fixture.sources = (struct view_sources){.store = fixture.bench.store,
                                            .engine = fixture.bench.engine,
                                            .pools = {.dead_after = 15 * NS_PER_MINUTE}};
    arena_init(&fixture.arena, 4096);
    buffer_init(&fixture.json, 1 << 24);
    buffer_init(&fixture.of_store, 1 << 24);
    buffer_init(&fixture.of_answer, 1 << 24);
    *state = &fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    buffer_release(&f->of_answer);
    buffer_release(&f->of_store);
    buffer_release(&f->json);
    arena_release(&f->arena);
    engine_bench_close(&f->bench);
    return 0;
}

static void deliver(struct fixture *f, struct scenario_delivery delivery, int64_t run_id)
{
    static uint64_t number;
    if (delivery.event.kind == GITHUB_EVENT_JOB)
        delivery.event.job.run_id = run_id;
    else
        delivery.event.run.run_id = run_id;
    number++;
    memcpy(delivery.digest, &number, sizeof number);
    engine_bench_accept(&f->bench, &delivery);
}

// Random completed jobs, and open ones; some runs are over.
static void fill(struct fixture *f, uint32_t seed)
{
    struct github_step steps[SCENARIO_STEPS_MAX];
    for (int64_t run = 1000; run < 1000 + RUNS; run++) {
        int64_t id = run * 100;
        for (int i = 0; i < JOBS; i++)
            deliver(f, scenario_any_job(id++, &seed, steps), run);
        if (scenario_random(&seed, 2) == 0) {
            deliver(f,
                    scenario_run(GITHUB_RUN_COMPLETED, 200, run % 3 == 0 ? "failure" : "success"),
                    run);
            continue;
        }
        deliver(f, scenario_job(id++, GITHUB_JOB_QUEUED, 205, 202, 202, -1), run);
        deliver(f, scenario_job(id++, GITHUB_JOB_WAITING, 206, 203, -1, -1), run);
        deliver(f, scenario_job(id++, GITHUB_JOB_IN_PROGRESS, 220, 204, 212, -1), run);
    }
}

static struct api_call begin_answer(struct fixture *f)
{
    buffer_clear(&f->json);
    arena_clear(&f->arena);
    return (struct api_call){&f->sources, f->now, &f->arena, &f->json, &f->error};
}

static struct json_document parse(struct fixture *f)
{
    struct json_document document;
    assert_int_equal(json_parse(buffer_slice(&f->json), &f->arena, &document, &f->error),
                     ERROR_NONE);
    return document;
}

static void expect_same(const struct fixture *f)
{
    if (f->of_store.len != f->of_answer.len ||
        memcmp(f->of_store.data, f->of_answer.data, f->of_store.len) != 0)
        fail_msg("of the store:\n%.*s\nof the answer:\n%.*s", (int)f->of_store.len,
                 f->of_store.data, (int)f->of_answer.len, f->of_answer.data);
    assert_true(f->of_store.len > 0);
}

// --- equal texts ----------------------------------------------------------------------------------

static const struct terminal wide = {.width = 200, .unicode = true};

static struct waterfall_options waterfall_at(const struct fixture *f)
{
    return (struct waterfall_options){.terminal = wide,
                                      .steps = true,
                                      .now = f->now,
                                      .id_scheme = f->sources.id_scheme,
                                      .job_grace = f->sources.pools.job_grace};
}

static void answer_run(struct fixture *f, int64_t run)
{
    const struct run_selector question = {.run_id = run};
    const struct api_call call = begin_answer(f);
    assert_int_equal(api_render_run(&call, &question), ERROR_NONE);
}

static void a_run_is_drawn_as_from_the_store(void **state)
{
    struct fixture *f = *state;
    fill(f, 1);
    for (int64_t run = 1000; run < 1000 + RUNS; run++) {
        const struct run_selector question = {.run_id = run};
        const struct waterfall_options waterfall = waterfall_at(f);
        struct view_reader reader = {.arena = &f->arena, .error = &f->error};
        struct waterfall_shown shown;
        struct run_answer found;
        arena_clear(&f->arena);
        buffer_clear(&f->of_store);
        buffer_clear(&f->of_answer);
        assert_int_equal(store_begin(f->bench.store, false, &reader.transaction, &f->error),
                         ERROR_NONE);
        assert_int_equal(waterfall_show(&reader, &question, &waterfall, &f->of_store, &shown),
                         ERROR_NONE);
        store_abort(reader.transaction);
        answer_run(f, run);
        const struct json_document document = parse(f);
        const struct answer answer = {&document, &f->arena, &f->error};
        assert_int_equal(answer_read_run(&answer, &found), ERROR_NONE);
        assert_true(found.now == f->now && slice_equals(found.server, SLICE("github.com")));
        assert_int_equal(
            waterfall_render(&found.view, &waterfall, &f->arena, &f->of_answer, &f->error),
            ERROR_NONE);
        expect_same(f);
    }
}

static enum error_code draw_pools_of_answer(struct fixture *f, const struct answer *answer)
{
    struct pools_answer pools;
    enum error_code code = answer_read_pools(answer, &pools);
    if (code != ERROR_NONE)
        return code;
    const struct pools_options page = {wide, pools.now, 0};
    const struct pools_shown shown = {&pools.view, pools.shares, pools.summary, pools.past};
    return pools_render(&shown, &page, &f->arena, &f->of_answer, &f->error);
}

static void answer_pools(struct fixture *f)
{
    const struct api_call call = begin_answer(f);
    assert_int_equal(api_render_pools(&call), ERROR_NONE);
}

static void pools_are_drawn_as_from_the_store(void **state)
{
    const struct slice selected[] = {SLICE("linux")};
    struct fixture *f = *state;
    const struct ceiling_rule rules[] = {{SLICE("hosted"), 3, {selected, 1}}};
    fill(f, 2);
    for (int has_ceiling = 0; has_ceiling <= 1; has_ceiling++) {
        f->sources.pools.ceilings = (struct ceiling_rules){rules, (size_t)has_ceiling};
        struct view_reader reader = {.arena = &f->arena, .error = &f->error};
        const struct pools_options page = {wide, f->now, 0};
        struct pools_view view;
        struct pools_view_shares *shares;
        struct pools_shown shown = {.view = &view};
        buffer_clear(&f->of_store);
        buffer_clear(&f->of_answer);
        assert_int_equal(store_begin(f->bench.store, false, &reader.transaction, &f->error),
                         ERROR_NONE);
        assert_int_equal(pools_cache_read(NULL, &reader, &f->sources.pools, f->now, &view),
                         ERROR_NONE);
        assert_int_equal(pools_view_count_shares(&reader, &view, &shares), ERROR_NONE);
        assert_true(pools_summary_make(&view, f->now, &f->arena, &shown.summary));
        shown.shares = shares;
        assert_int_equal(pools_render(&shown, &page, &f->arena, &f->of_store, &f->error),
                         ERROR_NONE);
        store_abort(reader.transaction);
        answer_pools(f);
        const struct json_document document = parse(f);
        const struct answer answer = {&document, &f->arena, &f->error};
        assert_int_equal(draw_pools_of_answer(f, &answer), ERROR_NONE);
        expect_same(f);
        assert_true((slice_find(buffer_slice(&f->of_store), SLICE("ceiling \"hosted\" (")) >= 0) ==
                    (has_ceiling == 1));
    }
}

static void read_queue(struct fixture *f, struct top *top)
{
    const struct api_queue_query query = {.limit = 1000};
    struct api_call call = {&f->sources, f->now, &f->arena, &f->json, &f->error};
    buffer_clear(&f->json);
    assert_int_equal(api_render_queue(&call, &query), ERROR_NONE);
    const struct json_document document = parse(f);
    const struct answer answer = {&document, &f->arena, &f->error};
    assert_int_equal(answer_read_queue(&answer, top), ERROR_NONE);
}

static void the_screen_of_top_is_drawn_as_from_the_store(void **state)
{
    struct fixture *f = *state;
    const struct top_options page = {wide, 0};
    struct pools_cache cache;
    struct arena arena; // of what is read from the store
    struct top top;
    fill(f, 3);
    pools_cache_init(&cache);
    arena_init(&arena, 4096);
    const struct top_source source = {.store = f->bench.store,
                                      .pools = &cache,
                                      .settings = f->sources.pools,
                                      .jobs = 1000,
                                      .now = f->now};
    assert_int_equal(top_load(&source, &arena, &top, &f->error), ERROR_NONE);
    assert_true(top.job_count > 3 && top.pools.count > 0);
    assert_int_equal(top_render(&top, &page, &arena, &f->of_store, &f->error), ERROR_NONE);
    read_queue(f, &top); // the rest stays
    assert_int_equal(top_render(&top, &page, &f->arena, &f->of_answer, &f->error), ERROR_NONE);
    expect_same(f);
    arena_release(&arena);
    pools_cache_release(&cache);
}

static void finished_runs_are_drawn_as_from_the_store(void **state)
{
    struct fixture *f = *state;
    const struct finished_filter filter = {.limit = 100};
    const struct runs_options page = {wide, f->now};
    struct view_reader reader = {.arena = &f->arena, .error = &f->error};
    struct finished_view view;
    struct runs_answer runs;
    fill(f, 4);
    assert_int_equal(store_begin(f->bench.store, false, &reader.transaction, &f->error),
                     ERROR_NONE);
    assert_int_equal(finished_view_load(&reader, &filter, &view), ERROR_NONE);
    assert_int_equal(runs_render_finished(&view, &page, &f->arena, &f->of_store, &f->error),
                     ERROR_NONE);
    store_abort(reader.transaction);
    const struct api_call call = begin_answer(f);
    const struct api_runs_query query = {.limit = 100};
    assert_int_equal(api_render_runs(&call, &query), ERROR_NONE);
    const struct json_document document = parse(f);
    const struct answer answer = {&document, &f->arena, &f->error};
    assert_int_equal(answer_read_runs(&answer, &runs), ERROR_NONE);
    assert_true(runs.count > 1 && runs.count < RUNS && runs.next.len == 0);
    assert_true(slice_starts_with(runs.raw[0], SLICE("{\"run_id\":\"1")));
    view = (struct finished_view){.runs = runs.runs, .count = runs.count};
    assert_int_equal(runs_render_finished(&view, &page, &f->arena, &f->of_answer, &f->error),
                     ERROR_NONE);
    expect_same(f);
}

static const struct slice a_commit = {"4f2c1a9b7e2a4c53918d0e7f6ab5c4d3e2f1a0b9", 40};
static const struct slice another_commit = {"4f2c1a9b70000000000000000000000000000000", 40};

static void deliver_run(struct fixture *f, enum github_run_action action, double at,
                        const char *conclusion, int64_t run_id)
{
    struct scenario_delivery delivery = scenario_run(action, at, conclusion);
    delivery.event.run.head_sha = run_id == 1003 ? another_commit : a_commit;
    deliver(f, delivery, run_id);
}

// Runs of a commit, some of them open; and one of a commit with the same first digits.
static void fill_commit(struct fixture *f, uint32_t seed)
{
    struct github_step steps[SCENARIO_STEPS_MAX];
    for (int64_t run = 1000; run < 1000 + RUNS; run++) {
        deliver_run(f, GITHUB_RUN_REQUESTED, 0, NULL, run);
        for (int i = 0; i < JOBS; i++)
            deliver(f, scenario_any_job(run * 100 + i, &seed, steps), run);
        if (run % 2 == 0)
            deliver_run(f, GITHUB_RUN_COMPLETED, 200, run % 3 == 0 ? "failure" : "success", run);
    }
}

static enum error_code draw_commit_of_answer(struct fixture *f, const struct answer *answer)
{
    const struct waterfall_options waterfall = waterfall_at(f);
    struct commit_answer commit;
    enum error_code code = answer_read_commit(answer, &commit);
    if (code != ERROR_NONE)
        return code;
    commit.found.text = a_commit;
    code = commit_render_found(&commit.found, &waterfall, &f->arena, &f->of_answer, &f->error);
    return commit.found.choices.count > 1 && code == ERROR_USAGE ? ERROR_NONE : code;
}

static void answer_commit(struct fixture *f, struct slice text)
{
    const struct api_call call = begin_answer(f);
    assert_int_equal(api_render_commit(&call, text), ERROR_NONE);
}

static void runs_of_a_commit_are_drawn_as_from_the_store(void **state)
{
    struct fixture *f = *state;
    fill_commit(f, 9);
    for (size_t digits = 7; digits <= a_commit.len; digits += 11) {
        const struct slice text = {a_commit.data, digits};
        const struct waterfall_options waterfall = waterfall_at(f);
        struct view_reader reader = {.arena = &f->arena, .error = &f->error};
        buffer_clear(&f->of_store);
        buffer_clear(&f->of_answer);
        assert_int_equal(store_begin(f->bench.store, false, &reader.transaction, &f->error),
                         ERROR_NONE);
        assert_int_equal(commit_show(&reader, text, &waterfall, &f->of_store),
                         digits == 7 ? ERROR_USAGE : ERROR_NONE);
        store_abort(reader.transaction);
        answer_commit(f, text);
        const struct json_document document = parse(f);
        const struct answer answer = {&document, &f->arena, &f->error};
        assert_int_equal(draw_commit_of_answer(f, &answer), ERROR_NONE);
        expect_same(f);
    }
}

static enum error_code draw_one_pool_of_answer(struct fixture *f, const struct answer *answer)
{
    struct pool_answer pool;
    const struct pools_options page = {wide, f->now, 0};
    enum error_code code = answer_read_pool(answer, &pool);
    return code == ERROR_NONE
               ? one_pool_render(&pool.shown, &page, &f->arena, &f->of_answer, &f->error)
               : code;
}

static enum error_code draw_pool_jobs_of_answer(struct fixture *f, const struct answer *answer)
{
    struct pool_answer pool = {.now = f->now};
    const struct pools_options page = {wide, f->now, 0};
    enum error_code code = answer_read_pool_jobs(answer, &pool);
    return code == ERROR_NONE
               ? one_pool_render(&pool.shown, &page, &f->arena, &f->of_answer, &f->error)
               : code;
}

// --- answers that are none ------------------------------------------------------------------------

static enum error_code draw_run_of_answer(struct fixture *f, const struct answer *answer)
{
    const struct waterfall_options waterfall = waterfall_at(f);
    struct run_answer found;
    enum error_code code = answer_read_run(answer, &found);
    return code == ERROR_NONE
               ? waterfall_render(&found.view, &waterfall, &f->arena, &f->of_answer, &f->error)
               : code;
}

static enum error_code read_runs_of_answer(struct fixture *f, const struct answer *answer)
{
    struct runs_answer runs;
    (void)f;
    return answer_read_runs(answer, &runs);
}

typedef enum error_code draw_answer(struct fixture *f, const struct answer *answer);

// What the answer in `json` gives, after a part of it was changed: no JSON, refused, or drawn.
static enum error_code try_answer(struct fixture *f, struct slice text, draw_answer *draw)
{
    struct json_document document;
    const struct answer answer = {&document, &f->arena, &f->error};
    arena_clear(&f->arena);
    buffer_clear(&f->of_answer);
    enum error_code code = json_parse(text, &f->arena, &document, &f->error);
    if (code == ERROR_NONE)
        code = draw(f, &answer);
    assert_true(code == ERROR_NONE || code == ERROR_INVALID);
    return code;
}

static void cut_and_change(struct fixture *f, draw_answer *draw, uint32_t seed)
{
    static const char marks[] = "0129-+.eE\"{}[]:,ntf\\ \x80";
    struct slice whole = buffer_slice(&f->json);
    size_t drawn = 0;
    assert_int_equal(try_answer(f, whole, draw), ERROR_NONE);
    for (size_t len = 0; len + 2 < whole.len;
         len += 1 + len / 40) // without the last brace and line end
        assert_int_equal(try_answer(f, (struct slice){whole.data, len}, draw), ERROR_INVALID);
    for (int i = 0; i < 2000; i++) {
        size_t at = scenario_random(&seed, (uint32_t)whole.len);
        char before = f->json.data[at];
        f->json.data[at] = marks[scenario_random(&seed, sizeof marks - 1)];
        drawn += try_answer(f, whole, draw) == ERROR_NONE ? 1 : 0;
        f->json.data[at] = before;
    }
    assert_true(drawn > 20);
}

static void answers_that_are_cut_or_changed_are_refused_or_drawn(void **state)
{
    struct fixture *f = *state;
    fill(f, 5);
    answer_pools(f);
    cut_and_change(f, draw_pools_of_answer, 6);
    for (int64_t run = 1000; run < 1003; run++) {
        answer_run(f, run);
        cut_and_change(f, draw_run_of_answer, (uint32_t)run);
    }
}

static void answers_about_commits_that_are_cut_or_changed_are_refused_or_drawn(void **state)
{
    struct fixture *f = *state;
    fill_commit(f, 10);
    answer_commit(f, a_commit);
    cut_and_change(f, draw_commit_of_answer, 11);
    answer_commit(f, (struct slice){a_commit.data, 7});
    cut_and_change(f, draw_commit_of_answer, 12);
}

static void answers_about_a_pool_that_are_cut_or_changed_are_refused_or_drawn(void **state)
{
    const struct slice selected[] = {SLICE("linux")};
    struct fixture *f = *state;
    const struct ceiling_rule rules[] = {{SLICE("hosted"), 3, {selected, 1}}};
    const struct api_pool_jobs_query query = {.limit = 10};
    f->sources.pools.ceilings = (struct ceiling_rules){rules, 1};
    fill(f, 13);
    struct api_call call = begin_answer(f);
    assert_int_equal(api_render_pool(&call, SLICE("linux,self-hosted")), ERROR_NONE);
    cut_and_change(f, draw_one_pool_of_answer, 14);
    call = begin_answer(f);
    assert_int_equal(api_render_pool_jobs(&call, SLICE("linux,self-hosted"), &query), ERROR_NONE);
    cut_and_change(f, draw_pool_jobs_of_answer, 15);
}

static void a_search_has_the_runs_that_it_names_first(void **state)
{
    struct fixture *f = *state;
    struct runs_answer runs;
    fill(f, 16);
    const struct api_runs_query query = {.open = true, .limit = 100, .text = SLICE("1001")};
    const struct api_call call = begin_answer(f);
    assert_int_equal(api_render_runs(&call, &query), ERROR_NONE);
    struct json_document document = parse(f);
    const struct answer answer = {&document, &f->arena, &f->error};
    assert_int_equal(answer_read_runs(&answer, &runs), ERROR_NONE);
    assert_int_equal(runs.direct_count, 1);
    assert_true(runs.count >= 1 && runs.runs[0].run_id == 1001);
    cut_and_change(f, read_runs_of_answer, 17);
}

static void what_is_missing_is_named(void **state)
{
    struct fixture *f = *state;
    fill(f, 7);
    answer_pools(f);
    const char *names[] = {"\"now\"", "\"oldest_queued_since\"", "\"summary\"", "\"state\""};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        ptrdiff_t at = slice_find(buffer_slice(&f->json), slice_from_string(names[i]));
        assert_true(at > 0);
        f->json.data[at + 1] = 'X';
        assert_int_equal(try_answer(f, buffer_slice(&f->json), draw_pools_of_answer),
                         ERROR_INVALID);
        f->json.data[at + 1] = names[i][1];
        assert_non_null(strstr(f->error.message, "`"));
        assert_int_equal(
            strncmp(strstr(f->error.message, "`") + 1, names[i] + 1, strlen(names[i]) - 2), 0);
        assert_non_null(strstr(f->error.message, "another version"));
    }
}

static void more_servers_than_a_run_can_have_are_refused(void **state)
{
    struct fixture *f = *state;
    struct buffer text;
    fill(f, 9);
    answer_run(f, 1001);
    const struct slice whole = buffer_slice(&f->json);
    ptrdiff_t at = slice_find(whole, SLICE("\"servers\":["));
    assert_true(at > 0);
    size_t before = (size_t)at + sizeof "\"servers\":[" - 1;
    for (int more = 50; more <= 5000; more *= 100) {
        buffer_init(&text, 1 << 20);
        assert_int_equal(buffer_append_slice(&text, (struct slice){whole.data, before}),
                         ERROR_NONE);
        for (int i = 0; i < more; i++)
            assert_int_equal(buffer_append_string(&text, "\"a.example\","), ERROR_NONE);
        assert_int_equal(buffer_append_slice(&text, slice_skip(whole, before)), ERROR_NONE);
        assert_int_equal(try_answer(f, buffer_slice(&text), draw_run_of_answer),
                         more == 50 ? ERROR_NONE : ERROR_INVALID);
        buffer_release(&text);
    }
    assert_non_null(strstr(f->error.message, "`servers`"));
}

static void times_in_the_wrong_order_give_intervals_without_length(void **state)
{
    struct fixture *f = *state;
    fill(f, 8);
    answer_run(f, 1001);
    // The ends of all intervals: before any start.
    for (size_t at = 0; at + 30 < f->json.len; at++)
        if (memcmp(f->json.data + at, "\"end\":\"2026", 11) == 0)
            memcpy(f->json.data + at + 7, "1971", 4);
    assert_int_equal(try_answer(f, buffer_slice(&f->json), draw_run_of_answer), ERROR_NONE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(a_run_is_drawn_as_from_the_store),
        TEST(pools_are_drawn_as_from_the_store),
        TEST(the_screen_of_top_is_drawn_as_from_the_store),
        TEST(finished_runs_are_drawn_as_from_the_store),
        TEST(runs_of_a_commit_are_drawn_as_from_the_store),
        TEST(answers_about_commits_that_are_cut_or_changed_are_refused_or_drawn),
        TEST(answers_that_are_cut_or_changed_are_refused_or_drawn),
        TEST(answers_about_a_pool_that_are_cut_or_changed_are_refused_or_drawn),
        TEST(a_search_has_the_runs_that_it_names_first),
        TEST(what_is_missing_is_named),
        TEST(more_servers_than_a_run_can_have_are_refused),
        TEST(times_in_the_wrong_order_give_intervals_without_length),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
