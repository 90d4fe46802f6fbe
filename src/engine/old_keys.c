// States of versions that had no server in their keys: they are stored under the keys of github.com, whichever server
// they belong to. The first access to one of them, or to its key, moves everything stored for its run to the keys of
// its server. Skipped for a store that never held such states (store_has_old_keys).
#include "ghatrace/github/server.h"
#include "ghatrace/stats/runs.h"
#include "ghatrace/store/codec.h"
#include "ghatrace/trace/ids.h"
#include "private.h"

// --- finding the server ----------------------------------------------------------------------------------------

// A note of an older version does not name its server; the list of recent runs does, for as long as `history`. After
// that the note counts for any server until `linger` is over: treating a span of another run with the same ids as
// late is better than creating a second root for a run that had one.
static enum error_code find_owner_of_run(struct engine_work *work, struct work_run *run)
{
    struct recent_run recent;
    struct slice server;
    struct slice url;
    if (!run->is_stored || !run->state.is_of_any_server)
        return ERROR_NONE;
    enum error_code code = recent_find(work->transaction, &run->key.trace, &recent, &work->error);
    if (code != ERROR_NONE || recent.measure.url.len == 0)
        return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
    if (!arena_copy_slice(&work->arena, recent.measure.url, &url) ||
        github_server_of_url(url, &work->arena, &server) != ERROR_NONE)
        return error_set(&work->error, ERROR_MEMORY, "find the server of a run: out of memory");
    run->state.server = server;
    run->state.is_of_any_server = false;
    run->own_trace = stored_run_of(server, run->state.run_id, run->state.run_attempt).trace;
    return ERROR_NONE;
}

static void set_job_server(struct work_job *job, struct slice server)
{
    job->state.server = server;
    job->state.is_of_any_server = false;
    job->own_trace = stored_run_of(server, job->state.run_id, job->state.run_attempt).trace;
}

// --- moving ----------------------------------------------------------------------------------------------------

static enum error_code move_old_run(struct engine_work *work, struct work_run *run)
{
    enum error_code code = servers_note(work->stats, run->state.server, &work->error);
    if (code == ERROR_NONE && run->state.deadline != TIMESTAMP_UNKNOWN)
        code =
            store_delete_deadline(work->transaction, run->state.deadline, &run->key, &work->error);
    if (code == ERROR_NONE)
        code = work_delete_run(work, run);
    if (code == ERROR_NONE)
        code =
            store_move_records(work->transaction, &run->key.trace, &run->own_trace, &work->error);
    if (code == ERROR_NONE)
        code = recent_move(work->stats, &run->key.trace, &run->own_trace, &work->error);
    run->state.deadline = TIMESTAMP_UNKNOWN;
    run->is_stored = false;
    run->key.trace = run->own_trace;
    return code == ERROR_NONE ? work_save_run(work, run) : code;
}

static enum error_code move_old_job(struct engine_work *work, const struct run_state *run,
                                    struct work_job *job)
{
    enum error_code code = servers_note(work->stats, job->state.server, &work->error);
    if (code == ERROR_NONE)
        code = work_delete_job(work, job);
    job->state.deadline = TIMESTAMP_UNKNOWN;
    job->is_stored = false;
    job->place = (struct pool_place){.labels = SLICE_EMPTY};
    job->key.trace = job->own_trace;
    return code == ERROR_NONE ? work_save_job(work, run, job) : code;
}

// Moves the jobs of `run` that are stored under this trace, and the notes, which do not name their server.
static enum error_code move_old_jobs(struct engine_work *work, const struct trace_id *trace,
                                     const struct run_state *run)
{
    struct store_key key = {.trace = *trace};
    for (;; store_key_increment(&key)) {
        struct slice bytes;
        struct slice found;
        enum error_code code =
            store_seek_span_of_trace(work->transaction, &key, &found, &work->error);
        if (code != ERROR_NONE)
            return code == ERROR_NOT_FOUND ? ERROR_NONE : code;
        if (!codec_is(found, CODEC_JOB))
            continue;
        if (!arena_copy_slice(&work->arena, found, &bytes))
            return error_set(&work->error, ERROR_MEMORY, "move a job: out of memory");
        struct work_job job = {.key = key};
        code = work_decode_job(work, bytes, &job);
        if (code == ERROR_NONE && job.state.is_of_any_server)
            set_job_server(&job, run->server);
        if (code == ERROR_NONE && slice_equals(job.state.server, run->server))
            code = move_old_job(work, run, &job);
        if (code != ERROR_NONE && code != ERROR_CORRUPT) // set aside by the caller that needs it
            return code;
    }
}

enum error_code work_move_run(struct engine_work *work, struct work_run *run)
{
    struct trace_id trace = run->key.trace;
    enum error_code code = move_old_jobs(work, &trace, &run->state);
    return code == ERROR_NONE ? move_old_run(work, run) : code;
}

// --- lookup ----------------------------------------------------------------------------------------------------

static struct store_key usual_key_of_run(const struct run_name *name)
{
    return (struct store_key){stored_run_of(SLICE_EMPTY, name->run_id, name->run_attempt).trace,
                              span_id_of_run(ID_SCHEME_ARC, name->run_id, name->run_attempt)};
}

// Moves an entry away if it is known to be of another server.
static enum error_code clear_usual_place(struct engine_work *work, struct work_run *run)
{
    enum error_code code = find_owner_of_run(work, run);
    if (code != ERROR_NONE || !run->is_stored || run->state.server.len == 0)
        return code;
    return work_move_run(work, run);
}

enum error_code work_find_old_run(struct engine_work *work, const struct run_name *name,
                                  struct work_run *run)
{
    const struct work_run own = {.key = run->key, .own_trace = run->own_trace};
    bool is_usual = name->server.len == 0;
    if (run->is_stored !=
        is_usual) // an entry of another server was found; or github.com has none, and its key is free
        return ERROR_NONE;
    enum error_code code = ERROR_NONE;
    if (!is_usual) {
        *run = (struct work_run){.key = usual_key_of_run(name)};
        code = work_load_run_state(work, run);
    }
    if (code == ERROR_NONE)
        code = clear_usual_place(work, run);
    // A note that may be of any server is not moved.
    bool is_found = run->is_stored && slice_equals(run->state.server, name->server);
    if (code != ERROR_NONE || is_found || (run->is_stored && run->state.is_of_any_server)) {
        run->own_trace = own.own_trace;
        return code;
    }
    *run = own;
    return work_load_run_state(work, run);
}

// A note stored beside a run belongs to that run.
static enum error_code find_owner_of_job(struct engine_work *work, const struct run_name *name,
                                         struct work_job *job)
{
    struct work_run run = {.key = usual_key_of_run(name)};
    if (!job->is_stored || !job->state.is_of_any_server)
        return ERROR_NONE;
    enum error_code code = work_load_run_state(work, &run);
    if (code == ERROR_NONE)
        code = find_owner_of_run(work, &run);
    if (code == ERROR_NONE && run.is_stored && !run.state.is_of_any_server)
        set_job_server(job, run.state.server);
    return code;
}

// Jobs whose run has already expired.
enum error_code work_find_old_job(struct engine_work *work, const struct run_name *name,
                                  struct work_run *run, struct work_job *job)
{
    const struct run_state unknown = {.run_id = 0};
    const struct work_job own = {.key = job->key, .own_trace = run->own_trace};
    bool is_usual = name->server.len == 0;
    enum error_code code = ERROR_NONE;
    if (job->is_stored != is_usual) // as for runs
        return ERROR_NONE;
    if (!is_usual) {
        *job = (struct work_job){.key = {usual_key_of_run(name).trace, own.key.span}};
        code = work_load_job_state(work, run, job);
    }
    if (code == ERROR_NONE)
        code = find_owner_of_job(work, name, job);
    bool is_ours = job->is_stored &&
                   (job->state.is_of_any_server || slice_equals(job->state.server, name->server));
    if (code == ERROR_NONE && job->is_stored && job->state.server.len > 0)
        code = move_old_job(work, is_ours ? &run->state : &unknown, job);
    if (!is_ours) {
        bool is_taken = job->is_stored && !is_usual;
        *job = own;
        if (is_taken) // there is also a note that may be of any server
            job->key.trace = own.own_trace;
    }
    job->own_trace = own.own_trace;
    return code;
}

enum error_code work_move_job(struct engine_work *work, const struct run_name *name,
                              struct work_job *job)
{
    struct work_run run;
    struct work_job left = {.key = job->key};
    enum error_code code = work_load_run(work, name, &run); // also moves its jobs
    if (code == ERROR_NONE)
        code = work_load_job_state(work, &run, &left);
    left.state.deadline = TIMESTAMP_UNKNOWN;
    return code == ERROR_NONE && left.is_stored ? move_old_job(work, &run.state, &left) : code;
}
