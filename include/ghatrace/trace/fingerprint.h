// Fast non-cryptographic hash for comparing data in memory. Not for security: collisions can be constructed. Pure.
#ifndef GHATRACE_TRACE_FINGERPRINT_H
#define GHATRACE_TRACE_FINGERPRINT_H

#include <stdint.h>

#include "ghatrace/base/slice.h"
#include "ghatrace/trace/span.h"

// Start with FINGERPRINT_START and pass the result of each call to the next. The result is the same on every machine,
// since digests are stored.
#define FINGERPRINT_START UINT64_C(0xcbf29ce484222325)
uint64_t fingerprint_add_text(uint64_t fingerprint, struct slice text); // with its length

// Covers everything in the batch.
uint64_t fingerprint_of_batch(const struct span_batch *batch);

#endif
