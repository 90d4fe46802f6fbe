// Our own records, decoded; and records that are damaged or of another kind.
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "../../../src/otlp/wire.h"
#include "ghatrace/base/memory.h"
#include "ghatrace/otlp/decode.h"
#include "ghatrace/otlp/encode.h"
#include "support/otlp_sample.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define IDS_HEX "0a 10 000102030405060708090a0b0c0d0e0f 12 08 1011121314151617"

static void sample(struct buffer *out)
{
    struct span_batch batch;
    otlp_sample_batch(&batch);
    buffer_init(out, 1 << 20);
    assert_int_equal(otlp_encode_batch(&batch, out, NULL), ERROR_NONE);
}

static void assert_strings_equal(const struct attribute *read, const struct attribute *sent)
{
    size_t kept = 0;
    for (size_t i = 0; i < sent->strings.count; i++) {
        if (sent->strings.items[i].len == 0)
            continue; // the encoder drops empty ones
        assert_true(kept < read->strings.count);
        assert_true(slice_equals(read->strings.items[kept], sent->strings.items[i]));
        kept++;
    }
    assert_int_equal(read->strings.count, kept);
}

static void assert_attributes_equal(const struct attributes *read, const struct attributes *sent)
{
    assert_int_equal(read->count, sent->count);
    assert_true(read->capacity >= read->count);
    for (size_t i = 0; i < sent->count; i++) {
        const struct attribute *a = &read->items[i];
        const struct attribute *b = &sent->items[i];
        assert_string_equal(a->key, b->key);
        assert_int_equal(a->type, b->type);
        switch (b->type) {
        case ATTRIBUTE_STRING:
            assert_true(slice_equals(a->string, b->string));
            break;
        case ATTRIBUTE_INT:
            assert_true(a->integer == b->integer);
            break;
        case ATTRIBUTE_BOOL:
            assert_int_equal(a->boolean, b->boolean);
            break;
        case ATTRIBUTE_STRINGS:
            assert_strings_equal(a, b);
            break;
        }
    }
}

static void assert_spans_equal(const struct span *read, const struct span *sent)
{
    assert_memory_equal(read->trace_id.bytes, sent->trace_id.bytes, TRACE_ID_SIZE);
    assert_memory_equal(read->span_id.bytes, sent->span_id.bytes, SPAN_ID_SIZE);
    assert_int_equal(read->has_parent, sent->has_parent);
    assert_memory_equal(read->parent_id.bytes, sent->parent_id.bytes, SPAN_ID_SIZE);
    assert_true(slice_equals(read->name, sent->name));
    assert_int_equal(read->kind, sent->kind);
    assert_true(read->start == sent->start);
    assert_true(read->end == sent->end);
    assert_attributes_equal(&read->attributes, &sent->attributes);
    assert_int_equal(read->status, sent->status);
    assert_true(slice_equals(read->status_message, sent->status_message));
    assert_int_equal(read->has_link, sent->has_link);
    assert_memory_equal(read->link_trace_id.bytes, sent->link_trace_id.bytes, TRACE_ID_SIZE);
    assert_memory_equal(read->link_span_id.bytes, sent->link_span_id.bytes, SPAN_ID_SIZE);
}

static void what_was_encoded_is_decoded(void **state)
{
    struct span_batch sent, read;
    struct buffer record;
    struct arena arena;
    struct error error = {.message = ""};
    (void)state;
    otlp_sample_batch(&sent);
    sample(&record);
    arena_init(&arena, 4096);
    if (otlp_decode_batch(buffer_slice(&record), &arena, &read, &error) != ERROR_NONE)
        fail_msg("%s", error.message);
    assert_attributes_equal(&read.resource, &sent.resource);
    assert_int_equal(read.span_count, sent.span_count);
    for (size_t i = 0; i < sent.span_count; i++)
        assert_spans_equal(&read.spans[i], &sent.spans[i]);
    arena_release(&arena);
    buffer_release(&record);
}

static void decoding_and_encoding_again_gives_the_same_bytes(void **state)
{
    struct span_batch read;
    struct buffer record, again;
    struct arena arena;
    (void)state;
    sample(&record);
    arena_init(&arena, 4096);
    assert_int_equal(otlp_decode_batch(buffer_slice(&record), &arena, &read, NULL), ERROR_NONE);
    buffer_init(&again, 1 << 20);
    assert_int_equal(otlp_encode_batch(&read, &again, NULL), ERROR_NONE);
    assert_true(slice_equals(buffer_slice(&record), buffer_slice(&again)));
    buffer_release(&again);
    arena_release(&arena);
    buffer_release(&record);
}

// Also after a second time, as when a part of a record is sent again.
static void spans_of_zero_length_are_decoded_as_such(void **state)
{
    static const timestamp_ns at = INT64_C(1756872017000000000);
    struct attribute type = {"type", ATTRIBUTE_STRING, {.string = SLICE("step")}};
    struct span step = {.has_parent = true,
                        .name = SLICE("make"),
                        .start = at,
                        .end = at,
                        .attributes = {&type, 1, 1}};
    struct span_batch batch = {.spans = &step, .span_count = 1};
    (void)state;
    for (int is_at_end = 0; is_at_end < 2; is_at_end++) {
        struct buffer record, again;
        struct span_batch read;
        struct arena arena;
        arena_init(&arena, 4096);
        buffer_init(&record, 1 << 20);
        buffer_init(&again, 1 << 20);
        batch.job_start = at - NS_PER_SECOND;
        batch.job_end = at + (is_at_end ? 0 : NS_PER_SECOND);
        assert_int_equal(otlp_encode_batch(&batch, &record, NULL), ERROR_NONE);
        assert_int_equal(otlp_decode_batch(buffer_slice(&record), &arena, &read, NULL), ERROR_NONE);
        assert_true(read.spans[0].start == at && read.spans[0].end == at);
        assert_int_equal(otlp_encode_batch(&read, &again, NULL), ERROR_NONE);
        assert_true(slice_equals(buffer_slice(&record), buffer_slice(&again)));
        buffer_release(&again);
        buffer_release(&record);
        arena_release(&arena);
    }
}

static void strings_point_into_the_record(void **state)
{
    struct span_batch read;
    struct buffer record;
    struct arena arena;
    (void)state;
    sample(&record);
    arena_init(&arena, 4096);
    assert_int_equal(otlp_decode_batch(buffer_slice(&record), &arena, &read, NULL), ERROR_NONE);
    const char *name = read.spans[1].name.data;
    assert_true(name > record.data && name < record.data + record.len);
    arena_release(&arena);
    buffer_release(&record);
}

static void an_empty_batch_is_decoded(void **state)
{
    struct span_batch sent = {.span_count = 0}, read;
    struct buffer record;
    struct arena arena;
    (void)state;
    buffer_init(&record, 4096);
    assert_int_equal(otlp_encode_batch(&sent, &record, NULL), ERROR_NONE);
    arena_init(&arena, 4096);
    assert_int_equal(otlp_decode_batch(buffer_slice(&record), &arena, &read, NULL), ERROR_NONE);
    assert_int_equal(read.span_count, 0);
    assert_int_equal(read.resource.count, 0);
    arena_release(&arena);
    buffer_release(&record);
}

// --- records made by hand -------------------------------------------------------------------------

// Decodes a record with one span, the content of which is given in hex, from memory of exactly its
// size. The copy lives in `arena`, as the span points into it.
static enum error_code decode_span(const char *hex, struct arena *arena, struct span *span)
{
    struct buffer bytes;
    struct wire_writer writer;
    struct span_batch batch;
    struct slice record;
    buffer_init(&bytes, 1 << 16);
    append_hex(&bytes, hex);
    wire_writer_init(&writer, 1 << 16);
    wire_put_bytes(&writer, SCOPE_SPANS_SPANS, buffer_slice(&bytes));
    wire_put_message(&writer, RESOURCE_SPANS_SCOPE_SPANS, 0);
    wire_put_message(&writer, REQUEST_RESOURCE_SPANS, 0);
    assert_int_equal(writer.failure, ERROR_NONE);
    assert_true(arena_copy_slice(arena, wire_writer_slice(&writer), &record));
    enum error_code code = otlp_decode_batch(record, arena, &batch, NULL);
    if (code == ERROR_NONE) {
        assert_int_equal(batch.span_count, 1);
        *span = batch.spans[0];
    }
    wire_writer_release(&writer);
    buffer_release(&bytes);
    return code;
}

static void unknown_fields_are_skipped(void **state)
{
    struct arena arena;
    struct span span;
    (void)state;
    arena_init(&arena, 4096);
    assert_int_equal(decode_span(IDS_HEX "2a 01 61 98 06 01 a2 06 01 ff 5a 00 50 01 1a 01 78"
                                         "a9 06 0000000000000000 ad 06 00000000"
                                         "7a 05 18 02 98 01 01",
                                 &arena, &span),
                     ERROR_NONE);
    assert_true(slice_equals(span.name, SLICE("a")));
    assert_int_equal(span.status, SPAN_STATUS_ERROR);
    arena_release(&arena);
}

static void values_of_types_outside_the_model_are_left_out(void **state)
{
    struct arena arena;
    struct span span;
    (void)state;
    arena_init(&arena, 4096);
    // A double, a list of pairs, bytes and nothing; then a type that we know.
    assert_int_equal(decode_span(IDS_HEX "4a 0e 0a 01 64 12 09 21 000000000000f03f"
                                         "4a 07 0a 01 6b 12 02 32 00"
                                         "4a 07 0a 01 62 12 02 3a 00"
                                         "4a 05 0a 01 6e 12 00"
                                         "4a 03 0a 01 6e"
                                         "4a 07 0a 01 69 12 02 18 07",
                                 &arena, &span),
                     ERROR_NONE);
    assert_int_equal(span.attributes.count, 1);
    assert_string_equal(span.attributes.items[0].key, "i");
    assert_int_equal(span.attributes.items[0].integer, 7);
    arena_release(&arena);
}

static void a_span_with_ids_alone_has_sound_defaults(void **state)
{
    struct arena arena;
    struct span span;
    (void)state;
    arena_init(&arena, 4096);
    assert_int_equal(decode_span(IDS_HEX "22 00", &arena, &span), ERROR_NONE);
    assert_false(span.has_parent);
    assert_false(span.has_link);
    assert_int_equal(span.kind, SPAN_KIND_INTERNAL);
    assert_int_equal(span.status, SPAN_STATUS_UNSET);
    assert_int_equal(span.name.len, 0);
    assert_int_equal(span.attributes.count, 0);
    assert_true(span.start == 0 && span.end == 0);
    arena_release(&arena);
}

static void times_are_clamped_to_order_and_range(void **state)
{
    struct arena arena;
    struct span span;
    (void)state;
    arena_init(&arena, 4096);
    assert_int_equal(decode_span(IDS_HEX "39 0500000000000000 41 0300000000000000", &arena, &span),
                     ERROR_NONE);
    assert_true(span.start == 5 && span.end == 5);
    assert_int_equal(decode_span(IDS_HEX "39 0500000000000000 41 ffffffffffffffff", &arena, &span),
                     ERROR_NONE);
    assert_true(span.start == 5 && span.end == INT64_MAX);
    arena_release(&arena);
}

static void other_messages_are_refused(void **state)
{
    static const char *const cases[] = {
        "",                                       // no IDs
        "0a 10 000102030405060708090a0b0c0d0e0f", // no span ID
        "12 08 1011121314151617",                 // no trace ID
        "0a 0f 000102030405060708090a0b0c0d0e 12 08 1011121314151617",
        "0a 00 12 08 1011121314151617",                         //
        IDS_HEX "12 07 10111213141516",                         // lengths that are none of an ID
        IDS_HEX "22 09 101112131415161718",                     //
        IDS_HEX "6a 00",                                        // a link to nowhere
        IDS_HEX "6a 0a 12 08 1011121314151617",                 //
        IDS_HEX "6a 12 0a 10 000102030405060708090a0b0c0d0e0f", //
        IDS_HEX "6a 01 0a",                                     // damage inside a link,
        IDS_HEX "7a 01 12",                                     // a status,
        IDS_HEX "4a 01 0a",                                     // an attribute,
        IDS_HEX "4a 06 0a 01 6b 12 01 0a",                      // its value,
        IDS_HEX "4a 08 0a 01 6b 12 03 2a 01 0a",                // an array,
        IDS_HEX "4a 0a 0a 01 6b 12 05 2a 03 0a 01 0a",          // its element
        IDS_HEX "4a 0b 0a 01 6b 12 06 2a 04 0a 02 18 01",       // an array of numbers
        IDS_HEX "ff",
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct arena arena;
        struct span span;
        arena_init(&arena, 4096);
        if (decode_span(cases[i], &arena, &span) != ERROR_CORRUPT)
            fail_msg("taken for a span of ours: %s", cases[i]);
        arena_release(&arena);
    }
}

static void a_record_holds_one_resource_spans_and_nothing_else(void **state)
{
    static const char *const cases[] = {"", "0a", "0a 00 0a 00", "08 01", "12 00", "0a 00 00"};
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct arena arena;
        struct buffer record;
        struct span_batch batch;
        struct error error = {.message = ""};
        arena_init(&arena, 4096);
        buffer_init(&record, 64);
        append_hex(&record, cases[i]);
        assert_int_equal(otlp_decode_batch(buffer_slice(&record), &arena, &batch, &error),
                         ERROR_CORRUPT);
        assert_int_equal(error.code, ERROR_CORRUPT);
        assert_true(
            slice_starts_with(slice_from_string(error.message), SLICE("decode OTLP record")));
        buffer_release(&record);
        arena_release(&arena);
    }
}

// In memory of exactly its size, so that AddressSanitizer sees a read past the end. The result is read, so that it
// detects a slice that points elsewhere.
static enum error_code decode_exact(struct slice bytes)
{
    struct arena arena;
    struct span_batch batch;
    struct buffer again;
    char *exact = malloc(bytes.len > 0 ? bytes.len : 1);
    assert_non_null(exact);
    if (bytes.len > 0)
        memcpy(exact, bytes.data, bytes.len);
    arena_init(&arena, 256);
    enum error_code code =
        otlp_decode_batch((struct slice){exact, bytes.len}, &arena, &batch, NULL);
    if (code == ERROR_NONE) {
        buffer_init(&again, 1 << 20);
        assert_int_equal(otlp_encode_batch(&batch, &again, NULL), ERROR_NONE);
        buffer_release(&again);
    } else {
        assert_int_equal(code, ERROR_CORRUPT);
    }
    arena_release(&arena);
    free(exact);
    return code;
}

static void a_cut_record_is_refused_wherever_it_is_cut(void **state)
{
    struct buffer record;
    (void)state;
    sample(&record);
    for (size_t len = 0; len < record.len; len++)
        assert_int_equal(decode_exact((struct slice){record.data, len}), ERROR_CORRUPT);
    assert_int_equal(decode_exact(buffer_slice(&record)), ERROR_NONE);
    buffer_release(&record);
}

static void any_damaged_byte_gives_spans_or_an_error(void **state)
{
    static const uint8_t flips[] = {0x01, 0x02, 0x04, 0x08, 0x10, 0x20, 0x40, 0x80, 0xff, 0x7f};
    struct buffer record;
    size_t refused = 0;
    (void)state;
    sample(&record);
    for (size_t i = 0; i < record.len * COUNT(flips); i++) {
        char *byte = &record.data[i / COUNT(flips)];
        char before = *byte;
        *byte = (char)(before ^ flips[i % COUNT(flips)]);
        refused += decode_exact(buffer_slice(&record)) != ERROR_NONE;
        *byte = before;
    }
    assert_true(refused > 0);
    buffer_release(&record);
}

static void any_refused_allocation_is_reported_and_nothing_leaks(void **state)
{
    struct buffer record;
    long allocations = 0;
    (void)state;
    sample(&record);
    for (;; allocations++) {
        struct arena arena;
        struct span_batch batch;
        struct error error;
        arena_init(&arena, 1); // a block for each allocation, so that each can fail
        memory_fail_after(allocations);
        enum error_code code = otlp_decode_batch(buffer_slice(&record), &arena, &batch, &error);
        memory_fail_after(-1);
        arena_release(&arena);
        if (code == ERROR_NONE)
            break;
        assert_int_equal(code, ERROR_MEMORY);
        assert_int_equal(error.code, ERROR_MEMORY);
    }
    assert_true(allocations > 10);
    buffer_release(&record);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_encoded_is_decoded),
        cmocka_unit_test(decoding_and_encoding_again_gives_the_same_bytes),
        cmocka_unit_test(spans_of_zero_length_are_decoded_as_such),
        cmocka_unit_test(strings_point_into_the_record),
        cmocka_unit_test(an_empty_batch_is_decoded),
        cmocka_unit_test(unknown_fields_are_skipped),
        cmocka_unit_test(values_of_types_outside_the_model_are_left_out),
        cmocka_unit_test(a_span_with_ids_alone_has_sound_defaults),
        cmocka_unit_test(times_are_clamped_to_order_and_range),
        cmocka_unit_test(other_messages_are_refused),
        cmocka_unit_test(a_record_holds_one_resource_spans_and_nothing_else),
        cmocka_unit_test(a_cut_record_is_refused_wherever_it_is_cut),
        cmocka_unit_test(any_damaged_byte_gives_spans_or_an_error),
        cmocka_unit_test(any_refused_allocation_is_reported_and_nothing_leaks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
