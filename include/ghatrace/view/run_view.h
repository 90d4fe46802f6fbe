// A run attempt as it is shown, drawn by nobody: what is finished, from its stored spans, and what is still open, from
// its states. The JSON API, the page and the terminal draw it. All text is as GitHub sent it: a terminal must not get it
// without text_clean(). A slice of length 0 is not known.
#ifndef GHATRACE_VIEW_RUN_VIEW_H
#define GHATRACE_VIEW_RUN_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "ghatrace/base/arena.h"
#include "ghatrace/base/buffer.h"
#include "ghatrace/base/error.h"
#include "ghatrace/base/slice.h"
#include "ghatrace/base/time.h"
#include "ghatrace/stats/recent.h"
#include "ghatrace/store/store.h"
#include "ghatrace/trace/ids.h"
#include "ghatrace/trace/span.h"
#include "ghatrace/trace/state.h"
#include "ghatrace/trace/timeline.h"

// --- the model ------------------------------------------------------------------------------------

// What a conclusion of GitHub's means.
enum view_outcome {
    OUTCOME_UNKNOWN, // none, or a conclusion that is not among these
    OUTCOME_SUCCESS,
    OUTCOME_FAILURE,
    OUTCOME_CANCELLED,
    OUTCOME_SKIPPED,
    OUTCOME_CARRIED_OVER, // done in the attempt before
    OUTCOME_COUNT,
};

// In the order in which a job goes through them.
enum view_phase { PHASE_WAITING, PHASE_QUEUE, PHASE_STARTUP, PHASE_EXECUTION, PHASE_COUNT };

struct view_interval {
    timestamp_ns start; // TIMESTAMP_UNKNOWN: there is none
    timestamp_ns end;   // >= start; TIMESTAMP_UNKNOWN: not over
};

struct run_view_step {
    int64_t number;
    struct slice name;
    struct slice result; // empty: not over
    struct slice conclusion;
    enum view_outcome outcome;
    bool is_incomplete; // GitHub never said how it ended
    struct view_interval time;
};

struct run_view_job {
    int64_t job_id;
    struct slice name;
    bool has_spans;                // its spans are made; else it is told by its state
    enum open_job_kind open_state; // OPEN_JOB_NONE: over
    // Of a job that is told by its state: where it stood last, be it over since; and its own word for its workflow.
    struct open_job_state stood;
    struct slice workflow;
    struct slice result;
    struct slice conclusion;
    enum view_outcome outcome;
    struct slice
        error_type; // as on its span: `runner_lost`, `not_started`, or the conclusion; empty: no error
    bool is_incomplete; // GitHub never said how it ended
    bool is_carried_over;
    bool is_critical; // on the chain of jobs that made the run as long as it was
    timestamp_ns created_at;
    timestamp_ns started_at; // on a runner
    timestamp_ns ended_at;   // TIMESTAMP_UNKNOWN: not over
    struct slice runner_name;
    struct slice runner_group;
    const struct slice *labels;
    size_t label_count;
    struct slice environment;
    struct slice url;
    struct view_interval phases[PHASE_COUNT];
    bool has_queue;
    duration_ns queue; // how long it waited for a runner; where it still does, until now
    const struct run_view_step *steps;
    size_t step_count;
    const struct run_view_step
        *failed_step; // what failed in it; NULL: not known yet, or no step did
};

struct run_view {
    int64_t run_id;
    int64_t run_attempt;
    int64_t run_number;
    struct slice server; // that these ids are of; empty: github.com
    struct slice name;   // of its root span; empty: that cannot be read, or has not gone out
    struct slice repository;
    struct slice workflow;
    struct slice title;
    struct slice branch;
    struct slice revision;
    struct slice event_name;
    struct slice actor;
    struct slice result;
    struct slice conclusion;
    struct slice url;
    bool is_open;   // its root has not gone out, or is to be made anew
    bool has_state; // of its own; else an open run is known by its jobs' states only
    bool has_ended; // a root went out: `start`, `end`, `result` and `conclusion` are its
    bool is_incomplete;
    timestamp_ns start;
    timestamp_ns end;
    int64_t job_count; // that are known; 0: nothing is known of them
    // Of the exported scheme: that of its spans or, where there are none, that of run_view_limits.
    struct trace_id trace;

    struct run_view_job *jobs; // by creation, then id
    size_t count;              // of `jobs`
};

// GitHub's conclusion, or the result of the semantic conventions where they have the same word.
enum view_outcome view_outcome_of(struct slice conclusion);
// Did it take time in this attempt: neither skipped nor carried over?
bool run_view_job_ran(const struct run_view_job *job);
// The chain of jobs that leads to the last end, from its end: the last to finish among those that began before `next`
// and were over when it began; for NULL, the last of all. Only of jobs whose spans are made. NULL: there is none.
const struct run_view_job *run_view_job_before(const struct run_view *view,
                                               const struct run_view_job *next);

// --- reading --------------------------------------------------------------------------------------
// Inside a transaction of the caller's: what is read is valid until that ends, and its lists are in the arena.

// The spans of one attempt, in any order: the root's, if it went out, and one batch or more of each finished job. Points
// into the batches and the arena. Pure. ERROR_MEMORY.
enum error_code run_view_from_spans(const struct span_batch *batches, size_t count,
                                    struct arena *arena, struct run_view *view) MUST_CHECK;

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

// The next run that has states, at or after `*key`, told by these alone; moves `*key` behind them. It may be closed, and its
// jobs, too: then the view is empty. Adds the number of its states to `*states`, so that the caller can end a transaction
// that has looked at many. ERROR_NOT_FOUND at the end; ERROR_MEMORY, or as the store says.
enum error_code run_view_next(struct store_transaction *transaction, struct store_key *key,
                              const struct run_view_limits *limits, struct arena *arena,
                              struct run_view *view, size_t *states,
                              struct error *error) MUST_CHECK;

// The stored spans of an attempt, encoded as they were exported, one after the other: a whole
// ExportTraceServiceRequest. ERROR_NOT_FOUND: none.
enum error_code run_view_load_spans(struct store_transaction *transaction,
                                    const struct stored_run *run, struct buffer *request,
                                    struct error *error) MUST_CHECK;

// Is anything of this attempt in the store?
enum error_code run_view_exists(struct store_transaction *transaction, const struct stored_run *run,
                                bool *exists, struct error *error) MUST_CHECK;

#endif
