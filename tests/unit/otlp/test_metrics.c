// Metrics in both encodings, read by independent programs: protoc and Python.
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "ghatrace/otlp/encode.h"
#include "ghatrace/otlp/json.h"
#include "ghatrace/otlp/metrics.h"
#include "oracle.h"

#define REQUEST_MAX ((size_t)1 << 20)
#define DECODE_COMMAND                                                                             \
    "protoc -Itests --decode=opentelemetry.proto.collector.metrics.v1."                            \
    "ExportMetricsServiceRequest otlp_metrics.proto <%s 2>&1"
#define COMPARE_COMMAND "PYTHONDONTWRITEBYTECODE=1 python3 tests/support/otlp_metrics.py %s %s 2>&1"

// --- a request ------------------------------------------------------------------------------------

static struct attribute resource_items[] = {
    {.key = "service.name", .type = ATTRIBUTE_STRING, .string = {"octo", 4}}};
static const struct attributes resource = {resource_items, 1, 1};
static struct attribute pool_items[] = {
    {.key = "ghatrace.pool", .type = ATTRIBUTE_STRING, .string = {"gpu", 3}},
    {.key = "absent", .type = ATTRIBUTE_STRING, .string = {"", 0}}};
static const struct attributes pool = {pool_items, 2, 2};
static const struct attributes nothing;
static const struct otlp_interval interval = {.start = 1000000000, .end = 3000000000};
static const struct otlp_metric counter = {"c", "{error}", "Errors.", OTLP_COUNTER};
static const struct otlp_metric up_down = {"u", "{run}", "Runs.", OTLP_UP_DOWN_COUNTER};
static const struct otlp_metric gauge = {"g", "s", "Age.", OTLP_GAUGE};
static const struct otlp_metric duration = {"h", "s", "How long.", OTLP_HISTOGRAM};

static void put_sample_histogram(struct otlp_metrics *metrics)
{
    static const double bounds[] = {1, 2.5};
    static const uint64_t buckets[] = {2, 0, 1};
    static const struct otlp_exemplar exemplars[] = {
        {.at = 2000000000, .value = 0.5, .trace = {{0xab, 0xcd}}}, {.at = 0}, {.at = 0}};
    const struct otlp_histogram histogram = {.count = 3,
                                             .sum = 9.25,
                                             .bounds = bounds,
                                             .bound_count = 2,
                                             .buckets = buckets,
                                             .exemplars = exemplars};
    otlp_metric_begin(metrics, &duration);
    otlp_metric_put_histogram(metrics, &pool, &interval, &histogram);
    otlp_metric_end(metrics);
}

static void encode_sample(struct buffer *out)
{
    static const struct otlp_interval now = {.end = 3000000000};
    struct error error;
    struct otlp_metrics *metrics = otlp_metrics_begin(&resource, REQUEST_MAX);
    assert_non_null(metrics);
    put_sample_histogram(metrics);
    otlp_metric_begin(metrics, &gauge);
    otlp_metric_put_double(metrics, &nothing, &now, 0.5);
    otlp_metric_end(metrics);
    otlp_metric_begin(metrics, &up_down);
    otlp_metric_put_integer(metrics, &nothing, &interval, -1);
    otlp_metric_put_integer(metrics, &pool, &interval, 0);
    otlp_metric_end(metrics);
    otlp_metric_begin(metrics, &counter);
    otlp_metric_put_integer(metrics, &nothing, &interval, INT64_MAX);
    otlp_metric_end(metrics);
    buffer_init(out, REQUEST_MAX);
    assert_int_equal(otlp_metrics_end(metrics, out, &error), ERROR_NONE);
}

static const char sample_text[] =
    "resource_metrics {"
    " resource { attributes { key: \"service.name\" value { string_value: \"octo\" } } }"
    " scope_metrics {"
    " scope { name: \"ghatrace\" version: \"" GHATRACE_VERSION "\" }"
    " metrics { name: \"c\" description: \"Errors.\" unit: \"{error}\" sum {"
    " data_points { start_time_unix_nano: 1000000000 time_unix_nano: 3000000000"
    " as_int: 9223372036854775807 }"
    " aggregation_temporality: AGGREGATION_TEMPORALITY_CUMULATIVE is_monotonic: true } }"
    " metrics { name: \"u\" description: \"Runs.\" unit: \"{run}\" sum {"
    " data_points { start_time_unix_nano: 1000000000 time_unix_nano: 3000000000 as_int: 0"
    " attributes { key: \"ghatrace.pool\" value { string_value: \"gpu\" } } }"
    " data_points { start_time_unix_nano: 1000000000 time_unix_nano: 3000000000 as_int: -1 }"
    " aggregation_temporality: AGGREGATION_TEMPORALITY_CUMULATIVE } }"
    " metrics { name: \"g\" description: \"Age.\" unit: \"s\" gauge {"
    " data_points { time_unix_nano: 3000000000 as_double: 0.5 } } }"
    " metrics { name: \"h\" description: \"How long.\" unit: \"s\" histogram {"
    " data_points { start_time_unix_nano: 1000000000 time_unix_nano: 3000000000"
    " count: 3 sum: 9.25 bucket_counts: 2 bucket_counts: 0 bucket_counts: 1"
    " explicit_bounds: 1 explicit_bounds: 2.5"
    " exemplars { time_unix_nano: 2000000000 as_double: 0.5"
    " trace_id: "
    "\"\\253\\315\\000\\000\\000\\000\\000\\000\\000\\000\\000\\000\\000\\000\\000\\000\" }"
    " attributes { key: \"ghatrace.pool\" value { string_value: \"gpu\" } } }"
    " aggregation_temporality: AGGREGATION_TEMPORALITY_CUMULATIVE } }"
    " schema_url: \"" OTLP_SCHEMA_URL "\" }"
    " schema_url: \"" OTLP_SCHEMA_URL "\" }";

// Blanks and line breaks become one blank.
static void fold_blanks(char *text)
{
    char *to = text;
    for (const char *from = text; *from != '\0'; from++) {
        bool is_blank = *from == ' ' || *from == '\n';
        if (!is_blank)
            *to++ = *from;
        else if (to > text && to[-1] != ' ')
            *to++ = ' ';
    }
    if (to > text && to[-1] == ' ')
        to--;
    *to = '\0';
}

// --- tests ----------------------------------------------------------------------------------------

static void protoc_reads_the_intended_values(void **state)
{
    char path[TEMP_FOLDER_PATH_SIZE], command[512];
    struct buffer request, output;
    (void)state;
    encode_sample(&request);
    write_file("request.bin", buffer_slice(&request), path);
    (void)snprintf(command, sizeof command, DECODE_COMMAND, path);
    assert_int_equal(run(command, &output), 0);
    fold_blanks(output.data);
    assert_string_equal(output.data, sample_text);
    buffer_release(&output);
    buffer_release(&request);
}

static void both_encodings_have_the_same_content(void **state)
{
    char path[TEMP_FOLDER_PATH_SIZE], json_path[TEMP_FOLDER_PATH_SIZE], command[1024];
    struct buffer request, json, output;
    struct error error;
    (void)state;
    encode_sample(&request);
    buffer_init(&json, REQUEST_MAX);
    assert_int_equal(otlp_json_from_metrics(buffer_slice(&request), &json, &error), ERROR_NONE);
    write_file("request.bin", buffer_slice(&request), path);
    write_file("request.json", buffer_slice(&json), json_path);
    (void)snprintf(command, sizeof command, COMPARE_COMMAND, path, json_path);
    if (run(command, &output) != 0)
        fail_msg("%.2000s", output.data);
    buffer_release(&output);
    buffer_release(&json);
    buffer_release(&request);
}

static void a_packed_field_of_a_broken_length_is_refused(void **state)
{
    // ResourceMetrics{ScopeMetrics{Metric{histogram{data_points{bucket_counts: 3 bytes}}}}}
    static const char broken[] = "\x0a\x0d\x12\x0b\x12\x09\x4a\x07\x0a\x05\x32\x03"
                                 "abc";
    struct buffer json;
    struct error error;
    (void)state;
    buffer_init(&json, REQUEST_MAX);
    assert_int_equal(
        otlp_json_from_metrics((struct slice){broken, sizeof broken - 1}, &json, &error),
        ERROR_CORRUPT);
    assert_int_equal(json.len, 0);
    buffer_release(&json);
}

static void a_metric_without_points_is_left_out(void **state)
{
    struct buffer out;
    struct error error;
    (void)state;
    struct otlp_metrics *metrics = otlp_metrics_begin(&resource, REQUEST_MAX);
    assert_non_null(metrics);
    size_t before = otlp_metrics_size(metrics);
    otlp_metric_begin(metrics, &counter);
    otlp_metric_end(metrics);
    assert_int_equal(otlp_metrics_size(metrics), before);
    buffer_init(&out, REQUEST_MAX);
    assert_int_equal(otlp_metrics_end(metrics, &out, &error), ERROR_NONE);
    assert_int_equal(out.len, 0); // a request without metrics is none
    buffer_release(&out);
}

static void a_start_after_the_point_is_moved_to_it(void **state)
{
    static const struct otlp_interval odd = {.start = 9000000000, .end = 3000000000};
    static const char times[] = "\x11\x00\x5e\xd0\xb2\x00\x00\x00\x00"  // 2: start
                                "\x19\x00\x5e\xd0\xb2\x00\x00\x00\x00"; // 3: time
    struct buffer out;
    struct error error;
    (void)state;
    struct otlp_metrics *metrics = otlp_metrics_begin(&resource, REQUEST_MAX);
    assert_non_null(metrics);
    otlp_metric_begin(metrics, &counter);
    otlp_metric_put_integer(metrics, &nothing, &odd, 1);
    otlp_metric_end(metrics);
    buffer_init(&out, REQUEST_MAX);
    assert_int_equal(otlp_metrics_end(metrics, &out, &error), ERROR_NONE);
    assert_true(slice_find(buffer_slice(&out), (struct slice){times, sizeof times - 1}) >= 0);
    buffer_release(&out);
}

static void a_request_over_the_limit_is_refused(void **state)
{
    struct buffer out;
    struct error error;
    (void)state;
    struct otlp_metrics *metrics = otlp_metrics_begin(&resource, 150);
    assert_non_null(metrics);
    put_sample_histogram(metrics);
    buffer_init(&out, REQUEST_MAX);
    assert_int_equal(otlp_metrics_end(metrics, &out, &error), ERROR_TOO_LARGE);
    assert_int_equal(out.len, 0);
    buffer_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(protoc_reads_the_intended_values),
        cmocka_unit_test(both_encodings_have_the_same_content),
        cmocka_unit_test(a_packed_field_of_a_broken_length_is_refused),
        cmocka_unit_test(a_metric_without_points_is_left_out),
        cmocka_unit_test(a_start_after_the_point_is_moved_to_it),
        cmocka_unit_test(a_request_over_the_limit_is_refused),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
