// Headers of export requests that are read from a file, usually a token renewed by another program. All functions run
// in the loop's thread.
//
// The file has one header per line (export_header_lines_parse). Its headers replace configured ones of the same name.
// If the file cannot be used, or has become empty, the last valid headers are kept: a file that is being written must
// not stop the export. It may be replaced in place, by rename, or by changing a symbolic link in its path, as
// Kubernetes does with secrets.
#ifndef GHATRACE_EXPORT_HEADER_FILE_H
#define GHATRACE_EXPORT_HEADER_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include "ghatrace/base/error.h"
#include "ghatrace/base/time.h"
#include "ghatrace/http/parse.h"

#define EXPORT_HEADER_FILE_MAX ((size_t)32768) // bytes

struct export_header_file;

// Opens and reads the file. `path` and `configured` must outlive it. ERROR_USAGE: it cannot be used; ERROR_MEMORY.
enum error_code export_header_file_open(const char *path, const struct http_header *configured,
                                        size_t configured_count, struct export_header_file **file,
                                        struct error *error) MUST_CHECK;
void export_header_file_close(struct export_header_file *file);

// Puts new headers into use; on failure the old ones are kept. The headers are valid until the next change.
typedef enum error_code (*export_header_use)(void *context, const struct http_header *headers,
                                             size_t count, struct error *error);
void export_header_file_on_change(struct export_header_file *file, export_header_use use,
                                  void *context);

// Reads the file if it has changed; checks at most once a second. `now`: monotonic.
void export_header_file_look(struct export_header_file *file, timestamp_ns now);
// Reads the file unconditionally. False: the last valid headers are kept, and a warning gives the reason.
bool export_header_file_read(struct export_header_file *file);

// All headers in use: the configured ones and those of the file.
const struct http_header *export_header_file_headers(const struct export_header_file *file,
                                                     size_t *count);

struct export_header_file_status {
    size_t count;       // headers in use that are from the file
    bool is_usable;     // in its current state
    const char *reason; // the reason if not; contains nothing of the file but names
    timestamp_ns since; // since when it is not; TIMESTAMP_UNKNOWN: it is usable
};
void export_header_file_read_status(const struct export_header_file *file,
                                    struct export_header_file_status *status);

#endif
