// gzip by zlib, with its memory included in our accounting.
#include "gzip.h"

#include <limits.h>
#include <zlib.h>

#include "ghatrace/base/memory.h"

#define GZIP_WINDOW_BITS (15 + 16) // zlib: plus 16 for a gzip header instead of its own
#define GZIP_MEMORY_LEVEL 8        // zlib's default

static voidpf allocate(voidpf opaque, uInt count, uInt size)
{
    (void)opaque;
    return memory_allocate_array(count, size);
}

static void release(voidpf opaque, voidpf block)
{
    (void)opaque;
    memory_free(block);
}

enum error_code gzip_compress(struct slice data, struct buffer *out, struct error *error)
{
    // The fastest level: spans are repetitive enough for it, and this runs in the loop.
    z_stream stream = {.zalloc = allocate, .zfree = release};
    if (data.len > UINT_MAX / 2)
        return error_set(error, ERROR_TOO_LARGE, "compress: more than zlib takes at once");
    if (deflateInit2(&stream, Z_BEST_SPEED, Z_DEFLATED, GZIP_WINDOW_BITS, GZIP_MEMORY_LEVEL,
                     Z_DEFAULT_STRATEGY) != Z_OK)
        return error_set(error, ERROR_MEMORY, "compress: out of memory");

    // deflateBound() is enough for all of it in one call.
    size_t bound = deflateBound(&stream, (uLong)data.len);
    enum error_code code = buffer_reserve(out, bound);
    if (code != ERROR_NONE) {
        error_set(error, code, "compress: %s", error_code_text(code));
        goto cleanup;
    }
    stream.next_in = (z_const Bytef *)data.data;
    stream.avail_in = (uInt)data.len;
    stream.next_out = (Bytef *)(out->data + out->len);
    stream.avail_out = (uInt)bound;
    if (deflate(&stream, Z_FINISH) != Z_STREAM_END) {
        code = error_set(error, ERROR_INVALID, "compress: zlib refused");
        goto cleanup;
    }
    out->len += stream.total_out;

cleanup:
    (void)deflateEnd(&stream);
    return code;
}
