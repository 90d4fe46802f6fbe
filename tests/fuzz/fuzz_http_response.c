// A collector's responses: whole, in pieces, and cut off by the end of the connection. The first byte
// chooses the pieces, and whether it is the response to a HEAD.
#include "ghatrace/http/write.h"
#include "http_pieces.h"

#define BODY_MAX 256 // small, so that it is often reached
#define NOW (INT64_C(1788409017) * NS_PER_SECOND)

static void check_message(const struct http_parser *parser)
{
    const struct http_head *head = &parser->message;
    duration_ns wait;
    MUST(head->status >= 200 && head->status <= 999);
    if (http_parse_retry_after(http_head_get(head, SLICE("retry-after"), NULL), NOW, &wait))
        MUST(wait >= 0);
}

// Reads one message; `*consumed` is where it ended.
static enum http_progress read_in_pieces(struct http_parser *parser, bool head_only,
                                         struct slice text, size_t piece, size_t *consumed)
{
    enum http_progress progress = HTTP_NEED_MORE;
    size_t at = 0;
    http_parser_init(parser, HTTP_RESPONSE, BODY_MAX);
    parser->head_only = head_only;
    while (progress == HTTP_HEAD_DONE || (progress == HTTP_NEED_MORE && at < text.len)) {
        size_t taken;
        progress =
            pieces_feed(parser, (struct slice){text.data + at, text.len - at}, piece, &taken);
        at += taken;
    }
    if (progress == HTTP_NEED_MORE)
        progress = http_parser_finish(parser);
    MUST(progress == HTTP_MESSAGE_DONE || progress == HTTP_REFUSED);
    if (progress == HTTP_MESSAGE_DONE)
        check_message(parser);
    *consumed = at;
    return progress;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct http_parser whole;
    struct http_parser pieces;
    size_t whole_len;
    size_t pieces_len;
    if (size < 2)
        return 0;
    const struct slice text = fuzz_slice(data + 1, size - 1);
    bool head_only = data[0] >= 192;
    enum http_progress progress = read_in_pieces(&whole, head_only, text, size, &whole_len);
    MUST(read_in_pieces(&pieces, head_only, text, 1 + data[0] % 64, &pieces_len) == progress);
    if (progress == HTTP_MESSAGE_DONE) {
        MUST(whole_len == pieces_len);
        MUST(pieces_add_message(0, &whole) == pieces_add_message(0, &pieces));
    } else {
        MUST(whole.refusal_status == pieces.refusal_status);
    }
    http_parser_release(&whole);
    http_parser_release(&pieces);
    return 0;
}
