// Waits of jobs for a runner, of each pool: by time, in histograms, for recent percentiles; and counted for good, for
// metrics.
#ifndef GHATRACE_STATS_LATENCY_H
#define GHATRACE_STATS_LATENCY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ghatrace/base/buffer.h"
#include "ghatrace/base/error.h"
#include "ghatrace/base/slice.h"
#include "ghatrace/base/time.h"
#include "ghatrace/stats/pool.h"
#include "ghatrace/stats/series.h"
#include "ghatrace/stats/stats.h"
#include "ghatrace/store/store.h"
#include "ghatrace/trace/spans.h"

// --- a histogram ---------------------------------------------------------------------------------
// A histogram of durations from seconds to days with a bounded relative error, small enough to keep one for each pool
// and five minutes. Pure.
//
// Seconds below 16 have a bucket each; above, each octave up to 2^20 s (12 days) has 8 buckets of equal width, and
// one more bucket holds the rest. Fractions of a second are truncated, since GitHub's timestamps have whole seconds.

#define HISTOGRAM_EXACT 16
#define HISTOGRAM_PER_OCTAVE 8
#define HISTOGRAM_OCTAVES 16 // 2^4 s to 2^20 s
#define HISTOGRAM_BUCKETS (HISTOGRAM_EXACT + HISTOGRAM_PER_OCTAVE * HISTOGRAM_OCTAVES + 1)

// All zero means empty.
struct histogram {
    uint64_t count;
    duration_ns max;
    uint64_t buckets[HISTOGRAM_BUCKETS];
};

void histogram_add(struct histogram *histogram, duration_ns value);
// Takes back a value that was added. If it was the greatest, `max` becomes what is known of the next: exact to the
// second below 16 s, above that the end of its bucket.
void histogram_remove(struct histogram *histogram, duration_ns value);
void histogram_merge(struct histogram *into, const struct histogram *from);

// The value that `percent` of 100 values do not exceed (nearest rank): exact to the second below 16 s; above, it is
// in the bucket of the exact value, so the error is below an eighth, and never above the greatest value. 0 if empty.
duration_ns histogram_percentile(const struct histogram *histogram, unsigned percent);

// The bucket of a value, and the first second of a bucket.
size_t histogram_bucket_of(duration_ns value);
uint64_t histogram_bucket_start(size_t bucket);

// Encoding: varints of max, then of the distance to each non-empty bucket and its count. ERROR_MEMORY,
// ERROR_TOO_LARGE.
enum error_code histogram_encode(const struct histogram *histogram, struct buffer *out) MUST_CHECK;
// Adds the encoded histogram. False: it is damaged, and `into` must be discarded.
bool histogram_decode_into(struct slice bytes, struct histogram *into) MUST_CHECK;

// --- waits that have ended ------------------------------------------------------------------------
// A job's wait for a runner is counted when it ends: when the job is first known to run, if its start is later than
// when it was ready, else when it is completed. What the store keeps by time (below) is corrected if a later event
// disagrees, so it does not depend on the order of events. What is counted for good is not: each wait once, as it was
// known first. Table pool_waits: pool id → varints of count, seconds and nanoseconds of the sum, the second of the
// first count, and of each bucket up to the last that is in use, in the bounds of series (series.h); kept as long as
// the pool, and cleared when the rules for pools, or the bounds, change.

struct latency_wait {
    bool exists; // it has ended, and its times are known
    timestamp_ns ready;
    timestamp_ns started;
    struct slice labels; // labels_join(), as spelled by the job
    struct slice group;
};

// True if both exist, and their times differ.
bool latency_waits_disagree(const struct latency_wait *before, const struct latency_wait *after);
// Counts what is known of one job after an event, in the place of what was known before.
enum error_code latency_change_wait(struct stats *stats, const struct latency_wait *before,
                                    const struct latency_wait *after,
                                    struct error *error) MUST_CHECK;

// True if a rebuild (rebuild.h) has yet to count the wait of this open job, from its state: until then no wait of it is
// counted, so none is to be changed.
bool latency_is_counted_later(const struct stats *stats, const struct store_key *job);

struct pool_waits {
    uint64_t count;
    struct series_sum sum;
    timestamp_ns since;               // when the first was counted, in whole seconds
    uint64_t buckets[SERIES_BUCKETS]; // not cumulative
};

// What was counted for good of a pool; all zero if nothing was.
enum error_code latency_read_waits(struct store_transaction *transaction,
                                   const struct pool_id *pool, struct pool_waits *waits,
                                   struct error *error) MUST_CHECK;

// --- latency --------------------------------------------------------------------------------------
// Recent queue times of each pool's jobs. Table latency: be64 start of a slot of five minutes ‖ pool id → struct
// histogram of queue times, by the end of the queue, that is: the start of the job. Slots are kept for 25 hours.

#define LATENCY_SLOT (5 * NS_PER_MINUTE)
#define LATENCY_KEPT (25 * NS_PER_HOUR)

// Counts the start of a completed job, and its wait in the place of `before`. Waits of jobs that never ran, of jobs
// without a queue, and waits whose slot has expired are not counted; a start in the future counts as now.
enum error_code latency_count_job(struct stats *stats, const struct job_sample *measure,
                                  const struct latency_wait *before,
                                  struct error *error) MUST_CHECK;
// Drops up to `max` rows of expired slots; `*dropped` is their number. After stats_flush().
enum error_code latency_expire(struct store_transaction *transaction, timestamp_ns now, size_t max,
                               size_t *dropped, struct error *error) MUST_CHECK;

struct latency_query {
    timestamp_ns from, until; // slots that begin at or after `from` and before `until`
    const struct pool *pools; // all of them, in the order of their ids (pool_list)
    size_t pool_count;
};
// Adds up the slots: into `histograms[i]` those of `pools[i]`.
enum error_code latency_read(struct store_transaction *transaction,
                             const struct latency_query *query, struct histogram *histograms,
                             struct error *error) MUST_CHECK;

#endif
