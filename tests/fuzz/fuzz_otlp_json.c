// Any bytes as an OTLP request: refused, or converted to valid JSON.
#include "fuzz.h"
#include "ghatrace/json/read.h"
#include "ghatrace/otlp/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buffer json;
    struct error error = {0};
    struct json_document document;
    struct arena arena;
    buffer_init(&json, 1 << 26);
    arena_init(&arena, 1024);
    if (otlp_json_from_protobuf(fuzz_slice(data, size), &json, &error) == ERROR_NONE) {
        enum error_code code = json_parse(buffer_slice(&json), &arena, &document, &error);
        MUST(code == ERROR_NONE || code == ERROR_TOO_LARGE);
    } else {
        MUST(json.len == 0);
    }
    buffer_release(&json);
    arena_release(&arena);
    return 0;
}
