// Which job a report of ARC is about, and what becomes of reports whose job is not known.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "ghatrace/store/table.h"
#include "support/engine_bench.h"
#include "support/stats_verify.h"

#define QUEUED GITHUB_JOB_QUEUED
#define IN_PROGRESS GITHUB_JOB_IN_PROGRESS
#define COMPLETED GITHUB_JOB_COMPLETED

static const struct slice scale_sets[] = {{"arc-*", 5}};
static const struct slice arc_labels[] = {{"arc-linux", 9}};
static const struct slice hosted_labels[] = {{"ubuntu-latest", 13}};

static void open_bench(struct engine_bench *bench)
{
    engine_bench_open(bench);
    bench->now = scenario_at(0);
    bench->options.history = 60 * NS_PER_DAY;
    bench->options.has_receiver = true;
    bench->options.policy.arc_runners = (struct runner_globs){scale_sets, 1};
    engine_bench_restart(bench);
}

static void close_bench(struct engine_bench *bench)
{
    stats_verify(bench->store);
    engine_bench_close(bench);
}

// A job of a scale set: it is created 18 s before it starts.
struct made_job {
    int64_t id;
    const char *name;
    const char *runner;
    double started, completed;
};

static const struct made_job build = {1, "build", "arc-linux-x7k2", 20, 58};

static struct scenario_delivery delivery_of(const struct made_job *job,
                                            enum github_job_action action)
{
    double at = action == QUEUED        ? job->started - 18
                : action == IN_PROGRESS ? job->started
                                        : job->completed;
    struct scenario_delivery made = scenario_job(
        job->id, action, at, job->started - 18, action == QUEUED ? job->started - 18 : job->started,
        action == COMPLETED ? job->completed : -1);
    made.event.job.name = slice_from_string(job->name);
    made.event.job.labels = arc_labels;
    made.event.job.label_count = 1;
    if (action != QUEUED)
        scenario_set_runner(&made, 7, job->runner);
    return made;
}

static void deliver(struct engine_bench *bench, const struct made_job *job,
                    enum github_job_action action)
{
    struct scenario_delivery delivery = delivery_of(job, action);
    engine_bench_accept(bench, &delivery);
}

// What ARC says about a job that was assigned at `assigned`; its id is a GUID.
static struct arc_report report_of(const struct made_job *job, double assigned)
{
    return (struct arc_report){
        .repository = SLICE("octo/Hello_World"),
        .run_id = SCENARIO_RUN_ID,
        .job_name = slice_from_string(job->name),
        .runner_name = slice_from_string(job->runner),
        .assigned_at = scenario_at(assigned),
        .start = scenario_at(job->started - 0.5),
        .end = scenario_at(job->completed + 0.25),
    };
}

static struct arc_report with_number(struct arc_report report, int64_t job_id)
{
    report.job_id = job_id;
    return report;
}

static struct arc_report without_run(struct arc_report report)
{
    report.run_id = 0;
    return report;
}

// The report of `build`, assigned at `assigned`.
static struct arc_report build_named(int naming, double assigned)
{
    return engine_bench_named((enum report_naming)naming,
                              with_number(report_of(&build, assigned), build.id));
}

static enum arc_outcome report(struct engine_bench *bench, struct arc_report given)
{
    enum arc_outcome outcome;
    assert_int_equal(engine_bench_report(bench, &given, &outcome), ENGINE_ACCEPTED);
    return outcome;
}

static uint64_t count_of(struct engine_bench *bench, enum arc_outcome outcome)
{
    return engine_bench_counters(bench).arc_reports[outcome];
}

static uint64_t held_in(struct engine_bench *bench)
{
    uint64_t held = engine_bench_count_entries(bench, STORE_TABLE_ARC_HELD);
    assert_int_equal(engine_bench_count_entries(bench, STORE_TABLE_ARC_HELD_BY_AGE), held);
    return held;
}

// How often this line is among the spans that were sent.
static int count_line(struct engine_bench *bench, const char *line)
{
    struct buffer text;
    int count = 0;
    buffer_init(&text, 1 << 24);
    engine_bench_spans(bench, &text);
    for (const char *at = (const char *)text.data; (at = strstr(at, line)) != NULL; at++)
        count += at == (const char *)text.data || at[-1] == '\n' ? 1 : 0;
    buffer_release(&text);
    return count;
}

static void expect_assigned(struct engine_bench *bench, double created, double assigned)
{
    char line[80];
    snprintf(line, sizeof line, "runner.queue %g..%g arc\n", created, assigned);
    if (count_line(bench, line) != 1)
        fail_msg("not once: %s", line);
}

// --- which job ------------------------------------------------------------------------------------------

static void a_report_finds_its_job_by_number(void **state)
{
    struct engine_bench bench;
    (void)state;
    open_bench(&bench);
    deliver(&bench, &build, IN_PROGRESS);
    struct arc_report wrong_name = with_number(report_of(&build, 5), 1);
    wrong_name.job_name = SLICE("something else");
    assert_int_equal(report(&bench, wrong_name), ARC_MATCHED);
    deliver(&bench, &build, COMPLETED);
    expect_assigned(&bench, 2, 5);
    assert_int_equal(report(&bench, with_number(report_of(&build, 5), 2)), ARC_HELD);
    close_bench(&bench);
}

static void or_by_run_name_and_runner(void **state)
{
    struct engine_bench bench;
    const struct made_job other_name = {2, "lint", build.runner, 20, 58};
    const struct made_job other_runner = {3, "build", "arc-linux-9", 20, 58};
    (void)state;
    open_bench(&bench);
    deliver(&bench, &other_name, COMPLETED);
    deliver(&bench, &other_runner, COMPLETED);
    deliver(&bench, &build, COMPLETED);
    struct arc_report other_run = report_of(&build, 4);
    other_run.run_id++;
    assert_int_equal(report(&bench, other_run), ARC_HELD);
    assert_int_equal(report(&bench, report_of(&build, 5)), ARC_MATCHED);
    expect_assigned(&bench, 2, 5);
    assert_int_equal(count_line(&bench, "runner.queue"), 1);
    close_bench(&bench);
}

static void without_a_run_by_runner_and_time(void **state)
{
    struct engine_bench bench;
    (void)state;
    open_bench(&bench);
    deliver(&bench, &build, COMPLETED);
    struct arc_report earlier = without_run(report_of(&build, 1));
    earlier.start = scenario_at(2);
    earlier.end = scenario_at(19);
    struct arc_report later = without_run(report_of(&build, 59));
    later.start = scenario_at(61);
    later.end = scenario_at(70);
    assert_int_equal(report(&bench, earlier), ARC_HELD);
    assert_int_equal(report(&bench, later), ARC_HELD);
    assert_int_equal(report(&bench, without_run(report_of(&build, 5))), ARC_MATCHED);
    expect_assigned(&bench, 2, 5);
    close_bench(&bench);
}

// ARC leaves spans out: without runner.execution the report ends before the job starts, or as it starts.
static void a_report_that_ends_with_the_assignment_is_of_the_job_that_waited_then(void **state)
{
    struct engine_bench bench;
    (void)state;
    open_bench(&bench);
    deliver(&bench, &build, COMPLETED);
    struct arc_report given = without_run(report_of(&build, 5));
    given.start = scenario_at(2);
    given.end = scenario_at(5);
    assert_int_equal(report(&bench, given), ARC_MATCHED);
    expect_assigned(&bench, 2, 5);
    close_bench(&bench);
}

static void an_end_that_is_missing_or_before_the_start_does_not_exclude_a_job(void **state)
{
    struct engine_bench bench;
    (void)state;
    for (int is_missing = 0; is_missing < 2; is_missing++) {
        struct scenario_delivery odd = delivery_of(&build, COMPLETED);
        odd.event.job.completed_at = is_missing ? TIMESTAMP_UNKNOWN : scenario_at(3);
        open_bench(&bench);
        engine_bench_accept(&bench, &odd);
        assert_int_equal(report(&bench, report_of(&build, 5)), ARC_MATCHED);
        close_bench(&bench);
    }
}

static void two_jobs_of_one_runner_get_their_own(void **state)
{
    struct engine_bench bench;
    const struct made_job first = {1, "build", "always-on", 20, 58};
    const struct made_job second = {2, "build", "always-on", 60, 90};
    (void)state;
    for (int has_run = 0; has_run < 2; has_run++) {
        struct arc_report of_first = report_of(&first, 5), of_second = report_of(&second, 59);
        if (!has_run) {
            of_first = without_run(of_first);
            of_second = without_run(of_second);
        }
        open_bench(&bench);
        // The second report is early: the first job is not completed, and might still be running then.
        deliver(&bench, &first, IN_PROGRESS);
        assert_int_equal(report(&bench, of_second), ARC_HELD);
        deliver(&bench, &first, COMPLETED);
        assert_int_equal(count_line(&bench, "runner.queue"), 0);
        // The next job runs already.
        deliver(&bench, &second, IN_PROGRESS);
        assert_int_equal(report(&bench, of_first), ARC_MATCHED);
        expect_assigned(&bench, 2, 5);
        deliver(&bench, &second, COMPLETED);
        expect_assigned(&bench, 42, 59);
        assert_int_equal(count_line(&bench, "runner.queue"), 2);
        assert_int_equal(held_in(&bench), 0);
        close_bench(&bench);
    }
}

static void two_attempts_on_one_runner_get_their_own(void **state)
{
    struct engine_bench bench;
    const struct made_job first = {1, "build", "always-on", 20, 58};
    const struct made_job second = {2, "build", "always-on", 90, 140};
    struct scenario_delivery again = delivery_of(&second, COMPLETED);
    (void)state;
    open_bench(&bench);
    scenario_set_attempt(&again, 2);
    deliver(&bench, &first, COMPLETED);
    assert_int_equal(report(&bench, report_of(&second, 80)), ARC_HELD);
    engine_bench_accept(&bench, &again);
    expect_assigned(&bench, 72, 80);
    assert_int_equal(count_line(&bench, "runner.queue"),
                     2); // the first was given up after arc-grace
    assert_int_equal(count_line(&bench, "runner.queue 2..20\n"), 1);
    close_bench(&bench);
}

static void an_attempt_that_arc_calls_the_first_is_found(void **state)
{
    struct engine_bench bench;
    struct scenario_delivery again = delivery_of(&build, COMPLETED);
    const struct arc_report given = with_number(report_of(&build, 5), 1);
    enum arc_outcome outcome;
    struct arc_match match;
    (void)state;
    open_bench(&bench);
    scenario_set_attempt(&again, 2);
    engine_bench_accept(&bench, &again);
    bench.matches = &match;
    assert_int_equal(engine_bench_report(&bench, &given, &outcome), ENGINE_ACCEPTED);
    assert_int_equal(outcome, ARC_MATCHED);
    assert_int_equal(match.run_id, SCENARIO_RUN_ID);
    assert_int_equal(match.run_attempt, 2);
    assert_int_equal(match.job_id, 1);
    expect_assigned(&bench, 2, 5);
    close_bench(&bench);
}

// A re-run lists the jobs that it did not run again, with new numbers and the old times and runner.
static struct scenario_delivery build_taken_over(enum github_job_action action)
{
    struct made_job copy = build;
    copy.id = 2;
    struct scenario_delivery made = delivery_of(&copy, action);
    scenario_set_attempt(&made, 2);
    made.event.job.created_at = scenario_at(59);
    return made;
}

static void a_job_that_a_re_run_took_over_is_no_candidate(void **state)
{
    struct engine_bench bench;
    struct scenario_delivery taken_over = build_taken_over(COMPLETED);
    (void)state;
    open_bench(&bench);
    deliver(&bench, &build, COMPLETED);
    engine_bench_accept(&bench, &taken_over);
    assert_int_equal(report(&bench, report_of(&build, 5)), ARC_MATCHED);
    expect_assigned(&bench, 2, 5);
    close_bench(&bench);
}

static void a_job_that_turns_out_to_be_taken_over_holds_no_report_back(void **state)
{
    struct engine_bench bench;
    struct scenario_delivery begun = build_taken_over(IN_PROGRESS);
    struct scenario_delivery taken_over = build_taken_over(COMPLETED);
    (void)state;
    open_bench(&bench);
    engine_bench_accept(&bench, &begun);
    deliver(&bench, &build, COMPLETED);
    assert_int_equal(report(&bench, report_of(&build, 5)), ARC_HELD);
    engine_bench_accept(&bench, &taken_over);
    expect_assigned(&bench, 2, 5);
    assert_int_equal(held_in(&bench), 0);
    close_bench(&bench);
}

// Without arc-grace a job is closed by its end: it is known then when it ended. A runner that registers again under its
// name has another number.
static void a_job_that_is_closed_by_its_end_holds_no_other_report_back(void **state)
{
    struct engine_bench bench;
    const struct made_job first = {1, "build", "always-on", 20, 58};
    const struct made_job second = {2, "build", "always-on", 60, 90};
    struct scenario_delivery end = delivery_of(&second, COMPLETED);
    (void)state;
    scenario_set_runner(&end, 8, second.runner);
    open_bench(&bench);
    bench.options.policy.arc_grace = 0;
    engine_bench_restart(&bench);
    deliver(&bench, &first, IN_PROGRESS);
    deliver(&bench, &first, COMPLETED);
    assert_int_equal(report(&bench, without_run(report_of(&second, 59))), ARC_HELD);
    engine_bench_accept(&bench, &end);
    expect_assigned(&bench, 42, 59);
    assert_int_equal(held_in(&bench), 0);
    close_bench(&bench);
}

static void jobs_of_a_matrix_with_equal_names_differ_by_runner(void **state)
{
    struct engine_bench bench;
    char names[8][32];
    (void)state;
    open_bench(&bench);
    for (int i = 0; i < 8; i++) {
        snprintf(names[i], sizeof names[i], "arc-linux-%d", i);
        const struct made_job job = {i + 1, "test", names[i], 20 + i, 58};
        deliver(&bench, &job, COMPLETED);
    }
    for (int i = 7; i >= 0; i--) {
        const struct made_job job = {0, "test", names[i], 20 + i, 58};
        assert_int_equal(report(&bench, report_of(&job, 10 + i)), ARC_MATCHED);
        expect_assigned(&bench, 2 + i, 10 + i);
    }
    close_bench(&bench);
}

static void equal_numbers_of_two_servers_differ_by_server(void **state)
{
    struct engine_bench bench;
    const char *const address = "https://ghe.example/octo/Hello_World";
    const struct made_job other = {1, "build", build.runner, 30, 58};
    struct scenario_delivery elsewhere = delivery_of(&other, COMPLETED);
    (void)state;
    for (int naming = BY_NUMBER; naming < REPORT_NAMINGS; naming++) {
        struct arc_report usual = build_named(naming, 5);
        struct arc_report theirs = engine_bench_named((enum report_naming)naming,
                                                      with_number(report_of(&other, 15), other.id));
        theirs.server = SLICE("ghe.example");
        scenario_set_server(&elsewhere, address);
        open_bench(&bench);
        assert_int_equal(report(&bench, theirs), ARC_HELD);
        deliver(&bench, &build, COMPLETED);
        assert_int_equal(report(&bench, usual), ARC_MATCHED);
        engine_bench_accept(&bench, &elsewhere);
        expect_assigned(&bench, 2, 5);
        expect_assigned(&bench, 12, 15);
        assert_int_equal(count_line(&bench, "runner.queue"), 2);
        close_bench(&bench);
    }
}

static void a_report_of_another_repository_does_not_fit(void **state)
{
    struct engine_bench bench;
    (void)state;
    open_bench(&bench);
    deliver(&bench, &build, COMPLETED);
    for (int naming = BY_NUMBER; naming < REPORT_NAMINGS; naming++) {
        struct arc_report given = build_named(naming, 5);
        given.repository = SLICE("octo/Hello_World2");
        assert_int_equal(report(&bench, given), ARC_HELD);
    }
    struct arc_report unknown = report_of(&build, 6);
    unknown.repository = SLICE_EMPTY;
    assert_int_equal(report(&bench, unknown), ARC_MATCHED);
    struct arc_report other_case = report_of(&build, 5);
    other_case.repository = SLICE("Octo/hello_world");
    assert_int_equal(report(&bench, other_case), ARC_MATCHED);
    expect_assigned(&bench, 2, 5);
    close_bench(&bench);
}

static void of_two_jobs_that_fit_neither_is_taken(void **state)
{
    struct engine_bench bench;
    const struct made_job twin = {2, "build", build.runner, 30, 70};
    (void)state;
    for (int has_run = 0; has_run < 2; has_run++) {
        struct arc_report given = report_of(&build, 5);
        given.run_id = has_run ? SCENARIO_RUN_ID : 0;
        open_bench(&bench);
        deliver(&bench, &build, COMPLETED);
        deliver(&bench, &twin, COMPLETED);
        assert_int_equal(report(&bench, given), ARC_AMBIGUOUS);
        assert_int_equal(count_line(&bench, "runner.queue"), 0);
        assert_int_equal(held_in(&bench), 0);
        // While one of them is not completed, it may still turn out not to fit.
        close_bench(&bench);
        open_bench(&bench);
        deliver(&bench, &twin, IN_PROGRESS);
        deliver(&bench, &build, COMPLETED);
        assert_int_equal(report(&bench, given), ARC_HELD);
        deliver(&bench, &twin, COMPLETED);
        assert_int_equal(count_of(&bench, ARC_AMBIGUOUS), 1);
        assert_int_equal(held_in(&bench), 0);
        close_bench(&bench);
    }
}

// The other one is completed, and does not fit: the report is applied to the first by the second's event.
static void a_held_report_is_decided_when_the_other_candidate_ends(void **state)
{
    struct engine_bench bench;
    const struct made_job slow = {2, "build", build.runner, 20, 58};
    (void)state;
    open_bench(&bench);
    deliver(&bench, &build, COMPLETED);
    struct scenario_delivery unclear = delivery_of(&slow, IN_PROGRESS);
    unclear.event.job.started_at = scenario_at(2);  // the time of queueing
    scenario_set_runner(&unclear, 8, build.runner); // another owner's, of the same name
    engine_bench_accept(&bench, &unclear);
    assert_int_equal(report(&bench, without_run(report_of(&build, 5))), ARC_HELD);
    struct scenario_delivery end = delivery_of(&slow, COMPLETED);
    end.event.job.started_at = scenario_at(70);
    end.event.job.completed_at = scenario_at(90);
    engine_bench_accept(&bench, &end);
    assert_int_equal(count_of(&bench, ARC_MATCHED), 1);
    expect_assigned(&bench, 2, 5);
    assert_int_equal(held_in(&bench), 0);
    close_bench(&bench);
}

// --- when -----------------------------------------------------------------------------------------------

static void a_report_may_come_at_any_time_until_arc_grace(void **state)
{
    struct engine_bench bench;
    (void)state;
    for (int naming = BY_NUMBER; naming < REPORT_NAMINGS; naming++) {
        struct arc_report given = build_named(naming, 5);
        for (int when = 0; when < 5; when++) {
            enum arc_outcome expected =
                when >= 3 || (when == 2 && naming == BY_NUMBER) ? ARC_MATCHED : ARC_HELD;
            open_bench(&bench);
            for (int i = 0; i < 6; i++) {
                if (i == when)
                    assert_int_equal(report(&bench, given), expected);
                engine_bench_restart(&bench);
                if (i < 3)
                    deliver(&bench, &build, i == 0 ? QUEUED : i == 1 ? IN_PROGRESS : COMPLETED);
                if (i == 3)
                    engine_bench_advance(&bench, 59 * NS_PER_SECOND);
            }
            expect_assigned(&bench, 2, 5);
            assert_int_equal(count_line(&bench, "runner.queue"), 1);
            assert_int_equal(held_in(&bench), 0);
            engine_bench_advance(&bench, NS_PER_HOUR);
            assert_int_equal(count_line(&bench, "runner.queue"), 1);
            close_bench(&bench);
        }
    }
}

static void after_arc_grace_it_is_late_and_after_linger_it_is_forgotten(void **state)
{
    struct engine_bench bench;
    (void)state;
    for (int naming = BY_NUMBER; naming < REPORT_NAMINGS; naming++) {
        struct arc_report given = build_named(naming, 5);
        open_bench(&bench);
        deliver(&bench, &build, COMPLETED);
        engine_bench_advance(&bench, NS_PER_MINUTE);
        assert_int_equal(report(&bench, given), ARC_LATE);
        engine_bench_advance(&bench, 2 * NS_PER_DAY);
        engine_bench_restart(&bench);
        assert_int_equal(report(&bench, given), ARC_LATE);
        engine_bench_advance(&bench, NS_PER_DAY + NS_PER_MINUTE);
        assert_int_equal(engine_bench_count_entries(&bench, STORE_TABLE_ARC_JOBS), 0);
        assert_int_equal(engine_bench_count_entries(&bench, STORE_TABLE_ARC_CLOSED), 0);
        assert_int_equal(report(&bench, given), ARC_HELD); // of a job that was deleted
        engine_bench_advance(&bench, 3 * NS_PER_DAY + NS_PER_MINUTE);
        assert_int_equal(count_of(&bench, ARC_EXPIRED), 1);
        assert_int_equal(held_in(&bench), 0);
        assert_int_equal(count_line(&bench, "runner.queue 2..20\n"), 1);
        assert_int_equal(count_line(&bench, "runner.queue"), 1);
        close_bench(&bench);
    }
}

static void repeats_change_nothing(void **state)
{
    struct engine_bench bench;
    (void)state;
    open_bench(&bench);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(report(&bench, report_of(&build, 5)), ARC_HELD);
        engine_bench_advance(&bench, NS_PER_SECOND);
    }
    assert_int_equal(held_in(&bench), 1);
    deliver(&bench, &build, IN_PROGRESS);
    deliver(&bench, &build, COMPLETED);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(report(&bench, report_of(&build, 5)), ARC_MATCHED);
        engine_bench_restart(&bench);
    }
    expect_assigned(&bench, 2, 5);
    assert_int_equal(count_line(&bench, "runner.queue"), 1);
    assert_int_equal(held_in(&bench), 0);
    close_bench(&bench);
}

// Jobs that arc_runners does not name: their phases do not wait, but what is known at their end is used.
static void of_other_runners_a_report_counts_if_it_comes_before_the_end(void **state)
{
    struct engine_bench bench;
    struct scenario_delivery end = delivery_of(&build, COMPLETED);
    (void)state;
    end.event.job.labels = hosted_labels;
    open_bench(&bench);
    assert_int_equal(report(&bench, report_of(&build, 5)), ARC_HELD);
    engine_bench_accept(&bench, &end);
    expect_assigned(&bench, 2, 5);
    assert_int_equal(engine_bench_count_entries(&bench, STORE_TABLE_ARC_JOBS), 0);
    assert_int_equal(report(&bench, report_of(&build, 4)), ARC_HELD);
    assert_int_equal(count_line(&bench, "runner.queue"), 1);
    close_bench(&bench);
}

static void impossible_reports_are_malformed(void **state)
{
    struct engine_bench bench;
    (void)state;
    open_bench(&bench);
    deliver(&bench, &build, COMPLETED);
    char name[300];
    memset(name, 'a', sizeof name);
    struct arc_report cases[8];
    for (int i = 0; i < 8; i++)
        cases[i] = with_number(report_of(&build, 5), 1);
    cases[0].assigned_at = INT64_MAX;
    cases[0].start = cases[0].end = TIMESTAMP_UNKNOWN;
    cases[1].job_id = cases[1].run_id = 0;
    cases[1].start = cases[1].end = TIMESTAMP_UNKNOWN;
    cases[2].start = scenario_at(80);
    cases[3].assigned_at = scenario_at(80);
    cases[4].assigned_at = cases[4].end = bench.now + 25 * NS_PER_HOUR;
    cases[5].run_id = -1;
    cases[6].job_id = INT64_MIN;
    cases[7].server = (struct slice){name, sizeof name};
    for (int i = 0; i < 8; i++)
        assert_int_equal(report(&bench, cases[i]), ARC_MALFORMED);
    struct arc_report timeless = report_of(&build, 5);
    timeless.assigned_at = TIMESTAMP_UNKNOWN;
    assert_int_equal(report(&bench, timeless), ARC_NO_TIME);
    struct arc_report cancelled = with_number(report_of(&build, 5), 1);
    cancelled.runner_name = SLICE_EMPTY;
    assert_int_equal(report(&bench, cancelled), ARC_NO_TIME);
    assert_int_equal(count_of(&bench, ARC_MALFORMED), 8);
    assert_int_equal(count_of(&bench, ARC_NO_TIME), 2);
    assert_int_equal(held_in(&bench), 0);
    assert_int_equal(count_line(&bench, "runner.queue"), 0);
    close_bench(&bench);
}

// --- many -----------------------------------------------------------------------------------------------

#define MANY 1000

static void report_many(struct engine_bench *bench, const struct arc_report *reports, size_t count,
                        enum arc_outcome expected)
{
    static enum arc_outcome outcomes[MANY];
    struct engine_task task = {.type = ENGINE_APPLY_ARC_REPORTS,
                               .on_done = engine_bench_must_accept,
                               .arc_reports = reports,
                               .arc_report_count = count,
                               .arc_outcomes = outcomes,
                               .received_at = bench->now};
    assert_true(count <= MANY);
    engine_run_batch(bench->engine, &task, 1, bench->now);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(outcomes[i], expected);
}

static char runner_names[MANY][16];

static struct made_job numbered_job(int i)
{
    snprintf(runner_names[i], sizeof runner_names[i], "arc-%d", i);
    return (struct made_job){i + 1, "build", runner_names[i], 20 + i, 2000 + i};
}

static void a_thousand_runners_get_their_own(void **state)
{
    static struct arc_report reports[MANY];
    struct engine_bench bench;
    (void)state;
    open_bench(&bench);
    for (int i = 0; i < MANY; i++) {
        const struct made_job job = numbered_job(i);
        reports[i] = report_of(&job, 5 + i);
        if (i % 3 != 0)
            reports[i].run_id = 0;
    }
    report_many(&bench, reports, MANY / 2, ARC_HELD);
    for (int i = 0; i < MANY; i++) {
        const struct made_job job = numbered_job(i);
        deliver(&bench, &job, COMPLETED);
        if (i == MANY / 2 - 1)
            assert_int_equal(held_in(&bench), 0);
        if (i >= MANY / 2)
            report_many(&bench, &reports[i], 1, ARC_MATCHED);
    }
    struct buffer text;
    buffer_init(&text, 1 << 24);
    engine_bench_spans(&bench, &text);
    for (int i = 0; i < MANY; i++) {
        char line[80];
        snprintf(line, sizeof line, "runner.queue %d..%d arc\n", 2 + i, 5 + i);
        assert_non_null(strstr((const char *)text.data, line));
    }
    buffer_release(&text);
    assert_int_equal(count_line(&bench, "runner.queue"), MANY);
    close_bench(&bench);
}

// `most`: see src/engine/arc_reports.c.
static void fill_beyond_quota(uint64_t map_bytes, int64_t most)
{
    static struct arc_report reports[MANY];
    static char names[MANY][32];
    struct engine_bench bench;
    open_bench(&bench);
    bench.map_bytes = map_bytes;
    engine_bench_restart(&bench);
    assert_int_equal(report(&bench, report_of(&build, 5)), ARC_HELD);
    int64_t sent = 1;
    while (sent < most + 10) {
        size_t count = 0;
        bench.now += NS_PER_MS;
        for (; count < MANY && sent < most + 10; count++, sent++) {
            snprintf(names[count], sizeof names[count], "none-%lld", (long long)sent);
            reports[count] = report_of(&build, 5);
            reports[count].runner_name = slice_from_string(names[count]);
        }
        report_many(&bench, reports, count, ARC_HELD);
    }
    assert_int_equal(held_in(&bench), most);
    assert_int_equal(count_of(&bench, ARC_SHED), 10);
    bench.now = scenario_at(0);
    deliver(&bench, &build, COMPLETED);
    assert_int_equal(count_line(&bench, "runner.queue"), 0); // its report was the oldest
    engine_bench_advance(&bench, 3 * NS_PER_DAY + NS_PER_MINUTE);
    for (int i = 0; i < 1000 && held_in(&bench) > 0; i++) // a bounded number at once
        engine_bench_advance(&bench, NS_PER_MS);
    assert_int_equal(count_of(&bench, ARC_EXPIRED), most);
    close_bench(&bench);
}

static void beyond_the_quota_the_oldest_are_dropped(void **state)
{
    (void)state;
    fill_beyond_quota((uint64_t)1 << 30, 65536);
    fill_beyond_quota((uint64_t)16 << 20, 1024);
}

static void of_one_runner_few_are_held_and_the_newest_stay(void **state)
{
    struct engine_bench bench;
    (void)state;
    open_bench(&bench);
    for (int i = 0; i < 100; i++) {
        bench.now += NS_PER_MS;
        struct arc_report other = report_of(&build, 5);
        other.run_id = 1000 + i;
        assert_int_equal(report(&bench, other), ARC_HELD);
    }
    assert_int_equal(held_in(&bench), 16);
    assert_int_equal(count_of(&bench, ARC_SHED), 84);
    assert_int_equal(report(&bench, report_of(&build, 5)), ARC_HELD);
    deliver(&bench, &build, COMPLETED);
    expect_assigned(&bench, 2, 5);
    assert_int_equal(held_in(&bench), 15);
    close_bench(&bench);
}

// --- upkeep ---------------------------------------------------------------------------------------------

static const enum store_table tables[] = {STORE_TABLE_ARC_JOBS, STORE_TABLE_ARC_CLOSED,
                                          STORE_TABLE_ARC_HELD, STORE_TABLE_ARC_HELD_BY_AGE};
#define TABLES (sizeof tables / sizeof tables[0])

static void leave_something(struct engine_bench *bench)
{
    const struct made_job open = {2, "build", "arc-2", 20, 58};
    const struct made_job unknown = {3, "build", "arc-3", 20, 58};
    deliver(bench, &build, COMPLETED);
    engine_bench_advance(bench, NS_PER_MINUTE);
    deliver(bench, &open, IN_PROGRESS);
    assert_int_equal(report(bench, report_of(&unknown, 5)), ARC_HELD);
    for (size_t i = 0; i < TABLES; i++)
        assert_int_not_equal(engine_bench_count_entries(bench, tables[i]), 0);
}

static void without_a_receiver_nothing_is_stored_and_what_was_is_removed(void **state)
{
    struct engine_bench bench;
    (void)state;
    open_bench(&bench);
    leave_something(&bench);
    bench.options.has_receiver = false;
    engine_bench_restart(&bench);
    engine_bench_advance(&bench, 0);
    const struct made_job other = {4, "build", "arc-4", 20, 58};
    deliver(&bench, &other, IN_PROGRESS);
    for (size_t i = 0; i < TABLES; i++)
        assert_int_equal(engine_bench_count_entries(&bench, tables[i]), 0);
    // A job that began without a receiver is found once another event of it arrives.
    bench.options.has_receiver = true;
    engine_bench_restart(&bench);
    deliver(&bench, &other, COMPLETED);
    assert_int_equal(report(&bench, report_of(&other, 5)), ARC_MATCHED);
    close_bench(&bench);
}

static void an_entry_without_a_state_is_removed_within_hours(void **state)
{
    struct engine_bench bench;
    struct error error = {0};
    struct store_transaction *transaction;
    struct store_key key = {.trace = {{0}}};
    struct slice found;
    (void)state;
    open_bench(&bench);
    deliver(&bench, &build, IN_PROGRESS);
    assert_int_equal(engine_bench_count_entries(&bench, STORE_TABLE_ARC_JOBS), 1);
    assert_int_equal(store_begin(bench.store, true, &transaction, &error), ERROR_NONE);
    while (store_seek_span(transaction, &key, &found, &error) == ERROR_NONE) {
        assert_int_equal(store_set_span_aside(transaction, &key, SLICE("a test"), &error),
                         ERROR_NONE);
    }
    assert_int_equal(store_commit(transaction, &error), ERROR_NONE);
    engine_bench_advance(&bench, NS_PER_MINUTE);
    engine_bench_advance(&bench, 2 * NS_PER_HOUR);
    engine_bench_advance(&bench, NS_PER_MINUTE);
    assert_int_equal(engine_bench_count_entries(&bench, STORE_TABLE_ARC_JOBS), 0);
    engine_bench_close(&bench);
}

static void rewrite(struct engine_bench *bench, enum store_table table, bool is_key)
{
    struct error error = {0};
    struct store_transaction *transaction;
    struct store_entry entry;
    uint8_t key[STORE_TABLE_KEY_MAX];
    assert_int_equal(store_begin(bench->store, true, &transaction, &error), ERROR_NONE);
    assert_int_equal(store_table_seek(transaction, table, SLICE_EMPTY, &entry, &error), ERROR_NONE);
    memcpy(key, entry.key.data, entry.key.len);
    size_t len = entry.key.len - (is_key ? 3 : 0);
    assert_int_equal(
        store_table_put(transaction, table, slice_of_bytes(key, len), SLICE("damaged"), &error),
        ERROR_NONE);
    assert_int_equal(store_commit(transaction, &error), ERROR_NONE);
}

static void damaged_entries_are_set_aside(void **state)
{
    (void)state;
    for (size_t i = 0; i < TABLES; i++) {
        for (int is_key = 0; is_key < 2; is_key++) {
            struct engine_bench bench;
            struct error error = {0};
            struct store_transaction *transaction;
            struct store_set_aside_totals totals;
            bool has_value = i != 1 && i != 3;
            if (!is_key && !has_value)
                continue;
            open_bench(&bench);
            leave_something(&bench);
            rewrite(&bench, tables[i], is_key != 0);
            const struct made_job unknown = {3, "build", "arc-3", 20, 58};
            deliver(&bench, &unknown, COMPLETED);
            (void)report(&bench, report_of(&build, 5));
            engine_bench_advance(&bench, 50 * NS_PER_DAY);
            for (size_t k = 0; k < TABLES; k++)
                assert_int_equal(engine_bench_count_entries(&bench, tables[k]), 0);
            assert_int_equal(store_begin(bench.store, false, &transaction, &error), ERROR_NONE);
            assert_int_equal(store_read_set_aside_totals(transaction, &totals, &error), ERROR_NONE);
            store_abort(transaction);
            assert_true(totals.count >= 1);
            close_bench(&bench);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_report_finds_its_job_by_number),
        cmocka_unit_test(or_by_run_name_and_runner),
        cmocka_unit_test(without_a_run_by_runner_and_time),
        cmocka_unit_test(a_report_that_ends_with_the_assignment_is_of_the_job_that_waited_then),
        cmocka_unit_test(an_end_that_is_missing_or_before_the_start_does_not_exclude_a_job),
        cmocka_unit_test(two_jobs_of_one_runner_get_their_own),
        cmocka_unit_test(two_attempts_on_one_runner_get_their_own),
        cmocka_unit_test(an_attempt_that_arc_calls_the_first_is_found),
        cmocka_unit_test(a_job_that_a_re_run_took_over_is_no_candidate),
        cmocka_unit_test(a_job_that_is_closed_by_its_end_holds_no_other_report_back),
        cmocka_unit_test(a_job_that_turns_out_to_be_taken_over_holds_no_report_back),
        cmocka_unit_test(jobs_of_a_matrix_with_equal_names_differ_by_runner),
        cmocka_unit_test(equal_numbers_of_two_servers_differ_by_server),
        cmocka_unit_test(a_report_of_another_repository_does_not_fit),
        cmocka_unit_test(of_two_jobs_that_fit_neither_is_taken),
        cmocka_unit_test(a_held_report_is_decided_when_the_other_candidate_ends),
        cmocka_unit_test(a_report_may_come_at_any_time_until_arc_grace),
        cmocka_unit_test(after_arc_grace_it_is_late_and_after_linger_it_is_forgotten),
        cmocka_unit_test(repeats_change_nothing),
        cmocka_unit_test(of_other_runners_a_report_counts_if_it_comes_before_the_end),
        cmocka_unit_test(impossible_reports_are_malformed),
        cmocka_unit_test(a_thousand_runners_get_their_own),
        cmocka_unit_test(beyond_the_quota_the_oldest_are_dropped),
        cmocka_unit_test(of_one_runner_few_are_held_and_the_newest_stay),
        cmocka_unit_test(without_a_receiver_nothing_is_stored_and_what_was_is_removed),
        cmocka_unit_test(an_entry_without_a_state_is_removed_within_hours),
        cmocka_unit_test(damaged_entries_are_set_aside),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
