// What the commands draw, read from answers of the API instead of the store. What is drawn of it is the same as of the
// store. Answers are untrusted: a value of another type than documented, or one that is missing, is an error; texts are
// cleaned when they are drawn, as those of the store; a time before the begin of its interval is moved to it. Pure.
//
// ERROR_INVALID, with a message that names what is missing, so that the daemon is of an older version; ERROR_MEMORY.
// Everything is in the arena or the document's text.
#ifndef GHATRACE_TERM_ANSWERS_H
#define GHATRACE_TERM_ANSWERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ghatrace/base/arena.h"
#include "ghatrace/base/error.h"
#include "ghatrace/base/slice.h"
#include "ghatrace/base/time.h"
#include "ghatrace/json/read.h"
#include "ghatrace/term/commit.h"
#include "ghatrace/term/one_pool.h"
#include "ghatrace/term/pools.h"
#include "ghatrace/term/runs.h"
#include "ghatrace/term/top.h"
#include "ghatrace/view/run_view.h"

struct answer {
    const struct json_document *document;
    struct arena *arena;
    struct error *error;
};

// GET /api/pools.
struct pools_answer {
    timestamp_ns now;
    struct pools_view view;
    struct pools_view_shares *shares; // one for each ceiling
    struct pools_summary summary;
    const struct past_list *past; // NULL: not sent
    uint64_t unreadable;
};
enum error_code answer_read_pools(const struct answer *answer,
                                  struct pools_answer *pools) MUST_CHECK;

// GET /api/pools/NAME, and then /api/pools/NAME/jobs into the same `shown`.
struct pool_answer {
    timestamp_ns now;
    struct one_pool shown;
    uint64_t unreadable;
};
enum error_code answer_read_pool(const struct answer *answer, struct pool_answer *pool) MUST_CHECK;
enum error_code answer_read_pool_jobs(const struct answer *answer,
                                      struct pool_answer *pool) MUST_CHECK;

// GET /api/queue, into a screen: its time, totals, jobs and `unreadable`.
enum error_code answer_read_queue(const struct answer *answer, struct top *top) MUST_CHECK;
// GET /api/status, into a screen: what waits for the collector, and when GitHub sent something last.
enum error_code answer_read_status(const struct answer *answer, struct top *top) MUST_CHECK;

// GET /api/queue, as entries of the list of open runs and jobs. `*has_more`: there are jobs that the answer leaves out.
enum error_code answer_read_open_jobs(const struct answer *answer, struct runs_list *list,
                                      bool *has_more) MUST_CHECK;

// GET /api/runs: one page.
struct runs_answer {
    timestamp_ns now;
    struct run_view *runs; // without jobs
    struct slice *raw;     // of each, its JSON
    size_t count;
    size_t direct_count; // the first of them are those that a search names by an id
    struct slice next;   // empty: this is the last page
    uint64_t unreadable;
};
enum error_code answer_read_runs(const struct answer *answer, struct runs_answer *runs) MUST_CHECK;
// An open run as an entry of the list.
enum error_code answer_make_entry(const struct answer *answer, const struct run_view *run,
                                  struct runs_entry *entry) MUST_CHECK;

// GET /api/runs/RUN/ATTEMPT.
struct run_answer {
    timestamp_ns now;
    struct run_view view;
    struct slice server; // its name
    struct slice also;   // names of other servers that have such a run, joined by ", "
    uint64_t unreadable;
};
enum error_code answer_read_run(const struct answer *answer, struct run_answer *run) MUST_CHECK;

// GET /api/commits/SHA.
struct commit_answer {
    timestamp_ns now;
    struct commit_found found; // without its text
    uint64_t unreadable;
};
enum error_code answer_read_commit(const struct answer *answer,
                                   struct commit_answer *commit) MUST_CHECK;

#endif
