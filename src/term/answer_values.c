// Reads values of an answer of the API.
#include "answer_values.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ghatrace/github/server.h"

#define SECONDS_MOST 4e9 // a hundred years
#define NUMBER_MAX 40    // bytes

void values_init(struct values *values, const struct answer *answer)
{
    *values = (struct values){.document = answer->document, .arena = answer->arena};
}

enum error_code values_finish(const struct values *values, const char *what,
                              const struct answer *answer)
{
    if (values->is_out_of_memory)
        return error_set(answer->error, ERROR_MEMORY, "%s: out of memory", what);
    if (values->fault != NULL)
        return error_set(answer->error, ERROR_INVALID,
                         "its answer to %s has no usable `%s`: it is another version of ghatrace, "
                         "or something else",
                         what, values->fault);
    return ERROR_NONE;
}

static void note_fault(struct values *values, const char *name)
{
    if (values->fault == NULL)
        values->fault = name;
}

// A member that must be there; `*is_null`.
static json_value find_member(struct values *values, json_value object, const char *name,
                              enum json_type type, bool *is_null)
{
    json_value value = json_get(values->document, object, slice_from_string(name));
    *is_null = value != JSON_NONE && json_type_of(values->document, value) == JSON_NULL;
    if (value == JSON_NONE || (!*is_null && json_type_of(values->document, value) != type)) {
        note_fault(values, name);
        *is_null = true;
    }
    return *is_null ? JSON_NONE : value;
}

struct slice values_text(struct values *values, json_value object, const char *name)
{
    bool is_null;
    struct slice text = SLICE_EMPTY;
    json_value value = find_member(values, object, name, JSON_STRING, &is_null);
    if (!is_null && !json_string(values->document, value, values->arena, &text))
        values->is_out_of_memory = true;
    return text;
}

timestamp_ns values_time(struct values *values, json_value object, const char *name)
{
    timestamp_ns time = TIMESTAMP_UNKNOWN;
    struct slice text = values_text(values, object, name);
    if (text.len > 0 && !timestamp_parse_rfc3339(text, &time)) {
        note_fault(values, name);
        return TIMESTAMP_UNKNOWN;
    }
    return time;
}

duration_ns values_seconds(struct values *values, json_value object, const char *name,
                           bool *is_known)
{
    bool is_null;
    char digits[NUMBER_MAX];
    json_value value = find_member(values, object, name, JSON_NUMBER, &is_null);
    struct slice text = is_null ? SLICE_EMPTY : json_number_text(values->document, value);
    *is_known = !is_null;
    if (is_null)
        return 0;
    if (text.len >= sizeof digits) {
        note_fault(values, name);
        return 0;
    }
    memcpy(digits, text.data, text.len);
    digits[text.len] = '\0';
    double seconds = strtod(digits, NULL);
    if (!(seconds >= 0 && seconds < SECONDS_MOST)) {
        note_fault(values, name);
        return 0;
    }
    return (duration_ns)llround(seconds * 1000) * NS_PER_MS;
}

uint64_t values_count(struct values *values, json_value object, const char *name, bool *is_known)
{
    bool is_null;
    int64_t count = 0;
    json_value value = find_member(values, object, name, JSON_NUMBER, &is_null);
    if (is_known != NULL)
        *is_known = !is_null;
    if (is_null ? is_known == NULL : !json_int64(values->document, value, &count) || count < 0) {
        note_fault(values, name);
        return 0;
    }
    return (uint64_t)count;
}

int64_t values_id(struct values *values, json_value object, const char *name)
{
    struct slice text = values_text(values, object, name);
    long long id = 0;
    if (text.len > 0 && (!slice_parse_int64(text, &id) || id < 0)) {
        note_fault(values, name);
        return 0;
    }
    return id;
}

bool values_bool(struct values *values, json_value object, const char *name)
{
    json_value value = json_get(values->document, object, slice_from_string(name));
    enum json_type type = json_type_of(values->document, value);
    if (type != JSON_TRUE && type != JSON_FALSE)
        note_fault(values, name);
    return type == JSON_TRUE;
}

static json_value find_container(struct values *values, json_value object, const char *name,
                                 enum json_type type)
{
    bool is_null;
    json_value value = find_member(values, object, name, type, &is_null);
    if (is_null)
        note_fault(values, name);
    return value;
}

json_value values_object(struct values *values, json_value object, const char *name)
{
    return find_container(values, object, name, JSON_OBJECT);
}

json_value values_array(struct values *values, json_value object, const char *name)
{
    return find_container(values, object, name, JSON_ARRAY);
}

size_t values_choice(struct values *values, json_value object, const char *name,
                     const char *const *words, size_t count)
{
    struct slice text = values_text(values, object, name);
    for (size_t i = 0; i < count; i++)
        if (words[i] != NULL && slice_equals(text, slice_from_string(words[i])))
            return i;
    note_fault(values, name);
    return 0;
}

void *values_room(struct values *values, json_value array, size_t size)
{
    void *room = arena_allocate_array(values->arena, json_count(values->document, array) + 1, size);
    if (room == NULL)
        values->is_out_of_memory = true;
    return room;
}

const struct slice *values_texts(struct values *values, json_value object, const char *name,
                                 size_t *count)
{
    json_value array = values_array(values, object, name);
    struct slice *texts = values_room(values, array, sizeof *texts);
    *count = 0;
    if (texts == NULL)
        return NULL;
    for (json_value item = json_first_element(values->document, array); item != JSON_NONE;
         item = json_next_element(values->document, item)) {
        if (json_type_of(values->document, item) != JSON_STRING)
            note_fault(values, name);
        else if (!json_string(values->document, item, values->arena, &texts[(*count)++]))
            values->is_out_of_memory = true;
    }
    return texts;
}

struct slice values_server(struct values *values, json_value object)
{
    struct slice name = values_text(values, object, "server"), server = SLICE_EMPTY;
    if (name.len > 0 && github_server_of_name(name, values->arena, &server) != ERROR_NONE)
        values->is_out_of_memory = true;
    return server;
}
