// Writes JSON: tokens, and on top of them objects and arrays whose unknown members are null.
#ifndef GHATRACE_JSON_WRITE_H
#define GHATRACE_JSON_WRITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ghatrace/base/buffer.h"
#include "ghatrace/base/error.h"
#include "ghatrace/base/slice.h"
#include "ghatrace/base/time.h"

// --- json writer ----------------------------------------------------------------------------------
// Writes JSON values (RFC 8259) to a buffer. The caller writes names, braces and commas. Pure.

// The first failure is kept: after it nothing is written, and `failure` has the reason (ERROR_MEMORY or
// ERROR_TOO_LARGE). Owns nothing.
struct json_writer {
    struct buffer *out;
    enum error_code failure;
};

// Writes the text unchanged.
void json_write_raw(struct json_writer *writer, struct slice text);
// Quoted and escaped, so that any bytes give a valid JSON string; U+FFFD replaces invalid UTF-8.
void json_write_string(struct json_writer *writer, struct slice text);
// Encoded bytes, quoted.
void json_write_hex(struct json_writer *writer, struct slice bytes);
void json_write_base64(struct json_writer *writer, struct slice bytes);
// Numbers, not quoted.
void json_write_int64(struct json_writer *writer, int64_t value);
void json_write_uint64(struct json_writer *writer, uint64_t value);
// The shortest digits that parse to the same double; "NaN", "Infinity" and "-Infinity" are strings (proto3 JSON
// mapping).
void json_write_double(struct json_writer *writer, double value);

// --- json out -------------------------------------------------------------------------------------
// Writes JSON objects and arrays with names and commas. Unknown values are null, never 0 or "". The first failure is
// kept, as in struct json_writer. Pure.

struct json_out {
    struct json_writer writer;
    bool needs_comma;
    unsigned depth; // objects and arrays not closed yet
};

void json_out_init(struct json_out *json, struct buffer *out);
enum error_code json_out_finish(const struct json_out *json) MUST_CHECK;

// `name` is static text that needs no escaping; NULL inside arrays and for the root.
void json_out_open_object(struct json_out *json, const char *name);
void json_out_close_object(struct json_out *json);
void json_out_open_array(struct json_out *json, const char *name);
void json_out_close_array(struct json_out *json);

void json_out_null(struct json_out *json, const char *name);
void json_out_text(struct json_out *json, const char *name, struct slice text); // empty: null
// A value that is JSON already.
void json_out_raw(struct json_out *json, const char *name, struct slice value);
void json_out_bool(struct json_out *json, const char *name, bool value);
void json_out_count(struct json_out *json, const char *name, uint64_t value);
// Written as a string, because GitHub's ids have 64 bits and JavaScript's numbers 53; 0: null.
void json_out_id(struct json_out *json, const char *name, int64_t id);
// RFC 3339 with milliseconds; TIMESTAMP_UNKNOWN: null.
void json_out_time(struct json_out *json, const char *name, timestamp_ns time);
// Seconds with at most three decimals.
void json_out_seconds(struct json_out *json, const char *name, duration_ns duration);
void json_out_hex(struct json_out *json, const char *name, const void *bytes, size_t len);
void json_out_texts(struct json_out *json, const char *name, const struct slice *items,
                    size_t count);

#endif
