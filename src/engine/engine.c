// The engine: a queue of tasks, a thread that commits them in batches, counters.
#include <assert.h>

#include "forward.h"
#include "ghatrace/base/log.h"
#include "ghatrace/base/memory.h"
#include "ghatrace/base/thread.h"
#include "ghatrace/stats/rebuild.h"

// --- counters since the start ---------------------------------------------------------------------

const duration_ns engine_commit_bounds[ENGINE_COMMIT_BOUNDS] = {
    NS_PER_MS / 2,  NS_PER_MS,        2 * NS_PER_MS,     5 * NS_PER_MS,      10 * NS_PER_MS,
    25 * NS_PER_MS, 50 * NS_PER_MS,   100 * NS_PER_MS,   250 * NS_PER_MS,    500 * NS_PER_MS,
    NS_PER_SECOND,  2500 * NS_PER_MS, 5 * NS_PER_SECOND, 10 * NS_PER_SECOND,
};
const uint64_t engine_batch_bounds[ENGINE_BATCH_BOUNDS] = {1,  2,   5,   10,  20,
                                                           50, 100, 200, 500, 1000};

static void count_time(struct engine_counters *counted, duration_ns taken)
{
    size_t bucket = 0;
    while (bucket < ENGINE_COMMIT_BOUNDS && taken > engine_commit_bounds[bucket])
        bucket++;
    counted->commit_buckets[bucket]++;
    counted->commit_ns += taken > 0 ? (uint64_t)taken : 0;
}

static void count_tasks(struct engine_counters *counted, uint64_t tasks)
{
    size_t bucket = 0;
    if (tasks == 0)
        return;
    while (bucket < ENGINE_BATCH_BOUNDS && tasks > engine_batch_bounds[bucket])
        bucket++;
    counted->batch_buckets[bucket]++;
    counted->batch_tasks += tasks;
}

_Static_assert(sizeof(struct live_sums) == offsetof(struct engine_counters, last_event_at),
               "the fields before last_event_at are the counters of the list and no others");

static void note_later(_Atomic timestamp_ns *live, timestamp_ns counted)
{
    if (counted > atomic_load(live))
        atomic_store(live, counted);
}

// After a commit: adds the counts of the transaction. Both structs begin with the same list of counters, which are
// added as arrays.
static void counters_add_commit(struct engine *engine, size_t tasks, duration_ns taken)
{
    struct engine_counters *counted = &engine->work.counted;
    struct live_counters *live = &engine->counters;
    _Atomic uint64_t *sums = (_Atomic uint64_t *)&live->sums;
    const uint64_t *more = (const uint64_t *)counted;
    counted->commits++;
    count_time(counted, taken);
    count_tasks(counted, tasks);
    for (size_t i = 0; i < sizeof live->sums / sizeof *sums; i++)
        if (more[i] > 0)
            atomic_fetch_add(&sums[i], more[i]);
    note_later(&live->last_event_at, counted->last_event_at);
    note_later(&live->last_assignment_at, counted->last_assignment_at);
    note_later(&live->last_missing_at, counted->last_missing_at);
}

static void log_folded(struct engine *engine, const struct engine_overflow *overflow)
{
    if (engine_may_log(&engine->folded_logged))
        log_warn("metrics: more pools of runners are in use than metrics-max-pools; sets of labels "
                 "with few started jobs are counted as \"(one-off)\": leave labels that hold an id "
                 "out of pools with runner-label-ignore, name pools with runner-pool, or raise it",
                 LOG_STRING("example", overflow->folded_example),
                 LOG_INT("since_start", overflow->folded));
}

// After a commit: records what exceeded the limits on series and pools, and logs it, rate-limited.
static void engine_note_overflow(struct engine *engine)
{
    struct stats_overflow overflow;
    stats_read_overflow(engine->work.stats, &overflow);
    if (overflow.sets == 0 && overflow.folded == 0)
        return;
    pthread_mutex_lock(&engine->mutex);
    if (overflow.sets > 0) {
        engine->overflow.sets += overflow.sets;
        engine->overflow.last_at = engine->work.now;
        engine->overflow.kind = overflow.kind;
        memcpy(engine->overflow.example, overflow.example, sizeof overflow.example);
    }
    if (overflow.folded > 0) {
        engine->overflow.folded += overflow.folded;
        engine->overflow.folded_at = engine->work.now;
        memcpy(engine->overflow.folded_example, overflow.folded_example,
               sizeof overflow.folded_example);
    }
    struct engine_overflow all = engine->overflow;
    pthread_mutex_unlock(&engine->mutex);
    if (overflow.folded > 0)
        log_folded(engine, &all);
    uint64_t sets = all.sets;
    if (overflow.sets > 0 && engine_may_log(&engine->overflow_logged))
        log_warn("metrics: more sets of labels are in use than metrics-max-series; the one unused "
                 "for longest is counted as \"other\": raise it, choose fewer labels with "
                 "metrics-labels, or keep what differs in each run out of runner labels and of "
                 "names of workflows and steps",
                 LOG_STRING("kind", overflow.kind), LOG_STRING("example", overflow.example),
                 LOG_INT("since_start", sets));
}

// After a commit: reports that figures are stored in another way than before, because of what is set now.
static void engine_log_series_change(const struct engine *engine)
{
    struct stats_series_change change;
    stats_read_series_change(engine->work.stats, &change);
    if (change.has_other_labels)
        log_info("metrics: jobs, runs and steps were counted by other labels than metrics-labels "
                 "has; their sums were added up by those that remain");
    if (change.has_other_bounds)
        log_warn("metrics: histograms had other bounds than metrics-bounds has; they begin anew");
    if (change.has_other_pools)
        log_warn("runner-pool or runner-label-ignore has changed: of all pools the history, the "
                 "most busy runners and ghatrace_pool_queue_wait_seconds begin anew, with the jobs "
                 "that are open");
}

void engine_read_overflow(struct engine *engine, struct engine_overflow *overflow)
{
    pthread_mutex_lock(&engine->mutex);
    *overflow = engine->overflow;
    pthread_mutex_unlock(&engine->mutex);
}

// How long the oldest task in the queue has waited at `steady`. The mutex is held.
static duration_ns engine_queue_age(const struct engine *engine, timestamp_ns steady)
{
    const struct engine_task *oldest = STAILQ_FIRST(&engine->queue);
    duration_ns age = oldest != NULL ? steady - oldest->submitted_at : 0;
    return age > 0 ? age : 0;
}

// For how long the engine's thread has been at its present batch.
static duration_ns engine_batch_age(const struct engine *engine, timestamp_ns steady)
{
    timestamp_ns since = atomic_load(&engine->busy_since);
    return since != 0 && steady > since ? steady - since : 0;
}

static void read_queue(struct engine *engine, struct engine_counters *counters)
{
    timestamp_ns steady = timestamp_monotonic();
    counters->batch_age = engine_batch_age(engine, steady);
    pthread_mutex_lock(&engine->mutex);
    counters->queue_tasks = engine->queued;
    counters->queue_age = engine_queue_age(engine, steady);
    pthread_mutex_unlock(&engine->mutex);
}

void engine_read_counters(struct engine *engine, struct engine_counters *counters)
{
    const _Atomic uint64_t *sums = (const _Atomic uint64_t *)&engine->counters.sums;
    uint64_t *read = (uint64_t *)counters;
    for (size_t i = 0; i < sizeof engine->counters.sums / sizeof *sums; i++)
        read[i] = atomic_load(&sums[i]);
    counters->last_event_at = atomic_load(&engine->counters.last_event_at);
    counters->last_assignment_at = atomic_load(&engine->counters.last_assignment_at);
    counters->last_missing_at = atomic_load(&engine->counters.last_missing_at);
    read_queue(engine, counters);
}

// --- engine ---------------------------------------------------------------------------------------
// The engine's thread: batches, one synced transaction each, answers after the commit.

#define ARENA_BLOCK_BYTES ((size_t)256 * 1024)
#define RECORD_BYTES_MAX ((size_t)64 * 1024 * 1024) // OTLP's own cap on a request
#define RECORD_BYTES_KEPT ((size_t)4 * 1024 * 1024)
// Limit for a record with more than one span. The exporter sends whole records.
#define PART_BYTES_MAX ((size_t)1024 * 1024)
// States that a batch reads while figures of open runs and jobs are computed for an older store.
#define FIGURES_PER_BATCH 256
// And one transaction at startup.
#define FIGURES_PER_TRANSACTION 10000
// The part of the queue that tasks of the receiver's clients may take is one in this many.
#define RECEIVED_SHARE 4
#define IDLE_TICK (60 * NS_PER_SECOND)
#define TROUBLE_TICK NS_PER_SECOND
// A clock that jumps by more than this is not trusted at first: nothing expires because of it for this long.
#define CLOCK_LEAP NS_PER_HOUR
#define CLOCK_PATIENCE NS_PER_HOUR
// GitHub waits for 10 s: a delivery that is sent while storing hangs for this long is not answered in time.
#define STALL_LIMIT (5 * NS_PER_SECOND)
// Bounded so that a delivery that is sent while a large store gets its figures at startup is answered in time, too.
#define FIGURES_LIMIT (2 * NS_PER_SECOND)

// --- heartbeat --------------------------------------------------------------------------------------------
// The store beats at each access, so that upkeep of any length does, too.

void engine_wake(struct engine *engine)
{
    pthread_mutex_lock(&engine->mutex);
    pthread_cond_signal(&engine->wake);
    pthread_mutex_unlock(&engine->mutex);
}

struct heartbeat engine_heartbeat(const struct engine *engine)
{
    return (struct heartbeat){.thread = "engine",
                              .beats = atomic_load(&engine->work.beats),
                              .is_committing = atomic_load(&engine->work.is_committing)};
}

duration_ns engine_commit_age(const struct engine *engine)
{
    timestamp_ns since = atomic_load(&engine->work.committing_since), now = timestamp_monotonic();
    return atomic_load(&engine->work.is_committing) && now > since ? now - since : 0;
}

// Marks a wait for the store's lock or for the disk.
static void note_committing(struct engine_work *work, bool is_committing)
{
    heartbeat_beat();
    atomic_store(&work->committing_since, timestamp_monotonic());
    atomic_store(&work->is_committing, is_committing);
}

// --- one batch -------------------------------------------------------------------------------------------

static enum error_code begin_work(struct engine_work *work)
{
    assert(work->transaction == NULL);
    arena_clear(&work->arena);
    arena_clear(&work->scratch);
    if (work->record.capacity > RECORD_BYTES_KEPT) // do not keep the memory of one huge state
        buffer_release(&work->record);
    work->counted = (struct engine_counters){.last_event_at = TIMESTAMP_UNKNOWN};
    work->written_bytes = 0;
    work->is_full = false;
    work->has_far_deadlines = false;
    note_committing(work, true);
    enum error_code code = store_begin(work->store, true, &work->transaction, &work->error);
    note_committing(work, false);
    if (code == ERROR_NONE)
        stats_begin(work->stats, work->transaction, work->now);
    else
        work->transaction = NULL;
    return code;
}

// Commits, or aborts if `code` says that something failed. `*set_aside`: what was set aside, after a commit.
static enum error_code end_work(struct engine_work *work, enum error_code code,
                                struct store_set_aside_note *set_aside)
{
    struct store_transaction *transaction = work->transaction;
    work->transaction = NULL;
    if (code != ERROR_NONE) {
        store_abort(transaction);
        forwarder_forget(work->forwarder);
        return code;
    }
    *set_aside = *store_noted_set_aside(transaction);
    note_committing(work, true);
    code = store_commit(transaction, &work->error);
    note_committing(work, false);
    if (code != ERROR_NONE)
        forwarder_forget(work->forwarder);
    return code;
}

// After a failure: checks whether writing works again and whether there is room.
static enum error_code check_recovery(struct engine_work *work)
{
    enum error_code code = work_check_room(work);
    work->is_full = code == ERROR_FULL;
    if (code != ERROR_NONE && code != ERROR_FULL)
        return code;
    return store_probe(work->transaction, work->now, &work->error);
}

// A task is submitted, taken with its batch, and done; then its owner may submit it again.
static void move_task(struct engine_task *task, enum engine_task_state from,
                      enum engine_task_state to)
{
    assert(task->state == from);
    task->state = to;
}

// Applies `count` tasks (part of the list) and, on request, the upkeep, as one transaction.
static enum error_code commit_batch(struct engine *engine, struct engine_task *tasks, size_t count,
                                    bool with_upkeep)
{
    struct engine_work *work = &engine->work;
    struct upkeep upkeep = {.next_due = engine->next_due, .has_leftovers = engine->has_leftovers};
    struct store_set_aside_note set_aside;
    bool has_all_figures = engine->has_all_figures;
    timestamp_ns begun = timestamp_monotonic();
    enum error_code code = begin_work(work);
    if (code != ERROR_NONE)
        return code;
    if (!has_all_figures)
        code = rebuild_continue(work->stats, with_upkeep ? FIGURES_PER_BATCH : 0, &has_all_figures,
                                &work->error);
    struct engine_task *task = tasks;
    for (size_t i = 0; i < count && code == ERROR_NONE; i++, task = STAILQ_NEXT(task, next)) {
        code = work_apply_task(work, task);
        heartbeat_beat();
    }
    if (code == ERROR_NONE && with_upkeep)
        code = engine_do_upkeep(engine, count, &upkeep);
    if (code == ERROR_NONE)
        code = stats_flush(work->stats, &work->error);
    if (code == ERROR_NONE && engine->trouble.code != ERROR_NONE)
        code = check_recovery(work);
    code = end_work(work, code, &set_aside);
    if (code != ERROR_NONE)
        return code;
    engine_log_set_aside(engine, &set_aside);
    engine->next_due = upkeep.next_due;
    engine->has_leftovers = upkeep.has_leftovers || !has_all_figures;
    if (has_all_figures && !engine->has_all_figures)
        log_info("the figures of open runs and jobs are complete");
    engine->has_all_figures = has_all_figures;
    counters_add_commit(engine, count, timestamp_monotonic() - begun);
    engine_note_overflow(engine);
    engine_log_series_change(engine);
    engine_report_drops(engine);
    if (work->counted.records > 0 && engine->on_outbox != NULL)
        engine->on_outbox(engine->on_outbox_context);
    return ERROR_NONE;
}

static void refuse_task(struct engine *engine, struct engine_task *task, const struct error *error)
{
    task->outcome = error->code == ERROR_FULL ? ENGINE_FULL : ENGINE_FAILED;
    task->error = *error;
    atomic_fetch_add(&engine->counters.sums.failures, 1);
}

static void note_failed_commit(struct engine *engine, enum error_code code)
{
    const struct error *error = &engine->work.error;
    bool is_new = engine->trouble.code == ERROR_NONE;
    pthread_mutex_lock(&engine->mutex);
    engine->trouble = *error;
    engine->trouble.code = code;
    pthread_mutex_unlock(&engine->mutex);
    // An almost full disk fails intermittently: it is logged once.
    if (is_new)
        engine->trouble_was_logged = engine_may_log(&engine->trouble_logged);
    if (is_new && engine->trouble_was_logged)
        log_error("cannot store events; answering 503 until it works again", LOG_REASON(error));
}

static void note_recovery(struct engine *engine)
{
    if (engine->trouble.code == ERROR_NONE)
        return;
    pthread_mutex_lock(&engine->mutex);
    engine->trouble = (struct error){0};
    pthread_mutex_unlock(&engine->mutex);
    if (engine->trouble_was_logged)
        log_info("storing events works again");
}

// Records the state of the store after a commit. `work.error` has the message if it is full.
static void note_commit(struct engine *engine)
{
    if (engine->work.is_full)
        note_failed_commit(engine, ERROR_FULL);
    else
        note_recovery(engine);
}

// A task of the receiver's clients. No delivery may be refused because of one.
static bool is_received(const struct engine_task *task)
{
    return task->type == ENGINE_FORWARD_SPANS || task->type == ENGINE_APPLY_ARC_REPORTS;
}

// A failed transaction discards all its tasks. Each is retried alone, so that one that cannot be applied does not
// make the others fail; but once the store is full or the disk fails, the remaining deliveries are refused without
// a try.
static void commit_one_by_one(struct engine *engine, const struct engine_tasks *tasks)
{
    struct error *error = &engine->work.error;
    struct error refusal = {0};
    struct engine_task *task;
    STAILQ_FOREACH (task, tasks, next) {
        bool is_hopeless = refusal.code == ERROR_FULL || refusal.code == ERROR_IO;
        if (is_hopeless && task->type != ENGINE_SETTLE_EXPORT) {
            refuse_task(engine, task, &refusal);
            continue;
        }
        *error = (struct error){0};
        enum error_code code = commit_batch(engine, task, 1, false);
        if (code == ERROR_NONE) {
            note_commit(engine);
            continue;
        }
        error->code = code;
        refuse_task(engine, task, error);
        // What other programs send may be more than there is room for; a delivery may still have room.
        if (code != ERROR_IO && is_received(task))
            continue;
        refusal = *error;
        note_failed_commit(engine, code);
    }
}

// What other programs send may be all that there is no room for: then each task shows whether there is.
static bool is_perhaps_of_received(const struct engine_tasks *tasks, enum error_code code)
{
    const struct engine_task *task;
    STAILQ_FOREACH (task, tasks, next)
        if (code == ERROR_FULL && is_received(task))
            return true;
    return false;
}

// Leaves the list empty.
static void run_batch(struct engine *engine, struct engine_tasks *tasks, timestamp_ns now)
{
    struct engine_work *work = &engine->work;
    size_t count = 0;
    struct engine_task *task;
    work->now = now;
    work->error = (struct error){0};
    STAILQ_FOREACH (task, tasks, next) {
        move_task(task, ENGINE_TASK_QUEUED, ENGINE_TASK_TAKEN);
        task->error = (struct error){0};
        count++;
    }
    enum error_code code = commit_batch(engine, STAILQ_FIRST(tasks), count, true);
    if (code == ERROR_NONE) {
        note_commit(engine);
    } else {
        if (!is_perhaps_of_received(tasks, code))
            note_failed_commit(engine, code);
        // Deleting expired data may free the space that was missing.
        if (commit_batch(engine, NULL, 0, true) != ERROR_NONE)
            log_debug("upkeep failed", LOG_REASON(&work->error));
        commit_one_by_one(engine, tasks);
    }
    while ((task = STAILQ_FIRST(tasks)) != NULL) {
        STAILQ_REMOVE_HEAD(tasks, next); // on_done may free the task
        move_task(task, ENGINE_TASK_TAKEN, ENGINE_TASK_IDLE);
        task->on_done(task);
    }
}

void engine_run_batch(struct engine *engine, struct engine_task *tasks, size_t count,
                      timestamp_ns now)
{
    struct engine_tasks batch = STAILQ_HEAD_INITIALIZER(batch);
    for (size_t i = 0; i < count; i++) {
        move_task(&tasks[i], ENGINE_TASK_IDLE, ENGINE_TASK_QUEUED);
        STAILQ_INSERT_TAIL(&batch, &tasks[i], next);
    }
    heartbeat_use(&engine->work.beats);
    run_batch(engine, &batch, now);
    heartbeat_use(NULL);
}

timestamp_ns engine_next_deadline(struct engine *engine)
{
    return engine->next_due;
}

static timestamp_ns read_wall_clock(const struct engine *engine)
{
    return engine->options.now != NULL ? engine->options.now() : timestamp_now();
}

// --- figures for an older store ------------------------------------------------------------------------------

// Writes nothing if the figures are complete: a full disk must not prevent waiting records from being exported.
static enum error_code check_figures(struct engine *engine)
{
    struct engine_work *work = &engine->work;
    struct store_transaction *transaction;
    enum error_code code = store_begin(work->store, false, &transaction, &work->error);
    if (code != ERROR_NONE)
        return code;
    code = rebuild_is_done_by_options(work->stats, transaction, &engine->has_all_figures,
                                      &work->error);
    store_abort(transaction);
    return code;
}

static enum error_code compute_some_figures(struct engine *engine, bool *is_done)
{
    struct engine_work *work = &engine->work;
    struct store_set_aside_note set_aside;
    enum error_code code = begin_work(work);
    if (code != ERROR_NONE)
        return code;
    code = rebuild_continue(work->stats, FIGURES_PER_TRANSACTION, is_done, &work->error);
    if (code == ERROR_NONE)
        code = stats_flush(work->stats, &work->error);
    code = end_work(work, code, &set_aside);
    if (code != ERROR_NONE)
        return code;
    engine_log_set_aside(engine, &set_aside);
    engine_log_series_change(engine);
    return ERROR_NONE;
}

// At startup: in transactions of its own, as many as the time limit permits. Batches compute what remains or failed.
static void prepare_figures(struct engine *engine)
{
    timestamp_ns begun = timestamp_monotonic();
    engine->work.now = read_wall_clock(engine);
    enum error_code code = check_figures(engine);
    while (code == ERROR_NONE && !engine->has_all_figures &&
           timestamp_monotonic() - begun <= engine->options.figures_limit) {
        bool is_done = false;
        code = compute_some_figures(engine, &is_done);
        engine->has_all_figures = code == ERROR_NONE && is_done;
    }
    if (code != ERROR_NONE)
        log_warn("the figures of open runs are not complete yet", LOG_REASON(&engine->work.error));
    else if (!engine->has_all_figures)
        log_info("the figures of open runs are rebuilt from a large store while deliveries are "
                 "accepted; until then they are too low");
}

// --- the thread --------------------------------------------------------------------------------------------

// Moves up to batch_max tasks, but at least one, from the queue to `tasks`. The mutex is held.
static void take_tasks(struct engine *engine, struct engine_tasks *tasks)
{
    struct engine_task *task;
    size_t count = 0;
    while ((task = STAILQ_FIRST(&engine->queue)) != NULL &&
           (count == 0 || count < engine->options.batch_max)) {
        STAILQ_REMOVE_HEAD(&engine->queue, next);
        STAILQ_INSERT_TAIL(tasks, task, next);
        engine->queued_received -= is_received(task) ? 1 : 0;
        count++;
    }
    assert(engine->queued >= count);
    engine->queued -= count;
}

// Maximum time to sleep. Bounded by the monotonic clock: if the wall clock were set back by a year, the thread would
// sleep for a year.
static duration_ns next_sleep(const struct engine *engine, timestamp_ns now)
{
    duration_ns sleep = IDLE_TICK;
    if (engine->trouble.code != ERROR_NONE)
        return TROUBLE_TICK;
    if (engine->has_leftovers)
        return 0;
    if (engine->next_due != TIMESTAMP_UNKNOWN && engine->next_due < now + sleep)
        sleep = engine->next_due > now ? engine->next_due - now : 0;
    return sleep;
}

// Waits for tasks or for the next deadline. The mutex is held.
static void wait_for_work(struct engine *engine)
{
    timestamp_ns wake = timestamp_monotonic() + next_sleep(engine, read_wall_clock(engine));
    bool is_early = true;
    while (STAILQ_EMPTY(&engine->queue) && !engine->is_stopping && is_early) {
        heartbeat_beat(); // also when it was only woken
        is_early = thread_condition_wait(&engine->wake, &engine->mutex, wake);
    }
}

// At the start there is no earlier time to compare with but that of the last delivery, by GitHub's clock. A long silence
// looks like a clock that is ahead; it only costs an hour in which nothing is deleted for its age.
static void check_first_time(struct engine *engine, timestamp_ns wall, timestamp_ns steady)
{
    struct store_transaction *transaction;
    timestamp_ns last = TIMESTAMP_UNKNOWN;
    struct error error;
    if (store_begin(engine->work.store, false, &transaction, &error) != ERROR_NONE)
        return;
    enum error_code code = store_last_delivery(transaction, &last, &error);
    store_abort(transaction);
    if (code == ERROR_NONE && last != TIMESTAMP_UNKNOWN && wall - last >= CLOCK_LEAP)
        engine->clock_trusted_from = steady + CLOCK_PATIENCE;
}

// Compares the clocks: a wall clock that jumps ahead must not expire everything at once.
static void watch_clock(struct engine *engine, timestamp_ns wall, timestamp_ns steady)
{
    duration_ns leap = (wall - engine->last_wall) - (steady - engine->last_steady);
    bool is_first = engine->last_steady == 0;
    engine->last_wall = wall;
    engine->last_steady = steady;
    if (is_first)
        check_first_time(engine, wall, steady);
    if (is_first || (leap < CLOCK_LEAP && leap > -CLOCK_LEAP))
        return;
    log_warn("the clock was set", LOG_INT("seconds", leap / NS_PER_SECOND));
    if (leap > 0)
        engine->clock_trusted_from = steady + CLOCK_PATIENCE;
}

static void check_readers(struct engine *engine, timestamp_ns steady)
{
    struct error error = {0};
    if (engine->readers_checked != 0 && steady - engine->readers_checked < IDLE_TICK)
        return;
    engine->readers_checked = steady;
    if (store_release_dead_readers(engine->work.store, &error) != ERROR_NONE)
        log_warn("dead readers not released", LOG_REASON(&error));
}

static void *run_thread(void *context)
{
    struct engine *engine = context;
    bool is_stopping = false;
    heartbeat_use(&engine->work.beats);
    while (!is_stopping) {
        struct engine_tasks tasks = STAILQ_HEAD_INITIALIZER(tasks);
        pthread_mutex_lock(&engine->mutex);
        wait_for_work(engine);
        take_tasks(engine, &tasks);
        is_stopping = engine->is_stopping && STAILQ_EMPTY(&tasks);
        pthread_mutex_unlock(&engine->mutex);
        if (is_stopping)
            break;
        timestamp_ns now = read_wall_clock(engine);
        timestamp_ns steady = timestamp_monotonic();
        atomic_store(&engine->busy_since, steady);
        watch_clock(engine, now, steady);
        run_batch(engine, &tasks, now);
        check_readers(engine, steady);
        atomic_store(&engine->busy_since, 0);
    }
    return NULL;
}

void engine_submit(struct engine *engine, struct engine_task *task)
{
    bool is_event = task->type != ENGINE_SETTLE_EXPORT && task->type != ENGINE_STORE_ENTRIES,
         is_other = is_received(task);
    size_t max = engine->options.queue_max;
    assert(task->on_done != NULL);
    task->submitted_at = timestamp_monotonic();
    pthread_mutex_lock(&engine->mutex);
    bool is_refused = engine->is_stopping || (is_event && engine->queued >= max) ||
                      (is_other && engine->queued_received >= max / RECEIVED_SHARE);
    if (!is_refused) {
        move_task(task, ENGINE_TASK_IDLE, ENGINE_TASK_QUEUED);
        STAILQ_INSERT_TAIL(&engine->queue, task, next);
        engine->queued++;
        engine->queued_received += is_other ? 1 : 0;
        pthread_cond_signal(&engine->wake);
    }
    pthread_mutex_unlock(&engine->mutex);
    if (is_refused) {
        struct error error = {0};
        error_set(&error, ERROR_FULL, "too many deliveries are waiting to be stored");
        refuse_task(engine, task, &error);
        task->on_done(task);
    }
}

enum error_code engine_create(struct store *store, const struct engine_options *options,
                              struct engine **engine, struct error *error)
{
    struct engine *made = memory_allocate_array(1, sizeof *made);
    if (made == NULL)
        return error_set(error, ERROR_MEMORY, "create engine: out of memory");
    made->options = *options;
    if (made->options.stall_limit == 0)
        made->options.stall_limit = STALL_LIMIT;
    if (made->options.figures_limit == 0)
        made->options.figures_limit = FIGURES_LIMIT;
    made->work.store = store;
    made->work.policy = options->policy;
    made->work.to_outbox = options->has_exporter;
    made->work.has_receiver = options->has_receiver;
    made->work.keeps_job_history = options->history_jobs > 0;
    made->work.has_old_keys = store_has_old_keys(store);
    made->work.outbox_max = options->outbox_max;
    made->has_leftovers = true; // process what became due while no daemon was running
    made->work.forwarder = forwarder_create(options->forwarded_max);
    const struct stats_options figures = {.max_series = options->max_series,
                                          .max_pools = options->max_pools,
                                          .rules = options->pool_rules,
                                          .series = options->series};
    enum error_code code = made->work.forwarder != NULL
                               ? stats_create(&figures, &made->work.stats, error)
                               : error_set(error, ERROR_MEMORY, "create engine: out of memory");
    if (code != ERROR_NONE) {
        forwarder_destroy(made->work.forwarder);
        memory_free(made);
        return code;
    }
    arena_init(&made->work.arena, ARENA_BLOCK_BYTES);
    arena_init(&made->work.scratch, ARENA_BLOCK_BYTES);
    buffer_init(&made->work.record, RECORD_BYTES_MAX);
    buffer_init(&made->work.part, PART_BYTES_MAX);
    STAILQ_INIT(&made->queue);
    pthread_mutex_init(&made->mutex, NULL);
    thread_condition_init(&made->wake);
    prepare_figures(made);
    *engine = made;
    return ERROR_NONE;
}

void engine_on_outbox(struct engine *engine, void (*callback)(void *context), void *context)
{
    assert(!engine->has_thread);
    engine->on_outbox = callback;
    engine->on_outbox_context = context;
}

enum error_code engine_start(struct engine *engine, struct error *error)
{
    int code = pthread_create(&engine->thread, NULL, run_thread, engine);
    if (code != 0)
        return error_set(error, ERROR_IO, "start the engine's thread: %s", strerror(code));
    engine->has_thread = true;
    return ERROR_NONE;
}

void engine_stop(struct engine *engine)
{
    pthread_mutex_lock(&engine->mutex);
    engine->is_stopping = true;
    pthread_cond_signal(&engine->wake);
    pthread_mutex_unlock(&engine->mutex);
    if (engine->has_thread)
        pthread_join(engine->thread, NULL);
    engine->has_thread = false;
}

void engine_destroy(struct engine *engine)
{
    if (engine == NULL)
        return;
    engine_stop(engine);
    assert(STAILQ_EMPTY(&engine->queue) && engine->queued == 0);
    arena_release(&engine->work.arena);
    arena_release(&engine->work.scratch);
    buffer_release(&engine->work.record);
    buffer_release(&engine->work.part);
    stats_destroy(engine->work.stats);
    forwarder_destroy(engine->work.forwarder);
    pthread_cond_destroy(&engine->wake);
    pthread_mutex_destroy(&engine->mutex);
    memory_free(engine);
}

enum error_code engine_ready(struct engine *engine, struct error *error)
{
    pthread_mutex_lock(&engine->mutex);
    struct error trouble = engine->trouble;
    bool is_stopping = engine->is_stopping;
    bool is_full = engine->queued >= engine->options.queue_max;
    timestamp_ns steady = timestamp_monotonic();
    duration_ns queue_age = engine_queue_age(engine, steady);
    pthread_mutex_unlock(&engine->mutex);
    duration_ns limit = engine->options.stall_limit;
    if (is_stopping)
        return error_set(error, ERROR_CLOSED, "shutting down");
    if (engine_batch_age(engine, steady) > limit)
        return error_set(error, ERROR_BUSY,
                         "storing takes too long: the disk does not answer or is slow, or another "
                         "process holds the store");
    if (queue_age > limit)
        return error_set(error, ERROR_BUSY, "deliveries wait too long to be stored");
    if (trouble.code != ERROR_NONE)
        return error_set(error, trouble.code, "%s", trouble.message);
    if (is_full)
        return error_set(error, ERROR_FULL, "too many deliveries are waiting to be stored");
    return ERROR_NONE;
}

void engine_note_export(struct engine *engine, const char *words)
{
    atomic_store(&engine->export_note, words);
}

const char *engine_export_note(const struct engine *engine)
{
    return atomic_load(&engine->export_note);
}
