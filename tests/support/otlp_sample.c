// Sample spans and hexadecimal.
#include "support/otlp_sample.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include "ghatrace/base/slice.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define TRACE_ID                                                                                   \
    {                                                                                              \
        {                                                                                          \
            0x91, 0x50, 0xf2, 0xe0, 0xb3, 0x29, 0xbc, 0xd7, 0x3a, 0x7f, 0xa7, 0x0c, 0x54, 0x0a,    \
                0x17, 0x76                                                                         \
        }                                                                                          \
    }
#define ROOT_ID                                                                                    \
    {                                                                                              \
        {                                                                                          \
            0, 0, 0, 7, 0xd9, 0x89, 0xfe, 0x51                                                     \
        }                                                                                          \
    }
#define START INT64_C(1756872017000000000)

static const struct slice labels[] = {{"ubuntu-latest", 13}, {"", 0}, {"gpu \"a\"", 7}};

static struct attribute resource_attributes[] = {
    {.key = "service.name", .type = ATTRIBUTE_STRING, .string = {"octo-repo", 9}},
    {.key = "vcs.provider.name", .type = ATTRIBUTE_STRING, .string = {"github", 6}},
};
static struct attribute root_attributes[] = {
    {.key = "github.run_id", .type = ATTRIBUTE_INT, .integer = INT64_C(33714470481)},
};
static struct attribute job_attributes[] = {
    {.key = "cicd.pipeline.task.name", .type = ATTRIBUTE_STRING, .string = {"b\xc3\xa4u", 4}},
    {.key = "github.carried_over", .type = ATTRIBUTE_BOOL, .boolean = false},
    {.key = "github.incomplete", .type = ATTRIBUTE_BOOL, .boolean = true},
    {.key = "queue_time_ms", .type = ATTRIBUTE_INT, .integer = 0},
    {.key = "offset", .type = ATTRIBUTE_INT, .integer = -1},
    {.key = "github.runner_labels",
     .type = ATTRIBUTE_STRINGS,
     .strings = {.items = labels, .count = COUNT(labels)}},
};
static struct span spans[] = {
    {
        .trace_id = TRACE_ID,
        .span_id = ROOT_ID,
        .name = {"RUN CI", 6},
        .kind = SPAN_KIND_SERVER,
        .start = START,
        .end = START + 60 * NS_PER_SECOND,
        .attributes = {.items = root_attributes, .count = 1, .capacity = 1},
        .has_link = true,
        .link_trace_id = {{0xaa, [15] = 0xbb}},
        .link_span_id = {{0xcc, [7] = 0xdd}},
    },
    {
        .trace_id = TRACE_ID,
        .span_id = {{0, 0, 0, 0x17, 0x67, 0x7e, 0xe0, 0xe5}},
        .has_parent = true,
        .parent_id = ROOT_ID,
        .name = {"build / linux (22.04)", 21},
        .kind = SPAN_KIND_INTERNAL,
        .start = START + 1,
        .end = START + 59 * NS_PER_SECOND,
        .attributes = {.items = job_attributes,
                       .count = COUNT(job_attributes),
                       .capacity = COUNT(job_attributes)},
        .status = SPAN_STATUS_ERROR,
        .status_message = {"failure", 7},
    },
};

void otlp_sample_batch(struct span_batch *batch)
{
    *batch = (struct span_batch){
        .resource = {.items = resource_attributes, .count = 2, .capacity = 2},
        .spans = spans,
        .span_count = COUNT(spans),
    };
}

void append_hex(struct buffer *out, const char *text)
{
    while (*text != '\0') {
        uint8_t byte;
        if (*text == ' ') {
            text++;
            continue;
        }
        assert_true(hex_decode(text, 2, &byte, 1));
        assert_int_equal(buffer_append(out, &byte, 1), ERROR_NONE);
        text += 2;
    }
}

void assert_hex(struct slice bytes, const char *text)
{
    struct buffer expected, expected_digits, digits;
    buffer_init(&expected, 1 << 20);
    buffer_init(&expected_digits, 1 << 21);
    buffer_init(&digits, 1 << 21);
    append_hex(&expected, text);
    for (size_t i = 0; i < expected.len; i++)
        assert_int_equal(
            buffer_append_format(&expected_digits, "%02x ", (unsigned char)expected.data[i]),
            ERROR_NONE);
    for (size_t i = 0; i < bytes.len; i++)
        assert_int_equal(buffer_append_format(&digits, "%02x ", (unsigned char)bytes.data[i]),
                         ERROR_NONE);
    assert_int_equal(buffer_append(&expected_digits, "", 1), ERROR_NONE);
    assert_int_equal(buffer_append(&digits, "", 1), ERROR_NONE);
    assert_string_equal(digits.data, expected_digits.data);
    buffer_release(&expected);
    buffer_release(&expected_digits);
    buffer_release(&digits);
}
