// How many jobs of each pool were queued and how many ran, in every minute of the last day and every hour of 35 days.
// They are read by pool_history.h.
//
// Stored are changes, by the time at which they happened: a job adds one to the queue when it is ready, moves from the
// queue to the running ones when it starts, and leaves them when it ends. Sums of changes do not depend on the order of
// events, and if a later event has other times, what a job added is taken back first. How many there were is counted
// back from how many there are now. Table pool_minutes: pool id ‖ be64 minute → layout in pool_rows.h, kept for 25 to 26
// hours, in whole hours. Changes that are further in the future, as by a wrong clock, are left out.
//
// Then the minutes of an hour become one row of table pool_hours: pool id ‖ be64 hour → layout in pool_rows.h, kept for
// 35 days, or as long as the pool. It is their sum, and final: what is learnt of that hour later does not change it,
// whether its minutes are still there or not. If that changes how many jobs there are, as the late end of a job that
// was taken for running, they change when the first hour begins that is still kept by minute. So between two rows there
// were as many jobs as at the begin of the second one, and hours in which nothing changed have no row.
//
// Of a pool that is folded, the minutes are added to those of "(one-off)", and the hours are dropped. A rebuild
// (rebuild.h) clears both tables and begins with the jobs whose states are stored.
#ifndef GHATRACE_STATS_POOL_MINUTES_H
#define GHATRACE_STATS_POOL_MINUTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ghatrace/base/arena.h"
#include "ghatrace/base/error.h"
#include "ghatrace/base/slice.h"
#include "ghatrace/base/time.h"
#include "ghatrace/stats/latency.h"
#include "ghatrace/stats/pool.h"
#include "ghatrace/stats/stats.h"
#include "ghatrace/trace/spans.h"
#include "ghatrace/trace/state.h"

#define POOL_MINUTES_KEPT (25 * NS_PER_HOUR)
#define POOL_MINUTES_DAY 1440
#define POOL_HOURS_KEPT (35 * NS_PER_DAY)

// What is known of a job. TIMESTAMP_UNKNOWN: it has not happened, or it is not known when.
struct job_times {
    timestamp_ns ready;
    timestamp_ns started;
    timestamp_ns ended;
    struct slice labels; // labels_join(), as spelled by the job
    struct slice group;
    bool is_folded; // it is counted in "(one-off)", even if its labels have a pool by now
};

// By its state; nothing once only a note of it is left. Texts point into the state or the arena. ERROR_MEMORY.
enum error_code job_times_of_state(const struct job_state *job, struct arena *arena,
                                   struct job_times *times) MUST_CHECK;
struct job_times job_times_of_sample(const struct job_sample *measure);
// Its wait for a runner, if that has ended.
struct latency_wait job_times_wait(const struct job_times *times);

// Counts what is known of one job after an event, in the place of what was known before, and sets `after->is_folded`.
// During a rebuild, a job whose state it has yet to read is left to it.
enum error_code pool_minutes_change(struct stats *stats, const struct store_key *job,
                                    const struct job_times *before, struct job_times *after,
                                    struct error *error) MUST_CHECK;
// Makes hours of up to `max` rows of minutes that are no longer kept, of the next `pools` pools, in turn, each once an
// hour; `*has_more`: call it again. Jobs whose runner had taken another one are not in them from then on. After
// stats_flush().
enum error_code pool_minutes_expire(struct stats *stats, size_t pools, size_t max, bool *has_more,
                                    struct error *error) MUST_CHECK;

// When jobs of a pool that count as running had left their runner (ended_jobs_of_pool()), in order.
struct pool_ends {
    const timestamp_ns *at;
    size_t count;
};

// What is asked of one pool.
struct pool_reader {
    struct store_transaction *transaction;
    const struct pool *pool; // as it is in the transaction
    timestamp_ns now;
    struct error *error;
    struct pool_ends ends; // of pool_history_read()
};

struct pool_recent {
    bool is_known; // not if there are too many minutes to look at
    // most jobs that ran at once in the last 24 hours, of those at the end of each second
    uint64_t busy_max_day;
    uint64_t busy_max_week; // in the last 7 days
    // in those hours of them that are no longer kept by minute; always known
    uint64_t busy_max_hours;
    // the minute of the last start in the last 24 hours; TIMESTAMP_UNKNOWN: none
    timestamp_ns last_start;
};

// Looks at no more than `*budget` minutes, and reduces it by those looked at.
enum error_code pool_recent_read(const struct pool_reader *reader, uint64_t *budget,
                                 struct pool_recent *recent) MUST_CHECK;

#endif
