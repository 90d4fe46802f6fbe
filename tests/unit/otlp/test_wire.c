// The protobuf wire format, compared with bytes computed by hand, and damaged input.
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "../../../src/otlp/wire.h"
#include "ghatrace/base/memory.h"
#include "support/otlp_sample.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const struct {
    uint64_t value;
    const char *hex; // with the tag of field 1
} varints[] = {
    {0, "08 00"},
    {1, "08 01"},
    {127, "08 7f"},
    {128, "08 8001"},
    {300, "08 ac02"}, // the example of the protobuf documentation
    {16383, "08 ff7f"},
    {16384, "08 808001"},
    {UINT32_MAX, "08 ffffffff0f"},
    {INT64_MAX, "08 ffffffffffffffff7f"},
    {UINT64_MAX, "08 ffffffffffffffffff01"},
};

static void varints_are_written_in_the_fewest_bytes(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(varints); i++) {
        struct wire_writer writer;
        wire_writer_init(&writer, 64);
        wire_put_varint(&writer, 1, varints[i].value);
        assert_int_equal(writer.failure, ERROR_NONE);
        assert_hex(wire_writer_slice(&writer), varints[i].hex);
        wire_writer_release(&writer);
    }
}

static void varints_are_read_back(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(varints); i++) {
        struct buffer bytes;
        struct wire_reader reader;
        struct wire_field field;
        buffer_init(&bytes, 64);
        append_hex(&bytes, varints[i].hex);
        wire_reader_init(&reader, buffer_slice(&bytes));
        assert_true(wire_read_field(&reader, &field));
        assert_int_equal(field.number, 1);
        assert_int_equal(field.type, WIRE_VARINT);
        assert_true(field.integer == varints[i].value);
        assert_false(wire_read_field(&reader, &field));
        assert_false(reader.is_corrupt);
        buffer_release(&bytes);
    }
}

static void fields_are_in_the_reverse_order_of_writing(void **state)
{
    struct wire_writer writer;
    (void)state;
    wire_writer_init(&writer, 1024);
    wire_put_fixed32(&writer, 16, 0x101);
    wire_put_fixed64(&writer, 7, UINT64_C(0x0102030405060708));
    size_t outer = writer.len;
    wire_put_bytes(&writer, 2, SLICE_EMPTY);
    size_t inner = writer.len;
    wire_put_bytes(&writer, 1, SLICE("abc"));
    wire_put_message(&writer, 5, inner);
    wire_put_message(&writer, 3, outer);
    wire_put_message(&writer, 4, writer.len);
    assert_hex(wire_writer_slice(&writer), "22 00"
                                           "1a 09 2a 05 0a 03 616263 12 00"
                                           "39 0807060504030201"
                                           "8501 01010000");
    wire_writer_release(&writer);
}

static void a_writer_grows_past_its_first_block_and_keeps_what_it_has(void **state)
{
    struct wire_writer writer;
    struct wire_reader reader;
    struct wire_field field;
    (void)state;
    wire_writer_init(&writer, 1 << 20);
    for (uint64_t i = 0; i < 40000; i++)
        wire_put_varint(&writer, 1, i);
    assert_int_equal(writer.failure, ERROR_NONE);
    wire_reader_init(&reader, wire_writer_slice(&writer));
    for (uint64_t i = 40000; i-- > 0;) {
        assert_true(wire_read_field(&reader, &field));
        assert_true(field.integer == i);
    }
    assert_false(wire_read_field(&reader, &field));
    assert_false(reader.is_corrupt);
    wire_writer_release(&writer);
}

static void a_writer_fills_its_cap_to_the_last_byte_and_not_beyond(void **state)
{
    char text[9000];
    struct wire_writer writer;
    (void)state;
    memset(text, 'x', sizeof(text));
    wire_writer_init(&writer, sizeof(text) + 3); // a tag and a length of two bytes
    wire_put_bytes(&writer, 1, (struct slice){text, sizeof(text)});
    assert_int_equal(writer.failure, ERROR_NONE);
    assert_int_equal(wire_writer_slice(&writer).len, sizeof(text) + 3);
    wire_put_varint(&writer, 1, 0);
    assert_int_equal(writer.failure, ERROR_TOO_LARGE);
    wire_writer_release(&writer);
}

static void the_first_failure_is_kept(void **state)
{
    struct wire_writer writer;
    (void)state;
    wire_writer_init(&writer, 4);
    wire_put_bytes(&writer, 1, SLICE("too long"));
    assert_int_equal(writer.failure, ERROR_TOO_LARGE);
    size_t len = writer.len;
    wire_put_varint(&writer, 1, 1);
    assert_int_equal(writer.len, len);
    assert_int_equal(writer.failure, ERROR_TOO_LARGE);
    wire_writer_release(&writer);
}

static void a_cap_of_zero_allows_nothing(void **state)
{
    struct wire_writer writer;
    (void)state;
    wire_writer_init(&writer, 0);
    assert_int_equal(wire_writer_slice(&writer).len, 0);
    wire_put_varint(&writer, 1, 1);
    assert_int_equal(writer.failure, ERROR_TOO_LARGE);
    wire_writer_release(&writer);
}

static void refused_memory_is_distinguished_from_the_cap(void **state)
{
    struct wire_writer writer;
    (void)state;
    wire_writer_init(&writer, 1 << 20);
    memory_fail_after(0);
    wire_put_varint(&writer, 1, 1);
    memory_fail_after(-1);
    assert_int_equal(writer.failure, ERROR_MEMORY);
    wire_writer_release(&writer);
}

// In memory of exactly its size, so that AddressSanitizer sees a read past the end.
static bool is_damaged(const char *hex)
{
    struct buffer bytes;
    struct wire_reader reader;
    struct wire_field field;
    buffer_init(&bytes, 256);
    append_hex(&bytes, hex);
    char *exact = malloc(bytes.len);
    assert_non_null(exact);
    memcpy(exact, bytes.data, bytes.len);
    wire_reader_init(&reader, (struct slice){exact, bytes.len});
    while (wire_read_field(&reader, &field))
        continue;
    // Once damaged, always damaged.
    assert_false(wire_read_field(&reader, &field));
    free(exact);
    buffer_release(&bytes);
    return reader.is_corrupt;
}

static void invalid_fields_are_damage(void **state)
{
    static const char *const damaged[] = {
        "00",                               // field number 0
        "02 00",                            // the same, with a length
        "08",                               // nothing after the tag
        "80",                               // half a tag
        "08 80",                            // half a varint
        "08 ff ff ff ff ff ff ff ff ff 02", // more than 64 bits
        "08 ff ff ff ff ff ff ff ff ff ff", // more than ten bytes
        "08 80 80 80 80 80 80 80 80 80 80 00",
        "09 00 00 00 00 00 00 00",          // seven of eight bytes
        "0d 00 00 00",                      // three of four
        "0a",                               // no length
        "0a 01",                            // a length beyond the end
        "0a 05 61 62 63 64",                //
        "0a ff ff ff ff ff ff ff ff ff 01", // a length that wraps a pointer
        "0a ff ff ff ff ff ff ff ff 7f",    //
        "0a ff ff ff ff 0f 00",             //
        "0b 0c",                            // a group
        "0c",                               // its end
        "0e 00",                            // types that do not exist
        "0f 00",                            //
        "80 80 80 80 10 00",                // a tag of more than 32 bits
        "8a 80 80 80 80 00 00",    // a tag of more than five bytes, which Google's parsers refuse
        "0a 81 80 80 80 80 00 61", // a length of so many
        "08 01 12 02 61",          // valid at first
    };
    (void)state;
    for (size_t i = 0; i < COUNT(damaged); i++) {
        if (!is_damaged(damaged[i]))
            fail_msg("taken for good: %s", damaged[i]);
    }
}

static void odd_but_valid_fields_are_read(void **state)
{
    static const char *const valid[] = {
        "0a 00",
        "08 80 80 80 80 80 80 80 80 80 00", // zero, in a longer form
        "f8 ff ff ff 0f 01",                // the largest field number
        "88 00 01",                         // a tag that is longer than it need be
        "0a 81 00 61",
        "8a 80 80 80 00 81 80 80 80 00 61",
    };
    (void)state;
    for (size_t i = 0; i < COUNT(valid); i++) {
        if (is_damaged(valid[i]))
            fail_msg("taken for damaged: %s", valid[i]);
    }
}

static void an_empty_message_has_no_fields(void **state)
{
    struct wire_reader reader;
    struct wire_field field;
    (void)state;
    wire_reader_init(&reader, SLICE_EMPTY);
    assert_false(wire_read_field(&reader, &field));
    assert_false(reader.is_corrupt);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(varints_are_written_in_the_fewest_bytes),
        cmocka_unit_test(varints_are_read_back),
        cmocka_unit_test(fields_are_in_the_reverse_order_of_writing),
        cmocka_unit_test(a_writer_grows_past_its_first_block_and_keeps_what_it_has),
        cmocka_unit_test(a_writer_fills_its_cap_to_the_last_byte_and_not_beyond),
        cmocka_unit_test(the_first_failure_is_kept),
        cmocka_unit_test(a_cap_of_zero_allows_nothing),
        cmocka_unit_test(refused_memory_is_distinguished_from_the_cap),
        cmocka_unit_test(invalid_fields_are_damage),
        cmocka_unit_test(odd_but_valid_fields_are_read),
        cmocka_unit_test(an_empty_message_has_no_fields),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
