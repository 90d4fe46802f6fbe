// The only writer of the store. Receives tasks from ingress and export, applies them in batches, one synced LMDB
// transaction each, and reports the outcome only after the commit: 202 means durable. Runs in its own thread.
#ifndef GHATRACE_ENGINE_ENGINE_H
#define GHATRACE_ENGINE_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>

#include "ghatrace/base/error.h"
#include "ghatrace/base/heartbeat.h"
#include "ghatrace/base/list.h"
#include "ghatrace/base/time.h"
#include "ghatrace/github/event.h"
#include "ghatrace/otlp/request.h"
#include "ghatrace/stats/pool_rules.h"
#include "ghatrace/stats/series_options.h"
#include "ghatrace/store/store.h"
#include "ghatrace/store/table.h"
#include "ghatrace/trace/arc_report.h"
#include "ghatrace/trace/policy.h"

struct engine;

enum engine_outcome {
    ENGINE_ACCEPTED,  // committed and synced
    ENGINE_DUPLICATE, // the same GUID and body were committed before
    ENGINE_FULL,   // no room in the store, or too much queued: nothing was changed, try again later
    ENGINE_FAILED, // the store reported an error; nothing was changed; `error` says why
};

#define DELIVERY_DIGEST_SIZE 16

// What became of a span of another program. The names are those of /metrics and /api/status.
#define FORWARD_OUTCOME_LIST(ROW)                                                                  \
    ROW(FORWARD_ACCEPTED, "accepted")                                                              \
    ROW(FORWARD_HELD, "held")           /* its trace is not known yet: kept until it is */         \
    ROW(FORWARD_MALFORMED, "malformed") /* has a fault (otlp/request.h) */                         \
    ROW(FORWARD_NO_PARENT, "no_parent")                                                            \
    ROW(FORWARD_OUR_ID, "our_id")       /* its ID is that of a span of ours */                     \
    ROW(FORWARD_NO_ROOM, "no_room")     /* such spans fill their share, or too many traces */      \
    ROW(FORWARD_NO_EXPORT, "no_export") /* there is no collector to send it to */                  \
    ROW(FORWARD_EXPIRED, "expired")     /* held until `linger` was over: its run never came */     \
    ROW(FORWARD_SHED, "shed") /* held, or waiting in the outbox, and dropped for lack of room */
enum forward_outcome { FORWARD_OUTCOME_LIST(LIST_ENUMERATOR) FORWARD_OUTCOMES };
extern const char *const forward_outcome_names[FORWARD_OUTCOMES];

// One task, allocated and owned by the caller, who must keep it and everything it points to alive until `on_done` is
// called. `on_done` may free the task or submit it again. It runs in the engine's thread: post to your own loop from
// it.
struct engine_task {
    enum {
        ENGINE_APPLY_EVENT,
        ENGINE_APPLY_ARC_REPORTS,
        ENGINE_FORWARD_SPANS,
        ENGINE_SETTLE_EXPORT,
        ENGINE_STORE_ENTRIES
    } type;
    void (*on_done)(struct engine_task *task);
    void *context;

    // ENGINE_APPLY_EVENT
    const struct github_event *event;              // a job or a run
    uint8_t delivery_digest[DELIVERY_DIGEST_SIZE]; // 8 bytes of the GUID's, 8 of the body's
    uint8_t old_digest[DELIVERY_DIGEST_SIZE]; // of GUID and HMAC: the digest in stores of format 1
    timestamp_ns received_at;
    timestamp_ns occurred_at; // time inside the GUID; TIMESTAMP_UNKNOWN if there is none

    // ENGINE_APPLY_ARC_REPORTS; uses received_at, too. The time of assignment of each is merged into the job that it is
    // about; if that is not known yet, it is kept until it is, at most `linger`. Repeated ones change nothing.
    // `arc_outcomes`: as many, set on ENGINE_ACCEPTED, as are `arc_matches`, which may be NULL.
    const struct arc_report *arc_reports;
    size_t arc_report_count;
    enum arc_outcome *arc_outcomes;
    struct arc_match *arc_matches;

    // ENGINE_FORWARD_SPANS; uses received_at, too. Spans of other programs, passed on as they are. `forward_outcomes`:
    // one for each span of all scopes, in their order, set on ENGINE_ACCEPTED.
    const struct otlp_received_scope *scopes;
    size_t scope_count;
    enum forward_outcome *forward_outcomes;

    // ENGINE_SETTLE_EXPORT: records that were sent, or that were permanently refused and become dead letters
    const uint64_t *sequences;
    size_t sequence_count;
    bool is_dead;
    bool is_quarantined; // they stay in the outbox, marked as refused alone
    const char *reason;  // for dead letters and quarantine, one line

    // ENGINE_STORE_ENTRIES: entries of a table that only its owner writes; an empty value: it is deleted
    enum store_table table;
    const struct store_entry *entries;
    size_t entry_count;

    // result
    enum engine_outcome outcome;
    struct error error;

    // private
    enum engine_task_state { ENGINE_TASK_IDLE, ENGINE_TASK_QUEUED, ENGINE_TASK_TAKEN } state;
    STAILQ_ENTRY(engine_task) next; // in the queue, then in its batch
    timestamp_ns submitted_at;      // monotonic clock
};

struct engine_options {
    struct trace_policy policy;
    // Tasks waiting; more are answered ENGINE_FULL at once. ARC's reports and spans of other programs may take a quarter.
    size_t queue_max;
    size_t batch_max;    // tasks in one transaction
    uint64_t outbox_max; // bytes waiting for the collector; more: ENGINE_FULL. 0: no limit
    bool has_exporter;   // else finished spans stay in the history and the outbox stays empty
    // Statements of ARC and spans of other programs are accepted: what is needed to match them is stored.
    bool has_receiver;
    uint64_t forwarded_max; // bytes of such spans in the outbox. 0: no limit
    duration_ns history;    // how long finished traces are kept for the viewer
    size_t history_jobs;    // completed jobs that are kept (stats/job_history.h); 0: none
    // bytes of dead letters; the oldest beyond it are dropped. 0: no limit
    uint64_t dead_letters_max;
    duration_ns dead_letters_age_max; // older ones are dropped. 0: no limit
    size_t max_series;                // bound on label sets (stats/stats.h); 0: the usual one
    size_t max_pools;                 // likewise on pools
    struct pool_rules pool_rules;     // the texts must outlive the engine
    struct series_options series;
    timestamp_ns (*now)(void); // NULL: timestamp_now
    duration_ns stall_limit; // not ready if storing, or waiting to be stored, takes longer. 0: 5 s
    // Time limit of engine_create() for computing figures that an older store lacks; the rest is computed alongside
    // deliveries. 0: 2 s, negative: compute none at startup.
    duration_ns figures_limit;
};

// Inclusive upper bounds of the buckets; one more bucket takes larger values.
#define ENGINE_COMMIT_BOUNDS 14
#define ENGINE_BATCH_BOUNDS 10
extern const duration_ns engine_commit_bounds[ENGINE_COMMIT_BOUNDS]; // 0.5 ms to 10 s
extern const uint64_t engine_batch_bounds[ENGINE_BATCH_BOUNDS];      // 1 to 1000 tasks

// The engine's counters. A new counter needs a row here, the code that counts it, and a row in admin/health.c.
#define ENGINE_COUNTER_LIST(ROW)                                                                   \
    ROW(events, )     /* applied */                                                                \
    ROW(duplicates, ) /* same delivery again */                                                    \
    ROW(late, )       /* arrived after its span had been sent, and changed nothing */              \
    /* Assignments that ARC reported: accepted, and those that came after it was waited for. */    \
    ROW(assignments, )                                                                             \
    ROW(assignments_late, )                                                                        \
    ROW(assignments_missing, )       /* jobs whose wait for it ended without any */                \
    ROW(arc_reports, [ARC_OUTCOMES]) /* expired and shed ones were counted as held before */       \
    /* Spans of other programs. Held ones are counted again when they are released or dropped. */  \
    ROW(forwarded, [FORWARD_OUTCOMES])                                                             \
    ROW(forwarded_foreseen, ) /* passed on with an ID that a span of ours was given later */       \
    ROW(wait_disagreements, ) /* of jobs whose wait was known, and became another */               \
    ROW(commits, )                                                                                 \
    ROW(records, )   /* put into the outbox or the history */                                      \
    ROW(set_aside, ) /* entries of the store that could not be read or written (store/store.h) */  \
    ROW(shed, )      /* notes deleted before their time */                                         \
    ROW(failures, )  /* tasks answered ENGINE_FAILED or ENGINE_FULL */                             \
    ROW(dead_letters_dropped, [STORE_SHED_REASONS])                                                \
    /* Transactions that were committed, with and without tasks: from begin to synced. */          \
    ROW(commit_ns, ) /* all together */                                                            \
    /* not cumulative; together they are `commits` */                                              \
    ROW(commit_buckets, [ENGINE_COMMIT_BOUNDS + 1])                                                \
    /* Tasks in each of the transactions that had any. */                                          \
    ROW(batch_tasks, )                            /* all together */                               \
    ROW(batch_buckets, [ENGINE_BATCH_BOUNDS + 1]) /* likewise */

// Since the start of the process.
struct engine_counters {
    ENGINE_COUNTER_LIST(LIST_COUNTER)
    timestamp_ns last_event_at; // receipt of the newest event applied; TIMESTAMP_UNKNOWN: none yet
    // When the last of `assignments` and of `assignments_missing` was counted; likewise.
    timestamp_ns last_assignment_at, last_missing_at;
    duration_ns batch_age; // how long the current transaction has been in progress; 0: none is
    uint64_t queue_tasks;  // tasks currently waiting in the queue
    duration_ns queue_age; // how long the oldest task has waited in the queue; 0: none waits
};

// What was counted under "other" or "(one-off)" since the start of the process because a limit was reached
// (struct stats_overflow).
struct engine_overflow {
    uint64_t sets;
    timestamp_ns last_at; // TIMESTAMP_UNKNOWN: never
    const char *kind;     // of the last: "job", "run" or "step"
    char example[200];
    uint64_t folded; // jobs, each time they were counted
    timestamp_ns folded_at;
    char folded_example[200];
};

enum error_code engine_create(struct store *store, const struct engine_options *options,
                              struct engine **engine, struct error *error) MUST_CHECK;
// `callback` is called in the engine's thread after a commit that put records into the outbox. Before engine_start().
void engine_on_outbox(struct engine *engine, void (*callback)(void *context), void *context);
// Starts the thread.
enum error_code engine_start(struct engine *engine, struct error *error) MUST_CHECK;
// Thread-safe. Never blocks. on_done is called exactly once, also if the task is refused (then in the caller's
// thread, inside this call).
void engine_submit(struct engine *engine, struct engine_task *task);
// Finishes the queued tasks, commits, and ends the thread. Tasks submitted afterwards are refused (ENGINE_FULL).
void engine_stop(struct engine *engine);
void engine_destroy(struct engine *engine);
// ERROR_NONE if the engine can accept deliveries, otherwise the reason (store full, last commit failed; ERROR_BUSY:
// storing hangs because of the disk or of another process that holds the store). Thread-safe; never waits for the
// store.
enum error_code engine_ready(struct engine *engine, struct error *error);
// For how long the thread has been waiting in a commit; 0: it is not. Thread-safe; never waits.
duration_ns engine_commit_age(const struct engine *engine);
// Wakes the thread, so that it beats even if it has nothing to do. Thread-safe; never waits for the store.
void engine_wake(struct engine *engine);
// The thread beats at each access to the store, after each task and whenever it is woken. Thread-safe; never waits.
struct heartbeat engine_heartbeat(const struct engine *engine);
// Sets what GET /ready reports beside 200: a short fixed text on why the export fails, or NULL. The response is
// public, so the text must not contain anything received from the collector. It must outlive the engine. Thread-safe.
void engine_note_export(struct engine *engine, const char *words);
const char *engine_export_note(const struct engine *engine);
void engine_read_counters(struct engine *engine, struct engine_counters *counters);
void engine_read_overflow(struct engine *engine, struct engine_overflow *overflow);

// For tests and tools, without the thread: applies `count` tasks as one batch at the time `now`, then every deadline
// that is due. on_done is called before this returns.
void engine_run_batch(struct engine *engine, struct engine_task *tasks, size_t count,
                      timestamp_ns now);
// The next deadline in the store, or TIMESTAMP_UNKNOWN.
timestamp_ns engine_next_deadline(struct engine *engine);

#endif
