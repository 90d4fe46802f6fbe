// Every connect, send and receive of the exporter fails once, in turn, and every send is cut short: each
// record is accepted by the collector all the same, and settled once.
/* wrap: connect sendmsg recv */
#include "world.h"

#include <errno.h>

static pthread_t exporter_thread; // the collector's thread is not disturbed
static long calls_before_fault = -1;
static long calls;
static bool cuts_sends_short;

static bool must_fail(void)
{
    if (!pthread_equal(pthread_self(), exporter_thread))
        return false;
    calls++;
    return calls_before_fault >= 0 && calls_before_fault-- == 0;
}

int __real_connect(int fd, const struct sockaddr *address, socklen_t len);
ssize_t __real_sendmsg(int fd, const struct msghdr *message, int flags);
ssize_t __real_recv(int fd, void *data, size_t len, int flags);
int __wrap_connect(int fd, const struct sockaddr *address, socklen_t len);
ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags);
ssize_t __wrap_recv(int fd, void *data, size_t len, int flags);

int __wrap_connect(int fd, const struct sockaddr *address, socklen_t len)
{
    if (!must_fail())
        return __real_connect(fd, address, len);
    errno = ENETUNREACH;
    return -1;
}

ssize_t __wrap_sendmsg(int fd, const struct msghdr *message, int flags)
{
    if (must_fail()) {
        errno = ECONNRESET;
        return -1;
    }
    if (!cuts_sends_short || !pthread_equal(pthread_self(), exporter_thread))
        return __real_sendmsg(fd, message, flags);
    struct iovec part = {message->msg_iov[0].iov_base, 1};
    struct msghdr one = {.msg_iov = &part, .msg_iovlen = 1};
    return __real_sendmsg(fd, &one, flags);
}

ssize_t __wrap_recv(int fd, void *data, size_t len, int flags)
{
    if (!must_fail())
        return __real_recv(fd, data, len, flags);
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
    exporter_thread = pthread_self();
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
    assert_true(ordinary > 8);
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
