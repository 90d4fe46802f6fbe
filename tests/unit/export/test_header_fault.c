// A file of headers whose state cannot be read.
/* wrap: fstat */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "ghatrace/base/log.h"
#include "ghatrace/export/header_file.h"
#include "support/temp_folder.h"

static int fault;

int __real_fstat(int fd, struct stat *status);
int __wrap_fstat(int fd, struct stat *status);

int __wrap_fstat(int fd, struct stat *status)
{
    errno = fault;
    return fault != 0 ? -1 : __real_fstat(fd, status);
}

static void a_file_whose_state_cannot_be_read_is_refused_with_the_reason(void **state)
{
    static const char text[] = "Authorization: new\n";
    struct temp_folder folder;
    struct export_header_file *file = NULL;
    struct error error = {0};
    char path[TEMP_FOLDER_PATH_SIZE];
    (void)state;
    log_configure(LOG_ERROR + 1, LOG_FORMAT_TEXT);
    assert_true(temp_folder_create(&folder));
    assert_true(temp_folder_write(&folder, "headers", text, strlen(text)));
    assert_true(temp_folder_path(&folder, "headers", path));
    fault = EIO;
    assert_int_equal(export_header_file_open(path, NULL, 0, &file, &error), ERROR_USAGE);
    assert_non_null(strstr(error.message, strerror(EIO)));
    fault = 0;
    assert_int_equal(export_header_file_open(path, NULL, 0, &file, &error), ERROR_NONE);
    export_header_file_close(file);
    assert_true(temp_folder_remove(&folder));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_file_whose_state_cannot_be_read_is_refused_with_the_reason),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
