// OpenTelemetry's variables: URLs, header lists, resource attributes.
#include "fuzz.h"
#include "ghatrace/export/endpoint.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const struct slice text = fuzz_slice(data, size);
    struct arena arena;
    struct export_endpoint endpoint;
    struct http_header *headers;
    struct attribute *items;
    size_t count;
    struct error error = {0};
    char url[2048];
    arena_init(&arena, 65536);
    for (int is_base = 0; is_base < 2; is_base++) {
        if (export_endpoint_parse(text, is_base, &endpoint, &error) == ERROR_NONE) {
            MUST(endpoint.path[0] == '/' && endpoint.port > 0 && endpoint.host[0] != '\0');
            export_endpoint_format(&endpoint, url, sizeof url);
        }
    }
    if (export_headers_parse(text, &arena, &headers, &count, &error) == ERROR_NONE) {
        for (size_t i = 0; i < count; i++) {
            MUST(headers[i].name.len > 0);
            MUST(slice_find(headers[i].value, SLICE("\r")) < 0);
            MUST(slice_find(headers[i].value, SLICE("\n")) < 0);
        }
    }
    if (export_resource_parse(text, &arena, &items, &count, &error) == ERROR_NONE) {
        for (size_t i = 0; i < count; i++)
            MUST(items[i].key[0] != '\0');
    }
    arena_release(&arena);
    return 0;
}
