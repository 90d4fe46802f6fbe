// Failed signatures, and how long the response to such a client is delayed.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "ghatrace/http/limits.h"

#define START (1000 * NS_PER_SECOND)

static struct auth_failures *create(void)
{
    struct auth_failures *failures;
    struct error error;

    assert_int_equal(auth_failures_create(&failures, &error), ERROR_NONE);
    return failures;
}

static duration_ns note(struct auth_failures *failures, const char *text, timestamp_ns now)
{
    struct net_ip ip;

    assert_true(net_ip_parse(slice_from_string(text), &ip));
    return auth_failures_note(failures, &ip, now);
}

static duration_ns note_many(struct auth_failures *failures, const char *text, int count,
                             timestamp_ns now)
{
    duration_ns delay = 0;

    for (int i = 0; i < count; i++)
        delay = note(failures, text, now);
    return delay;
}

static void the_first_failures_are_not_delayed(void **state)
{
    struct auth_failures *failures = create();

    (void)state;
    assert_int_equal(note_many(failures, "192.0.2.1", FAILURES_FREE, START), 0);
    assert_int_equal(auth_failures_delayed(failures), 0);
    assert_int_equal(note(failures, "192.0.2.1", START), NS_PER_SECOND);
    assert_int_equal(auth_failures_delayed(failures), 1);
    assert_int_equal(note(failures, "192.0.2.2", START), 0);
    auth_failures_destroy(failures);
}

static void repeated_failures_are_delayed_longer_up_to_a_limit(void **state)
{
    struct auth_failures *failures = create();

    (void)state;
    assert_int_equal(note_many(failures, "192.0.2.1", 2 * FAILURES_FREE + 1, START),
                     2 * NS_PER_SECOND);
    assert_int_equal(note_many(failures, "192.0.2.1", 100000, START), FAILURES_SLOWEST);
    auth_failures_destroy(failures);
}

static void failures_expire(void **state)
{
    struct auth_failures *failures = create();
    timestamp_ns now = START;

    (void)state;
    assert_true(note_many(failures, "192.0.2.1", FAILURES_FREE + 1, now) > 0);
    now += FAILURES_DRAIN;
    assert_true(note(failures, "192.0.2.1", now) > 0);
    now += 2 * FAILURES_DRAIN;
    assert_int_equal(note(failures, "192.0.2.1", now), 0);
    // At the rate at which failures expire, they are not delayed.
    for (int i = 0; i < 1000; i++) {
        now += FAILURES_DRAIN;
        assert_int_equal(note(failures, "192.0.2.1", now), 0);
    }
    auth_failures_destroy(failures);
}

static void an_ipv6_64_is_one_client(void **state)
{
    struct auth_failures *failures = create();
    char text[64];

    (void)state;
    for (int i = 0; i < FAILURES_FREE; i++) {
        snprintf(text, sizeof text, "2001:db8:0:1::%x", i + 1);
        assert_int_equal(note(failures, text, START), 0);
    }
    assert_true(note(failures, "2001:db8:0:1:ffff::1", START) > 0);
    assert_int_equal(note(failures, "2001:db8:0:2::1", START), 0);
    auth_failures_destroy(failures);
}

static void a_flood_from_many_addresses_takes_no_more_memory(void **state)
{
    struct auth_failures *failures = create();
    char text[64];

    (void)state;
    for (int i = 0; i < 200000; i++) {
        snprintf(text, sizeof text, "10.%d.%d.%d", i >> 16, (i >> 8) & 255, i & 255);
        assert_int_equal(note(failures, text, START + i), 0);
    }
    // A new client gets an entry and is counted.
    assert_true(note_many(failures, "192.0.2.1", FAILURES_FREE + 1, START + 200000) > 0);
    auth_failures_destroy(failures);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_failures_are_not_delayed),
        cmocka_unit_test(repeated_failures_are_delayed_longer_up_to_a_limit),
        cmocka_unit_test(failures_expire),
        cmocka_unit_test(an_ipv6_64_is_one_client),
        cmocka_unit_test(a_flood_from_many_addresses_takes_no_more_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
