// Exports the outbox to the collector by OTLP/HTTP or OTLP/gRPC, in the main thread's loop. Delivery is at least once;
// equal IDs make repetitions harmless. A record is removed from the outbox only after the collector has accepted it and
// the engine has committed that.
#ifndef GHATRACE_EXPORT_EXPORTER_H
#define GHATRACE_EXPORT_EXPORTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ghatrace/base/error.h"
#include "ghatrace/engine/engine.h"
#include "ghatrace/export/endpoint.h"
#include "ghatrace/http/parse.h"
#include "ghatrace/net/loop.h"
#include "ghatrace/net/tls.h"
#include "ghatrace/store/store.h"

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

enum export_protocol { EXPORT_PROTOBUF, EXPORT_JSON, EXPORT_GRPC };
// "http/protobuf", "http/json" or "grpc", as in OTEL_EXPORTER_OTLP_PROTOCOL.
const char *export_protocol_text(enum export_protocol protocol);

struct export_options {
    struct net_loop *loop;
    struct store *store;             // not owned
    struct engine *engine;           // not owned
    struct export_endpoint endpoint; // the target of POST requests
    struct net_tls_client *tls;      // for https, referenced; NULL for plain HTTP
    enum export_protocol protocol;
    bool gzip;
    const struct http_header *headers; // OTEL_EXPORTER_OTLP_HEADERS, decoded
    size_t header_count;
    duration_ns timeout;                    // of one request in total; 0: none
    size_t in_flight_max;                   // maximum number of concurrent requests
    size_t batch_records_max;               // records in one request
    size_t batch_bytes_max;                 // bytes of one request before compression
    duration_ns backoff_first, backoff_max; // 1 s and 30 s; times 1.5, plus or minus half
    uint64_t outbox_max; // limit for waiting bytes; a tenth of it may be quarantined. 0: no limit
    // Called from the loop after a 401 response, at most once per request: the headers may have changed. May call
    // exporter_use_headers(). May be NULL.
    void (*on_unauthorized)(void *context);
    void *on_unauthorized_context;
    // Called from the loop before each request is built: the headers may have changed, likewise.
    void (*before_request)(void *context);
    void *before_request_context;
};

struct exporter;

// Uses no network before exporter_start. All functions run in the loop's thread.
enum error_code exporter_create(const struct export_options *options, struct exporter **exporter,
                                struct error *error) MUST_CHECK;
void exporter_start(struct exporter *exporter);
// New requests use new connections, look the collector's name up again, and use `tls` if it is not NULL and the
// endpoint is https; a reference is kept. Requests in progress end on their connections.
void exporter_renew_connections(struct exporter *exporter, struct net_tls_client *tls);
// Replaces the configured headers for new requests, and lets a waiting probe be sent at once. The headers are copied.
// On failure (ERROR_MEMORY; ERROR_USAGE: they make no valid request) the old ones are kept.
enum error_code exporter_use_headers(struct exporter *exporter, const struct http_header *headers,
                                     size_t count, struct error *error) MUST_CHECK;
// Reports new records in the outbox. Thread-safe. A callback: `context` is the exporter.
void exporter_wake(void *context);
// Makes one more attempt to empty the outbox, for at most `grace`, then calls back (also if there is nothing to do).
// Records of other programs stay in it.
// No new batches are read after that.
void exporter_drain(struct exporter *exporter, duration_ns grace, net_callback done, void *context);
// May be called at any time, also from the drain's callback, but only when no other thread can call exporter_wake()
// any more. Pending settlements by the engine are awaited without blocking: so the loop must be destroyed after this
// and after engine_stop().
void exporter_destroy(struct exporter *exporter);

struct export_counters {
    uint64_t requests, sent_records, retries, dead_letters, rejected_spans;
    uint64_t consecutive_failures;
};
void exporter_read_counters(const struct exporter *exporter, struct export_counters *counters);

#define EXPORT_MESSAGE_SIZE 256

struct export_status {
    bool is_troubled;
    enum export_trouble category; // EXPORT_NO_TROUBLE unless is_troubled
    int http_status;              // of the last failure; 0: no response, or a code of gRPC
    timestamp_ns since;           // when the trouble began; TIMESTAMP_UNKNOWN: no trouble
    uint64_t failures;            // consecutive
    // what happened, with at most 200 bytes of the endpoint's message, without control characters; secrets masked.
    // Empty: no trouble
    char message[EXPORT_MESSAGE_SIZE];
    // Refused while other records were accepted. They stay in the outbox and are retried from time to time.
    uint64_t quarantined_records, quarantined_bytes;
    // Of requests with spans of other programs: they are no trouble of the endpoint, and delay nothing of ours.
    uint64_t forwarded_failures;                 // consecutive
    char forwarded_message[EXPORT_MESSAGE_SIZE]; // of the last one; empty: it was accepted
};
void exporter_read_status(const struct exporter *exporter, struct export_status *status);

#endif
