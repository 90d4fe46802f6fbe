// Reads protobuf fields from bytes that anybody may have sent.
#include "ghatrace/otlp/wire.h"

void wire_reader_init(struct wire_reader *reader, struct slice message)
{
    // A pointer that may be NULL takes no part in arithmetic.
    const char *start = message.len > 0 ? message.data : "";
    *reader = (struct wire_reader){.position = start, .end = start + message.len};
}

static size_t remaining(const struct wire_reader *reader)
{
    return (size_t)(reader->end - reader->position);
}

// At most ten bytes, and no bits beyond the 64th.
static bool read_varint(struct wire_reader *reader, uint64_t *value)
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

static bool read_bytes(struct wire_reader *reader, struct slice *bytes)
{
    uint64_t len;
    if (!read_varint(reader, &len) || len > remaining(reader))
        return false;
    *bytes = (struct slice){reader->position, (size_t)len};
    reader->position += len;
    return true;
}

static bool read_tag(struct wire_reader *reader, struct wire_field *field)
{
    uint64_t tag;
    if (!read_varint(reader, &tag) || tag > UINT32_MAX || tag >> 3 == 0)
        return false;
    field->number = (uint32_t)tag >> 3;
    field->type = (enum wire_type)(tag & 7);
    return true;
}

static bool read_content(struct wire_reader *reader, struct wire_field *field)
{
    switch (field->type) {
    case WIRE_VARINT:
        return read_varint(reader, &field->integer);
    case WIRE_FIXED64:
        return read_little_endian(reader, 8, &field->integer);
    case WIRE_FIXED32:
        return read_little_endian(reader, 4, &field->integer);
    case WIRE_BYTES:
        return read_bytes(reader, &field->bytes);
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
