// One connection to the collector: resolve, connect, send, end.
#include "channel.h"

#include "channel_answer.h"

// The connection lingers for a moment; whatever is received on it is ignored.
void channel_drop_connection(struct channel *channel)
{
    if (channel->connection == NULL)
        return;
    net_connection_set_context(channel->connection, NULL);
    net_connection_close(channel->connection);
    channel->connection = NULL;
}

static void end_request(struct channel *channel)
{
    channel->state = CHANNEL_IDLE;
    net_timer_cancel(channel->timer);
    buffer_release(&channel->request);
}

void channel_finish(struct channel *channel, const struct channel_result *result)
{
    end_request(channel);
    channel->done(channel->context, result); // may send the next request: no code may follow
}

void channel_fail(struct channel *channel, const struct error *error)
{
    // RFC 9110 9.2.2 allows a client to repeat a request that is known not to have been processed; here repetition is
    // harmless anyway. A server may close a kept connection while a request is being written.
    struct channel_result result = {
        .is_stale = channel->is_reused && !channel->has_received && error->code != ERROR_TIMEOUT,
        .error = *error,
        .has_connected = channel->state == CHANNEL_WAITING,
        .connection = channel->connection_number,
    };
    channel_drop_connection(channel);
    channel_finish(channel, &result);
}

static enum error_code write_request(struct channel *channel, struct error *error)
{
    struct buffer request = channel->request;
    buffer_init(&channel->request, 0);
    http_parser_reset(&channel->parser);
    channel->has_received = false;
    channel->state = CHANNEL_WAITING;

    enum error_code code =
        net_connection_write_owned(channel->connection, request.data, request.len);
    if (code != ERROR_NONE)
        error_set(error, code, "send to %s: %s", channel->endpoint->host_header,
                  error_code_text(code));
    return code;
}

static void on_connected(void *context)
{
    struct channel *channel = context;
    struct error error;
    if (channel == NULL)
        return;
    channel->connection_number = ++*channel->connections;
    net_connection_set_deadline(channel->connection, 0);
    if (write_request(channel, &error) != ERROR_NONE)
        channel_fail(channel, &error);
}

static size_t on_data(void *context, const char *data, size_t len)
{
    if (context != NULL)
        channel_read(context, data, len);
    return len;
}

static bool on_end(void *context)
{
    if (context != NULL)
        channel_read_end(context);
    return false;
}

// If one address fails, the next one may work. Each gets a share of the time.
static duration_ns connect_time(const struct channel *channel)
{
    size_t left = channel->address_count - channel->address_next + 1;
    if (left <= 1)
        return 0; // the request's own timer suffices
    if (channel->timeout <= 0)
        return CHANNEL_CONNECT_TIME;
    duration_ns remaining = channel->timeout - (timestamp_monotonic() - channel->sent_at);
    return remaining > NS_PER_MS ? remaining / (duration_ns)left : NS_PER_MS;
}

static void connect_next(struct channel *channel);

static void on_closed(void *context, enum net_close_reason reason, const struct error *error)
{
    struct channel *channel = context;
    if (channel == NULL)
        return;
    channel->connection = NULL;
    struct error why;
    if (reason == NET_CLOSED_BY_TIMEOUT)
        error_set(&why, ERROR_TIMEOUT, "connect to %s: timed out", channel->endpoint->host_header);
    else if (reason == NET_CLOSED_BY_ERROR && error != NULL)
        why = *error;
    else
        error_set(&why, ERROR_CLOSED, "%s closed the connection without an answer",
                  channel->endpoint->host_header);

    if (channel->state == CHANNEL_CONNECTING) {
        channel->last_error = why;
        connect_next(channel);
    } else if (channel->state == CHANNEL_WAITING) {
        channel_fail(channel, &why);
    }
}

static const struct net_handler handler = {
    .on_connected = on_connected,
    .on_data = on_data,
    .on_end = on_end,
    .on_closed = on_closed,
};

static void connect_next(struct channel *channel)
{
    channel->state = CHANNEL_CONNECTING;
    while (channel->address_next < channel->address_count) {
        const struct net_address *address = &channel->addresses[channel->address_next++];
        if (net_connection_connect_tls(channel->loop, address, channel->tls,
                                       channel->endpoint->host, &handler, channel,
                                       &channel->connection, &channel->last_error) == ERROR_NONE) {
            net_connection_set_deadline(channel->connection, connect_time(channel));
            return;
        }
        channel->connection = NULL;
    }
    struct error error = channel->last_error;
    channel_fail(channel, &error);
}

static void on_resolved(void *context, const struct net_address *addresses, size_t count,
                        const struct error *error)
{
    struct channel *channel = context;
    if (channel->state != CHANNEL_RESOLVING) // the result arrived after the timeout
        return;
    if (count == 0) {
        channel_fail(channel, error);
        return;
    }
    channel->address_count = count < NET_RESOLVED_MAX ? count : NET_RESOLVED_MAX;
    channel->address_next = 0;
    memcpy(channel->addresses, addresses, channel->address_count * sizeof addresses[0]);
    connect_next(channel);
}

static void on_timeout(void *context)
{
    struct channel *channel = context;
    struct error error;
    char text[TIMESTAMP_TEXT_SIZE];
    static const char *const doing[] = {
        [CHANNEL_IDLE] = "",
        [CHANNEL_RESOLVING] = "no address for",
        [CHANNEL_CONNECTING] = "no connection to",
        [CHANNEL_WAITING] = "no answer from",
    };
    if (channel->state == CHANNEL_IDLE)
        return;
    error_set(&error, ERROR_TIMEOUT, "%s %s within %s", doing[channel->state],
              channel->endpoint->host_header, duration_format_short(channel->timeout, text));
    channel_fail(channel, &error);
}

enum error_code channel_init(struct channel *channel, struct net_loop *loop,
                             const struct export_endpoint *endpoint, duration_ns timeout,
                             uint64_t *connections, channel_done done, void *context,
                             struct error *error)
{
    *channel = (struct channel){.loop = loop,
                                .endpoint = endpoint,
                                .timeout = timeout,
                                .connections = connections,
                                .done = done,
                                .context = context};
    buffer_init(&channel->request, 0);
    http_parser_init(&channel->parser, HTTP_RESPONSE, CHANNEL_BODY_MAX);
    enum error_code code = net_timer_create(loop, on_timeout, channel, &channel->timer, error);
    if (code == ERROR_NONE)
        code = net_resolver_create(loop, &channel->resolver, error);
    if (code != ERROR_NONE)
        channel_release(channel);
    return code;
}

void channel_release(struct channel *channel)
{
    channel_drop_connection(channel);
    if (channel->resolver != NULL)
        net_resolver_destroy(channel->resolver);
    if (channel->timer != NULL)
        net_timer_destroy(channel->timer);
    buffer_release(&channel->request);
    http_parser_release(&channel->parser);
    *channel = (struct channel){.state = CHANNEL_IDLE};
}

enum error_code channel_send(struct channel *channel, struct buffer *request, struct error *error)
{
    enum error_code code;
    channel->request = *request;
    buffer_init(request, 0);
    channel->is_reused = channel->connection != NULL;
    channel->sent_at = timestamp_monotonic();
    if (channel->timeout > 0)
        net_timer_set(channel->timer, channel->timeout);

    if (channel->is_reused) {
        code = write_request(channel, error);
    } else {
        channel->state = CHANNEL_RESOLVING;
        // Resolved for each connection: collectors move, and a name may have several addresses.
        code = net_resolver_start(channel->resolver, channel->endpoint->host,
                                  channel->endpoint->port, on_resolved, channel, error);
    }
    if (code != ERROR_NONE) {
        channel_drop_connection(channel);
        end_request(channel);
    }
    return code;
}
