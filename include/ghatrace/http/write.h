// Writes HTTP/1.1 responses: heads, and bodies of a little JSON. Pure.
//
// The writers append a whole head or nothing. Input that could break the framing (line breaks and other control
// characters in a field; Content-Length, Transfer-Encoding or a second Host among the extra fields) gives
// ERROR_INVALID.
#ifndef GHATRACE_HTTP_WRITE_H
#define GHATRACE_HTTP_WRITE_H

#include "ghatrace/base/buffer.h"
#include "ghatrace/base/error.h"
#include "ghatrace/base/list.h"
#include "ghatrace/base/slice.h"
#include "ghatrace/base/time.h"
#include "ghatrace/http/parse.h"

// The standard reason phrase, or "Unknown".
const char *http_status_reason(int status);

// Why a request was refused, by the status of its response. `credentials` is what the server calls those that were
// wrong. The names are those of /metrics and /api/status.
#define HTTP_REFUSAL_LIST(ROW, credentials)                                                        \
    ROW(HTTP_BAD_CREDENTIALS, credentials) /* 401 */                                               \
    ROW(HTTP_MALFORMED, "malformed")       /* 400, 411 */                                          \
    ROW(HTTP_NOT_ALLOWED, "not_allowed")   /* 403, 404, 405, 415 */                                \
    ROW(HTTP_TOO_LARGE, "too_large")       /* 413, 414, 431 */                                     \
    ROW(HTTP_TOO_SLOW, "too_slow")         /* 408 */                                               \
    ROW(HTTP_UNAVAILABLE, "unavailable")   /* 503 */                                               \
    ROW(HTTP_OTHER_REFUSAL, "other")
enum http_refusal { HTTP_REFUSAL_LIST(LIST_ENUMERATOR, "") HTTP_REFUSALS };
enum http_refusal http_refusal_of_status(int status);

struct http_response_head {
    int status;
    const char *content_type; // may be NULL when the body is empty
    size_t body_len;          // or one of those below
    bool keep_alive;          // false: `Connection: close`; must be false with HTTP_LENGTH_UNKNOWN
    const struct http_header *extra;
    size_t extra_count;
};
#define HTTP_LENGTH_UNKNOWN SIZE_MAX       // the body ends with the connection
#define HTTP_LENGTH_CHUNKED (SIZE_MAX - 1) // the body follows in chunks; not in HTTP/1.0

// Appends the head of a response; the caller appends the body. No Date: this module reads no clock. Statuses without a
// body (1xx, 204, 304) get no Content-Length, and a body with them is ERROR_INVALID.
enum error_code http_write_response_head(struct buffer *out,
                                         const struct http_response_head *head) MUST_CHECK;

// What a request says besides its method.
struct http_request_parts {
    struct slice target,
        host; // `host` as it is sent: with the port if it is not the default, IPv6 in brackets
    const struct http_header *fields;
    size_t field_count;
};
// Whether a request can have these: nothing in them breaks the framing, and none of the fields is Content-Length,
// Transfer-Encoding or Host.
bool http_is_valid_request(const struct http_request_parts *parts);

// Parses Retry-After (RFC 9110 10.2.3): seconds, or an HTTP-date relative to `now`. A negative wait becomes 0; one
// that does not fit becomes the largest duration. False if it is neither form.
bool http_parse_retry_after(struct slice value, timestamp_ns now, duration_ns *wait);

// --- responses ------------------------------------------------------------------------------------

// Room for an error message (struct error) with every byte escaped as \u00xx, and the JSON around it.
#define HTTP_RESPONSE_TEXT_SIZE 1600

#define HTTP_RESPONSE_EXTRA_MAX 16

struct http_response {
    int status;
    struct slice body; // static, or in `text`: a response is filled in place and not copied
    const char *allow; // the allowed methods, for 405; else NULL
    // Overrides for responses other than the webhook's; set them after the functions below, which reset them.
    const char *content_type; // NULL: application/json
    const char *challenge;    // WWW-Authenticate of a 401; NULL: X-Hub-Signature-256
    const struct http_header *extra;
    size_t extra_count; // at most HTTP_RESPONSE_EXTRA_MAX
    char text[HTTP_RESPONSE_TEXT_SIZE];
};

// A fixed body.
void http_response_set(struct http_response *response, int status, struct slice body);
// {"error":"<message>"}; the message may contain any bytes.
void http_response_set_error(struct http_response *response, int status, const char *message);
// {"status":"unavailable","reason":"<reason>"} with 503.
void http_response_set_unavailable(struct http_response *response, const char *reason);
// {"status":"ready","export":"<words>"} with 200.
void http_response_set_ready(struct http_response *response, const char *words);
// 405 with the allowed methods.
void http_response_set_wrong_method(struct http_response *response, const char *allow);

// Appends a part of a chunked body (RFC 9112 7.1) as one chunk; nothing if it is empty, which would be the end.
enum error_code http_write_chunk(struct buffer *out, struct slice part) MUST_CHECK;
// Appends the end of a chunked body.
enum error_code http_write_last_chunk(struct buffer *out) MUST_CHECK;

// Appends the head of the response, for a body of `body_len` bytes, HTTP_LENGTH_UNKNOWN or HTTP_LENGTH_CHUNKED.
enum error_code http_response_write_head(const struct http_response *response, timestamp_ns now,
                                         bool keep_alive, size_t body_len,
                                         struct buffer *out) MUST_CHECK;
// Appends the whole response. For HEAD it is the head alone, with the Content-Length of GET.
enum error_code http_response_write(const struct http_response *response, timestamp_ns now,
                                    bool keep_alive, bool is_head_request,
                                    struct buffer *out) MUST_CHECK;

#endif
