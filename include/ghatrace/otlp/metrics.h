// Encodes metrics as OTLP protobuf (opentelemetry-proto 1.x, collector/metrics/v1): one ExportMetricsServiceRequest with
// one resource. Pure.
//
// Sums and histograms are cumulative. The points of a metric may be spread over several requests of one snapshot.
//
//   otlp_metrics_begin
//     otlp_metric_begin · otlp_metric_put_integer, _double or _histogram, any number of times · otlp_metric_end
//   otlp_metrics_end
#ifndef GHATRACE_OTLP_METRICS_H
#define GHATRACE_OTLP_METRICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ghatrace/base/buffer.h"
#include "ghatrace/base/error.h"
#include "ghatrace/base/time.h"
#include "ghatrace/trace/span.h"

enum otlp_metric_kind {
    OTLP_GAUGE,
    OTLP_UP_DOWN_COUNTER, // a sum that is not monotonic
    OTLP_COUNTER,         // a monotonic sum
    OTLP_HISTOGRAM,
};

struct otlp_metric {
    const char *name;
    const char *unit; // UCUM: "s", "{run}"
    const char *description;
    enum otlp_metric_kind kind;
};

// When a cumulative value began to be counted, and when it was read. `start` 0: not known, or a gauge.
struct otlp_interval {
    timestamp_ns start, end;
};

// An observation in a bucket of a histogram.
struct otlp_exemplar {
    timestamp_ns at; // TIMESTAMP_UNKNOWN: there is none
    double value;
    struct trace_id trace;
};

struct otlp_histogram {
    uint64_t count;
    double sum;
    const double *bounds; // upper, inclusive, ascending
    size_t bound_count;
    const uint64_t *buckets;               // not cumulative, one more than bounds
    const struct otlp_exemplar *exemplars; // of each bucket; NULL: none
};

struct otlp_metrics; // a request that is being written

// `resource` is used by otlp_metrics_end(). Longer requests than `max_bytes` fail. NULL: out of memory.
struct otlp_metrics *otlp_metrics_begin(const struct attributes *resource, size_t max_bytes);
// `metric` is used until otlp_metric_end().
void otlp_metric_begin(struct otlp_metrics *metrics, const struct otlp_metric *metric);
// Integers for everything that is counted, else a double.
void otlp_metric_put_integer(struct otlp_metrics *metrics, const struct attributes *attributes,
                             const struct otlp_interval *interval, int64_t value);
void otlp_metric_put_double(struct otlp_metrics *metrics, const struct attributes *attributes,
                            const struct otlp_interval *interval, double value);
void otlp_metric_put_histogram(struct otlp_metrics *metrics, const struct attributes *attributes,
                               const struct otlp_interval *interval,
                               const struct otlp_histogram *histogram);
// A metric without points is left out.
void otlp_metric_end(struct otlp_metrics *metrics);
// Bytes written so far.
size_t otlp_metrics_size(const struct otlp_metrics *metrics);
// Appends the request to `out`, nothing if it has no metric, and frees it. ERROR_MEMORY, ERROR_TOO_LARGE, from here or
// from any call before.
enum error_code otlp_metrics_end(struct otlp_metrics *metrics, struct buffer *out,
                                 struct error *error) MUST_CHECK;
// Frees it unfinished. NULL does nothing.
void otlp_metrics_discard(struct otlp_metrics *metrics);

#endif
