// Compresses and expands gzip by zlib.
#include "ghatrace/http/gzip.h"

#include <limits.h>
#include <zlib.h>

#include "ghatrace/base/memory.h"

#define WINDOW_BITS (15 + 16) // zlib: plus 16 for a gzip header instead of its own
#define MEMORY_LEVEL 8        // zlib's default
#define CHUNK_SIZE 4096       // bytes that are expanded, or packed in a piece, at once

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

// --- a member made in pieces ----------------------------------------------------------------------

// What is compressed in pieces is text whose lines resemble the lines before them: a window of 8 KiB finds nearly as
// much as one of 32 KiB, and zlib needs 100 KB instead of 256 KB for each client.
#define STREAM_WINDOW_BITS (13 + 16)
#define STREAM_MEMORY_LEVEL 7

struct gzip_stream {
    z_stream zlib;
};

struct gzip_stream *gzip_stream_create(void)
{
    struct gzip_stream *stream = memory_allocate_array(1, sizeof *stream);
    if (stream == NULL)
        return NULL;
    stream->zlib = (z_stream){.zalloc = zlib_allocate, .zfree = zlib_release};
    // The fastest level: this runs in the loop.
    if (deflateInit2(&stream->zlib, Z_BEST_SPEED, Z_DEFLATED, STREAM_WINDOW_BITS,
                     STREAM_MEMORY_LEVEL, Z_DEFAULT_STRATEGY) == Z_OK)
        return stream;
    memory_free(stream);
    return NULL;
}

void gzip_stream_destroy(struct gzip_stream *stream)
{
    if (stream == NULL)
        return;
    (void)deflateEnd(&stream->zlib); // fails for a member that is not complete
    memory_free(stream);
}

enum error_code gzip_stream_add(struct gzip_stream *stream, struct slice data, bool is_last,
                                struct buffer *out)
{
    z_stream *zlib = &stream->zlib;
    if (data.len > UINT_MAX)
        return ERROR_TOO_LARGE;
    zlib->next_in = (z_const Bytef *)data.data;
    zlib->avail_in = (uInt)data.len;
    do { // until it has more room than it needs
        enum error_code code = buffer_reserve(out, CHUNK_SIZE);
        if (code != ERROR_NONE)
            return code;
        zlib->next_out = (Bytef *)(out->data + out->len);
        zlib->avail_out = CHUNK_SIZE;
        (void)deflate(zlib, is_last ? Z_FINISH : Z_NO_FLUSH); // Z_BUF_ERROR: nothing was left to do
        out->len += CHUNK_SIZE - zlib->avail_out;
    } while (zlib->avail_out == 0);
    return ERROR_NONE;
}
