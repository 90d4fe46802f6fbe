// Decides what the answer to an export means.
#include "ghatrace/export/outcome.h"

enum export_outcome export_outcome_of(int status)
{
    // OTLP 1.x, "OTLP/HTTP Response": "On success, the server MUST respond with HTTP 200 OK". The
    // Collector's own exporter takes every 2xx, and so do we.
    if (status >= 200 && status <= 299)
        return EXPORT_SENT;

    switch (status) {
    case 0: // "Failures: ... If the server disconnects without returning a response, the client
            // SHOULD retry and send the same request."
    // "Retryable Response Codes"
    case 429: // Too Many Requests
    case 502: // Bad Gateway
    case 503: // Service Unavailable
    case 504: // Gateway Timeout
        return EXPORT_RETRY;
    default:
        // "All other 4xx or 5xx response status codes MUST NOT be retried", 408 and 500 included.
        // A redirect is not followed: it would hand the configured headers to another host.
        return EXPORT_REFUSED;
    }
}
