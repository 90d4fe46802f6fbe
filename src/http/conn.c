// One client's HTTP conversation: bytes to requests, answers to bytes, deadlines, pipelining.
#include "conn.h"

#include <assert.h>
#include <string.h>

#include "ghatrace/base/log.h"
#include "ghatrace/base/memory.h"
#include "ghatrace/http/server.h"
#include "ghatrace/http/write.h"

// --- states ---------------------------------------------------------------------------------------

#define TO(state) (1U << CONVERSATION_##state)

// What holds in each state, and which states may follow it.
static const struct {
    enum eviction_group group; // whose list it is in
    bool is_paused;            // the connection is not read
    unsigned next;
} states[] = {
    [CONVERSATION_NEW] = {EVICTION_NONE, false, TO(IDLE)},
    [CONVERSATION_IDLE] = {EVICTION_HEAD, false,
                           TO(HEAD) | TO(HEAD_DONE) | TO(FINISHING) | TO(CLOSED)},
    [CONVERSATION_HEAD] = {EVICTION_HEAD, false, TO(HEAD_DONE) | TO(FINISHING) | TO(CLOSED)},
    [CONVERSATION_HEAD_DONE] = {EVICTION_NONE, false,
                                TO(BODY) | TO(PENDING) | TO(IDLE) | TO(SENDING) | TO(LATE) |
                                    TO(STREAM) | TO(FINISHING) | TO(CLOSED)},
    [CONVERSATION_BODY] = {EVICTION_BODY, false, TO(PENDING) | TO(FINISHING) | TO(CLOSED)},
    [CONVERSATION_PENDING] = {EVICTION_NONE, true,
                              TO(IDLE) | TO(SENDING) | TO(LATE) | TO(STREAM) | TO(FINISHING) |
                                  TO(CLOSED)},
    [CONVERSATION_SENDING] = {EVICTION_OUTPUT, true, TO(IDLE) | TO(FINISHING) | TO(CLOSED)},
    [CONVERSATION_LATE] = {EVICTION_LATE, true, TO(FINISHING) | TO(CLOSED)},
    [CONVERSATION_STREAM] = {EVICTION_NONE, true, TO(CLOSED)},
    [CONVERSATION_FINISHING] = {EVICTION_OUTPUT, false, TO(CLOSED)},
    [CONVERSATION_CLOSED] = {EVICTION_NONE, false, 0},
};

enum eviction_group conversation_group(const struct conversation *conversation)
{
    return states[conversation->state].group;
}

static void leave_list(struct conversation *conversation, enum eviction_group group)
{
    struct conversation_host *host = conversation->host;

    if (group == EVICTION_NONE)
        return;
    assert(host->counts.members[group] > 0);
    TAILQ_REMOVE(&host->waiting[group], conversation, waiting);
    host->counts.members[group]--;
}

static void join_list(struct conversation *conversation, enum eviction_group group)
{
    struct conversation_host *host = conversation->host;

    if (group == EVICTION_NONE)
        return;
    TAILQ_INSERT_TAIL(&host->waiting[group], conversation, waiting);
    conversation->since = timestamp_monotonic();
    host->counts.members[group]++;
}

// Without a connection nothing is read or answered, and between requests nothing is kept of the last one.
static void check(const struct conversation *conversation)
{
    assert(conversation->connection != NULL || conversation->state == CONVERSATION_CLOSED);
    if (conversation->state == CONVERSATION_IDLE)
        assert(http_parser_is_idle(&conversation->parser) && conversation->large_bytes == 0 &&
               conversation->begun_at == 0);
    if (conversation->state == CONVERSATION_HEAD_DONE)
        assert(conversation->is_in_feed);
}

void conversation_move(struct conversation *conversation, enum conversation_state to)
{
    enum conversation_state from = conversation->state;

    assert((states[from].next & 1U << to) != 0);
    conversation->state = to;
    // The wait for a head is one, whether or not some of it has come.
    if (to != CONVERSATION_HEAD) {
        leave_list(conversation, states[from].group);
        join_list(conversation, states[to].group);
    }
    check(conversation);
    // on_data() pauses at its end: most requests are answered before, and reading never stops.
    if (conversation->is_in_feed)
        return;
    if (states[to].is_paused && !states[from].is_paused)
        net_connection_pause(conversation->connection);
    else if (to == CONVERSATION_IDLE && states[from].is_paused)
        net_connection_resume(conversation->connection);
}

void conversation_close(struct conversation *conversation)
{
    if (conversation->state == CONVERSATION_CLOSED)
        return;
    conversation_move(conversation, CONVERSATION_CLOSED);
    net_connection_close(conversation->connection);
}

// The last answer is given, or there is no connection to give one on.
static bool is_over(const struct conversation *conversation)
{
    return conversation->state == CONVERSATION_FINISHING ||
           conversation->state == CONVERSATION_CLOSED;
}

// --- life -----------------------------------------------------------------------------------------

static void give_back_large(struct conversation *conversation)
{
    if (conversation->large_bytes > 0)
        body_memory_give_back(conversation->host->body_memory, conversation->large_bytes);
    conversation->large_bytes = 0;
}

void conversation_hold(struct conversation *conversation)
{
    conversation->holds++;
}

void conversation_let_go(struct conversation *conversation)
{
    struct conversation_host *host = conversation->host;

    assert(conversation->holds > 0);
    if (--conversation->holds > 0)
        return;
    give_back_large(conversation);
    assert(conversation->state == CONVERSATION_CLOSED && conversation->connection == NULL);
    LIST_REMOVE(conversation, all);
    if (host->service->on_free != NULL)
        host->service->on_free(conversation);
    http_parser_release(&conversation->parser);
    memory_free(conversation);
    if (host->is_stopping && LIST_EMPTY(&host->conversations))
        host->on_empty(host->context);
}

// --- answers --------------------------------------------------------------------------------------

static bool has_body(const struct http_head *head)
{
    return head->is_chunked || head->body_length > 0;
}

// With a body unread, its bytes would be taken for the next request.
static bool can_go_on(const struct conversation *conversation)
{
    const struct http_head *head = &conversation->parser.message;

    return head->keep_alive && !conversation->host->is_stopping &&
           (conversation->state == CONVERSATION_PENDING || !has_body(head));
}

// The last answer is given; the client may still have to take it.
static void finish(struct conversation *conversation)
{
    conversation_move(conversation, CONVERSATION_FINISHING);
    conversation_host_look_again(conversation->host);
    net_connection_set_deadline(conversation->connection, 0); // finishing has its own
    net_connection_finish(conversation->connection);
}

// Is too much unsent for another request? Where many clients do not read, anything is.
static bool has_much_unsent(const struct conversation *conversation)
{
    const struct conversation_host *host = conversation->host;
    size_t unsent = net_connection_unsent(conversation->connection);

    return unsent > (host->memory > host->most_memory / 2 ? 0 : UNSENT_MAX);
}

// The others take all memory that there is for clients that do not read, and this is one more.
static bool is_one_too_many(const struct conversation *conversation)
{
    const struct conversation_host *host = conversation->host;
    size_t own = net_connection_memory(conversation->connection);

    return own > 0 && host->memory - own > host->most_memory;
}

static void wait_for_reader(struct conversation *conversation)
{
    conversation_move(conversation, CONVERSATION_SENDING);
    net_connection_set_deadline(conversation->connection, conversation->host->output_deadline);
    net_connection_tell_drained(conversation->connection);
}

static void wait_for_request(struct conversation *conversation)
{
    const struct conversation_host *host = conversation->host;

    conversation_move(conversation, CONVERSATION_IDLE);
    net_connection_set_deadline(conversation->connection,
                                host->is_stopping ? host->last_idle : host->idle_deadline);
}

static void begin_next(struct conversation *conversation)
{
    http_parser_reset(&conversation->parser);
    give_back_large(conversation);
    conversation->begun_at = 0;
    if (is_one_too_many(conversation)) {
        log_debug("connection closed: too many clients do not read their answers");
        conversation_close(conversation);
        return;
    }
    if (has_much_unsent(conversation))
        wait_for_reader(conversation);
    else
        wait_for_request(conversation);
    conversation_host_look_again(conversation->host);
}

// The answer and, where `owned` is not NULL, its body, which is taken over.
static enum error_code write_answer(struct conversation *conversation, const struct answer *answer,
                                    bool keep_alive, struct buffer *owned)
{
    struct buffer *out = &conversation->host->out;
    bool is_head = slice_equals(conversation->parser.message.method, SLICE("HEAD"));
    enum error_code code;

    buffer_clear(out);
    if (owned == NULL)
        code = answer_write(answer, timestamp_now(), keep_alive, is_head, out);
    else
        code = answer_write_head(answer, timestamp_now(), keep_alive, owned->len, out);
    if (code == ERROR_NONE)
        code = net_connection_write(conversation->connection, out->data, out->len);
    if (code == ERROR_NONE && owned != NULL && owned->len > 0 && !is_head) {
        code = net_connection_write_owned(conversation->connection, owned->data, owned->len);
        buffer_init(owned, owned->max);
    }
    return code;
}

static void send_answer(struct conversation *conversation, const struct answer *answer,
                        bool keep_alive, struct buffer *owned)
{
    enum error_code code = write_answer(conversation, answer, keep_alive, owned);

    // No memory even for this, or the client has left: closing is all the answer there can be.
    if (code != ERROR_NONE)
        conversation_close(conversation);
    else if (keep_alive)
        begin_next(conversation);
    else
        finish(conversation);
}

void conversation_answer(struct conversation *conversation, const struct answer *answer)
{
    if (!is_over(conversation))
        send_answer(conversation, answer, can_go_on(conversation), NULL);
}

void conversation_answer_owned(struct conversation *conversation, const struct answer *answer,
                               struct buffer *body)
{
    if (!is_over(conversation))
        send_answer(conversation, answer, can_go_on(conversation), body);
    buffer_release(body); // what was not taken over
}

void conversation_send_late_answer(struct conversation *conversation)
{
    struct answer answer;

    answer_set_error(&answer, conversation->late_status, conversation->late_message);
    send_answer(conversation, &answer, false, NULL);
}

void conversation_answer_late(struct conversation *conversation, int status, const char *message,
                              duration_ns after)
{
    if (is_over(conversation))
        return;
    conversation_move(conversation, CONVERSATION_LATE);
    conversation->late_status = status;
    conversation->late_message = message;
    http_parser_reset(&conversation->parser);
    give_back_large(conversation);
    if (conversation->host->is_stopping) {
        conversation_send_late_answer(conversation);
        return;
    }
    conversation_host_look_again(conversation->host);
    net_connection_set_deadline(conversation->connection, after);
}

static void refuse(struct conversation *conversation, int status, const char *message)
{
    struct answer answer;

    answer_set_error(&answer, status, message);
    conversation->host->service->on_refused(conversation, status, message);
    send_answer(conversation, &answer, false, NULL);
}

// --- answers that go on without end ---------------------------------------------------------------

bool conversation_begin_stream(struct conversation *conversation, const struct answer *answer)
{
    struct buffer *out = &conversation->host->out;

    buffer_clear(out);
    enum error_code code =
        answer_write_head(answer, timestamp_now(), false, HTTP_LENGTH_UNKNOWN, out);
    if (code == ERROR_NONE)
        code = net_connection_write(conversation->connection, out->data, out->len);
    if (code != ERROR_NONE) {
        conversation_close(conversation);
        return false;
    }
    conversation_move(conversation, CONVERSATION_STREAM);
    net_connection_set_deadline(conversation->connection, 0);
    return true;
}

bool conversation_stream(struct conversation *conversation, struct slice bytes, size_t most_unsent)
{
    if (conversation->state != CONVERSATION_STREAM)
        return false;
    if (net_connection_unsent(conversation->connection) <= most_unsent &&
        net_connection_stalled(conversation->connection, timestamp_monotonic()) <
            conversation->host->output_deadline &&
        net_connection_write(conversation->connection, bytes.data, bytes.len) == ERROR_NONE)
        return true;
    conversation_close(conversation);
    return false;
}

// --- requests -------------------------------------------------------------------------------------

// What has come of a body so far counts, as the memory that it takes.
static bool take_large(struct conversation *conversation)
{
    struct body_memory *memory = conversation->host->body_memory;
    uint64_t taken = conversation->parser.body.capacity;

    if (memory == NULL || taken <= LARGE_BODY || taken <= conversation->large_bytes)
        return true;
    if (!body_memory_take(memory, taken - conversation->large_bytes))
        return false;
    conversation->large_bytes = taken;
    return true;
}

static void refuse_large(struct conversation *conversation)
{
    refuse(conversation, 503, "too many large bodies at a time, try again later");
}

// RFC 9110 10.1.1: the client waits for leave to send the body; an answer in its place refuses it.
static void ask_for_body(struct conversation *conversation)
{
    static const char text[] = "HTTP/1.1 100 Continue\r\n\r\n";

    if (net_connection_write(conversation->connection, text, sizeof text - 1) != ERROR_NONE)
        conversation_close(conversation);
}

// Of a body's time, if no more comes of it: the whole request's, and what its rate allows. 0 or less: it is over.
static duration_ns body_time_left(const struct conversation *conversation)
{
    const struct conversation_host *host = conversation->host;
    timestamp_ns now = timestamp_monotonic();
    duration_ns left = host->request_deadline - (now - conversation->begun_at);
    duration_ns left_by_rate = eviction_body_time(conversation->parser.body.len, host->body_grace) -
                               (now - conversation->since);

    return left < left_by_rate ? left : left_by_rate;
}

// Looked at again when it would be over: no timer is set as bytes come in.
static void set_body_deadline(struct conversation *conversation)
{
    duration_ns left = body_time_left(conversation);

    net_connection_set_deadline(conversation->connection,
                                left > 0 ? left : 1); // 0 would be for ever
}

static void take_head(struct conversation *conversation)
{
    const struct http_head *head = &conversation->parser.message;

    conversation_move(conversation, CONVERSATION_HEAD_DONE);
    if (!conversation->host->service->on_head(conversation, head))
        return;
    if (head->expects_continue && has_body(head))
        ask_for_body(conversation);
}

static void take_request(struct conversation *conversation)
{
    struct http_parser *parser = &conversation->parser;

    conversation_move(conversation, CONVERSATION_PENDING);
    net_connection_set_deadline(conversation->connection, 0);
    conversation->host->service->on_request(conversation, &parser->message,
                                            buffer_slice(&parser->body));
}

// A part of a request is there. Most come in one piece and never need a deadline.
static void wait_for_rest(struct conversation *conversation)
{
    const struct conversation_host *host = conversation->host;

    if (conversation->state == CONVERSATION_IDLE)
        conversation_move(conversation, CONVERSATION_HEAD);
    if (conversation->begun_at == 0) { // one deadline for all of it, however it trickles in
        conversation->begun_at = timestamp_monotonic();
        net_connection_set_deadline(conversation->connection,
                                    host->request_deadline < host->head_deadline
                                        ? host->request_deadline
                                        : host->head_deadline);
    }
    if (conversation->state == CONVERSATION_HEAD_DONE) {
        conversation_move(conversation, CONVERSATION_BODY);
        set_body_deadline(conversation);
    }
}

// In the middle of on_data(): may more of the input be parsed?
static bool takes_input(const struct conversation *conversation)
{
    return conversation->state >= CONVERSATION_IDLE && conversation->state <= CONVERSATION_BODY;
}

// True: go on feeding.
static bool take_progress(struct conversation *conversation, enum http_progress progress)
{
    struct http_parser *parser = &conversation->parser;

    switch (progress) {
    case HTTP_NEED_MORE:
        if (!take_large(conversation))
            refuse_large(conversation);
        else if (!http_parser_is_idle(parser))
            wait_for_rest(conversation);
        return false;
    case HTTP_HEAD_DONE:
        take_head(conversation);
        break;
    case HTTP_MESSAGE_DONE:
        if (take_large(conversation))
            take_request(conversation);
        else
            refuse_large(conversation);
        break;
    case HTTP_REFUSED:
        refuse(conversation, parser->refusal_status, parser->refusal);
        break;
    }
    return takes_input(conversation);
}

static size_t feed(struct conversation *conversation, const char *data, size_t len)
{
    size_t taken = 0, requests = 0;

    for (;;) {
        size_t consumed = 0;
        // Also with nothing left: a head without a body is followed by the end of its message.
        enum http_progress progress =
            http_parser_feed(&conversation->parser, data + taken, len - taken, &consumed);
        taken += consumed;
        if (!take_progress(conversation, progress))
            return taken;
        if (!http_parser_is_idle(&conversation->parser))
            continue;
        if (taken == len)
            return taken;
        if (++requests == REQUESTS_PER_TURN) {
            net_connection_yield(conversation->connection);
            return taken;
        }
    }
}

// --- the connection's handler ---------------------------------------------------------------------

static size_t on_data(void *context, const char *data, size_t len)
{
    struct conversation *conversation = context;

    if (!takes_input(conversation))
        return 0;
    conversation->is_in_feed = true;
    size_t taken = feed(conversation, data, len);
    conversation->is_in_feed = false;
    assert(conversation->state != CONVERSATION_HEAD_DONE);
    if (states[conversation->state].is_paused)
        net_connection_pause(conversation->connection);
    // No further request will be read: what is behind this one is given up.
    bool is_last =
        conversation->state == CONVERSATION_LATE || conversation->state == CONVERSATION_STREAM;
    return is_last ? len : taken;
}

static void on_drained(void *context)
{
    struct conversation *conversation = context;

    if (conversation->state != CONVERSATION_SENDING)
        return;
    if (conversation->host->is_stopping)
        finish(conversation);
    else
        wait_for_request(conversation);
}

static bool on_end(void *context)
{
    struct conversation *conversation = context;

    // The client may have closed its side right behind its last request; what is still on its
    // way to it is sent.
    finish(conversation);
    return true;
}

// The client has not read its answers for too long, or else it gets more time.
static void give_time_to_read(struct conversation *conversation)
{
    timestamp_ns now = timestamp_monotonic();
    duration_ns left =
        conversation->host->output_deadline - net_connection_stalled(conversation->connection, now);
    duration_ns left_in_all = OUTPUT_DEADLINE_MAX - (now - conversation->since);

    if (left_in_all < left)
        left = left_in_all;
    if (left > 0)
        net_connection_set_deadline(conversation->connection, left);
    else
        conversation_close(conversation);
}

static void end_slow_request(struct conversation *conversation)
{
    if (conversation->state == CONVERSATION_HEAD)
        refuse(conversation, 408, "request took too long");
    else if (body_time_left(conversation) > 0)
        set_body_deadline(conversation);
    else
        refuse(conversation, 408, "the body came too slowly");
}

static void on_timeout(void *context)
{
    struct conversation *conversation = context;

    // RFC 9110 15.5.9. Between requests there is nothing to answer, and silence is what clients
    // expect there.
    if (conversation->state == CONVERSATION_HEAD || conversation->state == CONVERSATION_BODY)
        end_slow_request(conversation);
    else if (conversation->state == CONVERSATION_LATE)
        conversation_send_late_answer(conversation);
    else if (conversation->state == CONVERSATION_SENDING)
        give_time_to_read(conversation);
}

static void on_closed(void *context, enum net_close_reason reason, const struct error *error)
{
    struct conversation *conversation = context;

    if (reason == NET_CLOSED_BY_ERROR)
        log_debug("connection lost", LOG_REASON(error));
    if (conversation->state != CONVERSATION_CLOSED)
        conversation_move(conversation, CONVERSATION_CLOSED);
    conversation->connection = NULL;
    atomic_fetch_sub(&conversation->host->connections, 1);
    if (conversation->host->addresses != NULL)
        address_counts_give_back(conversation->host->addresses, conversation->place);
    conversation_let_go(conversation);
}

const struct net_handler conversation_handler = {
    .on_data = on_data,
    .on_end = on_end,
    .on_drained = on_drained,
    .on_timeout = on_timeout,
    .on_closed = on_closed,
};
