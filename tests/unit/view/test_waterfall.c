// The waterfall as people see it: whole pictures, as text.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ghatrace/base/memory.h"
#include "ghatrace/view/waterfall.h"

#include "sample_run.h"

static struct sample_run run;

static int set_up(void **state)
{
    (void)state;
    sample_init(&run);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    sample_release(&run);
    return 0;
}

struct view {
    size_t width;
    bool colour;
    bool ascii;
    bool steps;
};

static enum error_code draw(struct view view, struct arena *arena, struct buffer *text)
{
    struct waterfall_options options = {
        .terminal = {.width = view.width, .colour = view.colour, .unicode = !view.ascii},
        .steps = view.steps,
    };
    struct error error;
    enum error_code code = waterfall_render(run.batches, run.count, &options, arena, text, &error);
    if (code != ERROR_NONE)
        assert_int_equal(error.code, code);
    return code;
}

static void assert_picture(struct view view, const char *expected)
{
    struct arena arena;
    struct buffer text;

    arena_init(&arena, 4096);
    buffer_init(&text, 1 << 20);
    assert_int_equal(draw(view, &arena, &text), ERROR_NONE);
    assert_int_equal(buffer_append(&text, "", 1), ERROR_NONE);
    assert_string_equal(text.data, expected);
    buffer_release(&text);
    arena_release(&arena);
}

// A picture of what is drawn, for a look at details.
static char *picture(struct view view)
{
    static char copy[1 << 18];
    struct arena arena;
    struct buffer text;

    arena_init(&arena, 4096);
    buffer_init(&text, sizeof(copy) - 1);
    assert_int_equal(draw(view, &arena, &text), ERROR_NONE);
    memcpy(copy, text.data, text.len);
    copy[text.len] = '\0';
    buffer_release(&text);
    arena_release(&arena);
    return copy;
}

static void assert_shows(struct view view, const char *part)
{
    char *whole = picture(view);
    if (strstr(whole, part) == NULL)
        fail_msg("not shown: %s\n%s", part, whole);
}

static void assert_hides(struct view view, const char *part)
{
    char *whole = picture(view);
    if (strstr(whole, part) != NULL)
        fail_msg("shown: %s\n%s", part, whole);
}

static void build_and_test(void)
{
    sample_root(&run, 300, "failure");
    sample_job(&run, SLICE("test (3.12)"), "failure", (struct sample_times){62, 62, 110, 125, 290});
    sample_step(&run, SLICE("Set up job"), "success", 110, 112);
    sample_step(&run, SLICE("Run actions/checkout@v4"), "success", 125, 128);
    sample_step(&run, SLICE("pytest"), "failure", 128, 288);
    sample_step(&run, SLICE("Upload coverage"), "skipped", 288, 288);
    sample_job(&run, SLICE("build / linux"), "success", (struct sample_times){0, 0, 20, 30, 60});
    sample_job(&run, SLICE("deploy"), "skipped", (struct sample_times){291, 291, 291, 291, 291});
}

static void a_run_is_drawn_on_one_axis(void **state)
{
    (void)state;
    build_and_test();
    assert_picture(
        (struct view){.width = 80},
        "octo-org/shop · CI #1482 · attempt 1 · ✗ failure · 5m\n"
        "Add a price to the list · push · main @ 4f2c1a9 · by octocat\n"
        "2026-09-03T04:16:57Z\n"
        "trace a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7\n"
        "https://github.com/octo-org/shop/actions/runs/33714470481\n"
        "\n"
        "                 0s        1m        2m       3m        4m          queue  total\n"
        "                 ┬─────────┬─────────┬────────┬─────────┬─────────\n"
        "✗ RUN CI         ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━            5m\n"
        "✓ build / linux  ░░░▒▒█████┊         ┊        ┊         ┊             20s     1m\n"
        "✗ test (3.12)              ░░░░░░░░▒▒███████████████████████████      48s  3m48s\n"
        "⊘ deploy                   ┊         ┊        ┊          skipped ▏            0s\n"
        "\n"
        "queued 1m08s of job time over 2 jobs; longest wait: test (3.12) 48s\n"
        "critical job: test (3.12) 3m48s (76% of the run)\n"
        "░ queue  ▒ start-up  █ execution  ✓ success  ✗ failure  ⊘ skipped\n");
}

static void the_same_run_fits_forty_columns(void **state)
{
    (void)state;
    build_and_test();
    assert_picture((struct view){.width = 40}, "octo-org/shop · CI #1482 · attempt 1\n"
                                               "✗ failure · 5m\n"
                                               "Add a price to the list · push\n"
                                               "main @ 4f2c1a9 · by octocat\n"
                                               "2026-09-03T04:16:57Z\n"
                                               "trace a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7\n"
                                               "https://github.com/octo-org/shop/actions\n"
                                               "/runs/33714470481\n"
                                               "\n"
                                               "             0s    2m    4m  queue total\n"
                                               "             ┬─────┬─────┬──\n"
                                               "✗ RUN CI     ━━━━━━━━━━━━━━━          5m\n"
                                               "✓ buil…linux ░██   ┊     ┊     20s    1m\n"
                                               "✗ test…3.12)    ░░▒█████████   48s 3m48s\n"
                                               "⊘ deploy           skipped ▏          0s\n"
                                               "\n"
                                               "queued 1m08s of job time over 2 jobs\n"
                                               "longest wait: test (3.12) 48s\n"
                                               "critical job: test (3.12) 3m48s\n"
                                               "░ queue  ▒ start-up  █ execution\n"
                                               "✓ success  ✗ failure  ⊘ skipped\n");
}

static void the_same_run_in_plain_ascii(void **state)
{
    (void)state;
    build_and_test();
    assert_picture(
        (struct view){.width = 80, .ascii = true, .steps = true},
        "octo-org/shop - CI #1482 - attempt 1 - FAIL failure - 5m\n"
        "Add a price to the list - push - main @ 4f2c1a9 - by octocat\n"
        "2026-09-03T04:16:57Z\n"
        "trace a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7\n"
        "https://github.com/octo-org/shop/actions/runs/33714470481\n"
        "\n"
        "                              0s            2m             4m       queue  total\n"
        "                              +-------------+--------------+------\n"
        "FAIL RUN CI                   ====================================            5m\n"
        "ok   build / linux            --++###                                 20s     1m\n"
        "FAIL test (3.12)                     ------++####################     48s  3m48s\n"
        "  ok   Set up job                          |                                  2s\n"
        "  ok   Run actions/che..t@v4                 |                                3s\n"
        "  FAIL pytest                                ====================          2m40s\n"
        "  skip Upload coverage                                           |            0s\n"
        "skip deploy                                              skipped |            0s\n"
        "\n"
        "queued 1m08s of job time over 2 jobs; longest wait: test (3.12) 48s\n"
        "critical job: test (3.12) 3m48s (76% of the run)\n"
        "- queue  + start-up  # execution  ok success  FAIL failure  skip skipped\n");
}

static void an_approval_is_told_from_a_queue(void **state)
{
    (void)state;
    sample_root(&run, 7200, "success");
    sample_job(&run, SLICE("build"), "success", (struct sample_times){0, 0, 6, 12, 600});
    sample_job(&run, SLICE("deploy / production"), "success",
               (struct sample_times){600, 5400, 6000, 6600, 7200});
    assert_picture(
        (struct view){.width = 80},
        "octo-org/shop · CI #1482 · attempt 1 · ✓ success · 2h\n"
        "Add a price to the list · push · main @ 4f2c1a9 · by octocat\n"
        "2026-09-03T04:16:57Z\n"
        "trace a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7\n"
        "https://github.com/octo-org/shop/actions/runs/33714470481\n"
        "\n"
        "                       0s         30m        1h        1h30m        queue  total\n"
        "                       ┬──────────┬──────────┬─────────┬──────────\n"
        "✓ RUN CI               ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━            2h\n"
        "✓ build                ████       ┊          ┊         ┊               6s    10m\n"
        "✓ deploy / production      ····························░░░░▒▒▒████    10m  1h50m\n"
        "\n"
        "queued 10m06s of job time over 2 jobs; longest wait: deploy / production 10m\n"
        "held by environment rules: deploy / production 1h20m\n"
        "critical job: deploy / production 1h50m (92% of the run)\n"
        "· waiting  ░ queue  ▒ start-up  █ execution  ✓ success\n");
}

static void six_hours_beside_three_seconds_in_a_second_attempt(void **state)
{
    (void)state;
    sample_root(&run, 21600, "cancelled");
    struct span *old =
        sample_job(&run, SLICE("prepare"), "success", (struct sample_times){1, 1, 1, 1, 1});
    sample_add_flag(old, "github.carried_over");
    sample_job(&run, SLICE("three seconds"), "success", (struct sample_times){2, 2, 2, 2, 5});
    sample_job(&run, SLICE("six hours"), "timed_out", (struct sample_times){2, 2, 30, 60, 21600});
    struct span *lost =
        sample_job(&run, SLICE("lost"), NULL, (struct sample_times){2, 2, 1800, 2400, 9000});
    sample_add_flag(lost, "github.incomplete");
    assert_picture(
        (struct view){.width = 80},
        "octo-org/shop · CI #1482 · attempt 1 · ⊖ cancelled · 6h\n"
        "Add a price to the list · push · main @ 4f2c1a9 · by octocat\n"
        "2026-09-03T04:16:57Z\n"
        "trace a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7\n"
        "https://github.com/octo-org/shop/actions/runs/33714470481\n"
        "\n"
        "                 0s              2h              4h                 queue  total\n"
        "                 ┬───────────────┬───────────────┬───────────────\n"
        "⊖ RUN CI         ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━             6h\n"
        "↺ prepare        ▏ carried over from the attempt before                       0s\n"
        "? lost           ░░░░▒███████████████ incomplete ┊                 29m58s  2h30m\n"
        "✗ six hours      ████████████████████████████████████████████████     28s     6h\n"
        "✓ three seconds  ▏               ┊               ┊                            3s\n"
        "\n"
        "queued 30m26s of job time over 2 jobs; longest wait: lost 29m58s\n"
        "critical job: six hours 6h (100% of the run)\n"
        "░ queue  ▒ start-up  █ execution  ✓ success  ✗ failure  ⊖ cancelled\n"
        "↺ carried over  ? other or no result\n");
}

static void without_a_root_the_run_is_still_open(void **state)
{
    (void)state;
    sample_job(&run, SLICE("lint"), "success", (struct sample_times){2, 2, 8, 12, 95});
    sample_job(&run, SLICE("test"), "success", (struct sample_times){3, 3, 38, 52, 75});
    assert_picture((struct view){.width = 60},
                   "octo-org/shop · CI · attempt 1 · still open · 1m33s so far\n"
                   "main @ 4f2c1a9 · 2026-09-03T04:16:59Z\n"
                   "trace a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7\n"
                   "https://github.com/octo-org/shop/actions/runs/33714470481\n"
                   "\n"
                   "            0s         30s        1m            queue  total\n"
                   "            ┬──────────┬──────────┬──────────┬\n"
                   "✓ lint      ░░▒▒██████████████████████████████     6s  1m33s\n"
                   "✓ test      ░░░░░░░░░░░░░▒▒▒▒▒█████████      ┊    35s  1m12s\n"
                   "\n"
                   "queued 41s of job time over 2 jobs; longest wait: test 35s\n"
                   "critical job: lint 1m33s\n"
                   "░ queue  ▒ start-up  █ execution  ✓ success\n");
}

static void a_run_without_jobs_is_a_root_alone(void **state)
{
    (void)state;
    sample_root(&run, 3, "startup_failure");
    assert_picture((struct view){.width = 60},
                   "octo-org/shop · CI #1482 · attempt 1 · ✗ startup_failure\n"
                   "3s\n"
                   "Add a price to the list · push · main @ 4f2c1a9 · by octocat\n"
                   "2026-09-03T04:16:57Z\n"
                   "trace a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7\n"
                   "https://github.com/octo-org/shop/actions/runs/33714470481\n"
                   "\n"
                   "            0s         1s          2s           queue  total\n"
                   "            ┬──────────┬───────────┬──────────\n"
                   "✗ RUN CI    ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━            3s\n"
                   "\n"
                   "✗ failure\n");
}

static void colours_tell_phases_and_results_apart(void **state)
{
    (void)state;
    sample_root(&run, 40, "failure");
    sample_job(&run, SLICE("a"), "failure", (struct sample_times){0, 10, 20, 30, 40});
    assert_picture(
        (struct view){.width = 40, .colour = true},
        "\x1b[0;1mocto-org/shop \x1b[0;90m· \x1b[0;1mCI #1482 \x1b[0;90m· \x1b[0mattempt 1\n"
        "\x1b[0;31m✗ failure \x1b[0;90m· \x1b[0;1m40s\x1b[0m\n"
        "Add a price to the list \x1b[0;90m· push\x1b[0m\n"
        "\x1b[0;90mmain @ 4f2c1a9 · by octocat\x1b[0m\n"
        "\x1b[0;90m2026-09-03T04:16:57Z\x1b[0m\n"
        "\x1b[0;90mtrace a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7\x1b[0m\n"
        "\x1b[0;90mhttps://github.com/octo-org/shop/actions\x1b[0m\n"
        "\x1b[0;90m/runs/33714470481\x1b[0m\n"
        "\n"
        "           \x1b[0;90m0s    15s    30s  queue total\x1b[0m\n"
        "           \x1b[0;90m┬─────┬──────┬───\x1b[0m\n"
        "\x1b[0;31m✗ \x1b[0;1mRUN CI   \x1b[0;31m━━━━━━━━━━━━━━━━━         \x1b[0;1m40s\x1b[0m\n"
        "\x1b[0;31m✗ \x1b[0ma        \x1b[0;90m····\x1b[0;33m░░░░░\x1b[0;36m▒▒▒▒\x1b[0;31m████   "
        "\x1b[0;33m10s   \x1b[0m40s\n"
        "\n"
        "queued 10s of job time over 1 job\n"
        "longest wait: a 10s\n"
        "held by environment rules: a 10s\n"
        "critical job: a 40s\n"
        "\x1b[0;90m· waiting  \x1b[0;33m░ queue  \x1b[0;36m▒ start-up\x1b[0m\n"
        "\x1b[0;32m█ execution  \x1b[0;31m✗ failure\x1b[0m\n");
}

static void nothing_finished_says_so_and_what_to_do(void **state)
{
    (void)state;
    assert_picture((struct view){.width = 80},
                   "nothing of this run is finished yet: `ghatrace runs` shows what is open\n");
    sample_batch(&run); // a record without spans
    assert_picture((struct view){.width = 40}, "nothing of this run is finished yet:\n"
                                               "`ghatrace runs` shows what is open\n");
}

static void spans_of_unknown_type_are_passed_over(void **state)
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

static void what_no_phase_covers_is_a_line(void **state)
{
    (void)state;
    sample_root(&run, 100, "success");
    sample_job(&run, SLICE("gap"), "success", (struct sample_times){0, 0, 50, 50, 50});
    run.batches[1].spans[0].end = sample_time(100);
    assert_shows((struct view){.width = 60}, "░░░░░░░░░░░░░░░░░─────────────────");
}

static void a_job_without_phases_is_split_by_its_queue_time(void **state)
{
    (void)state;
    sample_root(&run, 100, "success");
    struct span *job =
        sample_job(&run, SLICE("bare"), "success", (struct sample_times){0, 0, 0, 0, 0});
    job->end = sample_time(100);
    assert_shows((struct view){.width = 60}, "██████████████████████████████████ ");
    sample_add_int(&job->attributes, "queue_time_ms", 50000);
    assert_shows((struct view){.width = 60}, "░░░░░░░░░░░░░░░░░█████████████████    50s  1m40s");
    // more than the job is long, or nonsense
    job->attributes.items[job->attributes.count - 1].integer = INT64_MAX / NS_PER_MS;
    assert_shows((struct view){.width = 80}, "░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░░");
    job->attributes.items[job->attributes.count - 1].integer = INT64_MIN;
    assert_shows((struct view){.width = 60}, "██████████████████████████████████ ");
}

static void what_is_shorter_than_a_column_gets_a_thin_mark(void **state)
{
    (void)state;
    sample_root(&run, 10000, "success");
    sample_job(&run, SLICE("first"), "success", (struct sample_times){0, 0, 1, 1, 2});
    sample_job(&run, SLICE("last"), "success",
               (struct sample_times){10000, 10000, 10000, 10000, 10000});
    assert_shows((struct view){.width = 60}, "first     ▏");
    assert_shows((struct view){.width = 60}, "▏            0s");
    assert_shows((struct view){.width = 60, .ascii = true}, "first     |");
}

static void steps_are_shown_when_asked_for_in_order_of_start_and_number(void **state)
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

static void jobs_are_in_order_of_start_name_and_id(void **state)
{
    (void)state;
    sample_root(&run, 100, "success");
    struct span *twin =
        sample_job(&run, SLICE("twin"), "failure", (struct sample_times){5, 5, 5, 5, 9});
    sample_job(&run, SLICE("twin"), "success", (struct sample_times){5, 5, 5, 5, 9});
    sample_job(&run, SLICE("late"), "success", (struct sample_times){6, 6, 6, 6, 9});
    sample_job(&run, SLICE("alpha"), "success", (struct sample_times){5, 5, 5, 5, 9});
    twin->attributes.items[2].integer = INT64_MAX; // github.job_id
    char *whole = picture((struct view){.width = 80});
    char *rows[] = {strstr(whole, "\u2713 alpha"), strstr(whole, "\u2713 twin"),
                    strstr(whole, "\u2717 twin"), strstr(whole, "\u2713 late")};
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
        {"action_required", "? job       ███ action_required"},
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

static void the_summary_says_where_the_time_went(void **state)
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
                 "\nqueued 55s of job time over 3 jobs; longest wait: publish 40s; "
                 "critical job: build 11m40s (70% of the run)\n");
}

static void allocation_faults_are_told_and_leak_nothing(void **state)
{
    (void)state;
    struct view view = {.width = 100, .colour = true, .steps = true};
    build_and_test();
    bool is_done = false;
    for (long skip = 0; !is_done; skip++) {
        struct arena arena;
        struct buffer text;
        arena_init(&arena, 256);
        buffer_init(&text, 1 << 20);
        memory_fail_after(skip);
        enum error_code code = draw(view, &arena, &text);
        is_done = memory_count_allocations() <= skip;
        memory_fail_after(-1);
        assert_int_equal(code, is_done ? ERROR_NONE : ERROR_MEMORY);
        buffer_release(&text);
        arena_release(&arena);
        assert_true(skip < 10000);
    }
}

static void a_full_buffer_is_told(void **state)
{
    (void)state;
    struct arena arena;
    struct buffer text;
    build_and_test();
    arena_init(&arena, 4096);
    buffer_init(&text, 100);
    assert_int_equal(draw((struct view){.width = 80}, &arena, &text), ERROR_TOO_LARGE);
    buffer_release(&text);
    arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
        TEST(a_run_is_drawn_on_one_axis),
        TEST(the_same_run_fits_forty_columns),
        TEST(the_same_run_in_plain_ascii),
        TEST(an_approval_is_told_from_a_queue),
        TEST(six_hours_beside_three_seconds_in_a_second_attempt),
        TEST(without_a_root_the_run_is_still_open),
        TEST(a_run_without_jobs_is_a_root_alone),
        TEST(colours_tell_phases_and_results_apart),
        TEST(nothing_finished_says_so_and_what_to_do),
        TEST(spans_of_unknown_type_are_passed_over),
        TEST(what_no_phase_covers_is_a_line),
        TEST(a_job_without_phases_is_split_by_its_queue_time),
        TEST(what_is_shorter_than_a_column_gets_a_thin_mark),
        TEST(steps_are_shown_when_asked_for_in_order_of_start_and_number),
        TEST(jobs_are_in_order_of_start_name_and_id),
        TEST(conclusions_of_any_kind_have_a_mark_and_a_note),
        TEST(the_summary_says_where_the_time_went),
        TEST(allocation_faults_are_told_and_leak_nothing),
        TEST(a_full_buffer_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
