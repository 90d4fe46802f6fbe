// HTTP requests: whole and in pieces they must mean the same. The first byte chooses the pieces.
#include "fuzz.h"
#include "ghatrace/http/parser.h"

#define BODY_MAX 4096

struct reading {
    int messages;
    int refusal;
    uint64_t consumed;
    uint64_t sum; // of all that was understood
};

static void add(struct reading *reading, struct slice text)
{
    reading->sum = reading->sum * 31 + text.len;
    for (size_t i = 0; i < text.len; i++)
        reading->sum = reading->sum * 31 + (unsigned char)text.data[i];
}

static void take_message(struct reading *reading, const struct http_parser *parser)
{
    const struct http_head *head = &parser->message;
    reading->messages++;
    reading->sum = reading->sum * 31 + (head->keep_alive ? 1 : 0) +
                   (head->expects_continue ? 2 : 0) + (uint64_t)head->minor_version * 4;
    add(reading, head->method);
    add(reading, head->target);
    add(reading, head->path);
    add(reading, head->query);
    add(reading, buffer_slice(&parser->body));
    MUST(parser->body.len <= BODY_MAX);
    MUST(head->header_count <= HTTP_HEADERS_MAX);
    for (size_t i = 0; i < head->header_count; i++) {
        MUST(head->headers[i].name.len > 0);
        add(reading, head->headers[i].name);
        add(reading, head->headers[i].value);
        for (size_t k = 0; k < head->headers[i].value.len; k++)
            MUST(head->headers[i].value.data[k] != '\r' && head->headers[i].value.data[k] != '\n' &&
                 head->headers[i].value.data[k] != '\0');
    }
    MUST(!(head->is_chunked && head->has_body_length));
}

static struct reading read_in_pieces(const uint8_t *data, size_t size, size_t piece)
{
    struct reading reading = {0};
    struct http_parser parser;
    size_t at = 0;
    http_parser_init(&parser, HTTP_REQUEST, BODY_MAX);
    while (at < size && reading.refusal == 0) {
        size_t len = size - at < piece ? size - at : piece;
        // A block of its own, so that a read past the piece or a pointer into it is seen.
        char *copy = malloc(len);
        MUST(copy != NULL);
        memcpy(copy, data + at, len);
        size_t taken = 0;
        enum http_progress progress = HTTP_HEAD_DONE;
        while (progress != HTTP_NEED_MORE && progress != HTTP_REFUSED &&
               (taken < len || progress == HTTP_HEAD_DONE)) {
            size_t consumed = 0;
            progress = http_parser_feed(&parser, copy + taken, len - taken, &consumed);
            taken += consumed;
            MUST(taken <= len);
            if (progress == HTTP_REFUSED)
                reading.refusal = parser.refusal_status;
            if (progress == HTTP_MESSAGE_DONE) {
                take_message(&reading, &parser);
                http_parser_reset(&parser);
            }
        }
        free(copy);
        at += taken;
        if (progress == HTTP_NEED_MORE)
            MUST(taken == len);
    }
    reading.consumed = at;
    http_parser_release(&parser);
    return reading;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    struct reading whole = read_in_pieces(data + 1, size - 1, size);
    struct reading pieces = read_in_pieces(data + 1, size - 1, 1 + data[0] % 32);
    MUST(whole.messages == pieces.messages);
    MUST(whole.refusal == pieces.refusal);
    MUST(whole.sum == pieces.sum);
    return 0;
}
