// Temporary folders for tests.
#include "support/temp_folder.h"

#include <errno.h>
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>

bool temp_folder_create(struct temp_folder *folder)
{
    const char *parent = getenv("TMPDIR");
    if (parent == NULL || parent[0] != '/')
        parent = "/tmp";
    int len = snprintf(folder->path, sizeof folder->path, "%s/ghatrace-test-XXXXXX", parent);
    if (len < 0 || (size_t)len >= sizeof folder->path) {
        folder->path[0] = '\0';
        errno = ENAMETOOLONG;
        return false;
    }
    if (mkdtemp(folder->path) == NULL) {
        folder->path[0] = '\0';
        return false;
    }
    return true;
}

static int remove_entry(const char *path, const struct stat *info, int type, struct FTW *place)
{
    (void)info, (void)type, (void)place;
    return remove(path);
}

bool temp_folder_remove(struct temp_folder *folder)
{
    if (folder->path[0] == '\0')
        return true;
    // FTW_PHYS: a symbolic link is removed, not followed. FTW_DEPTH: contents before their folder.
    int result = nftw(folder->path, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
    folder->path[0] = '\0';
    return result == 0;
}

bool temp_folder_path(const struct temp_folder *folder, const char *name,
                      char path[TEMP_FOLDER_PATH_SIZE])
{
    int len = snprintf(path, TEMP_FOLDER_PATH_SIZE, "%s/%s", folder->path, name);
    return len >= 0 && len < TEMP_FOLDER_PATH_SIZE;
}

bool temp_folder_write(const struct temp_folder *folder, const char *name, const void *data,
                       size_t len)
{
    char path[TEMP_FOLDER_PATH_SIZE];
    if (!temp_folder_path(folder, name, path))
        return false;
    FILE *file = fopen(path, "wb");
    if (file == NULL)
        return false;
    bool is_written = fwrite(data, 1, len, file) == len;
    return (fclose(file) == 0) && is_written;
}
