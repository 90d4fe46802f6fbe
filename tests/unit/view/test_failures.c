// Which workflows fail, since when, and on how many branches.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "../../../src/view/failures_tally.h"

struct ended {
    int minute; // of its end
    const char *workflow;
    const char *branch;
    const char *conclusion;
    const char *job;  // that failed; NULL: it was not looked up
    const char *step; // NULL: none failed
    const char *error_type;
};

struct tallied {
    struct arena arena;
    struct failures_tally *tally;
    struct failures_view view;
    int64_t runs;
};

static int set_up(void **state)
{
    static struct tallied tallied;
    tallied = (struct tallied){.runs = 0};
    arena_init(&tallied.arena, 65536);
    tallied.tally = failures_tally_create(&tallied.arena);
    assert_non_null(tallied.tally);
    *state = &tallied;
    return 0;
}

static int tear_down(void **state)
{
    struct tallied *tallied = *state;
    arena_release(&tallied->arena);
    return 0;
}

static void add(struct tallied *tallied, const struct ended *ended)
{
    const struct run_view_step step = {
        .name = slice_from_string(ended->step),
        .time = {1, ended->minute * NS_PER_MINUTE},
    };
    struct run_view_job job = {.name = slice_from_string(ended->job),
                               .outcome = OUTCOME_FAILURE,
                               .error_type = slice_from_string(ended->error_type),
                               .failed_step = ended->step != NULL ? &step : NULL};
    const struct run_view run = {.run_id = ++tallied->runs,
                                 .run_attempt = 1,
                                 .repository = SLICE("acme/shop"),
                                 .workflow = slice_from_string(ended->workflow),
                                 .branch = slice_from_string(ended->branch),
                                 .conclusion = slice_from_string(ended->conclusion),
                                 .end = ended->minute * NS_PER_MINUTE,
                                 .jobs = &job,
                                 .count = job.name.len > 0 ? 1 : 0};
    assert_int_equal(failures_tally_add(tallied->tally, &run, ended->job != NULL ? &run : NULL),
                     ERROR_NONE);
}

// "CI test›make: failed 3 of 6, everywhere since 4 (3), success 2, branches 2/2/2"
static void describe(const struct failures_group *group, char text[200])
{
    (void)snprintf(
        text, 200, "%.*s %.*s›%.*s%.*s: failed %d of %d, %s %d (%d), success %d, branches %d/%d/%d",
        (int)group->workflow.len, group->workflow.data, (int)group->job.len, group->job.data,
        (int)group->step.len, group->step.data, (int)group->error_type.len, group->error_type.data,
        (int)group->failed, (int)group->runs, group->is_everywhere ? "everywhere since" : "since",
        (int)(group->failing_since / NS_PER_MINUTE), (int)group->failed_since,
        (int)(group->last_success / NS_PER_MINUTE), (int)group->branches_failing,
        (int)group->workflow_branches_failing, (int)group->branches);
}

// `runs`: the last end first. `expected`: a line for each group.
static void assert_groups(struct tallied *tallied, const struct ended *runs, size_t count,
                          const char *expected)
{
    char all[2000] = "";
    for (size_t i = 0; i < count; i++)
        add(tallied, &runs[i]);
    assert_int_equal(failures_tally_finish(tallied->tally, &tallied->view), ERROR_NONE);
    for (size_t i = 0; i < tallied->view.count; i++) {
        char line[200];
        describe(&tallied->view.groups[i], line);
        (void)snprintf(all + strlen(all), sizeof all - strlen(all), "%s\n", line);
    }
    assert_string_equal(all, expected);
}

static void what_fails_on_all_branches_does_since_the_last_success_of_any(void **state)
{
    static const struct ended runs[] = {
        {60, "CI", "main", "failure", "test", "make", NULL},
        {55, "CI", "cart", "failure", "test", "make", NULL},
        {52, "CI", "main", "cancelled", NULL, NULL, NULL},
        {50, "CI", "main", "timed_out", "test", "make", NULL},
        {40, "CI", "main", "success", NULL, NULL, NULL},
        {30, "CI", "cart", "failure", "test", "make", NULL}, // before that
        {20, "CI", "cart", "success", NULL, NULL, NULL},
    };
    assert_groups(*state, runs, sizeof runs / sizeof runs[0],
                  "CI test›make: failed 4 of 6, everywhere since 50 (3), success 40, "
                  "branches 2/2/2\n");
}

static void what_has_failed_more_often_since_its_last_success_is_first(void **state)
{
    static const struct ended runs[] = {
        {60, "Lint", "main", "failure", "lint", "ruff", NULL},
        {50, "Lint", "main", "success", NULL, NULL, NULL},
        {46, "CI", "main", "failure", "test", "make", NULL},
        {44, "CI", "main", "failure", "test", "make", NULL},
        {30, "Lint", "main", "failure", "lint", "ruff", NULL},
        {20, "Lint", "main", "failure", "lint", "ruff", NULL},
    };
    assert_groups(*state, runs, sizeof runs / sizeof runs[0],
                  "CI test›make: failed 2 of 2, since 44 (2), success 0, branches 1/1/1\n"
                  "Lint lint›ruff: failed 3 of 4, since 60 (1), success 50, branches 1/1/1\n");
}

static void what_fails_on_one_branch_does_since_its_own_last_success(void **state)
{
    static const struct ended runs[] = {
        {60, "CI", "main", "success", NULL, NULL, NULL},
        {55, "CI", "cart", "failure", "test", "make", NULL},
        {50, "CI", "main", "success", NULL, NULL, NULL},
        {45, "CI", "cart", "failure", "test", "make", NULL},
        {40, "CI", "main", "failure", "test", "make", NULL}, // has succeeded since
        {30, "CI", "cart", "success", NULL, NULL, NULL},
        {20, "CI", "cart", "failure", "test", "make", NULL},
    };
    assert_groups(*state, runs, sizeof runs / sizeof runs[0],
                  "CI test›make: failed 4 of 7, since 45 (2), success 30, branches 1/1/2\n");
}

static void what_has_succeeded_since_does_not_fail_now(void **state)
{
    static const struct ended runs[] = {
        {60, "CI", "main", "success", NULL, NULL, NULL},
        {50, "CI", "main", "failure", "test", "make", NULL},
    };
    assert_groups(*state, runs, sizeof runs / sizeof runs[0],
                  "CI test›make: failed 1 of 2, since 0 (0), success 60, branches 0/0/1\n");
}

static void the_only_branch_is_not_everywhere(void **state)
{
    static const struct ended runs[] = {
        {60, "CI", "main", "failure", "test", "make", NULL},
        {50, "CI", "main", "failure", "test", "make", NULL},
    };
    assert_groups(*state, runs, sizeof runs / sizeof runs[0],
                  "CI test›make: failed 2 of 2, since 50 (2), success 0, branches 1/1/1\n");
}

static void runs_are_grouped_by_what_failed_and_the_worst_is_first(void **state)
{
    static const struct ended runs[] = {
        {60, "Lint", "main", "failure", "lint", "ruff", NULL},
        {59, "CI", "main", "failure", "test (3.14)", "make", NULL},
        {58, "CI", "cart", "failure", "test (3.13)", "make", NULL}, // another leg
        {57, "CI", "tax", "failure", "build", "cc", NULL},
        {56, "CI", "tax", "failure", NULL, NULL, NULL}, // not looked up
        {55, "CI", "old", "failure", "test (3.14)", NULL, "runner_lost"},
        {54, "CI", "old", "failure", "", NULL, NULL}, // its jobs succeeded
    };
    assert_groups(*state, runs, sizeof runs / sizeof runs[0],
                  "CI test (…)›make: failed 2 of 6, everywhere since 58 (2), success 0, "
                  "branches 2/4/4\n"
                  "CI build›cc: failed 1 of 6, everywhere since 57 (1), success 0, branches 1/4/4\n"
                  "CI test (3.14)›runner_lost: failed 1 of 6, everywhere since 55 (1), success 0, "
                  "branches 1/4/4\n"
                  "Lint lint›ruff: failed 1 of 1, since 60 (1), success 0, branches 1/1/1\n"
                  "CI ›: failed 1 of 6, since 0 (0), success 0, branches 0/4/4\n"
                  "CI ›: failed 1 of 6, since 0 (0), success 0, branches 0/4/4\n");
}

static void lost_runners_are_one_line_whatever_the_workflow(void **state)
{
    struct tallied *tallied = *state;
    static const struct ended runs[] = {
        {60, "CI", "main", "failure", "test", NULL, "runner_lost"},
        {55, "Deploy", "main", "failure", "deploy", NULL, "runner_lost"},
        {50, "CI", "main", "failure", "test", NULL, "runner_lost"},
        {45, "CI", "main", "failure", "test", NULL, "not_started"},
        {40, "CI", "main", "failure", "test", "make", "failure"},
    };
    for (size_t i = 0; i < sizeof runs / sizeof runs[0]; i++)
        add(tallied, &runs[i]);
    assert_int_equal(failures_tally_finish(tallied->tally, &tallied->view), ERROR_NONE);
    const struct failures_infrastructure *lost =
        &tallied->view.infrastructure[FAILURES_RUNNER_LOST];
    assert_int_equal(lost->jobs, 3);
    assert_int_equal(lost->runs, 3);
    assert_int_equal(lost->workflows, 2);
    assert_int_equal(lost->first, 50 * NS_PER_MINUTE);
    assert_int_equal(lost->last, 60 * NS_PER_MINUTE);
    assert_int_equal(lost->shown_count, 3);
    assert_int_equal(tallied->view.infrastructure[FAILURES_NOT_STARTED].jobs, 1);
}

static void the_last_failed_runs_are_kept_as_examples(void **state)
{
    struct tallied *tallied = *state;
    for (int i = 0; i < 2 * FAILURES_RUNS_SHOWN; i++)
        add(tallied, &(struct ended){60 - i, "CI", "main", "failure", "test", "make", NULL});
    assert_int_equal(failures_tally_finish(tallied->tally, &tallied->view), ERROR_NONE);
    const struct failures_group *group = &tallied->view.groups[0];
    assert_int_equal(group->failed, 2 * FAILURES_RUNS_SHOWN);
    assert_int_equal(group->shown_count, FAILURES_RUNS_SHOWN);
    assert_int_equal(group->shown[0].run_id, 1);
    assert_int_equal(group->shown[0].end, 60 * NS_PER_MINUTE);
    assert_int_equal(group->last_failure, 60 * NS_PER_MINUTE);
}

// Names are chosen by whoever may start runs.
static void invented_names_are_bounded(void **state)
{
    struct tallied *tallied = *state;
    for (int i = 0; i < 20000; i++) {
        char name[24];
        (void)snprintf(name, sizeof name, "w%d", i);
        const struct ended by_workflow = {
            60, i % 2 ? name : "CI", i % 2 ? "main" : name, "failure", name, name, NULL};
        add(tallied, &by_workflow);
    }
    assert_int_equal(failures_tally_finish(tallied->tally, &tallied->view), ERROR_NONE);
    assert_int_equal(tallied->view.count, FAILURES_GROUPS_MAX);
    assert_true(tallied->arena.held < (size_t)16 << 20);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_fails_on_all_branches_does_since_the_last_success_of_any),
        TEST(what_has_failed_more_often_since_its_last_success_is_first),
        TEST(what_fails_on_one_branch_does_since_its_own_last_success),
        TEST(what_has_succeeded_since_does_not_fail_now),
        TEST(the_only_branch_is_not_everywhere),
        TEST(runs_are_grouped_by_what_failed_and_the_worst_is_first),
        TEST(lost_runners_are_one_line_whatever_the_workflow),
        TEST(the_last_failed_runs_are_kept_as_examples),
        TEST(invented_names_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
