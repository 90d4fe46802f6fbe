// HTTP messages in pieces, and a hash of what was parsed, for comparisons.
#ifndef GHATRACE_TESTS_FUZZ_HTTP_PIECES_H
#define GHATRACE_TESTS_FUZZ_HTTP_PIECES_H

#include "fuzz.h"
#include "ghatrace/http/parse.h"

// Feeds the next piece, from a block of its own: a read past the piece, or a pointer that is kept into it, is
// detected.
static inline enum http_progress pieces_feed(struct http_parser *parser, struct slice text,
                                             size_t piece, size_t *taken)
{
    size_t len = text.len < piece ? text.len : piece;
    char *copy = malloc(len + (len == 0));
    MUST(copy != NULL);
    if (len > 0)
        memcpy(copy, text.data, len);
    *taken = 0;
    enum http_progress progress = http_parser_feed(parser, copy, len, taken);
    free(copy);
    MUST(*taken <= len);
    MUST(*taken == len || progress != HTTP_NEED_MORE);
    return progress;
}

static inline uint64_t pieces_add(uint64_t sum, struct slice text)
{
    sum = sum * 31 + text.len;
    for (size_t i = 0; i < text.len; i++)
        sum = sum * 31 + (unsigned char)text.data[i];
    return sum;
}

// Adds a whole message, after checking that its parts can be read.
static inline uint64_t pieces_add_message(uint64_t sum, const struct http_parser *parser)
{
    const struct http_head *head = &parser->message;
    sum = sum * 31 + (head->keep_alive ? 1 : 0) + (head->expects_continue ? 2 : 0) +
          (head->has_body_length ? 4 : 0) + (head->is_chunked ? 8 : 0) +
          (uint64_t)head->minor_version * 16;
    sum = pieces_add(sum * 31 + head->body_length, head->method);
    sum = pieces_add(sum, head->target);
    sum = pieces_add(sum, head->path);
    sum = pieces_add(sum, head->query);
    sum = pieces_add(sum, buffer_slice(&parser->body));
    MUST(parser->body.len <= parser->body_max);
    MUST(!(head->is_chunked && head->has_body_length));
    MUST(head->header_count <= HTTP_HEADERS_MAX);
    for (size_t i = 0; i < head->header_count; i++) {
        const struct http_header *header = &head->headers[i];
        MUST(header->name.len > 0);
        for (size_t k = 0; k < header->value.len; k++)
            MUST(header->value.data[k] != '\r' && header->value.data[k] != '\n' &&
                 header->value.data[k] != '\0');
        sum = pieces_add(pieces_add(sum, header->name), header->value);
    }
    return sum;
}

#endif
