// Both encodings, read by independent programs: protoc and Python.
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "../../../src/otlp/wire.h"
#include "ghatrace/otlp/encode.h"
#include "ghatrace/otlp/json.h"
#include "ghatrace/otlp/request.h"
#include "oracle.h"
#include "support/otlp_sample.h"

#define DECODE_COMMAND                                                                             \
    "protoc -Itests --decode=opentelemetry.proto.collector.trace.v1.%s otlp.proto <%s 2>&1"

static int decode(struct slice message, const char *type, struct buffer *output)
{
    char path[TEMP_FOLDER_PATH_SIZE], command[512];
    write_file("message.bin", message, path);
    (void)snprintf(command, sizeof(command), DECODE_COMMAND, type, path);
    return run(command, output);
}

// The comparing script has to exit with 0 or with 1.
static void assert_compares(struct slice protobuf, struct slice json, int expected)
{
    char protobuf_path[TEMP_FOLDER_PATH_SIZE], json_path[TEMP_FOLDER_PATH_SIZE], command[1024];
    struct buffer output;
    write_file("request.bin", protobuf, protobuf_path);
    write_file("request.json", json, json_path);
    (void)snprintf(command, sizeof(command),
                   "PYTHONDONTWRITEBYTECODE=1 python3 tests/support/otlp_compare.py %s %s 2>&1",
                   protobuf_path, json_path);
    int status = run(command, &output);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != expected)
        fail_msg("otlp_compare.py: %d\n%.2000s", status, output.data);
    buffer_release(&output);
}

static void encode(const struct span_batch *batch, struct buffer *out)
{
    struct error error = {.message = ""};
    if (otlp_encode_batch(batch, out, &error) != ERROR_NONE)
        fail_msg("%s", error.message);
}

static void transcode(const struct buffer *request, struct buffer *json)
{
    struct error error = {.message = ""};
    buffer_init(json, 1 << 24);
    if (otlp_json_from_protobuf(buffer_slice(request), json, &error) != ERROR_NONE)
        fail_msg("%s", error.message);
}

static void assert_both_encodings_agree(const struct buffer *request)
{
    struct buffer json;
    transcode(request, &json);
    assert_compares(buffer_slice(request), buffer_slice(&json), 0);
    buffer_release(&json);
}

static const char sample_text[] =
    "resource_spans {\n"
    "  resource {\n"
    "    attributes {\n"
    "      key: \"service.name\"\n"
    "      value {\n"
    "        string_value: \"octo-repo\"\n"
    "      }\n"
    "    }\n"
    "    attributes {\n"
    "      key: \"vcs.provider.name\"\n"
    "      value {\n"
    "        string_value: \"github\"\n"
    "      }\n"
    "    }\n"
    "  }\n"
    "  scope_spans {\n"
    "    scope {\n"
    "      name: \"ghatrace\"\n"
    "      version: \"" GHATRACE_VERSION "\"\n"
    "    }\n"
    "    spans {\n"
    "      trace_id: \"\\221P\\362\\340\\263)\\274\\327:\\177\\247\\014T\\n\\027v\"\n"
    "      span_id: \"\\000\\000\\000\\007\\331\\211\\376Q\"\n"
    "      name: \"RUN CI\"\n"
    "      kind: SPAN_KIND_SERVER\n"
    "      start_time_unix_nano: 1756872017000000000\n"
    "      end_time_unix_nano: 1756872077000000000\n"
    "      attributes {\n"
    "        key: \"github.run_id\"\n"
    "        value {\n"
    "          int_value: 33714470481\n"
    "        }\n"
    "      }\n"
    "      links {\n"
    "        trace_id: "
    "\"\\252\\000\\000\\000\\000\\000\\000\\000\\000\\000\\000\\000\\000\\000\\000"
    "\\273\"\n"
    "        span_id: \"\\314\\000\\000\\000\\000\\000\\000\\335\"\n"
    "        flags: 257\n"
    "      }\n"
    "      flags: 257\n"
    "    }\n"
    "    spans {\n"
    "      trace_id: \"\\221P\\362\\340\\263)\\274\\327:\\177\\247\\014T\\n\\027v\"\n"
    "      span_id: \"\\000\\000\\000\\027g~\\340\\345\"\n"
    "      parent_span_id: \"\\000\\000\\000\\007\\331\\211\\376Q\"\n"
    "      name: \"build / linux (22.04)\"\n"
    "      kind: SPAN_KIND_INTERNAL\n"
    "      start_time_unix_nano: 1756872017000000001\n"
    "      end_time_unix_nano: 1756872076000000000\n"
    "      attributes {\n"
    "        key: \"cicd.pipeline.task.name\"\n"
    "        value {\n"
    "          string_value: \"b\\303\\244u\"\n"
    "        }\n"
    "      }\n"
    "      attributes {\n"
    "        key: \"github.carried_over\"\n"
    "        value {\n"
    "          bool_value: false\n"
    "        }\n"
    "      }\n"
    "      attributes {\n"
    "        key: \"github.incomplete\"\n"
    "        value {\n"
    "          bool_value: true\n"
    "        }\n"
    "      }\n"
    "      attributes {\n"
    "        key: \"queue_time_ms\"\n"
    "        value {\n"
    "          int_value: 0\n"
    "        }\n"
    "      }\n"
    "      attributes {\n"
    "        key: \"offset\"\n"
    "        value {\n"
    "          int_value: -1\n"
    "        }\n"
    "      }\n"
    "      attributes {\n"
    "        key: \"github.runner_labels\"\n"
    "        value {\n"
    "          array_value {\n"
    "            values {\n"
    "              string_value: \"ubuntu-latest\"\n"
    "            }\n"
    "            values {\n"
    "              string_value: \"gpu \\\"a\\\"\"\n"
    "            }\n"
    "          }\n"
    "        }\n"
    "      }\n"
    "      status {\n"
    "        message: \"failure\"\n"
    "        code: STATUS_CODE_ERROR\n"
    "      }\n"
    "      flags: 257\n"
    "    }\n"
    "    schema_url: \"" OTLP_SCHEMA_URL "\"\n"
    "  }\n"
    "  schema_url: \"" OTLP_SCHEMA_URL "\"\n"
    "}\n";

static void protoc_reads_the_intended_values(void **state)
{
    struct span_batch batch;
    struct buffer request, text;
    (void)state;
    otlp_sample_batch(&batch);
    buffer_init(&request, 1 << 20);
    encode(&batch, &request);
    assert_int_equal(decode(buffer_slice(&request), "ExportTraceServiceRequest", &text), 0);
    assert_string_equal(text.data, sample_text);
    buffer_release(&text);
    buffer_release(&request);
}

static void protoc_refuses_truncated_requests(void **state)
{
    struct span_batch batch;
    struct buffer request, text;
    (void)state;
    otlp_sample_batch(&batch);
    buffer_init(&request, 1 << 20);
    encode(&batch, &request);
    struct slice cut = {request.data, request.len - 1};
    assert_int_not_equal(decode(cut, "ExportTraceServiceRequest", &text), 0);
    buffer_release(&text);
    buffer_release(&request);
}

static void joined_records_are_one_request(void **state)
{
    struct span_batch batch;
    struct buffer request, text;
    (void)state;
    otlp_sample_batch(&batch);
    buffer_init(&request, 1 << 20);
    encode(&batch, &request);
    encode(&batch, &request);
    assert_int_equal(decode(buffer_slice(&request), "ExportTraceServiceRequest", &text), 0);
    size_t half = strlen(sample_text);
    assert_int_equal(strlen(text.data), 2 * half);
    assert_string_equal(text.data + half, sample_text);
    text.data[half] = '\0';
    assert_string_equal(text.data, sample_text);
    assert_both_encodings_agree(&request);
    buffer_release(&text);
    buffer_release(&request);
}

static void both_encodings_have_the_same_content(void **state)
{
    struct span_batch batch;
    struct buffer request;
    (void)state;
    otlp_sample_batch(&batch);
    buffer_init(&request, 1 << 20);
    encode(&batch, &request);
    assert_both_encodings_agree(&request);
    buffer_release(&request);
}

static void the_comparison_detects_a_difference(void **state)
{
    struct span_batch batch;
    struct buffer request, json;
    (void)state;
    otlp_sample_batch(&batch);
    buffer_init(&request, 1 << 20);
    encode(&batch, &request);
    transcode(&request, &json);
    ptrdiff_t at = slice_find(buffer_slice(&json), SLICE("1756872017000000001"));
    assert_true(at > 0);
    json.data[at + 18] = '2';
    assert_compares(buffer_slice(&request), buffer_slice(&json), 1);
    buffer_release(&json);
    buffer_release(&request);
}

#define TEXT(literal)                                                                              \
    {                                                                                              \
        literal, sizeof(literal) - 1                                                               \
    }

static void hostile_names_are_valid_in_both_encodings(void **state)
{
    static char long_text[100000], long_noise[100000];
    const struct slice names[] = {
        TEXT("\xff\xfe invalid \xc3"),
        TEXT("surrogates \xed\xa0\x80 \xed\xb0\x80"),
        TEXT("nul \0 inside"),
        TEXT("\0\0\0"),
        TEXT("\"quotes\" and a trailing backslash \\"),
        TEXT("\\u0000 \\\" </script> \r\n\t\b\f \x1b[31m \x7f"),
        TEXT("\xe2\x80\xa8 line separator, \xef\xbb\xbf mark, \xf4\x8f\xbf\xbf last"),
        {long_text, sizeof(long_text)},
        {long_noise, sizeof(long_noise)},
    };
    enum { COUNT = sizeof(names) / sizeof(names[0]) };
    struct attribute attributes[COUNT][2];
    struct span spans[COUNT];
    struct span_batch batch = {.spans = spans, .span_count = COUNT};
    struct buffer request, text;
    (void)state;
    for (size_t i = 0; i < sizeof(long_text); i++) {
        long_text[i] = "\xe2\x82\xac"[i % 3];
        long_noise[i] = (char)(i * 7919 >> 3);
    }
    for (size_t i = 0; i < COUNT; i++) {
        attributes[i][0] =
            (struct attribute){.key = "name", .type = ATTRIBUTE_STRING, .string = names[i]};
        attributes[i][1] = (struct attribute){
            .key = "names", .type = ATTRIBUTE_STRINGS, .strings = {names, COUNT}};
        spans[i] = (struct span){.trace_id = {{1}},
                                 .span_id = {{(uint8_t)i}},
                                 .name = names[i],
                                 .kind = SPAN_KIND_INTERNAL,
                                 .start = 1,
                                 .end = 2,
                                 .attributes = {attributes[i], 2, 2},
                                 .status = SPAN_STATUS_ERROR,
                                 .status_message = names[i]};
    }
    buffer_init(&request, 1 << 24);
    encode(&batch, &request);
    int status = decode(buffer_slice(&request), "ExportTraceServiceRequest", &text);
    assert_int_equal(status, 0);
    assert_both_encodings_agree(&request);
    buffer_release(&text);
    buffer_release(&request);
}

// Fields that we never write, but transcode.
static void every_kind_of_field_agrees_in_both_encodings(void **state)
{
    struct buffer resource, span, request;
    struct wire_writer writer;
    (void)state;
    buffer_init(&resource, 1 << 16);
    append_hex(&resource, "0a 08 0a 01 61 12 03 0a 01 76"
                          "0a 07 0a 01 62 12 02 10 00"
                          "0a 10 0a 01 63 12 0b 18 80808080808080808001"
                          "0a 0e 0a 01 64 12 09 21 9a9999999999b93f" // 0.1
                          "0a 0e 0a 01 65 12 09 21 000000000000f0ff" // -Infinity
                          "0a 0e 0a 01 66 12 09 21 000000000000f87f" // NaN
                          "0a 0e 0a 01 67 12 09 32 07 0a 05 0a 01 6b 12 00"
                          "0a 09 0a 01 68 12 04 3a 02 00ff"
                          "0a 05 0a 01 69 12 00"
                          "10 ffffffff0f");
    buffer_init(&span, 1 << 16);
    append_hex(&span, "0a 10 000102030405060708090a0b0c0d0e0f 12 08 0001020304050607"
                      "1a 03 613d62 22 08 0102030405060708 2a 01 61 30 05"
                      "39 ffffffffffffffff 41 0000000000000080 50 01"
                      "5a 0f 09 0100000000000000 12 01 65 20 ac02 60 02"
                      "6a 0e 0a 01 aa 12 02 bbcc 1a 00 35 ffffffff 70 03"
                      "7a 02 18 01 8501 00030000");
    wire_writer_init(&writer, 1 << 20);
    wire_put_bytes(&writer, RESOURCE_SPANS_SCHEMA_URL, SLICE("https://example.com/schema"));
    size_t mark = writer.len;
    wire_put_bytes(&writer, SCOPE_SPANS_SPANS, buffer_slice(&span));
    wire_put_message(&writer, RESOURCE_SPANS_SCOPE_SPANS, mark);
    wire_put_bytes(&writer, RESOURCE_SPANS_RESOURCE, buffer_slice(&resource));
    wire_put_message(&writer, REQUEST_RESOURCE_SPANS, 0);
    assert_int_equal(writer.failure, ERROR_NONE);
    buffer_init(&request, 1 << 16);
    assert_int_equal(buffer_append_slice(&request, wire_writer_slice(&writer)), ERROR_NONE);
    assert_both_encodings_agree(&request);
    wire_writer_release(&writer);
    buffer_release(&request);
    buffer_release(&span);
    buffer_release(&resource);
}

static void assert_protoc_reads(struct slice message, const char *type, const char *expected)
{
    struct buffer output;
    if (decode(message.len > 0 ? message : SLICE(""), type, &output) != 0 ||
        strcmp(output.data, expected) != 0)
        fail_msg("%s: %.2000s", type, output.data);
    buffer_release(&output);
}

static void protoc_reads_the_responses_of_a_receiver(void **state)
{
    struct buffer out;
    (void)state;
    buffer_init(&out, 1 << 10);
    assert_int_equal(otlp_encode_response(false, 0, SLICE_EMPTY, &out), ERROR_NONE);
    assert_protoc_reads(buffer_slice(&out), "ExportTraceServiceResponse", "");
    assert_int_equal(otlp_encode_response(false, 3, SLICE("3 no_parent"), &out), ERROR_NONE);
    assert_protoc_reads(buffer_slice(&out), "ExportTraceServiceResponse",
                        "partial_success {\n"
                        "  rejected_spans: 3\n"
                        "  error_message: \"3 no_parent\"\n"
                        "}\n");
    buffer_clear(&out);
    assert_int_equal(otlp_encode_status(false, 14, SLICE("busy"), &out), ERROR_NONE);
    assert_protoc_reads(buffer_slice(&out), "RpcStatus", "code: 14\nmessage: \"busy\"\n");
    buffer_release(&out);
}

// A record of this program's is received like any other request.
static void protoc_reads_what_is_passed_on_as_what_was_sent(void **state)
{
    static const struct otlp_request_limits limits = {10, 1000, 1 << 20, 1 << 20};
    static const bool taken[] = {true, true};
    struct span_batch batch;
    struct buffer sent, passed;
    struct otlp_request request;
    struct arena arena;
    struct error error = {.message = ""};
    (void)state;
    otlp_sample_batch(&batch);
    buffer_init(&sent, 1 << 16);
    buffer_init(&passed, 1 << 16);
    arena_init(&arena, 4096);
    encode(&batch, &sent);
    assert_int_equal(otlp_decode_request(buffer_slice(&sent), &limits, &arena, &request, &error),
                     ERROR_NONE);
    assert_int_equal(request.span_count, sizeof taken);
    assert_int_equal(otlp_encode_received(&request.scopes[0], taken, &passed, &error), ERROR_NONE);
    assert_protoc_reads(buffer_slice(&passed), "ExportTraceServiceRequest", sample_text);
    arena_release(&arena);
    buffer_release(&passed);
    buffer_release(&sent);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(protoc_reads_the_intended_values),
        cmocka_unit_test(protoc_refuses_truncated_requests),
        cmocka_unit_test(joined_records_are_one_request),
        cmocka_unit_test(both_encodings_have_the_same_content),
        cmocka_unit_test(the_comparison_detects_a_difference),
        cmocka_unit_test(hostile_names_are_valid_in_both_encodings),
        cmocka_unit_test(every_kind_of_field_agrees_in_both_encodings),
        cmocka_unit_test(protoc_reads_the_responses_of_a_receiver),
        cmocka_unit_test(protoc_reads_what_is_passed_on_as_what_was_sent),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
