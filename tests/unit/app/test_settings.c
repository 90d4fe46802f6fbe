// Precedence of sources, known names, and the syntax of files.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "configuring.h"
#include "support/temp_folder.h"

static const char *text_of(const struct configuring *c, enum option_id id)
{
    return c->settings.items[id].last->text;
}

static void a_set_of_settings_has_any_of_them_the_last_one_too(void **state)
{
    const struct option_set *ends = OPTION_SET([0] = true, [OPTIONS_COUNT - 1] = true);
    (void)state;
    for (size_t i = 0; i < OPTIONS_COUNT; i++) {
        assert_true(option_set_has(&options_all, i));
        assert_int_equal(option_set_has(ends, i), i == 0 || i == OPTIONS_COUNT - 1);
        assert_false(option_set_has(NULL, i));
    }
}

static void a_flag_overrides_the_environment_which_overrides_the_file(void **state)
{
    (void)state;
    // Bits: 1 file, 2 environment, 4 flag; and in which order they are read.
    for (unsigned given = 1; given < 8; given++) {
        for (unsigned reverse = 0; reverse < 2; reverse++) {
            struct configuring c;
            char *environment[] = {(char *)(uintptr_t) "GHATRACE_DB=from-environment", NULL};
            configuring_init(&c);
            for (unsigned step = 0; step < 3; step++) {
                unsigned source = 1u << (reverse ? 2 - step : step);
                if ((given & source) == 0)
                    continue;
                if (source == 1)
                    assert_int_equal(configuring_file(&c, "db = from-file\n"), ERROR_NONE);
                if (source == 2)
                    assert_int_equal(settings_read_environment(&c.settings, environment, &c.error),
                                     ERROR_NONE);
                if (source == 4)
                    configuring_flag(&c, "db", "from-flag");
            }
            const char *wanted = given & 4   ? "from-flag"
                                 : given & 2 ? "from-environment"
                                             : "from-file";
            assert_string_equal(text_of(&c, OPTION_ID_DB), wanted);
            assert_null(c.settings.items[OPTION_ID_DB].first->next);
            configuring_release(&c);
        }
    }
}

static void a_list_of_higher_precedence_replaces_the_whole_other_one(void **state)
{
    (void)state;
    struct configuring c;
    configuring_init(&c);
    assert_int_equal(configuring_file(&c, "repos = a/*\nrepos = b/*\n"), ERROR_NONE);
    assert_string_equal(c.settings.items[OPTION_ID_REPOS].first->text, "a/*");
    assert_string_equal(c.settings.items[OPTION_ID_REPOS].first->next->text, "b/*");
    configuring_flag(&c, "repos", "c/*");
    configuring_flag(&c, "repos", "d/*");
    assert_string_equal(c.settings.items[OPTION_ID_REPOS].first->text, "c/*");
    assert_string_equal(c.settings.items[OPTION_ID_REPOS].last->text, "d/*");
    configuring_release(&c);
}

static void the_last_of_two_equal_flags_wins(void **state)
{
    (void)state;
    struct configuring c;
    configuring_init(&c);
    configuring_flag(&c, "db", "one");
    configuring_flag(&c, "db", "two");
    assert_string_equal(c.settings.items[OPTION_ID_DB].first->text, "two");
    assert_null(c.settings.items[OPTION_ID_DB].first->next);
    configuring_release(&c);
}

static void usual_notations_in_files_are_accepted(void **state)
{
    (void)state;
    static const struct {
        const char *text, *db; // NULL: not set
    } cases[] = {
        {"", NULL},
        {"db=x", "x"},
        {"db = x\n", "x"},
        {"db = x\r\n", "x"},
        {"\xef\xbb\xbf"
         "db = x\n",
         "x"},
        {"\xef\xbb\xbf  db = x\n", "x"},
        {"\xef\xbb\xbf# a comment\ndb = x\n", "x"},
        {"\xef\xbb\xbf", NULL},
        {"  db = x y  \n", "x y"},
        {"\tdb: x\n", "x"},
        {"# db = y\n; db = z\n\n   \ndb = x\n", "x"},
        {"#db = y\n", NULL},
        {"db = x ; a comment\n", "x"},
        {"db = x;y\n", "x;y"},
        {"db = x # y\n", "x # y"},
        {"db = a=b\n", "a=b"},
        {"listen = :1\n  db = x\n", "x"}, // not a continuation of the line before
        {"db =\n", ""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct configuring c;
        configuring_init(&c);
        if (configuring_file(&c, cases[i].text) != ERROR_NONE)
            fail_msg("%s: %s", cases[i].text, c.error.message);
        if (cases[i].db == NULL)
            assert_null(c.settings.items[OPTION_ID_DB].last);
        else
            assert_string_equal(text_of(&c, OPTION_ID_DB), cases[i].db);
        configuring_release(&c);
    }
}

static void errors_in_a_file_are_reported_with_their_line(void **state)
{
    (void)state;
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"\n\nwebhok-path = /x\n",
         "test.conf:3: unknown setting \"webhok-path\": did you mean \"webhook-path\"?"},
        {"zzzzzzzzzz = 1\n", "test.conf:1: unknown setting \"zzzzzzzzzz\""},
        {"DB = x\n", "test.conf:1: unknown setting \"DB\": did you mean \"db\"?"},
        {"db = a\n# b\ndb = b\n", "test.conf:3: db: set before, at test.conf:1: db"},
        {"db\n", "test.conf:1: not a \"name = value\" line"},
        {"db = x\nlisten\nhistory = 1h\n", "test.conf:2: not a \"name = value\" line"},
        {"[ghatrace]\ndb = x\n",
         "test.conf:1: sections are not supported: write name = value lines only"},
        {"  [other]\n", "test.conf:1: sections are not supported: write name = value lines only"},
        {"\xef\xbb\xbf[other]\n",
         "test.conf:1: sections are not supported: write name = value lines only"},
        {"\xff\xfe"
         "d",
         "test.conf: is in UTF-16: save it as UTF-8"},
        {"\xfe\xff", "test.conf: is in UTF-16: save it as UTF-8"},
        {"config = other.conf\n", "test.conf:1: config: a file cannot name another"},
        {"= x\n", "test.conf:1: unknown setting \"\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct configuring c;
        configuring_init(&c);
        assert_int_equal(configuring_file(&c, cases[i].text), ERROR_USAGE);
        assert_string_equal(c.error.message, cases[i].message);
        configuring_release(&c);
    }
}

static void a_line_as_long_as_a_token_is_accepted_and_a_longer_one_refused(void **state)
{
    (void)state;
    static char text[40000];
    static const size_t lengths[] = {100, 150, 4000, 16000, 17000, 39000};
    for (size_t i = 0; i < sizeof lengths / sizeof lengths[0]; i++) {
        struct configuring c;
        configuring_init(&c);
        memset(text, 'v', sizeof text);
        memcpy(text, "db = ", 5);
        text[lengths[i]] = '\0';
        enum error_code code = configuring_file(&c, text);
        if (code == ERROR_NONE)
            assert_int_equal(strlen(text_of(&c, OPTION_ID_DB)), lengths[i] - 5);
        else
            assert_non_null(strstr(c.error.message, "test.conf:1: the line is too long"));
        // Never truncated silently; with an inih without a configurable limit, 200 bytes are the maximum.
        if (lengths[i] < 190)
            assert_int_equal(code, ERROR_NONE);
        if (lengths[i] > 16384)
            assert_int_equal(code, ERROR_USAGE);
        configuring_release(&c);
    }
}

static void a_file_with_a_nul_byte_is_refused(void **state)
{
    (void)state;
    struct configuring c;
    configuring_init(&c);
    struct slice text = {.data = "db = x\0y\n", .len = 9};
    assert_int_equal(settings_read_text(&c.settings, "test.conf", text, &c.error), ERROR_USAGE);
    assert_string_equal(c.error.message, "test.conf: not a text file: it has a NUL byte");
    configuring_release(&c);
}

static void unknown_variables_are_refused_with_the_nearest_name(void **state)
{
    (void)state;
    static const struct {
        const char *entry, *message;
    } cases[] = {
        {"GHATRACE_WEBHOK_PATH=/x", "GHATRACE_WEBHOK_PATH: unknown setting \"webhok-path\": did "
                                    "you mean \"webhook-path\"?"},
        {"GHATRACE_QQQQQQQQQQQ=1", "GHATRACE_QQQQQQQQQQQ: unknown setting \"qqqqqqqqqqq\""},
        {"GHATRACE_=1", "GHATRACE_: unknown setting \"\""},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct configuring c;
        configuring_init(&c);
        configuring_variable(&c, cases[i].entry);
        assert_int_equal(settings_read_environment(&c.settings, c.environment, &c.error),
                         ERROR_USAGE);
        assert_string_equal(c.error.message, cases[i].message);
        configuring_release(&c);
    }
}

static void other_variables_and_empty_ones_are_ignored(void **state)
{
    (void)state;
    struct configuring c;
    configuring_init(&c);
    configuring_variable(&c, "GHATRACE=/usr/bin/ghatrace");
    configuring_variable(&c, "XGHATRACE_DB=x");
    configuring_variable(&c, "PATH=/bin");
    configuring_variable(&c, "GHATRACE_DB=");
    configuring_variable(&c, "GHATRACE_NOTHING=");
    assert_int_equal(settings_read_environment(&c.settings, c.environment, &c.error), ERROR_NONE);
    assert_null(c.settings.items[OPTION_ID_DB].last);
    configuring_release(&c);
}

static void the_environment_may_name_the_file(void **state)
{
    (void)state;
    struct temp_folder folder;
    char entry[TEMP_FOLDER_PATH_SIZE + 32], path[TEMP_FOLDER_PATH_SIZE];
    assert_true(temp_folder_create(&folder));
    assert_true(temp_folder_write(&folder, "my.conf", "db = here\n", 10));
    assert_true(temp_folder_path(&folder, "my.conf", path));
    (void)snprintf(entry, sizeof entry, "GHATRACE_CONFIG=%s", path);
    struct configuring c;
    configuring_init(&c);
    configuring_variable(&c, entry);
    assert_int_equal(settings_complete(&c.settings, c.environment, &c.error), ERROR_NONE);
    assert_string_equal(text_of(&c, OPTION_ID_DB), "here");
    configuring_release(&c);
    assert_true(temp_folder_remove(&folder));
}

// $XDG_CONFIG_HOME, $HOME/.config and the system's, in a folder of the test.
struct usual_files {
    struct temp_folder folder;
    char xdg[TEMP_FOLDER_PATH_SIZE + 32], home[TEMP_FOLDER_PATH_SIZE + 32];
    char system[TEMP_FOLDER_PATH_SIZE];
};

static void write_usual(const char *folder, const char *below, const char *text)
{
    char path[2 * TEMP_FOLDER_PATH_SIZE + 64];
    (void)snprintf(path, sizeof path, "%s%s/ghatrace/ghatrace.conf", folder, below);
    for (char *slash = strchr(path + strlen(folder), '/'); slash != NULL;
         slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        (void)mkdir(path, 0700);
        *slash = '/';
    }
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

// The database's folder as the settings have it with these variables ("": not set), and where that is from.
static void assert_usual(const struct usual_files *files, const char *const *variables,
                         const char *expected, enum setting_source source)
{
    struct configuring c;
    configuring_init(&c);
    c.settings.system_file = files->system;
    for (; *variables != NULL; variables++)
        configuring_variable(&c, *variables);
    assert_int_equal(settings_complete(&c.settings, c.environment, &c.error), ERROR_NONE);
    const struct setting *db = &c.settings.items[OPTION_ID_DB];
    assert_string_equal(db->last != NULL ? db->last->text : "none", expected);
    assert_int_equal(c.settings.items[OPTION_ID_CONFIG].source, source);
    configuring_release(&c);
}

static void without_a_named_file_the_first_usual_one_is_read(void **state)
{
    struct usual_files files;
    char path[TEMP_FOLDER_PATH_SIZE];
    (void)state;
    assert_true(temp_folder_create(&files.folder));
    assert_true(temp_folder_path(&files.folder, "system.conf", files.system));
    assert_true(temp_folder_path(&files.folder, "home", path));
    (void)mkdir(path, 0700);
    (void)snprintf(files.home, sizeof files.home, "HOME=%s", path);
    (void)snprintf(files.xdg, sizeof files.xdg, "XDG_CONFIG_HOME=%s/xdg", path);
    const char *const both[] = {files.xdg, files.home, NULL},
                      *const only_home[] = {files.home, NULL},
                      *const relative[] = {"XDG_CONFIG_HOME=x", files.home, NULL},
                      *const named[] = {files.xdg, "GHATRACE_CONFIG=/dev/null", NULL},
                      *const nothing[] = {NULL};
    assert_usual(&files, both, "none", SOURCE_DEFAULT);
    assert_true(temp_folder_write(&files.folder, "system.conf", "db = system\n", 12));
    assert_usual(&files, both, "system", SOURCE_SEARCH);
    assert_usual(&files, nothing, "system", SOURCE_SEARCH);
    write_usual(path, "/.config", "db = home\n");
    assert_usual(&files, only_home, "home", SOURCE_SEARCH);
    assert_usual(&files, relative, "home", SOURCE_SEARCH);
    assert_usual(&files, both, "system", SOURCE_SEARCH);
    write_usual(path, "/xdg", "db = xdg\n");
    assert_usual(&files, both, "xdg", SOURCE_SEARCH);
    assert_usual(&files, named, "none", SOURCE_ENVIRONMENT);
    assert_true(temp_folder_remove(&files.folder));
}

static void with_an_empty_name_no_file_is_read(void **state)
{
    struct usual_files files;
    struct configuring c;
    (void)state;
    assert_true(temp_folder_create(&files.folder));
    assert_true(temp_folder_path(&files.folder, "system.conf", files.system));
    assert_true(temp_folder_write(&files.folder, "system.conf", "db = system\n", 12));
    configuring_init(&c);
    c.settings.system_file = files.system;
    configuring_flag(&c, "config", "");
    assert_int_equal(configuring_build_all(&c), ERROR_NONE);
    assert_string_not_equal(c.config.db, "system");
    configuring_release(&c);
    assert_true(temp_folder_remove(&files.folder));
}

static void a_usual_file_that_is_wrong_is_refused(void **state)
{
    struct usual_files files;
    struct configuring c;
    (void)state;
    assert_true(temp_folder_create(&files.folder));
    assert_true(temp_folder_path(&files.folder, "system.conf", files.system));
    assert_true(temp_folder_write(&files.folder, "system.conf", "dv = system\n", 12));
    configuring_init(&c);
    c.settings.system_file = files.system;
    assert_int_equal(settings_complete(&c.settings, c.environment, &c.error), ERROR_USAGE);
    assert_non_null(strstr(c.error.message, files.system));
    assert_non_null(strstr(c.error.message, "--no-config"));
    configuring_release(&c);
    assert_true(temp_folder_remove(&files.folder));
}

static void a_missing_file_is_named(void **state)
{
    (void)state;
    struct configuring c;
    configuring_init(&c);
    assert_int_equal(settings_read_file(&c.settings, "/nowhere/at.all", &c.error), ERROR_NOT_FOUND);
    assert_string_equal(c.error.message, "/nowhere/at.all: No such file or directory");
    assert_int_equal(settings_read_file(&c.settings, "/", &c.error), ERROR_IO);
    assert_string_equal(c.error.message, "/: Is a directory");
    configuring_release(&c);
}

static void every_setting_has_a_name_and_a_field_of_its_own(void **state)
{
    (void)state;
    for (size_t i = 0; i < OPTIONS_COUNT; i++) {
        assert_int_equal(option_find(slice_from_string(options[i].name)), i);
        assert_in_range(options[i].field, 0, sizeof(struct config) - 1);
        for (size_t j = 0; j < i; j++)
            if (options[i].field == options[j].field)
                fail_msg("%s and %s go to the same field", options[i].name, options[j].name);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_setting_has_a_name_and_a_field_of_its_own),
        cmocka_unit_test(a_set_of_settings_has_any_of_them_the_last_one_too),
        cmocka_unit_test(a_flag_overrides_the_environment_which_overrides_the_file),
        cmocka_unit_test(a_list_of_higher_precedence_replaces_the_whole_other_one),
        cmocka_unit_test(the_last_of_two_equal_flags_wins),
        cmocka_unit_test(usual_notations_in_files_are_accepted),
        cmocka_unit_test(errors_in_a_file_are_reported_with_their_line),
        cmocka_unit_test(a_line_as_long_as_a_token_is_accepted_and_a_longer_one_refused),
        cmocka_unit_test(a_file_with_a_nul_byte_is_refused),
        cmocka_unit_test(unknown_variables_are_refused_with_the_nearest_name),
        cmocka_unit_test(other_variables_and_empty_ones_are_ignored),
        cmocka_unit_test(the_environment_may_name_the_file),
        cmocka_unit_test(without_a_named_file_the_first_usual_one_is_read),
        cmocka_unit_test(with_an_empty_name_no_file_is_read),
        cmocka_unit_test(a_usual_file_that_is_wrong_is_refused),
        cmocka_unit_test(a_missing_file_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
