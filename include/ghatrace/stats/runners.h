// Running jobs whose runner has taken another job since. Their `completed` is late, or was lost: what became of them is
// not known, but the runner is not theirs any more.
//
// A runner is known by its id and name, on one server and for the jobs of one owner of repositories, as ids and names
// repeat elsewhere. Jobs on runners without an id, and on GitHub's own, which have one job each and names that repeat,
// are left out; so is a runner of an enterprise when it changes between organizations. Table runners:
//
//   'r' ‖ runner (16 bytes, a hash) ‖ trace ‖ span → be64 start ‖ pool id; for each running job
//   'm' ‖ trace ‖ span → be64 start of the other job ‖ pool id; for each running job whose runner has taken another one
//
// An entry is removed when the job ends or is given up, so there are at most two for each running job. If several jobs
// followed, the time is that of the first one that is known. If that one's start is corrected, so is the time.
#ifndef GHATRACE_STATS_RUNNERS_H
#define GHATRACE_STATS_RUNNERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ghatrace/base/arena.h"
#include "ghatrace/base/error.h"
#include "ghatrace/base/time.h"
#include "ghatrace/store/store.h"
#include "ghatrace/trace/state.h"

#define RUNNER_ID_SIZE 16
#define RUNNER_REUSES_MAX 10000 // listed at most

// A job's use of a runner. All zero: none, or it is left out.
struct runner_use {
    uint8_t runner[RUNNER_ID_SIZE];
    timestamp_ns start; // TIMESTAMP_UNKNOWN: none
};

struct runner_use runner_use_of(const struct job_state *job);

struct stats;
struct pool_place;

// A job has ended, and did not start when it was said to, but at `started`. `place`: what was known of it. For a closed
// job, of whose state only a note is left that does not name the runner.
enum error_code runners_correct_start(struct stats *stats, const struct store_key *job,
                                      const struct pool_place *place, timestamp_ns started,
                                      struct error *error) MUST_CHECK;

struct runner_reuse {
    struct store_key job;
    uint8_t pool[16];   // the id of its pool, which may be folded since
    timestamp_ns since; // when the runner took another job
};

// The first of them, in the order of their keys.
enum error_code runners_list_reuses(struct store_transaction *transaction, struct arena *arena,
                                    struct runner_reuse **reuses, size_t *count,
                                    struct error *error) MUST_CHECK;
// When the runner of this job took another one. TIMESTAMP_UNKNOWN: it has not, or the job does not run.
enum error_code runners_find_reuse(struct store_transaction *transaction,
                                   const struct store_key *job, timestamp_ns *since,
                                   struct error *error) MUST_CHECK;

#endif
