// Export requests in JSON from any client.
#include "fuzz.h"
#include "ghatrace/otlp/json.h"
#include "ghatrace/otlp/request.h"

#define OUT_MAX ((size_t)1 << 26)

static void write_json(struct slice request, struct buffer *json)
{
    struct error error;
    buffer_init(json, OUT_MAX);
    MUST(otlp_json_from_protobuf(request, json, &error) == ERROR_NONE);
}

// What was converted once is converted unchanged from then on.
static void check_is_stable(struct slice request, struct arena *arena)
{
    struct buffer first, second;
    struct slice again;
    struct error error;
    write_json(request, &first);
    MUST(otlp_protobuf_from_json(buffer_slice(&first), arena, &again, &error) == ERROR_NONE);
    write_json(again, &second);
    MUST(slice_equals(buffer_slice(&first), buffer_slice(&second)));
    buffer_release(&second);
    buffer_release(&first);
}

// It is a request in protobuf, whose text is valid.
static void check_is_decoded(struct slice request, struct arena *arena)
{
    static const struct otlp_request_limits limits = {SIZE_MAX, SIZE_MAX, SIZE_MAX, SIZE_MAX};
    struct otlp_request decoded;
    struct error error;
    MUST(otlp_decode_request(request, &limits, arena, &decoded, &error) == ERROR_NONE);
    for (size_t i = 0; i < decoded.scope_count; i++) {
        for (size_t j = 0; j < decoded.scopes[i].span_count; j++) {
            enum otlp_span_fault fault = decoded.scopes[i].spans[j].fault;
            MUST(fault == OTLP_SPAN_FINE || fault == OTLP_SPAN_BAD_IDS);
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    struct slice request;
    struct error error = {0};
    arena_init(&arena, 1024);
    enum error_code code =
        otlp_protobuf_from_json(fuzz_slice(data, size), &arena, &request, &error);
    MUST(arena.used <= 64 + 20 * size);
    if (code == ERROR_NONE) {
        check_is_decoded(request, &arena);
        check_is_stable(request, &arena);
    } else {
        MUST(code == ERROR_CORRUPT || code == ERROR_TOO_LARGE);
        MUST(error.code == code && error.message[0] != '\0' && request.len == 0);
    }
    arena_release(&arena);
    return 0;
}
