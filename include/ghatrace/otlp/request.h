// Reads what other programs send: an ExportTraceServiceRequest, in protobuf or JSON, from a client that may be
// hostile. The spans are not decoded further than needed to decide about them: what is passed on stays byte for byte
// what was sent. Pure.
#ifndef GHATRACE_OTLP_REQUEST_H
#define GHATRACE_OTLP_REQUEST_H

#include "ghatrace/base/arena.h"
#include "ghatrace/base/buffer.h"
#include "ghatrace/base/error.h"
#include "ghatrace/base/list.h"
#include "ghatrace/base/slice.h"
#include "ghatrace/base/time.h"
#include "ghatrace/trace/span.h"

// Beyond them a request is refused (spans) or a span is (the others).
struct otlp_request_limits {
    size_t spans; // in the request
    // Of a span, its events and links included; of a resource or scope. Those in lists of values count, too.
    size_t attributes;
    size_t span_bytes;     // of an encoded span
    size_t resource_bytes; // of an encoded resource, and of an encoded scope
};

// Why a span is refused. The names are those of the response's text, of /metrics and /api/status.
#define OTLP_SPAN_FAULT_LIST(ROW)                                                                  \
    ROW(OTLP_SPAN_FINE, "fine")                                                                    \
    /* Lengths other than 16, 8 and 0 or 8, or zero; in a link, lengths other than 0, 16 and 8. */ \
    ROW(OTLP_SPAN_BAD_IDS, "bad_ids")                                                              \
    ROW(OTLP_SPAN_BAD_UTF8, "bad_utf8") /* in it, its scope or resource: parsers refuse that */    \
    ROW(OTLP_SPAN_TOO_LARGE, "too_large")                                                          \
    ROW(OTLP_SPAN_TOO_MANY_ATTRIBUTES, "too_many_attributes")
enum otlp_span_fault { OTLP_SPAN_FAULT_LIST(LIST_ENUMERATOR) OTLP_SPAN_FAULTS };
extern const char *const otlp_span_fault_names[OTLP_SPAN_FAULTS];

struct otlp_received_span {
    enum otlp_span_fault fault; // not OTLP_SPAN_FINE: of the IDs only those that are valid are set
    struct trace_id trace_id;
    struct span_id span_id;
    bool has_parent; // a parent of zeros is none
    struct span_id parent_id;
    struct slice name;
    timestamp_ns start, end; // as sent, no order is guaranteed; beyond INT64_MAX: TIMESTAMP_UNKNOWN
    struct slice bytes;      // the encoded Span message
};

// The spans of one scope of one resource.
struct otlp_received_scope {
    struct slice resource;            // the encoded Resource; may be empty
    struct slice resource_schema_url; //
    struct slice scope;               // the encoded InstrumentationScope; may be empty
    struct slice scope_schema_url;
    struct otlp_received_span *spans;
    size_t span_count;
};

struct otlp_request {
    struct otlp_received_scope *scopes;
    size_t scope_count;
    size_t span_count; // in all scopes
};

// Decodes a request in protobuf or in JSON. Slices point into `body`, or into `arena` (JSON, which is converted to
// protobuf first; fields that the schema does not know are omitted then). The arena's use is proportional to the bytes of `body` (at most the
// same for protobuf, some twenty times for JSON) and to the number of spans.
//
// As protobuf demands, the last of several values counts, and pieces of a resource or scope are merged. Scopes without
// spans are left out. Unknown fields are skipped, and kept in `bytes`.
//
// ERROR_CORRUPT: not such a message, with a text that says where: cut short, groups, a field of another wire type than
// the schema's, nested too deep (SCHEMA_DEPTH_MAX). ERROR_TOO_LARGE: more spans than the limit. ERROR_MEMORY.
enum error_code otlp_decode_request(struct slice body, const struct otlp_request_limits *limits,
                                    struct arena *arena, struct otlp_request *request,
                                    struct error *error) MUST_CHECK;
enum error_code otlp_decode_json_request(struct slice body,
                                         const struct otlp_request_limits *limits,
                                         struct arena *arena, struct otlp_request *request,
                                         struct error *error) MUST_CHECK;

// The attribute `key` of a span or, with a resource's bytes, of a resource: a string, which points into the bytes; or
// an integer, which may be sent as a string of decimal digits. False: there is none of this type. The first of several
// attributes of this key counts.
enum otlp_attribute_owner { OTLP_ATTRIBUTE_OF_SPAN, OTLP_ATTRIBUTE_OF_RESOURCE };
bool otlp_find_text(struct slice bytes, enum otlp_attribute_owner owner, struct slice key,
                    struct slice *text) MUST_CHECK;
bool otlp_find_integer(struct slice bytes, enum otlp_attribute_owner owner, struct slice key,
                       int64_t *integer) MUST_CHECK;

// Appends one element of ExportTraceServiceRequest.resource_spans, including tag and length, with those spans of the
// scope for which is_taken[i]; nothing if there are none. ERROR_MEMORY, ERROR_TOO_LARGE (over the buffer's limit).
enum error_code otlp_encode_received(const struct otlp_received_scope *scope, const bool *is_taken,
                                     struct buffer *out, struct error *error) MUST_CHECK;

// Appends an ExportTraceServiceResponse. `rejected` 0 and an empty message: full success. `message` is valid UTF-8, here
// and below. ERROR_MEMORY, ERROR_TOO_LARGE; the buffer is unchanged then.
enum error_code otlp_encode_response(bool is_json, int64_t rejected, struct slice message,
                                     struct buffer *out) MUST_CHECK;
// Appends a google.rpc.Status, the body of a 4xx or 5xx.
enum error_code otlp_encode_status(bool is_json, int64_t code, struct slice message,
                                   struct buffer *out) MUST_CHECK;

#endif
