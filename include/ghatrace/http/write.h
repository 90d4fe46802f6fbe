// Serializes HTTP/1.1 message heads. Pure.
//
// The writers append a whole head or nothing. Input that could break the framing (line breaks and other control
// characters in a field; Content-Length, Transfer-Encoding or a second Host among the extra fields) gives
// ERROR_INVALID.
#ifndef GHATRACE_HTTP_WRITE_H
#define GHATRACE_HTTP_WRITE_H

#include "ghatrace/base/buffer.h"
#include "ghatrace/base/error.h"
#include "ghatrace/base/time.h"
#include "ghatrace/http/parse.h"

// The standard reason phrase, or "Unknown".
const char *http_status_reason(int status);

struct http_response_head {
    int status;
    const char *content_type; // may be NULL when the body is empty
    size_t body_len;          // HTTP_LENGTH_UNKNOWN: the body ends with the connection
    bool keep_alive;          // false: `Connection: close`; must be false without a length
    const struct http_header *extra;
    size_t extra_count;
};
#define HTTP_LENGTH_UNKNOWN SIZE_MAX

// Appends the head of a response; the caller appends the body. No Date: this module reads no clock. Statuses without a
// body (1xx, 204, 304) get no Content-Length, and a body with them is ERROR_INVALID.
enum error_code http_write_response_head(struct buffer *out,
                                         const struct http_response_head *head) MUST_CHECK;

struct http_request_head {
    struct slice method, target;
    struct slice
        host; // as it goes into Host: with the port if it is not the default, IPv6 in brackets
    size_t body_len;
    const struct http_header *extra;
    size_t extra_count;
};

// Appends the head of a request; the caller appends the body.
enum error_code http_write_request_head(struct buffer *out,
                                        const struct http_request_head *head) MUST_CHECK;

// Parses Retry-After (RFC 9110 10.2.3): seconds, or an HTTP-date relative to `now`. A negative wait becomes 0; one
// that does not fit becomes the largest duration. False if it is neither form.
bool http_parse_retry_after(struct slice value, timestamp_ns now, duration_ns *wait);

#endif
