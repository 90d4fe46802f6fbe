// GUID times, signatures and form bodies.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../../src/webhook/delivery.h"
#include "ghatrace/base/digest.h"
#include "ghatrace/base/slice.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void the_time_of_an_event_is_read_from_its_guid(void **state)
{
    static const struct {
        const char *guid;
        const char *time;
    } cases[] = {
        {"4d8ed510-a74e-11f1-9e4b-bb84feffa688", "2026-09-03T04:16:57.569Z"},
        {"4ead6470-a74e-11f1-8604-2fc18657851e", "2026-09-03T04:16:59.447Z"},
        {"36a58b70-c13d-11f0-8000-000000000000", "2025-11-14T09:35:10.247Z"},
        {"36A58B70-C13D-11F0-BFFF-FFFFFFFFFFFF", "2025-11-14T09:35:10.247Z"},
        // One tick after 1970-01-01T00:00:00Z, which itself would mean "not known".
        {"13814001-1dd2-11b2-8000-000000000000", "1970-01-01T00:00:00.000Z"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        char text[TIMESTAMP_TEXT_SIZE];
        timestamp_ns time = TIMESTAMP_UNKNOWN;
        assert_true(delivery_guid_time(slice_from_string(cases[i].guid), &time));
        assert_int_not_equal(time, TIMESTAMP_UNKNOWN);
        assert_string_equal(timestamp_format_rfc3339(time, true, text), cases[i].time);
    }
}

static void the_ticks_of_a_guid_are_of_100_nanoseconds(void **state)
{
    timestamp_ns one = 0;
    timestamp_ns two = 0;
    (void)state;
    assert_true(delivery_guid_time(SLICE("4d8ed510-a74e-11f1-9e4b-bb84feffa688"), &one));
    assert_true(delivery_guid_time(SLICE("4d8ed511-a74e-11f1-9e4b-bb84feffa688"), &two));
    assert_int_equal(two - one, 100);
}

static void no_time_is_read_from_other_guids_than_version_1(void **state)
{
    static const char *const guids[] = {
        "",
        "4d8ed510-a74e-41f1-9e4b-bb84feffa688",  // version 4, random
        "4d8ed510-a74e-01f1-9e4b-bb84feffa688",  // version 0
        "4d8ed510-a74e-61f1-9e4b-bb84feffa688",  // version 6
        "4d8ed510-a74e-11f1-1e4b-bb84feffa688",  // variant of the NCS
        "4d8ed510-a74e-11f1-ce4b-bb84feffa688",  // variant of Microsoft
        "4d8ed510-a74e-11f1-ee4b-bb84feffa688",  // variant of the future
        "4d8ed510-a74e-11f1-9e4b-bb84feffa68",   // too short
        "4d8ed510-a74e-11f1-9e4b-bb84feffa6888", // too long
        "4d8ed510-a74e-11f1-9e4b-bb84feffa68g",  // not hexadecimal
        "4d8ed510+a74e-11f1-9e4b-bb84feffa688",  // no dash
        "4d8ed510a-74e-11f1-9e4b-bb84feffa688",  // a dash in the wrong place
        "4d8ed510-a74e11f1--9e4b-bb84feffa688",  // two together
        "{4d8ed510-a74e-11f1-9e4b-bb84feffa68}", // in braces
        " 4d8ed510-a74e-11f1-9e4b-bb84feffa68",  // a blank
        "4d8ed510a74e11f19e4bbb84feffa688",      // no dashes at all
        "00000000-0000-0000-0000-000000000000",  // nil
        "ffffffff-ffff-ffff-ffff-ffffffffffff",  // max
        "00000000-0000-1000-8000-000000000000",  // of 1582
        "13814000-1dd2-11b2-8000-000000000000",  // exactly 1970
        "ffffffff-ffff-1fff-bfff-ffffffffffff",  // of the year 5236, beyond our nanoseconds
    };
    (void)state;
    for (size_t i = 0; i < COUNT(guids); i++) {
        timestamp_ns time = 42;
        if (delivery_guid_time(slice_from_string(guids[i]), &time))
            fail_msg("a time in %s", guids[i]);
        assert_int_equal(time, 42);
    }
}

// The example of GitHub's page "Validating webhook deliveries".
#define SECRET SLICE("It's a Secret to Everybody")
#define BODY SLICE("Hello, World!")
#define DIGITS "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"

static void the_documented_example_is_valid_and_gives_its_digest(void **state)
{
    const struct slice secrets[] = {SECRET};
    uint8_t digest[SHA256_SIZE] = {0};
    char text[2 * SHA256_SIZE + 1];
    (void)state;
    assert_true(delivery_signature_is_valid(SLICE("sha256=" DIGITS), BODY, secrets, 1, digest));
    hex_encode(digest, sizeof(digest), text);
    assert_string_equal(text, DIGITS);
}

static void digits_of_a_signature_may_be_of_either_case(void **state)
{
    const struct slice secrets[] = {SECRET};
    uint8_t digest[SHA256_SIZE];
    (void)state;
    assert_true(delivery_signature_is_valid(
        SLICE("sha256=757107EA0EB2509FC211221CCE984B8A37570B6D7586c22c46f4379c8b043e17"), BODY,
        secrets, 1, digest));
}

static void any_of_several_secrets_is_accepted_in_any_position(void **state)
{
    const struct slice orders[][3] = {{SECRET, SLICE("old"), SLICE("older")},
                                      {SLICE("new"), SECRET, SLICE("older")},
                                      {SLICE("new"), SLICE("newer"), SECRET},
                                      {SECRET, SECRET, SECRET}};
    (void)state;
    for (size_t i = 0; i < COUNT(orders); i++) {
        uint8_t digest[SHA256_SIZE] = {0};
        char text[2 * SHA256_SIZE + 1];
        assert_true(
            delivery_signature_is_valid(SLICE("sha256=" DIGITS), BODY, orders[i], 3, digest));
        hex_encode(digest, sizeof(digest), text);
        assert_string_equal(text, DIGITS);
    }
}

static void every_other_header_is_refused_without_a_digest(void **state)
{
    static const char *const headers[] = {
        "",
        "sha256=",
        DIGITS,
        "sha1=" DIGITS,
        "SHA256=" DIGITS,
        "sha256:" DIGITS,
        "sha256= " DIGITS,
        " sha256=" DIGITS,
        "sha256=" DIGITS " ",
        "sha256=" DIGITS "00",
        "sha256=" DIGITS ",sha256=" DIGITS,
        "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e1",
        "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e1g",
        "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e16",
        "sha256=857107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17",
        "sha256=0000000000000000000000000000000000000000000000000000000000000000",
    };
    const struct slice secrets[] = {SLICE("other"), SECRET};
    static const uint8_t untouched[SHA256_SIZE] = {7};
    (void)state;
    for (size_t i = 0; i < COUNT(headers); i++) {
        uint8_t digest[SHA256_SIZE] = {7};
        if (delivery_signature_is_valid(slice_from_string(headers[i]), BODY, secrets, 2, digest))
            fail_msg("valid: %s", headers[i]);
        assert_memory_equal(digest, untouched, sizeof(digest));
    }
}

static void another_body_or_secret_makes_another_signature(void **state)
{
    const struct slice right[] = {SECRET};
    const struct slice wrong[] = {SLICE("It's a Secret to Everybod"), SLICE("")};
    uint8_t digest[SHA256_SIZE];
    (void)state;
    assert_false(delivery_signature_is_valid(SLICE("sha256=" DIGITS), SLICE("Hello, World"), right,
                                             1, digest));
    assert_false(
        delivery_signature_is_valid(SLICE("sha256=" DIGITS), SLICE_EMPTY, right, 1, digest));
    assert_false(delivery_signature_is_valid(SLICE("sha256=" DIGITS), BODY, wrong, 2, digest));
    assert_false(delivery_signature_is_valid(SLICE("sha256=" DIGITS), BODY, NULL, 0, digest));
}

static void a_signature_of_raw_bytes_needs_no_utf8(void **state)
{
    const struct slice secrets[] = {SLICE("\xff\xfe")};
    struct slice body = SLICE("{\"name\":\"\xf0\x9f\x9a\xa2\xff\0\"}");
    uint8_t expected[SHA256_SIZE];
    uint8_t digest[SHA256_SIZE];
    char header[7 + 2 * SHA256_SIZE + 1] = "sha256=";
    (void)state;
    assert_true(digest_hmac_sha256(secrets[0], body, expected));
    hex_encode(expected, sizeof(expected), header + 7);
    assert_true(delivery_signature_is_valid(slice_from_string(header), body, secrets, 1, digest));
    assert_memory_equal(digest, expected, sizeof(digest));
}

// Decodes in buffers of the exact size, so that ASan detects an access past the end.
static ptrdiff_t decode_form(struct slice form, char **out)
{
    char *copy = malloc(form.len > 0 ? form.len : 1);
    *out = malloc(form.len > 0 ? form.len : 1);
    assert_non_null(copy);
    assert_non_null(*out);
    memcpy(copy, form.data, form.len);
    ptrdiff_t len = delivery_form_payload((struct slice){copy, form.len}, *out);
    free(copy);
    return len;
}

static void the_payload_of_a_form_is_decoded(void **state)
{
    static const struct {
        const char *form;
        const char *payload;
    } cases[] = {
        {"payload=%7B%22action%22%3A%22queued%22%7D", "{\"action\":\"queued\"}"},
        {"payload={\"a\":1}", "{\"a\":1}"},
        {"payload=", ""},
        {"payload=a+b%20c%2Bd", "a b c+d"},
        {"payload=%c3%A9", "\xc3\xa9"},
        {"payload=a=b=c", "a=b=c"},
        {"payload=%26%3D%25", "&=%"},
        {"a=1&payload=x", "x"},
        {"payload=x&a=%", "x"}, // only the payload matters
        {"&&payload=x&", "x"},
        {"payload=x&payload=y", "x"},
        {"apayload=y&payload=x", "x"},
        {"payload&payload=x", "x"},
        {"payload=&payload=x", ""},
    };
    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++) {
        char *out;
        ptrdiff_t len = decode_form(slice_from_string(cases[i].form), &out);
        if (len != (ptrdiff_t)strlen(cases[i].payload) ||
            memcmp(out, cases[i].payload, (size_t)len) != 0)
            fail_msg("%s: %td", cases[i].form, len);
        free(out);
    }
}

static void a_form_without_payload_or_with_a_broken_escape_is_refused(void **state)
{
    static const char *const forms[] = {
        "",
        "payload",
        "Payload=x",
        "payloads=x",
        "a=payload=x",
        "a=1&b=2",
        "{\"a\":1}",
        "payload=%",
        "payload=%4",
        "payload=%4&1",
        "payload=%g0",
        "payload=%0g",
        "payload=a%%20",
        "payload=%+1",
        "payload=%-1",
        "payload=% 1",
        "payload=abc%7",
        " payload=x",
        "&",
        "=",
    };
    (void)state;
    for (size_t i = 0; i < COUNT(forms); i++) {
        char *out;
        if (decode_form(slice_from_string(forms[i]), &out) != -1)
            fail_msg("not refused: %s", forms[i]);
        free(out);
    }
}

static void every_byte_round_trips_in_a_form(void **state)
{
    char form[8 + 3 * 256 + 1] = "payload=";
    (void)state;
    for (unsigned i = 0; i < 256; i++)
        snprintf(form + 8 + 3 * i, 4, "%%%02X", i);
    char *out;
    assert_int_equal(decode_form(slice_from_string(form), &out), 256);
    for (unsigned i = 0; i < 256; i++)
        assert_int_equal((uint8_t)out[i], i);
    free(out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_time_of_an_event_is_read_from_its_guid),
        cmocka_unit_test(the_ticks_of_a_guid_are_of_100_nanoseconds),
        cmocka_unit_test(no_time_is_read_from_other_guids_than_version_1),
        cmocka_unit_test(the_documented_example_is_valid_and_gives_its_digest),
        cmocka_unit_test(digits_of_a_signature_may_be_of_either_case),
        cmocka_unit_test(any_of_several_secrets_is_accepted_in_any_position),
        cmocka_unit_test(every_other_header_is_refused_without_a_digest),
        cmocka_unit_test(another_body_or_secret_makes_another_signature),
        cmocka_unit_test(a_signature_of_raw_bytes_needs_no_utf8),
        cmocka_unit_test(the_payload_of_a_form_is_decoded),
        cmocka_unit_test(a_form_without_payload_or_with_a_broken_escape_is_refused),
        cmocka_unit_test(every_byte_round_trips_in_a_form),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
