// The small deciders: what an answer means, how long to wait, how large a request may be, what is in quarantine.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../../../src/export/answer.h"
#include "../../../src/export/pace.h"
#include "ghatrace/base/memory.h"

#include <string.h>

// --- outcomes ---------------------------------------------------------------------------------

static struct export_class classify(int status, const char *type, bool has_status_message)
{
    const struct export_facts facts = {.status = status,
                                       .content_type = slice_from_string(type),
                                       .has_status_message = has_status_message};
    return export_classify(&facts);
}

// The whole table: no status is forgotten, and for an unknown one records are kept.
static void every_status_has_its_outcome(void **state)
{
    static const char *const types[] = {"", "application/x-protobuf", "application/json",
                                        "text/plain", "text/html"};
    (void)state;
    for (int status = -1; status <= 1100; status++) {
        for (size_t i = 0; i < 10; i++) {
            const char *type = types[i / 2];
            bool has_status = i % 2 == 1;
            enum export_outcome expected = EXPORT_NOT_NOW;
            if (status >= 200 && status < 300 && strcmp(type, "text/html") != 0)
                expected = EXPORT_SENT;
            else if (status == 413 || status == 422 || (status == 400 && has_status))
                expected = EXPORT_ABOUT_DATA;
            struct export_class class = classify(status, type, has_status);
            if (class.outcome != expected)
                fail_msg("%d, %s: %d", status, type, class.outcome);
            assert_int_equal(class.may_be_size, status == 429 || (status >= 500 && status < 600));
            assert_int_equal(class.trouble == EXPORT_NO_TROUBLE, expected == EXPORT_SENT);
            assert_true(strlen(export_trouble_text(class.trouble)) > 0);
        }
    }
}

static void no_answer_is_never_about_the_data(void **state)
{
    (void)state;
    for (int transport = EXPORT_NO_CONNECTION; transport <= EXPORT_TIMED_OUT; transport++) {
        const struct export_facts facts = {.transport = (enum export_transport)transport};
        struct export_class class = export_classify(&facts);
        assert_int_equal(class.outcome, EXPORT_NOT_NOW);
        assert_int_equal(class.may_be_size, transport != EXPORT_NO_CONNECTION);
        assert_int_equal(class.is_likely_size, transport == EXPORT_INTERRUPTED);
        assert_int_equal(class.trouble,
                         transport == EXPORT_NO_CONNECTION ? EXPORT_UNREACHABLE : EXPORT_NO_ANSWER);
    }
}

static void the_status_of_a_refused_tunnel_decides_the_category(void **state)
{
    static const struct {
        int status;
        enum export_trouble trouble;
    } cases[] = {{407, EXPORT_REFUSES_CREDENTIALS},
                 {502, EXPORT_SERVER_ERROR},
                 {503, EXPORT_OVERLOADED},
                 {413, EXPORT_REFUSES_DATA}};
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct export_facts facts = {.transport = EXPORT_TUNNEL_REFUSED,
                                           .status = cases[i].status};
        struct export_class class = export_classify(&facts);
        assert_int_equal(class.outcome, EXPORT_NOT_NOW);
        assert_int_equal(class.trouble, cases[i].trouble);
        assert_false(class.may_be_size);
    }
}

static void a_missing_client_certificate_is_about_credentials(void **state)
{
    (void)state;
    const struct export_facts facts = {.transport = EXPORT_CERTIFICATE_MISSING};
    struct export_class class = export_classify(&facts);
    assert_int_equal(class.outcome, EXPORT_NOT_NOW);
    assert_int_equal(class.trouble, EXPORT_REFUSES_CREDENTIALS);
    assert_false(class.may_be_size);
}

static struct export_class classify_call(int status, int code, bool has_retry_info)
{
    const struct export_facts facts = {.status = status,
                                       .content_type = SLICE("application/grpc"),
                                       .is_grpc = true,
                                       .grpc_code = code,
                                       .has_retry_info = has_retry_info};
    return export_classify(&facts);
}

static void every_code_of_grpc_has_its_outcome(void **state)
{
    (void)state;
    for (int code = -1; code <= 40; code++) {
        for (int retry = 0; retry < 2; retry++) {
            enum export_outcome expected = EXPORT_NOT_NOW;
            if (code == GRPC_OK)
                expected = EXPORT_SENT;
            else if (code == GRPC_INVALID_ARGUMENT)
                expected = EXPORT_ABOUT_DATA;
            bool may_be_size = code == GRPC_UNAVAILABLE || code == GRPC_INTERNAL ||
                               code == GRPC_UNKNOWN || code > GRPC_UNAUTHENTICATED ||
                               code == GRPC_DEADLINE_EXCEEDED || code == GRPC_RESOURCE_EXHAUSTED;
            struct export_class class = classify_call(200, code, retry == 1);
            if (class.outcome != expected || class.may_be_size != may_be_size)
                fail_msg("%d: %d", code, class.outcome);
            assert_int_equal(class.is_likely_size, code == GRPC_RESOURCE_EXHAUSTED && retry == 0);
            assert_int_equal(class.trouble == EXPORT_NO_TROUBLE, expected == EXPORT_SENT);
        }
    }
}

static void a_call_without_a_code_of_its_own_follows_the_rule_of_http(void **state)
{
    static const struct {
        int status, code;
        enum export_outcome outcome;
        enum export_trouble trouble;
    } cases[] = {
        {502, EXPORT_NO_GRPC_CODE, EXPORT_NOT_NOW, EXPORT_SERVER_ERROR},
        {503, GRPC_OK, EXPORT_NOT_NOW, EXPORT_OVERLOADED},
        {413, EXPORT_NO_GRPC_CODE, EXPORT_ABOUT_DATA, EXPORT_REFUSES_DATA},
        {401, GRPC_INVALID_ARGUMENT, EXPORT_NOT_NOW, EXPORT_REFUSES_CREDENTIALS},
        {404, EXPORT_NO_GRPC_CODE, EXPORT_NOT_NOW, EXPORT_WRONG_PATH},
        // Not even a success of HTTP is one of gRPC: the record would be lost.
        {200, EXPORT_NO_GRPC_CODE, EXPORT_NOT_NOW, EXPORT_NOT_A_COLLECTOR},
        {204, EXPORT_NO_GRPC_CODE, EXPORT_NOT_NOW, EXPORT_NOT_A_COLLECTOR},
        {202, GRPC_OK, EXPORT_NOT_NOW, EXPORT_NOT_A_COLLECTOR},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct export_class class = classify_call(cases[i].status, cases[i].code, false);
        assert_int_equal(class.outcome, cases[i].outcome);
        assert_int_equal(class.trouble, cases[i].trouble);
        assert_false(class.is_likely_size);
    }
}

static void a_page_is_no_success_however_its_type_is_written(void **state)
{
    static const char *const pages[] = {"text/html", "TEXT/HTML", "text/html; charset=utf-8",
                                        " Text/Html ;x", "application/xhtml+xml"};
    static const char *const others[] = {"text/htmlx", "text/plain", "text", "application/html"};
    (void)state;
    for (size_t i = 0; i < sizeof pages / sizeof pages[0]; i++) {
        assert_int_equal(classify(200, pages[i], false).outcome, EXPORT_NOT_NOW);
        assert_int_equal(classify(204, pages[i], true).trouble, EXPORT_NOT_A_COLLECTOR);
    }
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++)
        assert_int_equal(classify(200, others[i], false).outcome, EXPORT_SENT);
}

static void troubles_are_distinguished(void **state)
{
    static const struct {
        int status;
        enum export_trouble trouble;
    } cases[] = {
        {401, EXPORT_REFUSES_CREDENTIALS}, {403, EXPORT_REFUSES_CREDENTIALS},
        {407, EXPORT_REFUSES_CREDENTIALS}, {404, EXPORT_WRONG_PATH},
        {405, EXPORT_WRONG_PATH},          {301, EXPORT_REDIRECTS},
        {429, EXPORT_OVERLOADED},          {503, EXPORT_OVERLOADED},
        {500, EXPORT_SERVER_ERROR},        {599, EXPORT_SERVER_ERROR},
        {413, EXPORT_REFUSES_DATA},        {400, EXPORT_REFUSES_DATA},
        {418, EXPORT_OTHER_TROUBLE},       {999, EXPORT_OTHER_TROUBLE},
        {101, EXPORT_OTHER_TROUBLE},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(classify(cases[i].status, "", false).trouble, cases[i].trouble);
}

// --- backoff ----------------------------------------------------------------------------------

static void waits_grow_by_half_up_to_the_cap(void **state)
{
    // With the middle of the jitter's range, the wait is the step itself.
    static const int64_t expected_ms[] = {1000, 1500, 2250, 3375};
    struct backoff backoff;
    (void)state;
    backoff_init(&backoff, NS_PER_SECOND, 30 * NS_PER_SECOND);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(backoff_step(&backoff, (uint64_t)backoff.next / 2),
                         expected_ms[i] * NS_PER_MS);
    for (int i = 0; i < 100; i++)
        (void)backoff_step(&backoff, 0);
    assert_int_equal(backoff_step(&backoff, (uint64_t)backoff.next / 2), 30 * NS_PER_SECOND);
    backoff_reset(&backoff);
    assert_int_equal(backoff_step(&backoff, (uint64_t)backoff.next / 2), NS_PER_SECOND);
}

static void jitter_stays_within_half_of_the_step(void **state)
{
    static const uint64_t randoms[] = {0, 1, NS_PER_SECOND, UINT64_MAX, UINT64_MAX - 1};
    uint64_t random_state = 42;
    (void)state;
    for (size_t i = 0; i < 2000; i++) {
        struct backoff backoff;
        backoff_init(&backoff, NS_PER_SECOND, 30 * NS_PER_SECOND);
        uint64_t random = i < 5 ? randoms[i] : backoff_random(&random_state);
        duration_ns wait = backoff_step(&backoff, random);
        assert_in_range(wait, NS_PER_SECOND / 2, NS_PER_SECOND * 3 / 2);
    }
}

static void the_cap_holds_with_jitter_too(void **state)
{
    struct backoff backoff;
    (void)state;
    backoff_init(&backoff, 30 * NS_PER_SECOND, 30 * NS_PER_SECOND);
    assert_int_equal(backoff_step(&backoff, 30 * (uint64_t)NS_PER_SECOND), 30 * NS_PER_SECOND);
    backoff_init(&backoff, INT64_MAX / 2, INT64_MAX);
    for (int i = 0; i < 10; i++)
        assert_in_range(backoff_step(&backoff, UINT64_MAX), 1, 24 * NS_PER_HOUR);
}

static void nonsense_settings_still_wait_a_little(void **state)
{
    static const duration_ns values[] = {0, -1, INT64_MIN, 1};
    (void)state;
    for (size_t i = 0; i < 4; i++) {
        struct backoff backoff;
        backoff_init(&backoff, values[i], values[i]);
        for (int step = 0; step < 3; step++)
            assert_true(backoff_step(&backoff, 0) > 0);
    }
}

static void retry_after_is_honoured_within_bounds(void **state)
{
    (void)state;
    assert_int_equal(backoff_honour(5 * NS_PER_SECOND, 1), 5 * NS_PER_SECOND);
    assert_int_equal(backoff_honour(10 * NS_PER_MINUTE, 1), 10 * NS_PER_MINUTE);
    assert_int_equal(backoff_honour(10 * NS_PER_MINUTE + 1, 1), 10 * NS_PER_MINUTE);
    assert_int_equal(backoff_honour(INT64_MAX, 1), 10 * NS_PER_MINUTE);
    assert_int_equal(backoff_honour(0, 77), 77);
    assert_int_equal(backoff_honour(-5, 77), 77);
}

static void random_numbers_differ_and_spread(void **state)
{
    uint64_t random_state = 1;
    unsigned buckets[8] = {0};
    (void)state;
    for (int i = 0; i < 8000; i++)
        buckets[backoff_random(&random_state) % 8]++;
    for (int i = 0; i < 8; i++)
        assert_in_range(buckets[i], 800, 1200);
}

// --- sizes of requests ------------------------------------------------------------------------

static void a_window_grows_to_its_maximum_again(void **state)
{
    struct export_window window;
    unsigned steps = 0;
    (void)state;
    window_init(&window, 512, 4 << 20);
    for (int i = 0; i < 30; i++)
        window_halve(&window);
    assert_int_equal(window.now.records, 1);
    assert_int_equal(window.now.bytes, 1);
    while (window.now.records < 512 || window.now.bytes < 4 << 20) {
        window_grow(&window, window.now, true, 0);
        assert_true(++steps <= 22);
    }
    window_grow(&window, window.now, true, 0);
    assert_int_equal(window.now.records, 512);
    assert_int_equal(window.now.bytes, 4 << 20);
}

static void a_request_smaller_than_the_window_does_not_grow_it(void **state)
{
    struct export_window window;
    (void)state;
    window_init(&window, 512, 4 << 20);
    window_halve(&window);
    window_grow(&window, (struct window_size){.records = 3, .bytes = 300}, false, 0);
    assert_int_equal(window.now.records, 256);
}

// An endpoint that takes up to a megabyte: how often does growth run into that within a day of full requests?
static void growth_does_not_run_into_the_same_limit_again_and_again(void **state)
{
    struct export_window window;
    unsigned refused = 0, accepted = 0;
    size_t limit = 1000000, best = 0;
    (void)state;
    window_init(&window, 100000, 4 << 20);
    for (timestamp_ns now = 0; now < 24 * NS_PER_HOUR; now += NS_PER_SECOND) {
        struct window_size size = {.records = window.now.bytes / 100, .bytes = window.now.bytes};
        if (size.bytes > limit) {
            refused++;
            window_shrink(&window, size, now);
        } else {
            accepted++;
            best = size.bytes > best ? size.bytes : best;
            window_grow(&window, size, true, now);
        }
    }
    assert_true(refused < 100);
    assert_true(accepted > 86000);
    assert_true(best > limit / 4 * 3);
}

static void a_limit_that_no_longer_applies_is_dropped(void **state)
{
    struct export_window window;
    timestamp_ns now = 0;
    (void)state;
    window_init(&window, 512, 4 << 20);
    for (int i = 0; i < 9; i++)
        window_shrink(&window, window.now, now);
    for (int i = 0; i < 3 * 3600; i++, now += NS_PER_SECOND)
        window_grow(&window, window.now, true, now);
    assert_int_equal(window.now.records, 512);
    assert_int_equal(window.now.bytes, 4 << 20);
    assert_int_equal(window.hold, WINDOW_HOLD_FIRST);
}

// --- quarantine -------------------------------------------------------------------------------

static void the_entries_of_a_quarantine_are_found(void **state)
{
    struct quarantine quarantine = {.count = 0};
    uint64_t random_state = 3;
    (void)state;
    for (uint64_t i = 0; i < 500; i++) {
        uint64_t sequence = backoff_random(&random_state) % 4000;
        if (quarantine_find(&quarantine, sequence) != NULL)
            quarantine_remove(&quarantine, sequence);
        else
            assert_non_null(quarantine_add(&quarantine, sequence, 7, (timestamp_ns)i, 10));
    }
    assert_int_equal(quarantine.bytes, 7 * quarantine.count);
    for (size_t i = 1; i < quarantine.count; i++)
        assert_true(quarantine.entries[i - 1].sequence < quarantine.entries[i].sequence);
    const struct quarantine_entry *oldest = quarantine_oldest(&quarantine);
    for (size_t i = 0; i < quarantine.count; i++)
        assert_true(oldest->since <= quarantine.entries[i].since);
    quarantine_remove(&quarantine, 5000);
    quarantine_release(&quarantine);
}

static void intervals_grow_up_to_a_limit(void **state)
{
    struct quarantine quarantine = {.count = 0};
    struct quarantine_entry *entry = quarantine_add(&quarantine, 1, 1, 0, 30);
    duration_ns last = 0;
    (void)state;
    for (uint64_t i = 0; i < 20; i++) {
        quarantine_postpone(&quarantine, entry, 1000, 30, i * 12345);
        assert_true(entry->interval >= last && entry->interval <= 30 * 128);
        assert_in_range(entry->due_at - 1000, entry->interval * 3 / 4, entry->interval * 5 / 4 + 1);
        last = entry->interval;
        assert_null(quarantine_due(&quarantine, 1001));
        assert_ptr_equal(quarantine_due(&quarantine, entry->due_at), entry);
    }
    assert_int_equal(last, 30 * 128);
    quarantine_release(&quarantine);
}

static void without_memory_the_quarantine_is_unchanged(void **state)
{
    struct quarantine quarantine = {.count = 0};
    (void)state;
    for (uint64_t i = 1; i <= 16; i++)
        assert_non_null(quarantine_add(&quarantine, i, 1, 0, 1));
    memory_fail_after(0);
    assert_null(quarantine_add(&quarantine, 17, 1, 0, 1));
    memory_fail_after(-1);
    assert_int_equal(quarantine.count, 16);
    assert_null(quarantine_find(&quarantine, 17));
    quarantine_release(&quarantine);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_status_has_its_outcome),
        cmocka_unit_test(no_answer_is_never_about_the_data),
        cmocka_unit_test(a_missing_client_certificate_is_about_credentials),
        cmocka_unit_test(the_status_of_a_refused_tunnel_decides_the_category),
        cmocka_unit_test(every_code_of_grpc_has_its_outcome),
        cmocka_unit_test(a_call_without_a_code_of_its_own_follows_the_rule_of_http),
        cmocka_unit_test(a_page_is_no_success_however_its_type_is_written),
        cmocka_unit_test(troubles_are_distinguished),
        cmocka_unit_test(waits_grow_by_half_up_to_the_cap),
        cmocka_unit_test(jitter_stays_within_half_of_the_step),
        cmocka_unit_test(the_cap_holds_with_jitter_too),
        cmocka_unit_test(nonsense_settings_still_wait_a_little),
        cmocka_unit_test(retry_after_is_honoured_within_bounds),
        cmocka_unit_test(random_numbers_differ_and_spread),
        cmocka_unit_test(a_window_grows_to_its_maximum_again),
        cmocka_unit_test(a_request_smaller_than_the_window_does_not_grow_it),
        cmocka_unit_test(growth_does_not_run_into_the_same_limit_again_and_again),
        cmocka_unit_test(a_limit_that_no_longer_applies_is_dropped),
        cmocka_unit_test(the_entries_of_a_quarantine_are_found),
        cmocka_unit_test(intervals_grow_up_to_a_limit),
        cmocka_unit_test(without_memory_the_quarantine_is_unchanged),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
