// Values of an answer of the API: each by its type, with the first fault kept.
#ifndef GHATRACE_TERM_ANSWER_VALUES_H
#define GHATRACE_TERM_ANSWER_VALUES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ghatrace/term/answers.h"

struct values {
    const struct json_document *document;
    struct arena *arena;
    const char
        *fault; // the name of the first member that is missing or of another type; NULL: none
    bool is_out_of_memory;
};

void values_init(struct values *values, const struct answer *answer);
// ERROR_INVALID or ERROR_MEMORY, with a message, if anything was wrong; `what` names the answer.
enum error_code values_finish(const struct values *values, const char *what,
                              const struct answer *answer) MUST_CHECK;

// Members of an object. A fault gives the value for null.
struct slice values_text(struct values *values, json_value object, const char *name); // null: empty
timestamp_ns values_time(struct values *values, json_value object,
                         const char *name); // null: unknown
duration_ns values_seconds(struct values *values, json_value object, const char *name, // null: 0
                           bool *is_known);
uint64_t values_count(struct values *values, json_value object, const char *name,
                      bool *is_known); // null: 0; `is_known` may be NULL: then it must not be null
int64_t values_id(struct values *values, json_value object, const char *name); // null: 0
bool values_bool(struct values *values, json_value object, const char *name);
// Of an object or an array; JSON_NONE if it is none.
json_value values_object(struct values *values, json_value object, const char *name);
json_value values_array(struct values *values, json_value object, const char *name);
// The position of a text in a list; 0 and a fault if it is not there.
size_t values_choice(struct values *values, json_value object, const char *name,
                     const char *const *words, size_t count);
// An array of texts.
const struct slice *values_texts(struct values *values, json_value object, const char *name,
                                 size_t *count);
// Room for the elements of an array, zeroed; NULL if out of memory.
void *values_room(struct values *values, json_value array, size_t size);
// `server`, as in states: empty for github.com.
struct slice values_server(struct values *values, json_value object);

#endif
