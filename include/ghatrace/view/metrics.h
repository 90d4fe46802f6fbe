// GET /metrics: what Prometheus scrapes.
//
// Two formats of the same: Prometheus text 0.0.4, and OpenMetrics 1.0.0, which carries exemplars: the trace of
// a job beside the bucket that it fell into. Bucket bounds are written alike in both ("1.0"), or a change of
// format would make other series of them.
#ifndef GHATRACE_VIEW_METRICS_H
#define GHATRACE_VIEW_METRICS_H

#include "ghatrace/base/buffer.h"
#include "ghatrace/base/error.h"
#include "ghatrace/view/sources.h"

enum metrics_format { METRICS_PROMETHEUS, METRICS_OPENMETRICS };

// Which one the header field Accept prefers (RFC 9110 12.5.1); Prometheus text where it says nothing.
enum metrics_format metrics_format_of(struct slice accept);
const char *metrics_content_type(enum metrics_format format);

// All metrics at `now`, from one snapshot of the store for each part. Errors as the store says, ERROR_MEMORY,
// ERROR_TOO_LARGE; `out` is then worthless.
enum error_code metrics_render(const struct view_sources *sources, enum metrics_format format,
                               timestamp_ns now, struct buffer *out,
                               struct error *error) MUST_CHECK;

#endif
