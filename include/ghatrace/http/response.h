// Responses: a status and a small JSON body.
#ifndef GHATRACE_HTTP_RESPONSE_H
#define GHATRACE_HTTP_RESPONSE_H

#include "ghatrace/base/buffer.h"
#include "ghatrace/base/error.h"
#include "ghatrace/base/slice.h"
#include "ghatrace/base/time.h"
#include "ghatrace/http/parse.h"

// Room for an error message (struct error) with every byte escaped as \u00xx, and the JSON around it.
#define ANSWER_TEXT_SIZE 1600

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
    char text[ANSWER_TEXT_SIZE];
};

// A fixed body.
void http_response_set(struct http_response *answer, int status, struct slice body);
// {"error":"<message>"}; the message may contain any bytes.
void http_response_set_error(struct http_response *answer, int status, const char *message);
// {"status":"unavailable","reason":"<reason>"} with 503.
void http_response_set_unavailable(struct http_response *answer, const char *reason);
// {"status":"ready","export":"<words>"} with 200.
void http_response_set_ready(struct http_response *answer, const char *words);
// 405 with the allowed methods.
void http_response_set_wrong_method(struct http_response *answer, const char *allow);

// Appends the head of the response, for a body of `body_len` bytes or HTTP_LENGTH_UNKNOWN.
enum error_code http_response_write_head(const struct http_response *answer, timestamp_ns now,
                                         bool keep_alive, size_t body_len,
                                         struct buffer *out) MUST_CHECK;
// Appends the whole response. For HEAD it is the head alone, with the Content-Length of GET.
enum error_code http_response_write(const struct http_response *answer, timestamp_ns now,
                                    bool keep_alive, bool is_head_request,
                                    struct buffer *out) MUST_CHECK;

#endif
