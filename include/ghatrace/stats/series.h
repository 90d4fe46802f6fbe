// Durations: histograms for each set of labels, in the form that metrics need.
//
//   kind  table        histograms
//   job   job_series   waiting, queue, startup, execution, assign, provision, duration
//   run   run_series   duration
//   step  step_series  none: count and sum
//
// Which labels the sets of a kind have is chosen (struct series_options). A job is counted once, when it completes; a
// job that was given up or carried over is not. A run is counted once, when its complete root is sent. A job's event is
// known only by its run, which may come later: jobs have no such label, so that figures do not depend on the order.
// Labels that rules leave out of pools (pool_rules.h) are left out here, too; the labels of a pool that was folded
// (pool.h) are "(one-off)", and when few more sets may be created those of a pool that no rule names and in which no
// two jobs have started lately.
//
// Key: the first half of SHA-256 of which labels there are and of the labels, each followed by 00; of the runner labels
// their identity (labels.h), while the spelling that was seen first is shown (stats.h). Value: layout in series.c.
//
// A set ends in two ways. When the maximum number of sets of a kind is reached, the one that was unused for longest is
// added to the set whose labels are all "other"; if no set can be removed, because all were used in the same
// transaction or the store is tight, the new one is counted under "other". A set that was not counted in for longer
// than `idle` is deleted with its sums: they would make "other" jump, and rates with it. Either way it begins at 0,
// with a new start, if it comes back.
//
// When labels are chosen that differ from those of the stored sets, these are added up by the labels that remain;
// labels that they do not have are empty. When bounds differ, histograms cannot be added up: jobs, runs and what
// latency.h counts for good begin at 0 again.
#ifndef GHATRACE_STATS_SERIES_H
#define GHATRACE_STATS_SERIES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ghatrace/base/error.h"
#include "ghatrace/base/slice.h"
#include "ghatrace/base/time.h"
#include "ghatrace/stats/stats.h"
#include "ghatrace/store/store.h"
#include "ghatrace/trace/spans.h"

// Of jobs. Assign and provision are the two parts of queue, of jobs of which it is known when ARC assigned them.
// Duration: from when the job was ready for a runner to its end, hence queue, startup and execution together.
enum {
    SERIES_JOB_WAITING,
    SERIES_JOB_QUEUE,
    SERIES_JOB_STARTUP,
    SERIES_JOB_EXECUTION,
    SERIES_JOB_ASSIGN,
    SERIES_JOB_PROVISION,
    SERIES_JOB_DURATION
};
#define SERIES_HISTOGRAMS_MAX 7

#define SERIES_BUCKETS (SERIES_BOUNDS_MAX + 1)

// The newest observation in a bucket, by the end of the job or run.
struct series_exemplar {
    timestamp_ns at; // TIMESTAMP_UNKNOWN: there is none
    duration_ns value;
    struct trace_id trace; // of the exported scheme
};

struct series_sum {
    uint64_t seconds;
    uint32_t nanoseconds; // below 1,000,000,000
};

struct series_histogram {
    uint64_t count;
    struct series_sum sum;
    uint64_t buckets[SERIES_BUCKETS]; // not cumulative
    struct series_exemplar exemplars[SERIES_BUCKETS];
};

struct series_id {
    uint8_t bytes[16];
};

struct series {
    enum series_kind kind;
    struct series_id id;
    unsigned has; // these labels; the others are empty
    struct slice labels[SERIES_LABELS];
    // when its sums began at 0; TIMESTAMP_UNKNOWN: not known, in an older store
    timestamp_ns started_at;
    uint64_t count;        // jobs, runs or steps, whatever phases they had
    struct series_sum sum; // of steps
    struct series_histogram histograms[SERIES_HISTOGRAMS_MAX]; // of jobs and runs
};

size_t series_histogram_count(enum series_kind kind);
// The bucket that a value is counted in.
size_t series_bucket_of(const struct series_bounds *bounds, duration_ns value);
// True for the set that takes what exceeds the limit.
bool series_is_other(const struct series *series);

// Counts the job and its steps.
enum error_code series_count_job(struct stats *stats, const struct job_sample *measure,
                                 struct error *error) MUST_CHECK;
// Does nothing for an incomplete run.
enum error_code series_count_run(struct stats *stats, const struct run_sample *measure,
                                 struct error *error) MUST_CHECK;

// Deletes sets that were unused for longer than `idle`, looking at up to `max` from `place` on, which begins as all
// zero and is advanced. `*is_end`: all were looked at, and `place` is all zero again. After stats_flush().
struct series_place {
    enum series_kind kind;
    struct series_id id;
};
enum error_code series_expire(struct stats *stats, struct series_place *place, size_t max,
                              bool *is_end, struct error *error) MUST_CHECK;

// The bounds of the stored histograms.
enum error_code series_read_bounds(struct store_transaction *transaction,
                                   struct series_bounds *bounds, struct error *error) MUST_CHECK;

// Since when series are counted; TIMESTAMP_UNKNOWN if that is not stored, in an older store that no daemon of this
// version has opened.
enum error_code series_since(struct store_transaction *transaction, timestamp_ns *since,
                             struct error *error) MUST_CHECK;
// The number of label sets of a kind, including "other".
uint64_t series_count(struct store_transaction *transaction, enum series_kind kind);
// The first series of a kind at or after `*id`; sets `*id` and `*series`, whose texts are valid until the transaction
// writes or ends. ERROR_NOT_FOUND at the end.
enum error_code series_seek(struct store_transaction *transaction, enum series_kind kind,
                            struct series_id *id, struct series *series,
                            struct error *error) MUST_CHECK;
void series_id_increment(struct series_id *id);

#endif
