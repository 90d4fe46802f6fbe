// The model of a run attempt for display, independent of its presentation: finished parts are read from the stored
// spans, open parts from the states. The JSON API, the page and the terminal present it. All text is as GitHub sent
// it: it must be passed through text_clean() before it is written to a terminal. A slice of length 0 means unknown.
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
#include "ghatrace/stats/runs.h"
#include "ghatrace/store/store.h"
#include "ghatrace/trace/ids.h"
#include "ghatrace/trace/span.h"
#include "ghatrace/trace/state.h"
#include "ghatrace/trace/timeline.h"

// A reader of the store, inside the caller's transaction. What is read is valid until the transaction ends; lists and
// texts that are put together are in the arena.
struct view_reader {
    struct store_transaction *transaction;
    struct arena *arena;
    struct error *error; // of the function that failed last
};

// --- the model ------------------------------------------------------------------------------------

// The meaning of a conclusion of GitHub's.
enum view_outcome {
    OUTCOME_UNKNOWN, // none, or an unknown conclusion
    OUTCOME_SUCCESS,
    OUTCOME_FAILURE,
    OUTCOME_CANCELLED,
    OUTCOME_SKIPPED,
    OUTCOME_CARRIED_OVER, // done in the previous attempt
    OUTCOME_COUNT,
};

// In the order in which a job passes through them.
enum view_phase { PHASE_WAITING, PHASE_QUEUE, PHASE_STARTUP, PHASE_EXECUTION, PHASE_COUNT };

struct view_interval {
    timestamp_ns start; // TIMESTAMP_UNKNOWN: the interval does not exist
    timestamp_ns end;   // >= start; TIMESTAMP_UNKNOWN: not over
};

struct run_view_step {
    int64_t number;
    struct slice name;
    struct slice result; // empty: not over
    struct slice conclusion;
    enum view_outcome outcome;
    bool is_incomplete; // GitHub never reported how it ended
    struct view_interval time;
};

struct run_view_job {
    int64_t job_id;
    struct slice name;
    bool has_spans;                // its spans were made; else the data is from its state
    enum open_job_kind open_state; // OPEN_JOB_NONE: over
    // For a job read from its state: its last open state, even if it is over since; and the workflow name in its own
    // events.
    struct open_job_state last_open;
    // it runs as far as is known, but ended with an unknown result (ended_jobs.h)
    bool is_ended_unknown;
    struct slice workflow;
    struct slice result;
    struct slice conclusion;
    enum view_outcome outcome;
    // as on its span: `runner_lost`, `not_started`, or the conclusion; empty: no error
    struct slice error_type;
    bool is_incomplete; // GitHub never reported how it ended
    bool is_carried_over;
    bool is_critical; // on the chain of jobs that determined how long the run took
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
    bool is_assignment_known; // ARC reported it: at that time the phase of the queue ends
    duration_ns queue;        // how long it waited for a runner; if it still does, until now
    const struct run_view_step *steps;
    size_t step_count;
    // the step that failed; NULL: not known yet, or no step did
    const struct run_view_step *failed_step;
};

struct run_view {
    int64_t run_id;
    int64_t run_attempt;
    int64_t run_number;
    struct slice server; // that these ids are of; empty: github.com
    struct slice name;   // of its root span; empty: unreadable, or not sent
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
    int64_t
        pull; // number of its pull request; 0: not known, as for a run from the list of finished ones
    struct slice workflow_path; // likewise
    bool is_open;               // its root was not sent, or is to be made again
    bool has_state;             // of its own; else an open run is known only from its jobs' states
    bool has_ended; // a root was sent: `start`, `end`, `result` and `conclusion` are from it
    bool is_incomplete;
    timestamp_ns start;
    timestamp_ns end;
    int64_t job_count; // number of known jobs; 0: none is known
    // In the exported scheme: the one of its spans or, if there are none, of run_view_limits.
    struct trace_id trace;

    struct run_view_job *jobs; // by creation, then id
    size_t count;              // of `jobs`
    size_t bytes_read;         // of the store, by run_view_load()
};

// Maps GitHub's conclusion, or the result of the semantic conventions if they use the same word.
enum view_outcome view_outcome_of(struct slice conclusion);
// GitHub's words for a conclusion: "timed out" of "timed_out". An unknown one is returned unchanged.
struct slice view_conclusion_words(struct slice conclusion);
// True if the job took time in this attempt: it was neither skipped nor carried over.
bool run_view_job_ran(const struct run_view_job *job);
// Walks the chain of jobs that leads to the last end, backwards: returns the last to finish among those that began
// before `next` and were over when it began; for NULL, the last of all. Considers only jobs whose spans were made.
// NULL: there is none.
const struct run_view_job *run_view_job_before(const struct run_view *view,
                                               const struct run_view_job *next);
// Puts the jobs into the order of `run_view.jobs`.
void run_view_sort_jobs(struct run_view *view);

// --- where a run is stored ------------------------------------------------------------------------
// A run is given by its number: several servers may each have a run with that number.

// "You can re-run a workflow or jobs in a workflow ... up to 50 times" (GitHub Docs, Re-running workflows and jobs);
// twice that, in case the limit changes.
#define RUN_ATTEMPTS_MAX 100

struct run_selector {
    struct slice server; // a name or a URL, as entered by the user; empty: any
    int64_t run_id;
    int64_t run_attempt; // 0: the newest stored one
};

// Parses "123" or "123/2": the run and the attempt, which is 0 if the text has none. False for anything else.
bool run_selector_parse(struct slice text, struct run_selector *question);

struct found_run {
    struct stored_run run;
    struct slice server; // empty: github.com
};
#define FOUND_RUNS_MAX (SERVERS_MAX + 2)

// All matching runs, at most one of each server: github.com's first, then by the servers' names. Texts are in the
// arena, or valid as long as the transaction. Older versions stored all servers' runs under the keys of github.com:
// the server of such a run is read from its entries. `*count` may be 0. ERROR_MEMORY, or as the store reports.
enum error_code run_lookup(const struct view_reader *reader, const struct run_selector *question,
                           struct found_run runs[FOUND_RUNS_MAX], size_t *count) MUST_CHECK;

// The stored attempts of the run in question, of any matching server, in order. ERROR_MEMORY, or as the store
// reports.
enum error_code run_list_attempts(const struct view_reader *reader,
                                  const struct run_selector *question,
                                  int64_t attempts[RUN_ATTEMPTS_MAX], size_t *count) MUST_CHECK;

// Sets the message for a run that cannot be shown: which attempts exist instead or, if there are none, where else to
// look; or that the stored data cannot be read. ERROR_NOT_FOUND, ERROR_MEMORY, or as the store reports.
enum error_code run_not_found(const struct view_reader *reader,
                              const struct run_selector *question) MUST_CHECK;

// --- reading --------------------------------------------------------------------------------------

// Builds a view from the spans of one attempt, in any order: the root's, if it was sent, and one or more batches of
// each finished job. Points into the batches and the arena. Pure. ERROR_MEMORY.
enum error_code run_view_from_spans(const struct span_batch *batches, size_t count,
                                    struct arena *arena, struct run_view *view) MUST_CHECK;

// Builds a view from an entry of the list of finished runs, without jobs. ERROR_MEMORY.
enum error_code run_view_from_recent(const struct recent_run *recent, struct arena *arena,
                                     struct run_view *view) MUST_CHECK;

struct run_view_limits {
    size_t jobs; // maximum number of jobs
    // No further job is read after so many bytes of stored spans and states: a job may have a megabyte of steps. 0: no limit.
    size_t bytes;
    bool steps;
    timestamp_ns now;      // the end of intervals that are still open
    duration_ns job_grace; // setting job-grace, for `is_ended_unknown`
    enum id_scheme id_scheme;
};

// ERROR_NOT_FOUND, without a message: nothing of this attempt is in the store. ERROR_MEMORY, or as the store reports.
enum error_code run_view_load(const struct view_reader *reader, const struct stored_run *run,
                              const struct run_view_limits *limits,
                              struct run_view *view) MUST_CHECK;

// The next run that has states, at or after `*key`, read only from these; advances `*key` past them. The run and its
// jobs may be closed: then the view is empty. Adds the number of its states to `*states`, so that the caller can end
// a transaction that has read many. ERROR_NOT_FOUND at the end; ERROR_MEMORY, or as the store reports.
enum error_code run_view_next(const struct view_reader *reader, struct store_key *key,
                              const struct run_view_limits *limits, struct run_view *view,
                              size_t *states) MUST_CHECK;

// Sets `job->body.workflow_name` from the state of its run, if it is empty and the run is known. `key` is the job's.
// The name is in the arena or the transaction. An unreadable run is ignored. ERROR_MEMORY, or as the store reports.
enum error_code workflow_name_job(const struct view_reader *reader, const struct store_key *key,
                                  struct job_state *job) MUST_CHECK;

// Appends the stored spans of an attempt, encoded as they were exported: together a complete
// ExportTraceServiceRequest. ERROR_NOT_FOUND: none.
enum error_code run_view_load_spans(const struct view_reader *reader, const struct stored_run *run,
                                    struct buffer *request) MUST_CHECK;

#endif
