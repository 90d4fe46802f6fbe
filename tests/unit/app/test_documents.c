// The table of settings, the sample file and the README agree.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../../../src/app/cli.h"
#include "../../../src/app/config.h"
#include "../../../src/app/settings.h"

#define CONF "conf/ghatrace.conf" // tests run at the top of the repository
#define README "README.md"

static struct buffer read_document(const char *path)
{
    struct buffer text;
    struct error error = {.code = ERROR_NONE};
    buffer_init(&text, 1 << 20);
    if (file_read(path, &text, &error) != ERROR_NONE)
        fail_msg("%s", error.message);
    return text;
}

static struct slice take_line(struct slice *text)
{
    ptrdiff_t newline = slice_find(*text, SLICE("\n"));
    size_t len = newline < 0 ? text->len : (size_t)newline;
    struct slice line = {.data = text->data, .len = len};
    size_t taken = newline < 0 ? len : len + 1;
    *text = (struct slice){.data = text->data + taken, .len = text->len - taken};
    return line;
}

// "#name = value": how the sample shows a setting; a comment has a blank after '#'.
static bool is_shown_setting(struct slice line)
{
    return line.len > 1 && line.data[0] == '#' && line.data[1] != ' ';
}

// All of the sample's settings, with their # removed.
static void write_uncommented(struct buffer *out)
{
    struct buffer text = read_document(CONF);
    struct slice rest = buffer_slice(&text);
    while (rest.len > 0) {
        struct slice line = take_line(&rest);
        if (!is_shown_setting(line))
            continue;
        struct slice setting = {.data = line.data + 1, .len = line.len - 1};
        assert_int_equal(buffer_append_slice(out, setting), ERROR_NONE);
        assert_int_equal(buffer_append_string(out, "\n"), ERROR_NONE);
    }
    buffer_release(&text);
}

static void the_sample_file_shows_every_setting_once_with_its_default(void **state)
{
    (void)state;
    struct buffer text;
    struct arena arena;
    struct settings settings;
    struct error error = {.code = ERROR_NONE};
    buffer_init(&text, 1 << 20);
    arena_init(&arena, 4096);
    settings_init(&settings, &arena);
    write_uncommented(&text);
    // Fails on names that do not exist, and on duplicate lines.
    if (settings_read_text(&settings, CONF, buffer_slice(&text), &error) != ERROR_NONE)
        fail_msg("%s", error.message);
    for (size_t i = 0; i < OPTIONS_COUNT; i++) {
        const struct setting *setting = &settings.items[i];
        if (i == OPTION_ID_CONFIG)
            continue; // a file cannot name another
        if (setting->last == NULL)
            fail_msg("%s does not show %s", CONF, options[i].name);
        if (options[i].preset != NULL)
            assert_string_equal(setting->last->text, options[i].preset);
    }
    arena_release(&arena);
    buffer_release(&text);
}

static void the_examples_of_the_sample_file_are_valid(void **state)
{
    (void)state;
    char *no_environment[] = {NULL};
    struct buffer text;
    struct arena arena;
    struct settings settings;
    struct config config;
    struct error error = {.code = ERROR_NONE};
    buffer_init(&text, 1 << 20);
    arena_init(&arena, 4096);
    settings_init(&settings, &arena);
    write_uncommented(&text);
    assert_int_equal(settings_read_text(&settings, CONF, buffer_slice(&text), &error), ERROR_NONE);
    if (config_build(&config, &settings, &options_all, no_environment, &error) != ERROR_NONE)
        fail_msg("%s", error.message);
    arena_release(&arena);
    buffer_release(&text);
}

static void the_unchanged_sample_file_sets_nothing(void **state)
{
    (void)state;
    struct buffer text = read_document(CONF);
    struct arena arena;
    struct settings settings;
    struct error error = {.code = ERROR_NONE};
    arena_init(&arena, 4096);
    settings_init(&settings, &arena);
    if (settings_read_text(&settings, CONF, buffer_slice(&text), &error) != ERROR_NONE)
        fail_msg("%s", error.message);
    for (size_t i = 0; i < OPTIONS_COUNT; i++)
        assert_null(settings.items[i].last);
    arena_release(&arena);
    buffer_release(&text);
}

// "| `name` |": the start of a row in the README's table; "| `name`, `other` |" may share one.
static bool has_row(struct slice document, const char *name)
{
    char quoted[64];
    (void)snprintf(quoted, sizeof quoted, "`%s`", name);
    while (document.len > 0) {
        struct slice line = take_line(&document);
        ptrdiff_t at = slice_find(line, slice_from_string(quoted));
        ptrdiff_t cell_end =
            line.len > 1
                ? slice_find((struct slice){.data = line.data + 1, .len = line.len - 1}, SLICE("|"))
                : -1;
        if (slice_starts_with(line, SLICE("|")) && at >= 0 && at <= cell_end)
            return true;
    }
    return false;
}

static bool mentions(struct slice line, const char *text)
{
    return slice_find(line, slice_from_string(text)) >= 0;
}

// Every row of the table of settings that starts with a known name contains its default.
static void check_preset(struct slice document, const struct option *option)
{
    char start[64];
    (void)snprintf(start, sizeof start, "| `%s` |", option->name);
    while (document.len > 0) {
        struct slice line = take_line(&document);
        if (!slice_starts_with(line, slice_from_string(start)) || option->preset == NULL)
            continue;
        if (!mentions(line, option->preset))
            fail_msg("%s: the row of %s does not give its default %s", README, option->name,
                     option->preset);
    }
}

static void the_readme_lists_every_setting_with_its_default(void **state)
{
    (void)state;
    if (access(README, R_OK) != 0)
        skip();
    struct buffer text = read_document(README);
    for (size_t i = 0; i < OPTIONS_COUNT; i++) {
        // --config is described in the text above the table.
        if (i != OPTION_ID_CONFIG && !has_row(buffer_slice(&text), options[i].name))
            fail_msg("%s: its table of settings has no row for `%s`", README, options[i].name);
        check_preset(buffer_slice(&text), &options[i]);
    }
    buffer_release(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_sample_file_shows_every_setting_once_with_its_default),
        cmocka_unit_test(the_examples_of_the_sample_file_are_valid),
        cmocka_unit_test(the_unchanged_sample_file_sets_nothing),
        cmocka_unit_test(the_readme_lists_every_setting_with_its_default),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
