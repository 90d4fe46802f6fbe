// Fields of a JSON object into a struct, by a table.
#include "fields.h"

#include <assert.h>
#include <stdint.h>
#include <stdio.h>

#include "ghatrace/base/timestamp.h"
#include "ghatrace/github/event.h"

#define TABLE_ROWS_MAX 32  // one bit each in struct progress
#define PATH_TEXT_SIZE 128 // the longest is workflow_run.referenced_workflows[999999].path

// Appends to `text`, cut at its end; returns the new length.
static size_t append_path(const struct field_path *path, char *text, size_t size)
{
    size_t length = 0;
    int written;

    if (path->parent != NULL)
        length = append_path(path->parent, text, size);
    if (path->name.len == 0)
        written = snprintf(text + length, size - length, "[%zu]", path->index);
    else
        written = snprintf(text + length, size - length, "%s%.*s", length > 0 ? "." : "",
                           SLICE_ARGS(path->name));
    if (written < 0 || (size_t)written >= size - length)
        return size - 1;
    return length + (size_t)written;
}

size_t fields_count_values(const struct payload *payload, json_value array)
{
    size_t count = 0;
    json_value element = json_first_element(&payload->document, array);
    for (; element != JSON_NONE; element = json_next_element(&payload->document, element))
        count += json_type_of(&payload->document, element) != JSON_NULL;
    return count;
}

enum error_code fields_refuse(const struct payload *payload, const struct field_path *path,
                              const char *problem)
{
    char text[PATH_TEXT_SIZE];
    append_path(path, text, sizeof(text));
    return error_set(payload->error, ERROR_INVALID, "%s: %s", text, problem);
}

enum error_code fields_read_string(const struct payload *payload, const struct field_path *path,
                                   json_value value, struct slice *out)
{
    if (json_type_of(&payload->document, value) != JSON_STRING)
        return fields_refuse(payload, path, "not a string");
    if (!json_string_start(&payload->document, value, GITHUB_TEXT_MAX, payload->arena, out))
        return error_set(payload->error, ERROR_MEMORY, "no memory for a string of the payload");
    return ERROR_NONE;
}

static enum error_code read_integer(const struct payload *payload, const struct field_path *path,
                                    json_value value, int64_t least, int64_t *out)
{
    int64_t integer = 0;
    if (!json_int64(&payload->document, value, &integer))
        return fields_refuse(payload, path, "not a 64-bit integer");
    if (integer < least)
        return fields_refuse(payload, path, least > 0 ? "not positive" : "negative");
    *out = integer;
    return ERROR_NONE;
}

static enum error_code read_time(const struct payload *payload, const struct field_path *path,
                                 json_value value, timestamp_ns *out)
{
    struct slice text = SLICE_EMPTY;
    if (json_type_of(&payload->document, value) != JSON_STRING)
        return fields_refuse(payload, path, "not a time");
    enum error_code code = fields_read_string(payload, path, value, &text);
    if (code != ERROR_NONE || text.len == 0)
        return code;
    if (!timestamp_parse_rfc3339(text, out))
        return fields_refuse(payload, path, "not a time");
    return ERROR_NONE;
}

static enum error_code read_field(const struct payload *payload, const struct field_path *path,
                                  json_value value, const struct field *field, void *target)
{
    void *place = (char *)target + field->offset;

    switch (field->kind) {
    case FIELD_STRING:
        return fields_read_string(payload, path, value, place);
    case FIELD_INTEGER:
        return read_integer(payload, path, value, 0, place);
    case FIELD_ID:
        return read_integer(payload, path, value, 1, place);
    case FIELD_TIME:
        return read_time(payload, path, value, place);
    case FIELD_VALUE:
        *(json_value *)place = value;
        return ERROR_NONE;
    case FIELD_OBJECT:
        return fields_read(payload, path, value, field->nested, target);
    case FIELD_CUSTOM:
        return field->read(payload, path, value, target);
    }
    return ERROR_NONE;
}

// The table's row for a key, or -1. The lengths of most names differ, so this is cheap.
static int find_row(const struct field_table *table, struct slice name)
{
    for (size_t i = 0; i < table->count; i++)
        if (slice_equals(table->rows[i].name, name))
            return (int)i;
    return -1;
}

// Which rows of the table an object has had so far, a bit each.
struct progress {
    uint32_t seen;
    uint32_t present; // and not null
};

static enum error_code refuse_missing(const struct payload *payload, const struct field_path *path,
                                      const struct field_table *table, uint32_t present)
{
    for (size_t i = 0; i < table->count; i++) {
        struct field_path missing = {.parent = path, .name = table->rows[i].name};
        if (table->rows[i].required && (present & UINT32_C(1) << i) == 0)
            return fields_refuse(payload, &missing, "missing");
    }
    return ERROR_NONE;
}

static enum error_code read_member(const struct payload *payload, const struct field_path *path,
                                   json_value key, const struct field_table *table,
                                   struct progress *progress, void *target)
{
    const struct json_document *document = &payload->document;
    char scratch[JSON_KEY_MAX];

    int row = find_row(table, json_key_text(document, key, scratch));
    uint32_t bit = row < 0 ? 0 : UINT32_C(1) << row;
    if (row < 0 || (progress->seen & bit) != 0)
        return ERROR_NONE;
    progress->seen |= bit;

    const struct field *field = &table->rows[row];
    json_value value = json_key_value(document, key);
    if (json_type_of(document, value) == JSON_NULL && field->kind != FIELD_VALUE)
        return ERROR_NONE;
    progress->present |= bit;
    struct field_path field_path = {.parent = path, .name = field->name};
    return read_field(payload, &field_path, value, field, target);
}

enum error_code fields_read(const struct payload *payload, const struct field_path *path,
                            json_value object, const struct field_table *table, void *target)
{
    struct progress progress = {0};

    assert(table->count <= TABLE_ROWS_MAX);
    if (json_type_of(&payload->document, object) != JSON_OBJECT)
        return fields_refuse(payload, path, "not an object");
    json_value key = json_first_key(&payload->document, object);
    for (; key != JSON_NONE; key = json_next_key(&payload->document, key)) {
        enum error_code code = read_member(payload, path, key, table, &progress, target);
        if (code != ERROR_NONE)
            return code;
    }
    return refuse_missing(payload, path, table, progress.present);
}
