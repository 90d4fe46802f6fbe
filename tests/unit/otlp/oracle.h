// Runs independent programs on files of a temporary folder. Include cmocka.h before it.
#ifndef TESTS_UNIT_OTLP_ORACLE_H
#define TESTS_UNIT_OTLP_ORACLE_H

#include <stdio.h>

#include "ghatrace/base/buffer.h"
#include "support/temp_folder.h"

static struct temp_folder folder;

static int make_folder(void **state)
{
    (void)state;
    return temp_folder_create(&folder) ? 0 : -1;
}

static int remove_folder(void **state)
{
    (void)state;
    return temp_folder_remove(&folder) ? 0 : -1;
}

// Runs a shell command; what it prints goes to `output`. Returns its exit status.
static int run(const char *command, struct buffer *output)
{
    char chunk[4096];
    size_t len;
    FILE *pipe = popen(command, "r");
    assert_non_null(pipe);
    buffer_init(output, 1 << 20);
    while ((len = fread(chunk, 1, sizeof(chunk), pipe)) > 0)
        assert_int_equal(buffer_append(output, chunk, len), ERROR_NONE);
    assert_int_equal(buffer_append(output, "", 1), ERROR_NONE);
    return pclose(pipe);
}

static void write_file(const char *name, struct slice content, char path[TEMP_FOLDER_PATH_SIZE])
{
    assert_true(temp_folder_path(&folder, name, path));
    assert_true(temp_folder_write(&folder, name, content.data, content.len));
}

#endif
