// The parser's life cycle, and how it collects a head byte by byte.
#include "ghatrace/http/parser.h"

#include "ghatrace/base/error.h"

#include "internal.h"

#define BODY_KEPT_BYTES 32768 // bodies up to this size leave their memory to the next message
// RFC 9112 2.2: "a server [...] SHOULD ignore at least one empty line (CRLF) received prior to the
// request-line".
#define EMPTY_LINES_MAX 4
#define INTERIM_RESPONSES_MAX 16

void http_parser_init(struct http_parser *parser, enum http_role role, uint64_t body_max_bytes)
{
    *parser = (struct http_parser){.role = role, .body_max = body_max_bytes};
    buffer_init(&parser->head_bytes, HTTP_HEAD_BYTES_MAX);
    buffer_init(&parser->body, 0);
}

void http_parser_release(struct http_parser *parser)
{
    buffer_release(&parser->head_bytes);
    buffer_release(&parser->body);
}

void http_parser_reset(struct http_parser *parser)
{
    parser->state = STATE_HEAD_LINE;
    parser->remaining = 0;
    parser->line_bytes = 0;
    parser->skipped = 0;
    parser->head_only = false;
    parser->message = (struct http_head){0};
    parser->refusal_status = 0;
    parser->refusal = NULL;
    buffer_clear(&parser->head_bytes);
    buffer_clear(&parser->body);
    if (parser->body.capacity > BODY_KEPT_BYTES)
        buffer_release(&parser->body);
}

enum http_progress http_refuse(struct http_parser *parser, int status, const char *why)
{
    parser->state = STATE_REFUSED;
    parser->refusal_status = status;
    parser->refusal = why;
    return HTTP_REFUSED;
}

bool http_parser_is_idle(const struct http_parser *parser)
{
    return parser->state == STATE_HEAD_LINE && parser->head_bytes.len == 0;
}

// --- the head -------------------------------------------------------------------------------------

static enum http_progress refuse_large_head(struct http_parser *parser, bool in_start_line)
{
    if (in_start_line && parser->role == HTTP_REQUEST)
        return http_refuse(parser, 414, "the request line is too long");
    return http_refuse(parser, 431, "the header fields are too large");
}

static enum http_progress append_head(struct http_parser *parser, const char *data, size_t len)
{
    bool in_start_line = parser->head_bytes.len == parser->line_bytes;

    if (in_start_line && len > HTTP_START_LINE_MAX - parser->line_bytes)
        return refuse_large_head(parser, true);
    switch (buffer_append(&parser->head_bytes, data, len)) {
    case ERROR_NONE:
        return HTTP_NEED_MORE;
    case ERROR_TOO_LARGE:
        return refuse_large_head(parser, in_start_line);
    default:
        return http_refuse(parser, 503, "out of memory");
    }
}

// Refuses what does not belong into any line at once, without waiting for its end: a TLS greeting
// sent to the plain port has no line end to wait for.
static enum http_progress read_head_line(struct http_parser *parser, struct http_input *input)
{
    const char *start = input->next;

    while (input->next < input->end && http_is_field_char(*input->next))
        input->next++;
    size_t len = (size_t)(input->next - start);
    if (len != 0) {
        if (append_head(parser, start, len) != HTTP_NEED_MORE)
            return HTTP_REFUSED;
        parser->line_bytes += len;
    }
    if (input->next == input->end)
        return HTTP_NEED_MORE;
    char c = *input->next++;
    if (c == '\n')
        return http_refuse(parser, 400, "a line of the head ends without CR");
    if (c != '\r')
        return http_refuse(parser, 400, "a control character in the head");
    parser->state = STATE_HEAD_LF;
    return HTTP_NEED_MORE;
}

static enum http_progress skip_empty_line(struct http_parser *parser)
{
    if (parser->role != HTTP_REQUEST || parser->skipped == EMPTY_LINES_MAX)
        return http_refuse(parser, 400, "empty lines before the start line");
    parser->skipped++;
    return HTTP_NEED_MORE;
}

// RFC 9110 15.2: "A client MUST be able to parse one or more 1xx responses received prior to a
// final response".
static enum http_progress skip_interim_response(struct http_parser *parser)
{
    if (parser->message.status == 101)
        return http_refuse(parser, 400, "the server switches protocols without being asked");
    if (parser->skipped == INTERIM_RESPONSES_MAX)
        return http_refuse(parser, 400, "too many interim responses");
    parser->skipped++;
    parser->message = (struct http_head){0};
    buffer_clear(&parser->head_bytes);
    return HTTP_NEED_MORE;
}

static enum http_progress complete_head(struct http_parser *parser)
{
    if (http_parse_head(parser) == HTTP_REFUSED)
        return HTTP_REFUSED;
    if (parser->role == HTTP_RESPONSE && parser->message.status < 200)
        return skip_interim_response(parser);
    if (!http_has_no_body(parser) && parser->message.body_length > parser->body_max)
        return http_refuse(parser, 413, "Content-Length is over the limit");
    parser->state = STATE_BODY_START;
    return HTTP_HEAD_DONE;
}

static enum http_progress read_head_lf(struct http_parser *parser, struct http_input *input)
{
    if (input->next == input->end)
        return HTTP_NEED_MORE;
    if (*input->next++ != '\n')
        return http_refuse(parser, 400, "a CR without LF in the head");
    parser->state = STATE_HEAD_LINE;
    if (parser->line_bytes == 0)
        return parser->head_bytes.len == 0 ? skip_empty_line(parser) : complete_head(parser);
    if (append_head(parser, "\r\n", 2) != HTTP_NEED_MORE)
        return HTTP_REFUSED;
    parser->line_bytes = 0;
    return HTTP_NEED_MORE;
}

// --- feeding --------------------------------------------------------------------------------------

static enum http_progress take_step(struct http_parser *parser, struct http_input *input)
{
    switch ((enum parser_state)parser->state) {
    case STATE_HEAD_LINE:
        return read_head_line(parser, input);
    case STATE_HEAD_LF:
        return read_head_lf(parser, input);
    case STATE_BODY_START:
        return http_begin_body(parser);
    case STATE_BODY_LENGTH:
    case STATE_BODY_TO_CLOSE:
        return http_read_body(parser, input);
    case STATE_DONE:
        return HTTP_MESSAGE_DONE;
    case STATE_REFUSED:
        return HTTP_REFUSED;
    default:
        return http_read_chunked(parser, input);
    }
}

enum http_progress http_parser_feed(struct http_parser *parser, const char *data, size_t len,
                                    size_t *consumed)
{
    // No arithmetic on a null pointer, which callers may pass with length 0.
    const char *start = len != 0 ? data : "";
    struct http_input input = {.next = start, .end = start + len};
    enum http_progress progress;
    int state;

    // A step that neither finishes nor changes the state has run out of input.
    do {
        state = parser->state;
        progress = take_step(parser, &input);
    } while (progress == HTTP_NEED_MORE && parser->state != state);
    *consumed = (size_t)(input.next - start);
    return progress;
}

enum http_progress http_parser_finish(struct http_parser *parser)
{
    if (parser->state == STATE_BODY_START && http_begin_body(parser) == HTTP_REFUSED)
        return HTTP_REFUSED;
    if (parser->state == STATE_BODY_TO_CLOSE)
        parser->state = STATE_DONE;
    if (parser->state == STATE_DONE)
        return HTTP_MESSAGE_DONE;
    if (parser->state == STATE_REFUSED)
        return HTTP_REFUSED;
    return http_refuse(parser, 400,
                       http_parser_is_idle(parser)
                           ? "the connection closed before a message"
                           : "the connection closed in the middle of a message");
}

struct slice http_head_get(const struct http_head *head, struct slice name, size_t *count)
{
    struct slice value = SLICE_EMPTY;
    size_t found = 0;

    for (size_t i = 0; i < head->header_count; i++) {
        if (!slice_equals_ignoring_case(head->headers[i].name, name))
            continue;
        if (found++ == 0)
            value = head->headers[i].value;
    }
    if (count != NULL)
        *count = found;
    return value;
}
