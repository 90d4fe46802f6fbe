// The waterfall as it is displayed: whole pictures, as text.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "pictures.h"

static void a_run_is_drawn_on_one_axis(void **state)
{
    (void)state;
    build_and_test();
    assert_picture(
        (struct view){.width = 80},
        "octo-org/shop · CI #1482 · attempt 1 · ✗ failure · 5m 0s\n"
        "Add a price to the list · push · main @ 4f2c1a9 · by octocat\n"
        "2026-09-03T04:16:57Z\n"
        "trace a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7\n"
        "https://github.com/octo-org/shop/actions/runs/33714470481\n"
        "\n"
        "                 0s        1m       2m        3m       4m          queue   total\n"
        "                 ┬─────────┬────────┬─────────┬────────┬─────────\n"
        "✗ RUN CI         ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━          5m 0s\n"
        "✓ build / linux  ░░░▒▒█████┊        ┊         ┊        ┊             20s   1m 0s\n"
        "✗ test (3.12)              ░░░░░░░░▒▒██████████████████████████      48s  3m 48s\n"
        "⊘ deploy                   ┊        ┊         ┊         skipped ▏             0s\n"
        "\n"
        "first failure: test (3.12): failed in pytest\n"
        "queued 1m 8s of job time over 2 jobs; longest wait: test (3.12) 48s\n"
        "critical path: build / linux 1m 0s → test (3.12) 3m 48s (96% of the run)\n"
        "░ queue  ▒ start-up  █ execution  ✓ success  ✗ failure  ⊘ skipped\n");
}

static void the_same_run_fits_forty_columns(void **state)
{
    (void)state;
    build_and_test();
    assert_picture((struct view){.width = 40}, "octo-org/shop · CI #1482 · attempt 1\n"
                                               "✗ failure · 5m 0s\n"
                                               "Add a price to the list · push\n"
                                               "main @ 4f2c1a9 · by octocat\n"
                                               "2026-09-03T04:16:57Z\n"
                                               "trace a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7\n"
                                               "https://github.com/octo-org/shop/actions\n"
                                               "/runs/33714470481\n"
                                               "\n"
                                               "            0s    2m    4m  queue  total\n"
                                               "            ┬─────┬─────┬──\n"
                                               "✗ RUN CI    ━━━━━━━━━━━━━━━        5m 0s\n"
                                               "✓ buil…inux ░██   ┊     ┊     20s  1m 0s\n"
                                               "✗ test….12)    ░░▒█████████   48s 3m 48s\n"
                                               "⊘ deploy          skipped ▏           0s\n"
                                               "\n"
                                               "first failure: t…3.12): failed in pytest\n"
                                               "queued 1m 8s of job time over 2 jobs\n"
                                               "longest wait: test (3.12) 48s\n"
                                               "critical path: build / linux 1m 0s\n"
                                               "→ test (3.12) 3m 48s\n"
                                               "░ queue  ▒ start-up  █ execution\n"
                                               "✓ success  ✗ failure  ⊘ skipped\n");
}

static void the_same_run_in_plain_ascii(void **state)
{
    (void)state;
    build_and_test();
    assert_picture(
        (struct view){.width = 80, .ascii = true, .steps = true},
        "octo-org/shop - CI #1482 - attempt 1 - FAIL failure - 5m 0s\n"
        "Add a price to the list - push - main @ 4f2c1a9 - by octocat\n"
        "2026-09-03T04:16:57Z\n"
        "trace a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7\n"
        "https://github.com/octo-org/shop/actions/runs/33714470481\n"
        "\n"
        "                              0s            2m            4m       queue   total\n"
        "                              +-------------+-------------+------\n"
        "FAIL RUN CI                   ===================================          5m 0s\n"
        "ok   build / linux            --++###                                20s   1m 0s\n"
        "FAIL test (3.12)                     ------++###################     48s  3m 48s\n"
        "  ok   Set up job                          |                                  2s\n"
        "  ok   Run actions/che..t@v4                 |                                3s\n"
        "  FAIL pytest                                ===================          2m 40s\n"
        "  skip Upload coverage                                          |             0s\n"
        "skip deploy                                             skipped |             0s\n"
        "\n"
        "first failure: test (3.12): failed in pytest\n"
        "queued 1m 8s of job time over 2 jobs; longest wait: test (3.12) 48s\n"
        "critical path: build / linux 1m 0s -> test (3.12) 3m 48s (96% of the run)\n"
        "- queue  + start-up  # execution  ok success  FAIL failure  skip skipped\n");
}

static void an_approval_is_distinguished_from_a_queue(void **state)
{
    (void)state;
    sample_root(&run, 7200, "success");
    sample_job(&run, SLICE("build"), "success", (struct sample_times){0, 0, 6, 12, 600});
    sample_job(&run, SLICE("deploy / production"), "success",
               (struct sample_times){600, 5400, 6000, 6600, 7200});
    assert_picture(
        (struct view){.width = 80},
        "octo-org/shop · CI #1482 · attempt 1 · ✓ success · 2h 0m\n"
        "Add a price to the list · push · main @ 4f2c1a9 · by octocat\n"
        "2026-09-03T04:16:57Z\n"
        "trace a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7\n"
        "https://github.com/octo-org/shop/actions/runs/33714470481\n"
        "\n"
        "                       0s        30m        1h        1h 30m       queue   total\n"
        "                       ┬─────────┬──────────┬─────────┬─────────\n"
        "✓ RUN CI               ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━           2h 0m\n"
        "✓ build                ███       ┊          ┊         ┊               6s  10m 0s\n"
        "✓ deploy / production     ····························░░░▒▒▒▒███  10m 0s  1h 50m\n"
        "\n"
        "queued 10m 6s of job time over 2 jobs; longest wait: deploy / production 10m 0s\n"
        "held by environment rules: deploy / production 1h 20m\n"
        "critical path: build 10m 0s → deploy / production 1h 50m (100% of the run)\n"
        "· waiting  ░ queue  ▒ start-up  █ execution  ✓ success\n");
}

static void six_hours_next_to_three_seconds_in_a_second_attempt(void **state)
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
        "octo-org/shop · CI #1482 · attempt 1 · ⊖ cancelled · 6h 0m\n"
        "Add a price to the list · push · main @ 4f2c1a9 · by octocat\n"
        "2026-09-03T04:16:57Z\n"
        "trace a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7\n"
        "https://github.com/octo-org/shop/actions/runs/33714470481\n"
        "\n"
        "                 0s             2h              4h                 queue   total\n"
        "                 ┬──────────────┬───────────────┬──────────────\n"
        "⊖ RUN CI         ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━            6h 0m\n"
        "↺ prepare        ▏ carried over from the attempt before                       0s\n"
        "✓ three seconds  ▏              ┊               ┊                             3s\n"
        "✗ six hours      ██████████████████████████████████████████████      28s   6h 0m\n"
        "? lost           ░░░░▒██████████████ incomplete ┊                29m 58s  2h 30m\n"
        "\n"
        "first failure: six hours: timed out\n"
        "queued 30m 26s of job time over 2 jobs; longest wait: lost 29m 58s\n"
        "critical path: six hours 6h 0m (100% of the run)\n"
        "░ queue  ▒ start-up  █ execution  ✓ success  ✗ failure  ⊖ cancelled\n"
        "↺ carried over  ? other or no result\n");
}

static void without_a_root_the_run_is_still_open(void **state)
{
    (void)state;
    sample_job(&run, SLICE("lint"), "success", (struct sample_times){2, 2, 8, 12, 95});
    sample_job(&run, SLICE("test"), "success", (struct sample_times){3, 3, 38, 52, 75});
    assert_picture((struct view){.width = 60},
                   "octo-org/shop · CI · attempt 1 · still open · 1m 33s so far\n"
                   "main @ 4f2c1a9 · 2026-09-03T04:16:59Z\n"
                   "trace a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7\n"
                   "https://github.com/octo-org/shop/actions/runs/33714470481\n"
                   "\n"
                   "            0s         30s       1m            queue   total\n"
                   "            ┬──────────┬─────────┬──────────┬\n"
                   "✓ lint      ░░▒▒█████████████████████████████     6s  1m 33s\n"
                   "✓ test      ░░░░░░░░░░░░░▒▒▒▒▒████████      ┊    35s  1m 12s\n"
                   "\n"
                   "queued 41s of job time over 2 jobs; longest wait: test 35s\n"
                   "critical path: lint 1m 33s\n"
                   "░ queue  ▒ start-up  █ execution  ✓ success\n");
}

static void a_run_without_jobs_is_a_root_alone(void **state)
{
    (void)state;
    sample_root(&run, 3, "startup_failure");
    assert_picture((struct view){.width = 60},
                   "octo-org/shop · CI #1482 · attempt 1 · ✗ startup failure\n"
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

static void colours_distinguish_phases_and_results(void **state)
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
        "critical path: a 40s\n"
        "\x1b[0;90m· waiting  \x1b[0;33m░ queue  \x1b[0;36m▒ start-up\x1b[0m\n"
        "\x1b[0;32m█ execution  \x1b[0;31m✗ failure\x1b[0m\n");
}

static void allocation_faults_are_reported_and_leak_nothing(void **state)
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

static void a_full_buffer_is_reported(void **state)
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
        TEST(a_run_is_drawn_on_one_axis),
        TEST(the_same_run_fits_forty_columns),
        TEST(the_same_run_in_plain_ascii),
        TEST(an_approval_is_distinguished_from_a_queue),
        TEST(six_hours_next_to_three_seconds_in_a_second_attempt),
        TEST(without_a_root_the_run_is_still_open),
        TEST(a_run_without_jobs_is_a_root_alone),
        TEST(colours_distinguish_phases_and_results),
        TEST(allocation_faults_are_reported_and_leak_nothing),
        TEST(a_full_buffer_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
