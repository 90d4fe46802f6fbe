// Applies one task inside a transaction: loads states, applies the life cycle, stores the results; sets unreadable
// states aside.
#include "../trace/merge.h"
#include "ghatrace/base/log.h"
#include "ghatrace/otlp/encode.h"
#include "ghatrace/stats/latency.h"
#include "ghatrace/stats/open_runs.h"
#include "ghatrace/stats/recent.h"
#include "ghatrace/stats/series.h"
#include "ghatrace/store/codec.h"
#include "ghatrace/trace/ids.h"
#include "ghatrace/trace/spans.h"
#include "private.h"

// --- states that cannot be read or written: set aside ---------------------------------------------

static bool is_place(const struct store_key *key, struct slice server, int64_t run_id,
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
    return is_place(key, run->server, run->run_id, run->run_attempt, own_trace) &&
           memcmp(span.bytes, key->span.bytes, SPAN_ID_SIZE) == 0;
}

// True if `key` is the key of this state, either the current one or that of versions without servers in their keys.
// `*own_trace` is set to the trace under which states of its server are stored.
static bool work_is_key_of_job(const struct store_key *key, const struct job_state *job,
                               struct trace_id *own_trace)
{
    struct span_id span = stored_span_of_job(job->run_id, job->job_id);
    return is_place(key, job->server, job->run_id, job->run_attempt, own_trace) &&
           memcmp(span.bytes, key->span.bytes, SPAN_ID_SIZE) == 0;
}

// Removes a run from the list of open runs. Its attempt and server are in the key, but only as a digest.
static enum error_code unlist_run(struct engine_work *work, const struct store_key *key,
                                  struct error *error)
{
    struct stored_run run = {.trace = key->trace};
    for (size_t i = 0; i < SPAN_ID_SIZE; i++)
        run.run_id = (int64_t)((uint64_t)run.run_id << 8 | key->span.bytes[i]);
    return open_runs_forget(work->stats, &run, error);
}

enum error_code work_set_state_aside(struct engine_work *work,
                                     struct store_transaction *transaction,
                                     const struct store_key *key, struct run_state *run,
                                     struct error *error)
{
    bool was_open = false;
    struct error reason = *error;
    enum error_code code =
        store_set_span_aside(transaction, key, slice_from_string(reason.message), error);
    if (code == ERROR_NONE)
        code = pool_forget_job(work->stats, key, &was_open, error);
    if (code == ERROR_NONE)
        code = unlist_run(work, key, error);
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

// Copies a state out of the memory map, whose pages are reused by the next write. An absent state is empty.
static enum error_code load_bytes(struct engine_work *work, struct store_transaction *transaction,
                                  const struct store_key *key, struct slice *bytes,
                                  struct error *error)
{
    struct slice found;
    *bytes = SLICE_EMPTY;
    enum error_code code = store_get_span(transaction, key, &found, error);
    if (code == ERROR_NOT_FOUND)
        return ERROR_NONE;
    if (code == ERROR_NONE && !arena_copy_slice(&work->arena, found, bytes))
        return error_set(error, ERROR_MEMORY, "load span: out of memory");
    return code;
}

// The figures are read from the state as it is stored, before its times are clamped.
enum error_code work_decode_run(struct engine_work *work, struct slice bytes, struct work_run *run,
                                struct error *error)
{
    enum error_code code = codec_decode_run(bytes, &work->arena, &run->state, error);
    if (code == ERROR_NONE && !work_is_key_of_run(&run->key, &run->state, &run->own_trace))
        return error_set(error, ERROR_CORRUPT, "stored run is damaged: its key is another's");
    run->is_listed = run->state.phase == RUN_OPEN;
    run->is_stored = true;
    work_clamp_future_run_times(work, &run->state);
    return code;
}

static enum error_code place_job(struct engine_work *work, const struct job_state *state,
                                 struct pool_place *place, struct error *error)
{
    enum error_code code = pool_place_job(state, &work->arena, place);
    if (code != ERROR_NONE)
        return error_set(error, code, "place job: %s", error_code_text(code));
    return ERROR_NONE;
}

enum error_code work_decode_job(struct engine_work *work, struct slice bytes, struct work_job *job,
                                struct error *error)
{
    enum error_code code = codec_decode_job(bytes, &work->arena, &job->state, error);
    job->is_stored = true;
    if (code == ERROR_NONE && !work_is_key_of_job(&job->key, &job->state, &job->own_trace))
        return error_set(error, ERROR_CORRUPT, "stored job is damaged: its key is another's");
    if (code == ERROR_NONE)
        code = place_job(work, &job->state, &job->place, error);
    work_clamp_future_job_times(work, &job->state);
    return code;
}

// Even when the note of a run has expired, the longer-lived note still says that it had a root.
static enum error_code load_old_run_note(struct store_transaction *transaction,
                                         const struct store_key *key, struct work_run *run,
                                         struct error *error)
{
    uint8_t payload[STORE_OLD_RUN_NOTE_SIZE];
    bool is_found = false;
    enum error_code code =
        store_find_note(transaction, STORE_NOTE_OLD_RUN, key, &is_found, payload, error);
    if (code == ERROR_NONE && is_found)
        codec_decode_old_run_note(payload, &run->state);
    return code;
}

// For most exported runs there is a note and no state.
static enum error_code load_run_note(struct store_transaction *transaction,
                                     const struct run_name *name, struct work_run *run,
                                     struct error *error)
{
    uint8_t payload[STORE_RUN_NOTE_SIZE];
    bool is_found = false;
    const struct store_key key = {.trace = run->own_trace, .span = run->key.span};
    enum error_code code =
        store_find_note(transaction, STORE_NOTE_RUN, &key, &is_found, payload, error);
    if (code == ERROR_NONE && is_found)
        codec_decode_run_note(payload, &run->state);
    else if (code == ERROR_NONE)
        code = load_old_run_note(transaction, &key, run, error);
    if (code == ERROR_NONE && run->state.phase != RUN_NEW) {
        run->state.run_id = name->run_id;
        run->state.run_attempt = name->run_attempt;
        run->state.server = name->server;
    }
    return code;
}

static enum error_code load_job_note(struct store_transaction *transaction,
                                     const struct run_name *name, int64_t job_id,
                                     struct work_job *job, struct error *error)
{
    const struct store_key key = {.trace = job->own_trace, .span = job->key.span};
    uint8_t payload[STORE_NOTE_SIZE_MAX];
    bool is_found = false, has_waited;
    enum error_code code =
        store_find_note(transaction, STORE_NOTE_JOB, &key, &is_found, payload, error);
    if (code != ERROR_NONE || !is_found)
        return code;
    codec_decode_job_note(payload, &job->state, &has_waited);
    job->state.run_id = name->run_id;
    job->state.run_attempt = name->run_attempt;
    job->state.server = name->server;
    job->state.job_id = job_id;
    if (has_waited)
        code = store_find_note(transaction, STORE_NOTE_WAITED_JOB, &key, &is_found, payload, error);
    if (code == ERROR_NONE && has_waited && is_found)
        codec_decode_waited_job_note(payload, &job->state);
    return code;
}

enum error_code work_load_run_state(struct engine_work *work, struct store_transaction *transaction,
                                    struct work_run *run, struct error *error)
{
    struct slice bytes;
    const struct work_run fresh = *run;
    enum error_code code = load_bytes(work, transaction, &run->key, &bytes, error);
    if (code != ERROR_NONE || bytes.len == 0)
        return code;
    code = work_decode_run(work, bytes, run, error);
    if (code == ERROR_CORRUPT) {
        *run = fresh;
        code = work_set_state_aside(work, transaction, &run->key, NULL, error);
    }
    return code;
}

enum error_code work_load_run(struct engine_work *work, struct store_transaction *transaction,
                              const struct run_name *name, struct work_run *run,
                              struct error *error)
{
    struct stored_run place = stored_run_of(name->server, name->run_id, name->run_attempt);
    *run = (struct work_run){
        .key = {place.trace, span_id_of_run(ID_SCHEME_ARC, name->run_id, name->run_attempt)},
        .own_trace = place.trace};
    enum error_code code = work_load_run_state(work, transaction, run, error);
    if (code == ERROR_NONE && work->has_old_keys)
        code = work_find_old_run(work, transaction, name, run, error);
    if (code == ERROR_NONE && !run->is_stored)
        code = load_run_note(transaction, name, run, error);
    return code;
}

enum error_code work_load_job_state(struct engine_work *work, struct store_transaction *transaction,
                                    struct work_run *run, struct work_job *job, struct error *error)
{
    struct slice bytes;
    const struct work_job fresh = *job;
    enum error_code code = load_bytes(work, transaction, &job->key, &bytes, error);
    if (code != ERROR_NONE || bytes.len == 0)
        return code;
    code = work_decode_job(work, bytes, job, error);
    if (code == ERROR_CORRUPT) {
        *job = fresh;
        code = work_set_state_aside(work, transaction, &job->key, &run->state, error);
    }
    return code;
}

static enum error_code load_job(struct engine_work *work, struct store_transaction *transaction,
                                const struct run_name *name, int64_t job_id, struct work_run *run,
                                struct work_job *job, struct error *error)
{
    *job = (struct work_job){
        .key = {.trace = run->key.trace, .span = stored_span_of_job(name->run_id, job_id)},
        .own_trace = run->own_trace};
    enum error_code code = work_load_job_state(work, transaction, run, job, error);
    if (code == ERROR_NONE && work->has_old_keys)
        code = work_find_old_job(work, transaction, name, run, job, error);
    if (code == ERROR_NONE && !job->is_stored)
        code = load_job_note(transaction, name, job_id, job, error);
    return code;
}

// A deadline in the index is moved only if the new one is earlier. A later one is left in place: when it passes,
// nothing is due and it is set again. This saves two writes for nearly every event.
static enum error_code index_deadline(const struct engine_work *work,
                                      struct store_transaction *transaction,
                                      const struct store_key *key, timestamp_ns wanted,
                                      timestamp_ns *indexed, struct error *error)
{
    enum error_code code = ERROR_NONE;
    wanted = timestamp_earlier(wanted, work_farthest_deadline(work));
    if (*indexed != TIMESTAMP_UNKNOWN && wanted != TIMESTAMP_UNKNOWN && *indexed <= wanted)
        return ERROR_NONE;
    if (*indexed != TIMESTAMP_UNKNOWN)
        code = store_delete_deadline(transaction, *indexed, key, error);
    if (code == ERROR_NONE && wanted != TIMESTAMP_UNKNOWN)
        code = store_put_deadline(transaction, wanted, key, error);
    *indexed = wanted;
    return code;
}

static enum error_code list_open_run(struct engine_work *work, struct work_run *run, bool is_open,
                                     struct error *error)
{
    const struct stored_run listed = {run->state.run_id, run->state.run_attempt, run->key.trace};
    if (is_open == run->is_listed)
        return ERROR_NONE;
    run->is_listed = is_open;
    return is_open ? open_runs_put(work->stats, &listed, error)
                   : open_runs_delete(work->stats, &listed, error);
}

// Deletes the state, if there is one, and its deadline.
static enum error_code drop_state(struct store_transaction *transaction,
                                  const struct store_key *key, bool *is_stored,
                                  timestamp_ns *deadline, struct error *error)
{
    enum error_code code = ERROR_NONE;
    if (*deadline != TIMESTAMP_UNKNOWN)
        code = store_delete_deadline(transaction, *deadline, key, error);
    if (code == ERROR_NONE && *is_stored)
        code = store_delete_span(transaction, key, error);
    *deadline = TIMESTAMP_UNKNOWN;
    *is_stored = false;
    return code;
}

static enum error_code put_state(struct engine_work *work, struct store_transaction *transaction,
                                 const struct store_key *key, bool *is_stored, struct error *error)
{
    *is_stored = true;
    work->written_bytes += work->record.len;
    return store_put_span(transaction, key, buffer_slice(&work->record), error);
}

// True if nothing more is expected for this run and its names are not needed.
static bool is_note(const struct run_state *run)
{
    return run->phase == RUN_SENT && run->open_jobs == 0 && run->body.workflow_name.len == 0 &&
           run->body.head_branch.len == 0;
}

// Kept longer than everything else, so that a delivery that is repeated later does not create a second root.
static enum error_code note_old_run(struct engine_work *work, struct store_transaction *transaction,
                                    const struct work_run *run, struct error *error)
{
    uint8_t payload[STORE_OLD_RUN_NOTE_SIZE];
    codec_encode_old_run_note(&run->state, payload);
    const struct store_key key = {.trace = run->own_trace, .span = run->key.span};
    return store_put_note(transaction, STORE_NOTE_OLD_RUN, &key, payload, work->now, error);
}

static enum error_code note_run(struct engine_work *work, struct store_transaction *transaction,
                                struct work_run *run, struct error *error)
{
    uint8_t payload[STORE_RUN_NOTE_SIZE];
    codec_encode_run_note(&run->state, payload);
    enum error_code code =
        drop_state(transaction, &run->key, &run->is_stored, &run->state.deadline, error);
    const struct store_key key = {.trace = run->own_trace, .span = run->key.span};
    if (code == ERROR_NONE)
        code = store_put_note(transaction, STORE_NOTE_RUN, &key, payload, work->now, error);
    return code == ERROR_NONE ? note_old_run(work, transaction, run, error) : code;
}

enum error_code work_save_run(struct engine_work *work, struct store_transaction *transaction,
                              struct work_run *run, struct error *error)
{
    enum error_code code = list_open_run(work, run, run->state.phase == RUN_OPEN, error);
    if (code == ERROR_NONE && is_note(&run->state))
        return note_run(work, transaction, run, error);
    timestamp_ns wanted = lifecycle_run_deadline(&work->policy, &run->state);
    if (code == ERROR_NONE)
        code = index_deadline(work, transaction, &run->key, wanted, &run->state.deadline, error);
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
        return error_set(error, code, "encode run: %s", error_code_text(code));
    return put_state(work, transaction, &run->key, &run->is_stored, error);
}

static enum error_code move_job_to_its_pool(struct engine_work *work, struct work_job *job,
                                            struct error *error)
{
    struct pool_place place;
    enum error_code code = place_job(work, &job->state, &place, error);
    if (code == ERROR_NONE)
        code = pool_move_job(work->stats, &job->key, &job->place, &place, error);
    job->place = place;
    return code;
}

static enum error_code note_job(struct engine_work *work, struct store_transaction *transaction,
                                struct work_job *job, struct error *error)
{
    uint8_t payload[STORE_JOB_NOTE_SIZE];
    uint8_t waited[STORE_WAITED_JOB_NOTE_SIZE];
    bool has_waited;
    codec_encode_job_note(&job->state, payload, &has_waited);
    codec_encode_waited_job_note(&job->state, waited);
    enum error_code code =
        drop_state(transaction, &job->key, &job->is_stored, &job->state.deadline, error);
    const struct store_key key = {.trace = job->own_trace, .span = job->key.span};
    if (code == ERROR_NONE)
        code = store_put_note(transaction, STORE_NOTE_JOB, &key, payload, work->now, error);
    if (code == ERROR_NONE && has_waited)
        code = store_put_note(transaction, STORE_NOTE_WAITED_JOB, &key, waited, work->now, error);
    return code;
}

// A job that may be sent again is kept as a whole state, some KiB, unless room runs short: a refused delivery is not
// repeated. Then a note replaces it, and late events change nothing.
static bool needs_only_note(struct store_transaction *transaction, const struct job_state *job)
{
    return job->phase == JOB_CLOSED ||
           (job->phase == JOB_CLOSED_LACKING && store_keeps_only_notes(transaction));
}

enum error_code work_save_job(struct engine_work *work, struct store_transaction *transaction,
                              const struct run_state *run, struct work_job *job,
                              struct error *error)
{
    enum error_code code = move_job_to_its_pool(work, job, error);
    if (code == ERROR_NONE && needs_only_note(transaction, &job->state))
        return note_job(work, transaction, job, error);
    timestamp_ns wanted = lifecycle_job_deadline(&work->policy, run, &job->state);
    if (code == ERROR_NONE)
        code = index_deadline(work, transaction, &job->key, wanted, &job->state.deadline, error);
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
        return error_set(error, code, "encode job: %s", error_code_text(code));
    return put_state(work, transaction, &job->key, &job->is_stored, error);
}

enum error_code work_forget_run(struct engine_work *work, struct store_transaction *transaction,
                                struct work_run *run, struct error *error)
{
    enum error_code code = list_open_run(work, run, false, error);
    if (code == ERROR_NONE)
        code = note_old_run(work, transaction, run, error);
    return code == ERROR_NONE ? store_delete_span(transaction, &run->key, error) : code;
}

enum error_code work_forget_job(struct engine_work *work, struct store_transaction *transaction,
                                struct work_job *job, struct error *error)
{
    static const struct pool_place nowhere;
    enum error_code code = pool_move_job(work->stats, &job->key, &job->place, &nowhere, error);
    if (code == ERROR_NONE && job->state.deadline != TIMESTAMP_UNKNOWN)
        code = store_delete_deadline(transaction, job->state.deadline, &job->key, error);
    return code == ERROR_NONE ? store_delete_span(transaction, &job->key, error) : code;
}

static enum error_code count_job(struct engine_work *work, const struct job_sample *measure,
                                 struct error *error)
{
    enum error_code code = series_count_job(work->stats, measure, error);
    return code == ERROR_NONE ? latency_count_job(work->stats, measure, error) : code;
}

// Counts a run once: if it is sent again with corrections, its entry in the list is replaced, but the figures are not
// changed.
static enum error_code count_run(struct engine_work *work, const struct trace_id *trace,
                                 const struct lifecycle_finished *finished, timestamp_ns now,
                                 struct error *error)
{
    const struct recent_place place = {.at = now, .trace = *trace};
    enum error_code code = ERROR_NONE;
    if (!finished->is_correction)
        code = series_count_run(work->stats, finished->run_sample, error);
    return code == ERROR_NONE ? recent_put(work->stats, &place, finished->run_sample, error) : code;
}

// Where the records of one finished job or run are stored. Each has its own key in the history.
struct record_place {
    const struct store_key *key; // of the first record
    uint64_t parts;              // number of parts so far
    timestamp_ns now;
};

static enum error_code store_record(struct engine_work *work, struct store_transaction *transaction,
                                    struct record_place *place, struct slice bytes,
                                    struct error *error)
{
    struct store_record record = {.finished_at = place->now, .key = *place->key, .body = bytes};
    if (place->parts > 0)
        record.key.span = stored_span_of_part(&place->key->span, place->parts);
    place->parts++;
    enum error_code code = store_add_record(transaction, &record, work->to_outbox, error);
    work->counted.records += code == ERROR_NONE ? 1 : 0;
    work->written_bytes += bytes.len;
    return code;
}

// One span larger than the usual record, for example because of configured attributes.
static enum error_code add_large_span(struct engine_work *work,
                                      struct store_transaction *transaction,
                                      struct record_place *place, const struct span_batch *batch,
                                      struct error *error)
{
    buffer_clear(&work->record);
    enum error_code code = otlp_encode_batch(batch, &work->record, error);
    if (code == ERROR_TOO_LARGE)
        return store_set_record_aside(transaction, place->key, slice_from_string(error->message),
                                      error);
    return code == ERROR_NONE
               ? store_record(work, transaction, place, buffer_slice(&work->record), error)
               : code;
}

// Stored as one record, or as several if one would be too large for the exporter to send or to split.
static enum error_code add_batch(struct engine_work *work, struct store_transaction *transaction,
                                 struct record_place *place, const struct span_batch *batch,
                                 struct error *error)
{
    buffer_clear(&work->part);
    enum error_code code = otlp_encode_batch(batch, &work->part, error);
    if (code == ERROR_NONE)
        return store_record(work, transaction, place, buffer_slice(&work->part), error);
    if (code != ERROR_TOO_LARGE)
        return code;
    if (batch->span_count <= 1)
        return add_large_span(work, transaction, place, batch, error);
    struct span_batch first = *batch;
    struct span_batch second = *batch;
    first.span_count = batch->span_count / 2;
    second.spans += first.span_count;
    second.span_count -= first.span_count;
    code = add_batch(work, transaction, place, &first, error);
    return code == ERROR_NONE ? add_batch(work, transaction, place, &second, error) : code;
}

// The steps beyond the first thousand. Their spans are freed before the next ones are built.
static enum error_code add_rest(struct engine_work *work, struct store_transaction *transaction,
                                struct record_place *place, struct job_rest *rest,
                                struct error *error)
{
    for (;;) {
        struct span_batch batch;
        arena_clear(&work->scratch);
        enum error_code code = build_more_steps(rest, &work->scratch, &batch);
        if (code != ERROR_NONE)
            return error_set(error, code, "build spans: %s", error_code_text(code));
        if (batch.span_count == 0)
            return ERROR_NONE;
        code = add_batch(work, transaction, place, &batch, error);
        if (code != ERROR_NONE)
            return code;
    }
}

static enum error_code add_finished(struct engine_work *work, struct store_transaction *transaction,
                                    const struct store_key *key,
                                    const struct lifecycle_finished *finished, timestamp_ns now,
                                    struct error *error)
{
    struct record_place place = {.key = key, .now = now};
    enum error_code code = add_batch(work, transaction, &place, &finished->batch, error);
    if (code == ERROR_NONE && finished->rest != NULL)
        code = add_rest(work, transaction, &place, finished->rest, error);
    return code;
}

enum error_code work_add_root(struct engine_work *work, struct store_transaction *transaction,
                              const struct store_key *key, const struct span_batch *batch,
                              timestamp_ns now, struct error *error)
{
    struct record_place place = {.key = key, .now = now};
    return add_batch(work, transaction, &place, batch, error);
}

enum error_code work_add_records(struct engine_work *work, struct store_transaction *transaction,
                                 const struct trace_id *trace, struct work_run *run,
                                 const struct lifecycle_output *output, timestamp_ns now,
                                 struct error *error)
{
    for (size_t i = 0; i < output->finished_count; i++) {
        const struct lifecycle_finished *finished = &output->finished[i];
        struct store_key key = {.trace = *trace, .span = finished->span_id};
        enum error_code code = add_finished(work, transaction, &key, finished, now, error);
        if (code == ERROR_NONE && finished->job_sample != NULL)
            code = count_job(work, finished->job_sample, error);
        if (code == ERROR_NONE && finished->run_sample != NULL)
            code = count_run(work, trace, finished, now, error);
        if (code != ERROR_NONE)
            return code;
    }
    return output->extension.is_wanted
               ? work_extend_root(work, transaction, run, &output->extension, now, error)
               : ERROR_NONE;
}

// `job` is NULL if the event is the run's own.
static enum error_code take_in(struct engine_work *work, struct store_transaction *transaction,
                               const struct engine_task *task, struct work_run *run,
                               struct work_job *job, struct error *error)
{
    const struct github_event *event = task->event;
    struct lifecycle_output output;
    timestamp_ns occurred_at = lifecycle_occurred_at(event, task->occurred_at, task->received_at);
    enum error_code code = lifecycle_apply_event(
        &work->policy, event, occurred_at, task->received_at, merge_digest_of_event(event),
        &run->state, job != NULL ? &job->state : NULL, &work->arena, &output);
    if (code != ERROR_NONE)
        return error_set(error, code, "apply event: %s", error_code_text(code));

    work->counted.late += output.is_late ? 1 : 0;
    code = work_add_records(work, transaction, &run->key.trace, run, &output, task->received_at,
                            error);
    if (code == ERROR_NONE && output.job_changed)
        code = work_save_job(work, transaction, &run->state, job, error);
    if (code == ERROR_NONE && output.resend_jobs)
        code = work_resend_jobs(work, transaction, run, task->received_at, error);
    if (code == ERROR_NONE && output.run_changed)
        code = work_save_run(work, transaction, run, error);
    return code;
}

static enum error_code apply_job_event(struct engine_work *work,
                                       struct store_transaction *transaction,
                                       const struct engine_task *task, struct error *error)
{
    const struct github_job *job_event = &task->event->job;
    const struct run_name name = {task->event->server, job_event->run_id, job_event->run_attempt};
    struct work_run run;
    struct work_job job;
    enum error_code code = work_load_run(work, transaction, &name, &run, error);
    if (code == ERROR_NONE)
        code = load_job(work, transaction, &name, job_event->job_id, &run, &job, error);
    return code == ERROR_NONE ? take_in(work, transaction, task, &run, &job, error) : code;
}

static enum error_code apply_run_event(struct engine_work *work,
                                       struct store_transaction *transaction,
                                       const struct engine_task *task, struct error *error)
{
    const struct github_run *run_event = &task->event->run;
    const struct run_name name = {task->event->server, run_event->run_id, run_event->run_attempt};
    struct work_run run;
    enum error_code code = work_load_run(work, transaction, &name, &run, error);
    return code == ERROR_NONE ? take_in(work, transaction, task, &run, NULL, error) : code;
}

static enum error_code apply_event(struct engine_work *work, struct store_transaction *transaction,
                                   const struct engine_task *task, struct error *error)
{
    enum error_code code = servers_note(work->stats, task->event->server, error);
    if (code != ERROR_NONE)
        return code;
    switch (task->event->kind) {
    case GITHUB_EVENT_JOB:
        work->counted.job_events[task->event->job.action]++;
        return apply_job_event(work, transaction, task, error);
    case GITHUB_EVENT_RUN:
        work->counted.run_events[task->event->run.action]++;
        return apply_run_event(work, transaction, task, error);
    case GITHUB_EVENT_PING:
    case GITHUB_EVENT_IGNORED:
        break;
    }
    return error_set(error, ERROR_INVALID, "apply event: neither a job's nor a run's");
}

enum error_code work_check_room(const struct engine_work *work,
                                struct store_transaction *transaction, struct error *error)
{
    uint64_t waiting = store_outbox_bytes(transaction);
    if (work->to_outbox && work->outbox_max > 0 && waiting >= work->outbox_max)
        return error_set(error, ERROR_FULL,
                         "the outbox is full: %llu KiB wait for the collector, outbox-max-size is "
                         "%llu KiB; see why the collector does not take them",
                         (unsigned long long)(waiting >> 10),
                         (unsigned long long)(work->outbox_max >> 10));
    return store_check_room(transaction, error);
}

static void note_event(struct engine_work *work, const struct engine_task *task)
{
    work->counted.events++;
    if (task->received_at > work->counted.last_event_at)
        work->counted.last_event_at = task->received_at;
}

static enum error_code remember(const struct engine_work *work,
                                struct store_transaction *transaction,
                                const struct engine_task *task, bool *is_duplicate,
                                struct error *error)
{
    struct store_delivery delivery = {.guid_time = task->occurred_at};
    memcpy(delivery.guid, task->delivery_digest, sizeof delivery.guid);
    memcpy(delivery.body, task->delivery_digest + sizeof delivery.guid, sizeof delivery.body);
    memcpy(delivery.old_digest, task->old_digest, sizeof delivery.old_digest);
    return store_remember_delivery(transaction, &delivery, task->received_at, work->policy.linger,
                                   is_duplicate, error);
}

// The upkeep sheds notes long before the store is full, but a single batch may fill a small store.
static enum error_code make_room_for_delivery(struct engine_work *work,
                                              struct store_transaction *transaction,
                                              struct error *error)
{
    bool is_short;
    uint64_t before = work->counted.shed;
    enum error_code full = work_check_room(work, transaction, error);
    if (full != ERROR_FULL)
        return full;
    enum error_code code =
        work_shed_notes(work, transaction, work->now, SHED_AT_ONCE, &is_short, error);
    if (code != ERROR_NONE)
        return code;
    return work->counted.shed > before ? work_check_room(work, transaction, error) : full;
}

static enum error_code apply_delivery(struct engine_work *work,
                                      struct store_transaction *transaction,
                                      struct engine_task *task, struct error *error)
{
    bool is_duplicate = false;
    enum error_code code = make_room_for_delivery(work, transaction, error);
    if (code == ERROR_FULL) {
        // Nothing was written for this task yet, so the other tasks of the batch, which may free space, continue.
        work->is_full = true;
        task->outcome = ENGINE_FULL;
        task->error = *error;
        return ERROR_NONE;
    }
    if (code == ERROR_NONE)
        code = remember(work, transaction, task, &is_duplicate, error);
    if (code != ERROR_NONE)
        return code;
    if (is_duplicate) {
        task->outcome = ENGINE_DUPLICATE;
        work->counted.duplicates++;
        return ERROR_NONE;
    }
    task->outcome = ENGINE_ACCEPTED;
    note_event(work, task);
    return apply_event(work, transaction, task, error);
}

static enum error_code settle_export(struct store_transaction *transaction,
                                     struct engine_task *task, timestamp_ns now,
                                     struct error *error)
{
    enum error_code code = ERROR_NONE;
    for (size_t i = 0; i < task->sequence_count && code == ERROR_NONE; i++) {
        if (task->is_quarantined)
            code = store_quarantine_record(transaction, task->sequences[i], now,
                                           slice_from_string(task->reason), error);
        else if (task->is_dead)
            code = store_bury_record(transaction, task->sequences[i], now,
                                     slice_from_string(task->reason), error);
        else
            code = store_settle_record(transaction, task->sequences[i], error);
    }
    task->outcome = ENGINE_ACCEPTED;
    return code;
}

enum error_code work_apply_task(struct engine_work *work, struct store_transaction *transaction,
                                struct engine_task *task, timestamp_ns now, struct error *error)
{
    arena_clear(&work->arena); // data of the previous task is no longer needed
    switch (task->type) {
    case ENGINE_APPLY_EVENT:
        return apply_delivery(work, transaction, task, error);
    case ENGINE_SETTLE_EXPORT:
        return settle_export(transaction, task, now, error);
    }
    return error_set(error, ERROR_INVALID, "unknown kind of task");
}
