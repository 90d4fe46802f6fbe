// HTTP requests: the result must be the same whether they are fed whole or in pieces. The first byte chooses the
// pieces.
#include "http_pieces.h"

#define BODY_MAX 256 // small, so that it is often reached

struct reading {
    int messages;
    int refusal;
    uint64_t sum; // of everything that was parsed
};

static struct reading read_in_pieces(struct slice text, size_t piece)
{
    struct reading reading = {0};
    struct http_parser parser;
    enum http_progress progress = HTTP_NEED_MORE;
    size_t at = 0;
    http_parser_init(&parser, BODY_MAX);
    while (progress != HTTP_REFUSED && (at < text.len || progress == HTTP_HEAD_DONE)) {
        size_t taken;
        progress =
            pieces_feed(&parser, (struct slice){text.data + at, text.len - at}, piece, &taken);
        at += taken;
        if (progress == HTTP_MESSAGE_DONE) {
            reading.messages++;
            reading.sum = pieces_add_message(reading.sum, &parser);
            http_parser_reset(&parser);
        }
    }
    if (progress == HTTP_REFUSED)
        reading.refusal = parser.refusal_status;
    http_parser_release(&parser);
    return reading;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2)
        return 0;
    const struct slice text = fuzz_slice(data + 1, size - 1);
    struct reading whole = read_in_pieces(text, size);
    struct reading pieces = read_in_pieces(text, 1 + data[0] % 32);
    MUST(whole.messages == pieces.messages);
    MUST(whole.refusal == pieces.refusal);
    MUST(whole.sum == pieces.sum);
    return 0;
}
