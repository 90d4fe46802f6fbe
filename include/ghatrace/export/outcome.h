// What an answer to an export means. The one place that decides. Pure.
#ifndef GHATRACE_EXPORT_OUTCOME_H
#define GHATRACE_EXPORT_OUTCOME_H

enum export_outcome {
    EXPORT_SENT,    // take it out of the outbox
    EXPORT_RETRY,   // the same again, later
    EXPORT_REFUSED, // never the same again: split, or bury
};

// `status`: the HTTP status, or 0 when no complete answer came (cannot connect, disconnect, time-out).
// OTLP 1.x, "OTLP/HTTP Response": any 2xx is success; 429, 502, 503, 504 are retryable, as is no
// answer; every other status must not be retried.
enum export_outcome export_outcome_of(int status);

#endif
