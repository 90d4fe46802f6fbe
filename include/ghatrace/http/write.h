// HTTP/1.1 messages, written. Pure.
//
// The writers append a whole head or nothing. What could break the framing (line breaks and
// other controls in a field, a Content-Length, Transfer-Encoding or second Host among the extra
// fields) gives ERROR_INVALID.
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
    bool keep_alive;          // else with `Connection: close`; not where the length is unknown
    const struct http_header *extra;
    size_t extra_count;
};
#define HTTP_LENGTH_UNKNOWN SIZE_MAX

// Appends the head of a response, whose body is to follow. No Date: no clock here. Statuses that have no body
// (1xx, 204, 304) go without Content-Length, and with a body give ERROR_INVALID.
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

// Appends the head of a request, whose body is to follow.
enum error_code http_write_request_head(struct buffer *out,
                                        const struct http_request_head *head) MUST_CHECK;

// Retry-After (RFC 9110 10.2.3): seconds or an HTTP-date, seen from `now`. Negative gives 0, more
// than fits the largest duration. False when it is neither.
bool http_parse_retry_after(struct slice value, timestamp_ns now, duration_ns *wait);

#endif
