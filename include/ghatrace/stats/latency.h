// Waits of jobs for a runner, of each pool: by time, in histograms, for recent percentiles; and counted for good, for
// metrics.
#ifndef GHATRACE_STATS_LATENCY_H
#define GHATRACE_STATS_LATENCY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ghatrace/base/error.h"
#include "ghatrace/base/slice.h"
#include "ghatrace/base/time.h"
#include "ghatrace/stats/histogram.h"
#include "ghatrace/stats/pool.h"
#include "ghatrace/stats/series.h"
#include "ghatrace/stats/stats.h"
#include "ghatrace/store/store.h"
#include "ghatrace/trace/spans.h"

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
