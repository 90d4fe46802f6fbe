// Compresses and expands gzip by zlib.
#include "ghatrace/http/gzip.h"

#include <limits.h>
#include <zlib.h>

#include "ghatrace/base/memory.h"

#define WINDOW_BITS (15 + 16) // zlib: plus 16 for a gzip header instead of its own
#define MEMORY_LEVEL 8        // zlib's default
#define CHUNK_SIZE 4096       // bytes that are expanded at once

// zlib, with its memory included in our accounting.

static voidpf zlib_allocate(voidpf opaque, uInt count, uInt size)
{
    (void)opaque;
    return memory_allocate_array(count, size);
}

static void zlib_release(voidpf opaque, voidpf block)
{
    (void)opaque;
    memory_free(block);
}

enum error_code gzip_compress(struct slice data, struct buffer *out, struct error *error)
{
    // The fastest level: spans are repetitive enough for it, and this runs in the loop.
    z_stream stream = {.zalloc = zlib_allocate, .zfree = zlib_release};
    if (data.len > UINT_MAX / 2)
        return error_set(error, ERROR_TOO_LARGE, "compress: more than zlib takes at once");
    if (deflateInit2(&stream, Z_BEST_SPEED, Z_DEFLATED, WINDOW_BITS, MEMORY_LEVEL,
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

// Expands up to the end of a member.
static enum error_code expand_member(z_stream *stream, struct buffer *out)
{
    char chunk[CHUNK_SIZE];
    int result;
    do {
        stream->next_out = (Bytef *)chunk;
        stream->avail_out = sizeof chunk;
        result = inflate(stream, Z_NO_FLUSH);
        if (result == Z_MEM_ERROR)
            return ERROR_MEMORY;
        if (result != Z_OK && result != Z_STREAM_END)
            return ERROR_CORRUPT;
        enum error_code code = buffer_append(out, chunk, sizeof chunk - stream->avail_out);
        if (code != ERROR_NONE)
            return code;
    } while (result == Z_OK);
    return ERROR_NONE;
}

enum error_code gzip_expand(struct slice packed, struct buffer *out)
{
    z_stream stream = {.zalloc = zlib_allocate, .zfree = zlib_release};
    size_t before = out->len;
    if (packed.len > UINT_MAX / 2)
        return ERROR_TOO_LARGE;
    stream.next_in = (z_const Bytef *)packed.data;
    stream.avail_in = (uInt)packed.len;
    if (inflateInit2(&stream, WINDOW_BITS) != Z_OK)
        return ERROR_MEMORY;
    enum error_code code = expand_member(&stream, out);
    while (code == ERROR_NONE && stream.avail_in > 0) {
        code = inflateReset(&stream) == Z_OK ? expand_member(&stream, out) : ERROR_CORRUPT;
    }
    if (code != ERROR_NONE)
        out->len = before;
    (void)inflateEnd(&stream);
    return code;
}
