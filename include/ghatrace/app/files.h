// Whole files into memory.
#ifndef GHATRACE_APP_FILES_H
#define GHATRACE_APP_FILES_H

#include <stddef.h>

#include "ghatrace/base/buffer.h"
#include "ghatrace/base/error.h"

// Appends the file's bytes to `out`, whose cap is the file's. ERROR_NOT_FOUND, ERROR_IO,
// ERROR_TOO_LARGE, ERROR_MEMORY; the message names the file.
enum error_code file_read(const char *path, struct buffer *out, struct error *error) MUST_CHECK;

#endif
