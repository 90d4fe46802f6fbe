// Answers: a status and a small JSON body.
#ifndef GHATRACE_HTTP_RESPONSE_H
#define GHATRACE_HTTP_RESPONSE_H

#include "ghatrace/base/buffer.h"
#include "ghatrace/base/error.h"
#include "ghatrace/base/slice.h"
#include "ghatrace/base/time.h"
#include "ghatrace/http/parse.h"

// Room for an error's message (struct error) of which each byte became \u00xx, and its frame.
#define ANSWER_TEXT_SIZE 1600

#define HTTP_RESPONSE_EXTRA_MAX 16

struct http_response {
    int status;
    struct slice body; // static, or in `text`: an answer is filled in place and not copied
    const char *allow; // the methods that would do, for 405; else NULL
    // What differs from a webhook's answers; set after the functions below, which set it back.
    const char *content_type; // NULL: application/json
    const char *challenge;    // WWW-Authenticate of a 401; NULL: the signature
    const struct http_header *extra;
    size_t extra_count; // at most HTTP_RESPONSE_EXTRA_MAX
    char text[ANSWER_TEXT_SIZE];
};

// A fixed body.
void http_response_set(struct http_response *answer, int status, struct slice body);
// {"error":"<message>"}; the message may hold anything.
void http_response_set_error(struct http_response *answer, int status, const char *message);
// {"status":"unavailable","reason":"<reason>"} with 503.
void http_response_set_unavailable(struct http_response *answer, const char *reason);
// {"status":"ready","export":"<words>"} with 200.
void http_response_set_ready(struct http_response *answer, const char *words);
// 405 with the methods that would do.
void http_response_set_wrong_method(struct http_response *answer, const char *allow);

// Appends the response's head, for a body of `body_len` bytes or HTTP_LENGTH_UNKNOWN.
enum error_code http_response_write_head(const struct http_response *answer, timestamp_ns now,
                                         bool keep_alive, size_t body_len,
                                         struct buffer *out) MUST_CHECK;
// Appends the whole response. To HEAD it is the head alone, with the length that GET would get.
enum error_code http_response_write(const struct http_response *answer, timestamp_ns now,
                                    bool keep_alive, bool is_head_request,
                                    struct buffer *out) MUST_CHECK;

#endif
