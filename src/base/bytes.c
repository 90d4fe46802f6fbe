// Encoding: big-endian numbers, varints (LEB128), texts prefixed with their length.
#include "ghatrace/base/bytes.h"

#define VARINT_BYTES_MAX 10

struct byte_reader bytes_reader(struct slice bytes)
{
    const uint8_t *start = (const uint8_t *)(bytes.len > 0 ? bytes.data : "");
    return (struct byte_reader){.next = start, .end = start + bytes.len};
}

uint64_t bytes_read_varint(struct byte_reader *reader)
{
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64 && !reader->failed && reader->next < reader->end;
         shift += 7) {
        uint8_t byte = *reader->next++;
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            return value;
    }
    reader->failed = true;
    return 0;
}

struct slice bytes_read(struct byte_reader *reader, size_t len)
{
    if (reader->failed || (size_t)(reader->end - reader->next) < len) {
        reader->failed = true;
        return SLICE_EMPTY;
    }
    struct slice bytes = slice_of_bytes(reader->next, len);
    reader->next += len;
    return bytes;
}

int64_t bytes_read_zigzag(struct byte_reader *reader)
{
    uint64_t value = bytes_read_varint(reader);
    int64_t half = (int64_t)(value / 2);
    return value % 2 == 1 ? -half - 1 : half;
}

uint64_t bytes_read_be(struct byte_reader *reader, size_t size)
{
    struct slice bytes = bytes_read(reader, size);
    uint64_t value = 0;
    for (size_t i = 0; i < bytes.len; i++)
        value = value << 8 | (uint8_t)bytes.data[i];
    return value;
}

struct slice bytes_read_text(struct byte_reader *reader)
{
    return bytes_read(reader, bytes_read_varint(reader));
}

bool bytes_is_done(const struct byte_reader *reader)
{
    return !reader->failed && reader->next == reader->end;
}

void bytes_write(struct byte_writer *writer, const void *data, size_t len)
{
    if (writer->code == ERROR_NONE && len > 0)
        writer->code = buffer_append(writer->out, data, len);
}

void bytes_write_varint(struct byte_writer *writer, uint64_t value)
{
    uint8_t bytes[VARINT_BYTES_MAX];
    size_t len = 0;
    while (value >= 0x80) {
        bytes[len++] = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    bytes[len++] = (uint8_t)value;
    bytes_write(writer, bytes, len);
}

void bytes_write_zigzag(struct byte_writer *writer, int64_t value)
{
    bytes_write_varint(writer, value < 0 ? (uint64_t)(-(value + 1)) * 2 + 1 : (uint64_t)value * 2);
}

void bytes_write_be(struct byte_writer *writer, uint64_t value, size_t size)
{
    uint8_t bytes[8];
    bytes_put_be(bytes, value, size);
    bytes_write(writer, bytes, size);
}

void bytes_write_text(struct byte_writer *writer, struct slice text)
{
    bytes_write_varint(writer, text.len);
    bytes_write(writer, text.data, text.len);
}
