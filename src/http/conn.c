// Answers that go on without end.
#include "conn.h"

#include <string.h>

#include "ghatrace/base/log.h"
#include "ghatrace/base/memory.h"
#include "ghatrace/http/server.h"
#include "ghatrace/http/write.h"

bool conversation_begin_stream(struct conversation *conversation, const struct answer *answer)
{
    struct buffer *out = &conversation->host->out;

    buffer_clear(out);
    enum error_code code =
        answer_write_head(answer, timestamp_now(), false, HTTP_LENGTH_UNKNOWN, out);
    if (code == ERROR_NONE)
        code = net_connection_write(conversation->connection, out->data, out->len);
    if (code != ERROR_NONE) {
        net_connection_close(conversation->connection);
        return false;
    }
    conversation->phase = CONVERSATION_STREAM;
    net_connection_set_deadline(conversation->connection, 0);
    return true;
}

bool conversation_stream(struct conversation *conversation, struct slice bytes, size_t most_unsent)
{
    if (conversation->connection == NULL || conversation->phase != CONVERSATION_STREAM)
        return false;
    if (net_connection_unsent(conversation->connection) <= most_unsent &&
        net_connection_stalled(conversation->connection, timestamp_monotonic()) <
            conversation->host->output_deadline &&
        net_connection_write(conversation->connection, bytes.data, bytes.len) == ERROR_NONE)
        return true;
    net_connection_close(conversation->connection);
    return false;
}

// --- conversation ---------------------------------------------------------------------------------
// One client's HTTP conversation: bytes to requests, answers to bytes, deadlines, pipelining.

static void unlink_conversation(struct conversation *conversation)
{
    if (conversation->previous != NULL)
        conversation->previous->next = conversation->next;
    else
        conversation->host->first = conversation->next;
    if (conversation->next != NULL)
        conversation->next->previous = conversation->previous;
}

void conversation_end(struct conversation *conversation)
{
    conversation_end_waiting(conversation);
    conversation->phase = CONVERSATION_ENDED;
}

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

    if (--conversation->holds > 0)
        return;
    give_back_large(conversation);
    unlink_conversation(conversation);
    if (host->service->on_free != NULL)
        host->service->on_free(conversation);
    http_parser_release(&conversation->parser);
    memory_free(conversation);
    if (host->is_stopping && host->first == NULL)
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
           (conversation->body_is_read || !has_body(head));
}

// The last answer is given; the client may still have to take it.
static void finish(struct conversation *conversation)
{
    conversation->phase = CONVERSATION_ENDED;
    conversation_begin_waiting(conversation, EVICTION_OUTPUT);
    conversation_host_look_again(conversation->host);
    net_connection_set_deadline(conversation->connection, 0); // finishing has its own
    net_connection_finish(conversation->connection);
}

static void close_now(struct conversation *conversation)
{
    conversation_end(conversation);
    net_connection_close(conversation->connection);
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
    conversation->phase = CONVERSATION_SENDING;
    conversation_begin_waiting(conversation, EVICTION_OUTPUT);
    net_connection_set_deadline(conversation->connection, conversation->host->output_deadline);
    net_connection_tell_drained(conversation->connection);
}

static void wait_for_request(struct conversation *conversation)
{
    const struct conversation_host *host = conversation->host;

    conversation->phase = CONVERSATION_READING;
    conversation_begin_waiting(conversation, EVICTION_HEAD);
    net_connection_set_deadline(conversation->connection,
                                host->is_stopping ? host->last_idle : host->idle_deadline);
}

static void begin_next(struct conversation *conversation)
{
    bool was_pending = conversation->phase == CONVERSATION_PENDING;

    http_parser_reset(&conversation->parser);
    give_back_large(conversation);
    conversation->has_begun = false;
    conversation->head_is_read = false;
    conversation->body_is_read = false;
    if (is_one_too_many(conversation)) {
        log_debug("connection closed: too many clients do not read their answers");
        close_now(conversation);
        return;
    }
    if (has_much_unsent(conversation))
        wait_for_reader(conversation);
    else
        wait_for_request(conversation);
    conversation_host_look_again(conversation->host);
    if (conversation->phase == CONVERSATION_READING && was_pending && !conversation->is_in_feed)
        net_connection_resume(conversation->connection);
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
        close_now(conversation);
    else if (keep_alive)
        begin_next(conversation);
    else
        finish(conversation);
}

void conversation_answer(struct conversation *conversation, const struct answer *answer)
{
    if (conversation->connection != NULL && conversation->phase != CONVERSATION_ENDED)
        send_answer(conversation, answer, can_go_on(conversation), NULL);
}

void conversation_answer_owned(struct conversation *conversation, const struct answer *answer,
                               struct buffer *body)
{
    if (conversation->connection != NULL && conversation->phase != CONVERSATION_ENDED)
        send_answer(conversation, answer, can_go_on(conversation), body);
    buffer_release(body); // what was not taken over
}

void conversation_send_late_answer(struct conversation *conversation)
{
    struct answer answer;

    conversation_end_waiting(conversation);
    answer_set_error(&answer, conversation->late_status, conversation->late_message);
    send_answer(conversation, &answer, false, NULL);
}

void conversation_answer_late(struct conversation *conversation, int status, const char *message,
                              duration_ns after)
{
    if (conversation->connection == NULL || conversation->phase == CONVERSATION_ENDED)
        return;
    conversation->phase = CONVERSATION_LATE;
    conversation->late_status = status;
    conversation->late_message = message;
    http_parser_reset(&conversation->parser);
    give_back_large(conversation);
    if (conversation->host->is_stopping) {
        conversation_send_late_answer(conversation);
        return;
    }
    conversation_begin_waiting(conversation, EVICTION_LATE);
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
        close_now(conversation);
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

    conversation->head_is_read = true;
    conversation_end_waiting(conversation);
    if (!conversation->host->service->on_head(conversation, head))
        return;
    if (head->expects_continue && has_body(head))
        ask_for_body(conversation);
}

static void take_request(struct conversation *conversation)
{
    struct http_parser *parser = &conversation->parser;

    conversation->body_is_read = true;
    conversation_end_waiting(conversation);
    conversation->phase = CONVERSATION_PENDING;
    net_connection_set_deadline(conversation->connection, 0);
    conversation->host->service->on_request(conversation, &parser->message,
                                            buffer_slice(&parser->body));
}

// Most requests come in one piece and never need the deadline.
static void begin_request(struct conversation *conversation)
{
    const struct conversation_host *host = conversation->host;

    if (!conversation->has_begun) { // one deadline for all of it, however it trickles in
        conversation->has_begun = true;
        conversation->begun_at = timestamp_monotonic();
        net_connection_set_deadline(conversation->connection,
                                    host->request_deadline < host->head_deadline
                                        ? host->request_deadline
                                        : host->head_deadline);
    }
    if (conversation->head_is_read && conversation->group != EVICTION_BODY) {
        conversation_begin_waiting(conversation, EVICTION_BODY);
        set_body_deadline(conversation);
    }
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
            begin_request(conversation);
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
    return conversation->phase == CONVERSATION_READING;
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

    if (conversation->phase != CONVERSATION_READING)
        return 0;
    conversation->is_in_feed = true;
    size_t taken = feed(conversation, data, len);
    conversation->is_in_feed = false;
    switch (conversation->phase) {
    case CONVERSATION_READING:
    case CONVERSATION_ENDED:
        return taken;
    case CONVERSATION_PENDING:
    case CONVERSATION_SENDING:
        net_connection_pause(conversation->connection);
        return taken;
    case CONVERSATION_LATE:
    case CONVERSATION_STREAM:
        break;
    }
    net_connection_pause(conversation->connection);
    return len; // no further request will be read
}

static void on_drained(void *context)
{
    struct conversation *conversation = context;

    if (conversation->phase != CONVERSATION_SENDING)
        return;
    if (conversation->host->is_stopping) {
        finish(conversation);
        return;
    }
    wait_for_request(conversation);
    net_connection_resume(conversation->connection);
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
        close_now(conversation);
}

static void end_slow_request(struct conversation *conversation)
{
    if (conversation->group != EVICTION_BODY)
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
    if (conversation->phase == CONVERSATION_READING && conversation->has_begun)
        end_slow_request(conversation);
    else if (conversation->phase == CONVERSATION_LATE)
        conversation_send_late_answer(conversation);
    else if (conversation->phase == CONVERSATION_SENDING)
        give_time_to_read(conversation);
}

static void on_closed(void *context, enum net_close_reason reason, const struct error *error)
{
    struct conversation *conversation = context;

    if (reason == NET_CLOSED_BY_ERROR)
        log_debug("connection lost", LOG_REASON(error));
    conversation->connection = NULL;
    atomic_fetch_sub(&conversation->host->connections, 1);
    conversation_end(conversation);
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
