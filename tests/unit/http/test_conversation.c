// Conversations over loopback: whatever clients do, each one is in the list that its state names, and in no other.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../../../src/http/conn.h"

#define CLIENTS 14
#define PLACES 10
#define TICKS 300
#define LARGE_ANSWER 300000
#define TICK (NS_PER_MS / 2)

struct world {
    struct net_loop *loop;
    struct net_timer *tick;
    struct conversation_host host;
    int fds[CLIENTS]; // -1: none
    struct conversation *pending[2 * CLIENTS];
    size_t pending_count;
    unsigned ticks, seen[CONVERSATION_CLOSED + 1];
    uint32_t seed;
};

static struct world world;

static unsigned next_random(unsigned below)
{
    world.seed = world.seed * 1664525 + 1013904223;
    return (world.seed >> 8) % below;
}

// --- the law --------------------------------------------------------------------------------------

static bool is_waiting(const struct conversation *conversation, int group)
{
    const struct conversation *each;

    TAILQ_FOREACH (each, &world.host.waiting[group], waiting)
        if (each == conversation)
            return true;
    return false;
}

static void check_lists(void)
{
    const struct conversation_host *host = &world.host;
    const struct conversation *each;
    size_t waiting = 0, expected = 0;

    for (int group = 0; group < EVICTION_GROUPS; group++) {
        size_t members = 0;
        timestamp_ns since = 0;
        TAILQ_FOREACH (each, &host->waiting[group], waiting) {
            assert_int_equal(conversation_group(each), group);
            assert_true(each->since >= since);
            since = each->since;
            members++;
        }
        assert_int_equal(members, host->counts.members[group]);
        waiting += members;
    }
    assert_true(TAILQ_EMPTY(&host->waiting[EVICTION_NONE]));
    LIST_FOREACH (each, &host->conversations, all) {
        enum eviction_group group = conversation_group(each);
        assert_true(group == EVICTION_NONE || is_waiting(each, (int)group));
        assert_true(each->state != CONVERSATION_NEW && each->state != CONVERSATION_HEAD_DONE);
        assert_true(each->connection != NULL || each->state == CONVERSATION_CLOSED);
        expected += group != EVICTION_NONE;
        world.seen[each->state]++;
    }
    assert_int_equal(waiting, expected);
}

// --- the service ----------------------------------------------------------------------------------

static void answer_now(struct conversation *conversation)
{
    struct answer answer;

    answer_set(&answer, 200, SLICE("{}"));
    conversation_answer(conversation, &answer);
}

static bool on_head(struct conversation *conversation, const struct http_head *head)
{
    if (!slice_equals(head->path, SLICE("/head")))
        return true;
    answer_now(conversation);
    return false;
}

static void answer_large(struct conversation *conversation)
{
    struct answer answer;
    struct buffer body;

    buffer_init(&body, LARGE_ANSWER);
    assert_int_equal(buffer_reserve(&body, LARGE_ANSWER), ERROR_NONE);
    memset(body.data, ' ', LARGE_ANSWER);
    body.len = LARGE_ANSWER;
    answer_set(&answer, 200, SLICE_EMPTY);
    conversation_answer_owned(conversation, &answer, &body);
}

static void on_request(struct conversation *conversation, const struct http_head *head,
                       struct slice body)
{
    struct answer answer;

    (void)body;
    answer_set(&answer, 200, SLICE_EMPTY);
    if (slice_equals(head->path, SLICE("/late"))) {
        conversation_answer_late(conversation, 401, "no", 3 * NS_PER_MS);
    } else if (slice_equals(head->path, SLICE("/stream"))) {
        (void)conversation_begin_stream(conversation, &answer);
    } else if (slice_equals(head->path, SLICE("/large"))) {
        answer_large(conversation);
    } else if (slice_equals(head->path, SLICE("/pending")) && world.pending_count < 2 * CLIENTS) {
        conversation_hold(conversation);
        world.pending[world.pending_count++] = conversation;
    } else {
        answer_now(conversation);
    }
}

static void on_refused(struct conversation *conversation, int status, const char *reason)
{
    (void)conversation;
    (void)status;
    (void)reason;
}

static const struct conversation_service service = {
    .on_head = on_head, .on_request = on_request, .on_refused = on_refused};

static void answer_pending(void)
{
    struct conversation *conversation = world.pending[--world.pending_count];

    if (next_random(4) == 0)
        conversation_answer_late(conversation, 401, "no", NS_PER_MS);
    else if (next_random(4) == 0)
        answer_large(conversation);
    else
        answer_now(conversation);
    conversation_let_go(conversation);
}

// --- clients --------------------------------------------------------------------------------------

static void connect_client(size_t index)
{
    const struct net_address *address = net_listener_address(world.host.listener);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int small = 4096;

    assert_true(fd >= 0);
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    (void)connect(fd, (const struct sockaddr *)&address->storage, address->len);
    world.fds[index] = fd;
}

static void send_something(int fd)
{
    static char body[100000];
    static const char *const texts[] = {
        "GET /head HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /now HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /now HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        "POST /now HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabcde",
        "POST /head HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabcde",
        "POST /now HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n",
        "POST /now HTTP/1.1\r\nHost: a\r\nContent-Length: 90000\r\n\r\n",
        "GET /pending HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /late HTTP/1.1\r\nHost: a\r\n\r\nGET /now HTTP/1.1\r\n",
        "GET /stream HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /large HTTP/1.1\r\nHost: a\r\n\r\nGET /now HTTP/1.1\r\nHost: a\r\n\r\n",
        "\r\n",
        "nonsense\r\n\r\n",
    };
    const char *text = texts[next_random(sizeof texts / sizeof texts[0])];
    size_t len = strlen(text);

    if (next_random(3) == 0)
        len = 1 + next_random((unsigned)len);
    (void)send(fd, text, len, MSG_NOSIGNAL);
    if (next_random(4) == 0)
        (void)send(fd, body, 1 + next_random(sizeof body), MSG_NOSIGNAL);
}

static void act(size_t index)
{
    char bytes[65536];
    int *fd = &world.fds[index];
    unsigned choice = next_random(40);

    if (*fd < 0) {
        connect_client(index);
    } else if (choice < 12) {
        send_something(*fd);
    } else if (choice < 20) {
        (void)recv(*fd, bytes, sizeof bytes, 0);
    } else if (choice == 20) {
        (void)shutdown(*fd, SHUT_WR);
    } else if (choice == 21) {
        close(*fd);
        *fd = -1;
    }
}

// --- the world ------------------------------------------------------------------------------------

static void feed_streams(void)
{
    struct conversation *each;

    LIST_FOREACH (each, &world.host.conversations, all)
        if (each->state == CONVERSATION_STREAM)
            (void)conversation_stream(each, SLICE("data: {}\n\n"), 100);
}

static void end(void)
{
    while (world.pending_count > 0)
        answer_pending();
    conversation_host_stop(&world.host);
    conversation_host_abort(&world.host);
}

static void on_tick(void *context)
{
    (void)context;
    check_lists();
    if (world.ticks++ == TICKS) {
        end();
        return;
    }
    if (world.ticks == TICKS * 3 / 4)
        conversation_host_wind_down(&world.host, 20 * NS_PER_MS);
    for (size_t i = 0; i < CLIENTS; i++)
        act(i);
    if (world.pending_count > 0 && next_random(3) == 0)
        answer_pending();
    if (next_random(10) == 0)
        (void)conversation_memory_is_full(&world.host);
    feed_streams();
    check_lists();
    net_timer_set(world.tick, TICK);
}

static void on_empty(void *context)
{
    (void)context;
    if (world.host.listener == NULL)
        net_loop_stop(world.loop);
}

static void set_up(uint32_t seed)
{
    struct conversation_host *host = &world.host;
    struct net_address any;
    struct error error;

    memset(&world, 0, sizeof world);
    world.seed = seed;
    for (size_t i = 0; i < CLIENTS; i++)
        world.fds[i] = -1;
    assert_int_equal(net_loop_create(&world.loop, &error), ERROR_NONE);
    assert_int_equal(net_timer_create(world.loop, on_tick, NULL, &world.tick, &error), ERROR_NONE);
    *host = (struct conversation_host){.loop = world.loop,
                                       .service = &service,
                                       .max_body_bytes = 100000,
                                       .head_deadline = 20 * NS_PER_MS,
                                       .request_deadline = 40 * NS_PER_MS,
                                       .idle_deadline = 50 * NS_PER_MS,
                                       .body_grace = 20 * NS_PER_MS,
                                       .output_deadline = 40 * NS_PER_MS,
                                       .most_memory = 1000000,
                                       .on_empty = on_empty};
    conversation_host_init(host);
    assert_int_equal(net_address_parse(SLICE("127.0.0.1:0"), &any, &error), ERROR_NONE);
    assert_int_equal(conversation_host_listen(host, &any, false, PLACES, &error), ERROR_NONE);
    net_timer_set(world.tick, TICK);
}

static void tear_down(void)
{
    assert_true(LIST_EMPTY(&world.host.conversations));
    for (int group = 0; group < EVICTION_GROUPS; group++)
        assert_int_equal(world.host.counts.members[group], 0);
    assert_int_equal(world.host.memory, 0);
    assert_int_equal(world.host.connections, 0);
    for (size_t i = 0; i < CLIENTS; i++)
        if (world.fds[i] >= 0)
            close(world.fds[i]);
    conversation_host_release(&world.host);
    net_timer_destroy(world.tick);
    net_loop_destroy(world.loop);
}

// HEAD_DONE is there only inside on_data().
static bool has_seen_all(const unsigned *seen)
{
    for (int i = CONVERSATION_IDLE; i <= CONVERSATION_CLOSED; i++)
        if (seen[i] == 0 && i != CONVERSATION_HEAD_DONE)
            return false;
    return true;
}

static void each_conversation_waits_in_the_list_of_its_state(void **state)
{
    unsigned seen[CONVERSATION_CLOSED + 1] = {0};
    uint32_t seed = 0;

    (void)state;
    while (++seed <= 3 || (seed <= 20 && !has_seen_all(seen))) {
        set_up(seed);
        net_loop_run(world.loop);
        for (int i = 0; i <= CONVERSATION_CLOSED; i++)
            seen[i] += world.seen[i];
        tear_down();
    }
    assert_true(has_seen_all(seen));
}

static void a_change_of_state_that_is_not_foreseen_ends_the_process(void **state)
{
    int status = 0;

    (void)state;
    set_up(1);
    struct conversation conversation = {.host = &world.host, .state = CONVERSATION_CLOSED};
    pid_t child = fork();
    if (child == 0) {
        (void)signal(SIGABRT, SIG_DFL);
        (void)close(STDERR_FILENO);
        conversation_move(&conversation, CONVERSATION_IDLE);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    net_timer_cancel(world.tick);
    conversation_host_stop(&world.host);
    tear_down();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_conversation_waits_in_the_list_of_its_state),
        cmocka_unit_test(a_change_of_state_that_is_not_foreseen_ends_the_process),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
