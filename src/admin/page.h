// The live page: files embedded in the program (src/admin/page/), converted to C by scripts/embed.
//
//   /               index.html, which browsers check each time (ETag)
//   /v/HASH/NAME    the others. HASH is that of all files, so that browsers may keep them for good, and that modules of
//                   two versions are never mixed: with another HASH they are not found.
#ifndef GHATRACE_ADMIN_PAGE_H
#define GHATRACE_ADMIN_PAGE_H

#include <stdbool.h>
#include <stddef.h>

#include "ghatrace/admin/admin.h"
#include "ghatrace/base/slice.h"

#define PAGE_FILES_PREFIX "/v/"

struct page_file {
    const char *name; // "page.js"
    const char *content_type;
    struct slice body;
    struct slice compressed; // the same with gzip
};

extern const struct page_file page_files[];
extern const size_t page_file_count;
extern const char page_version[]; // the hash: 16 hexadecimal digits
extern const char
    page_etag[]; // W/"HASH": weak, as it is that of the plain and of the compressed file

// The file of a path "/v/HASH/NAME". NULL: there is none.
const struct page_file *page_file_of(struct slice path);

// True if the field If-None-Match names the version (RFC 9110 13.1.2): "*", or a list in which it is; the comparison is
// weak, because proxies that compress make an entity tag weak.
bool page_is_known(struct slice if_none_match, struct slice version);

// Handlers of routes, without context.
void page_handle_index(void *context, const struct admin_request *request,
                       struct admin_response *reply);
void page_handle_file(void *context, const struct admin_request *request,
                      struct admin_response *reply);

#endif
