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

#define ANSWER_EXTRA_MAX 16

struct answer {
    int status;
    struct slice body; // static, or in `text`: an answer is filled in place and not copied
    const char *allow; // the methods that would do, for 405; else NULL
    // What differs from a webhook's answers; set after the functions below, which set it back.
    const char *content_type; // NULL: application/json
    const char *challenge;    // WWW-Authenticate of a 401; NULL: the signature
    const struct http_header *extra;
    size_t extra_count; // at most ANSWER_EXTRA_MAX
    char text[ANSWER_TEXT_SIZE];
};

// A fixed body.
void answer_set(struct answer *answer, int status, struct slice body);
// {"error":"<message>"}; the message may hold anything.
void answer_set_error(struct answer *answer, int status, const char *message);
// {"status":"unavailable","reason":"<reason>"} with 503.
void answer_set_unavailable(struct answer *answer, const char *reason);
// {"status":"ready","export":"<words>"} with 200.
void answer_set_ready(struct answer *answer, const char *words);
// 405 with the methods that would do.
void answer_set_wrong_method(struct answer *answer, const char *allow);

// Appends the response's head, for a body of `body_len` bytes or HTTP_LENGTH_UNKNOWN.
enum error_code answer_write_head(const struct answer *answer, timestamp_ns now, bool keep_alive,
                                  size_t body_len, struct buffer *out) MUST_CHECK;
// Appends the whole response. To HEAD it is the head alone, with the length that GET would get.
enum error_code answer_write(const struct answer *answer, timestamp_ns now, bool keep_alive,
                             bool is_head_request, struct buffer *out) MUST_CHECK;

#endif
