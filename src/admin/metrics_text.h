// Writes metrics as text: families with their help, samples with their labels. Pure.
//
// There are two formats: Prometheus text 0.0.4, and OpenMetrics 1.0.0, which supports exemplars: the trace of a job
// next to the bucket that it was counted in. Bucket bounds are written alike in both ("1.0"), since otherwise a change
// of format would create different series.
#ifndef GHATRACE_ADMIN_METRICS_TEXT_H
#define GHATRACE_ADMIN_METRICS_TEXT_H

#include <stddef.h>
#include <stdint.h>

#include "ghatrace/base/buffer.h"
#include "ghatrace/base/error.h"
#include "ghatrace/base/slice.h"
#include "ghatrace/base/time.h"
#include "ghatrace/stats/series.h"

enum metrics_format { METRICS_PROMETHEUS, METRICS_OPENMETRICS };

// The first error is kept.
struct metrics_text {
    struct buffer *out;
    enum metrics_format format;
    enum error_code code;
};

enum metrics_type { METRICS_GAUGE, METRICS_COUNTER, METRICS_HISTOGRAM, METRICS_SUMMARY };

struct metrics_label {
    const char *name;
    struct slice value; // any text; it is escaped
};

struct metrics_labels {
    const struct metrics_label *items;
    size_t count;
};

static const struct metrics_labels metrics_no_labels;

static inline struct metrics_labels metrics_one_label(const struct metrics_label *label)
{
    return (struct metrics_labels){label, 1};
}

// The unit of times in metrics.
static inline double metrics_seconds(int64_t ns)
{
    return (double)ns / (double)NS_PER_SECOND;
}

// HELP and TYPE. `name` is without "_total".
void metrics_family(struct metrics_text *text, const char *name, enum metrics_type type,
                    const char *help);
// `suffix` is "_total" or "".
void metrics_sample(struct metrics_text *text, const char *name, const char *suffix,
                    struct metrics_labels labels, double value);
// A family with one sample without labels.
void metrics_single(struct metrics_text *text, const char *name, enum metrics_type type,
                    const char *help, double value);

// One histogram of a family. `bounds` in seconds; `buckets` not cumulative, one more than bounds.
struct metrics_histogram {
    const double *bounds;
    size_t bound_count;
    const uint64_t *buckets;
    uint64_t count;
    double sum;
    const struct series_exemplar *exemplars; // of each bucket; NULL: none
};
void metrics_put_histogram(struct metrics_text *text, const char *name,
                           struct metrics_labels labels, const struct metrics_histogram *histogram);
// Ends the text.
void metrics_finish(struct metrics_text *text);

#endif
