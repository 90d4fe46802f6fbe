// The body of a message: by length, by chunks, or to the end of the connection (RFC 9112 6 and 7).
#include "ghatrace/base/error.h"
#include "ghatrace/base/slice.h"
#include "internal.h"

// --- chunked --------------------------------------------------------------------------------------
// The chunked transfer coding (RFC 9112 7.1), one byte at a time outside the data.

static enum http_progress refuse_size_line(struct http_parser *parser)
{
    return http_refuse(parser, 400, "a chunk size is malformed");
}

static enum http_progress refuse_size(struct http_parser *parser)
{
    return http_refuse(parser, 413, "the body is over the limit");
}

static enum http_progress move_to(struct http_parser *parser, enum parser_state state)
{
    parser->state = (int)state;
    return HTTP_NEED_MORE;
}

// chunk = chunk-size [ chunk-ext ] CRLF chunk-data CRLF. No sign, no 0x, at least one digit.
static enum http_progress take_size_char(struct http_parser *parser, char c)
{
    int digit = hex_digit_value(c);

    if (digit >= 0) {
        if (parser->remaining > UINT64_MAX >> 4)
            return refuse_size(parser);
        parser->remaining = parser->remaining << 4 | (uint64_t)digit;
        return HTTP_NEED_MORE;
    }
    if (parser->line_bytes == 1)
        return refuse_size_line(parser);
    switch (c) {
    case '\r':
        return move_to(parser, STATE_CHUNK_SIZE_LF);
    case ';':
        return move_to(parser, STATE_CHUNK_EXTENSION);
    case ' ':
    case '\t':
        return move_to(parser, STATE_CHUNK_BLANK);
    default:
        return refuse_size_line(parser);
    }
}

// chunk-ext = *( BWS ";" BWS chunk-ext-name ... ): blanks must be followed by an extension.
static enum http_progress take_blank_char(struct http_parser *parser, char c)
{
    if (c == ' ' || c == '\t')
        return HTTP_NEED_MORE;
    return c == ';' ? move_to(parser, STATE_CHUNK_EXTENSION) : refuse_size_line(parser);
}

// RFC 9112 7.1.1: "A recipient MUST ignore unrecognized chunk extensions." None are recognized.
static enum http_progress take_extension_char(struct http_parser *parser, char c)
{
    if (c == '\r')
        return move_to(parser, STATE_CHUNK_SIZE_LF);
    return http_is_field_char(c) ? HTTP_NEED_MORE : refuse_size_line(parser);
}

static enum http_progress end_size_line(struct http_parser *parser, char c)
{
    if (c != '\n')
        return refuse_size_line(parser);
    parser->line_bytes = 0;
    if (parser->remaining == 0)
        return move_to(parser, STATE_TRAILER_START);
    if (parser->body.len > parser->body_max ||
        parser->remaining > parser->body_max - parser->body.len)
        return refuse_size(parser);
    return move_to(parser, STATE_CHUNK_DATA);
}

static enum http_progress take_size_line_char(struct http_parser *parser, char c)
{
    if (++parser->line_bytes > HTTP_CHUNK_LINE_MAX)
        return http_refuse(parser, 400, "a chunk extension is too long");
    switch (parser->state) {
    case STATE_CHUNK_SIZE:
        return take_size_char(parser, c);
    case STATE_CHUNK_BLANK:
        return take_blank_char(parser, c);
    case STATE_CHUNK_EXTENSION:
        return take_extension_char(parser, c);
    default:
        return end_size_line(parser, c);
    }
}

static enum http_progress take_data_end_char(struct http_parser *parser, char c)
{
    bool is_cr = parser->state == STATE_CHUNK_DATA_CR;

    if (c != (is_cr ? '\r' : '\n'))
        return http_refuse(parser, 400, "chunk data is longer than its size");
    return move_to(parser, is_cr ? STATE_CHUNK_DATA_LF : STATE_CHUNK_SIZE);
}

static enum http_progress take_trailer_start(struct http_parser *parser, char c)
{
    if (c == '\r')
        return move_to(parser, STATE_END_LF);
    if (http_is_token_char(c))
        return move_to(parser, STATE_TRAILER_NAME);
    return http_refuse(parser, 400, "a trailer field is malformed");
}

// Trailers must be valid fields, but they are dropped: RFC 9110 6.5.1 forbids merging them into the head unless their
// definition permits it.
static enum http_progress take_trailer_char(struct http_parser *parser, char c)
{
    if (++parser->line_bytes > HTTP_TRAILER_BYTES_MAX)
        return http_refuse(parser, 431, "the trailer fields are too large");
    switch (parser->state) {
    case STATE_TRAILER_START:
        return take_trailer_start(parser, c);
    case STATE_TRAILER_NAME:
        if (http_is_token_char(c))
            return HTTP_NEED_MORE;
        if (c == ':')
            return move_to(parser, STATE_TRAILER_VALUE);
        break;
    case STATE_TRAILER_VALUE:
        if (http_is_field_char(c))
            return HTTP_NEED_MORE;
        if (c == '\r')
            return move_to(parser, STATE_TRAILER_LF);
        break;
    case STATE_TRAILER_LF:
        if (c == '\n')
            return move_to(parser, STATE_TRAILER_START);
        break;
    default:
        if (c == '\n')
            return move_to(parser, STATE_DONE);
        break;
    }
    return http_refuse(parser, 400, "a trailer field is malformed");
}

static enum http_progress take_char(struct http_parser *parser, char c)
{
    switch (parser->state) {
    case STATE_CHUNK_SIZE:
    case STATE_CHUNK_BLANK:
    case STATE_CHUNK_EXTENSION:
    case STATE_CHUNK_SIZE_LF:
        return take_size_line_char(parser, c);
    case STATE_CHUNK_DATA_CR:
    case STATE_CHUNK_DATA_LF:
        return take_data_end_char(parser, c);
    default:
        return take_trailer_char(parser, c);
    }
}

static enum http_progress http_append_body(struct http_parser *parser, struct http_input *input,
                                           size_t len);

static enum http_progress read_chunk_data(struct http_parser *parser, struct http_input *input)
{
    size_t len = http_input_left(input);

    if (len > parser->remaining)
        len = (size_t)parser->remaining;
    if (http_append_body(parser, input, len) == HTTP_REFUSED)
        return HTTP_REFUSED;
    parser->remaining -= len;
    return parser->remaining == 0 ? move_to(parser, STATE_CHUNK_DATA_CR) : HTTP_NEED_MORE;
}

enum http_progress http_read_chunked(struct http_parser *parser, struct http_input *input)
{
    enum http_progress progress = HTTP_NEED_MORE;

    while (progress == HTTP_NEED_MORE && input->next < input->end && parser->state != STATE_DONE) {
        if (parser->state == STATE_CHUNK_DATA)
            progress = read_chunk_data(parser, input);
        else
            progress = take_char(parser, *input->next++);
    }
    return progress;
}

// --- body -----------------------------------------------------------------------------------------
// Body framing (RFC 9112 6.3), and bodies with a known length or delimited by the close.

// The initial reservation for a body, regardless of Content-Length: memory is allocated for bytes received, not for
// bytes announced.
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

    // Checked again, because the limit may have been lowered since the head.
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

// Appends to the body; refuses if it exceeds its limit or memory runs out.
static enum http_progress http_append_body(struct http_parser *parser, struct http_input *input,
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
