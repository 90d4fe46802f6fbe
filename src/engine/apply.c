// Applies one task inside a transaction: loads states, applies the life cycle, stores the results; sets unreadable
// states aside.
#include <assert.h>

#include "ghatrace/base/log.h"
#include "ghatrace/otlp/decode.h"
#include "ghatrace/otlp/encode.h"
#include "ghatrace/stats/commits.h"
#include "ghatrace/stats/job_history.h"
#include "ghatrace/stats/latency.h"
#include "ghatrace/stats/runners.h"
#include "ghatrace/stats/runs.h"
#include "ghatrace/stats/series.h"
#include "ghatrace/store/codec.h"
#include "ghatrace/trace/ids.h"
#include "ghatrace/trace/merge.h"
#include "ghatrace/trace/spans.h"
#include "private.h"

// --- states that cannot be read or written: set aside ---------------------------------------------

static bool is_key_of_state(const struct store_key *key, struct slice server, int64_t run_id,
                            int64_t run_attempt, struct trace_id *own_trace)
{
    *own_trace = stored_run_of(server, run_id, run_attempt).trace;
    if (trace_id_equals(own_trace, &key->trace))
        return true;
    struct trace_id usual = trace_id_of_run(ID_SCHEME_ARC, run_id, run_attempt);
    return trace_id_equals(&usual, &key->trace);
}

// True if `key` is the key of this state, either the current one or that of versions without servers in their keys.
// `*own_trace` is set to the trace under which states of its server are stored.
static bool work_is_key_of_run(const struct store_key *key, const struct run_state *run,
                               struct trace_id *own_trace)
{
    struct span_id span = span_id_of_run(ID_SCHEME_ARC, run->run_id, run->run_attempt);
    return is_key_of_state(key, run->server, run->run_id, run->run_attempt, own_trace) &&
           memcmp(span.bytes, key->span.bytes, SPAN_ID_SIZE) == 0;
}

// True if `key` is the key of this state, either the current one or that of versions without servers in their keys.
// `*own_trace` is set to the trace under which states of its server are stored.
static bool work_is_key_of_job(const struct store_key *key, const struct job_state *job,
                               struct trace_id *own_trace)
{
    struct span_id span = stored_span_of_job(job->run_id, job->job_id);
    return is_key_of_state(key, job->server, job->run_id, job->run_attempt, own_trace) &&
           memcmp(span.bytes, key->span.bytes, SPAN_ID_SIZE) == 0;
}

// Removes a run from the list of open runs. Its attempt and server are in the key, but only as a digest.
static enum error_code unlist_run(struct engine_work *work, const struct store_key *key)
{
    struct stored_run run = {.trace = key->trace};
    for (size_t i = 0; i < SPAN_ID_SIZE; i++)
        run.run_id = (int64_t)((uint64_t)run.run_id << 8 | key->span.bytes[i]);
    return open_runs_remove_unreadable(work->stats, &run, &work->error);
}

enum error_code work_set_state_aside(struct engine_work *work, const struct store_key *key,
                                     struct run_state *run)
{
    bool was_open = false;
    struct error reason = work->error;
    enum error_code code = store_set_span_aside(work->transaction, key,
                                                slice_from_string(reason.message), &work->error);
    if (code == ERROR_NONE)
        code = pool_remove_unreadable_job(work->stats, key, &was_open, &work->error);
    if (code == ERROR_NONE)
        code = unlist_run(work, key);
    if (was_open && run != NULL && run->open_jobs > 0)
        run->open_jobs--;
    return code;
}

void engine_log_set_aside(struct engine *engine, const struct store_set_aside_note *note)
{
    if (note->count == 0)
        return;
    atomic_fetch_add(&engine->counters.sums.set_aside, note->count);
    engine->set_aside_unlogged += note->count;
    if (!engine_may_log(&engine->set_aside_logged))
        return;
    log_warn("stored entries could not be read or written and were set aside; `ghatrace check "
             "--db` with the store's folder lists them",
             LOG_INT("count", engine->set_aside_unlogged), LOG_SLICE("database", note->database),
             LOG_STRING("last_reason", note->reason));
    engine->set_aside_unlogged = 0;
}

// --- apply ----------------------------------------------------------------------------------------
// Loads states, applies the life cycle, stores the results.

// Limit on blocks of notes that are shed for one delivery.
#define SHED_AT_ONCE 64
// Limit on records of other programs' spans that are.
#define SHED_FORWARDED_AT_ONCE 1000

// Copies a state out of the memory map, whose pages are reused by the next write. An absent state is empty.
static enum error_code load_bytes(struct engine_work *work, const struct store_key *key,
                                  struct slice *bytes)
{
    struct slice found;
    *bytes = SLICE_EMPTY;
    enum error_code code = store_get_span(work->transaction, key, &found, &work->error);
    if (code == ERROR_NOT_FOUND)
        return ERROR_NONE;
    if (code == ERROR_NONE && !arena_copy_slice(&work->arena, found, bytes))
        return error_set(&work->error, ERROR_MEMORY, "load span: out of memory");
    return code;
}

// The figures are read from the state as it is stored, before its times are clamped.
enum error_code work_decode_run(struct engine_work *work, struct slice bytes, struct work_run *run)
{
    enum error_code code = codec_decode_run(bytes, &work->arena, &run->state, &work->error);
    if (code == ERROR_NONE && !work_is_key_of_run(&run->key, &run->state, &run->own_trace))
        return error_set(&work->error, ERROR_CORRUPT,
                         "stored run is damaged: it is stored under the key of another");
    run->is_listed = run->state.phase == RUN_OPEN;
    if (run->is_listed)
        run->commit = commit_id_of(run_names_of(&run->state).revision);
    run->is_stored = true;
    work_clamp_future_run_times(work, &run->state);
    return code;
}

static enum error_code place_job(struct engine_work *work, const struct job_state *state,
                                 struct pool_place *place)
{
    enum error_code code =
        pool_place_job(stats_pool_rules(work->stats), state, &work->arena, place);
    if (code != ERROR_NONE)
        return error_set(&work->error, code, "place job: %s", error_code_text(code));
    return ERROR_NONE;
}

static enum error_code find_times(struct engine_work *work, const struct job_state *state,
                                  struct job_times *times)
{
    return job_times_of_state(state, &work->arena, times) == ERROR_NONE
               ? ERROR_NONE
               : error_set(&work->error, ERROR_MEMORY, "count waits: out of memory");
}

enum error_code work_decode_job(struct engine_work *work, struct slice bytes, struct work_job *job)
{
    enum error_code code = codec_decode_job(bytes, &work->arena, &job->state, &work->error);
    job->is_stored = true;
    if (code == ERROR_NONE && !work_is_key_of_job(&job->key, &job->state, &job->own_trace))
        return error_set(&work->error, ERROR_CORRUPT,
                         "stored job is damaged: it is stored under the key of another");
    if (code == ERROR_NONE)
        code = place_job(work, &job->state, &job->place);
    if (code == ERROR_NONE)
        code = find_times(work, &job->state, &job->times);
    if (code == ERROR_NONE)
        code = pool_is_folded(work->stats, &job->key, &job->place, &job->times.is_folded,
                              &work->error);
    if (code == ERROR_NONE && work->has_receiver)
        job->arc = job->arc_after = arc_place_of_job(work, &job->state);
    work_clamp_future_job_times(work, &job->state);
    return code;
}

// Even when the note of a run has expired, the longer-lived note still records that it had a root.
static enum error_code load_old_run_note(struct engine_work *work, const struct store_key *key,
                                         struct work_run *run)
{
    const struct store_note_key note = {STORE_NOTE_OLD_RUN, *key};
    uint8_t payload[STORE_OLD_RUN_NOTE_SIZE];
    bool is_found = false;
    enum error_code code =
        store_find_note(work->transaction, &note, &is_found, payload, &work->error);
    if (code == ERROR_NONE && is_found)
        codec_decode_old_run_note(payload, &run->state);
    return code;
}

// For most exported runs there is a note and no state.
static enum error_code load_run_note(struct engine_work *work, const struct run_name *name,
                                     struct work_run *run)
{
    uint8_t payload[STORE_RUN_NOTE_SIZE];
    bool is_found = false;
    const struct store_note_key note = {STORE_NOTE_RUN, {run->own_trace, run->key.span}};
    enum error_code code =
        store_find_note(work->transaction, &note, &is_found, payload, &work->error);
    if (code == ERROR_NONE && is_found)
        codec_decode_run_note(payload, &run->state);
    else if (code == ERROR_NONE)
        code = load_old_run_note(work, &note.of, run);
    if (code == ERROR_NONE && run->state.phase != RUN_NEW) {
        run->state.run_id = name->run_id;
        run->state.run_attempt = name->run_attempt;
        run->state.server = name->server;
    }
    return code;
}

static enum error_code load_job_note(struct engine_work *work, const struct run_name *name,
                                     int64_t job_id, struct work_job *job)
{
    struct store_note_key note = {STORE_NOTE_JOB, {job->own_trace, job->key.span}};
    uint8_t payload[STORE_NOTE_SIZE_MAX];
    bool is_found = false, has_waited, is_assigned;
    enum error_code code =
        store_find_note(work->transaction, &note, &is_found, payload, &work->error);
    if (code != ERROR_NONE || !is_found)
        return code;
    codec_decode_job_note(payload, &job->state, &has_waited);
    job->is_measured = true;
    is_assigned = codec_job_note_is_assigned(payload);
    job->state.run_id = name->run_id;
    job->state.run_attempt = name->run_attempt;
    job->state.server = name->server;
    job->state.job_id = job_id;
    note.kind = STORE_NOTE_WAITED_JOB;
    if (has_waited)
        code = store_find_note(work->transaction, &note, &is_found, payload, &work->error);
    if (code == ERROR_NONE && has_waited && is_found)
        codec_decode_waited_job_note(payload, &job->state);
    note.kind = STORE_NOTE_ASSIGNED_JOB;
    if (code == ERROR_NONE && is_assigned)
        code = store_find_note(work->transaction, &note, &is_found, payload, &work->error);
    if (code == ERROR_NONE && is_assigned && is_found)
        codec_decode_assigned_job_note(payload, &job->state);
    return code;
}

enum error_code work_load_run_state(struct engine_work *work, struct work_run *run)
{
    struct slice bytes;
    const struct work_run fresh = *run;
    enum error_code code = load_bytes(work, &run->key, &bytes);
    if (code != ERROR_NONE || bytes.len == 0)
        return code;
    code = work_decode_run(work, bytes, run);
    if (code == ERROR_CORRUPT) {
        *run = fresh;
        code = work_set_state_aside(work, &run->key, NULL);
    }
    return code;
}

enum error_code work_load_run(struct engine_work *work, const struct run_name *name,
                              struct work_run *run)
{
    struct stored_run place = stored_run_of(name->server, name->run_id, name->run_attempt);
    *run = (struct work_run){
        .key = {place.trace, span_id_of_run(ID_SCHEME_ARC, name->run_id, name->run_attempt)},
        .own_trace = place.trace};
    enum error_code code = work_load_run_state(work, run);
    if (code == ERROR_NONE && work->has_old_keys)
        code = work_find_old_run(work, name, run);
    if (code == ERROR_NONE && !run->is_stored)
        code = load_run_note(work, name, run);
    return code;
}

enum error_code work_load_job_state(struct engine_work *work, struct work_run *run,
                                    struct work_job *job)
{
    struct slice bytes;
    const struct work_job fresh = *job;
    enum error_code code = load_bytes(work, &job->key, &bytes);
    if (code != ERROR_NONE || bytes.len == 0)
        return code;
    code = work_decode_job(work, bytes, job);
    if (code == ERROR_CORRUPT) {
        *job = fresh;
        code = work_set_state_aside(work, &job->key, &run->state);
    }
    return code;
}

enum error_code work_load_job(struct engine_work *work, const struct run_name *name, int64_t job_id,
                              struct work_run *run, struct work_job *job)
{
    *job = (struct work_job){
        .key = {.trace = run->key.trace, .span = stored_span_of_job(name->run_id, job_id)},
        .own_trace = run->own_trace};
    enum error_code code = work_load_job_state(work, run, job);
    if (code == ERROR_NONE && work->has_old_keys)
        code = work_find_old_job(work, name, run, job);
    if (code == ERROR_NONE && !job->is_stored)
        code = load_job_note(work, name, job_id, job);
    return code;
}

// A deadline in the index is moved only if the new one is earlier. A later one is left in place: when it passes,
// nothing is due and it is set again. This saves two writes for nearly every event.
static enum error_code index_deadline(struct engine_work *work, const struct store_key *key,
                                      timestamp_ns wanted, timestamp_ns *indexed)
{
    enum error_code code = ERROR_NONE;
    wanted = timestamp_earlier(wanted, work_farthest_deadline(work));
    if (*indexed != TIMESTAMP_UNKNOWN && wanted != TIMESTAMP_UNKNOWN && *indexed <= wanted)
        return ERROR_NONE;
    if (*indexed != TIMESTAMP_UNKNOWN)
        code = store_delete_deadline(work->transaction, *indexed, key, &work->error);
    if (code == ERROR_NONE && wanted != TIMESTAMP_UNKNOWN)
        code = store_put_deadline(work->transaction, wanted, key, &work->error);
    *indexed = wanted;
    return code;
}

static enum error_code update_open_runs(struct engine_work *work, struct work_run *run,
                                        bool is_open)
{
    const struct stored_run listed = {run->state.run_id, run->state.run_attempt, run->key.trace};
    if (is_open == run->is_listed)
        return ERROR_NONE;
    run->is_listed = is_open;
    return is_open ? open_runs_put(work->stats, &listed, &work->error)
                   : open_runs_delete(work->stats, &listed, &work->error);
}

// The events of a run may name another commit than those of its jobs, which may have come first. A run whose root was
// sent is in the list of finished runs, which has its commit.
static enum error_code update_commit(struct engine_work *work, struct work_run *run)
{
    const struct stored_run listed = {run->state.run_id, run->state.run_attempt, run->key.trace};
    const struct commit_id commit = commit_id_of(run_names_of(&run->state).revision);
    if (run->state.phase != RUN_OPEN || commit_id_equals(&commit, &run->commit))
        return ERROR_NONE;
    enum error_code code = commits_delete(work->transaction, &run->commit, &listed, &work->error);
    run->commit = commit;
    return code == ERROR_NONE ? commits_put(work->transaction, &commit, &listed, &work->error)
                              : code;
}

// Deletes the state, if there is one, and its deadline.
static enum error_code drop_state(struct engine_work *work, const struct store_key *key,
                                  bool *is_stored, timestamp_ns *deadline)
{
    enum error_code code = ERROR_NONE;
    if (*deadline != TIMESTAMP_UNKNOWN)
        code = store_delete_deadline(work->transaction, *deadline, key, &work->error);
    if (code == ERROR_NONE && *is_stored)
        code = store_delete_span(work->transaction, key, &work->error);
    *deadline = TIMESTAMP_UNKNOWN;
    *is_stored = false;
    return code;
}

static enum error_code put_state(struct engine_work *work, const struct store_key *key,
                                 bool *is_stored)
{
    *is_stored = true;
    work->written_bytes += work->record.len;
    return store_put_span(work->transaction, key, buffer_slice(&work->record), &work->error);
}

// True if nothing more is expected for this run and its names are not needed.
static bool is_note(const struct run_state *run)
{
    return run->phase == RUN_SENT && run->open_jobs == 0 && run->body.workflow_name.len == 0 &&
           run->body.head_branch.len == 0;
}

// Kept longer than everything else, so that a delivery that is repeated later does not create a second root.
static enum error_code note_old_run(struct engine_work *work, const struct work_run *run)
{
    uint8_t payload[STORE_OLD_RUN_NOTE_SIZE];
    codec_encode_old_run_note(&run->state, payload);
    const struct store_note_key note = {STORE_NOTE_OLD_RUN, {run->own_trace, run->key.span}};
    return store_put_note(work->transaction, &note, payload, work->now, &work->error);
}

static enum error_code note_run(struct engine_work *work, struct work_run *run)
{
    uint8_t payload[STORE_RUN_NOTE_SIZE];
    codec_encode_run_note(&run->state, payload);
    enum error_code code = drop_state(work, &run->key, &run->is_stored, &run->state.deadline);
    const struct store_note_key note = {STORE_NOTE_RUN, {run->own_trace, run->key.span}};
    if (code == ERROR_NONE)
        code = store_put_note(work->transaction, &note, payload, work->now, &work->error);
    return code == ERROR_NONE ? note_old_run(work, run) : code;
}

enum error_code work_save_run(struct engine_work *work, struct work_run *run)
{
    enum error_code code = update_open_runs(work, run, run->state.phase == RUN_OPEN);
    if (code == ERROR_NONE)
        code = update_commit(work, run);
    if (code == ERROR_NONE && work->has_receiver)
        code = work_note_our_run(work, run);
    if (code == ERROR_NONE && is_note(&run->state))
        return note_run(work, run);
    timestamp_ns wanted = lifecycle_run_deadline(&work->policy, &run->state);
    if (code == ERROR_NONE)
        code = index_deadline(work, &run->key, wanted, &run->state.deadline);
    if (code != ERROR_NONE)
        return code;
    buffer_clear(&work->record);
    code = codec_encode_run(&run->state, &work->record);
    if (code == ERROR_TOO_LARGE) {
        run->state.body.referenced_workflow_count = 0;
        buffer_clear(&work->record);
        code = codec_encode_run(&run->state, &work->record);
    }
    if (code != ERROR_NONE)
        return error_set(&work->error, code, "encode run: %s", error_code_text(code));
    return put_state(work, &run->key, &run->is_stored);
}

static enum error_code move_job_to_its_pool(struct engine_work *work, struct work_job *job)
{
    struct pool_place place;
    enum error_code code = place_job(work, &job->state, &place);
    if (code == ERROR_NONE)
        code = pool_move_job(work->stats, &job->key, &job->place, &place, &work->error);
    job->place = place;
    return code;
}

// Counts a job's times in the place of those known before. The wait is counted by the caller.
static enum error_code count_job_times(struct engine_work *work, struct work_job *job,
                                       struct job_times *times)
{
    const struct latency_wait before = job_times_wait(&job->times), after = job_times_wait(times);
    work->counted.wait_disagreements += latency_waits_disagree(&before, &after) ? 1 : 0;
    enum error_code code =
        pool_minutes_change(work->stats, &job->key, &job->times, times, &work->error);
    job->times = *times;
    return code;
}

// Once only a note of the job is left, its times were counted when it was measured.
enum error_code work_count_open_job(struct engine_work *work, struct work_job *job)
{
    struct job_times times;
    if (job->is_measured || job->state.phase == JOB_CLOSED)
        return ERROR_NONE;
    enum error_code code = find_times(work, &job->state, &times);
    if (code != ERROR_NONE)
        return code;
    const struct latency_wait before = job_times_wait(&job->times), after = job_times_wait(&times);
    if (!latency_is_counted_later(work->stats, &job->key))
        code = latency_change_wait(work->stats, &before, &after, &work->error);
    return code == ERROR_NONE ? count_job_times(work, job, &times) : code;
}

static enum error_code note_job(struct engine_work *work, struct work_job *job)
{
    uint8_t payload[STORE_JOB_NOTE_SIZE];
    uint8_t waited[STORE_WAITED_JOB_NOTE_SIZE];
    uint8_t assigned[STORE_ASSIGNED_JOB_NOTE_SIZE];
    bool has_waited, is_assigned = job->state.assigned_at != TIMESTAMP_UNKNOWN;
    codec_encode_job_note(&job->state, payload, &has_waited);
    codec_encode_waited_job_note(&job->state, waited);
    codec_encode_assigned_job_note(&job->state, assigned);
    enum error_code code = drop_state(work, &job->key, &job->is_stored, &job->state.deadline);
    struct store_note_key note = {STORE_NOTE_JOB, {job->own_trace, job->key.span}};
    if (code == ERROR_NONE)
        code = store_put_note(work->transaction, &note, payload, work->now, &work->error);
    note.kind = STORE_NOTE_WAITED_JOB;
    if (code == ERROR_NONE && has_waited)
        code = store_put_note(work->transaction, &note, waited, work->now, &work->error);
    note.kind = STORE_NOTE_ASSIGNED_JOB;
    if (code == ERROR_NONE && is_assigned)
        code = store_put_note(work->transaction, &note, assigned, work->now, &work->error);
    return code;
}

// A job that may be sent again is kept as a whole state, some KiB, unless room runs short: a refused delivery is not
// repeated. Then a note replaces it, and late events change nothing. Not while some of its spans were not sent.
static bool needs_only_note(struct engine_work *work, const struct job_state *job)
{
    return job->phase == JOB_CLOSED ||
           (job->phase == JOB_CLOSED_LACKING && job->arc_wait_since == TIMESTAMP_UNKNOWN &&
            store_keeps_only_notes(work->transaction));
}

static enum error_code put_job(struct engine_work *work, const struct run_state *run,
                               struct work_job *job)
{
    timestamp_ns wanted = lifecycle_job_deadline(&work->policy, run, &job->state);
    enum error_code code = index_deadline(work, &job->key, wanted, &job->state.deadline);
    if (code != ERROR_NONE)
        return code;
    buffer_clear(&work->record);
    code = codec_encode_job(&job->state, &work->record);
    if (code ==
        ERROR_TOO_LARGE) { // not possible for decoded deliveries; an older version may have stored such a state
        job->state.body.step_count = 0;
        buffer_clear(&work->record);
        code = codec_encode_job(&job->state, &work->record);
    }
    if (code != ERROR_NONE)
        return error_set(&work->error, code, "encode job: %s", error_code_text(code));
    return put_state(work, &job->key, &job->is_stored);
}

enum error_code work_save_job(struct engine_work *work, const struct run_state *run,
                              struct work_job *job)
{
    enum error_code code = move_job_to_its_pool(work, job);
    if (code == ERROR_NONE)
        code = work_count_open_job(work, job);
    if (code == ERROR_NONE && work->has_receiver)
        code = work_note_our_job(work, job);
    if (code == ERROR_NONE)
        code = needs_only_note(work, &job->state) ? note_job(work, job) : put_job(work, run, job);
    return code == ERROR_NONE && work->has_receiver ? work_list_job(work, job) : code;
}

enum error_code work_delete_run(struct engine_work *work, struct work_run *run)
{
    const struct stored_run unlisted = {run->state.run_id, run->state.run_attempt, run->key.trace};
    enum error_code code = update_open_runs(work, run, false);
    if (code == ERROR_NONE)
        code = commits_delete(work->transaction, &run->commit, &unlisted, &work->error);
    run->commit = (struct commit_id){.size = 0};
    if (code == ERROR_NONE)
        code = note_old_run(work, run);
    return code == ERROR_NONE ? store_delete_span(work->transaction, &run->key, &work->error)
                              : code;
}

enum error_code work_delete_job(struct engine_work *work, struct work_job *job)
{
    static const struct pool_place nowhere;
    enum error_code code =
        pool_move_job(work->stats, &job->key, &job->place, &nowhere, &work->error);
    if (code == ERROR_NONE && job->arc.is_listed)
        code = work_unlist_job(work, job);
    if (code == ERROR_NONE && job->state.deadline != TIMESTAMP_UNKNOWN)
        code =
            store_delete_deadline(work->transaction, job->state.deadline, &job->key, &work->error);
    return code == ERROR_NONE ? store_delete_span(work->transaction, &job->key, &work->error)
                              : code;
}

static enum error_code count_job(struct engine_work *work, struct work_job *job,
                                 const struct job_sample *measure)
{
    if (measure->is_assignment_only)
        return series_count_job(work->stats, measure, &work->error);
    const struct latency_wait before = latency_is_counted_later(work->stats, &job->key)
                                           ? (struct latency_wait){.exists = false}
                                           : job_times_wait(&job->times);
    struct job_times times = job_times_of_sample(measure);
    enum error_code code = latency_count_job(work->stats, measure, &before, &work->error);
    bool is_corrected = job->times.started != TIMESTAMP_UNKNOWN &&
                        times.started != TIMESTAMP_UNKNOWN && job->times.started != times.started;
    if (code == ERROR_NONE && is_corrected)
        code =
            runners_correct_start(work->stats, &job->key, &job->place, times.started, &work->error);
    if (code == ERROR_NONE) // by the pool that it is in now
        code = series_count_job(work->stats, measure, &work->error);
    if (code == ERROR_NONE)
        code = count_job_times(work, job, &times);
    job->is_measured = true;
    return code;
}

// Counts a run once: if it is sent again with corrections, its entry in the list is replaced, but the figures are not
// changed.
static enum error_code count_run(struct engine_work *work, const struct trace_id *trace,
                                 const struct lifecycle_finished *finished)
{
    const struct recent_place place = {.at = work->at, .trace = *trace};
    enum error_code code = ERROR_NONE;
    if (!finished->is_correction)
        code = series_count_run(work->stats, finished->run_sample, &work->error);
    return code == ERROR_NONE ? recent_put(work->stats, &place, finished->run_sample, &work->error)
                              : code;
}

// Where the records of one finished job or run are stored. Each has its own key in the history.
struct record_place {
    const struct store_key *key; // of the first record
    uint64_t parts;              // number of parts so far
};

static enum error_code store_record(struct engine_work *work, struct record_place *place,
                                    struct slice bytes)
{
    struct store_record record = {.finished_at = work->at, .key = *place->key, .body = bytes};
    if (place->parts > 0)
        record.key.span = stored_span_of_part(&place->key->span, place->parts);
    place->parts++;
    enum error_code code =
        store_add_record(work->transaction, &record, work->to_outbox, &work->error);
    work->counted.records += code == ERROR_NONE ? 1 : 0;
    work->written_bytes += bytes.len;
    return code;
}

// One span larger than the usual record, for example because of configured attributes.
static enum error_code add_large_span(struct engine_work *work, struct record_place *place,
                                      const struct span_batch *batch)
{
    buffer_clear(&work->record);
    enum error_code code = otlp_encode_batch(batch, &work->record, &work->error);
    if (code == ERROR_TOO_LARGE)
        return store_set_record_aside(work->transaction, place->key,
                                      slice_from_string(work->error.message), &work->error);
    return code == ERROR_NONE ? store_record(work, place, buffer_slice(&work->record)) : code;
}

// Stored as one record, or as several if one would be too large for the exporter to send or to split.
static enum error_code add_batch(struct engine_work *work, struct record_place *place,
                                 const struct span_batch *batch)
{
    if (batch->span_count == 0) // all spans of a job are left to its runner
        return ERROR_NONE;
    buffer_clear(&work->part);
    enum error_code code = otlp_encode_batch(batch, &work->part, &work->error);
    if (code == ERROR_NONE)
        return store_record(work, place, buffer_slice(&work->part));
    if (code != ERROR_TOO_LARGE)
        return code;
    if (batch->span_count <= 1)
        return add_large_span(work, place, batch);
    struct span_batch first = *batch;
    struct span_batch second = *batch;
    first.span_count = batch->span_count / 2;
    second.spans += first.span_count;
    second.span_count -= first.span_count;
    code = add_batch(work, place, &first);
    return code == ERROR_NONE ? add_batch(work, place, &second) : code;
}

// `owner`: of the state of their job or run.
static enum error_code add_sent_batch(struct engine_work *work, const struct store_key *owner,
                                      struct record_place *place, const struct span_batch *batch)
{
    enum error_code code = add_batch(work, place, batch);
    return code == ERROR_NONE && work->has_receiver ? work_note_sent(work, owner, batch) : code;
}

// The steps beyond the first thousand. Their spans are freed before the next ones are built.
static enum error_code add_remaining_steps(struct engine_work *work, const struct store_key *owner,
                                           struct record_place *place, struct job_rest *rest)
{
    for (;;) {
        struct span_batch batch;
        arena_clear(&work->scratch);
        enum error_code code = build_more_steps(rest, &work->scratch, &batch);
        if (code != ERROR_NONE)
            return error_set(&work->error, code, "build spans: %s", error_code_text(code));
        if (batch.span_count == 0)
            return ERROR_NONE;
        code = add_sent_batch(work, owner, place, &batch);
        if (code != ERROR_NONE)
            return code;
    }
}

static enum error_code add_finished(struct engine_work *work, const struct store_key *key,
                                    const struct lifecycle_finished *finished)
{
    struct store_key phases = *key;
    phases.span = stored_span_of_part(&key->span, STORED_PART_RUNNER_PHASES);
    struct record_place place = {.key = finished->is_runner_phases ? &phases : key};
    enum error_code code = add_sent_batch(work, key, &place, &finished->batch);
    if (code == ERROR_NONE && finished->rest != NULL)
        code = add_remaining_steps(work, key, &place, finished->rest);
    return code;
}

// Finds the newest record of a root. ERROR_NOT_FOUND.
static enum error_code find_record(struct engine_work *work, const struct store_key *key,
                                   struct store_record *record)
{
    uint64_t sequence;
    enum error_code code = store_newest_record(work->transaction, key, &sequence, &work->error);
    return code == ERROR_NONE ? store_get_record(work->transaction, sequence, record, &work->error)
                              : code;
}

// Sets the same times in its entry in the list of recent runs.
static enum error_code extend_recent_entry(struct engine_work *work, const struct trace_id *trace,
                                           const struct span *root)
{
    struct recent_run run;
    const struct recent_place place = {.at = work->at, .trace = *trace};
    enum error_code code = recent_find(work->transaction, trace, &run, &work->error);
    if (code != ERROR_NONE)
        return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
    run.measure.start = root->start;
    run.measure.end = root->end;
    return recent_put(work->stats, &place, &run.measure, &work->error);
}

// Sends an exported root again, extended to cover jobs that arrived after it, when its names are no longer in the
// state. Does nothing if it is no longer in the history, which keeps it for `history`.
static enum error_code extend_sent_root(struct engine_work *work, struct work_run *run,
                                        const struct lifecycle_extension *extension)
{
    const struct store_key key = {.trace = run->key.trace, .span = extension->span_id};
    struct store_record record;
    struct span_batch batch;
    enum error_code code = find_record(work, &key, &record);
    if (code == ERROR_NONE)
        code = otlp_decode_batch(record.body, &work->arena, &batch, &work->error);
    if (code == ERROR_CORRUPT)
        store_note_unreadable(work->transaction);
    if (code == ERROR_NOT_FOUND || code == ERROR_CORRUPT ||
        (code == ERROR_NONE && batch.span_count != 1))
        return ERROR_NONE;
    if (code != ERROR_NONE)
        return code;
    struct span *root = &batch.spans[0];
    timestamp_ns start = timestamp_earliest_known(root->start, extension->start);
    timestamp_ns end = timestamp_later(root->end, extension->end);
    if (start == root->start && end == root->end)
        return ERROR_NONE;
    root->start = start;
    root->end = end;
    run->state.root_digest = (uint32_t)fingerprint_of_batch(&batch);
    struct record_place place = {.key = &key};
    code = add_batch(work, &place, &batch);
    return code == ERROR_NONE ? extend_recent_entry(work, &key.trace, root) : code;
}

// The event that ends a run may be the first that names another commit.
static enum error_code leave_other_commit(struct engine_work *work, struct work_run *run,
                                          const struct run_sample *measure)
{
    const struct stored_run listed = {run->state.run_id, run->state.run_attempt, run->key.trace};
    if (commit_id_equals(&run->commit, &measure->commit))
        return ERROR_NONE;
    enum error_code code = commits_delete(work->transaction, &run->commit, &listed, &work->error);
    run->commit = measure->commit;
    return code;
}

enum error_code work_add_records(struct engine_work *work, const struct trace_id *trace,
                                 struct work_run *run, struct work_job *job,
                                 const struct lifecycle_output *output)
{
    for (size_t i = 0; i < output->finished_count; i++) {
        const struct lifecycle_finished *finished = &output->finished[i];
        struct store_key key = {.trace = *trace, .span = finished->span_id};
        enum error_code code = add_finished(work, &key, finished);
        if (code == ERROR_NONE && finished->job_sample != NULL)
            code = count_job(work, job, finished->job_sample);
        if (code == ERROR_NONE && finished->occupancy.exists && work->keeps_job_history)
            code = job_history_add(work->stats, &key, &finished->occupancy, &work->error);
        if (code == ERROR_NONE && finished->run_sample != NULL)
            code = leave_other_commit(work, run, finished->run_sample);
        if (code == ERROR_NONE && finished->run_sample != NULL)
            code = count_run(work, trace, finished);
        if (code != ERROR_NONE)
            return code;
    }
    return output->extension.is_wanted ? extend_sent_root(work, run, &output->extension)
                                       : ERROR_NONE;
}

// Stores what the life cycle made of an event. `job` is NULL if the event is the run's own.
static enum error_code save_states(struct engine_work *work, const struct lifecycle_output *output,
                                   struct work_run *run, struct work_job *job)
{
    work->counted.late += output->is_late ? 1 : 0;
    enum error_code code = work_add_records(work, &run->key.trace, run, job, output);
    if (code == ERROR_NONE && output->job_changed)
        code = work_save_job(work, &run->state, job);
    if (code == ERROR_NONE && output->resend_jobs)
        code = work_resend_jobs(work, run);
    if (code == ERROR_NONE && output->run_changed)
        code = work_save_run(work, run);
    return code;
}

static struct lifecycle_event received_event(const struct engine_task *task,
                                             timestamp_ns created_at, uint64_t digest)
{
    return (struct lifecycle_event){
        .event = task->event,
        .occurred_at = lifecycle_occurred_at(created_at, task->occurred_at, task->received_at),
        .received_at = task->received_at,
        .digest = digest,
    };
}

static enum error_code refuse_event(struct engine_work *work, enum error_code code)
{
    return error_set(&work->error, code, "apply event: %s", error_code_text(code));
}

static enum error_code apply_job_event(struct engine_work *work, const struct engine_task *task)
{
    const struct github_job *job_event = &task->event->job;
    const struct run_name name = {task->event->server, job_event->run_id, job_event->run_attempt};
    const struct lifecycle_event received = received_event(
        task, lifecycle_creation_of_job(job_event), merge_digest_of_job(task->event));
    struct lifecycle_output output;
    const struct lifecycle life = {&work->policy, &work->arena, &output};
    struct work_run run;
    struct work_job job;
    uint64_t left_of = 0;
    enum error_code code = work_load_run(work, &name, &run);
    if (code == ERROR_NONE)
        code = work_load_job(work, &name, job_event->job_id, &run, &job);
    if (code == ERROR_NONE && work->has_receiver)
        code = work_match_held_reports(work, task->event, &run, &job, &left_of);
    if (code != ERROR_NONE)
        return code;
    code = lifecycle_apply_job_event(&life, &received, &run.state, &job.state);
    code = code == ERROR_NONE ? save_states(work, &output, &run, &job) : refuse_event(work, code);
    return code == ERROR_NONE && left_of != 0 ? work_match_left_reports(work, left_of) : code;
}

static enum error_code apply_run_event(struct engine_work *work, const struct engine_task *task)
{
    const struct github_run *run_event = &task->event->run;
    const struct run_name name = {task->event->server, run_event->run_id, run_event->run_attempt};
    const struct lifecycle_event received =
        received_event(task, TIMESTAMP_UNKNOWN, merge_digest_of_run(task->event));
    struct lifecycle_output output;
    const struct lifecycle life = {&work->policy, &work->arena, &output};
    struct work_run run;
    enum error_code code = work_load_run(work, &name, &run);
    if (code != ERROR_NONE)
        return code;
    code = lifecycle_apply_run_event(&life, &received, &run.state);
    return code == ERROR_NONE ? save_states(work, &output, &run, NULL) : refuse_event(work, code);
}

static enum error_code apply_event(struct engine_work *work, const struct engine_task *task)
{
    enum error_code code = servers_note(work->stats, task->event->server, &work->error);
    if (code != ERROR_NONE)
        return code;
    switch (task->event->kind) {
    case GITHUB_EVENT_JOB:
        return apply_job_event(work, task);
    case GITHUB_EVENT_RUN:
        return apply_run_event(work, task);
    case GITHUB_EVENT_PING:
    case GITHUB_EVENT_IGNORED:
        break;
    }
    return error_set(&work->error, ERROR_INVALID, "apply event: neither a job's nor a run's");
}

enum error_code work_check_room(struct engine_work *work)
{
    // Spans of other programs have their own limit: no delivery is refused because of them.
    uint64_t waiting = store_outbox_bytes(work->transaction);
    uint64_t forwarded = store_forwarded_bytes(work->transaction);
    waiting -= forwarded < waiting ? forwarded : waiting;
    if (work->to_outbox && work->outbox_max > 0 && waiting >= work->outbox_max)
        return error_set(&work->error, ERROR_FULL,
                         "the outbox is full: %llu KiB wait for the collector, outbox-max-size is "
                         "%llu KiB; find out why the collector does not accept them",
                         (unsigned long long)(waiting >> 10),
                         (unsigned long long)(work->outbox_max >> 10));
    return store_check_room(work->transaction, &work->error);
}

static void note_event(struct engine_work *work, const struct engine_task *task)
{
    work->counted.events++;
    if (task->received_at > work->counted.last_event_at)
        work->counted.last_event_at = task->received_at;
}

static enum error_code remember_delivery(struct engine_work *work, const struct engine_task *task,
                                         bool *is_duplicate)
{
    struct store_delivery delivery = {.guid_time = task->occurred_at,
                                      .received_at = task->received_at};
    memcpy(delivery.guid, task->delivery_digest, sizeof delivery.guid);
    memcpy(delivery.body, task->delivery_digest + sizeof delivery.guid, sizeof delivery.body);
    memcpy(delivery.old_digest, task->old_digest, sizeof delivery.old_digest);
    return store_remember_delivery(work->transaction, &delivery, work->policy.linger, is_duplicate,
                                   &work->error);
}

// The upkeep sheds notes long before the store is full, but a single batch may fill a small store.
static enum error_code make_room_for_delivery(struct engine_work *work)
{
    bool is_short;
    size_t forwarded;
    uint64_t before = work->counted.shed;
    enum error_code full = work_check_room(work);
    if (full != ERROR_FULL)
        return full;
    enum error_code code = work_shed_forwarded(work, SHED_FORWARDED_AT_ONCE, &forwarded);
    if (code == ERROR_NONE)
        code = work_shed_notes(work, SHED_AT_ONCE, &is_short);
    if (code != ERROR_NONE)
        return code;
    return work->counted.shed > before || forwarded > 0 ? work_check_room(work) : full;
}

// Nothing was written for this task yet, so the other tasks of the batch, which may free space, continue.
static void refuse_for_room(struct engine_work *work, struct engine_task *task)
{
    work->is_full = true;
    task->outcome = ENGINE_FULL;
    task->error = work->error;
}

enum error_code work_make_room(struct engine_work *work, struct engine_task *task, bool *is_refused)
{
    enum error_code code = make_room_for_delivery(work);
    *is_refused = code == ERROR_FULL;
    if (*is_refused)
        refuse_for_room(work, task);
    return *is_refused ? ERROR_NONE : code;
}

static enum error_code apply_delivery(struct engine_work *work, struct engine_task *task)
{
    bool is_duplicate = false, is_refused;
    enum error_code code = work_make_room(work, task, &is_refused);
    if (code != ERROR_NONE || is_refused)
        return code;
    code = remember_delivery(work, task, &is_duplicate);
    if (code != ERROR_NONE)
        return code;
    if (is_duplicate) {
        task->outcome = ENGINE_DUPLICATE;
        work->counted.duplicates++;
        return ERROR_NONE;
    }
    task->outcome = ENGINE_ACCEPTED;
    note_event(work, task);
    return apply_event(work, task);
}

// Each report of an earlier time of a job sends its spans again. ARC reports a job once; without a bound, many reports
// could fill the outbox, and deliveries would be refused.
#define RESEND_BYTES_MAX ((int64_t)1 << 20)
#define RESEND_BYTES_PER_SECOND ((int64_t)64 << 10)

static bool may_resend(struct engine_work *work)
{
    duration_ns since = work->now - work->resend_refilled;
    int64_t whole = since < NS_PER_MINUTE ? since / NS_PER_MS : NS_PER_MINUTE / NS_PER_MS;
    if (work->resend_refilled == 0 || since < 0)
        whole = NS_PER_MINUTE / NS_PER_MS; // the first use, or the clock was set back
    work->resend_bytes += whole * RESEND_BYTES_PER_SECOND / 1000;
    if (work->resend_bytes > RESEND_BYTES_MAX)
        work->resend_bytes = RESEND_BYTES_MAX;
    if (whole > 0)
        work->resend_refilled = work->now;
    return work->resend_bytes > 0;
}

// Spans that waited for the assignment are sent with the measurements of it.
static bool sends_again(const struct lifecycle_output *output)
{
    return output->finished_count > 0 && output->finished[0].job_sample == NULL;
}

enum error_code work_apply_assignment(struct engine_work *work,
                                      const struct job_assignment *assignment, struct work_run *run,
                                      struct work_job *job, bool *is_late)
{
    struct lifecycle_output output;
    const struct lifecycle life = {&work->policy, &work->arena, &output};
    const struct run_state run_before = run->state;
    const struct job_state job_before = job->state;
    enum error_code code =
        lifecycle_apply_assignment(&life, assignment, work->at, &run->state, &job->state);
    if (code != ERROR_NONE)
        return error_set(&work->error, code, "apply assignment: %s", error_code_text(code));
    bool is_resent = sends_again(&output);
    if (is_resent && !may_resend(work)) {
        run->state = run_before;
        job->state = job_before;
        output = (struct lifecycle_output){.is_late = true};
    }
    *is_late = output.is_late;
    work->counted.assignments += output.is_late ? 0 : 1;
    if (!output.is_late)
        work->counted.last_assignment_at = work->now;
    work->counted.assignments_late += output.is_late ? 1 : 0;
    uint64_t written = work->written_bytes;
    code = work_add_records(work, &run->key.trace, run, job, &output);
    if (is_resent)
        work->resend_bytes -= (int64_t)(work->written_bytes - written);
    if (code == ERROR_NONE && output.job_changed)
        code = work_save_job(work, &run->state, job);
    if (code == ERROR_NONE && output.run_changed)
        code = work_save_run(work, run);
    return code;
}

// Nothing is dropped to make room for them. That there is no room for them does not mean that there is none for
// deliveries.
static enum error_code forward_spans(struct engine_work *work, struct engine_task *task)
{
    enum error_code code = work_check_room(work);
    if (code == ERROR_FULL) {
        task->outcome = ENGINE_FULL;
        task->error = work->error;
        return ERROR_NONE;
    }
    task->outcome = ENGINE_ACCEPTED;
    return code == ERROR_NONE ? work_forward_spans(work, task) : code;
}

static enum error_code settle_export(struct engine_work *work, struct engine_task *task)
{
    enum error_code code = ERROR_NONE;
    for (size_t i = 0; i < task->sequence_count && code == ERROR_NONE; i++) {
        if (task->is_quarantined)
            code = store_quarantine_record(work->transaction, task->sequences[i], work->now,
                                           slice_from_string(task->reason), &work->error);
        else if (task->is_dead)
            code = store_bury_record(work->transaction, task->sequences[i], work->now,
                                     slice_from_string(task->reason), &work->error);
        else
            code = store_settle_record(work->transaction, task->sequences[i], &work->error);
    }
    task->outcome = ENGINE_ACCEPTED;
    return code;
}

// A few hundred small entries at most, so they are stored however little room there is.
static enum error_code store_entries(struct engine_work *work, struct engine_task *task)
{
    enum error_code code = ERROR_NONE;
    for (size_t i = 0; i < task->entry_count && code == ERROR_NONE; i++) {
        const struct store_entry *entry = &task->entries[i];
        if (entry->value.len > 0)
            code = store_table_put(work->transaction, task->table, entry->key, entry->value,
                                   &work->error);
        else
            code = store_table_delete(work->transaction, task->table, entry->key, &work->error);
        if (code == ERROR_NOT_FOUND)
            code = ERROR_NONE;
    }
    task->outcome = ENGINE_ACCEPTED;
    return code;
}

enum error_code work_apply_task(struct engine_work *work, struct engine_task *task)
{
    assert(work->transaction != NULL);
    arena_clear(&work->arena); // data of the previous task is no longer needed
    switch (task->type) {
    case ENGINE_APPLY_EVENT:
        work->at = task->received_at;
        return apply_delivery(work, task);
    case ENGINE_APPLY_ARC_REPORTS:
        work->at = task->received_at;
        return work_apply_arc_reports(work, task);
    case ENGINE_FORWARD_SPANS:
        work->at = task->received_at;
        return forward_spans(work, task);
    case ENGINE_SETTLE_EXPORT:
        work->at = work->now;
        return settle_export(work, task);
    case ENGINE_STORE_ENTRIES:
        work->at = work->now;
        return store_entries(work, task);
    }
    return error_set(&work->error, ERROR_INVALID, "unknown kind of task");
}
