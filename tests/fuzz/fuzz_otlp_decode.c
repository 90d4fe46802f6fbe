// Records as a store might return them, and responses of collectors.
#include "fuzz.h"
#include "ghatrace/otlp/decode.h"
#include "ghatrace/otlp/encode.h"

// What is decoded can be encoded, and what we encoded is decoded unchanged.
static void check_record(struct slice record, struct arena *arena)
{
    struct span_batch batch;
    struct buffer first;
    struct buffer second;
    struct error error = {0};
    if (otlp_decode_batch(record, arena, &batch, &error) != ERROR_NONE) {
        MUST(error.message[0] != '\0');
        return;
    }
    buffer_init(&first, 1 << 26);
    buffer_init(&second, 1 << 26);
    MUST(otlp_encode_batch(&batch, &first, &error) == ERROR_NONE);
    MUST(otlp_decode_batch(buffer_slice(&first), arena, &batch, &error) == ERROR_NONE);
    MUST(otlp_encode_batch(&batch, &second, &error) == ERROR_NONE);
    MUST(slice_equals(buffer_slice(&first), buffer_slice(&second)));
    buffer_release(&first);
    buffer_release(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct slice bytes = fuzz_slice(data, size);
    struct arena arena;
    struct otlp_response response;
    struct otlp_status status;
    arena_init(&arena, 1024);
    check_record(bytes, &arena);
    for (int is_json = 0; is_json < 2; is_json++) {
        if (otlp_decode_response(bytes, is_json, &arena, &response) == ERROR_NONE)
            MUST(response.rejected_spans >= 0);
        (void)!otlp_decode_status(bytes, is_json, &arena, &status);
    }
    arena_release(&arena);
    return 0;
}
