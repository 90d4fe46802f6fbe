// OTLP JSON → OTLP protobuf: each rule of the mapping, and what is refused.
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../../src/otlp/wire.h"
#include "ghatrace/base/memory.h"
#include "ghatrace/otlp/encode.h"
#include "ghatrace/otlp/json.h"
#include "ghatrace/otlp/request.h"
#include "record.h"
#include "support/otlp_sample.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

// In memory of exactly its size, so that AddressSanitizer sees a read past the end.
static enum error_code convert(struct slice json, struct arena *arena, struct slice *request,
                               struct error *error)
{
    char *exact = malloc(json.len > 0 ? json.len : 1);
    assert_non_null(exact);
    memcpy(exact, json.data, json.len);
    enum error_code code =
        otlp_protobuf_from_json((struct slice){exact, json.len}, arena, request, error);
    free(exact);
    return code;
}

#define BEFORE_SPAN "{\"resourceSpans\":[{\"scopeSpans\":[{\"spans\":["
#define AFTER_SPAN "]}]}]}"
#define BEFORE_VALUE BEFORE_SPAN "{\"attributes\":[{\"value\":"
#define AFTER_VALUE "}]}" AFTER_SPAN

static struct slice put_together(const char *before, const char *json, const char *after,
                                 char text[512])
{
    int len = snprintf(text, 512, "%s%s%s", before, json, after);
    assert_in_range(len, 1, 511);
    return (struct slice){text, (size_t)len};
}

static struct slice span_in(struct slice request)
{
    struct slice resource_spans = inside(request, REQUEST_RESOURCE_SPANS);
    return inside(inside(resource_spans, RESOURCE_SPANS_SCOPE_SPANS), SCOPE_SPANS_SPANS);
}

static void assert_span(const char *json, const char *hex)
{
    struct arena arena;
    struct slice request;
    struct error error = {.message = ""};
    char text[512];
    arena_init(&arena, 256);
    if (convert(put_together(BEFORE_SPAN, json, AFTER_SPAN, text), &arena, &request, &error) !=
        ERROR_NONE)
        fail_msg("%s: %s", json, error.message);
    assert_hex(span_in(request), hex);
    arena_release(&arena);
}

static void assert_value(const char *json, const char *hex)
{
    struct arena arena;
    struct slice request;
    struct error error = {.message = ""};
    char text[512];
    arena_init(&arena, 256);
    if (convert(put_together(BEFORE_VALUE, json, AFTER_VALUE, text), &arena, &request, &error) !=
        ERROR_NONE)
        fail_msg("%s: %s", json, error.message);
    assert_hex(inside(inside(span_in(request), SPAN_ATTRIBUTES), KEY_VALUE_VALUE), hex);
    arena_release(&arena);
}

static void assert_refused(struct slice json, const char *message)
{
    struct arena arena;
    struct slice request = SLICE("x");
    struct error error = {.message = ""};
    arena_init(&arena, 256);
    assert_int_equal(convert(json, &arena, &request, &error), ERROR_CORRUPT);
    assert_int_equal(error.code, ERROR_CORRUPT);
    assert_string_equal(error.message, message);
    assert_int_equal(request.len, 0);
    arena_release(&arena);
}

// --- the mapping ----------------------------------------------------------------------------------

static void each_form_of_a_value_is_read(void **state)
{
    static const struct {
        const char *json, *hex;
    } cases[] = {
        {"{}", ""},
        {"{\"stringValue\":\"\"}", "0a 00"},
        {"{\"stringValue\":\"h\\u00e9\"}", "0a 03 68c3a9"},
        {"{\"stringValue\":\"\\ud800\"}", "0a 03 efbfbd"},
        {"{\"stringValue\":\"\xc3(\"}", "0a 04 efbfbd 28"},
        {"{\"stringValue\":null}", ""},
        {"{\"boolValue\":false}", "10 00"},
        {"{\"boolValue\":true}", "10 01"},
        {"{\"intValue\":\"-1\"}", "18 ffffffffffffffffff01"},
        {"{\"intValue\":-1}", "18 ffffffffffffffffff01"},
        {"{\"intValue\":1.2e1}", "18 0c"},
        {"{\"intValue\":\"9223372036854775807\"}", "18 ffffffffffffffff7f"},
        {"{\"intValue\":9223372036854775807}", "18 ffffffffffffffff7f"},
        {"{\"doubleValue\":1}", "21 000000000000f03f"},
        {"{\"doubleValue\":\"-2.5\"}", "21 00000000000004c0"},
        {"{\"doubleValue\":-0.0}", "21 0000000000000080"},
        {"{\"doubleValue\":\"NaN\"}", "21 000000000000f87f"},
        {"{\"doubleValue\":\"-Infinity\"}", "21 000000000000f0ff"},
        {"{\"arrayValue\":{\"values\":[{\"intValue\":1},{}]}}", "2a 06 0a 02 18 01 0a 00"},
        {"{\"arrayValue\":{\"values\":[]}}", "2a 00"},
        {"{\"kvlistValue\":{\"values\":[{\"key\":\"k\"}]}}", "32 05 0a 03 0a 01 6b"},
        {"{\"bytesValue\":\"\"}", "3a 00"},
        {"{\"bytesValue\":\"+/+/\"}", "3a 03 fbffbf"},
        {"{\"bytesValue\":\"-_-_\"}", "3a 03 fbffbf"},
        {"{\"bytesValue\":\"Zg\"}", "3a 01 66"},
        {"{\"bytesValue\":\"Zg==\"}", "3a 01 66"},
        {"{\"intValue\":1,\"boolValue\":true}", "18 01 10 01"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        assert_value(cases[i].json, cases[i].hex);
}

static void each_field_of_a_span_is_read(void **state)
{
    static const struct {
        const char *json, *hex;
    } cases[] = {
        {"{}", ""},
        {"{\"traceId\":\"5B8EFFF798038103d269b633813fc60c\"}",
         "0a 10 5b8efff798038103d269b633813fc60c"},
        {"{\"spanId\":\"\"}", "12 00"},
        {"{\"parentSpanId\":\"eee19b7ec3c1b173\"}", "22 08 eee19b7ec3c1b173"},
        {"{\"name\":\"n\",\"kind\":2}", "2a 01 6e 30 02"},
        {"{\"kind\":-1}", "30 ffffffffffffffffff01"},
        {"{\"kind\":2147483647}", "30 ffffffff07"},
        {"{\"kind\":-2147483648}", "30 80808080f8ffffffff01"},
        {"{\"startTimeUnixNano\":\"1544712660000000000\"}", "39 004859e3faeb6f15"},
        {"{\"startTimeUnixNano\":1544712660000000000}", "39 004859e3faeb6f15"},
        {"{\"endTimeUnixNano\":\"18446744073709551615\"}", "41 ffffffffffffffff"},
        {"{\"endTimeUnixNano\":18446744073709551615}", "41 ffffffffffffffff"},
        {"{\"droppedAttributesCount\":4294967295}", "50 ffffffff0f"},
        {"{\"droppedAttributesCount\":\"1\"}", "50 01"},
        {"{\"events\":[{\"name\":\"e\"},{}]}", "5a 03 12 01 65 5a 00"},
        {"{\"flags\":257}", "85 01 01010000"},
        {"{\"status\":{\"code\":2,\"message\":\"m\"}}", "7a 05 18 02 12 01 6d"},
        {"{\"status\":null,\"links\":null,\"name\":null}", ""},
        // Unknown, since names are lowerCamelCase and case matters.
        {"{\"trace_id\":\"5b8efff798038103d269b633813fc60c\",\"Name\":1,\"new\":[{}]}", ""},
        // The last of several counts: both are written.
        {"{\"name\":\"a\",\"name\":\"b\"}", "2a 01 61 2a 01 62"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        assert_span(cases[i].json, cases[i].hex);
}

static void an_empty_request_is_read(void **state)
{
    const struct slice texts[] = {SLICE("{}"), SLICE(" { \"resourceSpans\" : null } "),
                                  SLICE("{\"resourceSpans\":[]}"), SLICE("{\"other\":1}")};
    (void)state;
    for (size_t i = 0; i < COUNT(texts); i++) {
        struct arena arena;
        struct slice request;
        struct error error;
        arena_init(&arena, 256);
        assert_int_equal(convert(texts[i], &arena, &request, &error), ERROR_NONE);
        assert_int_equal(request.len, 0);
        arena_release(&arena);
    }
}

static void entities_of_a_resource_are_read(void **state)
{
    struct slice json = SLICE(
        "{\"resourceSpans\":[{\"resource\":{\"entityRefs\":[{\"schemaUrl\":\"u\",\"type\":\"t\","
        "\"idKeys\":[\"a\",\"b\"],\"descriptionKeys\":[\"c\"]}]}}]}");
    struct arena arena;
    struct slice request;
    struct buffer back;
    struct error error;
    (void)state;
    arena_init(&arena, 256);
    buffer_init(&back, 1 << 10);
    assert_int_equal(convert(json, &arena, &request, &error), ERROR_NONE);
    assert_hex(inside(inside(request, REQUEST_RESOURCE_SPANS), RESOURCE_SPANS_RESOURCE),
               "1a 0f 0a 01 75 12 01 74 1a 01 61 1a 01 62 22 01 63");
    assert_int_equal(otlp_json_from_protobuf(request, &back, &error), ERROR_NONE);
    assert_true(slice_equals(buffer_slice(&back), json));
    buffer_release(&back);
    arena_release(&arena);
}

// --- what is refused ------------------------------------------------------------------------------

static void values_of_other_types_are_refused(void **state)
{
    static const struct {
        const char *json, *message;
    } cases[] = {
        {"1", "span: message: not an object"},
        {"null", "span: message: not an object"},
        {"{\"name\":1}", "span: name: not a valid value"},
        {"{\"traceId\":\"0g\"}", "span: traceId: not a valid value"},
        {"{\"traceId\":\"012\"}", "span: traceId: not a valid value"},
        {"{\"traceId\":12}", "span: traceId: not a valid value"},
        {"{\"kind\":\"SPAN_KIND_SERVER\"}", "span: kind: not a valid value"},
        {"{\"kind\":\"2\"}", "span: kind: not a valid value"},
        {"{\"kind\":2147483648}", "span: kind: not a valid value"},
        {"{\"kind\":-2147483649}", "span: kind: not a valid value"},
        {"{\"startTimeUnixNano\":-1}", "span: startTimeUnixNano: not a valid value"},
        {"{\"startTimeUnixNano\":\"\"}", "span: startTimeUnixNano: not a valid value"},
        {"{\"startTimeUnixNano\":\"18446744073709551616\"}",
         "span: startTimeUnixNano: not a valid value"},
        {"{\"startTimeUnixNano\":1.5}", "span: startTimeUnixNano: not a valid value"},
        {"{\"flags\":4294967296}", "span: flags: not a valid value"},
        {"{\"flags\":-1}", "span: flags: not a valid value"},
        {"{\"attributes\":{}}", "span: attributes: not an array"},
        {"{\"events\":[null]}", "event: message: not an object"},
        {"{\"attributes\":[{\"value\":{\"intValue\":9223372036854775808}}]}",
         "attribute value: intValue: not a valid value"},
        {"{\"attributes\":[{\"value\":{\"boolValue\":\"true\"}}]}",
         "attribute value: boolValue: not a valid value"},
        {"{\"attributes\":[{\"value\":{\"bytesValue\":\"Z\"}}]}",
         "attribute value: bytesValue: not a valid value"},
        {"{\"attributes\":[{\"value\":{\"doubleValue\":\"0x1\"}}]}",
         "attribute value: doubleValue: not a valid value"},
        {"{\"attributes\":[{\"value\":{\"doubleValue\":\"inf\"}}]}",
         "attribute value: doubleValue: not a valid value"},
        {"{\"attributes\":[{\"value\":{\"doubleValue\":1e400}}]}",
         "attribute value: doubleValue: not a valid value"},
        {"{\"attributes\":[{\"value\":{\"doubleValue\":\"\"}}]}",
         "attribute value: doubleValue: not a valid value"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        char text[512];
        assert_refused(put_together(BEFORE_SPAN, cases[i].json, AFTER_SPAN, text),
                       cases[i].message);
    }
}

static void what_is_no_json_is_refused(void **state)
{
    (void)state;
    assert_refused(SLICE("[]"), "trace request: message: not an object");
    assert_refused(SLICE("{\"resourceSpans\":,}"), "not JSON: unexpected text at byte 17");
    assert_refused(SLICE("\x0a\x00"), "not JSON: byte 0x00 outside a string at byte 1");
}

static void values_nest_to_a_limit(void **state)
{
    struct buffer text;
    (void)state;
    for (int levels = 14; levels > 12; levels--) {
        struct arena arena;
        struct slice request;
        struct error error = {.message = ""};
        arena_init(&arena, 256);
        buffer_init(&text, 1 << 16);
        assert_int_equal(buffer_append_string(&text, BEFORE_VALUE), 0);
        for (int i = 0; i < levels; i++)
            assert_int_equal(buffer_append_string(&text, "{\"arrayValue\":{\"values\":["), 0);
        assert_int_equal(buffer_append_string(&text, "{}"), 0);
        for (int i = 0; i < levels; i++)
            assert_int_equal(buffer_append_string(&text, "]}}"), 0);
        assert_int_equal(buffer_append_string(&text, AFTER_VALUE), 0);
        enum error_code code = convert(buffer_slice(&text), &arena, &request, &error);
        // The innermost value is at level 5 + 2 * levels.
        assert_int_equal(code, levels == 14 ? ERROR_CORRUPT : ERROR_NONE);
        if (code != ERROR_NONE)
            assert_string_equal(error.message, "attribute value: message: nested too deep");
        buffer_release(&text);
        arena_release(&arena);
    }
}

static void lack_of_memory_is_an_error(void **state)
{
    struct slice json =
        SLICE(BEFORE_SPAN "{\"traceId\":\"0123\",\"name\":\"\\u00e9\",\"attributes\":"
                          "[{\"value\":{\"bytesValue\":\"Zg==\"}},{\"value\":"
                          "{\"doubleValue\":1.5}}]}" AFTER_SPAN);
    enum error_code code = ERROR_MEMORY;
    size_t refused = 0;
    (void)state;
    for (size_t limit = 1; code != ERROR_NONE; limit += 8, refused++) {
        struct arena arena;
        struct slice request;
        struct error error = {.code = ERROR_NONE};
        arena_init(&arena, 1);
        arena_set_limit(&arena, limit);
        code = convert(json, &arena, &request, &error);
        assert_int_equal(error.code, code);
        assert_true(code == ERROR_NONE || code == ERROR_MEMORY);
        arena_release(&arena);
    }
    assert_true(refused > 10);
    memory_fail_after(1);
    struct arena arena;
    struct slice request;
    struct error error;
    arena_init(&arena, 4096);
    assert_int_equal(convert(json, &arena, &request, &error), ERROR_MEMORY); // the writer's
    memory_fail_after(-1);
    arena_release(&arena);
}

// --- both ways ------------------------------------------------------------------------------------

// Protobuf as this program makes it, with fields in ascending order, comes back unchanged.
static void what_was_converted_to_json_comes_back(void **state)
{
    struct span_batch batch;
    struct buffer record, json;
    struct arena arena;
    struct slice request;
    struct error error = {.message = ""};
    (void)state;
    otlp_sample_batch(&batch);
    encode(&batch, &record);
    buffer_init(&json, 1 << 20);
    arena_init(&arena, 4096);
    assert_int_equal(otlp_json_from_protobuf(buffer_slice(&record), &json, &error), ERROR_NONE);
    assert_int_equal(convert(buffer_slice(&json), &arena, &request, &error), ERROR_NONE);
    assert_int_equal(request.len, record.len);
    assert_memory_equal(request.data, record.data, record.len);
    arena_release(&arena);
    buffer_release(&json);
    buffer_release(&record);
}

static void a_request_in_json_is_decoded_like_one_in_protobuf(void **state)
{
    static const struct otlp_request_limits limits = {
        .spans = 2, .attributes = 2, .span_bytes = 200, .resource_bytes = 100};
    struct slice json = SLICE(
        "{\"resourceSpans\":[{\"resource\":{\"attributes\":[{\"key\":\"service.name\",\"value\":{"
        "\"stringValue\":\"tests\"}}]},\"scopeSpans\":[{\"spans\":[{\"traceId\":"
        "\"5b8efff798038103d269b633813fc60c\",\"spanId\":\"eee19b7ec3c1b174\",\"parentSpanId\":"
        "\"eee19b7ec3c1b173\",\"name\":\"n\",\"startTimeUnixNano\":\"5\"},{}]}]}]}");
    struct otlp_request request;
    struct arena arena;
    struct error error = {.message = ""};
    struct slice service;
    (void)state;
    arena_init(&arena, 4096);
    assert_int_equal(otlp_decode_json_request(json, &limits, &arena, &request, &error), ERROR_NONE);
    assert_int_equal(request.span_count, 2);
    assert_int_equal(request.scopes[0].spans[0].fault, OTLP_SPAN_FINE);
    assert_true(request.scopes[0].spans[0].has_parent);
    assert_int_equal(request.scopes[0].spans[0].start, 5);
    assert_int_equal(request.scopes[0].spans[1].fault, OTLP_SPAN_BAD_IDS);
    assert_true(otlp_find_text(request.scopes[0].resource, OTLP_ATTRIBUTE_OF_RESOURCE,
                               SLICE("service.name"), &service));
    assert_true(slice_equals(service, SLICE("tests")));
    assert_int_equal(otlp_decode_json_request(SLICE("{"), &limits, &arena, &request, &error),
                     ERROR_CORRUPT);
    assert_int_equal(request.span_count, 0);
    arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_form_of_a_value_is_read),
        cmocka_unit_test(each_field_of_a_span_is_read),
        cmocka_unit_test(an_empty_request_is_read),
        cmocka_unit_test(entities_of_a_resource_are_read),
        cmocka_unit_test(values_of_other_types_are_refused),
        cmocka_unit_test(what_is_no_json_is_refused),
        cmocka_unit_test(values_nest_to_a_limit),
        cmocka_unit_test(lack_of_memory_is_an_error),
        cmocka_unit_test(what_was_converted_to_json_comes_back),
        cmocka_unit_test(a_request_in_json_is_decoded_like_one_in_protobuf),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
