// One run attempt.
#include <inttypes.h>

#include "api_parts.h"
#include "ghatrace/github/server.h"
#include "ghatrace/otlp/json.h"

// "You can re-run a workflow or jobs in a workflow ... up to 50 times" (GitHub Docs, Re-running
// workflows and jobs); twice that, should the limit move.
#define ATTEMPTS_MAX 100
// Of spans as protobuf, before they become JSON.
#define SPANS_MAX_BYTES ((size_t)64 * 1024 * 1024)

static enum error_code not_found(const struct run_question *question, const char *what,
                                 struct error *error)
{
    return error_set(error, ERROR_NOT_FOUND,
                     "run %" PRId64 " attempt %" PRId64 ": %s is in the store; the setting history "
                     "tells how long finished runs are kept",
                     question->run_id, question->run_attempt, what);
}

static void put_servers(struct json_out *json, const struct found_run *runs, size_t count)
{
    json_out_open_array(json, "servers");
    for (size_t i = 0; i < count; i++)
        json_out_text(json, NULL, github_server_name(runs[i].server));
    json_out_close_array(json);
}

static enum error_code put_attempts(struct store_transaction *transaction, struct json_out *json,
                                    const struct found_run *run, struct arena *arena,
                                    struct error *error)
{
    struct run_question question = {.server = github_server_name(run->server),
                                    .run_id = run->run.run_id};
    json_out_open_array(json, "attempts");
    for (int64_t attempt = 1; attempt <= ATTEMPTS_MAX; attempt++) {
        struct found_run found[FOUND_RUNS_MAX];
        size_t count;
        question.run_attempt = attempt;
        enum error_code code = run_lookup(transaction, &question, arena, found, &count, error);
        if (code != ERROR_NONE)
            return code;
        if (count > 0)
            json_out_count(json, NULL, (uint64_t)attempt);
        else if (attempt > run->run.run_attempt)
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

static enum error_code put_run(const struct view_sources *sources,
                               struct store_transaction *transaction, struct json_out *json,
                               const struct run_question *question, timestamp_ns now,
                               struct arena *arena, struct error *error)
{
    const struct run_view_limits limits = {
        .jobs = API_RUN_JOBS_MAX, .steps = true, .now = now, .id_scheme = sources->id_scheme};
    struct found_run found[FOUND_RUNS_MAX];
    struct run_view run;
    size_t count;
    enum error_code code = run_lookup(transaction, question, arena, found, &count, error);
    if (code == ERROR_NONE && count == 0)
        return ERROR_NOT_FOUND;
    if (code == ERROR_NONE)
        code = run_view_load(transaction, &found[0].run, &limits, arena, &run, error);
    if (code != ERROR_NONE)
        return code;
    json_out_open_object(json, NULL);
    json_out_time(json, "now", now);
    json_out_open_object(json, "run");
    api_put_run(json, sources, &run, arena);
    json_out_close_object(json);
    put_servers(json, found, count);
    code = put_attempts(transaction, json, &found[0], arena, error);
    api_put_jobs(json, &run, true);
    put_critical_path(json, &run);
    json_out_count(json, "unreadable", store_unreadable(transaction));
    json_out_close_object(json);
    return code;
}

enum error_code api_render_run(const struct view_sources *sources,
                               const struct run_question *question, timestamp_ns now,
                               struct arena *arena, struct buffer *out, struct error *error)
{
    struct store_transaction *transaction;
    struct json_out json;
    enum error_code code = store_begin(sources->store, false, &transaction, error);
    if (code != ERROR_NONE)
        return code;
    json_out_init(&json, out);
    code = put_run(sources, transaction, &json, question, now, arena, error);
    store_abort(transaction);
    if (code == ERROR_NOT_FOUND)
        return not_found(question, "nothing of it", error);
    return code == ERROR_NONE ? api_finish(&json, error) : code;
}

enum error_code api_render_spans(const struct view_sources *sources,
                                 const struct run_question *question, struct arena *arena,
                                 struct buffer *out, struct error *error)
{
    struct found_run found[FOUND_RUNS_MAX];
    struct store_transaction *transaction;
    struct buffer request;
    size_t count;
    enum error_code code = store_begin(sources->store, false, &transaction, error);
    if (code != ERROR_NONE)
        return code;
    buffer_init(&request, SPANS_MAX_BYTES);
    code = run_lookup(transaction, question, arena, found, &count, error);
    if (code == ERROR_NONE)
        code = count > 0 ? run_view_load_spans(transaction, &found[0].run, &request, error)
                         : ERROR_NOT_FOUND;
    store_abort(transaction);
    if (code == ERROR_NONE)
        code = otlp_json_from_protobuf(buffer_slice(&request), out, error);
    buffer_release(&request);
    if (code == ERROR_NOT_FOUND)
        return not_found(question, "nothing finished of it", error);
    return code;
}
