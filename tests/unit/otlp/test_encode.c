// Spans → protobuf, compared with bytes computed by hand.
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include <string.h>

#include "../../../src/otlp/wire.h"
#include "ghatrace/base/memory.h"
#include "ghatrace/otlp/encode.h"
#include "record.h"
#include "support/otlp_sample.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define SCHEMA_URL_HEX                                                                             \
    "1a 27 68747470733a2f2f6f70656e74656c656d657472792e696f2f736368656d61732f312e34342e30"

// The Resource with these attributes, as hex.
static void assert_attributes(struct attribute *attributes, size_t count, const char *hex)
{
    struct span_batch batch = {.resource = {attributes, count, count}};
    struct buffer out;
    encode(&batch, &out);
    struct slice resource_spans = inside(buffer_slice(&out), REQUEST_RESOURCE_SPANS);
    assert_hex(inside(resource_spans, RESOURCE_SPANS_RESOURCE), hex);
    buffer_release(&out);
}

static struct attribute string_attribute(const char *key, struct slice value)
{
    return (struct attribute){.key = key, .type = ATTRIBUTE_STRING, .string = value};
}

#define PLAIN_SPAN_HEX                                                                             \
    "0a 10 000102030405060708090a0b0c0d0e0f"                                                       \
    "12 08 1011121314151617"                                                                       \
    "2a 01 61"                                                                                     \
    "30 01"                                                                                        \
    "39 0100000000000000"                                                                          \
    "41 0200000000000000"                                                                          \
    "8501 01010000"

// --- a record -------------------------------------------------------------------------------------

static void a_record_is_one_resource_spans_with_tag_and_length(void **state)
{
    enum { VERSION_LEN = sizeof(GHATRACE_VERSION) - 1 };
    struct buffer out, hex;
    (void)state;
    encode_span(plain_span, &out);
    buffer_init(&hex, 4096);
    // Three lengths contain the version's; the outermost takes two bytes.
    int code = buffer_append_format(&hex,
                                    "0a %02x01 0a 00 12 %02x"
                                    "  0a %02x 0a 08 6768617472616365 12 %02x",
                                    0x80 | ((159 + VERSION_LEN) & 0x7f), 114 + VERSION_LEN,
                                    12 + VERSION_LEN, VERSION_LEN);
    for (size_t i = 0; i < VERSION_LEN; i++)
        code |= buffer_append_format(&hex, "%02x", (unsigned)GHATRACE_VERSION[i]);
    code |= buffer_append_string(&hex, " 12 39 " PLAIN_SPAN_HEX SCHEMA_URL_HEX SCHEMA_URL_HEX);
    code |= buffer_append(&hex, "", 1);
    assert_int_equal(code, 0);
    assert_hex(buffer_slice(&out), hex.data);
    buffer_release(&hex);
    buffer_release(&out);
}

static void the_same_batch_gives_the_same_bytes(void **state)
{
    struct span_batch batch;
    struct buffer first, second;
    (void)state;
    otlp_sample_batch(&batch);
    encode(&batch, &first);
    encode(&batch, &second);
    assert_true(slice_equals(buffer_slice(&first), buffer_slice(&second)));
    buffer_release(&first);
    buffer_release(&second);
}

static void a_record_is_appended_to_what_the_buffer_holds(void **state)
{
    struct span_batch batch;
    struct buffer alone, both;
    (void)state;
    otlp_sample_batch(&batch);
    encode(&batch, &alone);
    encode(&batch, &both);
    assert_int_equal(otlp_encode_batch(&batch, &both, NULL), ERROR_NONE);
    assert_int_equal(both.len, 2 * alone.len);
    assert_true(slice_starts_with(buffer_slice(&both), buffer_slice(&alone)));
    assert_true(slice_ends_with(buffer_slice(&both), buffer_slice(&alone)));
    buffer_release(&alone);
    buffer_release(&both);
}

static void spans_keep_their_order(void **state)
{
    struct span spans[3] = {plain_span, plain_span, plain_span};
    struct span_batch batch = {.spans = spans, .span_count = 3};
    struct buffer out;
    struct wire_reader reader;
    struct wire_field field;
    char names[4] = "";
    size_t count = 0;
    (void)state;
    spans[0].name = SLICE("x");
    spans[1].name = SLICE("y");
    spans[2].name = SLICE("z");
    encode(&batch, &out);
    struct slice resource_spans = inside(buffer_slice(&out), REQUEST_RESOURCE_SPANS);
    wire_reader_init(&reader, inside(resource_spans, RESOURCE_SPANS_SCOPE_SPANS));
    while (wire_read_field(&reader, &field)) {
        if (field.number == SCOPE_SPANS_SPANS)
            names[count++] = inside(field.bytes, SPAN_NAME).data[0];
    }
    assert_string_equal(names, "xyz");
    buffer_release(&out);
}

// --- spans ----------------------------------------------------------------------------------------

static void a_child_names_its_parent(void **state)
{
    struct span span = plain_span;
    struct buffer out;
    (void)state;
    span.has_parent = true;
    span.parent_id = (struct span_id){{1, 2, 3, 4, 5, 6, 7, 8}};
    encode_span(span, &out);
    assert_hex(first_span(&out), "0a 10 000102030405060708090a0b0c0d0e0f 12 08 1011121314151617"
                                 "22 08 0102030405060708"
                                 "2a 01 61 30 01 39 0100000000000000 41 0200000000000000"
                                 "8501 01010000");
    buffer_release(&out);
}

static void a_link_carries_ids_and_flags(void **state)
{
    struct span span = plain_span;
    struct buffer out;
    (void)state;
    span.has_link = true;
    span.link_trace_id = (struct trace_id){{0xaa, [15] = 0xbb}};
    span.link_span_id = (struct span_id){{0xcc, [7] = 0xdd}};
    encode_span(span, &out);
    assert_hex(inside(first_span(&out), SPAN_LINKS),
               "0a 10 aa0000000000000000000000000000bb 12 08 cc000000000000dd 35 01010000");
    buffer_release(&out);
}

static void a_status_is_written_unless_it_is_empty(void **state)
{
    static const struct {
        enum span_status status;
        const char *message;
        const char *hex; // the span's tail
    } cases[] = {
        {SPAN_STATUS_UNSET, "", "41 0200000000000000 8501 01010000"},
        {SPAN_STATUS_ERROR, "", "7a 02 18 02 8501 01010000"},
        {SPAN_STATUS_ERROR, "no", "7a 06 12 02 6e6f 18 02 8501 01010000"},
        {SPAN_STATUS_UNSET, "no", "7a 04 12 02 6e6f 8501 01010000"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct span span = plain_span;
        struct buffer out, tail;
        span.status = cases[i].status;
        span.status_message = slice_from_string(cases[i].message);
        encode_span(span, &out);
        buffer_init(&tail, 64);
        append_hex(&tail, cases[i].hex);
        assert_true(slice_ends_with(first_span(&out), buffer_slice(&tail)));
        buffer_release(&tail);
        buffer_release(&out);
    }
}

static void times_are_never_reversed_nor_before_1970(void **state)
{
    static const struct {
        timestamp_ns start, end;
        const char *hex;
    } cases[] = {
        {5, 4, "39 0500000000000000 41 0500000000000000"},
        {5, 5, "39 0500000000000000 41 0500000000000000"},
        {-5, 3, "39 0000000000000000 41 0300000000000000"},
        {-5, -9, "39 0000000000000000 41 0000000000000000"},
        {INT64_MAX, INT64_MIN, "39 ffffffffffffff7f 41 ffffffffffffff7f"},
        {INT64_C(1756872017569000000), INT64_C(1756872017569000001),
         "39 402a06abcaa96118 41 412a06abcaa96118"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct span span = plain_span;
        struct buffer out, times;
        span.start = cases[i].start;
        span.end = cases[i].end;
        encode_span(span, &out);
        buffer_init(&times, 64);
        append_hex(&times, cases[i].hex);
        assert_true(slice_find(first_span(&out), buffer_slice(&times)) >= 0);
        buffer_release(&times);
        buffer_release(&out);
    }
}

// The times of the one span of a record, relative to `base`.
static void assert_times(const struct span_batch *batch, timestamp_ns base, int64_t start,
                         int64_t end)
{
    struct buffer out;
    struct wire_reader reader;
    struct wire_field field;
    uint64_t times[2] = {0, 0};
    encode(batch, &out);
    wire_reader_init(&reader, first_span(&out));
    while (wire_read_field(&reader, &field)) {
        if (field.number == SPAN_START_TIME)
            times[0] = field.integer;
        else if (field.number == SPAN_END_TIME)
            times[1] = field.integer;
    }
    assert_int_equal((int64_t)times[0] - base, start);
    assert_int_equal((int64_t)times[1] - base, end);
    buffer_release(&out);
}

static void runs_jobs_and_steps_of_zero_length_get_a_nanosecond(void **state)
{
    static const timestamp_ns base = INT64_C(1756872017000000000);
    static const struct {
        const char *type;
        bool has_parent;
        int64_t start, end, job_start, job_end; // after `base`; the job's are 0 if not known
        int64_t wanted_start, wanted_end;
    } cases[] = {
        {"step", true, 0, 0, -5, 5, 0, 1},
        {"step", true, 0, 0, 0, 5, 0, 1},
        {"step", true, 5000, 5000, 0, 5000, 4999, 5000},      // at its job's end
        {"step", true, 5000, 5000, 5000, 5000, 5000, 5001},   // the job is lengthened, too
        {"step", true, 5000, 5000, -base, -base, 5000, 5001}, // a job that is not known
        {"step", true, 0, 1000, -5, 1000, 0, 1000},
        {"step", true, 5000, 4000, -5, 9000, 5000, 5001}, // it ends before it starts
        {"step", true, 1, 1, -5, 9, 1, 1},                // not a whole microsecond
        {"job", true, 0, 0, 0, 0, 0, 1},
        {"workflow", false, 0, 0, -base, -base, 0, 1},
        {"workflow", false, 0, 0, -5, 0, 0, 1}, // has no parent to stay in
        {"runner.queue", true, 0, 0, -5, 5, 0, 0},
        {"runner.execution", true, 5000, 5000, 0, 5000, 5000, 5000},
        {"", true, 0, 0, -5, 5, 0, 0},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct attribute type = {
            "type", ATTRIBUTE_STRING, {.string = slice_from_string(cases[i].type)}};
        struct span span = plain_span;
        span.has_parent = cases[i].has_parent;
        span.start = base + cases[i].start;
        span.end = base + cases[i].end;
        span.attributes = (struct attributes){&type, 1, 1};
        const struct span_batch batch = {.spans = &span,
                                         .span_count = 1,
                                         .job_start = base + cases[i].job_start,
                                         .job_end = base + cases[i].job_end};
        assert_times(&batch, base, cases[i].wanted_start, cases[i].wanted_end);
    }
}

static void a_span_without_a_name_gets_one(void **state)
{
    struct span span = plain_span;
    struct buffer out;
    (void)state;
    span.name = SLICE_EMPTY;
    encode_span(span, &out);
    assert_true(slice_equals(inside(first_span(&out), SPAN_NAME), SLICE("(unnamed)")));
    buffer_release(&out);
}

static void the_kind_is_never_unspecified(void **state)
{
    struct span span = plain_span;
    struct buffer out;
    (void)state;
    span.kind = (enum span_kind)0;
    encode_span(span, &out);
    assert_true(slice_find(first_span(&out), SLICE("\x2a\x01\x61\x30\x01\x39")) >= 0);
    buffer_release(&out);
    span.kind = SPAN_KIND_SERVER;
    encode_span(span, &out);
    assert_true(slice_find(first_span(&out), SLICE("\x2a\x01\x61\x30\x02\x39")) >= 0);
    buffer_release(&out);
}

// --- attributes -----------------------------------------------------------------------------------

static void each_type_of_value_has_its_member(void **state)
{
    static const struct slice items[] = {{"x", 1}, {"yz", 2}};
    struct attribute attributes[] = {
        {.key = "s", .type = ATTRIBUTE_STRING, .string = {"v", 1}},
        {.key = "i", .type = ATTRIBUTE_INT, .integer = 300},
        {.key = "b", .type = ATTRIBUTE_BOOL, .boolean = true},
        {.key = "a", .type = ATTRIBUTE_STRINGS, .strings = {items, 2}},
    };
    (void)state;
    assert_attributes(attributes, COUNT(attributes),
                      "0a 08 0a 01 73 12 03 0a 01 76"
                      "0a 08 0a 01 69 12 03 18 ac02"
                      "0a 07 0a 01 62 12 02 10 01"
                      "0a 12 0a 01 61 12 0d 2a 0b 0a 03 0a 01 78 0a 04 0a 02 797a");
}

static void zero_and_false_are_written_out(void **state)
{
    struct attribute attributes[] = {
        {.key = "i", .type = ATTRIBUTE_INT, .integer = 0},
        {.key = "b", .type = ATTRIBUTE_BOOL, .boolean = false},
    };
    (void)state;
    assert_attributes(attributes, COUNT(attributes),
                      "0a 07 0a 01 69 12 02 18 00 0a 07 0a 01 62 12 02 10 00");
}

static void whole_int64_range_is_kept(void **state)
{
    struct attribute attributes[] = {
        {.key = "m", .type = ATTRIBUTE_INT, .integer = INT64_MIN},
        {.key = "n", .type = ATTRIBUTE_INT, .integer = -1},
        {.key = "p", .type = ATTRIBUTE_INT, .integer = INT64_MAX},
    };
    (void)state;
    assert_attributes(attributes, COUNT(attributes),
                      "0a 10 0a 01 6d 12 0b 18 80808080808080808001"
                      "0a 10 0a 01 6e 12 0b 18 ffffffffffffffffff01"
                      "0a 0f 0a 01 70 12 0a 18 ffffffffffffffff7f");
}

static void empty_attributes_are_left_out(void **state)
{
    static const struct slice empty_items[] = {{"", 0}, {NULL, 0}};
    static const struct slice mixed_items[] = {{"", 0}, {"x", 1}, {NULL, 0}};
    struct attribute attributes[] = {
        string_attribute("e", SLICE_EMPTY),
        string_attribute("", SLICE("v")),
        string_attribute(NULL, SLICE("v")),
        {.key = "", .type = ATTRIBUTE_INT, .integer = 1},
        {.key = "a", .type = ATTRIBUTE_STRINGS, .strings = {NULL, 0}},
        {.key = "b", .type = ATTRIBUTE_STRINGS, .strings = {empty_items, 2}},
        {.key = "c", .type = ATTRIBUTE_STRINGS, .strings = {mixed_items, 3}},
    };
    (void)state;
    assert_attributes(attributes, COUNT(attributes), "0a 0c 0a 01 63 12 07 2a 05 0a 03 0a 01 78");
}

static void of_equal_keys_the_first_with_a_value_wins(void **state)
{
    struct attribute attributes[] = {
        string_attribute("k", SLICE_EMPTY),
        string_attribute("k", SLICE("1")),
        {.key = "k", .type = ATTRIBUTE_INT, .integer = 2},
        string_attribute("kk", SLICE("3")),
        string_attribute("k", SLICE("4")),
    };
    (void)state;
    assert_attributes(attributes, COUNT(attributes),
                      "0a 08 0a 01 6b 12 03 0a 01 31 0a 09 0a 02 6b6b 12 03 0a 01 33");
}

static void keys_are_sanitized_too(void **state)
{
    struct attribute attributes[] = {string_attribute("k\xff", SLICE("v"))};
    (void)state;
    assert_attributes(attributes, 1, "0a 0b 0a 04 6b efbfbd 12 03 0a 01 76");
}

static void keys_that_encode_alike_are_one(void **state)
{
    struct attribute attributes[] = {
        string_attribute("k\xff", SLICE("1")),
        string_attribute("k\xfe", SLICE("2")),
        string_attribute("k\xef\xbf\xbd", SLICE("3")),
        string_attribute("k", SLICE("4")),
    };
    (void)state;
    assert_attributes(attributes, COUNT(attributes),
                      "0a 0b 0a 04 6b efbfbd 12 03 0a 01 31 0a 08 0a 01 6b 12 03 0a 01 34");
}

static void keys_that_differ_only_where_they_are_cut_are_one(void **state)
{
    static char first[OTLP_STRING_MAX + 2], second[OTLP_STRING_MAX + 3];
    struct attribute attributes[] = {string_attribute(first, SLICE("1")),
                                     string_attribute(second, SLICE("2"))};
    struct span span = plain_span;
    struct buffer alone, both;
    (void)state;
    memset(first, 'k', sizeof first - 1);
    memset(second, 'k', sizeof second - 1);
    span.attributes = (struct attributes){.items = attributes, .count = 1};
    encode_span(span, &alone);
    span.attributes.count = 2;
    encode_span(span, &both);
    assert_true(slice_equals(buffer_slice(&both), buffer_slice(&alone)));
    second[0] = 'K';
    buffer_release(&both);
    encode_span(span, &both);
    assert_true(both.len > alone.len + OTLP_STRING_MAX);
    buffer_release(&both);
    buffer_release(&alone);
}

// --- limits ---------------------------------------------------------------------------------------

static void a_full_buffer_is_reported_and_unchanged(void **state)
{
    struct span_batch batch;
    struct buffer out, whole;
    struct error error;
    (void)state;
    otlp_sample_batch(&batch);
    encode(&batch, &whole);
    buffer_init(&out, whole.len + 3);
    assert_int_equal(buffer_append_string(&out, "1234"), ERROR_NONE);
    assert_int_equal(otlp_encode_batch(&batch, &out, &error), ERROR_TOO_LARGE);
    assert_int_equal(error.code, ERROR_TOO_LARGE);
    assert_non_null(strstr(error.message, "encode 2 spans"));
    assert_int_equal(out.len, 4);
    buffer_consume(&out, 1);
    assert_int_equal(otlp_encode_batch(&batch, &out, &error), ERROR_NONE);
    assert_int_equal(out.len, out.max);
    buffer_release(&out);
    buffer_release(&whole);
}

static void any_refused_allocation_is_reported_and_nothing_leaks(void **state)
{
    static char text[OTLP_STRING_MAX];
    struct span spans[20];
    struct span_batch batch = {.spans = spans, .span_count = COUNT(spans)};
    struct buffer whole;
    long allocations = 0;
    (void)state;
    memset(text, 'x', sizeof(text));
    for (size_t i = 0; i < COUNT(spans); i++) {
        spans[i] = plain_span;
        spans[i].name = (struct slice){text, sizeof(text)};
    }
    encode(&batch, &whole);
    for (;; allocations++) {
        struct buffer out;
        struct error error;
        buffer_init(&out, 1 << 20);
        memory_fail_after(allocations);
        enum error_code code = otlp_encode_batch(&batch, &out, &error);
        memory_fail_after(-1);
        if (code == ERROR_NONE)
            assert_true(slice_equals(buffer_slice(&out), buffer_slice(&whole)));
        else
            assert_int_equal(out.len, 0);
        buffer_release(&out);
        if (code == ERROR_NONE)
            break;
        assert_int_equal(code, ERROR_MEMORY);
        assert_int_equal(error.code, ERROR_MEMORY);
    }
    assert_true(allocations > 3); // the writer grew, and the buffer
    buffer_release(&whole);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_record_is_one_resource_spans_with_tag_and_length),
        cmocka_unit_test(the_same_batch_gives_the_same_bytes),
        cmocka_unit_test(a_record_is_appended_to_what_the_buffer_holds),
        cmocka_unit_test(spans_keep_their_order),
        cmocka_unit_test(a_child_names_its_parent),
        cmocka_unit_test(a_link_carries_ids_and_flags),
        cmocka_unit_test(a_status_is_written_unless_it_is_empty),
        cmocka_unit_test(times_are_never_reversed_nor_before_1970),
        cmocka_unit_test(runs_jobs_and_steps_of_zero_length_get_a_nanosecond),
        cmocka_unit_test(a_span_without_a_name_gets_one),
        cmocka_unit_test(the_kind_is_never_unspecified),
        cmocka_unit_test(each_type_of_value_has_its_member),
        cmocka_unit_test(zero_and_false_are_written_out),
        cmocka_unit_test(whole_int64_range_is_kept),
        cmocka_unit_test(empty_attributes_are_left_out),
        cmocka_unit_test(of_equal_keys_the_first_with_a_value_wins),
        cmocka_unit_test(keys_are_sanitized_too),
        cmocka_unit_test(keys_that_encode_alike_are_one),
        cmocka_unit_test(keys_that_differ_only_where_they_are_cut_are_one),
        cmocka_unit_test(a_full_buffer_is_reported_and_unchanged),
        cmocka_unit_test(any_refused_allocation_is_reported_and_nothing_leaks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
