// The response to an export request: what the HTTP client reports of it, what it means, and what of it may be shown. The only
// place that decides this. Private to this room. Pure, but for a Retry-After that is a date, which is compared with the clock.
#ifndef GHATRACE_SRC_EXPORT_ANSWER_H
#define GHATRACE_SRC_EXPORT_ANSWER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ghatrace/base/arena.h"
#include "ghatrace/base/error.h"
#include "ghatrace/base/slice.h"
#include "ghatrace/base/time.h"
#include "ghatrace/client/http_client.h"
#include "ghatrace/export/endpoint.h"
#include "ghatrace/export/exporter.h"
#include "ghatrace/http/parse.h"

// --- what it means --------------------------------------------------------------------------------

// The status of a gRPC call (grpc, doc/statuscodes.md).
enum grpc_code {
    GRPC_OK = 0,
    GRPC_CANCELLED = 1,
    GRPC_UNKNOWN = 2,
    GRPC_INVALID_ARGUMENT = 3,
    GRPC_DEADLINE_EXCEEDED = 4,
    GRPC_NOT_FOUND = 5,
    GRPC_ALREADY_EXISTS = 6,
    GRPC_PERMISSION_DENIED = 7,
    GRPC_RESOURCE_EXHAUSTED = 8,
    GRPC_FAILED_PRECONDITION = 9,
    GRPC_ABORTED = 10,
    GRPC_OUT_OF_RANGE = 11,
    GRPC_UNIMPLEMENTED = 12,
    GRPC_INTERNAL = 13,
    GRPC_UNAVAILABLE = 14,
    GRPC_DATA_LOSS = 15,
    GRPC_UNAUTHENTICATED = 16,
};
#define EXPORT_NO_GRPC_CODE (-1)

enum export_outcome {
    EXPORT_SENT,       // remove it from the outbox
    EXPORT_ABOUT_DATA, // perhaps this data can never be accepted
    EXPORT_NOT_NOW,    // anything else: keep it, try again later
};

// Why there was no complete response.
enum export_transport {
    EXPORT_ANSWERED,
    EXPORT_NO_CONNECTION, // no address, no connection, TLS failed, or nothing could be sent
    EXPORT_BROKEN,      // the connection broke before the response was complete, or it was not HTTP
    EXPORT_INTERRUPTED, // the endpoint ended the request before it was sent in full (http_client.h)
    EXPORT_TIMED_OUT,   // connected, but the timeout expired
    EXPORT_CERTIFICATE_MISSING, // the endpoint wants one of the client
    EXPORT_TUNNEL_REFUSED,      // by a proxy, with `status`
};

struct export_class {
    enum export_outcome outcome;
    enum export_trouble trouble; // EXPORT_NO_TROUBLE if sent
    // The failure may be due to the size of the request: no response over a connection, 429, 5xx; of gRPC's codes
    // those that mean the same.
    bool may_be_size;
    // It is probably due to that: RESOURCE_EXHAUSTED without RetryInfo, which is what receivers answer to a message
    // that is too large (by default more than 4 MiB), or a request that was refused at its beginning.
    bool is_likely_size;
};

// The response to a request, as far as it decides.
struct export_facts {
    // the rest is used only if it is EXPORT_ANSWERED, or as said there
    enum export_transport transport;
    int status;                // of HTTP
    struct slice content_type; // the field's value or empty
    // of status 400: the body is a google.rpc.Status of its content type with a code or a message
    bool has_status_message;
    bool is_grpc;  // the request was a gRPC call
    int grpc_code; // EXPORT_NO_GRPC_CODE: none
    bool has_retry_info;
};

// One rule for both protocols. The code of a call counts if it is there and the HTTP status is 200; without it, the
// HTTP status counts, except that 2xx is then no success: the answer is not one of gRPC.
//
// OTLP 1.x, "OTLP/HTTP Response", requires clients to drop the data for every status that is not retryable. That
// loses data if the response is not about the data: an expired token, a wrong path, a proxy in between. So data is
// suspected only if the response can be about it, and is then retried (src/export/plan.h).
struct export_class export_classify(const struct export_facts *facts);

// --- secrets that it may repeat -------------------------------------------------------------------

// Shorter values are not treated as secrets: masking them would hide ordinary words.
#define MASK_LEAST 4
// This many bytes of the beginning of a secret are masked, too, when the rest is cut off.
#define MASK_PREFIX 8

// All zero: no secrets.
struct mask_list {
    struct slice *secrets;
    size_t count;
    const struct mask_list *older; // also masked; NULL: none. Not owned
};

// Collects the values of the headers, whole and without their first word ("Bearer"; of "Basic" also the decoded rest),
// and secrets in the endpoint's URL: the query of its path, whole and each of its values, and the user info
// ("user:password") of it and of its proxy, whole and the password, also percent-decoded, and in base64 as basic
// authentication sends it. All in the arena; the headers' values and the endpoint are not copied.
enum error_code mask_init(struct mask_list *list, const struct http_header *headers, size_t count,
                          const struct export_endpoint *endpoint, struct arena *arena) MUST_CHECK;
// Overwrites secrets in the text with '*'.
void mask_text(const struct mask_list *list, char *text, size_t len);

// --- its content ----------------------------------------------------------------------------------

#define ANSWER_TEXT_MAX 200 // bytes of untrusted text that are kept
#define ANSWER_TEXT_SIZE (ANSWER_TEXT_MAX + 1)

struct export_answer {
    int status;              // of a complete response, or 0
    duration_ns retry_after; // 0: not given
    struct slice content_type;
    // empty if it was too long to read; of gRPC the message in it, if there is a code
    struct slice body;
    // of gRPC (grpc.h); otherwise all zero
    bool is_grpc;
    bool is_http1;             // the answer was not HTTP/2
    bool has_retry_info;       // then `retry_after` may be from it
    int grpc_code;             // EXPORT_NO_GRPC_CODE: none
    struct slice grpc_message; // percent-decoded, otherwise as received
};

// The endpoint's message for a log or a terminal: valid UTF-8, secrets masked, control characters escaped ("\x1b"),
// truncated. Returns `text`.
char *answer_clean(struct slice message, const struct mask_list *masks,
                   char text[ANSWER_TEXT_SIZE]);
// What to look at for this status, in parentheses after a blank; mostly empty.
const char *answer_status_hint(int status);
// The reason for a refusal in one line: "400 Bad Request: " and the message of google.rpc.Status or the first line of
// a text, cleaned by answer_clean(). Of gRPC "gRPC 8 RESOURCE_EXHAUSTED: " and the message, or that the answer is not
// one of gRPC. Returns `text`.
char *answer_describe(const struct export_answer *answer, const struct mask_list *masks,
                      char text[ANSWER_TEXT_SIZE]);

// True if the body is a google.rpc.Status in the encoding of its content type, with a code or a message.
bool answer_has_status(const struct export_answer *answer);
// The number that decides what the response means: gRPC's code (under 100) if it counts, otherwise the HTTP status.
int answer_status(const struct export_answer *answer);
// The HTTP status; 0: no response, or a code of gRPC counts.
int answer_http_status(const struct export_answer *answer);
// What export_classify() decides by.
struct export_facts answer_facts(const struct export_answer *answer,
                                 enum export_transport transport);
// True if the response has a content type other than the request's.
bool answer_is_unexpected(const struct export_answer *answer, bool is_json);
// Reads the partial success of a 2xx. False if there is none to report, or the body cannot be read.
bool answer_read_partial(const struct export_answer *answer, const struct mask_list *masks,
                         int64_t *rejected_spans, char text[ANSWER_TEXT_SIZE]);

// --- from the HTTP client -------------------------------------------------------------------------

// OTLP lets a client limit how much of a response it reads; the Collector's own exporter has the same limit.
#define EXPORT_ANSWER_MAX ((size_t)64 << 10)
// Bytes of a longer gRPC answer that are read for the status after them.
#define EXPORT_SKIP_MAX ((size_t)4 << 20)

// Texts point into the response or the arena.
struct export_answer response_read(const struct http_client_response *response,
                                   enum export_protocol protocol, struct arena *arena);
// What the response means; `answer` is of response_read().
struct export_class response_classify(const struct http_client_response *response,
                                      const struct export_answer *answer);
// True for a local error, as opposed to one of the endpoint.
bool response_error_is_local(const struct error *error);
// What is reported as the trouble, of which export_classify() knows only the answer.
enum export_trouble response_trouble(enum export_trouble classified, const struct error *error);
// The reason for a failure in one line: as answer_describe() says, or why there is no complete response, with a hint,
// secrets masked.
void response_describe(const struct http_client_response *response,
                       const struct export_answer *answer, const struct mask_list *masks,
                       char reason[EXPORT_MESSAGE_SIZE]);

#endif
