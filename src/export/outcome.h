// What the response to an export means. The only place that decides this. Pure.
#ifndef GHATRACE_EXPORT_OUTCOME_H
#define GHATRACE_EXPORT_OUTCOME_H

#include <stdbool.h>

#include "ghatrace/base/slice.h"

enum export_outcome {
    EXPORT_SENT,       // remove it from the outbox
    EXPORT_ABOUT_DATA, // perhaps this data can never be accepted
    EXPORT_NOT_NOW,    // anything else: keep it, try again later
};

// Why there was no complete response.
enum export_silence {
    EXPORT_ANSWERED,
    EXPORT_NO_CONNECTION, // no address, no connection, TLS failed, or nothing could be sent
    EXPORT_BROKEN,    // the connection broke before the response was complete, or it was not HTTP
    EXPORT_TIMED_OUT, // connected, but the timeout expired
};

// Why records are not accepted at the moment.
enum export_trouble {
    EXPORT_NO_TROUBLE,
    EXPORT_UNREACHABLE,         // no address, no connection, or TLS failed
    EXPORT_NO_ANSWER,           // connected, but the connection broke or the timeout expired
    EXPORT_REFUSES_CREDENTIALS, // 401, 403, 407
    EXPORT_WRONG_PATH,          // 404, 405, 410, 421: no OTLP receiver at this URL
    EXPORT_REDIRECTS,           // 3xx: not followed
    EXPORT_OVERLOADED,          // 429, 503
    EXPORT_SERVER_ERROR,        // any other 5xx
    EXPORT_REFUSES_DATA,        // 400, 413, 415, 422, and nothing has been accepted since
    EXPORT_NOT_A_COLLECTOR,     // 2xx with an HTML page, such as a login page
    EXPORT_LOCAL_TROUBLE,       // the store or memory of this process
    EXPORT_OTHER_TROUBLE,
};
// A short fixed text ("unreachable", "refuses credentials", ...) that contains nothing received from the endpoint.
const char *export_trouble_text(enum export_trouble trouble);

struct export_judgement {
    enum export_outcome outcome;
    enum export_trouble trouble; // EXPORT_NO_TROUBLE if sent
    // The failure may be due to the size of the request: no response over a connection, 429, 5xx.
    bool may_be_size;
};

// `status` is used only if `silence` is EXPORT_ANSWERED. `content_type`: the field's value or empty.
// `has_status_message`: the body is a google.rpc.Status of its content type with a code or a message.
//
// OTLP 1.x, "OTLP/HTTP Response", requires clients to drop the data for every status that is not retryable. That
// loses data if the response is not about the data: an expired token, a wrong path, a proxy in between. So data is
// suspected only if the response can be about it, and is then retried (src/export/plan.h).
struct export_judgement export_judge(enum export_silence silence, int status,
                                     struct slice content_type, bool has_status_message);

#endif
