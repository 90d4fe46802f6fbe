// All conversations of one loop: who comes in, who makes room, stopping.
#include "conversation_private.h"

#include "ghatrace/base/log.h"
#include "ghatrace/base/memory.h"

// --- who waits --------------------------------------------------------------------------------------

void conversation_begin_waiting(struct conversation *conversation)
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

void conversation_end_waiting(struct conversation *conversation)
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

// --- who comes in -----------------------------------------------------------------------------------

static void link_conversation(struct conversation *conversation)
{
    struct conversation_host *host = conversation->host;

    conversation->next = host->first;
    if (host->first != NULL)
        host->first->previous = conversation;
    host->first = conversation;
}

static void close_for_another(struct conversation *conversation)
{
    struct net_connection *connection = conversation->connection;
    char peer[NET_ADDRESS_TEXT_SIZE];

    log_debug("connection closed: another one needs its place",
              LOG_STRING("peer", net_address_format(net_connection_peer(connection), peer)));
    conversation_end(conversation);
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
    conversation_begin_waiting(conversation);
    net_connection_set_deadline(connection, host->idle_deadline);
    *connection_handler = &conversation_handler;
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
            conversation_send_late_answer(each);
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
