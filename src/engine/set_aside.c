// States that cannot be read or written: out of the way of all others.
#include "ghatrace/base/log.h"
#include "ghatrace/store/codec.h"
#include "ghatrace/tally/open_runs.h"
#include "ghatrace/trace/ids.h"
#include "private.h"

static bool is_place(const struct store_key *key, struct slice server, int64_t run_id,
                     int64_t run_attempt, struct trace_id *own_trace)
{
    *own_trace = stored_run_of(server, run_id, run_attempt).trace;
    if (trace_id_equals(own_trace, &key->trace))
        return true;
    struct trace_id usual = trace_id_of_run(ID_SCHEME_ARC, run_id, run_attempt);
    return trace_id_equals(&usual, &key->trace);
}

bool work_is_key_of_run(const struct store_key *key, const struct run_state *run,
                        struct trace_id *own_trace)
{
    struct span_id span = span_id_of_run(ID_SCHEME_ARC, run->run_id, run->run_attempt);
    return is_place(key, run->server, run->run_id, run->run_attempt, own_trace) &&
           memcmp(span.bytes, key->span.bytes, SPAN_ID_SIZE) == 0;
}

bool work_is_key_of_job(const struct store_key *key, const struct job_state *job,
                        struct trace_id *own_trace)
{
    struct span_id span = stored_span_of_job(job->run_id, job->job_id);
    return is_place(key, job->server, job->run_id, job->run_attempt, own_trace) &&
           memcmp(span.bytes, key->span.bytes, SPAN_ID_SIZE) == 0;
}

// If it was a run's: attempt and server are in the key, but only as a digest.
static enum error_code unlist_run(struct engine_work *work, const struct store_key *key,
                                  struct error *error)
{
    struct stored_run run = {.trace = key->trace};
    for (size_t i = 0; i < SPAN_ID_SIZE; i++)
        run.run_id = (int64_t)((uint64_t)run.run_id << 8 | key->span.bytes[i]);
    return open_runs_forget(work->tally, &run, error);
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
        code = pool_forget_job(work->tally, key, &was_open, error);
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
    atomic_fetch_add(&engine->counters.set_aside, note->count);
    engine->set_aside_unlogged += note->count;
    if (!engine_may_log(&engine->set_aside_logged))
        return;
    log_warn("stored entries could not be read or written and were set aside; `ghatrace check "
             "--db` with the store's folder lists them",
             LOG_INT("count", engine->set_aside_unlogged), LOG_SLICE("database", note->database),
             LOG_STRING("last_reason", note->reason));
    engine->set_aside_unlogged = 0;
}
