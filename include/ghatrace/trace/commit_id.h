// Ids of commits, and how they are written. Pure.
#ifndef GHATRACE_TRACE_COMMIT_ID_H
#define GHATRACE_TRACE_COMMIT_ID_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ghatrace/base/slice.h"

#define COMMIT_ID_SHA1_SIZE 20
#define COMMIT_ID_SHA256_SIZE 32
#define COMMIT_ID_TEXT_SIZE (2 * COMMIT_ID_SHA256_SIZE + 1)

struct commit_id {
    uint8_t size; // COMMIT_ID_SHA1_SIZE or COMMIT_ID_SHA256_SIZE; 0: none
    uint8_t bytes[COMMIT_ID_SHA256_SIZE];
};

// Of the 40 or 64 hexadecimal digits of an id, in either case. Anything else: none.
struct commit_id commit_id_of(struct slice text);
bool commit_id_equals(const struct commit_id *a, const struct commit_id *b);
// In lower case. Returns `text`.
const char *commit_id_text(const struct commit_id *id, char text[COMMIT_ID_TEXT_SIZE]);

// GitHub shortens ids to seven digits.
#define COMMIT_PREFIX_MIN 7

// The first digits of an id, or all of them.
struct commit_prefix {
    size_t digits;
    uint8_t bytes[COMMIT_ID_SHA256_SIZE]; // after the digits 0
};

// Reads COMMIT_PREFIX_MIN to 64 hexadecimal digits, in either case. False for anything else.
bool commit_prefix_parse(struct slice text, struct commit_prefix *prefix);
bool commit_prefix_has(const struct commit_prefix *prefix, const struct commit_id *id);

#endif
