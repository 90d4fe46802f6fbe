// The screen of `ghatrace top`, as it is displayed.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ghatrace/term/top.h"
#include "support/engine_bench.h"

#define NOW ((timestamp_ns)1788409017 * NS_PER_SECOND)
#define AGO(seconds) (NOW - (seconds)*NS_PER_SECOND)
// As SLICE(), for objects of static storage.
#define TEXT(literal)                                                                              \
    {                                                                                              \
        .data = (literal), .len = sizeof(literal) - 1                                              \
    }

static struct pools_view_pool pools[3];

static void set_pool(size_t i, const char *name, uint64_t queued, uint64_t running,
                     timestamp_ns oldest)
{
    pools[i] = (struct pools_view_pool){
        .name = slice_from_string(name),
        .pool.counts = {[OPEN_JOB_QUEUED] = queued, [OPEN_JOB_RUNNING] = running},
        .running = running,
        .waits.oldest = oldest,
        .ceiling_number = POOLS_VIEW_NO_CEILING};
}

static struct top_job jobs[] = {
    {OPEN_JOB_QUEUED,
     AGO(1325),
     TEXT("octo-org/shop"),
     TEXT("test (ubuntu-latest, 3.12)"),
     TEXT("CI"),
     TEXT("self-hosted,linux,gpu"),
     {0},
     false,
     33714470481,
     1},
    {OPEN_JOB_QUEUED,
     AGO(25),
     TEXT("octo-org/site"),
     TEXT("\x1b[2J<b>"),
     TEXT("Deploy"),
     TEXT("ubuntu-latest"),
     {0},
     false,
     33714470481,
     1},
    {OPEN_JOB_WAITING,
     AGO(3 * 3600),
     TEXT("octo-org/site"),
     TEXT("deploy"),
     TEXT("Deploy"),
     TEXT("ubuntu-latest"),
     {0},
     false,
     33714470481,
     1},
    {OPEN_JOB_RUNNING, AGO(61), TEXT("octo-org/shop"), TEXT("lint"), TEXT("CI"),
     TEXT("ubuntu-latest"), TEXT("GitHub Actions 7"), false, 33714470481, 1},
};

static struct top sample(void)
{
    set_pool(0, "gpu,linux,self-hosted", 2, 0, AGO(1325));
    set_pool(1, "ubuntu-latest", 1, 61, AGO(25));
    set_pool(2, "idle", 0, 0, TIMESTAMP_UNKNOWN);
    pools[0].state = POOL_DEAD;
    pools[0].since = AGO(1300);
    return (struct top){.now = NOW,
                        .totals = {0, 1, 3, 61},
                        .open_runs = 12,
                        .summary = {POOLS_SCOPE_POOL, SLICE("One pool is in trouble.")},
                        .pools = {.pools = pools, .count = 3},
                        .jobs = jobs,
                        .job_count = sizeof jobs / sizeof jobs[0]};
}

static void draw(const struct top *top, size_t height, struct terminal terminal,
                 struct buffer *text)
{
    struct error error;
    struct arena arena;
    arena_init(&arena, 4096);
    buffer_init(text, 1 << 20);
    const struct top_options options = {.terminal = terminal, .height = height};
    assert_int_equal(top_render(top, &options, &arena, text, &error), ERROR_NONE);
    assert_int_equal(buffer_append(text, "", 1), ERROR_NONE);
    arena_release(&arena);
}

static void expect(const struct top *top, size_t height, struct terminal terminal,
                   const char *picture)
{
    struct buffer text;
    draw(top, height, terminal, &text);
    assert_string_equal(text.data, picture);
    buffer_release(&text);
}

static void eighty_columns_show_the_most_important_ones(void **state)
{
    struct top top = sample();
    (void)state;
    expect(&top, 0, (struct terminal){.width = 80, .unicode = true},
           "One pool is in trouble.\n"
           "2026-09-03T04:16:57Z \u00b7 3 queued (the oldest for 22m 5s) \u00b7 61 running "
           "\u00b7\n"
           "1 waiting for approval \u00b7 12 runs open\n"
           "dead: See whether its runners are online (GitHub: Settings, Actions, Runners).\n"
           "If they are, see whether ARC's listener and controller run, and whether the\n"
           "runners still have these labels.\n"
           "\n"
           "POOL                   STATE      FOR  SINCE (UTC)  QUEUED  OLDEST  RUNNING\n"
           "gpu,linux,self-hosted  dead   21m 40s  09-03 03:55       2  22m 5s        0\n"
           "ubuntu-latest          ok                                1     25s       61\n"
           "\n"
           "   FOR  STATE     REPOSITORY     JOB                       LABELS\n"
           "22m 5s  queued    octo-org/shop  test (ubuntu\u2026test, 3.12)  self-hosted,linux,gpu\n"
           "   25s  queued    octo-org/site  \ufffd[2J<b>                   ubuntu-latest\n"
           " 3h 0m  approval  octo-org/site  deploy                    ubuntu-latest\n"
           " 1m 1s  running   octo-org/shop  lint                      ubuntu-latest\n");
}

static void records_that_wait_for_the_collector_are_shown(void **state)
{
    struct terminal terminal = {.width = 120, .unicode = true};
    struct top top = sample();
    struct buffer text;
    (void)state;
    top.outbox_records = 1;
    top.outbox_oldest = AGO(59); // on its way
    draw(&top, 2, terminal, &text);
    assert_null(strstr(text.data, "collector"));
    buffer_release(&text);
    top.outbox_oldest = AGO(90);
    draw(&top, 0, terminal, &text);
    assert_non_null(
        strstr(text.data, "\n1 record waits for the collector (the oldest for 1m 30s)\n"));
    buffer_release(&text);
    top.outbox_records = 1234;
    top.dead_letters = 3;
    draw(&top, 0, terminal, &text);
    assert_non_null(strstr(text.data, "\n1234 records wait for the collector (the oldest for "
                                      "1m 30s) \u00b7 3 dead letters: see ghatrace requeue\n"));
    buffer_release(&text);
}

static void a_job_whose_runner_has_taken_another_one_does_not_run(void **state)
{
    struct top top = sample();
    struct top_job job = jobs[3];
    struct buffer text;
    (void)state;
    job.is_ended_unknown = true;
    top.jobs = &job;
    top.job_count = 1;
    top.ended_unknown = 1;
    draw(&top, 0, (struct terminal){.width = 120, .unicode = true}, &text);
    assert_non_null(strstr(text.data, "\n1 job ended, result unknown: the runner has taken "
                                      "another one\n"));
    assert_non_null(strstr(text.data, "1m 1s  ended, result unknown  octo-org/shop"));
    buffer_release(&text);
}

static void pools_in_trouble_come_first_and_then_others_with_open_jobs(void **state)
{
    struct top top = sample();
    struct buffer text;
    (void)state;
    pools[0].state = POOL_WAITING; // for a short while: not in trouble yet
    pools[0].since = pools[0].waits.oldest = AGO(120);
    pools[1].state = POOL_CEILING;
    pools[1].since = AGO(60);
    pools[1].ceiling = SLICE("(any\n)");
    draw(&top, 0, (struct terminal){.width = 120, .unicode = true}, &text);
    const char *ceiling = strstr(text.data, "\nubuntu-latest          ceiling  1m 0s");
    assert_non_null(ceiling);
    assert_non_null(strstr(ceiling, "(any\ufffd)\ngpu,linux,self-hosted  waiting  2m 0s"));
    assert_null(strstr(text.data, "idle"));
    buffer_release(&text);
}

static void that_github_is_silent_is_shown_while_jobs_are_queued(void **state)
{
    static const char silent[] =
        "\nGitHub has sent nothing for 5m 1s, though jobs are open: what is "
        "shown may be out of date.\n";
    struct top top = sample();
    struct buffer text;
    (void)state;
    for (int is_long = 0; is_long <= 1; is_long++) {
        top.last_delivery = AGO(300 + is_long);
        draw(&top, 0, (struct terminal){.width = 120}, &text);
        assert_true((strstr(text.data, silent) != NULL) == (is_long == 1));
        buffer_release(&text);
    }
    top.totals[OPEN_JOB_QUEUED] = 0; // a long job alone causes no deliveries
    draw(&top, 0, (struct terminal){.width = 120}, &text);
    assert_null(strstr(text.data, "GitHub has sent nothing"));
    buffer_release(&text);
}

static void a_picture_that_is_not_new_says_why_first(void **state)
{
    struct top top = sample();
    struct buffer text;
    (void)state;
    top.trouble = SLICE("This is as of yesterday: connection \x1b[2J refused");
    draw(&top, 3, (struct terminal){.width = 120, .unicode = true}, &text);
    assert_non_null(strstr(text.data, "This is as of yesterday: connection \ufffd[2J refused\n"));
    assert_ptr_equal(strstr(text.data, "This"), text.data);
    buffer_release(&text);
}

static void queued_jobs_that_say_the_same_are_one_row_on_a_screen(void **state)
{
    struct top_job same[] = {jobs[0], jobs[0], jobs[0], jobs[1], jobs[3], jobs[3]};
    struct top top = sample();
    struct buffer text;
    (void)state;
    same[1].name = SLICE("test (windows, 3.13)");
    same[1].since = AGO(1000);
    same[2].repository = SLICE("octo-org/site");
    top.jobs = same;
    top.job_count = 6;
    draw(&top, 30, (struct terminal){.width = 160, .unicode = true}, &text);
    assert_non_null(strstr(text.data, "   FOR  JOBS  STATE    REPOSITORY"));
    assert_non_null(strstr(text.data, "22m 5s     2  queued   octo-org/shop  test (\u2026)  "));
    assert_non_null(strstr(text.data, "22m 5s        queued   octo-org/site  test (ubuntu-latest, "
                                      "3.12)  "));
    top.totals[OPEN_JOB_QUEUED] = 5; // one was not read
    const char *running = strstr(text.data, " 1m 1s        running  octo-org/shop  lint");
    assert_non_null(running);
    assert_non_null(strstr(running + 1, " 1m 1s        running  octo-org/shop  lint"));
    buffer_release(&text);
    draw(&top, 30, (struct terminal){.width = 160, .unicode = true}, &text);
    assert_non_null(strstr(text.data, "22m 5s    2+  queued   octo-org/shop  test (\u2026)  "));
    buffer_release(&text);
    draw(&top, 0, (struct terminal){.width = 160, .unicode = true}, &text); // into a pipe
    assert_null(strstr(text.data, "JOBS"));
    assert_non_null(strstr(text.data, "test (windows, 3.13)"));
    buffer_release(&text);
}

static void on_a_low_screen_pools_are_more_important_than_totals(void **state)
{
    struct top top = sample();
    struct buffer text;
    (void)state;
    draw(&top, 8, (struct terminal){.width = 80}, &text);
    assert_non_null(strstr(text.data, "One pool is in trouble.\n\nPOOL "));
    assert_non_null(strstr(text.data, "\ngpu,linux,self-hosted  dead "));
    buffer_release(&text);
}

static void pools_that_are_ok_are_one_line_if_not_all_fit(void **state)
{
    struct pools_view_pool many[9];
    struct top top = sample();
    struct buffer text;
    (void)state;
    for (size_t i = 0; i < 9; i++)
        many[i] = i == 0 ? pools[0] : pools[1];
    top.pools = (struct pools_view){.pools = many, .count = 9};
    draw(&top, 24, (struct terminal){.width = 80}, &text);
    assert_non_null(strstr(text.data, "\n8 pools ok, 8 queued, 488 running\n"));
    assert_null(strstr(text.data, "\nubuntu-latest "));
    assert_non_null(strstr(text.data, "lint"));
    buffer_release(&text);
    for (size_t i = 1; i < 9; i++)
        many[i].state = POOL_BUSY;
    draw(&top, 16, (struct terminal){.width = 80}, &text);
    assert_non_null(strstr(text.data, " more pools, "));
    buffer_release(&text);
    draw(&top, 24, (struct terminal){.width = 80}, &text);
    assert_null(strstr(text.data, " more pools, "));
    buffer_release(&text);
}

static void two_hundred_columns_show_everything(void **state)
{
    struct top top = sample();
    struct buffer text;
    (void)state;
    draw(&top, 0, (struct terminal){.width = 200, .unicode = true}, &text);
    assert_non_null(strstr(text.data, "WORKFLOW"));
    assert_non_null(
        strstr(text.data, "test (ubuntu-latest, 3.12)  CI        self-hosted,linux,gpu"));
    assert_non_null(strstr(text.data, "GitHub Actions 7  33714470481/1\n"));
    buffer_release(&text);
}

static void no_line_is_wider_than_the_terminal_or_ends_in_blanks(void **state)
{
    struct top top = sample();
    (void)state;
    for (size_t width = 40; width <= 220; width++) {
        struct buffer text;
        draw(&top, 0, (struct terminal){.width = width, .unicode = false}, &text);
        size_t column = 0;
        for (const char *c = text.data; *c != '\0'; c++) {
            assert_true(*c == '\n' || (*c >= ' ' && *c < 0x7f));
            assert_false(*c == '\n' && column > 0 && c[-1] == ' ');
            column = *c == '\n' ? 0 : column + 1;
            assert_true(column <= width);
        }
        buffer_release(&text);
    }
}

static void no_more_lines_are_written_than_the_screen_has(void **state)
{
    struct top top = sample();
    (void)state;
    for (size_t height = 1; height <= 20; height++) {
        struct buffer text;
        size_t lines = 0;
        draw(&top, height, (struct terminal){.width = 120}, &text);
        for (const char *c = text.data; *c != '\0'; c++)
            lines += *c == '\n' ? 1 : 0;
        assert_true(lines <= height);
        buffer_release(&text);
    }
}

static void colours_are_used_only_if_enabled(void **state)
{
    struct top top = sample();
    struct buffer text;
    (void)state;
    draw(&top, 0, (struct terminal){.width = 120}, &text);
    assert_null(strchr(text.data, '\x1b'));
    buffer_release(&text);
    draw(&top, 0, (struct terminal){.width = 120, .colour = true}, &text);
    assert_non_null(strchr(text.data, '\x1b'));
    assert_null(strstr(text.data, "\x1b[2J"));
    buffer_release(&text);
}

static void an_empty_queue_has_a_message_and_advice(void **state)
{
    struct top top = {.now = NOW, .summary = {POOLS_SCOPE_NONE, SLICE("No pool is in trouble.")}};
    struct buffer text;
    (void)state;
    draw(&top, 0, (struct terminal){.width = 120}, &text);
    assert_non_null(strstr(text.data, "0 queued - 0 running"));
    assert_non_null(strstr(text.data, "Nothing is open."));
    assert_non_null(strstr(text.data, "ghatrace trace RUN"));
    buffer_release(&text);
}

static void open_jobs_are_read_from_the_store(void **state)
{
    struct engine_bench bench;
    struct arena arena;
    struct error error;
    struct top top;
    (void)state;
    engine_bench_open(&bench);
    for (int64_t id = 1; id <= 5; id++) {
        struct scenario_delivery queued =
            scenario_job(id, GITHUB_JOB_QUEUED, 2 + (double)id, (double)id, (double)id, -1);
        engine_bench_accept(&bench, &queued);
    }
    struct scenario_delivery running = scenario_job(3, GITHUB_JOB_IN_PROGRESS, 20, 3, 12, -1);
    engine_bench_accept(&bench, &running);
    arena_init(&arena, 4096);
    struct pools_cache cache;
    pools_cache_init(&cache);
    struct top_source source = {
        .store = bench.store, .pools = &cache, .jobs = 3, .now = scenario_at(60)};
    assert_int_equal(top_load(&source, &arena, &top, &error), ERROR_NONE);
    assert_int_equal(top.totals[OPEN_JOB_QUEUED], 4);
    assert_int_equal(top.totals[OPEN_JOB_RUNNING], 1);
    assert_int_equal(top.open_runs, 1);
    assert_int_equal(top.job_count, 3); // the limit
    assert_true(top.jobs[0].since == scenario_at(1) && top.jobs[1].since == scenario_at(2));
    assert_true(slice_equals(top.jobs[0].labels, SLICE("linux,self-hosted")));
    source.jobs = 9;
    assert_int_equal(top_load(&source, &arena, &top, &error), ERROR_NONE);
    assert_int_equal(top.job_count, 5);
    assert_int_equal(top.jobs[4].state, OPEN_JOB_RUNNING);
    assert_true(top.jobs[4].since == scenario_at(12));
    pools_cache_release(&cache);
    arena_release(&arena);
    engine_bench_close(&bench);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(eighty_columns_show_the_most_important_ones),
        cmocka_unit_test(records_that_wait_for_the_collector_are_shown),
        cmocka_unit_test(a_job_whose_runner_has_taken_another_one_does_not_run),
        cmocka_unit_test(pools_in_trouble_come_first_and_then_others_with_open_jobs),
        cmocka_unit_test(that_github_is_silent_is_shown_while_jobs_are_queued),
        cmocka_unit_test(a_picture_that_is_not_new_says_why_first),
        cmocka_unit_test(queued_jobs_that_say_the_same_are_one_row_on_a_screen),
        cmocka_unit_test(on_a_low_screen_pools_are_more_important_than_totals),
        cmocka_unit_test(pools_that_are_ok_are_one_line_if_not_all_fit),
        cmocka_unit_test(two_hundred_columns_show_everything),
        cmocka_unit_test(no_line_is_wider_than_the_terminal_or_ends_in_blanks),
        cmocka_unit_test(no_more_lines_are_written_than_the_screen_has),
        cmocka_unit_test(colours_are_used_only_if_enabled),
        cmocka_unit_test(an_empty_queue_has_a_message_and_advice),
        cmocka_unit_test(open_jobs_are_read_from_the_store),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
