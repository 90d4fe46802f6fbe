// A growable byte buffer with a maximum size; every buffer of this program has one.
//
// Life cycle: buffer_init (no allocation), append, buffer_release. Appending either adds all bytes or changes nothing
// and returns ERROR_MEMORY or ERROR_TOO_LARGE.
#ifndef GHATRACE_BASE_BUFFER_H
#define GHATRACE_BASE_BUFFER_H

#include <stddef.h>
#include <stdint.h>

#include "ghatrace/base/error.h"
#include "ghatrace/base/slice.h"

struct buffer {
    char *data;      // owned; NULL until the first append
    size_t len;      // bytes in use
    size_t capacity; // bytes allocated
    size_t max;      // limit of len, in bytes
};

void buffer_init(struct buffer *buffer, size_t max_bytes);
void buffer_release(struct buffer *buffer);
// Empties the buffer and keeps its memory.
void buffer_clear(struct buffer *buffer);
// Ensures room for `extra` more bytes.
enum error_code buffer_reserve(struct buffer *buffer, size_t extra) MUST_CHECK;
enum error_code buffer_append(struct buffer *buffer, const void *data, size_t len) MUST_CHECK;
enum error_code buffer_append_slice(struct buffer *buffer, struct slice s) MUST_CHECK;
enum error_code buffer_append_string(struct buffer *buffer, const char *text) MUST_CHECK;
enum error_code buffer_append_format(struct buffer *buffer, const char *format, ...) MUST_CHECK
    PRINTF_LIKE(2, 3);
// Removes `len` bytes at the front and moves the rest down.
void buffer_consume(struct buffer *buffer, size_t len);
struct slice buffer_slice(const struct buffer *buffer);

#endif
