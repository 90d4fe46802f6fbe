// The runs of a commit, put together: which count, the chain of what it waited for, how the time divides.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "ghatrace/view/commit_view.h"
#include "support/orders.h"

#define BEGIN ((timestamp_ns)1788409017 * NS_PER_SECOND)
#define JOBS_MAX 8
#define RUNS_MAX 8

static struct arena arena;
static struct run_view_job jobs[RUNS_MAX][JOBS_MAX];
static struct run_view runs[RUNS_MAX];
static size_t run_count;

static timestamp_ns at(int64_t seconds)
{
    return seconds < 0 ? TIMESTAMP_UNKNOWN : BEGIN + seconds * NS_PER_SECOND;
}

static int begin(void **state)
{
    (void)state;
    arena_init(&arena, 65536);
    memset(jobs, 0, sizeof jobs);
    run_count = 0;
    return 0;
}

static int end(void **state)
{
    (void)state;
    arena_release(&arena);
    return 0;
}

// `last` below 0: it is open.
static struct run_view *add_run(const char *workflow, int64_t first, int64_t last)
{
    struct run_view *run = &runs[run_count];
    *run = (struct run_view){.run_id = 100 + (int64_t)run_count,
                             .run_attempt = 1,
                             .repository = SLICE("octo/shop"),
                             .workflow = slice_from_string(workflow),
                             .event_name = SLICE("push"),
                             .conclusion = last < 0 ? SLICE_EMPTY : SLICE("success"),
                             .is_open = last < 0,
                             .has_ended = last >= 0,
                             .start = at(first),
                             .end = at(last),
                             .jobs = jobs[run_count]};
    run_count++;
    return run;
}

static struct run_view_job *add_job(struct run_view *run, const char *name, int64_t created,
                                    int64_t started, int64_t ended)
{
    struct run_view_job *job = &run->jobs[run->count++];
    *job = (struct run_view_job){.job_id = run->run_id * 100 + (int64_t)run->count,
                                 .name = slice_from_string(name),
                                 .has_spans = ended >= 0,
                                 .created_at = at(created),
                                 .started_at = at(started),
                                 .ended_at = at(ended)};
    job->phases[PHASE_QUEUE] =
        (struct view_interval){at(created), started < 0 ? TIMESTAMP_UNKNOWN : at(started)};
    if (started >= 0)
        job->phases[PHASE_EXECUTION] = (struct view_interval){at(started), at(ended)};
    run->job_count = (int64_t)run->count;
    return job;
}

static struct commit_view assemble(int64_t now)
{
    struct commit_view view = {.group_count = 0};
    assert_int_equal(commit_view_assemble(runs, run_count, at(now), &arena, &view), ERROR_NONE);
    return view;
}

// "CI/build CI/test"; a run without jobs: "CI/".
static const char *chain_text(const struct commit_group *group)
{
    static char text[512];
    size_t len = 0;
    text[0] = '\0';
    for (size_t i = 0; i < group->chain_count; i++) {
        const struct commit_link *link = &group->chain[i];
        struct slice job = link->job != NULL ? link->job->name : SLICE_EMPTY;
        len += (size_t)snprintf(text + len, sizeof text - len, "%s%.*s/%.*s", i > 0 ? " " : "",
                                SLICE_ARGS(link->run->view.workflow), SLICE_ARGS(job));
    }
    return text;
}

static int64_t seconds_of(duration_ns length)
{
    return length / NS_PER_SECOND;
}

static duration_ns sum_of(const struct commit_times *times)
{
    duration_ns sum = times->other;
    for (size_t i = 0; i < PHASE_COUNT; i++)
        sum += times->phases[i];
    return sum;
}

static void add_a_push(void)
{
    struct run_view *ci = add_run("CI", 0, 300), *lint = add_run("Lint", 1, 60),
                    *deploy = add_run("Deploy", 301, 800);
    add_job(ci, "build", 2, 22, 120);
    add_job(ci, "docs", 2, 3, 40);
    add_job(ci, "test", 121, 180, 299);
    add_job(lint, "lint", 2, 5, 59);
    add_job(deploy, "deploy", 303, 700, 799);
    deploy->event_name = SLICE("workflow_run");
}

static void what_begins_in_the_second_in_which_another_job_ends_waited_for_it(void **state)
{
    (void)state;
    struct run_view *run = add_run("CI", 0, 300);
    add_job(run, "lint", 1, 2, 121);
    add_job(run, "build", 2, 22, 120);
    add_job(run, "test", 119, 180, 299);
    const struct commit_view view = assemble(5000);
    assert_string_equal(chain_text(&view.groups[0]), "CI/build CI/test");
}

static void the_chain_leads_through_all_runs_from_the_last_end_to_the_first_start(void **state)
{
    (void)state;
    add_a_push();
    const struct commit_view view = assemble(5000);
    assert_int_equal(view.group_count, 1);
    const struct commit_group *group = &view.groups[0];
    assert_string_equal(chain_text(group), "CI/build CI/test Deploy/deploy");
    assert_int_equal(seconds_of(group->waited.phases[PHASE_QUEUE]), 20 + 59 + 397);
    assert_int_equal(seconds_of(group->waited.phases[PHASE_EXECUTION]), 98 + 119 + 99);
    assert_int_equal(sum_of(&group->waited), group->last - group->first);
    assert_int_equal(seconds_of(group->last - group->first), 800);
    assert_false(group->is_open);
    assert_true(slice_equals(group->conclusion, SLICE("success")));
    assert_true(slice_equals(group->source->view.workflow, SLICE("CI")));
}

static void a_skipped_job_and_one_of_the_attempt_before_are_not_waited_for(void **state)
{
    (void)state;
    struct run_view *run = add_run("CI", 0, 100);
    add_job(run, "build", 1, 2, 50);
    add_job(run, "skipped", 99, 99, 100)->outcome = OUTCOME_SKIPPED;
    add_job(run, "carried over", 51, 51, 100)->outcome = OUTCOME_CARRIED_OVER;
    add_job(run, "test", 51, 60, 99);
    const struct commit_view view = assemble(5000);
    assert_string_equal(chain_text(&view.groups[0]), "CI/build CI/test");
}

static void an_open_commit_waits_for_the_run_that_is_open_for_longest(void **state)
{
    (void)state;
    add_a_push();
    struct run_view *first = add_run("E2E", 10, -1), *second = add_run("Docs", 50, -1);
    add_job(first, "e2e", 12, 30, -1);
    add_job(second, "docs", 52, -1, -1);
    const struct commit_group *group = &assemble(1000).groups[0];
    assert_string_equal(chain_text(group), "E2E/e2e");
    assert_true(group->is_open);
    assert_int_equal(group->conclusion.len, 0);
    assert_int_equal(group->last, at(1000));
    assert_int_equal(seconds_of(group->waited.phases[PHASE_QUEUE]), 18);
    assert_int_equal(seconds_of(group->waited.phases[PHASE_EXECUTION]), 970);
    assert_int_equal(seconds_of(group->waited.other), 12);
}

static void a_failure_shows_while_others_are_open_and_a_success_does_not(void **state)
{
    (void)state;
    struct run_view *ended = add_run("Lint", 0, 60);
    add_run("CI", 0, -1);
    assert_int_equal(assemble(100).groups[0].conclusion.len, 0);
    ended->conclusion = SLICE("failure");
    assert_true(slice_equals(assemble(100).groups[0].conclusion, SLICE("failure")));
}

static void only_newest_attempts_count_but_the_time_of_the_first_is_waited_for(void **state)
{
    (void)state;
    struct run_view *first = add_run("CI", 0, 100), *again = add_run("CI", 500, 600);
    first->conclusion = SLICE("failure");
    again->run_id = first->run_id;
    again->run_attempt = 2;
    add_job(again, "test", 501, 510, 599);
    const struct commit_group *group = &assemble(5000).groups[0];
    assert_true(slice_equals(group->conclusion, SLICE("success")));
    assert_false(group->runs[0].is_newest);
    assert_true(group->runs[1].is_newest);
    assert_int_equal(group->first, at(0));
    assert_string_equal(chain_text(group), "CI/ CI/test");
    assert_int_equal(seconds_of(group->waited.other), 600 - 98);
}

static void a_scheduled_run_has_no_part_unless_there_are_no_others(void **state)
{
    (void)state;
    struct run_view *nightly = add_run("Nightly", 9000, 9100);
    nightly->event_name = SLICE("schedule");
    nightly->conclusion = SLICE("failure");
    assert_true(slice_equals(assemble(9999).groups[0].conclusion, SLICE("failure")));
    add_a_push();
    const struct commit_group *group = &assemble(9999).groups[0];
    assert_true(slice_equals(group->conclusion, SLICE("success")));
    assert_int_equal(seconds_of(group->last - group->first), 800);
    assert_int_equal(group->count, 4);
    assert_false(group->runs[3].is_counted);
}

static void repositories_and_servers_are_groups_the_largest_first(void **state)
{
    (void)state;
    add_run("CI", 0, 100)->repository = SLICE("mona/shop");
    add_run("CI", 0, 100)->server = SLICE("ghe.example");
    add_a_push();
    const struct commit_view view = assemble(5000);
    assert_int_equal(view.group_count, 3);
    assert_true(slice_equals(view.groups[0].repository, SLICE("octo/shop")));
    assert_int_equal(view.groups[0].count, 3);
    assert_true(slice_equals(view.groups[1].repository, SLICE("mona/shop")));
    assert_true(slice_equals(view.groups[2].server, SLICE("ghe.example")));
}

static void nothing_is_known_of_a_run_without_times(void **state)
{
    (void)state;
    struct run_view *run = add_run("CI", -1, -1);
    run->is_open = false;
    add_job(run, "build", -1, -1, -1);
    const struct commit_group *group = &assemble(100).groups[0];
    assert_int_equal(group->first, TIMESTAMP_UNKNOWN);
    assert_string_equal(chain_text(group), "CI/");
    run_count = 0;
    assert_int_equal(assemble(100).group_count, 0);
}

static void write_view(const struct commit_view *view, char *text, size_t size)
{
    size_t len = 0;
    for (size_t i = 0; i < view->group_count; i++) {
        const struct commit_group *group = &view->groups[i];
        len += (size_t)snprintf(text + len, size - len, "%.*s %lld %lld %.*s %lld [%s]",
                                SLICE_ARGS(group->repository), (long long)group->first,
                                (long long)group->last, SLICE_ARGS(group->conclusion),
                                (long long)group->waited.other, chain_text(group));
        for (size_t j = 0; j < group->count; j++)
            len += (size_t)snprintf(
                text + len, size - len, " %lld/%lld %d", (long long)group->runs[j].view.run_id,
                (long long)group->runs[j].view.run_attempt, group->runs[j].is_newest);
    }
}

static void in_whatever_order_the_runs_are_the_answer_is_the_same(void **state)
{
    (void)state;
    struct run_view natural[RUNS_MAX];
    size_t order[6] = {0, 1, 2, 3, 4, 5};
    char wanted[4096], found[4096];
    add_a_push();
    add_run("Lint", 100, 800)->run_attempt = 2; // ends with the deployment
    runs[3].run_id = runs[1].run_id;
    add_run("Same", 0, 300); // as CI
    add_run("CI", 0, 100)->repository = SLICE("mona/shop");
    memcpy(natural, runs, sizeof natural);
    struct commit_view view = assemble(5000);
    write_view(&view, wanted, sizeof wanted);
    do {
        for (size_t i = 0; i < 6; i++)
            runs[i] = natural[order[i]];
        view = assemble(5000);
        write_view(&view, found, sizeof found);
        assert_string_equal(found, wanted);
        arena_clear(&arena);
    } while (next_permutation(order, 6));
}

static void times_of_any_kind_divide_without_loss(void **state)
{
    (void)state;
    uint32_t seed = 7;
    for (int round = 0; round < 2000; round++) {
        run_count = 0;
        memset(jobs, 0, sizeof jobs);
        for (size_t i = 0; i < RUNS_MAX; i++) {
            int64_t first = next_random(&seed) % 500 - 1;
            struct run_view *run = add_run("x", first, (int64_t)(next_random(&seed) % 900) - 1);
            for (size_t j = next_random(&seed) % JOBS_MAX; j > 0; j--)
                add_job(run, "y", next_random(&seed) % 600, (int64_t)(next_random(&seed) % 600) - 1,
                        (int64_t)(next_random(&seed) % 600) - 1);
        }
        const struct commit_view view = assemble(700);
        for (size_t i = 0; i < view.group_count; i++) {
            const struct commit_group *group = &view.groups[i];
            assert_true(group->chain_count > 0);
            assert_true(group->waited.other >= 0);
            for (size_t phase = 0; phase < PHASE_COUNT; phase++)
                assert_true(group->waited.phases[phase] >= 0);
            if (group->first != TIMESTAMP_UNKNOWN)
                assert_int_equal(sum_of(&group->waited), group->last - group->first);
        }
        arena_clear(&arena);
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_begins_in_the_second_in_which_another_job_ends_waited_for_it),
        TEST(the_chain_leads_through_all_runs_from_the_last_end_to_the_first_start),
        TEST(a_skipped_job_and_one_of_the_attempt_before_are_not_waited_for),
        TEST(an_open_commit_waits_for_the_run_that_is_open_for_longest),
        TEST(a_failure_shows_while_others_are_open_and_a_success_does_not),
        TEST(only_newest_attempts_count_but_the_time_of_the_first_is_waited_for),
        TEST(a_scheduled_run_has_no_part_unless_there_are_no_others),
        TEST(repositories_and_servers_are_groups_the_largest_first),
        TEST(nothing_is_known_of_a_run_without_times),
        TEST(in_whatever_order_the_runs_are_the_answer_is_the_same),
        TEST(times_of_any_kind_divide_without_loss),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
