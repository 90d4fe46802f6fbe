// The queue and the running jobs as a screen: `ghatrace top`.
#ifndef GHATRACE_TERM_TOP_H
#define GHATRACE_TERM_TOP_H

#include <stdbool.h>
#include <stddef.h>

#include "ghatrace/base/arena.h"
#include "ghatrace/base/buffer.h"
#include "ghatrace/base/error.h"
#include "ghatrace/store/store.h"
#include "ghatrace/term/text.h"
#include "ghatrace/trace/timeline.h"
#include "ghatrace/view/pools_cache.h"
#include "ghatrace/view/pools_summary.h"
#include "ghatrace/view/pools_view.h"

#define TOP_MAX_TEXT ((size_t)1 << 24) // limit for the text's buffer: several screens

// All text is uncleaned. A slice of length 0 means unknown.
struct top_job {
    enum open_job_kind state;
    timestamp_ns since;
    struct slice repository;
    struct slice name;
    struct slice workflow;
    struct slice labels; // from labels_join(), in the job's spelling
    struct slice runner;
    bool is_ended_unknown; // it runs as far as is known, but ended with an unknown result
    int64_t run_id, run_attempt;
};

struct top {
    timestamp_ns now;
    // the running ones without those that ended with an unknown result
    uint64_t totals[OPEN_JOB_STATES];
    uint64_t ended_unknown;
    uint64_t open_runs;
    uint64_t unreadable;     // stored entries that were left out
    uint64_t outbox_records; // waiting for the collector
    // when the oldest of them was finished; TIMESTAMP_UNKNOWN: none waits
    timestamp_ns outbox_oldest;
    uint64_t dead_letters;
    timestamp_ns last_delivery; // of GitHub's; TIMESTAMP_UNKNOWN: not known
    struct pools_summary summary;
    struct pools_view pools;
    const struct pools_view_shares *shares; // one for each ceiling
    struct top_job *jobs;                   // queued, waiting, running, each oldest first
    size_t job_count;
    struct slice trouble; // why this is not newer; of length 0: it is what is known now
};

struct top_options {
    struct terminal terminal; // from terminal_detect()
    size_t height;            // lines; 0: unlimited
};

struct top_source {
    struct store *store;
    struct pools_cache *pools; // what took long to read
    struct pools_view_settings
        settings; // job_grace also for jobs that ended with an unknown result
    size_t jobs;  // read at most
    timestamp_ns now;
};
// Reads open jobs and pools in one short transaction; everything is copied to `arena`, but pools and their names are
// those of the cache.
enum error_code top_load(const struct top_source *source, struct arena *arena, struct top *top,
                         struct error *error) MUST_CHECK;

// Writes what is wrong, totals, pools with open jobs, those in trouble first, and jobs: at most options->height lines,
// each at most options->terminal.width columns, without trailing blanks. Columns that do not fit are omitted, the least
// important first. Pure; `scratch` is for temporary data. ERROR_MEMORY, ERROR_TOO_LARGE.
enum error_code top_render(const struct top *top, const struct top_options *options,
                           struct arena *scratch, struct buffer *out,
                           struct error *error) MUST_CHECK;

#endif
