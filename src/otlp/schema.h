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
    SCHEMA_MESSAGE,  // object
    SCHEMA_STRING,   // string
    SCHEMA_TRACE_ID, // 16 bytes; lower-case hex
    SCHEMA_SPAN_ID,  // 8 bytes; lower-case hex
    SCHEMA_BYTES,    // bytes; base64
    SCHEMA_BOOL,     // true, false
    SCHEMA_INT64,    // varint; decimal in a string
    SCHEMA_FIXED64,  // unsigned; decimal in a string
    SCHEMA_SFIXED64, // signed; decimal in a string
    SCHEMA_DOUBLE,   // number, or "NaN", "Infinity", "-Infinity"
    SCHEMA_UINT32,   // varint; number
    SCHEMA_FIXED32,  // number
    SCHEMA_ENUM,     // varint; number
    // Repeated in packed form, one field with all elements; array of what these are in JSON. Written as JSON only.
    SCHEMA_PACKED_FIXED64,
    SCHEMA_PACKED_DOUBLE,
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

// Nesting limit of messages, the request being at level 0. A value of a span's attribute is at level five; each array
// or list in it takes one or two more. Deeper nesting is not worth the stack space.
#define SCHEMA_DEPTH_MAX 32

struct schema_message {
    const char *name;
    bool is_oneof; // all fields belong to one oneof: the last one present counts
    size_t field_count;
    const struct schema_field *fields;
};

// opentelemetry.proto.collector.trace.v1.ExportTraceServiceRequest
extern const struct schema_message schema_trace_request;
// opentelemetry.proto.collector.metrics.v1.ExportMetricsServiceRequest; exponential histograms and summaries, which this
// program does not send, are unknown
extern const struct schema_message schema_metrics_request;
// Parts of the trace request, which are read on their own.
extern const struct schema_message schema_resource_spans, schema_resource, schema_scope_spans,
    schema_scope, schema_span, schema_key_value;

enum wire_type schema_wire_type(enum schema_kind kind);
// The index in `message->fields` of the field with this number; -1: unknown.
int schema_find(const struct schema_message *message, uint32_t number);

#endif
