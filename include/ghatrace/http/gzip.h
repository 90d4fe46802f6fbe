// The content coding gzip (RFC 9110, 8.4.1.3), by zlib. Pure.
#ifndef GHATRACE_HTTP_GZIP_H
#define GHATRACE_HTTP_GZIP_H

#include "ghatrace/base/buffer.h"
#include "ghatrace/base/error.h"
#include "ghatrace/base/slice.h"

// Appends `data` as one gzip member (RFC 1952). ERROR_MEMORY, ERROR_TOO_LARGE (over the buffer's limit).
enum error_code gzip_compress(struct slice data, struct buffer *out,
                              struct error *error) MUST_CHECK;
// Appends what the gzip members hold; there is at least one, and nothing but members (RFC 1952, 2.2). The buffer's limit
// bounds memory and time, however much they would expand to: ERROR_TOO_LARGE. ERROR_CORRUPT: not gzip, damaged, cut
// short, or followed by something else. ERROR_MEMORY. The buffer is unchanged on failure.
enum error_code gzip_expand(struct slice packed, struct buffer *out) MUST_CHECK;

#endif
