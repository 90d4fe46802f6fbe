// Bodies: how one is framed (RFC 9112 6.3), and those of known length or up to the close.
#include "ghatrace/base/error.h"

#include "internal.h"

// The first bytes of a body reserve at most this, whatever Content-Length announces: memory is
// given for what has come, not for what is promised.
#define FIRST_RESERVE_BYTES 16384

bool http_has_no_body(const struct http_parser *parser)
{
    const struct http_head *head = &parser->message;

    if (parser->role == HTTP_REQUEST)
        return !head->is_chunked && !head->has_body_length;
    return parser->head_only || head->status < 200 || head->status == 204 || head->status == 304;
}

static size_t to_size(uint64_t value)
{
    size_t size = (size_t)value;

    return size == value ? size : SIZE_MAX;
}

static enum http_progress begin_known_length(struct http_parser *parser)
{
    uint64_t length = parser->message.body_length;

    // Once more, because the limit may have been lowered since the head.
    if (length > parser->body_max)
        return http_refuse(parser, 413, "Content-Length is over the limit");
    parser->remaining = length;
    parser->body.max = to_size(length);
    parser->state = length != 0 ? STATE_BODY_LENGTH : STATE_DONE;
    return HTTP_NEED_MORE;
}

enum http_progress http_begin_body(struct http_parser *parser)
{
    parser->remaining = 0;
    parser->line_bytes = 0;
    if (http_has_no_body(parser)) {
        parser->state = STATE_DONE;
        return HTTP_NEED_MORE;
    }
    if (parser->message.has_body_length)
        return begin_known_length(parser);
    parser->body.max = to_size(parser->body_max);
    parser->state = parser->message.is_chunked ? STATE_CHUNK_SIZE : STATE_BODY_TO_CLOSE;
    return HTTP_NEED_MORE;
}

static enum error_code reserve_first(struct http_parser *parser)
{
    uint64_t expected = parser->remaining;

    if (parser->body.len != 0 || expected == 0)
        return ERROR_NONE;
    return buffer_reserve(&parser->body,
                          expected < FIRST_RESERVE_BYTES ? (size_t)expected : FIRST_RESERVE_BYTES);
}

enum http_progress http_append_body(struct http_parser *parser, struct http_input *input,
                                    size_t len)
{
    enum error_code code = reserve_first(parser);

    if (code == ERROR_NONE)
        code = buffer_append(&parser->body, input->next, len);
    if (code == ERROR_TOO_LARGE)
        return http_refuse(parser, 413, "the body is over the limit");
    if (code != ERROR_NONE)
        return http_refuse(parser, 503, "out of memory");
    input->next += len;
    return HTTP_NEED_MORE;
}

enum http_progress http_read_body(struct http_parser *parser, struct http_input *input)
{
    size_t len = http_input_left(input);

    if (parser->state == STATE_BODY_TO_CLOSE)
        return len != 0 ? http_append_body(parser, input, len) : HTTP_NEED_MORE;
    if (len > parser->remaining)
        len = (size_t)parser->remaining;
    if (len == 0)
        return HTTP_NEED_MORE;
    if (http_append_body(parser, input, len) == HTTP_REFUSED)
        return HTTP_REFUSED;
    parser->remaining -= len;
    if (parser->remaining == 0)
        parser->state = STATE_DONE;
    return HTTP_NEED_MORE;
}
