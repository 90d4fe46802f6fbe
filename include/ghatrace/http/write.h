// HTTP/1.1 messages, written. Pure.
//
// The writers append a whole message or nothing. What could break the framing (line breaks and
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

// Appends a response with Content-Length, `Connection: close` unless keep_alive, and the extra
// fields. `content_type` may be NULL when the body is empty. No Date: no clock here. Statuses that
// have no body (1xx, 204, 304) go without Content-Length, and with a body give ERROR_INVALID.
enum error_code http_write_response(struct buffer *out, int status, const char *content_type,
                                    struct slice body, bool keep_alive,
                                    const struct http_header *extra, size_t extra_count) MUST_CHECK;

// The same without the body, which is to follow: `body_len` bytes, or, for HTTP_LENGTH_UNKNOWN, all up to the close
// (keep_alive must be false then).
#define HTTP_LENGTH_UNKNOWN SIZE_MAX
enum error_code http_write_response_head(struct buffer *out, int status, const char *content_type,
                                         size_t body_len, bool keep_alive,
                                         const struct http_header *extra,
                                         size_t extra_count) MUST_CHECK;

// Appends the head of a request with a body of `body_len` bytes. `host` as it goes into Host, with
// the port if it is not the default, an IPv6 address in brackets.
enum error_code http_write_request_head(struct buffer *out, struct slice method,
                                        struct slice target, struct slice host, size_t body_len,
                                        const struct http_header *extra,
                                        size_t extra_count) MUST_CHECK;

// Retry-After (RFC 9110 10.2.3): seconds or an HTTP-date, seen from `now`. Negative gives 0, more
// than fits the largest duration. False when it is neither.
bool http_parse_retry_after(struct slice value, timestamp_ns now, duration_ns *wait);

#endif
