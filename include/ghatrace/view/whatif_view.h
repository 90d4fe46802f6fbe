// How long the jobs of a pool would have waited with another number of runners: what `ghatrace whatif` shows. Reads the
// job history and the open jobs, and replays them (stats/whatif.h).
//
// Reads in short transactions: none is kept open for more than about WHATIF_VIEW_HELD, whatever is stored. Open jobs
// are read first, so that a job that completes meanwhile is known from the history. Memory: at most 200 bytes for each
// job of the pool in the window.
#ifndef GHATRACE_VIEW_WHATIF_VIEW_H
#define GHATRACE_VIEW_WHATIF_VIEW_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ghatrace/base/arena.h"
#include "ghatrace/base/error.h"
#include "ghatrace/base/slice.h"
#include "ghatrace/base/time.h"
#include "ghatrace/json/write.h"
#include "ghatrace/stats/whatif.h"
#include "ghatrace/store/store.h"
#include "ghatrace/view/pools_view.h"

#define WHATIF_VIEW_HELD (10 * NS_PER_MS)
#define WHATIF_VIEW_NEAR 3    // names that are suggested
#define WHATIF_VIEW_SHARED 16 // pools that are named

struct whatif_question {
    struct slice pool; // its name (pool_name()), in any case; labels in any order
    bool has_runners;
    uint64_t runners;
    duration_ns target;
    struct whatif_window window;
    size_t most_jobs;                     // of the pool, that are read; 0: no limit
    const struct ceiling_rules *ceilings; // NULL: none; outlives the answer
    const atomic_bool *is_cancelled;      // NULL: it cannot be cancelled while it reads
};

// A pool whose jobs had a runner that the pool in question had as well.
struct whatif_shared {
    uint64_t pool;     // job_history_pool()
    struct slice name; // empty: the pool is not listed
    uint64_t jobs;
};

struct whatif_answer {
    // Its window begins with the history, if that is younger than asked for.
    struct whatif_question question;
    struct slice name; // of the pool
    // False: there is neither a pool of this name nor a completed job of it. Then only `near` has content: pools with
    // similar names, at most WHATIF_VIEW_NEAR, or those with most open jobs if there is none. All slices are in the
    // arena.
    bool is_known;
    struct slice near[WHATIF_VIEW_NEAR];
    size_t near_count;
    bool is_similar;                    // the names in `near` are
    const struct ceiling_rule *ceiling; // that its jobs count towards by the settings; NULL: none
    // From when on completed jobs are known; TIMESTAMP_UNKNOWN: there are none.
    timestamp_ns kept_since;
    uint64_t jobs; // whose waits are counted; if 0, the rest has no content
    struct whatif_waits recorded;
    struct whatif_waits replayed; // if the question has runners
    uint64_t fewest;
    struct whatif_fit fit;
    struct whatif_shared shared[WHATIF_VIEW_SHARED]; // most jobs first
    size_t shared_count;
    uint64_t unreadable; // stored entries that were left out
};

// ERROR_MEMORY, or an error of the store. ERROR_INVALID: the window is empty, or the pool is "(one-off)", a mixture of
// sets of labels. ERROR_TOO_LARGE: there are more jobs than
// the question allows. ERROR_CLOSED: cancelled.
enum error_code whatif_view_load(struct store *store, const struct whatif_question *question,
                                 struct arena *arena, struct whatif_answer *answer,
                                 struct error *error) MUST_CHECK;
// Of a known pool. Waits are in seconds.
void whatif_view_write_json(const struct whatif_answer *answer, struct json_out *json);

#endif
