// Records as the store might give them back, and what collectors answer.
#include "fuzz.h"
#include "ghatrace/otlp/decode.h"
#include "ghatrace/otlp/encode.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct slice bytes = fuzz_slice(data, size);
    struct arena arena;
    struct span_batch batch;
    struct otlp_response response;
    struct slice message;
    struct buffer again;
    struct error error = {0};
    arena_init(&arena, 65536);
    buffer_init(&again, 1 << 26);
    if (otlp_decode_batch(bytes, &arena, &batch, &error) == ERROR_NONE)
        MUST(otlp_encode_batch(&batch, &again, &error) == ERROR_NONE);
    for (int is_json = 0; is_json < 2; is_json++) {
        if (otlp_decode_response(bytes, is_json, &arena, &response) == ERROR_NONE)
            MUST(response.rejected_spans >= 0);
        (void)!otlp_decode_status(bytes, is_json, &arena, &message);
    }
    buffer_release(&again);
    arena_release(&arena);
    return 0;
}
