// Outbox → collector by OTLP/HTTP, in the main thread's loop. Delivery is at least once; equal IDs
// make repeats harmless. Nothing leaves the outbox before the collector said yes and the engine
// committed that.
#ifndef GHATRACE_EXPORT_EXPORTER_H
#define GHATRACE_EXPORT_EXPORTER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "../../../src/export/outcome.h"
#include "ghatrace/base/error.h"
#include "ghatrace/engine/engine.h"
#include "ghatrace/export/endpoint.h"
#include "ghatrace/http/parse.h"
#include "ghatrace/net/loop.h"
#include "ghatrace/net/tls.h"
#include "ghatrace/store/store.h"

enum export_protocol { EXPORT_PROTOBUF, EXPORT_JSON };

struct export_options {
    struct export_endpoint endpoint; // where to POST
    struct net_tls *tls;             // for https, held; NULL where the endpoint is plain
    enum export_protocol protocol;
    bool gzip;
    const struct http_header *headers; // OTEL_EXPORTER_OTLP_HEADERS, decoded
    size_t header_count;
    duration_ns timeout;                    // of one request, all in all; 0: none
    size_t in_flight_max;                   // requests at a time
    size_t batch_records_max;               // records in one request
    size_t batch_bytes_max;                 // bytes of one request before compression
    duration_ns backoff_first, backoff_max; // 1 s and 30 s; times 1.5, plus or minus half
    uint64_t outbox_max; // bytes that may wait; a tenth of it may be quarantined. 0: no limit
    // Called from the loop after an answer 401, at most once for each request: the headers may have changed.
    // May call exporter_use_headers(). May be NULL.
    void (*on_unauthorized)(void *context);
    void *on_unauthorized_context;
    // Called from the loop before each request is made: the headers may have changed, likewise.
    void (*before_request)(void *context);
    void *before_request_context;
};

struct exporter;

// Does not touch the network before exporter_start. All from the loop's thread.
enum error_code exporter_create(struct net_loop *loop, struct store *store, struct engine *engine,
                                const struct export_options *options, struct exporter **exporter,
                                struct error *error) MUST_CHECK;
void exporter_start(struct exporter *exporter);
// For connections from now on; held. Does nothing where the endpoint is plain.
void exporter_use_tls(struct exporter *exporter, struct net_tls *tls);
// Replaces the configured headers, for requests from now on, and lets a probe that waits go out at once. They are
// copied. On failure (ERROR_MEMORY; ERROR_USAGE: they make no valid request) the old ones stay.
enum error_code exporter_use_headers(struct exporter *exporter, const struct http_header *headers,
                                     size_t count, struct error *error) MUST_CHECK;
// There is something new in the outbox. From any thread.
void exporter_wake(struct exporter *exporter);
// Tries once more to empty the outbox, for at most `grace`, then calls back (also when there is
// nothing to do). No new batches are read after that.
void exporter_drain(struct exporter *exporter, duration_ns grace, net_callback done, void *context);
// At any time, also from the drain's callback, but when no other thread can wake it any more. What
// the engine still settles is waited for without blocking: so the loop must be destroyed after this
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
    int http_status;              // of the last failure; 0: no answer
    timestamp_ns since;           // when the trouble began; TIMESTAMP_UNKNOWN: no trouble
    uint64_t failures;            // in a row
    char message
        [EXPORT_MESSAGE_SIZE]; // what happened, with at most 200 bytes of the endpoint's words,
                               // without control characters; secrets masked. Empty: no trouble
    // Refused while other records were accepted. They stay in the outbox and are tried now and then.
    uint64_t quarantined_records, quarantined_bytes;
};
void exporter_read_status(const struct exporter *exporter, struct export_status *status);

#endif
