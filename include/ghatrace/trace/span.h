// OpenTelemetry's span model, limited to what this program produces. Pure data; all memory belongs to an arena.
#ifndef GHATRACE_TRACE_SPAN_H
#define GHATRACE_TRACE_SPAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ghatrace/base/slice.h"
#include "ghatrace/base/time.h"

#define TRACE_ID_SIZE 16
#define SPAN_ID_SIZE 8

struct trace_id {
    uint8_t bytes[TRACE_ID_SIZE];
};
struct span_id {
    uint8_t bytes[SPAN_ID_SIZE];
};

// The numbers of opentelemetry.proto.trace.v1.Span.SpanKind and Status.StatusCode.
enum span_kind { SPAN_KIND_INTERNAL = 1, SPAN_KIND_SERVER = 2 };
enum span_status { SPAN_STATUS_UNSET = 0, SPAN_STATUS_ERROR = 2 };

enum attribute_type { ATTRIBUTE_STRING, ATTRIBUTE_INT, ATTRIBUTE_BOOL, ATTRIBUTE_STRINGS };

struct attribute {
    const char *key; // static, or in the arena
    enum attribute_type type;
    union {
        struct slice string;
        int64_t integer;
        bool boolean;
        struct {
            const struct slice *items;
            size_t count;
        } strings;
    };
};

struct attributes {
    struct attribute *items;
    size_t count;
    size_t capacity;
};

struct span {
    struct trace_id trace_id;
    struct span_id span_id;
    bool has_parent;
    struct span_id parent_id;
    struct slice name;
    enum span_kind kind;
    timestamp_ns start;
    timestamp_ns end; // >= start
    struct attributes attributes;
    enum span_status status;
    struct slice status_message;
    bool has_link; // a run's previous attempt
    struct trace_id link_trace_id;
    struct span_id link_span_id;
};

// Spans that are sent together: those of one job, or a run's root; one ResourceSpans message in OTLP.
struct span_batch {
    struct attributes resource;
    struct span *spans;
    size_t span_count;
    // The job that the phases and steps belong to, whose span may be in another batch; 0: not known. Not compared.
    timestamp_ns job_start;
    timestamp_ns job_end;
};

// True if both have the same content, including the order of the attributes.
bool span_batches_are_equal(const struct span_batch *a, const struct span_batch *b);

#endif
