// The content coding gzip (RFC 9110, 8.4.1.3), by zlib. Pure.
#ifndef GHATRACE_HTTP_GZIP_H
#define GHATRACE_HTTP_GZIP_H

#include <stdbool.h>

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

// A member that is made of data in pieces. Uses 100 KB of memory, whatever the size of the data.
struct gzip_stream;
// NULL: out of memory.
struct gzip_stream *gzip_stream_create(void);
void gzip_stream_destroy(struct gzip_stream *stream); // or NULL
// Appends what is ready of the data up to here, which may be nothing; with the last piece the rest, and the end of the
// member. ERROR_MEMORY, ERROR_TOO_LARGE (over the buffer's limit): the stream can only be destroyed then.
enum error_code gzip_stream_add(struct gzip_stream *stream, struct slice data, bool is_last,
                                struct buffer *out) MUST_CHECK;

#endif
