// The list of open runs and jobs, as it is displayed.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ghatrace/base/memory.h"
#include "ghatrace/term/runs.h"

#define NOW ((timestamp_ns)1788409017 * NS_PER_SECOND)
// As SLICE(), for objects of static storage.
#define TEXT(literal)                                                                              \
    {                                                                                              \
        .data = (literal), .len = sizeof(literal) - 1                                              \
    }
#define AGO(seconds) (NOW - (seconds)*NS_PER_SECOND)

static const struct slice gpu_labels[] = {TEXT("self-hosted"), TEXT("linux"), TEXT("gpu")};
static const struct slice hosted_label[] = {TEXT("ubuntu-latest")};

static struct runs_entry entries[] = {
    {33714470481, 1, 0, RUNS_RUN_OPEN, AGO(300), TEXT("octo-org/shop"), TEXT("CI"), {0}, NULL, 0},
    {33714470481, 1, 7, RUNS_JOB_QUEUED, AGO(125), TEXT("octo-org/shop"), TEXT("CI"),
     TEXT("test (3.12)"), gpu_labels, 3},
    {33714470481, 1, 8, RUNS_JOB_RUNNING, AGO(25), TEXT("octo-org/shop"), TEXT("CI"), TEXT("lint"),
     hosted_label, 1},
    {33714470000, 2, 9, RUNS_JOB_WAITING, AGO(8 * 3600 + 61), TEXT("octo-org/site"), TEXT("Deploy"),
     TEXT("deploy"), hosted_label, 1},
    {33714470000,
     2,
     0,
     RUNS_RUN_OPEN,
     AGO(8 * 3600 + 90),
     TEXT("octo-org/site"),
     TEXT("Deploy"),
     {0},
     NULL,
     0},
    {33714470001,
     1,
     0,
     RUNS_RUN_OPEN,
     TIMESTAMP_UNKNOWN,
     TEXT("octo-org/x"),
     TEXT("\x1b[2J"),
     {0},
     NULL,
     0},
};
#define ENTRY_COUNT (sizeof(entries) / sizeof(entries[0]))

static enum error_code list(struct runs_entry *some, size_t count, struct terminal terminal,
                            struct arena *arena, struct buffer *text)
{
    struct error error;
    const struct runs_list runs = {.entries = some, .count = count};
    const struct runs_options options = {terminal, NOW};
    enum error_code code = runs_render(&runs, &options, arena, text, &error);
    if (code != ERROR_NONE)
        assert_int_equal(error.code, code);
    return code;
}

static void assert_list(struct runs_entry *some, size_t count, struct terminal terminal,
                        const char *expected)
{
    struct arena arena;
    struct buffer text;
    arena_init(&arena, 4096);
    buffer_init(&text, 1 << 16);
    assert_int_equal(list(some, count, terminal, &arena, &text), ERROR_NONE);
    assert_int_equal(buffer_append(&text, "", 1), ERROR_NONE);
    assert_string_equal(text.data, expected);
    buffer_release(&text);
    arena_release(&arena);
}

static void open_runs_and_jobs_are_listed_oldest_first_then_what_waits_for_an_approval(void **state)
{
    (void)state;
    assert_list(entries, ENTRY_COUNT, (struct terminal){.width = 120, .unicode = true},
                "  for  state                 repository     workflow  job          labels         "
                "        run\n"
                "8h 2m  open                  octo-org/site  Deploy                                "
                "        33714470000/2\n"
                "5m 0s  open                  octo-org/shop  CI                                    "
                "        33714470481/1\n"
                "2m 5s  queued                octo-org/shop  CI        test (3.12)  "
                "gpu,linux,self-hosted  33714470481/1\n"
                "  25s  running               octo-org/shop  CI        lint         ubuntu-latest  "
                "        33714470481/1\n"
                "    ?  open                  octo-org/x     \ufffd[2J                             "
                "             33714470001/1\n"
                "8h 1m  waiting for approval  octo-org/site  Deploy    deploy       ubuntu-latest  "
                "        33714470000/2\n"
                "\n"
                "3 runs open \u00b7 1 job waiting for approval \u00b7 1 queued (the oldest for 2m "
                "5s) \u00b7 1 running\n");
}

static void a_narrow_terminal_gets_two_lines_an_entry(void **state)
{
    (void)state;
    assert_list(entries, 4, (struct terminal){.width = 50, .unicode = true},
                "5m 0s  open     octo-org/shop\n"
                "  CI \u00b7 33714470481/1\n"
                "2m 5s  queued   octo-org/shop\n"
                "  CI \u00b7 test (3.12) \u00b7 gpu,linux,self-hosted\n"
                "  33714470481/1\n"
                "  25s  running  octo-org/shop\n"
                "  CI \u00b7 lint \u00b7 ubuntu-latest \u00b7 33714470481/1\n"
                "8h 1m  approval octo-org/site\n"
                "  Deploy \u00b7 deploy \u00b7 ubuntu-latest \u00b7 33714470000/2\n"
                "\n"
                "1 run open \u00b7 1 job waiting for approval\n"
                "1 queued (the oldest for 2m 5s) \u00b7 1 running\n");
}

static void columns_shrink_before_lines_are_broken(void **state)
{
    (void)state;
    assert_list(
        entries, 4, (struct terminal){.width = 88, .unicode = false},
        "  for  state     repository     workflow  job          labels              run\n"
        "5m 0s  open      octo-org/shop  CI                                         33714470481/1\n"
        "2m 5s  queued    octo-org/shop  CI        test (3.12)  gpu,lin..lf-hosted  33714470481/1\n"
        "  25s  running   octo-org/shop  CI        lint         ubuntu-latest       33714470481/1\n"
        "8h 1m  approval  octo-org/site  Deploy    deploy       ubuntu-latest       33714470000/2\n"
        "\n"
        "1 run open - 1 job waiting for approval - 1 queued (the oldest for 2m 5s) - 1 running\n");
}

static void jobs_of_a_run_that_say_the_same_are_one_row_on_a_screen(void **state)
{
    struct runs_entry same[4] = {entries[1], entries[1], entries[1], entries[1]};
    (void)state;
    same[1].job_id = 8;
    same[1].job_name = SLICE("test (3.13)");
    same[1].since = AGO(100);
    same[2].run_id = 1; // another run
    same[3].state = RUNS_JOB_RUNNING;
    assert_list(
        same, 4, (struct terminal){.width = 120, .unicode = false},
        "  for  state    repository     workflow  job            labels                 run\n"
        "2m 5s  queued   octo-org/shop  CI        test (3.12)    gpu,linux,self-hosted  1/1\n"
        "2m 5s  queued   octo-org/shop  CI        test (..) x 2  gpu,linux,self-hosted  "
        "33714470481/1\n"
        "2m 5s  running  octo-org/shop  CI        test (3.12)    gpu,linux,self-hosted  "
        "33714470481/1\n"
        "\n"
        "0 runs open - 0 jobs waiting for approval - 3 queued (the oldest for 2m 5s) - 1 "
        "running\n");
    assert_list(same, 2, (struct terminal){.width = TERMINAL_WIDTH_UNLIMITED},
                "   for  state   repository     workflow  job          labels                 run\n"
                " 2m 5s  queued  octo-org/shop  CI        test (3.12)  gpu,linux,self-hosted  "
                "33714470481/1\n"
                "1m 40s  queued  octo-org/shop  CI        test (3.13)  gpu,linux,self-hosted  "
                "33714470481/1\n"
                "\n"
                "0 runs open - 0 jobs waiting for approval - 2 queued (the oldest for 2m 5s) - 0 "
                "running\n");
}

static void empty_columns_are_left_out(void **state)
{
    (void)state;
    assert_list(entries, 1, (struct terminal){.width = 80, .unicode = true},
                "  for  state  repository     workflow  run\n"
                "5m 0s  open   octo-org/shop  CI        33714470481/1\n"
                "\n"
                "1 run open · 0 jobs waiting for approval · 0 queued · 0 running\n");
}

static void an_empty_list_has_a_message_and_advice(void **state)
{
    (void)state;
    assert_list(NULL, 0, (struct terminal){.width = 120, .unicode = true},
                "Nothing is open. A run shows up here with its first webhook; for one that is "
                "finished, see `ghatrace trace RUN`.\n");
    assert_list(NULL, 0, (struct terminal){.width = 40, .unicode = true},
                "Nothing is open.\n"
                "A run shows up here with its\n"
                "first webhook; for one that is finished,\n"
                "see `ghatrace trace RUN`.\n");
}

static void a_time_ahead_of_our_clock_has_no_age(void **state)
{
    (void)state;
    struct runs_entry ahead = entries[0];
    ahead.since = NOW + 3 * NS_PER_SECOND;
    assert_list(&ahead, 1, (struct terminal){.width = 80, .unicode = true},
                "for  state  repository     workflow  run\n"
                " 0s  open   octo-org/shop  CI        33714470481/1\n"
                "\n"
                "1 run open · 0 jobs waiting for approval · 0 queued · 0 running\n");
}

static void ages_are_in_whole_seconds(void **state)
{
    (void)state;
    struct runs_entry young = entries[0];
    young.since = NOW - 2 * NS_PER_SECOND - 999 * NS_PER_MS;
    assert_list(&young, 1, (struct terminal){.width = 80, .unicode = true},
                "for  state  repository     workflow  run\n"
                " 2s  open   octo-org/shop  CI        33714470481/1\n"
                "\n"
                "1 run open · 0 jobs waiting for approval · 0 queued · 0 running\n");
}

static void states_have_colours(void **state)
{
    (void)state;
    assert_list(entries + 1, 1, (struct terminal){.width = 120, .colour = true, .unicode = true},
                "  \x1b[0;90mfor  state   repository     workflow  job          labels             "
                "    run\x1b[0m\n"
                "\x1b[0;1m2m 5s  \x1b[0;33mqueued  \x1b[0mocto-org/shop  CI        test (3.12)  "
                "\x1b[0;90mgpu,linux,self-hosted  33714470481/1\x1b[0m\n"
                "\n"
                "0 runs open \x1b[0;90m· \x1b[0m0 jobs waiting for approval \x1b[0;90m· \x1b[0m1 "
                "queued (the "
                "oldest for 2m 5s) \x1b[0;90m· \x1b[0m0 running\n");
}

static void allocation_faults_are_reported_and_leak_nothing(void **state)
{
    (void)state;
    bool is_done = false;
    for (long skip = 0; !is_done; skip++) {
        struct arena arena;
        struct buffer text;
        arena_init(&arena, 128);
        buffer_init(&text, 1 << 16);
        memory_fail_after(skip);
        enum error_code code = list(entries, ENTRY_COUNT,
                                    (struct terminal){.width = 80, .colour = true}, &arena, &text);
        is_done = memory_count_allocations() <= skip;
        memory_fail_after(-1);
        assert_int_equal(code, is_done ? ERROR_NONE : ERROR_MEMORY);
        buffer_release(&text);
        arena_release(&arena);
        assert_true(skip < 10000);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(
            open_runs_and_jobs_are_listed_oldest_first_then_what_waits_for_an_approval),
        cmocka_unit_test(jobs_of_a_run_that_say_the_same_are_one_row_on_a_screen),
        cmocka_unit_test(a_narrow_terminal_gets_two_lines_an_entry),
        cmocka_unit_test(columns_shrink_before_lines_are_broken),
        cmocka_unit_test(empty_columns_are_left_out),
        cmocka_unit_test(an_empty_list_has_a_message_and_advice),
        cmocka_unit_test(a_time_ahead_of_our_clock_has_no_age),
        cmocka_unit_test(ages_are_in_whole_seconds),
        cmocka_unit_test(states_have_colours),
        cmocka_unit_test(allocation_faults_are_reported_and_leak_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
