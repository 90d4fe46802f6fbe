// Field numbers of opentelemetry-proto 1.x: what encoder, decoder and JSON schema agree on.
#ifndef GHATRACE_OTLP_FIELDS_H
#define GHATRACE_OTLP_FIELDS_H

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

// opentelemetry/proto/resource/v1/resource.proto and common/v1/common.proto
enum { RESOURCE_ATTRIBUTES = 1, RESOURCE_DROPPED_ATTRIBUTES = 2 };
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
enum { RPC_STATUS_CODE = 1, RPC_STATUS_MESSAGE = 2 };

#endif
