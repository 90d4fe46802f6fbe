// Encodes spans, and finds fields in the resulting record. Include cmocka.h before it.
#ifndef TESTS_UNIT_OTLP_RECORD_H
#define TESTS_UNIT_OTLP_RECORD_H

#include "../../../src/otlp/wire.h"
#include "ghatrace/otlp/encode.h"

static const struct span plain_span = {
    .trace_id = {{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}},
    .span_id = {{16, 17, 18, 19, 20, 21, 22, 23}},
    .name = {"a", 1},
    .kind = SPAN_KIND_INTERNAL,
    .start = 1,
    .end = 2,
};

// The first field with this number, which has to be there.
static inline struct slice inside(struct slice message, uint32_t number)
{
    struct wire_reader reader;
    struct wire_field field;
    wire_reader_init(&reader, message);
    while (wire_read_field(&reader, &field)) {
        if (field.number == number)
            return field.bytes;
    }
    fail_msg("field %u is missing", (unsigned)number);
    return SLICE_EMPTY;
}

static inline struct slice first_span(const struct buffer *record)
{
    struct slice resource_spans = inside(buffer_slice(record), REQUEST_RESOURCE_SPANS);
    return inside(inside(resource_spans, RESOURCE_SPANS_SCOPE_SPANS), SCOPE_SPANS_SPANS);
}

static inline void encode(const struct span_batch *batch, struct buffer *out)
{
    struct error error;
    buffer_init(out, 1 << 20);
    assert_int_equal(otlp_encode_batch(batch, out, &error), ERROR_NONE);
}

static inline void encode_span(struct span span, struct buffer *out)
{
    struct span_batch batch = {.spans = &span, .span_count = 1};
    encode(&batch, out);
}

#endif
