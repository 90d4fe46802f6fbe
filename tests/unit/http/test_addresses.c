// The number of connections of each address.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <pthread.h>
#include <stdio.h>

#include "ghatrace/base/memory.h"
#include "ghatrace/http/limits.h"

static const struct net_network_list no_networks = {.count = 0};

static struct address_counts *counts_of(size_t most, size_t capacity,
                                        const struct net_network_list *exempt)
{
    struct address_counts *counts;
    struct error error;

    assert_int_equal(address_counts_create(most, capacity, exempt, &counts, &error), ERROR_NONE);
    return counts;
}

static struct net_address peer_of(const char *text)
{
    struct net_address peer;
    struct error error;

    assert_int_equal(net_address_parse(slice_from_string(text), &peer, &error), ERROR_NONE);
    return peer;
}

static bool take(struct address_counts *counts, const char *text, struct address_place **place)
{
    struct net_address peer = peer_of(text);
    struct address_place *full;

    if (address_counts_take(counts, &peer, place, &full))
        return true;
    assert_null(*place);
    *place = full;
    return false;
}

static void each_address_has_its_own_count(void **state)
{
    struct address_counts *counts = counts_of(2, 8, &no_networks);
    struct address_place *a, *again, *third, *b;

    (void)state;
    assert_true(take(counts, "192.0.2.1:1", &a));
    assert_true(take(counts, "[::ffff:192.0.2.1]:2", &again));
    assert_ptr_equal(a, again);
    assert_false(take(counts, "192.0.2.1:3", &third));
    assert_ptr_equal(a, third);
    assert_true(take(counts, "192.0.2.2:1", &b));
    address_counts_give_back(counts, a);
    assert_true(take(counts, "192.0.2.1:4", &a));
    assert_int_equal(address_counts_refusals(counts), 0);
    address_counts_note_refusal(counts);
    assert_int_equal(address_counts_refusals(counts), 1);
    address_counts_destroy(counts);
}

static void ipv6_is_counted_by_the_64(void **state)
{
    struct address_counts *counts = counts_of(1, 8, &no_networks);
    struct address_place *place;

    (void)state;
    assert_true(take(counts, "[2001:db8:0:1::1]:1", &place));
    assert_false(take(counts, "[2001:db8:0:1:ffff::2]:1", &place));
    assert_true(take(counts, "[2001:db8:0:2::1]:1", &place));
    address_counts_destroy(counts);
}

static void a_48_of_ipv6_has_four_times_as_many(void **state)
{
    struct address_counts *counts = counts_of(2, 32, &no_networks);
    struct address_place *places[8], *place, *other;
    char text[64];

    (void)state;
    for (int i = 0; i < 8; i++) { // a /64 each
        (void)snprintf(text, sizeof text, "[2001:db8:1:%x::1]:1", i);
        assert_true(take(counts, text, &places[i]));
    }
    assert_false(take(counts, "[2001:db8:1:ffff::1]:1", &place));
    for (int i = 0; i < 8; i++)
        assert_true(address_place_is_in(places[i], place));
    assert_true(take(counts, "[2001:db8:2::1]:1", &other)); // the next /48
    assert_false(address_place_is_in(other, place));
    assert_true(take(counts, "192.0.2.1:1", &other));
    assert_false(address_place_is_in(other, place));
    address_counts_give_back(counts, places[3]);
    assert_true(take(counts, "[2001:db8:1:ffff::1]:1", &place));
    assert_false(take(counts, "[2001:db8:1:3::1]:1", &place));
    address_counts_destroy(counts);
}

static void a_48_and_its_first_64_are_counted_apart(void **state)
{
    struct address_counts *counts = counts_of(2, 32, &no_networks);
    struct address_place *a, *b, *full, *other;

    (void)state;
    assert_true(take(counts, "[2001:db8:1:0::1]:1", &a));
    assert_true(take(counts, "[2001:db8:1:0::2]:1", &b));
    assert_ptr_equal(a, b);
    assert_false(take(counts, "[2001:db8:1:0::3]:1", &full));
    assert_ptr_equal(a, full); // by its own limit, not by that of the /48
    assert_true(take(counts, "[2001:db8:1:1::1]:1", &other));
    assert_false(address_place_is_in(other, full));
    assert_false(address_place_is_in(NULL, full));
    address_counts_destroy(counts);
}

static void ipv4_has_no_network_in_common(void **state)
{
    struct address_counts *counts = counts_of(1, 32, &no_networks);
    struct address_place *place;
    char text[64];

    (void)state;
    for (int i = 0; i < 32; i++) {
        (void)snprintf(text, sizeof text, "[::ffff:192.0.2.%d]:1", i);
        assert_true(take(counts, text, &place));
    }
    address_counts_destroy(counts);
}

// Half of the places are of one /48, then of others: each time all are given back.
static void places_of_networks_are_given_back(void **state)
{
    enum { CAPACITY = 16 };
    struct address_counts *counts = counts_of(1, CAPACITY, &no_networks);
    struct address_place *places[CAPACITY], *more;
    char text[64];

    (void)state;
    for (int round = 0; round < 5; round++) {
        for (int i = 0; i < CAPACITY; i++) {
            (void)snprintf(text, sizeof text, "[2001:db8:%x:%x::1]:1", 100 * round + i / 4, i);
            assert_true(take(counts, text, &places[i]));
        }
        for (int i = 0; i < CAPACITY; i++) { // refused, and nothing of it stays in the table
            (void)snprintf(text, sizeof text, "[2001:db8:%x:ff%x::1]:1", 100 * round + i / 4, i);
            assert_false(take(counts, text, &more));
        }
        for (int i = 0; i < CAPACITY; i++)
            address_counts_give_back(counts, places[(i * 7) % CAPACITY]);
    }
    address_counts_destroy(counts);
}

static void exempt_addresses_are_not_counted(void **state)
{
    struct net_network network;
    struct net_network_list list = {.items = &network, .count = 1};
    struct address_counts *counts = counts_of(1, 2, &list);
    struct address_place *place;
    struct error error;

    (void)state;
    assert_int_equal(net_network_parse(SLICE("10.0.0.0/8"), &network, &error), ERROR_NONE);
    for (int i = 0; i < 10; i++) {
        assert_true(take(counts, "10.0.0.1:1", &place));
        assert_null(place);
    }
    address_counts_give_back(counts, place);
    address_counts_destroy(counts);
}

static void a_full_table_refuses_and_recovers(void **state)
{
    enum { CAPACITY = 50 };
    struct address_counts *counts = counts_of(3, CAPACITY, &no_networks);
    struct address_place *places[CAPACITY], *more;
    char text[32];

    (void)state;
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < CAPACITY; i++) {
            (void)snprintf(text, sizeof text, "[2001:db8:%x%02x::1]:1", round, i);
            assert_true(take(counts, text, &places[i]));
        }
        assert_false(take(counts, "[2001:db8:ffff::1]:1", &more));
        assert_null(more);
        for (int i = 0; i < CAPACITY; i++)
            address_counts_give_back(counts, places[(i * 7) % CAPACITY]);
    }
    address_counts_destroy(counts);
}

static void *take_and_give_back(void *context)
{
    struct address_counts *counts = context;
    struct net_address peer = peer_of("192.0.2.1:1");

    for (int i = 0; i < 2000; i++) {
        struct address_place *place, *full;
        if (address_counts_take(counts, &peer, &place, &full))
            address_counts_give_back(counts, place);
        else
            address_counts_note_refusal(counts);
    }
    return NULL;
}

static void threads_share_it(void **state)
{
    struct address_counts *counts = counts_of(2, 8, &no_networks);
    struct address_place *place;
    pthread_t threads[3];

    (void)state;
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, take_and_give_back, counts), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    assert_true(take(counts, "192.0.2.1:1", &place));
    assert_true(take(counts, "192.0.2.1:1", &place));
    assert_false(take(counts, "192.0.2.1:1", &place));
    address_counts_destroy(counts);
}

static void refused_memory_is_an_error(void **state)
{
    struct address_counts *counts;
    struct error error;

    (void)state;
    for (long skip = 0; skip < 2; skip++) {
        memory_fail_after(skip);
        assert_int_equal(address_counts_create(1, 8, &no_networks, &counts, &error), ERROR_MEMORY);
        memory_fail_after(-1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_address_has_its_own_count),
        cmocka_unit_test(ipv6_is_counted_by_the_64),
        cmocka_unit_test(a_48_of_ipv6_has_four_times_as_many),
        cmocka_unit_test(a_48_and_its_first_64_are_counted_apart),
        cmocka_unit_test(ipv4_has_no_network_in_common),
        cmocka_unit_test(places_of_networks_are_given_back),
        cmocka_unit_test(exempt_addresses_are_not_counted),
        cmocka_unit_test(a_full_table_refuses_and_recovers),
        cmocka_unit_test(threads_share_it),
        cmocka_unit_test(refused_memory_is_an_error),
    };
    return cmocka_run_group_tests_name("ingress/addresses", tests, NULL, NULL);
}
