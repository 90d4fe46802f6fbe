// Can there be a store in this folder? Asked before anything is made.
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ghatrace/store/store.h"

#define PATH_BYTES_MAX 4096

// As access(), for the user that this process acts as.
static bool may(const char *path, int mode)
{
    return faccessat(AT_FDCWD, path, mode, AT_EACCESS) == 0;
}

static enum error_code refuse(const char *folder, const char *path, struct error *error)
{
    return error_set(error, ERROR_IO, "store %s cannot be used: %s: %s", folder, path,
                     strerror(errno));
}

static enum error_code check_file(const char *folder, const char *name, struct error *error)
{
    char path[PATH_BYTES_MAX];
    struct stat status;
    int len = snprintf(path, sizeof path, "%s/%s", folder, name);
    if (len < 0 || (size_t)len >= sizeof path)
        return error_set(error, ERROR_TOO_LARGE, "the path of the store is too long");
    if (stat(path, &status) != 0)
        return errno == ENOENT ? ERROR_NONE : refuse(folder, path, error);
    if (!S_ISREG(status.st_mode))
        return error_set(error, ERROR_IO, "%s is not a file: choose another --db", path);
    return may(path, R_OK | W_OK) ? ERROR_NONE : refuse(folder, path, error);
}

static enum error_code check_existing(const char *folder, struct error *error)
{
    static const char *const names[] = {"lock", "lock.mdb", "data.mdb"};
    enum error_code code = ERROR_NONE;
    if (!may(folder, R_OK | W_OK | X_OK))
        return refuse(folder, folder, error);
    for (size_t i = 0; i < sizeof names / sizeof names[0] && code == ERROR_NONE; i++)
        code = check_file(folder, names[i], error);
    return code;
}

// "a/b" and "a/b/" lie in "a", "b" in ".", "/b" in "/".
static bool find_parent(const char *folder, char parent[PATH_BYTES_MAX])
{
    size_t len = strlen(folder);
    if (len >= PATH_BYTES_MAX)
        return false;
    while (len > 1 && folder[len - 1] == '/')
        len--;
    while (len > 0 && folder[len - 1] != '/')
        len--;
    while (len > 1 && folder[len - 1] == '/')
        len--;
    memcpy(parent, len > 0 ? folder : ".", len > 0 ? len : 1);
    parent[len > 0 ? len : 1] = '\0';
    return true;
}

static enum error_code check_parent(const char *folder, struct error *error)
{
    char parent[PATH_BYTES_MAX];
    struct stat status;
    if (!find_parent(folder, parent))
        return error_set(error, ERROR_TOO_LARGE, "the path of the store is too long");
    if (stat(parent, &status) != 0)
        return error_set(
            error, ERROR_IO,
            "store folder %s cannot be made: %s: %s; only the last folder of a path is "
            "made",
            folder, parent, strerror(errno));
    if (!S_ISDIR(status.st_mode))
        errno = ENOTDIR;
    else if (may(parent, W_OK | X_OK))
        return ERROR_NONE;
    return error_set(error, ERROR_IO, "store folder %s cannot be made: %s: %s", folder, parent,
                     strerror(errno));
}

enum error_code store_check_folder(const char *folder, struct error *error)
{
    struct stat status;
    if (folder[0] == '\0')
        return error_set(error, ERROR_IO, "the store has no folder: name one with --db");
    if (stat(folder, &status) == 0 && S_ISDIR(status.st_mode))
        return check_existing(folder, error);
    // A link to nothing is in the way, too.
    if (lstat(folder, &status) == 0)
        return error_set(error, ERROR_IO,
                         "store %s is not a folder: remove it or choose another --db", folder);
    return check_parent(folder, error);
}
