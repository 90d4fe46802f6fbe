// Shared by the files of the engine.
#ifndef GHATRACE_ENGINE_PRIVATE_H
#define GHATRACE_ENGINE_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "ghatrace/base/arena.h"
#include "ghatrace/base/buffer.h"
#include "ghatrace/engine/engine.h"
#include "ghatrace/stats/latency.h"
#include "ghatrace/stats/pool.h"
#include "ghatrace/stats/pool_minutes.h"
#include "ghatrace/stats/series.h"
#include "ghatrace/stats/stats.h"
#include "ghatrace/trace/lifecycle.h"

#define ARC_JOB_KEY_SIZE 32 // of table arc_jobs

// Numbers in the keys and values of the engine's tables: 8 bytes, big-endian.
static inline void put_be64(uint8_t *bytes, uint64_t value)
{
    for (int i = 7; i >= 0; i--, value >>= 8)
        bytes[i] = (uint8_t)value;
}

static inline uint64_t get_be64(const void *bytes)
{
    const uint8_t *b = bytes;
    uint64_t value = 0;
    for (int i = 0; i < 8; i++)
        value = value << 8 | b[i];
    return value;
}

// State of the work inside one transaction; used by the engine's thread only.
struct engine_work {
    struct store *store;
    struct trace_policy policy;
    bool to_outbox;
    bool has_receiver;           // struct engine_options
    struct forwarder *forwarder; // forward.h
    bool keeps_job_history;
    bool has_old_keys;                     // store_has_old_keys()
    uint64_t outbox_max;                   // bytes; deliveries are refused when more are waiting
    struct store_transaction *transaction; // NULL between batches
    struct error error;                    // of the function that failed last
    timestamp_ns now;                      // of the current batch
    timestamp_ns at;        // of the current task: when its delivery was received; else `now`
    struct arena arena;     // of one task, or one deadline
    struct arena scratch;   // of a smaller unit: some of a job's spans, one state that is read
    struct buffer record;   // one state being encoded, or a record that is larger than usual
    struct buffer part;     // one record of the usual size
    struct stats *stats;    // updated in the same transaction
    uint64_t written_bytes; // of states and records; per transaction, as are those below
    struct engine_counters counted; // added to the totals after the commit
    bool is_full;                   // a task was refused for lack of room, or would be
    bool has_far_deadlines;         // more of them than one batch could correct
    // Bytes that reports of ARC may still add to the outbox by sending spans again (apply.c), and since when.
    int64_t resend_bytes;
    timestamp_ns resend_refilled;
    _Atomic uint64_t beats; // struct heartbeat; other threads read it, and the next one
    atomic_bool is_committing;
    _Atomic timestamp_ns committing_since; // monotonic, while is_committing
};

struct live_counters {
    struct live_sums {
        ENGINE_COUNTER_LIST(LIST_ATOMIC_COUNTER)
    } sums;
    _Atomic timestamp_ns last_event_at, last_assignment_at, last_missing_at;
};

struct engine {
    struct engine_work work;
    struct engine_options options;
    void (*on_outbox)(void *context); // may be NULL
    void *on_outbox_context;

    pthread_t thread;
    bool has_thread;
    pthread_mutex_t mutex; // guards the fields below
    pthread_cond_t wake;
    STAILQ_HEAD(engine_tasks, engine_task) queue;
    size_t queued;          // its length
    size_t queued_received; // of these: tasks of the receiver's clients
    bool is_stopping;
    timestamp_ns trouble_logged; // monotonic clock; engine's thread only
    timestamp_ns tight_logged;
    timestamp_ns set_aside_logged;
    uint64_t set_aside_unlogged;
    timestamp_ns drops_logged;
    uint64_t drops_to_log[STORE_SHED_REASONS]; // dead letters dropped since then
    timestamp_ns shed_logged;
    bool trouble_was_logged;
    struct error trouble; // why the last batch failed; code ERROR_NONE if it did not

    struct engine_overflow overflow;

    timestamp_ns overflow_logged; // monotonic clock; engine's thread only
    timestamp_ns folded_logged;   // likewise
    timestamp_ns next_due; // engine's thread only: the first deadline; TIMESTAMP_UNKNOWN: none
    bool has_leftovers;    // a limit cut the upkeep short: continue at once

    // Engine's thread only: both clocks at the last batch, and until when (monotonic) nothing expires because the
    // wall clock jumped ahead.
    timestamp_ns last_wall, last_steady, clock_trusted_from, readers_checked;

    bool has_all_figures;            // nothing is left to compute from the states
    struct pool_id next_pool;        // where the search for unused pools continues
    timestamp_ns pools_looked;       // when the last search ended
    struct series_place next_series; // the same for unused series
    timestamp_ns series_looked;

    // Where the check of the list of jobs for ARC continues (arc_reports.c).
    struct arc_check {
        uint8_t next[ARC_JOB_KEY_SIZE + 1];
        size_t next_len; // 0: it has ended
        timestamp_ns ended_at;
    } arc_check;

    // The search for jobs that are replaced by notes when room runs short.
    struct store_key next_job;
    size_t jobs_replaced;     // since the search began
    timestamp_ns jobs_looked; // monotonic; when it last found none; 0: never

    // Monotonic time since when the engine's thread has been busy; 0: it waits.
    _Atomic timestamp_ns busy_since;
    _Atomic(const char *) export_note; // NULL: nothing is wrong

    struct live_counters counters;
};

// --- deadlines.c: upkeep ---

// The upkeep of one batch.
struct upkeep {
    size_t max;            // of each kind of thing that it processes
    bool is_clock_trusted; // the clock is trusted
    bool has_leftovers;    // a limit cut it short: continue at once
    timestamp_ns next_due; // the first deadline that remains; TIMESTAMP_UNKNOWN: none
};

// True at most once a minute.
bool engine_may_log(timestamp_ns *last_logged);
// Inside a write transaction, after its tasks: processes deadlines, old records, old deliveries and old figures, a
// bounded number of each. Writes the figures gathered before.
enum error_code engine_do_upkeep(struct engine *engine, size_t tasks,
                                 struct upkeep *upkeep) MUST_CHECK;
// After a commit: logs how many dead letters were dropped.
void engine_report_drops(struct engine *engine);
// Inside a write transaction: sheds notes early, the oldest first, while room is short, up to `max` blocks.
// `*is_short`: room is still short.
enum error_code work_shed_notes(struct engine_work *work, size_t max, bool *is_short) MUST_CHECK;

// --- apply.c: inside a write transaction ---

// Sets task->outcome on success; after any error the transaction must be aborted.
enum error_code work_apply_task(struct engine_work *work, struct engine_task *task) MUST_CHECK;

// A state with its place in the store, and its stored contribution to the figures.
struct work_run {
    struct store_key key;
    // that runs of its server have: key.trace but for states of older versions
    struct trace_id own_trace;
    struct run_state state;
    bool is_listed;          // in the list of open runs
    bool is_stored;          // stored as a state; else there is a note, or nothing
    struct commit_id commit; // of an open run: whose runs it is among (stats/commits.h)
};
// What the list of jobs for ARC (arc_reports.c) has of a job. Slices as in the state.
struct arc_place {
    bool is_listed;
    bool is_expected; // of the policy's arc_runners
    int64_t runner_id;
    struct slice runner_name, job_name, repository;
    timestamp_ns created_at, started_at, ended_at;
};
struct work_job {
    struct store_key key;
    struct trace_id own_trace; // as in work_run
    struct job_state state;
    struct pool_place place;
    struct job_times times; // as they are counted
    bool is_measured;       // `times` are final
    struct arc_place arc;   // as stored
    // With the event that is applied, or as stored: of a job that is closed, whose state has lost it.
    struct arc_place arc_after;
    bool is_stored; // as in work_run
};

// Decodes a stored state; `bytes` must be in the arena. The key is already set.
enum error_code work_decode_run(struct engine_work *work, struct slice bytes,
                                struct work_run *run) MUST_CHECK;
enum error_code work_decode_job(struct engine_work *work, struct slice bytes,
                                struct work_job *job) MUST_CHECK;

struct run_name {
    struct slice server; // empty: github.com
    int64_t run_id;
    int64_t run_attempt;
};
enum error_code work_load_run(struct engine_work *work, const struct run_name *name,
                              struct work_run *run) MUST_CHECK;
enum error_code work_load_job(struct engine_work *work, const struct run_name *name, int64_t job_id,
                              struct work_run *run, struct work_job *job) MUST_CHECK;
// Loads what is stored under their keys; the structs are left unchanged if there is nothing, or nothing readable.
enum error_code work_load_run_state(struct engine_work *work, struct work_run *run) MUST_CHECK;
enum error_code work_load_job_state(struct engine_work *work, struct work_run *run,
                                    struct work_job *job) MUST_CHECK;
// Stores a state and updates its entry in the deadline index and in the figures of open runs and jobs.
enum error_code work_save_run(struct engine_work *work, struct work_run *run) MUST_CHECK;
// Counts what is known of a job in its pool, in the place of what was known before; again without effect.
enum error_code work_count_open_job(struct engine_work *work, struct work_job *job) MUST_CHECK;
enum error_code work_save_job(struct engine_work *work, const struct run_state *run,
                              struct work_job *job) MUST_CHECK;
// Removes a state from all of these.
enum error_code work_delete_run(struct engine_work *work, struct work_run *run) MUST_CHECK;
enum error_code work_delete_job(struct engine_work *work, struct work_job *job) MUST_CHECK;
// Encodes, stores and counts the finished spans. `job`: the one that they are of; NULL if they are the run's.
enum error_code work_add_records(struct engine_work *work, const struct trace_id *trace,
                                 struct work_run *run, struct work_job *job,
                                 const struct lifecycle_output *output) MUST_CHECK;

// Checks for room for a delivery in the store and in the outbox. ERROR_FULL with the message for the client.
enum error_code work_check_room(struct engine_work *work) MUST_CHECK;

// The same for a task, after shedding notes if need be. `*is_refused`: there is none, the task has its outcome.
enum error_code work_make_room(struct engine_work *work, struct engine_task *task,
                               bool *is_refused) MUST_CHECK;
// Merges when ARC assigned this job, stores and counts what changes. `*is_late`: nothing did.
enum error_code work_apply_assignment(struct engine_work *work,
                                      const struct job_assignment *assignment, struct work_run *run,
                                      struct work_job *job, bool *is_late) MUST_CHECK;

// Deletes what is held, then what waits to be sent, of other programs' spans, up to `max` records of each. `*shed`: how
// many.
enum error_code work_shed_forwarded(struct engine_work *work, size_t max, size_t *shed) MUST_CHECK;

// --- forward.c: spans of other programs, inside a write transaction ---

enum error_code work_forward_spans(struct engine_work *work, struct engine_task *task) MUST_CHECK;
// Releases what is held for traces that became known; deletes what was held for too long, and old IDs, if the clock is
// trusted.
enum error_code work_do_forward_upkeep(struct engine_work *work, struct upkeep *upkeep) MUST_CHECK;

// --- our_spans.c: IDs that spans of other programs must not have; inside a write transaction, with a receiver ---

// Records that a run, or a job that is not closed, exists. Called when its state changes.
enum error_code work_note_our_run(struct engine_work *work, const struct work_run *run) MUST_CHECK;
enum error_code work_note_our_job(struct engine_work *work, const struct work_job *job) MUST_CHECK;
// Records the IDs of spans that are put into the outbox. `key`: of the state of their job or run.
enum error_code work_note_sent(struct engine_work *work, const struct store_key *key,
                               const struct span_batch *batch) MUST_CHECK;

// --- apply.c: states that cannot be read ---

// Sets aside a state that cannot be read, for the reason in `work->error`, and removes it from the figures of open runs
// and jobs. `run`: its run, if loaded, whose count of open jobs is decremented; or NULL.
enum error_code work_set_state_aside(struct engine_work *work, const struct store_key *key,
                                     struct run_state *run) MUST_CHECK;
// After a commit that set a state aside: counts it, and logs it at most once a minute.
void engine_log_set_aside(struct engine *engine, const struct store_set_aside_note *note);

// --- arc_reports.c: inside a write transaction, with a receiver, but for the upkeep ---

struct arc_place arc_place_of_job(const struct engine_work *work, const struct job_state *job);
// Brings the job's entry in the list up to date after its state was saved, or replaced by a note.
enum error_code work_list_job(struct engine_work *work, struct work_job *job) MUST_CHECK;
// Of a job that is listed.
enum error_code work_unlist_job(struct engine_work *work, struct work_job *job) MUST_CHECK;
enum error_code work_apply_arc_reports(struct engine_work *work,
                                       struct engine_task *task) MUST_CHECK;
// Before an event of a job is applied: applies held reports about this job to `run` and `job`, and saves these.
// `*left_of`: for the next call.
enum error_code work_match_held_reports(struct engine_work *work, const struct github_event *event,
                                        struct work_run *run, struct work_job *job,
                                        uint64_t *left_of) MUST_CHECK;
// After it, if `left_of` is not 0: matches what is held for the same runner again. It may load and save other states of
// the same run.
enum error_code work_match_left_reports(struct engine_work *work, uint64_t left_of) MUST_CHECK;
// Deletes what is old; without a receiver, everything.
enum error_code arc_do_upkeep(struct engine *engine, struct upkeep *upkeep) MUST_CHECK;

// --- old_keys.c: inside a write transaction, where there may be old keys ---

// Corrects the result of a lookup by the current key: a state that an older version stored under the key of
// github.com is moved first, and an entry of another server at that key is moved away.
enum error_code work_find_old_run(struct engine_work *work, const struct run_name *name,
                                  struct work_run *run) MUST_CHECK;
enum error_code work_find_old_job(struct engine_work *work, const struct run_name *name,
                                  struct work_run *run, struct work_job *job) MUST_CHECK;
// Moves a job that is stored under an old key, with its run, and whose entry was removed from the deadline index.
enum error_code work_move_job(struct engine_work *work, const struct run_name *name,
                              struct work_job *job) MUST_CHECK;
// Moves a run that is stored under an old key, and everything that belongs to it.
enum error_code work_move_run(struct engine_work *work, struct work_run *run) MUST_CHECK;

// --- deadlines.c: inside a write transaction ---

// The latest possible entry of the deadline index: a time of receipt plus the longest of the usual waits. A longer
// wait, such as an approval, is checked at that time and set again. So a deadline set by a wrong clock, or under
// other settings, is detectable.
timestamp_ns work_farthest_deadline(const struct engine_work *work);
// Clamps times of receipt to now: later ones came from a clock that was set back since.
void work_clamp_future_run_times(const struct engine_work *work, struct run_state *run);
void work_clamp_future_job_times(const struct engine_work *work, struct job_state *job);

// Passes each job of a run that has a state to lifecycle_resend_unnamed_job(). Saves the jobs, not the run.
enum error_code work_resend_jobs(struct engine_work *work, struct work_run *run) MUST_CHECK;
// Replaces the states of jobs that were sent, and may be sent again, by notes until there is room again. Reads up to
// `max` states from `*next` on, and advances it. `*is_end`: there are no more.
enum error_code work_replace_jobs_by_notes(struct engine_work *work, struct store_key *next,
                                           size_t max, size_t *replaced, bool *is_end) MUST_CHECK;

#endif
