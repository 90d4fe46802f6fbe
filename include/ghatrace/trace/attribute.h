// Filling attribute lists without a check at every line: after a refused allocation the rest is
// skipped, and the caller looks at `failed` once. Absent data makes no attribute: never an empty
// string, never a zero.
#ifndef GHATRACE_TRACE_ATTRIBUTE_H
#define GHATRACE_TRACE_ATTRIBUTE_H

#include <stdbool.h>
#include <stdint.h>

#include "ghatrace/base/arena.h"
#include "ghatrace/trace/span.h"

struct attribute_writer {
    struct arena *arena;
    struct attributes *list; // whose items live in the arena
    bool failed;
};

void attribute_add(struct attribute_writer *writer, struct attribute attribute);
void attribute_add_string(struct attribute_writer *writer, const char *key, struct slice value);
void attribute_add_int(struct attribute_writer *writer, const char *key, int64_t value);
void attribute_add_true(struct attribute_writer *writer, const char *key, bool value);
void attribute_add_strings(struct attribute_writer *writer, const char *key,
                           const struct slice *items, size_t count);
// A number as decimal text.
void attribute_add_number_string(struct attribute_writer *writer, const char *key, int64_t value);

// Reading: empty, 0, false or none where it is absent or of another type.
struct slice attributes_get_string(const struct attributes *attributes, const char *key);
int64_t attributes_get_int(const struct attributes *attributes, const char *key);
bool attributes_get_bool(const struct attributes *attributes, const char *key);
void attributes_get_strings(const struct attributes *attributes, const char *key,
                            const struct slice **items, size_t *count);
const struct attribute *attributes_find(const struct attributes *attributes, const char *key);

#endif
