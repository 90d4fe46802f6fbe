// JSON objects and arrays.
#include "ghatrace/view/json_out.h"

#include <inttypes.h>
#include <stdio.h>

#include "ghatrace/base/utf8.h"
#include "ghatrace/trace/labels.h"

void json_out_init(struct json_out *json, struct buffer *out)
{
    *json = (struct json_out){.writer = {.out = out}};
}

enum error_code json_out_finish(const struct json_out *json)
{
    return json->writer.failure;
}

static void put(struct json_out *json, struct slice text)
{
    json_write_raw(&json->writer, text);
}

static void begin(struct json_out *json, const char *name)
{
    if (json->needs_comma)
        put(json, SLICE(","));
    json->needs_comma = true;
    if (name == NULL)
        return;
    put(json, SLICE("\""));
    put(json, slice_from_string(name));
    put(json, SLICE("\":"));
}

static void open_with(struct json_out *json, const char *name, struct slice bracket)
{
    begin(json, name);
    put(json, bracket);
    json->needs_comma = false;
}

static void close_with(struct json_out *json, struct slice bracket)
{
    put(json, bracket);
    json->needs_comma = true;
}

void json_out_open_object(struct json_out *json, const char *name)
{
    open_with(json, name, SLICE("{"));
}

void json_out_close_object(struct json_out *json)
{
    close_with(json, SLICE("}"));
}

void json_out_open_array(struct json_out *json, const char *name)
{
    open_with(json, name, SLICE("["));
}

void json_out_close_array(struct json_out *json)
{
    close_with(json, SLICE("]"));
}

void json_out_null(struct json_out *json, const char *name)
{
    begin(json, name);
    put(json, SLICE("null"));
}

void json_out_text(struct json_out *json, const char *name, struct slice text)
{
    begin(json, name);
    if (text.len == 0)
        put(json, SLICE("null"));
    else
        json_write_string(&json->writer, text);
}

void json_out_bool(struct json_out *json, const char *name, bool value)
{
    begin(json, name);
    put(json, value ? SLICE("true") : SLICE("false"));
}

void json_out_count(struct json_out *json, const char *name, uint64_t value)
{
    begin(json, name);
    json_write_uint64(&json->writer, value);
}

void json_out_id(struct json_out *json, const char *name, int64_t id)
{
    char text[24];
    int len = snprintf(text, sizeof text, "\"%" PRId64 "\"", id);
    begin(json, name);
    put(json, id == 0 ? SLICE("null") : (struct slice){text, (size_t)len});
}

void json_out_time(struct json_out *json, const char *name, timestamp_ns time)
{
    char text[TIMESTAMP_TEXT_SIZE];
    if (time == TIMESTAMP_UNKNOWN)
        json_out_null(json, name);
    else
        json_out_text(json, name, slice_from_string(timestamp_format_rfc3339(time, true, text)));
}

void json_out_seconds(struct json_out *json, const char *name, duration_ns duration)
{
    begin(json, name);
    json_write_double(&json->writer, (double)(duration / NS_PER_MS) / 1000);
}

void json_out_hex(struct json_out *json, const char *name, const void *bytes, size_t len)
{
    begin(json, name);
    json_write_hex(&json->writer, (struct slice){bytes, len});
}

void json_out_texts(struct json_out *json, const char *name, const struct slice *items,
                    size_t count)
{
    json_out_open_array(json, name);
    for (size_t i = 0; i < count; i++)
        json_out_text(json, NULL, items[i]);
    json_out_close_array(json);
}

void json_out_labels(struct json_out *json, const char *name, struct slice joined)
{
    char room[LABELS_TEXT_MAX];
    struct slice label;
    joined = utf8_cut(joined, sizeof room);
    json_out_open_array(json, name);
    while (labels_next(&joined, room, &label))
        json_out_text(json, NULL, label);
    json_out_close_array(json);
}
