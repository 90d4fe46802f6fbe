// Converts OTLP protobuf to JSON: the schema and the writer.
#include "ghatrace/otlp/json.h"

#include <string.h>

#include "ghatrace/json/write.h"
#include "schema.h"
#include "wire.h"

// --- schema ---------------------------------------------------------------------------------------
// Tables of the trace messages of opentelemetry-proto 1.x, in the order of the field numbers.

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define MESSAGE(fields_, name_)                                                                    \
    {                                                                                              \
        .name = (name_), .field_count = COUNT(fields_), .fields = (fields_)                        \
    }
#define SCALAR(number, name, kind)                                                                 \
    {                                                                                              \
        (number), (name), (kind), false, NULL                                                      \
    }
#define ONE(number, name, message)                                                                 \
    {                                                                                              \
        (number), (name), SCHEMA_MESSAGE, false, &(message)                                        \
    }
#define MANY(number, name, message)                                                                \
    {                                                                                              \
        (number), (name), SCHEMA_MESSAGE, true, &(message)                                         \
    }

// Values nest: an array or list of values is itself a value.
static const struct schema_message any_value;

static const struct schema_field key_value_fields[] = {
    SCALAR(KEY_VALUE_KEY, "key", SCHEMA_STRING),
    ONE(KEY_VALUE_VALUE, "value", any_value),
};
static const struct schema_message key_value = MESSAGE(key_value_fields, "attribute");

static const struct schema_field array_fields[] = {MANY(ARRAY_VALUES, "values", any_value)};
static const struct schema_message array_value = MESSAGE(array_fields, "array value");

static const struct schema_field kvlist_fields[] = {MANY(KVLIST_VALUES, "values", key_value)};
static const struct schema_message kvlist_value = MESSAGE(kvlist_fields, "key-value list");

static const struct schema_field any_value_fields[] = {
    SCALAR(ANY_VALUE_STRING, "stringValue", SCHEMA_STRING),
    SCALAR(ANY_VALUE_BOOL, "boolValue", SCHEMA_BOOL),
    SCALAR(ANY_VALUE_INT, "intValue", SCHEMA_INT64),
    SCALAR(ANY_VALUE_DOUBLE, "doubleValue", SCHEMA_DOUBLE),
    ONE(ANY_VALUE_ARRAY, "arrayValue", array_value),
    ONE(ANY_VALUE_KVLIST, "kvlistValue", kvlist_value),
    SCALAR(ANY_VALUE_BYTES, "bytesValue", SCHEMA_BYTES),
};
static const struct schema_message any_value = {
    .name = "attribute value",
    .is_oneof = true,
    .field_count = COUNT(any_value_fields),
    .fields = any_value_fields,
};

static const struct schema_field event_fields[] = {
    SCALAR(EVENT_TIME, "timeUnixNano", SCHEMA_FIXED64),
    SCALAR(EVENT_NAME, "name", SCHEMA_STRING),
    MANY(EVENT_ATTRIBUTES, "attributes", key_value),
    SCALAR(EVENT_DROPPED_ATTRIBUTES, "droppedAttributesCount", SCHEMA_UINT32),
};
static const struct schema_message event = MESSAGE(event_fields, "event");

static const struct schema_field link_fields[] = {
    SCALAR(LINK_TRACE_ID, "traceId", SCHEMA_ID),
    SCALAR(LINK_SPAN_ID, "spanId", SCHEMA_ID),
    SCALAR(LINK_TRACE_STATE, "traceState", SCHEMA_STRING),
    MANY(LINK_ATTRIBUTES, "attributes", key_value),
    SCALAR(LINK_DROPPED_ATTRIBUTES, "droppedAttributesCount", SCHEMA_UINT32),
    SCALAR(LINK_FLAGS, "flags", SCHEMA_FIXED32),
};
static const struct schema_message link_message = MESSAGE(link_fields, "link");

static const struct schema_field status_fields[] = {
    SCALAR(STATUS_MESSAGE, "message", SCHEMA_STRING),
    SCALAR(STATUS_CODE, "code", SCHEMA_ENUM),
};
static const struct schema_message status = MESSAGE(status_fields, "status");

static const struct schema_field span_fields[] = {
    SCALAR(SPAN_TRACE_ID, "traceId", SCHEMA_ID),
    SCALAR(SPAN_SPAN_ID, "spanId", SCHEMA_ID),
    SCALAR(SPAN_TRACE_STATE, "traceState", SCHEMA_STRING),
    SCALAR(SPAN_PARENT_SPAN_ID, "parentSpanId", SCHEMA_ID),
    SCALAR(SPAN_NAME, "name", SCHEMA_STRING),
    SCALAR(SPAN_KIND, "kind", SCHEMA_ENUM),
    SCALAR(SPAN_START_TIME, "startTimeUnixNano", SCHEMA_FIXED64),
    SCALAR(SPAN_END_TIME, "endTimeUnixNano", SCHEMA_FIXED64),
    MANY(SPAN_ATTRIBUTES, "attributes", key_value),
    SCALAR(SPAN_DROPPED_ATTRIBUTES, "droppedAttributesCount", SCHEMA_UINT32),
    MANY(SPAN_EVENTS, "events", event),
    SCALAR(SPAN_DROPPED_EVENTS, "droppedEventsCount", SCHEMA_UINT32),
    MANY(SPAN_LINKS, "links", link_message),
    SCALAR(SPAN_DROPPED_LINKS, "droppedLinksCount", SCHEMA_UINT32),
    ONE(SPAN_STATUS, "status", status),
    SCALAR(SPAN_FLAGS, "flags", SCHEMA_FIXED32),
};
static const struct schema_message span = MESSAGE(span_fields, "span");

static const struct schema_field scope_fields[] = {
    SCALAR(SCOPE_NAME, "name", SCHEMA_STRING),
    SCALAR(SCOPE_VERSION, "version", SCHEMA_STRING),
    MANY(SCOPE_ATTRIBUTES, "attributes", key_value),
    SCALAR(SCOPE_DROPPED_ATTRIBUTES, "droppedAttributesCount", SCHEMA_UINT32),
};
static const struct schema_message scope = MESSAGE(scope_fields, "scope");

static const struct schema_field scope_spans_fields[] = {
    ONE(SCOPE_SPANS_SCOPE, "scope", scope),
    MANY(SCOPE_SPANS_SPANS, "spans", span),
    SCALAR(SCOPE_SPANS_SCHEMA_URL, "schemaUrl", SCHEMA_STRING),
};
static const struct schema_message scope_spans = MESSAGE(scope_spans_fields, "scope spans");

static const struct schema_field resource_fields[] = {
    MANY(RESOURCE_ATTRIBUTES, "attributes", key_value),
    SCALAR(RESOURCE_DROPPED_ATTRIBUTES, "droppedAttributesCount", SCHEMA_UINT32),
};
static const struct schema_message resource = MESSAGE(resource_fields, "resource");

static const struct schema_field resource_spans_fields[] = {
    ONE(RESOURCE_SPANS_RESOURCE, "resource", resource),
    MANY(RESOURCE_SPANS_SCOPE_SPANS, "scopeSpans", scope_spans),
    SCALAR(RESOURCE_SPANS_SCHEMA_URL, "schemaUrl", SCHEMA_STRING),
};
static const struct schema_message resource_spans =
    MESSAGE(resource_spans_fields, "resource spans");

static const struct schema_field trace_request_fields[] = {
    MANY(REQUEST_RESOURCE_SPANS, "resourceSpans", resource_spans),
};
const struct schema_message schema_trace_request = MESSAGE(trace_request_fields, "trace request");

_Static_assert(COUNT(span_fields) <= SCHEMA_FIELDS_MAX, "the message with most fields");

static enum wire_type wire_type_of(enum schema_kind kind)
{
    switch (kind) {
    case SCHEMA_MESSAGE:
    case SCHEMA_STRING:
    case SCHEMA_ID:
    case SCHEMA_BYTES:
        return WIRE_BYTES;
    case SCHEMA_FIXED64:
    case SCHEMA_DOUBLE:
        return WIRE_FIXED64;
    case SCHEMA_FIXED32:
        return WIRE_FIXED32;
    case SCHEMA_BOOL:
    case SCHEMA_INT64:
    case SCHEMA_UINT32:
    case SCHEMA_ENUM:
        break;
    }
    return WIRE_VARINT;
}

// The index in `message->fields` of the field that was read, or -1: unknown, or not of the schema's wire type, which
// protobuf treats as unknown.
static int schema_find(const struct schema_message *message, const struct wire_field *field)
{
    for (size_t i = 0; i < message->field_count; i++) {
        if (message->fields[i].number == field->number)
            return wire_type_of(message->fields[i].kind) == field->type ? (int)i : -1;
    }
    return -1;
}

// --- conversion of OTLP protobuf to OTLP JSON, controlled by the schema ---------------------------

// Nesting limit of messages. A value of a span's attribute is at level seven; each array or list in it takes one or
// two more. Deeper nesting by other encoders is not worth the stack space.
#define DEPTH_MAX 32

struct transcoder {
    struct json_writer json;
    struct error *error; // set when something is corrupt
};

// The contents of one message, by index in the schema. For a field that is not repeated the last value counts, for a
// oneof the last member (protobuf encoding, "Last One Wins").
struct contents {
    bool is_present[SCHEMA_FIELDS_MAX];
    struct wire_field fields[SCHEMA_FIELDS_MAX];
};

static void write_message(struct transcoder *transcoder, const struct schema_message *schema,
                          struct slice message, int depth);

static void fail_corrupt_request(struct transcoder *transcoder, const struct schema_message *schema,
                                 const char *reason)
{
    if (transcoder->json.failure == ERROR_NONE)
        transcoder->json.failure =
            error_set(transcoder->error, ERROR_CORRUPT, "%s: %s", schema->name, reason);
}

static bool collect_fields(struct transcoder *transcoder, const struct schema_message *schema,
                           struct slice message, struct contents *contents)
{
    struct wire_reader reader;
    struct wire_field field;
    memset(contents->is_present, 0, sizeof(contents->is_present));
    wire_reader_init(&reader, message);
    while (wire_read_field(&reader, &field)) {
        int position = schema_find(schema, &field);
        if (position < 0)
            continue;
        if (schema->is_oneof)
            memset(contents->is_present, 0, sizeof(contents->is_present));
        contents->is_present[position] = true;
        contents->fields[position] = field;
    }
    if (reader.is_corrupt)
        fail_corrupt_request(transcoder, schema, "cut short, or not protobuf");
    return !reader.is_corrupt;
}

// Numbers that do not fit into a double are strings in JSON.
static void write_quoted_number(struct json_writer *json, const struct schema_field *schema,
                                uint64_t value)
{
    json_write_raw(json, SLICE("\""));
    if (schema->kind == SCHEMA_INT64)
        json_write_int64(json, (int64_t)value);
    else
        json_write_uint64(json, value);
    json_write_raw(json, SLICE("\""));
}

static double double_of(uint64_t bits)
{
    double value;
    memcpy(&value, &bits, sizeof(value));
    return value;
}

static void write_value(struct transcoder *transcoder, const struct schema_field *schema,
                        const struct wire_field *field, int depth)
{
    struct json_writer *json = &transcoder->json;
    switch (schema->kind) {
    case SCHEMA_MESSAGE:
        write_message(transcoder, schema->message, field->bytes, depth + 1);
        break;
    case SCHEMA_STRING:
        json_write_string(json, field->bytes);
        break;
    case SCHEMA_ID:
        json_write_hex(json, field->bytes);
        break;
    case SCHEMA_BYTES:
        json_write_base64(json, field->bytes);
        break;
    case SCHEMA_BOOL:
        json_write_raw(json, field->integer != 0 ? SLICE("true") : SLICE("false"));
        break;
    case SCHEMA_INT64:
    case SCHEMA_FIXED64:
        write_quoted_number(json, schema, field->integer);
        break;
    case SCHEMA_DOUBLE:
        json_write_double(json, double_of(field->integer));
        break;
    case SCHEMA_UINT32:
    case SCHEMA_FIXED32:
        json_write_uint64(json, (uint32_t)field->integer);
        break;
    case SCHEMA_ENUM: // an int32, may be negative
        json_write_int64(json, (int32_t)(uint32_t)field->integer);
        break;
    }
}

// The elements of a repeated field may be anywhere in the message, between other fields.
static void write_elements(struct transcoder *transcoder, const struct schema_message *schema,
                           int position, struct slice message, int depth)
{
    struct wire_reader reader;
    struct wire_field field;
    const char *separator = "[";
    wire_reader_init(&reader, message);
    while (transcoder->json.failure == ERROR_NONE && wire_read_field(&reader, &field)) {
        if (schema_find(schema, &field) != position)
            continue;
        json_write_raw(&transcoder->json, slice_from_string(separator));
        write_value(transcoder, &schema->fields[position], &field, depth);
        separator = ",";
    }
    json_write_raw(&transcoder->json, SLICE("]"));
}

static void write_fields(struct transcoder *transcoder, const struct schema_message *schema,
                         const struct contents *contents, struct slice message, int depth)
{
    const char *separator = "";
    for (size_t i = 0; i < schema->field_count; i++) {
        if (!contents->is_present[i])
            continue;
        json_write_raw(&transcoder->json, slice_from_string(separator));
        json_write_string(&transcoder->json, slice_from_string(schema->fields[i].name));
        json_write_raw(&transcoder->json, SLICE(":"));
        if (schema->fields[i].is_repeated)
            write_elements(transcoder, schema, (int)i, message, depth);
        else
            write_value(transcoder, &schema->fields[i], &contents->fields[i], depth);
        separator = ",";
    }
}

static void write_message(struct transcoder *transcoder, const struct schema_message *schema,
                          struct slice message, int depth)
{
    struct contents contents;
    if (transcoder->json.failure != ERROR_NONE)
        return;
    if (depth > DEPTH_MAX) {
        fail_corrupt_request(transcoder, schema, "nested too deep");
        return;
    }
    if (!collect_fields(transcoder, schema, message, &contents))
        return;
    json_write_raw(&transcoder->json, SLICE("{"));
    write_fields(transcoder, schema, &contents, message, depth);
    json_write_raw(&transcoder->json, SLICE("}"));
}

enum error_code otlp_json_from_protobuf(struct slice request, struct buffer *out,
                                        struct error *error)
{
    struct transcoder transcoder = {.json = {.out = out, .failure = ERROR_NONE}, .error = error};
    size_t len = out->len;
    write_message(&transcoder, &schema_trace_request, request, 0);
    enum error_code code = transcoder.json.failure;
    if (code == ERROR_NONE)
        return ERROR_NONE;
    out->len = len;
    if (code != ERROR_CORRUPT)
        error_set(error, code, "write %zu bytes of OTLP as JSON (room for %zu bytes): %s",
                  request.len, out->max - out->len, error_code_text(code));
    return code;
}
