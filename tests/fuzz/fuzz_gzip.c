// Any bytes as gzip, and what is compressed.
#include "fuzz.h"
#include "ghatrace/http/gzip.h"

#define EXPANDED_MAX ((size_t)1 << 16)

static enum error_code expand(struct slice packed, size_t max, struct buffer *out)
{
    buffer_init(out, max);
    enum error_code code = gzip_expand(packed, out);
    MUST(code == ERROR_NONE || code == ERROR_CORRUPT || code == ERROR_TOO_LARGE);
    MUST(code == ERROR_NONE || out->len == 0);
    MUST(out->len <= max && out->capacity <= max);
    return code;
}

// The limit is exact.
static void check_limit(struct slice packed, size_t len)
{
    struct buffer out;
    MUST(expand(packed, len, &out) == ERROR_NONE && out.len == len);
    buffer_release(&out);
    if (len == 0)
        return;
    MUST(expand(packed, len - 1, &out) == ERROR_TOO_LARGE);
    buffer_release(&out);
}

// Compressed, twice, it expands to itself, twice.
static void check_round_trip(struct slice data)
{
    struct buffer packed, out;
    struct error error;
    buffer_init(&packed, 1 << 20);
    MUST(gzip_compress(data, &packed, &error) == ERROR_NONE);
    MUST(gzip_compress(data, &packed, &error) == ERROR_NONE);
    MUST(expand(buffer_slice(&packed), 1 << 20, &out) == ERROR_NONE && out.len == 2 * data.len);
    MUST(slice_equals((struct slice){out.data, data.len}, data));
    MUST(slice_equals(slice_skip(buffer_slice(&out), data.len), data));
    buffer_release(&out);
    buffer_release(&packed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct slice bytes = fuzz_slice(data, size);
    struct buffer out;
    if (expand(bytes, EXPANDED_MAX, &out) == ERROR_NONE)
        check_limit(bytes, out.len);
    buffer_release(&out);
    check_round_trip(bytes);
    return 0;
}
