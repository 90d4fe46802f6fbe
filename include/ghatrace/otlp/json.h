// Converts OTLP protobuf to OTLP JSON and back (the specification's mapping: lowerCamelCase names, IDs in hex, 64-bit
// integers as strings, enums as numbers). Pure.
#ifndef GHATRACE_OTLP_JSON_H
#define GHATRACE_OTLP_JSON_H

#include "ghatrace/base/arena.h"
#include "ghatrace/base/buffer.h"
#include "ghatrace/base/error.h"
#include "ghatrace/base/slice.h"

// Converts an ExportTraceServiceRequest. Fields unknown to the schema are omitted. ERROR_CORRUPT: not a valid
// message. ERROR_MEMORY, ERROR_TOO_LARGE.
enum error_code otlp_json_from_protobuf(struct slice request, struct buffer *out,
                                        struct error *error) MUST_CHECK;
// The same for an ExportMetricsServiceRequest with the kinds of metrics that metrics.h encodes.
enum error_code otlp_json_from_metrics(struct slice request, struct buffer *out,
                                       struct error *error) MUST_CHECK;

// The reverse, for an ExportTraceServiceRequest of any client. As the mapping demands, unknown members are ignored, null
// is the same as absent, numbers may be strings and the reverse. Text is valid UTF-8 afterwards: U+FFFD replaces what is
// not. `*request` is in the arena, with what was needed to make it: at most some fifteen times the bytes of `json`.
//
// ERROR_CORRUPT: not JSON, or not such a message, with a text that says where. ERROR_TOO_LARGE: more values, or nested
// deeper, than json/read.h takes. ERROR_MEMORY.
enum error_code otlp_protobuf_from_json(struct slice json, struct arena *arena,
                                        struct slice *request, struct error *error) MUST_CHECK;

#endif
