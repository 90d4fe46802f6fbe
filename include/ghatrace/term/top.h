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
#include "ghatrace/view/pools_view.h"

#define TOP_MAX_TEXT ((size_t)1 << 24) // limit for the text's buffer: several screens

// All text is uncleaned. A slice of length 0 means unknown.
struct top_pool {
    struct slice labels; // from labels_join(), in the spelling first seen
    struct slice group;
    // the running ones without those that ended with an unknown result
    uint64_t counts[OPEN_JOB_STATES];
    timestamp_ns oldest_queued; // TIMESTAMP_UNKNOWN: none is queued
    enum pool_state state;
    timestamp_ns state_since; // TIMESTAMP_UNKNOWN: POOL_OK
    struct slice ceiling;     // that holds the pool back; of length 0: none does
};

struct top_job {
    enum open_job_kind state;
    timestamp_ns since;
    struct slice repository;
    struct slice name;
    struct slice workflow;
    struct slice labels; // from labels_join(), in the job's spelling
    struct slice runner;
    bool is_ended_unknown; // it runs as far as is known, but ended with an unknown result
};

struct top {
    timestamp_ns now;
    uint64_t totals[OPEN_JOB_STATES]; // as in a pool
    uint64_t ended_unknown;
    uint64_t open_runs;
    uint64_t unreadable;     // stored entries that were left out
    uint64_t outbox_records; // waiting for the collector
    // when the oldest of them was finished; TIMESTAMP_UNKNOWN: none waits
    timestamp_ns outbox_oldest;
    uint64_t dead_letters;
    struct top_pool *pools; // most urgent first
    size_t pool_count;
    struct top_job *jobs; // queued, waiting, running, each oldest first
    size_t job_count;
};

struct top_options {
    struct terminal terminal; // from terminal_detect()
    size_t height;            // lines; 0: unlimited
    size_t jobs;              // read at most
    timestamp_ns now;
    struct pools_view_settings pools; // job_grace also for jobs that ended with an unknown result
};

// Reads open jobs and pools in one short transaction; everything is copied to `arena`.
enum error_code top_load(struct store *store, const struct top_options *options,
                         struct arena *arena, struct top *top, struct error *error) MUST_CHECK;

// Writes at most options->height lines, each at most options->terminal.width columns, without trailing blanks. Columns
// that do not fit are omitted, the least important first. Pure; `scratch` is for temporary data. ERROR_MEMORY,
// ERROR_TOO_LARGE.
enum error_code top_render(const struct top *top, const struct top_options *options,
                           struct arena *scratch, struct buffer *out,
                           struct error *error) MUST_CHECK;

#endif
