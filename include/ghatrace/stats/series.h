// Durations since the store was created: histograms for each set of labels, in the form that metrics need.
//
//   kind  table        labels                                                    histograms
//   job   job_series   repository, workflow, runner group, runner labels, result waiting, queue, startup, execution,
//                                                                                  assign, provision
//   run   run_series   repository, workflow, result                              duration
//   step  step_series  repository, workflow, step, result                        none: count and sum
//
// A job is counted once, when it completes; a job that was given up or carried over is not. A run is counted once,
// when its complete root is sent. Key: the first half of SHA-256 of the labels, each followed by 00; for the runner
// labels their identity (labels.h) is used, while the spelling that was seen first is shown (pool.h); labels that rules
// leave out of pools (pool_rules.h) are left out here, too. Value: layout in
// series.c. When the maximum number of label sets of a kind is reached, the one that was unused for longest
// is added to the set whose labels are all "other" and removed, so that sums over all sets never decrease. If no set
// can be removed, because all were used in the same transaction or the store is tight, the new one is counted under
// "other".
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

enum series_kind { SERIES_JOB, SERIES_RUN, SERIES_STEP };
#define SERIES_KINDS 3

// Indexes into struct series' labels and histograms.
enum {
    SERIES_JOB_REPOSITORY,
    SERIES_JOB_WORKFLOW,
    SERIES_JOB_GROUP,
    SERIES_JOB_LABELS,
    SERIES_JOB_RESULT
};
enum { SERIES_RUN_REPOSITORY, SERIES_RUN_WORKFLOW, SERIES_RUN_RESULT };
enum { SERIES_STEP_REPOSITORY, SERIES_STEP_WORKFLOW, SERIES_STEP_NAME, SERIES_STEP_RESULT };
// Assign and provision are the two parts of queue, of jobs of which it is known when ARC assigned them.
enum {
    SERIES_JOB_WAITING,
    SERIES_JOB_QUEUE,
    SERIES_JOB_STARTUP,
    SERIES_JOB_EXECUTION,
    SERIES_JOB_ASSIGN,
    SERIES_JOB_PROVISION
};
#define SERIES_LABELS_MAX 5
#define SERIES_HISTOGRAMS_MAX 6

// Upper bounds of the buckets in seconds, inclusive; one more bucket holds the rest.
#define SERIES_BOUNDS 16
#define SERIES_BUCKETS (SERIES_BOUNDS + 1)
extern const unsigned series_bounds[SERIES_BOUNDS];

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
    struct slice labels[SERIES_LABELS_MAX];
    uint64_t count;        // jobs, runs or steps, whatever phases they had
    struct series_sum sum; // of steps
    struct series_histogram histograms[SERIES_HISTOGRAMS_MAX]; // of jobs and runs
};

size_t series_label_count(enum series_kind kind);
size_t series_histogram_count(enum series_kind kind);
// True for the set that takes what exceeds the limit.
bool series_is_other(const struct series *series);

// Counts the job and its steps.
enum error_code series_count_job(struct stats *stats, const struct job_sample *measure,
                                 struct error *error) MUST_CHECK;
// Does nothing for an incomplete run.
enum error_code series_count_run(struct stats *stats, const struct run_sample *measure,
                                 struct error *error) MUST_CHECK;

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
