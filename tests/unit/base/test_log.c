// Log lines: both formats, escaping, truncation, levels. Standard error is redirected to a file.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "ghatrace/base/log.h"
#include "ghatrace/base/utf8.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static int real_stderr = -1;
static char captured[1 << 20];

static void start_capture(void)
{
    char path[] = "/tmp/ghatrace-log-XXXXXX";
    int file = mkstemp(path);

    assert_true(file >= 0);
    assert_int_equal(unlink(path), 0);
    real_stderr = dup(STDERR_FILENO);
    assert_true(real_stderr >= 0);
    assert_true(dup2(file, STDERR_FILENO) >= 0);
    assert_int_equal(close(file), 0);
}

// What was written since then, without assertions before standard error is restored.
static struct slice end_capture(void)
{
    off_t end = lseek(STDERR_FILENO, 0, SEEK_END);
    ssize_t len = pread(STDERR_FILENO, captured, sizeof(captured) - 1, 0);

    dup2(real_stderr, STDERR_FILENO);
    close(real_stderr);
    assert_true(len == end && len >= 0);
    captured[len] = '\0';
    return (struct slice){captured, (size_t)len};
}

// Removes the time at the front, which changes, after checking its form.
static const char *without_time(const char *line, const char *prefix)
{
    static const char shape[] = "dddd-dd-ddTdd:dd:dd.dddZ";
    size_t len = strlen(prefix);

    assert_int_equal(strncmp(line, prefix, len), 0);
    for (size_t i = 0; shape[i] != '\0'; i++) {
        char c = line[len + i];
        assert_true(shape[i] == 'd' ? c >= '0' && c <= '9' : c == shape[i]);
    }
    return line + len + sizeof(shape) - 1;
}

static const char *text_line(struct slice value)
{
    start_capture();
    log_info("m", LOG_SLICE("v", value));
    (void)end_capture();
    const char *rest = without_time(captured, "time=");
    assert_int_equal(strncmp(rest, " level=info msg=m v=", 20), 0);
    return rest + 20;
}

static const char *json_line(struct slice value)
{
    start_capture();
    log_info("m", LOG_SLICE("v", value));
    (void)end_capture();
    const char *rest = without_time(captured, "{\"time\":\"");
    assert_int_equal(strncmp(rest, "\",\"level\":\"info\",\"msg\":\"m\",\"v\":", 31), 0);
    return rest + 31;
}

// --- a JSON reader, as strict as RFC 8259, for one flat object ------------------------------------

static bool skip_json_string(const char **at)
{
    if (*(*at)++ != '"')
        return false;
    while (**at != '"') {
        struct slice rest = slice_from_string(*at);
        size_t len = utf8_sequence_length(rest);
        if (len == 0 || (unsigned char)**at < 0x20)
            return false;
        if (**at == '\\') {
            if (strchr("\"\\/bfnrt", (*at)[1]) != NULL && (*at)[1] != '\0')
                len = 2;
            else if ((*at)[1] == 'u' && strspn(*at + 2, "0123456789abcdef") >= 4)
                len = 6;
            else
                return false;
        }
        *at += len;
    }
    (*at)++;
    return true;
}

static bool is_json_line(const char *text)
{
    if (*text++ != '{')
        return false;
    for (;;) {
        if (!skip_json_string(&text) || *text++ != ':')
            return false;
        if (*text == '"') {
            if (!skip_json_string(&text))
                return false;
        } else if (strncmp(text, "true", 4) == 0) {
            text += 4;
        } else {
            text += *text == '-' ? 1 : 0;
            size_t digits = strspn(text, "0123456789");
            if (digits == 0)
                return false;
            text += digits;
        }
        if (*text == '}')
            return strcmp(text, "}\n") == 0;
        if (*text++ != ',')
            return false;
    }
}

// --- tests ----------------------------------------------------------------------------------------

static void a_text_line_has_time_level_message_and_fields(void **state)
{
    struct error error = {0};

    (void)state;
    log_configure(LOG_INFO, LOG_FORMAT_TEXT);
    (void)error_set(&error, ERROR_IO, "disk gone");
    start_capture();
    log_info("listening", LOG_STRING("address", "127.0.0.1:8080"), LOG_INT("threads", 4));
    log_error("cannot commit", LOG_REASON(&error), LOG_INT("least", INT64_MIN));
    (void)end_capture();
    char *second = strchr(captured, '\n') + 1;
    assert_string_equal(without_time(second, "time="),
                        " level=error msg=\"cannot commit\" error=\"disk gone\""
                        " least=-9223372036854775808\n");
    *second = '\0';
    assert_string_equal(without_time(captured, "time="),
                        " level=info msg=listening address=127.0.0.1:8080 threads=4\n");
}

static void a_json_line_is_an_object(void **state)
{
    (void)state;
    log_configure(LOG_INFO, LOG_FORMAT_JSON);
    start_capture();
    log_warn("slow", LOG_STRING("to", "a\"b"), LOG_INT("ms", -5));
    (void)end_capture();
    assert_true(is_json_line(captured));
    assert_string_equal(without_time(captured, "{\"time\":\""),
                        "\",\"level\":\"warn\",\"msg\":\"slow\",\"to\":\"a\\\"b\",\"ms\":-5}\n");
}

static void lines_below_the_level_are_not_written(void **state)
{
    static const struct {
        enum log_level level;
        int lines;
    } cases[] = {{LOG_DEBUG, 4}, {LOG_INFO, 3}, {LOG_WARN, 2}, {LOG_ERROR, 1}};

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        int lines = 0;
        log_configure(cases[i].level, LOG_FORMAT_TEXT);
        start_capture();
        log_debug("d");
        log_info("i");
        log_warn("w");
        log_error("e");
        (void)end_capture();
        for (const char *c = captured; *c != '\0'; c++)
            lines += *c == '\n';
        assert_int_equal(lines, cases[i].lines);
        assert_true(log_is_enabled(cases[i].level));
    }
}

static void text_values_are_quoted_only_if_needed(void **state)
{
    const struct {
        struct slice value;
        const char *text;
    } cases[] = {
        {SLICE("plain"), "plain\n"},
        {SLICE("octo-org/octo-repo@v1:/x?y#z&[1]{2}"), "octo-org/octo-repo@v1:/x?y#z&[1]{2}\n"},
        {SLICE("gr\xc3\xbc\xc3\x9f"), "gr\xc3\xbc\xc3\x9f\n"},
        {SLICE(""), "\"\"\n"},
        {SLICE("two words"), "\"two words\"\n"},
        {SLICE("a=b"), "\"a=b\"\n"},
        {SLICE("say \"hi\""), "\"say \\\"hi\\\"\"\n"},
        {SLICE("C:\\x"), "\"C:\\\\x\"\n"},
        {SLICE("x\nlevel=error msg=forged"), "\"x\\nlevel=error msg=forged\"\n"},
        {SLICE("\r\n\t"), "\"\\r\\n\\t\"\n"},
        {SLICE("nul\0byte"), "\"nul\\u0000byte\"\n"},
        {SLICE("\x1b[31mred"), "\"\\u001b[31mred\"\n"},
        {SLICE("\x7f"), "\"\\u007f\"\n"},
        {SLICE("\xc2\x9b"
               "31m"),
         "\"\\u009b31m\"\n"},                  // CSI of one character
        {SLICE("\xc2\xa0"), "\"\xc2\xa0\"\n"}, // not a control any more
        {SLICE("\xe2\x80\xaa"), "\"\\u202a\"\n"},
        {SLICE("\xe2\x81\xa9"), "\"\\u2069\"\n"},
        {SLICE("\xe2\x81\xaa"), "\"\xe2\x81\xaa\"\n"},
        {SLICE("\xe2\x80\xae"), "\"\\u202e\"\n"},      // reverses what follows
        {SLICE("\xe2\x81\xa6"), "\"\\u2066\"\n"},      // isolates
        {SLICE("\xe2\x80\xa8"), "\"\\u2028\"\n"},      // line separator
        {SLICE("\xe2\x82\xac"), "\"\xe2\x82\xac\"\n"}, // euro sign
        {SLICE("\xf0\x9f\x9a\x80"), "\xf0\x9f\x9a\x80\n"},
        {SLICE("bad\xff"), "\"bad\xef\xbf\xbd\"\n"},
        {SLICE("\xe2\x82"), "\"\xef\xbf\xbd\xef\xbf\xbd\"\n"},
    };

    (void)state;
    log_configure(LOG_INFO, LOG_FORMAT_TEXT);
    for (size_t i = 0; i < COUNT(cases); i++)
        assert_string_equal(text_line(cases[i].value), cases[i].text);
}

static void json_is_valid_whatever_the_bytes(void **state)
{
    uint32_t random = 7;

    (void)state;
    log_configure(LOG_INFO, LOG_FORMAT_JSON);
    assert_string_equal(json_line(SLICE("\0\x01\"\\\n\xff\xc2\x80")),
                        "\"\\u0000\\u0001\\\"\\\\\\n\xef\xbf\xbd\\u0080\"}\n");
    assert_string_equal(json_line(SLICE_EMPTY), "\"\"}\n");
    for (int round = 0; round < 2000; round++) {
        char value[1500];
        size_t len = (size_t)round % sizeof(value);
        for (size_t i = 0; i < len; i++) {
            random = random * 1664525u + 1013904223u;
            value[i] = (char)(random >> 24);
        }
        (void)json_line((struct slice){value, len});
        assert_true(is_json_line(captured));
    }
}

static void a_long_value_is_cut_between_characters(void **state)
{
    char value[5000];

    (void)state;
    log_configure(LOG_INFO, LOG_FORMAT_TEXT);
    memset(value, 'x', sizeof(value));
    const char *line = text_line((struct slice){value, 1024});
    assert_int_equal(strlen(line), 1024 + 1);
    assert_string_equal(line + 1021, "xxx\n");
    line = text_line((struct slice){value, 1025});
    assert_int_equal(strlen(line), 1024 + 1);
    assert_string_equal(line + 1021, "...\n");
    for (size_t shift = 0; shift < 4; shift++) {
        memset(value, 'x', shift);
        for (size_t i = 0; i + 4 < sizeof(value) - shift; i += 4)
            memcpy(value + shift + i, "\xf0\x9f\x9a\x80", 4);
        line = text_line((struct slice){value, 4096 + shift});
        assert_true(strlen(line) <= 1024 + 1 && strlen(line) > 1024 - 8);
        assert_true(utf8_is_valid(slice_from_string(line)));
        assert_string_equal(line + strlen(line) - 4, "...\n");
    }
}

static void check_crowded_line(enum log_format format)
{
    static const char *const ends[] = {" truncated=true\n", ",\"truncated\":true}\n"};
    char value[800];

    memset(value, '\n', sizeof(value));
    for (size_t len = 0; len < sizeof(value); len++) {
        struct slice v = {value, len};
        log_configure(LOG_INFO, format);
        start_capture();
        log_info("crowded", LOG_SLICE("a", v), LOG_SLICE("b", v), LOG_SLICE("c", v),
                 LOG_SLICE("d", v), LOG_SLICE("e", v), LOG_INT("f", INT64_MIN), LOG_SLICE("g", v));
        struct slice line = end_capture();
        assert_true(line.len <= 4096);
        assert_ptr_equal(memchr(line.data, '\n', line.len), line.data + line.len - 1);
        assert_true(format == LOG_FORMAT_TEXT || is_json_line(captured));
        bool is_cut = slice_ends_with(line, slice_from_string(ends[format]));
        // Short lines are complete; the longest ones have a mark that something is missing.
        assert_true(len > 250 || !is_cut);
        assert_true(len < 700 || is_cut);
    }
}

static void a_line_with_too_many_fields_is_marked_and_well_formed(void **state)
{
    (void)state;
    check_crowded_line(LOG_FORMAT_TEXT);
    check_crowded_line(LOG_FORMAT_JSON);
}

static void logging_does_not_change_errno(void **state)
{
    int kept, saved = dup(STDERR_FILENO);

    (void)state;
    log_configure(LOG_INFO, LOG_FORMAT_TEXT);
    assert_true(saved >= 0);
    close(STDERR_FILENO);
    errno = EDOM;
    log_info("not written");
    kept = errno;
    dup2(saved, STDERR_FILENO);
    close(saved);
    assert_int_equal(kept, EDOM);
}

static void *write_lines(void *unused)
{
    for (int i = 0; i < 200; i++)
        log_info("line", LOG_STRING("v", "0123456789012345678901234567890123456789"));
    return unused;
}

static void lines_of_several_threads_do_not_mix(void **state)
{
    pthread_t threads[4];
    int lines = 0;

    (void)state;
    log_configure(LOG_INFO, LOG_FORMAT_JSON);
    start_capture();
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, write_lines, NULL), 0);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    (void)end_capture();
    for (char *at = captured; *at != '\0'; lines++) {
        char *end = strchr(at, '\n');
        assert_non_null(end);
        char after = end[1];
        end[1] = '\0';
        assert_true(is_json_line(at));
        end[1] = after;
        at = end + 1;
    }
    assert_int_equal(lines, 800);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_text_line_has_time_level_message_and_fields),
        cmocka_unit_test(a_json_line_is_an_object),
        cmocka_unit_test(lines_below_the_level_are_not_written),
        cmocka_unit_test(text_values_are_quoted_only_if_needed),
        cmocka_unit_test(json_is_valid_whatever_the_bytes),
        cmocka_unit_test(a_long_value_is_cut_between_characters),
        cmocka_unit_test(a_line_with_too_many_fields_is_marked_and_well_formed),
        cmocka_unit_test(logging_does_not_change_errno),
        cmocka_unit_test(lines_of_several_threads_do_not_mix),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
