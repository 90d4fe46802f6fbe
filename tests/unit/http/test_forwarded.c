// X-Forwarded-For: which of its addresses is the client's.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "ghatrace/http/limits.h"
#include "ghatrace/http/server.h"

#define PEER "10.0.0.1"
#define UNKNOWN NULL

// Trusted: 10.0.0.0/8 and 2001:db8:f::/48.
static bool find(const char *const fields[], size_t count, struct net_ip *client)
{
    static struct http_head head;
    struct net_network networks[2];
    struct net_network_list trusted = {.items = networks, .count = 2};
    struct net_ip peer;
    struct error error;

    assert_int_equal(net_network_parse(SLICE("10.0.0.0/8"), &networks[0], &error), ERROR_NONE);
    assert_int_equal(net_network_parse(SLICE("2001:db8:f::/48"), &networks[1], &error), ERROR_NONE);
    assert_true(net_ip_parse(SLICE(PEER), &peer));
    head.header_count = 0;
    head.headers[head.header_count++] =
        (struct http_header){.name = SLICE("X-Forwarded"), .value = SLICE("192.0.2.99")};
    for (size_t i = 0; i < count; i++)
        head.headers[head.header_count++] = (struct http_header){
            .name = SLICE("x-forwarded-FOR"), .value = slice_from_string(fields[i])};
    return forwarded_find_client(&head, &trusted, &peer, client);
}

static void the_client_is_the_last_address_that_is_not_a_proxy(void **state)
{
    static const struct {
        const char *value, *client;
    } cases[] = {
        {"192.0.2.1", "192.0.2.1"},
        {"192.0.2.1, 10.2.3.4", "192.0.2.1"},
        {"192.0.2.1,10.2.3.4,10.2.3.5", "192.0.2.1"},
        {"198.51.100.1, 192.0.2.1", "192.0.2.1"}, // what the client itself claims does not count
        {"10.9.9.9, 192.0.2.1, 10.2.3.4", "192.0.2.1"},
        {"nonsense, 192.0.2.1", "192.0.2.1"},
        {"192.0.2.1, nonsense", UNKNOWN},
        {"192.0.2.1, unknown, 10.2.3.4", UNKNOWN},
        {"192.0.2.1, _hidden", UNKNOWN},
        {"10.2.3.4", "10.2.3.4"},
        {"10.2.3.4, 10.2.3.5", "10.2.3.4"},
        {"", PEER},
        {" , ,, ", PEER},
        {",192.0.2.1,, ,", "192.0.2.1"},
        {"\t192.0.2.1\t,\t10.1.1.1 ", "192.0.2.1"},
        {"192.0.2.1:4711", "192.0.2.1"},
        {"192.0.2.1:", UNKNOWN},
        {"192.0.2.1:123456", UNKNOWN},
        {"192.0.2.1:8x", UNKNOWN},
        {":80", UNKNOWN},
        {":", UNKNOWN},
        {"2001:db8::1", "2001:db8::1"},
        {"2001:db8::1, 2001:db8:f::9", "2001:db8::1"},
        {"[2001:db8::1]", "2001:db8::1"},
        {"[2001:db8::1]:443, [2001:db8:f::9]:1", "2001:db8::1"},
        {"[2001:db8::1]443", UNKNOWN},
        {"[2001:db8::1]:", UNKNOWN},
        {"[2001:db8::1", UNKNOWN},
        {"[]", UNKNOWN},
        {"[", UNKNOWN},
        {"[192.0.2.1]", UNKNOWN},
        {"::ffff:192.0.2.1", "192.0.2.1"},
        {"192.0.2.1, ::ffff:10.1.2.3", "192.0.2.1"},
        {"\"192.0.2.1\"", UNKNOWN},
        {"for=192.0.2.1", UNKNOWN},
        {"192.0.2.1 10.1.1.1", UNKNOWN},
        {"192.0.2.1;10.1.1.1", UNKNOWN},
        {"192.0.2.01", UNKNOWN},
        {"3221225985", UNKNOWN},
        {"fe80::1%eth0", UNKNOWN},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct net_ip client, expected;
        bool is_known = find(&cases[i].value, 1, &client);
        if (is_known != (cases[i].client != UNKNOWN))
            fail_msg("\"%s\": %s", cases[i].value, is_known ? "known" : "unknown");
        if (!is_known)
            continue;
        assert_true(net_ip_parse(slice_from_string(cases[i].client), &expected));
        if (!net_ip_equals(&client, &expected))
            fail_msg("\"%s\": not %s", cases[i].value, cases[i].client);
    }
}

static void several_fields_are_one_list(void **state)
{
    static const char *const fields[] = {"198.51.100.1", "192.0.2.1", " ", "10.1.1.1, 10.1.1.2"};
    static const char *const broken[] = {"192.0.2.1", "?"};
    struct net_ip client, expected;

    (void)state;
    assert_true(find(fields, 4, &client));
    assert_true(net_ip_parse(SLICE("192.0.2.1"), &expected));
    assert_true(net_ip_equals(&client, &expected));
    assert_false(find(broken, 2, &client));
}

static void without_the_field_the_client_is_the_peer(void **state)
{
    struct net_ip client, expected;

    (void)state;
    assert_true(find(NULL, 0, &client));
    assert_true(net_ip_parse(SLICE(PEER), &expected));
    assert_true(net_ip_equals(&client, &expected));
}

static void a_list_without_end_is_read_to_its_end(void **state)
{
    static char value[HTTP_HEAD_BYTES_MAX];
    const char *field = value;
    struct net_ip client;

    (void)state;
    memset(value, ',', sizeof value - 1);
    assert_true(find(&field, 1, &client));
    memset(value, ':', sizeof value - 1);
    assert_false(find(&field, 1, &client));
    memset(value, '[', sizeof value - 1);
    assert_false(find(&field, 1, &client));
}

static void a_connection_that_is_closed_has_no_client(void **state)
{
    const struct http_conn closed = {.connection = NULL};
    const struct http_head head = {.header_count = 0};
    const struct net_network_list none = {.count = 0};
    struct net_ip client;

    (void)state;
    assert_false(http_conn_find_client(&closed, &head, &none, &client));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_connection_that_is_closed_has_no_client),
        cmocka_unit_test(the_client_is_the_last_address_that_is_not_a_proxy),
        cmocka_unit_test(several_fields_are_one_list),
        cmocka_unit_test(without_the_field_the_client_is_the_peer),
        cmocka_unit_test(a_list_without_end_is_read_to_its_end),
    };
    return cmocka_run_group_tests_name("ingress/forwarded", tests, NULL, NULL);
}
