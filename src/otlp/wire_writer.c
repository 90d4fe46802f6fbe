// Writes protobuf fields backwards, into memory that grows at its front.
#include <assert.h>
#include <string.h>

#include "ghatrace/base/memory.h"
#include "ghatrace/otlp/wire.h"

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

// The capacity that holds `needed` bytes, `needed` being at most `max`.
static size_t grown_capacity(size_t capacity, size_t needed, size_t max)
{
    size_t grown = capacity < CAPACITY_FIRST ? CAPACITY_FIRST : capacity;
    while (grown < needed)
        grown = grown <= max / 2 ? grown * 2 : max;
    return grown < max ? grown : max;
}

// A new block, because what is written has to move to the end of it.
static bool grow(struct wire_writer *writer, size_t needed)
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

// Room for `len` bytes in front of what is written; NULL after a failure.
static char *claim(struct wire_writer *writer, size_t len)
{
    if (writer->failure != ERROR_NONE)
        return NULL;
    if (len > writer->max - writer->len) {
        writer->failure = ERROR_TOO_LARGE;
        return NULL;
    }
    if (len > writer->capacity - writer->len && !grow(writer, writer->len + len))
        return NULL;
    writer->len += len;
    return writer->data + (writer->capacity - writer->len);
}

static void put_raw(struct wire_writer *writer, const void *data, size_t len)
{
    char *room = len > 0 ? claim(writer, len) : NULL;
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
