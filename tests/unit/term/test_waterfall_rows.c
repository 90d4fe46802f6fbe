// What each kind of row of a waterfall shows, the order of the rows, and the text below them.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pictures.h"

static void spans_of_unknown_type_are_skipped(void **state)
{
    (void)state;
    build_and_test();
    char *before = picture((struct view){.width = 120, .steps = true});
    struct arena arena;
    struct slice kept;
    arena_init(&arena, 4096);
    assert_true(arena_copy_slice(&arena, slice_from_string(before), &kept));

    sample_span(&run, "runner.teardown", SLICE("runner.teardown"), SAMPLE_START, sample_time(299));
    sample_span(&run, NULL, SLICE("runner.queue"), SAMPLE_START, sample_time(299));
    sample_batch(&run);
    sample_span(&run, "deployment", SLICE("x"), sample_time(-900), sample_time(9000));

    char *after = picture((struct view){.width = 120, .steps = true});
    assert_int_equal(strlen(after), kept.len);
    assert_memory_equal(after, kept.data, kept.len);
    arena_release(&arena);
}

static void time_outside_all_phases_is_a_line(void **state)
{
    (void)state;
    sample_root(&run, 100, "success");
    sample_job(&run, SLICE("gap"), "success", (struct sample_times){0, 0, 50, 50, 50});
    run.batches[1].spans[0].end = sample_time(100);
    assert_shows((struct view){.width = 61}, "░░░░░░░░░░░░░░░░░─────────────────");
}

static void a_job_without_phases_is_split_by_its_queue_time(void **state)
{
    (void)state;
    sample_root(&run, 100, "success");
    struct span *job =
        sample_job(&run, SLICE("bare"), "success", (struct sample_times){0, 0, 0, 0, 0});
    job->end = sample_time(100);
    assert_shows((struct view){.width = 61}, "██████████████████████████████████ ");
    sample_add_int(&job->attributes, "queue_time_ms", 50000);
    assert_shows((struct view){.width = 61}, "░░░░░░░░░░░░░░░░░█████████████████    50s  1m 40s");
    // more than the job is long, or nonsense
    job->attributes.items[job->attributes.count - 1].integer = INT64_MAX / NS_PER_MS;
    assert_shows((struct view){.width = 80}, "░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░");
    job->attributes.items[job->attributes.count - 1].integer = INT64_MIN;
    assert_shows((struct view){.width = 61}, "██████████████████████████████████ ");
}

static void intervals_shorter_than_a_column_get_a_thin_mark(void **state)
{
    (void)state;
    sample_root(&run, 10000, "success");
    sample_job(&run, SLICE("first"), "success", (struct sample_times){0, 0, 1, 1, 2});
    sample_job(&run, SLICE("last"), "success",
               (struct sample_times){10000, 10000, 10000, 10000, 10000});
    assert_shows((struct view){.width = 60}, "first     ▏");
    assert_shows((struct view){.width = 60}, "▏             0s");
    assert_shows((struct view){.width = 60, .ascii = true}, "first     |");
}

static void steps_are_shown_on_request_in_order_of_start_and_number(void **state)
{
    (void)state;
    sample_root(&run, 100, "success");
    sample_job(&run, SLICE("job"), "success", (struct sample_times){0, 0, 0, 0, 100});
    sample_step(&run, SLICE("z first"), "success", 0, 10);
    sample_step(&run, SLICE("late"), "success", 50, 60);
    sample_step(&run, SLICE("b second"), "success", 20, 30);
    sample_step(&run, SLICE("a third"), "success", 20, 20);
    assert_hides((struct view){.width = 80}, "z first");
    char *whole = picture((struct view){.width = 80, .steps = true});
    char *rows[] = {strstr(whole, "\u2713 job"), strstr(whole, "z first"),
                    strstr(whole, "b second"), strstr(whole, "a third"), strstr(whole, "late")};
    for (size_t i = 0; i < 5; i++) {
        assert_non_null(rows[i]);
        assert_true(i == 0 || rows[i - 1] < rows[i]);
    }
}

static void jobs_are_in_order_of_start_and_id(void **state)
{
    (void)state;
    sample_root(&run, 100, "success");
    struct span *last =
        sample_job(&run, SLICE("alpha"), "failure", (struct sample_times){5, 5, 5, 5, 9});
    sample_job(&run, SLICE("zeta"), "success", (struct sample_times){5, 5, 5, 5, 9});
    sample_job(&run, SLICE("late"), "success", (struct sample_times){6, 6, 6, 6, 9});
    sample_job(&run, SLICE("beta"), "success", (struct sample_times){5, 5, 5, 5, 9});
    last->attributes.items[2].integer = INT64_MAX; // github.job_id
    char *whole = picture((struct view){.width = 80});
    char *rows[] = {strstr(whole, "\u2713 zeta"), strstr(whole, "\u2713 beta"),
                    strstr(whole, "\u2717 alpha"), strstr(whole, "\u2713 late")};
    for (size_t i = 0; i < 4; i++) {
        assert_non_null(rows[i]);
        assert_true(i == 0 || rows[i - 1] < rows[i]);
    }
}

static void conclusions_of_any_kind_have_a_mark_and_a_note(void **state)
{
    (void)state;
    static const struct {
        const char *conclusion;
        const char *row;
    } cases[] = {
        {"success", "\u2713 job       ███ "},
        {"neutral", "\u2713 job       ███ neutral"},
        {"failure", "\u2717 job       ███"},
        {"timed_out", "\u2717 job       ███ timed out"},
        {"cancelled", "\u2296 job       ███ cancelled"},
        {"skipped", "\u2298 job       "},
        {"stale", "? job       ███ stale"},
        {"action_required", "? job       ███ action required"},
        {"\x1b[2J", "? job       ███ \uFFFD[2J"},
        {NULL, "? job       ███"},
        {"startup_failure", "\u2717 job       ███ startup failure"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        sample_release(&run);
        sample_root(&run, 100, "success");
        sample_job(&run, SLICE("job"), cases[i].conclusion, (struct sample_times){0, 0, 0, 0, 9});
        assert_shows((struct view){.width = 60}, cases[i].row);
    }
}

static void a_failed_job_has_its_reason(void **state)
{
    (void)state;
    static const struct {
        const char *error_type;
        const char *row;
        const char *summary;
    } cases[] = {
        {NULL, "\u2717 job       ███ failed in make", "\nfirst failure: job: failed in make\n"},
        {"failure", "\u2717 job       ███ failed in make",
         "\nfirst failure: job: failed in make\n"},
        {"runner_lost", "\u2717 job       ███ runner lost", "\nfirst failure: job: runner lost\n"},
        {"not_started", "\u2717 job       ███ not started", "\nfirst failure: job: not started\n"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        sample_release(&run);
        sample_root(&run, 100, "failure");
        struct span *job =
            sample_job(&run, SLICE("job"), "failure", (struct sample_times){0, 0, 0, 0, 9});
        sample_add(&job->attributes, "error.type", cases[i].error_type);
        sample_step(&run, SLICE("Wait for all background steps"), "failure", 0, 3);
        sample_step(&run, SLICE("late"), "failure", 2, 8);
        sample_step(&run, SLICE("make"), "failure", 0, 7);
        assert_shows((struct view){.width = 60}, cases[i].row);
        assert_shows((struct view){.width = 60}, cases[i].summary);
    }
}

static void the_summary_shows_where_the_time_was_spent(void **state)
{
    (void)state;
    sample_root(&run, 1000, "success");
    sample_job(&run, SLICE("build"), "success", (struct sample_times){0, 0, 10, 20, 700});
    // Ends last, but what made the run long is what it had to wait for.
    sample_job(&run, SLICE("publish"), "success", (struct sample_times){702, 702, 742, 750, 1000});
    sample_job(&run, SLICE("side"), "success", (struct sample_times){0, 0, 5, 6, 990});
    struct span *old =
        sample_job(&run, SLICE("old"), "success", (struct sample_times){1, 1, 400, 400, 400});
    sample_add_flag(old, "github.carried_over");
    assert_shows((struct view){.width = 200},
                 "\nqueued 55s of job time over 3 jobs; longest wait: publish 40s\n"
                 "critical path: build 11m 40s → publish 4m 58s (100% of the run)\n");
}

static void into_a_pipe_no_name_is_shortened(void **state)
{
    char name[200];
    (void)state;
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    sample_root(&run, 1000, "success");
    sample_job(&run, slice_from_string(name), "failure", (struct sample_times){0, 0, 10, 20, 700});
    sample_step(&run, slice_from_string(name), "failure", 20, 600);
    const char *whole = picture((struct view){.width = TERMINAL_WIDTH_UNLIMITED, .steps = true});
    size_t seen = 0;
    for (const char *at = whole; (at = strstr(at, name)) != NULL; at += sizeof name - 1)
        seen++;
    // Rows of the job and of its step, the first failure with both, the longest wait, the critical path.
    assert_int_equal(seen, 6);
    assert_null(strstr(picture((struct view){.width = 200, .steps = true}), name));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(spans_of_unknown_type_are_skipped),
        TEST(time_outside_all_phases_is_a_line),
        TEST(a_job_without_phases_is_split_by_its_queue_time),
        TEST(intervals_shorter_than_a_column_get_a_thin_mark),
        TEST(steps_are_shown_on_request_in_order_of_start_and_number),
        TEST(jobs_are_in_order_of_start_and_id),
        TEST(conclusions_of_any_kind_have_a_mark_and_a_note),
        TEST(a_failed_job_has_its_reason),
        TEST(the_summary_shows_where_the_time_was_spent),
        TEST(into_a_pipe_no_name_is_shortened),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
