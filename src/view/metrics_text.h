// The text of metrics: families with their help, samples with their labels.
#ifndef GHATRACE_VIEW_METRICS_TEXT_H
#define GHATRACE_VIEW_METRICS_TEXT_H

#include <stdint.h>

#include "ghatrace/tally/series.h"
#include "ghatrace/view/metrics.h"

// The first failure sticks.
struct metrics_text {
    struct buffer *out;
    enum metrics_format format;
    enum error_code code;
};

enum metrics_type { METRICS_GAUGE, METRICS_COUNTER, METRICS_HISTOGRAM, METRICS_SUMMARY };

struct metrics_label {
    const char *name;
    struct slice value; // anything; it is escaped
};

// `name` is without "_total".
void metrics_family(struct metrics_text *text, const char *name, enum metrics_type type,
                    const char *help);
// `suffix` as "_total" or "".
void metrics_sample(struct metrics_text *text, const char *name, const char *suffix,
                    const struct metrics_label *labels, size_t count, double value);
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
                           const struct metrics_label *labels, size_t count,
                           const struct metrics_histogram *histogram);

// --- the families, by where they come from ---

enum error_code metrics_put_queue(struct metrics_text *text, const struct view_sources *sources,
                                  timestamp_ns now, struct error *error) MUST_CHECK;
enum error_code metrics_put_series(struct metrics_text *text, const struct view_sources *sources,
                                   struct error *error) MUST_CHECK;
enum error_code metrics_put_health(struct metrics_text *text, const struct view_sources *sources,
                                   timestamp_ns now, struct error *error) MUST_CHECK;
void metrics_put_process(struct metrics_text *text);

#endif
