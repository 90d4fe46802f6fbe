// Processes due deadlines of runs and jobs, and the upkeep of the store.
#include "ghatrace/base/log.h"
#include "ghatrace/stats/latency.h"
#include "ghatrace/stats/rebuild.h"
#include "ghatrace/stats/recent.h"
#include "ghatrace/stats/spelling.h"
#include "ghatrace/store/codec.h"
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
                                 policy->run_idle, policy->linger};
    timestamp_ns now = work->now;
    duration_ns longest = 0;
    for (size_t i = 0; i < sizeof waits / sizeof waits[0]; i++)
        longest = waits[i] > longest ? waits[i] : longest;
    return longest > INT64_MAX - now ? INT64_MAX : now + longest;
}

static void limit_time(timestamp_ns *time, timestamp_ns now)
{
    if (*time > now) // never true of TIMESTAMP_UNKNOWN
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
}

// Processes a due job. Its entry was removed from the index before.
static enum error_code expire_job(struct engine_work *work, struct store_transaction *transaction,
                                  struct work_job *job, struct work_run *run, timestamp_ns now,
                                  struct error *error)
{
    struct lifecycle_output output;
    enum error_code code =
        lifecycle_expire_job(&work->policy, now, &run->state, &job->state, &work->arena, &output);
    if (code != ERROR_NONE)
        return error_set(error, code, "expire job: %s", error_code_text(code));
    if (output.forget)
        return work_forget_job(work, transaction, job, error);
    code = work_add_records(work, transaction, &job->key.trace, run, &output, now, error);
    if (code == ERROR_NONE)
        code = work_save_job(work, transaction, &run->state, job, error);
    if (code == ERROR_NONE && output.run_changed)
        code = work_save_run(work, transaction, run, error);
    return code;
}

static enum error_code sweep_job(struct engine_work *work, struct store_transaction *transaction,
                                 const struct store_key *key, struct slice found,
                                 struct work_run *run, timestamp_ns now, struct error *error)
{
    struct work_job job = {.key = *key};
    struct slice bytes;
    if (!arena_copy_slice(&work->arena, found, &bytes))
        return error_set(error, ERROR_MEMORY, "sweep jobs: out of memory");
    enum error_code code = work_decode_job(work, bytes, &job, error);
    if (code == ERROR_CORRUPT)
        return work_set_state_aside(work, transaction, key, &run->state, error);
    // An older version may have stored jobs of two servers under the same trace.
    bool is_open = job.state.phase == JOB_OPEN && slice_equals(job.state.server, run->state.server);
    if (code == ERROR_NONE && is_open)
        code = expire_job(work, transaction, &job, run, now, error);
    return code;
}

static enum error_code sweep_state(struct engine_work *work, struct store_transaction *transaction,
                                   const struct store_key *key, struct slice found,
                                   struct work_run *run, timestamp_ns now, struct error *error)
{
    switch (codec_kind_of(found)) {
    case CODEC_JOB:
        return sweep_job(work, transaction, key, found, run, now, error);
    case CODEC_RUN: // the run of these jobs
        return ERROR_NONE;
    case CODEC_UNKNOWN:
        break;
    }
    codec_refuse_unknown(error);
    return work_set_state_aside(work, transaction, key, &run->state, error);
}

// Gives up the open jobs of a completed run, one slice at a time.
static enum error_code sweep_jobs(struct engine_work *work, struct store_transaction *transaction,
                                  struct work_run *run, timestamp_ns now, struct error *error)
{
    struct store_key key = {.trace = run->key.trace, .span = run->state.sweep_after};
    for (int i = 0; i < SWEEP_SLICE && work->arena.used < SWEEP_BYTES; i++) {
        struct slice found;
        enum error_code code = store_seek_span_of_trace(transaction, &key, &found, error);
        if (code == ERROR_NOT_FOUND) {
            run->state.jobs_swept = true;
            return ERROR_NONE;
        }
        if (code == ERROR_NONE)
            code = sweep_state(work, transaction, &key, found, run, now, error);
        if (code != ERROR_NONE)
            return code;
        store_key_increment(&key);
        run->state.sweep_after = key.span;
    }
    return ERROR_NONE;
}

static enum error_code resend_job(struct engine_work *work, struct store_transaction *transaction,
                                  struct work_run *run, struct work_job *job, timestamp_ns now,
                                  struct error *error)
{
    struct lifecycle_output output;
    enum error_code code =
        lifecycle_name_job(&work->policy, now, &run->state, &job->state, &work->arena, &output);
    if (code != ERROR_NONE)
        return error_set(error, code, "name job: %s", error_code_text(code));
    code = work_add_records(work, transaction, &run->key.trace, run, &output, now, error);
    if (code == ERROR_NONE && output.job_changed)
        code = work_save_job(work, transaction, &run->state, job, error);
    return code;
}

// Bounded, since one delivery affects all of them: jobs beyond the limit keep the spans that were sent. So do
// unreadable ones.
enum error_code work_resend_jobs(struct engine_work *work, struct store_transaction *transaction,
                                 struct work_run *run, timestamp_ns now, struct error *error)
{
    struct store_key key = {.trace = run->key.trace};
    while (work->arena.used < SWEEP_BYTES && work->written_bytes < WRITTEN_BYTES_MAX) {
        struct slice found;
        struct slice bytes;
        enum error_code code = store_seek_span_of_trace(transaction, &key, &found, error);
        if (code != ERROR_NONE)
            return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
        struct work_job job = {.key = key};
        store_key_increment(&key);
        if (codec_kind_of(found) != CODEC_JOB)
            continue;
        if (!arena_copy_slice(&work->arena, found, &bytes))
            return error_set(error, ERROR_MEMORY, "name jobs: out of memory");
        code = work_decode_job(work, bytes, &job, error);
        if (code == ERROR_NONE && slice_equals(job.state.server, run->state.server))
            code = resend_job(work, transaction, run, &job, now, error);
        if (code != ERROR_NONE && code != ERROR_CORRUPT)
            return code;
    }
    return ERROR_NONE;
}

enum error_code work_keep_only_notes(struct engine_work *work,
                                     struct store_transaction *transaction, struct store_key *next,
                                     size_t max, size_t *replaced, bool *is_end,
                                     struct error *error)
{
    static const struct run_state no_run; // not needed for a note
    *is_end = false;
    *replaced = 0;
    for (size_t i = 0; i < max && store_keeps_only_notes(transaction);
         i++, store_key_increment(next)) {
        struct slice found;
        struct slice bytes;
        enum error_code code = store_seek_span(transaction, next, &found, error);
        *is_end = code == ERROR_NOT_FOUND;
        if (code != ERROR_NONE)
            return *is_end ? ERROR_NONE : code;
        if (codec_kind_of(found) != CODEC_JOB)
            continue;
        arena_clear(&work->arena);
        if (!arena_copy_slice(&work->arena, found, &bytes))
            return error_set(error, ERROR_MEMORY, "keep only notes: out of memory");
        struct work_job job = {.key = *next};
        code = work_decode_job(work, bytes, &job, error);
        bool is_lacking = code == ERROR_NONE && job.state.phase == JOB_CLOSED_LACKING;
        *replaced += is_lacking ? 1 : 0;
        if (is_lacking)
            code = work_save_job(work, transaction, &no_run, &job, error);
        if (code != ERROR_NONE && code != ERROR_CORRUPT) // set aside by the caller that needs it
            return code;
    }
    return ERROR_NONE;
}

// Jobs whose states were damaged never closed. Counted where a run would otherwise be kept because of them.
static enum error_code count_jobs_still_open(struct engine_work *work,
                                             struct store_transaction *transaction,
                                             struct work_run *run, struct error *error)
{
    struct store_key key = {.trace = run->key.trace};
    run->state.open_jobs = 0;
    for (;;) {
        struct slice found;
        struct job_state job;
        struct error ignored;
        enum error_code code = store_seek_span_of_trace(transaction, &key, &found, error);
        if (code != ERROR_NONE)
            return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
        arena_clear(&work->scratch);
        store_key_increment(&key);
        if (codec_kind_of(found) != CODEC_JOB)
            continue;
        code = codec_decode_job(found, &work->scratch, &job, &ignored);
        if (code == ERROR_NONE && (job.phase == JOB_OPEN || job.phase == JOB_SETTLING) &&
            slice_equals(job.server, run->state.server))
            run->state.open_jobs++;
    }
}

static enum error_code expire_run(struct engine_work *work, struct store_transaction *transaction,
                                  struct work_run *run, timestamp_ns now, struct error *error)
{
    struct lifecycle_output output;
    enum error_code code =
        lifecycle_expire_run(&work->policy, now, &run->state, &work->arena, &output);
    if (code != ERROR_NONE)
        return error_set(error, code, "expire run: %s", error_code_text(code));
    if (output.forget)
        return work_forget_run(work, transaction, run, error);
    code = work_add_records(work, transaction, &run->key.trace, run, &output, now, error);
    if (code == ERROR_NONE && output.sweep_jobs)
        code = sweep_jobs(work, transaction, run, now, error);
    else if (code == ERROR_NONE && output.run_changed && output.finished_count == 0)
        code = count_jobs_still_open(work, transaction, run, error);
    if (code == ERROR_NONE)
        code = work_save_run(work, transaction, run, error);
    return code;
}

static enum error_code expire_stored_run(struct engine_work *work,
                                         struct store_transaction *transaction,
                                         const struct store_key *key, struct slice bytes,
                                         timestamp_ns now, struct error *error)
{
    struct work_run run = {.key = *key};
    enum error_code code = work_decode_run(work, bytes, &run, error);
    if (code == ERROR_CORRUPT)
        return work_set_state_aside(work, transaction, key, NULL, error);
    run.state.deadline = TIMESTAMP_UNKNOWN;
    if (code == ERROR_NONE && !trace_id_equals(&run.key.trace, &run.own_trace))
        return work_move_run(work, transaction, &run, error); // due under its new key
    return code == ERROR_NONE ? expire_run(work, transaction, &run, now, error) : code;
}

static enum error_code expire_stored_job(struct engine_work *work,
                                         struct store_transaction *transaction,
                                         const struct store_key *key, struct slice bytes,
                                         timestamp_ns now, struct error *error)
{
    struct work_run run = {.key = *key};
    struct work_job job = {.key = *key};
    enum error_code code = work_decode_job(work, bytes, &job, error);
    if (code == ERROR_CORRUPT)
        return work_set_state_aside(work, transaction, key, NULL, error);
    job.state.deadline = TIMESTAMP_UNKNOWN;
    const struct run_name name = {job.state.server, job.state.run_id, job.state.run_attempt};
    if (code == ERROR_NONE && !trace_id_equals(&job.key.trace, &job.own_trace))
        return work_move_job(work, transaction, &name, &job, error);
    if (code == ERROR_NONE && job.state.phase != JOB_CLOSED) // a note expires without its run
        code = work_load_run(work, transaction, &name, &run, error);
    return code == ERROR_NONE ? expire_job(work, transaction, &job, &run, now, error) : code;
}

static enum error_code expire_state(struct engine_work *work, struct store_transaction *transaction,
                                    const struct store_key *key, struct slice bytes,
                                    timestamp_ns now, struct error *error)
{
    switch (codec_kind_of(bytes)) {
    case CODEC_JOB:
        return expire_stored_job(work, transaction, key, bytes, now, error);
    case CODEC_RUN:
        return expire_stored_run(work, transaction, key, bytes, now, error);
    case CODEC_UNKNOWN:
        break;
    }
    codec_refuse_unknown(error);
    return work_set_state_aside(work, transaction, key, NULL, error);
}

// The entry is removed from the index first; a state that still waits for something is added again.
static enum error_code expire_first(struct engine_work *work, struct store_transaction *transaction,
                                    timestamp_ns at, const struct store_key *key, timestamp_ns now,
                                    struct error *error)
{
    struct slice found;
    struct slice bytes;
    arena_clear(&work->arena); // data of the previous entry is no longer needed
    enum error_code code = store_delete_deadline(transaction, at, key, error);
    if (code == ERROR_NONE)
        code = store_get_span(transaction, key, &found, error);
    if (code == ERROR_NOT_FOUND)
        return ERROR_NONE;
    if (code != ERROR_NONE)
        return code;
    if (!arena_copy_slice(&work->arena, found, &bytes))
        return error_set(error, ERROR_MEMORY, "expire: out of memory");
    return expire_state(work, transaction, key, bytes, now, error);
}

// If a clock that was a year ahead is corrected, deadlines remain a year ahead. They are computed again from times of
// receipt clamped to now.
static enum error_code clamp_future_deadlines(struct engine_work *work,
                                              struct store_transaction *transaction,
                                              timestamp_ns now, size_t max, struct error *error)
{
    timestamp_ns farthest = work_farthest_deadline(work);
    for (size_t i = 0; i < max; i++) {
        timestamp_ns at;
        struct store_key key;
        enum error_code code = store_last_deadline(transaction, &at, &key, error);
        if (code == ERROR_NOT_FOUND || (code == ERROR_NONE && at <= farthest))
            return ERROR_NONE;
        if (code == ERROR_NONE)
            code = expire_first(work, transaction, at, &key, now, error);
        if (code != ERROR_NONE)
            return code;
    }
    work->has_far_deadlines = true;
    return ERROR_NONE;
}

// Processes up to `max` deadlines that are due at `now`. `*next_due` becomes the first that remains.
static enum error_code work_expire(struct engine_work *work, struct store_transaction *transaction,
                                   timestamp_ns now, size_t max, timestamp_ns *next_due,
                                   struct error *error)
{
    *next_due = TIMESTAMP_UNKNOWN;
    enum error_code healed = clamp_future_deadlines(work, transaction, now, max, error);
    if (healed != ERROR_NONE)
        return healed;
    for (size_t i = 0;; i++) {
        timestamp_ns at;
        struct store_key key;
        enum error_code code = store_first_deadline(transaction, &at, &key, error);
        if (code == ERROR_NOT_FOUND)
            return ERROR_NONE;
        if (code != ERROR_NONE)
            return code;
        *next_due = at;
        if (at > now || i == max || work->written_bytes > WRITTEN_BYTES_MAX)
            return ERROR_NONE;
        code = expire_first(work, transaction, at, &key, now, error);
        if (code != ERROR_NONE)
            return code;
    }
}

// --- upkeep ---------------------------------------------------------------------------------------
// Runs alongside the tasks: frees space, deletes old data, and computes figures that an older store lacks.

// Upkeep in one batch: enough to keep up with what the tasks add.
#define UPKEEP_PER_BATCH 256
#define UPKEEP_PER_TASK 4
// The share of this for blocks of notes, which hold some 200 notes each.
#define NOTES_SHARE 4
#define NOTES_OF_A_BLOCK 200
// Blocks shed between two checks of the free space.
#define SHED_BLOCKS 4
// Pools checked in one batch, and the interval at which all of them are checked.
#define POOLS_PER_BATCH 64
#define POOLS_EVERY (10 * NS_PER_MINUTE)
// While room runs short, jobs that a note can replace are not kept as states. How often to look for such jobs after a
// search that found none.
#define JOBS_EVERY (10 * NS_PER_MINUTE)
// States in one transaction at startup.
#define FIGURES_PER_TRANSACTION 10000

bool engine_may_log(timestamp_ns *last_logged)
{
    timestamp_ns now = timestamp_monotonic();
    if (*last_logged != 0 && now - *last_logged < NS_PER_MINUTE)
        return false;
    *last_logged = now;
    return true;
}

// --- forgetting --------------------------------------------------------------------------------------------

// Finished traces older than this are deleted. When room runs short, all of them may be, whatever their age by the
// clock: it may have been set back.
static timestamp_ns end_of_history(const struct engine *engine, timestamp_ns now, bool is_tight)
{
    return is_tight ? INT64_MAX : now - engine->options.history;
}

// Finished traces are kept for `history`, but a delivery is never refused for their sake: when room runs short, those
// already delivered are deleted early, the oldest first, also while the clock is not trusted.
static enum error_code drop_history(struct engine *engine, struct store_transaction *transaction,
                                    timestamp_ns now, bool may_forget, size_t max,
                                    bool *has_leftovers, struct error *error)
{
    size_t records = 0;
    size_t runs = 0;
    bool is_tight = store_is_tight(transaction);
    timestamp_ns before = end_of_history(engine, now, is_tight);
    if (!is_tight && !may_forget)
        return ERROR_NONE;
    enum error_code code = store_expire_records(transaction, before, max, &records, error);
    if (code == ERROR_NONE)
        code = recent_expire(transaction, before, max, &runs, error);
    if (is_tight && records > 0 && engine_may_log(&engine->tight_logged))
        log_warn("the store is nearly full: finished traces leave the history early; raise "
                 "db-max-size or shorten history");
    *has_leftovers |= records == max || runs == max;
    return code;
}

// Dead letters are kept within their limits, but a delivery is not refused for their sake, since a refused delivery
// is not repeated. When the store would soon refuse deliveries and the history has nothing left to delete, dead
// letters are deleted, too.
static enum error_code drop_dead_letters(struct engine *engine,
                                         struct store_transaction *transaction, timestamp_ns now,
                                         bool may_forget, size_t max, bool *has_leftovers,
                                         struct error *error)
{
    const struct engine_options *options = &engine->options;
    bool is_tight = store_is_tight(transaction);
    const struct store_shed_limits limits = {
        .bytes_max = options->dead_letters_max,
        .age_max = options->dead_letters_age_max,
        .may_judge_age = may_forget,
        .for_room = is_tight && store_has_expired_all(transaction),
        .before = end_of_history(engine, now, is_tight),
        .max = max,
        .now = now,
    };
    bool has_more;
    enum error_code code = store_shed_dead_letters(
        transaction, &limits, engine->work.counted.dead_letters_dropped, &has_more, error);
    *has_leftovers |= has_more;
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
static enum error_code drop_pools(struct engine *engine, timestamp_ns now, struct error *error)
{
    bool is_end = false;
    duration_ns since = now - engine->pools_looked;
    enum error_code code = spelling_expire(engine->work.stats, error);
    if (code != ERROR_NONE || (since >= 0 && since < POOLS_EVERY))
        return code;
    code = pool_expire(engine->work.stats, &engine->next_pool, POOLS_PER_BATCH, &is_end, error);
    if (is_end)
        engine->pools_looked = now;
    return code;
}

static enum error_code forget_notes(struct engine *engine, struct store_transaction *transaction,
                                    timestamp_ns now, size_t max, bool *has_leftovers,
                                    struct error *error)
{
    duration_ns linger = engine->work.policy.linger;
    const duration_ns keep[STORE_NOTE_KINDS] = {
        [STORE_NOTE_TIMED_DELIVERY] = linger,
        [STORE_NOTE_UNTIMED_DELIVERY] = linger,
        [STORE_NOTE_JOB] = linger,
        [STORE_NOTE_WAITED_JOB] = linger,
        [STORE_NOTE_RUN] = linger,
        [STORE_NOTE_OLD_RUN] = linger > TRACE_RUN_KEPT ? linger : TRACE_RUN_KEPT,
    };
    size_t notes_left = max / NOTES_SHARE;
    size_t old_left = max;
    enum error_code code = store_forget_notes(transaction, now, keep, &notes_left, error);
    if (code == ERROR_NONE)
        code = store_forget_old_deliveries(transaction, now, linger, &old_left, error);
    *has_leftovers |= notes_left == 0 || old_left == 0;
    return code;
}

static enum error_code forget(struct engine *engine, struct store_transaction *transaction,
                              timestamp_ns now, size_t max, bool *has_leftovers,
                              struct error *error)
{
    size_t slots = 0;
    enum error_code code = forget_notes(engine, transaction, now, max, has_leftovers, error);
    if (code == ERROR_NONE)
        code = latency_expire(transaction, now, max, &slots, error);
    if (code == ERROR_NONE)
        code = drop_pools(engine, now, error);
    *has_leftovers |= slots == max;
    return code;
}

// A small piece, and no more than necessary: some of an older version's notes of deliveries, otherwise a few blocks.
static enum error_code shed_piece(struct store_transaction *transaction, uint64_t *shed,
                                  struct error *error)
{
    size_t old = 0;
    enum error_code code =
        store_shed_old_deliveries(transaction, SHED_BLOCKS * NOTES_OF_A_BLOCK, &old, error);
    *shed = old;
    return code == ERROR_NONE && old == 0 ? store_shed_notes(transaction, SHED_BLOCKS, shed, error)
                                          : code;
}

enum error_code work_shed_notes(struct engine_work *work, struct store_transaction *transaction,
                                timestamp_ns now, size_t max, bool *is_short, struct error *error)
{
    *is_short = store_must_shed(transaction);
    for (size_t i = 0; i < max / SHED_BLOCKS && *is_short; i++) {
        uint64_t shed = 0;
        enum error_code code = shed_piece(transaction, &shed, error);
        if (code != ERROR_NONE)
            return code;
        if (shed == 0)
            break;
        store_count_shed(transaction, now, shed);
        work->counted.shed += shed;
        *is_short = store_must_shed(transaction);
    }
    return ERROR_NONE;
}

// If the history has nothing left to delete, notes are shed before a delivery is refused: at worst, a repeated
// delivery is treated as new.
static enum error_code shed_notes(struct engine *engine, struct store_transaction *transaction,
                                  timestamp_ns now, size_t max, bool *has_leftovers,
                                  struct error *error)
{
    struct engine_work *work = &engine->work;
    uint64_t before = work->counted.shed;
    bool is_short;
    enum error_code code =
        work_shed_notes(work, transaction, now, max / NOTES_SHARE, &is_short, error);
    *has_leftovers |= is_short && work->counted.shed > before;
    if (code == ERROR_NONE && work->counted.shed > 0 && engine_may_log(&engine->shed_logged))
        log_warn("the store is nearly full: the oldest notes of what was delivered are forgotten "
                 "early; raise db-max-size or shorten linger",
                 LOG_INT("notes", work->counted.shed));
    return code;
}

// Jobs that were sent and may be sent again, changed, are kept as whole states while there is room. The space is
// freed when it is needed.
static enum error_code drop_jobs(struct engine *engine, struct store_transaction *transaction,
                                 size_t max, bool *has_leftovers, struct error *error)
{
    duration_ns since = timestamp_monotonic() - engine->jobs_looked;
    size_t replaced;
    bool is_end;
    if (!store_keeps_only_notes(transaction) || (engine->jobs_looked != 0 && since < JOBS_EVERY))
        return ERROR_NONE;
    enum error_code code = work_keep_only_notes(&engine->work, transaction, &engine->next_job, max,
                                                &replaced, &is_end, error);
    engine->jobs_replaced += replaced;
    *has_leftovers |= store_keeps_only_notes(transaction);
    if (code != ERROR_NONE || !is_end)
        return code;
    engine->next_job = (struct store_key){.trace = {{0}}};
    if (engine->jobs_replaced == 0)
        engine->jobs_looked = timestamp_monotonic();
    engine->jobs_replaced = 0;
    return ERROR_NONE;
}

enum error_code engine_do_upkeep(struct engine *engine, struct store_transaction *transaction,
                                 timestamp_ns now, size_t tasks, timestamp_ns *next_due,
                                 bool *has_leftovers, struct error *error)
{
    struct engine_work *work = &engine->work;
    size_t max = UPKEEP_PER_BATCH + UPKEEP_PER_TASK * tasks;
    bool may_forget = engine->last_steady >= engine->forget_after;
    *has_leftovers = false;
    enum error_code code = work_expire(work, transaction, now, max, next_due, error);
    if (code == ERROR_NONE)
        code = stats_flush(work->stats, error);
    if (code == ERROR_NONE)
        code = drop_history(engine, transaction, now, may_forget, max, has_leftovers, error);
    if (code == ERROR_NONE && may_forget)
        code = forget(engine, transaction, now, max, has_leftovers, error);
    if (code == ERROR_NONE)
        code = drop_jobs(engine, transaction, max, has_leftovers, error);
    if (code == ERROR_NONE)
        code = shed_notes(engine, transaction, now, max, has_leftovers, error);
    if (code == ERROR_NONE)
        code = drop_dead_letters(engine, transaction, now, may_forget, max, has_leftovers, error);
    *has_leftovers |=
        work->has_far_deadlines || (*next_due != TIMESTAMP_UNKNOWN && *next_due <= now);
    return code;
}

// --- figures for an older store ------------------------------------------------------------------------------

enum error_code engine_complete_figures(struct engine *engine, size_t max, bool *is_done,
                                        struct error *error)
{
    return rebuild_continue(engine->work.stats, max, is_done, error);
}

// Writes nothing if the figures are complete: a full disk must not prevent waiting records from being exported.
static enum error_code look_for_figures(struct engine *engine, struct error *error)
{
    struct store_transaction *transaction;
    enum error_code code = store_begin(engine->work.store, false, &transaction, error);
    if (code != ERROR_NONE)
        return code;
    code = rebuild_is_done(transaction, &engine->has_all_figures, error);
    store_abort(transaction);
    return code;
}

static enum error_code complete_a_part(struct engine *engine, timestamp_ns now, bool *is_done,
                                       struct error *error)
{
    struct stats *stats = engine->work.stats;
    struct store_transaction *transaction;
    enum error_code code = store_begin(engine->work.store, true, &transaction, error);
    if (code != ERROR_NONE)
        return code;
    stats_begin(stats, transaction, now);
    code = engine_complete_figures(engine, FIGURES_PER_TRANSACTION, is_done, error);
    if (code == ERROR_NONE)
        code = stats_flush(stats, error);
    if (code != ERROR_NONE) {
        store_abort(transaction);
        return code;
    }
    const struct store_set_aside_note set_aside = *store_noted_set_aside(transaction);
    code = store_commit(transaction, error);
    if (code == ERROR_NONE)
        engine_log_set_aside(engine, &set_aside);
    return code;
}

void engine_prepare_figures(struct engine *engine)
{
    struct error error = {0};
    timestamp_ns now = engine->options.now != NULL ? engine->options.now() : timestamp_now();
    timestamp_ns begun = timestamp_monotonic();
    enum error_code code = look_for_figures(engine, &error);
    while (code == ERROR_NONE && !engine->has_all_figures &&
           timestamp_monotonic() - begun <= engine->options.figures_limit) {
        bool is_done = false;
        code = complete_a_part(engine, now, &is_done, &error);
        engine->has_all_figures = code == ERROR_NONE && is_done;
    }
    if (code != ERROR_NONE)
        log_warn("the figures of what is open are not complete yet", LOG_REASON(&error));
    else if (!engine->has_all_figures)
        log_info("the figures of what is open are rebuilt from a large store while deliveries "
                 "are taken; until then they are too low");
}
