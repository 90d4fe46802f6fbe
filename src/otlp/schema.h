// The OTLP messages as tables: the JSON names of their fields and the JSON forms of their values.
#ifndef GHATRACE_OTLP_SCHEMA_H
#define GHATRACE_OTLP_SCHEMA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "wire.h"

// Protobuf type and JSON form (proto3 JSON mapping, and OTLP's exceptions from it: IDs are hex instead of base64,
// enums are always numbers).
enum schema_kind {
    SCHEMA_MESSAGE, // object
    SCHEMA_STRING,  // string
    SCHEMA_ID,      // bytes; lower-case hex
    SCHEMA_BYTES,   // bytes; base64
    SCHEMA_BOOL,    // true, false
    SCHEMA_INT64,   // varint; decimal in a string
    SCHEMA_FIXED64, // unsigned; decimal in a string
    SCHEMA_DOUBLE,  // number, or "NaN", "Infinity", "-Infinity"
    SCHEMA_UINT32,  // varint; number
    SCHEMA_FIXED32, // number
    SCHEMA_ENUM,    // varint; number
};

struct schema_message;

struct schema_field {
    uint32_t number;
    const char *name;
    enum schema_kind kind;
    bool is_repeated;
    const struct schema_message *message; // for SCHEMA_MESSAGE
};

#define SCHEMA_FIELDS_MAX 16

struct schema_message {
    const char *name;
    bool is_oneof; // all fields belong to one oneof: the last one present counts
    size_t field_count;
    const struct schema_field *fields;
};

// opentelemetry.proto.collector.trace.v1.ExportTraceServiceRequest
extern const struct schema_message schema_trace_request;

#endif
