// One run attempt.
#include <inttypes.h>

#include "api_parts.h"
#include "ghatrace/otlp/json.h"

// "You can re-run a workflow or jobs in a workflow ... up to 50 times" (GitHub Docs, Re-running
// workflows and jobs); twice that, should the limit move.
#define ATTEMPTS_MAX 100
// Of spans as protobuf, before they become JSON.
#define SPANS_MAX_BYTES ((size_t)64 * 1024 * 1024)

static enum error_code not_found(int64_t run_id, int64_t run_attempt, const char *what,
                                 struct error *error)
{
    return error_set(error, ERROR_NOT_FOUND,
                     "run %" PRId64 " attempt %" PRId64 ": %s is in the store; the setting history "
                     "tells how long finished runs are kept",
                     run_id, run_attempt, what);
}

static enum error_code put_attempts(struct store_transaction *transaction, struct json_out *json,
                                    int64_t run_id, int64_t run_attempt, struct error *error)
{
    json_out_open_array(json, "attempts");
    for (int64_t attempt = 1; attempt <= ATTEMPTS_MAX; attempt++) {
        bool exists;
        enum error_code code = run_view_exists(transaction, run_id, attempt, &exists, error);
        if (code != ERROR_NONE)
            return code;
        if (exists)
            json_out_count(json, NULL, (uint64_t)attempt);
        else if (attempt > run_attempt)
            break;
    }
    json_out_close_array(json);
    return ERROR_NONE;
}

static void put_critical_path(struct json_out *json, const struct run_view *run)
{
    json_out_open_array(json, "critical_path");
    for (size_t i = 0; i < run->count; i++)
        if (run->jobs[i].is_critical)
            json_out_id(json, NULL, run->jobs[i].job_id);
    json_out_close_array(json);
}

enum error_code api_render_run(const struct view_sources *sources, int64_t run_id,
                               int64_t run_attempt, timestamp_ns now, struct arena *arena,
                               struct buffer *out, struct error *error)
{
    const struct run_view_limits limits = {
        .jobs = API_RUN_JOBS_MAX, .steps = true, .now = now, .id_scheme = sources->id_scheme};
    struct store_transaction *transaction;
    struct json_out json;
    struct run_view run;
    enum error_code code = store_begin(sources->store, false, &transaction, error);
    if (code != ERROR_NONE)
        return code;
    json_out_init(&json, out);
    code = run_view_load(transaction, run_id, run_attempt, &limits, arena, &run, error);
    if (code == ERROR_NONE) {
        json_out_open_object(&json, NULL);
        json_out_time(&json, "now", now);
        json_out_open_object(&json, "run");
        api_put_run(&json, sources, &run, arena);
        json_out_close_object(&json);
        code = put_attempts(transaction, &json, run_id, run_attempt, error);
        api_put_jobs(&json, &run, true);
        put_critical_path(&json, &run);
        json_out_count(&json, "unreadable", store_unreadable(transaction));
        json_out_close_object(&json);
    }
    store_abort(transaction);
    if (code == ERROR_NOT_FOUND)
        return not_found(run_id, run_attempt, "nothing of it", error);
    return code == ERROR_NONE ? api_finish(&json, error) : code;
}

enum error_code api_render_spans(const struct view_sources *sources, int64_t run_id,
                                 int64_t run_attempt, struct buffer *out, struct error *error)
{
    struct store_transaction *transaction;
    struct buffer request;
    enum error_code code = store_begin(sources->store, false, &transaction, error);
    if (code != ERROR_NONE)
        return code;
    buffer_init(&request, SPANS_MAX_BYTES);
    code = run_view_load_spans(transaction, run_id, run_attempt, &request, error);
    store_abort(transaction);
    if (code == ERROR_NONE)
        code = otlp_json_from_protobuf(buffer_slice(&request), out, error);
    buffer_release(&request);
    if (code == ERROR_NOT_FOUND)
        return not_found(run_id, run_attempt, "nothing finished of it", error);
    return code;
}
