// Whether pools of runners keep up with their queue, and if not, why and since when. Pure: all is computed from counts
// and times, so the answer is the same after a restart.
//
// A pool's jobs wait if the oldest queued one has waited for a minute. They have waited since the last time at which no
// job was queued, or at which a job started that had waited for less than a minute, but not later than the oldest.
// While they wait, the pool is the first of
//
//   ceiling   if a limit of running jobs that it shares with other pools is reached. Since: it was reached, or jobs wait,
//             whichever is later.
//   dead      if for `dead_after` jobs were queued, and none ran or started. Since: the last end or start, or jobs are
//             queued, whichever is later. For this a wait of less than a minute counts, too: queued jobs may be
//             cancelled and replaced.
//   busy      if as many of its jobs run as ever did in a week. Since: at least nine tenths of these run, or jobs wait,
//             whichever is later.
//   waiting   else. Since: jobs wait.
//
// A number of running jobs counts as reached as long as it is at least once in five minutes, as jobs end before the
// next ones start. So `since` is when the pool got into trouble for the last time, and not when it changed for the last
// time in it. Minutes are kept for a day: what began before is shown as of 24 to 25 hours ago, except a dead pool,
// which is known by hours for a week. Private to this room.
#ifndef GHATRACE_SRC_VIEW_POOL_STATE_H
#define GHATRACE_SRC_VIEW_POOL_STATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ghatrace/base/time.h"
#include "ghatrace/stats/pool_changes.h"
#include "ghatrace/view/pools_view.h"

#define POOL_SHORT_WAIT NS_PER_MINUTE
#define POOL_REACHED_GAP (5 * NS_PER_MINUTE)

// --- numbers of jobs over time --------------------------------------------------------------------

// Numbers of jobs of a pool, or of several, from a time up to now.
struct pool_curve {
    timestamp_ns from, now;
    const struct pool_change *changes; // from the oldest on; may be after `now` by a little
    size_t count;
    int64_t queued, running; // now, after all changes
};

// Since when jobs have been queued without a break. TIMESTAMP_UNKNOWN: none is. `from`, if they were then.
timestamp_ns pool_curve_queued_since(const struct pool_curve *curve);
// When a job ran for the last time: `now` if one does; TIMESTAMP_UNKNOWN if none did.
timestamp_ns pool_curve_last_run(const struct pool_curve *curve);
// Since when `least` jobs have run at least once in each `gap` while jobs were queued. TIMESTAMP_UNKNOWN: they have not
// within the last `gap`, or none is queued.
timestamp_ns pool_curve_reached_since(const struct pool_curve *curve, int64_t least,
                                      duration_ns gap);
// The most jobs that ran at once since then.
int64_t pool_curve_most(const struct pool_curve *curve, timestamp_ns since);
// Whether jobs were queued for a minute without a break since then.
bool pool_curve_waited(const struct pool_curve *curve, timestamp_ns since);

// --- the state of a pool --------------------------------------------------------------------------

struct pool_facts {
    struct pool_curve curve;
    // since when the oldest queued job waits; TIMESTAMP_UNKNOWN: none is queued
    timestamp_ns oldest;
    timestamp_ns last_start;       // TIMESTAMP_UNKNOWN: not within the curve
    timestamp_ns last_short_start; // likewise; of a job that had waited for less than a minute
    // when a job ran before the curve; TIMESTAMP_UNKNOWN: none is known
    timestamp_ns active_before;
    uint64_t busy_max; // in the last week
    // when its ceiling was reached; TIMESTAMP_UNKNOWN: it has none, or it is not
    timestamp_ns ceiling_since;
    duration_ns dead_after;
};

struct pool_verdict {
    enum pool_state state;
    timestamp_ns since; // TIMESTAMP_UNKNOWN for POOL_OK
};

// Since when jobs of the pool wait; TIMESTAMP_UNKNOWN: they do not.
timestamp_ns pool_waits_since(const struct pool_facts *facts);
struct pool_verdict pool_assess(const struct pool_facts *facts);

// --- ceilings -------------------------------------------------------------------------------------
// A limit of running jobs above the pools is either known by a rule, or inferred: of pools of which one waits, the sum of
// running jobs has been at the most of a day, or by a twentieth (one to five jobs) below it, at least once in each two
// minutes, for 15 minutes; at least two of them waited meanwhile, so that the ceiling does not end when the queues of the
// others do; and the pools exchanged what they had: the most that each ran add up to more than the sum ever was, by a
// twentieth and at least by two. Pools that are each at their own limit do not do that, nor does a single pool. At least
// five jobs run: fewer are a quiet day, and the lowest limit of GitHub's own is five.
//
// The limit is the highest of these numbers that was reached for so long: until a late `completed` comes, its job seems
// to run beside as many as the limit allows.

#define CEILING_INFERRED_GAP (2 * NS_PER_MINUTE)
#define CEILING_INFERRED_AFTER (15 * NS_PER_MINUTE)
#define CEILING_INFERRED_LEAST 5

// `sum`: of the pools, which are `count` curves. True: there is a ceiling, `*limit`, reached since `*since`.
bool ceiling_infer(const struct pool_curve *sum, const struct pool_curve *pools, size_t count,
                   int64_t *limit, timestamp_ns *since);

#endif
