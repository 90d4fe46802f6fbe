// Encodes spans as OTLP protobuf (opentelemetry-proto 1.x, collector/trace/v1). Pure.
//
// One `struct span_batch` becomes one element of ExportTraceServiceRequest.resource_spans, including tag and length,
// so that any concatenation of such records is a valid request: repeated protobuf fields concatenate.
#ifndef GHATRACE_OTLP_ENCODE_H
#define GHATRACE_OTLP_ENCODE_H

#include "ghatrace/base/buffer.h"
#include "ghatrace/base/error.h"
#include "ghatrace/trace/span.h"

#define OTLP_SCHEMA_URL "https://opentelemetry.io/schemas/1.44.0"
#define OTLP_STRING_MAX 4096 // bytes of a name, value or status message; cut between characters

// Appends the record to `out`. Strings are made valid UTF-8 without NUL and truncated to OTLP_STRING_MAX; empty
// string attributes are omitted; end < start is clamped to start; runs, jobs and steps of zero length become 1 ns long;
// flags are "sampled, not remote" (0x101).
// ERROR_MEMORY, ERROR_TOO_LARGE (over the buffer's limit).
enum error_code otlp_encode_batch(const struct span_batch *batch, struct buffer *out,
                                  struct error *error) MUST_CHECK;

#endif
