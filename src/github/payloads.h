// The parts of a payload, each with its reader. Private to this module.
#ifndef GHATRACE_GITHUB_PAYLOADS_H
#define GHATRACE_GITHUB_PAYLOADS_H

#include <stdbool.h>
#include <stddef.h>

#include "ghatrace/base/arena.h"
#include "ghatrace/base/error.h"
#include "ghatrace/base/slice.h"
#include "ghatrace/github/event.h"
#include "ghatrace/json/read.h"

// --- fields --------------------------------------------------------------------------------------
// Reads fields of a JSON object into a struct, controlled by a table: the fields, their types and their targets.
//
// The object is read once. The first of duplicate keys wins. Null, or a value of another form than in the table (a
// number instead of a text, an invalid time, an integer beyond 64 bits), counts as absent: only fields that identify
// an event may cause it to be refused. If a required field is absent or invalid, the result is ERROR_INVALID, with
// its path.

// Shared by all readers of one payload; `arena` and `error` are the caller's.
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
    FIELD_BOOLEAN, // bool
    FIELD_VALUE,   // json_value, for the caller to read; null counts as present
    FIELD_OBJECT,  // the nested object's fields, into the same struct
    FIELD_ARRAY,   // an array, read by `read`
};

// Receives the whole target. Skips unusable elements. ERROR_MEMORY.
typedef enum error_code field_reader(const struct payload *payload, json_value array, void *target);

struct field_table {
    const struct field *rows; // at most 32
    size_t count;
};

struct field {
    struct slice name;
    enum field_kind kind;
    bool required;                    // identifies the event; not in nested tables
    size_t offset;                    // in the target
    const struct field_table *nested; // FIELD_OBJECT
    field_reader *read;               // FIELD_ARRAY
};

// For constant tables: SLICE() is not a constant expression in C11.
#define FIELD_NAME(literal)                                                                        \
    {                                                                                              \
        .data = (literal), .len = sizeof(literal) - 1                                              \
    }
#define FIELD_TABLE(array)                                                                         \
    {                                                                                              \
        .rows = (array), .count = sizeof(array) / sizeof((array)[0])                               \
    }

// Sets in `target` the fields of the table that the object has, and leaves the others unchanged. A value that is not
// an object has none. `path` names the object in messages; empty at the top level.
enum error_code fields_read(const struct payload *payload, struct slice path, json_value object,
                            const struct field_table *table, void *target) MUST_CHECK;

// ERROR_INVALID "path.name: problem".
enum error_code fields_refuse(const struct payload *payload, struct slice path, struct slice name,
                              const char *problem);

// --- the parts of a payload ----------------------------------------------------------------------

// The members of a delivery's outermost object, JSON_NONE where absent. Only for kinds that are stored.
struct envelope {
    struct slice action;
    json_value subject; // what the event is about: the member that is called like the event's type
    json_value workflow;
    json_value repository;
    json_value deployment;
};

// The decoders of the kinds of events. The event is zeroed, but for its type: they set its kind and what belongs to it,
// or ignore it. Errors as of github_event_decode().
#define PAYLOAD_DECODER(kind, name, use, decode)                                                   \
    enum error_code decode(const struct payload *payload, const struct envelope *envelope,         \
                           struct github_event *event) MUST_CHECK;
GITHUB_EVENT_LIST(PAYLOAD_DECODER)

struct action_name {
    struct slice name;
    int action;
};
// The action's value, or -1.
int payload_find_action(const struct action_name *names, size_t count, struct slice name);
#define FIND_ACTION(names, name)                                                                   \
    payload_find_action(names, sizeof(names) / sizeof((names)[0]), name)

// Makes it an ignored event. `reason` is static text.
enum error_code payload_ignore(struct github_event *event, const char *reason);
// Ignores the event if its subject or its repository is null, which means that GitHub no longer has it. ERROR_INVALID
// if there is no subject. The repository is not part of an event's identity: if it is missing or invalid, the event is
// used without one. `if_null`: why an event without a subject is ignored.
enum error_code payload_check_subject(const struct payload *payload,
                                      const struct envelope *envelope, const char *if_null,
                                      struct github_event *event) MUST_CHECK;

// Expects a zeroed struct.
enum error_code repository_read(const struct payload *payload, const struct envelope *envelope,
                                struct github_repository *repository) MUST_CHECK;

// A workflow's name; empty if it is only blanks.
struct slice payload_name(struct slice text);

#endif
