// One connection to the collector: reading its response.
#include "channel_answer.h"

#include "ghatrace/http/write.h"

#define STATUS_REQUEST_TIMEOUT 408
// The parser's status for a body over its limit, and for lack of memory.
#define REFUSAL_TOO_LARGE 413
#define REFUSAL_MEMORY 503

static void read_fields(const struct channel *channel, struct export_answer *answer)
{
    const struct http_head *head = &channel->parser.message;
    answer->status = head->status;
    answer->content_type = http_head_get(head, SLICE("Content-Type"), NULL);
    struct slice retry_after = http_head_get(head, SLICE("Retry-After"), NULL);
    if (retry_after.len == 0 ||
        !http_parse_retry_after(retry_after, timestamp_now(), &answer->retry_after))
        answer->retry_after = 0;
}

// The status decides; a body that is too long to read does not matter.
static void finish_without_body(struct channel *channel)
{
    struct channel_result result = {.has_connected = true,
                                    .connection = channel->connection_number};
    read_fields(channel, &result.answer);
    channel_drop_connection(channel);
    channel_finish(channel, &result);
}

static void finish_with_body(struct channel *channel, bool may_keep)
{
    struct channel_result result = {.has_connected = true,
                                    .connection = channel->connection_number};
    read_fields(channel, &result.answer);
    result.answer.body = buffer_slice(&channel->parser.body);

    bool keeps = may_keep && channel->parser.message.keep_alive &&
                 net_connection_unsent(channel->connection) == 0;
    // RFC 9110 15.5.9: a server may close an idle connection with 408, which may cross our request; the client "MAY
    // repeat that request".
    result.is_stale =
        channel->is_reused && !keeps && result.answer.status == STATUS_REQUEST_TIMEOUT;
    if (!keeps)
        channel_drop_connection(channel);
    channel_finish(channel, &result);
}

static void refuse_answer(struct channel *channel)
{
    const struct http_parser *parser = &channel->parser;
    if (parser->refusal_status == REFUSAL_TOO_LARGE) {
        finish_without_body(channel);
        return;
    }
    struct error error;
    error_set(&error, parser->refusal_status == REFUSAL_MEMORY ? ERROR_MEMORY : ERROR_INVALID,
              "answer of %s: %s", channel->endpoint->host_header, parser->refusal);
    channel_fail(channel, &error);
}

void channel_read(struct channel *channel, const char *data, size_t len)
{
    // Bytes that do not belong to a request's response: the two sides disagree about the framing.
    if (channel->state != CHANNEL_WAITING) {
        channel_drop_connection(channel);
        return;
    }
    channel->has_received = true;
    size_t used = 0;
    enum http_progress progress;
    do {
        size_t consumed = 0;
        progress = http_parser_feed(&channel->parser, data + used, len - used, &consumed);
        used += consumed;
    } while (progress == HTTP_HEAD_DONE);

    if (progress == HTTP_MESSAGE_DONE)
        finish_with_body(channel, used == len);
    else if (progress == HTTP_REFUSED)
        refuse_answer(channel);
}

void channel_read_end(struct channel *channel)
{
    if (channel->state != CHANNEL_WAITING) {
        channel_drop_connection(channel);
        return;
    }
    // A response without a length ends here.
    if (channel->has_received && http_parser_finish(&channel->parser) == HTTP_MESSAGE_DONE) {
        finish_with_body(channel, false);
        return;
    }
    struct error error;
    error_set(&error, ERROR_CLOSED, "%s closed the connection %s", channel->endpoint->host_header,
              channel->has_received ? "in the middle of its answer" : "without an answer");
    channel_fail(channel, &error);
}
