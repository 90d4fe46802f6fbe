// What an answer to an export means. The one place that decides. Pure.
#ifndef GHATRACE_EXPORT_OUTCOME_H
#define GHATRACE_EXPORT_OUTCOME_H

#include <stdbool.h>

#include "ghatrace/base/slice.h"

enum export_outcome {
    EXPORT_SENT,       // take it out of the outbox
    EXPORT_ABOUT_DATA, // perhaps this data cannot be accepted at all
    EXPORT_NOT_NOW,    // anything else: keep it, try again later
};

// Why there was no complete answer.
enum export_silence {
    EXPORT_ANSWERED,
    EXPORT_NO_CONNECTION, // no address, no connection, TLS failed, or we could not even try
    EXPORT_BROKEN,        // the connection broke before the answer was complete, or it was no HTTP
    EXPORT_TIMED_OUT,     // connected, but the time-out passed
};

// Why records are not accepted at present.
enum export_trouble {
    EXPORT_NO_TROUBLE,
    EXPORT_UNREACHABLE,         // no address, no connection, or TLS failed: nothing answered
    EXPORT_NO_ANSWER,           // connected, but the connection broke or the time-out passed
    EXPORT_REFUSES_CREDENTIALS, // 401, 403, 407
    EXPORT_WRONG_PATH,          // 404, 405, 410, 421: no OTLP receiver at this URL
    EXPORT_REDIRECTS,           // 3xx: not followed
    EXPORT_OVERLOADED,          // 429, 503
    EXPORT_SERVER_ERROR,        // any other 5xx
    EXPORT_REFUSES_DATA,        // 400, 413, 415, 422: and it has accepted nothing since
    EXPORT_NOT_A_COLLECTOR,     // 2xx with an HTML page, such as a login page
    EXPORT_LOCAL_TROUBLE,       // the store or memory of this process
    EXPORT_OTHER_TROUBLE,
};
// A few fixed words ("unreachable", "refuses credentials", ...) that hold nothing the endpoint sent.
const char *export_trouble_text(enum export_trouble trouble);

struct export_judgement {
    enum export_outcome outcome;
    enum export_trouble trouble; // EXPORT_NO_TROUBLE when sent
    // The failure may come of the size of the request: no answer over a connection, 429, 5xx.
    bool may_be_size;
};

// `status` counts only if `silence` is EXPORT_ANSWERED. `content_type`: the field's value or empty.
// `has_status_message`: the body is a google.rpc.Status of its content type with a code or a message.
//
// OTLP 1.x, "OTLP/HTTP Response", has every status that is not retryable drop the data. That loses it when the
// answer is not about the data: an expired token, a wrong path, a proxy in between. So data is suspected only where
// the answer can be about it, and is then tried further (src/export/plan.h).
struct export_judgement export_judge(enum export_silence silence, int status,
                                     struct slice content_type, bool has_status_message);

#endif
