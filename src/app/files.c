// Reading files.
#include "ghatrace/app/files.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define READ_SIZE ((size_t)65536)

static enum error_code read_all(FILE *file, const char *path, struct buffer *out,
                                struct error *error)
{
    char chunk[READ_SIZE];
    for (;;) {
        errno = 0;
        size_t len = fread(chunk, 1, sizeof chunk, file);
        if (len == 0) {
            if (ferror(file)) // a folder opens, and fails here
                return error_set(error, ERROR_IO, "%s: %s", path, strerror(errno));
            return ERROR_NONE;
        }
        enum error_code code = buffer_append(out, chunk, len);
        if (code == ERROR_TOO_LARGE)
            return error_set(error, code, "%s: larger than %zu bytes", path, out->max);
        if (code != ERROR_NONE)
            return error_set(error, code, "%s: %s", path, error_code_text(code));
    }
}

enum error_code file_read(const char *path, struct buffer *out, struct error *error)
{
    FILE *file = fopen(path, "rbe");
    if (file == NULL)
        return error_set(error, errno == ENOENT ? ERROR_NOT_FOUND : ERROR_IO, "%s: %s", path,
                         strerror(errno));
    enum error_code code = read_all(file, path, out, error);
    (void)fclose(file); // only read from
    return code;
}
