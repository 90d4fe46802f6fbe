// The terminal's capabilities, from the environment.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ghatrace/term/text.h"

#define CASE(w, c, u, ...)                                                                         \
    {                                                                                              \
        .environment = {__VA_ARGS__}, .width = (w), .colour = (c), .unicode = (u)                  \
    }
#define XTERM .is_terminal = true, .term = "xterm-256color"

static const struct {
    struct terminal_environment environment;
    size_t width;
    bool colour;
    bool unicode;
} cases[] = {
    CASE(TERMINAL_WIDTH_PIPE, false, false, 0),
    CASE(TERMINAL_WIDTH_DEFAULT, true, false, XTERM),
    // width: COLUMNS, the kernel, the default
    CASE(132, true, false, XTERM, .columns = 132),
    CASE(90, true, false, XTERM, .columns = 132, .columns_variable = "90"),
    CASE(90, false, false, .columns_variable = "90"),
    CASE(132, true, false, XTERM, .columns = 132, .columns_variable = ""),
    CASE(132, true, false, XTERM, .columns = 132, .columns_variable = "wide"),
    CASE(132, true, false, XTERM, .columns = 132, .columns_variable = "0"),
    CASE(132, true, false, XTERM, .columns = 132, .columns_variable = "-5"),
    CASE(132, true, false, XTERM, .columns = 132, .columns_variable = "99999999999999999999"),
    CASE(TERMINAL_WIDTH_MIN, true, false, XTERM, .columns = 12),
    CASE(TERMINAL_WIDTH_MAX, true, false, XTERM, .columns = 65535),
    CASE(TERMINAL_WIDTH_MAX, true, false, XTERM, .columns_variable = "9223372036854775807"),
    CASE(TERMINAL_WIDTH_PIPE, false, false, .columns = 132), // a pipe has no size
    // colours
    CASE(TERMINAL_WIDTH_DEFAULT, false, false, XTERM, .no_color = "1"),
    CASE(TERMINAL_WIDTH_DEFAULT, true, false, XTERM, .no_color = ""), // "not an empty string"
    CASE(TERMINAL_WIDTH_DEFAULT, false, false, .is_terminal = true, .term = "dumb"),
    CASE(TERMINAL_WIDTH_DEFAULT, false, false, .is_terminal = true),
    CASE(TERMINAL_WIDTH_PIPE, false, false, .term = "xterm"),
    CASE(TERMINAL_WIDTH_PIPE, true, false, .clicolor_force = "1"),
    CASE(TERMINAL_WIDTH_PIPE, false, false, .clicolor_force = "0"),
    CASE(TERMINAL_WIDTH_PIPE, false, false, .clicolor_force = "1", .no_color = "1"),
    // character set
    CASE(TERMINAL_WIDTH_PIPE, false, true, .lang = "en_US.UTF-8"),
    CASE(TERMINAL_WIDTH_PIPE, false, true, .lang = "C.utf8"),
    CASE(TERMINAL_WIDTH_PIPE, false, true, .lang = "de_DE.UTF-8@euro"),
    CASE(TERMINAL_WIDTH_PIPE, false, false, .lang = "de_DE.ISO-8859-15@euro"),
    CASE(TERMINAL_WIDTH_PIPE, false, false, .lang = "C"),
    CASE(TERMINAL_WIDTH_PIPE, false, false, .lang = "en_US.UTF-8", .lc_all = "C"),
    CASE(TERMINAL_WIDTH_PIPE, false, true, .lang = "C", .lc_ctype = "C.UTF-8"),
    CASE(TERMINAL_WIDTH_PIPE, false, true, .lang = "C", .lc_ctype = "C", .lc_all = "C.UTF-8"),
    CASE(TERMINAL_WIDTH_PIPE, false, true, .lang = "C.UTF-8", .lc_ctype = "", .lc_all = ""),
};

static void the_environment_decides_width_colours_and_characters(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct terminal terminal = terminal_from_environment(&cases[i].environment);
        if (terminal.width != cases[i].width || terminal.colour != cases[i].colour ||
            terminal.unicode != cases[i].unicode)
            fail_msg("case %zu: width %zu, colour %d, unicode %d", i, terminal.width,
                     terminal.colour, terminal.unicode);
    }
}

static void other_files_than_terminals_are_detected(void **state)
{
    (void)state;
    struct terminal terminal = terminal_detect(-1);
    assert_in_range(terminal.width, TERMINAL_WIDTH_MIN, TERMINAL_WIDTH_MAX);
}

static void a_list_is_as_wide_as_it_needs_where_nothing_limits_it(void **state)
{
    struct terminal_environment environment = {.columns = 132};
    (void)state;
    assert_int_equal(terminal_of_list(&environment).width, TERMINAL_WIDTH_UNLIMITED);
    environment.columns_variable = "wide";
    assert_int_equal(terminal_of_list(&environment).width, TERMINAL_WIDTH_UNLIMITED);
    environment.columns_variable = "90";
    assert_int_equal(terminal_of_list(&environment).width, 90);
    environment = (struct terminal_environment){.is_terminal = true, .columns = 132};
    assert_int_equal(terminal_of_list(&environment).width, 132);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_environment_decides_width_colours_and_characters),
        cmocka_unit_test(other_files_than_terminals_are_detected),
        cmocka_unit_test(a_list_is_as_wide_as_it_needs_where_nothing_limits_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
