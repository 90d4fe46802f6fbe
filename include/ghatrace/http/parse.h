// HTTP/1.1 parser of requests (RFC 9112): resumable and strict. It does not touch sockets and accepts input in pieces
// of any size. Pure.
//
// Strict means that it refuses everything two implementations could interpret differently: both Content-Length and
// Transfer-Encoding, several or signed Content-Length values, any transfer coding but one final `chunked`, whitespace
// before a colon, folded lines, bare CR or LF, control characters and NUL in fields, a missing or repeated Host in
// HTTP/1.1, a malformed target, HTTP/2 prefaces.
#ifndef GHATRACE_HTTP_PARSE_H
#define GHATRACE_HTTP_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ghatrace/base/buffer.h"
#include "ghatrace/base/slice.h"

#define HTTP_HEADERS_MAX 100        // fields of one message
#define HTTP_HEAD_BYTES_MAX 16384   // start line and fields; GitHub's are some 1,000 bytes
#define HTTP_START_LINE_MAX 8192    // with its CRLF; RFC 9112 3 asks for 8,000 at least
#define HTTP_CHUNK_LINE_MAX 256     // size, extensions and CRLF of one chunk
#define HTTP_TRAILER_BYTES_MAX 4096 // trailers are read and dropped

struct http_header {
    struct slice name;  // as received; compare case-insensitively
    struct slice value; // trimmed
};

// A complete, parsed head. Slices point into the parser and are valid until the next http_parser_reset().
struct http_head {
    struct slice method;
    struct slice host; // of a target in absolute form, else of the field Host; may be empty
    // origin form or "*": "/webhook?x=1"; of an absolute form what follows the host
    struct slice target;
    struct slice path;  // target up to '?'; "/" where that is empty
    struct slice query; // after '?'
    int minor_version;  // 0 or 1
    bool keep_alive;    // by version and Connection
    bool expects_continue;
    bool has_body_length; // Content-Length was given
    uint64_t body_length; // its value
    bool is_chunked;
    struct http_header headers[HTTP_HEADERS_MAX];
    size_t header_count;
};

enum http_progress {
    HTTP_NEED_MORE, // all input consumed; feed more
    HTTP_HEAD_DONE, // returned once, between head and body; feed the rest (possibly 0 bytes) to go on
    HTTP_MESSAGE_DONE, // body complete; bytes after it were not consumed
    HTTP_REFUSED, // malformed or over a limit; `refusal` has the response; the connection must close.
                  // A Content-Length over body_max returns this instead of HTTP_HEAD_DONE
};

struct http_parser {
    int state; // private
    struct buffer head_bytes;
    struct buffer body; // capped at body_max
    uint64_t remaining; // private: bytes of the body or chunk not yet received
    size_t line_bytes;  // private
    unsigned skipped;   // private: empty lines before this request
    uint64_t body_max; // bytes; may be lowered when HTTP_HEAD_DONE is returned, stays until changed
    struct http_head message;
    int refusal_status;  // 400, 413, 414, 431, 501, 505; 503 when out of memory
    const char *refusal; // one line, static text
};

void http_parser_init(struct http_parser *parser, uint64_t body_max_bytes);
void http_parser_release(struct http_parser *parser);
// Prepares for the next message; keeps buffers of ordinary size, frees large bodies.
void http_parser_reset(struct http_parser *parser);

// Consumes up to `len` bytes; `*consumed` is the number. After HTTP_MESSAGE_DONE or HTTP_REFUSED it returns the same
// value until the next reset.
enum http_progress http_parser_feed(struct http_parser *parser, const char *data, size_t len,
                                    size_t *consumed);
// True if nothing of the next message has been received yet.
bool http_parser_is_idle(const struct http_parser *parser);

// The value of a field, or an empty slice. `*count` (may be NULL) is set to the number of such fields.
struct slice http_head_get(const struct http_head *head, struct slice name, size_t *count);
// Splits the field Authorization into its scheme and the credentials (RFC 9110 11.4). False: there is no such field, or
// more than one, or it has no blank.
bool http_head_read_credentials(const struct http_head *head, struct slice *scheme,
                                struct slice *credentials) MUST_CHECK;

#endif
