// Headers of the export requests that are read from a file, mostly a token that something else renews. All from the
// loop's thread.
//
// The file has one header a line (export_header_lines_parse). Its headers replace configured ones of the same name.
// A file that cannot be used, also one that is empty now and was not before, leaves the last good headers in use: a
// file that is just being written must not stop the export. It may be replaced in place, by rename, or by a switch of
// a symbolic link on the way to it, as Kubernetes does with secrets.
#ifndef GHATRACE_EXPORT_HEADER_FILE_H
#define GHATRACE_EXPORT_HEADER_FILE_H

#include <stdbool.h>
#include <stddef.h>

#include "ghatrace/base/error.h"
#include "ghatrace/base/time.h"
#include "ghatrace/http/parse.h"

#define EXPORT_HEADER_FILE_MAX ((size_t)32768) // bytes

struct export_header_file;

// Reads it. `path` and `configured` must outlive it. ERROR_USAGE: it cannot be used; ERROR_MEMORY.
enum error_code export_header_file_open(const char *path, const struct http_header *configured,
                                        size_t configured_count, struct export_header_file **file,
                                        struct error *error) MUST_CHECK;
void export_header_file_close(struct export_header_file *file);

// Takes new headers into use; on failure the old ones stay. The headers are valid until the next change.
typedef enum error_code (*export_header_use)(void *context, const struct http_header *headers,
                                             size_t count, struct error *error);
void export_header_file_on_change(struct export_header_file *file, export_header_use use,
                                  void *context);

// Reads the file if it has changed; looks at most once a second. `now`: by the steady clock.
void export_header_file_look(struct export_header_file *file, timestamp_ns now);
// Reads the file in any case. False: the last good headers stay, and a warning says why.
bool export_header_file_read(struct export_header_file *file);

// All headers that are in use: the configured ones and those of the file.
const struct http_header *export_header_file_headers(const struct export_header_file *file,
                                                     size_t *count);

struct export_header_file_status {
    size_t count;       // headers in use that came from the file
    bool is_usable;     // as it is now
    const char *reason; // why not; without anything that the file holds but names
    timestamp_ns since; // since when not; TIMESTAMP_UNKNOWN: it is usable
};
void export_header_file_read_status(const struct export_header_file *file,
                                    struct export_header_file_status *status);

#endif
