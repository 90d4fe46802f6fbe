// gzip by zlib. Private to this room.
#ifndef GHATRACE_SRC_EXPORT_GZIP_H
#define GHATRACE_SRC_EXPORT_GZIP_H

#include "ghatrace/base/buffer.h"
#include "ghatrace/base/error.h"
#include "ghatrace/base/slice.h"

// Appends `data` as one gzip member (RFC 1952). ERROR_MEMORY, ERROR_TOO_LARGE (over the buffer's cap).
enum error_code gzip_compress(struct slice data, struct buffer *out,
                              struct error *error) MUST_CHECK;
// Appends what one gzip member holds. ERROR_INVALID: not gzip, or damaged; ERROR_TOO_LARGE: over the buffer's limit;
// ERROR_MEMORY. The buffer is unchanged on failure.
enum error_code gzip_expand(struct slice packed, struct buffer *out) MUST_CHECK;

#endif
