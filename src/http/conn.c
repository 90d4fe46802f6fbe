// One HTTP connection: parsing requests, writing responses, deadlines, pipelining.
#include "conn.h"

#include <assert.h>
#include <string.h>

#include "ghatrace/base/log.h"
#include "ghatrace/base/memory.h"
#include "ghatrace/http/server.h"
#include "ghatrace/http/write.h"

// --- states ---------------------------------------------------------------------------------------

#define TO(state) (1U << HTTP_CONN_##state)

// The properties of each state, and the states that may follow it.
static const struct {
    enum eviction_group group; // its eviction list
    bool is_paused;            // the connection is not read
    unsigned next;
} states[] = {
    [HTTP_CONN_NEW] = {EVICTION_NONE, false, TO(IDLE)},
    [HTTP_CONN_IDLE] = {EVICTION_HEAD, false,
                        TO(HEAD) | TO(HEAD_DONE) | TO(FINISHING) | TO(CLOSED)},
    [HTTP_CONN_HEAD] = {EVICTION_HEAD, false, TO(HEAD_DONE) | TO(FINISHING) | TO(CLOSED)},
    [HTTP_CONN_HEAD_DONE] = {EVICTION_NONE, false,
                             TO(BODY) | TO(PENDING) | TO(IDLE) | TO(SENDING) | TO(PRODUCING) |
                                 TO(LATE) | TO(STREAM) | TO(FINISHING) | TO(CLOSED)},
    [HTTP_CONN_BODY] = {EVICTION_BODY, false, TO(PENDING) | TO(FINISHING) | TO(CLOSED)},
    [HTTP_CONN_PENDING] = {EVICTION_NONE, true,
                           TO(IDLE) | TO(SENDING) | TO(PRODUCING) | TO(LATE) | TO(STREAM) |
                               TO(FINISHING) | TO(CLOSED)},
    [HTTP_CONN_SENDING] = {EVICTION_OUTPUT, true, TO(IDLE) | TO(FINISHING) | TO(CLOSED)},
    [HTTP_CONN_PRODUCING] = {EVICTION_OUTPUT, true,
                             TO(IDLE) | TO(SENDING) | TO(FINISHING) | TO(CLOSED)},
    [HTTP_CONN_LATE] = {EVICTION_LATE, true, TO(FINISHING) | TO(CLOSED)},
    // Read, and its input discarded, because otherwise the end of the client would be seen only after two more writes.
    [HTTP_CONN_STREAM] = {EVICTION_NONE, false, TO(CLOSED)},
    [HTTP_CONN_FINISHING] = {EVICTION_OUTPUT, false, TO(CLOSED)},
    [HTTP_CONN_CLOSED] = {EVICTION_NONE, false, 0},
};

enum eviction_group http_conn_group(const struct http_conn *conn)
{
    return states[conn->state].group;
}

static void leave_list(struct http_conn *conn, enum eviction_group group)
{
    struct http_server *host = conn->host;

    if (group == EVICTION_NONE)
        return;
    assert(host->counts.members[group] > 0);
    TAILQ_REMOVE(&host->waiting[group], conn, waiting);
    host->counts.members[group]--;
}

static void join_list(struct http_conn *conn, enum eviction_group group)
{
    struct http_server *host = conn->host;

    if (group == EVICTION_NONE)
        return;
    TAILQ_INSERT_TAIL(&host->waiting[group], conn, waiting);
    conn->since = timestamp_monotonic();
    host->counts.members[group]++;
}

// Invariants: only CLOSED has no connection, and IDLE keeps nothing of the previous request.
static void check_conn_state(const struct http_conn *conn)
{
    assert(conn->connection != NULL || conn->state == HTTP_CONN_CLOSED);
    if (conn->state == HTTP_CONN_IDLE)
        assert(http_parser_is_idle(&conn->parser) && conn->large_bytes == 0 && conn->begun_at == 0);
    if (conn->state == HTTP_CONN_HEAD_DONE)
        assert(conn->is_in_feed);
    assert((conn->state == HTTP_CONN_PRODUCING) == (conn->pieces != NULL));
}

void http_conn_move(struct http_conn *conn, enum http_conn_state to)
{
    enum http_conn_state from = conn->state;

    assert((states[from].next & 1U << to) != 0);
    conn->state = to;
    // The first byte of a head does not restart the wait: IDLE and HEAD share one list entry.
    if (to != HTTP_CONN_HEAD) {
        leave_list(conn, states[from].group);
        join_list(conn, states[to].group);
    }
    if (from == HTTP_CONN_PRODUCING)
        http_pieces_end(conn);
    check_conn_state(conn);
    // on_conn_data() pauses at its end: most requests get their response before that, and reading never pauses.
    if (conn->is_in_feed)
        return;
    if (states[to].is_paused && !states[from].is_paused)
        net_connection_pause(conn->connection);
    else if ((to == HTTP_CONN_IDLE || to == HTTP_CONN_STREAM) && states[from].is_paused)
        net_connection_resume(conn->connection);
}

void http_conn_close(struct http_conn *conn)
{
    bool is_cut_short = conn->state == HTTP_CONN_PRODUCING;

    if (conn->state == HTTP_CONN_CLOSED)
        return;
    http_conn_move(conn, HTTP_CONN_CLOSED);
    if (is_cut_short)
        net_connection_reset(conn->connection);
    else
        net_connection_close(conn->connection);
}

bool http_conn_is_over(const struct http_conn *conn)
{
    return conn->state == HTTP_CONN_FINISHING || conn->state == HTTP_CONN_CLOSED;
}

// --- lifetime -------------------------------------------------------------------------------------

static void uncount_large_body(struct http_conn *conn)
{
    if (conn->large_bytes > 0)
        body_memory_give_back(conn->body_memory, conn->large_bytes);
    conn->large_bytes = 0;
}

void http_conn_ref(struct http_conn *conn)
{
    conn->refs++;
}

void http_conn_unref(struct http_conn *conn)
{
    struct http_server *host = conn->host;

    assert(conn->refs > 0);
    if (--conn->refs > 0)
        return;
    uncount_large_body(conn);
    assert(conn->state == HTTP_CONN_CLOSED && conn->connection == NULL);
    LIST_REMOVE(conn, all);
    if (host->service->on_free != NULL)
        host->service->on_free(conn);
    http_parser_release(&conn->parser);
    memory_free(conn);
    if (host->is_stopping && LIST_EMPTY(&host->conns))
        host->on_empty(host->context);
}

bool http_conn_find_client(const struct http_conn *conn, const struct http_head *head,
                           const struct net_network_list *trusted, struct net_ip *client)
{
    struct net_ip peer;

    if (conn->connection == NULL ||
        !net_ip_from_address(net_connection_peer(conn->connection), &peer))
        return false;
    if (!net_network_list_holds(trusted, &peer) ||
        !forwarded_find_client(head, trusted, &peer, client))
        *client = peer;
    return true;
}

const char *http_conn_format_peer(const struct http_conn *conn, char text[NET_ADDRESS_TEXT_SIZE])
{
    if (conn->connection == NULL)
        return "gone";
    return net_address_format(net_connection_peer(conn->connection), text);
}

// --- responses ------------------------------------------------------------------------------------

static bool has_body(const struct http_head *head)
{
    return head->is_chunked || head->body_length > 0;
}

// False with an unread body: its bytes would be parsed as the next request.
bool http_conn_may_read_next(const struct http_conn *conn)
{
    const struct http_head *head = &conn->parser.message;

    return head->keep_alive && !conn->host->is_stopping &&
           (conn->state == HTTP_CONN_PENDING || !has_body(head));
}

// The last response is queued; the client may still have to read it.
static void finish_conn(struct http_conn *conn)
{
    http_conn_move(conn, HTTP_CONN_FINISHING);
    http_server_retry_eviction(conn->host);
    net_connection_set_deadline(conn->connection, 0); // finishing has its own deadline
    net_connection_finish(conn->connection);
}

// True if too much is unsent to read another request. When many clients do not read, any unsent byte is too much.
static bool has_much_unsent(const struct http_conn *conn)
{
    const struct http_server *host = conn->host;
    size_t unsent = net_connection_unsent(conn->connection);

    return unsent > (host->memory > host->most_memory / 2 ? 0 : UNSENT_MAX);
}

// True if the other connections exhaust the memory for unsent responses, and this one uses some, too.
static bool exceeds_output_memory(const struct http_conn *conn)
{
    const struct http_server *host = conn->host;
    size_t own = net_connection_memory(conn->connection);

    return own > 0 && host->memory - own > host->most_memory;
}

static void wait_for_reader(struct http_conn *conn)
{
    http_conn_move(conn, HTTP_CONN_SENDING);
    net_connection_set_deadline(conn->connection, conn->host->output_deadline);
    net_connection_notify_sent(conn->connection);
}

static void wait_for_request(struct http_conn *conn)
{
    const struct http_server *host = conn->host;

    http_conn_move(conn, HTTP_CONN_IDLE);
    net_connection_set_deadline(conn->connection,
                                host->is_stopping ? host->last_idle : host->idle_deadline);
}

static void begin_next(struct http_conn *conn)
{
    http_parser_reset(&conn->parser);
    uncount_large_body(conn);
    conn->begun_at = 0;
    if (exceeds_output_memory(conn)) {
        log_debug("connection closed: too many clients do not read their responses");
        http_conn_close(conn);
        return;
    }
    if (has_much_unsent(conn))
        wait_for_reader(conn);
    else
        wait_for_request(conn);
    http_server_retry_eviction(conn->host);
}

// Writes the response and, if `owned` is not NULL, its body, which is consumed.
static enum error_code write_response(struct http_conn *conn, const struct http_response *response,
                                      bool keep_alive, struct buffer *owned)
{
    struct buffer *out = &conn->host->out;
    bool is_head = slice_equals(conn->parser.message.method, SLICE("HEAD"));
    enum error_code code;

    buffer_clear(out);
    if (owned == NULL)
        code = http_response_write(response, timestamp_now(), keep_alive, is_head, out);
    else
        code = http_response_write_head(response, timestamp_now(), keep_alive, owned->len, out);
    if (code == ERROR_NONE)
        code = net_connection_write(conn->connection, out->data, out->len);
    if (code == ERROR_NONE && owned != NULL && owned->len > 0 && !is_head) {
        code = net_connection_write_owned(conn->connection, owned->data, owned->len);
        buffer_init(owned, owned->max);
    }
    return code;
}

void http_conn_end_response(struct http_conn *conn, bool keep_alive)
{
    if (keep_alive)
        begin_next(conn);
    else
        finish_conn(conn);
}

static void send_response(struct http_conn *conn, const struct http_response *response,
                          bool keep_alive, struct buffer *owned)
{
    enum error_code code = write_response(conn, response, keep_alive, owned);

    // Out of memory, or the client has disconnected: the connection can only be closed.
    if (code != ERROR_NONE)
        http_conn_close(conn);
    else
        http_conn_end_response(conn, keep_alive);
}

void http_conn_respond(struct http_conn *conn, const struct http_response *response)
{
    if (!http_conn_is_over(conn))
        send_response(conn, response, http_conn_may_read_next(conn), NULL);
}

void http_conn_respond_owned(struct http_conn *conn, const struct http_response *response,
                             struct buffer *body)
{
    if (!http_conn_is_over(conn))
        send_response(conn, response, http_conn_may_read_next(conn), body);
    buffer_release(body); // if it was not consumed
}

void http_conn_set_error_response(struct http_conn *conn, int status, const char *message,
                                  struct http_response *response)
{
    if (conn->host->service->set_error != NULL)
        conn->host->service->set_error(conn, status, message, response);
    else
        http_response_set_error(response, status, message);
}

void http_conn_send_late_response(struct http_conn *conn)
{
    struct http_response response;

    http_conn_set_error_response(conn, conn->late_status, conn->late_message, &response);
    send_response(conn, &response, false, NULL);
}

void http_conn_respond_late(struct http_conn *conn, int status, const char *message,
                            duration_ns after)
{
    if (http_conn_is_over(conn))
        return;
    http_conn_move(conn, HTTP_CONN_LATE);
    conn->late_status = status;
    conn->late_message = message;
    http_parser_reset(&conn->parser);
    uncount_large_body(conn);
    if (conn->host->is_stopping) {
        http_conn_send_late_response(conn);
        return;
    }
    http_server_retry_eviction(conn->host);
    net_connection_set_deadline(conn->connection, after);
}

static void refuse_request(struct http_conn *conn, int status, const char *message)
{
    struct http_response response;

    http_conn_set_error_response(conn, status, message, &response);
    conn->host->service->on_refused(conn, status, message);
    send_response(conn, &response, false, NULL);
}

// --- endless responses ----------------------------------------------------------------------------

bool http_conn_begin_stream(struct http_conn *conn, const struct http_response *response)
{
    struct buffer *out = &conn->host->out;

    buffer_clear(out);
    enum error_code code =
        http_response_write_head(response, timestamp_now(), false, HTTP_LENGTH_UNKNOWN, out);
    if (code == ERROR_NONE)
        code = net_connection_write(conn->connection, out->data, out->len);
    if (code != ERROR_NONE) {
        http_conn_close(conn);
        return false;
    }
    http_conn_move(conn, HTTP_CONN_STREAM);
    net_connection_set_deadline(conn->connection, 0);
    return true;
}

bool http_conn_stream(struct http_conn *conn, struct slice bytes, size_t most_unsent)
{
    if (conn->state != HTTP_CONN_STREAM)
        return false;
    if (net_connection_unsent(conn->connection) <= most_unsent &&
        net_connection_stalled(conn->connection, timestamp_monotonic()) <
            conn->host->output_deadline &&
        net_connection_write(conn->connection, bytes.data, bytes.len) == ERROR_NONE)
        return true;
    http_conn_close(conn);
    return false;
}

// --- requests -------------------------------------------------------------------------------------

// Counts the memory of the part of the body received so far.
static bool count_large_body(struct http_conn *conn)
{
    struct body_memory *memory = conn->body_memory;
    uint64_t taken = conn->parser.body.capacity;

    if (memory == NULL || taken <= LARGE_BODY || taken <= conn->large_bytes)
        return true;
    if (!body_memory_take(memory, taken - conn->large_bytes))
        return false;
    conn->large_bytes = taken;
    return true;
}

static void refuse_large_body(struct http_conn *conn)
{
    refuse_request(conn, 503, "too many large bodies at a time, try again later");
}

// RFC 9110 10.1.1: the client waits for 100 before it sends the body; a final response refuses the body.
static void send_continue(struct http_conn *conn)
{
    static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";

    if (net_connection_write(conn->connection, text, sizeof text - 1) != ERROR_NONE)
        http_conn_close(conn);
}

// Time left for a body if nothing more is received: the lesser of the request deadline and what its rate allows.
// 0 or less: it has expired.
static duration_ns body_time_left(const struct http_conn *conn)
{
    const struct http_server *host = conn->host;
    timestamp_ns now = timestamp_monotonic();
    duration_ns left = host->request_deadline - (now - conn->begun_at);
    duration_ns left_by_rate =
        eviction_body_time(conn->parser.body.len, host->body_grace) - (now - conn->since);

    return left < left_by_rate ? left : left_by_rate;
}

// The time left is computed again when the deadline fires; bytes received do not move the timer.
static void set_body_deadline(struct http_conn *conn)
{
    duration_ns left = body_time_left(conn);

    net_connection_set_deadline(conn->connection,
                                left > 0 ? left : 1); // 0 would mean none
}

static void handle_complete_head(struct http_conn *conn)
{
    const struct http_head *head = &conn->parser.message;

    http_conn_move(conn, HTTP_CONN_HEAD_DONE);
    if (!conn->host->service->on_head(conn, head))
        return;
    if (head->expects_continue && has_body(head))
        send_continue(conn);
}

static void handle_complete_request(struct http_conn *conn)
{
    struct http_parser *parser = &conn->parser;

    http_conn_move(conn, HTTP_CONN_PENDING);
    net_connection_set_deadline(conn->connection, 0);
    conn->host->service->on_request(conn, &parser->message, buffer_slice(&parser->body));
}

// A part of a request is received. Most arrive in one piece and never need a deadline.
static void wait_for_more_input(struct http_conn *conn)
{
    const struct http_server *host = conn->host;

    if (conn->state == HTTP_CONN_IDLE)
        http_conn_move(conn, HTTP_CONN_HEAD);
    if (conn->begun_at == 0) { // one deadline for all of it, regardless of progress
        conn->begun_at = timestamp_monotonic();
        net_connection_set_deadline(conn->connection, host->request_deadline < host->head_deadline
                                                          ? host->request_deadline
                                                          : host->head_deadline);
    }
    if (conn->state == HTTP_CONN_HEAD_DONE) {
        http_conn_move(conn, HTTP_CONN_BODY);
        set_body_deadline(conn);
    }
}

// Inside on_conn_data(): true if more of the input may be parsed.
static bool may_parse_input(const struct http_conn *conn)
{
    return conn->state >= HTTP_CONN_IDLE && conn->state <= HTTP_CONN_BODY;
}

// True: continue feeding.
static bool handle_progress(struct http_conn *conn, enum http_progress progress)
{
    struct http_parser *parser = &conn->parser;

    switch (progress) {
    case HTTP_NEED_MORE:
        if (!count_large_body(conn))
            refuse_large_body(conn);
        else if (!http_parser_is_idle(parser))
            wait_for_more_input(conn);
        return false;
    case HTTP_HEAD_DONE:
        handle_complete_head(conn);
        break;
    case HTTP_MESSAGE_DONE:
        if (count_large_body(conn))
            handle_complete_request(conn);
        else
            refuse_large_body(conn);
        break;
    case HTTP_REFUSED:
        refuse_request(conn, parser->refusal_status, parser->refusal);
        break;
    }
    return may_parse_input(conn);
}

static size_t feed(struct http_conn *conn, const char *data, size_t len)
{
    size_t taken = 0, requests = 0;

    for (;;) {
        size_t consumed = 0;
        // Also called with no input left: a head without a body is followed by the end of its message.
        enum http_progress progress =
            http_parser_feed(&conn->parser, data + taken, len - taken, &consumed);
        taken += consumed;
        if (!handle_progress(conn, progress))
            return taken;
        if (!http_parser_is_idle(&conn->parser))
            continue;
        if (taken == len)
            return taken;
        if (++requests == REQUESTS_PER_TURN) {
            net_connection_yield(conn->connection);
            return taken;
        }
    }
}

// --- the connection's handler ---------------------------------------------------------------------

static size_t on_conn_data(void *context, const char *data, size_t len)
{
    struct http_conn *conn = context;

    if (conn->state == HTTP_CONN_STREAM)
        return len;
    if (!may_parse_input(conn))
        return 0;
    conn->is_in_feed = true;
    size_t taken = feed(conn, data, len);
    conn->is_in_feed = false;
    assert(conn->state != HTTP_CONN_HEAD_DONE);
    if (states[conn->state].is_paused)
        net_connection_pause(conn->connection);
    // No further request will be read: input after this one is discarded.
    bool is_last = conn->state == HTTP_CONN_LATE || conn->state == HTTP_CONN_STREAM;
    return is_last ? len : taken;
}

static void on_conn_sent(void *context)
{
    struct http_conn *conn = context;

    if (conn->state == HTTP_CONN_PRODUCING)
        http_conn_continue_pieces(conn);
    else if (conn->state == HTTP_CONN_SENDING && conn->host->is_stopping)
        finish_conn(conn);
    else if (conn->state == HTTP_CONN_SENDING)
        wait_for_request(conn);
}

static bool on_conn_end(void *context)
{
    struct http_conn *conn = context;

    // A stream has no end for which a client could wait.
    if (conn->state == HTTP_CONN_STREAM)
        return false;
    // The client may have shut down its sending side right after its last request; unsent output is still sent.
    finish_conn(conn);
    return true;
}

// Closes the connection if the client has not read its responses for too long; else extends the deadline.
static void check_output_deadline(struct http_conn *conn)
{
    timestamp_ns now = timestamp_monotonic();
    duration_ns left = conn->host->output_deadline - net_connection_stalled(conn->connection, now);
    duration_ns left_in_all = OUTPUT_DEADLINE_MAX - (now - conn->since);

    if (left_in_all < left)
        left = left_in_all;
    if (left > 0)
        net_connection_set_deadline(conn->connection, left);
    else
        http_conn_close(conn);
}

static void end_slow_request(struct http_conn *conn)
{
    if (conn->state == HTTP_CONN_HEAD)
        refuse_request(conn, 408, "request took too long");
    else if (body_time_left(conn) > 0)
        set_body_deadline(conn);
    else
        refuse_request(conn, 408, "the body arrived too slowly");
}

static void on_conn_timeout(void *context)
{
    struct http_conn *conn = context;

    // RFC 9110 15.5.9. Between requests no response is due, and clients expect a silent close.
    if (conn->state == HTTP_CONN_HEAD || conn->state == HTTP_CONN_BODY)
        end_slow_request(conn);
    else if (conn->state == HTTP_CONN_LATE)
        http_conn_send_late_response(conn);
    else if (conn->state == HTTP_CONN_SENDING || conn->state == HTTP_CONN_PRODUCING)
        check_output_deadline(conn);
}

static void on_conn_closed(void *context, enum net_close_reason reason, const struct error *error)
{
    struct http_conn *conn = context;

    if (reason == NET_CLOSED_BY_ERROR)
        log_debug("connection lost", LOG_REASON(error));
    if (conn->state != HTTP_CONN_CLOSED)
        http_conn_move(conn, HTTP_CONN_CLOSED);
    conn->connection = NULL;
    size_t before = atomic_fetch_sub(&conn->host->connections, 1);
    assert(before > 0);
    (void)before;
    if (conn->host->addresses != NULL)
        address_counts_give_back(conn->host->addresses, conn->place);
    http_conn_unref(conn);
}

const struct net_handler http_conn_handler = {
    .on_data = on_conn_data,
    .on_end = on_conn_end,
    .on_sent = on_conn_sent,
    .on_timeout = on_conn_timeout,
    .on_closed = on_conn_closed,
};
