// A file of headers for an export: watched, read again after a 401 and on SIGHUP. All functions run in the loop's
// thread.
#ifndef GHATRACE_APP_HEADER_READER_H
#define GHATRACE_APP_HEADER_READER_H

#include <stdbool.h>

#include "ghatrace/base/error.h"
#include "ghatrace/export/exporter.h"
#include "ghatrace/export/header_file.h"
#include "ghatrace/net/loop.h"

// All zero: there is no file.
struct header_reader {
    struct net_loop *loop;
    struct export_header_file *file; // NULL: none
    struct net_task read;
    bool is_read_posted; // posting twice would break the loop's list
};

// Reads the file at `path` (NULL: none) and puts its headers and the reader's calls into `export`, whose loop is the
// reader's. The reader must not move afterwards.
enum error_code header_reader_open(struct header_reader *reader, const char *path,
                                   struct export_options *export, struct error *error) MUST_CHECK;
// SIGHUP. Reads the file and puts it to use.
enum error_code header_reader_read(const struct header_reader *reader,
                                   struct error *error) MUST_CHECK;
void header_reader_close(struct header_reader *reader);

#endif
