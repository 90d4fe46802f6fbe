// OTLP protobuf → OTLP JSON: each rule of the mapping, and input that is damaged.
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
#include "ghatrace/base/utf8.h"
#include "ghatrace/json/read.h"
#include "ghatrace/otlp/encode.h"
#include "ghatrace/otlp/json.h"
#include "support/otlp_sample.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

// In memory of exactly its size, so that AddressSanitizer sees a read past the end.
static enum error_code transcode(struct slice request, struct buffer *out, struct error *error)
{
    char *exact = malloc(request.len > 0 ? request.len : 1);
    assert_non_null(exact);
    if (request.len > 0)
        memcpy(exact, request.data, request.len);
    enum error_code code = otlp_json_from_protobuf((struct slice){exact, request.len}, out, error);
    free(exact);
    return code;
}

static void assert_text(const struct buffer *text, const char *expected)
{
    char *copy = memory_copy_string(text->data, text->len);
    assert_non_null(copy);
    assert_string_equal(copy, expected);
    memory_free(copy);
}

// Puts `message` into messages with these field numbers, innermost first, ending with 0.
static void wrap(struct slice message, const uint32_t *numbers, struct wire_writer *writer)
{
    wire_writer_init(writer, 1 << 20);
    wire_put_bytes(writer, numbers[0], message);
    for (size_t i = 1; numbers[i] != 0; i++)
        wire_put_message(writer, numbers[i], 0);
    assert_int_equal(writer->failure, ERROR_NONE);
}

static void assert_transcodes(const char *hex, const uint32_t *numbers, const char *before,
                              const char *json, const char *after)
{
    struct buffer message, out, expected;
    struct wire_writer writer;
    struct error error = {.message = ""};
    buffer_init(&message, 1 << 20);
    buffer_init(&out, 1 << 20);
    buffer_init(&expected, 1 << 20);
    append_hex(&message, hex);
    wrap(buffer_slice(&message), numbers, &writer);
    enum error_code code = transcode(wire_writer_slice(&writer), &out, &error);
    if (code != ERROR_NONE)
        fail_msg("%s: %s", hex, error.message);
    assert_int_equal(buffer_append_format(&expected, "%s%s%s", before, json, after), 0);
    assert_int_equal(buffer_append(&expected, "", 1), 0);
    assert_text(&out, expected.data);
    wire_writer_release(&writer);
    buffer_release(&expected);
    buffer_release(&out);
    buffer_release(&message);
}

// The content of an AnyValue, in hex, and its JSON.
static void assert_value(const char *hex, const char *json)
{
    static const uint32_t numbers[] = {KEY_VALUE_VALUE, RESOURCE_ATTRIBUTES,
                                       RESOURCE_SPANS_RESOURCE, REQUEST_RESOURCE_SPANS, 0};
    assert_transcodes(hex, numbers,
                      "{\"resourceSpans\":[{\"resource\":{\"attributes\":[{\"value\":", json,
                      "}]}}]}");
}

static void assert_span(const char *hex, const char *json)
{
    static const uint32_t numbers[] = {SCOPE_SPANS_SPANS, RESOURCE_SPANS_SCOPE_SPANS,
                                       REQUEST_RESOURCE_SPANS, 0};
    assert_transcodes(hex, numbers, "{\"resourceSpans\":[{\"scopeSpans\":[{\"spans\":[", json,
                      "]}]}]}");
}

// --- the mapping ----------------------------------------------------------------------------------

static void each_member_of_a_value_has_its_form(void **state)
{
    static const struct {
        const char *hex, *json;
    } cases[] = {
        {"", "{}"},
        {"0a 00", "{\"stringValue\":\"\"}"},
        {"0a 02 6869", "{\"stringValue\":\"hi\"}"},
        {"10 00", "{\"boolValue\":false}"},
        {"10 01", "{\"boolValue\":true}"},
        {"10 ffffffffffffffffff01", "{\"boolValue\":true}"},
        {"18 00", "{\"intValue\":\"0\"}"},
        {"18 d1fca7cc7d", "{\"intValue\":\"33714470481\"}"},
        {"18 ffffffffffffffffff01", "{\"intValue\":\"-1\"}"},
        {"18 80808080808080808001", "{\"intValue\":\"-9223372036854775808\"}"},
        {"18 ffffffffffffffff7f", "{\"intValue\":\"9223372036854775807\"}"},
        {"2a 00", "{\"arrayValue\":{}}"},
        {"2a 02 0a 00", "{\"arrayValue\":{\"values\":[{}]}}"},
        {"2a 0a 0a 03 0a 01 78 0a 03 18 ac02",
         "{\"arrayValue\":{\"values\":[{\"stringValue\":\"x\"},{\"intValue\":\"300\"}]}}"},
        {"32 0a 0a 08 0a 01 6b 12 03 0a 01 76",
         "{\"kvlistValue\":{\"values\":[{\"key\":\"k\",\"value\":{\"stringValue\":\"v\"}}]}}"},
        {"3a 00", "{\"bytesValue\":\"\"}"},
        {"3a 01 66", "{\"bytesValue\":\"Zg==\"}"}, // RFC 4648, section 10
        {"3a 02 666f", "{\"bytesValue\":\"Zm8=\"}"},
        {"3a 03 666f6f", "{\"bytesValue\":\"Zm9v\"}"},
        {"3a 06 666f6f626172", "{\"bytesValue\":\"Zm9vYmFy\"}"},
        {"3a 03 fbffbf", "{\"bytesValue\":\"+/+/\"}"},
        {"3a 03 000000", "{\"bytesValue\":\"AAAA\"}"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        assert_value(cases[i].hex, cases[i].json);
}

static void doubles_round_trip(void **state)
{
    static const struct {
        double value;
        const char *json;
    } cases[] = {
        {0.0, "0"},
        {-0.0, "-0"},
        {1.0, "1"},
        {0.1, "0.1"},
        {-2.5, "-2.5"},
        {1.0 / 3.0, "0.3333333333333333"},
        {0.1 + 0.2, "0.30000000000000004"},
        {1e300, "1e+300"},
        {5e-324, "4.94065645841247e-324"},
        {1.7976931348623157e308, "1.7976931348623157e+308"},
        {(double)__builtin_inf(), "\"Infinity\""},
        {-(double)__builtin_inf(), "\"-Infinity\""},
        {(double)__builtin_nan(""), "\"NaN\""},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        char hex[64] = "21 ", json[64];
        uint64_t bits;
        memcpy(&bits, &cases[i].value, sizeof(bits));
        for (unsigned byte = 0; byte < 8; byte++)
            (void)snprintf(hex + 3 + 2 * byte, 3, "%02x", (unsigned)(bits >> (8 * byte) & 0xff));
        (void)snprintf(json, sizeof(json), "{\"doubleValue\":%s}", cases[i].json);
        assert_value(hex, json);
    }
}

static void strings_are_escaped(void **state)
{
    static const struct {
        const char *hex, *json;
    } cases[] = {
        {"0a 01 22", "\\\""},
        {"0a 01 5c", "\\\\"},
        {"0a 02 5c22", "\\\\\\\""},
        {"0a 01 2f", "/"},
        {"0a 05 08090a0c0d", "\\b\\t\\n\\f\\r"},
        {"0a 04 00011f1b", "\\u0000\\u0001\\u001f\\u001b"},
        {"0a 01 7f", "\\u007f"},
        {"0a 02 c3a4", "\xc3\xa4"},
        {"0a 04 f09f9a80", "\xf0\x9f\x9a\x80"},
        {"0a 03 61ff62", "a\xef\xbf\xbd"
                         "b"},
        {"0a 03 eda080", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
        {"0a 02 61c3", "a\xef\xbf\xbd"},
        {"0a 03 c322c3", "\xef\xbf\xbd\\\"\xef\xbf\xbd"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        char json[128];
        (void)snprintf(json, sizeof(json), "{\"stringValue\":\"%s\"}", cases[i].json);
        assert_value(cases[i].hex, json);
    }
}

static void each_field_of_a_span_has_its_form(void **state)
{
    static const struct {
        const char *hex, *json;
    } cases[] = {
        {"", "{}"},
        {"0a 10 000102030405060708090a0b0c0d0eff",
         "{\"traceId\":\"000102030405060708090a0b0c0d0eff\"}"},
        {"12 08 fedcba9876543210", "{\"spanId\":\"fedcba9876543210\"}"},
        {"12 00", "{\"spanId\":\"\"}"},
        {"1a 03 613d62", "{\"traceState\":\"a=b\"}"},
        {"22 08 0000000000000001", "{\"parentSpanId\":\"0000000000000001\"}"},
        {"2a 01 61", "{\"name\":\"a\"}"},
        {"30 02", "{\"kind\":2}"},
        {"30 63", "{\"kind\":99}"},
        {"30 ffffffffffffffffff01", "{\"kind\":-1}"},
        {"39 402a06abcaa96118", "{\"startTimeUnixNano\":\"1756872017569000000\"}"},
        {"41 ffffffffffffffff", "{\"endTimeUnixNano\":\"18446744073709551615\"}"},
        {"50 05", "{\"droppedAttributesCount\":5}"},
        {"50 ffffffff0f", "{\"droppedAttributesCount\":4294967295}"},
        {"60 06", "{\"droppedEventsCount\":6}"},
        {"70 07", "{\"droppedLinksCount\":7}"},
        {"7a 06 12 02 6e6f 18 02", "{\"status\":{\"message\":\"no\",\"code\":2}}"},
        {"8501 01010000", "{\"flags\":257}"},
        {"8501 ffffffff", "{\"flags\":4294967295}"},
        {"5a 0e 09 0100000000000000 12 01 65 20 01",
         "{\"events\":[{\"timeUnixNano\":\"1\",\"name\":\"e\",\"droppedAttributesCount\":1}]}"},
        {"6a 0a 0a 01 aa 12 00 35 01010000",
         "{\"links\":[{\"traceId\":\"aa\",\"spanId\":\"\",\"flags\":257}]}"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        assert_span(cases[i].hex, cases[i].json);
}

static void fields_are_in_the_order_of_the_schema(void **state)
{
    (void)state;
    assert_span("8501 01010000 2a 01 61 12 00", "{\"spanId\":\"\",\"name\":\"a\",\"flags\":257}");
}

static void scattered_elements_make_one_array(void **state)
{
    (void)state;
    assert_span("4a 03 0a 01 61 2a 01 6e 4a 03 0a 01 62 30 01 4a 00",
                "{\"name\":\"n\",\"kind\":1,\"attributes\":[{\"key\":\"a\"},{\"key\":\"b\"},{}]}");
}

static void of_repeated_singular_fields_the_last_counts(void **state)
{
    (void)state;
    assert_span("2a 01 61 2a 01 62", "{\"name\":\"b\"}");
    assert_value("0a 01 61 18 05", "{\"intValue\":\"5\"}");
    assert_value("18 05 0a 01 61", "{\"stringValue\":\"a\"}");
    assert_value("2a 02 0a 00 10 01", "{\"boolValue\":true}");
}

static void unknown_fields_are_left_out(void **state)
{
    (void)state;
    assert_span("98 06 01 2a 01 61 a2 06 02 ffff a9 06 0000000000000000 ad 06 00000000",
                "{\"name\":\"a\"}");
    // Known, but of another type than in the schema.
    assert_span("28 01 32 01 61 3a 00 10 00", "{}");
}

static void an_empty_request_is_an_empty_object(void **state)
{
    struct buffer out;
    (void)state;
    buffer_init(&out, 100);
    assert_int_equal(otlp_json_from_protobuf(SLICE_EMPTY, &out, NULL), ERROR_NONE);
    assert_text(&out, "{}");
    buffer_release(&out);
}

static void joined_records_are_one_request(void **state)
{
    struct buffer out;
    (void)state;
    buffer_init(&out, 100);
    assert_int_equal(transcode(SLICE("\x0a\x00\x0a\x03\x1a\x01u\x0a\x00"), &out, NULL), 0);
    assert_text(&out, "{\"resourceSpans\":[{},{\"schemaUrl\":\"u\"},{}]}");
    buffer_release(&out);
}

// --- damage and limits ----------------------------------------------------------------------------

// Values in arrays: each level is an AnyValue and an ArrayValue.
static enum error_code transcode_nested(size_t arrays, struct buffer *out, struct error *error)
{
    struct wire_writer writer;
    wire_writer_init(&writer, 1 << 20);
    for (size_t i = 0; i < arrays; i++) {
        wire_put_message(&writer, ARRAY_VALUES, 0);
        wire_put_message(&writer, ANY_VALUE_ARRAY, 0);
    }
    wire_put_message(&writer, KEY_VALUE_VALUE, 0);
    wire_put_message(&writer, RESOURCE_ATTRIBUTES, 0);
    wire_put_message(&writer, RESOURCE_SPANS_RESOURCE, 0);
    wire_put_message(&writer, REQUEST_RESOURCE_SPANS, 0);
    assert_int_equal(writer.failure, ERROR_NONE);
    enum error_code code = transcode(wire_writer_slice(&writer), out, error);
    wire_writer_release(&writer);
    return code;
}

static void the_depth_of_nesting_is_limited(void **state)
{
    struct buffer out;
    struct error error;
    (void)state;
    buffer_init(&out, 1 << 20);
    assert_int_equal(transcode_nested(14, &out, &error), ERROR_NONE);
    buffer_clear(&out);
    assert_int_equal(transcode_nested(15, &out, &error), ERROR_CORRUPT);
    assert_non_null(strstr(error.message, "nested too deep"));
    assert_int_equal(out.len, 0);
    assert_int_equal(transcode_nested(10000, &out, &error), ERROR_CORRUPT);
    buffer_release(&out);
}

static void sample(struct buffer *out)
{
    struct span_batch batch;
    otlp_sample_batch(&batch);
    buffer_init(out, 1 << 20);
    assert_int_equal(otlp_encode_batch(&batch, out, NULL), ERROR_NONE);
}

static void assert_is_json(struct slice text)
{
    struct arena arena;
    struct json_document document;
    struct error error = {.message = ""};
    arena_init(&arena, 4096);
    assert_true(utf8_is_valid(text));
    if (json_parse(text, &arena, &document, &error) != ERROR_NONE)
        fail_msg("%s: %.*s", error.message, SLICE_ARGS(text));
    arena_release(&arena);
}

static void a_cut_request_is_damaged_unless_cut_between_records(void **state)
{
    struct buffer request, out;
    (void)state;
    sample(&request);
    size_t record = request.len;
    struct slice bytes = buffer_slice(&request);
    char *copy = memory_copy_string(bytes.data, bytes.len);
    assert_non_null(copy);
    assert_int_equal(buffer_append(&request, copy, record), ERROR_NONE);
    memory_free(copy);
    buffer_init(&out, 1 << 20);
    for (size_t len = 0; len <= request.len; len++) {
        struct error error = {.code = ERROR_NONE};
        buffer_clear(&out);
        enum error_code code = transcode((struct slice){request.data, len}, &out, &error);
        bool is_whole = len % record == 0;
        assert_int_equal(code, is_whole ? ERROR_NONE : ERROR_CORRUPT);
        assert_int_equal(error.code, code);
        if (is_whole)
            assert_is_json(buffer_slice(&out));
        else
            assert_int_equal(out.len, 0);
    }
    buffer_release(&out);
    buffer_release(&request);
}

static void any_damaged_byte_gives_json_or_an_error(void **state)
{
    static const uint8_t flips[] = {0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0xff, 0x7f};
    struct buffer request, out;
    size_t refused = 0;
    (void)state;
    sample(&request);
    buffer_init(&out, 1 << 20);
    for (size_t i = 0; i < request.len * COUNT(flips); i++) {
        char *byte = &request.data[i / COUNT(flips)];
        char before = *byte;
        *byte = (char)(before ^ flips[i % COUNT(flips)]);
        buffer_clear(&out);
        enum error_code code = transcode(buffer_slice(&request), &out, NULL);
        if (code == ERROR_NONE)
            assert_is_json(buffer_slice(&out));
        else
            assert_int_equal(code, ERROR_CORRUPT);
        refused += code != ERROR_NONE;
        *byte = before;
    }
    assert_true(refused > 0);
    buffer_release(&out);
    buffer_release(&request);
}

static void random_bytes_are_not_a_request(void **state)
{
    uint32_t random = 7;
    struct buffer out;
    (void)state;
    buffer_init(&out, 1 << 20);
    for (int round = 0; round < 5000; round++) {
        char noise[64];
        for (size_t i = 0; i < sizeof(noise); i++) {
            random = random * 1664525u + 1013904223u;
            noise[i] = (char)(random >> 24);
        }
        // Makes some of it look like a record.
        noise[0] = 0x0a;
        noise[1] = (char)(random >> 25 & 0x3f);
        buffer_clear(&out);
        if (transcode((struct slice){noise, random >> 26}, &out, NULL) == ERROR_NONE)
            assert_is_json(buffer_slice(&out));
    }
    buffer_release(&out);
}

static void the_message_names_the_damaged_part(void **state)
{
    struct buffer out;
    struct error error;
    (void)state;
    buffer_init(&out, 1000);
    assert_int_equal(transcode(SLICE("\x0a\x02\x12\x05"), &out, &error), ERROR_CORRUPT);
    assert_string_equal(error.message, "resource spans: cut short, or not protobuf");
    assert_int_equal(transcode(SLICE("\x0a\x02\x12\x05"), &out, NULL), ERROR_CORRUPT);
    buffer_release(&out);
}

static void a_full_buffer_is_reported_and_unchanged(void **state)
{
    struct buffer request, whole;
    (void)state;
    sample(&request);
    buffer_init(&whole, 1 << 20);
    assert_int_equal(otlp_json_from_protobuf(buffer_slice(&request), &whole, NULL), ERROR_NONE);
    for (size_t max = 3; max <= whole.len + 3; max++) {
        struct buffer out;
        struct error error;
        buffer_init(&out, max);
        assert_int_equal(buffer_append_string(&out, "pre"), ERROR_NONE);
        enum error_code code = otlp_json_from_protobuf(buffer_slice(&request), &out, &error);
        assert_int_equal(code, max == whole.len + 3 ? ERROR_NONE : ERROR_TOO_LARGE);
        if (code != ERROR_NONE)
            assert_int_equal(error.code, ERROR_TOO_LARGE);
        assert_int_equal(out.len, code == ERROR_NONE ? max : 3);
        assert_memory_equal(out.data, "pre", 3);
        buffer_release(&out);
    }
    buffer_release(&whole);
    buffer_release(&request);
}

static void any_refused_allocation_is_reported_and_nothing_leaks(void **state)
{
    struct buffer request;
    long allocations = 0;
    (void)state;
    sample(&request);
    for (;; allocations++) {
        struct buffer out;
        struct error error;
        buffer_init(&out, 1 << 20);
        memory_fail_after(allocations);
        enum error_code code = otlp_json_from_protobuf(buffer_slice(&request), &out, &error);
        memory_fail_after(-1);
        if (code != ERROR_NONE)
            assert_int_equal(out.len, 0);
        buffer_release(&out);
        if (code == ERROR_NONE)
            break;
        assert_int_equal(code, ERROR_MEMORY);
        assert_int_equal(error.code, ERROR_MEMORY);
    }
    assert_true(allocations > 2);
    buffer_release(&request);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_member_of_a_value_has_its_form),
        cmocka_unit_test(doubles_round_trip),
        cmocka_unit_test(strings_are_escaped),
        cmocka_unit_test(each_field_of_a_span_has_its_form),
        cmocka_unit_test(fields_are_in_the_order_of_the_schema),
        cmocka_unit_test(scattered_elements_make_one_array),
        cmocka_unit_test(of_repeated_singular_fields_the_last_counts),
        cmocka_unit_test(unknown_fields_are_left_out),
        cmocka_unit_test(an_empty_request_is_an_empty_object),
        cmocka_unit_test(joined_records_are_one_request),
        cmocka_unit_test(the_depth_of_nesting_is_limited),
        cmocka_unit_test(a_cut_request_is_damaged_unless_cut_between_records),
        cmocka_unit_test(any_damaged_byte_gives_json_or_an_error),
        cmocka_unit_test(random_bytes_are_not_a_request),
        cmocka_unit_test(the_message_names_the_damaged_part),
        cmocka_unit_test(a_full_buffer_is_reported_and_unchanged),
        cmocka_unit_test(any_refused_allocation_is_reported_and_nothing_leaks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
