// A growable byte buffer with a maximum size.
#include "ghatrace/base/buffer.h"

#include <assert.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "ghatrace/base/memory.h"

#define SMALLEST_CAPACITY 256

void buffer_init(struct buffer *buffer, size_t max_bytes)
{
    *buffer = (struct buffer){.max = max_bytes};
}

void buffer_release(struct buffer *buffer)
{
    memory_free(buffer->data);
    buffer_init(buffer, buffer->max);
}

void buffer_clear(struct buffer *buffer)
{
    buffer->len = 0;
}

// Doubling keeps the total copying linear in the bytes appended; the maximum limits the last step.
static size_t next_capacity(const struct buffer *buffer, size_t needed)
{
    size_t capacity = buffer->capacity < SMALLEST_CAPACITY ? SMALLEST_CAPACITY : buffer->capacity;

    while (capacity < needed) {
        if (capacity > SIZE_MAX / 2)
            return needed;
        capacity *= 2;
    }
    if (capacity > buffer->max && needed <= buffer->max)
        capacity = buffer->max;
    return capacity;
}

static bool grow_to(struct buffer *buffer, size_t needed)
{
    if (needed <= buffer->capacity)
        return true;
    assert(buffer->len <= buffer->capacity);
    size_t capacity = next_capacity(buffer, needed);
    char *data = memory_resize(buffer->data, capacity);
    if (data == NULL)
        return false;
    buffer->data = data;
    buffer->capacity = capacity;
    return true;
}

static bool exceeds_max(const struct buffer *buffer, size_t extra)
{
    return buffer->len > buffer->max || extra > buffer->max - buffer->len;
}

enum error_code buffer_reserve(struct buffer *buffer, size_t extra)
{
    if (exceeds_max(buffer, extra))
        return ERROR_TOO_LARGE;
    return grow_to(buffer, buffer->len + extra) ? ERROR_NONE : ERROR_MEMORY;
}

enum error_code buffer_append(struct buffer *buffer, const void *data, size_t len)
{
    enum error_code code = buffer_reserve(buffer, len);

    if (code != ERROR_NONE || len == 0)
        return code;
    memcpy(buffer->data + buffer->len, data, len);
    buffer->len += len;
    return ERROR_NONE;
}

enum error_code buffer_append_slice(struct buffer *buffer, struct slice s)
{
    return buffer_append(buffer, s.data, s.len);
}

enum error_code buffer_append_string(struct buffer *buffer, const char *text)
{
    return buffer_append_slice(buffer, slice_from_string(text));
}

static int formatted_length(const char *format, va_list arguments)
    __attribute__((__format__(printf, 1, 0)));
static int formatted_length(const char *format, va_list arguments)
{
    va_list copy;

    va_copy(copy, arguments);
    int len = vsnprintf(NULL, 0, format, copy);
    va_end(copy);
    return len;
}

enum error_code buffer_append_format(struct buffer *buffer, const char *format, ...)
{
    enum error_code code = ERROR_NONE;
    va_list arguments;

    va_start(arguments, format);
    int len = formatted_length(format, arguments);
    if (len < 0)
        code = ERROR_INVALID;
    else if (exceeds_max(buffer, (size_t)len))
        code = ERROR_TOO_LARGE;
    // One byte more for the NUL of vsnprintf, not counted in len.
    else if (!grow_to(buffer, buffer->len + (size_t)len + 1))
        code = ERROR_MEMORY;
    else
        (void)vsnprintf(buffer->data + buffer->len, (size_t)len + 1, format, arguments);
    va_end(arguments);
    if (code == ERROR_NONE)
        buffer->len += (size_t)len;
    return code;
}

void buffer_consume(struct buffer *buffer, size_t len)
{
    if (len >= buffer->len) {
        buffer->len = 0;
        return;
    }
    if (len == 0)
        return;
    memmove(buffer->data, buffer->data + len, buffer->len - len);
    buffer->len -= len;
}

struct slice buffer_slice(const struct buffer *buffer)
{
    return (struct slice){.data = buffer->data, .len = buffer->len};
}
