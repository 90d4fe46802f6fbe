// Painted lines: never too wide, never with blanks at their ends, colours switched off.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "../../../src/term/painter.h"

struct canvas {
    struct painter painter;
    struct buffer text;
};

static void open_canvas(struct canvas *canvas, size_t width, bool colour, bool unicode)
{
    struct terminal terminal = {.width = width, .colour = colour, .unicode = unicode};
    buffer_init(&canvas->text, 1 << 20);
    painter_init(&canvas->painter, &terminal, &canvas->text);
}

static void assert_canvas(struct canvas *canvas, const char *expected)
{
    assert_int_equal(painter_finish(&canvas->painter), ERROR_NONE);
    assert_int_equal(buffer_append(&canvas->text, "", 1), ERROR_NONE);
    assert_string_equal(canvas->text.data, expected);
    buffer_release(&canvas->text);
}

static void blanks_at_the_end_of_a_line_are_left_out(void **state)
{
    (void)state;
    struct canvas canvas;
    open_canvas(&canvas, 40, false, true);
    painter_string(&canvas.painter, STYLE_PLAIN, " a  b   ");
    painter_blanks(&canvas.painter, 7);
    painter_newline(&canvas.painter);
    painter_advance(&canvas.painter, 40);
    painter_newline(&canvas.painter);
    painter_advance(&canvas.painter, 3);
    painter_string(&canvas.painter, STYLE_PLAIN, "c");
    painter_newline(&canvas.painter);
    assert_canvas(&canvas, " a  b\n\n   c\n");
}

static void text_beyond_the_edge_is_cut_off(void **state)
{
    (void)state;
    struct canvas canvas;
    open_canvas(&canvas, 40, false, true);
    painter_advance(&canvas.painter, 37);
    painter_string(&canvas.painter, STYLE_PLAIN, "日本");
    painter_string(&canvas.painter, STYLE_PLAIN, "xyz");
    painter_blanks(&canvas.painter, 1000);
    assert_int_equal(painter_room(&canvas.painter), 0);
    painter_string(&canvas.painter, STYLE_PLAIN, "never");
    painter_newline(&canvas.painter);
    assert_canvas(&canvas, "                                     日x\n");
}

static void a_width_out_of_range_counts_as_the_nearer_bound(void **state)
{
    (void)state;
    struct canvas canvas;
    open_canvas(&canvas, 0, false, true);
    assert_int_equal(painter_room(&canvas.painter), TERMINAL_WIDTH_MIN);
    open_canvas(&canvas, SIZE_MAX, false, true);
    assert_int_equal(painter_room(&canvas.painter), TERMINAL_WIDTH_MAX);
}

static void colours_change_only_at_visible_text_and_end_with_the_line(void **state)
{
    (void)state;
    struct canvas canvas;
    open_canvas(&canvas, 40, true, true);
    painter_string(&canvas.painter, STYLE_RED, "a b");
    painter_string(&canvas.painter, STYLE_RED, "c");
    painter_string(&canvas.painter, STYLE_GREEN, "  ");
    painter_string(&canvas.painter, STYLE_PLAIN, "d");
    painter_newline(&canvas.painter);
    painter_string(&canvas.painter, STYLE_BOLD, "e");
    painter_newline(&canvas.painter);
    assert_canvas(&canvas, "\x1b[0;31ma bc  \x1b[0md\n\x1b[0;1me\x1b[0m\n");
}

static void long_names_keep_their_beginning_and_their_end(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t columns;
        size_t tail_percent;
        bool unicode;
        const char *expected;
    } cases[] = {
        {"build / linux", 13, 50, true, "build / linux"},
        {"build / linux", 12, 50, true, "build…linux"}, // no blanks beside the ellipsis
        {"abcdefghij", 9, 50, true, "abcd…ghij"},
        {"abcdefghij", 9, 50, false, "abcd..hij"},
        {"abcdefghij", 9, 0, true, "abcdefgh…"},
        {"abcdefghij", 9, 100, true, "…cdefghij"},
        {"abcdefghij", 2, 50, true, "a…"},
        {"abcdefghij", 1, 50, true, "a"},
        {"abcdefghij", 2, 50, false, "ab"},
        {"abcdefghij", 0, 50, true, ""},
        {"日本語のジョブ", 8, 50, true, "日本…ブ"}, // what does not fit in halves is left out
        {"e\u0301e\u0301e\u0301e\u0301e\u0301", 3, 50, true, "e\u0301…e\u0301"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct canvas canvas;
        char expected[80];
        open_canvas(&canvas, 40, false, cases[i].unicode);
        painter_shortened(&canvas.painter, STYLE_PLAIN, slice_from_string(cases[i].text),
                          cases[i].columns, cases[i].tail_percent);
        painter_newline(&canvas.painter);
        (void)snprintf(expected, sizeof(expected), "%s\n", cases[i].expected);
        assert_canvas(&canvas, expected);
    }
}

static void figures_are_aligned_to_the_right(void **state)
{
    (void)state;
    struct canvas canvas;
    open_canvas(&canvas, 40, false, true);
    painter_right(&canvas.painter, STYLE_PLAIN, SLICE("1s"), 5);
    painter_right(&canvas.painter, STYLE_PLAIN, SLICE("toolong"), 4);
    painter_newline(&canvas.painter);
    assert_canvas(&canvas, "   1stool\n");
}

static struct painter_piece piece(const char *text, bool may_break)
{
    return (struct painter_piece){STYLE_PLAIN, slice_from_string(text), may_break};
}

static void paragraphs_break_between_pieces(void **state)
{
    (void)state;
    struct canvas canvas;
    const struct painter_piece pieces[] = {
        piece("twelve chars", false),
        piece("twelve chars", false),
        piece("and ten ..", false), // 12 + 3 + 12 + 3 + 10: exactly the line
        piece("the next line", false),
        piece("a piece that is longer than the whole line is", false),
        piece("a piece that is longer than the whole line is", true),
        piece("z", false),
    };
    open_canvas(&canvas, 40, false, false);
    painter_paragraph(&canvas.painter, pieces, 7, " - ", 0);
    painter_paragraph(&canvas.painter, pieces, 3, " - ", 2);
    painter_paragraph(&canvas.painter, pieces, 0, " - ", 0);
    assert_canvas(&canvas, "twelve chars - twelve chars - and ten ..\n"
                           "the next line\n"
                           "a piece that is longer..e whole line is\n"
                           "a piece that is longer than the whole li\n"
                           "ne is - z\n"
                           "  twelve chars - twelve chars\n"
                           "  and ten ..\n"
                           "\n");
    open_canvas(&canvas, 40, false, false);
    canvas.painter.shows_breaks = true;
    painter_paragraph(&canvas.painter, pieces, 7, " - ", 0);
    painter_paragraph(&canvas.painter, pieces, 3, " ", 0);
    assert_canvas(&canvas, "twelve chars - twelve chars -\n"
                           "and ten .. - the next line -\n"
                           "a piece that is longer..e whole line is\n"
                           "a piece that is longer than the whole li\n"
                           "ne is - z\n"
                           "twelve chars twelve chars and ten ..\n");
}

static void the_first_failure_is_kept(void **state)
{
    (void)state;
    struct terminal terminal = {.width = 40};
    struct painter painter;
    struct buffer text;

    buffer_init(&text, 4);
    painter_init(&painter, &terminal, &text);
    painter_string(&painter, STYLE_PLAIN, "12345");
    painter_string(&painter, STYLE_PLAIN, "1");
    painter_fail(&painter, ERROR_MEMORY);
    assert_int_equal(painter_finish(&painter), ERROR_TOO_LARGE);
    assert_int_equal(text.len, 0);
    buffer_release(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blanks_at_the_end_of_a_line_are_left_out),
        cmocka_unit_test(text_beyond_the_edge_is_cut_off),
        cmocka_unit_test(a_width_out_of_range_counts_as_the_nearer_bound),
        cmocka_unit_test(colours_change_only_at_visible_text_and_end_with_the_line),
        cmocka_unit_test(long_names_keep_their_beginning_and_their_end),
        cmocka_unit_test(figures_are_aligned_to_the_right),
        cmocka_unit_test(paragraphs_break_between_pieces),
        cmocka_unit_test(the_first_failure_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
