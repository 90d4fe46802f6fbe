// Networks: parsing, and which addresses they contain.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "ghatrace/net/address.h"

static struct net_ip ip_of(const char *text)
{
    struct net_ip ip;

    if (!net_ip_parse(slice_from_string(text), &ip))
        fail_msg("%s: not an address", text);
    return ip;
}

static struct net_network network_of(const char *text)
{
    struct net_network network;
    struct error error;

    if (net_network_parse(slice_from_string(text), &network, &error) != ERROR_NONE)
        fail_msg("%s", error.message);
    return network;
}

static void a_network_contains_its_addresses_and_no_others(void **state)
{
    static const struct {
        const char *network, *ip;
        bool holds;
    } cases[] = {
        {"192.0.2.0/24", "192.0.2.0", true},
        {"192.0.2.0/24", "192.0.2.255", true},
        {"192.0.2.0/24", "192.0.3.0", false},
        {"192.0.2.0/24", "192.0.1.255", false},
        {"192.0.2.0/24", "::ffff:192.0.2.7", true},
        {"192.0.2.0/24", "::192.0.2.7", false}, // IPv4-compatible, long obsolete
        {"192.0.2.0/24", "2001:db8::1", false},
        {"192.0.2.7", "192.0.2.7", true},
        {"192.0.2.7", "192.0.2.6", false},
        {"192.0.2.4/31", "192.0.2.5", true},
        {"192.0.2.4/31", "192.0.2.6", false},
        {"140.82.112.0/20", "140.82.127.255", true},
        {"140.82.112.0/20", "140.82.128.0", false},
        {"128.0.0.0/1", "255.255.255.255", true},
        {"128.0.0.0/1", "127.255.255.255", false},
        {"0.0.0.0/0", "203.0.113.9", true},
        {"0.0.0.0/0", "2001:db8::1", false},
        {"::/0", "2001:db8::1", true},
        {"::/0", "203.0.113.9", false},
        {"::/64", "::1", true},
        {"::/64", "203.0.113.9", false},
        {"::ffff:0.0.0.0/96", "203.0.113.9", true},
        {"::ffff:192.0.2.0/120", "192.0.2.200", true},
        {"::ffff:192.0.2.0/120", "192.0.3.200", false},
        {"2001:db8::/32", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", true},
        {"2001:db8::/32", "2001:db9::", false},
        {"2001:db8:8000::/33", "2001:db8:7fff::1", false},
        {"2001:db8:8000::/33", "2001:db8:8000::1", true},
        {"2001:DB8::1", "2001:db8:0:0:0:0:0:1", true},
        {"2001:db8::1/128", "2001:db8::2", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct net_network network = network_of(cases[i].network);
        struct net_ip ip = ip_of(cases[i].ip);
        if (net_network_holds(&network, &ip) != cases[i].holds)
            fail_msg("%s and %s", cases[i].network, cases[i].ip);
    }
}

static void invalid_networks_are_refused(void **state)
{
    static const char *const cases[] = {
        "",
        "/",
        "/8",
        "10",
        "10/8",
        "10.0.0/8",
        "10.0.0.0/",
        "10.0.0.0/33",
        "10.0.0.0/-1",
        "10.0.0.0/+8",
        "10.0.0.0/08",
        "10.0.0.0/8 ",
        " 10.0.0.0/8",
        "10.0.0.0/ 8",
        "10.0.0.0/8/8",
        "10.0.0.0/255.0.0.0",
        "10.0.0.0/4294967304",
        "10.0.0.0/99999999999999999999",
        "10.0.0.256",
        "010.0.0.0/8",
        "0x0a.0.0.0/8",
        "10.0.0.1/8",
        "10.0.0.0.0/8",
        "1.2.3.4:80",
        "::/129",
        ":/0",
        ":::/0",
        "[::]/0",
        "2001:db8::1/64",
        "fe80::1%lo",
        "1:2:3:4:5:6:7:8:9",
        "::ffff:1.2.3.4/24",
        "12345::",
        "localhost",
        "*",
        "all",
        "10.0.0.0\\8",
        "0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000:0000",
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct net_network network;
        struct error error = {.code = ERROR_NONE};
        if (net_network_parse(slice_from_string(cases[i]), &network, &error) != ERROR_USAGE)
            fail_msg("\"%s\" is taken for a network", cases[i]);
        assert_true(strlen(error.message) > 0);
    }
}

static void a_nul_does_not_end_an_address(void **state)
{
    struct net_network network;
    struct error error;
    struct net_ip ip;

    (void)state;
    assert_false(net_ip_parse(SLICE("10.0.0.1\0x"), &ip));
    assert_false(net_ip_parse(SLICE("10.0.0.1\0"), &ip));
    assert_int_equal(net_network_parse(SLICE("10.0.0.0/8\0"), &network, &error), ERROR_USAGE);
}

// From a block of just that size, so that a sanitizer detects any read past its end.
static void text_is_not_read_beyond_its_end(void **state)
{
    static const char text[] = "2001:db8:1:2:3:4:255.255.255.255/128";

    (void)state;
    for (size_t len = 0; len < sizeof text; len++) {
        struct net_network network;
        struct error error;
        char *copy = malloc(len + (len == 0));
        assert_non_null(copy);
        memcpy(copy, text, len);
        enum error_code code =
            net_network_parse((struct slice){.data = copy, .len = len}, &network, &error);
        assert_true(code == ERROR_NONE || code == ERROR_USAGE);
        free(copy);
    }
}

static void ipv4_clients_of_a_socket_on_all_addresses_are_recognized(void **state)
{
    struct net_address four, six, other = {.len = 2};
    struct net_ip a, b;
    struct error error;

    (void)state;
    assert_int_equal(net_address_parse(SLICE("192.0.2.7:80"), &four, &error), ERROR_NONE);
    assert_int_equal(net_address_parse(SLICE("[::ffff:192.0.2.7]:81"), &six, &error), ERROR_NONE);
    assert_true(net_ip_from_address(&four, &a));
    assert_true(net_ip_from_address(&six, &b));
    assert_true(net_ip_equals(&a, &b));
    assert_true(net_ip_is_v4(&b));
    assert_false(net_ip_from_address(&other, &a));
}

static void a_list_contains_the_addresses_of_its_networks(void **state)
{
    struct net_network items[2] = {network_of("10.0.0.0/8"), network_of("2001:db8::/32")};
    struct net_network_list list = {.items = items, .count = 2}, none = {.items = NULL};
    struct net_ip four = ip_of("10.9.8.7"), six = ip_of("2001:db8::9"), other = ip_of("11.0.0.0");

    (void)state;
    assert_true(net_network_list_holds(&list, &four));
    assert_true(net_network_list_holds(&list, &six));
    assert_false(net_network_list_holds(&list, &other));
    assert_false(net_network_list_holds(&none, &four));
}

static void the_network_of_one_subscriber_is_one_client(void **state)
{
    struct net_ip a, b;

    (void)state;
    assert_true(net_ip_parse(SLICE("2001:db8:0:1::1"), &a));
    assert_true(net_ip_parse(SLICE("2001:db8:0:1:ffff::2"), &b));
    a = net_ip_client(&a);
    b = net_ip_client(&b);
    assert_true(net_ip_equals(&a, &b));
    assert_true(net_ip_hash(&a, 7) == net_ip_hash(&b, 7));
    assert_true(net_ip_hash(&a, 7) != net_ip_hash(&a, 8));
    assert_true(net_ip_parse(SLICE("192.0.2.1"), &a));
    b = net_ip_client(&a);
    assert_true(net_ip_equals(&a, &b));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_network_contains_its_addresses_and_no_others),
        cmocka_unit_test(invalid_networks_are_refused),
        cmocka_unit_test(a_nul_does_not_end_an_address),
        cmocka_unit_test(text_is_not_read_beyond_its_end),
        cmocka_unit_test(ipv4_clients_of_a_socket_on_all_addresses_are_recognized),
        cmocka_unit_test(a_list_contains_the_addresses_of_its_networks),
        cmocka_unit_test(the_network_of_one_subscriber_is_one_client),
    };
    return cmocka_run_group_tests_name("net/network", tests, NULL, NULL);
}
