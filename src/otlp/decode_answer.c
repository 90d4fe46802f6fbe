// A collector's answer, in either encoding: how many spans it rejected, and why.
#include "ghatrace/base/utf8.h"
#include "ghatrace/github/json.h"
#include "ghatrace/otlp/decode.h"
#include "ghatrace/otlp/fields.h"
#include "ghatrace/otlp/wire.h"

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

// The text is for people and logs, so it is made valid UTF-8 whatever was sent.
static enum error_code copy_text(struct slice text, struct arena *arena, struct slice *out)
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
    return copy_text(field.bytes, arena, out);
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

// json_string() tells a wrong type from refused memory only after the type is known. Absent and null
// are an empty text (proto3 JSON mapping).
static enum error_code text_of(const struct json_document *document, json_value value,
                               struct arena *arena, struct slice *out)
{
    if (json_type_of(document, value) == JSON_NULL)
        return ERROR_NONE;
    if (json_type_of(document, value) != JSON_STRING)
        return ERROR_CORRUPT;
    return json_string(document, value, arena, out) ? ERROR_NONE : ERROR_MEMORY;
}

// An int64 is a decimal string, and a number is to be accepted too (proto3 JSON mapping).
static enum error_code integer_of(const struct json_document *document, json_value value,
                                  struct arena *arena, int64_t *out)
{
    long long parsed;
    struct slice text = SLICE_EMPTY;
    if (json_type_of(document, value) == JSON_NULL)
        return ERROR_NONE;
    if (json_type_of(document, value) == JSON_NUMBER)
        return json_int64(document, value, out) ? ERROR_NONE : ERROR_CORRUPT;
    enum error_code code = text_of(document, value, arena, &text);
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
    code = integer_of(&document, json_get(&document, partial_success, SLICE("rejectedSpans")),
                      arena, &response->rejected_spans);
    if (code != ERROR_NONE)
        return code;
    return text_of(&document, json_get(&document, partial_success, SLICE("errorMessage")), arena,
                   &response->error_message);
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
    if (integer_of(&document, number, arena, &status->code) == ERROR_MEMORY)
        return ERROR_MEMORY;
    return text_of(&document, json_get(&document, JSON_ROOT, SLICE("message")), arena,
                   &status->message);
}

// --- either ---------------------------------------------------------------------------------------

enum error_code otlp_decode_response(struct slice body, bool is_json, struct arena *arena,
                                     struct otlp_response *response)
{
    struct otlp_response read = {.rejected_spans = 0, .error_message = SLICE_EMPTY};
    *response = read;
    enum error_code code = is_json ? decode_response_json(body, arena, &read)
                                   : decode_response_protobuf(body, arena, &read);
    if (code != ERROR_NONE)
        return code;
    // It is added to a count of lost spans, and no span is lost less than not at all.
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
