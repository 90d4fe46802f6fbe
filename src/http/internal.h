// Internal interface between the parser and the writer.
#ifndef GHATRACE_HTTP_INTERNAL_H
#define GHATRACE_HTTP_INTERNAL_H

#include "ghatrace/http/parse.h"

enum parser_state {
    STATE_HEAD_LINE,       // within a line of the head
    STATE_HEAD_LF,         // after its CR
    STATE_BODY_START,      // head reported; the body's framing is decided on the next feed
    STATE_BODY_LENGTH,     // `remaining` bytes left
    STATE_BODY_TO_CLOSE,   // until the connection closes
    STATE_CHUNK_SIZE,      // hexadecimal digits; `remaining` is the value so far
    STATE_CHUNK_BLANK,     // blanks after them, which only an extension may follow
    STATE_CHUNK_EXTENSION, // after ';'
    STATE_CHUNK_SIZE_LF,   // after the CR of that line
    STATE_CHUNK_DATA,      // `remaining` bytes left
    STATE_CHUNK_DATA_CR,   // data complete
    STATE_CHUNK_DATA_LF,
    STATE_TRAILER_START, // at the start of a line after the last chunk
    STATE_TRAILER_NAME,
    STATE_TRAILER_VALUE,
    STATE_TRAILER_LF, // after the CR of a trailer field
    STATE_END_LF,     // after the CR of the empty line that ends the trailers
    STATE_DONE,
    STATE_REFUSED,
};

// The unread part of the input. Readers consume from the front.
struct http_input {
    const char *next;
    const char *end;
};

static inline size_t http_input_left(const struct http_input *input)
{
    return (size_t)(input->end - input->next);
}

// Marks the message as refused. `why` is static text.
enum http_progress http_refuse(struct http_parser *parser, int status, const char *why);

// body.c: one step within a body: consumes input until the state changes or the input ends.
bool http_has_no_body(const struct http_parser *parser);
enum http_progress http_begin_body(struct http_parser *parser);
enum http_progress http_read_body(struct http_parser *parser, struct http_input *input);
// The same within a chunked body.
enum http_progress http_read_chunked(struct http_parser *parser, struct http_input *input);

// parse.c: character sets and grammars of RFC 9110 5.6.2 and 5.5, RFC 9112 3.2.
bool http_is_token_char(char c);
bool http_is_field_char(char c); // field-vchar, obs-text, SP or HTAB
bool http_is_token(struct slice s);
bool http_is_field_value(struct slice s);
// Origin form, or `*`.
bool http_is_target(struct slice s);
// uri-host [ ":" port ], possibly empty.
bool http_is_host(struct slice s);

#endif
