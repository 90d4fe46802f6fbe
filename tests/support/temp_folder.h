// A folder of a test's own under $TMPDIR or /tmp, removed with all that is in it.
#ifndef TESTS_SUPPORT_TEMP_FOLDER_H
#define TESTS_SUPPORT_TEMP_FOLDER_H

#include <stdbool.h>
#include <stddef.h>

#define TEMP_FOLDER_PATH_SIZE 256

struct temp_folder {
    char path[TEMP_FOLDER_PATH_SIZE]; // absolute; empty when there is none
};

// Both return false, with errno, when the system refuses.
bool temp_folder_create(struct temp_folder *folder);
bool temp_folder_remove(struct temp_folder *folder);

// "{folder}/{name}" in `path`. False when it does not fit.
bool temp_folder_path(const struct temp_folder *folder, const char *name,
                      char path[TEMP_FOLDER_PATH_SIZE]);
// Makes or replaces a file in the folder.
bool temp_folder_write(const struct temp_folder *folder, const char *name, const void *data,
                       size_t len);

#endif
