// The JSON API.
#ifndef GHATRACE_ADMIN_API_H
#define GHATRACE_ADMIN_API_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "ghatrace/admin/admin.h"
#include "ghatrace/base/arena.h"
#include "ghatrace/base/buffer.h"
#include "ghatrace/base/error.h"
#include "ghatrace/stats/pool_history.h"
#include "ghatrace/trace/timeline.h"
#include "ghatrace/view/failures_view.h"
#include "ghatrace/view/run_view.h"

// --- api ------------------------------------------------------------------------------------------
// The JSON API of the admin listener: one function per path, which reads the store and writes the response. README,
// "JSON API", documents the responses.
//
// All functions append one JSON object and a line end. Each reads one snapshot of the store, without blocking. The
// amount of data read is bounded, whatever is in the store. Errors: ERROR_MEMORY, ERROR_TOO_LARGE (the buffer's
// limit), or as the store reports; `out` is then invalid.
struct api_call {
    const struct view_sources *sources;
    timestamp_ns now;
    struct arena *arena; // used only during the call
    struct buffer *out;
    struct error *error;
};

#define API_QUEUE_LIMIT 100
#define API_QUEUE_LIMIT_MAX 1000
#define API_QUEUE_POOLS_MAX 10000
#define API_RUNS_LIMIT 50
#define API_RUNS_LIMIT_MAX 200
#define API_RUNS_LOOKED_AT 20000              // runs read for one request, whatever its limit is
#define API_RUNS_TEXTS_MAX ((size_t)32 << 20) // bytes of their texts that are compared for it
#define API_LATENCY_LIMIT 10000
#define API_QUARANTINE_LIMIT 100
#define API_QUARANTINE_LIMIT_MAX 1000
#define API_RUN_JOBS_MAX 10000                // of one run
#define API_RUN_BYTES_MAX ((size_t)128 << 20) // of what is stored of it
#define API_OPEN_RUN_JOBS 60                  // of each run in a list of open ones
#define API_RUNS_BYTES_MAX ((size_t)32 << 20) // of what is stored of open runs with their jobs
#define API_FULL_RUNS                                                                              \
    30 // of which so many have all of them: the rest of the list has fewer jobs, or none

// Pools of runners with their open jobs, and the jobs that have been in their state for longest: queued ones first,
// then waiting, then running.
struct api_queue_query {
    struct slice state;         // "waiting", "queued", "running"; empty: all
    struct slice runner_labels; // "a,b", in any order and case (labels.h); empty: all
    size_t limit;               // jobs
    size_t pools;               // listed, the longest queues first; 0: all
};
enum error_code api_render_queue(const struct api_call *call,
                                 const struct api_queue_query *query) MUST_CHECK;

// Runs, newest first. Filters match substrings, ignoring case; `result` must be equal.
struct api_runs_query {
    bool open; // open runs with their jobs; else finished ones
    struct slice repository;
    struct slice workflow;
    struct slice branch;
    struct slice result;
    struct slice server; // its name or its URL; empty: all
    struct slice text;   // view/run_search.h
    struct slice cursor; // "next" of an earlier response; empty: from the newest
    size_t limit;
    size_t jobs; // of each open run, API_FULL_RUNS times as many in all; 0: API_OPEN_RUN_JOBS
};
// ERROR_USAGE: the cursor is not valid.
enum error_code api_render_runs(const struct api_call *call,
                                const struct api_runs_query *query) MUST_CHECK;

// One attempt with its jobs, phases and steps; if runs of several servers match, the first of run_lookup(), and the
// names of all these servers. ERROR_NOT_FOUND, with a message.
enum error_code api_render_run(const struct api_call *call,
                               const struct run_selector *question) MUST_CHECK;
// Part of what api_render_run() answers: a run may have thousands of steps.
struct api_run_part {
    bool failed_steps_only; // of each job at most the step that made it fail
    int64_t job_id;         // only this job; 0: all
};
// ERROR_NOT_FOUND, with a message: the run, or the job in it.
enum error_code api_render_run_part(const struct api_call *call,
                                    const struct run_selector *question,
                                    const struct api_run_part *part) MUST_CHECK;
// The finished spans of an attempt as OTLP JSON, an ExportTraceServiceRequest. ERROR_NOT_FOUND, with a message.
enum error_code api_render_spans(const struct api_call *call,
                                 const struct run_selector *question) MUST_CHECK;

// Which workflows fail, the worst first, at most API_FAILURES_MAX of them. `window` 0: a day. ERROR_USAGE, with a message.
#define API_FAILURES_MAX 200
enum error_code api_render_failures(const struct api_call *call, struct failures_cache *cache,
                                    duration_ns window) MUST_CHECK;

// The runs of a commit, by the first digits of its SHA, and what it waited for; or the commits that begin with these digits.
// ERROR_USAGE, ERROR_NOT_FOUND, with a message.
enum error_code api_render_commit(const struct api_call *call, struct slice text) MUST_CHECK;

// Queue times of the jobs of each pool, in all and by slots, up to now or in another time of the last 35 days. Reads in
// transactions of its own (latency_view.h). ERROR_USAGE, with a message; ERROR_CLOSED: cancelled.
struct api_latency_query {
    struct pool_history_span span; // nothing given: the last hour
    size_t limit;                  // pools
    bool is_worst_first;           // by the 90th percentile; else those with most jobs first
};
enum error_code api_render_latency(const struct api_call *call,
                                   const struct api_latency_query *query,
                                   const atomic_bool *is_cancelled) MUST_CHECK;

// Every pool with its open jobs, the waits that have not ended and its state, the worst first.
enum error_code api_render_pools(const struct api_call *call) MUST_CHECK;

// One pool as it is in the list of them, with its ceiling, and who has its queued and running jobs. `name`: in any case, or
// labels in any order. ERROR_NOT_FOUND, with a message; ERROR_BUSY: it is newer than the list of pools that is kept.
enum error_code api_render_pool(const struct api_call *call, struct slice name) MUST_CHECK;

// The open jobs of a pool, in each state the oldest first.
struct api_pool_jobs_query {
    struct slice
        state; // "waiting", "queued", "running"; empty: queued ones, then waiting, then running
    struct slice cursor; // "next" of an earlier response; empty: from the oldest
    size_t limit;
};
// `name`: as above. ERROR_NOT_FOUND; ERROR_USAGE: the state or the cursor is not valid; with a message.
enum error_code api_render_pool_jobs(const struct api_call *call, struct slice name,
                                     const struct api_pool_jobs_query *query) MUST_CHECK;

// Queued and running jobs of a pool by minute or by hour, with arrivals, starts and waits. `name`: in any case, or
// labels in any order. ERROR_NOT_FOUND, ERROR_USAGE, with a message.
enum error_code api_render_history(const struct api_call *call, struct slice name,
                                   const struct pool_history_span *span) MUST_CHECK;

// Health of the daemon, and whether it has lost data.
enum error_code api_render_status(const struct api_call *call) MUST_CHECK;

// Records that the collector refuses while it accepts others, at most `limit`.
enum error_code api_render_quarantine(const struct api_call *call, size_t limit) MUST_CHECK;

#endif
