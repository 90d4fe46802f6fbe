// Every connect, send and receive of the exporter fails once, in turn, and every send is cut short: each
// record is accepted by the collector all the same, and settled once.
#include "world.h"

#include <dlfcn.h>
#include <errno.h>

static _Thread_local bool is_exporter; // the collector's threads are not disturbed
static long calls_before_fault = -1;
static long calls;
static bool cuts_sends_short;

static bool must_fail(void)
{
    if (!is_exporter)
        return false;
    calls++;
    return calls_before_fault >= 0 && calls_before_fault-- == 0;
}

// These take the place of the C library's functions for libcurl, too, which calls them by name.

int connect(int fd, __CONST_SOCKADDR_ARG address, socklen_t len)
{
    int (*real)(int, const struct sockaddr *, socklen_t);
    *(void **)&real = dlsym(RTLD_NEXT, "connect");
    if (!must_fail())
        return real(fd, address.__sockaddr__, len);
    errno = ENETUNREACH;
    return -1;
}

ssize_t send(int fd, const void *data, size_t len, int flags)
{
    ssize_t (*real)(int, const void *, size_t, int);
    *(void **)&real = dlsym(RTLD_NEXT, "send");
    if (must_fail()) {
        errno = ECONNRESET;
        return -1;
    }
    bool is_short = is_exporter && cuts_sends_short;
    return real(fd, data, is_short && len > 1 ? 1 : len, flags);
}

ssize_t recv(int fd, void *data, size_t len, int flags)
{
    ssize_t (*real)(int, void *, size_t, int);
    *(void **)&real = dlsym(RTLD_NEXT, "recv");
    if (!must_fail())
        return real(fd, data, len, flags);
    errno = ECONNRESET;
    return -1;
}

// Closes after its first answer, so that a reused connection fails as well.
static struct reply reply_and_close_once(struct collector *collector,
                                         const struct collector_request *request)
{
    (void)collector;
    return (struct reply){.bytes = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
                          .closes = request->number == 1};
}

static void deliver_with_fault(long fault)
{
    static struct world world;
    world_init(&world, reply_and_close_once);
    world.options.in_flight_max = 2;
    world.options.batch_records_max = 2;
    fake_add_many(6);
    world_create(&world);
    world_tune(&world, 2 * NS_PER_MS);
    is_exporter = true;
    calls = 0;
    calls_before_fault = fault;
    world_deliver(&world);
    calls_before_fault = -1;
    for (uint64_t i = 1; i <= 6; i++) {
        assert_int_equal(fake.records[i].settles, 1);
        assert_false(fake.records[i].is_dead);
        assert_true(collector_get(&world.collector, &world.collector.accepted[i]) > 0);
    }
    world_release(&world);
}

static void any_call_to_the_network_may_fail_and_nothing_is_lost(void **state)
{
    (void)state;
    deliver_with_fault(-1);
    long ordinary = calls;
    assert_true(ordinary > 6); // three requests: two connections, sends and receives
    for (long fault = 0; fault < ordinary + 4; fault++)
        deliver_with_fault(fault);
}

static void sends_of_single_bytes_make_whole_requests(void **state)
{
    (void)state;
    cuts_sends_short = true;
    deliver_with_fault(-1);
    cuts_sends_short = false;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        world_test(any_call_to_the_network_may_fail_and_nothing_is_lost),
        world_test(sends_of_single_bytes_make_whole_requests),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
