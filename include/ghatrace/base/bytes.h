// Numbers and texts in the keys and values of tables. Pure.
#ifndef GHATRACE_BASE_BYTES_H
#define GHATRACE_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ghatrace/base/buffer.h"
#include "ghatrace/base/error.h"
#include "ghatrace/base/slice.h"

// --- big-endian numbers, so that keys are in the order of their numbers ---

// The lowest `size` bytes of a number, at most 8.
static inline void bytes_put_be(uint8_t *bytes, uint64_t value, size_t size)
{
    for (size_t i = size; i-- > 0; value >>= 8)
        bytes[i] = (uint8_t)value;
}

static inline void bytes_put_be64(uint8_t *bytes, uint64_t value)
{
    bytes_put_be(bytes, value, 8);
}

static inline uint64_t bytes_get_be64(const void *bytes)
{
    const uint8_t *next = bytes;
    uint64_t value = 0;
    for (int i = 0; i < 8; i++)
        value = value << 8 | next[i];
    return value;
}

// --- encoding: big-endian numbers, varints (LEB128), texts prefixed with their length ---

// Reading: after the first failure all results are zero.
struct byte_reader {
    const uint8_t *next;
    const uint8_t *end;
    bool failed;
};

struct byte_reader bytes_reader(struct slice bytes);
uint64_t bytes_read_varint(struct byte_reader *reader);
// A signed number, as protobuf encodes sint64.
int64_t bytes_read_zigzag(struct byte_reader *reader);
uint64_t bytes_read_be(struct byte_reader *reader, size_t size);
struct slice bytes_read(struct byte_reader *reader, size_t len);
struct slice bytes_read_text(struct byte_reader *reader); // prefixed with its length
// True if everything was read without failure, to the last byte.
bool bytes_is_done(const struct byte_reader *reader);

// Writing: after the first failure nothing more is written, and `code` has the error.
struct byte_writer {
    struct buffer *out;
    enum error_code code;
};

void bytes_write_varint(struct byte_writer *writer, uint64_t value);
void bytes_write_zigzag(struct byte_writer *writer, int64_t value);
void bytes_write_be(struct byte_writer *writer, uint64_t value, size_t size);
void bytes_write(struct byte_writer *writer, const void *data, size_t len);
void bytes_write_text(struct byte_writer *writer, struct slice text);

#endif
