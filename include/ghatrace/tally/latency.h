// How long jobs of each pool waited in the queue, lately. Table latency: be64 start of a slot of five minutes
// ‖ pool id → struct histogram of queue times, by the end of the queue, that is: the start of the job. Slots stay
// for 25 hours.
#ifndef GHATRACE_TALLY_LATENCY_H
#define GHATRACE_TALLY_LATENCY_H

#include <stddef.h>

#include "ghatrace/base/error.h"
#include "ghatrace/base/timestamp.h"
#include "ghatrace/store/store.h"
#include "ghatrace/tally/histogram.h"
#include "ghatrace/tally/pool.h"
#include "ghatrace/tally/tally.h"
#include "ghatrace/trace/measure.h"

#define LATENCY_SLOT (5 * NS_PER_MINUTE)
#define LATENCY_KEPT (25 * NS_PER_HOUR)

// Counts the job in the pool in which it ran. Jobs that never ran, those without a queue, and those whose
// slot is past keeping are not counted; a start that lies ahead of now counts as now.
enum error_code latency_count_job(struct tally *tally, const struct job_measure *measure,
                                  struct error *error) MUST_CHECK;
// Drops up to `max` rows of slots that are past keeping; `*dropped` tells how many. After tally_flush().
enum error_code latency_expire(struct store_transaction *transaction, timestamp_ns now, size_t max,
                               size_t *dropped, struct error *error) MUST_CHECK;

// Adds up the slots that begin at or after `from` and before `until`: into `histograms[i]` those of `pools[i]`, which are
// all pools in order of their ids (pool_list).
enum error_code latency_read(struct store_transaction *transaction, timestamp_ns from,
                             timestamp_ns until, const struct pool *pools, size_t pool_count,
                             struct histogram *histograms, struct error *error) MUST_CHECK;

#endif
