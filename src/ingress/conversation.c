// One client's HTTP conversation: bytes to requests, answers to bytes, deadlines, pipelining.
#include "conversation.h"

#include <string.h>

#include "ghatrace/base/log.h"
#include "ghatrace/base/memory.h"

static void link_conversation(struct conversation *conversation)
{
    struct conversation_host *host = conversation->host;

    conversation->next = host->first;
    if (host->first != NULL)
        host->first->previous = conversation;
    host->first = conversation;
}

static void unlink_conversation(struct conversation *conversation)
{
    if (conversation->previous != NULL)
        conversation->previous->next = conversation->next;
    else
        conversation->host->first = conversation->next;
    if (conversation->next != NULL)
        conversation->next->previous = conversation->previous;
}

static void begin_waiting(struct conversation *conversation)
{
    struct conversation_host *host = conversation->host;

    conversation->before = host->last_waiting;
    conversation->after = NULL;
    if (host->last_waiting != NULL)
        host->last_waiting->after = conversation;
    else
        host->longest_waiting = conversation;
    host->last_waiting = conversation;
    conversation->is_waiting = true;
}

static void end_waiting(struct conversation *conversation)
{
    struct conversation_host *host = conversation->host;

    if (!conversation->is_waiting)
        return;
    if (conversation->before != NULL)
        conversation->before->after = conversation->after;
    else
        host->longest_waiting = conversation->after;
    if (conversation->after != NULL)
        conversation->after->before = conversation->before;
    else
        host->last_waiting = conversation->before;
    conversation->is_waiting = false;
}

// The last answer is given, or none can be.
static void end_conversation(struct conversation *conversation)
{
    end_waiting(conversation);
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

static void begin_next(struct conversation *conversation)
{
    bool was_pending = conversation->phase == CONVERSATION_PENDING;

    http_parser_reset(&conversation->parser);
    give_back_large(conversation);
    conversation->phase = CONVERSATION_READING;
    conversation->has_begun = false;
    conversation->head_is_read = false;
    conversation->body_is_read = false;
    end_waiting(conversation); // its turn counts from now
    begin_waiting(conversation);
    net_listener_look_again(conversation->host->listener);
    net_connection_set_deadline(conversation->connection, conversation->host->idle_deadline);
    if (was_pending && !conversation->is_in_feed)
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
    if (code != ERROR_NONE) {
        end_conversation(conversation);
        net_connection_close(conversation->connection);
    } else if (keep_alive) {
        begin_next(conversation);
    } else {
        end_conversation(conversation);
        net_connection_set_deadline(conversation->connection, 0); // finishing has its own
        net_connection_finish(conversation->connection);
    }
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

static void send_late_answer(struct conversation *conversation)
{
    struct answer answer;

    end_waiting(conversation);
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
        send_late_answer(conversation);
        return;
    }
    begin_waiting(conversation);
    net_listener_look_again(conversation->host->listener);
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

    if (net_connection_write(conversation->connection, text, sizeof text - 1) != ERROR_NONE) {
        end_conversation(conversation);
        net_connection_close(conversation->connection);
    }
}

// Of the whole request's time.
static duration_ns time_left(const struct conversation *conversation)
{
    duration_ns left =
        conversation->host->request_deadline - (timestamp_monotonic() - conversation->begun_at);

    return left > 0 ? left : 1; // 0 would be for ever
}

static void take_head(struct conversation *conversation)
{
    const struct http_head *head = &conversation->parser.message;

    conversation->head_is_read = true;
    end_waiting(conversation);
    if (conversation->has_begun)
        net_connection_set_deadline(conversation->connection, time_left(conversation));
    if (!conversation->host->service->on_head(conversation, head))
        return;
    if (head->expects_continue && has_body(head))
        ask_for_body(conversation);
}

static void take_request(struct conversation *conversation)
{
    struct http_parser *parser = &conversation->parser;

    conversation->body_is_read = true;
    conversation->phase = CONVERSATION_PENDING;
    net_connection_set_deadline(conversation->connection, 0);
    conversation->host->service->on_request(conversation, &parser->message,
                                            buffer_slice(&parser->body));
}

// Most requests come in one piece and never need the deadline.
static void begin_request(struct conversation *conversation)
{
    if (conversation->has_begun)
        return; // one deadline for all of it, however it trickles in
    const struct conversation_host *host = conversation->host;
    bool is_whole = conversation->head_is_read || host->request_deadline < host->head_deadline;
    conversation->has_begun = true;
    conversation->begun_at = timestamp_monotonic();
    net_connection_set_deadline(conversation->connection,
                                is_whole ? host->request_deadline : host->head_deadline);
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
    size_t taken = 0;

    for (;;) {
        size_t consumed = 0;
        // Also with nothing left: a head without a body is followed by the end of its message.
        enum http_progress progress =
            http_parser_feed(&conversation->parser, data + taken, len - taken, &consumed);
        taken += consumed;
        if (!take_progress(conversation, progress))
            return taken;
        if (taken == len && http_parser_is_idle(&conversation->parser))
            return taken;
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
    if (conversation->phase == CONVERSATION_PENDING || conversation->phase == CONVERSATION_LATE ||
        conversation->phase == CONVERSATION_STREAM)
        net_connection_pause(conversation->connection);
    return taken;
}

static bool on_end(void *context)
{
    struct conversation *conversation = context;

    // The client may have closed its side right behind its last request; what is still on its
    // way to it is sent.
    end_conversation(conversation);
    net_connection_finish(conversation->connection);
    return true;
}

static void on_timeout(void *context)
{
    struct conversation *conversation = context;

    // RFC 9110 15.5.9. Between requests there is nothing to answer, and silence is what clients
    // expect there.
    if (conversation->phase == CONVERSATION_READING && conversation->has_begun)
        refuse(conversation, 408, "request took too long");
    else if (conversation->phase == CONVERSATION_LATE)
        send_late_answer(conversation);
}

static void on_closed(void *context, enum net_close_reason reason, const struct error *error)
{
    struct conversation *conversation = context;

    if (reason == NET_CLOSED_BY_ERROR)
        log_debug("connection lost", LOG_REASON(error));
    conversation->connection = NULL;
    atomic_fetch_sub(&conversation->host->connections, 1);
    end_conversation(conversation);
    if (conversation->host->addresses != NULL)
        address_counts_give_back(conversation->host->addresses, conversation->place);
    conversation_let_go(conversation);
}

static const struct net_handler handler = {
    .on_data = on_data,
    .on_end = on_end,
    .on_timeout = on_timeout,
    .on_closed = on_closed,
};

// --- the host -------------------------------------------------------------------------------------

static void close_for_another(struct conversation *conversation)
{
    struct net_connection *connection = conversation->connection;
    char peer[NET_ADDRESS_TEXT_SIZE];

    log_debug("connection closed: another one needs its place",
              LOG_STRING("peer", net_address_format(net_connection_peer(connection), peer)));
    end_conversation(conversation);
    net_connection_close(connection);
}

// Its address may have as many connections as it may: then one of them that waits makes room, as among
// all, if this thread has any such.
static bool find_place(struct conversation_host *host, const struct net_connection *connection,
                       struct address_place **place)
{
    const struct net_address *peer = net_connection_peer(connection);
    char text[NET_ADDRESS_TEXT_SIZE];

    if (host->addresses == NULL || address_counts_take(host->addresses, peer, place))
        return true;
    for (struct conversation *each = host->longest_waiting; each != NULL; each = each->after) {
        if (*place == NULL || each->place != *place)
            continue;
        each->place = NULL; // passed on
        close_for_another(each);
        return true;
    }
    address_counts_note_refusal(host->addresses);
    log_debug("connection closed: too many from its address",
              LOG_STRING("peer", net_address_format(peer, text)));
    return false;
}

static bool on_accept(void *context, struct net_connection *connection,
                      const struct net_handler **connection_handler, void **connection_context)
{
    struct conversation_host *host = context;
    struct conversation *conversation = memory_allocate_array(1, sizeof *conversation);

    if (conversation == NULL)
        return false;
    if (!find_place(host, connection, &conversation->place)) {
        memory_free(conversation);
        return false;
    }
    conversation->host = host;
    conversation->connection = connection;
    conversation->holds = 1;
    http_parser_init(&conversation->parser, HTTP_REQUEST, host->max_body_bytes);
    link_conversation(conversation);
    atomic_fetch_add(&host->connections, 1);
    begin_waiting(conversation);
    net_connection_set_deadline(connection, host->idle_deadline);
    *connection_handler = &handler;
    *connection_context = conversation;
    return true;
}

static bool make_room(void *context)
{
    struct conversation_host *host = context;

    if (host->longest_waiting == NULL)
        return false;
    close_for_another(host->longest_waiting);
    return true;
}

static bool may_come(void *context, const struct net_address *peer)
{
    const struct conversation_host *host = context;

    return host->service->may_come == NULL || host->service->may_come(host->context, peer);
}

static const struct net_accept_handler accept_handler = {
    .may_come = may_come, .on_accept = on_accept, .make_room = make_room};

// Heads and bodies of all our answers are far below this.
#define ANSWER_BYTES_MAX 16384

void conversation_host_init(struct conversation_host *host)
{
    if (host->head_deadline == 0)
        host->head_deadline = HEAD_DEADLINE;
    if (host->request_deadline == 0)
        host->request_deadline = REQUEST_DEADLINE;
    if (host->idle_deadline == 0)
        host->idle_deadline = IDLE_DEADLINE;
    buffer_init(&host->out, ANSWER_BYTES_MAX);
}

enum error_code conversation_host_listen(struct conversation_host *host,
                                         const struct net_address *address, bool share_port,
                                         size_t max_connections, struct error *error)
{
    return net_listener_create(host->loop, address, share_port, max_connections, &accept_handler,
                               host, &host->listener, error);
}

static bool is_idle(const struct conversation *conversation)
{
    return conversation->phase == CONVERSATION_READING && !conversation->has_begun &&
           net_connection_unsent(conversation->connection) == 0;
}

void conversation_host_stop(struct conversation_host *host)
{
    if (host->is_stopping)
        return;
    host->is_stopping = true;
    net_listener_destroy(host->listener);
    host->listener = NULL;
    // Nothing is freed in here: connections are reaped later.
    for (struct conversation *each = host->first; each != NULL; each = each->next) {
        if (each->connection != NULL && is_idle(each))
            net_connection_close(each->connection);
        else if (each->connection != NULL && each->phase == CONVERSATION_LATE)
            send_late_answer(each);
    }
    if (host->first == NULL)
        host->on_empty(host->context);
}

void conversation_host_abort(struct conversation_host *host)
{
    for (struct conversation *each = host->first; each != NULL; each = each->next)
        if (each->connection != NULL)
            net_connection_close(each->connection);
}

void conversation_host_release(struct conversation_host *host)
{
    net_listener_destroy(host->listener);
    host->listener = NULL;
    buffer_release(&host->out);
}
