// Numbers in the keys and values of tables: big-endian, so that keys are in the order of their numbers.
#ifndef GHATRACE_BASE_BYTES_H
#define GHATRACE_BASE_BYTES_H

#include <stddef.h>
#include <stdint.h>

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

#endif
