// The rows of finished runs in `ghatrace runs`, as they are displayed.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "ghatrace/term/runs.h"

#define NOW ((timestamp_ns)1788409017 * NS_PER_SECOND)
#define AGO(seconds) (NOW - (seconds)*NS_PER_SECOND)

static struct run_view runs[2];

static struct finished_view make_view(void)
{
    runs[0] = (struct run_view){.run_id = 33714470481,
                                .run_attempt = 2,
                                .repository = SLICE("octo-org/shop"),
                                .workflow = SLICE("Build, test and publish the images"),
                                .branch = SLICE("fix/\x1b[2J"),
                                .title = SLICE("Fix the cart"),
                                .conclusion = SLICE("failure"),
                                .start = AGO(152),
                                .end = AGO(31)};
    runs[1] = (struct run_view){.run_id = 7,
                                .run_attempt = 1,
                                .server = SLICE("ghe.example"),
                                .repository = SLICE("octo-org/site"),
                                .workflow = SLICE("CI"),
                                .branch = SLICE("main"),
                                .result = SLICE("success"),
                                .start = AGO(7200),
                                .end = AGO(3600)};
    return (struct finished_view){runs, 2, false};
}

static void expect(const struct finished_view *view, struct terminal terminal, const char *picture)
{
    const struct runs_options options = {terminal, NOW};
    struct buffer text;
    struct error error;
    struct arena arena;
    arena_init(&arena, 4096);
    buffer_init(&text, 1 << 20);
    assert_int_equal(runs_render_finished(view, &options, &arena, &text, &error), ERROR_NONE);
    assert_int_equal(buffer_append(&text, "", 1), ERROR_NONE);
    assert_string_equal(text.data, picture);
    buffer_release(&text);
    arena_release(&arena);
}

static void the_width_decides_what_is_shown_of_runs(void **state)
{
    const struct finished_view view = make_view();
    (void)state;
    expect(&view, (struct terminal){.width = 80, .unicode = true},
           "    ended  result    took            run  repository          workflow\n"
           "  31s ago  failure  2m 1s  33714470481/2  octo-org/shop       Build, te\u2026e images\n"
           "1h 0m ago  success  1h 0m            7/1  ghe.examp\u2026org/site  CI\n");
    expect(&view, (struct terminal){.width = 40},
           "result             run  repository\n"
           "failure  33714470481/2  octo-org/shop\n"
           "success            7/1  ghe.exa..rg/site\n");
    expect(&view, (struct terminal){.width = TERMINAL_WIDTH_UNLIMITED},
           "    ended  result    took            run  repository                 workflow          "
           "                  branch    title\n"
           "  31s ago  failure  2m 1s  33714470481/2  octo-org/shop              Build, test and "
           "publish the images  fix/?[2J  Fix the cart\n"
           "1h 0m ago  success  1h 0m            7/1  ghe.example/octo-org/site  CI                "
           "                  main\n");
}

static void that_there_are_more_or_none_is_said(void **state)
{
    struct finished_view view = {.count = 0};
    (void)state;
    expect(&view, (struct terminal){.width = 80}, "No finished run matches.\n");
    view.has_more = true;
    expect(&view, (struct terminal){.width = 80},
           "No finished run matches.\n\nThere are more: see --limit and --since.\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_width_decides_what_is_shown_of_runs),
        cmocka_unit_test(that_there_are_more_or_none_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
