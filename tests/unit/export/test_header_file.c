// Headers from a file: when it is read again, and what stays when it cannot be.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <unistd.h>

#include "ghatrace/base/log.h"
#include "ghatrace/export/header_file.h"
#include "support/temp_folder.h"

static const struct http_header configured[] = {
    {.name = {"X-Tenant", 8}, .value = {"a", 1}},
    {.name = {"authorization", 13}, .value = {"old", 3}},
};

struct place {
    struct temp_folder folder;
    char path[TEMP_FOLDER_PATH_SIZE];
    struct export_header_file *file;
    struct error error;
    char used[512]; // what use() was given last
    size_t uses;
    bool refuses;
    timestamp_ns now;
};

static void show(const struct http_header *headers, size_t count, char *text, size_t size)
{
    size_t len = 0;
    text[0] = '\0';
    for (size_t i = 0; i < count; i++)
        len += (size_t)snprintf(text + len, size - len, "%s%.*s=%.*s", i > 0 ? "|" : "",
                                SLICE_ARGS(headers[i].name), SLICE_ARGS(headers[i].value));
}

static enum error_code use(void *context, const struct http_header *headers, size_t count,
                           struct error *error)
{
    struct place *place = context;
    if (place->refuses)
        return error_set(error, ERROR_USAGE, "they make no request");
    show(headers, count, place->used, sizeof place->used);
    place->uses++;
    return ERROR_NONE;
}

// Written long enough ago for its times to differ from another's.
static void write_file(struct place *place, const char *name, const char *text)
{
    static time_t second = 1000000000;
    char path[TEMP_FOLDER_PATH_SIZE];
    assert_true(temp_folder_write(&place->folder, name, text, strlen(text)));
    assert_true(temp_folder_path(&place->folder, name, path));
    second++;
    const struct timeval times[2] = {{.tv_sec = second}, {.tv_sec = second}};
    assert_int_equal(utimes(path, times), 0);
}

static void make_place(struct place *place, const char *text)
{
    *place = (struct place){.now = NS_PER_HOUR};
    log_configure(LOG_ERROR + 1, LOG_FORMAT_TEXT);
    assert_true(temp_folder_create(&place->folder));
    assert_true(temp_folder_path(&place->folder, "headers", place->path));
    if (text != NULL)
        write_file(place, "headers", text);
}

static void open_place(struct place *place, const char *text)
{
    make_place(place, text);
    if (export_header_file_open(place->path, configured, 2, &place->file, &place->error) !=
        ERROR_NONE)
        fail_msg("%s", place->error.message);
    export_header_file_on_change(place->file, use, place);
}

static void close_place(struct place *place)
{
    export_header_file_close(place->file);
    assert_true(temp_folder_remove(&place->folder));
}

static void expect_headers(struct place *place, const char *expected)
{
    char text[512];
    size_t count;
    const struct http_header *headers = export_header_file_headers(place->file, &count);
    show(headers, count, text, sizeof text);
    assert_string_equal(text, expected);
    if (place->uses > 0)
        assert_string_equal(place->used, expected);
}

static void look(struct place *place)
{
    place->now += NS_PER_SECOND;
    export_header_file_look(place->file, place->now);
}

static bool is_usable(const struct place *place)
{
    struct export_header_file_status status;
    export_header_file_read_status(place->file, &status);
    assert_int_equal(status.is_usable, status.since == TIMESTAMP_UNKNOWN);
    assert_int_equal(status.is_usable, status.reason[0] == '\0');
    return status.is_usable;
}

static void headers_of_the_file_replace_configured_ones_of_the_same_name(void **state)
{
    struct place place;
    (void)state;
    open_place(&place, "Authorization: new\nX-More: 1\n");
    expect_headers(&place, "X-Tenant=a|Authorization=new|X-More=1");
    close_place(&place);
    open_place(&place, "# none yet\n");
    expect_headers(&place, "X-Tenant=a|authorization=old");
    close_place(&place);
}

static void a_change_is_seen_however_it_is_made_and_looked_for_once_a_second(void **state)
{
    struct place place;
    char other[TEMP_FOLDER_PATH_SIZE], link_path[TEMP_FOLDER_PATH_SIZE];
    (void)state;
    open_place(&place, "Authorization: 1\n");
    look(&place);
    assert_int_equal(place.uses, 0);
    write_file(&place, "headers", "Authorization: 2\n"); // in place, of the same size
    export_header_file_look(place.file, place.now + NS_PER_SECOND / 2);
    assert_int_equal(place.uses, 0);
    look(&place);
    expect_headers(&place, "X-Tenant=a|Authorization=2");
    write_file(&place, "other", "Authorization: 3\n");
    assert_true(temp_folder_path(&place.folder, "other", other));
    assert_int_equal(rename(other, place.path), 0);
    look(&place);
    expect_headers(&place, "X-Tenant=a|Authorization=3");
    // Kubernetes: a link to a folder is switched.
    write_file(&place, "first", "Authorization: 4\n");
    write_file(&place, "second", "Authorization: 5\n");
    assert_true(temp_folder_path(&place.folder, "link", link_path));
    assert_int_equal(unlink(place.path), 0);
    assert_int_equal(symlink("first", link_path), 0);
    assert_int_equal(symlink("link", place.path), 0);
    look(&place);
    expect_headers(&place, "X-Tenant=a|Authorization=4");
    assert_int_equal(unlink(link_path), 0);
    assert_int_equal(symlink("second", link_path), 0);
    look(&place);
    expect_headers(&place, "X-Tenant=a|Authorization=5");
    size_t uses = place.uses;
    write_file(&place, "second", "Authorization: 5\n"); // the same headers
    look(&place);
    assert_int_equal(place.uses, uses);
    close_place(&place);
}

// Its times may not show what is written within the same tick of the file system's clock.
static void a_file_that_was_just_written_is_read_again(void **state)
{
    struct place place;
    struct timeval times[2];
    (void)state;
    open_place(&place, "Authorization: 1\n");
    assert_true(temp_folder_write(&place.folder, "headers", "Authorization: 2\n", 17));
    gettimeofday(&times[0], NULL);
    times[1] = times[0];
    assert_int_equal(utimes(place.path, times), 0);
    look(&place);
    expect_headers(&place, "X-Tenant=a|Authorization=2");
    assert_true(temp_folder_write(&place.folder, "headers", "Authorization: 3\n", 17));
    assert_int_equal(utimes(place.path, times), 0);
    look(&place);
    expect_headers(&place, "X-Tenant=a|Authorization=3");
    close_place(&place);
}

static void an_unusable_file_keeps_the_last_valid_headers(void **state)
{
    static const char *const bad[] = {"", "# nothing\n", "Bearer abc\n", "A: 1\nA: 2\n",
                                      "Host: x\n"};
    struct place place;
    (void)state;
    open_place(&place, "Authorization: 1\n");
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        write_file(&place, "headers", bad[i]);
        look(&place);
        expect_headers(&place, "X-Tenant=a|Authorization=1");
        assert_false(is_usable(&place));
        write_file(&place, "headers", "Authorization: 1\n");
        look(&place);
        assert_true(is_usable(&place));
    }
    assert_int_equal(place.uses, 0);
    assert_int_equal(unlink(place.path), 0);
    look(&place);
    assert_false(is_usable(&place));
    assert_int_equal(mkfifo(place.path, 0600), 0); // must not be waited for
    look(&place);
    assert_false(export_header_file_read(place.file));
    assert_int_equal(unlink(place.path), 0);
    assert_int_equal(mkdir(place.path, 0700), 0);
    assert_false(export_header_file_read(place.file));
    expect_headers(&place, "X-Tenant=a|Authorization=1");
    assert_int_equal(rmdir(place.path), 0);
    write_file(&place, "headers", "Authorization: 2\n");
    look(&place);
    expect_headers(&place, "X-Tenant=a|Authorization=2");
    assert_true(is_usable(&place));
    close_place(&place);
}

static void headers_that_make_no_request_leave_the_last_good_ones(void **state)
{
    struct place place;
    (void)state;
    open_place(&place, "Authorization: 1\n");
    place.refuses = true;
    write_file(&place, "headers", "Authorization: 2\n");
    look(&place);
    expect_headers(&place, "X-Tenant=a|Authorization=1");
    assert_false(is_usable(&place));
    place.refuses = false;
    assert_true(export_header_file_read(place.file));
    expect_headers(&place, "X-Tenant=a|Authorization=2");
    assert_true(is_usable(&place));
    close_place(&place);
}

static void at_the_start_it_must_be_usable(void **state)
{
    static char large[EXPORT_HEADER_FILE_MAX + 2];
    struct place place;
    (void)state;
    make_place(&place, NULL);
    assert_int_equal(export_header_file_open(place.path, configured, 2, &place.file, &place.error),
                     ERROR_USAGE);
    assert_non_null(strstr(place.error.message, place.path));
    memset(large, '\n', sizeof large - 1);
    write_file(&place, "headers", large);
    assert_int_equal(export_header_file_open(place.path, configured, 2, &place.file, &place.error),
                     ERROR_USAGE);
    assert_non_null(strstr(place.error.message, "larger"));
    close_place(&place);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(headers_of_the_file_replace_configured_ones_of_the_same_name),
        cmocka_unit_test(a_change_is_seen_however_it_is_made_and_looked_for_once_a_second),
        cmocka_unit_test(a_file_that_was_just_written_is_read_again),
        cmocka_unit_test(an_unusable_file_keeps_the_last_valid_headers),
        cmocka_unit_test(headers_that_make_no_request_leave_the_last_good_ones),
        cmocka_unit_test(at_the_start_it_must_be_usable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
