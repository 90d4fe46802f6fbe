// Notifications of the service manager: its variables, the datagrams, and when its watchdog is fed.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "../../../src/app/systemd.h"
#include "../../../src/app/watchdog.h"
#include "support/temp_folder.h"

#define OWN_PID 4711

static enum error_code parse(const struct notify_variables *variables, struct notify *notify,
                             struct error *error)
{
    return notify_parse(variables, OWN_PID, notify, error);
}

// --- variables -----------------------------------------------------------------------------------

static void without_a_socket_everything_is_off(void **state)
{
    (void)state;
    struct notify notify;
    struct error error;
    const struct notify_variables variables = {.watchdog_usec = "60000000", .watchdog_pid = "4711"};
    assert_int_equal(parse(&variables, &notify, &error), ERROR_NONE);
    assert_int_equal(notify.address_len, 0);
    assert_int_equal(notify.watchdog, 0);
    assert_int_equal(notify_send(&notify, NOTIFY_READY, true, &error), ERROR_NONE);
}

static void the_watchdog_is_on_only_for_this_process(void **state)
{
    (void)state;
    static const struct {
        const char *usec, *pid;
        duration_ns watchdog;
    } cases[] = {
        {"60000000", "4711", 60 * NS_PER_SECOND},
        {"60000000", NULL, 60 * NS_PER_SECOND},
        {"60000000", "4712", 0},
        {NULL, "4711", 0},
        {"1", "4711", 1000},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct notify notify;
        struct error error;
        const struct notify_variables variables = {
            .socket = "/run/x", .watchdog_usec = cases[i].usec, .watchdog_pid = cases[i].pid};
        assert_int_equal(parse(&variables, &notify, &error), ERROR_NONE);
        assert_int_equal(notify.watchdog, cases[i].watchdog);
        assert_int_not_equal(notify.address_len, 0);
    }
}

static void an_address_is_a_path_or_an_abstract_name(void **state)
{
    (void)state;
    struct notify notify;
    struct error error;
    struct notify_variables variables = {.socket = "/run/x"};
    const size_t start = offsetof(struct sockaddr_un, sun_path);
    assert_int_equal(parse(&variables, &notify, &error), ERROR_NONE);
    assert_int_equal(notify.address_len, start + sizeof "/run/x");
    assert_string_equal(notify.address.sun_path, "/run/x");
    variables.socket = "@x/y";
    assert_int_equal(parse(&variables, &notify, &error), ERROR_NONE);
    assert_int_equal(notify.address_len, start + strlen("@x/y"));
    assert_memory_equal(notify.address.sun_path, "\0x/y", 4);
}

static void invalid_variables_are_refused_and_turn_it_off(void **state)
{
    (void)state;
    char longest[sizeof((struct sockaddr_un *)0)->sun_path + 1];
    memset(longest, 'x', sizeof longest);
    longest[0] = '/';
    longest[sizeof longest - 1] = '\0';
    const struct {
        struct notify_variables variables;
        const char *words;
        bool is_socket_wrong;
    } cases[] = {
        {{.socket = "run/x"}, "neither a path nor an abstract socket", true},
        {{.socket = "vsock:2:1234"}, "neither a path nor an abstract socket", true},
        {{.socket = "/"}, "neither a path nor an abstract socket", true},
        {{.socket = "@"}, "neither a path nor an abstract socket", true},
        {{.socket = longest}, "longer than 107 characters", true},
        {{.socket = "/x", .watchdog_usec = "0"}, "WATCHDOG_USEC", false},
        {{.socket = "/x", .watchdog_usec = "-1"}, "WATCHDOG_USEC", false},
        {{.socket = "/x", .watchdog_usec = "60s"}, "WATCHDOG_USEC", false},
        {{.socket = "/x", .watchdog_usec = "9223372036854775807"}, "WATCHDOG_USEC", false},
        {{.socket = "/x", .watchdog_usec = "18446744073709551615"}, "WATCHDOG_USEC", false},
        {{.socket = "/x", .watchdog_usec = "1", .watchdog_pid = "x"}, "WATCHDOG_PID", false},
        {{.socket = "/x", .watchdog_usec = "1", .watchdog_pid = "-2"}, "WATCHDOG_PID", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct notify notify;
        struct error error;
        assert_int_equal(parse(&cases[i].variables, &notify, &error), ERROR_USAGE);
        assert_non_null(strstr(error.message, cases[i].words));
        assert_int_equal(notify.watchdog, 0);
        assert_int_equal(notify.address_len == 0, cases[i].is_socket_wrong);
    }
}

// --- datagrams -----------------------------------------------------------------------------------

struct manager {
    struct temp_folder folder;
    struct notify notify;
    int fd;
};

static void manager_init(struct manager *manager)
{
    char path[TEMP_FOLDER_PATH_SIZE];
    struct error error;
    assert_true(temp_folder_create(&manager->folder));
    assert_true(temp_folder_path(&manager->folder, "notify", path));
    const struct notify_variables variables = {.socket = path};
    assert_int_equal(parse(&variables, &manager->notify, &error), ERROR_NONE);
    manager->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    assert_true(manager->fd >= 0);
    assert_int_equal(bind(manager->fd, (const struct sockaddr *)&manager->notify.address,
                          manager->notify.address_len),
                     0);
}

static void manager_release(struct manager *manager)
{
    close(manager->fd);
    assert_true(temp_folder_remove(&manager->folder));
}

static const char *receive(const struct manager *manager, char text[128])
{
    ssize_t len = recv(manager->fd, text, 127, MSG_DONTWAIT);
    assert_true(len > 0);
    text[len] = '\0';
    return text;
}

static void each_state_is_one_datagram(void **state)
{
    (void)state;
    struct manager manager;
    struct error error;
    char text[128];
    long long usec;
    manager_init(&manager);
    assert_int_equal(notify_send(&manager.notify, NOTIFY_READY, true, &error), ERROR_NONE);
    assert_string_equal(receive(&manager, text), "READY=1");
    assert_int_equal(notify_send(&manager.notify, NOTIFY_STOPPING, true, &error), ERROR_NONE);
    assert_string_equal(receive(&manager, text), "STOPPING=1");
    assert_int_equal(notify_send(&manager.notify, NOTIFY_WATCHDOG, true, &error), ERROR_NONE);
    assert_string_equal(receive(&manager, text), "WATCHDOG=1");
    long long before = timestamp_monotonic() / 1000;
    assert_int_equal(notify_send(&manager.notify, NOTIFY_RELOADING, true, &error), ERROR_NONE);
    assert_int_equal(sscanf(receive(&manager, text), "RELOADING=1\nMONOTONIC_USEC=%lld", &usec), 1);
    assert_in_range(usec, before, timestamp_monotonic() / 1000);
    manager_release(&manager);
}

static void a_missing_socket_is_an_error(void **state)
{
    (void)state;
    struct notify notify;
    struct error error;
    const struct notify_variables variables = {.socket = "/nowhere/notify"};
    assert_int_equal(parse(&variables, &notify, &error), ERROR_NONE);
    assert_int_equal(notify_send(&notify, NOTIFY_READY, true, &error), ERROR_IO);
    assert_non_null(strstr(error.message, "No such file"));
}

// --- the watchdog --------------------------------------------------------------------------------

static void the_watchdog_is_fed_while_every_thread_makes_progress(void **state)
{
    (void)state;
    struct watchdog watchdog = {.beats = {0}};
    struct heartbeat threads[] = {
        {.thread = "a", .beats = 1}, {.thread = "b", .beats = 7}, {.thread = "c", .beats = 1}};
    assert_null(watchdog_find_stuck(&watchdog, threads, 3));
    for (size_t i = 0; i < 3; i++)
        threads[i].beats++;
    assert_null(watchdog_find_stuck(&watchdog, threads, 3));
}

static void a_thread_that_has_never_made_progress_is_stuck(void **state)
{
    (void)state;
    struct watchdog watchdog = {.beats = {0}};
    const struct heartbeat threads[] = {{.thread = "a", .beats = 1}, {.thread = "b"}};
    assert_string_equal(watchdog_find_stuck(&watchdog, threads, 2), "b");
}

static void a_thread_without_progress_is_named_until_it_makes_some(void **state)
{
    (void)state;
    struct watchdog watchdog = {.beats = {0}};
    struct heartbeat threads[] = {{.thread = "a", .beats = 1}, {.thread = "b", .beats = 1}};
    assert_null(watchdog_find_stuck(&watchdog, threads, 2));
    threads[0].beats = 2;
    assert_string_equal(watchdog_find_stuck(&watchdog, threads, 2), "b");
    threads[0].beats = 3;
    assert_string_equal(watchdog_find_stuck(&watchdog, threads, 2), "b");
    threads[1].beats =
        2; // the other one has made progress since the last feed, though not since the last check
    assert_null(watchdog_find_stuck(&watchdog, threads, 2));
    assert_string_equal(watchdog_find_stuck(&watchdog, threads, 2), "a");
}

static void a_thread_that_commits_does_not_count_as_stuck(void **state)
{
    (void)state;
    struct watchdog watchdog = {.beats = {0}};
    struct heartbeat threads[] = {{.thread = "a", .beats = 1}, {.thread = "b", .beats = 1}};
    assert_null(watchdog_find_stuck(&watchdog, threads, 2));
    threads[0].is_committing = true;
    threads[1].beats = 2;
    assert_null(watchdog_find_stuck(&watchdog, threads, 2));
    threads[1].beats = 3;
    assert_null(watchdog_find_stuck(&watchdog, threads, 2));
    threads[0].is_committing = false;
    threads[1].beats = 4;
    assert_string_equal(watchdog_find_stuck(&watchdog, threads, 2), "a");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(without_a_socket_everything_is_off),
        cmocka_unit_test(the_watchdog_is_on_only_for_this_process),
        cmocka_unit_test(an_address_is_a_path_or_an_abstract_name),
        cmocka_unit_test(invalid_variables_are_refused_and_turn_it_off),
        cmocka_unit_test(each_state_is_one_datagram),
        cmocka_unit_test(a_missing_socket_is_an_error),
        cmocka_unit_test(the_watchdog_is_fed_while_every_thread_makes_progress),
        cmocka_unit_test(a_thread_that_has_never_made_progress_is_stuck),
        cmocka_unit_test(a_thread_without_progress_is_named_until_it_makes_some),
        cmocka_unit_test(a_thread_that_commits_does_not_count_as_stuck),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
