// Flags, switches, operands; names of settings, secrets and runs.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "../../../src/app/cli.h"
#include "../../../src/app/secrets.h"

enum { FLAG_RATE, FLAG_QUIET };

static const struct flag flags[] = {
    [FLAG_RATE] = {"rate", "N", "with a value"},
    [FLAG_QUIET] = {"quiet", NULL, "without"},
};

static const struct command command_test = {
    .name = "test",
    .operands = "A [B]",
    .operands_min = 1,
    .operands_max = 2,
    .summary = "",
    .settings = OPTION_SET([OPTION_ID_DB] = true, [OPTION_ID_STEPS] = true),
    .flags = flags,
    .flag_count = 2,
};

struct call {
    struct arena arena;
    struct cli_args cli_args;
    struct error error;
};

// `line`: arguments separated by '|'.
static enum error_code parse(struct call *call, const char *line)
{
    static char copy[256];
    static char *arguments[16];
    static char *environment[] = {NULL};
    size_t count = 0;
    (void)snprintf(copy, sizeof copy, "%s", line);
    for (char *rest = copy; rest != NULL && line[0] != '\0';)
        arguments[count++] = strsep(&rest, "|");
    *call = (struct call){.error = {.code = ERROR_NONE}};
    arena_init(&call->arena, 4096);
    const struct command_line given = {arguments, count, environment};
    return cli_args_parse(&call->cli_args, &command_test, &given, &call->arena, &call->error);
}

static const char *setting_text(const struct call *call, enum option_id id)
{
    const struct setting_value *value = call->cli_args.settings.items[id].last;
    return value == NULL ? "" : value->text;
}

static void arguments_are_sorted_into_settings_flags_and_operands(void **state)
{
    (void)state;
    static const struct {
        const char *line, *db, *steps, *rate, *operands;
        bool is_quiet;
    } cases[] = {
        {"x", "", "", "", "x", false},
        {"x|y", "", "", "", "x y", false},
        {"--db|d|x", "d", "", "", "x", false},
        {"--db=d|x", "d", "", "", "x", false},
        {"x|--db=d|y", "d", "", "", "x y", false},
        {"--db=|x", "", "", "", "x", false},
        {"--db=a=b|x", "a=b", "", "", "x", false},
        {"--db|--steps|x", "--steps", "", "", "x", false},
        {"--steps|x", "", "on", "", "x", false},
        {"--steps|off|x", "", "off", "", "x", false},
        {"--steps=off|x", "", "off", "", "x", false},
        {"--no-steps|x", "", "off", "", "x", false},
        {"--no-steps|--steps|x", "", "on", "", "x", false},
        {"--rate|5|x|--quiet", "", "", "5", "x", true},
        {"--rate=5|x", "", "", "5", "x", false},
        {"-|x", "", "", "", "- x", false},
        {"--|--db|-x", "", "", "", "--db -x", false},
        {"x|--|--", "", "", "", "x --", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct call call;
        if (parse(&call, cases[i].line) != ERROR_NONE)
            fail_msg("%s: %s", cases[i].line, call.error.message);
        char operands[64] = "";
        for (size_t j = 0; j < call.cli_args.operand_count; j++) {
            size_t len = strlen(operands);
            (void)snprintf(operands + len, sizeof operands - len, "%s%s", j > 0 ? " " : "",
                           call.cli_args.operands[j]);
        }
        const char *rate = call.cli_args.flags[FLAG_RATE];
        assert_string_equal(setting_text(&call, OPTION_ID_DB), cases[i].db);
        assert_string_equal(setting_text(&call, OPTION_ID_STEPS), cases[i].steps);
        assert_string_equal(rate != NULL ? rate : "", cases[i].rate);
        assert_int_equal(call.cli_args.flags[FLAG_QUIET] != NULL, cases[i].is_quiet);
        assert_string_equal(operands, cases[i].operands);
        arena_release(&call.arena);
    }
}

static void invalid_arguments_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *line, *message;
    } cases[] = {
        {"", "test: too few arguments: ghatrace test A [B]"},
        {"x|y|z", "test: unexpected argument \"z\""},
        {"x|y|http://me:secret@host", "test: unexpected argument \"...\""},
        {"x|--db", "--db: needs a value: FOLDER"},
        {"x|--rate", "--rate: needs a value: N"},
        {"x|--rate=", "--rate: has no value"},
        {"x|--quiet=yes", "--quiet: takes no value"},
        {"x|--no-steps=off", "--no-steps: takes no value"},
        {"x|--ratte=1", "--ratte: unknown setting \"ratte\": did you mean \"rate\"?"},
        {"x|--step", "--step: unknown setting \"step\": did you mean \"steps\"?"},
        {"x|--no-db", "--no-db: unknown setting \"no-db\""},
        {"x|--listen=:1", "--listen: `ghatrace test` does not use it"},
        {"x|--something-else", "--something-else: unknown setting \"something-else\": see "
                               "ghatrace test --help"},
        {"x|-q", "-q: unknown flag: see ghatrace test --help"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct call call;
        assert_int_equal(parse(&call, cases[i].line), ERROR_USAGE);
        size_t len = strlen(cases[i].message);
        if (strncmp(call.error.message, cases[i].message, len) != 0)
            assert_string_equal(call.error.message, cases[i].message);
        arena_release(&call.arena);
    }
}

static void help_is_shown_despite_other_errors(void **state)
{
    (void)state;
    static const char *const lines[] = {"--help", "-h", "x|y|z|--help", "--help|--nonsense"};
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++) {
        struct call call;
        assert_int_equal(parse(&call, lines[i]), ERROR_NONE);
        assert_true(call.cli_args.wants_help);
        arena_release(&call.arena);
    }
}

static void the_nearest_name_is_a_plausible_one(void **state)
{
    (void)state;
    static const struct {
        const char *name, *nearest; // NULL: none is near
    } cases[] = {
        {"listn", "listen"},
        {"webhook_path", "webhook-path"},
        {"web-hook-path", "webhook-path"},
        {"WEBHOOK-PATH", "webhook-path"},
        {"secret-file", NULL},
        {"run-idel", "run-idle"},
        {"job-grave", "job-grace"},
        {"otlp-headers", "otlp-header"},
        {"loglevel", "log-level"},
        {"d", "db"},
        {"repo", "repos"},
        {"verbose", NULL},
        {"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const char *nearest = option_nearest_setting(slice_from_string(cases[i].name));
        if (cases[i].nearest == NULL)
            assert_null(nearest);
        else
            assert_string_equal(nearest, cases[i].nearest);
    }
}

static void every_option_has_the_members_of_its_type(void **state)
{
    (void)state;
    for (size_t i = 0; i < OPTIONS_COUNT; i++) {
        assert_non_null(options[i].name);
        assert_int_equal(option_find(slice_from_string(options[i].name)), i);
        assert_non_null(options[i].values);
        assert_non_null(options[i].help);
        assert_true(options[i].preset != NULL || options[i].unpreset != NULL);
        assert_true(options[i].field < sizeof(struct config));
        for (size_t j = 0; j < i; j++)
            assert_true(options[j].field != options[i].field);
        bool is_number = options[i].type == OPTION_COUNT || options[i].type == OPTION_SIZE ||
                         options[i].type == OPTION_DURATION;
        assert_int_equal(is_number, options[i].most > options[i].least);
        if (options[i].type == OPTION_CHOICE)
            assert_true(
                option_choice_find(options[i].values, slice_from_string(options[i].preset)) >= 0);
    }
}

static void each_line_is_a_secret(void **state)
{
    (void)state;
    static const struct {
        const char *text, *secrets; // each in brackets
    } cases[] = {
        {"", ""},
        {"one", "[one]"},
        {"one\n", "[one]"},
        {"one\r\n\r\n\ntwo\r\n", "[one][two]"},
        {"# one\n;two\n", "[# one][;two]"},
        {" one two \n", "[ one two ]"},
        {"\n \t\n", ""},
        {"one\r", "[one]"},
        {"one\r\r\n", "[one\r]"},
        {"\xef\xbb\xbfone", "[one]"},
        {"\xef\xbb\xbf# one\r\n\xef\xbb\xbftwo\r\n", "[# one][two]"},
        {"\xef\xbb\xbf\nthree\n\xef\xbb\xbf \n", "[three]"},
        {"\xef\xbb\xbf\xef\xbb\xbfone", "[\xef\xbb\xbfone]"},
        {"on\xef\xbb\xbf"
         "e",
         "[on\xef\xbb\xbf"
         "e]"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct secrets secrets;
        struct error error;
        char found[64] = "";
        secrets_init(&secrets);
        assert_int_equal(secrets_read_text(&secrets, slice_from_string(cases[i].text), &error),
                         ERROR_NONE);
        for (size_t j = 0; j < secrets.count; j++) {
            size_t len = strlen(found);
            (void)snprintf(found + len, sizeof found - len, "[%.*s]", SLICE_ARGS(secrets.items[j]));
        }
        assert_string_equal(found, cases[i].secrets);
        secrets_release(&secrets);
    }
}

static void collect(void *context, const char *warning)
{
    char *all = context;
    size_t len = strlen(all);
    (void)snprintf(all + len, 2048 - len, "%s\n", warning);
}

static void invisible_characters_at_the_ends_of_a_secret_are_reported_and_kept(void **state)
{
    (void)state;
    static const struct {
        const char *line, *words; // NULL: no warning
    } cases[] = {
        {"hidden", NULL},
        {"hid den", NULL},
        {"hidden ", "ends with a blank, which is part of it"},
        {"hidden\t", "ends with a tab"},
        {"hidden\r\r", "ends with a carriage return"},
        {"hidden\xc2\xa0", "ends with a no-break space"},
        {"hidden\xe2\x80\x8b", "ends with a zero-width space"},
        {" hidden", "begins with a blank"},
        {"\thidden", "begins with a tab"},
        {"\xef\xbb\xbf\xef\xbb\xbfhidden", "begins with a byte order mark"},
        {"\"hidden\"", "is enclosed in quotes, which are part of it"},
        {"'hidden'", "is enclosed in quotes"},
        {"\"hidden'", NULL},
        {"\"", NULL},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char text[128], found[2048] = "";
        struct secrets secrets;
        struct error error;
        secrets_init(&secrets);
        (void)snprintf(text, sizeof text, "first\n\n%s\n", cases[i].line);
        assert_int_equal(secrets_read_text(&secrets, slice_from_string(text), &error), ERROR_NONE);
        assert_int_equal(secrets.count, 2);
        secrets.source = "/etc/file";
        secrets_report_mistakes(&secrets, collect, found);
        if (cases[i].words == NULL) {
            assert_string_equal(found, "");
        } else {
            assert_non_null(strstr(found, cases[i].words));
            assert_non_null(strstr(found, "/etc/file, line 3: "));
        }
        assert_null(strstr(found, "hidden"));
        secrets_release(&secrets);
    }
}

static void secrets_in_utf_16_are_refused(void **state)
{
    (void)state;
    const struct slice cases[] = {SLICE("\xff\xfes\0e\0\n\0"), SLICE("\xfe\xff\0s\0e\0\n"),
                                  SLICE("\xff\xfe\0\0s\0\0\0"), SLICE("\0\0\xfe\xff\0\0\0s")};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct secrets secrets;
        struct error error;
        secrets_init(&secrets);
        assert_int_equal(secrets_read_text(&secrets, cases[i], &error), ERROR_USAGE);
        assert_non_null(strstr(error.message, "UTF-16"));
        secrets_release(&secrets);
    }
}

static void too_many_secrets_are_refused(void **state)
{
    (void)state;
    char text[2 * (SECRETS_MAX + 1)];
    for (size_t i = 0; i < sizeof text; i++)
        text[i] = i % 2 == 0 ? 'x' : '\n';
    struct secrets secrets;
    struct error error;
    secrets_init(&secrets);
    struct slice all = {.data = text, .len = sizeof text};
    assert_int_equal(secrets_read_text(&secrets, all, &error), ERROR_USAGE);
    secrets_release(&secrets);
    secrets_init(&secrets);
    struct slice most = {.data = text, .len = sizeof text - 2};
    assert_int_equal(secrets_read_text(&secrets, most, &error), ERROR_NONE);
    assert_int_equal(secrets.count, SECRETS_MAX);
    secrets_release(&secrets);
}

static void the_file_of_secrets_overrides_the_variable_and_must_contain_one(void **state)
{
    (void)state;
    struct secrets secrets;
    struct error error;
    secrets_init(&secrets);
    assert_int_equal(secrets_load(&secrets, "/dev/null", "x", &error), ERROR_USAGE);
    assert_string_equal(error.message,
                        "webhook secrets: /dev/null: holds no secret: write one a line");
    secrets_release(&secrets);
    secrets_init(&secrets);
    assert_int_equal(secrets_load(&secrets, "/nowhere", "x", &error), ERROR_USAGE);
    assert_non_null(strstr(error.message, "/nowhere"));
    secrets_release(&secrets);
    secrets_init(&secrets);
    assert_int_equal(secrets_load(&secrets, NULL, "x\n", &error), ERROR_NONE);
    assert_int_equal(secrets.count, 1);
    assert_true(slice_equals(secrets.items[0], SLICE("x")));
    secrets_release(&secrets);
    secrets_init(&secrets);
    assert_int_equal(secrets_load(&secrets, NULL, NULL, &error), ERROR_NONE);
    assert_int_equal(secrets.count, 0);
    secrets_release(&secrets);
}

static void runs_are_given_by_number_or_by_url(void **state)
{
    (void)state;
#define PAGE "https://github.com/o/r/actions/runs/"
    static const struct {
        const char *text;
        int64_t run, attempt, job; // run 0: refused
    } cases[] = {
        {"123", 123, 0, 0},
        {"123/2", 123, 2, 0},
        {"33714470481", 33714470481, 0, 0},
        {PAGE "123", 123, 0, 0},
        {PAGE "123/", 123, 0, 0},
        {PAGE "123/attempts/2", 123, 2, 0},
        {PAGE "123/job/456", 123, 0, 456},
        {PAGE "123/attempts/2/job/456", 123, 2, 456},
        {PAGE "123/job/456?pr=7#step:3:1", 123, 0, 456},
        {PAGE "123/workflow", 123, 0, 0},
        {"https://ghes.example/o/r/actions/runs/123", 123, 0, 0},
        {"", 0, 0, 0},
        {"0", 0, 0, 0},
        {"-1", 0, 0, 0},
        {"x", 0, 0, 0},
        {"123/", 0, 0, 0},
        {"123/0", 0, 0, 0},
        {"123/2/3", 0, 0, 0},
        {"/2", 0, 0, 0},
        {"99999999999999999999", 0, 0, 0},
        {PAGE, 0, 0, 0},
        {PAGE "x", 0, 0, 0},
        {PAGE "123/attempts/x", 0, 0, 0},
        {PAGE "123/attempts/", 0, 0, 0},
        {"https://github.com/o/r/pull/123", 0, 0, 0},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct run_reference reference;
        bool is_run = run_reference_parse(slice_from_string(cases[i].text), &reference);
        if (is_run != (cases[i].run != 0))
            fail_msg("\"%s\" was %s", cases[i].text, is_run ? "taken" : "refused");
        if (!is_run)
            continue;
        assert_int_equal(reference.run_id, cases[i].run);
        assert_int_equal(reference.attempt, cases[i].attempt);
        assert_int_equal(reference.job_id, cases[i].job);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arguments_are_sorted_into_settings_flags_and_operands),
        cmocka_unit_test(invalid_arguments_are_refused),
        cmocka_unit_test(help_is_shown_despite_other_errors),
        cmocka_unit_test(the_nearest_name_is_a_plausible_one),
        cmocka_unit_test(every_option_has_the_members_of_its_type),
        cmocka_unit_test(each_line_is_a_secret),
        cmocka_unit_test(invisible_characters_at_the_ends_of_a_secret_are_reported_and_kept),
        cmocka_unit_test(secrets_in_utf_16_are_refused),
        cmocka_unit_test(too_many_secrets_are_refused),
        cmocka_unit_test(the_file_of_secrets_overrides_the_variable_and_must_contain_one),
        cmocka_unit_test(runs_are_given_by_number_or_by_url),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
