// Look-ups, in namespaces of their own: a resolver that does not answer blocks nothing, deadlines hold, and there are never
// more than four; all addresses of a name are tried, in time.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../export/fake_collector.h"
#include "ghatrace/client/http_client.h"

#define REQUESTS 10
#define TICK (5 * NS_PER_MS)
#define TIMEOUT (300 * NS_PER_MS)
// A blocked loop would be late by the resolver's time-outs, which are seconds.
#define LATE_MAX (200 * NS_PER_MS)
#define EXIT_CANNOT 77

static void write_file(const char *path, const char *text)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (fd < 0 || write(fd, text, strlen(text)) != (ssize_t)strlen(text))
        _exit(EXIT_CANNOT);
    close(fd);
}

static void replace_file(const char *path, const char *text)
{
    char copy[] = "/tmp/ghatrace-lookups-XXXXXX";
    int fd = mkstemp(copy);
    if (fd < 0)
        _exit(EXIT_CANNOT);
    close(fd);
    write_file(copy, text);
    bool is_mounted = mount(copy, path, NULL, MS_BIND, NULL) == 0;
    unlink(copy);
    if (!is_mounted)
        _exit(EXIT_CANNOT);
}

// A socket that takes questions at 127.0.0.1:53 and never answers, in namespaces of this process alone.
static void make_resolver_silent(void)
{
    if (unshare(CLONE_NEWNS | CLONE_NEWNET | (geteuid() == 0 ? 0 : CLONE_NEWUSER)) != 0)
        _exit(EXIT_CANNOT);
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
        _exit(EXIT_CANNOT);
    replace_file("/etc/resolv.conf", "nameserver 127.0.0.1\n");
    replace_file("/etc/nsswitch.conf", "hosts: files dns\n");
    struct ifreq loopback = {.ifr_flags = IFF_UP};
    memcpy(loopback.ifr_name, "lo", 3);
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(53), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    if (ioctl(fd, SIOCSIFFLAGS, &loopback) != 0 ||
        bind(fd, (struct sockaddr *)&address, sizeof address) != 0)
        _exit(EXIT_CANNOT);
}

struct world {
    struct net_loop *loop;
    struct http_client *client;
    struct net_timer *ticker;
    timestamp_ns ticked_at;
    duration_ns late_max;
    size_t threads_before, threads_max;
    size_t calls, timeouts;
    const char *reason; // of the time-outs
    char proxy[64];     // empty: none
};

static size_t count_threads(void)
{
    size_t count = 0;
    DIR *folder = opendir("/proc/self/task");
    while (folder != NULL && readdir(folder) != NULL)
        count++;
    if (folder != NULL)
        closedir(folder);
    return count > 2 ? count - 2 : 0; // "." and ".."
}

static void *end_at_once(void *context)
{
    return context;
}

// The thread sanitizer starts threads of its own with the first one that is made.
static size_t count_own_threads(void)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, end_at_once, NULL) != 0 || pthread_join(thread, NULL) != 0)
        _exit(EXIT_CANNOT);
    return count_threads();
}

static void on_tick(void *context)
{
    struct world *world = context;
    timestamp_ns now = timestamp_monotonic();
    duration_ns late = now - world->ticked_at - TICK;
    if (late > world->late_max)
        world->late_max = late;
    size_t threads = count_threads();
    if (threads > world->threads_max)
        world->threads_max = threads;
    world->ticked_at = now;
    net_timer_set(world->ticker, TICK);
}

static void on_done(void *context, const struct http_client_response *response)
{
    struct world *world = context;
    bool is_right = response->error.code == ERROR_TIMEOUT &&
                    strstr(response->error.message, world->reason) != NULL;
    world->timeouts += is_right;
    if (!is_right)
        fprintf(stderr, "status %d: %s\n", response->status, response->error.message);
    if (++world->calls % REQUESTS == 0)
        net_loop_stop(world->loop);
}

static bool start(struct world *world)
{
    const struct http_client_options options = {.lookup_linger = 500 * NS_PER_MS};
    struct error error;
    *world = (struct world){.reason = "no address for collector.invalid"};
    return net_loop_create(&world->loop, &error) == ERROR_NONE &&
           net_timer_create(world->loop, on_tick, world, &world->ticker, &error) == ERROR_NONE &&
           http_client_create(world->loop, &options, &world->client, &error) == ERROR_NONE;
}

static void ask(struct world *world)
{
    const struct http_client_request request = {.url = "http://collector.invalid/",
                                                .timeout = TIMEOUT,
                                                .proxy =
                                                    world->proxy[0] != '\0' ? world->proxy : NULL};
    struct http_client_transfer *transfer;
    for (int i = 0; i < REQUESTS; i++)
        if (http_client_send(world->client, &request, on_done, world, &transfer) != ERROR_NONE)
            _exit(1);
    net_loop_run(world->loop);
}

#define EXPECT(condition)                                                                          \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "not so: %s (late %lld ms, %zu threads, %zu calls, %zu timeouts)\n",   \
                    #condition, (long long)(world.late_max / NS_PER_MS), world.threads_max,        \
                    world.calls, world.timeouts);                                                  \
            _exit(1);                                                                              \
        }                                                                                          \
    } while (0)

static void run_with_silent_resolver(void)
{
    static struct world world;
    make_resolver_silent();
    EXPECT(start(&world));
    timestamp_ns started = timestamp_monotonic();
    world.ticked_at = started;
    world.threads_before = count_own_threads();
    net_timer_set(world.ticker, TICK);
    ask(&world);
    duration_ns took = timestamp_monotonic() - started;
    EXPECT(world.calls == REQUESTS && world.timeouts == REQUESTS);
    EXPECT(took > TIMEOUT / 2 && took < TIMEOUT + LATE_MAX);
    EXPECT(world.late_max < LATE_MAX);
    EXPECT(world.threads_max == world.threads_before + HTTP_CLIENT_LOOKUPS_MAX);
    // Those that were given up still count.
    ask(&world);
    EXPECT(world.calls == 2 * REQUESTS && world.timeouts == 2 * REQUESTS);
    EXPECT(world.late_max < LATE_MAX);
    started = timestamp_monotonic();
    http_client_destroy(world.client);
    EXPECT(timestamp_monotonic() - started < LATE_MAX);
    net_timer_destroy(world.ticker);
    net_loop_destroy(world.loop);
    _exit(0);
}

// RFC 1928 3: to each client that no authentication is needed. Its request is not answered.
static void *greet_as_socks_proxy(void *context)
{
    static const char no_authentication[2] = {5, 0};
    const int *listener = context;
    char greeting[16];
    for (int fd; (fd = accept(*listener, NULL, NULL)) >= 0;)
        if (recv(fd, greeting, sizeof greeting, 0) > 0)
            (void)send(fd, no_authentication, sizeof no_authentication, MSG_NOSIGNAL);
    return NULL;
}

static void start_socks_proxy(struct world *world)
{
    static int listener;
    pthread_t thread;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof address;
    listener = socket(AF_INET, SOCK_STREAM, 0);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) != 0 ||
        listen(listener, 64) != 0 ||
        getsockname(listener, (struct sockaddr *)&address, &len) != 0 ||
        pthread_create(&thread, NULL, greet_as_socks_proxy, &listener) != 0)
        _exit(EXIT_CANNOT);
    snprintf(world->proxy, sizeof world->proxy, "socks5://127.0.0.1:%u", ntohs(address.sin_port));
}

// With socks5:// the client looks the name up, and only after it has connected to the proxy.
static void run_behind_socks_proxy(void)
{
    static struct world world;
    make_resolver_silent();
    EXPECT(start(&world));
    start_socks_proxy(&world);
    world.reason = "no connection to collector.invalid";
    world.ticked_at = timestamp_monotonic();
    world.threads_before = count_own_threads();
    net_timer_set(world.ticker, TICK);
    ask(&world);
    EXPECT(world.calls == REQUESTS && world.timeouts == REQUESTS);
    EXPECT(world.threads_max > world.threads_before);
    EXPECT(world.threads_max <= world.threads_before + HTTP_CLIENT_LOOKUPS_MAX);
    _exit(0);
}

static struct reply reply_to_all(struct collector *server, const struct collector_request *request)
{
    (void)server;
    (void)request;
    return (struct reply){.bytes = OK_ANSWER};
}

static void on_found(void *context, const struct http_client_response *response)
{
    struct world *world = context;
    if (response->status != 200)
        fprintf(stderr, "status %d: %s\n", response->status, response->error.message);
    world->calls += response->status == 200;
    net_loop_stop(world->loop);
}

// Of the four addresses of the name, the last is served. libcurl tries them in this order: the C library puts 127.0.0.1 first
// and leaves the rest as it is.
#define HOSTS "127.0.0.1 four.test\n127.0.0.2 four.test\n127.0.0.3 four.test\n127.0.0.4 four.test\n"
#define LIVE_ADDRESS (INADDR_LOOPBACK + 3)

static void start_at_last_address(struct world *world, struct collector *server)
{
    make_resolver_silent();
    replace_file("/etc/hosts", HOSTS);
    collector_start_at(server, reply_to_all, LIVE_ADDRESS);
    if (!start(world))
        _exit(1);
}

// `count` times, on a new connection each. Returns how long the slowest took.
static duration_ns send_to_name(struct world *world, const struct collector *server,
                                duration_ns timeout, int count)
{
    char url[64];
    duration_ns slowest = 0;
    snprintf(url, sizeof url, "http://four.test:%u/", server->port);
    const struct http_client_request request = {.url = url, .timeout = timeout};
    struct http_client_transfer *transfer;
    for (int i = 0; i < count; i++) {
        timestamp_ns sent = timestamp_monotonic();
        if (http_client_send(world->client, &request, on_found, world, &transfer) != ERROR_NONE)
            _exit(1);
        net_loop_run(world->loop);
        duration_ns took = timestamp_monotonic() - sent;
        slowest = took > slowest ? took : slowest;
        http_client_renew(world->client, HTTP_CLIENT_RENEW_ALWAYS);
    }
    return slowest;
}

static void end_with(struct world *world, struct collector *server)
{
    http_client_destroy(world->client);
    net_timer_destroy(world->ticker);
    net_loop_destroy(world->loop);
    collector_stop(server);
    _exit(0);
}

static void run_with_dead_addresses(void)
{
    static struct world world;
    static struct collector server;
    start_at_last_address(&world, &server);
    duration_ns slowest = send_to_name(&world, &server, 4 * NS_PER_SECOND, 3);
    EXPECT(world.calls == 3);
    EXPECT(slowest < NS_PER_SECOND / 2);
    end_with(&world, &server);
}

// Connections to it are neither accepted nor refused: the queue of its listener is full.
static void drop_all_at(in_addr_t host, unsigned port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(host), .sin_port = htons((in_port_t)port)};
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) != 0 ||
        listen(listener, 0) != 0)
        _exit(EXIT_CANNOT);
    for (int i = 0; i < 16; i++) {
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        struct pollfd wait = {.fd = fd, .events = POLLOUT};
        (void)connect(fd, (struct sockaddr *)&address, sizeof address);
        if (poll(&wait, 1, 50) == 0)
            return;
    }
    _exit(EXIT_CANNOT);
}

static void run_with_silent_address(void)
{
    static struct world world;
    static struct collector server;
    start_at_last_address(&world, &server);
    drop_all_at(INADDR_LOOPBACK + 1, server.port);
    (void)send_to_name(&world, &server, NS_PER_SECOND, 2);
    EXPECT(world.calls == 2);
    end_with(&world, &server);
}

static void run_with_silent_addresses(void)
{
    static struct world world;
    static struct collector server;
    start_at_last_address(&world, &server);
    for (in_addr_t host = INADDR_LOOPBACK; host < LIVE_ADDRESS; host++)
        drop_all_at(host, server.port);
    (void)send_to_name(&world, &server, 4 * NS_PER_SECOND, 1);
    EXPECT(world.calls == 1);
    end_with(&world, &server);
}

static void run_apart(void (*run)(void))
{
    int status = 0;
    fflush(NULL);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        run();
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    if (WEXITSTATUS(status) == EXIT_CANNOT)
        skip(); // no namespaces here
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void a_resolver_that_never_answers_blocks_nothing(void **state)
{
    (void)state;
    run_apart(run_with_silent_resolver);
}

static void addresses_that_refuse_cost_no_time(void **state)
{
    (void)state;
    run_apart(run_with_dead_addresses);
}

static void a_live_address_is_found_after_one_that_drops_all(void **state)
{
    (void)state;
    run_apart(run_with_silent_address);
}

static void a_live_address_is_found_after_three_that_drop_all(void **state)
{
    (void)state;
    run_apart(run_with_silent_addresses);
}

static void look_ups_behind_a_socks_proxy_are_limited_too(void **state)
{
    (void)state;
    run_apart(run_behind_socks_proxy);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(look_ups_behind_a_socks_proxy_are_limited_too),
        cmocka_unit_test(a_resolver_that_never_answers_blocks_nothing),
        cmocka_unit_test(addresses_that_refuse_cost_no_time),
        cmocka_unit_test(a_live_address_is_found_after_one_that_drops_all),
        cmocka_unit_test(a_live_address_is_found_after_three_that_drop_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
