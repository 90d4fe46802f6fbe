// What `ghatrace inspect` shows of a job whose assignment ARC reported.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "ghatrace/term/inspect.h"
#include "support/engine_bench.h"

static bool is_shown(struct engine_bench *bench, const char *line)
{
    struct buffer text;
    struct error error = {0};
    const struct run_selector selector = {.run_id = SCENARIO_RUN_ID};
    const struct inspect_options options = {.now = bench->now};
    buffer_init(&text, INSPECT_MAX_TEXT);
    assert_int_equal(inspect_run(bench->store, &selector, &options, &text, &error), ERROR_NONE);
    assert_int_equal(buffer_append(&text, "", 1), ERROR_NONE);
    bool is_there = strstr((const char *)text.data, line) != NULL;
    buffer_release(&text);
    return is_there;
}

static void the_reported_assignment_of_a_job_is_shown(void **state)
{
    static const struct slice every_runner[] = {{"*", 1}};
    static const char assigned[] = "assigned by ARC        2026-09-03T04:17:02.000Z (";
    struct engine_bench bench;
    struct scenario_delivery job = scenario_job(1, GITHUB_JOB_IN_PROGRESS, 20, 2, 20, -1);
    (void)state;
    engine_bench_open(&bench);
    bench.options.has_receiver = true;
    bench.options.policy.arc_runners = (struct runner_globs){every_runner, 1};
    engine_bench_restart(&bench);
    engine_bench_accept(&bench, &job);
    assert_false(is_shown(&bench, "ARC"));
    assert_int_equal(engine_bench_assign(&bench, 1, 5), ARC_MATCHED);
    assert_true(is_shown(&bench, assigned));
    job = scenario_job(1, GITHUB_JOB_COMPLETED, 60, 2, 20, 60);
    engine_bench_accept(&bench, &job);
    assert_true(is_shown(&bench, assigned));
    assert_true(is_shown(&bench, "waits for ARC since"));
    engine_bench_advance(&bench, 2 * NS_PER_MINUTE);
    assert_true(is_shown(&bench, "note that its spans were made"));
    assert_true(is_shown(&bench, assigned));
    engine_bench_close(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_reported_assignment_of_a_job_is_shown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
