// Fields of a JSON object into a struct, by a table: what is looked for, of which type, and where it goes.
//
// The object is walked once. The first of double keys wins. null is the same as absence. What is
// there with another type than the table says is ERROR_INVALID, with the path of the field.
#ifndef GHATRACE_GITHUB_FIELDS_H
#define GHATRACE_GITHUB_FIELDS_H

#include <stdbool.h>
#include <stddef.h>

#include "ghatrace/base/arena.h"
#include "ghatrace/base/error.h"
#include "ghatrace/base/slice.h"
#include "ghatrace/github/json.h"

// What all readers of one payload share; `arena` and `error` are the caller's.
struct payload {
    struct json_document document;
    struct arena *arena;
    struct error *error;
};

// Where a value stands, for messages: "workflow_job.steps[3].name". Lives on the stack.
struct field_path {
    const struct field_path *parent; // NULL at the top
    struct slice name;               // empty for an array element
    size_t index;                    // of an array element
};

enum field_kind {
    FIELD_STRING,  // struct slice
    FIELD_INTEGER, // int64_t, 0 or more
    FIELD_ID,      // int64_t, 1 or more
    FIELD_TIME,    // timestamp_ns
    FIELD_VALUE,   // json_value, for the caller to read; null counts as being there
    FIELD_OBJECT,  // the nested object's fields, into the same struct
    FIELD_CUSTOM,  // whatever `read` makes of it
};

typedef enum error_code field_reader(const struct payload *payload, const struct field_path *path,
                                     json_value value, void *target);

struct field_table {
    const struct field *rows; // at most 32
    size_t count;
};

struct field {
    struct slice name;
    enum field_kind kind;
    bool required;
    size_t offset;                    // in the target
    const struct field_table *nested; // FIELD_OBJECT
    field_reader *read;               // FIELD_CUSTOM; gets the whole target
};

// For tables, which are constants: SLICE() is not one in C11.
#define FIELD_NAME(literal)                                                                        \
    {                                                                                              \
        .data = (literal), .len = sizeof(literal) - 1                                              \
    }
#define FIELD_TABLE(array)                                                                         \
    {                                                                                              \
        .rows = (array), .count = sizeof(array) / sizeof((array)[0])                               \
    }

// Sets in `target` what the object has of the table's fields, and leaves the rest alone.
enum error_code fields_read(const struct payload *payload, const struct field_path *path,
                            json_value object, const struct field_table *table,
                            void *target) MUST_CHECK;

// A FIELD_STRING of its own: an array's element, say.
enum error_code fields_read_string(const struct payload *payload, const struct field_path *path,
                                   json_value value, struct slice *out) MUST_CHECK;

// Elements of an array that are not null.
size_t fields_count_values(const struct payload *payload, json_value array);

// ERROR_INVALID "path: problem".
enum error_code fields_refuse(const struct payload *payload, const struct field_path *path,
                              const char *problem);

#endif
