// What the response to an export means. The only place that decides this. Pure.
#ifndef GHATRACE_EXPORT_OUTCOME_H
#define GHATRACE_EXPORT_OUTCOME_H

#include <stdbool.h>

#include "ghatrace/base/slice.h"

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
};

// Why records are not accepted at the moment.
enum export_trouble {
    EXPORT_NO_TROUBLE,
    EXPORT_UNREACHABLE,         // no address, no connection, or TLS failed
    EXPORT_NO_ANSWER,           // connected, but the connection broke or the timeout expired
    EXPORT_REFUSES_CREDENTIALS, // 401, 403, 407; UNAUTHENTICATED, PERMISSION_DENIED
    EXPORT_WRONG_PATH, // 404, 405, 410, 421; UNIMPLEMENTED, NOT_FOUND: no OTLP receiver at this URL
    EXPORT_REDIRECTS,  // 3xx: not followed
    EXPORT_OVERLOADED, // 429, 503; RESOURCE_EXHAUSTED, UNAVAILABLE
    EXPORT_SERVER_ERROR, // any other 5xx; INTERNAL, UNKNOWN, DEADLINE_EXCEEDED, DATA_LOSS
    // 400, 413, 415, 422; INVALID_ARGUMENT and the like; and nothing has been accepted since
    EXPORT_REFUSES_DATA,
    EXPORT_NOT_A_COLLECTOR, // 2xx with an HTML page, such as a login page, or without a status where gRPC is expected
    EXPORT_LOCAL_TROUBLE, // the store or memory of this process
    EXPORT_OTHER_TROUBLE,
};
// A short fixed text ("unreachable", "refuses credentials", ...) that contains nothing received from the endpoint.
const char *export_trouble_text(enum export_trouble trouble);

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
    enum export_transport transport; // the rest is used only if it is EXPORT_ANSWERED
    int status;                      // of HTTP
    struct slice content_type;       // the field's value or empty
    bool
        has_status_message; // the body is a google.rpc.Status of its content type with a code or a message
    bool is_grpc;           // the request was a gRPC call
    int grpc_code;          // EXPORT_NO_GRPC_CODE: none
    bool has_retry_info;
};

// One rule for both protocols. The code of a call counts if it is there and the HTTP status is 200; without it, the
// HTTP status counts, except that 2xx is then no success: the answer is not one of gRPC.
//
// OTLP 1.x, "OTLP/HTTP Response", requires clients to drop the data for every status that is not retryable. That
// loses data if the response is not about the data: an expired token, a wrong path, a proxy in between. So data is
// suspected only if the response can be about it, and is then retried (src/export/plan.h).
struct export_class export_classify(const struct export_facts *facts);

#endif
