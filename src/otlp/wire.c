// Reads and writes the wire format of protocol buffers.
#include "wire.h"

#include <assert.h>
#include <string.h>

#include "ghatrace/base/memory.h"

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

// At most ten bytes, and no bits beyond the 64th.
static bool read_wire_varint(struct wire_reader *reader, uint64_t *value)
{
    uint64_t result = 0;
    for (unsigned shift = 0; shift < 64 && reader->position < reader->end; shift += 7) {
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
    if (!read_wire_varint(reader, &len) || len > remaining(reader))
        return false;
    *bytes = (struct slice){reader->position, (size_t)len};
    reader->position += len;
    return true;
}

static bool read_tag(struct wire_reader *reader, struct wire_field *field)
{
    uint64_t tag;
    if (!read_wire_varint(reader, &tag) || tag > UINT32_MAX || tag >> 3 == 0)
        return false;
    field->number = (uint32_t)tag >> 3;
    field->type = (enum wire_type)(tag & 7);
    return true;
}

static bool read_content(struct wire_reader *reader, struct wire_field *field)
{
    switch (field->type) {
    case WIRE_VARINT:
        return read_wire_varint(reader, &field->integer);
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
