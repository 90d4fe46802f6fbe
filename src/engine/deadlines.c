// What the passing of time brings: roots that waited long enough, jobs and runs given up, notes forgotten.
#include "ghatrace/store/codec.h"
#include "private.h"

// Jobs looked at in one go when a run's open jobs are given up: a run may have a hundred thousand.
#define SWEEP_SLICE 256
// Of their states and spans in memory, before the sweep goes on in another piece.
#define SWEEP_BYTES ((size_t)64 * 1024 * 1024)
// Written by one transaction before the rest of what is due waits for the next.
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
    if (*time > now) // TIMESTAMP_UNKNOWN never is
        *time = now;
}

void work_heal_run_times(const struct engine_work *work, struct run_state *run)
{
    limit_time(&run->completed_received, work->now);
    limit_time(&run->last_received, work->now);
    limit_time(&run->last_job_closed_at, work->now);
}

void work_heal_job_times(const struct engine_work *work, struct job_state *job)
{
    limit_time(&job->last_received, work->now);
    limit_time(&job->settling_since, work->now);
    limit_time(&job->closed_at, work->now);
}

// Lets a due job do what it must. Its entry was taken from the index before.
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
    code = work_add_records(work, transaction, &job->key.trace, &output, now, error);
    if (code == ERROR_NONE)
        code = work_save_job(work, transaction, &run->state, job, error);
    if (code == ERROR_NONE && output.run_changed)
        code = work_save_run(work, transaction, run, error);
    return code;
}

// Gives up the open jobs of a completed run, a slice at a time.
static enum error_code sweep_jobs(struct engine_work *work, struct store_transaction *transaction,
                                  struct work_run *run, timestamp_ns now, struct error *error)
{
    struct store_key key = {.trace = run->key.trace, .span = run->state.sweep_after};
    for (int i = 0; i < SWEEP_SLICE && work->arena.used < SWEEP_BYTES; i++) {
        struct slice bytes;
        struct slice found;
        struct work_job job = {0};
        enum codec_kind kind;
        enum error_code code = store_seek_span(transaction, &key, &found, error);
        if (code == ERROR_NOT_FOUND ||
            (code == ERROR_NONE && !trace_id_equals(&key.trace, &run->key.trace))) {
            run->state.jobs_swept = true;
            return ERROR_NONE;
        }
        if (code != ERROR_NONE)
            return code;
        if (!codec_kind_of(found, &kind)) {
            error_set(error, ERROR_CORRUPT, "a stored span is neither job nor run");
            code = work_set_state_aside(work, transaction, &key, &run->state, error);
            if (code != ERROR_NONE)
                return code;
        } else if (kind == CODEC_JOB) {
            if (!arena_copy_slice(&work->arena, found, &bytes))
                return error_set(error, ERROR_MEMORY, "sweep jobs: out of memory");
            job.key = key;
            code = work_decode_job(work, bytes, &job, error);
            // An older version may have kept two servers' jobs side by side.
            bool is_open =
                job.state.phase == JOB_OPEN && slice_equals(job.state.server, run->state.server);
            if (code == ERROR_NONE && is_open)
                code = expire_job(work, transaction, &job, run, now, error);
            else if (code == ERROR_CORRUPT)
                code = work_set_state_aside(work, transaction, &key, &run->state, error);
            if (code != ERROR_NONE)
                return code;
        }
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
    code = work_add_records(work, transaction, &run->key.trace, &output, now, error);
    if (code == ERROR_NONE && output.job_changed)
        code = work_save_job(work, transaction, &run->state, job, error);
    return code;
}

// A bounded piece, since one delivery names them all: what is left out stays as it left. So does what cannot be read.
enum error_code work_resend_jobs(struct engine_work *work, struct store_transaction *transaction,
                                 struct work_run *run, timestamp_ns now, struct error *error)
{
    struct store_key key = {.trace = run->key.trace};
    while (work->arena.used < SWEEP_BYTES && work->written_bytes < WRITTEN_BYTES_MAX) {
        struct slice found;
        struct slice bytes;
        enum codec_kind kind;
        enum error_code code = store_seek_span(transaction, &key, &found, error);
        if (code == ERROR_NOT_FOUND ||
            (code == ERROR_NONE && !trace_id_equals(&key.trace, &run->key.trace)))
            return ERROR_NONE;
        if (code != ERROR_NONE)
            return code;
        struct work_job job = {.key = key};
        store_key_increment(&key);
        if (!codec_kind_of(found, &kind) || kind != CODEC_JOB)
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

// Jobs whose states were damaged never closed. Counted where a run would be remembered for their sake.
static enum error_code count_open_jobs(struct engine_work *work,
                                       struct store_transaction *transaction, struct work_run *run,
                                       struct error *error)
{
    struct store_key key = {.trace = run->key.trace};
    run->state.open_jobs = 0;
    for (;;) {
        struct slice found;
        struct job_state job;
        struct error ignored;
        enum error_code code = store_seek_span(transaction, &key, &found, error);
        if (code == ERROR_NOT_FOUND ||
            (code == ERROR_NONE && !trace_id_equals(&key.trace, &run->key.trace)))
            return ERROR_NONE;
        if (code != ERROR_NONE)
            return code;
        arena_clear(&work->scratch);
        code = codec_decode_job(found, &work->scratch, &job, &ignored);
        if (code == ERROR_NONE && (job.phase == JOB_OPEN || job.phase == JOB_SETTLING) &&
            slice_equals(job.server, run->state.server))
            run->state.open_jobs++;
        store_key_increment(&key);
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
    code = work_add_records(work, transaction, &run->key.trace, &output, now, error);
    if (code == ERROR_NONE && output.sweep_jobs)
        code = sweep_jobs(work, transaction, run, now, error);
    else if (code == ERROR_NONE && output.run_changed && output.finished_count == 0)
        code = count_open_jobs(work, transaction, run, error);
    if (code == ERROR_NONE)
        code = work_save_run(work, transaction, run, error);
    return code;
}

static enum error_code expire_state(struct engine_work *work, struct store_transaction *transaction,
                                    const struct store_key *key, struct slice bytes,
                                    enum codec_kind kind, timestamp_ns now, struct error *error)
{
    struct work_run run = {.key = *key};
    struct work_job job = {.key = *key};
    enum error_code code;
    if (kind == CODEC_RUN) {
        code = work_decode_run(work, bytes, &run, error);
        if (code == ERROR_CORRUPT)
            return work_set_state_aside(work, transaction, key, NULL, error);
        run.state.deadline = TIMESTAMP_UNKNOWN;
        if (code == ERROR_NONE && !trace_id_equals(&run.key.trace, &run.own_trace))
            return work_move_run(work, transaction, &run, error); // then it is due there
        return code == ERROR_NONE ? expire_run(work, transaction, &run, now, error) : code;
    }
    code = work_decode_job(work, bytes, &job, error);
    if (code == ERROR_CORRUPT)
        return work_set_state_aside(work, transaction, key, NULL, error);
    job.state.deadline = TIMESTAMP_UNKNOWN;
    const struct run_name name = {job.state.server, job.state.run_id, job.state.run_attempt};
    if (code == ERROR_NONE && !trace_id_equals(&job.key.trace, &job.own_trace))
        return work_move_job(work, transaction, &name, &job, error);
    if (code == ERROR_NONE && job.state.phase != JOB_CLOSED) // a note leaves without its run
        code = work_load_run(work, transaction, &name, &run, error);
    return code == ERROR_NONE ? expire_job(work, transaction, &job, &run, now, error) : code;
}

// The entry leaves the index first; whatever still has something to wait for is put in anew.
static enum error_code expire_first(struct engine_work *work, struct store_transaction *transaction,
                                    timestamp_ns at, const struct store_key *key, timestamp_ns now,
                                    struct error *error)
{
    struct slice found;
    struct slice bytes;
    enum codec_kind kind;
    arena_clear(&work->arena); // nothing of the one before is needed any more
    enum error_code code = store_delete_deadline(transaction, at, key, error);
    if (code == ERROR_NONE)
        code = store_get_span(transaction, key, &found, error);
    if (code == ERROR_NOT_FOUND)
        return ERROR_NONE;
    if (code != ERROR_NONE)
        return code;
    if (!codec_kind_of(found, &kind)) {
        error_set(error, ERROR_CORRUPT, "a stored span is neither job nor run");
        return work_set_state_aside(work, transaction, key, NULL, error);
    }
    if (!arena_copy_slice(&work->arena, found, &bytes))
        return error_set(error, ERROR_MEMORY, "expire: out of memory");
    return expire_state(work, transaction, key, bytes, kind, now, error);
}

// A clock that was a year ahead leaves deadlines a year ahead when it is set right. They are made anew from times
// of receipt that are not after now.
static enum error_code heal_far_deadlines(struct engine_work *work,
                                          struct store_transaction *transaction, timestamp_ns now,
                                          size_t max, struct error *error)
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

enum error_code work_expire(struct engine_work *work, struct store_transaction *transaction,
                            timestamp_ns now, size_t max, timestamp_ns *next_due,
                            struct error *error)
{
    *next_due = TIMESTAMP_UNKNOWN;
    enum error_code healed = heal_far_deadlines(work, transaction, now, max, error);
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
