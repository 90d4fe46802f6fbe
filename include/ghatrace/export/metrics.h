// Pushes the figures of the store as OTLP metrics, in the main thread's loop: the newest snapshot only, one request at a
// time. Nothing is kept for later: figures are cumulative, so the next snapshot has all that a lost one had.
//
// A snapshot is taken every `interval`. While the endpoint does not accept them, the wait between two tries grows, as
// after a circuit breaker has opened: one snapshot is sent as a probe for each step of the backoff. Independent of the
// export of traces, which may go elsewhere.
#ifndef GHATRACE_EXPORT_METRICS_H
#define GHATRACE_EXPORT_METRICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ghatrace/base/error.h"
#include "ghatrace/base/time.h"
#include "ghatrace/export/exporter.h"
#include "ghatrace/http/parse.h"
#include "ghatrace/net/tls.h"
#include "ghatrace/trace/span.h"

#define METRICS_INTERVAL_DEFAULT (60 * NS_PER_SECOND) // OTEL_METRIC_EXPORT_INTERVAL
#define METRICS_TIMEOUT_DEFAULT (30 * NS_PER_SECOND)  // OTEL_METRIC_EXPORT_TIMEOUT
// How long nothing is sent to an endpoint that has no metrics (404, 405, 410, 421, 501, UNIMPLEMENTED).
#define METRICS_ABSENT_INTERVAL NS_PER_HOUR

struct metrics_push_options {
    // Of these: the loop, the store, the endpoint, TLS, the protocol, gzip, the headers, the timeout of one request and
    // the callbacks about headers.
    struct export_options export;
    duration_ns interval;
    duration_ns timeout;   // of a snapshot, which may be several requests
    duration_ns job_grace; // setting job-grace: when a running job without a runner counts as ended
    struct slice service_name;              // empty: "ghatrace"
    const struct attribute *resource_extra; // OTEL_RESOURCE_ATTRIBUTES
    size_t resource_extra_count;
};

struct metrics_push;

// Uses no network before metrics_push_start. All functions run in the loop's thread. Everything that the options point
// to outlives it, but for the headers, which are copied.
enum error_code metrics_push_create(const struct metrics_push_options *options,
                                    struct metrics_push **push, struct error *error) MUST_CHECK;
void metrics_push_start(struct metrics_push *push);
// As exporter_renew_connections() and exporter_use_headers(): also ends a wait after a failure.
void metrics_push_renew_connections(struct metrics_push *push, struct net_tls_client *tls);
enum error_code metrics_push_use_headers(struct metrics_push *push,
                                         const struct http_header *headers, size_t count,
                                         struct error *error) MUST_CHECK;
// A request in progress ends unanswered. NULL does nothing.
void metrics_push_destroy(struct metrics_push *push);

struct metrics_push_counters {
    uint64_t requests;
    uint64_t snapshots; // accepted in full
    uint64_t failures;  // snapshots that were not
    uint64_t rejected_points;
    uint64_t failures_in_a_row;
};
void metrics_push_read_counters(const struct metrics_push *push,
                                struct metrics_push_counters *counters);

struct metrics_push_status {
    bool is_troubled;
    enum export_trouble category; // EXPORT_NO_TROUBLE unless is_troubled
    int http_status;              // of the last failure; 0: no response, or a code of gRPC
    timestamp_ns since;           // when the trouble began; TIMESTAMP_UNKNOWN: no trouble
    timestamp_ns accepted_at;     // when a snapshot was last accepted; TIMESTAMP_UNKNOWN: none was
    char message[EXPORT_MESSAGE_SIZE]; // as in struct export_status
};
void metrics_push_read_status(const struct metrics_push *push, struct metrics_push_status *status);

#endif
