// The messages of opentelemetry-proto 1.x as tables, in the order of the field numbers.
#include "schema.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define MESSAGE(fields_, name_)                                                                    \
    {                                                                                              \
        .name = (name_), .field_count = COUNT(fields_), .fields = (fields_)                        \
    }
#define SCALAR(number, name, kind)                                                                 \
    {                                                                                              \
        (number), (name), (kind), false, NULL                                                      \
    }
#define ONE(number, name, message)                                                                 \
    {                                                                                              \
        (number), (name), SCHEMA_MESSAGE, false, &(message)                                        \
    }
#define MANY(number, name, message)                                                                \
    {                                                                                              \
        (number), (name), SCHEMA_MESSAGE, true, &(message)                                         \
    }
#define TEXTS(number, name)                                                                        \
    {                                                                                              \
        (number), (name), SCHEMA_STRING, true, NULL                                                \
    }

// Values nest: an array or list of values is itself a value.
static const struct schema_message any_value;

static const struct schema_field key_value_fields[] = {
    SCALAR(KEY_VALUE_KEY, "key", SCHEMA_STRING),
    ONE(KEY_VALUE_VALUE, "value", any_value),
};
const struct schema_message schema_key_value = MESSAGE(key_value_fields, "attribute");

static const struct schema_field array_fields[] = {MANY(ARRAY_VALUES, "values", any_value)};
static const struct schema_message array_value = MESSAGE(array_fields, "array value");

static const struct schema_field kvlist_fields[] = {
    MANY(KVLIST_VALUES, "values", schema_key_value)};
static const struct schema_message kvlist_value = MESSAGE(kvlist_fields, "key-value list");

static const struct schema_field any_value_fields[] = {
    SCALAR(ANY_VALUE_STRING, "stringValue", SCHEMA_STRING),
    SCALAR(ANY_VALUE_BOOL, "boolValue", SCHEMA_BOOL),
    SCALAR(ANY_VALUE_INT, "intValue", SCHEMA_INT64),
    SCALAR(ANY_VALUE_DOUBLE, "doubleValue", SCHEMA_DOUBLE),
    ONE(ANY_VALUE_ARRAY, "arrayValue", array_value),
    ONE(ANY_VALUE_KVLIST, "kvlistValue", kvlist_value),
    SCALAR(ANY_VALUE_BYTES, "bytesValue", SCHEMA_BYTES),
};
static const struct schema_message any_value = {
    .name = "attribute value",
    .is_oneof = true,
    .field_count = COUNT(any_value_fields),
    .fields = any_value_fields,
};

static const struct schema_field event_fields[] = {
    SCALAR(EVENT_TIME, "timeUnixNano", SCHEMA_FIXED64),
    SCALAR(EVENT_NAME, "name", SCHEMA_STRING),
    MANY(EVENT_ATTRIBUTES, "attributes", schema_key_value),
    SCALAR(EVENT_DROPPED_ATTRIBUTES, "droppedAttributesCount", SCHEMA_UINT32),
};
static const struct schema_message event = MESSAGE(event_fields, "event");

static const struct schema_field link_fields[] = {
    SCALAR(LINK_TRACE_ID, "traceId", SCHEMA_TRACE_ID),
    SCALAR(LINK_SPAN_ID, "spanId", SCHEMA_SPAN_ID),
    SCALAR(LINK_TRACE_STATE, "traceState", SCHEMA_STRING),
    MANY(LINK_ATTRIBUTES, "attributes", schema_key_value),
    SCALAR(LINK_DROPPED_ATTRIBUTES, "droppedAttributesCount", SCHEMA_UINT32),
    SCALAR(LINK_FLAGS, "flags", SCHEMA_FIXED32),
};
static const struct schema_message link_message = MESSAGE(link_fields, "link");

static const struct schema_field status_fields[] = {
    SCALAR(STATUS_MESSAGE, "message", SCHEMA_STRING),
    SCALAR(STATUS_CODE, "code", SCHEMA_ENUM),
};
static const struct schema_message status = MESSAGE(status_fields, "status");

static const struct schema_field span_fields[] = {
    SCALAR(SPAN_TRACE_ID, "traceId", SCHEMA_TRACE_ID),
    SCALAR(SPAN_SPAN_ID, "spanId", SCHEMA_SPAN_ID),
    SCALAR(SPAN_TRACE_STATE, "traceState", SCHEMA_STRING),
    SCALAR(SPAN_PARENT_SPAN_ID, "parentSpanId", SCHEMA_SPAN_ID),
    SCALAR(SPAN_NAME, "name", SCHEMA_STRING),
    SCALAR(SPAN_KIND, "kind", SCHEMA_ENUM),
    SCALAR(SPAN_START_TIME, "startTimeUnixNano", SCHEMA_FIXED64),
    SCALAR(SPAN_END_TIME, "endTimeUnixNano", SCHEMA_FIXED64),
    MANY(SPAN_ATTRIBUTES, "attributes", schema_key_value),
    SCALAR(SPAN_DROPPED_ATTRIBUTES, "droppedAttributesCount", SCHEMA_UINT32),
    MANY(SPAN_EVENTS, "events", event),
    SCALAR(SPAN_DROPPED_EVENTS, "droppedEventsCount", SCHEMA_UINT32),
    MANY(SPAN_LINKS, "links", link_message),
    SCALAR(SPAN_DROPPED_LINKS, "droppedLinksCount", SCHEMA_UINT32),
    ONE(SPAN_STATUS, "status", status),
    SCALAR(SPAN_FLAGS, "flags", SCHEMA_FIXED32),
};
const struct schema_message schema_span = MESSAGE(span_fields, "span");

static const struct schema_field scope_fields[] = {
    SCALAR(SCOPE_NAME, "name", SCHEMA_STRING),
    SCALAR(SCOPE_VERSION, "version", SCHEMA_STRING),
    MANY(SCOPE_ATTRIBUTES, "attributes", schema_key_value),
    SCALAR(SCOPE_DROPPED_ATTRIBUTES, "droppedAttributesCount", SCHEMA_UINT32),
};
const struct schema_message schema_scope = MESSAGE(scope_fields, "scope");

static const struct schema_field scope_spans_fields[] = {
    ONE(SCOPE_SPANS_SCOPE, "scope", schema_scope),
    MANY(SCOPE_SPANS_SPANS, "spans", schema_span),
    SCALAR(SCOPE_SPANS_SCHEMA_URL, "schemaUrl", SCHEMA_STRING),
};
const struct schema_message schema_scope_spans = MESSAGE(scope_spans_fields, "scope spans");

static const struct schema_field entity_ref_fields[] = {
    SCALAR(ENTITY_REF_SCHEMA_URL, "schemaUrl", SCHEMA_STRING),
    SCALAR(ENTITY_REF_TYPE, "type", SCHEMA_STRING),
    TEXTS(ENTITY_REF_ID_KEYS, "idKeys"),
    TEXTS(ENTITY_REF_DESCRIPTION_KEYS, "descriptionKeys"),
};
static const struct schema_message entity_ref = MESSAGE(entity_ref_fields, "entity reference");

static const struct schema_field resource_fields[] = {
    MANY(RESOURCE_ATTRIBUTES, "attributes", schema_key_value),
    SCALAR(RESOURCE_DROPPED_ATTRIBUTES, "droppedAttributesCount", SCHEMA_UINT32),
    MANY(RESOURCE_ENTITY_REFS, "entityRefs", entity_ref),
};
const struct schema_message schema_resource = MESSAGE(resource_fields, "resource");

static const struct schema_field resource_spans_fields[] = {
    ONE(RESOURCE_SPANS_RESOURCE, "resource", schema_resource),
    MANY(RESOURCE_SPANS_SCOPE_SPANS, "scopeSpans", schema_scope_spans),
    SCALAR(RESOURCE_SPANS_SCHEMA_URL, "schemaUrl", SCHEMA_STRING),
};
const struct schema_message schema_resource_spans =
    MESSAGE(resource_spans_fields, "resource spans");

static const struct schema_field trace_request_fields[] = {
    MANY(REQUEST_RESOURCE_SPANS, "resourceSpans", schema_resource_spans),
};
const struct schema_message schema_trace_request = MESSAGE(trace_request_fields, "trace request");

_Static_assert(COUNT(span_fields) <= SCHEMA_FIELDS_MAX, "the message with most fields");

// --- metrics ---

static const struct schema_field exemplar_fields[] = {
    SCALAR(EXEMPLAR_TIME, "timeUnixNano", SCHEMA_FIXED64),
    SCALAR(EXEMPLAR_DOUBLE, "asDouble", SCHEMA_DOUBLE),
    SCALAR(EXEMPLAR_TRACE_ID, "traceId", SCHEMA_TRACE_ID),
};
static const struct schema_message exemplar = MESSAGE(exemplar_fields, "exemplar");

static const struct schema_field number_point_fields[] = {
    SCALAR(NUMBER_POINT_START_TIME, "startTimeUnixNano", SCHEMA_FIXED64),
    SCALAR(NUMBER_POINT_TIME, "timeUnixNano", SCHEMA_FIXED64),
    SCALAR(NUMBER_POINT_DOUBLE, "asDouble", SCHEMA_DOUBLE),
    SCALAR(NUMBER_POINT_INT, "asInt", SCHEMA_SFIXED64),
    MANY(NUMBER_POINT_ATTRIBUTES, "attributes", schema_key_value),
};
static const struct schema_message number_point = MESSAGE(number_point_fields, "data point");

static const struct schema_field histogram_point_fields[] = {
    SCALAR(HISTOGRAM_POINT_START_TIME, "startTimeUnixNano", SCHEMA_FIXED64),
    SCALAR(HISTOGRAM_POINT_TIME, "timeUnixNano", SCHEMA_FIXED64),
    SCALAR(HISTOGRAM_POINT_COUNT, "count", SCHEMA_FIXED64),
    SCALAR(HISTOGRAM_POINT_SUM, "sum", SCHEMA_DOUBLE),
    SCALAR(HISTOGRAM_POINT_BUCKETS, "bucketCounts", SCHEMA_PACKED_FIXED64),
    SCALAR(HISTOGRAM_POINT_BOUNDS, "explicitBounds", SCHEMA_PACKED_DOUBLE),
    MANY(HISTOGRAM_POINT_EXEMPLARS, "exemplars", exemplar),
    MANY(HISTOGRAM_POINT_ATTRIBUTES, "attributes", schema_key_value),
};
static const struct schema_message histogram_point =
    MESSAGE(histogram_point_fields, "histogram data point");

static const struct schema_field gauge_fields[] = {
    MANY(GAUGE_POINTS, "dataPoints", number_point),
};
static const struct schema_message gauge = MESSAGE(gauge_fields, "gauge");

static const struct schema_field sum_fields[] = {
    MANY(SUM_POINTS, "dataPoints", number_point),
    SCALAR(SUM_TEMPORALITY, "aggregationTemporality", SCHEMA_ENUM),
    SCALAR(SUM_IS_MONOTONIC, "isMonotonic", SCHEMA_BOOL),
};
static const struct schema_message sum = MESSAGE(sum_fields, "sum");

static const struct schema_field histogram_fields[] = {
    MANY(HISTOGRAM_POINTS, "dataPoints", histogram_point),
    SCALAR(HISTOGRAM_TEMPORALITY, "aggregationTemporality", SCHEMA_ENUM),
};
static const struct schema_message histogram = MESSAGE(histogram_fields, "histogram");

static const struct schema_field metric_fields[] = {
    SCALAR(METRIC_NAME, "name", SCHEMA_STRING),
    SCALAR(METRIC_DESCRIPTION, "description", SCHEMA_STRING),
    SCALAR(METRIC_UNIT, "unit", SCHEMA_STRING),
    ONE(METRIC_GAUGE, "gauge", gauge),
    ONE(METRIC_SUM, "sum", sum),
    ONE(METRIC_HISTOGRAM, "histogram", histogram),
};
static const struct schema_message metric = MESSAGE(metric_fields, "metric");

static const struct schema_field scope_metrics_fields[] = {
    ONE(SCOPE_METRICS_SCOPE, "scope", schema_scope),
    MANY(SCOPE_METRICS_METRICS, "metrics", metric),
    SCALAR(SCOPE_METRICS_SCHEMA_URL, "schemaUrl", SCHEMA_STRING),
};
static const struct schema_message scope_metrics = MESSAGE(scope_metrics_fields, "scope metrics");

static const struct schema_field resource_metrics_fields[] = {
    ONE(RESOURCE_METRICS_RESOURCE, "resource", schema_resource),
    MANY(RESOURCE_METRICS_SCOPE_METRICS, "scopeMetrics", scope_metrics),
    SCALAR(RESOURCE_METRICS_SCHEMA_URL, "schemaUrl", SCHEMA_STRING),
};
static const struct schema_message resource_metrics =
    MESSAGE(resource_metrics_fields, "resource metrics");

static const struct schema_field metrics_request_fields[] = {
    MANY(REQUEST_RESOURCE_METRICS, "resourceMetrics", resource_metrics),
};
const struct schema_message schema_metrics_request =
    MESSAGE(metrics_request_fields, "metrics request");

// --- fields by their kinds and numbers ---

enum wire_type schema_wire_type(enum schema_kind kind)
{
    switch (kind) {
    case SCHEMA_MESSAGE:
    case SCHEMA_STRING:
    case SCHEMA_TRACE_ID:
    case SCHEMA_SPAN_ID:
    case SCHEMA_BYTES:
    case SCHEMA_PACKED_FIXED64:
    case SCHEMA_PACKED_DOUBLE:
        return WIRE_BYTES;
    case SCHEMA_FIXED64:
    case SCHEMA_SFIXED64:
    case SCHEMA_DOUBLE:
        return WIRE_FIXED64;
    case SCHEMA_FIXED32:
        return WIRE_FIXED32;
    case SCHEMA_BOOL:
    case SCHEMA_INT64:
    case SCHEMA_UINT32:
    case SCHEMA_ENUM:
        break;
    }
    return WIRE_VARINT;
}

int schema_find(const struct schema_message *message, uint32_t number)
{
    for (size_t i = 0; i < message->field_count; i++) {
        if (message->fields[i].number == number)
            return (int)i;
    }
    return -1;
}
