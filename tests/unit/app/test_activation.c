// The service manager's variables: how they are read, and which are refused.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "../../../src/app/systemd.h"
#include "configuring.h"

#define OWN_PID 4711

struct parsed {
    struct activation activation;
    enum error_code code;
    struct error error;
};

static struct parsed parse(const char *fds, const char *names)
{
    struct parsed parsed = {.error = {.code = ERROR_NONE}};

    const struct activation_variables variables = {.pid = "4711", .fds = fds, .names = names};
    parsed.code = activation_parse(&variables, OWN_PID, &parsed.activation, &parsed.error);
    return parsed;
}

static void expect_sockets(const char *fds, const char *names, int webhook, int admin)
{
    struct parsed parsed = parse(fds, names);

    if (parsed.code != ERROR_NONE)
        fail_msg("%s %s: %s", fds, names != NULL ? names : "(no names)", parsed.error.message);
    assert_int_equal(parsed.activation.sockets[ACTIVATION_WEBHOOK], webhook);
    assert_int_equal(parsed.activation.sockets[ACTIVATION_ADMIN], admin);
    assert_int_equal(parsed.activation.other_pid, 0);
}

static void expect_refusal(const char *fds, const char *names, const char *words)
{
    struct parsed parsed = parse(fds, names);

    assert_int_equal(parsed.code, ERROR_USAGE);
    if (strstr(parsed.error.message, words) == NULL)
        fail_msg("%s %s: \"%s\" does not say \"%s\"", fds, names, parsed.error.message, words);
}

static void sockets_are_found_by_their_names_in_any_order(void **state)
{
    (void)state;
    expect_sockets("1", "webhook", 3, 0);
    expect_sockets("1", "admin", 0, 3);
    expect_sockets("2", "webhook:admin", 3, 4);
    expect_sockets("2", "admin:webhook", 4, 3);
}

static void a_single_socket_without_a_name_is_the_webhooks(void **state)
{
    (void)state;
    expect_sockets("1", NULL, 3, 0);
    expect_sockets("1", "", 3, 0);
    expect_sockets("1", "unknown", 3, 0);
    expect_sockets("1", "ghatrace.socket", 3, 0);
    expect_sockets("2", "admin:hooks.socket", 4, 3);
    expect_sockets("2", ":admin", 3, 4);
}

static void without_variables_or_for_another_process_no_socket_is_passed(void **state)
{
    const struct {
        const char *pid, *fds;
        long other;
    } cases[] = {
        {NULL, NULL, 0},  {NULL, "1", 0},      {"4711", NULL, 0},
        {"4711", "0", 0}, {"4712", "1", 4712}, {"4712", "rubbish", 4712}, // not ours to read
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct activation activation;
        struct error error;
        const struct activation_variables variables = {
            .pid = cases[i].pid, .fds = cases[i].fds, .names = "webhook"};
        assert_int_equal(activation_parse(&variables, OWN_PID, &activation, &error), ERROR_NONE);
        assert_int_equal(activation.sockets[ACTIVATION_WEBHOOK], 0);
        assert_int_equal(activation.sockets[ACTIVATION_ADMIN], 0);
        assert_int_equal(activation.other_pid, cases[i].other);
    }
}

static void ambiguous_variables_are_refused_with_a_message(void **state)
{
    const char *pids[] = {"", "x", "-1", "0", "4711 ", "99999999999999999999"};

    (void)state;
    expect_refusal("2", "webhook:webhook", "both for \"webhook\"");
    expect_refusal("2", "webhook:unknown", "both for \"webhook\"");
    expect_refusal("2", NULL, "have no names");
    expect_refusal("3", "a.socket:b.socket:admin", "have no names");
    expect_refusal("1", "webhok", "named \"webhok\"");
    expect_refusal("1", "Webhook", "named \"Webhook\"");
    expect_refusal("2", "webhook:otlp", "does not receive OTLP");
    expect_refusal("2", "webhook", "does not name the 2 sockets");
    expect_refusal("1", "webhook:admin", "does not name the 1 sockets");
    expect_refusal("-1", "webhook", "not a number from 0");
    expect_refusal("65", NULL, "not a number from 0");
    expect_refusal("1x", "webhook", "not a number from 0");
    for (size_t i = 0; i < sizeof pids / sizeof pids[0]; i++) {
        struct activation activation;
        struct error error;
        const struct activation_variables variables = {.pid = pids[i], .fds = "1"};
        assert_int_equal(activation_parse(&variables, OWN_PID, &activation, &error), ERROR_USAGE);
        assert_non_null(strstr(error.message, "not a process ID"));
    }
}

// --- with real sockets ---------------------------------------------------------------------------

static int new_listener(int family)
{
    struct sockaddr_storage address = {.ss_family = (sa_family_t)family};
    int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0);
    if (family == AF_INET)
        ((struct sockaddr_in *)&address)->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (family != AF_UNIX)
        assert_int_equal(
            bind(fd, (struct sockaddr *)&address,
                 family == AF_INET ? sizeof(struct sockaddr_in) : sizeof(struct sockaddr_in6)),
            0);
    else // an abstract name of the system's choice
        assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(sa_family_t)), 0);
    assert_int_equal(listen(fd, 5), 0);
    return fd;
}

// A configuration with these sockets at 3 and 4. Returns whether it was accepted; `message` receives the error, or
// the warnings.
static bool configure_with(int webhook, int admin, const char *names, const char *listen,
                           const char *admin_listen, char message[1024])
{
    struct configuring c;
    char pid[64], fds[64], all_names[64];

    webhook = fcntl(webhook, F_DUPFD, 10);
    admin = admin >= 0 ? fcntl(admin, F_DUPFD, 10) : -1;
    assert_int_equal(dup2(webhook, 3), 3);
    if (admin >= 0)
        assert_int_equal(dup2(admin, 4), 4);
    snprintf(pid, sizeof pid, "LISTEN_PID=%ld", (long)getpid());
    snprintf(fds, sizeof fds, "LISTEN_FDS=%d", admin >= 0 ? 2 : 1);
    snprintf(all_names, sizeof all_names, "LISTEN_FDNAMES=%s", names);
    configuring_init(&c);
    configuring_variable(&c, "GITHUB_WEBHOOK_SECRET=secret");
    configuring_variable(&c, pid);
    configuring_variable(&c, fds);
    configuring_variable(&c, all_names);
    if (listen != NULL)
        configuring_flag(&c, "listen", listen);
    if (admin_listen != NULL)
        configuring_flag(&c, "admin-listen", admin_listen);
    bool is_taken = configuring_build(&c, &options_all) == ERROR_NONE;
    message[0] = '\0';
    if (!is_taken)
        snprintf(message, 1024, "%s", c.error.message);
    for (size_t i = 0; is_taken && i < c.config.warnings.count; i++)
        snprintf(message + strlen(message), 1024 - strlen(message), "%s\n",
                 c.config.warnings.items[i]);
    configuring_release(&c);
    close(webhook);
    if (admin >= 0)
        close(admin);
    return is_taken;
}

static void expect_words(const char *text, const char *words)
{
    if (strstr(text, words) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", text, words);
}

static void only_listening_tcp_sockets_are_accepted(void **state)
{
    char message[1024];
    int listener = new_listener(AF_INET), unix_socket = new_listener(AF_UNIX);
    int unbound = socket(AF_INET, SOCK_STREAM, 0), datagrams = socket(AF_INET, SOCK_DGRAM, 0);
    int file = open("/dev/null", O_RDONLY);

    (void)state;
    assert_true(configure_with(listener, -1, "webhook", NULL, NULL, message));
    assert_string_equal(message, "");
    assert_false(configure_with(unix_socket, -1, "webhook", NULL, NULL, message));
    expect_words(message, "unix socket");
    assert_false(configure_with(unbound, -1, "webhook", NULL, NULL, message));
    expect_words(message, "does not listen");
    assert_false(configure_with(datagrams, -1, "webhook", NULL, NULL, message));
    expect_words(message, "not a TCP socket");
    assert_false(configure_with(file, -1, "webhook", NULL, NULL, message));
    expect_words(message, "not a socket");
    assert_false(configure_with(listener, unbound, "webhook:admin", NULL, NULL, message));
    expect_words(message, "admin");
}

static void a_setting_that_differs_from_the_socket_is_named_in_a_warning(void **state)
{
    struct sockaddr_in address;
    socklen_t len = sizeof address;
    char same[64], message[1024];
    int listener = new_listener(AF_INET), other = new_listener(AF_INET);

    (void)state;
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &len), 0);
    snprintf(same, sizeof same, "127.0.0.1:%d", ntohs(address.sin_port));
    assert_true(configure_with(listener, -1, "webhook", same, NULL, message));
    assert_string_equal(message, "");
    assert_true(
        configure_with(listener, other, "webhook:admin", "127.0.0.1:1", "127.0.0.1:2", message));
    expect_words(message, "--listen: 127.0.0.1:1 is not used");
    expect_words(message, same);
    expect_words(message, "--admin-listen: 127.0.0.1:2 is not used");
}

static void warnings_depend_on_the_sockets_address(void **state)
{
    char message[1024];
    int local = new_listener(AF_INET), everywhere = new_listener(AF_INET6);

    (void)state;
    assert_true(configure_with(everywhere, everywhere, "webhook:admin", NULL, NULL, message));
    expect_words(message, "listen [::]:");
    expect_words(message, "plain HTTP on an address that others can reach");
    expect_words(message, "only /health and /ready are served");
    assert_true(configure_with(local, -1, "webhook", "0.0.0.0:80", NULL, message));
    assert_null(strstr(message, "plain HTTP"));
}

static void a_socket_for_an_admin_listener_that_is_off_is_refused(void **state)
{
    char message[1024];
    int listener = new_listener(AF_INET), other = new_listener(AF_INET);

    (void)state;
    assert_false(configure_with(listener, other, "webhook:admin", NULL, "off", message));
    expect_words(message, "off, but the service manager passed");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sockets_are_found_by_their_names_in_any_order),
        cmocka_unit_test(a_single_socket_without_a_name_is_the_webhooks),
        cmocka_unit_test(without_variables_or_for_another_process_no_socket_is_passed),
        cmocka_unit_test(ambiguous_variables_are_refused_with_a_message),
        cmocka_unit_test(only_listening_tcp_sockets_are_accepted),
        cmocka_unit_test(a_setting_that_differs_from_the_socket_is_named_in_a_warning),
        cmocka_unit_test(warnings_depend_on_the_sockets_address),
        cmocka_unit_test(a_socket_for_an_admin_listener_that_is_off_is_refused),
    };
    // Descriptors that the test runner left open there would be mistaken for sockets.
    (void)dup2(open("/dev/null", O_RDONLY), 3);
    (void)dup2(3, 4);
    return cmocka_run_group_tests_name("app/activation", tests, NULL, NULL);
}
