// Converts OTLP protobuf to JSON, and JSON to protobuf, controlled by the schema.
#include "ghatrace/otlp/json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ghatrace/base/digest.h"
#include "ghatrace/json/read.h"
#include "ghatrace/json/write.h"
#include "schema.h"
#include "wire.h"

// --- conversion of OTLP protobuf to OTLP JSON, controlled by the schema ---------------------------

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

// The index in `message->fields` of the field that was read, or -1: unknown, or not of the schema's wire type, which
// protobuf treats as unknown.
static int find_field_position(const struct schema_message *message, const struct wire_field *field)
{
    int position = schema_find(message, field->number);
    return position >= 0 && schema_wire_type(message->fields[position].kind) == field->type
               ? position
               : -1;
}

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
        int position = find_field_position(schema, &field);
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
static void write_quoted_number(struct json_writer *json, enum schema_kind kind, uint64_t value)
{
    json_write_raw(json, SLICE("\""));
    if (kind == SCHEMA_INT64 || kind == SCHEMA_SFIXED64)
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

// The elements of a packed field, of eight bytes each (protobuf encoding, "Packed Repeated Fields").
static void write_packed(struct transcoder *transcoder, const struct schema_field *schema,
                         struct slice elements)
{
    const char *separator = "";
    if (elements.len % sizeof(uint64_t) != 0 && transcoder->json.failure == ERROR_NONE)
        transcoder->json.failure = error_set(transcoder->error, ERROR_CORRUPT,
                                             "%s: not a number of whole elements", schema->name);
    json_write_raw(&transcoder->json, SLICE("["));
    for (size_t at = 0; at + sizeof(uint64_t) <= elements.len; at += sizeof(uint64_t)) {
        uint64_t bits = 0;
        for (size_t i = sizeof(bits); i-- > 0;)
            bits = bits << 8 | (uint8_t)elements.data[at + i];
        json_write_raw(&transcoder->json, slice_from_string(separator));
        if (schema->kind == SCHEMA_PACKED_DOUBLE)
            json_write_double(&transcoder->json, double_of(bits));
        else
            write_quoted_number(&transcoder->json, SCHEMA_FIXED64, bits);
        separator = ",";
    }
    json_write_raw(&transcoder->json, SLICE("]"));
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
    case SCHEMA_TRACE_ID:
    case SCHEMA_SPAN_ID:
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
    case SCHEMA_SFIXED64:
        write_quoted_number(json, schema->kind, field->integer);
        break;
    case SCHEMA_DOUBLE:
        json_write_double(json, double_of(field->integer));
        break;
    case SCHEMA_UINT32:
    case SCHEMA_FIXED32:
        json_write_uint64(json, (uint32_t)field->integer);
        break;
    case SCHEMA_PACKED_FIXED64:
    case SCHEMA_PACKED_DOUBLE:
        write_packed(transcoder, schema, field->bytes);
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
        if (find_field_position(schema, &field) != position)
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
    if (depth > SCHEMA_DEPTH_MAX) {
        fail_corrupt_request(transcoder, schema, "nested too deep");
        return;
    }
    if (!collect_fields(transcoder, schema, message, &contents))
        return;
    json_write_raw(&transcoder->json, SLICE("{"));
    write_fields(transcoder, schema, &contents, message, depth);
    json_write_raw(&transcoder->json, SLICE("}"));
}

static enum error_code write_request(const struct schema_message *schema, struct slice request,
                                     struct buffer *out, struct error *error)
{
    struct transcoder transcoder = {.json = {.out = out, .failure = ERROR_NONE}, .error = error};
    size_t len = out->len;
    write_message(&transcoder, schema, request, 0);
    enum error_code code = transcoder.json.failure;
    if (code == ERROR_NONE)
        return ERROR_NONE;
    out->len = len;
    if (code != ERROR_CORRUPT)
        error_set(error, code, "write %zu bytes of OTLP as JSON (room for %zu bytes): %s",
                  request.len, out->max - out->len, error_code_text(code));
    return code;
}

enum error_code otlp_json_from_protobuf(struct slice request, struct buffer *out,
                                        struct error *error)
{
    return write_request(&schema_trace_request, request, out, error);
}

enum error_code otlp_json_from_metrics(struct slice request, struct buffer *out,
                                       struct error *error)
{
    return write_request(&schema_metrics_request, request, out, error);
}

// --- conversion of OTLP JSON to OTLP protobuf, controlled by the schema ---------------------------

// Fields are written from the last to the first, as wire.h demands.
struct reverse_transcoder {
    struct json_document document;
    struct arena *arena;
    struct wire_writer writer;
    struct error *error;
    enum error_code code; // the first failure but the writer's
};

static void put_message(struct reverse_transcoder *transcoder, const struct schema_message *schema,
                        json_value object, int depth);

static void fail_value(struct reverse_transcoder *transcoder, const struct schema_message *message,
                       const char *field, const char *reason)
{
    if (transcoder->code == ERROR_NONE)
        transcoder->code =
            error_set(transcoder->error, ERROR_CORRUPT, "%s: %s: %s", message->name, field, reason);
}

static void fail_without_memory(struct reverse_transcoder *transcoder)
{
    transcoder->code =
        error_set(transcoder->error, ERROR_MEMORY, "read OTLP from JSON: out of memory");
}

static void *allocate_items(struct reverse_transcoder *transcoder, size_t count, size_t size)
{
    void *items = arena_allocate_array(transcoder->arena, count, size);
    if (items == NULL)
        fail_without_memory(transcoder);
    return items;
}

// False: not a string. Without memory it is empty, and `code` is set.
static bool read_json_string(struct reverse_transcoder *transcoder, json_value value,
                             struct slice *text)
{
    *text = SLICE_EMPTY;
    if (json_type_of(&transcoder->document, value) != JSON_STRING)
        return false;
    if (!json_string(&transcoder->document, value, transcoder->arena, text))
        fail_without_memory(transcoder);
    return true;
}

// Hexadecimal in either case. Lengths are the decoder's concern.
static bool read_hex(struct reverse_transcoder *transcoder, json_value value, struct slice *bytes)
{
    struct slice text;
    if (!read_json_string(transcoder, value, &text))
        return false;
    uint8_t *decoded = allocate_items(transcoder, text.len / 2, 1);
    *bytes = slice_of_bytes(decoded, decoded != NULL ? text.len / 2 : 0);
    return decoded == NULL || hex_decode(text.data, text.len, decoded, text.len / 2);
}

// "Either standard or URL-safe base64 encoding with/without paddings are accepted" (proto3 JSON mapping).
static bool read_base64(struct reverse_transcoder *transcoder, json_value value,
                        struct slice *bytes)
{
    struct slice text;
    size_t len = 0;
    *bytes = SLICE_EMPTY;
    if (!read_json_string(transcoder, value, &text))
        return false;
    while (slice_ends_with(text, SLICE("=")))
        text.len--;
    size_t padded_len = (text.len + 3) / 4 * 4;
    char *padded = allocate_items(transcoder, padded_len + 1, 1);
    char *decoded = allocate_items(transcoder, padded_len + 1, 1);
    if (padded == NULL || decoded == NULL)
        return true;
    for (size_t i = 0; i < padded_len; i++) {
        char c = i < text.len ? text.data[i] : '=';
        padded[i] = c == '-' ? '+' : c == '_' ? '/' : c;
    }
    if (!base64_decode((struct slice){padded, padded_len}, decoded, padded_len, &len))
        return false;
    *bytes = (struct slice){decoded, len};
    return true;
}

// The digits of a number, or of a number in a string.
static struct slice read_number_text(struct reverse_transcoder *transcoder, json_value value)
{
    struct slice text;
    if (read_json_string(transcoder, value, &text))
        return text;
    return json_number_text(&transcoder->document, value);
}

// Digits only, up to 2^64 - 1.
static bool parse_uint64(struct slice text, uint64_t *out)
{
    uint64_t value = 0;
    for (size_t i = 0; i < text.len; i++) {
        unsigned digit = (unsigned)(text.data[i] - '0');
        if (!ascii_is_digit(text.data[i]) || value > (UINT64_MAX - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    *out = value;
    return text.len > 0;
}

// In bits of its wire type. Numbers may be in any notation (1e3), strings are decimal digits. "The names of enum values
// ... are not allowed" (OTLP), so strings are no enums.
static bool read_integer_bits(struct reverse_transcoder *transcoder, enum schema_kind kind,
                              json_value value, uint64_t *bits)
{
    struct slice text = read_number_text(transcoder, value);
    long long parsed;
    int64_t number;
    if (kind == SCHEMA_ENUM && json_type_of(&transcoder->document, value) != JSON_NUMBER)
        return false;
    if (kind == SCHEMA_FIXED64 && parse_uint64(text, bits))
        return true;
    if (slice_parse_int64(text, &parsed))
        number = parsed;
    else if (!json_int64(&transcoder->document, value, &number))
        return false;
    *bits = (uint64_t)number;
    if (kind == SCHEMA_INT64)
        return true;
    if (kind == SCHEMA_ENUM)
        return number >= INT32_MIN && number <= INT32_MAX;
    return number >= 0 && (kind == SCHEMA_FIXED64 || number <= UINT32_MAX);
}

static bool parse_finite(struct reverse_transcoder *transcoder, struct slice text, double *number)
{
    char *copy = allocate_items(transcoder, text.len + 1, 1);
    char *end = copy;
    if (copy == NULL)
        return true;
    memcpy(copy, text.data, text.len);
    // The program never calls setlocale(), so the decimal point is '.'.
    *number = strtod(copy, &end);
    return end == copy + text.len && isfinite(*number);
}

// True if strtod() reads it as JSON would: no hexadecimal, no blanks, no "inf".
static bool has_decimal_characters(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        if (!ascii_is_digit(text.data[i]) && memchr("+-.eE", text.data[i], 5) == NULL)
            return false;
    }
    return text.len > 0;
}

static bool read_double(struct reverse_transcoder *transcoder, json_value value, uint64_t *bits)
{
    struct slice text = read_number_text(transcoder, value);
    double number = 0;
    if (slice_equals(text, SLICE("NaN")))
        number = (double)NAN;
    else if (slice_equals(text, SLICE("Infinity")))
        number = (double)INFINITY;
    else if (slice_equals(text, SLICE("-Infinity")))
        number = -(double)INFINITY;
    else if (!has_decimal_characters(text) || !parse_finite(transcoder, text, &number))
        return false;
    memcpy(bits, &number, sizeof *bits);
    return true;
}

static bool read_bool(struct reverse_transcoder *transcoder, json_value value, uint64_t *bits)
{
    enum json_type type = json_type_of(&transcoder->document, value);
    *bits = type == JSON_TRUE;
    return type == JSON_TRUE || type == JSON_FALSE;
}

static bool put_json_number(struct reverse_transcoder *transcoder, const struct schema_field *field,
                            json_value value)
{
    uint64_t bits = 0;
    bool is_good = field->kind == SCHEMA_DOUBLE ? read_double(transcoder, value, &bits)
                   : field->kind == SCHEMA_BOOL
                       ? read_bool(transcoder, value, &bits)
                       : read_integer_bits(transcoder, field->kind, value, &bits);
    enum wire_type type = schema_wire_type(field->kind);
    if (is_good && type == WIRE_FIXED64)
        wire_put_fixed64(&transcoder->writer, field->number, bits);
    else if (is_good && type == WIRE_FIXED32)
        wire_put_fixed32(&transcoder->writer, field->number, (uint32_t)bits);
    else if (is_good)
        wire_put_varint(&transcoder->writer, field->number, bits);
    return is_good;
}

static bool put_text(struct reverse_transcoder *transcoder, const struct schema_field *field,
                     json_value value)
{
    struct slice bytes;
    bool is_good = field->kind == SCHEMA_STRING  ? read_json_string(transcoder, value, &bytes)
                   : field->kind == SCHEMA_BYTES ? read_base64(transcoder, value, &bytes)
                                                 : read_hex(transcoder, value, &bytes);
    if (is_good)
        wire_put_bytes(&transcoder->writer, field->number, bytes);
    return is_good;
}

static void put_value(struct reverse_transcoder *transcoder, const struct schema_message *message,
                      const struct schema_field *field, json_value value, int depth)
{
    if (field->kind == SCHEMA_MESSAGE) {
        size_t mark = transcoder->writer.len;
        put_message(transcoder, field->message, value, depth + 1);
        wire_put_message(&transcoder->writer, field->number, mark);
        return;
    }
    bool is_good = schema_wire_type(field->kind) == WIRE_BYTES
                       ? put_text(transcoder, field, value)
                       : put_json_number(transcoder, field, value);
    if (!is_good)
        fail_value(transcoder, message, field->name, "not a valid value");
}

static void put_elements(struct reverse_transcoder *transcoder,
                         const struct schema_message *message, const struct schema_field *field,
                         json_value array, int depth)
{
    const struct json_document *document = &transcoder->document;
    if (json_type_of(document, array) != JSON_ARRAY) {
        fail_value(transcoder, message, field->name, "not an array");
        return;
    }
    size_t count = 0;
    json_value *elements =
        allocate_items(transcoder, json_count(document, array), sizeof *elements);
    json_value element = elements != NULL ? json_first_element(document, array) : JSON_NONE;
    for (; element != JSON_NONE; element = json_next_element(document, element))
        elements[count++] = element;
    while (count > 0 && transcoder->code == ERROR_NONE)
        put_value(transcoder, message, field, elements[--count], depth);
}

// The members of an object that the schema knows, and that are not null.
struct members {
    size_t count;
    struct member {
        const struct schema_field *field;
        json_value value;
    } * items;
};

static const struct schema_field *find_by_name(const struct schema_message *schema,
                                               struct slice name)
{
    for (size_t i = 0; i < schema->field_count; i++) {
        if (slice_equals(slice_from_string(schema->fields[i].name), name))
            return &schema->fields[i];
    }
    return NULL;
}

static struct members collect_members(struct reverse_transcoder *transcoder,
                                      const struct schema_message *schema, json_value object)
{
    const struct json_document *document = &transcoder->document;
    struct members members = {.count = 0};
    char scratch[JSON_KEY_MAX];
    size_t known = 0;
    json_value key = json_first_key(document, object);
    for (; key != JSON_NONE; key = json_next_key(document, key))
        known += find_by_name(schema, json_key_text(document, key, scratch)) != NULL;
    members.items = allocate_items(transcoder, known, sizeof *members.items);
    if (members.items == NULL)
        return members;
    for (key = json_first_key(document, object); key != JSON_NONE;
         key = json_next_key(document, key)) {
        const struct schema_field *field =
            find_by_name(schema, json_key_text(document, key, scratch));
        json_value value = json_key_value(document, key);
        if (field != NULL && json_type_of(document, value) != JSON_NULL)
            members.items[members.count++] = (struct member){field, value};
    }
    return members;
}

static void put_message(struct reverse_transcoder *transcoder, const struct schema_message *schema,
                        json_value object, int depth)
{
    if (transcoder->code != ERROR_NONE)
        return;
    if (json_type_of(&transcoder->document, object) != JSON_OBJECT) {
        fail_value(transcoder, schema, "message", "not an object");
        return;
    }
    if (depth > SCHEMA_DEPTH_MAX) {
        fail_value(transcoder, schema, "message", "nested too deep");
        return;
    }
    struct members members = collect_members(transcoder, schema, object);
    while (members.count > 0 && transcoder->code == ERROR_NONE) {
        struct member member = members.items[--members.count];
        if (member.field->is_repeated)
            put_elements(transcoder, schema, member.field, member.value, depth);
        else
            put_value(transcoder, schema, member.field, member.value, depth);
    }
}

static enum error_code parse_request(struct slice json, struct reverse_transcoder *transcoder)
{
    enum error_code code =
        json_parse(json, transcoder->arena, &transcoder->document, transcoder->error);
    if (code == ERROR_INVALID && transcoder->error != NULL)
        transcoder->error->code = ERROR_CORRUPT;
    return code == ERROR_INVALID ? ERROR_CORRUPT : code;
}

// Each byte of JSON makes at most three of protobuf: an invalid one is replaced.
#define EXPANSION_MAX 3

enum error_code otlp_protobuf_from_json(struct slice json, struct arena *arena,
                                        struct slice *request, struct error *error)
{
    struct reverse_transcoder transcoder = {.arena = arena, .error = error};
    *request = SLICE_EMPTY;
    enum error_code code = parse_request(json, &transcoder);
    if (code != ERROR_NONE)
        return code;
    wire_writer_init(&transcoder.writer, EXPANSION_MAX * json.len);
    put_message(&transcoder, &schema_trace_request, JSON_ROOT, 0);
    code = transcoder.code;
    if (code == ERROR_NONE)
        code = transcoder.writer.failure;
    if (code == ERROR_NONE &&
        !arena_copy_slice(arena, wire_writer_slice(&transcoder.writer), request))
        code = ERROR_MEMORY;
    wire_writer_release(&transcoder.writer);
    if (code != ERROR_NONE && code != transcoder.code)
        error_set(error, code, "read OTLP from JSON: %s", error_code_text(code));
    return code;
}
