// The JSON API.
#ifndef GHATRACE_ADMIN_API_H
#define GHATRACE_ADMIN_API_H

#include "ghatrace/admin/admin.h"
#include "ghatrace/base/arena.h"
#include "ghatrace/base/buffer.h"
#include "ghatrace/base/error.h"
#include "ghatrace/json/write.h"
#include "ghatrace/trace/timeline.h"
#include "ghatrace/view/run_lookup.h"
#include "ghatrace/view/run_view.h"

// --- api ------------------------------------------------------------------------------------------
// The JSON API of the admin side: one function an address, from the store to the text. README, "JSON API", shows
// what they answer.
//
// All append one JSON object and a line's end to `out`, and need `arena` only meanwhile. Each reads one snapshot of
// the store, without waiting for anything. What they look at is bounded, whatever is in the store. Errors:
// ERROR_MEMORY, ERROR_TOO_LARGE (the buffer's cap), or as the store says; `out` is then worthless.

#define API_QUEUE_LIMIT 100
#define API_QUEUE_LIMIT_MAX 1000
#define API_RUNS_LIMIT 50
#define API_RUNS_LIMIT_MAX 200
#define API_RUNS_LOOKED_AT 20000 // runs in one request, however few are asked for
#define API_QUARANTINE_LIMIT 100
#define API_QUARANTINE_LIMIT_MAX 1000
#define API_RUN_JOBS_MAX 10000 // of one run

// Pools of runners with their open jobs, and the jobs that have stood longest: queued ones first, then waiting, then
// running.
struct api_queue_query {
    struct slice state;         // "waiting", "queued", "running"; empty: all
    struct slice runner_labels; // "a,b", in any order and case (labels.h); empty: all
    size_t limit;               // jobs
};
enum error_code api_render_queue(const struct view_sources *sources,
                                 const struct api_queue_query *query, timestamp_ns now,
                                 struct arena *arena, struct buffer *out,
                                 struct error *error) MUST_CHECK;

// Runs, the newest first. Filters take what they hold in any case of letters; `result` must be equal.
struct api_runs_query {
    bool open; // with their jobs; else those that are finished
    struct slice repository;
    struct slice workflow;
    struct slice branch;
    struct slice result;
    struct slice server; // its name, or its address; empty: all
    struct slice text;   // in any of repository, workflow, branch, title and run id
    struct slice cursor; // "next" of an earlier answer; empty: from the newest
    size_t limit;
};
// ERROR_USAGE: the cursor is none of ours.
enum error_code api_render_runs(const struct view_sources *sources,
                                const struct api_runs_query *query, timestamp_ns now,
                                struct arena *arena, struct buffer *out,
                                struct error *error) MUST_CHECK;

// One attempt with its jobs, phases and steps; where the question fits several servers' runs, the first of run_lookup(),
// and the names of all of them. ERROR_NOT_FOUND, with words.
enum error_code api_render_run(const struct view_sources *sources,
                               const struct run_question *question, timestamp_ns now,
                               struct arena *arena, struct buffer *out,
                               struct error *error) MUST_CHECK;
// Its finished spans as OTLP JSON, an ExportTraceServiceRequest. ERROR_NOT_FOUND, with words.
enum error_code api_render_spans(const struct view_sources *sources,
                                 const struct run_question *question, struct arena *arena,
                                 struct buffer *out, struct error *error) MUST_CHECK;

// How long jobs of each pool queued, over the last hour in slots of five minutes, or the last day in hours.
enum error_code api_render_latency(const struct view_sources *sources, bool is_day,
                                   timestamp_ns now, struct arena *arena, struct buffer *out,
                                   struct error *error) MUST_CHECK;

// Is ghatrace healthy, and has it lost anything?
enum error_code api_render_status(const struct view_sources *sources, timestamp_ns now,
                                  struct buffer *out, struct error *error) MUST_CHECK;

// Records that the collector refuses while it accepts others, at most `limit`.
enum error_code api_render_quarantine(const struct view_sources *sources, size_t limit,
                                      struct arena *arena, struct buffer *out,
                                      struct error *error) MUST_CHECK;

// --- what several answers of the API have in common -----------------------------------------------

// Ends the text, and says what failed.
// How far a list may go in `out` before it ends with what it has, so that a few entries of an odd size cost others
// their places, and not the whole answer.
size_t api_list_end(const struct buffer *out);
enum error_code api_finish(struct json_out *json, struct error *error) MUST_CHECK;
const char *api_open_job_text(enum open_job_kind open_state); // OPEN_JOB_NONE: "finished"

// A run's fields, inside an object.
void api_put_run(struct json_out *json, const struct view_sources *sources,
                 const struct run_view *run, struct arena *arena);
// "jobs": [...]
void api_put_jobs(struct json_out *json, const struct run_view *run, bool steps);

#endif
