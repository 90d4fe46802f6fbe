// What the files of the engine share.
#ifndef GHATRACE_ENGINE_PRIVATE_H
#define GHATRACE_ENGINE_PRIVATE_H

#include <pthread.h>
#include <stdatomic.h>

#include "ghatrace/base/arena.h"
#include "ghatrace/base/buffer.h"
#include "ghatrace/engine/engine.h"
#include "ghatrace/stats/pool.h"
#include "ghatrace/stats/stats.h"
#include "ghatrace/trace/lifecycle.h"

// The part that works inside one transaction; touched by the engine's thread only.
struct engine_work {
    struct store *store;
    struct trace_policy policy;
    bool to_outbox;
    bool has_old_keys;    // store_has_old_keys()
    uint64_t outbox_max;  // bytes; deliveries are refused when more wait
    timestamp_ns now;     // of the present batch
    struct arena arena;   // of one task, or one deadline
    struct arena scratch; // of a smaller piece: some of a job's spans, one state that is looked at
    struct buffer record; // one state being encoded, or a record that is larger than usual
    struct buffer part;   // one record of the usual size
    struct stats *stats;  // figures, kept in the same transaction
    uint64_t written_bytes; // of states and records; of the present transaction, as are those below
    struct engine_counters counted; // they count only once it is committed
    bool is_full;                   // a task was refused for want of room, or would be
    bool has_far_deadlines;         // more of them than one batch could put right
};

struct live_counters {
    struct live_sums {
        ENGINE_COUNTER_LIST(LIST_ATOMIC_COUNTER)
    } sums;
    _Atomic timestamp_ns last_event_at;
};

struct engine {
    struct engine_work work;
    struct engine_options options;

    pthread_t thread;
    bool has_thread;
    pthread_mutex_t mutex; // guards what follows
    pthread_cond_t wake;
    STAILQ_HEAD(engine_tasks, engine_task) queue;
    size_t queued; // its length
    bool is_stopping;
    timestamp_ns trouble_logged; // by the steady clock; of the engine's thread
    timestamp_ns tight_logged;
    timestamp_ns set_aside_logged;
    uint64_t set_aside_unlogged;
    timestamp_ns drops_logged;
    uint64_t drops_to_log[STORE_SHED_REASONS]; // dead letters dropped since then
    timestamp_ns shed_logged;
    bool trouble_was_logged;
    struct error trouble; // why the last batch failed; code ERROR_NONE when it did not

    struct engine_overflow overflow;

    timestamp_ns overflow_logged; // by the steady clock; of the engine's thread
    timestamp_ns next_due; // of the engine's thread: the first deadline; TIMESTAMP_UNKNOWN: none
    bool has_leftovers;    // a limit cut the upkeep short: go on at once

    // Of the engine's thread: both clocks at the last batch, and until when (by the steady one) nothing is forgotten
    // because the other leapt ahead.
    timestamp_ns last_wall, last_steady, forget_after, readers_checked;

    bool has_all_figures;      // they need not be made from the states any more
    struct pool_id next_pool;  // where the look for unused pools goes on
    timestamp_ns pools_looked; // when the last one ended

    // The look for jobs of which only notes are kept when room runs short.
    struct store_key next_job;
    size_t jobs_replaced;     // since it began
    timestamp_ns jobs_looked; // by the steady clock, when it last found none; 0: never

    // By the steady clock, when the engine's thread took up what it is busy with; 0: it waits.
    _Atomic timestamp_ns busy_since;
    _Atomic(const char *) export_note; // NULL: nothing is wrong

    struct live_counters counters;
};

// --- engine.c ---

// --- deadlines.c: upkeep ---

// Once a minute at most.
bool engine_may_log(timestamp_ns *last_logged);
// Inside a write transaction, behind its tasks: deadlines, old records, old deliveries, old figures, a bounded piece of
// each. Writes the figures that were gathered before.
enum error_code engine_do_upkeep(struct engine *engine, struct store_transaction *transaction,
                                 timestamp_ns now, size_t tasks, timestamp_ns *next_due,
                                 bool *has_leftovers, struct error *error) MUST_CHECK;
// After a commit: says how many dead letters were dropped.
void engine_report_drops(struct engine *engine);
// Inside a write transaction: forgets notes before their time, the oldest first, while room is short, up to `max`
// blocks. `*is_short`: it still is.
enum error_code work_shed_notes(struct engine_work *work, struct store_transaction *transaction,
                                timestamp_ns now, size_t max, bool *is_short,
                                struct error *error) MUST_CHECK;
// Inside a write transaction, before its tasks: figures of what is open that an older store lacks. Up to `max`
// states are looked at.
enum error_code engine_complete_figures(struct engine *engine, size_t max, bool *is_done,
                                        struct error *error) MUST_CHECK;
// At the start: in transactions of their own, as many as there is time for. What is left, or goes wrong, is left to the
// upkeep.
void engine_prepare_figures(struct engine *engine);

// --- apply.c: inside a write transaction ---

// Sets task->outcome for success; any error means that the transaction must be aborted.
enum error_code work_apply_task(struct engine_work *work, struct store_transaction *transaction,
                                struct engine_task *task, timestamp_ns now,
                                struct error *error) MUST_CHECK;

// A state with its place in the store, and what the figures say of it as it is stored.
struct work_run {
    struct store_key key;
    struct trace_id
        own_trace; // that runs of its server have: key.trace but for states of older versions
    struct run_state state;
    bool is_listed; // among the open runs
    bool is_stored; // among the states; else there is a note, or nothing
};
struct work_job {
    struct store_key key;
    struct trace_id own_trace; // likewise
    struct job_state state;
    struct pool_place place;
    bool is_stored; // likewise
};

// From the bytes of a stored state, which must be in the arena. The key is set already.
enum error_code work_decode_run(struct engine_work *work, struct slice bytes, struct work_run *run,
                                struct error *error) MUST_CHECK;
enum error_code work_decode_job(struct engine_work *work, struct slice bytes, struct work_job *job,
                                struct error *error) MUST_CHECK;

struct run_name {
    struct slice server; // empty: github.com
    int64_t run_id;
    int64_t run_attempt;
};
enum error_code work_load_run(struct engine_work *work, struct store_transaction *transaction,
                              const struct run_name *name, struct work_run *run,
                              struct error *error) MUST_CHECK;
// What is stored under their keys; they stay as they are where there is nothing, or nothing that can be read.
enum error_code work_load_run_state(struct engine_work *work, struct store_transaction *transaction,
                                    struct work_run *run, struct error *error) MUST_CHECK;
enum error_code work_load_job_state(struct engine_work *work, struct store_transaction *transaction,
                                    struct work_run *run, struct work_job *job,
                                    struct error *error) MUST_CHECK;
// Stores a state and keeps its entry in the deadline index, and in the figures of what is open.
enum error_code work_save_run(struct engine_work *work, struct store_transaction *transaction,
                              struct work_run *run, struct error *error) MUST_CHECK;
enum error_code work_save_job(struct engine_work *work, struct store_transaction *transaction,
                              const struct run_state *run, struct work_job *job,
                              struct error *error) MUST_CHECK;
// Takes a state out of all of them.
enum error_code work_forget_run(struct engine_work *work, struct store_transaction *transaction,
                                struct work_run *run, struct error *error) MUST_CHECK;
enum error_code work_forget_job(struct engine_work *work, struct store_transaction *transaction,
                                struct work_job *job, struct error *error) MUST_CHECK;
// Encodes and stores what is finished, and counts it.
enum error_code work_add_records(struct engine_work *work, struct store_transaction *transaction,
                                 const struct trace_id *trace, struct work_run *run,
                                 const struct lifecycle_output *output, timestamp_ns now,
                                 struct error *error) MUST_CHECK;

// Encodes and stores one root span.
enum error_code work_add_root(struct engine_work *work, struct store_transaction *transaction,
                              const struct store_key *key, const struct span_batch *batch,
                              timestamp_ns now, struct error *error) MUST_CHECK;

// Is there room for a delivery, in the store and in the outbox? ERROR_FULL with the words for the client.
enum error_code work_check_room(const struct engine_work *work,
                                struct store_transaction *transaction,
                                struct error *error) MUST_CHECK;

// --- extend.c: inside a write transaction ---

// Sends a root again that left and of which no names are known any more, with a time that covers jobs that came after
// it. Does nothing where it has left the history, which keeps it for `history`.
enum error_code work_extend_root(struct engine_work *work, struct store_transaction *transaction,
                                 struct work_run *run, const struct lifecycle_extension *extension,
                                 timestamp_ns now, struct error *error) MUST_CHECK;

// --- apply.c: states that cannot be read ---

// Moves a state that cannot be read out of the way, for the reason in `error`, and what the figures of what is open
// have of it. `run`: its run's, if that is at hand, which then has one open job less; or NULL.
enum error_code work_set_state_aside(struct engine_work *work,
                                     struct store_transaction *transaction,
                                     const struct store_key *key, struct run_state *run,
                                     struct error *error) MUST_CHECK;
// After a commit that did so. Counts, and says so once a minute at most.
void engine_log_set_aside(struct engine *engine, const struct store_set_aside_note *note);

// --- old_keys.c: inside a write transaction, where there may be old keys ---

// What was found under its own key, or was not, becomes what is right: where an older version stored it under the key of
// github.com it is moved first, and what another server has there is moved away.
enum error_code work_find_old_run(struct engine_work *work, struct store_transaction *transaction,
                                  const struct run_name *name, struct work_run *run,
                                  struct error *error) MUST_CHECK;
enum error_code work_find_old_job(struct engine_work *work, struct store_transaction *transaction,
                                  const struct run_name *name, struct work_run *run,
                                  struct work_job *job, struct error *error) MUST_CHECK;
// Moves a job that stands under another key than its own, with its run, and is out of the index of deadlines.
enum error_code work_move_job(struct engine_work *work, struct store_transaction *transaction,
                              const struct run_name *name, struct work_job *job,
                              struct error *error) MUST_CHECK;
// Moves a run that stands under another key than its own, and all that belongs to it.
enum error_code work_move_run(struct engine_work *work, struct store_transaction *transaction,
                              struct work_run *run, struct error *error) MUST_CHECK;

// --- deadlines.c: inside a write transaction ---

// Nothing in the index of deadlines is later than this: a time of receipt and the longest of the usual waits. What is
// waited for longer, an approval, is looked at by then and put in anew. So a deadline that a wrong clock made, or that was
// made when the settings were others, stands out.
timestamp_ns work_farthest_deadline(const struct engine_work *work);
// A time of receipt that lies ahead of now was told by a clock that has been set back since.
void work_clamp_future_run_times(const struct engine_work *work, struct run_state *run);
void work_clamp_future_job_times(const struct engine_work *work, struct job_state *job);

// Gives the jobs of a run that there are states of to lifecycle_name_job(). Saves them, not the run.
enum error_code work_resend_jobs(struct engine_work *work, struct store_transaction *transaction,
                                 struct work_run *run, timestamp_ns now,
                                 struct error *error) MUST_CHECK;
// Of jobs that left, and are kept since they might leave again, only notes stay, until there is room again. Looks at up to
// `max` states from `*next` on, and moves it. `*is_end`: there are no more.
enum error_code work_keep_only_notes(struct engine_work *work,
                                     struct store_transaction *transaction, struct store_key *next,
                                     size_t max, size_t *replaced, bool *is_end,
                                     struct error *error) MUST_CHECK;

#endif
