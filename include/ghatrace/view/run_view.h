// A run attempt as people look at it: what is finished, from its stored spans, and what is still open, from its
// states. Read inside a transaction of the caller's, and valid until that ends; lists live in the arena.
#ifndef GHATRACE_VIEW_RUN_VIEW_H
#define GHATRACE_VIEW_RUN_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ghatrace/base/arena.h"
#include "ghatrace/base/buffer.h"
#include "ghatrace/base/error.h"
#include "ghatrace/store/store.h"
#include "ghatrace/tally/recent.h"
#include "ghatrace/trace/ids.h"
#include "ghatrace/trace/state.h"
#include "ghatrace/trace/timeline.h"
#include "ghatrace/view/waterfall.h"

struct run_view_step {
    int64_t number;
    struct slice name;
    struct slice result; // empty: not over
    struct slice conclusion;
    struct waterfall_interval time; // an end of TIMESTAMP_UNKNOWN: not over
};

struct run_view_job {
    int64_t job_id;
    struct slice name;
    enum standing_state standing; // STANDING_NONE: finished
    struct slice result;
    struct slice conclusion;
    struct slice
        error_type; // as on its span: `runner_lost`, `not_started`, or the conclusion; empty: no error
    bool is_incomplete;
    bool is_carried_over;
    bool is_critical; // on the chain of jobs that made the run as long as it was
    timestamp_ns created_at;
    timestamp_ns started_at; // on a runner
    timestamp_ns ended_at;
    struct slice runner_name;
    struct slice runner_group;
    const struct slice *labels;
    size_t label_count;
    struct slice environment;
    struct slice url;
    // A start of TIMESTAMP_UNKNOWN: there is none; an end of it: still going on.
    struct waterfall_interval phases[PHASE_COUNT];
    const struct run_view_step *steps;
    size_t step_count;
    struct slice failed_step; // the name of what failed in it; empty: not known yet, or no step did
};

struct run_view {
    int64_t run_id;
    int64_t run_attempt;
    int64_t run_number;
    struct slice server; // that these ids are of; empty: github.com
    struct slice repository;
    struct slice workflow;
    struct slice title;
    struct slice branch;
    struct slice event_name;
    struct slice actor;
    struct slice result;
    struct slice conclusion;
    struct slice url;
    bool is_open; // its root has not gone out
    bool is_incomplete;
    timestamp_ns start;
    timestamp_ns end;
    int64_t job_count;     // that are known; 0: nothing is known of them
    struct trace_id trace; // of the exported scheme

    struct run_view_job *jobs; // by creation, then id
    size_t count;              // of `jobs`
};

// A run that is listed as finished, without jobs.
// ERROR_MEMORY.
enum error_code run_view_from_recent(const struct recent_run *recent, struct arena *arena,
                                     struct run_view *view) MUST_CHECK;

struct run_view_limits {
    size_t jobs; // more are left out
    bool steps;
    timestamp_ns now; // until when what is open has lasted
    enum id_scheme id_scheme;
};

// ERROR_NOT_FOUND, without words: nothing of this attempt is in the store. ERROR_MEMORY, or as the store says.
enum error_code run_view_load(struct store_transaction *transaction, const struct stored_run *run,
                              const struct run_view_limits *limits, struct arena *arena,
                              struct run_view *view, struct error *error) MUST_CHECK;

// The stored spans of an attempt, encoded as they were exported, one after the other: a whole
// ExportTraceServiceRequest. ERROR_NOT_FOUND: none.
enum error_code run_view_load_spans(struct store_transaction *transaction,
                                    const struct stored_run *run, struct buffer *request,
                                    struct error *error) MUST_CHECK;

// Is anything of this attempt in the store?
enum error_code run_view_exists(struct store_transaction *transaction, const struct stored_run *run,
                                bool *exists, struct error *error) MUST_CHECK;

#endif
