// Fields of a JSON object into a struct, by a table: what is looked for, of which type, and where it goes.
//
// The object is walked once. The first of double keys wins. What is null, or there in another form than the table says
// (a number where a text belongs, a time that is none, an integer beyond 64 bits), is the same as absence: nothing but
// what identifies an event may cost it. Only a required field that is absent or of another form is ERROR_INVALID, with
// its path.
#ifndef GHATRACE_GITHUB_FIELDS_H
#define GHATRACE_GITHUB_FIELDS_H

#include <stdbool.h>
#include <stddef.h>

#include "ghatrace/base/arena.h"
#include "ghatrace/base/error.h"
#include "ghatrace/base/slice.h"
#include "ghatrace/json/read.h"

// What all readers of one payload share; `arena` and `error` are the caller's.
struct payload {
    struct json_document document;
    struct arena *arena;
    struct error *error;
};

enum field_kind {
    FIELD_STRING,  // struct slice
    FIELD_INTEGER, // int64_t, 0 or more
    FIELD_ID,      // int64_t, 1 or more
    FIELD_TIME,    // timestamp_ns
    FIELD_VALUE,   // json_value, for the caller to read; null counts as being there
    FIELD_OBJECT,  // the nested object's fields, into the same struct
    FIELD_ARRAY,   // what `read` makes of an array
};

// Gets the whole target. Skips elements that are of no use. ERROR_MEMORY.
typedef enum error_code field_reader(const struct payload *payload, json_value array, void *target);

struct field_table {
    const struct field *rows; // at most 32
    size_t count;
};

struct field {
    struct slice name;
    enum field_kind kind;
    bool required;                    // what identifies the event; not in nested tables
    size_t offset;                    // in the target
    const struct field_table *nested; // FIELD_OBJECT
    field_reader *read;               // FIELD_ARRAY
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

// Sets in `target` what the object has of the table's fields, and leaves the rest alone. A value that is no object has
// none of them. `path` names the object in messages; empty at the top.
enum error_code fields_read(const struct payload *payload, struct slice path, json_value object,
                            const struct field_table *table, void *target) MUST_CHECK;

// A FIELD_STRING of its own: an array's element, say. Leaves `out` alone where the value is no string. ERROR_MEMORY.
enum error_code fields_read_string(const struct payload *payload, json_value value,
                                   struct slice *out) MUST_CHECK;

// Elements of an array that are of this type.
size_t fields_count(const struct payload *payload, json_value array, enum json_type type);

// ERROR_INVALID "path.name: problem".
enum error_code fields_refuse(const struct payload *payload, struct slice path, struct slice name,
                              const char *problem);

#endif
