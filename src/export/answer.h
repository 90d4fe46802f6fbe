// The content of a collector's response besides its status. Private to this room. Pure.
#ifndef GHATRACE_SRC_EXPORT_ANSWER_H
#define GHATRACE_SRC_EXPORT_ANSWER_H

#include <stdbool.h>
#include <stdint.h>

#include "ghatrace/base/slice.h"
#include "ghatrace/base/time.h"
#include "mask.h"
#include "outcome.h"

#define ANSWER_TEXT_MAX 200 // bytes of untrusted text that are kept
#define ANSWER_TEXT_SIZE (ANSWER_TEXT_MAX + 1)

struct export_answer {
    int status;              // of a complete response, or 0
    duration_ns retry_after; // 0: not given
    struct slice content_type;
    struct slice
        body; // empty if it was too long to read; of gRPC the message in it, if there is a code
    // of gRPC (grpc.h); otherwise all zero
    bool is_grpc;
    bool is_http1;             // the answer was not HTTP/2
    bool has_retry_info;       // then `retry_after` may be from it
    int grpc_code;             // EXPORT_NO_GRPC_CODE: none
    struct slice grpc_message; // percent-decoded, otherwise as received
};

// The endpoint's message for a log or a terminal: valid UTF-8, secrets masked, control characters escaped ("\x1b"),
// truncated. Returns `text`.
char *answer_clean(struct slice words, const struct mask_list *masks, char text[ANSWER_TEXT_SIZE]);
// The reason for a refusal in one line: "400 Bad Request: " and the message of google.rpc.Status or the first line of
// a text, cleaned by answer_clean(). Of gRPC "gRPC 8 RESOURCE_EXHAUSTED: " and the message, or that the answer is not
// one of gRPC. Returns `text`.
char *answer_describe(const struct export_answer *answer, const struct mask_list *masks,
                      char text[ANSWER_TEXT_SIZE]);

// True if the body is a google.rpc.Status in the encoding of its content type, with a code or a message.
bool answer_has_status(const struct export_answer *answer);
// The number that says what the response means: gRPC's code (under 100) if it counts, otherwise the HTTP status.
int answer_status(const struct export_answer *answer);
// What export_classify() wants to know of the response.
struct export_facts answer_facts(const struct export_answer *answer,
                                 enum export_transport transport);
// True if the response has a content type other than the request's.
bool answer_is_unexpected(const struct export_answer *answer, bool is_json);
// Reads the partial success of a 2xx. False if there is none to report, or the body cannot be read.
bool answer_read_partial(const struct export_answer *answer, const struct mask_list *masks,
                         int64_t *rejected_spans, char text[ANSWER_TEXT_SIZE]);

#endif
