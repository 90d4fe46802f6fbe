// Completed jobs, in few bytes each: when each was ready, had a runner and was over. From these it is computed how
// long jobs would have waited with other runners (whatif.h). Open jobs are not among them: see pool.h.
//
// Table job_history: be64 number of the first job ‖ → 1 to JOB_HISTORY_TOGETHER jobs of 32 bytes, in the order in which
// they completed, as one transaction added them:
//
//   be64 pool ‖ be48 job ‖ be48 ms when it was ready ‖ be32 ms it waited for a runner ‖ be32 ms it had one ‖ be32 runner
//
// Numbers increase by one for each job, so that entries are only ever appended, and the difference of the first and the
// last is how many there are. A job that is completed again, or corrected, is added again: of two with the same `job`
// the later one holds. pool: the first bytes of the pool's id (pool.h), by the rules when it was added, and before
// folding: a record that was added before a rule was set remains in the pool of its labels, and a job of a folded set
// is in the pool that the set would have. job, runner: hashes; runner 0: not known, or one of GitHub's own, which are
// made for each job and whose names are used again. A wait of all ones is not known; then the job was ready when it
// started. Longer times than 2^32 ms (49 days) are cut.
//
// Not recorded: jobs that never had a runner, were skipped or carried over, and jobs that were given up.
#ifndef GHATRACE_STATS_JOB_HISTORY_H
#define GHATRACE_STATS_JOB_HISTORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ghatrace/base/error.h"
#include "ghatrace/base/slice.h"
#include "ghatrace/base/time.h"
#include "ghatrace/stats/pool.h"
#include "ghatrace/stats/stats.h"
#include "ghatrace/store/store.h"
#include "ghatrace/trace/timeline.h"

#define JOB_HISTORY_RECORD_SIZE 32
#define JOB_HISTORY_TOGETHER 63 // two of these entries fill a page
// How many more than asked for may be kept, so that they are dropped many at a time.
#define JOB_HISTORY_SLACK 1024

struct job_record {
    uint64_t pool;      // job_history_pool()
    uint64_t job;       // 48 bits
    timestamp_ns ready; // TIMESTAMP_UNKNOWN: not known. All times in milliseconds
    timestamp_ns started;
    timestamp_ns ended;
    uint32_t runner; // 0: not known
};

// What the jobs of this pool have as `pool`.
uint64_t job_history_pool(const struct pool_id *id);

// What distinguishes a job with this key from others.
uint64_t job_history_tag(const struct store_key *job);

// Adds a job, which had a runner. Written by stats_flush(), or before.
enum error_code job_history_add(struct stats *stats, const struct store_key *job,
                                const struct job_occupancy *occupancy,
                                struct error *error) MUST_CHECK;
// Drops some of the oldest, at most about `max`, if there are more than `keep` and JOB_HISTORY_SLACK. Looks only
// after jobs were added, and once after the start. `*has_more`: call it again. After stats_flush().
enum error_code job_history_expire(struct stats *stats, uint64_t keep, size_t max, bool *has_more,
                                   struct error *error) MUST_CHECK;

// How many there are.
enum error_code job_history_count(struct store_transaction *transaction, uint64_t *count,
                                  struct error *error) MUST_CHECK;
// True if none has been dropped yet.
enum error_code job_history_is_whole(struct store_transaction *transaction, bool *is_whole,
                                     struct error *error) MUST_CHECK;
// Reads one entry, at or after `*number`, and advances that; 0 means the oldest. `*count` becomes 0 at the end. A
// damaged entry is left out and noted as unreadable.
enum error_code job_history_read(struct store_transaction *transaction, uint64_t *number,
                                 struct job_record records[JOB_HISTORY_TOGETHER], size_t *count,
                                 struct error *error) MUST_CHECK;

#endif
