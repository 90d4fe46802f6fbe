// A collector's answers, in pieces, and cut off by the end of the connection.
#include "fuzz.h"
#include "ghatrace/http/parser.h"
#include "ghatrace/http/writer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct http_parser parser;
    if (size < 2)
        return 0;
    size_t piece = 1 + data[0] % 64;
    http_parser_init(&parser, HTTP_RESPONSE, 65536);
    parser.head_only = data[0] >= 192;
    enum http_progress progress = HTTP_NEED_MORE;
    for (size_t at = 1; at < size && progress != HTTP_REFUSED && progress != HTTP_MESSAGE_DONE;) {
        size_t len = size - at < piece ? size - at : piece;
        size_t consumed = 0;
        progress = http_parser_feed(&parser, (const char *)data + at, len, &consumed);
        MUST(consumed <= len);
        MUST(consumed > 0 || progress != HTTP_NEED_MORE);
        at += consumed;
    }
    if (progress == HTTP_NEED_MORE || progress == HTTP_HEAD_DONE)
        progress = http_parser_finish(&parser);
    if (progress == HTTP_MESSAGE_DONE) {
        duration_ns wait;
        MUST(parser.message.status >= 200 && parser.message.status <= 999);
        struct slice after = http_head_get(&parser.message, SLICE("retry-after"), NULL);
        if (http_parse_retry_after(after, 1788409017 * NS_PER_SECOND, &wait))
            MUST(wait >= 0);
    }
    http_parser_release(&parser);
    return 0;
}
