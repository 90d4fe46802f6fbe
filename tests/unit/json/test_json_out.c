// JSON objects and arrays, as the API writes them.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ghatrace/json/write.h"

static void expect(void (*write)(struct json_out *json), const char *text)
{
    struct json_out json;
    struct buffer out;
    buffer_init(&out, 4096);
    json_out_init(&json, &out);
    write(&json);
    assert_int_equal(json_out_finish(&json), ERROR_NONE);
    assert_int_equal(buffer_append(&out, "", 1), ERROR_NONE);
    assert_string_equal(out.data, text);
    buffer_release(&out);
}

static void write_nested(struct json_out *json)
{
    json_out_open_object(json, NULL);
    json_out_open_array(json, "empty");
    json_out_close_array(json);
    json_out_open_array(json, "rows");
    for (int i = 0; i < 2; i++) {
        json_out_open_object(json, NULL);
        json_out_count(json, "number", (uint64_t)i);
        json_out_bool(json, "is_first", i == 0);
        json_out_close_object(json);
    }
    json_out_close_array(json);
    json_out_null(json, "last");
    json_out_close_object(json);
}

static void commas_separate_members_and_elements(void **state)
{
    (void)state;
    expect(write_nested, "{\"empty\":[],\"rows\":[{\"number\":0,\"is_first\":true},"
                         "{\"number\":1,\"is_first\":false}],\"last\":null}");
}

static void write_unknown(struct json_out *json)
{
    json_out_open_object(json, NULL);
    json_out_text(json, "text", SLICE_EMPTY);
    json_out_id(json, "id", 0);
    json_out_time(json, "time", TIMESTAMP_UNKNOWN);
    json_out_close_object(json);
}

static void unknown_values_are_null(void **state)
{
    (void)state;
    expect(write_unknown, "{\"text\":null,\"id\":null,\"time\":null}");
}

static void write_values(struct json_out *json)
{
    const uint8_t bytes[] = {0x0a, 0xff};
    const struct slice texts[] = {SLICE("a"), SLICE("\"<b>\n")};
    json_out_open_array(json, NULL);
    json_out_id(json, NULL, INT64_MAX);
    json_out_time(json, NULL, INT64_C(1788409017569) * NS_PER_MS);
    json_out_seconds(json, NULL, 1500 * NS_PER_MS);
    json_out_seconds(json, NULL, NS_PER_DAY);
    json_out_hex(json, NULL, bytes, sizeof bytes);
    json_out_texts(json, NULL, texts, 2);
    json_out_close_array(json);
}

static void values_are_written_as_the_api_documents(void **state)
{
    (void)state;
    expect(write_values, "[\"9223372036854775807\",\"2026-09-03T04:16:57.569Z\",1.5,86400,\"0aff\","
                         "[\"a\",\"\\\"<b>\\n\"]]");
}

static void the_first_failure_is_kept(void **state)
{
    struct json_out json;
    struct buffer out;
    (void)state;
    buffer_init(&out, 10);
    json_out_init(&json, &out);
    json_out_text(&json, NULL, SLICE("more than ten bytes"));
    json_out_count(&json, NULL, 1);
    assert_int_equal(json_out_finish(&json), ERROR_TOO_LARGE);
    buffer_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(commas_separate_members_and_elements),
        cmocka_unit_test(unknown_values_are_null),
        cmocka_unit_test(values_are_written_as_the_api_documents),
        cmocka_unit_test(the_first_failure_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
