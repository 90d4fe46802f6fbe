// Export requests of other programs: what is read, what is refused, and what is passed on.
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../../src/otlp/wire.h"
#include "ghatrace/otlp/decode.h"
#include "ghatrace/otlp/request.h"
#include "support/otlp_sample.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const struct otlp_request_limits limits = {
    .spans = 100, .attributes = 4, .span_bytes = 400, .resource_bytes = 200};

// --- messages -------------------------------------------------------------------------------------
// Made of static memory, which is enough for the largest test.

static char memory[1 << 16];
static size_t memory_used;

static int start_anew(void **state)
{
    (void)state;
    memory_used = 0;
    return 0;
}

static struct slice keep(struct slice bytes)
{
    assert_true(bytes.len <= sizeof(memory) - memory_used);
    char *kept = memory + memory_used;
    if (bytes.len > 0)
        memcpy(kept, bytes.data, bytes.len);
    memory_used += bytes.len;
    return (struct slice){kept, bytes.len};
}

static struct slice keep_written(struct wire_writer *writer)
{
    assert_int_equal(writer->failure, ERROR_NONE);
    struct slice kept = keep(wire_writer_slice(writer));
    wire_writer_release(writer);
    return kept;
}

static struct slice of_bytes(uint32_t number, struct slice bytes)
{
    struct wire_writer writer;
    wire_writer_init(&writer, 1 << 16);
    wire_put_bytes(&writer, number, bytes);
    return keep_written(&writer);
}

static struct slice of_text(uint32_t number, const char *text)
{
    return of_bytes(number, slice_from_string(text));
}

static struct slice of_varint(uint32_t number, uint64_t value)
{
    struct wire_writer writer;
    wire_writer_init(&writer, 64);
    wire_put_varint(&writer, number, value);
    return keep_written(&writer);
}

static struct slice of_time(uint32_t number, uint64_t value)
{
    struct wire_writer writer;
    wire_writer_init(&writer, 64);
    wire_put_fixed64(&writer, number, value);
    return keep_written(&writer);
}

// One after the other.
static struct slice join_all(const struct slice *parts, size_t count)
{
    size_t start = memory_used;
    for (size_t i = 0; i < count; i++)
        (void)keep(parts[i]);
    return (struct slice){memory + start, memory_used - start};
}
#define JOIN(...)                                                                                  \
    join_all((const struct slice[]){__VA_ARGS__}, COUNT(((const struct slice[]){__VA_ARGS__})))

static struct slice attribute(uint32_t number, const char *key, struct slice value)
{
    return of_bytes(number, JOIN(of_text(KEY_VALUE_KEY, key), of_bytes(KEY_VALUE_VALUE, value)));
}

#define TRACE_ID SLICE("0123456789abcdef")
#define SPAN_ID SLICE("01234567")

static struct slice ids(void)
{
    return JOIN(of_bytes(SPAN_TRACE_ID, TRACE_ID), of_bytes(SPAN_SPAN_ID, SPAN_ID));
}

static struct slice span_of(struct slice content)
{
    return of_bytes(SCOPE_SPANS_SPANS, JOIN(ids(), content));
}

static struct slice request_of(struct slice resource_spans)
{
    return of_bytes(REQUEST_RESOURCE_SPANS, resource_spans);
}

static struct slice scope_of(struct slice scope_spans)
{
    return of_bytes(RESOURCE_SPANS_SCOPE_SPANS, scope_spans);
}

// --- decoding -------------------------------------------------------------------------------------

struct decoded {
    char *body; // of exactly its size, so that AddressSanitizer sees a read past the end
    struct arena arena;
    struct otlp_request request;
    struct error error;
    enum error_code code;
};

static void decode(struct decoded *decoded, struct slice body)
{
    *decoded = (struct decoded){.body = malloc(body.len > 0 ? body.len : 1)};
    assert_non_null(decoded->body);
    if (body.len > 0)
        memcpy(decoded->body, body.data, body.len);
    arena_init(&decoded->arena, 1024);
    decoded->code = otlp_decode_request((struct slice){decoded->body, body.len}, &limits,
                                        &decoded->arena, &decoded->request, &decoded->error);
}

static void release(struct decoded *decoded)
{
    arena_release(&decoded->arena);
    free(decoded->body);
}

static void assert_slice(struct slice actual, struct slice expected)
{
    assert_int_equal(actual.len, expected.len);
    assert_true(slice_equals(actual, expected));
}

static void assert_corrupt(struct slice body, const char *message)
{
    struct decoded decoded;
    decode(&decoded, body);
    assert_int_equal(decoded.code, ERROR_CORRUPT);
    assert_string_equal(decoded.error.message, message);
    assert_int_equal(decoded.request.scope_count, 0);
    assert_int_equal(decoded.request.span_count, 0);
    release(&decoded);
}

// The fault of the only span.
static enum otlp_span_fault fault_in(struct slice body)
{
    struct decoded decoded;
    decode(&decoded, body);
    if (decoded.code != ERROR_NONE)
        fail_msg("%s", decoded.error.message);
    assert_int_equal(decoded.request.span_count, 1);
    enum otlp_span_fault fault = decoded.request.scopes[0].spans[0].fault;
    release(&decoded);
    return fault;
}

static enum otlp_span_fault fault_of_span(struct slice content)
{
    return fault_in(request_of(scope_of(of_bytes(SCOPE_SPANS_SPANS, content))));
}

// --- what is read ---------------------------------------------------------------------------------

static void a_span_is_read_as_it_was_sent(void **state)
{
    struct slice content =
        JOIN(ids(), of_bytes(SPAN_PARENT_SPAN_ID, SLICE("76543210")), of_text(SPAN_NAME, "test"),
             of_time(SPAN_START_TIME, 5), of_time(SPAN_END_TIME, 3), of_varint(1000, 7),
             attribute(SPAN_ATTRIBUTES, "key", of_text(ANY_VALUE_STRING, "value")));
    struct slice resource =
        attribute(RESOURCE_ATTRIBUTES, "service.name", of_text(ANY_VALUE_STRING, "tests"));
    struct slice scope = of_text(SCOPE_NAME, "library");
    struct slice scope_spans =
        JOIN(of_bytes(SCOPE_SPANS_SPANS, content), of_bytes(SCOPE_SPANS_SCOPE, scope),
             of_text(SCOPE_SPANS_SCHEMA_URL, "inner"));
    struct slice body =
        request_of(JOIN(of_text(RESOURCE_SPANS_SCHEMA_URL, "outer"), scope_of(scope_spans),
                        of_bytes(RESOURCE_SPANS_RESOURCE, resource)));
    struct decoded decoded;
    (void)state;
    decode(&decoded, body);
    assert_int_equal(decoded.code, ERROR_NONE);
    assert_int_equal(decoded.request.span_count, 1);
    assert_int_equal(decoded.request.scope_count, 1);
    const struct otlp_received_scope *read = &decoded.request.scopes[0];
    assert_slice(read->resource, resource);
    assert_slice(read->resource_schema_url, SLICE("outer"));
    assert_slice(read->scope, scope);
    assert_slice(read->scope_schema_url, SLICE("inner"));
    assert_int_equal(read->span_count, 1);
    const struct otlp_received_span *span = &read->spans[0];
    assert_int_equal(span->fault, OTLP_SPAN_FINE);
    assert_memory_equal(span->trace_id.bytes, TRACE_ID.data, TRACE_ID_SIZE);
    assert_memory_equal(span->span_id.bytes, SPAN_ID.data, SPAN_ID_SIZE);
    assert_true(span->has_parent);
    assert_memory_equal(span->parent_id.bytes, "76543210", SPAN_ID_SIZE);
    assert_slice(span->name, SLICE("test"));
    assert_int_equal(span->start, 5);
    assert_int_equal(span->end, 3);
    assert_slice(span->bytes, content);
    release(&decoded);
}

static void a_request_without_spans_is_read(void **state)
{
    const struct slice bodies[] = {
        SLICE_EMPTY,
        request_of(SLICE_EMPTY),
        request_of(scope_of(SLICE_EMPTY)),
        of_text(77, "unknown"),
        request_of(scope_of(of_bytes(SCOPE_SPANS_SCOPE, of_text(SCOPE_NAME, "a")))),
    };
    (void)state;
    for (size_t i = 0; i < COUNT(bodies); i++) {
        struct decoded decoded;
        decode(&decoded, bodies[i]);
        assert_int_equal(decoded.code, ERROR_NONE);
        assert_int_equal(decoded.request.span_count, 0);
        assert_int_equal(decoded.request.scope_count, 0);
        release(&decoded);
    }
}

static void spans_keep_their_order_and_their_scopes(void **state)
{
    struct slice first =
        scope_of(JOIN(of_bytes(SCOPE_SPANS_SCOPE, of_text(SCOPE_NAME, "a")),
                      span_of(of_text(SPAN_NAME, "0")), span_of(of_text(SPAN_NAME, "1"))));
    struct slice second = scope_of(span_of(of_text(SPAN_NAME, "2")));
    struct slice body =
        JOIN(request_of(JOIN(first, scope_of(SLICE_EMPTY), second)), request_of(SLICE_EMPTY),
             request_of(scope_of(span_of(of_text(SPAN_NAME, "3")))));
    struct decoded decoded;
    char expected = '0';
    (void)state;
    decode(&decoded, body);
    assert_int_equal(decoded.code, ERROR_NONE);
    assert_int_equal(decoded.request.span_count, 4);
    assert_int_equal(decoded.request.scope_count, 3);
    for (size_t i = 0; i < decoded.request.scope_count; i++) {
        const struct otlp_received_scope *scope = &decoded.request.scopes[i];
        for (size_t j = 0; j < scope->span_count; j++, expected++)
            assert_slice(scope->spans[j].name, (struct slice){&expected, 1});
    }
    assert_int_equal(expected, '4');
    release(&decoded);
}

static void the_last_of_several_values_counts(void **state)
{
    struct slice content = JOIN(of_text(SPAN_NAME, "first"), of_time(SPAN_START_TIME, 1),
                                of_bytes(SPAN_PARENT_SPAN_ID, SPAN_ID), of_text(SPAN_NAME, "last"),
                                of_time(SPAN_START_TIME, 2), of_text(SPAN_PARENT_SPAN_ID, ""));
    struct decoded decoded;
    (void)state;
    decode(&decoded, request_of(scope_of(span_of(content))));
    assert_int_equal(decoded.code, ERROR_NONE);
    const struct otlp_received_span *span = &decoded.request.scopes[0].spans[0];
    assert_int_equal(span->fault, OTLP_SPAN_FINE);
    assert_slice(span->name, SLICE("last"));
    assert_int_equal(span->start, 2);
    assert_false(span->has_parent);
    release(&decoded);
}

static void pieces_of_a_resource_and_of_a_scope_are_merged(void **state)
{
    struct slice one = attribute(RESOURCE_ATTRIBUTES, "a", of_varint(ANY_VALUE_INT, 1));
    struct slice two = attribute(RESOURCE_ATTRIBUTES, "b", of_varint(ANY_VALUE_INT, 2));
    struct slice scope = JOIN(of_bytes(SCOPE_SPANS_SCOPE, of_text(SCOPE_NAME, "x")),
                              span_of(SLICE_EMPTY), of_bytes(SCOPE_SPANS_SCOPE, SLICE_EMPTY),
                              of_bytes(SCOPE_SPANS_SCOPE, of_text(SCOPE_VERSION, "y")));
    struct decoded decoded;
    int64_t a = 0, b = 0;
    (void)state;
    decode(&decoded, request_of(JOIN(of_bytes(RESOURCE_SPANS_RESOURCE, one), scope_of(scope),
                                     of_bytes(RESOURCE_SPANS_RESOURCE, two))));
    assert_int_equal(decoded.code, ERROR_NONE);
    const struct otlp_received_scope *read = &decoded.request.scopes[0];
    assert_slice(read->resource, JOIN(one, two));
    assert_slice(read->scope, JOIN(of_text(SCOPE_NAME, "x"), of_text(SCOPE_VERSION, "y")));
    assert_true(otlp_find_integer(read->resource, OTLP_ATTRIBUTE_OF_RESOURCE, SLICE("a"), &a));
    assert_true(otlp_find_integer(read->resource, OTLP_ATTRIBUTE_OF_RESOURCE, SLICE("b"), &b));
    assert_int_equal(a, 1);
    assert_int_equal(b, 2);
    release(&decoded);
}

static void a_time_beyond_64_bits_of_ours_is_unknown(void **state)
{
    struct decoded decoded;
    (void)state;
    decode(&decoded,
           request_of(scope_of(span_of(JOIN(of_time(SPAN_START_TIME, (uint64_t)INT64_MAX),
                                            of_time(SPAN_END_TIME, (uint64_t)INT64_MAX + 1))))));
    assert_int_equal(decoded.code, ERROR_NONE);
    const struct otlp_received_span *span = &decoded.request.scopes[0].spans[0];
    assert_true(span->start == INT64_MAX);
    assert_true(span->end == TIMESTAMP_UNKNOWN);
    release(&decoded);
}

// --- what is refused ------------------------------------------------------------------------------

static void damage_is_refused_with_its_place(void **state)
{
    struct slice short_value =
        of_bytes(KEY_VALUE_VALUE, of_bytes(ANY_VALUE_KVLIST, SLICE("\x0a\x05")));
    (void)state;
    assert_corrupt(SLICE("\x0a"), "trace request: cut short, or not protobuf at byte 0");
    assert_corrupt(SLICE("\x0a\x05\x0a"), "trace request: cut short, or not protobuf at byte 0");
    assert_corrupt(SLICE("\x0b\x0c"), "trace request: cut short, or not protobuf at byte 0");
    assert_corrupt(SLICE("\x08\x01"), "trace request: field of another type at byte 0");
    assert_corrupt(request_of(SLICE("\x12\x7f")),
                   "resource spans: cut short, or not protobuf at byte 2");
    assert_corrupt(request_of(SLICE("\x1a\x00\x10\x00")),
                   "resource spans: field of another type at byte 4");
    assert_corrupt(request_of(SLICE("\x0a\x01\x0a")),
                   "resource: cut short, or not protobuf at byte 4");
    assert_corrupt(request_of(scope_of(SLICE("\x15"))),
                   "scope spans: cut short, or not protobuf at byte 4");
    assert_corrupt(request_of(scope_of(SLICE("\x0a\x01\x08"))),
                   "scope: cut short, or not protobuf at byte 6");
    assert_corrupt(request_of(scope_of(span_of(SLICE("\x39\x00")))),
                   "span: cut short, or not protobuf at byte 34");
    assert_corrupt(request_of(scope_of(span_of(SLICE("\x38\x00")))),
                   "span: field of another type at byte 34");
    assert_corrupt(request_of(scope_of(span_of(of_bytes(SPAN_EVENTS, SLICE("\x0a\x00"))))),
                   "event: field of another type at byte 36");
    assert_corrupt(request_of(scope_of(span_of(of_bytes(SPAN_ATTRIBUTES, short_value)))),
                   "key-value list: cut short, or not protobuf at byte 40");
}

// A value of lists in lists, so that the innermost is at this level of the request.
static struct slice request_of_depth(int depth)
{
    struct slice value = SLICE_EMPTY;
    for (int level = depth; level > 5; level -= 2)
        value = of_bytes(ANY_VALUE_ARRAY, of_bytes(ARRAY_VALUES, value));
    return request_of(scope_of(span_of(attribute(SPAN_ATTRIBUTES, "k", value))));
}

static void values_nest_to_a_limit(void **state)
{
    struct decoded decoded;
    (void)state;
    assert_int_equal(fault_in(request_of_depth(31)), OTLP_SPAN_FINE);
    decode(&decoded, request_of_depth(33));
    assert_int_equal(decoded.code, ERROR_CORRUPT);
    assert_non_null(strstr(decoded.error.message, "nested too deep"));
    release(&decoded);
}

static void too_many_spans_are_refused(void **state)
{
    struct slice spans = SLICE_EMPTY;
    struct decoded decoded;
    (void)state;
    for (size_t i = 0; i < limits.spans; i++)
        spans = JOIN(spans, of_bytes(SCOPE_SPANS_SPANS, SLICE_EMPTY));
    decode(&decoded, request_of(scope_of(spans)));
    assert_int_equal(decoded.code, ERROR_NONE);
    release(&decoded);
    decode(&decoded, JOIN(request_of(scope_of(spans)),
                          request_of(scope_of(of_bytes(SCOPE_SPANS_SPANS, SLICE_EMPTY)))));
    assert_int_equal(decoded.code, ERROR_TOO_LARGE);
    assert_string_equal(decoded.error.message, "trace request: 101 spans, at most 100");
    release(&decoded);
}

// Two bytes of a request must not take a hundred of memory.
static void memory_depends_on_the_spans_not_on_empty_scopes(void **state)
{
    struct slice scopes = SLICE_EMPTY;
    struct decoded decoded;
    (void)state;
    for (size_t i = 0; i < 150; i++)
        scopes = JOIN(scopes, scope_of(SLICE_EMPTY));
    decode(&decoded, request_of(scopes));
    assert_int_equal(decoded.code, ERROR_NONE);
    assert_true(decoded.arena.used < 64);
    release(&decoded);
}

static void lack_of_memory_is_an_error(void **state)
{
    struct slice resource = of_bytes(RESOURCE_SPANS_RESOURCE, SLICE_EMPTY);
    struct slice body = request_of(JOIN(resource, resource, scope_of(JOIN(span_of(SLICE_EMPTY)))));
    struct otlp_request request;
    struct error error;
    struct arena arena;
    (void)state;
    enum error_code code = ERROR_MEMORY;
    size_t refused = 0;
    for (size_t limit = 16; code != ERROR_NONE; limit += 16, refused++) {
        arena_init(&arena, 16);
        arena_set_limit(&arena, limit);
        code = otlp_decode_request(body, &limits, &arena, &request, &error);
        if (code != ERROR_NONE) {
            assert_int_equal(code, ERROR_MEMORY);
            assert_int_equal(request.span_count, 0);
        }
        arena_release(&arena);
    }
    assert_true(refused > 5);
}

// --- what a single span is refused for ------------------------------------------------------------

static void ids_have_their_lengths_and_are_not_zero(void **state)
{
    struct slice trace = of_bytes(SPAN_TRACE_ID, TRACE_ID);
    struct slice span = of_bytes(SPAN_SPAN_ID, SPAN_ID);
    const struct {
        struct slice content;
        enum otlp_span_fault fault;
    } cases[] = {
        {JOIN(trace, span), OTLP_SPAN_FINE},
        {trace, OTLP_SPAN_BAD_IDS},
        {span, OTLP_SPAN_BAD_IDS},
        {JOIN(trace, of_text(SPAN_SPAN_ID, "0123456")), OTLP_SPAN_BAD_IDS},
        {JOIN(span, of_text(SPAN_TRACE_ID, "0123456789abcdef0")), OTLP_SPAN_BAD_IDS},
        {JOIN(trace, of_bytes(SPAN_SPAN_ID, SLICE("\0\0\0\0\0\0\0\0"))), OTLP_SPAN_BAD_IDS},
        {JOIN(span, of_bytes(SPAN_TRACE_ID, SLICE("\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0"))),
         OTLP_SPAN_BAD_IDS},
        {JOIN(trace, span, of_text(SPAN_PARENT_SPAN_ID, "0")), OTLP_SPAN_BAD_IDS},
        {JOIN(trace, span, of_text(SPAN_PARENT_SPAN_ID, "")), OTLP_SPAN_FINE},
        {JOIN(trace, span, of_bytes(SPAN_PARENT_SPAN_ID, SLICE("\0\0\0\0\0\0\0\0"))),
         OTLP_SPAN_FINE},
        {JOIN(trace, span, of_bytes(SPAN_LINKS, SLICE_EMPTY)), OTLP_SPAN_FINE},
        {JOIN(trace, span, of_bytes(SPAN_LINKS, of_text(LINK_TRACE_ID, "0"))), OTLP_SPAN_BAD_IDS},
        {JOIN(trace, span, of_bytes(SPAN_LINKS, of_text(LINK_SPAN_ID, "0"))), OTLP_SPAN_BAD_IDS},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        if (fault_of_span(cases[i].content) != cases[i].fault)
            fail_msg("case %zu", i);
    }
}

#define BAD_TEXT "\xc3("

static void text_that_is_not_utf8_is_a_fault_wherever_it_is(void **state)
{
    struct slice value = of_text(ANY_VALUE_STRING, BAD_TEXT);
    struct slice nested = of_bytes(ANY_VALUE_ARRAY, of_bytes(ARRAY_VALUES, value));
    const struct slice contents[] = {
        of_text(SPAN_NAME, BAD_TEXT),
        of_text(SPAN_TRACE_STATE, BAD_TEXT),
        JOIN(of_text(SPAN_NAME, BAD_TEXT), of_text(SPAN_NAME, "good")),
        attribute(SPAN_ATTRIBUTES, BAD_TEXT, SLICE_EMPTY),
        attribute(SPAN_ATTRIBUTES, "k", value),
        attribute(SPAN_ATTRIBUTES, "k", nested),
        of_bytes(SPAN_EVENTS, of_text(EVENT_NAME, BAD_TEXT)),
        of_bytes(SPAN_EVENTS, attribute(EVENT_ATTRIBUTES, "k", value)),
        of_bytes(SPAN_LINKS, of_text(LINK_TRACE_STATE, BAD_TEXT)),
        of_bytes(SPAN_STATUS, of_text(STATUS_MESSAGE, BAD_TEXT)),
    };
    struct slice good = scope_of(span_of(SLICE_EMPTY));
    struct slice resource = attribute(RESOURCE_ATTRIBUTES, "k", value);
    (void)state;
    for (size_t i = 0; i < COUNT(contents); i++) {
        if (fault_of_span(JOIN(ids(), contents[i])) != OTLP_SPAN_BAD_UTF8)
            fail_msg("case %zu", i);
    }
    assert_int_equal(fault_in(request_of(JOIN(of_bytes(RESOURCE_SPANS_RESOURCE, resource), good))),
                     OTLP_SPAN_BAD_UTF8);
    assert_int_equal(fault_in(request_of(JOIN(good, of_text(RESOURCE_SPANS_SCHEMA_URL, BAD_TEXT)))),
                     OTLP_SPAN_BAD_UTF8);
    assert_int_equal(
        fault_in(request_of(scope_of(JOIN(
            span_of(SLICE_EMPTY), of_bytes(SCOPE_SPANS_SCOPE, of_text(SCOPE_NAME, BAD_TEXT)))))),
        OTLP_SPAN_BAD_UTF8);
    assert_int_equal(fault_in(request_of(scope_of(
                         JOIN(span_of(SLICE_EMPTY), of_text(SCOPE_SPANS_SCHEMA_URL, BAD_TEXT))))),
                     OTLP_SPAN_BAD_UTF8);
    // What a later one replaces is not passed on.
    assert_int_equal(fault_in(request_of(JOIN(of_text(RESOURCE_SPANS_SCHEMA_URL, BAD_TEXT), good,
                                              of_text(RESOURCE_SPANS_SCHEMA_URL, "good")))),
                     OTLP_SPAN_FINE);
    // Bytes need not be text.
    assert_int_equal(fault_of_span(JOIN(ids(), attribute(SPAN_ATTRIBUTES, "k",
                                                         of_text(ANY_VALUE_BYTES, BAD_TEXT)))),
                     OTLP_SPAN_FINE);
}

static struct slice many_attributes(uint32_t number, size_t count)
{
    struct slice all = SLICE_EMPTY;
    for (size_t i = 0; i < count; i++)
        all = JOIN(all, attribute(number, "k", SLICE_EMPTY));
    return all;
}

static void attributes_of_a_span_count_with_those_of_events_and_links(void **state)
{
    struct slice span = JOIN(ids(), many_attributes(SPAN_ATTRIBUTES, 2));
    struct slice event = of_bytes(SPAN_EVENTS, many_attributes(EVENT_ATTRIBUTES, 1));
    struct slice link = of_bytes(SPAN_LINKS, many_attributes(LINK_ATTRIBUTES, 1));
    struct slice list = of_bytes(ANY_VALUE_KVLIST, many_attributes(KVLIST_VALUES, 2));
    struct slice good = scope_of(span_of(SLICE_EMPTY));
    struct slice resource = many_attributes(RESOURCE_ATTRIBUTES, 4);
    struct slice more = many_attributes(RESOURCE_ATTRIBUTES, 1);
    (void)state;
    assert_int_equal(fault_of_span(JOIN(span, event, link)), OTLP_SPAN_FINE);
    assert_int_equal(fault_of_span(JOIN(span, event, link, event)), OTLP_SPAN_TOO_MANY_ATTRIBUTES);
    assert_int_equal(fault_of_span(JOIN(span, attribute(SPAN_ATTRIBUTES, "k", list))),
                     OTLP_SPAN_TOO_MANY_ATTRIBUTES);
    assert_int_equal(fault_in(request_of(JOIN(of_bytes(RESOURCE_SPANS_RESOURCE, resource), good))),
                     OTLP_SPAN_FINE);
    assert_int_equal(fault_in(request_of(JOIN(of_bytes(RESOURCE_SPANS_RESOURCE, resource),
                                              of_bytes(RESOURCE_SPANS_RESOURCE, more), good))),
                     OTLP_SPAN_TOO_MANY_ATTRIBUTES);
}

static void a_span_resource_or_scope_may_be_too_large(void **state)
{
    static char text[512];
    struct slice good = span_of(SLICE_EMPTY);
    (void)state;
    memset(text, 'x', sizeof text - 1);
    struct slice long_text = {text, limits.span_bytes - 28 - 3}; // IDs; tag and length
    assert_int_equal(fault_of_span(JOIN(ids(), of_bytes(SPAN_NAME, long_text))), OTLP_SPAN_FINE);
    long_text.len++;
    assert_int_equal(fault_of_span(JOIN(ids(), of_bytes(SPAN_NAME, long_text))),
                     OTLP_SPAN_TOO_LARGE);
    struct slice scope = of_bytes(SCOPE_SPANS_SCOPE, of_bytes(SCOPE_NAME, long_text));
    assert_int_equal(fault_in(request_of(scope_of(JOIN(scope, good)))), OTLP_SPAN_TOO_LARGE);
    struct slice resource = of_bytes(RESOURCE_SPANS_RESOURCE, of_bytes(100, long_text));
    assert_int_equal(fault_in(request_of(JOIN(resource, scope_of(good)))), OTLP_SPAN_TOO_LARGE);
    struct slice url = of_bytes(RESOURCE_SPANS_SCHEMA_URL, long_text);
    assert_int_equal(fault_in(request_of(JOIN(url, scope_of(good)))), OTLP_SPAN_TOO_LARGE);
}

static void valid_ids_of_a_refused_span_are_set(void **state)
{
    struct decoded decoded;
    static const struct span_id none;
    (void)state;
    decode(&decoded,
           request_of(scope_of(of_bytes(SCOPE_SPANS_SPANS, JOIN(of_bytes(SPAN_TRACE_ID, TRACE_ID),
                                                                of_text(SPAN_SPAN_ID, "abc"))))));
    assert_int_equal(decoded.code, ERROR_NONE);
    const struct otlp_received_span *span = &decoded.request.scopes[0].spans[0];
    assert_int_equal(span->fault, OTLP_SPAN_BAD_IDS);
    assert_memory_equal(span->trace_id.bytes, TRACE_ID.data, TRACE_ID_SIZE);
    assert_memory_equal(&span->span_id, &none, sizeof none);
    release(&decoded);
}

// --- attributes -----------------------------------------------------------------------------------

static void attributes_are_found_by_key_and_type(void **state)
{
    struct slice pieces =
        JOIN(of_text(KEY_VALUE_KEY, "other"), of_bytes(KEY_VALUE_VALUE, of_text(1, "merged")),
             of_bytes(KEY_VALUE_VALUE, SLICE_EMPTY), of_text(KEY_VALUE_KEY, "pieces"));
    struct slice span =
        JOIN(of_text(SPAN_NAME, "n"), attribute(SPAN_ATTRIBUTES, "text", of_text(1, "value")),
             attribute(SPAN_ATTRIBUTES, "text", of_text(1, "second")),
             attribute(SPAN_ATTRIBUTES, "negative", of_varint(ANY_VALUE_INT, UINT64_MAX)),
             attribute(SPAN_ATTRIBUTES, "digits", of_text(1, "33714470481")),
             attribute(SPAN_ATTRIBUTES, "guid", of_text(1, "33714470-481")),
             attribute(SPAN_ATTRIBUTES, "empty", SLICE_EMPTY), of_bytes(SPAN_ATTRIBUTES, pieces));
    struct slice text = SLICE_EMPTY;
    int64_t integer = 0;
    (void)state;
    assert_true(otlp_find_text(span, OTLP_ATTRIBUTE_OF_SPAN, SLICE("text"), &text));
    assert_slice(text, SLICE("value"));
    assert_true(otlp_find_text(span, OTLP_ATTRIBUTE_OF_SPAN, SLICE("pieces"), &text));
    assert_slice(text, SLICE("merged"));
    assert_true(otlp_find_integer(span, OTLP_ATTRIBUTE_OF_SPAN, SLICE("negative"), &integer));
    assert_true(integer == -1);
    assert_true(otlp_find_integer(span, OTLP_ATTRIBUTE_OF_SPAN, SLICE("digits"), &integer));
    assert_true(integer == 33714470481);
    assert_false(otlp_find_integer(span, OTLP_ATTRIBUTE_OF_SPAN, SLICE("guid"), &integer));
    assert_false(otlp_find_integer(span, OTLP_ATTRIBUTE_OF_SPAN, SLICE("empty"), &integer));
    assert_false(otlp_find_text(span, OTLP_ATTRIBUTE_OF_SPAN, SLICE("negative"), &text));
    assert_false(otlp_find_text(span, OTLP_ATTRIBUTE_OF_SPAN, SLICE("other"), &text));
    assert_false(otlp_find_text(span, OTLP_ATTRIBUTE_OF_RESOURCE, SLICE("text"), &text));
}

// --- encoding -------------------------------------------------------------------------------------

static void what_is_taken_is_passed_on_as_it_was_sent(void **state)
{
    struct slice resource = attribute(RESOURCE_ATTRIBUTES, "a", of_varint(ANY_VALUE_INT, 1));
    struct slice front = of_bytes(RESOURCE_SPANS_RESOURCE, resource);
    struct slice back = of_text(RESOURCE_SPANS_SCHEMA_URL, "outer");
    struct slice scope = of_bytes(SCOPE_SPANS_SCOPE, of_text(SCOPE_NAME, "x"));
    struct slice url = of_text(SCOPE_SPANS_SCHEMA_URL, "inner");
    struct slice one = span_of(JOIN(of_varint(1000, 7), of_text(SPAN_NAME, "1")));
    struct slice two = span_of(of_text(SPAN_NAME, "2"));
    struct slice three = span_of(of_text(SPAN_NAME, "3"));
    static const bool taken[] = {true, false, true}, none[] = {false, false, false};
    struct decoded decoded;
    struct buffer out;
    (void)state;
    decode(&decoded, request_of(JOIN(front, scope_of(JOIN(scope, one, two, three, url)), back)));
    assert_int_equal(decoded.code, ERROR_NONE);
    buffer_init(&out, 4096);
    assert_int_equal(otlp_encode_received(&decoded.request.scopes[0], none, &out, &decoded.error),
                     ERROR_NONE);
    assert_int_equal(out.len, 0);
    assert_int_equal(otlp_encode_received(&decoded.request.scopes[0], taken, &out, &decoded.error),
                     ERROR_NONE);
    assert_slice(buffer_slice(&out),
                 request_of(JOIN(front, scope_of(JOIN(scope, one, three, url)), back)));
    out.max = out.len + 10;
    assert_int_equal(otlp_encode_received(&decoded.request.scopes[0], taken, &out, &decoded.error),
                     ERROR_TOO_LARGE);
    assert_int_equal(out.len, out.max - 10);
    buffer_release(&out);
    release(&decoded);
}

static void responses_are_those_that_the_exporter_reads(void **state)
{
    (void)state;
    for (int is_json = 0; is_json < 2; is_json++) {
        struct arena arena;
        struct buffer out;
        struct otlp_response response;
        struct otlp_status status;
        arena_init(&arena, 256);
        buffer_init(&out, 200);
        assert_int_equal(otlp_encode_response(is_json, 3, SLICE("no \"parent\""), &out), 0);
        assert_int_equal(otlp_decode_response(buffer_slice(&out), is_json, &arena, &response), 0);
        assert_int_equal(response.rejected_spans, 3);
        assert_slice(response.error_message, SLICE("no \"parent\""));
        buffer_clear(&out);
        assert_int_equal(otlp_encode_status(is_json, 14, SLICE("busy"), &out), 0);
        assert_int_equal(otlp_decode_status(buffer_slice(&out), is_json, &arena, &status), 0);
        assert_int_equal(status.code, 14);
        assert_slice(status.message, SLICE("busy"));
        out.max = out.len + 1;
        assert_int_equal(otlp_encode_status(is_json, 14, SLICE("busy"), &out), ERROR_TOO_LARGE);
        assert_int_equal(otlp_encode_response(is_json, 1, SLICE("x"), &out), ERROR_TOO_LARGE);
        assert_int_equal(out.len, out.max - 1);
        buffer_release(&out);
        arena_release(&arena);
    }
}

static void full_success_is_an_empty_message(void **state)
{
    struct buffer out;
    (void)state;
    buffer_init(&out, 200);
    assert_int_equal(otlp_encode_response(false, 0, SLICE_EMPTY, &out), ERROR_NONE);
    assert_int_equal(out.len, 0);
    assert_int_equal(otlp_encode_response(true, 0, SLICE_EMPTY, &out), ERROR_NONE);
    assert_slice(buffer_slice(&out), SLICE("{}"));
    buffer_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define TEST(name) cmocka_unit_test_setup(name, start_anew)
        TEST(a_span_is_read_as_it_was_sent),
        TEST(a_request_without_spans_is_read),
        TEST(spans_keep_their_order_and_their_scopes),
        TEST(the_last_of_several_values_counts),
        TEST(pieces_of_a_resource_and_of_a_scope_are_merged),
        TEST(a_time_beyond_64_bits_of_ours_is_unknown),
        TEST(damage_is_refused_with_its_place),
        TEST(values_nest_to_a_limit),
        TEST(too_many_spans_are_refused),
        TEST(memory_depends_on_the_spans_not_on_empty_scopes),
        TEST(lack_of_memory_is_an_error),
        TEST(ids_have_their_lengths_and_are_not_zero),
        TEST(text_that_is_not_utf8_is_a_fault_wherever_it_is),
        TEST(attributes_of_a_span_count_with_those_of_events_and_links),
        TEST(a_span_resource_or_scope_may_be_too_large),
        TEST(valid_ids_of_a_refused_span_are_set),
        TEST(attributes_are_found_by_key_and_type),
        TEST(what_is_taken_is_passed_on_as_it_was_sent),
        TEST(responses_are_those_that_the_exporter_reads),
        TEST(full_success_is_an_empty_message),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
