// The live page: files embedded in the program (src/admin/page/), converted to C by scripts/embed.
#ifndef GHATRACE_ADMIN_PAGE_H
#define GHATRACE_ADMIN_PAGE_H

#include <stddef.h>

#include "ghatrace/base/slice.h"

struct page_file {
    const char *path; // "/page.js"; that of index.html is "/"
    const char *content_type;
    struct slice body;
    const char *etag; // changes with the body
};

extern const struct page_file page_files[];
extern const size_t page_file_count;

#endif
