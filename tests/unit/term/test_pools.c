// The rows of `ghatrace pools`, as they are displayed.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "ghatrace/term/pools.h"

#define NOW ((timestamp_ns)1788409017 * NS_PER_SECOND) // 2026-09-03T04:16:57Z
#define AGO(seconds) (NOW - (seconds)*NS_PER_SECOND)
#define RAW(literal) ((struct slice){literal, sizeof(literal) - 1})

static struct pools_view_pool pools[4];
static struct pools_view_ceiling ceilings[2];
static struct pools_view_shares shares[2];

static struct pools_view_pool make_pool(const char *name, enum pool_state state, timestamp_ns since,
                                        uint64_t queued)
{
    return (struct pools_view_pool){.name = slice_from_string(name),
                                    .state = state,
                                    .since = since,
                                    .pool.counts[OPEN_JOB_QUEUED] = queued,
                                    .waits.oldest = TIMESTAMP_UNKNOWN,
                                    .recent.last_start = TIMESTAMP_UNKNOWN};
}

static struct pools_view make_view(void)
{
    pools[0] = make_pool("gpu", POOL_DEAD, AGO(2760), 40);
    pools[0].waits.oldest = AGO(2761);
    pools[0].recent = (struct pool_recent){
        .is_known = true, .busy_max_day = 6, .busy_max_week = 8, .last_start = AGO(3000)};
    pools[1] = make_pool("linux,self-hosted,x64", POOL_BUSY, AGO(600), 7);
    pools[1].waits.oldest = AGO(601);
    pools[1].running = 20;
    pools[1].recent = (struct pool_recent){
        .is_known = true, .busy_max_day = 20, .busy_max_week = 20, .last_start = AGO(4)};
    pools[2] = make_pool("ubuntu-latest", POOL_CEILING, AGO(300), 3);
    pools[2].waits.oldest = AGO(301);
    pools[2].running = 12;
    pools[2].ceiling = SLICE("hosted");
    pools[3] = make_pool("win\x1b[2J", POOL_OK, TIMESTAMP_UNKNOWN, 0);
    ceilings[0] = (struct pools_view_ceiling){
        .name = SLICE("hosted"), .limit = 12, .running = 12, .queued = 3, .since = AGO(305)};
    ceilings[1] = (struct pools_view_ceiling){
        .name = SLICE("macs"), .limit = 50, .running = 2, .since = TIMESTAMP_UNKNOWN};
    shares[0] = (struct pools_view_shares){
        {{SLICE_EMPTY, SLICE("octo/shop"), 9}, {SLICE_EMPTY, SLICE("octo/site"), 3}}, 2};
    return (struct pools_view){
        .pools = pools, .count = 4, .ceilings = ceilings, .ceiling_count = 2};
}

static size_t screen_height; // 0: unlimited

static void draw(const struct pools_view *view, struct terminal terminal, struct buffer *text)
{
    const struct pools_options options = {terminal, NOW, screen_height};
    const struct pools_shown shown = {
        view,
        shares,
        {.scope = POOLS_SCOPE_POOLS,
         .text = SLICE("3 of 3 pools with jobs are in trouble."),
         .action_text = SLICE("gpu: See whether its runners are online (GitHub: Settings, Actions, "
                              "Runners).")},
        NULL};
    struct error error;
    struct arena arena;
    arena_init(&arena, 4096);
    buffer_init(text, 1 << 20);
    assert_int_equal(pools_render(&shown, &options, &arena, text, &error), ERROR_NONE);
    assert_int_equal(buffer_append(text, "", 1), ERROR_NONE);
    arena_release(&arena);
}

static void expect(const struct pools_view *view, struct terminal terminal, const char *picture)
{
    struct buffer text;
    draw(view, terminal, &text);
    assert_string_equal(text.data, picture);
    buffer_release(&text);
}

static void eighty_columns_show_the_most_important_ones(void **state)
{
    struct pools_view view = make_view();
    (void)state;
    expect(&view, (struct terminal){.width = 80, .unicode = true},
           "3 of 3 pools with jobs are in trouble.\n"
           "gpu: See whether its runners are online (GitHub: Settings, Actions, Runners).\n"
           "2026-09-03T04:16:57Z \u00b7 1 pool dead \u00b7 1 busy \u00b7 1 ceiling \u00b7 1 ok "
           "\u00b7\n50 jobs queued \u00b7 32 running\n"
           "ceiling \"hosted\" (configured): 12 of 12 run, 3 queued \u00b7 octo/shop runs 9 "
           "\u00b7\n"
           "octo/site runs 3\n"
           "dead: If they are, see whether ARC's listener and controller run, and whether\n"
           "the runners still have these labels.\n"
           "busy: Add runners, or cancel runs that are not needed. As many run as ever did\n"
           "in a week; concurrency groups and max-parallel let fewer run at once.\n"
           "ceiling: Cancel unneeded runs, or raise the limit at GitHub. More runners of\n"
           "these pools would not help; concurrency groups, max-parallel and runners of\n"
           "another kind would.\n"
           "\n"
           "POOL                   STATE       FOR  QUEUED  OLDEST  RUNNING  MOST  CEILING\n"
           "gpu                    dead     50m 0s      40  46m 1s        0     8\n"
           "linux,self-hosted,x64  busy     10m 0s       7  10m 1s       20    20\n"
           "ubuntu-latest          ceiling   5m 0s       3   5m 1s       12        hosted\n"
           "win\ufffd[2J                ok                    0                0\n");
}

static void into_a_pipe_nothing_is_shortened(void **state)
{
    struct pools_view view = make_view();
    char name[3001];
    struct buffer text;
    (void)state;
    memset(name, 'a', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    pools[1].name = slice_from_string(name);
    draw(&view, (struct terminal){.width = TERMINAL_WIDTH_UNLIMITED}, &text);
    assert_non_null(strstr(text.data, name));
    assert_non_null(strstr(text.data, "LAST START"));
    // Sentences are broken into lines of a hundred columns, so that they can be read.
    const char *advice = strstr(text.data, "\nceiling: Cancel unneeded runs");
    assert_non_null(advice);
    assert_true(strchr(advice + 1, '\n') - advice <= 101);
    assert_non_null(strstr(advice, "of another kind would.\n"));
    buffer_release(&text);
}

static void narrow_terminals_keep_state_queue_and_runners(void **state)
{
    struct pools_view view = make_view();
    (void)state;
    expect(&view, (struct terminal){.width = 40},
           "3 of 3 pools with jobs are in trouble.\n"
           "gpu: See whether its runners are online\n"
           "(GitHub: Settings, Actions, Runners).\n"
           "2026-09-03T04:16:57Z - 1 pool dead -\n"
           "1 busy - 1 ceiling - 1 ok -\n"
           "50 jobs queued - 32 running\n"
           "ceiling \"hosted\" (configured): 12 of 12\n"
           "run, 3 queued - octo/shop runs 9 -\n"
           "octo/site runs 3\n"
           "dead: If they are, see whether ARC's\n"
           "listener and controller run, and whether\n"
           "the runners still have these labels.\n"
           "busy: Add runners, or cancel runs that\n"
           "are not needed. As many run as ever did\n"
           "in a week; concurrency groups and\n"
           "max-parallel let fewer run at once.\n"
           "ceiling: Cancel unneeded runs, or raise\n"
           "the limit at GitHub. More runners of\n"
           "these pools would not help; concurrency\n"
           "groups, max-parallel and runners of\n"
           "another kind would.\n"
           "\n"
           "POOL                   STATE    QUEUED\n"
           "gpu                    dead         40\n"
           "linux,self-hosted,x64  busy          7\n"
           "ubuntu-latest          ceiling       3\n"
           "win?[2J                ok            0\n");
}

static void colours_are_used_only_where_the_terminal_has_them(void **state)
{
    struct pools_view view = make_view();
    struct buffer text;
    (void)state;
    draw(&view, (struct terminal){.width = 80, .colour = true}, &text);
    assert_non_null(strstr(text.data, "\x1b[0;31mdead"));
    buffer_release(&text);
    draw(&view, (struct terminal){.width = 80}, &text);
    assert_null(strchr(text.data, '\x1b'));
    buffer_release(&text);
}

static void without_pools_it_is_said_when_there_will_be_some(void **state)
{
    struct pools_view view = {.count = 0};
    (void)state;
    expect(&view, (struct terminal){.width = 80},
           "No pool is known: one shows up here with its first job.\n");
}

static void repositories_of_a_ceiling_are_named_if_one_has_a_quarter(void **state)
{
    struct pools_view view = make_view();
    struct buffer text;
    (void)state;
    ceilings[0].running = 40;
    shares[0].count = 0;
    while (shares[0].count < 8)
        shares[0].items[shares[0].count++] =
            (struct pools_view_share){SLICE_EMPTY, SLICE("octo/many"), 9};
    draw(&view, (struct terminal){.width = 120}, &text);
    assert_non_null(strstr(text.data, " 3 queued - no repository runs more than 9\n"));
    assert_null(strstr(text.data, "octo/many"));
    buffer_release(&text);
    shares[0].items[0].running = 10;
    draw(&view, (struct terminal){.width = 120}, &text);
    assert_non_null(strstr(text.data, " 3 queued - octo/many runs 10 - octo/many runs 9"));
    assert_null(strstr(text.data, "no repository"));
    buffer_release(&text);
    ceilings[0].common = (struct pools_view_common){SLICE("Rebuild\x1b[2J"), 150, 221, 38, true};
    ceilings[0].is_inferred = true;
    draw(&view, (struct terminal){.width = 200}, &text);
    assert_non_null(strstr(text.data,
                           "ceiling \"hosted\" (inferred): 40 of 12 run, 3 queued - workflow "
                           "\"Rebuild?[2J\" of 38 repositories has 150 of the oldest 221 "
                           "queued jobs - octo/many runs 10"));
    buffer_release(&text);
}

static void pools_that_are_ok_are_one_line_if_not_all_fit(void **state)
{
    struct pools_view view = make_view();
    struct buffer text;
    (void)state;
    pools[3].running = 54;
    for (screen_height = 13; screen_height <= 14; screen_height++) {
        draw(&view, (struct terminal){.width = 200}, &text);
        bool is_folded = strstr(text.data, "\n1 pool ok, 54 running\n") != NULL;
        assert_true(is_folded == (screen_height == 13));
        assert_true((strstr(text.data, "win?[2J") == NULL) == is_folded);
        assert_non_null(strstr(text.data, "\nubuntu-latest "));
        buffer_release(&text);
    }
    screen_height = 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(eighty_columns_show_the_most_important_ones),
        cmocka_unit_test(into_a_pipe_nothing_is_shortened),
        cmocka_unit_test(narrow_terminals_keep_state_queue_and_runners),
        cmocka_unit_test(colours_are_used_only_where_the_terminal_has_them),
        cmocka_unit_test(without_pools_it_is_said_when_there_will_be_some),
        cmocka_unit_test(pools_that_are_ok_are_one_line_if_not_all_fit),
        cmocka_unit_test(repositories_of_a_ceiling_are_named_if_one_has_a_quarter),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
