// Connections over loopback: whatever clients do, each one is in the list of its state, and in no other.
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
    struct http_server host;
    int fds[CLIENTS]; // -1: none
    struct http_conn *pending[2 * CLIENTS];
    size_t pending_count;
    size_t bodies; // in pieces, not over
    unsigned ticks, seen[HTTP_CONN_CLOSED + 1];
    uint32_t seed;
};

static struct world world;

static unsigned next_random(unsigned below)
{
    world.seed = world.seed * 1664525 + 1013904223;
    return (world.seed >> 8) % below;
}

// --- the invariant --------------------------------------------------------------------------------

static bool is_waiting(const struct http_conn *conn, int group)
{
    const struct http_conn *each;

    TAILQ_FOREACH (each, &world.host.waiting[group], waiting)
        if (each == conn)
            return true;
    return false;
}

static void check_lists(void)
{
    const struct http_server *host = &world.host;
    const struct http_conn *each;
    size_t waiting = 0, expected = 0;

    for (int group = 0; group < EVICTION_GROUPS; group++) {
        size_t members = 0;
        timestamp_ns since = 0;
        TAILQ_FOREACH (each, &host->waiting[group], waiting) {
            assert_int_equal(http_conn_group(each), group);
            assert_true(each->since >= since);
            since = each->since;
            members++;
        }
        assert_int_equal(members, host->counts.members[group]);
        waiting += members;
    }
    assert_true(TAILQ_EMPTY(&host->waiting[EVICTION_NONE]));
    LIST_FOREACH (each, &host->conns, all) {
        enum eviction_group group = http_conn_group(each);
        assert_true(group == EVICTION_NONE || is_waiting(each, (int)group));
        assert_true(each->state != HTTP_CONN_NEW && each->state != HTTP_CONN_HEAD_DONE);
        assert_true(each->connection != NULL || each->state == HTTP_CONN_CLOSED);
        expected += group != EVICTION_NONE;
        world.seen[each->state]++;
    }
    assert_int_equal(waiting, expected);
    assert_int_equal(world.bodies, host->producing);
}

// --- the service ----------------------------------------------------------------------------------

static void answer_now(struct http_conn *conn)
{
    struct http_response answer;

    http_response_set(&answer, 200, SLICE("{}"));
    http_conn_respond(conn, &answer);
}

static bool on_head(struct http_conn *conn, const struct http_head *head)
{
    if (!slice_equals(head->path, SLICE("/head")))
        return true;
    answer_now(conn);
    return false;
}

static void answer_large(struct http_conn *conn)
{
    struct http_response answer;
    struct buffer body;

    buffer_init(&body, LARGE_ANSWER);
    assert_int_equal(buffer_reserve(&body, LARGE_ANSWER), ERROR_NONE);
    memset(body.data, ' ', LARGE_ANSWER);
    body.len = LARGE_ANSWER;
    http_response_set(&answer, 200, SLICE_EMPTY);
    http_conn_respond_owned(conn, &answer, &body);
}

// Each response has 0 to 5 pieces of any size, and some fail.
struct body {
    unsigned left, end;
};

static enum error_code produce(void *context, struct buffer *out, bool *is_last,
                               struct error *error)
{
    struct body *body = context;
    size_t size = next_random(3) == 0 ? 0 : next_random(100000);

    if (next_random(10) == 0)
        return error_set(error, ERROR_CORRUPT, "no");
    assert_int_equal(buffer_reserve(out, size), ERROR_NONE);
    if (size > 0)
        memset(out->data, ' ', size);
    out->len = size;
    *is_last = body->left-- == 0;
    return ERROR_NONE;
}

static void end_body(void *context)
{
    struct body *body = context;

    assert_int_equal(body->end++, 0);
    test_free(body);
    world.bodies--;
}

static void answer_in_pieces(struct http_conn *conn)
{
    struct http_response answer;
    struct body *body = test_malloc(sizeof *body);
    const struct http_producer producer = {
        .produce = produce, .on_end = end_body, .context = body, .is_gzip = next_random(2) == 0};

    *body = (struct body){.left = next_random(6)};
    world.bodies++;
    http_response_set(&answer, 200, SLICE_EMPTY);
    http_conn_respond_in_pieces(conn, &answer, &producer);
}

static void on_request(struct http_conn *conn, const struct http_head *head, struct slice body)
{
    struct http_response answer;

    (void)body;
    http_response_set(&answer, 200, SLICE_EMPTY);
    if (slice_equals(head->path, SLICE("/late"))) {
        http_conn_respond_late(conn, 401, "no", 3 * NS_PER_MS);
    } else if (slice_equals(head->path, SLICE("/stream"))) {
        (void)http_conn_begin_stream(conn, &answer);
    } else if (slice_equals(head->path, SLICE("/pieces"))) {
        answer_in_pieces(conn);
    } else if (slice_equals(head->path, SLICE("/large"))) {
        answer_large(conn);
    } else if (slice_equals(head->path, SLICE("/pending")) && world.pending_count < 2 * CLIENTS) {
        http_conn_ref(conn);
        world.pending[world.pending_count++] = conn;
    } else {
        answer_now(conn);
    }
}

static void on_refused(struct http_conn *conn, int status, const char *reason)
{
    (void)conn;
    (void)status;
    (void)reason;
}

static const struct http_service service = {
    .on_head = on_head, .on_request = on_request, .on_refused = on_refused};

static void answer_pending(void)
{
    struct http_conn *conn = world.pending[--world.pending_count];

    if (next_random(4) == 0)
        http_conn_respond_late(conn, 401, "no", NS_PER_MS);
    else if (next_random(4) == 0)
        answer_in_pieces(conn);
    else if (next_random(4) == 0)
        answer_large(conn);
    else
        answer_now(conn);
    http_conn_unref(conn);
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
        "GET /pieces HTTP/1.1\r\nHost: a\r\n\r\nGET /now HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /pieces HTTP/1.0\r\n\r\n",
        "HEAD /pieces HTTP/1.1\r\nHost: a\r\n\r\n",
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

// --- the fixture ----------------------------------------------------------------------------------

static void feed_streams(void)
{
    struct http_conn *each;

    LIST_FOREACH (each, &world.host.conns, all)
        if (each->state == HTTP_CONN_STREAM)
            (void)http_conn_stream(each, SLICE("data: {}\n\n"), 100);
}

static void end(void)
{
    while (world.pending_count > 0)
        answer_pending();
    http_server_stop(&world.host);
    http_server_abort(&world.host);
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
        http_server_wind_down(&world.host, 20 * NS_PER_MS);
    for (size_t i = 0; i < CLIENTS; i++)
        act(i);
    if (world.pending_count > 0 && next_random(3) == 0)
        answer_pending();
    if (next_random(10) == 0)
        (void)http_conn_memory_is_full(&world.host);
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
    struct http_server *host = &world.host;
    struct net_address any;
    struct error error;

    memset(&world, 0, sizeof world);
    world.seed = seed;
    for (size_t i = 0; i < CLIENTS; i++)
        world.fds[i] = -1;
    assert_int_equal(net_loop_create(&world.loop, &error), ERROR_NONE);
    assert_int_equal(net_timer_create(world.loop, on_tick, NULL, &world.tick, &error), ERROR_NONE);
    *host = (struct http_server){.loop = world.loop,
                                 .service = &service,
                                 .max_body_bytes = 100000,
                                 .head_deadline = 20 * NS_PER_MS,
                                 .request_deadline = 40 * NS_PER_MS,
                                 .idle_deadline = 50 * NS_PER_MS,
                                 .body_grace = 20 * NS_PER_MS,
                                 .output_deadline = 40 * NS_PER_MS,
                                 .most_memory = 1000000,
                                 .on_empty = on_empty};
    http_server_init(host);
    assert_int_equal(net_address_parse(SLICE("127.0.0.1:0"), &any, &error), ERROR_NONE);
    assert_int_equal(http_server_listen(host, &any, false, PLACES, &error), ERROR_NONE);
    net_timer_set(world.tick, TICK);
}

static void tear_down(void)
{
    assert_true(LIST_EMPTY(&world.host.conns));
    for (int group = 0; group < EVICTION_GROUPS; group++)
        assert_int_equal(world.host.counts.members[group], 0);
    assert_int_equal(world.host.memory, 0);
    assert_int_equal(world.bodies, 0);
    assert_true(world.host.piece.data == NULL && world.host.framed.data == NULL);
    assert_int_equal(world.host.connections, 0);
    for (size_t i = 0; i < CLIENTS; i++)
        if (world.fds[i] >= 0)
            close(world.fds[i]);
    http_server_release(&world.host);
    net_timer_destroy(world.tick);
    net_loop_destroy(world.loop);
}

// HEAD_DONE exists only inside on_data().
static bool has_seen_all(const unsigned *seen)
{
    for (int i = HTTP_CONN_IDLE; i <= HTTP_CONN_CLOSED; i++)
        if (seen[i] == 0 && i != HTTP_CONN_HEAD_DONE)
            return false;
    return true;
}

static void each_connection_is_in_the_list_of_its_state(void **state)
{
    unsigned seen[HTTP_CONN_CLOSED + 1] = {0};
    uint32_t seed = 0;

    (void)state;
    while (++seed <= 3 || (seed <= 20 && !has_seen_all(seen))) {
        set_up(seed);
        net_loop_run(world.loop);
        for (int i = 0; i <= HTTP_CONN_CLOSED; i++)
            seen[i] += world.seen[i];
        tear_down();
    }
    assert_true(has_seen_all(seen));
}

static void a_transition_that_is_not_allowed_ends_the_process(void **state)
{
    int status = 0;

    (void)state;
    set_up(1);
    struct http_conn conn = {.host = &world.host, .state = HTTP_CONN_CLOSED};
    pid_t child = fork();
    if (child == 0) {
        (void)signal(SIGABRT, SIG_DFL);
        (void)close(STDERR_FILENO);
        http_conn_move(&conn, HTTP_CONN_IDLE);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    net_timer_cancel(world.tick);
    http_server_stop(&world.host);
    tear_down();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_connection_is_in_the_list_of_its_state),
        cmocka_unit_test(a_transition_that_is_not_allowed_ends_the_process),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
