// Reads fields of a JSON object into a struct, controlled by a table.
#include "fields.h"

#include <assert.h>
#include <stdint.h>

#include "ghatrace/base/time.h"
#include "ghatrace/github/event.h"

#define TABLE_ROWS_MAX 32 // one bit each in struct reading

size_t fields_count(const struct payload *payload, json_value array, enum json_type type)
{
    size_t count = 0;
    json_value element = json_first_element(&payload->document, array);
    for (; element != JSON_NONE; element = json_next_element(&payload->document, element))
        count += json_type_of(&payload->document, element) == type;
    return count;
}

enum error_code fields_refuse(const struct payload *payload, struct slice path, struct slice name,
                              const char *problem)
{
    return error_set(payload->error, ERROR_INVALID, "%.*s%s%.*s: %s", SLICE_ARGS(path),
                     path.len > 0 ? "." : "", SLICE_ARGS(name), problem);
}

enum error_code fields_read_string(const struct payload *payload, json_value value,
                                   struct slice *out)
{
    if (json_type_of(&payload->document, value) != JSON_STRING)
        return ERROR_NONE;
    if (!json_string_start(&payload->document, value, GITHUB_TEXT_MAX, payload->arena, out))
        return error_set(payload->error, ERROR_MEMORY, "no memory for a string of the payload");
    return ERROR_NONE;
}

// One object being read.
struct reading {
    const struct payload *payload;
    struct slice path; // names the object in messages
    const struct field_table *table;
    void *target;
    uint32_t seen;       // rows of the table that were found, one bit each
    uint32_t present;    // of these, those with a valid value
    const char *problem; // with the last value, static text; NULL: the value was stored
};

static enum error_code read_string(struct reading *reading, json_value value, struct slice *out)
{
    if (json_type_of(&reading->payload->document, value) != JSON_STRING)
        reading->problem = "not a string";
    return fields_read_string(reading->payload, value, out);
}

static void read_integer(struct reading *reading, json_value value, int64_t least, int64_t *out)
{
    int64_t integer = 0;
    if (!json_int64(&reading->payload->document, value, &integer))
        reading->problem = "not a 64-bit integer";
    else if (integer < least)
        reading->problem = least > 0 ? "not positive" : "negative";
    else
        *out = integer;
}

static enum error_code read_time_field(struct reading *reading, json_value value, timestamp_ns *out)
{
    struct slice text = SLICE_EMPTY;
    timestamp_ns time;
    enum error_code code = fields_read_string(reading->payload, value, &text);
    if (code == ERROR_NONE && timestamp_parse_rfc3339(text, &time))
        *out = time;
    else
        reading->problem = "not a time";
    return code;
}

static enum error_code read_nested(struct reading *reading, json_value value,
                                   const struct field *field)
{
    const struct payload *payload = reading->payload;
    enum json_type wanted = field->kind == FIELD_OBJECT ? JSON_OBJECT : JSON_ARRAY;
    if (json_type_of(&payload->document, value) != wanted) {
        reading->problem = wanted == JSON_OBJECT ? "not an object" : "not an array";
        return ERROR_NONE;
    }
    if (wanted == JSON_ARRAY)
        return field->read(payload, value, reading->target);
    return fields_read(payload, field->name, value, field->nested, reading->target);
}

static enum error_code read_field(struct reading *reading, json_value value,
                                  const struct field *field)
{
    void *place = (char *)reading->target + field->offset;

    switch (field->kind) {
    case FIELD_STRING:
        return read_string(reading, value, place);
    case FIELD_INTEGER:
        read_integer(reading, value, 0, place);
        break;
    case FIELD_ID:
        read_integer(reading, value, 1, place);
        break;
    case FIELD_TIME:
        return read_time_field(reading, value, place);
    case FIELD_VALUE:
        *(json_value *)place = value;
        break;
    case FIELD_OBJECT:
    case FIELD_ARRAY:
        return read_nested(reading, value, field);
    }
    return ERROR_NONE;
}

// The table's row for a key, or -1. The lengths of most names differ, so this is cheap.
static int find_field_row(const struct field_table *table, struct slice name)
{
    for (size_t i = 0; i < table->count; i++)
        if (slice_equals(table->rows[i].name, name))
            return (int)i;
    return -1;
}

static enum error_code refuse_missing(const struct reading *reading)
{
    const struct field_table *table = reading->table;

    for (size_t i = 0; i < table->count; i++)
        if (table->rows[i].required && (reading->present & UINT32_C(1) << i) == 0)
            return fields_refuse(reading->payload, reading->path, table->rows[i].name, "missing");
    return ERROR_NONE;
}

static enum error_code read_member(struct reading *reading, json_value key)
{
    const struct json_document *document = &reading->payload->document;
    char scratch[JSON_KEY_MAX];

    int row = find_field_row(reading->table, json_key_text(document, key, scratch));
    uint32_t bit = row < 0 ? 0 : UINT32_C(1) << row;
    if (row < 0 || (reading->seen & bit) != 0)
        return ERROR_NONE;
    reading->seen |= bit;

    const struct field *field = &reading->table->rows[row];
    json_value value = json_key_value(document, key);
    if (json_type_of(document, value) == JSON_NULL && field->kind != FIELD_VALUE)
        return ERROR_NONE;
    reading->problem = NULL;
    enum error_code code = read_field(reading, value, field);
    if (code == ERROR_NONE && reading->problem == NULL)
        reading->present |= bit;
    else if (code == ERROR_NONE && field->required)
        code = fields_refuse(reading->payload, reading->path, field->name, reading->problem);
    return code;
}

enum error_code fields_read(const struct payload *payload, struct slice path, json_value object,
                            const struct field_table *table, void *target)
{
    struct reading reading = {.payload = payload, .path = path, .table = table, .target = target};

    assert(table->count <= TABLE_ROWS_MAX);
    json_value key = json_first_key(&payload->document, object);
    for (; key != JSON_NONE; key = json_next_key(&payload->document, key)) {
        enum error_code code = read_member(&reading, key);
        if (code != ERROR_NONE)
            return code;
    }
    assert((reading.present & ~reading.seen) == 0);
    return refuse_missing(&reading);
}
