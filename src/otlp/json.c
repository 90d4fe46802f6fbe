// OTLP protobuf → OTLP JSON, driven by the schema.
#include <string.h>

#include "ghatrace/otlp/json.h"
#include "ghatrace/otlp/json_writer.h"
#include "ghatrace/otlp/schema.h"
#include "ghatrace/otlp/wire.h"

// Messages inside messages. A value of a span's attribute is the seventh; each array or list in it
// takes one or two more. What other encoders nest deeper is not worth the stack.
#define DEPTH_MAX 32

struct transcoder {
    struct json_writer json;
    struct error *error; // filled when something is corrupt
};

// What one message holds, by position in the schema. Of a field that is not repeated the last counts,
// of a oneof the last member (protobuf encoding, "Last One Wins").
struct contents {
    bool is_present[SCHEMA_FIELDS_MAX];
    struct wire_field fields[SCHEMA_FIELDS_MAX];
};

static void write_message(struct transcoder *transcoder, const struct schema_message *schema,
                          struct slice message, int depth);

static void fail_corrupt(struct transcoder *transcoder, const struct schema_message *schema,
                         const char *reason)
{
    if (transcoder->json.failure == ERROR_NONE)
        transcoder->json.failure =
            error_set(transcoder->error, ERROR_CORRUPT, "%s: %s", schema->name, reason);
}

static bool collect(struct transcoder *transcoder, const struct schema_message *schema,
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
        fail_corrupt(transcoder, schema, "cut short, or not protobuf");
    return !reader.is_corrupt;
}

// Numbers that a double cannot hold are strings in JSON.
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
    case SCHEMA_ENUM: // an int32, negative ones included
        json_write_int64(json, (int32_t)(uint32_t)field->integer);
        break;
    }
}

// The elements of a repeated field may stand anywhere in the message, between other fields.
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
        fail_corrupt(transcoder, schema, "nested too deep");
        return;
    }
    if (!collect(transcoder, schema, message, &contents))
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
