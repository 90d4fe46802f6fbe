// Converts OTLP protobuf to OTLP JSON (the specification's mapping: lowerCamelCase names, IDs in hex, 64-bit integers
// as strings, enums as numbers). Pure.
#ifndef GHATRACE_OTLP_JSON_H
#define GHATRACE_OTLP_JSON_H

#include "ghatrace/base/buffer.h"
#include "ghatrace/base/error.h"
#include "ghatrace/base/slice.h"

// Converts an ExportTraceServiceRequest. Fields unknown to the schema are omitted. ERROR_CORRUPT: not a valid
// message. ERROR_MEMORY, ERROR_TOO_LARGE.
enum error_code otlp_json_from_protobuf(struct slice request, struct buffer *out,
                                        struct error *error) MUST_CHECK;

#endif
