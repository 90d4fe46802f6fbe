// Reads protobuf fields; decodes OTLP protobuf into spans, and a collector's response.
#include "ghatrace/otlp/decode.h"

#include <string.h>

#include "ghatrace/base/utf8.h"
#include "ghatrace/json/read.h"
#include "wire.h"

// --- reads protobuf fields from untrusted bytes ---------------------------------------------------

void wire_reader_init(struct wire_reader *reader, struct slice message)
{
    // Arithmetic on a NULL pointer is undefined, so it is avoided.
    const char *start = message.len > 0 ? message.data : "";
    *reader = (struct wire_reader){.position = start, .end = start + message.len};
}

static size_t remaining(const struct wire_reader *reader)
{
    return (size_t)(reader->end - reader->position);
}

// At most ten bytes, and no bits beyond the 64th. Tags and lengths: of `bits` 32, thus at most five bytes, as in Google's
// parsers.
static bool read_wire_varint(struct wire_reader *reader, unsigned bits, uint64_t *value)
{
    uint64_t result = 0;
    for (unsigned shift = 0; shift < bits && reader->position < reader->end; shift += 7) {
        uint8_t byte = (uint8_t)*reader->position++;
        if (shift == 63 && byte > 1)
            return false;
        result |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80) {
            *value = result;
            return true;
        }
    }
    return false;
}

static bool read_little_endian(struct wire_reader *reader, size_t len, uint64_t *value)
{
    if (remaining(reader) < len)
        return false;
    *value = 0;
    for (size_t i = 0; i < len; i++)
        *value |= (uint64_t)(uint8_t)reader->position[i] << (8 * i);
    reader->position += len;
    return true;
}

static bool read_length_delimited(struct wire_reader *reader, struct slice *bytes)
{
    uint64_t len;
    if (!read_wire_varint(reader, 32, &len) || len > remaining(reader))
        return false;
    *bytes = (struct slice){reader->position, (size_t)len};
    reader->position += len;
    return true;
}

static bool read_tag(struct wire_reader *reader, struct wire_field *field)
{
    uint64_t tag;
    if (!read_wire_varint(reader, 32, &tag) || tag > UINT32_MAX || tag >> 3 == 0)
        return false;
    field->number = (uint32_t)tag >> 3;
    field->type = (enum wire_type)(tag & 7);
    return true;
}

static bool read_content(struct wire_reader *reader, struct wire_field *field)
{
    switch (field->type) {
    case WIRE_VARINT:
        return read_wire_varint(reader, 64, &field->integer);
    case WIRE_FIXED64:
        return read_little_endian(reader, 8, &field->integer);
    case WIRE_FIXED32:
        return read_little_endian(reader, 4, &field->integer);
    case WIRE_BYTES:
        return read_length_delimited(reader, &field->bytes);
    }
    return false;
}

bool wire_read_field(struct wire_reader *reader, struct wire_field *field)
{
    *field = (struct wire_field){.number = 0};
    if (reader->is_corrupt || reader->position == reader->end)
        return false;
    if (read_tag(reader, field) && read_content(reader, field))
        return true;
    reader->is_corrupt = true;
    return false;
}

// --- decode ---------------------------------------------------------------------------------------
// Decodes a record that this program has made.
//
// Each message is read twice: once to count its repeated fields, so that each list needs a single allocation, and
// once to fill them.

struct decoder {
    struct arena *arena;
    struct error *error;
};

static enum error_code fail_corrupt_record(struct decoder *decoder, const char *what)
{
    return error_set(decoder->error, ERROR_CORRUPT, "decode OTLP record: %s", what);
}

static enum error_code fail_memory(struct decoder *decoder)
{
    return error_set(decoder->error, ERROR_MEMORY, "decode OTLP record: out of memory");
}

static bool is_bytes(const struct wire_field *field, uint32_t number)
{
    return field->number == number && field->type == WIRE_BYTES;
}

// The number of length-delimited fields with this number in the message. -1: it is damaged.
static int64_t count_fields(struct slice message, uint32_t number)
{
    struct wire_reader reader;
    struct wire_field field;
    int64_t count = 0;
    wire_reader_init(&reader, message);
    while (wire_read_field(&reader, &field))
        count += is_bytes(&field, number);
    return reader.is_corrupt ? -1 : count;
}

// --- attributes -----------------------------------------------------------------------------------

static bool read_string_value(struct slice value, struct slice *text)
{
    struct wire_reader reader;
    struct wire_field field;
    bool is_string = false;
    wire_reader_init(&reader, value);
    while (wire_read_field(&reader, &field)) {
        is_string = is_bytes(&field, ANY_VALUE_STRING);
        if (is_string)
            *text = field.bytes;
    }
    return is_string && !reader.is_corrupt;
}

static enum error_code read_strings(struct decoder *decoder, struct slice array,
                                    struct attribute *attribute)
{
    int64_t count = count_fields(array, ARRAY_VALUES);
    if (count < 0)
        return fail_corrupt_record(decoder, "array value");
    struct slice *items = arena_allocate_array(decoder->arena, (size_t)count, sizeof(*items));
    if (items == NULL)
        return fail_memory(decoder);
    attribute->type = ATTRIBUTE_STRINGS;
    attribute->strings.items = items;
    attribute->strings.count = 0;

    struct wire_reader reader;
    struct wire_field field;
    wire_reader_init(&reader, array);
    while (wire_read_field(&reader, &field)) {
        if (!is_bytes(&field, ARRAY_VALUES))
            continue;
        if (!read_string_value(field.bytes, &items[attribute->strings.count]))
            return fail_corrupt_record(decoder, "array value of something else than strings");
        attribute->strings.count++;
    }
    return ERROR_NONE;
}

// `has_value` stays false if the value has a type that the encoder never writes.
static enum error_code read_value(struct decoder *decoder, struct slice value,
                                  struct attribute *attribute, bool *has_value)
{
    struct wire_reader reader;
    struct wire_field field;
    enum error_code code = ERROR_NONE;
    wire_reader_init(&reader, value);
    while (code == ERROR_NONE && wire_read_field(&reader, &field)) {
        *has_value = true;
        if (is_bytes(&field, ANY_VALUE_STRING)) {
            attribute->type = ATTRIBUTE_STRING;
            attribute->string = field.bytes;
        } else if (field.number == ANY_VALUE_INT && field.type == WIRE_VARINT) {
            attribute->type = ATTRIBUTE_INT;
            attribute->integer = (int64_t)field.integer;
        } else if (field.number == ANY_VALUE_BOOL && field.type == WIRE_VARINT) {
            attribute->type = ATTRIBUTE_BOOL;
            attribute->boolean = field.integer != 0;
        } else if (is_bytes(&field, ANY_VALUE_ARRAY)) {
            code = read_strings(decoder, field.bytes, attribute);
        } else {
            *has_value = false;
        }
    }
    return reader.is_corrupt ? fail_corrupt_record(decoder, "attribute value") : code;
}

// The model's keys are NUL-terminated, so keys are the only strings that are copied.
static enum error_code copy_key(struct decoder *decoder, struct slice key, const char **out)
{
    char *copy = arena_allocate(decoder->arena, key.len + 1);
    if (copy == NULL)
        return fail_memory(decoder);
    if (key.len > 0)
        memcpy(copy, key.data, key.len);
    copy[key.len] = '\0';
    *out = copy;
    return ERROR_NONE;
}

static enum error_code read_record_attribute(struct decoder *decoder, struct slice pair,
                                             struct attribute *attribute, bool *has_value)
{
    struct wire_reader reader;
    struct wire_field field;
    struct slice key = SLICE_EMPTY;
    enum error_code code = ERROR_NONE;
    *has_value = false;
    wire_reader_init(&reader, pair);
    while (code == ERROR_NONE && wire_read_field(&reader, &field)) {
        if (is_bytes(&field, KEY_VALUE_KEY))
            key = field.bytes;
        else if (is_bytes(&field, KEY_VALUE_VALUE))
            code = read_value(decoder, field.bytes, attribute, has_value);
    }
    if (reader.is_corrupt)
        return fail_corrupt_record(decoder, "attribute");
    if (code == ERROR_NONE && *has_value)
        code = copy_key(decoder, key, &attribute->key);
    return code;
}

static enum error_code read_attributes(struct decoder *decoder, struct slice message,
                                       uint32_t number, struct attributes *attributes)
{
    int64_t count = count_fields(message, number);
    if (count < 0)
        return fail_corrupt_record(decoder, "list of attributes");
    attributes->count = 0;
    attributes->capacity = (size_t)count;
    attributes->items =
        arena_allocate_array(decoder->arena, (size_t)count, sizeof(*attributes->items));
    if (attributes->items == NULL)
        return fail_memory(decoder);

    struct wire_reader reader;
    struct wire_field field;
    enum error_code code = ERROR_NONE;
    wire_reader_init(&reader, message);
    while (code == ERROR_NONE && wire_read_field(&reader, &field)) {
        bool has_value = false;
        if (!is_bytes(&field, number))
            continue;
        code = read_record_attribute(decoder, field.bytes, &attributes->items[attributes->count],
                                     &has_value);
        attributes->count += has_value;
    }
    return code;
}

// --- spans ----------------------------------------------------------------------------------------

static bool read_id(struct slice bytes, uint8_t *id, size_t len)
{
    if (bytes.len != len)
        return false;
    memcpy(id, bytes.data, len);
    return true;
}

// Times up to the year 2262, the range of timestamp_ns.
static timestamp_ns time_of(uint64_t nanoseconds)
{
    return nanoseconds <= INT64_MAX ? (timestamp_ns)nanoseconds : INT64_MAX;
}

static enum error_code read_span_status(struct decoder *decoder, struct slice message,
                                        struct span *span)
{
    struct wire_reader reader;
    struct wire_field field;
    wire_reader_init(&reader, message);
    while (wire_read_field(&reader, &field)) {
        if (field.number == STATUS_CODE && field.type == WIRE_VARINT)
            span->status =
                field.integer == SPAN_STATUS_ERROR ? SPAN_STATUS_ERROR : SPAN_STATUS_UNSET;
        else if (is_bytes(&field, STATUS_MESSAGE))
            span->status_message = field.bytes;
    }
    return reader.is_corrupt ? fail_corrupt_record(decoder, "status") : ERROR_NONE;
}

static enum error_code read_link(struct decoder *decoder, struct slice message, struct span *span)
{
    struct wire_reader reader;
    struct wire_field field;
    bool has_trace = false;
    bool has_span = false;
    wire_reader_init(&reader, message);
    while (wire_read_field(&reader, &field)) {
        if (is_bytes(&field, LINK_TRACE_ID))
            has_trace = read_id(field.bytes, span->link_trace_id.bytes, TRACE_ID_SIZE);
        else if (is_bytes(&field, LINK_SPAN_ID))
            has_span = read_id(field.bytes, span->link_span_id.bytes, SPAN_ID_SIZE);
    }
    span->has_link = true;
    return reader.is_corrupt || !has_trace || !has_span ? fail_corrupt_record(decoder, "link")
                                                        : ERROR_NONE;
}

// The fields of type `bytes`, `string` and message. ERROR_CORRUPT for an ID of the wrong length.
static enum error_code read_span_bytes(struct decoder *decoder, const struct wire_field *field,
                                       struct span *span)
{
    bool is_valid = true;
    switch (field->number) {
    case SPAN_TRACE_ID:
        is_valid = read_id(field->bytes, span->trace_id.bytes, TRACE_ID_SIZE);
        break;
    case SPAN_SPAN_ID:
        is_valid = read_id(field->bytes, span->span_id.bytes, SPAN_ID_SIZE);
        break;
    case SPAN_PARENT_SPAN_ID:
        span->has_parent = field->bytes.len > 0; // "empty if this is a root span"
        is_valid = !span->has_parent || read_id(field->bytes, span->parent_id.bytes, SPAN_ID_SIZE);
        break;
    case SPAN_NAME:
        span->name = field->bytes;
        break;
    case SPAN_LINKS:
        return read_link(decoder, field->bytes, span);
    case SPAN_STATUS:
        return read_span_status(decoder, field->bytes, span);
    default:
        break;
    }
    return is_valid ? ERROR_NONE : fail_corrupt_record(decoder, "ID of the wrong length");
}

static void read_span_number(const struct wire_field *field, struct span *span)
{
    if (field->number == SPAN_KIND && field->type == WIRE_VARINT)
        span->kind = field->integer == SPAN_KIND_SERVER ? SPAN_KIND_SERVER : SPAN_KIND_INTERNAL;
    else if (field->number == SPAN_START_TIME && field->type == WIRE_FIXED64)
        span->start = time_of(field->integer);
    else if (field->number == SPAN_END_TIME && field->type == WIRE_FIXED64)
        span->end = time_of(field->integer);
}

static enum error_code read_span(struct decoder *decoder, struct slice message, struct span *span)
{
    struct wire_reader reader;
    struct wire_field field;
    bool has_trace = false;
    bool has_span = false;
    enum error_code code = ERROR_NONE;
    *span = (struct span){.kind = SPAN_KIND_INTERNAL, .status = SPAN_STATUS_UNSET};
    wire_reader_init(&reader, message);
    while (code == ERROR_NONE && wire_read_field(&reader, &field)) {
        has_trace = has_trace || is_bytes(&field, SPAN_TRACE_ID);
        has_span = has_span || is_bytes(&field, SPAN_SPAN_ID);
        if (field.type == WIRE_BYTES)
            code = read_span_bytes(decoder, &field, span);
        else
            read_span_number(&field, span);
    }
    if (code != ERROR_NONE)
        return code;
    if (reader.is_corrupt || !has_trace || !has_span)
        return fail_corrupt_record(decoder, "span");
    if (span->end < span->start)
        span->end = span->start;
    return read_attributes(decoder, message, SPAN_ATTRIBUTES, &span->attributes);
}

// Undoes what the encoder does to runs, jobs and steps of zero length: the time that is a whole microsecond is theirs.
static void take_back_length(struct span *span, struct span_batch *batch)
{
    if (span->end - span->start != 1)
        return;
    if (span->start % NS_PER_US == 0) {
        span->end = span->start;
    } else if (span->end % NS_PER_US == 0) { // a step at the end of its job
        batch->job_start = span->start;
        batch->job_end = span->end;
        span->start = span->end;
    }
}

// --- the envelope ---------------------------------------------------------------------------------

static bool count_spans(struct slice resource_spans, size_t *count)
{
    struct wire_reader reader;
    struct wire_field field;
    *count = 0;
    wire_reader_init(&reader, resource_spans);
    while (wire_read_field(&reader, &field)) {
        if (!is_bytes(&field, RESOURCE_SPANS_SCOPE_SPANS))
            continue;
        int64_t spans = count_fields(field.bytes, SCOPE_SPANS_SPANS);
        if (spans < 0)
            return false;
        *count += (size_t)spans;
    }
    return !reader.is_corrupt;
}

static enum error_code read_scope_spans(struct decoder *decoder, struct slice scope_spans,
                                        struct span_batch *batch)
{
    struct wire_reader reader;
    struct wire_field field;
    enum error_code code = ERROR_NONE;
    wire_reader_init(&reader, scope_spans);
    while (code == ERROR_NONE && wire_read_field(&reader, &field)) {
        if (!is_bytes(&field, SCOPE_SPANS_SPANS))
            continue;
        struct span *span = &batch->spans[batch->span_count++];
        code = read_span(decoder, field.bytes, span);
        take_back_length(span, batch);
    }
    return code;
}

static enum error_code read_resource_spans(struct decoder *decoder, struct slice message,
                                           struct span_batch *batch)
{
    size_t span_count;
    if (!count_spans(message, &span_count))
        return fail_corrupt_record(decoder, "resource spans");
    batch->spans = arena_allocate_array(decoder->arena, span_count, sizeof(*batch->spans));
    if (batch->spans == NULL)
        return fail_memory(decoder);

    struct wire_reader reader;
    struct wire_field field;
    enum error_code code = ERROR_NONE;
    wire_reader_init(&reader, message);
    while (code == ERROR_NONE && wire_read_field(&reader, &field)) {
        if (is_bytes(&field, RESOURCE_SPANS_RESOURCE))
            code = read_attributes(decoder, field.bytes, RESOURCE_ATTRIBUTES, &batch->resource);
        else if (is_bytes(&field, RESOURCE_SPANS_SCOPE_SPANS))
            code = read_scope_spans(decoder, field.bytes, batch);
    }
    return code;
}

enum error_code otlp_decode_batch(struct slice record, struct arena *arena,
                                  struct span_batch *batch, struct error *error)
{
    struct decoder decoder = {.arena = arena, .error = error};
    struct wire_reader reader;
    struct wire_field field;
    *batch = (struct span_batch){.span_count = 0};
    wire_reader_init(&reader, record);
    if (!wire_read_field(&reader, &field) || !is_bytes(&field, REQUEST_RESOURCE_SPANS))
        return fail_corrupt_record(&decoder, "it does not begin with resource spans");
    if (reader.position != reader.end)
        return fail_corrupt_record(&decoder, "something follows the resource spans");
    return read_resource_spans(&decoder, field.bytes, batch);
}

// --- decoding responses ---------------------------------------------------------------------------
// A collector's response, in either encoding: how many spans it rejected, and why.

// --- protobuf -------------------------------------------------------------------------------------

// The last field of the message with this number and type. False: the message is damaged.
static bool find_field(struct slice message, uint32_t number, enum wire_type type,
                       struct wire_field *found)
{
    struct wire_reader reader;
    struct wire_field field;
    *found = (struct wire_field){.number = 0};
    wire_reader_init(&reader, message);
    while (wire_read_field(&reader, &field)) {
        if (field.number == number && field.type == type)
            *found = field;
    }
    return !reader.is_corrupt;
}

// The text is for logs and users, so it is made valid UTF-8.
static enum error_code copy_valid_text(struct slice text, struct arena *arena, struct slice *out)
{
    if (text.len > SIZE_MAX / 3)
        return ERROR_CORRUPT;
    char *copy = arena_allocate(arena, 3 * text.len);
    if (copy == NULL)
        return ERROR_MEMORY;
    *out = (struct slice){copy, utf8_sanitize(text, copy)};
    return ERROR_NONE;
}

static enum error_code find_text(struct slice message, uint32_t number, struct arena *arena,
                                 struct slice *out)
{
    struct wire_field field;
    if (!find_field(message, number, WIRE_BYTES, &field))
        return ERROR_CORRUPT;
    return copy_valid_text(field.bytes, arena, out);
}

static enum error_code decode_response_protobuf(struct slice body, struct arena *arena,
                                                struct otlp_response *response)
{
    struct wire_field partial_success, rejected;
    if (!find_field(body, RESPONSE_PARTIAL_SUCCESS, WIRE_BYTES, &partial_success) ||
        !find_field(partial_success.bytes, PARTIAL_SUCCESS_REJECTED_SPANS, WIRE_VARINT, &rejected))
        return ERROR_CORRUPT;
    response->rejected_spans = (int64_t)rejected.integer;
    return find_text(partial_success.bytes, PARTIAL_SUCCESS_ERROR_MESSAGE, arena,
                     &response->error_message);
}

// --- JSON -----------------------------------------------------------------------------------------

static enum error_code parse_object(struct slice body, struct arena *arena,
                                    struct json_document *document)
{
    enum error_code code = json_parse(body, arena, document, NULL);
    if (code == ERROR_MEMORY)
        return code;
    if (code != ERROR_NONE || json_type_of(document, JSON_ROOT) != JSON_OBJECT)
        return ERROR_CORRUPT;
    return ERROR_NONE;
}

// json_string() distinguishes a wrong type from lack of memory only after the type was checked. Absent and null mean
// an empty text (proto3 JSON mapping).
static enum error_code read_json_text(const struct json_document *document, json_value value,
                                      struct arena *arena, struct slice *out)
{
    if (json_type_of(document, value) == JSON_NULL)
        return ERROR_NONE;
    if (json_type_of(document, value) != JSON_STRING)
        return ERROR_CORRUPT;
    return json_string(document, value, arena, out) ? ERROR_NONE : ERROR_MEMORY;
}

// An int64 is a decimal string, and a number must be accepted as well (proto3 JSON mapping).
static enum error_code read_json_integer(const struct json_document *document, json_value value,
                                         struct arena *arena, int64_t *out)
{
    long long parsed;
    struct slice text = SLICE_EMPTY;
    if (json_type_of(document, value) == JSON_NULL)
        return ERROR_NONE;
    if (json_type_of(document, value) == JSON_NUMBER)
        return json_int64(document, value, out) ? ERROR_NONE : ERROR_CORRUPT;
    enum error_code code = read_json_text(document, value, arena, &text);
    if (code != ERROR_NONE)
        return code;
    if (!slice_parse_int64(text, &parsed))
        return ERROR_CORRUPT;
    *out = parsed;
    return ERROR_NONE;
}

static enum error_code decode_response_json(struct slice body, struct arena *arena,
                                            struct otlp_response *response)
{
    struct json_document document;
    enum error_code code = parse_object(body, arena, &document);
    if (code != ERROR_NONE)
        return code;
    json_value partial_success = json_get(&document, JSON_ROOT, SLICE("partialSuccess"));
    if (json_type_of(&document, partial_success) == JSON_NULL)
        return ERROR_NONE;
    if (json_type_of(&document, partial_success) != JSON_OBJECT)
        return ERROR_CORRUPT;
    code =
        read_json_integer(&document, json_get(&document, partial_success, SLICE("rejectedSpans")),
                          arena, &response->rejected_spans);
    if (code == ERROR_NONE && response->rejected_spans == 0)
        code = read_json_integer(&document,
                                 json_get(&document, partial_success, SLICE("rejectedDataPoints")),
                                 arena, &response->rejected_spans);
    if (code != ERROR_NONE)
        return code;
    return read_json_text(&document, json_get(&document, partial_success, SLICE("errorMessage")),
                          arena, &response->error_message);
}

static enum error_code decode_status_protobuf(struct slice body, struct arena *arena,
                                              struct otlp_status *status)
{
    struct wire_field code;
    if (!find_field(body, RPC_STATUS_CODE, WIRE_VARINT, &code))
        return ERROR_CORRUPT;
    status->code = (int64_t)code.integer;
    return find_text(body, RPC_STATUS_MESSAGE, arena, &status->message);
}

static enum error_code decode_status_json(struct slice body, struct arena *arena,
                                          struct otlp_status *status)
{
    struct json_document document;
    enum error_code code = parse_object(body, arena, &document);
    if (code != ERROR_NONE)
        return code;
    json_value number = json_get(&document, JSON_ROOT, SLICE("code"));
    if (read_json_integer(&document, number, arena, &status->code) == ERROR_MEMORY)
        return ERROR_MEMORY;
    return read_json_text(&document, json_get(&document, JSON_ROOT, SLICE("message")), arena,
                          &status->message);
}

// --- either encoding ------------------------------------------------------------------------------

enum error_code otlp_decode_response(struct slice body, bool is_json, struct arena *arena,
                                     struct otlp_response *response)
{
    struct otlp_response read = {.rejected_spans = 0, .error_message = SLICE_EMPTY};
    *response = read;
    enum error_code code = is_json ? decode_response_json(body, arena, &read)
                                   : decode_response_protobuf(body, arena, &read);
    if (code != ERROR_NONE)
        return code;
    // It is added to a count of lost spans, so it must not be negative.
    if (read.rejected_spans < 0)
        return ERROR_CORRUPT;
    *response = read;
    return ERROR_NONE;
}

enum error_code otlp_decode_status(struct slice body, bool is_json, struct arena *arena,
                                   struct otlp_status *status)
{
    struct otlp_status read = {.code = 0, .message = SLICE_EMPTY};
    *status = read;
    enum error_code code = is_json ? decode_status_json(body, arena, &read)
                                   : decode_status_protobuf(body, arena, &read);
    if (code == ERROR_NONE)
        *status = read;
    return code;
}

// --- details of a status --------------------------------------------------------------------------

#define RETRY_INFO_TYPE "/google.rpc.RetryInfo"
#define DELAY_SECONDS_MAX ((int64_t)1 << 30) // more makes no difference, and this cannot overflow

// google.protobuf.Duration: both parts have the same sign.
static bool read_duration(struct slice message, duration_ns *duration)
{
    struct wire_field seconds, nanos;
    if (!find_field(message, DURATION_SECONDS, WIRE_VARINT, &seconds) ||
        !find_field(message, DURATION_NANOS, WIRE_VARINT, &nanos))
        return false;
    int64_t whole = (int64_t)seconds.integer;
    int64_t part = (int64_t)nanos.integer;
    if (whole < 0 || part < 0)
        whole = part = 0;
    if (whole > DELAY_SECONDS_MAX)
        whole = DELAY_SECONDS_MAX;
    *duration = whole * NS_PER_SECOND + (part < NS_PER_SECOND ? part : 0);
    return true;
}

// google.protobuf.Any with a RetryInfo.
static bool read_retry_info(struct slice any, duration_ns *delay)
{
    struct wire_field type, message, duration;
    return find_field(any, ANY_TYPE_URL, WIRE_BYTES, &type) &&
           slice_ends_with(type.bytes, SLICE(RETRY_INFO_TYPE)) &&
           find_field(any, ANY_MESSAGE, WIRE_BYTES, &message) &&
           find_field(message.bytes, RETRY_INFO_DELAY, WIRE_BYTES, &duration) &&
           read_duration(duration.bytes, delay);
}

bool otlp_decode_retry_info(struct slice status, duration_ns *delay)
{
    struct wire_reader reader;
    struct wire_field field;
    bool is_found = false;
    *delay = 0;
    wire_reader_init(&reader, status);
    while (!is_found && wire_read_field(&reader, &field))
        is_found = is_bytes(&field, RPC_STATUS_DETAILS) && read_retry_info(field.bytes, delay);
    return is_found;
}
