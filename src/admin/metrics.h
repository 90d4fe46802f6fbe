// Metrics in Prometheus' text format and in OpenMetrics.
#ifndef GHATRACE_ADMIN_METRICS_H
#define GHATRACE_ADMIN_METRICS_H

#include <stdbool.h>
#include <stdint.h>

#include "ghatrace/admin/admin.h"
#include "ghatrace/admin/setup.h"
#include "ghatrace/base/buffer.h"
#include "ghatrace/base/error.h"
#include "ghatrace/notify/notices.h"
#include "ghatrace/receiver/receiver.h"
#include "ghatrace/stats/pool.h"
#include "ghatrace/stats/series.h"

// --- metrics --------------------------------------------------------------------------------------
// GET /metrics, for Prometheus.
//
// The same metrics in two formats: Prometheus text 0.0.4, and OpenMetrics 1.0.0, which supports exemplars: the trace
// of a job next to the bucket that it was counted in. Bucket bounds are written alike in both ("1.0"), since
// otherwise a change of format would create different series.

enum metrics_format { METRICS_PROMETHEUS, METRICS_OPENMETRICS };

// The format preferred by the header field Accept (RFC 9110 12.5.1); Prometheus text if it has no preference.
enum metrics_format metrics_format_of(struct slice accept);
const char *metrics_content_type(enum metrics_format format);

// --- an answer in slices ---

// Where the set "other" of a kind is.
struct metrics_other {
    bool exists;
    struct series_id id;
};

// An answer can have many megabytes, and a client can take minutes to read it, so it is made in slices. Each slice reads
// the store in a short transaction of its own, and is over before it is sent. Values of different slices are from
// different moments; within an answer no value is older than one before it.
//
// Rows of a family are in the order of their keys in the store, each of which is a digest of the row's labels: a set that
// is added or removed meanwhile is in the answer once or not at all, never twice.
//
// When there are too many sets, one of them is added to "other" and removed (series.h). "other" is the last row of its
// family, so what was counted before the answer was begun is in it: as the set, or in "other", unless that comes to be
// while the family is read, which happens once to a store. If a set is removed
// after its row was written and before the end of its family, that answer has its counts twice. No row falls by that:
// that of "other" only grows, and that of the set ends. The sum over all sets is too high in that one answer. The
// alternative, "other" before the sets, would make it too low.
struct metrics_pools;

struct metrics_scrape {
    const struct view_sources *sources;
    enum metrics_format format;
    size_t part; // the next
    bool is_begun;
    struct pool_id next_pool; // the next row of the part
    struct series_id next_series;
    struct metrics_other others[SERIES_KINDS]; // met so far
    struct metrics_pools *pools;               // NULL: not read yet
    // A slice ends after the row with which it has so many bytes, or took so long.
    size_t slice_bytes;
    duration_ns slice_time;
};
void metrics_scrape_init(struct metrics_scrape *scrape, const struct view_sources *sources,
                         enum metrics_format format);
void metrics_scrape_release(struct metrics_scrape *scrape);
// Appends the next slice, at `now`, to `out`, which is empty. `*is_last`: it was the last. Errors as the store reports,
// ERROR_MEMORY, ERROR_TOO_LARGE; then the answer cannot be completed.
enum error_code metrics_scrape_next(struct metrics_scrape *scrape, timestamp_ns now,
                                    struct buffer *out, bool *is_last,
                                    struct error *error) MUST_CHECK;

// --- writing metrics: families with their help, samples with their labels -------------------------

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

// --- health figures -------------------------------------------------------------------------------
// The daemon's own figures at one moment: what it received, what it stores, what it sends.

struct health_figures {
    bool is_ready;
    struct error trouble; // the reason if it is not
    struct ingress_counters ingress;
    struct ingress_setup setup;
    struct receiver_counters receiver;
    struct engine_counters engine;
    struct setup_arc arc;
    struct engine_overflow overflow;
    struct export_counters exporter;
    struct export_status exporting;
    struct metrics_push_counters pushed;
    struct metrics_push_status pushing;
    struct notices_counters notices;
    struct store_usage usage;
    uint64_t own_records, own_bytes; // of the outbox without records of other programs
    struct store_set_aside_totals set_aside;
    uint64_t unreadable; // store_unreadable_ever()
    // when the oldest waiting record was finished; TIMESTAMP_UNKNOWN: none waits
    timestamp_ns outbox_oldest;
    timestamp_ns oldest_delivery; // the oldest recorded one; TIMESTAMP_UNKNOWN: none is
    uint64_t open_runs;
    uint64_t finished_runs; // in the history
    timestamp_ns now;       // when they were read
    timestamp_ns started_at;
    // false: otlp-header-file cannot be used, and the last valid headers are kept
    bool has_usable_headers;
};

// One or several numbers of struct health_figures, and their names in /metrics and /api/status.
struct health_family {
    const char *metric; // without "_total"
    enum metrics_type type;
    const char *help;
    size_t field;      // of the first uint64_t, in struct health_figures
    const char *label; // the label that distinguishes several numbers; NULL: there is one number
    const char *const *names; // the values of the label, and the member names in the API's object
    size_t count;             // how many
    // The name in GET /api/status, in this object ("": the outermost). NULL: not there.
    const char *object, *name;
    // Writes families that are not plain numbers; everything else is NULL then.
    void (*write)(struct metrics_text *text, const struct health_figures *figures);
};

// All health families, in the order of /metrics.
extern const struct health_family health_families[];
extern const size_t health_family_count;

// The number of a family at an index.
uint64_t health_number(const struct health_figures *figures, const struct health_family *family,
                       size_t place);

// The name of a category in labels and API fields: "refuses_credentials".
#define HEALTH_CATEGORY_SIZE 64
const char *health_category(enum export_trouble trouble, char text[HEALTH_CATEGORY_SIZE]);

// The input for setup_assess(); points into both arguments.
struct setup_facts health_setup_facts(const struct view_sources *sources,
                                      const struct health_figures *figures, timestamp_ns now);

// Reads the figures at `now`. Parts that do not run count 0. Errors as the store reports.
enum error_code health_figures_read(const struct view_sources *sources, timestamp_ns now,
                                    struct health_figures *figures, struct error *error) MUST_CHECK;

#endif
