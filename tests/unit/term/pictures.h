// Draws a sample run and checks the picture. For one test program, which has a run of its own.
#ifndef TESTS_TERM_PICTURES_H
#define TESTS_TERM_PICTURES_H

#include "ghatrace/term/waterfall.h"

#include "sample_run.h"

static struct sample_run run; // what the pictures show

static inline int set_up(void **state)
{
    (void)state;
    sample_init(&run);
    return 0;
}

static inline int tear_down(void **state)
{
    (void)state;
    sample_release(&run);
    return 0;
}

struct view {
    size_t width;
    bool colour;
    bool ascii;
    bool steps;
};

static inline enum error_code draw(struct view view, struct arena *arena, struct buffer *text)
{
    struct waterfall_options options = {
        .terminal = {.width = view.width, .colour = view.colour, .unicode = !view.ascii},
        .steps = view.steps,
    };
    struct run_view shown;
    struct error error;
    enum error_code code = run_view_from_spans(run.batches, run.count, arena, &shown);
    if (code != ERROR_NONE)
        return code;
    code = waterfall_render(&shown, &options, arena, text, &error);
    if (code != ERROR_NONE)
        assert_int_equal(error.code, code);
    return code;
}

static inline void assert_picture(struct view view, const char *expected)
{
    struct arena arena;
    struct buffer text;

    arena_init(&arena, 4096);
    buffer_init(&text, 1 << 20);
    assert_int_equal(draw(view, &arena, &text), ERROR_NONE);
    assert_int_equal(buffer_append(&text, "", 1), ERROR_NONE);
    assert_string_equal(text.data, expected);
    buffer_release(&text);
    arena_release(&arena);
}

// The drawn picture, for checks of details.
static inline char *picture(struct view view)
{
    static char copy[1 << 18];
    struct arena arena;
    struct buffer text;

    arena_init(&arena, 4096);
    buffer_init(&text, sizeof(copy) - 1);
    assert_int_equal(draw(view, &arena, &text), ERROR_NONE);
    memcpy(copy, text.data, text.len);
    copy[text.len] = '\0';
    buffer_release(&text);
    arena_release(&arena);
    return copy;
}

static inline void assert_shows(struct view view, const char *part)
{
    char *whole = picture(view);
    if (strstr(whole, part) == NULL)
        fail_msg("not shown: %s\n%s", part, whole);
}

static inline void assert_hides(struct view view, const char *part)
{
    char *whole = picture(view);
    if (strstr(whole, part) != NULL)
        fail_msg("shown: %s\n%s", part, whole);
}

static inline void build_and_test(void)
{
    sample_root(&run, 300, "failure");
    sample_job(&run, SLICE("test (3.12)"), "failure", (struct sample_times){62, 62, 110, 125, 290});
    sample_step(&run, SLICE("Set up job"), "success", 110, 112);
    sample_step(&run, SLICE("Run actions/checkout@v4"), "success", 125, 128);
    sample_step(&run, SLICE("pytest"), "failure", 128, 288);
    sample_step(&run, SLICE("Upload coverage"), "skipped", 288, 288);
    sample_job(&run, SLICE("build / linux"), "success", (struct sample_times){0, 0, 20, 30, 60});
    sample_job(&run, SLICE("deploy"), "skipped", (struct sample_times){291, 291, 291, 291, 291});
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

#endif
