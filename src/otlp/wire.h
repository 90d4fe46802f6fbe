// The protobuf wire format: reads and writes fields, without a schema; the numbers of OTLP's fields. Pure.
//
// https://protobuf.dev/programming-guides/encoding
#ifndef GHATRACE_OTLP_WIRE_H
#define GHATRACE_OTLP_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ghatrace/base/buffer.h"
#include "ghatrace/base/error.h"
#include "ghatrace/base/slice.h"
#include "ghatrace/trace/span.h"

// --- reading (decode.c) ---------------------------------------------------------------------------

// Without groups (3 and 4): OTLP has none, and the reader treats them as damage.
enum wire_type { WIRE_VARINT = 0, WIRE_FIXED64 = 1, WIRE_BYTES = 2, WIRE_FIXED32 = 5 };

struct wire_field {
    uint32_t number;
    enum wire_type type;
    uint64_t integer;   // of WIRE_VARINT, WIRE_FIXED64 and WIRE_FIXED32
    struct slice bytes; // of WIRE_BYTES; points into the input
};

// Reads the fields of one message in their order. No allocation, no release.
struct wire_reader {
    const char *position;
    const char *end;
    bool is_corrupt; // set by wire_read_field
};

void wire_reader_init(struct wire_reader *reader, struct slice message);
// The next field. False at the end and if the bytes are not a valid field; `is_corrupt` distinguishes the two.
bool wire_read_field(struct wire_reader *reader, struct wire_field *field) MUST_CHECK;

// --- writing (encode.c) ---------------------------------------------------------------------------

// Writes a message from its end to its start: so the length of a nested message is known when it has to be written,
// and one pass is enough. The last field is written first.
//
// Life cycle: wire_writer_init (no allocation), put, wire_writer_release. The first failure is sticky: after it
// nothing is written, and `failure` has the error (ERROR_MEMORY or ERROR_TOO_LARGE).
struct wire_writer {
    char *data;      // owned; the message is its last `len` bytes
    size_t len;      // bytes written
    size_t capacity; // bytes allocated
    size_t max;      // limit of len, in bytes
    enum error_code failure;
};

void wire_writer_init(struct wire_writer *writer, size_t max_bytes);
void wire_writer_release(struct wire_writer *writer);
// The data written so far; valid until the next put.
struct slice wire_writer_slice(const struct wire_writer *writer);
// Appends what was written to `out`, unless a put failed, and releases the writer. ERROR_MEMORY, ERROR_TOO_LARGE; `out`
// is unchanged then.
enum error_code wire_writer_finish(struct wire_writer *writer, struct buffer *out) MUST_CHECK;

void wire_put_varint(struct wire_writer *writer, uint32_t number, uint64_t value);
void wire_put_fixed64(struct wire_writer *writer, uint32_t number, uint64_t value);
void wire_put_fixed32(struct wire_writer *writer, uint32_t number, uint32_t value);
void wire_put_double(struct wire_writer *writer, uint32_t number, double value);
// A repeated fixed64 in its packed form, without a tag for each element.
void wire_put_packed_fixed64(struct wire_writer *writer, uint32_t number, const uint64_t *values,
                             size_t count);
void wire_put_packed_doubles(struct wire_writer *writer, uint32_t number, const double *values,
                             size_t count);
void wire_put_bytes(struct wire_writer *writer, uint32_t number, struct slice bytes);
// Makes a nested message of everything that was written since the writer's `len` was `mark`.
void wire_put_message(struct wire_writer *writer, uint32_t number, size_t mark);

// --- fields ---------------------------------------------------------------------------------------
// Field numbers of opentelemetry-proto 1.x, shared by encoder, decoder and JSON schema.

// opentelemetry/proto/collector/trace/v1/trace_service.proto
enum { REQUEST_RESOURCE_SPANS = 1 };
enum { RESPONSE_PARTIAL_SUCCESS = 1 };
enum { PARTIAL_SUCCESS_REJECTED_SPANS = 1, PARTIAL_SUCCESS_ERROR_MESSAGE = 2 };

// opentelemetry/proto/trace/v1/trace.proto
enum {
    RESOURCE_SPANS_RESOURCE = 1,
    RESOURCE_SPANS_SCOPE_SPANS = 2,
    RESOURCE_SPANS_SCHEMA_URL = 3,
};
enum { SCOPE_SPANS_SCOPE = 1, SCOPE_SPANS_SPANS = 2, SCOPE_SPANS_SCHEMA_URL = 3 };
enum {
    SPAN_TRACE_ID = 1,
    SPAN_SPAN_ID = 2,
    SPAN_TRACE_STATE = 3,
    SPAN_PARENT_SPAN_ID = 4,
    SPAN_NAME = 5,
    SPAN_KIND = 6,
    SPAN_START_TIME = 7,
    SPAN_END_TIME = 8,
    SPAN_ATTRIBUTES = 9,
    SPAN_DROPPED_ATTRIBUTES = 10,
    SPAN_EVENTS = 11,
    SPAN_DROPPED_EVENTS = 12,
    SPAN_LINKS = 13,
    SPAN_DROPPED_LINKS = 14,
    SPAN_STATUS = 15,
    SPAN_FLAGS = 16,
};
enum { EVENT_TIME = 1, EVENT_NAME = 2, EVENT_ATTRIBUTES = 3, EVENT_DROPPED_ATTRIBUTES = 4 };
enum {
    LINK_TRACE_ID = 1,
    LINK_SPAN_ID = 2,
    LINK_TRACE_STATE = 3,
    LINK_ATTRIBUTES = 4,
    LINK_DROPPED_ATTRIBUTES = 5,
    LINK_FLAGS = 6,
};
enum { STATUS_MESSAGE = 2, STATUS_CODE = 3 };

// opentelemetry/proto/collector/metrics/v1/metrics_service.proto; its response has the numbers of the traces' one
enum { REQUEST_RESOURCE_METRICS = 1 };

// opentelemetry/proto/metrics/v1/metrics.proto
enum {
    RESOURCE_METRICS_RESOURCE = 1,
    RESOURCE_METRICS_SCOPE_METRICS = 2,
    RESOURCE_METRICS_SCHEMA_URL = 3,
};
enum { SCOPE_METRICS_SCOPE = 1, SCOPE_METRICS_METRICS = 2, SCOPE_METRICS_SCHEMA_URL = 3 };
enum {
    METRIC_NAME = 1,
    METRIC_DESCRIPTION = 2,
    METRIC_UNIT = 3,
    METRIC_GAUGE = 5,
    METRIC_SUM = 7,
    METRIC_HISTOGRAM = 9,
};
enum { GAUGE_POINTS = 1 };
enum { SUM_POINTS = 1, SUM_TEMPORALITY = 2, SUM_IS_MONOTONIC = 3 };
enum { HISTOGRAM_POINTS = 1, HISTOGRAM_TEMPORALITY = 2 };
enum { TEMPORALITY_CUMULATIVE = 2 };
enum {
    NUMBER_POINT_START_TIME = 2,
    NUMBER_POINT_TIME = 3,
    NUMBER_POINT_DOUBLE = 4,
    NUMBER_POINT_INT = 6,
    NUMBER_POINT_ATTRIBUTES = 7,
};
enum {
    HISTOGRAM_POINT_START_TIME = 2,
    HISTOGRAM_POINT_TIME = 3,
    HISTOGRAM_POINT_COUNT = 4,
    HISTOGRAM_POINT_SUM = 5,
    HISTOGRAM_POINT_BUCKETS = 6,
    HISTOGRAM_POINT_BOUNDS = 7,
    HISTOGRAM_POINT_EXEMPLARS = 8,
    HISTOGRAM_POINT_ATTRIBUTES = 9,
};
enum { EXEMPLAR_TIME = 2, EXEMPLAR_DOUBLE = 3, EXEMPLAR_TRACE_ID = 5 };

// opentelemetry/proto/resource/v1/resource.proto and common/v1/common.proto
enum { RESOURCE_ATTRIBUTES = 1, RESOURCE_DROPPED_ATTRIBUTES = 2, RESOURCE_ENTITY_REFS = 3 };
enum {
    ENTITY_REF_SCHEMA_URL = 1,
    ENTITY_REF_TYPE = 2,
    ENTITY_REF_ID_KEYS = 3,
    ENTITY_REF_DESCRIPTION_KEYS = 4,
};
enum { SCOPE_NAME = 1, SCOPE_VERSION = 2, SCOPE_ATTRIBUTES = 3, SCOPE_DROPPED_ATTRIBUTES = 4 };
enum { KEY_VALUE_KEY = 1, KEY_VALUE_VALUE = 2 };
enum {
    ANY_VALUE_STRING = 1,
    ANY_VALUE_BOOL = 2,
    ANY_VALUE_INT = 3,
    ANY_VALUE_DOUBLE = 4,
    ANY_VALUE_ARRAY = 5,
    ANY_VALUE_KVLIST = 6,
    ANY_VALUE_BYTES = 7,
};
enum { ARRAY_VALUES = 1 };
enum { KVLIST_VALUES = 1 };

// google/rpc/status.proto
enum { RPC_STATUS_CODE = 1, RPC_STATUS_MESSAGE = 2, RPC_STATUS_DETAILS = 3 };

// google/protobuf/any.proto and duration.proto, google/rpc/error_details.proto
enum { ANY_TYPE_URL = 1, ANY_MESSAGE = 2 };
enum { RETRY_INFO_DELAY = 1 };
enum { DURATION_SECONDS = 1, DURATION_NANOS = 2 };

// --- messages that spans and metrics share (encode.c) ---------------------------------------------

// A text, made valid UTF-8 without NUL and cut as encode.h says.
void otlp_put_text(struct wire_writer *writer, uint32_t number, struct slice text);
// Attributes with a value; of equal keys the first.
void otlp_put_attributes(struct wire_writer *writer, uint32_t number,
                         const struct attributes *attributes);
// This program as the instrumentation scope.
void otlp_put_scope(struct wire_writer *writer, uint32_t number);

#endif
