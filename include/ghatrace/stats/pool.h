// Pools of runners, and their open jobs: waiting, queued or running.
//
// A pool consists of the jobs that request the same labels (labels_identity: regardless of case, order and
// repetition), or of those that one rule names (pool_rules.h). The runner groups are a detail of it: a job is in the
// same pool before it is on a runner, when its group is not known. Tables:
//
//   pools      id → layout in pool.c
//   open_jobs  pool id ‖ state (1 byte) ‖ be64 since ‖ trace ‖ span → empty; in the pool of folded sets the id of the
//              pool that the job would be in
//
// where id is the first half of SHA-256 of the pool's name in lower case (pool_name), and the labels have the spelling
// that was seen first (stats.h).
//
// Anyone who writes a workflow can invent labels, so there are at most `max_pools` pools (stats.h). Beyond it the sets
// of labels that no rule names are folded into the pool "(one-off)", those with the fewest started jobs first: jobs
// that ended within seven days and had started, and running ones. A set that started more than the least used pool
// takes its place; the other's jobs and latencies move. While the store is tight no pool is created.
//
// A pool without jobs is kept, with 0 jobs, until it was unused for a day (seven if jobs started there) and has no
// latencies left.
//
// The counts always equal the number of entries in open_jobs.
#ifndef GHATRACE_STATS_POOL_H
#define GHATRACE_STATS_POOL_H

#include <stdbool.h>
#include <stdint.h>

#include "ghatrace/base/arena.h"
#include "ghatrace/base/error.h"
#include "ghatrace/base/slice.h"
#include "ghatrace/base/time.h"
#include "ghatrace/stats/pool_rules.h"
#include "ghatrace/stats/runners.h"
#include "ghatrace/stats/stats.h"
#include "ghatrace/store/store.h"
#include "ghatrace/trace/timeline.h"

#define POOL_ID_SIZE 16

struct pool_id {
    uint8_t bytes[POOL_ID_SIZE];
};

// The pool of the sets that are folded.
#define POOL_ONE_OFF_TEXT "(one-off)"
#define POOL_ONE_OFF SLICE(POOL_ONE_OFF_TEXT)
// The name of the pool of jobs that request no labels.
#define POOL_UNLABELED SLICE("(none)")
#define POOL_DAYS 7 // for which started jobs are counted

struct pool {
    struct pool_id id;
    struct slice labels; // as returned by labels_join(); the name, if a rule names it
    bool is_rule;
    // Texts in the form of labels_join(), of at most LABELS_TEXT_MAX bytes, so not all of many:
    struct slice groups;              // runner groups in which its jobs ran
    struct slice asked;               // if a rule names it: the labels of its jobs
    uint64_t counts[OPEN_JOB_STATES]; // open jobs by enum open_job_kind; that of OPEN_JOB_NONE is 0
    timestamp_ns changed_at;          // when a job was last added or removed
    timestamp_ns latency_slot; // start of the last slot in `latency`; TIMESTAMP_UNKNOWN: none
    // Jobs that had started and ended on this day, counted from 1970, and on those before it.
    uint64_t day;
    uint32_t started[POOL_DAYS];
    // One group, unescaped; no days. Only before the first start of this version.
    bool is_of_old_layout;
};

// The state of a job, and its pool. All zero: none.
struct pool_place {
    struct open_job_state open_state;
    struct pool_id pool;
    struct slice labels; // or the name of the rule
    struct slice group;  // empty: not on a runner yet, or the runner has none
    struct slice asked;  // labels that are not ignored; used if it is a rule's
    bool is_rule;
    struct runner_use use; // not in the pool: runners.h
};

// The identity of a pool. `labels`: as returned by labels_join(), in any spelling; or the name of a rule.
struct pool_id pool_make_id(struct slice labels);
bool pool_is_one_off(const struct pool_id *id);
// The one name of a pool (pool_rules.h). Points into `room`, the pool or a constant.
struct slice pool_name(const struct pool *pool, char room[LABELS_TEXT_MAX]);

// --- writing ---

// The place of this state's job. Texts point into the state, the rules or the arena. `rules` may be NULL. ERROR_MEMORY.
enum error_code pool_place_job(const struct pool_rules *rules, const struct job_state *job,
                               struct arena *arena, struct pool_place *place) MUST_CHECK;
// Moves the job with this key from one place to another; either may be none.
enum error_code pool_move_job(struct stats *stats, const struct store_key *job,
                              const struct pool_place *before, const struct pool_place *after,
                              struct error *error) MUST_CHECK;
// The same for a job whose state cannot be read: removes it from its pool. Searches all open jobs.
enum error_code pool_remove_unreadable_job(struct stats *stats, const struct store_key *job,
                                           bool *was_open, struct error *error) MUST_CHECK;
// Drops up to `max` pools that have been unused for a day, checking at most `max` from `*from` on, and advances
// `*from`; at the end it becomes all zero and `*is_end` true. After stats_flush().
enum error_code pool_expire(struct stats *stats, struct pool_id *from, size_t max, bool *is_end,
                            struct error *error) MUST_CHECK;

// Moves jobs of folded sets to the pools that these have by now, checking at most `max` jobs, and folds pools beyond
// the limit, if it was lowered. Does nothing if nothing is folded. Before or after stats_flush(); it flushes.
enum error_code pool_settle_folded(struct stats *stats, size_t max, struct error *error) MUST_CHECK;

// --- reading ---

uint64_t pool_count(struct store_transaction *transaction);
// The first pool at or after `*id`; sets `*id` and `*pool`. ERROR_NOT_FOUND at the end. Texts are valid until the
// transaction writes or ends.
enum error_code pool_seek(struct store_transaction *transaction, struct pool_id *id,
                          struct pool *pool, struct error *error) MUST_CHECK;
void pool_id_increment(struct pool_id *id);
// All pools, in the order of their ids, texts in the arena.
enum error_code pool_list(struct store_transaction *transaction, struct arena *arena,
                          struct pool **pools, size_t *count, struct error *error) MUST_CHECK;

struct pool_job {
    timestamp_ns since;
    struct store_key key; // of its state
};

// The first open job of a pool in a state at or after `*job`, the oldest first; all zero means the oldest.
// ERROR_NOT_FOUND at the end.
enum error_code pool_seek_job(struct store_transaction *transaction, const struct pool_id *pool,
                              enum open_job_kind state, struct pool_job *job,
                              struct error *error) MUST_CHECK;
// True if an open job is counted in "(one-off)" and not in the pool of its place. `place`: as it is stored.
enum error_code pool_is_folded(struct stats *stats, const struct store_key *job,
                               const struct pool_place *place, bool *is_folded,
                               struct error *error) MUST_CHECK;
// The place right after `job`, for the next seek.
void pool_job_increment(struct pool_job *job);

// Since when the queued jobs of a pool wait that have not started.
#define POOL_WAIT_PERCENTS 3                                  // pool_wait_percents[]
extern const unsigned pool_wait_percents[POOL_WAIT_PERCENTS]; // 50, 90, 99
struct pool_open_waits {
    timestamp_ns oldest; // TIMESTAMP_UNKNOWN: no job is queued
    // `since` of the job whose wait so many percent of the waits do not exceed (nearest rank); TIMESTAMP_UNKNOWN: no
    // job is queued, or there are too many to look at
    timestamp_ns since[POOL_WAIT_PERCENTS];
};
// Looks at the older half of the queued jobs, at most at `*budget` of them, and reduces it by those looked at. The
// longest waits come first, so a small budget leaves the median unknown before the others.
enum error_code pool_read_open_waits(struct store_transaction *transaction, const struct pool *pool,
                                     uint64_t *budget, struct pool_open_waits *waits,
                                     struct error *error) MUST_CHECK;

#endif
