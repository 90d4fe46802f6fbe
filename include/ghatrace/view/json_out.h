// Writes JSON objects and arrays with their names and commas. What is not known is null: never 0, never "".
// The first failure sticks, as in json_writer.h. Pure.
#ifndef GHATRACE_VIEW_JSON_OUT_H
#define GHATRACE_VIEW_JSON_OUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ghatrace/base/timestamp.h"
#include "ghatrace/otlp/json_writer.h"

struct json_out {
    struct json_writer writer;
    bool needs_comma;
};

void json_out_init(struct json_out *json, struct buffer *out);
enum error_code json_out_finish(const struct json_out *json) MUST_CHECK;

// `name` is static text without anything to escape; NULL inside arrays and for the whole.
void json_out_open_object(struct json_out *json, const char *name);
void json_out_close_object(struct json_out *json);
void json_out_open_array(struct json_out *json, const char *name);
void json_out_close_array(struct json_out *json);

void json_out_null(struct json_out *json, const char *name);
void json_out_text(struct json_out *json, const char *name, struct slice text); // empty: null
void json_out_bool(struct json_out *json, const char *name, bool value);
void json_out_count(struct json_out *json, const char *name, uint64_t value);
// GitHub's ids have 64 bits and JavaScript's numbers 53, so they are strings; 0: null.
void json_out_id(struct json_out *json, const char *name, int64_t id);
// RFC 3339 with milliseconds; TIMESTAMP_UNKNOWN: null.
void json_out_time(struct json_out *json, const char *name, timestamp_ns time);
// Seconds with three decimals at most.
void json_out_seconds(struct json_out *json, const char *name, duration_ns duration);
void json_out_hex(struct json_out *json, const char *name, const void *bytes, size_t len);
void json_out_texts(struct json_out *json, const char *name, const struct slice *items,
                    size_t count);
// The labels of a text that labels_join() made: "a,b" as ["a","b"], "a\,b" as ["a,b"].
void json_out_labels(struct json_out *json, const char *name, struct slice joined);

#endif
