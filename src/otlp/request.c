// Decodes export requests of other programs, and encodes what is passed on and the responses.
#include "ghatrace/otlp/request.h"

#include <string.h>

#include "ghatrace/base/utf8.h"
#include "ghatrace/json/write.h"
#include "ghatrace/otlp/json.h"
#include "schema.h"
#include "wire.h"

const char *const otlp_span_fault_names[OTLP_SPAN_FAULTS] = {OTLP_SPAN_FAULT_LIST(LIST_NAME)};

// --- fields ---------------------------------------------------------------------------------------

struct decoder {
    struct slice body;
    const struct otlp_request_limits *limits;
    struct arena *arena;
    struct error *error;
    enum error_code code;             // the first failure; after it nothing is read
    struct otlp_received_span *spans; // of all scopes, as many as were counted
};

static void fail_at(struct decoder *decoder, const struct schema_message *schema, const char *at,
                    const char *reason)
{
    if (decoder->code == ERROR_NONE)
        decoder->code = error_set(decoder->error, ERROR_CORRUPT, "%s: %s at byte %zu", schema->name,
                                  reason, (size_t)(at - decoder->body.data));
}

static void *allocate(struct decoder *decoder, size_t count, size_t size)
{
    void *items = arena_allocate_array(decoder->arena, count, size);
    if (items == NULL)
        decoder->code = error_set(decoder->error, ERROR_MEMORY, "trace request: out of memory");
    return items;
}

// Reads the next field that the schema has, and returns its row there. NULL: the end, or a failure. A field of another
// wire type than the schema's is a failure, as it is in the Collector.
static const struct schema_field *next_field(struct decoder *decoder,
                                             const struct schema_message *schema,
                                             struct wire_reader *reader, struct wire_field *field)
{
    for (;;) {
        const char *at = reader->position;
        if (decoder->code != ERROR_NONE)
            return NULL;
        if (!wire_read_field(reader, field)) {
            if (reader->is_corrupt)
                fail_at(decoder, schema, at, "cut short, or not protobuf");
            return NULL;
        }
        int found = schema_find(schema, field->number);
        if (found < 0)
            continue;
        if (schema_wire_type(schema->fields[found].kind) != field->type) {
            fail_at(decoder, schema, at, "field of another type");
            return NULL;
        }
        return &schema->fields[found];
    }
}

// --- what is wrong with a message -----------------------------------------------------------------

struct findings {
    size_t bytes;
    size_t attributes; // of all messages in it
    bool has_bad_id;   // of a wrong length
    bool has_bad_utf8;
};

static bool has_length_or_none(struct slice bytes, size_t len)
{
    return bytes.len == 0 || bytes.len == len;
}

// Reads everything in a message that the schema knows. `depth` bounds the recursion.
static void examine(struct decoder *decoder, const struct schema_message *schema,
                    struct slice message, int depth, struct findings *findings)
{
    struct wire_reader reader;
    struct wire_field field;
    const struct schema_field *known;
    if (depth > SCHEMA_DEPTH_MAX) {
        fail_at(decoder, schema, message.data, "nested too deep");
        return;
    }
    findings->attributes += schema == &schema_key_value;
    wire_reader_init(&reader, message);
    while ((known = next_field(decoder, schema, &reader, &field)) != NULL) {
        enum schema_kind kind = known->kind;
        if (kind == SCHEMA_MESSAGE)
            examine(decoder, known->message, field.bytes, depth + 1, findings);
        else if (kind == SCHEMA_STRING)
            findings->has_bad_utf8 |= !utf8_is_valid(field.bytes);
        else if (kind == SCHEMA_TRACE_ID)
            findings->has_bad_id |= !has_length_or_none(field.bytes, TRACE_ID_SIZE);
        else if (kind == SCHEMA_SPAN_ID)
            findings->has_bad_id |= !has_length_or_none(field.bytes, SPAN_ID_SIZE);
    }
}

static enum otlp_span_fault fault_of_span(const struct findings *findings, size_t bytes_max,
                                          size_t attributes_max)
{
    if (findings->bytes > bytes_max)
        return OTLP_SPAN_TOO_LARGE;
    if (findings->attributes > attributes_max)
        return OTLP_SPAN_TOO_MANY_ATTRIBUTES;
    if (findings->has_bad_utf8)
        return OTLP_SPAN_BAD_UTF8;
    return findings->has_bad_id ? OTLP_SPAN_BAD_IDS : OTLP_SPAN_FINE;
}

// --- spans ----------------------------------------------------------------------------------------

#define SPAN_DEPTH 3 // below request, resource spans, scope spans

// True if there are as many bytes, and one of them is not zero. Else `id` is zero.
static bool read_nonzero_id(struct slice bytes, uint8_t *id, size_t len)
{
    uint8_t any = 0;
    memset(id, 0, len);
    for (size_t i = 0; i < bytes.len; i++)
        any |= (uint8_t)bytes.data[i];
    if (bytes.len != len || any == 0)
        return false;
    memcpy(id, bytes.data, len);
    return true;
}

static timestamp_ns read_sent_time(uint64_t sent)
{
    return sent <= INT64_MAX ? (timestamp_ns)sent : TIMESTAMP_UNKNOWN;
}

static void read_received_span(struct decoder *decoder, struct slice message,
                               enum otlp_span_fault inherited, struct otlp_received_span *span)
{
    struct wire_reader reader;
    struct wire_field field;
    struct findings findings = {.bytes = message.len};
    bool has_trace = false, has_span = false;
    *span = (struct otlp_received_span){.bytes = message};
    examine(decoder, &schema_span, message, SPAN_DEPTH, &findings);
    wire_reader_init(&reader, message);
    while (next_field(decoder, &schema_span, &reader, &field) != NULL) {
        if (field.number == SPAN_TRACE_ID)
            has_trace = read_nonzero_id(field.bytes, span->trace_id.bytes, TRACE_ID_SIZE);
        else if (field.number == SPAN_SPAN_ID)
            has_span = read_nonzero_id(field.bytes, span->span_id.bytes, SPAN_ID_SIZE);
        else if (field.number == SPAN_PARENT_SPAN_ID)
            span->has_parent = read_nonzero_id(field.bytes, span->parent_id.bytes, SPAN_ID_SIZE);
        else if (field.number == SPAN_NAME)
            span->name = field.bytes;
        else if (field.number == SPAN_START_TIME)
            span->start = read_sent_time(field.integer);
        else if (field.number == SPAN_END_TIME)
            span->end = read_sent_time(field.integer);
    }
    findings.has_bad_id |= !has_trace || !has_span;
    enum otlp_span_fault fault =
        fault_of_span(&findings, decoder->limits->span_bytes, decoder->limits->attributes);
    span->fault = inherited != OTLP_SPAN_FINE ? inherited : fault;
}

// --- resources and scopes -------------------------------------------------------------------------

// What precedes the spans in ResourceSpans and the spans in ScopeSpans.
struct origin {
    struct slice message; // the encoded Resource or InstrumentationScope
    struct slice schema_url;
    enum otlp_span_fault fault;
};

struct origin_fields {
    const struct schema_message *outer, *inner;
    uint32_t inner_number, schema_url_number;
    int inner_depth;
};

static const struct origin_fields resource_fields = {
    &schema_resource_spans, &schema_resource, RESOURCE_SPANS_RESOURCE, RESOURCE_SPANS_SCHEMA_URL, 2,
};
static const struct origin_fields scope_fields = {
    &schema_scope_spans, &schema_scope, SCOPE_SPANS_SCOPE, SCOPE_SPANS_SCHEMA_URL, 3,
};

// Of several pieces, the concatenation is the merged message (Protocol Buffers, Encoding, "Last One Wins").
static struct slice merge_pieces(struct decoder *decoder, const struct origin_fields *fields,
                                 struct slice outer, size_t bytes)
{
    struct wire_reader reader;
    struct wire_field field;
    size_t len = 0;
    char *merged = allocate(decoder, bytes, 1);
    wire_reader_init(&reader, outer);
    while (merged != NULL && next_field(decoder, fields->outer, &reader, &field) != NULL) {
        if (field.number != fields->inner_number || field.bytes.len == 0)
            continue;
        memcpy(merged + len, field.bytes.data, field.bytes.len);
        len += field.bytes.len;
    }
    return (struct slice){merged, len};
}

static void read_origin(struct decoder *decoder, const struct origin_fields *fields,
                        struct slice outer, struct origin *origin)
{
    struct wire_reader reader;
    struct wire_field field;
    struct findings findings = {.bytes = 0};
    size_t pieces = 0;
    *origin = (struct origin){.message = SLICE_EMPTY};
    wire_reader_init(&reader, outer);
    while (next_field(decoder, fields->outer, &reader, &field) != NULL) {
        if (field.number == fields->inner_number) {
            examine(decoder, fields->inner, field.bytes, fields->inner_depth, &findings);
            findings.bytes += field.bytes.len;
            origin->message = field.bytes;
            pieces++;
        } else if (field.number == fields->schema_url_number) {
            origin->schema_url = field.bytes;
        }
    }
    findings.has_bad_utf8 |= !utf8_is_valid(origin->schema_url);
    size_t bytes_max = decoder->limits->resource_bytes;
    origin->fault = fault_of_span(&findings, bytes_max, decoder->limits->attributes);
    if (origin->schema_url.len > bytes_max)
        origin->fault = OTLP_SPAN_TOO_LARGE;
    if (pieces > 1 && decoder->code == ERROR_NONE)
        origin->message = merge_pieces(decoder, fields, outer, findings.bytes);
}

// --- requests -------------------------------------------------------------------------------------

static size_t count_scope_spans(struct decoder *decoder, struct slice message)
{
    struct wire_reader reader;
    struct wire_field field;
    size_t count = 0;
    wire_reader_init(&reader, message);
    while (next_field(decoder, &schema_scope_spans, &reader, &field) != NULL)
        count += field.number == SCOPE_SPANS_SPANS;
    return count;
}

// Scopes without spans are not counted: two bytes of a request would take a hundred of memory.
static void count_scopes(struct decoder *decoder, struct slice message, struct otlp_request *counts)
{
    struct wire_reader reader;
    struct wire_field field;
    wire_reader_init(&reader, message);
    while (next_field(decoder, &schema_resource_spans, &reader, &field) != NULL) {
        if (field.number != RESOURCE_SPANS_SCOPE_SPANS)
            continue;
        size_t spans = count_scope_spans(decoder, field.bytes);
        counts->scope_count += spans > 0;
        counts->span_count += spans;
    }
}

// A scope without spans is examined, too: whether a request is valid does not depend on the spans in it.
static void read_scope(struct decoder *decoder, const struct origin *resource, struct slice message,
                       struct otlp_request *request)
{
    struct wire_reader reader;
    struct wire_field field;
    struct origin origin;
    read_origin(decoder, &scope_fields, message, &origin);
    struct otlp_received_scope scope = {
        .resource = resource->message,
        .resource_schema_url = resource->schema_url,
        .scope = origin.message,
        .scope_schema_url = origin.schema_url,
        .spans = decoder->spans + request->span_count,
    };
    enum otlp_span_fault inherited =
        resource->fault != OTLP_SPAN_FINE ? resource->fault : origin.fault;
    wire_reader_init(&reader, message);
    while (next_field(decoder, &schema_scope_spans, &reader, &field) != NULL) {
        if (field.number == SCOPE_SPANS_SPANS)
            read_received_span(decoder, field.bytes, inherited, &scope.spans[scope.span_count++]);
    }
    if (scope.span_count == 0)
        return;
    request->scopes[request->scope_count++] = scope;
    request->span_count += scope.span_count;
}

static void read_resource_scopes(struct decoder *decoder, struct slice message,
                                 struct otlp_request *request)
{
    struct wire_reader reader;
    struct wire_field field;
    struct origin resource;
    read_origin(decoder, &resource_fields, message, &resource);
    wire_reader_init(&reader, message);
    while (next_field(decoder, &schema_resource_spans, &reader, &field) != NULL) {
        if (field.number == RESOURCE_SPANS_SCOPE_SPANS)
            read_scope(decoder, &resource, field.bytes, request);
    }
}

static void count_request(struct decoder *decoder, struct otlp_request *counts)
{
    struct wire_reader reader;
    struct wire_field field;
    *counts = (struct otlp_request){.scopes = NULL};
    wire_reader_init(&reader, decoder->body);
    while (next_field(decoder, &schema_trace_request, &reader, &field) != NULL)
        count_scopes(decoder, field.bytes, counts);
    if (decoder->code == ERROR_NONE && counts->span_count > decoder->limits->spans)
        decoder->code =
            error_set(decoder->error, ERROR_TOO_LARGE, "trace request: %zu spans, at most %zu",
                      counts->span_count, decoder->limits->spans);
}

static void read_trace_request(struct decoder *decoder, struct otlp_request *request)
{
    struct wire_reader reader;
    struct wire_field field;
    struct otlp_request counts;
    count_request(decoder, &counts);
    if (decoder->code != ERROR_NONE)
        return;
    request->scopes = allocate(decoder, counts.scope_count, sizeof *request->scopes);
    decoder->spans = allocate(decoder, counts.span_count, sizeof *decoder->spans);
    wire_reader_init(&reader, decoder->body);
    while (next_field(decoder, &schema_trace_request, &reader, &field) != NULL)
        read_resource_scopes(decoder, field.bytes, request);
}

static enum error_code decode_request(struct decoder *decoder, struct otlp_request *request)
{
    *request = (struct otlp_request){.scopes = NULL};
    if (decoder->code == ERROR_NONE)
        read_trace_request(decoder, request);
    if (decoder->code != ERROR_NONE)
        *request = (struct otlp_request){.scopes = NULL};
    return decoder->code;
}

enum error_code otlp_decode_request(struct slice body, const struct otlp_request_limits *limits,
                                    struct arena *arena, struct otlp_request *request,
                                    struct error *error)
{
    struct decoder decoder = {.body = body, .limits = limits, .arena = arena, .error = error};
    return decode_request(&decoder, request);
}

enum error_code otlp_decode_json_request(struct slice body,
                                         const struct otlp_request_limits *limits,
                                         struct arena *arena, struct otlp_request *request,
                                         struct error *error)
{
    struct decoder decoder = {.limits = limits, .arena = arena, .error = error};
    decoder.code = otlp_protobuf_from_json(body, arena, &decoder.body, error);
    return decode_request(&decoder, request);
}

// --- attributes -----------------------------------------------------------------------------------

// The value of an attribute if its key is `key`; unknown (number 0): it has another key, or no value. The pieces of a
// value are merged: the last member of any counts.
static bool read_key_value(struct slice message, struct slice key, struct wire_field *value)
{
    struct wire_reader reader, members;
    struct wire_field field, member;
    struct slice found = SLICE_EMPTY;
    *value = (struct wire_field){.number = 0};
    wire_reader_init(&reader, message);
    while (wire_read_field(&reader, &field)) {
        if (field.type != WIRE_BYTES)
            continue;
        if (field.number == KEY_VALUE_KEY)
            found = field.bytes;
        if (field.number != KEY_VALUE_VALUE)
            continue;
        wire_reader_init(&members, field.bytes);
        while (wire_read_field(&members, &member)) {
            if (member.number >= ANY_VALUE_STRING && member.number <= ANY_VALUE_BYTES)
                *value = member;
        }
    }
    return slice_equals(found, key);
}

static bool find_value(struct slice bytes, enum otlp_attribute_owner owner, struct slice key,
                       struct wire_field *value)
{
    struct wire_reader reader;
    struct wire_field field;
    uint32_t number =
        owner == OTLP_ATTRIBUTE_OF_SPAN ? (uint32_t)SPAN_ATTRIBUTES : (uint32_t)RESOURCE_ATTRIBUTES;
    wire_reader_init(&reader, bytes);
    while (wire_read_field(&reader, &field)) {
        if (field.number == number && field.type == WIRE_BYTES &&
            read_key_value(field.bytes, key, value))
            return true;
    }
    return false;
}

bool otlp_find_text(struct slice bytes, enum otlp_attribute_owner owner, struct slice key,
                    struct slice *text)
{
    struct wire_field value;
    if (!find_value(bytes, owner, key, &value) || value.number != ANY_VALUE_STRING ||
        value.type != WIRE_BYTES)
        return false;
    *text = value.bytes;
    return true;
}

bool otlp_find_integer(struct slice bytes, enum otlp_attribute_owner owner, struct slice key,
                       int64_t *integer)
{
    struct wire_field value;
    long long parsed;
    if (!find_value(bytes, owner, key, &value))
        return false;
    if (value.number == ANY_VALUE_INT && value.type == WIRE_VARINT) {
        *integer = (int64_t)value.integer;
        return true;
    }
    if (value.number != ANY_VALUE_STRING || value.type != WIRE_BYTES ||
        !slice_parse_int64(value.bytes, &parsed))
        return false;
    *integer = parsed;
    return true;
}

// --- encoding -------------------------------------------------------------------------------------

static void put_unless_empty(struct wire_writer *writer, uint32_t number, struct slice bytes)
{
    if (bytes.len > 0)
        wire_put_bytes(writer, number, bytes);
}

// Written from its end to its start.
enum error_code otlp_encode_received(const struct otlp_received_scope *scope, const bool *is_taken,
                                     struct buffer *out, struct error *error)
{
    struct wire_writer writer;
    bool has_spans = false;
    wire_writer_init(&writer, out->max - out->len);
    put_unless_empty(&writer, RESOURCE_SPANS_SCHEMA_URL, scope->resource_schema_url);
    size_t mark = writer.len;
    put_unless_empty(&writer, SCOPE_SPANS_SCHEMA_URL, scope->scope_schema_url);
    for (size_t i = scope->span_count; i > 0; i--) {
        if (!is_taken[i - 1])
            continue;
        wire_put_bytes(&writer, SCOPE_SPANS_SPANS, scope->spans[i - 1].bytes);
        has_spans = true;
    }
    put_unless_empty(&writer, SCOPE_SPANS_SCOPE, scope->scope);
    wire_put_message(&writer, RESOURCE_SPANS_SCOPE_SPANS, mark);
    put_unless_empty(&writer, RESOURCE_SPANS_RESOURCE, scope->resource);
    wire_put_message(&writer, REQUEST_RESOURCE_SPANS, 0);
    if (!has_spans) {
        wire_writer_release(&writer);
        return ERROR_NONE;
    }
    enum error_code code = wire_writer_finish(&writer, out);
    return code == ERROR_NONE
               ? ERROR_NONE
               : error_set(error, code, "encode received spans: %s", error_code_text(code));
}

// --- responses ------------------------------------------------------------------------------------

// `out` is as it was, `start` bytes long, after a failure.
static enum error_code finish_json(const struct json_writer *json, size_t start)
{
    if (json->failure != ERROR_NONE)
        json->out->len = start;
    return json->failure;
}

static enum error_code encode_response_json(int64_t rejected, struct slice message,
                                            struct buffer *out)
{
    struct json_writer json = {.out = out};
    size_t start = out->len;
    json_write_raw(&json, SLICE("{"));
    if (rejected != 0 || message.len > 0) {
        json_write_raw(&json, SLICE("\"partialSuccess\":{\"rejectedSpans\":\""));
        json_write_int64(&json, rejected);
        json_write_raw(&json, SLICE("\",\"errorMessage\":"));
        json_write_string(&json, message);
        json_write_raw(&json, SLICE("}"));
    }
    json_write_raw(&json, SLICE("}"));
    return finish_json(&json, start);
}

enum error_code otlp_encode_response(bool is_json, int64_t rejected, struct slice message,
                                     struct buffer *out)
{
    struct wire_writer writer;
    if (is_json)
        return encode_response_json(rejected, message, out);
    wire_writer_init(&writer, out->max - out->len);
    put_unless_empty(&writer, PARTIAL_SUCCESS_ERROR_MESSAGE, message);
    if (rejected != 0)
        wire_put_varint(&writer, PARTIAL_SUCCESS_REJECTED_SPANS, (uint64_t)rejected);
    if (rejected != 0 || message.len > 0)
        wire_put_message(&writer, RESPONSE_PARTIAL_SUCCESS, 0);
    return wire_writer_finish(&writer, out);
}

static enum error_code encode_status_json(int64_t code, struct slice message, struct buffer *out)
{
    struct json_writer json = {.out = out};
    size_t start = out->len;
    json_write_raw(&json, SLICE("{\"code\":"));
    json_write_int64(&json, code);
    json_write_raw(&json, SLICE(",\"message\":"));
    json_write_string(&json, message);
    json_write_raw(&json, SLICE("}"));
    return finish_json(&json, start);
}

enum error_code otlp_encode_status(bool is_json, int64_t code, struct slice message,
                                   struct buffer *out)
{
    struct wire_writer writer;
    if (is_json)
        return encode_status_json(code, message, out);
    wire_writer_init(&writer, out->max - out->len);
    put_unless_empty(&writer, RPC_STATUS_MESSAGE, message);
    if (code != 0)
        wire_put_varint(&writer, RPC_STATUS_CODE, (uint64_t)code);
    return wire_writer_finish(&writer, out);
}
