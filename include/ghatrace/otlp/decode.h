// Decodes OTLP protobuf into spans, to show stored ones, and decodes a collector's response. Pure.
#ifndef GHATRACE_OTLP_DECODE_H
#define GHATRACE_OTLP_DECODE_H

#include "ghatrace/base/arena.h"
#include "ghatrace/base/error.h"
#include "ghatrace/base/slice.h"
#include "ghatrace/base/time.h"
#include "ghatrace/trace/span.h"

// Decodes one record made by otlp_encode_batch. Spans that it lengthened by 1 ns have zero length again. Strings point
// into `record`; the rest is in `arena`. ERROR_CORRUPT, ERROR_MEMORY.
enum error_code otlp_decode_batch(struct slice record, struct arena *arena,
                                  struct span_batch *batch, struct error *error) MUST_CHECK;

struct otlp_response {
    int64_t rejected_spans;     // partial_success.rejected_spans, or rejected_data_points
    struct slice error_message; // partial_success.error_message
};

// The ExportTraceServiceResponse of a 200, in protobuf or JSON, or the ExportMetricsServiceResponse, which has the same
// fields. ERROR_CORRUPT if the body cannot be read, which must not count as a failed export.
enum error_code otlp_decode_response(struct slice body, bool is_json, struct arena *arena,
                                     struct otlp_response *response) MUST_CHECK;
// The google.rpc.Status of a 4xx or 5xx, without its details. A status without a code (0 is OK) and without a message
// counts as missing. A code that is not an integer counts as 0.
struct otlp_status {
    int64_t code;
    struct slice message;
};
enum error_code otlp_decode_status(struct slice body, bool is_json, struct arena *arena,
                                   struct otlp_status *status) MUST_CHECK;
// The google.rpc.RetryInfo among the details of a google.rpc.Status, which gRPC sends in protobuf. `*delay`: its
// retry_delay; 0 if it has none, or a negative one. False: no RetryInfo, or the status is damaged.
bool otlp_decode_retry_info(struct slice status, duration_ns *delay);

#endif
