// Responses in pieces, over loopback: framing, compression, failures, and clients that read slowly or not at all.
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "../../../src/http/conn.h"
#include "ghatrace/base/memory.h"
#include "ghatrace/http/gzip.h"
#include "ghatrace/http/server.h"

#define ANSWER_MAX ((size_t)8 << 20)

// --- the server -----------------------------------------------------------------------------------

struct world {
    struct net_loop *loop;
    struct net_timer *stop;
    struct http_server host;
    // What is produced:
    unsigned pieces; // of each body
    size_t size;     // of each piece; every other one is empty if `has_gaps`
    unsigned fail_at;
    bool has_gaps;
    long skip; // allocations until one fails, if `has_fault`
    bool has_fault;
    bool closes_first; // the connection, before it responds
    // What was done:
    unsigned begun, ended, produced;
    char turns[64]; // the path of each piece's request
};

static struct world world;

struct body {
    unsigned next;
    char path;
};

static char pattern_at(size_t i)
{
    return (char)('a' + i * i % 23);
}

static enum error_code produce(void *context, struct buffer *out, bool *is_last,
                               struct error *error)
{
    struct body *body = context;
    size_t size = world.has_gaps && body->next % 2 == 1 ? 0 : world.size;

    assert_int_equal(out->len, 0);
    assert_false(*is_last);
    if (world.fail_at == body->next + 1)
        return error_set(error, ERROR_CORRUPT, "the store is damaged");
    if (buffer_reserve(out, size) != ERROR_NONE)
        return error_set(error, ERROR_MEMORY, "out of memory");
    for (size_t i = 0; i < size; i++)
        out->data[i] = pattern_at(body->next * world.size + i);
    out->len = size;
    if (world.produced < sizeof world.turns)
        world.turns[world.produced] = body->path;
    world.produced++;
    *is_last = ++body->next == world.pieces;
    return ERROR_NONE;
}

static void end_body(void *context)
{
    world.ended++;
    test_free(context);
}

static void respond(struct http_conn *conn, const struct http_head *head)
{
    struct http_response answer;
    struct body *body = test_calloc(1, sizeof *body);
    const struct http_producer producer = {.produce = produce,
                                           .on_end = end_body,
                                           .context = body,
                                           .is_gzip = slice_equals(head->path, SLICE("/gzip"))};

    body->path = head->path.data[1];
    world.begun++;
    http_response_set(&answer, 200, SLICE_EMPTY);
    answer.content_type = "text/plain";
    if (world.closes_first)
        http_conn_close(conn);
    memory_fail_after(world.has_fault ? world.skip : -1);
    http_conn_respond_in_pieces(conn, &answer, &producer);
    memory_fail_after(-1);
    if (world.closes_first)
        http_conn_respond(conn, &answer);
}

static bool on_head(struct http_conn *conn, const struct http_head *head)
{
    struct http_response answer;

    http_response_set(&answer, 200, SLICE_EMPTY);
    if (slice_equals(head->path, SLICE("/stream")))
        assert_true(http_conn_begin_stream(conn, &answer));
    else
        respond(conn, head);
    return false;
}

static void on_refused(struct http_conn *conn, int status, const char *reason)
{
    (void)conn;
    (void)status;
    (void)reason;
}

static void on_empty(void *context)
{
    (void)context;
}

static const struct http_service service = {.on_head = on_head, .on_refused = on_refused};

static void stop_loop(void *context)
{
    net_loop_stop(context);
}

static void set_up(unsigned pieces, size_t size)
{
    struct http_server *host = &world.host;
    struct net_address any;
    struct error error;

    memset(&world, 0, sizeof world);
    world.pieces = pieces;
    world.size = size;
    assert_int_equal(net_loop_create(&world.loop, &error), ERROR_NONE);
    assert_int_equal(net_timer_create(world.loop, stop_loop, world.loop, &world.stop, &error),
                     ERROR_NONE);
    *host = (struct http_server){
        .loop = world.loop, .service = &service, .max_body_bytes = 1000, .on_empty = on_empty};
    http_server_init(host);
    assert_int_equal(net_address_parse(SLICE("127.0.0.1:0"), &any, &error), ERROR_NONE);
    assert_int_equal(http_server_listen(host, &any, false, 20, &error), ERROR_NONE);
}

static void run_for(duration_ns time)
{
    net_timer_set(world.stop, time);
    net_loop_run(world.loop);
}

static void tear_down(void)
{
    http_server_stop(&world.host);
    http_server_abort(&world.host);
    run_for(NS_PER_MS);
    assert_true(LIST_EMPTY(&world.host.conns));
    assert_int_equal(world.begun, world.ended);
    assert_int_equal(world.host.producing, 0);
    assert_int_equal(world.host.memory, 0);
    assert_null(world.host.piece.data);
    http_server_release(&world.host);
    net_timer_destroy(world.stop);
    net_loop_destroy(world.loop);
}

// --- clients --------------------------------------------------------------------------------------

struct client {
    int fd;
    struct buffer answer;
    bool is_over, is_reset;
};

static void ask(struct client *client, const char *request)
{
    const struct net_address *address = net_listener_address(world.host.listener);
    int small = 4096;

    *client = (struct client){.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    buffer_init(&client->answer, ANSWER_MAX);
    assert_true(client->fd >= 0);
    (void)setsockopt(client->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    assert_int_equal(connect(client->fd, (const struct sockaddr *)&address->storage, address->len),
                     0);
    assert_int_equal(fcntl(client->fd, F_SETFL, O_NONBLOCK), 0);
    assert_int_equal(send(client->fd, request, strlen(request), MSG_NOSIGNAL),
                     (int)strlen(request));
}

static void read_some(struct client *client)
{
    char bytes[65536];
    ssize_t got = recv(client->fd, bytes, sizeof bytes, 0);

    if (got > 0)
        assert_int_equal(buffer_append(&client->answer, bytes, (size_t)got), ERROR_NONE);
    client->is_over = got == 0 || (got < 0 && errno != EAGAIN);
    client->is_reset = got < 0 && errno == ECONNRESET;
}

static void read_all(struct client *client)
{
    for (int i = 0; i < 200000 && !client->is_over; i++) {
        run_for(NS_PER_MS / 20);
        read_some(client);
    }
    assert_true(client->is_over);
}

static void hang_up(struct client *client)
{
    close(client->fd);
    buffer_release(&client->answer);
}

// The body of the answer, after a head that has `field`.
static struct slice body_of(const struct client *client, const char *field)
{
    struct slice answer = buffer_slice(&client->answer);
    ptrdiff_t end = slice_find(answer, SLICE("\r\n\r\n"));

    assert_true(end > 0);
    assert_true(slice_find((struct slice){answer.data, (size_t)end}, slice_from_string(field)) > 0);
    return (struct slice){answer.data + end + 4, answer.len - (size_t)end - 4};
}

// Joins the chunks of a body up to its end; returns the number of bytes after that, or -1 without an end.
static ptrdiff_t join_chunks(struct slice body, struct buffer *out)
{
    while (body.len > 0) {
        char *end;
        size_t size = strtoul(body.data, &end, 16);
        size_t head = (size_t)(end - body.data) + 2;
        if (head + size + 2 > body.len)
            return -1;
        assert_memory_equal(end, "\r\n", 2);
        assert_memory_equal(body.data + head + size, "\r\n", 2);
        assert_int_equal(buffer_append(out, body.data + head, size), ERROR_NONE);
        body = (struct slice){body.data + head + size + 2, body.len - head - size - 2};
        if (size == 0)
            return (ptrdiff_t)body.len;
    }
    return -1;
}

static void expect_pattern(struct slice body, size_t len)
{
    assert_int_equal(body.len, len);
    for (size_t i = 0; i < len; i++)
        if (body.data[i] != pattern_at(i))
            fail_msg("byte %zu", i);
}

#define REQUEST(path, version, fields) "GET " path " HTTP/" version "\r\nHost: a\r\n" fields "\r\n"
#define CLOSE "Connection: close\r\n"

// --- framing --------------------------------------------------------------------------------------

static void a_body_is_sent_in_chunks(void **state)
{
    struct client client;
    struct buffer body;

    (void)state;
    for (int has_gaps = 0; has_gaps < 2; has_gaps++) {
        set_up(40, 70000);
        world.has_gaps = has_gaps == 1;
        buffer_init(&body, ANSWER_MAX);
        ask(&client, REQUEST("/", "1.1", CLOSE));
        read_all(&client);
        assert_int_equal(join_chunks(body_of(&client, "Transfer-Encoding: chunked"), &body), 0);
        assert_int_equal(world.produced, 40);
        if (has_gaps == 0)
            expect_pattern(buffer_slice(&body), (size_t)40 * 70000);
        else
            assert_int_equal(body.len, 20 * 70000);
        buffer_release(&body);
        hang_up(&client);
        tear_down();
    }
}

static void an_empty_body_is_an_end_alone(void **state)
{
    struct client client;

    (void)state;
    set_up(1, 0);
    ask(&client, REQUEST("/", "1.1", CLOSE));
    read_all(&client);
    assert_true(slice_equals(body_of(&client, "chunked"), SLICE("0\r\n\r\n")));
    hang_up(&client);
    tear_down();
}

static void in_http_1_0_the_body_ends_with_the_connection(void **state)
{
    struct client client;

    (void)state;
    set_up(40, 70000);
    ask(&client, REQUEST("/", "1.0", "Connection: keep-alive\r\n"));
    read_all(&client);
    assert_false(client.is_reset);
    assert_true(slice_find(buffer_slice(&client.answer), SLICE("Transfer-Encoding")) < 0);
    expect_pattern(body_of(&client, "Connection: close"), (size_t)40 * 70000);
    hang_up(&client);
    tear_down();
}

static void the_answer_to_head_has_no_body_and_nothing_is_produced(void **state)
{
    struct client client;

    (void)state;
    set_up(40, 70000);
    ask(&client, "HEAD / HTTP/1.1\r\nHost: a\r\n\r\nHEAD / HTTP/1.1\r\nHost: a\r\n" CLOSE "\r\n");
    read_all(&client);
    struct slice second = body_of(&client, "Transfer-Encoding: chunked");
    assert_true(slice_starts_with(second, SLICE("HTTP/1.1 200")));
    assert_true(slice_ends_with(second, SLICE("\r\n\r\n")));
    assert_int_equal(world.produced, 0);
    assert_int_equal(world.begun, 2);
    hang_up(&client);
    tear_down();
}

static void the_next_request_is_answered_after_the_body(void **state)
{
    struct client client;
    struct buffer body;

    (void)state;
    set_up(5, 70000);
    buffer_init(&body, ANSWER_MAX);
    ask(&client, REQUEST("/", "1.1", "") REQUEST("/", "1.1", CLOSE));
    read_all(&client);
    struct slice first = body_of(&client, "chunked");
    ptrdiff_t left = join_chunks(first, &body);
    assert_true(left > 5 * 70000);
    assert_memory_equal(first.data + first.len - (size_t)left, "HTTP/1.1 200", 12);
    expect_pattern(buffer_slice(&body), (size_t)5 * 70000);
    assert_int_equal(world.begun, 2);
    buffer_release(&body);
    hang_up(&client);
    tear_down();
}

// --- compression ----------------------------------------------------------------------------------

static void expect_packed(const struct client *client, size_t len)
{
    struct buffer packed, body;

    buffer_init(&packed, ANSWER_MAX);
    buffer_init(&body, ANSWER_MAX);
    assert_int_equal(join_chunks(body_of(client, "chunked"), &packed), 0);
    assert_true(packed.len < len / 10);
    assert_int_equal(gzip_expand(buffer_slice(&packed), &body), ERROR_NONE);
    expect_pattern(buffer_slice(&body), len);
    buffer_release(&packed);
    buffer_release(&body);
}

static void a_compressed_body_is_one_gzip_member(void **state)
{
    struct client client;

    (void)state;
    set_up(40, 70000);
    ask(&client, REQUEST("/gzip", "1.1", CLOSE));
    read_all(&client);
    expect_packed(&client, (size_t)40 * 70000);
    hang_up(&client);
    tear_down();
}

// --- failures -------------------------------------------------------------------------------------

static void a_failure_before_the_first_byte_is_an_answer(void **state)
{
    struct client client;

    (void)state;
    set_up(4, 1000);
    world.fail_at = 1;
    ask(&client, REQUEST("/", "1.1", CLOSE));
    read_all(&client);
    assert_memory_equal(client.answer.data, "HTTP/1.1 503 ", 13);
    assert_true(slice_equals(body_of(&client, "Content-Length"),
                             SLICE("{\"error\":\"the store is damaged\"}\n")));
    hang_up(&client);
    tear_down();
}

static void a_failure_later_cannot_pass_for_the_end(void **state)
{
    static const char *const requests[] = {REQUEST("/", "1.1", CLOSE), REQUEST("/", "1.0", "")};
    struct client client;
    struct buffer body;

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        set_up(10, 70000);
        world.fail_at = 4;
        buffer_init(&body, ANSWER_MAX);
        ask(&client, requests[i]);
        read_all(&client);
        assert_true(client.is_reset);
        if (i == 0)
            assert_int_equal(join_chunks(body_of(&client, "chunked"), &body), -1);
        assert_int_equal(world.ended, 1);
        buffer_release(&body);
        hang_up(&client);
        tear_down();
    }
}

static void refused_memory_ends_the_response(void **state)
{
    bool is_whole = false;

    (void)state;
    for (long skip = 0; !is_whole; skip++) {
        struct client client;
        set_up(3, 70000);
        ask(&client, REQUEST("/gzip", "1.1", CLOSE));
        memory_fail_after(skip);
        for (int i = 0; i < 40; i++)
            run_for(NS_PER_MS / 20);
        is_whole = memory_count_allocations() <= skip;
        memory_fail_after(-1);
        read_some(&client);
        bool has_end = slice_ends_with(buffer_slice(&client.answer), SLICE("\r\n0\r\n\r\n"));
        assert_true(has_end || !is_whole);
        if (has_end)
            expect_packed(&client, 3 * 70000);
        hang_up(&client);
        tear_down();
    }
}

// --- slow clients ---------------------------------------------------------------------------------

static void the_next_piece_waits_for_the_reader(void **state)
{
    struct client client;

    (void)state;
    set_up(100, 70000);
    ask(&client, REQUEST("/", "1.0", ""));
    run_for(50 * NS_PER_MS);
    unsigned before = world.produced;
    assert_true(before < 60);
    assert_true(world.host.memory <= 70000 + 1000);
    run_for(50 * NS_PER_MS);
    assert_int_equal(world.produced, before);
    read_all(&client);
    expect_pattern(body_of(&client, "200"), (size_t)100 * 70000);
    hang_up(&client);
    tear_down();
}

static void a_client_that_reads_nothing_is_disconnected(void **state)
{
    struct client client;

    (void)state;
    set_up(1000, 70000);
    world.host.output_deadline = 60 * NS_PER_MS;
    ask(&client, REQUEST("/", "1.1", ""));
    run_for(30 * NS_PER_MS);
    assert_int_equal(world.ended, 0);
    run_for(150 * NS_PER_MS);
    assert_int_equal(world.ended, 1);
    assert_true(LIST_EMPTY(&world.host.conns));
    hang_up(&client);
    tear_down();
}

static void a_client_that_disconnects_ends_the_response(void **state)
{
    struct client client;

    (void)state;
    set_up(1000, 70000);
    ask(&client, REQUEST("/", "1.1", ""));
    run_for(20 * NS_PER_MS);
    assert_int_equal(world.ended, 0);
    hang_up(&client);
    run_for(20 * NS_PER_MS);
    assert_int_equal(world.ended, 1);
    assert_true(LIST_EMPTY(&world.host.conns));
    tear_down();
}

static void clients_take_turns(void **state)
{
    struct client a, b;

    (void)state;
    set_up(20, 10);
    ask(&a, REQUEST("/a", "1.1", CLOSE));
    ask(&b, REQUEST("/b", "1.1", CLOSE));
    read_all(&a);
    read_all(&b);
    assert_int_equal(world.produced, 40);
    assert_non_null(strstr(world.turns, "ababababababab"));
    hang_up(&a);
    hang_up(&b);
    tear_down();
}

static void what_a_client_sends_during_a_stream_is_ignored(void **state)
{
    struct client client;

    (void)state;
    set_up(3, 10);
    ask(&client, "GET /stream HTTP/1.1\r\nHost: x\r\n\r\n");
    run_for(20 * NS_PER_MS);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(send(client.fd, "more", 4, MSG_NOSIGNAL), 4);
        run_for(5 * NS_PER_MS);
    }
    struct http_conn *conn = LIST_FIRST(&world.host.conns);
    assert_non_null(conn);
    assert_true(http_conn_stream(conn, SLICE("data: {}\n\n"), 1000));
    run_for(5 * NS_PER_MS);
    read_some(&client);
    assert_true(slice_ends_with(buffer_slice(&client.answer), SLICE("\r\n\r\ndata: {}\n\n")));
    hang_up(&client);
    tear_down();
}

static void nothing_is_sent_on_a_connection_that_is_closed(void **state)
{
    struct client client;

    (void)state;
    set_up(3, 10);
    world.closes_first = true;
    ask(&client, "GET /x HTTP/1.1\r\nHost: x\r\n\r\n");
    read_all(&client);
    assert_int_equal(client.answer.len, 0);
    assert_int_equal(world.produced, 0);
    hang_up(&client);
    tear_down();
}

static void a_response_without_memory_for_its_head_is_503(void **state)
{
    struct client client;

    (void)state;
    // First the response, then the head.
    for (long skip = 0; skip < 2; skip++) {
        set_up(3, 10);
        world.skip = skip;
        world.has_fault = true;
        ask(&client, "GET /x HTTP/1.0\r\nHost: x\r\n\r\n");
        read_all(&client);
        assert_true(slice_starts_with(buffer_slice(&client.answer), SLICE("HTTP/1.1 503 ")));
        assert_true(slice_find(buffer_slice(&client.answer), SLICE("out of memory")) > 0);
        assert_int_equal(world.produced, 0);
        hang_up(&client);
        tear_down();
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_client_sends_during_a_stream_is_ignored),
        cmocka_unit_test(nothing_is_sent_on_a_connection_that_is_closed),
        cmocka_unit_test(a_response_without_memory_for_its_head_is_503),
        cmocka_unit_test(a_body_is_sent_in_chunks),
        cmocka_unit_test(an_empty_body_is_an_end_alone),
        cmocka_unit_test(in_http_1_0_the_body_ends_with_the_connection),
        cmocka_unit_test(the_answer_to_head_has_no_body_and_nothing_is_produced),
        cmocka_unit_test(the_next_request_is_answered_after_the_body),
        cmocka_unit_test(a_compressed_body_is_one_gzip_member),
        cmocka_unit_test(a_failure_before_the_first_byte_is_an_answer),
        cmocka_unit_test(a_failure_later_cannot_pass_for_the_end),
        cmocka_unit_test(refused_memory_ends_the_response),
        cmocka_unit_test(the_next_piece_waits_for_the_reader),
        cmocka_unit_test(a_client_that_reads_nothing_is_disconnected),
        cmocka_unit_test(a_client_that_disconnects_ends_the_response),
        cmocka_unit_test(clients_take_turns),
    };

    alarm(60);
    return cmocka_run_group_tests_name("http/pieces", tests, NULL, NULL);
}
