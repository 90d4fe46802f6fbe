// Answers that go on without end.
#include "conversation.h"
#include "ghatrace/http/writer.h"

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

void conversation_end_stream(struct conversation *conversation)
{
    if (conversation->connection != NULL)
        net_connection_close(conversation->connection);
}
