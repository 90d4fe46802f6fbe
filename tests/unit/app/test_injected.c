// Kubernetes and Docker name variables after services; those of a service called ghatrace are not misspelled
// settings.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>

#include "../../../src/app/settings.h"
#include "configuring.h"

#define MESSAGE_SIZE (sizeof((struct error *)NULL)->message)

// Reads an environment that consists of these; true if nothing was set and there was no error.
static bool skips(const char *const *entries, char message[MESSAGE_SIZE])
{
    struct configuring c;
    configuring_init(&c);
    for (; *entries != NULL; entries++)
        configuring_variable(&c, *entries);
    enum error_code code = settings_read_environment(&c.settings, c.environment, &c.error);
    (void)snprintf(message, MESSAGE_SIZE, "%s", code != ERROR_NONE ? c.error.message : "");
    bool is_set = false;
    for (size_t i = 0; i < OPTIONS_COUNT; i++)
        is_set = is_set || c.settings.items[i].last != NULL;
    configuring_release(&c);
    return code == ERROR_NONE && !is_set;
}

static void assert_skips(const char *const *entries)
{
    char message[MESSAGE_SIZE];
    if (!skips(entries, message))
        fail_msg("%s ...: %s", entries[0], message);
}

// As in a pod (Kubernetes 1.33), for services with one unnamed port, with named ports, of IPv6.
static void variables_of_a_kubernetes_service_of_our_name_are_skipped(void **state)
{
    (void)state;
    const char *const plain[] = {
        "GHATRACE_SERVICE_HOST=10.96.12.7",       "GHATRACE_SERVICE_PORT=8080",
        "GHATRACE_PORT=tcp://10.96.12.7:8080",    "GHATRACE_PORT_8080_TCP=tcp://10.96.12.7:8080",
        "GHATRACE_PORT_8080_TCP_PROTO=tcp",       "GHATRACE_PORT_8080_TCP_PORT=8080",
        "GHATRACE_PORT_8080_TCP_ADDR=10.96.12.7", NULL};
    const char *const named[] = {"GHATRACE_SERVICE_PORT_WEBHOOK=80",
                                 "GHATRACE_SERVICE_PORT_ADMIN_LISTEN=8081",
                                 "GHATRACE_SERVICE_PORT_A_SERVICE_PORT_B=1",
                                 "GHATRACE_PORT_53_UDP=udp://10.96.12.7:53",
                                 "GHATRACE_PORT_53_UDP_PROTO=udp",
                                 "GHATRACE_PORT_7_SCTP=sctp://10.96.12.7:7",
                                 NULL};
    const char *const v6[] = {"GHATRACE_SERVICE_HOST=fd00:10:96::7",
                              "GHATRACE_PORT=tcp://[fd00:10:96::7]:8080",
                              "GHATRACE_PORT_8080_TCP=tcp://[fd00:10:96::7]:8080",
                              "GHATRACE_PORT_8080_TCP_ADDR=fd00:10:96::7", NULL};
    assert_skips(plain);
    assert_skips(named);
    assert_skips(v6);
}

static void services_whose_names_begin_with_ours_are_skipped(void **state)
{
    (void)state;
    static const char *const services[] = {
        "GHATRACE_ADMIN", "GHATRACE_SERVICE", "GHATRACE_PORT",         "GHATRACE_LISTEN",
        "GHATRACE_DB",    "GHATRACE_1",       "GHATRACE_SERVICE_PORT", "GHATRACE_SERVICE_HOST",
        "GHATRACE_ENV_X", "GHATRACE_NAME",
    };
    static const char *const forms[] = {
        "_SERVICE_HOST=10.0.0.1",      "_SERVICE_PORT=443",
        "_SERVICE_PORT_HTTPS=443",     "_PORT=tcp://10.0.0.1:443",
        "_PORT_443_TCP_PROTO=tcp",     "_PORT_443_TCP=tcp://10.0.0.1:443",
        "_PORT_443_TCP_ADDR=10.0.0.1", "_PORT_443_TCP_PORT=443",
    };
    for (size_t i = 0; i < sizeof services / sizeof services[0]; i++) {
        for (size_t k = 0; k < sizeof forms / sizeof forms[0]; k++) {
            char entry[128];
            (void)snprintf(entry, sizeof entry, "%s%s", services[i], forms[k]);
            const char *const entries[] = {entry, NULL};
            assert_skips(entries);
        }
    }
}

static void variables_of_a_docker_link_to_our_name_are_skipped(void **state)
{
    (void)state;
    const char *const link[] = {"GHATRACE_NAME=/web/ghatrace",
                                "GHATRACE_PORT=tcp://172.17.0.5:8080",
                                "GHATRACE_PORT_8080_TCP_START=tcp://172.17.0.5:8080",
                                "GHATRACE_PORT_8080_TCP_END=tcp://172.17.0.5:8082",
                                "GHATRACE_PORT_8080_TCP_PORT_START=8080",
                                "GHATRACE_PORT_8080_TCP_PORT_END=8082",
                                "GHATRACE_PORT_8080_TCP_PROTO=tcp",
                                "GHATRACE_ENV_GHATRACE_DB=/var/lib/ghatrace",
                                "GHATRACE_ENV_LANG=C",
                                NULL};
    // The last name is also that of our setting service-name; the value decides which it is.
    const char *const meets[] = {"GHATRACE_SERVICE_NAME=/web/ghatrace-service",
                                 "GHATRACE_SERVICE_ENV_DB=x", NULL};
    assert_skips(link);
    assert_skips(meets);
}

static void names_too_long_for_a_setting_are_skipped_too(void **state)
{
    (void)state;
    const char *const link[] = {
        "GHATRACE_NAME=/web/ghatrace",
        "GHATRACE_ENV_"
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"
        "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=1",
        NULL};
    assert_skips(link);
}

static void variables_of_a_similar_form_are_unknown_settings(void **state)
{
    (void)state;
    static const char *const entries[] = {
        "GHATRACE_PORT=8080", // intended as `listen`
        "GHATRACE_PORT=http://10.0.0.1:8080",
        "GHATRACE_PORT=tcp://ghatrace:8080",
        "GHATRACE_PORT=tcp://10.0.0.1",
        "GHATRACE_PORT=tcp://10.0.0.1:0",
        "GHATRACE_PORT=tcp://[10.0.0.1:80",
        "GHATRACE_LISTEN_PORT=8080",
        "GHATRACE_SERVICE_HOST=example.org",
        "GHATRACE_SERVICE_HOST=0.0.0.0:80",
        "GHATRACE_SERVICE_PORT=http",
        "GHATRACE_SERVICE_PORT=65536",
        "GHATRACE_SERVICE_PORT=-1",
        "GHATRACE_SERVICE_PORT_=80",
        "GHATRACE_SERVICE_PORTS=80",
        "GHATRACE_PORT_8080=tcp://10.0.0.1:8080",
        "GHATRACE_PORT_8080_HTTP=tcp://10.0.0.1:8080",
        "GHATRACE_PORT_X_TCP=tcp://10.0.0.1:8080",
        "GHATRACE_PORT_8080_TCP_ADDR=ghatrace",
        "GHATRACE_PORT_8080_TCP_PROTO=http",
        "GHATRACE_PORT_8080_TCP_PORTS=80",
        "GHATRACE_NAME=ghatrace",
        "GHATRACE_NAME=/ghatrace",
        "GHATRACE_NAME=/web/other",
        "GHATRACE_ENV_DB=x", // there is no such link
        "GHATRACE__SERVICE_HOSTS=10.0.0.1",
        "GHATRACE_HOST=10.0.0.1",
    };
    for (size_t i = 0; i < sizeof entries / sizeof entries[0]; i++) {
        const char *const environment[] = {entries[i], NULL};
        char message[MESSAGE_SIZE];
        if (skips(environment, message) || strstr(message, "unknown setting") == NULL)
            fail_msg("%s is passed over, or: %s", entries[i], message);
    }
}

static void services_with_similar_names_are_recognized(void **state)
{
    (void)state;
    char *none[] = {NULL};
    static const char *const entries[] = {
        "GHATRACESERVICE_SERVICE_HOST=10.0.0.1",
        "XGHATRACE_PORT=tcp://10.0.0.1:80",
        "GHATRACE",
        "GHATRACE=",
        "_PORT=tcp://10.0.0.1:80",
        "=",
        "",
    };
    for (size_t i = 0; i < sizeof entries / sizeof entries[0]; i++)
        assert_false(variable_is_injected(entries[i], none));
}

// No valid value makes a setting be skipped.
static void no_setting_is_mistaken_for_a_service(void **state)
{
    (void)state;
    static const char *const values[] = {"8080", "10.0.0.1", "tcp://10.0.0.1:80",
                                         "tcp",  "/a/b",     "on"};
    char *none[] = {NULL};
    for (size_t i = 0; i < OPTIONS_COUNT; i++) {
        for (size_t k = 0; k < sizeof values / sizeof values[0]; k++) {
            char entry[128];
            (void)snprintf(entry, sizeof entry, "GHATRACE_%s=%s", options[i].name, values[k]);
            for (char *c = entry; *c != '='; c++)
                *c = (char)(*c == '-' ? '_' : *c >= 'a' && *c <= 'z' ? *c - 'a' + 'A' : *c);
            assert_false(variable_is_injected(entry, none));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(variables_of_a_kubernetes_service_of_our_name_are_skipped),
        cmocka_unit_test(services_whose_names_begin_with_ours_are_skipped),
        cmocka_unit_test(variables_of_a_docker_link_to_our_name_are_skipped),
        cmocka_unit_test(names_too_long_for_a_setting_are_skipped_too),
        cmocka_unit_test(variables_of_a_similar_form_are_unknown_settings),
        cmocka_unit_test(services_with_similar_names_are_recognized),
        cmocka_unit_test(no_setting_is_mistaken_for_a_service),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
