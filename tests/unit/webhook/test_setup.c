// The records of refused requests and of pings.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>

#include "../../../src/webhook/setup_private.h"

#define START (1000 * NS_PER_SECOND)

static struct setup_notes *create(void)
{
    struct setup_notes *notes;
    struct error error;

    assert_int_equal(setup_notes_create(&notes, &error), ERROR_NONE);
    return notes;
}

static void note(struct setup_notes *notes, const char *address, timestamp_ns signed_at,
                 timestamp_ns now)
{
    struct net_ip ip;

    assert_true(net_ip_parse(slice_from_string(address), &ip));
    setup_note_refusal(notes, &(struct setup_refused){.why = SETUP_WRONG_SIGNATURE,
                                                      .client = &ip,
                                                      .path = SLICE_EMPTY,
                                                      .signed_at = signed_at,
                                                      .at = now});
}

static struct ingress_setup read_notes(struct setup_notes *notes)
{
    struct ingress_setup setup = {.version = 0};

    setup_notes_read(notes, &setup);
    return setup;
}

static void refusals_are_counted_since_the_last_good_delivery(void **state)
{
    struct setup_notes *notes = create();

    (void)state;
    note(notes, "192.0.2.1", TIMESTAMP_UNKNOWN, START);
    note(notes, "192.0.2.1", TIMESTAMP_UNKNOWN, START + 1);
    struct ingress_refused refused = read_notes(notes).wrong_signature;
    assert_int_equal(refused.count, 2);
    assert_int_equal(refused.in_a_row, 2);
    assert_int_equal(refused.since, START);
    assert_int_equal(refused.last, START + 1);
    assert_int_equal(refused.address_count, 1);
    // A good delivery before the last refusal resets nothing.
    note(notes, "192.0.2.2", START, START + 2);
    assert_int_equal(read_notes(notes).wrong_signature.in_a_row, 3);
    note(notes, "2001:db8::1", START + 3, START + 4);
    refused = read_notes(notes).wrong_signature;
    assert_int_equal(refused.count, 4);
    assert_int_equal(refused.in_a_row, 1);
    assert_int_equal(refused.since, START + 4);
    assert_int_equal(refused.address_count, 1);
    assert_string_equal(refused.addresses[0], "2001:db8::1");
    setup_notes_destroy(notes);
}

static void the_latest_addresses_are_kept_and_further_ones_are_indicated(void **state)
{
    struct setup_notes *notes = create();
    char address[32];

    (void)state;
    for (int i = 1; i <= 300; i++) {
        (void)snprintf(address, sizeof address, "192.0.2.%d", i % 7 + 1);
        note(notes, address, TIMESTAMP_UNKNOWN, START + i);
    }
    struct ingress_refused refused = read_notes(notes).wrong_signature;
    assert_int_equal(refused.address_count, INGRESS_SETUP_ADDRESSES);
    assert_true(refused.has_more_addresses);
    assert_string_equal(refused.addresses[INGRESS_SETUP_ADDRESSES - 1], address);
    setup_notes_destroy(notes);
}

static void an_unknown_client_has_no_address(void **state)
{
    struct setup_notes *notes = create();

    (void)state;
    setup_note_refusal(notes, &(struct setup_refused){.why = SETUP_WITHOUT_SIGNATURE,
                                                      .client = NULL,
                                                      .path = SLICE_EMPTY,
                                                      .signed_at = 0,
                                                      .at = START});
    assert_int_equal(read_notes(notes).without_signature.address_count, 0);
    assert_int_equal(read_notes(notes).without_signature.count, 1);
    assert_int_equal(read_notes(notes).wrong_signature.count, 0);
    setup_notes_destroy(notes);
}

static void the_last_path_is_kept_truncated_and_without_control_characters(void **state)
{
    struct setup_notes *notes = create();
    char path[1000];

    (void)state;
    memset(path, 'x', sizeof path);
    setup_note_refusal(notes, &(struct setup_refused){.why = SETUP_WRONG_PATH,
                                                      .client = NULL,
                                                      .path = (struct slice){path, sizeof path},
                                                      .signed_at = 0,
                                                      .at = START});
    assert_int_equal(strlen(read_notes(notes).path), INGRESS_SETUP_TEXT_SIZE - 1);
    setup_note_refusal(notes, &(struct setup_refused){.why = SETUP_WRONG_PATH,
                                                      .client = NULL,
                                                      .path = SLICE("/a\x1b[31m\xc3\xa9\x7f b"),
                                                      .signed_at = 0,
                                                      .at = START});
    assert_string_equal(read_notes(notes).path, "/a?[31m????b");
    setup_notes_destroy(notes);
}

static void in_a_flood_changes_are_reported_less_and_less_often(void **state)
{
    struct setup_notes *notes = create();
    uint64_t first = read_notes(notes).version;

    (void)state;
    for (int i = 0; i < 100000; i++) {
        note(notes, "192.0.2.1", TIMESTAMP_UNKNOWN, START + i);
        if (i < 16)
            assert_int_equal(read_notes(notes).version, first + (uint64_t)i + 1);
    }
    assert_in_range(read_notes(notes).version, first + 100, first + 400);
    setup_notes_destroy(notes);
}

static void missing_settings_are_named_as_in_githubs_form(void **state)
{
    static const struct {
        struct github_hook hook;
        const char *missing;
    } cases[] = {
        {{.has_events = true, .has_jobs = true, .has_runs = true}, ""},
        {{.has_events = false}, ""},
        {{.has_events = true, .has_jobs = true}, "tick Workflow runs"},
        {{.has_events = true}, "tick Workflow jobs; tick Workflow runs"},
        {{.has_events = true, .is_inactive = true, .is_insecure = true, .url = {"http://x", 8}},
         "tick Workflow jobs; tick Workflow runs; tick Active; enable SSL verification; use an "
         "https "
         "URL"},
    };
    char text[SETUP_MISSING_SIZE];

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        bool is_right = setup_describe_missing(&cases[i].hook, text);
        assert_string_equal(text, cases[i].missing);
        assert_int_equal(is_right, text[0] == '\0');
    }
}

static void a_ping_without_events_does_not_replace_those_of_another(void **state)
{
    struct setup_notes *notes = create();
    const struct github_hook good = {
        .has_events = true, .has_jobs = true, .url = SLICE("https://h/webhook")};
    const struct github_hook empty = {.has_events = false};

    (void)state;
    assert_int_equal(read_notes(notes).hook.at, TIMESTAMP_UNKNOWN);
    setup_note_ping(notes, &good, START);
    setup_note_ping(notes, &empty, START + 1);
    struct ingress_setup setup = read_notes(notes);
    assert_int_equal(setup.hook.at, START);
    assert_true(setup.hook.has_jobs && !setup.hook.has_runs);
    assert_string_equal(setup.hook.url, "https://h/webhook");
    setup_notes_destroy(notes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refusals_are_counted_since_the_last_good_delivery),
        cmocka_unit_test(the_latest_addresses_are_kept_and_further_ones_are_indicated),
        cmocka_unit_test(an_unknown_client_has_no_address),
        cmocka_unit_test(the_last_path_is_kept_truncated_and_without_control_characters),
        cmocka_unit_test(in_a_flood_changes_are_reported_less_and_less_often),
        cmocka_unit_test(missing_settings_are_named_as_in_githubs_form),
        cmocka_unit_test(a_ping_without_events_does_not_replace_those_of_another),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
