// A replay in sentences.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "ghatrace/base/memory.h"
#include "ghatrace/term/whatif.h"

#define NOW ((timestamp_ns)1788409017 * NS_PER_SECOND) // 2026-09-03T04:16:57Z
#define SECONDS(seconds) ((int64_t)(seconds)*NS_PER_SECOND)

static const struct terminal pipe_terminal = {.width = 120, .unicode = true};

// What a pool of 7 runners was asked for, and answers with a good fit.
static struct whatif_answer usual(void)
{
    return (struct whatif_answer){
        .question = {.pool = SLICE("gpu"),
                     .has_runners = true,
                     .runners = 9,
                     .target = SECONDS(60),
                     .window = {NOW - 7 * NS_PER_DAY, NOW}},
        .name = SLICE("GPU"),
        .is_known = true,
        .kept_since = NOW - 30 * NS_PER_DAY,
        .jobs = 1243,
        .recorded = {.p50 = SECONDS(25), .p90 = SECONDS(250), .p99 = SECONDS(1860), .waiting = 9},
        .replayed = {.p50 = 0, .p90 = SECONDS(62), .p99 = SECONDS(550), .waiting = 1},
        .fewest = 10,
        .fit = {.observed = 7,
                .replayed = {.p90 = SECONDS(269)},
                .error_percent = 8,
                .is_explained = true},
    };
}

static void assert_text(const struct whatif_answer *answer, const char *expected)
{
    struct arena arena;
    struct buffer text;
    struct error error;
    arena_init(&arena, 4096);
    buffer_init(&text, WHATIF_MAX_TEXT);
    assert_int_equal(whatif_render(answer, &pipe_terminal, &arena, &text, &error), ERROR_NONE);
    assert_int_equal(buffer_append(&text, "", 1), ERROR_NONE);
    assert_string_equal(text.data, expected);
    buffer_release(&text);
    arena_release(&arena);
}

static void the_answer_comes_with_the_error_of_the_model(void **state)
{
    struct whatif_answer answer = usual();
    (void)state;
    assert_text(&answer,
                "Pool GPU: 1243 jobs became ready since 2026-08-27T04:16:57Z.\n"
                "As it was, with at most 7 busy at once: half of the jobs waited at most 25s, 90 % "
                "at most 4m 10s, 99 % at most 31m 0s; 9 still wait, counted with the wait so far.\n"
                "With 9 runners: half of the jobs waited at most 0s, 90 % at most 1m 2s, 99 % at "
                "most 9m 10s; 1 still waits, counted with the wait so far.\n"
                "The fewest runners with which 90 % wait at most 1m 0s: 10.\n"
                "The model explains the recorded p90 within 8 %: replayed with 7 runners, 90 % "
                "wait at most 4m 29s instead of 4m 10s.\n");
}

static void a_model_that_does_not_explain_the_past_comes_with_the_reasons(void **state)
{
    struct whatif_answer answer = usual();
    (void)state;
    answer.question.has_runners = false;
    answer.jobs = 12;
    answer.recorded.waiting = 0;
    answer.fit = (struct whatif_fit){.observed = 1,
                                     .replayed = {.p90 = SECONDS(20)},
                                     .error_percent = 92,
                                     .has_few_jobs = true,
                                     .has_floor = true,
                                     .floor = SECONDS(24),
                                     .has_idle = true,
                                     .idle_percent = 42};
    answer.shared_count = 7;
    for (size_t i = 0; i < 7; i++)
        answer.shared[i] = (struct whatif_shared){.name = SLICE("linux"), .jobs = 7 - i};
    answer.shared[1].name = SLICE_EMPTY;
    answer.shared[2].name = SLICE("\x1b[2J");
    assert_text(
        &answer,
        "Pool GPU: 12 jobs became ready since 2026-08-27T04:16:57Z.\n"
        "As it was, with at most 1 busy at once: half of the jobs waited at most 25s, 90 % at most "
        "4m 10s, 99 % at most 31m 0s.\n"
        "The model does not explain the recorded p90, so do not rely on it: replayed with 1 "
        "runner, 90 % wait at most 20s instead of 4m 10s.\n"
        "- There are only 12 jobs: single ones decide how long 90 % waited.\n"
        "- 9 of 10 jobs that became ready while fewer than 1 were busy waited at least 24s, as if "
        "a runner were made for each: more runners do not shorten that.\n"
        "- In 42 % of the time in which jobs waited longer than that, fewer than 1 were busy: the "
        "number of runners changed, or they were held back by other pools or by a common limit.\n"
        "- Its runners also took jobs of 7 other pools: linux (7 jobs), one that is not listed (6 "
        "jobs), �[2J (5 jobs), linux (4 jobs), linux (3 jobs), ....\n"
        "The fewest runners with which 90 % wait at most 1m 0s: 10.\n");
    answer.fit = (struct whatif_fit){.observed = 2, .error_percent = 50};
    answer.shared_count = 0;
    answer.jobs = 1;
    assert_text(&answer, "Pool GPU: 1 job became ready since 2026-08-27T04:16:57Z.\n"
                         "As it was, with at most 2 busy at once: half of the jobs waited at most "
                         "25s, 90 % at most 4m 10s, 99 % at most 31m 0s.\n"
                         "The model does not explain the recorded p90, so do not rely on it: "
                         "replayed with 2 runners, 90 % wait at most 0s instead of 4m 10s.\n"
                         "- The records show no reason.\n"
                         "The fewest runners with which 90 % wait at most 1m 0s: 10.\n");
}

static void a_limit_above_the_pool_is_named_first(void **state)
{
    static const struct ceiling_rule hosted = {.name = {"hosted", 6}, .limit = 60};
    struct whatif_answer answer = usual();
    (void)state;
    answer.ceiling = &hosted;
    answer.question.has_runners = false;
    answer.recorded.waiting = 0;
    assert_text(&answer,
                "Pool GPU: 1243 jobs became ready since 2026-08-27T04:16:57Z.\n"
                "Its jobs count towards the ceiling \"hosted\" of 60 running jobs: while that "
                "is reached, more runners of this pool do not help.\n"
                "As it was, with at most 7 busy at once: half of the jobs waited at most "
                "25s, 90 % at most 4m 10s, 99 % at most 31m 0s.\n"
                "The fewest runners with which 90 % wait at most 1m 0s: 10.\n"
                "The model explains the recorded p90 within 8 %: replayed with 7 runners, "
                "90 % wait at most 4m 29s instead of 4m 10s.\n");
}

static void a_difference_within_the_precision_of_times_is_named_as_such(void **state)
{
    struct whatif_answer answer = usual();
    struct arena arena;
    struct buffer text;
    struct error error;
    (void)state;
    answer.fit.error_percent = 100;
    arena_init(&arena, 4096);
    buffer_init(&text, WHATIF_MAX_TEXT);
    assert_int_equal(whatif_render(&answer, &pipe_terminal, &arena, &text, &error), ERROR_NONE);
    assert_true(slice_find(buffer_slice(&text),
                           SLICE("The model explains the recorded p90 within 2s: ")) > 0);
    buffer_release(&text);
    arena_release(&arena);
}

static void without_jobs_there_is_only_the_first_line(void **state)
{
    struct whatif_answer answer = usual();
    (void)state;
    answer.jobs = 0;
    assert_text(&answer, "Pool GPU: 0 jobs became ready since 2026-08-27T04:16:57Z.\n");
    answer.kept_since = NOW - NS_PER_HOUR;
    assert_text(&answer,
                "Pool GPU: 0 jobs became ready since 2026-08-27T04:16:57Z.\n"
                "The first completed job that is stored ended at 2026-09-03T03:16:57Z; what "
                "was before is not known.\n");
}

static void assert_refusal(const struct whatif_answer *answer, const char *expected)
{
    struct arena arena;
    struct error error;
    arena_init(&arena, 4096);
    assert_int_equal(whatif_refuse(answer, &pipe_terminal, &arena, &error), ERROR_NOT_FOUND);
    assert_string_equal(error.message, expected);
    arena_release(&arena);
}

static void an_unknown_pool_is_refused_with_names_near_it(void **state)
{
    struct whatif_answer answer = {.question = {.pool = SLICE("gpux")}};
    char long_name[200];
    (void)state;
    assert_refusal(&answer, "there is no pool \"gpux\", nor any other yet");
    answer.near[0] = SLICE("gpu");
    answer.near_count = 1;
    answer.is_similar = true;
    assert_refusal(&answer, "there is no pool \"gpux\": did you mean \"gpu\"?");
    answer.near[1] = SLICE("gpu\n2");
    answer.near_count = 2;
    assert_refusal(&answer, "there is no pool \"gpux\": did you mean \"gpu\" or \"gpu\xef\xbf\xbd"
                            "2\"?");
    answer.is_similar = false;
    answer.near_count = 1;
    assert_refusal(&answer, "there is no pool \"gpux\": there is for example \"gpu\"");
    memset(long_name, 'x', sizeof long_name);
    answer.question.pool = (struct slice){long_name, sizeof long_name};
    for (size_t i = 0; i < WHATIF_VIEW_NEAR; i++)
        answer.near[i] = answer.question.pool;
    answer.near_count = WHATIF_VIEW_NEAR;
    struct arena arena;
    struct error error;
    arena_init(&arena, 4096);
    assert_int_equal(whatif_refuse(&answer, &pipe_terminal, &arena, &error), ERROR_NOT_FOUND);
    assert_true(strlen(error.message) < sizeof error.message - 1); // nothing is cut
    arena_release(&arena);
}

static void a_text_that_does_not_fit_is_an_error(void **state)
{
    struct whatif_answer answer = usual();
    struct arena arena;
    struct buffer text;
    struct error error;
    (void)state;
    arena_init(&arena, 4096);
    buffer_init(&text, 100);
    assert_int_equal(whatif_render(&answer, &pipe_terminal, &arena, &text, &error),
                     ERROR_TOO_LARGE);
    buffer_release(&text);
    arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_answer_comes_with_the_error_of_the_model),
        cmocka_unit_test(a_model_that_does_not_explain_the_past_comes_with_the_reasons),
        cmocka_unit_test(a_limit_above_the_pool_is_named_first),
        cmocka_unit_test(a_difference_within_the_precision_of_times_is_named_as_such),
        cmocka_unit_test(without_jobs_there_is_only_the_first_line),
        cmocka_unit_test(an_unknown_pool_is_refused_with_names_near_it),
        cmocka_unit_test(a_text_that_does_not_fit_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
