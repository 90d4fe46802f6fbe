// Pools of runners with what is known of each now: open jobs, and the waits that have not ended. Read inside the
// caller's transaction, and valid until it ends.
#ifndef GHATRACE_VIEW_POOLS_VIEW_H
#define GHATRACE_VIEW_POOLS_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ghatrace/base/error.h"
#include "ghatrace/base/time.h"
#include "ghatrace/stats/pool.h"
#include "ghatrace/stats/pool_minutes.h"
#include "ghatrace/trace/labels.h"
#include "ghatrace/view/run_view.h"

// What is read of all pools together is read of those with most started jobs first, so that invented labels do not keep
// anything of real pools from being known.
// Queued jobs looked at for percentiles: of one pool, and in all. Only the older half of a queue is.
#define POOLS_VIEW_LOOKED_AT_EACH 100000
#define POOLS_VIEW_LOOKED_AT 400000
// Minutes read for the most busy runners, of all pools; minutes, and seconds with changes, read for `since`, of those
// that have queued jobs or share a ceiling with one.
#define POOLS_VIEW_MINUTES_MAX 200000
#define POOLS_VIEW_CHANGE_MINUTES_MAX 400000
#define POOLS_VIEW_CHANGES_MAX 1000000
// Running jobs looked at for the repositories of ceilings, in all.
#define POOLS_VIEW_RUNNING_MAX 2000
#define POOLS_VIEW_REPOSITORIES 10 // of one ceiling
#define POOLS_VIEW_OLDEST 100      // queued jobs looked at for their repositories, of all pools
// Queued jobs looked at for the repository that fills a pool: the oldest of each of so many pools, the worst first.
#define POOLS_VIEW_FILLED_JOBS 30
#define POOLS_VIEW_FILLED_POOLS 20
#define POOLS_VIEW_FILLED_LEAST 10 // with fewer none fills it
// Of so many of the filled pools the shares are counted exactly, up to so many jobs in all; of so many ceilings, and
// of so many queued jobs of each, the workflow with most of them.
#define POOLS_VIEW_COUNTED_POOLS 4
#define POOLS_VIEW_COUNTED_JOBS 4000
#define POOLS_VIEW_COUNTED_CEILINGS 2
#define POOLS_VIEW_CEILING_JOBS 1000
#define POOLS_VIEW_INFERRED_MAX 16
#define POOLS_VIEW_NO_CEILING SIZE_MAX

// Whether a pool keeps up with its queue. The rules are in src/view/pool_state.h.
enum pool_state {
    POOL_OK,      // nothing waits, or what waits is short
    POOL_WAITING, // jobs wait, and none of the following
    POOL_CEILING, // jobs wait, and a limit above the pools is reached: more runners would not help
    POOL_BUSY,    // jobs wait, and as many jobs run as ever did in the last week
    POOL_DEAD,    // jobs wait, nothing started for long, and nothing runs
    POOL_STATES
};
// As the API names them: "ok", "waiting", "ceiling", "busy", "dead".
extern const char *const pool_state_names[POOL_STATES];

struct pools_view_share {
    struct slice server, repository;
    uint64_t running;
};

// The repository that has most of the jobs of a pool.
struct pools_view_filler {
    struct slice server, repository;
    struct slice workflow; // that with most of its queued jobs; empty: not known
    uint64_t workflow_queued;
    uint64_t queued, of; // of so many queued jobs that were looked at; 0: none fills the pool
    uint64_t running, of_running; // likewise of running ones; 0: they were not looked at
    bool has_more;                // queued jobs that were not looked at: these are the oldest
};

// The workflow, by its name in all repositories, with most of the queued jobs of a ceiling, if it has at least half.
struct pools_view_common {
    struct slice workflow;
    uint64_t queued, of; // of so many that were looked at; 0: there is no such workflow
    uint64_t repositories;
    bool has_more; // queued jobs that were not looked at
};

struct pools_view_pool {
    struct pool pool;
    struct slice name; // pool_name()
    struct pool_open_waits waits;
    struct pool_recent recent; // without those that ended
    uint64_t running;          // without those that ended
    // running jobs whose runner has taken another job more than `job_grace` ago (runners.h)
    uint64_t ended_unknown;
    enum pool_state state;
    timestamp_ns since; // when the state began (pool_state.h); TIMESTAMP_UNKNOWN: POOL_OK
    // the name of the ceiling that holds the pool back: of POOL_CEILING; else empty
    struct slice ceiling;
    // The repository that has two thirds of the oldest queued jobs, by pools_cache_read().
    struct pools_view_filler filler;
    // the place of the ceiling that it belongs to; POOLS_VIEW_NO_CEILING: none
    size_t ceiling_number;
};

// A limit of running jobs that several pools share: by a rule of the settings, or inferred (pool_state.h).
struct pools_view_ceiling {
    struct slice name; // that of the rule; an inferred one: the runner group in parentheses
    uint64_t limit;
    uint64_t running, queued;  // of all its pools
    timestamp_ns since;        // when it was reached; TIMESTAMP_UNKNOWN: it is not now
    const struct slice *pools; // their names
    size_t pool_count;
    bool is_inferred;
    struct pools_view_common common; // of a ceiling that is reached, by pools_cache_read()
    struct pools_view_filler most;   // the repository with most of its queued jobs; likewise
};

// Of the queued jobs that have waited longest, in all pools: the repository with most of them.
struct pools_view_oldest {
    struct pools_view_share most; // queued instead of running; no repository: there are no jobs
    uint64_t jobs;                // looked at
    size_t repositories;          // that they are of
    bool has_more;                // queued jobs that were not looked at
};

struct pools_view {
    // dead, busy or waiting, at a ceiling, ok; in each by `since`, the earliest first, then most queued jobs, then by name
    struct pools_view_pool *pools;
    size_t count;
    // those of rules, whether they are reached or not, then inferred ones
    struct pools_view_ceiling *ceilings;
    size_t ceiling_count;
    struct pools_view_oldest oldest; // by pools_cache_read(), if the summary depends on it
};

// A rule of runner-ceiling: pools with a label that `globs` select share `limit` running jobs.
struct ceiling_rule {
    struct slice name;
    uint64_t limit;
    struct runner_globs globs;
};

struct ceiling_rules { // the first that selects a pool decides
    const struct ceiling_rule *rules;
    size_t count;
};

// The rule that decides for a pool of these labels, as labels_join() writes them; NULL: none does. It is one of `rules`.
const struct ceiling_rule *ceiling_rules_find(const struct ceiling_rules *rules,
                                              struct slice labels);

struct pools_view_settings {
    duration_ns dead_after; // pool-dead-after
    duration_ns job_grace;  // job-grace
    struct ceiling_rules ceilings;
};

// ERROR_MEMORY, or an error of the store.
enum error_code pools_view_load(const struct view_reader *reader,
                                const struct pools_view_settings *settings, timestamp_ns now,
                                struct pools_view *view) MUST_CHECK;

// The repositories with most of the running jobs of each ceiling that is reached.
struct pools_view_shares {
    struct pools_view_share items[POOLS_VIEW_REPOSITORIES]; // most running first
    size_t count;
};
// `*shares`: one for each ceiling, in the arena. Looks at POOLS_VIEW_RUNNING_MAX jobs at most, the oldest of each pool.
enum error_code pools_view_count_shares(const struct view_reader *reader,
                                        const struct pools_view *view,
                                        struct pools_view_shares **shares) MUST_CHECK;

// Sets `view->oldest`. ERROR_MEMORY, or an error of the store.
enum error_code pools_view_count_oldest(const struct view_reader *reader,
                                        struct pools_view *view) MUST_CHECK;

// Sets which repository fills a pool, of pools that are busy, at a ceiling or waiting. Likewise.
enum error_code pools_view_find_fillers(const struct view_reader *reader,
                                        struct pools_view *view) MUST_CHECK;

// Counts the shares of these repositories exactly, and finds the workflow that fills a ceiling. Likewise.
struct ended_rule;
enum error_code pools_view_count_fillers(const struct view_reader *reader,
                                         const struct ended_rule *rule,
                                         struct pools_view *view) MUST_CHECK;

// Whether jobs have run in the pool, as far as is known, or a rule names it: anyone may invent labels of jobs that only wait.
bool pools_view_has_run(const struct pools_view_pool *pool);

// How long a job has waited that waits since then; 0 if it begins later, as by another clock.
duration_ns pools_view_wait(timestamp_ns since, timestamp_ns now);

#endif
