// Pools of runners, and the open jobs that stand before them or run on them.
//
// A pool is what jobs share that ask for the same labels (labels_identity: whatever their case, order and number) and
// have the same runner group, letter by letter; the group is empty until a job is on a runner. Tables:
//
//   pools      id → be64 jobs waiting ‖ be64 queued ‖ be64 running ‖ be64 changed at ‖ be64 last slot in `latency`
//              ‖ be16 length of the labels ‖ labels ‖ group
//   open_jobs  pool id ‖ state (1 byte) ‖ be64 since ‖ trace ‖ span → empty
//
// where id is the first half of SHA-256 of the labels' identity ‖ 00 ‖ group, and the labels are as they were spelled
// first (spelling.h). When there are as many pools as
// there may be, jobs of new ones stand in the pool with the labels "other" and no group. A pool
// without jobs stays, to show 0, until it was unused for a day and no latency is kept of it.
//
// The counts are those of the entries in open_jobs, always.
#ifndef GHATRACE_STATS_POOL_H
#define GHATRACE_STATS_POOL_H

#include <stdbool.h>
#include <stdint.h>

#include "ghatrace/base/arena.h"
#include "ghatrace/base/error.h"
#include "ghatrace/base/slice.h"
#include "ghatrace/base/time.h"
#include "ghatrace/stats/stats.h"
#include "ghatrace/store/store.h"
#include "ghatrace/trace/timeline.h"

#define POOL_ID_SIZE 16

struct pool_id {
    uint8_t bytes[POOL_ID_SIZE];
};

struct pool {
    struct pool_id id;
    struct slice labels;              // a text as labels_join() makes it
    struct slice group;               // empty: not on a runner yet, or the runner is in none
    uint64_t counts[OPEN_JOB_STATES]; // open jobs by enum open_job_kind; that of OPEN_JOB_NONE is 0
    timestamp_ns changed_at;          // when a job last came or went
    timestamp_ns latency_slot; // start of the last slot in `latency`; TIMESTAMP_UNKNOWN: none
};

// Where a job stands, and in which pool. All zero: nowhere.
struct pool_place {
    struct open_job_state open_state;
    struct pool_id pool;
    struct slice labels;
    struct slice group;
};

// The identity of a pool. `labels`: a text as labels_join() makes it, in any spelling.
struct pool_id pool_make_id(struct slice labels, struct slice group);
bool pool_is_other(const struct pool_id *id);

// --- writing ---

// Where this state's job stands. Texts point into the state or the arena. ERROR_MEMORY.
enum error_code pool_place_job(const struct job_state *job, struct arena *arena,
                               struct pool_place *place) MUST_CHECK;
// The job of this key goes from one place to another; either may be nowhere.
enum error_code pool_move_job(struct stats *stats, const struct store_key *job,
                              const struct pool_place *before, const struct pool_place *after,
                              struct error *error) MUST_CHECK;
// The same for a job whose state cannot be read: takes it out of wherever it stands. By looking through all of them.
enum error_code pool_forget_job(struct stats *stats, const struct store_key *job, bool *was_open,
                                struct error *error) MUST_CHECK;
// Drops up to `max` pools that have been unused for a day, looking at no more than `max` from `*from` on, and
// moves `*from` on; at the end it becomes all zero and `*is_end` true. After stats_flush().
enum error_code pool_expire(struct stats *stats, struct pool_id *from, size_t max, bool *is_end,
                            struct error *error) MUST_CHECK;

// --- reading ---

uint64_t pool_count(struct store_transaction *transaction);
// The first pool at or after `*id`; sets `*id` and `*pool`. ERROR_NOT_FOUND at the end. Texts are valid until the
// transaction writes or ends.
enum error_code pool_seek(struct store_transaction *transaction, struct pool_id *id,
                          struct pool *pool, struct error *error) MUST_CHECK;
void pool_id_increment(struct pool_id *id);
// All of them, in the order of their ids, texts in the arena.
enum error_code pool_list(struct store_transaction *transaction, struct arena *arena,
                          struct pool **pools, size_t *count, struct error *error) MUST_CHECK;

struct pool_job {
    timestamp_ns since;
    struct store_key key; // of its state
};

// The first open job of a pool in a state at or after `*job`, the oldest first; all zero gives the oldest.
// ERROR_NOT_FOUND at the end.
enum error_code pool_seek_job(struct store_transaction *transaction, const struct pool_id *pool,
                              enum open_job_kind state, struct pool_job *job,
                              struct error *error) MUST_CHECK;
// The place right after `job`, to go on seeking from.
void pool_job_increment(struct pool_job *job);

#endif
