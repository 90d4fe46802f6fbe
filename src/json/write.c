// Writes JSON.
#include "ghatrace/json/write.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "ghatrace/base/slice.h"
#include "ghatrace/base/utf8.h"

// --- JSON values as text --------------------------------------------------------------------------

void json_write_raw(struct json_writer *writer, struct slice text)
{
    if (writer->failure == ERROR_NONE)
        writer->failure = buffer_append_slice(writer->out, text);
}

// --- strings --------------------------------------------------------------------------------------

// RFC 8259 section 7: quotation mark, reverse solidus and U+0000 to U+001F must be escaped. DEL need not be, but it is
// invisible in terminals and editors, so it is escaped, too.
static bool must_escape(unsigned char byte)
{
    return byte < 0x20 || byte == '"' || byte == '\\' || byte == 0x7f;
}

// The letter of the two-character escape, or 0.
static char json_escape_letter(unsigned char byte)
{
    switch (byte) {
    case '\b':
        return 'b';
    case '\f':
        return 'f';
    case '\n':
        return 'n';
    case '\r':
        return 'r';
    case '\t':
        return 't';
    case '"':
    case '\\':
        return (char)byte;
    default:
        return 0;
    }
}

static void put_escape(struct json_writer *writer, unsigned char byte)
{
    char letter = json_escape_letter(byte);
    if (letter != 0) {
        json_write_raw(writer, (struct slice){(const char[]){'\\', letter}, 2});
    } else {
        char text[7] = "\\u00";
        hex_encode(&byte, 1, text + 4);
        json_write_raw(writer, (struct slice){text, 6});
    }
}

// Number of bytes at the front that are written unchanged.
static size_t plain_length(struct slice text)
{
    size_t len = 0;
    while (len < text.len) {
        unsigned char byte = (unsigned char)text.data[len];
        if (must_escape(byte))
            break;
        size_t sequence = 1;
        if (byte >= 0x80)
            sequence = utf8_sequence_length((struct slice){text.data + len, text.len - len});
        if (sequence == 0)
            break;
        len += sequence;
    }
    return len;
}

void json_write_string(struct json_writer *writer, struct slice text)
{
    json_write_raw(writer, SLICE("\""));
    while (text.len > 0 && writer->failure == ERROR_NONE) {
        size_t plain = plain_length(text);
        json_write_raw(writer, (struct slice){text.data, plain});
        if (plain == text.len)
            break;
        unsigned char byte = (unsigned char)text.data[plain];
        if (must_escape(byte))
            put_escape(writer, byte);
        else
            json_write_raw(writer, SLICE("\xEF\xBF\xBD"));
        text = (struct slice){text.data + plain + 1, text.len - plain - 1};
    }
    json_write_raw(writer, SLICE("\""));
}

// --- bytes ----------------------------------------------------------------------------------------

void json_write_hex(struct json_writer *writer, struct slice bytes)
{
    json_write_raw(writer, SLICE("\""));
    while (bytes.len > 0 && writer->failure == ERROR_NONE) {
        char digits[2 * 16 + 1]; // a trace ID at a time
        size_t len = bytes.len < 16 ? bytes.len : 16;
        hex_encode((const uint8_t *)bytes.data, len, digits);
        json_write_raw(writer, (struct slice){digits, 2 * len});
        bytes = (struct slice){bytes.data + len, bytes.len - len};
    }
    json_write_raw(writer, SLICE("\""));
}

// RFC 4648 section 4: three bytes become four digits; the last group is padded with `=`.
static void put_base64_group(struct json_writer *writer, const uint8_t *bytes, size_t len)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    uint32_t group = (uint32_t)bytes[0] << 16;
    if (len > 1)
        group |= (uint32_t)bytes[1] << 8;
    if (len > 2)
        group |= bytes[2];
    const char text[4] = {digits[group >> 18], digits[group >> 12 & 63],
                          len > 1 ? digits[group >> 6 & 63] : '=',
                          len > 2 ? digits[group & 63] : '='};
    json_write_raw(writer, (struct slice){text, sizeof(text)});
}

void json_write_base64(struct json_writer *writer, struct slice bytes)
{
    json_write_raw(writer, SLICE("\""));
    for (size_t i = 0; i < bytes.len && writer->failure == ERROR_NONE; i += 3)
        put_base64_group(writer, (const uint8_t *)bytes.data + i, bytes.len - i);
    json_write_raw(writer, SLICE("\""));
}

// --- numbers --------------------------------------------------------------------------------------

void json_write_int64(struct json_writer *writer, int64_t value)
{
    if (writer->failure == ERROR_NONE)
        writer->failure = buffer_append_format(writer->out, "%" PRId64, value);
}

void json_write_uint64(struct json_writer *writer, uint64_t value)
{
    if (writer->failure == ERROR_NONE)
        writer->failure = buffer_append_format(writer->out, "%" PRIu64, value);
}

// 15 digits suffice for most values, 17 for all. The program never calls setlocale(), so the decimal point is '.'.
static void put_finite(struct json_writer *writer, double value)
{
    char text[32] = "";
    for (int digits = 15; digits <= 17; digits++) {
        (void)snprintf(text, sizeof(text), "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            break;
    }
    json_write_raw(writer, slice_from_string(text));
}

void json_write_double(struct json_writer *writer, double value)
{
    if (value != value) // only NaN differs from itself
        json_write_raw(writer, SLICE("\"NaN\""));
    else if (value - value == 0) // infinity minus infinity is NaN
        put_finite(writer, value);
    else
        json_write_raw(writer, value > 0 ? SLICE("\"Infinity\"") : SLICE("\"-Infinity\""));
}

// --- JSON objects and arrays ----------------------------------------------------------------------

void json_out_init(struct json_out *json, struct buffer *out)
{
    *json = (struct json_out){.writer = {.out = out}};
}

enum error_code json_out_finish(const struct json_out *json)
{
    return json->writer.failure;
}

static void put_json_text(struct json_out *json, struct slice text)
{
    json_write_raw(&json->writer, text);
}

static void begin_value(struct json_out *json, const char *name)
{
    if (json->needs_comma)
        put_json_text(json, SLICE(","));
    json->needs_comma = true;
    if (name == NULL)
        return;
    put_json_text(json, SLICE("\""));
    put_json_text(json, slice_from_string(name));
    put_json_text(json, SLICE("\":"));
}

static void open_with(struct json_out *json, const char *name, struct slice bracket)
{
    begin_value(json, name);
    put_json_text(json, bracket);
    json->needs_comma = false;
    json->depth++;
}

static void close_with(struct json_out *json, struct slice bracket)
{
    assert(json->depth > 0);
    json->depth--;
    put_json_text(json, bracket);
    json->needs_comma = true;
}

void json_out_open_object(struct json_out *json, const char *name)
{
    open_with(json, name, SLICE("{"));
}

void json_out_close_object(struct json_out *json)
{
    close_with(json, SLICE("}"));
}

void json_out_open_array(struct json_out *json, const char *name)
{
    open_with(json, name, SLICE("["));
}

void json_out_close_array(struct json_out *json)
{
    close_with(json, SLICE("]"));
}

void json_out_null(struct json_out *json, const char *name)
{
    begin_value(json, name);
    put_json_text(json, SLICE("null"));
}

void json_out_text(struct json_out *json, const char *name, struct slice text)
{
    begin_value(json, name);
    if (text.len == 0)
        put_json_text(json, SLICE("null"));
    else
        json_write_string(&json->writer, text);
}

void json_out_raw(struct json_out *json, const char *name, struct slice value)
{
    begin_value(json, name);
    put_json_text(json, value);
}

void json_out_bool(struct json_out *json, const char *name, bool value)
{
    begin_value(json, name);
    put_json_text(json, value ? SLICE("true") : SLICE("false"));
}

void json_out_count(struct json_out *json, const char *name, uint64_t value)
{
    begin_value(json, name);
    json_write_uint64(&json->writer, value);
}

void json_out_id(struct json_out *json, const char *name, int64_t id)
{
    char text[24];
    int len = snprintf(text, sizeof text, "\"%" PRId64 "\"", id);
    begin_value(json, name);
    put_json_text(json, id == 0 ? SLICE("null") : (struct slice){text, (size_t)len});
}

void json_out_time(struct json_out *json, const char *name, timestamp_ns time)
{
    char text[TIMESTAMP_TEXT_SIZE];
    if (time == TIMESTAMP_UNKNOWN)
        json_out_null(json, name);
    else
        json_out_text(json, name, slice_from_string(timestamp_format_rfc3339(time, true, text)));
}

void json_out_seconds(struct json_out *json, const char *name, duration_ns duration)
{
    begin_value(json, name);
    json_write_double(&json->writer, (double)(duration / NS_PER_MS) / 1000);
}

void json_out_hex(struct json_out *json, const char *name, const void *bytes, size_t len)
{
    begin_value(json, name);
    json_write_hex(&json->writer, (struct slice){bytes, len});
}

void json_out_texts(struct json_out *json, const char *name, const struct slice *items,
                    size_t count)
{
    json_out_open_array(json, name);
    for (size_t i = 0; i < count; i++)
        json_out_text(json, NULL, items[i]);
    json_out_close_array(json);
}
