// "k1=v1,k2=v2" as the OpenTelemetry variables have it: the form of W3C Baggage without properties.
// Private to this room. Pure.
#ifndef GHATRACE_SRC_EXPORT_PAIRS_H
#define GHATRACE_SRC_EXPORT_PAIRS_H

#include <stdbool.h>
#include <stddef.h>

#include "ghatrace/base/arena.h"
#include "ghatrace/base/error.h"
#include "ghatrace/base/slice.h"

struct pairs {
    struct slice rest; // not read yet
    size_t position;   // of the last entry read
};

struct pair {
    struct slice key, value;
    size_t position; // from 1: messages name the entry by it, since the entry may be a secret
};

void pairs_init(struct pairs *pairs, struct slice text);
// The next entry, split at its first '=' (later ones belong to the value: base64 pads with them) and
// trimmed. Empty entries are passed over. ERROR_NOT_FOUND, without a message, at the end;
// ERROR_USAGE when there is no '='.
enum error_code pairs_next(struct pairs *pairs, struct pair *pair, struct error *error) MUST_CHECK;
// An upper bound of the number of entries.
size_t pairs_count_max(struct slice text);

// Undoes percent-encoding; '+' is itself. The result lives in the arena and has a NUL behind it.
// ERROR_INVALID, without a message: '%' without two hexadecimal digits. ERROR_MEMORY.
enum error_code pairs_percent_decode(struct slice text, struct arena *arena,
                                     struct slice *decoded) MUST_CHECK;

#endif
