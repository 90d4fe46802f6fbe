// Writes JSON values (RFC 8259) to a buffer. Names, braces and commas are the caller's. Pure.
#ifndef GHATRACE_OTLP_JSON_WRITER_H
#define GHATRACE_OTLP_JSON_WRITER_H

#include <stdint.h>

#include "ghatrace/base/buffer.h"
#include "ghatrace/base/error.h"
#include "ghatrace/base/slice.h"

// The first failure sticks: after it nothing is written, and `failure` says why (ERROR_MEMORY or
// ERROR_TOO_LARGE). Owns nothing.
struct json_writer {
    struct buffer *out;
    enum error_code failure;
};

// As it is.
void json_write_raw(struct json_writer *writer, struct slice text);
// In quotes and escaped, so that any bytes make a valid JSON string; U+FFFD for what is not UTF-8.
void json_write_string(struct json_writer *writer, struct slice text);
// Bytes, in quotes.
void json_write_hex(struct json_writer *writer, struct slice bytes);
void json_write_base64(struct json_writer *writer, struct slice bytes);
// Numbers, without quotes.
void json_write_int64(struct json_writer *writer, int64_t value);
void json_write_uint64(struct json_writer *writer, uint64_t value);
// The shortest digits that read back as the same double; "NaN", "Infinity" and "-Infinity" are
// strings (proto3 JSON mapping).
void json_write_double(struct json_writer *writer, double value);

#endif
