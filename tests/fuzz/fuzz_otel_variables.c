// OpenTelemetry's variables: URLs, header lists, resource attributes. What is accepted gives a request that our own
// parser reads as intended.
#include "fuzz.h"
#include "ghatrace/export/endpoint.h"
#include "ghatrace/http/write.h"

static void check_request(struct slice path, struct slice host, const struct http_header *headers,
                          size_t count)
{
    struct buffer text;
    struct http_parser parser;
    size_t consumed = 0;
    const struct http_request_parts parts = {
        .target = path, .host = host, .fields = headers, .field_count = count};
    if (!http_is_valid_request(&parts))
        return;
    buffer_init(&text, 1 << 20);
    http_parser_init(&parser, 0);
    enum error_code code =
        buffer_append_format(&text, "POST %.*s HTTP/1.1\r\nHost: %.*s\r\nContent-Length: 0\r\n",
                             SLICE_ARGS(path), SLICE_ARGS(host));
    for (size_t i = 0; i < count && code == ERROR_NONE; i++)
        code = buffer_append_format(&text, "%.*s: %.*s\r\n", SLICE_ARGS(headers[i].name),
                                    SLICE_ARGS(headers[i].value));
    if (code == ERROR_NONE)
        code = buffer_append_string(&text, "\r\n");
    if (code == ERROR_NONE && text.len <= HTTP_HEAD_BYTES_MAX &&
        path.len < HTTP_START_LINE_MAX / 2) {
        MUST(http_parser_feed(&parser, text.data, text.len, &consumed) == HTTP_HEAD_DONE ||
             count > HTTP_HEADERS_MAX - 2 || parser.refusal_status == 417);
        MUST(parser.refusal_status != 0 || parser.message.header_count == count + 2);
        MUST(parser.refusal_status != 0 || slice_equals(parser.message.target, path));
        MUST(consumed <= text.len);
    }
    http_parser_release(&parser);
    buffer_release(&text);
}

static void check_url(struct slice text, enum export_url kind)
{
    struct export_endpoint endpoint;
    struct error error = {0};
    char url[2048];
    if (export_endpoint_parse(text, kind, &endpoint, &error) != ERROR_NONE) {
        MUST(error.message[0] != '\0');
        return;
    }
    MUST(endpoint.path[0] == '/' && endpoint.port > 0 && endpoint.host[0] != '\0');
    export_endpoint_format(&endpoint, url, sizeof url);
    check_request(slice_from_string(endpoint.path), slice_from_string(endpoint.host_header), NULL,
                  0);
}

static void check_lists(struct slice text, struct arena *arena)
{
    struct http_header *headers;
    struct attribute *items;
    size_t count;
    struct error error = {0};
    if (export_headers_parse(text, arena, &headers, &count, &error) == ERROR_NONE) {
        for (size_t i = 0; i < count; i++) {
            MUST(headers[i].name.len > 0);
            MUST(slice_find(headers[i].value, SLICE("\r")) < 0);
            MUST(slice_find(headers[i].value, SLICE("\n")) < 0);
        }
        check_request(SLICE("/"), SLICE("h"), headers, count);
    }
    if (export_resource_parse(text, arena, &items, &count, &error) == ERROR_NONE) {
        for (size_t i = 0; i < count; i++)
            MUST(items[i].key[0] != '\0');
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct arena arena;
    arena_init(&arena, 1024);
    check_url(fuzz_slice(data, size), EXPORT_URL_BASE);
    check_url(fuzz_slice(data, size), EXPORT_URL_WHOLE);
    check_url(fuzz_slice(data, size), EXPORT_URL_EITHER);
    check_url(fuzz_slice(data, size), EXPORT_URL_GRPC);
    check_lists(fuzz_slice(data, size), &arena);
    arena_release(&arena);
    return 0;
}
