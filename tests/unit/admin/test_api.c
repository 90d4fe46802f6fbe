// The JSON API, from a store that events have filled.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "../../../src/admin/api.h"
#include "ghatrace/base/memory.h"
#include "ghatrace/json/read.h"
#include "ghatrace/trace/ids.h"
#include "ghatrace/view/pools_cache.h"
#include "support/engine_bench.h"

#define JOB_IDS 500000 // apart from those of runs

struct fixture {
    struct engine_bench bench;
    struct view_sources sources;
    struct arena arena;
    struct buffer out;
    struct error error;
    struct api_call call;
};

static void open_fixture(struct fixture *f)
{
    engine_bench_open(&f->bench);
    f->sources = (struct view_sources){.store = f->bench.store,
                                       .engine = f->bench.engine,
                                       .trace_url = "https://t.example/{trace_id}/x"};
    arena_init(&f->arena, 4096);
    buffer_init(&f->out, 1 << 20);
}

static const struct api_call *call_at(struct fixture *f, timestamp_ns now)
{
    f->call = (struct api_call){
        .sources = &f->sources, .now = now, .arena = &f->arena, .out = &f->out, .error = &f->error};
    return &f->call;
}

static void close_fixture(struct fixture *f)
{
    arena_release(&f->arena);
    buffer_release(&f->out);
    engine_bench_close(&f->bench);
}

static void deliver(struct fixture *f, struct scenario_delivery delivery, int64_t run_id)
{
    if (delivery.event.kind == GITHUB_EVENT_JOB)
        delivery.event.job.run_id = run_id;
    else
        delivery.event.run.run_id = run_id;
    static uint64_t number;
    number++;
    memcpy(delivery.digest, &number, sizeof number);
    engine_bench_accept(&f->bench, &delivery);
}

// `count` runs that are over, each with a job, the last one the newest.
static void finish_runs(struct fixture *f, int64_t first, int count)
{
    for (int i = 0; i < count; i++) {
        deliver(f, scenario_job(first + i + JOB_IDS, GITHUB_JOB_COMPLETED, 61, 2, 6, 60),
                first + i);
        deliver(f, scenario_run(GITHUB_RUN_COMPLETED, 62 + i, i % 3 == 0 ? "failure" : "success"),
                first + i);
        engine_bench_advance(&f->bench, NS_PER_SECOND);
    }
}

static const char *text_of(struct fixture *f)
{
    assert_int_equal(buffer_append(&f->out, "", 1), ERROR_NONE);
    return f->out.data;
}

static const char *runs(struct fixture *f, struct api_runs_query query)
{
    buffer_clear(&f->out);
    assert_int_equal(api_render_runs(call_at(f, scenario_at(200)), &query), ERROR_NONE);
    return text_of(f);
}

static int count_in(const char *text, const char *part)
{
    int count = 0;
    for (const char *at = text; (at = strstr(at, part)) != NULL; at += strlen(part))
        count++;
    return count;
}

// The list, behind what is said of a search.
static const char *listed_runs(struct fixture *f, struct api_runs_query query)
{
    const char *list = strstr(runs(f, query), "\"runs\":[");
    assert_non_null(list);
    return list;
}

static void pages_contain_every_run_once_the_newest_first(void **state)
{
    bool seen[25] = {false};
    char cursor[64] = "";
    int pages = 0, last = 25;
    struct fixture f;
    (void)state;
    open_fixture(&f);
    finish_runs(&f, 1000, 25);
    do {
        const char *text =
            runs(&f, (struct api_runs_query){.limit = 4, .cursor = slice_from_string(cursor)});
        for (const char *at = text; (at = strstr(at, "\"run_id\":\"")) != NULL; at++) {
            int number = (int)strtol(at + 10, NULL, 10) - 1000;
            assert_true(number >= 0 && number < last && !seen[number]);
            seen[number] = true;
            last = number;
        }
        const char *next = strstr(text, "\"next\":\"");
        cursor[0] = '\0';
        if (next != NULL)
            assert_int_equal(sscanf(next, "\"next\":\"%63[0-9a-f]", cursor), 1);
        pages++;
    } while (cursor[0] != '\0');
    assert_int_equal(pages, 7);
    assert_int_equal(last, 0);
    close_fixture(&f);
}

static void pages_of_open_runs_contain_every_run_once_the_newest_first(void **state)
{
    char cursor[64] = "";
    int64_t last = 1013;
    int pages = 0;
    struct fixture f;
    (void)state;
    open_fixture(&f);
    for (int64_t run = 1000; run < 1013; run++)
        deliver(&f, scenario_job(run + JOB_IDS, GITHUB_JOB_QUEUED, 4, 3, 3, -1), run);
    do {
        const char *text =
            listed_runs(&f, (struct api_runs_query){.open = true,
                                                    .limit = 5,
                                                    .text = SLICE("octo"),
                                                    .cursor = slice_from_string(cursor)});
        for (const char *at = text; (at = strstr(at, "{\"run_id\":\"")) != NULL; at++)
            assert_int_equal(strtoll(at + 11, NULL, 10), --last);
        assert_int_equal(count_in(text, "\"job_id\""), pages < 2 ? 5 : 3);
        const char *next = strstr(text, "\"next\":\"");
        cursor[0] = '\0';
        if (next != NULL)
            assert_int_equal(sscanf(next, "\"next\":\"%63[-0-9]", cursor), 1);
        pages++;
    } while (cursor[0] != '\0');
    assert_int_equal(pages, 3);
    assert_int_equal(last, 1000);
    close_fixture(&f);
}

// A limit of 0 gives a cursor to all of them.
static void after_a_page_without_runs_the_first_page_follows(void **state)
{
    char cursor[64] = "";
    struct fixture f;
    (void)state;
    open_fixture(&f);
    finish_runs(&f, 1000, 1);
    deliver(&f, scenario_job(3, GITHUB_JOB_QUEUED, 4, 3, 3, -1), 7);
    for (int open = 0; open < 2; open++) {
        const char *next = strstr(runs(&f, (struct api_runs_query){.open = open == 1}), "\"next\"");
        assert_int_equal(sscanf(next, "\"next\":\"%63[-0-9a-f]", cursor), 1);
        const char *text =
            runs(&f, (struct api_runs_query){
                         .open = open == 1, .limit = 9, .cursor = slice_from_string(cursor)});
        assert_int_equal(count_in(text, "{\"run_id\""), 1);
    }
    close_fixture(&f);
}

// 200 runs with texts as long as any, and 16 words: more than is compared for one request.
static void a_search_that_compares_long_texts_continues_on_the_next_page(void **state)
{
    static char text[GITHUB_TEXT_MAX];
    const struct slice longest = {text, sizeof text};
    char cursor[64] = "";
    int pages = 0, found = 0;
    struct fixture f;
    (void)state;
    open_fixture(&f);
    memset(text, 'a', sizeof text);
    for (int i = 0; i < 200; i++) {
        struct scenario_delivery requested = scenario_run(GITHUB_RUN_REQUESTED, 1, "");
        struct github_run *run = &requested.event.run;
        run->display_title = i == 0 ? SLICE("b") : longest;
        run->workflow_name = run->head_branch = run->actor = run->event_name = longest;
        deliver(&f, requested, 1000 + i);
    }
    do {
        const struct api_runs_query query = {.open = true,
                                             .limit = 9,
                                             .text = SLICE("b b b b b b b b b b b b b b b b"),
                                             .cursor = slice_from_string(cursor)};
        const char *list = listed_runs(&f, query);
        const char *next = strstr(list, "\"next\":\"");
        found += count_in(list, "\"run_id\":\"1000\"");
        cursor[0] = '\0';
        if (next != NULL)
            assert_int_equal(sscanf(next, "\"next\":\"%63[0-9a-f-]", cursor), 1);
        pages++;
    } while (cursor[0] != '\0' && pages < 100);
    assert_int_equal(found, 1);
    assert_int_equal(pages, 2);
    close_fixture(&f);
}

// 90 jobs of 1,000 steps in three open runs of one commit: more than is read for one request.
static void lists_of_jobs_end_where_these_have_very_many_steps(void **state)
{
    enum { RUNS = 3, JOBS = 30, STEPS = 1000 };
    static struct github_step steps[STEPS];
    static char name[400];
    struct fixture f;
    (void)state;
    open_fixture(&f);
    memset(name, 'a', sizeof name);
    for (int i = 0; i < STEPS; i++) {
        steps[i] = scenario_step(i + 1, "", 6, 50, "success");
        steps[i].name = (struct slice){name, sizeof name};
    }
    for (int i = 0; i < RUNS * JOBS; i++) {
        struct scenario_delivery job =
            scenario_job(JOB_IDS + i, GITHUB_JOB_COMPLETED, 61, 2, 6, 60);
        scenario_set_steps(&job, steps, STEPS);
        deliver(&f, job, 1000 + i % RUNS);
    }
    const char *text = runs(&f, (struct api_runs_query){.open = true, .limit = 9});
    assert_int_equal(count_in(text, "\"run_id\":"), RUNS);
    int listed = count_in(text, "\"job_id\":");
    assert_true(listed > 10 && listed < RUNS * JOBS);
    buffer_clear(&f.out);
    assert_int_equal(api_render_commit(call_at(&f, scenario_at(200)), SLICE("3484a3fb")),
                     ERROR_NONE);
    text = text_of(&f);
    listed = count_in(text, "\"has_spans\":");
    assert_true(listed > 10 && listed < RUNS * JOBS);
    assert_non_null(strstr(text, "\"more_jobs\":true"));
    close_fixture(&f);
}

static void open_runs_are_filtered_like_finished_ones(void **state)
{
    static const struct {
        struct api_runs_query query;
        int count;
    } cases[] = {
        {{.repository = {"HELLO", 5}}, 3}, {{.workflow = {"ci", 2}}, 3},
        {{.branch = {"mai", 3}}, 3},       {{.branch = {"other", 5}}, 0},
        {{.text = {"1001", 4}}, 1},        {{.result = {"success", 7}}, 0},
    };
    struct fixture f;
    (void)state;
    open_fixture(&f);
    for (int64_t run = 1000; run < 1003; run++) {
        deliver(&f, scenario_job(run + JOB_IDS, GITHUB_JOB_QUEUED, 4, 3, 3, -1), run);
        deliver(&f, scenario_job(run + 2 * JOB_IDS, GITHUB_JOB_COMPLETED, 61, 2, 6, 60), run);
    }
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct api_runs_query query = cases[i].query;
        query.open = true;
        query.limit = 9;
        const char *text = listed_runs(&f, query);
        assert_int_equal(count_in(text, "{\"run_id\""), cases[i].count);
        assert_int_equal(count_in(text, "\"job_id\""), 2 * cases[i].count);
    }
    close_fixture(&f);
}

static void filters_match_substrings_ignoring_case(void **state)
{
    static const struct {
        struct api_runs_query query;
        int count;
    } cases[] = {
        {{.repository = {"hello_w", 7}, .limit = 99}, 9},
        {{.workflow = {"ci", 2}, .limit = 99}, 9},
        {{.branch = {"MAI", 3}, .limit = 99}, 9},
        {{.text = {"fix the", 7}, .limit = 99}, 9},
        {{.text = {"1004", 4}, .limit = 99}, 1},
        {{.result = {"failure", 7}, .limit = 99}, 3},
        {{.result = {"fail", 4}, .limit = 99}, 0},
        {{.text = {"nothing", 7}, .limit = 99}, 0},
        {{.limit = 0}, 0},
    };
    struct fixture f;
    (void)state;
    open_fixture(&f);
    finish_runs(&f, 1000, 9);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(count_in(listed_runs(&f, cases[i].query), "\"run_id\""), cases[i].count);
    close_fixture(&f);
}

static void an_invalid_cursor_is_refused(void **state)
{
    static const char *const finished[] = {"x", "18e9",
                                           "zze9ffa710e3686412579b9e04832e4451c1ce0d7ce66289",
                                           "000000000000000012579b9e04832e4451c1ce0d7ce66289"};
    static const char *const open[] = {"x", "1", "1-", "-1-1", "0-1", "1-0", "1-x"};
    struct fixture f;
    (void)state;
    open_fixture(&f);
    for (size_t i = 0; i < sizeof finished / sizeof finished[0]; i++) {
        const struct api_runs_query query = {.limit = 1, .cursor = slice_from_string(finished[i])};
        assert_int_equal(api_render_runs(call_at(&f, 1), &query), ERROR_USAGE);
    }
    for (size_t i = 0; i < sizeof open / sizeof open[0]; i++) {
        const struct api_runs_query query = {
            .open = true, .limit = 1, .cursor = slice_from_string(open[i])};
        assert_int_equal(api_render_runs(call_at(&f, 1), &query), ERROR_USAGE);
    }
    close_fixture(&f);
}

static void open_runs_show_jobs_in_every_phase(void **state)
{
    struct fixture f;
    (void)state;
    open_fixture(&f);
    deliver(&f, scenario_job(1, GITHUB_JOB_COMPLETED, 61, 2, 6, 60), 7);
    deliver(&f, scenario_job(2, GITHUB_JOB_IN_PROGRESS, 20, 2, 12, -1), 7);
    deliver(&f, scenario_job(3, GITHUB_JOB_QUEUED, 4, 3, 3, -1), 7);
    deliver(&f, scenario_run(GITHUB_RUN_REQUESTED, 1, NULL), 7);
    const char *text = runs(&f, (struct api_runs_query){.open = true, .limit = 9});
    assert_int_equal(count_in(text, "\"job_id\""), 3);
    assert_non_null(strstr(text, "\"state\":\"finished\",\"result\":\"success\""));
    assert_non_null(
        strstr(text, "{\"name\":\"queue\",\"start\":\"2026-09-03T04:17:00.000Z\",\"end\":null}"));
    assert_non_null(strstr(
        text, "{\"name\":\"execution\",\"start\":\"2026-09-03T04:17:09.000Z\",\"end\":null}"));
    assert_non_null(strstr(text, "\"job_count\":3"));
    assert_int_equal(count_in(text, "\"steps\""), 0);
    close_fixture(&f);
}

static void open_runs_have_as_many_jobs_as_are_asked_for(void **state)
{
    struct fixture f;
    (void)state;
    open_fixture(&f);
    for (int64_t i = 0; i < 2 * (API_FULL_RUNS + 2); i++)
        deliver(&f, scenario_job(100 + i, GITHUB_JOB_QUEUED, 4, 3, 3, -1), 7 + i / 2);
    const char *text = runs(&f, (struct api_runs_query){.open = true, .limit = 100, .jobs = 1});
    assert_int_equal(count_in(text, "\"run_number\""), API_FULL_RUNS + 2);
    assert_int_equal(count_in(text, "\"job_id\""), API_FULL_RUNS);
    assert_int_equal(count_in(text, "\"jobs\":[]"), 2);
    text = runs(&f, (struct api_runs_query){.open = true, .limit = 100});
    assert_int_equal(count_in(text, "\"job_id\""), 2 * (API_FULL_RUNS + 2));
    close_fixture(&f);
}

static const char *run_part(struct fixture *f, struct api_run_part part)
{
    const struct run_selector question = {.run_id = SCENARIO_RUN_ID, .run_attempt = 1};
    buffer_clear(&f->out);
    assert_int_equal(api_render_run_part(call_at(f, scenario_at(100)), &question, &part),
                     ERROR_NONE);
    return text_of(f);
}

static void a_run_is_shown_without_most_steps_or_with_one_job(void **state)
{
    const struct github_step steps[] = {scenario_step(1, "Set up job", 8, 10, "success"),
                                        scenario_step(2, "make", 10, 20, "failure"),
                                        scenario_step(3, "Complete job", 20, 21, "success")};
    struct scenario_delivery failed = scenario_job(2, GITHUB_JOB_COMPLETED, 61, 2, 6, 60);
    struct scenario_delivery plain = scenario_job(3, GITHUB_JOB_COMPLETED, 61, 2, 6, 60);
    struct fixture f;
    (void)state;
    open_fixture(&f);
    failed.event.job.conclusion = SLICE("failure");
    scenario_set_steps(&failed, steps, 3);
    scenario_set_steps(&plain, steps, 1);
    deliver(&f, failed, SCENARIO_RUN_ID);
    deliver(&f, plain, SCENARIO_RUN_ID);
    const char *text = run_part(&f, (struct api_run_part){.failed_steps_only = true});
    assert_int_equal(count_in(text, "\"job_id\""), 2);
    assert_int_equal(count_in(text, "\"number\":"), 1);
    assert_non_null(strstr(text, "\"step_count\":3,\"steps\":[{\"number\":2,\"name\":\"make\""));
    assert_non_null(strstr(text, "\"step_count\":1,\"steps\":[]"));
    text = run_part(&f, (struct api_run_part){.job_id = 2});
    assert_int_equal(count_in(text, "\"job_id\""), 1);
    assert_int_equal(count_in(text, "\"number\":"), 3);
    const struct run_selector question = {.run_id = SCENARIO_RUN_ID, .run_attempt = 1};
    assert_int_equal(api_render_run_part(call_at(&f, scenario_at(100)), &question,
                                         &(struct api_run_part){.job_id = 4}),
                     ERROR_NOT_FOUND);
    assert_non_null(strstr(f.error.message, "job 4: nothing of it is in run"));
    close_fixture(&f);
}

static void a_run_is_shown_with_its_trace_and_both_attempts(void **state)
{
    struct scenario_delivery second = scenario_job(9, GITHUB_JOB_QUEUED, 80, 79, 79, -1);
    struct fixture f;
    (void)state;
    open_fixture(&f);
    finish_runs(&f, SCENARIO_RUN_ID, 1);
    scenario_set_attempt(&second, 2);
    deliver(&f, second, SCENARIO_RUN_ID);
    assert_int_equal(
        api_render_run(call_at(&f, scenario_at(100)),
                       &(struct run_selector){.run_id = SCENARIO_RUN_ID, .run_attempt = 1}),
        ERROR_NONE);
    const char *text = text_of(&f);
    assert_non_null(strstr(text, "\"trace_id\":\"9150f2e0b329bcd73a7fa70c540a1776\""));
    assert_non_null(
        strstr(text, "\"trace_url\":\"https://t.example/9150f2e0b329bcd73a7fa70c540a1776/x\""));
    assert_non_null(strstr(text, "\"attempts\":[1,2]"));
    assert_non_null(strstr(text, "\"critical_path\":[\"33714970481\"]"));
    assert_non_null(
        strstr(text, "\"url\":\"https://github.com/octo/Hello_World/actions/runs/33714470481\""));
    buffer_clear(&f.out);
    assert_int_equal(
        api_render_run(call_at(&f, scenario_at(100)),
                       &(struct run_selector){.run_id = SCENARIO_RUN_ID, .run_attempt = 2}),
        ERROR_NONE);
    text = text_of(&f);
    assert_non_null(strstr(text, "\"state\":\"open\""));
    assert_non_null(strstr(text, "\"critical_path\":[]"));
    buffer_clear(&f.out);
    assert_int_equal(
        api_render_spans(call_at(&f, 1),
                         &(struct run_selector){.run_id = SCENARIO_RUN_ID, .run_attempt = 1}),
        ERROR_NONE);
    text = text_of(&f);
    assert_int_equal(count_in(text, "\"resourceSpans\""), 1);
    assert_int_equal(count_in(text, "\"name\":\"runner.queue\""), 1);
    close_fixture(&f);
}

static enum error_code render_attempt(struct fixture *f, int64_t attempt, bool is_otlp)
{
    const struct run_selector question = {.run_id = SCENARIO_RUN_ID, .run_attempt = attempt};
    buffer_clear(&f->out);
    return is_otlp ? api_render_spans(call_at(f, 1), &question)
                   : api_render_run(call_at(f, scenario_at(100)), &question);
}

static void without_an_attempt_the_newest_is_returned(void **state)
{
    struct scenario_delivery second = scenario_job(70, GITHUB_JOB_QUEUED, 90, 90, 90, -1);
    struct fixture f;
    (void)state;
    open_fixture(&f);
    finish_runs(&f, SCENARIO_RUN_ID, 1);
    assert_int_equal(render_attempt(&f, 0, false), ERROR_NONE);
    assert_non_null(strstr(text_of(&f), "\"run_attempt\":1,"));
    assert_int_equal(render_attempt(&f, 0, true), ERROR_NONE);
    scenario_set_attempt(&second, 2);
    deliver(&f, second, SCENARIO_RUN_ID);
    assert_int_equal(render_attempt(&f, 0, false), ERROR_NONE);
    assert_non_null(strstr(text_of(&f), "\"run_attempt\":2,"));
    // The newest has no spans yet, and the response contains that.
    assert_int_equal(render_attempt(&f, 0, true), ERROR_NOT_FOUND);
    assert_non_null(strstr(f.error.message, "attempt 2: nothing finished of it"));
    close_fixture(&f);
}

static void the_error_for_a_missing_attempt_names_those_that_exist(void **state)
{
    struct scenario_delivery second = scenario_job(70, GITHUB_JOB_QUEUED, 90, 90, 90, -1);
    struct fixture f;
    (void)state;
    open_fixture(&f);
    finish_runs(&f, SCENARIO_RUN_ID, 1);
    scenario_set_attempt(&second, 2);
    deliver(&f, second, SCENARIO_RUN_ID);
    for (int is_otlp = 0; is_otlp < 2; is_otlp++) {
        assert_int_equal(render_attempt(&f, 3, is_otlp), ERROR_NOT_FOUND);
        assert_non_null(strstr(f.error.message, "attempt 3: no such attempt is in the store; there "
                                                "are attempts 1, 2"));
    }
    close_fixture(&f);
}

static void a_missing_run_is_not_found_with_a_message(void **state)
{
    struct fixture f;
    (void)state;
    open_fixture(&f);
    assert_int_equal(
        api_render_run(call_at(&f, 1), &(struct run_selector){.run_id = 5, .run_attempt = 1}),
        ERROR_NOT_FOUND);
    assert_non_null(strstr(f.error.message, "run 5 attempt 1"));
    assert_int_equal(
        api_render_spans(call_at(&f, 1), &(struct run_selector){.run_id = 5, .run_attempt = 1}),
        ERROR_NOT_FOUND);
    assert_non_null(strstr(f.error.message, "run 5 attempt 1: nothing of it is in the store"));
    close_fixture(&f);
}

static void the_queue_is_filtered_by_state_and_labels_in_any_order(void **state)
{
    struct api_queue_query query = {.limit = 10};
    struct fixture f;
    (void)state;
    open_fixture(&f);
    deliver(&f, scenario_job(2, GITHUB_JOB_IN_PROGRESS, 20, 2, 12, -1), 7);
    deliver(&f, scenario_job(3, GITHUB_JOB_QUEUED, 4, 3, 3, -1), 7);
    deliver(&f, scenario_job(4, GITHUB_JOB_QUEUED, 4, 2, 2, -1), 7);
    assert_int_equal(api_render_queue(call_at(&f, scenario_at(63)), &query), ERROR_NONE);
    const char *text = text_of(&f);
    assert_non_null(
        strstr(text, "\"totals\":{\"waiting\":0,\"queued\":2,\"running\":1,\"open_runs\":1}"));
    assert_true(strstr(text, "\"job_id\":\"4\"") < strstr(text, "\"job_id\":\"3\""));
    assert_true(strstr(text, "\"job_id\":\"3\"") < strstr(text, "\"job_id\":\"2\""));
    assert_non_null(strstr(text, "\"age_seconds\":61,"));
    assert_non_null(
        strstr(text, "\"oldest_queued_since\":\"2026-09-03T04:16:59.000Z\",\"pools\":[{"));
    struct scenario_delivery other = scenario_job(5, GITHUB_JOB_QUEUED, 4, 3, 3, -1);
    const struct slice gpu = SLICE("gpu");
    other.event.job.labels = &gpu;
    other.event.job.label_count = 1;
    deliver(&f, other, 7);
    buffer_clear(&f.out);
    assert_int_equal(api_render_queue(call_at(&f, scenario_at(63)), &query), ERROR_NONE);
    assert_int_equal(count_in(text_of(&f), "{\"pool\":"), 2);
    query.pools = 1;
    buffer_clear(&f.out);
    assert_int_equal(api_render_queue(call_at(&f, scenario_at(63)), &query), ERROR_NONE);
    assert_int_equal(count_in(text_of(&f), "{\"pool\":"), 1);
    assert_non_null(strstr(text_of(&f), "\"totals\":{\"waiting\":0,\"queued\":3,"));
    query.runner_labels = SLICE("linux,self-hosted,linux");
    query.state = SLICE("running");
    buffer_clear(&f.out);
    assert_int_equal(api_render_queue(call_at(&f, scenario_at(63)), &query), ERROR_NONE);
    assert_int_equal(count_in(text_of(&f), "\"job_id\""), 1);
    query.state = SLICE("sleeping");
    assert_int_equal(api_render_queue(call_at(&f, 1), &query), ERROR_USAGE);
    close_fixture(&f);
}

static void pools_are_listed_with_their_open_waits_the_longest_first(void **state)
{
    struct scenario_delivery other = scenario_job(5, GITHUB_JOB_QUEUED, 1, 1, 1, -1);
    static const struct slice gpu[] = {{"gpu, big", 8}};
    struct fixture f;
    (void)state;
    open_fixture(&f);
    assert_int_equal(api_render_pools(call_at(&f, scenario_at(63))), ERROR_NONE);
    assert_string_equal(text_of(&f),
                        "{\"now\":\"2026-09-03T04:18:00.000Z\",\"pools\":[],\"ceilings\":[],"
                        "\"summary\":{\"kind\":\"none\",\"text\":\"No pool is in "
                        "trouble.\",\"parts\":[{\"text\":\"No pool is in "
                        "trouble.\"}],\"action_text\":null,\"action\":[]},\"past\":[],"
                        "\"unreadable\":0}\n");
    buffer_clear(&f.out);
    other.event.job.labels = gpu;
    other.event.job.label_count = 1;
    deliver(&f, scenario_job(2, GITHUB_JOB_IN_PROGRESS, 20, 2, 12, -1), 7);
    deliver(&f, scenario_job(3, GITHUB_JOB_QUEUED, 4, 3, 3, -1), 7);
    deliver(&f, scenario_job(4, GITHUB_JOB_QUEUED, 4, 2, 2, -1), 7);
    deliver(&f, other, 7);
    assert_int_equal(api_render_pools(call_at(&f, scenario_at(63))), ERROR_NONE);
    const char *text = text_of(&f);
    assert_non_null(strstr(
        text, ",\"pools\":[{\"pool\":\"gpu\\\\, big\",\"labels\":[\"gpu, big\"],\"groups\":[],"
              "\"waiting\":0,\"queued\":1,\"running\":0,"
              "\"oldest_queued_since\":\"2026-09-03T04:16:58.000Z\",\"oldest_wait_seconds\":62,"
              "\"open_wait_seconds\":{\"p50\":62,\"p90\":62,\"p99\":62}"));
    assert_non_null(strstr(text, "\"waiting\":0,\"queued\":2,\"running\":1,"
                                 "\"oldest_queued_since\":\"2026-09-03T04:16:59.000Z\","
                                 "\"oldest_wait_seconds\":61,"
                                 "\"open_wait_seconds\":{\"p50\":60,\"p90\":61,\"p99\":61}"));
    close_fixture(&f);
}

static void a_pool_is_shown_with_who_has_its_jobs_and_its_jobs_page_by_page(void **state)
{
    struct api_pool_jobs_query query = {.state = SLICE("queued"), .limit = 1};
    const struct slice name = SLICE("Self-Hosted,linux");
    char cursor[128];
    struct fixture f;
    (void)state;
    open_fixture(&f);
    deliver(&f, scenario_job(2, GITHUB_JOB_IN_PROGRESS, 20, 2, 12, -1), 7);
    deliver(&f, scenario_job(3, GITHUB_JOB_QUEUED, 4, 3, 3, -1), 7);
    deliver(&f, scenario_job(4, GITHUB_JOB_QUEUED, 4, 2, 2, -1), 7);
    assert_int_equal(api_render_pool(call_at(&f, scenario_at(63)), name), ERROR_NONE);
    const char *text = text_of(&f);
    assert_ptr_equal(strstr(text, "{\"now\":"), text);
    assert_non_null(strstr(text, "\"waiting\":0,\"queued\":2,\"running\":1,"));
    assert_non_null(
        strstr(text, "\"ceilings\":[],\"past\":[],\"counted\":{\"queued\":2,\"running\":1},"));
    assert_non_null(strstr(text, "\"queued\":2,\"running\":1}],\"by_workflow\":[{\"server\":"));
    buffer_clear(&f.out);
    assert_int_equal(api_render_pool_jobs(call_at(&f, scenario_at(63)), name, &query), ERROR_NONE);
    text = text_of(&f);
    assert_non_null(strstr(text, "\"total\":2,\"jobs\":[{\"job_id\":\"4\","));
    assert_int_equal(count_in(text, "\"job_id\""), 1);
    const char *next = strstr(text, "\"next\":\"");
    assert_non_null(next);
    assert_int_equal(sscanf(next, "\"next\":\"%127[^\"]", cursor), 1);
    query.cursor = slice_from_string(cursor);
    buffer_clear(&f.out);
    assert_int_equal(api_render_pool_jobs(call_at(&f, scenario_at(63)), name, &query), ERROR_NONE);
    text = text_of(&f);
    assert_non_null(strstr(text, "\"jobs\":[{\"job_id\":\"3\","));
    assert_non_null(strstr(text, "\"next\":null"));
    query.state = SLICE("running"); // the cursor is of another state
    assert_int_equal(api_render_pool_jobs(call_at(&f, 1), name, &query), ERROR_USAGE);
    assert_string_equal(f.error.message, "cursor: not valid");
    query.state = SLICE("sleeping");
    assert_int_equal(api_render_pool_jobs(call_at(&f, 1), name, &query), ERROR_USAGE);
    close_fixture(&f);
}

static void
a_pool_is_shown_from_the_list_that_is_kept_and_one_that_is_newer_is_asked_for_later(void **state)
{
    struct scenario_delivery other = scenario_job(5, GITHUB_JOB_QUEUED, 1, 1, 1, -1);
    static const struct slice gpu[] = {{"gpu", 3}};
    struct pools_cache cache;
    struct fixture f;
    (void)state;
    open_fixture(&f);
    pools_cache_init(&cache);
    f.sources.pools_cache = &cache;
    other.event.job.labels = gpu;
    other.event.job.label_count = 1;
    deliver(&f, scenario_job(3, GITHUB_JOB_QUEUED, 4, 3, 3, -1), 7);
    assert_int_equal(api_render_pools(call_at(&f, scenario_at(63))), ERROR_NONE);
    cache.kept_until = timestamp_monotonic() + NS_PER_HOUR;
    deliver(&f, scenario_job(4, GITHUB_JOB_QUEUED, 4, 2, 2, -1), 7);
    deliver(&f, other, 7);
    buffer_clear(&f.out);
    assert_int_equal(api_render_pool(call_at(&f, scenario_at(63)), SLICE("linux,self-hosted")),
                     ERROR_NONE);
    assert_non_null(strstr(text_of(&f), "\"queued\":1,\"running\":0,\"oldest_queued_since\":"));
    assert_non_null(strstr(text_of(&f), "\"oldest_wait_seconds\":60,"));
    buffer_clear(&f.out);
    assert_int_equal(api_render_pool(call_at(&f, scenario_at(63)), gpu[0]), ERROR_BUSY);
    assert_string_equal(f.error.message, "the pool is new, try again in some seconds");
    cache.kept_until = timestamp_monotonic();
    buffer_clear(&f.out);
    assert_int_equal(api_render_pool(call_at(&f, scenario_at(63)), gpu[0]), ERROR_NONE);
    pools_cache_release(&cache);
    close_fixture(&f);
}

static void a_pool_that_does_not_exist_is_not_found(void **state)
{
    static char long_name[LABELS_TEXT_MAX + 1];
    const struct slice names[] = {SLICE("gpu"), SLICE(""), {long_name, sizeof long_name}};
    struct fixture f;
    (void)state;
    memset(long_name, 'a', sizeof long_name);
    open_fixture(&f);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const struct pool_history_span span = {.window = NS_PER_HOUR};
        assert_int_equal(api_render_history(call_at(&f, scenario_at(63)), names[i], &span),
                         ERROR_NOT_FOUND);
        assert_string_equal(f.error.message, "there is no such pool");
        buffer_clear(&f.out);
        assert_int_equal(api_render_pool(call_at(&f, scenario_at(63)), names[i]), ERROR_NOT_FOUND);
        assert_string_equal(f.error.message, "there is no such pool");
        buffer_clear(&f.out);
        const struct api_pool_jobs_query jobs = {.limit = 10};
        assert_int_equal(api_render_pool_jobs(call_at(&f, scenario_at(63)), names[i], &jobs),
                         ERROR_NOT_FOUND);
        assert_string_equal(f.error.message, "there is no such pool");
        buffer_clear(&f.out);
    }
    close_fixture(&f);
}

static enum error_code render_latency(struct fixture *f, timestamp_ns now,
                                      const struct pool_history_span *span)
{
    const struct api_latency_query query = {.span = *span, .limit = API_LATENCY_LIMIT};
    return api_render_latency(call_at(f, now), &query, NULL);
}

static const struct pool_history_span last_hour = {.window = 0};

static void latencies_are_those_of_the_window(void **state)
{
    const struct pool_history_span day = {.window = NS_PER_DAY};
    struct fixture f;
    (void)state;
    open_fixture(&f);
    finish_runs(&f, 1000, 4); // each queued for 4 s
    assert_int_equal(render_latency(&f, scenario_at(100), &last_hour), ERROR_NONE);
    const char *text = text_of(&f);
    assert_non_null(strstr(text, "\"count\":4,\"p50\":4,\"p90\":4,\"p99\":4,\"max\":4,"));
    assert_int_equal(count_in(text, "\"start\""), 12);
    buffer_clear(&f.out);
    assert_int_equal(render_latency(&f, scenario_at(2 * 3600), &last_hour), ERROR_NONE);
    assert_non_null(strstr(text_of(&f), "\"pools\":[]"));
    buffer_clear(&f.out);
    assert_int_equal(render_latency(&f, scenario_at(2 * 3600), &day), ERROR_NONE);
    assert_int_equal(count_in(text_of(&f), "\"start\""), 24);
    close_fixture(&f);
}

static void check_latency(struct fixture *f, const struct pool_history_span *span, int slots,
                          const char *text)
{
    buffer_clear(&f->out);
    assert_int_equal(render_latency(f, scenario_at(2 * 3600), span), ERROR_NONE);
    assert_int_equal(count_in(text_of(f), "\"start\""), slots);
    if (strstr(text_of(f), text) == NULL)
        fail_msg("%s has no %s", text_of(f), text);
}

// By slots of the last day, by minutes and by hours.
static void latency_of_any_time_has_the_same_waits(void **state)
{
    static const char text[] = "\"count\":4,\"p50\":4,\"p90\":4,\"p99\":4,\"max\":4,";
    const duration_ns hour = NS_PER_HOUR;
    struct fixture f;
    (void)state;
    open_fixture(&f);
    finish_runs(&f, 1000, 4); // each queued for 4 s
    check_latency(&f, &(struct pool_history_span){.window = 6 * hour}, 24, text);
    check_latency(&f, &(struct pool_history_span){.window = 48 * hour}, 48, text);
    check_latency(&f, &(struct pool_history_span){.window = 7 * NS_PER_DAY}, 84, text);
    check_latency(&f, &(struct pool_history_span){.window = 35 * NS_PER_DAY}, 70, text);
    check_latency(&f, &(struct pool_history_span){.from = scenario_at(0), .to = scenario_at(120)},
                  3, text);
    check_latency(&f, &(struct pool_history_span){.from = scenario_at(600)}, 0, "\"pools\":[]");
    assert_int_equal(render_latency(&f, scenario_at(100),
                                    &(struct pool_history_span){.window = 36 * NS_PER_DAY}),
                     ERROR_USAGE);
    assert_string_equal(f.error.message, "window: want a time from 1m to 35d");
    close_fixture(&f);
}

static void the_worst_pool_is_first_if_that_is_asked_for(void **state)
{
    const struct slice labels[] = {SLICE("slow")};
    struct scenario_delivery slow = scenario_job(900, GITHUB_JOB_COMPLETED, 961, 2, 906, 960);
    struct api_latency_query query = {.limit = 1};
    struct fixture f;
    (void)state;
    open_fixture(&f);
    finish_runs(&f, 1000, 4);
    slow.event.job.labels = labels;
    slow.event.job.label_count = 1;
    deliver(&f, slow, 7);
    assert_int_equal(api_render_latency(call_at(&f, scenario_at(1000)), &query, NULL), ERROR_NONE);
    assert_null(strstr(text_of(&f), "\"slow\""));
    assert_non_null(strstr(text_of(&f), "\"pool_count\":2,"));
    assert_non_null(strstr(text_of(&f), "\"more\":true"));
    buffer_clear(&f.out);
    query.is_worst_first = true;
    assert_int_equal(api_render_latency(call_at(&f, scenario_at(1000)), &query, NULL), ERROR_NONE);
    assert_non_null(strstr(text_of(&f), "\"pool\":\"slow\""));
    assert_int_equal(count_in(text_of(&f), "{\"pool\":"), 1);
    close_fixture(&f);
}

static void reading_latencies_can_be_cancelled(void **state)
{
    const struct api_latency_query query = {.limit = 1};
    const atomic_bool is_cancelled = true;
    struct fixture f;
    (void)state;
    open_fixture(&f);
    assert_int_equal(api_render_latency(call_at(&f, scenario_at(100)), &query, &is_cancelled),
                     ERROR_CLOSED);
    close_fixture(&f);
}

static struct slice string_at(const struct json_document *document, json_value object,
                              const char *key, struct arena *arena)
{
    struct slice text = SLICE_EMPTY;
    assert_true(
        json_string(document, json_get(document, object, slice_from_string(key)), arena, &text));
    return text;
}

static json_value first_of(const struct json_document *document, const char *list)
{
    return json_first_element(document, json_get(document, JSON_ROOT, slice_from_string(list)));
}

static void parse(struct fixture *f, struct json_document *document)
{
    if (json_parse(buffer_slice(&f->out), &f->arena, document, &f->error) != ERROR_NONE)
        fail_msg("%s: %.*s", f->error.message, (int)f->out.len, f->out.data);
}

// Whatever the names are: each response is valid JSON with exactly these names.
static void hostile_names_are_returned_unchanged(void **state)
{
    static const char name[] = "\"},{\"x\":\\ </script>\n\r\t\x01\x1b[2J\x7f\u2028\u202e\U0001F680";
    static const char label[] = "a\"b\\c";
    const struct slice labels[] = {slice_from_string(label)};
    struct scenario_delivery queued = scenario_job(3, GITHUB_JOB_QUEUED, 4, 3, 3, -1);
    struct scenario_delivery done = scenario_job(4, GITHUB_JOB_COMPLETED, 61, 2, 6, 60);
    struct scenario_delivery requested = scenario_run(GITHUB_RUN_REQUESTED, 1, "");
    const struct api_queue_query queue = {.limit = 10};
    const struct api_runs_query open = {.open = true, .limit = 10};
    struct scenario_delivery *jobs[] = {&queued, &done};
    struct json_document document;
    struct fixture f;
    (void)state;
    open_fixture(&f);
    for (size_t i = 0; i < 2; i++) {
        struct github_job *job = &jobs[i]->event.job;
        job->name = job->workflow_name = job->head_branch = slice_from_string(name);
        job->labels = labels;
        job->label_count = 1;
        deliver(&f, *jobs[i], 7);
    }
    requested.event.run.display_title = slice_from_string(name);
    deliver(&f, requested, 7);

    assert_int_equal(api_render_queue(call_at(&f, scenario_at(90)), &queue), ERROR_NONE);
    parse(&f, &document);
    assert_true(slice_equals(string_at(&document, first_of(&document, "jobs"), "name", &f.arena),
                             slice_from_string(name)));
    assert_true(slice_equals(string_at(&document, first_of(&document, "jobs"), "branch", &f.arena),
                             slice_from_string(name)));

    buffer_clear(&f.out);
    assert_int_equal(api_render_runs(call_at(&f, scenario_at(90)), &open), ERROR_NONE);
    parse(&f, &document);
    assert_true(slice_equals(string_at(&document, first_of(&document, "runs"), "title", &f.arena),
                             slice_from_string(name)));

    buffer_clear(&f.out);
    assert_int_equal(api_render_run(call_at(&f, scenario_at(90)),
                                    &(struct run_selector){.run_id = 7, .run_attempt = 1}),
                     ERROR_NONE);
    parse(&f, &document);
    size_t count = 0;
    for (json_value job = first_of(&document, "jobs"); job != JSON_NONE;
         job = json_next_element(&document, job), count++)
        assert_true(
            slice_equals(string_at(&document, job, "name", &f.arena), slice_from_string(name)));
    assert_int_equal(count, 2); // one open, one finished

    buffer_clear(&f.out);
    assert_int_equal(
        api_render_spans(call_at(&f, 1), &(struct run_selector){.run_id = 7, .run_attempt = 1}),
        ERROR_NONE);
    parse(&f, &document);
    buffer_clear(&f.out);
    assert_int_equal(render_latency(&f, scenario_at(90), &last_hour), ERROR_NONE);
    parse(&f, &document);
    close_fixture(&f);
}

static enum error_code render_all(struct fixture *f)
{
    const struct api_queue_query queue = {.limit = 10};
    const struct api_runs_query open = {.open = true, .limit = 10}, finished = {.limit = 10};
    enum error_code code = api_render_queue(call_at(f, scenario_at(90)), &queue);
    if (code == ERROR_NONE)
        code = api_render_runs(call_at(f, scenario_at(90)), &open);
    if (code == ERROR_NONE)
        code = api_render_runs(call_at(f, scenario_at(90)), &finished);
    if (code == ERROR_NONE)
        code = api_render_run(call_at(f, scenario_at(90)),
                              &(struct run_selector){.run_id = 1000, .run_attempt = 1});
    if (code == ERROR_NONE)
        code = api_render_spans(call_at(f, 1),
                                &(struct run_selector){.run_id = 1000, .run_attempt = 1});
    if (code == ERROR_NONE)
        code = render_latency(f, scenario_at(90), &last_hour);
    return code == ERROR_NONE ? api_render_status(call_at(f, scenario_at(90))) : code;
}

static void any_refused_allocation_is_an_error_with_a_message(void **state)
{
    struct fixture f;
    bool is_done = false;
    (void)state;
    open_fixture(&f);
    finish_runs(&f, 1000, 2);
    deliver(&f, scenario_job(3, GITHUB_JOB_QUEUED, 4, 3, 3, -1), 7);
    for (long nth = 1; !is_done; nth++) {
        arena_release(&f.arena);
        buffer_release(&f.out);
        f.error = (struct error){0};
        memory_fail_after(nth);
        enum error_code code = render_all(&f);
        memory_fail_after(-1);
        is_done = code == ERROR_NONE;
        assert_true(is_done || code == ERROR_MEMORY);
        assert_true(is_done || f.error.message[0] != '\0');
    }
    close_fixture(&f);
}

// --- what cannot be read ----------------------------------------------------------------------------

// Overwrites the state of a job or run.
static void damage(struct fixture *f, const struct store_key *key, struct slice state)
{
    struct store_transaction *transaction;
    assert_int_equal(store_begin(f->bench.store, true, &transaction, &f->error), ERROR_NONE);
    assert_int_equal(store_put_span(transaction, key, state, &f->error), ERROR_NONE);
    assert_int_equal(store_commit(transaction, &f->error), ERROR_NONE);
}

static const char *queue_of(struct fixture *f, size_t limit)
{
    const struct api_queue_query query = {.limit = limit};
    buffer_clear(&f->out);
    assert_int_equal(api_render_queue(call_at(f, scenario_at(200)), &query), ERROR_NONE);
    return text_of(f);
}

static void lists_omit_unreadable_entries_and_count_them(void **state)
{
    static const struct slice states[] = {
        {"", 0}, {"J", 1}, {"X", 1}, {"R\x01", 2}, {"J\x01\xff", 3}};
    (void)state;
    for (size_t i = 0; i < sizeof states / sizeof states[0]; i++) {
        struct fixture f;
        open_fixture(&f);
        for (int64_t run = 1000; run < 1003; run++)
            deliver(&f, scenario_job(run + JOB_IDS, GITHUB_JOB_QUEUED, 4, 3, 3, -1), run);
        const struct store_key job = {.trace = trace_id_of_run(ID_SCHEME_ARC, 1000, 1),
                                      .span = stored_span_of_job(1000, 1000 + JOB_IDS)};
        const struct store_key run = {.trace = trace_id_of_run(ID_SCHEME_ARC, 1001, 1),
                                      .span = span_id_of_run(ID_SCHEME_ARC, 1001, 1)};
        damage(&f, &job, states[i]);
        damage(&f, &run, states[i]);
        const char *text =
            queue_of(&f, 2); // entries that are left out do not count against the limit
        assert_int_equal(count_in(text, "\"job_id\""), 2);
        assert_non_null(strstr(text, "\"unreadable\":1"));
        text = runs(&f, (struct api_runs_query){.open = true, .limit = 10});
        assert_int_equal(count_in(text, "\"trace_id\""), 3); // a job names the run 1001
        assert_int_equal(count_in(text, "\"job_id\""), 2);
        assert_non_null(strstr(text, "\"unreadable\":2"));
        close_fixture(&f);
    }
}

static void an_open_run_without_any_state_is_left_out(void **state)
{
    struct fixture f;
    struct store_transaction *transaction;
    (void)state;
    open_fixture(&f);
    deliver(&f, scenario_run(GITHUB_RUN_REQUESTED, 1, ""), 1000);
    deliver(&f, scenario_run(GITHUB_RUN_REQUESTED, 1, ""), 1001);
    const struct store_key key = {.trace = trace_id_of_run(ID_SCHEME_ARC, 1001, 1),
                                  .span = span_id_of_run(ID_SCHEME_ARC, 1001, 1)};
    assert_int_equal(store_begin(f.bench.store, true, &transaction, &f.error), ERROR_NONE);
    assert_int_equal(store_delete_span(transaction, &key, &f.error), ERROR_NONE);
    assert_int_equal(store_commit(transaction, &f.error), ERROR_NONE);
    const char *text = runs(&f, (struct api_runs_query){.open = true, .limit = 10});
    assert_int_equal(count_in(text, "\"trace_id\""), 1);
    assert_non_null(strstr(text, "\"unreadable\":1"));
    text =
        runs(&f, (struct api_runs_query){.open = true, .limit = 10, .repository = SLICE("octo")});
    assert_non_null(strstr(text, "\"unreadable\":1"));
    close_fixture(&f);
}

static void lists_end_early_where_entries_are_very_large(void **state)
{
    static char name[4096];
    struct fixture f;
    (void)state;
    memset(name, 'n', sizeof name);
    open_fixture(&f);
    buffer_release(&f.out);
    buffer_init(&f.out, 64 << 10);
    for (int64_t run = 1000; run < 1020; run++) {
        struct scenario_delivery job = scenario_job(run + JOB_IDS, GITHUB_JOB_QUEUED, 4, 3, 3, -1);
        job.event.job.name = (struct slice){name, sizeof name};
        deliver(&f, job, run);
    }
    const char *text = queue_of(&f, 100);
    assert_true(count_in(text, "\"job_id\"") >= 3);
    assert_non_null(strstr(text, "\"more\":true"));
    text = runs(&f, (struct api_runs_query){.open = true, .limit = 100});
    assert_true(count_in(text, "\"trace_id\"") >= 3);
    assert_non_null(strstr(text, "\"next\":\"1"));
    close_fixture(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pages_contain_every_run_once_the_newest_first),
        cmocka_unit_test(pages_of_open_runs_contain_every_run_once_the_newest_first),
        cmocka_unit_test(after_a_page_without_runs_the_first_page_follows),
        cmocka_unit_test(open_runs_are_filtered_like_finished_ones),
        cmocka_unit_test(lists_of_jobs_end_where_these_have_very_many_steps),
        cmocka_unit_test(a_search_that_compares_long_texts_continues_on_the_next_page),
        cmocka_unit_test(filters_match_substrings_ignoring_case),
        cmocka_unit_test(an_invalid_cursor_is_refused),
        cmocka_unit_test(open_runs_show_jobs_in_every_phase),
        cmocka_unit_test(open_runs_have_as_many_jobs_as_are_asked_for),
        cmocka_unit_test(a_run_is_shown_without_most_steps_or_with_one_job),
        cmocka_unit_test(a_run_is_shown_with_its_trace_and_both_attempts),
        cmocka_unit_test(without_an_attempt_the_newest_is_returned),
        cmocka_unit_test(the_error_for_a_missing_attempt_names_those_that_exist),
        cmocka_unit_test(a_missing_run_is_not_found_with_a_message),
        cmocka_unit_test(the_queue_is_filtered_by_state_and_labels_in_any_order),
        cmocka_unit_test(pools_are_listed_with_their_open_waits_the_longest_first),
        cmocka_unit_test(a_pool_is_shown_with_who_has_its_jobs_and_its_jobs_page_by_page),
        cmocka_unit_test(
            a_pool_is_shown_from_the_list_that_is_kept_and_one_that_is_newer_is_asked_for_later),
        cmocka_unit_test(a_pool_that_does_not_exist_is_not_found),
        cmocka_unit_test(latencies_are_those_of_the_window),
        cmocka_unit_test(latency_of_any_time_has_the_same_waits),
        cmocka_unit_test(the_worst_pool_is_first_if_that_is_asked_for),
        cmocka_unit_test(reading_latencies_can_be_cancelled),
        cmocka_unit_test(hostile_names_are_returned_unchanged),
        cmocka_unit_test(any_refused_allocation_is_an_error_with_a_message),
        cmocka_unit_test(lists_omit_unreadable_entries_and_count_them),
        cmocka_unit_test(an_open_run_without_any_state_is_left_out),
        cmocka_unit_test(lists_end_early_where_entries_are_very_large),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
