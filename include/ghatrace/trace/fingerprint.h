// A quick digest of things in memory, to tell whether they are the same. Not for security: whoever wants two texts with
// one digest can have them. Pure.
#ifndef GHATRACE_TRACE_FINGERPRINT_H
#define GHATRACE_TRACE_FINGERPRINT_H

#include <stdint.h>

#include "ghatrace/base/slice.h"
#include "ghatrace/trace/span.h"

// Begins at FINGERPRINT_START; what is added next is mixed into it. The same on every machine: digests are stored.
#define FINGERPRINT_START UINT64_C(0xcbf29ce484222325)
uint64_t fingerprint_add_text(uint64_t fingerprint, struct slice text); // with its length

// Of all that a batch says.
uint64_t fingerprint_of_batch(const struct span_batch *batch);

#endif
