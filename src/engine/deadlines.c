// Processes due deadlines of runs and jobs, and the upkeep of the store.
#include "ghatrace/base/log.h"
#include "ghatrace/stats/job_history.h"
#include "ghatrace/stats/latency.h"
#include "ghatrace/stats/pool.h"
#include "ghatrace/stats/runs.h"
#include "ghatrace/stats/stats.h"
#include "ghatrace/store/codec.h"
#include "ghatrace/store/table.h"
#include "private.h"

// --- deadlines ------------------------------------------------------------------------------------
// Expires deadlines: sends roots whose wait is over, gives up jobs and runs, deletes old notes.

// Jobs processed in one piece when a run's open jobs are given up: a run may have a hundred thousand.
#define SWEEP_SLICE 256
// Memory limit for their states and spans before the sweep continues in another piece.
#define SWEEP_BYTES ((size_t)64 * 1024 * 1024)
// Written by one transaction before the remaining due entries wait for the next.
#define WRITTEN_BYTES_MAX ((uint64_t)64 * 1024 * 1024)

timestamp_ns work_farthest_deadline(const struct engine_work *work)
{
    const struct trace_policy *policy = &work->policy;
    const duration_ns waits[] = {policy->root_grace, policy->job_grace, policy->job_timeout,
                                 policy->run_idle,   policy->linger,    policy->arc_grace};
    timestamp_ns now = work->now;
    duration_ns longest = 0;
    for (size_t i = 0; i < sizeof waits / sizeof waits[0]; i++)
        longest = waits[i] > longest ? waits[i] : longest;
    return longest > INT64_MAX - now ? INT64_MAX : now + longest;
}

static void limit_time(timestamp_ns *time, timestamp_ns now)
{
    if (*time > now) // false for TIMESTAMP_UNKNOWN
        *time = now;
}

void work_clamp_future_run_times(const struct engine_work *work, struct run_state *run)
{
    limit_time(&run->completed_received, work->now);
    limit_time(&run->last_received, work->now);
    limit_time(&run->last_job_closed_at, work->now);
}

void work_clamp_future_job_times(const struct engine_work *work, struct job_state *job)
{
    limit_time(&job->last_received, work->now);
    limit_time(&job->settling_since, work->now);
    limit_time(&job->closed_at, work->now);
    limit_time(&job->ended_by, work->now);
    limit_time(&job->arc_wait_since, work->now);
}

// When a job that is given up had ended at the latest: when its runner took another job, or its run was over. What is
// received after that does not change it any more, and a job on the same runner that had ended before this one's start
// was received is not known: so the runner's part depends on the order of events. The job's own end replaces it in any
// case. The job is counted before it leaves its pool and its runner, as the figures ask whether the runner was reused.
static enum error_code find_end_of_given_up(struct engine_work *work, const struct run_state *run,
                                            struct work_job *job)
{
    timestamp_ns taken;
    enum error_code code = runners_find_reuse(work->transaction, &job->key, &taken, &work->error);
    timestamp_ns over = run->is_completed ? run->end : TIMESTAMP_UNKNOWN;
    over = timestamp_earliest_known(over, taken);
    job->state.ended_by = timestamp_earliest_known(over, job->state.closed_at);
    return code == ERROR_NONE ? work_count_open_job(work, job) : code;
}

// Processes a due job. Its entry was removed from the index before.
static enum error_code expire_job(struct engine_work *work, struct work_job *job,
                                  struct work_run *run)
{
    struct lifecycle_output output;
    const struct lifecycle life = {&work->policy, &work->arena, &output};
    bool was_open = job->state.phase == JOB_OPEN;
    enum error_code code = lifecycle_expire_job(&life, work->now, &run->state, &job->state);
    if (code != ERROR_NONE)
        return error_set(&work->error, code, "expire job: %s", error_code_text(code));
    if (was_open && job->state.phase == JOB_CLOSED_INCOMPLETE)
        code = find_end_of_given_up(work, &run->state, job);
    if (code != ERROR_NONE)
        return code;
    if (output.is_missing) {
        work->counted.assignments_missing++;
        work->counted.last_missing_at = work->now;
    }
    if (output.delete_state)
        return work_delete_job(work, job);
    code = work_add_records(work, &job->key.trace, run, job, &output);
    if (code == ERROR_NONE)
        code = work_save_job(work, &run->state, job);
    if (code == ERROR_NONE && output.run_changed)
        code = work_save_run(work, run);
    return code;
}

static enum error_code sweep_job(struct engine_work *work, const struct store_key *key,
                                 struct slice found, struct work_run *run)
{
    struct work_job job = {.key = *key};
    struct slice bytes;
    if (!arena_copy_slice(&work->arena, found, &bytes))
        return error_set(&work->error, ERROR_MEMORY, "sweep jobs: out of memory");
    enum error_code code = work_decode_job(work, bytes, &job);
    if (code == ERROR_CORRUPT)
        return work_set_state_aside(work, key, &run->state);
    // An older version may have stored jobs of two servers under the same trace.
    bool is_open = job.state.phase == JOB_OPEN && slice_equals(job.state.server, run->state.server);
    if (code == ERROR_NONE && is_open)
        code = expire_job(work, &job, run);
    return code;
}

static enum error_code sweep_state(struct engine_work *work, const struct store_key *key,
                                   struct slice found, struct work_run *run)
{
    if (codec_is(found, CODEC_JOB))
        return sweep_job(work, key, found, run);
    if (!codec_is(found, CODEC_UNKNOWN)) // the run of these jobs
        return ERROR_NONE;
    codec_refuse_unknown(&work->error);
    return work_set_state_aside(work, key, &run->state);
}

// Gives up the open jobs of a completed run, one slice at a time.
static enum error_code sweep_jobs(struct engine_work *work, struct work_run *run)
{
    struct store_key key = {.trace = run->key.trace, .span = run->state.sweep_after};
    for (int i = 0; i < SWEEP_SLICE && work->arena.used < SWEEP_BYTES; i++) {
        struct slice found;
        enum error_code code =
            store_seek_span_of_trace(work->transaction, &key, &found, &work->error);
        if (code == ERROR_NOT_FOUND) {
            run->state.jobs_swept = true;
            return ERROR_NONE;
        }
        if (code == ERROR_NONE)
            code = sweep_state(work, &key, found, run);
        if (code != ERROR_NONE)
            return code;
        store_key_increment(&key);
        run->state.sweep_after = key.span;
    }
    return ERROR_NONE;
}

static enum error_code resend_job(struct engine_work *work, struct work_run *run,
                                  struct work_job *job)
{
    struct lifecycle_output output;
    const struct lifecycle life = {&work->policy, &work->arena, &output};
    enum error_code code = lifecycle_resend_unnamed_job(&life, work->at, &run->state, &job->state);
    if (code != ERROR_NONE)
        return error_set(&work->error, code, "name job: %s", error_code_text(code));
    code = work_add_records(work, &run->key.trace, run, job, &output);
    if (code == ERROR_NONE && output.job_changed)
        code = work_save_job(work, &run->state, job);
    return code;
}

// Bounded, since one delivery affects all of them: jobs beyond the limit keep the spans that were sent. So do
// unreadable ones.
enum error_code work_resend_jobs(struct engine_work *work, struct work_run *run)
{
    struct store_key key = {.trace = run->key.trace};
    while (work->arena.used < SWEEP_BYTES && work->written_bytes < WRITTEN_BYTES_MAX) {
        struct slice found;
        struct slice bytes;
        enum error_code code =
            store_seek_span_of_trace(work->transaction, &key, &found, &work->error);
        if (code != ERROR_NONE)
            return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
        struct work_job job = {.key = key};
        store_key_increment(&key);
        if (!codec_is(found, CODEC_JOB))
            continue;
        if (!arena_copy_slice(&work->arena, found, &bytes))
            return error_set(&work->error, ERROR_MEMORY, "name jobs: out of memory");
        code = work_decode_job(work, bytes, &job);
        if (code == ERROR_NONE && slice_equals(job.state.server, run->state.server))
            code = resend_job(work, run, &job);
        if (code != ERROR_NONE && code != ERROR_CORRUPT)
            return code;
    }
    return ERROR_NONE;
}

enum error_code work_replace_jobs_by_notes(struct engine_work *work, struct store_key *next,
                                           size_t max, size_t *replaced, bool *is_end)
{
    static const struct run_state no_run; // not needed for a note
    *is_end = false;
    *replaced = 0;
    for (size_t i = 0; i < max && store_keeps_only_notes(work->transaction);
         i++, store_key_increment(next)) {
        struct slice found;
        struct slice bytes;
        enum error_code code = store_seek_span(work->transaction, next, &found, &work->error);
        *is_end = code == ERROR_NOT_FOUND;
        if (code != ERROR_NONE)
            return *is_end ? ERROR_NONE : code;
        if (!codec_is(found, CODEC_JOB))
            continue;
        arena_clear(&work->arena);
        if (!arena_copy_slice(&work->arena, found, &bytes))
            return error_set(&work->error, ERROR_MEMORY, "keep only notes: out of memory");
        struct work_job job = {.key = *next};
        code = work_decode_job(work, bytes, &job);
        bool is_lacking = code == ERROR_NONE && job.state.phase == JOB_CLOSED_LACKING &&
                          job.state.arc_wait_since == TIMESTAMP_UNKNOWN;
        *replaced += is_lacking ? 1 : 0;
        if (is_lacking)
            code = work_save_job(work, &no_run, &job);
        if (code != ERROR_NONE && code != ERROR_CORRUPT) // set aside by the caller that needs it
            return code;
    }
    return ERROR_NONE;
}

// Jobs whose states were damaged never closed. Counted where a run would otherwise be kept because of them.
static enum error_code count_jobs_still_open(struct engine_work *work, struct work_run *run)
{
    struct store_key key = {.trace = run->key.trace};
    run->state.open_jobs = 0;
    for (;;) {
        struct slice found;
        struct job_state job;
        struct error ignored;
        enum error_code code =
            store_seek_span_of_trace(work->transaction, &key, &found, &work->error);
        if (code != ERROR_NONE)
            return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
        arena_clear(&work->scratch);
        store_key_increment(&key);
        if (!codec_is(found, CODEC_JOB))
            continue;
        code = codec_decode_job(found, &work->scratch, &job, &ignored);
        if (code == ERROR_NONE && (job.phase == JOB_OPEN || job.phase == JOB_SETTLING) &&
            slice_equals(job.server, run->state.server))
            run->state.open_jobs++;
    }
}

static enum error_code expire_run(struct engine_work *work, struct work_run *run)
{
    struct lifecycle_output output;
    const struct lifecycle life = {&work->policy, &work->arena, &output};
    enum error_code code = lifecycle_expire_run(&life, work->now, &run->state);
    if (code != ERROR_NONE)
        return error_set(&work->error, code, "expire run: %s", error_code_text(code));
    if (output.delete_state)
        return work_delete_run(work, run);
    code = work_add_records(work, &run->key.trace, run, NULL, &output);
    if (code == ERROR_NONE && output.sweep_jobs)
        code = sweep_jobs(work, run);
    else if (code == ERROR_NONE && output.run_changed && output.finished_count == 0)
        code = count_jobs_still_open(work, run);
    if (code == ERROR_NONE)
        code = work_save_run(work, run);
    return code;
}

static enum error_code expire_stored_run(struct engine_work *work, const struct store_key *key,
                                         struct slice bytes)
{
    struct work_run run = {.key = *key};
    enum error_code code = work_decode_run(work, bytes, &run);
    if (code == ERROR_CORRUPT)
        return work_set_state_aside(work, key, NULL);
    run.state.deadline = TIMESTAMP_UNKNOWN;
    if (code == ERROR_NONE && !trace_id_equals(&run.key.trace, &run.own_trace))
        return work_move_run(work, &run); // due under its new key
    return code == ERROR_NONE ? expire_run(work, &run) : code;
}

static enum error_code expire_stored_job(struct engine_work *work, const struct store_key *key,
                                         struct slice bytes)
{
    struct work_run run = {.key = *key};
    struct work_job job = {.key = *key};
    enum error_code code = work_decode_job(work, bytes, &job);
    if (code == ERROR_CORRUPT)
        return work_set_state_aside(work, key, NULL);
    job.state.deadline = TIMESTAMP_UNKNOWN;
    const struct run_name name = {job.state.server, job.state.run_id, job.state.run_attempt};
    if (code == ERROR_NONE && !trace_id_equals(&job.key.trace, &job.own_trace))
        return work_move_job(work, &name, &job);
    if (code == ERROR_NONE && job.state.phase != JOB_CLOSED) // a note expires without its run
        code = work_load_run(work, &name, &run);
    return code == ERROR_NONE ? expire_job(work, &job, &run) : code;
}

static enum error_code expire_state(struct engine_work *work, const struct store_key *key,
                                    struct slice bytes)
{
    switch (codec_kind_of(bytes)) {
    case CODEC_JOB:
        return expire_stored_job(work, key, bytes);
    case CODEC_RUN:
        return expire_stored_run(work, key, bytes);
    case CODEC_UNKNOWN:
        break;
    }
    codec_refuse_unknown(&work->error);
    return work_set_state_aside(work, key, NULL);
}

// The entry is removed from the index first; a state that still waits for something is added again.
static enum error_code expire_first(struct engine_work *work, timestamp_ns at,
                                    const struct store_key *key)
{
    struct slice found;
    struct slice bytes;
    arena_clear(&work->arena); // data of the previous entry is no longer needed
    enum error_code code = store_delete_deadline(work->transaction, at, key, &work->error);
    if (code == ERROR_NONE)
        code = store_get_span(work->transaction, key, &found, &work->error);
    if (code == ERROR_NOT_FOUND)
        return ERROR_NONE;
    if (code != ERROR_NONE)
        return code;
    if (!arena_copy_slice(&work->arena, found, &bytes))
        return error_set(&work->error, ERROR_MEMORY, "expire: out of memory");
    return expire_state(work, key, bytes);
}

// If a clock that was a year ahead is corrected, deadlines remain a year ahead. They are computed again from times of
// receipt clamped to now.
static enum error_code clamp_future_deadlines(struct engine_work *work, size_t max)
{
    timestamp_ns farthest = work_farthest_deadline(work);
    for (size_t i = 0; i < max; i++) {
        timestamp_ns at;
        struct store_key key;
        enum error_code code = store_last_deadline(work->transaction, &at, &key, &work->error);
        if (code == ERROR_NOT_FOUND || (code == ERROR_NONE && at <= farthest))
            return ERROR_NONE;
        if (code == ERROR_NONE)
            code = expire_first(work, at, &key);
        if (code != ERROR_NONE)
            return code;
    }
    work->has_far_deadlines = true;
    return ERROR_NONE;
}

// Processes up to `max` deadlines that are due at `now`. `*next_due` becomes the first that remains.
static enum error_code work_expire(struct engine_work *work, size_t max, timestamp_ns *next_due)
{
    *next_due = TIMESTAMP_UNKNOWN;
    enum error_code healed = clamp_future_deadlines(work, max);
    if (healed != ERROR_NONE)
        return healed;
    for (size_t i = 0;; i++) {
        timestamp_ns at;
        struct store_key key;
        enum error_code code = store_first_deadline(work->transaction, &at, &key, &work->error);
        if (code == ERROR_NOT_FOUND)
            return ERROR_NONE;
        if (code != ERROR_NONE)
            return code;
        *next_due = at;
        if (at > work->now || i == max || work->written_bytes > WRITTEN_BYTES_MAX)
            return ERROR_NONE;
        code = expire_first(work, at, &key);
        if (code != ERROR_NONE)
            return code;
    }
}

// --- upkeep ---------------------------------------------------------------------------------------
// Runs alongside the tasks: frees space and deletes old data.

// Upkeep in one batch: enough to keep up with what the tasks add.
#define UPKEEP_PER_BATCH 256
#define UPKEEP_PER_TASK 4
// The share of this for blocks of notes, which hold some 200 notes each.
#define NOTES_SHARE 4
#define NOTES_OF_A_BLOCK 200
// Blocks shed between two checks of the free space.
#define SHED_BLOCKS 4
// Pools, and series, checked in one batch, and the interval at which all of them are checked.
#define POOLS_PER_BATCH 64
#define FOLDED_PER_BATCH 256
#define SERIES_PER_BATCH 64
#define POOLS_EVERY (10 * NS_PER_MINUTE)
// While room runs short, jobs that a note can replace are not kept as states. How often to look for such jobs after a
// search that found none.
#define JOBS_EVERY (10 * NS_PER_MINUTE)

bool engine_may_log(timestamp_ns *last_logged)
{
    timestamp_ns now = timestamp_monotonic();
    if (*last_logged != 0 && now - *last_logged < NS_PER_MINUTE)
        return false;
    *last_logged = now;
    return true;
}

// --- deleting old data -------------------------------------------------------------------------------------

// Finished traces older than this are deleted. When room runs short, all of them may be, whatever their age by the
// clock: it may have been set back.
static timestamp_ns end_of_history(const struct engine *engine, bool is_tight)
{
    return is_tight ? INT64_MAX : engine->work.now - engine->options.history;
}

// Finished traces are kept for `history`, but a delivery is never refused for their sake: when room runs short, those
// already delivered are deleted early, the oldest first, also while the clock is not trusted.
static enum error_code drop_history(struct engine *engine, struct upkeep *upkeep)
{
    struct engine_work *work = &engine->work;
    size_t records = 0;
    size_t runs = 0;
    bool is_tight = store_is_tight(work->transaction);
    timestamp_ns before = end_of_history(engine, is_tight);
    if (!is_tight && !upkeep->is_clock_trusted)
        return ERROR_NONE;
    enum error_code code =
        store_expire_records(work->transaction, before, upkeep->max, &records, &work->error);
    if (code == ERROR_NONE)
        code = recent_expire(work->transaction, before, upkeep->max, &runs, &work->error);
    if (is_tight && records > 0 && engine_may_log(&engine->tight_logged))
        log_warn(
            "the store is nearly full: finished traces are deleted from the history early; raise "
            "db-max-size or shorten history");
    upkeep->has_leftovers |= records == upkeep->max || runs == upkeep->max;
    return code;
}

// Dead letters are kept within their limits, but a delivery is not refused for their sake, since a refused delivery
// is not repeated. When the store would soon refuse deliveries and the history has nothing left to delete, dead
// letters are deleted, too.
static enum error_code drop_dead_letters(struct engine *engine, struct upkeep *upkeep)
{
    const struct engine_options *options = &engine->options;
    struct engine_work *work = &engine->work;
    bool is_tight = store_is_tight(work->transaction);
    const struct store_shed_limits limits = {
        .bytes_max = options->dead_letters_max,
        .age_max = options->dead_letters_age_max,
        .may_check_age = upkeep->is_clock_trusted,
        .for_room = is_tight && store_has_expired_all(work->transaction),
        .before = end_of_history(engine, is_tight),
        .max = upkeep->max,
        .now = work->now,
    };
    bool has_more;
    enum error_code code = store_shed_dead_letters(
        work->transaction, &limits, work->counted.dead_letters_dropped, &has_more, &work->error);
    upkeep->has_leftovers |= has_more;
    return code;
}

void engine_report_drops(struct engine *engine)
{
    const uint64_t *dropped = engine->drops_to_log;
    uint64_t all = 0;
    for (size_t i = 0; i < STORE_SHED_REASONS; i++) {
        engine->drops_to_log[i] += engine->work.counted.dead_letters_dropped[i];
        all += engine->drops_to_log[i];
    }
    if (all == 0 || !engine_may_log(&engine->drops_logged))
        return;
    log_warn("dead letters were dropped: what the collector had refused is lost; raise "
             "dead-letters-max-size, dead-letters-max-age or db-max-size, and see ghatrace requeue",
             LOG_INT("too_old", (long long)dropped[STORE_SHED_AGE]),
             LOG_INT("beyond_size", (long long)dropped[STORE_SHED_SIZE]),
             LOG_INT("for_room", (long long)dropped[STORE_SHED_ROOM]));
    memset(engine->drops_to_log, 0, sizeof engine->drops_to_log);
}

// Pools are few and seldom unused, so all of them are checked from time to time.
static enum error_code drop_pools(struct engine *engine)
{
    struct engine_work *work = &engine->work;
    bool is_end = false;
    duration_ns since = work->now - engine->pools_looked;
    enum error_code code = spelling_expire(work->stats, &work->error);
    if (code == ERROR_NONE)
        code = pool_settle_folded(work->stats, FOLDED_PER_BATCH, &work->error);
    if (code != ERROR_NONE || (since >= 0 && since < POOLS_EVERY))
        return code;
    code = pool_expire(work->stats, &engine->next_pool, POOLS_PER_BATCH, &is_end, &work->error);
    if (is_end)
        engine->pools_looked = work->now;
    return code;
}

// Likewise.
static enum error_code drop_idle_series(struct engine *engine)
{
    struct engine_work *work = &engine->work;
    bool is_end = false;
    duration_ns since = work->now - engine->series_looked;
    if (since >= 0 && since < POOLS_EVERY)
        return ERROR_NONE;
    enum error_code code =
        series_expire(work->stats, &engine->next_series, SERIES_PER_BATCH, &is_end, &work->error);
    if (is_end)
        engine->series_looked = work->now;
    return code;
}

// The share of the store that completed jobs may take when room runs short.
#define JOB_HISTORY_SHARE 64
#define JOB_HISTORY_BYTES 50 // of one that is stored alone

static enum error_code drop_job_history(struct engine *engine, struct upkeep *upkeep)
{
    struct engine_work *work = &engine->work;
    uint64_t keep = engine->options.history_jobs;
    bool has_more;
    if (store_is_tight(work->transaction)) {
        struct store_usage usage;
        store_read_usage(work->transaction, &usage);
        uint64_t share = usage.max_bytes / JOB_HISTORY_SHARE / JOB_HISTORY_BYTES;
        keep = keep < share ? keep : share;
    }
    enum error_code code =
        job_history_expire(work->stats, keep, upkeep->max, &has_more, &work->error);
    upkeep->has_leftovers |= has_more;
    return code;
}

static enum error_code expire_notes(struct engine_work *work, struct upkeep *upkeep)
{
    duration_ns linger = work->policy.linger;
    const duration_ns keep[STORE_NOTE_KINDS] = {
        [STORE_NOTE_TIMED_DELIVERY] = linger,
        [STORE_NOTE_UNTIMED_DELIVERY] = linger,
        [STORE_NOTE_JOB] = linger,
        [STORE_NOTE_WAITED_JOB] = linger,
        [STORE_NOTE_ASSIGNED_JOB] = linger,
        [STORE_NOTE_RUN] = linger,
        [STORE_NOTE_OLD_RUN] = linger > TRACE_RUN_KEPT ? linger : TRACE_RUN_KEPT,
    };
    size_t notes_left = upkeep->max / NOTES_SHARE;
    size_t old_left = upkeep->max;
    enum error_code code =
        store_expire_notes(work->transaction, work->now, keep, &notes_left, &work->error);
    if (code == ERROR_NONE)
        code = store_expire_old_deliveries(work->transaction, work->now, linger, &old_left,
                                           &work->error);
    upkeep->has_leftovers |= notes_left == 0 || old_left == 0;
    return code;
}

static enum error_code expire_notes_and_figures(struct engine *engine, struct upkeep *upkeep)
{
    struct engine_work *work = &engine->work;
    size_t slots = 0;
    bool has_more = false;
    enum error_code code = expire_notes(work, upkeep);
    if (code == ERROR_NONE)
        code = latency_expire(work->transaction, work->now, upkeep->max, &slots, &work->error);
    upkeep->has_leftovers |= slots == upkeep->max;
    if (code == ERROR_NONE)
        code =
            pool_minutes_expire(work->stats, POOLS_PER_BATCH, upkeep->max, &has_more, &work->error);
    upkeep->has_leftovers |= has_more;
    if (code == ERROR_NONE)
        code = drop_pools(engine);
    return code == ERROR_NONE ? drop_idle_series(engine) : code;
}

// A small piece, and no more than necessary: some of an older version's notes of deliveries, otherwise a few blocks.
static enum error_code shed_piece(struct engine_work *work, uint64_t *shed)
{
    size_t old = 0;
    enum error_code code = store_shed_old_deliveries(
        work->transaction, SHED_BLOCKS * NOTES_OF_A_BLOCK, &old, &work->error);
    *shed = old;
    return code == ERROR_NONE && old == 0
               ? store_shed_notes(work->transaction, SHED_BLOCKS, shed, &work->error)
               : code;
}

enum error_code work_shed_notes(struct engine_work *work, size_t max, bool *is_short)
{
    *is_short = store_must_shed(work->transaction);
    for (size_t i = 0; i < max / SHED_BLOCKS && *is_short; i++) {
        uint64_t shed = 0;
        enum error_code code = shed_piece(work, &shed);
        if (code != ERROR_NONE)
            return code;
        if (shed == 0)
            break;
        store_count_shed(work->transaction, work->now, shed);
        work->counted.shed += shed;
        *is_short = store_must_shed(work->transaction);
    }
    return ERROR_NONE;
}

// If the history has nothing left to delete, notes are shed before a delivery is refused: at worst, a repeated
// delivery is treated as new.
static enum error_code shed_notes(struct engine *engine, struct upkeep *upkeep)
{
    struct engine_work *work = &engine->work;
    uint64_t before = work->counted.shed;
    bool is_short;
    enum error_code code = work_shed_notes(work, upkeep->max / NOTES_SHARE, &is_short);
    upkeep->has_leftovers |= is_short && work->counted.shed > before;
    if (code == ERROR_NONE && work->counted.shed > 0 && engine_may_log(&engine->shed_logged))
        log_warn("the store is nearly full: the oldest notes of deliveries are deleted early; "
                 "raise db-max-size or shorten linger",
                 LOG_INT("notes", work->counted.shed));
    return code;
}

// Jobs that were sent and may be sent again, changed, are kept as whole states while there is room. The space is
// freed when it is needed.
static enum error_code drop_jobs(struct engine *engine, struct upkeep *upkeep)
{
    struct engine_work *work = &engine->work;
    duration_ns since = timestamp_monotonic() - engine->jobs_looked;
    size_t replaced;
    bool is_end;
    if (!store_keeps_only_notes(work->transaction) ||
        (engine->jobs_looked != 0 && since < JOBS_EVERY))
        return ERROR_NONE;
    enum error_code code =
        work_replace_jobs_by_notes(work, &engine->next_job, upkeep->max, &replaced, &is_end);
    engine->jobs_replaced += replaced;
    upkeep->has_leftovers |= store_keeps_only_notes(work->transaction);
    if (code != ERROR_NONE || !is_end)
        return code;
    engine->next_job = (struct store_key){.trace = {{0}}};
    if (engine->jobs_replaced == 0)
        engine->jobs_looked = timestamp_monotonic();
    engine->jobs_replaced = 0;
    return ERROR_NONE;
}

// Without a receiver, too, what one has stored is deleted in time.
static bool is_any_received_stored(struct engine_work *work)
{
    static const enum store_table tables[] = {
        STORE_TABLE_ARC_JOBS,        STORE_TABLE_ARC_CLOSED,    STORE_TABLE_ARC_HELD,
        STORE_TABLE_ARC_HELD_BY_AGE, STORE_TABLE_HELD_BY_TRACE, STORE_TABLE_OUR_SPANS,
        STORE_TABLE_FORWARDED};
    for (size_t i = 0; i < sizeof tables / sizeof tables[0]; i++)
        if (store_table_count(work->transaction, tables[i]) > 0)
            return true;
    return false;
}

static enum error_code do_receiver_upkeep(struct engine *engine, struct upkeep *upkeep)
{
    struct engine_work *work = &engine->work;
    if (!work->has_receiver && !is_any_received_stored(work))
        return ERROR_NONE;
    enum error_code code = arc_do_upkeep(engine, upkeep);
    return code == ERROR_NONE ? work_do_forward_upkeep(work, upkeep) : code;
}

enum error_code engine_do_upkeep(struct engine *engine, size_t tasks, struct upkeep *upkeep)
{
    struct engine_work *work = &engine->work;
    work->at = work->now;
    *upkeep =
        (struct upkeep){.max = UPKEEP_PER_BATCH + UPKEEP_PER_TASK * tasks,
                        .is_clock_trusted = engine->last_steady >= engine->clock_trusted_from};
    enum error_code code = work_expire(work, upkeep->max, &upkeep->next_due);
    if (code == ERROR_NONE)
        code = stats_flush(work->stats, &work->error);
    if (code == ERROR_NONE)
        code = drop_history(engine, upkeep);
    if (code == ERROR_NONE)
        code = drop_job_history(engine, upkeep);
    if (code == ERROR_NONE && upkeep->is_clock_trusted)
        code = expire_notes_and_figures(engine, upkeep);
    if (code == ERROR_NONE)
        code = do_receiver_upkeep(engine, upkeep);
    if (code == ERROR_NONE)
        code = drop_jobs(engine, upkeep);
    if (code == ERROR_NONE)
        code = shed_notes(engine, upkeep);
    if (code == ERROR_NONE)
        code = drop_dead_letters(engine, upkeep);
    bool is_due = upkeep->next_due != TIMESTAMP_UNKNOWN && upkeep->next_due <= work->now;
    upkeep->has_leftovers |= work->has_far_deadlines || is_due;
    return code;
}
