// Connections over a socket pair: bytes, pauses, deadlines and every way to end.
#include "peer.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>

#include "ghatrace/base/memory.h"

// A connection with its peer, and the bare socket at the other end.
struct fixture {
    struct peer peer;
    int other;
    bool ends_first; // the other end shuts its side before it reads
    char echo[2000]; // received back, byte by byte
};

static void set_up(struct fixture *f)
{
    f->ends_first = false;
    struct net_loop *loop;
    struct error error;
    int fds[2];

    assert_int_equal(net_loop_create(&loop, &error), ERROR_NONE);
    peer_init(&f->peer, loop);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    assert_int_equal(fcntl(fds[0], F_SETFL, O_NONBLOCK), 0);
    assert_int_equal(net_connection_adopt(loop, fds[0], &peer_handler, &f->peer.connection, &error),
                     ERROR_NONE);
    net_connection_set_context(f->peer.connection, &f->peer);
    f->other = fds[1];
}

static void tear_down(struct fixture *f)
{
    peer_release(&f->peer);
    net_loop_destroy(f->peer.loop);
    if (f->other >= 0)
        close(f->other);
}

static void send_text(struct fixture *f, const char *text)
{
    assert_int_equal(send(f->other, text, strlen(text), MSG_NOSIGNAL), (int)strlen(text));
}

static void expect_text(struct fixture *f, const char *text)
{
    char data[64] = "";

    assert_int_equal(recv(f->other, data, sizeof data - 1, 0), (int)strlen(text));
    assert_string_equal(data, text);
}

static void expect_taken(const struct fixture *f, const char *text)
{
    assert_int_equal(f->peer.taken.len, strlen(text));
    assert_memory_equal(f->peer.taken.data, text, strlen(text));
}

static void bytes_pass_both_ways(void **state)
{
    struct fixture f;

    (void)state;
    set_up(&f);
    f.peer.stop_at = 5;
    send_text(&f, "hello");
    net_loop_run(f.peer.loop);
    expect_taken(&f, "hello");
    assert_int_equal(net_connection_write(f.peer.connection, "there", 5), ERROR_NONE);
    assert_int_equal(net_connection_write(f.peer.connection, "", 0), ERROR_NONE);
    assert_int_equal(net_connection_unsent(f.peer.connection), 0);
    expect_text(&f, "there");
    tear_down(&f);
}

static void *send_bytes_one_by_one(void *context)
{
    struct fixture *f = context;

    for (size_t i = 0; i < 2000; i++) {
        char byte = pattern_at(i);
        // Each echo is read before the next byte is sent: hundreds of unread single bytes would fill the socket, and
        // queued output is not sent after the loop has stopped.
        assert_int_equal(send(f->other, &byte, 1, MSG_NOSIGNAL), 1);
        assert_int_equal(recv(f->other, &f->echo[i], 1, 0), 1);
    }
    return NULL;
}

static void single_bytes_arrive_in_order_and_are_echoed(void **state)
{
    struct fixture f;
    pthread_t thread;

    (void)state;
    set_up(&f);
    f.peer.echoes = true;
    f.peer.stop_at = 2000;
    assert_int_equal(pthread_create(&thread, NULL, send_bytes_one_by_one, &f), 0);
    net_loop_run(f.peer.loop);
    assert_int_equal(pthread_join(thread, NULL), 0);
    for (size_t i = 0; i < 2000; i++) {
        assert_int_equal(f.peer.taken.data[i], pattern_at(i));
        assert_int_equal(f.echo[i], pattern_at(i));
    }
    tear_down(&f);
}

static void unconsumed_input_is_offered_again_with_what_follows(void **state)
{
    struct fixture f;

    (void)state;
    set_up(&f);
    f.peer.take_max = 2;
    f.peer.stop_at = 2;
    send_text(&f, "abcdef");
    net_loop_run(f.peer.loop);
    expect_taken(&f, "ab");
    f.peer.stop_at = 4;
    send_text(&f, "gh");
    net_loop_run(f.peer.loop);
    expect_taken(&f, "abcd");
    assert_int_equal(f.peer.largest_offer, 6);

    f.peer.take_max = SIZE_MAX; // resuming offers it without new bytes
    f.peer.stop_at = 8;
    net_connection_resume(f.peer.connection);
    assert_int_equal(f.peer.taken.len, 4); // not from inside the call
    net_loop_run(f.peer.loop);
    expect_taken(&f, "abcdefgh");
    tear_down(&f);
}

static void a_paused_connection_offers_no_input_until_it_is_resumed(void **state)
{
    struct fixture f;

    (void)state;
    set_up(&f);
    f.peer.take_max = 1;
    f.peer.pause_at = 1;
    f.peer.stop_at = 1;
    send_text(&f, "abc");
    net_loop_run(f.peer.loop);
    send_text(&f, "def");
    run_for(f.peer.loop, 20 * NS_PER_MS);
    expect_taken(&f, "a");

    f.peer.pause_at = 0;
    f.peer.take_max = SIZE_MAX;
    f.peer.stop_at = 6;
    net_connection_resume(f.peer.connection);
    net_loop_run(f.peer.loop);
    expect_taken(&f, "abcdef");
    tear_down(&f);
}

static void a_pause_after_a_resume_delays_the_offer(void **state)
{
    struct fixture f;

    (void)state;
    set_up(&f);
    f.peer.take_max = 1;
    f.peer.pause_at = 1;
    f.peer.stop_at = 1;
    send_text(&f, "abc");
    net_loop_run(f.peer.loop);
    net_connection_resume(f.peer.connection);
    net_connection_pause(f.peer.connection);
    run_for(f.peer.loop, 10 * NS_PER_MS);
    expect_taken(&f, "a");
    f.peer.stop_at = 2;
    net_connection_resume(f.peer.connection);
    net_loop_run(f.peer.loop);
    expect_taken(&f, "ab");
    tear_down(&f);
}

static void *send_a_mebibyte(void *context)
{
    const struct fixture *f = context;

    for (size_t i = 0; i < 1 << 20; i += 1024) {
        char data[1024];
        for (size_t j = 0; j < sizeof data; j++)
            data[j] = pattern_at(i + j);
        assert_int_equal(send(f->other, data, sizeof data, MSG_NOSIGNAL), sizeof data);
    }
    return NULL;
}

static void assert_pattern(const struct buffer *buffer, size_t len)
{
    assert_int_equal(buffer->len, len);
    for (size_t i = 0; i < len; i++)
        if (buffer->data[i] != pattern_at(i))
            fail_msg("byte %zu differs", i);
}

static void unconsumed_input_is_bounded_and_not_lost(void **state)
{
    struct fixture f;
    pthread_t thread;

    (void)state;
    set_up(&f);
    f.peer.take_max = 0;
    assert_int_equal(pthread_create(&thread, NULL, send_a_mebibyte, &f), 0);
    run_for(f.peer.loop, 50 * NS_PER_MS);
    assert_true(f.peer.largest_offer <= 65536);
    f.peer.take_max = SIZE_MAX;
    f.peer.stop_at = 1 << 20;
    net_connection_resume(f.peer.connection);
    net_loop_run(f.peer.loop);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_pattern(&f.peer.taken, 1 << 20);
    tear_down(&f);
}

#define BIG ((size_t)10 << 20)

static void *receive_slowly(void *context)
{
    const struct fixture *f = context;
    size_t total = 0;
    char data[40000];

    if (f->ends_first)
        shutdown(f->other, SHUT_WR);
    usleep(20000); // lets the socket fill
    for (;;) {
        ssize_t len = recv(f->other, data, sizeof data, 0);
        assert_true(len >= 0);
        if (len == 0)
            break;
        for (size_t i = 0; i < (size_t)len; i++)
            assert_int_equal(data[i], pattern_at(total + i));
        total += (size_t)len;
    }
    assert_int_equal(total, BIG);
    shutdown(f->other, SHUT_RDWR);
    return NULL;
}

static void send_ten_mebibytes(bool ends_first)
{
    struct fixture f;
    pthread_t thread;
    char *block = memory_allocate(BIG / 2);

    set_up(&f);
    f.ends_first = ends_first;
    assert_non_null(block);
    assert_int_equal(pthread_create(&thread, NULL, receive_slowly, &f), 0);
    size_t i = 0; // half of it in many pieces, half in one
    while (i < BIG / 2) {
        char piece[1000];
        size_t len = 0;
        for (; len < sizeof piece && i < BIG / 2; len++, i++)
            piece[len] = pattern_at(i);
        assert_int_equal(net_connection_write(f.peer.connection, piece, len), ERROR_NONE);
    }
    assert_true(net_connection_unsent(f.peer.connection) > 0);
    for (size_t j = 0; j < BIG / 2; j++)
        block[j] = pattern_at(i + j);
    assert_int_equal(net_connection_write_owned(f.peer.connection, block, BIG / 2), ERROR_NONE);
    net_connection_finish(f.peer.connection);
    peer_run_until_closed(&f.peer);
    assert_int_equal(f.peer.reason, NET_CLOSED_BY_US);
    assert_int_equal(pthread_join(thread, NULL), 0);
    tear_down(&f);
}

static void ten_mebibytes_arrive_completely_at_a_slow_reader(void **state)
{
    (void)state;
    send_ten_mebibytes(false);
}

static void a_peer_that_ends_its_side_first_still_gets_all_of_it(void **state)
{
    (void)state;
    send_ten_mebibytes(true);
}

static void read_all(int fd, size_t len)
{
    char data[40000];

    while (len > 0) {
        ssize_t got = recv(fd, data, len < sizeof data ? len : sizeof data, 0);
        assert_true(got > 0);
        len -= (size_t)got;
    }
}

static void unsent_output_counts_until_it_is_sent(void **state)
{
    static const char zeros[1 << 20];
    struct fixture f;
    size_t total = 7;

    (void)state;
    set_up(&f);
    net_connection_count_memory(f.peer.connection, &total);
    assert_int_equal(total, 7);
    assert_int_equal(net_connection_write(f.peer.connection, zeros, sizeof zeros), ERROR_NONE);
    size_t unsent = net_connection_unsent(f.peer.connection);
    assert_true(unsent > sizeof zeros / 2);
    assert_true(total >= 7 + unsent && total < 7 + unsent + 1000);
    assert_int_equal(net_connection_memory(f.peer.connection), total - 7);
    net_connection_notify_sent(f.peer.connection);
    run_for(f.peer.loop, 20 * NS_PER_MS);
    assert_int_equal(f.peer.sends, 0);
    assert_true(net_connection_stalled(f.peer.connection, timestamp_monotonic()) >= 20 * NS_PER_MS);
    shutdown(f.other, SHUT_WR); // the end of input is not the end of output
    f.peer.keeps_open_at_end = true;
    while (f.peer.sends == 0) {
        read_all(f.other, 10000);
        run_for(f.peer.loop, NS_PER_MS / 10);
    }
    assert_int_equal(net_connection_unsent(f.peer.connection), 0);
    assert_int_equal(net_connection_stalled(f.peer.connection, timestamp_monotonic()), 0);
    assert_int_equal(total, 7);
    run_for(f.peer.loop, NS_PER_MS);
    assert_int_equal(f.peer.sends, 1); // once
    tear_down(&f);
}

static void
without_unsent_output_the_owner_is_called_when_the_socket_would_accept_more(void **state)
{
    static const char zeros[4096];
    struct fixture f;

    (void)state;
    set_up(&f);
    net_connection_notify_sent(f.peer.connection);
    assert_int_equal(f.peer.sends, 0); // not from inside the call
    run_for(f.peer.loop, NS_PER_MS);
    assert_int_equal(f.peer.sends, 1);
    run_for(f.peer.loop, NS_PER_MS);
    assert_int_equal(f.peer.sends, 1); // once
    int fd = dup(f.other);
    while (net_connection_unsent(f.peer.connection) == 0) // up to where the socket accepts no more
        assert_int_equal(net_connection_write(f.peer.connection, zeros, sizeof zeros), ERROR_NONE);
    while (net_connection_unsent(f.peer.connection) > 0) {
        read_all(fd, sizeof zeros);
        run_for(f.peer.loop, NS_PER_MS / 10);
    }
    net_connection_notify_sent(f.peer.connection);
    run_for(f.peer.loop, 20 * NS_PER_MS);
    if (f.peer.sends == 1) // what the peer does not read is a stall, though nothing is queued
        assert_true(net_connection_stalled(f.peer.connection, timestamp_monotonic()) >=
                    20 * NS_PER_MS);
    while (f.peer.sends == 1) {
        read_all(fd, sizeof zeros);
        run_for(f.peer.loop, NS_PER_MS / 10);
    }
    assert_int_equal(net_connection_stalled(f.peer.connection, timestamp_monotonic()), 0);
    close(fd);
    tear_down(&f);
}

static void a_block_counts_whole_until_its_last_byte_is_sent(void **state)
{
    struct fixture f;
    size_t total = 0;
    char *block = memory_allocate(1 << 20);

    (void)state;
    set_up(&f);
    assert_non_null(block);
    memset(block, 0, 1 << 20);
    net_connection_count_memory(f.peer.connection, &total);
    assert_int_equal(net_connection_write_owned(f.peer.connection, block, 1 << 20), ERROR_NONE);
    while (net_connection_unsent(f.peer.connection) > 1 << 19) {
        assert_true(total >= 1 << 20);
        read_all(f.other, 10000);
        run_for(f.peer.loop, NS_PER_MS / 10);
    }
    assert_true(total >= 1 << 20);
    net_connection_close(f.peer.connection); // at once, not when it is freed
    assert_int_equal(total, 0);
    peer_run_until_closed(&f.peer);
    assert_int_equal(total, 0);
    tear_down(&f);
}

static void unconsumed_input_counts(void **state)
{
    struct fixture f;
    size_t total = 0;

    (void)state;
    set_up(&f);
    net_connection_count_memory(f.peer.connection, &total);
    f.peer.take_max = 1;
    f.peer.pause_at = 1;
    f.peer.stop_at = 1;
    send_text(&f, "abc");
    net_loop_run(f.peer.loop);
    assert_true(total > 0);
    f.peer.pause_at = 0;
    f.peer.take_max = SIZE_MAX;
    f.peer.stop_at = 3;
    net_connection_resume(f.peer.connection);
    net_loop_run(f.peer.loop);
    assert_int_equal(total, 0);
    tear_down(&f);
}

static void received_bytes_do_not_extend_the_deadline(void **state)
{
    struct fixture f;

    (void)state;
    set_up(&f);
    f.peer.echoes = false;
    net_connection_set_deadline(f.peer.connection, 30 * NS_PER_MS);
    while (f.peer.closes == 0) {
        (void)send(f.other, "x", 1, MSG_NOSIGNAL);
        run_for(f.peer.loop, NS_PER_MS);
    }
    assert_true(f.peer.taken.len > 1);
    assert_int_equal(f.peer.timeouts, 1);
    assert_int_equal(f.peer.reason, NET_CLOSED_BY_TIMEOUT);
    assert_int_equal(f.peer.error.code, ERROR_TIMEOUT);
    tear_down(&f);
}

static void a_removed_deadline_does_not_fire(void **state)
{
    struct fixture f;

    (void)state;
    set_up(&f);
    net_connection_set_deadline(f.peer.connection, 5 * NS_PER_MS);
    net_connection_set_deadline(f.peer.connection, 0);
    run_for(f.peer.loop, 30 * NS_PER_MS);
    assert_int_equal(f.peer.timeouts, 0);
    assert_int_equal(f.peer.closes, 0);
    tear_down(&f);
}

static void a_deadline_can_be_renewed_when_it_passes(void **state)
{
    struct fixture f;

    (void)state;
    set_up(&f);
    f.peer.timeout_renewal = NS_PER_MS;
    net_connection_set_deadline(f.peer.connection, NS_PER_MS);
    peer_run_until_closed(&f.peer);
    assert_int_equal(f.peer.timeouts, 2);
    tear_down(&f);
}

static void after_a_deadline_a_response_can_be_sent(void **state)
{
    struct fixture f;

    (void)state;
    set_up(&f);
    f.peer.answers_timeout = true;
    f.peer.answer = "too slow";
    net_connection_set_deadline(f.peer.connection, NS_PER_MS);
    run_for(f.peer.loop, 20 * NS_PER_MS);
    assert_int_equal(f.peer.timeouts, 1);
    expect_text(&f, "too slow");
    expect_text(&f, ""); // the end
    shutdown(f.other, SHUT_WR);
    peer_run_until_closed(&f.peer);
    assert_int_equal(f.peer.reason, NET_CLOSED_BY_US);
    tear_down(&f);
}

static void a_response_can_be_sent_to_a_peer_that_finished_sending(void **state)
{
    struct fixture f;

    (void)state;
    set_up(&f);
    f.peer.keeps_open_at_end = true;
    f.peer.stops_at_end = true;
    send_text(&f, "question");
    shutdown(f.other, SHUT_WR);
    net_loop_run(f.peer.loop);
    expect_taken(&f, "question");
    assert_int_equal(f.peer.ends, 1);
    assert_int_equal(net_connection_write(f.peer.connection, "answer", 6), ERROR_NONE);
    net_connection_finish(f.peer.connection);
    peer_run_until_closed(&f.peer); // without draining: nothing more can be received
    assert_int_equal(f.peer.reason, NET_CLOSED_BY_US);
    expect_text(&f, "answer");
    assert_int_equal(f.peer.ends, 1);
    tear_down(&f);
}

static void the_end_closes_a_connection_without_further_output(void **state)
{
    struct fixture f;

    (void)state;
    set_up(&f);
    close(f.other);
    f.other = -1;
    peer_run_until_closed(&f.peer);
    assert_int_equal(f.peer.ends, 1);
    assert_int_equal(f.peer.reason, NET_CLOSED_BY_PEER);
    tear_down(&f);
}

static void a_peer_that_disconnected_while_paused_is_detected_by_writing(void **state)
{
    struct fixture f;

    (void)state;
    set_up(&f);
    net_connection_pause(f.peer.connection);
    close(f.other);
    f.other = -1;
    run_for(f.peer.loop, 10 * NS_PER_MS);
    assert_int_equal(f.peer.closes, 0);
    assert_int_equal(net_connection_write(f.peer.connection, "x", 1), ERROR_CLOSED);
    assert_int_equal(f.peer.closes, 0); // on_closed comes from the loop
    peer_run_until_closed(&f.peer);
    assert_int_equal(f.peer.reason, NET_CLOSED_BY_ERROR);
    assert_int_equal(f.peer.error.code, ERROR_NETWORK);
    tear_down(&f);
}

static void closing_inside_on_data_is_reported_after_the_callback(void **state)
{
    struct fixture f;

    (void)state;
    set_up(&f);
    f.peer.closes_on_data = true;
    f.peer.take_max = 1;
    send_text(&f, "abc");
    peer_run_until_closed(&f.peer);
    assert_int_equal(f.peer.reason, NET_CLOSED_BY_US);
    expect_taken(&f, "a");
    tear_down(&f);
}

static void nothing_is_written_after_finish_or_close(void **state)
{
    struct fixture f;

    (void)state;
    set_up(&f);
    net_connection_finish(f.peer.connection);
    net_connection_finish(f.peer.connection); // once is enough
    assert_int_equal(net_connection_write(f.peer.connection, "x", 1), ERROR_CLOSED);
    net_connection_close(f.peer.connection);
    net_connection_close(f.peer.connection);
    assert_int_equal(net_connection_write(f.peer.connection, "x", 1), ERROR_CLOSED);
    void *block = memory_allocate(8);
    assert_non_null(block);
    assert_int_equal(net_connection_write_owned(f.peer.connection, block, 8), ERROR_CLOSED);
    peer_run_until_closed(&f.peer);
    expect_text(&f, "");
    tear_down(&f);
}

static void a_finished_connection_ends_though_its_peer_never_closes(void **state)
{
    struct fixture f;

    (void)state;
    set_up(&f);
    f.peer.finishes_on_data = true;
    f.peer.answer = "bye";
    send_text(&f, "x");
    peer_run_until_closed(&f.peer); // after DRAIN_TIME
    assert_int_equal(f.peer.reason, NET_CLOSED_BY_US);
    expect_text(&f, "bye");
    tear_down(&f);
}

static void refused_memory_closes_only_connections_that_cannot_continue(void **state)
{
    struct fixture f;
    char *big = memory_allocate(BIG);

    (void)state;
    set_up(&f);
    assert_non_null(big);
    memset(big, 'x', BIG);
    memory_fail_after(0);
    assert_int_equal(net_connection_write(f.peer.connection, "whole", 5), ERROR_NONE);
    // Part of it is on its way, the rest cannot be kept.
    assert_int_equal(net_connection_write(f.peer.connection, big, BIG), ERROR_MEMORY);
    memory_fail_after(-1);
    memory_free(big);
    peer_run_until_closed(&f.peer);
    assert_int_equal(f.peer.reason, NET_CLOSED_BY_ERROR);
    assert_int_equal(f.peer.error.code, ERROR_MEMORY);
    tear_down(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_pass_both_ways),
        cmocka_unit_test(single_bytes_arrive_in_order_and_are_echoed),
        cmocka_unit_test(unconsumed_input_is_offered_again_with_what_follows),
        cmocka_unit_test(a_paused_connection_offers_no_input_until_it_is_resumed),
        cmocka_unit_test(a_pause_after_a_resume_delays_the_offer),
        cmocka_unit_test(unconsumed_input_is_bounded_and_not_lost),
        cmocka_unit_test(ten_mebibytes_arrive_completely_at_a_slow_reader),
        cmocka_unit_test(a_peer_that_ends_its_side_first_still_gets_all_of_it),
        cmocka_unit_test(unsent_output_counts_until_it_is_sent),
        cmocka_unit_test(
            without_unsent_output_the_owner_is_called_when_the_socket_would_accept_more),
        cmocka_unit_test(a_block_counts_whole_until_its_last_byte_is_sent),
        cmocka_unit_test(unconsumed_input_counts),
        cmocka_unit_test(received_bytes_do_not_extend_the_deadline),
        cmocka_unit_test(a_removed_deadline_does_not_fire),
        cmocka_unit_test(a_deadline_can_be_renewed_when_it_passes),
        cmocka_unit_test(after_a_deadline_a_response_can_be_sent),
        cmocka_unit_test(a_response_can_be_sent_to_a_peer_that_finished_sending),
        cmocka_unit_test(the_end_closes_a_connection_without_further_output),
        cmocka_unit_test(a_peer_that_disconnected_while_paused_is_detected_by_writing),
        cmocka_unit_test(closing_inside_on_data_is_reported_after_the_callback),
        cmocka_unit_test(nothing_is_written_after_finish_or_close),
        cmocka_unit_test(a_finished_connection_ends_though_its_peer_never_closes),
        cmocka_unit_test(refused_memory_closes_only_connections_that_cannot_continue),
    };
    alarm(60);
    return cmocka_run_group_tests_name("net/connection", tests, NULL, NULL);
}
