// Address texts: what is read, what is refused, and what is printed.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ghatrace/net/address.h"

static void addresses_round_trip(void **state)
{
    static const struct {
        const char *text, *printed;
    } cases[] = {
        {"127.0.0.1:8080", "127.0.0.1:8080"},
        {"127.0.0.1:0", "127.0.0.1:0"},
        {"0.0.0.0:65535", "0.0.0.0:65535"},
        {"[::1]:8080", "[::1]:8080"},
        {"[::]:80", "[::]:80"},
        {"[2001:db8:0:0:0:0:0:1]:443", "[2001:db8::1]:443"},
        {"[1111:2222:3333:4444:5555:6666:7777:8888]:65535",
         "[1111:2222:3333:4444:5555:6666:7777:8888]:65535"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct net_address address;
        struct error error;
        char text[NET_ADDRESS_TEXT_SIZE];
        assert_int_equal(net_address_parse(slice_from_string(cases[i].text), &address, &error),
                         ERROR_NONE);
        assert_string_equal(net_address_format(&address, text), cases[i].printed);
    }
}

static void no_host_means_all_addresses(void **state)
{
    struct net_address address;
    struct error error;
    char text[NET_ADDRESS_TEXT_SIZE];

    (void)state;
    assert_int_equal(net_address_parse(SLICE(":8080"), &address, &error), ERROR_NONE);
    net_address_format(&address, text);
    assert_true(strcmp(text, "[::]:8080") == 0 || strcmp(text, "0.0.0.0:8080") == 0);
}

static void localhost_is_a_loopback_address(void **state)
{
    struct net_address address;
    struct error error;
    char text[NET_ADDRESS_TEXT_SIZE];

    (void)state;
    assert_int_equal(net_address_parse(SLICE("localhost:1"), &address, &error), ERROR_NONE);
    net_address_format(&address, text);
    assert_true(strcmp(text, "[::1]:1") == 0 || strcmp(text, "127.0.0.1:1") == 0);
}

static void ambiguous_addresses_are_refused_with_their_text(void **state)
{
    static const char *const cases[] = {
        "",
        "8080",
        "127.0.0.1",
        "127.0.0.1:",
        "127.0.0.1:65536",
        "host:-1",
        "host: 80",
        "host:80 ",
        "host:+80",
        "host:0x50",
        "::1:8080",
        "[::1]",
        "[::1",
        "[::1]8080",
        "[::1]:",
        "[]:80",
        "[localhost]:1",
        "[1.2.3.4]:80",
        "http://host:80/",
        "a:1:2",
        "[::1]:80:1",
        "host:99999999999999999999",
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct net_address address;
        struct error error = {.code = ERROR_NONE};
        assert_int_equal(net_address_parse(slice_from_string(cases[i]), &address, &error),
                         ERROR_USAGE);
        assert_int_equal(error.code, ERROR_USAGE);
        assert_non_null(strstr(error.message, cases[i]));
    }
}

static void a_host_longer_than_any_name_is_refused(void **state)
{
    char text[400];
    struct net_address address;
    struct error error;

    (void)state;
    memset(text, 'a', sizeof text);
    memcpy(text + sizeof text - 3, ":80", 3);
    assert_int_equal(
        net_address_parse((struct slice){.data = text, .len = sizeof text}, &address, &error),
        ERROR_USAGE);
    assert_int_equal(
        net_address_parse((struct slice){.data = "a\0b:80", .len = 6}, &address, &error),
        ERROR_USAGE);
}

static void loopback_addresses_are_recognized(void **state)
{
    static const struct {
        const char *text;
        bool is_loopback;
    } cases[] = {
        {"127.0.0.1:1", true}, {"127.255.0.1:1", true}, {"[::1]:1", true},  {"128.0.0.1:1", false},
        {"0.0.0.0:1", false},  {"[::]:1", false},       {"[::2]:1", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct net_address address;
        struct error error;
        assert_int_equal(net_address_parse(slice_from_string(cases[i].text), &address, &error),
                         ERROR_NONE);
        assert_int_equal(net_address_is_loopback(&address), cases[i].is_loopback);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loopback_addresses_are_recognized),
        cmocka_unit_test(addresses_round_trip),
        cmocka_unit_test(no_host_means_all_addresses),
        cmocka_unit_test(localhost_is_a_loopback_address),
        cmocka_unit_test(ambiguous_addresses_are_refused_with_their_text),
        cmocka_unit_test(a_host_longer_than_any_name_is_refused),
    };
    return cmocka_run_group_tests_name("net/address", tests, NULL, NULL);
}
