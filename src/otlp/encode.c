// Encodes spans as one element of ExportTraceServiceRequest.resource_spans, in protobuf; writes protobuf fields.
//
// The writer works backwards, so within each message the highest field number is written first and a list is written
// from its last element on; in the output, everything is in ascending order.
#include "ghatrace/otlp/encode.h"

#include <assert.h>
#include <string.h>

#include "ghatrace/base/memory.h"
#include "ghatrace/base/utf8.h"
#include "wire.h"

// --- writes protobuf fields backwards, into memory that grows at its front ------------------------

#define CAPACITY_FIRST 4096 // a job with a dozen steps takes about two of these
#define VARINT_SIZE_MAX 10  // 64 bits in groups of 7

void wire_writer_init(struct wire_writer *writer, size_t max_bytes)
{
    *writer = (struct wire_writer){.max = max_bytes};
}

void wire_writer_release(struct wire_writer *writer)
{
    memory_free(writer->data);
    *writer = (struct wire_writer){.max = writer->max};
}

struct slice wire_writer_slice(const struct wire_writer *writer)
{
    if (writer->len == 0)
        return SLICE_EMPTY;
    return (struct slice){writer->data + (writer->capacity - writer->len), writer->len};
}

enum error_code wire_writer_finish(struct wire_writer *writer, struct buffer *out)
{
    enum error_code code = writer->failure;
    if (code == ERROR_NONE)
        code = buffer_append_slice(out, wire_writer_slice(writer));
    wire_writer_release(writer);
    return code;
}

// A capacity for `needed` bytes, which are at most `max`.
static size_t grown_capacity(size_t capacity, size_t needed, size_t max)
{
    size_t grown = capacity < CAPACITY_FIRST ? CAPACITY_FIRST : capacity;
    while (grown < needed)
        grown = grown <= max / 2 ? grown * 2 : max;
    return grown < max ? grown : max;
}

// Allocates a new block, because the data must be moved to the end of it.
static bool grow_writer(struct wire_writer *writer, size_t needed)
{
    size_t capacity = grown_capacity(writer->capacity, needed, writer->max);
    char *data = memory_allocate(capacity);
    if (data == NULL) {
        writer->failure = ERROR_MEMORY;
        return false;
    }
    struct slice written = wire_writer_slice(writer);
    if (written.len > 0)
        memcpy(data + (capacity - written.len), written.data, written.len);
    memory_free(writer->data);
    writer->data = data;
    writer->capacity = capacity;
    return true;
}

// Space for `len` bytes in front of the data; NULL after a failure.
static char *reserve_front(struct wire_writer *writer, size_t len)
{
    if (writer->failure != ERROR_NONE)
        return NULL;
    if (len > writer->max - writer->len) {
        writer->failure = ERROR_TOO_LARGE;
        return NULL;
    }
    if (len > writer->capacity - writer->len && !grow_writer(writer, writer->len + len))
        return NULL;
    writer->len += len;
    return writer->data + (writer->capacity - writer->len);
}

static void put_raw(struct wire_writer *writer, const void *data, size_t len)
{
    char *room = len > 0 ? reserve_front(writer, len) : NULL;
    if (room != NULL)
        memcpy(room, data, len);
}

static void put_raw_varint(struct wire_writer *writer, uint64_t value)
{
    uint8_t bytes[VARINT_SIZE_MAX];
    size_t len = 0;
    while (value >= 0x80) {
        bytes[len++] = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    bytes[len++] = (uint8_t)value;
    put_raw(writer, bytes, len);
}

static void put_little_endian(struct wire_writer *writer, uint64_t value, size_t len)
{
    uint8_t bytes[sizeof(value)];
    for (size_t i = 0; i < len; i++)
        bytes[i] = (uint8_t)(value >> (8 * i));
    put_raw(writer, bytes, len);
}

static void put_tag(struct wire_writer *writer, uint32_t number, enum wire_type type)
{
    assert(number > 0 && number < UINT32_C(1) << 29);
    put_raw_varint(writer, number << 3 | (uint32_t)type);
}

void wire_put_varint(struct wire_writer *writer, uint32_t number, uint64_t value)
{
    put_raw_varint(writer, value);
    put_tag(writer, number, WIRE_VARINT);
}

void wire_put_fixed64(struct wire_writer *writer, uint32_t number, uint64_t value)
{
    put_little_endian(writer, value, sizeof(value));
    put_tag(writer, number, WIRE_FIXED64);
}

void wire_put_fixed32(struct wire_writer *writer, uint32_t number, uint32_t value)
{
    put_little_endian(writer, value, sizeof(value));
    put_tag(writer, number, WIRE_FIXED32);
}

static uint64_t bits_of_double(double value)
{
    uint64_t bits;
    memcpy(&bits, &value, sizeof(bits));
    return bits;
}

void wire_put_double(struct wire_writer *writer, uint32_t number, double value)
{
    wire_put_fixed64(writer, number, bits_of_double(value));
}

void wire_put_packed_fixed64(struct wire_writer *writer, uint32_t number, const uint64_t *values,
                             size_t count)
{
    size_t mark = writer->len;
    for (size_t i = count; i-- > 0;)
        put_little_endian(writer, values[i], sizeof(values[i]));
    wire_put_message(writer, number, mark);
}

void wire_put_packed_doubles(struct wire_writer *writer, uint32_t number, const double *values,
                             size_t count)
{
    size_t mark = writer->len;
    for (size_t i = count; i-- > 0;)
        put_little_endian(writer, bits_of_double(values[i]), sizeof(values[i]));
    wire_put_message(writer, number, mark);
}

void wire_put_bytes(struct wire_writer *writer, uint32_t number, struct slice bytes)
{
    put_raw(writer, bytes.data, bytes.len);
    put_raw_varint(writer, bytes.len);
    put_tag(writer, number, WIRE_BYTES);
}

void wire_put_message(struct wire_writer *writer, uint32_t number, size_t mark)
{
    assert(mark <= writer->len);
    put_raw_varint(writer, writer->len - mark);
    put_tag(writer, number, WIRE_BYTES);
}

// --- the encoder ------------------------------------------------------------------------------------

// trace.proto, SpanFlags: 0x1 is W3C's "sampled", 0x100 means that "is remote" is known, and 0x200, left 0, that it
// is remote. 0x2, W3C's "random trace ID", is not set: these IDs are derived.
#define FLAGS_SAMPLED_LOCAL 0x101u

// --- text -----------------------------------------------------------------------------------------

// Sanitizing never shortens, so this many bytes of a text determine its first OTLP_STRING_MAX bytes; a character that
// this limit splits begins after them.
#define TEXT_READ_MAX (OTLP_STRING_MAX + 4)

// ASCII without NUL, which nearly all texts are. Eight bytes at a time: a byte's top bit is set in `word` if the byte
// is not ASCII, in the difference if it is 0.
static bool is_plain_ascii(struct slice text)
{
    const uint64_t ones = UINT64_C(0x0101010101010101);
    const uint64_t tops = UINT64_C(0x8080808080808080);
    size_t i = 0;
    for (; i + 8 <= text.len; i += 8) {
        uint64_t word;
        memcpy(&word, text.data + i, sizeof(word));
        if (((word | (word - ones)) & tops) != 0)
            return false;
    }
    for (; i < text.len; i++) {
        if (text.data[i] == '\0' || (text.data[i] & 0x80) != 0)
            return false;
    }
    return true;
}

static bool is_clean(struct slice text)
{
    return is_plain_ascii(text) ||
           (memchr(text.data, '\0', text.len) == NULL && utf8_is_valid(text));
}

// A `string` field must be valid UTF-8 (proto3 language guide): one invalid byte makes strict receivers refuse the
// whole request. NUL is valid, but refused by many back ends.
static struct slice as_encoded(struct slice text, char scratch[3 * TEXT_READ_MAX])
{
    if (text.len > TEXT_READ_MAX)
        text.len = TEXT_READ_MAX;
    if (!is_clean(text))
        text = (struct slice){scratch, utf8_sanitize(text, scratch)};
    return utf8_cut(text, OTLP_STRING_MAX);
}

void otlp_put_text(struct wire_writer *writer, uint32_t number, struct slice text)
{
    char scratch[3 * TEXT_READ_MAX];
    wire_put_bytes(writer, number, as_encoded(text, scratch));
}

// --- attributes -----------------------------------------------------------------------------------

// AnyValue members belong to a oneof: they are written even when 0, false or empty.
static void put_strings(struct wire_writer *writer, const struct attribute *attribute)
{
    size_t array = writer->len;
    for (size_t i = attribute->strings.count; i-- > 0;) {
        size_t value = writer->len;
        if (attribute->strings.items[i].len == 0)
            continue;
        otlp_put_text(writer, ANY_VALUE_STRING, attribute->strings.items[i]);
        wire_put_message(writer, ARRAY_VALUES, value);
    }
    wire_put_message(writer, ANY_VALUE_ARRAY, array);
}

static void encode_value(struct wire_writer *writer, const struct attribute *attribute)
{
    switch (attribute->type) {
    case ATTRIBUTE_STRING:
        otlp_put_text(writer, ANY_VALUE_STRING, attribute->string);
        break;
    case ATTRIBUTE_INT: // int64: a negative one is its two's complement in ten bytes
        wire_put_varint(writer, ANY_VALUE_INT, (uint64_t)attribute->integer);
        break;
    case ATTRIBUTE_BOOL:
        wire_put_varint(writer, ANY_VALUE_BOOL, attribute->boolean);
        break;
    case ATTRIBUTE_STRINGS:
        put_strings(writer, attribute);
        break;
    }
}

// Absent data is an absent attribute, never an empty string or list.
static bool attribute_has_value(const struct attribute *attribute)
{
    if (attribute->key == NULL || attribute->key[0] == '\0')
        return false;
    if (attribute->type == ATTRIBUTE_STRING)
        return attribute->string.len > 0;
    if (attribute->type != ATTRIBUTE_STRINGS)
        return true;
    for (size_t i = 0; i < attribute->strings.count; i++) {
        if (attribute->strings.items[i].len > 0)
            return true;
    }
    return false;
}

// True if a key is not in its canonical spelling.
static bool has_noncanonical_key(const struct attributes *attributes)
{
    for (size_t i = 0; i < attributes->count; i++) {
        struct slice key = slice_from_string(attributes->items[i].key);
        if (key.len > OTLP_STRING_MAX || !is_clean(key))
            return true;
    }
    return false;
}

static bool keys_encode_alike(const char *a, const char *b)
{
    char scratch[2][3 * TEXT_READ_MAX];
    return slice_equals(as_encoded(slice_from_string(a), scratch[0]),
                        as_encoded(slice_from_string(b), scratch[1]));
}

// common.proto: "Attribute keys MUST be unique". The first one with a value wins.
static bool is_repeat(const struct attributes *attributes, size_t index, bool has_odd)
{
    const char *key = attributes->items[index].key;
    for (size_t i = 0; i < index; i++) {
        const struct attribute *earlier = &attributes->items[i];
        if (attribute_has_value(earlier) &&
            (has_odd ? keys_encode_alike(earlier->key, key) : strcmp(earlier->key, key) == 0))
            return true;
    }
    return false;
}

void otlp_put_attributes(struct wire_writer *writer, uint32_t number,
                         const struct attributes *attributes)
{
    bool has_odd = has_noncanonical_key(attributes);
    for (size_t i = attributes->count; i-- > 0;) {
        const struct attribute *attribute = &attributes->items[i];
        if (!attribute_has_value(attribute) || is_repeat(attributes, i, has_odd))
            continue;
        size_t pair = writer->len;
        encode_value(writer, attribute);
        wire_put_message(writer, KEY_VALUE_VALUE, pair);
        otlp_put_text(writer, KEY_VALUE_KEY, slice_from_string(attribute->key));
        wire_put_message(writer, number, pair);
    }
}

// --- spans ----------------------------------------------------------------------------------------

static struct slice trace_id_slice(const struct trace_id *id)
{
    return (struct slice){(const char *)id->bytes, sizeof(id->bytes)};
}

static struct slice span_id_slice(const struct span_id *id)
{
    return (struct slice){(const char *)id->bytes, sizeof(id->bytes)};
}

static void put_status(struct wire_writer *writer, const struct span *span)
{
    size_t status = writer->len;
    if (span->status == SPAN_STATUS_UNSET && span->status_message.len == 0)
        return;
    if (span->status != SPAN_STATUS_UNSET)
        wire_put_varint(writer, STATUS_CODE, (uint64_t)span->status);
    if (span->status_message.len > 0)
        otlp_put_text(writer, STATUS_MESSAGE, span->status_message);
    wire_put_message(writer, SPAN_STATUS, status);
}

static void put_link(struct wire_writer *writer, const struct span *span)
{
    size_t link = writer->len;
    if (!span->has_link)
        return;
    wire_put_fixed32(writer, LINK_FLAGS, FLAGS_SAMPLED_LOCAL);
    wire_put_bytes(writer, LINK_SPAN_ID, span_id_slice(&span->link_span_id));
    wire_put_bytes(writer, LINK_TRACE_ID, trace_id_slice(&span->link_trace_id));
    wire_put_message(writer, SPAN_LINKS, link);
}

// As opposed to a phase.
static bool is_run_job_or_step(const struct span *span)
{
    static const struct slice types[] = {{"step", 4}, {"job", 3}, {"workflow", 8}};
    const struct attribute *type = NULL;
    for (size_t i = 0; i < span->attributes.count && type == NULL; i++) {
        const struct attribute *attribute = &span->attributes.items[i];
        if (attribute_has_value(attribute) && strcmp(attribute->key, "type") == 0)
            type = attribute;
    }
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (type != NULL && type->type == ATTRIBUTE_STRING && slice_equals(type->string, types[i]))
            return true;
    }
    return false;
}

// Jaeger warns of a "Negative duration" on each span for which !start.Before(end) holds, which a span of zero length
// meets, and steps of zero length are common: GitHub's times have whole seconds. So such a run, job or step ends 1 ns
// later; a step at the end of its job begins 1 ns earlier, to stay in it. A job does not: when it is encoded, the end
// of its run may not be known, and the bytes must not depend on the order of events. Phases keep zero length, because
// they follow each other without overlap. Times with fractions of a microsecond, which GitHub does not send, are left,
// so that otlp_decode_batch() can tell which time was moved.
static void lengthen(const struct span_batch *batch, const struct span *span, timestamp_ns *start,
                     timestamp_ns *end)
{
    if (*start != *end || *end % NS_PER_US != 0 || !is_run_job_or_step(span))
        return;
    bool is_at_end =
        span->has_parent && batch->job_start < batch->job_end && *end == batch->job_end;
    if (is_at_end)
        --*start;
    else
        ++*end;
}

// trace.proto: the start must not be after the end. A time before 1970 cannot be encoded.
static void put_times(struct wire_writer *writer, const struct span_batch *batch,
                      const struct span *span)
{
    timestamp_ns start = span->start > 0 ? span->start : 0;
    timestamp_ns end = span->end > start ? span->end : start;
    lengthen(batch, span, &start, &end);
    wire_put_fixed64(writer, SPAN_END_TIME, (uint64_t)end);
    wire_put_fixed64(writer, SPAN_START_TIME, (uint64_t)start);
}

static void encode_identity(struct wire_writer *writer, const struct span *span)
{
    // trace.proto: "An empty span name MUST NOT be used", nor SPAN_KIND_UNSPECIFIED.
    struct slice name = span->name.len > 0 ? span->name : SLICE("(unnamed)");
    wire_put_varint(writer, SPAN_KIND,
                    span->kind == SPAN_KIND_SERVER ? SPAN_KIND_SERVER : SPAN_KIND_INTERNAL);
    otlp_put_text(writer, SPAN_NAME, name);
    if (span->has_parent)
        wire_put_bytes(writer, SPAN_PARENT_SPAN_ID, span_id_slice(&span->parent_id));
    wire_put_bytes(writer, SPAN_SPAN_ID, span_id_slice(&span->span_id));
    wire_put_bytes(writer, SPAN_TRACE_ID, trace_id_slice(&span->trace_id));
}

static void put_span(struct wire_writer *writer, const struct span_batch *batch,
                     const struct span *span)
{
    size_t mark = writer->len;
    wire_put_fixed32(writer, SPAN_FLAGS, FLAGS_SAMPLED_LOCAL);
    put_status(writer, span);
    put_link(writer, span);
    otlp_put_attributes(writer, SPAN_ATTRIBUTES, &span->attributes);
    put_times(writer, batch, span);
    encode_identity(writer, span);
    wire_put_message(writer, SCOPE_SPANS_SPANS, mark);
}

// --- the envelope ---------------------------------------------------------------------------------

void otlp_put_scope(struct wire_writer *writer, uint32_t number)
{
    size_t mark = writer->len;
    wire_put_bytes(writer, SCOPE_VERSION, SLICE(GHATRACE_VERSION));
    wire_put_bytes(writer, SCOPE_NAME, SLICE("ghatrace"));
    wire_put_message(writer, number, mark);
}

static void put_scope_spans(struct wire_writer *writer, const struct span_batch *batch)
{
    size_t mark = writer->len;
    wire_put_bytes(writer, SCOPE_SPANS_SCHEMA_URL, SLICE(OTLP_SCHEMA_URL));
    for (size_t i = batch->span_count; i-- > 0;)
        put_span(writer, batch, &batch->spans[i]);
    otlp_put_scope(writer, SCOPE_SPANS_SCOPE);
    wire_put_message(writer, RESOURCE_SPANS_SCOPE_SPANS, mark);
}

static void put_resource(struct wire_writer *writer, const struct attributes *resource)
{
    size_t mark = writer->len;
    otlp_put_attributes(writer, RESOURCE_ATTRIBUTES, resource);
    wire_put_message(writer, RESOURCE_SPANS_RESOURCE, mark);
}

static void put_resource_spans(struct wire_writer *writer, const struct span_batch *batch)
{
    size_t mark = writer->len;
    wire_put_bytes(writer, RESOURCE_SPANS_SCHEMA_URL, SLICE(OTLP_SCHEMA_URL));
    put_scope_spans(writer, batch);
    put_resource(writer, &batch->resource);
    wire_put_message(writer, REQUEST_RESOURCE_SPANS, mark);
}

enum error_code otlp_encode_batch(const struct span_batch *batch, struct buffer *out,
                                  struct error *error)
{
    struct wire_writer writer;
    wire_writer_init(&writer, out->max - out->len);
    put_resource_spans(&writer, batch);
    enum error_code code = wire_writer_finish(&writer, out);
    if (code != ERROR_NONE)
        code = error_set(error, code, "encode %zu spans as OTLP (room for %zu bytes): %s",
                         batch->span_count, out->max - out->len, error_code_text(code));
    return code;
}
