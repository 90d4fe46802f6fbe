// The waterfall of an open run: open intervals are drawn until now.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ghatrace/base/memory.h"
#include "ghatrace/term/waterfall.h"
#include "support/engine_bench.h"

struct fixture {
    struct engine_bench bench;
    struct arena arena;
    struct buffer text;
    timestamp_ns now;
    struct error error;
};

static int set_up(void **state)
{
    struct fixture *f = test_calloc(1, sizeof *f);
    engine_bench_open(&f->bench);
    arena_init(&f->arena, 4096);
    buffer_init(&f->text, 1 << 20);
    f->now = scenario_at(100);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    buffer_release(&f->text);
    arena_release(&f->arena);
    engine_bench_close(&f->bench);
    test_free(f);
    return 0;
}

static void assert_picture(struct fixture *f, bool steps, bool unicode, const char *expected)
{
    const struct waterfall_options options = {
        .terminal = {.width = 60, .unicode = unicode}, .steps = steps, .now = f->now};
    const struct run_selector question = {.run_id = SCENARIO_RUN_ID};
    struct view_reader reader = {.arena = &f->arena, .error = &f->error};
    struct waterfall_shown shown;
    buffer_clear(&f->text);
    assert_int_equal(store_begin(f->bench.store, false, &reader.transaction, &f->error),
                     ERROR_NONE);
    assert_int_equal(waterfall_show(&reader, &question, &options, &f->text, &shown), ERROR_NONE);
    store_abort(reader.transaction);
    assert_int_equal(buffer_append(&f->text, "", 1), ERROR_NONE);
    assert_string_equal(f->text.data, expected);
}

static void deliver_jobs(struct fixture *f)
{
    const struct github_step steps[] = {scenario_step(1, "Set up job", 30, 34, "success"),
                                        scenario_step(2, "make", 34, -1, ""),
                                        scenario_step(3, "upload", -1, -1, "")};
    struct scenario_delivery requested = scenario_run(GITHUB_RUN_REQUESTED, 1, "");
    struct scenario_delivery running = scenario_job(2, GITHUB_JOB_IN_PROGRESS, 31, 10, 30, -1);
    scenario_set_steps(&running, steps, 3);
    engine_bench_accept(&f->bench, &requested);
    engine_bench_accept(&f->bench, &running);
}

static void running_jobs_are_drawn_until_now(void **state)
{
    struct scenario_delivery done = scenario_job(1, GITHUB_JOB_COMPLETED, 61, 2, 6, 60);
    struct scenario_delivery queued = scenario_job(3, GITHUB_JOB_QUEUED, 63, 62, 62, -1);
    struct fixture *f = *state;
    deliver_jobs(f);
    engine_bench_accept(&f->bench, &done);
    engine_bench_accept(&f->bench, &queued);
    assert_picture(f, true, true,
                   "octo/Hello_World · CI #75 · attempt 1 · still open\n"
                   "1m 40s so far\n"
                   "fix the build · push · main @ 3484a3f · by mona\n"
                   "2026-09-03T04:16:57Z\n"
                   "trace 9150f2e0b329bcd73a7fa70c540a1776\n"
                   "https://github.com/octo/Hello_World/actions/runs/33714470481\n"
                   "\n"
                   "                0s       30s     1m            queue   total\n"
                   "                ┬────────┬───────┬────────┬──\n"
                   "✓ build          ░███████████████┊        ┊       4s     58s\n"
                   "▸ build            ░░░░░░▒███████████████████    20s  1m 30s\n"
                   "  ✓ Set up job           ━       ┊        ┊               4s\n"
                   "  ▸ make                 ┊━━━━━━━━━━━━━━━━━━━          1m 6s\n"
                   "  ◦ upload               ┊       ┊        ┊\n"
                   "◦ build                  ┊ queued ░░░░░░░░░░░    38s     38s\n"
                   "\n"
                   "queued 1m 2s of job time over 3 jobs\n"
                   "longest wait: build 38s\n"
                   "critical path: build 58s\n"
                   "░ queue  ▒ start-up  █ execution  ✓ success  ▸ running\n"
                   "◦ yet to start\n");
    assert_picture(f, false, false,
                   "octo/Hello_World - CI #75 - attempt 1 - still open\n"
                   "1m 40s so far\n"
                   "fix the build - push - main @ 3484a3f - by mona\n"
                   "2026-09-03T04:16:57Z\n"
                   "trace 9150f2e0b329bcd73a7fa70c540a1776\n"
                   "https://github.com/octo/Hello_World/actions/runs/33714470481\n"
                   "\n"
                   "               0s       30s      1m            queue   total\n"
                   "               +--------+--------+--------+--\n"
                   "ok   build      -################                 4s     58s\n"
                   "run  build        ------+####################    20s  1m 30s\n"
                   "wait build                 queued -----------    38s     38s\n"
                   "\n"
                   "queued 1m 2s of job time over 3 jobs\n"
                   "longest wait: build 38s\n"
                   "critical path: build 58s\n"
                   "- queue  + start-up  # execution  ok success  run running\n"
                   "wait yet to start\n");
}

static void a_run_without_jobs_is_open_until_now(void **state)
{
    struct scenario_delivery requested = scenario_run(GITHUB_RUN_REQUESTED, 1, "");
    struct fixture *f = *state;
    engine_bench_accept(&f->bench, &requested);
    assert_picture(f, true, true,
                   "octo/Hello_World · CI #75 · attempt 1 · still open\n"
                   "1m 40s so far\n"
                   "fix the build · push · main @ 3484a3f · by mona\n"
                   "2026-09-03T04:16:57Z\n"
                   "trace 9150f2e0b329bcd73a7fa70c540a1776\n"
                   "https://github.com/octo/Hello_World/actions/runs/33714470481\n"
                   "\n"
                   "no job of it is known yet\n");
}

static void a_job_that_waits_for_an_approval_has_a_note(void **state)
{
    struct scenario_delivery waiting = scenario_job(1, GITHUB_JOB_WAITING, 3, 2, 2, -1);
    struct fixture *f = *state;
    scenario_set_deployment(&waiting, 5, "production");
    engine_bench_accept(&f->bench, &waiting);
    assert_picture(f, true, true,
                   "octo/Hello_World · CI · attempt 1 · still open\n"
                   "1m 38s so far\n"
                   "main @ 3484a3f · 2026-09-03T04:16:59Z\n"
                   "trace 9150f2e0b329bcd73a7fa70c540a1776\n"
                   "https://github.com/octo/Hello_World/actions/runs/33714470481\n"
                   "\n"
                   "            0s        30s       1m             queue   total\n"
                   "            ┬─────────┬─────────┬─────────┬──\n"
                   "◦ build     ·································         1m 38s\n"
                   "\n"
                   "held by environment rules: build 1m 38s\n"
                   "· waiting  ◦ yet to start\n");
}

static void a_clock_behind_githubs_gives_no_negative_times(void **state)
{
    struct fixture *f = *state;
    f->now = scenario_at(-1000);
    deliver_jobs(f);
    assert_picture(f, true, true,
                   "octo/Hello_World · CI #75 · attempt 1 · still open\n"
                   "34s so far\n"
                   "fix the build · push · main @ 3484a3f · by mona\n"
                   "2026-09-03T04:16:57Z\n"
                   "trace 9150f2e0b329bcd73a7fa70c540a1776\n"
                   "https://github.com/octo/Hello_World/actions/runs/33714470481\n"
                   "\n"
                   "                0s       10s      20s     30s   queue  total\n"
                   "                ┬────────┬────────┬───────┬───\n"
                   "▸ build          running ░░░░░░░░░░░░░░░░░▒▒▒▒    20s    24s\n"
                   "  ✓ Set up job           ┊        ┊       ━━━━            4s\n"
                   "  ▸ make                 ┊        ┊       ┊  ▏            0s\n"
                   "  ◦ upload               ┊        ┊       ┊\n"
                   "\n"
                   "queued 20s of job time over 1 job; longest wait: build 20s\n"
                   "░ queue  ▒ start-up  ✓ success  ▸ running  ◦ yet to start\n");
}

static void the_newest_attempt_is_drawn_before_anything_of_it_is_finished(void **state)
{
    struct scenario_delivery completed = scenario_run(GITHUB_RUN_COMPLETED, 50, "failure");
    struct scenario_delivery again = scenario_run(GITHUB_RUN_REQUESTED, 90, "");
    struct fixture *f = *state;
    engine_bench_accept(&f->bench, &completed);
    scenario_set_attempt(&again, 2);
    engine_bench_accept(&f->bench, &again);
    assert_picture(f, false, true,
                   "octo/Hello_World · CI #75 · attempt 2 · still open\n"
                   "1m 40s so far\n"
                   "fix the build · push · main @ 3484a3f · by mona\n"
                   "2026-09-03T04:16:57Z\n"
                   "trace 1fb03814c832e2d9be0f1a96885be415\n"
                   "https://github.com/octo/Hello_World/actions/runs/33714470481\n"
                   "/attempts/2\n"
                   "\n"
                   "no job of it is known yet\n");
}

static void a_job_that_is_open_when_its_run_is_over_ends_with_it(void **state)
{
    struct scenario_delivery completed = scenario_run(GITHUB_RUN_COMPLETED, 50, "failure");
    struct fixture *f = *state;
    deliver_jobs(f);
    engine_bench_accept(&f->bench, &completed);
    engine_bench_advance(&f->bench, 20 * NS_PER_SECOND); // longer than a root waits for jobs
    assert_picture(f, false, true,
                   "octo/Hello_World · CI #75 · attempt 1 · ✗ failure · 50s\n"
                   "fix the build · push · main @ 3484a3f · by mona\n"
                   "2026-09-03T04:16:57Z\n"
                   "trace 9150f2e0b329bcd73a7fa70c540a1776\n"
                   "https://github.com/octo/Hello_World/actions/runs/33714470481\n"
                   "\n"
                   "            0s        15s       30s        45s  queue  total\n"
                   "            ┬─────────┬─────────┬──────────┬──\n"
                   "✗ RUN CI    ━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━           50s\n"
                   "▸ build            ░░░░░░░░░░░░░▒▒▒███████████    20s    40s\n"
                   "\n"
                   "queued 20s of job time over 1 job; longest wait: build 20s\n"
                   "░ queue  ▒ start-up  █ execution  ✗ failure  ▸ running\n");
}

#define TEST(function) cmocka_unit_test_setup_teardown(function, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(running_jobs_are_drawn_until_now),
        TEST(a_run_without_jobs_is_open_until_now),
        TEST(a_job_that_waits_for_an_approval_has_a_note),
        TEST(a_clock_behind_githubs_gives_no_negative_times),
        TEST(a_job_that_is_open_when_its_run_is_over_ends_with_it),
        TEST(the_newest_attempt_is_drawn_before_anything_of_it_is_finished),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
