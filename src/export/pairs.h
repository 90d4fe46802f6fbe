// "k1=v1,k2=v2", the form used in OpenTelemetry's variables: W3C Baggage without properties. Private to this room.
// Pure.
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
    size_t position; // from 1; used in messages, since the entry may be a secret
};

void pairs_init(struct pairs *pairs, struct slice text);
// The next entry, split at its first '=' (later ones belong to the value: base64 pads with them) and trimmed. Empty
// entries are skipped. ERROR_NOT_FOUND, without a message, at the end; ERROR_USAGE if there is no '='.
enum error_code pairs_next(struct pairs *pairs, struct pair *pair, struct error *error) MUST_CHECK;
// An upper bound of the number of entries.
size_t pairs_count_max(struct slice text);

// Decodes percent-encoding; '+' is unchanged. The result is in the arena, terminated by a NUL. ERROR_INVALID, without
// a message: '%' without two hexadecimal digits. ERROR_MEMORY.
enum error_code pairs_percent_decode(struct slice text, struct arena *arena,
                                     struct slice *decoded) MUST_CHECK;

#endif
